//! A materialized view counts or sums the rows of a ReplacingMergeTree.
//!
//! ## Why
//!
//! The engine takes duplicates away when parts merge, long after the trigger has counted them. The table says 2, the sum says 3.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE orders (id String, amount UInt64) ENGINE = ReplacingMergeTree ORDER BY id;
//! CREATE TABLE totals (bucket UInt8, amount SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY bucket;
//! CREATE MATERIALIZED VIEW totals_mv TO totals AS SELECT toUInt8(cityHash64(id) % 16) AS bucket, sum(amount) AS amount FROM orders GROUP BY bucket;
//! ```
//!
//! ## Instead
//!
//! Keep what does not mind duplicates, or sum when it is read.
//!
//! ```sql
//! CREATE TABLE orders (id String, amount UInt64) ENGINE = ReplacingMergeTree ORDER BY id;
//! CREATE VIEW totals AS SELECT toUInt8(cityHash64(id) % 16) AS bucket, sum(amount) AS total FROM orders FINAL GROUP BY bucket;
//! ```

use crate::lint::table::plain_engine;
use crate::lint::view::{aggregates, base, function, within};
use crate::lint::{Check, Found, View};

pub(super) const CHECK: Check = Check::View(check);

fn check(view: &View<'_>, found: &mut Found) {
    let source = view
        .source()
        .filter(|source| view.is_trigger() && plain_engine(&source.engine) == "ReplacingMergeTree");
    let Some(source) = source else { return };
    for query in view.spine() {
        for node in query.list("PROJECTION").iter().flat_map(within) {
            let Some(name) = function(node).filter(|_| aggregates(node)) else {
                continue;
            };
            if matches!(
                base(name).0,
                "count" | "sum" | "avg" | "sumMap" | "quantile" | "groupArray"
            ) {
                found
                    .say(format!(
                        "`{}` calls `{name}` over `{}`, whose duplicates are taken away only later",
                        view.object.name, source.name
                    ))
                    .near(name)
                    .help("use a function that does not mind duplicates (`uniqExactState`, `max`), or compute it where it is read, with FINAL");
            }
        }
    }
}
