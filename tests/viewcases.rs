//! The view cases of this project wherever they run, and what `test` says of cases that are no cases.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod support;

use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use camino_tempfile::Utf8TempDir;
use housewright::clickhouse::Client;
use housewright::config::{Environment, Flags, resolve};
use housewright::migration::Migrations;
use housewright::scratch::Blueprint;
use housewright::viewtest::stage::Theatre;
use housewright::viewtest::{Mode, Suite};
use insta_cmd::assert_cmd_snapshot;

const SCHEMA: &str = "-- migrate:up
CREATE TABLE hits (page String, at UInt32) ENGINE = MergeTree ORDER BY at;
CREATE TABLE counts (page String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY page;
CREATE MATERIALIZED VIEW counts_mv TO counts AS SELECT page, count() AS n FROM hits GROUP BY page;
";

const GOOD: &str = "# Hits are counted\n\nEvery one.\n\n## insert hits\n\n| page | at |\n|------|----|\n| a    | 1  |\n| a    | 2  |\n\n## query\n\n```sql\nSELECT page, sum(n) AS n FROM counts GROUP BY page\n```\n";

/// A small schema with a view, and cases.
struct Sandbox {
    dir: Utf8TempDir,
}

impl Sandbox {
    fn new(cases: &[(&str, &[u8])]) -> Self {
        let dir = support::directory();
        for directory in ["schema/migrations", "tests/views"] {
            fs_err::create_dir_all(dir.path().join(directory)).unwrap();
        }
        let sandbox = Self { dir };
        fs_err::write(sandbox.path("schema/migrations/0001_hits.sql"), SCHEMA).unwrap();
        for (name, text) in cases {
            sandbox.case(name, text);
        }
        assert!(
            sandbox
                .command(&["repair", "-q"])
                .status()
                .unwrap()
                .success()
        );
        sandbox
    }

    fn path(&self, name: &str) -> Utf8PathBuf {
        self.dir.path().join(name)
    }

    fn case(&self, name: &str, text: &[u8]) {
        fs_err::write(self.path("tests/views").join(name), text).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        support::command(self.dir.path(), args)
    }
}

macro_rules! snapshot {
    ($command:expr, @$expected:literal) => {
        insta::with_settings!({filters => vec![
            (r"in \d+(\.\d+)? ?(ms|s|min)( \d+ s)?", "in [DURATION]"),
        ]}, { assert_cmd_snapshot!($command, @$expected) });
    };
}

#[test]
fn what_is_wrong_with_a_case_is_named_with_its_line_and_never_passes() {
    let query = GOOD.split_once("## query").unwrap().1;
    let with = |insert: &str| format!("# Hits are counted\n\n{insert}\n\n## query{query}");
    let sandbox = Sandbox::new(&[
        ("column.md", with("## insert hits\n\n| page | when |\n|------|------|\n| a    | 1    |").as_bytes()),
        ("event.md", with("## insert hits\n\n```json\n{\"page\": \"a\", \"at\": 1}\n{\"page\": \"a\", \"at\":\n```").as_bytes()),
        ("fails.md", GOOD.replace("SELECT page,", "SELECT url,").as_bytes()),
        ("nothing.md", GOOD.split_once("## query").unwrap().0.as_bytes()),
        ("orphan.snap", b"---\nsource: tests/views/gone.md\n---\n## query\n"),
        ("table.md", with("## insert clicks\n\n| page |\n|------|\n| a    |").as_bytes()),
        ("text.md", b"# \xff\n"),
        ("value.md", with("## insert hits\n\n| page | at    |\n|------|-------|\n| a    | today |").as_bytes()),
    ]);
    snapshot!(sandbox.command(&["test", "--accept"]), @r#"
    success: false
    exit_code: 1
    ----- stdout -----
    FAIL Hits are counted tests/views/column.md:5

      `hits` has no column `when`

        error[unknown-column]: `hits` has no column `when`
         --> tests/views/column.md:5:9
          |
        5 | | page | when |
          |         ^^^^^^
          |
          = help: it has: page, at

    FAIL Hits are counted tests/views/fails.md:12
         Every one.

      ClickHouse refused this step: 47 UNKNOWN_IDENTIFIER: Unknown expression identifier `url` in scope SELECT url, sum(n) AS n FROM counts GROUP BY page.

        error[refused]: ClickHouse refused this step
          --> tests/views/fails.md:12:1
           |
        12 | ## query
           | ^^^^^^^^
           |
           = note: 47 UNKNOWN_IDENTIFIER: Unknown expression identifier `url` in scope SELECT url, sum(n) AS n FROM counts GROUP BY page.

    FAIL Hits are counted tests/views/table.md:3

      the schema has no table `clicks`

        error[unknown-table]: the schema has no table `clicks`
         --> tests/views/table.md:3:1
          |
        3 | ## insert clicks
          | ^^^^^^^^^^^^^^^^

    FAIL Hits are counted tests/views/value.md:7

      ClickHouse refused this step: 27 CANNOT_PARSE_INPUT_ASSERTION_FAILED: Cannot parse input: expected 'true' before: 'oday"}\n': (while reading the value of key at): (at row 1)
    : While executing JSONEachRowRowInputFormat.

        error[refused]: ClickHouse refused this step
         --> tests/views/value.md:7:1
          |
        7 | | a    | today |
          | ^^^^^^^^^^^^^^^^
          |
          = note: 27 CANNOT_PARSE_INPUT_ASSERTION_FAILED: Cannot parse input: expected 'true' before: 'oday"}\n': (while reading the value of key at): (at row 1)
                  : While executing JSONEachRowRowInputFormat.

    error[bad-event]: this line is not a JSON object: EOF while parsing a value at line 2 column 0
     --> tests/views/event.md:7:1
      |
    7 | {"page": "a", "at":
      | ^^^^^^^^^^^^^^^^^^^
      |
      = help: one object a line

    error[no-query]: the case asks nothing, so it could never fail
     --> tests/views/nothing.md:1:1
      |
    1 | # Hits are counted
      | ^
      |
      = help: add `## query` and a SELECT in a ```sql block

    error[unreadable-case]: tests/views/text.md is not UTF-8: invalid utf-8 sequence of 1 bytes from index 2
    --> tests/views/text.md:1:1

    error[orphan-snapshot]: golden rows without a case
     --> tests/views/orphan.snap:1:1
      |
    1 | ---
      | ^
      |
      = help: remove the file, or bring its case back

    4 cases: 4 broken, 4 findings; 0 readings in [DURATION]

    ----- stderr -----
    "#);
}

#[test]
fn machines_are_told_the_same_with_file_and_line() {
    let nothing = GOOD.split_once("## query").unwrap().0;
    let sandbox = Sandbox::new(&[
        (
            "fails.md",
            GOOD.replace("SELECT page,", "SELECT url,").as_bytes(),
        ),
        ("good.md", GOOD.as_bytes()),
        ("nothing.md", nothing.as_bytes()),
    ]);
    let told = |args: &[&str]| {
        let output = sandbox.command(args).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    told(&["test", "--accept"]);
    let holds = |format: &str, parts: &[&str]| {
        let text = told(&["test", "--format", format]);
        for part in parts {
            assert!(text.contains(part), "{format} without {part}:\n{text}");
        }
    };
    holds(
        "junit",
        &[
            "tests=\"3\" skipped=\"0\" errors=\"1\" failures=\"1\"",
            "tests/views/fails.md:12",
            "tests/views/nothing.md:1: the case asks nothing",
        ],
    );
    holds(
        "github",
        &[
            "::error file=tests/views/fails.md,line=12",
            "::error file=tests/views/nothing.md,line=1",
        ],
    );
    let json: serde_json::Value =
        serde_json::from_str(&told(&["test", "--format", "json"])).unwrap();
    assert_eq!(json["ok"], false);
    let cases = json["cases"].as_array().unwrap();
    let verdicts: Vec<(&str, u64)> = cases
        .iter()
        .map(|case| {
            (
                case["verdict"].as_str().unwrap(),
                case["line"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(verdicts, [("broken", 12), ("passed", 1)]);
    assert_eq!(json["findings"][0]["code"], "no-query");
    assert_eq!(json["findings"][0]["line"], 1);
}

#[test]
fn a_case_that_has_changed_does_not_pass_until_it_is_accepted() {
    let sandbox = Sandbox::new(&[("good.md", GOOD.as_bytes())]);
    snapshot!(sandbox.command(&["test"]).env("CI", "1"), @"
    success: false
    exit_code: 1
    ----- stdout -----
    FAIL Hits are counted tests/views/good.md:1
         Every one.

      there are no golden rows yet; look at what came out, then `--accept`

      query

        page | n
        a    | 2

    1 case: 1 new; 8 readings in [DURATION]

    ----- stderr -----
    ");
    assert!(!sandbox.path("tests/views/good.snap.new").exists());
    snapshot!(sandbox.command(&["test", "--accept"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    1 case: 1 accepted; 8 readings in [DURATION]

    ----- stderr -----
    ");
    snapshot!(sandbox.command(&["test"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    1 case: 1 passed; 8 readings in [DURATION]

    ----- stderr -----
    ");
    // Another story with the same rows.
    sandbox.case("good.md", GOOD.replace("| 2  |", "| 3  |").as_bytes());
    snapshot!(sandbox.command(&["test"]), @"
    success: false
    exit_code: 1
    ----- stdout -----
    FAIL Hits are counted tests/views/good.md:1
         Every one.

      the case has changed since its golden rows were accepted; they are the same ones still: `--accept`

    1 case: 1 changed; 8 readings in [DURATION]

    ----- stderr -----
    ");
    // Other rows.
    sandbox.case(
        "good.md",
        GOOD.replace("| a    | 2  |", "| b    | 2  |").as_bytes(),
    );
    snapshot!(sandbox.command(&["test"]), @"
    success: false
    exit_code: 1
    ----- stdout -----
    FAIL Hits are counted tests/views/good.md:12
         Every one.

      every history agrees, and 2 rows differ from the golden ones

      query (line 12)

        page a
        n    golden  - 2
             now     + 1

        made from these rows of `hits`:
        page | at
        a    | 1

        a row too many
        page b
        n    1

        made from these rows of `hits`:
        page | at
        b    | 2

    1 case: 1 differs; 8 readings in [DURATION]

    ----- stderr -----
    ");
    assert!(sandbox.path("tests/views/good.snap.new").exists());
}

#[test]
fn no_cases_are_no_success() {
    let sandbox = Sandbox::new(&[("README.md", b"# How\n")]);
    snapshot!(sandbox.command(&["test"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: there are no cases in tests/views
      a case is a Markdown file: `# What is true`, `## insert TABLE` with a table of rows, `## query` with a ```sql block
    ");
    snapshot!(sandbox.command(&["test", "--cases", "nowhere"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: failed to read directory `nowhere`: No such file or directory (os error 2)
      a case is a Markdown file: `# What is true`, `## insert TABLE` with a table of rows, `## query` with a ```sql block
    ");
    sandbox.case("good.md", GOOD.as_bytes());
    snapshot!(sandbox.command(&["test", "--filter", "bad"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: no case in tests/views has `bad` in its name or title
      a case is a Markdown file: `# What is true`, `## insert TABLE` with a table of rows, `## query` with a ```sql block
    ");
}

/// Another time zone, another alphabet, one thread in the engine, eight cases at once.
#[test]
fn the_golden_rows_hold_in_another_environment() {
    let output = support::command(
        Utf8Path::new(env!("CARGO_MANIFEST_DIR")),
        &["test", "--jobs", "8", "--setting", "max_threads=1"],
    )
    .env("CI", "1")
    .env("TZ", "Asia/Kathmandu")
    .env("LC_ALL", "tr_TR.UTF-8")
    .output()
    .unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Sixteen threads in the engine, and each case after the one that it comes before elsewhere; every third, and all with `HOUSEWRIGHT_FULL=1`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_golden_rows_hold_in_another_order() {
    let flags = Flags {
        schema: Some(support::schema()),
        ..Flags::default()
    };
    let settings = resolve(&flags, &Environment::of(&[])).unwrap();
    let migrations = Migrations::load(&settings.schema).unwrap();
    let blueprint = Blueprint::of(&migrations, &settings.database).unwrap();
    let client = Client::new(support::engine(), "default").unwrap();
    let threads = [("max_threads".to_owned(), "16".to_owned())];
    let theatre = Theatre::new(&client, "viewcases", &threads).await.unwrap();
    let mut suite = Suite::load(&settings.cases).unwrap();
    suite.cases.reverse();
    assert!(suite.cases.len() >= 40);
    let mut number = 0;
    suite.cases.retain(|_| {
        number += 1;
        support::full() || number % 3 == 0
    });
    let outcomes = suite
        .play(
            &theatre,
            &blueprint,
            &settings.test,
            Mode::Check,
            1,
            &|_| {},
        )
        .await;
    theatre.sweep().await.unwrap();
    let bad: Vec<String> = outcomes
        .unwrap()
        .iter()
        .filter(|outcome| !outcome.verdict.is_good())
        .map(|outcome| format!("{}: {:?}", suite.cases[outcome.index].name, outcome.verdict))
        .collect();
    assert!(bad.is_empty(), "{}", bad.join("\n"));
    assert!(suite.findings.is_empty(), "{:?}", suite.findings);
}

/// Where inserts are deduplicated, every batch is sent twice in one more history: a client that had no answer does that.
#[test]
fn a_batch_that_is_sent_again_counts_once_or_it_is_said() {
    let window = "SETTINGS non_replicated_deduplication_window = 100";
    let case = GOOD.replace(
        "SELECT page, sum(n) AS n FROM counts GROUP BY page",
        "SELECT (SELECT count() FROM hits) AS hits, (SELECT sum(n) FROM counts) AS counted",
    );
    let sandbox = Sandbox::new(&[("hits.md", case.as_bytes())]);
    let schema = |text: String| {
        fs_err::write(sandbox.path("schema/migrations/0001_hits.sql"), text).unwrap();
        assert!(
            sandbox
                .command(&["repair", "-q"])
                .status()
                .unwrap()
                .success()
        );
    };
    snapshot!(sandbox.command(&["test", "--accept"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    1 case: 1 accepted; 8 readings in [DURATION]

    ----- stderr -----
    ");
    schema(
        SCHEMA
            .replace("ORDER BY at", &format!("ORDER BY at {window}"))
            .replace("ORDER BY page", &format!("ORDER BY page {window}")),
    );
    snapshot!(sandbox.command(&["test"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    1 case: 1 passed; 10 readings in [DURATION]

    ----- stderr -----
    ");
    // A window on one side only: the events are there twice, and counted once.
    schema(SCHEMA.replace("ORDER BY page", &format!("ORDER BY page {window}")));
    snapshot!(sandbox.command(&["test"]), @"
    success: false
    exit_code: 1
    ----- stdout -----
    FAIL Hits are counted tests/views/hits.md:12
         Every one.

      UNSTABLE: `one INSERT a row, each sent twice, unmerged` differs from `as written, unmerged` in hits
      2 readings differ: one INSERT a row, each sent twice, unmerged · one INSERT a row, each sent twice, merged

      query (line 12)

        hits    before  - 2
                now     + 4
        counted 2

        made from these rows of `hits`:
        at
        1
        1
        2
        2

    1 case: 1 unstable; 10 readings in [DURATION]

    ----- stderr -----
    ");
}
