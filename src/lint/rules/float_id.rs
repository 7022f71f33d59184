//! An id in a Float.
//!
//! ## Why
//!
//! A Float64 holds whole numbers exactly up to 2⁵³, a Float32 up to 2²⁴. Above that two ids are one.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE orders (order_id Float64, amount Decimal(18, 2)) ENGINE = MergeTree ORDER BY amount;
//! ```
//!
//! ## Instead
//!
//! ```sql
//! CREATE TABLE orders (order_id UInt64, amount Decimal(18, 2)) ENGINE = MergeTree ORDER BY order_id;
//! ```

use crate::lint::table::bare;
use crate::lint::{Check, Found, Table};

pub(super) const CHECK: Check = Check::Table(check);

fn check(table: &Table<'_>, found: &mut Found) {
    for column in table.stored() {
        let name = column.name.to_ascii_lowercase();
        let id = name == "id" || name.ends_with("_id") || name == "uuid";
        if id && bare(&column.r#type).starts_with("Float") {
            found
                .say(format!(
                    "`{}.{}` is an id, and `{}` cannot tell large ones apart",
                    table.object.name, column.name, column.r#type
                ))
                .near(&column.name)
                .help("use UInt64, UUID or String");
        }
    }
}
