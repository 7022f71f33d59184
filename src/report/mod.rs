//! Any outcome → human or JSON text. One file per outcome; the JSON has structs of its own, so that the contract does not move when a
//! field elsewhere is renamed. Colour is written as ANSI and stripped by whoever prints to something that has none.

pub mod against;
pub mod apply;
pub mod baseline;
pub mod check;
pub mod diagnostics;
pub mod diff;
pub mod docs;
pub mod drift;
pub mod dump;
pub mod explain;
pub mod import;
pub mod invariance;
pub mod lineage;
pub mod lint;
pub mod mutants;
pub mod plan;
pub mod query;
pub mod rebuild;
pub mod statements;
pub mod states;
pub mod status;
mod table;
pub mod test;

use std::time::Duration;

use anstyle::{AnsiColor, Effects, Style};
use serde::Serialize;

pub use crate::diagnostic::{bytes, thousands};
pub use crate::report::table::Table;

/// The `version` of every JSON object.
pub const JSON_VERSION: u32 = 1;

pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().effects(Effects::BOLD);
pub(crate) const WAITING: Style = AnsiColor::Yellow.on_default();
pub(crate) const QUIET: Style = AnsiColor::BrightBlack.on_default();
pub(crate) const STRONG: Style = Style::new().effects(Effects::BOLD);

/// A word in a style.
pub(crate) fn styled(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// The word that an error begins with.
#[must_use]
pub fn error_mark() -> String {
    styled(BAD, "error")
}

/// A JSON document with a line end.
#[must_use]
pub fn json(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value)
        .map(|text| text + "\n")
        .unwrap_or_default()
}

/// The rows of a query as a table: its columns in their order, numbers to the right, NULL as a dash.
#[must_use]
pub fn rows(rows: &[serde_json::Value]) -> Table {
    let Some(first) = rows.first().and_then(serde_json::Value::as_object) else {
        return Table::new(&["no rows"]);
    };
    let columns: Vec<&str> = first.keys().map(String::as_str).collect();
    let mut table = Table::new(&columns);
    for row in rows {
        let cell = |column: &&str| match row.get(column) {
            None | Some(serde_json::Value::Null) => "—".to_owned(),
            Some(serde_json::Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        table.row(columns.iter().map(cell).collect());
    }
    for (index, column) in columns.iter().enumerate() {
        if first.get(*column).is_some_and(serde_json::Value::is_number) {
            table.right(index);
        }
    }
    table
}

/// An error and its causes, one a line, each of them once, and what to do about it where that is known.
#[must_use]
pub fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut last = text.clone();
    let mut hint = hint(error);
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        // A transparent error says what its cause says.
        if said != last && !last.ends_with(&said) {
            text.push_str("\n  because: ");
            text.push_str(&said);
        }
        last = said;
        hint = hint.or_else(|| self::hint(cause));
        source = cause.source();
    }
    if let Some(hint) = hint {
        text.push_str("\n  ");
        text.push_str(hint);
    }
    text
}

/// What to do about an exception of the server that people meet before anything else works.
fn hint(error: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    let exception = error
        .downcast_ref::<crate::clickhouse::Error>()?
        .exception()?;
    match exception.code {
        81 => Some(
            "make it with CREATE DATABASE, or name another with `--database`; nothing was changed",
        ),
        164 => Some("this user may only read; nothing was changed"),
        192 | 193 | 194 | 516 => Some(
            "the user comes from the URL or HOUSEWRIGHT_USER, the password from HOUSEWRIGHT_PASSWORD or HOUSEWRIGHT_PASSWORD_FILE",
        ),
        497 => Some("this user lacks a right that is needed; nothing was changed"),
        _ => None,
    }
}

/// A duration as a person reads it.
#[must_use]
pub fn duration(duration: Duration) -> String {
    match duration.as_secs() {
        0 => format!("{} ms", duration.as_millis()),
        1..60 => format!("{:.1} s", duration.as_secs_f64()),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

/// `1 statement`, `2 statements`.
#[must_use]
pub fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", thousands(number as u64))
}

/// Two texts, line by line: what only the first has after `-`, what only the second has after `+`, with two lines around each change.
#[must_use]
pub fn lines(before: &str, after: &str) -> String {
    let difference = similar::TextDiff::from_lines(before.trim_end(), after.trim_end());
    let mut text = String::new();
    for (index, group) in difference.grouped_ops(2).iter().enumerate() {
        if index > 0 {
            text.push_str("  …\n");
        }
        for change in group.iter().flat_map(|op| difference.iter_changes(op)) {
            let line = change.value().trim_end_matches('\n');
            let line = match change.tag() {
                similar::ChangeTag::Delete => styled(BAD, format!("- {line}")),
                similar::ChangeTag::Insert => styled(GOOD, format!("+ {line}")),
                similar::ChangeTag::Equal => format!("  {line}"),
            };
            text.push_str("  ");
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
    text
}

/// A moment as `2026-11-24 10:50:34 UTC`.
#[must_use]
pub fn moment(seconds_since_1970: u64) -> String {
    i64::try_from(seconds_since_1970)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map_or_else(String::new, |time| {
            time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1000), "1,000");
        assert_eq!(thousands(12_345_678), "12,345,678");
        assert_eq!(count(1, "statement"), "1 statement");
        assert_eq!(count(1200, "statement"), "1,200 statements");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(3 << 40), "3.0 TiB");
        assert_eq!(moment(0), "1970-01-01 00:00:00 UTC");
    }
}
