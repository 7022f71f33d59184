//! What the rules found: for a person, as JSON, as SARIF 2.1.0; and the rules themselves.

use camino::Utf8Path;
use serde::Serialize;
use serde_json::{Value, json};

use crate::diagnostic::{Diagnostic, Severity};
use crate::lint::{Rule, rules};
use crate::report::diagnostics::{self, whole};
use crate::report::{BAD, GOOD, JSON_VERSION, QUIET, Table, WAITING, count, styled};

/// What was looked at.
#[derive(Clone, Copy, Debug)]
pub struct Looked {
    /// Migrations.
    pub migrations: usize,
    /// Statements of their up sections.
    pub statements: usize,
    /// How many of these the embedded engine cannot do although a server can.
    pub beyond: usize,
}

/// How many findings there are of a severity.
#[must_use]
pub fn number(findings: &[Diagnostic], severity: Severity) -> usize {
    findings
        .iter()
        .filter(|finding| finding.severity == severity)
        .count()
}

/// `2 errors, 1 warning`, in colour; empty if there is nothing.
pub(crate) fn numbers(findings: &[Diagnostic]) -> String {
    [
        (Severity::Error, "error", BAD),
        (Severity::Warning, "warning", WAITING),
        (Severity::Info, "remark", QUIET),
    ]
    .into_iter()
    .map(|(severity, noun, style)| (number(findings, severity), noun, style))
    .filter(|(number, ..)| *number > 0)
    .map(|(number, noun, style)| styled(style, count(number, noun)))
    .collect::<Vec<_>>()
    .join(", ")
}

/// For a person. `source` gives the text of a file as its spans count it.
#[must_use]
pub fn human(
    findings: &[Diagnostic],
    looked: Looked,
    source: &dyn Fn(&Utf8Path) -> Option<String>,
) -> String {
    let what = format!(
        "{} in {}",
        count(looked.statements, "statement"),
        count(looked.migrations, "migration")
    );
    let beyond = if looked.beyond == 0 {
        String::new()
    } else {
        format!(
            "; {} judged by the text alone, the embedded ClickHouse cannot execute {}",
            looked.beyond,
            if looked.beyond == 1 { "it" } else { "them" }
        )
    };
    if findings.is_empty() {
        return format!("{}: {what}{beyond}\n", styled(GOOD, "nothing to report"));
    }
    format!(
        "{}{}: {what}{beyond}\n  `housewright lint --explain RULE` says more of a rule\n",
        diagnostics::human(findings, source),
        numbers(findings)
    )
}

#[derive(Serialize)]
struct Json<'a> {
    version: u32,
    migrations: usize,
    statements: usize,
    beyond_the_engine: usize,
    errors: usize,
    warnings: usize,
    infos: usize,
    findings: Vec<diagnostics::Json<'a>>,
}

/// For a program.
#[must_use]
pub fn json_text(findings: &[Diagnostic], looked: Looked) -> String {
    super::json(&Json {
        version: JSON_VERSION,
        migrations: looked.migrations,
        statements: looked.statements,
        beyond_the_engine: looked.beyond,
        errors: number(findings, Severity::Error),
        warnings: number(findings, Severity::Warning),
        infos: number(findings, Severity::Info),
        findings: diagnostics::json(findings),
    })
}

/// For code scanners: SARIF 2.1.0, with every rule that has a finding.
#[must_use]
pub fn sarif(findings: &[Diagnostic]) -> String {
    let mut codes: Vec<&str> = findings.iter().map(|finding| finding.code).collect();
    codes.sort_unstable();
    codes.dedup();
    let level = |severity| match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "note",
    };
    let described: Vec<Value> = codes
        .iter()
        .map(|code| match crate::lint::rule(code) {
            Some(rule) => json!({
                "id": code,
                "shortDescription": { "text": rule.summary() },
                "help": { "text": rule.page(), "markdown": rule.page() },
                "defaultConfiguration": { "level": level(rule.level) },
            }),
            None => json!({ "id": code }),
        })
        .collect();
    let results: Vec<Value> = findings
        .iter()
        .map(|finding| {
            let mut result = json!({
                "ruleId": finding.code,
                "ruleIndex": codes.iter().position(|code| *code == finding.code),
                "level": level(finding.severity),
                "message": { "text": whole(finding) },
            });
            if let Some(at) = &finding.location {
                result["locations"] = json!([{
                    "physicalLocation": {
                        "artifactLocation": { "uri": uri(&at.path) },
                        "region": { "startLine": at.line, "startColumn": at.column },
                    },
                }]);
            }
            result
        })
        .collect();
    super::json(&json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {
                "driver": {
                    "name": "housewright",
                    "version": env!("CARGO_PKG_VERSION"),
                    "rules": described,
                },
            },
            // Columns are counted in characters.
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    }))
}

/// A path as a relative reference of RFC 3986.
fn uri(path: &Utf8Path) -> String {
    use std::fmt::Write as _;
    let mut uri = String::new();
    for byte in path.as_str().replace('\\', "/").bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

/// All rules, for a person.
#[must_use]
pub fn list() -> String {
    let mut table = Table::new(&["rule", "level", "finds"]);
    for rule in rules() {
        let style = match rule.level {
            Severity::Error => BAD,
            Severity::Warning => WAITING,
            Severity::Info => QUIET,
        };
        table.row(vec![
            rule.name.to_owned(),
            styled(style, rule.level.label()),
            rule.summary(),
        ]);
    }
    table.to_string()
}

#[derive(Serialize)]
struct JsonRules {
    version: u32,
    rules: Vec<JsonRule>,
}

#[derive(Serialize)]
struct JsonRule {
    name: &'static str,
    level: &'static str,
    summary: String,
    page: String,
}

/// Rules with their pages, for a program.
#[must_use]
pub fn rules_json<'a>(rules: impl IntoIterator<Item = &'a Rule>) -> String {
    super::json(&JsonRules {
        version: JSON_VERSION,
        rules: rules
            .into_iter()
            .map(|rule| JsonRule {
                name: rule.name,
                level: rule.level.label(),
                summary: rule.summary(),
                page: rule.page(),
            })
            .collect(),
    })
}
