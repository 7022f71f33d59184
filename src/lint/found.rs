//! What a rule has found, before it is known where it stands and how bad it is.

use crate::sql::Span;

/// A finding of one rule about one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// What is wrong; the same words are the same finding.
    pub(crate) message: String,
    pub(crate) notes: Vec<String>,
    pub(crate) help: Option<String>,
    /// A name; the finding stands where the statement first writes it.
    pub(crate) near: Option<String>,
    /// The bytes of the statement's text.
    pub(crate) span: Option<Span>,
    /// Whether the line must not be shown.
    pub(crate) hidden: bool,
}

impl Finding {
    pub(crate) fn note(&mut self, note: impl Into<String>) -> &mut Self {
        self.notes.push(note.into());
        self
    }

    pub(crate) fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn near(&mut self, name: impl Into<String>) -> &mut Self {
        self.near = Some(name.into());
        self
    }

    pub(crate) fn at(&mut self, span: Span) -> &mut Self {
        self.span = Some(span);
        self
    }

    pub(crate) fn hidden(&mut self) -> &mut Self {
        self.hidden = true;
        self
    }
}

/// The findings of one rule.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) findings: Vec<Finding>,
}

impl Found {
    /// Says what is wrong, in a sentence without a full stop.
    pub(crate) fn say(&mut self, message: impl Into<String>) -> &mut Finding {
        let message = message.into();
        let known = self
            .findings
            .iter()
            .position(|finding| finding.message == message && finding.span.is_none());
        let index = known.unwrap_or_else(|| {
            self.findings.push(Finding {
                message,
                notes: Vec::new(),
                help: None,
                near: None,
                span: None,
                hidden: false,
            });
            self.findings.len() - 1
        });
        let finding = &mut self.findings[index];
        finding.notes.clear();
        finding
    }
}
