//! A materialized view groups by a column that is not in the key of its SummingMergeTree.
//!
//! ## Why
//!
//! Rows with one key become one. A number that is not in the key is added up, whatever it means: two rows with status 200 become one with
//! status 400. Of a text one arbitrary value is kept.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE requests (id String, status UInt16) ENGINE = MergeTree ORDER BY id;
//! CREATE TABLE counts (id String, status UInt16, n UInt64) ENGINE = SummingMergeTree ORDER BY id;
//! CREATE MATERIALIZED VIEW counts_mv TO counts AS SELECT id, status, count() AS n FROM requests GROUP BY id, status;
//! ```
//!
//! ## Instead
//!
//! ```sql
//! CREATE TABLE requests (id String, status UInt16) ENGINE = MergeTree ORDER BY id;
//! CREATE TABLE counts (id String, status UInt16, n UInt64) ENGINE = SummingMergeTree ORDER BY (id, status);
//! CREATE MATERIALIZED VIEW counts_mv TO counts AS SELECT id, status, count() AS n FROM requests GROUP BY id, status;
//! ```

use crate::lint::table::{is_aggregate, plain_engine};
use crate::lint::view::{aggregates, within};
use crate::lint::{Check, Found, Table, View};

pub(super) const CHECK: Check = Check::View(check);

fn check(view: &View<'_>, found: &mut Found) {
    let target = view
        .target()
        .filter(|target| view.is_trigger() && plain_engine(&target.engine) == "SummingMergeTree");
    let Some(target) = target else { return };
    let key = Table::of(target, view.state).key();
    for query in view.branches() {
        if query.section("GROUP BY").is_none() {
            continue;
        }
        for output in view.outputs(query) {
            // What is no aggregate is grouped by, or a constant.
            let grouped = output.expression.kind != "CONSTANT"
                && !within(output.expression).into_iter().any(aggregates);
            let plain = target
                .column(&output.name)
                .is_some_and(|column| !is_aggregate(&column.r#type));
            if grouped && plain && !key.contains(output.name.as_str()) {
                found
                    .say(format!(
                        "`{}` groups by `{}`, which is not in the key of `{}`: rows that differ in it are put together",
                        view.object.name, output.name, target.name
                    ))
                    .near(&output.name)
                    .help(format!("put it into ORDER BY of `{}`, or leave it out of GROUP BY", target.name));
            }
        }
    }
}
