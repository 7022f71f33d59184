//! The history of another tool, and what was written of it.

use std::fmt::Write as _;

use serde::Serialize;

use crate::import::Import;
use crate::plan::{Step, title};
use crate::report::{JSON_VERSION, Table, count};

/// For a person. `written`: what the journal did not know yet; `None` if nothing was to be written.
#[must_use]
pub fn human(
    import: &Import<'_>,
    written: Option<&[Step]>,
    target: &str,
    database: &str,
) -> String {
    let history = import.history;
    let mut text = format!(
        "{database} on {target}: {} has applied {} (`{}`)\n",
        history.tool,
        count(import.matched.len(), "migration"),
        history.tool.table()
    );
    if import.matched.is_empty() {
        text.push_str("there is nothing to take over\n");
        return text;
    }
    let mut table = Table::new(&["file", "statements", "applied"]);
    for (applied, migration) in &import.matched {
        table.row(vec![
            title(migration.version, &migration.name),
            migration.up.len().to_string(),
            applied.at.clone(),
        ]);
    }
    let _ = write!(text, "\n{table}\n");
    let _ = match written {
        None => writeln!(
            text,
            "nothing was written; `housewright import-history --write` writes this into the journal"
        ),
        Some([]) => writeln!(
            text,
            "the journal knows all of them already; nothing was written"
        ),
        Some(steps) => writeln!(
            text,
            "{} written into the journal, nothing executed; `housewright drift` says whether the database is what they make",
            count(steps.len(), "statement")
        ),
    };
    text
}

#[derive(Serialize)]
struct Json<'a> {
    version: u32,
    target: &'a str,
    database: &'a str,
    tool: &'a str,
    table: &'a str,
    migrations: Vec<Migration<'a>>,
    /// `null`: not asked to write.
    written: Option<Vec<crate::report::plan::StepJson<'a>>>,
}

#[derive(Serialize)]
struct Migration<'a> {
    version: u64,
    name: &'a str,
    statements: usize,
    applied_at: Option<&'a str>,
}

/// For a program.
#[must_use]
pub fn json(import: &Import<'_>, written: Option<&[Step]>, target: &str, database: &str) -> String {
    crate::report::json(&Json {
        version: JSON_VERSION,
        target,
        database,
        tool: import.history.tool.word(),
        table: import.history.tool.table(),
        migrations: import
            .matched
            .iter()
            .map(|(applied, migration)| Migration {
                version: migration.version,
                name: &migration.name,
                statements: migration.up.len(),
                applied_at: Some(applied.at.as_str()).filter(|at| !at.is_empty()),
            })
            .collect(),
        written: written.map(|steps| steps.iter().map(crate::report::plan::step).collect()),
    })
}
