//! `index.html`: one file that needs no network. Everything is there without a script, which only searches, lights up and remembers.
//!
//! What the schema says goes through `escape::html`, and a policy of the page itself allows no script and no style but its own, by their
//! hashes, and no connection at all.

mod object;

use std::fmt::Write as _;

use base64::Engine as _;
use sha2::{Digest, Sha256};

use crate::docs::escape::{anchor, html as text, prose};
use crate::docs::markdown::shown;
use crate::docs::sql::highlighted;
use crate::docs::svg::{self, number};
use crate::docs::{Model, svg::class};
use crate::recipe::{Answer, Recipe};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
const THEME: &str = include_str!("theme.js");

/// The rows of an answer that are shown.
const ROWS: usize = 12;

/// The page.
#[must_use]
pub(crate) fn html(model: &Model) -> String {
    let style = format!("{STYLE}{}", svg::STYLE);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src {} {}; style-src {}; img-src data:; base-uri 'none'; form-action 'none'\">\n<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<meta name=\"generator\" content=\"housewright\">\n<link rel=\"icon\" href=\"data:,\">\n<title>{} – schema</title>\n<style>{style}</style>\n<script>{THEME}</script>\n</head>\n<body>\n",
        hash(THEME),
        hash(SCRIPT),
        hash(&style),
        text(&model.database),
    );
    head(&mut out, model);
    out.push_str("<div class=\"page\">\n");
    side(&mut out, model);
    out.push_str("<main id=\"main\">\n");
    start(&mut out, model);
    map(&mut out, model);
    for (title, objects) in model.groups() {
        let _ = writeln!(
            out,
            "<section aria-labelledby=\"part:{0}\"><h2 id=\"part:{0}\">{title}</h2>",
            title.split(' ').next().unwrap_or_default().to_lowercase()
        );
        for it in objects {
            object::object(&mut out, it, model);
        }
        out.push_str("</section>\n");
    }
    recipes(&mut out, model);
    migrations(&mut out, model);
    out.push_str(
        "<p class=\"end\">Written by <code>housewright docs</code> from the migrations. It needs no network and asks nobody.</p>\n</main>\n</div>\n<script>",
    );
    out.push_str(SCRIPT);
    out.push_str("</script>\n</body>\n</html>\n");
    out
}

/// A script or a style, as a policy allows it.
fn hash(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    format!(
        "'sha256-{}'",
        base64::engine::general_purpose::STANDARD.encode(digest)
    )
}

fn head(out: &mut String, model: &Model) {
    let _ = writeln!(
        out,
        "<a class=\"skip\" href=\"#main\">Skip to the schema</a>\n<header class=\"top\"><a class=\"brand\" href=\"#main\">{}</a><div class=\"find\"><input type=\"text\" role=\"combobox\" aria-label=\"Search tables, columns, recipes\" aria-autocomplete=\"list\" aria-expanded=\"false\" aria-controls=\"hits\" autocomplete=\"off\" spellcheck=\"false\" placeholder=\"Search  /\"><ul class=\"hits\" id=\"hits\" role=\"listbox\" aria-label=\"What was found\" hidden></ul></div><button class=\"theme\" type=\"button\">Dark</button></header>",
        text(&model.database)
    );
}

fn side(out: &mut String, model: &Model) {
    out.push_str(
        "<nav class=\"side\" aria-label=\"The schema\"><details open><summary>Contents</summary>\n",
    );
    for (title, objects) in model.groups() {
        let _ = write!(out, "<p>{title}</p><ul>");
        for object in objects {
            let _ = write!(
                out,
                "<li><a href=\"#{}\">{}</a></li>",
                anchor(&object.name),
                text(&object.name)
            );
        }
        out.push_str("</ul>\n");
    }
    if !model.recipes.is_empty() {
        out.push_str("<p>Recipes</p><ul>");
        for (recipe, _) in &model.recipes {
            let _ = write!(
                out,
                "<li><a href=\"#recipe:{}\">{}</a></li>",
                anchor(&recipe.name),
                text(&recipe.title)
            );
        }
        out.push_str("</ul>\n");
    }
    out.push_str(
        "<p>History</p><ul><li><a href=\"#part:history\">Migrations</a></li></ul>\n</details></nav>\n",
    );
}

fn start(out: &mut String, model: &Model) {
    let counted = |number: usize, one: &str, many: &str| {
        format!("{number} {}", if number == 1 { one } else { many })
    };
    let mut parts: Vec<String> = model
        .groups()
        .into_iter()
        .map(|(title, objects)| {
            let title = title.to_lowercase();
            let one = match title.strip_suffix("ies") {
                Some(stem) => format!("{stem}y"),
                None => title.trim_end_matches('s').to_owned(),
            };
            counted(objects.len(), &one, &title)
        })
        .collect();
    if !model.recipes.is_empty() {
        parts.push(counted(model.recipes.len(), "recipe", "recipes"));
    }
    parts.push(counted(model.migrations.len(), "migration", "migrations"));
    let last = parts.pop().unwrap_or_default();
    let _ = writeln!(
        out,
        "<h1>{}</h1>\n<p class=\"lede\">{} and {last}.</p>",
        text(&model.database),
        parts.join(", ")
    );
    if let Some(target) = &model.target {
        let _ = writeln!(
            out,
            "<p class=\"note\">Sizes and freshness are those of {}.</p>",
            text(target)
        );
    }
    let views: Vec<_> = model
        .objects
        .iter()
        .filter(|object| class(object.kind) == "view" && !object.comment.is_empty())
        .take(6)
        .collect();
    if !views.is_empty() {
        out.push_str("<ul class=\"start\">");
        for view in views {
            let _ = write!(
                out,
                "<li><a href=\"#{}\"><code>{}</code></a><p>{}</p></li>",
                anchor(&view.name),
                text(&view.name),
                prose(&view.comment)
            );
        }
        out.push_str("</ul>\n");
    }
}

fn map(out: &mut String, model: &Model) {
    if model.objects.is_empty() {
        return;
    }
    out.push_str("<section aria-labelledby=\"part:lineage\"><h2 id=\"part:lineage\">Where data comes from</h2>\n<figure><div class=\"canvas\" role=\"region\" aria-label=\"Lineage\" tabindex=\"0\">\n");
    out.push_str(&svg::inline(model));
    out.push_str("</div>\n<figcaption><span class=\"said\" aria-live=\"polite\">Data flows to the right. Choose an object to see all that it comes from and goes into; choose it again to read about it.</span><span class=\"legend\">");
    for (shape, label) in [
        (
            "<rect class=\"mark\" x=\"1\" y=\"1\" width=\"9\" height=\"9\" rx=\"1.5\"/>",
            "table",
        ),
        (
            "<path class=\"mark\" d=\"M1 .5L10 5.5L1 10.5Z\"/>",
            "materialized view",
        ),
        (
            "<circle class=\"mark\" cx=\"5.5\" cy=\"5.5\" r=\"5\"/>",
            "view",
        ),
    ] {
        let class = if label == "materialized view" {
            "trigger"
        } else {
            label
        };
        let _ = write!(
            out,
            "<span><svg class=\"map\" viewBox=\"0 0 11 11\" aria-hidden=\"true\"><g class=\"{class}\">{shape}</g></svg>{label}</span>"
        );
    }
    out.push_str("</span></figcaption></figure>\n</section>\n");
}

fn recipes(out: &mut String, model: &Model) {
    if model.recipes.is_empty() {
        return;
    }
    out.push_str(
        "<section aria-labelledby=\"part:recipes\"><h2 id=\"part:recipes\">Recipes</h2>\n",
    );
    if model.recipes.iter().any(|(_, answer)| answer.is_some()) {
        out.push_str("<p class=\"note\">The answers are those of generated events; with <code>--target</code> a recipe is asked on yours.</p>\n");
    }
    for (recipe, answer) in &model.recipes {
        self::recipe(out, recipe, answer.as_ref());
    }
    out.push_str("</section>\n");
}

fn recipe(out: &mut String, recipe: &Recipe, answer: Option<&Answer>) {
    let _ = writeln!(
        out,
        "<article class=\"recipe\" id=\"recipe:{}\" data-f=\"recipe\" data-n=\"{title}\"><h3>{title}</h3>",
        anchor(&recipe.name),
        title = text(&recipe.title)
    );
    for (index, paragraph) in recipe.meaning.split("\n\n").enumerate() {
        let class = if index == 0 { " class=\"m\"" } else { "" };
        let _ = writeln!(out, "<p{class}>{}</p>", prose(paragraph));
    }
    let mut command = format!("housewright query {}", recipe.name);
    for parameter in recipe.parameters.iter().filter(|it| it.default.is_none()) {
        let _ = write!(command, " --param {}={}", parameter.name, parameter.example);
    }
    let _ = writeln!(out, "<code class=\"cmd\">{}</code>", text(&command));
    if !recipe.parameters.is_empty() {
        out.push_str("<dl class=\"facts\">");
        for it in &recipe.parameters {
            let value = match &it.default {
                Some(value) if value.is_empty() => " (empty if not given)".to_owned(),
                Some(value) => format!(" (<code>{}</code> if not given)", text(value)),
                None => String::new(),
            };
            let _ = write!(
                out,
                "<dt><code>{}</code></dt><dd>{}{value} <code class=\"tag\">{}</code></dd>",
                text(&it.name),
                prose(&it.meaning),
                text(&it.r#type)
            );
        }
        out.push_str("</dl>\n");
    }
    if let Some(answer) = answer.filter(|answer| !answer.rows.is_empty()) {
        rows(out, answer, recipe.bar.as_deref(), &recipe.title);
    }
    let _ = writeln!(
        out,
        "<details class=\"more\"><summary>Query</summary><pre tabindex=\"0\"><code>{}</code></pre></details>\n</article>",
        highlighted(&recipe.sql)
    );
}

fn rows(out: &mut String, answer: &Answer, bar: Option<&str>, title: &str) {
    let greatest = answer
        .columns
        .iter()
        .position(|column| Some(column.name.as_str()) == bar)
        .map(|at| {
            let values = answer.rows.iter().filter_map(|row| row.get(at)?.as_f64());
            (at, values.fold(0.0, f64::max))
        })
        .filter(|(_, greatest)| *greatest > 0.0);
    let _ = write!(
        out,
        "<div class=\"scroll\" role=\"region\" aria-label=\"Answer: {}\" tabindex=\"0\"><table class=\"rows\"><thead><tr>",
        text(title)
    );
    for (at, column) in answer.columns.iter().enumerate() {
        let class = if column.is_number() {
            " class=\"n\""
        } else {
            ""
        };
        let _ = write!(out, "<th scope=\"col\"{class}>{}</th>", text(&column.name));
        if greatest.is_some_and(|(bar, _)| bar == at) {
            out.push_str("<td class=\"bar\"></td>");
        }
    }
    out.push_str("</tr></thead><tbody>\n");
    for row in answer.rows.iter().take(ROWS) {
        out.push_str("<tr>");
        for (at, (column, value)) in answer.columns.iter().zip(row).enumerate() {
            let class = if column.is_number() {
                " class=\"n\""
            } else {
                ""
            };
            let _ = write!(out, "<td{class}>{}</td>", text(&shown(value)));
            if let Some((_, greatest)) = greatest.filter(|(bar, _)| *bar == at) {
                let share = value.as_f64().unwrap_or(0.0) / greatest * 100.0;
                let _ = write!(
                    out,
                    "<td class=\"bar\"><svg viewBox=\"0 0 100 9\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect width=\"{}\" height=\"9\"/></svg></td>",
                    number(share)
                );
            }
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
    if answer.rows.len() > ROWS {
        let _ = writeln!(
            out,
            "<p class=\"note\">and {} more</p>",
            answer.rows.len() - ROWS
        );
    }
}

fn migrations(out: &mut String, model: &Model) {
    out.push_str("<section aria-labelledby=\"part:history\"><h2 id=\"part:history\">Migrations</h2>\n<ol class=\"time\">\n");
    for change in &model.migrations {
        let _ = writeln!(
            out,
            "<li id=\"migration:{}\" data-f=\"migration\" data-n=\"{name}\"><h3><span>{:04}</span>{name}</h3>",
            change.version,
            change.version,
            name = text(&change.name)
        );
        if !change.comment.is_empty() {
            let _ = writeln!(out, "<p class=\"m\">{}</p>", prose(&change.comment));
        }
        out.push_str("<ol>");
        for statement in &change.statements {
            let names: Vec<String> = statement
                .objects
                .iter()
                .map(|name| object::named(name, model))
                .collect();
            let into = statement
                .into
                .as_ref()
                .map(|name| {
                    format!(
                        " <span class=\"k\">into</span> {}",
                        object::named(name, model)
                    )
                })
                .unwrap_or_default();
            let _ = write!(
                out,
                "<li><span class=\"k\">{}</span> {}{into}</li>",
                text(&statement.label),
                names.join(", ")
            );
        }
        out.push_str("</ol>\n");
        if !change.has_down {
            out.push_str("<p class=\"note\">It cannot be taken back.</p>\n");
        }
        let sql: Vec<&str> = change.statements.iter().map(|it| it.sql.as_str()).collect();
        let _ = writeln!(
            out,
            "<details class=\"more\"><summary>Statements</summary><pre tabindex=\"0\"><code>{};</code></pre></details>\n</li>",
            highlighted(&sql.join(";\n\n"))
        );
    }
    out.push_str("</ol>\n</section>\n");
}
