//! What was done: facts, one before and one after each statement, never changed, never removed.
//!
//! The journal is a table in the target database. Its SQL is old on purpose: every server since 2018 understands it. Facts are ordered
//! by `position`, which grows by one under the lock, so that no clock decides what came first. A statement whose last fact is
//! `started` is *in doubt*: somebody began it and nobody wrote down how it ended.

mod lock;
mod record;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clickhouse::{Client, Query, literal};
use crate::cluster::{engine, hosts, keep_house, on_cluster};

pub use crate::journal::lock::{
    Holder, LEASE, Lock, LockError, Owner, TABLE as LOCK_TABLE, holder, unlock,
};
pub use crate::journal::record::{Condition, Record, RecordedStatement, executed, records};

/// The journal's table.
pub const TABLE: &str = "housewright_journal";

/// The table in which rebuilds write down their steps.
pub const REBUILD_TABLE: &str = "housewright_rebuild";

/// The layout of a row that this version writes; a higher number is from a newer housewright.
const LAYOUT: u32 = 1;

/// A fact that waits in a queue of the server's is not written down yet.
const SETTINGS: [(&str, &str); 2] = [
    ("async_insert", "0"),
    // Facts follow one another, also where several servers have to have them.
    ("insert_quorum_parallel", "0"),
];

/// How long to wait before facts are written again; one entry a retry.
const RETRIES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];

/// What a fact says; `recorded_at` is the server's own.
const COLUMNS: &str = "position, layout, run_id, who, host, tool_version, version, name, file_sha256, direction, statement, statements, sha256, sql, down_sql, query_id, state, error_code, error, duration_ms, note";

/// One fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// The place in the journal.
    pub position: u64,
    /// The layout of this row.
    pub layout: u32,
    /// The run that wrote it.
    pub run_id: String,
    /// Who ran it.
    pub who: String,
    /// Where it ran.
    pub host: String,
    /// The housewright that ran it.
    pub tool_version: String,
    /// The migration's version.
    pub version: u64,
    /// The migration's name.
    pub name: String,
    /// SHA-256 of the migration's file.
    pub file_sha256: String,
    /// `up` or `down`.
    pub direction: String,
    /// The statement's number within its section, from 1.
    pub statement: u32,
    /// The number of statements in the section.
    pub statements: u32,
    /// The statement's fingerprint: SHA-256 over its tokens.
    pub sha256: String,
    /// The statement's text.
    pub sql: String,
    /// The down section of the migration, as it was when it was applied.
    pub down_sql: String,
    /// The id under which the server knows the query.
    pub query_id: String,
    /// What is known.
    pub state: State,
    /// The server's error code; 0 = none.
    pub error_code: i32,
    /// The error; '' = none.
    pub error: String,
    /// How long the statement took; 0 while that is not known.
    pub duration_ms: u64,
    /// What is known beyond the state: of what was begun, how its tables looked just before; of what was settled, how. '' = nothing.
    #[serde(default)]
    pub note: String,
    /// When the server took the fact, in seconds since 1970; only read, never written.
    #[serde(default, skip_serializing)]
    pub recorded_at: u64,
}

/// What a fact says of its statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It is about to be sent.
    Started,
    /// It has been executed.
    Done,
    /// The server refused it and nothing of it was done.
    Failed,
}

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// ClickHouse refused, or could not be reached.
    #[error("could not {doing} the journal `{database}.{TABLE}`")]
    ClickHouse {
        /// What was being done.
        doing: &'static str,
        /// The database.
        database: String,
        /// The reason.
        #[source]
        source: crate::clickhouse::Error,
    },
    /// A table of that name that is not ours.
    #[error(
        "`{database}.{TABLE}` is not a housewright journal: {reason}\n  nothing was changed; move that table away (RENAME TABLE), or use another database"
    )]
    Foreign {
        /// The database.
        database: String,
        /// What does not fit.
        reason: String,
    },
    /// Facts of a newer housewright.
    #[error(
        "`{database}.{TABLE}` was written by housewright {tool_version}, which is newer than this one ({ours})\n  nothing was changed; use that version or a newer one"
    )]
    Newer {
        /// The database.
        database: String,
        /// The version that wrote it.
        tool_version: String,
        /// This version.
        ours: &'static str,
    },
}

/// All facts, in order.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    facts: Vec<Fact>,
    /// Whether the table was made before there were notes.
    noteless: bool,
}

impl Journal {
    /// A journal with these facts.
    #[must_use]
    pub fn of(mut facts: Vec<Fact>) -> Self {
        facts.sort_by_key(|fact| fact.position);
        // One that was written again after a lost answer.
        facts
            .dedup_by(|again, fact| again.position == fact.position && again.run_id == fact.run_id);
        Self {
            facts,
            noteless: false,
        }
    }

    /// Reads the journal. No table, or no database, is an empty journal; nothing is created.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn read(client: &Client) -> Result<Self, Error> {
        const UNKNOWN_IDENTIFIER: i32 = 47;
        const UNKNOWN_TABLE: i32 = 60;
        const UNKNOWN_DATABASE: i32 = 81;
        let database = client.database().to_owned();
        let query = |columns: &str| {
            let query = Query::new(format!(
                "SELECT {columns}, toUInt64(toUnixTimestamp(recorded_at)) AS recorded_at FROM {TABLE} ORDER BY position"
            ));
            match client.cluster() {
                // A replica that has not caught up says so instead of telling half of it.
                Some(_) => query.setting("select_sequential_consistency", "1"),
                None => query,
            }
        };
        let mut noteless = false;
        let mut answer = client.rows::<Fact>(&query(COLUMNS)).await;
        if answer
            .as_ref()
            .is_err_and(|error| error.is_code(UNKNOWN_IDENTIFIER))
        {
            let older = COLUMNS.trim_end_matches(", note");
            let second = client.rows::<Fact>(&query(older)).await;
            if second.is_ok() {
                noteless = true;
                answer = second;
            }
        }
        match answer {
            Ok(facts) => match facts.iter().find(|fact| fact.layout > LAYOUT) {
                Some(fact) => Err(Error::Newer {
                    database,
                    tool_version: fact.tool_version.clone(),
                    ours: env!("CARGO_PKG_VERSION"),
                }),
                None => Ok(Self {
                    noteless,
                    ..Self::of(facts)
                }),
            },
            Err(error) if error.is_code(UNKNOWN_TABLE) || error.is_code(UNKNOWN_DATABASE) => {
                Ok(Self::default())
            }
            Err(error) if error.is_code(UNKNOWN_IDENTIFIER) => Err(Error::Foreign {
                database,
                reason: error.exception().map_or_else(String::new, |exception| {
                    exception.message.chars().take(200).collect()
                }),
            }),
            Err(crate::clickhouse::Error::Answer { source, .. }) => Err(Error::Foreign {
                database,
                reason: source.to_string(),
            }),
            Err(source) => Err(Error::ClickHouse {
                doing: "read",
                database,
                source,
            }),
        }
    }

    /// The facts, in order.
    #[must_use]
    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }

    /// The position of the last fact; 0 for an empty journal.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.facts.last().map_or(0, |fact| fact.position)
    }
}

/// The writing end of the journal, for one run that holds the lock.
#[derive(Debug)]
pub struct Writer {
    client: Client,
    position: u64,
    settings: Vec<(&'static str, &'static str)>,
    /// How many servers of a cluster have to have a fact.
    quorum: Option<String>,
}

impl Writer {
    /// Creates the journal if there is none, and goes on behind its last fact.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn open(client: &Client, journal: &Journal) -> Result<Self, Error> {
        let mut writer = Self {
            client: client.clone(),
            position: journal.position(),
            settings: Vec::new(),
            quorum: None,
        };
        let settings = client.known(&SETTINGS).await;
        writer.settings = settings.map_err(|source| writer.error("write", source))?;
        if client.cluster().is_some() {
            // A fact counts when most servers have it, so that no server can be asked that a majority has overtaken.
            let servers = hosts(client)
                .await
                .map_err(|source| writer.error("write", source))?;
            writer.quorum = Some((servers.len() / 2 + 1).to_string());
        }
        if journal.facts.is_empty() {
            let query = Query::new(format!(
                "CREATE TABLE IF NOT EXISTS {TABLE}{} (\n    position UInt64,\n    layout UInt32,\n    recorded_at DateTime DEFAULT now(),\n    run_id String,\n    who String,\n    host String,\n    tool_version String,\n    version UInt64,\n    name String,\n    file_sha256 String,\n    direction String,\n    statement UInt32,\n    statements UInt32,\n    sha256 String,\n    sql String,\n    down_sql String,\n    query_id String,\n    state String,\n    error_code Int32,\n    error String,\n    duration_ms UInt64,\n    note String\n) ENGINE = {} ORDER BY position",
                on_cluster(client),
                engine(client, "journal")
            ));
            keep_house(client, query)
                .await
                .map_err(|source| writer.error("create", source))?;
        }
        if journal.noteless {
            let query = Query::new(format!(
                "ALTER TABLE {TABLE}{} ADD COLUMN note String",
                on_cluster(client)
            ));
            keep_house(client, query)
                .await
                .map_err(|source| writer.error("extend", source))?;
        }
        Ok(writer)
    }

    /// Appends facts, all or none, and gives them their positions.
    ///
    /// # Errors
    /// [`Error::ClickHouse`] after it was tried again; whether the facts were taken is then unknown.
    pub async fn append(&mut self, mut facts: Vec<Fact>) -> Result<(), Error> {
        for (fact, position) in facts.iter_mut().zip(self.position + 1..) {
            fact.position = position;
            fact.layout = LAYOUT;
        }
        let Some(last) = facts.last().cloned() else {
            return Ok(());
        };
        let mut settings: Vec<(&str, &str)> = self.settings.clone();
        if let Some(quorum) = &self.quorum {
            settings.push(("insert_quorum", quorum));
        }
        let mut attempt = 0;
        loop {
            let written = self
                .client
                .insert_rows(&format!("{TABLE} ({COLUMNS})"), &facts, &settings)
                .await;
            let Err(error) = written else { break };
            // A fact that stands there twice says no more than one, so what may be lost is written again.
            let Some(pause) = RETRIES.get(attempt).filter(|_| {
                error.nothing_was_sent() || error.is_network() || error.outcome_is_unknown()
            }) else {
                return Err(self.error("write", error));
            };
            tokio::time::sleep(*pause).await;
            attempt += 1;
            if self.has(&last).await.unwrap_or(false) {
                break;
            }
        }
        self.position = last.position;
        Ok(())
    }

    /// Whether a fact of ours is in the journal.
    async fn has(&self, fact: &Fact) -> Result<bool, crate::clickhouse::Error> {
        #[derive(Deserialize)]
        struct Row {
            n: u64,
        }
        let query = Query::new(format!(
            "SELECT toUInt64(count()) AS n FROM {TABLE} WHERE position = {} AND run_id = {}",
            fact.position,
            literal(&fact.run_id)
        ));
        Ok(self.client.row::<Row>(&query).await?.n > 0)
    }

    fn error(&self, doing: &'static str, source: crate::clickhouse::Error) -> Error {
        Error::ClickHouse {
            doing,
            database: self.client.database().to_owned(),
            source,
        }
    }
}
