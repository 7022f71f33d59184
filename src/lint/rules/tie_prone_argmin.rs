//! `argMin` or `argMax` by a time alone.
//!
//! ## Why
//!
//! Of rows with the same time any may win: which one depends on the order of arrival, on how INSERTs were cut and on what has merged.
//! Times do tie, in milliseconds too.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE events (id String, event_id String, at DateTime64(3, 'UTC'), url String) ENGINE = MergeTree ORDER BY id;
//! CREATE TABLE firsts (id String, url AggregateFunction(argMin, String, DateTime64(3, 'UTC'))) ENGINE = AggregatingMergeTree ORDER BY id;
//! CREATE MATERIALIZED VIEW firsts_mv TO firsts AS SELECT id, argMinState(events.url, at) AS url FROM events GROUP BY id;
//! ```
//!
//! ## Instead
//!
//! Put something behind the time that no two rows share; the event's id.
//!
//! ```sql
//! CREATE TABLE events (id String, event_id String, at DateTime64(3, 'UTC'), url String) ENGINE = MergeTree ORDER BY id;
//! CREATE TABLE firsts (id String, url AggregateFunction(argMin, String, Tuple(DateTime64(3, 'UTC'), String))) ENGINE = AggregatingMergeTree ORDER BY id;
//! CREATE MATERIALIZED VIEW firsts_mv TO firsts AS SELECT id, argMinState(events.url, (at, event_id)) AS url FROM events GROUP BY id;
//! ```

use crate::lint::table::bare;
use crate::lint::view::{aggregates, base, function, type_of, within};
use crate::lint::{Check, Found, View};

pub(super) const CHECK: Check = Check::View(check);

fn check(view: &View<'_>, found: &mut Found) {
    for query in view.queries() {
        for node in query.list("PROJECTION").iter().flat_map(within) {
            let Some(name) = function(node).filter(|_| aggregates(node)) else {
                continue;
            };
            let (plain, combinators) = base(name);
            if !matches!(plain, "argMin" | "argMax") || combinators.contains(&"Merge") {
                continue;
            }
            let Some(order) = node.list("ARGUMENTS").get(1) else {
                continue;
            };
            let r#type = type_of(order);
            if bare(&r#type).starts_with("Date") {
                found
                    .say(format!(
                        "`{name}` in `{}` decides by a time alone (`{type}`): among equal times any row may win",
                        view.object.name
                    ))
                    .near(name)
                    .help(format!("decide by `(time, id)`: `{name}(…, (at, event_id))`"));
            }
        }
    }
}
