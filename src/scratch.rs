//! A throw-away database with the migrations applied: no journal, no lock, gone at the end.
//!
//! The statements are those of the files, in their order; the database's own name in them becomes the throw-away one's. What would reach
//! beyond that database (another database, users, functions, the server) is found before anything is sent.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::catalog::Catalog;
use crate::clickhouse::{Client, Error, Query, identifier};
use crate::diagnostic::{Diagnostic, Location, Severity};
use crate::migration::Migrations;
use crate::sql::{Kind, TokenKind, header, tokens};

/// What every database name begins with, so that what a killed run left can be told from the rest.
pub const PREFIX: &str = "housewright_test_";

/// As [`apply`](crate::apply) sends them: a statement is done when it is answered.
const SETTINGS: [(&str, &str); 4] = [
    ("mutations_sync", "1"),
    ("alter_sync", "1"),
    ("async_insert", "0"),
    ("implicit_select", "0"),
];

/// Merges that nobody asks for do not happen, so that a test decides when parts meet. OPTIMIZE … FINAL still merges.
const HOLD_MERGES: &str =
    "max_bytes_to_merge_at_max_space_in_pool = 1, max_bytes_to_merge_at_min_space_in_pool = 1";

/// A statement of the schema.
#[derive(Clone, Debug)]
pub struct Piece {
    /// Its text, without inline data.
    pub sql: String,
    /// The data of an INSERT.
    pub data: Option<String>,
    /// Where it stands.
    pub location: Location,
}

/// The statements that make a schema.
#[derive(Clone, Debug)]
pub struct Blueprint {
    /// The database that the files mean.
    pub database: String,
    /// The statements, in order.
    pub pieces: Vec<Piece>,
}

impl Blueprint {
    /// The up sections of all migrations.
    ///
    /// # Errors
    /// The statements that would reach beyond the database.
    pub fn of(migrations: &Migrations, database: &str) -> Result<Self, Vec<Diagnostic>> {
        let mut pieces = Vec::new();
        let mut findings = Vec::new();
        for migration in migrations.iter() {
            for statement in &migration.up {
                let location = migration.location(statement.span);
                findings.extend(
                    beyond(statement.sql(), database).map(|what| {
                        Diagnostic::new(
                            Severity::Error,
                            "beyond-the-database",
                            format!("{what}, so a throw-away database cannot hold this schema"),
                        )
                        .at(Some(location.clone()))
                        .help("keep what is the whole server's out of these migrations, or test its views in a schema directory of their own")
                    }),
                );
                pieces.push(Piece {
                    sql: statement.sql().to_owned(),
                    data: statement.data().map(str::to_owned),
                    location,
                });
            }
        }
        if findings.is_empty() {
            Ok(Self {
                database: database.to_owned(),
                pieces,
            })
        } else {
            Err(findings)
        }
    }
}

/// What of a statement would be seen outside of its database.
fn beyond(sql: &str, database: &str) -> Option<String> {
    let header = header(sql);
    match header.kind {
        Kind::CreateAccess
        | Kind::Grant
        | Kind::System
        | Kind::Kill
        | Kind::Backup
        | Kind::CreateDatabase
        | Kind::CreateFunction
        | Kind::Use => {
            return Some(format!("{} changes the server", header.label));
        }
        _ => {}
    }
    header
        .objects
        .iter()
        .chain(&header.target)
        .filter_map(|object| object.database.as_ref())
        .find(|named| *named != database)
        .map(|other| format!("it names the database `{other}`"))
}

/// The text with one database's name, where it qualifies another, replaced.
fn renamed(sql: &str, from: &str, to: &str) -> String {
    let tokens: Vec<_> = tokens(sql).collect();
    let mut text = String::with_capacity(sql.len());
    let significant = |index: usize| {
        tokens
            .get(index..)
            .unwrap_or_default()
            .iter()
            .find(|token| token.kind.is_significant())
    };
    let mut previous = None;
    for (index, token) in tokens.iter().enumerate() {
        let word = token.span.of(sql);
        let name = match token.kind {
            TokenKind::BareWord => Some(word),
            TokenKind::QuotedIdentifier => word.get(1..word.len() - 1),
            _ => None,
        };
        let qualifies = name == Some(from)
            && previous != Some(TokenKind::Dot)
            && significant(index + 1).is_some_and(|next| next.kind == TokenKind::Dot);
        if qualifies {
            text.push_str(&identifier(to));
        } else {
            text.push_str(word);
        }
        if token.kind.is_significant() {
            previous = Some(token.kind);
        }
    }
    text
}

/// Why a throw-away database could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The server refused a statement of the schema.
    #[error("ClickHouse refused {}:{}", .location.path, .location.line)]
    Statement {
        /// Where it stands.
        location: Location,
        /// What the server said.
        #[source]
        error: Error,
    },
    /// The database itself was refused.
    #[error(
        "ClickHouse refused the throw-away database {name}\n  its user needs the rights to create and drop databases whose names begin with {PREFIX}"
    )]
    Database {
        /// Its name.
        name: String,
        /// What the server said.
        #[source]
        error: Error,
    },
    /// Something else failed.
    #[error(transparent)]
    ClickHouse(#[from] Error),
}

impl BuildError {
    /// Whether the server did refuse a statement, and not the way to it.
    #[must_use]
    pub fn refusal(&self) -> Option<&crate::clickhouse::Exception> {
        match self {
            Self::Statement { error, .. } => error.exception(),
            Self::Database { .. } | Self::ClickHouse(_) => None,
        }
    }
}

/// Makes throw-away databases on one server.
#[derive(Debug)]
pub struct Scratch {
    client: Client,
    run: String,
    settings: Vec<(&'static str, &'static str)>,
    made: AtomicUsize,
}

impl Scratch {
    /// A maker of databases called `housewright_test_<run>_<number>`.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn new(client: &Client, run: &str) -> Result<Self, Error> {
        Ok(Self {
            client: client.in_database("default"),
            run: run.to_owned(),
            settings: client.known(&SETTINGS).await?,
            made: AtomicUsize::new(0),
        })
    }

    /// Makes a database and everything of the schema in it. Nothing is left of it if that fails.
    ///
    /// # Errors
    /// [`BuildError`].
    pub async fn build(&self, blueprint: &Blueprint) -> Result<Client, BuildError> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}_{number}", self.run);
        let client = self.client.in_database(&name);
        self.client
            .execute(&Query::new(format!(
                "CREATE DATABASE {}",
                identifier(&name)
            )))
            .await
            .map_err(|error| match error.exception() {
                Some(_) => BuildError::Database {
                    name: name.clone(),
                    error,
                },
                None => error.into(),
            })?;
        match self.fill(&client, blueprint).await {
            Ok(()) => Ok(client),
            Err(error) => {
                let _ = self.remove(&client).await;
                Err(error)
            }
        }
    }

    async fn fill(&self, client: &Client, blueprint: &Blueprint) -> Result<(), BuildError> {
        for piece in &blueprint.pieces {
            let sql = renamed(&piece.sql, &blueprint.database, client.database());
            let query = self
                .settings
                .iter()
                .fold(Query::new(sql), |query, (name, value)| {
                    query.setting(name, *value)
                });
            let sent = match &piece.data {
                None => client.execute(&query).await,
                Some(data) => {
                    let mut insert = client.insert(&query);
                    match insert.send(data.clone().into()).await {
                        Ok(()) => insert.end().await,
                        Err(error) => Err(error),
                    }
                }
            };
            sent.map_err(|error| BuildError::Statement {
                location: piece.location.clone(),
                error,
            })?;
        }
        Ok(())
    }

    /// Holds all merges of a database that nobody asks for.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn hold_merges(client: &Client, catalog: &Catalog) -> Result<(), Error> {
        for table in catalog.objects.iter().filter(|object| object.merges()) {
            client
                .execute(&Query::new(format!(
                    "ALTER TABLE {} MODIFY SETTING {HOLD_MERGES}",
                    identifier(&table.name)
                )))
                .await?;
        }
        Ok(())
    }

    /// Removes every database that was made here and is still there, as after an interruption.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn sweep(&self) -> Result<(), Error> {
        #[derive(serde::Deserialize)]
        struct Row {
            name: String,
        }
        let query =
            Query::new("SELECT name FROM system.databases WHERE startsWith(name, {prefix:String})")
                .text("prefix", format!("{PREFIX}{}_", self.run));
        let left: Vec<Row> = self.client.rows(&query).await?;
        for row in left {
            self.remove(&self.client.in_database(&row.name)).await?;
        }
        Ok(())
    }

    /// Removes a database that was made here.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn remove(&self, client: &Client) -> Result<(), Error> {
        self.client
            .execute(&Query::new(format!(
                "DROP DATABASE IF EXISTS {}",
                identifier(client.database())
            )))
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_that_qualifies_is_replaced() {
        assert_eq!(
            renamed(
                "CREATE VIEW m.v AS SELECT m, x.m.y, 'm.a', `m`.t.c FROM m . t -- m.x",
                "m",
                "s_1"
            ),
            "CREATE VIEW `s_1`.v AS SELECT m, x.m.y, 'm.a', `s_1`.t.c FROM `s_1` . t -- m.x"
        );
    }

    #[test]
    fn what_reaches_beyond_is_named() {
        assert_eq!(
            beyond("CREATE TABLE m.t (a UInt8) ENGINE = Memory", "m"),
            None
        );
        assert_eq!(
            beyond("CREATE TABLE t (a UInt8) ENGINE = Memory", "m"),
            None
        );
        assert!(
            beyond("CREATE USER u", "m")
                .unwrap()
                .contains("CREATE USER")
        );
        assert!(
            beyond("DROP TABLE other.t", "m")
                .unwrap()
                .contains("`other`")
        );
        assert!(
            beyond("CREATE MATERIALIZED VIEW v TO o.t AS SELECT 1", "m")
                .unwrap()
                .contains("`o`")
        );
    }
}
