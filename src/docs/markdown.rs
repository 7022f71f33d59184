//! `SCHEMA.md`: the schema as it is read where the code is: tables, columns, lineage in Mermaid, recipes. Pure.

use std::fmt::Write as _;

use crate::catalog::Place;
use crate::docs::escape::{
    anchor, markdown as text, markdown_block as block, markdown_code as code,
};
use crate::docs::{Column, Model, Object, mermaid};
use crate::recipe::{Answer, Recipe};

/// The rows of an answer that are shown.
const ROWS: usize = 6;

/// The page.
#[must_use]
pub(crate) fn markdown(model: &Model) -> String {
    let mut out = format!(
        "<!-- Written by `housewright docs`; what is changed here is lost. -->\n\n# {}\n\n",
        text(&model.database)
    );
    out.push_str("```mermaid\n");
    out.push_str(&mermaid(model));
    out.push_str("```\n\n");
    for (title, objects) in model.groups() {
        let links: Vec<String> = objects.iter().map(|object| link(&object.name)).collect();
        let _ = writeln!(out, "**{title}** {}  ", links.join(" · "));
    }
    if !model.recipes.is_empty() {
        out.push_str("**More** [Recipes](#recipes) · [Migrations](#migrations)\n");
    }
    for (title, objects) in model.groups() {
        let _ = writeln!(out, "\n## {title}");
        for object in objects {
            self::object(&mut out, object, model);
        }
    }
    if !model.recipes.is_empty() {
        out.push_str("\n## Recipes\n\nQuestions with a name: `housewright query NAME` asks them.");
        if model.recipes.iter().any(|(_, answer)| answer.is_some()) {
            out.push_str(" The answers here are those of generated events.");
        }
        out.push('\n');
        for (recipe, answer) in &model.recipes {
            self::recipe(&mut out, recipe, answer.as_ref());
        }
    }
    migrations(&mut out, model);
    out
}

fn link(name: &str) -> String {
    format!("[{}](#{})", code(name), anchor(name))
}

/// A link, if the object has a place on the page.
fn named(name: &str, model: &Model) -> String {
    if model.get(name).is_some() {
        link(name)
    } else {
        code(name)
    }
}

fn object(out: &mut String, object: &Object, model: &Model) {
    let _ = writeln!(
        out,
        "\n### <a id=\"{}\"></a>{}\n",
        anchor(&object.name),
        code(&object.name)
    );
    if !object.comment.is_empty() {
        let _ = writeln!(out, "{}\n", text(&object.comment));
    }
    for (label, value) in object.clauses.named() {
        let _ = writeln!(out, "- {label} {}", code(value));
    }
    if !object.parameters.is_empty() {
        let parameters: Vec<String> = object
            .parameters
            .iter()
            .map(|it| code(&format!("{} {}", it.name, it.r#type)))
            .collect();
        let _ = writeln!(out, "- Parameters {}", parameters.join(", "));
    }
    for (label, names) in [("From", &object.from), ("Into", &object.into)] {
        if !names.is_empty() {
            let names: Vec<String> = names.iter().map(|name| named(name, model)).collect();
            let _ = writeln!(out, "- {label} {}", names.join(", "));
        }
    }
    if let Some(origins) = object.decided_by.as_ref().filter(|it| !it.is_empty()) {
        let places: Vec<String> = origins
            .iter()
            .map(|origin| code(&origin.place.to_string()))
            .collect();
        let _ = writeln!(out, "- Its rows are decided by {}", places.join(", "));
    }
    if !object.columns.is_empty() {
        out.push_str("\n| column | type | meaning | comes from |\n|---|---|---|---|\n");
        for column in &object.columns {
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} |",
                code(&column.name),
                code(&column.r#type),
                text(&column.comment),
                origin(column)
            );
        }
    }
    let _ = write!(
        out,
        "\n<details><summary>Definition</summary>\n\n{}\n</details>\n",
        block("sql", &object.definition)
    );
}

/// In a cell: what fills a column.
fn origin(column: &Column) -> String {
    if column.is_unknown() {
        return "unknown".to_owned();
    }
    let sources = column.sources();
    if !sources.is_empty() {
        let places: Vec<String> = sources.iter().map(from).collect();
        return places.join(", ");
    }
    match column.default.as_str() {
        "" => String::new(),
        "DEFAULT" => format!("if not sent: {}", code(&column.expression)),
        kind => format!("{kind} {}", code(&column.expression)),
    }
}

fn from(place: &Place) -> String {
    if place.column == "*" {
        return format!("rows of {}", code(&place.object));
    }
    code(&place.to_string())
}

fn recipe(out: &mut String, recipe: &Recipe, answer: Option<&Answer>) {
    let _ = writeln!(
        out,
        "\n### {}\n\n{}",
        text(&recipe.title),
        code(&format!("housewright query {}", recipe.name))
    );
    for paragraph in recipe.meaning.split("\n\n").filter(|it| !it.is_empty()) {
        let _ = writeln!(out, "\n{}", text(paragraph));
    }
    if !recipe.parameters.is_empty() {
        out.push_str("\n| parameter | type | | meaning |\n|---|---|---|---|\n");
        for it in &recipe.parameters {
            let value = match &it.default {
                Some(value) if value.is_empty() => "default: empty".to_owned(),
                Some(value) => format!("default: {}", code(value)),
                None => format!("like {}", code(&it.example)),
            };
            let _ = writeln!(
                out,
                "| {} | {} | {value} | {} |",
                code(&it.name),
                code(&it.r#type),
                text(&it.meaning)
            );
        }
    }
    if let Some(answer) = answer.filter(|answer| !answer.rows.is_empty()) {
        let head: Vec<String> = answer.columns.iter().map(|it| text(&it.name)).collect();
        let rule: Vec<&str> = answer
            .columns
            .iter()
            .map(|it| if it.is_number() { "---:" } else { "---" })
            .collect();
        let _ = writeln!(out, "\n| {} |\n|{}|", head.join(" | "), rule.join("|"));
        for row in answer.rows.iter().take(ROWS) {
            let cells: Vec<String> = row.iter().map(|value| text(&shown(value))).collect();
            let _ = writeln!(out, "| {} |", cells.join(" | "));
        }
        if answer.rows.len() > ROWS {
            let _ = writeln!(out, "\n… and {} more", answer.rows.len() - ROWS);
        }
    }
    let _ = write!(
        out,
        "\n<details><summary>Query</summary>\n\n{}\n</details>\n",
        block("sql", &recipe.sql)
    );
}

fn migrations(out: &mut String, model: &Model) {
    if model.migrations.is_empty() {
        return;
    }
    out.push_str("\n## Migrations\n\n| version | name | does |\n|---|---|---|\n");
    for change in &model.migrations {
        let does: Vec<String> = change
            .statements
            .iter()
            .map(|statement| {
                let names: Vec<String> = statement
                    .objects
                    .iter()
                    .map(|name| named(name, model))
                    .collect();
                let into = statement
                    .into
                    .as_ref()
                    .map(|name| format!(" into {}", named(name, model)))
                    .unwrap_or_default();
                format!("{} {}{into}", text(&statement.label), names.join(", "))
            })
            .collect();
        let _ = writeln!(
            out,
            "| {:04} | {} | {} |",
            change.version,
            code(&change.name),
            does.join("<br>")
        );
    }
}

/// A value as text; NULL as a dash.
pub(super) fn shown(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Null => "—".to_owned(),
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
