//! `min`, `max`, `argMin` or `argMax` by a tuple with a NULL in it.
//!
//! ## Why
//!
//! ClickHouse compares such tuples in two ways: within one block NULL stands on one side, among merged states on the other. The same rows
//! give two answers, depending on how they arrived.
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
            let by = match base(name).0 {
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
            if elements.iter().any(|element| element.contains("Nullable(")) {
                found
                    .say(format!(
                        "`{name}` in `{}` compares tuples with NULL in them, and merged states compare these differently from a block",
                        view.object.name
                    ))
                    .near(name)
                    .note(format!("the tuple is `{type}`"))
                    .help("give every element a value in place of NULL, with `ifNull`");
            }
        }
    }
}
