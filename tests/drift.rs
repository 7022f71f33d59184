//! What somebody did by hand is found, and what a server rewrites is not.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod support;

use housewright::catalog::Difference;
use housewright::clickhouse::Client;
use housewright::drift::{Bench, Drift, drift};
use housewright::engine::child::{Launch, open};
use housewright::journal::Journal;

/// Compares a database of the shared engine on a bench of its own.
async fn found(client: &Client) -> Drift {
    let launch = Launch {
        program: support::program().to_owned(),
        library: support::library(),
        path: None,
    };
    let handle = open(&launch).await.unwrap();
    let engine = Client::new(handle.server(), "default").unwrap();
    let bench = Bench::new(&engine, client.database()).await.unwrap();
    let target = client.read_only();
    let journal = Journal::read(&target).await.unwrap();
    let outcome = drift(&target, &journal, &bench).await.unwrap();
    handle.end().await;
    outcome
}

#[tokio::test]
async fn nothing_drifts_that_nobody_touched() {
    let client = support::database_with_schema("drift_none").await;
    let outcome = found(&client).await;
    assert!(outcome.differences.is_empty(), "{:?}", outcome.differences);
    assert_eq!((outcome.migrations, outcome.objects), (3, 7));
}

#[tokio::test]
async fn a_database_that_nobody_migrated_is_all_extra() {
    let client = support::database("drift_unknown").await;
    support::execute(&client, "CREATE TABLE t (a UInt64) ENGINE = Memory").await;
    let outcome = found(&client).await;
    assert!(matches!(outcome.differences.as_slice(), [Difference::Extra(t)] if t.name == "t"));
}

#[tokio::test]
async fn what_was_done_by_hand_is_found_and_said() {
    let client = support::database_with_schema("drift_some").await;
    for statement in [
        "ALTER TABLE events ADD COLUMN by_hand LowCardinality(String) DEFAULT ''",
        "CREATE TABLE scratchpad (a UInt64) ENGINE = Memory",
        "DROP VIEW sources",
        // Twice there and back is nothing.
        "ALTER TABLE session_days_v1 MODIFY COMMENT 'x'",
        "ALTER TABLE session_days_v1 MODIFY COMMENT 'The days of sessions whose id does not name them: ids that a client sent, and ids that name another day'",
    ] {
        support::execute(&client, statement).await;
    }
    let outcome = found(&client).await;
    insta::assert_snapshot!(anstream::adapter::strip_str(&housewright::report::drift::human(&outcome, "here", "drift_some")).to_string(), @"
    drift_some on here: 3 differences from what the 3 migrations made that were applied there

    different  table events
            `properties` String COMMENT 'What else the client sent, as JSON text of up to 8 KB' CODEC(ZSTD(3)),
            `received_at` DateTime64(6, 'UTC') MATERIALIZED now64(6) COMMENT 'When ClickHouse took the row: one value for all rows of an INSERT; what a client sends here is not taken' CODEC(Delta(8), ZSTD(1)),
      +     `by_hand` LowCardinality(String) DEFAULT '',
            CONSTRAINT project_id_given CHECK project_id != '',
            CONSTRAINT event_id_given CHECK event_id != '',

    extra  table scratchpad
      no migration made it

    missing  parameterized view sources
      a migration made it, and it is not there

    - as the migrations made it, + as it is there
      undo it by hand, or write it down in a migration and record that with `repair`
    ");
}

#[tokio::test]
async fn what_was_rolled_back_is_no_drift_and_what_was_done_since_is() {
    use housewright::apply::{Task, Work, perform};
    use housewright::plan::{Options, Reach};

    let client = support::database("drift_back").await;
    let migrations = housewright::migration::Migrations::load(&support::schema()).unwrap();
    let run = async |task| {
        let work = Work {
            migrations: &migrations,
            task,
            basis: None,
            patience: std::time::Duration::ZERO,
            bench: None,
            rebuilds: None,
        };
        let stop = std::sync::atomic::AtomicBool::new(false);
        perform(&client, work, &support::owner(), &stop, &mut |_| {})
            .await
            .map_err(|failure| failure.kind)
            .unwrap();
    };
    let back = |reach| Task::RollBack {
        reach,
        allow_destructive: false,
    };
    run(Task::Apply(Options::default())).await;
    run(back(Reach::Steps(1))).await;
    let outcome = found(&client).await;
    assert!(outcome.differences.is_empty(), "{:?}", outcome.differences);
    assert_eq!(outcome.migrations, 2);
    // Up again, and down to nothing: the journal has it all, and nothing is left to differ.
    run(Task::Apply(Options::default())).await;
    assert!(found(&client).await.differences.is_empty());
    run(back(Reach::To(1))).await;
    support::execute(&client, "ALTER TABLE events DROP CONSTRAINT event_id_given").await;
    let outcome = found(&client).await;
    assert_eq!(outcome.migrations, 1);
    assert!(
        matches!(outcome.differences.as_slice(), [Difference::Different { should, is }]
            if should.name == "events" && should.text.contains("event_id_given") && !is.text.contains("event_id_given")),
        "{:?}",
        outcome.differences
    );
}
