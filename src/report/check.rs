//! The gate for CI: what was looked at, step by step, and whether it holds.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use crate::diagnostic::{Diagnostic, Severity};
use crate::report::lint::{number, numbers};
use crate::report::{
    BAD, GOOD, JSON_VERSION, QUIET, Table, WAITING, diagnostics, duration, json, styled,
};

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It holds.
    Passed,
    /// It does not.
    Failed,
    /// It was not taken.
    Skipped,
}

/// A step of the gate.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its name, for `--skip` and JSON.
    pub name: &'static str,
    /// How it ended.
    pub ending: Ending,
    /// What was looked at, or why it was not.
    pub what: String,
}

impl Step {
    /// One that was not taken.
    #[must_use]
    pub fn skipped(name: &'static str, why: impl Into<String>) -> Self {
        Self {
            name,
            ending: Ending::Skipped,
            what: why.into(),
        }
    }

    /// One that holds if there is no error among its findings.
    #[must_use]
    pub fn of(name: &'static str, findings: &[Diagnostic], what: impl Into<String>) -> Self {
        let what = what.into();
        let numbers = numbers(findings);
        let failed = number(findings, Severity::Error) > 0;
        Self {
            name,
            ending: if failed {
                Ending::Failed
            } else {
                Ending::Passed
            },
            what: match (numbers.is_empty(), what.is_empty()) {
                (true, _) => what,
                (false, true) => numbers,
                (false, false) => format!("{numbers}: {what}"),
            },
        }
    }
}

/// All steps.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// In the order of a person's reading.
    pub steps: Vec<Step>,
    /// What all of them found.
    pub findings: Vec<Diagnostic>,
    /// What the view cases say for a person, where they fail.
    pub cases: String,
}

impl Outcome {
    /// Whether everything that was looked at holds.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.steps.iter().all(|step| step.ending != Ending::Failed)
    }
}

/// The summary for a person: a line a step.
#[must_use]
pub fn summary(outcome: &Outcome, took: Duration) -> String {
    let mut table = Table::new(&[]);
    for step in &outcome.steps {
        let (word, style) = match step.ending {
            Ending::Passed => ("passed", GOOD),
            Ending::Failed => ("FAILED", BAD),
            Ending::Skipped => ("skipped", WAITING),
        };
        table.row(vec![
            styled(style, word),
            step.name.to_owned(),
            step.what.clone(),
        ]);
    }
    let verdict = if outcome.is_good() {
        styled(GOOD, "the schema holds")
    } else {
        styled(BAD, "the schema does not hold")
    };
    format!(
        "{table}\n{verdict} {}\n",
        styled(QUIET, format!("in {}", duration(took)))
    )
}

/// Findings, failed cases and the summary for a person.
#[must_use]
pub fn human(
    outcome: &Outcome,
    took: Duration,
    source: &dyn Fn(&camino::Utf8Path) -> Option<String>,
) -> String {
    // A case is drawn with its rows instead.
    let findings: Vec<Diagnostic> = outcome
        .findings
        .iter()
        .filter(|finding| outcome.cases.is_empty() || finding.code != "view-case")
        .cloned()
        .collect();
    let mut text = diagnostics::human(&findings, source);
    text.push_str(&outcome.cases);
    if !outcome.cases.is_empty() {
        text.push('\n');
    }
    let _ = write!(text, "{}", summary(outcome, took));
    text
}

#[derive(Serialize)]
struct Json<'a> {
    version: u32,
    ok: bool,
    duration_ms: u64,
    steps: Vec<JsonStep<'a>>,
    findings: Vec<diagnostics::Json<'a>>,
}

#[derive(Serialize)]
struct JsonStep<'a> {
    name: &'a str,
    state: &'a str,
    what: &'a str,
}

/// For a program.
#[must_use]
pub fn json_text(outcome: &Outcome, took: Duration) -> String {
    json(&Json {
        version: JSON_VERSION,
        ok: outcome.is_good(),
        duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        steps: outcome
            .steps
            .iter()
            .map(|step| JsonStep {
                name: step.name,
                state: match step.ending {
                    Ending::Passed => "passed",
                    Ending::Failed => "failed",
                    Ending::Skipped => "skipped",
                },
                what: &step.what,
            })
            .collect(),
        findings: diagnostics::json(&outcome.findings),
    })
}
