//! What was adopted.

use serde::Serialize;

use crate::diagnostic::Diagnostic;
use crate::plan::Step;
use crate::report::{JSON_VERSION, count};

/// For a person.
#[must_use]
pub fn human(titles: &[String], target: &str, database: &str) -> String {
    if titles.is_empty() {
        return format!(
            "{database} on {target}: the journal knows all of them already; nothing was written\n"
        );
    }
    format!(
        "{database} on {target}: {} adopted, nothing executed: {}\n",
        count(titles.len(), "migration"),
        titles.join(", ")
    )
}

#[derive(Serialize)]
struct Json<'a> {
    version: u32,
    target: &'a str,
    database: &'a str,
    adopted: Vec<crate::report::plan::StepJson<'a>>,
    findings: Vec<crate::report::diagnostics::Json<'a>>,
}

/// For a program.
#[must_use]
pub fn json(steps: &[Step], differences: &[Diagnostic], target: &str, database: &str) -> String {
    crate::report::json(&Json {
        version: JSON_VERSION,
        target,
        database,
        adopted: steps.iter().map(crate::report::plan::step).collect(),
        findings: crate::report::diagnostics::json(differences),
    })
}
