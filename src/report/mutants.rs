//! How strong the cases are: for a person, and as JSON.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use crate::config::Equivalents;
use crate::report::{BAD, GOOD, QUIET, STRONG, count, diagnostics, duration, styled};
use crate::viewtest::mutants::{Fate, Mutant, Report};
use crate::viewtest::rows::show;
use crate::viewtest::{Example, Suite};

/// Whether nothing is to be done: with a wanted score that is reached, without one nothing survived; and the list is true.
#[must_use]
pub fn is_good(report: &Report, min_score: Option<f64>) -> bool {
    let strong = match min_score {
        Some(wanted) => report.score() >= wanted,
        None => report.survived() == 0,
    };
    strong && report.findings.is_empty()
}

/// For a person.
#[must_use]
pub fn human(
    report: &Report,
    equivalents: &Equivalents,
    min_score: Option<f64>,
    took: Duration,
) -> String {
    let mut text = String::new();
    for (mutant, fate) in &report.fates {
        if let Fate::Survived { example } = fate {
            text.push_str(&survivor(mutant, example));
            text.push('\n');
        }
    }
    text.push_str(&explained(report, equivalents));
    if !report.findings.is_empty() {
        text.push_str(&diagnostics::human(&report.findings, &|path| {
            fs_err::read_to_string(path).ok()
        }));
    }
    let equivalent = report.count(|fate| matches!(fate, Fate::Equivalent));
    let refused = report.count(|fate| matches!(fate, Fate::Refused { .. }));
    let mut parts = Vec::new();
    for (number, word, style) in [
        (report.killed(), "killed", GOOD),
        (report.survived(), "survived", BAD),
        (equivalent, "equivalent", QUIET),
        (refused, "refused by ClickHouse", QUIET),
    ] {
        if number > 0 {
            parts.push(styled(style, format!("{number} {word}")));
        }
    }
    if !report.findings.is_empty() {
        parts.push(styled(BAD, count(report.findings.len(), "finding")));
    }
    let wanted = min_score.map_or_else(String::new, |wanted| format!(", wanted {wanted} %"));
    let _ = writeln!(
        text,
        "{}: {}; score {} %{wanted}; in {}",
        count(report.fates.len(), "mutant"),
        parts.join(", "),
        percent(report.score()),
        duration(took)
    );
    text
}

/// A mutant in a line, as it is done.
#[must_use]
pub fn line(mutant: &Mutant, fate: &Fate, suite: &Suite) -> String {
    let name = &mutant.name;
    match fate {
        Fate::Refused { because } => {
            let because = because.lines().next().unwrap_or_default();
            format!("{} {name}: {because}", styled(QUIET, "refused"))
        }
        Fate::Killed { case, history } => {
            let case = suite.cases.get(*case).map_or("", |case| &case.name);
            let how = history.map_or_else(|| "it breaks".to_owned(), |history| history.to_string());
            format!("{} {name}: by {case} ({how})", styled(GOOD, "killed"))
        }
        Fate::Equivalent => format!("{} {name}", styled(QUIET, "equivalent")),
        Fate::Survived { .. } => format!("{} {name}", styled(BAD, "SURVIVED")),
    }
}

/// Never rounded up to 100.
fn percent(score: f64) -> String {
    let cut = (score * 10.0).floor() / 10.0;
    if cut.fract() == 0.0 {
        format!("{cut:.0}")
    } else {
        format!("{cut:.1}")
    }
}

fn survivor(mutant: &Mutant, example: &Example) -> String {
    let mut text = format!(
        "{} {} {}\n",
        styled(BAD, "SURVIVED"),
        styled(STRONG, &mutant.name),
        styled(
            QUIET,
            format!("{}:{}", mutant.location.path, mutant.location.line)
        )
    );
    for line in &mutant.removed {
        let _ = writeln!(text, "  {}", styled(BAD, format!("- {}", line.trim_end())));
    }
    for line in &mutant.added {
        let _ = writeln!(text, "  {}", styled(GOOD, format!("+ {}", line.trim_end())));
    }
    let question = example
        .question
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    let _ = writeln!(
        text,
        "\n  no case notices, yet generated rows do: {} ({})",
        styled(STRONG, question),
        example.way
    );
    if let Some((original, mutant)) = &example.errors {
        let said = |error: &Option<String>| {
            error.as_ref().map_or_else(
                || "an answer".to_owned(),
                |name| format!("refused with {name}"),
            )
        };
        let _ = writeln!(
            text,
            "    the schema: {}; the mutant: {}",
            said(original),
            said(mutant)
        );
        return text;
    }
    match (&example.row.expected, &example.row.found) {
        (Some(_), None) => text.push_str("    a row is missing\n"),
        (None, Some(_)) => text.push_str("    a row too many\n"),
        _ => {}
    }
    let width = example
        .columns
        .iter()
        .map(|name| name.chars().count())
        .max()
        .unwrap_or(0);
    for (at, column) in example.columns.iter().enumerate() {
        let value = |row: &Option<Vec<Option<String>>>| {
            row.as_ref()
                .and_then(|row| row.get(at))
                .map(|value| show(value.as_deref()))
        };
        let line = match (value(&example.row.expected), value(&example.row.found)) {
            (Some(schema), Some(mutant)) if schema != mutant => format!(
                "{column:width$}  {} → {}",
                styled(GOOD, schema),
                styled(BAD, mutant)
            ),
            (Some(value), _) | (_, Some(value)) => format!("{column:width$}  {value}"),
            (None, None) => continue,
        };
        let _ = writeln!(text, "    {line}");
    }
    text
}

/// The equivalent ones, by the reason that was given.
fn explained(report: &Report, equivalents: &Equivalents) -> String {
    let mut text = String::new();
    let mut last = None;
    for entry in &equivalents.entries {
        let is_equivalent = report
            .fates
            .iter()
            .any(|(mutant, fate)| mutant.name == entry.name && matches!(fate, Fate::Equivalent));
        if !is_equivalent {
            continue;
        }
        if last != Some(&entry.reason) {
            let _ = writeln!(text, "{} {}", styled(QUIET, "equivalent:"), entry.reason);
            last = Some(&entry.reason);
        }
        let _ = writeln!(text, "  {}", styled(QUIET, &entry.name));
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

#[derive(Serialize)]
struct Json<'a> {
    version: u32,
    ok: bool,
    score: f64,
    min_score: Option<f64>,
    killed: usize,
    survived: usize,
    took_ms: u128,
    mutants: Vec<MutantJson<'a>>,
    findings: Vec<diagnostics::Json<'a>>,
}

#[derive(Serialize)]
struct MutantJson<'a> {
    name: &'a str,
    path: &'a str,
    line: usize,
    removed: &'a [String],
    added: &'a [String],
    fate: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    case: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    example: Option<ExampleJson<'a>>,
}

#[derive(Serialize)]
struct ExampleJson<'a> {
    history: &'a str,
    query: &'a str,
    columns: &'a [String],
    schema: Option<&'a Vec<Option<String>>>,
    mutant: Option<&'a Vec<Option<String>>>,
    schema_error: Option<&'a str>,
    mutant_error: Option<&'a str>,
}

/// For a program.
#[must_use]
pub fn json(
    report: &Report,
    suite: &Suite,
    equivalents: &Equivalents,
    min_score: Option<f64>,
    took: Duration,
) -> String {
    let mutants = report.fates.iter().map(|(mutant, fate)| {
        let mut json = MutantJson {
            name: &mutant.name,
            path: mutant.location.path.as_str(),
            line: mutant.location.line,
            removed: &mutant.removed,
            added: &mutant.added,
            fate: "refused",
            because: None,
            case: None,
            history: None,
            example: None,
        };
        match fate {
            Fate::Refused { because } => json.because = Some(because),
            Fate::Killed { case, history } => {
                json.fate = "killed";
                json.case = suite.cases.get(*case).map(|case| case.name.as_str());
                json.history = history.map(|history| history.to_string());
            }
            Fate::Equivalent => {
                json.fate = "equivalent";
                json.because = equivalents.reason(&mutant.name);
            }
            Fate::Survived { example } => {
                json.fate = "survived";
                let (schema_error, mutant_error) = match &example.errors {
                    Some((schema, mutant)) => (schema.as_deref(), mutant.as_deref()),
                    None => (None, None),
                };
                json.example = Some(ExampleJson {
                    history: &example.way,
                    query: &example.question,
                    columns: &example.columns,
                    schema: example.row.expected.as_ref(),
                    mutant: example.row.found.as_ref(),
                    schema_error,
                    mutant_error,
                });
            }
        }
        json
    });
    crate::report::json(&Json {
        version: crate::report::JSON_VERSION,
        ok: is_good(report, min_score),
        score: report.score(),
        min_score,
        killed: report.killed(),
        survived: report.survived(),
        took_ms: took.as_millis(),
        mutants: mutants.collect(),
        findings: diagnostics::json(&report.findings),
    })
}
