//! An UPDATE or DELETE without a condition that names a column.
//!
//! ## Why
//!
//! A mutation rewrites every part that it touches, in the background, and nothing else that waits for a mutation goes on before it ends.
//! `WHERE 1` is the whole table; a DEFAULT, or TRUNCATE, does the same in no time.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE events (id String, country String) ENGINE = MergeTree ORDER BY id;
//! ALTER TABLE events UPDATE country = 'unknown' WHERE 1;
//! ```
//!
//! ## Instead
//!
//! ```sql
//! CREATE TABLE events (id String, country String) ENGINE = MergeTree ORDER BY id;
//! ALTER TABLE events UPDATE country = 'unknown' WHERE country = '';
//! ```

use crate::catalog::words;
use crate::lint::{Check, Found, Moment};
use crate::sql::{Kind, TokenKind};

pub(super) const CHECK: Check = Check::Statement(check);

fn check(moment: &Moment<'_>, found: &mut Found) {
    let header = &moment.statement.header;
    let sql = moment.sql();
    let parts: Vec<(&str, &str)> = match header.kind {
        Kind::Alter => header
            .commands
            .iter()
            .filter(|command| matches!(command.words, "UPDATE" | "DELETE WHERE"))
            .map(|command| {
                // The words of DELETE WHERE have taken the WHERE.
                let text = command.rest.of(sql);
                (command.words, text)
            })
            .collect(),
        Kind::Update => vec![("UPDATE", sql)],
        Kind::Delete => vec![("DELETE", sql)],
        _ => return,
    };
    for (what, text) in parts {
        let words = words(text);
        let condition = match what {
            "DELETE WHERE" => Some(0),
            _ => words
                .iter()
                .rposition(|word| word.depth == 0 && word.is("WHERE"))
                .map(|at| at + 1),
        };
        let Some(from) = condition else { continue };
        let partition = words
            .iter()
            .any(|word| word.depth == 0 && word.is("PARTITION"));
        let names = words.iter().skip(from).any(|word| {
            matches!(word.kind, TokenKind::BareWord | TokenKind::QuotedIdentifier)
                && !["TRUE", "FALSE", "AND", "OR", "NOT", "SETTINGS"]
                    .iter()
                    .any(|constant| word.is(constant))
        });
        if !names && !partition {
            found
                .say(format!(
                    "{} rewrites all of the table",
                    what.split(' ').next().unwrap_or(what)
                ))
                .help("name the rows in the condition, or the partition (`IN PARTITION`), so that only their parts are rewritten");
        }
    }
}
