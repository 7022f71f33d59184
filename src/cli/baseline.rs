//! `baseline`: adopt an existing database.

use std::process::ExitCode;

use crate::apply::baseline::{adopt, compare};
use crate::cli::apply::code;
use crate::cli::connect::{Connection, connect, owner};
use crate::cli::dump::{on_bench, refused};
use crate::cli::{Context, Stop};
use crate::diagnostic::Severity;
use crate::migration::Migrations;
use crate::plan::title;
use crate::report;

/// Adopt an existing database: write down that migrations are done, without executing them
///
/// What the migrations make and what is there are both loaded into a throw-away embedded engine and read back, so that two texts that mean
/// the same never differ. Any
/// difference is shown, and nothing is written then (exit code 1), unless `--force` is given.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The last version that the database has already
    #[arg(long, value_name = "VERSION")]
    to: u64,
    /// Adopt it although it differs
    #[arg(long)]
    force: bool,
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
    let printer = &context.printer;
    let migrations = Migrations::load(&connection.settings.schema)?;
    if migrations.get(args.to).is_none() {
        return Err(Stop::usage(anyhow::anyhow!(
            "there is no migration {:04}; `housewright status` lists the versions",
            args.to
        )));
    }
    let owner = owner(context);
    let adopted = migrations.up_to(args.to);
    let compared = on_bench(context, &connection.settings.database, async |bench| {
        compare(&connection.client, bench, &adopted).await
    })
    .await;
    let mut differences = compared.map_err(|bad| refused(bad, &adopted))?;
    let (target, database) = (&connection.target, &connection.settings.database);
    if !differences.is_empty() && !args.force {
        if let Some(last) = differences.last_mut() {
            last.help = Some(format!(
                "nothing was written; mend the database or the files, name another version, or adopt it as it is with `housewright baseline --to {} --force`",
                args.to
            ));
        }
        return Err(Stop::findings(1, differences, Some(migrations)));
    }
    for difference in &mut differences {
        difference.severity = Severity::Warning;
    }
    let steps = match adopt(&connection.client, &migrations, args.to, &owner).await {
        Ok(steps) => steps,
        Err(crate::apply::FailureKind::Refused(plan)) => {
            return Err(Stop::findings(2, plan.refusals, Some(migrations)));
        }
        Err(error) => return Err(Stop::failed(code(&error), error)),
    };
    if printer.is_json() {
        printer.data(&report::baseline::json(
            &steps,
            &differences,
            target,
            database,
        ));
    } else {
        if !differences.is_empty() {
            printer.draw(&differences, Some(&migrations));
        }
        let mut titles: Vec<String> = steps
            .iter()
            .map(|step| title(step.version, &step.name))
            .collect();
        titles.dedup();
        printer.data(&report::baseline::human(&titles, target, database));
    }
    Ok(ExitCode::SUCCESS)
}
