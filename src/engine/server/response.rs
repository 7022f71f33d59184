//! From a request to its answer.

use std::sync::Arc;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;

use crate::engine::child::LEASE_PATH;
use crate::engine::library::Statistics;
use crate::engine::server::Shared;
use crate::engine::server::body::{Body, Encoding, Incoming};
use crate::engine::server::execute::{Job, Reply, Work};
use crate::engine::server::output::{self, Mode};
use crate::engine::server::request::{Parameters, Request};
use crate::engine::server::status::Exception;
use crate::engine::server::stock::Stock;
use crate::sql::{Insert, Kind, Token, TokenKind, header as statement_header, insert, tokens};

/// How much of a body is gathered before it is handed over, if the head of an INSERT is in it.
const HEAD: usize = 64 << 10;

pub(crate) async fn answer(shared: &Arc<Shared>, request: axum::extract::Request) -> Response {
    let request = request.map(Incoming::heard);
    let parameters = Parameters::of(request.uri());
    let refused = shared.access.origin(request.headers());
    if let Err(exception) = refused {
        return failed(shared, &exception, None);
    }
    let path = request.uri().path();
    let is_query =
        parameters.get("query").is_some() || request.method() == axum::http::Method::POST;
    match path {
        "/ping" | "/replicas_status" => return "Ok.\n".into_response(),
        "/" if !is_query => return "Ok.\n".into_response(),
        "/" | "/query" | LEASE_PATH => {}
        _ => {
            let text = format!(
                "There is no handle {path}\n\nUse / or /ping for health checks, and POST queries to /.\n"
            );
            return (StatusCode::NOT_FOUND, text).into_response();
        }
    }
    if let Err(exception) = shared.access.check(request.headers(), &parameters) {
        return failed(shared, &exception, None);
    }
    if path == LEASE_PATH {
        return shared.leases.body().into_response();
    }
    let limit = shared.options.max_query_size;
    match Request::read(request, parameters, limit).await {
        Ok((request, body)) => {
            let query_id = request.query_id.clone();
            match query(shared, request, body).await {
                Ok(response) => response,
                Err(exception) => failed(shared, &exception, Some(&query_id)),
            }
        }
        Err(exception) => failed(shared, &exception, None),
    }
}

async fn query(shared: &Arc<Shared>, request: Request, body: Body) -> Result<Response, Exception> {
    let accept = if request.parameters.get("enable_http_compression") == Some("0") {
        ""
    } else {
        &request.accept_encoding
    };
    let encoding = Encoding::choose(accept, request.parameters.is_on("compress"));
    let query_id = request.query_id.clone();
    let (work, format) = work(shared, &request, body).await?;
    let session = request.parameters.get("session_id").map(str::to_owned);
    let job = Job {
        request,
        work,
        format: format.clone(),
    };
    let (reply, replied) = oneshot::channel();
    let mut killer = Killer {
        stock: shared.stock.clone(),
        query_id: Some(query_id.clone()),
    };
    let shared_here = Arc::clone(shared);
    tokio::task::spawn_blocking(move || run(&shared_here, job, session.as_deref(), reply));
    let reply = replied
        .await
        .unwrap_or_else(|_| {
            Err(Exception::new(
                1001,
                "STD_EXCEPTION",
                "the engine gave no answer",
            ))
        })
        .inspect_err(|_| killer.forget())?;
    Ok(match reply {
        Reply::Whole { bytes, statistics } => {
            killer.forget();
            let mut response = match encoding {
                Encoding::Plain => bytes.into_response(),
                encoded => encoded.body(stream::iter([Ok(bytes)])).into_response(),
            };
            headers(&mut response, &format, encoding, &query_id);
            set(&mut response, "x-clickhouse-summary", &summary(statistics));
            response
        }
        Reply::Begun {
            first,
            statistics,
            rest,
        } => {
            let mut response = begun(first, rest, &format, encoding, &query_id, killer);
            set(&mut response, "x-clickhouse-summary", &summary(statistics));
            response
        }
    })
}

fn run(
    shared: &Shared,
    job: Job,
    session: Option<&str>,
    reply: oneshot::Sender<Result<Reply, Exception>>,
) {
    let Some(_busy) = shared.stock.enter() else {
        let _ = reply.send(Err(Exception::new(
            236,
            "ABORTED",
            "The embedded engine is ending.",
        )));
        return;
    };
    match session {
        Some(id) => match shared.sessions.take(id, &job.request, &shared.stock) {
            Ok(mut guard) => {
                if let Some(connection) = guard.connection() {
                    job.run_in_session(connection, reply);
                }
            }
            Err(exception) => {
                let _ = reply.send(Err(exception));
            }
        },
        None => match shared.stock.take() {
            Ok(mut connection) => {
                job.run(&mut connection, reply);
                drop(connection);
                shared.stock.refill();
            }
            Err(error) => {
                let _ = reply.send(Err(error.into()));
            }
        },
    }
}

/// Cancels the query of a client that went away.
struct Killer {
    stock: Stock,
    query_id: Option<String>,
}

impl Killer {
    fn forget(&mut self) {
        self.query_id = None;
    }
}

impl Drop for Killer {
    fn drop(&mut self) {
        if let Some(query_id) = self.query_id.take() {
            let stock = self.stock.clone();
            tokio::task::spawn_blocking(move || stock.kill(&query_id));
        }
    }
}

/// Reads the statement, from the URL, the form or the body, and says how it is to be executed and in which format it answers.
async fn work(
    shared: &Shared,
    request: &Request,
    mut body: Body,
) -> Result<(Work, String), Exception> {
    let mut text = BytesMut::from(request.query().as_bytes());
    // Data may follow a statement in the URL; a statement in the body is found in its beginning.
    let mut in_body = text.is_empty();
    if !in_body && !matches!(insert(&text), Some(Insert::Data { .. })) {
        text.extend_from_slice(b"\n");
        in_body = true;
    }
    let mut ended = false;
    // A text that grows is looked at anew only when it has doubled.
    let mut look = HEAD;
    if in_body {
        loop {
            let Some(piece) = body.next().await? else {
                ended = true;
                break;
            };
            text.extend_from_slice(&piece);
            if text.len() >= look {
                look = 2 * text.len();
                if matches!(
                    insert(&text),
                    Some(Insert::Data {
                        format: Some(_),
                        ..
                    })
                ) {
                    break;
                }
            }
            if text.len() > shared.options.max_query_size {
                return Err(Exception::new(
                    223,
                    "QUERY_IS_TOO_LARGE",
                    format!(
                        "The statement is longer than {} bytes.",
                        shared.options.max_query_size
                    ),
                ));
            }
        }
    }
    if let Some(Insert::Data {
        head,
        format,
        settings,
        data,
    }) = insert(&text)
    {
        let mut statement = text.get(head.start..head.end).unwrap_or_default().to_vec();
        if let Some(settings) = settings {
            statement.push(b' ');
            statement.extend_from_slice(text.get(settings.start..settings.end).unwrap_or_default());
        }
        let format = format
            .or_else(|| request.default_format().map(str::to_owned))
            .unwrap_or_else(|| "Values".to_owned());
        let inline = text.split_off(data.min(text.len())).freeze();
        let work = Work::Insert {
            head: statement,
            format,
            data: feed(inline, body, ended),
        };
        return Ok((work, "TabSeparated".to_owned()));
    }
    statement(shared, request, text.to_vec())
}

/// Hands the data of an INSERT over as it comes.
fn feed(inline: Bytes, mut body: Body, ended: bool) -> mpsc::Receiver<Result<Bytes, Exception>> {
    let (sender, receiver) = mpsc::channel(4);
    tokio::spawn(async move {
        if !inline.is_empty() && sender.send(Ok(inline)).await.is_err() || ended {
            return;
        }
        while let Some(piece) = body.next().await.transpose() {
            let failed = piece.is_err();
            if sender.send(piece).await.is_err() || failed {
                return;
            }
        }
    });
    receiver
}

/// A statement that is no INSERT of data.
fn statement(
    shared: &Shared,
    request: &Request,
    mut sql: Vec<u8>,
) -> Result<(Work, String), Exception> {
    one_statement(&sql)?;
    let text = String::from_utf8_lossy(&sql).into_owned();
    let header = statement_header(&text);
    if matches!(header.label.as_str(), "SYSTEM SHUTDOWN" | "SYSTEM KILL") {
        return Err(Exception::new(
            344,
            "SUPPORT_IS_DISABLED",
            "The embedded engine lives in the process that serves it; end that instead.",
        ));
    }
    let words = Words::of(&text);
    if words.has("INTO", "OUTFILE") || insert(&sql) == Some(Insert::InFile) {
        return Err(Exception::new(
            344,
            "SUPPORT_IS_DISABLED",
            "INTO OUTFILE and FROM INFILE are for a client, which has files; there is none here.",
        ));
    }
    if header.kind == Kind::InsertSelect && takes_data(&text) {
        // libchdb would cut the data at its first blank line and execute the rest.
        return Err(Exception::new(
            48,
            "NOT_IMPLEMENTED",
            "INSERT … SELECT from input() is not supported by the embedded engine; insert the data into a table and select from that.",
        ));
    }
    if header.kind == Kind::Kill {
        sql = words.kill().into_bytes();
    }
    let format = words
        .format()
        .or(request.default_format())
        .unwrap_or("TabSeparated")
        .to_owned();
    let is_select = header.kind == Kind::Read && matches!(header.label.as_str(), "SELECT" | "WITH");
    let mode = output::mode(&format);
    // Totals and extremes stand at the end of a document, once; so do the brackets of an array.
    let plain = ["TOTALS", "extremes", "output_format_json_array_of_rows"]
        .iter()
        .all(|name| {
            !words.contains(name)
                && !request
                    .settings()
                    .iter()
                    .any(|(setting, _)| setting == name)
        });
    // Whoever waits for the end wants an error as a status, not behind half of the rows.
    let streamed = plain && mode != Mode::Whole && !request.parameters.is_on("wait_end_of_query");
    let work = if is_select && streamed {
        Work::Stream { sql, mode }
    } else {
        Work::Whole {
            sql,
            limit: is_select.then_some(shared.options.max_result_size),
        }
    };
    Ok((work, format))
}

/// Whether a statement calls `input()`, whose rows come as data behind the statement.
fn takes_data(text: &str) -> bool {
    let mut last = "";
    tokens(text)
        .filter(|token| token.kind.is_significant())
        .any(|token| {
            let call =
                token.kind == TokenKind::OpeningRoundBracket && last.eq_ignore_ascii_case("input");
            last = token.span.of(text);
            call
        })
}

/// Refuses a second statement behind a `;`.
fn one_statement(sql: &[u8]) -> Result<(), Exception> {
    let mut ended = false;
    let mut empty = true;
    for token in tokens(sql).filter(|token| token.kind.is_significant()) {
        if token.kind == TokenKind::Semicolon {
            ended = true;
        } else if ended {
            return Err(Exception::new(
                62,
                "SYNTAX_ERROR",
                format!(
                    "Syntax error (Multi-statements are not allowed): failed at position {} (end of query).",
                    token.span.start
                ),
            ));
        } else {
            empty = false;
        }
    }
    if empty {
        return Err(Exception::new(
            62,
            "SYNTAX_ERROR",
            "Syntax error: failed at position 1 (end of query): Empty query.",
        ));
    }
    Ok(())
}

/// What a statement consists of outside of brackets.
struct Words<'a> {
    text: &'a str,
    words: Vec<Token>,
}

impl<'a> Words<'a> {
    fn of(text: &'a str) -> Self {
        let mut depth = 0_usize;
        let mut words = Vec::new();
        for token in tokens(text).filter(|token| token.kind.is_significant()) {
            match token.kind {
                TokenKind::OpeningRoundBracket => depth += 1,
                TokenKind::ClosingRoundBracket => depth = depth.saturating_sub(1),
                _ if depth == 0 => words.push(token),
                _ => {}
            }
        }
        Self { text, words }
    }

    fn is(&self, index: usize, word: &str) -> bool {
        self.words.get(index).is_some_and(|token| {
            token.kind == TokenKind::BareWord && token.span.of(self.text).eq_ignore_ascii_case(word)
        })
    }

    fn contains(&self, word: &str) -> bool {
        (0..self.words.len()).any(|index| self.is(index, word))
    }

    fn has(&self, first: &str, second: &str) -> bool {
        (0..self.words.len()).any(|index| self.is(index, first) && self.is(index + 1, second))
    }

    /// The format that the statement names: `FORMAT name` at its end, or before SETTINGS. A column may be called `format` too.
    fn format(&self) -> Option<&'a str> {
        let ends = |index: usize| {
            self.words
                .get(index)
                .is_none_or(|token| token.kind == TokenKind::Semicolon)
                || self.is(index, "SETTINGS")
        };
        let at = (0..self.words.len())
            .rev()
            .find(|index| self.is(*index, "FORMAT") && ends(index + 2))?;
        let name = self.words.get(at + 1)?;
        (name.kind == TokenKind::BareWord).then(|| name.span.of(self.text))
    }

    /// A KILL that looks for our ids, and does not wait for the end of the query, which would be never.
    fn kill(&self) -> String {
        let mut text = self.text.to_owned();
        for index in (0..self.words.len()).rev() {
            let Some(span) = self.words.get(index).map(|token| token.span) else {
                continue;
            };
            if self.is(index, "SYNC") {
                text.replace_range(span.start..span.end, "ASYNC");
            } else if self.is(index, "query_id") && self.is(1, "QUERY") {
                text.replace_range(span.start..span.end, "Settings['log_comment']");
            }
        }
        text
    }
}

/// The exception with the version behind it, as a server says it.
fn versioned(shared: &Shared, exception: &Exception) -> String {
    if exception.text.contains("(version ") {
        exception.text.clone()
    } else {
        format!(
            "{} (version {} (housewright))",
            exception.text, shared.version
        )
    }
}

/// An answer that goes on; what goes wrong later is said the way the server says it.
fn begun(
    first: Bytes,
    rest: mpsc::Receiver<Result<Bytes, Exception>>,
    format: &str,
    encoding: Encoding,
    query_id: &str,
    killer: Killer,
) -> Response {
    let tag: String = query_id
        .chars()
        .chain("housewrightendpoint".chars())
        .filter(char::is_ascii_alphanumeric)
        .take(16)
        .collect();
    let late_tag = tag.clone();
    let rest = ReceiverStream::new(rest).map(move |piece| match piece {
        Ok(bytes) => bytes,
        Err(exception) => late(&exception, &late_tag),
    });
    // The query ends with the body: read to its end, or dropped with its client.
    let mut killer = killer;
    let ends = stream::once(async move {
        killer.forget();
        Bytes::new()
    });
    let bytes = stream::once(async move { first }).chain(rest).chain(ends);
    let mut response = encoding
        .body(
            bytes
                .filter(|bytes| std::future::ready(!bytes.is_empty()))
                .map(Ok),
        )
        .into_response();
    headers(&mut response, format, encoding, query_id);
    set(&mut response, "x-clickhouse-exception-tag", &tag);
    response
}

/// An exception behind data that was sent already (`src/Server/HTTP/WriteBufferFromHTTPServerResponse.cpp`, since 25.11).
fn late(exception: &Exception, tag: &str) -> Bytes {
    let message = format!("{}\n", exception.text);
    format!(
        "\r\n__exception__\r\n{tag}\r\n{message}{} {tag}\r\n__exception__\r\n",
        message.len()
    )
    .into()
}

fn failed(shared: &Shared, exception: &Exception, query_id: Option<&str>) -> Response {
    let mut response = (
        exception.status(),
        format!("{}\n", versioned(shared, exception)),
    )
        .into_response();
    if exception.status() == StatusCode::UNAUTHORIZED {
        set(
            &mut response,
            header::WWW_AUTHENTICATE.as_str(),
            "Basic realm=\"ClickHouse server HTTP API\"",
        );
    }
    set(
        &mut response,
        "x-clickhouse-exception-code",
        &exception.code.to_string(),
    );
    set(
        &mut response,
        "x-clickhouse-server-display-name",
        "housewright",
    );
    if let Some(query_id) = query_id {
        set(&mut response, "x-clickhouse-query-id", query_id);
    }
    response
}

fn headers(response: &mut Response, format: &str, encoding: Encoding, query_id: &str) {
    set(
        response,
        header::CONTENT_TYPE.as_str(),
        output::content_type(format),
    );
    set(response, "x-clickhouse-format", format);
    set(response, "x-clickhouse-query-id", query_id);
    set(response, "x-clickhouse-timezone", "UTC");
    set(response, "x-clickhouse-server-display-name", "housewright");
    if let Encoding::Http(name) = encoding {
        set(response, header::CONTENT_ENCODING.as_str(), name);
    }
}

fn set(response: &mut Response, name: &str, value: &str) {
    let name = axum::http::HeaderName::from_bytes(name.as_bytes());
    if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
        response.headers_mut().insert(name, value);
    }
}

fn summary(statistics: Statistics) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "seconds are few and not negative"
    )]
    let elapsed_ns = (statistics.elapsed * 1e9) as u64;
    let Statistics {
        rows_read,
        bytes_read,
        rows_written,
        bytes_written,
        ..
    } = statistics;
    format!(
        r#"{{"read_rows":"{rows_read}","read_bytes":"{bytes_read}","written_rows":"{rows_written}","written_bytes":"{bytes_written}","total_rows_to_read":"0","result_rows":"{rows_written}","result_bytes":"{bytes_written}","elapsed_ns":"{elapsed_ns}"}}"#
    )
}
