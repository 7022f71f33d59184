//! A materialized view writes aggregates into a ReplacingMergeTree.
//!
//! ## Why
//!
//! Each block of an INSERT gives its own partial result. The engine keeps the last of them and takes the others away, where they should be
//! added.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE events (id String) ENGINE = MergeTree ORDER BY id;
//! CREATE TABLE counts (id String, n UInt64) ENGINE = ReplacingMergeTree ORDER BY id;
//! CREATE MATERIALIZED VIEW counts_mv TO counts AS SELECT id, count() AS n FROM events GROUP BY id;
//! ```
//!
//! ## Instead
//!
//! ```sql
//! CREATE TABLE events (id String) ENGINE = MergeTree ORDER BY id;
//! CREATE TABLE counts (id String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY id;
//! CREATE MATERIALIZED VIEW counts_mv TO counts AS SELECT id, count() AS n FROM events GROUP BY id;
//! ```

use crate::lint::table::plain_engine;
use crate::lint::view::{aggregates, base, core, function};
use crate::lint::{Check, Found, Table, View};

pub(super) const CHECK: Check = Check::View(check);

fn check(view: &View<'_>, found: &mut Found) {
    let target = view
        .target()
        .filter(|target| view.is_trigger() && plain_engine(&target.engine) == "ReplacingMergeTree");
    let Some(target) = target else { return };
    let key = Table::of(target, view.state).key();
    for query in view.branches() {
        for output in view.outputs(query) {
            let expression = core(output.expression);
            let partial = function(expression).filter(|name| {
                aggregates(expression)
                    && matches!(
                        base(name).0,
                        "count" | "sum" | "avg" | "uniq" | "uniqExact" | "min" | "max" | "argMin"
                    )
            });
            if let Some(name) = partial
                && !key.contains(output.name.as_str())
            {
                found
                    .say(format!(
                        "`{}` writes `{name}` of each block into `{}`, which keeps one block's and drops the others",
                        view.object.name, target.name
                    ))
                    .near(&output.name)
                    .help("make the target an AggregatingMergeTree, with an aggregate for each such column");
            }
        }
    }
}
