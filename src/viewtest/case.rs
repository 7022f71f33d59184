//! A case: a story, its steps, its queries. Pure.

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::diagnostic::{Diagnostic, Location, Severity};
use crate::sql::{Span, hex, split};
use crate::viewtest::markdown::Reader;

/// A row on its way into a table: the columns that are sent.
pub type Row = Map<String, Value>;

/// A case.
#[derive(Clone, Debug)]
pub struct Case {
    /// The file's name without its extension.
    pub name: String,
    /// The file.
    pub path: Utf8PathBuf,
    /// Its text, with `\n` line ends.
    pub text: String,
    /// What is true, in a sentence.
    pub title: String,
    /// Why it matters.
    pub why: String,
    /// What is done, in order.
    pub steps: Vec<Step>,
}

/// Something that is done.
#[derive(Clone, Debug)]
pub struct Step {
    /// What.
    pub action: Action,
    /// The heading's words, without the marks.
    pub heading: String,
    /// Where the heading stands.
    pub location: Location,
}

/// What a step does.
#[derive(Clone, Debug, Serialize)]
pub enum Action {
    /// Rows go into a table, in every way that rows can arrive.
    Insert {
        /// The table.
        table: String,
        /// The rows.
        rows: Rows,
    },
    /// Each row is sent alone, and has to be refused.
    Refuse {
        /// The table.
        table: String,
        /// The rows.
        rows: Rows,
    },
    /// All parts are merged.
    Merge,
    /// Time passes.
    Advance {
        /// Milliseconds.
        milliseconds: u64,
    },
    /// A statement is executed.
    Execute {
        /// The statement.
        sql: String,
    },
    /// The targets of all materialized views are made anew from what their sources hold now.
    Rebuild,
    /// The raw rows of a table, before anything is merged.
    States {
        /// The table.
        table: String,
    },
    /// A SELECT is asked.
    Query {
        /// The SELECT.
        sql: String,
    },
}

/// Where the rows of a step come from.
#[derive(Clone, Debug, Serialize)]
pub enum Rows {
    /// They stand in the file.
    Given(Vec<GivenRow>),
    /// A SELECT makes them.
    Select(String),
    /// The generator makes them: `key = value` lines.
    Seed(Vec<(String, String)>),
}

/// A row of the file.
#[derive(Clone, Debug, Serialize)]
pub struct GivenRow {
    /// What is sent.
    pub row: Row,
    /// Where it stands.
    #[serde(skip)]
    pub span: Span,
    /// Where its columns are named, for those that a table names.
    #[serde(skip)]
    pub columns: Vec<(String, Span)>,
}

impl Case {
    /// Reads a file.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn read(path: &Utf8Path) -> Result<Self, Vec<Diagnostic>> {
        let unreadable = |message: String| {
            vec![
                Diagnostic::new(Severity::Error, "unreadable-case", message).at(Some(Location {
                    path: path.to_owned(),
                    span: Span::default(),
                    line: 1,
                    column: 1,
                })),
            ]
        };
        let bytes = fs_err::read(path).map_err(|error| unreadable(error.to_string()))?;
        let text = String::from_utf8(bytes)
            .map_err(|error| unreadable(format!("{path} is not UTF-8: {error}")))?;
        Self::parse(path, &text)
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn parse(path: &Utf8Path, text: &str) -> Result<Self, Vec<Diagnostic>> {
        let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
        let mut reader = Reader {
            path,
            text: &text,
            findings: Vec::new(),
        };
        let blocks = reader.blocks();
        let (title, why, steps) = reader.steps(blocks);
        let findings = reader.findings;
        if !findings.is_empty() {
            return Err(findings);
        }
        Ok(Self {
            name: path.file_stem().unwrap_or_default().to_owned(),
            path: path.to_owned(),
            title,
            why,
            steps,
            text,
        })
    }

    /// The place of a span of the text.
    #[must_use]
    pub fn location(&self, span: Span) -> Location {
        Location::within(&self.path, &self.text, span)
    }

    /// What the steps do, as one number: it changes when a golden file may have to.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut hasher = Sha256::new();
        for step in &self.steps {
            let action = match &step.action {
                // Layout and comments change nothing.
                Action::Query { sql } => Action::Query { sql: tidy(sql) },
                Action::Execute { sql } => Action::Execute { sql: tidy(sql) },
                other => other.clone(),
            };
            hasher.update(step.heading.as_bytes());
            hasher.update(serde_json::to_vec(&action).unwrap_or_default());
            hasher.update([0x1e]);
        }
        hex(&hasher.finalize()).chars().take(16).collect()
    }

    /// Whether a step asks something.
    #[must_use]
    pub fn queries(&self) -> usize {
        let asks = |step: &&Step| matches!(step.action, Action::Query { .. });
        self.steps.iter().filter(asks).count()
    }
}

fn tidy(sql: &str) -> String {
    split(sql)
        .iter()
        .map(crate::sql::Statement::fingerprint)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORY: &str = "# It is so\n\nBecause.\n\n## insert events\n\n| id | a | b |\n|----|---|---|\n| 1  | NULL | \"\" |\n| 2 |   | `x ` |\n\n## query\n\nWe ask.\n\n```sql\nSELECT 1;\n```\n";

    fn parse(text: &str) -> Result<Case, String> {
        Case::parse(Utf8Path::new("x/story.md"), text).map_err(|findings| {
            let line = |finding: &Diagnostic| {
                let line = finding
                    .location
                    .as_ref()
                    .map_or(0, |location| location.line);
                format!("{line}: {}: {}", finding.code, finding.message)
            };
            findings.iter().map(line).collect::<Vec<_>>().join("\n")
        })
    }

    #[test]
    fn a_story_is_read() {
        let case = parse(STORY).unwrap();
        assert_eq!(
            (case.name.as_str(), case.title.as_str(), case.why.as_str()),
            ("story", "It is so", "Because.")
        );
        let [insert, query] = case.steps.as_slice() else {
            panic!("{:?}", case.steps)
        };
        let Action::Insert {
            table,
            rows: Rows::Given(rows),
        } = &insert.action
        else {
            panic!()
        };
        assert_eq!(table, "events");
        let rows: Vec<String> = rows
            .iter()
            .map(|row| serde_json::to_string(&row.row).unwrap())
            .collect();
        assert_eq!(
            rows,
            [r#"{"id":"1","a":null,"b":""}"#, r#"{"id":"2","b":"x "}"#]
        );
        let Action::Query { sql } = &query.action else {
            panic!()
        };
        assert_eq!(sql, "SELECT 1");
        assert_eq!(query.location.line, 12);
    }

    #[test]
    fn layout_is_not_meaning() {
        let fingerprint = |text: &str| parse(text).unwrap().fingerprint();
        assert_eq!(
            fingerprint(STORY),
            fingerprint(&STORY.replace("SELECT 1;", "SELECT\n  1 -- one"))
        );
        assert_eq!(
            fingerprint(STORY),
            fingerprint(&STORY.replace("We ask.", "We wonder.").replace('\n', "\r\n"))
        );
        assert_ne!(
            fingerprint(STORY),
            fingerprint(&STORY.replace("SELECT 1", "SELECT 2"))
        );
        assert_ne!(fingerprint(STORY), fingerprint(&STORY.replace("NULL", "x")));
    }

    #[test]
    fn rows_in_a_statement_are_part_of_it() {
        let text = "# t\n\n## execute\n\n```sql\nINSERT INTO e FORMAT JSONEachRow\n{\"a\": 1}\n```\n\n## query\n\n```sql\nSELECT 1\n```\n";
        let case = parse(text).unwrap();
        let Some(Action::Execute { sql }) = case.steps.first().map(|step| &step.action) else {
            panic!("{:?}", case.steps)
        };
        assert_eq!(
            sql.trim_end(),
            "INSERT INTO e FORMAT JSONEachRow\n{\"a\": 1}"
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let errors = [
            parse("").unwrap_err(),
            parse("# t\n\n## insert events\n").unwrap_err(),
            parse("# t\n\n## ask\n").unwrap_err(),
            parse("# t\n\n## query\n\n```sql\nSELECT 1; SELECT 2\n```\n").unwrap_err(),
            parse("# t\n\n## insert e\n\n```json\n{\"a\":1}\n{\"a\":\n```\n").unwrap_err(),
            parse("# t\n\n## insert e\n\n| a |\n|---|\n| \"x |\n").unwrap_err(),
            parse(&STORY.replace("## query", "### query")).unwrap_err(),
            parse(&format!("{STORY}\n## query\n\n```sql\nSELECT 3\n```\n")).unwrap_err(),
            parse("# t\n\n## advance 1 day\n").unwrap_err(),
        ];
        insta::assert_snapshot!(errors.join("\n"), @r#"
        1: no-title: the case has no title
        3: no-rows: there are no rows below this heading
        3: bad-step: `ask` is not a step
        5: one-statement: a step has exactly one statement
        7: bad-event: this line is not a JSON object: EOF while parsing a value at line 2 column 0
        7: bad-cell: `"x` in column `a`: EOF while parsing a string at line 1 column 2
        16: no-step: this belongs to no step
        20: two-queries-of-one-name: two steps are called `query`
        3: bad-step: `advance 1 day` is not a step
        "#);
    }
}
