//! An object or a column on one screen, or as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::docs::{Column, Model, Object, Sample, object_json};
use crate::report::{
    BAD, GOOD, JSON_VERSION, QUIET, STRONG, Table, WAITING, bytes, duration, lineage, styled,
    thousands,
};
use crate::survey::{Access, Speed, TELLING, Use};

/// What is explained, and by what.
#[derive(Clone, Copy, Debug)]
pub struct Explained<'a> {
    /// The schema.
    pub model: &'a Model,
    /// The object.
    pub object: &'a Object,
    /// The column, if only one is meant.
    pub column: Option<&'a Column>,
    /// Values of its columns.
    pub samples: &'a BTreeMap<String, Sample>,
    /// Conditions on it.
    pub access: &'a [Access],
}

/// For a person; texts are cut to the width of the terminal.
#[must_use]
pub fn human(explained: &Explained<'_>, width: Option<usize>) -> String {
    match explained.column {
        None => object(explained, width),
        Some(column) => self::column(explained, column, width),
    }
}

fn object(explained: &Explained<'_>, width: Option<usize>) -> String {
    let object = explained.object;
    let mut text = format!(
        "{}  {}\n",
        styled(STRONG, &object.name),
        styled(QUIET, object.kind.label())
    );
    said(&mut text, &object.comment, width);
    let mut facts = Facts::of(width);
    let clauses = &object.clauses;
    facts.add("engine", &clauses.engine);
    facts.add("partition by", &clauses.partition_by);
    facts.add("order by", &clauses.order_by);
    facts.add("primary key", &clauses.primary_key);
    facts.add("sample by", &clauses.sample_by);
    facts.add("ttl", &clauses.ttl);
    let parameters: Vec<String> = object
        .parameters
        .iter()
        .map(|it| format!("{} {}", it.name, it.r#type))
        .collect();
    facts.add("asked with", &parameters.join(", "));
    facts.add("comes from", &object.from.join(", "));
    facts.add("goes into", &object.into.join(", "));
    if let Some(origins) = &object.decided_by {
        let places: Vec<String> = origins.iter().map(|it| it.place.to_string()).collect();
        facts.add("rows decided by", &places.join(", "));
    }
    facts.add("changed by", &changes(explained, None));
    let recipes: Vec<&str> = explained
        .model
        .recipes
        .iter()
        .filter(|(recipe, _)| crate::catalog::references(&recipe.sql).contains(&object.name))
        .map(|(recipe, _)| recipe.name.as_str())
        .collect();
    facts.add("asked by recipes", &recipes.join(", "));
    if let Some(figures) = &object.figures {
        facts.add("rows", &thousands(figures.rows));
        facts.add(
            "on disk",
            &format!(
                "{} of {} uncompressed, {} in {}",
                bytes(figures.bytes),
                bytes(figures.uncompressed),
                super::count(usize::try_from(figures.parts).unwrap_or(usize::MAX), "part"),
                super::count(
                    usize::try_from(figures.partitions).unwrap_or(usize::MAX),
                    "partition"
                ),
            ),
        );
        facts.add(
            "last written",
            &format!(
                "{} UTC, {} ago",
                figures.written,
                duration(std::time::Duration::from_secs(figures.age))
            ),
        );
    }
    text.push_str(&facts.text);
    if !object.columns.is_empty() {
        text.push('\n');
        let mut table = Table::new(&["column", "type", "comes from", "meaning"]);
        // The meaning takes what is left of the line.
        let shown: Vec<[String; 3]> = object
            .columns
            .iter()
            .map(|column| {
                [
                    one_line(&column.name),
                    cut(&one_line(&column.r#type), 28),
                    cut(&from(column), 34),
                ]
            })
            .collect();
        let taken: usize = (0..3)
            .map(|at| {
                let widths = shown.iter().filter_map(|row| row.get(at));
                widths
                    .map(|cell| cell.chars().count())
                    .max()
                    .unwrap_or(0)
                    .max(10)
                    + 2
            })
            .sum();
        let room = width.map_or(usize::MAX, |width| width.saturating_sub(taken + 4).max(16));
        for (column, [name, r#type, from]) in object.columns.iter().zip(shown) {
            table.row(vec![
                name,
                r#type,
                from,
                cut(&one_line(&column.comment), room),
            ]);
        }
        text.push_str(&table.to_string());
    }
    queries(&mut text, explained.access, width);
    text
}

fn column(explained: &Explained<'_>, column: &Column, width: Option<usize>) -> String {
    let object = explained.object;
    let mut text = format!(
        "{}  {}\n",
        styled(STRONG, format!("{}.{}", object.name, column.name)),
        styled(QUIET, one_line(&column.r#type))
    );
    said(&mut text, &column.comment, width);
    let mut facts = Facts::of(width);
    if !column.default.is_empty() {
        facts.add(
            &column.default.to_lowercase(),
            &one_line(&column.expression),
        );
    }
    facts.add("codec", &column.codec);
    if column.in_sorting_key {
        facts.add("in order by", &object.clauses.order_by);
    }
    if column.in_partition_key {
        facts.add("in partition by", &object.clauses.partition_by);
    }
    facts.add(
        "changed by",
        &changes(explained, Some(&column.trace.place.column)),
    );
    if let Some(sample) = explained.samples.get(&column.name) {
        let values: Vec<String> = sample
            .values
            .iter()
            .map(|it| cut(&one_line(it), 40))
            .collect();
        facts.add("values", &values.join(" · "));
        facts.add("distinct", &thousands(sample.distinct));
    }
    if let Some(figures) = &column.figures {
        facts.add(
            "on disk",
            &format!(
                "{} of {} uncompressed",
                bytes(figures.bytes),
                bytes(figures.uncompressed)
            ),
        );
    }
    text.push_str(&facts.text);
    if !column.trace.steps.is_empty() {
        text.push('\n');
        text.push_str(&lineage::human(std::slice::from_ref(&column.trace), None));
    }
    let about: Vec<Access> = explained
        .access
        .iter()
        .filter(|access| access.columns.contains(&column.name))
        .cloned()
        .collect();
    queries(&mut text, &about, width);
    text
}

fn said(text: &mut String, comment: &str, width: Option<usize>) {
    for line in wrapped(&one_line(comment), width) {
        let _ = writeln!(text, "{line}");
    }
    text.push('\n');
}

/// `name  value` lines under each other.
struct Facts {
    text: String,
    width: Option<usize>,
}

impl Facts {
    /// Before a value.
    const INDENT: usize = 19;

    fn of(width: Option<usize>) -> Self {
        Self {
            text: String::new(),
            width,
        }
    }

    fn add(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            return;
        }
        let room = self
            .width
            .map(|width| width.saturating_sub(Self::INDENT).max(20));
        for (at, line) in wrapped(value, room).into_iter().enumerate() {
            let name = if at == 0 { name } else { "" };
            let pad = " ".repeat((Self::INDENT - 2).saturating_sub(name.chars().count()));
            let _ = writeln!(self.text, "  {}{pad}{line}", styled(QUIET, name));
        }
    }
}

/// A text in lines of at most some characters, cut between words.
fn wrapped(text: &str, width: Option<usize>) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line)
                if width.is_none_or(|width| {
                    line.chars().count() + 1 + word.chars().count() <= width
                }) =>
            {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.retain(|line| !line.is_empty());
    lines
}

fn queries(text: &mut String, access: &[Access], width: Option<usize>) {
    if access.is_empty() {
        return;
    }
    let _ = writeln!(text, "\nqueries, as the engine's index analysis has them");
    let scans: Vec<&str> = access
        .iter()
        .filter(|it| it.speed == Speed::Scans)
        .flat_map(|it| it.columns.iter().map(String::as_str))
        .collect();
    let lines: Vec<(&Access, String)> = access
        .iter()
        .filter(|it| it.speed != Speed::Scans || it.recipe.is_some())
        .map(|it| {
            let asks = match &it.recipe {
                Some(recipe) => format!("recipe {recipe}"),
                None => it.condition.clone(),
            };
            (it, cut(&one_line(&asks), 60))
        })
        .collect();
    let longest = lines.iter().map(|(_, asks)| asks.chars().count()).max();
    for (it, asks) in lines {
        let style = match it.speed {
            Speed::Fast => GOOD,
            Speed::Prunes => WAITING,
            Speed::Scans => BAD,
        };
        let uses: Vec<String> = it.uses.iter().map(used).collect();
        let pad = " ".repeat(longest.unwrap_or(0).saturating_sub(asks.chars().count()));
        let how = format!("{}{}", uses.join(", "), granules(it));
        let line = format!(
            "  {}{}{asks}{pad}  {}",
            styled(style, it.speed.label()),
            " ".repeat(8 - it.speed.label().len()),
            styled(QUIET, how.trim_start_matches("; "))
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
    if scans.is_empty() {
        return;
    }
    let room = width.map(|width| width.saturating_sub(10).max(20));
    for (at, line) in wrapped(&format!("by {} alone", scans.join(", ")), room)
        .into_iter()
        .enumerate()
    {
        if at == 0 {
            let _ = writeln!(text, "  {}   {line}", styled(BAD, "scans"));
        } else {
            let _ = writeln!(text, "          {line}");
        }
    }
}

/// How much is read, where there is enough to tell.
fn granules(it: &Access) -> String {
    let (read, all) = it.granules;
    if all < TELLING {
        return String::new();
    }
    format!("; {} of {} granules", thousands(read), thousands(all))
}

fn used(it: &Use) -> String {
    if it.keys.is_empty() {
        return format!("{} of {}", it.index, it.table);
    }
    format!("{} of {} ({})", it.index, it.table, it.keys.join(", "))
}

/// The migrations, each with what it does.
fn changes(explained: &Explained<'_>, column: Option<&str>) -> String {
    let changes = explained.model.changes(&explained.object.name, column);
    let shown: Vec<String> = changes
        .iter()
        .map(|(version, name, statement)| format!("{version:04}_{name} ({})", statement.label))
        .collect();
    shown.join(", ")
}

/// What fills a column, in few words.
fn from(column: &Column) -> String {
    if column.is_unknown() {
        return "unknown".to_owned();
    }
    let sources = column.sources();
    if !sources.is_empty() {
        let places: Vec<String> = sources.iter().map(ToString::to_string).collect();
        return places.join(", ");
    }
    if column.default.is_empty() {
        return "—".to_owned();
    }
    column.default.to_lowercase()
}

fn one_line(text: &str) -> String {
    // A terminal obeys control characters.
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars()
        .take(width.saturating_sub(1))
        .chain(['…'])
        .collect()
}

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    target: Option<&'a str>,
    object: serde_json::Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<&'a str>,
    changes: Vec<ChangeJson<'a>>,
    values: BTreeMap<&'a str, ValuesJson<'a>>,
    queries: Vec<QueryJson<'a>>,
}

#[derive(Serialize)]
struct ChangeJson<'a> {
    version: u64,
    name: &'a str,
    label: &'a str,
}

#[derive(Serialize)]
struct ValuesJson<'a> {
    values: &'a [String],
    distinct: u64,
}

#[derive(Serialize)]
struct QueryJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    recipe: Option<&'a str>,
    condition: &'a str,
    columns: &'a [String],
    speed: &'static str,
    uses: Vec<UseJson<'a>>,
    granules_read: u64,
    granules: u64,
}

#[derive(Serialize)]
struct UseJson<'a> {
    table: &'a str,
    index: &'a str,
    keys: &'a [String],
}

/// For a program. `object` is as in schema.json, with one column if one is meant.
#[must_use]
pub fn json(explained: &Explained<'_>) -> String {
    let column = explained.column.map(|column| column.name.as_str());
    let place = explained.column.map(|it| it.trace.place.column.as_str());
    let wanted = |name: &str| column.is_none_or(|column| column == name);
    let mut object = object_json(explained.object);
    if let (Some(column), Some(columns)) = (
        column,
        object
            .get_mut("columns")
            .and_then(serde_json::Value::as_array_mut),
    ) {
        columns.retain(|it| it.get("name").and_then(serde_json::Value::as_str) == Some(column));
    }
    super::json(&Document {
        version: JSON_VERSION,
        target: explained.model.target.as_deref(),
        object,
        column,
        changes: explained
            .model
            .changes(&explained.object.name, place)
            .into_iter()
            .map(|(version, name, statement)| ChangeJson {
                version,
                name,
                label: &statement.label,
            })
            .collect(),
        values: explained
            .samples
            .iter()
            .filter(|(name, _)| wanted(name))
            .map(|(name, sample)| {
                (
                    name.as_str(),
                    ValuesJson {
                        values: &sample.values,
                        distinct: sample.distinct,
                    },
                )
            })
            .collect(),
        queries: explained
            .access
            .iter()
            .filter(|it| column.is_none_or(|column| it.columns.iter().any(|it| it == column)))
            .map(|it| QueryJson {
                recipe: it.recipe.as_deref(),
                condition: &it.condition,
                columns: &it.columns,
                speed: it.speed.label(),
                uses: it
                    .uses
                    .iter()
                    .map(|it| UseJson {
                        table: &it.table,
                        index: &it.index,
                        keys: &it.keys,
                    })
                    .collect(),
                granules_read: it.granules.0,
                granules: it.granules.1,
            })
            .collect(),
    })
}
