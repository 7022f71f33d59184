//! A materialized view counts the rows of an AggregatingMergeTree or SummingMergeTree.
//!
//! ## Why
//!
//! What triggers it are the partial rows of each INSERT, before they meet: a session of three INSERTs is counted three times, and an
//! average of its parts is the average of nothing.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE visits (id String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY id;
//! CREATE TABLE totals (id String, visits SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY id;
//! CREATE MATERIALIZED VIEW totals_mv TO totals AS SELECT id, count() AS visits FROM visits GROUP BY id;
//! ```
//!
//! ## Instead
//!
//! Count what is the same in all parts, with a state that does not mind them; or read the events themselves.
//!
//! ```sql
//! CREATE TABLE visits (id String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY id;
//! CREATE TABLE totals (bucket UInt8, visits AggregateFunction(uniqExact, String)) ENGINE = AggregatingMergeTree ORDER BY bucket;
//! CREATE MATERIALIZED VIEW totals_mv TO totals AS SELECT toUInt8(cityHash64(id) % 16) AS bucket, uniqExactState(id) AS visits FROM visits GROUP BY bucket;
//! ```

use crate::lint::table::plain_engine;
use crate::lint::view::{aggregates, base, function, within};
use crate::lint::{Check, Found, View};

pub(super) const CHECK: Check = Check::View(check);

fn check(view: &View<'_>, found: &mut Found) {
    let source = view.source().filter(|source| {
        view.is_trigger()
            && matches!(
                plain_engine(&source.engine),
                "AggregatingMergeTree" | "SummingMergeTree"
            )
    });
    let Some(source) = source else { return };
    for query in view.spine() {
        for node in query.list("PROJECTION").iter().flat_map(within) {
            let Some(name) = function(node).filter(|_| aggregates(node)) else {
                continue;
            };
            let (plain, combinators) = base(name);
            if matches!(plain, "count" | "avg") && !combinators.contains(&"Merge") {
                found
                    .say(format!(
                        "`{}` calls `{name}` over the partial rows of `{}`",
                        view.object.name, source.name
                    ))
                    .near(name)
                    .help("read the table that the parts are made from, or keep a `uniqState` of the key");
            }
        }
    }
}
