//! What reading, the rules and the gate cost: our own schema, and a thousand migrations.
//!
//! `cargo bench --bench lint`. All figures are of one run.

#![expect(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a benchmark that cannot run fails, and prints its figures"
)]

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
use housewright::sql::split;

#[tokio::main]
async fn main() {
    texts();
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

/// Our migrations, over and over, split into statements and each of these classified.
fn texts() {
    let all: String = schema().iter().map(|it| it.text.as_str()).collect();
    let text = all.repeat(10_000_000 / all.len());
    let mut times = Vec::new();
    let mut statements = 0;
    for _ in 0..5 {
        let begun = Instant::now();
        statements = split(&text).len();
        times.push(begun.elapsed());
    }
    times.sort();
    line(
        &format!(
            "{} MB in {statements} statements split and classified",
            text.len() / 1_000_000
        ),
        &format!(
            "{:.0} MB/s (median of 5)",
            text.len() as f64 / 1000.0 / ms(times[2])
        ),
    );
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
