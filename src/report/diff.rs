//! What leads from the migrations to the files of `schema/current/`, and why something does not.

use std::fmt::Write as _;

use camino::Utf8Path;
use serde::Serialize;

use crate::catalog::{Definition, DefinitionKind, Difference};
use crate::diagnostic::{Diagnostic, Location, Severity};
use crate::diff::{Diff, Refusal, Statement};
use crate::drift::{Change, Outcome, Unproven};
use crate::report::{BAD, GOOD, JSON_VERSION, QUIET, STRONG, WAITING, count, lines, styled};

/// What was written.
#[derive(Clone, Copy, Debug)]
pub struct Written<'a> {
    /// The migration's file.
    pub path: &'a Utf8Path,
    /// Whether statements that destroy data are in force there.
    pub allowed: bool,
    /// The files of `schema/current/` that were laid out anew.
    pub laid_out: &'a [Change],
}

fn word(outcome: &Outcome, difference: &Difference) -> &'static str {
    match difference {
        _ if was(outcome, difference).is_some() => "renamed",
        Difference::Missing(_) => "gone",
        Difference::Extra(_) => "new",
        Difference::Different { .. } => "changed",
    }
}

/// The name that an object had.
fn was<'a>(outcome: &'a Outcome, difference: &Difference) -> Option<&'a str> {
    let name = &difference.object().name;
    outcome.renamed.get(name).map(String::as_str)
}

fn is_of(statement: &Statement, object: &Definition) -> bool {
    statement.object == object.name
        && (statement.kind == DefinitionKind::Function) == (object.kind == DefinitionKind::Function)
}

/// For a person.
#[must_use]
pub fn human(outcome: &Outcome, directory: &Utf8Path, written: Option<Written<'_>>) -> String {
    let mut text = if outcome.differences.is_empty() {
        format!(
            "{directory} {} what the migrations add up to\n",
            styled(GOOD, "is")
        )
    } else {
        format!(
            "{directory} differs from what the migrations add up to: {}\n",
            count(outcome.differences.len(), "object")
        )
    };
    for difference in &outcome.differences {
        let object = difference.object();
        let _ = writeln!(
            text,
            "\n{}  {} {}{}",
            styled(STRONG, word(outcome, difference)),
            object.kind.label(),
            styled(STRONG, &object.name),
            was(outcome, difference).map_or_else(String::new, |was| format!(", until now {was}"))
        );
        let of_object = |statement: &&Statement| is_of(statement, object);
        let Diff {
            safe,
            rebuild,
            late,
            ..
        } = &outcome.diff;
        for statement in [safe, rebuild, late]
            .into_iter()
            .flatten()
            .filter(of_object)
        {
            say(&mut text, statement);
        }
        for refusal in &outcome.diff.refusals {
            if refusal.object == object.name {
                refuse(&mut text, refusal);
            }
        }
    }
    text.push_str(&end(outcome, written));
    for name in &outcome.as_text {
        let note = format!(
            "note: the embedded engine cannot make {name}; its engine was compared as it is written"
        );
        let _ = writeln!(text, "{}", styled(QUIET, note));
    }
    text
}

fn say(text: &mut String, statement: &Statement) {
    let _ = writeln!(text, "  {}", statement.does);
    if let Some(destroys) = &statement.destroys {
        let _ = writeln!(text, "  {} {destroys}", styled(BAD, "destroys"));
    }
    if let Some(note) = &statement.note {
        let _ = writeln!(text, "  {}", styled(QUIET, note));
    }
    for line in format!("{};", statement.sql).lines() {
        let _ = writeln!(text, "    {line}");
    }
}

fn refuse(text: &mut String, refusal: &Refusal) {
    let _ = writeln!(
        text,
        "  {} {}\n    {}\n    {}",
        styled(BAD, "refused"),
        refusal.what,
        refusal.why,
        refusal.instead
    );
}

fn end(outcome: &Outcome, written: Option<Written<'_>>) -> String {
    if outcome.differences.is_empty() {
        return String::new();
    }
    if !outcome.diff.refusals.is_empty() {
        return format!(
            "\n{}: {} cannot be made by a migration; nothing was written\n",
            styled(BAD, "refused"),
            count(outcome.diff.refusals.len(), "change")
        );
    }
    let late = outcome.diff.late.len();
    let mut text =
        "\nexecuted on the embedded engine: up leads to the files, and down back again\n"
            .to_owned();
    let _ = match written {
        None => writeln!(
            text,
            "  `housewright diff --write NAME` writes it as the next migration"
        ),
        Some(written) => writeln!(text, "{}", written.path),
    };
    if late > 0 && !written.is_some_and(|written| written.allowed) {
        let _ = writeln!(
            text,
            "  {} {} commented out, because of the data; `--allow-destructive` puts {} into force",
            styled(WAITING, count(late, "statement")),
            if late == 1 { "is" } else { "are" },
            if late == 1 { "it" } else { "them" },
        );
    }
    if let Some(written) = written {
        if !written.laid_out.is_empty() {
            let files = count(written.laid_out.len(), "file");
            let _ = writeln!(text, "  laid out anew, as `dump --write` does: {files}");
        }
        if late > 0 && !written.allowed {
            text.push_str("  files that wait for what is commented out stay as they are\n");
        }
        text.push_str("  read it, and `housewright apply`\n");
    }
    text
}

#[derive(Serialize)]
struct Json<'a> {
    version: u32,
    directory: &'a Utf8Path,
    objects: Vec<JsonObject<'a>>,
    up: Vec<JsonStatement<'a>>,
    /// The objects of a changed definition.
    rebuild: Vec<&'a str>,
    down: Vec<JsonStatement<'a>>,
    refused: Vec<JsonRefusal<'a>>,
    compared_as_text: &'a [String],
    written: Option<&'a Utf8Path>,
    laid_out: Vec<&'a Utf8Path>,
}

#[derive(Serialize)]
struct JsonObject<'a> {
    name: &'a str,
    kind: &'a str,
    change: &'a str,
    was: Option<&'a str>,
}

#[derive(Serialize)]
struct JsonStatement<'a> {
    object: &'a str,
    kind: &'a str,
    does: &'a str,
    sql: &'a str,
    destroys: Option<&'a str>,
    note: Option<&'a str>,
}

#[derive(Serialize)]
struct JsonRefusal<'a> {
    object: &'a str,
    kind: &'a str,
    what: &'a str,
    why: &'a str,
    instead: &'a str,
}

fn statements<const N: usize>(parts: [&[Statement]; N]) -> Vec<JsonStatement<'_>> {
    let statements = parts.into_iter().flatten();
    statements
        .map(|statement| JsonStatement {
            object: &statement.object,
            kind: statement.kind.label(),
            does: &statement.does,
            sql: &statement.sql,
            destroys: statement.destroys.as_deref(),
            note: statement.note.as_deref(),
        })
        .collect()
}

/// For a program.
#[must_use]
pub fn json(outcome: &Outcome, directory: &Utf8Path, written: Option<Written<'_>>) -> String {
    super::json(&Json {
        version: JSON_VERSION,
        directory,
        objects: outcome
            .differences
            .iter()
            .map(|difference| JsonObject {
                name: &difference.object().name,
                kind: difference.object().kind.label(),
                change: word(outcome, difference),
                was: was(outcome, difference),
            })
            .collect(),
        up: statements([
            &outcome.diff.safe,
            &outcome.diff.rebuild,
            &outcome.diff.late,
        ]),
        rebuild: (outcome.diff.rebuild.iter())
            .map(|it| it.object.as_str())
            .collect(),
        down: outcome
            .way
            .as_ref()
            .map_or_else(Vec::new, |way| statements([&way.back_late, &way.back_safe])),
        refused: outcome
            .diff
            .refusals
            .iter()
            .map(|refusal| JsonRefusal {
                object: &refusal.object,
                kind: refusal.kind.label(),
                what: &refusal.what,
                why: &refusal.why,
                instead: &refusal.instead,
            })
            .collect(),
        compared_as_text: &outcome.as_text,
        written: written.map(|written| written.path),
        laid_out: written.map_or_else(Vec::new, |written| {
            let changes = written.laid_out.iter();
            changes.map(|change| change.path.as_path()).collect()
        }),
    })
}

/// Why a difference becomes no migration.
#[must_use]
pub fn unproven(reason: &Unproven) -> String {
    let mut text = crate::report::causes(reason);
    match reason {
        Unproven::Refused { .. } => text.push_str(
            "\n  this change takes more than one step; write the migration by hand (`housewright new`)",
        ),
        Unproven::Differs { differences, .. } => {
            for difference in differences {
                let object = difference.object();
                let _ = write!(text, "\n{} {}", object.kind.label(), object.name);
                let _ = match difference {
                    Difference::Missing(_) => writeln!(text, " is not there"),
                    Difference::Extra(_) => writeln!(text, " is there"),
                    Difference::Different { should, is } => {
                        write!(text, " (- as it should be, + as it came out)\n{}", lines(&should.text, &is.text))
                    }
                };
            }
            text.push_str("  this is a fault of housewright: please report it; meanwhile write the migration by hand (`housewright new`)");
        }
        Unproven::NoWayBack(refusals) => {
            for refusal in refusals {
                text.push('\n');
                let _ = writeln!(text, "{} {}", refusal.kind.label(), refusal.object);
                refuse(&mut text, refusal);
            }
            text.push_str("  write the migration by hand (`housewright new`), without a down section, if it is meant");
        }
    }
    text.push_str("\n  nothing was written");
    text
}

/// A definition that the embedded engine refuses.
#[must_use]
pub fn refused(location: Location, error: &crate::clickhouse::Error) -> Diagnostic {
    // No such column, and no conversion: what a materialized view makes does not fit into its target.
    let misfit = error
        .exception()
        .is_some_and(|exception| [8, 70].contains(&exception.code));
    let help = if misfit {
        "give the target a place for it in its own file, or make a target and a view for it beside these under other names; MODIFY QUERY would be \
         taken and inserts be lost"
    } else {
        "correct the file, or those that it names"
    };
    Diagnostic {
        severity: Severity::Error,
        message: "the embedded ClickHouse refused this definition".to_owned(),
        help: Some(help.to_owned()),
        ..crate::report::dump::refused(location, error)
    }
}
