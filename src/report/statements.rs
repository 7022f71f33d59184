//! How files are split into statements.

use std::fmt::Write as _;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use crate::report::{BAD, JSON_VERSION, QUIET, STRONG, Table, count, styled};
use crate::sql::{Statement, reads};

/// For a person.
#[must_use]
pub fn human(files: &[(Utf8PathBuf, Vec<Statement>)]) -> String {
    let mut text = String::new();
    for (path, statements) in files {
        let _ = writeln!(
            text,
            "{}  {}",
            styled(STRONG, path),
            styled(QUIET, count(statements.len(), "statement"))
        );
        let mut table = Table::new(&[]);
        for statement in statements {
            let header = &statement.header;
            let mut about = header
                .objects
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", ");
            if let Some(target) = &header.target {
                let _ = write!(about, " → {target}");
            }
            if let Some(tables) = reads(statement.sql()).filter(|tables| !tables.is_empty()) {
                let _ = write!(
                    about,
                    " ← {}",
                    tables.into_iter().collect::<Vec<_>>().join(", ")
                );
            }
            if let Some(data) = statement.data() {
                let _ = write!(about, " + {} bytes of data", data.len());
            }
            if statement.unclosed.is_some() {
                let _ = write!(
                    about,
                    " {}",
                    styled(BAD, "a quote or comment is never closed")
                );
            }
            table.row(vec![
                format!("{}:{}", statement.line, statement.column),
                header.label.clone(),
                about,
                styled(QUIET, header.class.label()),
            ]);
        }
        if !table.is_empty() {
            let _ = write!(text, "{table}");
        }
    }
    text
}

#[derive(Serialize)]
struct Json<'a> {
    version: u32,
    files: Vec<FileJson<'a>>,
}

#[derive(Serialize)]
struct FileJson<'a> {
    path: &'a Utf8Path,
    statements: Vec<StatementJson<'a>>,
}

#[derive(Serialize)]
struct StatementJson<'a> {
    line: usize,
    column: usize,
    start: usize,
    end: usize,
    kind: String,
    label: &'a str,
    class: &'static str,
    objects: Vec<ObjectJson<'a>>,
    target: Option<ObjectJson<'a>>,
    on_cluster: Option<&'a str>,
    reads: Option<Vec<String>>,
    data_bytes: Option<usize>,
    closed: bool,
    sha256: String,
    sql: &'a str,
}

#[derive(Serialize)]
struct ObjectJson<'a> {
    database: Option<&'a str>,
    name: &'a str,
}

fn object(name: &crate::sql::ObjectName) -> ObjectJson<'_> {
    ObjectJson {
        database: name.database.as_deref(),
        name: &name.name,
    }
}

/// For a program.
#[must_use]
pub fn json(files: &[(Utf8PathBuf, Vec<Statement>)]) -> String {
    crate::report::json(&Json {
        version: JSON_VERSION,
        files: files
            .iter()
            .map(|(path, statements)| FileJson {
                path,
                statements: statements.iter().map(statement).collect(),
            })
            .collect(),
    })
}

fn statement(statement: &Statement) -> StatementJson<'_> {
    let header = &statement.header;
    StatementJson {
        line: statement.line,
        column: statement.column,
        start: statement.span.start,
        end: statement.span.end,
        kind: format!("{:?}", header.kind),
        label: &header.label,
        class: header.class.label(),
        objects: header.objects.iter().map(object).collect(),
        target: header.target.as_ref().map(object),
        on_cluster: header.on_cluster.as_deref(),
        reads: reads(statement.sql()).map(|tables| tables.into_iter().collect()),
        data_bytes: statement.data().map(str::len),
        closed: statement.unclosed.is_none(),
        sha256: statement.fingerprint(),
        sql: statement.sql(),
    }
}
