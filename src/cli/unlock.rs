//! `unlock`: break a lock.

use std::process::ExitCode;

use crate::cli::connect::connect;
use crate::cli::{Context, Stop};
use crate::journal;

/// Break the lock of a run that is gone, and show whose it was
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Break it although its owner gave a sign of life within the lease
    #[arg(long)]
    force: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Stop> {
    let connection = connect(context).await?;
    let result = unlock(args.force, &connection.client, context).await;
    connection.end().await;
    result
}

async fn unlock(
    force: bool,
    client: &crate::clickhouse::Client,
    context: &Context,
) -> Result<ExitCode, Stop> {
    if let Some(holder) = journal::holder(client).await?
        && !holder.is_dead()
        && !force
    {
        return Err(Stop::from(journal::LockError::Held {
            database: client.database().to_owned(),
            holder,
        }));
    }
    match journal::unlock(client).await? {
        Some(holder) => context.printer.talk(&format!(
            "broke the lock of {}, silent for {} s",
            holder.owner,
            holder.silent_for.as_secs()
        )),
        None => context.printer.talk("there is no lock"),
    }
    Ok(ExitCode::SUCCESS)
}
