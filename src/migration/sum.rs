//! `housewright.sum`: one line a migration, so that two branches that add the same version collide in git, and an edit is seen before
//! any server is asked.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use camino::Utf8Path;

use crate::diagnostic::{Diagnostic, Location, Severity};
use crate::migration::{Error, Migrations};
use crate::sql::Span;

/// The file, in the migrations' directory.
pub const FILE_NAME: &str = "housewright.sum";

const HEADER: &str = "# version name sha256; written by housewright, kept in git\n";

/// The lines of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sum(BTreeMap<u64, (String, String)>);

impl Sum {
    /// The sums of migrations.
    #[must_use]
    pub fn of(migrations: &Migrations) -> Self {
        Self(
            migrations
                .iter()
                .map(|migration| {
                    (
                        migration.version,
                        (migration.name.clone(), migration.sha256.clone()),
                    )
                })
                .collect(),
        )
    }

    /// The file's text.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = HEADER.to_owned();
        for (version, (name, sha256)) in &self.0 {
            let _ = writeln!(text, "{version:04} {name} sha256:{sha256}");
        }
        text
    }

    /// Reads the file's text; the line that is not one of it is a finding.
    fn parse(path: &Utf8Path, text: &str, findings: &mut Vec<Diagnostic>) -> Self {
        let mut lines = BTreeMap::new();
        let mut next = 0;
        for (number, line) in (1..).zip(text.split_inclusive('\n')) {
            let span = Span {
                start: next,
                end: next + line.trim_end().len(),
            };
            next += line.len();
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            let parsed = match words.as_slice() {
                [version, name, sum] => version
                    .parse::<u64>()
                    .ok()
                    .zip(sum.strip_prefix("sha256:").map(|sum| (*name, sum))),
                _ => None,
            };
            if let Some((version, (name, sum))) = parsed {
                lines.insert(version, (name.to_owned(), sum.to_owned()));
                continue;
            }
            let conflict = ["<<<<<<<", "=======", ">>>>>>>", "|||||||"]
                .iter()
                .any(|mark| line.starts_with(mark));
            let (message, help) = if conflict {
                (
                    "a merge conflict: two branches added migrations",
                    "give the migrations of the branch that no server has yet the next free versions, then `housewright repair`",
                )
            } else {
                (
                    "not a line of a sum file",
                    "`housewright repair` writes the file anew",
                )
            };
            findings
                .push(finding("sum-unreadable", message.to_owned(), path, number, span).help(help));
        }
        Self(lines)
    }

    /// What the file and the migrations say of each other that is not the same.
    ///
    /// # Errors
    /// [`Error::Directory`] if the file is there and cannot be read.
    pub(crate) fn verify(
        path: &Utf8Path,
        migrations: &Migrations,
    ) -> Result<Vec<Diagnostic>, Error> {
        let mut findings = Vec::new();
        let text = match fs_err::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Error::Directory(error)),
        };
        let written = Self::parse(path, &text, &mut findings);
        if !findings.is_empty() {
            return Ok(findings);
        }
        let actual = Self::of(migrations);
        let last = written.0.keys().next_back().copied();
        for (version, (name, sha256)) in &actual.0 {
            let title = format!("{version:04}_{name}");
            let found = match written.0.get(version) {
                // Where the later ones are applied, this one comes too late.
                None if last.is_some_and(|last| last > *version) => Some((
                    "sum-out-of-order",
                    format!(
                        "{title} is new, and {FILE_NAME} knows later ones already, up to version {:04}",
                        last.unwrap_or_default()
                    ),
                )),
                None => Some(("sum-missing", format!("{FILE_NAME} does not know {title}"))),
                Some((other, _)) if other != name => Some((
                    "sum-renamed",
                    format!(
                        "{FILE_NAME} knows version {version:04} as `{other}`, and the file is called `{name}`"
                    ),
                )),
                Some((_, sum)) if sum != sha256 => Some((
                    "sum-mismatch",
                    format!("{title} is not what {FILE_NAME} says it was"),
                )),
                Some(_) => None,
            };
            if let Some((code, message)) = found {
                let migration_path = migrations
                    .get(*version)
                    .map(|migration| migration.path.as_path());
                let help = if code == "sum-out-of-order" {
                    "give it the next free version; if it has to keep this one, `housewright repair` records it, and `apply --out-of-order` executes it where later ones are applied"
                } else {
                    "if the change is meant and no server has the migration yet, `housewright repair` records it; otherwise bring the file back (`git checkout`)"
                };
                findings.push(
                    finding(
                        code,
                        message,
                        migration_path.unwrap_or(path),
                        1,
                        Span::default(),
                    )
                    .help(help),
                );
            }
        }
        for (version, (name, _)) in written
            .0
            .iter()
            .filter(|(version, _)| !actual.0.contains_key(version))
        {
            findings.push(
                finding("sum-extra", format!("{FILE_NAME} knows {version:04}_{name}, and there is no such file"), path, 1, Span::default())
                    .help("bring the file back (`git checkout`); if it was never applied anywhere, `housewright repair` forgets it"),
            );
        }
        Ok(findings)
    }
}

fn finding(
    code: &'static str,
    message: String,
    path: &Utf8Path,
    line: usize,
    span: Span,
) -> Diagnostic {
    Diagnostic::new(Severity::Error, code, message).at(Some(Location {
        path: path.to_owned(),
        span,
        line,
        column: 1,
    }))
}
