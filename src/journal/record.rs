//! Facts → what stands for each migration. Pure.

use std::collections::BTreeMap;

use crate::journal::{Fact, Journal, State};

/// What the journal knows of one migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The version.
    pub version: u64,
    /// The name it was applied under.
    pub name: String,
    /// SHA-256 of the file it was applied from.
    pub file_sha256: String,
    /// The number of statements of its up section.
    pub total: u32,
    /// The statements that were begun, by number.
    pub statements: BTreeMap<u32, RecordedStatement>,
    /// The down section as it was then.
    pub down_sql: String,
    /// The statements of the down section that were begun, by number; a rollback that is at its end leaves no record.
    pub down: BTreeMap<u32, RecordedStatement>,
}

/// What the journal knows of one statement: its last fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedStatement {
    /// The last thing known.
    pub state: State,
    /// The fingerprint.
    pub sha256: String,
    /// The text.
    pub sql: String,
    /// The id under which the server knows the query.
    pub query_id: String,
    /// The server's error code; 0 = none.
    pub error_code: i32,
    /// The error; '' = none.
    pub error: String,
    /// How long it took; 0 if that is not known.
    pub duration_ms: u64,
    /// When the fact was written, in seconds since 1970.
    pub recorded_at: u64,
    /// Who wrote it, as `who@host`.
    pub by: String,
}

/// How a migration stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// All its statements are done.
    Applied,
    /// Some are done and the next was not begun.
    Partial {
        /// How many are done.
        done: u32,
    },
    /// The server refused a statement.
    Failed {
        /// Its number.
        statement: u32,
    },
    /// A statement was begun, and nobody knows how it ended.
    InDoubt {
        /// Its number.
        statement: u32,
    },
}

impl Record {
    /// How the migration stands.
    #[must_use]
    pub fn condition(&self) -> Condition {
        for (number, statement) in &self.statements {
            match statement.state {
                State::Started => return Condition::InDoubt { statement: *number },
                State::Failed => return Condition::Failed { statement: *number },
                State::Done => {}
            }
        }
        let done = u32::try_from(self.statements.len()).unwrap_or(u32::MAX);
        if done >= self.total {
            Condition::Applied
        } else {
            Condition::Partial { done }
        }
    }

    /// How many statements of the down section are done, counted from the first without a gap.
    #[must_use]
    pub fn rolled_back(&self) -> u32 {
        leading(&self.down)
    }

    /// How many statements are done, counted from the first without a gap.
    #[must_use]
    pub fn done(&self) -> u32 {
        leading(&self.statements).min(self.total)
    }

    /// When the last fact was written, in seconds since 1970.
    #[must_use]
    pub fn recorded_at(&self) -> u64 {
        self.statements
            .values()
            .map(|statement| statement.recorded_at)
            .max()
            .unwrap_or(0)
    }

    /// How long its statements took, in milliseconds.
    #[must_use]
    pub fn duration_ms(&self) -> u64 {
        self.statements
            .values()
            .map(|statement| statement.duration_ms)
            .sum()
    }
}

/// How many are done, from 1 on without a gap.
fn leading(statements: &BTreeMap<u32, RecordedStatement>) -> u32 {
    let done = (1..)
        .zip(statements)
        .take_while(|(expected, (number, statement))| {
            expected == *number && statement.state == State::Done
        });
    u32::try_from(done.count()).unwrap_or(u32::MAX)
}

/// The migrations that the journal knows, by version; one that was rolled back to the end is not among them.
#[must_use]
pub fn records(journal: &Journal) -> BTreeMap<u64, Record> {
    let mut records: BTreeMap<u64, Record> = BTreeMap::new();
    for fact in journal.facts() {
        if fact.direction == "down" {
            if let Some(record) = records.get_mut(&fact.version) {
                record.down.insert(fact.statement, recorded(fact));
                if record.rolled_back() >= fact.statements {
                    records.remove(&fact.version);
                }
            }
            continue;
        }
        let record = records.entry(fact.version).or_insert_with(|| Record {
            version: fact.version,
            name: String::new(),
            file_sha256: String::new(),
            total: 0,
            statements: BTreeMap::new(),
            down_sql: String::new(),
            down: BTreeMap::new(),
        });
        // The last fact's words hold: a migration continued after an edit of its unapplied rest has a new file and a new total.
        record.name.clone_from(&fact.name);
        record.file_sha256.clone_from(&fact.file_sha256);
        record.total = fact.statements;
        record.down_sql.clone_from(&fact.down_sql);
        record.statements.insert(fact.statement, recorded(fact));
    }
    records
}

/// What was executed, up and down, in the order in which it was; without what somebody took back by hand and said so: a fact that it is not
/// there follows the one that it is done.
#[must_use]
pub fn executed(journal: &Journal) -> Vec<&Fact> {
    let key = |fact: &Fact| (fact.version, fact.direction.clone(), fact.statement);
    let mut last: BTreeMap<_, &Fact> = BTreeMap::new();
    let mut taken_back = Vec::new();
    for fact in journal.facts() {
        let before = last.insert(key(fact), fact);
        if let Some(done) = before.filter(|it| it.state == State::Done)
            && fact.state == State::Failed
        {
            taken_back.push(done.position);
        }
    }
    let stands = |fact: &&Fact| !taken_back.contains(&fact.position);
    let done = |fact: &&Fact| fact.state == State::Done;
    journal.facts().iter().filter(done).filter(stands).collect()
}

fn recorded(fact: &Fact) -> RecordedStatement {
    RecordedStatement {
        state: fact.state,
        sha256: fact.sha256.clone(),
        sql: fact.sql.clone(),
        query_id: fact.query_id.clone(),
        error_code: fact.error_code,
        error: fact.error.clone(),
        duration_ms: fact.duration_ms,
        recorded_at: fact.recorded_at,
        by: format!("{}@{}", fact.who, fact.host),
    }
}
