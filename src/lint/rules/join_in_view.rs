//! A materialized view with a JOIN.
//!
//! ## Why
//!
//! Only INSERTs into the left-most table trigger the view. The other side is read as it is at that moment: a row that arrives there a
//! second later is never joined, and a change there changes nothing that was written. Each INSERT reads the other side whole.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE events (id String, visitor String) ENGINE = MergeTree ORDER BY id;
//! CREATE TABLE people (visitor String, person String) ENGINE = MergeTree ORDER BY visitor;
//! CREATE TABLE visits (id String, person String) ENGINE = MergeTree ORDER BY id;
//! CREATE MATERIALIZED VIEW visits_mv TO visits AS SELECT e.id AS id, p.person AS person FROM events AS e LEFT JOIN people AS p ON p.visitor = e.visitor;
//! ```
//!
//! ## Instead
//!
//! Join when it is read.
//!
//! ```sql
//! CREATE TABLE events (id String, visitor String) ENGINE = MergeTree ORDER BY id;
//! CREATE TABLE people (visitor String, person String) ENGINE = MergeTree ORDER BY visitor;
//! CREATE VIEW visits AS SELECT e.id AS id, p.person AS person FROM events AS e LEFT JOIN people AS p ON p.visitor = e.visitor;
//! ```

use crate::catalog::Node;
use crate::lint::{Check, Found, View};

pub(super) const CHECK: Check = Check::View(check);

fn check(view: &View<'_>, found: &mut Found) {
    if !view.is_trigger() {
        return;
    }
    for query in view.spine() {
        let joined = query.list("JOIN TREE").first().filter(|node| joins(node));
        if joined.is_some() {
            let source = view
                .source()
                .map_or("the left-most table", |it| it.name.as_str());
            found
                .say(format!(
                    "`{}` joins, and only INSERTs into `{source}` trigger it",
                    view.object.name
                ))
                .near("JOIN")
                .note("the other side is read as it is at that moment; what changes there later changes nothing here")
                .help("join in the view that reads the target, or look the value up in a dictionary there");
        }
    }
}

fn joins(node: &Node) -> bool {
    match node.kind.as_str() {
        "JOIN" | "CROSS JOIN" => true,
        "ARRAY_JOIN" => node.list("TABLE EXPRESSION").first().is_some_and(joins),
        _ => false,
    }
}
