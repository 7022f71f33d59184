//! Whether every value of one type is one of another: what MODIFY COLUMN loses.
//!
//! What is not known to be kept counts as lost.

use std::collections::BTreeSet;

use crate::sql::lexer::{TokenKind, tokens};

/// What a change of type may lose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// NULL has no place any more.
    Nulls,
    /// Not every value fits.
    Values,
}

/// What a column loses when its type becomes another; `None`: nothing.
#[must_use]
pub fn loss(from: &str, to: &str) -> Option<Loss> {
    let (from, to) = (plain(from), plain(to));
    let (from_inner, to_inner) = (inside(&from, "Nullable"), inside(&to, "Nullable"));
    if from_inner.is_some() && to_inner.is_none() {
        return Some(Loss::Nulls);
    }
    let from = from_inner.map_or(from.as_str(), |inner| inner);
    let to = to_inner.map_or(to.as_str(), |inner| inner);
    if let (Some(from), Some(to)) = (inside(from, "Array"), inside(to, "Array")) {
        return loss(from, to);
    }
    (!fits(from, to)).then_some(Loss::Values)
}

/// Without white space, and without `LowCardinality`, which changes no value.
fn plain(r#type: &str) -> String {
    let text: String = tokens(r#type)
        .filter(|token| token.kind.is_significant())
        .map(|token| token.span.of(r#type))
        .collect();
    match inside(&text, "LowCardinality") {
        Some(inner) => inner.to_owned(),
        None => text,
    }
}

/// The arguments of `name(…)`.
fn inside<'a>(r#type: &'a str, name: &str) -> Option<&'a str> {
    r#type
        .strip_prefix(name)?
        .strip_prefix('(')?
        .strip_suffix(')')
}

fn fits(from: &str, to: &str) -> bool {
    if from == to || to == "String" {
        return true;
    }
    if let (Some(from), Some(to)) = (integer(from), integer(to)) {
        return match (from, to) {
            ((true, from), (true, to)) | ((false, from), (false, to)) => from <= to,
            ((false, from), (true, to)) => from < to,
            ((true, _), (false, _)) => false,
        };
    }
    if let (Some((_, bits)), "Float32" | "Float64") = (integer(from), to) {
        return bits <= if to == "Float32" { 16 } else { 32 };
    }
    if let (Some(from), Some(to)) = (decimal(from), decimal(to)) {
        return from.1 <= to.1 && from.0 - from.1 <= to.0 - to.1;
    }
    if let (Some(from), Some(to)) = (names(from), names(to)) {
        return from.is_subset(&to);
    }
    if let (Some(from), Some(to)) = (inside(from, "FixedString"), inside(to, "FixedString")) {
        let length = |text: &str| text.parse::<u64>().ok();
        return length(from)
            .zip(length(to))
            .is_some_and(|(from, to)| from <= to);
    }
    match (moment(from), moment(to)) {
        // A time zone is how a moment is shown. Of DateTime64 more digits mean fewer years, which is bounded by 1900 and 2299 up to 8.
        (Some(Moment::Seconds), Some(Moment::Seconds)) => return true,
        (Some(Moment::Seconds), Some(Moment::Digits(_))) => return true,
        (Some(Moment::Digits(from)), Some(Moment::Digits(to))) => {
            return from <= to && (to < 9 || from == 9);
        }
        _ => {}
    }
    matches!(
        (from, to),
        ("Float32", "Float64") | ("Date", "Date32") | ("IPv4", "IPv6") | ("Bool", "UInt8")
    )
}

/// Whether it is signed, and its bits.
fn integer(r#type: &str) -> Option<(bool, u16)> {
    let (signed, bits) = match r#type.strip_prefix("UInt") {
        Some(bits) => (false, bits),
        None => (true, r#type.strip_prefix("Int")?),
    };
    Some((signed, bits.parse().ok()?))
}

/// All digits, and those behind the point.
fn decimal(r#type: &str) -> Option<(i32, i32)> {
    for (name, digits) in [
        ("Decimal32", 9),
        ("Decimal64", 18),
        ("Decimal128", 38),
        ("Decimal256", 76),
    ] {
        if let Some(scale) = inside(r#type, name) {
            return Some((digits, scale.parse().ok()?));
        }
    }
    let (precision, scale) = inside(r#type, "Decimal")?
        .split_once(',')
        .unwrap_or((inside(r#type, "Decimal")?, "0"));
    Some((precision.parse().ok()?, scale.parse().ok()?))
}

/// The names of an enum, each with its number.
fn names(r#type: &str) -> Option<BTreeSet<String>> {
    let inner = ["Enum8", "Enum16", "Enum"]
        .iter()
        .find_map(|name| inside(r#type, name))?;
    let mut names = BTreeSet::from([String::new()]);
    let mut name = String::new();
    for token in tokens(inner) {
        if token.kind == TokenKind::Comma {
            names.insert(std::mem::take(&mut name));
        } else {
            name.push_str(token.span.of(inner));
        }
    }
    names.insert(name);
    Some(names)
}

#[derive(Clone, Copy)]
enum Moment {
    Seconds,
    Digits(u8),
}

fn moment(r#type: &str) -> Option<Moment> {
    if let Some(arguments) = inside(r#type, "DateTime64") {
        let digits = arguments.split(',').next()?;
        return Some(Moment::Digits(digits.parse().ok()?));
    }
    (r#type == "DateTime" || inside(r#type, "DateTime").is_some()).then_some(Moment::Seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_kept_and_what_is_not_known_is_lost() {
        for (from, to) in [
            ("UInt8", "UInt16"),
            ("UInt8", "Int16"),
            ("Int8", "Nullable(Int8)"),
            ("String", "LowCardinality(String)"),
            ("LowCardinality(Nullable(String))", "Nullable(String)"),
            ("DateTime", "DateTime64(3, 'UTC')"),
            ("DateTime64(3)", "DateTime64(6)"),
            ("Decimal(9, 2)", "Decimal(12, 4)"),
            ("Decimal32(2)", "Decimal(18, 2)"),
            ("Enum8('a' = 1)", "Enum16('a'=1, 'b' = 2)"),
            ("Array(UInt8)", "Array(UInt32)"),
            ("FixedString(3)", "String"),
            ("UUID", "String"),
            ("UInt32", "Float64"),
        ] {
            assert_eq!(loss(from, to), None, "{from} → {to}");
        }
        for (from, to) in [
            ("UInt16", "UInt8"),
            ("UInt8", "Int8"),
            ("Int8", "UInt64"),
            ("String", "UInt8"),
            ("DateTime64(3)", "DateTime"),
            ("DateTime64(6)", "DateTime64(9)"),
            ("DateTime", "Date"),
            ("Decimal(9, 2)", "Decimal(9, 4)"),
            ("Enum8('a' = 1, 'b' = 2)", "Enum8('a' = 1)"),
            ("Enum8('a' = 1)", "Enum8('a' = 2)"),
            ("Array(UInt32)", "Array(UInt8)"),
            ("UInt64", "Float64"),
            ("Tuple(UInt8)", "Tuple(UInt16)"),
        ] {
            assert_eq!(loss(from, to), Some(Loss::Values), "{from} → {to}");
        }
        assert_eq!(loss("Nullable(UInt8)", "UInt8"), Some(Loss::Nulls));
        assert_eq!(
            loss("LowCardinality(Nullable(String))", "String"),
            Some(Loss::Nulls)
        );
    }
}
