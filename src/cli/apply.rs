//! `apply`: bring the database to where the migrations say.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::anyhow;
use camino::{Utf8Path, Utf8PathBuf};

use crate::apply::{Event, FailureKind, Outcome, Task, Work, Workbench};
use crate::cli::connect::{Connection, connect, launch, owner};
use crate::cli::plan::{Selection, show};
use crate::cli::printer::Printer;
use crate::cli::rebuild::Manner;
use crate::cli::{Context, Stop};
use crate::clickhouse::Client;
use crate::journal::LockError;
use crate::migration::Migrations;
use crate::plan::{Direction, title};
use crate::report::plan::Written;
use crate::{rebuild, report};

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
    /// Execute this plan, as `plan --format json` wrote it, and only if nothing has moved since
    #[arg(long, value_name = "FILE", conflicts_with_all = ["to", "out_of_order", "dry_run"])]
    plan: Option<Utf8PathBuf>,
    /// If another run has the lock, wait for it, at most so many seconds [default: until it ends]
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "18446744073709551615")]
    wait: Option<u64>,
    #[command(flatten)]
    manner: Manner,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Stop> {
    let rebuilds = args.manner.options();
    if args.dry_run {
        return show(Task::Apply(args.selection.options()), &rebuilds, context).await;
    }
    let written = args.plan.as_deref().map(read).transpose()?;
    let connection = connect(context).await?;
    let patience = Duration::from_secs(args.wait.unwrap_or(0));
    let result = perform(
        args.selection,
        &rebuilds,
        written,
        patience,
        &connection,
        context,
    )
    .await;
    connection.end().await;
    result
}

/// The plan that somebody read.
fn read(path: &Utf8Path) -> Result<Written, Stop> {
    let text = fs_err::read_to_string(path).map_err(Stop::usage)?;
    let written: Written = serde_json::from_str(&text).map_err(|error| {
        Stop::usage(anyhow!(
            "{path} is not a plan that can be applied: {error}\n  write one with `housewright plan --format json > {path}`"
        ))
    })?;
    if written.version == report::JSON_VERSION {
        Ok(written)
    } else {
        Err(Stop::usage(anyhow!(
            "{path} was written by another version of housewright; make the plan anew"
        )))
    }
}

async fn perform(
    selection: Selection,
    rebuilds: &rebuild::Options,
    written: Option<Written>,
    patience: Duration,
    connection: &Connection,
    context: &Context,
) -> Result<ExitCode, Stop> {
    let printer = &context.printer;
    let mut migrations = Migrations::load(&connection.settings.schema)?;
    if !migrations.sum_findings.is_empty() && !connection.is_embedded() {
        let findings = std::mem::take(&mut migrations.sum_findings);
        return Err(Stop::findings(2, findings, Some(migrations)));
    }
    let mut options = selection.options();
    if let Some(written) = &written {
        if written.database != connection.settings.database {
            return Err(Stop::usage(anyhow!(
                "the plan is for the database `{}`, and this is `{}`; nothing was executed",
                written.database,
                connection.settings.database
            )));
        }
        options.to = written.to;
        options.out_of_order = written.out_of_order;
    }
    let task = Task::Apply(options);
    let work = Work {
        migrations: &migrations,
        task,
        basis: written.as_ref().map(|written| &written.basis),
        patience,
        bench: None,
        rebuilds: Some(rebuilds),
    };
    let outcome = carry_out(work, connection, context).await?;
    if !migrations.sum_findings.is_empty() {
        // Here, where a schema is made, the sum file follows the files; a server only takes what it says.
        migrations.write_sum()?;
        printer.talk(&format!(
            "recorded the checksums in {}",
            crate::migration::SUM_FILE
        ));
    }
    Ok(say(&outcome, task, connection, context))
}

/// Does it, and says what happens; what goes wrong is said as well.
pub(crate) async fn carry_out(
    work: Work<'_>,
    connection: &Connection,
    context: &Context,
) -> Result<Outcome, Stop> {
    let printer = &context.printer;
    let migrations = work.migrations;
    let bench = || launch(context, None).map_err(|stop| stop.words());
    let work = Work {
        bench: Some(Workbench(&bench)),
        ..work
    };
    let stop = stop_on_signal();
    let result = crate::apply::perform(
        &connection.client,
        work,
        &owner(context),
        &stop,
        &mut |event| show_event(printer, &event),
    )
    .await;
    let failure = match result {
        Ok(outcome) => return Ok(outcome),
        Err(failure) => failure,
    };
    let (target, database) = (&connection.target, &connection.settings.database);
    let code = code(&failure.kind);
    if printer.is_json() {
        printer.data(&report::apply::failure_json(&failure, target, database));
    } else {
        match &failure.kind {
            FailureKind::Lock(error) => printer.error(code, &report::causes(error)),
            FailureKind::Journal(error) => printer.error(code, &report::causes(error)),
            FailureKind::ClickHouse(error) => printer.error(code, &report::causes(error)),
            _ => printer.draw(&report::apply::findings(&failure), Some(migrations)),
        }
    }
    Err(Stop::said(code))
}

/// Says how it ended, and with which exit code: 1 if the servers of a cluster do not agree.
pub(crate) fn say(
    outcome: &Outcome,
    task: Task,
    connection: &Connection,
    context: &Context,
) -> ExitCode {
    let (target, database) = (&connection.target, &connection.settings.database);
    let text = if context.printer.is_json() {
        report::apply::json(outcome, target, database)
    } else {
        report::apply::human(outcome, task, target, database)
    };
    context.printer.data(&text);
    let differences = report::apply::differences(outcome);
    if differences.is_empty() {
        return ExitCode::SUCCESS;
    }
    if !context.printer.is_json() {
        context.printer.draw(&differences, None);
    }
    ExitCode::from(1)
}

/// Who has to act.
pub(crate) fn code(kind: &FailureKind) -> u8 {
    match kind {
        FailureKind::Refused(_)
        | FailureKind::Moved(_)
        | FailureKind::Unsettled(_)
        | FailureKind::NotSettleable { .. } => 2,
        FailureKind::Lock(LockError::Held { .. }) => 4,
        FailureKind::Destructive(_) => 5,
        FailureKind::Rebuild { error, .. } => crate::cli::rebuild::code(error),
        _ => 3,
    }
}

/// All migrations, on a database of our own.
pub(crate) async fn apply_all(
    client: &Client,
    migrations: &Migrations,
    context: &Context,
) -> Result<(), Stop> {
    let never = AtomicBool::new(false);
    let printer = &context.printer;
    let bench = || launch(context, None).map_err(|stop| stop.words());
    let work = Work {
        migrations,
        task: Task::Apply(crate::plan::Options::default()),
        basis: None,
        patience: Duration::ZERO,
        bench: Some(Workbench(&bench)),
        rebuilds: None,
    };
    let result = crate::apply::perform(client, work, &owner(context), &never, &mut |event| {
        show_event(printer, &event);
    })
    .await;
    match result {
        Ok(_) => Ok(()),
        Err(failure) => Err(Stop::findings(
            code(&failure.kind),
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
        Event::Waiting { holder } => printer.talk(&format!("waiting for {}", holder.owner)),
        Event::Locked => printer.detail("locked"),
        Event::Started { step } => printer.detail(&format!("executing {}", step.sql)),
        Event::Following { step, waiting } => printer.talk(&format!(
            "  {} {}/{}  waiting for {}",
            title(step.version, &step.name),
            step.number,
            step.total,
            waiting.join(", ")
        )),
        Event::Rebuilding { event } => {
            if let Some(line) = report::rebuild::line(event) {
                printer.talk(&line);
            }
        }
        Event::Done { step, took } => printer.talk(&format!(
            "  {}{} {}/{}  {} {}  {}",
            title(step.version, &step.name),
            if step.direction == Direction::Down { " down" } else { "" },
            step.number,
            step.total,
            step.label,
            step.objects.join(", "),
            report::duration(*took)
        )),
        Event::Settled { doubt, done, how } => printer.talk(&format!(
            "{} had broken off: {how}; {}",
            doubt.step.title(),
            if *done { "recorded as done" } else { "it is executed again" }
        )),
        Event::StillRunning { title, query_id, waited } => printer.talk(&format!(
            "{title} is still running on the server, for an earlier run ({query_id}); waiting, {} so far",
            report::duration(*waited)
        )),
        Event::Busy { table, mutation_id, command, parts_left } => printer.talk(&format!(
            "a mutation is under way on `{table}` already: {mutation_id} {command}, {} left",
            report::count(usize::try_from(*parts_left).unwrap_or(usize::MAX), "part")
        )),
        Event::Mutation { step, mutation_id, parts_left } => printer.detail(&format!(
            "  {} goes on as {mutation_id}: {} left",
            step.title(),
            report::count(usize::try_from(*parts_left).unwrap_or(usize::MAX), "part")
        )),
        Event::NotReleased { error } => printer.talk(&format!("the lock could not be given back and opens by itself: {}", report::causes(*error))),
    }
}

/// Set by the first Ctrl-C or SIGTERM; the second ends the process at once.
pub(crate) fn stop_on_signal() -> Arc<AtomicBool> {
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
