//! `test --invariance` from the outside: wrong views are found without golden rows, right ones pass.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod support;

use std::process::Command;

use camino_tempfile::Utf8TempDir;
use insta_cmd::assert_cmd_snapshot;

const HITS: &str = "-- migrate:up\nCREATE TABLE hits (site String, at DateTime64(3, 'UTC'), id String, source Nullable(String), url String)\n    ENGINE = MergeTree ORDER BY (site, at, id);\n";

/// A schema of `hits` and these statements.
fn world(statements: &str) -> Utf8TempDir {
    let dir = support::directory();
    fs_err::create_dir_all(dir.path().join("schema/migrations")).unwrap();
    fs_err::write(
        dir.path().join("schema/migrations/0001_hits.sql"),
        format!("{HITS}{statements}"),
    )
    .unwrap();
    dir
}

fn check(dir: &Utf8TempDir, args: &[&str]) -> Command {
    let mut command = Command::new(support::program());
    command
        .args(["test", "--invariance"])
        .args(args)
        .current_dir(dir.path())
        .env("HOUSEWRIGHT_LIBCHDB", support::library());
    command
}

macro_rules! snapshot {
    ($command:expr, @$expected:literal) => {{
        let mut settings = insta::Settings::clone_current();
        settings.add_filter(r"\b\d+ min \d+ s\b|\b\d+(\.\d)? (ms|s)\b", "[DURATION]");
        settings.add_filter(r#""took_ms": \d+"#, r#""took_ms": "[NUMBER]""#);
        let _scope = settings.bind_to_scope();
        assert_cmd_snapshot!($command, @$expected);
    }};
}

#[test]
fn the_first_that_arrived_is_not_the_first() {
    let dir = world("CREATE TABLE visits (site String, source SimpleAggregateFunction(any, Nullable(String))) ENGINE = AggregatingMergeTree ORDER BY site;
CREATE MATERIALIZED VIEW visits_mv TO visits AS SELECT site, any(source) AS source FROM hits GROUP BY site;
CREATE VIEW first_source AS SELECT site, any(source) AS source FROM visits GROUP BY site;
");
    // Which of several parts is read first, and so which history differs first, is up to the threads.
    insta::with_settings!({filters => vec![(r"`one INSERT a row[^`]*` gives", "`[HISTORY]` gives")]}, {
    snapshot!(check(&dir, &["--filter", "first_source"]), @"
    success: false
    exit_code: 1
    ----- stdout -----
    UNSTABLE      first_source: source

      `[HISTORY]` gives other rows than `as written, unmerged`

      first_source

        site   a
        source before  - ''
               now     + x

        the fewest rows of `hits` with which it differs:
        source
        ''
        x


    hits: 24 rows generated
    1 wrong of 1 views and kept tables; 12 readings in [DURATION] (seed 1)

    ----- stderr -----
    ");
    });
}

#[test]
fn a_plain_counter_is_right_until_parts_merge() {
    let dir = world(
        "CREATE TABLE visits (site String, n UInt64) ENGINE = AggregatingMergeTree ORDER BY site;
CREATE MATERIALIZED VIEW visits_mv TO visits AS SELECT site, count() AS n FROM hits GROUP BY site;
CREATE VIEW hit_count AS SELECT site, sum(n) AS n FROM visits GROUP BY site;
",
    );
    snapshot!(check(&dir, &["--filter", "hit_count", "--format", "json"]), @r#"
    success: false
    exit_code: 1
    ----- stdout -----
    {
      "version": 1,
      "ok": false,
      "seed": 1,
      "views": [
        {
          "name": "hit_count",
          "state": false,
          "verdict": "unstable",
          "message": null,
          "baseline": "as written, unmerged",
          "history": "one INSERT a row, merged",
          "columns": [
            "n"
          ],
          "differences": [
            {
              "query": "hit_count",
              "line": 1,
              "expected": {
                "site": "a",
                "n": "2"
              },
              "found": {
                "site": "a",
                "n": "1"
              }
            }
          ],
          "rows": [
            {
              "table": "hits",
              "columns": [
                "row"
              ],
              "rows": [
                [
                  "1 (equal to the others)"
                ],
                [
                  "2 (equal to the others)"
                ]
              ]
            }
          ]
        }
      ],
      "tables": [
        {
          "name": "hits",
          "rows": 24,
          "refused": 0
        }
      ],
      "readings": 12,
      "took_ms": "[NUMBER]"
    }

    ----- stderr -----
    "#);
}

#[test]
fn a_subcolumn_under_final_is_not_aggregated() {
    let dir = world("CREATE TABLE visits (site String, entry SimpleAggregateFunction(min, Tuple(at DateTime64(3, 'UTC'), id String, url String))) ENGINE = AggregatingMergeTree ORDER BY site;
CREATE MATERIALIZED VIEW visits_mv TO visits AS SELECT site, min((at, id, url)) AS entry FROM hits GROUP BY site;
CREATE VIEW wrong AS SELECT site, entry.url AS url FROM visits FINAL;
CREATE VIEW right AS SELECT site, tupleElement(entry, 'url') AS url FROM visits FINAL;
");
    snapshot!(check(&dir, &[]), @"
    success: false
    exit_code: 1
    ----- stdout -----
    stable        right
    UNSTABLE      wrong: url

      `one INSERT a row, the last first, half merged` gives other rows than `as written, unmerged`

      wrong

        site a
        url  before  - y
             now     + é東🦀

        the fewest rows of `hits` with which it differs:
        url
        y
        é東🦀

    stable        visits (finalized)

    hits: 72 rows generated
    1 wrong of 3 views and kept tables; 36 readings in [DURATION] (seed 1)

    ----- stderr -----
    ");
}

#[test]
fn a_view_that_looks_into_another_table_misses_what_comes_later() {
    let dir = world("CREATE TABLE names (site String, name String) ENGINE = MergeTree ORDER BY site;
CREATE TABLE visits (site String, named SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY site;
CREATE MATERIALIZED VIEW visits_mv TO visits AS SELECT site, countIf(site IN (SELECT site FROM names)) AS named FROM hits GROUP BY site;
");
    snapshot!(check(&dir, &[]), @"
    success: false
    exit_code: 1
    ----- stdout -----
    NOT MERGEABLE visits (finalized): named

      what the trigger kept of one INSERT a row is not its SELECT over all rows at once

      visits

        site  a
        named SELECT  - 1
              kept    + 0

        the fewest rows of `hits` with which it differs:
        site | at                      | id   | source | url
        a    | 2026-03-01 00:00:00.999 | 9f06 | NULL   | é東🦀

        the fewest rows of `names` with which it differs:
        site | name
        a    | z


    hits: 24 rows generated
    names: 24 rows generated
    1 wrong of 1 views and kept tables; 12 readings in [DURATION] (seed 1)

    ----- stderr -----
    ");
}

#[test]
fn a_name_that_no_view_has_proves_nothing() {
    let dir = world("CREATE VIEW all_hits AS SELECT * FROM hits;\n");
    snapshot!(check(&dir, &["--filter", "nothing"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: no view of this schema has such a name, so nothing was proven
    ");
}
