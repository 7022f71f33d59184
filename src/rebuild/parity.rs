//! Parity: every row of a state, its partial rows put together, against a recomputation from the raw rows. Only SQL, and pure.
//!
//! Both sides are grouped by the state's key in one query, each with the functions that its merges use, and compared column by column.
//! While rows come in, a key may differ for a moment because one side was read before the other. Such a key is looked at again, and counts
//! as wrong only if it differs although none of its rows came in since before the look.

use crate::clickhouse::identifier;
use crate::diff::aggregate;
use crate::rebuild::slices::{Of, number};
use crate::rebuild::subject::{StateColumn, Subject};
use crate::rebuild::sums::is_number;
use crate::sql::tokens;

/// How a column of the state is put together and compared.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Value {
    name: String,
    /// The type that both sides are cast to.
    r#type: String,
    /// The function's name with the combinator `If`, and its parameters.
    function: String,
    /// How two results are compared.
    sameness: Sameness,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sameness {
    Equal,
    /// Sums of floats depend on the order of summation.
    Close,
    /// A set in no order.
    Set,
}

/// What is compared, and what cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Comparison {
    pub(super) keys: Vec<Key>,
    values: Vec<Value>,
    /// Whether merges keep every row, so that equal ones are counted.
    keeps_all: bool,
    /// Whether only keys that both sides have are compared: columns that are added fill the rows that are there, and make none.
    in_both: bool,
    /// Whether merges drop a row whose sums are all zero, so that a key that one side lacks is the same as one with zeros.
    drops_zeros: bool,
    /// Columns whose value depends on the order of arrival, so that two right answers may differ.
    pub(super) left_out: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) r#type: String,
}

impl Comparison {
    /// Of the state of a subject.
    #[must_use]
    pub(super) fn of(subject: &Subject) -> Self {
        let mut keys = Vec::new();
        let mut values = Vec::new();
        let mut left_out = Vec::new();
        let engine = subject
            .engine
            .trim_start_matches("Replicated")
            .trim_start_matches("Shared");
        let keeps_all = engine == "MergeTree";
        let in_key = |name: &str| {
            subject
                .key
                .iter()
                .any(|expression| mentions_column(expression, name))
        };
        let is_merged = |column: &StateColumn| match &subject.sums {
            Some(sums) => sums.columns.contains(&column.name),
            // A SummingMergeTree as it was written down before its sums were.
            None => engine == "SummingMergeTree" || !is_number(&column.r#type),
        };
        for column in &subject.columns {
            let plain = aggregate(&column.r#type).is_none();
            if plain && (in_key(&column.name) || keeps_all) {
                keys.push(Key {
                    name: column.name.clone(),
                    r#type: column.r#type.clone(),
                });
            } else if let Some(value) = value(column).filter(|_| is_merged(column)) {
                values.push(value);
            } else {
                left_out.push(column.name.clone());
            }
        }
        Self {
            keys,
            values,
            keeps_all,
            in_both: subject.added.is_some(),
            drops_zeros: subject.sums.as_ref().is_some_and(|it| it.drops_zeros),
            left_out,
        }
    }

    fn key_list(&self) -> String {
        let names: Vec<String> = self.keys.iter().map(|it| identifier(&it.name)).collect();
        if names.is_empty() {
            "tuple()".to_owned()
        } else {
            names.join(", ")
        }
    }

    /// The number of a key.
    #[must_use]
    pub(super) fn key_hash(&self) -> String {
        number(self.keys.iter().map(|it| it.name.as_str()))
    }

    /// The rows of one side: the columns that are compared, each cast to one type.
    fn side(&self, number: u8, from: &str, of: &Of<'_>) -> String {
        let columns: Vec<String> = self
            .keys
            .iter()
            .map(|it| (&it.name, &it.r#type))
            .chain(self.values.iter().map(|it| (&it.name, &it.r#type)))
            .map(|(name, r#type)| {
                format!(
                    "CAST(s.{0}, {1}) AS {0}",
                    identifier(name),
                    crate::clickhouse::literal(r#type)
                )
            })
            .collect();
        format!(
            "SELECT toUInt8({number}) AS _side, * FROM (SELECT {} FROM {from} AS s){}",
            columns.join(", "),
            of.filter(&self.key_hash())
        )
    }

    /// One row a key: its number as `kh`, whether the sides differ as `differs`, and with `shown` both sides of the values as text.
    fn compared(&self, raw: &str, state: &str, of: &Of<'_>, shown: bool) -> String {
        let alone = ["countIf(_side = 1) = 0", "countIf(_side = 2) = 0"].join(" OR ");
        let mut differs: Vec<String> = self.values.iter().map(Value::differs).collect();
        if self.keeps_all {
            differs.push("countIf(_side = 1) != countIf(_side = 2)".to_owned());
        }
        // Of a side that lacks a key each sum is zero.
        let may_lack = self.in_both || self.drops_zeros;
        differs.push(if may_lack { "0" } else { &alone }.to_owned());
        let mut differs = differs.join(" OR ");
        if self.in_both {
            differs = format!("NOT ({alone}) AND ({differs})");
        }
        let mut columns = vec![
            format!("{} AS kh", self.key_hash()),
            format!("({differs}) AS differs"),
        ];
        if shown {
            let keys = self.keys.iter().map(|it| {
                format!(
                    "({}, toString({}))",
                    crate::clickhouse::literal(&it.name),
                    identifier(&it.name)
                )
            });
            columns.push(format!(
                "[{}] AS names",
                keys.collect::<Vec<_>>().join(", ")
            ));
            let values = self.values.iter().map(|it| {
                format!(
                    "({}, if(countIf(_side = 1) = 0, '', toString({})), if(countIf(_side = 2) = 0, '', toString({})))",
                    crate::clickhouse::literal(&it.name),
                    it.of(1),
                    it.of(2)
                )
            });
            let values: Vec<String> = values.collect();
            columns.push(format!(
                "CAST([{}], 'Array(Tuple(String, String, String))') AS cells",
                values.join(", ")
            ));
            columns.push(
                "countIf(_side = 1) AS raw_rows, countIf(_side = 2) AS state_rows".to_owned(),
            );
        }
        format!(
            "SELECT {} FROM ({} UNION ALL {}) GROUP BY {}",
            columns.join(", "),
            self.side(1, &format!("({raw})"), of),
            self.side(2, state, of),
            self.key_list()
        )
    }

    /// Both sides of the state `state`, against the rows of `raw`: a row `(0, 0, n)` for the n keys that are the same, a row `(1, key, 1)` for
    /// each that is not; of some of the keys only.
    #[must_use]
    pub(super) fn query(&self, raw: &str, state: &str, of: &Of<'_>) -> String {
        format!(
            "SELECT toUInt8(differs) AS wrong, if(differs, kh, 0) AS key, toUInt64(count()) AS n FROM ({}) GROUP BY wrong, key",
            self.compared(raw, state, of, false)
        )
    }

    /// The keys that some raw rows touch, by their numbers.
    #[must_use]
    pub(super) fn touched(&self, raw: &str) -> String {
        let columns: Vec<String> = self
            .keys
            .iter()
            .map(|it| {
                format!(
                    "CAST(s.{0}, {1}) AS {0}",
                    identifier(&it.name),
                    crate::clickhouse::literal(&it.r#type)
                )
            })
            .collect();
        if columns.is_empty() {
            return format!("SELECT toUInt64(0) FROM ({raw}) LIMIT 1");
        }
        format!(
            "SELECT DISTINCT {} FROM (SELECT {} FROM ({raw}) AS s)",
            self.key_hash(),
            columns.join(", ")
        )
    }

    /// Some rows that differ, both sides as text.
    #[must_use]
    pub(super) fn examples(&self, raw: &str, state: &str, only: &str) -> String {
        format!(
            "SELECT names, cells, raw_rows, state_rows FROM ({}) WHERE differs LIMIT 5",
            self.compared(raw, state, &Of::Keys(only), true)
        )
    }
}

impl Value {
    fn of(&self, side: u8) -> String {
        format!(
            "{}({}, _side = {side})",
            self.function,
            identifier(&self.name)
        )
    }

    fn differs(&self) -> String {
        let (a, b) = (self.of(1), self.of(2));
        match self.sameness {
            Sameness::Equal => format!("NOT ifNull({a} = {b}, isNull({a}) AND isNull({b}))"),
            Sameness::Set => format!("arraySort({a}) != arraySort({b})"),
            Sameness::Close => format!(
                "NOT ifNull(isNaN({a}) AND isNaN({b}) OR abs({a} - {b}) <= 1e-9 * greatest(abs({a}), abs({b})), isNull({a}) AND isNull({b}))"
            ),
        }
    }
}

/// Functions whose result depends on the order in which rows arrive, or on chance.
const UNSTABLE: [&str; 9] = [
    "any",
    "first_value",
    "last_value",
    "groupArray",
    "topK",
    "quantile",
    "median",
    "approx_top",
    "kurt",
];

fn value(column: &StateColumn) -> Option<Value> {
    let r#type = &column.r#type;
    let Some((function, inner)) = aggregate(r#type) else {
        return is_number(r#type).then(|| Value {
            name: column.name.clone(),
            r#type: r#type.clone(),
            function: "sumIf".to_owned(),
            sameness: if r#type.starts_with("Float") {
                Sameness::Close
            } else {
                Sameness::Equal
            },
        });
    };
    let (name, parameters) = match function.find('(') {
        Some(at) => (
            function.get(..at).unwrap_or_default(),
            function.get(at..).unwrap_or_default(),
        ),
        None => (function.as_str(), ""),
    };
    let exact = name.starts_with("quantileExact") || name.starts_with("quantilesExact");
    if UNSTABLE.iter().any(|it| name.starts_with(it)) && !exact {
        return None;
    }
    let float = r#type.contains("Float") || name.starts_with("avg");
    let sameness = if name.starts_with("groupUniqArray") {
        Sameness::Set
    } else if float && !matches!(name, "min" | "max" | "argMin" | "argMax") {
        Sameness::Close
    } else {
        Sameness::Equal
    };
    let merge = if inner.is_some() { "" } else { "Merge" };
    Some(Value {
        name: column.name.clone(),
        r#type: inner.unwrap_or_else(|| r#type.clone()),
        function: format!("{name}{merge}If{parameters}"),
        sameness,
    })
}

/// Whether an expression names a column.
fn mentions_column(expression: &str, column: &str) -> bool {
    tokens(expression).any(|token| {
        token.kind.is_significant() && token.span.of(expression).trim_matches(['`', '"']) == column
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value_of(r#type: &str) -> Option<(String, Sameness)> {
        let column = StateColumn {
            name: "c".to_owned(),
            r#type: r#type.to_owned(),
        };
        value(&column).map(|it| (it.of(1), it.sameness))
    }

    #[test]
    fn each_column_is_put_together_as_its_merges_do() {
        let some = |text: &str, sameness| Some((text.to_owned(), sameness));
        assert_eq!(
            value_of("SimpleAggregateFunction(min, Tuple(a UInt8, b String))"),
            some("minIf(`c`, _side = 1)", Sameness::Equal)
        );
        assert_eq!(
            value_of("AggregateFunction(uniq, String)"),
            some("uniqMergeIf(`c`, _side = 1)", Sameness::Equal)
        );
        assert_eq!(
            value_of("AggregateFunction(quantileExact(0.5), UInt64)"),
            some("quantileExactMergeIf(0.5)(`c`, _side = 1)", Sameness::Equal)
        );
        assert_eq!(
            value_of("SimpleAggregateFunction(sum, Float64)"),
            some("sumIf(`c`, _side = 1)", Sameness::Close)
        );
        assert_eq!(value_of("SimpleAggregateFunction(anyLast, String)"), None);
        assert_eq!(value_of("String"), None);
    }
}
