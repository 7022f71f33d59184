//! What the objects of some databases hold: rows, bytes and parts, as far as the server tells. Only read.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::catalog::{Generations, generation};
use crate::clickhouse::{Client, Error, Query, literal};

/// What there is on a target, by database and name.
#[derive(Clone, Debug, Default)]
pub struct Holdings {
    /// The database that names without one mean.
    pub database: String,
    /// The objects; `None` if the server is too old to say.
    pub objects: Option<BTreeMap<(String, String), Holding>>,
    /// How many rows a statement that deletes would find now, by its text, as far as that was counted.
    pub matching: BTreeMap<String, u64>,
}

/// What one object holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    /// The engine's name.
    pub engine: String,
    /// The statement that makes it.
    pub create: String,
    /// The rows; `None` if the engine does not say.
    pub rows: Option<u64>,
    /// The bytes on disk of the active parts.
    pub bytes: u64,
    /// The active parts.
    pub parts: u64,
    /// What its partitions hold.
    pub partitions: Vec<PartitionHolding>,
    /// The columns, by name.
    pub columns: BTreeMap<String, ColumnHolding>,
}

/// What one partition holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct PartitionHolding {
    /// Its id.
    pub id: String,
    /// Its value, as the server writes it.
    pub partition: String,
    /// The rows.
    pub rows: u64,
    /// The bytes on disk of the active parts.
    pub bytes: u64,
    /// The active parts.
    pub parts: u64,
}

/// What one column holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnHolding {
    /// Its type.
    pub r#type: String,
    /// The bytes on disk.
    pub bytes: u64,
}

#[derive(Deserialize)]
struct TableRow {
    database: String,
    name: String,
    engine: String,
    uuid: String,
    create_table_query: String,
    total_rows: Option<u64>,
}

#[derive(Deserialize)]
struct PartsRow {
    database: String,
    table: String,
    #[serde(flatten)]
    holds: PartitionHolding,
}

#[derive(Deserialize)]
struct ColumnRow {
    database: String,
    table: String,
    name: String,
    r#type: String,
    bytes: u64,
}

impl Holdings {
    /// Reads the client's database and others that are named. A server that does not know the columns asked for says nothing.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn read(client: &Client, others: &BTreeSet<String>) -> Result<Self, Error> {
        const UNKNOWN_IDENTIFIER: i32 = 47;
        let client = client.read_only();
        let mut names: Vec<String> = others.iter().map(|name| literal(name)).collect();
        names.push("currentDatabase()".to_owned());
        let databases = names.join(", ");
        let objects = match objects(&client, &databases).await {
            Ok(objects) => Some(objects),
            Err(error) if error.is_code(UNKNOWN_IDENTIFIER) => None,
            Err(error) => return Err(error),
        };
        Ok(Self {
            database: client.database().to_owned(),
            objects,
            matching: BTreeMap::new(),
        })
    }

    /// Counts the rows of a table that match, if the server can do so in two seconds.
    ///
    /// # Errors
    /// [`Error`] if it cannot be asked.
    pub async fn count(
        client: &Client,
        table: &str,
        condition: &str,
    ) -> Result<Option<u64>, Error> {
        #[derive(Deserialize)]
        struct Row {
            rows: u64,
        }
        let query = Query::new(format!(
            "SELECT toUInt64(count()) AS rows FROM {table} WHERE {condition}\n"
        ))
        .setting("max_execution_time", "2");
        let client = client.read_only().without_statistics().await?;
        match client.row::<Row>(&query).await {
            Ok(row) => Ok(Some(row.rows)),
            // It takes longer, or an earlier statement makes what it names.
            Err(error) if error.exception().is_some() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

async fn objects(
    client: &Client,
    databases: &str,
) -> Result<BTreeMap<(String, String), Holding>, Error> {
    let tables = Query::new(format!(
        "SELECT database, name, engine, toString(uuid) AS uuid, create_table_query, total_rows FROM system.tables WHERE database IN ({databases}) AND NOT is_temporary"
    ));
    let parts = Query::new(format!(
        "SELECT database, table, partition_id AS id, any(partition) AS partition, sum(rows) AS rows, sum(bytes_on_disk) AS bytes, count() AS parts FROM system.parts WHERE active AND database IN ({databases}) GROUP BY database, table, id ORDER BY id"
    ));
    let columns = Query::new(format!(
        "SELECT database, table, name, type, data_compressed_bytes AS bytes FROM system.columns WHERE database IN ({databases})"
    ));
    let tables: Vec<TableRow> = client.rows(&tables).await?;
    let parts: Vec<PartsRow> = client.rows(&parts).await?;
    let columns: Vec<ColumnRow> = client.rows(&columns).await?;
    let mut objects = BTreeMap::new();
    let mut inner = BTreeMap::new();
    for table in tables {
        let key = (table.database.clone(), table.name);
        // A materialized view without TO keeps its rows in a table of this name.
        inner.insert(
            (table.database, format!(".inner_id.{}", table.uuid)),
            key.clone(),
        );
        let rows = if is_view(&table.engine) {
            Some(0)
        } else {
            table.total_rows
        };
        objects.insert(
            key,
            Holding {
                engine: table.engine,
                create: table.create_table_query,
                rows,
                ..Holding::default()
            },
        );
    }
    for key in parts
        .iter()
        .map(|part| (part.database.clone(), part.table.clone()))
    {
        for key in [inner.get(&key), Some(&key)].into_iter().flatten() {
            if let Some(object) = objects.get_mut(key) {
                object.rows = Some(0);
            }
        }
    }
    for part in parts {
        let key = (part.database, part.table);
        for key in [inner.get(&key), Some(&key)].into_iter().flatten() {
            if let Some(object) = objects.get_mut(key) {
                object.add(part.holds.clone());
            }
        }
    }
    for column in columns {
        if let Some(object) = objects.get_mut(&(column.database, column.table)) {
            object.columns.insert(
                column.name,
                ColumnHolding {
                    r#type: column.r#type,
                    bytes: column.bytes,
                },
            );
        }
    }
    Ok(known_by_name(objects))
}

/// Of several generations only the one that the name means, under that name.
fn known_by_name(
    objects: BTreeMap<(String, String), Holding>,
) -> BTreeMap<(String, String), Holding> {
    let mut named: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (database, name) in objects.keys() {
        named.entry(database.clone()).or_default().push(name);
    }
    let generations: BTreeMap<String, Generations> = named
        .into_iter()
        .map(|(database, names)| (database, Generations::of(names)))
        .collect();
    objects
        .into_iter()
        .filter(|((database, name), _)| {
            generations
                .get(database)
                .is_none_or(|generations| generations.shows(name))
        })
        .map(|((database, name), mut holding)| {
            holding.create = generation::fold(&holding.create);
            ((database, generation::parse(&name).0.to_owned()), holding)
        })
        .collect()
}

fn is_view(engine: &str) -> bool {
    matches!(
        engine,
        "View" | "MaterializedView" | "LiveView" | "WindowView"
    )
}

impl Holding {
    fn add(&mut self, partition: PartitionHolding) {
        self.rows = Some(self.rows.unwrap_or(0) + partition.rows);
        self.bytes += partition.bytes;
        self.parts += partition.parts;
        self.partitions.push(partition);
    }

    /// Takes partitions out.
    pub(crate) fn take(
        &mut self,
        wanted: impl Fn(&PartitionHolding) -> bool,
    ) -> Vec<PartitionHolding> {
        let taken: Vec<_> = self.partitions.extract_if(.., |it| wanted(it)).collect();
        for partition in &taken {
            self.rows = self.rows.map(|rows| rows.saturating_sub(partition.rows));
            self.bytes = self.bytes.saturating_sub(partition.bytes);
            self.parts = self.parts.saturating_sub(partition.parts);
        }
        taken
    }

    /// Whether it has no rows of its own that a DROP takes away: a view, a door to elsewhere, or an empty table. `None`: not known.
    #[must_use]
    pub fn is_empty(&self) -> Option<bool> {
        if is_view(&self.engine) && self.parts == 0 {
            return Some(true);
        }
        let door = [
            "Distributed",
            "Merge",
            "Null",
            "Dictionary",
            "Kafka",
            "RabbitMQ",
            "NATS",
            "S3Queue",
            "URL",
            "MySQL",
            "PostgreSQL",
            "MongoDB",
            "ODBC",
            "JDBC",
            "GenerateRandom",
        ];
        if door.contains(&self.engine.as_str()) {
            return Some(true);
        }
        self.rows.map(|rows| rows == 0)
    }
}
