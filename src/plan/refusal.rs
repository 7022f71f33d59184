//! What stands in the way of a plan, in words: each refusal with its remedy.

use crate::diagnostic::{Diagnostic, Severity};
use crate::journal::Fact;
use crate::plan::{Direction, Effect, Standing, Step, Traces, title};
use crate::sql::Allowance;

pub(super) fn refusal(code: &'static str, message: String) -> Diagnostic {
    Diagnostic::new(Severity::Error, code, message)
}

pub(super) fn destructive(step: &Step, lost: &str, effect: &Effect) -> Diagnostic {
    let mut diagnostic = refusal(
        "destructive",
        format!("{} destroys data: {lost}", step.title()),
    )
    .at(Some(step.location()));
    for broken in &effect.breaks {
        diagnostic = diagnostic.note(format!("it breaks what stays: {broken}"));
    }
    if step.allowance == Some(Allowance::WithoutReason) {
        diagnostic =
            diagnostic.note("the comment above it gives no reason, and allows nothing without one");
    }
    diagnostic.note("nothing was executed").help(match step.direction {
        Direction::Up => "if it is meant, say so directly above it (`-- housewright:allow(destructive) because …`), or give `--allow-destructive`",
        Direction::Down => "if it is meant, give `--allow-destructive`",
    })
}

/// A statement whose end nobody could find out if it broke off.
#[must_use]
pub fn unsettleable(step: &Step, reason: &str) -> Diagnostic {
    refusal(
        "not-settleable",
        format!(
            "if {} broke off, nobody could know what became of it",
            step.title()
        ),
    )
    .at(Some(step.location()))
    .note(format!("this server keeps no query_log, and {reason}"))
    .note("it was not executed")
    .help("write it so that it can be settled; or, if you will look yourself when it breaks off, say so directly above it (`-- housewright:allow(unsettled) because …`)")
}

pub(super) fn rebuilding(step: &Step, name: &str) -> Diagnostic {
    refusal(
        "rebuilding",
        format!(
            "{} is about `{name}`, of which two generations stand",
            step.title()
        ),
    )
    .at(Some(step.location()))
    .note("nothing was executed")
    .help("bring the rebuild to its end first: `housewright rebuild --finish`, or `--abort`")
}

/// A statement in doubt: a warning, because `apply` settles it.
pub(super) fn in_doubt(step: &Step, fact: &Fact) -> Diagnostic {
    let verb = match step.direction {
        Direction::Up => "apply",
        Direction::Down => "rollback",
    };
    Diagnostic::new(
        Severity::Warning,
        "in-doubt",
        format!(
            "{} was begun, and nobody wrote down how it ended",
            step.title()
        ),
    )
    .note(format!("it was: {}", first_line(&fact.sql)))
    .note(format!(
        "begun by {}@{} under query_id {}",
        fact.who, fact.host, fact.query_id
    ))
    .help(format!(
        "`housewright {verb}` settles it before anything else: {}",
        Traces::of(&fact.sql).words()
    ))
}

pub(super) fn unfinished(standing: &Standing, done: u32) -> Diagnostic {
    let title = title(standing.version, &standing.name);
    let diagnostic = refusal(
        "rollback-unfinished",
        format!(
            "the rollback of {title} was begun and is not at its end: statement {} of its down section is next",
            done + 1
        ),
    );
    let failed = standing
        .record
        .as_ref()
        .and_then(|record| record.down.get(&(done + 1)))
        .filter(|next| !next.error.is_empty());
    let diagnostic = match failed {
        Some(failed) => diagnostic
            .note(format!("it is: {}", first_line(&failed.sql)))
            .note(format!("the last time: {}", failed.error)),
        None => diagnostic,
    };
    diagnostic.help(format!(
        "`housewright rollback` continues it; if the effect of that statement is there already, `housewright repair --down --done {}:{}` first",
        standing.version, done + 1
    ))
}

fn first_line(sql: &str) -> String {
    let mut words: String = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.chars().count() > 100 {
        words = words.chars().take(99).chain(['…']).collect();
    }
    words
}
