//! A real cluster of three servers: what is sent, what each made of it, who is away, who was changed by hand.
//!
//! The servers are Debian's, of 2018: they know ON CLUSTER, replication and the queue of distributed statements, and neither Atomic databases
//! nor KeeperMap.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::cluster::Cluster;
use crate::support::sandbox::{Sandbox, snapshot};
use crate::support::{execute, owner, table};
use housewright::clickhouse::Query;
use housewright::journal::{self, Lock, LockError};

/// These old servers read the names in a distributed view as names of `default`, so they are written with their database.
///
/// A sandbox whose target `cluster` is the whole cluster, reached through its first server.
fn sandbox(cluster: &Cluster, database: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write(
        "schema/housewright.toml",
        format!(
            "database = \"{database}\"\n[targets.cluster]\nurl = \"http://127.0.0.1:{}\"\ncluster = \"trio\"\n[targets.second]\nurl = \"http://127.0.0.1:{}\"\ncluster = \"trio\"\n",
            cluster.nodes[0].http, cluster.nodes[1].http
        ),
    );
    sandbox.migration("0001_events.sql", "-- migrate:up\nCREATE TABLE events (a UInt64, day Date) ENGINE = MergeTree PARTITION BY day ORDER BY a;\nINSERT INTO events SELECT number, toDate('2026-05-01') FROM system.numbers LIMIT 3;\n-- migrate:down\nDROP TABLE events;\n");
    sandbox.migration("0002_note.sql", "-- migrate:up\nALTER TABLE events ADD COLUMN note String;\nCREATE VIEW notes AS SELECT a, note FROM shop.events;\n-- migrate:down\nDROP TABLE notes;\nALTER TABLE events DROP COLUMN note;\n");
    sandbox.run(&["repair", "-q"]);
    sandbox
}

fn on(sandbox: &Sandbox, target: &str, args: &[&str]) -> Command {
    let mut command = sandbox.command(args);
    command.args(["--target", target]);
    command
}

/// Ports are not the same twice.
fn ports(cluster: &Cluster) -> insta::internals::SettingsBindDropGuard {
    let mut settings = insta::Settings::clone_current();
    for (at, node) in cluster.nodes.iter().enumerate() {
        settings.add_filter(
            &format!("127\\.0\\.0\\.1:{}", node.tcp),
            format!("[NODE {at}]"),
        );
        settings.add_filter(
            &format!("127\\.0\\.0\\.1:{}", node.http),
            format!("[HTTP {at}]"),
        );
    }
    settings.bind_to_scope()
}

async fn on_every_server(cluster: &Cluster, database: &str, sql: &str) -> Vec<String> {
    let mut answers = Vec::new();
    for node in &cluster.nodes {
        answers.push(table(&node.alone(database), sql).await);
    }
    answers
}

/// Replicas have what the others have a moment later.
async fn becomes(cluster: &Cluster, sql: &str, expected: [&str; 3]) {
    let begun = std::time::Instant::now();
    loop {
        let answers = on_every_server(cluster, "shop", sql).await;
        if answers == expected {
            return;
        }
        assert!(
            begun.elapsed() < Duration::from_mins(1),
            "{sql}: {answers:?}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_applied_is_applied_everywhere_and_can_be_seen_from_everywhere() {
    let mut cluster = Cluster::start().await;
    execute(
        &cluster.client(0, "default"),
        "CREATE DATABASE shop ON CLUSTER trio",
    )
    .await;
    let _ports = ports(&cluster);
    let sandbox = sandbox(&cluster, "shop");
    snapshot!(on(&sandbox, "cluster", &["plan"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    shop on cluster (http://[HTTP 0]/): 4 statements to execute

    0001_events  schema/migrations/0001_events.sql
      1/2  CREATE TABLE          events  metadata
      2/2  INSERT INTO … SELECT  events  data

    0002_note  schema/migrations/0002_note.sql
      1/2  ALTER TABLE … ADD COLUMN  events  metadata
      2/2  CREATE VIEW               notes   metadata

    sent to the cluster:

    CREATE TABLE events ON CLUSTER `trio` (a UInt64, day Date) ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/shop/events.0001.1', '{replica}') PARTITION BY day ORDER BY a;
    ALTER TABLE events ON CLUSTER `trio` ADD COLUMN note String;
    CREATE VIEW notes ON CLUSTER `trio` AS SELECT a, note FROM shop.events;

    ----- stderr -----
    ");
    snapshot!(on(&sandbox, "cluster", &["apply"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    shop on cluster (http://[HTTP 0]/): 4 statements executed in [DURATION]

    ----- stderr -----
    this server has no formatQuery (it came with 23.10): the statements are not judged beforehand
      0001_events 1/2  CREATE TABLE events  [DURATION]
      0001_events 2/2  INSERT INTO … SELECT events  [DURATION]
      0002_note 1/2  ALTER TABLE … ADD COLUMN events  [DURATION]
      0002_note 2/2  CREATE VIEW notes  [DURATION]
    ");
    let definitions = on_every_server(&cluster, "shop", "SELECT name, create_table_query FROM system.tables WHERE database = 'shop' AND name NOT LIKE 'housewright%' ORDER BY name").await;
    assert_eq!(definitions[0], definitions[1]);
    assert_eq!(definitions[0], definitions[2]);
    assert!(
        definitions[0].contains("ReplicatedMergeTree"),
        "{definitions:?}"
    );
    // Rows go to the shard that was asked, and to its replicas.
    becomes(&cluster, "SELECT count() AS n FROM events", ["3", "3", "0"]).await;
    // Every server has the journal, and nobody a lock.
    becomes(
        &cluster,
        "SELECT count() AS facts FROM housewright_journal",
        ["8", "8", "8"],
    )
    .await;
    becomes(&cluster, "SELECT count() AS locks FROM system.tables WHERE database = 'shop' AND name LIKE 'housewright_lock%'", ["0", "0", "0"]).await;
    snapshot!(on(&sandbox, "second", &["apply"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    shop on second (http://[HTTP 1]/) is up to date: nothing was executed

    ----- stderr -----
    ");

    // The lock that one server gives is held on all.
    let lock = Lock::acquire(&cluster.client(0, "shop"), owner())
        .await
        .unwrap();
    for node in 0..3 {
        let error = Lock::acquire(&cluster.client(node, "shop"), owner())
            .await
            .unwrap_err();
        assert!(matches!(error, LockError::Held { .. }), "{error}");
    }
    lock.assert_held().await.unwrap();
    lock.release().await.unwrap();
    assert_eq!(
        journal::holder(&cluster.client(2, "shop")).await.unwrap(),
        None
    );
    let racers: Vec<_> = (0..6)
        .map(|at| {
            let client = cluster.client(at % 3, "shop");
            tokio::spawn(async move { Lock::acquire(&client, owner()).await })
        })
        .collect();
    let mut winners = Vec::new();
    for racer in racers {
        match racer.await.unwrap() {
            Ok(lock) => winners.push(lock),
            Err(LockError::Held { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(winners.len(), 1);
    winners.pop().unwrap().release().await.unwrap();

    // Somebody changed one server by hand.
    execute(&cluster.nodes[1].alone("shop"), "DROP TABLE notes").await;
    snapshot!(on(&sandbox, "cluster", &["apply"]), @"
    success: false
    exit_code: 1
    ----- stdout -----
    shop on cluster (http://[HTTP 0]/) is up to date: nothing was executed

    ----- stderr -----
    error[replicas-differ]: the servers of the cluster do not agree: `notes` is not the same everywhere; missing on [NODE 1]; on [NODE 0], [NODE 2]: CREATE VIEW shop.notes ( a UInt64,  note String) AS SELECT a, note FROM shop.events
     |
     = help: somebody changed one of them by hand, or one is away; bring it to what the others have, then `apply` again
    ");
    execute(
        &cluster.nodes[1].alone("shop"),
        "CREATE VIEW notes AS SELECT a, note FROM shop.events",
    )
    .await;
    // A statement that one server cannot execute is in doubt: the others have done it.
    execute(
        &cluster.nodes[2].alone("shop"),
        "CREATE VIEW late AS SELECT 1 AS one",
    )
    .await;
    sandbox.migration("0003_late.sql", "-- migrate:up\nCREATE VIEW late AS SELECT a FROM shop.events;\n-- migrate:down\nDROP TABLE late;\n");
    sandbox.run(&["repair", "-q"]);
    snapshot!(on(&sandbox, "cluster", &["apply"]), @"
    success: false
    exit_code: 3
    ----- stdout -----

    ----- stderr -----
    this server has no formatQuery (it came with 23.10): the statements are not judged beforehand
    error[in-doubt]: nobody knows whether statement 1 of 0003_late was executed
     --> schema/migrations/0003_late.sql:2:1
      |
    2 | CREATE VIEW late AS SELECT a FROM shop.events;
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: ClickHouse says (code 57): There was an error on [[NODE 2]]: Code: 57, e.displayText() = DB::Exception: Table shop.late already exists., e.what() = DB::Exception; done on [NODE 0], [NODE 1]; refused on [NODE 2]
      = note: nothing was executed in this run; of 0003_late 0 of 1 are done
      = help: when the server is back, `apply` again: it finds out, and goes on from there
    ");
    execute(&cluster.nodes[2].alone("shop"), "DROP TABLE late").await;
    execute(
        &cluster.nodes[2].alone("shop"),
        "CREATE VIEW late AS SELECT a FROM shop.events",
    )
    .await;
    sandbox.run(&["repair", "--target", "cluster", "--done", "3:1", "-q"]);

    // A server that is away is waited for until it is back, and has done it then.
    sandbox.migration("0004_away.sql", "-- migrate:up\nCREATE TABLE away (a UInt64) ENGINE = MergeTree ORDER BY a;\nCREATE VIEW back AS SELECT a FROM shop.away;\n-- migrate:down\nDROP TABLE back;\nDROP TABLE away;\n");
    sandbox.run(&["repair", "-q"]);
    cluster.nodes[1].kill();
    let run = on(&sandbox, "cluster", &["apply"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = std::time::Instant::now();
    // The bookkeeping gives up on it after 5 s each, the statement after 15 s.
    loop {
        let seen = table(
            &cluster.nodes[0].alone("shop"),
            "SELECT count() AS n FROM system.tables WHERE database = 'shop' AND name = 'away'",
        )
        .await;
        if seen == "1" {
            break;
        }
        assert!(begun.elapsed() < Duration::from_mins(4));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    tokio::time::sleep(Duration::from_secs(18)).await;
    cluster.nodes[1].restart().await;
    let output = run.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        said.contains(&format!(
            "0004_away 1/2  waiting for 127.0.0.1:{}",
            cluster.nodes[1].tcp
        )),
        "{said}"
    );
    assert_eq!(
        on_every_server(&cluster, "shop", "SELECT count() AS n FROM system.tables WHERE database = 'shop' AND name IN ('away', 'back')").await,
        ["2", "2", "2"]
    );

    // A replica that is away gets an ALTER when it is back (341), and is waited for as well.
    sandbox.migration("0005_alter.sql", "-- migrate:up\nALTER TABLE events ADD COLUMN late UInt8;\n-- migrate:down\nALTER TABLE events DROP COLUMN late;\n");
    sandbox.run(&["repair", "-q"]);
    cluster.nodes[1].kill();
    let run = on(&sandbox, "cluster", &["apply"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = std::time::Instant::now();
    let column = "SELECT count() AS n FROM system.columns WHERE database = 'shop' AND table = 'events' AND name = 'late'";
    while table(&cluster.nodes[0].alone("shop"), column).await == "0" {
        assert!(begun.elapsed() < Duration::from_mins(4));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    tokio::time::sleep(Duration::from_secs(18)).await;
    cluster.nodes[1].restart().await;
    let output = run.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("0005_alter 1/1  waiting for "), "{said}");
    assert_eq!(
        on_every_server(&cluster, "shop", column).await,
        ["1", "1", "1"]
    );
    sandbox.run(&[
        "rollback",
        "--target",
        "cluster",
        "--to",
        "4",
        "--allow-destructive",
        "-q",
    ]);
    fs_err::remove_file(sandbox.path("schema/migrations/0005_alter.sql")).unwrap();

    // Without Keeper nothing is begun; when it is back, everything goes on.
    sandbox.migration("0005_last.sql", "-- migrate:up\nCREATE VIEW last AS SELECT a FROM shop.away;\n-- migrate:down\nDROP TABLE last;\n");
    sandbox.run(&["repair", "-q"]);
    cluster.keeper.kill();
    let output = on(&sandbox, "cluster", &["apply"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    cluster.keeper.restart();
    let begun = std::time::Instant::now();
    let again = "CREATE DATABASE IF NOT EXISTS shop ON CLUSTER trio";
    while cluster
        .client(0, "default")
        .execute(&Query::new(again))
        .await
        .is_err()
        || on_every_server(
            &cluster,
            "shop",
            "SELECT count() AS n FROM system.replicas WHERE is_readonly OR is_session_expired",
        )
        .await
            != ["0", "0", "0"]
    {
        assert!(begun.elapsed() < Duration::from_mins(3));
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    // Servers of 2018 may find out only now that their session is gone (999): such a statement is in doubt, and who looks sees what became of it.
    let last = "SELECT count() AS n FROM system.tables WHERE database = 'shop' AND name = 'last'";
    let begun = std::time::Instant::now();
    loop {
        let output = on(&sandbox, "cluster", &["apply"]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        if output.status.success() {
            break;
        }
        assert!(said.contains("in-doubt"), "{said}");
        assert!(begun.elapsed() < Duration::from_mins(5), "{said}");
        let seen = on_every_server(&cluster, "shop", last).await;
        if seen == ["1", "1", "1"] {
            sandbox.run(&["repair", "--target", "cluster", "--done", "5:1", "-q"]);
        } else if seen == ["0", "0", "0"] && begun.elapsed() > Duration::from_secs(20) {
            sandbox.run(&["repair", "--target", "cluster", "--retry", "5:1", "-q"]);
        } else {
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    }
    assert_eq!(
        on_every_server(&cluster, "shop", last).await,
        ["1", "1", "1"]
    );
    sandbox.run(&["status", "--target", "cluster", "--check"]);
    // And back.
    sandbox.run(&[
        "rollback",
        "--target",
        "cluster",
        "--to",
        "3",
        "--allow-destructive",
        "-q",
    ]);
    assert_eq!(
        on_every_server(&cluster, "shop", "SELECT count() AS n FROM system.tables WHERE database = 'shop' AND name IN ('away', 'back')").await,
        ["0", "0", "0"]
    );

    // Files that name the cluster themselves, and users who may not do it, are told so, and nothing is changed.
    sandbox.migration("0004_away.sql", "-- migrate:up\nCREATE TABLE away ON CLUSTER trio (a UInt64) ENGINE = MergeTree ORDER BY a;\n-- migrate:down\nDROP TABLE away;\n");
    fs_err::remove_file(sandbox.path("schema/migrations/0005_last.sql")).unwrap();
    sandbox.run(&["repair", "-q"]);
    snapshot!(on(&sandbox, "cluster", &["plan"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error[on-cluster]: statement 1 of 0004_away cannot be sent there: it names the cluster `trio` itself
     --> schema/migrations/0004_away.sql:2:1
      |
    2 | CREATE TABLE away ON CLUSTER trio (a UInt64) ENGINE = MergeTree ORDER BY a;
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: take `ON CLUSTER` out of the file: the target's `cluster` says where it goes, and it is added when it is sent
    ");
    let url = |user: &str| format!("http://{user}@127.0.0.1:{}", cluster.nodes[0].http);
    snapshot!(sandbox.command(&["apply", "--url", &url("looker"), "--database", "shop"]), @"
    success: false
    exit_code: 3
    ----- stdout -----

    ----- stderr -----
    error: could not read the journal `shop.housewright_journal`
      because: ClickHouse says (code 164): Cannot override setting (output_format_json_quote_64bit_integers) in readonly mode
      this user may only read; nothing was changed
    ");
    snapshot!(sandbox.command(&["apply", "--url", &url("stranger"), "--database", "shop"]), @"
    success: false
    exit_code: 3
    ----- stdout -----

    ----- stderr -----
    error: could not read the journal `shop.housewright_journal`
      because: ClickHouse says (code 291): Access denied to database shop for user stranger
    ");
}
