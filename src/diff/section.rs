//! A section among the changes: a new state, the view that feeds it and the readers that change over to it, or columns of a state, the query
//! that fills them and the readers that show them, are one thing where there are rows, because history has to be made before anybody reads
//! it. Whether they can be carried out as one is known elsewhere.

use std::collections::BTreeSet;

use crate::catalog::{DefinitionKind, references};
use crate::diff::order::{Change, Part};
use crate::diff::shape::{Table, View};
use crate::diff::{QueryChange, Statement, added, name, neutral, object, replacing};
use crate::sql::{header, tokens};

/// Takes the statements of a section out of the changes, in their order; none if there is no such thing, or more than it.
pub(super) fn take(changes: &mut [Change]) -> Vec<Statement> {
    let touched: Vec<&Change> = changes
        .iter()
        .filter(|change| !change.part.is_empty())
        .collect();
    if touched.iter().any(|change| !change.part.only_makes()) {
        return Vec::new();
    }
    let found = find(changes, &touched).or_else(|| find_in_place(changes, &touched));
    let Some(names) = found else {
        return Vec::new();
    };
    let mut ours: Vec<&mut Change> = changes
        .iter_mut()
        .filter(|change| change.new.kind != DefinitionKind::Function)
        .filter(|change| names.contains(&change.new.name))
        .collect();
    // Who reads it changes over last.
    ours.sort_by_key(|change| match change.new.kind {
        DefinitionKind::Table => 0,
        DefinitionKind::MaterializedView => 1,
        _ => 2,
    });
    let mut statements = Vec::new();
    for change in ours {
        let is_new = change.old.is_none();
        for mut statement in std::mem::take(&mut change.part).safe {
            match change.new.kind {
                DefinitionKind::MaterializedView if is_new => {
                    statement.note =
                        Some("where there are rows, history is made by it too".to_owned());
                }
                DefinitionKind::MaterializedView => {
                    statement.note = Some(
                        "where there are rows, what is new in it is filled for them too".to_owned(),
                    );
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
fn find(changes: &[Change], touched: &[&Change]) -> Option<BTreeSet<String>> {
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
    let names = with_readers(changes, touched, state, view)?;
    (names.len() > 2).then_some(names)
}

/// The names of a state that gets columns to which history may be added, of the view that fills them, and of readers.
fn find_in_place(changes: &[Change], touched: &[&Change]) -> Option<BTreeSet<String>> {
    let mut views = touched.iter().copied().filter_map(|view| {
        let old = view.old.as_ref()?;
        let both = [old, &view.new].map(|it| it.kind == DefinitionKind::MaterializedView);
        let (was, is) = (View::read(&old.text)?, View::read(&view.new.text)?);
        let query = QueryChange::of(&was.query, &is.query, "");
        let only_more = !query.elsewhere && query.gone.is_empty() && query.other.is_empty();
        (both == [true; 2] && only_more && !query.added.is_empty() && view.part.safe.len() == 1)
            .then_some((view, is.target?, query.added))
    });
    let ((view, target, filled), None) = (views.next()?, views.next()) else {
        return None;
    };
    let state = changes
        .iter()
        .find(|change| change.new.kind == DefinitionKind::Table && name(&change.new) == target)?;
    let statements = &state.part.safe;
    let only_columns = statements.iter().all(|statement| {
        let head = header(&statement.sql);
        head.commands.iter().all(|it| it.words == "ADD COLUMN") && !head.commands.is_empty()
    });
    let table = object(&state.new.name, &state.new.text)?;
    let fits = table.columns.iter().all(|column| {
        if filled.contains(&column.name) {
            return added(column).is_ok();
        }
        let computed = !column.default.is_empty() && column.default != "DEFAULT";
        table.is_sorted_by(&column.name) || computed || neutral(column).is_ok()
    });
    if !only_columns || !fits || !table.engine.ends_with("AggregatingMergeTree") {
        return None;
    }
    with_readers(changes, touched, state, view)
}

/// The names of a state and its view, if their source says when the server took a row, and of the readers that change with them, if nothing
/// else that changes needs them.
fn with_readers(
    changes: &[Change],
    touched: &[&Change],
    state: &Change,
    view: &Change,
) -> Option<BTreeSet<String>> {
    let source = references(&view.new.text);
    let stamped = changes
        .iter()
        .filter(|change| change.new.name != state.new.name && source.contains(&change.new.name))
        .any(|change| is_stamped(&change.new.text));
    if !stamped {
        return None;
    }
    let mut names = BTreeSet::from([state.new.name.clone(), view.new.name.clone()]);
    for change in touched {
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
    (!others_need).then_some(names)
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
