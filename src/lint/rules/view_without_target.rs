//! A materialized view that keeps its rows itself, without TO.
//!
//! ## Why
//!
//! Its rows are in a hidden table `.inner…` that lives and dies with the view: DROP VIEW drops them, the definition cannot be replaced, and
//! the view cannot be built anew beside the old one.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE events (id String) ENGINE = MergeTree ORDER BY id;
//! CREATE MATERIALIZED VIEW counts ENGINE = SummingMergeTree ORDER BY id AS SELECT id, count() AS n FROM events GROUP BY id;
//! ```
//!
//! ## Instead
//!
//! ```sql
//! CREATE TABLE events (id String) ENGINE = MergeTree ORDER BY id;
//! CREATE TABLE counts (id String, n UInt64) ENGINE = SummingMergeTree ORDER BY id;
//! CREATE MATERIALIZED VIEW counts_mv TO counts AS SELECT id, count() AS n FROM events GROUP BY id;
//! ```

use crate::lint::{Check, Found, View};

pub(super) const CHECK: Check = Check::View(check);

fn check(view: &View<'_>, found: &mut Found) {
    if view.is_trigger() && view.object.target.is_none() {
        found
            .say(format!("`{}` keeps its rows itself", view.object.name))
            .help("make a table for them, and the view `TO` it");
    }
}
