//! Views without golden rows: whatever the history, the same rows; and what a trigger kept is what its SELECT says of all rows at once.
//!
//! Works for any schema from day one. Rows that are made to collide are put into every table that a view reads; every view, and every
//! table that a materialized view keeps, is asked after each history. What differs is shrunk to the fewest rows that still differ.

use crate::catalog::{Catalog, Kind, Object};
use crate::clickhouse::{Error, identifier};
use crate::config::TestEntry;
use crate::diagnostic::Diagnostic;
use crate::scratch::{Blueprint, BuildError};
use crate::viewtest::adversary::{Adversary, sources};
use crate::viewtest::case::Row;
use crate::viewtest::history::Arrival;
use crate::viewtest::play::Stop;
use crate::viewtest::rows::Rows;
use crate::viewtest::shrink::{Shrink, play, story};
use crate::viewtest::stage::{Stage, Theatre, target};
use crate::viewtest::suite::{Answer, disagreement};

/// Rows of a table in a round.
const ROWS: usize = 24;
/// A table may refuse this many rows for each that it takes.
const TRIES: usize = 4;

/// Where what stands in no file stands.
pub const GENERATED: &str = "generated rows";

/// What was found.
#[derive(Debug)]
pub struct Outcome {
    /// Every view and every table that a view keeps, by name.
    pub subjects: Vec<Subject>,
    /// The tables that rows were put into, with the number of rows of all rounds that they took and refused.
    pub tables: Vec<(String, usize, usize)>,
    /// How many times the subjects were asked.
    pub readings: usize,
}

/// Something that was asked.
#[derive(Debug)]
pub struct Subject {
    /// The name of the view or table.
    pub name: String,
    /// Whether it is a table that a materialized view keeps.
    pub is_state: bool,
    /// What came out.
    pub verdict: Verdict,
}

/// What can come out.
#[derive(Debug)]
pub enum Verdict {
    /// Every history gave the same rows.
    Stable,
    /// There never were rows, so nothing is proven.
    Empty,
    /// Nothing was asked, and why.
    Skipped(&'static str),
    /// The server refused to answer.
    Broken(String),
    /// Histories disagree.
    Unstable(Finding),
    /// What the trigger kept is not what its SELECT says of all rows at once.
    NotMergeable(Finding),
}

impl Verdict {
    /// Whether there is nothing to correct.
    #[must_use]
    pub fn is_good(&self) -> bool {
        matches!(self, Self::Stable | Self::Empty | Self::Skipped(_))
    }
}

/// A difference.
#[derive(Debug)]
pub struct Finding {
    /// What the other is held against.
    pub baseline: String,
    /// The simplest history that differs.
    pub history: String,
    /// The columns that differ.
    pub columns: Vec<String>,
    /// How they differ, over the fewest rows.
    pub answer: Answer,
    /// These rows, by table.
    pub rows: Vec<(String, Rows)>,
}

impl Outcome {
    /// Whether there is nothing to correct.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.subjects
            .iter()
            .all(|subject| subject.verdict.is_good())
    }
}

/// Rows by table.
pub(super) type Seed = Vec<(String, Vec<Row>)>;

/// A question, and what it is asked of.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) name: String,
    pub(super) is_state: bool,
    pub(super) sql: String,
}

/// Asks every view whose name has one of `words` (all if there are none), in as many rounds of rows from `seed` on.
///
/// # Errors
/// [`BuildError`]: the schema could not be built, or the server went away.
pub async fn check(
    theatre: &Theatre,
    blueprint: &Blueprint,
    test: &TestEntry,
    words: &[String],
    seed: u64,
    rounds: u64,
) -> Result<Outcome, BuildError> {
    let mut stage = Stage::open(theatre, blueprint).await?;
    let result = check_on(&mut stage, test, words, seed, rounds).await;
    stage.close().await;
    result
}

async fn check_on(
    stage: &mut Stage<'_>,
    test: &TestEntry,
    words: &[String],
    seed: u64,
    rounds: u64,
) -> Result<Outcome, BuildError> {
    let wanted =
        |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    let (mut questions, mut subjects) = questions(&stage.catalog);
    questions.retain(|question| wanted(&question.name));
    subjects.retain(|subject| wanted(&subject.name));
    let mut outcome = Outcome {
        subjects,
        tables: Vec::new(),
        readings: 0,
    };
    let mut filled: Vec<String> = Vec::new();
    for round in 0..rounds {
        if questions.is_empty() {
            break;
        }
        let rows = rows(stage, seed.wrapping_add(round), &mut outcome.tables).await?;
        let mut kept = Vec::new();
        for question in std::mem::take(&mut questions) {
            match stage.query(&question.sql).await {
                Ok(rows) => {
                    if !rows.rows.is_empty() {
                        filled.push(question.name.clone());
                    }
                    kept.push(question);
                }
                Err(error) => outcome.end(question, Verdict::Broken(said(error)?)),
            }
        }
        let mut readings = Vec::new();
        let case = story(&rows, &kept);
        match play(&case, stage, test, None, &mut readings).await {
            Ok(()) => {}
            Err(Stop::Broken(error)) => return Err(error),
            Err(Stop::Finding(finding)) => {
                let said = describe(&finding);
                for question in kept {
                    outcome.end(question, Verdict::Broken(said.clone()));
                }
                break;
            }
        }
        outcome.readings += readings.len();
        for question in kept {
            let mut own = readings.clone();
            for reading in &mut own {
                reading
                    .answers
                    .retain(|(heading, _)| *heading == question.name);
            }
            if let Some(unstable) = disagreement(&case, &own) {
                let mut tries = vec![unstable.history.arrival];
                tries.extend([Arrival::Single, Arrival::Reversed, Arrival::Split(1)]);
                let shrink = Shrink {
                    test,
                    question: &question,
                    tries: Some(&tries),
                };
                let found = shrink.run(stage, rows.clone()).await?;
                // What does not differ when it is played again depends on the clock or on chance.
                let finding = found.or_else(|| {
                    Some(Finding {
                        baseline: unstable.baseline.to_string(),
                        history: format!("{}, now and then", unstable.history),
                        columns: Vec::new(),
                        answer: unstable.answers.into_iter().next()?,
                        rows: Vec::new(),
                    })
                });
                if let Some(mut finding) = finding {
                    finding.columns = unstable.columns;
                    outcome.end(question, Verdict::Unstable(finding));
                }
                continue;
            }
            if question.is_state {
                let shrink = Shrink {
                    test,
                    question: &question,
                    tries: None,
                };
                if shrink.differs(stage, &rows).await?.is_some()
                    && let Some(finding) = shrink.run(stage, rows.clone()).await?
                {
                    outcome.end(question, Verdict::NotMergeable(finding));
                    continue;
                }
            }
            questions.push(question);
        }
    }
    for question in questions {
        let verdict = if filled.contains(&question.name) {
            Verdict::Stable
        } else {
            Verdict::Empty
        };
        outcome.end(question, verdict);
    }
    outcome
        .subjects
        .sort_by(|one, other| (one.is_state, &one.name).cmp(&(other.is_state, &other.name)));
    Ok(outcome)
}

impl Outcome {
    fn end(&mut self, question: Question, verdict: Verdict) {
        self.subjects.push(Subject {
            name: question.name,
            is_state: question.is_state,
            verdict,
        });
    }
}

/// What can be asked; and what cannot, with the reason.
fn questions(catalog: &Catalog) -> (Vec<Question>, Vec<Subject>) {
    let (mut questions, mut skipped) = (Vec::new(), Vec::new());
    let mut skip = |view: &Object, why| {
        skipped.push(Subject {
            name: view.name.clone(),
            is_state: false,
            verdict: Verdict::Skipped(why),
        });
    };
    for view in &catalog.objects {
        match view.kind {
            Kind::View => questions.push(Question {
                name: view.name.clone(),
                is_state: false,
                sql: format!("SELECT * FROM {}", identifier(&view.name)),
            }),
            Kind::ParameterizedView => {
                skip(view, "it has parameters; a case with a query gives them");
            }
            Kind::MaterializedView
                if !catalog
                    .triggers()
                    .any(|(trigger, _)| trigger.name == view.name) =>
            {
                skip(view, "it is refreshed, not triggered");
            }
            _ => {}
        }
    }
    let mut targets: Vec<&str> = catalog.triggers().map(|(view, _)| target(view)).collect();
    targets.sort_unstable();
    targets.dedup();
    for name in targets {
        let Some(table) = catalog.get(name) else {
            continue;
        };
        let folds = table.folds()
            || (table.kind == Kind::MaterializedView
                && [
                    "AggregatingMergeTree",
                    "SummingMergeTree",
                    "ReplacingMergeTree",
                ]
                .iter()
                .any(|engine| table.create.contains(engine)));
        // Rows that no merge folds are as many as there were blocks; the views that read them are asked.
        if folds && !table.engine.contains("Collapsing") {
            questions.push(Question {
                name: name.to_owned(),
                is_state: true,
                sql: format!("{} FINAL", Stage::states(table)),
            });
        }
    }
    (questions, skipped)
}

/// Rows that the tables take; they are in the tables when this ends.
pub(super) async fn rows(
    stage: &mut Stage<'_>,
    seed: u64,
    counts: &mut Vec<(String, usize, usize)>,
) -> Result<Seed, BuildError> {
    stage.clear().await?;
    let catalog = stage.catalog.clone();
    let mut all = Seed::new();
    for table in sources(&catalog) {
        let mut adversary = Adversary::new(&catalog, table, seed);
        let (mut taken, mut refused) = (Vec::new(), 0);
        while taken.len() < ROWS && refused < ROWS * TRIES {
            let row = adversary.next_row();
            match stage.insert(&table.name, &[&row], false, false).await {
                Ok(()) => taken.push(row),
                Err(error) if error.exception().is_some() => {
                    adversary.forget();
                    refused += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
        match counts.iter_mut().find(|(name, ..)| *name == table.name) {
            Some((_, took, not)) => {
                *took += taken.len();
                *not += refused;
            }
            None => counts.push((table.name.clone(), taken.len(), refused)),
        }
        if !taken.is_empty() {
            all.push((table.name.clone(), taken));
        }
    }
    Ok(all)
}

fn said(error: Error) -> Result<String, BuildError> {
    match error.exception() {
        Some(exception) => Ok(format!(
            "{} {}: {}",
            exception.code, exception.name, exception.message
        )),
        None => Err(error.into()),
    }
}

pub(super) fn describe(finding: &Diagnostic) -> String {
    let mut text = finding.message.clone();
    for note in &finding.notes {
        text.push_str(": ");
        text.push_str(note);
    }
    text
}
