//! Every rule finds what its page and its cases say, nowhere else, and nothing in our own schema.
//!
//! `tests/lint/RULE.sql` holds a rule's cases: `-- bad: words` or `-- good: words`, and below it the SQL; a line `-- next` begins another
//! migration. Where the bad ones are found is in the snapshot beside it.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod support;

use std::fmt::Write as _;
use std::sync::OnceLock;

use camino::{Utf8Path, Utf8PathBuf};
use housewright::clickhouse::{Client, Query};
use housewright::config::Server;
use housewright::diagnostic::Diagnostic;
use housewright::drift::Bench;
use housewright::lint::{Levels, Rule, judge, rules};
use housewright::migration::Migrations;

fn root(name: &str) -> Utf8PathBuf {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The benches of this binary, each on an engine of its own, which it clears; one test at a time.
async fn benches() -> (tokio::sync::MutexGuard<'static, ()>, [Bench; 2]) {
    static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    static SECOND: OnceLock<&Server> = OnceLock::new();
    let guard = ONE.lock().await;
    let bench = async |server| {
        let engine = Client::new(server, "default").unwrap();
        Bench::new(&engine, "m").await.unwrap()
    };
    let benches = [
        bench(support::engine()).await,
        bench(SECOND.get_or_init(support::another_engine)).await,
    ];
    (guard, benches)
}

/// Does a piece of work for each item, on whichever bench is free.
async fn on_each<T>(benches: &[Bench; 2], items: Vec<T>, work: impl AsyncFn(&Bench, T)) {
    let items = std::cell::RefCell::new(items.into_iter());
    let [first, second] = benches.each_ref().map(async |bench| {
        loop {
            let Some(item) = items.borrow_mut().next() else {
                break;
            };
            work(bench, item).await;
        }
    });
    futures_util::future::join(first, second).await;
}

/// What is found in migrations, and the texts of these.
async fn lint(bench: &Bench, sql: &str) -> (Vec<Diagnostic>, Migrations) {
    let dir = support::directory();
    fs_err::create_dir_all(dir.path().join("migrations")).unwrap();
    for (number, text) in (1..).zip(sql.split("-- next\n")) {
        let text = if text.contains("-- migrate:up") {
            text.to_owned()
        } else {
            format!("-- migrate:up\n{text}")
        };
        fs_err::write(
            dir.path().join(format!("migrations/{number:04}_m.sql")),
            text,
        )
        .unwrap();
    }
    let migrations = Migrations::load(dir.path()).unwrap();
    let down = sql.contains("-- migrate:");
    let (history, _) = bench.history(&migrations, down).await.unwrap();
    (judge(&history, &Levels::default()), migrations)
}

/// Findings of one rule, with the text that each points at.
fn of_rule(rule: &Rule, findings: &[Diagnostic], migrations: &Migrations) -> String {
    let mut text = String::new();
    for finding in findings.iter().filter(|it| it.code == rule.name) {
        let at = finding.location.as_ref().unwrap();
        let source = migrations.text(&at.path).unwrap();
        let here = at.span.of(&source).lines().next().unwrap_or_default();
        let here: String = here.chars().take(60).collect();
        let _ = writeln!(
            text,
            "  {}:{}:{}  {here}\n    {}",
            at.path.file_stem().unwrap().trim_end_matches("_m"),
            at.line,
            at.column,
            finding.message
        );
    }
    text
}

struct Case {
    bad: bool,
    title: String,
    sql: String,
}

fn cases(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in text.lines() {
        let title = |mark: &str| line.strip_prefix(mark).map(str::to_owned);
        if let Some(title) = title("-- bad: ") {
            cases.push(Case {
                bad: true,
                title,
                sql: String::new(),
            });
        } else if let Some(title) = title("-- good: ") {
            cases.push(Case {
                bad: false,
                title,
                sql: String::new(),
            });
        } else if let Some(case) = cases.last_mut() {
            case.sql.push_str(line);
            case.sql.push('\n');
        }
    }
    cases
}

#[tokio::test]
async fn cases_are_found_where_they_are_bad_and_nowhere_else() {
    let (_guard, benches) = benches().await;
    let wrong = std::cell::RefCell::new(String::new());
    on_each(&benches, rules().iter().collect(), async |bench, rule| {
        let path = root(&format!("tests/lint/{}.sql", rule.name));
        let text = fs_err::read_to_string(&path).unwrap();
        let cases = cases(&text);
        assert!(cases.iter().any(|case| case.bad), "{path} has no bad case");
        assert!(
            cases.iter().any(|case| !case.bad),
            "{path} has no good case"
        );
        let mut snapshot = String::new();
        for case in cases {
            let (findings, migrations) = lint(bench, &case.sql).await;
            let here = of_rule(rule, &findings, &migrations);
            let mut wrong = wrong.borrow_mut();
            if let Some(refused) = findings.iter().find(|it| it.code == "refused") {
                let _ = writeln!(wrong, "{}: {}: {:?}", rule.name, case.title, refused.notes);
            }
            if case.bad == here.is_empty() {
                let _ = writeln!(wrong, "{}: {}\n{here}", rule.name, case.title);
            }
            if case.bad {
                let _ = writeln!(snapshot, "{}\n{here}", case.title);
            }
        }
        insta::with_settings!({snapshot_path => "lint", prepend_module_to_snapshot => false, omit_expression => true}, {
            insta::allow_duplicates!(insta::assert_snapshot!(rule.name, snapshot));
        });
    })
    .await;
    let wrong = wrong.into_inner();
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[tokio::test]
async fn the_example_of_a_page_is_found_and_what_to_write_instead_is_clean() {
    let (_guard, benches) = benches().await;
    let wrong = std::cell::RefCell::new(String::new());
    on_each(&benches, rules().iter().collect(), async |bench, rule| {
        let example = rule
            .sql("Example")
            .unwrap_or_else(|| panic!("{}", rule.name));
        let (findings, migrations) = lint(bench, &example).await;
        if of_rule(rule, &findings, &migrations).is_empty() {
            let _ = writeln!(
                wrong.borrow_mut(),
                "{}: the example is not found\n{findings:?}",
                rule.name
            );
        }
        let instead = rule
            .sql("Instead")
            .unwrap_or_else(|| panic!("{}", rule.name));
        let (findings, _) = lint(bench, &instead).await;
        for finding in findings {
            let _ = writeln!(
                wrong.borrow_mut(),
                "{}: instead: {}: {} {:?}",
                rule.name,
                finding.code,
                finding.message,
                finding.notes
            );
        }
    })
    .await;
    let wrong = wrong.into_inner();
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[tokio::test]
async fn our_own_schema_has_nothing_to_report() {
    let engine = Client::new(support::engine(), "default").unwrap();
    let (_guard, _) = benches().await;
    let bench = Bench::new(&engine, "millimetric").await.unwrap();
    let migrations = Migrations::load(&support::schema()).unwrap();
    let (history, end) = bench.history(&migrations, true).await.unwrap();
    assert_eq!(judge(&history, &Levels::default()), []);
    assert_eq!(end.unwrap().len(), 7);
}

/// The functions that a rule knows are the engine's, and the engine says so of each.
#[tokio::test]
async fn functions_that_answer_differently_each_time_are_those_of_the_engine() {
    let text = fs_err::read_to_string(root("src/lint/rules/nondeterministic_view.rs")).unwrap();
    let list = text.split("const VARIES").nth(1).unwrap();
    let list = list.split("];").next().unwrap();
    let names: Vec<String> = list
        .split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect();
    assert!(names.len() > 40);
    let engine = Client::new(support::engine(), "default").unwrap();
    let query = Query::new(
        "SELECT arrayFilter(x -> x NOT IN (SELECT lower(name) FROM system.functions WHERE deterministic = 0), {names:Array(String)}) AS others",
    )
    .texts("names", names);
    let rows: Vec<serde_json::Value> = engine.rows(&query).await.unwrap();
    assert_eq!(rows[0]["others"], serde_json::json!([]));
}

#[test]
fn the_list_of_rules_is_the_directory() {
    let mut files: Vec<String> = root("src/lint/rules")
        .read_dir_utf8()
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .file_name()
                .trim_end_matches(".rs")
                .to_owned()
        })
        .filter(|name| name != "mod")
        .map(|name| name.replace('_', "-"))
        .collect();
    files.sort();
    let listed: Vec<&str> = rules().iter().map(|rule| rule.name).collect();
    assert_eq!(listed, files);
    for rule in rules() {
        let page = rule.page();
        for section in ["\n## Why\n", "\n## Example\n", "\n## Instead\n"] {
            assert!(page.contains(section), "{}: no {section}", rule.name);
        }
    }
}

/// The pages of `docs/rules`: written anew where they are not what the headers say, and then the test fails once.
#[test]
fn the_pages_are_the_headers_of_the_rules() {
    let mut pages: Vec<(String, String)> = rules()
        .iter()
        .map(|rule| (format!("{}.md", rule.name), rule.page()))
        .collect();
    let mut index = String::from(
        "# Rules\n\nWhat `housewright lint` finds. `housewright lint --explain RULE` prints these pages; the rules' own files write them.\n\n| rule | level | finds |\n|---|---|---|\n",
    );
    for rule in rules() {
        let _ = writeln!(
            index,
            "| [{0}]({0}.md) | {1} | {2} |",
            rule.name,
            rule.level.label(),
            rule.summary().replace('|', "\\|")
        );
    }
    pages.push(("README.md".to_owned(), index));
    let directory = root("docs/rules");
    fs_err::create_dir_all(&directory).unwrap();
    let mut stale = Vec::new();
    for entry in directory.read_dir_utf8().unwrap() {
        let path = entry.unwrap().into_path();
        if !pages.iter().any(|(name, _)| path.file_name() == Some(name)) {
            fs_err::remove_file(&path).unwrap();
            stale.push(path);
        }
    }
    for (name, page) in pages {
        let path = directory.join(name);
        if fs_err::read_to_string(&path).ok().as_ref() != Some(&page) {
            fs_err::write(&path, page).unwrap();
            stale.push(path);
        }
    }
    assert!(stale.is_empty(), "written anew, look at them: {stale:?}");
}
