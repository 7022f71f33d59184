//! A table that is not replicated in a schema whose other tables are.
//!
//! ## Why
//!
//! In a `Replicated` database, or beside Replicated tables, a plain MergeTree is made on every replica and filled on one: each replica
//! answers from its own share of the rows, and nothing says so.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE events (id String) ENGINE = ReplicatedMergeTree ORDER BY id;
//! CREATE TABLE limits (id String, n UInt64) ENGINE = MergeTree ORDER BY id;
//! ```
//!
//! ## Instead
//!
//! ```sql
//! CREATE TABLE events (id String) ENGINE = ReplicatedMergeTree ORDER BY id;
//! CREATE TABLE limits (id String, n UInt64) ENGINE = ReplicatedMergeTree ORDER BY id;
//! ```

use crate::catalog::words;
use crate::lint::{Check, Found, History, Moment};
use crate::sql::{Kind, Statement};

pub(super) const CHECK: Check = Check::Among(check);

fn check(moment: &Moment<'_>, history: &History<'_>, found: &mut Found) {
    if moment.statement.header.kind != Kind::CreateTable {
        return;
    }
    let Some(own) = engine(moment.statement) else {
        return;
    };
    let plain =
        own.ends_with("MergeTree") && !own.starts_with("Replicated") && !own.starts_with("Shared");
    if !plain {
        return;
    }
    let other = history.moments.iter().find(|other| {
        matches!(
            other.statement.header.kind,
            Kind::CreateTable | Kind::CreateDatabase
        ) && engine(other.statement).is_some_and(|engine| engine.starts_with("Replicated"))
    });
    if let Some(other) = other {
        let name = |moment: &Moment<'_>| {
            moment
                .statement
                .header
                .objects
                .first()
                .map_or_else(String::new, |object| object.name.clone())
        };
        found
            .say(format!(
                "`{}` is `{own}`, and `{}` is replicated",
                name(moment),
                name(other)
            ))
            .near(own.clone())
            .help(format!(
                "make it `Replicated{own}`, or leave `Replicated` out everywhere and to the target"
            ));
    }
}

fn engine(statement: &Statement) -> Option<String> {
    let words = words(statement.sql());
    let at = words
        .iter()
        .position(|word| word.depth == 0 && word.is("ENGINE"))?;
    words.get(at + 2)?.name()
}
