//! Other people's clients against the endpoint: clickhouse-connect (Python), @clickhouse/client (Node), the crate, each installed here.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod support;

use std::process::Command;

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};
use support::{database, engine, execute};

/// A directory for what is installed, kept between runs.
fn home(name: &str) -> Utf8PathBuf {
    let target = Utf8PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join("clients")
        .join(name);
    fs_err::create_dir_all(&target).unwrap();
    target
}

fn run(command: &mut Command, what: &str) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{what} could not be started: {error}; install it"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{what}\n{}\n{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

fn script(name: &str) -> Utf8PathBuf {
    Utf8PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/clients")
        .join(name)
}

fn with_endpoint<'a>(command: &'a mut Command, database: &str) -> &'a mut Command {
    command
        .env("CLICKHOUSE_URL", engine().url.trim_end_matches('/'))
        .env(
            "CLICKHOUSE_PASSWORD",
            engine().password.as_ref().unwrap().expose(),
        )
        .env("CLICKHOUSE_DATABASE", database)
}

/// A Python with clickhouse-connect in it.
fn python() -> Utf8PathBuf {
    static INSTALLS: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _guard = INSTALLS.lock();
    let venv = home("python");
    let python = venv.join("bin/python");
    let mark = venv.join("installed-1.12.0");
    if !mark.exists() {
        run(
            Command::new("python3").args(["-m", "venv", "--clear", venv.as_str()]),
            "python3 -m venv",
        );
        run(
            Command::new(&python).args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "clickhouse-connect==1.12.0",
            ]),
            "pip install clickhouse-connect",
        );
        fs_err::write(&mark, "").unwrap();
    }
    python
}

#[tokio::test]
async fn clickhouse_connect_is_content() {
    database("clients_python").await;
    let python = python();
    let said = run(
        with_endpoint(&mut Command::new(&python), "clients_python").arg(script("connect.py")),
        "clickhouse-connect",
    );
    assert!(said.ends_with("all is well\n"), "{said}");
}

/// A directory in which node finds `@clickhouse/client`.
fn node() -> Utf8PathBuf {
    static INSTALLS: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _guard = INSTALLS.lock();
    let home = home("node");
    let mark = home.join("installed-1.23.1");
    if !mark.exists() {
        fs_err::write(
            home.join("package.json"),
            "{\"private\":true,\"type\":\"module\"}\n",
        )
        .unwrap();
        run(
            Command::new("npm")
                .args([
                    "install",
                    "--silent",
                    "--no-audit",
                    "--no-fund",
                    "@clickhouse/client@1.23.1",
                ])
                .current_dir(&home),
            "npm install @clickhouse/client",
        );
        fs_err::write(&mark, "").unwrap();
    }
    home
}

#[tokio::test]
async fn the_node_client_is_content() {
    database("clients_node").await;
    let home = node();
    // A module is looked for beside the script.
    fs_err::copy(script("client.mjs"), home.join("client.mjs")).unwrap();
    let said = run(
        with_endpoint(&mut Command::new("node"), "clients_node")
            .arg("client.mjs")
            .current_dir(&home),
        "@clickhouse/client",
    );
    assert!(said.ends_with("all is well\n"), "{said}");
}

#[derive(Debug, PartialEq, Serialize, Deserialize, clickhouse::Row)]
struct Row {
    i: u64,
    s: String,
    n: Option<i32>,
    a: Vec<String>,
}

#[tokio::test]
async fn the_crate_is_content_with_and_without_validation_and_compression() {
    let client = database("clients_crate").await;
    execute(&client, "CREATE TABLE t (i UInt64, s String, n Nullable(Int32), a Array(String)) ENGINE = MergeTree ORDER BY i").await;
    for validation in [true, false] {
        for compression in [clickhouse::Compression::None, clickhouse::Compression::Lz4] {
            let client = clickhouse::Client::default()
                .with_url(&engine().url)
                .with_user("default")
                .with_password(engine().password.as_ref().unwrap().expose())
                .with_database("clients_crate")
                .with_validation(validation)
                .with_compression(compression);
            client.query("TRUNCATE TABLE t").execute().await.unwrap();
            let rows: Vec<Row> = (0..20_000)
                .map(|i| Row {
                    i: i * 2570,
                    s: "a\n\nb".repeat(usize::try_from(i % 3).unwrap()),
                    n: (i % 2 == 0).then_some(7),
                    a: vec!["x".to_owned(); usize::try_from(i % 4).unwrap()],
                })
                .collect();
            let mut insert = client.insert::<Row>("t").await.unwrap();
            for row in &rows {
                insert.write(row).await.unwrap();
            }
            insert.end().await.unwrap();
            let back: Vec<Row> = client
                .query("SELECT ?fields FROM t ORDER BY i")
                .fetch_all()
                .await
                .unwrap();
            assert!(
                back == rows,
                "validation {validation}, compression {compression:?}"
            );
            let bound: u64 = client
                .query("SELECT count() FROM t WHERE s = ?")
                .bind("a\n\nb")
                .fetch_one()
                .await
                .unwrap();
            assert_eq!(bound, 6667);
            let with_parameter: String = client
                .query_raw("SELECT {x:String}")
                .param("x", "it's \\ \n fine")
                .fetch_one()
                .await
                .unwrap();
            assert_eq!(with_parameter, "it's \\ \n fine");
            // An INSERT that is not ended leaves nothing.
            let mut aborted = client.insert::<Row>("t").await.unwrap();
            aborted.write(&rows[0]).await.unwrap();
            drop(aborted);
            let count: u64 = client
                .query("SELECT count() FROM t")
                .fetch_one()
                .await
                .unwrap();
            assert_eq!(count, 20_000);
        }
    }
}

/// A block of README.md in a language, under the playground's heading.
fn block(language: &str) -> String {
    let readme =
        fs_err::read_to_string(Utf8PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("README.md"))
            .unwrap();
    let playground = readme.split("### As a playground").nth(1).unwrap();
    let block = playground
        .split(&format!("```{language}\n"))
        .nth(1)
        .unwrap();
    block.split("```").next().unwrap().to_owned()
}

#[test]
fn the_playground_answers_as_the_readme_says() {
    use std::io::BufRead as _;

    let mut child = Command::new(support::program())
        .args([
            "serve",
            "--seed",
            "5000",
            "--no-password",
            "--port",
            "0",
            "-q",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("HOUSEWRIGHT_LIBCHDB", support::library())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut url = String::new();
    std::io::BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut url)
        .unwrap();
    let port = url.trim().rsplit_once(':').unwrap().1.to_owned();
    let here = |text: String| text.replace("8123", &port);

    let python = run(
        Command::new(python()).args(["-c", &here(block("python"))]),
        "README's Python",
    );
    let home = node();
    fs_err::write(home.join("readme.mjs"), here(block("js"))).unwrap();
    let script = run(
        Command::new("node").arg("readme.mjs").current_dir(&home),
        "README's JavaScript",
    );
    assert_eq!(python, script);
    assert_eq!(python.lines().count(), 3);
    assert!(python.starts_with("direct "), "{python}");

    // Seven days of a panel; by GET, and by POST with the credentials that data sources send.
    let get = here(block("sh"));
    let query = get
        .split("query=")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let sent = |args: &[&str]| {
        let url = format!(
            "http://127.0.0.1:{port}/?database=millimetric&add_http_cors_header=1&enable_http_compression=1"
        );
        let mut command = Command::new("curl");
        command.args(["-s", &url, "-d", query]).args(args);
        run(&mut command, "curl")
    };
    let answers = [
        run(Command::new("sh").args(["-c", &get]), "README's curl"),
        sent(&["-u", "default:"]),
        sent(&[
            "-H",
            "X-ClickHouse-User: default",
            "-H",
            "X-ClickHouse-Key:",
        ]),
        sent(&["--compressed"]),
    ];
    for answer in answers {
        let document: serde_json::Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(document["meta"][0]["name"], "time");
        assert_eq!(document["data"].as_array().unwrap().len(), 7, "{answer}");
        assert!(document["data"][0]["sessions"].as_u64().unwrap() > 10);
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
