//! What cases leave in the tables that triggers keep, beside what they read: for a person, and as JSON.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::report::test::indent;
use crate::report::{BAD, QUIET, STRONG, styled};
use crate::viewtest::Suite;
use crate::viewtest::rows::Rows;
use crate::viewtest::states::Outcome;

/// For a person.
#[must_use]
pub fn human(suite: &Suite, outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for outcome in outcomes {
        let Some(case) = suite.cases.get(outcome.index) else {
            continue;
        };
        let _ = writeln!(
            text,
            "{} {}",
            styled(STRONG, &case.title),
            styled(QUIET, &case.path)
        );
        for (heading, rows) in &outcome.answers {
            let _ = writeln!(text, "\n  {}\n", styled(STRONG, heading));
            indent(&mut text, &rows.render());
        }
        for (table, history, rows) in &outcome.states {
            let _ = writeln!(text, "\n  {} {history}\n", styled(STRONG, table));
            indent(&mut text, &rows.render());
        }
        if let Some(why) = &outcome.unplayed {
            let _ = writeln!(text, "\n  {} {why}", styled(BAD, "not played:"));
        }
        text.push('\n');
    }
    text
}

#[derive(Serialize)]
struct Json<'a> {
    version: u32,
    cases: Vec<CaseJson<'a>>,
}

#[derive(Serialize)]
struct CaseJson<'a> {
    name: &'a str,
    path: &'a str,
    answers: Vec<AnswerJson<'a>>,
    states: Vec<StateJson<'a>>,
    not_played: Option<&'a str>,
}

#[derive(Serialize)]
struct AnswerJson<'a> {
    query: &'a str,
    rows: Vec<Map<String, Value>>,
}

#[derive(Serialize)]
struct StateJson<'a> {
    table: &'a str,
    history: String,
    rows: Vec<Map<String, Value>>,
}

fn objects(rows: &Rows) -> Vec<Map<String, Value>> {
    rows.rows
        .iter()
        .map(|row| {
            rows.columns
                .iter()
                .zip(row)
                .map(|(column, value)| (column.clone(), value.clone().into()))
                .collect()
        })
        .collect()
}

/// For a program.
#[must_use]
pub fn json(suite: &Suite, outcomes: &[Outcome]) -> String {
    let cases = outcomes.iter().filter_map(|outcome| {
        let case = suite.cases.get(outcome.index)?;
        Some(CaseJson {
            name: &case.name,
            path: case.path.as_str(),
            answers: outcome
                .answers
                .iter()
                .map(|(query, rows)| AnswerJson {
                    query,
                    rows: objects(rows),
                })
                .collect(),
            states: outcome
                .states
                .iter()
                .map(|(table, history, rows)| StateJson {
                    table,
                    history: history.to_string(),
                    rows: objects(rows),
                })
                .collect(),
            not_played: outcome.unplayed.as_deref(),
        })
    });
    crate::report::json(&Json {
        version: crate::report::JSON_VERSION,
        cases: cases.collect(),
    })
}
