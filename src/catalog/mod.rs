//! What exists: the tables and views of a database, as the server's `system` tables tell.
//!
//! Read over any target. Nothing here decides, and nothing here changes anything. [`Catalog`] says what can be asked of a database,
//! [`Definitions`] how it is written down: one canonical text for each object.

mod access;
mod canonical;
mod definition;
mod details;
mod follow;
pub mod generation;
mod holdings;
mod lineage;
mod order;
mod tree;

use std::collections::BTreeMap;

use futures_util::future::try_join;
use serde::Deserialize;

use crate::clickhouse::{Client, Error, Query};
use crate::sql::{TokenKind, header, tokens};

pub use crate::catalog::access::access;
pub use crate::catalog::canonical::{Masking, canonical, engine_clause, reveals_as};
pub(crate) use crate::catalog::canonical::{Word, words};
pub use crate::catalog::definition::{Definition, DefinitionKind, Definitions, Difference};
pub use crate::catalog::details::{Clauses, ColumnDetail, Details};
pub use crate::catalog::generation::Generations;
pub use crate::catalog::holdings::{ColumnHolding, Holding, Holdings, PartitionHolding};
pub(crate) use crate::catalog::lineage::query_tree;
pub use crate::catalog::lineage::{Lineage, Origin, Place, Role, Step, Trace};
pub use crate::catalog::order::{Cycle, mentions, order, references};
pub(crate) use crate::catalog::tree::Node;

/// The objects of one database, by name.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// The objects.
    pub objects: Vec<Object>,
}

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Holds rows of its own.
    Table,
    /// A query with a name.
    View,
    /// A query with a name and parameters.
    ParameterizedView,
    /// A trigger on the inserts of a table, or a refreshed query.
    MaterializedView,
    /// A dictionary.
    Dictionary,
}

/// A table or a view.
#[derive(Clone, Debug)]
pub struct Object {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// The engine's name.
    pub engine: String,
    /// The columns, in their order.
    pub columns: Vec<Column>,
    /// The expressions of ORDER BY of a table, as text.
    pub sorting_key: Vec<String>,
    /// The SELECT of a view, with all names qualified.
    pub select: String,
    /// The materialized views that inserts into this object trigger.
    pub triggers: Vec<String>,
    /// The table that a materialized view writes to.
    pub target: Option<String>,
    /// The statement that makes it, on one line.
    pub create: String,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub r#type: String,
    /// `DEFAULT`, `MATERIALIZED`, `ALIAS`, `EPHEMERAL`, or empty.
    pub default: String,
}

impl Object {
    /// Whether the engine merges its parts.
    #[must_use]
    pub fn merges(&self) -> bool {
        self.kind == Kind::Table && self.engine.ends_with("MergeTree")
    }

    /// Whether merging its parts may change its rows.
    #[must_use]
    pub fn folds(&self) -> bool {
        self.merges()
            && !matches!(
                self.engine.trim_start_matches("Replicated"),
                "MergeTree" | "SharedMergeTree"
            )
    }

    /// A column by its name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Whether a column of the table is an expression of its ORDER BY.
    #[must_use]
    pub fn is_sorted_by(&self, column: &str) -> bool {
        self.sorting_key
            .iter()
            .any(|key| key.trim_matches('`') == column)
    }

    /// Whether inserts of equal blocks are swallowed.
    #[must_use]
    pub fn deduplicates(&self) -> bool {
        let window = tokens(&self.create)
            .filter(|token| token.kind.is_significant())
            .map(|token| token.span.of(&self.create))
            .skip_while(|word| *word != "non_replicated_deduplication_window")
            .nth(2);
        self.engine.starts_with("Replicated") || window.is_some_and(|window| window != "0")
    }
}

#[derive(Deserialize)]
struct TableRow {
    name: String,
    engine: String,
    sorting_key: String,
    as_select: String,
    dependencies_table: Vec<String>,
    create_table_query: String,
}

#[derive(Deserialize)]
struct ColumnRow {
    table: String,
    name: String,
    r#type: String,
    default_kind: String,
}

impl Catalog {
    /// Reads the database of a client.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn read(client: &Client) -> Result<Self, Error> {
        Self::read_where(client, None).await
    }

    /// Reads those of the named objects that are there.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn read_only(client: &Client, names: &[String]) -> Result<Self, Error> {
        Self::read_where(client, Some(names)).await
    }

    async fn read_where(client: &Client, names: Option<&[String]>) -> Result<Self, Error> {
        let query = |text: &str, column: &str| match names {
            None => Query::new(text.replace("{named}", "1")),
            Some(names) => {
                Query::new(text.replace("{named}", &format!("{column} IN {{names:Array(String)}}")))
                    .texts("names", names.to_vec())
            }
        };
        let tables = query(
            "SELECT name, engine, sorting_key, as_select, dependencies_table, create_table_query FROM system.tables \
             WHERE database = currentDatabase() AND NOT is_temporary AND {named} ORDER BY name",
            "name",
        );
        let columns = query(
            "SELECT table, name, type, default_kind FROM system.columns \
             WHERE database = currentDatabase() AND {named} ORDER BY table, position",
            "table",
        );
        let (tables, rows): (Vec<TableRow>, Vec<ColumnRow>) =
            try_join(client.rows(&tables), client.rows(&columns)).await?;
        let mut columns: BTreeMap<String, Vec<Column>> = BTreeMap::new();
        for row in rows {
            columns.entry(row.table).or_default().push(Column {
                name: row.name,
                r#type: row.r#type,
                default: row.default_kind,
            });
        }
        let objects = tables
            .into_iter()
            .map(|table| Object {
                kind: kind(&table),
                target: header(&table.create_table_query)
                    .target
                    .map(|target| target.name),
                columns: columns.remove(&table.name).unwrap_or_default(),
                sorting_key: list(&table.sorting_key),
                name: table.name,
                engine: table.engine,
                select: table.as_select,
                triggers: table.dependencies_table,
                create: table.create_table_query,
            })
            .collect();
        Ok(Self { objects })
    }

    /// An object by its name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Object> {
        self.objects.iter().find(|object| object.name == name)
    }

    /// The materialized views that are triggers, each with the table it reads, in the order of names.
    pub fn triggers(&self) -> impl Iterator<Item = (&Object, &Object)> {
        self.objects.iter().filter_map(|view| {
            let source = self
                .objects
                .iter()
                .find(|source| source.triggers.contains(&view.name))?;
            (view.kind == Kind::MaterializedView).then_some((view, source))
        })
    }
}

fn kind(table: &TableRow) -> Kind {
    match table.engine.as_str() {
        "MaterializedView" => Kind::MaterializedView,
        "Dictionary" => Kind::Dictionary,
        "View" => {
            // `{name:Type}`: the column that would list them is not known to older servers.
            let mut tokens = tokens(&table.as_select);
            if tokens.any(|token| token.kind == TokenKind::OpeningCurlyBrace) {
                Kind::ParameterizedView
            } else {
                Kind::View
            }
        }
        _ => Kind::Table,
    }
}

/// The parts of a list that commas separate, outside of brackets.
pub(crate) fn list(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0_usize;
    for token in tokens(text) {
        match token.kind {
            TokenKind::OpeningRoundBracket => depth += 1,
            TokenKind::ClosingRoundBracket => depth = depth.saturating_sub(1),
            TokenKind::Comma if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push_str(token.span.of(text));
        }
    }
    parts
        .into_iter()
        .map(|part| part.trim().to_owned())
        .filter(|part| !part.is_empty())
        .collect()
}
