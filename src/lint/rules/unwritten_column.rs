//! A column of a target that no materialized view writes, and that has no default.
//!
//! ## Why
//!
//! CREATE and MODIFY QUERY refuse a name too many, at best; a name too few is accepted. The column holds 0, '' or 1970 from then on.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE events (id String, url String) ENGINE = MergeTree ORDER BY id;
//! CREATE TABLE pages (id String, url String, title String) ENGINE = MergeTree ORDER BY id;
//! CREATE MATERIALIZED VIEW pages_mv TO pages AS SELECT id, url FROM events;
//! ```
//!
//! ## Instead
//!
//! Write it, or say in the table what it holds when nobody does.
//!
//! ```sql
//! CREATE TABLE events (id String, url String) ENGINE = MergeTree ORDER BY id;
//! CREATE TABLE pages (id String, url String, title String DEFAULT '') ENGINE = MergeTree ORDER BY id;
//! CREATE MATERIALIZED VIEW pages_mv TO pages AS SELECT id, url FROM events;
//! ```

use crate::lint::rules::poisonous_default::{outputs, poisons, writers};
use crate::lint::{Check, Found, Table};

pub(super) const CHECK: Check = Check::Table(check);

fn check(table: &Table<'_>, found: &mut Found) {
    let Some(writers) = writers(table).filter(|writers| !writers.is_empty()) else {
        return;
    };
    // A name that the target does not have is most likely the one that is missing here, and another rule's.
    let misnamed = writers.iter().any(|view| {
        outputs(view)
            .iter()
            .any(|name| table.object.column(name).is_none())
    });
    if misnamed {
        return;
    }
    for column in table.stored() {
        let written = writers
            .iter()
            .any(|view| outputs(view).contains(&column.name));
        // One that is poisoned is another rule's.
        if !written && column.default.is_empty() && !poisons(column) {
            let names: Vec<String> = writers
                .iter()
                .map(|view| format!("`{}`", view.object.name))
                .collect();
            found
                .say(format!(
                    "nothing writes `{}.{}`: {} leaves it out",
                    table.object.name,
                    column.name,
                    names.join(" or ")
                ))
                .near(&column.name)
                .help("write it in the view's query, give the column a DEFAULT, or drop it");
        }
    }
}
