//! A `SimpleAggregateFunction(min, …)` or `any` is left to its default in some row.
//!
//! ## Why
//!
//! Where a view leaves the column out, or a row was there before the column, it holds 0, '' or 1970, and the minimum with that is 1970 for
//! ever: no INSERT repairs it. (The default of an `AggregateFunction` is an empty state, and of `sum` and of an unsigned `max` it is
//! neutral.)
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE events (id String, at DateTime('UTC')) ENGINE = MergeTree ORDER BY id;
//! CREATE TABLE visits (id String, n SimpleAggregateFunction(sum, UInt64), started SimpleAggregateFunction(min, DateTime('UTC'))) ENGINE = AggregatingMergeTree ORDER BY id;
//! CREATE MATERIALIZED VIEW visits_mv TO visits AS SELECT id, count() AS n FROM events GROUP BY id;
//! ```
//!
//! ## Instead
//!
//! Write it everywhere; or let it be NULL, which min skips.
//!
//! ```sql
//! CREATE TABLE events (id String, at DateTime('UTC')) ENGINE = MergeTree ORDER BY id;
//! CREATE TABLE visits (id String, n SimpleAggregateFunction(sum, UInt64), started SimpleAggregateFunction(min, DateTime('UTC'))) ENGINE = AggregatingMergeTree ORDER BY id;
//! CREATE MATERIALIZED VIEW visits_mv TO visits AS SELECT id, count() AS n, min(at) AS started FROM events GROUP BY id;
//! ALTER TABLE visits ADD COLUMN identified SimpleAggregateFunction(min, Nullable(DateTime('UTC'))) DEFAULT NULL;
//! ```

use std::collections::BTreeSet;

use crate::catalog::Column;
use crate::lint::table::{is_nullable, plain_engine, simple_aggregate};
use crate::lint::{Check, Found, Moment, Table, View};

pub(super) const CHECK: Check = Check::Statement(check);

/// The triggers that write to a table; `None`: the query of one of them is not known.
pub(super) fn writers<'a>(table: &Table<'a>) -> Option<Vec<View<'a>>> {
    let views: Vec<View<'a>> = table
        .state
        .entries()
        .filter(|entry| entry.object.target.as_ref() == Some(&table.object.name))
        .map(|entry| View::of(entry, table.state))
        .collect();
    views
        .iter()
        .all(|view| view.tree().is_some())
        .then_some(views)
}

/// The names that a view puts out.
pub(super) fn outputs(view: &View<'_>) -> BTreeSet<String> {
    view.branches()
        .last()
        .map(|query| query.column_names().into_iter().collect())
        .unwrap_or_default()
}

/// Whether the default of a column's type beats what comes later.
pub(super) fn poisons(column: &Column) -> bool {
    let Some((function, r#type)) = simple_aggregate(&column.r#type) else {
        return false;
    };
    column.default.is_empty()
        && !is_nullable(&r#type)
        && matches!(function.as_str(), "min" | "any" | "groupBitAnd")
}

fn check(moment: &Moment<'_>, found: &mut Found) {
    let (Some(before), Some(after)) = (&moment.before, &moment.after) else {
        return;
    };
    let header = &moment.statement.header;
    for object in header.objects.iter().chain(&header.target) {
        let Some(now) = after.named(object) else {
            continue;
        };
        // A column that is new on a table that was there.
        if let Some(was) = before.named(object).filter(|was| was.merges())
            && plain_engine(&now.engine) == "AggregatingMergeTree"
        {
            for column in now.columns.iter().filter(|column| poisons(column)) {
                if was.column(&column.name).is_none() && !renamed(moment, &column.name) {
                    say(found, &now.name, column, "rows that are there already");
                }
            }
        }
    }
    for object in &header.objects {
        let Some(entry) = after.entry(&object.name) else {
            continue;
        };
        let view = View::of(entry, after);
        let Some(target) = view.target().filter(|_| view.is_trigger()) else {
            continue;
        };
        if view.tree().is_none() || !target.merges() {
            continue;
        }
        let written = outputs(&view);
        for column in target.columns.iter().filter(|column| poisons(column)) {
            if !written.contains(&column.name) {
                say(
                    found,
                    &target.name,
                    column,
                    &format!("rows that `{}` writes", view.object.name),
                );
            }
        }
    }
}

fn renamed(moment: &Moment<'_>, name: &str) -> bool {
    moment.statement.header.commands.iter().any(|command| {
        command.words == "RENAME COLUMN" && command.rest.of(moment.sql()).contains(name)
    })
}

fn say(found: &mut Found, table: &str, column: &Column, rows: &str) {
    let function = simple_aggregate(&column.r#type).map_or_else(String::new, |(name, _)| name);
    found
        .say(format!(
            "{rows} have the default in `{table}.{}`, and `{function}` keeps it",
            column.name
        ))
        .near(&column.name)
        .help("make its type Nullable with DEFAULT NULL, or give it a DEFAULT that loses against every value, such as the type's maximum for min");
}
