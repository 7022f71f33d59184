//! A schema asked: the migrations replayed on a bench, generated events loaded, recipes run, and a target's sizes read. What is found is
//! a [`Model`], of which `docs` makes pages.

mod access;

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;

use crate::catalog::{
    Catalog, DefinitionKind, Definitions, Details, Generations, Kind, Lineage, Place,
};
use crate::clickhouse::{Client, Error as ClickHouseError, Query, identifier};
use crate::docs::{
    self, ColumnFigures, Figures, Model, Parts, Sample, Stale, is_steady, is_volatile,
};
use crate::drift::{Bench, Error as ReplayError, Step};
use crate::migration::Migrations;
use crate::recipe::{Answer, AnswerColumn, Recipe, Recipes};
use crate::seed;

pub use crate::survey::access::{Access, Speed, TELLING, Use, access};

/// Why a schema could not be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The migrations could not be replayed.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The engine or the target failed.
    #[error(transparent)]
    ClickHouse(#[from] ClickHouseError),
    /// ClickHouse refused a recipe.
    #[error("ClickHouse refused the recipe {path}")]
    Recipe {
        /// Its file.
        path: Utf8PathBuf,
        /// What was said.
        #[source]
        source: ClickHouseError,
    },
    /// A page could not be read.
    #[error("could not read the pages")]
    Page(#[source] std::io::Error),
}

/// How many values of a column are shown.
const VALUES: usize = 3;
/// More characters of a value are not kept.
const LONG: usize = 120;

/// What makes an answer the same on every machine.
const ASK: [(&str, &str); 2] = [
    ("session_timezone", "UTC"),
    ("output_format_json_quote_64bit_integers", "0"),
];

/// A recipe with its values, ready to be sent.
#[must_use]
pub fn question(recipe: &Recipe, values: &[(String, String)]) -> Query {
    values
        .iter()
        .fold(Query::new(&recipe.sql), |query, (name, value)| {
            query.text(name, value)
        })
}

/// Asks a recipe.
///
/// # Errors
/// [`ClickHouseError`].
pub async fn ask(
    client: &Client,
    recipe: &Recipe,
    values: &[(String, String)],
) -> Result<Answer, ClickHouseError> {
    answer(client, question(recipe, values)).await
}

/// The answer of a SELECT with the types of its columns.
///
/// # Errors
/// [`ClickHouseError`].
pub async fn answer(client: &Client, query: Query) -> Result<Answer, ClickHouseError> {
    #[derive(Deserialize)]
    struct Document {
        meta: Vec<AnswerColumn>,
        data: Vec<Vec<serde_json::Value>>,
    }
    let query = ASK
        .iter()
        .fold(query, |query, (name, value)| query.setting(name, *value));
    let bytes = client.fetch(&query, "JSONCompact").await?;
    let document: Document =
        serde_json::from_slice(&bytes).map_err(|source| ClickHouseError::Answer {
            url: client.url().to_owned(),
            source,
        })?;
    Ok(Answer {
        columns: document.meta,
        rows: document.data,
    })
}

/// Loads generated events into `events`, if there is such a table and it takes them, and says whether it did.
///
/// # Errors
/// [`ClickHouseError`].
pub async fn stock(client: &Client, catalog: &Catalog) -> Result<bool, ClickHouseError> {
    let Some(events) = catalog.get("events") else {
        return Ok(false);
    };
    let mut body = Vec::new();
    for event in seed::generate(&seed::Options::default())
        .into_iter()
        .flatten()
    {
        // Into memory: it cannot fail.
        let _ = event.write_json_line(&mut body);
    }
    let first = body.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let keys: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(first).unwrap_or_default();
    if keys.is_empty() || !keys.keys().all(|key| events.column(key).is_some()) {
        return Ok(false);
    }
    let mut insert = client.insert(
        &Query::new("INSERT INTO events FORMAT JSONEachRow")
            .setting("session_timezone", "UTC")
            .setting("input_format_parallel_parsing", "0"),
    );
    insert.send(body.into()).await?;
    insert.end().await?;
    Ok(true)
}

/// Replays the migrations, and finds out what people want to know of them. With `samples`, generated events are loaded, the recipes asked,
/// and values of every column collected; the same ones on every machine.
///
/// # Errors
/// [`Error`].
pub async fn model(
    bench: &Bench,
    migrations: &Migrations,
    recipes: &Recipes,
    samples: bool,
) -> Result<Model, Error> {
    let definitions = bench.replay(&Step::of_migrations(migrations)).await?;
    let client = bench.client();
    let catalog = Catalog::read(client).await?;
    let lineage = Lineage::read(client, &catalog).await?;
    let details = Details::read(client).await?;
    let mut parts = Parts {
        database: client.database(),
        catalog: &catalog,
        definitions: &definitions,
        lineage: &lineage,
        details: &details,
        migrations,
        recipes,
        answers: BTreeMap::new(),
        samples: BTreeMap::new(),
    };
    if samples {
        let client = client.clone();
        let stocked = stock(&client, &catalog).await?;
        let reader = client.read_only();
        for recipe in recipes.iter() {
            // A recipe that is not right is found even where there is nothing to answer with.
            let values = recipe.bind(&[], true).unwrap_or_default();
            let query = question(recipe, &values).setting("max_threads", "1");
            let found =
                answer(&reader, query)
                    .await
                    .map_err(|source| match source.exception() {
                        Some(_) => Error::Recipe {
                            path: recipe.path.clone(),
                            source,
                        },
                        None => Error::ClickHouse(source),
                    })?;
            if stocked {
                parts.answers.insert(recipe.name.clone(), found);
            }
        }
        if stocked {
            parts.samples = collect(&reader, &catalog, &definitions, &lineage).await?;
        }
    }
    Ok(Model::of(parts))
}

/// Values of the columns of all tables and views whose answer is the same each time.
async fn collect(
    client: &Client,
    catalog: &Catalog,
    definitions: &Definitions,
    lineage: &Lineage,
) -> Result<BTreeMap<(String, String), Sample>, ClickHouseError> {
    #[derive(Deserialize)]
    struct Empty {
        name: String,
    }
    let moving = moving(definitions, lineage);
    let empty = Query::new(
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND total_rows = 0",
    );
    let empty: BTreeSet<String> = client
        .rows::<Empty>(&empty)
        .await?
        .into_iter()
        .map(|row| row.name)
        .collect();
    let mut samples = BTreeMap::new();
    for object in &catalog.objects {
        if !matches!(object.kind, Kind::Table | Kind::View)
            || moving.contains(&object.name)
            || empty.contains(&object.name)
        {
            continue;
        }
        for column in &object.columns {
            let place = Place {
                object: object.name.clone(),
                column: column.name.clone(),
                element: None,
            };
            let is_state = column.r#type.starts_with("AggregateFunction(");
            if is_state || !is_steady(&lineage.trace(&place)) {
                continue;
            }
            if let Some(sample) = sample(client, &object.name, &column.name).await? {
                samples.insert((object.name.clone(), column.name.clone()), sample);
            }
        }
    }
    Ok(samples)
}

/// Values of one column; `None`: they have no text, or cannot be read here.
async fn sample(
    client: &Client,
    object: &str,
    column: &str,
) -> Result<Option<Sample>, ClickHouseError> {
    #[derive(Deserialize)]
    struct Row {
        #[serde(rename = "_housewright_value")]
        value: Option<String>,
        #[serde(rename = "_housewright_n")]
        n: u64,
        #[serde(rename = "_housewright_distinct")]
        distinct: u64,
    }
    let query = Query::new(format!(
        "SELECT toString({}) AS _housewright_value, count() AS _housewright_n, count() OVER () AS _housewright_distinct FROM {} \
         GROUP BY _housewright_value ORDER BY _housewright_n DESC, _housewright_value LIMIT {VALUES}",
        identifier(column),
        identifier(object)
    ))
    .setting("session_timezone", "UTC")
    .setting("max_threads", "1");
    let rows: Vec<Row> = match client.rows(&query).await {
        Ok(rows) => rows,
        Err(error) if error.exception().is_some() => return Ok(None),
        Err(error) => return Err(error),
    };
    // NULL and empty say nothing of what a value looks like.
    let values: Vec<String> = rows
        .iter()
        .filter(|row| row.n > 0)
        .filter_map(|row| row.value.clone())
        .filter(|value| !value.is_empty())
        .map(|value| value.chars().take(LONG).collect())
        .collect();
    let distinct = rows.first().map_or(0, |row| row.distinct);
    Ok(Some(Sample { values, distinct }))
}

/// Makes an element of a tuple a column of its own in the model of what a bench has, under the name by which it is read.
///
/// # Errors
/// [`ClickHouseError`].
pub async fn add_element(
    bench: &Bench,
    lineage: &Lineage,
    model: &mut Model,
    place: &Place,
) -> Result<String, ClickHouseError> {
    #[derive(Deserialize)]
    struct Row {
        name: String,
        r#type: String,
    }
    let client = bench.client().read_only();
    let element = place.element.as_deref().unwrap_or_default();
    let name = format!("{}.{element}", place.column);
    let describe = Query::new(format!("DESCRIBE TABLE {}", identifier(&place.object)))
        .setting("describe_include_subcolumns", "1");
    let described: Vec<Row> = client.rows(&describe).await?;
    let trace = lineage.trace(place);
    let values = if is_steady(&trace) {
        sample(&client, &place.object, &name).await?
    } else {
        None
    };
    let objects = &mut model.objects;
    let object = objects.iter_mut().find(|it| it.name == place.object);
    let columns = object.map(|object| &mut object.columns);
    if let Some(columns) = columns
        && let Some(whole) = columns.iter().find(|it| it.name == place.column)
    {
        let element = docs::Column {
            r#type: described
                .into_iter()
                .find(|row| row.name == name)
                .map_or_else(String::new, |row| row.r#type),
            name: name.clone(),
            default: String::new(),
            expression: String::new(),
            trace,
            sample: values,
            figures: None,
            ..whole.clone()
        };
        columns.push(element);
    }
    Ok(name)
}

/// The objects whose rows are not the same each time, because a query on the way reads a clock or draws lots.
fn moving(definitions: &Definitions, lineage: &Lineage) -> BTreeSet<String> {
    let mut moving: BTreeSet<String> = definitions
        .iter()
        .filter(|definition| definition.kind != DefinitionKind::Table)
        .filter(|definition| is_volatile(&definition.text))
        .map(|definition| definition.name.clone())
        .collect();
    loop {
        let more: Vec<String> = definitions
            .iter()
            .filter(|definition| !moving.contains(&definition.name))
            .filter(|definition| {
                lineage
                    .sources(&definition.name)
                    .iter()
                    .any(|source| moving.contains(source))
            })
            .map(|definition| definition.name.clone())
            .collect();
        if more.is_empty() {
            return moving;
        }
        moving.extend(more);
    }
}

/// Values of the columns of one object on a target, from a look that is bounded: as far as ten seconds a column lead.
///
/// # Errors
/// [`ClickHouseError`], if the target goes away.
pub async fn values(
    target: &Client,
    object: &docs::Object,
) -> Result<BTreeMap<String, Sample>, ClickHouseError> {
    #[derive(Deserialize)]
    struct Row {
        #[serde(rename = "_housewright_value")]
        value: Option<String>,
        #[serde(rename = "_housewright_distinct")]
        distinct: u64,
    }
    let client = target.read_only();
    let stands = Generations::read(&client).await?.current(&object.name);
    let mut samples = BTreeMap::new();
    // No column has a name like these aliases, which would hide it.
    for column in &object.columns {
        if column.r#type.starts_with("AggregateFunction(") {
            continue;
        }
        let query = Query::new(format!(
            "WITH (SELECT uniq({name}) FROM {from}) AS _housewright_uniq \
             SELECT toString({name}) AS _housewright_value, ifNull(_housewright_uniq, 0) AS _housewright_distinct FROM {from} \
             GROUP BY _housewright_value ORDER BY count() DESC, _housewright_value LIMIT {VALUES}",
            from = identifier(&stands),
            name = identifier(&column.name),
        ))
        .setting("max_execution_time", "10")
        .setting("timeout_overflow_mode", "break")
        .setting("max_rows_to_group_by", "1000000")
        .setting("group_by_overflow_mode", "any");
        match client.rows::<Row>(&query).await {
            Ok(rows) => {
                let distinct = rows.first().map_or(0, |row| row.distinct);
                let values = rows
                    .into_iter()
                    .filter_map(|row| row.value)
                    .filter(|value| !value.is_empty())
                    .map(|value| value.chars().take(LONG).collect());
                let values = values.collect();
                samples.insert(column.name.clone(), Sample { values, distinct });
            }
            Err(error) if error.exception().is_some() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(samples)
}

/// Reads sizes and freshness of a target into a model. Only reads there.
///
/// # Errors
/// [`ClickHouseError`].
pub async fn figures(
    target: &Client,
    name: &str,
    model: &mut Model,
) -> Result<(), ClickHouseError> {
    #[derive(Deserialize)]
    struct TableRow {
        table: String,
        rows: u64,
        bytes: u64,
        uncompressed: u64,
        parts: u64,
        partitions: u64,
        written: String,
        age: u64,
    }
    #[derive(Deserialize)]
    struct ColumnRow {
        table: String,
        name: String,
        bytes: u64,
        uncompressed: u64,
    }
    let client = target.read_only();
    // A rebuild leaves its table under another name than the schema knows.
    let generations = Generations::read(&client).await?;
    let tables = Query::new(
        "SELECT table, sum(rows) AS rows, sum(bytes_on_disk) AS bytes, sum(data_uncompressed_bytes) AS uncompressed, count() AS parts, \
         uniqExact(partition) AS partitions, toString(max(modification_time), 'UTC') AS written, \
         toUInt64(greatest(0, dateDiff('second', max(modification_time), now()))) AS age \
         FROM system.parts WHERE database = currentDatabase() AND active GROUP BY table ORDER BY table",
    );
    let columns = Query::new(
        "SELECT table, name, data_compressed_bytes AS bytes, data_uncompressed_bytes AS uncompressed \
         FROM system.columns WHERE database = currentDatabase() AND data_compressed_bytes > 0 ORDER BY table, position",
    );
    let tables: Vec<TableRow> = client.rows(&tables).await?;
    let columns: Vec<ColumnRow> = client.rows(&columns).await?;
    for object in &mut model.objects {
        let stands = generations.current(&object.name);
        object.figures = tables
            .iter()
            .find(|row| row.table == stands)
            .map(|row| Figures {
                rows: row.rows,
                bytes: row.bytes,
                uncompressed: row.uncompressed,
                parts: row.parts,
                partitions: row.partitions,
                written: row.written.clone(),
                age: row.age,
            });
        for column in &mut object.columns {
            column.figures = columns
                .iter()
                .find(|row| row.table == stands && row.name == column.name)
                .map(|row| ColumnFigures {
                    bytes: row.bytes,
                    uncompressed: row.uncompressed,
                });
        }
    }
    model.target = Some(name.to_owned());
    Ok(())
}

/// The pages of `<schema>/docs` that are not what the migrations and recipes say; none, where a project keeps no pages. For a gate that
/// looks at everything: `engine` is one that belongs to this process alone, as [`Bench`] wants it.
///
/// # Errors
/// [`Error`].
pub async fn stale(
    engine: &Client,
    schema: &Utf8Path,
    database: &str,
    migrations: &Migrations,
    recipes: &Recipes,
) -> Result<Vec<Stale>, Error> {
    let directory = schema.join(docs::DIRECTORY);
    if !directory.exists() {
        return Ok(Vec::new());
    }
    let bench = Bench::new(engine, database).await?;
    let model = model(&bench, migrations, recipes, true).await?;
    docs::stale(&directory, &docs::pages(&model)).map_err(Error::Page)
}
