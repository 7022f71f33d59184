//! What `plan` says of a statement's cost, and that nothing destroys data of a target unless somebody wrote that it may.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod support;

use std::fmt::Write as _;
use std::sync::atomic::AtomicBool;

use housewright::apply::{FailureKind, apply, weigh};
use housewright::clickhouse::Client;
use housewright::journal::Journal;
use housewright::migration::Migrations;
use housewright::plan::{Options, Plan};
use support::sandbox::{Sandbox, snapshot};
use support::{database, owner, table};

/// A target with a filled table, an empty one, views on them, and a materialized view that fills a third.
const FIRST: &str = "-- migrate:up
CREATE TABLE full (id UInt64, a UInt16, b Nullable(String), c LowCardinality(String), at DateTime64(3)) ENGINE = MergeTree PARTITION BY id % 2 ORDER BY id;
CREATE TABLE empty (id UInt64) ENGINE = MergeTree ORDER BY id;
CREATE TABLE sums (id UInt64, a SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY id;
CREATE MATERIALIZED VIEW sums_mv TO sums AS SELECT id, sum(a) AS a FROM full GROUP BY id;
CREATE MATERIALIZED VIEW inner_mv ENGINE = MergeTree ORDER BY id AS SELECT id FROM full;
CREATE VIEW names AS SELECT id, c FROM full;
INSERT INTO full SELECT number, number, toString(number), 'c', now64(3) FROM numbers(1000);
-- migrate:down
DROP TABLE full;
";

async fn filled(name: &str, up: &str) -> (Client, camino_tempfile::Utf8TempDir, Migrations) {
    let dir = support::directory();
    fs_err::create_dir(dir.path().join("migrations")).unwrap();
    fs_err::write(dir.path().join("migrations/0001_first.sql"), FIRST).unwrap();
    let client = database(name).await;
    run(
        &client,
        &Migrations::load(dir.path()).unwrap(),
        Options::default(),
    )
    .await
    .unwrap();
    fs_err::write(
        dir.path().join("migrations/0002_next.sql"),
        format!("-- migrate:up\n{up}"),
    )
    .unwrap();
    let migrations = Migrations::load(dir.path()).unwrap();
    (client, dir, migrations)
}

async fn run(
    client: &Client,
    migrations: &Migrations,
    options: Options,
) -> Result<usize, FailureKind> {
    apply(
        client,
        migrations,
        options,
        &owner(),
        &AtomicBool::new(false),
        &mut |_| {},
    )
    .await
    .map(|outcome| outcome.executed.len())
    .map_err(|failure| failure.kind)
}

/// What each statement does, a line each.
async fn effects(name: &str, up: &str) -> String {
    let (client, _dir, migrations) = filled(name, up).await;
    let journal = Journal::read(&client).await.unwrap();
    let mut plan = Plan::make(&migrations, &journal, Options::default());
    weigh(
        &client,
        &mut plan,
        &housewright::rebuild::Options::default(),
        false,
    )
    .await
    .unwrap();
    let lines = plan.steps.iter().map(|step| {
        let effect = step.effect.as_ref().unwrap();
        let mut line = format!("{}\n    {}", step.sql, effect.class.label());
        if let Some(rows) = effect.rows {
            let _ = write!(line, ", {rows} rows in {} parts", effect.parts);
        }
        if let Some(lost) = &effect.destroys {
            let _ = write!(line, "\n    destroys {lost}");
        }
        if let Some(reason) = effect.harmless {
            let _ = write!(line, "\n    harmless: it {reason}");
        }
        for broken in &effect.breaks {
            let _ = write!(line, "\n    breaks: {broken}");
        }
        line
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn each_statement_says_what_it_does_on_this_target() {
    insta::assert_snapshot!(
        effects(
            "destructive_effects",
            "CREATE TABLE new (a UInt8) ENGINE = MergeTree ORDER BY a;
ALTER TABLE full ADD COLUMN d UInt8;
ALTER TABLE full MODIFY COLUMN a UInt32;
ALTER TABLE full MODIFY COLUMN a UInt16 DEFAULT 7;
ALTER TABLE full MODIFY COLUMN a UInt8;
ALTER TABLE full MODIFY COLUMN b String;
ALTER TABLE full MODIFY COLUMN c String CODEC(ZSTD(1));
ALTER TABLE full MODIFY COLUMN at DateTime;
ALTER TABLE full COMMENT COLUMN a 'x';
ALTER TABLE full MODIFY TTL toDateTime(at) + INTERVAL 1 DAY;
ALTER TABLE full UPDATE a = 1, b = '2' WHERE 1;
ALTER TABLE full DELETE WHERE id = 1;
DELETE FROM full WHERE id = 1;
ALTER TABLE full DROP PARTITION 1;
ALTER TABLE full DETACH PARTITION 1;
ALTER TABLE empty REPLACE PARTITION tuple() FROM new;
ALTER TABLE full DROP COLUMN IF EXISTS b, ADD COLUMN e UInt8;
ALTER TABLE full RENAME COLUMN c TO d;
ALTER TABLE full MATERIALIZE INDEX x;
OPTIMIZE TABLE full FINAL;
TRUNCATE TABLE empty;
TRUNCATE TABLE full;
DROP TABLE empty;
DROP VIEW names;
DROP VIEW sums_mv;
DROP VIEW inner_mv;
RENAME TABLE sums TO sums_old;
DROP TABLE sums_old;
DROP TABLE new;
DROP USER somebody;
DETACH TABLE full;"
        )
        .await
    );
}

#[tokio::test]
async fn a_table_is_followed_through_its_names_and_a_partition_into_its_table() {
    insta::assert_snapshot!(
        effects(
            "destructive_names",
            "RENAME TABLE full TO other;
EXCHANGE TABLES other AND empty;
DROP TABLE other;
CREATE TABLE archive AS empty;
ALTER TABLE empty MOVE PARTITION 0 TO TABLE archive;
DROP TABLE archive;
CREATE OR REPLACE TABLE empty (a UInt8) ENGINE = MergeTree ORDER BY a;
DROP DATABASE destructive_names;"
        )
        .await
    );
}

#[tokio::test]
async fn what_goes_of_a_table_is_its_partition_or_the_rows_that_match() {
    insta::assert_snapshot!(
        effects(
            "destructive_parts",
            "DELETE FROM full WHERE id % 4 = 0;
ALTER TABLE full DELETE WHERE id < 20;
ALTER TABLE full DROP PARTITION 7;
ALTER TABLE full REPLACE PARTITION 1 FROM empty;
ALTER TABLE full DROP PARTITION ID '1';
CREATE TABLE half AS full;
ALTER TABLE full MOVE PARTITION 0 TO TABLE half;
ALTER TABLE full DROP PARTITION ALL;
ALTER TABLE full DROP DETACHED PARTITION ALL;
DROP TABLE half;
ALTER TABLE sums DELETE WHERE nowhere = 1;
EXCHANGE TABLES sums AND empty;
CREATE OR REPLACE MATERIALIZED VIEW sums_mv TO sums AS SELECT id, sum(a) AS a FROM full GROUP BY id;
CREATE OR REPLACE MATERIALIZED VIEW inner_mv TO empty AS SELECT id FROM full;"
        )
        .await
    );
    insta::assert_snapshot!(
        effects(
            "destructive_rows",
            "ALTER TABLE full DELETE WHERE id < 20;
ALTER TABLE sums DELETE WHERE id = 5000;
DELETE FROM empty WHERE id = 1;
DELETE FROM new WHERE id = 1;"
        )
        .await
    );
}

#[tokio::test]
async fn nothing_is_destroyed_unless_somebody_wrote_that_it_may_be() {
    let up = "CREATE TABLE before (a UInt8) ENGINE = Memory;\nDROP TABLE full;\n";
    let (client, dir, migrations) = filled("destructive_refused", up).await;
    let rows = "SELECT count() AS n FROM full";
    let FailureKind::Destructive(plan) = run(&client, &migrations, Options::default())
        .await
        .unwrap_err()
    else {
        panic!("refused")
    };
    assert_eq!(plan.destructive.len(), 1);
    assert_eq!(table(&client, rows).await, "1000");
    assert_eq!(
        table(&client, "EXISTS TABLE before").await,
        "0",
        "nothing at all was executed"
    );
    for comment in [
        "-- housewright:allow(destructive)",
        "-- housewright:allow(destructive) because",
        "-- housewright:allow(destructive) because it is old\n",
    ] {
        fs_err::write(
            dir.path().join("migrations/0002_next.sql"),
            format!("-- migrate:up\n{comment}\nDROP TABLE full;\n"),
        )
        .unwrap();
        let refused = run(
            &client,
            &Migrations::load(dir.path()).unwrap(),
            Options::default(),
        )
        .await;
        assert!(
            matches!(refused, Err(FailureKind::Destructive(_))),
            "{comment}"
        );
    }
    fs_err::write(
        dir.path().join("migrations/0002_next.sql"),
        "-- migrate:up\n-- housewright:allow(destructive) because it is old\nDROP TABLE full;\n",
    )
    .unwrap();
    let migrations = Migrations::load(dir.path()).unwrap();
    assert_eq!(
        run(&client, &migrations, Options::default()).await.unwrap(),
        1
    );
    assert_eq!(table(&client, "EXISTS TABLE full").await, "0");
}

#[tokio::test]
async fn the_option_allows_what_no_file_does() {
    let (client, _dir, migrations) = filled("destructive_option", "TRUNCATE TABLE full;").await;
    let options = Options {
        allow_destructive: true,
        ..Options::default()
    };
    assert_eq!(run(&client, &migrations, options).await.unwrap(), 1);
    assert_eq!(table(&client, "SELECT count() AS n FROM full").await, "0");
}

#[tokio::test]
async fn a_fresh_target_loses_nothing_and_needs_no_word() {
    let dir = support::directory();
    fs_err::create_dir(dir.path().join("migrations")).unwrap();
    fs_err::write(dir.path().join("migrations/0001_first.sql"), FIRST).unwrap();
    fs_err::write(
        dir.path().join("migrations/0002_next.sql"),
        "-- migrate:up\nTRUNCATE TABLE full;\nDROP VIEW sums_mv;\nDROP TABLE sums;\n",
    )
    .unwrap();
    let client = database("destructive_fresh").await;
    let migrations = Migrations::load(dir.path()).unwrap();
    assert_eq!(
        run(&client, &migrations, Options::default()).await.unwrap(),
        10
    );
}

#[test]
fn the_plan_shows_the_cost_and_points_at_what_would_be_lost() {
    let sandbox = Sandbox::with_migrations();
    sandbox.run(&["apply", "-q"]);
    sandbox.migration(
        "0003_fill.sql",
        "-- migrate:up\nINSERT INTO first SELECT number FROM numbers(1234);\n",
    );
    sandbox.run(&["apply", "-q"]);
    sandbox.migration(
        "0004_drop.sql",
        "-- migrate:up\nALTER TABLE first UPDATE a = a WHERE 0;\nDROP TABLE second;\n\n-- housewright:allow(destructive)\nDROP TABLE first;\n",
    );
    snapshot!(sandbox.command(&["plan"]), @"
    success: false
    exit_code: 5
    ----- stdout -----
    default on local (embedded engine, data in .housewright): 3 statements to execute

    0004_drop  schema/migrations/0004_drop.sql
      1/3  ALTER TABLE … UPDATE  first   rewrites 1,234 rows, 5.1 KiB, 1 part
      2/3  DROP TABLE            second  metadata: it is empty on this target; breaks view `both` reads `second`, which is then gone
      3/3  DROP TABLE            first   destroys 1,234 rows of `first`; breaks view `both` reads `first`, which is then gone

    ----- stderr -----
    error[destructive]: statement 3 of 0004_drop destroys data: 1,234 rows of `first`
     --> schema/migrations/0004_drop.sql:6:1
      |
    6 | DROP TABLE first;
      | ^^^^^^^^^^^^^^^^
      |
      = note: it breaks what stays: view `both` reads `first`, which is then gone
      = note: the comment above it gives no reason, and allows nothing without one
      = note: nothing was executed
      = help: if it is meant, say so directly above it (`-- housewright:allow(destructive) because …`), or give `--allow-destructive`
    ");
    snapshot!(sandbox.command(&["apply"]), @"
    success: false
    exit_code: 5
    ----- stdout -----

    ----- stderr -----
    error[destructive]: statement 3 of 0004_drop destroys data: 1,234 rows of `first`
     --> schema/migrations/0004_drop.sql:6:1
      |
    6 | DROP TABLE first;
      | ^^^^^^^^^^^^^^^^
      |
      = note: it breaks what stays: view `both` reads `first`, which is then gone
      = note: the comment above it gives no reason, and allows nothing without one
      = note: nothing was executed
      = help: if it is meant, say so directly above it (`-- housewright:allow(destructive) because …`), or give `--allow-destructive`
    ");
    snapshot!(sandbox.command(&["apply", "--dry-run", "--allow-destructive"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    default on local (embedded engine, data in .housewright): 3 statements to execute

    0004_drop  schema/migrations/0004_drop.sql
      1/3  ALTER TABLE … UPDATE  first   rewrites 1,234 rows, 5.1 KiB, 1 part
      2/3  DROP TABLE            second  metadata: it is empty on this target; breaks view `both` reads `second`, which is then gone
      3/3  DROP TABLE            first   destroys 1,234 rows of `first`; breaks view `both` reads `first`, which is then gone

    ----- stderr -----
    ");
    let allowed = "-- migrate:up\n-- housewright:allow(destructive) because it was only a test\nDROP TABLE first;\n";
    sandbox.migration("0004_drop.sql", allowed);
    snapshot!(sandbox.command(&["apply"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    default on local (embedded engine, data in .housewright): 1 statement executed in [DURATION]

    ----- stderr -----
      0004_drop 1/1  DROP TABLE first  [DURATION]
    recorded the checksums in housewright.sum
    ");
}

#[test]
fn a_plan_that_was_read_is_executed_only_if_nothing_has_moved() {
    let sandbox = Sandbox::with_migrations();
    let write = |name: &str| sandbox.write(name, sandbox.run(&["plan", "--format", "json"]));
    write("plan.json");
    let first = fs_err::read_to_string(sandbox.path("schema/migrations/0001_first.sql")).unwrap();
    sandbox.migration("0001_first.sql", &first.replace("UInt64", "UInt32"));
    snapshot!(sandbox.command(&["apply", "--plan", "plan.json"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error[moved]: the plan was made from a state that is not there any more
     |
     = note: the files say something else: the first that differs is of 0001_first
     = note: nothing was executed
     = help: make the plan anew (`housewright plan --format json`), read it, and apply that one
    ");
    sandbox.migration("0001_first.sql", &first);
    snapshot!(sandbox.command(&["apply", "--plan", "plan.json"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    default on local (embedded engine, data in .housewright): 3 statements executed in [DURATION]

    ----- stderr -----
      0001_first 1/1  CREATE TABLE first  [DURATION]
      0002_second 1/2  CREATE TABLE second  [DURATION]
      0002_second 2/2  CREATE VIEW both  [DURATION]
    ");
    snapshot!(sandbox.command(&["apply", "--plan", "plan.json"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error[moved]: the plan was made from a state that is not there any more
     |
     = note: the journal was at position 0 and is at 6: somebody else applied or rolled back
     = note: `both` is new on the target
     = note: `first` is new on the target
     = note: `second` is new on the target
     = note: the files say something else: there were 3 statements and are 0
     = note: nothing was executed
     = help: make the plan anew (`housewright plan --format json`), read it, and apply that one
    ");
    snapshot!(sandbox.command(&["apply", "--plan", "schema/migrations/0001_first.sql"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: schema/migrations/0001_first.sql is not a plan that can be applied: invalid number at line 1 column 2
      write one with `housewright plan --format json > schema/migrations/0001_first.sql`
    ");
}
