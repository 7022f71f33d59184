//! A Nullable column in a sorting key.
//!
//! ## Why
//!
//! ClickHouse refuses it unless `allow_nullable_key` is set: the index cannot skip as it should, and NULL sorts last, beside nothing. For
//! engines that merge, all rows without a value become one.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE people (tenant String, person Nullable(String)) ENGINE = MergeTree ORDER BY (tenant, person) SETTINGS allow_nullable_key = 1;
//! ```
//!
//! ## Instead
//!
//! ```sql
//! CREATE TABLE people (tenant String, person String DEFAULT '') ENGINE = MergeTree ORDER BY (tenant, person);
//! ```

use crate::lint::table::is_nullable;
use crate::lint::{Check, Found, Table};

pub(super) const CHECK: Check = Check::Table(check);

fn check(table: &Table<'_>, found: &mut Found) {
    for name in table.columns_of("ORDER BY") {
        // `ifNull(person, '')` is none.
        let whole = table
            .object
            .sorting_key
            .iter()
            .any(|part| part.trim_matches('`') == name);
        let nullable = table
            .object
            .column(name)
            .is_some_and(|column| is_nullable(&column.r#type));
        if whole && nullable {
            found
                .say(format!(
                    "`{}.{name}` is Nullable and in the sorting key",
                    table.object.name
                ))
                .near(name)
                .help("make it a type without NULL, with a default that stands for none");
        }
    }
}
