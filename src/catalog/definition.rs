//! The definitions of a database: read from a server, compared with others.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::catalog::canonical::words;
use crate::catalog::{Cycle, Generations, Masking, canonical, generation, order, reveals_as};
use crate::clickhouse::{Client, Error, Query, identifier};
use crate::journal;
use crate::sql::{TokenKind, header};

/// What a definition makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DefinitionKind {
    /// A function written in SQL; it belongs to the server, not to a database.
    Function,
    /// Holds rows of its own, or stands for rows elsewhere.
    Table,
    /// A dictionary.
    Dictionary,
    /// A query with a name.
    View,
    /// A query with a name and parameters.
    ParameterizedView,
    /// A trigger on the inserts of a table.
    MaterializedView,
    /// A query whose result is written anew by a clock.
    RefreshableView,
}

impl DefinitionKind {
    /// In words.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Function => "function",
            Self::Table => "table",
            Self::Dictionary => "dictionary",
            Self::View => "view",
            Self::ParameterizedView => "parameterized view",
            Self::MaterializedView => "materialized view",
            Self::RefreshableView => "refreshable view",
        }
    }

    /// What a `CREATE` makes.
    #[must_use]
    pub fn of(sql: &str) -> Option<Self> {
        use crate::sql::Kind as K;
        Some(match header(sql).kind {
            K::CreateTable => Self::Table,
            K::CreateDictionary => Self::Dictionary,
            K::CreateFunction => Self::Function,
            K::CreateView => {
                // `{name:Type}`
                let parameter = words(sql)
                    .iter()
                    .any(|word| word.kind == TokenKind::OpeningCurlyBrace);
                if parameter {
                    Self::ParameterizedView
                } else {
                    Self::View
                }
            }
            K::CreateMaterializedView => {
                let refreshes = words(sql)
                    .iter()
                    .take_while(|word| word.depth > 0 || !word.is("AS"))
                    .any(|word| word.depth == 0 && word.is("REFRESH"));
                if refreshes {
                    Self::RefreshableView
                } else {
                    Self::MaterializedView
                }
            }
            _ => return None,
        })
    }
}

/// An object and the statement that makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// The object's name.
    pub name: String,
    /// What it is.
    pub kind: DefinitionKind,
    /// The canonical text: the engine's own, over several lines, without database, UUIDs, replica paths and secrets; no `;`.
    pub text: String,
    /// Whether the embedded engine could not make the object, so that its engine is compared as text.
    pub as_text: bool,
}

impl Definition {
    /// The file in `schema/current/` that holds it. No two objects share one, on any file system that knows upper and lower case.
    #[must_use]
    pub fn file_name(&self) -> String {
        let mut file = String::new();
        for c in self.name.chars() {
            if c.is_alphanumeric() || matches!(c, '_' | '-' | ' ') {
                file.push(c);
            } else {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    file.push('%');
                    file.push_str(&crate::sql::hex(&[byte]).to_uppercase());
                }
            }
        }
        if self.kind == DefinitionKind::Function {
            file.push_str(".function");
        }
        file + ".sql"
    }
}

/// How an object differs between two databases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// It should be there and is not.
    Missing(Definition),
    /// It is there and nobody asked for it.
    Extra(Definition),
    /// It is another than it should be.
    Different {
        /// As it should be.
        should: Definition,
        /// As it is.
        is: Definition,
    },
}

impl Difference {
    /// The object: as it should be, or, if it should not be, as it is.
    #[must_use]
    pub fn object(&self) -> &Definition {
        match self {
            Self::Missing(object) | Self::Extra(object) => object,
            Self::Different { should, .. } => should,
        }
    }
}

/// All definitions of a database, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Definitions {
    by_name: BTreeMap<(bool, String), Definition>,
}

#[derive(Deserialize)]
struct Row {
    name: String,
    create: String,
}

impl Definitions {
    /// Of these; functions have names of their own.
    pub fn of(definitions: impl IntoIterator<Item = Definition>) -> Self {
        Self {
            by_name: definitions
                .into_iter()
                .map(|it| ((it.kind == DefinitionKind::Function, it.name.clone()), it))
                .collect(),
        }
    }

    /// Reads the database of a client, and the server's SQL functions. Journal, lock and the inner tables of views are no part of it.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn read(client: &Client, masking: Masking) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Count {
            number: u64,
        }
        let knows = |what: &str| {
            let query = format!("SELECT toUInt64(count()) AS number FROM {what}");
            async move { Ok::<_, Error>(client.row::<Count>(&Query::new(query)).await?.number > 0) }
        };
        let formats = knows("system.functions WHERE name = 'formatQueryOrNull'").await?;
        let create = if formats {
            "ifNull(formatQueryOrNull(create_table_query), create_table_query)"
        } else {
            "create_table_query"
        };
        let query = Query::new(format!(
            "SELECT name, {create} AS create FROM system.tables \
             WHERE database = currentDatabase() AND NOT is_temporary ORDER BY name"
        ));
        let query = if formats {
            query.setting("max_query_size", "1000000000")
        } else {
            query
        };
        let mut rows: Vec<Row> = client.rows(&query).await?;
        rows.retain(|row| !is_ours(&row.name));
        let generations = Generations::of(rows.iter().map(|row| row.name.as_str()));
        rows.retain(|row| generations.shows(&row.name));
        if !formats {
            for row in &mut rows {
                row.create = shown(client, row).await?;
            }
        }
        let functions = if knows(
            "system.columns WHERE database = 'system' AND table = 'functions' AND name = 'create_query'",
        )
        .await?
        {
            let create = if formats {
                "ifNull(formatQueryOrNull(create_query), create_query)"
            } else {
                "create_query"
            };
            let query = Query::new(format!(
                "SELECT name, {create} AS create FROM system.functions WHERE create_query != '' ORDER BY name"
            ));
            client.rows::<Row>(&query).await?
        } else {
            Vec::new()
        };
        Ok(Self::of(rows.into_iter().chain(functions).filter_map(
            |row| {
                let create = generation::fold(&row.create);
                Some(Definition {
                    kind: DefinitionKind::of(&create)?,
                    text: canonical(&create, client.database(), masking),
                    name: generation::parse(&row.name).0.to_owned(),
                    as_text: false,
                })
            },
        )))
    }

    /// The definitions, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Definition> {
        self.by_name.values()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// A table, view or dictionary by its name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Definition> {
        self.by_name.get(&(false, name.to_owned()))
    }

    /// Another text of an object.
    pub fn set(&mut self, definition: Definition) {
        let key = (
            definition.kind == DefinitionKind::Function,
            definition.name.clone(),
        );
        self.by_name.insert(key, definition);
    }

    /// Each behind what it needs.
    ///
    /// # Errors
    /// [`Cycle`].
    pub fn in_order(&self) -> Result<Vec<Definition>, Cycle> {
        order(self.iter().cloned().collect())
    }

    /// What is another in `is` than it should be, by name. What one side hides is hidden on both.
    #[must_use]
    pub fn differences(&self, is: &Self) -> Vec<Difference> {
        let mut found = Vec::new();
        for (key, should) in &self.by_name {
            match is.by_name.get(key) {
                None => found.push(Difference::Missing(should.clone())),
                Some(is) => {
                    let mut should = should.clone();
                    let mut is = is.clone();
                    if let Some(text) = reveals_as(&should.text, &is.text) {
                        should.text = text;
                    }
                    if let Some(text) = reveals_as(&is.text, &should.text) {
                        is.text = text;
                    }
                    if should.text != is.text {
                        found.push(Difference::Different { should, is });
                    }
                }
            }
        }
        for (key, extra) in &is.by_name {
            if !self.by_name.contains_key(key) {
                found.push(Difference::Extra(extra.clone()));
            }
        }
        found.sort_by(|a, b| a.object().name.cmp(&b.object().name));
        found
    }
}

/// The journal, locks, the ledger of rebuilds, and the tables that views keep for themselves.
fn is_ours(name: &str) -> bool {
    name == journal::TABLE
        || name == journal::REBUILD_TABLE
        || name.starts_with(journal::LOCK_TABLE)
        || name.starts_with("housewright_stage_")
        || name.starts_with(".inner.")
        || name.starts_with(".inner_id.")
        || name.starts_with(".tmp.")
        // What a refresh fills before it takes the place of what was there.
        || name.starts_with("_tmp_replace_")
}

/// What a server without `formatQuery` shows.
async fn shown(client: &Client, row: &Row) -> Result<String, Error> {
    let what = if header(&row.create).kind == crate::sql::Kind::CreateDictionary {
        "DICTIONARY"
    } else {
        "TABLE"
    };
    let query = Query::new(format!("SHOW CREATE {what} {}", identifier(&row.name)));
    let bytes = client.fetch(&query, "TSVRaw").await?;
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}
