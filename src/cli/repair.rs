//! `repair`: checksums mended, statements in doubt settled by an operator who looked.

use std::process::ExitCode;

use anyhow::anyhow;

use crate::cli::connect::{connect, owner};
use crate::cli::{Context, Stop};
use crate::config::resolve;
use crate::journal::{Condition, Fact, Journal, Lock, State, Writer, records};
use crate::migration::Migrations;
use crate::plan::Direction;

/// Record the checksums of the files, or settle a statement in doubt
///
/// Without an option it writes `housewright.sum` anew, offline. `--done` and `--retry` append what you found out about a statement that
/// was begun and whose end nobody wrote down. `--retry` also takes the last that is done of a migration that is applied in part, if you
/// took it back by hand.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The effect of this statement is there
    #[arg(long, value_name = "VERSION:STATEMENT", conflicts_with = "retry")]
    done: Option<String>,
    /// The effect of this statement is not there; the next `apply` executes it
    #[arg(long, value_name = "VERSION:STATEMENT")]
    retry: Option<String>,
    /// The statement is one of the down section, of a rollback
    #[arg(long)]
    down: bool,
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
    let direction = if args.down {
        Direction::Down
    } else {
        Direction::Up
    };
    let connection = connect(context).await?;
    let result = settle(
        (version, statement),
        direction,
        state,
        &connection.client,
        context,
    )
    .await;
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
    (version, statement): (u64, u32),
    direction: Direction,
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
            .rfind(|fact| fact.version == version && fact.statement == statement && fact.direction == direction.word());
        // Of a migration that is applied in part the last statement may have been taken back by hand.
        let is_last = records(&journal)
            .get(&version)
            .is_some_and(|it| it.condition() != Condition::Applied && it.done() == statement);
        // A statement of a stored down section cannot be corrected, so one that was refused may be called done.
        let settles = |fact: &&Fact| match fact.state {
            State::Started => true,
            State::Failed => direction == Direction::Down && state == State::Done,
            State::Done => direction == Direction::Up && state == State::Failed && is_last,
        };
        let Some(begun) = last.filter(settles) else {
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
            error_code: 0,
            ..begun.clone()
        };
        Writer::open(client, &journal).await?.append(vec![fact]).await?;
        let known = records(&Journal::read(client).await?);
        Ok(known.contains_key(&version))
    }
    .await;
    lock.release().await?;
    let known = result?;
    context.printer.talk(&match direction {
        Direction::Up => {
            format!("recorded; `housewright apply` goes on with migration {version:04}")
        }
        Direction::Down if known => {
            format!("recorded; `housewright rollback` goes on with migration {version:04}")
        }
        Direction::Down => format!("recorded; migration {version:04} is rolled back"),
    });
    Ok(ExitCode::SUCCESS)
}
