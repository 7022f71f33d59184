//! `docs`: pages that are true, the same on every machine, and safe whatever stands in a schema; in a real browser too.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod support;

use std::process::{Command, Output};

use camino::{Utf8Path, Utf8PathBuf};
use camino_tempfile::Utf8TempDir;
use housewright::config::Environment;
use housewright::migration::Migrations;
use housewright::recipe::Recipes;
use housewright::survey;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn housewright(directory: &Utf8Path, args: &[&str]) -> Output {
    support::command(directory, args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn done(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// A copy of our schema directory.
fn copy() -> Utf8TempDir {
    let directory = support::directory();
    for part in ["migrations", "queries", "docs"] {
        let to = directory.path().join("schema").join(part);
        fs_err::create_dir_all(&to).unwrap();
        for entry in support::schema().join(part).read_dir_utf8().unwrap() {
            let entry = entry.unwrap();
            fs_err::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
    fs_err::copy(
        support::schema().join("housewright.toml"),
        directory.path().join("schema/housewright.toml"),
    )
    .unwrap();
    directory
}

#[test]
fn the_committed_pages_are_true() {
    let said = done(&housewright(Utf8Path::new(ROOT), &["docs", "--check"]));
    assert_eq!(said, "schema/docs is up to date: 4 pages\n");
    let drawn = done(&housewright(Utf8Path::new(ROOT), &["lineage", "--svg"]));
    let committed = fs_err::read_to_string(support::schema().join("docs/lineage.svg")).unwrap();
    assert_eq!(drawn, committed);
}

#[tokio::test]
async fn what_is_stale_is_named_and_written() {
    let directory = copy();
    let page = directory.path().join("schema/docs/SCHEMA.md");
    let query = directory.path().join("schema/queries/daily.sql");
    // Another title makes all pages that show it stale, and not the drawing.
    let changed = fs_err::read_to_string(&query)
        .unwrap()
        .replace("Sessions a day", "Sessions each day");
    fs_err::write(&query, changed).unwrap();
    fs_err::remove_file(directory.path().join("schema/docs/lineage.svg")).unwrap();
    let before = fs_err::read_to_string(&page).unwrap();
    let check = housewright(directory.path(), &["docs", "--check"]);
    assert_eq!(check.status.code(), Some(1));
    insta::assert_snapshot!(text(&check.stdout), @"
    stale    schema/docs/SCHEMA.md
    stale    schema/docs/index.html
    missing  schema/docs/lineage.svg
    stale    schema/docs/schema.json

    `housewright docs` writes them anew
    ");
    assert_eq!(fs_err::read_to_string(&page).unwrap(), before, "it wrote");
    // The gate's function says the same.
    let client = private();
    let schema = directory.path().join("schema");
    let (engine, handle) = client.await;
    let stale = survey::stale(
        &engine,
        &schema,
        "millimetric",
        &Migrations::load(&schema).unwrap(),
        &Recipes::load(&schema).unwrap(),
    )
    .await
    .unwrap();
    handle.end().await;
    assert_eq!(stale.len(), 4);
    insta::assert_snapshot!(done(&housewright(directory.path(), &["docs", "--format", "json"])), @r#"
    {
      "version": 1,
      "directory": "schema/docs",
      "written": true,
      "pages": [
        {
          "path": "schema/docs/SCHEMA.md",
          "existed": true
        },
        {
          "path": "schema/docs/index.html",
          "existed": true
        },
        {
          "path": "schema/docs/lineage.svg",
          "existed": false
        },
        {
          "path": "schema/docs/schema.json",
          "existed": true
        }
      ]
    }
    "#);
    assert_eq!(
        done(&housewright(directory.path(), &["docs", "--check"])),
        "schema/docs is up to date: 4 pages\n"
    );
    let shown = fs_err::read_to_string(&page).unwrap();
    assert!(shown.contains("### Sessions each day\n"));
}

/// An engine of this test alone.
async fn private() -> (
    housewright::clickhouse::Client,
    housewright::engine::child::Handle,
) {
    let launch = housewright::engine::child::Launch {
        program: support::program().to_owned(),
        library: support::library(),
        path: None,
    };
    let handle = housewright::engine::child::open(&launch).await.unwrap();
    let client = housewright::clickhouse::Client::new(handle.server(), "default").unwrap();
    (client, handle)
}

#[test]
fn a_target_shows_how_much_there_is_and_how_fresh() {
    let directory = copy();
    let run = |args: &[&str]| done(&housewright(directory.path(), args));
    run(&["apply", "-q"]);
    run(&["seed", "--events", "60000", "--load", "-q"]);
    let said = run(&["docs", "--target", "local"]);
    assert!(said.contains(".housewright/docs/index.html"), "{said}");
    let read = |path: &str| fs_err::read_to_string(directory.path().join(path)).unwrap();
    let json: serde_json::Value =
        serde_json::from_str(&read(".housewright/docs/schema.json")).unwrap();
    let events = json["objects"]
        .as_array()
        .unwrap()
        .iter()
        .find(|object| object["name"] == "events")
        .unwrap();
    assert_eq!(events["figures"]["rows"], 60_000);
    assert!(events["figures"]["uncompressed"].as_u64() > events["figures"]["bytes"].as_u64());
    assert!(events["columns"][0]["figures"]["bytes"].as_u64().unwrap() > 0);
    let html = read(".housewright/docs/index.html");
    assert!(html.contains("<dt>Rows</dt><dd>60,000</dd>"));
    assert!(html.contains("before this page"));
    // What is committed does not depend on a target.
    assert_eq!(
        run(&["docs", "--check"]),
        "schema/docs is up to date: 4 pages\n"
    );
}

#[test]
fn a_refused_recipe_is_named() {
    let directory = copy();
    let query = directory.path().join("schema/queries/daily.sql");
    fs_err::write(&query, "-- Nothing\nSELECT nothing FROM sessions\n").unwrap();
    let output = housewright(directory.path(), &["docs", "--check"]);
    assert_eq!(output.status.code(), Some(3));
    let said = text(&output.stderr);
    assert!(
        said.starts_with("error: ClickHouse refused the recipe schema/queries/daily.sql\n  because: ClickHouse says UNKNOWN_IDENTIFIER (code 47)"),
        "{said}"
    );
}

/// Names, comments and values that try to break out of wherever they are put.
fn hostile() -> Utf8TempDir {
    const BAD: &str = r#"</script></style></svg><img src=x onerror="window.pwned=1"><b>&amp; it's "quoted" `code` | **bold** [a](javascript:alert(1)) <!-- ]]> ```"#;
    // A file of the engine is called after a table: it takes less.
    const NAME: &str = r#"</style><b x="1">'`|[a](b)*"#;
    let directory = copy();
    let quoted = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
    let named = |text: &str| format!("`{}`", text.replace('\\', "\\\\").replace('`', "\\`"));
    let table = named(&format!("t {NAME}"));
    let sql = format!(
        "-- {BAD}\n-- migrate:up\n\
         ALTER TABLE events ADD COLUMN {column} String DEFAULT {value} COMMENT {value};\n\
         CREATE TABLE {table} (a UInt8 COMMENT {value}, {column} Enum8({value} = 1), `новая\\nстрока 表` String DEFAULT '\\0\\x1b[31m\u{202e}') ENGINE = MergeTree ORDER BY a COMMENT {value};\n\
         CREATE VIEW {view} AS SELECT {column} AS {column}, a FROM {table};\n\
         CREATE VIEW `🙂 表表表表表表表表表表表表表表表表表表表表` AS SELECT * FROM {view};\n\
         -- migrate:down\n",
        column = named(BAD),
        value = quoted(&format!("{BAD}\n# new line\n- item")),
        view = named(&format!("v\n{NAME}")),
    );
    fs_err::write(
        directory.path().join("schema/migrations/0004_hostile.sql"),
        sql,
    )
    .unwrap();
    let recipe = format!(
        "-- {BAD}\n--\n-- {BAD}\n--\n-- param x = {BAD}: {BAD}\n-- bar n\nSELECT {{x:String}} AS {column}, 1 AS n, {value} AS `b|c`\n",
        column = named(BAD),
        value = quoted(BAD),
    );
    fs_err::write(directory.path().join("schema/queries/hostile.sql"), recipe).unwrap();
    directory
}

#[test]
fn nothing_that_stands_in_a_schema_breaks_a_page() {
    let directory = hostile();
    done(&housewright(directory.path(), &["docs", "-q"]));
    let read = |name: &str| {
        fs_err::read_to_string(directory.path().join("schema/docs").join(name)).unwrap()
    };
    let html = read("index.html");
    // Whatever begins a tag is one of ours.
    let tags = "!doctype a article b body br button circle code dd details div dl dt em figcaption figure g h1 h2 h3 head header html i input li link main meta nav ol p path pre rect script section span style summary svg table tbody td text th thead title tr ul";
    for (at, _) in html.match_indices('<') {
        let name: String = html[at + 1..]
            .trim_start_matches('/')
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '!')
            .collect();
        assert!(
            tags.split(' ').any(|tag| tag == name)
                || html[..at].rfind("<script>") > html[..at].rfind("</script>"),
            "<{name}"
        );
    }
    assert_eq!(html.matches("</script>").count(), 2);
    let svg = read("lineage.svg");
    assert!(!svg.contains("<img") && !svg.contains("</style></svg>"));
    assert_eq!(svg.matches("</svg>").count(), 1);
    // As Markdown, what stands in the schema is text and code, and the page has the shape that it has without.
    let markdown = read("SCHEMA.md");
    let mut shape = std::collections::BTreeMap::new();
    let mut fences = 0;
    for event in pulldown_cmark::Parser::new_ext(&markdown, pulldown_cmark::Options::ENABLE_TABLES)
    {
        match &event {
            pulldown_cmark::Event::Html(html) | pulldown_cmark::Event::InlineHtml(html) => {
                let tag: String = html
                    .trim_start_matches(['<', '/'])
                    .chars()
                    .take_while(char::is_ascii_alphanumeric)
                    .collect();
                *shape.entry(tag).or_insert(0) += 1;
            }
            pulldown_cmark::Event::Start(pulldown_cmark::Tag::Link { dest_url, .. }) => {
                assert!(dest_url.starts_with('#'), "{dest_url}");
            }
            pulldown_cmark::Event::Start(
                pulldown_cmark::Tag::Emphasis | pulldown_cmark::Tag::Image { .. },
            ) => panic!("{event:?}"),
            pulldown_cmark::Event::Start(pulldown_cmark::Tag::CodeBlock(_)) => fences += 1,
            _ => {}
        }
    }
    let tags: Vec<&str> = shape.keys().map(String::as_str).collect();
    assert_eq!(tags, ["", "a", "br", "code", "details"]);
    // The drawing, a definition for each object, a query for each recipe.
    let json: serde_json::Value = serde_json::from_str(&read("schema.json")).unwrap();
    let count = |key: &str| json[key].as_array().unwrap().len();
    assert_eq!(fences, 1 + count("objects") + count("recipes"));
    assert_eq!(count("objects"), 10);
    // Twice the same.
    assert_eq!(
        done(&housewright(directory.path(), &["docs", "--check"])),
        "schema/docs is up to date: 4 pages\n"
    );
}

/// Runs `tests/browser/page.mjs` in Debian's Chromium, or the one that CHROMIUM names.
fn browser(page: &Utf8Path, more: &[&str]) {
    static INSTALLS: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let home = Utf8PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("browser");
    let mark = home.join("installed-1.65.1-4.14.1");
    let guard = INSTALLS.lock();
    if !mark.exists() {
        fs_err::create_dir_all(&home).unwrap();
        fs_err::write(
            home.join("package.json"),
            "{\"private\":true,\"type\":\"module\"}\n",
        )
        .unwrap();
        let installed = Command::new("npm")
            .args([
                "install",
                "--silent",
                "--no-audit",
                "--no-fund",
                "playwright-core@1.65.1",
                "axe-core@4.14.1",
            ])
            .current_dir(&home)
            .output()
            .unwrap();
        assert!(installed.status.success(), "{}", text(&installed.stderr));
        fs_err::write(&mark, "").unwrap();
    }
    // A module is looked for beside the script.
    fs_err::copy(
        Utf8Path::new(ROOT).join("tests/browser/page.mjs"),
        home.join("page.mjs"),
    )
    .unwrap();
    drop(guard);
    let environment = Environment::of_this_process();
    let chromium = environment.get("CHROMIUM").unwrap_or("chromium").to_owned();
    let found = Command::new("sh")
        .args(["-c", "command -v \"$0\"", &chromium])
        .output()
        .unwrap();
    assert!(
        found.status.success(),
        "`{chromium}` is not there: install it (Debian: apt-get install chromium), or name it in CHROMIUM"
    );
    let output = Command::new("node")
        .arg("page.mjs")
        .arg(page)
        .args(more)
        .env("CHROMIUM", text(&found.stdout).trim())
        .current_dir(&home)
        .output()
        .unwrap();
    let said = text(&output.stdout);
    assert!(
        output.status.success() && said.ends_with("all is well\n"),
        "{said}\n{}",
        text(&output.stderr)
    );
}

#[test]
fn the_page_works_in_a_browser() {
    browser(&support::schema().join("docs/index.html"), &[]);
}

#[test]
fn a_hostile_schema_does_nothing_in_a_browser() {
    let directory = hostile();
    done(&housewright(directory.path(), &["docs", "-q"]));
    browser(
        &directory.path().join("schema/docs/index.html"),
        &["", "hostile"],
    );
}

#[test]
fn the_pages_are_served_to_this_machine_alone() {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};

    let mut child = Command::new(support::program())
        .args(["docs", "--serve", "-q"])
        .current_dir(ROOT)
        .env("HOUSEWRIGHT_LIBCHDB", support::library())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut url = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut url)
        .unwrap();
    let address = url
        .trim()
        .trim_start_matches("http://")
        .trim_end_matches('/')
        .to_owned();
    let ask = |request: &str| {
        let mut stream = std::net::TcpStream::connect(&address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let page = ask("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    assert!(page.starts_with("HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\n"));
    assert!(page.ends_with("</html>\n"));
    let status = |request: &str| ask(request).lines().next().unwrap().to_owned();
    assert_eq!(
        status("GET /schema.json HTTP/1.1\r\nHost: localhost:1\r\n\r\n"),
        "HTTP/1.1 200 OK"
    );
    assert_eq!(
        status("GET /../Cargo.toml HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        "HTTP/1.1 404 Not Found"
    );
    assert_eq!(
        status("POST / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        "HTTP/1.1 405 Method Not Allowed"
    );
    assert_eq!(
        status("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
        "HTTP/1.1 403 Forbidden"
    );
    child.kill().unwrap();
    child.wait().unwrap();
}
