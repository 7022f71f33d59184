//! The one door to ClickHouse: connect, execute, fetch, insert, typed errors.
//!
//! The only room that knows the `clickhouse` crate. Everything goes over the HTTP interface, whether a server or the embedded engine
//! stands behind it, and nothing above this room can tell which. A request is repeated only where that is safe: a read, or a
//! connection that was never made.

mod error;
mod quote;
mod tls;

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::Server;

pub use crate::clickhouse::error::{Error, Exception};
pub use crate::clickhouse::quote::{identifier, literal};

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the answer to a read, or to a statement that may be repeated, may take in all.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(5);
/// How long to wait before a request is tried again that may be; one entry a retry.
const RETRIES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(500)];

/// A connection to one database of one server. Cheap to clone; clones share the HTTP connections.
#[derive(Clone)]
pub struct Client {
    inner: clickhouse::Client,
    url: String,
    database: String,
    cluster: Option<String>,
    limits: Limits,
}

/// How long an answer may take.
#[derive(Clone, Copy)]
struct Limits {
    /// To a read, or to what may be repeated.
    answer: Duration,
    /// To a statement; `None`: as long as it takes.
    statement: Option<Duration>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Client")
            .field("url", &self.url)
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

/// One statement and what goes with it.
#[derive(Clone, Debug, Default)]
pub struct Query {
    sql: String,
    id: Option<String>,
    settings: Vec<(String, String)>,
    parameters: Vec<(String, Parameter)>,
}

#[derive(Clone, Debug)]
enum Parameter {
    Text(String),
    Texts(Vec<String>),
    Number(u64),
}

impl Query {
    /// A statement; exactly one, without inline data.
    pub fn new(sql: impl Into<String>) -> Self {
        Self {
            sql: sql.into(),
            ..Self::default()
        }
    }

    /// The `query_id` under which the server knows this query, in `system.processes` and `system.query_log`.
    #[must_use]
    pub fn id(mut self, query_id: impl Into<String>) -> Self {
        self.id = Some(query_id.into());
        self
    }

    /// A setting for this query only.
    #[must_use]
    pub fn setting(mut self, name: &str, value: impl Into<String>) -> Self {
        self.settings.push((name.to_owned(), value.into()));
        self
    }

    /// The value of `{name:String}`.
    #[must_use]
    pub fn text(mut self, name: &str, value: impl Into<String>) -> Self {
        self.parameters
            .push((name.to_owned(), Parameter::Text(value.into())));
        self
    }

    /// The value of `{name:Array(String)}`.
    #[must_use]
    pub fn texts(mut self, name: &str, values: Vec<String>) -> Self {
        self.parameters
            .push((name.to_owned(), Parameter::Texts(values)));
        self
    }

    /// The value of `{name:UInt64}`.
    #[must_use]
    pub fn number(mut self, name: &str, value: u64) -> Self {
        self.parameters
            .push((name.to_owned(), Parameter::Number(value)));
        self
    }
}

impl Client {
    /// A client for a server's database. Nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::Tls`] if the certificate authorities cannot be read.
    pub fn new(server: &Server, database: &str) -> Result<Self, Error> {
        let mut inner = tls::client(server, CONNECT_TIMEOUT)?
            .with_url(&server.url)
            .with_database(database)
            .with_user(&server.user)
            .with_compression(clickhouse::Compression::None)
            .with_product_info("housewright", env!("CARGO_PKG_VERSION"))
            .with_validation(false);
        if let Some(password) = &server.password {
            inner = inner.with_password(password.expose());
        }
        Ok(Self {
            inner,
            url: server.url.clone(),
            database: database.to_owned(),
            cluster: server.cluster.clone(),
            limits: Limits {
                answer: ANSWER_TIMEOUT,
                statement: None,
            },
        })
    }

    /// The same connection, on which no answer may take longer than this: neither to a read nor to a statement, which then counts as one
    /// whose end is not known. Without it a read may take five minutes and a statement as long as it takes.
    #[must_use]
    pub fn answering_within(&self, limit: Duration) -> Self {
        Self {
            limits: Limits {
                answer: limit,
                statement: Some(limit),
            },
            ..self.clone()
        }
    }

    /// The same connection, with `readonly=2` sent with every query: the server itself refuses whatever would change something.
    #[must_use]
    pub fn read_only(&self) -> Self {
        Self {
            inner: self.inner.clone().with_setting("readonly", "2"),
            ..self.clone()
        }
    }

    /// The same connection, on which the server reads whatever a condition may hold for. By its statistics it leaves parts out for which it
    /// holds: ClickHouse 26.7 does where a `DateTime64` is compared with a `DateTime` by `<` or `>` and the part's minimum or maximum lies in
    /// the same second or the one before.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn without_statistics(&self) -> Result<Self, Error> {
        const SETTING: [(&str, &str); 1] = [("use_statistics_for_part_pruning", "0")];
        let mut inner = self.inner.clone();
        for (name, value) in self.known(&SETTING).await? {
            inner = inner.with_setting(name, value);
        }
        Ok(Self {
            inner,
            ..self.clone()
        })
    }

    /// The same connection, in another database.
    #[must_use]
    pub fn in_database(&self, database: &str) -> Self {
        Self {
            inner: self.inner.clone().with_database(database),
            database: database.to_owned(),
            ..self.clone()
        }
    }

    /// The database that unqualified names mean.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The cluster to whose servers statements are sent, if the target has one.
    #[must_use]
    pub fn cluster(&self) -> Option<&str> {
        self.cluster.as_deref()
    }

    /// The URL, without user and password.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Executes a statement and waits for its end, however long that takes.
    ///
    /// It is sent again only if no connection was made, so it is never executed twice.
    ///
    /// # Errors
    /// [`Error`]; [`Error::outcome_is_unknown`] tells whether the statement may have been executed all the same.
    pub async fn execute(&self, query: &Query) -> Result<(), Error> {
        self.send(query, self.limits.statement, Error::nothing_was_sent)
            .await
    }

    /// Executes a statement that may be executed twice, and sends it again after a lost connection.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn execute_again(&self, query: &Query) -> Result<(), Error> {
        self.send(query, Some(self.limits.answer), Error::is_network)
            .await
    }

    async fn send(
        &self,
        query: &Query,
        limit: Option<Duration>,
        may_repeat: fn(&Error) -> bool,
    ) -> Result<(), Error> {
        let mut attempt = 0;
        loop {
            let answer = self.prepare(query).execute();
            let Err(error) = within(limit, answer, &self.url).await else {
                return Ok(());
            };
            match RETRIES.get(attempt) {
                Some(pause) if may_repeat(&error) => tokio::time::sleep(*pause).await,
                _ => return Err(error),
            }
            attempt += 1;
        }
    }

    /// The rows of a SELECT, each read from its `JSONEachRow` object.
    ///
    /// # Errors
    /// [`Error`]; [`Error::Answer`] if a row is not what `T` expects.
    pub async fn rows<T: DeserializeOwned>(&self, query: &Query) -> Result<Vec<T>, Error> {
        let query = query
            .clone()
            .setting("output_format_json_quote_64bit_integers", "0");
        let text = self.fetch(&query, "JSONEachRow").await?;
        text.split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| {
                serde_json::from_slice(line).map_err(|source| Error::Answer {
                    url: self.url.clone(),
                    source,
                })
            })
            .collect()
    }

    /// The one row of a SELECT that has exactly one.
    ///
    /// # Errors
    /// As [`Client::rows`], and [`Error::NoRow`].
    pub async fn row<T: DeserializeOwned>(&self, query: &Query) -> Result<T, Error> {
        self.rows(query).await?.pop().ok_or_else(|| Error::NoRow {
            url: self.url.clone(),
        })
    }

    /// The result of a SELECT in any of ClickHouse's output formats. A read may be sent again after a lost connection.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn fetch(&self, query: &Query, format: &str) -> Result<Bytes, Error> {
        let mut attempt = 0;
        loop {
            let read = async { self.prepare(query).fetch_bytes(format)?.collect().await };
            let error = match within(Some(self.limits.answer), read, &self.url).await {
                Ok(bytes) => return Ok(bytes),
                Err(error) => error,
            };
            match RETRIES.get(attempt) {
                Some(pause) if error.is_network() => tokio::time::sleep(*pause).await,
                _ => return Err(error),
            }
            attempt += 1;
        }
    }

    /// Begins an INSERT whose data follows in chunks; `query` ends with `FORMAT …`.
    #[must_use]
    pub fn insert(&self, query: &Query) -> Insert {
        let mut client = self.inner.clone();
        if let Some(query_id) = &query.id {
            client = client.with_setting("query_id", query_id);
        }
        for (name, value) in &query.settings {
            client = client.with_setting(name, value);
        }
        Insert {
            inner: client.insert_formatted_with(query.sql.clone()),
            url: self.url.clone(),
            limit: self.limits.statement,
        }
    }

    /// Inserts rows as one `JSONEachRow` block into a table, or into some of its columns (`t (a, b)`): all of them or, after an error of the server, none.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn insert_rows<T: Serialize>(
        &self,
        into: &str,
        rows: &[T],
        settings: &[(&str, &str)],
    ) -> Result<(), Error> {
        let mut body = Vec::new();
        for row in rows {
            serde_json::to_writer(&mut body, row).map_err(|source| Error::Answer {
                url: self.url.clone(),
                source,
            })?;
            body.push(b'\n');
        }
        let query = Query::new(format!("INSERT INTO {into} FORMAT JSONEachRow"));
        let query = settings
            .iter()
            .fold(query, |query, (name, value)| query.setting(name, *value));
        let mut insert = self.insert(&query);
        insert.send(body.into()).await?;
        insert.end().await
    }

    /// Those of some settings that the server knows; an old one refuses the others.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn known<'a>(
        &self,
        settings: &[(&'a str, &'a str)],
    ) -> Result<Vec<(&'a str, &'a str)>, Error> {
        #[derive(serde::Deserialize)]
        struct Row {
            name: String,
        }
        let names: Vec<String> = settings.iter().map(|(name, _)| literal(name)).collect();
        let query = Query::new(format!(
            "SELECT name FROM system.settings WHERE name IN ({})",
            names.join(", ")
        ));
        let known: Vec<Row> = self.rows(&query).await?;
        Ok(settings
            .iter()
            .copied()
            .filter(|(name, _)| known.iter().any(|row| row.name == *name))
            .collect())
    }

    fn prepare(&self, query: &Query) -> clickhouse::query::Query {
        let mut prepared = self.inner.query_raw(&query.sql);
        if let Some(query_id) = &query.id {
            prepared = prepared.with_setting("query_id", query_id);
        }
        for (name, value) in &query.settings {
            prepared = prepared.with_setting(name, value);
        }
        for (name, value) in &query.parameters {
            prepared = match value {
                Parameter::Text(value) => prepared.param(name, value),
                Parameter::Texts(values) => prepared.param(name, values),
                Parameter::Number(value) => prepared.param(name, value),
            };
        }
        prepared
    }
}

/// An INSERT under way. Dropped before [`Insert::end`], it is aborted.
pub struct Insert {
    inner: clickhouse::insert_formatted::InsertFormatted,
    url: String,
    limit: Option<Duration>,
}

impl Insert {
    /// Sends a chunk of data, cut anywhere.
    ///
    /// # Errors
    /// [`Error`], as soon as the server has refused what came before.
    pub async fn send(&mut self, chunk: Bytes) -> Result<(), Error> {
        self.inner
            .send(chunk)
            .await
            .map_err(|error| Error::of(error, &self.url))
    }

    /// Ends the data and waits until the server has taken it.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn end(self) -> Result<(), Error> {
        within(self.limit, self.inner.end(), &self.url).await
    }
}

/// Waits for an answer, no longer than the limit.
async fn within<T>(
    limit: Option<Duration>,
    answer: impl Future<Output = Result<T, clickhouse::error::Error>>,
    url: &str,
) -> Result<T, Error> {
    let answer = match limit {
        None => answer.await,
        Some(limit) => match tokio::time::timeout(limit, answer).await {
            Ok(answer) => answer,
            Err(_) => {
                return Err(Error::TimedOut {
                    url: url.to_owned(),
                    after: limit,
                });
            }
        },
    };
    answer.map_err(|error| Error::of(error, url))
}
