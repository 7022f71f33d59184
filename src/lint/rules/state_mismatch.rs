//! A materialized view puts out a type that its target's column cannot take.
//!
//! ## Why
//!
//! CREATE refuses it; `ALTER TABLE … MODIFY QUERY` does not look, and neither does a change of the target. Then every INSERT into the
//! source fails (CANNOT_CONVERT_TYPE), after the source's own rows are written. The state of another function, of another argument type or
//! of another DateTime64 precision is another type.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE events (id String, user UInt64) ENGINE = MergeTree ORDER BY id;
//! CREATE TABLE users (id String, n AggregateFunction(uniq, UInt64)) ENGINE = AggregatingMergeTree ORDER BY id;
//! CREATE MATERIALIZED VIEW users_mv TO users AS SELECT id, uniqState(user) AS n FROM events GROUP BY id;
//! ALTER TABLE users_mv MODIFY QUERY SELECT id, uniqState(toString(user)) AS n FROM events GROUP BY id;
//! ```
//!
//! ## Instead
//!
//! ```sql
//! CREATE TABLE events (id String, user UInt64) ENGINE = MergeTree ORDER BY id;
//! CREATE TABLE users (id String, n AggregateFunction(uniq, UInt64)) ENGINE = AggregatingMergeTree ORDER BY id;
//! CREATE MATERIALIZED VIEW users_mv TO users AS SELECT id, uniqState(user) AS n FROM events GROUP BY id;
//! ALTER TABLE users ADD COLUMN names AggregateFunction(uniq, String);
//! ALTER TABLE users_mv MODIFY QUERY SELECT id, uniqState(user) AS n, uniqState(toString(user)) AS names FROM events GROUP BY id;
//! ```

use crate::lint::{Check, Found, View};

pub(super) const CHECK: Check = Check::View(check);

fn check(view: &View<'_>, found: &mut Found) {
    // An unknown name is another rule's.
    let (Some(exception), Some(target)) = (view.unfit().filter(|it| it.code != 8), view.target())
    else {
        return;
    };
    let name = &view.object.name;
    found
        .say(format!(
            "`{name}` does not fit `{}`: ClickHouse would not make it like this",
            target.name
        ))
        .note(exception.to_string())
        .help("every INSERT into its source fails from here on: give the target a column of that type, under another name, and write to that");
}
