//! The sorting key or the partition of a table that merges rows depends on an aggregated column.
//!
//! ## Why
//!
//! Partial rows meet if their keys are equal and their partition is the same. A value that is still being aggregated differs between
//! them: a session that began at 23:58 and went on at 00:03 stays two rows for ever, and dropping an old partition beheads it.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE visits (id String, started SimpleAggregateFunction(min, DateTime('UTC'))) ENGINE = AggregatingMergeTree PARTITION BY toYYYYMM(started) ORDER BY id;
//! ```
//!
//! ## Instead
//!
//! Key and partition are functions of the identity alone.
//!
//! ```sql
//! CREATE TABLE visits (id String, started SimpleAggregateFunction(min, DateTime('UTC'))) ENGINE = AggregatingMergeTree PARTITION BY cityHash64(id) % 8 ORDER BY id;
//! ```

use crate::lint::table::is_aggregate;
use crate::lint::{Check, Found, Table};

pub(super) const CHECK: Check = Check::Table(check);

fn check(table: &Table<'_>, found: &mut Found) {
    for (clause, what) in [("ORDER BY", "sorting key"), ("PARTITION BY", "partition")] {
        for column in table.columns_of(clause) {
            let aggregated = table
                .object
                .column(column)
                .is_some_and(|column| is_aggregate(&column.r#type));
            if aggregated {
                found
                    .say(format!(
                        "the {what} of `{}` depends on `{column}`, which differs between the partial rows of one key",
                        table.object.name
                    ))
                    .near(clause.split(' ').next().unwrap_or(clause))
                    .help("use columns only that are equal in all partial rows: the identity, and functions of it");
            }
        }
    }
}
