//! A table that a materialized view reads or writes changes places with another.
//!
//! ## Why
//!
//! A view is bound to names. After EXCHANGE, or a RENAME that gives the name to another table, it goes on with whichever table has the name
//! now: what was written before is in one table, what comes is in the other, and the views of both cross over.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE events (id String) ENGINE = MergeTree ORDER BY id;
//! CREATE TABLE counts (id String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY id;
//! CREATE MATERIALIZED VIEW counts_mv TO counts AS SELECT id, count() AS n FROM events GROUP BY id;
//! CREATE TABLE counts_v2 (id String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY id;
//! EXCHANGE TABLES counts AND counts_v2;
//! ```
//!
//! ## Instead
//!
//! Make the new one beside the old one, and swap what readers read.
//!
//! ```sql
//! CREATE TABLE events (id String) ENGINE = MergeTree ORDER BY id;
//! CREATE TABLE counts_v1 (id String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY id;
//! CREATE MATERIALIZED VIEW counts_v1_mv TO counts_v1 AS SELECT id, count() AS n FROM events GROUP BY id;
//! CREATE VIEW counts AS SELECT id, n FROM counts_v1 FINAL;
//! CREATE TABLE counts_v2 (id String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY id;
//! CREATE MATERIALIZED VIEW counts_v2_mv TO counts_v2 AS SELECT id, count() AS n FROM events GROUP BY id;
//! CREATE OR REPLACE VIEW counts AS SELECT id, n FROM counts_v2 FINAL;
//! ```

use crate::lint::{Check, Found, Moment, View};
use crate::sql::Kind;

pub(super) const CHECK: Check = Check::Statement(check);

fn check(moment: &Moment<'_>, found: &mut Found) {
    let header = &moment.statement.header;
    let (Some(before), Some(after)) = (&moment.before, &moment.after) else {
        return;
    };
    if !matches!(header.kind, Kind::Rename | Kind::Exchange) {
        return;
    }
    // Names that were a table's before, and are another's afterwards: each stands on both sides of a pair.
    for object in &header.objects {
        let swapped = header.kind == Kind::Exchange
            || header
                .objects
                .iter()
                .filter(|other| other.name == object.name)
                .count()
                > 1;
        if !swapped || before.named(object).is_none() || after.named(object).is_none() {
            continue;
        }
        for entry in before.entries() {
            let view = View::of(entry, before);
            if !view.is_trigger() {
                continue;
            }
            let writes = view.object.target.as_ref() == Some(&object.name);
            let reads = view
                .source()
                .is_some_and(|source| source.name == object.name);
            let does = match (writes, reads) {
                (true, _) => "writes to",
                (_, true) => "is triggered by",
                _ => continue,
            };
            found
                .say(format!(
                    "`{}` {does} whichever table is called `{}`, which is another one now",
                    view.object.name, object.name
                ))
                .near(&object.name)
                .help("leave these names alone: make a new version beside it, and swap the view that readers know");
        }
    }
}
