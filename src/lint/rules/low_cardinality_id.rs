//! LowCardinality on a column that names single things.
//!
//! ## Why
//!
//! LowCardinality keeps a dictionary for each part. With as many entries as rows it costs more memory and more time than the values
//! themselves.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE visits (session_id LowCardinality(String), url String) ENGINE = MergeTree ORDER BY session_id;
//! ```
//!
//! ## Instead
//!
//! ```sql
//! CREATE TABLE visits (session_id String CODEC(ZSTD(1)), url String) ENGINE = MergeTree ORDER BY session_id;
//! ```

use crate::lint::{Check, Found, Table};

pub(super) const CHECK: Check = Check::Table(check);

/// What there is one of for every row, visit or person. Tenants, rules and campaigns have ids too, and few.
const SINGLE: &[&str] = &[
    "event",
    "session",
    "visit",
    "visitor",
    "user",
    "anonymous",
    "distinct",
    "person",
    "device",
    "request",
    "trace",
    "span",
    "correlation",
    "message",
    "transaction",
    "order",
    "invoice",
    "payment",
    "cart",
];

fn check(table: &Table<'_>, found: &mut Found) {
    for column in table.stored() {
        let name = column.name.to_ascii_lowercase();
        let single = matches!(name.as_str(), "id" | "uuid" | "guid")
            || SINGLE.iter().any(|what| {
                ["_id", "id", "_uuid"]
                    .iter()
                    .any(|end| name == format!("{what}{end}"))
            });
        let low = column.r#type.starts_with("LowCardinality(");
        if low && (single || column.r#type.contains("UUID")) {
            found
                .say(format!(
                    "`{}.{}` is LowCardinality, and names single things",
                    table.object.name, column.name
                ))
                .near(&column.name)
                .help("make it the plain type, with CODEC(ZSTD(1))");
        }
    }
}
