//! Two versions of a schema, the same rows: which rows and columns of each view are others.
//!
//! The rows are those of the cases, each case by itself, and generated ones. Both versions get them as written and one INSERT a row, and
//! are asked before anything merges: every view, and what the cases ask of views that have parameters.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use camino::Utf8Path;

use crate::catalog::{Catalog, Kind};
use crate::clickhouse::identifier;
use crate::config::TestEntry;
use crate::diagnostic::Location;
use crate::scratch::{Blueprint, BuildError};
use crate::sql::{Span, tokens};
use crate::viewtest::case::{Action, Case, Rows as Given, Step};
use crate::viewtest::history::Arrival;
use crate::viewtest::invariance::{GENERATED, describe, rows};
use crate::viewtest::play::{Script, Stop};
use crate::viewtest::rows::{Difference, Rows, compare};
use crate::viewtest::shrink::story;
use crate::viewtest::snapshot::Answers;
use crate::viewtest::stage::{Stage, Theatre, target};

/// Events of the generator.
const EVENTS: &str = "300";
/// Some mistakes show within a block only, others only between blocks.
const WAYS: [Arrival; 2] = [Arrival::Written, Arrival::Single];

/// What changes.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The views and tables that both versions have.
    pub subjects: Vec<Subject>,
    /// Views that one version alone has: its name, and whether it is new.
    pub alone: Vec<(String, bool)>,
    /// Cases that one version could not play, and why.
    pub unplayed: Vec<(String, String)>,
    /// How many sets of rows were compared.
    pub stories: usize,
}

/// A view in both versions.
#[derive(Debug, Default)]
pub struct Subject {
    /// Its name.
    pub name: String,
    /// Rows that were compared, of the newer version, in all arrivals.
    pub rows: usize,
    /// Columns that the newer version does not have any more.
    pub columns_gone: Vec<String>,
    /// Columns that the older version did not have.
    pub columns_new: Vec<String>,
    /// Every row that changes, in the columns that both versions have.
    pub changes: Vec<Change>,
    /// The columns that say which row it is.
    keys: Vec<String>,
}

/// A row that changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The case whose rows it comes from, and what was asked if that is not the whole view.
    pub case: String,
    /// The columns that both versions have.
    pub columns: Vec<String>,
    /// The places of those that say which row it is; all that do not change if the view has no key.
    pub keys: Vec<usize>,
    /// The row; what the older version says is expected.
    pub row: Difference,
}

impl Outcome {
    /// Whether nothing changes.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.alone.is_empty()
            && self.unplayed.is_empty()
            && self.subjects.iter().all(Subject::is_same)
    }
}

impl Outcome {
    /// What changes in the answers to one arrival of a story's rows.
    fn add(
        &mut self,
        story: &str,
        keys: &[String],
        questions: &[Question],
        was: &Answers,
        is: &Answers,
    ) {
        for (question, (heading, is)) in questions.iter().zip(is) {
            let Some((_, was)) = was.iter().find(|(asked, _)| asked == heading) else {
                continue;
            };
            let case = if question.part.is_empty() {
                story.to_owned()
            } else {
                format!("{story}, {}", question.part)
            };
            let known = self
                .subjects
                .iter()
                .position(|subject| subject.name == question.subject);
            let at = known.unwrap_or_else(|| {
                self.subjects.push(Subject {
                    name: question.subject.clone(),
                    keys: keys.to_owned(),
                    ..Subject::default()
                });
                self.subjects.len() - 1
            });
            if let Some(subject) = self.subjects.get_mut(at) {
                subject.add(&case, was, is);
            }
        }
    }
}

impl Change {
    /// The places of the columns that change, if the row is in both versions.
    #[must_use]
    pub fn changed(&self) -> Vec<usize> {
        if self.row.expected.is_none() || self.row.found.is_none() {
            return Vec::new();
        }
        (0..self.columns.len())
            .filter(|at| self.row.differs(*at))
            .collect()
    }
}

/// A question to a version.
#[derive(Clone, Debug)]
struct Question {
    subject: String,
    /// What is asked, if that is not the whole subject.
    part: String,
    sql: String,
}

/// Compares two versions. `states`: the tables that materialized views keep are asked too.
///
/// # Errors
/// [`BuildError`]: a version could not be built, or the server went away.
pub async fn compare_versions(
    theatre: &Theatre,
    before: &Blueprint,
    after: &Blueprint,
    test: &TestEntry,
    cases: &[Case],
    states: bool,
) -> Result<Outcome, BuildError> {
    let mut old = Stage::open(theatre, before).await?;
    let result = match Stage::open(theatre, after).await {
        Ok(mut new) => {
            let result = on_stages(&mut old, &mut new, test, cases, states).await;
            new.close().await;
            result
        }
        Err(error) => Err(error),
    };
    old.close().await;
    result
}

async fn on_stages<'a>(
    old: &mut Stage<'a>,
    new: &mut Stage<'a>,
    test: &TestEntry,
    cases: &[Case],
    states: bool,
) -> Result<Outcome, BuildError> {
    let (before, after) = (subjects(&old.catalog), subjects(&new.catalog));
    let mut outcome = Outcome::default();
    for (of, others, is_new) in [(&before, &after, false), (&after, &before, true)] {
        let alone = of.iter().filter(|name| !others.contains(name));
        outcome
            .alone
            .extend(alone.map(|name| (name.clone(), is_new)));
    }
    let both: Vec<String> = after
        .into_iter()
        .filter(|name| before.contains(name))
        .collect();
    let mut stories: Vec<Case> = cases.to_vec();
    stories.push(seed(new).await?);
    for story in stories {
        let mut answers = Vec::new();
        for stage in [&mut *old, &mut *new] {
            let questions = questions(&story, &stage.catalog, &both, states);
            match play(&story, &questions, stage, test).await {
                Ok(played) => answers.push((questions, played)),
                Err(Stop::Broken(error)) => return Err(error),
                Err(Stop::Finding(finding)) => {
                    let version = if answers.is_empty() { "before" } else { "now" };
                    let why = format!("{version}: {}", describe(&finding));
                    outcome.unplayed.push((story.name.clone(), why));
                    break;
                }
            }
        }
        let [(_, was), (questions, is)] = answers.as_slice() else {
            continue;
        };
        outcome.stories += 1;
        let keys = keys(&new.catalog);
        for (was, is) in was.iter().zip(is) {
            outcome.add(&story.name, &keys, questions, was, is);
        }
    }
    outcome
        .subjects
        .sort_by(|one, other| one.name.cmp(&other.name));
    Ok(outcome)
}

impl Subject {
    /// Whether nothing changes.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.changes.is_empty() && self.columns_gone.is_empty() && self.columns_new.is_empty()
    }

    /// For each column that changes, in how many rows; in the order of the columns.
    #[must_use]
    pub fn columns(&self) -> Vec<(&str, usize)> {
        let mut columns: Vec<(&str, usize)> = Vec::new();
        for change in &self.changes {
            let changed = change.changed();
            for (at, column) in change.columns.iter().enumerate() {
                let number = usize::from(changed.contains(&at));
                match columns.iter_mut().find(|(name, _)| name == column) {
                    Some((_, rows)) => *rows += number,
                    None => columns.push((column, number)),
                }
            }
        }
        columns.retain(|(_, rows)| *rows > 0);
        columns
    }

    /// Rows that only the older version has, and rows that only the newer one has.
    #[must_use]
    pub fn rows_gone_and_new(&self) -> (usize, usize) {
        let count = |which: fn(&Difference) -> bool| {
            self.changes
                .iter()
                .filter(|change| which(&change.row))
                .count()
        };
        (
            count(|row| row.found.is_none()),
            count(|row| row.expected.is_none()),
        )
    }

    fn add(&mut self, case: &str, was: &Rows, is: &Rows) {
        let missing = |of: &Rows, from: &Rows| -> Vec<String> {
            of.columns
                .iter()
                .filter(|column| !from.columns.contains(column))
                .cloned()
                .collect()
        };
        self.columns_gone = missing(was, is);
        self.columns_new = missing(is, was);
        self.rows += is.rows.len();
        let common: Vec<String> = is
            .columns
            .iter()
            .filter(|column| was.columns.contains(column))
            .cloned()
            .collect();
        let keys: Vec<usize> = (0..common.len())
            .filter(|at| {
                common
                    .get(*at)
                    .is_some_and(|column| self.keys.contains(column))
            })
            .collect();
        let (was, is) = (only(was, &common), only(is, &common));
        for row in pair(&was, &is, &keys) {
            let keys = if keys.is_empty() && row.expected.is_some() && row.found.is_some() {
                (0..common.len()).filter(|at| !row.differs(*at)).collect()
            } else if keys.is_empty() {
                (0..common.len()).collect()
            } else {
                keys.clone()
            };
            let change = Change {
                case: case.to_owned(),
                columns: common.clone(),
                keys,
                row,
            };
            // Both ways of arriving show most changes alike.
            if !self.changes.contains(&change) {
                self.changes.push(change);
            }
        }
    }
}

/// Rows of one key belong together; where keys are not unique, or there are none, those that are most alike.
fn pair(was: &Rows, is: &Rows, keys: &[usize]) -> Vec<Difference> {
    let by_key = |rows: &Rows| {
        let mut found = BTreeMap::new();
        for row in &rows.rows {
            let key: Vec<Option<String>> =
                keys.iter().filter_map(|at| row.get(*at).cloned()).collect();
            if keys.is_empty() || found.insert(key, row.clone()).is_some() {
                return None;
            }
        }
        Some(found)
    };
    let (Some(mut was_by_key), Some(is_by_key)) = (by_key(was), by_key(is)) else {
        return compare(was, is);
    };
    let mut differences = Vec::new();
    for (key, found) in is_by_key {
        let expected = was_by_key.remove(&key);
        if expected.as_ref() != Some(&found) {
            differences.push(Difference {
                expected,
                found: Some(found),
            });
        }
    }
    differences.extend(was_by_key.into_values().map(|row| Difference {
        expected: Some(row),
        found: None,
    }));
    differences
}

/// Some columns of rows.
fn only(rows: &Rows, columns: &[String]) -> Rows {
    let places: Vec<usize> = columns
        .iter()
        .filter_map(|column| rows.columns.iter().position(|name| name == column))
        .collect();
    Rows {
        columns: columns.to_vec(),
        rows: rows
            .rows
            .iter()
            .map(|row| {
                places
                    .iter()
                    .filter_map(|at| row.get(*at).cloned())
                    .collect()
            })
            .collect(),
    }
}

/// The columns by which the tables that triggers keep are sorted: those of their names say which row of a view it is.
fn keys(catalog: &Catalog) -> Vec<String> {
    catalog
        .triggers()
        .filter_map(|(view, _)| catalog.get(target(view)))
        .flat_map(|target| target.sorting_key.iter().cloned())
        .collect()
}

/// The views, and the tables that triggers keep.
fn subjects(catalog: &Catalog) -> Vec<String> {
    let views = catalog
        .objects
        .iter()
        .filter(|object| matches!(object.kind, Kind::View | Kind::ParameterizedView))
        .map(|view| view.name.as_str());
    let mut names: Vec<String> = views
        .chain(catalog.triggers().map(|(view, _)| target(view)))
        .map(str::to_owned)
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// What a version is asked after the rows of a story have arrived.
fn questions(story: &Case, catalog: &Catalog, both: &[String], states: bool) -> Vec<Question> {
    let mut questions = Vec::new();
    for object in catalog
        .objects
        .iter()
        .filter(|object| both.contains(&object.name))
    {
        let whole = |sql: String| Question {
            subject: object.name.clone(),
            part: String::new(),
            sql,
        };
        let name = identifier(&object.name);
        match object.kind {
            Kind::View => questions.push(whole(format!("SELECT * FROM {name}"))),
            Kind::ParameterizedView => questions.extend(story.steps.iter().filter_map(|step| {
                let Action::Query { sql } = &step.action else {
                    return None;
                };
                let names_it = tokens(sql)
                    .any(|token| token.span.of(sql).trim_matches(['`', '"']) == object.name);
                names_it.then(|| Question {
                    subject: object.name.clone(),
                    part: step.heading.clone(),
                    sql: sql.clone(),
                })
            })),
            _ if states => questions.push(whole(Stage::states(object))),
            _ => {}
        }
    }
    questions
}

/// Plays a story without what it asks itself, and asks other questions.
async fn play(
    story: &Case,
    questions: &[Question],
    stage: &mut Stage<'_>,
    test: &TestEntry,
) -> Result<Vec<Answers>, Stop> {
    let location = Location {
        path: story.path.clone(),
        span: Span::default(),
        line: 1,
        column: 1,
    };
    let mut case = story.clone();
    case.steps.retain(|step| {
        !matches!(
            step.action,
            Action::Query { .. } | Action::States { .. } | Action::Refuse { .. }
        )
    });
    case.steps.extend(questions.iter().map(|question| Step {
        action: Action::Query {
            sql: question.sql.clone(),
        },
        heading: format!("{} {}", question.subject, question.part),
        location: location.clone(),
    }));
    let script = Script::of(&case, stage, test).await?;
    let mut answers = Vec::new();
    for way in WAYS {
        let _ = script
            .play_one(stage, way, &mut |reading| {
                answers.push(reading.answers);
                ControlFlow::Break(())
            })
            .await?;
    }
    Ok(answers)
}

/// Generated rows: tracking events where the schema has their table, else rows that are made to collide.
async fn seed(stage: &mut Stage<'_>) -> Result<Case, BuildError> {
    let tracks = stage.catalog.get("events").is_some_and(|events| {
        ["project_id", "event_id", "anonymous_id", "source_rule_id"]
            .iter()
            .all(|column| events.column(column).is_some())
    });
    let mut generated = if tracks {
        let mut empty = story(&Vec::new(), &[]);
        empty.steps.push(Step {
            action: Action::Insert {
                table: "events".to_owned(),
                rows: Given::Seed(vec![("events".to_owned(), EVENTS.to_owned())]),
            },
            heading: "insert events".to_owned(),
            location: Location {
                path: Utf8Path::new(GENERATED).to_owned(),
                span: Span::default(),
                line: 1,
                column: 1,
            },
        });
        empty
    } else {
        story(&rows(stage, 1, &mut Vec::new()).await?, &[])
    };
    GENERATED.clone_into(&mut generated.name);
    Ok(generated)
}
