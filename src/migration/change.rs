//! A changed definition, as plain DDL: a new state, the materialized view that feeds it, and the views that change over to it.
//!
//! Only what the words say is known here, and each that may not stand there is found with its place. What it does where there are rows
//! already is the business of others.

use camino::Utf8Path;

use crate::diagnostic::{Diagnostic, Location, Severity};
use crate::migration::Addition;
use crate::migration::file::File;
use crate::sql::{Kind, Span, Statement, TokenKind, tokens};

/// What a comment begins with that says which columns may differ from the old side's.
const EXPECT: &str = "housewright:expect(";

/// What a section `-- migrate:rebuild` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redefinition {
    /// A new state beside the old one.
    Beside(Change),
    /// Columns added to the state that is there.
    InPlace(Addition),
}

impl Redefinition {
    /// The state that it makes, or to which it adds; empty if it adds nothing, and only fills.
    #[must_use]
    pub fn state(&self) -> &str {
        match self {
            Self::Beside(change) => &change.state.name,
            Self::InPlace(addition) => addition.columns.first().map_or("", |it| &it.name),
        }
    }

    /// Reads the statements of a part of a file's text.
    pub(crate) fn read(
        path: &Utf8Path,
        text: &str,
        body: Span,
        statements: &[Statement],
        findings: &mut Vec<Diagnostic>,
    ) -> Option<Self> {
        if Addition::is_meant(statements) {
            Addition::read(path, text, body, statements, findings).map(Self::InPlace)
        } else {
            Change::read(path, text, body, statements, findings).map(Self::Beside)
        }
    }
}

/// A changed definition: new names beside the old ones, and the readers that change over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The `CREATE TABLE` of the new state.
    pub state: Part,
    /// The `CREATE MATERIALIZED VIEW … TO` it.
    pub view: Part,
    /// The `CREATE OR REPLACE VIEW`s that read it, in their order.
    pub readers: Vec<Part>,
    /// The columns in which readers may differ from what they say now; `None`: nothing is said of it.
    pub expects: Option<Vec<String>>,
}

/// One statement of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The object's name.
    pub name: String,
    /// The statement, without `;`.
    pub sql: String,
    /// Its [fingerprint](Statement::fingerprint).
    pub sha256: String,
    /// Where it stands.
    pub location: Location,
}

impl Change {
    /// The fingerprints of its statements, in their order.
    #[must_use]
    pub fn fingerprints(&self) -> Vec<String> {
        let parts = [&self.state, &self.view].into_iter().chain(&self.readers);
        parts.map(|part| part.sha256.clone()).collect()
    }

    /// Reads a file that holds nothing else.
    ///
    /// # Errors
    /// All that is wrong with it, each with its place.
    pub fn load(path: &Utf8Path) -> Result<Self, Vec<Diagnostic>> {
        let mut findings = Vec::new();
        let mut file = File {
            path,
            text: String::new(),
            findings: &mut findings,
        };
        let Some(text) = file.text() else {
            return Err(findings);
        };
        file.text = text;
        let whole = Span {
            start: 0,
            end: file.text.len(),
        };
        let statements = file.statements(whole);
        let text = file.text;
        let change = Self::read(path, &text, whole, &statements, &mut findings);
        change.filter(|_| findings.is_empty()).ok_or(findings)
    }

    /// Reads the statements of a part of a file's text.
    pub(super) fn read(
        path: &Utf8Path,
        text: &str,
        body: Span,
        statements: &[Statement],
        findings: &mut Vec<Diagnostic>,
    ) -> Option<Self> {
        let mut reader = Reader {
            path,
            text,
            findings,
        };
        let before = reader.findings.len();
        let (mut states, mut views, mut readers) = (Vec::new(), Vec::new(), Vec::new());
        for statement in statements {
            match statement.header.kind {
                Kind::CreateTable => states.push(statement),
                Kind::CreateMaterializedView => views.push(statement),
                Kind::CreateView if replaces(statement.sql()) => readers.push(statement),
                Kind::CreateView => reader.find(
                    "a view here is made with CREATE OR REPLACE VIEW".to_owned(),
                    statement.span,
                    "write CREATE OR REPLACE VIEW: readers change over by exactly this statement",
                ),
                _ => reader.find(
                    format!("{} does not belong to a changed definition", statement.header.label),
                    statement.span,
                    "keep one CREATE TABLE, one CREATE MATERIALIZED VIEW … TO it, and CREATE OR REPLACE VIEW for the readers; anything else goes into another migration (columns are added in place by a section of their own)",
                ),
            }
        }
        let whole = statements.first().map_or(body, |first| first.span);
        let state = reader.only("CREATE TABLE for the new state", &states, whole);
        let view = reader.only("CREATE MATERIALIZED VIEW … TO it", &views, whole);
        if readers.is_empty() && reader.findings.len() == before {
            reader.find(
                "no reader changes over".to_owned(),
                whole,
                "write the CREATE OR REPLACE VIEW of each view that is to read the new state",
            );
        }
        for statement in statements {
            reader.plain(statement);
        }
        if let (Some(state), Some(view)) = (state, view) {
            reader.fits(state, view, &readers);
        }
        let expects = expects(text, body);
        let part = |statement: &Statement| Part {
            name: name(statement),
            sql: statement.sql().to_owned(),
            sha256: statement.fingerprint(),
            location: Location::within(path, text, statement.span),
        };
        (reader.findings.len() == before).then_some(Self {
            state: part(state?),
            view: part(view?),
            readers: readers.into_iter().map(part).collect(),
            expects,
        })
    }
}

pub(super) struct Reader<'a> {
    pub(super) path: &'a Utf8Path,
    pub(super) text: &'a str,
    pub(super) findings: &'a mut Vec<Diagnostic>,
}

impl Reader<'_> {
    pub(super) fn find(&mut self, message: String, span: Span, help: &str) {
        self.findings.push(
            Diagnostic::new(Severity::Error, "changed-definition", message)
                .at(Some(Location::within(self.path, self.text, span)))
                .help(help),
        );
    }

    /// The one statement of a kind.
    fn only<'s>(
        &mut self,
        what: &str,
        found: &[&'s Statement],
        whole: Span,
    ) -> Option<&'s Statement> {
        match found {
            [one] => return Some(one),
            [] => self.find(
                format!("there is no {what}"),
                whole,
                "a changed definition is a new table, a new materialized view TO it, and the readers",
            ),
            [_, second, ..] => self.find(
                format!("there is a second {what}"),
                second.span,
                "change one state at a time, each in a migration of its own",
            ),
        }
        None
    }

    /// A name of this database, made once.
    pub(super) fn plain(&mut self, statement: &Statement) {
        let header = &statement.header;
        let reader = header.kind == Kind::CreateView;
        if header.repeatable && !reader {
            self.find(
                "IF NOT EXISTS and OR REPLACE leave open what stands there afterwards".to_owned(),
                statement.span,
                "write CREATE; whatever breaks off is taken up where it stopped",
            );
        }
        if header.on_cluster.is_some() {
            self.find(
                "ON CLUSTER is added where the target has a cluster".to_owned(),
                statement.span,
                "leave it out",
            );
        }
        let named = header.objects.iter().chain(&header.target);
        if let Some(object) = named.into_iter().find(|it| it.database.is_some()) {
            self.find(
                format!("`{object}` names a database"),
                statement.span,
                "leave the database out; it is the target's",
            );
        }
    }

    /// The view feeds the state, and readers read it.
    fn fits(&mut self, state: &Statement, view: &Statement, readers: &[&Statement]) {
        let made = name(state);
        match &view.header.target {
            Some(target) if target.name == made => {}
            Some(target) => self.find(
                format!(
                    "the view writes to `{}`, and the new state is `{made}`",
                    target.name
                ),
                view.span,
                "let it write TO the table that is made here",
            ),
            None => self.find(
                "the view has no TO".to_owned(),
                view.span,
                "let it write TO the table that is made here",
            ),
        }
        if view.span.start < state.span.start {
            self.find(
                "the view stands before the table it writes to".to_owned(),
                view.span,
                "put the CREATE TABLE first",
            );
        }
        let refreshes = tokens(view.sql())
            .filter(|token| token.kind == TokenKind::BareWord)
            .map(|token| token.span.of(view.sql()))
            .take_while(|word| !word.eq_ignore_ascii_case("AS"))
            .any(|word| {
                word.eq_ignore_ascii_case("REFRESH") || word.eq_ignore_ascii_case("POPULATE")
            });
        if refreshes {
            self.find(
                "a view with REFRESH or POPULATE is no trigger that history could be cut from"
                    .to_owned(),
                view.span,
                "make it a materialized view that INSERTs trigger",
            );
        }
        for reader in readers {
            if reader.span.start < state.span.start {
                self.find(
                    format!("`{}` stands before the table it reads", name(reader)),
                    reader.span,
                    "put the CREATE TABLE first",
                );
            }
            let reads = tokens(reader.sql())
                .filter(|token| token.kind.is_significant())
                .any(|token| token.span.of(reader.sql()).trim_matches(['`', '"']) == made);
            if !reads {
                self.find(
                    format!("`{}` does not read `{made}`", name(reader)),
                    reader.span,
                    "only views that change over to the new state stand here; others go into another migration",
                );
            }
        }
        let mut names = vec![made, name(view)];
        for reader in readers {
            if names.contains(&name(reader)) {
                self.find(
                    format!("`{}` is made twice", name(reader)),
                    reader.span,
                    "leave one of them out",
                );
            }
            names.push(name(reader));
        }
    }
}

pub(super) fn name(statement: &Statement) -> String {
    let object = statement.header.objects.first();
    object.map(|object| object.name.clone()).unwrap_or_default()
}

/// Whether it is `CREATE OR REPLACE`.
pub(super) fn replaces(sql: &str) -> bool {
    tokens(sql)
        .filter(|token| token.kind.is_significant())
        .nth(2)
        .is_some_and(|token| token.span.of(sql).eq_ignore_ascii_case("REPLACE"))
}

/// What the comments say of columns that may differ.
fn expects(text: &str, body: Span) -> Option<Vec<String>> {
    let body = body.of(text);
    let mut found: Option<Vec<String>> = None;
    for token in tokens(body).filter(|token| token.kind == TokenKind::Comment) {
        let comment = token
            .span
            .of(body)
            .trim_start_matches(['-', '#', '!', '/', '*'])
            .trim();
        let Some((names, _)) = comment
            .strip_prefix(EXPECT)
            .and_then(|rest| rest.split_once(')'))
        else {
            continue;
        };
        found.get_or_insert_default().extend(columns(names));
    }
    found
}

/// `a, b` → the names.
pub fn columns(list: &str) -> impl Iterator<Item = String> {
    list.split(',')
        .map(|name| name.trim().trim_matches('`').to_owned())
        .filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::split;

    fn read(text: &str) -> Result<Change, Vec<String>> {
        let mut findings = Vec::new();
        let body = Span {
            start: 0,
            end: text.len(),
        };
        Change::read(
            Utf8Path::new("f.sql"),
            text,
            body,
            &split(text),
            &mut findings,
        )
        .ok_or_else(|| findings.into_iter().map(|it| it.message).collect())
    }

    const TABLE: &str = "CREATE TABLE b (k UInt8) ENGINE = MergeTree ORDER BY k;\n";
    const VIEW: &str = "CREATE MATERIALIZED VIEW b_mv TO b AS SELECT k FROM raw;\n";
    const READER: &str = "CREATE OR REPLACE VIEW r AS SELECT k FROM b;\n";

    #[test]
    fn a_table_a_view_and_readers_are_a_change() {
        let change = read(&format!(
            "-- housewright:expect(n, `m`)\n{TABLE}{VIEW}-- housewright:expect(k)\n{READER}"
        ))
        .unwrap();
        assert_eq!(
            (change.state.name.as_str(), change.view.name.as_str()),
            ("b", "b_mv")
        );
        assert_eq!(change.readers[0].location.line, 5);
        assert_eq!(change.expects.unwrap(), ["n", "m", "k"]);
        assert_eq!(
            read(&format!("{TABLE}{VIEW}{READER}")).unwrap().expects,
            None
        );
    }

    #[test]
    fn whatever_else_stands_there_is_found() {
        for (text, expected) in [
            (String::new(), "there is no CREATE TABLE for the new state"),
            (
                format!("{TABLE}{READER}"),
                "there is no CREATE MATERIALIZED VIEW … TO it",
            ),
            (format!("{TABLE}{VIEW}"), "no reader changes over"),
            (
                format!("{TABLE}{VIEW}{READER}DROP TABLE a"),
                "DROP TABLE does not belong to a changed definition",
            ),
            (
                format!("{TABLE}{VIEW}CREATE VIEW r AS SELECT k FROM b"),
                "a view here is made with CREATE OR REPLACE VIEW",
            ),
            (
                format!("{TABLE}{VIEW}CREATE OR REPLACE VIEW r AS SELECT k FROM a"),
                "`r` does not read `b`",
            ),
            (
                format!("{TABLE}{VIEW}{READER}{READER}"),
                "`r` is made twice",
            ),
            (
                format!("{TABLE}{TABLE}{VIEW}{READER}"),
                "there is a second CREATE TABLE for the new state",
            ),
            (
                format!("{VIEW}{TABLE}{READER}"),
                "the view stands before the table it writes to",
            ),
            (
                format!("{TABLE}CREATE MATERIALIZED VIEW b_mv TO c AS SELECT k FROM raw;{READER}"),
                "the view writes to `c`, and the new state is `b`",
            ),
            (
                format!(
                    "{TABLE}CREATE MATERIALIZED VIEW b_mv REFRESH EVERY 1 DAY TO b AS SELECT k FROM raw;{READER}"
                ),
                "a view with REFRESH or POPULATE is no trigger that history could be cut from",
            ),
            (
                format!(
                    "CREATE TABLE IF NOT EXISTS b (k UInt8) ENGINE = MergeTree ORDER BY k;{VIEW}{READER}"
                ),
                "IF NOT EXISTS and OR REPLACE leave open what stands there afterwards",
            ),
            (
                format!("CREATE TABLE d.b (k UInt8) ENGINE = MergeTree ORDER BY k;{VIEW}{READER}"),
                "`d.b` names a database",
            ),
            (
                format!(
                    "CREATE TABLE b ON CLUSTER c (k UInt8) ENGINE = MergeTree ORDER BY k;{VIEW}{READER}"
                ),
                "ON CLUSTER is added where the target has a cluster",
            ),
        ] {
            let found = read(&text).unwrap_err();
            assert!(found.iter().any(|it| it == expected), "{text}: {found:?}");
        }
    }
}
