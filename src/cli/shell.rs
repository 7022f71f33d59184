//! `completions` and `man`: what a shell and a pager need, made from the same declarations as `--help`.

use std::process::ExitCode;

use clap::CommandFactory as _;

use crate::cli::{Cli, Context, Stop};

/// Print the completions of a shell
#[derive(Debug, clap::Args)]
pub(crate) struct Completions {
    /// The shell
    shell: clap_complete::Shell,
}

pub(crate) fn completions(args: &Completions, context: &Context) -> ExitCode {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "housewright", &mut text);
    context.printer.data(&String::from_utf8_lossy(&text));
    ExitCode::SUCCESS
}

/// Print the manual, for `man -l -`
#[derive(Debug, clap::Args)]
pub(crate) struct Man {
    /// The manual of one verb
    verb: Option<String>,
}

pub(crate) fn man(args: &Man, context: &Context) -> Result<ExitCode, Stop> {
    let mut command = Cli::command();
    command.build();
    if let Some(verb) = &args.verb {
        let found = command.find_subcommand(verb).cloned();
        command = found.ok_or_else(|| Stop::usage(anyhow::anyhow!("there is no verb `{verb}`")))?;
    }
    let mut text = Vec::new();
    clap_mangen::Man::new(command)
        .render(&mut text)
        .map_err(Stop::usage)?;
    context.printer.data(&String::from_utf8_lossy(&text));
    Ok(ExitCode::SUCCESS)
}
