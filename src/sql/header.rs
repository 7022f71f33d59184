//! The head of a statement → its kind, what it does to what is there, and the objects it names.
//!
//! Read from the tokens alone, so that nothing ClickHouse accepts is refused here. What is not known is [`Kind::Other`], and a class is
//! rather too grave than too light.

use crate::sql::lexer::{TokenKind, tokens};
use crate::sql::{Insert, Span, insert};

/// What a statement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is the statement of that name")]
pub enum Kind {
    CreateDatabase,
    CreateTable,
    CreateView,
    CreateMaterializedView,
    CreateDictionary,
    CreateFunction,
    /// Users, roles, quotas, profiles, row policies, named collections.
    CreateAccess,
    Attach,
    Detach,
    Drop,
    Undrop,
    Truncate,
    Rename,
    Exchange,
    Alter,
    Insert,
    InsertSelect,
    Update,
    Delete,
    Optimize,
    System,
    Kill,
    Set,
    Use,
    /// GRANT and REVOKE.
    Grant,
    Backup,
    /// SELECT, SHOW, DESCRIBE, EXPLAIN, EXISTS, CHECK.
    Read,
    Other,
}

/// What a statement does to what is there, from light to grave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Changes nothing.
    Read,
    /// Changes definitions, and no data.
    Metadata,
    /// Adds or moves data.
    Data,
    /// Rewrites data that is there, in the background.
    Mutation,
    /// Takes away data or an object that holds some.
    Destroys,
}

impl Class {
    /// One word for a person and for JSON.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Read => "reads",
            Self::Metadata => "metadata",
            Self::Data => "data",
            Self::Mutation => "mutation",
            Self::Destroys => "destroys",
        }
    }
}

/// A name as it is written: unquoted, with its database if that is given.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectName {
    /// The database; `None`: the current one.
    pub database: Option<String>,
    /// The object.
    pub name: String,
    /// Where it stands.
    pub span: Span,
}

impl std::fmt::Display for ObjectName {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(database) = &self.database {
            write!(formatter, "{database}.")?;
        }
        formatter.write_str(&self.name)
    }
}

/// The head of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// What it is.
    pub kind: Kind,
    /// The words that say so: `CREATE MATERIALIZED VIEW`, `ALTER TABLE … ADD COLUMN, DROP COLUMN`.
    pub label: String,
    /// What it does to what is there.
    pub class: Class,
    /// The objects it is about, in the order of their writing.
    pub objects: Vec<ObjectName>,
    /// The `TO` of a materialized view.
    pub target: Option<ObjectName>,
    /// The cluster of `ON CLUSTER`.
    pub on_cluster: Option<String>,
    /// Whether `IF [NOT] EXISTS` or `OR REPLACE` makes it harmless to repeat.
    pub repeatable: bool,
}

/// The words a statement begins with, the longest first, and what they mean. `?` is a word that may be missing.
const HEADS: &[(&str, Kind, Class)] = {
    use Class as C;
    use Kind as K;
    &[
        ("CREATE DATABASE", K::CreateDatabase, C::Metadata),
        ("CREATE TABLE", K::CreateTable, C::Metadata),
        (
            "CREATE MATERIALIZED VIEW",
            K::CreateMaterializedView,
            C::Metadata,
        ),
        ("CREATE VIEW", K::CreateView, C::Metadata),
        ("CREATE LIVE VIEW", K::CreateView, C::Metadata),
        ("CREATE WINDOW VIEW", K::CreateView, C::Metadata),
        ("CREATE DICTIONARY", K::CreateDictionary, C::Metadata),
        ("CREATE FUNCTION", K::CreateFunction, C::Metadata),
        ("CREATE", K::CreateAccess, C::Metadata),
        ("REPLACE TABLE", K::CreateTable, C::Destroys),
        ("REPLACE DICTIONARY", K::CreateDictionary, C::Metadata),
        ("ATTACH", K::Attach, C::Metadata),
        ("DETACH", K::Detach, C::Metadata),
        // A materialized view may hold its data itself.
        ("DROP VIEW", K::Drop, C::Destroys),
        ("DROP DICTIONARY", K::Drop, C::Metadata),
        ("DROP FUNCTION", K::Drop, C::Metadata),
        ("DROP TABLE", K::Drop, C::Destroys),
        ("DROP DATABASE", K::Drop, C::Destroys),
        ("DROP", K::Drop, C::Destroys),
        ("UNDROP TABLE", K::Undrop, C::Metadata),
        ("TRUNCATE DATABASE", K::Truncate, C::Destroys),
        ("TRUNCATE ALL TABLES FROM", K::Truncate, C::Destroys),
        ("TRUNCATE TABLE", K::Truncate, C::Destroys),
        ("TRUNCATE", K::Truncate, C::Destroys),
        ("RENAME TABLE", K::Rename, C::Metadata),
        ("RENAME DATABASE", K::Rename, C::Metadata),
        ("RENAME DICTIONARY", K::Rename, C::Metadata),
        ("RENAME", K::Rename, C::Metadata),
        ("EXCHANGE TABLES", K::Exchange, C::Metadata),
        ("EXCHANGE DICTIONARIES", K::Exchange, C::Metadata),
        ("ALTER TABLE", K::Alter, C::Metadata),
        ("ALTER DATABASE", K::Alter, C::Metadata),
        ("ALTER", K::CreateAccess, C::Metadata),
        ("INSERT INTO", K::Insert, C::Data),
        ("INSERT", K::Insert, C::Data),
        ("UPDATE", K::Update, C::Mutation),
        ("DELETE FROM", K::Delete, C::Destroys),
        ("OPTIMIZE TABLE", K::Optimize, C::Mutation),
        ("OPTIMIZE", K::Optimize, C::Mutation),
        ("SYSTEM", K::System, C::Metadata),
        ("KILL", K::Kill, C::Metadata),
        ("SET", K::Set, C::Metadata),
        ("USE", K::Use, C::Metadata),
        ("GRANT", K::Grant, C::Metadata),
        ("REVOKE", K::Grant, C::Metadata),
        ("BACKUP", K::Backup, C::Data),
        ("RESTORE", K::Backup, C::Data),
        ("SELECT", K::Read, C::Read),
        ("WITH", K::Read, C::Read),
        ("SHOW", K::Read, C::Read),
        ("DESCRIBE", K::Read, C::Read),
        ("DESC", K::Read, C::Read),
        ("EXPLAIN", K::Read, C::Read),
        ("EXISTS", K::Read, C::Read),
        ("CHECK", K::Read, C::Read),
    ]
};

/// The commands of ALTER TABLE, the longest first.
const ALTERS: &[(&str, Class)] = {
    use Class as C;
    &[
        ("ADD COLUMN", C::Metadata),
        ("ADD INDEX", C::Metadata),
        ("ADD PROJECTION", C::Metadata),
        ("ADD CONSTRAINT", C::Metadata),
        ("ADD STATISTICS", C::Metadata),
        ("DROP COLUMN", C::Destroys),
        ("DROP INDEX", C::Metadata),
        ("DROP PROJECTION", C::Metadata),
        ("DROP CONSTRAINT", C::Metadata),
        ("DROP STATISTICS", C::Metadata),
        ("DROP PARTITION", C::Destroys),
        ("DROP PART", C::Destroys),
        ("DROP DETACHED", C::Destroys),
        ("CLEAR COLUMN", C::Destroys),
        ("CLEAR INDEX", C::Mutation),
        ("CLEAR PROJECTION", C::Mutation),
        ("CLEAR STATISTICS", C::Metadata),
        ("RENAME COLUMN", C::Metadata),
        ("COMMENT COLUMN", C::Metadata),
        ("MODIFY COLUMN", C::Mutation),
        ("ALTER COLUMN", C::Mutation),
        ("MODIFY QUERY", C::Metadata),
        ("MODIFY REFRESH", C::Metadata),
        ("MODIFY SQL SECURITY", C::Metadata),
        ("MODIFY ORDER BY", C::Metadata),
        ("MODIFY SAMPLE BY", C::Metadata),
        ("MODIFY TTL", C::Destroys),
        ("REMOVE TTL", C::Metadata),
        ("REMOVE SAMPLE BY", C::Metadata),
        ("MODIFY SETTING", C::Metadata),
        ("RESET SETTING", C::Metadata),
        ("MODIFY COMMENT", C::Metadata),
        ("MATERIALIZE COLUMN", C::Mutation),
        ("MATERIALIZE INDEX", C::Mutation),
        ("MATERIALIZE PROJECTION", C::Mutation),
        ("MATERIALIZE STATISTICS", C::Mutation),
        ("MATERIALIZE TTL", C::Destroys),
        ("APPLY DELETED MASK", C::Mutation),
        ("APPLY PATCHES", C::Mutation),
        ("DELETE WHERE", C::Destroys),
        ("DELETE IN PARTITION", C::Destroys),
        ("UPDATE", C::Mutation),
        ("DETACH PARTITION", C::Data),
        ("DETACH PART", C::Data),
        ("FORGET PARTITION", C::Metadata),
        ("ATTACH PARTITION", C::Data),
        ("ATTACH PART", C::Data),
        ("REPLACE PARTITION", C::Destroys),
        ("MOVE PARTITION", C::Data),
        ("MOVE PART", C::Data),
        ("FREEZE", C::Data),
        ("UNFREEZE", C::Data),
        ("FETCH", C::Data),
    ]
};

/// Reads the head of one statement.
#[must_use]
pub fn header(sql: &str) -> Header {
    let mut reader = Reader::new(sql);
    let mut header = Header {
        kind: Kind::Other,
        label: reader.upper(0).unwrap_or_default(),
        class: Class::Destroys,
        objects: Vec::new(),
        target: None,
        on_cluster: None,
        repeatable: false,
    };
    if reader.at_bracket() {
        // `(SELECT 1) UNION ALL (SELECT 2)`
        "SELECT".clone_into(&mut header.label);
        header.kind = Kind::Read;
        header.class = Class::Read;
        return header;
    }
    header.repeatable = reader.drop_modifiers();
    let Some((words, kind, class)) = HEADS.iter().find(|(words, ..)| reader.starts_with(words))
    else {
        return header;
    };
    (*words).clone_into(&mut header.label);
    header.kind = *kind;
    header.class = *class;
    if header.repeatable && *kind == Kind::CreateTable {
        // OR REPLACE: the old table goes, with its data.
        header.class = Class::Destroys;
    }
    reader.skip(words.split(' ').count());
    match kind {
        Kind::Read | Kind::Set | Kind::Kill | Kind::Grant | Kind::Backup | Kind::Other => {}
        Kind::CreateAccess | Kind::System => {
            header
                .label
                .extend(reader.upper(0).map(|word| format!(" {word}")));
        }
        Kind::Drop | Kind::Attach | Kind::Detach if !words.contains(' ') => {
            // DROP USER, ATTACH TABLE, DETACH VIEW …
            header
                .label
                .extend(reader.upper(0).map(|word| format!(" {word}")));
            reader.skip(1);
            names(&mut reader, &mut header);
        }
        Kind::Insert => {
            let _ = reader.keyword("TABLE");
            if !reader.keyword("FUNCTION") {
                names(&mut reader, &mut header);
            }
            if insert(sql.as_bytes()) == Some(Insert::Select) {
                header.kind = Kind::InsertSelect;
                header.label.push_str(" … SELECT");
            }
        }
        Kind::Rename => pairs(&mut reader, &mut header, "TO"),
        Kind::Exchange => pairs(&mut reader, &mut header, "AND"),
        Kind::Alter => {
            names(&mut reader, &mut header);
            alter(&mut reader, &mut header);
        }
        _ => names(&mut reader, &mut header),
    }
    header
}

/// `[IF [NOT] EXISTS] name[, name …] [ON CLUSTER c] [TO target]`
fn names(reader: &mut Reader<'_>, header: &mut Header) {
    header.repeatable |= reader.if_exists();
    header.objects.extend(reader.name());
    while header.kind == Kind::Drop && reader.comma() {
        header.objects.extend(reader.name());
    }
    if reader.keyword("UUID") {
        reader.skip(1);
    }
    header.on_cluster = reader.on_cluster();
    if header.kind == Kind::CreateMaterializedView {
        // REFRESH EVERY 1 HOUR … may stand before it; a bracket or AS ends the search.
        while !reader.at_bracket() && !reader.at_end() && !reader.starts_with("AS") {
            if reader.keyword("TO") {
                header.target = reader.name();
                return;
            }
            reader.skip(1);
        }
    }
}

/// `a TO b, c TO d [ON CLUSTER c]`
fn pairs(reader: &mut Reader<'_>, header: &mut Header, between: &str) {
    header.repeatable |= reader.if_exists();
    loop {
        header.objects.extend(reader.name());
        if reader.keyword(between) {
            header.objects.extend(reader.name());
        }
        if !reader.comma() {
            break;
        }
    }
    header.on_cluster = reader.on_cluster();
}

/// The commands behind ALTER TABLE t; the gravest decides the class.
fn alter(reader: &mut Reader<'_>, header: &mut Header) {
    let mut commands: Vec<&str> = Vec::new();
    loop {
        while reader.at_bracket() {
            reader.skip(1);
        }
        match ALTERS.iter().find(|(words, _)| reader.starts_with(words)) {
            Some((words, class)) => {
                header.class = header.class.max(*class);
                commands.push(words);
            }
            None => header.class = Class::Destroys,
        }
        // Behind a comma stands a command, or the next of `a = 1, b = 2`; a query goes on to the end.
        loop {
            if commands.last() == Some(&"MODIFY QUERY") || !reader.skip_to_comma() {
                commands.dedup();
                if !commands.is_empty() {
                    header.label = format!("{} … {}", header.label, commands.join(", "));
                }
                return;
            }
            while reader.at_bracket() {
                reader.skip(1);
            }
            if ALTERS
                .iter()
                .any(|(words, _)| reader.starts_with(first_word(words)))
            {
                break;
            }
        }
    }
}

fn first_word(words: &str) -> &str {
    words.split(' ').next().unwrap_or(words)
}

/// The significant tokens of a statement, read from left to right.
struct Reader<'a> {
    sql: &'a str,
    tokens: Vec<(TokenKind, Span)>,
    at: usize,
}

impl<'a> Reader<'a> {
    fn new(sql: &'a str) -> Self {
        Self {
            sql,
            tokens: tokens(sql)
                .filter(|token| token.kind.is_significant())
                .map(|token| (token.kind, token.span))
                .collect(),
            at: 0,
        }
    }

    fn kind(&self, ahead: usize) -> Option<TokenKind> {
        self.tokens.get(self.at + ahead).map(|(kind, _)| *kind)
    }

    fn upper(&self, ahead: usize) -> Option<String> {
        let (kind, span) = self.tokens.get(self.at + ahead)?;
        (*kind == TokenKind::BareWord).then(|| span.of(self.sql).to_ascii_uppercase())
    }

    fn skip(&mut self, tokens: usize) {
        self.at += tokens;
    }

    fn starts_with(&self, words: &str) -> bool {
        words.split(' ').enumerate().all(|(ahead, word)| {
            self.tokens
                .get(self.at + ahead)
                .is_some_and(|(kind, span)| {
                    *kind == TokenKind::BareWord && span.of(self.sql).eq_ignore_ascii_case(word)
                })
        })
    }

    fn keyword(&mut self, words: &str) -> bool {
        let found = self.starts_with(words);
        if found {
            self.at += words.split(' ').count();
        }
        found
    }

    fn comma(&mut self) -> bool {
        let found = self.kind(0) == Some(TokenKind::Comma);
        self.at += usize::from(found);
        found
    }

    fn at_end(&self) -> bool {
        self.at >= self.tokens.len()
    }

    fn at_bracket(&self) -> bool {
        self.kind(0) == Some(TokenKind::OpeningRoundBracket)
    }

    /// Takes `OR REPLACE` and `TEMPORARY` out from behind CREATE; whether the first was there.
    fn drop_modifiers(&mut self) -> bool {
        let mut replaces = false;
        if self.starts_with("CREATE OR REPLACE") {
            self.tokens.drain(self.at + 1..self.at + 3);
            replaces = true;
        }
        if self.starts_with("CREATE TEMPORARY") || self.starts_with("DROP TEMPORARY") {
            self.tokens.remove(self.at + 1);
        }
        replaces
    }

    fn if_exists(&mut self) -> bool {
        let found = self.keyword("IF NOT EXISTS") || self.keyword("IF EXISTS");
        let _ = self.keyword("IF EMPTY");
        found
    }

    fn on_cluster(&mut self) -> Option<String> {
        if !self.keyword("ON CLUSTER") {
            return None;
        }
        let (_, span) = self.tokens.get(self.at)?;
        self.at += 1;
        Some(unquote(span.of(self.sql)))
    }

    fn name(&mut self) -> Option<ObjectName> {
        let first = self.part()?;
        let second = (self.kind(0) == Some(TokenKind::Dot)).then(|| {
            self.at += 1;
            self.part()
        });
        let text = |span: Span| unquote(span.of(self.sql));
        Some(match second.flatten() {
            None => ObjectName {
                database: None,
                name: text(first),
                span: first,
            },
            Some(second) => ObjectName {
                database: Some(text(first)),
                name: text(second),
                span: Span {
                    start: first.start,
                    end: second.end,
                },
            },
        })
    }

    /// A word, a quoted name, or a `{parameter:Identifier}`.
    fn part(&mut self) -> Option<Span> {
        let (kind, span) = *self.tokens.get(self.at)?;
        match kind {
            TokenKind::BareWord | TokenKind::QuotedIdentifier | TokenKind::StringLiteral => {
                self.at += 1;
                Some(span)
            }
            TokenKind::OpeningCurlyBrace => {
                let rest = self.tokens.get(self.at..)?;
                let length = rest
                    .iter()
                    .position(|(kind, _)| *kind == TokenKind::ClosingCurlyBrace)?;
                let end = rest.get(length)?.1.end;
                self.at += length + 1;
                Some(Span {
                    start: span.start,
                    end,
                })
            }
            _ => None,
        }
    }

    /// To behind the next comma outside of brackets; false at the end.
    fn skip_to_comma(&mut self) -> bool {
        let mut depth = 0_usize;
        while let Some((kind, _)) = self.tokens.get(self.at) {
            self.at += 1;
            match kind {
                TokenKind::OpeningRoundBracket | TokenKind::OpeningSquareBracket => depth += 1,
                TokenKind::ClosingRoundBracket | TokenKind::ClosingSquareBracket => {
                    depth = depth.saturating_sub(1);
                }
                TokenKind::Comma if depth == 0 => return true,
                _ => {}
            }
        }
        false
    }
}

/// A name without its quotes and escapes.
fn unquote(text: &str) -> String {
    for (open, close) in [("`", "`"), ("\"", "\""), ("“", "”"), ("'", "'"), ("‘", "’")] {
        if let Some(inner) = text
            .strip_prefix(open)
            .and_then(|rest| rest.strip_suffix(close))
        {
            let mut name = String::with_capacity(inner.len());
            let mut chars = inner.chars().peekable();
            while let Some(c) = chars.next() {
                if c == '\\' {
                    name.extend(chars.next());
                } else {
                    name.push(c);
                    // A doubled quote is one.
                    if open == close && open.starts_with(c) {
                        let _ = chars.next_if_eq(&c);
                    }
                }
            }
            return name;
        }
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    #[test]
    fn heads_are_read_from_their_words() {
        let statements = [
            "CREATE DATABASE IF NOT EXISTS d ON CLUSTER c ENGINE = Atomic",
            "create table if not exists `a``b`.\"c d\" (x UInt8) engine = Memory",
            "CREATE OR REPLACE TABLE t (x UInt8) ENGINE = Memory",
            "CREATE TEMPORARY TABLE t (x UInt8)",
            "CREATE MATERIALIZED VIEW db.mv TO db.t AS SELECT 1",
            "CREATE MATERIALIZED VIEW mv REFRESH EVERY 1 HOUR TO t (a UInt8) AS SELECT 1 AS a",
            "CREATE MATERIALIZED VIEW mv ENGINE = Log AS SELECT x AS to FROM t",
            "CREATE VIEW v AS SELECT 1",
            "CREATE USER u IDENTIFIED BY 'x'",
            "CREATE FUNCTION f AS x -> x",
            "ATTACH TABLE t",
            "DROP TABLE IF EXISTS a, b.c ON CLUSTER 'c' SYNC",
            "DROP VIEW v",
            "DROP USER u",
            "TRUNCATE t",
            "RENAME TABLE a TO b, c.d TO e ON CLUSTER x",
            "EXCHANGE TABLES a AND b",
            "ALTER TABLE t ADD COLUMN a UInt8 DEFAULT f(1, 2), DROP COLUMN b",
            "ALTER TABLE t UPDATE a = 1, b = 2 WHERE 1",
            "ALTER TABLE t (ADD COLUMN a UInt8), (MODIFY ORDER BY (a))",
            "ALTER TABLE t SOMETHING NEW",
            "ALTER TABLE mv MODIFY QUERY SELECT 1, 2",
            "ALTER TABLE t MOVE PARTITION ID 'x' TO TABLE u",
            "ALTER USER u RENAME TO v",
            "INSERT INTO TABLE db.t (a) VALUES (1)",
            "INSERT INTO t SELECT 1",
            "INSERT INTO FUNCTION null('a UInt8') SELECT 1",
            "DELETE FROM t WHERE 1",
            "UPDATE t SET a = 1 WHERE 1",
            "OPTIMIZE TABLE t FINAL",
            "SYSTEM STOP MERGES t",
            "(SELECT 1) UNION ALL (SELECT 2)",
            "WITH 1 AS x SELECT x",
            "DROP TABLE {t:Identifier}",
            "FROB t",
            "",
        ];
        let mut text = String::new();
        for statement in statements {
            let header = header(statement);
            let objects: Vec<String> = header.objects.iter().map(ToString::to_string).collect();
            let _ = write!(
                text,
                "{statement}\n    {} · {:?} · {} · [{}]",
                header.label,
                header.kind,
                header.class.label(),
                objects.join(", ")
            );
            if let Some(target) = header.target {
                let _ = write!(text, " · to {target}");
            }
            if let Some(cluster) = header.on_cluster {
                let _ = write!(text, " · on {cluster}");
            }
            let _ = writeln!(
                text,
                "{}",
                if header.repeatable {
                    " · repeatable"
                } else {
                    ""
                }
            );
        }
        insta::assert_snapshot!(text);
    }
}
