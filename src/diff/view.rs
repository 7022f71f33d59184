//! What makes one materialized view another while inserts go on, and what does not.

use crate::catalog::{Definition, DefinitionKind};
use crate::diff::order::Part;
use crate::diff::shape::View;
use crate::diff::{Refusal, Statement, remake};

/// What leads from one materialized view to another of the same kind.
pub(super) fn alter(old: &Definition, new: &Definition, was: &View, is: &View, part: &mut Part) {
    let refreshes = new.kind == DefinitionKind::RefreshableView;
    let appends = |view: &View| {
        let refresh = view.refresh.as_deref().unwrap_or_default();
        refresh.split_whitespace().any(|word| word == "APPEND")
    };
    let elsewhere = was.target != is.target || was.storage != is.storage;
    let own = was.target.is_none() || is.target.is_none();
    if elsewhere || appends(was) != appends(is) || own && was.columns != is.columns {
        if refreshes && !own {
            // Its rows are in its target, and the next refresh comes anyway.
            remake(old, new, part);
            return;
        }
        part.refusals.push(Refusal::new(
            new,
            what(was, is),
            if own {
                "the rows that it keeps itself would have to be made anew"
            } else {
                "it cannot be altered, and between DROP and CREATE no insert would reach it"
            },
            format!(
                "put the new one beside it, in files of its own, as in `{}_v2`: its table, the view TO it, and the readers that are to read it; \
                 `diff` makes a rebuild of them, which has history and loses no insert",
                new.name
            ),
        ));
        return;
    }
    let alter = |does: &str, command: String| {
        Statement::new(new, does, format!("ALTER TABLE {} {command}", is.name))
    };
    if was.query != is.query {
        let statement = alter("its query", format!("MODIFY QUERY {}", is.query));
        part.safe.push(if refreshes {
            statement
        } else {
            statement.note(
                "rows that are there keep what they have; `housewright rebuild` makes them anew",
            )
        });
    }
    if was.refresh != is.refresh {
        let refresh = is.refresh.clone().unwrap_or_default();
        let refresh = refresh.trim_end_matches("APPEND").trim_end().to_owned();
        part.safe.push(alter(
            "when it is refreshed",
            format!("MODIFY REFRESH {refresh}"),
        ));
    }
    if was.security != is.security {
        let security = if is.security.is_empty() {
            "SQL SECURITY NONE"
        } else {
            &is.security
        };
        part.safe.push(alter(
            "with whose rights it runs",
            format!("MODIFY {security}"),
        ));
    }
    if was.comment != is.comment {
        let comment = is.comment.as_deref().unwrap_or("''");
        part.safe
            .push(alter("the comment", format!("MODIFY COMMENT {comment}")));
    }
}

fn what(was: &View, is: &View) -> String {
    let shown = |view: &View| match &view.target {
        Some(target) => target.clone(),
        None => "a table of its own".to_owned(),
    };
    if was.target != is.target {
        format!("where it writes, from {} to {}", shown(was), shown(is))
    } else if was.storage != is.storage {
        "engine, keys or settings of its own table".to_owned()
    } else if was.columns != is.columns {
        "the columns of its own table".to_owned()
    } else {
        "whether it appends".to_owned()
    }
}
