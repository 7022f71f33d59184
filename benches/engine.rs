//! The engine and what stands on it: time to ready, the endpoint's overhead, migrations.
//!
//! `cargo bench --bench engine`. All figures are of one run; those of the library and of the endpoint are taken in turn.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark that cannot run fails, and prints its figures"
)]

mod common;

use std::process::Command;
use std::time::{Duration, Instant};

use camino_tempfile::Utf8TempDir;
use common::{apply, database, engine, line, ms, program, schema, time};
use housewright::clickhouse::{Client, Query};
use housewright::engine::embedded::Embedded;
use housewright::engine::library::Library;
use housewright::migration::Migrations;

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[tokio::main]
async fn main() {
    let mut ready = Vec::new();
    for _ in 0..7 {
        let (took, handle) = time(engine()).await;
        ready.push(took);
        handle.end().await;
    }
    line(
        "engine process ready (median of 7)",
        &format!("{:.0} ms", ms(median(ready))),
    );
    overhead().await;
    let handle = engine().await;
    let client = database(&handle, "schema").await;
    let (took, ()) = time(apply(&client, &schema(), None)).await;
    line(
        "apply of our schema, 7 statements",
        &format!("{:.0} ms", ms(took)),
    );
    hundred(&handle).await;
    handle.end().await;
    let mut demos = Vec::new();
    for _ in 0..5 {
        let begun = Instant::now();
        let output = Command::new(program())
            .args(["demo", "--quiet"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        assert!(output.status.success());
        demos.push(begun.elapsed());
    }
    line(
        "demo, the whole process (median of 5)",
        &format!("{:.0} ms", ms(median(demos))),
    );
}

/// `select 1` through the endpoint and straight through the library, in turn.
async fn overhead() {
    let handle = engine().await;
    let client = Client::new(handle.server(), "default").unwrap();
    let dir = Utf8TempDir::new().unwrap();
    let library = Library::load(&common::library()).unwrap();
    let embedded = Embedded::open(library, dir.path(), false).unwrap();
    let mut connection = embedded.connect().unwrap();
    for (what, sql) in [
        ("SELECT 1", "SELECT 1"),
        (
            "count of system.columns",
            "SELECT count() FROM system.columns",
        ),
    ] {
        let (mut direct, mut through) = (Vec::new(), Vec::new());
        for _ in 0..300 {
            let begun = Instant::now();
            connection.query(sql.as_bytes(), "TSV", &[]).unwrap();
            direct.push(begun.elapsed());
            let begun = Instant::now();
            client.fetch(&Query::new(sql), "TSV").await.unwrap();
            through.push(begun.elapsed());
        }
        let (direct, through) = (median(direct), median(through));
        line(
            &format!("{what}: the library itself (median of 300)"),
            &format!("{:.2} ms", ms(direct)),
        );
        line(
            &format!("{what}: through the endpoint"),
            &format!(
                "{:.2} ms, {:.2} ms more",
                ms(through),
                ms(through) - ms(direct)
            ),
        );
    }
    handle.end().await;
}

/// 100 migrations of one statement each, and the bare statements.
async fn hundred(handle: &housewright::engine::child::Handle) {
    let dir = Utf8TempDir::new().unwrap();
    fs_err::create_dir(dir.path().join("migrations")).unwrap();
    for n in 1..=100 {
        let text = format!(
            "-- migrate:up\nCREATE TABLE t{n} (a UInt64) ENGINE = MergeTree ORDER BY a;\n-- migrate:down\nDROP TABLE t{n};\n"
        );
        fs_err::write(dir.path().join(format!("migrations/{n:04}_t{n}.sql")), text).unwrap();
    }
    let migrations = Migrations::load(dir.path()).unwrap();
    let bare = database(handle, "bare").await;
    let (without, ()) = time(async {
        for migration in migrations.iter() {
            bare.execute(&Query::new(migration.up[0].sql()))
                .await
                .unwrap();
        }
    })
    .await;
    let hundred = database(handle, "hundred").await;
    let (with, ()) = time(apply(&hundred, &migrations, None)).await;
    line(
        "100 bare statements",
        &format!("{:.0} ms  1.0", ms(without)),
    );
    line(
        "100 migrations: judged, locked, journalled",
        &format!(
            "{:.0} ms  {:.1}",
            ms(with),
            with.as_secs_f64() / without.as_secs_f64()
        ),
    );
    println!();
}
