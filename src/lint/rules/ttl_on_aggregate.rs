//! The TTL of a table that merges rows depends on an aggregated column.
//!
//! ## Why
//!
//! The TTL looks at partial rows. Of a session whose rows lie on both sides of the limit one half goes and the other stays, without its
//! beginning; which, depends on when parts merge.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE visits (id String, started SimpleAggregateFunction(min, DateTime('UTC'))) ENGINE = AggregatingMergeTree ORDER BY id TTL started + INTERVAL 30 DAY;
//! ```
//!
//! ## Instead
//!
//! ```sql
//! CREATE TABLE visits (id String, day Date, started SimpleAggregateFunction(min, DateTime('UTC'))) ENGINE = AggregatingMergeTree ORDER BY (id, day) TTL day + INTERVAL 30 DAY;
//! ```

use crate::lint::table::is_aggregate;
use crate::lint::{Check, Found, Table};

pub(super) const CHECK: Check = Check::Table(check);

fn check(table: &Table<'_>, found: &mut Found) {
    for name in table.columns_of("TTL") {
        let aggregated = table
            .object
            .column(name)
            .is_some_and(|column| is_aggregate(&column.r#type));
        if aggregated {
            found
                .say(format!(
                    "the TTL of `{}` depends on `{name}`, which differs between the partial rows of one key",
                    table.object.name
                ))
                .near("TTL")
                .help("use a time that is equal in all partial rows, as part of the key");
        }
    }
}
