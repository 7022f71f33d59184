//! What `test --invariance` found: for a person, and as JSON.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use crate::report::test::{DifferenceJson, difference, differences, indent};
use crate::report::{BAD, GOOD, QUIET, STRONG, WAITING, count, duration, styled};
use crate::viewtest::invariance::{Finding, Outcome, Subject, Verdict};

fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Stable => "stable",
        Verdict::Empty => "empty",
        Verdict::Skipped(_) => "skipped",
        Verdict::Broken(_) => "broken",
        Verdict::Unstable(_) => "UNSTABLE",
        Verdict::NotMergeable(_) => "NOT MERGEABLE",
    }
}

fn name(subject: &Subject) -> String {
    if subject.is_state {
        format!("{} (finalized)", subject.name)
    } else {
        subject.name.clone()
    }
}

/// For a person.
#[must_use]
pub fn human(outcome: &Outcome, seed: u64, took: Duration) -> String {
    let mut text = String::new();
    for subject in &outcome.subjects {
        let (style, note) = match &subject.verdict {
            Verdict::Stable => (GOOD, String::new()),
            Verdict::Empty => (
                WAITING,
                "the generated rows give it no rows, so nothing is proven; write a case".to_owned(),
            ),
            Verdict::Skipped(why) => (QUIET, (*why).to_owned()),
            Verdict::Broken(said) => (BAD, said.clone()),
            Verdict::Unstable(finding) | Verdict::NotMergeable(finding) => {
                (BAD, finding.columns.join(", "))
            }
        };
        let _ = writeln!(
            text,
            "{} {}{}",
            styled(style, format!("{:13}", word(&subject.verdict))),
            styled(STRONG, name(subject)),
            if note.is_empty() {
                note
            } else {
                format!(": {note}")
            }
        );
        match &subject.verdict {
            Verdict::Unstable(finding) => {
                let _ = writeln!(
                    text,
                    "\n  `{}` gives other rows than `{}`",
                    finding.history, finding.baseline
                );
                shrunk(&mut text, finding, "before", "now");
            }
            Verdict::NotMergeable(finding) => {
                let _ = writeln!(text, "\n  {} is not {}", finding.history, finding.baseline);
                shrunk(&mut text, finding, "SELECT", "kept");
            }
            _ => {}
        }
    }
    let bad = outcome
        .subjects
        .iter()
        .filter(|subject| !subject.verdict.is_good())
        .count();
    text.push('\n');
    for (table, taken, refused) in &outcome.tables {
        let _ = writeln!(
            text,
            "{}",
            styled(
                QUIET,
                format!(
                    "{table}: {} generated{}",
                    count(*taken, "row"),
                    if *refused > 0 {
                        format!(", {refused} more refused by the table")
                    } else {
                        String::new()
                    }
                )
            )
        );
    }
    let _ = writeln!(
        text,
        "{} of {} views and kept tables; {} in {} (seed {seed})",
        if bad == 0 {
            styled(GOOD, "0 wrong")
        } else {
            styled(BAD, format!("{bad} wrong"))
        },
        outcome.subjects.len(),
        count(outcome.readings, "reading"),
        duration(took)
    );
    text
}

fn shrunk(text: &mut String, finding: &Finding, before: &str, now: &str) {
    text.push_str(&difference(&finding.answer, before, now));
    for (table, rows) in &finding.rows {
        let _ = writeln!(
            text,
            "\n    {}",
            styled(
                QUIET,
                format!("the fewest rows of `{table}` with which it differs:")
            )
        );
        indent(text, &rows.render());
    }
    text.push('\n');
}

#[derive(Serialize)]
struct OutcomeJson<'a> {
    version: u32,
    ok: bool,
    seed: u64,
    views: Vec<SubjectJson<'a>>,
    tables: Vec<TableJson<'a>>,
    readings: usize,
    took_ms: u128,
}

#[derive(Serialize)]
struct TableJson<'a> {
    name: &'a str,
    rows: usize,
    refused: usize,
}

#[derive(Serialize)]
struct SubjectJson<'a> {
    name: &'a str,
    state: bool,
    verdict: &'static str,
    message: Option<&'a str>,
    baseline: Option<&'a str>,
    history: Option<&'a str>,
    columns: &'a [String],
    differences: Vec<DifferenceJson<'a>>,
    rows: Vec<RowsJson<'a>>,
}

#[derive(Serialize)]
struct RowsJson<'a> {
    table: &'a str,
    columns: &'a [String],
    rows: &'a [Vec<Option<String>>],
}

/// For a program.
#[must_use]
pub fn json(outcome: &Outcome, seed: u64, took: Duration) -> String {
    let views = outcome.subjects.iter().map(|subject| {
        let (message, finding) = match &subject.verdict {
            Verdict::Unstable(finding) | Verdict::NotMergeable(finding) => (None, Some(finding)),
            Verdict::Skipped(why) => (Some(*why), None),
            Verdict::Broken(said) => (Some(said.as_str()), None),
            Verdict::Stable | Verdict::Empty => (None, None),
        };
        SubjectJson {
            name: &subject.name,
            state: subject.is_state,
            verdict: match subject.verdict {
                Verdict::Unstable(_) => "unstable",
                Verdict::NotMergeable(_) => "not_mergeable",
                ref other => word(other),
            },
            message,
            baseline: finding.map(|finding| finding.baseline.as_str()),
            history: finding.map(|finding| finding.history.as_str()),
            columns: finding.map_or(&[][..], |finding| &finding.columns),
            differences: finding
                .map(|finding| differences(std::slice::from_ref(&finding.answer)))
                .unwrap_or_default(),
            rows: finding
                .map(|finding| {
                    finding
                        .rows
                        .iter()
                        .map(|(table, rows)| RowsJson {
                            table,
                            columns: &rows.columns,
                            rows: &rows.rows,
                        })
                        .collect()
                })
                .unwrap_or_default(),
        }
    });
    crate::report::json(&OutcomeJson {
        version: crate::report::JSON_VERSION,
        ok: outcome.is_good(),
        seed,
        views: views.collect(),
        tables: outcome
            .tables
            .iter()
            .map(|(name, rows, refused)| TableJson {
                name,
                rows: *rows,
                refused: *refused,
            })
            .collect(),
        readings: outcome.readings,
        took_ms: took.as_millis(),
    })
}
