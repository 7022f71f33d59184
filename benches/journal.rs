//! What the bookkeeping costs: journal and lock for each statement, `status` of many applied migrations, and `apply` of as many beside the
//! other tools that can run here.
//!
//! `cargo bench --bench journal`. The bare statements and every tool get the same files and the same server, one after the other, several
//! rounds; the median counts. `MIGRATIONS=1000` and `ROUNDS=3` may be said otherwise; `PEERS=0` leaves the others out, which come from
//! `PyPI` and npm. dbmate is not among them: over HTTP it asks for blocks of a protocol version that the embedded engine's endpoint does not
//! know, and on Debian's server of 2018, over the native protocol, it waits for the answer to its first INSERT until it gives up.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot run fails, and prints its figures"
)]

mod common;

use std::process::Command;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use camino_tempfile::Utf8TempDir;
use common::{engine, execute, installed, line, ms, number, password, port, program, pypi, run};
use housewright::clickhouse::Client;
use housewright::config::Server;

/// The migrations, as each tool wants them.
struct Files {
    dir: Utf8TempDir,
    statements: Vec<String>,
}

impl Files {
    fn new(number: u64) -> Self {
        let dir = Utf8TempDir::new().unwrap();
        for sub in ["schema/migrations", "plain"] {
            fs_err::create_dir_all(dir.path().join(sub)).unwrap();
        }
        let mut statements = Vec::new();
        for n in 1..=number {
            let (up, down) = (
                format!("CREATE VIEW v{n} AS SELECT {n} AS n"),
                format!("DROP VIEW v{n}"),
            );
            let text = format!("-- migrate:up\n{up};\n\n-- migrate:down\n{down};\n");
            let path = format!("schema/migrations/{n:04}_v{n}.sql");
            fs_err::write(dir.path().join(path), text).unwrap();
            fs_err::write(
                dir.path().join(format!("plain/{n}_v{n}.sql")),
                format!("{up};\n"),
            )
            .unwrap();
            statements.push(up);
        }
        Self { dir, statements }
    }
}

fn housewright(files: &Files, server: &Server, database: &str, args: &[&str]) -> Duration {
    run(Command::new(program())
        .args(args)
        .args(["--quiet", "--url", &server.url, "--database", database])
        .env("HOUSEWRIGHT_PASSWORD", password(server))
        .current_dir(files.dir.path()))
}

/// Another tool: its name, and how it applies.
struct Peer {
    name: &'static str,
    home: Utf8PathBuf,
    apply: fn(&Utf8Path, &Files, &Server, &str) -> Command,
}

fn peers() -> Vec<Peer> {
    let node = installed("bench-npm", |home| {
        fs_err::write(home.join("package.json"), "{\"private\":true}\n").unwrap();
        run(Command::new("npm")
            .args(["install", "--silent", "--no-audit", "--no-fund"])
            .arg("clickhouse-migrations@1.4.0")
            .current_dir(home));
    });
    let python = pypi();
    vec![
        Peer {
            name: "clickhouse-migrations 1.4.0 (npm)",
            home: node,
            apply: |home, files, server, database| {
                let mut command =
                    Command::new(home.join("node_modules/.bin/clickhouse-migrations"));
                command.args([
                    "migrate",
                    &format!("--host={}", server.url.trim_end_matches('/')),
                    &format!("--user={}", server.user),
                    &format!("--password={}", password(server)),
                    &format!("--db={database}"),
                    &format!("--migrations-home={}", files.dir.path().join("plain")),
                ]);
                command
            },
        },
        Peer {
            name: "clickhouse-migrations 0.16.0 (PyPI)",
            home: python,
            apply: |home, files, server, database| {
                let mut command = Command::new(home.join("bin/clickhouse-migrations"));
                command
                    .args(["migrate", "--driver", "clickhouse-connect"])
                    .args(["--db-host", "127.0.0.1", "--db-port", port(server)])
                    .args(["--db-user", &server.user])
                    .args(["--db-password", password(server)])
                    .args(["--db-name", database, "--no-create-db-if-not-exists"])
                    .arg("--migrations-dir")
                    .arg(files.dir.path().join("plain"));
                command
            },
        },
    ]
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

async fn bare(client: &Client, files: &Files) -> Duration {
    let begun = Instant::now();
    for statement in &files.statements {
        execute(client, statement).await;
    }
    begun.elapsed()
}

#[tokio::main]
async fn main() {
    let (migrations, rounds) = (number("MIGRATIONS", 1000), number("ROUNDS", 3));
    let files = &Files::new(migrations);
    let handle = engine().await;
    let server = handle.server();
    housewright(files, server, "default", &["repair"]);
    let peers = if number("PEERS", 1) == 1 {
        peers()
    } else {
        Vec::new()
    };
    let root = Client::new(server, "default").unwrap();
    let (mut plain, mut ours, mut status, mut idle) = (vec![], vec![], vec![], vec![]);
    let mut theirs: Vec<Vec<Duration>> = peers.iter().map(|_| vec![]).collect();
    for round in 0..rounds {
        let name = format!("bench_{round}");
        let (make, remove) = (
            format!("CREATE DATABASE {name}"),
            format!("DROP DATABASE {name}"),
        );
        execute(&root, &make).await;
        plain.push(bare(&root.in_database(&name), files).await);
        execute(&root, &remove).await;

        execute(&root, &make).await;
        ours.push(housewright(files, server, &name, &["apply"]));
        status.push(housewright(files, server, &name, &["status"]));
        idle.push(housewright(files, server, &name, &["apply"]));
        execute(&root, &remove).await;

        for (peer, times) in peers.iter().zip(&mut theirs) {
            execute(&root, &make).await;
            times.push(run(&mut (peer.apply)(&peer.home, files, server, &name)));
            execute(&root, &remove).await;
        }
    }
    let unit = median(plain).as_secs_f64();
    let say = |what: &str, times: Vec<Duration>| {
        let took = median(times);
        line(
            what,
            &format!("{:.0} ms  {:.2}", ms(took), took.as_secs_f64() / unit),
        );
    };
    line(
        &format!(
            "{} bare statements (median of {rounds})",
            files.statements.len()
        ),
        &format!("{:.0} ms  1.00", unit * 1000.0),
    );
    say("apply: judged, locked, journalled, as a process", ours);
    for (peer, times) in peers.iter().zip(theirs) {
        say(peer.name, times);
    }
    say("status, all of them applied", status);
    say("apply, nothing to do", idle);
    handle.end().await;
}
