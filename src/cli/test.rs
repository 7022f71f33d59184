//! `test`: does the view still mean what it meant?

use std::process::ExitCode;
use std::time::Instant;

use camino::Utf8PathBuf;

use crate::cli::connect::start;
use crate::cli::printer::Unit;
use crate::cli::{Context, Format, Stop};
use crate::clickhouse::Client;
use crate::config::{Equivalents, Settings, Target, resolve};
use crate::migration::Migrations;
use crate::report;
use crate::scratch::{Blueprint, BuildError};
use crate::viewtest::invariance::check;
use crate::viewtest::stage::Theatre;
use crate::viewtest::{Mode, Suite, mutants};

/// Play the view cases through every way in which rows can arrive and meet, and compare with their golden rows
///
/// A case is a Markdown file with a story, rows, and queries; its golden rows stand beside it in insta's format, so `cargo insta review`
/// works too. Without `--target` or `--url` it runs on a throw-away embedded engine, with them in a throw-away database of that server.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The directory of the cases [default: tests/views beside the schema directory]
    #[arg(long, value_name = "DIR")]
    cases: Option<Utf8PathBuf>,
    /// Only cases (with `--invariance`: views) whose name or title has this; may be repeated
    #[arg(long, value_name = "TEXT")]
    filter: Vec<String>,
    /// Make what comes out the golden rows
    #[arg(long)]
    accept: bool,
    /// Without cases: put generated rows through every history, and want every view to give the same rows
    #[arg(long, conflicts_with = "accept")]
    invariance: bool,
    /// The seed of the generated rows
    #[arg(long, value_name = "N", default_value_t = 1, requires = "invariance")]
    seed: u64,
    /// Make the schema wrong in one place after the other: a case has to notice each time
    ///
    /// Exits 1 if a mutant survives, or if one is equivalent to the schema and `equivalent_mutants.toml` in the schema directory does
    /// not say why.
    #[arg(long, conflicts_with_all = ["accept", "invariance"])]
    mutants: bool,
    /// With --mutants: be content with this score, killed of killed and survived in percent
    #[arg(long, value_name = "N", requires = "mutants")]
    min_score: Option<f64>,
    /// With --mutants: only mutants whose name has this; may be repeated
    #[arg(long, value_name = "TEXT", requires = "mutants")]
    mutant: Vec<String>,
    /// How many cases are played at once [default: twice the number of cores]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// A ClickHouse setting for every query; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    setting: Vec<(String, String)>,
}

/// Sets of generated rows that `--invariance` puts through the histories.
const ROUNDS: u64 = 3;

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| "write NAME=VALUE".to_owned())?;
    Ok((name.to_owned(), value.to_owned()))
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Stop> {
    let settings = resolve(&context.flags, &context.environment)?;
    let migrations = Migrations::load(&settings.schema)?;
    let blueprint = Blueprint::of(&migrations, &settings.database)
        .map_err(|findings| Stop::findings(2, findings, Some(migrations.clone())))?;
    let (client, handle) = match &settings.target {
        Target::Server(server) => (Client::new(server, "default")?, None),
        Target::Embedded(_) => {
            let (client, handle) = start(context, None, "default").await?;
            (client, Some(handle))
        }
    };
    let result = with_theatre(&args, context, &settings, &blueprint, &client).await;
    if let Some(handle) = handle {
        handle.end().await;
    }
    result
}

/// Whatever happens, no database of this run is left on the server.
async fn with_theatre(
    args: &Args,
    context: &Context,
    settings: &Settings,
    blueprint: &Blueprint,
    client: &Client,
) -> Result<ExitCode, Stop> {
    let run = format!("{:016x}", rand::random::<u64>());
    let theatre = Theatre::new(client, &run, &args.setting).await?;
    let result = tokio::select! {
        result = play(args, context, settings, blueprint, &theatre) => result,
        _ = tokio::signal::ctrl_c() => Err(Stop::failed(130, anyhow::anyhow!("interrupted; its databases are removed"))),
    };
    let swept = theatre.sweep().await;
    let code = result?;
    swept?;
    Ok(code)
}

async fn play(
    args: &Args,
    context: &Context,
    settings: &Settings,
    blueprint: &Blueprint,
    theatre: &Theatre,
) -> Result<ExitCode, Stop> {
    if args.invariance {
        return invariance(args, context, settings, blueprint, theatre).await;
    }
    cases(args, context, settings, blueprint, theatre).await
}

async fn invariance(
    args: &Args,
    context: &Context,
    settings: &Settings,
    blueprint: &Blueprint,
    theatre: &Theatre,
) -> Result<ExitCode, Stop> {
    if matches!(context.printer.format(), Format::Junit | Format::Github) {
        return Err(Stop::usage(anyhow::anyhow!(
            "`--invariance` answers as human or json; junit and github are for cases"
        )));
    }
    let begun = Instant::now();
    let outcome = check(
        theatre,
        blueprint,
        &settings.test,
        &args.filter,
        args.seed,
        ROUNDS,
    )
    .await?;
    if outcome.subjects.is_empty() {
        return Err(Stop::usage(anyhow::anyhow!(
            "no view of this schema has such a name, so nothing was proven"
        )));
    }
    let took = begun.elapsed();
    let printer = &context.printer;
    printer.data(&if printer.is_json() {
        report::invariance::json(&outcome, args.seed, took)
    } else {
        report::invariance::human(&outcome, args.seed, took)
    });
    Ok(ExitCode::from(u8::from(!outcome.is_good())))
}

async fn cases(
    args: &Args,
    context: &Context,
    settings: &Settings,
    blueprint: &Blueprint,
    theatre: &Theatre,
) -> Result<ExitCode, Stop> {
    let directory = args.cases.as_ref().unwrap_or(&settings.cases);
    let mut suite = Suite::load(directory).map_err(|error| no_cases(&error.to_string()))?;
    if !args.filter.is_empty() {
        suite.filter(&args.filter);
    }
    if suite.cases.is_empty() && suite.findings.is_empty() {
        return Err(no_cases(&if args.filter.is_empty() {
            format!("there are no cases in {directory}")
        } else {
            format!(
                "no case in {directory} has `{}` in its name or title",
                args.filter.join("` or `")
            )
        }));
    }
    if args.mutants {
        return mutants(args, context, settings, blueprint, theatre, &suite).await;
    }
    let mode = match (args.accept, context.environment.get("CI")) {
        (true, _) => Mode::Accept,
        (false, Some(ci)) if !ci.is_empty() && ci != "false" => Mode::Check,
        (false, _) => Mode::Propose,
    };
    let begun = Instant::now();
    let bar = context
        .printer
        .bar(suite.cases.len() as u64, Unit::Rows, "cases");
    let outcomes = suite
        .play(
            theatre,
            blueprint,
            &settings.test,
            mode,
            jobs(args),
            &|_| bar.inc(1),
        )
        .await;
    bar.finish_and_clear();
    let outcomes = outcomes?;
    let took = begun.elapsed();
    let printer = &context.printer;
    printer.data(&match printer.format() {
        Format::Json => report::test::json(&suite, &outcomes, took),
        Format::Junit => report::test::junit(&suite, &outcomes, took),
        Format::Github => report::test::github(&suite, &outcomes),
        _ => report::test::human(&suite, &outcomes, took),
    });
    Ok(ExitCode::from(u8::from(!report::test::is_good(
        &suite, &outcomes,
    ))))
}

/// Tries every mutant, once all cases hold for the original.
async fn mutants(
    args: &Args,
    context: &Context,
    settings: &Settings,
    blueprint: &Blueprint,
    theatre: &Theatre,
    suite: &Suite,
) -> Result<ExitCode, Stop> {
    let printer = &context.printer;
    if !matches!(printer.format(), Format::Human | Format::Json) {
        return Err(Stop::usage(anyhow::anyhow!(
            "`test --mutants` reports in the formats human and json"
        )));
    }
    let equivalents = Equivalents::load(&settings.schema)?;
    let begun = Instant::now();
    let outcomes = suite
        .play(
            theatre,
            blueprint,
            &settings.test,
            Mode::Check,
            jobs(args),
            &|_| {},
        )
        .await?;
    if !report::test::is_good(suite, &outcomes) {
        printer.data(&match printer.format() {
            Format::Json => report::test::json(suite, &outcomes, begun.elapsed()),
            _ => report::test::human(suite, &outcomes, begun.elapsed()),
        });
        printer.talk("no mutant was tried: the cases have to hold for the schema itself first");
        return Ok(ExitCode::from(1));
    }
    let bar = printer.bar(1, Unit::Rows, "mutants");
    let options = mutants::Options {
        only: &args.mutant,
        equivalents: &equivalents,
        jobs: jobs(args),
    };
    let done = mutants::run(
        theatre,
        blueprint,
        suite,
        &outcomes,
        &settings.test,
        options,
        &|event| match event {
            mutants::Event::Begun(total) => bar.set_length(total as u64),
            mutants::Event::Ended(mutant, fate) => {
                bar.inc(1);
                printer.detail(&report::mutants::line(mutant, fate, suite));
            }
        },
    )
    .await;
    bar.finish_and_clear();
    let done = done?;
    if done.fates.is_empty() {
        return Err(Stop::usage(anyhow::anyhow!(
            "there is nothing to change: no mutant{}",
            if args.mutant.is_empty() {
                " of this schema"
            } else {
                " has this in its name"
            }
        )));
    }
    let took = begun.elapsed();
    let wanted = args.min_score;
    printer.data(&match printer.format() {
        Format::Json => report::mutants::json(&done, suite, &equivalents, wanted, took),
        _ => report::mutants::human(&done, &equivalents, wanted, took),
    });
    Ok(ExitCode::from(u8::from(!report::mutants::is_good(
        &done, wanted,
    ))))
}

fn jobs(args: &Args) -> usize {
    // The engine waits between the steps of a query, and lets another one in.
    args.jobs
        .unwrap_or_else(|| 2 * std::thread::available_parallelism().map_or(2, usize::from))
}

fn no_cases(what: &str) -> Stop {
    Stop::usage(anyhow::anyhow!(
        "{what}\n  a case is a Markdown file: `# What is true`, `## insert TABLE` with a table of rows, `## query` with a ```sql block"
    ))
}

impl From<BuildError> for Stop {
    fn from(error: BuildError) -> Self {
        Self::failed(3, error)
    }
}
