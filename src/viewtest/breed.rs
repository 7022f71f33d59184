//! Rows of cases → many more rows: crossed with each other, and with the values at which types break. Pure.
//!
//! What is bred lies where the cases' queries look (their projects, their days), collides in keys and in time, and holds what nobody
//! thought of. Works for any table: it knows rows and the names of types, and nothing of the schema.

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::DateTime;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::Value;

use crate::catalog::{Column, Object};
use crate::viewtest::case::Row;

/// The values of a column; `None` is one that is not sent.
type Pool = Vec<Option<Value>>;

/// What the rows of one table are bred from.
#[derive(Debug)]
pub(crate) struct Breed {
    dice: ChaCha8Rng,
    parents: Vec<Row>,
    pools: BTreeMap<String, Pool>,
    /// The columns of any text.
    texts: Vec<String>,
}

fn add(pool: &mut Pool, value: Option<Value>) {
    if !pool.contains(&value) {
        pool.push(value);
    }
}

impl Breed {
    /// From the rows of cases; `strange` rows lend their values, but are no parents.
    pub(crate) fn new(table: &Object, parents: &[Row], strange: &[Row]) -> Self {
        let mut pools = BTreeMap::new();
        for column in &table.columns {
            let mut pool = Pool::new();
            for row in parents.iter().chain(strange) {
                add(&mut pool, row.get(&column.name).cloned());
            }
            for value in spice(column, &pool) {
                add(&mut pool, value);
            }
            pools.insert(column.name.clone(), pool);
        }
        let mut distinct: Vec<Row> = Vec::new();
        for parent in parents {
            if !distinct.contains(parent) {
                distinct.push(parent.clone());
            }
        }
        Self {
            dice: ChaCha8Rng::seed_from_u64(1),
            parents: distinct,
            pools,
            texts: table
                .columns
                .iter()
                .filter(|column| {
                    column.r#type.ends_with("String") || column.r#type.contains("(String)")
                })
                .map(|column| column.name.clone())
                .collect(),
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.dice.next_u64() % bound.max(1) as u64).unwrap_or(0)
    }

    /// Each value of each column once, in a row that is a parent's otherwise.
    pub(crate) fn one_by_one(&mut self) -> Vec<Row> {
        let mut rows = Vec::new();
        for (column, pool) in self.pools.clone() {
            // Values that cases bring themselves are seen in cases.
            for value in pool.iter().rev().take(SPICE) {
                let at = self.below(self.parents.len());
                if let Some(parent) = self.parents.get(at) {
                    rows.push(with(parent.clone(), &column, value.as_ref()));
                }
            }
        }
        rows
    }

    /// As many rows, each a parent's with other values here and there.
    pub(crate) fn rows(&mut self, count: usize) -> Vec<Row> {
        let names: Vec<String> = self.pools.keys().cloned().collect();
        let mut rows = Vec::with_capacity(count);
        for number in 0..count {
            let at = self.below(self.parents.len());
            let Some(mut row) = self.parents.get(at).cloned() else {
                return rows;
            };
            // Some rows are near their parent, some far.
            let nearness = 2 + self.below(8);
            for name in &names {
                if self.below(nearness) > 0 {
                    continue;
                }
                let length = self.pools.get(name).map_or(0, Vec::len);
                let at = self.below(length);
                if let Some(value) = self.pools.get(name).and_then(|pool| pool.get(at)) {
                    row = with(row, name, value.as_ref());
                }
            }
            // Some are the first of their kind: small groups stand beside the large ones.
            let at = self.below(self.texts.len() * 2);
            if let Some(name) = self.texts.get(at)
                && let Some(Value::String(text)) = row.get_mut(name)
            {
                *text = format!("{text}~{number}");
            }
            rows.push(row);
        }
        rows
    }

    /// Forgets every value that none of these rows has: those that the table takes.
    pub(crate) fn keep(&mut self, taken: &[Row]) {
        for (name, pool) in &mut self.pools {
            pool.retain(|value| taken.iter().any(|row| row.get(name) == value.as_ref()));
        }
    }
}

fn with(mut row: Row, column: &str, value: Option<&Value>) -> Row {
    match value {
        Some(value) => {
            row.insert(column.to_owned(), value.clone());
        }
        None => {
            row.shift_remove(column);
        }
    }
    row
}

/// At most this many values of a column are added to those of the cases.
const SPICE: usize = 12;

/// Values at which a type breaks, near the given ones.
fn spice(column: &Column, pool: &Pool) -> Vec<Option<Value>> {
    let mut values: Vec<Option<Value>> = vec![None];
    let mut kind = column.r#type.as_str();
    while let Some(inner) = ["Nullable(", "LowCardinality("]
        .iter()
        .find_map(|wrapper| kind.strip_prefix(wrapper))
    {
        if kind.starts_with("Nullable(") {
            values.push(Some(Value::Null));
        }
        kind = inner.strip_suffix(')').unwrap_or(inner);
    }
    let texts: Vec<&str> = pool
        .iter()
        .filter_map(|value| value.as_ref()?.as_str())
        .collect();
    let mut text = |text: String| values.push(Some(Value::String(text)));
    if kind == "String" || kind.starts_with("FixedString(") {
        for plain in ["", "é?", "A", "10"] {
            text(plain.to_owned());
        }
        // A number at the end is perhaps one.
        for known in texts.iter().take(4) {
            let head = known.trim_end_matches(|c: char| c.is_ascii_digit());
            if let Ok(number) = known.get(head.len()..).unwrap_or_default().parse::<u64>() {
                text(format!("{head}{}", number.saturating_add(1)));
                text(format!("{head}0{number}"));
            }
        }
    } else if kind.starts_with("Date") {
        let whole = !kind.starts_with("DateTime64");
        // Before 1970 remainders are negative.
        if kind == "Date32" {
            text("1969-12-31".to_owned());
        } else if !whole {
            text("1969-12-31 23:59:59.999".to_owned());
        }
        for (index, known) in texts
            .iter()
            .filter_map(|text| moment(text))
            .enumerate()
            .take(3)
        {
            let offsets: &[i64] = if index == 0 {
                &[-1, 1, 400, 1_799_999, 86_400_000]
            } else {
                &[999, -3_600_000]
            };
            for offset in offsets {
                if let Ok(other) = known.checked_add(offset.milliseconds()) {
                    text(if kind == "Date" || kind == "Date32" {
                        other.strftime("%Y-%m-%d").to_string()
                    } else if whole {
                        other.strftime("%Y-%m-%d %H:%M:%S").to_string()
                    } else {
                        other.strftime("%Y-%m-%d %H:%M:%S.%3f").to_string()
                    });
                }
            }
        }
    } else if kind.contains("Int") || kind.starts_with("Float") || kind.starts_with("Decimal") {
        for number in 0..SPICE {
            values.push(Some(number.into()));
        }
    }
    values
}

fn moment(text: &str) -> Option<DateTime> {
    text.parse()
        .ok()
        .or_else(|| text.parse::<jiff::civil::Date>().ok().map(Into::into))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Kind;

    fn table() -> Object {
        let column = |name: &str, r#type: &str| Column {
            name: name.to_owned(),
            r#type: r#type.to_owned(),
            default: String::new(),
        };
        Object {
            name: "t".to_owned(),
            kind: Kind::Table,
            engine: "MergeTree".to_owned(),
            columns: vec![
                column("at", "DateTime64(3, 'UTC')"),
                column("id", "String"),
                column("who", "LowCardinality(Nullable(String))"),
                column("n", "UInt8"),
            ],
            sorting_key: Vec::new(),
            select: String::new(),
            triggers: Vec::new(),
            target: None,
            create: String::new(),
        }
    }

    fn row(text: &str) -> Row {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn values_at_which_types_break_stand_beside_those_of_the_cases() {
        let parent = row(r#"{"at": "2026-05-16 19:00:00", "id": "u-7", "n": 3}"#);
        let mut breed = Breed::new(&table(), &[parent], &[]);
        let shown: Vec<String> = breed
            .one_by_one()
            .into_iter()
            .map(|row| serde_json::to_string(&row).unwrap())
            .collect();
        insta::assert_snapshot!(shown.join("\n"), @r#"
        {"at":"2026-05-17 19:00:00.000","id":"u-7","n":3}
        {"at":"2026-05-16 19:29:59.999","id":"u-7","n":3}
        {"at":"2026-05-16 19:00:00.400","id":"u-7","n":3}
        {"at":"2026-05-16 19:00:00.001","id":"u-7","n":3}
        {"at":"2026-05-16 18:59:59.999","id":"u-7","n":3}
        {"at":"1969-12-31 23:59:59.999","id":"u-7","n":3}
        {"id":"u-7","n":3}
        {"at":"2026-05-16 19:00:00","id":"u-7","n":3}
        {"at":"2026-05-16 19:00:00","id":"u-07","n":3}
        {"at":"2026-05-16 19:00:00","id":"u-8","n":3}
        {"at":"2026-05-16 19:00:00","id":"10","n":3}
        {"at":"2026-05-16 19:00:00","id":"A","n":3}
        {"at":"2026-05-16 19:00:00","id":"é?","n":3}
        {"at":"2026-05-16 19:00:00","id":"","n":3}
        {"at":"2026-05-16 19:00:00","n":3}
        {"at":"2026-05-16 19:00:00","id":"u-7","n":3}
        {"at":"2026-05-16 19:00:00","id":"u-7","n":11}
        {"at":"2026-05-16 19:00:00","id":"u-7","n":10}
        {"at":"2026-05-16 19:00:00","id":"u-7","n":9}
        {"at":"2026-05-16 19:00:00","id":"u-7","n":8}
        {"at":"2026-05-16 19:00:00","id":"u-7","n":7}
        {"at":"2026-05-16 19:00:00","id":"u-7","n":6}
        {"at":"2026-05-16 19:00:00","id":"u-7","n":5}
        {"at":"2026-05-16 19:00:00","id":"u-7","n":4}
        {"at":"2026-05-16 19:00:00","id":"u-7","n":2}
        {"at":"2026-05-16 19:00:00","id":"u-7","n":1}
        {"at":"2026-05-16 19:00:00","id":"u-7","n":0}
        {"at":"2026-05-16 19:00:00","id":"u-7"}
        {"at":"2026-05-16 19:00:00","id":"u-7","n":3,"who":"10"}
        {"at":"2026-05-16 19:00:00","id":"u-7","n":3,"who":"A"}
        {"at":"2026-05-16 19:00:00","id":"u-7","n":3,"who":"é?"}
        {"at":"2026-05-16 19:00:00","id":"u-7","n":3,"who":""}
        {"at":"2026-05-16 19:00:00","id":"u-7","n":3,"who":null}
        {"at":"2026-05-16 19:00:00","id":"u-7","n":3}
        "#);
    }

    #[test]
    fn the_same_rows_every_time_and_only_values_that_are_kept() {
        let parents = [
            row(r#"{"at": "2026-05-16 19:00:00", "id": "a", "n": 3}"#),
            row(r#"{"at": "2026-05-16 19:00:01", "id": "b", "n": 4}"#),
        ];
        let breed = || Breed::new(&table(), &parents, &[]);
        assert_eq!(breed().rows(50), breed().rows(50));
        let mut kept = breed();
        kept.keep(&parents);
        for row in kept.rows(50) {
            assert!(row["n"] == 3 || row["n"] == 4, "{row:?}");
            assert!(!row.contains_key("who"));
        }
    }
}
