//! A materialized view's source has a TTL, and its target keeps longer.
//!
//! ## Why
//!
//! What the source forgets cannot be aggregated again: a view that is built anew from it begins where the TTL cuts, without a word.
//! Say so, or keep the source.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE events (id String, at DateTime('UTC')) ENGINE = MergeTree ORDER BY id TTL at + INTERVAL 30 DAY;
//! CREATE TABLE counts (id String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY id;
//! CREATE MATERIALIZED VIEW counts_mv TO counts AS SELECT id, count() AS n FROM events GROUP BY id;
//! ```
//!
//! ## Instead
//!
//! Let both go at the same time, by a time that the key holds.
//!
//! ```sql
//! CREATE TABLE events (id String, at DateTime('UTC')) ENGINE = MergeTree ORDER BY id TTL at + INTERVAL 30 DAY;
//! CREATE TABLE counts (id String, day Date, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY (id, day) TTL day + INTERVAL 30 DAY;
//! CREATE MATERIALIZED VIEW counts_mv TO counts AS SELECT id, toDate(at) AS day, count() AS n FROM events GROUP BY id, day;
//! ```

use crate::catalog::words;
use crate::lint::{Check, Found, Table, View};

pub(super) const CHECK: Check = Check::View(check);

fn check(view: &View<'_>, found: &mut Found) {
    let (Some(source), Some(target)) = (view.source(), view.target()) else {
        return;
    };
    let deletes = |table: &Table<'_>| {
        table.clause("TTL").is_some_and(|ttl| {
            !words(ttl)
                .iter()
                .any(|word| ["TO", "RECOMPRESS", "GROUP"].iter().any(|it| word.is(it)))
        })
    };
    let source = Table::of(source, view.state);
    let target = Table::of(target, view.state);
    if view.is_trigger() && target.object.merges() && deletes(&source) && !deletes(&target) {
        found
            .say(format!(
                "rows leave `{}` by its TTL and stay in `{}`: `{}` cannot be built anew in full",
                source.object.name, target.object.name, view.object.name
            ))
            .help("allow it with the reason, or give both the same end");
    }
}
