//! Findings, drawn over the lines they speak of.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use camino::Utf8Path;
use serde::Serialize;

use crate::diagnostic::{Diagnostic, Severity};

/// Findings for a person. `source` gives the text of a file as its spans count it.
#[must_use]
pub fn human(findings: &[Diagnostic], source: &dyn Fn(&Utf8Path) -> Option<String>) -> String {
    let renderer = Renderer::styled().term_width(120);
    let mut text = String::new();
    for finding in findings {
        let level = match finding.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = Group::with_title(
            level
                .primary_title(finding.message.as_str())
                .id(finding.code),
        );
        if let Some(location) = &finding.location {
            let start = location.span.start;
            group = match source(&location.path) {
                Some(text) if start < text.len() => {
                    // The first line of a long statement is enough to find it.
                    let rest = text.as_bytes().get(start..location.span.end.max(start));
                    let length = rest.map_or(0, |rest| {
                        rest.iter()
                            .position(|byte| *byte == b'\n')
                            .unwrap_or(rest.len())
                    });
                    group.element(
                        Snippet::source(text)
                            .path(location.path.as_str().to_owned())
                            .annotation(AnnotationKind::Primary.span(start..start + length)),
                    )
                }
                _ => group.element(
                    Origin::path(location.path.as_str().to_owned())
                        .line(location.line)
                        .char_column(location.column),
                ),
            };
        }
        for note in &finding.notes {
            group = group.element(Level::NOTE.message(note.as_str()));
        }
        if let Some(help) = &finding.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        text.push_str(&renderer.render(&[group]));
        text.push_str("\n\n");
    }
    text
}

/// A finding in JSON.
#[derive(Debug, Serialize)]
pub struct Json<'a> {
    severity: &'static str,
    code: &'static str,
    message: &'a str,
    path: Option<&'a Utf8Path>,
    line: Option<usize>,
    column: Option<usize>,
    notes: &'a [String],
    help: Option<&'a str>,
}

/// Findings for a program.
#[must_use]
pub fn json(findings: &[Diagnostic]) -> Vec<Json<'_>> {
    findings
        .iter()
        .map(|finding| {
            let location = finding.location.as_ref();
            Json {
                severity: match finding.severity {
                    Severity::Error => "error",
                    Severity::Warning => "warning",
                },
                code: finding.code,
                message: &finding.message,
                path: location.map(|location| location.path.as_path()),
                line: location.map(|location| location.line),
                column: location.map(|location| location.column),
                notes: &finding.notes,
                help: finding.help.as_deref(),
            }
        })
        .collect()
}
