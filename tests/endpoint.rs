//! The embedded engine's endpoint, request by request, with curl: what a ClickHouse server answers, it answers.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod support;

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use housewright::clickhouse::{Client, Query};
use support::{database, engine, execute, table};

/// What curl got.
struct Answer {
    status: u16,
    headers: String,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.lines().find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Status and code, `200` or `404/60`.
    fn code(&self) -> String {
        match self.header("x-clickhouse-exception-code") {
            Some(code) => format!("{}/{code}", self.status),
            None => self.status.to_string(),
        }
    }
}

/// Runs curl with a body, or without.
fn curl_as(credentials: Option<&str>, path: &str, args: &[&str], body: Option<&[u8]>) -> Answer {
    let url = engine().url.trim_end_matches('/').to_owned() + path;
    let mut command = Command::new("curl");
    command.args([
        "--silent",
        "--show-error",
        "--include",
        "--max-time",
        "60",
        "--globoff",
    ]);
    if let Some(credentials) = credentials {
        command.args(["--user", credentials]);
    }
    if body.is_some() {
        command.args(["--data-binary", "@-", "--header", "Expect:"]);
    }
    let mut child = command
        .args(args)
        .arg(url)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("curl is needed for this test; install it");
    let mut stdin = child.stdin.take().unwrap();
    let body = body.unwrap_or_default().to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&body));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join();
    let split = output
        .stdout
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .unwrap_or_else(|| panic!("no answer: {}", String::from_utf8_lossy(&output.stderr)));
    let headers = String::from_utf8_lossy(&output.stdout[..split]).into_owned();
    Answer {
        status: headers.split_whitespace().nth(1).unwrap().parse().unwrap(),
        headers,
        body: output.stdout[split + 4..].to_vec(),
    }
}

fn credentials() -> String {
    format!("default:{}", engine().password.as_ref().unwrap().expose())
}

fn post(path: &str, body: impl AsRef<[u8]>) -> Answer {
    curl_as(Some(&credentials()), path, &[], Some(body.as_ref()))
}

fn get(path: &str) -> Answer {
    curl_as(Some(&credentials()), path, &[], None)
}

/// Percent-encodes a query.
fn encode(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[tokio::test]
async fn a_query_comes_in_the_url_in_the_body_or_in_both() {
    database("e_query").await;
    assert_eq!(get("/?query=SELECT%201%2B1").text(), "2\n");
    assert_eq!(post("/", "SELECT 1+1").text(), "2\n");
    assert_eq!(post("/?query=SELECT%20", "1+1").text(), "2\n");
    assert_eq!(
        post("/?database=e_query", "SELECT currentDatabase()").text(),
        "e_query\n"
    );
    assert_eq!(post("/", "SELECT 1;").text(), "1\n");
    assert_eq!(post("/", "  -- only a comment\n").code(), "400/62");
    assert_eq!(post("/", "").code(), "400/62");
    assert_eq!(post("/", "SELECT 1; SELECT 2").code(), "400/62");
}

#[tokio::test]
async fn data_arrives_byte_for_byte_wherever_it_stands() {
    let client = database("e_insert").await;
    execute(
        &client,
        "CREATE TABLE t (i UInt64, s String) ENGINE = MergeTree ORDER BY i",
    )
    .await;
    let query = |sql: &str| format!("/?database=e_insert&query={}", encode(sql));
    for (path, body) in [
        (
            query("INSERT INTO t FORMAT JSONEachRow"),
            b"{\"i\":1,\"s\":\"a\\n\\nb\"}\n\n{\"i\":2,\"s\":\"; DROP TABLE t\"}\n".to_vec(),
        ),
        (
            "/?database=e_insert".to_owned(),
            b"INSERT INTO t FORMAT JSONEachRow\n{\"i\":3,\"s\":\"x\"}\n\n{\"i\":4,\"s\":\"y\"}"
                .to_vec(),
        ),
        (
            "/?database=e_insert".to_owned(),
            b"INSERT INTO t FORMAT CSV\n5,\"x\n\ny\"\n".to_vec(),
        ),
        (
            "/?database=e_insert".to_owned(),
            b"INSERT INTO t (i, s) VALUES (6, 'a\n\n;'), (7, concat('b', 'c'))".to_vec(),
        ),
        (query("INSERT INTO t VALUES"), b"(8, 'v')".to_vec()),
        (query("INSERT INTO t (i) VALUES (9), (10)"), Vec::new()),
        (
            query("INSERT INTO t FORMAT RowBinary"),
            [
                &11_u64.to_le_bytes()[..],
                b"\x04\n\n\n\n",
                &2570_u64.to_le_bytes(),
                b"\x00",
            ]
            .concat(),
        ),
        (
            query("INSERT INTO t SETTINGS max_threads = 1 FORMAT TSV"),
            b"12\tsettings\n".to_vec(),
        ),
        (
            "/?database=e_insert&default_format=JSONEachRow&query=INSERT%20INTO%20t".to_owned(),
            b"{\"i\":13}".to_vec(),
        ),
    ] {
        let answer = post(&path, &body);
        assert_eq!(
            (answer.status, answer.text()),
            (200, String::new()),
            "{path}"
        );
    }
    insta::assert_snapshot!(table(&client, "SELECT i, replaceAll(s, '\\n', '~') AS s FROM t ORDER BY i").await, @"
    1 | a~~b
    2 | ; DROP TABLE t
    3 | x
    4 | y
    5 | x~~y
    6 | a~~;
    7 | bc
    8 | v
    9 | 
    10 | 
    11 | ~~~~
    12 | settings
    13 | 
    2570 |
    ");
}

#[tokio::test]
async fn a_bad_row_or_a_broken_body_leaves_nothing() {
    let client = database("e_bad_insert").await;
    execute(
        &client,
        "CREATE TABLE t (i UInt64) ENGINE = MergeTree ORDER BY i",
    )
    .await;
    assert_eq!(
        post(
            "/?database=e_bad_insert",
            "INSERT INTO t FORMAT CSV\n1\nx\n"
        )
        .code(),
        "400/117"
    );
    assert_eq!(
        post(
            "/?database=e_bad_insert",
            "INSERT INTO nope FORMAT CSV\n1\n"
        )
        .code(),
        "404/60"
    );
    // A client that says more than it sends.
    let stop = curl_as(
        Some(&credentials()),
        "/?database=e_bad_insert&decompress=1",
        &[],
        Some(b"INSERT INTO t FORMAT CSV\n1\n"),
    );
    assert_ne!(stop.status, 200);
    assert_eq!(table(&client, "SELECT count() AS n FROM t").await, "0");
}

#[tokio::test]
async fn who_is_still_sending_when_it_is_refused_hears_why() {
    // Many clients send all of a body before they read a byte of the answer.
    use std::io::Read as _;
    database("e_refused").await;
    let rows = b"1\n".repeat(32 << 20);
    let ask = |credentials: &str, query: &str, more: &str| {
        use base64::Engine as _;
        let address = engine()
            .url
            .trim_start_matches("http://")
            .trim_end_matches('/')
            .to_owned();
        let mut stream = std::net::TcpStream::connect(&address).unwrap();
        let basic = base64::engine::general_purpose::STANDARD.encode(credentials);
        let head = format!(
            "POST /?database=e_refused&query={} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Basic {basic}\r\nConnection: close\r\nContent-Length: {}\r\n{more}\r\n",
            encode(query),
            rows.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream
            .write_all(&rows)
            .map_err(|error| format!("{query}: {error}"))
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let code = answer
            .lines()
            .find_map(|line| line.strip_prefix("x-clickhouse-exception-code: "))
            .unwrap_or("none");
        format!("{}/{code}", answer.split_whitespace().nth(1).unwrap())
    };
    let nowhere = "INSERT INTO nowhere FORMAT CSV";
    assert_eq!(ask(&credentials(), nowhere, ""), "404/60");
    assert_eq!(ask("default:wrong", nowhere, ""), "403/516");
    let packed = "Content-Encoding: gzip\r\n";
    assert_eq!(ask(&credentials(), nowhere, packed), "404/60");
    assert_eq!(ask(&credentials(), "SELECT 1", ""), "413/223");
    let begun = Instant::now();
    let blank = post("/", b" ".repeat(65 << 20));
    assert_eq!(blank.code(), "413/223");
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn get_changes_nothing_and_settings_last_one_query() {
    let client = database("e_settings").await;
    let create = get(&format!(
        "/?database=e_settings&query={}",
        encode("CREATE TABLE t (i UInt8) ENGINE = Memory")
    ));
    assert_eq!(create.code(), "500/164");
    assert_eq!(
        table(
            &client,
            "SELECT count() AS n FROM system.tables WHERE database = currentDatabase()"
        )
        .await,
        "0"
    );
    let threads = "SELECT getSetting('max_threads')";
    let before = post("/", threads).text();
    assert_eq!(post("/?max_threads=7", threads).text(), "7\n");
    assert_eq!(post("/", threads).text(), before);
    assert_eq!(post("/?no_such_setting=1", "SELECT 1").code(), "404/115");
    assert_eq!(
        post(
            "/?max_execution_time=1",
            "SELECT sleepEachRow(1) FROM numbers(5) SETTINGS max_block_size = 1"
        )
        .code(),
        "408/159"
    );
    assert_eq!(
        post("/?readonly=2", "CREATE TABLE t (i UInt8) ENGINE = Memory").code(),
        "500/164"
    );
}

#[tokio::test]
async fn parameters_are_bound_not_pasted() {
    assert_eq!(
        post(
            "/?param_x=it%27s&param_n=7",
            "SELECT {x:String}, {n:UInt8} + 1"
        )
        .text(),
        "it\\'s\t8\n"
    );
    assert_eq!(post("/", "SELECT {x:String}").code(), "500/456");
    let form = curl_as(
        Some(&credentials()),
        "/",
        &["-F", "query=SELECT {x:String} || '!'", "-F", "param_x=form"],
        None,
    );
    assert_eq!(form.text(), "form!\n");
}

#[tokio::test]
async fn the_format_of_the_query_wins_then_the_header_then_the_parameter() {
    let header = |body: &str, path: &str| {
        curl_as(
            Some(&credentials()),
            path,
            &["-H", "X-ClickHouse-Format: CSV"],
            Some(body.as_bytes()),
        )
    };
    assert_eq!(
        post("/?default_format=JSONEachRow", "SELECT 1 AS a").text(),
        "{\"a\":1}\n"
    );
    assert_eq!(
        header("SELECT 'a'", "/?default_format=JSONEachRow").text(),
        "\"a\"\n"
    );
    let answer = header(
        "SELECT 'x' AS a FORMAT TSVWithNames",
        "/?default_format=JSONEachRow",
    );
    assert_eq!(
        answer.text(),
        "a
x
"
    );
    assert_eq!(answer.header("x-clickhouse-format"), Some("TSVWithNames"));
    assert_eq!(
        post("/", "SELECT 1 AS a, 2 AS format, 3 AS b FORMAT JSONEachRow").text(),
        "{\"a\":1,\"format\":2,\"b\":3}\n"
    );
    assert_eq!(
        post(
            "/?default_format=JSONEachRow",
            "SELECT number AS format FROM numbers(1) ORDER BY format"
        )
        .text(),
        "{\"format\":0}\n"
    );
}

#[tokio::test]
async fn a_session_keeps_what_it_was_told_and_nothing_of_the_url() {
    assert_eq!(
        post("/?session_id=s1", "CREATE TEMPORARY TABLE tmp (i UInt8)").status,
        200
    );
    assert_eq!(
        post("/?session_id=s1", "INSERT INTO tmp VALUES (1)").status,
        200
    );
    assert_eq!(post("/?session_id=s1", "SELECT i FROM tmp").text(), "1\n");
    assert_eq!(post("/", "SELECT i FROM tmp").code(), "404/60");
    assert_eq!(post("/?session_id=s1", "SET max_threads = 5").status, 200);
    assert_eq!(
        post(
            "/?session_id=s1&max_threads=9",
            "SELECT getSetting('max_threads')"
        )
        .text(),
        "9\n"
    );
    assert_eq!(
        post("/?session_id=s1", "SELECT getSetting('max_threads')").text(),
        "5\n"
    );
    let database = |path: &str| post(path, "SELECT currentDatabase()").text();
    assert_eq!(database("/?session_id=s1&database=system"), "system\n");
    assert_eq!(database("/?session_id=s1"), "default\n");
    let used = post("/?session_id=s1&database=default", "USE system");
    assert_eq!(used.status, 200);
    assert_eq!(database("/?session_id=s1"), "system\n");
    assert_eq!(
        post("/?session_id=nobody&session_check=1", "SELECT 1").code(),
        "500/372"
    );
    assert_eq!(
        post("/?session_id=s1&session_timeout=99999", "SELECT 1").code(),
        "500/374"
    );
    let busy = std::thread::spawn(|| post("/?session_id=s2", "SELECT sleep(2)"));
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(post("/?session_id=s2", "SELECT 1").code(), "500/373");
    assert_eq!(busy.join().unwrap().status, 200);
    assert_eq!(get("/?session_id=s2&query=SELECT%201").status, 200);
    assert_eq!(
        post(
            "/?session_id=s2",
            "CREATE TEMPORARY TABLE after_get (i UInt8)"
        )
        .status,
        200,
        "GET left no readonly behind"
    );
}

#[tokio::test]
async fn only_who_has_the_key_is_let_in() {
    let ask = |credentials: Option<&str>, args: &[&str], path: &str| {
        curl_as(credentials, path, args, Some(b"SELECT 1")).code()
    };
    let key = engine().password.as_ref().unwrap().expose();
    assert_eq!(ask(None, &[], "/"), "401/194");
    assert_eq!(ask(Some("default:wrong"), &[], "/"), "403/516");
    assert_eq!(ask(Some(&format!("somebody:{key}")), &[], "/"), "403/516");
    let header = format!("X-ClickHouse-Key: {key}");
    assert_eq!(
        ask(
            None,
            &["-H", "X-ClickHouse-User: default", "-H", &header],
            "/"
        ),
        "200"
    );
    assert_eq!(
        ask(None, &[], &format!("/?user=default&password={key}")),
        "200"
    );
    for path in ["/ping", "/replicas_status", "/"] {
        assert_eq!(curl_as(None, path, &[], None).text(), "Ok.\n");
    }
    assert_eq!(curl_as(None, "/nowhere", &[], None).status, 404);
    // A page of somewhere else, in a browser of this machine.
    assert_eq!(
        ask(Some(&credentials()), &["-H", "Host: evil.example"], "/"),
        "403/497"
    );
    assert_eq!(
        ask(
            Some(&credentials()),
            &["-H", "Origin: https://evil.example"],
            "/"
        ),
        "403/497"
    );
    assert_eq!(
        ask(
            Some(&credentials()),
            &["-H", "Origin: http://localhost:3000"],
            "/"
        ),
        "200"
    );
}

#[tokio::test]
async fn answers_say_what_they_are() {
    let answer = post("/?query_id=my-query", "SELECT number FROM numbers(10)");
    assert_eq!(answer.header("x-clickhouse-query-id"), Some("my-query"));
    assert_eq!(answer.header("x-clickhouse-timezone"), Some("UTC"));
    assert_eq!(answer.header("x-clickhouse-format"), Some("TabSeparated"));
    assert_eq!(
        answer.header("content-type"),
        Some("text/tab-separated-values; charset=UTF-8")
    );
    assert!(
        answer
            .header("x-clickhouse-summary")
            .unwrap()
            .contains("\"read_rows\":\"10\""),
        "{}",
        answer.headers
    );
    let error = post("/", "SELECT * FROM nope");
    assert!(
        error.text().starts_with("Code: 60. DB::Exception: "),
        "{}",
        error.text()
    );
    assert!(
        error.text().contains("(UNKNOWN_TABLE) (version 26."),
        "{}",
        error.text()
    );
    // The statistics of a result that is an error are uninitialised memory in libchdb: they are not asked for.
    let summary = error.header("x-clickhouse-summary");
    assert!(
        summary.is_none_or(|summary| summary.contains("\"read_rows\":\"0\"")),
        "{}",
        error.headers
    );
    let head = curl_as(
        Some(&credentials()),
        "/?query=SELECT%201",
        &["--head"],
        None,
    );
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[tokio::test]
async fn bodies_are_packed_both_ways() {
    let client = database("e_packed").await;
    execute(
        &client,
        "CREATE TABLE t (i UInt64) ENGINE = MergeTree ORDER BY i",
    )
    .await;
    let rows: String = (0..5000).fold(String::new(), |text, n| format!("{text}{n}\n"));
    for encoding in ["gzip", "deflate", "br", "zstd", "lz4"] {
        // What the endpoint packs, it unpacks: the two directions are other people's code.
        let accept = format!("Accept-Encoding: {encoding}");
        let packed = curl_as(
            Some(&credentials()),
            "/",
            &["-H", &accept],
            Some(b"SELECT number FROM numbers(5000)"),
        );
        assert_eq!(packed.header("content-encoding"), Some(encoding));
        assert!(packed.body.len() < rows.len(), "{encoding}");
        let content = format!("Content-Encoding: {encoding}");
        let path = format!(
            "/?database=e_packed&query={}",
            encode("INSERT INTO t FORMAT TSV")
        );
        let answer = curl_as(
            Some(&credentials()),
            &path,
            &["-H", &content],
            Some(&packed.body),
        );
        assert_eq!(answer.text(), "", "{encoding}");
    }
    assert_eq!(
        table(&client, "SELECT count() AS n, sum(i) AS s FROM t").await,
        format!("25000 | {}", 5 * 4999 * 2500)
    );
    let blocks = post("/?compress=1", "SELECT number FROM numbers(5000)");
    let path = format!(
        "/?database=e_packed&decompress=1&query={}",
        encode("INSERT INTO t FORMAT TSV")
    );
    assert_eq!(post(&path, &blocks.body).text(), "");
    assert_eq!(table(&client, "SELECT count() AS n FROM t").await, "30000");
    let mut corrupt = blocks.body.clone();
    corrupt[40] ^= 1;
    assert_eq!(post(&path, &corrupt).code(), "500/40");
    assert_eq!(
        post(&path, &blocks.body[..blocks.body.len() - 3]).code(),
        "500/271"
    );
    assert_eq!(table(&client, "SELECT count() AS n FROM t").await, "30000");
    let plain = curl_as(
        Some(&credentials()),
        "/?enable_http_compression=0",
        &["-H", "Accept-Encoding: gzip"],
        Some(b"SELECT 1"),
    );
    assert_eq!(
        (plain.header("content-encoding"), plain.text()),
        (None, "1\n".to_owned())
    );
}

#[tokio::test]
async fn packed_parts_laid_end_to_end_are_read_to_the_last() {
    // What `cat *.gz`, pigz and `zstd` over several files make: one body of many members.
    let client = database("e_members").await;
    execute(
        &client,
        "CREATE TABLE t (i UInt64) ENGINE = MergeTree ORDER BY i",
    )
    .await;
    let path = format!(
        "/?database=e_members&query={}",
        encode("INSERT INTO t FORMAT TSV")
    );
    for encoding in ["gzip", "deflate", "br", "zstd", "lz4"] {
        let accept = format!("Accept-Encoding: {encoding}");
        let pack = |rows: &[u8]| {
            curl_as(
                Some(&credentials()),
                "/",
                &["-H", &accept],
                Some(&[b"SELECT number FROM numbers(", rows, b")"].concat()),
            )
            .body
        };
        let content = format!("Content-Encoding: {encoding}");
        let insert =
            |body: &[u8]| curl_as(Some(&credentials()), &path, &["-H", &content], Some(body));
        let parts = [pack(b"1000"), pack(b"10"), pack(b"1")].concat();
        assert_eq!(insert(&parts).text(), "", "{encoding}");
        let behind = insert(&[&pack(b"1000")[..], b"no member"].concat());
        assert_eq!(behind.code(), "500/271", "{encoding}");
        let broken_off = insert(&parts[..parts.len() - 3]);
        assert_eq!(broken_off.code(), "500/271", "{encoding}");
    }
    assert_eq!(
        table(&client, "SELECT count() AS n, sum(i) AS s FROM t").await,
        format!("{} | {}", 5 * 1011, 5 * (999 * 500 + 45))
    );
}

#[tokio::test]
async fn large_results_stream_and_headers_stand_once() {
    let rows = 3_000_000;
    let lines = |text: &[u8]| text.split(|byte| *byte == b'\n').count() - 1;
    let plain = post(
        "/",
        format!("SELECT number FROM numbers({rows}) FORMAT TSV"),
    );
    assert_eq!(lines(&plain.body), rows);
    assert_eq!(plain.header("transfer-encoding"), Some("chunked"));
    for (format, heads) in [
        ("CSVWithNames", 1),
        ("TSVWithNamesAndTypes", 2),
        ("JSONCompactEachRowWithNamesAndTypes", 2),
    ] {
        let answer = post(
            "/",
            format!("SELECT number FROM numbers({rows}) FORMAT {format}"),
        );
        assert_eq!(lines(&answer.body), rows + heads, "{format}");
    }
    let binary = post(
        "/",
        format!("SELECT number FROM numbers({rows}) FORMAT RowBinaryWithNamesAndTypes"),
    );
    assert_eq!(
        binary.body.len(),
        "\u{1}\u{6}number\u{6}UInt64".len() + 8 * rows
    );
    let empty = post(
        "/",
        "SELECT number FROM numbers(0) FORMAT RowBinaryWithNamesAndTypes",
    );
    assert_eq!(empty.body, b"\x01\x06number\x06UInt64");
    let totals = post(
        "/",
        "SELECT number % 2 AS k, count() FROM numbers(10) GROUP BY k WITH TOTALS ORDER BY k FORMAT TSV",
    );
    assert_eq!(totals.text(), "0\t5\n1\t5\n\n0\t10\n");
    let whole = post(
        "/?max_result_bytes=1000",
        format!("SELECT number FROM numbers({rows}) FORMAT JSON"),
    );
    assert_eq!(whole.code(), "500/396");
}

#[tokio::test]
async fn an_error_in_the_middle_of_a_stream_is_noticed() {
    let sql = "SELECT number, throwIf(number = 2900000, 'too late') FROM numbers(3000000)";
    let answer = post("/", sql);
    assert_eq!(answer.status, 200);
    let tag = answer.header("x-clickhouse-exception-tag").unwrap();
    assert!(
        answer
            .text()
            .ends_with(&format!(" {tag}\r\n__exception__\r\n"))
    );
    assert_eq!(post("/?wait_end_of_query=1", sql).code(), "500/395");
    assert_eq!(post("/", format!("{sql} FORMAT Null")).code(), "500/395");
    let client = Client::new(engine(), "default").unwrap();
    let error = client.fetch(&Query::new(sql), "TSV").await.unwrap_err();
    assert!(error.is_code(395), "{error}");
    assert_eq!(
        post("/", "SELECT 'clean'").text(),
        "clean\n",
        "nothing of it leaks into the next answer"
    );
}

#[tokio::test]
async fn queries_are_cancelled_by_id_and_when_their_client_goes() {
    let running = |id: &str| {
        post(
            "/",
            format!("SELECT count() FROM system.processes WHERE Settings['log_comment'] = '{id}'"),
        )
        .text()
        .trim()
            == "1"
    };
    let wait = |id: &str, wanted: bool| {
        let deadline = Instant::now() + Duration::from_secs(20);
        while running(id) != wanted {
            assert!(
                Instant::now() < deadline,
                "{id} should be running: {wanted}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    let long = "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1";
    let killed = std::thread::spawn(move || post("/?query_id=kill-me", long));
    wait("kill-me", true);
    assert_eq!(
        post("/", "KILL QUERY WHERE query_id = 'kill-me' SYNC").status,
        200
    );
    assert_eq!(killed.join().unwrap().code(), "500/394");
    let gone = curl_gone("leave-me", long, || wait("leave-me", true));
    assert!(!gone);
    wait("leave-me", false);
}

/// A client that goes away while its query runs.
fn curl_gone(id: &str, sql: &str, begun: impl Fn()) -> bool {
    let mut child = Command::new("curl")
        .args(["--silent", "--user", &credentials(), "--data-binary", sql])
        .arg(format!("{}?query_id={id}", engine().url))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    begun();
    child.kill().unwrap();
    child.wait().unwrap().success()
}

#[tokio::test]
async fn what_would_reach_outside_the_database_is_refused() {
    for sql in [
        "SYSTEM SHUTDOWN",
        "SYSTEM KILL",
        "SELECT 1 INTO OUTFILE 'x.txt'",
        "INSERT INTO t FROM INFILE 'x.csv' FORMAT CSV",
    ] {
        assert_eq!(post("/", sql).code(), "500/344", "{sql}");
    }
    assert_eq!(post("/", "SELECT 1").text(), "1\n");
}

#[tokio::test]
async fn tables_come_with_the_request() {
    let dir = support::directory();
    let path = dir.path().join("ids.csv");
    fs_err::write(&path, "1,a\n2,\"b\n\nc\"\n").unwrap();
    let file = format!("ids=@{path}");
    let query = encode("SELECT sum(id), max(length(s)) FROM ids");
    let named = format!("/?query={query}&ids_structure=id%20UInt8,%20s%20String&ids_format=CSV");
    assert_eq!(
        curl_as(Some(&credentials()), &named, &["-F", &file], None).text(),
        "3\t4\n"
    );
    let query = encode("SELECT sum(_1) FROM ids");
    let typed = format!("/?query={query}&ids_types=UInt8,String&ids_format=CSV");
    assert_eq!(
        curl_as(Some(&credentials()), &typed, &["-F", &file], None).text(),
        "3\n"
    );
    assert_eq!(
        curl_as(
            Some(&credentials()),
            "/?query=SELECT%201",
            &["-F", &file],
            None
        )
        .code(),
        "400/36"
    );
    assert_eq!(
        post("/", "SELECT * FROM ids").code(),
        "404/60",
        "it went with its request"
    );
}
