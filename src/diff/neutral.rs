//! What may be added to merged rows without changing them: columns to which the same rows may be added twice, and values that leave a
//! column as it is. Only types, and pure.
//!
//! A row that fills a new column meets, in a merge, the rows that are there. In every other column it has what changes nothing: what a
//! column of this type begins with (0, '', NULL, the empty state), or where that is not enough the value that is there already.

use crate::catalog::{Column, list};

/// Aggregate functions of which the same rows, added twice, give the same, with what their names end with without changing that.
const IDEMPOTENT: [&str; 16] = [
    "min",
    "max",
    "argMin",
    "argMax",
    "uniq",
    "uniqExact",
    "uniqCombined",
    "uniqCombined64",
    "uniqHLL12",
    "uniqTheta",
    "groupUniqArray",
    "groupBitAnd",
    "groupBitOr",
    "groupBitmap",
    "minMap",
    "maxMap",
];
const COMBINATORS: [&str; 4] = ["If", "Array", "OrNull", "OrDefault"];

/// How a column of the state is left as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Neutral {
    /// By the value that its type begins with.
    Default,
    /// By the value that is there: the function of which it is a value.
    Own(String),
}

/// An aggregating column's function, and for `SimpleAggregateFunction` the type of its values.
#[must_use]
pub fn aggregate(r#type: &str) -> Option<(String, Option<String>)> {
    let (simple, inner) = r#type
        .strip_prefix("SimpleAggregateFunction(")
        .map(|inner| (true, inner))
        .or_else(|| {
            r#type
                .strip_prefix("AggregateFunction(")
                .map(|inner| (false, inner))
        })?;
    let inner = inner.strip_suffix(')')?;
    let mut parts = list(inner).into_iter();
    let mut function = parts.next()?;
    if function.chars().all(|c| c.is_ascii_digit()) {
        // The version of a state's layout.
        function = parts.next()?;
    }
    let value = parts.next();
    Some((function, value.filter(|_| simple)))
}

/// Whether history may be added to a new column while rows come in, in part twice.
///
/// # Errors
/// Why not.
pub fn added(column: &Column) -> Result<(), String> {
    let Some((function, value)) = aggregate(&column.r#type) else {
        return Err(format!(
            "it is {}, and merges keep one of its values, whichever",
            column.r#type
        ));
    };
    let Some(value) = value else {
        return if is_idempotent(&function) {
            Ok(())
        } else {
            Err(format!(
                "the same rows, added twice to {function}, count twice, and while rows come in nobody can add each once"
            ))
        };
    };
    let begins = match function.as_str() {
        "min" | "groupBitAnd" => is_nullable(&value),
        "max" => is_nullable(&value) || begins_lowest(&value),
        "groupBitOr" | "groupUniqArrayArray" | "minMap" | "maxMap" => true,
        _ => {
            return Err(format!(
                "the same rows, added twice to {function}, count twice, and while rows come in nobody can add each once"
            ));
        }
    };
    if begins || column.default == "DEFAULT" {
        Ok(())
    } else {
        Err(format!(
            "what {value} begins with is not the {} of all, so rows that are there would count as that: give the column a DEFAULT that is, or let it be AggregateFunction({function}, {value})",
            match function.as_str() {
                "max" => "lowest",
                "min" => "highest",
                _ => "neutral one",
            }
        ))
    }
}

/// What leaves a column of the state as it is.
///
/// # Errors
/// Why nothing does.
pub fn neutral(column: &Column) -> Result<Neutral, String> {
    let Some((function, value)) = aggregate(&column.r#type) else {
        return Err(format!(
            "`{}` is {}, and merges keep one of its values, whichever",
            column.name, column.r#type
        ));
    };
    if column.default == "DEFAULT" {
        return match (function.as_str(), &value) {
            ("min" | "max" | "groupBitAnd", Some(_)) => Ok(Neutral::Own(function)),
            _ => Err(format!(
                "`{}` has a DEFAULT, which would be merged into it once more",
                column.name
            )),
        };
    }
    let Some(value) = value else {
        return Ok(Neutral::Default);
    };
    match function.as_str() {
        _ if is_nullable(&value) => Ok(Neutral::Default),
        "sum"
        | "sumWithOverflow"
        | "sumMap"
        | "sumMapWithOverflow"
        | "minMap"
        | "maxMap"
        | "groupBitOr"
        | "groupBitXor"
        | "groupArrayArray"
        | "groupUniqArrayArray" => Ok(Neutral::Default),
        "min" | "max" | "groupBitAnd" => Ok(Neutral::Own(function)),
        _ => Err(format!(
            "`{}` is {function}, for which no value leaves it as it is",
            column.name
        )),
    }
}

fn is_idempotent(function: &str) -> bool {
    let mut name = function.split('(').next().unwrap_or_default();
    loop {
        if IDEMPOTENT.contains(&name) {
            return true;
        }
        let shorter = COMBINATORS.iter().find_map(|it| name.strip_suffix(it));
        let Some(shorter) = shorter else { return false };
        name = shorter;
    }
}

fn is_nullable(r#type: &str) -> bool {
    r#type.starts_with("Nullable(") || r#type.starts_with("LowCardinality(Nullable(")
}

/// Whether nothing is less than what a type begins with.
fn begins_lowest(r#type: &str) -> bool {
    let inner = r#type
        .strip_prefix("LowCardinality(")
        .and_then(|rest| rest.strip_suffix(')'))
        .unwrap_or(r#type);
    if let Some(elements) = inner
        .strip_prefix("Tuple(")
        .and_then(|rest| rest.strip_suffix(')'))
    {
        return list(elements).iter().all(|element| {
            // `name Type`, or the type alone.
            let named = element.split_once(' ').map(|(_, r#type)| r#type);
            begins_lowest(element) || named.is_some_and(begins_lowest)
        });
    }
    inner.starts_with("UInt")
        || inner == "String"
        || inner.starts_with("FixedString(")
        || inner == "Date"
        || inner == "DateTime"
        || inner.starts_with("DateTime(")
        || matches!(inner, "Bool" | "IPv4" | "IPv6" | "UUID")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(r#type: &str, default: &str) -> Column {
        Column {
            name: "c".to_owned(),
            r#type: r#type.to_owned(),
            default: default.to_owned(),
        }
    }

    #[test]
    fn what_may_be_added_twice() {
        for r#type in [
            "SimpleAggregateFunction(max, String)",
            "SimpleAggregateFunction(max, LowCardinality(String))",
            "SimpleAggregateFunction(max, Tuple(known UInt8, id String))",
            "SimpleAggregateFunction(min, Nullable(DateTime64(3)))",
            "SimpleAggregateFunction(groupUniqArrayArray, Array(String))",
            "AggregateFunction(uniq, String)",
            "AggregateFunction(1, uniqExactIf, String, UInt8)",
            "AggregateFunction(argMin, String, DateTime64(3))",
            "AggregateFunction(groupUniqArray(10), String)",
        ] {
            assert_eq!(added(&column(r#type, "")), Ok(()), "{type}");
        }
        for r#type in [
            "String",
            "SimpleAggregateFunction(sum, UInt64)",
            "SimpleAggregateFunction(anyLast, String)",
            "SimpleAggregateFunction(max, DateTime64(3))",
            "SimpleAggregateFunction(max, Tuple(UInt8, Int8))",
            "SimpleAggregateFunction(min, DateTime)",
            "SimpleAggregateFunction(min, Tuple(at DateTime, id String))",
            "AggregateFunction(count)",
            "AggregateFunction(avg, UInt64)",
            "AggregateFunction(any, String)",
        ] {
            assert!(added(&column(r#type, "")).is_err(), "{type}");
        }
        assert!(added(&column("SimpleAggregateFunction(min, DateTime)", "DEFAULT")).is_ok());
        assert!(added(&column("SimpleAggregateFunction(sum, UInt8)", "DEFAULT")).is_err());
    }

    #[test]
    fn what_leaves_a_column_as_it_is() {
        let of = |r#type: &str| neutral(&column(r#type, ""));
        let own = |function: &str| Ok(Neutral::Own(function.to_owned()));
        for r#type in [
            "SimpleAggregateFunction(sum, UInt64)",
            "SimpleAggregateFunction(min, Nullable(DateTime))",
            "SimpleAggregateFunction(any, Nullable(String))",
            "AggregateFunction(any, String)",
            "AggregateFunction(count)",
        ] {
            assert_eq!(of(r#type), Ok(Neutral::Default), "{type}");
        }
        assert_eq!(of("SimpleAggregateFunction(min, DateTime)"), own("min"));
        assert_eq!(
            of("SimpleAggregateFunction(max, Tuple(a UInt8))"),
            own("max")
        );
        for r#type in ["String", "SimpleAggregateFunction(any, String)"] {
            assert!(of(r#type).is_err(), "{type}");
        }
        assert!(neutral(&column("SimpleAggregateFunction(sum, UInt8)", "DEFAULT")).is_err());
        assert_eq!(
            neutral(&column("SimpleAggregateFunction(min, UInt8)", "DEFAULT")),
            own("min")
        );
    }
}
