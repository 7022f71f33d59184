//! What changes between two versions of a schema: a table for the reviewer, and JSON.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::report::{BAD, GOOD, STRONG, Table, count, duration, styled};
use crate::viewtest::against::{Change, Outcome, Subject};
use crate::viewtest::rows::show;

/// Lines of a view's table.
const SHOWN: usize = 30;

/// For a person.
#[must_use]
pub fn human(outcome: &Outcome, against: &str, took: Duration) -> String {
    let mut text = String::new();
    let mut table = Table::new(&["view", "rows", "change", "in rows"]);
    table.right(1);
    table.right(3);
    for subject in &outcome.subjects {
        summary(subject, &mut table);
    }
    for (name, is_new) in &outcome.alone {
        let change = if *is_new {
            "is new".to_owned()
        } else {
            styled(BAD, "is gone")
        };
        table.row(vec![name.clone(), String::new(), change, String::new()]);
    }
    let _ = write!(text, "{table}");
    for subject in &outcome.subjects {
        if !subject.changes.is_empty() {
            let _ = writeln!(text, "\n{}\n", styled(STRONG, &subject.name));
            let _ = write!(text, "{}", rows(subject));
        }
    }
    for (case, why) in &outcome.unplayed {
        let _ = writeln!(text, "\n{} {case} {why}", styled(BAD, "not played"));
    }
    let changed = outcome
        .subjects
        .iter()
        .filter(|subject| !subject.is_same())
        .count()
        + outcome.alone.len();
    let _ = writeln!(
        text,
        "\n{} against {against}: {} of rows in {}",
        if outcome.is_same() {
            styled(GOOD, "nothing changes")
        } else {
            styled(
                BAD,
                format!(
                    "{changed} of {} {}",
                    count(outcome.subjects.len() + outcome.alone.len(), "view"),
                    if changed == 1 { "changes" } else { "change" }
                ),
            )
        },
        count(outcome.stories, "set"),
        duration(took)
    );
    text
}

/// A view's lines in the table of all.
fn summary(subject: &Subject, table: &mut Table) {
    let mut line = |change: String, rows: usize| {
        table.row(vec![
            subject.name.clone(),
            subject.rows.to_string(),
            change,
            if rows == 0 {
                String::new()
            } else {
                rows.to_string()
            },
        ]);
    };
    if subject.is_same() {
        line(styled(GOOD, "same"), 0);
    }
    for column in &subject.columns_gone {
        line(styled(BAD, format!("column {column} is gone")), 0);
    }
    for column in &subject.columns_new {
        line(format!("column {column} is new"), 0);
    }
    let (gone, new) = subject.rows_gone_and_new();
    if gone > 0 {
        line(styled(BAD, "rows gone"), gone);
    }
    if new > 0 {
        line("rows new".to_owned(), new);
    }
    for (column, rows) in subject.columns() {
        line(column.to_owned(), rows);
    }
}

/// The rows of a view that change, one line a column.
fn rows(subject: &Subject) -> String {
    let mut table = Table::new(&["case", "row", "column", "before", "now"]);
    let mut left = 0;
    for (number, change) in subject.changes.iter().enumerate() {
        if number >= SHOWN {
            left += 1;
            continue;
        }
        let row = key(change);
        let mut line = |column: String, before: String, now: String| {
            table.row(vec![change.case.clone(), row.clone(), column, before, now]);
        };
        match (&change.row.expected, &change.row.found) {
            (Some(_), None) => line(String::new(), String::new(), styled(BAD, "is gone")),
            (None, _) => line(String::new(), String::new(), "is new".to_owned()),
            (Some(before), Some(now)) => {
                for at in change.changed() {
                    let value = |row: &Vec<Option<String>>| {
                        row.get(at)
                            .map_or_else(String::new, |value| show(value.as_deref()))
                    };
                    line(
                        change.columns.get(at).cloned().unwrap_or_default(),
                        styled(BAD, value(before)),
                        styled(GOOD, value(now)),
                    );
                }
            }
        }
    }
    if left > 0 {
        format!("{table} … and {}\n", count(left, "more row"))
    } else {
        table.to_string()
    }
}

/// Which row it is.
fn key(change: &Change) -> String {
    let row = change.row.found.as_ref().or(change.row.expected.as_ref());
    let values: Vec<String> = change
        .keys
        .iter()
        .filter_map(|at| row?.get(*at))
        .map(|value| show(value.as_deref()))
        .collect();
    values.join(" · ")
}

#[derive(Serialize)]
struct OutcomeJson<'a> {
    version: u32,
    same: bool,
    against: &'a str,
    views: Vec<SubjectJson<'a>>,
    views_new: Vec<&'a str>,
    views_gone: Vec<&'a str>,
    not_played: Vec<UnplayedJson<'a>>,
    sets_of_rows: usize,
    took_ms: u128,
}

#[derive(Serialize)]
struct UnplayedJson<'a> {
    case: &'a str,
    message: &'a str,
}

#[derive(Serialize)]
struct SubjectJson<'a> {
    name: &'a str,
    rows: usize,
    rows_gone: usize,
    rows_new: usize,
    columns_gone: &'a [String],
    columns_new: &'a [String],
    columns: Map<String, Value>,
    changes: Vec<ChangeJson<'a>>,
}

#[derive(Serialize)]
struct ChangeJson<'a> {
    case: &'a str,
    columns: Vec<&'a str>,
    before: Option<Map<String, Value>>,
    now: Option<Map<String, Value>>,
}

fn subject(subject: &Subject) -> SubjectJson<'_> {
    let (rows_gone, rows_new) = subject.rows_gone_and_new();
    SubjectJson {
        name: &subject.name,
        rows: subject.rows,
        rows_gone,
        rows_new,
        columns_gone: &subject.columns_gone,
        columns_new: &subject.columns_new,
        columns: subject
            .columns()
            .into_iter()
            .map(|(name, rows)| (name.to_owned(), rows.into()))
            .collect(),
        changes: subject.changes.iter().map(change).collect(),
    }
}

fn change(change: &Change) -> ChangeJson<'_> {
    let object = |row: Option<&Vec<Option<String>>>| {
        row.map(|row| {
            change
                .columns
                .iter()
                .zip(row)
                .map(|(column, value)| (column.clone(), value.clone().into()))
                .collect()
        })
    };
    ChangeJson {
        case: &change.case,
        columns: change
            .changed()
            .into_iter()
            .filter_map(|at| change.columns.get(at).map(String::as_str))
            .collect(),
        before: object(change.row.expected.as_ref()),
        now: object(change.row.found.as_ref()),
    }
}

/// For a program.
#[must_use]
pub fn json(outcome: &Outcome, against: &str, took: Duration) -> String {
    let alone = |wanted: bool| {
        outcome
            .alone
            .iter()
            .filter(|(_, is_new)| *is_new == wanted)
            .map(|(name, _)| name.as_str())
            .collect()
    };
    crate::report::json(&OutcomeJson {
        version: crate::report::JSON_VERSION,
        same: outcome.is_same(),
        against,
        views: outcome.subjects.iter().map(subject).collect(),
        views_new: alone(true),
        views_gone: alone(false),
        not_played: outcome
            .unplayed
            .iter()
            .map(|(case, message)| UnplayedJson { case, message })
            .collect(),
        sets_of_rows: outcome.stories,
        took_ms: took.as_millis(),
    })
}
