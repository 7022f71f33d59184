//! Where columns come from: as a tree for a person, as JSON.

use std::fmt::Write as _;

use serde::Serialize;

use crate::catalog::{Origin, Place, Role, Step, Trace};
use crate::report::{JSON_VERSION, QUIET, STRONG, styled};

/// Columns with all they come from, each as a tree.
#[must_use]
pub fn human(traces: &[Trace], decided: Option<(&str, Option<Vec<Origin>>)>) -> String {
    let mut text = String::new();
    for trace in traces {
        let _ = writeln!(text, "{}", styled(STRONG, &trace.place));
        branches(&mut text, trace, "");
    }
    if let Some((view, origins)) = decided {
        let places = match origins {
            None => "unknown".to_owned(),
            Some(origins) if origins.is_empty() => return text,
            Some(origins) => places(&origins.iter().collect::<Vec<_>>()),
        };
        let _ = writeln!(text, "\nwhich rows {view} has is decided by {places}");
    }
    text
}

fn branches(text: &mut String, trace: &Trace, indent: &str) {
    let lines: Vec<Line<'_>> = trace.steps.iter().flat_map(lines).collect();
    for (number, line) in lines.iter().enumerate() {
        let last = number + 1 == lines.len();
        let (corner, beam) = if last {
            ("└─ ", "   ")
        } else {
            ("├─ ", "│  ")
        };
        let _ = writeln!(
            text,
            "{indent}{corner}{}{}",
            line.what,
            styled(QUIET, format!("  {}", line.how))
        );
        if let Some(below) = line.below {
            branches(text, below, &format!("{indent}{beam}"));
        }
    }
}

/// A line below a column.
struct Line<'a> {
    what: String,
    how: String,
    below: Option<&'a Trace>,
}

fn lines((step, traces): &(Step, Vec<Trace>)) -> Vec<Line<'_>> {
    let by = if step.default.is_empty() {
        format!("in {}", step.by)
    } else {
        format!("by default of {}", step.by)
    };
    let mut lines: Vec<Line<'_>> = step
        .origins
        .iter()
        .zip(traces)
        .filter(|(origin, _)| origin.role == Role::Value)
        .map(|(origin, trace)| Line {
            what: origin.place.to_string(),
            how: [by.clone(), through(origin)]
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect::<Vec<_>>()
                .join(": "),
            below: Some(trace),
        })
        .collect();
    if lines.is_empty() && !step.unknown {
        lines.push(Line {
            what: if step.default.is_empty() {
                "no column: a constant, or a function that needs none".to_owned()
            } else {
                step.default.clone()
            },
            how: by.clone(),
            below: None,
        });
    }
    let decides: Vec<&Origin> = step
        .origins
        .iter()
        .filter(|origin| origin.role == Role::Decides)
        .collect();
    if !decides.is_empty() {
        lines.push(Line {
            what: format!("decided by {}", places(&decides)),
            how: by.clone(),
            below: None,
        });
    }
    if step.unknown {
        lines.push(Line {
            what: "unknown: the engine does not explain this".to_owned(),
            how: by,
            below: None,
        });
    }
    lines
}

fn places(origins: &[&Origin]) -> String {
    let places: Vec<String> = origins
        .iter()
        .map(|origin| origin.place.to_string())
        .collect();
    places.join(", ")
}

/// `min(tuple(…))`.
fn through(origin: &Origin) -> String {
    if origin.through.is_empty() {
        return String::new();
    }
    format!(
        "{}(…{}",
        origin.through.join("("),
        ")".repeat(origin.through.len())
    )
}

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    columns: Vec<ColumnJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows_decided_by: Option<Vec<OriginJson<'a>>>,
}

#[derive(Serialize)]
struct ColumnJson<'a> {
    object: &'a str,
    column: &'a str,
    element: Option<&'a str>,
    filled: Vec<StepJson<'a>>,
}

#[derive(Serialize)]
struct StepJson<'a> {
    by: &'a str,
    default: Option<&'a str>,
    unknown: bool,
    origins: Vec<OriginJson<'a>>,
}

#[derive(Serialize)]
struct OriginJson<'a> {
    role: &'static str,
    through: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<ColumnJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<String>,
}

/// The same as JSON.
#[must_use]
pub fn json(traces: &[Trace], decided: Option<&[Origin]>) -> String {
    super::json(&Document {
        version: JSON_VERSION,
        columns: traces.iter().map(column).collect(),
        rows_decided_by: decided.map(|origins| {
            origins
                .iter()
                .map(|origin| OriginJson {
                    role: role(origin),
                    through: &origin.through,
                    column: None,
                    place: Some(origin.place.to_string()),
                })
                .collect()
        }),
    })
}

fn column(trace: &Trace) -> ColumnJson<'_> {
    let Place {
        object,
        column: name,
        element,
    } = &trace.place;
    ColumnJson {
        object,
        column: name,
        element: element.as_deref(),
        filled: trace
            .steps
            .iter()
            .map(|(step, traces)| StepJson {
                by: &step.by,
                default: Some(step.default.as_str()).filter(|text| !text.is_empty()),
                unknown: step.unknown,
                origins: step
                    .origins
                    .iter()
                    .zip(traces)
                    .map(|(origin, trace)| OriginJson {
                        role: role(origin),
                        through: &origin.through,
                        column: Some(column(trace)),
                        place: None,
                    })
                    .collect(),
            })
            .collect(),
    }
}

fn role(origin: &Origin) -> &'static str {
    match origin.role {
        Role::Value => "value",
        Role::Decides => "decides",
    }
}
