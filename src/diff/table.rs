//! What ALTER TABLE makes of one table another, and what it cannot. One command a statement: each is atomic, and a run that stops goes on
//! at the next.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{Definition, Word, words};
use crate::clickhouse::identifier;
use crate::diff::columns::rising;
use crate::diff::order::Part;
use crate::diff::shape::{Column, Item, Table};
use crate::diff::{Read, Refusal, Statement, quoted};
use crate::sql::TokenKind;

/// Compares two tables; `renamed`: the columns that have another name, old → new; `read`: what
/// materialized views read there.
pub(super) fn alter(
    definition: &Definition,
    old: &Table,
    new: &Table,
    renamed: &BTreeMap<String, String>,
    read: &Read,
) -> Part {
    let mut made = Making {
        definition,
        was: old,
        old: old.clone(),
        new,
        read,
        out: Part::default(),
        keyed: BTreeSet::new(),
    };
    made.engine();
    let extension = if made.out.refusals.is_empty() {
        made.keys()
    } else {
        None
    };
    if made.out.refusals.is_empty() {
        made.items_away(renamed);
        made.rename(renamed);
        made.columns(extension);
        made.table();
        made.items_back();
    }
    made.out
}

/// An engine's tables that hold no rows: such a table can be made anew.
const HOLD_NOTHING: [&str; 9] = [
    "Kafka",
    "RabbitMQ",
    "NATS",
    "Distributed",
    "Merge",
    "Null",
    "Dictionary",
    "GenerateRandom",
    "URL",
];

/// Whether a table of this engine holds no rows.
pub(super) fn holds_nothing(engine: &str) -> bool {
    HOLD_NOTHING.contains(&engine)
}

pub(super) struct Making<'a> {
    definition: &'a Definition,
    /// Before anything.
    was: &'a Table,
    /// With the new names of columns.
    pub(super) old: Table,
    pub(super) new: &'a Table,
    pub(super) read: &'a Read,
    pub(super) out: Part,
    /// The columns that the keys read.
    pub(super) keyed: BTreeSet<String>,
}

/// What the sorting key is extended by.
pub(super) struct Extension {
    /// `(a, b)`
    pub(super) key: String,
    /// The new columns that it reads.
    pub(super) columns: BTreeSet<String>,
    /// Whether it loses a column that the table loses too.
    pub(super) drops: bool,
}

impl Making<'_> {
    pub(super) fn statement(&self, does: String, command: &str) -> Statement {
        Statement::new(
            self.definition,
            does,
            format!("ALTER TABLE {} {command}", self.new.name),
        )
    }

    pub(super) fn safe(&mut self, does: impl Into<String>, command: impl AsRef<str>) {
        let statement = self.statement(does.into(), command.as_ref());
        self.out.safe.push(statement);
    }

    pub(super) fn late(
        &mut self,
        destroys: impl Into<String>,
        does: impl Into<String>,
        command: &str,
    ) {
        let statement = self.statement(does.into(), command);
        self.out.late.push(statement.destroys(destroys));
    }

    pub(super) fn refuse(
        &mut self,
        what: impl Into<String>,
        why: &str,
        instead: impl Into<String>,
    ) {
        self.out
            .refusals
            .push(Refusal::new(self.definition, what, why, instead));
    }

    fn engine(&mut self) {
        if self.was.engine != self.new.engine {
            self.refuse(
                format!(
                    "the engine, from {} to {}",
                    self.was.engine, self.new.engine
                ),
                "the engine of a table cannot be altered",
                beside(&self.new.name),
            );
        }
        for (clause, what) in [
            ("PARTITION BY", "the partition key"),
            ("AS", "the table function"),
        ] {
            if self.was.clause(clause) != self.new.clause(clause) {
                self.refuse(
                    format!(
                        "{what}, from {} to {}",
                        self.was.clause(clause).unwrap_or("none"),
                        self.new.clause(clause).unwrap_or("none")
                    ),
                    "it cannot be altered: the parts on disk are made by it",
                    beside(&self.new.name),
                );
            }
        }
    }

    /// The keys; how the sorting key is extended, if it is.
    fn keys(&mut self) -> Option<Extension> {
        for clause in ["PARTITION BY", "PRIMARY KEY", "ORDER BY", "SAMPLE BY"] {
            self.keyed
                .extend(named(self.new.clause(clause).unwrap_or_default()));
        }
        let (was, is) = (self.was.sorting_key(), self.new.sorting_key());
        let (primary, primary_is) = (self.was.primary_key(), self.new.primary_key());
        if primary != primary_is {
            let grew = is.len() > was.len() && is.starts_with(&was);
            let instead = if grew {
                format!(
                    "write `PRIMARY KEY ({})` before the longer ORDER BY: the primary key stays when the sorting key grows",
                    primary.join(", ")
                )
            } else {
                beside(&self.new.name)
            };
            self.refuse(
                format!(
                    "the primary key, from ({}) to ({})",
                    primary.join(", "),
                    primary_is.join(", ")
                ),
                "it cannot be altered: the rows on disk are sorted by it",
                instead,
            );
            return None;
        }
        if was == is {
            return None;
        }
        let same = was.iter().zip(&is).take_while(|(a, b)| a == b).count();
        let what = format!(
            "the sorting key, from ({}) to ({})",
            was.join(", "),
            is.join(", ")
        );
        let key = self.new.clause("ORDER BY").unwrap_or_default().to_owned();
        let mut columns = BTreeSet::new();
        for element in is.iter().skip(same) {
            let of_element: Vec<&Column> = named(element)
                .iter()
                .filter_map(|name| self.new.column(name))
                .collect();
            let added = !of_element.is_empty()
                && of_element
                    .iter()
                    .all(|column| self.was.column(&column.name).is_none());
            if !added {
                self.refuse(
                    what,
                    "it can only grow at its end, by columns that are added with it: the rows on disk are sorted by it",
                    beside(&self.new.name),
                );
                return None;
            }
            if let Some(column) = of_element.iter().find(|column| column.default.is_some()) {
                let help = format!("add `{}` to the key without a default", column.name);
                self.refuse(
                    what,
                    "a column with a default cannot join the sorting key: the rows on disk would not be sorted by it",
                    help,
                );
                return None;
            }
            columns.extend(of_element.iter().map(|column| column.name.clone()));
        }
        // A column that leaves key and table has to come back to both in one statement.
        let drops = was
            .iter()
            .skip(same)
            .flat_map(|element| named(element))
            .any(|name| self.was.column(&name).is_some() && self.new.column(&name).is_none());
        Some(Extension {
            key,
            columns,
            drops,
        })
    }

    /// Indices, constraints and projections that go, and those that come again as others.
    fn items_away(&mut self, renamed: &BTreeMap<String, String>) {
        let breaks = |item: &Item| named(&item.text).iter().any(|it| renamed.contains_key(it));
        self.old.projections.retain(|item| !breaks(item));
        rename_in(&mut self.old, renamed);
        for (word, what, was, old, new, ordered) in [
            (
                "PROJECTION",
                "projection",
                &self.was.projections,
                &self.old.projections,
                &self.new.projections,
                true,
            ),
            (
                "INDEX",
                "index",
                &self.was.indices,
                &self.old.indices,
                &self.new.indices,
                true,
            ),
            (
                "CONSTRAINT",
                "constraint",
                &self.was.constraints,
                &self.old.constraints,
                &self.new.constraints,
                false,
            ),
        ] {
            let kept = kept(old, new, ordered);
            for item in was.iter().filter(|item| !kept.contains(&item.quoted)) {
                let again = new.iter().any(|other| other.quoted == item.quoted);
                let does = if again {
                    format!(
                        "{what} {} makes room for the one that it becomes",
                        item.quoted
                    )
                } else {
                    format!("{what} {} is gone", item.quoted)
                };
                let command = format!("DROP {word} {}", item.quoted);
                let statement = self.statement(does, &command);
                self.out.safe.push(statement);
            }
        }
    }

    fn items_back(&mut self) {
        let mut made = Vec::new();
        for (word, what, old, new, ordered) in [
            ("INDEX", "index", &self.old.indices, &self.new.indices, true),
            (
                "CONSTRAINT",
                "constraint",
                &self.old.constraints,
                &self.new.constraints,
                false,
            ),
            (
                "PROJECTION",
                "projection",
                &self.old.projections,
                &self.new.projections,
                true,
            ),
        ] {
            let kept = kept(old, new, ordered);
            let mut there: Vec<&str> = new
                .iter()
                .filter(|item| kept.contains(&item.quoted))
                .map(|item| item.quoted.as_str())
                .collect();
            for (index, item) in new.iter().enumerate() {
                if kept.contains(&item.quoted) {
                    continue;
                }
                let before = index.checked_sub(1).and_then(|at| new.get(at));
                let place = match before {
                    _ if !ordered || there.is_empty() => String::new(),
                    None => " FIRST".to_owned(),
                    Some(before) if there.last() == Some(&before.quoted.as_str()) => String::new(),
                    Some(before) => format!(" AFTER {}", before.quoted),
                };
                let at = before.map_or(0, |before| {
                    there
                        .iter()
                        .position(|it| *it == before.quoted)
                        .map_or(0, |at| at + 1)
                });
                there.insert(at.min(there.len()), &item.quoted);
                let was = [
                    &self.was.indices,
                    &self.was.constraints,
                    &self.was.projections,
                ];
                let does = if was
                    .into_iter()
                    .flatten()
                    .any(|it| it.is(word, &item.quoted))
                {
                    format!("{what} {} as it is now", item.quoted)
                } else {
                    format!("{what} {} is new", item.quoted)
                };
                let statement = self.statement(does, &format!("ADD {}{place}", item.text));
                made.push(match word {
                    "CONSTRAINT" => statement.note("rows that are there are not checked"),
                    _ => statement.note(format!(
                        "for new parts; `ALTER TABLE {} MATERIALIZE {word} {}` makes it for those that are there",
                        self.new.name, item.quoted
                    )),
                });
            }
        }
        self.out.safe.extend(made);
    }

    fn rename(&mut self, renamed: &BTreeMap<String, String>) {
        for (from, to) in renamed {
            if self.keyed.contains(to) {
                self.refuse(
                    format!("the name of column `{from}`"),
                    "it is part of a key, whose columns cannot be renamed",
                    beside(&self.new.name),
                );
                continue;
            }
            let nested = |name: &str| name.split_once('.').map(|(nested, _)| nested.to_owned());
            if nested(from) != nested(to) {
                self.refuse(
                    format!("the name of column `{from}`, which becomes `{to}`"),
                    "what stands before a dot is the name of a Nested, and ClickHouse renames no column into or out of one",
                    "add a column under the new name, fill it by a mutation, and drop the old one in a later migration",
                );
                continue;
            }
            let statement = self.statement(
                format!("column `{from}` is called `{to}`"),
                &format!("RENAME COLUMN {} TO {}", identifier(from), identifier(to)),
            );
            let note = "inserts fail in the materialized view that reads it, from here until its MODIFY QUERY";
            let statement = if self.read.before.contains(from) {
                statement.note(note)
            } else {
                statement
            };
            self.out.safe.push(statement);
        }
    }

    /// TTL, sampling, settings, comment.
    fn table(&mut self) {
        match (self.old.clause("TTL"), self.new.clause("TTL")) {
            (was, is) if was == is => {}
            (_, None) => self.safe("no TTL any more", "REMOVE TTL"),
            (_, Some(is)) => {
                let command = format!("MODIFY TTL {is}");
                self.late(
                    "rows that are older than the TTL",
                    format!("TTL {is}"),
                    &command,
                );
            }
        }
        match (self.old.clause("SAMPLE BY"), self.new.clause("SAMPLE BY")) {
            (was, is) if was == is => {}
            (_, None) => self.safe("no sampling any more", "REMOVE SAMPLE BY"),
            (_, Some(is)) => self.safe(
                format!("sampling by {is}"),
                format!("MODIFY SAMPLE BY {is}"),
            ),
        }
        for (name, value) in &self.new.settings {
            if self.old.settings.get(name) != Some(value) {
                let set = format!("{name} = {value}");
                self.safe(format!("setting {set}"), format!("MODIFY SETTING {set}"));
            }
        }
        for name in self.was.settings.keys() {
            if !self.new.settings.contains_key(name) {
                self.safe(
                    format!("setting {name} is gone"),
                    format!("RESET SETTING {name}"),
                );
            }
        }
        let comment = |table: &Table| table.clause("COMMENT").unwrap_or("''").to_owned();
        let is = comment(self.new);
        if comment(self.was) != is {
            self.safe("the comment", format!("MODIFY COMMENT {is}"));
        }
    }
}

/// What to do about what no ALTER does.
fn beside(table: &str) -> String {
    format!(
        "make the table beside {table} under another name, as in `{}_v2`, fill it with INSERT … SELECT, and let readers and views name it; \
         for the target of a materialized view put that beside it too, and `diff` makes a rebuild of them",
        table.trim_matches('`')
    )
}

/// The names of those that stay as they are and where they are. Without `ordered`, new ones can only be added at the end.
fn kept(old: &[Item], new: &[Item], ordered: bool) -> BTreeSet<String> {
    let places: Vec<Option<usize>> = new
        .iter()
        .map(|item| old.iter().position(|other| other == item))
        .collect();
    let stay: Vec<usize> = if ordered {
        rising(&places.into_iter().flatten().collect::<Vec<_>>())
    } else {
        let mut stay: Vec<usize> = Vec::new();
        for place in places {
            match place {
                Some(place) if stay.last().is_none_or(|last| *last < place) => stay.push(place),
                _ => break,
            }
        }
        stay
    };
    stay.into_iter()
        .filter_map(|at| old.get(at).map(|item| item.quoted.clone()))
        .collect()
}

/// The names that stand in an expression.
pub(super) fn named(expression: &str) -> BTreeSet<String> {
    words(expression).iter().filter_map(Word::name).collect()
}

/// What RENAME COLUMN does to a table's definition: the engine follows a column into defaults, TTLs, indices and constraints.
fn rename_in(table: &mut Table, renamed: &BTreeMap<String, String>) {
    if renamed.is_empty() {
        return;
    }
    for column in &mut table.columns {
        if let Some((_, expression)) = &mut column.default {
            *expression = renamed_in(expression, renamed);
        }
        if let Some(ttl) = column.clauses.get_mut("TTL") {
            *ttl = renamed_in(ttl, renamed);
        }
        if let Some(name) = renamed.get(&column.name) {
            column.name.clone_from(name);
            column.quoted = identifier(name);
        }
    }
    for item in table.indices.iter_mut().chain(&mut table.constraints) {
        // INDEX name …: what is renamed stands behind the name.
        let at = words(&item.text).get(1).map_or(0, |name| name.end);
        let (head, body) = item.text.split_at(at);
        item.text = format!("{head}{}", renamed_in(body, renamed));
    }
    if let Some(ttl) = table.clauses.get_mut("TTL") {
        *ttl = renamed_in(ttl, renamed);
    }
}

fn renamed_in(expression: &str, renamed: &BTreeMap<String, String>) -> String {
    let words = words(expression);
    let mut text = String::with_capacity(expression.len());
    let mut at = 0;
    for (index, word) in words.iter().enumerate() {
        let called = words
            .get(index + 1)
            .is_some_and(|next| next.kind == TokenKind::OpeningRoundBracket);
        let Some(name) = word
            .name()
            .and_then(|name| renamed.get(&name))
            .filter(|_| !called)
        else {
            continue;
        };
        text.push_str(expression.get(at..word.start).unwrap_or_default());
        text.push_str(&quoted(name));
        at = word.end;
    }
    text.push_str(expression.get(at..).unwrap_or_default());
    text
}
