//! A partition key with far too many values.
//!
//! ## Why
//!
//! Parts of different partitions never merge, and one INSERT makes a part in each partition that it touches. Above a hundred partitions a
//! single INSERT is refused (`max_partitions_per_insert_block`), and thousands of small parts slow down every query and every start.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE events (id String, at DateTime('UTC')) ENGINE = MergeTree PARTITION BY toStartOfHour(at) ORDER BY (id, at);
//! ```
//!
//! ## Instead
//!
//! Partition by the month, and let the sorting key find hours and ids.
//!
//! ```sql
//! CREATE TABLE events (id String, at DateTime('UTC')) ENGINE = MergeTree PARTITION BY toYYYYMM(at) ORDER BY (id, at);
//! ```

use crate::catalog::{list, words};
use crate::lint::table::bare;
use crate::lint::{Check, Found, Table};

pub(super) const CHECK: Check = Check::Table(check);

const FINE: [&str; 8] = [
    "toStartOfHour",
    "toStartOfMinute",
    "toStartOfSecond",
    "toStartOfFiveMinutes",
    "toStartOfTenMinutes",
    "toStartOfFifteenMinutes",
    "toYYYYMMDDhhmmss",
    "toUnixTimestamp",
];

fn check(table: &Table<'_>, found: &mut Found) {
    let Some(clause) = table.clause("PARTITION BY") else {
        return;
    };
    let inner = clause
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'))
        .unwrap_or(clause);
    for part in list(inner) {
        let function = words(&part)
            .first()
            .map(|word| word.text.to_owned())
            .unwrap_or_default();
        let column = table.object.column(part.trim_matches('`'));
        let raw = column.is_some_and(|column| {
            let r#type = bare(&column.r#type);
            // A low-cardinality text may be a tenant's name.
            let text = r#type == "String" && !column.r#type.starts_with("LowCardinality(");
            r#type.starts_with("DateTime")
                || r#type == "UUID"
                || r#type.starts_with("Float")
                || text && names_one(&column.name)
        });
        if FINE.contains(&function.as_str()) || raw {
            found
                .say(format!(
                    "`{}` is partitioned by `{part}`, which has far too many values",
                    table.object.name
                ))
                .near("PARTITION")
                .help("partition by the month (`toYYYYMM`), or not at all; the sorting key is what finds rows");
        }
    }
}

fn names_one(column: &str) -> bool {
    let name = column.to_ascii_lowercase();
    [
        "event_id",
        "session_id",
        "user_id",
        "visitor_id",
        "anonymous_id",
        "request_id",
        "trace_id",
        "id",
        "uuid",
        "url",
        "path",
    ]
    .contains(&name.as_str())
}
