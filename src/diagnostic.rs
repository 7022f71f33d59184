//! A finding, as data: what is wrong, where, and what to do about it. How it looks is the business of `report`.

use camino::{Utf8Path, Utf8PathBuf};

use crate::sql::{Span, line_and_column};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Likely wrong.
    Warning,
    /// Nothing goes on until it is mended.
    Error,
}

impl Severity {
    /// One word for a person and for JSON.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// The file.
    pub path: Utf8PathBuf,
    /// The bytes of its text, as it was read: without a byte order mark, with `\n` line ends.
    pub span: Span,
    /// The line of the first byte, from 1.
    pub line: usize,
    /// The column of the first byte, in characters from 1.
    pub column: usize,
}

impl Location {
    /// The place of some bytes of a file's text.
    #[must_use]
    pub fn within(path: &Utf8Path, text: &str, span: Span) -> Self {
        let (line, column) = line_and_column(text, span.start);
        Self {
            path: path.to_owned(),
            span,
            line,
            column,
        }
    }
}

/// A finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Its name, `like-this`: stable, for filters and tests.
    pub code: &'static str,
    /// What is wrong, in a sentence without a full stop.
    pub message: String,
    /// Where.
    pub location: Option<Location>,
    /// What else there is to know.
    pub notes: Vec<String>,
    /// What to do.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A finding without a place.
    #[must_use]
    pub fn new(severity: Severity, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            severity,
            code,
            message: message.into(),
            location: None,
            notes: Vec::new(),
            help: None,
        }
    }

    /// With its place, if it has one.
    #[must_use]
    pub fn at(mut self, location: Option<Location>) -> Self {
        self.location = location;
        self
    }

    /// With something else to know.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// With what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// A number with its thousands apart.
#[must_use]
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of bytes as a person reads it.
#[must_use]
pub fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let (mut rest, mut left, mut unit) = (number, 0, "B");
    for next in UNITS {
        if rest < 1024 {
            break;
        }
        (left, rest, unit) = (rest % 1024 * 10 / 1024, rest / 1024, next);
    }
    if unit == "B" {
        format!("{rest} B")
    } else {
        format!("{rest}.{left} {unit}")
    }
}
