//! `rollback`: take back what was applied.

use std::process::ExitCode;
use std::time::Duration;

use crate::apply::{Task, Work};
use crate::cli::apply::{carry_out, say};
use crate::cli::connect::connect;
use crate::cli::plan::show;
use crate::cli::{Context, Stop};
use crate::migration::Migrations;
use crate::plan::Reach;

/// Take back what was applied, with the down sections that were stored then
///
/// The last migration, unless told otherwise. What the files say now does not matter: what was stored in the journal when a migration was
/// applied takes it back. It is journalled, locked, judged and continued as `apply` is; afterwards the migration is pending again. A rollback that broke off counts as
/// the first of `--steps`; `--to` means the same however often it is run.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many migrations, the highest versions first [default: 1]
    #[arg(long, value_name = "N", conflicts_with = "to")]
    steps: Option<u32>,
    /// Everything above this version, which stays; 0 for everything
    #[arg(long, value_name = "VERSION")]
    to: Option<u64>,
    /// Show what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Execute statements that destroy data although nothing in their section allows it
    #[arg(long)]
    allow_destructive: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Stop> {
    let task = Task::RollBack {
        reach: args
            .to
            .map_or(Reach::Steps(args.steps.unwrap_or(1)), Reach::To),
        allow_destructive: args.allow_destructive,
    };
    if args.dry_run {
        return show(task, &crate::rebuild::Options::default(), context).await;
    }
    let connection = connect(context).await?;
    let result = async {
        let migrations = Migrations::load(&connection.settings.schema)?;
        let work = Work {
            migrations: &migrations,
            task,
            basis: None,
            patience: Duration::ZERO,
            bench: None,
            rebuilds: None,
        };
        let outcome = carry_out(work, &connection, context).await?;
        Ok(say(&outcome, task, &connection, context))
    }
    .await;
    connection.end().await;
    result
}
