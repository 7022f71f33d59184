//! `seed`: generated events, or those of a file, to standard output or into a target.

use std::io::{BufReader, Write as _};
use std::process::ExitCode;

use anyhow::anyhow;
use camino::Utf8PathBuf;

use crate::cli::connect::connect;
use crate::cli::printer::Unit;
use crate::cli::{Context, Stop};
use crate::clickhouse::{Client, Insert, Query};
use crate::report;
use crate::seed;

/// Generate realistic events, or read them from a file: the same seed, the same bytes
///
/// Writes one JSON object a line to standard output, as `INSERT INTO events FORMAT JSONEachRow` takes them; with `--load` it inserts them
/// into the `events` table of the target instead.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The seed
    #[arg(long, default_value_t = 42, value_name = "N")]
    seed: u64,
    /// How many events
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    events: u64,
    /// Over how many projects
    #[arg(long, default_value_t = 3, value_name = "N")]
    projects: u32,
    /// Over how many days
    #[arg(long, default_value_t = 7, value_name = "N")]
    days: u32,
    /// The first day
    #[arg(long, default_value = "2026-05-11", value_name = "DATE")]
    start: jiff::civil::Date,
    /// Read events in the tracking API's JSON from this file instead, one a line; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seed", "events", "projects", "days", "start"])]
    file: Option<Utf8PathBuf>,
    /// Lines of the file that are taken or refused together
    #[arg(long, default_value_t = 1000, value_name = "N", requires = "file")]
    batch: usize,
    /// Insert them into the target's `events`
    #[arg(long)]
    load: bool,
}

/// Rows of one INSERT.
const ROWS: u64 = 100_000;
/// Bytes that are sent at once.
const CHUNK: usize = 1 << 20;

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Stop> {
    let options = seed::Options {
        seed: args.seed,
        events: args.events,
        projects: args.projects,
        days: args.days,
        start: args.start,
    };
    if !args.load {
        match &args.file {
            Some(path) => print_file(path, args.batch, context)?,
            None => print_generated(&options)?,
        }
        return Ok(ExitCode::SUCCESS);
    }
    let connection = connect(context).await?;
    let result = match &args.file {
        Some(path) => load_file(&connection.client, path, args.batch, context).await,
        None => load_generated(&connection.client, &options, context).await,
    };
    connection.end().await;
    result?;
    Ok(ExitCode::SUCCESS)
}

fn print_generated(options: &seed::Options) -> Result<(), Stop> {
    let mut out = std::io::BufWriter::with_capacity(CHUNK, std::io::stdout().lock());
    let traffic = seed::generate(options).map_err(Stop::usage)?;
    for event in traffic {
        if event.write_json_line(&mut out).is_err() {
            // Whoever read it has read enough.
            return Ok(());
        }
    }
    let _ = out.flush();
    Ok(())
}

/// Generated events, into `events`.
pub(crate) async fn load_generated(
    client: &Client,
    options: &seed::Options,
    context: &Context,
) -> Result<(), Stop> {
    let traffic = seed::generate(options).map_err(Stop::usage)?;
    let bar = context
        .printer
        .bar(options.events, Unit::Rows, "loading events");
    let mut loader = Loader::new(client);
    let begun = std::time::Instant::now();
    for event in traffic {
        loader.take(&event).await?;
        if loader.sent.is_multiple_of(1000) {
            bar.set_position(loader.sent);
        }
    }
    let loaded = loader.end().await?;
    bar.finish_and_clear();
    say_loaded(loaded, begun.elapsed(), context);
    Ok(())
}

fn say_loaded(loaded: u64, took: std::time::Duration, context: &Context) {
    context.printer.talk(&format!(
        "loaded {} events in {}",
        report::thousands(loaded),
        report::duration(took)
    ));
}

/// Events on their way into the table, one INSERT after the other.
struct Loader<'a> {
    client: &'a Client,
    insert: Option<Insert>,
    chunk: Vec<u8>,
    rows: u64,
    sent: u64,
}

impl<'a> Loader<'a> {
    fn new(client: &'a Client) -> Self {
        Self {
            client,
            insert: None,
            chunk: Vec::with_capacity(CHUNK + CHUNK / 8),
            rows: 0,
            sent: 0,
        }
    }

    async fn take(&mut self, event: &seed::Event) -> Result<(), Stop> {
        event
            .write_json_line(&mut self.chunk)
            .map_err(Stop::usage)?;
        self.rows += 1;
        self.sent += 1;
        if self.chunk.len() >= CHUNK {
            self.send().await?;
        }
        if self.rows >= ROWS {
            self.finish().await?;
        }
        Ok(())
    }

    async fn send(&mut self) -> Result<(), Stop> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK + CHUNK / 8));
        let client = self.client;
        let insert = self
            .insert
            .get_or_insert_with(|| client.insert(&insert_events()));
        insert.send(chunk.into()).await?;
        Ok(())
    }

    /// Ends the INSERT, so that its rows are in the table.
    async fn finish(&mut self) -> Result<(), Stop> {
        self.send().await?;
        if let Some(insert) = self.insert.take() {
            insert.end().await?;
        }
        self.rows = 0;
        Ok(())
    }

    async fn end(mut self) -> Result<u64, Stop> {
        self.finish().await?;
        Ok(self.sent)
    }
}

fn insert_events() -> Query {
    // `date_time_input_format` and the zone are said, not assumed.
    Query::new("INSERT INTO events FORMAT JSONEachRow")
        .setting("async_insert", "0")
        .setting("date_time_input_format", "basic")
        .setting("input_format_null_as_default", "1")
}

fn open(path: &Utf8PathBuf) -> Result<Box<dyn std::io::BufRead + Send>, Stop> {
    if path == "-" {
        return Ok(Box::new(BufReader::new(std::io::stdin())));
    }
    let file = fs_err::File::open(path).map_err(Stop::usage)?;
    Ok(Box::new(BufReader::with_capacity(CHUNK, file)))
}

/// What is wrong with a batch, line by line.
fn refused(path: &Utf8PathBuf, error: &seed::api::BatchError, loaded: u64) -> Stop {
    let lines: String = error
        .errors
        .iter()
        .map(|(line, reason)| format!("  line {line}: {reason}\n"))
        .collect::<Vec<_>>()
        .concat();
    Stop::usage(anyhow!(
        "{path}: {} of the batch that begins at line {} cannot be read; nothing of that batch was taken\n{lines}  {} events of the batches before it were taken",
        report::count(usize::try_from(error.count).unwrap_or(usize::MAX), "line"),
        error.first_line,
        report::thousands(loaded)
    ))
}

fn print_file(path: &Utf8PathBuf, batch: usize, context: &Context) -> Result<(), Stop> {
    let mut taken = 0;
    for events in seed::api::read(open(path)?, batch) {
        let events = events.map_err(|error| refused(path, &error, taken))?;
        let mut text = Vec::new();
        for event in &events {
            event.write_json_line(&mut text).map_err(Stop::usage)?;
        }
        taken += events.len() as u64;
        context.printer.data(&String::from_utf8_lossy(&text));
    }
    Ok(())
}

async fn load_file(
    client: &Client,
    path: &Utf8PathBuf,
    batch: usize,
    context: &Context,
) -> Result<(), Stop> {
    let begun = std::time::Instant::now();
    let mut loaded = 0;
    for events in seed::api::read(open(path)?, batch) {
        let events = events.map_err(|error| refused(path, &error, loaded))?;
        let mut loader = Loader::new(client);
        for event in &events {
            loader.take(event).await?;
        }
        loaded += loader.end().await?;
    }
    say_loaded(loaded, begun.elapsed(), context);
    Ok(())
}
