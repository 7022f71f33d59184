//! Why a verb ends badly, and with which exit code.

use std::process::ExitCode;

use crate::cli::printer::Printer;
use crate::diagnostic::Diagnostic;
use crate::{clickhouse, config, engine, journal, migration, report};

/// A bad end.
pub(crate) struct Stop {
    code: u8,
    kind: Kind,
}

enum Kind {
    /// An error and its causes.
    Error(anyhow::Error),
    /// Findings, with the texts of their files.
    Findings(Vec<Diagnostic>, Option<migration::Migrations>),
    /// It was reported already.
    Said,
}

impl Stop {
    /// What happened, in one line.
    pub(crate) fn words(&self) -> String {
        match &self.kind {
            Kind::Error(error) => format!("{error:#}"),
            Kind::Findings(findings, _) => findings
                .iter()
                .map(|finding| finding.message.as_str())
                .collect::<Vec<_>>()
                .join("; "),
            Kind::Said => String::new(),
        }
    }

    /// Usage, or an invalid project.
    pub(crate) fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self {
            code: 2,
            kind: Kind::Error(error.into()),
        }
    }

    /// Something went wrong outside of the project.
    pub(crate) fn failed(code: u8, error: impl Into<anyhow::Error>) -> Self {
        Self {
            code,
            kind: Kind::Error(error.into()),
        }
    }

    /// Findings that stand in the way.
    pub(crate) fn findings(
        code: u8,
        findings: Vec<Diagnostic>,
        migrations: Option<migration::Migrations>,
    ) -> Self {
        Self {
            code,
            kind: Kind::Findings(findings, migrations),
        }
    }

    /// An exit code for what was reported already.
    pub(crate) fn said(code: u8) -> Self {
        Self {
            code,
            kind: Kind::Said,
        }
    }

    /// Says it, on stderr; and on stdout for a program.
    pub(crate) fn report(self, printer: &Printer) -> ExitCode {
        match self.kind {
            Kind::Error(error) => printer.error(self.code, &report::causes(error.as_ref())),
            Kind::Findings(findings, migrations) => {
                printer.findings(self.code, &findings, migrations.as_ref());
            }
            Kind::Said => {}
        }
        ExitCode::from(self.code)
    }
}

impl From<config::Error> for Stop {
    fn from(error: config::Error) -> Self {
        Self::usage(error)
    }
}

impl From<migration::Error> for Stop {
    fn from(error: migration::Error) -> Self {
        match error {
            migration::Error::Invalid(findings) => Self::findings(2, findings, None),
            other => Self::usage(other),
        }
    }
}

impl From<clickhouse::Error> for Stop {
    fn from(error: clickhouse::Error) -> Self {
        Self::failed(3, error)
    }
}

impl From<journal::Error> for Stop {
    fn from(error: journal::Error) -> Self {
        Self::failed(3, error)
    }
}

impl From<journal::LockError> for Stop {
    fn from(error: journal::LockError) -> Self {
        let code = if matches!(error, journal::LockError::Held { .. }) {
            4
        } else {
            3
        };
        Self::failed(code, error)
    }
}

impl From<engine::install::Error> for Stop {
    fn from(error: engine::install::Error) -> Self {
        Self::failed(3, error)
    }
}

impl From<engine::child::Error> for Stop {
    fn from(error: engine::child::Error) -> Self {
        Self::failed(3, error)
    }
}
