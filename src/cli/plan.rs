//! `plan`: what `apply` would do.

use std::process::ExitCode;

use crate::apply::Task;
use crate::cli::connect::connect;
use crate::cli::rebuild::Manner;
use crate::cli::{Context, Stop};
use crate::journal::Journal;
use crate::migration::Migrations;
use crate::plan::Options;
use crate::{rebuild, report};

/// Show what `apply` would do, statement by statement; nothing is written anywhere
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    manner: Manner,
}

/// Which migrations.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Selection {
    /// The last version to apply
    #[arg(long, value_name = "VERSION")]
    to: Option<u64>,
    /// Apply a pending migration although a later one is applied already
    #[arg(long)]
    out_of_order: bool,
    /// Execute statements that destroy data although nothing in their file allows it
    #[arg(long)]
    allow_destructive: bool,
}

impl Selection {
    pub(crate) fn options(self) -> Options {
        Options {
            to: self.to,
            out_of_order: self.out_of_order,
            allow_destructive: self.allow_destructive,
        }
    }
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Stop> {
    let task = Task::Apply(args.selection.options());
    show(task, &args.manner.options(), context).await
}

/// The plan, for `plan` and for `--dry-run` of `apply` and `rollback`.
pub(crate) async fn show(
    task: Task,
    rebuilds: &rebuild::Options,
    context: &Context,
) -> Result<ExitCode, Stop> {
    let connection = connect(context).await?;
    let result = async {
        let migrations = Migrations::load(&connection.settings.schema)?;
        let journal = Journal::read(&connection.client.read_only()).await?;
        let mut plan = task.plan(&migrations, &journal);
        // Findings of the sum file stand in the way of `apply` on a server; an embedded engine's `apply` mends them.
        let mut refusals = plan.refusals.clone();
        if !connection.is_embedded() && matches!(task, Task::Apply(_)) {
            refusals.extend(migrations.sum_findings.iter().cloned());
        }
        let verdicts = if refusals.is_empty() {
            let allowed = task.allows_destruction();
            crate::apply::weigh(&connection.client, &mut plan, rebuilds, allowed).await?;
            refusals.clone_from(&plan.refusals);
            crate::apply::judge(&connection.client, &plan.steps)
                .await?
                .unwrap_or_default()
        } else {
            Vec::new()
        };
        Ok::<_, Stop>((plan, migrations, refusals, verdicts))
    }
    .await;
    let (target, database) = (
        connection.target.clone(),
        connection.settings.database.clone(),
    );
    connection.end().await;
    let (plan, migrations, refusals, verdicts) = result?;
    if !refusals.is_empty() {
        return Err(Stop::findings(2, refusals, Some(migrations)));
    }
    if !verdicts.is_empty() {
        let findings = report::apply::malformed(&verdicts);
        return Err(Stop::findings(3, findings, Some(migrations)));
    }
    let printer = &context.printer;
    if printer.is_json() {
        printer.data(&report::plan::json(&plan, task, &target, &database));
    } else {
        printer.data(&report::plan::human(&plan, task, &target, &database));
        let doubts: Vec<_> = plan
            .doubts
            .iter()
            .map(|doubt| doubt.finding.clone())
            .collect();
        if !doubts.is_empty() {
            printer.draw(&doubts, Some(&migrations));
        }
        if !plan.destructive.is_empty() {
            printer.draw(&plan.destructive, Some(&migrations));
        }
    }
    Ok(ExitCode::from(if plan.destructive.is_empty() {
        0
    } else {
        5
    }))
}
