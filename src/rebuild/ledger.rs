//! The ledger: what a rebuild has done, one fact for each step, never changed. Folded, it says where a rebuild stands.
//!
//! A table in the target database, as the journal is. What must be known before a statement is sent (the cut, the staging table) is
//! written before it; that a step is done is written after it, and every step may be done twice.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::catalog::generation::scratch;
use crate::clickhouse::{Client, Error, Query, identifier};
use crate::journal::{Owner, REBUILD_TABLE};
use crate::rebuild::away::away;
use crate::rebuild::differences::Differences;
use crate::rebuild::run::{microseconds, seconds};
use crate::rebuild::subject::Subject;

/// A fact that waits in a queue of the server's is not written down yet.
const SETTINGS: [(&str, &str); 1] = [("async_insert", "0")];

/// One step of a rebuild.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Fact {
    /// What is rebuilt, and how everything is called.
    Begun {
        /// All of it.
        subject: Box<Subject>,
    },
    /// Another run goes on before all was captured, with a new view of another name.
    Renewed {
        /// What it is called from now on.
        view: String,
    },
    /// The new view is about to take rows from this moment on, in seconds since 1970.
    Cut {
        /// The moment.
        at: u64,
    },
    /// Nobody writes into a source that does not say when it took a row.
    Still {
        /// The highest block numbers of its partitions, as one number.
        blocks: String,
    },
    /// Every INSERT that writes rows of the cut or later feeds the new view; of columns added in place: every INSERT fills them.
    Captured,
    /// Every row from before the cut is in the source.
    Complete,
    /// Of a rebuild of some rows: the old state as it was after the cut, and the keys that came in between.
    Frozen {
        /// A copy of the old state; it has all rows from before the cut, and may have some from after it.
        state: String,
        /// The keys that may have rows from after it there.
        touched: String,
    },
    /// The pieces in which history is aggregated: conditions on the source that exclude each other.
    Planned {
        /// The pieces.
        chunks: Vec<Chunk>,
        /// The rows of the source from before the cut.
        rows: u64,
    },
    /// A piece stands in a staging table, whole.
    Staged {
        /// Its number, from 0.
        chunk: usize,
        /// The staging table.
        table: String,
    },
    /// A piece is in the new state.
    Moved {
        /// Its number, from 0.
        chunk: usize,
    },
    /// The server was restarted while a piece was moved, or somebody wrote who should not have, so that nobody knows what the new state has:
    /// history is begun again.
    Again,
    /// New and raw agree.
    Agreed {
        /// How many rows were compared.
        rows: u64,
    },
    /// New and old were compared.
    Compared {
        /// How they differ.
        differences: Box<Differences>,
    },
    /// Readers read the new state.
    Swapped,
    /// The old state stays, as the migrations' way back; nothing is left to do here.
    Kept,
    /// Readers read the old state again.
    Back,
    /// The old state is about to go.
    Finishing,
    /// The old state is gone.
    Finished,
    /// The new state is about to go.
    Aborting,
    /// The new state is gone.
    Aborted,
}

impl Fact {
    fn word(&self) -> String {
        serde_json::to_value(self)
            .ok()
            .and_then(|value| Some(value.get("step")?.as_str()?.to_owned()))
            .unwrap_or_default()
    }
}

/// A piece of history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// A condition on the source, or on the frozen old state.
    pub condition: String,
    /// About how many rows of it are read.
    pub rows: u64,
    /// It is a piece of the old state, as it was frozen, and not of the source.
    #[serde(default, skip_serializing_if = "is_false")]
    pub kept: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// Where a rebuild stands.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Its number in the ledger.
    pub rebuild: u64,
    /// What is rebuilt.
    pub subject: Subject,
    /// Since when, in seconds since 1970, by the server's clock.
    pub since: u64,
    /// The cut, in seconds since 1970.
    pub cut: Option<u64>,
    /// How the source stood when nobody wrote into it, if it does not say when it took a row.
    pub still: Option<String>,
    /// Every INSERT from the cut on feeds the new view.
    pub captured: bool,
    /// All rows from before the cut are in the source.
    pub complete: bool,
    /// The frozen old state and the keys that came in meanwhile, of a rebuild of some rows.
    pub frozen: Option<(String, String)>,
    /// The pieces.
    pub chunks: Option<Vec<Chunk>>,
    /// The rows from before the cut.
    pub rows: u64,
    /// The pieces that are in the new state.
    pub moved: BTreeSet<usize>,
    /// A piece that stands in a staging table, which, and since when.
    pub staged: Option<(usize, String, u64)>,
    /// How many rows were compared and are the same.
    pub agreed: Option<u64>,
    /// How new and old differ, if the definition was changed and that could be compared.
    pub compared: Option<Differences>,
    /// Whether readers read the new state.
    pub swapped: bool,
    /// Whether they did once.
    pub was_swapped: bool,
    /// The old state goes.
    pub finishing: bool,
    /// The new state goes.
    pub aborting: bool,
    /// Nothing is left to do.
    pub ended: bool,
}

impl Progress {
    fn begin(rebuild: u64, subject: Subject, since: u64) -> Self {
        Self {
            rebuild,
            subject,
            since,
            cut: None,
            still: None,
            captured: false,
            complete: false,
            frozen: None,
            chunks: None,
            rows: 0,
            moved: BTreeSet::new(),
            staged: None,
            agreed: None,
            compared: None,
            swapped: false,
            was_swapped: false,
            finishing: false,
            aborting: false,
            ended: false,
        }
    }

    /// One fact more.
    fn take(&mut self, fact: Fact, at: u64) {
        match fact {
            Fact::Begun { .. } => {}
            Fact::Renewed { view } => {
                self.cut = None;
                self.subject.new.view = view;
            }
            Fact::Cut { at } => self.cut = Some(at),
            Fact::Still { blocks } => self.still = Some(blocks),
            Fact::Captured => self.captured = true,
            Fact::Complete => self.complete = true,
            Fact::Frozen { state, touched } => self.frozen = Some((state, touched)),
            Fact::Planned { chunks, rows } => {
                self.chunks = Some(chunks);
                self.rows = rows;
            }
            Fact::Staged { chunk, table } => self.staged = Some((chunk, table, at)),
            Fact::Moved { chunk } => {
                self.staged = None;
                self.moved.insert(chunk);
            }
            Fact::Again => {
                *self = Self {
                    was_swapped: self.was_swapped,
                    ..Self::begin(self.rebuild, self.subject.clone(), self.since)
                };
            }
            Fact::Agreed { rows } => self.agreed = Some(rows),
            Fact::Compared { differences } => self.compared = Some(*differences),
            Fact::Swapped => {
                self.swapped = true;
                self.was_swapped = true;
            }
            Fact::Back => {
                self.swapped = false;
                self.agreed = None;
                self.compared = None;
            }
            Fact::Finishing => self.finishing = true,
            Fact::Aborting => self.aborting = true,
            Fact::Finished | Fact::Aborted | Fact::Kept => self.ended = true,
        }
    }

    /// What was asked for cannot be done where it stands.
    pub(super) fn not_now(
        &self,
        what: &'static str,
        remedy: &'static str,
    ) -> crate::rebuild::Error {
        crate::rebuild::Error::NotNow {
            name: self.subject.name.clone(),
            what,
            place: self.place(),
            remedy,
        }
    }

    /// Where it stands, in a few words.
    #[must_use]
    pub fn place(&self) -> String {
        if self.aborting {
            return "it is being aborted".to_owned();
        }
        if self.finishing {
            return "the old side is being let go".to_owned();
        }
        if self.subject.added.is_some() {
            return match &self.chunks {
                _ if self.swapped => "the columns are filled, and readers show them",
                _ if self.agreed.is_some() => "the columns are filled, readers are not changed",
                Some(chunks) => {
                    return format!(
                        "the columns are filled with {} of {} chunks of history",
                        self.moved.len(),
                        chunks.len()
                    );
                }
                None if self.captured => "what comes in fills the new columns",
                None => "the new columns are being made",
            }
            .to_owned();
        }
        if self.swapped {
            return "readers read the new side, the old one is kept".to_owned();
        }
        if self.was_swapped {
            return "readers read the old side again".to_owned();
        }
        match &self.chunks {
            _ if self.agreed.is_some() => "new and raw agree, readers are not swapped".to_owned(),
            Some(chunks) => format!("{} of {} chunks are done", self.moved.len(), chunks.len()),
            None if self.complete => "all rows before the cut are there".to_owned(),
            None if self.captured => "the new view takes what comes in".to_owned(),
            None => "the new view is being made".to_owned(),
        }
    }
}

#[derive(Deserialize)]
struct Row {
    position: u64,
    run_id: String,
    rebuild: u64,
    detail: String,
    recorded_at: u64,
}

#[derive(Serialize)]
struct NewRow<'a> {
    position: u64,
    rebuild: u64,
    run_id: &'a str,
    who: &'a str,
    host: &'a str,
    tool_version: &'a str,
    step: String,
    detail: String,
}

/// The last rebuild in the ledger of a database, if there is one. Nothing is created.
///
/// # Errors
/// [`Error`].
pub async fn last(client: &Client) -> Result<Option<Progress>, Error> {
    Ok(read(client).await?.1)
}

/// The position of the last fact, and the last rebuild.
async fn read(client: &Client) -> Result<(u64, Option<Progress>), Error> {
    const UNKNOWN_TABLE: i32 = 60;
    const UNKNOWN_DATABASE: i32 = 81;
    let query = Query::new(format!(
        "SELECT position, run_id, rebuild, detail, toUInt64(toUnixTimestamp(recorded_at)) AS recorded_at FROM {REBUILD_TABLE} \
         WHERE rebuild = (SELECT max(rebuild) FROM {REBUILD_TABLE}) ORDER BY position"
    ));
    let rows: Vec<Row> = match client.rows(&query).await {
        Ok(rows) => rows,
        Err(error) if error.is_code(UNKNOWN_TABLE) || error.is_code(UNKNOWN_DATABASE) => {
            return Ok((0, None));
        }
        Err(error) => return Err(error),
    };
    let position = rows.last().map_or(0, |row| row.position);
    let mut progress: Option<Progress> = None;
    for row in in_force(rows) {
        let fact: Fact = serde_json::from_str(&row.detail).map_err(|source| Error::Answer {
            url: client.url().to_owned(),
            source,
        })?;
        match (&mut progress, fact) {
            (_, Fact::Begun { subject }) => {
                progress = Some(Progress::begin(row.rebuild, *subject, row.recorded_at));
            }
            (Some(progress), fact) => progress.take(fact, row.recorded_at),
            (None, _) => {}
        }
    }
    Ok((position, progress))
}

/// The facts without those of a run that another had already followed: they were still on their way when it died, and what they say is not
/// so any more.
fn in_force(rows: Vec<Row>) -> Vec<Row> {
    // First and last position of each run, which is the order in which they held the lock.
    let mut runs: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for row in &rows {
        let (_, last) = runs
            .entry(row.run_id.clone())
            .or_insert((row.position, row.position));
        *last = row.position;
    }
    rows.into_iter()
        .filter(|row| {
            let own = runs.get(&row.run_id);
            !runs
                .values()
                .any(|run| Some(run) > own && run.0 <= row.position)
        })
        .collect()
}

/// Takes a ledger without a fact away, as a run leaves it that was killed before its first, and what one leaves that was killed while it took
/// it away.
///
/// # Errors
/// [`Error`].
pub(super) async fn sweep(client: &Client, owner: &Owner) -> Result<(), Error> {
    if read(client).await?.0 > 0 {
        return Ok(());
    }
    take_away(client, owner).await
}

/// Takes the ledger out of the database.
async fn take_away(client: &Client, owner: &Owner) -> Result<(), Error> {
    #[derive(Deserialize)]
    struct Row {
        name: String,
    }
    let query = Query::new(
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND startsWith(name, {name:String}) ORDER BY name",
    )
    .text("name", REBUILD_TABLE);
    let rows: Vec<Row> = client.rows(&query).await?;
    for Row { name } in &rows {
        if name.starts_with(&scratch(REBUILD_TABLE, "")) {
            let drop = Query::new(format!("DROP TABLE IF EXISTS {}", identifier(name)));
            client.execute(&drop).await?;
        }
    }
    if rows.iter().any(|row| row.name == REBUILD_TABLE) {
        for statement in away(REBUILD_TABLE, REBUILD_TABLE, &owner.run_id) {
            client.execute(&Query::new(statement)).await?;
        }
    }
    Ok(())
}

/// The writing end, for one run that holds the lock.
#[derive(Debug)]
pub(super) struct Ledger<'a> {
    client: &'a Client,
    owner: &'a Owner,
    position: u64,
    settings: Vec<(&'static str, &'static str)>,
    /// Where the rebuild stands.
    pub(super) progress: Progress,
}

impl<'a> Ledger<'a> {
    /// A rebuild that is not ended, to go on with.
    ///
    /// # Errors
    /// [`Error`].
    pub(super) async fn open(client: &'a Client, owner: &'a Owner) -> Result<Option<Self>, Error> {
        let (position, progress) = read(client).await?;
        let settings = client.known(&SETTINGS).await?;
        Ok(progress
            .filter(|progress| !progress.ended)
            .map(|progress| Self {
                client,
                owner,
                position,
                settings,
                progress,
            }))
    }

    /// A new rebuild.
    ///
    /// # Errors
    /// [`Error`].
    pub(super) async fn begin(
        client: &'a Client,
        owner: &'a Owner,
        subject: Subject,
        now: f64,
    ) -> Result<Self, Error> {
        let (position, last) = read(client).await?;
        let create = Query::new(format!(
            "CREATE TABLE IF NOT EXISTS {REBUILD_TABLE} (\n    position UInt64,\n    recorded_at DateTime DEFAULT now(),\n    rebuild UInt64,\n    run_id String,\n    who String,\n    host String,\n    tool_version String,\n    step String,\n    detail String\n) ENGINE = MergeTree ORDER BY position"
        ));
        client.execute(&create).await?;
        // No number is used twice, although an abort takes the ledger away: a fact of a dead run that is still on its way counts for none.
        let rebuild = last
            .map_or(0, |last| last.rebuild + 1)
            .max(microseconds(now));
        let mut ledger = Self {
            client,
            owner,
            position,
            settings: client.known(&SETTINGS).await?,
            progress: Progress::begin(rebuild, subject.clone(), seconds(now)),
        };
        ledger
            .write(Fact::Begun {
                subject: Box::new(subject),
            })
            .await?;
        Ok(ledger)
    }

    /// Whether nothing but its beginning is written down.
    pub(super) fn is_new(&self) -> bool {
        self.progress.cut.is_none()
    }

    /// Writes a fact down.
    ///
    /// # Errors
    /// [`Error`].
    pub(super) async fn write(&mut self, fact: Fact) -> Result<(), Error> {
        let detail = serde_json::to_string(&fact).map_err(|source| Error::Answer {
            url: self.client.url().to_owned(),
            source,
        })?;
        let row = NewRow {
            position: self.position + 1,
            rebuild: self.progress.rebuild,
            run_id: &self.owner.run_id,
            who: &self.owner.who,
            host: &self.owner.host,
            tool_version: env!("CARGO_PKG_VERSION"),
            step: fact.word(),
            detail,
        };
        let into = format!(
            "{REBUILD_TABLE} (position, rebuild, run_id, who, host, tool_version, step, detail)"
        );
        self.client
            .insert_rows(&into, &[row], &self.settings)
            .await?;
        self.position += 1;
        self.progress.take(fact, 0);
        Ok(())
    }

    /// The rebuild was nothing but an attempt: takes it out of the database, with the ledger if it knows of no other.
    ///
    /// # Errors
    /// [`Error`].
    pub(super) async fn forget(mut self) -> Result<(), Error> {
        #[derive(Deserialize)]
        struct Row {
            others: u64,
        }
        let query = Query::new(format!(
            "SELECT toUInt64(count()) AS others FROM {REBUILD_TABLE} WHERE step = 'begun' AND rebuild != {}",
            self.progress.rebuild
        ));
        if self.client.row::<Row>(&query).await?.others > 0 {
            return self.write(Fact::Aborted).await;
        }
        take_away(self.client, self.owner).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_that_arrives_when_another_run_has_gone_on_counts_no_longer() {
        let row = |position, run_id: &str| Row {
            position,
            run_id: run_id.to_owned(),
            rebuild: 1,
            detail: String::new(),
            recorded_at: 0,
        };
        let left = |rows: Vec<Row>| -> Vec<(u64, String)> {
            let rows = in_force(rows).into_iter();
            rows.map(|row| (row.position, row.run_id)).collect()
        };
        let all = |of: &[(u64, &str)]| -> Vec<(u64, String)> {
            of.iter()
                .map(|(at, run)| (*at, (*run).to_owned()))
                .collect()
        };
        // z was killed while its fact 3 was on its way; a went on from 2.
        let late = vec![
            row(1, "z"),
            row(2, "z"),
            row(3, "z"),
            row(3, "a"),
            row(4, "a"),
        ];
        assert_eq!(left(late), all(&[(1, "z"), (2, "z"), (3, "a"), (4, "a")]));
        // Killed while it began.
        let begun = vec![row(1, "z"), row(1, "a"), row(2, "a")];
        assert_eq!(left(begun), all(&[(1, "a"), (2, "a")]));
        let quiet = vec![row(1, "z"), row(2, "z"), row(3, "a"), row(4, "b")];
        assert_eq!(left(quiet).len(), 4);
    }

    #[test]
    fn a_fact_is_written_with_its_word() {
        let fact = Fact::Moved { chunk: 3 };
        assert_eq!(fact.word(), "moved");
        let json = serde_json::to_string(&fact).unwrap();
        assert_eq!(json, r#"{"step":"moved","chunk":3}"#);
        assert_eq!(serde_json::from_str::<Fact>(&json).unwrap(), fact);
        assert_eq!(Fact::Captured.word(), "captured");
    }
}
