//! `explain`: one object, or one of its columns, on one screen.

use std::collections::BTreeMap;
use std::process::ExitCode;

use crate::cli::connect::{connect, start};
use crate::cli::docs::replayed;
use crate::cli::{Context, Stop};
use crate::config::resolve;
use crate::docs::{Model, Object};
use crate::drift::Bench;
use crate::migration::Migrations;
use crate::recipe::Recipes;
use crate::report::explain::{Explained, human, json};
use crate::survey;

/// Explain a table, a view or a column on one screen: what it means, where it comes from, what is in it, which queries are fast
///
/// From the migrations, on a throw-away embedded ClickHouse with generated events. With `--target` or `--url` the values, sizes and index
/// analyses are those of the target, of which it only reads.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A table, view or dictionary, or a column of it
    #[arg(value_name = "OBJECT[.COLUMN]")]
    what: String,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Stop> {
    let settings = resolve(&context.flags, &context.environment)?;
    let migrations = Migrations::load(&settings.schema)?;
    let recipes = Recipes::load(&settings.schema)?;
    let (engine, handle) = start(context, None, "default").await?;
    let result = async {
        let bench = Bench::new(&engine, &settings.database).await?;
        let mut model = replayed(&bench, &migrations, &recipes, true).await?;
        let (name, column) = find(&args.what, &model)?;
        let mut found = Found::default();
        if context.names_a_target() {
            let connection = connect(context).await?;
            let read = async {
                survey::figures(&connection.client, &connection.target, &mut model).await?;
                if let Some(object) = model.get(&name) {
                    let client = connection.client.read_only();
                    found.samples = survey::values(&client, object).await?;
                    found.access = survey::access(&client, &model, object, &found.samples).await?;
                }
                Ok::<_, Stop>(())
            }
            .await;
            connection.end().await;
            read?;
        } else if let Some(object) = model.get(&name) {
            found.samples = generated(object);
            let client = bench.client().read_only();
            found.access = survey::access(&client, &model, object, &found.samples).await?;
        }
        Ok::<_, Stop>((model, name, column, found))
    }
    .await;
    handle.end().await;
    let (model, name, column, found) = result?;
    let Some(object) = model.get(&name) else {
        return Ok(ExitCode::SUCCESS);
    };
    let explained = Explained {
        model: &model,
        object,
        column: column
            .as_deref()
            .and_then(|column| object.columns.iter().find(|it| it.name == column)),
        samples: &found.samples,
        access: &found.access,
    };
    context.printer.data(&if context.printer.is_json() {
        json(&explained)
    } else {
        human(&explained, context.width())
    });
    Ok(ExitCode::SUCCESS)
}

#[derive(Default)]
struct Found {
    samples: BTreeMap<String, crate::docs::Sample>,
    access: Vec<survey::Access>,
}

fn generated(object: &Object) -> BTreeMap<String, crate::docs::Sample> {
    object
        .columns
        .iter()
        .filter_map(|column| Some((column.name.clone(), column.sample.clone()?)))
        .collect()
}

/// The object and the column that are meant. Names may have dots in them: the longest object that is one is taken.
fn find(what: &str, model: &Model) -> Result<(String, Option<String>), Stop> {
    let named = model
        .objects
        .iter()
        .filter_map(|object| {
            let rest = what.strip_prefix(&object.name)?;
            Some((
                object,
                if rest.is_empty() {
                    Some("")
                } else {
                    rest.strip_prefix('.')
                }?,
            ))
        })
        .max_by_key(|(object, _)| object.name.len());
    let Some((object, column)) = named else {
        let names: Vec<&str> = model.objects.iter().map(|it| it.name.as_str()).collect();
        return Err(Stop::usage(anyhow::anyhow!(
            "the schema has no table or view `{what}`\n  it has: {}",
            names.join(", ")
        )));
    };
    if what == object.name {
        return Ok((object.name.clone(), None));
    }
    if object.columns.iter().any(|it| it.name == column) {
        return Ok((object.name.clone(), Some(column.to_owned())));
    }
    let names: Vec<&str> = object.columns.iter().map(|it| it.name.as_str()).collect();
    Err(Stop::usage(anyhow::anyhow!(
        "`{}` has no column `{column}`\n  it has: {}",
        object.name,
        names.join(", ")
    )))
}
