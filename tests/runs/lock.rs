//! The lock: whose it is, who inherits it, and that a run that lost it stops. As a table, and as a row in a real `ZooKeeper`.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::keeper::Keeper;
use crate::support::sandbox::{Sandbox, snapshot};
use crate::support::{self, database, engine, execute, owner, table};
use camino_tempfile::Utf8TempDir;
use housewright::clickhouse::{Client, Query};
use housewright::engine::child::{Handle, Launch, open};
use housewright::journal::{self, LEASE, Lock, LockError};

const PAST_THE_LEASE: Duration = Duration::from_secs(LEASE.as_secs() + 3);

/// An engine of its own that has its locks in a Keeper.
async fn engine_with(keeper: &Keeper) -> (Utf8TempDir, Handle, Client) {
    let dir = support::directory();
    let path = dir.path().join("data");
    let config = path.join("clickhouse/housewright.d");
    fs_err::create_dir_all(&config).unwrap();
    fs_err::write(
        config.join("keeper.xml"),
        format!(
            "<clickhouse>{}<keeper_map_path_prefix>/locks</keeper_map_path_prefix></clickhouse>\n",
            keeper.config()
        ),
    )
    .unwrap();
    let handle = open(&Launch {
        program: support::program().to_owned(),
        library: support::library(),
        path: Some(path),
    })
    .await
    .unwrap();
    let client = Client::new(handle.server(), "default").unwrap();
    execute(&client, "CREATE DATABASE shop").await;
    (dir, handle, client.in_database("shop"))
}

#[tokio::test(flavor = "multi_thread")]
async fn with_keeper_one_lock_holds_for_all_servers() {
    let keeper = Keeper::start();
    let (_one, first_handle, first) = engine_with(&keeper).await;
    let (_two, second_handle, second) = engine_with(&keeper).await;
    let holder = owner();
    let lock = Lock::acquire(&first, holder.clone()).await.unwrap();
    assert_eq!(
        table(
            &first,
            "SELECT engine FROM system.tables WHERE database = 'shop' AND name = 'housewright_lock'"
        )
        .await,
        "KeeperMap"
    );
    // Another server, the same database of the same Keeper.
    for client in [&first, &second] {
        let error = Lock::acquire(client, owner()).await.unwrap_err();
        match error {
            LockError::Held { holder: found, .. } => assert_eq!(found.owner, holder),
            other => panic!("{other}"),
        }
        lock.assert_held().await.unwrap();
    }
    lock.release().await.unwrap();
    assert_eq!(journal::holder(&second).await.unwrap(), None);
    // Of many that start at once, on both servers, one at a time has it.
    let counter = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let runs: Vec<_> = (0..16)
        .map(|run| {
            let client = if run % 2 == 0 {
                first.clone()
            } else {
                second.clone()
            };
            let counter = std::sync::Arc::clone(&counter);
            tokio::spawn(async move {
                let lock =
                    Lock::acquire_within(&client, owner(), Duration::from_mins(5), &mut |_| {})
                        .await
                        .unwrap();
                let inside = counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(20)).await;
                counter.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                lock.release().await.unwrap();
                inside
            })
        })
        .collect();
    for run in runs {
        assert_eq!(run.await.unwrap(), 0, "two had the lock at once");
    }
    // Broken by force, its owner notices; a dead one's is inherited, by one.
    let lock = Lock::acquire(&first, owner()).await.unwrap();
    let broken = journal::unlock(&second).await.unwrap();
    assert!(broken.is_some());
    let next = Lock::acquire(&second, owner()).await.unwrap();
    lock.release().await.unwrap();
    next.assert_held().await.unwrap();
    drop(next);
    tokio::time::sleep(PAST_THE_LEASE).await;
    let found = journal::holder(&first).await.unwrap().unwrap();
    assert!(found.is_dead(), "{found:?}");
    let (one, two) = tokio::join!(
        Lock::acquire(&first, owner()),
        Lock::acquire(&second, owner())
    );
    match (one, two) {
        (Ok(lock), Err(LockError::Held { .. })) | (Err(LockError::Held { .. }), Ok(lock)) => {
            lock.release().await.unwrap();
        }
        other => panic!("{other:?}"),
    }
    // Without Keeper nobody gets through.
    drop(keeper);
    let error = Lock::acquire(&first.answering_within(Duration::from_secs(5)), owner())
        .await
        .unwrap_err();
    assert!(matches!(error, LockError::ClickHouse { .. }), "{error}");
    first_handle.end().await;
    second_handle.end().await;
}

/// A run whose second statement takes a while, and whose third must not be executed.
fn slow(sandbox: &Sandbox, client: &Client) -> Command {
    sandbox.migration("0001_slow.sql", "-- migrate:up\nCREATE TABLE t (i UInt8) ENGINE = MergeTree ORDER BY i;\nINSERT INTO t SELECT sleepEachRow(2);\nINSERT INTO t SELECT 3;\n-- migrate:down\nDROP TABLE t;\n");
    sandbox.run(&["repair", "-q"]);
    let server = engine();
    let mut command = sandbox.command(&["apply"]);
    command
        .args(["--url", &server.url, "--database", client.database()])
        .env(
            "HOUSEWRIGHT_PASSWORD",
            server.password.as_ref().unwrap().expose(),
        )
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn signal(pid: u32, signal: &str) {
    let done = Command::new("kill")
        .args([format!("-{signal}"), pid.to_string()])
        .status()
        .unwrap();
    assert!(done.success());
}

async fn until(client: &Client, question: &str) {
    for _ in 0..600 {
        let answer = client
            .rows::<serde_json::Value>(&Query::new(question))
            .await;
        if answer.is_ok_and(|rows| !rows.is_empty()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it never came: {question}");
}

/// Both at once, since each waits for more than a lease.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_stood_still_or_was_cut_off_past_its_lease_stops_before_its_next_statement() {
    let (stood_still, cut_off) =
        tokio::join!(tokio::spawn(stand_still()), tokio::spawn(be_cut_off()));
    stood_still.unwrap();
    cut_off.unwrap();
}

async fn stand_still() {
    let client = database("lock_stopped").await;
    let sandbox = Sandbox::new();
    let run = slow(&sandbox, &client).spawn().unwrap();
    until(
        &client,
        "SELECT 1 AS one FROM housewright_journal WHERE statement = 2",
    )
    .await;
    // Stopped in the middle of its second statement, which goes on without it.
    signal(run.id(), "STOP");
    // What a run leaves that was killed while it took the lock is swept away in time.
    execute(&client, "CREATE TABLE housewright_lock_0123456789abcdef (holder String) ENGINE = MergeTree ORDER BY tuple()").await;
    let held = Lock::acquire(&client, owner()).await.unwrap_err();
    assert!(matches!(held, LockError::Held { .. }), "{held}");
    tokio::time::sleep(PAST_THE_LEASE).await;
    let heir = Lock::acquire(&client, owner()).await.unwrap();
    let facts = table(&client, "SELECT count() AS n FROM housewright_journal").await;
    signal(run.id(), "CONT");
    let output = run.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(
        said.contains(
            "this run lost its lock on `lock_stopped` and stopped before its next statement"
        ),
        "{said}"
    );
    heir.assert_held().await.unwrap();
    assert_eq!(
        table(&client, "SELECT i FROM t").await,
        "",
        "the second is not moved out of its staging table, and the third was not executed"
    );
    assert_eq!(
        table(&client, "SELECT count() AS n FROM housewright_journal").await,
        facts,
        "the journal is the heir's"
    );
    heir.release().await.unwrap();
    assert_eq!(
        table(&client, "SELECT name FROM system.tables WHERE database = currentDatabase() AND name LIKE 'housewright_lock%'").await,
        ""
    );
}

async fn be_cut_off() {
    use std::sync::Mutex;
    use std::time::Instant;

    use crate::support::proxy::{Fate, Proxy};
    let direct = database("lock_cut").await;
    let sandbox = Sandbox::new();
    sandbox.migration("0001_slow.sql", "-- migrate:up\nCREATE TABLE t (i UInt8) ENGINE = MergeTree ORDER BY i;\nINSERT INTO t SELECT 2;\nINSERT INTO t SELECT 3;\n-- migrate:down\nDROP TABLE t;\n");
    sandbox.run(&["repair", "-q"]);
    // The second statement's answer comes after the lease; nothing else of this run comes through meanwhile.
    let back_at: Mutex<Option<Instant>> = Mutex::new(None);
    let proxy = Proxy::start(&engine().url, move |request| {
        let mut back_at = back_at.lock().unwrap();
        if request.sql().contains("SELECT 2") && request.query_id().is_some() {
            let back = PAST_THE_LEASE + Duration::from_secs(4);
            *back_at = Some(Instant::now() + back);
            Fate::Late(back + Duration::from_secs(1))
        } else if back_at.is_some_and(|back_at| Instant::now() < back_at) {
            Fate::HoldBefore
        } else {
            Fate::Pass
        }
    });
    let server = engine();
    let mut command = sandbox.command(&["apply"]);
    command
        .args(["--url", &proxy.url, "--database", "lock_cut"])
        .env(
            "HOUSEWRIGHT_PASSWORD",
            server.password.as_ref().unwrap().expose(),
        )
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let run = command.spawn().unwrap();
    until(
        &direct,
        "SELECT 1 AS one FROM housewright_journal WHERE statement = 2",
    )
    .await;
    tokio::time::sleep(PAST_THE_LEASE).await;
    let heir = Lock::acquire(&direct, owner()).await.unwrap();
    let facts = table(&direct, "SELECT count() AS n FROM housewright_journal").await;
    let output = run.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert_eq!(table(&direct, "SELECT i FROM t").await, "", "{said}");
    assert_eq!(
        table(&direct, "SELECT count() AS n FROM housewright_journal").await,
        facts,
        "{said}"
    );
    heir.release().await.unwrap();
}

#[tokio::test]
async fn a_table_of_that_name_that_is_no_lock_is_left_alone() {
    let client = database("lock_foreign").await;
    execute(
        &client,
        "CREATE TABLE housewright_lock (door String) ENGINE = MergeTree ORDER BY door",
    )
    .await;
    let sandbox = Sandbox::with_migrations();
    snapshot!(sandbox.on(&client, &["apply"]), @"
    success: false
    exit_code: 3
    ----- stdout -----

    ----- stderr -----
    error: `lock_foreign.housewright_lock` is not a housewright lock
      nothing was changed; move that table away (RENAME TABLE)
    ");
    snapshot!(sandbox.on(&client, &["unlock", "--force"]), @"
    success: false
    exit_code: 3
    ----- stdout -----

    ----- stderr -----
    error: `lock_foreign.housewright_lock` is not a housewright lock
      nothing was changed; move that table away (RENAME TABLE)
    ");
    assert_eq!(
        table(
            &client,
            "SELECT name FROM system.tables WHERE database = currentDatabase()"
        )
        .await,
        "housewright_lock",
        "nothing was changed"
    );
}
