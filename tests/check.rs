//! `lint` and `check` as a user sees them: what does not hold is refused by name, and nothing a file may hold stops them.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod support;

use serde_json::Value;
use support::sandbox::{Sandbox, snapshot};

const VIEW: &str = "-- migrate:up
CREATE TABLE events (id String, amount UInt64) ENGINE = MergeTree ORDER BY id;
CREATE TABLE totals (id String, amount AggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY id;
CREATE MATERIALIZED VIEW totals_mv TO totals AS SELECT id, sumState(amount) AS amount FROM events GROUP BY id;
-- migrate:down
DROP VIEW totals_mv;
DROP TABLE totals;
DROP TABLE events;
";

/// A schema with a view, and a second migration.
fn sandbox(up: &str, down: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.migration("0001_view.sql", VIEW);
    sandbox.migration(
        "0002_change.sql",
        &format!("-- migrate:up\n{up}\n-- migrate:down\n{down}\n"),
    );
    sandbox.run(&["repair", "-q"]);
    sandbox
}

fn json(sandbox: &Sandbox, args: &[&str]) -> (i32, Value) {
    let output = sandbox.command(args).output().unwrap();
    let value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {output:?}");
    });
    (output.status.code().unwrap(), value)
}

fn codes(value: &Value) -> Vec<&str> {
    let findings = value["findings"].as_array().unwrap();
    findings
        .iter()
        .map(|finding| finding["code"].as_str().unwrap())
        .collect()
}

#[test]
fn the_five_silent_breakages_are_refused_by_name() {
    let back = "ALTER TABLE totals_mv MODIFY QUERY SELECT id, sumState(amount) AS amount FROM events GROUP BY id;";
    for (up, down, code) in [
        (
            "ALTER TABLE totals_mv MODIFY QUERY SELECT id, sumState(amount * 2) AS amount2 FROM events GROUP BY id;",
            back,
            "unknown-target-column",
        ),
        (
            "ALTER TABLE totals_mv MODIFY QUERY SELECT id, uniqState(id) AS amount FROM events GROUP BY id;",
            back,
            "state-mismatch",
        ),
        (
            "ALTER TABLE events MODIFY COLUMN amount String;",
            "ALTER TABLE events MODIFY COLUMN amount UInt64;",
            "broken-view",
        ),
        (
            "RENAME TABLE totals TO totals_old;",
            "RENAME TABLE totals_old TO totals;",
            "missing-target",
        ),
        (
            "CREATE TABLE counts (id String, n UInt64) ENGINE = AggregatingMergeTree ORDER BY id;",
            "DROP TABLE counts;",
            "plain-column-in-aggregate",
        ),
    ] {
        let sandbox = sandbox(up, down);
        let (exit, value) = json(&sandbox, &["check", "--format", "json"]);
        assert_eq!((exit, codes(&value)), (1, vec![code]), "{value:#}");
        assert_eq!(
            value["findings"][0]["path"],
            "schema/migrations/0002_change.sql"
        );
        assert_eq!(value["findings"][0]["line"], 2);
    }
}

#[test]
fn what_is_found_is_shown_where_it_stands_and_what_is_meant_is_allowed() {
    let sandbox = sandbox(
        "ALTER TABLE events ADD COLUMN at DateTime;\n-- housewright:allow(destructive) because the tracker never filled it\nALTER TABLE events MODIFY COLUMN amount UInt32;\n-- housewright:allow(populate)\nALTER TABLE events COMMENT COLUMN id 'x';\n\n-- housewright:allow(broken-view) because it is not\nALTER TABLE events COMMENT COLUMN id 'y';",
        "ALTER TABLE events DROP COLUMN at;\nALTER TABLE events MODIFY COLUMN amount UInt64;\nALTER TABLE events COMMENT COLUMN id '';",
    );
    snapshot!(sandbox.command(&["lint"]), @"
    success: false
    exit_code: 1
    ----- stdout -----
    warning[datetime-without-time-zone]: `events.at` is `DateTime`, without a time zone
     --> schema/migrations/0002_change.sql:2:31
      |
    2 | ALTER TABLE events ADD COLUMN at DateTime;
      |                               ^^
      |
      = help: name it: `DateTime('UTC')`, `DateTime64(3, 'UTC')`

    error[state-mismatch]: `totals_mv` does not fit `totals`: ClickHouse would not make it like this
     --> schema/migrations/0002_change.sql:4:1
      |
    4 | ALTER TABLE events MODIFY COLUMN amount UInt32;
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: ClickHouse says CANNOT_CONVERT_TYPE (code 70): Conversion from AggregateFunction(sum, UInt32) to AggregateFunction(sum, UInt64) is not supported: while converting source column amount to destination column amount.
      = help: every INSERT into its source fails from here on: give the target a column of that type, under another name, and write to that

    error[allow-without-reason]: `populate` is allowed without a reason, which allows nothing
     --> schema/migrations/0002_change.sql:5:1
      |
    5 | -- housewright:allow(populate)
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: write why: `-- housewright:allow(populate) because …`

    warning[unused-allow]: this allows `broken-view`, and nothing of that is found here
     --> schema/migrations/0002_change.sql:8:1
      |
    8 | -- housewright:allow(broken-view) because it is not
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: remove the comment; it has to stand directly above the statement that it is about

    2 errors, 2 warnings: 7 statements in 2 migrations
      `housewright lint --explain RULE` says more of a rule

    ----- stderr -----
    ");
    snapshot!(sandbox.command(&["lint", "--format", "github"]), @"
    success: false
    exit_code: 1
    ----- stdout -----
    ::warning file=schema/migrations/0002_change.sql,line=2,col=31,title=datetime-without-time-zone::`events.at` is `DateTime`, without a time zone%0Aname it: `DateTime('UTC')`, `DateTime64(3, 'UTC')`
    ::error file=schema/migrations/0002_change.sql,line=4,col=1,title=state-mismatch::`totals_mv` does not fit `totals`: ClickHouse would not make it like this%0AClickHouse says CANNOT_CONVERT_TYPE (code 70): Conversion from AggregateFunction(sum, UInt32) to AggregateFunction(sum, UInt64) is not supported: while converting source column amount to destination column amount.%0Aevery INSERT into its source fails from here on: give the target a column of that type, under another name, and write to that
    ::error file=schema/migrations/0002_change.sql,line=5,col=1,title=allow-without-reason::`populate` is allowed without a reason, which allows nothing%0Awrite why: `-- housewright:allow(populate) because …`
    ::warning file=schema/migrations/0002_change.sql,line=8,col=1,title=unused-allow::this allows `broken-view`, and nothing of that is found here%0Aremove the comment; it has to stand directly above the statement that it is about

    ----- stderr -----
    ");
    snapshot!(sandbox.command(&["check"]), @"
    success: false
    exit_code: 1
    ----- stdout -----
    warning[datetime-without-time-zone]: `events.at` is `DateTime`, without a time zone
     --> schema/migrations/0002_change.sql:2:31
      |
    2 | ALTER TABLE events ADD COLUMN at DateTime;
      |                               ^^
      |
      = help: name it: `DateTime('UTC')`, `DateTime64(3, 'UTC')`

    error[state-mismatch]: `totals_mv` does not fit `totals`: ClickHouse would not make it like this
     --> schema/migrations/0002_change.sql:4:1
      |
    4 | ALTER TABLE events MODIFY COLUMN amount UInt32;
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: ClickHouse says CANNOT_CONVERT_TYPE (code 70): Conversion from AggregateFunction(sum, UInt32) to AggregateFunction(sum, UInt64) is not supported: while converting source column amount to destination column amount.
      = help: every INSERT into its source fails from here on: give the target a column of that type, under another name, and write to that

    error[allow-without-reason]: `populate` is allowed without a reason, which allows nothing
     --> schema/migrations/0002_change.sql:5:1
      |
    5 | -- housewright:allow(populate)
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: write why: `-- housewright:allow(populate) because …`

    warning[unused-allow]: this allows `broken-view`, and nothing of that is found here
     --> schema/migrations/0002_change.sql:8:1
      |
    8 | -- housewright:allow(broken-view) because it is not
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: remove the comment; it has to stand directly above the statement that it is about

      passed   files    7 statements in 2 migrations
      passed   sum      as they were recorded
      passed   replay   up, down, and up again
      FAILED   lint     2 errors, 2 warnings
      skipped  current  there is no schema/current
      skipped  docs     there is no schema/docs
      skipped  cases    there is no tests/views

    the schema does not hold in [DURATION]

    ----- stderr -----
    ");
    sandbox.write(
        "schema/housewright.toml",
        "[lint]\nstate-mismatch = \"off\"\ndatetime-without-time-zone = \"error\"\nunused = \"info\"\n",
    );
    snapshot!(sandbox.command(&["lint"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: `[lint]` of schema/housewright.toml
      because: there is no rule `unused`
      `housewright lint --rules` lists them
    ");
    sandbox.write(
        "schema/housewright.toml",
        "[lint]\nstate-mismatch = \"off\"\ndatetime-without-time-zone = \"info\"\n",
    );
    let (exit, value) = json(&sandbox, &["lint", "--format", "json"]);
    assert_eq!(exit, 1, "an allow without a reason is an error");
    assert_eq!(value["infos"], 1);
    assert_eq!(
        codes(&value),
        [
            "datetime-without-time-zone",
            "allow-without-reason",
            "unused-allow"
        ]
    );
}

#[test]
fn a_rule_is_explained() {
    let sandbox = Sandbox::new();
    snapshot!(sandbox.command(&["lint", "--explain", "populate"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    # populate

    A materialized view is made with POPULATE.

    ## Why

    Rows that are inserted while the view is filled are in neither of the two: measured, one row in nine under a steady stream of INSERTs.
    Nothing says so.

    ## Example

    ```sql
    CREATE TABLE events (id String) ENGINE = MergeTree ORDER BY id;
    CREATE MATERIALIZED VIEW counts_mv ENGINE = SummingMergeTree ORDER BY id POPULATE AS SELECT id, count() AS n FROM events GROUP BY id;
    ```

    ## Instead

    Make the view for what comes from now on, and fill in what was there before by a column that says when a row came.

    ```sql
    CREATE TABLE events (id String, received_at DateTime64(6, 'UTC') MATERIALIZED now64(6)) ENGINE = MergeTree ORDER BY id;
    CREATE TABLE counts (id String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY id;
    CREATE MATERIALIZED VIEW counts_mv TO counts AS SELECT id, count() AS n FROM events WHERE received_at >= '2030-01-01 00:00:00' GROUP BY id;
    ```

    ----- stderr -----
    ");
    snapshot!(sandbox.command(&["lint", "--explain", "populated-view"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: there is no rule `populated-view`; `view-without-target` is one
      `housewright lint --rules` lists them
    ");
    let list = sandbox.run(&["lint", "--rules"]);
    assert_eq!(list.lines().count(), housewright::lint::rules().len() + 1);
}

#[test]
fn sarif_is_what_code_scanners_read() {
    let sandbox = sandbox(
        "CREATE TABLE `counts ü` (id String, n UInt64) ENGINE = AggregatingMergeTree ORDER BY id;",
        "DROP TABLE `counts ü`;",
    );
    let (exit, mut value) = json(&sandbox, &["check", "--format", "sarif"]);
    assert_eq!(exit, 1);
    value["runs"][0]["tool"]["driver"]["rules"][0]["help"] = "[PAGE]".into();
    value["runs"][0]["tool"]["driver"]["version"] = "[VERSION]".into();
    insta::assert_snapshot!(serde_json::to_string_pretty(&value).unwrap(), @r#"
    {
      "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
      "version": "2.1.0",
      "runs": [
        {
          "tool": {
            "driver": {
              "name": "housewright",
              "version": "[VERSION]",
              "rules": [
                {
                  "id": "plain-column-in-aggregate",
                  "shortDescription": {
                    "text": "A column of an AggregatingMergeTree that is neither in the sorting key nor an aggregate"
                  },
                  "help": "[PAGE]",
                  "defaultConfiguration": {
                    "level": "error"
                  }
                }
              ]
            }
          },
          "columnKind": "unicodeCodePoints",
          "results": [
            {
              "ruleId": "plain-column-in-aggregate",
              "ruleIndex": 0,
              "level": "error",
              "message": {
                "text": "`counts ü.n` is neither in the sorting key nor an aggregate: a merge keeps one arbitrary value of it\nmake it `SimpleAggregateFunction(sum | max | min | …, UInt64)`, or put it into ORDER BY"
              },
              "locations": [
                {
                  "physicalLocation": {
                    "artifactLocation": {
                      "uri": "schema/migrations/0002_change.sql"
                    },
                    "region": {
                      "startLine": 2,
                      "startColumn": 37
                    }
                  }
                }
              ]
            }
          ]
        }
      ]
    }
    "#);
}

#[test]
fn a_secret_is_found_and_never_shown() {
    let sandbox = sandbox(
        "CREATE USER reader IDENTIFIED BY 'tr0ub4dor';",
        "DROP USER reader;",
    );
    for format in ["human", "json", "sarif", "github"] {
        let output = sandbox
            .command(&["lint", "--format", format])
            .output()
            .unwrap();
        let text = format!("{output:?}");
        assert_eq!(output.status.code(), Some(1));
        assert!(
            text.contains("a user's password stands in the migration"),
            "{text}"
        );
        assert!(!text.contains("tr0ub4dor"), "{text}");
    }
}

#[test]
fn every_step_of_check_can_fail_and_says_what_to_do() {
    let sandbox = sandbox("CREATE VIEW ids AS SELECT id FROM events;", "SELECT 1;");
    fs_err::create_dir_all(sandbox.path("schema/current")).unwrap();
    sandbox.write(
        "schema/current/nothing.sql",
        "CREATE TABLE nothing (a UInt8) ENGINE = Memory;\n",
    );
    sandbox.migration("0003_more.sql", "-- migrate:up\nALTER TABLE events ADD COLUMN b UInt8;\n-- migrate:down\nALTER TABLE events DROP COLUMN b;\n");
    fs_err::create_dir_all(sandbox.path("tests/views")).unwrap();
    sandbox.write(
        "tests/views/sum.md",
        "# Amounts are added up\n\nThat is what the view is for.\n\n## insert events\n\n| id | amount |\n|---|---|\n| a | 1 |\n| a | 2 |\n\n## query\n\n```sql\nSELECT sumMerge(amount) AS amount FROM totals\n```\n",
    );
    snapshot!(sandbox.command(&["check"]), @"
    success: false
    exit_code: 1
    ----- stdout -----
    error[sum-missing]: housewright.sum does not know 0003_more
     --> schema/migrations/0003_more.sql:1:1
      |
    1 | -- migrate:up
      | ^
      |
      = help: if the change is meant and no server has the migration yet, `housewright repair` records it; otherwise bring the file back (`git checkout`)

    error[down-not-inverse]: the down section of 0002_change does not lead back to where its up section began
     --> schema/migrations/0002_change.sql:4:1
      |
    4 | SELECT 1;
      | ^^^^^^^^
      |
      = note: before it and after it: `ids` is still there
      = help: take back all that the up section does, in the opposite order; a column that comes back has its old place with AFTER

    error[current-differs]: events.sql is missing
    --> schema/current/events.sql:1:1
     = help: `housewright dump --check` shows the difference; `housewright dump --write` writes the files anew

    error[current-differs]: ids.sql is missing
    --> schema/current/ids.sql:1:1
     = help: `housewright dump --check` shows the difference; `housewright dump --write` writes the files anew

    error[current-differs]: nothing.sql belongs to no object
    --> schema/current/nothing.sql:1:1
     = help: `housewright dump --check` shows the difference; `housewright dump --write` writes the files anew

    error[current-differs]: totals.sql is missing
    --> schema/current/totals.sql:1:1
     = help: `housewright dump --check` shows the difference; `housewright dump --write` writes the files anew

    error[current-differs]: totals_mv.sql is missing
    --> schema/current/totals_mv.sql:1:1
     = help: `housewright dump --check` shows the difference; `housewright dump --write` writes the files anew

    FAIL Amounts are added up tests/views/sum.md:1
         That is what the view is for.

      there are no golden rows yet; look at what came out, then `--accept`

      query

        amount
        3

    1 case: 1 new; 8 readings in [DURATION]

      passed   files    5 statements in 3 migrations
      FAILED   sum      1 error
      FAILED   replay   1 error: up, down, and up again
      passed   lint     nothing to report
      FAILED   current  5 errors: 4 objects
      skipped  docs     there is no schema/docs
      FAILED   cases    1 error: 1 case in 8 readings

    the schema does not hold in [DURATION]

    ----- stderr -----
    ");
    snapshot!(sandbox.command(&["check", "--skip", "sum", "--skip", "down", "--skip", "lint", "--skip", "current", "--skip", "cases"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
      passed   files    5 statements in 3 migrations
      skipped  sum      --skip sum
      passed   replay   up
      skipped  lint     --skip lint
      skipped  current  --skip current
      skipped  docs     there is no schema/docs
      skipped  cases    --skip cases

    the schema holds in [DURATION]

    ----- stderr -----
    ");
}

#[test]
fn a_statement_that_is_refused_ends_the_replay_and_not_the_report() {
    let sandbox = sandbox(
        "ALTER TABLE nowhere ADD COLUMN b UInt8;\nCREATE TABLE x ON CLUSTER c (id String) ENGINE = MergeTree ORDER BY id;",
        "DROP TABLE x;",
    );
    snapshot!(sandbox.command(&["check"]), @"
    success: false
    exit_code: 1
    ----- stdout -----
    error[refused]: the embedded ClickHouse refused this statement when the migrations were replayed
     --> schema/migrations/0002_change.sql:2:1
      |
    2 | ALTER TABLE nowhere ADD COLUMN b UInt8;
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: ClickHouse says UNKNOWN_TABLE (code 60): Could not find table: nowhere.
      = help: the migrations have to be executable from nothing, one after the other

    warning[hard-coded-cluster]: the migration names the cluster `c`
     --> schema/migrations/0002_change.sql:3:16
      |
    3 | CREATE TABLE x ON CLUSTER c (id String) ENGINE = MergeTree ORDER BY id;
      |                ^^^^^^^^^^^^
      |
      = help: leave ON CLUSTER to the target

      passed   files    5 statements in 2 migrations
      passed   sum      as they were recorded
      FAILED   replay   1 error: up, without what was refused
      passed   lint     1 warning
      skipped  current  there is no schema/current
      skipped  docs     there is no schema/docs
      skipped  cases    there is no tests/views

    the schema does not hold in [DURATION]

    ----- stderr -----
    ");
}

#[test]
fn what_needs_nothing_that_was_refused_is_judged() {
    let sandbox = sandbox(
        "ALTER TABLE events ADD COLUMN amount UInt8;\n\
         CREATE TABLE sums (id String, n UInt64) ENGINE = AggregatingMergeTree ORDER BY id;\n\
         CREATE VIEW seen AS SELECT id FROM events;\n\
         CREATE VIEW seen_twice AS SELECT id FROM seen;\n\
         CREATE VIEW summed AS SELECT id, n FROM sums;\n\
         ALTER TABLE sums DROP COLUMN nothing;\n\
         CREATE VIEW both AS SELECT id FROM sums WHERE id IN (SELECT id FROM seen);",
        "DROP VIEW both;\nDROP VIEW summed;\nDROP VIEW seen_twice;\nDROP VIEW seen;\nDROP TABLE sums;",
    );
    sandbox.migration(
        "0003_other.sql",
        "-- migrate:up\nCREATE TABLE other (id String, n UInt64) ENGINE = AggregatingMergeTree ORDER BY id;\n-- migrate:down\nDROP VIEW other;\nDROP TABLE nowhere;\n",
    );
    sandbox.run(&["repair", "-q"]);
    snapshot!(sandbox.command(&["lint"]), @"
    success: false
    exit_code: 1
    ----- stdout -----
    error[refused]: the embedded ClickHouse refused this statement when the migrations were replayed
     --> schema/migrations/0002_change.sql:2:1
      |
    2 | ALTER TABLE events ADD COLUMN amount UInt8;
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: ClickHouse says DUPLICATE_COLUMN (code 15): Cannot add column `amount`: column with this name already exists.
      = note: not executed because of it, and judged by the text alone: schema/migrations/0002_change.sql:4 CREATE VIEW, schema/migrations/0002_change.sql:5 CREATE VIEW, schema/migrations/0002_change.sql:8 CREATE VIEW
      = help: the migrations have to be executable from nothing, one after the other

    error[refused]: the embedded ClickHouse refused this statement when the migrations were replayed
     --> schema/migrations/0002_change.sql:7:1
      |
    7 | ALTER TABLE sums DROP COLUMN nothing;
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: ClickHouse says NOT_FOUND_COLUMN_IN_BLOCK (code 10): Wrong column name. Cannot find column `nothing` to drop.
      = note: not executed because of it, and judged by the text alone: schema/migrations/0002_change.sql:8 CREATE VIEW
      = help: the migrations have to be executable from nothing, one after the other

    error[plain-column-in-aggregate]: `other.n` is neither in the sorting key nor an aggregate: a merge keeps one arbitrary value of it
     --> schema/migrations/0003_other.sql:2:32
      |
    2 | CREATE TABLE other (id String, n UInt64) ENGINE = AggregatingMergeTree ORDER BY id;
      |                                ^
      |
      = help: make it `SimpleAggregateFunction(sum | max | min | …, UInt64)`, or put it into ORDER BY

    error[down-not-inverse]: the down section of 0003_other is refused
     --> schema/migrations/0003_other.sql:4:1
      |
    4 | DROP VIEW other;
      | ^^^^^^^^^^^^^^^
      |
      = note: ClickHouse says INCORRECT_QUERY (code 80): Table default.other is not a View.
      = help: it is executed after the whole up section; take things back in the opposite order

    4 errors: 11 statements in 3 migrations
      `housewright lint --explain RULE` says more of a rule

    ----- stderr -----
    ");
}

#[test]
fn behind_a_statement_that_might_be_anything_only_texts_are_judged() {
    let sandbox = sandbox(
        "CRATE TABLE x;\nCREATE TABLE sums (id String, n UInt64) ENGINE = AggregatingMergeTree ORDER BY id;",
        "DROP TABLE sums;",
    );
    let (exit, value) = json(&sandbox, &["lint", "--format", "json"]);
    assert_eq!((exit, codes(&value)), (1, vec!["refused"]), "{value:#}");
    let notes = &value["findings"][0]["notes"];
    assert!(
        notes[1]
            .as_str()
            .unwrap()
            .ends_with("0002_change.sql:3 CREATE TABLE"),
        "{notes}"
    );
}

#[test]
fn what_only_a_server_can_do_stops_nothing() {
    let sandbox = sandbox(
        "CREATE TABLE queue (id String) ENGINE = Kafka('b:9092', 't', 'g', 'JSONEachRow');\nCREATE TABLE far AS events ENGINE = Distributed('nowhere', currentDatabase(), 'events');\nCREATE DATABASE other;\nCREATE TABLE other.`a.b` (id String) ENGINE = Memory;\nCREATE VIEW elsewhere AS SELECT id FROM other.`a.b`;\nGRANT SELECT ON events TO reader;\nOPTIMIZE TABLE events FINAL;",
        "DROP VIEW elsewhere;\nDROP TABLE other.`a.b`;\nDROP DATABASE other;\nDROP TABLE far;\nDROP TABLE queue;",
    );
    sandbox.run(&["dump", "--write", "-q"]);
    let (exit, value) = json(&sandbox, &["check", "--format", "json"]);
    assert_eq!(exit, 0, "{value:#}");
    assert_eq!(codes(&value), ["hard-coded-database"], "{value:#}");
    let current = &value["steps"][4];
    assert_eq!(current["name"], "current");
    assert_eq!(current["what"], "6 objects, compared as text: far");
}

#[test]
fn strange_names_and_strange_sql_stop_nothing() {
    let sandbox = sandbox(
        "CREATE TABLE `select` (`from.x` String, `a``b` UInt64, `ü \"q\"` String, \"order by\" UInt8) ENGINE = MergeTree ORDER BY `from.x`;\nCREATE TABLE `t.1` (`from.x` String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY `from.x`;\nCREATE MATERIALIZED VIEW `mv 'x'` TO `t.1` AS SELECT `from.x`, sum(`a``b`) AS n FROM `select` GROUP BY `from.x`;\nCREATE VIEW `größe` AS FROM `select` SELECT * EXCEPT (`ü \"q\"`) APPLY(x -> toString(x)) // a comment\n;\nCREATE VIEW a AS SELECT id FROM events;\nCREATE VIEW b AS SELECT id FROM a;\nCREATE OR REPLACE VIEW a AS SELECT id AS id FROM events;\nCREATE FUNCTION twice AS x -> x * 2;\nCREATE VIEW c AS SELECT twice(amount) AS d FROM events;",
        "DROP VIEW c;\nDROP FUNCTION twice;\nDROP VIEW b;\nDROP VIEW a;\nDROP VIEW `größe`;\nDROP VIEW `mv 'x'`;\nDROP TABLE `t.1`;\nDROP TABLE `select`;",
    );
    let (exit, value) = json(&sandbox, &["check", "--format", "json"]);
    assert_eq!((exit, codes(&value)), (0, vec![]), "{value:#}");
}

#[test]
fn a_cycle_of_views_is_refused_where_it_is_closed() {
    let sandbox = sandbox(
        "CREATE VIEW a AS SELECT id FROM events;\nCREATE VIEW b AS SELECT id FROM a;\nCREATE OR REPLACE VIEW a AS SELECT id FROM b;",
        "DROP VIEW b;\nDROP VIEW a;",
    );
    let (exit, value) = json(&sandbox, &["check", "--format", "json"]);
    assert_eq!((exit, codes(&value)), (1, vec!["refused"]), "{value:#}");
    assert_eq!(value["findings"][0]["line"], 4);
}

#[test]
fn a_migration_that_comes_too_late_is_named() {
    let sandbox = sandbox(
        "ALTER TABLE events ADD COLUMN b UInt8;",
        "ALTER TABLE events DROP COLUMN b;",
    );
    fs_err::rename(
        sandbox.path("schema/migrations/0002_change.sql"),
        sandbox.path("schema/migrations/0005_change.sql"),
    )
    .unwrap();
    sandbox.run(&["repair", "-q"]);
    sandbox.migration(
        "0003_late.sql",
        "-- migrate:up\nALTER TABLE events ADD COLUMN c UInt8;\n-- migrate:down\nALTER TABLE events DROP COLUMN c;\n",
    );
    for verb in ["lint", "check"] {
        let (exit, value) = json(&sandbox, &[verb, "--format", "json"]);
        assert_eq!((exit, codes(&value)), (1, vec!["sum-out-of-order"]));
    }
}
