//! A database on several servers: what is added to a statement there, how far its servers have come, and whether they agree in the end.
//!
//! With `cluster = "…"` a target's statements are sent `ON CLUSTER` and their tables made replicated; the files stay plain. A database of the
//! engine `Replicated`, and ClickHouse Cloud, do this by themselves, so nothing is added there. What a server of the cluster has done of a
//! distributed statement is read from Keeper, which every server since 2018 shows in `system.zookeeper`.

mod rewrite;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::clickhouse::{Client, Error, Exception, Query, identifier, literal};

pub use crate::cluster::rewrite::{Reason, adapted};

/// A distributed statement has not ended on all servers, and goes on.
pub(crate) const TIMEOUT_EXCEEDED: i32 = 159;

/// What kind of place a database is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// One server, or replicas that somebody else looks after.
    Plain,
    /// A cluster; statements are sent to all of its servers.
    Cluster {
        /// Its name.
        name: String,
        /// The database.
        database: String,
        /// Whether a table there has an id that is the same on all servers.
        is_atomic: bool,
    },
    /// A database that replicates its own definitions.
    Replicated,
    /// `ClickHouse` Cloud.
    Cloud,
}

impl Place {
    /// Asks what kind of place a client's database is.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn of(client: &Client) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Row {
            engine: String,
        }
        let query =
            Query::new("SELECT engine FROM system.databases WHERE name = currentDatabase()");
        let rows: Vec<Row> = client.read_only().rows(&query).await?;
        let engine = rows.first().map_or("", |row| row.engine.as_str());
        Ok(match (engine, client.cluster()) {
            ("Shared", _) => Self::Cloud,
            ("Replicated", _) => Self::Replicated,
            (engine, Some(name)) => Self::Cluster {
                name: name.to_owned(),
                database: client.database().to_owned(),
                is_atomic: engine == "Atomic",
            },
            (_, None) => Self::Plain,
        })
    }
}

/// What one server has made of a distributed statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostResult {
    /// The server, as `host:port`.
    pub host: String,
    /// What it says; `None` if it is done.
    pub error: Option<Exception>,
}

/// The servers of a cluster, as `host:port`, as this one knows them.
///
/// # Errors
/// [`Error`].
pub async fn hosts(client: &Client) -> Result<Vec<String>, Error> {
    #[derive(Deserialize)]
    struct Row {
        host: String,
    }
    let query = Query::new(format!(
        "SELECT concat(host_name, ':', toString(port)) AS host FROM system.clusters WHERE cluster = {} ORDER BY shard_num, replica_num",
        literal(client.cluster().unwrap_or_default())
    ));
    let rows: Vec<Row> = client.rows(&query).await?;
    Ok(rows.into_iter().map(|row| row.host).collect())
}

/// Where Keeper keeps a distributed statement, from the text of an exception that tells of one that goes on in the background.
#[must_use]
pub fn task(exception: &Exception) -> Option<&str> {
    exception
        .message
        .split(|c: char| c.is_whitespace() || c == ',')
        .find(|word| {
            word.starts_with('/')
                && word
                    .rsplit('/')
                    .next()
                    .is_some_and(|name| name.starts_with("query-"))
        })
}

/// The servers that have ended a distributed statement, and how.
///
/// # Errors
/// [`Error`].
pub async fn finished(client: &Client, task: &str) -> Result<Vec<HostResult>, Error> {
    #[derive(Deserialize)]
    struct Row {
        name: String,
        value: String,
    }
    let query = Query::new(format!(
        "SELECT name, value FROM system.zookeeper WHERE path = {} ORDER BY name",
        literal(&format!("{task}/finished"))
    ));
    let rows: Vec<Row> = client.rows(&query).await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let (code, text) = row.value.split_once('\n').unwrap_or((&row.value, ""));
            HostResult {
                host: decoded(&row.name),
                error: (code.trim() != "0").then(|| {
                    Exception::parse(text).unwrap_or_else(|| Exception {
                        code: code.trim().parse().unwrap_or_default(),
                        name: String::new(),
                        message: text.to_owned(),
                    })
                }),
            }
        })
        .collect())
}

/// `127%2E0%2E0%2E1:9000`, as Keeper has it, as `127.0.0.1:9000`.
fn decoded(name: &str) -> String {
    percent_encoding::percent_decode_str(name)
        .decode_utf8_lossy()
        .into_owned()
}

/// What the servers of a cluster have made of the last distributed statement that names an object, as far as they have ended it. Nothing
/// where Keeper keeps such statements in another place than usual.
///
/// # Errors
/// [`Error`].
pub async fn results(client: &Client, object: &str) -> Result<Vec<HostResult>, Error> {
    const QUEUE: &str = "/clickhouse/task_queue/ddl";
    #[derive(Deserialize)]
    struct Row {
        name: String,
    }
    let query = Query::new(format!(
        "SELECT name FROM system.zookeeper WHERE path = {} AND position(value, {}) > 0 ORDER BY name DESC LIMIT 1",
        literal(QUEUE),
        literal(object)
    ));
    let rows: Vec<Row> = client.rows(&query).await?;
    match rows.first() {
        Some(row) => finished(client, &format!("{QUEUE}/{}", row.name)).await,
        None => Ok(Vec::new()),
    }
}

/// The definitions of a database on each server.
type ByServer = Vec<(String, BTreeMap<String, String>)>;

/// How the definitions of a database differ between the servers of its cluster, a line each; empty if they agree.
///
/// # Errors
/// [`Error`] if the cluster cannot be read; a server that cannot be asked is a line.
pub async fn differences(client: &Client) -> Result<Vec<String>, Error> {
    let hosts = hosts(client).await?;
    let mut lines = Vec::new();
    let by_host = match everywhere(client).await {
        Ok(by_host) => {
            if by_host.len() < hosts.len() {
                let names: Vec<&str> = by_host.iter().map(|(host, _)| host.as_str()).collect();
                lines.push(format!(
                    "{} of its {} servers could not be asked; these could: {}",
                    hosts.len() - by_host.len(),
                    hosts.len(),
                    names.join(", ")
                ));
            }
            by_host
        }
        // Servers before 20.3 have no clusterAllReplicas.
        Err(error) if error.exception().is_some() => {
            let mut by_host = ByServer::new();
            for host in &hosts {
                match definitions(client, host).await {
                    Ok(definitions) => by_host.push((host.clone(), definitions)),
                    Err(error) => lines.push(format!("{host} could not be asked: {error}")),
                }
            }
            by_host
        }
        Err(error) => return Err(error),
    };
    let names: BTreeSet<&String> = by_host
        .iter()
        .flat_map(|(_, definitions)| definitions.keys())
        .collect();
    for name in names {
        let mut groups: BTreeMap<Option<&String>, Vec<&str>> = BTreeMap::new();
        for (host, definitions) in &by_host {
            groups.entry(definitions.get(name)).or_default().push(host);
        }
        if groups.len() > 1 {
            let groups: Vec<String> = groups
                .iter()
                .map(|(definition, hosts)| match definition {
                    None => format!("missing on {}", hosts.join(", ")),
                    Some(definition) => format!("on {}: {definition}", hosts.join(", ")),
                })
                .collect();
            lines.push(format!(
                "`{name}` is not the same everywhere; {}",
                groups.join("; ")
            ));
        }
    }
    Ok(lines)
}

/// What each server says that can be asked, under the name that it has itself; with the user and the secret that the cluster's own
/// definition has for its servers.
async fn everywhere(client: &Client) -> Result<ByServer, Error> {
    #[derive(Deserialize)]
    struct Row {
        host: String,
        database: String,
        name: String,
        create_table_query: String,
    }
    // `system.one` is on every server, also where the database is empty.
    let query = Query::new(format!(
        "SELECT concat(hostName(), ':', toString(tcpPort())) AS host, database, name, create_table_query FROM clusterAllReplicas({}, system, tables) WHERE (database = {} AND name NOT LIKE 'housewright\\\\_%' AND name NOT LIKE '.inner%') OR (database = 'system' AND name = 'one')",
        literal(client.cluster().unwrap_or_default()),
        literal(client.database())
    ))
    .setting("skip_unavailable_shards", "1");
    let rows: Vec<Row> = client.rows(&query).await?;
    let mut by_host: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for row in rows {
        let definitions = by_host.entry(row.host).or_default();
        if row.database == client.database() {
            definitions.insert(row.name, row.create_table_query.trim_end().to_owned());
        }
    }
    Ok(by_host.into_iter().collect())
}

async fn definitions(client: &Client, host: &str) -> Result<BTreeMap<String, String>, Error> {
    #[derive(Deserialize)]
    struct Row {
        name: String,
        create_table_query: String,
    }
    let query = Query::new(format!(
        "SELECT name, create_table_query FROM remote({}, system, tables) WHERE database = {} AND name NOT LIKE 'housewright\\\\_%' AND name NOT LIKE '.inner%'",
        literal(host),
        literal(client.database())
    ));
    let rows: Vec<Row> = client.rows(&query).await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.name, row.create_table_query.trim_end().to_owned()))
        .collect())
}

/// ` ON CLUSTER …` for a statement of the bookkeeping; nothing on a single server.
pub(crate) fn on_cluster(client: &Client) -> String {
    client.cluster().map_or_else(String::new, |name| {
        format!(" ON CLUSTER {}", identifier(name))
    })
}

/// The engine of a table of the bookkeeping: replicated to all servers of a cluster, whatever their shard.
pub(crate) fn engine(client: &Client, table: &str) -> String {
    client.cluster().map_or_else(
        || "MergeTree".to_owned(),
        |cluster| {
            let path = format!(
                "/clickhouse/housewright/{cluster}/{}/{table}",
                client.database()
            );
            format!(
                "ReplicatedMergeTree({}, '{{shard}}_{{replica}}')",
                literal(&path)
            )
        },
    )
}

/// Executes a statement of the bookkeeping that may be executed twice. In a cluster a server that is away does it when it is back, and is not
/// waited for.
///
/// # Errors
/// [`Error`].
pub(crate) async fn keep_house(client: &Client, query: Query) -> Result<(), Error> {
    if client.cluster().is_none() {
        return client.execute_again(&query).await;
    }
    match client.execute_again(&brief(query)).await {
        Err(error) if error.is_code(TIMEOUT_EXCEEDED) => Ok(()),
        result => result,
    }
}

/// A distributed statement that does not wait long for a server that is away.
pub(crate) fn brief(query: Query) -> Query {
    query.setting("distributed_ddl_task_timeout", "5")
}
