//! What becomes of a statement that was begun and whose end nobody wrote down: for every kind of statement, with and without its effect,
//! `apply` finds out and ends where an undisturbed run ends, or stops and says what it found.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod support;

use std::fmt::Write as _;
use std::sync::atomic::AtomicBool;

use camino_tempfile::Utf8TempDir;
use housewright::apply::{Event, FailureKind, Outcome, Task, Work, perform};
use housewright::clickhouse::Client;
use housewright::migration::Migrations;
use housewright::plan::Options;
use support::proxy::{Fate, Proxy};
use support::{bench, database, engine, everything, owner, through};

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
    let dir = Utf8TempDir::new().unwrap();
    fs_err::create_dir(dir.path().join("migrations")).unwrap();
    fs_err::write(dir.path().join("migrations/0001_all.sql"), text).unwrap();
    let migrations = Migrations::load(dir.path()).unwrap();
    (dir, migrations)
}

/// Every statement breaks off once, in the one pass before its effect and in the other after it.
#[tokio::test]
async fn every_statement_is_settled_with_and_without_its_effect() {
    let (_dir, migrations) = migrations(include_str!("support/kinds.sql"));
    let undisturbed = database("settle_undisturbed").await;
    run(&undisturbed, &migrations).await.outcome.unwrap();
    let wanted = everything(&undisturbed).await;
    let statements = &migrations.iter().next().unwrap().up;
    let mut report = String::new();
    for fate in [Fate::CutBefore, Fate::CutAfter] {
        let _ = writeln!(report, "{fate:?}");
        let client = database("settle_disturbed").await;
        for (statement, number) in statements.iter().zip(1..) {
            let proxy = Proxy::start(&engine().url, move |request| match request.query_id() {
                Some(id) if id.ends_with(&format!("-0001-{number}")) => fate,
                _ => Fate::Pass,
            });
            let broken = run(&through(&proxy, "settle_disturbed"), &migrations).await;
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
        assert_eq!(everything(&client).await, wanted, "{fate:?}");
        assert!(
            run(&client, &migrations)
                .await
                .outcome
                .unwrap()
                .executed
                .is_empty()
        );
    }
    insta::assert_snapshot!(report);
}
