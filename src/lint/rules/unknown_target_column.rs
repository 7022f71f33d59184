//! A materialized view puts out a column that its target does not have.
//!
//! ## Why
//!
//! CREATE refuses it (code 8); `ALTER TABLE … MODIFY QUERY` does not look, and dropping the target's column is accepted too. INSERTs go on
//! to succeed, the value is thrown away, and the column that was meant stays empty: a counter that is zero for ever.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE events (id String, amount UInt64) ENGINE = MergeTree ORDER BY id;
//! CREATE TABLE totals (id String, amount AggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY id;
//! CREATE MATERIALIZED VIEW totals_mv TO totals AS SELECT id, sumState(amount) AS amount FROM events GROUP BY id;
//! ALTER TABLE totals_mv MODIFY QUERY SELECT id, sumState(amount * 2) AS amount2 FROM events GROUP BY id;
//! ```
//!
//! ## Instead
//!
//! ```sql
//! CREATE TABLE events (id String, amount UInt64) ENGINE = MergeTree ORDER BY id;
//! CREATE TABLE totals (id String, amount AggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY id;
//! CREATE MATERIALIZED VIEW totals_mv TO totals AS SELECT id, sumState(amount) AS amount FROM events GROUP BY id;
//! ALTER TABLE totals_mv MODIFY QUERY SELECT id, sumState(events.amount * 2) AS amount FROM events GROUP BY id;
//! ```

use crate::lint::{Check, Found, View};

pub(super) const CHECK: Check = Check::View(check);

fn check(view: &View<'_>, found: &mut Found) {
    let Some(target) = view.target() else { return };
    for query in view.branches() {
        for output in view.outputs(query) {
            let taken = target
                .column(&output.name)
                .is_some_and(|column| !matches!(column.default.as_str(), "ALIAS" | "MATERIALIZED"));
            if taken {
                continue;
            }
            let name = &output.name;
            let why = if target.column(name).is_some() {
                "computes itself"
            } else {
                "does not have"
            };
            found
                .say(format!(
                    "`{}` puts out `{name}`, which `{}` {why}: the values are thrown away",
                    view.object.name, target.name
                ))
                .near(name)
                .note(format!(
                    "`{}` takes {}",
                    target.name,
                    target
                        .columns
                        .iter()
                        .filter(|column| !matches!(column.default.as_str(), "ALIAS" | "MATERIALIZED"))
                        .map(|column| format!("`{}`", column.name))
                        .collect::<Vec<_>>()
                        .join(", ")
                ))
                .help("name it after the column that is meant (`AS …`), or add the column to the target first");
        }
    }
}
