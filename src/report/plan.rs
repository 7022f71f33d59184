//! What `apply` would do, statement by statement.

use std::fmt::Write as _;

use serde::Serialize;

use crate::apply::Task;
use crate::plan::{Basis, How, Options, Plan, Step, Way};
use crate::report::{
    BAD, JSON_VERSION, QUIET, STRONG, Table, WAITING, bytes, count, styled, thousands,
};
use crate::sql::{Allowance, Class};

/// For a person.
#[must_use]
pub fn human(plan: &Plan, task: Task, target: &str, database: &str) -> String {
    if plan.steps.is_empty() && matches!(task, Task::RollBack { .. }) {
        return format!("{database} on {target}: nothing to roll back\n");
    }
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
            way(&mut text, plan, last);
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
            effect(step),
        ]);
    }
    flush(&mut text, &mut table);
    way(&mut text, plan, last);
    let sent: Vec<&str> = plan
        .steps
        .iter()
        .filter_map(|step| step.sent.as_deref())
        .collect();
    if !sent.is_empty() {
        let _ = write!(text, "\nsent to the cluster:\n\n{};\n", sent.join(";\n"));
    }
    text
}

/// Which way a section takes.
fn way(text: &mut String, plan: &Plan, version: Option<u64>) {
    let found = plan.ways.iter().find(|way| Some(way.version) == version);
    let Some(way) = found else { return };
    let said = match &way.how {
        How::Plain { why } => format!("plain statements, because {why}"),
        How::Resume { place } => format!("a rebuild that is not finished goes on: {place}"),
        How::Done => "carried out already; only the journal does not know yet".to_owned(),
        How::Later { why } => {
            format!("decided when the statements before it are done; as it stands, {why}")
        }
        How::InPlace {
            why,
            source,
            rows,
            bytes: size,
            chunks,
            state,
            columns,
            readers,
        } => {
            let show = match readers.as_slice() {
                [] => String::new(),
                readers => format!("\n    then these change over: {}", readers.join(", ")),
            };
            format!(
                "in place, because {why}\n    {} filled in `{state}` while rows come in, without a copy: {} rows ({}) of `{source}` in {}{show}",
                if columns.len() == 1 {
                    "it is"
                } else {
                    "they are"
                },
                thousands(*rows),
                bytes(*size),
                count(usize::try_from(*chunks).unwrap_or(usize::MAX), "chunk"),
            )
        }
        How::Rebuild {
            why,
            source,
            rows,
            bytes: size,
            chunks,
            state_bytes,
            free_bytes,
            old_state,
            new_state,
            readers,
            staying,
        } => {
            let room = match old_state {
                Some(_) => format!("the copy needs about {} on disk", bytes(*state_bytes)),
                None => "what it takes on disk is not known".to_owned(),
            };
            let mut said = format!(
                "a rebuild, because `{source}` has rows: history is made anew in `{new_state}` while rows come in\n    not in place, because {why}\n    {} rows ({}) of `{source}` in {}; {room}, {} are free\n    then these change over: {}",
                thousands(*rows),
                bytes(*size),
                count(usize::try_from(*chunks).unwrap_or(usize::MAX), "chunk"),
                bytes(*free_bytes),
                readers.join(", "),
            );
            if let Some(old) = old_state {
                let _ = write!(
                    said,
                    "\n    `{old}` is kept, and fed: the down section goes back to it"
                );
            }
            if !staying.is_empty() {
                let be = if staying.len() == 1 { "goes" } else { "go" };
                let _ = write!(said, "; {} {be} on with it", staying.join(", "));
            }
            said
        }
    };
    let _ = writeln!(text, "  from statement {} on: {said}", way.first);
}

/// What a statement does on the target, in a few words.
fn effect(step: &Step) -> String {
    let Some(effect) = &step.effect else {
        return styled(QUIET, step.class.label());
    };
    let mut text = match (&effect.destroys, effect.harmless) {
        (Some(lost), _) => format!("{} {lost}", styled(BAD, "destroys")),
        (None, Some(reason)) if effect.class == Class::Metadata => {
            styled(QUIET, format!("metadata: it {reason}"))
        }
        _ if effect.class == Class::Mutation => match effect.rows {
            Some(0) => styled(QUIET, "metadata: nothing to rewrite"),
            Some(rows) => format!(
                "{} {} rows, {}, {}",
                styled(WAITING, "rewrites"),
                thousands(rows),
                bytes(effect.bytes),
                count(usize::try_from(effect.parts).unwrap_or(usize::MAX), "part")
            ),
            None => styled(WAITING, "rewrites"),
        },
        _ => styled(QUIET, effect.class.label()),
    };
    if step.staged {
        text.push_str(&styled(
            QUIET,
            if step.class == Class::Data {
                ", through staging tables"
            } else {
                ", under another name until it is full"
            },
        ));
    }
    if let Some(keeps) = &effect.keeps {
        let _ = write!(text, ", {keeps}");
    }
    if let Some(Allowance::Because(reason)) = step
        .allowance
        .as_ref()
        .filter(|_| effect.destroys.is_some())
    {
        let _ = write!(text, ", allowed because {reason}");
    }
    if !effect.breaks.is_empty() {
        let _ = write!(
            text,
            "; {} {}",
            styled(BAD, "breaks"),
            effect.breaks.join("; ")
        );
    }
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
    state: Option<&'a str>,
    basis: Option<&'a Basis>,
    to: Option<u64>,
    out_of_order: bool,
    steps: Vec<StepJson<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    changed_definitions: &'a [Way],
    findings: Vec<crate::report::diagnostics::Json<'a>>,
}

/// One statement in JSON.
#[derive(Debug, Serialize)]
pub struct StepJson<'a> {
    version: u64,
    name: &'a str,
    direction: &'a str,
    path: &'a camino::Utf8Path,
    line: usize,
    statement: u32,
    statements: u32,
    kind: &'a str,
    class: &'a str,
    objects: &'a [String],
    sql: &'a str,
    /// What is sent to a cluster instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    sent: Option<&'a str>,
    staged: bool,
    sha256: &'a str,
    effect: Option<EffectJson<'a>>,
}

#[derive(Debug, Serialize)]
struct EffectJson<'a> {
    class: &'a str,
    rows: Option<u64>,
    bytes: u64,
    parts: u64,
    destroys: Option<&'a str>,
    harmless_because: Option<&'a str>,
    keeps: Option<&'a str>,
    allowed_because: Option<&'a str>,
    breaks: &'a [String],
}

/// What `apply --plan` needs of a plan's JSON.
#[derive(Debug, serde::Deserialize)]
pub struct Written {
    /// The layout.
    pub version: u32,
    /// The database it is for.
    pub database: String,
    /// What it was made from.
    pub basis: Basis,
    /// `--to`.
    pub to: Option<u64>,
    /// `--out-of-order`.
    #[serde(default)]
    pub out_of_order: bool,
}

/// One statement for a program.
#[must_use]
pub fn step(step: &Step) -> StepJson<'_> {
    StepJson {
        version: step.version,
        name: &step.name,
        direction: step.direction.word(),
        path: &step.path,
        line: step.line,
        statement: step.number,
        statements: step.total,
        kind: &step.label,
        class: step.class.label(),
        objects: &step.objects,
        sql: &step.sql,
        sent: step.sent.as_deref(),
        staged: step.staged,
        sha256: &step.sha256,
        effect: step.effect.as_ref().map(|effect| EffectJson {
            class: effect.class.label(),
            rows: effect.rows,
            bytes: effect.bytes,
            parts: effect.parts,
            destroys: effect.destroys.as_deref(),
            harmless_because: effect.harmless,
            keeps: effect.keeps.as_deref(),
            allowed_because: match &step.allowance {
                Some(Allowance::Because(reason)) => Some(reason),
                _ => None,
            },
            breaks: &effect.breaks,
        }),
    }
}

/// For a program.
#[must_use]
pub fn json(plan: &Plan, task: Task, target: &str, database: &str) -> String {
    let options = match task {
        Task::Apply(options) => options,
        Task::RollBack { .. } => Options::default(),
    };
    let state = plan.basis.as_ref().map(Basis::hash);
    let doubts: Vec<_> = plan
        .doubts
        .iter()
        .map(|doubt| doubt.finding.clone())
        .collect();
    let mut findings = crate::report::diagnostics::json(&doubts);
    findings.extend(crate::report::diagnostics::json(&plan.refusals));
    findings.extend(crate::report::diagnostics::json(&plan.destructive));
    crate::report::json(&Json {
        version: JSON_VERSION,
        target,
        database,
        journal_position: plan.journal_position,
        state: state.as_deref(),
        basis: plan.basis.as_ref(),
        to: options.to,
        out_of_order: options.out_of_order,
        steps: plan.steps.iter().map(step).collect(),
        changed_definitions: &plan.ways,
        findings,
    })
}
