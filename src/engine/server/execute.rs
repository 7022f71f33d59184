//! One statement, executed. Everything here blocks.

use std::fmt::Write as _;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::engine::library::{Connection, Output, Statistics};
use crate::engine::server::output::Mode;
use crate::engine::server::request::{ExternalTable, Request};
use crate::engine::server::status::Exception;

/// What a statement is, read from its text.
pub(crate) enum Work {
    /// An INSERT whose data comes with the request.
    Insert {
        /// The statement, without VALUES or FORMAT.
        head: Vec<u8>,
        format: String,
        /// The data: what stood behind the statement, then what follows in the body.
        data: mpsc::Receiver<Result<Bytes, Exception>>,
    },
    /// A SELECT whose result is streamed.
    Stream { sql: Vec<u8>, mode: Mode },
    /// Anything else.
    Whole {
        sql: Vec<u8>,
        /// Bytes that the result may have.
        limit: Option<u64>,
    },
}

/// What is sent before the body.
pub(crate) enum Reply {
    /// All of it.
    Whole {
        bytes: Bytes,
        statistics: Statistics,
    },
    /// The first chunk; the rest follows.
    Begun {
        first: Bytes,
        /// So far.
        statistics: Statistics,
        rest: mpsc::Receiver<Result<Bytes, Exception>>,
    },
}

/// A statement and all that goes with it.
pub(crate) struct Job {
    pub(crate) request: Request,
    pub(crate) work: Work,
    /// The output format if the statement names none.
    pub(crate) format: String,
}

/// Chunks that may wait for a slow client.
const AHEAD: usize = 4;

impl Job {
    /// Executes the statement on a connection of its own and answers through `reply`.
    pub(crate) fn run(
        self,
        connection: &mut Connection,
        reply: oneshot::Sender<Result<Reply, Exception>>,
    ) {
        let limit = match &self.work {
            Work::Whole { limit, .. } => *limit,
            _ => None,
        };
        match prepare(connection, &self.request, limit) {
            Ok(()) => self.execute(connection, reply),
            Err(exception) => {
                let _ = reply.send(Err(exception));
            }
        }
    }

    /// The same on the connection of a session, which keeps what the statement sets and nothing of what its URL sets.
    pub(crate) fn run_in_session(
        self,
        connection: &mut Connection,
        reply: oneshot::Sender<Result<Reply, Exception>>,
    ) {
        let (restore, database) = match remember(connection, &self.request) {
            Ok(remembered) => remembered,
            Err(exception) => {
                let _ = reply.send(Err(exception));
                return;
            }
        };
        let asked = self.request.database().map(str::to_owned);
        self.run(connection, reply);
        if !restore.is_empty() {
            let _ = connection.query(restore.as_bytes(), "Null", &[]);
        }
        // A `USE` of the statement itself stays.
        if let Some(asked) = asked.filter(|asked| *asked != database)
            && current_database(connection).is_ok_and(|current| current == asked)
        {
            let back = format!("USE {}", identifier(&database));
            let _ = connection.query(back.as_bytes(), "Null", &[]);
        }
    }

    fn execute(
        self,
        connection: &mut Connection,
        reply: oneshot::Sender<Result<Reply, Exception>>,
    ) {
        let parameters = self.request.query_parameters();
        match self.work {
            Work::Insert { head, format, data } => {
                let _ = reply.send(insert(connection, &head, &format, &parameters, data));
            }
            Work::Whole { sql, .. } => {
                let result = connection
                    .query(&sql, &self.format, &parameters)
                    .map(|output| whole(&output))
                    .map_err(Exception::from);
                let _ = reply.send(result);
            }
            Work::Stream { sql, mode } => {
                stream(connection, &sql, &self.format, mode, &parameters, reply);
            }
        }
    }
}

/// Settings, database and external tables of the request.
fn prepare(
    connection: &mut Connection,
    request: &Request,
    limit: Option<u64>,
) -> Result<(), Exception> {
    // The id under which KILL QUERY finds it; the engine's own ids cannot be chosen.
    let mut set = format!("SET log_comment={}", literal(&request.query_id));
    for (name, value) in request.settings() {
        set.push_str(&format_setting(name, value)?);
    }
    let given = |wanted: &str| request.settings().iter().any(|(name, _)| *name == wanted);
    if let Some(limit) = limit.filter(|_| !given("max_result_bytes")) {
        let _ = write!(
            set,
            ", max_result_bytes={limit}, result_overflow_mode='throw'"
        );
    }
    if request.read_only && !given("readonly") {
        set.push_str(", readonly=2");
    }
    if let Some(database) = request.database() {
        set.push_str("; USE ");
        set.push_str(&identifier(database));
    }
    connection.query(set.as_bytes(), "Null", &[])?;
    for table in &request.tables {
        external(connection, table)?;
    }
    Ok(())
}

fn format_setting(name: &str, value: &str) -> Result<String, Exception> {
    let is_name = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_name {
        Ok(format!(", {name}={}", literal(value)))
    } else {
        Err(Exception::new(
            115,
            "UNKNOWN_SETTING",
            format!("Unknown setting '{name}'."),
        ))
    }
}

fn external(connection: &mut Connection, table: &ExternalTable) -> Result<(), Exception> {
    let name = identifier(&table.name);
    let create = format!(
        "CREATE TEMPORARY TABLE {name} ({}) ENGINE = Memory",
        table.structure
    );
    connection.query(create.as_bytes(), "Null", &[])?;
    let mut insert =
        connection.insert(format!("INSERT INTO {name}").as_bytes(), &table.format, &[])?;
    insert.append(&table.data)?;
    insert.done()?;
    Ok(())
}

fn current_database(connection: &mut Connection) -> Result<String, Exception> {
    let output = connection.query(b"SELECT currentDatabase()", "TSVRaw", &[])?;
    let text = String::from_utf8_lossy(output.bytes());
    Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
}

/// The statement that takes the request's settings out of a session again, and the session's database.
fn remember(connection: &mut Connection, request: &Request) -> Result<(String, String), Exception> {
    let settings = request.settings();
    let mut names: Vec<String> = settings.iter().map(|(name, _)| literal(name)).collect();
    names.push("'log_comment'".to_owned());
    names.push("'readonly'".to_owned());
    let query = format!(
        "SELECT 'SET ' || arrayStringConcat(groupArray(name || '=' || if(changed, quote, 'DEFAULT')), ', ') FROM (SELECT name, changed, '\\'' || replaceAll(replaceAll(value, '\\\\', '\\\\\\\\'), '\\'', '\\\\\\'') || '\\'' AS quote FROM system.settings WHERE name IN ({}))",
        names.join(", ")
    );
    let output = connection.query(query.as_bytes(), "TSVRaw", &[])?;
    let restore = String::from_utf8_lossy(output.bytes()).trim().to_owned();
    drop(output);
    Ok((restore, current_database(connection)?))
}

fn insert(
    connection: &mut Connection,
    head: &[u8],
    format: &str,
    parameters: &[(String, String)],
    mut data: mpsc::Receiver<Result<Bytes, Exception>>,
) -> Result<Reply, Exception> {
    let mut insert = connection.insert(head, format, parameters)?;
    while let Some(piece) = data.blocking_recv() {
        // A body that breaks off is no end of the data: the INSERT is dropped, and with it cancelled.
        insert.append(&piece?)?;
    }
    let statistics = insert.done()?;
    Ok(Reply::Whole {
        bytes: Bytes::new(),
        statistics,
    })
}

fn stream(
    connection: &mut Connection,
    sql: &[u8],
    format: &str,
    mode: Mode,
    parameters: &[(String, String)],
    reply: oneshot::Sender<Result<Reply, Exception>>,
) {
    let Some((reply, statistics)) = rows(connection, sql, format, mode, parameters, reply) else {
        return;
    };
    let result = match mode {
        Mode::Rows => Ok(Reply::Whole {
            bytes: Bytes::new(),
            statistics,
        }),
        // Only the whole document says its names and types when there are no rows. The price is a second look at nothing.
        _ => connection
            .query(sql, format, parameters)
            .map(|output| whole(&output))
            .map_err(Exception::from),
    };
    let _ = reply.send(result);
}

fn whole(output: &Output) -> Reply {
    Reply::Whole {
        bytes: Bytes::copy_from_slice(output.bytes()),
        statistics: output.statistics(),
    }
}

/// Streams the rows of a SELECT; gives `reply` back if there are none.
fn rows(
    connection: &mut Connection,
    sql: &[u8],
    format: &str,
    mode: Mode,
    parameters: &[(String, String)],
    reply: oneshot::Sender<Result<Reply, Exception>>,
) -> Option<(oneshot::Sender<Result<Reply, Exception>>, Statistics)> {
    let begun = connection
        .stream(sql, format, parameters)
        .and_then(|mut stream| {
            let first = stream.fetch()?;
            Ok((stream, first))
        });
    let (mut stream, first) = match begun {
        Ok((stream, Some(first))) => (stream, first),
        Ok((stream, None)) => return Some((reply, stream.statistics())),
        Err(error) => {
            let _ = reply.send(Err(error.into()));
            return None;
        }
    };
    let head = first
        .bytes()
        .get(..mode.head(first.bytes()))
        .unwrap_or_default()
        .to_vec();
    let mut next = stream.fetch();
    if matches!(next, Ok(None)) {
        let _ = reply.send(Ok(whole(&first)));
        return None;
    }
    let (chunks, rest) = mpsc::channel(AHEAD);
    let begun = Reply::Begun {
        first: Bytes::copy_from_slice(first.bytes()),
        statistics: first.statistics(),
        rest,
    };
    if reply.send(Ok(begun)).is_err() {
        return None;
    }
    loop {
        let piece = match next {
            Ok(None) => return None,
            Ok(Some(chunk)) => {
                let bytes = chunk.bytes();
                Ok(Bytes::copy_from_slice(
                    bytes.strip_prefix(head.as_slice()).unwrap_or(bytes),
                ))
            }
            Err(error) => Err(error.into()),
        };
        let failed = piece.is_err();
        // A client that went away needs no more.
        if chunks.blocking_send(piece).is_err() || failed {
            return None;
        }
        next = stream.fetch();
    }
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}
