//! `statements`: how a file is split and classified.

use std::io::Read as _;
use std::process::ExitCode;

use camino::Utf8PathBuf;

use crate::cli::{Context, Stop};
use crate::report;
use crate::sql::split;

/// Show how files are split into statements, and what each is
///
/// The standard is ClickHouse's own lexer: comments, quotes, heredocs and inline data are what the server takes them for.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The files; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<Utf8PathBuf>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitCode, Stop> {
    let mut files = Vec::new();
    for path in &args.files {
        let bytes = if path == "-" {
            let mut bytes = Vec::new();
            std::io::stdin()
                .read_to_end(&mut bytes)
                .map_err(Stop::usage)?;
            bytes
        } else {
            fs_err::read(path).map_err(Stop::usage)?
        };
        let text = String::from_utf8(bytes).map_err(|error| {
            Stop::usage(anyhow::anyhow!(
                "{path} is not UTF-8: byte {}",
                error.utf8_error().valid_up_to()
            ))
        })?;
        files.push((path.clone(), split(&text)));
    }
    let unclosed = files.iter().any(|(_, statements)| {
        statements
            .iter()
            .any(|statement| statement.unclosed.is_some())
    });
    let text = if context.printer.is_json() {
        report::statements::json(&files)
    } else {
        report::statements::human(&files)
    };
    context.printer.data(&text);
    Ok(ExitCode::from(u8::from(unclosed)))
}
