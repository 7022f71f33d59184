//! How far a mistake in one object reaches: what cannot be another for it is not asked again. Pure.

use std::collections::BTreeSet;

use crate::catalog::{Catalog, Kind, references};
use crate::viewtest::case::{Action, Case, Rows};
use crate::viewtest::stage::target;

/// The objects whose rows may be others if one of them is wrong: itself, and all that is made from it.
#[derive(Debug)]
pub(crate) struct Reach<'a> {
    catalog: &'a Catalog,
    names: BTreeSet<String>,
}

impl<'a> Reach<'a> {
    /// Of an object.
    pub(crate) fn of(catalog: &'a Catalog, object: &str) -> Self {
        let mut reach = Self {
            catalog,
            names: BTreeSet::from([object.to_owned()]),
        };
        loop {
            let known = reach.names.len();
            for object in &catalog.objects {
                if reach.names.contains(&object.name) || reach.reads(&object.create) {
                    reach.names.insert(object.name.clone());
                    if object.kind == Kind::MaterializedView {
                        reach.names.insert(target(object).to_owned());
                    }
                }
            }
            if reach.names.len() == known {
                return reach;
            }
        }
    }

    /// Whether the answer to a query may be another: it reads what is reached, or something that is no object of the schema, as `merge(…)`
    /// is, or it names nothing that is read, as DESCRIBE does.
    pub(crate) fn meets(&self, sql: &str) -> bool {
        references(sql).is_empty() || self.reads(sql)
    }

    fn reads(&self, sql: &str) -> bool {
        references(sql)
            .iter()
            // `IN (SELECT …)` names nothing yet.
            .filter(|name| !name.eq_ignore_ascii_case("SELECT"))
            .any(|name| self.names.contains(name) || self.catalog.get(name).is_none())
    }

    /// Whether a case may notice: it asks what is reached, or an INSERT is.
    pub(crate) fn concerns(&self, case: &Case) -> bool {
        let writes = self
            .names
            .iter()
            .filter_map(|name| self.catalog.get(name))
            .any(|object| !matches!(object.kind, Kind::View | Kind::ParameterizedView));
        writes
            || case.steps.iter().any(|step| match &step.action {
                Action::Query { sql } | Action::Execute { sql } => self.meets(sql),
                Action::Insert { rows, .. } | Action::Refuse { rows, .. } => match rows {
                    Rows::Select(sql) => self.meets(sql),
                    Rows::Given(_) | Rows::Seed(_) => false,
                },
                Action::States { table } => self.names.contains(table),
                Action::Merge | Action::Advance { .. } | Action::Rebuild => false,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Object;

    fn object(name: &str, kind: Kind, create: &str) -> Object {
        Object {
            name: name.to_owned(),
            kind,
            engine: String::new(),
            columns: Vec::new(),
            sorting_key: Vec::new(),
            select: String::new(),
            triggers: Vec::new(),
            target: (kind == Kind::MaterializedView).then(|| "state".to_owned()),
            create: create.to_owned(),
        }
    }

    fn catalog() -> Catalog {
        let view = Kind::ParameterizedView;
        Catalog {
            objects: vec![
                object(
                    "events",
                    Kind::Table,
                    "CREATE TABLE d.events (a UInt8) ENGINE = Memory",
                ),
                object(
                    "state",
                    Kind::Table,
                    "CREATE TABLE d.state (a UInt8) ENGINE = Memory",
                ),
                object(
                    "trigger",
                    Kind::MaterializedView,
                    "CREATE MATERIALIZED VIEW d.trigger TO d.state AS SELECT a FROM d.events",
                ),
                object(
                    "days",
                    Kind::Table,
                    "CREATE TABLE d.days (a UInt8) ENGINE = Memory",
                ),
                object(
                    "report",
                    Kind::View,
                    "CREATE VIEW d.report AS SELECT a FROM d.state WHERE NOT (a IN (SELECT a FROM d.days))",
                ),
                object(
                    "asked",
                    view,
                    "CREATE VIEW d.asked AS SELECT a FROM d.report WHERE a = {a:UInt8}",
                ),
            ],
        }
    }

    #[test]
    fn a_mistake_reaches_what_is_made_from_it_and_nothing_else() {
        let catalog = catalog();
        let of = |name: &str| {
            let reach = Reach::of(&catalog, name);
            reach.names.into_iter().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(of("events"), "asked events report state trigger");
        assert_eq!(of("state"), "asked report state trigger");
        assert_eq!(of("days"), "asked days report");
        assert_eq!(of("report"), "asked report");
        assert_eq!(of("asked"), "asked");
    }

    #[test]
    fn a_question_that_may_read_anything_is_asked() {
        let catalog = catalog();
        let reach = Reach::of(&catalog, "report");
        assert!(reach.meets("SELECT * FROM asked(a = 1)"));
        assert!(reach.meets("SELECT * FROM merge('d', '.*')"));
        assert!(reach.meets("DESCRIBE asked"));
        assert!(!reach.meets("SELECT * FROM state WHERE a IN (SELECT a FROM events)"));
    }

    #[test]
    fn a_case_is_concerned_by_what_it_asks_and_by_what_its_rows_go_through() {
        let catalog = catalog();
        let case = |query: &str| {
            let text = format!(
                "# True\n\n## insert events\n\n| a |\n|---|\n| 1 |\n\n## query\n\n```sql\n{query}\n```\n"
            );
            Case::parse("a.md".into(), &text).unwrap()
        };
        let concerned =
            |object: &str, query: &str| Reach::of(&catalog, object).concerns(&case(query));
        assert!(concerned("report", "SELECT * FROM asked(a = 1)"));
        assert!(!concerned("report", "SELECT * FROM state"));
        assert!(
            concerned("trigger", "SELECT * FROM days"),
            "its INSERT may be refused"
        );
    }
}
