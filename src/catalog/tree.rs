//! The text of `EXPLAIN QUERY TREE` → its nodes. Pure.
//!
//! The text comes without a promise of stability, so nothing is taken for granted: what is not understood is a node or a section like any
//! other, and whoever asks for more than is there is told `None`.

use std::collections::BTreeMap;

/// A line of the tree with what stands below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Node {
    /// `QUERY`, `COLUMN`, `FUNCTION`, … of a node; `PROJECTION`, `WHERE`, … of a section.
    pub(crate) kind: String,
    /// What the others call this node; `None`: a section.
    pub(crate) id: Option<u64>,
    /// The rest of the line.
    attributes: String,
    /// What stands below.
    pub(crate) children: Vec<Node>,
}

impl Node {
    /// Reads a tree. `None`: this is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut open: Vec<(usize, Self)> = Vec::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let depth = line.len() - line.trim_start().len();
            close(&mut open, depth)?;
            open.push((depth, Self::line(line.trim())));
        }
        close(&mut open, 1)?;
        match open.as_slice() {
            [(0, root)] => Some(root.clone()),
            _ => None,
        }
    }

    fn line(line: &str) -> Self {
        match line.split_once(" id: ") {
            Some((kind, rest)) => {
                let (id, attributes) = rest.split_once(", ").unwrap_or((rest, ""));
                Self {
                    kind: kind.to_owned(),
                    id: id.parse().ok(),
                    attributes: attributes.to_owned(),
                    children: Vec::new(),
                }
            }
            None => Self {
                kind: line.to_owned(),
                ..Self::default()
            },
        }
    }

    /// A section by its name.
    pub(crate) fn section(&self, name: &str) -> Option<&Self> {
        self.children
            .iter()
            .find(|child| child.id.is_none() && child.kind == name)
    }

    /// The nodes of a section that holds one `LIST`, or of one that holds them itself.
    pub(crate) fn list(&self, section: &str) -> &[Self] {
        match self
            .section(section)
            .map(|section| section.children.as_slice())
        {
            Some([list]) if list.kind == "LIST" => &list.children,
            Some(nodes) => nodes,
            None => &[],
        }
    }

    /// An attribute of one word, as in `source_id: 3`.
    pub(crate) fn word(&self, name: &str) -> Option<&str> {
        let value = self.rest(name)?;
        Some(value.split(", ").next().unwrap_or(value))
    }

    /// A name, which may hold commas: up to the attribute that follows it.
    pub(crate) fn name(&self, attribute: &str, before: &str) -> Option<String> {
        let rest = self.rest(attribute)?;
        let end = rest.find(&format!(", {before}: ")).unwrap_or(rest.len());
        rest.get(..end).map(unescape)
    }

    fn rest(&self, attribute: &str) -> Option<&str> {
        let start = format!("{attribute}: ");
        if let Some(rest) = self.attributes.strip_prefix(&start) {
            return Some(rest);
        }
        let at = self.attributes.find(&format!(", {start}"))?;
        self.attributes.get(at + 2 + start.len()..)
    }

    /// The type of what a node stands for.
    pub(crate) fn result_type(&self) -> String {
        self.name("result_type", "source_id").unwrap_or_default()
    }

    /// The value of a constant, as the tree writes it: `'text'`, `UInt64_1`.
    pub(crate) fn constant(&self) -> Option<String> {
        self.name("constant_value", "constant_value_type")
    }

    /// This node and all below it.
    pub(crate) fn walk(&self) -> impl Iterator<Item = &Self> {
        let mut left = vec![self];
        std::iter::from_fn(move || {
            let node = left.pop()?;
            left.extend(node.children.iter().rev());
            Some(node)
        })
    }

    /// All nodes by their numbers. A node is written out where it is met first.
    pub(crate) fn by_id(&self) -> BTreeMap<u64, &Self> {
        let mut nodes = BTreeMap::new();
        for node in self.walk() {
            if let Some(id) = node.id {
                nodes.entry(id).or_insert(node);
            }
        }
        nodes
    }

    /// The names of a query's columns: `name Type`, a line each.
    pub(crate) fn column_names(&self) -> Vec<String> {
        let types = self.list("PROJECTION");
        self.section("PROJECTION COLUMNS")
            .map(|section| section.children.as_slice())
            .unwrap_or_default()
            .iter()
            .zip(types)
            .map(|(line, node)| {
                // A column's line is its name and its type; the type of a constant is called otherwise.
                let line = unescape(&line.kind);
                let r#type = node
                    .name("result_type", "source_id")
                    .or_else(|| node.name("constant_value_type", "\0"))
                    .map(|r#type| format!(" {type}"));
                r#type
                    .and_then(|r#type| line.strip_suffix(&r#type).map(str::to_owned))
                    .or_else(|| line.rsplit_once(' ').map(|(name, _)| name.to_owned()))
                    .unwrap_or(line)
            })
            .collect()
    }
}

/// Puts what is as deep as `depth`, or deeper, below what it belongs to.
fn close(open: &mut Vec<(usize, Node)>, depth: usize) -> Option<()> {
    while open.last().is_some_and(|(deep, _)| *deep >= depth.max(1)) {
        let (_, node) = open.pop()?;
        open.last_mut()?.1.children.push(node);
    }
    Some(())
}

fn unescape(text: &str) -> String {
    text.replace("\\'", "'").replace("\\\\", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_read() {
        let tree = Node::parse(
            "QUERY id: 0\n  PROJECTION COLUMNS\n    a b DateTime(\\'UTC\\')\n    n UInt8\n  PROJECTION\n    LIST id: 1, nodes: 2\n      COLUMN id: 2, column_name: x, y, result_type: DateTime(\\'UTC\\'), source_id: 4\n      CONSTANT id: 3, constant_value: UInt64_1, constant_value_type: UInt8\n  JOIN TREE\n    TABLE id: 4, alias: __table1, table_name: m.t\n",
        )
        .unwrap();
        assert_eq!(tree.column_names(), ["a b", "n"]);
        let column = &tree.list("PROJECTION")[0];
        assert_eq!(column.name("column_name", "result_type").unwrap(), "x, y");
        assert_eq!(column.result_type(), "DateTime('UTC')");
        assert_eq!(column.word("source_id"), Some("4"));
        assert_eq!(tree.by_id()[&4].word("table_name"), Some("m.t"));
        assert_eq!(tree.list("WHERE"), []);
    }

    #[test]
    fn what_is_no_tree_is_none() {
        assert_eq!(Node::parse(""), None);
        assert_eq!(Node::parse("a\nb"), None);
        assert_eq!(Node::parse("  a\nb"), None);
    }
}
