//! Columns that are added to a state in place, as plain DDL: `ALTER TABLE … ADD COLUMN`, the view's `ALTER TABLE … MODIFY QUERY` that fills
//! them from then on, and the views that show them.
//!
//! As with a [changed definition](crate::migration::Change), only what the words say is known here.

use camino::Utf8Path;

use crate::diagnostic::{Diagnostic, Location};
use crate::migration::change::{Part, Reader, name, replaces};
use crate::sql::{Command, Kind, Span, Statement, tokens};

const REMEDY: &str = "keep ALTER TABLE … ADD COLUMN of one table, one ALTER TABLE … MODIFY QUERY of the view that feeds it, and CREATE OR REPLACE VIEW for the readers; anything else goes into another migration";

/// Columns added in place, and what fills and shows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addition {
    /// The `ALTER TABLE … ADD COLUMN`s, each named by its table; none if the columns are there already.
    pub columns: Vec<Part>,
    /// The `ALTER TABLE … MODIFY QUERY`, named by its view.
    pub query: Part,
    /// The `CREATE OR REPLACE VIEW`s, in their order.
    pub readers: Vec<Part>,
}

impl Addition {
    /// The fingerprints of its statements, in their order.
    #[must_use]
    pub fn fingerprints(&self) -> Vec<String> {
        let parts = self
            .columns
            .iter()
            .chain([&self.query])
            .chain(&self.readers);
        parts.map(|part| part.sha256.clone()).collect()
    }

    /// Whether statements are about such a thing: a changed definition alters nothing.
    pub(super) fn is_meant(statements: &[Statement]) -> bool {
        statements
            .iter()
            .any(|statement| statement.header.kind == Kind::Alter)
    }

    /// Reads the statements of a part of a file's text.
    pub(super) fn read(
        path: &Utf8Path,
        text: &str,
        body: Span,
        statements: &[Statement],
        findings: &mut Vec<Diagnostic>,
    ) -> Option<Self> {
        let before = findings.len();
        let mut reader = Reader {
            path,
            text,
            findings,
        };
        let (mut columns, mut queries, mut readers) = (Vec::new(), Vec::new(), Vec::new());
        for statement in statements {
            let only = |words: &str| {
                let commands: &[Command] = &statement.header.commands;
                !commands.is_empty() && commands.iter().all(|command| command.words == words)
            };
            match statement.header.kind {
                Kind::Alter if only("ADD COLUMN") => columns.push(statement),
                Kind::Alter if only("MODIFY QUERY") => queries.push(statement),
                Kind::CreateView if replaces(statement.sql()) => readers.push(statement),
                _ => reader.find(
                    format!(
                        "{} does not belong to columns that are added in place",
                        statement.header.label
                    ),
                    statement.span,
                    REMEDY,
                ),
            }
            reader.plain(statement);
            let leaves_open = statement.header.commands.iter().any(|command| {
                let rest = command.rest.of(statement.sql());
                let mut words = tokens(rest).filter(|token| token.kind.is_significant());
                let first = words.next().map(|token| token.span.of(rest));
                command.words == "ADD COLUMN"
                    && first.is_some_and(|word| word.eq_ignore_ascii_case("IF"))
            });
            if leaves_open {
                reader.find(
                    "IF NOT EXISTS leaves open what stands there afterwards".to_owned(),
                    statement.span,
                    "write ADD COLUMN; whatever breaks off is taken up where it stopped",
                );
            }
        }
        let whole = statements.first().map_or(body, |first| first.span);
        let query = match queries.as_slice() {
            [one] => Some(*one),
            [] => {
                reader.find(
                    "no ALTER TABLE … MODIFY QUERY fills the columns".to_owned(),
                    whole,
                    "write the view's new query; a column that no view fills needs no section",
                );
                None
            }
            [_, second, ..] => {
                reader.find(
                    "there is a second MODIFY QUERY".to_owned(),
                    second.span,
                    "change one view at a time, each in a migration of its own",
                );
                None
            }
        };
        if let Some(query) = query {
            reader.ordered(query, &columns, &readers);
        }
        let part = |statement: &Statement| Part {
            name: name(statement),
            sql: statement.sql().to_owned(),
            sha256: statement.fingerprint(),
            location: Location::within(path, text, statement.span),
        };
        let query = part(query?);
        (findings.len() == before).then(|| Self {
            columns: columns.into_iter().map(part).collect(),
            query,
            readers: readers.into_iter().map(part).collect(),
        })
    }
}

impl Reader<'_> {
    /// First a place for what the view writes, then the view's query, then who reads it.
    fn ordered(&mut self, query: &Statement, columns: &[&Statement], readers: &[&Statement]) {
        for column in columns {
            if column.span.start > query.span.start {
                self.find(
                    "the view's query is changed before the table has the column".to_owned(),
                    column.span,
                    "put ADD COLUMN first: what the view writes and the table does not have is thrown away",
                );
            }
            if columns.first().is_some_and(|it| name(it) != name(column)) {
                self.find(
                    format!("columns are added to `{}` too", name(column)),
                    column.span,
                    "change one state at a time, each in a migration of its own",
                );
            }
        }
        for reader in readers {
            if reader.span.start < query.span.start {
                self.find(
                    format!("`{}` stands before the view's query", name(reader)),
                    reader.span,
                    "put readers last: they change over when the columns are filled",
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::split;

    fn read(text: &str) -> Result<Addition, Vec<String>> {
        let mut findings = Vec::new();
        let body = Span {
            start: 0,
            end: text.len(),
        };
        Addition::read(
            Utf8Path::new("f.sql"),
            text,
            body,
            &split(text),
            &mut findings,
        )
        .ok_or_else(|| findings.into_iter().map(|it| it.message).collect())
    }

    const COLUMN: &str = "ALTER TABLE s ADD COLUMN a UInt8, ADD COLUMN b UInt8;\n";
    const QUERY: &str = "ALTER TABLE s_mv MODIFY QUERY SELECT k FROM raw;\n";
    const READER: &str = "CREATE OR REPLACE VIEW r AS SELECT a FROM s;\n";

    #[test]
    fn columns_a_query_and_readers_are_an_addition() {
        let addition = read(&format!("{COLUMN}{QUERY}{READER}")).unwrap();
        assert_eq!(addition.columns[0].name, "s");
        assert_eq!(addition.query.name, "s_mv");
        assert_eq!(addition.readers[0].name, "r");
        assert_eq!(addition.fingerprints().len(), 3);
        // The columns may be there already, and nobody has to show them.
        assert!(read(QUERY).unwrap().columns.is_empty());
    }

    #[test]
    fn whatever_else_stands_there_is_found() {
        for (text, expected) in [
            (
                COLUMN.to_owned(),
                "no ALTER TABLE … MODIFY QUERY fills the columns",
            ),
            (
                format!("{COLUMN}{QUERY}{QUERY}"),
                "there is a second MODIFY QUERY",
            ),
            (
                format!("{QUERY}{COLUMN}"),
                "the view's query is changed before the table has the column",
            ),
            (
                format!("{READER}{QUERY}"),
                "`r` stands before the view's query",
            ),
            (
                format!("{COLUMN}ALTER TABLE t ADD COLUMN a UInt8;{QUERY}"),
                "columns are added to `t` too",
            ),
            (
                format!("ALTER TABLE s ADD COLUMN a UInt8, DROP COLUMN b;{QUERY}"),
                "ALTER TABLE … ADD COLUMN, DROP COLUMN does not belong to columns that are added in place",
            ),
            (
                format!("CREATE TABLE s (a UInt8) ENGINE = MergeTree ORDER BY a;{QUERY}"),
                "CREATE TABLE does not belong to columns that are added in place",
            ),
            (
                format!("ALTER TABLE s ADD COLUMN IF NOT EXISTS a UInt8;{QUERY}"),
                "IF NOT EXISTS leaves open what stands there afterwards",
            ),
            (
                format!("ALTER TABLE s ON CLUSTER c ADD COLUMN a UInt8;{QUERY}"),
                "ON CLUSTER is added where the target has a cluster",
            ),
        ] {
            assert_eq!(read(&text).unwrap_err(), [expected], "{text}");
        }
    }
}
