//! Many rows, and what the schema answers about them: a second schema that answers the same is the same, as far as anybody can tell.
//!
//! The rows are bred from the cases' ([`Breed`]); the questions are all that readers can ask: the rows of every view, what the cases ask
//! of anything else, and which rows are refused.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::catalog::Kind;
use crate::clickhouse::{Error, identifier};
use crate::config::TestEntry;
use crate::scratch::BuildError;
use crate::sql::tokens;
use crate::viewtest::breed::Breed;
use crate::viewtest::case::{Action, Case, Row};
use crate::viewtest::history::{Arrival, History, Merging};
use crate::viewtest::play::{Script, Stop};
use crate::viewtest::reach::Reach;
use crate::viewtest::rows::{Difference, Rows, compare};
use crate::viewtest::stage::Stage;

/// Rows that come in large INSERTs, of each table.
const MANY: usize = 1000;
/// Rows that come in few, besides those with one strange value each.
const FEW: usize = 20;
/// How many of them come in one INSERT.
const PIECE: usize = 8;
/// Rows that are held against each other to find an example.
const CLOSE: usize = 20;

/// The rows of one answer, or the name of the server's error.
type Answer = Result<Rows, String>;

/// The rows, and what the original answers.
#[derive(Debug)]
pub(crate) struct Sample {
    herds: Vec<Herd>,
    questions: Vec<String>,
    readings: Vec<Reading>,
}

/// The rows of a table.
#[derive(Debug)]
struct Herd {
    table: String,
    plain: Vec<Row>,
    many: Vec<Row>,
    /// With one strange value each.
    few: Vec<Row>,
    /// Those that are not taken.
    refused: Vec<Row>,
}

/// How they come.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// A few at once; those that are refused come alone.
    Few,
    /// Many at once.
    Many(Arrival),
}

const WAYS: [Way; 3] = [
    Way::Many(Arrival::Written),
    Way::Few,
    Way::Many(Arrival::Shuffled(1)),
];

#[derive(Debug)]
struct Reading {
    way: String,
    answers: Vec<(String, Answer)>,
}

/// A row that tells a mutant from the original.
#[derive(Clone, Debug)]
pub struct Example {
    /// How the rows came.
    pub way: String,
    /// What was asked.
    pub question: String,
    /// The columns of the answer.
    pub columns: Vec<String>,
    /// The row of the original, and what it became.
    pub row: Difference,
    /// Where one of the two is refused: the names of the errors.
    pub errors: Option<(Option<String>, Option<String>)>,
}

impl Sample {
    /// Breeds the rows, and asks the original.
    ///
    /// # Errors
    /// [`BuildError`]: the server went away.
    pub(crate) async fn of(
        cases: &[Case],
        stage: &mut Stage<'_>,
        test: &TestEntry,
    ) -> Result<Self, BuildError> {
        let mut parents: BTreeMap<String, Vec<Row>> = BTreeMap::new();
        let mut strange: BTreeMap<String, Vec<Row>> = BTreeMap::new();
        for case in cases {
            let script = match Script::of(case, stage, test).await {
                Ok(script) => script,
                Err(Stop::Finding(_)) => continue,
                Err(Stop::Broken(error)) => return Err(error),
            };
            for (table, row, taken) in script.rows() {
                let rows = if taken { &mut parents } else { &mut strange };
                rows.entry(table.to_owned()).or_default().push(row.clone());
            }
        }
        let mut sample = Self {
            herds: Vec::new(),
            questions: questions(cases, stage),
            readings: Vec::new(),
        };
        stage.clear().await?;
        for (table, parents) in parents {
            let Some(object) = stage.catalog.get(&table) else {
                continue;
            };
            let none = Vec::new();
            let mut breed = Breed::new(object, &parents, strange.get(&table).unwrap_or(&none));
            let mut strange = breed.one_by_one();
            strange.extend(breed.rows(FEW));
            let (mut few, mut refused) = (Vec::new(), Vec::new());
            for row in strange {
                if answered(stage.insert(&table, &[&row], false, false).await)?.is_ok() {
                    few.push(row);
                } else {
                    refused.push(row);
                }
            }
            let taken: Vec<Row> = parents.iter().chain(&few).cloned().collect();
            breed.keep(&taken);
            let many = takes(stage, &table, breed.rows(MANY)).await?;
            sample.herds.push(Herd {
                plain: parents.into_iter().take(3).collect(),
                table,
                many,
                few,
                refused,
            });
        }
        let mut readings = Vec::new();
        let questions: Vec<&String> = sample.questions.iter().collect();
        for way in WAYS {
            let _ = sample
                .read(stage, way, &questions, &mut |reading| {
                    readings.push(reading);
                    ControlFlow::Continue(())
                })
                .await?;
        }
        sample.readings = readings;
        sample.steady();
        Ok(sample)
    }

    /// Keeps what is asked again and answered the same: what depends on the moment or on the order of rows tells nothing.
    fn steady(&mut self) {
        let Some(first) = self.readings.first() else {
            return;
        };
        let many = |reading: &&Reading| {
            reading.way != Way::Few.name(false) && reading.way != Way::Few.name(true)
        };
        let steady: Vec<String> = first
            .answers
            .iter()
            .filter(|(question, answer)| {
                self.readings.iter().filter(many).all(|reading| {
                    reading
                        .answers
                        .iter()
                        .any(|(asked, other)| asked == question && other == answer)
                })
            })
            .map(|(question, _)| question.clone())
            .collect();
        self.questions.retain(|question| steady.contains(question));
        for reading in &mut self.readings {
            reading.answers.retain(|(question, _)| {
                steady.contains(question) || question.starts_with("INSERT INTO ")
            });
        }
    }

    /// What the server says if it refuses every plain row: a schema that takes nothing.
    pub(crate) async fn refusal(&self, stage: &Stage<'_>) -> Result<Option<String>, BuildError> {
        let mut said = None;
        for herd in &self.herds {
            for row in &herd.plain {
                match stage.insert(&herd.table, &[row], false, false).await {
                    Ok(()) => return Ok(None),
                    Err(error) => match error.exception() {
                        Some(exception) => {
                            said = Some(format!("{}: {}", exception.name, exception.message));
                        }
                        None => return Err(error.into()),
                    },
                }
            }
        }
        Ok(said)
    }

    /// The first row that tells another schema from the original.
    ///
    /// # Errors
    /// [`BuildError`]: the server went away.
    pub(crate) async fn tell(
        &self,
        stage: &mut Stage<'_>,
        reach: &Reach<'_>,
    ) -> Result<Option<Example>, BuildError> {
        let met = |question: &&String| reach.meets(question);
        let questions: Vec<&String> = self.questions.iter().filter(met).collect();
        let mut original = self.readings.iter();
        let mut found = None;
        for way in WAYS {
            let told = self
                .read(stage, way, &questions, &mut |reading| {
                    found = original
                        .next()
                        .and_then(|original| example(original, &reading));
                    if found.is_some() {
                        ControlFlow::Break(())
                    } else {
                        ControlFlow::Continue(())
                    }
                })
                .await?;
            if told.is_break() {
                break;
            }
        }
        Ok(found)
    }

    async fn read(
        &self,
        stage: &mut Stage<'_>,
        way: Way,
        questions: &[&String],
        each: &mut (dyn FnMut(Reading) -> ControlFlow<()> + Send),
    ) -> Result<ControlFlow<()>, BuildError> {
        stage.clear().await?;
        let mut answers = Vec::new();
        for herd in &self.herds {
            let question = format!("INSERT INTO {}", identifier(&herd.table));
            let answer = match way {
                Way::Few => Ok(herd.come_in_few(stage).await?),
                Way::Many(arrival) => herd.come(stage, arrival).await?,
            };
            answers.push((question, answer));
        }
        answers.extend(ask(stage, questions).await?);
        let way_there = way.name(false);
        if each(Reading {
            way: way_there,
            answers,
        })
        .is_break()
        {
            return Ok(ControlFlow::Break(()));
        }
        stage.merge().await?;
        Ok(each(Reading {
            way: way.name(true),
            answers: ask(stage, questions).await?,
        }))
    }
}

async fn ask(
    stage: &Stage<'_>,
    questions: &[&String],
) -> Result<Vec<(String, Answer)>, BuildError> {
    let mut answers = Vec::new();
    for &question in questions {
        let answer = answered(stage.query(question).await)?;
        answers.push((question.clone(), answer));
    }
    Ok(answers)
}

impl Herd {
    /// A few rows at once, and alone those that the original refuses; what is refused, and how.
    async fn come_in_few(&self, stage: &Stage<'_>) -> Result<Rows, BuildError> {
        let mut refused = Rows {
            columns: vec!["rows".to_owned(), "refused with".to_owned()],
            rows: Vec::new(),
        };
        for rows in self.few.chunks(PIECE).chain(self.refused.chunks(1)) {
            let batch: Vec<&Row> = rows.iter().collect();
            if let Err(name) = answered(stage.insert(&self.table, &batch, false, false).await)? {
                let lines: Vec<String> = rows
                    .iter()
                    .map(|row| serde_json::to_string(row).unwrap_or_default())
                    .collect();
                refused.rows.push(vec![Some(lines.join("\n")), Some(name)]);
            }
        }
        Ok(refused)
    }

    async fn come(&self, stage: &Stage<'_>, arrival: Arrival) -> Result<Answer, BuildError> {
        let batches = arrival.cut(&[self.many.len()]);
        for (index, batch) in batches.iter().enumerate() {
            let batch: Vec<&Row> = batch.iter().filter_map(|at| self.many.get(*at)).collect();
            if let Err(name) = answered(stage.insert(&self.table, &batch, false, false).await)? {
                return Ok(Err(name));
            }
            if arrival.merging() == Merging::Half && index == batches.len() / 2 {
                stage.merge().await?;
            }
        }
        Ok(Ok(Rows::default()))
    }
}

impl Way {
    fn name(self, merged: bool) -> String {
        match self {
            Self::Few => format!(
                "{PIECE} rows an INSERT, {}",
                if merged { "merged" } else { "unmerged" }
            ),
            Self::Many(arrival) => History {
                arrival,
                merging: if merged {
                    Merging::All
                } else {
                    arrival.merging()
                },
            }
            .to_string(),
        }
    }
}

/// The rows of every view, and what cases ask of anything that is not a plain view.
fn questions(cases: &[Case], stage: &Stage<'_>) -> Vec<String> {
    let objects = &stage.catalog.objects;
    let mut questions: Vec<String> = objects
        .iter()
        .filter(|object| object.kind == Kind::View)
        .map(|view| format!("SELECT * FROM {}", identifier(&view.name)))
        .collect();
    for step in cases.iter().flat_map(|case| &case.steps) {
        let Action::Query { sql } = &step.action else {
            continue;
        };
        // What is asked of views alone follows from their rows.
        let more = tokens(sql).any(|token| {
            let word = token.span.of(sql).trim_matches('`');
            objects
                .iter()
                .any(|object| object.name == word && object.kind != Kind::View)
        });
        if more && !questions.contains(sql) {
            questions.push(sql.clone());
        }
    }
    questions
}

/// An error of the server is an answer; anything else ends the run.
fn answered<T>(result: Result<T, Error>) -> Result<Result<T, String>, BuildError> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(error) => match error.exception() {
            Some(exception) => Ok(Err(exception.name.clone())),
            None => Err(error.into()),
        },
    }
}

/// Inserts rows, and finds those that are taken by halving what is refused.
async fn takes(stage: &Stage<'_>, table: &str, rows: Vec<Row>) -> Result<Vec<Row>, BuildError> {
    let mut taken = Vec::new();
    let mut open = vec![rows];
    while let Some(mut rows) = open.pop() {
        let all: Vec<&Row> = rows.iter().collect();
        if answered(stage.insert(table, &all, false, false).await)?.is_ok() {
            taken.extend(rows);
        } else if rows.len() > 1 {
            let rest = rows.split_off(rows.len() / 2);
            open.push(rest);
            open.push(rows);
        }
    }
    Ok(taken)
}

/// The first answer that differs, and one row of it.
fn example(original: &Reading, mutant: &Reading) -> Option<Example> {
    for (question, found) in &mutant.answers {
        let asked = |(asked, _): &&(String, Answer)| asked == question;
        let Some((_, expected)) = original.answers.iter().find(asked) else {
            continue;
        };
        if expected == found {
            continue;
        }
        let mut example = Example {
            way: mutant.way.clone(),
            question: question.clone(),
            columns: Vec::new(),
            row: Difference {
                expected: None,
                found: None,
            },
            errors: None,
        };
        match (expected, found) {
            (Ok(expected), Ok(found)) => {
                example.columns.clone_from(&found.columns);
                let (expected, found) = (without(expected, found), without(found, expected));
                if let Some(first) = compare(&expected, &found).into_iter().next() {
                    example.row = first;
                }
            }
            (expected, found) => {
                example.errors = Some((expected.clone().err(), found.clone().err()));
            }
        }
        return Some(example);
    }
    None
}

/// The first rows that another answer does not have as often.
fn without(rows: &Rows, other: &Rows) -> Rows {
    let mut there: BTreeMap<&Vec<Option<String>>, usize> = BTreeMap::new();
    for row in &other.rows {
        *there.entry(row).or_default() += 1;
    }
    let mut left = Rows {
        columns: rows.columns.clone(),
        rows: Vec::new(),
    };
    for row in &rows.rows {
        match there.get_mut(row) {
            Some(count) if *count > 0 => *count -= 1,
            _ if left.rows.len() < CLOSE => left.rows.push(row.clone()),
            _ => break,
        }
    }
    left
}
