//! Several `argMin`, `argMax` or `any` that should describe one row, over a column that may be NULL.
//!
//! ## Why
//!
//! These functions skip rows whose value is NULL. `argMin(source, at)` and `argMin(campaign, at)` of one group then come from two different
//! rows: a first event that never was.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE events (id String, at DateTime64(3, 'UTC'), source Nullable(String), url String) ENGINE = MergeTree ORDER BY id;
//! CREATE VIEW firsts AS SELECT id, argMin(source, (at, url)) AS first_source, argMin(url, (at, url)) AS first_url FROM events GROUP BY id;
//! ```
//!
//! ## Instead
//!
//! Take everything that must come from one row as one tuple.
//!
//! ```sql
//! CREATE TABLE events (id String, at DateTime64(3, 'UTC'), source Nullable(String), url String) ENGINE = MergeTree ORDER BY id;
//! CREATE VIEW firsts AS SELECT id, argMin((ifNull(source, ''), url), (at, url)) AS first FROM events GROUP BY id;
//! ```

use crate::catalog::Node;
use crate::lint::table::is_nullable;
use crate::lint::view::{aggregates, base, function, type_of, within};
use crate::lint::{Check, Found, View};

pub(super) const CHECK: Check = Check::View(check);

struct Pick<'a> {
    name: &'a str,
    /// What it takes the value by.
    order: String,
    value: &'a Node,
}

fn check(view: &View<'_>, found: &mut Found) {
    for query in view.queries() {
        let picks: Vec<Pick<'_>> = query
            .list("PROJECTION")
            .iter()
            .flat_map(within)
            .filter_map(pick)
            .collect();
        for pick in &picks {
            let same = picks
                .iter()
                .filter(|other| (other.name, &other.order) == (pick.name, &pick.order))
                .count();
            // `nullIf(x, '')` says that the empty ones are to be skipped.
            let column = view.column(pick.value);
            if let (true, Some((_, column))) = (same > 1, column)
                && is_nullable(&type_of(pick.value))
            {
                found
                    .say(format!(
                        "`{}({}, …)` in `{}` skips NULL, so it may come from another row than those beside it",
                        pick.name, column.name, view.object.name
                    ))
                    .near(&column.name)
                    .help(format!(
                        "take all that must come from one row as one tuple, `{}((a, b), …)`, without NULL in it",
                        pick.name
                    ));
            }
        }
    }
}

fn pick(node: &Node) -> Option<Pick<'_>> {
    if !aggregates(node) {
        return None;
    }
    let (name, combinators) = base(function(node)?);
    let arguments = node.list("ARGUMENTS");
    let by = match name {
        "argMin" | "argMax" => 1,
        "any" | "anyLast" | "first_value" | "last_value" => 0,
        _ => return None,
    };
    if combinators.contains(&"If") || combinators.contains(&"Merge") {
        return None;
    }
    let order = if by == 0 {
        String::new()
    } else {
        shape(arguments.get(by)?)
    };
    Some(Pick {
        name,
        order,
        value: arguments.first()?,
    })
}

/// What tells one expression from another.
fn shape(node: &Node) -> String {
    within(node)
        .into_iter()
        .map(|node| {
            let parts = [
                "column_name",
                "source_id",
                "function_name",
                "constant_value",
            ];
            let words: Vec<&str> = parts.iter().filter_map(|part| node.word(part)).collect();
            words.join(" ")
        })
        .collect::<Vec<_>>()
        .join(";")
}
