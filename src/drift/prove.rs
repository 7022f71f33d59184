//! `schema/current/` against the migrations: what leads from these to those, executed on an engine there and back before anybody sees it.

use std::collections::BTreeMap;

use crate::catalog::{DefinitionKind, Definitions, Difference};
use crate::diagnostic::{Diagnostic, Severity};
use crate::diff::{Diff, Refusal, Renames, Statement, Way, columns, diff, differences, listed};
use crate::drift::{Bench, Declared, Error, Renamed, Step};

/// What leads from the migrations to the files.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What is another, by name; the migrations say how it should be, the files how it is.
    pub differences: Vec<Difference>,
    /// The objects that have a new name: new → old.
    pub renamed: BTreeMap<String, String>,
    /// What the files say.
    pub files: Definitions,
    /// What there is when all was executed that destroys nothing.
    pub middle: Definitions,
    /// What there is when all was executed.
    pub end: Definitions,
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
    let called = renames.of(&old, &new);
    let mut changes = differences(&called, &new);
    for name in renames.objects.values() {
        let only = !changes.iter().any(|it| it.object().name == *name);
        if let (true, Some(should), Some(is)) = (only, called.get(name), new.get(name)) {
            let (should, is) = (should.clone(), is.clone());
            changes.push(Difference::Different { should, is });
        }
    }
    changes.sort_by(|a, b| a.object().name.cmp(&b.object().name));
    let back_names = renames.inverted();
    let mut outcome = Outcome {
        as_text: as_text(&old, &new),
        differences: changes,
        renamed: back_names.objects.clone(),
        files: new.clone(),
        middle: old.clone(),
        end: old.clone(),
        diff: found,
        way: None,
    };
    if outcome.diff.is_empty() || !outcome.diff.refusals.is_empty() {
        return Ok(outcome);
    }
    let Diff {
        safe,
        rebuild,
        late,
        ..
    } = outcome.diff.clone();
    let middle = execute(bench, &old, &[&*safe, &*rebuild].concat(), false).await?;
    let end = execute(bench, &middle, &late, false).await?;
    same(&new, &end, false)?;
    stale(bench, declared, &outcome.differences).await?;
    let back_late = back(&end, &middle, &Renames::default())?;
    let again = execute(bench, &end, &back_late, true).await?;
    same(&middle, &again, true)?;
    let back_safe = back(&middle, &old, &back_names)?;
    let begin = execute(bench, &again, &back_safe, true).await?;
    same(&old, &begin, true)?;
    outcome.middle = middle;
    outcome.end = end;
    outcome.way = Some(Way {
        safe,
        rebuild,
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
        Ok([found.safe, found.rebuild, found.late].concat())
    } else {
        Err(Unproven::NoWayBack(found.refusals).into())
    }
}

/// The hints that still mean something; those that can mean nothing, or two things, are findings.
fn renames(declared: &Declared, old: &Definitions, new: &Definitions) -> Result<Renames, Error> {
    let mut renames = Renames::default();
    let mut findings = Vec::new();
    let (of_objects, of_columns): (Vec<&Renamed>, Vec<&Renamed>) =
        declared.renames.iter().partition(|it| it.column.is_none());
    for hint in of_objects {
        let has = |state: &Definitions, name: &str| state.get(name).is_some();
        let kind = |state: &Definitions, name: &str| state.get(name).map(|it| it.kind.label());
        let known = Known {
            was_old: has(old, &hint.was),
            was_new: has(old, &hint.object),
            is_old: has(new, &hint.was),
            exchanged: declared.renames.iter().any(|other| {
                other.column.is_none() && other.object == hint.was && other.was == hint.object
            }),
        };
        let twice = renames.objects.contains_key(&hint.was);
        let (was, is) = (kind(old, &hint.was), kind(new, &hint.object));
        let verdict = match known.judge(&hint.was, &hint.object, "the migrations") {
            Ok(true) if twice => Err(already(&hint.was)),
            Ok(true) if was != is => Err((
                format!(
                    "`{}` was a {}, and `{}` is a {}",
                    hint.was,
                    was.unwrap_or_default(),
                    hint.object,
                    is.unwrap_or("function")
                ),
                "only an object of the same kind has another name; remove the hint, and one goes and the other is made",
            )),
            other => other,
        };
        match verdict {
            Ok(true) => {
                renames
                    .objects
                    .insert(hint.was.clone(), hint.object.clone());
            }
            Ok(false) => {}
            Err(said) => findings.push(finding(hint, said)),
        }
    }
    for hint in of_columns {
        let name = hint.column.as_deref().unwrap_or_default();
        let earlier = renames.objects.iter().find(|(_, is)| **is == hint.object);
        let earlier = earlier.map_or(&hint.object, |(was, _)| was);
        let Some(was) = old.get(earlier).map(columns).filter(|it| !it.is_empty()) else {
            // The table is new.
            continue;
        };
        let is = new.get(&hint.object).map_or_else(Vec::new, columns);
        let known = Known {
            was_old: was.contains(&hint.was),
            was_new: was.iter().any(|it| it == name),
            is_old: is.contains(&hint.was),
            exchanged: declared.renames.iter().any(|other| {
                other.object == hint.object
                    && other.column.as_ref() == Some(&hint.was)
                    && other.was == name
            }),
        };
        let place = format!("the migrations' `{earlier}`");
        let of_object: &mut BTreeMap<String, String> =
            renames.columns.entry(hint.object.clone()).or_default();
        match known.judge(&hint.was, name, &place) {
            Ok(true) if of_object.contains_key(&hint.was) => {
                findings.push(finding(hint, already(&hint.was)));
            }
            Ok(true) => {
                of_object.insert(hint.was.clone(), name.to_owned());
            }
            Ok(false) => {}
            Err(said) => findings.push(finding(hint, said)),
        }
    }
    renames.columns.retain(|_, names| !names.is_empty());
    if findings.is_empty() {
        Ok(renames)
    } else {
        Err(Error::Invalid(findings))
    }
}

/// A message, and what to do.
type Said = (String, &'static str);

fn finding(hint: &Renamed, (message, help): Said) -> Diagnostic {
    Diagnostic::new(Severity::Error, "renamed-what", message)
        .at(Some(hint.place.clone()))
        .help(help)
}

fn already(was: &str) -> Said {
    (
        format!("another hint says too that it was `{was}`"),
        "keep one of the two",
    )
}

/// What there is of an old and a new name.
struct Known {
    /// The migrations make the old name.
    was_old: bool,
    /// They make the new one.
    was_new: bool,
    /// The files still have the old one.
    is_old: bool,
    /// Another hint says the contrary.
    exchanged: bool,
}

impl Known {
    /// Whether something gets a new name; not, if a migration gave it since.
    fn judge(&self, was: &str, is: &str, place: &str) -> Result<bool, Said> {
        match (self.was_old, self.was_new) {
            (false, true) => Ok(false),
            (false, false) => Err((
                format!("there is no `{was}` in {place}"),
                "name what the migrations make, or remove the hint",
            )),
            (true, true) if self.exchanged => Err((
                format!(
                    "`{was}` and `{is}` would exchange their names, and it cannot be told whether they did already"
                ),
                "give one of them a third name in a migration of its own, and the right ones in the next",
            )),
            (true, _) if self.is_old => Err((
                format!("`{was}` is still there, so that it cannot have become `{is}`"),
                "name what the migrations make and the files do not have, or remove the hint",
            )),
            (true, true) => Err((
                format!("`{is}` is in {place} already, so that `{was}` cannot become it"),
                "drop or rename that one in a migration of its own first; or remove the hint",
            )),
            (true, false) => Ok(true),
        }
    }
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
