//! A materialized view puts out numbers or times that its target's column cannot hold in full.
//!
//! ## Why
//!
//! The value is converted without a word: a count that outgrows UInt32 begins again at 0, an average in an integer loses its fraction, and
//! a DateTime64 in a DateTime loses the order of what happened within a second.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE events (id String, at DateTime64(3, 'UTC')) ENGINE = MergeTree ORDER BY id;
//! CREATE TABLE firsts (id String, first SimpleAggregateFunction(min, DateTime('UTC'))) ENGINE = AggregatingMergeTree ORDER BY id;
//! CREATE MATERIALIZED VIEW firsts_mv TO firsts AS SELECT id, min(at) AS first FROM events GROUP BY id;
//! ```
//!
//! ## Instead
//!
//! ```sql
//! CREATE TABLE events (id String, at DateTime64(3, 'UTC')) ENGINE = MergeTree ORDER BY id;
//! CREATE TABLE firsts (id String, first SimpleAggregateFunction(min, DateTime64(3, 'UTC'))) ENGINE = AggregatingMergeTree ORDER BY id;
//! CREATE MATERIALIZED VIEW firsts_mv TO firsts AS SELECT id, min(at) AS first FROM events GROUP BY id;
//! ```

use crate::lint::table::bare;
use crate::lint::{Check, Found, View};
use crate::sql::{Loss, loss};

pub(super) const CHECK: Check = Check::View(check);

fn check(view: &View<'_>, found: &mut Found) {
    let Some(target) = view.target().filter(|_| view.is_trigger()) else {
        return;
    };
    for query in view.branches() {
        for output in view.outputs(query) {
            let Some(column) = target.column(&output.name) else {
                continue;
            };
            let (from, to) = (bare(&output.r#type), bare(&column.r#type));
            if output.expression.kind != "CONSTANT" && narrows(from, to) {
                found
                    .say(format!(
                        "`{}` puts `{from}` into `{}.{}`, which is `{to}`: not every value fits",
                        view.object.name, target.name, column.name
                    ))
                    .near(&output.name)
                    .help("give the column the type of the expression, or convert in the query, so that everybody sees it");
            }
        }
    }
}

/// Whether a conversion that nobody wrote loses something. Converting a moment to its day is what a column of days is for.
fn narrows(from: &str, to: &str) -> bool {
    let whole = |text: &str| text.starts_with("Int") || text.starts_with("UInt");
    let number = |text: &str| whole(text) || text.starts_with("Float");
    let moment = |text: &str| text.starts_with("DateTime");
    let comparable = (number(from) && whole(to)) || (moment(from) && moment(to));
    // Counts do not reach 2⁶³.
    comparable && (from, to) != ("UInt64", "Int64") && loss(from, to) == Some(Loss::Values)
}
