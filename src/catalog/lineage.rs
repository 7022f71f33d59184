//! Where the values of a column come from: from a view back through states and triggers to what clients sent.
//!
//! Read from the engine's own resolved query tree (`EXPLAIN QUERY TREE`), so `*`, aliases, CTEs and joins are the engine's to understand.
//! What it does not tell is said to be unknown, never guessed.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::catalog::follow::{At, Reader};
use crate::catalog::tree::Node;
use crate::catalog::{Catalog, Kind, list};
use crate::clickhouse::{Client, Error, Exception, Query, identifier};
use crate::sql::{TokenKind, tokens};

/// A column, an element of one that is a tuple, or (`*`) the rows of a table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The table or view; with its database if that is another one.
    pub object: String,
    /// The column; `*` for the rows themselves, as `count()` reads them.
    pub column: String,
    /// The element of a tuple.
    pub element: Option<String>,
}

impl std::fmt::Display for Place {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}.{}", self.object, self.column)?;
        match &self.element {
            Some(element) => write!(formatter, ".{element}"),
            None => Ok(()),
        }
    }
}

/// What a column is to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Its value, or a part of it, is that of the other one, perhaps changed by functions.
    Value,
    /// It decides which value is taken: a condition, an order.
    Decides,
}

/// A column that another one comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// The column.
    pub place: Place,
    /// What it is to the other one.
    pub role: Role,
    /// The functions on the way, the outermost first.
    pub through: Vec<String>,
}

/// A definition that says how a column is filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The object whose definition it is: the view, the materialized view that writes here, the table with the default.
    pub by: String,
    /// The expression of a default; empty for a view.
    pub default: String,
    /// The columns; none: a constant, or a function without arguments.
    pub origins: Vec<Origin>,
    /// Whether there is something the query tree does not tell.
    pub unknown: bool,
}

/// A column with everything it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The column.
    pub place: Place,
    /// How it is filled; none: from outside.
    pub steps: Vec<(Step, Vec<Self>)>,
}

/// The query trees of a database.
#[derive(Clone, Debug, Default)]
pub struct Lineage {
    database: String,
    /// The columns of every object, with their types.
    columns: BTreeMap<String, Vec<(String, String)>>,
    /// The query of every view.
    queries: BTreeMap<String, Option<Node>>,
    /// Who writes into a table.
    writers: BTreeMap<String, Vec<String>>,
    /// Every default: its text and its tree.
    defaults: BTreeMap<(String, String), (String, Option<Node>)>,
}

#[derive(Deserialize)]
struct Line {
    explain: String,
}

#[derive(Deserialize)]
struct DefaultRow {
    table: String,
    name: String,
    default_expression: String,
}

impl Lineage {
    /// Asks the engine for the query tree of every view and every default of the client's database.
    ///
    /// # Errors
    /// [`Error`], if the server goes away. A query it does not explain is an unknown one.
    pub async fn read(client: &Client, catalog: &Catalog) -> Result<Self, Error> {
        let mut lineage = Self {
            database: client.database().to_owned(),
            ..Self::default()
        };
        for object in &catalog.objects {
            let columns = object.columns.iter();
            let columns = columns.map(|column| (column.name.clone(), column.r#type.clone()));
            lineage
                .columns
                .insert(object.name.clone(), columns.collect());
            if !matches!(
                object.kind,
                Kind::View | Kind::ParameterizedView | Kind::MaterializedView
            ) {
                continue;
            }
            let tree = explain(client, &object.select, &parameters(&object.select)).await?;
            // The server lists no columns of a parameterized view.
            if object.columns.is_empty()
                && let Some(tree) = &tree
            {
                let names = tree.column_names().into_iter();
                lineage.columns.insert(
                    object.name.clone(),
                    names.map(|name| (name, String::new())).collect(),
                );
            }
            lineage.queries.insert(object.name.clone(), tree);
            if let (Kind::MaterializedView, Some(target)) = (object.kind, &object.target) {
                let writers = lineage.writers.entry(target.clone()).or_default();
                writers.push(object.name.clone());
            }
        }
        let defaults = Query::new(
            "SELECT table, name, default_expression FROM system.columns WHERE database = currentDatabase() AND default_expression != '' ORDER BY table, position",
        );
        for row in client.rows::<DefaultRow>(&defaults).await? {
            let select = format!(
                "SELECT {} FROM {}",
                row.default_expression,
                identifier(&row.table)
            );
            let tree = explain(client, &select, &[]).await?;
            lineage
                .defaults
                .insert((row.table, row.name), (row.default_expression, tree));
        }
        Ok(lineage)
    }

    /// The elements of a column that is a tuple, or an aggregate of one; empty if it is none.
    #[must_use]
    pub fn elements(&self, object: &str, column: &str) -> Vec<String> {
        self.type_of(object, column)
            .map(elements)
            .unwrap_or_default()
    }

    /// The columns of an object, in their order; of a parameterized view too.
    #[must_use]
    pub fn columns(&self, object: &str) -> Vec<Place> {
        let columns = self.columns.get(object).map(Vec::as_slice);
        columns
            .unwrap_or_default()
            .iter()
            .map(|(column, _)| Place {
                object: object.to_owned(),
                column: column.clone(),
                element: None,
            })
            .collect()
    }

    pub(crate) fn type_of(&self, object: &str, column: &str) -> Option<&str> {
        let columns = self.columns.get(object)?;
        let (_, r#type) = columns.iter().find(|(name, _)| name == column)?;
        Some(r#type)
    }

    /// How a column is filled, one step back.
    #[must_use]
    pub fn steps(&self, place: &Place) -> Vec<Step> {
        let index = place.element.as_ref().and_then(|element| {
            self.elements(&place.object, &place.column)
                .iter()
                .position(|name| name == element)
        });
        let mut steps = Vec::new();
        if let Some(query) = self.queries.get(&place.object)
            && !self.writers.contains_key(&place.object)
        {
            steps.push(self.step(&place.object, query.as_ref(), &place.column, index));
        }
        for writer in self.writers.get(&place.object).into_iter().flatten() {
            let query = self.queries.get(writer).and_then(Option::as_ref);
            if self
                .columns
                .get(writer)
                .is_some_and(|columns| columns.iter().any(|(name, _)| *name == place.column))
            {
                steps.push(self.step(writer, query, &place.column, index));
            }
        }
        let default = (place.object.clone(), place.column.clone());
        if let Some((text, tree)) = self.defaults.get(&default) {
            let expression = tree
                .as_ref()
                .and_then(|tree| tree.list("PROJECTION").first());
            let mut reader = Reader::of(self, tree.as_ref());
            match (tree, expression) {
                (Some(tree), Some(expression)) => reader.follow(
                    expression,
                    &At {
                        query: tree,
                        index,
                        role: Role::Value,
                        through: &[],
                    },
                ),
                _ => reader.unknown = true,
            }
            steps.push(Step {
                by: place.object.clone(),
                default: text.clone(),
                origins: reader.origins(),
                unknown: reader.unknown,
            });
        }
        steps
    }

    fn step(&self, by: &str, query: Option<&Node>, column: &str, index: Option<usize>) -> Step {
        let mut reader = Reader::of(self, query);
        match query {
            Some(query) => reader.column(
                query,
                column,
                &At {
                    query,
                    index,
                    role: Role::Value,
                    through: &[],
                },
            ),
            None => reader.unknown = true,
        }
        Step {
            by: by.to_owned(),
            default: String::new(),
            origins: reader.origins(),
            unknown: reader.unknown,
        }
    }

    /// The columns that decide which rows a view has: WHERE, GROUP BY, HAVING, joins. `None`: not known.
    #[must_use]
    pub fn decided_by(&self, view: &str) -> Option<Vec<Origin>> {
        let query = self.queries.get(view)?.as_ref()?;
        let mut reader = Reader::of(self, Some(query));
        for node in query.walk() {
            for section in [
                "WHERE",
                "PREWHERE",
                "GROUP BY",
                "HAVING",
                "QUALIFY",
                "JOIN EXPRESSION",
                "LIMIT BY",
            ] {
                for expression in node.list(section) {
                    reader.follow(
                        expression,
                        &At {
                            query: node,
                            index: None,
                            role: Role::Decides,
                            through: &[],
                        },
                    );
                }
            }
        }
        (!reader.unknown).then(|| reader.origins())
    }

    /// A column and all it comes from, to the end.
    #[must_use]
    pub fn trace(&self, place: &Place) -> Trace {
        self.follow(place, &mut Vec::new())
    }

    fn follow(&self, place: &Place, above: &mut Vec<Place>) -> Trace {
        // A default may name its own table; a cycle of views ends here too.
        let steps = if above.contains(place) {
            Vec::new()
        } else {
            self.steps(place)
        };
        above.push(place.clone());
        let steps = steps
            .into_iter()
            .map(|step| {
                let traces = step
                    .origins
                    .iter()
                    .map(|origin| self.follow(&origin.place, above))
                    .collect();
                (step, traces)
            })
            .collect();
        above.pop();
        Trace {
            place: place.clone(),
            steps,
        }
    }

    /// The objects that an object reads or is written by, one step back.
    #[must_use]
    pub fn sources(&self, object: &str) -> BTreeSet<String> {
        if let Some(writers) = self.writers.get(object) {
            return writers.iter().cloned().collect();
        }
        let Some(Some(query)) = self.queries.get(object) else {
            return BTreeSet::new();
        };
        query.walk().filter_map(|node| self.table(node)).collect()
    }

    /// The table that a node names, without our own database.
    pub(crate) fn table(&self, node: &Node) -> Option<String> {
        match node.kind.as_str() {
            "TABLE" => {
                let name = node.name("table_name", "final")?;
                let own = name.strip_prefix(&format!("{}.", self.database));
                let name = own.map_or(name.clone(), str::to_owned);
                Some(name)
            }
            "TABLE_FUNCTION" => Some(format!("{}()", node.word("table_function_name")?)),
            _ => None,
        }
    }
}

/// The names of the elements of a type that is a tuple, or an aggregate of one; those without a name are numbered from 1.
pub(crate) fn elements(r#type: &str) -> Vec<String> {
    let inside = |outer: &str| {
        r#type
            .strip_prefix(outer)
            .and_then(|rest| rest.strip_suffix(')'))
    };
    if let Some(aggregate) =
        inside("SimpleAggregateFunction(").or_else(|| inside("AggregateFunction("))
    {
        return list(aggregate)
            .get(1)
            .map(|r#type| elements(r#type))
            .unwrap_or_default();
    }
    let Some(tuple) = inside("Tuple(") else {
        return Vec::new();
    };
    list(tuple)
        .iter()
        .zip(1_usize..)
        .map(|(element, number)| {
            let words: Vec<_> = tokens(element)
                .filter(|token| token.kind.is_significant())
                .collect();
            match words.as_slice() {
                [name, next, ..] if next.kind != TokenKind::OpeningRoundBracket => {
                    name.span.of(element).trim_matches(['`', '"']).to_owned()
                }
                _ => number.to_string(),
            }
        })
        .collect()
}

/// The parameters of a query, each with a value that its type takes: only what the query reads is asked for, not what it answers.
fn parameters(sql: &str) -> Vec<(String, String)> {
    crate::sql::parameters(sql)
        .into_iter()
        .map(|parameter| (parameter.name, example(&parameter.r#type)))
        .collect()
}

/// A value of a type, as a parameter of the HTTP interface is written.
fn example(r#type: &str) -> String {
    let inner = |outer: &str| {
        r#type
            .strip_prefix(outer)
            .and_then(|rest| rest.strip_suffix(')'))
    };
    if let Some(inner) = inner("Nullable(").or_else(|| inner("LowCardinality(")) {
        return example(inner);
    }
    match r#type {
        text if text.starts_with("Enum") => text.split('\'').nth(1).unwrap_or_default(),
        text if text.starts_with("DateTime") => "2000-01-01 00:00:00",
        text if text.starts_with("Date") => "2000-01-01",
        text if text.starts_with("Array") => "[]",
        text if text.starts_with("Map") => "{}",
        text if text.starts_with("String") || text.starts_with("FixedString") => "",
        "UUID" => "00000000-0000-0000-0000-000000000000",
        "Bool" => "false",
        _ => "0",
    }
    .to_owned()
}

async fn explain(
    client: &Client,
    select: &str,
    parameters: &[(String, String)],
) -> Result<Option<Node>, Error> {
    let tree = resolve(client, select, parameters).await?;
    Ok(tree.unwrap_or_default())
}

/// The query tree of a SELECT; or why the engine does not resolve it. `None`: it resolves it, and the tree cannot be read.
///
/// # Errors
/// [`Error`], if the server goes away.
pub(crate) async fn query_tree(
    client: &Client,
    select: &str,
) -> Result<Result<Option<Node>, Exception>, Error> {
    resolve(client, select, &parameters(select)).await
}

async fn resolve(
    client: &Client,
    select: &str,
    parameters: &[(String, String)],
) -> Result<Result<Option<Node>, Exception>, Error> {
    let query = parameters.iter().fold(
        Query::new(format!(
            "EXPLAIN QUERY TREE run_passes = 1, passes = 1 {select}"
        )),
        |query, (name, value)| query.text(name, value),
    );
    match client.rows::<Line>(&query).await {
        Ok(lines) => {
            let lines: Vec<String> = lines.into_iter().map(|line| line.explain).collect();
            Ok(Ok(Node::parse(&lines.join("\n"))))
        }
        Err(error) => match error.exception() {
            Some(exception) => Ok(Err(exception.clone())),
            None => Err(error),
        },
    }
}
