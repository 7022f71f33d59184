//! `ON CLUSTER` in a migration.
//!
//! ## Why
//!
//! The cluster belongs to the target, not to the schema: the same file runs on a laptop, in CI and on a cluster of another name, and in a
//! `Replicated` database the clause is refused or done twice.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE events ON CLUSTER production (id String) ENGINE = MergeTree ORDER BY id;
//! ```
//!
//! ## Instead
//!
//! ```sql
//! CREATE TABLE events (id String) ENGINE = MergeTree ORDER BY id;
//! ```

use crate::catalog::words;
use crate::lint::{Check, Found, Moment};
use crate::sql::Span;

pub(super) const CHECK: Check = Check::Statement(check);

fn check(moment: &Moment<'_>, found: &mut Found) {
    let Some(cluster) = &moment.statement.header.on_cluster else {
        return;
    };
    let words = words(moment.sql());
    let at = words.windows(3).find_map(|three| match three {
        [on, cluster, name] if on.is("ON") && cluster.is("CLUSTER") => Some(Span {
            start: on.start,
            end: name.end,
        }),
        _ => None,
    });
    found
        .say(format!("the migration names the cluster `{cluster}`"))
        .at(at.unwrap_or_default())
        .help("leave ON CLUSTER to the target");
}
