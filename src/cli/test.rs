//! `test`: does the view still mean what it meant?

use std::process::ExitCode;
use std::time::Instant;

use camino::{Utf8Path, Utf8PathBuf};

use crate::cli::against;
use crate::cli::connect::start;
use crate::cli::printer::Unit;
use crate::cli::{Context, Format, Stop};
use crate::clickhouse::Client;
use crate::config::{Equivalents, Settings, Target, resolve};
use crate::migration::Migrations;
use crate::report;
use crate::scratch::{Blueprint, BuildError};
use crate::viewtest::against::compare_versions;
use crate::viewtest::invariance::check;
use crate::viewtest::stage::Theatre;
use crate::viewtest::{Mode, Suite, mutants, states};

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
    /// Show what changes since another version of the schema: a directory, or a revision of git
    ///
    /// Both versions get the rows of the cases and generated ones, and every view is asked. Exits 1 if anything changes.
    #[arg(long, value_name = "REV|DIR", conflicts_with_all = ["accept", "invariance", "mutants"])]
    against: Option<String>,
    /// Show the raw rows of the tables behind the views, beside what the cases read; with --against, compare them too
    #[arg(long, conflicts_with_all = ["accept", "invariance", "mutants"])]
    states: bool,
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
    let name = format!("{:016x}", rand::random::<u64>());
    let theatre = Theatre::new(client, &name, &args.setting).await?;
    let run = Run {
        args,
        context,
        settings,
        blueprint,
        theatre: &theatre,
        begun: Instant::now(),
    };
    let result = tokio::select! {
        result = run.play() => result,
        _ = tokio::signal::ctrl_c() => Err(Stop::failed(130, anyhow::anyhow!("interrupted; its databases are removed"))),
    };
    let swept = theatre.sweep().await;
    let code = result?;
    swept?;
    Ok(code)
}

/// One way of testing, and all that it needs.
struct Run<'a> {
    args: &'a Args,
    context: &'a Context,
    settings: &'a Settings,
    blueprint: &'a Blueprint,
    theatre: &'a Theatre,
    begun: Instant,
}

impl Run<'_> {
    async fn play(&self) -> Result<ExitCode, Stop> {
        let args = self.args;
        if let Some(against) = &args.against {
            return self.against(against).await;
        }
        if args.invariance {
            return self.invariance().await;
        }
        let suite = self.suite()?;
        if args.mutants {
            return self.mutants(&suite).await;
        }
        if args.states {
            return self.states(&suite).await;
        }
        self.cases(&suite).await
    }

    /// The output of a mode that has no other formats; `json` and `human` make it.
    fn print(
        &self,
        mode: &str,
        json: impl FnOnce() -> String,
        human: impl FnOnce() -> String,
    ) -> Result<(), Stop> {
        let printer = &self.context.printer;
        printer.data(&match printer.format() {
            Format::Json => json(),
            Format::Junit | Format::Github => return Err(only_human_or_json(mode)),
            _ => human(),
        });
        Ok(())
    }

    /// Junit and github are for cases; a long run does not end with that.
    fn check_format(&self, mode: &str) -> Result<(), Stop> {
        match self.context.printer.format() {
            Format::Junit | Format::Github => Err(only_human_or_json(mode)),
            _ => Ok(()),
        }
    }

    fn directory(&self) -> &Utf8Path {
        self.args.cases.as_ref().unwrap_or(&self.settings.cases)
    }

    fn all_cases(&self) -> Result<Suite, Stop> {
        Suite::load(self.directory()).map_err(|error| no_cases(&error.to_string()))
    }

    /// The cases that are asked for.
    fn suite(&self) -> Result<Suite, Stop> {
        let directory = self.directory();
        let mut suite = self.all_cases()?;
        let words = &self.args.filter;
        if !words.is_empty() {
            suite.filter(words);
        }
        if suite.cases.is_empty() && suite.findings.is_empty() {
            return Err(no_cases(&if words.is_empty() {
                format!("there are no cases in {directory}")
            } else {
                format!(
                    "no case in {directory} has `{}` in its name or title",
                    words.join("` or `")
                )
            }));
        }
        Ok(suite)
    }

    async fn invariance(&self) -> Result<ExitCode, Stop> {
        self.check_format("--invariance")?;
        let seed = self.args.seed;
        let outcome = check(
            self.theatre,
            self.blueprint,
            &self.settings.test,
            &self.args.filter,
            seed,
            ROUNDS,
        )
        .await?;
        if outcome.subjects.is_empty() {
            return Err(Stop::usage(anyhow::anyhow!(
                "no view of this schema has such a name, so nothing was proven"
            )));
        }
        let took = self.begun.elapsed();
        self.print(
            "--invariance",
            || report::invariance::json(&outcome, seed, took),
            || report::invariance::human(&outcome, seed, took),
        )?;
        Ok(ExitCode::from(u8::from(!outcome.is_good())))
    }

    /// What changes since another version of the schema.
    async fn against(&self, other: &str) -> Result<ExitCode, Stop> {
        self.check_format("--against")?;
        let before = against::blueprint(&self.settings.schema, other, &self.settings.database)?;
        // A project without cases has the generated rows.
        let suite = if self.args.cases.is_some() || self.settings.cases.is_dir() {
            self.suite()?
        } else {
            Suite::default()
        };
        let outcome = compare_versions(
            self.theatre,
            &before,
            self.blueprint,
            &self.settings.test,
            &suite.cases,
            self.args.states,
        )
        .await?;
        let took = self.begun.elapsed();
        self.print(
            "--against",
            || report::against::json(&outcome, other, took),
            || report::against::human(&outcome, other, took),
        )?;
        Ok(ExitCode::from(u8::from(!outcome.is_same())))
    }

    /// What the cases leave in the tables behind the views.
    async fn states(&self, suite: &Suite) -> Result<ExitCode, Stop> {
        self.check_format("--states")?;
        let outcomes =
            states::show(self.theatre, self.blueprint, suite, &self.settings.test).await?;
        self.print(
            "--states",
            || report::states::json(suite, &outcomes),
            || report::states::human(suite, &outcomes),
        )?;
        let unplayed = outcomes.iter().any(|outcome| outcome.unplayed.is_some());
        Ok(ExitCode::from(u8::from(unplayed)))
    }

    async fn cases(&self, suite: &Suite) -> Result<ExitCode, Stop> {
        let mode = match (self.args.accept, self.context.environment.get("CI")) {
            (true, _) => Mode::Accept,
            (false, Some(ci)) if !ci.is_empty() && ci != "false" => Mode::Check,
            (false, _) => Mode::Propose,
        };
        let printer = &self.context.printer;
        let bar = printer.bar(suite.cases.len() as u64, Unit::Rows, "cases");
        let outcomes = suite
            .play(
                self.theatre,
                self.blueprint,
                &self.settings.test,
                mode,
                jobs(self.args),
                &|_| bar.inc(1),
            )
            .await;
        bar.finish_and_clear();
        let outcomes = outcomes?;
        let took = self.begun.elapsed();
        printer.data(&match printer.format() {
            Format::Json => report::test::json(suite, &outcomes, took),
            Format::Junit => report::test::junit(suite, &outcomes, took),
            Format::Github => report::test::github(suite, &outcomes),
            _ => report::test::human(suite, &outcomes, took),
        });
        Ok(ExitCode::from(u8::from(!report::test::is_good(
            suite, &outcomes,
        ))))
    }

    /// Tries every mutant, once all cases hold for the original.
    async fn mutants(&self, suite: &Suite) -> Result<ExitCode, Stop> {
        self.check_format("--mutants")?;
        let printer = &self.context.printer;
        let equivalents = Equivalents::load(&self.settings.schema)?;
        let outcomes = suite
            .play(
                self.theatre,
                self.blueprint,
                &self.settings.test,
                Mode::Check,
                jobs(self.args),
                &|_| {},
            )
            .await?;
        if !report::test::is_good(suite, &outcomes) {
            let took = self.begun.elapsed();
            self.print(
                "--mutants",
                || report::test::json(suite, &outcomes, took),
                || report::test::human(suite, &outcomes, took),
            )?;
            printer.talk("no mutant was tried: the cases have to hold for the schema itself first");
            return Ok(ExitCode::from(1));
        }
        let all = self.all_cases()?;
        let bar = printer.bar(1, Unit::Rows, "mutants");
        let options = mutants::Options {
            only: &self.args.mutant,
            equivalents: &equivalents,
            parents: &all.cases,
            jobs: jobs(self.args),
        };
        let done = mutants::run(
            self.theatre,
            self.blueprint,
            suite,
            &outcomes,
            &self.settings.test,
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
                if self.args.mutant.is_empty() {
                    " of this schema"
                } else {
                    " has this in its name"
                }
            )));
        }
        let took = self.begun.elapsed();
        let wanted = self.args.min_score;
        self.print(
            "--mutants",
            || report::mutants::json(&done, suite, &equivalents, wanted, took),
            || report::mutants::human(&done, &equivalents, wanted, took),
        )?;
        Ok(ExitCode::from(u8::from(!report::mutants::is_good(
            &done, wanted,
        ))))
    }
}

fn only_human_or_json(mode: &str) -> Stop {
    Stop::usage(anyhow::anyhow!(
        "`test {mode}` reports in the formats human and json; junit and github are for cases"
    ))
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
