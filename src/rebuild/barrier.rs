//! The barrier: every INSERT that began before a moment has ended. A row is seen by the views that stood when its INSERT began, so that
//! neither the cut nor a DROP is safe before.
//!
//! INSERTs are looked up in `system.processes`, by the server's clock, and rows that wait to be inserted in the server's queues. Those into
//! tables that cannot lead to the source do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::catalog::references;
use crate::clickhouse::{Client, Error, Query, literal};
use crate::diagnostic::thousands;
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

/// What has not ended: an INSERT that runs, or rows that wait to be inserted.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Running {
    /// An INSERT.
    Insert {
        /// Its `query_id`.
        query_id: String,
        /// Its user.
        user: String,
        /// How long it has been running, in seconds.
        elapsed: f64,
        /// The beginning of its text.
        query: String,
    },
    /// Rows in the queue of asynchronous INSERTs.
    Asynchronous {
        /// `database.table` that they are for.
        asynchronous: String,
        /// How long the first of them has waited, in seconds.
        elapsed: f64,
        /// Their bytes.
        bytes: u64,
    },
    /// Rows that a Distributed table has not sent yet.
    Distributed {
        /// The table: `database.table`.
        distributed: String,
        /// The files that they wait in.
        files: u64,
        /// The bytes of these.
        bytes: u64,
    },
}

impl std::fmt::Display for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Insert {
                query_id,
                user,
                elapsed,
                query,
            } => {
                let query = query.replace('\n', " ");
                write!(f, "{query_id} by {user}, {elapsed:.0} s: {query}")
            }
            Self::Asynchronous {
                asynchronous: table,
                elapsed,
                bytes,
            } => write!(
                f,
                "asynchronous INSERTs into {table}, {elapsed:.0} s: {} bytes are not flushed yet",
                thousands(*bytes)
            ),
            Self::Distributed {
                distributed: table,
                files,
                bytes,
            } => write!(
                f,
                "what {table} has to send: {} bytes in {files} file{}; SYSTEM FLUSH DISTRIBUTED {table} sends them now",
                thousands(*bytes),
                if *files == 1 { "" } else { "s" }
            ),
        }
    }
}

/// What leads to a source.
#[derive(Clone, Debug)]
pub struct Barrier<'a> {
    client: &'a Client,
    /// Tables an INSERT into which does not write into the source.
    others: BTreeSet<(String, String)>,
    /// Tables whose rows reach the source without an INSERT that is seen.
    pub streams: Vec<String>,
    /// Distributed tables that send to the source.
    senders: BTreeSet<(String, String)>,
    /// The columns of the source that it fills itself when a row arrives, whatever was sent.
    materialized: BTreeSet<String>,
    /// The queues that this server shows.
    queues: BTreeSet<String>,
}

#[derive(Deserialize)]
struct TableRow {
    database: String,
    name: String,
    engine: String,
    create: String,
    views: Vec<(String, String)>,
}

/// Rows that wait.
#[derive(Deserialize)]
struct QueueRow {
    queue: String,
    database: String,
    table: String,
    now: f64,
    /// Since when the first of them waits, in seconds; where that is not known, since ever.
    elapsed: f64,
    files: u64,
    bytes: u64,
}

impl<'a> Barrier<'a> {
    /// Reads what leads to a table of the client's database.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn new(client: &'a Client, source: &str) -> Result<Self, Error> {
        // A server that is too old for these tables (18.16 has neither) shows no queue.
        const QUEUES: &str = "SELECT name FROM system.tables WHERE database = 'system' AND name IN ('asynchronous_inserts', 'distribution_queue')";
        let query = Query::new(
            "SELECT database, name, engine, if(engine IN ('MaterializedView', 'Buffer', 'Distributed'), create_table_query, '') AS create, \
             arrayZip(dependencies_database, dependencies_table) AS views FROM system.tables WHERE database NOT IN ('system', 'INFORMATION_SCHEMA', 'information_schema') AND NOT is_temporary",
        );
        let tables: Vec<TableRow> = client.rows(&query).await?;
        let source_key = (client.database().to_owned(), source.to_owned());
        let upstream = upstream(&tables, source_key);
        let materialized = format!(
            "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = {} AND default_kind = 'MATERIALIZED'",
            literal(source)
        );
        let is_upstream =
            |table: &TableRow| upstream.contains(&(table.database.clone(), table.name.clone()));
        let senders = tables
            .iter()
            .filter(|table| is_upstream(table) && table.engine == "Distributed")
            .map(|table| (table.database.clone(), table.name.clone()))
            .collect();
        Ok(Self {
            client,
            senders,
            materialized: names(client, &materialized).await?,
            queues: names(client, QUEUES).await?,
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
            .map(|row| Running::Insert {
                query_id: row.query_id,
                user: row.user,
                elapsed: row.elapsed,
                query: row.query.chars().take(200).collect(),
            })
            .collect();
        Ok((now, running))
    }

    /// The rows that may have been sent before a moment and wait in a queue of the server's, which the source would get later: asynchronous
    /// INSERTs, and what Distributed tables of this server have not sent yet. The latter do not count where the source itself stamps a row
    /// when it arrives, as it does with a MATERIALIZED column: such a row is not from before the moment.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn queued(&self, before: f64, stamp: &str) -> Result<Vec<Running>, Error> {
        const ASYNCHRONOUS: &str = "SELECT 'asynchronous_inserts' AS queue, database, table, toFloat64(now64(6)) AS now, now - toFloat64(first_update) AS elapsed, \
             toUInt64(0) AS files, toUInt64(total_bytes) AS bytes FROM system.asynchronous_inserts";
        const DISTRIBUTED: &str = "SELECT 'distribution_queue' AS queue, database, table, toFloat64(now64(6)) AS now, now AS elapsed, \
             toUInt64(data_files) AS files, toUInt64(data_compressed_bytes) AS bytes FROM system.distribution_queue WHERE data_files > 0";
        let sent = !self.senders.is_empty() && !self.materialized.contains(stamp);
        let asked: Vec<&str> = [
            ("asynchronous_inserts", true, ASYNCHRONOUS),
            ("distribution_queue", sent, DISTRIBUTED),
        ]
        .into_iter()
        .filter(|(queue, counts, _)| *counts && self.queues.contains(*queue))
        .map(|(.., query)| query)
        .collect();
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let rows = self
            .client
            .rows(&Query::new(asked.join(" UNION ALL ")))
            .await?;
        Ok(self.waiting(rows, before))
    }

    /// Those rows of queues that may lead to the source, and were there at a moment.
    fn waiting(&self, rows: Vec<QueueRow>, before: f64) -> Vec<Running> {
        rows.into_iter()
            .filter(|row| row.now - row.elapsed <= before + SLACK)
            .filter_map(|row| {
                let key = (row.database, row.table);
                let table = format!("{}.{}", key.0, key.1);
                if row.queue == "distribution_queue" {
                    self.senders.contains(&key).then_some(Running::Distributed {
                        distributed: table,
                        files: row.files,
                        bytes: row.bytes,
                    })
                } else {
                    (!self.others.contains(&key)).then_some(Running::Asynchronous {
                        asynchronous: table,
                        elapsed: row.elapsed,
                        bytes: row.bytes,
                    })
                }
            })
            .collect()
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

/// A table, and those from which rows come to it: by materialized views, or by engines that send on.
fn upstream(tables: &[TableRow], source: (String, String)) -> BTreeSet<(String, String)> {
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
    let mut upstream: BTreeSet<(String, String)> = [source].into();
    loop {
        let found: Vec<(String, String)> = tables
            .iter()
            .map(|table| (table, (table.database.clone(), table.name.clone())))
            .filter(|(table, key)| {
                let feeds = table
                    .views
                    .iter()
                    .any(|view| targets.get(view).is_some_and(|it| upstream.contains(it)));
                let sends = matches!(table.engine.as_str(), "Buffer" | "Distributed")
                    && references(&table.create)
                        .iter()
                        .any(|name| upstream.iter().any(|(_, it)| it == name));
                (feeds || sends) && !upstream.contains(key)
            })
            .map(|(_, key)| key)
            .collect();
        if found.is_empty() {
            return upstream;
        }
        upstream.extend(found);
    }
}

async fn names(client: &Client, query: &str) -> Result<BTreeSet<String>, Error> {
    #[derive(Deserialize)]
    struct Row {
        name: String,
    }
    let rows: Vec<Row> = client.rows(&Query::new(query)).await?;
    Ok(rows.into_iter().map(|row| row.name).collect())
}

/// The pauses between looks.
pub(super) fn pauses() -> impl Iterator<Item = Duration> {
    std::iter::successors(Some(PAUSES.0), |pause| Some((*pause * 2).min(PAUSES.1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Server;

    fn key(name: &str) -> (String, String) {
        ("shop".to_owned(), name.to_owned())
    }

    #[test]
    fn rows_come_through_views_and_tables_that_send_on() {
        let table = |name: &str, engine: &str, create: &str, views: &[&str]| TableRow {
            database: "shop".to_owned(),
            name: name.to_owned(),
            engine: engine.to_owned(),
            create: create.to_owned(),
            views: views.iter().map(|it| key(it)).collect(),
        };
        let tables = [
            table("events", "MergeTree", "", &["state_mv"]),
            table("state", "SummingMergeTree", "", &[]),
            table(
                "state_mv",
                "MaterializedView",
                "CREATE MATERIALIZED VIEW shop.state_mv TO shop.state AS SELECT 1 FROM shop.events",
                &[],
            ),
            table(
                "events_all",
                "Distributed",
                "CREATE TABLE shop.events_all (`a` UInt8) ENGINE = Distributed('trio', 'shop', 'events', rand())",
                &[],
            ),
            table(
                "state_all",
                "Distributed",
                "CREATE TABLE shop.state_all (`a` UInt8) ENGINE = Distributed('trio', 'shop', 'state')",
                &[],
            ),
            table("inbox", "Null", "", &["inbox_mv"]),
            table(
                "inbox_mv",
                "MaterializedView",
                "CREATE MATERIALIZED VIEW shop.inbox_mv TO shop.events_all AS SELECT a FROM shop.inbox",
                &[],
            ),
        ];
        let found = upstream(&tables, key("events"));
        assert_eq!(found, ["events", "events_all", "inbox"].map(key).into());
    }

    #[test]
    fn queues_count_if_they_lead_to_the_source_and_were_there_before() {
        let server = Server {
            name: None,
            url: "http://127.0.0.1:1".to_owned(),
            user: "default".to_owned(),
            password: None,
            ca_file: None,
            cluster: None,
        };
        let client = Client::new(&server, "shop").unwrap();
        let barrier = Barrier {
            client: &client,
            others: [key("other")].into(),
            streams: Vec::new(),
            senders: [key("events_all")].into(),
            materialized: BTreeSet::new(),
            queues: BTreeSet::new(),
        };
        let row = |queue: &str, table: &str, elapsed| QueueRow {
            queue: queue.to_owned(),
            database: "shop".to_owned(),
            table: table.to_owned(),
            now: 1000.0,
            elapsed,
            files: 2,
            bytes: 12_345,
        };
        let rows = || {
            vec![
                row("asynchronous_inserts", "events", 7.0),
                row("asynchronous_inserts", "other", 7.0),
                row("asynchronous_inserts", "events", 1.0),
                row("distribution_queue", "events_all", 1000.0),
                row("distribution_queue", "state_all", 1000.0),
            ]
        };
        let said = |before| {
            let waiting = barrier.waiting(rows(), before).into_iter();
            waiting.map(|it| it.to_string()).collect::<Vec<_>>()
        };
        let distributed = "what shop.events_all has to send: 12,345 bytes in 2 files; SYSTEM FLUSH DISTRIBUTED shop.events_all sends them now";
        assert_eq!(
            said(995.0),
            [
                "asynchronous INSERTs into shop.events, 7 s: 12,345 bytes are not flushed yet",
                distributed
            ]
        );
        // Since when a Distributed table has to send something is not known.
        assert_eq!(said(900.0), [distributed]);
    }
}
