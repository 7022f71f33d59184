//! `test --mutants`: which mistakes in a schema its cases notice, on a schema of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod support;

use std::process::Command;

use camino_tempfile::Utf8TempDir;
use insta_cmd::assert_cmd_snapshot;

const SCHEMA: &str = "-- migrate:up
CREATE TABLE sales (shop String, at DateTime, amount UInt32) ENGINE = MergeTree ORDER BY (shop, at);
CREATE TABLE totals (shop String, amount SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY shop;
CREATE MATERIALIZED VIEW totals_mv TO totals AS SELECT shop, sum(amount) AS amount FROM sales GROUP BY shop;
CREATE VIEW report AS SELECT shop, sum(amount) AS total FROM totals GROUP BY shop HAVING total > 10;
";

const CASE: &str = "# Every sale counts

## insert sales

| shop | at                  | amount |
|------|---------------------|--------|
| a    | 2026-05-16 19:00:00 | 7      |
| a    | 2026-05-16 19:00:00 | 7      |
| b    | 2026-05-16 19:00:00 | 20     |
| d    | 2026-05-16 19:00:00 | 3      |

## query

```sql
SELECT shop, total FROM report
```
";

struct Sandbox(Utf8TempDir);

impl Sandbox {
    fn new(equivalents: &str) -> Self {
        let sandbox = Self::of(SCHEMA, &[("sales", CASE)]);
        if !equivalents.is_empty() {
            let path = sandbox.0.path().join("schema/equivalent_mutants.toml");
            fs_err::write(path, equivalents).unwrap();
        }
        sandbox
    }

    fn of(schema: &str, cases: &[(&str, &str)]) -> Self {
        let dir = support::directory();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        };
        write("schema/migrations/0001_totals.sql", schema);
        for (name, text) in cases {
            write(&format!("tests/views/{name}.md"), text);
        }
        let sandbox = Self(dir);
        let accepted = sandbox.command(&["test", "--accept"]).output().unwrap();
        assert!(accepted.status.success(), "{accepted:?}");
        sandbox
    }

    fn command(&self, args: &[&str]) -> Command {
        support::command(self.0.path(), args)
    }
}

fn filters() -> insta::internals::SettingsBindDropGuard {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"in (\d+ min )?[\d.]+ m?s\b", "in [TIME]");
    settings.bind_to_scope()
}

#[test]
fn killed_survived_equivalent_refused_and_a_list_that_is_held_against_them() {
    let _filters = filters();
    let listed = "[[equivalent]]
reason = \"within a shop nobody sees the order of the sales\"
mutants = [
    \"sales.order by: at → (dropped)\",
    \"report.total: something that was\",
    \"report.having: HAVING total > 10 → (dropped)\",
]
";
    let sandbox = Sandbox::new(listed);
    assert_cmd_snapshot!(sandbox.command(&[
        "test",
        "--mutants",
        "--mutant=report.having",
        "--mutant=sales.order by",
        "--mutant=sales.at: DateTime → Date",
    ]), @r#"
    success: false
    exit_code: 1
    ----- stdout -----
    SURVIVED report.having: total > 10 → >= schema/migrations/0001_totals.sql:5
      - CREATE VIEW report AS SELECT shop, sum(amount) AS total FROM totals GROUP BY shop HAVING total > 10
      + CREATE VIEW report AS SELECT shop, sum(amount) AS total FROM totals GROUP BY shop HAVING total >= 10

      no case notices, yet generated rows do: SELECT * FROM `report` (as written, unmerged)
        a row too many
        shop   A~839
        total  10

    SURVIVED report.having: 10 → 11 schema/migrations/0001_totals.sql:5
      - CREATE VIEW report AS SELECT shop, sum(amount) AS total FROM totals GROUP BY shop HAVING total > 10
      + CREATE VIEW report AS SELECT shop, sum(amount) AS total FROM totals GROUP BY shop HAVING total > 11

      no case notices, yet generated rows do: SELECT * FROM `report` (as written, unmerged)
        a row is missing
        shop   a~116
        total  11

    equivalent: within a shop nobody sees the order of the sales
      sales.order by: at → (dropped)

    error[unexplained-equivalent]: nothing tells the mutant `sales.order by: shop → (dropped)` from the schema
     --> schema/migrations/0001_totals.sql:2:91
      |
    2 | CREATE TABLE sales (shop String, at DateTime, amount UInt32) ENGINE = MergeTree ORDER BY (shop, at);
      |                                                                                           ^^^^^
      |
      = note: CREATE TABLE sales (shop String, at DateTime, amount UInt32) ENGINE = MergeTree ORDER BY ( at)
      = help: think why: add a case that tells them apart, simplify the schema, or give the reason in schema/equivalent_mutants.toml

    error[stale-equivalent]: `report.total: something that was` is no mutant of this schema, and is listed as equivalent
     --> schema/equivalent_mutants.toml:5:5
      |
    5 |     "report.total: something that was",
      |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: remove the line

    error[stale-equivalent]: `report.having: HAVING total > 10 → (dropped)` is told from the schema by a case, and is listed as equivalent
     --> schema/equivalent_mutants.toml:6:5
      |
    6 |     "report.having: HAVING total > 10 → (dropped)",
      |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: remove the line

    6 mutants: 1 killed, 2 survived, 2 equivalent, 1 refused by ClickHouse, 3 findings; score 33.3 %; in [TIME]

    ----- stderr -----
    "#);
}

#[test]
fn a_wanted_score_is_reached_or_not() {
    let sandbox = Sandbox::new("");
    let run = |more: &[&str]| {
        let mut args = vec![
            "test",
            "--mutants",
            "--format=json",
            "--mutant=report.having: ",
        ];
        args.extend(more);
        let output = sandbox.command(&args).output().unwrap();
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), json)
    };
    let (code, json) = run(&["--min-score=10"]);
    assert_eq!(code, Some(0), "{json:#}");
    assert_eq!(json["version"], 1);
    let fate = |name: &str| {
        let mutants = json["mutants"].as_array().unwrap();
        let mutant = mutants.iter().find(|mutant| mutant["name"] == name);
        mutant.unwrap().clone()
    };
    let dropped = fate("report.having: HAVING total > 10 → (dropped)");
    assert_eq!(
        (&dropped["fate"], &dropped["case"]),
        (&"killed".into(), &"sales".into())
    );
    let survivor = fate("report.having: total > 10 → >=");
    assert_eq!(survivor["fate"], "survived");
    assert_eq!(survivor["example"]["mutant"][1], "10");
    assert_eq!(run(&["--min-score=99"]).0, Some(1));
    assert_eq!(
        run(&["--mutant=nothing like this"]).0,
        Some(1),
        "a survivor without a wanted score"
    );
}

#[test]
fn nothing_is_tried_that_is_not_there_or_whose_cases_fail() {
    let _filters = filters();
    let sandbox = Sandbox::new("");
    assert_cmd_snapshot!(sandbox.command(&["test", "--mutants", "--mutant=nothing like this"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: there is nothing to change: no mutant has this in its name
    ");
    let path = sandbox.0.path().join("tests/views/sales.md");
    let text = fs_err::read_to_string(&path).unwrap();
    fs_err::write(&path, text.replace("| 20 ", "| 21 ")).unwrap();
    let output = sandbox.command(&["test", "--mutants"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let talk = String::from_utf8(output.stderr).unwrap();
    assert!(
        talk.contains("the cases have to hold for the schema itself first"),
        "{talk}"
    );
}

/// The cases that are left out lend their rows all the same: else a mistake that only they could show would be called equivalent.
#[test]
fn a_filter_makes_no_mistake_equivalent() {
    let schema = SCHEMA.replace(
        "sum(amount) AS total FROM totals GROUP BY shop HAVING total > 10",
        "sumIf(amount, shop = 'north') AS north FROM totals GROUP BY shop",
    );
    let case = |shop: &str| {
        format!(
            "# Shop {shop}\n\n## insert sales\n\n| shop | at | amount |\n|--|--|--|\n| {shop} | 2026-05-16 19:00:00 | 7 |\n\n\
             ## query\n\n```sql\nSELECT shop, north FROM report\n```\n"
        )
    };
    let sandbox = Sandbox::of(
        &schema,
        &[("north", &case("north")), ("south", &case("south"))],
    );
    let fates = |filter: &[&str]| {
        let mut args = vec![
            "test",
            "--mutants",
            "--format=json",
            "--mutant=report.north: amount",
        ];
        args.extend(filter);
        let output = sandbox.command(&args).output().unwrap();
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let mutants = json["mutants"].as_array().unwrap().clone();
        assert!(!mutants.is_empty(), "{json:#}");
        let fates = mutants
            .iter()
            .map(|mutant| mutant["fate"].as_str().unwrap().to_owned());
        fates.collect::<std::collections::BTreeSet<String>>()
    };
    assert_eq!(fates(&[]), ["killed".to_owned()].into());
    assert_eq!(fates(&["--filter=south"]), ["survived".to_owned()].into());
}
