//! How each trace of a statement shows: a look at its tables now, held against the one before it. Pure.

use std::collections::BTreeMap;

use crate::apply::witness::{Key, Look, Mutation, Part, Seen, TableMark, Witness, is_merge_tree};
use crate::clickhouse::{identifier, literal};
use crate::plan::{Sign, Trace};
use crate::sql::ObjectName;

/// How a trace shows, and what has to be cleared away before the statement is executed again.
pub(super) struct Found {
    pub(super) what: &'static str,
    pub(super) sign: Sign,
    /// Copies of parts that a statement made before it was torn off: `ALTER TABLE … DROP PART …`, `… DROP DETACHED PART …`.
    pub(super) debris: Vec<String>,
}

/// Looks for a trace other than of definitions. `table` is the first that the statement names.
pub(super) fn find(
    trace: &Trace,
    table: &Key,
    database: &str,
    then: &Witness,
    now: &Look,
    formatted: Option<&str>,
) -> Found {
    let nothing = Seen::default();
    let seen = now.get(table).unwrap_or(&nothing);
    let mark = then.table(table);
    let found = |what, sign| Found {
        what,
        sign,
        debris: Vec::new(),
    };
    let key = |name: &ObjectName| -> Key {
        let database = name.database.as_deref().unwrap_or(database);
        (database.to_owned(), name.name.clone())
    };
    match trace {
        Trace::Definitions => found("the definitions", Sign::Unseen),
        Trace::Replacement => found("the UUIDs", replaced_table(mark, now.get(table))),
        Trace::Exchange => found("the UUIDs", exchanged(then, now)),
        Trace::Mutation => found("the mutations", mutation(mark, seen, formatted)),
        Trace::Added => found("the rows of its tables", added(then, now)),
        Trace::Taken(partition) => found(
            "the rows that it takes away",
            taken(mark, seen, partition.as_deref()),
        ),
        Trace::Detached(partition) => {
            let wanted = Some(partition.as_str());
            Found {
                what: "the rows that it takes away",
                sign: taken(mark, seen, wanted),
                debris: mark.map_or_else(Vec::new, |mark| clones(table, mark, seen, wanted)),
            }
        }
        Trace::Moved(partition, to) => {
            let wanted = Some(partition.as_str());
            let target = now.get(&key(to));
            let sign = taken(mark, seen, wanted);
            Found {
                what: "the rows of the partition",
                sign,
                debris: target.map_or_else(Vec::new, |target| {
                    copies(table, seen, wanted, &sums(target, then.table(&key(to))))
                }),
            }
        }
        Trace::Copied(partition, from) => {
            let wanted = Some(partition.as_str());
            let source = now.get(&key(from)).unwrap_or(&nothing);
            let own = count(source.live(wanted));
            let (all, arrived) = (own.values().sum::<usize>(), common(&own, &sums(seen, mark)));
            let others = mark.is_none_or(|mark| seen.live(wanted).any(|part| mark.has_new(part)));
            let sign = if own.is_empty() {
                Sign::Unseen
            } else if arrived == all {
                Sign::After
            } else if arrived > 0 || !others {
                Sign::Before
            } else {
                Sign::Neither(vec![format!(
                    "rows were added to the partition of `{}` since, and none of its parts is one of `{}`",
                    table.1, from.name
                )])
            };
            Found {
                what: "the parts of the partition",
                sign,
                debris: copies(table, seen, wanted, &own),
            }
        }
        Trace::Replaced(partition, from) => {
            let wanted = Some(partition.as_str());
            let source = now.get(&key(from)).unwrap_or(&nothing);
            let own = count(source.live(wanted));
            let (all, arrived) = (own.values().sum::<usize>(), common(&own, &sums(seen, mark)));
            let had = mark.map_or(0, |mark| mark.rows(wanted));
            let any = seen.live(wanted).next().is_some();
            let sign = match mark {
                None => Sign::Unseen,
                Some(mark) if had > 0 && mark.remaining(seen, wanted) == 0 => Sign::After,
                Some(_) if had > 0 || !any || (arrived > 0 && arrived < all) => Sign::Before,
                Some(_) if arrived == all && arrived > 0 => Sign::After,
                Some(_) => Sign::Neither(vec![format!(
                    "the partition of `{}` was empty and has rows now, and none of its parts is one of `{}`",
                    table.1, from.name
                )]),
            };
            found("the parts of the partition", sign)
        }
        Trace::Attached(partition) => found("the detached parts", attached(partition, mark, seen)),
    }
}

/// Whether the rows that were there, of one partition or of all, are gone.
fn taken(mark: Option<&TableMark>, seen: &Seen, wanted: Option<&str>) -> Sign {
    match mark {
        Some(mark) if mark.rows(wanted) > 0 => {
            if mark.remaining(seen, wanted) == 0 {
                Sign::After
            } else {
                Sign::Before
            }
        }
        _ => Sign::Unseen,
    }
}

/// Detached parts that were made from parts which are all still there, as statements that remove them. DETACH PARTITION clones a partition's
/// parts before it takes them away. If a single row of the partition is missing, nothing is called a clone.
fn clones(table: &Key, then: &TableMark, seen: &Seen, wanted: Option<&str>) -> Vec<String> {
    if then.remaining(seen, wanted) != then.rows(wanted) {
        return Vec::new();
    }
    let new = seen.detached.iter().filter(|part| {
        !then.detached.contains(&part.name) && then.had_block(part.blocks(), wanted)
    });
    new.map(|part| {
        format!(
            "ALTER TABLE {}.{} DROP DETACHED PART {} SETTINGS allow_drop_detached = 1",
            identifier(&table.0),
            identifier(&table.1),
            literal(&part.name)
        )
    })
    .collect()
}

/// The parts of a partition that are among these as well, as statements that take them away.
fn copies(table: &Key, seen: &Seen, wanted: Option<&str>, others: &Sums<'_>) -> Vec<String> {
    let mut left = others.clone();
    let mut statements = Vec::new();
    for part in seen.live(wanted) {
        if let Some(parts) = left
            .get_mut(part.hash_of_all_files.as_str())
            .filter(|parts| **parts > 0)
        {
            *parts -= 1;
            statements.push(format!(
                "ALTER TABLE {}.{} DROP PART {}",
                identifier(&table.0),
                identifier(&table.1),
                literal(&part.name)
            ));
        }
    }
    statements
}

/// The parts of a table that are in another one already.
pub(super) fn copies_in(
    table: &Key,
    now: &Look,
    other: &Key,
    then: Option<&TableMark>,
) -> Vec<String> {
    match (now.get(table), now.get(other)) {
        (Some(seen), Some(other)) => copies(table, seen, None, &sums(other, then)),
        _ => Vec::new(),
    }
}

fn has_uuid(uuid: &str) -> bool {
    uuid.chars().any(|c| c.is_ascii_hexdigit() && c != '0')
}

fn replaced_table(then: Option<&TableMark>, now: Option<&Seen>) -> Sign {
    match (then, now) {
        (Some(then), Some(now)) if has_uuid(&then.uuid) && has_uuid(&now.uuid) => {
            if then.uuid == now.uuid {
                Sign::Before
            } else {
                Sign::After
            }
        }
        _ => Sign::Unseen,
    }
}

fn exchanged(then: &Witness, now: &Look) -> Sign {
    let [one, other] = then.tables.as_slice() else {
        return Sign::Unseen;
    };
    let now = |mark: &TableMark| {
        now.get(&(mark.database.clone(), mark.name.clone()))
            .map(|seen| seen.uuid.clone())
            .unwrap_or_default()
    };
    if !has_uuid(&one.uuid) || !has_uuid(&other.uuid) {
        return Sign::Unseen;
    }
    if now(one) == one.uuid && now(other) == other.uuid {
        Sign::Before
    } else if now(one) == other.uuid && now(other) == one.uuid {
        Sign::After
    } else {
        Sign::Neither(vec![format!(
            "`{}` and `{}` are neither as before nor each in the other's place",
            one.name, other.name
        )])
    }
}

fn added(then: &Witness, now: &Look) -> Sign {
    let mut told = false;
    for mark in &then.tables {
        let Some(seen) = now.get(&(mark.database.clone(), mark.name.clone())) else {
            return Sign::Unseen;
        };
        if mark.engine.ends_with("View") || mark.engine == "Null" {
            continue;
        }
        if !is_merge_tree(&mark.engine) || mark.uuid != seen.uuid {
            return Sign::Unseen;
        }
        told = true;
        if seen.live(None).any(|part| mark.has_new(part)) {
            return Sign::Unseen;
        }
    }
    if told { Sign::Before } else { Sign::Unseen }
}

/// The mutations that a table has now and had not then.
pub(super) fn since<'a>(
    then: Option<&'a TableMark>,
    now: &'a Seen,
) -> impl Iterator<Item = &'a Mutation> {
    now.mutations
        .iter()
        .filter(move |it| then.is_none_or(|then| !then.mutations.contains(&it.id)))
}

fn mutation(then: Option<&TableMark>, now: &Seen, formatted: Option<&str>) -> Sign {
    let Some(then) = then.filter(|then| is_merge_tree(&then.engine)) else {
        return Sign::Unseen;
    };
    let new: Vec<&Mutation> = since(Some(then), now).collect();
    if new.is_empty() {
        return Sign::Before;
    }
    let squeeze = |text: &str| -> String {
        text.chars()
            .filter(|c| !c.is_whitespace() && !matches!(c, '(' | ')' | '`'))
            .collect()
    };
    // A lightweight DELETE is registered as the UPDATE of a mask, with the same condition.
    let ours = |mutation: &&Mutation| {
        formatted.is_none_or(|formatted| {
            let command = squeeze(&mutation.command);
            let command = command
                .strip_prefix("UPDATE_row_exists=0")
                .unwrap_or(&command);
            squeeze(formatted).contains(command)
        })
    };
    if new.iter().any(ours) {
        Sign::After
    } else {
        let mut found = vec![format!(
            "`{}` has a mutation that nobody wrote down:",
            then.name
        )];
        found.extend(new.iter().map(|it| format!("{} {}", it.id, it.command)));
        Sign::Neither(found)
    }
}

fn attached(partition: &str, then: Option<&TableMark>, now: &Seen) -> Sign {
    let wanted: String = match partition.split_once(char::is_whitespace) {
        Some((word, id)) if word.eq_ignore_ascii_case("ID") => id.to_owned(),
        _ => partition.to_owned(),
    };
    let wanted: String = wanted.chars().filter(char::is_ascii_alphanumeric).collect();
    let of = |name: &str| {
        partition.eq_ignore_ascii_case("ALL") || name.split('_').next() == Some(&wanted)
    };
    let had = then.map_or(0, |then| {
        then.detached.iter().filter(|name| of(name)).count()
    });
    if had == 0 {
        return Sign::Unseen;
    }
    if let Some(half) = now.detached.iter().find(|part| {
        part.name.starts_with("attaching_")
            && then.is_none_or(|then| !then.detached.contains(&part.name))
    }) {
        return Sign::Neither(vec![format!(
            "the detached part `{}` was being attached when the server ended (partition {})",
            half.name,
            half.partition_id.as_deref().unwrap_or("unknown")
        )]);
    }
    if now.detached.iter().any(|part| of(&part.name)) {
        Sign::Before
    } else {
        Sign::After
    }
}

/// The sums over the files of parts, and how many parts have each: two with the same rows have the same.
type Sums<'a> = BTreeMap<&'a str, usize>;

fn count<'a>(parts: impl Iterator<Item = &'a Part>) -> Sums<'a> {
    let mut sums = Sums::new();
    for part in parts {
        *sums.entry(part.hash_of_all_files.as_str()).or_default() += 1;
    }
    sums
}

/// How many parts both have.
fn common(one: &Sums<'_>, other: &Sums<'_>) -> usize {
    one.iter()
        .map(|(sum, parts)| *parts.min(other.get(sum).unwrap_or(&0)))
        .sum()
}

/// The parts that came after the statement began, also those that were merged since.
fn sums<'a>(seen: &'a Seen, mark: Option<&TableMark>) -> Sums<'a> {
    count(
        seen.parts
            .iter()
            .filter(|part| mark.is_none_or(|mark| mark.is_new(part))),
    )
}
