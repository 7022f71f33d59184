//! Other tools' tables → what they say was applied. Each is known by its columns, because two tools call theirs the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserialize;

use crate::clickhouse::{Client, Error, Query, identifier};

/// Another tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tool {
    /// pressly/goose.
    Goose,
    /// golang-migrate.
    GolangMigrate,
    /// dbmate.
    Dbmate,
    /// `clickhouse-migrations` of Python.
    PyPi,
    /// `clickhouse-migrations` of npm.
    Npm,
}

impl Tool {
    /// All, in the order in which they are looked for.
    pub const ALL: [Self; 5] = [
        Self::Goose,
        Self::GolangMigrate,
        Self::Dbmate,
        Self::PyPi,
        Self::Npm,
    ];

    /// What it is called on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Goose => "goose",
            Self::GolangMigrate => "golang-migrate",
            Self::Dbmate => "dbmate",
            Self::PyPi => "clickhouse-migrations-pypi",
            Self::Npm => "clickhouse-migrations-npm",
        }
    }

    /// The table in which it keeps its history, unless told otherwise.
    #[must_use]
    pub fn table(self) -> &'static str {
        match self {
            Self::Goose => "goose_db_version",
            Self::GolangMigrate | Self::Dbmate => "schema_migrations",
            Self::PyPi => "schema_versions",
            Self::Npm => "_migrations",
        }
    }

    /// The columns by which the table is known.
    fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Goose => &["version_id", "is_applied", "tstamp"],
            Self::GolangMigrate => &["version", "dirty", "sequence"],
            Self::Dbmate => &["version", "ts", "applied"],
            Self::PyPi => &["version", "md5", "script", "created_at"],
            Self::Npm => &["uid", "version", "checksum", "migration_name", "applied_at"],
        }
    }

    /// What was applied: `version`, and `name`, `script`, `at` and `dirty` where the tool has them.
    fn question(self) -> String {
        let table = identifier(self.table());
        match self {
            // A version is applied if the last that was said of it is that it is; goose's own beginning is 0.
            Self::Goose => format!(
                "SELECT toString(version_id) AS version, toString(max(tstamp)) AS at FROM {table} WHERE version_id > 0 GROUP BY version_id HAVING argMax(is_applied, tstamp) = 1 ORDER BY version_id"
            ),
            // Where it stands; -1 is nowhere.
            Self::GolangMigrate => format!(
                "SELECT toString(version) AS version, dirty FROM {table} ORDER BY sequence DESC LIMIT 1"
            ),
            // What was rolled back is a newer row of the same version.
            Self::Dbmate => format!(
                "SELECT version, toString(ts) AS at FROM {table} FINAL WHERE applied = 1 ORDER BY version"
            ),
            Self::PyPi => format!(
                "SELECT toString(version) AS version, script, toString(created_at) AS at FROM {table} ORDER BY version"
            ),
            Self::Npm => format!(
                "SELECT toString(version) AS version, migration_name AS name, toString(applied_at) AS at FROM {table} ORDER BY {table}.version"
            ),
        }
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::PyPi => "clickhouse-migrations (PyPI)",
            Self::Npm => "clickhouse-migrations (npm)",
            other => other.word(),
        })
    }
}

/// What a tool says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// The tool.
    pub tool: Tool,
    /// What was applied, by version; of a tool that only says where it stands, that one version.
    pub applied: Vec<Applied>,
    /// Whether the one version stands for all before it.
    pub is_cursor: bool,
    /// The version in the middle of which it broke off.
    pub dirty: Option<String>,
}

/// A migration that was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The version, as the tool has it.
    pub version: String,
    /// The name or file name; '' if the tool keeps none.
    pub name: String,
    /// What was executed, if the tool keeps it.
    pub script: Option<String>,
    /// When, by the server's clock; '' if the tool does not say.
    pub at: String,
}

impl Applied {
    /// Version and name.
    #[must_use]
    pub fn called(&self) -> String {
        if self.name.is_empty() {
            self.version.clone()
        } else {
            format!("{} ({})", self.version, self.name)
        }
    }
}

/// The histories that a database holds; nothing is written.
///
/// # Errors
/// [`Error`].
pub async fn find(client: &Client) -> Result<Vec<History>, Error> {
    #[derive(Deserialize)]
    struct Column {
        table: String,
        name: String,
    }
    let client = client.read_only();
    let query = Query::new(
        "SELECT table, name FROM system.columns WHERE database = currentDatabase() AND table IN ('goose_db_version', 'schema_migrations', 'schema_versions', '_migrations')",
    );
    let mut tables: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for column in client.rows::<Column>(&query).await? {
        tables.entry(column.table).or_default().insert(column.name);
    }
    let mut histories = Vec::new();
    for tool in Tool::ALL {
        let is_there = tables.get(tool.table()).is_some_and(|columns| {
            tool.columns()
                .iter()
                .all(|column| columns.contains(*column))
        });
        if is_there {
            histories.push(read(&client, tool).await?);
        }
    }
    Ok(histories)
}

async fn read(client: &Client, tool: Tool) -> Result<History, Error> {
    #[derive(Deserialize)]
    struct Row {
        version: String,
        #[serde(default)]
        name: String,
        script: Option<String>,
        #[serde(default)]
        at: String,
        #[serde(default)]
        dirty: u8,
    }
    let mut rows: Vec<Row> = client.rows(&Query::new(tool.question())).await?;
    // A run that two started at once has its version twice.
    rows.dedup_by(|again, row| again.version == row.version);
    let dirty = rows
        .iter()
        .find(|row| row.dirty != 0)
        .map(|row| row.version.clone());
    let applied = rows
        .into_iter()
        .filter(|row| !row.version.starts_with('-'))
        .map(|row| Applied {
            version: row.version,
            name: row.name,
            script: row.script,
            at: row.at,
        });
    Ok(History {
        tool,
        applied: applied.collect(),
        is_cursor: tool == Tool::GolangMigrate,
        dirty,
    })
}
