//! An existing database is adopted only if it is what the migrations make, and then nothing is executed.

mod support;

use housewright::clickhouse::Client;
use support::sandbox::{Sandbox, snapshot};
use support::{database, execute, table};

/// What somebody made by hand before there was a housewright, as the two migrations of the sandbox make it.
async fn by_hand(name: &str) -> Client {
    let client = database(name).await;
    execute(
        &client,
        "CREATE TABLE first (a UInt64) ENGINE = MergeTree ORDER BY a",
    )
    .await;
    execute(
        &client,
        "CREATE TABLE second (a UInt64) ENGINE = MergeTree ORDER BY a",
    )
    .await;
    execute(
        &client,
        "CREATE VIEW both AS SELECT a FROM first UNION ALL SELECT a FROM second",
    )
    .await;
    execute(
        &client,
        "CREATE TABLE goose_db_version (version_id Int64) ENGINE = Memory",
    )
    .await;
    execute(&client, "INSERT INTO first SELECT number FROM numbers(10)").await;
    client
}

#[tokio::test]
async fn what_is_equal_is_adopted_and_apply_goes_on_behind_it() {
    let client = by_hand("baseline_equal").await;
    let sandbox = Sandbox::with_migrations();
    sandbox.migration(
        "0003_third.sql",
        "-- migrate:up\nCREATE TABLE third (a UInt64) ENGINE = MergeTree ORDER BY a;\n-- migrate:down\nDROP TABLE third;\n",
    );
    sandbox.run(&["repair", "-q"]);
    snapshot!(sandbox.on(&client, &["baseline", "--to", "2"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    baseline_equal on http://[ADDRESS]/: 2 migrations adopted, nothing executed: 0001_first, 0002_second

    ----- stderr -----
    ");
    snapshot!(sandbox.on(&client, &["baseline", "--to", "2"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    baseline_equal on http://[ADDRESS]/: the journal knows all of them already; nothing was written

    ----- stderr -----
    ");
    snapshot!(sandbox.on(&client, &["apply"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    baseline_equal on http://[ADDRESS]/: 1 statement executed in [DURATION]

    ----- stderr -----
      0003_third 1/1  CREATE TABLE third  [DURATION]
    ");
    assert_eq!(
        table(&client, "SELECT version, statement, state, query_id = '' AS adopted FROM housewright_journal ORDER BY position").await,
        "1 | 1 | done | 1\n2 | 1 | done | 1\n2 | 2 | done | 1\n3 | 1 | started | 0\n3 | 1 | done | 0"
    );
    assert_eq!(table(&client, "SELECT count() AS n FROM first").await, "10");
    // What was adopted can be taken back: the down sections are in the journal too.
    snapshot!(sandbox.on(&client, &["rollback", "--to", "1"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    baseline_equal on http://[ADDRESS]/: 3 statements executed in [DURATION]

    ----- stderr -----
      0003_third down 1/1  DROP TABLE third  [DURATION]
      0002_second down 1/2  DROP VIEW both  [DURATION]
      0002_second down 2/2  DROP TABLE second  [DURATION]
    ");
}

#[tokio::test]
async fn what_differs_is_shown_and_adopted_only_by_force() {
    let client = by_hand("baseline_differs").await;
    execute(&client, "ALTER TABLE second ADD COLUMN b String").await;
    execute(&client, "DROP VIEW both").await;
    execute(&client, "CREATE TABLE extra (x UInt8) ENGINE = Memory").await;
    let sandbox = Sandbox::with_migrations();
    snapshot!(sandbox.on(&client, &["baseline", "--to", "2"]), @"
    success: false
    exit_code: 1
    ----- stdout -----

    ----- stderr -----
    error[object-missing]: `both` is not in the database
     |
     = note: the migrations make: CREATE VIEW both ( `a` UInt64 ) AS SELECT a FROM first UNION ALL SELECT a FROM second

    error[object-unknown]: `extra` is in the database, and no migration makes it
     |
     = note: it is: CREATE TABLE extra ( `x` UInt8 ) ENGINE = Memory

    error[object-differs]: `second` is not what the migrations make
     |
     = note: in the database: CREATE TABLE second ( `a` UInt64, `b` String ) ENGINE = MergeTree ORDER BY a SETTINGS index_granularity = 8192
     = note: the migrations:  CREATE TABLE second ( `a` UInt64 ) ENGINE = MergeTree ORDER BY a SETTINGS index_granularity = 8192
     = help: nothing was written; mend the database or the files, name another version, or adopt it as it is with `housewright baseline --to 2 --force`
    ");
    assert_eq!(
        table(&client, "EXISTS TABLE housewright_journal").await,
        "0",
        "nothing was written"
    );
    snapshot!(sandbox.on(&client, &["baseline", "--to", "2", "--force", "-q"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    baseline_differs on http://[ADDRESS]/: 2 migrations adopted, nothing executed: 0001_first, 0002_second

    ----- stderr -----
    warning[object-missing]: `both` is not in the database
     |
     = note: the migrations make: CREATE VIEW both ( `a` UInt64 ) AS SELECT a FROM first UNION ALL SELECT a FROM second

    warning[object-unknown]: `extra` is in the database, and no migration makes it
     |
     = note: it is: CREATE TABLE extra ( `x` UInt8 ) ENGINE = Memory

    warning[object-differs]: `second` is not what the migrations make
     |
     = note: in the database: CREATE TABLE second ( `a` UInt64, `b` String ) ENGINE = MergeTree ORDER BY a SETTINGS index_granularity = 8192
     = note: the migrations:  CREATE TABLE second ( `a` UInt64 ) ENGINE = MergeTree ORDER BY a SETTINGS index_granularity = 8192
    ");
    snapshot!(sandbox.on(&client, &["status", "--check"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    baseline_differs on http://[ADDRESS]/

      version  name    state    statements  applied                  by
      0001     first   applied  1/1         [TIME]  tester@box, [DURATION]
      0002     second  applied  2/2         [TIME]  tester@box, [DURATION]

    2 applied

    ----- stderr -----
    ");
    snapshot!(sandbox.on(&client, &["baseline", "--to", "9"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: there is no migration 0009; `housewright status` lists the versions
    ");
}
