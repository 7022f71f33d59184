//! What changes between two versions of a schema, and what lies behind a view.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod support;

use std::process::Command;

use support::sandbox::{Sandbox, snapshot};

const HITS: &str = "-- migrate:up
CREATE TABLE hits (page String, visitor String, ms UInt32) ENGINE = MergeTree ORDER BY page;
CREATE TABLE pages_v1 (page String, hits SimpleAggregateFunction(sum, UInt64), slowest SimpleAggregateFunction(max, UInt32))
ENGINE = AggregatingMergeTree ORDER BY page;
CREATE MATERIALIZED VIEW pages_v1_mv TO pages_v1 AS SELECT page, count() AS hits, max(ms) AS slowest FROM hits GROUP BY page;
CREATE VIEW pages AS SELECT page, hits, slowest FROM pages_v1 FINAL;
CREATE VIEW slow AS SELECT page, slowest FROM pages_v1 FINAL WHERE slowest >= {least:UInt32};
";

const CASE: &str = "# Every hit counts

## insert hits

| page | visitor | ms |
|------|---------|----|
| /    | a       | 10 |
| /    | a       | 30 |
| /faq | b       | 20 |

## query

```sql
SELECT * FROM pages
```

## query what is slow

```sql
SELECT * FROM slow(least = 25)
```
";

/// A schema and a case, in a git repository.
fn project() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.migration("0001_hits.sql", HITS);
    fs_err::create_dir_all(sandbox.path("tests/views")).unwrap();
    sandbox.write("tests/views/every_hit_counts.md", CASE);
    sandbox.run(&["repair", "-q"]);
    git(&sandbox, &["init", "-q"]);
    git(&sandbox, &["add", "."]);
    git(&sandbox, &["commit", "-qm", "hits"]);
    sandbox
}

fn git(sandbox: &Sandbox, args: &[&str]) {
    let status = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@example.com"])
        .args(args)
        .current_dir(sandbox.dir.path())
        .status()
        .unwrap();
    assert!(status.success(), "{args:?}");
}

#[test]
fn the_reviewer_sees_which_rows_and_columns_another_version_changes() {
    let sandbox = project();
    snapshot!(sandbox.command(&["test", "--against", "HEAD"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
      view   rows  change  in rows
      pages    10  same
      slow      2  same

    nothing changes against HEAD: 2 sets of rows in [DURATION]

    ----- stderr -----
    ");
    sandbox.migration(
        "0001_hits.sql",
        &HITS
            .replace("count() AS hits", "uniq(visitor) AS hits")
            .replace(
                "slowest FROM pages_v1 FINAL;",
                "slowest, hits > 1 AS popular FROM pages_v1 FINAL WHERE page != '/faq';",
            ),
    );
    sandbox.run(&["repair", "-q"]);
    snapshot!(sandbox.command(&["test", "--against", "HEAD", "--filter", "hit", "--states"]), @"
    success: false
    exit_code: 1
    ----- stdout -----
      view      rows  change                 in rows
      pages        8  column popular is new
      pages        8  rows gone                    1
      pages        8  hits                         4
      pages_v1    32  hits                         4
      slow         2  same

    pages

      case              row   column  before  now
      every_hit_counts  /     hits    2       1
      every_hit_counts  /faq                  is gone
      generated rows    a     hits    7       3
      generated rows    a-1   hits    10      3
      generated rows    b     hits    7       3

    pages_v1

      case              row  column  before  now
      every_hit_counts  /    hits    2       1
      generated rows    a    hits    7       3
      generated rows    a-1  hits    10      3
      generated rows    b    hits    7       3

    2 of 3 views change against HEAD: 2 sets of rows in [DURATION]

    ----- stderr -----
    ");
    // The same in a directory, for a program, seen from the other side.
    let old = Sandbox::new();
    old.migration("0001_hits.sql", HITS);
    old.run(&["repair", "-q"]);
    let output = old
        .command(&["test", "--format", "json", "--against"])
        .arg(sandbox.path("schema"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["same"], false);
    assert_eq!(json["sets_of_rows"], 1);
    let pages = &json["views"][0];
    assert_eq!(pages["name"], "pages");
    assert_eq!(pages["columns_gone"], serde_json::json!(["popular"]));
    let change = &pages["changes"][0];
    assert_eq!(change["case"], "generated rows");
    assert!(change["now"]["page"].is_string(), "{change}");
}

#[test]
fn what_is_no_version_is_said() {
    let sandbox = project();
    snapshot!(sandbox.command(&["test", "--against", "v9"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: `--against v9` is neither a schema directory nor a revision that git knows of schema
      git knows no such commit
    ");
    fs_err::create_dir_all(sandbox.path("empty")).unwrap();
    snapshot!(sandbox.command(&["test", "--against", "empty"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: could not read the migrations
      `housewright new NAME` makes the first one
      because: failed to read directory `empty/migrations`: No such file or directory (os error 2)
    ");
    sandbox.migration(
        "0002_bad.sql",
        "-- migrate:up\nCREATE VIEW bad AS SELECT nothing FROM hits;\n",
    );
    sandbox.run(&["repair", "-q"]);
    git(&sandbox, &["add", "."]);
    git(&sandbox, &["commit", "-qm", "bad"]);
    fs_err::remove_file(sandbox.path("schema/migrations/0002_bad.sql")).unwrap();
    sandbox.run(&["repair", "-q"]);
    snapshot!(sandbox.command(&["test", "--against", "HEAD"]), @"
    success: false
    exit_code: 3
    ----- stdout -----

    ----- stderr -----
    error: ClickHouse refused HEAD:migrations/0002_bad.sql:2
      because: ClickHouse says UNKNOWN_IDENTIFIER (code 47): Unknown expression identifier `nothing` in scope SELECT nothing FROM housewright_test_[RUN].hits.
    ");
    snapshot!(sandbox.command(&["test", "--against", "HEAD", "--format", "junit"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: `test --against` reports in the formats human and json; junit and github are for cases
    ");
}

#[test]
fn the_rows_behind_a_view_stand_beside_it() {
    let sandbox = project();
    snapshot!(sandbox.command(&["test", "--states"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    Every hit counts tests/views/every_hit_counts.md

      query

        page | hits | slowest
        /    | 2    | 30
        /faq | 1    | 20

      query what is slow

        page | slowest
        /    | 30

      pages_v1 as written, unmerged

        page | hits | slowest
        /    | 2    | 30
        /faq | 1    | 20

      pages_v1 one INSERT a row, unmerged

        page | hits | slowest
        /    | 1    | 10
        /    | 1    | 30
        /faq | 1    | 20


    ----- stderr -----
    ");
}
