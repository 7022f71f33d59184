//! A view whose query ClickHouse does not resolve any more.
//!
//! ## Why
//!
//! A view is checked when it is made, and never again. If a column that it reads is renamed or gets another type, or a table goes, the
//! statement succeeds. A materialized view then makes every INSERT into its source fail, after the source's own rows are written, so that
//! a client's retry doubles them; a plain view fails for whoever reads it.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE events (id String, amount UInt64) ENGINE = MergeTree ORDER BY id;
//! CREATE TABLE totals (id String, amount SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY id;
//! CREATE MATERIALIZED VIEW totals_mv TO totals AS SELECT id, sum(amount) AS amount FROM events GROUP BY id;
//! ALTER TABLE events MODIFY COLUMN amount String;
//! ```
//!
//! ## Instead
//!
//! Add what is new beside what is there, change the view's query, and take the old away when nothing reads it.
//!
//! ```sql
//! CREATE TABLE events (id String, amount UInt64) ENGINE = MergeTree ORDER BY id;
//! CREATE TABLE totals (id String, amount SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY id;
//! CREATE MATERIALIZED VIEW totals_mv TO totals AS SELECT id, sum(amount) AS amount FROM events GROUP BY id;
//! ALTER TABLE events ADD COLUMN amount_text String;
//! ALTER TABLE totals_mv MODIFY QUERY SELECT id, sum(amount + toUInt64OrZero(amount_text)) AS amount FROM events GROUP BY id;
//! ```

use crate::lint::{Check, Found, View};

pub(super) const CHECK: Check = Check::View(check);

fn check(view: &View<'_>, found: &mut Found) {
    let Some(exception) = view.refused() else {
        return;
    };
    let name = &view.object.name;
    let (message, then) = if view.is_trigger() {
        (
            format!("`{name}` cannot be executed any more"),
            "every INSERT into its source fails from here on, after the source's own rows are written",
        )
    } else {
        (
            format!("`{name}` cannot be read any more"),
            "whoever reads it gets this error",
        )
    };
    found.say(message).note(exception.to_string()).help(format!(
        "{then}: change the query in the same migration, or leave what it reads as it is"
    ));
}
