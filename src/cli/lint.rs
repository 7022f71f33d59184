//! `lint`: what ClickHouse accepts and should not have been given.

use std::process::ExitCode;

use crate::cli::dump::{Bad, on_bench};
use crate::cli::{Context, Format, Stop};
use crate::config::{LintLevel, Settings, resolve};
use crate::diagnostic::{Diagnostic, Severity};
use crate::drift::Error;
use crate::lint::{History, Levels, UnknownRule, judge, rule, rules};
use crate::migration::Migrations;
use crate::report;
use crate::report::lint::Looked;

/// Find what ClickHouse accepts and should not have been given
///
/// The migrations are replayed on a throw-away embedded ClickHouse, statement by statement, and rules judge what there is after each, so
/// a view that a later migration breaks is found as well. `-- housewright:allow(RULE) because …` directly above a statement allows a
/// finding; `[lint]` in housewright.toml gives a rule another level: `RULE = "off" | "info" | "warning" | "error"`. Exits 1 on an error.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print the page of a rule: what it finds, why, an example, and what to write instead
    #[arg(long, value_name = "RULE")]
    explain: Option<String>,
    /// List the rules
    #[arg(long, conflicts_with = "explain")]
    rules: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Stop> {
    if args.rules || args.explain.is_some() {
        return explain(&args, context);
    }
    let settings = resolve(&context.flags, &context.environment)?;
    let levels = levels(&settings)?;
    let migrations = Migrations::load(&settings.schema)?;
    let history = on_bench(context, &settings.database, async |bench| {
        let (history, _) = bench.history(&migrations, true).await?;
        Ok::<_, Error>(history)
    })
    .await
    .map_err(|bad| match bad {
        Bad::Stop(stop) => stop,
        Bad::Drift(error) => error.into(),
    })?;
    let mut findings: Vec<Diagnostic> = migrations
        .sum_findings
        .iter()
        // The next `apply` writes it down.
        .filter(|finding| finding.code != "sum-missing")
        .cloned()
        .collect();
    findings.extend(judge(&history, &levels));
    let printer = &context.printer;
    let looked = looked(&history);
    printer.data(&match printer.format() {
        Format::Json => report::lint::json_text(&findings, looked),
        Format::Sarif => report::lint::sarif(&findings),
        Format::Github => report::diagnostics::github(&findings),
        _ => report::lint::human(&findings, looked, &|path| migrations.text(path)),
    });
    let errors = report::lint::number(&findings, Severity::Error);
    Ok(ExitCode::from(u8::from(errors > 0)))
}

/// What was judged.
pub(crate) fn looked(history: &History<'_>) -> Looked {
    Looked {
        migrations: history.migrations.len(),
        statements: history.moments.len(),
        beyond: history.beyond.len(),
    }
}

/// The levels of the configuration.
pub(crate) fn levels(settings: &Settings) -> Result<Levels, Stop> {
    let levels = settings.lint.iter().map(|(name, level)| {
        let level = match level {
            LintLevel::Off => None,
            LintLevel::Info => Some(Severity::Info),
            LintLevel::Warning => Some(Severity::Warning),
            LintLevel::Error => Some(Severity::Error),
        };
        (name.as_str(), level)
    });
    Levels::of(levels).map_err(|error| {
        Stop::usage(anyhow::Error::new(error).context(format!(
            "`[lint]` of {}",
            settings.schema.join(crate::config::FILE_NAME)
        )))
    })
}

fn explain(args: &Args, context: &Context) -> Result<ExitCode, Stop> {
    let printer = &context.printer;
    match &args.explain {
        Some(name) => {
            let rule = rule(name).ok_or_else(|| Stop::usage(UnknownRule::new(name)))?;
            printer.data(&if printer.is_json() {
                report::lint::rules_json([rule])
            } else {
                rule.page()
            });
        }
        None => printer.data(&if printer.is_json() {
            report::lint::rules_json(rules())
        } else {
            report::lint::list()
        }),
    }
    Ok(ExitCode::SUCCESS)
}
