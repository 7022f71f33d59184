//! A materialized view whose target is not there.
//!
//! ## Why
//!
//! A view is bound to its target by name. If the target is renamed or dropped, the statement succeeds, the view does not follow, and
//! every INSERT into the source fails (UNKNOWN_TABLE), after the source's own rows are written.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE events (id String) ENGINE = MergeTree ORDER BY id;
//! CREATE TABLE counts (id String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY id;
//! CREATE MATERIALIZED VIEW counts_mv TO counts AS SELECT id, count() AS n FROM events GROUP BY id;
//! RENAME TABLE counts TO counts_v1;
//! ```
//!
//! ## Instead
//!
//! Give readers a plain view with the name they know, and leave the target's name alone.
//!
//! ```sql
//! CREATE TABLE events (id String) ENGINE = MergeTree ORDER BY id;
//! CREATE TABLE counts_v1 (id String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY id;
//! CREATE MATERIALIZED VIEW counts_v1_mv TO counts_v1 AS SELECT id, count() AS n FROM events GROUP BY id;
//! CREATE VIEW counts AS SELECT id, n FROM counts_v1 FINAL;
//! ```

use crate::lint::{Check, Found, View};
use crate::sql::header;

pub(super) const CHECK: Check = Check::View(check);

fn check(view: &View<'_>, found: &mut Found) {
    let Some(target) = header(&view.object.create).target else {
        return;
    };
    // What another database holds is not known here.
    let here = target
        .database
        .as_ref()
        .is_none_or(|database| database == view.state.database());
    if here && view.state.get(&target.name).is_none() {
        let name = &view.object.name;
        found
            .say(format!("`{name}` writes to `{}`, which is not there", target.name))
            .note("every INSERT into its source fails from here on, after the source's own rows are written")
            .help(format!("drop `{name}` first, or make it again with the new target in the same migration"));
    }
}
