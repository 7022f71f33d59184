//! The barrier: every INSERT that began before a moment has ended. A row is seen by the views that stood when its INSERT began, so that
//! neither the cut nor a DROP is safe before.
//!
//! INSERTs are looked up in `system.processes`, by the server's clock. Those into tables that cannot lead to the source do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::catalog::references;
use crate::clickhouse::{Client, Error, Query};
use crate::sql::header;

/// An INSERT counts as older than it is by so much, in seconds.
const SLACK: f64 = 0.2;
/// Between two looks, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// Engines that write elsewhere.
const FORWARDS: [&str; 3] = ["Distributed", "Buffer", "Merge"];
/// Engines whose rows come without an INSERT that `system.processes` shows.
const STREAMS: [&str; 7] = [
    "Kafka",
    "RabbitMQ",
    "NATS",
    "S3Queue",
    "AzureQueue",
    "FileLog",
    "Buffer",
];

/// An INSERT that runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Running {
    /// Its `query_id`.
    pub query_id: String,
    /// Its user.
    pub user: String,
    /// How long it has been running, in seconds.
    pub elapsed: f64,
    /// The beginning of its text.
    pub query: String,
}

/// What leads to a source.
#[derive(Clone, Debug)]
pub struct Barrier<'a> {
    client: &'a Client,
    /// Tables an INSERT into which does not write into the source.
    others: BTreeSet<(String, String)>,
    /// Tables whose rows reach the source without an INSERT that is seen.
    pub streams: Vec<String>,
}

#[derive(Deserialize)]
struct TableRow {
    database: String,
    name: String,
    engine: String,
    create: String,
    views: Vec<(String, String)>,
}

impl<'a> Barrier<'a> {
    /// Reads what leads to a table of the client's database.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn new(client: &'a Client, source: &str) -> Result<Self, Error> {
        let query = Query::new(
            "SELECT database, name, engine, if(engine IN ('MaterializedView', 'Buffer'), create_table_query, '') AS create, \
             arrayZip(dependencies_database, dependencies_table) AS views FROM system.tables WHERE database NOT IN ('system', 'INFORMATION_SCHEMA', 'information_schema') AND NOT is_temporary",
        );
        let tables: Vec<TableRow> = client.rows(&query).await?;
        let targets: BTreeMap<(String, String), (String, String)> = tables
            .iter()
            .filter(|table| table.engine == "MaterializedView")
            .filter_map(|view| {
                let target = header(&view.create).target?;
                let database = target.database.unwrap_or_else(|| view.database.clone());
                Some((
                    (view.database.clone(), view.name.clone()),
                    (database, target.name),
                ))
            })
            .collect();
        let mut upstream: BTreeSet<(String, String)> =
            [(client.database().to_owned(), source.to_owned())].into();
        loop {
            let found: Vec<(String, String)> = tables
                .iter()
                .map(|table| (table, (table.database.clone(), table.name.clone())))
                .filter(|(table, key)| {
                    let feeds = table
                        .views
                        .iter()
                        .any(|view| targets.get(view).is_some_and(|it| upstream.contains(it)));
                    let buffers = table.engine == "Buffer"
                        && references(&table.create)
                            .iter()
                            .any(|name| upstream.iter().any(|(_, it)| it == name));
                    (feeds || buffers) && !upstream.contains(key)
                })
                .map(|(_, key)| key)
                .collect();
            if found.is_empty() {
                break;
            }
            upstream.extend(found);
        }
        let is_upstream =
            |table: &TableRow| upstream.contains(&(table.database.clone(), table.name.clone()));
        Ok(Self {
            client,
            streams: tables
                .iter()
                .filter(|table| is_upstream(table) && STREAMS.contains(&table.engine.as_str()))
                .map(|table| format!("{}.{} ({})", table.database, table.name, table.engine))
                .collect(),
            others: tables
                .iter()
                .filter(|table| !is_upstream(table) && !FORWARDS.contains(&table.engine.as_str()))
                .map(|table| (table.database.clone(), table.name.clone()))
                .collect(),
        })
    }

    /// The server's clock, in seconds since 1970, and the INSERTs that began before a moment and run.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn look(&self, before: f64) -> Result<(f64, Vec<Running>), Error> {
        #[derive(Deserialize)]
        struct Row {
            now: f64,
            query_id: String,
            user: String,
            elapsed: f64,
            query: String,
            database: String,
        }
        // The server's clock comes with a row of its own, so that it is there when nothing runs.
        let query = Query::new(
            "SELECT toFloat64(now64(6)) AS now, query_id, user, elapsed, substring(query, 1, 4000) AS query, current_database AS database \
             FROM system.processes WHERE query_kind IN ('Insert', 'AsyncInsertFlush') \
             UNION ALL SELECT toFloat64(now64(6)), '', '', 0, '', ''",
        );
        let rows: Vec<Row> = self.client.rows(&query).await?;
        let now = rows.iter().map(|row| row.now).fold(0.0, f64::max);
        let running = rows
            .into_iter()
            .filter(|row| !row.query.is_empty() && row.now - row.elapsed <= before + SLACK)
            .filter(|row| self.counts(&row.query, &row.database))
            .map(|row| Running {
                query_id: row.query_id,
                user: row.user,
                elapsed: row.elapsed,
                query: row.query.chars().take(200).collect(),
            })
            .collect();
        Ok((now, running))
    }

    /// The server's clock.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn now(&self) -> Result<f64, Error> {
        Ok(self.look(0.0).await?.0)
    }

    /// Whether an INSERT may write into the source.
    fn counts(&self, query: &str, database: &str) -> bool {
        let Some(into) = header(query).objects.into_iter().next() else {
            return true;
        };
        let key = (
            into.database.unwrap_or_else(|| database.to_owned()),
            into.name,
        );
        !self.others.contains(&key)
    }
}

/// The pauses between looks.
pub(super) fn pauses() -> impl Iterator<Item = Duration> {
    std::iter::successors(Some(PAUSES.0), |pause| Some((*pause * 2).min(PAUSES.1)))
}
