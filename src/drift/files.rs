//! `schema/current/`: one canonical file for each object.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};

use crate::catalog::{Definition, DefinitionKind, Definitions, words};
use crate::diagnostic::{Diagnostic, Location, Severity};
use crate::diff::differences;
use crate::drift::Error;
use crate::sql::{Span, TokenKind, header, split, tokens};

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
    put(directory, &changes)?;
    Ok(changes)
}

/// Makes the files what they should be as far as `read`, which is what they say, is what there `is`; says what was another. A file that is
/// ahead stays as somebody wrote it.
///
/// # Errors
/// [`Error::File`].
pub fn settle(
    directory: &Utf8Path,
    declared: &Declared,
    read: &Definitions,
    is: &Definitions,
) -> Result<Vec<Change>, Error> {
    let ahead = differences(is, read);
    let ahead: BTreeSet<Utf8PathBuf> = ahead
        .iter()
        .flat_map(|difference| {
            let object = difference.object();
            let written = declared.place(object).map(|place| place.path.clone());
            written
                .into_iter()
                .chain([directory.join(object.file_name())])
        })
        .collect();
    let mut changes = compare(directory, is)?;
    changes.retain(|change| !ahead.contains(&change.path));
    put(directory, &changes)?;
    Ok(changes)
}

fn put(directory: &Utf8Path, changes: &[Change]) -> Result<(), Error> {
    let failed = |doing: &'static str, path: &Utf8Path| {
        let path = path.to_owned();
        move |source| Error::File {
            doing,
            path,
            source,
        }
    };
    fs_err::create_dir_all(directory).map_err(failed("make", directory))?;
    for change in changes {
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
    Ok(())
}

/// A hint that something has another name than it had.
#[derive(Clone, Debug)]
pub struct Renamed {
    /// The object, by its new name.
    pub object: String,
    /// The column, by its new name; `None`: the object itself.
    pub column: Option<String>,
    /// The name that it had.
    pub was: String,
    /// Where the hint stands.
    pub place: Location,
}

/// What the files of `schema/current/` say, as somebody wrote them.
#[derive(Clone, Debug, Default)]
pub struct Declared {
    /// The definitions, not yet read back.
    pub definitions: Definitions,
    /// The hints of new names.
    pub renames: Vec<Renamed>,
    /// The texts of the files, by path.
    pub texts: BTreeMap<Utf8PathBuf, String>,
    places: BTreeMap<(bool, String), Location>,
}

impl Declared {
    /// Where an object's statement stands.
    #[must_use]
    pub fn place(&self, definition: &Definition) -> Option<&Location> {
        let function = definition.kind == DefinitionKind::Function;
        self.places.get(&(function, definition.name.clone()))
    }

    /// A place within an object's statement.
    #[must_use]
    pub fn place_within(&self, definition: &Definition, offset: usize) -> Option<Location> {
        let whole = self.place(definition)?;
        if offset == 0 {
            return Some(whole.clone());
        }
        let start = (whole.span.start + offset).min(whole.span.end);
        let text = self.texts.get(&whole.path)?;
        Some(Location::within(
            &whole.path,
            text,
            Span { start, end: start },
        ))
    }
}

/// Reads the files; names without a database mean `database`.
///
/// # Errors
/// [`Error::File`]; [`Error::Invalid`] with all that is wrong with the files.
pub fn declared(directory: &Utf8Path, database: &str) -> Result<Declared, Error> {
    let mut read = Declared::default();
    let mut findings = Vec::new();
    let mut definitions = Vec::new();
    for (path, text) in present(directory)? {
        match one(&path, &text, database) {
            Ok((definition, span)) => {
                let place = Location::within(&path, &text, span);
                let key = (
                    definition.kind == DefinitionKind::Function,
                    definition.name.clone(),
                );
                if let Some(first) = read.places.get(&key) {
                    findings.push(
                        Diagnostic::new(
                            Severity::Error,
                            "two-files-for-one",
                            format!("a second file makes `{}`", definition.name),
                        )
                        .at(Some(place))
                        .note(format!("the other is {}", first.path))
                        .help("keep one of them"),
                    );
                } else {
                    hints(&mut read, &definition, &place, &text, &mut findings);
                    read.places.insert(key, place);
                    definitions.push(definition);
                }
            }
            Err(finding) => findings.push(*finding),
        }
        read.texts.insert(path, text);
    }
    read.definitions = Definitions::of(definitions);
    if findings.is_empty() {
        Ok(read)
    } else {
        Err(Error::Invalid(findings))
    }
}

/// The one definition of a file.
fn one(path: &Utf8Path, text: &str, database: &str) -> Result<(Definition, Span), Box<Diagnostic>> {
    let finding = |code, message: String, span: Span, help: &str| {
        Box::new(
            Diagnostic::new(Severity::Error, code, message)
                .at(Some(Location::within(path, text, span)))
                .help(help),
        )
    };
    let statements = split(text);
    if let Some(span) = statements.iter().find_map(|statement| statement.unclosed) {
        return Err(finding(
            "unclosed",
            "a quote or comment is opened here and never closed".to_owned(),
            span,
            "close it; a quote inside a string is written as `''`",
        ));
    }
    let [statement] = statements.as_slice() else {
        let second = statements.get(1).map_or_else(Span::default, |it| it.span);
        return Err(finding(
            "one-object-a-file",
            format!("the file has {} statements", statements.len()),
            second,
            "a file of schema/current holds one CREATE; remove the file to drop its object",
        ));
    };
    let kind = DefinitionKind::of(statement.sql());
    let (Some(kind), [object]) = (kind, statement.header.objects.as_slice()) else {
        return Err(finding(
            "not-a-definition",
            "the statement does not make a table, a view, a dictionary or a function".to_owned(),
            statement.span,
            "a file of schema/current holds one CREATE",
        ));
    };
    if let Some(other) = object.database.as_ref().filter(|it| *it != database) {
        return Err(finding(
            "other-database",
            format!(
                "`{}` would be made in the database `{other}`, and the schema's is `{database}`",
                object.name
            ),
            statement.span,
            "leave the database out; an object elsewhere is no part of this schema, and a migration by hand can make it",
        ));
    }
    if let Some(cluster) = &statement.header.on_cluster {
        return Err(finding(
            "on-cluster",
            format!("ON CLUSTER {cluster} stands in a file of schema/current"),
            statement.span,
            "leave it out: where a schema lives is the target's business",
        ));
    }
    let definition = Definition {
        name: object.name.clone(),
        kind,
        text: statement.sql().to_owned(),
        as_text: false,
    };
    Ok((definition, statement.span))
}

/// The hints `-- housewright:renamed(old)`: behind a column on its line, or on a line of its own above it; above the statement or behind the
/// object's name, for the object.
fn hints(
    read: &mut Declared,
    definition: &Definition,
    place: &Location,
    text: &str,
    findings: &mut Vec<Diagnostic>,
) {
    let start = place.span.start;
    let head = header(&definition.text);
    let named = head.objects.first().map_or(0, |name| name.span.end);
    let columns: Vec<(usize, String)> = column_names(definition)
        .into_iter()
        .map(|(at, name)| (start + at, name))
        .collect();
    for token in tokens(text).filter(|token| token.kind == TokenKind::Comment) {
        let comment = token
            .span
            .of(text)
            .trim_start_matches(['-', '#', '!', '/', '*']);
        let comment = comment.trim_end_matches("*/").trim();
        let Some(was) = comment.strip_prefix("housewright:renamed(") else {
            continue;
        };
        let was = was
            .split(')')
            .next()
            .unwrap_or_default()
            .trim()
            .trim_matches('`');
        let of_object = text
            .get(start + named..token.span.start)
            .is_none_or(|between| words(between).is_empty());
        let line = text
            .get(..token.span.start)
            .and_then(|before| before.rsplit('\n').next());
        let alone = line.is_none_or(|line| line.trim().is_empty());
        let column = if alone {
            columns.iter().find(|(at, _)| *at > token.span.start)
        } else {
            columns.iter().rev().find(|(at, _)| *at < token.span.start)
        };
        let column = column.filter(|_| !of_object).map(|(_, name)| name.clone());
        let hint = Renamed {
            object: definition.name.clone(),
            was: was.to_owned(),
            place: Location::within(&place.path, text, token.span),
            column,
        };
        let is = hint.column.as_ref().unwrap_or(&hint.object);
        if was.is_empty() || is == was || hint.column.is_none() && !of_object {
            findings.push(
                Diagnostic::new(Severity::Error, "renamed-what", "this names nothing that has a new name")
                    .at(Some(hint.place))
                    .help(
                        "put `-- housewright:renamed(old_name)` behind the column's line, or on a line of its own above it; for a table, a view or \
                         a dictionary above its CREATE",
                    ),
            );
        } else {
            read.renames.push(hint);
        }
    }
}

/// The columns of a table and where they begin.
fn column_names(definition: &Definition) -> Vec<(usize, String)> {
    let words = words(&definition.text);
    let open = words
        .iter()
        .position(|word| word.kind == TokenKind::OpeningRoundBracket);
    let Some(open) = open.filter(|_| definition.kind == DefinitionKind::Table) else {
        return Vec::new();
    };
    let mut begins = true;
    let mut columns = Vec::new();
    for word in words.iter().skip(open + 1) {
        if word.depth == 0 {
            break;
        }
        if begins && let Some(name) = word.name() {
            columns.push((word.start, name));
        }
        begins = word.depth == 1 && word.kind == TokenKind::Comma;
    }
    columns
}
