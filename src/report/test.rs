//! How view cases ended: for a person, as JSON, as `JUnit` XML, as annotations of GitHub Actions.

use std::fmt::Write as _;
use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use serde::Serialize;

use crate::diagnostic::{Diagnostic, Location, Severity};
use crate::report::diagnostics::annotation;
use crate::report::{BAD, GOOD, QUIET, STRONG, WAITING, count, diagnostics, duration, styled};
use crate::viewtest::case::Case;
use crate::viewtest::invariance::GENERATED;
use crate::viewtest::rows::{Rows, show};
use crate::viewtest::{Answer, Outcome, Suite, Unstable, Verdict};

/// The rows that are shown of an answer that differs in more.
const SHOWN: usize = 5;
/// The histories that are named.
const NAMED: usize = 4;

fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Accepted => "accepted",
        Verdict::New => "new",
        Verdict::Changed => "changed",
        Verdict::Differs(_) => "differs",
        Verdict::Unstable(_) => "unstable",
        Verdict::Broken(_) => "broken",
    }
}

fn place(case: &Case, verdict: &Verdict) -> Location {
    let first = |answers: &[Answer]| answers.first().map(|answer| answer.location.clone());
    match verdict {
        Verdict::Differs(answers) | Verdict::Unstable(Unstable { answers, .. }) => first(answers),
        Verdict::Broken(finding) => finding.location.clone(),
        _ => None,
    }
    .unwrap_or_else(|| case.location(crate::sql::Span::default()))
}

/// What is wrong, in a sentence.
fn summary(case: &Case, verdict: &Verdict) -> String {
    match verdict {
        Verdict::Passed | Verdict::Accepted => String::new(),
        Verdict::New => "there are no golden rows yet; look at what came out, then `--accept`".to_owned(),
        Verdict::Changed => {
            "the case has changed since its golden rows were accepted; they are the same ones still: `--accept`".to_owned()
        }
        Verdict::Differs(answers) => {
            let rows: usize = answers.iter().map(|answer| answer.differences.len()).sum();
            format!("every history agrees, and {} from the golden ones", if rows == 1 { "1 row differs".to_owned() } else { format!("{rows} rows differ") })
        }
        Verdict::Unstable(unstable) => format!(
            "UNSTABLE: `{}` differs from `{}` in {}",
            unstable.history,
            unstable.baseline,
            unstable.columns.join(", ")
        ),
        Verdict::Broken(finding) => {
            let notes: Vec<&str> = finding.notes.iter().map(String::as_str).collect();
            let notes = if notes.is_empty() { String::new() } else { format!(": {}", notes.join("; ")) };
            let _ = case;
            format!("{}{notes}", finding.message)
        }
    }
}

/// All outcomes for a person. `source` gives the text of a file.
#[must_use]
pub fn human(suite: &Suite, outcomes: &[Outcome], took: Duration) -> String {
    let mut text = String::new();
    for outcome in outcomes {
        let Some(case) = suite.cases.get(outcome.index) else {
            continue;
        };
        if !outcome.verdict.is_good() {
            text.push_str(&failure(case, outcome));
            text.push('\n');
        }
    }
    if !suite.findings.is_empty() {
        text.push_str(&diagnostics::human(&suite.findings, &|path| {
            fs_err::read_to_string(path).ok()
        }));
    }
    let number = |wanted: &str| {
        outcomes
            .iter()
            .filter(|outcome| word(&outcome.verdict) == wanted)
            .count()
    };
    let mut parts = Vec::new();
    for (wanted, style) in [
        ("passed", GOOD),
        ("accepted", GOOD),
        ("new", WAITING),
        ("changed", WAITING),
        ("differs", BAD),
        ("unstable", BAD),
        ("broken", BAD),
    ] {
        let n = number(wanted);
        if n > 0 {
            parts.push(styled(style, format!("{n} {wanted}")));
        }
    }
    if !suite.findings.is_empty() {
        parts.push(styled(BAD, count(suite.findings.len(), "finding")));
    }
    let readings: usize = outcomes.iter().map(|outcome| outcome.readings).sum();
    let _ = writeln!(
        text,
        "{}: {}; {} in {}",
        count(outcomes.len(), "case"),
        parts.join(", "),
        count(readings, "reading"),
        duration(took)
    );
    text
}

/// A case that failed: its story, what differs, and from what.
fn failure(case: &Case, outcome: &Outcome) -> String {
    let verdict = &outcome.verdict;
    let place = place(case, verdict);
    let mut text = format!(
        "{} {} {}\n",
        styled(BAD, "FAIL"),
        styled(STRONG, &case.title),
        styled(QUIET, format!("{}:{}", place.path, place.line))
    );
    for line in case.why.lines() {
        let _ = writeln!(text, "     {}", styled(QUIET, line));
    }
    let _ = writeln!(text, "\n  {}", summary(case, verdict));
    match verdict {
        Verdict::Differs(answers) => {
            for answer in answers {
                text.push_str(&difference(answer, "golden", "now"));
            }
        }
        Verdict::Unstable(unstable) => {
            let named: Vec<String> = unstable
                .differing
                .iter()
                .take(NAMED)
                .map(ToString::to_string)
                .collect();
            if unstable.differing.len() > 1 {
                let more = unstable.differing.len().saturating_sub(NAMED);
                let _ = writeln!(
                    text,
                    "  {} differ: {}{}",
                    count(unstable.differing.len(), "reading"),
                    named.join(" · "),
                    if more > 0 {
                        format!(" · and {more} more")
                    } else {
                        String::new()
                    }
                );
            }
            for answer in &unstable.answers {
                text.push_str(&difference(answer, "before", "now"));
            }
        }
        Verdict::New => {
            for (heading, rows) in &outcome.answers {
                let _ = writeln!(text, "\n  {}\n", styled(STRONG, heading));
                indent(&mut text, &rows.render());
            }
        }
        Verdict::Broken(finding) => {
            let drawn =
                diagnostics::human(std::slice::from_ref(finding), &|_| Some(case.text.clone()));
            text.push('\n');
            indent(&mut text, drawn.trim_end());
        }
        Verdict::Passed | Verdict::Accepted | Verdict::Changed => {}
    }
    text
}

pub(crate) fn indent(text: &mut String, block: &str) {
    for line in block.lines() {
        let _ = writeln!(text, "    {line}");
    }
}

/// What was asked, and where that stands if it stands in a file.
fn place_of(answer: &Answer) -> String {
    if answer.location.path.as_str() == GENERATED {
        answer.heading.clone()
    } else {
        format!("{} (line {})", answer.heading, answer.location.line)
    }
}

/// The rows of an answer that differ: one column a line where they do.
#[must_use]
pub fn difference(answer: &Answer, before: &str, now: &str) -> String {
    let mut text = format!("\n  {}\n", styled(STRONG, place_of(answer)));
    if !answer.expected_columns.is_empty() {
        let _ = writeln!(
            text,
            "    the columns were: {}\n    and are now:      {}",
            answer.expected_columns.join(", "),
            answer.columns.join(", ")
        );
    }
    let width = answer
        .columns
        .iter()
        .map(|name| name.chars().count())
        .max()
        .unwrap_or(0);
    for (index, difference) in answer.differences.iter().take(SHOWN).enumerate() {
        text.push('\n');
        match (&difference.expected, &difference.found) {
            (Some(_), None) => {
                let _ = writeln!(
                    text,
                    "    {}",
                    styled(BAD, format!("a row of {before} is missing"))
                );
            }
            (None, Some(_)) => {
                let _ = writeln!(text, "    {}", styled(BAD, "a row too many"));
            }
            _ => {}
        }
        for (at, column) in answer.columns.iter().enumerate() {
            let value = |row: &Option<Vec<Option<String>>>| {
                row.as_ref()
                    .and_then(|row| row.get(at))
                    .map(|value| show(value.as_deref()))
            };
            let (expected, found) = (value(&difference.expected), value(&difference.found));
            match (expected, found) {
                (Some(expected), Some(found)) if expected != found => {
                    let _ = writeln!(
                        text,
                        "    {} {:7} {}\n    {:width$} {:7} {}",
                        styled(STRONG, format!("{column:width$}")),
                        before,
                        styled(BAD, format!("- {expected}")),
                        "",
                        now,
                        styled(GOOD, format!("+ {found}"))
                    );
                }
                (Some(value), _) | (None, Some(value)) => {
                    let _ = writeln!(text, "    {column:width$} {value}");
                }
                (None, None) => {}
            }
        }
        if let Some(Some((table, rows))) = answer.origins.get(index) {
            let _ = writeln!(
                text,
                "\n    {}",
                styled(QUIET, format!("made from these rows of `{table}`:"))
            );
            indent(&mut text, &rows.render());
        }
    }
    let more = answer.differences.len().saturating_sub(SHOWN);
    if more > 0 {
        let _ = writeln!(text, "\n    and {}", count(more, "more row"));
    }
    text
}

#[derive(Serialize)]
struct SuiteJson<'a> {
    version: u32,
    ok: bool,
    cases: Vec<CaseJson<'a>>,
    findings: Vec<diagnostics::Json<'a>>,
    took_ms: u128,
}

#[derive(Serialize)]
struct CaseJson<'a> {
    name: &'a str,
    title: &'a str,
    path: &'a str,
    line: usize,
    verdict: &'static str,
    message: Option<String>,
    readings: usize,
    took_ms: u128,
    unstable_columns: Vec<&'a str>,
    differing_histories: Vec<String>,
    differences: Vec<DifferenceJson<'a>>,
}

#[derive(Serialize)]
pub(crate) struct DifferenceJson<'a> {
    query: &'a str,
    line: usize,
    expected: Option<serde_json::Map<String, serde_json::Value>>,
    found: Option<serde_json::Map<String, serde_json::Value>>,
}

fn object(
    columns: &[String],
    row: Option<&Vec<Option<String>>>,
) -> Option<serde_json::Map<String, serde_json::Value>> {
    let row = row?;
    Some(
        columns
            .iter()
            .zip(row)
            .map(|(column, value)| (column.clone(), value.clone().into()))
            .collect(),
    )
}

/// The rows that differ, for programs.
pub(crate) fn differences(answers: &[Answer]) -> Vec<DifferenceJson<'_>> {
    answers
        .iter()
        .flat_map(|answer| {
            answer.differences.iter().map(|difference| {
                let were = if answer.expected_columns.is_empty() {
                    &answer.columns
                } else {
                    &answer.expected_columns
                };
                DifferenceJson {
                    query: &answer.heading,
                    line: answer.location.line,
                    expected: object(were, difference.expected.as_ref()),
                    found: object(&answer.columns, difference.found.as_ref()),
                }
            })
        })
        .collect()
}

/// All outcomes for a program.
#[must_use]
pub fn json(suite: &Suite, outcomes: &[Outcome], took: Duration) -> String {
    let cases = outcomes.iter().filter_map(|outcome| {
        let case = suite.cases.get(outcome.index)?;
        let (answers, unstable): (&[Answer], Option<&Unstable>) = match &outcome.verdict {
            Verdict::Differs(answers) => (answers, None),
            Verdict::Unstable(unstable) => (&unstable.answers, Some(unstable)),
            _ => (&[], None),
        };
        Some(CaseJson {
            name: &case.name,
            title: &case.title,
            path: case.path.as_str(),
            line: place(case, &outcome.verdict).line,
            verdict: word(&outcome.verdict),
            message: Some(summary(case, &outcome.verdict)).filter(|text| !text.is_empty()),
            readings: outcome.readings,
            took_ms: outcome.took.as_millis(),
            unstable_columns: unstable
                .map(|unstable| unstable.columns.iter().map(String::as_str).collect())
                .unwrap_or_default(),
            differing_histories: unstable
                .map(|unstable| unstable.differing.iter().map(ToString::to_string).collect())
                .unwrap_or_default(),
            differences: differences(answers),
        })
    });
    crate::report::json(&SuiteJson {
        version: crate::report::JSON_VERSION,
        ok: is_good(suite, outcomes),
        cases: cases.collect(),
        findings: diagnostics::json(&suite.findings),
        took_ms: took.as_millis(),
    })
}

/// Whether nothing is to be done.
#[must_use]
pub fn is_good(suite: &Suite, outcomes: &[Outcome]) -> bool {
    suite.findings.is_empty() && outcomes.iter().all(|outcome| outcome.verdict.is_good())
}

/// All outcomes as `JUnit` XML.
#[must_use]
pub fn junit(suite: &Suite, outcomes: &[Outcome], took: Duration) -> String {
    let mut tests = TestSuite::new("views");
    for outcome in outcomes {
        let Some(case) = suite.cases.get(outcome.index) else {
            continue;
        };
        let mut status = TestCaseStatus::success();
        if !outcome.verdict.is_good() {
            status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status
                .set_type(word(&outcome.verdict))
                .set_message(summary(case, &outcome.verdict))
                .set_description(plain(&failure(case, outcome)));
        }
        let mut test = TestCase::new(case.name.as_str(), status);
        test.set_classname(case.path.as_str())
            .set_time(outcome.took);
        tests.add_test_case(test);
    }
    for finding in &suite.findings {
        let (path, place) = finding
            .location
            .as_ref()
            .map(|at| (at.path.as_str(), format!("{}:{}: ", at.path, at.line)))
            .unwrap_or_default();
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        status
            .set_type(finding.code)
            .set_message(format!("{place}{}", finding.message));
        let mut test = TestCase::new(finding.code, status);
        test.set_classname(path);
        tests.add_test_case(test);
    }
    let mut report = Report::new("housewright");
    report.set_time(took);
    report.add_test_suite(tests);
    report.to_string().unwrap_or_default()
}

/// Without colours.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c == '\u{1b}' {
            for c in rest.by_ref() {
                if c.is_ascii_alphabetic() {
                    break;
                }
            }
        } else {
            plain.push(c);
        }
    }
    plain
}

/// What failed, as findings.
#[must_use]
pub fn findings(suite: &Suite, outcomes: &[Outcome]) -> Vec<Diagnostic> {
    outcomes
        .iter()
        .filter(|outcome| !outcome.verdict.is_good())
        .filter_map(|outcome| {
            let case = suite.cases.get(outcome.index)?;
            let message = format!("{}: {}", case.title, summary(case, &outcome.verdict));
            let finding = Diagnostic::new(Severity::Error, "view-case", message)
                .at(Some(place(case, &outcome.verdict)));
            Some(finding)
        })
        .chain(suite.findings.iter().cloned())
        .collect()
}

/// What failed as annotations of GitHub Actions.
#[must_use]
pub fn github(suite: &Suite, outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for outcome in outcomes {
        let Some(case) = suite
            .cases
            .get(outcome.index)
            .filter(|_| !outcome.verdict.is_good())
        else {
            continue;
        };
        let at = place(case, &outcome.verdict);
        text.push_str(&annotation(
            Severity::Error,
            &at,
            &case.title,
            &summary(case, &outcome.verdict),
        ));
    }
    text + &diagnostics::github(&suite.findings)
}

/// The raw rows of tables, for a person.
#[must_use]
pub fn states(case: &Case, tables: &[(String, Rows)]) -> String {
    let mut text = format!("{}\n", styled(STRONG, &case.title));
    for (table, rows) in tables {
        let _ = writeln!(
            text,
            "\n  {table}: {}\n",
            count(rows.rows.len(), "partial row")
        );
        indent(&mut text, &rows.render());
    }
    text.push('\n');
    text
}
