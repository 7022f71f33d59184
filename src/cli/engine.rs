//! `engine`: the embedded ClickHouse by hand.

use std::process::ExitCode;

use anyhow::anyhow;

use crate::cli::connect::library;
use crate::cli::{Context, Stop};
use crate::engine::install::{Places, VERSION};

/// Install the embedded ClickHouse (libchdb), or show where it is
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Copy, Debug, clap::Subcommand)]
enum Action {
    /// Fetch it with npm into the cache, unless it is there
    Install,
    /// Print the path of the library
    Where,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitCode, Stop> {
    let path = match args.action {
        Action::Install => library(context)?,
        Action::Where => Places::of(&context.environment).find()?.ok_or_else(|| {
            Stop::failed(3, anyhow!("libchdb {VERSION} is not installed\n  `housewright engine install` installs it; every verb that needs it does so too"))
        })?,
    };
    context.printer.data(&format!("{path}\n"));
    Ok(ExitCode::SUCCESS)
}
