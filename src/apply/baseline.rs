//! An existing database is adopted: its migrations are written down as done without being executed, if the database is what they make.
//!
//! What they make is found by executing them on a throw-away database; both sides' definitions are compared token by token.

use std::collections::BTreeMap;

use crate::apply::{FailureKind, fact};
use crate::catalog::Catalog;
use crate::clickhouse::Client;
use crate::diagnostic::{Diagnostic, Severity};
use crate::journal::{Fact, Journal, Lock, Owner, State, Writer};
use crate::migration::Migrations;
use crate::plan::{self, Options, Plan, Step, title};
use crate::scratch::{Blueprint, BuildError, Scratch};
use crate::sql::{TokenKind, tokens};

/// The tables in which other tools keep their history; they are no part of a schema.
const HISTORIES: [&str; 6] = [
    "goose_db_version",
    "schema_migrations",
    "schema_versions",
    "db_migrations",
    "_migrations",
    "schema_migrations_lock",
];

/// Why the two could not be compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompareError {
    /// The migrations reach beyond their database.
    #[error("the migrations cannot be executed on a throw-away database")]
    Beyond(Vec<Diagnostic>),
    /// The migrations cannot be executed on the embedded engine.
    #[error("the migrations could not be executed on a throw-away database")]
    Build(#[from] BuildError),
    /// A server could not be asked.
    #[error(transparent)]
    ClickHouse(#[from] crate::clickhouse::Error),
}

/// How a live database differs from what the migrations make on an engine; empty if it does not. Both are only read, but for a throw-away
/// database on the engine.
///
/// # Errors
/// [`CompareError`].
pub async fn compare(
    live: &Client,
    engine: &Client,
    migrations: &Migrations,
    run: &str,
) -> Result<Vec<Diagnostic>, CompareError> {
    let blueprint = Blueprint::of(migrations, live.database()).map_err(CompareError::Beyond)?;
    let scratch = Scratch::new(engine, run).await?;
    let made = scratch.build(&blueprint).await?;
    let should = Catalog::read(&made).await;
    scratch.remove(&made).await?;
    let is = Catalog::read(&live.read_only()).await?;
    Ok(differences(
        &definitions(&should?, made.database()),
        &definitions(&is, live.database()),
    ))
}

/// The definitions by name, each as its tokens without the database's own name.
fn definitions(catalog: &Catalog, database: &str) -> BTreeMap<String, String> {
    catalog
        .objects
        .iter()
        .filter(|object| {
            !object.name.starts_with("housewright_")
                && !object.name.starts_with(".inner")
                && !HISTORIES.contains(&object.name.as_str())
        })
        .map(|object| (object.name.clone(), plain(&object.create, database)))
        .collect()
}

fn plain(create: &str, database: &str) -> String {
    let words: Vec<(TokenKind, &str)> = tokens(create)
        .filter(|token| token.kind.is_significant())
        .map(|token| (token.kind, token.span.of(create)))
        .collect();
    let mut text = String::new();
    let mut at = 0;
    while let Some((_, word)) = words.get(at) {
        let dot = words
            .get(at + 1)
            .is_some_and(|(kind, _)| *kind == TokenKind::Dot);
        if dot && word.trim_matches('`') == database {
            at += 2;
            continue;
        }
        text.push_str(word);
        text.push(' ');
        at += 1;
    }
    text.trim_end().to_owned()
}

fn differences(
    should: &BTreeMap<String, String>,
    is: &BTreeMap<String, String>,
) -> Vec<Diagnostic> {
    let error = |code, message| Diagnostic::new(Severity::Error, code, message);
    let mut differences = Vec::new();
    for (name, made) in should {
        match is.get(name) {
            None => differences.push(
                error("object-missing", format!("`{name}` is not in the database"))
                    .note(format!("the migrations make: {made}")),
            ),
            Some(found) if found != made => differences.push(
                error(
                    "object-differs",
                    format!("`{name}` is not what the migrations make"),
                )
                .note(format!("in the database: {found}"))
                .note(format!("the migrations:  {made}")),
            ),
            Some(_) => {}
        }
    }
    for (name, found) in is.iter().filter(|(name, _)| !should.contains_key(*name)) {
        differences.push(
            error(
                "object-unknown",
                format!("`{name}` is in the database, and no migration makes it"),
            )
            .note(format!("it is: {found}")),
        );
    }
    differences
}

/// Writes down that the migrations up to a version are done, without executing anything. What the journal knows already stays.
///
/// # Errors
/// [`FailureKind`]; [`FailureKind::Refused`] if the journal has something else to say of them.
pub async fn adopt(
    client: &Client,
    migrations: &Migrations,
    to: u64,
    owner: &Owner,
) -> Result<Vec<Step>, FailureKind> {
    let lock = Lock::acquire(client, owner.clone()).await?;
    let result = async {
        let journal = Journal::read(client).await?;
        let options = Options {
            to: Some(to),
            out_of_order: true,
            ..Options::default()
        };
        let mut plan = Plan::make(migrations, &journal, options);
        plan.refusals.extend(
            plan.standings
                .iter()
                .filter(|standing| standing.version <= to)
                .filter(|standing| {
                    matches!(
                        standing.state,
                        plan::State::Partial { .. } | plan::State::Failed { .. }
                    )
                })
                .map(|standing| {
                    Diagnostic::new(
                        Severity::Error,
                        "half-applied",
                        format!(
                            "{} is half applied, so it cannot be adopted",
                            title(standing.version, &standing.name)
                        ),
                    )
                    .help("bring it to its end with `housewright apply`")
                }),
        );
        plan.refusals
            .extend(plan.doubts.iter().map(|doubt| Diagnostic {
                severity: Severity::Error,
                ..doubt.finding.clone()
            }));
        if !plan.refusals.is_empty() {
            return Err(FailureKind::Refused(Box::new(plan)));
        }
        let facts: Vec<Fact> = plan
            .steps
            .iter()
            .map(|step| Fact {
                // Nothing was sent, so the server knows no such query.
                query_id: String::new(),
                ..fact(owner, step, State::Done)
            })
            .collect();
        if !facts.is_empty() {
            lock.assert_held().await?;
            Writer::open(client, &journal).await?.append(facts).await?;
        }
        Ok(plan.steps)
    }
    .await;
    let released = lock.release().await;
    let steps = result?;
    released?;
    Ok(steps)
}
