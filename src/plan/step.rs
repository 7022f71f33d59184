//! One statement of a plan, and one whose end nobody wrote down.

use camino::Utf8PathBuf;

use crate::diagnostic::{Diagnostic, Location};
use crate::journal::Fact;
use crate::migration::Rebuild;
use crate::plan::{Effect, title};
use crate::sql::{Allowance, Class, Kind, Span, Statement, header};

/// Which section of a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// What `apply` executes.
    Up,
    /// What `rollback` executes.
    Down,
}

impl Direction {
    /// As the journal has it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// One statement to execute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The migration's version.
    pub version: u64,
    /// The migration's name.
    pub name: String,
    /// The section it is of.
    pub direction: Direction,
    /// The migration's file.
    pub path: Utf8PathBuf,
    /// The statement's first byte in it.
    pub offset: usize,
    /// The statement's line in it, from 1.
    pub line: usize,
    /// The statement's column in it, in characters from 1.
    pub column: usize,
    /// The statement's number within its section, from 1.
    pub number: u32,
    /// The number of statements in the section.
    pub total: u32,
    /// The statement, without its `;` and without inline data.
    pub sql: String,
    /// The inline data of an INSERT that brings its own.
    pub data: Option<String>,
    /// What it is.
    pub kind: Kind,
    /// The words that say so.
    pub label: String,
    /// What it does to what is there.
    pub class: Class,
    /// The objects it names, as they are written.
    pub objects: Vec<String>,
    /// The fingerprint.
    pub sha256: String,
    /// SHA-256 of the file.
    pub file_sha256: String,
    /// The down section.
    pub down_sql: String,
    /// What the comment above it allows.
    pub allowance: Option<Allowance>,
    /// Whether that allows that nobody can know what became of it if it breaks off.
    pub unsettled: Option<Allowance>,
    /// What it does on the target; known once the plan is weighed.
    pub effect: Option<Effect>,
    /// The changed definition that it is a part of.
    pub section: Option<Rebuild>,
    /// What is sent instead of `sql`, where a cluster wants more said than the file says.
    pub sent: Option<String>,
    /// Whether its rows go through staging tables, or its object has another name until it is full; known once the plan is weighed.
    pub staged: bool,
}

impl Step {
    /// A statement of an up section; whose, and what goes with it, is for the caller to say.
    pub(super) fn of(statement: &Statement, number: u32, total: u32) -> Self {
        Self {
            version: 0,
            name: String::new(),
            direction: Direction::Up,
            path: Utf8PathBuf::new(),
            offset: statement.span.start,
            line: statement.line,
            column: statement.column,
            number,
            total,
            sql: statement.sql().to_owned(),
            data: statement.data().map(str::to_owned),
            kind: statement.header.kind,
            label: statement.header.label.clone(),
            class: statement.header.class,
            objects: statement
                .header
                .objects
                .iter()
                .map(ToString::to_string)
                .collect(),
            sha256: statement.fingerprint(),
            file_sha256: String::new(),
            down_sql: String::new(),
            allowance: None,
            unsettled: None,
            effect: None,
            section: None,
            sent: None,
            staged: false,
        }
    }

    /// A statement that the journal knows.
    #[must_use]
    pub(super) fn of_fact(fact: &Fact) -> Self {
        let header = header(&fact.sql);
        Self {
            version: fact.version,
            name: fact.name.clone(),
            direction: if fact.direction == Direction::Down.word() {
                Direction::Down
            } else {
                Direction::Up
            },
            path: Utf8PathBuf::from(format!(
                "{} (as the journal has it)",
                title(fact.version, &fact.name)
            )),
            offset: 0,
            line: 1,
            column: 1,
            number: fact.statement,
            total: fact.statements,
            sql: fact.sql.clone(),
            data: None,
            kind: header.kind,
            label: header.label,
            class: header.class,
            objects: header.objects.iter().map(ToString::to_string).collect(),
            sha256: fact.sha256.clone(),
            file_sha256: fact.file_sha256.clone(),
            down_sql: fact.down_sql.clone(),
            allowance: None,
            unsettled: None,
            effect: None,
            section: None,
            sent: None,
            staged: false,
        }
    }

    /// The bytes it covers in its file.
    #[must_use]
    pub fn location(&self) -> Location {
        Location {
            path: self.path.clone(),
            span: Span {
                start: self.offset,
                end: self.offset + self.sql.len(),
            },
            line: self.line,
            column: self.column,
        }
    }

    /// `statement 2 of 0003_third`
    #[must_use]
    pub fn title(&self) -> String {
        let section = match self.direction {
            Direction::Up => "",
            Direction::Down => "the down section of ",
        };
        format!(
            "statement {} of {section}{}",
            self.number,
            title(self.version, &self.name)
        )
    }
}

/// A statement that was begun and whose end nobody wrote down.
#[derive(Clone, Debug)]
pub struct Doubt {
    /// The statement, as the journal has it.
    pub step: Step,
    /// What the journal says of it.
    pub fact: Fact,
    /// The same in words, as a warning.
    pub finding: Diagnostic,
}

impl Doubt {
    /// What somebody can do who has looked.
    #[must_use]
    pub fn by_hand(&self) -> String {
        let (option, verb) = match self.step.direction {
            Direction::Up => ("", "apply"),
            Direction::Down => ("--down ", "rollback"),
        };
        format!(
            "look whether its effect is there (SHOW CREATE, or system.query_log by that query_id); then `housewright repair {option}--done {version}:{number}` if it is, `housewright repair {option}--retry {version}:{number}` if it is not, and `{verb}` again",
            version = self.step.version,
            number = self.step.number,
        )
    }
}
