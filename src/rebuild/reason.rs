//! Why a changed definition takes the way that it takes. Only words, and pure.

use crate::catalog::Object;
use crate::diff::{QueryChange, added};

/// Why a new state is made beside the old one, and nothing less does.
pub(super) fn why_beside(
    old: Option<(&Object, &Object)>,
    state: &Object,
    view: &Object,
    database: &str,
) -> String {
    let Some((old_state, old_view)) = old else {
        return "no state stands behind these readers yet, and it is to have history".to_owned();
    };
    let list = |names: &[String]| {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        names.join(", ")
    };
    let is = |names: &[String]| if names.len() == 1 { "is" } else { "are" };
    if old_state.sorting_key != state.sorting_key {
        return format!(
            "the sorting key changes from ({}) to ({}), and rows that are merged by one cannot be told apart by another",
            old_state.sorting_key.join(", "),
            state.sorting_key.join(", ")
        );
    }
    if old_state.engine != state.engine {
        return format!(
            "the engine changes from {} to {}",
            old_state.engine, state.engine
        );
    }
    let query = QueryChange::of(&old_view.select, &view.select, database);
    if query.elsewhere {
        return "the view reads, filters or groups otherwise, and history with it".to_owned();
    }
    if !query.other.is_empty() {
        return format!(
            "{} {} made otherwise, and what is in merged rows cannot be made anew from them; where history may keep what it has, MODIFY QUERY does",
            list(&query.other),
            is(&query.other)
        );
    }
    let retyped: Vec<String> = state
        .columns
        .iter()
        .filter(|column| {
            old_state
                .column(&column.name)
                .is_some_and(|old| old.r#type != column.r#type)
        })
        .map(|column| column.name.clone())
        .collect();
    if !retyped.is_empty() {
        return format!("{} {} of another type", list(&retyped), is(&retyped));
    }
    for name in &query.added {
        if let Some(Err(why)) = state.column(name).map(added) {
            return format!("`{name}` cannot be added in place: {why}");
        }
    }
    if !query.added.is_empty() {
        return format!(
            "the section makes a state beside it; {} could be added in place as well (ALTER TABLE {} ADD COLUMN …, ALTER TABLE {} MODIFY QUERY …), without a copy",
            list(&query.added),
            old_state.name,
            old_view.name
        );
    }
    "the section makes a state beside it".to_owned()
}
