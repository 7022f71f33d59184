//! A view puts partial rows together with another function than their column's.
//!
//! ## Why
//!
//! Before parts merge a key has several partial rows. `max` of a column that is summed is the largest part, `avg` the average of parts, and
//! `count()` counts parts. After a merge each gives another answer.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE visits (id String, site String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY (site, id);
//! CREATE VIEW sites AS SELECT site, count() AS visits, max(n) AS longest FROM visits GROUP BY site;
//! ```
//!
//! ## Instead
//!
//! Put the parts together first, then compute.
//!
//! ```sql
//! CREATE TABLE visits (id String, site String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY (site, id);
//! CREATE VIEW sites AS SELECT site, count() AS visits, max(n) AS longest FROM visits FINAL GROUP BY site;
//! ```

use crate::catalog::Kind;
use crate::lint::rules::aggregate_mismatch::{KNOWN, fits};
use crate::lint::table::{plain_engine, simple_aggregate};
use crate::lint::view::{aggregates, base, core, function, is_final, within};
use crate::lint::{Check, Found, View};

pub(super) const CHECK: Check = Check::View(check);

fn check(view: &View<'_>, found: &mut Found) {
    if view.object.kind == Kind::MaterializedView {
        return;
    }
    for query in view.queries() {
        let Some(source) = query.list("JOIN TREE").first() else {
            continue;
        };
        let Some(table) = view.table(source) else {
            continue;
        };
        if is_final(source) || plain_engine(&table.engine) != "AggregatingMergeTree" {
            continue;
        }
        let calls = ["PROJECTION", "HAVING", "ORDER BY"]
            .into_iter()
            .flat_map(|section| query.list(section))
            .flat_map(within);
        for node in calls {
            let Some(name) = function(node).filter(|_| aggregates(node)) else {
                continue;
            };
            let (plain, combinators) = base(name);
            if combinators.contains(&"Merge") || combinators.contains(&"Distinct") {
                continue;
            }
            let arguments = node.list("ARGUMENTS");
            if plain == "count" {
                found
                    .say(format!(
                        "`{name}` in `{}` counts the partial rows of `{}`",
                        view.object.name, table.name
                    ))
                    .near(name)
                    .help(format!(
                        "read `{} FINAL`, or count distinct keys",
                        table.name
                    ));
                continue;
            }
            let column = arguments
                .first()
                .and_then(|argument| view.column(core(argument)));
            let Some((column, (wants, _))) = column
                .filter(|(of, _)| of.name == table.name)
                .and_then(|(_, column)| Some((column, simple_aggregate(&column.r#type)?)))
            else {
                continue;
            };
            if KNOWN.contains(&plain) && fits(&wants).is_some_and(|fits| !fits.contains(&plain)) {
                found
                    .say(format!(
                        "`{name}` in `{}` puts parts of `{}.{}` together, which is `{wants}`",
                        view.object.name, table.name, column.name
                    ))
                    .near(name)
                    .help(format!(
                        "`{wants}` the column by its key first, or read `{} FINAL`",
                        table.name
                    ));
            }
        }
    }
}
