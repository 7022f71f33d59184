//! The parts of a table or a view, from its canonical text. Knows the engine's layout: a clause begins a line, a column ends at a comma.

use std::collections::BTreeMap;

use crate::catalog::{Word, words};
use crate::sql::TokenKind;

/// A table.
#[derive(Clone, Debug)]
pub(super) struct Table {
    /// The name as the engine quotes it.
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
    pub(super) indices: Vec<Item>,
    pub(super) constraints: Vec<Item>,
    pub(super) projections: Vec<Item>,
    /// What stands behind `ENGINE =`.
    pub(super) engine: String,
    /// `PARTITION BY`, `PRIMARY KEY`, `ORDER BY`, `SAMPLE BY`, `TTL`, `COMMENT`, `AS`: what stands behind each.
    pub(super) clauses: BTreeMap<&'static str, String>,
    pub(super) settings: BTreeMap<String, String>,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    /// The name as the engine quotes it.
    pub(super) quoted: String,
    pub(super) r#type: String,
    /// `DEFAULT`, `MATERIALIZED`, `ALIAS` or `EPHEMERAL`, and the expression.
    pub(super) default: Option<(&'static str, String)>,
    /// `COMMENT`, `CODEC`, `STATISTICS`, `TTL`, `SETTINGS`, `COLLATE`: what stands behind each.
    pub(super) clauses: BTreeMap<&'static str, String>,
    /// All of it.
    pub(super) text: String,
}

impl Column {
    /// Whether its values lie on disk.
    pub(super) fn is_stored(&self) -> bool {
        !matches!(self.default, Some(("ALIAS" | "EPHEMERAL", _)))
    }

    pub(super) fn clause(&self, name: &str) -> Option<&str> {
        self.clauses.get(name).map(String::as_str)
    }
}

/// An index, a constraint, a projection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// The name as the engine quotes it.
    pub(super) quoted: String,
    /// All of it, with the word that it begins with.
    pub(super) text: String,
}

impl Item {
    /// Whether it is the index, the constraint, the projection of this name.
    pub(super) fn is(&self, word: &str, quoted: &str) -> bool {
        self.quoted == quoted && self.text.starts_with(word)
    }
}

/// A view.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// The name as the engine quotes it.
    pub(super) name: String,
    /// What stands behind `REFRESH`.
    pub(super) refresh: Option<String>,
    /// The table it writes to, as the engine quotes it.
    pub(super) target: Option<String>,
    /// The list of columns, with its brackets.
    pub(super) columns: String,
    /// Engine, keys and settings of a table of its own.
    pub(super) storage: String,
    /// `SQL SECURITY …`
    pub(super) security: String,
    /// A string literal.
    pub(super) comment: Option<String>,
    pub(super) query: String,
}

const DEFAULTS: [&str; 4] = ["DEFAULT", "MATERIALIZED", "ALIAS", "EPHEMERAL"];
const COLUMN_CLAUSES: [&str; 6] = [
    "COMMENT",
    "CODEC",
    "STATISTICS",
    "TTL",
    "COLLATE",
    "SETTINGS",
];
const TABLE_CLAUSES: [&str; 9] = [
    "ENGINE",
    "PARTITION BY",
    "PRIMARY KEY",
    "ORDER BY",
    "SAMPLE BY",
    "TTL",
    "SETTINGS",
    "COMMENT",
    "AS",
];

impl Table {
    /// Reads a canonical `CREATE TABLE`; `None` if it is laid out otherwise.
    pub(super) fn read(text: &str) -> Option<Self> {
        let words = words(text);
        let [create, table, name, open, ..] = words.as_slice() else {
            return None;
        };
        if !create.is("CREATE") || !table.is("TABLE") || open.kind != TokenKind::OpeningRoundBracket
        {
            return None;
        }
        let close = closing(&words, 3)?;
        let mut read = Self {
            name: name.text.to_owned(),
            columns: Vec::new(),
            indices: Vec::new(),
            constraints: Vec::new(),
            projections: Vec::new(),
            engine: String::new(),
            clauses: BTreeMap::new(),
            settings: BTreeMap::new(),
        };
        for element in list(words.get(4..close)?, 1) {
            read.element(text, element)?;
        }
        for (clause, span) in clauses(text, words.get(close + 1..)?)? {
            match clause {
                "ENGINE" => span.strip_prefix('=')?.trim().clone_into(&mut read.engine),
                "SETTINGS" => read.settings = settings(&span)?,
                _ => {
                    read.clauses.insert(clause, span);
                }
            }
        }
        Some(read)
    }

    fn element(&mut self, text: &str, element: &[Word<'_>]) -> Option<()> {
        let (first, last) = (element.first()?, element.last()?);
        let all = text.get(first.start..last.end)?.to_owned();
        let list = match first.text {
            "INDEX" => &mut self.indices,
            "CONSTRAINT" => &mut self.constraints,
            "PROJECTION" => &mut self.projections,
            _ => {
                self.columns.push(column(text, element)?);
                return Some(());
            }
        };
        list.push(Item {
            quoted: element.get(1)?.text.to_owned(),
            text: all,
        });
        Some(())
    }

    pub(super) fn clause(&self, name: &str) -> Option<&str> {
        self.clauses.get(name).map(String::as_str)
    }

    pub(super) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The engine's name without its arguments.
    pub(super) fn engine_name(&self) -> String {
        words(&self.engine)
            .first()
            .and_then(Word::name)
            .unwrap_or_default()
    }

    /// The primary key: the sorting key if it is not said.
    pub(super) fn primary_key(&self) -> Vec<String> {
        key(self.clause("PRIMARY KEY").or(self.clause("ORDER BY")))
    }

    pub(super) fn sorting_key(&self) -> Vec<String> {
        key(self.clause("ORDER BY").or(self.clause("PRIMARY KEY")))
    }
}

/// The elements of `(a, b)`, of `a`, of `tuple()`.
fn key(text: Option<&str>) -> Vec<String> {
    let text = text.unwrap_or_default().trim();
    let words = words(text);
    let inner = match words.as_slice() {
        [] => return Vec::new(),
        [tuple, open, close]
            if tuple.is("tuple")
                && open.kind == TokenKind::OpeningRoundBracket
                && close.kind == TokenKind::ClosingRoundBracket =>
        {
            return Vec::new();
        }
        [open, ..]
            if open.kind == TokenKind::OpeningRoundBracket
                && closing(&words, 0) == Some(words.len() - 1) =>
        {
            words.get(1..words.len() - 1).unwrap_or_default()
        }
        _ => return vec![text.to_owned()],
    };
    let elements = list(inner, 1);
    elements
        .into_iter()
        .filter_map(|element| text.get(element.first()?.start..element.last()?.end))
        .map(str::to_owned)
        .collect()
}

/// Where the bracket that is opened at an index is closed.
fn closing(words: &[Word<'_>], open: usize) -> Option<usize> {
    let depth = words.get(open)?.depth;
    words
        .iter()
        .skip(open + 1)
        .position(|word| word.depth == depth && word.kind == TokenKind::ClosingRoundBracket)
        .map(|at| open + 1 + at)
}

/// What commas at a depth separate.
fn list<'a, 'b>(words: &'b [Word<'a>], depth: usize) -> Vec<&'b [Word<'a>]> {
    words
        .split(|word| word.depth == depth && word.kind == TokenKind::Comma)
        .filter(|element| !element.is_empty())
        .collect()
}

/// `a = 1, b = 'x'`
pub(super) fn settings(text: &str) -> Option<BTreeMap<String, String>> {
    let words = words(text);
    list(&words, 0)
        .into_iter()
        .map(|setting| {
            let [name, equals, first, ..] = setting else {
                return None;
            };
            let value = text.get(first.start..setting.last()?.end)?;
            (equals.kind == TokenKind::Equals).then(|| (name.text.to_owned(), value.to_owned()))
        })
        .collect()
}

/// The clauses behind a list of columns; each begins a line.
fn clauses(text: &str, words: &[Word<'_>]) -> Option<Vec<(&'static str, String)>> {
    let mut starts: Vec<(usize, &'static str, usize)> = Vec::new();
    for (index, word) in words.iter().enumerate() {
        let begins_line = text.get(..word.start)?.ends_with('\n');
        if word.depth > 0 || !begins_line {
            continue;
        }
        let known = TABLE_CLAUSES.iter().find(|clause| {
            let mut parts = clause.split(' ');
            parts.next().is_some_and(|first| word.is(first))
                && parts
                    .next()
                    .is_none_or(|second| words.get(index + 1).is_some_and(|next| next.is(second)))
        });
        if let Some(clause) = known {
            let behind = clause.split(' ').count() - 1;
            starts.push((word.start, clause, words.get(index + behind)?.end));
        }
    }
    let first = words.first().map_or(text.len(), |word| word.start);
    if starts.first().is_some_and(|(start, ..)| *start != first) {
        return None;
    }
    let ends = starts
        .iter()
        .skip(1)
        .map(|(start, ..)| *start)
        .chain([text.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|((_, clause, from), end)| Some((*clause, text.get(*from..end)?.trim().to_owned())))
        .collect()
}

/// `name Type [DEFAULT …] [COMMENT …] [CODEC(…)] …`
fn column(text: &str, words: &[Word<'_>]) -> Option<Column> {
    let name = words.first()?;
    let mut starts: Vec<(&'static str, usize)> = Vec::new();
    for (index, word) in words.iter().enumerate().skip(1) {
        let (before, after) = (words.get(index - 1)?, words.get(index + 1));
        if word.depth != 1 || word.kind != TokenKind::BareWord {
            continue;
        }
        let of = |known: &[&'static str]| known.iter().find(|known| word.is(known)).copied();
        if let Some(keyword) = of(&DEFAULTS)
            && starts.is_empty()
        {
            starts.push((keyword, index));
        } else if let Some(keyword) = of(&COLUMN_CLAUSES)
            && ends_expression(
                before,
                starts.last().is_some_and(|last| last.1 == index - 1),
            )
            && begins_clause(keyword, after)
        {
            starts.push((keyword, index));
        }
    }
    let between = |from: usize, to: usize| {
        let (first, last) = (words.get(from)?, words.get(to - 1)?);
        (from < to).then(|| text.get(first.start..last.end).map(str::to_owned))?
    };
    let type_end = starts.first().map_or(words.len(), |(_, index)| *index);
    let mut read = Column {
        name: name.name()?,
        quoted: name.text.to_owned(),
        r#type: between(1, type_end).unwrap_or_default(),
        default: None,
        clauses: BTreeMap::new(),
        text: text.get(name.start..words.last()?.end)?.to_owned(),
    };
    let ends = starts
        .iter()
        .skip(1)
        .map(|(_, index)| *index)
        .chain([words.len()]);
    for ((keyword, index), end) in starts.iter().zip(ends) {
        let value = between(index + 1, end).unwrap_or_default();
        if DEFAULTS.contains(keyword) {
            read.default = Some((keyword, value));
        } else {
            read.clauses.insert(keyword, value);
        }
    }
    Some(read)
}

/// Whether a word can be the last of an expression, so that a clause may follow. `opened`: it is the word that a clause begins with.
fn ends_expression(word: &Word<'_>, opened: bool) -> bool {
    const GO_ON: [&str; 17] = [
        "AND", "OR", "NOT", "IN", "LIKE", "ILIKE", "BETWEEN", "IS", "DIV", "MOD", "CASE", "WHEN",
        "THEN", "ELSE", "INTERVAL", "AS", "DISTINCT",
    ];
    match word.kind {
        TokenKind::BareWord => {
            (!opened || word.is("EPHEMERAL")) && !GO_ON.iter().any(|keyword| word.is(keyword))
        }
        TokenKind::QuotedIdentifier
        | TokenKind::StringLiteral
        | TokenKind::Number
        | TokenKind::ClosingRoundBracket
        | TokenKind::ClosingSquareBracket
        | TokenKind::ClosingCurlyBrace => true,
        _ => false,
    }
}

/// Whether what follows is what a clause goes on with, and not an operator behind a column of that name.
fn begins_clause(keyword: &str, after: Option<&Word<'_>>) -> bool {
    let Some(after) = after else { return false };
    match keyword {
        "COMMENT" => after.kind == TokenKind::StringLiteral,
        "TTL" | "COLLATE" => matches!(
            after.kind,
            TokenKind::BareWord | TokenKind::QuotedIdentifier | TokenKind::OpeningRoundBracket
        ),
        _ => after.kind == TokenKind::OpeningRoundBracket,
    }
}

impl View {
    /// The columns that it lists.
    pub(super) fn names(&self) -> Vec<String> {
        let words = words(&self.columns);
        let elements = words
            .get(1..)
            .map(|words| list(words, 1))
            .unwrap_or_default();
        let names = elements.into_iter().filter_map(|it| it.first()?.name());
        names.collect()
    }

    /// Reads a canonical `CREATE [MATERIALIZED] VIEW`; `None` if it is laid out otherwise.
    pub(super) fn read(text: &str) -> Option<Self> {
        let words = words(text);
        let at = words.iter().position(|word| word.is("VIEW"))? + 1;
        let name = words.get(at)?;
        let lines = |word: &&Word<'_>| text.get(..word.start).is_some_and(|it| it.ends_with('\n'));
        let body = words
            .iter()
            .find(|word| word.depth == 0 && word.is("AS") && lines(word))?;
        let head: Vec<Word<'_>> = words
            .iter()
            .skip(at + 1)
            .take_while(|word| word.start < body.start)
            .copied()
            .collect();
        let open = head
            .iter()
            .position(|word| word.kind == TokenKind::OpeningRoundBracket && lines(&word));
        let close = open.and_then(|open| closing(&head, open));
        let front = head.get(
            ..open.unwrap_or_else(|| {
                head.iter()
                    .position(|word| {
                        lines(&word) && ["ENGINE", "SQL", "COMMENT"].iter().any(|it| word.is(it))
                    })
                    .unwrap_or(head.len())
            }),
        )?;
        let to = front.iter().rposition(|word| word.is("TO"));
        let refresh = front.first().filter(|word| word.is("REFRESH"));
        let slice =
            |from: usize, until: usize| text.get(from..until).map(|it| it.trim().to_owned());
        let behind = close.map_or(front.len(), |close| close + 1);
        let rest = head.get(behind..)?;
        let find = |keyword: &str| {
            rest.iter()
                .position(|word| lines(&word) && word.is(keyword))
        };
        let (security, comment) = (find("SQL"), find("COMMENT"));
        let start = |index: Option<usize>| index.and_then(|at| rest.get(at)).map(|it| it.start);
        let storage_end = start(security).or(start(comment)).unwrap_or(body.start);
        Some(Self {
            name: name.text.to_owned(),
            refresh: match refresh {
                Some(word) => {
                    let until = to.and_then(|to| front.get(to)).map(|word| word.start);
                    let until = until.or(front.last().map(|word| word.end))?;
                    Some(slice(word.end, until)?)
                }
                None => None,
            },
            target: match to {
                Some(to) => Some(front.get(to + 1)?.text.to_owned()),
                None => None,
            },
            columns: match (open, close) {
                (Some(open), Some(close)) => slice(head.get(open)?.start, head.get(close)?.end)?,
                _ => String::new(),
            },
            storage: match rest.first() {
                Some(first) if first.start < storage_end => slice(first.start, storage_end)?,
                _ => String::new(),
            },
            security: match start(security) {
                Some(from) => slice(from, start(comment).unwrap_or(body.start))?,
                None => String::new(),
            },
            comment: match comment {
                Some(at) => Some(rest.get(at + 1)?.text.to_owned()),
                None => None,
            },
            query: slice(body.end, text.len())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_named_like_keywords_are_read() {
        let table = Table::read(
            "CREATE TABLE t\n(\n    `comment` String,\n    `ttl` UInt8 DEFAULT length(comment) COMMENT 'x, COMMENT',\n    \
             `codec` UInt8 DEFAULT ttl CODEC(Delta(1), ZSTD(1)) TTL toDate(ttl) + toIntervalDay(1),\n    \
             `e` Tuple(\n        a UInt8,\n        b Enum8('a' = 1, ',' = 2)) EPHEMERAL COMMENT 'e',\n    \
             `c` UInt8 ALIAS comment = 'x' SETTINGS (a = 1),\n    `d` UInt8 DEFAULT comment COMMENT 'y',\n    \
             INDEX i ttl TYPE set(1) GRANULARITY 1,\n    CONSTRAINT k CHECK ttl > 0,\n    PROJECTION p\n    (\n        SELECT a, b\n        ORDER BY b\n    )\n)\n\
             ENGINE = ReplacingMergeTree(ttl)\nPARTITION BY comment\nPRIMARY KEY comment\nORDER BY (comment, f(a, b))\nTTL d + 1 GROUP BY a SET e = max(e)\nSETTINGS index_granularity = 1, x = 'a, b'\nCOMMENT 'ENGINE'",
        )
        .unwrap();
        let said: Vec<String> = table
            .columns
            .iter()
            .map(|it| {
                format!(
                    "{} | {} | {:?} | {:?}",
                    it.name, it.r#type, it.default, it.clauses
                )
            })
            .collect();
        insta::assert_snapshot!(said.join("\n"), @r#"
        comment | String | None | {}
        ttl | UInt8 | Some(("DEFAULT", "length(comment)")) | {"COMMENT": "'x, COMMENT'"}
        codec | UInt8 | Some(("DEFAULT", "ttl")) | {"CODEC": "(Delta(1), ZSTD(1))", "TTL": "toDate(ttl) + toIntervalDay(1)"}
        e | Tuple(
                a UInt8,
                b Enum8('a' = 1, ',' = 2)) | Some(("EPHEMERAL", "")) | {"COMMENT": "'e'"}
        c | UInt8 | Some(("ALIAS", "comment = 'x'")) | {"SETTINGS": "(a = 1)"}
        d | UInt8 | Some(("DEFAULT", "comment")) | {"COMMENT": "'y'"}
        "#);
        assert_eq!(table.sorting_key(), ["comment", "f(a, b)"]);
        assert_eq!(table.primary_key(), ["comment"]);
        assert_eq!(
            (table.engine.as_str(), table.engine_name().as_str()),
            ("ReplacingMergeTree(ttl)", "ReplacingMergeTree")
        );
        assert_eq!(table.clause("TTL"), Some("d + 1 GROUP BY a SET e = max(e)"));
        assert_eq!(table.settings.get("x").map(String::as_str), Some("'a, b'"));
        assert_eq!(
            table.projections.len() + table.indices.len() + table.constraints.len(),
            3
        );
        assert_eq!(key(Some("tuple()")), Vec::<String>::new());
        assert_eq!(key(Some("(a).1")), ["(a).1"]);
    }

    #[test]
    fn views_are_read() {
        let view = View::read(
            "CREATE MATERIALIZED VIEW m\nREFRESH EVERY 1 DAY OFFSET 2 HOUR APPEND TO g\n(\n    `a` UInt64\n)\nSQL SECURITY DEFINER\nCOMMENT 'AS'\nAS SELECT a AS b\nFROM t",
        )
        .unwrap();
        insta::assert_debug_snapshot!(view, @r#"
        View {
            name: "m",
            refresh: Some(
                "EVERY 1 DAY OFFSET 2 HOUR APPEND",
            ),
            target: Some(
                "g",
            ),
            columns: "(\n    `a` UInt64\n)",
            storage: "",
            security: "SQL SECURITY DEFINER",
            comment: Some(
                "'AS'",
            ),
            query: "SELECT a AS b\nFROM t",
        }
        "#);
        let view = View::read(
            "CREATE MATERIALIZED VIEW m\n(\n    `a` UInt64\n)\nENGINE = MergeTree\nORDER BY a\nSETTINGS index_granularity = 8192\nAS SELECT 1",
        )
        .unwrap();
        assert_eq!(
            view.storage,
            "ENGINE = MergeTree\nORDER BY a\nSETTINGS index_granularity = 8192"
        );
        assert_eq!(
            (view.target, view.refresh, view.comment),
            (None, None, None)
        );
        let view = View::read("CREATE VIEW v\nAS WITH 1 AS x\nSELECT x").unwrap();
        assert_eq!(
            (view.columns.as_str(), view.query.as_str()),
            ("", "WITH 1 AS x\nSELECT x")
        );
    }
}
