//! An aggregate that keeps what arrived first or last.
//!
//! ## Why
//!
//! `any` and `anyLast` take the first or last value in the order of parts and blocks, which is neither the order of time nor the same twice.
//! A late event, a retry or a rebuild gives another answer.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE visits (id String, url SimpleAggregateFunction(any, String)) ENGINE = AggregatingMergeTree ORDER BY id;
//! ```
//!
//! ## Instead
//!
//! Say which one is meant: the least of (time, id, value).
//!
//! ```sql
//! CREATE TABLE visits (id String, entry SimpleAggregateFunction(min, Tuple(at DateTime64(3, 'UTC'), event_id String, url String))) ENGINE = AggregatingMergeTree ORDER BY id;
//! ```

use crate::catalog::list;
use crate::lint::table::simple_aggregate;
use crate::lint::{Check, Found, Table};

pub(super) const CHECK: Check = Check::Table(check);

fn check(table: &Table<'_>, found: &mut Found) {
    for column in table.stored() {
        let function = match simple_aggregate(&column.r#type) {
            Some((function, _)) => function,
            None => column
                .r#type
                .strip_prefix("AggregateFunction(")
                .and_then(|rest| list(rest).into_iter().next())
                .unwrap_or_default(),
        };
        if matches!(
            function.as_str(),
            "any"
                | "anyLast"
                | "any_respect_nulls"
                | "anyLast_respect_nulls"
                | "first_value"
                | "last_value"
        ) {
            found
                .say(format!(
                    "`{}.{}` keeps `{function}`: what arrived {}, not what happened then",
                    table.object.name,
                    column.name,
                    if function.contains("ast") { "last" } else { "first" }
                ))
                .near(&column.name)
                .help("use min or max of a tuple `(time, id, value)`; if all values of a key are equal, max says so too");
        }
    }
}
