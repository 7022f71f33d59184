//! The history of another tool, taken over: found by its table, matched with the files, written into the journal.
//!
//! What a tool says was applied is believed; what it says has to fit the files, or nothing is written. Nothing of the other tool's is
//! changed, so one can go back to it.

mod history;

use crate::apply::FailureKind;
use crate::apply::baseline::adopt;
use crate::clickhouse::Client;
use crate::diagnostic::{Diagnostic, Severity};
use crate::journal::Owner;
use crate::migration::{Migration, Migrations};
use crate::plan::{Step, title};
use crate::sql::{Span, split};

pub use crate::import::history::{Applied, History, Tool, find};

/// A history that fits the files.
#[derive(Clone, Debug)]
pub struct Import<'a> {
    /// The history.
    pub history: &'a History,
    /// What was applied, each with its file.
    pub matched: Vec<(&'a Applied, &'a Migration)>,
    /// The last version.
    pub to: u64,
}

/// Matches a history with the files.
///
/// # Errors
/// What does not fit.
pub fn matched<'a>(
    history: &'a History,
    migrations: &'a Migrations,
) -> Result<Import<'a>, Vec<Diagnostic>> {
    let mut findings = Vec::new();
    let tool = history.tool;
    if let Some(version) = &history.dirty {
        findings.push(
            error("dirty-history", format!("{tool} calls version {version} dirty: it broke off in the middle"))
                .note(format!("`{}` says so; nobody knows which of its statements are done", history.tool.table()))
                .help(format!("bring that migration to its end by hand and say so to {tool} (`force {version}`), then import")),
        );
    }
    let mut matched = Vec::new();
    for applied in &history.applied {
        let migration = applied
            .version
            .parse()
            .ok()
            .and_then(|version| migrations.get(version));
        match migration {
            Some(migration) => {
                findings.extend(differs(tool, applied, migration));
                matched.push((applied, migration));
            }
            None => findings.push(
                error(
                    "unknown-version",
                    format!("{tool} has applied version {}, and there is no file of that version", applied.called()),
                )
                .help("bring its file into the schema directory as `<version>_<name>.sql`, with the statements below `-- migrate:up`"),
            ),
        }
    }
    let to = matched
        .iter()
        .map(|(_, migration)| migration.version)
        .max()
        .unwrap_or(0);
    if history.is_cursor {
        // This tool says how far it came; what is before that was applied.
        matched = migrations
            .iter()
            .filter(|migration| migration.version <= to)
            .filter_map(|migration| Some((history.applied.first()?, migration)))
            .collect();
    }
    for migration in migrations
        .iter()
        .filter(|migration| migration.version <= to)
    {
        if !matched
            .iter()
            .any(|(_, known)| known.version == migration.version)
        {
            findings.push(
                error(
                    "not-in-history",
                    format!(
                        "{tool} has applied {to:04} and does not know {} before it",
                        title(migration.version, &migration.name)
                    ),
                )
                .at(Some(migration.location(Span::default())))
                .help(format!(
                    "apply it with {tool} first, or give the file a version behind {to:04}"
                )),
            );
        }
    }
    if findings.is_empty() {
        Ok(Import {
            history,
            matched,
            to,
        })
    } else {
        Err(findings)
    }
}

/// A tool that keeps what it executed can be held against the file, statement by statement; spaces and comments do not count.
fn differs(tool: Tool, applied: &Applied, migration: &Migration) -> Option<Diagnostic> {
    let script = applied.script.as_deref()?;
    let executed: Vec<String> = split(script)
        .iter()
        .map(crate::sql::Statement::fingerprint)
        .collect();
    let written: Vec<String> = migration
        .up
        .iter()
        .map(crate::sql::Statement::fingerprint)
        .collect();
    if executed == written {
        return None;
    }
    let at = executed
        .iter()
        .zip(&written)
        .take_while(|(executed, written)| executed == written)
        .count();
    Some(
        error(
            "differs-from-history",
            format!(
                "{} is not what {tool} executed, from statement {} on",
                title(migration.version, &migration.name),
                at + 1
            ),
        )
        .at(Some(migration.location(
            migration.up.get(at).map_or(Span::default(), |statement| statement.span),
        )))
        .help("bring the file back as it was executed, and write what should be different into a new migration"),
    )
}

/// Writes into the journal that all of it is done. What the journal knows already stays.
///
/// # Errors
/// [`FailureKind`].
pub async fn write(
    client: &Client,
    migrations: &Migrations,
    import: &Import<'_>,
    owner: &Owner,
) -> Result<Vec<Step>, FailureKind> {
    adopt(client, migrations, import.to, owner).await
}

fn error(code: &'static str, message: String) -> Diagnostic {
    Diagnostic::new(Severity::Error, code, message)
}
