//! How a section of a migration is carried out where it is applied. Only data; who looks is not known here.

use serde::Serialize;

/// A section of a migration that changes a definition or adds columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Way {
    /// The migration's version.
    pub version: u64,
    /// The number of its first statement.
    pub first: u32,
    /// How.
    #[serde(flatten)]
    pub how: How,
}

/// The way it takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "way", rename_all = "snake_case")]
pub enum How {
    /// As the plain statements that it is.
    Plain {
        /// Why.
        why: String,
    },
    /// History is made anew beside what is there, while rows come in.
    Rebuild {
        /// Why nothing less does.
        why: String,
        /// The table that history is read from.
        source: String,
        /// Its rows.
        rows: u64,
        /// Its bytes on disk.
        bytes: u64,
        /// In how many pieces it is read, about.
        chunks: u64,
        /// The bytes of the state that it takes the place of, which is about what the copy needs; 0: there is none.
        state_bytes: u64,
        /// Free bytes where the state stands.
        free_bytes: u64,
        /// The state that is kept, and fed, as the way back.
        old_state: Option<String>,
        /// The new state.
        new_state: String,
        /// The views that change over.
        readers: Vec<String>,
        /// The views that go on with the old state.
        staying: Vec<String>,
    },
    /// Columns are added to the state that is there, and history to its rows, while rows come in.
    InPlace {
        /// Why that is enough.
        why: String,
        /// The table that history is read from.
        source: String,
        /// Its rows.
        rows: u64,
        /// Its bytes on disk.
        bytes: u64,
        /// In how many pieces it is read, about.
        chunks: u64,
        /// The state.
        state: String,
        /// The columns that are filled.
        columns: Vec<String>,
        /// The views that change over.
        readers: Vec<String>,
    },
    /// One that broke off goes on.
    Resume {
        /// Where it stands.
        place: String,
    },
    /// What stands in the way now may be mended by the statements before it, so that it is decided then.
    Later {
        /// What stands in the way.
        why: String,
    },
    /// It was carried out, and only the journal does not know yet.
    Done,
}
