//! A materialized view anew, while rows come in: nothing lost, nothing counted twice.
//!
//! A new state and a new view stand beside the old ones. The new view takes rows that the server received from a moment on, the cut, which
//! lies in the future when it is chosen; history from before the cut is aggregated in pieces, each through a staging table whose partitions
//! are moved, so that a piece is there whole or not at all. When both sides agree with the raw rows the reading views are replaced, and the
//! old side is kept, and fed, until somebody lets it go. Columns to which the same rows may be added twice need no second state: they are
//! added in place. Each step is written down and may be done twice. Who shows it is not known here.

mod addition;
mod agreement;
mod away;
mod barrier;
mod capture;
mod change;
mod changeover;
mod chunks;
mod differences;
mod frozen;
mod history;
mod in_place;
mod ledger;
mod obstacles;
mod parity;
mod reason;
mod run;
mod scope;
mod section;
mod slices;
mod still;
mod subject;
mod sums;
mod waiting;

use std::time::Duration;

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

use crate::journal::LockError;
use crate::migration::{Change, Redefinition};

pub use crate::rebuild::addition::{Added, Alter};
pub use crate::rebuild::barrier::{Barrier, Running};
pub use crate::rebuild::change::{Changed, Reader, survey_change};
pub use crate::rebuild::differences::Differences;
pub use crate::rebuild::ledger::{Chunk, Fact, Progress, last};
pub use crate::rebuild::obstacles::Refusal;
pub use crate::rebuild::run::perform;
pub use crate::rebuild::scope::{KeyColumn, Only, Scope};
pub use crate::rebuild::section::{carry_out, way};
pub use crate::rebuild::subject::{Side, Subject, Survey, survey};
pub use crate::rebuild::sums::Sums;

/// How a rebuild is done.
#[derive(Clone, Debug)]
pub struct Options {
    /// The column of the source in which the server writes when it took a row; otherwise it is looked for.
    pub received_at: Option<String>,
    /// About how many rows of the source one piece of history is.
    pub chunk_rows: u64,
    /// How far in the future the cut is chosen at first.
    pub lead: Duration,
    /// How long is waited for INSERTs to end.
    pub patience: Duration,
    /// `max_threads` of everything that reads much.
    pub max_threads: Option<u64>,
    /// `max_memory_usage`, in bytes, of everything that reads much.
    pub max_memory: Option<u64>,
    /// Rows of the source that are aggregated in a second, at most.
    pub max_rows_per_second: Option<u64>,
    /// While this file is there, no piece is begun.
    pub pause_file: Option<Utf8PathBuf>,
    /// What the source's TTL let go may go from the state too.
    pub allow_shorter_history: bool,
    /// Nobody writes into the source until readers are swapped, as whoever asks says: it needs no such column then.
    pub writers_stopped: bool,
    /// Only these rows are made anew, and the others taken over as they are.
    pub only: Option<Only>,
}

impl Options {
    /// About how many rows one piece of history is: fewer if they are to come slowly.
    #[must_use]
    pub(crate) fn piece(&self) -> u64 {
        let limit = self.max_rows_per_second.unwrap_or(u64::MAX);
        self.chunk_rows.min(limit.saturating_mul(10)).max(1)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            received_at: None,
            chunk_rows: 1_000_000,
            lead: Duration::from_secs(3),
            patience: Duration::from_mins(10),
            max_threads: None,
            max_memory: None,
            max_rows_per_second: None,
            pause_file: None,
            allow_shorter_history: false,
            writers_stopped: false,
            only: None,
        }
    }
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// A rebuild of what a name means, up to the swap of the readers.
    Begin {
        /// The name.
        view: String,
        /// The definition that it is to have; `None`: the one it has.
        change: Option<Box<Change>>,
    },
    /// The same for a section of a migration, which may have been begun; what is kept is then the migrations'.
    Section(Box<Redefinition>),
    /// To go on with the rebuild that broke off, or was rolled back.
    Resume,
    /// To let the old side go.
    Finish,
    /// To let readers read the old side again.
    RollBack,
    /// To let the new side go, as if nothing had been.
    Abort,
}

/// What happens, as it happens.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The lock is ours.
    Locked,
    /// A statement that changes something is about to be sent.
    Sending {
        /// Its text.
        sql: &'a str,
    },
    /// It was executed.
    Sent {
        /// Its text.
        sql: &'a str,
        /// How long it took.
        took: Duration,
    },
    /// A fact was written down.
    Wrote {
        /// The fact.
        fact: &'a Fact,
        /// Where the rebuild stands with it.
        progress: &'a Progress,
    },
    /// INSERTs that began before a moment have to end first.
    Waiting {
        /// Those that run.
        running: &'a [Running],
    },
    /// The pause file is there.
    Paused {
        /// The file.
        file: &'a camino::Utf8Path,
    },
    /// New and raw are compared.
    Comparing {
        /// How often that was begun, from 1; later rounds look at what changed during the first.
        round: u32,
    },
    /// The server has not the memory for what was begun: it is done again in slices, as is what comes after it.
    Sliced {
        /// How many slices, of the keys.
        slices: u64,
    },
    /// The lock could not be given back; it dies after its lease.
    NotReleased {
        /// Why.
        error: &'a LockError,
    },
}

/// How it ended well.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Where the rebuild stands.
    pub progress: Progress,
    /// The views that read the new state, or the old one again.
    pub readers: Vec<String>,
    /// Columns that were not compared: two right answers may differ.
    pub left_out: Vec<String>,
    /// How long it took.
    pub took: Duration,
    /// It stopped early because it was asked to.
    pub stopped: bool,
}

/// A row that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    /// The key: columns and values.
    pub key: Vec<(String, String)>,
    /// The columns that differ: name, by the raw rows or on the old side, in the new state.
    pub cells: Vec<(String, String, String)>,
    /// Whether the raw rows have it, or the old side.
    pub in_raw: bool,
    /// Whether the new state has it.
    pub in_state: bool,
}

/// Why it did not come to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing of that name.
    #[error(
        "there is no `{name}` in this database\n  {}",
        if known.is_empty() { "it has no materialized view at all".to_owned() } else { format!("its materialized views: {}", known.join(", ")) }
    )]
    Unknown {
        /// The name.
        name: String,
        /// The materialized views there are.
        known: Vec<String>,
    },
    /// A view over several states.
    #[error(
        "`{name}` reads several states, and one is rebuilt at a time: {}\n  name one of them; nothing was changed",
        states.join(", ")
    )]
    Ambiguous {
        /// The view.
        name: String,
        /// The states.
        states: Vec<String>,
    },
    /// It cannot be rebuilt at all.
    #[error("`{name}` cannot be rebuilt: {reason}\n  {remedy}; nothing was changed")]
    NotRebuildable {
        /// The name.
        name: String,
        /// Why.
        reason: String,
        /// What to do.
        remedy: String,
    },
    /// Something stands in the way. Nothing was changed.
    #[error("the rebuild was refused")]
    Refused(Vec<Refusal>),
    /// Another one is not finished.
    #[error(
        "the rebuild of `{name}` is not finished: {place}\n  `housewright rebuild --resume` goes on, `--finish` lets the old side go once readers are swapped, `--abort` takes all of it back"
    )]
    Unfinished {
        /// What is rebuilt.
        name: String,
        /// Where it stands.
        place: String,
    },
    /// There is none to go on with.
    #[error("there is no rebuild to {what}\n  `housewright rebuild VIEW` begins one")]
    None {
        /// What was asked for.
        what: &'static str,
    },
    /// Not in this state.
    #[error("the rebuild of `{name}` cannot {what}: {place}\n  {remedy}")]
    NotNow {
        /// What is rebuilt.
        name: String,
        /// What was asked for.
        what: &'static str,
        /// Where it stands.
        place: String,
        /// What to do.
        remedy: &'static str,
    },
    /// INSERTs that do not end.
    #[error(
        "INSERTs that began before have not ended within {} s\n{}  when they have ended, or were killed: `housewright rebuild --resume` (or what you asked for, again)",
        after.as_secs(), running.iter().map(|it| format!("  {it}\n")).collect::<Vec<_>>().concat()
    )]
    Busy {
        /// How long was waited.
        after: Duration,
        /// Those that run.
        running: Vec<Running>,
    },
    /// Somebody wrote although nobody should have. Readers were not swapped.
    #[error(
        "rows came into `{source_table}` although its writers were said to be stopped, so nobody knows which of them the new state has; readers were not swapped\n  stop them, and `housewright rebuild --resume` begins history again; `--abort` takes it back"
    )]
    NotStill {
        /// The source.
        source_table: String,
    },
    /// New and raw differ. Readers were not swapped.
    #[error(
        "{} of `{state}` {} from a recomputation from `{source_table}`{}; readers were not swapped",
        rows(*count), if *count == 1 { "differs" } else { "differ" },
        kept.as_ref().map_or_else(String::new, |kept| format!(" or, where that was not asked for, from `{kept}`"))
    )]
    Disagree {
        /// The new state.
        state: String,
        /// The source.
        source_table: String,
        /// The old state, if only some rows are made anew.
        kept: Option<String>,
        /// Only columns that are added in place were compared.
        in_place: bool,
        /// How many rows.
        count: u64,
        /// Some of them.
        examples: Vec<Example>,
    },
    /// The server refused a statement of the changed definition; what was made before it is gone again.
    #[error(
        "ClickHouse refused what stands in {place}; readers were not touched, and everything is as it was"
    )]
    Unmakeable {
        /// Where the statement stands.
        place: String,
        /// What the server said.
        #[source]
        error: crate::clickhouse::Error,
    },
    /// The new side differs from the old one in more than was said. Readers were not swapped.
    #[error(
        "`{}` would differ from what it says now in more than was expected; readers were not swapped", .differences.reader
    )]
    Unexpected {
        /// How they differ.
        differences: Box<Differences>,
        /// In which columns they may not.
        columns: Vec<String>,
    },
    /// What may differ was said, and it cannot be looked at.
    #[error("new and old cannot be compared, so nobody knows whether more than {} differs: {why}\n  readers were not swapped; `housewright rebuild --abort` takes it back, and without expectations it goes through", if expects.is_empty() { "nothing".to_owned() } else { expects.join(", ") })]
    Incomparable {
        /// What may differ.
        expects: Vec<String>,
        /// Why they cannot be compared.
        why: String,
    },
    /// What was begun is not what the file says now.
    #[error(
        "the rebuild that is not finished was begun with another definition of `{name}`\n  `housewright rebuild --abort` takes that back, and `apply` again begins with what the file says now"
    )]
    OtherDefinition {
        /// The new state.
        name: String,
    },
    /// A section was begun as plain statements.
    #[error(
        "it was begun as plain statements when its source was empty, and rows have come by now that the new state would not have"
    )]
    BegunPlainly {
        /// What to do, step by step, so that it can begin again.
        steps: Vec<String>,
    },
    /// Somebody goes on with the old side.
    #[error("`{state}` is still read by {}, so it cannot be let go\n  let them read the other side (CREATE OR REPLACE VIEW), or drop them; nothing was changed", readers.join(", "))]
    StillRead {
        /// The old state.
        state: String,
        /// Who reads it.
        readers: Vec<String>,
    },
    /// Some keys changed every time they were looked at.
    #[error(
        "{} of `{state}` changed each time it was compared, so that nothing can be said of it\n  `housewright rebuild --resume` compares again; readers were not swapped",
        rows(*count)
    )]
    Restless {
        /// The new state.
        state: String,
        /// How many rows.
        count: u64,
    },
    /// Another run holds the lock, or took it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The server refused, or could not be reached.
    #[error(transparent)]
    ClickHouse(#[from] crate::clickhouse::Error),
}

impl Error {
    /// Whether the server wanted more memory than a query, or all of them, may have.
    #[must_use]
    pub fn is_short_of_memory(&self) -> bool {
        const MEMORY_LIMIT_EXCEEDED: i32 = 241;
        matches!(self, Self::ClickHouse(error) if error.is_code(MEMORY_LIMIT_EXCEEDED))
    }
}

/// `1 row`, `2,000 rows`.
fn rows(count: u64) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} row{plural}", crate::diagnostic::thousands(count))
}
