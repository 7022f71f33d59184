//! `argMin` or `argMax` by something that may be NULL, or `min` or `max` of a tuple with a NULL in it.
//!
//! ## Why
//!
//! Rows whose order is NULL are skipped, so that the first event is the first of those that have a time. Tuples with NULL in them ClickHouse
//! compares in two ways: within one block NULL stands on one side, among merged states on the other, and the same rows give two answers,
//! depending on how they arrived.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE events (id String, at DateTime('UTC'), seq Nullable(UInt32), url String) ENGINE = MergeTree ORDER BY id;
//! CREATE VIEW firsts AS SELECT id, argMin(url, (at, seq)) AS first_url FROM events GROUP BY id;
//! ```
//!
//! ## Instead
//!
//! ```sql
//! CREATE TABLE events (id String, at DateTime('UTC'), seq Nullable(UInt32), url String) ENGINE = MergeTree ORDER BY id;
//! CREATE VIEW firsts AS SELECT id, argMin(url, (at, ifNull(seq, 4294967295))) AS first_url FROM events GROUP BY id;
//! ```

use crate::catalog::list;
use crate::lint::table::{bare, is_nullable};
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
            let by = match plain {
                _ if combinators.contains(&"Merge") => continue,
                "argMin" | "argMax" => 1,
                "min" | "max" => 0,
                _ => continue,
            };
            let Some(order) = node.list("ARGUMENTS").get(by) else {
                continue;
            };
            let r#type = type_of(order);
            let elements = bare(&r#type)
                .strip_prefix("Tuple(")
                .and_then(|rest| rest.strip_suffix(')'))
                .map(list)
                .unwrap_or_default();
            // `argMaxIf(x, at, at IS NOT NULL)` says what it skips.
            let skips = by == 1 && is_nullable(&r#type) && !combinators.contains(&"If");
            if elements.iter().any(|element| element.contains("Nullable(")) {
                found
                    .say(format!(
                        "`{name}` in `{}` compares tuples with NULL in them, and merged states compare these differently from a block",
                        view.object.name
                    ))
                    .near(name)
                    .note(format!("the tuple is `{type}`"))
                    .help("give every element a value in place of NULL, with `ifNull`");
            } else if skips {
                found
                    .say(format!(
                        "`{name}` in `{}` skips the rows whose order is NULL",
                        view.object.name
                    ))
                    .near(name)
                    .note(format!("the order is `{type}`"))
                    .help("give it a value in place of NULL, with `coalesce` or `ifNull`");
            }
        }
    }
}
