//! Should against is: the live database against the migrations applied there, and `schema/current/` against the migrations.
//!
//! Both sides are loaded into the same private embedded engine and read back, so that two texts that mean the same never differ.

mod bench;
mod files;
mod history;
mod prove;

use crate::catalog::{Cycle, Definition, Definitions, Difference, Masking};
use crate::clickhouse::Client;
use crate::diagnostic::Location;
use crate::journal::{Journal, executed, records};

pub use crate::drift::bench::{Bench, Step};
pub use crate::drift::files::{
    Change, ChangeKind, Declared, Renamed, compare, declared, settle, write,
};
pub use crate::drift::prove::{Outcome, Unproven, lead};

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A statement that the embedded engine refuses.
    #[error("the embedded ClickHouse refused {}", place(.location.as_deref(), .sql))]
    Statement {
        /// Where it stands, if it stands in a file.
        location: Option<Box<Location>>,
        /// Its text.
        sql: String,
        /// What the engine said.
        #[source]
        error: Box<crate::clickhouse::Error>,
    },
    /// Objects that need each other.
    #[error(transparent)]
    Cycle(#[from] Cycle),
    /// A file of `schema/current/`.
    #[error("could not {doing} {path}")]
    File {
        /// What was being done.
        doing: &'static str,
        /// The file or directory.
        path: camino::Utf8PathBuf,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
    /// What is wrong with the files of `schema/current/`.
    #[error("the files of schema/current are not usable")]
    Invalid(Vec<crate::diagnostic::Diagnostic>),
    /// Statements that were found and do not hold.
    #[error(transparent)]
    Unproven(#[from] Unproven),
    /// The engine or the target failed.
    #[error(transparent)]
    ClickHouse(#[from] crate::clickhouse::Error),
}

fn place(location: Option<&Location>, sql: &str) -> String {
    if let Some(at) = location {
        return format!("{}:{}", at.path, at.line);
    }
    let line = sql.lines().next().unwrap_or_default();
    format!("`{}`", line.chars().take(80).collect::<String>())
}

/// What is another on a target than the journal there says.
#[derive(Clone, Debug)]
pub struct Drift {
    /// The differences, by name.
    pub differences: Vec<Difference>,
    /// The objects whose engine the embedded one does not have, so that it was compared as text.
    pub as_text: Vec<Definition>,
    /// How many migrations the journal has that were not taken back.
    pub migrations: usize,
    /// How many objects the target has.
    pub objects: usize,
}

/// Compares a live database with what its journal says was done to it. Only reads there; the comparing is done on `bench`.
///
/// # Errors
/// [`Error`]; [`Error::Statement`] means a statement that the target took and the embedded engine does not.
pub async fn drift(target: &Client, journal: &Journal, bench: &Bench) -> Result<Drift, Error> {
    let live = Definitions::read(target, Masking::Replication).await?;
    let steps: Vec<Step> = executed(journal)
        .into_iter()
        .flat_map(|fact| Step::of_text(&fact.sql))
        .collect();
    let should = bench.replay(&steps).await?;
    let is = bench.read_back(&live).await?;
    let differences = should
        .differences(&is)
        .into_iter()
        // The server's functions are everybody's.
        .filter(|difference| {
            !matches!(difference, Difference::Extra(object) if bench::is_of_server(object))
        })
        .collect();
    Ok(Drift {
        differences,
        as_text: is
            .iter()
            .chain(should.iter())
            .filter(|definition| definition.as_text)
            .map(|definition| (definition.name.clone(), definition.clone()))
            .collect::<std::collections::BTreeMap<_, _>>()
            .into_values()
            .collect(),
        migrations: records(journal).len(),
        objects: live.iter().filter(|it| !bench::is_of_server(it)).count(),
    })
}
