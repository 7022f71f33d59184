//! The rows of a step as they are sent: those of the file, of a SELECT or of the generator, with the project's defaults filled in.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::catalog::Object;
use crate::config::TestEntry;
use crate::diagnostic::Location;
use crate::viewtest::case::{Case, Row, Rows as Given};
use crate::viewtest::play::{Stop, finding, refused};
use crate::viewtest::seeded;
use crate::viewtest::stage::Stage;

/// The rows of a step as they are sent, and where each stands.
pub(super) async fn make(
    case: &Case,
    stage: &Stage<'_>,
    test: &TestEntry,
    table: &Object,
    rows: &Given,
    location: &Location,
    number: &mut usize,
) -> Result<(Vec<Row>, Vec<Location>), Stop> {
    let mut places = Vec::new();
    let made: Vec<Row> = match rows {
        Given::Given(given) => {
            for given in given {
                for column in given.row.keys() {
                    if table.column(column).is_none() {
                        let span = given
                            .columns
                            .iter()
                            .find(|(name, _)| name == column)
                            .map_or(given.span, |(_, span)| *span);
                        return Err(finding(
                            "unknown-column",
                            format!("`{}` has no column `{column}`", table.name),
                            &case.location(span),
                        )
                        .help(format!("it has: {}", names(table)))
                        .into());
                    }
                }
            }
            places.extend(given.iter().map(|given| case.location(given.span)));
            given.iter().map(|given| given.row.clone()).collect()
        }
        Given::Select(sql) => stage
            .rows(sql)
            .await
            .map_err(|error| refused(error, location))?,
        Given::Seed(settings) => seeded::rows(settings)
            .map_err(|reason| Stop::from(finding("bad-seed", reason, location)))?,
    };
    if made.is_empty() {
        return Err(finding("no-rows", "this step brings no rows".to_owned(), location).into());
    }
    places.resize_with(made.len(), || location.clone());
    let none = BTreeMap::new();
    let defaults = test.defaults.get(&table.name).unwrap_or(&none);
    let rows = made
        .into_iter()
        .map(|mut row| {
            *number += 1;
            fill(&mut row, defaults, *number);
            row
        })
        .collect();
    Ok((rows, places))
}

fn names(table: &Object) -> String {
    let names: Vec<&str> = table
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    names.join(", ")
}

/// What a row does not send gets the project's default; `{n}` is the row's number.
fn fill(row: &mut Row, defaults: &BTreeMap<String, Value>, number: usize) {
    for (column, value) in defaults {
        if !row.contains_key(column) {
            let value = match value {
                Value::String(text) => Value::String(text.replace("{n}", &number.to_string())),
                other => other.clone(),
            };
            row.insert(column.clone(), value);
        }
    }
}
