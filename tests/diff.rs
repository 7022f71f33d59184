//! The files of `schema/current/` are edited, and what leads there and back is found, executed and written.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod support;

use std::fmt::Write as _;

use housewright::clickhouse::Client;
use housewright::diff::Statement;
use housewright::drift::{Bench, Error, Outcome, Step, declared, lead};
use housewright::engine::child::{Handle, Launch, open};
use support::sandbox::{Sandbox, edit, snapshot};

/// An engine for one test alone: a bench removes every database in it.
async fn engine() -> (Client, Handle) {
    let launch = Launch {
        program: support::program().to_owned(),
        library: support::library(),
        path: None,
    };
    let handle = open(&launch).await.unwrap();
    (Client::new(handle.server(), "default").unwrap(), handle)
}

/// What leads from statements to statements; each of the latter is a file.
async fn leads(bench: &Bench, from: &[String], to: &[String]) -> Result<Outcome, Error> {
    let dir = support::directory();
    for (number, text) in to.iter().enumerate() {
        fs_err::write(dir.path().join(format!("{number}.sql")), text).unwrap();
    }
    let files = declared(dir.path(), "home").unwrap();
    lead(bench, &Step::of_text(&from.join(";\n")), &files).await
}

/// The project that most of these stories begin with.
fn shop() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.migration(
        "0001_shop.sql",
        "-- migrate:up\n\
         CREATE TABLE orders (id UInt64, at DateTime('UTC'), customer String, total UInt32, INDEX by_customer customer TYPE bloom_filter, \
         CONSTRAINT paid CHECK total > 0) ENGINE = MergeTree PARTITION BY toYYYYMM(at) ORDER BY (id, at) COMMENT 'Orders';\n\
         CREATE TABLE days (day Date, orders UInt64) ENGINE = SummingMergeTree ORDER BY day;\n\
         CREATE MATERIALIZED VIEW days_mv TO days AS SELECT toDate(at) AS day, count() AS orders FROM orders GROUP BY day;\n\
         CREATE VIEW busy AS SELECT day FROM days WHERE orders > 100;\n\
         -- migrate:down\nDROP VIEW busy;\nDROP VIEW days_mv;\nDROP TABLE days;\nDROP TABLE orders;\n",
    );
    sandbox.run(&["repair", "-q"]);
    sandbox.run(&["dump", "--write", "-q"]);
    sandbox
}

fn written(sandbox: &Sandbox, name: &str) -> String {
    fs_err::read_to_string(sandbox.path(&format!("schema/migrations/{name}"))).unwrap()
}

#[test]
fn edited_files_become_a_migration_that_leads_there_and_back() {
    let sandbox = shop();
    snapshot!(sandbox.command(&["diff"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    schema/current is what the migrations add up to

    ----- stderr -----
    ");
    edit(
        &sandbox,
        "orders.sql",
        "    `customer` String,\n",
        "    `buyer` String COMMENT 'Who', -- housewright:renamed(customer)\n    `country` LowCardinality(String),\n",
    );
    edit(
        &sandbox,
        "orders.sql",
        "INDEX by_customer customer",
        "INDEX by_customer buyer",
    );
    edit(
        &sandbox,
        "days.sql",
        "`orders` UInt64",
        "`orders` UInt64,\n    `total` UInt64",
    );
    edit(
        &sandbox,
        "days_mv.sql",
        "count() AS orders",
        "count() AS orders,\n    sum(total) AS total",
    );
    edit(&sandbox, "busy.sql", "orders > 100", "orders > 200");
    sandbox.write(
        "schema/current/buyers.sql",
        "CREATE VIEW buyers AS SELECT DISTINCT buyer FROM orders",
    );
    snapshot!(sandbox.command(&["diff"]), @"
    success: false
    exit_code: 1
    ----- stdout -----
    schema/current differs from what the migrations add up to: 5 objects

    changed  view busy
      is another
        CREATE OR REPLACE VIEW busy
        (
            `day` Date
        )
        AS SELECT day
        FROM days
        WHERE orders > 200;

    new  view buyers
      is new
        CREATE VIEW buyers
        (
            `buyer` String
        )
        AS SELECT DISTINCT buyer
        FROM orders;

    changed  table days
      column `total` is new
        ALTER TABLE days ADD COLUMN `total` UInt64;

    changed  materialized view days_mv
      its query
      rows that are there keep what they have; `housewright rebuild` makes them anew
        ALTER TABLE days_mv MODIFY QUERY SELECT
            toDate(at) AS day,
            count() AS orders,
            sum(total) AS total
        FROM orders
        GROUP BY day;

    changed  table orders
      column `customer` is called `buyer`
        ALTER TABLE orders RENAME COLUMN `customer` TO `buyer`;
      column `country` is new
        ALTER TABLE orders ADD COLUMN `country` LowCardinality(String) AFTER `buyer`;
      the comment of column `buyer`
        ALTER TABLE orders COMMENT COLUMN `buyer` 'Who';

    executed on the embedded engine: up leads to the files, and down back again
      `housewright diff --write NAME` writes it as the next migration

    ----- stderr -----
    ");
    snapshot!(sandbox.command(&["diff", "--write", "Buyers"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    schema/current differs from what the migrations add up to: 5 objects

    changed  view busy
      is another
        CREATE OR REPLACE VIEW busy
        (
            `day` Date
        )
        AS SELECT day
        FROM days
        WHERE orders > 200;

    new  view buyers
      is new
        CREATE VIEW buyers
        (
            `buyer` String
        )
        AS SELECT DISTINCT buyer
        FROM orders;

    changed  table days
      column `total` is new
        ALTER TABLE days ADD COLUMN `total` UInt64;

    changed  materialized view days_mv
      its query
      rows that are there keep what they have; `housewright rebuild` makes them anew
        ALTER TABLE days_mv MODIFY QUERY SELECT
            toDate(at) AS day,
            count() AS orders,
            sum(total) AS total
        FROM orders
        GROUP BY day;

    changed  table orders
      column `customer` is called `buyer`
        ALTER TABLE orders RENAME COLUMN `customer` TO `buyer`;
      column `country` is new
        ALTER TABLE orders ADD COLUMN `country` LowCardinality(String) AFTER `buyer`;
      the comment of column `buyer`
        ALTER TABLE orders COMMENT COLUMN `buyer` 'Who';

    executed on the embedded engine: up leads to the files, and down back again
    schema/migrations/0002_buyers.sql
      laid out anew, as `dump --write` does: 3 files
      read it, and `housewright apply`

    ----- stderr -----
    ");
    insta::assert_snapshot!(written(&sandbox, "0002_buyers.sql"), @"
    -- migrate:up

    -- days: column `total` is new
    ALTER TABLE days ADD COLUMN `total` UInt64;

    -- busy: is another
    CREATE OR REPLACE VIEW busy
    (
        `day` Date
    )
    AS SELECT day
    FROM days
    WHERE orders > 200;

    -- orders: column `customer` is called `buyer`
    ALTER TABLE orders RENAME COLUMN `customer` TO `buyer`;

    -- orders: column `country` is new
    ALTER TABLE orders ADD COLUMN `country` LowCardinality(String) AFTER `buyer`;

    -- orders: the comment of column `buyer`
    ALTER TABLE orders COMMENT COLUMN `buyer` 'Who';

    -- buyers: is new
    CREATE VIEW buyers
    (
        `buyer` String
    )
    AS SELECT DISTINCT buyer
    FROM orders;

    -- days_mv: its query
    -- rows that are there keep what they have; `housewright rebuild` makes them anew
    ALTER TABLE days_mv MODIFY QUERY SELECT
        toDate(at) AS day,
        count() AS orders,
        sum(total) AS total
    FROM orders
    GROUP BY day;

    -- migrate:down

    -- busy: is another
    CREATE OR REPLACE VIEW busy
    (
        `day` Date
    )
    AS SELECT day
    FROM days
    WHERE orders > 100;

    -- orders: column `buyer` is called `customer`
    ALTER TABLE orders RENAME COLUMN `buyer` TO `customer`;

    -- orders: the comment of column `customer`
    ALTER TABLE orders COMMENT COLUMN `customer` '';

    -- days_mv: its query
    ALTER TABLE days_mv MODIFY QUERY SELECT
        toDate(at) AS day,
        count() AS orders
    FROM orders
    GROUP BY day;

    -- buyers: is gone
    DROP VIEW buyers;

    -- days: column `total` is gone
    ALTER TABLE days DROP COLUMN `total`;

    -- orders: column `country` is gone
    ALTER TABLE orders DROP COLUMN `country`;
    ");
    snapshot!(sandbox.command(&["diff"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    schema/current is what the migrations add up to

    ----- stderr -----
    ");
    sandbox.run(&["status"]);
    sandbox.run(&["dump", "--check", "-q"]);
    sandbox.run(&["apply", "-q"]);
    sandbox.run(&["rollback", "--allow-destructive", "-q"]);
    sandbox.run(&["apply", "-q"]);
    snapshot!(sandbox.command(&["drift"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    default on local (embedded engine, data in .housewright) is what the 2 migrations made that were applied there: 5 objects

    ----- stderr -----
    ");
}

#[test]
fn what_destroys_data_is_commented_out_unless_it_is_allowed() {
    let sandbox = shop();
    edit(
        &sandbox,
        "orders.sql",
        "    `total` UInt32,\n",
        "    `total` UInt16,\n",
    );
    edit(
        &sandbox,
        "days.sql",
        "SETTINGS",
        "TTL day + toIntervalDay(30)\nSETTINGS",
    );
    fs_err::remove_file(sandbox.path("schema/current/busy.sql")).unwrap();
    snapshot!(sandbox.command(&["diff", "--write", "less"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    schema/current differs from what the migrations add up to: 3 objects

    gone  view busy
      is gone
        DROP VIEW busy;

    changed  table days
      TTL day + toIntervalDay(30)
      destroys rows that are older than the TTL
        ALTER TABLE days MODIFY TTL day + toIntervalDay(30);

    changed  table orders
      column `total` is UInt16 instead of UInt32
      destroys values of column `total` that do not fit
        ALTER TABLE orders MODIFY COLUMN `total` UInt16;

    executed on the embedded engine: up leads to the files, and down back again
    schema/migrations/0002_less.sql
      2 statements are commented out, because of the data; `--allow-destructive` puts them into force
      files that wait for what is commented out stay as they are
      read it, and `housewright apply`

    ----- stderr -----
    ");
    insta::assert_snapshot!(written(&sandbox, "0002_less.sql"), @"
    -- migrate:up

    -- busy: is gone
    DROP VIEW busy;

    -- What follows destroys data and is not executed. If it is meant, take the first `-- ` away from its lines, say why, and do the
    -- same at the beginning of the down section.

    -- -- days: TTL day + toIntervalDay(30)
    -- -- destroys rows that are older than the TTL
    -- -- housewright:allow(destructive) because …
    -- ALTER TABLE days MODIFY TTL day + toIntervalDay(30);

    -- -- orders: column `total` is UInt16 instead of UInt32
    -- -- destroys values of column `total` that do not fit
    -- -- housewright:allow(destructive) because …
    -- ALTER TABLE orders MODIFY COLUMN `total` UInt16;

    -- migrate:down

    -- This brings definitions back, and not the data.

    -- -- days: no TTL any more
    -- ALTER TABLE days REMOVE TTL;

    -- -- orders: column `total` is UInt32 instead of UInt16
    -- ALTER TABLE orders MODIFY COLUMN `total` UInt32;

    -- busy: is new
    CREATE VIEW busy
    (
        `day` Date
    )
    AS SELECT day
    FROM days
    WHERE orders > 100;
    ");
    // What waits for a person stays as it was edited, and everything else is as the migrations make it.
    snapshot!(sandbox.command(&["dump", "--check"]), @"
    success: false
    exit_code: 1
    ----- stdout -----
    different  schema/current/days.sql
        ENGINE = SummingMergeTree
        ORDER BY day
      - TTL day + toIntervalDay(30)
        SETTINGS index_granularity = 8192;
    different  schema/current/orders.sql
            `at` DateTime('UTC'),
            `customer` String,
      -     `total` UInt16,
      +     `total` UInt32,
            INDEX by_customer customer TYPE bloom_filter GRANULARITY 1,
            CONSTRAINT paid CHECK total > 0

    schema/current is not what the migrations add up to: 2 files differ
      `housewright dump --write` writes it anew

    ----- stderr -----
    ");
    // What is left is only what destroys.
    snapshot!(sandbox.command(&["diff", "--write", "rest"]), @"
    success: false
    exit_code: 5
    ----- stdout -----

    ----- stderr -----
    error: all that this migration would do destroys data; nothing was written
      `housewright diff` shows it, and `--allow-destructive` writes it
    ");
    snapshot!(sandbox.command(&["diff", "--write", "rest", "--allow-destructive", "--format", "json"]), @r#"
    success: true
    exit_code: 0
    ----- stdout -----
    {
      "version": 1,
      "directory": "schema/current",
      "objects": [
        {
          "name": "days",
          "kind": "table",
          "change": "changed",
          "was": null
        },
        {
          "name": "orders",
          "kind": "table",
          "change": "changed",
          "was": null
        }
      ],
      "up": [
        {
          "object": "days",
          "kind": "table",
          "does": "TTL day + toIntervalDay(30)",
          "sql": "ALTER TABLE days MODIFY TTL day + toIntervalDay(30)",
          "destroys": "rows that are older than the TTL",
          "note": null
        },
        {
          "object": "orders",
          "kind": "table",
          "does": "column `total` is UInt16 instead of UInt32",
          "sql": "ALTER TABLE orders MODIFY COLUMN `total` UInt16",
          "destroys": "values of column `total` that do not fit",
          "note": null
        }
      ],
      "rebuild": [],
      "down": [
        {
          "object": "days",
          "kind": "table",
          "does": "no TTL any more",
          "sql": "ALTER TABLE days REMOVE TTL",
          "destroys": null,
          "note": null
        },
        {
          "object": "orders",
          "kind": "table",
          "does": "column `total` is UInt32 instead of UInt16",
          "sql": "ALTER TABLE orders MODIFY COLUMN `total` UInt32",
          "destroys": null,
          "note": null
        }
      ],
      "refused": [],
      "compared_as_text": [],
      "written": "schema/migrations/0003_rest.sql",
      "laid_out": []
    }

    ----- stderr -----
    "#);
    insta::assert_snapshot!(written(&sandbox, "0003_rest.sql"), @"
    -- migrate:up

    -- days: TTL day + toIntervalDay(30)
    -- housewright:allow(destructive) because `diff --allow-destructive` was asked for this: rows that are older than the TTL
    ALTER TABLE days MODIFY TTL day + toIntervalDay(30);

    -- orders: column `total` is UInt16 instead of UInt32
    -- housewright:allow(destructive) because `diff --allow-destructive` was asked for this: values of column `total` that do not fit
    ALTER TABLE orders MODIFY COLUMN `total` UInt16;

    -- migrate:down

    -- This brings definitions back, and not the data.

    -- days: no TTL any more
    ALTER TABLE days REMOVE TTL;

    -- orders: column `total` is UInt32 instead of UInt16
    ALTER TABLE orders MODIFY COLUMN `total` UInt32;
    ");
    sandbox.run(&["apply", "-q"]);
    snapshot!(sandbox.command(&["diff"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    schema/current is what the migrations add up to

    ----- stderr -----
    ");
}

#[test]
fn a_table_with_another_name_keeps_its_rows() {
    let sandbox = shop();
    let old = sandbox.path("schema/current/orders.sql");
    let text = fs_err::read_to_string(&old).unwrap();
    fs_err::remove_file(old).unwrap();
    let text = text.replace("CREATE TABLE orders", "CREATE TABLE purchases");
    sandbox.write(
        "schema/current/bought.sql",
        format!("-- housewright:renamed(orders)\n{text}"),
    );
    edit(&sandbox, "days_mv.sql", "FROM orders", "FROM purchases");
    snapshot!(sandbox.command(&["diff", "--write", "purchases"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    schema/current differs from what the migrations add up to: 2 objects

    changed  materialized view days_mv
      its query
      rows that are there keep what they have; `housewright rebuild` makes them anew
        ALTER TABLE days_mv MODIFY QUERY SELECT
            toDate(at) AS day,
            count() AS orders
        FROM purchases
        GROUP BY day;

    renamed  table purchases, until now orders
      is called so; it was `orders`
      what is inserted under the new name before the MODIFY QUERY of days_mv does not reach it
        RENAME TABLE orders TO purchases;

    executed on the embedded engine: up leads to the files, and down back again
    schema/migrations/0002_purchases.sql
      laid out anew, as `dump --write` does: 2 files
      read it, and `housewright apply`

    ----- stderr -----
    ");
    insta::assert_snapshot!(written(&sandbox, "0002_purchases.sql"), @"
    -- migrate:up

    -- purchases: is called so; it was `orders`
    -- what is inserted under the new name before the MODIFY QUERY of days_mv does not reach it
    RENAME TABLE orders TO purchases;

    -- days_mv: its query
    -- rows that are there keep what they have; `housewright rebuild` makes them anew
    ALTER TABLE days_mv MODIFY QUERY SELECT
        toDate(at) AS day,
        count() AS orders
    FROM purchases
    GROUP BY day;

    -- migrate:down

    -- orders: is called so; it was `purchases`
    RENAME TABLE purchases TO orders;

    -- days_mv: its query
    ALTER TABLE days_mv MODIFY QUERY SELECT
        toDate(at) AS day,
        count() AS orders
    FROM orders
    GROUP BY day;
    ");
    // The hint has done its work, and the file has its own name.
    assert!(!sandbox.path("schema/current/bought.sql").exists());
    sandbox.run(&["dump", "--check", "-q"]);
    sandbox.run(&["apply", "-q"]);
    sandbox.run(&["rollback", "-q"]);
    sandbox.run(&["apply", "-q"]);
    sandbox.run(&["drift", "-q"]);
}

/// A source that says when a row was received, a state, the view that feeds it, and a reader.
fn visits() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.migration(
        "0001_visits.sql",
        "-- migrate:up\n\
         CREATE TABLE events (id String, at DateTime('UTC'), received_at DateTime64(6, 'UTC') MATERIALIZED now64(6)) ENGINE = MergeTree ORDER BY id;\n\
         CREATE TABLE visits_v1 (id String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY id;\n\
         CREATE MATERIALIZED VIEW visits_v1_mv TO visits_v1 AS SELECT id, count() AS n FROM events GROUP BY id;\n\
         CREATE VIEW visits AS SELECT id, n FROM visits_v1 FINAL;\n\
         -- migrate:down\nDROP VIEW visits;\nDROP VIEW visits_v1_mv;\nDROP TABLE visits_v1;\nDROP TABLE events;\n",
    );
    sandbox.run(&["repair", "-q"]);
    sandbox.run(&["dump", "--write", "-q"]);
    sandbox
}

/// The same state with another key and another counter, in files of its own.
fn second_version(sandbox: &Sandbox) {
    sandbox.write(
        "schema/current/visits_v2.sql",
        "CREATE TABLE visits_v2 (id String, day Date, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY (id, day);\n",
    );
    sandbox.write(
        "schema/current/visits_v2_mv.sql",
        "CREATE MATERIALIZED VIEW visits_v2_mv TO visits_v2 AS SELECT id, toDate(at) AS day, count() AS n FROM events GROUP BY id, day;\n",
    );
    sandbox.write(
        "schema/current/visits.sql",
        "CREATE VIEW visits AS SELECT id, sum(n) AS n FROM visits_v2 GROUP BY id;\n",
    );
}

#[test]
fn a_changed_definition_is_written_as_a_rebuild() {
    let sandbox = visits();
    second_version(&sandbox);
    edit(
        &sandbox,
        "events.sql",
        "`at` DateTime('UTC'),",
        "`at` DateTime('UTC'), `name` String,",
    );
    snapshot!(sandbox.command(&["diff", "--write", "by day"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    schema/current differs from what the migrations add up to: 4 objects

    changed  table events
      column `name` is new
        ALTER TABLE events ADD COLUMN `name` String AFTER `at`;

    changed  view visits
      is another
        CREATE OR REPLACE VIEW visits
        (
            `id` String,
            `n` UInt64
        )
        AS SELECT
            id,
            sum(n) AS n
        FROM visits_v2
        GROUP BY id;

    new  table visits_v2
      is new
        CREATE TABLE visits_v2
        (
            `id` String,
            `day` Date,
            `n` SimpleAggregateFunction(sum, UInt64)
        )
        ENGINE = AggregatingMergeTree
        ORDER BY (id, day)
        SETTINGS index_granularity = 8192;

    new  materialized view visits_v2_mv
      is new
      where there are rows, history is made by it too
        CREATE MATERIALIZED VIEW visits_v2_mv TO visits_v2
        (
            `id` String,
            `day` Date,
            `n` UInt64
        )
        AS SELECT
            id,
            toDate(at) AS day,
            count() AS n
        FROM events
        GROUP BY
            id,
            day;

    executed on the embedded engine: up leads to the files, and down back again
    schema/migrations/0002_by_day.sql
      laid out anew, as `dump --write` does: 4 files
      read it, and `housewright apply`

    ----- stderr -----
    ");
    insta::assert_snapshot!(written(&sandbox, "0002_by_day.sql"), @"
    -- migrate:up

    -- events: column `name` is new
    ALTER TABLE events ADD COLUMN `name` String AFTER `at`;

    -- migrate:rebuild

    -- Where there are rows, `apply` makes history by these statements, compares it, and lets readers change over; elsewhere it executes them.
    -- In `-- migrate:up` they would take only what is inserted from then on.

    -- visits_v2: is new
    CREATE TABLE visits_v2
    (
        `id` String,
        `day` Date,
        `n` SimpleAggregateFunction(sum, UInt64)
    )
    ENGINE = AggregatingMergeTree
    ORDER BY (id, day)
    SETTINGS index_granularity = 8192;

    -- visits_v2_mv: is new
    -- where there are rows, history is made by it too
    CREATE MATERIALIZED VIEW visits_v2_mv TO visits_v2
    (
        `id` String,
        `day` Date,
        `n` UInt64
    )
    AS SELECT
        id,
        toDate(at) AS day,
        count() AS n
    FROM events
    GROUP BY
        id,
        day;

    -- visits: is another
    CREATE OR REPLACE VIEW visits
    (
        `id` String,
        `n` UInt64
    )
    AS SELECT
        id,
        sum(n) AS n
    FROM visits_v2
    GROUP BY id;

    -- migrate:down

    -- visits_v2_mv: is gone
    DROP VIEW visits_v2_mv;

    -- visits: is another
    CREATE OR REPLACE VIEW visits
    (
        `id` String,
        `n` SimpleAggregateFunction(sum, UInt64)
    )
    AS SELECT
        id,
        n
    FROM visits_v1
    FINAL;

    -- events: column `name` is gone
    ALTER TABLE events DROP COLUMN `name`;

    -- visits_v2: is gone
    DROP TABLE visits_v2;
    ");
    sandbox.run(&["check"]);
}

#[test]
fn what_is_more_than_a_changed_definition_is_no_rebuild() {
    let plain = |sandbox: &Sandbox| {
        let output = sandbox
            .command(&["diff", "--format", "json"])
            .output()
            .unwrap();
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(value["refused"], serde_json::json!([]), "{value:#}");
        assert_eq!(value["rebuild"], serde_json::json!([]), "{value:#}");
    };
    // Nothing says when a row was received.
    let sandbox = visits();
    second_version(&sandbox);
    edit(
        &sandbox,
        "events.sql",
        "MATERIALIZED now64(6)",
        "DEFAULT now64(6)",
    );
    plain(&sandbox);
    // The old side goes.
    let sandbox = visits();
    second_version(&sandbox);
    fs_err::remove_file(sandbox.path("schema/current/visits_v1_mv.sql")).unwrap();
    plain(&sandbox);
    // What else changes needs the new reader.
    let sandbox = visits();
    second_version(&sandbox);
    sandbox.write(
        "schema/current/many.sql",
        "CREATE VIEW many AS SELECT id FROM visits WHERE n > 9;\n",
    );
    plain(&sandbox);
    // Nobody reads the new state.
    let sandbox = visits();
    second_version(&sandbox);
    sandbox.write(
        "schema/current/visits.sql",
        "CREATE VIEW visits AS SELECT id, n FROM visits_v1 FINAL;\n",
    );
    plain(&sandbox);
}

#[test]
fn what_cannot_be_altered_is_refused_with_the_reason() {
    let sandbox = shop();
    edit(
        &sandbox,
        "orders.sql",
        "ORDER BY (id, at)",
        "ORDER BY (id, at, customer)",
    );
    edit(&sandbox, "days.sql", "`day` Date,", "`day` DateTime,");
    edit(&sandbox, "days.sql", "SummingMergeTree", "MergeTree");
    edit(&sandbox, "days_mv.sql", "TO days", "TO days_v2");
    sandbox.write(
        "schema/current/days_v2.sql",
        "CREATE TABLE days_v2 (day Date, orders UInt64) ENGINE = SummingMergeTree ORDER BY day",
    );
    sandbox.write(
        "schema/current/busy.sql",
        "CREATE TABLE busy (day Date) ENGINE = MergeTree ORDER BY day",
    );
    snapshot!(sandbox.command(&["diff", "--write", "no"]), @"
    success: false
    exit_code: 2
    ----- stdout -----
    schema/current differs from what the migrations add up to: 5 objects

    changed  view busy
      makes room for what it becomes
      it is no table until the next statement, and whoever reads it fails
        DROP VIEW busy;
      is a table now
        CREATE TABLE busy
        (
            `day` Date
        )
        ENGINE = MergeTree
        ORDER BY day
        SETTINGS index_granularity = 8192;

    changed  table days
      refused the engine, from SummingMergeTree to MergeTree
        the engine of a table cannot be altered
        make the table beside days under another name, as in `days_v2`, fill it with INSERT … SELECT, and let readers and views name it; for the target of a materialized view put that beside it too, and `diff` makes a rebuild of them

    changed  materialized view days_mv
      refused where it writes, from days to days_v2
        it cannot be altered, and between DROP and CREATE no insert would reach it
        put the new one beside it, in files of its own, as in `days_mv_v2`: its table, the view TO it, and the readers that are to read it; `diff` makes a rebuild of them, which has history and loses no insert

    new  table days_v2
      is new
        CREATE TABLE days_v2
        (
            `day` Date,
            `orders` UInt64
        )
        ENGINE = SummingMergeTree
        ORDER BY day
        SETTINGS index_granularity = 8192;

    changed  table orders
      refused the primary key, from (id, at) to (id, at, customer)
        it cannot be altered: the rows on disk are sorted by it
        write `PRIMARY KEY (id, at)` before the longer ORDER BY: the primary key stays when the sorting key grows

    refused: 3 changes cannot be made by a migration; nothing was written

    ----- stderr -----
    ");
    assert!(!sandbox.path("schema/migrations/0002_no.sql").exists());
}

#[test]
fn a_sorting_key_grows_by_new_columns_in_one_statement() {
    let sandbox = shop();
    edit(
        &sandbox,
        "orders.sql",
        "    `total` UInt32,\n",
        "    `total` UInt32,\n    `shop` UInt32,\n",
    );
    edit(
        &sandbox,
        "orders.sql",
        "ORDER BY (id, at)",
        "PRIMARY KEY (id, at)\nORDER BY (id, at, shop)",
    );
    sandbox.run(&["diff", "--write", "shops"]);
    insta::assert_snapshot!(written(&sandbox, "0002_shops.sql"), @"
    -- migrate:up

    -- orders: new at the end of the sorting key: `shop`
    ALTER TABLE orders ADD COLUMN `shop` UInt32, MODIFY ORDER BY (id, at, shop);

    -- migrate:down

    -- orders: the sorting key is shorter
    ALTER TABLE orders MODIFY ORDER BY (id, at);

    -- orders: column `shop` is gone
    ALTER TABLE orders DROP COLUMN `shop`;
    ");
    edit(
        &sandbox,
        "orders.sql",
        "ORDER BY (id, at, shop)",
        "ORDER BY (id, at, shop, total)",
    );
    snapshot!(sandbox.command(&["diff"]), @"
    success: false
    exit_code: 2
    ----- stdout -----
    schema/current differs from what the migrations add up to: 1 object

    changed  table orders
      refused the sorting key, from (id, at, shop) to (id, at, shop, total)
        it can only grow at its end, by columns that are added with it: the rows on disk are sorted by it
        make the table beside orders under another name, as in `orders_v2`, fill it with INSERT … SELECT, and let readers and views name it; for the target of a materialized view put that beside it too, and `diff` makes a rebuild of them

    refused: 1 change cannot be made by a migration; nothing was written

    ----- stderr -----
    ");
}

#[test]
fn what_is_wrong_with_the_files_is_said_with_its_place() {
    let sandbox = shop();
    let whole = |sandbox: &Sandbox, name: &str, text: &str| {
        sandbox.write(&format!("schema/current/{name}"), text);
    };
    // Two files, another database, a cluster, two statements, no definition: all at once.
    whole(&sandbox, "other.sql", "CREATE VIEW elsewhere.v AS SELECT 1");
    whole(
        &sandbox,
        "twice.sql",
        "-- again\nCREATE VIEW busy AS SELECT 1",
    );
    whole(
        &sandbox,
        "two.sql",
        "CREATE VIEW a AS SELECT 1;\nCREATE VIEW b AS SELECT 1;",
    );
    whole(
        &sandbox,
        "cluster.sql",
        "CREATE VIEW c ON CLUSTER x AS SELECT 1",
    );
    whole(
        &sandbox,
        "alter.sql",
        "ALTER TABLE orders ADD COLUMN x UInt8",
    );
    whole(&sandbox, "open.sql", "CREATE VIEW o AS SELECT 'x");
    whole(
        &sandbox,
        "hint.sql",
        "CREATE VIEW h AS SELECT 1 -- housewright:renamed(x)",
    );
    snapshot!(sandbox.command(&["diff"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error[not-a-definition]: the statement does not make a table, a view, a dictionary or a function
     --> schema/current/alter.sql:1:1
      |
    1 | ALTER TABLE orders ADD COLUMN x UInt8
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: a file of schema/current holds one CREATE

    error[on-cluster]: ON CLUSTER x stands in a file of schema/current
     --> schema/current/cluster.sql:1:1
      |
    1 | CREATE VIEW c ON CLUSTER x AS SELECT 1
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: leave it out: where a schema lives is the target's business

    error[renamed-what]: this names nothing that has a new name
     --> schema/current/hint.sql:1:27
      |
    1 | CREATE VIEW h AS SELECT 1 -- housewright:renamed(x)
      |                           ^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: put `-- housewright:renamed(old_name)` behind the column's line, or on a line of its own above it; for a table, a view or a dictionary above its CREATE

    error[unclosed]: a quote or comment is opened here and never closed
     --> schema/current/open.sql:1:25
      |
    1 | CREATE VIEW o AS SELECT 'x
      |                         ^^
      |
      = help: close it; a quote inside a string is written as `''`

    error[other-database]: `v` would be made in the database `elsewhere`, and the schema's is `default`
     --> schema/current/other.sql:1:1
      |
    1 | CREATE VIEW elsewhere.v AS SELECT 1
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: leave the database out; an object elsewhere is no part of this schema, and a migration by hand can make it

    error[two-files-for-one]: a second file makes `busy`
     --> schema/current/twice.sql:2:1
      |
    2 | CREATE VIEW busy AS SELECT 1
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: the other is schema/current/busy.sql
      = help: keep one of them

    error[one-object-a-file]: the file has 2 statements
     --> schema/current/two.sql:2:1
      |
    2 | CREATE VIEW b AS SELECT 1;
      | ^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: a file of schema/current holds one CREATE; remove the file to drop its object
    ");
    for name in ["other", "twice", "two", "cluster", "alter", "open", "hint"] {
        fs_err::remove_file(sandbox.path(&format!("schema/current/{name}.sql"))).unwrap();
    }
    whole(
        &sandbox,
        "typo.sql",
        "-- a comment\nCREATE TABLE typo\n(\n    a UInt8,\n    b UInt8 DEFLAUT 1\n)\nENGINE = MergeTree ORDER BY a",
    );
    snapshot!(sandbox.command(&["diff"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error[refused]: the embedded ClickHouse refused this definition
     --> schema/current/typo.sql:5:13
      |
    5 |     b UInt8 DEFLAUT 1
      |             ^
      |
      = note: ClickHouse says SYNTAX_ERROR (code 62): Syntax error: failed at position 46 (DEFLAUT) (line 4, col 13): DEFLAUT 1
              )
              ENGINE = MergeTree ORDER BY a. Expected one of: SIGNED, UNSIGNED, COLLATE, NOT, NULL, DEFAULT, MATERIALIZED, ALIAS, EPHEMERAL, AUTO_INCREMENT, COMMENT, CODEC, STATISTICS, TTL, PRIMARY KEY, SETTINGS, token, Comma, ClosingRoundBracket.
      = help: correct the file, or those that it names
    ");
    whole(
        &sandbox,
        "typo.sql",
        "CREATE VIEW typo AS SELECT a FROM nowhere",
    );
    snapshot!(sandbox.command(&["diff"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error[refused]: the embedded ClickHouse refused this definition
     --> schema/current/typo.sql:1:1
      |
    1 | CREATE VIEW typo AS SELECT a FROM nowhere
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: ClickHouse says UNKNOWN_TABLE (code 60): Unknown table expression identifier 'default.nowhere' in scope SELECT a FROM default.nowhere.
      = help: correct the file, or those that it names
    ");
    whole(
        &sandbox,
        "typo.sql",
        "CREATE VIEW typo AS SELECT * FROM round",
    );
    whole(
        &sandbox,
        "round.sql",
        "CREATE VIEW round AS SELECT * FROM typo",
    );
    snapshot!(sandbox.command(&["diff"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: these objects need each other, so none of them can be made first: round → typo → round
    ");
    for name in ["typo", "round"] {
        fs_err::remove_file(sandbox.path(&format!("schema/current/{name}.sql"))).unwrap();
    }
    edit(
        &sandbox,
        "orders.sql",
        "    `total` UInt32,\n",
        "    `sum` UInt32, -- housewright:renamed(totals)\n",
    );
    edit(&sandbox, "orders.sql", "total > 0", "sum > 0");
    snapshot!(sandbox.command(&["diff"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error[renamed-what]: there is no `totals` in the migrations' `orders`
     --> schema/current/orders.sql:6:19
      |
    6 |     `sum` UInt32, -- housewright:renamed(totals)
      |                   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: name what the migrations make, or remove the hint
    ");
    edit(&sandbox, "orders.sql", "renamed(totals)", "renamed(total)");
    // A column that the target does not have, and a list that its query does not make.
    edit(&sandbox, "days_mv.sql", "AS orders", "AS number");
    snapshot!(sandbox.command(&["diff"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error[refused]: the embedded ClickHouse refused this definition
     --> schema/current/days_mv.sql:1:1
      |
    1 | CREATE MATERIALIZED VIEW days_mv TO days
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: ClickHouse says THERE_IS_NO_COLUMN (code 8): SELECT query outputs column with name 'number', which is not found in the target table. Use 'AS' to assign alias that matches a column name.
      = help: give the target a place for it in its own file, or make a target and a view for it beside these under other names; MODIFY QUERY would be taken and inserts be lost
    ");
    edit(&sandbox, "days_mv.sql", "AS number", "AS orders");
    edit(&sandbox, "busy.sql", "SELECT day", "SELECT day, orders");
    snapshot!(sandbox.command(&["diff"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error[stale-columns]: the columns that view `busy` lists are not those of its query
     --> schema/current/busy.sql:1:1
      |
    1 | CREATE VIEW busy
      | ^^^^^^^^^^^^^^^^
      |
      = note: it lists day
      = note: its query makes day, orders
      = help: correct the list, or leave it out: then the engine makes it
    ");
}

#[test]
fn engines_that_are_not_there_are_compared_as_text_and_made_anew() {
    let sandbox = Sandbox::new();
    sandbox.migration(
        "0001_cluster.sql",
        "-- migrate:up\n\
         CREATE TABLE t (a UInt64) ENGINE = ReplicatedMergeTree('/p', '{replica}') ORDER BY a;\n\
         CREATE TABLE everywhere (a UInt64) ENGINE = Distributed('c', currentDatabase(), 't');\n\
         CREATE TABLE queue (a UInt64) ENGINE = Kafka('h:1', 't', 'g', 'JSONEachRow');\n\
         CREATE MATERIALIZED VIEW reader TO t AS SELECT a FROM queue;\n\
         -- migrate:down\nDROP VIEW reader;\n",
    );
    sandbox.run(&["repair", "-q"]);
    sandbox.run(&["dump", "--write", "-q"]);
    snapshot!(sandbox.command(&["diff"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    schema/current is what the migrations add up to
    note: the embedded engine cannot make everywhere; its engine was compared as it is written

    ----- stderr -----
    ");
    for file in ["t.sql", "everywhere.sql", "queue.sql"] {
        edit(&sandbox, file, "`a` UInt64", "`a` UInt64,\n    `b` String");
    }
    edit(&sandbox, "reader.sql", "SELECT a", "SELECT a, b");
    snapshot!(sandbox.command(&["diff", "--write", "b"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    schema/current differs from what the migrations add up to: 4 objects

    changed  table everywhere
      makes room for what it becomes
        DROP TABLE everywhere;
      is made anew
        CREATE TABLE everywhere
        (
            `a` UInt64,
            `b` String
        )
        ENGINE = Distributed('c', currentDatabase(), 't');

    changed  table queue
      makes room for what it becomes
        DROP TABLE queue;
      is made anew
        CREATE TABLE queue
        (
            `a` UInt64,
            `b` String
        )
        ENGINE = Kafka('h:1', 't', 'g', 'JSONEachRow');

    changed  materialized view reader
      its query
      rows that are there keep what they have; `housewright rebuild` makes them anew
        ALTER TABLE reader MODIFY QUERY SELECT
            a,
            b
        FROM queue;

    changed  table t
      column `b` is new
        ALTER TABLE t ADD COLUMN `b` String;

    executed on the embedded engine: up leads to the files, and down back again
    schema/migrations/0002_b.sql
      laid out anew, as `dump --write` does: 1 file
      read it, and `housewright apply`
    note: the embedded engine cannot make everywhere; its engine was compared as it is written

    ----- stderr -----
    ");
    insta::assert_snapshot!(written(&sandbox, "0002_b.sql"), @"
    -- migrate:up

    -- t: column `b` is new
    ALTER TABLE t ADD COLUMN `b` String;

    -- everywhere: makes room for what it becomes
    -- housewright:allow(destructive) because a table of this engine holds no rows
    DROP TABLE everywhere;

    -- everywhere: is made anew
    CREATE TABLE everywhere
    (
        `a` UInt64,
        `b` String
    )
    ENGINE = Distributed('c', currentDatabase(), 't');

    -- queue: makes room for what it becomes
    -- housewright:allow(destructive) because a table of this engine holds no rows
    DROP TABLE queue;

    -- queue: is made anew
    CREATE TABLE queue
    (
        `a` UInt64,
        `b` String
    )
    ENGINE = Kafka('h:1', 't', 'g', 'JSONEachRow');

    -- reader: its query
    -- rows that are there keep what they have; `housewright rebuild` makes them anew
    ALTER TABLE reader MODIFY QUERY SELECT
        a,
        b
    FROM queue;

    -- migrate:down

    -- everywhere: makes room for what it becomes
    DROP TABLE everywhere;

    -- everywhere: is made anew
    CREATE TABLE everywhere
    (
        `a` UInt64
    )
    ENGINE = Distributed('c', currentDatabase(), 't');

    -- queue: makes room for what it becomes
    DROP TABLE queue;

    -- queue: is made anew
    CREATE TABLE queue
    (
        `a` UInt64
    )
    ENGINE = Kafka('h:1', 't', 'g', 'JSONEachRow');

    -- reader: its query
    ALTER TABLE reader MODIFY QUERY SELECT a
    FROM queue;

    -- t: column `b` is gone
    ALTER TABLE t DROP COLUMN `b`;
    ");
}

#[test]
fn the_readme_shows_what_diff_prints() {
    let sandbox = Sandbox::new();
    for directory in ["migrations", "current"] {
        let to = sandbox.path(&format!("schema/{directory}"));
        fs_err::create_dir_all(&to).unwrap();
        for entry in support::schema().join(directory).read_dir_utf8().unwrap() {
            let path = entry.unwrap().into_path();
            fs_err::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
    let toml = support::schema().join("housewright.toml");
    fs_err::copy(toml, sandbox.path("schema/housewright.toml")).unwrap();
    let path = sandbox.path("schema/current/events.sql");
    let text = fs_err::read_to_string(&path).unwrap();
    let at = text.find("    `url`").unwrap();
    let column =
        "    `referrer_host` LowCardinality(String) COMMENT 'The host of referrer; empty: none',\n";
    fs_err::write(path, [&text[..at], column, &text[at..]].concat()).unwrap();
    let output = sandbox.command(&["diff"]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let readme = fs_err::read_to_string("README.md").unwrap();
    assert!(
        readme.contains(&format!("$ housewright diff\n{said}$ ")),
        "{said}"
    );
}

/// What leads from statements to statements, one line a statement: safe ones, a line, what destroys and what waits for it. Executed there
/// and back.
async fn order(bench: &Bench, from: &[&str], to: &[&str]) -> String {
    let all = |statements: &[&str]| -> Vec<String> {
        statements.iter().map(|sql| (*sql).to_owned()).collect()
    };
    let outcome = match leads(bench, &all(from), &all(to)).await {
        Ok(outcome) => outcome,
        Err(Error::Unproven(reason)) => {
            let said = housewright::report::diff::unproven(&reason);
            return anstream::adapter::strip_str(&said).to_string();
        }
        Err(error) => return housewright::report::causes(&error),
    };
    let refused = outcome.diff.refusals.iter();
    let refused: Vec<String> = refused
        .map(|it| {
            format!(
                "refused {}: {}; {}; {}",
                it.object, it.what, it.why, it.instead
            )
        })
        .collect();
    if !refused.is_empty() {
        return refused.join("\n");
    }
    let lines = |statements: &[Statement]| -> String {
        let short = statements.iter().map(|it| it.sql.split_whitespace());
        short
            .map(|words| words.collect::<Vec<_>>().join(" ") + "\n")
            .collect()
    };
    let Some(way) = outcome.way else {
        return "nothing".to_owned();
    };
    format!("{}--\n{}", lines(&way.safe), lines(&way.late))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_still_need_goes_last() {
    let (client, handle) = engine().await;
    let bench = Bench::new(&client, "home").await.unwrap();
    let table = "CREATE TABLE t (k UInt64, a String, b String ALIAS concat(a, 'x'), c String EPHEMERAL) ENGINE = MergeTree ORDER BY k";
    let plain = "CREATE TABLE t (k UInt64, a String) ENGINE = MergeTree ORDER BY k";
    let target = "CREATE TABLE s (k UInt64, n String) ENGINE = MergeTree ORDER BY k";
    let reads =
        |what: &str| format!("CREATE MATERIALIZED VIEW m TO s AS SELECT k, {what} AS n FROM t");
    let (reads_a, reads_b, reads_c) = (reads("a"), reads("b"), reads("c"));

    // A computed column goes when the trigger reads it no more.
    let from = [table, target, &reads_b];
    let to = [plain, target, &reads_a];
    insta::assert_snapshot!(order(&bench, &from, &to).await, @"
    ALTER TABLE m MODIFY QUERY SELECT k, a AS n FROM t
    ALTER TABLE t DROP COLUMN `c`
    ALTER TABLE t DROP COLUMN `b`
    --
    ");
    // Columns go, and the table that another view reads now.
    let from = [table, target, "CREATE VIEW v AS SELECT a FROM t"];
    let to = [target, "CREATE VIEW v AS SELECT n AS a FROM s"];
    insta::assert_snapshot!(order(&bench, &from, &to).await, @"
    CREATE OR REPLACE VIEW v ( `a` String ) AS SELECT n AS a FROM s
    --
    DROP TABLE t
    ");
    let from = [
        "CREATE TABLE t (k UInt64, d Date, e Date) ENGINE = MergeTree ORDER BY k TTL d + toIntervalDay(1)",
    ];
    let to = [
        "CREATE TABLE t (k UInt64, e Date) ENGINE = MergeTree ORDER BY k TTL e + toIntervalDay(1)",
    ];
    insta::assert_snapshot!(order(&bench, &from, &to).await, @"
    --
    ALTER TABLE t MODIFY TTL e + toIntervalDay(1)
    ALTER TABLE t DROP COLUMN `d`
    ");
    // What reads a column of another type waits until it has it, and so does what reads that.
    let number = "CREATE TABLE t (k UInt64, a UInt32) ENGINE = MergeTree ORDER BY k";
    let from = [
        plain,
        target,
        &reads_a,
        "CREATE VIEW v AS SELECT a AS x FROM t",
        "CREATE VIEW w AS SELECT x FROM v",
        "CREATE VIEW z AS SELECT k FROM t",
    ];
    let reads_number = reads("toString(a + 1)");
    let to = [
        number,
        target,
        &reads_number,
        "CREATE VIEW v AS SELECT a + 1 AS x FROM t",
        "CREATE VIEW w AS SELECT x + 1 AS x FROM v",
        "CREATE VIEW z AS SELECT k + 1 AS k FROM t",
    ];
    insta::assert_snapshot!(order(&bench, &from, &to).await, @"
    CREATE OR REPLACE VIEW z ( `k` UInt64 ) AS SELECT k + 1 AS k FROM t
    --
    ALTER TABLE t MODIFY COLUMN `a` UInt32
    ALTER TABLE m MODIFY QUERY SELECT k, toString(a + 1) AS n FROM t
    CREATE OR REPLACE VIEW v ( `x` UInt64 ) AS SELECT a + 1 AS x FROM t
    CREATE OR REPLACE VIEW w ( `x` UInt64 ) AS SELECT x + 1 AS x FROM v
    ");
    // So does a drop of what it read until then, and a dictionary.
    let dictionary = |r#type: &str| {
        format!(
            "CREATE DICTIONARY d (k UInt64, a {type}) PRIMARY KEY k SOURCE(CLICKHOUSE(TABLE 't')) LAYOUT(FLAT()) LIFETIME(10)"
        )
    };
    let (texts, numbers) = (dictionary("String"), dictionary("UInt32"));
    let from = [
        plain,
        &texts,
        "CREATE TABLE q (k UInt64) ENGINE = Null",
        "CREATE VIEW v AS SELECT k FROM q",
    ];
    let to = [
        number,
        &numbers,
        "CREATE VIEW v AS SELECT t.k + a + dictGet('d', 'a', t.k) AS k FROM t",
    ];
    insta::assert_snapshot!(order(&bench, &from, &to).await, @"
    --
    ALTER TABLE t MODIFY COLUMN `a` UInt32
    CREATE OR REPLACE DICTIONARY d ( `k` UInt64, `a` UInt32 ) PRIMARY KEY k SOURCE(CLICKHOUSE(TABLE 't')) LIFETIME(MIN 0 MAX 10) LAYOUT(FLAT())
    CREATE OR REPLACE VIEW v ( `k` UInt64 ) AS SELECT (t.k + a) + dictGet('d', 'a', t.k) AS k FROM t
    DROP TABLE q
    ");
    // A key that loses a column and wins another does so in one statement, and the view that reads the new one comes behind it.
    let from = [
        "CREATE TABLE t (k UInt64, a String) ENGINE = MergeTree PRIMARY KEY k ORDER BY (k, a)",
        "CREATE VIEW v AS SELECT k FROM t",
    ];
    let to = [
        "CREATE TABLE t (k UInt64, z String) ENGINE = MergeTree PRIMARY KEY k ORDER BY (k, z)",
        "CREATE VIEW v AS SELECT k, z FROM t",
    ];
    insta::assert_snapshot!(order(&bench, &from, &to).await, @"
    --
    ALTER TABLE t ADD COLUMN `z` String AFTER `k`, MODIFY ORDER BY (k, z)
    CREATE OR REPLACE VIEW v ( `k` UInt64, `z` String ) AS SELECT k, z FROM t
    ALTER TABLE t DROP COLUMN `a`
    ");
    // A trigger that keeps its rows itself goes with them, and what it reads behind it.
    let inner = "CREATE MATERIALIZED VIEW i ENGINE = MergeTree ORDER BY k AS SELECT k, b FROM t";
    insta::assert_snapshot!(order(&bench, &[table, inner], &[plain]).await, @"
    --
    DROP VIEW i
    ALTER TABLE t DROP COLUMN `c`
    ALTER TABLE t DROP COLUMN `b`
    ");
    // What would have to be dropped and added while a trigger reads it.
    let stored = "CREATE TABLE t (k UInt64, a String, b String ALIAS concat(a, 'x'), c String) ENGINE = MergeTree ORDER BY k";
    insta::assert_snapshot!(order(&bench, &[table, target, &reads_c], &[stored, target, &reads_c]).await, @"refused t: what column `c` is; it would have to be dropped and added, and a materialized view reads it: ClickHouse drops no column that one reads; take it out of the view's query in a migration of its own, and put it back in the one after this; or add a column under another name");
    let stored = "CREATE TABLE t (k UInt64, a String, b String) ENGINE = MergeTree ORDER BY k";
    let length = "CREATE TABLE t (k UInt64, a String, b UInt64 ALIAS length(a)) ENGINE = MergeTree ORDER BY k";
    let reads_length = reads("toString(b + 1)");
    insta::assert_snapshot!(order(&bench, &[stored, target, &reads_b], &[length, target, &reads_length]).await, @"refused t: what column `b` is; it would have to be dropped and added, and a materialized view reads it: ClickHouse drops no column that one reads; take it out of the view's query in a migration of its own, and put it back in the one after this; or add a column under another name");
    insta::assert_snapshot!(order(&bench, &[stored, target, &reads_a], &[length, target, &reads_length]).await, @"
    --
    ALTER TABLE t DROP COLUMN `b`
    ALTER TABLE t ADD COLUMN `b` UInt64 ALIAS length(a) AFTER `a`
    ALTER TABLE m MODIFY QUERY SELECT k, toString(b + 1) AS n FROM t
    ");
    handle.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_name_may_become_another_kind_of_thing() {
    let (client, handle) = engine().await;
    let bench = Bench::new(&client, "home").await.unwrap();
    let kinds = [
        (
            "table",
            "CREATE TABLE x (k UInt64) ENGINE = MergeTree ORDER BY k",
        ),
        ("empty", "CREATE TABLE x (k UInt64) ENGINE = Null"),
        ("view", "CREATE VIEW x AS SELECT k FROM t"),
        (
            "parameterized",
            "CREATE VIEW x AS SELECT k FROM t WHERE k > {least:UInt64}",
        ),
        (
            "trigger",
            "CREATE MATERIALIZED VIEW x TO s AS SELECT k FROM t",
        ),
        (
            "inner",
            "CREATE MATERIALIZED VIEW x ENGINE = MergeTree ORDER BY k AS SELECT k FROM t",
        ),
        (
            "clock",
            "CREATE MATERIALIZED VIEW x REFRESH EVERY 1 DAY TO s AS SELECT k FROM t",
        ),
        (
            "dictionary",
            "CREATE DICTIONARY x (k UInt64) PRIMARY KEY k SOURCE(CLICKHOUSE(TABLE 't')) LAYOUT(FLAT()) LIFETIME(10)",
        ),
    ];
    let others = [
        "CREATE TABLE t (k UInt64) ENGINE = MergeTree ORDER BY k",
        "CREATE TABLE s (k UInt64) ENGINE = MergeTree ORDER BY k",
    ];
    let sql = |kind: &str| kinds.iter().find(|it| it.0 == kind).unwrap().1;
    let mut all = String::new();
    for (from, to) in [
        ("view", "table"),
        ("table", "view"),
        ("view", "trigger"),
        ("trigger", "view"),
        ("trigger", "table"),
        ("table", "trigger"),
        ("inner", "view"),
        ("inner", "trigger"),
        ("trigger", "clock"),
        ("clock", "parameterized"),
        ("dictionary", "table"),
        ("empty", "view"),
        ("empty", "table"),
    ] {
        let (one, two) = (
            [others[0], others[1], sql(from)],
            [others[0], others[1], sql(to)],
        );
        let way = order(&bench, &one, &two).await;
        let _ = writeln!(all, "{from} → {to}\n{way}");
    }
    handle.end().await;
    insta::assert_snapshot!(all);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_has_another_name_where_a_hint_says_so() {
    let (client, handle) = engine().await;
    let bench = Bench::new(&client, "home").await.unwrap();
    let table = "CREATE TABLE t (k UInt64, a String) ENGINE = MergeTree ORDER BY k";
    let state = "CREATE TABLE s (k UInt64, a String) ENGINE = MergeTree ORDER BY k";
    let trigger = "CREATE MATERIALIZED VIEW m TO s AS SELECT k, a FROM t";
    let view = "CREATE VIEW v AS SELECT k, a FROM t";
    let dictionary = "CREATE DICTIONARY d (k UInt64, a String) PRIMARY KEY k SOURCE(CLICKHOUSE(TABLE 't')) LAYOUT(FLAT()) LIFETIME(10)";
    // With its columns, and with who reads it.
    let to = [
        "-- housewright:renamed(t)\nCREATE TABLE `new t` (k UInt64, b String, -- housewright:renamed(a)\n c UInt8) ENGINE = MergeTree ORDER BY k",
        state,
        "CREATE MATERIALIZED VIEW m TO s AS SELECT k, b AS a FROM `new t`",
        "-- housewright:renamed(v)\nCREATE VIEW w AS SELECT k, b FROM `new t`",
    ];
    insta::assert_snapshot!(order(&bench, &[table, state, trigger, view], &to).await, @"
    RENAME TABLE t TO `new t`
    RENAME TABLE v TO w
    ALTER TABLE `new t` RENAME COLUMN `a` TO `b`
    ALTER TABLE `new t` ADD COLUMN `c` UInt8
    ALTER TABLE m MODIFY QUERY SELECT k, b AS a FROM `new t`
    CREATE OR REPLACE VIEW w ( `k` UInt64, `b` String ) AS SELECT k, b FROM `new t`
    --
    ");
    // A materialized view and a dictionary.
    let to = [
        table,
        state,
        "CREATE MATERIALIZED VIEW n -- housewright:renamed(m)\nTO s AS SELECT k, a FROM t",
        &dictionary.replacen(
            "DICTIONARY d",
            "DICTIONARY `e.f` -- housewright:renamed(d)\n",
            1,
        ),
    ];
    insta::assert_snapshot!(order(&bench, &[table, state, trigger, dictionary], &to).await, @"
    RENAME DICTIONARY d TO `e.f`
    RENAME TABLE m TO n
    --
    ");
    // A target: views are bound to it by name.
    let to = [
        table,
        "-- housewright:renamed(s)\nCREATE TABLE s2 (k UInt64, a String) ENGINE = MergeTree ORDER BY k",
        "CREATE MATERIALIZED VIEW m TO s2 AS SELECT k, a FROM t",
    ];
    insta::assert_snapshot!(order(&bench, &[table, state, trigger], &to).await, @"refused m: where it writes, from s to s2; it cannot be altered, and between DROP and CREATE no insert would reach it; put the new one beside it, in files of its own, as in `m_v2`: its table, the view TO it, and the readers that are to read it; `diff` makes a rebuild of them, which has history and loses no insert");
    // A dictionary reads it: the server does not let it go.
    let to = [
        "-- housewright:renamed(t)\nCREATE TABLE u (k UInt64, a String) ENGINE = MergeTree ORDER BY k",
        &dictionary.replace("'t'", "'u'"),
    ];
    insta::assert_snapshot!(order(&bench, &[table, dictionary], &to).await, @"
    the embedded ClickHouse refused a statement that would lead to what the files say:
    RENAME TABLE t TO u
      because: ClickHouse says HAVE_DEPENDENT_OBJECTS (code 630): Cannot drop or rename home.t, because some tables depend on it: home.d.
      this change takes more than one step; write the migration by hand (`housewright new`)
      nothing was written
    ");
    // A migration did it already.
    let moved = "-- housewright:renamed(t)\nCREATE TABLE u (k UInt64, a String) ENGINE = MergeTree ORDER BY k";
    insta::assert_snapshot!(order(&bench, &[moved], &[moved]).await, @"nothing");
    let mut wrong = String::new();
    for to in [
        // Still there; another kind; nothing of that name; two of them; taken; exchanged.
        vec![moved, table, state],
        vec![
            "-- housewright:renamed(t)\nCREATE VIEW u AS SELECT 1 AS k",
            state,
        ],
        vec![
            table,
            state,
            "-- housewright:renamed(x)\nCREATE TABLE u (k UInt64) ENGINE = MergeTree ORDER BY k",
        ],
        vec![
            moved,
            state,
            "-- housewright:renamed(t)\nCREATE TABLE u2 (k UInt64, a String) ENGINE = MergeTree ORDER BY k",
        ],
        vec![
            "-- housewright:renamed(t)\nCREATE TABLE s (k UInt64, a String) ENGINE = MergeTree ORDER BY k",
        ],
        vec![
            "-- housewright:renamed(t)\nCREATE TABLE s (k UInt64, a String) ENGINE = MergeTree ORDER BY k",
            "-- housewright:renamed(s)\nCREATE TABLE t (k UInt64, a String) ENGINE = MergeTree ORDER BY k",
        ],
        // Columns: exchanged; taken; two of them; still there.
        vec![
            state,
            "CREATE TABLE t (a UInt64 -- housewright:renamed(k)\n, k String -- housewright:renamed(a)\n) ENGINE = MergeTree ORDER BY tuple()",
        ],
        vec![
            state,
            "CREATE TABLE t (k UInt64 -- housewright:renamed(a)\n) ENGINE = MergeTree ORDER BY k",
        ],
        vec![
            state,
            "CREATE TABLE t (k UInt64, b String, -- housewright:renamed(a)\n c String -- housewright:renamed(a)\n) ENGINE = MergeTree ORDER BY k",
        ],
        vec![
            state,
            "CREATE TABLE t (k UInt64, a String, c String -- housewright:renamed(a)\n) ENGINE = MergeTree ORDER BY k",
        ],
        // Into a Nested, and a part of a key.
        vec![
            state,
            "CREATE TABLE t (k UInt64, `n.a` String -- housewright:renamed(a)\n) ENGINE = MergeTree ORDER BY k",
        ],
        vec![
            state,
            "CREATE TABLE t (j UInt64, -- housewright:renamed(k)\n a String) ENGINE = MergeTree ORDER BY j",
        ],
    ] {
        let all = |statements: &[&str]| -> Vec<String> {
            statements.iter().map(|sql| (*sql).to_owned()).collect()
        };
        match leads(&bench, &all(&[table, state]), &all(&to)).await {
            Err(Error::Invalid(findings)) => {
                for finding in findings {
                    let help = finding.help.unwrap_or_default();
                    let _ = writeln!(wrong, "{}\n  {help}", finding.message);
                }
                wrong.push('\n');
            }
            Ok(outcome) => {
                for refusal in outcome.diff.refusals {
                    let (what, why) = (refusal.what, refusal.why);
                    let _ = writeln!(wrong, "{what}\n  {why}\n  {}", refusal.instead);
                }
                wrong.push('\n');
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    handle.end().await;
    insta::assert_snapshot!(wrong, @"
    `t` is still there, so that it cannot have become `u`
      name what the migrations make and the files do not have, or remove the hint

    `t` was a table, and `u` is a view
      only an object of the same kind has another name; remove the hint, and one goes and the other is made

    there is no `x` in the migrations
      name what the migrations make, or remove the hint

    another hint says too that it was `t`
      keep one of the two

    `s` is in the migrations already, so that `t` cannot become it
      drop or rename that one in a migration of its own first; or remove the hint

    `t` and `s` would exchange their names, and it cannot be told whether they did already
      give one of them a third name in a migration of its own, and the right ones in the next
    `s` and `t` would exchange their names, and it cannot be told whether they did already
      give one of them a third name in a migration of its own, and the right ones in the next

    `k` and `a` would exchange their names, and it cannot be told whether they did already
      give one of them a third name in a migration of its own, and the right ones in the next
    `a` and `k` would exchange their names, and it cannot be told whether they did already
      give one of them a third name in a migration of its own, and the right ones in the next

    `k` is in the migrations' `t` already, so that `a` cannot become it
      drop or rename that one in a migration of its own first; or remove the hint

    another hint says too that it was `a`
      keep one of the two

    `a` is still there, so that it cannot have become `c`
      name what the migrations make and the files do not have, or remove the hint

    the name of column `a`, which becomes `n.a`
      what stands before a dot is the name of a Nested, and ClickHouse renames no column into or out of one
      add a column under the new name, fill it by a mutation, and drop the old one in a later migration

    the primary key, from (k) to (j)
      it cannot be altered: the rows on disk are sorted by it
      make the table beside t under another name, as in `t_v2`, fill it with INSERT … SELECT, and let readers and views name it; for the target of a materialized view put that beside it too, and `diff` makes a rebuild of them
    ");
}

/// Generated schemas: what leads from one to the other is found, and holds.
mod generated {
    use std::fmt::Write as _;

    use housewright::config::Environment;
    use proptest::prelude::*;
    use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

    use super::{Bench, engine, leads};

    const NAMES: [&str; 9] = [
        "plain",
        "select",
        "a`b",
        "x.y",
        "ä ü",
        "comment",
        "ttl",
        "Codec",
        "it's \\ here",
    ];
    const TYPES: [&str; 8] = [
        "UInt32",
        "UInt64",
        "Int64",
        "String",
        "LowCardinality(String)",
        "Nullable(String)",
        "Float64",
        "Nullable(UInt64)",
    ];

    #[derive(Clone, Debug)]
    struct Column {
        name: usize,
        r#type: usize,
        default: usize,
        codec: usize,
        comment: Option<u8>,
        ttl: Option<u8>,
    }

    #[derive(Clone, Debug)]
    struct Schema {
        columns: Vec<Column>,
        /// Where the two columns of the key stand.
        keys: (usize, usize),
        extended: bool,
        indices: Vec<(u8, usize)>,
        constraints: Vec<(u8, u8)>,
        projections: Vec<(u8, bool)>,
        ttl: Option<u8>,
        settings: Vec<(u8, u8)>,
        comment: Option<u8>,
        table: Option<u8>,
        view: Option<u8>,
        parameterized: Option<u8>,
        trigger: Option<(u8, usize)>,
        inner: bool,
        clock: Option<(u8, u8)>,
        dictionary: Option<u8>,
        function: Option<u8>,
    }

    fn column() -> impl Strategy<Value = Column> {
        (
            0..NAMES.len(),
            0..TYPES.len(),
            0..6_usize,
            0..4_usize,
            proptest::option::of(0..3_u8),
            proptest::option::weighted(0.2, 1..3_u8),
        )
            .prop_map(|(name, r#type, default, codec, comment, ttl)| Column {
                name,
                r#type,
                default,
                codec,
                comment,
                ttl,
            })
    }

    fn schema() -> impl Strategy<Value = Schema> {
        let some = || proptest::option::of(0..3_u8);
        (
            (
                proptest::collection::vec(column(), 0..7),
                (0..8_usize, 0..8_usize),
                any::<bool>(),
                proptest::collection::vec((0..3_u8, 0..3_usize), 0..4),
                proptest::collection::vec((0..3_u8, 0..3_u8), 0..4),
                proptest::collection::vec((0..3_u8, any::<bool>()), 0..3),
            ),
            (
                some(),
                proptest::collection::vec((0..3_u8, 0..3_u8), 0..3),
                some(),
                some(),
                some(),
                some(),
            ),
            (
                proptest::option::of((0..3_u8, 0..7_usize)),
                any::<bool>(),
                proptest::option::of((0..3_u8, 1..4_u8)),
                some(),
                some(),
            ),
        )
            .prop_map(|(one, two, three)| {
                let (mut columns, keys, extended, mut indices, mut constraints, mut projections) =
                    one;
                let (ttl, mut settings, comment, table, view, parameterized) = two;
                let (trigger, inner, clock, dictionary, function) = three;
                once(&mut columns, |it| it.name);
                once(&mut indices, |it| it.0);
                once(&mut constraints, |it| it.0);
                once(&mut projections, |it| it.0);
                once(&mut settings, |it| it.0);
                Schema {
                    columns,
                    keys,
                    extended,
                    indices,
                    constraints,
                    projections,
                    ttl,
                    settings,
                    comment,
                    table,
                    view,
                    parameterized,
                    trigger,
                    inner,
                    clock,
                    dictionary,
                    function,
                }
            })
    }

    fn once<T, K: Ord>(list: &mut Vec<T>, key: impl Fn(&T) -> K) {
        let mut seen = std::collections::BTreeSet::new();
        list.retain(|it| seen.insert(key(it)));
    }

    fn quoted(name: &str) -> String {
        housewright::clickhouse::identifier(name)
    }

    impl Schema {
        fn column(&self, column: &Column) -> String {
            let (name, r#type) = (NAMES[column.name], TYPES[column.r#type]);
            // Another stored column without a default, or the key.
            let other = self
                .columns
                .iter()
                .find(|it| it.name != column.name && it.default == 0)
                .map_or_else(|| "k".to_owned(), |it| quoted(NAMES[it.name]));
            let text = format!("toString({other})");
            let mut sql = format!("{} {type}", quoted(name));
            let _ = match column.default {
                1 => write!(sql, " DEFAULT defaultValueOfTypeName('{type}')"),
                2 if r#type == "String" => write!(sql, " DEFAULT {text}"),
                3 if r#type == "String" => write!(sql, " MATERIALIZED {text}"),
                4 if r#type == "String" => write!(sql, " ALIAS {text}"),
                5 => write!(sql, " EPHEMERAL"),
                _ => Ok(()),
            };
            if let Some(comment) = column.comment {
                let _ = write!(sql, " COMMENT 'comment {comment}, it''s `one`'");
            }
            let stored = column.default < 4 || column.default == 4 && r#type != "String";
            match column.codec {
                1 if stored => sql.push_str(" CODEC(ZSTD(1))"),
                2 if stored => sql.push_str(" CODEC(NONE)"),
                3 if stored && r#type.starts_with("UInt") => sql.push_str(" CODEC(Delta, LZ4)"),
                _ => {}
            }
            if let Some(days) = column.ttl.filter(|_| stored) {
                let _ = write!(sql, " TTL ts + INTERVAL {days} DAY");
            }
            sql
        }

        fn table(&self) -> String {
            let mut elements: Vec<String> = self.columns.iter().map(|it| self.column(it)).collect();
            let at = |at: usize, elements: &[String]| at.min(elements.len());
            elements.insert(at(self.keys.0, &elements), "k UInt64".to_owned());
            elements.insert(at(self.keys.1, &elements), "ts DateTime('UTC')".to_owned());
            if self.extended {
                elements.push("k2 UInt8".to_owned());
            }
            let types = ["minmax", "set(10)", "bloom_filter"];
            for (name, r#type) in &self.indices {
                elements.push(format!(
                    "INDEX `i.{name}` k TYPE {} GRANULARITY 2",
                    types[*r#type]
                ));
            }
            for (name, least) in &self.constraints {
                elements.push(format!("CONSTRAINT c{name} CHECK k >= {least}"));
            }
            for (name, by_time) in &self.projections {
                let by = if *by_time { "ts" } else { "k" };
                elements.push(format!("PROJECTION p{name} (SELECT k, ts ORDER BY {by})"));
            }
            let mut sql = format!(
                "CREATE TABLE `t 1` ({}) ENGINE = MergeTree PARTITION BY toYYYYMM(ts) PRIMARY KEY k ORDER BY {}",
                elements.join(", "),
                if self.extended { "(k, k2)" } else { "k" }
            );
            if let Some(days) = self.ttl {
                let _ = write!(sql, " TTL ts + INTERVAL {} DAY", days + 1);
            }
            let names = [
                "merge_with_ttl_timeout",
                "min_bytes_for_wide_part",
                "parts_to_throw_insert",
            ];
            let mut settings = vec!["index_granularity = 8192".to_owned()];
            for (name, value) in &self.settings {
                settings.push(format!(
                    "{} = {}",
                    names[usize::from(*name)],
                    1000 + u32::from(*value)
                ));
            }
            let _ = write!(sql, " SETTINGS {}", settings.join(", "));
            if let Some(comment) = self.comment {
                let _ = write!(sql, " COMMENT 'table {comment}'");
            }
            sql
        }

        fn statements(&self) -> Vec<String> {
            let mut all = vec![self.table()];
            all.push("CREATE TABLE target (k UInt64, n UInt64, m UInt64) ENGINE = SummingMergeTree ORDER BY k".to_owned());
            if let Some(number) = self.function {
                all.push(format!("CREATE FUNCTION plus_some AS x -> x + {number}"));
            }
            if let Some(number) = self.dictionary {
                all.push(format!(
                    "CREATE DICTIONARY `d ä` (k UInt64, n UInt64 DEFAULT {number}) PRIMARY KEY k SOURCE(CLICKHOUSE(TABLE 'target')) LAYOUT(FLAT()) LIFETIME(10)"
                ));
            }
            if let Some(number) = self.table {
                all.push(format!(
                    "CREATE TABLE other (k UInt64) ENGINE = MergeTree ORDER BY k COMMENT '{number}'"
                ));
            }
            if let Some(number) = self.view {
                let from = if self.table.is_some() {
                    "other"
                } else {
                    "`t 1`"
                };
                let call = if self.function.is_some() {
                    "plus_some(k)"
                } else {
                    "k"
                };
                let look = if self.dictionary.is_some() {
                    "dictGet('d ä', 'n', k)"
                } else {
                    "1.0"
                };
                all.push(format!(
                    "CREATE VIEW `v from` AS SELECT {call} + {number} AS k, {look} AS l FROM {from}"
                ));
            }
            if let Some(number) = self.parameterized {
                all.push(format!("CREATE VIEW with_parameter AS SELECT k FROM `t 1` WHERE k > {{least:UInt64}} + {number}"));
            }
            if let Some((number, column)) = self.trigger {
                // What a trigger reads cannot be dropped, and an EPHEMERAL column becomes another only so.
                let read = self
                    .columns
                    .get(column)
                    .filter(|it| it.default != 5)
                    .map_or_else(|| "k".to_owned(), |it| quoted(NAMES[it.name]));
                all.push(format!(
                    "CREATE MATERIALIZED VIEW trigger TO target AS SELECT k, count({read}) AS n, toUInt64({number}) AS m FROM `t 1` GROUP BY k"
                ));
            }
            if self.inner {
                all.push("CREATE MATERIALIZED VIEW inner_one ENGINE = MergeTree ORDER BY k AS SELECT k FROM `t 1`".to_owned());
            }
            if let Some((number, hours)) = self.clock {
                all.push(format!(
                    "CREATE MATERIALIZED VIEW clock REFRESH EVERY {hours} HOUR TO target AS SELECT k, toUInt64({number}) AS n, n AS m FROM `t 1`"
                ));
            }
            all
        }
    }

    /// A schema under new names, with the hints: which columns have one, and whether table and views have.
    fn renamed(schema: &Schema, columns: [bool; 7], objects: [bool; 3]) -> Vec<String> {
        let free = |taken: &[Column]| -> Vec<usize> {
            let is_free = |name: &usize| taken.iter().all(|column| column.name != *name);
            // What has a dot is part of a Nested, and nothing is renamed into one or out of it.
            let plain = |name: &usize| !NAMES[*name].contains('.');
            (0..NAMES.len()).filter(is_free).filter(plain).collect()
        };
        let mut free = free(&schema.columns);
        let mut all = schema.statements();
        let word = |name: &str| format!("{name}\u{1}");
        let chosen = schema.columns.iter().zip(columns);
        let chosen = chosen.filter(|(column, yes)| *yes && !NAMES[column.name].contains('.'));
        for (column, _) in chosen {
            let Some(new) = free.pop() else { break };
            let (old, new) = (NAMES[column.name], quoted(NAMES[new]));
            for sql in &mut all {
                // Names that are one word of the types' or the clauses' are quoted wherever they are columns.
                *sql = sql.replace(&quoted(old), &word(&new));
            }
            let declared = format!("{} {}", word(&new), TYPES[column.r#type]);
            let table = &mut all[0];
            *table = table.replacen(
                &declared,
                &format!("\n-- housewright:renamed({old})\n{declared}"),
                1,
            );
        }
        for ((old, new), _) in [
            ("`t 1`", "`t.2`"),
            ("`v from`", "`from`"),
            ("clock", "watch"),
        ]
        .into_iter()
        .zip(objects)
        .filter(|(_, yes)| *yes)
        {
            for sql in &mut all {
                let makes = sql.starts_with("CREATE") && sql.contains(&format!(" {old} "));
                let own = sql.find(old).is_some_and(|at| {
                    ["CREATE TABLE ", "CREATE VIEW ", "CREATE MATERIALIZED VIEW "]
                        .contains(&&sql[..at])
                });
                *sql = sql.replace(old, new);
                if makes && own {
                    *sql = format!("-- housewright:renamed({})\n{sql}", old.trim_matches('`'));
                }
            }
        }
        for sql in &mut all {
            *sql = sql.replace('\u{1}', "");
        }
        all
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn new_names_lead_there_and_back_and_take_nothing_away() {
        let (client, handle) = engine().await;
        let bench = Bench::new(&client, "home").await.unwrap();
        let failed = run(
            &(schema(), any::<[bool; 7]>(), any::<[bool; 3]>()),
            async |(one, columns, objects)| {
                // An index, a projection or a key names `k`, and the column of a trigger is bound to its own name.
                let two = renamed(&one, columns, objects);
                let one = one.statements();
                let outcome = leads(&bench, &one, &two).await;
                let outcome = outcome.map_err(|error| fail(&error))?;
                let refusals = outcome.diff.refusals;
                prop_assert!(refusals.is_empty(), "{refusals:#?}");
                prop_assert!(outcome.diff.late.is_empty(), "{:#?}", outcome.diff.late);
                let again = leads(&bench, &two, &two).await;
                let again = again.map_err(|error| fail(&error))?;
                prop_assert!(again.diff.is_empty(), "{:#?}", again.diff);
                Ok(())
            },
        );
        handle.end().await;
        assert_eq!(failed, None, "{}", failed.clone().unwrap_or_default());
    }

    /// Runs a property: the same eight cases in every run; `HOUSEWRIGHT_DIFF_CASES` asks for so many others.
    fn run<S: Strategy>(
        strategy: &S,
        holds: impl AsyncFn(S::Value) -> Result<(), TestCaseError>,
    ) -> Option<String> {
        let asked = Environment::of_this_process()
            .get("HOUSEWRIGHT_DIFF_CASES")
            .and_then(|cases| cases.parse().ok());
        let config = Config {
            cases: asked.unwrap_or(8),
            failure_persistence: None,
            // Each step of it takes seconds.
            max_shrink_iters: if asked.is_some() { 200 } else { 0 },
            ..Config::default()
        };
        let mut runner = if asked.is_some() {
            TestRunner::new(config)
        } else {
            TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
        };
        let runtime = tokio::runtime::Handle::current();
        tokio::task::block_in_place(|| {
            let outcome = runner.run(strategy, |value| runtime.block_on(holds(value)));
            outcome.err().map(|error| error.to_string())
        })
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_found_leads_from_one_to_the_other_and_back() {
        let (client, handle) = engine().await;
        let bench = Bench::new(&client, "home").await.unwrap();
        let failed = run(&(schema(), schema()), async |(one, two)| {
            let (one, two) = (one.statements(), two.statements());
            let itself = leads(&bench, &one, &one).await;
            let itself = itself.map_err(|error| fail(&error))?;
            prop_assert!(itself.diff.is_empty(), "{:#?}", itself.diff);
            let outcome = leads(&bench, &one, &two).await;
            let outcome = outcome.map_err(|error| fail(&error))?;
            let refusals = outcome.diff.refusals;
            prop_assert!(refusals.is_empty(), "{refusals:#?}");
            prop_assert_eq!(outcome.differences.is_empty(), outcome.way.is_none());
            Ok(())
        });
        handle.end().await;
        assert_eq!(failed, None, "{}", failed.clone().unwrap_or_default());
    }

    fn fail(error: &housewright::drift::Error) -> TestCaseError {
        let text = match error {
            housewright::drift::Error::Unproven(reason) => {
                housewright::report::diff::unproven(reason)
            }
            other => housewright::report::causes(other),
        };
        TestCaseError::fail(anstream::adapter::strip_str(&text).to_string())
    }
}
