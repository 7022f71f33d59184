//! `drift`: what somebody did by hand.

use std::process::ExitCode;

use crate::cli::connect::connect;
use crate::cli::dump::{Bad, on_bench};
use crate::cli::{Context, Stop};
use crate::drift::{Error, drift};
use crate::journal::Journal;
use crate::report;

/// Compare a target with the migrations that were applied there, and exit with 1 if somebody changed it by hand
///
/// What the journal says was executed is replayed on a throw-away embedded ClickHouse; the target's definitions are loaded there too, and
/// both are read back, so that what a server rewrites never shows. Nothing is written on the target.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(_: Args, context: &Context) -> Result<ExitCode, Stop> {
    let connection = connect(context).await?;
    let result = async {
        let target = connection.client.read_only();
        let journal = Journal::read(&target).await?;
        let outcome = on_bench(context, &connection.settings.database, async |bench| {
            drift(&target, &journal, bench).await
        })
        .await;
        outcome.map_err(|bad| match bad {
            Bad::Stop(stop) => stop,
            Bad::Drift(error @ Error::Statement { .. }) => Stop::failed(3, error),
            Bad::Drift(error) => error.into(),
        })
    }
    .await;
    let (target, database) = (
        connection.target.clone(),
        connection.settings.database.clone(),
    );
    connection.end().await;
    let outcome = result?;
    context.printer.data(&if context.printer.is_json() {
        report::drift::json(&outcome, &target, &database)
    } else {
        report::drift::human(&outcome, &target, &database)
    });
    Ok(ExitCode::from(u8::from(!outcome.differences.is_empty())))
}
