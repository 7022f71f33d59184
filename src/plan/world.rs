//! The target as it will be when the statements of a plan so far are executed, and the views that a statement leaves without what they
//! read or write. Pure; what a statement costs is not known here.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{Holding, Holdings};
use crate::plan::partition::{is_partition, partition};
use crate::sql::{Header, Kind, ObjectName, TokenKind, reads, tokens};

pub(super) type Key = (String, String);

/// The target as it will be when the statements so far are executed.
#[derive(Debug)]
pub(crate) struct World {
    pub(super) database: String,
    /// Whether the server says what it holds.
    pub(super) known: bool,
    pub(super) objects: BTreeMap<Key, Holding>,
    /// The rows that a DELETE would find now, by its text.
    matching: BTreeMap<String, u64>,
    /// What statements so far have named.
    named: BTreeSet<Key>,
}

impl World {
    pub(crate) fn of(holdings: &Holdings) -> Self {
        Self {
            database: holdings.database.clone(),
            known: holdings.objects.is_some(),
            objects: holdings.objects.clone().unwrap_or_default(),
            matching: holdings.matching.clone(),
            named: BTreeSet::new(),
        }
    }

    pub(super) fn key(&self, name: &ObjectName) -> Key {
        let database = name.database.as_ref().unwrap_or(&self.database);
        (database.clone(), name.name.clone())
    }

    /// The one object that a statement is about.
    pub(super) fn only(&self, header: &Header) -> Option<&Holding> {
        self.objects.get(&self.key(header.objects.first()?))
    }

    /// The rows that a DELETE finds, if they were counted and no statement before it has had to do with its table.
    pub(super) fn matching(&self, header: &Header, sql: &str) -> Option<u64> {
        let key = self.key(header.objects.first()?);
        let counted = self.matching.get(sql).copied();
        counted.filter(|_| !self.named.contains(&key))
    }

    /// The views that the statement leaves without what they read or write.
    pub(super) fn breaks(&self, header: &Header, sql: &str) -> Vec<String> {
        let mut breaks = Vec::new();
        let gone: Vec<Key> = match header.kind {
            Kind::Drop | Kind::Detach if !header.label.ends_with("DATABASE") => {
                header.objects.iter().map(|name| self.key(name)).collect()
            }
            Kind::Rename => header
                .objects
                .iter()
                .step_by(2)
                .map(|name| self.key(name))
                .collect(),
            _ => Vec::new(),
        };
        let verb = if header.kind == Kind::Rename {
            "renamed"
        } else {
            "gone"
        };
        for object in gone.iter().filter(|key| self.objects.contains_key(key)) {
            for (view, holding) in self.views().filter(|(view, _)| !gone.contains(view)) {
                if self.writes(holding, object) {
                    breaks.push(format!(
                        "materialized view `{}` writes to `{}`, which is then {verb}: every INSERT into its source fails",
                        view.1, object.1
                    ));
                } else if self.reads(holding, object) {
                    breaks.push(format!(
                        "view `{}` reads `{}`, which is then {verb}",
                        view.1, object.1
                    ));
                }
            }
        }
        if header.kind == Kind::Exchange {
            for pair in header.objects.chunks_exact(2) {
                let (one, other) = (self.key(&pair[0]), self.key(&pair[1]));
                for (table, was) in [(&one, &other), (&other, &one)] {
                    for (view, _) in self.views().filter(|(_, view)| self.writes(view, table)) {
                        breaks.push(format!(
                            "materialized view `{}` writes to `{}`, which is then what `{}` was",
                            view.1, table.1, was.1
                        ));
                    }
                }
            }
        }
        if header.kind == Kind::Alter
            && let Some(table) = header.objects.first().map(|name| self.key(name))
        {
            for command in &header.commands {
                let Some(column) = &command.name else {
                    continue;
                };
                let what = match command.words {
                    "DROP COLUMN" => "is then gone",
                    "RENAME COLUMN" => "is then renamed",
                    "MODIFY COLUMN" if self.changes_type(&table, column, command.rest.of(sql)) => {
                        "then has another type"
                    }
                    _ => continue,
                };
                for (view, holding) in self.views() {
                    let trigger = holding.engine == "MaterializedView";
                    if command.words == "MODIFY COLUMN" && !trigger {
                        // A plain view is read with the type that is there then.
                        continue;
                    }
                    if self.reads(holding, &table) && names(&holding.create, column) {
                        breaks.push(format!(
                            "{} `{}` reads column `{column}` of `{}`, which {what}",
                            if trigger { "materialized view" } else { "view" },
                            view.1,
                            table.1
                        ));
                    }
                }
            }
        }
        breaks
    }

    fn views(&self) -> impl Iterator<Item = (&Key, &Holding)> {
        self.objects
            .iter()
            .filter(|(_, holding)| holding.engine.ends_with("View"))
    }

    /// Whether a materialized view writes to a table that it names.
    fn writes(&self, view: &Holding, table: &Key) -> bool {
        crate::sql::header(&view.create)
            .target
            .is_some_and(|target| self.key(&target) == *table)
    }

    /// Whether a view reads an object. What sqlparser does not read is looked for as a word.
    fn reads(&self, view: &Holding, object: &Key) -> bool {
        let qualified = format!("{}.{}", object.0, object.1);
        match reads(&view.create) {
            Some(tables) => tables.iter().any(|table| {
                *table == qualified || (*table == object.1 && object.0 == self.database)
            }),
            None => names(&view.create, &object.1),
        }
    }

    /// What is there after the statement.
    pub(super) fn happen(&mut self, header: &Header, sql: &str) {
        let keys: Vec<Key> = header.objects.iter().map(|name| self.key(name)).collect();
        self.named.extend(keys.iter().cloned());
        match header.kind {
            Kind::Drop | Kind::Detach => {
                for key in &keys {
                    self.objects.remove(key);
                }
            }
            Kind::Truncate => {
                for key in &keys {
                    if let Some(object) = self.objects.get_mut(key) {
                        object.rows = Some(0);
                        object.bytes = 0;
                        object.parts = 0;
                        object.partitions.clear();
                    }
                }
            }
            Kind::Rename | Kind::Exchange => {
                for pair in keys.chunks_exact(2) {
                    let (from, to) = (self.objects.remove(&pair[0]), self.objects.remove(&pair[1]));
                    if let Some(from) = from {
                        self.objects.insert(pair[1].clone(), from);
                    }
                    if let Some(to) = to.filter(|_| header.kind == Kind::Exchange) {
                        self.objects.insert(pair[0].clone(), to);
                    }
                }
            }
            Kind::CreateView | Kind::CreateMaterializedView => {
                let engine = if header.kind == Kind::CreateView {
                    "View"
                } else {
                    "MaterializedView"
                };
                let view = Holding {
                    engine: engine.to_owned(),
                    create: sql.to_owned(),
                    rows: Some(0),
                    ..Holding::default()
                };
                for key in keys {
                    self.objects.insert(key, view.clone());
                }
            }
            Kind::Alter => self.partitions(header, sql),
            _ => {}
        }
    }

    /// Partitions that an ALTER takes away, and those that it carries into another table: they are the target's own there too.
    fn partitions(&mut self, header: &Header, sql: &str) {
        let Some(key) = header.objects.first().map(|name| self.key(name)) else {
            return;
        };
        for command in &header.commands {
            let (wanted, other) = partition(command.rest.of(sql));
            let to = match (command.words, other) {
                ("DROP PARTITION" | "DETACH PARTITION", _) => None,
                ("MOVE PARTITION", Some((word, table))) if word == "TABLE" => {
                    Some(self.key(&table))
                }
                _ => continue,
            };
            let Some(from) = self.objects.get_mut(&key) else {
                continue;
            };
            let shape = Holding {
                rows: Some(0),
                bytes: 0,
                parts: 0,
                partitions: Vec::new(),
                ..from.clone()
            };
            let taken = from.take(|it| is_partition(&wanted, &it.id, &it.partition));
            let rows = if taken.is_empty() {
                // Which it is cannot be told: as many as there are.
                from.rows
            } else {
                Some(taken.iter().map(|it| it.rows).sum())
            };
            if let Some(to) = to {
                self.named.insert(to.clone());
                let to = self.objects.entry(to).or_insert(shape);
                to.rows = to.rows.zip(rows).map(|(to, rows)| to + rows);
                to.bytes += taken.iter().map(|it| it.bytes).sum::<u64>();
                to.parts += taken.iter().map(|it| it.parts).sum::<u64>();
                to.partitions.extend(taken);
            }
        }
    }
}

/// Whether a text has a name as a word of its own.
fn names(sql: &str, name: &str) -> bool {
    tokens(sql)
        .filter(|token| {
            matches!(
                token.kind,
                TokenKind::BareWord | TokenKind::QuotedIdentifier
            )
        })
        .any(|token| token.span.of(sql).trim_matches(['`', '"']) == name)
}
