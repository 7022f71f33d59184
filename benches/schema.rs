//! What the views cost and what they save: insert with and without them, and the same questions asked of them and of raw events.
//!
//! `cargo bench --bench schema`; `HOUSEWRIGHT_BENCH_EVENTS` sets the number of events (10,000,000). All figures of a table are of one run.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark that cannot run fails, and prints its figures"
)]

mod common;

use common::{apply, database, engine, execute, line, ms, number, read, schema, time};
use housewright::clickhouse::{Client, Query};
use housewright::seed;
use serde_json::Value;

const DAYS: u32 = 30;
const RUNS: usize = 5;

#[tokio::main]
async fn main() {
    let handle = engine().await;
    let events = number("HOUSEWRIGHT_BENCH_EVENTS", 10_000_000);
    let migrations = schema();
    let loaded = database(&handle, "loaded").await;
    apply(&loaded, &migrations, Some(1)).await;
    let (took, ()) = time(load(&loaded, events)).await;
    println!("{events} events of the seed over {DAYS} days and 8 projects, all in one run\n");
    line(
        "seed into the endpoint, without views",
        &format!("{:.0} rows/s", events as f64 / took.as_secs_f64()),
    );
    inserts(&handle).await;
    println!();
    reads(&handle).await;
    println!();
    shares(&handle).await;
    handle.end().await;
}

async fn load(client: &Client, events: u64) {
    let options = seed::Options {
        seed: 42,
        events,
        projects: 8,
        days: DAYS,
        start: jiff::civil::date(2026, 4, 1),
    };
    let mut traffic = seed::generate(&options).unwrap();
    loop {
        let mut insert = client.insert(&Query::new("INSERT INTO events FORMAT JSONEachRow"));
        let mut chunk = Vec::new();
        let mut rows = 0;
        for event in traffic.by_ref().take(100_000) {
            event.write_json_line(&mut chunk).unwrap();
            rows += 1;
            if chunk.len() > 1 << 20 {
                insert
                    .send(std::mem::take(&mut chunk).into())
                    .await
                    .unwrap();
            }
        }
        if rows == 0 {
            return;
        }
        insert.send(chunk.into()).await.unwrap();
        insert.end().await.unwrap();
    }
}

const COPY: &str = "INSERT INTO events SELECT * FROM loaded.events SETTINGS max_insert_threads = 1, max_block_size = 100000, min_insert_block_size_rows = 100000, min_insert_block_size_bytes = 0";

async fn inserts(handle: &housewright::engine::child::Handle) {
    let migrations = schema();
    let plain = database(handle, "plain").await;
    apply(&plain, &migrations, Some(1)).await;
    let (without, ()) = time(execute(&plain, COPY)).await;
    let viewed = database(handle, "viewed").await;
    apply(&viewed, &migrations, None).await;
    let (with, ()) = time(execute(&viewed, COPY)).await;
    execute(&viewed, "OPTIMIZE TABLE events FINAL").await;
    let (merge, ()) = time(execute(&viewed, "OPTIMIZE TABLE sessions_v1 FINAL")).await;
    execute(&viewed, "OPTIMIZE TABLE session_days_v1 FINAL").await;
    line(
        "copy into events without views",
        &format!("{:.1} s  1.0", without.as_secs_f64()),
    );
    line(
        "copy into events with both views",
        &format!(
            "{:.1} s  {:.1}",
            with.as_secs_f64(),
            with.as_secs_f64() / without.as_secs_f64()
        ),
    );
    line(
        "merging sessions_v1 to one part",
        &format!("{:.1} s", merge.as_secs_f64()),
    );
    let sizes: Vec<Value> = viewed
        .rows(&Query::new("SELECT table, sum(rows) AS total, sum(data_compressed_bytes) / total AS bytes FROM system.parts WHERE active AND database = currentDatabase() AND table IN ('events', 'sessions_v1', 'session_days_v1') GROUP BY table ORDER BY table"))
        .await
        .unwrap();
    for size in sizes {
        line(
            &format!("bytes a row of {}", size["table"].as_str().unwrap()),
            &format!(
                "{:.1} of {} rows",
                size["bytes"].as_f64().unwrap(),
                size["total"]
            ),
        );
    }
}

/// The same question of raw events, exactly: choose the sessions first, then read all their rows.
fn raw(from: &str, to: &str) -> String {
    let range = format!("toDateTime64('{from} 00:00:00', 3, 'UTC')");
    let end = format!("toDateTime64('{to} 00:00:00', 3, 'UTC')");
    format!(
        "SELECT e.3 AS source, e.4 AS medium, count() AS sessions, sum(n) AS events, uniqExact(anonymous_id) AS uniques, sumIf(n, medium = 'paid') / sum(n) AS paid_share FROM (SELECT session_id, anonymous_id, min((timestamp, event_id, toString(source), toString(medium))) AS e, count() AS n FROM events WHERE project_id = 'p0' AND (session_id, anonymous_id) IN (SELECT session_id, anonymous_id FROM events WHERE project_id = 'p0' AND timestamp >= {range} AND timestamp < {end}) GROUP BY session_id, anonymous_id HAVING e.1 >= {range} AND e.1 < {end}) GROUP BY source, medium ORDER BY source, medium"
    )
}

fn sources(from: &str, to: &str) -> String {
    format!(
        "SELECT * FROM sources(project = 'p0', `from` = '{from} 00:00:00', `to` = '{to} 00:00:00', breakdown = 'source_medium') ORDER BY source, medium"
    )
}

async fn reads(handle: &housewright::engine::child::Handle) {
    let client = Client::new(handle.server(), "viewed").unwrap();
    let project: Value = client.row(&Query::new("SELECT count() AS sessions, sum(event_count) AS events FROM sessions WHERE project_id = 'p0'")).await.unwrap();
    println!(
        "project p0: {} sessions, {} events; median of {RUNS}\n",
        project["sessions"], project["events"]
    );
    for (what, from, to) in [
        ("one day", "2026-04-15", "2026-04-16"),
        ("one week", "2026-04-12", "2026-04-19"),
        ("30 days", "2026-04-01", "2026-05-01"),
    ] {
        let same = client
            .fetch(&Query::new(sources(from, to)), "TSV")
            .await
            .unwrap()
            == client
                .fetch(&Query::new(raw(from, to)), "TSV")
                .await
                .unwrap();
        assert!(same, "{what}: the view and the raw events answer the same");
        let (events, events_rows) = read(&client, &raw(from, to), RUNS).await;
        let (view, view_rows) = read(&client, &sources(from, to), RUNS).await;
        line(
            &format!("{what}: raw events"),
            &format!("{:>8.1} ms  {events_rows:>9} rows read", ms(events)),
        );
        line(
            &format!("{what}: sources"),
            &format!(
                "{:>8.1} ms  {view_rows:>9} rows read  {:.1} times as fast",
                ms(view),
                ms(events) / ms(view)
            ),
        );
    }
}

/// One day of `sources` where more and more sessions have an id that a client sent, of 1,000,000 sessions over 60 days.
async fn shares(handle: &housewright::engine::child::Handle) {
    println!(
        "one day of 60, 1,000,000 sessions of one event, by the share of ids that clients sent\n"
    );
    for share in [0, 2, 10, 100] {
        let client = database(handle, &format!("share_{share}")).await;
        apply(&client, &schema(), None).await;
        execute(&client, &format!("INSERT INTO events (project_id, event_id, timestamp, anonymous_id, session_id, source, medium) SELECT 'p0', toString(number), toDateTime64('2026-03-01 00:00:00', 3, 'UTC') + INTERVAL intDiv(number * 86400, 16667) SECOND AS t, 'a' || hex(cityHash64(number)) AS a, if(sipHash64(number) % 100 < {share}, 'watch_' || hex(sipHash64(number)), a || '-' || toString(intDiv(toUnixTimestamp(t), 1800))), 'direct', 'direct' FROM numbers(1000000)")).await;
        execute(&client, "OPTIMIZE TABLE sessions_v1 FINAL").await;
        execute(&client, "OPTIMIZE TABLE session_days_v1 FINAL").await;
        let (took, rows) = read(&client, &sources("2026-04-01", "2026-04-02"), RUNS).await;
        line(
            &format!("{share} % sent"),
            &format!("{:>8.1} ms  {rows:>9} rows read", ms(took)),
        );
    }
}
