//! What becomes of a statement that was begun and whose end nobody wrote down: for every kind of statement, with and without its effect,
//! `apply` finds out and ends where an undisturbed run ends, or stops and says what it found.

use std::fmt::Write as _;
use std::sync::atomic::AtomicBool;

use crate::support::proxy::{Fate, Proxy};
use crate::support::{self, bench, database, engine, everything, execute, owner, table, through};
use camino_tempfile::Utf8TempDir;
use housewright::apply::{Event, FailureKind, Outcome, Task, Work, perform};
use housewright::clickhouse::Client;
use housewright::config::Server;
use housewright::migration::Migrations;
use housewright::plan::Options;
use test_case::test_case;

struct Told {
    outcome: Result<Outcome, FailureKind>,
    /// How each doubt was settled.
    settled: Vec<(bool, String)>,
}

async fn run(client: &Client, migrations: &Migrations) -> Told {
    let options = Options {
        allow_destructive: true,
        ..Options::default()
    };
    let work = Work {
        migrations,
        task: Task::Apply(options),
        basis: None,
        patience: std::time::Duration::ZERO,
        bench: Some(bench()),
        rebuilds: None,
    };
    let mut settled = Vec::new();
    let outcome = perform(
        client,
        work,
        &owner(),
        &AtomicBool::new(false),
        &mut |event| {
            if let Event::Settled { done, how, .. } = event {
                settled.push((done, how.to_owned()));
            }
        },
    )
    .await
    .map_err(|failure| failure.kind);
    Told { outcome, settled }
}

fn migrations(text: &str) -> (Utf8TempDir, Migrations) {
    let dir = support::directory();
    fs_err::create_dir(dir.path().join("migrations")).unwrap();
    fs_err::write(dir.path().join("migrations/0001_all.sql"), text).unwrap();
    let migrations = Migrations::load(dir.path()).unwrap();
    (dir, migrations)
}

/// Every statement breaks off once: before its effect, or after it.
#[test_case(Fate::CutBefore)]
#[test_case(Fate::CutAfter)]
#[tokio::test]
async fn every_statement_is_settled_with_and_without_its_effect(fate: Fate) {
    let (_dir, migrations) = migrations(include_str!("../support/kinds.sql"));
    let undisturbed = database(&format!("settle_undisturbed_{fate:?}")).await;
    run(&undisturbed, &migrations).await.outcome.unwrap();
    let wanted = everything(&undisturbed).await;
    let statements = &migrations.iter().next().unwrap().up;
    let mut report = String::new();
    let name = format!("settle_{fate:?}");
    let client = database(&name).await;
    for (statement, number) in statements.iter().zip(1..) {
        let proxy = Proxy::start(&engine().url, move |request| match request.query_id() {
            Some(id) if id.ends_with(&format!("-0001-{number}")) => fate,
            _ => Fate::Pass,
        });
        let broken = run(&through(&proxy, &name), &migrations).await;
        let sql = statement.sql();
        if number > 1 {
            let [(done, how)] = broken.settled.as_slice() else {
                panic!("{sql}: {:?} {:?}", broken.settled, broken.outcome)
            };
            let said = if *done { "done" } else { "executed again" };
            let _ = writeln!(report, "       {said}: {how}");
        }
        assert!(
            matches!(broken.outcome, Err(FailureKind::InDoubt { .. })),
            "{sql}: {:?}",
            broken.outcome
        );
        let _ = writeln!(report, "{}", sql.lines().next().unwrap());
    }
    let resumed = run(&client, &migrations).await;
    resumed.outcome.unwrap();
    assert_eq!(everything(&client).await, wanted);
    let nothing = run(&client, &migrations).await.outcome.unwrap();
    assert!(nothing.executed.is_empty());
    insta::assert_snapshot!(format!("every_statement_{fate:?}"), report);
}

/// A server that ends within `OR REPLACE` leaves the new object, or the old one, under a name of its own making.
#[tokio::test]
async fn what_or_replace_leaves_is_removed_and_nothing_else() {
    let (_dir, migrations) = migrations(
        "-- migrate:up
CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a;
INSERT INTO t SELECT 1;
CREATE OR REPLACE TABLE t (a UInt8, b UInt8) ENGINE = MergeTree ORDER BY a;
",
    );
    for exchanged in [false, true] {
        let client = database("settle_replaced").await;
        let proxy = Proxy::start(&engine().url, |request| match request.query_id() {
            Some(id) if id.ends_with("-0001-3") => Fate::CutBefore,
            _ => Fate::Pass,
        });
        let broken = run(&through(&proxy, "settle_replaced"), &migrations).await;
        assert!(matches!(broken.outcome, Err(FailureKind::InDoubt { .. })));
        // As far as the server came.
        let leftover = table(
            &client,
            "SELECT concat('_tmp_replace_', lower(hex(sipHash64('settle_replacedt'))), '_aaaaaaaaaaaaaaaa') AS name",
        )
        .await;
        let other = "_tmp_replace_0000000000000000_aaaaaaaaaaaaaaaa";
        for name in [leftover.as_str(), other] {
            let table = "(a UInt8, b UInt8) ENGINE = MergeTree ORDER BY a";
            execute(&client, &format!("CREATE TABLE {name} {table}")).await;
        }
        if exchanged {
            execute(&client, &format!("EXCHANGE TABLES t AND {leftover}")).await;
        }
        let told = run(&client, &migrations).await;
        told.outcome.unwrap();
        assert_eq!(told.settled[0].0, exchanged, "{:?}", told.settled);
        let left = "SELECT name FROM system.tables WHERE database = currentDatabase() AND startsWith(name, '_tmp')";
        assert_eq!(table(&client, left).await, other);
        assert_eq!(table(&client, "SELECT count() AS n FROM t").await, "0");
    }
}

/// Breaks the INSERT of this number off, in the way of `fate`; then the server's log says `logged` of it.
async fn broken_off(
    server: &Server,
    migrations: &Migrations,
    number: u32,
    fate: Fate,
    logged: &str,
) -> Told {
    let proxy = Proxy::start(&server.url, move |request| match request.query_id() {
        Some(id) if id.ends_with(&format!("-0001-{number}")) => fate,
        _ => Fate::Pass,
    });
    let behind = Server {
        url: proxy.url.clone(),
        ..server.clone()
    };
    let told = run(&Client::new(&behind, "logged").unwrap(), migrations).await;
    assert!(
        matches!(told.outcome, Err(FailureKind::InDoubt { .. })),
        "{:?}",
        told.outcome
    );
    log(&Client::new(server, "logged").unwrap(), logged).await;
    told
}

/// What a server's log would say of the statement that was begun last.
async fn log(client: &Client, says: &str) {
    if !says.is_empty() {
        execute(client, &format!("INSERT INTO system.query_log (type, query_id) SELECT '{says}', query_id FROM housewright_journal ORDER BY position DESC LIMIT 1")).await;
    }
}

/// The embedded engine keeps no log, and takes a table of that name for one.
#[tokio::test]
async fn where_the_server_keeps_a_log_the_log_decides() {
    let server = support::another_engine();
    let client = Client::new(server, "logged").unwrap();
    execute(&client.in_database("default"), "CREATE DATABASE logged").await;
    execute(
        &client,
        "CREATE TABLE system.query_log (type String, query_id String) ENGINE = MergeTree ORDER BY query_id",
    )
    .await;
    let (_dir, migrations) = migrations(
        "-- migrate:up
CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a;
INSERT INTO t SELECT 2;
INSERT INTO t SELECT 3;
INSERT INTO t SELECT 4;
INSERT INTO t SELECT 5;
CREATE TABLE u ENGINE = MergeTree ORDER BY a AS SELECT a FROM t;
",
    );
    let (finished, refused) = ("QueryFinish", "ExceptionBeforeStart");
    let settled = |told: &Told| told.settled.clone();
    broken_off(server, &migrations, 2, Fate::CutAfter, finished).await;
    let told = broken_off(server, &migrations, 3, Fate::CutBefore, refused).await;
    assert_eq!(
        settled(&told),
        [(true, "system.query_log says that it finished".to_owned())]
    );
    let told = broken_off(server, &migrations, 4, Fate::CutBefore, "").await;
    assert_eq!(
        settled(&told),
        [(
            false,
            "system.query_log says that it was refused before it began".to_owned()
        )]
    );
    // The log is silent, and no row came: it is executed.
    let told = broken_off(server, &migrations, 5, Fate::CutAfter, "QueryStart").await;
    assert_eq!(
        settled(&told),
        [(false, "the rows of its tables are as before it".to_owned())]
    );
    // The log knows only that it began, and rows came: nobody can know whether they are all.
    let told = run(&client, &migrations).await;
    let Err(FailureKind::Unsettled(finding)) = told.outcome else {
        panic!("{:?}", told.outcome)
    };
    assert_eq!(
        finding.message,
        "what became of statement 5 of 0001_all cannot be known"
    );
    assert!(
        finding.help.as_ref().unwrap().contains("system.query_log"),
        "{finding:?}"
    );
    assert_eq!(
        table(&client, "SELECT a FROM t ORDER BY a").await,
        "2\n3\n4\n5"
    );
    // It was still being written.
    log(&client, finished).await;
    let told = broken_off(server, &migrations, 6, Fate::CutAfter, finished).await;
    assert_eq!(
        settled(&told),
        [(true, "system.query_log says that it finished".to_owned())]
    );
    let told = run(&client, &migrations).await;
    assert_eq!(
        settled(&told),
        [(true, "system.query_log says that it finished".to_owned())]
    );
    assert!(told.outcome.unwrap().executed.is_empty());
    assert_eq!(
        table(&client, "SELECT a FROM t ORDER BY a").await,
        "2\n3\n4\n5"
    );
    assert_eq!(
        table(&client, "SELECT a FROM u ORDER BY a").await,
        "2\n3\n4\n5"
    );
    assert_eq!(
        table(
            &client,
            "SELECT count() AS staged FROM housewright_journal WHERE position(note, 'stag') > 0"
        )
        .await,
        "0"
    );
}
