//! What people want to know of objects besides their shape: comments, codecs, keys, and the clauses of a definition.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::catalog::canonical::{Word, words};
use crate::clickhouse::{Client, Error, Query};
use crate::sql::TokenKind;

/// The comments, codecs and keys of a database. Read where all columns of `system` are known: on the embedded engine.
#[derive(Clone, Debug, Default)]
pub struct Details {
    comments: BTreeMap<String, String>,
    columns: BTreeMap<(String, String), ColumnDetail>,
}

/// A column besides its name and type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnDetail {
    /// Its COMMENT.
    pub comment: String,
    /// Its CODEC, without the word.
    pub codec: String,
    /// The expression of its DEFAULT, MATERIALIZED, ALIAS or EPHEMERAL.
    pub expression: String,
    /// Its type, where the server does not list the column.
    pub r#type: Option<String>,
    /// Whether the partition key is made of it.
    pub in_partition_key: bool,
    /// Whether the sorting key is made of it.
    pub in_sorting_key: bool,
}

#[derive(Deserialize)]
struct TableRow {
    name: String,
    comment: String,
}

#[derive(Deserialize)]
struct ColumnRow {
    table: String,
    name: String,
    comment: String,
    compression_codec: String,
    default_expression: String,
    is_in_partition_key: u8,
    is_in_sorting_key: u8,
}

impl Details {
    /// Reads the client's database.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn read(client: &Client) -> Result<Self, Error> {
        let tables = Query::new(
            "SELECT name, comment FROM system.tables WHERE database = currentDatabase() AND NOT is_temporary",
        );
        let columns = Query::new(
            "SELECT table, name, comment, compression_codec, default_expression, is_in_partition_key, is_in_sorting_key \
             FROM system.columns WHERE database = currentDatabase()",
        );
        let tables: Vec<TableRow> = client.rows(&tables).await?;
        let columns: Vec<ColumnRow> = client.rows(&columns).await?;
        Ok(Self {
            comments: tables
                .into_iter()
                .map(|row| (row.name, row.comment))
                .collect(),
            columns: columns
                .into_iter()
                .map(|row| {
                    let codec = row.compression_codec;
                    let codec = codec
                        .strip_prefix("CODEC(")
                        .and_then(|rest| rest.strip_suffix(')'))
                        .unwrap_or(&codec)
                        .to_owned();
                    (
                        (row.table, row.name),
                        ColumnDetail {
                            comment: row.comment,
                            codec,
                            expression: row.default_expression,
                            r#type: None,
                            in_partition_key: row.is_in_partition_key != 0,
                            in_sorting_key: row.is_in_sorting_key != 0,
                        },
                    )
                })
                .collect(),
        })
    }

    /// The COMMENT of an object.
    #[must_use]
    pub fn comment(&self, object: &str) -> &str {
        self.comments.get(object).map_or("", String::as_str)
    }

    /// A column's; what the server does not list is read from the definition.
    #[must_use]
    pub fn column(&self, object: &str, column: &str, definition: &str) -> ColumnDetail {
        let key = (object.to_owned(), column.to_owned());
        self.columns
            .get(&key)
            .cloned()
            .or_else(|| declared(definition).remove(column))
            .unwrap_or_default()
    }
}

/// The clauses of a definition behind its columns, as text; empty where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clauses {
    /// `ENGINE`, with its arguments.
    pub engine: String,
    /// `PARTITION BY`.
    pub partition_by: String,
    /// `ORDER BY`.
    pub order_by: String,
    /// `PRIMARY KEY`, where it is said.
    pub primary_key: String,
    /// `SAMPLE BY`.
    pub sample_by: String,
    /// `TTL`.
    pub ttl: String,
    /// `SETTINGS`.
    pub settings: String,
}

impl Clauses {
    /// Those that are there, each with its name.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("Engine", self.engine.as_str()),
            ("Partition by", &self.partition_by),
            ("Order by", &self.order_by),
            ("Primary key", &self.primary_key),
            ("Sample by", &self.sample_by),
            ("TTL", &self.ttl),
            ("Settings", &self.settings),
        ]
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
    }

    /// Reads the clauses of a table, or of a view that keeps its rows itself.
    #[must_use]
    pub fn of(definition: &str) -> Self {
        const HEADS: [&str; 10] = [
            "ENGINE",
            "PARTITION",
            "ORDER",
            "PRIMARY",
            "SAMPLE",
            "TTL",
            "SETTINGS",
            "COMMENT",
            "AS",
            "DEFINER",
        ];
        let words = words(definition);
        let heads: Vec<usize> = words
            .iter()
            .enumerate()
            .filter(|(_, word)| word.depth == 0 && HEADS.iter().any(|head| word.is(head)))
            .map(|(at, _)| at)
            .collect();
        let mut clauses = Self::default();
        for (index, at) in heads.iter().enumerate() {
            let Some(head) = words.get(*at) else { continue };
            if head.is("AS") {
                break;
            }
            let skipped = match words.get(at + 1) {
                Some(next) if next.is("BY") || next.is("KEY") || next.kind == TokenKind::Equals => {
                    2
                }
                _ => 1,
            };
            let start = words
                .get(at + skipped)
                .map_or(definition.len(), |it| it.start);
            let end = heads
                .get(index + 1)
                .and_then(|next| words.get(*next))
                .map_or(definition.len(), |next| next.start);
            let text = definition.get(start..end).unwrap_or_default();
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            let slot = if head.is("ENGINE") {
                &mut clauses.engine
            } else if head.is("PARTITION") {
                &mut clauses.partition_by
            } else if head.is("ORDER") {
                &mut clauses.order_by
            } else if head.is("PRIMARY") {
                &mut clauses.primary_key
            } else if head.is("SAMPLE") {
                &mut clauses.sample_by
            } else if head.is("TTL") {
                &mut clauses.ttl
            } else if head.is("SETTINGS") {
                &mut clauses.settings
            } else {
                continue;
            };
            if slot.is_empty() {
                *slot = text;
            }
        }
        clauses
    }
}

/// The columns as a definition declares them: what stands in its first brackets.
fn declared(definition: &str) -> BTreeMap<String, ColumnDetail> {
    let words = words(definition);
    let mut found = BTreeMap::new();
    let open = words
        .iter()
        .position(|word| word.depth == 0 && word.kind == TokenKind::OpeningRoundBracket);
    let body = words
        .iter()
        .position(|word| word.depth == 0 && word.is("AS"));
    let Some(open) = open.filter(|open| body.is_none_or(|body| *open < body)) else {
        return found;
    };
    let inside: Vec<&Word<'_>> = words
        .iter()
        .skip(open + 1)
        .take_while(|word| word.depth > 0)
        .collect();
    for column in inside.split(|word| word.depth == 1 && word.kind == TokenKind::Comma) {
        let [name, rest @ ..] = column else { continue };
        let Some(name) = name.name() else { continue };
        let end = rest
            .iter()
            .position(|word| {
                word.depth == 1
                    && [
                        "COMMENT",
                        "CODEC",
                        "DEFAULT",
                        "MATERIALIZED",
                        "ALIAS",
                        "TTL",
                    ]
                    .iter()
                    .any(|keyword| word.is(keyword))
            })
            .unwrap_or(rest.len());
        let r#type = rest
            .first()
            .zip(end.checked_sub(1).and_then(|last| rest.get(last)))
            .and_then(|(first, last)| definition.get(first.start..last.end))
            .map(str::to_owned);
        let comment = rest
            .windows(2)
            .find_map(|pair| match pair {
                [keyword, text] if keyword.depth == 1 && keyword.is("COMMENT") => text.string(),
                _ => None,
            })
            .unwrap_or_default();
        found.insert(
            name,
            ColumnDetail {
                comment,
                r#type,
                ..ColumnDetail::default()
            },
        );
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clauses_of_a_table_are_told_apart() {
        let clauses = Clauses::of(
            "CREATE TABLE t\n(\n    `order` UInt8 TTL d + toIntervalDay(1) COMMENT 'ENGINE = x'\n)\nENGINE = ReplacingMergeTree(v)\nPARTITION BY toYYYYMM(d)\nPRIMARY KEY a\nORDER BY (a, b)\nTTL d + toIntervalDay(30)\nSETTINGS index_granularity = 8192\nCOMMENT 'x ORDER BY y'",
        );
        assert_eq!(
            clauses,
            Clauses {
                engine: "ReplacingMergeTree(v)".into(),
                partition_by: "toYYYYMM(d)".into(),
                order_by: "(a, b)".into(),
                primary_key: "a".into(),
                sample_by: String::new(),
                ttl: "d + toIntervalDay(30)".into(),
                settings: "index_granularity = 8192".into(),
            }
        );
        assert_eq!(
            Clauses::of(
                "CREATE VIEW v (a UInt8) AS SELECT a FROM t ORDER BY a SETTINGS max_threads = 1"
            ),
            Clauses::default()
        );
    }

    #[test]
    fn the_columns_of_a_view_with_parameters_are_declared() {
        let columns = declared(
            "CREATE VIEW v (`a b` Enum8('x, y' = 1) COMMENT 'it''s, \\n (a)', c Tuple(d UInt8, e String)) AS SELECT {p:String} AS a",
        );
        let column = |name: &str| columns.get(name).cloned().unwrap();
        assert_eq!(column("a b").comment, "it's, \n (a)");
        assert_eq!(column("a b").r#type.as_deref(), Some("Enum8('x, y' = 1)"));
        assert_eq!(
            column("c").r#type.as_deref(),
            Some("Tuple(d UInt8, e String)")
        );
        assert!(declared("CREATE VIEW v AS SELECT f(a) FROM t").is_empty());
    }
}
