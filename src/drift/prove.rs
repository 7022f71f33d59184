//! `schema/current/` against the migrations: what leads from these to those, executed on an engine there and back before anybody sees it.

use std::collections::BTreeMap;

use crate::catalog::{DefinitionKind, Definitions, Difference};
use crate::diagnostic::{Diagnostic, Severity};
use crate::diff::{Diff, Refusal, Renames, Statement, Way, columns, diff, differences, listed};
use crate::drift::{Bench, Declared, Error, Step};

/// What leads from the migrations to the files.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What is another, by name; the migrations say how it should be, the files how it is.
    pub differences: Vec<Difference>,
    /// The statements, and what cannot be done.
    pub diff: Diff,
    /// There and back, executed; `None` if something cannot be done.
    pub way: Option<Way>,
    /// The objects whose engine the embedded one does not have, so that it was compared as text.
    pub as_text: Vec<String>,
}

/// Why statements that were found are not to be trusted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unproven {
    /// The engine takes a statement not.
    #[error("the embedded ClickHouse refused a statement that would lead {}:\n{sql}", direction(*.back))]
    Refused {
        /// Whether it is part of the way back.
        back: bool,
        /// The statement.
        sql: String,
        /// What the engine said.
        #[source]
        error: Box<crate::clickhouse::Error>,
    },
    /// What comes out is another than it should be.
    #[error("the statements that were found do not lead {}", direction(*.back))]
    Differs {
        /// Whether it is the way back.
        back: bool,
        /// Where, by name.
        differences: Vec<Difference>,
    },
    /// There is a way there, and none back.
    #[error("what was found cannot be taken back")]
    NoWayBack(Vec<Refusal>),
}

fn direction(back: bool) -> &'static str {
    if back {
        "back to what the migrations add up to"
    } else {
        "to what the files say"
    }
}

/// Finds what leads from the end of the migrations (`steps`) to the files, and executes it on the bench, up and down.
///
/// # Errors
/// [`Error::Invalid`] and [`Error::Statement`] with the place in a file; [`Error::Unproven`] if what was found does not hold.
pub async fn lead(bench: &Bench, steps: &[Step], declared: &Declared) -> Result<Outcome, Error> {
    let new = bench.load_declared(declared).await?;
    let old = bench.replay(steps).await?;
    let renames = renames(declared, &old, &new)?;
    let found = diff(&old, &new, &renames)?;
    let changes = differences(&old, &new);
    let mut outcome = Outcome {
        as_text: as_text(&old, &new),
        differences: changes,
        diff: found,
        way: None,
    };
    if outcome.diff.is_empty() || !outcome.diff.refusals.is_empty() {
        return Ok(outcome);
    }
    let Diff { safe, late, .. } = outcome.diff.clone();
    let middle = execute(bench, &old, &safe, false).await?;
    let end = execute(bench, &middle, &late, false).await?;
    same(&new, &end, false)?;
    stale(bench, declared, &outcome.differences).await?;
    let back_late = back(&end, &middle, &Renames::new())?;
    let again = execute(bench, &end, &back_late, true).await?;
    same(&middle, &again, true)?;
    let back_safe = back(&middle, &old, &inverted(&renames))?;
    let begin = execute(bench, &again, &back_safe, true).await?;
    same(&old, &begin, true)?;
    outcome.way = Some(Way {
        safe,
        late,
        back_late,
        back_safe,
    });
    Ok(outcome)
}

fn as_text(old: &Definitions, new: &Definitions) -> Vec<String> {
    let both = old.iter().chain(new.iter()).filter(|it| it.as_text);
    let mut names: Vec<String> = both.map(|it| it.name.clone()).collect();
    names.sort();
    names.dedup();
    names
}

async fn execute(
    bench: &Bench,
    from: &Definitions,
    statements: &[Statement],
    back: bool,
) -> Result<Definitions, Error> {
    if statements.is_empty() {
        return Ok(from.clone());
    }
    let steps: Vec<Step> = statements
        .iter()
        .map(|statement| Step {
            sql: statement.sql.clone(),
            location: None,
        })
        .collect();
    bench
        .go_on(from, &steps)
        .await
        .map_err(|error| match error {
            Error::Statement { sql, error, .. } => Unproven::Refused { back, sql, error }.into(),
            other => other,
        })
}

fn same(should: &Definitions, is: &Definitions, back: bool) -> Result<(), Unproven> {
    let differences = differences(should, is);
    if differences.is_empty() {
        Ok(())
    } else {
        Err(Unproven::Differs { back, differences })
    }
}

fn back(from: &Definitions, to: &Definitions, renames: &Renames) -> Result<Vec<Statement>, Error> {
    let found = diff(from, to, renames)?;
    if found.refusals.is_empty() {
        Ok([found.safe, found.late].concat())
    } else {
        Err(Unproven::NoWayBack(found.refusals).into())
    }
}

/// The hints that still mean something.
fn renames(declared: &Declared, old: &Definitions, new: &Definitions) -> Result<Renames, Error> {
    let mut renames = Renames::new();
    let mut findings = Vec::new();
    for (object, hints) in &declared.renames {
        let of = |state: &Definitions| state.get(object).map_or_else(Vec::new, columns);
        let (was, is) = (of(old), of(new));
        for (from, (to, place)) in hints {
            if was.contains(to) || was.is_empty() {
                // It was renamed by a migration since, or the table is new.
                continue;
            }
            let message = if is.contains(from) {
                format!(
                    "`{from}` is still a column of `{object}`, so that it cannot have become `{to}`"
                )
            } else if was.contains(from) {
                let of_object: &mut BTreeMap<String, String> =
                    renames.entry(object.clone()).or_default();
                of_object.insert(from.clone(), to.clone());
                continue;
            } else {
                format!("the migrations make no column `{from}` in `{object}`")
            };
            findings.push(
                Diagnostic::new(Severity::Error, "renamed-what", message)
                    .at(Some(place.clone()))
                    .help("name the column that the migrations make, or remove the hint"),
            );
        }
    }
    if findings.is_empty() {
        Ok(renames)
    } else {
        Err(Error::Invalid(findings))
    }
}

fn inverted(renames: &Renames) -> Renames {
    let turned = |names: &BTreeMap<String, String>| {
        names
            .iter()
            .map(|(old, new)| (new.clone(), old.clone()))
            .collect()
    };
    renames
        .iter()
        .map(|(object, names)| (object.clone(), turned(names)))
        .collect()
}

/// A view is read by the list of its columns, which nobody compares with its query; where the two disagree, columns are missing or fail.
async fn stale(
    bench: &Bench,
    declared: &Declared,
    differences: &[Difference],
) -> Result<(), Error> {
    let mut findings = Vec::new();
    for difference in differences {
        let (Difference::Extra(view) | Difference::Different { is: view, .. }) = difference else {
            continue;
        };
        let Some((lists, query)) = listed(view).filter(|_| view.kind == DefinitionKind::View)
        else {
            continue;
        };
        let makes = bench.columns(&query).await?;
        if lists != makes {
            findings.push(
                Diagnostic::new(
                    Severity::Error,
                    "stale-columns",
                    format!(
                        "the columns that view `{}` lists are not those of its query",
                        view.name
                    ),
                )
                .at(declared.place(view).cloned())
                .note(format!("it lists {}", lists.join(", ")))
                .note(format!("its query makes {}", makes.join(", ")))
                .help("correct the list, or leave it out: then the engine makes it"),
            );
        }
    }
    if findings.is_empty() {
        Ok(())
    } else {
        Err(Error::Invalid(findings))
    }
}
