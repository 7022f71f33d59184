//! Partitions are put into a table that triggers a materialized view.
//!
//! ## Why
//!
//! ATTACH, REPLACE and MOVE PARTITION put parts into a table without an INSERT, so no view sees them: the table has the rows, and what is
//! aggregated from it has not.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE events (id String) ENGINE = MergeTree ORDER BY id;
//! CREATE TABLE archive (id String) ENGINE = MergeTree ORDER BY id;
//! CREATE TABLE counts (id String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY id;
//! CREATE MATERIALIZED VIEW counts_mv TO counts AS SELECT id, count() AS n FROM events GROUP BY id;
//! ALTER TABLE events ATTACH PARTITION tuple() FROM archive;
//! ```
//!
//! ## Instead
//!
//! ```sql
//! CREATE TABLE events (id String) ENGINE = MergeTree ORDER BY id SETTINGS non_replicated_deduplication_window = 1000;
//! CREATE TABLE archive (id String) ENGINE = MergeTree ORDER BY id;
//! CREATE TABLE counts (id String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY id SETTINGS non_replicated_deduplication_window = 1000;
//! CREATE MATERIALIZED VIEW counts_mv TO counts AS SELECT id, count() AS n FROM events GROUP BY id;
//! INSERT INTO events SETTINGS insert_deduplication_token = '0007-archive' SELECT id FROM archive ORDER BY ALL;
//! ```

use crate::catalog::words;
use crate::lint::{Check, Found, Moment, View};
use crate::sql::Kind;

pub(super) const CHECK: Check = Check::Statement(check);

fn check(moment: &Moment<'_>, found: &mut Found) {
    let header = &moment.statement.header;
    let (Some(before), Kind::Alter, Some(table)) =
        (&moment.before, header.kind, header.objects.first())
    else {
        return;
    };
    for command in &header.commands {
        let rest = words(command.rest.of(moment.sql()));
        let into = match command.words {
            "ATTACH PARTITION" | "ATTACH PART" | "REPLACE PARTITION" => table.name.clone(),
            "MOVE PARTITION" | "MOVE PART" => {
                let to = rest.windows(3).find_map(|three| match three {
                    [to, table, name] if to.is("TO") && table.is("TABLE") => name.name(),
                    _ => None,
                });
                let Some(to) = to else { continue };
                to
            }
            _ => continue,
        };
        for entry in before.entries() {
            let view = View::of(entry, before);
            let triggered =
                view.is_trigger() && view.source().is_some_and(|source| source.name == into);
            if triggered {
                found
                    .say(format!(
                        "{} puts rows into `{into}` that `{}` never sees",
                        command.words, view.object.name
                    ))
                    .help("INSERT … SELECT them; or aggregate them into the view's target yourself, and say so with an allow");
            }
        }
    }
}
