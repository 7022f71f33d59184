//! A migration without a down section.
//!
//! ## Why
//!
//! `rollback` executes what stood in the down section when the migration was applied. If there is none, the way back is written in a hurry.
//!
//! ## Example
//!
//! ```sql
//! -- migrate:up
//! CREATE TABLE events (id String) ENGINE = MergeTree ORDER BY id;
//! ```
//!
//! ## Instead
//!
//! ```sql
//! -- migrate:up
//! CREATE TABLE events (id String) ENGINE = MergeTree ORDER BY id;
//! -- migrate:down
//! DROP TABLE events;
//! ```

use crate::lint::{Check, Found, Reversal, Reverse};
use crate::sql::Kind;

pub(super) const CHECK: Check = Check::Reversal(check);

fn check(reversal: &Reversal<'_>, found: &mut Found) {
    let migration = reversal.migration;
    let empty = migration
        .down
        .as_ref()
        .is_none_or(|down| down.statements.is_empty());
    // Rows that were added or changed are nobody's to take back.
    let data = migration.up.iter().all(|statement| {
        matches!(
            statement.header.kind,
            Kind::Insert
                | Kind::InsertSelect
                | Kind::Update
                | Kind::Delete
                | Kind::Optimize
                | Kind::System
                | Kind::Read
        )
    });
    if empty && !data && (reversal.reverse == Reverse::Missing || migration.down.is_some()) {
        let span = migration
            .up
            .first()
            .map(|first| first.span)
            .unwrap_or_default();
        found
            .say(format!(
                "{:04}_{} cannot be taken back: it has no down section",
                migration.version, migration.name
            ))
            .at(span)
            .help("write what takes it back below `-- migrate:down`; or allow it, with the reason");
    }
}
