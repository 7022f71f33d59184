//! Which conditions on an object are fast, and what the recipes that ask it read: each is explained by the engine (`EXPLAIN indexes = 1`),
//! none is executed.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::catalog::{Generations, generation, references};
use crate::clickhouse::{Client, Error, Query, identifier, literal};
use crate::docs::{Model, Object, Sample};

/// As many granules tell whether any is spared.
pub const TELLING: u64 = 4;

/// A condition or a recipe, and what the engine makes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The condition, as it would stand behind WHERE; empty for a recipe.
    pub condition: String,
    /// The columns in it; none for a recipe.
    pub columns: Vec<String>,
    /// The recipe that asks.
    pub recipe: Option<String>,
    /// How much it spares.
    pub speed: Speed,
    /// The indexes that it uses, by table.
    pub uses: Vec<Use>,
    /// The granules that are read, of how many.
    pub granules: (u64, u64),
}

/// How much a condition spares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Speed {
    /// The primary key leads to the rows: its first column is bound.
    Fast,
    /// Parts or granules are left out where an index can tell.
    Prunes,
    /// Everything is read.
    Scans,
}

/// An index that is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// The table.
    pub table: String,
    /// `primary key`, `partition`, `min-max`, or the name of a skip index.
    pub index: String,
    /// The keys of it that the condition binds.
    pub keys: Vec<String>,
}

impl Speed {
    /// One word.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Prunes => "prunes",
            Self::Scans => "scans",
        }
    }
}

/// Explains conditions on the columns of an object, each with a value that it has: every column alone, and those that help together. Then
/// the recipes that name it, with their examples, which is all that can be said of a parameterized view.
///
/// # Errors
/// [`Error`], if the server goes away. What it does not explain is left out.
pub async fn access(
    client: &Client,
    model: &Model,
    object: &Object,
    samples: &BTreeMap<String, Sample>,
) -> Result<Vec<Access>, Error> {
    let mut found: Vec<Access> = Vec::new();
    let stands = Generations::read(client).await?.current(&object.name);
    let mut conditions = Vec::new();
    for column in &object.columns {
        let Some(value) = samples
            .get(&column.name)
            .and_then(|sample| sample.values.first())
        else {
            continue;
        };
        // A moment is asked for as the beginning of a range.
        let compares = if column.r#type.contains("Date") {
            ">="
        } else {
            "="
        };
        let condition = format!("{} {compares} {}", plain(&column.name), literal(value));
        conditions.push((column.name.clone(), condition));
    }
    for (column, condition) in &conditions {
        let columns = vec![column.clone()];
        if let Some(access) =
            explain_where(client, model, &stands, columns, condition.clone()).await?
        {
            found.push(access);
        }
    }
    // What helps alone may help more together.
    let first = found
        .iter()
        .find(|access| access.speed == Speed::Fast)
        .cloned();
    if let Some(first) = first {
        let others: Vec<Access> = found
            .iter()
            .filter(|access| access.speed != Speed::Fast && !access.uses.is_empty())
            .cloned()
            .collect();
        for other in others {
            let columns = [first.columns.clone(), other.columns.clone()].concat();
            let condition = format!("{} AND {}", first.condition, other.condition);
            found.extend(explain_where(client, model, &stands, columns, condition).await?);
        }
    }
    found.sort_by(|a, b| {
        let key = |it: &Access| (it.speed, it.columns.len());
        key(a).cmp(&key(b))
    });
    for (recipe, _) in &model.recipes {
        if references(&recipe.sql).contains(&object.name) {
            let values = recipe.bind(&[], true).unwrap_or_default();
            let sql = recipe.sql.trim_end().trim_end_matches(';');
            let query = values.iter().fold(
                Query::new(format!("EXPLAIN indexes = 1, json = 1 {sql}")),
                |query, (name, value)| query.text(name, value),
            );
            let access = Access {
                recipe: Some(recipe.name.clone()),
                ..Access::of(Vec::new(), String::new())
            };
            found.extend(explain(client, model, query, access).await?);
        }
    }
    Ok(found)
}

impl Access {
    /// Of nothing read so far.
    fn of(columns: Vec<String>, condition: String) -> Self {
        Self {
            condition,
            columns,
            recipe: None,
            speed: Speed::Fast,
            uses: Vec::new(),
            granules: (0, 0),
        }
    }
}

/// Explains all columns of an object under a condition.
async fn explain_where(
    client: &Client,
    model: &Model,
    stands: &str,
    columns: Vec<String>,
    condition: String,
) -> Result<Option<Access>, Error> {
    let query = Query::new(format!(
        "EXPLAIN indexes = 1, json = 1 SELECT * FROM {} WHERE {condition}",
        identifier(stands)
    ));
    explain(client, model, query, Access::of(columns, condition)).await
}

/// A name as somebody would type it.
fn plain(name: &str) -> String {
    let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && name.chars().next().is_some_and(|c| !c.is_ascii_digit());
    if is_plain {
        name.to_owned()
    } else {
        identifier(name)
    }
}

async fn explain(
    client: &Client,
    model: &Model,
    query: Query,
    mut access: Access,
) -> Result<Option<Access>, Error> {
    let bytes = match client.fetch(&query, "TSVRaw").await {
        Ok(bytes) => bytes,
        Err(error) if error.exception().is_some() => return Ok(None),
        Err(error) => return Err(error),
    };
    let Ok(plan) = serde_json::from_slice::<Value>(&bytes) else {
        return Ok(None);
    };
    let mut reads = Vec::new();
    nodes(&plan, &mut reads);
    if reads.is_empty() {
        return Ok(None);
    }
    for read in reads {
        let table = read
            .get("Description")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let table = table
            .strip_prefix(client.database())
            .and_then(|rest| rest.strip_prefix('.'))
            .unwrap_or(table);
        let table = generation::parse(table).0;
        let leads = model
            .get(table)
            .map(|it| first_key(&it.clauses.order_by, &it.clauses.primary_key));
        let mut speed = Speed::Scans;
        let indexes = read.get("Indexes").and_then(Value::as_array);
        let mut granules: Option<(u64, u64)> = None;
        for index in indexes.into_iter().flatten() {
            let number = |key: &str| index.get(key).and_then(Value::as_u64).unwrap_or_default();
            let initial = granules.map_or(number("Initial Granules"), |(_, initial)| initial);
            granules = Some((number("Selected Granules"), initial));
            let keys: Vec<String> = index
                .get("Keys")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(|key| key.as_str().map(str::to_owned))
                .collect();
            let kind = index
                .get("Type")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let skips = kind == "Skip";
            if keys.is_empty() && !skips {
                continue;
            }
            let name = match kind {
                "PrimaryKey" => "primary key".to_owned(),
                "Partition" => "partition".to_owned(),
                "Skip" => index
                    .get("Name")
                    .and_then(Value::as_str)
                    .unwrap_or("skip index")
                    .to_owned(),
                _ => "min-max".to_owned(),
            };
            let leading =
                kind == "PrimaryKey" && leads.as_ref().is_some_and(|key| keys.contains(key));
            speed = speed.min(if leading { Speed::Fast } else { Speed::Prunes });
            let used = Use {
                table: table.to_owned(),
                index: name,
                keys,
            };
            if !access.uses.contains(&used) {
                access.uses.push(used);
            }
        }
        let (selected, initial) = granules.unwrap_or_default();
        access.granules.0 += selected;
        access.granules.1 += initial;
        // An index that spares nothing of what is there is none; what a range spares depends on where it begins.
        let range = access.condition.contains(">=");
        if speed == Speed::Prunes && !range && initial >= TELLING && selected == initial {
            speed = Speed::Scans;
        }
        // As slow as the slowest of what is read.
        access.speed = access.speed.max(speed);
    }
    Ok(Some(access))
}

/// The reads of a MergeTree, wherever they are in a plan.
fn nodes<'a>(plan: &'a Value, found: &mut Vec<&'a Value>) {
    match plan {
        Value::Array(parts) => parts.iter().for_each(|part| nodes(part, found)),
        Value::Object(node) => {
            if node.get("Node Type").and_then(Value::as_str) == Some("ReadFromMergeTree") {
                found.push(plan);
            }
            for key in ["Plan", "Plans"] {
                if let Some(below) = node.get(key) {
                    nodes(below, found);
                }
            }
        }
        _ => {}
    }
}

/// The first expression of the primary key, which is the sorting key unless it is said.
fn first_key(order_by: &str, primary_key: &str) -> String {
    let key = if primary_key.is_empty() {
        order_by
    } else {
        primary_key
    };
    let inside = key
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'))
        .unwrap_or(key);
    crate::catalog::list(inside)
        .into_iter()
        .next()
        .map(|key| {
            key.strip_prefix('`')
                .and_then(|rest| rest.strip_suffix('`'))
                .map_or(key.clone(), |name| name.replace("\\`", "`"))
        })
        .unwrap_or_default()
}
