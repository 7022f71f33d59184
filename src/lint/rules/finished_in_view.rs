//! A materialized view computes with the aggregates of one block.
//!
//! ## Why
//!
//! `dateDiff('second', min(at), max(at))` in a trigger is the duration within one block of an INSERT. Neither the sum nor the maximum of
//! such durations is the duration of the whole; the same goes for shares, averages and "is it only one".
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE events (id String, at DateTime('UTC')) ENGINE = MergeTree ORDER BY id;
//! CREATE TABLE visits (id String, seconds SimpleAggregateFunction(max, Int64)) ENGINE = AggregatingMergeTree ORDER BY id;
//! CREATE MATERIALIZED VIEW visits_mv TO visits AS SELECT id, dateDiff('second', min(at), max(at)) AS seconds FROM events GROUP BY id;
//! ```
//!
//! ## Instead
//!
//! Keep what it is made from, and compute when it is read.
//!
//! ```sql
//! CREATE TABLE events (id String, at DateTime('UTC')) ENGINE = MergeTree ORDER BY id;
//! CREATE TABLE visits_v1 (id String, started SimpleAggregateFunction(min, DateTime('UTC')), ended SimpleAggregateFunction(max, DateTime('UTC'))) ENGINE = AggregatingMergeTree ORDER BY id;
//! CREATE MATERIALIZED VIEW visits_v1_mv TO visits_v1 AS SELECT id, min(at) AS started, max(at) AS ended FROM events GROUP BY id;
//! CREATE VIEW visits AS SELECT id, dateDiff('second', started, ended) AS seconds FROM visits_v1 FINAL;
//! ```

use crate::catalog::Node;
use crate::lint::view::{aggregates, core, function, within};
use crate::lint::{Check, Found, View};

pub(super) const CHECK: Check = Check::View(check);

/// Functions that do not pass through sums, minima and maxima.
const COMPUTES: &[&str] = &[
    "minus",
    "divide",
    "intDiv",
    "intDivOrZero",
    "modulo",
    "dateDiff",
    "date_diff",
    "age",
    "equals",
    "notEquals",
    "less",
    "greater",
    "lessOrEquals",
    "greaterOrEquals",
    "if",
    "multiIf",
    "ratio",
];

fn check(view: &View<'_>, found: &mut Found) {
    let target = view
        .target()
        .filter(|target| view.is_trigger() && target.folds());
    let Some(target) = target else { return };
    for query in view.branches() {
        for output in view.outputs(query) {
            let expression = core(output.expression);
            let computes = function(expression).is_some_and(|name| COMPUTES.contains(&name));
            // What the key is made of is the same in all blocks only if no aggregate is in it, which another rule says.
            if computes && !aggregates(expression) && has_aggregate(expression) {
                found
                    .say(format!(
                        "`{}` computes `{}` from the aggregates of one block of an INSERT",
                        view.object.name, output.name
                    ))
                    .near(&output.name)
                    .note(format!("`{}` puts the blocks' results together, which is not the result of all rows", target.name))
                    .help("keep the aggregates themselves in the target, and compute where it is read");
            }
        }
    }
}

fn has_aggregate(node: &Node) -> bool {
    within(node)
        .into_iter()
        .any(|node| aggregates(node) && !function(node).is_some_and(|name| name.ends_with("State")))
}
