//! What the benchmarks share: an engine, a clock, a table of ratios.

#![allow(dead_code, reason = "every benchmark uses another part of it")]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark that cannot run fails, and prints its figures"
)]

use std::process::Command;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use housewright::clickhouse::{Client, Query};
use housewright::config::{Environment, Server};
use housewright::engine::child::{Handle, Launch, open};
use housewright::engine::install::{Places, ensure};
use housewright::journal::Owner;
use housewright::migration::Migrations;
use serde_json::Value;

/// The library, installed if it has to be.
pub(crate) fn library() -> Utf8PathBuf {
    ensure(&Places::of(&Environment::of_this_process()), &mut |_| {}).unwrap()
}

/// The binary of the same profile.
pub(crate) fn program() -> &'static Utf8Path {
    Utf8Path::new(env!("CARGO_BIN_EXE_housewright"))
}

/// A throw-away engine.
pub(crate) async fn engine() -> Handle {
    let launch = Launch {
        program: program().to_owned(),
        library: library(),
        path: None,
    };
    open(&launch).await.unwrap()
}

/// A client in a new database.
pub(crate) async fn database(handle: &Handle, name: &str) -> Client {
    let client = Client::new(handle.server(), "default").unwrap();
    execute(&client, &format!("CREATE DATABASE {name}")).await;
    client.in_database(name)
}

/// Our schema, applied up to a version.
pub(crate) async fn apply(client: &Client, migrations: &Migrations, to: Option<u64>) {
    let owner = Owner {
        run_id: format!("{:016x}", rand::random::<u64>()),
        who: "bench".to_owned(),
        host: "localhost".to_owned(),
        pid: 0,
    };
    let options = housewright::plan::Options {
        to,
        ..housewright::plan::Options::default()
    };
    let stop = std::sync::atomic::AtomicBool::new(false);
    housewright::apply::apply(client, migrations, options, &owner, &stop, &mut |_| {})
        .await
        .unwrap();
}

/// Our migrations.
pub(crate) fn schema() -> Migrations {
    Migrations::load(&Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("schema")).unwrap()
}

pub(crate) async fn execute(client: &Client, sql: &str) {
    client.execute(&Query::new(sql)).await.unwrap();
}

/// The median of several runs, and the rows that one of them read.
pub(crate) async fn read(client: &Client, sql: &str, runs: usize) -> (Duration, u64) {
    let mut times = Vec::new();
    let mut rows = 0;
    for _ in 0..=runs {
        let begun = Instant::now();
        let document = client.fetch(&Query::new(sql), "JSON").await.unwrap();
        times.push(begun.elapsed());
        let document: Value = serde_json::from_slice(&document).unwrap();
        rows = document["statistics"]["rows_read"].as_u64().unwrap();
    }
    // The first warms the caches.
    times.remove(0);
    times.sort();
    (times[times.len() / 2], rows)
}

/// How long a future takes.
pub(crate) async fn time<T>(work: impl Future<Output = T>) -> (Duration, T) {
    let begun = Instant::now();
    let value = work.await;
    (begun.elapsed(), value)
}

/// A number from the environment.
pub(crate) fn number(name: &str, default: u64) -> u64 {
    Environment::of_this_process()
        .get(name)
        .map_or(default, |value| value.parse().unwrap())
}

/// Milliseconds.
#[expect(clippy::cast_precision_loss, reason = "for printing")]
pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

/// A line of a table.
pub(crate) fn line(what: &str, figures: &str) {
    println!("{what:<58} {figures}");
}

/// How long a command takes, which must succeed.
pub(crate) fn run(command: &mut Command) -> Duration {
    let begun = Instant::now();
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    begun.elapsed()
}

/// Where something is installed, which stays for the next time.
pub(crate) fn installed(name: &str, install: fn(&Utf8Path)) -> Utf8PathBuf {
    let home = Utf8Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let mark = home.join("installed");
    if !mark.exists() {
        fs_err::create_dir_all(&home).unwrap();
        install(&home);
        fs_err::write(mark, "").unwrap();
    }
    home
}

/// clickhouse-migrations of `PyPI`, version 0.16.0: its virtual environment.
pub(crate) fn pypi() -> Utf8PathBuf {
    installed("bench-pypi", |home| {
        run(Command::new("python3").args(["-m", "venv", "--clear", home.as_str()]));
        run(Command::new(home.join("bin/python"))
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ])
            .arg("clickhouse-migrations[connect]==0.16.0"));
    })
}

pub(crate) fn password(server: &Server) -> &str {
    server
        .password
        .as_ref()
        .map_or("", |password| password.expose())
}

pub(crate) fn port(server: &Server) -> &str {
    let url = server.url.trim_end_matches('/');
    url.rsplit(':').next().unwrap()
}
