//! `query`: the recipes of `schema/queries/`, run.

use std::fmt::Write as _;
use std::process::ExitCode;

use crate::cli::connect::{connect, start};
use crate::cli::{Context, Format, Stop};
use crate::clickhouse::Client;
use crate::config::resolve;
use crate::drift::{Bench, Step};
use crate::migration::Migrations;
use crate::recipe::{Error, Recipe, Recipes};
use crate::{catalog, report, survey};

/// Ask one of the recipes of schema/queries; without a name, list them
///
/// With `--target` or `--url` it asks there, and only reads. Without, it asks a throw-away embedded ClickHouse with the schema and
/// generated events in it, as `demo` does, where a parameter that is not given takes its example.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The recipe: a file of schema/queries without `.sql`
    name: Option<String>,
    /// A parameter's value
    #[arg(short, long = "param", value_name = "NAME=VALUE", value_parser = pair, requires = "name")]
    params: Vec<(String, String)>,
    /// Show the recipe and its parameters instead of asking it
    #[arg(long, requires = "name")]
    show: bool,
}

impl Args {
    /// Whether a recipe is asked, and not only shown.
    pub(crate) fn asks(&self) -> bool {
        self.name.is_some() && !self.show
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| "write it as NAME=VALUE".to_owned())
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Stop> {
    let settings = resolve(&context.flags, &context.environment)?;
    let recipes = Recipes::load(&settings.schema)?;
    let Some(name) = &args.name else {
        if recipes.is_empty() {
            context.printer.talk(&format!(
                "there are no recipes in {}/{}",
                settings.schema,
                crate::recipe::DIRECTORY
            ));
        }
        context.printer.data(&if context.printer.is_json() {
            report::query::list_json(&recipes)
        } else {
            report::query::list(&recipes)
        });
        return Ok(ExitCode::SUCCESS);
    };
    let recipe = recipes.get(name).ok_or_else(|| {
        let names: Vec<&str> = recipes.iter().map(|recipe| recipe.name.as_str()).collect();
        Stop::usage(anyhow::anyhow!(
            "there is no recipe `{name}`\n  there are: {}",
            names.join(", ")
        ))
    })?;
    if args.show {
        context.printer.data(&report::query::show(recipe));
        return Ok(ExitCode::SUCCESS);
    }
    let elsewhere = context.names_a_target();
    let values = recipe.bind(&args.params, !elsewhere).map_err(Stop::usage)?;
    let text = if elsewhere {
        let connection = connect(context).await?;
        let client = connection.client.read_only();
        let text = asked(&client, recipe, &values, context).await;
        connection.end().await;
        text?
    } else {
        let migrations = Migrations::load(&settings.schema)?;
        let (engine, handle) = start(context, None, "default").await?;
        let text = async {
            let bench = Bench::new(&engine, &settings.database).await?;
            bench
                .replay(&Step::of_migrations(&migrations))
                .await
                .map_err(|error| {
                    super::dump::refused(super::dump::Bad::Drift(error), &migrations)
                })?;
            let client = bench.client();
            let catalog = catalog::Catalog::read(client).await?;
            if survey::stock(client, &catalog).await? {
                context.printer.talk(&format!(
                    "on generated events; `--target` asks elsewhere: {}",
                    shell(recipe, &values)
                ));
            }
            asked(&client.read_only(), recipe, &values, context).await
        }
        .await;
        handle.end().await;
        text?
    };
    context.printer.data(&text);
    Ok(ExitCode::SUCCESS)
}

/// The command with all its values.
fn shell(recipe: &Recipe, values: &[(String, String)]) -> String {
    let mut text = format!("query {}", recipe.name);
    for (name, value) in values {
        text.push_str(" --param ");
        let plain = value
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.,:/@".contains(c));
        if plain {
            let _ = write!(text, "{name}={value}");
        } else {
            let _ = write!(text, "'{name}={}'", value.replace('\'', "'\\''"));
        }
    }
    text
}

async fn asked(
    client: &Client,
    recipe: &Recipe,
    values: &[(String, String)],
    context: &Context,
) -> Result<String, Stop> {
    let format = match context.printer.format() {
        Format::Csv => "CSVWithNames",
        Format::Tsv => "TSVWithNames",
        Format::Markdown => "Markdown",
        Format::Ndjson => "JSONEachRow",
        _ => {
            let answer = survey::ask(client, recipe, values).await?;
            return Ok(if context.printer.is_json() {
                report::query::json(recipe, values, &answer)
            } else {
                report::query::human(recipe, &answer, context.width())
            });
        }
    };
    let query = survey::question(recipe, values).setting("session_timezone", "UTC");
    let bytes = client.fetch(&query, format).await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid(findings) => Self::findings(2, findings, None),
            other => Self::usage(other),
        }
    }
}
