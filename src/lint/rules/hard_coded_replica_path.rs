//! A replicated engine with its path and replica written out.
//!
//! ## Why
//!
//! Two tables with one path are one table to Keeper: a copy of the schema under another name, a second environment or a table made again
//! after DROP meets the old one's state (REPLICA_ALREADY_EXISTS). The server's default path holds the table's UUID and cannot collide.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE events (id String) ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/events', '{replica}') ORDER BY id;
//! ```
//!
//! ## Instead
//!
//! ```sql
//! CREATE TABLE events (id String) ENGINE = ReplicatedMergeTree ORDER BY id;
//! ```

use crate::catalog::words;
use crate::lint::{Check, Found, Moment};
use crate::sql::Span;

pub(super) const CHECK: Check = Check::Statement(check);

fn check(moment: &Moment<'_>, found: &mut Found) {
    let words = words(moment.sql());
    let path = words.windows(5).find(|five| {
        matches!(five, [engine, _, name, _, path]
            if engine.is("ENGINE") && engine.depth == 0
                && name.name().is_some_and(|name| name.starts_with("Replicated") && name.ends_with("MergeTree"))
                && path.string().is_some())
    });
    if let Some([_, _, name, _, path]) = path {
        let shared = path.string().is_some_and(|path| path.contains("{uuid}"));
        if !shared {
            found
                .say(format!(
                    "the migration says where `{}` keeps its state in Keeper",
                    name.text
                ))
                .at(Span {
                    start: path.start,
                    end: path.end,
                })
                .help("leave path and replica to the server's defaults (`default_replica_path`)");
        }
    }
}
