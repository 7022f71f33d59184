//! A schema asked: the migrations replayed on a bench of its own, generated events loaded, recipes run.

use serde::Deserialize;

use crate::catalog::Catalog;
use crate::clickhouse::{Client, Error as ClickHouseError, Query};
use crate::recipe::{Answer, AnswerColumn, Recipe};
use crate::seed;

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

/// The events that samples are made of: the same as those of `demo`.
#[must_use]
pub fn sample() -> seed::Options {
    seed::Options {
        seed: 42,
        events: 10_000,
        projects: 3,
        days: 7,
        start: jiff::civil::date(2026, 5, 11),
    }
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
    for event in seed::generate(&sample()).into_iter().flatten() {
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
        &Query::new("INSERT INTO events FORMAT JSONEachRow").setting("session_timezone", "UTC"),
    );
    insert.send(body.into()).await?;
    insert.end().await?;
    Ok(true)
}
