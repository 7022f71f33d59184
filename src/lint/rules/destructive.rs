//! A statement that takes data away, and nobody says that it is meant.
//!
//! ## Why
//!
//! What a migration drops is gone on every target, and the down section does not bring it back. `apply` refuses it as well (exit code 5),
//! but there somebody is waiting; here somebody is reading.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE events (id String, amount UInt64) ENGINE = MergeTree ORDER BY id;
//! -- next
//! ALTER TABLE events MODIFY COLUMN amount UInt32;
//! ```
//!
//! ## Instead
//!
//! Add beside it; and where it is meant, say why, directly above.
//!
//! ```sql
//! CREATE TABLE events (id String, amount UInt64, referer String) ENGINE = MergeTree ORDER BY id;
//! -- next
//! -- housewright:allow(destructive) because nothing has filled it since the tracker's version 3
//! ALTER TABLE events DROP COLUMN referer;
//! ```

use crate::catalog::{Kind as ObjectKind, Object};
use crate::lint::{Check, Found, Moment, State};
use crate::sql::{Class, Command, Kind, Loss, ObjectName, loss};

pub(super) const CHECK: Check = Check::Statement(check);

/// Engines whose tables hold no rows of their own.
const HOLDS_NONE: [&str; 8] = [
    "Null",
    "Distributed",
    "Merge",
    "Kafka",
    "RabbitMQ",
    "NATS",
    "S3Queue",
    "URL",
];

/// Commands of ALTER TABLE that take rows or values away.
const TAKES: [&str; 10] = [
    "DROP COLUMN",
    "CLEAR COLUMN",
    "DROP PARTITION",
    "DROP PART",
    "DROP DETACHED",
    "REPLACE PARTITION",
    "DELETE WHERE",
    "DELETE IN PARTITION",
    "MODIFY TTL",
    "MATERIALIZE TTL",
];

fn check(moment: &Moment<'_>, found: &mut Found) {
    // Without the state before it nothing is known of what it takes.
    let Some(before) = &moment.before else {
        return;
    };
    let header = &moment.statement.header;
    let what = match header.kind {
        Kind::Drop | Kind::Truncate
            if header.label.ends_with("DATABASE") || header.label.ends_with("FROM") =>
        {
            vec![format!("{} takes everything in it away", header.label)]
        }
        Kind::Drop | Kind::Truncate => header
            .objects
            .iter()
            .filter(|object| holds(moment, before, object))
            .map(|object| format!("{} takes the rows of `{object}` away", header.label))
            .collect(),
        Kind::CreateTable if header.class == Class::Destroys => header
            .objects
            .iter()
            .filter(|object| holds(moment, before, object))
            .map(|object| format!("CREATE OR REPLACE takes the rows of `{object}` away"))
            .collect(),
        Kind::Delete => header
            .objects
            .iter()
            .filter(|object| holds(moment, before, object))
            .map(|object| format!("DELETE takes rows of `{object}` away"))
            .collect(),
        Kind::Alter => alters(moment, before),
        _ => Vec::new(),
    };
    for message in what {
        found
            .say(message)
            .help("if it is meant, write directly above it: `-- housewright:allow(destructive) because …`");
    }
}

/// Whether there may be rows in it when the statement comes: it was there before this migration.
pub(super) fn holds(moment: &Moment<'_>, before: &State, name: &ObjectName) -> bool {
    let Some(object) = before.named(name) else {
        return name
            .database
            .as_ref()
            .is_some_and(|database| database != before.database());
    };
    let made_here = moment.migration.up.iter().any(|statement| {
        statement.span.start < moment.statement.span.start
            && matches!(
                statement.header.kind,
                Kind::CreateTable | Kind::CreateMaterializedView
            )
            && statement
                .header
                .objects
                .iter()
                .any(|made| made.name == name.name)
    });
    !made_here && keeps_rows(object)
}

fn keeps_rows(object: &Object) -> bool {
    match object.kind {
        ObjectKind::Table => !HOLDS_NONE.contains(&object.engine.as_str()),
        // Without TO it keeps them itself.
        ObjectKind::MaterializedView => object.target.is_none(),
        _ => false,
    }
}

fn alters(moment: &Moment<'_>, before: &State) -> Vec<String> {
    let header = &moment.statement.header;
    let Some(table) = header.objects.first() else {
        return Vec::new();
    };
    if !holds(moment, before, table) {
        return Vec::new();
    }
    let is = before.named(table);
    let after = moment.after.as_ref().and_then(|after| after.named(table));
    let mut what = Vec::new();
    for command in &header.commands {
        let name = command.name.as_deref().unwrap_or_default();
        if TAKES.contains(&command.words) {
            // A column that is computed when it is read holds nothing.
            let column = is.and_then(|is| is.column(name));
            if column.is_some_and(|column| column.default == "ALIAS") {
                continue;
            }
            let about = if command.words.ends_with("COLUMN") {
                format!(" takes the values of `{table}.{name}` away")
            } else {
                format!(" takes rows of `{table}` away")
            };
            what.push(format!("{}{about}", command.words));
        }
        if let Some((from, to, loss)) = narrowed(command, is, after) {
            what.push(match loss {
                Loss::Nulls => format!("MODIFY COLUMN makes `{table}.{name}` from `{from}` to `{to}`: its NULLs go, or it is refused where there are any"),
                Loss::Values => format!("MODIFY COLUMN makes `{table}.{name}` from `{from}` to `{to}`: not every value fits"),
            });
        }
    }
    what
}

fn narrowed<'a>(
    command: &Command,
    is: Option<&'a Object>,
    after: Option<&'a Object>,
) -> Option<(&'a str, &'a str, Loss)> {
    if !matches!(command.words, "MODIFY COLUMN" | "ALTER COLUMN") {
        return None;
    }
    let name = command.name.as_deref()?;
    let from = is?.column(name)?;
    let to = after?.column(name)?;
    let loss = loss(&from.r#type, &to.r#type)?;
    Some((&from.r#type, &to.r#type, loss))
}
