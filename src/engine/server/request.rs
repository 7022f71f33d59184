//! What a request asks: parameters from the URL and from multipart fields, taken apart into what each is for.

use axum::extract::FromRequest as _;
use axum::http::{HeaderMap, Method, Uri};
use bytes::Bytes;

use crate::engine::server::body::Body;
use crate::engine::server::status::Exception;

/// Parameters that are for the interface and not settings of the query.
const RESERVED: [&str; 22] = [
    "query",
    "database",
    "default_format",
    "session_id",
    "session_check",
    "session_timeout",
    "close_session",
    "user",
    "password",
    "quota_key",
    "query_id",
    "compress",
    "decompress",
    "stacktrace",
    "role",
    "client_protocol_version",
    "wait_end_of_query",
    "buffer_size",
    "enable_http_compression",
    "http_zlib_compression_level",
    "http_native_compression_disable_checksumming_on_decompress",
    "log_comment",
];

/// Name and value, in the order they came; the first of a name counts.
#[derive(Debug, Default)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(crate) fn of(uri: &Uri) -> Self {
        let query = uri.query().unwrap_or_default();
        Self(
            url::form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn is_on(&self, name: &str) -> bool {
        self.get(name)
            .is_some_and(|value| matches!(value, "1" | "true"))
    }
}

/// A table that comes with the request.
#[derive(Debug)]
pub(crate) struct ExternalTable {
    pub(crate) name: String,
    pub(crate) format: String,
    pub(crate) structure: String,
    pub(crate) data: Bytes,
}

/// A request, its body not yet read.
pub(crate) struct Request {
    pub(crate) parameters: Parameters,
    /// `GET` and `HEAD` may change nothing.
    pub(crate) read_only: bool,
    pub(crate) query_id: String,
    pub(crate) accept_encoding: String,
    format_header: Option<String>,
    database_header: Option<String>,
    pub(crate) tables: Vec<ExternalTable>,
}

impl Request {
    /// Reads everything but the body; multipart fields are read, because they are parameters.
    pub(crate) async fn read(
        request: axum::extract::Request,
        mut parameters: Parameters,
        limit: usize,
    ) -> Result<(Self, Body), Exception> {
        let headers = request.headers().clone();
        let read_only = matches!(*request.method(), Method::GET | Method::HEAD);
        let header = |name: &str| text(&headers, name);
        let is_multipart =
            header("content-type").is_some_and(|kind| kind.starts_with("multipart/form-data"));
        let mut tables = Vec::new();
        let body = if is_multipart {
            multipart(request, &mut parameters, &mut tables, limit).await?;
            Body::empty()
        } else {
            let encoding = header("content-encoding").unwrap_or_default();
            Body::of(
                request.into_body(),
                &encoding,
                parameters.is_on("decompress"),
            )?
        };
        let query_id = parameters
            .get("query_id")
            .filter(|id| !id.is_empty())
            .map(str::to_owned)
            .or_else(|| header("x-clickhouse-query-id"))
            .unwrap_or_else(random_id);
        let request = Self {
            read_only,
            query_id,
            accept_encoding: header("accept-encoding").unwrap_or_default(),
            format_header: header("x-clickhouse-format"),
            database_header: header("x-clickhouse-database"),
            parameters,
            tables,
        };
        Ok((request, body))
    }

    /// The text of the statement in the URL or in the form.
    pub(crate) fn query(&self) -> &str {
        self.parameters.get("query").unwrap_or_default()
    }

    pub(crate) fn database(&self) -> Option<&str> {
        self.parameters
            .get("database")
            .or(self.database_header.as_deref())
            .filter(|database| !database.is_empty())
    }

    /// The format of a result, or of data, that the statement does not name itself.
    pub(crate) fn default_format(&self) -> Option<&str> {
        self.format_header
            .as_deref()
            .or_else(|| self.parameters.get("default_format"))
            .filter(|format| !format.is_empty())
    }

    /// The values of `{name:Type}`.
    pub(crate) fn query_parameters(&self) -> Vec<(String, String)> {
        self.parameters
            .0
            .iter()
            .filter_map(|(name, value)| {
                Some((name.strip_prefix("param_")?.to_owned(), value.clone()))
            })
            .collect()
    }

    /// The settings of the query.
    pub(crate) fn settings(&self) -> Vec<(&str, &str)> {
        let tables: Vec<&str> = self
            .tables
            .iter()
            .map(|table| table.name.as_str())
            .collect();
        let of_a_table = |name: &str| {
            tables.iter().any(|table| {
                name.strip_prefix(table)
                    .is_some_and(|rest| matches!(rest, "_format" | "_types" | "_structure"))
            })
        };
        self.parameters
            .0
            .iter()
            .filter(|(name, _)| {
                !name.starts_with("param_")
                    && !RESERVED.contains(&name.as_str())
                    && !of_a_table(name)
            })
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect()
    }
}

/// A header's value. Clients send passwords and names in UTF-8, as they are.
pub(crate) fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    String::from_utf8(headers.get(name)?.as_bytes().to_vec()).ok()
}

/// A version 4 UUID.
fn random_id() -> String {
    let bits: u128 = rand::random();
    let bits = bits & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    [0..8, 8..12, 12..16, 16..20, 20..32]
        .into_iter()
        .filter_map(|range| hex.get(range))
        .collect::<Vec<_>>()
        .join("-")
}

/// Fields are parameters; files are external tables.
async fn multipart(
    request: axum::extract::Request,
    parameters: &mut Parameters,
    tables: &mut Vec<ExternalTable>,
    limit: usize,
) -> Result<(), Exception> {
    let bad = |error: &dyn std::fmt::Display| {
        Exception::new(
            36,
            "BAD_ARGUMENTS",
            format!("The multipart body cannot be read: {error}."),
        )
    };
    let request = {
        let (parts, body) = request.into_parts();
        axum::extract::Request::from_parts(
            parts,
            axum::body::Body::new(http_body_util::Limited::new(body, limit)),
        )
    };
    let mut form = axum::extract::Multipart::from_request(request, &())
        .await
        .map_err(|error| bad(&error))?;
    while let Some(field) = form.next_field().await.map_err(|error| bad(&error))? {
        let name = field.name().unwrap_or_default().to_owned();
        let is_file = field.file_name().is_some();
        let data = field.bytes().await.map_err(|error| bad(&error))?;
        if !is_file {
            let value = String::from_utf8(data.into()).map_err(|error| bad(&error))?;
            parameters.0.push((name, value));
            continue;
        }
        let option = |suffix: &str| {
            parameters
                .get(&format!("{name}_{suffix}"))
                .map(str::to_owned)
        };
        let structure = option("structure").or_else(|| {
            let types = option("types")?;
            let columns = types
                .split(',')
                .enumerate()
                .map(|(index, kind)| format!("_{} {kind}", index + 1));
            Some(columns.collect::<Vec<_>>().join(", "))
        });
        let Some(structure) = structure else {
            return Err(Exception::new(
                36,
                "BAD_ARGUMENTS",
                format!("The external table {name} has no {name}_structure."),
            ));
        };
        tables.push(ExternalTable {
            format: option("format").unwrap_or_else(|| "TabSeparated".to_owned()),
            name,
            structure,
            data,
        });
    }
    Ok(())
}
