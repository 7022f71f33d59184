//! What `apply` did, and where it stands if it did not come to the end.

use serde::Serialize;

use crate::apply::{Failure, FailureKind, Outcome, Task, Verdict};
use crate::clickhouse;
use crate::diagnostic::{Diagnostic, Location, Severity};
use crate::plan::{Direction, Step, title, unsettleable};
use crate::report::{JSON_VERSION, causes, count, duration};
use crate::sql::Span;

/// A good end, for a person.
#[must_use]
pub fn human(outcome: &Outcome, task: Task, target: &str, database: &str) -> String {
    let back = matches!(task, Task::RollBack { .. });
    if outcome.executed.is_empty() && back {
        return format!("{database} on {target}: nothing to roll back\n");
    }
    if outcome.executed.is_empty() {
        return format!("{database} on {target} is up to date: nothing was executed\n");
    }
    let stopped = if outcome.stopped {
        if back {
            "; stopped as asked, `rollback` goes on from here"
        } else {
            "; stopped as asked, `apply` goes on from here"
        }
    } else {
        ""
    };
    format!(
        "{database} on {target}: {} executed in {}{stopped}\n",
        count(outcome.executed.len(), "statement"),
        duration(outcome.took)
    )
}

/// A bad end, for a person: as findings, which have a place, and the state of things.
#[must_use]
pub fn findings(failure: &Failure) -> Vec<Diagnostic> {
    match &failure.kind {
        FailureKind::Refused(plan) => plan.refusals.clone(),
        FailureKind::Destructive(plan) => plan.destructive.clone(),
        FailureKind::Moved(moved) => vec![self::moved(moved)],
        FailureKind::Malformed(verdicts) => malformed(verdicts),
        FailureKind::Statement { step, error: cause } => {
            let finding = error("refused", format!("ClickHouse refused {}", step.title()))
                .at(Some(place(step, None)))
                .note(causes(cause));
            vec![
                state(finding, failure, step).help(match step.direction {
                    Direction::Up => "correct the file and `apply` again: it continues with this statement".to_owned(),
                    Direction::Down => format!(
                        "mend what stands in its way and `rollback` again: it continues with this statement; if its effect is there already, `housewright repair --down --done {}:{}` first",
                        step.version, step.number
                    ),
                }),
            ]
        }
        FailureKind::InDoubt { step, error: cause } => {
            let finding = error(
                "in-doubt",
                format!("nobody knows whether {} was executed", step.title()),
            )
            .at(Some(place(step, None)))
            .note(causes(cause));
            vec![state(finding, failure, step).help(format!(
                "when the server is back, `{}` again: it finds out, and goes on from there",
                verb(step)
            ))]
        }
        FailureKind::Unsettled(finding) => vec![Diagnostic::clone(finding)],
        FailureKind::NotSettleable { step, reason } => {
            vec![state(unsettleable(step, reason), failure, step)]
        }
        FailureKind::Mutation {
            step,
            database,
            table,
            mutation_id,
            reason,
        } => {
            let finding = error(
                "mutation",
                format!("the mutation that {} began cannot go on", step.title()),
            )
            .at(Some(place(step, None)))
            .note(format!(
                "ClickHouse says of {mutation_id} on `{table}`: {reason}"
            ))
            .note("the server tries again by itself until it succeeds or is told to stop");
            vec![state(finding, failure, step).help(format!(
                "mend the cause and `{}` again, which waits for it; or stop it (KILL MUTATION WHERE database = '{database}' AND table = '{table}' AND mutation_id = '{mutation_id}'), correct the statement, and `{}` again",
                verb(step),
                verb(step)
            ))]
        }
        FailureKind::NotWritten { step, error: cause } => {
            let finding = error(
                "not-written",
                format!(
                    "{} was executed, and the journal could not be told",
                    step.title()
                ),
            )
            .at(Some(place(step, None)))
            .note(causes(cause));
            vec![state(finding, failure, step).help(format!(
                "when the server is back, `{}` again: it finds out, and goes on from there",
                verb(step)
            ))]
        }
        FailureKind::Rebuild { step, error: cause } => {
            let found = crate::report::rebuild::findings(cause)
                .unwrap_or_else(|| vec![error("rebuild", causes(cause))]);
            let found = found.into_iter().map(|finding| {
                let at = finding.location.clone().or_else(|| Some(place(step, None)));
                let finding = finding.at(at);
                let help = finding.help.is_none();
                let finding = state(finding, failure, step);
                if help {
                    finding.help(if cause.is_short_of_memory() {
                        "`apply` again with more `--max-memory` goes on where it stopped; or `housewright rebuild --abort` takes back what was made so far, and `apply` begins again with fewer `--chunk-rows`"
                    } else {
                        "`apply` again goes on where it stopped; `housewright rebuild --abort` takes back what was made so far"
                    })
                } else {
                    finding
                }
            });
            found.collect()
        }
        FailureKind::Lock(cause) => vec![error("locked", causes(cause))],
        FailureKind::Journal(cause) => vec![error("journal", causes(cause))],
        FailureKind::ClickHouse(cause) => vec![error("clickhouse", causes(cause))],
    }
}

/// The verb that goes on with a statement.
fn verb(step: &Step) -> &'static str {
    match step.direction {
        Direction::Up => "apply",
        Direction::Down => "rollback",
    }
}

/// What has moved since a plan was made.
fn moved(moved: &[String]) -> Diagnostic {
    let finding = error(
        "moved",
        "the plan was made from a state that is not there any more".to_owned(),
    );
    moved
        .iter()
        .fold(finding, Diagnostic::note)
        .note("nothing was executed")
        .help("make the plan anew (`housewright plan --format json`), read it, and apply that one")
}

/// The statements that ClickHouse does not read.
#[must_use]
pub fn malformed(verdicts: &[Verdict]) -> Vec<Diagnostic> {
    verdicts
        .iter()
        .map(|verdict| {
            let step = &verdict.step;
            error(
                "malformed",
                format!("ClickHouse does not read {}", step.title()),
            )
            .at(Some(place(step, verdict.offset)))
            .note(shortened(&verdict.exception.to_string()))
            .note("nothing was executed")
            .help(match step.direction {
                Direction::Up => "correct the file and `apply` again",
                Direction::Down => "write a migration that takes it back (`housewright new`)",
            })
        })
        .collect()
}

/// Without the list of everything that could have stood there instead.
fn shortened(message: &str) -> String {
    message
        .split(". Expected one of: ")
        .next()
        .unwrap_or(message)
        .to_owned()
}

fn error(code: &'static str, message: String) -> Diagnostic {
    Diagnostic::new(Severity::Error, code, message)
}

/// The lines of the file that a step stands on. Its text is the file's own, so the place is found by line.
fn place(step: &Step, offset: Option<usize>) -> Location {
    let before = offset
        .and_then(|offset| step.sql.get(..offset))
        .unwrap_or("");
    let line = before.matches('\n').count();
    let column = match before.rfind('\n') {
        Some(at) => before[at + 1..].chars().count() + 1,
        None => before.chars().count() + step.column,
    };
    let start = step.offset + before.len();
    Location {
        path: step.path.clone(),
        span: Span {
            start,
            end: step.offset + step.sql.len(),
        },
        line: step.line + line,
        column,
    }
}

fn state(finding: Diagnostic, failure: &Failure, step: &Step) -> Diagnostic {
    let before = failure.executed.len();
    let ahead = match before {
        0 => "nothing was executed in this run".to_owned(),
        _ => format!(
            "{} executed before it in this run, and recorded",
            count(before, "statement")
        ),
    };
    finding.note(format!(
        "{ahead}; of {}{} {} of {} are done",
        if step.direction == Direction::Down {
            "the down section of "
        } else {
            ""
        },
        title(step.version, &step.name),
        step.number - 1,
        step.total
    ))
}

#[derive(Serialize)]
struct Json<'a> {
    version: u32,
    target: &'a str,
    database: &'a str,
    ok: bool,
    stopped: bool,
    executed: Vec<crate::report::plan::StepJson<'a>>,
    duration_ms: Option<u128>,
    error: Option<ErrorJson>,
    findings: Vec<crate::report::diagnostics::Json<'a>>,
}

#[derive(Serialize)]
struct ErrorJson {
    code: i32,
    name: String,
    message: String,
}

/// A good end, for a program.
#[must_use]
pub fn json(outcome: &Outcome, target: &str, database: &str) -> String {
    crate::report::json(&Json {
        version: JSON_VERSION,
        target,
        database,
        ok: true,
        stopped: outcome.stopped,
        executed: outcome
            .executed
            .iter()
            .map(crate::report::plan::step)
            .collect(),
        duration_ms: Some(outcome.took.as_millis()),
        error: None,
        findings: crate::report::diagnostics::json(&differences(outcome)),
    })
}

/// What the servers of a cluster do not agree on.
#[must_use]
pub fn differences(outcome: &Outcome) -> Vec<Diagnostic> {
    outcome
        .differences
        .iter()
        .map(|difference| {
            Diagnostic::new(
                Severity::Error,
                "replicas-differ",
                format!("the servers of the cluster do not agree: {difference}"),
            )
            .help("somebody changed one of them by hand, or one is away; bring it to what the others have, then `apply` again")
        })
        .collect()
}

/// A bad end, for a program.
#[must_use]
pub fn failure_json(failure: &Failure, target: &str, database: &str) -> String {
    let findings = findings(failure);
    let error = match &failure.kind {
        FailureKind::Statement { error, .. }
        | FailureKind::InDoubt { error, .. }
        | FailureKind::ClickHouse(error) => error.exception().map(error_json),
        _ => None,
    };
    crate::report::json(&Json {
        version: JSON_VERSION,
        target,
        database,
        ok: false,
        stopped: false,
        executed: failure
            .executed
            .iter()
            .map(crate::report::plan::step)
            .collect(),
        duration_ms: None,
        error,
        findings: crate::report::diagnostics::json(&findings),
    })
}

fn error_json(exception: &clickhouse::Exception) -> ErrorJson {
    ErrorJson {
        code: exception.code,
        name: exception.name.clone(),
        message: exception.message.clone(),
    }
}
