//! What the tables of a statement look like, just before it is sent and when somebody asks what became of it. The first look goes into the
//! journal with the announcement; the second is held against it.
//!
//! Parts carry the numbers of the blocks that they hold, and these only grow. So rows that were there can be told from rows that came
//! later, however parts were merged, and a partition that was taken away from one that was filled anew. A part that is copied or moved
//! keeps the sum over its files.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::clickhouse::{Client, Error, Query, literal};
use crate::plan::{Trace, Traces, is_partition};
use crate::sql::{ObjectName, header};

/// A table by database and name.
pub(super) type Key = (String, String);

/// The look before a statement, as the journal has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Witness {
    /// How far an INSERT has come that goes through staging tables.
    #[serde(default, skip_serializing_if = "Phase::is_plain")]
    pub(super) phase: Phase,
    /// The tables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) tables: Vec<TableMark>,
}

/// How far a statement has come that is executed in two steps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Phase {
    /// It is executed in one.
    #[default]
    Plain,
    /// Its rows are being written into staging tables.
    Staging,
    /// They are all there; each staging table with the table that they belong to.
    Staged(Vec<(String, String)>),
    /// An object is there in full, under the first name; it gets the second, as it is written.
    Made(String, String),
    /// It begins a changed definition, whose rebuild has a ledger of its own.
    Rebuilding,
}

impl Phase {
    fn is_plain(&self) -> bool {
        *self == Self::Plain
    }
}

/// A table before a statement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TableMark {
    /// Its database.
    pub(super) database: String,
    /// Its name.
    pub(super) name: String,
    /// Its engine.
    pub(super) engine: String,
    /// Its UUID; '' or zeros: it has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) uuid: String,
    /// Its mutations.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) mutations: BTreeSet<String>,
    /// Its partitions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) partitions: BTreeMap<String, Mark>,
    /// Its detached parts.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) detached: BTreeSet<String>,
}

/// A partition before a statement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// The partition as it is written; '': as its id.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    partition: String,
    /// Its last block.
    block: i64,
    /// Its rows.
    rows: u64,
}

impl Mark {
    /// Whether it is the partition that a statement writes as `wanted`.
    fn is(&self, wanted: &str, id: &str) -> bool {
        let text = if self.partition.is_empty() {
            id
        } else {
            &self.partition
        };
        is_partition(wanted, id, text)
    }
}

/// A table now.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) engine: String,
    pub(super) uuid: String,
    pub(super) mutations: Vec<Mutation>,
    pub(super) parts: Vec<Part>,
    pub(super) detached: Vec<Detached>,
}

/// A part of a table.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Part {
    database: String,
    table: String,
    pub(super) name: String,
    partition: String,
    pub(super) partition_id: String,
    active: u8,
    pub(super) rows: u64,
    min_block_number: i64,
    max_block_number: i64,
    pub(super) hash_of_all_files: String,
}

/// A part that was detached.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Detached {
    database: String,
    table: String,
    pub(super) name: String,
    pub(super) partition_id: Option<String>,
}

/// A mutation of a table.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Mutation {
    pub(super) database: String,
    pub(super) table: String,
    pub(super) id: String,
    pub(super) command: String,
    pub(super) parts_to_do: i64,
    pub(super) latest_fail_reason: String,
}

/// What is there now, as far as the server tells.
pub(super) type Look = BTreeMap<Key, Seen>;

/// The tables that a statement is about: those it names, and those its partitions come from or go to.
pub(super) fn tables(sql: &str, traces: &Traces, database: &str) -> BTreeSet<Key> {
    let key = |name: &ObjectName| {
        let database = name.database.as_deref().unwrap_or(database);
        (database.to_owned(), name.name.clone())
    };
    let others = traces.leaves.iter().filter_map(|trace| match trace {
        Trace::Moved(_, table) | Trace::Copied(_, table) | Trace::Replaced(_, table) => Some(table),
        _ => None,
    });
    header(sql).objects.iter().chain(others).map(key).collect()
}

/// Looks at tables, with or without their parts. What a server does not tell is left out.
///
/// # Errors
/// [`Error`] if it cannot be asked.
pub(super) async fn look(
    client: &Client,
    tables: &BTreeSet<Key>,
    parts: bool,
) -> Result<Look, Error> {
    #[derive(Deserialize)]
    struct Table {
        database: String,
        name: String,
        engine: String,
        uuid: String,
    }
    let client = client.read_only();
    let mut look = Look::new();
    if tables.is_empty() {
        return Ok(look);
    }
    let among = |name: &str| {
        let pairs: Vec<String> = tables
            .iter()
            .map(|(database, name)| format!("({}, {})", literal(database), literal(name)))
            .collect();
        format!("(database, {name}) IN ({})", pairs.join(", "))
    };
    let found: Vec<Table> = told(
        client
            .rows(&Query::new(format!(
                "SELECT database, name, engine, toString(uuid) AS uuid FROM system.tables WHERE {}",
                among("name")
            )))
            .await,
    )?;
    for table in found {
        let seen = look.entry((table.database, table.name)).or_default();
        seen.engine = table.engine;
        seen.uuid = table.uuid;
    }
    if !look.values().any(|seen| is_merge_tree(&seen.engine)) {
        return Ok(look);
    }
    if parts {
        let parts: Vec<Part> = told(
        client
            .rows(&Query::new(format!(
                "SELECT database, table, name, partition, partition_id, active, rows, min_block_number, max_block_number, hash_of_all_files FROM system.parts WHERE {}",
                among("table")
            )))
            .await,
    )?;
        for part in parts {
            if let Some(seen) = look.get_mut(&(part.database.clone(), part.table.clone())) {
                seen.parts.push(part);
            }
        }
        let detached: Vec<Detached> = told(
        client
            .rows(&Query::new(format!(
                "SELECT database, table, name, partition_id FROM system.detached_parts WHERE {}",
                among("table")
            )))
            .await,
    )?;
        for part in detached {
            if let Some(seen) = look.get_mut(&(part.database.clone(), part.table.clone())) {
                seen.detached.push(part);
            }
        }
    }
    for mutation in mutations(&client, &among("table")).await? {
        let key = (mutation.database.clone(), mutation.table.clone());
        if let Some(seen) = look.get_mut(&key) {
            seen.mutations.push(mutation);
        }
    }
    Ok(look)
}

/// Mutations, as far as the server knows such a thing.
///
/// # Errors
/// [`Error`] if it cannot be asked.
pub(super) async fn mutations(client: &Client, condition: &str) -> Result<Vec<Mutation>, Error> {
    told(
        client
            .rows(&Query::new(format!(
                "SELECT database, table, mutation_id AS id, command, parts_to_do, latest_fail_reason FROM system.mutations WHERE {condition} ORDER BY create_time, mutation_id"
            )))
            .await,
    )
}

/// Nothing, where an old server does not know a table or a column of ours.
fn told<T>(answer: Result<Vec<T>, Error>) -> Result<Vec<T>, Error> {
    const UNKNOWN: [i32; 3] = [16, 47, 60];
    match answer {
        Err(error) if UNKNOWN.iter().any(|code| error.is_code(*code)) => Ok(Vec::new()),
        other => other,
    }
}

pub(super) fn is_merge_tree(engine: &str) -> bool {
    engine.ends_with("MergeTree")
}

impl Witness {
    /// What the journal keeps of a look.
    pub(super) fn of(look: &Look) -> Self {
        let tables = look
            .iter()
            .map(|((database, name), seen)| {
                let mut partitions: BTreeMap<String, Mark> = BTreeMap::new();
                for part in seen.parts.iter().filter(|part| part.active == 1) {
                    let mark = partitions.entry(part.partition_id.clone()).or_default();
                    if part.partition != part.partition_id {
                        mark.partition.clone_from(&part.partition);
                    }
                    mark.block = mark.block.max(part.max_block_number);
                    mark.rows += part.rows;
                }
                TableMark {
                    database: database.clone(),
                    name: name.clone(),
                    engine: seen.engine.clone(),
                    uuid: seen.uuid.clone(),
                    mutations: seen.mutations.iter().map(|it| it.id.clone()).collect(),
                    partitions,
                    detached: seen.detached.iter().map(|it| it.name.clone()).collect(),
                }
            })
            .collect();
        Self {
            phase: Phase::Plain,
            tables,
        }
    }

    /// A witness as the journal has it; nothing, if that is not one.
    pub(super) fn read(note: &str) -> Self {
        serde_json::from_str(note).unwrap_or_default()
    }

    /// As the journal keeps it; '' if there is nothing to keep.
    pub(super) fn note(&self) -> String {
        if *self == Self::default() {
            return String::new();
        }
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(super) fn keys(&self) -> BTreeSet<Key> {
        self.tables
            .iter()
            .map(|table| (table.database.clone(), table.name.clone()))
            .collect()
    }

    /// Whether one of the tables has rows that it had not then.
    pub(super) fn has_grown(&self, now: &Look) -> bool {
        self.tables.iter().any(|mark| {
            now.get(&(mark.database.clone(), mark.name.clone()))
                .is_some_and(|seen| seen.live(None).any(|part| mark.has_new(part)))
        })
    }

    pub(super) fn table(&self, key: &Key) -> Option<&TableMark> {
        self.tables
            .iter()
            .find(|table| (&table.database, &table.name) == (&key.0, &key.1))
    }
}

impl TableMark {
    /// Whether all rows of a part came after the statement began.
    pub(super) fn is_new(&self, part: &Part) -> bool {
        self.partitions
            .get(&part.partition_id)
            .is_none_or(|mark| part.min_block_number > mark.block)
    }

    /// Whether some rows of a part came after the statement began.
    pub(super) fn has_new(&self, part: &Part) -> bool {
        self.partitions
            .get(&part.partition_id)
            .is_none_or(|mark| part.max_block_number > mark.block)
    }

    /// The rows of a partition then; `None`: of all.
    pub(super) fn rows(&self, wanted: Option<&str>) -> u64 {
        self.partitions
            .iter()
            .filter(|(id, mark)| wanted.is_none_or(|wanted| mark.is(wanted, id)))
            .map(|(_, mark)| mark.rows)
            .sum()
    }

    /// Whether a block, given with its partition's id, was there then, in this partition.
    pub(super) fn had_block(&self, block: Option<(&str, i64)>, wanted: Option<&str>) -> bool {
        block.is_some_and(|(id, block)| {
            self.partitions.get(id).is_some_and(|mark| {
                block <= mark.block && wanted.is_none_or(|wanted| mark.is(wanted, id))
            })
        })
    }

    /// The rows of a partition that were there then and still are.
    pub(super) fn remaining(&self, seen: &Seen, wanted: Option<&str>) -> u64 {
        let old = seen.live(wanted).filter(|part| !self.is_new(part));
        old.map(|part| part.rows).sum()
    }
}

impl Detached {
    /// Its partition's id and its last block, if its name is that of a part, without a word before it.
    pub(super) fn blocks(&self) -> Option<(&str, i64)> {
        let mut words = self.name.split('_');
        let (partition, _min, max, _level) = (
            words.next()?,
            number(words.next()?)?,
            number(words.next()?)?,
            number(words.next()?)?,
        );
        let mutation = words.next().map(number);
        (words.next().is_none() && mutation != Some(None)).then_some((partition, max))
    }
}

fn number(text: &str) -> Option<i64> {
    text.parse().ok()
}

impl Seen {
    /// The parts with rows of a partition; `None`: of all.
    pub(super) fn live<'a>(&'a self, wanted: Option<&'a str>) -> impl Iterator<Item = &'a Part> {
        self.parts.iter().filter(move |part| {
            part.active == 1
                && part.rows > 0
                && wanted
                    .is_none_or(|wanted| is_partition(wanted, &part.partition_id, &part.partition))
        })
    }
}
