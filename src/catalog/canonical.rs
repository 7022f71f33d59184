//! The one text of a definition: no database, no UUID, no replica path. Pure; from tokens, so that nothing ClickHouse writes is refused.

use crate::catalog::order::takes_a_name;
use crate::sql::{TokenKind, tokens};

/// What becomes of an engine that a server made a replicated one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Masking {
    /// `ReplicatedMergeTree('/path', '{replica}')` → `ReplicatedMergeTree`: for people, and to replay on a server of that kind.
    Paths,
    /// `ReplicatedMergeTree(…)`, `SharedMergeTree(…)` → `MergeTree`: to compare with files, which leave that to the target.
    Replication,
}

/// A significant token.
#[derive(Clone, Copy)]
pub(crate) struct Word<'a> {
    pub(crate) kind: TokenKind,
    pub(crate) text: &'a str,
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// How many brackets are open before it; a bracket counts to its outside.
    pub(crate) depth: usize,
}

impl Word<'_> {
    pub(crate) fn is(&self, keyword: &str) -> bool {
        self.kind == TokenKind::BareWord && self.text.eq_ignore_ascii_case(keyword)
    }

    /// The name it may be, without quotes.
    pub(crate) fn name(&self) -> Option<String> {
        match self.kind {
            TokenKind::BareWord => Some(self.text.to_owned()),
            TokenKind::QuotedIdentifier => Some(unquoted(self.text)),
            _ => None,
        }
    }

    pub(crate) fn string(&self) -> Option<String> {
        (self.kind == TokenKind::StringLiteral).then(|| unquoted(self.text))
    }
}

/// The significant tokens with their depth.
pub(crate) fn words(sql: &str) -> Vec<Word<'_>> {
    let mut depth = 0_usize;
    tokens(sql)
        .filter(|token| token.kind.is_significant())
        .map(|token| {
            let closes = matches!(
                token.kind,
                TokenKind::ClosingRoundBracket | TokenKind::ClosingSquareBracket
            );
            if closes {
                depth = depth.saturating_sub(1);
            }
            let word = Word {
                kind: token.kind,
                text: token.span.of(sql),
                start: token.span.start,
                end: token.span.end,
                depth,
            };
            if matches!(
                token.kind,
                TokenKind::OpeningRoundBracket | TokenKind::OpeningSquareBracket
            ) {
                depth += 1;
            }
            word
        })
        .collect()
}

/// A quoted name or string without quotes and escapes.
pub(crate) fn unquoted(text: &str) -> String {
    let mut chars = text.chars();
    let quote = chars.next();
    chars.next_back();
    let mut name = String::with_capacity(text.len());
    let mut chars = chars.peekable();
    while let Some(c) = chars.next() {
        if c == '\\' {
            match chars.next() {
                Some('n') => name.push('\n'),
                Some('t') => name.push('\t'),
                Some('r') => name.push('\r'),
                Some('0') => name.push('\0'),
                Some('b') => name.push('\u{8}'),
                Some('f') => name.push('\u{c}'),
                Some(other) => name.push(other),
                None => {}
            }
        } else {
            name.push(c);
            if Some(c) == quote {
                let _ = chars.next_if_eq(&c);
            }
        }
    }
    name
}

/// Cuts and replacements in a text.
struct Edits<'a> {
    sql: &'a str,
    made: Vec<(usize, usize, String)>,
}

impl Edits<'_> {
    fn cut(&mut self, start: usize, end: usize) {
        self.replace(start, end, "");
    }

    fn replace(&mut self, start: usize, end: usize, with: &str) {
        self.made.push((start, end, with.to_owned()));
    }

    fn done(mut self) -> String {
        self.made.sort();
        let mut text = String::with_capacity(self.sql.len());
        let mut at = 0;
        for (start, end, with) in self.made {
            if start < at {
                continue;
            }
            text.push_str(self.sql.get(at..start).unwrap_or_default());
            text.push_str(&with);
            at = end;
        }
        text.push_str(self.sql.get(at..).unwrap_or_default());
        text
    }
}

/// A definition as the server writes it, formatted or not → its canonical text. Doing it twice changes nothing.
#[must_use]
pub fn canonical(sql: &str, database: &str, masking: Masking) -> String {
    let words = words(sql);
    let mut edits = Edits {
        sql,
        made: Vec::new(),
    };
    // The body of a view begins at the first AS outside of brackets; a head's words mean something else behind it.
    let body = words
        .iter()
        .position(|word| word.depth == 0 && word.is("AS"))
        .unwrap_or(words.len());
    for (index, word) in words.iter().enumerate() {
        let ahead = |n: usize| words.get(index + n);
        let before = |n: usize| index.checked_sub(n).and_then(|at| words.get(at));
        let qualifies = word.name().as_deref() == Some(database)
            && before(1).is_none_or(|word| word.kind != TokenKind::Dot)
            && ahead(1).is_some_and(|dot| dot.kind == TokenKind::Dot);
        if qualifies && let Some(name) = ahead(2).filter(|name| name.name().is_some()) {
            edits.cut(word.start, name.start);
        }
        if let Some(string) = word.string() {
            // dictGet('db.dictionary', …), joinGet('db.table', …)
            let called = before(2).is_some_and(|function| takes_a_name(function.text));
            let opened = before(1).is_some_and(|word| word.kind == TokenKind::OpeningRoundBracket);
            let inner = string
                .strip_prefix(database)
                .and_then(|rest| rest.strip_prefix('.'));
            if called
                && opened
                && let Some(inner) = inner
            {
                edits.replace(word.start, word.end, &crate::clickhouse::literal(inner));
            }
        }
        if index >= body {
            continue;
        }
        if word.is("EPHEMERAL")
            && let Some(function) = ahead(1).filter(|it| it.is("defaultValueOfTypeName"))
            && let Some(close) = ahead(4).filter(|it| it.depth == function.depth)
        {
            // What ALTER TABLE writes for an EPHEMERAL without an expression, and CREATE TABLE does not.
            edits.cut(word.end, close.end);
        }
        if word.is("UUID")
            && word.depth == 0
            && ahead(1).is_some_and(|uuid| uuid.string().is_some())
        {
            // `UUID '…'`, `TO INNER UUID '…'`
            let inner = before(1).is_some_and(|word| word.is("INNER"))
                && before(2).is_some_and(|word| word.is("TO"));
            let from = if inner { 3 } else { 1 };
            let start = before(from).map_or(0, |word| word.end);
            let end = ahead(1).map_or(word.end, |uuid| uuid.end);
            edits.cut(start, end);
        }
        if word.is("DEFINER")
            && word.depth == 0
            && ahead(1).is_some_and(|equals| equals.kind == TokenKind::Equals)
            && let Some(next) = ahead(3)
        {
            // Who made a view is no part of what it is, and may not exist elsewhere.
            edits.cut(word.start, next.start);
        }
        if word.is("ENGINE") && word.depth == 0 {
            engine(&words, index, database, masking, &mut edits);
        }
        if word.is("DB")
            && before(2).is_some_and(|source| source.is("CLICKHOUSE") || source.depth >= 1)
            && word.depth == 2
            && ahead(1).and_then(Word::string).as_deref() == Some(database)
            && within_source(&words, index)
        {
            // A dictionary's source is in its own database unless it says otherwise.
            let start = before(1).map_or(word.start, |word| word.end);
            let end = ahead(1).map_or(word.end, |value| value.end);
            let first = before(1).is_some_and(|word| word.kind == TokenKind::OpeningRoundBracket);
            match (first, ahead(2)) {
                (true, Some(next)) => edits.cut(word.start, next.start),
                _ => edits.cut(start, end),
            }
        }
    }
    if let Some((start, end, sorted)) = sorted_settings(sql, words.get(..body).unwrap_or_default())
    {
        edits.replace(start, end, &sorted);
    }
    if let Some((start, end)) = primary_key_of_sorting_key(words.get(..body).unwrap_or_default()) {
        edits.cut(start, end);
    }
    let text = edits.done();
    text.lines()
        .map(str::trim_end)
        .collect::<Vec<_>>()
        .join("\n")
        .trim()
        .to_owned()
}

/// The settings of an engine by name, and where they stand; their order means nothing, and ALTER TABLE adds new ones at the end.
fn sorted_settings(sql: &str, words: &[Word<'_>]) -> Option<(usize, usize, String)> {
    let engine = words
        .iter()
        .position(|word| word.depth == 0 && word.is("ENGINE"))?;
    let from = words
        .iter()
        .skip(engine)
        .position(|word| word.depth == 0 && word.is("SETTINGS"))?
        + engine
        + 1;
    let ends = |word: &&Word<'_>| {
        word.depth == 0 && ["COMMENT", "SQL", "DEFINER"].iter().any(|it| word.is(it))
    };
    let list: Vec<Word<'_>> = words
        .iter()
        .skip(from)
        .take_while(|word| !ends(word))
        .copied()
        .collect();
    let mut settings: Vec<&str> = list
        .split(|word| word.depth == 0 && word.kind == TokenKind::Comma)
        .map(|it| sql.get(it.first()?.start..it.last()?.end))
        .collect::<Option<_>>()?;
    if settings.is_sorted() {
        return None;
    }
    settings.sort_unstable();
    Some((list.first()?.start, list.last()?.end, settings.join(", ")))
}

/// A PRIMARY KEY that says what the ORDER BY behind it says, which is what a table has without it; with the space behind it.
fn primary_key_of_sorting_key(words: &[Word<'_>]) -> Option<(usize, usize)> {
    let clause = |first: &str, second: &str| {
        words.windows(2).position(|pair| {
            matches!(pair, [a, b] if a.depth == 0 && a.is(first) && b.depth == 0 && b.is(second))
        })
    };
    let (primary, order) = (clause("PRIMARY", "KEY")?, clause("ORDER", "BY")?);
    let end = words
        .iter()
        .skip(order + 3)
        .position(|word| {
            word.depth == 0
                && [
                    "SAMPLE",
                    "TTL",
                    "SETTINGS",
                    "COMMENT",
                    "PARTITION",
                    "SQL",
                    "DEFINER",
                ]
                .iter()
                .any(|keyword| word.is(keyword))
        })
        .map_or(words.len(), |at| order + 3 + at);
    let texts = |range: std::ops::Range<usize>| -> Option<Vec<&str>> {
        Some(words.get(range)?.iter().map(|word| word.text).collect())
    };
    let same = texts(primary + 2..order)? == texts(order + 2..end)?;
    same.then_some((words.get(primary)?.start, words.get(order)?.start))
}

/// Whether the tokens before say `SOURCE(CLICKHOUSE(`.
fn within_source(words: &[Word<'_>], index: usize) -> bool {
    let outer = words
        .iter()
        .take(index)
        .rposition(|word| word.is("CLICKHOUSE") && word.depth == 1);
    outer.is_some_and(|at| at >= 2 && words.get(at - 2).is_some_and(|word| word.is("SOURCE")))
}

/// The engine's name and arguments behind `ENGINE =`.
fn engine(
    words: &[Word<'_>],
    index: usize,
    database: &str,
    masking: Masking,
    edits: &mut Edits<'_>,
) {
    let Some(name) = words.get(index + 2) else {
        return;
    };
    let Some(engine) = name.name() else { return };
    let opened = words
        .get(index + 3)
        .filter(|word| word.kind == TokenKind::OpeningRoundBracket);
    let plain = engine
        .strip_prefix("Replicated")
        .or_else(|| engine.strip_prefix("Shared"))
        .filter(|plain| plain.ends_with("MergeTree"));
    if let Some(plain) = plain {
        if masking == Masking::Replication {
            edits.replace(name.start, name.end, plain);
        }
        let path = words.get(index + 4).filter(|word| word.string().is_some());
        let replica = words.get(index + 6).filter(|word| word.string().is_some());
        if let (Some(open), Some(_), Some(replica)) = (opened, path, replica) {
            match words.get(index + 7) {
                Some(comma) if comma.kind == TokenKind::Comma => {
                    let next = words.get(index + 8).map_or(comma.end, |word| word.start);
                    edits.cut(open.end, next);
                }
                Some(close) => edits.cut(open.start, close.end),
                None => edits.cut(open.start, replica.end),
            }
        }
        return;
    }
    // Engines that are told the database of the tables they read.
    let argument = match engine.as_str() {
        "Buffer" | "Merge" => 4,
        "Distributed" => 6,
        _ => return,
    };
    if let (Some(_), Some(word)) = (opened, words.get(index + argument))
        && word.string().as_deref() == Some(database)
    {
        edits.replace(word.start, word.end, "currentDatabase()");
    }
}

/// The bytes from ENGINE to before the COMMENT, of a table.
#[must_use]
pub fn engine_clause(sql: &str) -> Option<std::ops::Range<usize>> {
    let words = words(sql);
    let from = words
        .iter()
        .position(|word| word.depth == 0 && word.is("ENGINE"))?;
    let end = words
        .iter()
        .skip(from)
        .find(|word| word.depth == 0 && word.is("COMMENT"))
        .map_or(sql.trim_end().len(), |word| word.start);
    let start = words.get(from)?.start;
    Some(start..sql.get(..end)?.trim_end().len())
}

/// A text with what the other one hides (`'[HIDDEN]'`) hidden too; `None` if the two do not run in parallel.
#[must_use]
pub fn reveals_as(text: &str, hidden: &str) -> Option<String> {
    let (ours, theirs) = (words(text), words(hidden));
    if !theirs.iter().any(|word| word.text == "'[HIDDEN]'") {
        return Some(text.to_owned());
    }
    if ours.len() != theirs.len() {
        return None;
    }
    let mut edits = Edits {
        sql: text,
        made: Vec::new(),
    };
    for (our, their) in ours.iter().zip(&theirs) {
        if their.text == "'[HIDDEN]'" {
            edits.replace(our.start, our.end, their.text);
        }
    }
    Some(edits.done())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(sql: &str) -> String {
        canonical(sql, "db", Masking::Replication)
    }

    #[test]
    fn a_database_is_taken_out_where_it_qualifies() {
        assert_eq!(
            plain("CREATE VIEW db.v AS SELECT db, x.db.y, 'db.t' FROM `db`.`a.b` AS t"),
            "CREATE VIEW v AS SELECT db, x.db.y, 'db.t' FROM `a.b` AS t"
        );
        assert_eq!(
            plain("CREATE VIEW v AS SELECT dictGet('db.d', 'x', 1), dictGet('other.d', 'x', 1)"),
            "CREATE VIEW v AS SELECT dictGet('d', 'x', 1), dictGet('other.d', 'x', 1)"
        );
        assert_eq!(
            plain(
                "CREATE DICTIONARY db.d (a UInt64) PRIMARY KEY a SOURCE(CLICKHOUSE(TABLE 't' DB 'db' USER 'u')) LAYOUT(FLAT())"
            ),
            "CREATE DICTIONARY d (a UInt64) PRIMARY KEY a SOURCE(CLICKHOUSE(TABLE 't' USER 'u')) LAYOUT(FLAT())"
        );
        assert_eq!(
            plain("CREATE TABLE b (a UInt64) ENGINE = Buffer('db', 't', 1)"),
            "CREATE TABLE b (a UInt64) ENGINE = Buffer(currentDatabase(), 't', 1)"
        );
    }

    #[test]
    fn a_primary_key_that_is_the_sorting_key_is_left_out() {
        assert_eq!(
            plain(
                "CREATE TABLE t (a UInt64)\nENGINE = MergeTree\nPRIMARY KEY (a, b)\nORDER BY (a, b)\nTTL x"
            ),
            "CREATE TABLE t (a UInt64)\nENGINE = MergeTree\nORDER BY (a, b)\nTTL x"
        );
        for kept in [
            "CREATE TABLE t (a UInt64) ENGINE = MergeTree PRIMARY KEY a ORDER BY (a, b)",
            "CREATE DICTIONARY d (a UInt64) PRIMARY KEY a SOURCE(NULL()) LAYOUT(FLAT())",
        ] {
            assert_eq!(plain(kept), kept);
        }
    }

    #[test]
    fn settings_stand_in_one_order() {
        assert_eq!(
            plain(
                "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a SETTINGS b = 'x, y', a = 1, disk = disk(z = 1, a = 2) COMMENT 'SETTINGS'"
            ),
            "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a SETTINGS a = 1, b = 'x, y', disk = disk(z = 1, a = 2) COMMENT 'SETTINGS'"
        );
    }

    #[test]
    fn an_expression_that_the_engine_adds_is_left_out() {
        assert_eq!(
            plain(
                "CREATE TABLE t (a String EPHEMERAL defaultValueOfTypeName('String') COMMENT 'x', b String EPHEMERAL 'y') ENGINE = Log"
            ),
            "CREATE TABLE t (a String EPHEMERAL COMMENT 'x', b String EPHEMERAL 'y') ENGINE = Log"
        );
    }

    #[test]
    fn uuids_paths_and_definers_are_masked() {
        let replicated = "CREATE TABLE db.t UUID 'x' (a UInt64) ENGINE = ReplicatedReplacingMergeTree('/p/{uuid}', '{replica}', a) ORDER BY a";
        assert_eq!(
            plain(replicated),
            "CREATE TABLE t (a UInt64) ENGINE = ReplacingMergeTree(a) ORDER BY a"
        );
        assert_eq!(
            canonical(replicated, "db", Masking::Paths),
            "CREATE TABLE t (a UInt64) ENGINE = ReplicatedReplacingMergeTree(a) ORDER BY a"
        );
        assert_eq!(
            plain("CREATE TABLE t (a UInt64) ENGINE = ReplicatedMergeTree('/p', 'r') ORDER BY a"),
            "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a"
        );
        assert_eq!(
            plain(
                "CREATE MATERIALIZED VIEW db.m UUID 'x' TO INNER UUID 'y' (a UInt64) ENGINE = Log DEFINER = `a b` SQL SECURITY DEFINER AS SELECT 1"
            ),
            "CREATE MATERIALIZED VIEW m (a UInt64) ENGINE = Log SQL SECURITY DEFINER AS SELECT 1"
        );
    }

    #[test]
    fn what_is_hidden_stays_hidden() {
        assert_eq!(
            reveals_as(
                "ENGINE = S3('u', 'key', 'secret')",
                "ENGINE = S3('u', 'key', '[HIDDEN]')"
            )
            .as_deref(),
            Some("ENGINE = S3('u', 'key', '[HIDDEN]')")
        );
        assert_eq!(
            reveals_as("ENGINE = S3('s')", "ENGINE = S3('u', '[HIDDEN]')"),
            None
        );
    }
}
