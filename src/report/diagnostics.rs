//! Findings, drawn over the lines they speak of.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use camino::Utf8Path;
use serde::Serialize;

use crate::diagnostic::{Diagnostic, Location, Severity};

/// Findings for a person. `source` gives the text of a file as its spans count it.
#[must_use]
pub fn human(findings: &[Diagnostic], source: &dyn Fn(&Utf8Path) -> Option<String>) -> String {
    let renderer = Renderer::styled().term_width(120);
    let mut text = String::new();
    for finding in findings {
        let level = match finding.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Info => Level::INFO,
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
                severity: finding.severity.label(),
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

/// Findings as annotations of GitHub Actions.
#[must_use]
pub fn github(findings: &[Diagnostic]) -> String {
    findings
        .iter()
        .map(|finding| {
            let nowhere = Location {
                path: camino::Utf8PathBuf::new(),
                span: crate::sql::Span::default(),
                line: 1,
                column: 1,
            };
            let at = finding.location.as_ref().unwrap_or(&nowhere);
            annotation(finding.severity, at, finding.code, &whole(finding))
        })
        .collect()
}

/// Message, notes and help in one text.
pub(crate) fn whole(finding: &Diagnostic) -> String {
    let mut text = finding.message.clone();
    for more in finding.notes.iter().chain(&finding.help) {
        text.push('\n');
        text.push_str(more);
    }
    text
}

/// `::error file=…`; what would end a property or the message is escaped as the runner reads it.
pub(crate) fn annotation(severity: Severity, at: &Location, title: &str, message: &str) -> String {
    let data = |text: &str| {
        text.replace('%', "%25")
            .replace('\r', "%0D")
            .replace('\n', "%0A")
    };
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let level = match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "notice",
    };
    let place = if at.path.as_str().is_empty() {
        String::new()
    } else {
        format!(
            "file={},line={},col={},",
            property(at.path.as_str()),
            at.line,
            at.column
        )
    };
    format!(
        "::{level} {place}title={}::{}\n",
        property(title),
        data(message)
    )
}
