//! `schema/queries/*.sql` → recipes: questions with a name, a meaning and parameters, ready to be asked. Nothing here knows a server.
//!
//! A file is one SELECT under a comment: its first line is the title, what follows the meaning, `param NAME = DEFAULT: meaning` or
//! `param NAME, like EXAMPLE: meaning` a parameter, `bar COLUMN` the column that a bar is drawn for.

use camino::{Utf8Path, Utf8PathBuf};

use crate::diagnostic::{Diagnostic, Location, Severity};
use crate::sql::{Kind, Span, line_and_column, parameters, split};

/// The directory of the recipes in the schema directory.
pub const DIRECTORY: &str = "queries";

/// A question with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// The file's name without `.sql`.
    pub name: String,
    /// What it is called.
    pub title: String,
    /// What the answer means: paragraphs, with an empty line between them.
    pub meaning: String,
    /// The parameters, in the order of the comment.
    pub parameters: Vec<Parameter>,
    /// The column of the answer that a bar is drawn for.
    pub bar: Option<String>,
    /// The SELECT, without the comment.
    pub sql: String,
    /// The file.
    pub path: Utf8PathBuf,
}

/// A parameter of a recipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name, as in `{name:Type}`.
    pub name: String,
    /// Its type.
    pub r#type: String,
    /// What it means.
    pub meaning: String,
    /// Its value where none is given.
    pub default: Option<String>,
    /// A value that the generated events have; the default, if there is one.
    pub example: String,
}

/// What was answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// The columns.
    pub columns: Vec<AnswerColumn>,
    /// The rows, as JSON values.
    pub rows: Vec<Vec<serde_json::Value>>,
}

/// A column of an answer.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
pub struct AnswerColumn {
    /// Its name.
    pub name: String,
    /// Its type.
    pub r#type: String,
}

impl AnswerColumn {
    /// Whether its values are numbers.
    #[must_use]
    pub fn is_number(&self) -> bool {
        let inner = self
            .r#type
            .strip_prefix("Nullable(")
            .or_else(|| self.r#type.strip_prefix("LowCardinality("))
            .unwrap_or(&self.r#type);
        ["UInt", "Int", "Float", "Decimal", "BFloat"]
            .iter()
            .any(|prefix| inner.starts_with(prefix))
    }
}

/// The recipes of a schema directory, by name.
#[derive(Clone, Debug, Default)]
pub struct Recipes(Vec<Recipe>);

/// Why there are no recipes to work with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or the directory cannot be read.
    #[error("could not read the recipes")]
    Unreadable(#[source] std::io::Error),
    /// What is wrong with the files.
    #[error("the recipes are not usable")]
    Invalid(Vec<Diagnostic>),
}

/// Why a recipe cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// A parameter that it does not have.
    #[error("`{recipe}` has no parameter `{name}`\n  it has: {known}")]
    Unknown {
        /// The recipe.
        recipe: String,
        /// What was given.
        name: String,
        /// What there is.
        known: String,
    },
    /// Parameters without a value.
    #[error("`{recipe}` needs a value for {missing}\n  give it with {hint}")]
    Missing {
        /// The recipe.
        recipe: String,
        /// Their names.
        missing: String,
        /// What to type.
        hint: String,
    },
}

impl Recipes {
    /// Reads `<schema>/queries`; without that directory there are none.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong with the files.
    pub fn load(schema: &Utf8Path) -> Result<Self, Error> {
        let directory = schema.join(DIRECTORY);
        if !directory.exists() {
            return Ok(Self::default());
        }
        let mut paths = Vec::new();
        for entry in fs_err::read_dir(&directory).map_err(Error::Unreadable)? {
            let entry = entry.map_err(Error::Unreadable)?;
            if let Ok(path) = Utf8PathBuf::from_path_buf(entry.path()) {
                paths.push(path);
            }
        }
        paths.sort();
        let mut recipes = Vec::new();
        let mut findings = Vec::new();
        for path in paths {
            let hidden = path.file_name().is_none_or(|name| name.starts_with('.'));
            if hidden || path.extension() != Some("sql") {
                continue;
            }
            let text = fs_err::read_to_string(&path).map_err(Error::Unreadable)?;
            let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
            match Recipe::parse(&path, &text) {
                Ok(recipe) => recipes.push(recipe),
                Err(found) => findings.extend(found),
            }
        }
        if findings.is_empty() {
            Ok(Self(recipes))
        } else {
            Err(Error::Invalid(findings))
        }
    }

    /// The recipes, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Recipe> {
        self.0.iter()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A recipe by its name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Recipe> {
        self.0.iter().find(|recipe| recipe.name == name)
    }
}

/// A `param` line of the comment.
struct Described {
    name: String,
    default: Option<String>,
    example: String,
    meaning: String,
    at: usize,
}

impl Recipe {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(path: &Utf8Path, text: &str) -> Result<Self, Vec<Diagnostic>> {
        let mut findings = Vec::new();
        let mut error = |code, message: String, at: usize, help: &str| {
            let (line, column) = line_and_column(text, at);
            let location = Location {
                path: path.to_owned(),
                span: Span {
                    start: at,
                    end: text
                        .get(at..)
                        .and_then(|rest| rest.find('\n'))
                        .map_or(text.len(), |length| at + length),
                },
                line,
                column,
            };
            findings.push(
                Diagnostic::new(Severity::Error, code, message)
                    .at(Some(location))
                    .help(help),
            );
        };
        let mut title = String::new();
        let mut meaning = String::new();
        let mut bar = None;
        let mut described: Vec<Described> = Vec::new();
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            let Some(said) = line.trim_start().strip_prefix("--") else {
                break;
            };
            let said = said.trim();
            if title.is_empty() {
                said.clone_into(&mut title);
            } else if let Some(rest) = said.strip_prefix("param ") {
                match param(rest, at) {
                    Some(parameter) => described.push(parameter),
                    None => error(
                        "recipe-parameter",
                        format!("`{said}` is no description of a parameter"),
                        at,
                        "write `param NAME = DEFAULT: what it means`, or `param NAME, like EXAMPLE: what it means`",
                    ),
                }
            } else if let Some(column) = said.strip_prefix("bar ") {
                bar = Some(column.trim().to_owned());
            } else if said.is_empty() {
                if !meaning.is_empty() && !meaning.ends_with('\n') {
                    meaning.push_str("\n\n");
                }
            } else {
                if !meaning.is_empty() && !meaning.ends_with('\n') {
                    meaning.push(' ');
                }
                meaning.push_str(said);
            }
            at += line.len();
        }
        let body = text.get(at..).unwrap_or_default();
        let statements = split(body);
        let (sql, start) = match statements.as_slice() {
            [one] if one.header.kind == Kind::Read && one.unclosed.is_none() => {
                (one.sql().to_owned(), at + one.span.start)
            }
            _ => {
                error(
                    "recipe-statement",
                    "a recipe is one SELECT under a comment".to_owned(),
                    at.min(text.len()),
                    "keep one query in each file of queries/, and nothing that changes data",
                );
                (String::new(), at)
            }
        };
        if title.is_empty() {
            error(
                "recipe-title",
                "nothing says what this recipe answers".to_owned(),
                0,
                "begin the file with a comment: a title, an empty line, what the answer means",
            );
        }
        let mut found = Vec::new();
        let named = parameters(&sql);
        for known in &named {
            if !described.iter().any(|it| it.name == known.name) {
                error(
                    "recipe-parameter",
                    format!("the parameter `{}` is not described", known.name),
                    start,
                    "add `param NAME, like EXAMPLE: what it means` to the comment",
                );
            }
        }
        for it in described {
            match named.iter().find(|known| known.name == it.name) {
                Some(known) => found.push(Parameter {
                    name: it.name,
                    r#type: known.r#type.clone(),
                    meaning: it.meaning,
                    default: it.default,
                    example: it.example,
                }),
                None => error(
                    "recipe-parameter",
                    format!("the query has no parameter `{}`", it.name),
                    it.at,
                    "name it in the query as {name:Type}, or remove this line",
                ),
            }
        }
        if findings.is_empty() {
            Ok(Self {
                name: path.file_stem().unwrap_or_default().to_owned(),
                title,
                meaning: meaning.trim().to_owned(),
                parameters: found,
                bar,
                sql,
                path: path.to_owned(),
            })
        } else {
            Err(findings)
        }
    }

    /// A value for every parameter: the one that is given, or its default, or (`examples`) its example.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn bind(
        &self,
        given: &[(String, String)],
        examples: bool,
    ) -> Result<Vec<(String, String)>, BindError> {
        if let Some((name, _)) = given
            .iter()
            .find(|(name, _)| !self.parameters.iter().any(|it| it.name == *name))
        {
            let known: Vec<&str> = self.parameters.iter().map(|it| it.name.as_str()).collect();
            return Err(BindError::Unknown {
                recipe: self.name.clone(),
                name: name.clone(),
                known: if known.is_empty() {
                    "none".to_owned()
                } else {
                    known.join(", ")
                },
            });
        }
        let mut bound = Vec::new();
        let mut missing = Vec::new();
        for parameter in &self.parameters {
            let value = given
                .iter()
                .rev()
                .find(|(name, _)| *name == parameter.name)
                .map(|(_, value)| value)
                .or(parameter.default.as_ref())
                .or(examples.then_some(&parameter.example));
            match value {
                Some(value) => bound.push((parameter.name.clone(), value.clone())),
                None => missing.push(parameter),
            }
        }
        if missing.is_empty() {
            return Ok(bound);
        }
        let join = |separator: &str, each: &dyn Fn(&Parameter) -> String| {
            missing
                .iter()
                .map(|it| each(it))
                .collect::<Vec<_>>()
                .join(separator)
        };
        Err(BindError::Missing {
            recipe: self.name.clone(),
            missing: join(", ", &|it| format!("`{}`", it.name)),
            hint: join(" ", &|it| format!("--param {}={}", it.name, it.example)),
        })
    }
}

/// `NAME = DEFAULT: meaning`, `NAME, like EXAMPLE: meaning`.
fn param(text: &str, at: usize) -> Option<Described> {
    let (head, meaning) = text.split_once(": ")?;
    let (name, value, is_default) = if let Some((name, value)) = head.split_once(", like ") {
        (name, value, false)
    } else {
        let (name, value) = head.split_once('=')?;
        (name, value, true)
    };
    let value = value.trim();
    let value = value
        .strip_prefix('\'')
        .and_then(|rest| rest.strip_suffix('\''))
        .unwrap_or(value)
        .to_owned();
    Some(Described {
        name: name.trim().to_owned(),
        default: is_default.then(|| value.clone()),
        example: value,
        meaning: meaning.trim().to_owned(),
        at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "-- Counted\n--\n-- How many there are,\n-- of one kind.\n--\n-- More.\n--\n-- param kind, like a b: which; NULL: none\n-- param least = '': from here\n-- bar n\n\nSELECT count() AS n FROM t WHERE kind = {kind:String} AND id >= {least:String};\n";

    fn parse(text: &str) -> Result<Recipe, String> {
        Recipe::parse(Utf8Path::new("queries/counted.sql"), text).map_err(|findings| {
            findings
                .iter()
                .map(|it| {
                    let line = it.location.as_ref().map_or(0, |location| location.line);
                    format!("{line}: {} ({})", it.message, it.code)
                })
                .collect::<Vec<_>>()
                .join("\n")
        })
    }

    #[test]
    fn a_comment_says_what_a_recipe_is() {
        let recipe = parse(GOOD).unwrap();
        assert_eq!(recipe.name, "counted");
        assert_eq!(recipe.title, "Counted");
        assert_eq!(recipe.meaning, "How many there are, of one kind.\n\nMore.");
        assert_eq!(recipe.bar.as_deref(), Some("n"));
        assert!(recipe.sql.ends_with("{least:String}"));
        let parameters: Vec<_> = recipe
            .parameters
            .iter()
            .map(|it| (it.name.as_str(), it.default.as_deref(), it.example.as_str()))
            .collect();
        assert_eq!(parameters, [("kind", None, "a b"), ("least", Some(""), "")]);
        assert_eq!(recipe.parameters[0].meaning, "which; NULL: none");
    }

    #[test]
    fn what_is_not_given_has_a_default_or_is_named() {
        let recipe = parse(GOOD).unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            recipe.bind(&[pair("kind", "x")], false).unwrap(),
            [pair("kind", "x"), pair("least", "")]
        );
        assert_eq!(
            recipe.bind(&[], true).unwrap(),
            [pair("kind", "a b"), pair("least", "")]
        );
        assert_eq!(
            recipe.bind(&[], false).unwrap_err().to_string(),
            "`counted` needs a value for `kind`\n  give it with --param kind=a b"
        );
        assert_eq!(
            recipe
                .bind(&[pair("nothing", "")], true)
                .unwrap_err()
                .to_string(),
            "`counted` has no parameter `nothing`\n  it has: kind, least"
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, said) in [
            (
                "SELECT 1",
                "1: nothing says what this recipe answers (recipe-title)",
            ),
            (
                "-- T\nDROP TABLE t",
                "2: a recipe is one SELECT under a comment (recipe-statement)",
            ),
            (
                "-- T\nSELECT 1; SELECT 2",
                "2: a recipe is one SELECT under a comment (recipe-statement)",
            ),
            (
                "-- T\n--\n-- param x\nSELECT {y:UInt8}",
                "3: `param x` is no description of a parameter (recipe-parameter)\n4: the parameter `y` is not described (recipe-parameter)",
            ),
            (
                "-- T\n-- param x = 1: the x\nSELECT 1",
                "2: the query has no parameter `x` (recipe-parameter)",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err(), said, "{text}");
        }
    }
}
