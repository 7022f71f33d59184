//! A view reads partial rows: an AggregatingMergeTree without FINAL and without putting its rows together.
//!
//! ## Why
//!
//! Until parts merge, a key has several partial rows, and nobody knows when they do. Read as they are, they count several times and hold
//! parts of sums.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE counts (id String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY id;
//! CREATE VIEW top AS SELECT id, n FROM counts WHERE id != '';
//! ```
//!
//! ## Instead
//!
//! ```sql
//! CREATE TABLE counts (id String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY id;
//! CREATE VIEW top AS SELECT id, n FROM counts FINAL WHERE id != '';
//! ```

use crate::catalog::Kind;
use crate::lint::table::{is_aggregate, plain_engine};
use crate::lint::view::{groups, within};
use crate::lint::{Check, Found, View};

pub(super) const CHECK: Check = Check::View(check);

fn check(view: &View<'_>, found: &mut Found) {
    if view.object.kind == Kind::MaterializedView {
        return;
    }
    for query in view.loose() {
        if groups(query) {
            continue;
        }
        let Some(source) = query.list("JOIN TREE").first() else {
            continue;
        };
        let Some(table) = view.table(source) else {
            continue;
        };
        let folds = plain_engine(&table.engine) == "AggregatingMergeTree";
        if !folds || crate::lint::view::is_final(source) {
            continue;
        }
        let read = query
            .list("PROJECTION")
            .iter()
            .flat_map(within)
            .filter_map(|node| view.column(node))
            .find(|(of, column)| of.name == table.name && is_aggregate(&column.r#type));
        if let Some((_, column)) = read {
            found
                .say(format!(
                    "`{}` reads `{}.{}` without FINAL and without GROUP BY: partial rows show",
                    view.object.name, table.name, column.name
                ))
                .near(&table.name)
                .help(format!("read `{} FINAL`, or group by its key", table.name));
        }
    }
}
