//! Golden files in insta's format, so that `cargo insta review` and `--accept` work on the same ones.
//!
//! `NAME.snap` beside `NAME.md` is what was accepted, `NAME.snap.new` what came out instead. The header carries the case's fingerprint:
//! rows that were accepted for another text are not accepted for this one.

use camino::{Utf8Path, Utf8PathBuf};

use crate::viewtest::case::Case;
use crate::viewtest::rows::Rows;

/// What was answered, by the heading of the step that asked.
pub type Answers = Vec<(String, Rows)>;

/// A golden file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The fingerprint of the case that it was accepted for.
    pub fingerprint: String,
    /// The rows, as text.
    pub content: String,
}

impl Snapshot {
    /// What a case answered.
    #[must_use]
    pub fn of(case: &Case, answers: &Answers) -> Self {
        let sections: Vec<String> = answers
            .iter()
            .map(|(heading, rows)| format!("## {heading}\n\n{}", rows.render()))
            .collect();
        Self {
            fingerprint: case.fingerprint(),
            content: sections.join("\n").trim_end().to_owned(),
        }
    }

    /// The accepted one; `None` if there is none.
    ///
    /// # Errors
    /// As reading a file.
    pub fn load(case: &Case) -> std::io::Result<Option<Self>> {
        match fs_err::read_to_string(path(case)) {
            Ok(text) => Ok(Some(Self::parse(&text.replace("\r\n", "\n")))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn parse(text: &str) -> Self {
        let (header, content) = text
            .strip_prefix("---\n")
            .and_then(|rest| rest.split_once("\n---\n"))
            .unwrap_or(("", text));
        let fingerprint = header
            .lines()
            .find_map(|line| line.trim().strip_prefix("fingerprint:"))
            .map(|value| value.trim().trim_matches('"').to_owned())
            .unwrap_or_default();
        Self {
            fingerprint,
            content: content.trim_end().to_owned(),
        }
    }

    fn render(&self, case: &Case) -> String {
        let quoted = |text: &str| serde_json::to_string(text).unwrap_or_default();
        // As insta writes it: the place of what was tested first.
        format!(
            "---\nsource: {}\ndescription: {}\ninfo:\n  fingerprint: {}\n---\n{}\n",
            source(case),
            quoted(&case.title),
            quoted(&self.fingerprint),
            self.content
        )
    }

    /// The rows of a step; `None` if the file has none or they cannot be read.
    #[must_use]
    pub fn rows(&self, heading: &str) -> Option<Rows> {
        let mut lines = self.content.lines();
        let wanted = format!("## {heading}");
        lines.find(|line| *line == wanted)?;
        let section: Vec<&str> = lines.take_while(|line| !line.starts_with("## ")).collect();
        Rows::parse(&section.join("\n"))
    }

    /// Makes this the accepted one.
    ///
    /// # Errors
    /// As writing a file.
    pub fn accept(&self, case: &Case) -> std::io::Result<()> {
        fs_err::write(path(case), self.render(case))?;
        forget(case)
    }

    /// Puts this beside the accepted one, for a review.
    ///
    /// # Errors
    /// As writing a file.
    pub fn propose(&self, case: &Case) -> std::io::Result<()> {
        fs_err::write(pending(case), self.render(case))
    }
}

/// With `/` on every platform.
fn source(case: &Case) -> String {
    case.path.as_str().replace('\\', "/")
}

/// Removes what waits for a review.
///
/// # Errors
/// As removing a file.
pub fn forget(case: &Case) -> std::io::Result<()> {
    match fs_err::remove_file(pending(case)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Where the accepted rows of a case are.
#[must_use]
pub fn path(case: &Case) -> Utf8PathBuf {
    case.path.with_extension("snap")
}

/// Where rows that wait for a review are.
#[must_use]
pub fn pending(case: &Case) -> Utf8PathBuf {
    case.path.with_extension("snap.new")
}

/// Whether a file is one of ours: accepted or waiting.
#[must_use]
pub fn is_snapshot(path: &Utf8Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    let name = name.strip_suffix(".new").unwrap_or(name);
    Utf8Path::new(name).extension() == Some("snap")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_accepted_is_read_back() {
        let dir = camino_tempfile::Utf8TempDir::new().unwrap();
        let text = "# A \"title\": so\n\n## query one\n\n```sql\nSELECT 1\n```\n";
        let case = Case::parse(&dir.path().join("x.md"), text).unwrap();
        assert_eq!(Snapshot::load(&case).unwrap(), None);
        let rows = Rows::from_tsv(b"a\tb\n1\t\\N\n");
        let snapshot = Snapshot::of(
            &case,
            &vec![
                ("query one".into(), rows.clone()),
                ("query two".into(), Rows::from_tsv(b"c\n")),
            ],
        );
        snapshot.propose(&case).unwrap();
        snapshot.accept(&case).unwrap();
        assert!(!pending(&case).exists());
        let read = Snapshot::load(&case).unwrap().unwrap();
        assert_eq!(read, snapshot);
        assert_eq!(read.rows("query one").unwrap(), rows);
        assert_eq!(read.rows("query two").unwrap().columns, ["c"]);
        assert_eq!(read.rows("query three"), None);
    }
}
