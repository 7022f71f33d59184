//! A materialized view's source and target do not both swallow repeated INSERTs.
//!
//! ## Why
//!
//! A client that got no answer sends the block again. With a deduplication window on the source alone the view counts the rows twice; with
//! one on the target alone the source has them twice. Only with a window on both do they agree, and then a retry also repairs an INSERT
//! that broke off between the two.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE events (id String) ENGINE = MergeTree ORDER BY id SETTINGS non_replicated_deduplication_window = 100;
//! CREATE TABLE counts (id String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY id;
//! CREATE MATERIALIZED VIEW counts_mv TO counts AS SELECT id, count() AS n FROM events GROUP BY id;
//! ```
//!
//! ## Instead
//!
//! ```sql
//! CREATE TABLE events (id String) ENGINE = MergeTree ORDER BY id SETTINGS non_replicated_deduplication_window = 100;
//! CREATE TABLE counts (id String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY id SETTINGS non_replicated_deduplication_window = 100;
//! CREATE MATERIALIZED VIEW counts_mv TO counts AS SELECT id, count() AS n FROM events GROUP BY id;
//! ```

use crate::lint::{Check, Found, View};

pub(super) const CHECK: Check = Check::View(check);

fn check(view: &View<'_>, found: &mut Found) {
    let (Some(source), Some(target)) = (view.source(), view.target()) else {
        return;
    };
    if !view.is_trigger() || !source.merges() || !target.merges() {
        return;
    }
    let (with, without) = match (source.deduplicates(), target.deduplicates()) {
        (true, false) => (source, target),
        (false, true) => (target, source),
        _ => return,
    };
    found
        .say(format!(
            "`{}` swallows a repeated INSERT and `{}` does not, and `{}` leads from one to the other",
            with.name, without.name, view.object.name
        ))
        .help(format!(
            "give `{}` `non_replicated_deduplication_window` too, or take it from `{}`",
            without.name, with.name
        ));
}
