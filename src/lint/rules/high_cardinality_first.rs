//! A sorting key that begins with what is different in every row, before columns with few values.
//!
//! ## Why
//!
//! The index is of use for a column if those before it have few values. Behind a UUID or a time in milliseconds it skips nothing, and equal
//! values do not lie together, so that they compress badly.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE hits (id UUID, site LowCardinality(String), at DateTime('UTC')) ENGINE = MergeTree ORDER BY (id, site, at);
//! ```
//!
//! ## Instead
//!
//! ```sql
//! CREATE TABLE hits (id UUID, site LowCardinality(String), at DateTime('UTC')) ENGINE = MergeTree ORDER BY (site, at, id);
//! ```

use crate::lint::{Check, Found, Table};

pub(super) const CHECK: Check = Check::Table(check);

fn check(table: &Table<'_>, found: &mut Found) {
    let types: Vec<(&str, &str)> = table
        .object
        .sorting_key
        .iter()
        .map_while(|part| table.object.column(part.trim_matches('`')))
        .map(|column| (column.name.as_str(), column.r#type.as_str()))
        .collect();
    let Some(((first, r#type), rest)) = types.split_first() else {
        return;
    };
    let many = *r#type == "UUID" || r#type.starts_with("DateTime64") || r#type.starts_with("Float");
    let few = rest.iter().find(|(_, r#type)| {
        r#type.starts_with("LowCardinality(") || r#type.starts_with("Enum") || *r#type == "Bool"
    });
    if let (true, Some((few, _))) = (many, few) {
        found
            .say(format!(
                "the sorting key of `{}` begins with `{first}` ({type}), so `{few}` behind it skips nothing",
                table.object.name
            ))
            .near("ORDER")
            .help("put columns with few values first");
    }
}
