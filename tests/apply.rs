//! The stories of `apply`: stepwise = fresh, one at a time, a lost answer leaves a doubt.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod support;

use std::fmt::Write as _;
use std::sync::atomic::AtomicBool;

use camino_tempfile::Utf8TempDir;
use housewright::apply::{Event, Failure, FailureKind, Outcome, apply};
use housewright::clickhouse::{Client, Query};
use housewright::journal::{self, Journal, Lock, LockError};
use housewright::migration::Migrations;
use housewright::plan::{Options, Plan, State};
use support::proxy::{Fate, Proxy};
use support::sandbox::{Sandbox, snapshot};
use support::{database, engine, execute, owner, schema, table, through};

async fn run(
    client: &Client,
    migrations: &Migrations,
    options: Options,
) -> Result<Outcome, Failure> {
    apply(
        client,
        migrations,
        options,
        &owner(),
        &AtomicBool::new(false),
        &mut |_| {},
    )
    .await
}

/// A schema directory with these migrations.
fn migrations(files: &[(&str, &str)]) -> (Utf8TempDir, Migrations) {
    let dir = support::directory();
    fs_err::create_dir(dir.path().join("migrations")).unwrap();
    for (name, text) in files {
        fs_err::write(dir.path().join("migrations").join(name), text).unwrap();
    }
    let migrations = Migrations::load(dir.path()).unwrap();
    (dir, migrations)
}

/// Everything in a database as the engine writes it, without ids.
async fn definitions(client: &Client) -> String {
    let text = table(
        client,
        "SELECT name, replaceAll(create_table_query, currentDatabase(), 'db') AS definition FROM system.tables WHERE database = currentDatabase() AND name NOT LIKE 'housewright%' ORDER BY name",
    )
    .await;
    assert!(!text.is_empty());
    text
}

/// What the journal says in the end, without times and runs.
async fn end_state(client: &Client) -> String {
    table(
        client,
        "SELECT version, name, statement, statements, sha256, argMax(state, position) AS state FROM housewright_journal GROUP BY ALL ORDER BY ALL",
    )
    .await
}

#[tokio::test]
async fn stepwise_equals_fresh() {
    let migrations = Migrations::load(&schema()).unwrap();
    let fresh = database("apply_fresh").await;
    run(&fresh, &migrations, Options::default()).await.unwrap();
    let stepwise = database("apply_stepwise").await;
    for version in migrations.iter().map(|migration| migration.version) {
        let options = Options {
            to: Some(version),
            ..Options::default()
        };
        let outcome = run(&stepwise, &migrations, options).await.unwrap();
        assert!(!outcome.executed.is_empty(), "each step does something");
    }
    assert_eq!(definitions(&stepwise).await, definitions(&fresh).await);
    assert_eq!(end_state(&stepwise).await, end_state(&fresh).await);
}

#[tokio::test]
async fn up_then_down_then_up_equals_up() {
    let migrations = Migrations::load(&schema()).unwrap();
    let client = database("apply_down").await;
    let empty = table(
        &client,
        "SELECT count() AS n FROM system.tables WHERE database = currentDatabase()",
    )
    .await;
    let mut before = Vec::new();
    for migration in migrations.iter() {
        before.push(table(&client, "SELECT name, create_table_query AS d FROM system.tables WHERE database = currentDatabase() AND name NOT LIKE 'housewright%' ORDER BY name").await);
        for statement in &migration.up {
            execute(&client, statement.sql()).await;
        }
    }
    for (migration, before) in migrations.iter().rev().zip(before.iter().rev()) {
        for statement in &migration.down.as_ref().unwrap().statements {
            execute(&client, statement.sql()).await;
        }
        let after = table(&client, "SELECT name, create_table_query AS d FROM system.tables WHERE database = currentDatabase() AND name NOT LIKE 'housewright%' ORDER BY name").await;
        assert_eq!(
            &after, before,
            "the down section of {} takes back all of the up section",
            migration.name
        );
    }
    assert_eq!(
        table(
            &client,
            "SELECT count() AS n FROM system.tables WHERE database = currentDatabase()"
        )
        .await,
        empty
    );
}

#[tokio::test]
async fn inline_data_arrives_as_it_stands_in_the_file() {
    let (_dir, migrations) = migrations(&[(
        "0001_data.sql",
        "-- migrate:up\nCREATE TABLE t (a String, b UInt8) ENGINE = MergeTree ORDER BY b;\nINSERT INTO t VALUES ('x;\n\n--y', 1), ('it''s', 2);\nINSERT INTO t FORMAT JSONEachRow\n{\"a\":\"; DROP TABLE t\",\"b\":3}\n\nINSERT INTO t SELECT 'format', 4;\n",
    )]);
    let client = database("apply_inline").await;
    run(&client, &migrations, Options::default()).await.unwrap();
    insta::assert_snapshot!(table(&client, "SELECT a, b FROM t ORDER BY b").await, @r"
    x;

    --y | 1
    it's | 2
    ; DROP TABLE t | 3
    format | 4
    ");
}

#[tokio::test]
async fn long_migrations_are_judged_in_pieces_and_the_one_bad_statement_is_found() {
    let mut text = "-- migrate:up\n".to_owned();
    for n in 0..120 {
        let comment = "x".repeat(2000);
        let _ = writeln!(
            text,
            "CREATE TABLE t{n} (a UInt8 COMMENT '{comment}') ENGINE = Memory;"
        );
    }
    text.push_str("CREATE TABEL late (a UInt8);\n");
    let (_dir, migrations) = migrations(&[("0001_long.sql", &text)]);
    let client = database("apply_long").await;
    let failure = run(&client, &migrations, Options::default())
        .await
        .unwrap_err();
    let FailureKind::Malformed(verdicts) = failure.kind else {
        panic!("{failure}")
    };
    assert_eq!(
        verdicts
            .iter()
            .map(|verdict| verdict.step.number)
            .collect::<Vec<_>>(),
        [121]
    );
    assert_eq!(
        table(
            &client,
            "SELECT count() AS n FROM system.tables WHERE database = currentDatabase()"
        )
        .await,
        "0",
        "nothing was executed"
    );
}

#[tokio::test]
async fn a_lock_is_held_by_one_and_says_whose_it_is() {
    let client = database("apply_lock").await;
    let first = Lock::acquire(&client, owner()).await.unwrap();
    first.assert_held().await.unwrap();
    let error = Lock::acquire(&client, owner()).await.unwrap_err();
    assert!(matches!(error, LockError::Held { .. }), "{error}");
    assert!(error.to_string().contains("test@localhost"), "{error}");
    first.release().await.unwrap();
    let second = Lock::acquire(&client, owner()).await.unwrap();
    second.release().await.unwrap();
    assert_eq!(
        table(
            &client,
            "SELECT count() AS n FROM system.tables WHERE database = currentDatabase()"
        )
        .await,
        "0"
    );
}

#[tokio::test]
async fn a_broken_lock_stops_its_run_before_the_next_statement() {
    let (_dir, migrations) = migrations(&[(
        "0001_two.sql",
        "-- migrate:up\nCREATE TABLE one (a UInt8) ENGINE = Memory;\nCREATE TABLE two (a UInt8) ENGINE = Memory;\n",
    )]);
    let client = database("apply_broken_lock").await;
    let lock = Lock::acquire(&client, owner()).await.unwrap();
    let failure = run(&client, &migrations, Options::default())
        .await
        .unwrap_err();
    assert!(matches!(
        failure.kind,
        FailureKind::Lock(LockError::Held { .. })
    ));
    let broken = journal::unlock(&client).await.unwrap().unwrap();
    assert_eq!(broken.owner.who, "test");
    assert_eq!(journal::unlock(&client).await.unwrap(), None);
    run(&client, &migrations, Options::default()).await.unwrap();
    // The first owner gives back what is not its own any more, and takes nothing away.
    lock.release().await.unwrap();
    assert_eq!(table(&client, "SELECT count() AS n FROM system.tables WHERE database = currentDatabase() AND name IN ('one', 'two')").await, "2");
}

#[tokio::test]
async fn of_eight_at_once_each_statement_is_executed_by_one() {
    let client = database("apply_race").await;
    let text: String = (1..=5).fold("-- migrate:up\n".to_owned(), |text, n| {
        format!("{text}CREATE TABLE t{n} (a UInt8) ENGINE = Memory;\n")
    });
    let (_dir, migrations) = migrations(&[("0001_race.sql", &text)]);
    let runs = (0..8).map(|_| {
        let (client, migrations) = (client.clone(), migrations.clone());
        tokio::spawn(async move { run(&client, &migrations, Options::default()).await })
    });
    let mut executed = 0;
    for result in futures_util::future::join_all(runs).await {
        match result.unwrap() {
            Ok(outcome) => executed += outcome.executed.len(),
            Err(failure) => assert!(
                matches!(failure.kind, FailureKind::Lock(LockError::Held { .. })),
                "{failure:?}"
            ),
        }
    }
    assert_eq!(executed, 5);
    assert_eq!(
        table(
            &client,
            "SELECT count() AS n FROM housewright_journal WHERE state = 'done'"
        )
        .await,
        "5"
    );
    assert_eq!(table(&client, "SELECT count() AS n FROM system.tables WHERE database = currentDatabase() AND name LIKE 'housewright_lock%'").await, "0");
}

#[tokio::test]
async fn asked_to_stop_a_run_stops_between_statements_and_the_next_goes_on() {
    let (_dir, migrations) = migrations(&[(
        "0001_three.sql",
        "-- migrate:up\nCREATE TABLE one (a UInt8) ENGINE = Memory;\nCREATE TABLE two (a UInt8) ENGINE = Memory;\nCREATE TABLE three (a UInt8) ENGINE = Memory;\n",
    )]);
    let client = database("apply_stop").await;
    let stop = AtomicBool::new(false);
    let outcome = apply(
        &client,
        &migrations,
        Options::default(),
        &owner(),
        &stop,
        &mut |event| {
            if matches!(event, Event::Done { .. }) {
                stop.store(true, std::sync::atomic::Ordering::Relaxed);
            }
        },
    )
    .await
    .unwrap();
    assert!(outcome.stopped);
    assert_eq!(outcome.executed.len(), 1);
    let plan = Plan::make(
        &migrations,
        &Journal::read(&client).await.unwrap(),
        Options::default(),
    );
    assert_eq!(plan.standing(1).unwrap().state, State::Partial { done: 1 });
    assert_eq!(
        run(&client, &migrations, Options::default())
            .await
            .unwrap()
            .executed
            .len(),
        2
    );
}

#[tokio::test]
async fn a_table_that_is_no_journal_of_ours_is_left_alone() {
    let migrations = Migrations::load(&schema()).unwrap();
    let client = database("apply_foreign").await;
    execute(
        &client,
        "CREATE TABLE housewright_journal (something UInt8) ENGINE = MergeTree ORDER BY something",
    )
    .await;
    let failure = run(&client, &migrations, Options::default())
        .await
        .unwrap_err();
    assert!(
        matches!(
            failure.kind,
            FailureKind::Journal(journal::Error::Foreign { .. })
        ),
        "{failure:?}"
    );
    execute(&client, "DROP TABLE housewright_journal").await;
    run(&client, &migrations, Options::default()).await.unwrap();
    execute(&client, "INSERT INTO housewright_journal (position, layout, tool_version, state) VALUES (1000, 99, '99.0', 'done')").await;
    let failure = run(&client, &migrations, Options::default())
        .await
        .unwrap_err();
    assert!(failure.kind.to_string().contains("99.0"), "{failure:?}");
}

#[tokio::test]
async fn verbs_that_look_cannot_write() {
    let client = database("apply_read_only").await.read_only();
    let error = client
        .execute(&Query::new("CREATE TABLE t (a UInt8) ENGINE = Memory"))
        .await
        .unwrap_err();
    assert!(error.is_code(164), "{error}");
    assert_eq!(Journal::read(&client).await.unwrap().position(), 0);
}

#[tokio::test]
async fn an_answer_that_never_came_leaves_its_statement_in_doubt() {
    let (_dir, migrations) = migrations(&[(
        "0001_two.sql",
        "-- migrate:up\nCREATE TABLE one (a UInt8) ENGINE = Memory;\nCREATE TABLE two (a UInt8) ENGINE = Memory;\n",
    )]);
    for (fate, there) in [
        (Fate::CutBefore, "0"),
        (Fate::CutAfter, "1"),
        (Fate::CutWithin, "1"),
    ] {
        let client = database("apply_cut").await;
        let proxy = Proxy::start(&engine().url, move |request| match request.query_id() {
            Some(id) if id.ends_with("-0001-2") => fate,
            _ => Fate::Pass,
        });
        let failure = run(
            &through(&proxy, "apply_cut"),
            &migrations,
            Options::default(),
        )
        .await
        .unwrap_err();
        assert!(
            matches!(failure.kind, FailureKind::InDoubt { .. }),
            "{fate:?}: {failure:?}"
        );
        assert_eq!(failure.executed.len(), 1);
        let two = "SELECT count() AS n FROM system.tables WHERE database = currentDatabase() AND name = 'two'";
        assert_eq!(table(&client, two).await, there, "{fate:?}");
    }
}

#[tokio::test]
async fn a_mutation_that_cannot_go_on_is_the_error_until_somebody_stops_it() {
    let client = database("apply_mutation").await;
    let sandbox = Sandbox::new();
    let migration = |value: &str| {
        let text = format!(
            "-- migrate:up\nCREATE TABLE t (a UInt64, s String) ENGINE = MergeTree ORDER BY a;\nINSERT INTO t SELECT number, 'x' FROM numbers(10);\nALTER TABLE t UPDATE s = {value} WHERE a = 5;\nALTER TABLE t ADD COLUMN b UInt8;\n"
        );
        sandbox.migration("0001_t.sql", &text);
        sandbox.run(&["repair", "-q"]);
    };
    migration("toString(toUInt8(s))");
    snapshot!(sandbox.on(&client, &["apply"]), @"
    success: false
    exit_code: 3
    ----- stdout -----

    ----- stderr -----
      0001_t 1/4  CREATE TABLE t  [DURATION]
      0001_t 2/4  INSERT INTO … SELECT t  [DURATION]
    error[mutation]: the mutation that statement 3 of 0001_t began cannot go on
     --> schema/migrations/0001_t.sql:4:1
      |
    4 | ALTER TABLE t UPDATE s = toString(toUInt8(s)) WHERE a = 5;
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: ClickHouse says of mutation_2.txt on `t`: Code: 6. DB::Exception: Cannot parse string 'x' as UInt8: syntax error at begin of string. Note: there are toUInt8OrZero and toUInt8OrNull functions, which returns zero/NULL instead of throwing exception: while executing 'FUNCTION if(equals(a, 5_UInt8) :: 5, _CAST(toString(toUInt8(s)), 'String'_String) :: 4, s :: 1) -> if(equals(a, 5_UInt8), _CAST(toString(toUInt8(s)), 'String'_String), s) String : 2'. (CANNOT_PARSE_TEXT) (version 26.7.2.1)
      = note: the server tries again by itself until it succeeds or is told to stop
      = note: 2 statements executed before it in this run, and recorded; of 0001_t 2 of 4 are done
      = help: mend the cause and `apply` again, which waits for it; or stop it (KILL MUTATION WHERE database = 'apply_mutation' AND table = 't' AND mutation_id = 'mutation_2.txt'), correct the statement, and `apply` again
    ");
    // It goes on for as long as it is not stopped, and so does whoever waits for it.
    snapshot!(sandbox.on(&client, &["apply"]), @"
    success: false
    exit_code: 3
    ----- stdout -----

    ----- stderr -----
    error[mutation]: the mutation that statement 3 of 0001_t began cannot go on
    --> 0001_t (as the journal has it):1:1
     = note: ClickHouse says of mutation_2.txt on `t`: Code: 6. DB::Exception: Cannot parse string 'x' as UInt8: syntax error at begin of string. Note: there are toUInt8OrZero and toUInt8OrNull functions, which returns zero/NULL instead of throwing exception: while executing 'FUNCTION if(equals(a, 5_UInt8) :: 5, _CAST(toString(toUInt8(s)), 'String'_String) :: 4, s :: 1) -> if(equals(a, 5_UInt8), _CAST(toString(toUInt8(s)), 'String'_String), s) String : 2'. (CANNOT_PARSE_TEXT) (version 26.7.2.1)
     = note: the server tries again by itself until it succeeds or is told to stop
     = note: nothing was executed in this run; of 0001_t 2 of 4 are done
     = help: mend the cause and `apply` again, which waits for it; or stop it (KILL MUTATION WHERE database = 'apply_mutation' AND table = 't' AND mutation_id = 'mutation_2.txt'), correct the statement, and `apply` again
    ");
    execute(
        &client,
        "KILL MUTATION WHERE database = currentDatabase() AND table = 't' SYNC",
    )
    .await;
    migration("'y'");
    snapshot!(sandbox.on(&client, &["apply"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    apply_mutation on http://[ADDRESS]/: 2 statements executed in [DURATION]

    ----- stderr -----
    statement 3 of 0001_t had broken off: the mutations are as before it; it is executed again
      0001_t 3/4  ALTER TABLE … UPDATE t  [DURATION]
      0001_t 4/4  ALTER TABLE … ADD COLUMN t  [DURATION]
    ");
    assert_eq!(
        table(&client, "SELECT groupArray(a) AS a FROM t WHERE s = 'y'").await,
        "[5]"
    );
}

#[tokio::test]
async fn a_mutation_that_is_under_way_on_a_table_is_told_before_anything_starts() {
    let client = database("apply_busy").await;
    for sql in [
        "CREATE TABLE t (a UInt64, s String) ENGINE = MergeTree ORDER BY a",
        "INSERT INTO t SELECT number, 'x' FROM numbers(10)",
        "ALTER TABLE t UPDATE s = toString(toUInt8(s)) WHERE a = 5 SETTINGS mutations_sync = 0",
    ] {
        execute(&client, sql).await;
    }
    let sandbox = Sandbox::new();
    sandbox.migration(
        "0001_b.sql",
        "-- migrate:up\nALTER TABLE t ADD COLUMN b UInt8;\n",
    );
    sandbox.run(&["repair", "-q"]);
    snapshot!(sandbox.on(&client, &["apply"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    apply_busy on http://[ADDRESS]/: 1 statement executed in [DURATION]

    ----- stderr -----
    a mutation is under way on `t` already: mutation_2.txt (UPDATE s = toString(toUInt8(s)) WHERE a = 5), 1 part left
      0001_b 1/1  ALTER TABLE … ADD COLUMN t  [DURATION]
    ");
}
