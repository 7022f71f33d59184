//! An object of the catalog from its definition alone, as the engine lays it out: what a table or a view would be once it is made.

use crate::catalog::{Column, DefinitionKind, Kind, Object};
use crate::diff::shape::{Table, View};

/// What a `CREATE` in the engine's layout (`formatQuery`) would make; `None` if it is laid out otherwise, or makes something else. Types
/// are as they are written, and those of a view's columns are not known.
#[must_use]
pub fn object(name: &str, create: &str) -> Option<Object> {
    let mut object = Object {
        name: name.to_owned(),
        kind: Kind::Table,
        engine: String::new(),
        columns: Vec::new(),
        sorting_key: Vec::new(),
        select: String::new(),
        triggers: Vec::new(),
        target: None,
        create: create.to_owned(),
    };
    match DefinitionKind::of(create)? {
        DefinitionKind::Table => {
            let table = Table::read(create)?;
            object.engine = table.engine_name();
            object.sorting_key = table.sorting_key();
            object.columns = table
                .columns
                .into_iter()
                .map(|column| Column {
                    name: column.name,
                    r#type: column
                        .r#type
                        .split_whitespace()
                        .collect::<Vec<_>>()
                        .join(" "),
                    default: column
                        .default
                        .map_or(String::new(), |(kind, _)| kind.to_owned()),
                })
                .collect();
        }
        kind @ (DefinitionKind::View
        | DefinitionKind::ParameterizedView
        | DefinitionKind::MaterializedView) => {
            let view = View::read(create)?;
            "View".clone_into(&mut object.engine);
            object.kind = match kind {
                DefinitionKind::MaterializedView => Kind::MaterializedView,
                DefinitionKind::View => Kind::View,
                _ => Kind::ParameterizedView,
            };
            object.target = view.target;
            object.select = view.query;
        }
        _ => return None,
    }
    Some(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_says_what_it_would_make() {
        let table = object("t", "CREATE TABLE t\n(\n    `a` SimpleAggregateFunction(min, Tuple(\n        x UInt8,\n        y String)),\n    `d` Date MATERIALIZED toDate(a)\n)\nENGINE = AggregatingMergeTree\nORDER BY (d, a)").unwrap();
        assert_eq!(table.engine, "AggregatingMergeTree");
        assert_eq!(table.sorting_key, ["d", "a"]);
        assert_eq!(
            table.column("a").unwrap().r#type,
            "SimpleAggregateFunction(min, Tuple( x UInt8, y String))"
        );
        assert_eq!(table.column("d").unwrap().default, "MATERIALIZED");
        let view = object(
            "v",
            "CREATE MATERIALIZED VIEW v TO t\nAS SELECT a\nFROM raw",
        )
        .unwrap();
        assert_eq!(
            (view.kind, view.select.as_str()),
            (Kind::MaterializedView, "SELECT a\nFROM raw")
        );
        assert!(object("f", "CREATE FUNCTION f AS x -> x").is_none());
    }
}
