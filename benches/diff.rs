//! A thousand tables: replayed, read back, compared, and what leads from them to a hundred edited ones, there and back.
//!
//! `cargo bench --bench diff`. All figures are of one run on one engine. Then the same with clickhouse-migrations of `PyPI`, and with ours as
//! a process like it; `PEERS=0` leaves that out.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run fails")]

mod common;

use std::process::Command;
use std::time::Duration;

use camino_tempfile::Utf8TempDir;
use common::{
    database, engine, execute, line, ms, number, password, port, program, pypi, run, time,
};
use housewright::clickhouse::Client;
use housewright::drift::{Bench, Step, compare, declared, lead, write};
use housewright::engine::child::Handle;

const TABLES: usize = 1000;

fn table(number: usize) -> String {
    format!(
        "CREATE TABLE t{number} (id UInt64, at DateTime('UTC') CODEC(Delta, ZSTD(1)), name LowCardinality(String) DEFAULT 'x' COMMENT 'a name', \
         total Decimal(18, 2), INDEX by_name name TYPE bloom_filter) ENGINE = MergeTree PARTITION BY toYYYYMM(at) ORDER BY (id, at)"
    )
}

fn edited(number: usize) -> String {
    table(number).replace("total Decimal(18, 2)", "total Decimal(18, 2), more UInt8")
}

#[tokio::main]
async fn main() {
    let handle = engine().await;
    let client = Client::new(handle.server(), "default").unwrap();
    let bench = Bench::new(&client, "home").await.unwrap();
    let tables: Vec<String> = (0..TABLES).map(table).collect();
    let steps = Step::of_text(&tables.join(";\n"));
    let (took, state) = time(bench.replay(&steps)).await;
    let state = state.unwrap();
    line(
        "1000 tables replayed and read",
        &format!("{:.0} ms", ms(took)),
    );
    let (took, again) = time(bench.read_back(&state)).await;
    line(
        "loaded from their definitions and read",
        &format!("{:.0} ms", ms(took)),
    );
    let again = again.unwrap();
    let (took, differences) = time(async { state.differences(&again) }).await;
    assert!(differences.is_empty());
    line("compared", &format!("{:.0} ms", ms(took)));
    let dir = Utf8TempDir::new().unwrap();
    write(dir.path(), &state).unwrap();
    let (took, changes) = time(async { compare(dir.path(), &state).unwrap() }).await;
    assert!(changes.is_empty());
    line("compared with 1000 files", &format!("{:.0} ms", ms(took)));
    for changed in [0, 100] {
        for number in 0..changed {
            let number = number * 10;
            fs_err::write(dir.path().join(format!("t{number}.sql")), edited(number)).unwrap();
        }
        let files = declared(dir.path(), "home").unwrap();
        let (took, outcome) = time(lead(&bench, &steps, &files)).await;
        assert_eq!(outcome.unwrap().diff.safe.len(), changed);
        line(
            &format!("diff with {changed} edited, the whole way"),
            &format!("{:.0} ms", ms(took)),
        );
    }
    if number("PEERS", 1) == 1 {
        processes(&handle).await;
    }
    handle.end().await;
}

/// The thousand tables as a thousand migrations: judged, dumped from a server, and compared with a hundred edited ones, by either tool.
async fn processes(handle: &Handle) {
    let dir = Utf8TempDir::new().unwrap();
    let path = |name: &str| dir.path().join(name);
    for part in ["schema/migrations", "plain"] {
        fs_err::create_dir_all(path(part)).unwrap();
    }
    let live = database(handle, "live").await;
    let mut target = String::new();
    for number in 0..TABLES {
        let create = table(number);
        execute(&live, &create).await;
        let version = number + 1;
        let up = format!("{create};\n");
        let text = format!("-- migrate:up\n{up}-- migrate:down\nDROP TABLE t{number};\n");
        fs_err::write(path(&format!("schema/migrations/{version:04}_t.sql")), text).unwrap();
        fs_err::write(path(&format!("plain/{version}_t.sql")), &up).unwrap();
        target.push_str(&if number % 10 == 0 {
            edited(number)
        } else {
            create
        });
        target.push_str(";\n");
    }
    fs_err::write(path("target.sql"), target).unwrap();
    let server = handle.server();
    let ours = |args: &[&str]| {
        let mut command = Command::new(program());
        command.args(args).arg("--quiet").current_dir(dir.path());
        command.env("HOUSEWRIGHT_PASSWORD", password(server));
        command
    };
    let home = pypi();
    let theirs = |verb: &str, args: &[&str]| {
        let mut command = Command::new(home.join("bin/clickhouse-migrations"));
        command.arg(verb).args(args).current_dir(dir.path());
        command
    };
    let connects = [
        ["--driver", "clickhouse-connect"],
        ["--db-host", "127.0.0.1"],
        ["--db-port", port(server)],
        ["--db-user", &server.user],
        ["--db-password", password(server)],
        ["--db-name", "live"],
    ]
    .concat();
    let at = ["--url", &server.url, "--database", "live"];
    run(&mut ours(&["repair"]));
    run(&mut ours(&["dump", "--write"]));
    let say = |what: &str, took: Duration| line(what, &format!("{:.0} ms", ms(took)));
    say(
        "clickhouse-migrations validate --strict",
        run(&mut theirs("validate", &["--strict", "--dir", "plain"])),
    );
    say("housewright check", run(&mut ours(&["check"])));
    say(
        "clickhouse-migrations dump",
        run(&mut theirs("dump", &connects)),
    );
    say(
        "housewright dump",
        run(&mut ours(&[&at[..], &["dump"]].concat())),
    );
    let to = [
        "--migrations-dir",
        "plain",
        "--to",
        "target.sql",
        "--dry-run",
    ];
    say(
        "clickhouse-migrations diff, 100 edited",
        run(&mut theirs("diff", &[&connects[..], &to].concat())),
    );
    for number in (0..TABLES).step_by(10) {
        fs_err::write(
            path(&format!("schema/current/t{number}.sql")),
            edited(number),
        )
        .unwrap();
    }
    say(
        "housewright diff, 100 edited, there and back",
        run(&mut ours(&["diff", "--write", "edited"])),
    );
}
