//! An object of the page: meaning, facts, columns, definition.

use std::fmt::Write as _;

use crate::catalog::{DefinitionKind, Origin, Place, Role, Step, Trace};
use crate::diagnostic::{bytes, thousands};
use crate::docs::escape::{anchor, html as text, prose};
use crate::docs::sql::highlighted;
use crate::docs::svg::{class, number};
use crate::docs::{Column, Figures, Model, Object};

/// A value that is longer is cut.
const LONG: usize = 48;

pub(super) fn object(out: &mut String, object: &Object, model: &Model) {
    let id = anchor(&object.name);
    let _ = writeln!(
        out,
        "<article class=\"obj\" id=\"{id}\" data-f=\"{kind}\" data-n=\"{name}\"><p class=\"kind {}\">{kind}</p><h3><code>{name}</code></h3>",
        class(object.kind),
        kind = object.kind.label(),
        name = text(&object.name),
    );
    if !object.comment.is_empty() {
        let _ = writeln!(out, "<p class=\"m\">{}</p>", prose(&object.comment));
    }
    facts(out, object, model);
    columns(out, object, model);
    let _ = writeln!(
        out,
        "<details class=\"more\"><summary>Definition</summary><pre tabindex=\"0\"><code>{}</code></pre></details>\n</article>",
        highlighted(&object.definition)
    );
}

fn facts(out: &mut String, object: &Object, model: &Model) {
    let mut facts: Vec<(&str, String)> = Vec::new();
    for (label, value) in object.clauses.named() {
        facts.push((label, format!("<code>{}</code>", text(value))));
    }
    if !object.parameters.is_empty() {
        let parameters: Vec<String> = object
            .parameters
            .iter()
            .map(|it| {
                format!(
                    "<code>{}</code> <code class=\"tag\">{}</code>",
                    text(&it.name),
                    text(&it.r#type)
                )
            })
            .collect();
        facts.push(("Asked with", parameters.join(", ")));
    }
    for (label, names) in [("Comes from", &object.from), ("Goes into", &object.into)] {
        if !names.is_empty() {
            let names: Vec<String> = names.iter().map(|name| named(name, model)).collect();
            facts.push((label, names.join(", ")));
        }
    }
    if let Some(origins) = object.decided_by.as_ref().filter(|it| !it.is_empty()) {
        let places: Vec<String> = origins
            .iter()
            .map(|origin| place(&origin.place, model))
            .collect();
        facts.push(("Rows decided by", places.join(", ")));
    }
    if !object.versions.is_empty() {
        let versions: Vec<String> = object
            .versions
            .iter()
            .map(|version| format!("<a href=\"#migration:{version}\">{version:04}</a>"))
            .collect();
        facts.push(("Migrations", versions.join(", ")));
    }
    if let Some(figures) = &object.figures {
        held(&mut facts, figures);
    }
    if facts.is_empty() {
        return;
    }
    out.push_str("<dl class=\"facts\">");
    for (label, value) in facts {
        let _ = write!(out, "<dt>{label}</dt><dd>{value}</dd>");
    }
    out.push_str("</dl>\n");
}

fn held(facts: &mut Vec<(&str, String)>, figures: &Figures) {
    facts.push(("Rows", thousands(figures.rows)));
    facts.push((
        "On disk",
        format!(
            "{}, {} in {} {} of {} {}",
            bytes(figures.bytes),
            ratio(figures.bytes, figures.uncompressed),
            thousands(figures.parts),
            if figures.parts == 1 { "part" } else { "parts" },
            thousands(figures.partitions),
            if figures.partitions == 1 {
                "partition"
            } else {
                "partitions"
            },
        ),
    ));
    if !figures.written.is_empty() {
        facts.push((
            "Last written",
            format!(
                "{} UTC, {} before this page",
                text(&figures.written),
                age(figures.age)
            ),
        ));
    }
}

fn columns(out: &mut String, object: &Object, model: &Model) {
    if object.columns.is_empty() {
        return;
    }
    let greatest = object
        .columns
        .iter()
        .filter_map(|column| column.figures.as_ref())
        .map(|figures| figures.uncompressed.max(figures.bytes))
        .max()
        .filter(|greatest| *greatest > 0);
    let _ = writeln!(
        out,
        "<div class=\"cols{}\"><table><thead><tr><th scope=\"col\">Column</th><th scope=\"col\">Type</th><th scope=\"col\">Meaning</th><th scope=\"col\">Comes from</th>{}</tr></thead><tbody>",
        if greatest.is_some() { " held" } else { "" },
        if greatest.is_some() {
            "<th scope=\"col\">On disk</th>"
        } else {
            ""
        }
    );
    for column in &object.columns {
        let id = format!("{}.{}", anchor(&object.name), anchor(&column.name));
        let mut tags = String::new();
        for (says, tag) in [
            (column.in_sorting_key, "sorted"),
            (column.in_partition_key, "partitions"),
        ] {
            if says {
                let _ = write!(tags, "<span class=\"tag\">{tag}</span>");
            }
        }
        let codec = if column.codec.is_empty() {
            String::new()
        } else {
            format!("<br><code class=\"tag\">{}</code>", text(&column.codec))
        };
        let _ = write!(
            out,
            "<tr id=\"{id}\" data-f=\"column\" data-n=\"{}\"><th scope=\"row\"><a href=\"#{id}\"><code>{}</code></a> {tags}</th><td class=\"t\"><code>{}</code>{codec}</td><td>",
            text(&format!("{}.{}", object.name, column.name)),
            text(&column.name),
            text(&column.r#type),
        );
        if !column.comment.is_empty() {
            let _ = write!(out, "<span class=\"m\">{}</span>", prose(&column.comment));
        }
        sample(out, column);
        let _ = write!(
            out,
            "</td><td class=\"f\" data-l=\"Comes from\">{}</td>",
            origin(column, object, model)
        );
        if let Some(greatest) = greatest {
            out.push_str("<td class=\"sizes\">");
            if let Some(figures) = &column.figures {
                size(out, figures.bytes, figures.uncompressed, greatest);
            }
            out.push_str("</td>");
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
}

fn sample(out: &mut String, column: &Column) {
    let Some(sample) = column.sample.as_ref().filter(|it| !it.values.is_empty()) else {
        return;
    };
    let values: Vec<String> = sample
        .values
        .iter()
        .map(|value| format!("<code>{}</code>", text(&cut(value))))
        .collect();
    let count = u64::try_from(sample.values.len()).unwrap_or(u64::MAX);
    let more = match sample.distinct.saturating_sub(count) {
        0 => String::new(),
        more => format!(" and {} more", thousands(more)),
    };
    let _ = write!(out, "<p class=\"eg\">{}{more}</p>", values.join(" · "));
}

/// What fills a column: the columns at the end of the way, and the way itself to unfold.
fn origin(column: &Column, object: &Object, model: &Model) -> String {
    let sources = column.sources();
    let mut out = String::new();
    if column.is_unknown() {
        out.push_str("unknown");
    } else if !sources.is_empty() {
        let places: Vec<String> = sources.iter().map(|it| place(it, model)).collect();
        out.push_str(&places.join(", "));
    } else if !column.default.is_empty() {
        let how = match column.default.as_str() {
            "DEFAULT" => "sent, or made when written",
            "ALIAS" => "computed when read",
            "EPHEMERAL" => "only sent, not kept",
            _ => "made when written",
        };
        let expression = text(&column.expression);
        let _ = if column.expression.chars().count() > LONG {
            write!(
                out,
                "<details class=\"how\"><summary>{how}</summary><code>{expression}</code></details>"
            )
        } else {
            write!(out, "{how}: <code>{expression}</code>")
        };
    } else if column.trace.steps.is_empty() {
        if object.kind == DefinitionKind::Table && object.from.is_empty() {
            out.push_str("<span class=\"quiet\">as sent</span>");
        }
        return out;
    } else {
        out.push_str("no column");
    }
    let direct = column.trace.steps.iter().all(|(step, below)| {
        step.default.is_empty()
            && step.by == column.trace.place.object
            && step.origins.iter().all(|origin| origin.through.is_empty())
            && below.iter().all(|trace| trace.steps.is_empty())
    });
    if !direct && !sources.is_empty() {
        out.push_str("<details class=\"how\"><summary>how</summary>");
        tree(&mut out, &column.trace, model);
        out.push_str("</details>");
    }
    out
}

fn tree(out: &mut String, trace: &Trace, model: &Model) {
    out.push_str("<ul>");
    for (step, below) in &trace.steps {
        for (origin, trace) in step.origins.iter().zip(below) {
            if origin.role == Role::Value {
                branch(out, step, origin, trace, model);
            }
        }
        let decides: Vec<String> = step
            .origins
            .iter()
            .filter(|origin| origin.role == Role::Decides)
            .map(|origin| place(&origin.place, model))
            .collect();
        if !decides.is_empty() {
            let _ = write!(out, "<li>decided by {}</li>", decides.join(", "));
        }
        if step.unknown {
            out.push_str("<li>unknown: the engine does not explain this</li>");
        }
    }
    out.push_str("</ul>");
}

fn branch(out: &mut String, step: &Step, origin: &Origin, trace: &Trace, model: &Model) {
    let _ = write!(out, "<li>{}", place(&origin.place, model));
    if !origin.through.is_empty() {
        let _ = write!(
            out,
            " <code>{}(…{}</code>",
            text(&origin.through.join("(")),
            ")".repeat(origin.through.len())
        );
    }
    let by = if step.default.is_empty() {
        format!(" in {}", named(&step.by, model))
    } else {
        " where nothing is sent".to_owned()
    };
    out.push_str(&by);
    if !trace.steps.is_empty() {
        tree(out, trace, model);
    }
    out.push_str("</li>");
}

/// A link to an object that has a place on the page.
pub(super) fn named(name: &str, model: &Model) -> String {
    if model.get(name).is_some() {
        format!(
            "<a href=\"#{}\"><code>{}</code></a>",
            anchor(name),
            text(name)
        )
    } else {
        format!("<code>{}</code>", text(name))
    }
}

fn place(place: &Place, model: &Model) -> String {
    if place.column == "*" {
        return format!("rows of {}", named(&place.object, model));
    }
    let known = model
        .get(&place.object)
        .is_some_and(|object| object.columns.iter().any(|it| it.name == place.column));
    if known {
        format!(
            "<a href=\"#{}.{}\"><code>{}</code></a>",
            anchor(&place.object),
            anchor(&place.column),
            text(&place.to_string())
        )
    } else {
        format!("<code>{}</code>", text(&place.to_string()))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a bar of a hundred pixels")]
fn size(out: &mut String, bytes: u64, uncompressed: u64, greatest: u64) {
    let share = |part: u64| number(part as f64 / greatest as f64 * 100.0);
    let _ = write!(
        out,
        "<svg viewBox=\"0 0 100 9\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect class=\"all\" width=\"{}\" height=\"9\"/><rect width=\"{}\" height=\"9\"/></svg>{}, {}",
        share(uncompressed),
        share(bytes),
        crate::diagnostic::bytes(bytes),
        ratio(bytes, uncompressed).trim_end_matches(" compressed")
    );
}

/// `4.2 × compressed`.
fn ratio(bytes: u64, uncompressed: u64) -> String {
    let tenths = uncompressed
        .saturating_mul(10)
        .checked_div(bytes)
        .unwrap_or(10);
    format!("{}.{} × compressed", tenths / 10, tenths % 10)
}

fn age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

fn cut(value: &str) -> String {
    if value.chars().count() <= LONG {
        return value.to_owned();
    }
    value.chars().take(LONG - 1).chain(['…']).collect()
}
