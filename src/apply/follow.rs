//! What goes on behind an answer: mutations are followed to their end, and a query that is still running is waited for.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::apply::witness::{self, Key, Mutation, TableMark};
use crate::apply::{Event, FailureKind};
use crate::clickhouse::{Client, Error, Query, literal};
use crate::plan::Step;

/// How often the server is asked: at first, and at last.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// Waits for the mutations of a table that it had not before.
///
/// # Errors
/// [`FailureKind::Mutation`] if one cannot go on.
pub(super) async fn mutations(
    client: &Client,
    step: &Step,
    table: &Key,
    before: &TableMark,
    events: &mut (dyn FnMut(Event<'_>) + Send),
) -> Result<(), FailureKind> {
    let condition = format!(
        "database = {} AND table = {} AND NOT is_done",
        literal(&table.0),
        literal(&table.1)
    );
    let client = client.read_only();
    let mut pause = PAUSE.0;
    let mut told = None;
    loop {
        let left: Vec<Mutation> = witness::mutations(&client, &condition)
            .await?
            .into_iter()
            .filter(|it| !before.mutations.contains(&it.id))
            .collect();
        let Some(first) = left.first() else {
            return Ok(());
        };
        if let Some(failing) = left.iter().find(|it| !it.latest_fail_reason.is_empty()) {
            return Err(FailureKind::Mutation {
                step: Box::new(step.clone()),
                database: table.0.clone(),
                table: table.1.clone(),
                mutation_id: failing.id.clone(),
                reason: failing.latest_fail_reason.clone(),
            });
        }
        let parts: i64 = left.iter().map(|it| it.parts_to_do).sum();
        if told != Some(parts) {
            events(Event::Mutation {
                step,
                mutation_id: &first.id,
                parts_left: u64::try_from(parts).unwrap_or(0),
            });
            told = Some(parts);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE.1);
    }
}

/// The mutations that are under way on tables already.
///
/// # Errors
/// [`Error`].
pub(super) async fn under_way(
    client: &Client,
    tables: &BTreeSet<Key>,
) -> Result<Vec<Mutation>, Error> {
    if tables.is_empty() {
        return Ok(Vec::new());
    }
    let pairs: Vec<String> = tables
        .iter()
        .map(|(database, table)| format!("({}, {})", literal(database), literal(table)))
        .collect();
    let condition = format!(
        "NOT is_done AND (database, table) IN ({})",
        pairs.join(", ")
    );
    witness::mutations(&client.read_only(), &condition).await
}

/// Waits until the server does not work on a query any more.
///
/// # Errors
/// [`Error`].
pub(super) async fn end_of(
    client: &Client,
    query_id: &str,
    title: &str,
    events: &mut (dyn FnMut(Event<'_>) + Send),
) -> Result<(), Error> {
    let begun = Instant::now();
    let mut pause = PAUSE.0;
    let mut told = begun;
    while runs(client, query_id).await? {
        if told == begun || told.elapsed() > Duration::from_secs(10) {
            told = Instant::now();
            events(Event::StillRunning {
                title,
                query_id,
                waited: begun.elapsed(),
            });
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE.1);
    }
    Ok(())
}

/// Whether the server works on a query. The embedded engine knows ids as comments.
async fn runs(client: &Client, query_id: &str) -> Result<bool, Error> {
    #[derive(Deserialize)]
    struct Row {
        running: u64,
    }
    let client = client.read_only();
    let id = literal(query_id);
    let query = |condition: &str| {
        Query::new(format!(
            "SELECT toUInt64(count()) AS running FROM system.processes WHERE {condition}"
        ))
    };
    let wide = query(&format!(
        "query_id = {id} OR Settings['log_comment'] = {id}"
    ));
    let row: Row = match client.row(&wide).await {
        Err(error) if error.exception().is_some() => {
            client.row(&query(&format!("query_id = {id}"))).await?
        }
        other => other?,
    };
    Ok(row.running > 0)
}
