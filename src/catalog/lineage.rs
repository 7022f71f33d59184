//! Where the values of a column come from: from a view back through states and triggers to what clients sent.
//!
//! Read from the engine's own resolved query tree (`EXPLAIN QUERY TREE`), so `*`, aliases, CTEs and joins are the engine's to understand.
//! What it does not tell is said to be unknown, never guessed.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::catalog::tree::Node;
use crate::catalog::{Catalog, Kind, list};
use crate::clickhouse::{Client, Error, Query, identifier};
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

    fn type_of(&self, object: &str, column: &str) -> Option<&str> {
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
    fn table(&self, node: &Node) -> Option<String> {
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

/// Where an expression stands.
#[derive(Clone, Copy)]
struct At<'a, 't> {
    /// The query it belongs to.
    query: &'a Node,
    /// The element of its value that matters.
    index: Option<usize>,
    role: Role,
    through: &'t [String],
}

/// Follows expressions down to the columns of tables.
struct Reader<'a> {
    lineage: &'a Lineage,
    nodes: BTreeMap<u64, &'a Node>,
    /// In the order in which they are met.
    found: Vec<Origin>,
    unknown: bool,
}

/// Aggregate functions whose value is one of their first argument's.
const PICK: &[&str] = &[
    "min",
    "max",
    "any",
    "anyLast",
    "argMin",
    "argMax",
    "first_value",
    "last_value",
    "any_respect_nulls",
    "anyLast_respect_nulls",
];
/// Functions whose value is that of their first argument, in another type.
const SAME: &[&str] = &[
    "CAST",
    "_CAST",
    "assumeNotNull",
    "toNullable",
    "materialize",
    "identity",
    "toLowCardinality",
    "finalizeAggregation",
];
const COMBINATORS: &[&str] = &[
    "SimpleState",
    "State",
    "Merge",
    "OrNull",
    "OrDefault",
    "Distinct",
    "If",
];

impl<'a> Reader<'a> {
    fn of(lineage: &'a Lineage, tree: Option<&'a Node>) -> Self {
        Self {
            lineage,
            nodes: tree.map(Node::by_id).unwrap_or_default(),
            found: Vec::new(),
            unknown: false,
        }
    }

    /// What was found, each column once: one that gives the value is not said to decide as well.
    fn origins(&self) -> Vec<Origin> {
        let mut origins: Vec<Origin> = Vec::new();
        for role in [Role::Value, Role::Decides] {
            for origin in self.found.iter().filter(|origin| origin.role == role) {
                if !origins.iter().any(|other| other.place == origin.place) {
                    origins.push(origin.clone());
                }
            }
        }
        origins
    }

    /// A column of a query or of a union of queries.
    fn column(&mut self, query: &'a Node, column: &str, at: &At<'a, '_>) {
        let branches: Vec<&'a Node> = match query.kind.as_str() {
            "UNION" => query.list("QUERIES").iter().collect(),
            _ => vec![query],
        };
        // The first branch gives the names, the place is the same in all.
        let mut first = branches.first().copied();
        while let Some(union) = first.filter(|node| node.kind == "UNION") {
            first = union.list("QUERIES").first();
        }
        let position =
            first.and_then(|first| first.column_names().iter().position(|name| name == column));
        match position {
            Some(position) => {
                for branch in branches {
                    self.nth(branch, position, at);
                }
            }
            None => self.unknown = true,
        }
    }

    fn nth(&mut self, query: &'a Node, position: usize, at: &At<'a, '_>) {
        if query.kind == "UNION" {
            for branch in query.list("QUERIES") {
                self.nth(branch, position, at);
            }
            return;
        }
        match query.list("PROJECTION").get(position) {
            Some(expression) => self.follow(expression, &At { query, ..*at }),
            None => self.unknown = true,
        }
    }

    fn follow(&mut self, node: &'a Node, at: &At<'a, '_>) {
        match node.kind.as_str() {
            "COLUMN" => self.reference(node, at),
            "FUNCTION" => self.call(node, at),
            // The value of a constant may have been a scalar subquery's.
            "CONSTANT" | "LIST" | "SORT" | "EXPRESSION" | "INTERPOLATE" => self.below(node, at),
            "LAMBDA" => {
                for expression in node
                    .children
                    .iter()
                    .filter(|child| child.kind.starts_with("EXPRESSION"))
                {
                    self.below(expression, at);
                }
            }
            "WINDOW" => {
                for section in &node.children {
                    self.below(section, at);
                }
            }
            "QUERY" | "UNION" => self.nth(node, 0, at),
            "TABLE" => self.rows(node, at),
            _ if node.id.is_none() => self.below(node, at),
            _ => self.unknown = true,
        }
    }

    fn below(&mut self, node: &'a Node, at: &At<'a, '_>) {
        for child in &node.children {
            self.follow(child, at);
        }
    }

    fn reference(&mut self, node: &'a Node, at: &At<'a, '_>) {
        // An alias, a column of USING, the result of ARRAY JOIN: what it stands for is below it.
        if !node.children.is_empty() {
            self.below(node, at);
            return;
        }
        let (Some(name), Some(source)) = (
            node.name("column_name", "result_type"),
            node.word("source_id")
                .and_then(|id| id.parse().ok())
                .and_then(|id: u64| self.nodes.get(&id).copied()),
        ) else {
            self.unknown = true;
            return;
        };
        match source.kind.as_str() {
            "TABLE" | "TABLE_FUNCTION" => self.leaf(source, &name, at),
            "QUERY" | "UNION" => self.column(source, &name, at),
            "JOIN" | "ARRAY_JOIN" => {
                let sections = ["JOIN EXPRESSION", "JOIN EXPRESSIONS"];
                let joined = sections
                    .iter()
                    .flat_map(|section| source.list(section))
                    .find(|column| {
                        column.name("column_name", "result_type").as_ref() == Some(&name)
                    });
                match joined.filter(|column| !column.children.is_empty()) {
                    Some(column) => self.below(column, at),
                    None => self.unknown = true,
                }
            }
            // The argument of a lambda is an element of the array beside it.
            "LAMBDA" => {}
            _ => self.unknown = true,
        }
    }

    fn leaf(&mut self, table: &Node, name: &str, at: &At<'a, '_>) {
        let Some(object) = self.lineage.table(table) else {
            self.unknown = true;
            return;
        };
        // `entry.source` is a column of that name, or an element of `entry`.
        let whole = self.lineage.type_of(&object, name).is_some();
        let (column, mut element) = match name.split_once('.') {
            Some((column, element)) if !whole => (column, Some(element.to_owned())),
            _ => (name, None),
        };
        if let (None, Some(index)) = (&element, at.index) {
            element = self.lineage.elements(&object, column).get(index).cloned();
        }
        self.add(
            Place {
                object,
                column: column.to_owned(),
                element,
            },
            at,
        );
    }

    fn add(&mut self, place: Place, at: &At<'a, '_>) {
        self.found.push(Origin {
            place,
            role: at.role,
            through: at.through.to_vec(),
        });
    }

    /// The rows of the tables that a query reads from; those that its conditions ask are others.
    fn rows(&mut self, node: &'a Node, at: &At<'a, '_>) {
        const FROM: &[&str] = &[
            "JOIN TREE",
            "QUERIES",
            "LIST",
            "TABLE EXPRESSION",
            "LEFT TABLE EXPRESSION",
            "RIGHT TABLE EXPRESSION",
        ];
        if let Some(object) = self.lineage.table(node) {
            let column = "*".to_owned();
            let place = Place {
                object,
                column,
                element: None,
            };
            self.add(place, at);
            return;
        }
        let holds_nodes = node.id.is_none() || node.kind == "LIST";
        for child in &node.children {
            if FROM.contains(&child.kind.as_str()) || (holds_nodes && child.id.is_some()) {
                self.rows(child, at);
            }
        }
    }

    fn call(&mut self, node: &'a Node, at: &At<'a, '_>) {
        let name = node.word("function_name").unwrap_or_default();
        let ordinary = node.word("function_type") == Some("ordinary");
        let arguments = node.list("ARGUMENTS");
        let (base, conditional) = if ordinary {
            (name, false)
        } else {
            combinators(name)
        };
        let mut through = at.through.to_vec();
        if !matches!(name, "tupleElement" | "_CAST" | "CAST") {
            through.push(name.to_owned());
        }
        let value = At {
            through: &through,
            ..*at
        };
        let whole = At {
            index: None,
            ..value
        };
        let decides = At {
            role: Role::Decides,
            ..whole
        };
        if let Some(window) = node.section("WINDOW") {
            self.follow(window, &decides);
        }
        if !ordinary
            && arguments.len() == usize::from(conditional)
            && let Some(tables) = at.query.section("JOIN TREE")
        {
            // count(), row_number(): of the rows themselves.
            self.rows(tables, &whole);
        }
        let last = arguments.len().saturating_sub(1);
        for (number, argument) in arguments.iter().enumerate() {
            let one = match (base, at.index) {
                ("tupleElement", _) if number == 0 => {
                    let index = arguments
                        .get(1)
                        .and_then(|element| position(argument, element));
                    self.unknown |= index.is_none();
                    At { index, ..value }
                }
                ("tupleElement", _) => continue,
                ("tuple", Some(index)) if number == index => whole,
                ("tuple", Some(_)) => continue,
                ("if", _) if number == 0 => decides,
                ("if", _) => value,
                ("multiIf" | "caseWithExpression", _) if number % 2 == 0 && number != last => {
                    decides
                }
                ("multiIf" | "coalesce" | "ifNull" | "nullIf", _) => value,
                _ if conditional && number == last => decides,
                ("argMin" | "argMax", _) if !ordinary && number == 1 => decides,
                _ if number == 0
                    && (SAME.contains(&base) || (!ordinary && PICK.contains(&base))) =>
                {
                    value
                }
                _ => whole,
            };
            self.follow(argument, &one);
            if matches!((base, at.index), ("min" | "max", Some(index)) if index > 0) && !ordinary {
                self.order(argument, at.index.unwrap_or(0), &decides);
            }
        }
    }

    /// `min((timestamp, event_id, source))`: what stands before the element decides whose it is.
    fn order(&mut self, tuple: &'a Node, index: usize, at: &At<'a, '_>) {
        for before in 0..index {
            self.follow(
                tuple,
                &At {
                    index: Some(before),
                    ..*at
                },
            );
        }
    }
}

/// `argMinIfState` → `argMin`, and whether it has a condition.
fn combinators(name: &str) -> (&str, bool) {
    let (mut base, mut conditional) = (name, false);
    while let Some((suffix, rest)) = COMBINATORS
        .iter()
        .find_map(|suffix| Some((*suffix, base.strip_suffix(suffix)?)))
        .filter(|(_, rest)| !rest.is_empty())
    {
        conditional |= suffix == "If";
        base = rest;
    }
    (base, conditional)
}

/// Which element of its tuple `tupleElement` takes, from 0.
fn position(tuple: &Node, element: &Node) -> Option<usize> {
    let constant = element.constant()?;
    if let Some(number) = constant.strip_prefix("UInt64_") {
        return number.parse::<usize>().ok()?.checked_sub(1);
    }
    let name = constant.trim_matches('\'');
    elements(&tuple.result_type())
        .iter()
        .position(|known| known == name)
}

/// The names of the elements of a type that is a tuple, or an aggregate of one; those without a name are numbered from 1.
fn elements(r#type: &str) -> Vec<String> {
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
    let tokens: Vec<_> = tokens(sql)
        .filter(|token| token.kind.is_significant())
        .collect();
    let mut parameters = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        if token.kind != TokenKind::OpeningCurlyBrace {
            continue;
        }
        let Some(name) = tokens.get(index + 1) else {
            continue;
        };
        let end = tokens
            .iter()
            .skip(index)
            .find(|token| token.kind == TokenKind::ClosingCurlyBrace);
        let r#type = tokens
            .get(index + 3)
            .zip(end)
            .and_then(|(first, end)| sql.get(first.span.start..end.span.start));
        let name = name.span.of(sql).to_owned();
        if !parameters.iter().any(|(known, _)| *known == name) {
            parameters.push((name, example(r#type.unwrap_or_default().trim())));
        }
    }
    parameters
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
    let query = parameters.iter().fold(
        Query::new(format!(
            "EXPLAIN QUERY TREE run_passes = 1, passes = 1 {select}"
        )),
        |query, (name, value)| query.text(name, value),
    );
    match client.rows::<Line>(&query).await {
        Ok(lines) => {
            let lines: Vec<String> = lines.into_iter().map(|line| line.explain).collect();
            Ok(Node::parse(&lines.join("\n")))
        }
        Err(error) if error.exception().is_some() => Ok(None),
        Err(error) => Err(error),
    }
}
