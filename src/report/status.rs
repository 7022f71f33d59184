//! How every migration stands.

use std::fmt::Write as _;

use serde::Serialize;

use crate::plan::{Plan, Standing, State};
use crate::report::{BAD, GOOD, JSON_VERSION, Table, WAITING, count, duration, moment, styled};

/// For a person.
#[must_use]
pub fn human(plan: &Plan, target: &str, database: &str) -> String {
    if plan.standings.is_empty() {
        return format!("{database} on {target}: no migrations\n");
    }
    let mut table = Table::new(&["version", "name", "state", "statements", "applied", "by"]);
    for standing in &plan.standings {
        let record = standing.record.as_ref();
        table.row(vec![
            format!("{:04}", standing.version),
            standing.name.clone(),
            word(standing),
            format!(
                "{}/{}",
                record.map_or(0, crate::journal::Record::done),
                standing.statements
            ),
            record.map_or_else(String::new, |record| moment(record.recorded_at())),
            record.map_or_else(String::new, |record| {
                let by = record
                    .statements
                    .values()
                    .next_back()
                    .map_or("", |last| &last.by);
                let took = std::time::Duration::from_millis(record.duration_ms());
                format!("{by}, {}", duration(took))
            }),
        ]);
    }
    let number = |wanted: &str| {
        let number = plan
            .standings
            .iter()
            .filter(|standing| name(&standing.state) == wanted)
            .count();
        (number > 0).then(|| format!("{number} {wanted}"))
    };
    let summary: Vec<String> = NAMES.iter().filter_map(|name| number(name)).collect();
    let mut text = format!(
        "{database} on {target}\n\n{table}\n{}\n",
        summary.join(", ")
    );
    for standing in &plan.standings {
        if let (State::Failed { statement }, Some(record)) = (&standing.state, &standing.record)
            && let Some(failed) = record.statements.get(statement)
        {
            let _ = write!(
                text,
                "\n{} failed at statement {statement} of {}: {}\n  the {} before it {} done; correct the file and `apply` again, it continues there\n",
                crate::plan::title(standing.version, &standing.name),
                standing.statements,
                failed.error,
                count(*statement as usize - 1, "statement"),
                if *statement == 2 { "is" } else { "are" }
            );
        }
    }
    text
}

const NAMES: [&str; 8] = [
    "applied",
    "pending",
    "partial",
    "failed",
    "rolling back",
    "in doubt",
    "changed",
    "missing",
];

fn name(state: &State) -> &'static str {
    match state {
        State::Applied => "applied",
        State::Pending => "pending",
        State::Partial { .. } => "partial",
        State::Failed { .. } => "failed",
        State::RollingBack { .. } => "rolling back",
        State::InDoubt { .. } | State::RollbackInDoubt { .. } => "in doubt",
        State::Changed { .. } => "changed",
        State::Missing => "missing",
    }
}

fn word(standing: &Standing) -> String {
    let style = match standing.state {
        State::Applied => GOOD,
        State::Pending | State::Partial { .. } => WAITING,
        State::Failed { .. }
        | State::RollingBack { .. }
        | State::RollbackInDoubt { .. }
        | State::InDoubt { .. }
        | State::Changed { .. }
        | State::Missing => BAD,
    };
    styled(style, name(&standing.state))
}

#[derive(Serialize)]
struct Json<'a> {
    version: u32,
    target: &'a str,
    database: &'a str,
    up_to_date: bool,
    migrations: Vec<MigrationJson<'a>>,
    findings: Vec<crate::report::diagnostics::Json<'a>>,
}

#[derive(Serialize)]
struct MigrationJson<'a> {
    version: u64,
    name: &'a str,
    state: &'static str,
    statements: u32,
    done: u32,
    recorded_at: Option<u64>,
    duration_ms: Option<u64>,
    error: Option<&'a str>,
}

/// For a program.
#[must_use]
pub fn json(plan: &Plan, target: &str, database: &str) -> String {
    let mut findings: Vec<_> = plan
        .doubts
        .iter()
        .map(|doubt| doubt.finding.clone())
        .collect();
    findings.extend(plan.refusals.iter().cloned());
    let migrations = plan
        .standings
        .iter()
        .map(|standing| {
            let record = standing.record.as_ref();
            let error = record.and_then(|record| {
                record
                    .statements
                    .values()
                    .map(|statement| statement.error.as_str())
                    .find(|error| !error.is_empty())
            });
            MigrationJson {
                version: standing.version,
                name: &standing.name,
                state: name(&standing.state),
                statements: standing.statements,
                done: record.map_or(0, crate::journal::Record::done),
                recorded_at: record.map(crate::journal::Record::recorded_at),
                duration_ms: record.map(crate::journal::Record::duration_ms),
                error,
            }
        })
        .collect();
    crate::report::json(&Json {
        version: JSON_VERSION,
        target,
        database,
        up_to_date: plan.is_up_to_date(),
        migrations,
        findings: crate::report::diagnostics::json(&findings),
    })
}
