//! A materialized view fills a SimpleAggregateFunction with the result of another function.
//!
//! ## Why
//!
//! The view puts out one value for each block of an INSERT; the column's function puts these together. Sums of averages, maxima of counts
//! and sums of distinct counts are accepted and mean nothing.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE events (id String, amount UInt64) ENGINE = MergeTree ORDER BY id;
//! CREATE TABLE totals (id String, n SimpleAggregateFunction(max, UInt64)) ENGINE = AggregatingMergeTree ORDER BY id;
//! CREATE MATERIALIZED VIEW totals_mv TO totals AS SELECT id, count() AS n FROM events GROUP BY id;
//! ```
//!
//! ## Instead
//!
//! Put together what can be: sum for counts, the state of `avg` or `uniq` for these.
//!
//! ```sql
//! CREATE TABLE events (id String, amount UInt64) ENGINE = MergeTree ORDER BY id;
//! CREATE TABLE totals (id String, n SimpleAggregateFunction(sum, UInt64), amount AggregateFunction(avg, UInt64)) ENGINE = AggregatingMergeTree ORDER BY id;
//! CREATE MATERIALIZED VIEW totals_mv TO totals AS SELECT id, count() AS n, avgState(events.amount) AS amount FROM events GROUP BY id;
//! ```

use crate::lint::table::simple_aggregate;
use crate::lint::view::{aggregates, base, core, function};
use crate::lint::{Check, Found, View};

pub(super) const CHECK: Check = Check::View(check);

/// For a column's function, those whose results it puts together; for others nothing is known.
const FITS: [(&str, &[&str]); 7] = [
    (
        "sum",
        &["sum", "count", "sumWithOverflow", "sumKahan", "countEqual"],
    ),
    ("sumWithOverflow", &["sum", "count", "sumWithOverflow"]),
    ("min", &["min"]),
    ("max", &["max"]),
    ("sumMap", &["sumMap", "sumMapWithOverflow"]),
    ("minMap", &["minMap"]),
    ("maxMap", &["maxMap"]),
];

/// Functions whose results are a number, a time or an element of what they read, so that a mistake is accepted.
pub(super) const KNOWN: &[&str] = &[
    "sum",
    "count",
    "avg",
    "min",
    "max",
    "uniq",
    "uniqExact",
    "uniqCombined",
    "uniqCombined64",
    "uniqHLL12",
    "uniqTheta",
    "median",
    "quantile",
    "quantileExact",
    "quantileTDigest",
    "quantileTiming",
    "stddevPop",
    "stddevSamp",
    "varPop",
    "varSamp",
    "avgWeighted",
    "argMin",
    "argMax",
    "deltaSum",
    "first_value",
    "last_value",
    "anyLast",
    "sumMap",
    "minMap",
    "maxMap",
];

/// The functions whose results a column's function puts together.
pub(super) fn fits(column: &str) -> Option<&'static [&'static str]> {
    FITS.iter()
        .find(|(name, _)| *name == column)
        .map(|(_, fits)| *fits)
}

fn check(view: &View<'_>, found: &mut Found) {
    let Some(target) = view.target().filter(|_| view.is_trigger()) else {
        return;
    };
    for query in view.branches() {
        for output in view.outputs(query) {
            let Some((wants, _)) = target
                .column(&output.name)
                .and_then(|column| simple_aggregate(&column.r#type))
            else {
                continue;
            };
            let Some(fits) = fits(&wants) else {
                continue;
            };
            let expression = core(output.expression);
            let Some(name) = function(expression).filter(|_| aggregates(expression)) else {
                continue;
            };
            let (plain, combinators) = base(name);
            let finished = !combinators.contains(&"State") && !combinators.contains(&"SimpleState");
            if finished && KNOWN.contains(&plain) && !fits.contains(&plain) {
                found
                    .say(format!(
                        "`{}` fills `{}.{}` with `{name}`, and the parts are put together with `{wants}`",
                        view.object.name, target.name, output.name
                    ))
                    .near(&output.name)
                    .note(format!("one block's `{name}` and another's do not add up by `{wants}`"))
                    .help(format!(
                        "make the column `SimpleAggregateFunction({plain}, …)`, or `AggregateFunction({plain}, …)` filled with `{plain}State`"
                    ));
            }
        }
    }
}
