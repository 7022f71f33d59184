//! `new`: the next migration file.

use std::process::ExitCode;

use crate::cli::{Context, Stop};
use crate::config::resolve;
use crate::migration::Migrations;

/// Make the next migration file, with both sections
///
/// The file gets the next free version. Write the statements that go forward below `-- migrate:up`, and those that take them back below
/// `-- migrate:down`. `housewright apply` on the embedded engine records its checksum; `housewright repair` does so by hand.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What it does, in a few words: `add referrer`
    name: String,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitCode, Stop> {
    let settings = resolve(&context.flags, &context.environment)?;
    let path = Migrations::create(&settings.schema, &args.name)?;
    context.printer.data(&format!("{path}\n"));
    Ok(ExitCode::SUCCESS)
}
