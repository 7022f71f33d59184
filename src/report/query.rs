//! Recipes and their answers: a table that fits a terminal, with a bar where it helps, or JSON.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use crate::recipe::{Answer, Recipe, Recipes};
use crate::report::{JSON_VERSION, QUIET, STRONG, Table, styled};

/// The widest bar, in characters.
const BAR: usize = 20;
/// No column is made narrower than this.
const NARROW: usize = 6;
/// What stands between two columns, and before the first.
const GAP: usize = 2;

/// The recipes that there are.
#[must_use]
pub fn list(recipes: &Recipes) -> String {
    let mut table = Table::new(&["recipe", "answers", "parameters"]);
    for recipe in recipes.iter() {
        let parameters: Vec<String> = recipe
            .parameters
            .iter()
            .map(|it| match &it.default {
                Some(value) => format!("{}={value}", it.name),
                None => it.name.clone(),
            })
            .collect();
        table.row(vec![
            styled(STRONG, &recipe.name),
            recipe.title.clone(),
            parameters.join(" "),
        ]);
    }
    table.to_string()
}

/// A recipe: what it answers, its parameters, its SELECT.
#[must_use]
pub fn show(recipe: &Recipe) -> String {
    let mut text = format!("{}\n", styled(STRONG, &recipe.title));
    for paragraph in recipe.meaning.split("\n\n") {
        let _ = writeln!(text, "\n{paragraph}");
    }
    if !recipe.parameters.is_empty() {
        text.push('\n');
        let mut table = Table::new(&["parameter", "type", "value", "meaning"]);
        for it in &recipe.parameters {
            let value = match &it.default {
                Some(value) if value.is_empty() => "default: empty".to_owned(),
                Some(value) => format!("default: {value}"),
                None => format!("like {}", it.example),
            };
            table.row(vec![
                it.name.clone(),
                it.r#type.clone(),
                value,
                it.meaning.clone(),
            ]);
        }
        text.push_str(&table.to_string());
    }
    let _ = writeln!(text, "\n{}", recipe.sql);
    text
}

/// An answer as a table, at most `width` characters wide if that can be.
#[must_use]
pub fn human(recipe: &Recipe, answer: &Answer, width: Option<usize>) -> String {
    table(answer, recipe.bar.as_deref(), width)
}

/// The rows as they are shown: numbers to the right, a bar behind the column that has one.
fn table(answer: &Answer, bar: Option<&str>, width: Option<usize>) -> String {
    if answer.rows.is_empty() {
        return "no rows\n".to_owned();
    }
    let cells: Vec<Vec<String>> = answer
        .rows
        .iter()
        .map(|row| row.iter().map(shown).collect())
        .collect();
    let mut widths: Vec<usize> = answer
        .columns
        .iter()
        .map(|column| length(&column.name))
        .collect();
    for row in &cells {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(length(cell));
        }
    }
    let barred = bar
        .and_then(|bar| answer.columns.iter().position(|column| column.name == bar))
        .filter(|at| greatest(answer, *at) > 0.0);
    let mut bar_width = if barred.is_some() { BAR } else { 0 };
    if let Some(width) = width {
        let total = |widths: &[usize], bar: usize| {
            widths.iter().map(|width| width + GAP).sum::<usize>()
                + if bar > 0 { bar + GAP } else { 0 }
        };
        if total(&widths, bar_width) > width {
            let over = total(&widths, bar_width) - width;
            bar_width = bar_width.saturating_sub(over);
            if bar_width < NARROW {
                bar_width = 0;
            }
        }
        while total(&widths, bar_width) > width {
            // The widest text gives way; numbers are shown whole or not at all.
            let widest = answer
                .columns
                .iter()
                .zip(&widths)
                .enumerate()
                .filter(|(_, (column, width))| !column.is_number() && **width > NARROW)
                .max_by_key(|(_, (_, width))| **width)
                .map(|(at, _)| at);
            let Some(widest) = widest else {
                return records(answer, &cells, width);
            };
            if let Some(width) = widths.get_mut(widest) {
                *width -= 1;
            }
        }
    }
    let mut text = String::new();
    let head: Vec<String> = answer
        .columns
        .iter()
        .map(|column| column.name.clone())
        .collect();
    let lines = std::iter::once((None, &head))
        .chain(cells.iter().enumerate().map(|(at, row)| (Some(at), row)));
    for (at, row) in lines {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let cell = cut(cell, *width);
            let pad = " ".repeat(width.saturating_sub(length(&cell)));
            let right = answer
                .columns
                .get(column)
                .is_some_and(crate::recipe::AnswerColumn::is_number);
            let (before, behind) = if right {
                (pad, String::new())
            } else {
                (String::new(), pad)
            };
            let cell = if at.is_none() {
                styled(QUIET, cell)
            } else {
                cell
            };
            let _ = write!(line, "{}{before}{cell}{behind}", " ".repeat(GAP));
            if Some(column) == barred && bar_width > 0 {
                let value = at
                    .and_then(|at| answer.rows.get(at))
                    .and_then(|row| row.get(column))
                    .and_then(Value::as_f64)
                    .unwrap_or(0.0);
                let share = value / greatest(answer, column);
                let _ = write!(line, "{}{}", " ".repeat(GAP), self::bar(share, bar_width));
            }
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// One value a line, where a table would be too wide.
fn records(answer: &Answer, cells: &[Vec<String>], width: usize) -> String {
    let names = answer
        .columns
        .iter()
        .map(|column| length(&column.name))
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for (at, row) in cells.iter().enumerate() {
        if at > 0 {
            text.push('\n');
        }
        for (column, cell) in answer.columns.iter().zip(row) {
            let pad = " ".repeat(names - length(&column.name));
            let room = width.saturating_sub(names + 2 * GAP).max(NARROW);
            let _ = writeln!(
                text,
                "  {}{pad}  {}",
                styled(QUIET, &column.name),
                cut(cell, room)
            );
        }
    }
    text
}

fn greatest(answer: &Answer, column: usize) -> f64 {
    answer
        .rows
        .iter()
        .filter_map(|row| row.get(column)?.as_f64())
        .fold(0.0, f64::max)
}

/// A bar of eighths, padded to its width.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of a few characters"
)]
fn bar(share: f64, width: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share.clamp(0.0, 1.0) * width as f64 * 8.0).round() as usize;
    let text = "█".repeat(eighths / 8) + EIGHTHS.get(eighths % 8).copied().unwrap_or_default();
    let pad = width.saturating_sub(text.chars().count());
    text + &" ".repeat(pad)
}

/// A value on one line.
#[must_use]
pub fn shown(value: &Value) -> String {
    let text = match value {
        Value::Null => return "—".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    // A terminal obeys control characters.
    text.chars()
        .map(|c| if c.is_control() { '␣' } else { c })
        .collect()
}

fn length(text: &str) -> usize {
    text.chars().count()
}

fn cut(text: &str, width: usize) -> String {
    if length(text) <= width {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    recipe: &'a str,
    title: &'a str,
    parameters: serde_json::Map<String, Value>,
    columns: &'a [crate::recipe::AnswerColumn],
    rows: &'a [Vec<Value>],
}

/// An answer as JSON.
#[must_use]
pub fn json(recipe: &Recipe, values: &[(String, String)], answer: &Answer) -> String {
    super::json(&Document {
        version: JSON_VERSION,
        recipe: &recipe.name,
        title: &recipe.title,
        parameters: values
            .iter()
            .map(|(name, value)| (name.clone(), Value::String(value.clone())))
            .collect(),
        columns: &answer.columns,
        rows: &answer.rows,
    })
}

#[derive(Serialize)]
struct ListJson<'a> {
    version: u32,
    recipes: Vec<RecipeJson<'a>>,
}

#[derive(Serialize)]
struct RecipeJson<'a> {
    name: &'a str,
    title: &'a str,
    meaning: &'a str,
    parameters: Vec<ParameterJson<'a>>,
    sql: &'a str,
}

#[derive(Serialize)]
struct ParameterJson<'a> {
    name: &'a str,
    r#type: &'a str,
    meaning: &'a str,
    default: Option<&'a str>,
    example: &'a str,
}

/// The recipes as JSON.
#[must_use]
pub fn list_json(recipes: &Recipes) -> String {
    super::json(&ListJson {
        version: JSON_VERSION,
        recipes: recipes
            .iter()
            .map(|recipe| RecipeJson {
                name: &recipe.name,
                title: &recipe.title,
                meaning: &recipe.meaning,
                parameters: recipe
                    .parameters
                    .iter()
                    .map(|it| ParameterJson {
                        name: &it.name,
                        r#type: &it.r#type,
                        meaning: &it.meaning,
                        default: it.default.as_deref(),
                        example: &it.example,
                    })
                    .collect(),
                sql: &recipe.sql,
            })
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::AnswerColumn;

    fn answer() -> Answer {
        let column = |name: &str, r#type: &str| AnswerColumn {
            name: name.to_owned(),
            r#type: r#type.to_owned(),
        };
        Answer {
            columns: vec![
                column("source", "String"),
                column("sessions", "UInt64"),
                column("user", "Nullable(String)"),
            ],
            rows: vec![
                vec!["facebook\nads".into(), 200.into(), Value::Null],
                vec![
                    "a rather long name of a source".into(),
                    25.into(),
                    "u".into(),
                ],
            ],
        }
    }

    #[test]
    fn bars_give_way_first_then_texts_then_the_table() {
        let shown = |width| {
            let text = table(&answer(), Some("sessions"), width);
            anstream::adapter::strip_str(&text).to_string()
        };
        insta::assert_snapshot!(shown(None), @"
          source                          sessions                        user
          facebook␣ads                         200  ████████████████████  —
          a rather long name of a source        25  ██▌                   u
        ");
        insta::assert_snapshot!(shown(Some(60)), @"
          source                          sessions              user
          facebook␣ads                         200  ██████████  —
          a rather long name of a source        25  █▎          u
        ");
        insta::assert_snapshot!(shown(Some(30)), @"
        source        sessions  user
        facebook␣ads       200  —
        a rather lo…        25  u
        ");
        insta::assert_snapshot!(shown(Some(18)), @"
        source    faceb…
        sessions  200
        user      —

        source    a rat…
        sessions  25
        user      u
        ");
    }
}
