//! `apply`: bring the database to where the migrations say.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::apply::{Event, FailureKind};
use crate::cli::connect::{Connection, connect, owner};
use crate::cli::plan::{Selection, show};
use crate::cli::printer::Printer;
use crate::cli::{Context, Stop};
use crate::clickhouse::Client;
use crate::journal::LockError;
use crate::migration::Migrations;
use crate::plan::title;
use crate::report;

/// Apply pending migrations: lock, execute, write down each step
///
/// All pending statements are read by the engine's own parser before the first is executed. The journal knows each statement before and
/// after it is sent, so that a run that broke off is continued where it stopped. Ctrl-C stops after the statement that is running.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    selection: Selection,
    /// Show what would be done, and do nothing: the same as `plan`
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Stop> {
    if args.dry_run {
        return show(args.selection, context).await;
    }
    let connection = connect(context).await?;
    let result = perform(args.selection, &connection, context).await;
    connection.end().await;
    result
}

async fn perform(
    selection: Selection,
    connection: &Connection,
    context: &Context,
) -> Result<ExitCode, Stop> {
    let printer = &context.printer;
    let mut migrations = Migrations::load(&connection.settings.schema)?;
    if !migrations.sum_findings.is_empty() && !connection.is_embedded() {
        let findings = std::mem::take(&mut migrations.sum_findings);
        return Err(Stop::findings(2, findings, Some(migrations)));
    }
    let stop = stop_on_signal();
    let result = crate::apply::apply(
        &connection.client,
        &migrations,
        selection.options(),
        &owner(context),
        &stop,
        &mut |event| show_event(printer, &event),
    )
    .await;
    let (target, database) = (&connection.target, &connection.settings.database);
    let outcome = match result {
        Ok(outcome) => outcome,
        Err(failure) => {
            let code = match &failure.kind {
                FailureKind::Refused(_) => 2,
                FailureKind::Lock(LockError::Held { .. }) => 4,
                _ => 3,
            };
            if printer.is_json() {
                printer.data(&report::apply::failure_json(&failure, target, database));
            } else {
                match &failure.kind {
                    FailureKind::Lock(error) => printer.error(code, &report::causes(error)),
                    FailureKind::Journal(error) => printer.error(code, &report::causes(error)),
                    FailureKind::ClickHouse(error) => printer.error(code, &report::causes(error)),
                    _ => printer.draw(&report::apply::findings(&failure), Some(&migrations)),
                }
            }
            return Err(Stop::said(code));
        }
    };
    if !migrations.sum_findings.is_empty() {
        // Here, where a schema is made, the sum file follows the files; a server only takes what it says.
        migrations.write_sum()?;
        printer.talk(&format!(
            "recorded the checksums in {}",
            crate::migration::SUM_FILE
        ));
    }
    let text = if printer.is_json() {
        report::apply::json(&outcome, target, database)
    } else {
        report::apply::human(&outcome, target, database)
    };
    printer.data(&text);
    Ok(ExitCode::SUCCESS)
}

/// All migrations, on a database of our own.
pub(crate) async fn apply_all(
    client: &Client,
    migrations: &Migrations,
    context: &Context,
) -> Result<(), Stop> {
    let never = AtomicBool::new(false);
    let printer = &context.printer;
    let result = crate::apply::apply(
        client,
        migrations,
        crate::plan::Options::default(),
        &owner(context),
        &never,
        &mut |event| {
            show_event(printer, &event);
        },
    )
    .await;
    match result {
        Ok(_) => Ok(()),
        Err(failure) => Err(Stop::findings(
            3,
            crate::report::apply::findings(&failure),
            Some(migrations.clone()),
        )),
    }
}

/// What happens, for a person.
pub(crate) fn show_event(printer: &Printer, event: &Event<'_>) {
    if printer.is_json() {
        return;
    }
    match event {
        Event::NotJudged => printer.talk("this server has no formatQuery (it came with 23.10): the statements are not judged beforehand"),
        Event::Judged { statements } => printer.detail(&format!("{} read by ClickHouse's parser", report::count(*statements, "statement"))),
        Event::Locked => printer.detail("locked"),
        Event::Started { step } => printer.detail(&format!("executing {}", step.sql)),
        Event::Done { step, took } => printer.talk(&format!(
            "  {} {}/{}  {} {}  {}",
            title(step.version, &step.name),
            step.number,
            step.total,
            step.label,
            step.objects.join(", "),
            report::duration(*took)
        )),
        Event::NotReleased { error } => printer.talk(&format!("the lock could not be given back and opens by itself: {}", report::causes(*error))),
    }
}

/// Set by the first Ctrl-C or SIGTERM; the second ends the process at once.
fn stop_on_signal() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&stop);
    tokio::spawn(async move {
        while signal().await.is_ok() {
            if set.swap(true, Ordering::Relaxed) {
                std::process::abort();
            }
        }
    });
    stop
}

/// Waits for Ctrl-C or SIGTERM.
pub(crate) async fn signal() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            result = tokio::signal::ctrl_c() => result,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}
