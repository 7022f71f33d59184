//! A migration's text: what is executed, and what only a person may put into force.

use std::fmt::Write as _;

use crate::diff::Statement;

/// There and back, in the order of execution.
#[derive(Clone, Debug, Default)]
pub struct Way {
    /// Destroys nothing.
    pub safe: Vec<Statement>,
    /// A changed definition, for a section of its own.
    pub rebuild: Vec<Statement>,
    /// Destroys data, or needs what does.
    pub late: Vec<Statement>,
    /// Takes `late` back.
    pub back_late: Vec<Statement>,
    /// Takes `safe` back.
    pub back_safe: Vec<Statement>,
}

/// The text of a migration file. What destroys data is commented out unless `allowed`, and with it what takes that back.
#[must_use]
pub fn migration(way: &Way, allowed: bool) -> String {
    let mut text = "-- migrate:up\n".to_owned();
    for statement in &way.safe {
        active(&mut text, statement, true);
    }
    if allowed {
        for statement in &way.late {
            active(&mut text, statement, true);
        }
    } else if !way.late.is_empty() {
        text.push_str(
            "\n-- What follows destroys data and is not executed. If it is meant, take the first `-- ` away from its lines, say why, and do the\n\
             -- same at the beginning of the down section.\n",
        );
        for statement in &way.late {
            commented(&mut text, statement, true);
        }
    }
    if !way.rebuild.is_empty() {
        let up = way.safe.is_empty() && way.late.is_empty();
        text = if up { String::new() } else { text + "\n" };
        text.push_str(
            "-- migrate:rebuild\n\n-- Where there are rows, `apply` makes history by these statements, compares it, and lets readers change over; elsewhere it executes them.\n\
             -- In `-- migrate:up` they would take only what is inserted from then on.\n",
        );
        for statement in &way.rebuild {
            active(&mut text, statement, true);
        }
    }
    text.push_str("\n-- migrate:down\n");
    if !way.late.is_empty() {
        text.push_str("\n-- This brings definitions back, and not the data.\n");
    }
    for statement in &way.back_late {
        if allowed {
            active(&mut text, statement, false);
        } else {
            commented(&mut text, statement, false);
        }
    }
    for statement in &way.back_safe {
        active(&mut text, statement, false);
    }
    text
}

/// What stands above a statement. A down section needs no allowance: `rollback` asks.
fn above(statement: &Statement, up: bool) -> Vec<String> {
    let mut lines = vec![format!(
        "-- {}: {}",
        one_line(&statement.object),
        one_line(&statement.does)
    )];
    lines.extend(
        statement
            .note
            .iter()
            .filter(|_| up)
            .map(|note| format!("-- {note}")),
    );
    if up && let Some(why) = statement.harmless {
        lines.push(format!("-- housewright:allow(destructive) because {why}"));
    }
    lines
}

fn active(text: &mut String, statement: &Statement, up: bool) {
    let mut lines = above(statement, up);
    if up && let Some(what) = &statement.destroys {
        lines.push(format!(
            "-- housewright:allow(destructive) because `diff --allow-destructive` was asked for this: {}",
            one_line(what)
        ));
    }
    let _ = write!(text, "\n{}\n{};\n", lines.join("\n"), statement.sql);
}

/// So that it is in force when the first `-- ` of its lines is gone.
fn commented(text: &mut String, statement: &Statement, up: bool) {
    let mut lines = above(statement, up);
    if up && let Some(what) = &statement.destroys {
        lines.push(format!("-- destroys {}", one_line(what)));
        lines.push("-- housewright:allow(destructive) because …".to_owned());
    }
    let whole = format!("{}\n{};", lines.join("\n"), statement.sql);
    text.push('\n');
    for line in whole.lines() {
        let _ = writeln!(text, "{}", format!("-- {line}").trim_end());
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::DefinitionKind;

    fn statement(sql: &str, destroys: Option<&str>) -> Statement {
        Statement {
            object: "t".to_owned(),
            kind: DefinitionKind::Table,
            does: "something".to_owned(),
            sql: sql.to_owned(),
            destroys: destroys.map(str::to_owned),
            harmless: None,
            note: Some("and a note".to_owned()),
        }
    }

    fn way() -> Way {
        Way {
            safe: vec![statement("ALTER TABLE t ADD COLUMN b UInt8", None)],
            rebuild: Vec::new(),
            late: vec![statement(
                "ALTER TABLE t\n    DROP COLUMN a",
                Some("column `a`"),
            )],
            back_late: vec![statement("ALTER TABLE t ADD COLUMN a UInt8", None)],
            back_safe: vec![statement("ALTER TABLE t DROP COLUMN b", Some("column `b`"))],
        }
    }

    #[test]
    fn what_destroys_data_is_commented_out_and_takes_its_way_back_with_it() {
        insta::assert_snapshot!(migration(&way(), false), @"
        -- migrate:up

        -- t: something
        -- and a note
        ALTER TABLE t ADD COLUMN b UInt8;

        -- What follows destroys data and is not executed. If it is meant, take the first `-- ` away from its lines, say why, and do the
        -- same at the beginning of the down section.

        -- -- t: something
        -- -- and a note
        -- -- destroys column `a`
        -- -- housewright:allow(destructive) because …
        -- ALTER TABLE t
        --     DROP COLUMN a;

        -- migrate:down

        -- This brings definitions back, and not the data.

        -- -- t: something
        -- ALTER TABLE t ADD COLUMN a UInt8;

        -- t: something
        ALTER TABLE t DROP COLUMN b;
        ");
    }

    #[test]
    fn what_is_allowed_says_why() {
        insta::assert_snapshot!(migration(&way(), true), @"
        -- migrate:up

        -- t: something
        -- and a note
        ALTER TABLE t ADD COLUMN b UInt8;

        -- t: something
        -- and a note
        -- housewright:allow(destructive) because `diff --allow-destructive` was asked for this: column `a`
        ALTER TABLE t
            DROP COLUMN a;

        -- migrate:down

        -- This brings definitions back, and not the data.

        -- t: something
        ALTER TABLE t ADD COLUMN a UInt8;

        -- t: something
        ALTER TABLE t DROP COLUMN b;
        ");
    }
}
