//! What `apply` would do, statement by statement.

use std::fmt::Write as _;

use serde::Serialize;

use crate::plan::{Plan, Step};
use crate::report::{JSON_VERSION, QUIET, STRONG, Table, count, styled};

/// For a person.
#[must_use]
pub fn human(plan: &Plan, target: &str, database: &str) -> String {
    if plan.steps.is_empty() {
        return format!("{database} on {target} is up to date: nothing to do\n");
    }
    let mut text = format!(
        "{database} on {target}: {} to execute\n",
        count(plan.steps.len(), "statement")
    );
    let mut last = None;
    let mut table = Table::new(&[]);
    for step in &plan.steps {
        if last != Some(step.version) {
            flush(&mut text, &mut table);
            let _ = write!(
                text,
                "\n{}  {}\n",
                styled(STRONG, crate::plan::title(step.version, &step.name)),
                styled(QUIET, &step.path)
            );
            last = Some(step.version);
        }
        table.row(vec![
            format!("{}/{}", step.number, step.total),
            step.label.clone(),
            step.objects.join(", "),
            styled(QUIET, step.class.label()),
        ]);
    }
    flush(&mut text, &mut table);
    text
}

fn flush(text: &mut String, table: &mut Table) {
    if !table.is_empty() {
        text.push_str(&table.to_string());
    }
    *table = Table::new(&[]);
}

#[derive(Serialize)]
struct Json<'a> {
    version: u32,
    target: &'a str,
    database: &'a str,
    journal_position: u64,
    steps: Vec<StepJson<'a>>,
    findings: Vec<crate::report::diagnostics::Json<'a>>,
}

/// One statement in JSON.
#[derive(Debug, Serialize)]
pub struct StepJson<'a> {
    version: u64,
    name: &'a str,
    path: &'a camino::Utf8Path,
    line: usize,
    statement: u32,
    statements: u32,
    kind: &'a str,
    class: &'a str,
    objects: &'a [String],
    sql: &'a str,
    sha256: &'a str,
}

/// One statement for a program.
#[must_use]
pub fn step(step: &Step) -> StepJson<'_> {
    StepJson {
        version: step.version,
        name: &step.name,
        path: &step.path,
        line: step.line,
        statement: step.number,
        statements: step.total,
        kind: &step.label,
        class: step.class.label(),
        objects: &step.objects,
        sql: &step.sql,
        sha256: &step.sha256,
    }
}

/// For a program.
#[must_use]
pub fn json(plan: &Plan, target: &str, database: &str) -> String {
    crate::report::json(&Json {
        version: JSON_VERSION,
        target,
        database,
        journal_position: plan.journal_position,
        steps: plan.steps.iter().map(step).collect(),
        findings: crate::report::diagnostics::json(&plan.refusals),
    })
}
