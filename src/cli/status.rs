//! `status`: how every migration stands.

use std::process::ExitCode;

use crate::cli::connect::connect;
use crate::cli::{Context, Stop};
use crate::diagnostic::Severity;
use crate::journal::Journal;
use crate::migration::Migrations;
use crate::plan::{Options, Plan};
use crate::report;

/// Show which migrations are applied, pending, changed, missing or in doubt
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Exit with 1 if anything is not applied as the files say
    #[arg(long)]
    check: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Stop> {
    let connection = connect(context).await?;
    let result = async {
        let migrations = Migrations::load(&connection.settings.schema)?;
        let journal = Journal::read(&connection.client.read_only()).await?;
        Ok::<_, Stop>((
            Plan::make(&migrations, &journal, Options::default()),
            migrations,
        ))
    }
    .await;
    let (target, database) = (
        connection.target.clone(),
        connection.settings.database.clone(),
    );
    let embedded = connection.is_embedded();
    connection.end().await;
    let (plan, migrations) = result?;
    let printer = &context.printer;
    if printer.is_json() {
        printer.data(&report::status::json(&plan, &target, &database));
    } else {
        printer.data(&report::status::human(&plan, &target, &database));
        let mut findings: Vec<_> = plan
            .doubts
            .iter()
            .map(|doubt| doubt.finding.clone())
            .collect();
        findings.extend(plan.refusals.iter().cloned());
        findings.extend(migrations.sum_findings.iter().cloned().map(|mut finding| {
            if embedded {
                // `apply` on the embedded engine records them.
                finding.severity = Severity::Warning;
            }
            finding
        }));
        if !findings.is_empty() {
            printer.draw(&findings, Some(&migrations));
        }
    }
    let clean = plan.is_up_to_date() && migrations.sum_findings.is_empty();
    Ok(ExitCode::from(u8::from(args.check && !clean)))
}
