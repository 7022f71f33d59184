//! One run at a time: `CREATE TABLE housewright_lock` as the atomic test-and-set.
//!
//! Every ClickHouse refuses the second CREATE of a name (code 57), so the one whose CREATE succeeds holds the lock. Who that is stands
//! in the table's own definition, as the DEFAULT of a column, and so comes into being with the lock and not after it. Rows are
//! heartbeats by the server's clock; a lock without one for [`LEASE`] is dead and may be taken over. Taking over renames the dead table
//! to a name made from its token: of two who try at once, the second finds that name taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::clickhouse::{Client, Query, literal};

/// The lock's table; a lock that was taken over is renamed to a name that begins with it.
pub const TABLE: &str = "housewright_lock";
/// A lock without a heartbeat for so long is dead.
pub const LEASE: Duration = Duration::from_mins(1);
/// How often the holder writes a heartbeat.
const BEAT: Duration = Duration::from_secs(10);

const TABLE_ALREADY_EXISTS: i32 = 57;
const UNKNOWN_TABLE: i32 = 60;

/// Who takes the lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The run.
    pub run_id: String,
    /// The user.
    pub who: String,
    /// The machine.
    pub host: String,
    /// The process.
    pub pid: u32,
}

impl std::fmt::Display for Owner {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "{}@{}, process {}, run {}",
            self.who, self.host, self.pid, self.run_id
        )
    }
}

/// Who has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The owner.
    pub owner: Owner,
    /// How long ago, by the server's clock, it gave a sign of life.
    pub silent_for: Duration,
}

impl Holder {
    /// Whether the lease has run out.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.silent_for > LEASE
    }
}

/// Why the lock is not ours.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another run has it.
    #[error(
        "`{database}` is locked by another run: {}\n  its last sign of life was {} s ago; wait for it to end. If it is gone for good, the lock opens by itself after {} s, or now with `housewright unlock --force`",
        holder.owner, holder.silent_for.as_secs(), LEASE.as_secs()
    )]
    Held {
        /// The database.
        database: String,
        /// The other run.
        holder: Holder,
    },
    /// It was ours and is not any more.
    #[error(
        "this run lost its lock on `{database}` and stopped before its next statement\n  it was silent for longer than {} s, or somebody broke the lock; run again to go on",
        LEASE.as_secs()
    )]
    Lost {
        /// The database.
        database: String,
    },
    /// A table of that name that is not ours.
    #[error(
        "`{database}.{TABLE}` is not a housewright lock\n  nothing was changed; move that table away (RENAME TABLE)"
    )]
    Foreign {
        /// The database.
        database: String,
    },
    /// ClickHouse refused, or could not be reached.
    #[error("could not {doing} the lock of `{database}`")]
    ClickHouse {
        /// What was being done.
        doing: &'static str,
        /// The database.
        database: String,
        /// The reason.
        #[source]
        source: crate::clickhouse::Error,
    },
}

/// The lock, held. [`Lock::release`] gives it back; dropped without that, it dies after its lease.
#[derive(Debug)]
pub struct Lock {
    client: Client,
    owner: Owner,
    beats: tokio::task::JoinHandle<()>,
    pulse: Arc<Pulse>,
    /// The table of a dead lock that was taken over.
    grave: Option<String>,
}

/// What the heartbeat knows.
#[derive(Debug)]
struct Pulse {
    lost: AtomicBool,
    last: std::sync::Mutex<Instant>,
}

impl Lock {
    /// Takes the lock, or a dead one over.
    ///
    /// # Errors
    /// [`LockError::Held`] if another run has it.
    pub async fn acquire(client: &Client, owner: Owner) -> Result<Self, LockError> {
        let mut grave = None;
        loop {
            if create(client, &owner).await? {
                let pulse = Arc::new(Pulse {
                    lost: AtomicBool::new(false),
                    last: std::sync::Mutex::new(Instant::now()),
                });
                let beats = tokio::spawn(beat(client.clone(), owner.clone(), Arc::clone(&pulse)));
                return Ok(Self {
                    client: client.clone(),
                    owner,
                    beats,
                    pulse,
                    grave,
                });
            }
            match holder(client).await? {
                // It was given back between our CREATE and our look.
                None => {}
                Some(holder) if holder.is_dead() => {
                    grave = bury(client, &holder.owner).await?.or(grave);
                }
                Some(holder) => {
                    return Err(LockError::Held {
                        database: client.database().to_owned(),
                        holder,
                    });
                }
            }
        }
    }

    /// Makes sure that the lock is still ours; to be asked before every statement. Costs a query only if the heartbeat is late.
    ///
    /// # Errors
    /// [`LockError::Lost`].
    pub async fn assert_held(&self) -> Result<(), LockError> {
        let lost = || LockError::Lost {
            database: self.client.database().to_owned(),
        };
        if self.pulse.lost.load(Ordering::Acquire) {
            return Err(lost());
        }
        let late = match self.pulse.last.lock() {
            Ok(last) => last.elapsed() > BEAT * 2,
            Err(_) => true,
        };
        if late && !is_owner(&self.client, &self.owner).await? {
            return Err(lost());
        }
        Ok(())
    }

    /// Gives the lock back.
    ///
    /// # Errors
    /// [`LockError`]; the lock then dies after its lease.
    pub async fn release(self) -> Result<(), LockError> {
        self.beats.abort();
        let _ = self.beats.await;
        if is_owner(&self.client, &self.owner).await? {
            drop_table(&self.client, TABLE).await?;
        }
        if let Some(grave) = &self.grave {
            drop_table(&self.client, grave).await?;
        }
        Ok(())
    }
}

/// Who has the lock, if anybody.
///
/// # Errors
/// [`LockError`].
pub async fn holder(client: &Client) -> Result<Option<Holder>, LockError> {
    #[derive(Deserialize)]
    struct Row {
        holder: String,
        silent_for: i64,
    }
    let Some(holder) = definition(client, TABLE).await? else {
        return Ok(None);
    };
    let query = Query::new(format!(
        "SELECT {} AS holder, toInt64(now()) - toInt64(greatest((SELECT max(beat) FROM {TABLE}), (SELECT max(metadata_modification_time) FROM system.tables WHERE database = currentDatabase() AND name = '{TABLE}'))) AS silent_for",
        literal(&holder)
    ));
    let row: Row = match client.row(&query).await {
        Ok(row) => row,
        Err(error) if error.is_code(UNKNOWN_TABLE) => return Ok(None),
        Err(source) => return Err(error(client, "look at", source)),
    };
    match serde_json::from_str(&row.holder) {
        Ok(owner) => Ok(Some(Holder {
            owner,
            silent_for: Duration::from_secs(u64::try_from(row.silent_for).unwrap_or(0)),
        })),
        Err(_) => Err(LockError::Foreign {
            database: client.database().to_owned(),
        }),
    }
}

/// Breaks the lock, whoever has it, and says whose it was.
///
/// # Errors
/// [`LockError`].
pub async fn unlock(client: &Client) -> Result<Option<Holder>, LockError> {
    let Some(holder) = holder(client).await? else {
        return Ok(None);
    };
    if let Some(grave) = bury(client, &holder.owner).await? {
        drop_table(client, &grave).await?;
    }
    Ok(Some(holder))
}

/// `CREATE TABLE`: whether it was this one that made it.
async fn create(client: &Client, owner: &Owner) -> Result<bool, LockError> {
    let holder = serde_json::to_string(owner).unwrap_or_default();
    let query = Query::new(format!(
        "CREATE TABLE {TABLE} (holder String DEFAULT {}, beat DateTime DEFAULT now()) ENGINE = MergeTree ORDER BY beat",
        literal(&holder)
    ));
    match client.execute(&query).await {
        Ok(()) => Ok(true),
        Err(error) if error.is_code(TABLE_ALREADY_EXISTS) => {
            // Our own CREATE may have been carried out by a request whose answer was lost.
            is_owner(client, owner).await
        }
        Err(lost) if lost.outcome_is_unknown() && is_owner(client, owner).await? => Ok(true),
        Err(source) => Err(error(client, "take", source)),
    }
}

/// The holder as the table's definition has it.
async fn definition(client: &Client, table: &str) -> Result<Option<String>, LockError> {
    #[derive(Deserialize)]
    struct Row {
        default_expression: String,
    }
    let query = Query::new(format!(
        "SELECT default_expression FROM system.columns WHERE database = currentDatabase() AND table = {} AND name = 'holder'",
        literal(table)
    ));
    let rows: Vec<Row> = client
        .rows(&query)
        .await
        .map_err(|source| error(client, "look at", source))?;
    Ok(rows
        .into_iter()
        .next()
        .map(|row| unquote(&row.default_expression)))
}

/// A string literal as `system.columns` prints it, read back.
fn unquote(literal: &str) -> String {
    let inner = literal
        .strip_prefix('\'')
        .and_then(|rest| rest.strip_suffix('\''))
        .unwrap_or(literal);
    let mut text = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.extend(chars.next()),
            c => text.push(c),
        }
    }
    text
}

async fn is_owner(client: &Client, owner: &Owner) -> Result<bool, LockError> {
    let holder = definition(client, TABLE).await?;
    Ok(holder.is_some_and(|holder| {
        serde_json::from_str::<Owner>(&holder).is_ok_and(|holder| holder == *owner)
    }))
}

/// Moves a dead lock away. `None` if somebody else was faster.
async fn bury(client: &Client, dead: &Owner) -> Result<Option<String>, LockError> {
    let suffix: String = dead
        .run_id
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    let grave = format!("{TABLE}_{suffix}");
    let rename = |from: &str, to: &str| Query::new(format!("RENAME TABLE {from} TO {to}"));
    match client.execute(&rename(TABLE, &grave)).await {
        Ok(()) => {}
        Err(error) if error.is_code(TABLE_ALREADY_EXISTS) || error.is_code(UNKNOWN_TABLE) => {
            return Ok(None);
        }
        Err(source) => return Err(error(client, "take over", source)),
    }
    let buried = definition(client, &grave).await?;
    let is_the_dead = buried.is_some_and(|holder| {
        serde_json::from_str::<Owner>(&holder).is_ok_and(|holder| holder == *dead)
    });
    if is_the_dead {
        return Ok(Some(grave));
    }
    // A living one's lock stood there by now: put it back.
    client
        .execute(&rename(&grave, TABLE))
        .await
        .map_err(|source| error(client, "give back", source))?;
    Ok(None)
}

async fn drop_table(client: &Client, table: &str) -> Result<(), LockError> {
    client
        .execute(&Query::new(format!("DROP TABLE IF EXISTS {table}")))
        .await
        .map_err(|source| error(client, "give back", source))
}

/// Writes heartbeats until the lock is lost.
async fn beat(client: Client, owner: Owner, pulse: Arc<Pulse>) {
    let insert = Query::new(format!("INSERT INTO {TABLE} (beat) SELECT now()"));
    loop {
        tokio::time::sleep(BEAT).await;
        let asked = Instant::now();
        match is_owner(&client, &owner).await {
            Ok(true) => {
                if client.execute(&insert).await.is_ok()
                    && let Ok(mut last) = pulse.last.lock()
                {
                    *last = asked;
                }
            }
            Ok(false) => {
                pulse.lost.store(true, Ordering::Release);
                return;
            }
            // The network may come back within the lease.
            Err(_) => {}
        }
    }
}

fn error(client: &Client, doing: &'static str, source: crate::clickhouse::Error) -> LockError {
    LockError::ClickHouse {
        doing,
        database: client.database().to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_quotes_comes_back_from_the_definition() {
        let owner = Owner {
            run_id: "r".to_owned(),
            who: "o'neil \\ \"x\"".to_owned(),
            host: "h".to_owned(),
            pid: 7,
        };
        let json = serde_json::to_string(&owner).unwrap();
        let back: Owner = serde_json::from_str(&unquote(&literal(&json))).unwrap();
        assert_eq!(back, owner);
    }
}
