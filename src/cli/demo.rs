//! `demo`: the whole way on a throw-away engine.

use std::process::ExitCode;

use serde_json::Value;

use crate::cli::apply::apply_all;
use crate::cli::connect::start;
use crate::cli::seed::load_generated;
use crate::cli::{Context, Stop};
use crate::clickhouse::{Client, Query};
use crate::config::resolve;
use crate::migration::Migrations;
use crate::report;
use crate::seed;

/// Apply the schema to a throw-away embedded ClickHouse, load generated events, and show the sessions and sources that come out
///
/// Fetches the embedded ClickHouse with npm the first time. Nothing is left behind.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The seed
    #[arg(long, default_value_t = 42, value_name = "N")]
    seed: u64,
    /// How many events
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    events: u64,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Stop> {
    let settings = resolve(&context.flags, &context.environment)?;
    let migrations = Migrations::load(&settings.schema)?;
    let (client, handle) = start(context, None, &settings.database).await?;
    let options = seed::Options {
        seed: args.seed,
        events: args.events,
        ..seed::Options::default()
    };
    let result = show(&client, &migrations, &options, context).await;
    handle.end().await;
    context.printer.data(&result?);
    Ok(ExitCode::SUCCESS)
}

/// Sessions, and what brought people in, of the project with the most events.
async fn show(
    client: &Client,
    migrations: &Migrations,
    options: &seed::Options,
    context: &Context,
) -> Result<String, Stop> {
    apply_all(client, migrations, context).await?;
    load_generated(client, options, context).await?;
    let client = client.read_only();
    let project: Value = client
        .row(&Query::new("SELECT project_id, count() AS events, uniqExact(session_id) AS sessions FROM sessions GROUP BY project_id ORDER BY sum(event_count) DESC, project_id LIMIT 1"))
        .await?;
    let id = project
        .get("project_id")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let end = options
        .start
        .saturating_add(jiff::Span::new().days(i64::from(options.days)));
    let sessions: Vec<Value> = client
        .rows(
            &Query::new("SELECT session_id, user_id, started_at, duration_s, event_count AS events, pageview_count AS pageviews, entry_source, entry_medium, entry_campaign, entry_path FROM sessions WHERE project_id = {project:String} ORDER BY event_count DESC, session_id LIMIT 8")
                .text("project", &id),
        )
        .await?;
    let sources: Vec<Value> = client
        .rows(
            &Query::new("SELECT source, medium, sessions, events, uniques, round(paid_share, 4) AS paid_share FROM sources(project = {project:String}, `from` = {from:String}, `to` = {to:String}, breakdown = 'source_medium') ORDER BY sessions DESC, source, medium")
                .text("project", &id)
                .text("from", format!("{} 00:00:00", options.start))
                .text("to", format!("{end} 00:00:00")),
        )
        .await?;
    if context.printer.is_json() {
        return Ok(report::json(&serde_json::json!({
            "version": report::JSON_VERSION,
            "project": id,
            "sessions": sessions,
            "sources": sources,
        })));
    }
    Ok(format!(
        "\nsessions of {id}: the eight with the most events\n\n{}\nsources of {id}, {} to {end}: what brought people in\n\n{}",
        report::rows(&sessions),
        options.start,
        report::rows(&sources)
    ))
}
