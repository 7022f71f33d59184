//! The house rules, as tests: who may name whom, which crate stays in which room, and that every file says what it is for.

#![expect(
    clippy::unwrap_used,
    reason = "a file that cannot be read fails the test"
)]

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};

/// The rooms in the order in which data flows through them; a room may name only rooms above it.
const ROOMS: [&str; 24] = [
    // read
    "sql",
    "config",
    "diagnostic",
    "migration",
    "recipe",
    "seed", // know
    "clickhouse",
    "engine",
    "cluster",
    "journal",
    "catalog", // decide
    "diff",
    "docs",
    "lint",
    "plan", // act
    "scratch",
    "drift",
    "rebuild",
    "apply",
    "import",
    "survey",
    "viewtest", // say
    "report",
    "cli",
];

/// Crates that one room alone may know, and why.
const KEPT: [(&str, &str, &str); 21] = [
    ("sqlparser", "sql", "what it prints is never executed"),
    ("clickhouse", "clickhouse", "one door"),
    ("hyper_rustls", "clickhouse", "one door"),
    ("rustls", "clickhouse", "one door"),
    ("libloading", "engine", "the only unsafe code"),
    ("axum", "engine", "the endpoint"),
    ("async_compression", "engine", "the endpoint"),
    ("lz4_flex", "engine", "the endpoint"),
    ("zstd", "engine", "the endpoint"),
    ("cityhash_rs", "engine", "the endpoint"),
    ("tar", "engine", "the installation"),
    ("toml", "config", "one reader of the configuration"),
    ("annotate_snippets", "report", "how findings look"),
    ("comfy_table", "report", "how tables look"),
    ("similar", "report", "how differences look"),
    ("clap", "cli", "the library builds without it"),
    ("clap_complete", "cli", "the library builds without it"),
    ("clap_mangen", "cli", "the library builds without it"),
    ("anyhow", "cli", "the library has typed errors"),
    ("terminal_size", "cli", "nobody else prints"),
    ("indicatif", "cli", "the library emits events"),
];

fn sources() -> Vec<(Utf8PathBuf, String)> {
    fn walk(directory: &Utf8Path, files: &mut Vec<(Utf8PathBuf, String)>) {
        for entry in directory.read_dir_utf8().unwrap() {
            let path = entry.unwrap().into_path();
            if path.is_dir() {
                walk(&path, files);
            } else if path.extension() == Some("rs") {
                let text = fs_err::read_to_string(&path).unwrap();
                files.push((path, text));
            }
        }
    }
    let root = Utf8Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for directory in ["src", "tests", "benches"] {
        let directory = root.join(directory);
        if directory.exists() {
            walk(&directory, &mut files);
        }
    }
    files.sort();
    files
        .into_iter()
        .map(|(path, text)| (path.strip_prefix(root).unwrap().to_owned(), text))
        .collect()
}

/// The room of a file below `src`.
fn room(path: &Utf8Path) -> Option<&str> {
    let first = path.strip_prefix("src").ok()?.components().next()?.as_str();
    Some(first.trim_end_matches(".rs")).filter(|room| !matches!(*room, "lib" | "main"))
}

/// The code above the unit tests, which may look anywhere, without comments.
fn code(text: &str) -> String {
    let code = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or(text);
    code.lines()
        .map(|line| line.split("//").next().unwrap_or(line))
        .collect::<Vec<_>>()
        .join("\n")
}

fn names(code: &str, path: &str) -> bool {
    code.match_indices(path).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + path.len()..].chars().next();
        let word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        !word(before) && before != Some(':') && !word(after)
    })
}

fn assert_none(lapses: &[String]) {
    assert!(lapses.is_empty(), "\n{}", lapses.join("\n"));
}

#[test]
fn rooms_depend_in_one_direction() {
    let mut lapses = Vec::new();
    for (path, text) in sources() {
        let Some(room) = room(&path) else { continue };
        let Some(rank) = ROOMS.iter().position(|known| *known == room) else {
            lapses.push(format!("{path}: give `{room}` a place in ROOMS"));
            continue;
        };
        let code = code(&text);
        if code.contains("use crate::{") && room != "cli" {
            lapses.push(format!(
                "{path}: write `crate::room::Name`, not `crate::{{`"
            ));
        }
        for below in &ROOMS[rank + 1..] {
            if names(&code, &format!("crate::{below}")) {
                lapses.push(format!(
                    "{path}: `{room}` may not name `{below}`, which stands below it"
                ));
            }
        }
    }
    assert_none(&lapses);
}

#[test]
fn crates_stay_in_their_rooms() {
    let mut lapses = Vec::new();
    for (path, text) in sources() {
        let Some(room) = room(&path) else { continue };
        let code = code(&text);
        for (name, home, why) in KEPT {
            if room != home && names(&code, &format!("{name}::")) {
                lapses.push(format!("{path}: `{name}` is kept to `{home}` ({why})"));
            }
        }
        if room != "engine" && names(&code, "unsafe") {
            lapses.push(format!("{path}: unsafe code is kept to `engine`"));
        }
        if room != "config" && (names(&code, "env::var") || names(&code, "env::var_os")) {
            lapses.push(format!("{path}: `config` alone reads the environment"));
        }
    }
    assert_none(&lapses);
}

#[test]
fn every_file_says_what_it_is_for() {
    let lapses: Vec<String> = sources()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//! "))
        .map(|(path, _)| format!("{path}: begin with a line `//! ` that says what the file is for"))
        .collect();
    assert_none(&lapses);
}

#[test]
fn files_stay_short_enough_to_read() {
    let lapses: Vec<String> = sources()
        .into_iter()
        .filter(|(path, _)| path.starts_with("src"))
        .filter(|(_, text)| {
            text.split("#[cfg(test)]")
                .next()
                .unwrap_or(text)
                .lines()
                .count()
                > 600
        })
        .map(|(path, _)| {
            format!("{path}: more than 600 lines before the tests; split it by what it is about")
        })
        .collect();
    assert_none(&lapses);
}

#[test]
fn the_rules_themselves_notice_a_lapse() {
    let planted: BTreeMap<&str, bool> = BTreeMap::from([
        ("use crate::engine::child;", true),
        ("let x = crate::engine::child::open;", true),
        ("// crate::engine", false),
        ("use crate::engineer::x;", false),
        ("housewright::crate::engine_", false),
    ]);
    for (text, lapse) in planted {
        assert_eq!(names(&code(text), "crate::engine"), lapse, "{text}");
    }
}
