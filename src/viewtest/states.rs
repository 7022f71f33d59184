//! What a case leaves in the tables that triggers keep, beside what it reads: whether a row is right by the view, or by luck of a merge.

use std::ops::ControlFlow;

use crate::config::TestEntry;
use crate::scratch::{Blueprint, BuildError};
use crate::viewtest::Suite;
use crate::viewtest::case::{Action, Case, Step};
use crate::viewtest::history::{Arrival, History};
use crate::viewtest::invariance::describe;
use crate::viewtest::play::{Script, Stop};
use crate::viewtest::rows::Rows;
use crate::viewtest::stage::{Stage, Theatre, target};

/// The ways that are shown: what one block makes, and what is left to merges.
const WAYS: [Arrival; 2] = [Arrival::Written, Arrival::Single];

/// What a case reads and leaves, unmerged.
#[derive(Debug)]
pub struct Outcome {
    /// Its place in [`Suite::cases`].
    pub index: usize,
    /// What its queries answer.
    pub answers: Vec<(String, Rows)>,
    /// For each table that triggers keep and each way, the raw rows; states as the values they stand for.
    pub states: Vec<(String, History, Rows)>,
    /// Why it could not be played.
    pub unplayed: Option<String>,
}

/// Plays every case as written and one INSERT a row.
///
/// # Errors
/// [`BuildError`]: the schema could not be built, or the server went away.
pub async fn show(
    theatre: &Theatre,
    blueprint: &Blueprint,
    suite: &Suite,
    test: &TestEntry,
) -> Result<Vec<Outcome>, BuildError> {
    let mut stage = Stage::open(theatre, blueprint).await?;
    let result = async {
        let mut outcomes = Vec::new();
        for (index, case) in suite.cases.iter().enumerate() {
            let mut outcome = Outcome {
                index,
                answers: Vec::new(),
                states: Vec::new(),
                unplayed: None,
            };
            match play(case, &mut stage, test, &mut outcome).await {
                Ok(()) => {}
                Err(Stop::Finding(finding)) => outcome.unplayed = Some(describe(&finding)),
                Err(Stop::Broken(error)) => return Err(error),
            }
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }
    .await;
    stage.close().await;
    result
}

async fn play(
    case: &Case,
    stage: &mut Stage<'_>,
    test: &TestEntry,
    outcome: &mut Outcome,
) -> Result<(), Stop> {
    let mut tables: Vec<&str> = stage
        .catalog
        .triggers()
        .map(|(view, _)| target(view))
        .collect();
    tables.sort_unstable();
    tables.dedup();
    let mut asking = case.clone();
    let location = case.location(crate::sql::Span::default());
    // A heading of a step has no line breaks, so these are not mistaken for one.
    let heading = |table: &str| format!("states\n{table}");
    asking.steps.extend(tables.iter().filter_map(|table| {
        Some(Step {
            action: Action::Query {
                sql: Stage::states(stage.catalog.get(table)?),
            },
            heading: heading(table),
            location: location.clone(),
        })
    }));
    let script = Script::of(&asking, stage, test).await?;
    let ways = script.ways(stage);
    for way in WAYS.into_iter().filter(|way| ways.contains(way)) {
        let mut taken = None;
        let _ = script
            .play_one(stage, way, &mut |reading| {
                taken = Some(reading);
                ControlFlow::Break(())
            })
            .await?;
        let Some(reading) = taken else { continue };
        let first = outcome.answers.is_empty() && outcome.states.is_empty();
        for (asked, rows) in reading.answers {
            match asked.strip_prefix("states\n") {
                Some(table) => outcome
                    .states
                    .push((table.to_owned(), reading.history, rows)),
                None if first => outcome.answers.push((asked, rows)),
                None => {}
            }
        }
    }
    // The ways of a table beside each other.
    outcome
        .states
        .sort_by(|one, other| (&one.0, one.1).cmp(&(&other.0, other.1)));
    Ok(())
}
