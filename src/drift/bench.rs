//! Where definitions are read back: a private embedded engine in which a database of the schema's own name is made, filled, read and
//! removed, time after time.
//!
//! Only an engine that belongs to this process alone may be given: every database in it but the system's is removed.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::catalog::{
    Definition, DefinitionKind, Definitions, Masking, canonical, engine_clause, order, words,
};
use crate::clickhouse::{Client, Error as ClickHouseError, Query, identifier};
use crate::diagnostic::Location;
use crate::drift::{Declared, Error};
use crate::migration::{Migration, Migrations};
use crate::plan::Traces;
use crate::sql::{Header, Kind, Statement, TokenKind, header, split};

/// What the embedded engine cannot do although a server can, by the server's codes: no such engine, no cluster of that name, no macro, no
/// distributed DDL, no Keeper, a named collection that is not there.
const BEYOND: [i32; 8] = [56, 139, 170, 225, 392, 669, 701, 999];

/// Everything that is off by default and that a definition may need.
const SETTINGS: [(&str, &str); 6] = [
    ("mutations_sync", "1"),
    ("alter_sync", "1"),
    ("implicit_select", "0"),
    ("allow_suspicious_low_cardinality_types", "1"),
    UNCHECKED[0],
    UNCHECKED[1],
];

/// What lets a definition go that others need. Statements that were executed somewhere may have been sent so.
const UNCHECKED: [(&str, &str); 2] = [
    ("check_table_dependencies", "0"),
    ("check_referential_table_dependencies", "0"),
];

/// The clauses of the engines that tables stand in for, by the table's name.
pub(super) type StandIns = BTreeMap<String, String>;

/// One statement of a schema and where it comes from.
#[derive(Clone, Debug)]
pub struct Step {
    /// The text.
    pub sql: String,
    /// Where it stands, if it stands in a file.
    pub location: Option<Location>,
}

impl Step {
    /// The up section of a migration.
    pub fn of_migration(migration: &Migration) -> impl Iterator<Item = Self> {
        migration.up.iter().map(|statement| Self {
            sql: statement.sql().to_owned(),
            location: Some(migration.location(statement.span)),
        })
    }

    /// The up sections of all migrations.
    #[must_use]
    pub fn of_migrations(migrations: &Migrations) -> Vec<Self> {
        migrations.iter().flat_map(Self::of_migration).collect()
    }

    /// The statements of a text that stands in no file.
    #[must_use]
    pub fn of_text(text: &str) -> Vec<Self> {
        split(text)
            .iter()
            .map(|statement: &Statement| Self {
                sql: statement.sql().to_owned(),
                location: None,
            })
            .collect()
    }
}

/// The place.
#[derive(Clone, Debug)]
pub struct Bench {
    admin: Client,
    client: Client,
    settings: Vec<(&'static str, &'static str)>,
}

const ADMIN: &str = "_housewright_bench";

impl Bench {
    /// On an engine of this process alone; `database` is the name that the definitions mean.
    ///
    /// # Errors
    /// [`ClickHouseError`].
    pub async fn new(engine: &Client, database: &str) -> Result<Self, ClickHouseError> {
        let settings = engine.known(&SETTINGS).await?;
        let create = Query::new(format!("CREATE DATABASE IF NOT EXISTS {ADMIN}"));
        engine.execute(&create).await?;
        Ok(Self {
            admin: engine.in_database(ADMIN),
            client: engine.in_database(database),
            settings,
        })
    }

    /// A client in the database, which holds what was last replayed or read back.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The end state of statements, from nothing. Those that change no definition are left out: no data is needed, and none should be fetched.
    ///
    /// # Errors
    /// [`Error::Statement`] for a statement that a server would refuse too.
    pub async fn replay(&self, steps: &[Step]) -> Result<Definitions, Error> {
        self.clear().await?;
        let mut stand_ins = BTreeMap::new();
        self.run(steps, &mut stand_ins).await?;
        self.state(&stand_ins).await
    }

    /// Definitions, loaded and read back: two texts that mean the same are the same afterwards.
    ///
    /// # Errors
    /// [`Error::Cycle`], [`Error::ClickHouse`]. A definition that the engine does not take is kept as it is written, and says so.
    pub async fn read_back(&self, definitions: &Definitions) -> Result<Definitions, Error> {
        self.clear().await?;
        let mut stand_ins = BTreeMap::new();
        let mut unloaded = Vec::new();
        self.load(definitions, &mut stand_ins, &mut unloaded)
            .await?;
        let mut state = self.state(&stand_ins).await?;
        for definition in unloaded {
            state.set(definition);
        }
        Ok(state)
    }

    /// What files declare, loaded and read back.
    ///
    /// # Errors
    /// [`Error::Statement`] with its place for what no server takes; [`Error::Cycle`].
    pub async fn load_declared(&self, declared: &Declared) -> Result<Definitions, Error> {
        self.clear().await?;
        let mut stand_ins = BTreeMap::new();
        for definition in order(declared.definitions.iter().cloned().collect())? {
            let sql = canonical(
                &columns_of_query(&definition.text),
                self.client.database(),
                Masking::Replication,
            );
            let Err(error) = self.execute(&sql).await else {
                continue;
            };
            let exception = error.exception();
            let beyond = exception.is_some_and(|it| BEYOND.contains(&it.code));
            if beyond && self.stand_in(&sql, &mut stand_ins).await? {
                continue;
            }
            // A place in the text that was sent is one in the file if nothing was taken out of it.
            let offset = exception
                .filter(|_| sql == definition.text)
                .and_then(|exception| offset(&exception.message));
            return Err(Error::Statement {
                location: declared
                    .place_within(&definition, offset.unwrap_or(0))
                    .map(Box::new),
                sql,
                error: Box::new(error),
            });
        }
        self.state(&stand_ins).await
    }

    /// Executes statements where a state was just read, as a server would that nobody told otherwise, and reads what comes out.
    ///
    /// # Errors
    /// [`Error::Statement`].
    pub async fn go_on(&self, from: &Definitions, steps: &[Step]) -> Result<Definitions, Error> {
        let mut stand_ins: BTreeMap<String, String> = from
            .iter()
            .filter(|definition| definition.as_text)
            .filter_map(|definition| {
                let clause = definition.text.get(engine_clause(&definition.text)?)?;
                Some((definition.name.clone(), clause.to_owned()))
            })
            .collect();
        let mut server = self.clone();
        server.settings.retain(|it| !UNCHECKED.contains(it));
        server.run(steps, &mut stand_ins).await?;
        self.state(&stand_ins).await
    }

    /// The columns that a query would have.
    pub(super) async fn columns(&self, query: &str) -> Result<Vec<String>, ClickHouseError> {
        #[derive(Deserialize)]
        struct Row {
            name: String,
        }
        let rows: Vec<Row> = self
            .client
            .rows(&Query::new(format!("DESCRIBE TABLE ({query})")))
            .await?;
        Ok(rows.into_iter().map(|row| row.name).collect())
    }

    async fn load(
        &self,
        definitions: &Definitions,
        stand_ins: &mut StandIns,
        unloaded: &mut Vec<Definition>,
    ) -> Result<(), Error> {
        for mut definition in order(definitions.iter().cloned().collect())? {
            definition.text = canonical(
                &definition.text,
                self.client.database(),
                Masking::Replication,
            );
            match self.execute(&definition.text).await {
                Ok(()) => {}
                Err(error) if error.exception().is_none() => return Err(error.into()),
                Err(_) => {
                    if !self.stand_in(&definition.text, stand_ins).await? {
                        definition.as_text = true;
                        unloaded.push(definition);
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether the engine cannot do something that a server can.
    pub(super) fn is_beyond(error: &ClickHouseError) -> bool {
        error
            .exception()
            .is_some_and(|exception| BEYOND.contains(&exception.code))
    }

    pub(super) async fn run(&self, steps: &[Step], stand_ins: &mut StandIns) -> Result<(), Error> {
        for step in steps {
            let header = header(&step.sql);
            if !defines(&header) || !Traces::of(&step.sql).define() {
                continue;
            }
            let sql = if header.kind == Kind::CreateTable {
                canonical(&step.sql, "", Masking::Replication)
            } else {
                step.sql.clone()
            };
            let Err(error) = self.execute(&sql).await else {
                if header.kind == Kind::CreateTable || header.kind == Kind::Drop {
                    for object in &header.objects {
                        stand_ins.remove(&object.name);
                    }
                }
                continue;
            };
            if Self::is_beyond(&error) && self.stand_in(&sql, stand_ins).await? {
                continue;
            }
            return Err(Error::Statement {
                location: step.location.clone().map(Box::new),
                sql: step.sql.clone(),
                error: Box::new(error),
            });
        }
        Ok(())
    }

    /// Makes a table whose engine is not to be had here with the engine `Null` instead, so that what reads it can be made.
    async fn stand_in(&self, sql: &str, stand_ins: &mut StandIns) -> Result<bool, Error> {
        #[derive(Deserialize)]
        struct Row {
            text: String,
        }
        let header = header(sql);
        let (Kind::CreateTable, [table]) = (header.kind, header.objects.as_slice()) else {
            return Ok(false);
        };
        let query = Query::new("SELECT ifNull(formatQueryOrNull({sql:String}), '') AS text")
            .text("sql", sql);
        let text = self.admin.row::<Row>(&query).await?.text;
        let text = canonical(&text, self.client.database(), Masking::Replication);
        let Some(clause) = engine_clause(&text) else {
            return Ok(false);
        };
        let (before, after) = (
            text.get(..clause.start).unwrap_or_default(),
            text.get(clause.end..).unwrap_or_default(),
        );
        match self.execute(&format!("{before}ENGINE = Null{after}")).await {
            Ok(()) => {
                let clause = text.get(clause).unwrap_or_default().to_owned();
                stand_ins.insert(table.name.clone(), clause);
                Ok(true)
            }
            Err(error) if error.exception().is_some() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn state(&self, stand_ins: &StandIns) -> Result<Definitions, Error> {
        let mut state = Definitions::read(&self.client, Masking::Replication).await?;
        for (name, clause) in stand_ins {
            let Some(definition) = state.get(name).cloned() else {
                continue;
            };
            if let Some(range) = engine_clause(&definition.text) {
                let mut text = definition.text.clone();
                text.replace_range(range, clause);
                state.set(Definition {
                    text,
                    as_text: true,
                    ..definition
                });
            }
        }
        Ok(state)
    }

    pub(super) async fn execute(&self, sql: &str) -> Result<(), ClickHouseError> {
        let query = self
            .settings
            .iter()
            .fold(Query::new(sql), |query, (name, value)| {
                query.setting(name, *value)
            });
        self.client.execute(&query).await
    }

    /// An empty database, and nothing beside it.
    pub(super) async fn clear(&self) -> Result<(), ClickHouseError> {
        #[derive(Deserialize)]
        struct Row {
            what: String,
            name: String,
        }
        // Every connection begins in `default`, so that one is only emptied.
        let all = Query::new(
            "SELECT 'DATABASE' AS what, name FROM system.databases WHERE lower(name) NOT IN ('system', 'information_schema', '_overlay', 'default', {admin:String}) \
             UNION ALL SELECT 'TABLE', name FROM system.tables WHERE database = 'default' \
             UNION ALL SELECT 'FUNCTION', name FROM system.functions WHERE create_query != ''",
        )
        .text("admin", ADMIN);
        for Row { what, name } in self.admin.rows(&all).await? {
            let of = if what == "TABLE" { "default." } else { "" };
            let mut drop = Query::new(format!("DROP {what} IF EXISTS {of}{}", identifier(&name)));
            for (setting, value) in UNCHECKED {
                drop = drop.setting(setting, value);
            }
            self.admin.execute(&drop).await?;
        }
        let create = Query::new(format!(
            "CREATE DATABASE IF NOT EXISTS {}",
            identifier(self.client.database())
        ));
        self.admin.execute(&create).await
    }
}

/// A materialized view without the list of its columns: where it has a target they follow from its query, which somebody may have edited.
fn columns_of_query(sql: &str) -> String {
    let words = words(sql);
    let header = header(sql);
    let list = header.target.and_then(|target| {
        let at = words
            .iter()
            .position(|word| word.start >= target.span.end)?;
        let (open, rest) = words.get(at..)?.split_first()?;
        let close = rest.iter().find(|word| word.depth == open.depth)?;
        (open.kind == TokenKind::OpeningRoundBracket).then_some((open.start, close.end))
    });
    match list {
        Some((from, to)) => [sql.get(..from), sql.get(to..)]
            .into_iter()
            .flatten()
            .collect(),
        None => sql.to_owned(),
    }
}

/// The byte at which the parser stopped, in `Syntax error: failed at position 14 (…)`.
fn offset(message: &str) -> Option<usize> {
    let rest = message.split_once("failed at position ")?.1;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse::<usize>().ok()?.checked_sub(1)
}

/// Whether a statement can change a definition. Data is left out: none is needed, and none should be fetched; and so are users and what
/// they may do, of which the embedded engine has none.
pub(super) fn defines(header: &Header) -> bool {
    let access = [
        "USER", "ROLE", "ROW", "POLICY", "QUOTA", "SETTINGS", "NAMED",
    ];
    let is_access = header.kind == Kind::Drop
        && header
            .label
            .split(' ')
            .nth(1)
            .is_some_and(|what| access.contains(&what));
    !is_access
        && !matches!(
            header.kind,
            Kind::Insert
                | Kind::InsertSelect
                | Kind::Update
                | Kind::Delete
                | Kind::Truncate
                | Kind::Optimize
                | Kind::System
                | Kind::Kill
                | Kind::Backup
                | Kind::Read
                | Kind::Grant
                | Kind::CreateAccess
        )
}

/// Whether a definition is the server's and not the database's.
pub(crate) fn is_of_server(definition: &Definition) -> bool {
    definition.kind == DefinitionKind::Function
}
