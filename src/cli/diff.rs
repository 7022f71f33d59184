//! `diff`: what leads from the migrations to the edited files of `schema/current/`.

use std::process::ExitCode;

use crate::cli::dump::{Bad, on_bench, refused};
use crate::cli::{Context, Stop};
use crate::config::resolve;
use crate::diff::{Way, migration};
use crate::drift::{Error, Outcome, Step, declared, lead, settle};
use crate::migration::Migrations;
use crate::report;

/// Print or write the migration that leads to the edited files of schema/current/
///
/// Edit a file there (or add one, or remove one), and `diff` finds the statements that lead from what the migrations add up to to what the
/// files say, and those that lead back. They are executed on a throw-away embedded ClickHouse, there and back, before anything is shown or
/// written. Nothing is taken for renamed: say so with `-- housewright:renamed(old_name)` behind the column, or above the CREATE of
/// a table, a view or a dictionary. Exits with 1 if there are
/// differences and nothing is written, with 2 if a change cannot be made by a migration.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Write it as the next migration, record its checksum, and lay the files out as `dump --write` does
    #[arg(long, value_name = "NAME")]
    write: Option<String>,
    /// Put statements that destroy data into force; otherwise they are written commented out
    #[arg(long, requires = "write")]
    allow_destructive: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Stop> {
    let settings = resolve(&context.flags, &context.environment)?;
    let migrations = Migrations::load(&settings.schema)?;
    let directory = settings.schema.join("current");
    let files = declared(&directory, &settings.database)?;
    let steps = Step::of_migrations(&migrations);
    let result = on_bench(context, &settings.database, async |bench| {
        lead(bench, &steps, &files).await
    })
    .await;
    let outcome = result.map_err(|bad| match bad {
        Bad::Drift(Error::Unproven(reason)) => {
            Stop::failed(2, anyhow::Error::msg(report::diff::unproven(&reason)))
        }
        Bad::Drift(Error::Statement {
            location: Some(location),
            error,
            ..
        }) if location.path.starts_with(&directory) => {
            Stop::findings(2, vec![report::diff::refused(*location, &error)], None)
        }
        bad => refused(bad, &migrations),
    })?;
    let path = match (&args.write, &outcome.way) {
        (Some(name), Some(way)) => Some(write(name, way, &args, &settings.schema, context)?),
        _ => None,
    };
    let laid_out = match path {
        Some(_) => {
            let made = if args.allow_destructive {
                &outcome.end
            } else {
                &outcome.middle
            };
            settle(&directory, &files, &outcome.files, made)?
        }
        None => Vec::new(),
    };
    let written = path.as_deref().map(|path| report::diff::Written {
        path,
        allowed: args.allow_destructive,
        laid_out: &laid_out,
    });
    context.printer.data(&if context.printer.is_json() {
        report::diff::json(&outcome, &directory, written)
    } else {
        report::diff::human(&outcome, &directory, written)
    });
    Ok(ExitCode::from(code(&outcome, path.is_some())))
}

fn code(outcome: &Outcome, written: bool) -> u8 {
    if outcome.diff.refusals.is_empty() {
        u8::from(!outcome.differences.is_empty() && !written)
    } else {
        2
    }
}

fn write(
    name: &str,
    way: &Way,
    args: &Args,
    schema: &camino::Utf8Path,
    context: &Context,
) -> Result<camino::Utf8PathBuf, Stop> {
    if way.safe.is_empty() && way.rebuild.is_empty() && !args.allow_destructive {
        return Err(Stop::failed(
            5,
            anyhow::anyhow!(
                "all that this migration would do destroys data; nothing was written\n  `housewright diff` shows it, and `--allow-destructive` \
                 writes it"
            ),
        ));
    }
    let text = migration(way, args.allow_destructive);
    let path = Migrations::create_with(schema, name, &text)?;
    let mut migrations = Migrations::load(schema)?;
    // Only if nothing else would be recorded with it unseen.
    let alone = |finding: &crate::diagnostic::Diagnostic| {
        let at = finding.location.as_ref();
        at.is_some_and(|at| at.path == path)
    };
    if migrations.sum_findings.iter().all(alone) {
        migrations.write_sum()?;
    } else {
        context.printer.talk(
            "housewright.sum knows other migrations otherwise, so that this one was not recorded: `housewright repair` records them",
        );
    }
    Ok(path)
}
