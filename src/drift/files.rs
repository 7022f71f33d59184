//! `schema/current/`: one canonical file for each object.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};

use crate::catalog::{Definition, DefinitionKind, Definitions};
use crate::diagnostic::{Diagnostic, Location, Severity};
use crate::drift::Error;
use crate::sql::{Span, split};

/// How a file differs from what the migrations add up to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The file.
    pub path: Utf8PathBuf,
    /// How.
    pub kind: ChangeKind,
}

/// How a file differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is not there; with its text.
    Missing(String),
    /// Its object is gone.
    Extra,
    /// It says something else.
    Different {
        /// As it should be.
        should: String,
        /// As it is.
        is: String,
    },
}

fn text(definition: &Definition) -> String {
    format!("{};\n", definition.text)
}

/// The texts of the files, by path.
fn present(directory: &Utf8Path) -> Result<BTreeMap<Utf8PathBuf, String>, Error> {
    let failed = |source| Error::File {
        doing: "read",
        path: directory.to_owned(),
        source,
    };
    let entries = match directory.read_dir_utf8() {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut files = BTreeMap::new();
    for entry in entries {
        let path = entry.map_err(failed)?.into_path();
        let hidden = path.file_name().is_none_or(|name| name.starts_with('.'));
        if hidden || path.extension() != Some("sql") || path.is_dir() {
            continue;
        }
        let text = fs_err::read_to_string(&path).map_err(|source| Error::File {
            doing: "read",
            path: path.clone(),
            source,
        })?;
        files.insert(
            path,
            text.trim_start_matches('\u{feff}').replace("\r\n", "\n"),
        );
    }
    Ok(files)
}

/// Where the files of a directory are not what they should be; by path.
///
/// # Errors
/// [`Error::File`].
pub fn compare(directory: &Utf8Path, definitions: &Definitions) -> Result<Vec<Change>, Error> {
    let mut present = present(directory)?;
    let mut changes = Vec::new();
    for definition in definitions.iter() {
        let path = directory.join(definition.file_name());
        let should = text(definition);
        let kind = match present.remove(&path) {
            None => ChangeKind::Missing(should),
            Some(is) if is == should => continue,
            Some(is) => ChangeKind::Different { should, is },
        };
        changes.push(Change { path, kind });
    }
    changes.extend(present.into_keys().map(|path| Change {
        path,
        kind: ChangeKind::Extra,
    }));
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(changes)
}

/// Makes the files what they should be, and says what was another.
///
/// # Errors
/// [`Error::File`].
pub fn write(directory: &Utf8Path, definitions: &Definitions) -> Result<Vec<Change>, Error> {
    let changes = compare(directory, definitions)?;
    let failed = |doing: &'static str, path: &Utf8Path| {
        let path = path.to_owned();
        move |source| Error::File {
            doing,
            path,
            source,
        }
    };
    fs_err::create_dir_all(directory).map_err(failed("make", directory))?;
    for change in &changes {
        match &change.kind {
            ChangeKind::Extra => {
                fs_err::remove_file(&change.path).map_err(failed("remove", &change.path))?;
            }
            ChangeKind::Missing(text) | ChangeKind::Different { should: text, .. } => {
                // Beside it first, so that no file is ever half written.
                let staged = change.path.with_extension("sql.partial");
                fs_err::write(&staged, text).map_err(failed("write", &staged))?;
                fs_err::rename(&staged, &change.path).map_err(failed("write", &change.path))?;
            }
        }
    }
    Ok(changes)
}

/// What the files say, as they are written, each with its place.
///
/// # Errors
/// [`Error::File`], [`Error::Invalid`].
pub fn declared(directory: &Utf8Path) -> Result<(Definitions, BTreeMap<String, String>), Error> {
    let mut definitions = Vec::new();
    let mut sources = BTreeMap::new();
    let mut findings = Vec::new();
    let mut names = BTreeSet::new();
    for (path, text) in present(directory)? {
        let at = |span: Span| {
            let (line, column) = crate::sql::line_and_column(&text, span.start);
            Some(Location {
                path: path.clone(),
                span,
                line,
                column,
            })
        };
        let statements = split(&text);
        let [statement] = statements.as_slice() else {
            findings.push(
                Diagnostic::new(
                    Severity::Error,
                    "one-object-a-file",
                    format!("the file has {} statements", statements.len()),
                )
                .at(at(Span::default()))
                .help(
                    "a file of schema/current holds one CREATE; remove the file to drop its object",
                ),
            );
            continue;
        };
        let kind = DefinitionKind::of(statement.sql());
        let (Some(kind), [object]) = (kind, statement.header.objects.as_slice()) else {
            findings.push(
                Diagnostic::new(
                    Severity::Error,
                    "not-a-definition",
                    "the statement does not make a table, a view, a dictionary or a function",
                )
                .at(at(statement.span))
                .help("a file of schema/current holds one CREATE"),
            );
            continue;
        };
        if !names.insert((kind == DefinitionKind::Function, object.name.clone())) {
            findings.push(
                Diagnostic::new(
                    Severity::Error,
                    "two-files-for-one",
                    format!("a second file makes `{}`", object.name),
                )
                .at(at(statement.span))
                .help("keep one of them"),
            );
        }
        sources.insert(object.name.clone(), text.clone());
        definitions.push(Definition {
            name: object.name.clone(),
            kind,
            text: statement.sql().to_owned(),
            as_text: false,
        });
    }
    if findings.is_empty() {
        Ok((Definitions::of(definitions), sources))
    } else {
        Err(Error::Invalid(findings))
    }
}
