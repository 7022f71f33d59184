//! README and documents say what is true: the verbs, the commands, and what they print.

#![expect(
    clippy::unwrap_used,
    reason = "a file that cannot be read fails the test"
)]

mod support;

use std::process::Command;

use camino::Utf8Path;

fn read(name: &str) -> String {
    fs_err::read_to_string(Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

fn run(args: &[&str]) -> String {
    let output = Command::new(support::program())
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("HOUSEWRIGHT_LIBCHDB", support::library())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// The verbs that `--help` lists.
fn verbs() -> Vec<String> {
    let help = run(&["--help"]);
    let commands = help
        .split("Commands:\n")
        .nth(1)
        .unwrap()
        .split("\n\n")
        .next()
        .unwrap();
    commands
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .map(|line| line.split_whitespace().next().unwrap().to_owned())
        .filter(|verb| verb != "help")
        .collect()
}

#[test]
fn the_readme_lists_the_verbs_that_there_are() {
    let readme = read("README.md");
    let listed: Vec<String> = readme
        .split("## Verbs")
        .nth(1)
        .unwrap()
        .lines()
        .filter_map(|line| {
            line.strip_prefix("| `")?
                .split('`')
                .next()
                .map(str::to_owned)
        })
        .collect();
    assert_eq!(listed, verbs());
}

#[test]
fn the_readme_shows_what_demo_prints() {
    let readme = read("README.md");
    let shown = readme
        .split("```text\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let printed = run(&["demo", "-q"]);
    assert!(printed.contains(shown.trim_end()), "demo prints\n{printed}");
    for medium in ["paid", "social"] {
        assert!(
            printed.lines().any(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                words.first() == Some(&"facebook") && words.get(1) == Some(&medium)
            }),
            "facebook {medium} has a row of its own"
        );
    }
}

#[test]
fn architecture_lists_the_rooms_that_there_are() {
    let document = read("ARCHITECTURE.md");
    let library = read("src/lib.rs");
    for line in library
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod "))
    {
        let room = line.trim_end_matches(';');
        assert!(
            document.contains(&format!("| `{room}` |")),
            "ARCHITECTURE.md: `{room}` has no line"
        );
    }
    let listed = document
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains("| `"))
        .count();
    let rooms = library
        .lines()
        .filter(|line| line.starts_with("pub mod "))
        .count();
    // The table of tests has lines of the same form.
    assert!(listed >= rooms);
}

#[test]
fn shells_and_pagers_know_every_verb() {
    for verb in verbs() {
        assert!(
            run(&["completions", "bash"]).contains(&format!("housewright__{verb}"))
                || run(&["completions", "fish"]).contains(&format!("\"{verb}\"")),
            "{verb}"
        );
        assert!(run(&["man", &verb]).contains(".SH NAME"), "{verb}");
    }
}

#[test]
fn the_demo_speaks_json_too() {
    let value: serde_json::Value =
        serde_json::from_str(&run(&["demo", "-q", "--format", "json", "--events", "500"])).unwrap();
    assert_eq!(value["version"], 1);
    assert_eq!(value["sessions"].as_array().unwrap().len(), 8);
    assert!(!value["sources"].as_array().unwrap().is_empty());
}
