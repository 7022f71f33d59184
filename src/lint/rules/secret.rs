//! A password or key in a migration.
//!
//! ## Why
//!
//! The file is in the repository, its text in the journal of every target, and the server shows it in `system.query_log`. Whoever can read
//! one of these has it, for as long as they exist.
//!
//! ## Example
//!
//! ```sql
//! CREATE USER reader IDENTIFIED WITH sha256_password BY 'correct horse battery';
//! ```
//!
//! ## Instead
//!
//! Name where the secret is: a named collection of the server, or a way to identify users that needs none.
//!
//! ```sql
//! CREATE TABLE rates (day Date, rate Float64) ENGINE = S3(rates_collection, format = 'Parquet');
//! CREATE USER reader IDENTIFIED WITH ssl_certificate CN 'reader';
//! ```

use crate::catalog::{Word, words};
use crate::lint::{Check, Found, Moment};
use crate::sql::{Span, TokenKind};

pub(super) const CHECK: Check = Check::Statement(check);

/// Functions and engines whose arguments, by their place from 0, are secrets.
const ARGUMENTS: &[(&str, &[usize])] = &[
    ("s3", &[2]),
    ("s3Cluster", &[3]),
    ("S3", &[2]),
    ("S3Queue", &[2]),
    ("mysql", &[4]),
    ("MySQL", &[4]),
    ("postgresql", &[4]),
    ("PostgreSQL", &[4]),
    ("MaterializedPostgreSQL", &[4]),
    ("mongodb", &[4]),
    ("MongoDB", &[4]),
    ("remoteSecure", &[4]),
    ("azureBlobStorage", &[4]),
    ("AzureBlobStorage", &[4]),
    ("deltaLake", &[2]),
    ("iceberg", &[2]),
    ("hudi", &[2]),
];

/// Names whose values are secrets.
const NAMES: &[&str] = &[
    "password",
    "secret_access_key",
    "access_key_secret",
    "kafka_sasl_password",
    "rabbitmq_password",
    "nats_password",
    "account_key",
    "connection_string",
    "sasl_password",
    "api_key",
    "token",
    "auth_token",
];

fn check(moment: &Moment<'_>, found: &mut Found) {
    let words = words(moment.sql());
    for (index, word) in words.iter().enumerate() {
        let Some(value) = word.string().filter(|value| !value.is_empty()) else {
            continue;
        };
        let Some(what) = secret(&words, index, &value) else {
            continue;
        };
        found
            .say(format!("{what} stands in the migration"))
            .at(Span {
                start: word.start,
                end: word.end,
            })
            .hidden()
            .help("keep it in a named collection of the server, or in the environment of whoever makes the user; and change it, it is in the history now");
    }
}

fn secret(words: &[Word<'_>], index: usize, value: &str) -> Option<&'static str> {
    let before = |n: usize| index.checked_sub(n).and_then(|at| words.get(at));
    let is = |n: usize, keyword: &str| before(n).is_some_and(|word| word.is(keyword));
    // A name in curly brackets is filled in elsewhere.
    if value.starts_with("${") || value.starts_with("{{") {
        return None;
    }
    // IDENTIFIED [WITH method] BY '…'; a hash is one too.
    let identified = is(1, "BY") && (1..=5).any(|n| is(n, "IDENTIFIED"));
    if identified {
        return Some("a user's password");
    }
    // Behind these `password = 'x'` compares.
    let compares = words.iter().take(index).any(|word| {
        ["SELECT", "WHERE", "CHECK", "USING"]
            .iter()
            .any(|it| word.is(it))
    });
    let named = before(1)
        .filter(|word| word.kind == TokenKind::Equals && !compares)
        .and_then(|_| before(2))
        .or_else(|| before(1).filter(|word| word.kind == TokenKind::BareWord && word.depth > 0))
        .and_then(Word::name)
        .map(|name| name.to_ascii_lowercase());
    if named.is_some_and(|name| NAMES.contains(&name.as_str())) {
        return Some("a password or key");
    }
    // scheme://user:password@host
    let authority = value
        .split_once("://")
        .and_then(|(_, rest)| rest.split('/').next())
        .and_then(|authority| authority.rsplit_once('@'));
    if authority.is_some_and(|(user, _)| {
        user.split_once(':')
            .is_some_and(|(_, password)| !password.is_empty())
    }) {
        return Some("a URL with a password");
    }
    if value.starts_with("AKIA") && value.len() == 20 {
        return Some("an AWS access key");
    }
    if value.contains("-----BEGIN ") && value.contains("PRIVATE KEY") {
        return Some("a private key");
    }
    let (function, place) = argument(words, index)?;
    let places = ARGUMENTS
        .iter()
        .find(|(name, _)| *name == function)
        .map(|(_, places)| *places)?;
    // s3(url, 'NOSIGN'), s3(url, format, structure): with a key there are more.
    let keyed = !matches!(
        function,
        "s3" | "S3" | "S3Queue" | "deltaLake" | "iceberg" | "hudi"
    ) || is(2, value)
        || looks_like_a_key(value);
    (places.contains(&place) && keyed).then_some("a password or key")
}

/// The function that a token is an argument of, and which one.
fn argument<'a>(words: &[Word<'a>], index: usize) -> Option<(&'a str, usize)> {
    let depth = words.get(index)?.depth;
    let opened = words
        .iter()
        .take(index)
        .rposition(|word| word.depth + 1 == depth && word.kind == TokenKind::OpeningRoundBracket)?;
    let place = words
        .get(opened..index)?
        .iter()
        .filter(|word| word.depth == depth && word.kind == TokenKind::Comma)
        .count();
    Some((words.get(opened.checked_sub(1)?)?.text, place))
}

/// Long, of letters of both cases and digits: not the name of a format, and not a structure.
fn looks_like_a_key(value: &str) -> bool {
    value.len() >= 20
        && !value.contains(' ')
        && value.chars().any(|c| c.is_ascii_digit())
        && value.chars().any(|c| c.is_ascii_lowercase())
}
