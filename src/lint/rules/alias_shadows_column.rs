//! An alias with the name of a source column, whose other uses in the query mean the alias.
//!
//! ## Why
//!
//! In ClickHouse an alias is known everywhere in its SELECT, and it wins over the column. In
//! `SELECT toStartOfHour(at) AS at, argMin(url, at)` every event of an hour ties; in `SELECT toDate(at) AS at … WHERE at > …` the filter
//! looks at days.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE events (id String, at DateTime('UTC'), amount UInt64) ENGINE = MergeTree ORDER BY id;
//! CREATE VIEW hours AS SELECT toStartOfHour(at) AS at, sum(amount) AS total FROM events WHERE at >= '2030-01-01 00:30:00' GROUP BY at;
//! ```
//!
//! ## Instead
//!
//! Give the alias another name, or qualify the column.
//!
//! ```sql
//! CREATE TABLE events (id String, at DateTime('UTC'), amount UInt64) ENGINE = MergeTree ORDER BY id;
//! CREATE VIEW hours AS SELECT toStartOfHour(e.at) AS hour, sum(e.amount) AS total FROM events AS e WHERE e.at >= '2030-01-01 00:30:00' GROUP BY hour;
//! ```

use crate::catalog::{Node, Object, Word, words};
use crate::lint::view::{function, within};
use crate::lint::{Check, Found, View};
use crate::sql::TokenKind;

pub(super) const CHECK: Check = Check::View(check);

fn check(view: &View<'_>, found: &mut Found) {
    // Where a name stands is read from the text, so only of a query that is one SELECT.
    let [query] = view.queries()[..] else { return };
    let tables: Vec<&Object> = query
        .list("JOIN TREE")
        .iter()
        .flat_map(within)
        .filter_map(|node| view.table(node))
        .collect();
    let words = words(&view.object.select);
    for output in view.outputs(query) {
        let shadows = tables
            .iter()
            .any(|table| table.column(&output.name).is_some());
        // The column under its own name, or cast, is the column.
        let itself = |node: &Node| {
            view.column(node)
                .is_some_and(|(_, column)| column.name == output.name)
        };
        let is_column = itself(crate::lint::view::core(output.expression));
        let is_function = function(output.expression).is_some();
        if !shadows || is_column || !is_function {
            continue;
        }
        if let Some(place) = elsewhere(&words, &output.name) {
            found
                .say(format!(
                    "`{}` in {place} of `{}` is the alias, not the column",
                    output.name, view.object.name
                ))
                .near(&output.name)
                .help("give the alias another name, or qualify the column (`t.column`)");
        }
    }
}

/// Where else a name stands that an alias defines: in an expression of another column, or in WHERE.
fn elsewhere(words: &[Word<'_>], name: &str) -> Option<&'static str> {
    let alias = words.windows(2).position(|pair| {
        matches!(pair, [first, second] if first.is("AS") && first.depth == 0 && second.name().as_deref() == Some(name))
    })?;
    // Its own expression goes back to the comma or SELECT before it.
    let begins = words.iter().take(alias).rposition(|word| {
        word.depth == 0 && (word.kind == TokenKind::Comma || word.is("SELECT"))
    })?;
    let mut section = "another expression";
    for (index, word) in words.iter().enumerate() {
        if word.depth == 0 {
            if word.is("FROM") {
                section = "";
            } else if word.is("WHERE") || word.is("PREWHERE") {
                section = "WHERE";
            } else if ["GROUP", "ORDER", "HAVING", "LIMIT", "SETTINGS", "WINDOW"]
                .iter()
                .any(|it| word.is(it))
            {
                section = "";
            }
        }
        let own = (begins..=alias + 1).contains(&index);
        let before = index.checked_sub(1).and_then(|at| words.get(at));
        let after = words.get(index + 1);
        let qualified = before.is_some_and(|word| word.kind == TokenKind::Dot);
        let qualifies = after.is_some_and(|word| {
            matches!(word.kind, TokenKind::Dot | TokenKind::OpeningRoundBracket)
        });
        let is_alias = before.is_some_and(|word| word.is("AS"));
        if !own
            && !section.is_empty()
            && !qualified
            && !qualifies
            && !is_alias
            && word.name().as_deref() == Some(name)
        {
            return Some(section);
        }
    }
    None
}
