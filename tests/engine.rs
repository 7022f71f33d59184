//! The embedded engine as a process: the traps of libchdb that would lose data or hang, and who lives as long as whom.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod support;

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use camino::Utf8Path;
use housewright::clickhouse::{Client, Query};
use housewright::config::{Secret, Server};
use housewright::engine::child::{Handle, Launch, endpoint_file, open};
use support::{database, execute, insert, library, program, table};

fn launch(path: Option<&Utf8Path>) -> Launch {
    Launch {
        program: program().to_owned(),
        library: library(),
        path: path.map(Utf8Path::to_owned),
    }
}

fn client(handle: &Handle) -> Client {
    Client::new(handle.server(), "default").unwrap()
}

/// Waits, but not for ever.
fn within(limit: Duration, what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + limit;
    while !done() {
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn is_alive(pid: u32) -> bool {
    // A zombie is dead.
    fs_err::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .unwrap_or("")
            .trim()
            .starts_with('Z')
    })
}

fn signal(pid: u32, name: &str) {
    assert!(
        Command::new("kill")
            .args([name, &pid.to_string()])
            .status()
            .unwrap()
            .success()
    );
}

/// The end of a process, waited for, but not for ever.
fn ended(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("the process did not end");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// `serve`, by hand.
struct Serve {
    child: Child,
    server: Server,
}

impl Serve {
    fn start(args: &[&str]) -> Self {
        Self::with_key("open sesame", args)
    }

    fn with_key(key: &str, args: &[&str]) -> Self {
        let mut child = Command::new(program())
            .args(["serve", "--port", "0", "--password-env", "THE_KEY"])
            .args(args)
            .env("THE_KEY", key)
            .env("HOUSEWRIGHT_LIBCHDB", library())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // As a shell does it; of a group whose parent is in another session nobody is stopped by SIGTSTP.
            .process_group(0)
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut url)
            .unwrap();
        let server = Server {
            name: None,
            url: url.trim().to_owned(),
            user: "default".to_owned(),
            password: Some(Secret::new(key)),
            ca_file: None,
            cluster: None,
        };
        Self { child, server }
    }

    fn client(&self) -> Client {
        Client::new(&self.server, "default").unwrap()
    }
}

#[tokio::test]
async fn a_blank_line_in_data_is_data_in_every_text_format() {
    let client = database("t_blank").await;
    execute(
        &client,
        "CREATE TABLE t (f String, s String) ENGINE = MergeTree ORDER BY f",
    )
    .await;
    for (format, data) in [
        (
            "JSONEachRow",
            "{\"f\":\"JSONEachRow\",\n\n\"s\":\"a\"}\n\n\n",
        ),
        ("CSV", "CSV,\"a\n\nDROP TABLE t\"\n"),
        ("TSKV", "f=TSKV\ts=a\n"),
        ("Values", "('Values', '\n\n;'),\n\n('Values2', '')"),
        ("CustomSeparated", "CustomSeparated\ta\n"),
        ("JSON", "{\"data\":\n\n[{\"f\":\"JSON\",\"s\":\"a\"}]}"),
        (
            "JSONCompactEachRow",
            "[\"JSONCompactEachRow\",\"a\"]\n\n[\"JSONCompactEachRow2\",\"a\"]",
        ),
    ] {
        insert(&client, &format!("INSERT INTO t FORMAT {format}"), data).await;
    }
    insert(
        &client,
        "INSERT INTO t FORMAT JSONEachRow",
        "{\"f\":\"a\",\"s\":\"a\"}\n\n{\"f\":\"b\",\"s\":\"DROP TABLE t\"}",
    )
    .await;
    insta::assert_snapshot!(table(&client, "SELECT f FROM t ORDER BY f").await, @"

    CSV
    CustomSeparated
    JSONCompactEachRow
    JSONCompactEachRow2
    JSONEachRow
    TSKV
    Values
    Values2
    a
    b
    ");
}

#[tokio::test]
async fn data_of_input_would_be_cut_and_executed_and_is_refused() {
    let client = database("t_input").await;
    execute(&client, "CREATE TABLE t (i UInt8) ENGINE = Memory").await;
    for sql in [
        "INSERT INTO t SELECT i FROM input('i UInt8') FORMAT CSV\n5\n\nDROP TABLE t",
        "INSERT INTO t SELECT i FROM (SELECT * FROM INPUT ('i UInt8')) FORMAT CSV\n5\n\nDROP TABLE t",
    ] {
        let error = client.execute(&Query::new(sql)).await.unwrap_err();
        assert!(error.is_code(48), "{error}");
    }
    // A statement behind the end of another is no data.
    let error = client
        .execute(&Query::new("INSERT INTO t (i); DROP TABLE t"))
        .await
        .unwrap_err();
    assert!(error.exception().is_some(), "{error}");
    assert_eq!(table(&client, "SELECT count() AS n FROM t").await, "0");
}

#[tokio::test]
async fn output_of_a_failed_query_stays_with_it() {
    let client = database("t_leak").await;
    for _ in 0..20 {
        let late = client.fetch(&Query::new("SELECT number, throwIf(number = 90000, 'late') FROM numbers(100000) SETTINGS max_block_size = 1000"), "JSON").await;
        assert!(late.unwrap_err().is_code(395));
        assert_eq!(
            client
                .fetch(&Query::new("SELECT 'clean'"), "TSV")
                .await
                .unwrap(),
            "clean\n"
        );
    }
}

#[tokio::test]
async fn what_hangs_in_libchdb_ends_here() {
    let client = database("t_hang").await;
    execute(
        &client,
        "CREATE TABLE t (i UInt8) ENGINE = MergeTree ORDER BY i",
    )
    .await;
    let begun = Instant::now();
    execute(&client, "DROP TABLE t SYNC").await;
    execute(&client, "DROP DATABASE t_hang SYNC").await;
    execute(
        &client.in_database("default"),
        "KILL QUERY WHERE query_id = 'nobody' SYNC",
    )
    .await;
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn it_behaves_as_a_server_and_not_as_a_tool() {
    let client = Client::new(support::engine(), "default").unwrap();
    assert_eq!(
        table(
            &client,
            "SELECT engine FROM system.databases WHERE name = 'default'"
        )
        .await,
        "Atomic"
    );
    for sql in ["1 + 1", "SELECT * FROM \"/etc/hostname\""] {
        assert!(
            client
                .fetch(&Query::new(sql), "TSV")
                .await
                .unwrap_err()
                .exception()
                .is_some(),
            "{sql}"
        );
    }
    assert!(
        client
            .fetch(&Query::new("SELECT demangle('x')"), "TSV")
            .await
            .unwrap_err()
            .is_code(446)
    );
    let client = database("t_refresh").await;
    execute(&client, "CREATE MATERIALIZED VIEW v REFRESH EVERY 1 HOUR ENGINE = MergeTree ORDER BY n AS SELECT 1 AS n").await;
    assert_eq!(
        table(
            &client,
            "SELECT timezone() AS z, toString(toDateTime(0)) AS t"
        )
        .await,
        "UTC | 1970-01-01 00:00:00"
    );
}

#[tokio::test]
async fn two_commands_share_the_engine_of_one_directory_and_the_last_ends_it() {
    let dir = support::directory();
    let path = dir.path().join("data");
    let first = open(&launch(Some(&path))).await.unwrap();
    let second = open(&launch(Some(&path))).await.unwrap();
    let pid = first.pid().unwrap();
    assert_eq!(second.pid(), None, "it joined");
    execute(
        &client(&first),
        "CREATE TABLE t (i UInt8) ENGINE = MergeTree ORDER BY i",
    )
    .await;
    insert(&client(&second), "INSERT INTO t FORMAT CSV", "7\n").await;
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs_err::metadata(endpoint_file(&path))
            .unwrap()
            .permissions(),
    );
    assert_eq!(mode & 0o777, 0o600, "the key is for this user's eyes");
    let guest = client(&second);
    first.end().await;
    assert_eq!(
        table(&guest, "SELECT i FROM t").await,
        "7",
        "the guest keeps the engine alive"
    );
    second.end().await;
    within(
        Duration::from_secs(20),
        "the engine ends with its last guest",
        || !is_alive(pid),
    );
    assert!(!endpoint_file(&path).exists());
    let again = open(&launch(Some(&path))).await.unwrap();
    assert_eq!(table(&client(&again), "SELECT i FROM t").await, "7");
    again.end().await;
}

#[tokio::test]
async fn ten_at_once_on_a_fresh_directory_share_one_engine() {
    let dir = support::directory();
    let path = dir.path().join("data");
    let opened = futures_util::future::join_all(
        (0..10).map(|_| async { open(&launch(Some(&path))).await.unwrap() }),
    )
    .await;
    assert_eq!(
        opened
            .iter()
            .filter(|handle| handle.pid().is_some())
            .count(),
        1
    );
    futures_util::future::join_all(opened.into_iter().map(Handle::end)).await;
}

#[test]
fn an_engine_whose_parent_is_killed_ends_and_its_throw_away_data_is_gone() {
    // A shell stands for a command that is killed without a chance to clean up.
    let mut parent = Command::new("sh")
        .arg("-c")
        .arg("sleep 600 | \"$0\" serve --for-parent --port 0 --password-env THE_KEY; true")
        .arg(program())
        .env("THE_KEY", "k")
        .env("HOUSEWRIGHT_LIBCHDB", library())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(parent.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let endpoint: serde_json::Value = serde_json::from_str(&line).unwrap();
    let pid = u32::try_from(endpoint["pid"].as_u64().unwrap()).unwrap();
    let data = fs_err::read_link(format!("/proc/{pid}/cwd")).unwrap();
    assert!(data.exists());
    let directories = || {
        [std::env::temp_dir(), "/dev/shm".into()]
            .iter()
            .flat_map(|parent| parent.read_dir().into_iter().flatten())
            .filter_map(Result::ok)
            .filter(|entry| {
                let text =
                    fs_err::read_to_string(entry.path().join("engine.json")).unwrap_or_default();
                text.contains(&format!("\"pid\":{pid}}}"))
                    || text.contains(&format!("\"pid\":{pid},"))
            })
            .count()
    };
    assert_eq!(directories(), 1);
    let writer = Command::new("pgrep")
        .args(["-P", &parent.id().to_string(), "sleep"])
        .output()
        .unwrap();
    let writer: u32 = String::from_utf8(writer.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    signal(writer, "-KILL");
    within(Duration::from_secs(20), "the engine ends", || {
        !is_alive(pid)
    });
    assert_eq!(directories(), 0);
    parent.wait().unwrap();
}

#[tokio::test]
async fn serve_ends_in_order_on_ctrl_c_and_sigterm_and_keeps_its_data() {
    let dir = support::directory();
    for (round, name) in ["-INT", "-TERM"].into_iter().enumerate() {
        let mut serve = Serve::start(&["--path", dir.path().as_str()]);
        let client = serve.client();
        execute(
            &client,
            "CREATE TABLE IF NOT EXISTS t (i UInt64) ENGINE = MergeTree ORDER BY i",
        )
        .await;
        insert(&client, "INSERT INTO t FORMAT CSV", format!("{round}\n")).await;
        let long = client.clone();
        let running = tokio::spawn(async move {
            long.fetch(
                &Query::new(
                    "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1",
                ),
                "TSV",
            )
            .await
        });
        tokio::time::sleep(Duration::from_millis(300)).await;
        signal(serve.child.id(), name);
        let begun = Instant::now();
        let status = tokio::task::spawn_blocking(move || serve.child.wait().unwrap())
            .await
            .unwrap();
        assert!(begun.elapsed() < Duration::from_secs(15), "{name}");
        assert_eq!(status.code(), Some(0), "{name}");
        assert!(running.await.unwrap().is_err());
    }
    let handle = open(&launch(Some(dir.path()))).await.unwrap();
    assert_eq!(
        table(&client(&handle), "SELECT i FROM t ORDER BY i").await,
        "0\n1"
    );
    handle.end().await;
}

#[tokio::test]
async fn serve_ends_in_order_before_it_is_ready_too() {
    let dir = support::directory();
    let mut child = Command::new(program())
        .args(["serve", "--port", "0", "--seed", "100000000", "--path"])
        .arg(dir.path())
        .args(["--schema", support::schema().as_str()])
        .env("HOUSEWRIGHT_LIBCHDB", library())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    within(Duration::from_secs(20), "it answers", || {
        endpoint_file(dir.path()).exists()
    });
    tokio::time::sleep(Duration::from_millis(1500)).await;
    signal(child.id(), "-TERM");
    assert_eq!(ended(&mut child).code(), Some(0));
    assert!(!endpoint_file(dir.path()).exists());
    let handle = open(&launch(Some(dir.path()))).await.unwrap();
    assert_eq!(
        table(&client(&handle), "EXISTS millimetric.events").await,
        "1"
    );
    handle.end().await;
}

#[tokio::test]
async fn what_was_answered_survives_a_kill() {
    let dir = support::directory();
    let mut serve = Serve::start(&["--path", dir.path().as_str()]);
    let client_of_killed = serve.client();
    execute(
        &client_of_killed,
        "CREATE TABLE t (i UInt64) ENGINE = MergeTree ORDER BY i",
    )
    .await;
    for i in 0..30 {
        insert(
            &client_of_killed,
            "INSERT INTO t FORMAT CSV",
            format!("{i}\n"),
        )
        .await;
    }
    serve.child.kill().unwrap();
    serve.child.wait().unwrap();
    // The file that says where it answers is still there, and nobody answers.
    let handle = open(&launch(Some(dir.path()))).await.unwrap();
    assert_eq!(
        table(&client(&handle), "SELECT count() AS n, max(i) AS m FROM t").await,
        "30 | 29"
    );
    handle.end().await;
}

#[test]
fn a_crash_of_the_engine_is_no_hang() {
    let mut serve = Serve::start(&[]);
    // libchdb's own handlers would print nothing and sleep for five minutes.
    let begun = Instant::now();
    signal(serve.child.id(), "-ABRT");
    let status = ended(&mut serve.child);
    assert!(!status.success());
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn ctrl_z_stops_it_and_fg_goes_on() {
    // libchdb's own handlers would swallow the signal.
    let mut serve = Serve::start(&[]);
    let pid = serve.child.id();
    let state = || {
        fs_err::read_to_string(format!("/proc/{pid}/stat"))
            .unwrap()
            .rsplit(')')
            .next()
            .unwrap()
            .trim()
            .chars()
            .next()
    };
    signal(pid, "-TSTP");
    within(Duration::from_secs(5), "it stops", || state() == Some('T'));
    signal(pid, "-CONT");
    within(Duration::from_secs(5), "it goes on", || {
        state() != Some('T')
    });
    signal(pid, "-TERM");
    assert!(ended(&mut serve.child).success());
}

#[test]
fn serve_refuses_what_would_open_it_to_others() {
    let run = |args: &[&str]| {
        let output = Command::new(program())
            .arg("serve")
            .args(args)
            .env("HOUSEWRIGHT_LIBCHDB", library())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (code, said) = run(&["--no-password", "--listen", "0.0.0.0"]);
    assert_eq!(code, Some(2), "{said}");
    let (code, said) = run(&["--password-env", "NOT_SET_ANYWHERE"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("NOT_SET_ANYWHERE"));
    let dir = support::directory();
    let first = Serve::start(&["--path", dir.path().as_str()]);
    let (code, said) = run(&["--port", "0", "--path", dir.path().as_str()]);
    assert_eq!(code, Some(4), "{said}");
    let port = first
        .server
        .url
        .rsplit(':')
        .next()
        .unwrap()
        .trim_end_matches('/')
        .to_owned();
    let (code, said) = run(&["--port", &port]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("could not listen"), "{said}");
    signal(first.child.id(), "-TERM");
}

#[test]
fn of_installations_at_once_one_fetches_and_all_find_the_library() {
    use base64::Engine as _;
    use housewright::engine::install::{Package, Places, install};
    use sha2::Digest as _;
    use std::os::unix::fs::PermissionsExt as _;
    // This test starts itself: a PATH with another npm on it is a process's own.
    let environment = housewright::config::Environment::of_this_process();
    if let (Some(cache), Some(sum)) = (
        environment.get("INSTALL_INTO"),
        environment.get("INSTALL_SUM"),
    ) {
        let package = Package {
            name: "a-small-package",
            library: "libchdb.so",
            sha512: Some(String::leak(sum.to_owned())),
            packed: 0,
        };
        let places = Places {
            explicit: None,
            cache: Some(cache.into()),
            system: Vec::new(),
        };
        let path = install(&places, package, &mut |_| ()).unwrap();
        assert_eq!(fs_err::read_to_string(path).unwrap(), "the library");
        return;
    }
    let dir = support::directory();
    let at = |name: &str| dir.path().join(name);
    fs_err::create_dir_all(at("package")).unwrap();
    fs_err::write(at("package/libchdb.so"), "the library").unwrap();
    let packed = Command::new("tar")
        .args(["-czf", "x.tgz", "package"])
        .current_dir(dir.path())
        .status();
    assert!(packed.unwrap().success());
    let sum = base64::engine::general_purpose::STANDARD
        .encode(sha2::Sha512::digest(fs_err::read(at("x.tgz")).unwrap()));
    let npm = format!(
        "#!/bin/sh\necho fetched >> {0}/log\nsleep 0.3\ncp {0}/x.tgz .\n",
        dir.path()
    );
    fs_err::create_dir(at("bin")).unwrap();
    fs_err::write(at("bin/npm"), npm).unwrap();
    fs_err::set_permissions(at("bin/npm"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut children: Vec<Child> = (0..5)
        .map(|_| {
            Command::new("/proc/self/exe")
                .args([
                    "--exact",
                    "of_installations_at_once_one_fetches_and_all_find_the_library",
                ])
                .env("PATH", format!("{}:/usr/bin:/bin", at("bin")))
                .env("INSTALL_INTO", at("cache"))
                .env("INSTALL_SUM", &sum)
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for child in &mut children {
        assert!(ended(child).success());
    }
    assert_eq!(fs_err::read_to_string(at("log")).unwrap(), "fetched\n");
    let left = at("cache").read_dir().unwrap().count();
    assert_eq!(left, 2, "the library's directory and the lock");
}

#[test]
fn a_password_of_any_characters_is_taken_however_it_is_given() {
    let key = "p@ss/w#rd%? x:'\"\\é€";
    let mut serve = Serve::with_key(key, &[]);
    let url = &serve.server.url;
    let dir = support::directory();
    fs_err::create_dir(dir.path().join("migrations")).unwrap();
    let file = dir.path().join("password");
    fs_err::write(&file, format!("{key}\r\n")).unwrap();
    let encoded = "p%40ss%2Fw%23rd%25%3F%20x%3A%27%22%5C%C3%A9%E2%82%AC";
    for (name, value, url) in [
        ("HOUSEWRIGHT_PASSWORD", key, url.clone()),
        ("HOUSEWRIGHT_PASSWORD_FILE", file.as_str(), url.clone()),
        (
            "UNUSED",
            "",
            url.replace("http://", &format!("http://default:{encoded}@")),
        ),
    ] {
        let output = Command::new(program())
            .args(["status", "--schema", dir.path().as_str()])
            .env("HOUSEWRIGHT_URL", url)
            .env(name, value)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {said}");
    }
    // As curl sends it: Basic.
    let output = Command::new("curl")
        .args(["--silent", "--user", &format!("default:{key}"), url])
        .args(["--data", "SELECT 'in'"])
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"in\n");
    signal(serve.child.id(), "-TERM");
    assert!(ended(&mut serve.child).success());
}

#[tokio::test]
async fn a_served_schema_is_applied_and_seeded() {
    let mut serve = Serve::start(&["--schema", support::schema().as_str(), "--seed", "2000"]);
    let client = serve.client().in_database("millimetric");
    assert_eq!(
        table(&client, "SELECT count() AS n FROM events").await,
        "2000"
    );
    assert_eq!(
        table(&client, "SELECT sum(event_count) AS n FROM sessions").await,
        "2000"
    );
    signal(serve.child.id(), "-TERM");
    ended(&mut serve.child);
}
