//! A migration that names its own database.
//!
//! ## Why
//!
//! Everything is executed in the target's database, whatever it is called there. A name that is written out works in one place, and
//! elsewhere changes the wrong database, or none.
//!
//! ## Example
//!
//! ```sql
//! CREATE DATABASE reporting;
//! CREATE TABLE reporting.events (id String) ENGINE = MergeTree ORDER BY id;
//! ```
//!
//! ## Instead
//!
//! ```sql
//! CREATE TABLE events (id String) ENGINE = MergeTree ORDER BY id;
//! ```

use crate::lint::{Check, Found, Moment};
use crate::sql::{Kind, Span};

pub(super) const CHECK: Check = Check::Statement(check);

fn check(moment: &Moment<'_>, found: &mut Found) {
    let header = &moment.statement.header;
    let changes = matches!(
        header.kind,
        Kind::CreateTable
            | Kind::CreateView
            | Kind::CreateMaterializedView
            | Kind::CreateDictionary
            | Kind::Drop
            | Kind::Truncate
            | Kind::Rename
            | Kind::Exchange
            | Kind::Alter
            | Kind::Insert
            | Kind::InsertSelect
            | Kind::Update
            | Kind::Delete
    );
    if !changes || header.label.contains("DATABASE") {
        return;
    }
    for object in header.objects.iter().chain(&header.target) {
        if let Some(database) = &object.database {
            found
                .say(format!("`{object}` names its database, `{database}`"))
                .at(Span {
                    start: object.span.start,
                    end: object.span.end,
                })
                .help(format!(
                    "write `{}`: the target says which database that is in",
                    object.name
                ));
        }
    }
}
