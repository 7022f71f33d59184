//! The head of a statement → its kind, what it does to what is there, and the objects it names.
//!
//! Read from the tokens alone, so that nothing ClickHouse accepts is refused here. What is not known is [`Kind::Other`], and a class is
//! rather too grave than too light.

use crate::sql::lexer::{TokenKind, tokens};
use crate::sql::words::{ALTERS, HEADS};
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
    /// Whether it is made with `OR REPLACE`.
    pub replaces: bool,
    /// Whether `IF [NOT] EXISTS` or `OR REPLACE` makes it harmless to repeat.
    pub repeatable: bool,
    /// The commands of an ALTER TABLE, in order.
    pub commands: Vec<Command>,
}

/// One command of an ALTER TABLE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The words that say what it is, as in `DROP COLUMN`; empty if they are not known.
    pub words: &'static str,
    /// The name behind them, unquoted: a column's, an index's, a partition's.
    pub name: Option<String>,
    /// All that stands behind the words.
    pub rest: Span,
}

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
        replaces: false,
        commands: Vec::new(),
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
    header.replaces = header.repeatable;
    if header.replaces && *kind == Kind::CreateTable {
        // The old table goes, with its data.
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
        if header.replaces {
            // Its rows go with it.
            header.class = Class::Destroys;
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
    loop {
        while reader.at_bracket() {
            reader.skip(1);
        }
        let known = ALTERS.iter().find(|(words, _)| reader.starts_with(words));
        let words = known.map_or("", |(words, _)| words);
        header.class = header
            .class
            .max(known.map_or(Class::Destroys, |(_, class)| *class));
        if !words.is_empty() {
            reader.skip(words.split(' ').count());
        }
        let start = reader.position();
        let begun = reader.at;
        let _ = reader.if_exists();
        let name = reader.name().map(|name| name.to_string());
        reader.at = begun;
        // Behind a comma stands a command, or the next of `a = 1, b = 2`; a query goes on to the end.
        let ended = loop {
            if words == "MODIFY QUERY" {
                reader.at = reader.tokens.len();
                break true;
            }
            if !reader.skip_to_comma() {
                break true;
            }
            let behind = reader.at;
            while reader.at_bracket() {
                reader.skip(1);
            }
            if ALTERS
                .iter()
                .any(|(words, _)| reader.starts_with(first_word(words)))
            {
                reader.at = behind;
                break false;
            }
        };
        let end = reader.end_before(usize::from(!ended));
        header.commands.push(Command {
            words,
            name,
            rest: Span {
                start: start.min(end),
                end,
            },
        });
        if ended {
            break;
        }
    }
    let mut labels: Vec<&str> = header
        .commands
        .iter()
        .map(|command| command.words)
        .filter(|words| !words.is_empty())
        .collect();
    labels.dedup();
    if !labels.is_empty() {
        header.label = format!("{} … {}", header.label, labels.join(", "));
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

    /// The byte at which the next token begins.
    fn position(&self) -> usize {
        self.tokens
            .get(self.at)
            .map_or(self.sql.len(), |(_, span)| span.start)
    }

    /// The byte behind the token before the next, or behind the one `back` before that.
    fn end_before(&self, back: usize) -> usize {
        self.at
            .checked_sub(1 + back)
            .and_then(|index| self.tokens.get(index))
            .map_or(self.sql.len(), |(_, span)| span.end)
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
