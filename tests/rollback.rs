//! The stories of `rollback`: what was stored when a migration was applied takes it back, and a rollback that broke off is continued.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod support;

use std::sync::atomic::{AtomicBool, Ordering};

use housewright::apply::{Event, FailureKind, Outcome, Task, Work, perform};
use housewright::clickhouse::Client;
use housewright::journal::{Journal, records};
use housewright::migration::Migrations;
use housewright::plan::{Options, Plan, Reach, Standing, State};
use support::sandbox::{Sandbox, snapshot};
use support::{bench, database, execute, owner, schema, table};

async fn run(client: &Client, migrations: &Migrations, task: Task) -> Result<Outcome, FailureKind> {
    let work = Work {
        migrations,
        task,
        basis: None,
        patience: std::time::Duration::ZERO,
        bench: Some(bench()),
        rebuilds: None,
    };
    perform(client, work, &owner(), &AtomicBool::new(false), &mut |_| {})
        .await
        .map_err(|failure| failure.kind)
}

const UP: Task = Task::Apply(Options {
    to: None,
    out_of_order: false,
    allow_destructive: false,
});

fn back(reach: Reach) -> Task {
    Task::RollBack {
        reach,
        allow_destructive: false,
    }
}

async fn definitions(client: &Client) -> String {
    table(
        client,
        "SELECT name, replaceAll(create_table_query, currentDatabase(), 'db') AS definition FROM system.tables WHERE database = currentDatabase() AND name NOT LIKE 'housewright%' ORDER BY name",
    )
    .await
}

/// What the journal comes to: every migration with its statements and their fingerprints.
async fn end_state(client: &Client) -> Vec<(u64, String, Vec<(u32, String)>)> {
    let journal = Journal::read(client).await.unwrap();
    records(&journal)
        .into_values()
        .map(|record| {
            assert!(record.down.is_empty());
            let statements = record.statements.into_iter();
            let prints = statements
                .map(|(number, one)| (number, one.sha256))
                .collect();
            (record.version, record.name, prints)
        })
        .collect()
}

#[tokio::test]
async fn apply_roll_back_apply_equals_fresh() {
    let migrations = Migrations::load(&schema()).unwrap();
    let fresh = database("rollback_fresh").await;
    run(&fresh, &migrations, UP).await.unwrap();
    let client = database("rollback_again").await;
    for reach in [Reach::To(0), Reach::Steps(2), Reach::To(1)] {
        run(&client, &migrations, UP).await.unwrap();
        assert!(
            !run(&client, &migrations, back(reach))
                .await
                .unwrap()
                .executed
                .is_empty()
        );
    }
    run(&client, &migrations, back(Reach::To(0))).await.unwrap();
    assert_eq!(definitions(&client).await, "", "nothing is left");
    assert_eq!(end_state(&client).await, []);
    run(&client, &migrations, UP).await.unwrap();
    assert_eq!(definitions(&client).await, definitions(&fresh).await);
    assert_eq!(end_state(&client).await, end_state(&fresh).await);
}

#[tokio::test]
async fn to_a_version_twice_is_once() {
    let migrations = Migrations::load(&schema()).unwrap();
    let client = database("rollback_twice").await;
    run(&client, &migrations, UP).await.unwrap();
    assert!(
        !run(&client, &migrations, back(Reach::To(2)))
            .await
            .unwrap()
            .executed
            .is_empty()
    );
    let before = table(&client, "SELECT count() AS n FROM housewright_journal").await;
    assert!(
        run(&client, &migrations, back(Reach::To(2)))
            .await
            .unwrap()
            .executed
            .is_empty()
    );
    assert_eq!(
        table(&client, "SELECT count() AS n FROM housewright_journal").await,
        before
    );
}

#[tokio::test]
async fn stopped_after_any_statement_it_is_continued_and_ends_the_same() {
    let migrations = Migrations::load(&schema()).unwrap();
    let client = database("rollback_stopped").await;
    run(&client, &migrations, UP).await.unwrap();
    let wanted: usize = migrations
        .iter()
        .map(|migration| migration.down.as_ref().unwrap().statements.len())
        .sum();
    let mut halves = 0;
    // One statement a run.
    for _ in 0..wanted {
        let stop = AtomicBool::new(false);
        let work = Work {
            migrations: &migrations,
            task: back(Reach::To(0)),
            basis: None,
            patience: std::time::Duration::ZERO,
            bench: Some(bench()),
            rebuilds: None,
        };
        let outcome = perform(&client, work, &owner(), &stop, &mut |event| {
            if matches!(event, Event::Done { .. }) {
                stop.store(true, Ordering::Relaxed);
            }
        })
        .await
        .unwrap();
        assert_eq!(outcome.executed.len(), 1);
        let journal = Journal::read(&client).await.unwrap();
        let plan = Plan::make(&migrations, &journal, Options::default());
        let half = |standing: &Standing| matches!(standing.state, State::RollingBack { .. });
        if plan.standings.iter().any(half) {
            halves += 1;
            assert_eq!(plan.refusals[0].code, "rollback-unfinished");
            assert!(matches!(
                run(&client, &migrations, UP).await,
                Err(FailureKind::Refused(_))
            ));
        }
    }
    assert_eq!(halves, wanted - migrations.len());
    assert_eq!(end_state(&client).await, []);
    assert_eq!(definitions(&client).await, "");
}

#[tokio::test]
async fn a_down_statement_in_doubt_is_settled_whichever_way_is_taken() {
    let migrations = Migrations::load(&schema()).unwrap();
    for task in [UP, back(Reach::Steps(1)), back(Reach::To(0))] {
        for done in [true, false] {
            let client = database("rollback_doubt").await;
            run(&client, &migrations, UP).await.unwrap();
            let fresh = definitions(&client).await;
            if done {
                run(&client, &migrations, back(Reach::Steps(1)))
                    .await
                    .unwrap();
                execute(&client, "ALTER TABLE housewright_journal DELETE WHERE direction = 'down' AND state = 'done' SETTINGS mutations_sync = 1").await;
            } else {
                execute(&client, "INSERT INTO housewright_journal (position, layout, version, name, direction, statement, statements, sha256, sql, down_sql, state) SELECT position + 1, layout, version, name, 'down', 1, 1, 'x', 'DROP VIEW sources', down_sql, 'started' FROM housewright_journal ORDER BY position DESC LIMIT 1").await;
            }
            let plan = Plan::make(
                &migrations,
                &Journal::read(&client).await.unwrap(),
                Options::default(),
            );
            assert_eq!(plan.doubts.len(), 1);
            assert_eq!(
                plan.doubts[0].step.title(),
                "statement 1 of the down section of 0003_sources"
            );
            match (run(&client, &migrations, task).await, task, done) {
                // The rollback was at its end, so everything is applied again.
                (Ok(outcome), Task::Apply(_), true) => {
                    assert_eq!(outcome.executed.len(), 1);
                    assert_eq!(definitions(&client).await, fresh);
                }
                // It was not, and only `rollback` goes on with it.
                (Err(FailureKind::Refused(plan)), Task::Apply(_), false) => {
                    assert_eq!(plan.refusals[0].code, "rollback-unfinished");
                }
                (Ok(_), Task::RollBack { .. }, _) => {
                    assert!(!definitions(&client).await.contains("sources |"));
                }
                (other, ..) => panic!("{done}: {other:?}"),
            }
        }
    }
}

#[test]
fn the_stored_down_section_counts_and_not_the_file() {
    let sandbox = Sandbox::with_migrations();
    sandbox.run(&["apply", "-q"]);
    fs_err::remove_file(sandbox.path("schema/migrations/0002_second.sql")).unwrap();
    snapshot!(sandbox.command(&["rollback", "--dry-run"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    default on local (embedded engine, data in .housewright): 2 statements to execute

    0002_second  0002_second (its down section, as the journal has it)
      1/2  DROP VIEW   both    metadata: it holds no data of its own
      2/2  DROP TABLE  second  metadata: it is empty on this target

    ----- stderr -----
    ");
    snapshot!(sandbox.command(&["rollback"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    default on local (embedded engine, data in .housewright): 2 statements executed in [DURATION]

    ----- stderr -----
      0002_second down 1/2  DROP VIEW both  [DURATION]
      0002_second down 2/2  DROP TABLE second  [DURATION]
    ");
    snapshot!(sandbox.command(&["status"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    default on local (embedded engine, data in .housewright)

      version  name   state    statements  applied                  by
      0001     first  applied  1/1         [TIME]  tester@box, [DURATION]

    1 applied

    ----- stderr -----
    warning[sum-extra]: housewright.sum knows 0002_second, and there is no such file
     --> schema/migrations/housewright.sum:1:1
      |
    1 | # version name sha256; written by housewright, kept in git
      | ^
      |
      = help: bring the file back (`git checkout`); if it was never applied anywhere, `housewright repair` forgets it
    ");
    snapshot!(sandbox.command(&["rollback", "--to", "7"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error[unknown-version]: there is no migration 0007
     |
     = help: `housewright status` lists the versions; `--to 0` rolls back everything
    ");
    snapshot!(sandbox.command(&["rollback", "--to", "0", "--format", "json"]), @r#"
    success: true
    exit_code: 0
    ----- stdout -----
    {
      "version": 1,
      "target": "local (embedded engine, data in .housewright)",
      "database": "default",
      "ok": true,
      "stopped": false,
      "executed": [
        {
          "version": 1,
          "name": "first",
          "direction": "down",
          "path": "schema/migrations/0001_first.sql",
          "line": 4,
          "statement": 1,
          "statements": 1,
          "kind": "DROP TABLE",
          "class": "destroys",
          "objects": [
            "first"
          ],
          "sql": "DROP TABLE first",
          "staged": false,
          "sha256": "1887815f41f4c9b535e0e31e41355ff1e0ed22a998041583e6234e9ea3466a40",
          "effect": {
            "class": "metadata",
            "rows": 0,
            "bytes": 0,
            "parts": 0,
            "destroys": null,
            "harmless_because": "is empty on this target",
            "keeps": null,
            "allowed_because": null,
            "breaks": []
          }
        }
      ],
      "duration_ms": "[NUMBER]",
      "error": null,
      "findings": []
    }

    ----- stderr -----
    "#);
    snapshot!(sandbox.command(&["rollback"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    default on local (embedded engine, data in .housewright): nothing to roll back

    ----- stderr -----
    ");
}

#[test]
fn without_a_down_section_or_with_rows_in_the_way_nothing_is_rolled_back() {
    let sandbox = Sandbox::with_migrations();
    sandbox.migration(
        "0003_fill.sql",
        "-- migrate:up\nINSERT INTO first SELECT number FROM numbers(1234);\n",
    );
    sandbox.run(&["apply", "-q"]);
    sandbox.migration("0003_fill.sql", "-- migrate:up\nINSERT INTO first SELECT number FROM numbers(1234);\n-- migrate:down\nTRUNCATE TABLE first;\n");
    snapshot!(sandbox.command(&["rollback"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error[no-down-section]: 0003_fill had no down section when it was applied, so it cannot be rolled back
     |
     = note: what the journal stored then is what counts, not what the file says now
     = help: write a migration that takes it back (`housewright new`)
    ");
    let third = "-- migrate:up\nCREATE TABLE third ENGINE = MergeTree ORDER BY a AS SELECT a FROM first;\n-- migrate:down\nDROP TABLE third;\n";
    sandbox.migration("0004_third.sql", third);
    sandbox.run(&["apply", "-q"]);
    snapshot!(sandbox.command(&["rollback"]), @"
    success: false
    exit_code: 5
    ----- stdout -----

    ----- stderr -----
    error[destructive]: statement 1 of the down section of 0004_third destroys data: 1,234 rows of `third`
     --> schema/migrations/0004_third.sql:4:1
      |
    4 | DROP TABLE third;
      | ^^^^^^^^^^^^^^^^
      |
      = note: nothing was executed
      = help: if it is meant, give `--allow-destructive`
    ");
    snapshot!(sandbox.command(&["rollback", "--allow-destructive"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    default on local (embedded engine, data in .housewright): 1 statement executed in [DURATION]

    ----- stderr -----
      0004_third down 1/1  DROP TABLE third  [DURATION]
    ");
}

#[test]
fn a_rollback_that_fails_in_the_middle_says_where_it_stands_and_can_be_brought_to_its_end() {
    let sandbox = Sandbox::with_migrations();
    sandbox.migration("0003_third.sql", "-- migrate:up\nCREATE TABLE third (a UInt64) ENGINE = Memory;\nCREATE VIEW v AS SELECT a FROM third;\n-- migrate:down\nDROP VIEW v;\nDROP TABLE thrid;\nDROP TABLE third;\n");
    sandbox.run(&["apply", "-q"]);
    snapshot!(sandbox.command(&["rollback"]), @"
    success: false
    exit_code: 3
    ----- stdout -----

    ----- stderr -----
      0003_third down 1/3  DROP VIEW v  [DURATION]
    error[refused]: ClickHouse refused statement 2 of the down section of 0003_third
     --> schema/migrations/0003_third.sql:6:1
      |
    6 | DROP TABLE thrid;
      | ^^^^^^^^^^^^^^^^
      |
      = note: ClickHouse says UNKNOWN_TABLE (code 60): Table default.thrid does not exist. Maybe you meant default.third?.
      = note: 1 statement executed before it in this run, and recorded; of the down section of 0003_third 1 of 3 are done
      = help: mend what stands in its way and `rollback` again: it continues with this statement; if its effect is there already, `housewright repair --down --done 3:2` first
    ");
    snapshot!(sandbox.command(&["status"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    default on local (embedded engine, data in .housewright)

      version  name    state         statements  applied                  by
      0001     first   applied       1/1         [TIME]  tester@box, [DURATION]
      0002     second  applied       2/2         [TIME]  tester@box, [DURATION]
      0003     third   rolling back  2/2         [TIME]  tester@box, [DURATION]

    2 applied, 1 rolling back

    ----- stderr -----
    error[rollback-unfinished]: the rollback of 0003_third was begun and is not at its end: statement 2 of its down section is next
     |
     = note: it is: DROP TABLE thrid
     = note: the last time: ClickHouse says UNKNOWN_TABLE (code 60): Table default.thrid does not exist. Maybe you meant default.third?.
     = help: `housewright rollback` continues it; if the effect of that statement is there already, `housewright repair --down --done 3:2` first
    ");
    snapshot!(sandbox.command(&["apply"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error[rollback-unfinished]: the rollback of 0003_third was begun and is not at its end: statement 2 of its down section is next
     |
     = note: it is: DROP TABLE thrid
     = note: the last time: ClickHouse says UNKNOWN_TABLE (code 60): Table default.thrid does not exist. Maybe you meant default.third?.
     = help: `housewright rollback` continues it; if the effect of that statement is there already, `housewright repair --down --done 3:2` first
    ");
    snapshot!(sandbox.command(&["repair", "--down", "--done", "3:1"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: statement 1 of migration 0003 is not in doubt; `housewright status` shows what is
    ");
    snapshot!(sandbox.command(&["repair", "--down", "--done", "3:2"]), @"
    success: true
    exit_code: 0
    ----- stdout -----

    ----- stderr -----
    recorded; `housewright rollback` goes on with migration 0003
    ");
    snapshot!(sandbox.command(&["rollback"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    default on local (embedded engine, data in .housewright): 1 statement executed in [DURATION]

    ----- stderr -----
      0003_third down 3/3  DROP TABLE third  [DURATION]
    ");
    snapshot!(sandbox.command(&["status", "--check"]), @"
    success: false
    exit_code: 1
    ----- stdout -----
    default on local (embedded engine, data in .housewright)

      version  name    state    statements  applied                  by
      0001     first   applied  1/1         [TIME]  tester@box, [DURATION]
      0002     second  applied  2/2         [TIME]  tester@box, [DURATION]
      0003     third   pending  0/2

    2 applied, 1 pending

    ----- stderr -----
    ");
}
