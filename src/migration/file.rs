//! One file → one migration, or what is wrong with it.

use std::sync::Arc;

use camino::Utf8Path;
use sha2::{Digest, Sha256};

use crate::diagnostic::{Diagnostic, Location, Severity};
use crate::migration::{Down, Migration, Rebuild, Redefinition};
use crate::sql::{Span, Statement, TokenKind, hex, split, tokens};

/// What `new` writes.
pub(crate) const TEMPLATE: &str = "-- migrate:up

-- migrate:down
";

const UP: &str = "migrate:up";
const REBUILD: &str = "migrate:rebuild";
const DOWN: &str = "migrate:down";

/// What stands between the markers.
struct Sections {
    up: Vec<Statement>,
    rebuild: Option<Rebuild>,
    down: Option<Down>,
}

/// Reads a migration; `None` if a finding says why not.
pub(crate) fn read(path: &Utf8Path, findings: &mut Vec<Diagnostic>) -> Option<Migration> {
    let mut file = File {
        path,
        text: String::new(),
        findings,
    };
    let named = file.named();
    let text = file.text()?;
    file.text = text;
    let sections = file.sections()?;
    let (version, name) = named?;
    let sha256 = hex(&Sha256::digest(&file.text));
    Some(Migration {
        version,
        name,
        path: path.to_owned(),
        sha256,
        up: sections.up,
        rebuild: sections.rebuild,
        down: sections.down,
        text: file.text,
    })
}

pub(super) struct File<'a> {
    pub(super) path: &'a Utf8Path,
    pub(super) text: String,
    pub(super) findings: &'a mut Vec<Diagnostic>,
}

impl File<'_> {
    fn error(&mut self, code: &'static str, message: String, span: Option<Span>, help: &str) {
        let at = span.map_or_else(
            || Location::within(self.path, "", Span::default()),
            |span| Location::within(self.path, &self.text, span),
        );
        self.findings.push(
            Diagnostic::new(Severity::Error, code, message)
                .at(Some(at))
                .help(help),
        );
    }

    /// Version and name, from the file's name.
    fn named(&mut self) -> Option<(u64, String)> {
        let stem = self.path.file_stem().unwrap_or_default();
        let digits = stem.len() - stem.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (version, rest) = stem.split_at(digits);
        let parsed = version.parse::<u64>().ok().filter(|version| *version > 0);
        let name = rest.strip_prefix('_').filter(|name| !name.is_empty());
        if let (Some(version), Some(name)) = (parsed, name) {
            return Some((version, name.to_owned()));
        }
        let message = format!("`{stem}.sql` is not a migration's name");
        self.error(
            "migration-name",
            message,
            None,
            "call it `<version>_<name>.sql`, as in `0007_add_referrer.sql`; the version is a number from 1",
        );
        None
    }

    /// The text, without a byte order mark, with `\n` line ends.
    pub(super) fn text(&mut self) -> Option<String> {
        let bytes = match fs_err::read(self.path) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.error(
                    "unreadable",
                    format!("the file cannot be read: {error}"),
                    None,
                    "check that it is a file and that you may read it",
                );
                return None;
            }
        };
        match String::from_utf8(bytes) {
            Ok(text) => Some(text.trim_start_matches('\u{feff}').replace("\r\n", "\n")),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                let line = error.as_bytes()[..at].split(|byte| *byte == b'\n').count();
                self.error(
                    "invalid-utf8",
                    format!("the file is not UTF-8: byte {at}, in line {line}"),
                    None,
                    "save it as UTF-8; a binary value can be written as unhex('…')",
                );
                None
            }
        }
    }

    /// The statements between the markers.
    fn sections(&mut self) -> Option<Sections> {
        let before = self.findings.len();
        let (mut up, mut rebuild, mut down) = (None, None, None);
        for (marker, span, body) in self.markers() {
            if marker == UP && rebuild.is_some() {
                self.error(
                    "section-order",
                    format!("`-- {marker}` stands behind `-- {REBUILD}`"),
                    Some(span),
                    "put it first: what a changed definition needs is made before it",
                );
            }
            let slot = match marker {
                UP => &mut up,
                REBUILD => &mut rebuild,
                _ => &mut down,
            };
            if slot.is_some() {
                self.error(
                    "duplicate-section",
                    format!("a second `-- {marker}`"),
                    Some(span),
                    "put all its statements into one section",
                );
                continue;
            }
            *slot = Some(body);
        }
        let first = [up, rebuild, down]
            .into_iter()
            .flatten()
            .map(|span| span.start)
            .min();
        let head = Span {
            start: 0,
            end: first.unwrap_or(self.text.len()),
        };
        if let Some(stray) = tokens(head.of(&self.text)).find(|token| token.kind.is_significant()) {
            self.error(
                "outside-section",
                "SQL stands before the first section".to_owned(),
                Some(stray.span),
                "begin the file with a line `-- migrate:up`; what takes it back goes below `-- migrate:down`",
            );
        }
        let mut up = up.map(|body| self.statements(body)).unwrap_or_default();
        let mut section = None;
        if let Some(body) = rebuild {
            let statements = self.statements(body);
            let what = Redefinition::read(self.path, &self.text, body, &statements, self.findings);
            section = what.map(|what| Rebuild {
                first: up.len(),
                what: Arc::new(what),
            });
            up.extend(statements);
        }
        if up.is_empty() && self.findings.len() == before {
            let help = if first.is_none() {
                "begin with a line `-- migrate:up` and write the statements below it"
            } else {
                "write statements below `-- migrate:up`, or delete the file"
            };
            self.error(
                "empty-migration",
                "the migration does nothing".to_owned(),
                Some(Span::default()),
                help,
            );
        }
        let down = down.map(|body| Down {
            text: body.of(&self.text).trim().to_owned(),
            statements: self.statements(body),
        });
        (self.findings.len() == before).then_some(Sections {
            up,
            rebuild: section,
            down,
        })
    }

    /// The markers, their places, and the text that each begins.
    fn markers(&self) -> Vec<(&'static str, Span, Span)> {
        let mut found: Vec<(&'static str, Span, Span)> = Vec::new();
        for token in tokens(&self.text).filter(|token| token.kind == TokenKind::Comment) {
            let words = token
                .span
                .of(&self.text)
                .strip_prefix("--")
                .unwrap_or_default()
                .trim();
            let Some(marker) = [UP, REBUILD, DOWN]
                .into_iter()
                .find(|marker| words == *marker)
            else {
                continue;
            };
            if let Some((.., body)) = found.last_mut() {
                body.end = token.span.start;
            }
            let body = Span {
                start: token.span.end,
                end: self.text.len(),
            };
            found.push((marker, token.span, body));
        }
        found
    }

    /// The statements of a section, their places counted from the file's start.
    pub(super) fn statements(&mut self, body: Span) -> Vec<Statement> {
        // White space of the same length keeps every offset, line and column as it is in the file.
        let before: String = self.text[..body.start]
            .chars()
            .flat_map(|c| std::iter::repeat_n(if c == '\n' { '\n' } else { ' ' }, c.len_utf8()))
            .collect();
        let statements = split(&(before + body.of(&self.text)));
        for statement in &statements {
            if let Some(span) = statement.unclosed {
                self.error(
                    "unclosed",
                    "a quote or comment is opened here and never closed".to_owned(),
                    Some(span),
                    "close it; a quote inside a string is written as `''`",
                );
            }
        }
        statements
    }
}
