//! A view filters by an aggregated column before the partial rows are put together.
//!
//! ## Why
//!
//! WHERE looks at partial rows. `WHERE started >= today()` without FINAL keeps the later half of a session that began yesterday, and counts
//! it for today. A skip index or a partition does not change that.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE visits (id String, started SimpleAggregateFunction(min, DateTime('UTC')), n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY id;
//! CREATE VIEW late AS SELECT id, sum(n) AS events FROM visits WHERE started >= '2030-01-01 00:00:00' GROUP BY id;
//! ```
//!
//! ## Instead
//!
//! ```sql
//! CREATE TABLE visits (id String, started SimpleAggregateFunction(min, DateTime('UTC')), n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY id;
//! CREATE VIEW late AS SELECT id, sum(n) AS events FROM visits GROUP BY id HAVING min(started) >= '2030-01-01 00:00:00';
//! ```

use crate::lint::table::is_aggregate;
use crate::lint::view::within;
use crate::lint::{Check, Found, View};

pub(super) const CHECK: Check = Check::View(check);

fn check(view: &View<'_>, found: &mut Found) {
    for query in view.queries() {
        for section in ["WHERE", "PREWHERE"] {
            for node in query.list(section).iter().flat_map(within) {
                let (Some(read), Some((table, column))) = (view.read(node), view.column(node))
                else {
                    continue;
                };
                // A trigger's rows are those of one INSERT, and so not put together either.
                if !read.r#final && table.folds() && is_aggregate(&column.r#type) {
                    found
                        .say(format!(
                            "`{}` filters by `{}.{}` before its partial rows are put together",
                            view.object.name, table.name, column.name
                        ))
                        .near(&column.name)
                        .help("read with FINAL, or group first and filter with HAVING");
                }
            }
        }
    }
}
