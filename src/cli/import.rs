//! `import-history`: take over the history of another tool.

use std::process::ExitCode;

use anyhow::anyhow;
use clap::ValueEnum;

use crate::cli::apply::code;
use crate::cli::connect::{Connection, connect, owner};
use crate::cli::{Context, Stop};
use crate::import::{Tool, find, matched, write};
use crate::migration::Migrations;
use crate::report;

/// Take over the history of goose, golang-migrate, dbmate or clickhouse-migrations
///
/// Its table is found in the target, what it says was applied is matched with the files and shown, and only `--write` writes it into the
/// journal. Nothing is executed, and nothing of the other tool is changed. What does not fit is named, and then nothing is written.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Write it into the journal; without this it is only shown
    #[arg(long)]
    write: bool,
    /// Whose history, if the database holds that of several tools
    #[arg(long, value_name = "TOOL", value_enum)]
    from: Option<From>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[expect(
    clippy::doc_markdown,
    reason = "help text for a terminal, not Markdown"
)]
enum From {
    Goose,
    GolangMigrate,
    Dbmate,
    /// clickhouse-migrations of PyPI
    ClickhouseMigrationsPypi,
    /// clickhouse-migrations of npm
    ClickhouseMigrationsNpm,
}

impl From {
    fn tool(self) -> Tool {
        match self {
            Self::Goose => Tool::Goose,
            Self::GolangMigrate => Tool::GolangMigrate,
            Self::Dbmate => Tool::Dbmate,
            Self::ClickhouseMigrationsPypi => Tool::PyPi,
            Self::ClickhouseMigrationsNpm => Tool::Npm,
        }
    }
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Stop> {
    let connection = connect(context).await?;
    let result = perform(&args, &connection, context).await;
    connection.end().await;
    result
}

async fn perform(
    args: &Args,
    connection: &Connection,
    context: &Context,
) -> Result<ExitCode, Stop> {
    let migrations = Migrations::load(&connection.settings.schema)?;
    let (target, database) = (&connection.target, &connection.settings.database);
    let mut histories = find(&connection.client).await?;
    if let Some(from) = args.from {
        histories.retain(|history| history.tool == from.tool());
    }
    let history = match histories.as_slice() {
        [history] => history,
        [] => {
            return Err(Stop::usage(anyhow!(
                "no history of another tool in {database} on {target}\n  looked for {}",
                Tool::ALL
                    .map(|tool| format!("`{}` of {tool}", tool.table()))
                    .join(", ")
            )));
        }
        several => {
            let tools: Vec<String> = several
                .iter()
                .map(|history| format!("`--from {}`", history.tool.word()))
                .collect();
            return Err(Stop::usage(anyhow!(
                "{database} on {target} holds the histories of several tools\n  say which: {}",
                tools.join(" or ")
            )));
        }
    };
    let import = match matched(history, &migrations) {
        Ok(import) => import,
        Err(findings) => return Err(Stop::findings(2, findings, Some(migrations))),
    };
    let written = if args.write && !import.matched.is_empty() {
        match write(&connection.client, &migrations, &import, &owner(context)).await {
            Ok(steps) => Some(steps),
            Err(crate::apply::FailureKind::Refused(plan)) => {
                return Err(Stop::findings(2, plan.refusals, Some(migrations.clone())));
            }
            Err(error) => return Err(Stop::failed(code(&error), error)),
        }
    } else {
        None
    };
    let say = if context.printer.is_json() {
        report::import::json
    } else {
        report::import::human
    };
    context
        .printer
        .data(&say(&import, written.as_deref(), target, database));
    Ok(ExitCode::SUCCESS)
}
