//! An expression of a query tree → the columns of tables that its value comes from. Pure.

use std::collections::BTreeMap;

use crate::catalog::lineage::{Lineage, Origin, Place, Role, elements};
use crate::catalog::tree::Node;
use crate::sql::COMBINATORS;

/// Where an expression stands.
#[derive(Clone, Copy)]
pub(crate) struct At<'a, 't> {
    /// The query it belongs to.
    pub(crate) query: &'a Node,
    /// The element of its value that matters.
    pub(crate) index: Option<usize>,
    /// What is found there is to the column.
    pub(crate) role: Role,
    /// The functions passed on the way, the outermost first.
    pub(crate) through: &'t [String],
}

/// Follows expressions down to the columns of tables.
pub(crate) struct Reader<'a> {
    lineage: &'a Lineage,
    nodes: BTreeMap<u64, &'a Node>,
    /// In the order in which they are met.
    found: Vec<Origin>,
    /// Whether something was met that the tree does not tell.
    pub(crate) unknown: bool,
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

impl<'a> Reader<'a> {
    pub(crate) fn of(lineage: &'a Lineage, tree: Option<&'a Node>) -> Self {
        Self {
            lineage,
            nodes: tree.map(Node::by_id).unwrap_or_default(),
            found: Vec::new(),
            unknown: false,
        }
    }

    /// What was found, each column once: one that gives the value is not said to decide as well.
    pub(crate) fn origins(&self) -> Vec<Origin> {
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
    pub(crate) fn column(&mut self, query: &'a Node, column: &str, at: &At<'a, '_>) {
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

    pub(crate) fn follow(&mut self, node: &'a Node, at: &At<'a, '_>) {
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
