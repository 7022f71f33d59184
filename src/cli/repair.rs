//! `repair`: checksums mended, statements in doubt settled by an operator who looked.

use std::process::ExitCode;

use anyhow::anyhow;

use crate::cli::connect::{connect, owner};
use crate::cli::{Context, Stop};
use crate::config::resolve;
use crate::journal::{Fact, Journal, Lock, State, Writer};
use crate::migration::Migrations;

/// Record the checksums of the files, or settle a statement in doubt
///
/// Without an option it writes `housewright.sum` anew, offline. `--done` and `--retry` append what you found out about a statement that
/// was begun and whose end nobody wrote down.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The effect of this statement is there
    #[arg(long, value_name = "VERSION:STATEMENT", conflicts_with = "retry")]
    done: Option<String>,
    /// The effect of this statement is not there; the next `apply` executes it
    #[arg(long, value_name = "VERSION:STATEMENT")]
    retry: Option<String>,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Stop> {
    let (which, state) = match (args.done, args.retry) {
        (Some(which), _) => (which, State::Done),
        (None, Some(which)) => (which, State::Failed),
        (None, None) => {
            let settings = resolve(&context.flags, &context.environment)?;
            let mut migrations = Migrations::load(&settings.schema)?;
            migrations.write_sum()?;
            context.printer.talk(&format!(
                "recorded {} in {}",
                crate::report::count(migrations.len(), "migration"),
                crate::migration::SUM_FILE
            ));
            return Ok(ExitCode::SUCCESS);
        }
    };
    let (version, statement) = parse(&which)?;
    let connection = connect(context).await?;
    let result = settle(version, statement, state, &connection.client, context).await;
    connection.end().await;
    result
}

fn parse(which: &str) -> Result<(u64, u32), Stop> {
    which
        .split_once(':')
        .and_then(|(version, statement)| Some((version.parse().ok()?, statement.parse().ok()?)))
        .ok_or_else(|| Stop::usage(anyhow!("`{which}` is not VERSION:STATEMENT, as in `3:2`")))
}

async fn settle(
    version: u64,
    statement: u32,
    state: State,
    client: &crate::clickhouse::Client,
    context: &Context,
) -> Result<ExitCode, Stop> {
    let owner = owner(context);
    let lock = Lock::acquire(client, owner.clone()).await?;
    let result = async {
        let journal = Journal::read(client).await?;
        let last = journal
            .facts()
            .iter()
            .rfind(|fact| fact.version == version && fact.statement == statement && fact.direction == "up");
        let Some(begun) = last.filter(|fact| fact.state == State::Started) else {
            return Err(Stop::usage(anyhow!(
                "statement {statement} of migration {version:04} is not in doubt; `housewright status` shows what is"
            )));
        };
        let fact = Fact {
            state,
            run_id: owner.run_id.clone(),
            who: owner.who.clone(),
            host: owner.host.clone(),
            error: match state {
                State::Failed => "settled by hand: its effect is not there".to_owned(),
                _ => String::new(),
            },
            ..begun.clone()
        };
        Writer::open(client, &journal).await?.append(vec![fact]).await?;
        Ok(())
    }
    .await;
    lock.release().await?;
    result?;
    context.printer.talk(&format!(
        "recorded; `housewright apply` goes on with migration {version:04}"
    ));
    Ok(ExitCode::SUCCESS)
}
