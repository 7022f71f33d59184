//! `lineage`: where a column comes from.

use std::process::ExitCode;

use crate::catalog::{Catalog, Lineage, Place};
use crate::cli::dump::{on_bench, refused};
use crate::cli::{Context, Stop};
use crate::config::resolve;
use crate::drift::{Error, Step};
use crate::migration::Migrations;
use crate::{docs, report};

/// Show where each column comes from, back to what clients sent
///
/// From the engine's own reading of the migrations' views, on a throw-away embedded engine. `sessions` shows all columns of a view,
/// `sessions.entry_source` one, `sessions_v1.entry.source` one element of a tuple. What the engine does not tell is said to be unknown.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A table or view, a column of it, an element of a column [default: all views]
    #[arg(value_name = "OBJECT[.COLUMN[.ELEMENT]]")]
    what: Option<String>,
    /// Draw the objects and what flows between them as a Mermaid flowchart
    #[arg(long, conflicts_with = "what")]
    mermaid: bool,
    /// Draw them as an SVG file, for light and dark
    #[arg(long, conflicts_with_all = ["what", "mermaid"])]
    svg: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Stop> {
    if args.mermaid || args.svg {
        let model = super::docs::model(context, false).await?;
        context.printer.data(&if args.svg {
            docs::svg(&model)
        } else {
            docs::mermaid(&model)
        });
        return Ok(ExitCode::SUCCESS);
    }
    let settings = resolve(&context.flags, &context.environment)?;
    let migrations = Migrations::load(&settings.schema)?;
    let read = on_bench(context, &settings.database, async |bench| {
        bench.replay(&Step::of_migrations(&migrations)).await?;
        let catalog = Catalog::read(bench.client()).await?;
        let lineage = Lineage::read(bench.client(), &catalog).await?;
        Ok::<_, Error>((catalog, lineage))
    })
    .await;
    let (catalog, lineage) = read.map_err(|error| refused(error, &migrations))?;
    let (places, view) = match &args.what {
        None => (
            catalog
                .objects
                .iter()
                .filter(|object| !object.select.is_empty() && object.target.is_none())
                .flat_map(|object| lineage.columns(&object.name))
                .collect(),
            None,
        ),
        Some(what) => find(what, &catalog, &lineage)?,
    };
    let traces: Vec<_> = places.iter().map(|place| lineage.trace(place)).collect();
    let decided = view.as_ref().and_then(|view| {
        catalog
            .get(view)
            .filter(|object| !object.select.is_empty())
            .map(|_| lineage.decided_by(view))
    });
    context.printer.data(&if context.printer.is_json() {
        report::lineage::json(&traces, decided.as_ref().and_then(Option::as_deref))
    } else {
        report::lineage::human(&traces, view.as_deref().zip(decided))
    });
    Ok(ExitCode::SUCCESS)
}

/// The columns that are meant, and the view whose rows are. Names may have dots in them: the longest that is one is taken.
pub(super) fn find(
    what: &str,
    catalog: &Catalog,
    lineage: &Lineage,
) -> Result<(Vec<Place>, Option<String>), Stop> {
    if let Some(object) = catalog.get(what) {
        return Ok((lineage.columns(what), Some(object.name.clone())));
    }
    let below = |name: &str| {
        what.strip_prefix(name)?
            .strip_prefix('.')
            .map(str::to_owned)
    };
    let named = catalog
        .objects
        .iter()
        .filter_map(|object| Some((object, below(&object.name)?)))
        .max_by_key(|(object, _)| object.name.len());
    let Some((object, rest)) = named else {
        let names: Vec<&str> = catalog
            .objects
            .iter()
            .map(|object| object.name.as_str())
            .collect();
        return Err(Stop::usage(anyhow::anyhow!(
            "the schema has no table or view `{what}`\n  it has: {}",
            names.join(", ")
        )));
    };
    let place = |column: &str, element: Option<&str>| Place {
        object: object.name.clone(),
        column: column.to_owned(),
        element: element.map(str::to_owned),
    };
    let columns = lineage.columns(&object.name);
    if columns.iter().any(|place| place.column == rest) {
        return Ok((vec![place(&rest, None)], None));
    }
    let elements = rest
        .split_once('.')
        .map(|(column, element)| (column, element, lineage.elements(&object.name, column)));
    match elements {
        Some((column, element, known)) if known.iter().any(|name| name == element) => {
            Ok((vec![place(column, Some(element))], None))
        }
        Some((column, element, known)) if !known.is_empty() => Err(Stop::usage(anyhow::anyhow!(
            "`{}.{column}` has no element `{element}`\n  it has: {}",
            object.name,
            known.join(", ")
        ))),
        _ => {
            let names: Vec<&str> = columns.iter().map(|place| place.column.as_str()).collect();
            Err(Stop::usage(anyhow::anyhow!(
                "`{}` has no column `{rest}`\n  it has: {}",
                object.name,
                names.join(", ")
            )))
        }
    }
}
