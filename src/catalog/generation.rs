//! Generations: what a rebuild made anew stands on the server under its own name and a suffix, and is known everywhere else by its name
//! alone. Names and tokens only; who makes a generation is not known here.
//!
//! `sessions_v1__housewright_2` is the second generation of `sessions_v1`. While two of them stand, the older one is what the name means:
//! the newer is being made, or waits for the older to be let go. So what is read back from a server is the same before, during and after.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::catalog::canonical::words;
use crate::catalog::order::mentions;
use crate::clickhouse::{Client, Error, Query, identifier};
use crate::sql::{Span, TokenKind, header};

/// What stands between a name and its generation.
const MARK: &str = "__housewright_";

/// The name on the server of a generation; the first has no suffix.
#[must_use]
pub fn physical(logical: &str, generation: u32) -> String {
    if generation <= 1 {
        logical.to_owned()
    } else {
        format!("{logical}{MARK}{generation}")
    }
}

/// The name of a table that a rebuild of `logical` keeps for itself.
#[must_use]
pub fn scratch(logical: &str, what: &str) -> String {
    format!("{logical}{MARK}{what}")
}

/// The logical name and the generation of an object; no generation: a rebuild keeps it for itself.
#[must_use]
pub fn parse(name: &str) -> (&str, Option<u32>) {
    match name.rsplit_once(MARK) {
        Some((logical, generation)) if !logical.is_empty() => (logical, generation.parse().ok()),
        _ => (name, Some(1)),
    }
}

/// A text with logical names in place of the server's.
#[must_use]
pub fn fold(sql: &str) -> String {
    if !sql.contains(MARK) {
        return sql.to_owned();
    }
    let names = words(sql)
        .into_iter()
        .filter_map(|word| {
            let name = word.name()?;
            let (logical, generation) = parse(&name);
            let quoted = word.kind == TokenKind::QuotedIdentifier;
            let text = if quoted {
                identifier(logical)
            } else {
                logical.to_owned()
            };
            (generation != Some(1)).then_some((
                Span {
                    start: word.start,
                    end: word.end,
                },
                text,
            ))
        })
        .collect();
    replace(sql, names)
}

/// A text with other names for some of its tables, views and their columns' qualifiers. Names in strings stay.
#[must_use]
pub fn renamed(sql: &str, names: &BTreeMap<String, String>) -> String {
    let header = header(sql);
    let ends: BTreeSet<usize> = header
        .objects
        .iter()
        .chain(&header.target)
        .map(|object| object.span.end)
        .chain(mentions(sql).into_iter().map(|(_, span)| span.end))
        .collect();
    let words = words(sql);
    let is_dot = |index: Option<usize>| {
        index
            .and_then(|index| words.get(index))
            .is_some_and(|word| word.kind == TokenKind::Dot)
    };
    let found = words
        .iter()
        .enumerate()
        .filter_map(|(index, word)| {
            let other = names.get(&word.name()?)?;
            let qualifies = is_dot(Some(index + 1)) && !is_dot(index.checked_sub(1));
            let span = Span {
                start: word.start,
                end: word.end,
            };
            (ends.contains(&word.end) || qualifies).then(|| (span, identifier(other)))
        })
        .collect();
    replace(sql, found)
}

fn replace(sql: &str, parts: Vec<(Span, String)>) -> String {
    let mut text = String::with_capacity(sql.len() + 32 * parts.len());
    let mut at = 0;
    for (span, with) in parts {
        text.push_str(sql.get(at..span.start).unwrap_or_default());
        text.push_str(&with);
        at = span.end;
    }
    text.push_str(sql.get(at..).unwrap_or_default());
    text
}

/// The generations that stand in a database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Generations {
    by_logical: BTreeMap<String, BTreeSet<u32>>,
}

impl Generations {
    /// Of the objects with these names.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut by_logical: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
        for (logical, generation) in names.into_iter().map(parse) {
            if let Some(generation) = generation {
                by_logical
                    .entry(logical.to_owned())
                    .or_default()
                    .insert(generation);
            }
        }
        Self { by_logical }
    }

    /// Reads the database of a client.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn read(client: &Client) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Row {
            name: String,
        }
        let query = Query::new("SELECT name FROM system.tables WHERE database = currentDatabase()");
        let rows: Vec<Row> = client.rows(&query).await?;
        Ok(Self::of(rows.iter().map(|row| row.name.as_str())))
    }

    /// What the server calls the object that a name means.
    #[must_use]
    pub fn current(&self, logical: &str) -> String {
        let first = self.by_logical.get(logical).and_then(BTreeSet::first);
        physical(logical, first.copied().unwrap_or(1))
    }

    /// The generation that a rebuild would make.
    #[must_use]
    pub fn next(&self, logical: &str) -> u32 {
        let last = self.by_logical.get(logical).and_then(BTreeSet::last);
        last.copied().unwrap_or(1) + 1
    }

    /// Whether an object of the server is what its logical name means.
    #[must_use]
    pub fn shows(&self, name: &str) -> bool {
        let (logical, generation) = parse(name);
        generation.is_some_and(|generation| {
            self.by_logical.get(logical).and_then(BTreeSet::first) == Some(&generation)
        })
    }

    /// Whether the server calls something by another name than the files do.
    #[must_use]
    pub fn differ(&self) -> bool {
        self.by_logical
            .values()
            .any(|generations| generations.first() != Some(&1))
    }

    /// A statement in the words of the files → in those of the server.
    #[must_use]
    pub fn resolve(&self, sql: &str) -> String {
        let names: BTreeMap<String, String> = self
            .by_logical
            .keys()
            .map(|logical| (logical.clone(), self.current(logical)))
            .filter(|(logical, current)| logical != current)
            .collect();
        if names.is_empty() {
            sql.to_owned()
        } else {
            renamed(sql, &names)
        }
    }

    /// The first object a statement names that stands in two generations, so that a rebuild of it is not finished.
    #[must_use]
    pub fn unfinished<'a>(&'a self, sql: &str) -> Option<&'a str> {
        let header = header(sql);
        let mut named: BTreeSet<String> = header
            .objects
            .into_iter()
            .chain(header.target)
            .map(|object| object.name)
            .collect();
        named.extend(mentions(sql).into_iter().map(|(name, _)| name));
        self.by_logical
            .iter()
            .find(|(logical, generations)| generations.len() > 1 && named.contains(*logical))
            .map(|(logical, _)| logical.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_is_known_by_its_name_alone() {
        assert_eq!(parse("a__housewright_12"), ("a", Some(12)));
        assert_eq!(parse("a__housewright_stage_x"), ("a", None));
        assert_eq!(parse("a__2"), ("a__2", Some(1)));
        assert_eq!(
            parse("housewright_journal"),
            ("housewright_journal", Some(1))
        );
        assert_eq!(
            fold("SELECT s.a FROM db.`a__housewright_2` AS s, b__housewright_3"),
            "SELECT s.a FROM db.`a` AS s, b"
        );
    }

    #[test]
    fn statements_mean_the_generation_that_stands() {
        let finished = Generations::of(["t__housewright_2", "b"]);
        assert_eq!(
            finished.resolve("ALTER TABLE t ADD COLUMN t UInt8"),
            "ALTER TABLE `t__housewright_2` ADD COLUMN t UInt8"
        );
        assert_eq!(
            finished.resolve("CREATE VIEW v AS SELECT t.t AS t, 't' FROM t JOIN b ON t.a = b.a"),
            "CREATE VIEW v AS SELECT `t__housewright_2`.t AS t, 't' FROM `t__housewright_2` JOIN b ON `t__housewright_2`.a = b.a"
        );
        assert_eq!(finished.unfinished("DROP TABLE t"), None);
        assert!(finished.shows("t__housewright_2"));
        assert_eq!(finished.next("t"), 3);

        let both = Generations::of(["t", "t__housewright_2", "t__housewright_stage_1"]);
        assert_eq!(both.resolve("DROP TABLE t"), "DROP TABLE t");
        assert_eq!(both.unfinished("DROP TABLE t"), Some("t"));
        assert_eq!(both.unfinished("DROP TABLE b"), None);
        assert!(both.shows("t") && !both.shows("t__housewright_2"));
        assert!(!both.shows("t__housewright_stage_1"));
    }
}
