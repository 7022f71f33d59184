//! What merges of a `SummingMergeTree` add up, and whether they drop a row of zeros. Knows the definition alone.

use serde::{Deserialize, Serialize};

use crate::catalog::{Object, Word, words};

/// What merges of a `SummingMergeTree` put together; of any other column they keep the value of some row (tried on ClickHouse 26.7).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// Columns outside of the keys: numbers and aggregates, and those alone that the engine names if it names some.
    pub columns: Vec<String>,
    /// Whether a merge, or an INSERT, drops a row in which all of these are zero, so that it may be there or not. One aggregate among them
    /// keeps every row.
    pub drops_zeros: bool,
}

impl Sums {
    /// Of a table into which a view writes some columns; `None`: its engine adds nothing up.
    #[must_use]
    pub(super) fn of(state: &Object, writes: impl Fn(&str) -> bool) -> Option<Self> {
        if !state.engine.ends_with("SummingMergeTree") {
            return None;
        }
        let definition = words(&state.create);
        let (named, keys) = (arguments(&definition), keys(&definition));
        let mut columns = Vec::new();
        let mut drops_zeros = true;
        for column in &state.columns {
            let stored = !matches!(column.default.as_str(), "ALIAS" | "EPHEMERAL");
            let named = named.is_empty() || named.contains(&column.name);
            if !stored || !named || keys.contains(&column.name) {
                continue;
            }
            if is_number(&column.r#type) {
                // What an expression fills may be no zero.
                drops_zeros &= writes(&column.name) || column.default.is_empty();
                columns.push(column.name.clone());
            } else if !is_left(&column.name, &column.r#type) {
                drops_zeros = false;
                columns.push(column.name.clone());
            }
        }
        Some(Self {
            drops_zeros: drops_zeros && !columns.is_empty(),
            columns,
        })
    }
}

/// Whether a column of a type is a sum, if it is put together at all.
pub(super) fn is_number(r#type: &str) -> bool {
    let numbers = ["Int", "UInt", "Float", "Decimal"];
    numbers.iter().any(|it| r#type.starts_with(it))
}

/// Whether merges leave a column alone for certain. `Nullable` numbers, `Bool` and arrays of a Nested `…Map` they do not.
fn is_left(name: &str, r#type: &str) -> bool {
    const TYPES: [&str; 8] = [
        "String",
        "FixedString",
        "LowCardinality(String)",
        "Date",
        "UUID",
        "Enum",
        "Tuple",
        "Map",
    ];
    TYPES.iter().any(|it| r#type.starts_with(it))
        || r#type.starts_with("Array") && !name.contains("Map.")
}

/// The columns that the engine names. The path and the name of a replica are strings.
fn arguments(definition: &[Word<'_>]) -> Vec<String> {
    let mut behind = definition
        .iter()
        .skip_while(|word| word.depth > 0 || !word.is("ENGINE"))
        .skip(3)
        .peekable();
    if behind.next_if(|word| word.text == "(").is_none() {
        return Vec::new();
    }
    let inside = behind.take_while(|word| word.depth > 0);
    inside.filter_map(Word::name).collect()
}

/// The names in the keys by which a table is sorted and partitioned.
fn keys(definition: &[Word<'_>]) -> Vec<String> {
    let mut within = false;
    let mut names = Vec::new();
    let clauses = definition
        .iter()
        .skip_while(|word| word.depth > 0 || !word.is("ENGINE"));
    for word in clauses {
        if word.depth == 0 && word.is("BY") {
            within = true;
        } else if word.depth == 0
            && [
                "PARTITION",
                "PRIMARY",
                "ORDER",
                "SAMPLE",
                "TTL",
                "SETTINGS",
                "COMMENT",
            ]
            .iter()
            .any(|clause| word.is(clause))
        {
            within = false;
        } else if within {
            names.extend(word.name());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Column, Kind};

    fn sums(engine: &str, columns: &[(&str, &str, &str)]) -> Option<(Vec<String>, bool)> {
        let state = Object {
            name: "s".to_owned(),
            kind: Kind::Table,
            engine: engine.split('(').next().unwrap_or_default().to_owned(),
            columns: columns
                .iter()
                .map(|(name, r#type, default)| Column {
                    name: (*name).to_owned(),
                    r#type: (*r#type).to_owned(),
                    default: (*default).to_owned(),
                })
                .collect(),
            sorting_key: vec!["k".to_owned()],
            select: String::new(),
            triggers: Vec::new(),
            target: None,
            create: format!(
                "CREATE TABLE db.s (`k` UInt8, `n` UInt64 DEFAULT (1)) ENGINE = {engine} PARTITION BY (toYYYYMM(day), p) ORDER BY k SETTINGS index_granularity = 8192"
            ),
        };
        let found = Sums::of(&state, |name| name != "unwritten");
        found.map(|it| (it.columns, it.drops_zeros))
    }

    #[test]
    fn numbers_outside_of_the_keys_are_added_up() {
        let all = |names: &[&str], drops| {
            let names = names.iter().map(|it| (*it).to_owned()).collect();
            Some((names, drops))
        };
        let columns = [
            ("k", "UInt8", ""),
            ("p", "UInt8", ""),
            ("n", "UInt64", ""),
            ("f", "Float64", ""),
            ("note", "String", ""),
            ("twice", "UInt64", "ALIAS"),
        ];
        assert_eq!(sums("SummingMergeTree", &columns), all(&["n", "f"], true));
        assert_eq!(sums("SummingMergeTree(n)", &columns), all(&["n"], true));
        assert_eq!(
            sums(
                "ReplicatedSummingMergeTree('/a', '{replica}', (f, `n`))",
                &columns
            ),
            all(&["n", "f"], true)
        );
        assert_eq!(sums("AggregatingMergeTree", &columns), None);
        for column in [
            ("unwritten", "UInt8", "DEFAULT"),
            ("last", "SimpleAggregateFunction(max, Date)", ""),
            ("other", "Nullable(Int8)", ""),
            ("hitsMap.n", "Array(UInt64)", ""),
        ] {
            let columns = [&columns[..], &[column]].concat();
            let found = sums("SummingMergeTree", &columns);
            assert_eq!(found, all(&["n", "f", column.0], false));
            let found = sums("SummingMergeTree(n)", &columns);
            assert_eq!(found, all(&["n"], true), "{column:?}");
        }
    }
}
