//! A column is added to rows that are there, with a default that answers differently each time.
//!
//! ## Why
//!
//! ADD COLUMN writes nothing. Until a merge rewrites a part, its rows have no value, and the default is computed whenever they are read:
//! with `now()` every old row came this very moment, in every query again, and `WHERE received_at < …` finds none of them.
//!
//! ## Example
//!
//! ```sql
//! -- migrate:up
//! CREATE TABLE events (id String) ENGINE = MergeTree ORDER BY id;
//! -- migrate:down
//! DROP TABLE events;
//! -- next
//! -- migrate:up
//! ALTER TABLE events ADD COLUMN received_at DateTime('UTC') DEFAULT now();
//! -- migrate:down
//! ALTER TABLE events DROP COLUMN received_at;
//! ```
//!
//! ## Instead
//!
//! Give old rows a value that stays, write it, and change the default for those that come.
//!
//! ```sql
//! -- migrate:up
//! CREATE TABLE events (id String) ENGINE = MergeTree ORDER BY id;
//! -- migrate:down
//! DROP TABLE events;
//! -- next
//! -- migrate:up
//! ALTER TABLE events ADD COLUMN received_at DateTime('UTC') DEFAULT toDateTime(0, 'UTC');
//! ALTER TABLE events MATERIALIZE COLUMN received_at;
//! ALTER TABLE events MODIFY COLUMN received_at DateTime('UTC') DEFAULT now();
//! -- migrate:down
//! ALTER TABLE events DROP COLUMN received_at;
//! ```

use crate::catalog::words;
use crate::lint::rules::destructive::holds;
use crate::lint::rules::nondeterministic_view::VARIES;
use crate::lint::{Check, Found, History, Moment};
use crate::sql::{Command, Statement};

pub(super) const CHECK: Check = Check::Among(check);

/// What may stand behind the default of a column.
const BEHIND: [&str; 8] = [
    "COMMENT",
    "CODEC",
    "STATISTICS",
    "TTL",
    "COLLATE",
    "SETTINGS",
    "AFTER",
    "FIRST",
];

fn check(moment: &Moment<'_>, history: &History<'_>, found: &mut Found) {
    let header = &moment.statement.header;
    let Some(table) = header.objects.first() else {
        return;
    };
    for command in &header.commands {
        let (Some(column), Some(function)) = (&command.name, varies(command.rest.of(moment.sql())))
        else {
            continue;
        };
        let sets = ["ADD COLUMN", "MODIFY COLUMN", "ALTER COLUMN"].contains(&command.words);
        if sets && is_unwritten(moment, history, column) {
            found
                .say(format!(
                    "rows that are there already get another `{table}.{column}` whenever they are read: `{function}` is called then"
                ))
                .near(column)
                .help("add it with a constant DEFAULT, MATERIALIZE COLUMN, and then MODIFY COLUMN to this default");
        }
    }
}

/// Whether old rows have no value of a column: it was added to them, and nobody wrote it since, nor does so in the same migration.
fn is_unwritten(moment: &Moment<'_>, history: &History<'_>, column: &str) -> bool {
    let mut unwritten = false;
    for earlier in &history.moments {
        for command in about(moment, earlier.statement, column) {
            unwritten = match (command.words, &earlier.before) {
                ("ADD COLUMN", Some(before)) => {
                    let objects = &earlier.statement.header.objects;
                    objects.iter().any(|table| holds(earlier, before, table))
                }
                ("MATERIALIZE COLUMN" | "DROP COLUMN", _) => false,
                _ => unwritten,
            };
        }
        if std::ptr::eq(earlier, moment) {
            break;
        }
    }
    let written = moment
        .migration
        .up
        .iter()
        .filter(|later| later.span.start > moment.statement.span.start)
        .flat_map(|later| about(moment, later, column))
        .any(|command| command.words == "MATERIALIZE COLUMN");
    unwritten && !written
}

/// The commands of a statement about a column of the table that a moment is about.
fn about<'a>(
    moment: &Moment<'_>,
    statement: &'a Statement,
    column: &'a str,
) -> impl Iterator<Item = &'a Command> {
    let table = moment.statement.header.objects.first();
    let same = statement.header.objects.first().map(|it| &it.name) == table.map(|it| &it.name);
    let commands = statement.header.commands.iter();
    commands.filter(move |command| same && command.name.as_deref() == Some(column))
}

/// The function in the default of a column's declaration that answers differently each time.
fn varies(declaration: &str) -> Option<&str> {
    let words = words(declaration);
    let begin = words
        .iter()
        .position(|word| word.depth == 0 && (word.is("DEFAULT") || word.is("MATERIALIZED")))?;
    let rest = words.get(begin + 1..)?;
    let end = rest
        .iter()
        .position(|word| word.depth == 0 && BEHIND.iter().any(|clause| word.is(clause)));
    rest.get(..end.unwrap_or(rest.len()))?
        .windows(2)
        .filter(|pair| matches!(pair, [_, open] if open.text == "("))
        .map(|pair| declaration.get(pair[0].start..pair[0].end))
        .find_map(|name| name.filter(|name| VARIES.contains(&name.to_ascii_lowercase().as_str())))
}
