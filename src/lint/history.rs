//! The migrations, and what there is after each of their statements.

use std::collections::BTreeSet;

use crate::diagnostic::{Diagnostic, Location};
use crate::lint::State;
use crate::migration::{Migration, Migrations};
use crate::sql::{Span, Statement};

/// A statement of an up section.
#[derive(Debug)]
pub struct Moment<'a> {
    /// Its migration.
    pub migration: &'a Migration,
    /// It.
    pub statement: &'a Statement,
    /// What there is before it; `None`: not known, because it was not executed.
    pub before: Option<State>,
    /// What there is after it.
    pub after: Option<State>,
}

impl Moment<'_> {
    pub(crate) fn sql(&self) -> &str {
        self.statement.sql()
    }
}

/// A down section, tried.
#[derive(Debug)]
pub struct Reversal<'a> {
    /// Its migration.
    pub migration: &'a Migration,
    /// What came of it.
    pub reverse: Reverse,
}

/// What a down section does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reverse {
    /// There is none.
    Missing,
    /// It leads back to where the up section began.
    Inverse,
    /// The engine refuses a statement of it: its place and the engine's words.
    Refused(Span, String),
    /// It ends elsewhere: what is another, in words.
    Differs(Vec<String>),
    /// Up cannot be executed a second time.
    NoSecondTime(String),
}

/// A sequence of migrations, replayed.
#[derive(Debug)]
pub struct History<'a> {
    /// The database that the migrations live in.
    pub database: String,
    /// The files.
    pub migrations: &'a Migrations,
    /// The statements of the up sections, in order.
    pub moments: Vec<Moment<'a>>,
    /// The down sections that were tried.
    pub reversals: Vec<Reversal<'a>>,
    /// Statements that the engine refused. Each names those that were not executed because of it.
    pub refused: Vec<Diagnostic>,
    /// The objects of which it is not known what they are: those of refused statements, and what needs them. They are in no state.
    pub unknown: BTreeSet<String>,
    /// Statements that the embedded engine cannot do although a server can: where, and why. What they make is not judged.
    pub beyond: Vec<(Location, String)>,
}

impl<'a> History<'a> {
    /// Nothing replayed yet: only the texts are known.
    #[must_use]
    pub fn of_texts(migrations: &'a Migrations, database: &str) -> Self {
        Self {
            database: database.to_owned(),
            migrations,
            moments: migrations
                .iter()
                .flat_map(|migration| {
                    migration.up.iter().map(move |statement| Moment {
                        migration,
                        statement,
                        before: None,
                        after: None,
                    })
                })
                .collect(),
            reversals: Vec::new(),
            refused: Vec::new(),
            unknown: BTreeSet::new(),
            beyond: Vec::new(),
        }
    }

    /// The last state that is known.
    #[must_use]
    pub fn end(&self) -> Option<&State> {
        self.moments
            .iter()
            .rev()
            .find_map(|moment| moment.after.as_ref())
    }
}
