//! `explain`: one object, or one of its columns, on one screen.

use std::collections::BTreeMap;
use std::process::ExitCode;

use crate::catalog::{Catalog, Lineage};
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
    /// A table, view or dictionary, a column of it, an element of a column
    #[arg(value_name = "OBJECT[.COLUMN[.ELEMENT]]")]
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
        let (name, column) = find(&args.what, &bench, &mut model).await?;
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

/// The object and the column that are meant; an element of a tuple is made a column of the model.
async fn find(
    what: &str,
    bench: &Bench,
    model: &mut Model,
) -> Result<(String, Option<String>), Stop> {
    if model.get(what).is_some() {
        return Ok((what.to_owned(), None));
    }
    let catalog = Catalog::read(bench.client()).await?;
    let lineage = Lineage::read(bench.client(), &catalog).await?;
    let (places, _) = super::lineage::find(what, &catalog, &lineage)?;
    let Some(place) = places.into_iter().next() else {
        return Ok((what.to_owned(), None));
    };
    let column = if place.element.is_some() {
        survey::add_element(bench, &lineage, model, &place).await?
    } else {
        place.column
    };
    Ok((place.object, Some(column)))
}
