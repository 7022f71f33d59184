//! A changed definition among the changes: a new state, the view that feeds it and the readers that change over to it are one thing where
//! there are rows, because history has to be made before anybody reads it. Whether they can be carried out as one is known elsewhere.

use std::collections::BTreeSet;

use crate::catalog::{DefinitionKind, references};
use crate::diff::order::{Change, Part};
use crate::diff::shape::{Table, View};
use crate::diff::{Statement, name, replacing};
use crate::sql::tokens;

/// Takes the statements of a changed definition out of the changes, in their order; none if there is no such thing, or more than it.
pub(super) fn take(changes: &mut [Change]) -> Vec<Statement> {
    let Some(names) = find(changes) else {
        return Vec::new();
    };
    let ours = changes
        .iter_mut()
        .filter(|change| change.new.kind != DefinitionKind::Function)
        .filter(|change| names.contains(&change.new.name));
    let mut statements = Vec::new();
    for change in ours {
        let is_new = change.old.is_none();
        for mut statement in std::mem::take(&mut change.part).safe {
            match change.new.kind {
                DefinitionKind::MaterializedView => {
                    statement.note =
                        Some("where there are rows, history is made by it too".to_owned());
                }
                DefinitionKind::Table => {}
                _ if is_new => statement.sql = replacing(&statement.sql),
                _ => {}
            }
            statements.push(statement);
        }
    }
    statements
}

/// The names of state, view and readers.
fn find(changes: &[Change]) -> Option<BTreeSet<String>> {
    let touched: Vec<&Change> = changes
        .iter()
        .filter(|change| !change.part.is_empty())
        .collect();
    if touched.iter().any(|change| !change.part.only_makes()) {
        return None;
    }
    let created = |kind: DefinitionKind| {
        let touched = touched.iter().copied();
        touched.filter(move |change| change.old.is_none() && change.new.kind == kind)
    };
    let mut pairs = created(DefinitionKind::MaterializedView).filter_map(|view| {
        let target = View::read(&view.new.text)?.target?;
        let state = created(DefinitionKind::Table).find(|state| name(&state.new) == target)?;
        Some((state, view))
    });
    let ((state, view), None) = (pairs.next()?, pairs.next()) else {
        return None;
    };
    let source = references(&view.new.text);
    let stamped = changes
        .iter()
        .filter(|change| change.new.name != state.new.name && source.contains(&change.new.name))
        .any(|change| is_stamped(&change.new.text));
    if !stamped {
        return None;
    }
    let mut names = BTreeSet::from([state.new.name.clone(), view.new.name.clone()]);
    for change in &touched {
        let was_view = change.old.as_ref().is_none_or(|old| is_reader(old.kind));
        let reads = references(&change.new.text).contains(&state.new.name);
        if was_view && is_reader(change.new.kind) && reads {
            names.insert(change.new.name.clone());
        }
    }
    // What else changes would come before it, so it must not need it.
    let others_need = touched
        .iter()
        .filter(|change| !names.contains(&change.new.name))
        .any(|change| !references(&change.new.text).is_disjoint(&names));
    (names.len() > 2 && !others_need).then_some(names)
}

fn is_reader(kind: DefinitionKind) -> bool {
    matches!(
        kind,
        DefinitionKind::View | DefinitionKind::ParameterizedView
    )
}

/// Whether exactly one column of a table says when the server took a row.
fn is_stamped(text: &str) -> bool {
    let says = |expression: &str| {
        tokens(expression).any(|token| {
            let word = token.span.of(expression);
            word.eq_ignore_ascii_case("now") || word.eq_ignore_ascii_case("now64")
        })
    };
    Table::read(text).is_some_and(|table| {
        let stamps = table.columns.iter().filter(|column| {
            column.r#type.starts_with("DateTime")
                && matches!(&column.default, Some(("MATERIALIZED", expression)) if says(expression))
        });
        stamps.count() == 1
    })
}

impl Part {
    fn is_empty(&self) -> bool {
        self.safe.is_empty() && self.refusals.is_empty() && self.only_makes()
    }

    /// Whether nothing is taken away.
    fn only_makes(&self) -> bool {
        self.end.is_empty() && self.late.is_empty() && self.last.is_empty()
    }
}
