//! A skip index over an aggregated column.
//!
//! ## Why
//!
//! The index knows partial rows. Before 25.6, and wherever `use_skip_indexes_if_final_exact_mode` is off, a query with FINAL skips the part
//! that holds the other half of a row, and gives a wrong answer; with it, the index skips little.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE visits (id String, ended SimpleAggregateFunction(max, DateTime('UTC')), INDEX ended_index ended TYPE minmax GRANULARITY 1) ENGINE = AggregatingMergeTree ORDER BY id;
//! ```
//!
//! ## Instead
//!
//! Index what is equal in all partial rows.
//!
//! ```sql
//! CREATE TABLE visits (id String, person String, ended SimpleAggregateFunction(max, DateTime('UTC')), INDEX person_index person TYPE bloom_filter GRANULARITY 1) ENGINE = AggregatingMergeTree ORDER BY (id, person);
//! ```

use crate::catalog::words;
use crate::lint::table::{columns_in, is_aggregate};
use crate::lint::{Check, Found, Table};

pub(super) const CHECK: Check = Check::Table(check);

fn check(table: &Table<'_>, found: &mut Found) {
    let create = &table.object.create;
    let words = words(create);
    for (index, word) in words.iter().enumerate() {
        if word.depth != 1 || !word.is("INDEX") {
            continue;
        }
        let name = words.get(index + 1);
        let ends = words
            .iter()
            .skip(index)
            .find(|word| word.depth == 1 && word.is("TYPE"));
        let (Some(name), Some(ends)) = (name, ends) else {
            continue;
        };
        let expression = create.get(name.end..ends.start).unwrap_or_default();
        let aggregated = columns_in(expression, table.object)
            .into_iter()
            .find(|column| {
                table
                    .object
                    .column(column)
                    .is_some_and(|column| is_aggregate(&column.r#type))
            });
        if let Some(column) = aggregated {
            found
                .say(format!(
                    "the index `{}` of `{}` is over `{column}`, of which it knows partial values only",
                    name.name().unwrap_or_default(),
                    table.object.name
                ))
                .near(name.name().unwrap_or_default())
                .help("index columns of the key, or none");
        }
    }
}
