//! A directory of cases, played.

use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use futures_util::future::join_all;

use crate::config::TestEntry;
use crate::diagnostic::{Diagnostic, Location, Severity};
use crate::scratch::{Blueprint, BuildError};
use crate::sql::Span;
use crate::viewtest::case::Case;
use crate::viewtest::history::History;
use crate::viewtest::play::{Reading, Script, Stop};
use crate::viewtest::rows::{Difference, Rows, compare};
use crate::viewtest::snapshot::{self, Answers, Snapshot};
use crate::viewtest::stage::{Stage, Theatre};

/// How many rows of an answer are explained by the rows that they were made from.
const EXPLAINED: usize = 3;

/// The cases of a directory.
#[derive(Debug, Default)]
pub struct Suite {
    /// The cases that can be played, by name.
    pub cases: Vec<Case>,
    /// What is wrong with the others, and with what lies beside them.
    pub findings: Vec<Diagnostic>,
}

/// What is done with answers that are not the golden ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They fail the case, and nothing is written: in CI.
    Check,
    /// They fail the case, and are put beside the golden ones for a review.
    Propose,
    /// They become the golden ones.
    Accept,
}

/// How a case ended.
#[derive(Debug)]
pub struct Outcome {
    /// Its place in [`Suite::cases`].
    pub index: usize,
    /// How.
    pub verdict: Verdict,
    /// The answers of the first history.
    pub answers: Answers,
    /// How many readings were taken.
    pub readings: usize,
    /// How long it took.
    pub took: Duration,
}

/// How a case can end.
#[derive(Debug)]
pub enum Verdict {
    /// Every history gave the golden rows.
    Passed,
    /// The rows of every history were accepted just now.
    Accepted,
    /// There are no golden rows.
    New,
    /// The golden rows were accepted for another text of the case; they are the same ones still.
    Changed,
    /// Every history agrees, on other rows than the golden ones.
    Differs(Vec<Answer>),
    /// Histories disagree: the view depends on how rows arrive or merge.
    Unstable(Unstable),
    /// The case could not be played to its end.
    Broken(Box<Diagnostic>),
}

impl Verdict {
    /// Whether nothing is to be done.
    #[must_use]
    pub fn is_good(&self) -> bool {
        matches!(self, Self::Passed | Self::Accepted)
    }
}

/// An answer that is not what it should be.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The step that asked.
    pub heading: String,
    /// Where it stands.
    pub location: Location,
    /// The columns.
    pub columns: Vec<String>,
    /// The columns that should be there, if those are others.
    pub expected_columns: Vec<String>,
    /// The rows that differ.
    pub differences: Vec<Difference>,
    /// For the first of them, the table and the rows they were made from.
    pub origins: Vec<Option<(String, Rows)>>,
}

/// Histories that disagree.
#[derive(Clone, Debug)]
pub struct Unstable {
    /// The history that the others are held against.
    pub baseline: History,
    /// The simplest one that differs.
    pub history: History,
    /// How: what the baseline says is expected.
    pub answers: Vec<Answer>,
    /// All that differ.
    pub differing: Vec<History>,
    /// The columns that depend on the history, in any of them.
    pub columns: Vec<String>,
}

/// What happens, as it happens.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A case is over.
    Ended(&'a Outcome),
}

impl Suite {
    /// Reads a directory: `*.md` are cases, but names in capitals (README.md) are not.
    ///
    /// # Errors
    /// As reading a directory.
    pub fn load(directory: &Utf8Path) -> std::io::Result<Self> {
        let mut paths: Vec<Utf8PathBuf> = Vec::new();
        for entry in fs_err::read_dir(directory)? {
            if let Ok(path) = Utf8PathBuf::from_path_buf(entry?.path()) {
                paths.push(path);
            }
        }
        paths.sort();
        let mut suite = Self::default();
        let mut stems = Vec::new();
        for path in paths.iter().filter(|path| path.extension() == Some("md")) {
            let stem = path.file_stem().unwrap_or_default();
            if stem.chars().all(|c| !c.is_lowercase()) {
                continue;
            }
            stems.push(stem.to_owned());
            match Case::read(path) {
                Ok(case) => suite.cases.push(case),
                Err(findings) => suite.findings.extend(findings),
            }
        }
        for path in paths.iter().filter(|path| snapshot::is_snapshot(path)) {
            let stem = path.file_name().unwrap_or_default().split('.').next();
            if !stems.iter().any(|known| Some(known.as_str()) == stem) {
                suite.findings.push(
                    Diagnostic::new(
                        Severity::Error,
                        "orphan-snapshot",
                        "golden rows without a case",
                    )
                    .at(Some(Location {
                        path: path.clone(),
                        span: Span::default(),
                        line: 1,
                        column: 1,
                    }))
                    .help("remove the file, or bring its case back"),
                );
            }
        }
        Ok(suite)
    }

    /// Keeps the cases whose name or title has one of these words.
    pub fn filter(&mut self, words: &[String]) {
        self.cases.retain(|case| {
            words
                .iter()
                .any(|word| case.name.contains(word) || case.title.contains(word))
        });
    }

    /// Plays all cases, `jobs` at once. The outcomes are in the order of the cases, whatever the order of their ends.
    ///
    /// # Errors
    /// [`BuildError`]: the schema could not be built, or the server went away.
    pub async fn play(
        &self,
        theatre: &Theatre,
        blueprint: &Blueprint,
        test: &TestEntry,
        mode: Mode,
        jobs: usize,
        events: &(dyn Fn(Event<'_>) + Sync),
    ) -> Result<Vec<Outcome>, BuildError> {
        let next = AtomicUsize::new(0);
        let outcomes = Mutex::new(Vec::new());
        let workers = (0..jobs.clamp(1, self.cases.len().max(1))).map(|_| async {
            let mut stage = Stage::open(theatre, blueprint).await?;
            let result = async {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = self.cases.get(index) else {
                        return Ok::<(), BuildError>(());
                    };
                    let outcome = play(index, case, &mut stage, test, mode).await?;
                    events(Event::Ended(&outcome));
                    if let Ok(mut outcomes) = outcomes.lock() {
                        outcomes.push(outcome);
                    }
                }
            }
            .await;
            stage.close().await;
            result
        });
        // Every worker removes its database, whatever happened to another.
        join_all(workers)
            .await
            .into_iter()
            .collect::<Result<Vec<()>, BuildError>>()?;
        let mut outcomes = outcomes.into_inner().unwrap_or_default();
        outcomes.sort_by_key(|outcome: &Outcome| outcome.index);
        Ok(outcomes)
    }
}

async fn play(
    index: usize,
    case: &Case,
    stage: &mut Stage<'_>,
    test: &TestEntry,
    mode: Mode,
) -> Result<Outcome, BuildError> {
    let begun = Instant::now();
    let mut readings = Vec::new();
    let played = async {
        let script = Script::of(case, stage, test).await?;
        script
            .play(stage, &mut |reading| {
                readings.push(reading);
                ControlFlow::Continue(())
            })
            .await?;
        Ok::<_, Stop>(script)
    }
    .await;
    let verdict = match played {
        Err(Stop::Broken(error)) => return Err(error),
        Err(Stop::Finding(finding)) => Verdict::Broken(finding),
        Ok(script) => match judge(case, &script, stage, &readings, mode).await {
            Ok(verdict) => verdict,
            Err(error) => Verdict::Broken(Box::new(
                Diagnostic::new(Severity::Error, "unwritable-snapshot", error.to_string())
                    .at(case.steps.first().map(|step| step.location.clone())),
            )),
        },
    };
    Ok(Outcome {
        index,
        verdict,
        answers: readings
            .first()
            .map(|reading| reading.answers.clone())
            .unwrap_or_default(),
        readings: readings.len(),
        took: begun.elapsed(),
    })
}

async fn judge(
    case: &Case,
    script: &Script<'_>,
    stage: &Stage<'_>,
    readings: &[Reading],
    mode: Mode,
) -> std::io::Result<Verdict> {
    let Some(first) = readings.first() else {
        return Ok(Verdict::New);
    };
    if let Some(mut unstable) = disagreement(case, readings) {
        for answer in &mut unstable.answers {
            explain(answer, script, stage).await;
        }
        return Ok(Verdict::Unstable(unstable));
    }
    let found = Snapshot::of(case, &first.answers);
    let golden = Snapshot::load(case)?;
    if golden.as_ref() == Some(&found) {
        if mode != Mode::Check {
            snapshot::forget(case)?;
        }
        return Ok(Verdict::Passed);
    }
    match mode {
        Mode::Accept => {
            found.accept(case)?;
            return Ok(Verdict::Accepted);
        }
        Mode::Propose => found.propose(case)?,
        Mode::Check => {}
    }
    let Some(golden) = golden else {
        return Ok(Verdict::New);
    };
    if golden.content == found.content {
        return Ok(Verdict::Changed);
    }
    let mut answers = Vec::new();
    for (heading, rows) in &first.answers {
        let expected = golden.rows(heading).unwrap_or_default();
        if expected != *rows {
            let mut answer = answer(case, heading, &expected, rows);
            explain(&mut answer, script, stage).await;
            answers.push(answer);
        }
    }
    Ok(Verdict::Differs(answers))
}

pub(super) fn answer(case: &Case, heading: &str, expected: &Rows, found: &Rows) -> Answer {
    let step = case.steps.iter().find(|step| step.heading == heading);
    Answer {
        heading: heading.to_owned(),
        location: step.map_or_else(
            || case.location(Span::default()),
            |step| step.location.clone(),
        ),
        columns: found.columns.clone(),
        expected_columns: if expected.columns == found.columns {
            Vec::new()
        } else {
            expected.columns.clone()
        },
        differences: compare(expected, found),
        origins: Vec::new(),
    }
}

async fn explain(answer: &mut Answer, script: &Script<'_>, stage: &Stage<'_>) {
    for difference in answer.differences.iter().take(EXPLAINED) {
        let row = difference.found.as_ref().or(difference.expected.as_ref());
        let origin = match row {
            Some(row) => script.origin(stage, &answer.columns, row).await,
            None => None,
        };
        answer.origins.push(origin);
    }
}

/// The first reading against all others.
pub(super) fn disagreement(case: &Case, readings: &[Reading]) -> Option<Unstable> {
    let first = readings.first()?;
    let mut unstable: Option<Unstable> = None;
    for reading in readings.iter().skip(1) {
        let mut answers = Vec::new();
        for (heading, rows) in &reading.answers {
            let expected = first.answers.iter().find(|(asked, _)| asked == heading);
            if let Some((_, expected)) = expected
                && expected != rows
            {
                answers.push(answer(case, heading, expected, rows));
            }
        }
        if answers.is_empty() {
            continue;
        }
        let columns: Vec<String> = answers.iter().flat_map(Answer::unstable_columns).collect();
        let unstable = unstable.get_or_insert_with(|| Unstable {
            baseline: first.history,
            history: reading.history,
            answers,
            differing: Vec::new(),
            columns: Vec::new(),
        });
        unstable.differing.push(reading.history);
        for column in columns {
            if !unstable.columns.contains(&column) {
                unstable.columns.push(column);
            }
        }
    }
    unstable
}

impl Answer {
    /// The columns in which rows differ.
    #[must_use]
    pub fn unstable_columns(&self) -> Vec<String> {
        self.columns
            .iter()
            .enumerate()
            .filter(|(index, _)| {
                self.differences
                    .iter()
                    .any(|difference| difference.differs(*index))
            })
            .map(|(_, column)| column.clone())
            .collect()
    }
}
