//! A materialized view puts out NULL into a column that has no place for it.
//!
//! ## Why
//!
//! CREATE accepts it. The first block for which the value is NULL makes the INSERT into the source fail
//! (CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN), after the source's own rows are written.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE events (id String, campaign Nullable(String)) ENGINE = MergeTree ORDER BY id;
//! CREATE TABLE campaigns (id String, campaign SimpleAggregateFunction(max, String)) ENGINE = AggregatingMergeTree ORDER BY id;
//! CREATE MATERIALIZED VIEW campaigns_mv TO campaigns AS SELECT id, max(campaign) AS campaign FROM events GROUP BY id;
//! ```
//!
//! ## Instead
//!
//! ```sql
//! CREATE TABLE events (id String, campaign Nullable(String)) ENGINE = MergeTree ORDER BY id;
//! CREATE TABLE campaigns (id String, campaign SimpleAggregateFunction(max, String)) ENGINE = AggregatingMergeTree ORDER BY id;
//! CREATE MATERIALIZED VIEW campaigns_mv TO campaigns AS SELECT id, max(ifNull(events.campaign, '')) AS campaign FROM events GROUP BY id;
//! ```

use crate::lint::table::{is_nullable, is_state};
use crate::lint::{Check, Found, View};

pub(super) const CHECK: Check = Check::View(check);

/// Types that hold NULL without saying so.
const HOLDS: [&str; 4] = ["Variant(", "Dynamic", "JSON", "Object("];

fn check(view: &View<'_>, found: &mut Found) {
    let Some(target) = view.target().filter(|_| view.is_trigger()) else {
        return;
    };
    for query in view.branches() {
        for output in view.outputs(query) {
            let Some(column) = target.column(&output.name) else {
                continue;
            };
            let r#type = &column.r#type;
            let takes = is_nullable(r#type)
                || is_state(r#type)
                || HOLDS.iter().any(|holds| r#type.starts_with(holds));
            if is_nullable(&output.r#type) && !takes {
                found
                    .say(format!(
                        "`{}` puts `{}` into `{}.{}`, which has no place for NULL",
                        view.object.name, output.r#type, target.name, column.name
                    ))
                    .near(&output.name)
                    .note(format!("the column is `{type}`: an INSERT for which it is NULL fails, after the source's own rows are written"))
                    .help("say what stands for NULL, as in `ifNull(…, '')`, or make the column Nullable");
            }
        }
    }
}
