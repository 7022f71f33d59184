//! A statement that changes data, cannot be repeated, and leaves no trace by which to tell whether it was done.
//!
//! ## Why
//!
//! If the connection breaks while it runs, it stands in doubt: repeated, an INSERT doubles what had arrived; left alone, it may be missing.
//! Definitions can be compared with what they should be; rows cannot.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE events (id String) ENGINE = MergeTree ORDER BY id;
//! CREATE TABLE copies (id String) ENGINE = MergeTree ORDER BY id;
//! -- next
//! INSERT INTO copies SELECT id FROM events;
//! ```
//!
//! ## Instead
//!
//! Fill a table of its own, which can be emptied and filled again, and move what is in it: whether that happened can be seen. (An
//! `insert_deduplication_token` on a table with a deduplication window counts too; it holds only as long as the blocks are cut the same way.)
//!
//! ```sql
//! CREATE TABLE events (id String) ENGINE = MergeTree ORDER BY id;
//! CREATE TABLE copies (id String) ENGINE = MergeTree ORDER BY id;
//! -- next
//! CREATE TABLE stage (id String) ENGINE = MergeTree ORDER BY id;
//! INSERT INTO stage SELECT id FROM events;
//! ALTER TABLE stage MOVE PARTITION tuple() TO TABLE copies;
//! DROP TABLE stage;
//! ```

use crate::catalog::{Word, words};
use crate::lint::table::plain_engine;
use crate::lint::{Check, Found, Moment};
use crate::sql::{Kind, TokenKind};

pub(super) const CHECK: Check = Check::Statement(check);

fn check(moment: &Moment<'_>, found: &mut Found) {
    let header = &moment.statement.header;
    let table = header.objects.first();
    let object = moment
        .before
        .as_ref()
        .zip(table)
        .and_then(|(before, table)| before.named(table));
    match header.kind {
        Kind::InsertSelect => {
            // Where nothing is known of the table, nothing is said.
            let Some(object) = object.filter(|object| object.merges()) else {
                return;
            };
            let replaces = plain_engine(&object.engine) == "ReplacingMergeTree";
            let token = words(moment.sql())
                .iter()
                .any(|word| word.is("insert_deduplication_token"));
            // A table that this migration makes holds nothing else, and can be emptied.
            let own = moment.migration.up.iter().any(|earlier| {
                earlier.span.start < moment.statement.span.start
                    && earlier.header.kind == Kind::CreateTable
                    && earlier
                        .header
                        .objects
                        .iter()
                        .any(|made| made.name == object.name)
            });
            let settles = own || replaces || (token && object.deduplicates());
            if !settles {
                found
                    .say(format!(
                        "if this INSERT into `{}` breaks off, nobody can tell how much of it arrived",
                        object.name
                    ))
                    .help("fill a table of its own, which can be emptied and filled again, and move its partition");
            }
        }
        Kind::Alter | Kind::Update => {
            for name in increments(moment) {
                found
                    .say(format!(
                        "`{name}` is computed from itself: done twice, it is another value"
                    ))
                    .near(name)
                    .help("compute it from other columns, or keep the old value in a column of its own");
            }
        }
        _ => {}
    }
}

/// The columns that an UPDATE sets to something made from themselves.
fn increments(moment: &Moment<'_>) -> Vec<String> {
    let header = &moment.statement.header;
    let sql = moment.sql();
    let texts: Vec<&str> = match header.kind {
        Kind::Alter => header
            .commands
            .iter()
            .filter(|command| command.words == "UPDATE")
            .map(|command| command.rest.of(sql))
            .collect(),
        _ => sql
            .find(" SET ")
            .or_else(|| sql.find(" set "))
            .and_then(|at| sql.get(at + 5..))
            .into_iter()
            .collect(),
    };
    let mut found = Vec::new();
    for text in texts {
        let words = words(text);
        let end = words
            .iter()
            .position(|word| word.depth == 0 && (word.is("WHERE") || word.is("IN")))
            .unwrap_or(words.len());
        let assignments = words.get(..end).unwrap_or_default();
        for part in assignments.split(|word| word.depth == 0 && word.kind == TokenKind::Comma) {
            let [name, equals, value @ ..] = part else {
                continue;
            };
            let Some(name) = name.name().filter(|_| equals.kind == TokenKind::Equals) else {
                continue;
            };
            // `if(x = '', …, x)` and the like come to the same when done twice; arithmetic and concat do not.
            let computes = value.iter().any(|word| {
                matches!(
                    word.kind,
                    TokenKind::Plus
                        | TokenKind::Minus
                        | TokenKind::Asterisk
                        | TokenKind::Slash
                        | TokenKind::Concatenation
                ) || ["concat", "plus", "minus", "multiply", "divide"]
                    .iter()
                    .any(|it| word.is(it))
            });
            let itself = |word: &Word<'_>| word.name().as_ref() == Some(&name);
            if computes && value.iter().any(itself) {
                found.push(name);
            }
        }
    }
    found
}
