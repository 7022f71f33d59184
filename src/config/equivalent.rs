//! `equivalent_mutants.toml`: the changes of the schema that nothing can tell from it, each with the reason.

use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;

use crate::config::Error;

/// The file in the schema directory.
pub const FILE_NAME: &str = "equivalent_mutants.toml";

/// What the file says.
#[derive(Clone, Debug, Default)]
pub struct Equivalents {
    /// The file; it need not be there.
    pub path: Utf8PathBuf,
    /// The mutants that it names, in its order.
    pub entries: Vec<Equivalent>,
}

/// A mutant that is the same as the original.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Equivalent {
    /// Its name.
    pub name: String,
    /// Why nobody can tell.
    pub reason: String,
    /// The bytes of the name in the file.
    pub span: std::ops::Range<usize>,
    /// The line of the name, from 1.
    pub line: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    equivalent: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    reason: String,
    mutants: Vec<toml::Spanned<String>>,
}

impl Equivalents {
    /// Reads the file of a schema directory; one that is not there names none.
    ///
    /// # Errors
    /// [`Error::Unreadable`] and [`Error::File`], with the line.
    pub fn load(schema: &Utf8Path) -> Result<Self, Error> {
        let path = schema.join(FILE_NAME);
        match fs_err::read_to_string(&path) {
            Ok(text) => Self::parse(path, &text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self {
                path,
                entries: Vec::new(),
            }),
            Err(source) => Err(Error::Unreadable {
                what: "the list of equivalent mutants".to_owned(),
                source,
            }),
        }
    }

    fn parse(path: Utf8PathBuf, text: &str) -> Result<Self, Error> {
        let invalid = |message: String| Error::File {
            path: path.clone(),
            message,
        };
        let file: File = toml::from_str(text)
            .map_err(|error| invalid(error.to_string().trim_end().to_owned()))?;
        let mut entries: Vec<Equivalent> = Vec::new();
        for group in file.equivalent {
            for name in group.mutants {
                let span = name.span();
                let line = 1 + text
                    .get(..span.start)
                    .unwrap_or_default()
                    .matches('\n')
                    .count();
                let name = name.into_inner();
                if group.reason.trim().is_empty() {
                    return Err(invalid(format!("line {line}: `{name}` has no reason")));
                }
                if let Some(first) = entries.iter().find(|entry| entry.name == name) {
                    return Err(invalid(format!(
                        "line {line}: `{name}` is named already, in line {}",
                        first.line
                    )));
                }
                entries.push(Equivalent {
                    name,
                    reason: group.reason.trim().to_owned(),
                    span,
                    line,
                });
            }
        }
        Ok(Self { path, entries })
    }

    /// The reason that is given for a mutant.
    #[must_use]
    pub fn reason(&self, name: &str) -> Option<&str> {
        self.entries
            .iter()
            .find(|entry| entry.name == name)
            .map(|entry| entry.reason.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Equivalents, Error> {
        Equivalents::parse("equivalent_mutants.toml".into(), text)
    }

    #[test]
    fn a_reason_for_each_and_each_once() {
        let file = "[[equivalent]]\nreason = \"why\"\nmutants = [\n  \"a\",\n  \"b\",\n]\n";
        let read = parse(file).unwrap();
        assert_eq!(read.reason("b"), Some("why"));
        assert_eq!(read.reason("c"), None);
        assert_eq!(read.entries[1].line, 5);
        let none = parse("[[equivalent]]\nreason = \" \"\nmutants = [\"a\"]\n").unwrap_err();
        insta::assert_snapshot!(none, @"
        equivalent_mutants.toml is not valid
        line 3: `a` has no reason
        ");
        let twice = parse(&format!("{file}{file}")).unwrap_err();
        insta::assert_snapshot!(twice, @"
        equivalent_mutants.toml is not valid
        line 10: `a` is named already, in line 4
        ");
    }
}
