//! The engine's own parser over every pending statement, before the first of them is executed.

use serde::Deserialize;

use crate::clickhouse::{Client, Error, Exception, Query};
use crate::plan::Step;

/// A statement that the engine does not read.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The statement.
    pub step: Step,
    /// What the engine says of it.
    pub exception: Exception,
    /// The byte of the statement at which it stopped, if it says so.
    pub offset: Option<usize>,
}

/// Bytes of statements that are sent at once: a server takes 128 KiB of a parameter (`http_max_field_value_size`), escapes included.
const BATCH: usize = 48 << 10;

/// The statements that the engine does not read; `None` if it has no `formatQuery`, which came with 23.10.
///
/// The texts are bound parameters, so nothing in them can be executed. A statement that is too long for a parameter is not judged.
///
/// # Errors
/// [`Error`] if the engine cannot be asked.
pub async fn judge(client: &Client, steps: &[Step]) -> Result<Option<Vec<Verdict>>, Error> {
    const UNKNOWN_FUNCTION: i32 = 46;
    const UNKNOWN_SETTING: i32 = 115;
    let client = client.read_only();
    let mut verdicts = Vec::new();
    for batch in batches(steps) {
        let refused = match refused(&client, &batch).await {
            Ok(refused) => refused,
            // A server of 2018 knows neither the function nor bound parameters.
            Err(error) if error.is_code(UNKNOWN_FUNCTION) || error.is_code(UNKNOWN_SETTING) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        for step in refused {
            let query = Query::new("SELECT formatQuery({text:String})").text("text", &step.sql);
            match client.fetch(&query, "Null").await {
                Err(Error::Exception(exception)) => verdicts.push(Verdict {
                    offset: offset(&exception.message),
                    step: step.clone(),
                    exception,
                }),
                Err(error) => return Err(error),
                Ok(_) => {}
            }
        }
    }
    Ok(Some(verdicts))
}

/// Statements in groups that fit into a parameter.
fn batches(steps: &[Step]) -> Vec<Vec<&Step>> {
    let mut batches: Vec<Vec<&Step>> = Vec::new();
    let mut size = BATCH;
    for step in steps.iter().filter(|step| step.sql.len() <= BATCH) {
        if size + step.sql.len() > BATCH {
            batches.push(Vec::new());
            size = 0;
        }
        size += step.sql.len();
        if let Some(batch) = batches.last_mut() {
            batch.push(step);
        }
    }
    batches
}

/// Those that cannot be formatted.
async fn refused<'a>(client: &Client, batch: &[&'a Step]) -> Result<Vec<&'a Step>, Error> {
    #[derive(Deserialize)]
    struct Row {
        refused: Vec<usize>,
    }
    let query = Query::new(
        "SELECT arrayFilter((i, text) -> isNull(formatQueryOrNull(text)), range(length(texts)), texts) AS refused FROM (SELECT {texts:Array(String)} AS texts)",
    )
    .texts("texts", batch.iter().map(|step| step.sql.clone()).collect());
    let row: Row = client.row(&query).await?;
    Ok(row
        .refused
        .iter()
        .filter_map(|index| batch.get(*index).copied())
        .collect())
}

/// The position in `Syntax error: failed at position 14 (…)`, as an offset from 0.
fn offset(message: &str) -> Option<usize> {
    let rest = message.split_once("failed at position ")?.1;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse::<usize>().ok()?.checked_sub(1)
}
