//! An existing database is adopted: its migrations are written down as done without being executed, if the database is what they make.
//!
//! What they make is found as `drift` finds it: both sides are loaded into a private embedded engine and read back.

use crate::apply::{FailureKind, fact};
use crate::catalog::{Definition, DefinitionKind, Definitions, Difference, Masking};
use crate::clickhouse::Client;
use crate::diagnostic::{Diagnostic, Severity};
use crate::drift::{self, Bench};
use crate::journal::{Fact, Journal, Lock, Owner, State, Writer};
use crate::migration::Migrations;
use crate::plan::{self, Options, Plan, Step, title};

/// The tables in which other tools keep their history; they are no part of a schema.
const HISTORIES: [&str; 6] = [
    "goose_db_version",
    "schema_migrations",
    "schema_versions",
    "db_migrations",
    "_migrations",
    "schema_migrations_lock",
];

/// How a live database differs from what the migrations make; empty if it does not. It is only read; the comparing is done on the bench.
///
/// # Errors
/// [`drift::Error`].
pub async fn compare(
    live: &Client,
    bench: &Bench,
    migrations: &Migrations,
) -> Result<Vec<Diagnostic>, drift::Error> {
    let should = bench
        .replay(&drift::Step::of_migrations(migrations))
        .await?;
    let live = Definitions::read(&live.read_only(), Masking::Replication).await?;
    let theirs = |it: &Definition| HISTORIES.contains(&it.name.as_str());
    let schema = Definitions::of(live.iter().filter(|it| !theirs(it)).cloned());
    let is = bench.read_back(&schema).await?;
    Ok(should
        .differences(&is)
        .iter()
        // The server's functions are everybody's.
        .filter(|difference| {
            !matches!(difference, Difference::Extra(object) if object.kind == DefinitionKind::Function)
        })
        .map(finding)
        .collect())
}

fn finding(difference: &Difference) -> Diagnostic {
    let error = |code, message| Diagnostic::new(Severity::Error, code, message);
    let line = |it: &Definition| it.text.split_whitespace().collect::<Vec<_>>().join(" ");
    match difference {
        Difference::Missing(should) => error(
            "object-missing",
            format!("`{}` is not in the database", should.name),
        )
        .note(format!("the migrations make: {}", line(should))),
        Difference::Different { should, is } => error(
            "object-differs",
            format!("`{}` is not what the migrations make", is.name),
        )
        .note(format!("in the database: {}", line(is)))
        .note(format!("the migrations:  {}", line(should))),
        Difference::Extra(is) => error(
            "object-unknown",
            format!(
                "`{}` is in the database, and no migration makes it",
                is.name
            ),
        )
        .note(format!("it is: {}", line(is))),
    }
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
