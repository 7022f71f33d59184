//! A table as its definition says it: the engine and the clauses behind it.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{Column, Object, Word, words};
use crate::lint::State;
use crate::sql::TokenKind;

/// A table, with its clauses.
#[derive(Debug)]
pub(crate) struct Table<'a> {
    pub(crate) object: &'a Object,
    pub(crate) state: &'a State,
    clauses: BTreeMap<&'static str, &'a str>,
}

const CLAUSES: [(&str, &[&str]); 8] = [
    ("PARTITION BY", &["PARTITION", "BY"]),
    ("PRIMARY KEY", &["PRIMARY", "KEY"]),
    ("ORDER BY", &["ORDER", "BY"]),
    ("SAMPLE BY", &["SAMPLE", "BY"]),
    ("TTL", &["TTL"]),
    ("SETTINGS", &["SETTINGS"]),
    ("COMMENT", &["COMMENT"]),
    ("AS", &["AS"]),
];

impl<'a> Table<'a> {
    pub(crate) fn of(object: &'a Object, state: &'a State) -> Self {
        Self {
            object,
            state,
            clauses: clauses(&object.create),
        }
    }

    pub(crate) fn clause(&self, name: &str) -> Option<&'a str> {
        self.clauses.get(name).copied()
    }

    /// The columns that the expressions of a clause read.
    pub(crate) fn columns_of(&self, clause: &str) -> BTreeSet<&'a str> {
        self.clause(clause)
            .map(|text| columns_in(text, self.object))
            .unwrap_or_default()
    }

    /// The columns of the sorting key's expressions.
    pub(crate) fn key(&self) -> BTreeSet<&'a str> {
        let mut key = self.columns_of("ORDER BY");
        key.extend(self.columns_of("PRIMARY KEY"));
        key
    }

    /// The engine without `Replicated` and `Shared`.
    pub(crate) fn engine(&self) -> &'a str {
        plain_engine(&self.object.engine)
    }

    /// The columns that are stored.
    pub(crate) fn stored(&self) -> impl Iterator<Item = &'a Column> {
        self.object
            .columns
            .iter()
            .filter(|column| !matches!(column.default.as_str(), "ALIAS" | "EPHEMERAL"))
    }

    /// The text of a column's definition, behind its name.
    pub(crate) fn definition(&self, column: &str) -> &'a str {
        let words = words(&self.object.create);
        words
            .windows(2)
            .position(|pair| {
                pair.first()
                    .is_some_and(|word| word.depth == 1 && word.name().as_deref() == Some(column))
                    && pair
                        .get(1)
                        .is_some_and(|word| word.kind == TokenKind::BareWord)
            })
            .and_then(|at| {
                let end = words
                    .iter()
                    .skip(at)
                    .find(|word| {
                        word.depth == 0 || (word.depth == 1 && word.kind == TokenKind::Comma)
                    })
                    .map_or(self.object.create.len(), |word| word.start);
                self.object.create.get(words.get(at)?.end..end)
            })
            .unwrap_or_default()
    }

    /// The expression of a column's DEFAULT, MATERIALIZED or ALIAS.
    pub(crate) fn default_of(&self, column: &Column) -> &'a str {
        if column.default.is_empty() {
            return "";
        }
        let text = self.definition(&column.name);
        let words = words(text);
        let Some(at) = words
            .iter()
            .position(|word| word.depth == 0 && word.is(&column.default))
        else {
            return "";
        };
        let end = words
            .iter()
            .skip(at)
            .find(|word| {
                word.depth == 0 && ["COMMENT", "CODEC", "TTL"].iter().any(|end| word.is(end))
            })
            .map_or(text.len(), |word| word.start);
        words
            .get(at)
            .and_then(|word| text.get(word.end..end))
            .unwrap_or_default()
    }
}

/// An engine without `Replicated` and `Shared`.
pub(crate) fn plain_engine(engine: &str) -> &str {
    engine
        .strip_prefix("Replicated")
        .or_else(|| engine.strip_prefix("Shared"))
        .filter(|rest| rest.ends_with("MergeTree"))
        .unwrap_or(engine)
}

/// The clauses behind the engine, each with its text.
fn clauses(create: &str) -> BTreeMap<&'static str, &str> {
    let words = words(create);
    let starts = |at: usize, keywords: &[&str]| {
        keywords.iter().enumerate().all(|(ahead, keyword)| {
            words
                .get(at + ahead)
                .is_some_and(|word: &Word<'_>| word.depth == 0 && word.is(keyword))
        })
    };
    let Some(engine) = (0..words.len()).find(|at| starts(*at, &["ENGINE"])) else {
        return BTreeMap::new();
    };
    let mut found: Vec<(&'static str, usize, usize)> = Vec::new();
    for at in engine..words.len() {
        for (name, keywords) in CLAUSES {
            if starts(at, keywords) && !found.iter().any(|(known, ..)| *known == name) {
                let from = words
                    .get(at + keywords.len())
                    .map_or(create.len(), |word| word.start);
                found.push((name, words.get(at).map_or(0, |word| word.start), from));
            }
        }
    }
    let ends: Vec<usize> = found
        .iter()
        .skip(1)
        .map(|(_, start, _)| *start)
        .chain([create.len()])
        .collect();
    found
        .into_iter()
        .zip(ends)
        .filter_map(|((name, _, from), end)| Some((name, create.get(from..end)?.trim())))
        .collect()
}

/// The columns of a table that an expression names.
pub(crate) fn columns_in<'a>(expression: &str, object: &'a Object) -> BTreeSet<&'a str> {
    let words = words(expression);
    words
        .iter()
        .enumerate()
        .filter(|(index, _)| {
            words
                .get(index + 1)
                .is_none_or(|next| next.kind != TokenKind::OpeningRoundBracket)
        })
        .filter_map(|(_, word)| word.name())
        .filter_map(|name| object.column(&name).map(|column| column.name.as_str()))
        .collect()
}

/// What a type is made of: `SimpleAggregateFunction(max, T)` → (`max`, `T`).
pub(crate) fn simple_aggregate(r#type: &str) -> Option<(String, String)> {
    let inner = r#type
        .strip_prefix("SimpleAggregateFunction(")?
        .strip_suffix(')')?;
    let (function, r#type) = inner.split_once(", ")?;
    Some((function.to_owned(), r#type.to_owned()))
}

/// Whether it is `AggregateFunction(…)`.
pub(crate) fn is_state(r#type: &str) -> bool {
    r#type.starts_with("AggregateFunction(")
}

/// Whether a column holds partial results.
pub(crate) fn is_aggregate(r#type: &str) -> bool {
    is_state(r#type) || r#type.starts_with("SimpleAggregateFunction(")
}

/// The type that a value has: without `SimpleAggregateFunction`, `LowCardinality` and `Nullable`.
pub(crate) fn bare(r#type: &str) -> &str {
    let mut bare = r#type;
    loop {
        let inner = if let Some(rest) = bare.strip_prefix("SimpleAggregateFunction(") {
            rest.split_once(", ")
                .and_then(|(_, rest)| rest.strip_suffix(')'))
        } else {
            ["LowCardinality(", "Nullable("]
                .iter()
                .find_map(|outer| bare.strip_prefix(outer)?.strip_suffix(')'))
        };
        match inner {
            Some(inner) => bare = inner,
            None => return bare,
        }
    }
}

/// Whether a value of a type may be NULL.
pub(crate) fn is_nullable(r#type: &str) -> bool {
    let inner = match simple_aggregate(r#type) {
        Some((_, inner)) => inner,
        None => r#type.to_owned(),
    };
    inner.starts_with("Nullable(") || inner.starts_with("LowCardinality(Nullable(")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Kind;

    #[test]
    fn clauses_and_columns_are_read_from_the_definition() {
        let create = "CREATE TABLE d.t (`a b` String DEFAULT concat('x, y', c) COMMENT 'z', c String, INDEX i c TYPE minmax) ENGINE = ReplacingMergeTree(c) PARTITION BY toYYYYMM(d) ORDER BY (`a b`, f(c)) TTL d + toIntervalDay(1) SETTINGS index_granularity = 8192 COMMENT 'ORDER BY'";
        let column = |name: &str, default: &str| Column {
            name: name.to_owned(),
            r#type: "String".to_owned(),
            default: default.to_owned(),
        };
        let object = Object {
            name: "t".to_owned(),
            kind: Kind::Table,
            engine: "ReplacingMergeTree".to_owned(),
            columns: vec![column("a b", "DEFAULT"), column("c", ""), column("d", "")],
            sorting_key: Vec::new(),
            select: String::new(),
            triggers: Vec::new(),
            target: None,
            create: create.to_owned(),
        };
        let state = State::new("d");
        let table = Table::of(&object, &state);
        assert_eq!(table.clause("PARTITION BY"), Some("toYYYYMM(d)"));
        assert_eq!(table.clause("TTL"), Some("d + toIntervalDay(1)"));
        assert_eq!(table.clause("PRIMARY KEY"), None);
        assert_eq!(table.key().into_iter().collect::<Vec<_>>(), ["a b", "c"]);
        assert_eq!(
            table.default_of(&object.columns[0]).trim(),
            "concat('x, y', c)"
        );
    }

    #[test]
    fn types_are_taken_apart() {
        assert_eq!(
            bare("SimpleAggregateFunction(max, LowCardinality(Nullable(String)))"),
            "String"
        );
        assert!(is_nullable(
            "SimpleAggregateFunction(max, Nullable(String))"
        ));
        assert!(!is_nullable("Array(Nullable(String))"));
        assert_eq!(plain_engine("ReplicatedMergeTree"), "MergeTree");
        assert_eq!(plain_engine("SharedSet"), "SharedSet");
    }
}
