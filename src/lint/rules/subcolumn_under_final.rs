//! An element of an aggregated tuple is read as `entry.source`, with FINAL.
//!
//! ## Why
//!
//! Under FINAL the tuple is put together from its partial rows, and its sub-columns are not: `entry.source` is the value of whichever part
//! came first, beside an `entry` that is right.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE firsts (id String, entry SimpleAggregateFunction(min, Tuple(at DateTime('UTC'), url String))) ENGINE = AggregatingMergeTree ORDER BY id;
//! CREATE VIEW entries AS SELECT id, firsts.entry.url AS url FROM firsts FINAL;
//! ```
//!
//! ## Instead
//!
//! ```sql
//! CREATE TABLE firsts (id String, entry SimpleAggregateFunction(min, Tuple(at DateTime('UTC'), url String))) ENGINE = AggregatingMergeTree ORDER BY id;
//! CREATE VIEW entries AS SELECT id, tupleElement(entry, 'url') AS url FROM firsts FINAL;
//! ```

use crate::catalog::Node;
use crate::lint::table::is_aggregate;
use crate::lint::view::column_name;
use crate::lint::{Check, Found, View};

pub(super) const CHECK: Check = Check::View(check);

fn check(view: &View<'_>, found: &mut Found) {
    for node in view.tree().into_iter().flat_map(Node::walk) {
        let Some(read) = view.read(node).filter(|read| read.r#final) else {
            continue;
        };
        let Some(name) = column_name(node) else {
            continue;
        };
        let Some((column, element)) = name.split_once('.') else {
            continue;
        };
        let aggregated = read
            .table
            .column(column)
            .is_some_and(|column| is_aggregate(&column.r#type));
        if aggregated && read.table.column(&name).is_none() {
            found
                .say(format!(
                    "`{}` reads `{name}` of `{}` with FINAL, which does not put sub-columns together",
                    view.object.name, read.table.name
                ))
                .near(element)
                .help(format!("read the whole tuple and take its element: `tupleElement({column}, '{element}')`"));
        }
    }
}
