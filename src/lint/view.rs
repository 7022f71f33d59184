//! A view as the engine resolved it: its queries, what they put out, and the tables behind their columns.

use std::collections::BTreeMap;

use crate::catalog::{Column, Kind, Node, Object, words};
use crate::clickhouse::Exception;
use crate::lint::{Entry, Query, State};
use crate::sql::COMBINATORS;

/// A view.
#[derive(Debug)]
pub(crate) struct View<'a> {
    pub(crate) object: &'a Object,
    pub(crate) state: &'a State,
    entry: &'a Entry,
    nodes: BTreeMap<u64, &'a Node>,
}

/// A column that a view puts out.
#[derive(Clone, Debug)]
pub(crate) struct Output<'a> {
    pub(crate) name: String,
    pub(crate) r#type: String,
    pub(crate) expression: &'a Node,
}

/// A column of a table that a query reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Read<'a> {
    pub(crate) table: &'a Object,
    pub(crate) r#final: bool,
}

impl<'a> View<'a> {
    pub(crate) fn of(entry: &'a Entry, state: &'a State) -> Self {
        let mut view = Self {
            object: &entry.object,
            state,
            entry,
            nodes: BTreeMap::new(),
        };
        if let Some(tree) = view.tree() {
            view.nodes = tree.by_id();
        }
        view
    }

    /// Whether it is a trigger on the inserts of a table.
    pub(crate) fn is_trigger(&self) -> bool {
        self.object.kind == Kind::MaterializedView
            && !words(&self.object.create)
                .iter()
                .take_while(|word| word.depth > 0 || !word.is("AS"))
                .any(|word| word.depth == 0 && word.is("REFRESH"))
    }

    pub(crate) fn tree(&self) -> Option<&'a Node> {
        match &self.entry.query {
            Query::Tree(tree) => Some(tree),
            _ => None,
        }
    }

    /// Why its query does not resolve.
    pub(crate) fn refused(&self) -> Option<&'a Exception> {
        match &self.entry.query {
            Query::Refused(exception) => Some(exception),
            _ => None,
        }
    }

    /// Why the engine would not make it with this target.
    pub(crate) fn unfit(&self) -> Option<&'a Exception> {
        self.entry.unfit.as_ref()
    }

    /// The table that it writes to, if that is there.
    pub(crate) fn target(&self) -> Option<&'a Object> {
        self.state.get(self.object.target.as_deref()?)
    }

    /// The table whose inserts trigger it.
    pub(crate) fn source(&self) -> Option<&'a Object> {
        let mut node = self.tree()?;
        loop {
            node = match node.kind.as_str() {
                "QUERY" => node.list("JOIN TREE").first()?,
                "UNION" => node.list("QUERIES").first()?,
                "JOIN" => node.list("LEFT TABLE EXPRESSION").first()?,
                "CROSS JOIN" => node.list("TABLE EXPRESSION").first()?,
                "ARRAY_JOIN" => node.list("TABLE EXPRESSION").first()?,
                "TABLE" => return self.table(node),
                _ => return None,
            }
        }
    }

    /// The table of this database that a node names.
    pub(crate) fn table(&self, node: &Node) -> Option<&'a Object> {
        if node.kind != "TABLE" {
            return None;
        }
        let name = node.name("table_name", "final")?;
        let name = name
            .strip_prefix(self.state.database())?
            .strip_prefix('.')?;
        self.state.get(name)
    }

    /// The table behind a column of the tree, if it is read directly.
    pub(crate) fn read(&self, column: &Node) -> Option<Read<'a>> {
        if column.kind != "COLUMN" || !column.children.is_empty() {
            return None;
        }
        let source = self.nodes.get(&column.word("source_id")?.parse().ok()?)?;
        Some(Read {
            table: self.table(source)?,
            r#final: is_final(source),
        })
    }

    /// The column of a table that a node of the tree is.
    pub(crate) fn column(&self, node: &Node) -> Option<(&'a Object, &'a Column)> {
        let table = self.read(node)?.table;
        let column = table.column(&column_name(node)?)?;
        Some((table, column))
    }

    /// All SELECTs in it.
    pub(crate) fn queries(&self) -> Vec<&'a Node> {
        self.tree()
            .into_iter()
            .flat_map(Node::walk)
            .filter(|node| node.kind == "QUERY")
            .collect()
    }

    /// The SELECTs whose rows are its own, not those inside of them: the branches of a UNION.
    pub(crate) fn branches(&self) -> Vec<&'a Node> {
        let mut found = Vec::new();
        let mut left: Vec<&Node> = self.tree().into_iter().collect();
        while let Some(node) = left.pop() {
            match node.kind.as_str() {
                "UNION" => left.extend(node.list("QUERIES")),
                "QUERY" => found.push(node),
                _ => {}
            }
        }
        found
    }

    /// The SELECTs through which the rows of the source flow: the left-most of each FROM.
    pub(crate) fn spine(&self) -> Vec<&'a Node> {
        let mut found = Vec::new();
        let mut left: Vec<&Node> = self.tree().into_iter().collect();
        while let Some(node) = left.pop() {
            match node.kind.as_str() {
                "UNION" => left.extend(node.list("QUERIES")),
                "QUERY" => {
                    found.push(node);
                    left.extend(node.list("JOIN TREE").first());
                }
                "JOIN" => left.extend(node.list("LEFT TABLE EXPRESSION").first()),
                "ARRAY_JOIN" | "CROSS JOIN" => left.extend(node.list("TABLE EXPRESSION").first()),
                _ => {}
            }
        }
        found
    }

    /// The SELECTs whose rows reach whoever reads the view without being put together on the way.
    pub(crate) fn loose(&self) -> Vec<&'a Node> {
        let mut found = Vec::new();
        let mut left: Vec<&Node> = self.tree().into_iter().collect();
        while let Some(node) = left.pop() {
            match node.kind.as_str() {
                "UNION" => left.extend(node.list("QUERIES")),
                "QUERY" if !groups(node) => {
                    found.push(node);
                    left.extend(node.list("JOIN TREE"));
                }
                _ => {}
            }
        }
        found
    }

    /// What a SELECT puts out, under the names of the view.
    pub(crate) fn outputs(&self, query: &'a Node) -> Vec<Output<'a>> {
        let names = match self.branches().last() {
            Some(first) => first.column_names(),
            None => return Vec::new(),
        };
        names
            .into_iter()
            .zip(query.list("PROJECTION"))
            .map(|(name, expression)| Output {
                name,
                r#type: type_of(expression),
                expression,
            })
            .collect()
    }
}

/// The type of an expression.
pub(crate) fn type_of(node: &Node) -> String {
    match node.kind.as_str() {
        "CONSTANT" => node.name("constant_value_type", "\0").unwrap_or_default(),
        _ => node.result_type(),
    }
}

/// Whether a table is read with FINAL.
pub(crate) fn is_final(table: &Node) -> bool {
    table.word("final") == Some("1")
}

/// The name of a column node.
pub(crate) fn column_name(node: &Node) -> Option<String> {
    node.name("column_name", "result_type")
}

/// The name of a function node.
pub(crate) fn function(node: &Node) -> Option<&str> {
    (node.kind == "FUNCTION")
        .then(|| node.word("function_name"))
        .flatten()
}

/// Whether a node calls an aggregate function, not as a window function.
pub(crate) fn aggregates(node: &Node) -> bool {
    node.kind == "FUNCTION" && node.word("function_type") == Some("aggregate")
}

/// A node and what is below it, without other queries.
pub(crate) fn within(node: &Node) -> Vec<&Node> {
    let mut found = Vec::new();
    let mut left = vec![node];
    while let Some(next) = left.pop() {
        found.push(next);
        left.extend(
            next.children
                .iter()
                .rev()
                .filter(|child| !matches!(child.kind.as_str(), "QUERY" | "UNION")),
        );
    }
    found
}

/// An aggregate function's name without its combinators, and these.
pub(crate) fn base(name: &str) -> (&str, Vec<&'static str>) {
    let (mut base, mut found) = (name, Vec::new());
    while let Some((suffix, rest)) = COMBINATORS
        .iter()
        .find_map(|suffix| Some((*suffix, base.strip_suffix(suffix)?)))
        .filter(|(_, rest)| !rest.is_empty())
    {
        found.push(suffix);
        base = rest;
    }
    (base, found)
}

/// Whether a query puts rows together: it has GROUP BY, or aggregate functions.
pub(crate) fn groups(query: &Node) -> bool {
    query.section("GROUP BY").is_some()
        || query
            .list("PROJECTION")
            .iter()
            .any(|expression| within(expression).into_iter().any(aggregates))
}

/// An expression without casts and other functions that change no value.
pub(crate) fn core(node: &Node) -> &Node {
    const SAME: [&str; 8] = [
        "CAST",
        "_CAST",
        "assumeNotNull",
        "toNullable",
        "materialize",
        "identity",
        "toLowCardinality",
        "toString",
    ];
    match (function(node), node.list("ARGUMENTS").first()) {
        (Some(name), Some(argument)) if SAME.contains(&name) => core(argument),
        _ => node,
    }
}
