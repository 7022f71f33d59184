//! What the rules and the gate cost: our own schema, and a thousand migrations.
//!
//! `cargo bench --bench lint`. All figures are of one run.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run fails")]

mod common;

use std::fmt::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use camino_tempfile::Utf8TempDir;
use common::{engine, line, ms, program, schema, time};
use housewright::clickhouse::Client;
use housewright::drift::Bench;
use housewright::lint::{Levels, judge};
use housewright::migration::Migrations;

#[tokio::main]
async fn main() {
    let handle = engine().await;
    let client = Client::new(handle.server(), "default").unwrap();
    let bench = Bench::new(&client, "m").await.unwrap();
    replay(&bench, "our schema, 7 statements", &schema(), true).await;
    let dir = Utf8TempDir::new().unwrap();
    let migrations = thousand(&dir);
    replay(
        &bench,
        "1,000 migrations, 1,300 statements",
        &migrations,
        false,
    )
    .await;
    replay(&bench, "the same with up, down, up", &migrations, true).await;
    handle.end().await;
    command(
        "check of our schema without cases and pages",
        &["check", "--skip", "cases", "--skip", "docs"],
    );
    command("check of our schema", &["check"]);
}

async fn replay(bench: &Bench, what: &str, migrations: &Migrations, down: bool) {
    let (replayed, result) = time(bench.history(migrations, down)).await;
    let (history, end) = result.unwrap();
    assert!(history.refused.is_empty() && end.is_some());
    let begun = Instant::now();
    let findings = judge(&history, &Levels::default());
    let judged = begun.elapsed();
    line(
        what,
        &format!(
            "replay {:.0} ms, rules {:.0} ms, {} findings",
            ms(replayed),
            ms(judged),
            findings.len()
        ),
    );
}

/// A thousand tables, every tenth with a target and a view, each tenth of these changed once.
fn thousand(dir: &Utf8TempDir) -> Migrations {
    fs_err::create_dir_all(dir.path().join("migrations")).unwrap();
    for number in 1..=1000 {
        let mut up = format!(
            "CREATE TABLE events_{number} (id String, at DateTime64(3, 'UTC'), amount UInt64) ENGINE = MergeTree ORDER BY (id, at);\n"
        );
        let mut down = String::new();
        if number % 10 == 0 {
            let _ = write!(
                up,
                "CREATE TABLE totals_{number} (id String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY id;\n\
                 CREATE MATERIALIZED VIEW totals_{number}_mv TO totals_{number} AS SELECT id, count() AS n FROM events_{number} GROUP BY id;\n\
                 ALTER TABLE events_{number} ADD COLUMN more String;\n"
            );
            let _ = write!(
                down,
                "DROP VIEW totals_{number}_mv;\nDROP TABLE totals_{number};\n"
            );
        }
        let _ = writeln!(down, "DROP TABLE events_{number};");
        fs_err::write(
            dir.path().join(format!("migrations/{number:04}_m.sql")),
            format!("-- migrate:up\n{up}-- migrate:down\n{down}"),
        )
        .unwrap();
    }
    Migrations::load(dir.path()).unwrap()
}

fn command(what: &str, args: &[&str]) {
    let mut times: Vec<Duration> = Vec::new();
    for _ in 0..3 {
        let begun = Instant::now();
        let output = Command::new(program())
            .args(args)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        times.push(begun.elapsed());
    }
    times.sort();
    line(
        &format!("{what} (median of 3)"),
        &format!("{:.0} ms", ms(times[1])),
    );
}
