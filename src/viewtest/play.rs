//! A case, played on a stage: through every history, question by question.

use std::ops::ControlFlow;
use std::time::Duration;

use crate::catalog::Object;
use crate::clickhouse::{Error, identifier, literal};
use crate::config::TestEntry;
use crate::diagnostic::{Diagnostic, Location, Severity};
use crate::scratch::BuildError;
use crate::sql::Span;
use crate::viewtest::case::{Action, Case, Row};
use crate::viewtest::history::{Arrival, History, Merging, histories};
use crate::viewtest::make::make;
use crate::viewtest::rows::Rows;
use crate::viewtest::snapshot::Answers;
use crate::viewtest::stage::Stage;

/// Why a case could not be played to its end.
#[derive(Debug)]
pub enum Stop {
    /// Something in the case, or in the view it asks, is wrong.
    Finding(Box<Diagnostic>),
    /// The server is not there any more, or will not do what every case needs.
    Broken(BuildError),
}

impl From<BuildError> for Stop {
    fn from(error: BuildError) -> Self {
        Self::Broken(error)
    }
}

/// The answers of one history.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The history.
    pub history: History,
    /// The answers.
    pub answers: Answers,
}

/// A case with its rows made: what the file left out is filled in.
#[derive(Debug)]
pub struct Script<'a> {
    /// The case.
    pub case: &'a Case,
    scenes: Vec<Scene<'a>>,
}

/// What happens at once.
#[derive(Debug)]
enum Scene<'a> {
    /// Rows of one table, of as many steps as follow each other.
    Arrive {
        table: &'a str,
        rows: Vec<Row>,
        /// Where each row stands.
        places: Vec<Location>,
        /// The number of rows of each step.
        steps: Vec<usize>,
        location: &'a Location,
    },
    Other {
        action: &'a Action,
        rows: Vec<Row>,
        heading: &'a str,
        location: &'a Location,
    },
}

impl<'a> Script<'a> {
    /// Makes the rows of a case.
    ///
    /// # Errors
    /// [`Stop`]: a column that the table does not have, a SELECT that is refused, …
    pub async fn of(case: &'a Case, stage: &Stage<'_>, test: &TestEntry) -> Result<Self, Stop> {
        let mut scenes: Vec<Scene<'a>> = Vec::new();
        let mut number = 0;
        for step in &case.steps {
            let location = &step.location;
            let made = match &step.action {
                Action::Insert { table, rows } | Action::Refuse { table, rows } => {
                    let object = stage.catalog.get(table).ok_or_else(|| {
                        finding(
                            "unknown-table",
                            format!("the schema has no table `{table}`"),
                            location,
                        )
                    })?;
                    make(case, stage, test, object, rows, location, &mut number).await?
                }
                _ => (Vec::new(), Vec::new()),
            };
            let (made, stand) = made;
            match (&step.action, scenes.last_mut()) {
                (
                    Action::Insert { table, .. },
                    Some(Scene::Arrive {
                        table: same,
                        rows,
                        places,
                        steps,
                        ..
                    }),
                ) if table == same => {
                    steps.push(made.len());
                    rows.extend(made);
                    places.extend(stand);
                }
                (Action::Insert { table, .. }, _) => scenes.push(Scene::Arrive {
                    table,
                    steps: vec![made.len()],
                    rows: made,
                    places: stand,
                    location,
                }),
                (action, _) => scenes.push(Scene::Other {
                    action,
                    rows: made,
                    heading: &step.heading,
                    location,
                }),
            }
        }
        Ok(Self { case, scenes })
    }

    /// All rows with their table, in order, and whether they are taken or are there to be refused.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&str, &Row, bool)> {
        self.scenes.iter().flat_map(|scene| {
            let (table, rows, taken) = match scene {
                Scene::Arrive { table, rows, .. } => (*table, rows.as_slice(), true),
                Scene::Other {
                    action: Action::Refuse { table, .. },
                    rows,
                    ..
                } => (table.as_str(), rows.as_slice(), false),
                Scene::Other { .. } => ("", [].as_slice(), false),
            };
            rows.iter().map(move |row| (table, row, taken))
        })
    }

    /// A case of rows alone, for checks that have no file.
    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        let rows = self
            .scenes
            .iter()
            .map(|scene| match scene {
                Scene::Arrive { rows, .. } => rows.len(),
                Scene::Other { .. } => 0,
            })
            .max()
            .unwrap_or(0);
        histories(rows, false)
    }

    /// Whether nothing but questions follows the first question.
    fn asks_last(&self) -> bool {
        let changes = |scene: &Scene<'_>| {
            !matches!(
                scene,
                Scene::Other {
                    action: Action::Query { .. } | Action::States { .. },
                    ..
                }
            )
        };
        let first = self.scenes.iter().position(|scene| {
            matches!(
                scene,
                Scene::Other {
                    action: Action::Query { .. },
                    ..
                }
            )
        });
        first.is_none_or(|first| !self.scenes.iter().skip(first).any(changes))
    }

    /// The ways in which the rows can arrive, the simplest first; the same INSERTs are not sent again under another name.
    pub(crate) fn ways(&self, stage: &Stage<'_>) -> Vec<Arrival> {
        let mut arrivals = self.arrivals();
        if stage.catalog.objects.iter().any(Object::deduplicates) {
            arrivals.push(Arrival::Retried);
        }
        let mut done = Vec::new();
        arrivals.retain(|arrival| {
            let way = (
                self.cut(*arrival),
                *arrival == Arrival::Raw,
                arrival.merging(),
            );
            let new = !done.contains(&way);
            done.push(way);
            new
        });
        arrivals
    }

    /// Plays every history, the simplest first, and hands over each reading, until it is told to stop.
    ///
    /// # Errors
    /// [`Stop`].
    pub async fn play(
        &self,
        stage: &mut Stage<'_>,
        each: &mut (dyn FnMut(Reading) -> ControlFlow<()> + Send),
    ) -> Result<(), Stop> {
        for arrival in self.ways(stage) {
            if self.play_one(stage, arrival, each).await?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn cut(&self, arrival: Arrival) -> Vec<Vec<Vec<usize>>> {
        self.scenes
            .iter()
            .filter_map(|scene| match scene {
                Scene::Arrive { steps, .. } => Some(arrival.cut(steps)),
                Scene::Other { .. } => None,
            })
            .collect()
    }

    /// One way of arriving: read as the parts are, and read again when they have merged.
    ///
    /// # Errors
    /// [`Stop`].
    pub async fn play_one(
        &self,
        stage: &mut Stage<'_>,
        arrival: Arrival,
        each: &mut (dyn FnMut(Reading) -> ControlFlow<()> + Send),
    ) -> Result<ControlFlow<()>, Stop> {
        let merging = arrival.merging();
        let first = History { arrival, merging };
        let answers = self.perform(stage, first).await?;
        if each(Reading {
            history: first,
            answers,
        })
        .is_break()
        {
            return Ok(ControlFlow::Break(()));
        }
        let merged = History {
            arrival,
            merging: Merging::All,
        };
        let answers = if self.asks_last() {
            at(self.case_location(), stage.merge().await)?;
            self.ask_again(stage).await?
        } else {
            self.perform(stage, merged).await?
        };
        Ok(each(Reading {
            history: merged,
            answers,
        }))
    }

    fn case_location(&self) -> &Location {
        match self.scenes.first() {
            Some(Scene::Arrive { location, .. } | Scene::Other { location, .. }) => location,
            None => unreachable_location(&self.case.steps),
        }
    }

    async fn ask_again(&self, stage: &Stage<'_>) -> Result<Answers, Stop> {
        let mut answers = Answers::new();
        for scene in &self.scenes {
            if let Scene::Other {
                action: Action::Query { sql },
                heading,
                location,
                ..
            } = scene
            {
                let rows = at(location, stage.query(sql).await)?;
                answers.push(((*heading).to_owned(), rows));
            }
        }
        Ok(answers)
    }

    async fn perform(&self, stage: &mut Stage<'_>, history: History) -> Result<Answers, Stop> {
        stage.clear().await?;
        // What no history changes is asked once.
        let plain = history
            == History {
                arrival: Arrival::Written,
                merging: Merging::Never,
            };
        let mut answers = Answers::new();
        for scene in &self.scenes {
            match scene {
                Scene::Arrive {
                    table,
                    rows,
                    places,
                    steps,
                    location,
                } => {
                    let batches = history.arrival.cut(steps);
                    let half = batches.len() / 2;
                    for (index, numbers) in batches.iter().enumerate() {
                        let batch: Vec<&Row> =
                            numbers.iter().filter_map(|at| rows.get(*at)).collect();
                        let raw = history.arrival == Arrival::Raw;
                        let retry = history.arrival == Arrival::Retried && index % 2 == 1;
                        if let Err(error) = stage.insert(table, &batch, raw, retry).await {
                            let places = numbers.iter().filter_map(|at| places.get(*at));
                            let rows = batch.into_iter().zip(places);
                            return Err(blame(stage, table, rows, location, error).await);
                        }
                        if history.merging == Merging::Half && index + 1 == half {
                            at(location, stage.merge().await)?;
                        }
                    }
                }
                Scene::Other {
                    action,
                    rows,
                    heading,
                    location,
                } => match action {
                    Action::Merge => at(location, stage.merge().await)?,
                    Action::Advance { milliseconds } => {
                        tokio::time::sleep(Duration::from_millis(*milliseconds)).await;
                    }
                    Action::Execute { sql } => at(location, stage.execute(sql).await)?,
                    Action::Rebuild => at(location, stage.rebuild().await)?,
                    Action::Refuse { table, .. } => {
                        if plain {
                            let refused = self.refuse(stage, table, rows, location).await?;
                            answers.push(((*heading).to_owned(), refused));
                        }
                    }
                    Action::States { table } => {
                        if plain {
                            let object = stage.catalog.get(table).ok_or_else(|| {
                                finding(
                                    "unknown-table",
                                    format!("the schema has no table `{table}`"),
                                    location,
                                )
                            })?;
                            let rows = stage.query(&Stage::states(object)).await;
                            answers.push(((*heading).to_owned(), at(location, rows)?));
                        }
                    }
                    Action::Query { sql } => {
                        if history.merging == Merging::All {
                            at(location, stage.merge().await)?;
                        }
                        let rows = at(location, stage.query(sql).await)?;
                        answers.push(((*heading).to_owned(), rows));
                    }
                    Action::Insert { .. } => {}
                },
            }
        }
        Ok(answers)
    }

    /// Sends each row alone; what the server says to each.
    async fn refuse(
        &self,
        stage: &Stage<'_>,
        table: &str,
        rows: &[Row],
        location: &Location,
    ) -> Result<Rows, Stop> {
        let mut answers = Rows {
            columns: vec!["row".to_owned(), "refused with".to_owned()],
            rows: Vec::new(),
        };
        for (index, row) in rows.iter().enumerate() {
            match stage.insert(table, &[row], false, false).await {
                Ok(()) => {
                    return Err(finding(
                        "not-refused",
                        format!("row {} was taken, and should have been refused", index + 1),
                        location,
                    )
                    .into());
                }
                Err(error) => match error.exception() {
                    Some(exception) => answers.rows.push(vec![
                        Some((index + 1).to_string()),
                        Some(exception.name.clone()),
                    ]),
                    None => return Err(Stop::Broken(error.into())),
                },
            }
        }
        Ok(answers)
    }

    /// The rows of the sources that a row of an answer was made from: those that agree with it in the columns of the views' keys.
    ///
    /// # Errors
    /// None: what cannot be found is not shown.
    pub async fn origin(
        &self,
        stage: &Stage<'_>,
        columns: &[String],
        row: &[Option<String>],
    ) -> Option<(String, Rows)> {
        let Some(Scene::Arrive { table, rows, .. }) = self
            .scenes
            .iter()
            .find(|scene| matches!(scene, Scene::Arrive { .. }))
        else {
            return None;
        };
        let source = stage.catalog.get(table)?;
        let keys: Vec<&String> = stage
            .catalog
            .triggers()
            .filter(|(_, of)| of.name == *table)
            .filter_map(|(view, _)| stage.catalog.get(super::stage::target(view)))
            .flat_map(|target| &target.sorting_key)
            .collect();
        let conditions: Vec<String> = columns
            .iter()
            .zip(row)
            .filter(|(column, _)| keys.contains(column) && source.column(column).is_some())
            .map(|(column, value)| match value {
                Some(value) => format!("toString({}) = {}", identifier(column), literal(value)),
                None => format!("isNull({})", identifier(column)),
            })
            .collect();
        let mut shown: Vec<String> = Vec::new();
        for name in rows.iter().flat_map(serde_json::Map::keys) {
            if !shown.contains(name) && source.column(name).is_some() {
                shown.push(name.clone());
            }
        }
        // A column that says the same in every row tells nothing.
        if rows.len() > 1 {
            shown.retain(|name| {
                rows.iter()
                    .any(|row| row.get(name) != rows.first().and_then(|first| first.get(name)))
            });
        }
        if shown.is_empty() {
            return None;
        }
        let list: Vec<String> = shown.iter().map(|name| identifier(name)).collect();
        let filter = if conditions.is_empty() {
            "1".to_owned()
        } else {
            conditions.join(" AND ")
        };
        let sql = format!(
            "SELECT {} FROM {} WHERE {filter} LIMIT 20",
            list.join(", "),
            identifier(table)
        );
        let rows = stage.query(&sql).await.ok()?;
        Some(((*table).to_owned(), rows))
    }
}

/// A case has at least one step.
fn unreachable_location(steps: &[crate::viewtest::case::Step]) -> &Location {
    static NOWHERE: Location = Location {
        path: camino::Utf8PathBuf::new(),
        span: Span { start: 0, end: 0 },
        line: 1,
        column: 1,
    };
    steps.first().map_or(&NOWHERE, |step| &step.location)
}

impl From<Diagnostic> for Stop {
    fn from(finding: Diagnostic) -> Self {
        Self::Finding(Box::new(finding))
    }
}

pub(super) fn finding(code: &'static str, message: String, location: &Location) -> Diagnostic {
    Diagnostic::new(Severity::Error, code, message).at(Some(location.clone()))
}

/// An error of the server becomes a finding at the step that caused it.
fn at<T>(location: &Location, result: Result<T, Error>) -> Result<T, Stop> {
    result.map_err(|error| refused(error, location))
}

pub(super) fn refused(error: Error, location: &Location) -> Stop {
    match error.exception() {
        Some(exception) => finding(
            "refused",
            "ClickHouse refused this step".to_owned(),
            location,
        )
        .note(format!(
            "{} {}: {}",
            exception.code, exception.name, exception.message
        ))
        .into(),
        None => Stop::Broken(error.into()),
    }
}

/// An INSERT was refused: because of which row? The first that is refused alone has its place in the finding.
async fn blame<'r>(
    stage: &Stage<'_>,
    table: &str,
    rows: impl Iterator<Item = (&'r Row, &'r Location)>,
    location: &Location,
    error: Error,
) -> Stop {
    if error.exception().is_some() {
        for (row, place) in rows {
            if let Err(error) = stage.insert(table, &[row], false, false).await {
                return refused(error, place);
            }
        }
    }
    refused(error, location)
}
