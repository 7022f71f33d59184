//! The fewest rows with which a question still has two answers, by taking rows and columns away (delta debugging, bounded).

use std::ops::ControlFlow;

use camino::Utf8Path;
use serde_json::Value;

use crate::catalog::{Kind, Object};
use crate::clickhouse::{Error, identifier};
use crate::config::TestEntry;
use crate::diagnostic::Location;
use crate::scratch::BuildError;
use crate::sql::Span;
use crate::viewtest::case::{Action, Case, GivenRow, Row, Rows as Given, Step};
use crate::viewtest::history::Arrival;
use crate::viewtest::invariance::{Finding, GENERATED, Question, Seed};
use crate::viewtest::play::{Reading, Script, Stop};
use crate::viewtest::rows::Rows;
use crate::viewtest::stage::{Stage, finalized, refill, target};
use crate::viewtest::suite::{answer, disagreement};

/// How often a difference is looked for again while it is shrunk.
const SHRINKS: usize = 80;
/// The name of the table into which all rows go at once.
const AT_ONCE: &str = "housewright_at_once";

/// A case that no file has.
pub(super) fn story(rows: &Seed, questions: &[Question]) -> Case {
    let path = Utf8Path::new(GENERATED).to_owned();
    let location = Location {
        path: path.clone(),
        span: Span::default(),
        line: 1,
        column: 1,
    };
    let step = |heading: String, action| Step {
        action,
        heading,
        location: location.clone(),
    };
    let given = |row: &Row| GivenRow {
        row: row.clone(),
        span: Span::default(),
        columns: Vec::new(),
    };
    let inserts = rows
        .iter()
        .filter(|(_, rows)| !rows.is_empty())
        .map(|(table, rows)| {
            let rows = Given::Given(rows.iter().map(given).collect());
            let table = table.clone();
            step(format!("insert {table}"), Action::Insert { table, rows })
        });
    let asked = questions.iter().map(|question| {
        let sql = question.sql.clone();
        step(question.name.clone(), Action::Query { sql })
    });
    Case {
        name: "invariance".to_owned(),
        text: String::new(),
        title: String::new(),
        why: String::new(),
        steps: inserts.chain(asked).collect(),
        path,
    }
}

/// All histories, or the first one and some.
pub(super) async fn play(
    case: &Case,
    stage: &mut Stage<'_>,
    test: &TestEntry,
    arrivals: Option<&[Arrival]>,
    readings: &mut Vec<Reading>,
) -> Result<(), Stop> {
    // What the seed leaves out is left to the engine, not to the project's defaults for cases.
    let test = TestEntry {
        defaults: std::collections::BTreeMap::new(),
        ..test.clone()
    };
    let script = Script::of(case, stage, &test).await?;
    let Some(arrivals) = arrivals else {
        return script
            .play(stage, &mut |reading| {
                readings.push(reading);
                ControlFlow::Continue(())
            })
            .await;
    };
    for arrival in std::iter::once(&Arrival::Written).chain(arrivals) {
        let before = readings.len();
        let _ = script
            .play_one(stage, *arrival, &mut |reading| {
                readings.push(reading);
                ControlFlow::Continue(())
            })
            .await?;
        let first = readings.first().map(|reading| reading.answers.clone());
        if readings
            .iter()
            .skip(before)
            .any(|reading| Some(&reading.answers) != first.as_ref())
        {
            break;
        }
    }
    Ok(())
}

/// Looks for the fewest rows with which one question still has two answers.
pub(super) struct Shrink<'a> {
    pub(super) test: &'a TestEntry,
    pub(super) question: &'a Question,
    /// The histories that are held against the first one; `None`: the state against its SELECT over all rows.
    pub(super) tries: Option<&'a [Arrival]>,
}

impl Shrink<'_> {
    pub(super) async fn differs(
        &self,
        stage: &mut Stage<'_>,
        rows: &Seed,
    ) -> Result<Option<Finding>, BuildError> {
        if rows.iter().all(|(_, rows)| rows.is_empty()) {
            return Ok(None);
        }
        let case = story(rows, std::slice::from_ref(self.question));
        let mut readings = Vec::new();
        let single = [Arrival::Single];
        let played = play(
            &case,
            stage,
            self.test,
            Some(self.tries.unwrap_or(&single)),
            &mut readings,
        )
        .await;
        match played {
            Ok(()) => {}
            Err(Stop::Broken(error)) => return Err(error),
            Err(Stop::Finding(_)) => return Ok(None),
        }
        if self.tries.is_some() {
            return Ok(disagreement(&case, &readings).and_then(|unstable| {
                Some(Finding {
                    baseline: unstable.baseline.to_string(),
                    history: unstable.history.to_string(),
                    columns: unstable.columns,
                    answer: unstable.answers.into_iter().next()?,
                    rows: shown(rows),
                })
            }));
        }
        let kept = readings
            .last()
            .and_then(|reading| reading.answers.first())
            .map(|(_, rows)| rows.clone())
            .unwrap_or_default();
        let all = match at_once(stage, &self.question.name).await {
            Ok(Some(all)) => all,
            Ok(None) => return Ok(None),
            // A state that cannot be made again by its own SELECT is not what this looks for.
            Err(error) if error.exception().is_some() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if all == kept {
            return Ok(None);
        }
        let answer = answer(&case, &self.question.name, &all, &kept);
        Ok(Some(Finding {
            baseline: "its SELECT over all rows at once".to_owned(),
            history: "what the trigger kept of one INSERT a row".to_owned(),
            columns: answer.unstable_columns(),
            answer,
            rows: shown(rows),
        }))
    }

    pub(super) async fn run(
        &self,
        stage: &mut Stage<'_>,
        seed: Seed,
    ) -> Result<Option<Finding>, BuildError> {
        let mut rows = seed;
        let Some(mut best) = self.differs(stage, &rows).await? else {
            return Ok(None);
        };
        let mut left = SHRINKS;
        for table in 0..rows.len() {
            let mut size = rows.get(table).map_or(0, |(_, rows)| rows.len());
            while size > 0 {
                let mut at = 0;
                while at < rows.get(table).map_or(0, |(_, rows)| rows.len()) && left > 0 {
                    let mut fewer = rows.clone();
                    if let Some((_, rows)) = fewer.get_mut(table) {
                        rows.drain(at..(at + size).min(rows.len()));
                    }
                    left -= 1;
                    match self.differs(stage, &fewer).await? {
                        Some(finding) => (rows, best) = (fewer, finding),
                        None => at += size,
                    }
                }
                size /= 2;
            }
        }
        // A column that can say the same in every row has nothing to do with it.
        for table in 0..rows.len() {
            let Some((_, of)) = rows.get(table) else {
                continue;
            };
            let names: Vec<String> = of.iter().flat_map(|row| row.keys().cloned()).collect();
            let mut seen: Vec<String> = Vec::new();
            for name in names {
                if left == 0 || seen.contains(&name) {
                    continue;
                }
                seen.push(name.clone());
                let mut plain = rows.clone();
                if let Some((_, of)) = plain.get_mut(table) {
                    let value = of.iter().find_map(|row| row.get(&name).cloned());
                    for row in of.iter_mut() {
                        row.insert(name.clone(), value.clone().unwrap_or(Value::Null));
                    }
                }
                if plain == rows {
                    continue;
                }
                left -= 1;
                if let Some(finding) = self.differs(stage, &plain).await? {
                    (rows, best) = (plain, finding);
                }
            }
        }
        Ok(Some(best))
    }
}

/// What a state would hold if all rows of its sources came at once; `None` where that cannot be known: a source keeps no rows or folds
/// them, or the state has no table of its own name.
async fn at_once(stage: &Stage<'_>, state: &str) -> Result<Option<Rows>, Error> {
    let views: Vec<(&Object, &Object)> = stage
        .catalog
        .triggers()
        .filter(|(view, _)| target(view) == state)
        .collect();
    let Some(table) = stage
        .catalog
        .get(state)
        .filter(|table| table.kind == Kind::Table)
    else {
        return Ok(None);
    };
    if views
        .iter()
        .any(|(_, source)| source.engine == "Null" || source.folds() || source.kind != Kind::Table)
    {
        return Ok(None);
    }
    let copy = identifier(AT_ONCE);
    stage
        .execute(&format!("DROP TABLE IF EXISTS {copy}"))
        .await?;
    stage
        .execute(&format!("CREATE TABLE {copy} AS {}", identifier(state)))
        .await?;
    let mut filled = Ok(());
    for (view, _) in views {
        filled = stage.execute(&refill(view, AT_ONCE)).await;
        if filled.is_err() {
            break;
        }
    }
    let columns: Vec<String> = table.columns.iter().map(finalized).collect();
    let rows = match filled {
        Ok(()) => {
            stage
                .query(&format!("SELECT {} FROM {copy} FINAL", columns.join(", ")))
                .await
        }
        Err(error) => Err(error),
    };
    stage.execute(&format!("DROP TABLE {copy}")).await?;
    rows.map(Some)
}

/// Rows as a person reads them: without the columns that say the same in all of them.
fn shown(seed: &Seed) -> Vec<(String, Rows)> {
    let mut tables = Vec::new();
    for (table, rows) in seed.iter().filter(|(_, rows)| !rows.is_empty()) {
        let mut columns: Vec<String> = Vec::new();
        for name in rows.iter().flat_map(|row| row.keys()) {
            let first = rows.first().and_then(|row| row.get(name));
            let differs = rows.iter().any(|row| row.get(name) != first);
            if (differs || rows.len() == 1) && !columns.contains(name) {
                columns.push(name.clone());
            }
        }
        let text = |value: Option<&Value>| match value {
            None => Some("(not sent)".to_owned()),
            Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(other) => Some(other.to_string()),
        };
        let same = columns.is_empty();
        if same {
            columns.push("row".to_owned());
        }
        let rows = rows
            .iter()
            .enumerate()
            .map(|(index, row)| {
                if same {
                    return vec![Some(format!("{} (equal to the others)", index + 1))];
                }
                columns.iter().map(|name| text(row.get(name))).collect()
            })
            .collect();
        tables.push((table.clone(), Rows { columns, rows }));
    }
    tables
}
