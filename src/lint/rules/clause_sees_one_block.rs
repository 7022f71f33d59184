//! A materialized view with HAVING over an aggregate, LIMIT, QUALIFY or a window function.
//!
//! ## Why
//!
//! A materialized view is a trigger: its query runs over the rows of one block of one INSERT, never over the table. `HAVING count() >= 2`
//! drops every group whose rows arrive one at a time, `LIMIT 10` keeps ten rows of each block, a window function sees no neighbour that
//! came earlier. It looks right in a test that inserts everything at once.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE events (id String) ENGINE = MergeTree ORDER BY id;
//! CREATE TABLE repeated (id String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY id;
//! CREATE MATERIALIZED VIEW repeated_mv TO repeated AS SELECT id, count() AS n FROM events GROUP BY id HAVING n >= 2;
//! ```
//!
//! ## Instead
//!
//! Keep everything, and choose when it is read.
//!
//! ```sql
//! CREATE TABLE events (id String) ENGINE = MergeTree ORDER BY id;
//! CREATE TABLE counts (id String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY id;
//! CREATE MATERIALIZED VIEW counts_mv TO counts AS SELECT id, count() AS n FROM events GROUP BY id;
//! CREATE VIEW repeated AS SELECT id, n FROM counts FINAL WHERE n >= 2;
//! ```

use crate::lint::view::{aggregates, within};
use crate::lint::{Check, Found, View};

pub(super) const CHECK: Check = Check::View(check);

fn check(view: &View<'_>, found: &mut Found) {
    if !view.is_trigger() {
        return;
    }
    for query in view.spine() {
        let mut what = Vec::new();
        let over_groups = query
            .section("HAVING")
            .is_some_and(|having| within(having).into_iter().any(aggregates));
        if over_groups {
            what.push(("HAVING", "HAVING"));
        }
        for (section, word) in [
            ("LIMIT", "LIMIT"),
            ("LIMIT BY", "LIMIT BY"),
            ("QUALIFY", "QUALIFY"),
        ] {
            if query.section(section).is_some() {
                what.push((word, section));
            }
        }
        let windows = query
            .list("PROJECTION")
            .iter()
            .flat_map(within)
            .any(|node| node.word("function_type") == Some("window"));
        if windows {
            what.push(("a window function", "OVER"));
        }
        for (what, near) in what {
            found
                .say(format!(
                    "{what} in `{}` sees one block of an INSERT, not the table",
                    view.object.name
                ))
                .near(near.split(' ').next().unwrap_or(near))
                .help("keep all rows in the target, and do this in the view that reads it");
        }
    }
}
