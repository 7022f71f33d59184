//! `rebuild`: a materialized view anew, while rows come in.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::anyhow;
use camino::Utf8PathBuf;

use crate::cli::apply::stop_on_signal;
use crate::cli::connect::{Connection, connect, owner};
use crate::cli::printer::Unit;
use crate::cli::{Context, Stop};
use crate::journal::LockError;
use crate::migration::{Change, columns};
use crate::rebuild::{Error, Event, Fact, Only, Options, Task, survey, survey_change};
use crate::report;

/// Make a materialized view anew from its source while rows come in: nothing lost, nothing counted twice
///
/// After rows were deleted from the source, say. A new state and a new view are made beside the old ones; what the server receives from a
/// cut on feeds both, history from before it is aggregated in chunks; when every row agrees with the source, the views that read the
/// state are replaced. The old side is kept, and fed, until `--finish`. Killed at any point it goes on with `--resume`, or `--abort`
/// leaves everything as it was. Names stay what they are: `dump`, `drift` and migrations know the new side by the old name.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A view that reads the state, the state, or the materialized view that feeds it
    #[arg(required_unless_present_any = ["resume", "finish", "rollback", "abort"], conflicts_with_all = ["resume", "finish", "rollback", "abort"])]
    view: Option<String>,
    /// Change the definition: a file with CREATE TABLE for a new state, CREATE MATERIALIZED VIEW … TO it, and CREATE OR REPLACE VIEW for
    /// the readers that change over
    #[arg(long, value_name = "FILE", requires = "view")]
    to: Option<Utf8PathBuf>,
    /// The columns of the readers that may differ from what they say now; any other difference stops before readers are swapped
    #[arg(long, value_name = "COLUMN,…", requires = "to")]
    expect: Option<String>,
    /// Make only the rows for which this holds anew, and take the others over as they are: a condition on columns of the state's key. Rows
    /// that get events meanwhile are made anew too
    #[arg(long, value_name = "CONDITION", requires = "view", conflicts_with_all = ["to", "partition"])]
    r#where: Option<String>,
    /// The same for a partition of the state, by its ID
    #[arg(long, value_name = "ID", requires = "view", conflicts_with = "to")]
    partition: Option<String>,
    /// Show what would be done, and do nothing
    #[arg(long, requires = "view")]
    dry_run: bool,
    /// Go on with a rebuild that broke off or was rolled back
    #[arg(long, group = "task")]
    resume: bool,
    /// Let the old side go
    #[arg(long, group = "task")]
    finish: bool,
    /// Let readers read the old side again; both are kept
    #[arg(long, group = "task")]
    rollback: bool,
    /// Let the new side go, as if nothing had been
    #[arg(long, group = "task")]
    abort: bool,
    #[command(flatten)]
    manner: Manner,
}

/// How it is done: what the source says of its rows, how much at once, how fast, how long to wait.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "How a rebuild is done")]
pub(crate) struct Manner {
    /// The column of the source that the server fills with the time of the INSERT, and no client sends [default: the MATERIALIZED one]
    #[arg(long, value_name = "COLUMN")]
    received_at: Option<String>,
    /// Nobody writes into the source until readers are swapped: for one without such a column. It is looked at, and rows that come in all the
    /// same stop the rebuild before the swap
    #[arg(long, conflicts_with = "received_at")]
    writers_stopped: bool,
    /// Rows of the source that are aggregated at once, and about as many that are compared
    #[arg(long, default_value_t = 1_000_000, value_name = "N")]
    chunk_rows: u64,
    /// Seconds from now to the cut; more if INSERTs take longer
    #[arg(long, default_value_t = 3, value_name = "SECONDS")]
    lead: u64,
    /// Seconds to wait for INSERTs that began before
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    patience: u64,
    /// Read no more rows of the source a second
    #[arg(long, value_name = "N")]
    max_rows_per_second: Option<u64>,
    /// Threads of a chunk, and of the comparison
    #[arg(long, value_name = "N")]
    max_threads: Option<u64>,
    /// Bytes of memory of a chunk, and of the comparison; what needs more is done in slices
    #[arg(long, value_name = "BYTES")]
    max_memory: Option<u64>,
    /// Begin no chunk while this file is there
    #[arg(long, value_name = "FILE")]
    pause_file: Option<Utf8PathBuf>,
    /// What the source's TTL let go may go from the state too
    #[arg(long)]
    allow_shorter_history: bool,
}

impl Manner {
    pub(crate) fn options(&self) -> Options {
        Options {
            received_at: self.received_at.clone(),
            chunk_rows: self.chunk_rows,
            lead: Duration::from_secs(self.lead),
            patience: Duration::from_secs(self.patience),
            max_threads: self.max_threads,
            max_memory: self.max_memory,
            max_rows_per_second: self.max_rows_per_second,
            pause_file: self.pause_file.clone(),
            allow_shorter_history: self.allow_shorter_history,
            writers_stopped: self.writers_stopped,
            only: None,
        }
    }
}

impl Args {
    fn task(&self, context: &Context) -> Result<Task, Stop> {
        Ok(match &self.view {
            Some(view) => Task::Begin {
                view: view.clone(),
                change: self.change(context)?.map(Box::new),
            },
            None if self.finish => Task::Finish,
            None if self.rollback => Task::RollBack,
            None if self.abort => Task::Abort,
            None => Task::Resume,
        })
    }

    /// The definition in the file, with what may differ by the option or by the file.
    fn change(&self, context: &Context) -> Result<Option<Change>, Stop> {
        let Some(file) = &self.to else {
            return Ok(None);
        };
        let mut change = Change::load(file).map_err(|findings| {
            context.printer.findings(2, &findings, None);
            Stop::said(2)
        })?;
        if let Some(expect) = &self.expect {
            change.expects = Some(columns(expect).collect());
        }
        Ok(Some(change))
    }

    fn options(&self) -> Options {
        Options {
            only: match (&self.r#where, &self.partition) {
                (Some(condition), _) => Some(Only::Where(condition.clone())),
                (None, Some(id)) => Some(Only::Partition(id.clone())),
                (None, None) => None,
            },
            ..self.manner.options()
        }
    }
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Stop> {
    let (task, options) = (args.task(context)?, args.options());
    let connection = connect(context).await?;
    let result = if args.dry_run {
        Box::pin(show(&task, &options, &connection, context)).await
    } else {
        Box::pin(perform(&task, &options, &connection, context)).await
    };
    connection.end().await;
    result
}

async fn show(
    task: &Task,
    options: &Options,
    connection: &Connection,
    context: &Context,
) -> Result<ExitCode, Stop> {
    let Task::Begin { view, change } = task else {
        return Err(Stop::usage(anyhow!(
            "--dry-run shows what a new rebuild would do"
        )));
    };
    let client = &connection.client;
    let surveyed = match change {
        None => survey(client, view, options).await,
        Some(change) => survey_change(client, Some(view), change, options).await,
    };
    let survey = surveyed.map_err(|error| stop(error, context))?;
    let (target, database) = (&connection.target, &connection.settings.database);
    if context.printer.is_json() {
        let data = report::rebuild::survey_json(&survey, target, database);
        context.printer.data(&data);
    } else {
        let data = report::rebuild::survey(&survey, target, database);
        context.printer.data(&data);
    }
    if survey.refusals.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    if context.printer.is_json() {
        return Err(Stop::said(2));
    }
    Err(stop(Error::Refused(survey.refusals), context))
}

async fn perform(
    task: &Task,
    options: &Options,
    connection: &Connection,
    context: &Context,
) -> Result<ExitCode, Stop> {
    let printer = &context.printer;
    let stop_flag = stop_on_signal();
    let mut bar: Option<indicatif::ProgressBar> = None;
    let result = Box::pin(crate::rebuild::perform(
        &connection.client,
        task,
        options,
        &owner(context),
        &stop_flag,
        &mut |event| {
            if printer.is_json() {
                if let Some(line) = report::rebuild::event_json(&event) {
                    printer.data(&line);
                }
                return;
            }
            match &event {
                Event::Sending { sql } => {
                    let line: String = sql.chars().take(160).collect();
                    let more = if line.len() < sql.len() { " …" } else { "" };
                    printer.detail(&format!("executing {line}{more}"));
                }
                Event::Comparing { round: 1 } => {
                    bar = Some(printer.bar(0, Unit::Rows, "  comparing"));
                }
                Event::Wrote {
                    fact: Fact::Planned { .. } | Fact::Moved { .. },
                    progress,
                } => {
                    let bar = bar.get_or_insert_with(|| {
                        printer.bar(progress.rows, Unit::Rows, "  aggregating")
                    });
                    let chunks = progress.chunks.as_deref().unwrap_or_default();
                    let done = progress
                        .moved
                        .iter()
                        .filter_map(|number| chunks.get(*number));
                    bar.set_position(done.map(|chunk| chunk.rows).sum());
                }
                _ => {}
            }
            if let Some(line) = report::rebuild::line(&event) {
                if !matches!(
                    event,
                    Event::Wrote {
                        fact: Fact::Planned { .. },
                        ..
                    }
                ) && let Some(bar) = bar.take()
                {
                    bar.finish_and_clear();
                }
                printer.talk(&line);
            }
        },
    ))
    .await;
    if let Some(bar) = bar.take() {
        bar.finish_and_clear();
    }
    let outcome = result.map_err(|error| stop(error, context))?;
    let (target, database) = (&connection.target, &connection.settings.database);
    printer.data(&if printer.is_json() {
        report::rebuild::json(&outcome, target, database)
    } else {
        report::rebuild::human(&outcome, task, target, database)
    });
    Ok(ExitCode::SUCCESS)
}

/// Who has to act.
pub(crate) fn code(error: &Error) -> u8 {
    match error {
        Error::Disagree { .. } | Error::Unexpected { .. } | Error::Incomparable { .. } => 1,
        Error::Lock(LockError::Held { .. }) => 4,
        Error::Unmakeable { .. }
        | Error::Lock(_)
        | Error::ClickHouse(_)
        | Error::Busy { .. }
        | Error::NotStill { .. }
        | Error::Restless { .. } => 3,
        _ => 2,
    }
}

fn stop(error: Error, context: &Context) -> Stop {
    let code = code(&error);
    if let Some(findings) = report::rebuild::findings(&error) {
        context.printer.findings(code, &findings, None);
        return Stop::said(code);
    }
    let what = if error.is_short_of_memory() {
        "the rebuild broke off for want of memory; what was done is written down, and `housewright rebuild --resume` with more `--max-memory` \
         goes on; or `--abort`, and begin again with fewer `--chunk-rows`"
    } else {
        "the rebuild broke off; what was done is written down, and `housewright rebuild --resume` goes on"
    };
    match error {
        Error::ClickHouse(source) => Stop::failed(code, anyhow::Error::new(source).context(what)),
        error => Stop::failed(code, error),
    }
}
