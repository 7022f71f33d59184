//! What the integration tests share: one embedded engine a test binary, a database of its own for every test.

#![allow(dead_code, reason = "every test binary uses another part of it")]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

pub(crate) mod cluster;
pub(crate) mod keeper;
pub(crate) mod kill;
pub(crate) mod proxy;
pub(crate) mod sandbox;

use std::fmt::Write as _;
use std::process::Command;
use std::sync::OnceLock;

use camino::{Utf8Path, Utf8PathBuf};
use camino_tempfile::Utf8TempDir;
use housewright::apply::Workbench;
use housewright::clickhouse::{Client, Query, identifier};
use housewright::config::{Environment, Server};
use housewright::engine::child::{Handle, Launch, open};
use housewright::engine::install::{Places, ensure};
use housewright::journal::Owner;
use serde_json::Value;

/// The binary under test.
pub(crate) fn program() -> &'static Utf8Path {
    Utf8Path::new(env!("CARGO_BIN_EXE_housewright"))
}

/// The command in a directory, with an environment that holds nothing else.
pub(crate) fn command(directory: &Utf8Path, args: &[&str]) -> Command {
    let mut command = Command::new(program());
    command
        .args(args)
        .current_dir(directory)
        .env_clear()
        .env(
            "PATH",
            Environment::of_this_process()
                .get("PATH")
                .unwrap_or_default(),
        )
        .env("HOUSEWRIGHT_LIBCHDB", library());
    command
}

/// A new directory, in memory where there is much of it: the engine makes and removes many small files, which costs a disk more than the
/// engine.
pub(crate) fn directory() -> Utf8TempDir {
    new_directory("housewright-test-")
}

fn new_directory(prefix: &str) -> Utf8TempDir {
    const MEMORY: &str = "/dev/shm";
    const ROOM: u64 = 4 << 30;
    let mut named = camino_tempfile::Builder::new();
    named.prefix(prefix);
    let has_room = rustix::fs::statvfs(MEMORY)
        .is_ok_and(|there| there.f_bavail.saturating_mul(there.f_frsize) >= ROOM);
    let memory = has_room.then(|| named.tempdir_in(MEMORY).ok()).flatten();
    memory.unwrap_or_else(|| named.tempdir().unwrap())
}

/// The project's own schema directory.
pub(crate) fn schema() -> Utf8PathBuf {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("schema")
}

/// libchdb, installed if it has to be.
pub(crate) fn library() -> Utf8PathBuf {
    let places = Places::of(&Environment::of_this_process());
    ensure(&places, &mut |_| {}).unwrap()
}

/// The engine of this test binary. It ends with the process, whose end of the pipe it watches.
pub(crate) fn engine() -> &'static Server {
    static ENGINE: OnceLock<(tokio::runtime::Runtime, Handle)> = OnceLock::new();
    let (_, handle) = ENGINE.get_or_init(|| {
        kept(Launch {
            program: program().to_owned(),
            library: library(),
            path: None,
        })
    });
    handle.server()
}

/// A client in a new, empty database.
pub(crate) async fn database(name: &str) -> Client {
    let client = Client::new(engine(), "default").unwrap();
    for statement in ["DROP DATABASE IF EXISTS", "CREATE DATABASE"] {
        let query = Query::new(format!("{statement} {}", identifier(name)));
        client.execute(&query).await.unwrap();
    }
    client.in_database(name)
}

/// A client in a new database that has our schema.
pub(crate) async fn database_with_schema(name: &str) -> Client {
    let client = database(name).await;
    let migrations = housewright::migration::Migrations::load(&schema()).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    housewright::apply::apply(
        &client,
        &migrations,
        housewright::plan::Options::default(),
        &owner(),
        &stop,
        &mut |_| {},
    )
    .await
    .unwrap();
    client
}

/// How a run comes by an engine on which it compares definitions: one for each test, since it belongs to one run at a time.
pub(crate) fn bench() -> Workbench<'static> {
    thread_local! {
        static PATH: Utf8PathBuf = {
            // Its name is one that the engines to come look after.
            let path = new_directory("housewright-engine-").keep();
            Box::leak(Box::new(kept(on_the_bench(&path))));
            path
        };
    }
    fn on_the_bench(path: &Utf8Path) -> Launch {
        Launch {
            program: program().to_owned(),
            library: library(),
            path: Some(path.to_owned()),
        }
    }
    Workbench(&|| Ok(PATH.with(|path| on_the_bench(path))))
}

/// Another engine than that of the other tests: what is done to its system tables is nobody else's business.
pub(crate) fn another_engine() -> &'static Server {
    let kept = kept(Launch {
        program: program().to_owned(),
        library: library(),
        path: None,
    });
    Box::leak(Box::new(kept)).1.server()
}

/// An engine that runs until this process ends.
fn kept(launch: Launch) -> (tokio::runtime::Runtime, Handle) {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let handle = runtime.block_on(open(&launch)).unwrap();
        (runtime, handle)
    })
    .join()
    .unwrap()
}

/// A client in the same database, through a proxy.
pub(crate) fn through(proxy: &proxy::Proxy, database: &str) -> Client {
    let server = Server {
        url: proxy.url.clone(),
        ..engine().clone()
    };
    Client::new(&server, database).unwrap()
}

/// Somebody who applies.
pub(crate) fn owner() -> Owner {
    Owner {
        run_id: format!("{:016x}", rand::random::<u64>()),
        who: "test".to_owned(),
        host: "localhost".to_owned(),
        pid: std::process::id(),
    }
}

/// Says what was counted.
#[expect(clippy::print_stderr, reason = "a count is for who reads the log")]
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}

/// Whether everything is to be tried that takes long.
pub(crate) fn full() -> bool {
    Environment::of_this_process()
        .get("HOUSEWRIGHT_FULL")
        .is_some()
}

/// Executes a statement.
pub(crate) async fn execute(client: &Client, sql: &str) {
    client.execute(&Query::new(sql)).await.unwrap();
}

/// The rows of a query, each as its values separated by ` | `.
pub(crate) async fn table(client: &Client, sql: &str) -> String {
    let rows: Vec<Value> = client.rows(&Query::new(sql)).await.unwrap();
    rows.iter()
        .map(|row| {
            let values = row.as_object().unwrap().values().map(|value| match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            });
            values.collect::<Vec<_>>().join(" | ")
        })
        .collect::<Vec<_>>()
        .join("\n")
}

/// All definitions and all rows.
pub(crate) async fn everything(client: &Client) -> String {
    let mut text = table(
        client,
        "SELECT name, replaceRegexpAll(replaceAll(create_table_query, currentDatabase(), 'db'), '[0-9a-f-]{36}', '') AS definition FROM system.tables WHERE database = currentDatabase() AND name NOT LIKE 'housewright%' AND name NOT LIKE '.inner%' ORDER BY name",
    )
    .await;
    let names = table(
        client,
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND name NOT LIKE 'housewright_journal' AND name NOT LIKE '.inner%' ORDER BY name",
    )
    .await;
    for name in names.lines() {
        assert!(!name.starts_with("housewright"), "{name} was left");
        let rows = table(
            client,
            &format!("SELECT *, count() AS times FROM {name} GROUP BY ALL ORDER BY ALL"),
        )
        .await;
        let _ = writeln!(text, "\n{name}\n{rows}");
    }
    let detached = "SELECT table, partition_id, count() AS n FROM system.detached_parts WHERE database = currentDatabase() GROUP BY ALL ORDER BY ALL";
    text + &table(client, detached).await
}

/// Inserts data in a format, as one INSERT.
pub(crate) async fn insert(client: &Client, head: &str, data: impl Into<Vec<u8>>) {
    let mut insert = client.insert(&Query::new(head));
    insert.send(data.into().into()).await.unwrap();
    insert.end().await.unwrap();
}
