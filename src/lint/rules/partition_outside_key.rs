//! A table that merges rows of the same key is partitioned by a column that is not in the key.
//!
//! ## Why
//!
//! Rows in two partitions never merge. If the column can differ between rows with the same key, both stay: the old version of a
//! ReplacingMergeTree beside the new one, the two halves of a sum.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE orders (id String, changed DateTime('UTC'), state String) ENGINE = ReplacingMergeTree(changed) PARTITION BY toYYYYMM(changed) ORDER BY id;
//! ```
//!
//! ## Instead
//!
//! Partition by something that never changes for a key, and put it into the key if readers ask for it.
//!
//! ```sql
//! CREATE TABLE orders (id String, created Date, changed DateTime('UTC'), state String) ENGINE = ReplacingMergeTree(changed) PARTITION BY toYYYYMM(created) ORDER BY (created, id);
//! ```

use crate::lint::table::{columns_in, is_aggregate};
use crate::lint::{Check, Found, Table};

pub(super) const CHECK: Check = Check::Table(check);

fn check(table: &Table<'_>, found: &mut Found) {
    if !table.object.folds() {
        return;
    }
    let key = table.key();
    for name in table.columns_of("PARTITION BY") {
        let Some(column) = table.object.column(name) else {
            continue;
        };
        // What is computed from the key is the same for a key.
        let computed = column.default == "MATERIALIZED" && {
            let reads = columns_in(table.default_of(column), table.object);
            !reads.is_empty() && reads.is_subset(&key)
        };
        if !key.contains(name) && !is_aggregate(&column.r#type) && !computed {
            found
                .say(format!(
                    "`{}` is partitioned by `{name}`, which is not in its key: rows of one key in two partitions never merge",
                    table.object.name
                ))
                .near("PARTITION")
                .help("put the column into ORDER BY, or partition by something that the key decides");
        }
    }
}
