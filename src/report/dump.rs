//! The definitions of a target, and how `schema/current/` differs from the migrations.

use std::fmt::Write as _;

use camino::Utf8Path;
use serde::Serialize;

use crate::catalog::Definition;
use crate::diagnostic::{Diagnostic, Location, Severity};
use crate::drift::{Change, ChangeKind};
use crate::report::{BAD, GOOD, JSON_VERSION, count, lines, styled};

/// As SQL, ready to be executed.
#[must_use]
pub fn sql(definitions: &[Definition], access: Option<&[String]>) -> String {
    let definitions = definitions.iter().map(|definition| &definition.text);
    let texts: Vec<String> = definitions
        .chain(access.unwrap_or_default())
        .map(|text| format!("{text};\n"))
        .collect();
    texts.join("\n")
}

#[derive(Serialize)]
struct Json<'a> {
    version: u32,
    target: &'a str,
    database: &'a str,
    objects: Vec<JsonObject<'a>>,
    access: Option<&'a [String]>,
}

#[derive(Serialize)]
struct JsonObject<'a> {
    name: &'a str,
    kind: &'a str,
    sql: &'a str,
}

/// For a program.
#[must_use]
pub fn json(
    definitions: &[Definition],
    access: Option<&[String]>,
    target: &str,
    database: &str,
) -> String {
    super::json(&Json {
        version: JSON_VERSION,
        target,
        database,
        objects: definitions
            .iter()
            .map(|definition| JsonObject {
                name: &definition.name,
                kind: definition.kind.label(),
                sql: &definition.text,
            })
            .collect(),
        access,
    })
}

fn word(kind: &ChangeKind, written: bool) -> &'static str {
    match (kind, written) {
        (ChangeKind::Missing(_), false) => "missing",
        (ChangeKind::Extra, false) => "extra",
        (ChangeKind::Different { .. }, false) => "different",
        (ChangeKind::Missing(_), true) => "new",
        (ChangeKind::Extra, true) => "removed",
        (ChangeKind::Different { .. }, true) => "changed",
    }
}

/// How the files differ, or what was done to them, for a person.
#[must_use]
pub fn files(changes: &[Change], directory: &Utf8Path, objects: usize, written: bool) -> String {
    if changes.is_empty() {
        return format!(
            "{directory} {} what the migrations add up to: {}\n",
            styled(GOOD, "is"),
            count(objects, "object")
        );
    }
    let mut text = String::new();
    for change in changes {
        let word = word(&change.kind, written);
        let style = if written { GOOD } else { BAD };
        let _ = writeln!(text, "{}  {}", styled(style, word), change.path);
        if let (ChangeKind::Different { should, is }, false) = (&change.kind, written) {
            text.push_str(&lines(is, should));
        }
    }
    let files = count(changes.len(), "file");
    let _ = if written {
        writeln!(text, "\n{directory}: {files} written or removed")
    } else {
        writeln!(
            text,
            "\n{directory} is not what the migrations add up to: {files} differ{}\n  `housewright dump --write` writes it anew",
            if changes.len() == 1 { "s" } else { "" }
        )
    };
    text
}

#[derive(Serialize)]
struct FilesJson<'a> {
    version: u32,
    directory: &'a Utf8Path,
    written: bool,
    objects: usize,
    files: Vec<JsonFile<'a>>,
}

#[derive(Serialize)]
struct JsonFile<'a> {
    path: &'a Utf8Path,
    state: &'a str,
}

/// The same for a program.
#[must_use]
pub fn files_json(
    changes: &[Change],
    directory: &Utf8Path,
    objects: usize,
    written: bool,
) -> String {
    super::json(&FilesJson {
        version: JSON_VERSION,
        directory,
        written,
        objects,
        files: changes
            .iter()
            .map(|change| JsonFile {
                path: &change.path,
                state: word(&change.kind, written),
            })
            .collect(),
    })
}

/// A statement that the embedded engine refuses.
#[must_use]
pub fn refused(location: Location, error: &crate::clickhouse::Error) -> Diagnostic {
    let said = error.exception().map_or_else(
        || error.to_string(),
        |exception| {
            format!(
                "ClickHouse says {} (code {}): {}",
                exception.name, exception.code, exception.message
            )
        },
    );
    Diagnostic::new(
        Severity::Error,
        "refused",
        "the embedded ClickHouse refused this statement when the migrations were replayed",
    )
    .at(Some(location))
    .note(said)
    .help("nothing was written; the migrations have to be executable from nothing, one after the other")
}
