//! One run at a time. Who holds the lock, for how long it is silent, taking it, giving it back, taking over from the dead.
//!
//! Two forms, one name: a row of a KeeperMap table where the server has Keeper for it ([`keeper`]), a table that is made and dropped
//! everywhere else ([`table`]). As both are called `housewright_lock`, they exclude each other. Silence is measured by the server's clock; a
//! lock without a sign of life for [`LEASE`] is dead and may be taken over.

mod keeper;
mod table;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::clickhouse::{Client, Query};

/// The lock's table; names of other tables of the lock begin with it.
pub const TABLE: &str = "housewright_lock";
/// A lock without a heartbeat for so long is dead.
pub const LEASE: Duration = Duration::from_mins(1);
/// How often the holder writes a heartbeat.
const BEAT: Duration = Duration::from_secs(10);
/// How often somebody who waits looks again.
const LOOK: Duration = Duration::from_millis(250);
/// How often a dead lock is tried to be taken over before its owner is named instead.
const BURIALS: u32 = 20;

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
    form: Form,
    beats: tokio::task::JoinHandle<()>,
    pulse: Arc<Pulse>,
}

/// What the heartbeat knows.
#[derive(Debug)]
struct Pulse {
    lost: AtomicBool,
    last: std::sync::Mutex<Instant>,
}

/// How the lock is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Table,
    Keeper,
}

/// What a look at the lock finds.
#[derive(Debug)]
struct Found {
    /// The owner, as [`owner_text`] writes it.
    holder: String,
    silent_for: i64,
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.beats.abort();
    }
}

impl Lock {
    /// Takes the lock, or a dead one over.
    ///
    /// # Errors
    /// [`LockError::Held`] if another run has it.
    pub async fn acquire(client: &Client, owner: Owner) -> Result<Self, LockError> {
        Self::acquire_within(client, owner, Duration::ZERO, &mut |_| {}).await
    }

    /// Takes the lock, or waits for it; `tell` hears of each holder that is waited for.
    ///
    /// # Errors
    /// [`LockError::Held`] if another run still has it after `patience`.
    pub async fn acquire_within(
        client: &Client,
        owner: Owner,
        patience: Duration,
        tell: &mut (dyn FnMut(&Holder) + Send),
    ) -> Result<Self, LockError> {
        let error = |doing| move |source| error(client, doing, source);
        let begun = Instant::now();
        let mut told = None;
        let mut burials = 0;
        loop {
            let form = match form(client).await? {
                Some(form) => form,
                None => match keeper::open(client).await.map_err(error("take"))? {
                    Some(true) => Form::Keeper,
                    Some(false) => Form::Table,
                    None => continue,
                },
            };
            match look(client, form).await? {
                Some(holder) if holder.is_dead() && burials < BURIALS => {
                    burials += 1;
                    remove(client, form, &holder.owner, "take over").await?;
                }
                Some(holder) if begun.elapsed() >= patience => {
                    return Err(LockError::Held {
                        database: client.database().to_owned(),
                        holder,
                    });
                }
                Some(holder) => {
                    if told.as_ref() != Some(&holder.owner) {
                        tell(&holder);
                        told = Some(holder.owner);
                    }
                }
                None => {
                    let taken = match form {
                        Form::Table => table::take(client, &owner).await,
                        Form::Keeper => keeper::take(client, &owner).await,
                    };
                    if taken.map_err(error("take"))? {
                        return Ok(Self::held(client, owner, form).await);
                    }
                    // Somebody was faster, and is found by the next look.
                }
            }
            // Not all who wait look at the same moment.
            let pause = if told.is_some() { LOOK } else { LOOK / 10 };
            tokio::time::sleep(pause.mul_f64(0.5 + rand::random::<f64>())).await;
        }
    }

    async fn held(client: &Client, owner: Owner, form: Form) -> Self {
        if form == Form::Table {
            // Litter does no harm, so what cannot be swept now is swept another time.
            let _ = table::sweep(client, &owner).await;
        }
        let pulse = Arc::new(Pulse {
            lost: AtomicBool::new(false),
            last: std::sync::Mutex::new(Instant::now()),
        });
        let beats = tokio::spawn(beat(
            client.clone(),
            form,
            owner.clone(),
            Arc::clone(&pulse),
        ));
        Self {
            client: client.clone(),
            owner,
            form,
            beats,
            pulse,
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
        if late && !is_held_by(&self.client, self.form, &self.owner).await? {
            self.pulse.lost.store(true, Ordering::Release);
            return Err(lost());
        }
        Ok(())
    }

    /// Gives the lock back.
    ///
    /// # Errors
    /// [`LockError`]; the lock then dies after its lease.
    pub async fn release(mut self) -> Result<(), LockError> {
        self.beats.abort();
        let _ = (&mut self.beats).await;
        remove(&self.client, self.form, &self.owner, "give back").await
    }
}

/// Who has the lock, if anybody.
///
/// # Errors
/// [`LockError`].
pub async fn holder(client: &Client) -> Result<Option<Holder>, LockError> {
    match form(client).await? {
        Some(form) => look(client, form).await,
        None => Ok(None),
    }
}

/// Breaks the lock, whoever has it, and says whose it was.
///
/// # Errors
/// [`LockError`].
pub async fn unlock(client: &Client) -> Result<Option<Holder>, LockError> {
    let Some(form) = form(client).await? else {
        return Ok(None);
    };
    let Some(holder) = look(client, form).await? else {
        return Ok(None);
    };
    remove(client, form, &holder.owner, "break").await?;
    Ok(Some(holder))
}

/// The form of the lock that is there.
async fn form(client: &Client) -> Result<Option<Form>, LockError> {
    #[derive(Deserialize)]
    struct Row {
        engine: String,
    }
    let query = Query::new(format!(
        "SELECT engine FROM system.tables WHERE database = currentDatabase() AND name = '{TABLE}'"
    ));
    let rows: Vec<Row> = client
        .rows(&query)
        .await
        .map_err(|source| error(client, "look at", source))?;
    Ok(rows.first().map(|row| {
        if row.engine == "KeeperMap" {
            Form::Keeper
        } else {
            Form::Table
        }
    }))
}

async fn look(client: &Client, form: Form) -> Result<Option<Holder>, LockError> {
    let found = match form {
        Form::Table => table::look(client).await,
        Form::Keeper => keeper::look(client).await,
    };
    let Some(found) = found.map_err(|source| error(client, "look at", source))? else {
        return Ok(None);
    };
    match serde_json::from_str(&found.holder) {
        Ok(owner) => Ok(Some(Holder {
            owner,
            silent_for: Duration::from_secs(u64::try_from(found.silent_for).unwrap_or(0)),
        })),
        Err(_) => Err(LockError::Foreign {
            database: client.database().to_owned(),
        }),
    }
}

/// Removes the lock of a run, and of no other.
async fn remove(
    client: &Client,
    form: Form,
    owner: &Owner,
    doing: &'static str,
) -> Result<(), LockError> {
    let doing = |source| error(client, doing, source);
    match form {
        Form::Keeper => {
            keeper::remove(client, owner).await.map_err(doing)?;
        }
        Form::Table => {
            let removed = table::remove(client, owner).await.map_err(doing)?;
            if !removed && table::is_held_by(client, owner).await.map_err(doing)? {
                table::remove_without_badge(client).await.map_err(doing)?;
            }
        }
    }
    Ok(())
}

async fn is_held_by(client: &Client, form: Form, owner: &Owner) -> Result<bool, LockError> {
    let held = match form {
        Form::Table => table::is_held_by(client, owner).await,
        Form::Keeper => keeper::is_held_by(client, owner).await,
    };
    held.map_err(|source| error(client, "look at", source))
}

/// Writes heartbeats until the lock is lost.
async fn beat(client: Client, form: Form, owner: Owner, pulse: Arc<Pulse>) {
    loop {
        tokio::time::sleep(BEAT).await;
        let asked = Instant::now();
        match is_held_by(&client, form, &owner).await {
            Ok(true) => {
                let beaten = match form {
                    Form::Table => table::beat(&client).await,
                    Form::Keeper => keeper::beat(&client, &owner).await,
                };
                if beaten.is_ok()
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

/// An owner as the lock has it: one text for one owner.
fn owner_text(owner: &Owner) -> String {
    serde_json::to_string(owner).unwrap_or_default()
}

fn error(client: &Client, doing: &'static str, source: crate::clickhouse::Error) -> LockError {
    LockError::ClickHouse {
        doing,
        database: client.database().to_owned(),
        source,
    }
}
