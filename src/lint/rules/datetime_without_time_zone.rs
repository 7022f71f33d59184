//! A DateTime without a time zone.
//!
//! ## Why
//!
//! It is shown, read from text and cut into days in the zone of whichever server or session asks. The same file inserted into two servers
//! is two moments; `toDate` gives two days.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE events (id String, at DateTime64(3)) ENGINE = MergeTree ORDER BY id;
//! ```
//!
//! ## Instead
//!
//! ```sql
//! CREATE TABLE events (id String, at DateTime64(3, 'UTC')) ENGINE = MergeTree ORDER BY id;
//! ```

use crate::lint::{Check, Found, Table};
use crate::sql::{TokenKind, tokens};

pub(super) const CHECK: Check = Check::Table(check);

fn check(table: &Table<'_>, found: &mut Found) {
    for column in table.stored() {
        if zoneless(&column.r#type) {
            found
                .say(format!(
                    "`{}.{}` is `{}`, without a time zone",
                    table.object.name, column.name, column.r#type
                ))
                .near(&column.name)
                .help("name it: `DateTime('UTC')`, `DateTime64(3, 'UTC')`");
        }
    }
}

/// Whether there is a DateTime in a type that names no zone.
fn zoneless(r#type: &str) -> bool {
    let tokens: Vec<_> = tokens(r#type)
        .filter(|token| token.kind.is_significant())
        .collect();
    tokens.iter().enumerate().any(|(index, token)| {
        let named = |ahead: usize| {
            tokens
                .get(index + ahead)
                .is_some_and(|token| token.kind == TokenKind::StringLiteral)
        };
        // As an element's name it is followed by a type.
        let ends = tokens.get(index + 1).is_none_or(|next| {
            matches!(
                next.kind,
                TokenKind::ClosingRoundBracket | TokenKind::Comma | TokenKind::OpeningRoundBracket
            )
        });
        match token.span.of(r#type) {
            "DateTime" => ends && !named(2),
            "DateTime64" => ends && !named(4),
            _ => false,
        }
    })
}
