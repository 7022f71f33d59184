//! `test` on a server: in a database of its own, which is removed whatever happens.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod support;

use std::process::{Command, Stdio};
use std::time::Duration;

use housewright::clickhouse::Client;
use support::proxy::{Fate, Proxy};
use support::sandbox::{Sandbox, snapshot};
use support::{database, engine, execute, table};

const HITS: &str = "-- migrate:up
CREATE TABLE hits (page String, at UInt32) ENGINE = MergeTree ORDER BY at;
CREATE TABLE counts (page String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY page;
CREATE MATERIALIZED VIEW counts_mv TO counts AS SELECT page, count() AS n FROM hits GROUP BY page;
";

const CASE: &str = "# Hits are counted

## insert hits

| page | at |
|------|----|
| a    | 1  |
| a    | 2  |
| b    | 3  |

## query

```sql
SELECT page, sum(n) AS n FROM counts GROUP BY page
```
";

fn project() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.migration("0001_hits.sql", HITS);
    fs_err::create_dir_all(sandbox.path("tests/views")).unwrap();
    sandbox.write("tests/views/counted.md", CASE);
    sandbox.run(&["repair", "-q"]);
    sandbox.run(&["test", "--accept", "-q"]);
    sandbox
}

/// A command of a project on a server.
fn on(sandbox: &Sandbox, url: &str, args: &[&str]) -> Command {
    let mut command = sandbox.command(args);
    let password = engine().password.as_ref().unwrap();
    command
        .args(["--url", url])
        .env("HOUSEWRIGHT_PASSWORD", password.expose());
    command
}

/// Everything on the server that this test did not make itself.
async fn databases(client: &Client) -> String {
    table(
        client,
        "SELECT name FROM system.databases WHERE startsWith(name, 'housewright_test_') ORDER BY name",
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_databases_are_left_alone_and_its_own_are_removed() {
    // Of the name that the schema has, and of one that a run of somebody else has.
    let mine = database("default_of_somebody").await;
    execute(
        &mine,
        "CREATE TABLE hits (page String, at UInt32) ENGINE = MergeTree ORDER BY at",
    )
    .await;
    execute(&mine, "INSERT INTO hits SELECT 'kept', 7").await;
    let other = database("housewright_test_of_somebody_else_1").await;
    execute(&other, "CREATE TABLE kept (a UInt8) ENGINE = Memory").await;
    let sandbox = project();
    for args in [
        &["test"][..],
        &["test", "--invariance"],
        &["test", "--mutants", "--mutant", "toUInt64(1)"],
    ] {
        let output = on(&sandbox, &engine().url, args)
            .args(["--database", "default_of_somebody"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {said}");
    }
    assert_eq!(table(&mine, "SELECT * FROM hits").await, "kept | 7");
    assert_eq!(
        table(
            &mine,
            "SELECT name FROM system.tables WHERE database = currentDatabase()"
        )
        .await,
        "hits"
    );
    assert_eq!(
        databases(&mine).await,
        "housewright_test_of_somebody_else_1"
    );
    execute(&mine, "DROP DATABASE housewright_test_of_somebody_else_1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_in_the_middle_it_removes_its_databases() {
    let client = database("target_interrupted").await;
    let sandbox = project();
    // The first INSERT of a case is never answered.
    let proxy = Proxy::start(&engine().url, |request| {
        if request.sql().contains("INSERT INTO `hits`") {
            Fate::HoldDuring
        } else {
            Fate::Pass
        }
    });
    let child = on(&sandbox, &proxy.url, &["test", "--jobs", "1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let held = proxy.held(Duration::from_mins(2)).unwrap();
    let own = held.parameter("database").unwrap().to_owned();
    assert!(own.starts_with("housewright_test_"), "{own}");
    let there = || async { databases(&client).await.lines().any(|name| name == own) };
    assert!(there().await);
    let interrupted = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(interrupted.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    insta::assert_snapshot!(String::from_utf8_lossy(&output.stderr), @"error: interrupted; its databases are removed");
    assert!(!there().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_make_a_database_is_told_so() {
    let sandbox = project();
    let proxy = Proxy::start(&engine().url, |request| {
        if request.sql().contains("CREATE DATABASE") {
            Fate::Refuse(
                "Code: 497. DB::Exception: reader: Not enough privileges. To execute this query, it's necessary to have the grant CREATE DATABASE ON housewright_test_1.*. (ACCESS_DENIED) (version 26.7.3.1)",
            )
        } else {
            Fate::Pass
        }
    });
    snapshot!(on(&sandbox, &proxy.url, &["test"]), @"
    success: false
    exit_code: 3
    ----- stdout -----

    ----- stderr -----
    error: ClickHouse refused the throw-away database housewright_test_[RUN]
      its user needs the rights to create and drop databases whose names begin with housewright_test_
      because: ClickHouse says ACCESS_DENIED (code 497): reader: Not enough privileges. To execute this query, it's necessary to have the grant CREATE DATABASE ON housewright_test_1.*.
      this user lacks a right that is needed; nothing was changed
    ");
    snapshot!(on(&sandbox, &engine().url, &["test"]).env("HOUSEWRIGHT_PASSWORD", "wrong"), @"
    success: false
    exit_code: 3
    ----- stdout -----

    ----- stderr -----
    error: ClickHouse says AUTHENTICATION_FAILED (code 516): default: Authentication failed: password is incorrect, or there is no user with such name.
      the user comes from the URL or HOUSEWRIGHT_USER, the password from HOUSEWRIGHT_PASSWORD or HOUSEWRIGHT_PASSWORD_FILE
    ");
    snapshot!(on(&sandbox, "http://127.0.0.1:1", &["test"]), @"
    success: false
    exit_code: 3
    ----- stdout -----

    ----- stderr -----
    error: could not reach ClickHouse at http://[ADDRESS]/
      is the server up, and is this its HTTP port (8123, or 8443 with TLS)?
      because: client error (Connect)
      because: tcp connect error
      because: Connection refused (os error 111)
    ");
}
