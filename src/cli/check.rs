//! `check`: the one line for CI.
//!
//! Engines work side by side: one replays the migrations for the rules and `schema/current/`, one plays the view cases, one makes the pages.

use std::process::ExitCode;
use std::time::Instant;

use camino::Utf8PathBuf;
use clap::ValueEnum;

use crate::catalog::Definitions;
use crate::cli::connect::start;
use crate::cli::dump::{Bad, on_bench};
use crate::cli::lint::{levels, looked};
use crate::cli::{Context, Format, Stop};
use crate::config::{Settings, resolve};
use crate::diagnostic::{Diagnostic, Location, Severity};
use crate::docs;
use crate::drift::{ChangeKind, Error, compare};
use crate::lint::{History, judge};
use crate::migration::Migrations;
use crate::report;
use crate::report::check::{Outcome, Step};
use crate::report::count;
use crate::scratch::Blueprint;
use crate::sql::Span;
use crate::viewtest::stage::Theatre;
use crate::viewtest::{Mode, Suite};

/// Everything that CI should know of a schema, offline: files, sums, rules, up and down and up again, schema/current, pages, view cases
///
/// Needs no server and no Docker: throw-away embedded ClickHouse replay the migrations and play the cases side by side. Exits 1 if
/// anything does not hold; warnings and remarks are shown and do not count.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Leave a step out; may be repeated
    #[arg(long, value_enum, value_name = "STEP")]
    skip: Vec<Skip>,
    /// How many cases are played at once [default: the number of cores]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
}

/// A step that can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Skip {
    /// `housewright.sum` against the files
    Sum,
    /// Every down section, and up again
    Down,
    /// The rules of `lint`
    Lint,
    /// The files of schema/current
    Current,
    /// The pages of schema/docs
    Docs,
    /// The view cases
    Cases,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Stop> {
    let begun = Instant::now();
    let settings = resolve(&context.flags, &context.environment)?;
    let levels = levels(&settings)?;
    let migrations = Migrations::load(&settings.schema)?;
    let skips = |step| args.skip.contains(&step);

    let replayed = on_bench(context, &settings.database, async |bench| {
        let replayed = bench.history(&migrations, !skips(Skip::Down)).await?;
        Ok::<_, Error>(replayed)
    });
    let (replayed, played, pages) = tokio::join!(
        replayed,
        cases(&args, context, &settings, &migrations),
        pages(&args, context, &settings),
    );
    let (history, end) = replayed.map_err(|bad| match bad {
        Bad::Stop(stop) => stop,
        Bad::Drift(error) => error.into(),
    })?;

    let mut outcome = Outcome::default();
    outcome.steps.push(Step::of(
        "files",
        &[],
        format!(
            "{} in {}",
            count(history.moments.len(), "statement"),
            count(migrations.len(), "migration")
        ),
    ));
    add(&mut outcome, Skip::Sum, &args, || {
        let what = match migrations.sum_findings.as_slice() {
            [] => "as they were recorded",
            _ => "",
        };
        (migrations.sum_findings.clone(), what.to_owned())
    });
    let found = judge(&history, &levels);
    let (replay, found): (Vec<_>, Vec<_>) = found.into_iter().partition(is_replay);
    outcome.steps.push(Step::of(
        "replay",
        &replay,
        replay_in_words(&history, &args),
    ));
    outcome.findings.extend(replay);
    add(&mut outcome, Skip::Lint, &args, || {
        let looked = looked(&history);
        let beyond = (looked.beyond > 0).then(|| {
            format!(
                "{} that only a server can execute judged by the text",
                count(looked.beyond, "statement")
            )
        });
        let nothing = || match found.as_slice() {
            [] => "nothing to report".to_owned(),
            _ => String::new(),
        };
        (found.clone(), beyond.unwrap_or_else(nothing))
    });
    if skips(Skip::Current) {
        outcome
            .steps
            .push(Step::skipped("current", "--skip current"));
    } else {
        current(&mut outcome, &settings, end.as_ref())?;
    }
    let executable = history.refused.is_empty();
    let (step, findings) = match pages {
        // The replay says which statement it is.
        Err(_) if !executable => (unexecutable("docs"), Vec::new()),
        pages => pages?,
    };
    outcome.steps.push(step);
    outcome.findings.extend(findings);
    let (step, findings, text) = played?;
    outcome.steps.push(step);
    outcome.findings.extend(findings);
    outcome.cases = text;

    let printer = &context.printer;
    let took = begun.elapsed();
    match printer.format() {
        Format::Json => printer.data(&report::check::json_text(&outcome, took)),
        Format::Sarif => printer.data(&report::lint::sarif(&outcome.findings)),
        Format::Github => {
            printer.data(&report::diagnostics::github(&outcome.findings));
            printer.talk(report::check::summary(&outcome, took).trim_end());
        }
        _ => printer.data(&report::check::human(&outcome, took, &|path| {
            migrations
                .text(path)
                .or_else(|| fs_err::read_to_string(path).ok())
        })),
    }
    Ok(ExitCode::from(u8::from(!outcome.is_good())))
}

impl Skip {
    fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Down => "down",
            Self::Lint => "lint",
            Self::Current => "current",
            Self::Docs => "docs",
            Self::Cases => "cases",
        }
    }
}

fn add(
    outcome: &mut Outcome,
    step: Skip,
    args: &Args,
    look: impl FnOnce() -> (Vec<Diagnostic>, String),
) {
    if args.skip.contains(&step) {
        let why = format!("--skip {}", step.name());
        outcome.steps.push(Step::skipped(step.name(), why));
        return;
    }
    let (findings, what) = look();
    outcome.steps.push(Step::of(step.name(), &findings, what));
    outcome.findings.extend(findings);
}

/// Whether a finding is about executing the files, not about what they make.
fn is_replay(finding: &Diagnostic) -> bool {
    matches!(finding.code, "refused" | "down-not-inverse")
}

fn replay_in_words(history: &History<'_>, args: &Args) -> String {
    if !history.refused.is_empty() {
        "up, without what was refused".to_owned()
    } else if args.skip.contains(&Skip::Down) {
        "up".to_owned()
    } else {
        "up, down, and up again".to_owned()
    }
}

/// `schema/current/` against what the migrations add up to.
fn current(
    outcome: &mut Outcome,
    settings: &Settings,
    end: Option<&Definitions>,
) -> Result<(), Stop> {
    let directory = settings.schema.join("current");
    let step = match end {
        _ if !directory.is_dir() => Step::skipped("current", format!("there is no {directory}")),
        None => unexecutable("current"),
        Some(end) => {
            let findings: Vec<Diagnostic> = compare(&directory, end)?
                .into_iter()
                .map(|change| {
                    let what = match change.kind {
                        ChangeKind::Missing(_) => "is missing",
                        ChangeKind::Extra => "belongs to no object",
                        ChangeKind::Different { .. } => "is not what the migrations add up to",
                    };
                    let message = format!("{} {what}", change.path.file_name().unwrap_or_default());
                    Diagnostic::new(Severity::Error, "current-differs", message)
                        .at(Some(file(change.path)))
                        .help("`housewright dump --check` shows the difference; `housewright dump --write` writes the files anew")
                })
                .collect();
            let as_text: Vec<&str> = end
                .iter()
                .filter(|definition| definition.as_text)
                .map(|definition| definition.name.as_str())
                .collect();
            let mut what = count(end.len(), "object");
            if !as_text.is_empty() {
                what.push_str(", compared as text: ");
                what.push_str(&as_text.join(", "));
            }
            let step = Step::of("current", &findings, what);
            outcome.findings.extend(findings);
            step
        }
    };
    outcome.steps.push(step);
    Ok(())
}

fn unexecutable(step: &'static str) -> Step {
    Step::skipped(step, "the migrations cannot be executed to their end")
}

/// A file as a whole.
fn file(path: Utf8PathBuf) -> Location {
    Location {
        path,
        span: Span {
            start: usize::MAX,
            end: usize::MAX,
        },
        line: 1,
        column: 1,
    }
}

/// `schema/docs/` against what `docs` would write.
async fn pages(
    args: &Args,
    context: &Context,
    settings: &Settings,
) -> Result<(Step, Vec<Diagnostic>), Stop> {
    let directory = settings.schema.join(docs::DIRECTORY);
    if args.skip.contains(&Skip::Docs) {
        return Ok((Step::skipped("docs", "--skip docs"), Vec::new()));
    }
    if !directory.is_dir() {
        return Ok((
            Step::skipped("docs", format!("there is no {directory}")),
            Vec::new(),
        ));
    }
    let pages = docs::pages(&crate::cli::docs::model(context, true).await?);
    let stale = docs::stale(&directory, &pages).map_err(Stop::usage)?;
    let findings: Vec<Diagnostic> = stale
        .into_iter()
        .map(|docs::Stale { path, .. }| {
            let message = format!(
                "{} is not what the migrations and recipes say",
                path.file_name().unwrap_or_default()
            );
            Diagnostic::new(Severity::Error, "docs-differ", message)
                .at(Some(file(path)))
                .help("`housewright docs` writes the pages anew")
        })
        .collect();
    let step = Step::of("docs", &findings, count(pages.len(), "page"));
    Ok((step, findings))
}

/// The view cases, on an engine of their own.
async fn cases(
    args: &Args,
    context: &Context,
    settings: &Settings,
    migrations: &Migrations,
) -> Result<(Step, Vec<Diagnostic>, String), Stop> {
    let skipped = |why: String| Ok((Step::skipped("cases", why), Vec::new(), String::new()));
    if args.skip.contains(&Skip::Cases) {
        return skipped("--skip cases".to_owned());
    }
    let directory = &settings.cases;
    let Ok(suite) = Suite::load(directory) else {
        return skipped(format!("there is no {directory}"));
    };
    if suite.cases.is_empty() && suite.findings.is_empty() {
        return skipped(format!("there are none in {directory}"));
    }
    let blueprint = match Blueprint::of(migrations, &settings.database) {
        Ok(blueprint) => blueprint,
        Err(findings) => {
            let step = Step::of("cases", &findings, "not played");
            return Ok((step, findings, String::new()));
        }
    };
    let (client, handle) = start(context, None, "default").await?;
    let begun = Instant::now();
    let outcomes = async {
        let run = format!("{:016x}", rand::random::<u64>());
        let theatre = Theatre::new(&client, &run, &[]).await?;
        let jobs = args
            .jobs
            .unwrap_or_else(|| std::thread::available_parallelism().map_or(2, usize::from));
        suite
            .play(
                &theatre,
                &blueprint,
                &settings.test,
                Mode::Check,
                jobs,
                &|_| {},
            )
            .await
    }
    .await;
    handle.end().await;
    let outcomes = match outcomes {
        Ok(outcomes) => outcomes,
        // The replay says which statement it is.
        Err(error) if error.refusal().is_some() => {
            return Ok((unexecutable("cases"), Vec::new(), String::new()));
        }
        Err(error) => return Err(error.into()),
    };
    let findings = report::test::findings(&suite, &outcomes);
    let readings: usize = outcomes.iter().map(|outcome| outcome.readings).sum();
    let what = format!(
        "{} in {}",
        count(outcomes.len(), "case"),
        count(readings, "reading")
    );
    let text = if findings.is_empty() {
        String::new()
    } else {
        report::test::human(&suite, &outcomes, begun.elapsed())
    };
    Ok((Step::of("cases", &findings, what), findings, text))
}
