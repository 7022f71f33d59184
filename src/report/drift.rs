//! What is another on a target than what was applied there.

use std::fmt::Write as _;

use serde::Serialize;

use crate::catalog::Difference;
use crate::drift::Drift;
use crate::report::{BAD, GOOD, JSON_VERSION, QUIET, STRONG, count, lines, styled};

fn word(difference: &Difference) -> &'static str {
    match difference {
        Difference::Missing(_) => "missing",
        Difference::Extra(_) => "extra",
        Difference::Different { .. } => "different",
    }
}

/// For a person.
#[must_use]
pub fn human(drift: &Drift, target: &str, database: &str) -> String {
    let migrations = count(drift.migrations, "migration");
    let mut text = if drift.differences.is_empty() {
        format!(
            "{database} on {target} is {} that were applied there: {}\n",
            styled(GOOD, format!("what the {migrations} made")),
            count(drift.objects, "object"),
        )
    } else {
        format!(
            "{database} on {target}: {} from what the {migrations} made that were applied there\n",
            count(drift.differences.len(), "difference")
        )
    };
    for difference in &drift.differences {
        let object = difference.object();
        let _ = writeln!(
            text,
            "\n{}  {} {}",
            styled(BAD, word(difference)),
            object.kind.label(),
            styled(STRONG, &object.name)
        );
        match difference {
            Difference::Missing(_) => {
                let _ = writeln!(text, "  a migration made it, and it is not there");
            }
            Difference::Extra(_) => {
                let _ = writeln!(text, "  no migration made it");
            }
            Difference::Different { should, is } => text.push_str(&lines(&should.text, &is.text)),
        }
    }
    if !drift.differences.is_empty() {
        let _ = writeln!(
            text,
            "\n- as the migrations made it, + as it is there\n  undo it by hand, or write it down in a migration and record that with `repair`"
        );
    }
    for object in &drift.as_text {
        let _ = writeln!(
            text,
            "{}",
            styled(
                QUIET,
                format!(
                    "note: the embedded engine cannot make {} {}; its text was compared as it is written",
                    object.kind.label(),
                    object.name
                )
            )
        );
    }
    text
}

#[derive(Serialize)]
struct Json<'a> {
    version: u32,
    target: &'a str,
    database: &'a str,
    migrations: usize,
    objects: usize,
    differences: Vec<JsonDifference<'a>>,
    compared_as_text: Vec<&'a str>,
}

#[derive(Serialize)]
struct JsonDifference<'a> {
    name: &'a str,
    kind: &'a str,
    difference: &'a str,
    should: Option<&'a str>,
    is: Option<&'a str>,
}

/// For a program.
#[must_use]
pub fn json(drift: &Drift, target: &str, database: &str) -> String {
    super::json(&Json {
        version: JSON_VERSION,
        target,
        database,
        migrations: drift.migrations,
        objects: drift.objects,
        differences: drift
            .differences
            .iter()
            .map(|difference| {
                let (should, is) = match difference {
                    Difference::Missing(should) => (Some(should), None),
                    Difference::Extra(is) => (None, Some(is)),
                    Difference::Different { should, is } => (Some(should), Some(is)),
                };
                JsonDifference {
                    name: &difference.object().name,
                    kind: difference.object().kind.label(),
                    difference: word(difference),
                    should: should.map(|it| it.text.as_str()),
                    is: is.map(|it| it.text.as_str()),
                }
            })
            .collect(),
        compared_as_text: drift.as_text.iter().map(|it| it.name.as_str()).collect(),
    })
}
