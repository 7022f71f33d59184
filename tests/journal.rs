//! A journal that is not ours, or not ours to read: said by name, and nothing is changed.

mod support;

use housewright::clickhouse::Client;
use support::sandbox::{Sandbox, snapshot};
use support::{database, execute, table};

async fn tables(client: &Client) -> String {
    table(
        client,
        "SELECT name FROM system.tables WHERE database = currentDatabase() ORDER BY name",
    )
    .await
}

#[tokio::test]
async fn a_table_of_that_name_that_is_no_journal_is_left_alone() {
    let client = database("journal_foreign").await;
    let sandbox = Sandbox::with_migrations();
    execute(
        &client,
        "CREATE TABLE housewright_journal (day Date, entry String) ENGINE = MergeTree ORDER BY day",
    )
    .await;
    snapshot!(sandbox.on(&client, &["apply"]), @"
    success: false
    exit_code: 3
    ----- stdout -----

    ----- stderr -----
    error: `journal_foreign.housewright_journal` is not a housewright journal: Unknown expression identifier `position` in scope SELECT position, layout, run_id, who, host, tool_version, version, name, file_sha256, direction, statement, statements, sha256, sql, down_sql, query_i
      nothing was changed; move that table away (RENAME TABLE), or use another database
    ");
    execute(&client, "DROP TABLE housewright_journal").await;
    // The columns are there, and hold something else.
    execute(&client, "CREATE TABLE housewright_journal (position UInt64, layout UInt32, recorded_at DateTime DEFAULT now(), run_id String, who String, host String, tool_version String, version String, name String, file_sha256 String, direction String, statement UInt32, statements UInt32, sha256 String, sql String, down_sql String, query_id String, state String, error_code Int32, error String, duration_ms UInt64) ENGINE = MergeTree ORDER BY position").await;
    execute(
        &client,
        "INSERT INTO housewright_journal (position, version) VALUES (1, 'one')",
    )
    .await;
    snapshot!(sandbox.on(&client, &["status"]), @"
    success: false
    exit_code: 3
    ----- stdout -----

    ----- stderr -----
    error: `journal_foreign.housewright_journal` is not a housewright journal: Unknown expression identifier `note` in scope SELECT position, layout, run_id, who, host, tool_version, version, name, file_sha256, direction, statement, statements, sha256, sql, down_sql, query_id, s
      nothing was changed; move that table away (RENAME TABLE), or use another database
    ");
    snapshot!(sandbox.on(&client, &["apply"]), @"
    success: false
    exit_code: 3
    ----- stdout -----

    ----- stderr -----
    error: `journal_foreign.housewright_journal` is not a housewright journal: Unknown expression identifier `note` in scope SELECT position, layout, run_id, who, host, tool_version, version, name, file_sha256, direction, statement, statements, sha256, sql, down_sql, query_id, s
      nothing was changed; move that table away (RENAME TABLE), or use another database
    ");
    assert_eq!(tables(&client).await, "housewright_journal");
}

#[tokio::test]
async fn a_journal_of_a_newer_housewright_is_left_to_it() {
    let client = database("journal_newer").await;
    let sandbox = Sandbox::with_migrations();
    let applied = sandbox.on(&client, &["apply", "-q"]).status().unwrap();
    assert!(applied.success());
    execute(&client, "INSERT INTO housewright_journal (position, layout, tool_version, version, state) VALUES (100, 2, '9.1.0', 3, 'done')").await;
    let before = tables(&client).await;
    snapshot!(sandbox.on(&client, &["apply"]), @"
    success: false
    exit_code: 3
    ----- stdout -----

    ----- stderr -----
    error: `journal_newer.housewright_journal` was written by housewright 9.1.0, which is newer than this one (0.1.0)
      nothing was changed; use that version or a newer one
    ");
    snapshot!(sandbox.on(&client, &["rollback"]), @"
    success: false
    exit_code: 3
    ----- stdout -----

    ----- stderr -----
    error: `journal_newer.housewright_journal` was written by housewright 9.1.0, which is newer than this one (0.1.0)
      nothing was changed; use that version or a newer one
    ");
    snapshot!(sandbox.on(&client, &["status"]), @"
    success: false
    exit_code: 3
    ----- stdout -----

    ----- stderr -----
    error: `journal_newer.housewright_journal` was written by housewright 9.1.0, which is newer than this one (0.1.0)
      nothing was changed; use that version or a newer one
    ");
    assert_eq!(tables(&client).await, before);
}

#[tokio::test]
async fn a_journal_that_lost_its_end_stops_at_what_is_there() {
    let client = database("journal_truncated").await;
    let sandbox = Sandbox::with_migrations();
    let applied = sandbox.on(&client, &["apply", "-q"]).status().unwrap();
    assert!(applied.success());
    // Somebody cut off the end: the second migration is not known any more, and its tables are there.
    execute(
        &client,
        "ALTER TABLE housewright_journal DELETE WHERE position > 2 SETTINGS mutations_sync = 2",
    )
    .await;
    snapshot!(sandbox.on(&client, &["status"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    journal_truncated on http://[ADDRESS]/

      version  name    state    statements  applied                  by
      0001     first   applied  1/1         [TIME]  tester@box, [DURATION]
      0002     second  pending  0/2

    1 applied, 1 pending

    ----- stderr -----
    ");
    snapshot!(sandbox.on(&client, &["apply"]), @"
    success: false
    exit_code: 3
    ----- stdout -----

    ----- stderr -----
    error[refused]: ClickHouse refused statement 1 of 0002_second
     --> schema/migrations/0002_second.sql:2:1
      |
    2 | CREATE TABLE second (a UInt64) ENGINE = MergeTree ORDER BY a;
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: ClickHouse says TABLE_ALREADY_EXISTS (code 57): Table journal_truncated.second already exists.
      = note: nothing was executed in this run; of 0002_second 0 of 2 are done
      = help: correct the file and `apply` again: it continues with this statement
    ");
    assert_eq!(
        table(&client, "SELECT count() AS rows FROM system.tables WHERE database = currentDatabase() AND name IN ('first', 'second', 'both')").await,
        "3",
        "nothing of the data was touched"
    );
}
