//! What stands in the way of a plan, in words: each refusal with its remedy.

use crate::diagnostic::{Diagnostic, Severity};
use crate::migration::Migrations;
use crate::plan::{Direction, Effect, Standing, State, Step, location, title};
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

pub(super) fn in_doubt(standing: &Standing, direction: Direction, statement: u32) -> Diagnostic {
    let title = title(standing.version, &standing.name);
    let (section, option, verb) = match direction {
        Direction::Up => ("", "", "apply"),
        Direction::Down => ("the down section of ", "--down ", "rollback"),
    };
    let diagnostic = refusal(
        "in-doubt",
        format!(
            "statement {statement} of {section}{title} was begun, and nobody wrote down how it ended"
        ),
    );
    let begun = standing.record.as_ref().and_then(|record| match direction {
        Direction::Up => record.statements.get(&statement),
        Direction::Down => record.down.get(&statement),
    });
    let diagnostic = match begun {
        Some(begun) => diagnostic
            .note(format!("it was: {}", first_line(&begun.sql)))
            .note(format!(
                "begun by {} under query_id {}",
                begun.by, begun.query_id
            )),
        None => diagnostic,
    };
    diagnostic.help(format!(
        "look whether its effect is there (SHOW CREATE, or system.query_log by that query_id); then `housewright repair {option}--done {version}:{statement}` if it is, `housewright repair {option}--retry {version}:{statement}` if it is not, and `{verb}` again",
        version = standing.version,
    ))
}

/// What nobody wrote down the end of.
pub(super) fn doubts(migrations: &Migrations, standing: &Standing) -> Option<Diagnostic> {
    match standing.state {
        State::InDoubt { statement } => {
            let migration = migrations.get(standing.version);
            let at = migration.and_then(|migration| location(migration, statement));
            Some(in_doubt(standing, Direction::Up, statement).at(at))
        }
        State::RollbackInDoubt { statement } => {
            Some(in_doubt(standing, Direction::Down, statement))
        }
        _ => None,
    }
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
