//! The command line: one file per verb. The only room with clap, anyhow and progress bars.
//!
//! Exit codes: 0 done, nothing to report · 1 findings · 2 usage or an invalid project · 3 ClickHouse refused or could not be reached ·
//! 4 locked by another run · 5 refused as destructive. stdout is data, stderr is talk.

mod against;
mod apply;
mod baseline;
mod check;
mod connect;
mod demo;
mod diff;
mod docs;
mod drift;
mod dump;
mod engine;
mod explain;
mod import;
mod lineage;
mod lint;
mod new;
mod plan;
mod printer;
mod query;
mod rebuild;
mod repair;
mod rollback;
mod seed;
mod serve;
mod shell;
mod statements;
mod status;
mod stop;
mod test;
mod unlock;

use std::process::ExitCode;

use camino::Utf8PathBuf;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::cli::printer::Printer;
use crate::cli::stop::Stop;
use crate::config::{Environment, Flags};

/// Builds and keeps ClickHouse schemas.
///
/// Versioned DDL that survives a crash, materialized views whose meaning is tested, and a schema that people can read. Without `--url`
/// or `--target` it works on an embedded ClickHouse, with its data in `.housewright/`.
#[derive(Debug, Parser)]
#[command(name = "housewright", version, max_term_width = 100)]
#[command(after_help = "\
Exit codes:
  0  done, nothing to report
  1  findings: `lint`, `check`, `diff`, `drift`, `dump --check`, `docs --check`, `rebuild`, or
     something pending with `status --check`
  2  usage, or an invalid project
  3  ClickHouse refused, or could not be reached
  4  locked by another run
  5  refused as destructive: nothing allows the loss of data

A password is never given on the command line: HOUSEWRIGHT_PASSWORD, a file named by
HOUSEWRIGHT_PASSWORD_FILE, or `password_env` of a target in housewright.toml.")]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

/// What every verb understands.
#[expect(
    clippy::doc_markdown,
    reason = "help text for a terminal, not Markdown"
)]
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// The schema directory [default: schema] [env: HOUSEWRIGHT_SCHEMA]
    #[arg(long, global = true, value_name = "DIR")]
    schema: Option<Utf8PathBuf>,
    /// A target of housewright.toml [default: local, the embedded engine] [env: HOUSEWRIGHT_TARGET]
    #[arg(long, global = true, value_name = "NAME")]
    target: Option<String>,
    /// A server's HTTP interface, as in http://user@host:8123 [env: HOUSEWRIGHT_URL]
    #[arg(long, global = true, value_name = "URL")]
    url: Option<String>,
    /// The database [default: as in housewright.toml] [env: HOUSEWRIGHT_DATABASE]
    #[arg(long, global = true, value_name = "NAME")]
    database: Option<String>,
    /// For people or for programs
    #[arg(long, global = true, value_enum, default_value_t = Format::Human)]
    format: Format,
    /// Colour
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    color: Color,
    /// Say less: only data and errors
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Say more
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    verbose: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Human,
    /// For programs
    Json,
    /// `JUnit` XML; of `test`
    Junit,
    /// Annotations of GitHub Actions; of `test`, `lint` and `check`
    Github,
    /// Comma-separated values; of `query`
    Csv,
    /// Tab-separated values; of `query`
    Tsv,
    /// A Markdown table; of `query`
    Markdown,
    /// A JSON object a row; of `query`
    Ndjson,
    /// SARIF 2.1.0; of `lint` and `check`
    Sarif,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Demo(demo::Args),
    New(new::Args),
    Status(status::Args),
    Plan(plan::Args),
    Apply(apply::Args),
    Rollback(rollback::Args),
    Baseline(baseline::Args),
    ImportHistory(import::Args),
    Repair(repair::Args),
    Unlock(unlock::Args),
    Diff(diff::Args),
    Drift(drift::Args),
    Dump(dump::Args),
    Rebuild(rebuild::Args),
    Statements(statements::Args),
    Seed(seed::Args),
    Test(test::Args),
    Docs(docs::Args),
    Lineage(lineage::Args),
    Explain(explain::Args),
    Query(query::Args),
    Lint(lint::Args),
    Check(check::Args),
    Serve(serve::Args),
    Engine(engine::Args),
    Completions(shell::Completions),
    Man(shell::Man),
}

/// What every verb is given.
struct Context {
    flags: Flags,
    environment: Environment,
    printer: Printer,
}

impl Context {
    /// Whether somebody said where to go; the local target is nobody's word.
    fn names_a_target(&self) -> bool {
        self.flags.target.is_some()
            || self.flags.url.is_some()
            || ["HOUSEWRIGHT_TARGET", "HOUSEWRIGHT_URL"]
                .iter()
                .any(|variable| self.environment.get(variable).is_some())
    }

    /// The characters of a line of the terminal; `None` if there is none, so that nothing is cut.
    fn width(&self) -> Option<usize> {
        let said = self.environment.get("COLUMNS");
        said.and_then(|said| said.parse().ok()).or_else(|| {
            terminal_size::terminal_size_of(std::io::stdout())
                .map(|(width, _)| usize::from(width.0))
        })
    }
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let printer = Printer::new(
        cli.global.format,
        cli.global.color,
        cli.global.quiet,
        cli.global.verbose,
    );
    let context = Context {
        flags: Flags {
            schema: cli.global.schema,
            target: cli.global.target,
            url: cli.global.url,
            database: cli.global.database,
        },
        environment: Environment::of_this_process(),
        printer,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => {
            let result = runtime.block_on(run(cli.verb, &context));
            // A query of the embedded engine may still run; the process does not wait for it.
            runtime.shutdown_background();
            result
        }
        Err(error) => Err(Stop::usage(error)),
    };
    match result {
        Ok(code) => code,
        Err(stop) => stop.report(&context.printer),
    }
}

async fn run(verb: Verb, context: &Context) -> Result<ExitCode, Stop> {
    let format = context.printer.format();
    let knows = match format {
        Format::Human | Format::Json => true,
        Format::Junit => matches!(verb, Verb::Test(_)),
        Format::Github => matches!(verb, Verb::Test(_) | Verb::Lint(_) | Verb::Check(_)),
        Format::Sarif => matches!(verb, Verb::Lint(_) | Verb::Check(_)),
        Format::Csv | Format::Tsv | Format::Markdown | Format::Ndjson => {
            matches!(&verb, Verb::Query(args) if args.asks())
        }
    };
    if !knows {
        return Err(Stop::usage(anyhow::anyhow!(
            "this verb reports in the formats human and json; junit is that of `test`, github of `test`, `lint` and `check`, sarif of `lint` and `check`, csv, tsv, markdown and ndjson of `query NAME`"
        )));
    }
    match verb {
        Verb::Demo(args) => demo::run(args, context).await,
        Verb::New(args) => new::run(&args, context),
        Verb::Status(args) => status::run(args, context).await,
        Verb::Plan(args) => plan::run(args, context).await,
        Verb::Apply(args) => apply::run(args, context).await,
        Verb::Rollback(args) => rollback::run(args, context).await,
        Verb::Baseline(args) => baseline::run(args, context).await,
        Verb::ImportHistory(args) => import::run(args, context).await,
        Verb::Repair(args) => repair::run(args, context).await,
        Verb::Unlock(args) => unlock::run(args, context).await,
        Verb::Diff(args) => diff::run(args, context).await,
        Verb::Drift(args) => drift::run(args, context).await,
        Verb::Dump(args) => dump::run(args, context).await,
        Verb::Rebuild(args) => rebuild::run(args, context).await,
        Verb::Statements(args) => statements::run(&args, context),
        Verb::Seed(args) => seed::run(args, context).await,
        Verb::Test(args) => test::run(args, context).await,
        Verb::Docs(args) => docs::run(args, context).await,
        Verb::Lineage(args) => lineage::run(args, context).await,
        Verb::Explain(args) => explain::run(args, context).await,
        Verb::Query(args) => query::run(args, context).await,
        Verb::Lint(args) => lint::run(args, context).await,
        Verb::Check(args) => Box::pin(check::run(args, context)).await,
        Verb::Serve(args) => serve::run(args, context).await,
        Verb::Engine(args) => engine::run(&args, context),
        Verb::Completions(args) => Ok(shell::completions(&args, context)),
        Verb::Man(args) => shell::man(&args, context),
    }
}
