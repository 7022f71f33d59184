//! How much is said, and how: a value, so that no verb asks.

use std::io::Write;
use std::time::Duration;

use anstream::{AutoStream, ColorChoice};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::cli::{Color, Format};
use crate::diagnostic::Diagnostic;
use crate::migration::Migrations;
use crate::report;

/// Where words go.
pub(crate) struct Printer {
    format: Format,
    color: ColorChoice,
    quiet: bool,
    verbose: bool,
}

#[derive(Serialize)]
struct ErrorJson<'a> {
    version: u32,
    ok: bool,
    exit_code: u8,
    error: Option<&'a str>,
    findings: Vec<report::diagnostics::Json<'a>>,
}

impl Printer {
    pub(crate) fn new(format: Format, color: Color, quiet: bool, verbose: bool) -> Self {
        Self {
            format,
            color: match color {
                Color::Auto => ColorChoice::Auto,
                Color::Always => ColorChoice::Always,
                Color::Never => ColorChoice::Never,
            },
            quiet,
            verbose,
        }
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Data, for stdout. A reader that went away is no error.
    pub(crate) fn data(&self, text: &str) {
        let mut out = AutoStream::new(std::io::stdout().lock(), self.color);
        let _ = out.write_all(text.as_bytes());
        let _ = out.flush();
    }

    /// Talk, for stderr.
    pub(crate) fn talk(&self, text: &str) {
        if !self.quiet {
            self.say(text);
        }
    }

    /// Talk for those who want more of it.
    pub(crate) fn detail(&self, text: &str) {
        if self.verbose {
            self.say(text);
        }
    }

    fn say(&self, text: &str) {
        let mut err = AutoStream::new(std::io::stderr().lock(), self.color);
        let _ = writeln!(err, "{text}");
    }

    /// An error, in words or as JSON on stdout.
    pub(crate) fn error(&self, exit_code: u8, message: &str) {
        if self.is_json() {
            self.data(&report::json(&ErrorJson {
                version: report::JSON_VERSION,
                ok: false,
                exit_code,
                error: Some(message),
                findings: Vec::new(),
            }));
        } else {
            self.say(&format!("{}: {message}", report::error_mark()));
        }
    }

    /// Findings that stand in the way.
    pub(crate) fn findings(
        &self,
        exit_code: u8,
        findings: &[Diagnostic],
        migrations: Option<&Migrations>,
    ) {
        if self.is_json() {
            self.data(&report::json(&ErrorJson {
                version: report::JSON_VERSION,
                ok: false,
                exit_code,
                error: None,
                findings: report::diagnostics::json(findings),
            }));
        } else {
            self.draw(findings, migrations);
        }
    }

    /// Findings, for stderr.
    pub(crate) fn draw(&self, findings: &[Diagnostic], migrations: Option<&Migrations>) {
        let source = |path: &camino::Utf8Path| {
            migrations
                .and_then(|migrations| migrations.text(path))
                .or_else(|| {
                    Some(
                        fs_err::read_to_string(path)
                            .ok()?
                            .trim_start_matches('\u{feff}')
                            .replace("\r\n", "\n"),
                    )
                })
        };
        self.say(report::diagnostics::human(findings, &source).trim_end());
    }

    /// A bar, drawn only for a person at a terminal.
    pub(crate) fn bar(&self, total: u64, unit: Unit, message: &str) -> ProgressBar {
        let target = if self.quiet || self.format != Format::Human {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        let template = match (unit, total) {
            (_, 0) => "{spinner} {msg} {elapsed}",
            (Unit::Bytes, _) => "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
            (Unit::Rows, _) => "{msg} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}",
        };
        let bar =
            ProgressBar::with_draw_target(Some(total), target).with_message(message.to_owned());
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        if total == 0 {
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        bar
    }
}

/// What a bar counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Bytes,
    Rows,
}
