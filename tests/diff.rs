//! The files of `schema/current/` are edited, and what leads there and back is found, executed and written.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod support;

use camino_tempfile::Utf8TempDir;
use housewright::clickhouse::Client;
use housewright::drift::{Bench, Error, Outcome, Step, declared, lead};
use housewright::engine::child::{Handle, Launch, open};
use support::sandbox::{Sandbox, snapshot};

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
    let dir = Utf8TempDir::new().unwrap();
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

fn edit(sandbox: &Sandbox, file: &str, from: &str, to: &str) {
    let path = sandbox.path(&format!("schema/current/{file}"));
    let text = fs_err::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    fs_err::write(path, text.replacen(from, to, 1)).unwrap();
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
      read it, `housewright apply`, and let `housewright dump --write` lay the files out anew

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
    sandbox.run(&["dump", "--write", "-q"]);
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
      read it, `housewright apply`, and let `housewright dump --write` lay the files out anew

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
          "change": "changed"
        },
        {
          "name": "orders",
          "kind": "table",
          "change": "changed"
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
      "written": "schema/migrations/0003_rest.sql"
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
      refused a view that becomes a table
        one name cannot be two things within one migration that goes back again
        drop it in one migration (remove its file) and make it in the next, or take another name

    changed  table days
      refused the engine, from SummingMergeTree to MergeTree
        the engine of a table cannot be altered
        make the table beside days under another name, as in `days_v2`, fill it with INSERT … SELECT, and let readers and views name it; `rebuild` does that for the target of a materialized view

    changed  materialized view days_mv
      refused where it writes, from days to days_v2
        it cannot be altered, and between DROP and CREATE no insert would reach it
        make the new one beside it under another name, as in `days_mv_v2`, and let readers go over to it; `housewright rebuild` does so under live inserts

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

    refused: 4 changes cannot be made by a migration; nothing was written

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
        make the table beside orders under another name, as in `orders_v2`, fill it with INSERT … SELECT, and let readers and views name it; `rebuild` does that for the target of a materialized view

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

    error[renamed-what]: this names no column that has a new name
     --> schema/current/hint.sql:1:27
      |
    1 | CREATE VIEW h AS SELECT 1 -- housewright:renamed(x)
      |                           ^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: put `-- housewright:renamed(old_name)` behind the column's line, or on a line of its own above it

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
    error[renamed-what]: the migrations make no column `totals` in `orders`
     --> schema/current/orders.sql:6:19
      |
    6 |     `sum` UInt32, -- housewright:renamed(totals)
      |                   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: name the column that the migrations make, or remove the hint
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
      read it, `housewright apply`, and let `housewright dump --write` lay the files out anew
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

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_found_leads_from_one_to_the_other_and_back() {
        let (client, handle) = engine().await;
        let bench = Bench::new(&client, "home").await.unwrap();
        // The same eight in every run; HOUSEWRIGHT_DIFF_CASES asks for so many others.
        let asked = Environment::of_this_process()
            .get("HOUSEWRIGHT_DIFF_CASES")
            .and_then(|cases| cases.parse().ok());
        let config = Config {
            cases: asked.unwrap_or(8),
            failure_persistence: None,
            max_shrink_iters: 200,
            ..Config::default()
        };
        let mut runner = if asked.is_some() {
            TestRunner::new(config)
        } else {
            TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
        };
        let runtime = tokio::runtime::Handle::current();
        let failed = tokio::task::block_in_place(|| {
            let outcome = runner.run(&(schema(), schema()), |(one, two)| {
                let (one, two) = (one.statements(), two.statements());
                runtime.block_on(async {
                    let itself = leads(&bench, &one, &one).await;
                    let itself = itself.map_err(|error| fail(&error))?;
                    prop_assert!(itself.diff.is_empty(), "{:#?}", itself.diff);
                    let outcome = leads(&bench, &one, &two).await;
                    let outcome = outcome.map_err(|error| fail(&error))?;
                    let refusals = outcome.diff.refusals;
                    prop_assert!(refusals.is_empty(), "{refusals:#?}");
                    prop_assert_eq!(outcome.differences.is_empty(), outcome.way.is_none());
                    Ok(())
                })
            });
            outcome.err().map(|error| error.to_string())
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
