//! A migration that names a database.
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

use crate::catalog::words;
use crate::lint::{Check, Found, Moment};
use crate::sql::{Kind, Span, TokenKind};

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
        let Some(database) = &object.database else {
            continue;
        };
        let own = moment
            .before
            .as_ref()
            .is_none_or(|before| before.database() == database);
        let help = if own {
            format!(
                "write `{}`: the target says which database that is in",
                object.name
            )
        } else {
            format!(
                "what is in `{database}` is on one target only, and neither compared nor taken back: give it a schema directory of its own"
            )
        };
        found
            .say(format!("`{object}` names its database, `{database}`"))
            .at(object.span)
            .help(help);
    }
    read(moment, found);
}

/// The tables of its own database that a query names in full.
fn read(moment: &Moment<'_>, found: &mut Found) {
    let Some(before) = &moment.before else { return };
    let header = &moment.statement.header;
    let words = words(moment.sql());
    for four in words.windows(4) {
        let [behind, database, dot, name] = four else {
            continue;
        };
        let tables = ["FROM", "JOIN", "IN"].iter().any(|it| behind.is(it));
        let named =
            dot.kind == TokenKind::Dot && database.name().as_deref() == Some(before.database());
        let known = header
            .objects
            .iter()
            .chain(&header.target)
            .any(|object| object.span.start == database.start);
        if tables && named && !known {
            let table = name.name().unwrap_or_default();
            found
                .say(format!(
                    "the query names its database, `{}.{table}`",
                    before.database()
                ))
                .at(Span {
                    start: database.start,
                    end: name.end,
                })
                .help(format!(
                    "write `{table}`: the target says which database that is in"
                ));
        }
    }
}
