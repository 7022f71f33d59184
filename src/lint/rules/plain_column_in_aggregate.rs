//! A column of an AggregatingMergeTree that is neither in the sorting key nor an aggregate.
//!
//! ## Why
//!
//! When parts merge, rows with the same key become one, and of such a column one arbitrary value is kept: 5 and 7 become 5, not 12.
//! It looks right until then. ClickHouse refuses it since 26.7, and only in a table that has an aggregate column as well; older servers
//! take all of them.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE counts (id String, n UInt64) ENGINE = AggregatingMergeTree ORDER BY id;
//! ```
//!
//! ## Instead
//!
//! ```sql
//! CREATE TABLE counts (id String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY id;
//! ```

use crate::lint::table::{columns_in, is_aggregate};
use crate::lint::{Check, Found, Table};

pub(super) const CHECK: Check = Check::Table(check);

fn check(table: &Table<'_>, found: &mut Found) {
    if table.engine() != "AggregatingMergeTree" {
        return;
    }
    let key = table.key();
    for column in table.stored() {
        if key.contains(column.name.as_str()) || is_aggregate(&column.r#type) {
            continue;
        }
        // A value that the key decides is the same in all rows that meet.
        if column.default == "MATERIALIZED" {
            let reads = columns_in(table.default_of(column), table.object);
            if !reads.is_empty() && reads.is_subset(&key) {
                continue;
            }
        }
        let name = &column.name;
        found
            .say(format!(
                "`{}.{name}` is neither in the sorting key nor an aggregate: a merge keeps one arbitrary value of it",
                table.object.name
            ))
            .near(name)
            .help(format!(
                "make it `SimpleAggregateFunction(sum | max | min | …, {})`, or put it into ORDER BY",
                column.r#type
            ));
    }
}
