//! A table's definition → rows that a careless view gets wrong. Pure; the same seed gives the same rows.
//!
//! Few values, so that rows meet: ties in time, neighbours on both sides of a bucket's edge, one id in two groups and two ids in one,
//! empty and NULL values, exact duplicates. The words and numbers that the schema's own SELECTs compare with are among the values.
//! Only a column that looks like a row's own id is different in every row that is no duplicate: without one, ties have no answer.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::catalog::{Catalog, Column, Kind, Object};
use crate::sql::{TokenKind, tokens};
use crate::viewtest::case::Row;
use crate::viewtest::stage::target;

/// 2026-03-01T00:00:00Z, a midnight that ends a day and a month, in milliseconds since 1970.
const MIDNIGHT: i64 = 1_772_323_200_000;
/// Milliseconds after that midnight.
const INSTANTS: [i64; 10] = [
    0, 1, 999, 1000, -1, 0, 1_799_999, 1_800_000, 43_200_000, 86_399_999,
];
const KEYS: [&str; 4] = ["a", "b", "a-1", "a"];
const WORDS: [&str; 5] = ["", "x", "y", "é東🦀", "z"];
/// Sums of these are exact in any order.
const FRACTIONS: [f64; 5] = [0.0, 0.5, -1.25, 1024.0, 3.0];

/// The tables that rows are put into: those that no view writes to, the ones that trigger a view first.
#[must_use]
pub fn sources(catalog: &Catalog) -> Vec<&Object> {
    let fed = |table: &Object| {
        table.name.starts_with(".inner")
            || catalog
                .objects
                .iter()
                .any(|view| view.target.as_deref() == Some(table.name.as_str()))
    };
    let read = |table: &Object| {
        catalog.objects.iter().any(|view| {
            tokens(&view.select)
                .any(|token| token.span.of(&view.select).trim_matches(['`', '"']) == table.name)
        })
    };
    let takes = |table: &&Object| {
        table.kind == Kind::Table
            && (table.merges()
                || matches!(
                    table.engine.as_str(),
                    "Null" | "Memory" | "Log" | "TinyLog" | "StripeLog"
                ))
            && !fed(table)
            && read(table)
    };
    let mut sources: Vec<&Object> = catalog.objects.iter().filter(takes).collect();
    sources.sort_by_key(|table| table.triggers.is_empty());
    sources
}

/// Makes the rows of one table.
#[derive(Debug)]
pub struct Adversary<'a> {
    columns: Vec<(&'a Column, Role)>,
    words: Vec<String>,
    numbers: Vec<i64>,
    dice: ChaCha8Rng,
    made: Vec<Row>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Rows of one value belong together.
    Key,
    /// Different in every row.
    Own,
    /// Anything.
    Value,
}

impl<'a> Adversary<'a> {
    /// For a table; another seed gives other rows.
    #[must_use]
    pub fn new(catalog: &'a Catalog, table: &'a Object, seed: u64) -> Self {
        let keys: Vec<&String> = catalog
            .triggers()
            .filter(|(_, source)| source.name == table.name)
            .filter_map(|(view, _)| catalog.get(target(view)))
            .flat_map(|target| &target.sorting_key)
            .collect();
        let role = |column: &Column| {
            let temporal = plain(&column.r#type).starts_with("Date");
            if keys.contains(&&column.name) || (keys.is_empty() && is_in_key(table, column)) {
                Role::Key
            } else if !temporal
                && (is_own(column) || table.sorting_key.last() == Some(&column.name))
            {
                Role::Own
            } else {
                Role::Value
            }
        };
        let (mut words, mut numbers) = (Vec::new(), Vec::new());
        for view in &catalog.objects {
            for token in tokens(&view.select) {
                let text = token.span.of(&view.select);
                match token.kind {
                    TokenKind::StringLiteral => {
                        let word = text.trim_matches('\'').to_owned();
                        if !word.contains('\\') && word.len() < 64 && !words.contains(&word) {
                            words.push(word);
                        }
                    }
                    TokenKind::Number => {
                        if let Ok(number) = text.parse::<i64>()
                            && !numbers.contains(&number)
                        {
                            numbers.push(number);
                        }
                    }
                    _ => {}
                }
            }
        }
        Self {
            columns: table
                .columns
                .iter()
                .filter(|column| matches!(column.default.as_str(), "" | "DEFAULT"))
                .map(|column| (column, role(column)))
                .collect(),
            words,
            numbers,
            dice: ChaCha8Rng::seed_from_u64(seed),
            made: Vec::new(),
        }
    }

    /// The row that was made last is not taken by the table: no later one repeats it.
    pub fn forget(&mut self) {
        self.made.pop();
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.dice.next_u64() % bound.max(1) as u64).unwrap_or(0)
    }

    fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        let at = self.below(from.len());
        from.get(at).cloned()
    }

    /// The next row.
    pub fn next_row(&mut self) -> Row {
        if self.one_in(8)
            && let Some(again) = self.pick(&self.made.clone())
        {
            self.made.push(again.clone());
            return again;
        }
        let sibling = if self.one_in(2) {
            self.pick(&self.made.clone())
        } else {
            None
        };
        let mut row = Row::new();
        for (column, role) in self.columns.clone() {
            if column.default == "DEFAULT" && !self.one_in(3) {
                continue;
            }
            let shared = sibling
                .as_ref()
                .filter(|_| role == Role::Key)
                .and_then(|sibling| sibling.get(&column.name).cloned());
            if let Some(value) = shared.or_else(|| self.value(&column.r#type, role)) {
                row.insert(column.name.clone(), value);
            }
        }
        self.made.push(row.clone());
        row
    }

    /// A value of a type; `None`: the column is not sent.
    fn value(&mut self, r#type: &str, role: Role) -> Option<Value> {
        let (head, arguments) = parts(r#type);
        let first = arguments.first().copied().unwrap_or_default();
        match head {
            "Nullable" if self.one_in(3) => return Some(Value::Null),
            "Nullable" | "LowCardinality" => return self.value(first, role),
            "SimpleAggregateFunction" => return self.value(arguments.get(1)?, role),
            _ => {}
        }
        let own = self.dice.next_u64();
        let number = |bits: u64| i64::try_from(own % (1 << bits)).unwrap_or(0);
        Some(match head {
            "String" => match role {
                Role::Own => json!(format!("{:04x}", own % 65_536)),
                Role::Key if self.one_in(12) => json!("é東🦀"),
                Role::Key if self.one_in(16) => json!(""),
                Role::Key => json!(self.pick(&KEYS)?),
                Role::Value => {
                    let words = self.words.clone();
                    match self.below(2) {
                        0 if !words.is_empty() => json!(self.pick(&words)?),
                        _ => json!(self.pick(&WORDS)?),
                    }
                }
            },
            "FixedString" => json!(self.pick(&["a", "b"])?),
            "UUID" if role == Role::Own => {
                json!(format!("00000000-0000-4000-8000-{:012x}", own % (1 << 48)))
            }
            "UUID" => json!(format!("00000000-0000-4000-8000-{:012x}", own % 3)),
            "Bool" => json!(own.is_multiple_of(2)),
            "Float32" | "Float64" | "BFloat16" => json!(self.pick(&FRACTIONS)?),
            "DateTime" | "DateTime64" | "Date" | "Date32" => json!(self.time(head)?),
            "IPv4" => json!(format!("10.0.0.{}", own % 3)),
            "IPv6" => json!(format!("::{}", own % 3)),
            "Array" => Value::Array(
                (0..self.below(3))
                    .filter_map(|_| self.value(first, role))
                    .collect(),
            ),
            "Map" => {
                let mut map = Row::new();
                for _ in 0..self.below(3) {
                    if let (Value::String(key), Some(value)) = (
                        self.value("String", Role::Key)?,
                        self.value(arguments.get(1)?, Role::Value),
                    ) {
                        map.insert(key, value);
                    }
                }
                Value::Object(map)
            }
            "JSON" | "Object" => json!({}),
            _ if head.starts_with("Enum") => {
                let names: Vec<String> = tokens(r#type)
                    .filter(|token| token.kind == TokenKind::StringLiteral)
                    .map(|token| token.span.of(r#type).trim_matches('\'').to_owned())
                    .collect();
                json!(self.pick(&names)?)
            }
            _ if head.starts_with("Decimal") => json!(self.pick(&["0", "1.5", "-2.5", "10"])?),
            _ if head.starts_with("UInt") || head.starts_with("Int") => {
                let signed = head.starts_with("Int");
                if role == Role::Own {
                    let bits = if head.ends_with("t8") { 7 } else { 15 };
                    return Some(json!(number(bits)));
                }
                let bits: u32 = head.trim_start_matches(['U', 'I', 'n', 't']).parse().ok()?;
                let most = 1_i64
                    .checked_shl(bits.saturating_sub(1))
                    .filter(|most| *most > 0);
                let numbers: Vec<i64> = self
                    .numbers
                    .iter()
                    .flat_map(|n| [*n, n - 1])
                    .chain([0, 1, 2, 3])
                    .chain(signed.then_some(-1))
                    .filter(|n| (signed || *n >= 0) && most.is_none_or(|most| *n < most))
                    .collect();
                json!(self.pick(&numbers)?)
            }
            _ => return None,
        })
    }

    /// An instant as a type writes it: ties, and both sides of every edge that the schema may cut time at.
    fn time(&mut self, head: &str) -> Option<String> {
        let edges: Vec<i64> = self
            .numbers
            .iter()
            .filter(|seconds| (60..=604_800).contains(*seconds))
            .flat_map(|seconds| {
                let edge = MIDNIGHT.div_euclid(seconds * 1000) * seconds * 1000 - MIDNIGHT;
                [edge, edge - 1]
            })
            .collect();
        let after = if self.one_in(4) && !edges.is_empty() {
            self.pick(&edges)?
        } else {
            self.pick(&INSTANTS)?
        };
        let time = jiff::Timestamp::from_millisecond(MIDNIGHT + after).ok()?;
        let format = match head {
            "DateTime64" => "%Y-%m-%d %H:%M:%S%.3f",
            "DateTime" => "%Y-%m-%d %H:%M:%S",
            _ => "%Y-%m-%d",
        };
        Some(time.strftime(format).to_string())
    }
}

/// Whether a column's name says that it is the row's own id.
fn is_own(column: &Column) -> bool {
    let name = column.name.to_ascii_lowercase();
    matches!(
        name.as_str(),
        "id" | "uuid" | "tie" | "seq" | "sequence" | "offset" | "insert_id"
    ) || [
        "event_id",
        "event_uuid",
        "message_id",
        "row_id",
        "request_id",
        "eventid",
    ]
    .contains(&name.as_str())
}

fn is_in_key(table: &Object, column: &Column) -> bool {
    table.sorting_key.contains(&column.name) && !is_own(column)
}

/// A type without what may stand around it.
fn plain(r#type: &str) -> &str {
    match parts(r#type) {
        ("Nullable" | "LowCardinality", arguments) => {
            arguments.first().map_or(r#type, |first| plain(first))
        }
        _ => r#type,
    }
}

/// `Head(a, b(c, d))` → the head and what stands between the outermost commas.
fn parts(r#type: &str) -> (&str, Vec<&str>) {
    let Some((head, rest)) = r#type.split_once('(') else {
        return (r#type, Vec::new());
    };
    let rest = rest.strip_suffix(')').unwrap_or(rest);
    let (mut depth, mut start, mut arguments) = (0_usize, 0, Vec::new());
    for (at, c) in rest.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                arguments.push(rest.get(start..at).unwrap_or_default().trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    arguments.push(rest.get(start..).unwrap_or_default().trim());
    (head, arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_taken_apart() {
        assert_eq!(
            parts("Map(String, Array(UInt8))"),
            ("Map", vec!["String", "Array(UInt8)"])
        );
        assert_eq!(plain("LowCardinality(Nullable(String))"), "String");
    }

    #[test]
    fn one_seed_gives_one_set_of_rows_and_they_meet() {
        let column = |name: &str, r#type: &str| Column {
            name: name.to_owned(),
            r#type: r#type.to_owned(),
            default: String::new(),
        };
        let table = Object {
            name: "t".to_owned(),
            kind: Kind::Table,
            engine: "MergeTree".to_owned(),
            columns: vec![
                column("k", "String"),
                column("ts", "DateTime64(3)"),
                column("id", "String"),
                column("v", "Nullable(String)"),
            ],
            sorting_key: vec!["k".to_owned()],
            select: String::new(),
            triggers: Vec::new(),
            target: None,
            create: String::new(),
        };
        let catalog = Catalog::default();
        let rows = |seed| -> Vec<Row> {
            let mut adversary = Adversary::new(&catalog, &table, seed);
            (0..24).map(|_| adversary.next_row()).collect()
        };
        assert_eq!(rows(1), rows(1));
        assert_ne!(rows(1), rows(2));
        let rows = rows(1);
        let meet = |name: &str| {
            let mut values: Vec<String> = rows.iter().map(|row| row[name].to_string()).collect();
            values.sort();
            values.dedup();
            values.len()
        };
        assert!(meet("k") < 8 && meet("ts") < 12, "{rows:?}");
        assert!(rows.iter().any(|row| row["v"].is_null()));
        assert!(rows.iter().any(|row| row["v"] == ""));
    }
}
