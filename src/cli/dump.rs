//! `dump`: the definitions of a target; or what the migrations add up to, as files.

use std::process::ExitCode;

use camino::Utf8Path;

use crate::catalog::{Definitions, Masking, access};
use crate::cli::connect::{connect, start};
use crate::cli::{Context, Stop};
use crate::clickhouse::Client;
use crate::config::resolve;
use crate::drift::{Bench, Change, Error, Step, compare, write};
use crate::migration::Migrations;
use crate::report;

/// Print the definitions of a target, each behind what it needs, ready to be executed again
///
/// Without database name, UUIDs, replica paths and secrets; journal and lock are left out. With `--write` or `--check` no target is asked:
/// the migrations are replayed on a throw-away embedded ClickHouse, and the files of `schema/current/` are what they add up to.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Write schema/current/ anew from the migrations
    #[arg(long, conflicts_with = "check")]
    write: bool,
    /// Exit with 1 if schema/current/ is not what the migrations add up to
    #[arg(long)]
    check: bool,
    /// Users, roles, grants, row policies, quotas and profiles too: those of the whole server, without secrets
    #[arg(long, conflicts_with_all = ["write", "check"])]
    access: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Stop> {
    if args.write || args.check {
        return files(&args, context).await;
    }
    let connection = connect(context).await?;
    let client = connection.client.read_only();
    let read = async {
        let definitions = Definitions::read(&client, Masking::Paths).await?;
        let rights = if args.access {
            Some(access(&client).await?)
        } else {
            None
        };
        Ok::<_, crate::clickhouse::Error>((definitions, rights))
    };
    let read = read.await;
    let (target, database) = (
        connection.target.clone(),
        connection.settings.database.clone(),
    );
    connection.end().await;
    let (definitions, rights) = read?;
    let sorted = definitions.in_order().map_err(Error::from)?;
    context.printer.data(&if context.printer.is_json() {
        report::dump::json(&sorted, rights.as_deref(), &target, &database)
    } else {
        report::dump::sql(&sorted, rights.as_deref())
    });
    Ok(ExitCode::SUCCESS)
}

async fn files(args: &Args, context: &Context) -> Result<ExitCode, Stop> {
    let settings = resolve(&context.flags, &context.environment)?;
    let migrations = Migrations::load(&settings.schema)?;
    let directory = settings.schema.join("current");
    let result = on_bench(context, &settings.database, async |bench| {
        let end = bench.replay(&Step::of_migrations(&migrations)).await?;
        Ok::<_, Error>(end)
    })
    .await;
    let end = result.map_err(|error| refused(error, &migrations))?;
    let changes = changes(args.write, &directory, &end)?;
    context.printer.data(&if context.printer.is_json() {
        report::dump::files_json(&changes, &directory, end.len(), args.write)
    } else {
        report::dump::files(&changes, &directory, end.len(), args.write)
    });
    Ok(ExitCode::from(u8::from(args.check && !changes.is_empty())))
}

fn changes(writes: bool, directory: &Utf8Path, end: &Definitions) -> Result<Vec<Change>, Error> {
    if writes {
        write(directory, end)
    } else {
        compare(directory, end)
    }
}

/// Does something on a private embedded engine.
pub(crate) async fn on_bench<T>(
    context: &Context,
    database: &str,
    act: impl AsyncFnOnce(&Bench) -> Result<T, Error>,
) -> Result<T, Bad> {
    let (client, handle) = start(context, None, "default").await.map_err(Bad::Stop)?;
    let result = async {
        let client: Client = client;
        let bench = Bench::new(&client, database).await?;
        act(&bench).await
    }
    .await;
    handle.end().await;
    result.map_err(Bad::Drift)
}

/// Why nothing came out.
pub(crate) enum Bad {
    Stop(Stop),
    Drift(Error),
}

/// A refused statement is shown where it stands.
pub(crate) fn refused(bad: Bad, migrations: &Migrations) -> Stop {
    match bad {
        Bad::Stop(stop) => stop,
        Bad::Drift(Error::Statement {
            location: Some(location),
            error,
            ..
        }) => Stop::findings(
            3,
            vec![report::dump::refused(*location, &error)],
            Some(migrations.clone()),
        ),
        Bad::Drift(error) => error.into(),
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid(findings) => Self::findings(2, findings, None),
            Error::File { .. } | Error::Cycle(_) => Self::usage(error),
            other => Self::failed(3, other),
        }
    }
}
