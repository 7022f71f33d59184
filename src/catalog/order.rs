//! Which object needs which, from the definitions themselves: the server's dependency columns say nothing of views. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::canonical::{Word, words};
use crate::catalog::{Definition, DefinitionKind};
use crate::sql::{Span, TokenKind};

/// Objects that need each other, so that none can be made first.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("these objects need each other, so none of them can be made first: {}", .0.join(" → "))]
pub struct Cycle(pub Vec<String>);

/// Sorts definitions so that each stands behind what it needs; by name where that leaves a choice, functions first.
///
/// # Errors
/// [`Cycle`], with the names around it.
pub fn order(definitions: Vec<Definition>) -> Result<Vec<Definition>, Cycle> {
    let names: BTreeMap<String, usize> = definitions
        .iter()
        .enumerate()
        .map(|(index, definition)| (definition.name.clone(), index))
        .collect();
    let mut needs: Vec<BTreeSet<usize>> = Vec::with_capacity(definitions.len());
    for (index, definition) in definitions.iter().enumerate() {
        let mut found: BTreeSet<usize> = references(&definition.text)
            .iter()
            .filter_map(|name| names.get(name).copied())
            .filter(|needed| *needed != index)
            .collect();
        if definition.kind != DefinitionKind::Function {
            // A function is called by its name alone, anywhere.
            let called = words(&definition.text)
                .windows(2)
                .filter(
                    |pair| matches!(pair, [_, open] if open.kind == TokenKind::OpeningRoundBracket),
                )
                .filter_map(|pair| pair.first().and_then(Word::name))
                .filter_map(|name| names.get(&name).copied())
                .filter(|needed| {
                    definitions
                        .get(*needed)
                        .is_some_and(|it| it.kind == DefinitionKind::Function)
                })
                .collect::<Vec<_>>();
            found.extend(called);
        }
        needs.push(found);
    }
    let mut waiting: BTreeSet<(bool, String, usize)> = definitions
        .iter()
        .enumerate()
        .map(|(index, it)| (it.kind != DefinitionKind::Function, it.name.clone(), index))
        .collect();
    let mut users: Vec<Vec<usize>> = vec![Vec::new(); definitions.len()];
    let mut missing: Vec<usize> = needs.iter().map(BTreeSet::len).collect();
    for (index, needed) in needs.iter().enumerate() {
        for other in needed {
            if let Some(users) = users.get_mut(*other) {
                users.push(index);
            }
        }
    }
    let mut ready: BTreeSet<(bool, String, usize)> = waiting
        .iter()
        .filter(|(.., index)| missing.get(*index) == Some(&0))
        .cloned()
        .collect();
    let mut sorted = Vec::with_capacity(definitions.len());
    while let Some(next) = ready.pop_first() {
        waiting.remove(&next);
        for user in users.get(next.2).into_iter().flatten() {
            if let (Some(count), Some(it)) = (missing.get_mut(*user), definitions.get(*user)) {
                *count -= 1;
                if *count == 0 {
                    ready.insert((it.kind != DefinitionKind::Function, it.name.clone(), *user));
                }
            }
        }
        sorted.push(next.2);
    }
    if let Some((.., start)) = waiting.first() {
        return Err(around(*start, &needs, &waiting, &definitions));
    }
    let mut definitions: Vec<Option<Definition>> = definitions.into_iter().map(Some).collect();
    Ok(sorted
        .into_iter()
        .filter_map(|index| definitions.get_mut(index).and_then(Option::take))
        .collect())
}

/// A way from an object that waits back to itself: everything that waits needs something that waits.
fn around(
    start: usize,
    needs: &[BTreeSet<usize>],
    waiting: &BTreeSet<(bool, String, usize)>,
    definitions: &[Definition],
) -> Cycle {
    let waits: BTreeSet<usize> = waiting.iter().map(|(.., index)| *index).collect();
    let mut path = vec![start];
    let mut at = start;
    loop {
        let next = needs
            .get(at)
            .and_then(|needs| needs.iter().find(|needed| waits.contains(needed)));
        let Some(next) = next else { break };
        let seen = path.iter().position(|it| it == next);
        path.push(*next);
        if let Some(seen) = seen {
            path.drain(..seen);
            break;
        }
        at = *next;
    }
    Cycle(
        path.into_iter()
            .filter_map(|index| definitions.get(index).map(|it| it.name.clone()))
            .collect(),
    )
}

/// The names of one database that stand where a definition names a table, a view or a dictionary. More rather than fewer: the name of a
/// common table expression is among them.
#[must_use]
pub fn references(sql: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    collect(sql, &mut found, true, &mut Vec::new());
    found
}

/// Where the names of [`references`] stand outside of strings, each with the database before it.
#[must_use]
pub fn mentions(sql: &str) -> Vec<(String, Span)> {
    let mut mentions = Vec::new();
    collect(sql, &mut BTreeSet::new(), false, &mut mentions);
    mentions
}

fn collect(
    sql: &str,
    found: &mut BTreeSet<String>,
    strings: bool,
    mentions: &mut Vec<(String, Span)>,
) {
    let words = words(sql);
    // The depths at which a list of tables is open, so that a comma there is followed by a table.
    let mut lists: BTreeSet<usize> = BTreeSet::new();
    for (index, word) in words.iter().enumerate() {
        let before = |n: usize| index.checked_sub(n).and_then(|at| words.get(at));
        let opened =
            |n: usize| before(n).is_some_and(|it| it.kind == TokenKind::OpeningRoundBracket);
        if word.is("FROM") {
            lists.insert(word.depth);
        } else if ENDS_A_LIST.iter().any(|end| word.is(end))
            || word.kind == TokenKind::ClosingRoundBracket
        {
            lists.retain(|depth| {
                *depth < word.depth + usize::from(word.kind == TokenKind::ClosingRoundBracket)
            });
        }
        let Some(previous) = before(1) else { continue };
        let named = ["FROM", "JOIN", "TO", "INTO", "IN"]
            .iter()
            .any(|keyword| previous.is(keyword))
            || previous.kind == TokenKind::Comma && lists.contains(&previous.depth)
            || opened(1) && before(2).is_some_and(|it| it.is("IN") || takes_a_name(it.text));
        if named && let Some(name) = word.name() {
            // `db.name`: the part behind the dot.
            let dotted = words
                .get(index + 1)
                .is_some_and(|it| it.kind == TokenKind::Dot);
            let behind = words
                .get(index + 2)
                .filter(|_| dotted)
                .and_then(|it| Some((it.name()?, it.end)));
            let (name, end) = behind.unwrap_or((name, word.end));
            let start = word.start;
            mentions.push((name.clone(), Span { start, end }));
            found.insert(name);
        }
        let Some(string) = word.string().filter(|_| strings) else {
            continue;
        };
        if opened(1) && before(2).is_some_and(|it| takes_a_name(it.text)) {
            found.insert(string);
        } else if previous.is("TABLE") {
            // SOURCE(CLICKHOUSE(TABLE 't'))
            found.insert(string);
        } else if previous.is("QUERY") {
            collect(&string, found, false, &mut Vec::new());
        } else if previous.kind == TokenKind::Comma
            && index >= 6
            && words
                .iter()
                .take(index)
                .any(|it| it.depth == 0 && it.is("ENGINE"))
        {
            // Buffer(currentDatabase(), 't', …), Distributed('c', currentDatabase(), 't')
            found.insert(string);
        }
    }
}

const ENDS_A_LIST: [&str; 13] = [
    "WHERE",
    "PREWHERE",
    "GROUP",
    "ORDER",
    "HAVING",
    "LIMIT",
    "UNION",
    "SETTINGS",
    "WINDOW",
    "QUALIFY",
    "SELECT",
    "INTERSECT",
    "EXCEPT",
];

/// Whether a function's first argument names a dictionary or a table.
pub(super) fn takes_a_name(function: &str) -> bool {
    let function = function.to_ascii_lowercase();
    ["dictget", "dicthas", "dictisin", "joinget"]
        .iter()
        .any(|prefix| function.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(name: &str, text: &str) -> Definition {
        Definition {
            name: name.to_owned(),
            kind: DefinitionKind::View,
            text: text.to_owned(),
            as_text: false,
        }
    }

    #[test]
    fn tables_are_found_where_tables_stand() {
        let of = |sql: &str| references(sql).into_iter().collect::<Vec<_>>().join(" ");
        assert_eq!(
            of(
                "CREATE MATERIALIZED VIEW m TO t AS SELECT a.x, (SELECT 1 FROM b, c) FROM d AS a, `e f` LEFT JOIN g ON 1 WHERE x IN (h) AND y, z"
            ),
            "b c d e f g h t"
        );
        assert_eq!(
            of("CREATE VIEW v AS SELECT dictGet('d', 'x', a), joinGet(j, 'k') FROM db.t"),
            "d j t"
        );
        assert_eq!(
            of(
                "CREATE DICTIONARY d (a UInt64) PRIMARY KEY a SOURCE(CLICKHOUSE(QUERY 'SELECT a FROM q'))"
            ),
            "q"
        );
        assert_eq!(
            of("CREATE TABLE b (a UInt64) ENGINE = Buffer(currentDatabase(), 't', 1)"),
            "t"
        );
    }

    #[test]
    fn what_is_needed_stands_before_and_a_cycle_is_named() {
        let names = |definitions| {
            order(definitions)
                .map(|sorted| sorted.into_iter().map(|it| it.name).collect::<Vec<_>>())
        };
        assert_eq!(
            names(vec![
                definition("a", "CREATE VIEW a AS SELECT 1 FROM z"),
                definition("b", "CREATE VIEW b AS SELECT 1"),
                definition("z", "CREATE VIEW z AS SELECT 1 FROM b"),
            ]),
            Ok(vec!["b".to_owned(), "z".to_owned(), "a".to_owned()])
        );
        assert_eq!(
            names(vec![
                definition("a", "CREATE VIEW a AS SELECT 1 FROM b"),
                definition("b", "CREATE VIEW b AS SELECT 1 FROM c"),
                definition("c", "CREATE VIEW c AS SELECT 1 FROM b"),
            ]),
            Err(Cycle(vec!["b".to_owned(), "c".to_owned(), "b".to_owned()]))
        );
    }
}
