//! A dump can be loaded again, and the dump of that is the same, for every kind of object and every name.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod support;

use housewright::catalog::{Definitions, Masking, canonical};
use housewright::clickhouse::Client;
use housewright::config::Server;
use housewright::drift::{Bench, Error, Step, compare, write};
use housewright::engine::child::{Launch, open};
use support::proxy::{Fate, Proxy};
use support::sandbox::{Sandbox, snapshot};

/// An engine for one test alone: a bench removes every database in it.
async fn with_engine(act: impl AsyncFnOnce(Client)) {
    let launch = Launch {
        program: support::program().to_owned(),
        library: support::library(),
        path: None,
    };
    let handle = open(&launch).await.unwrap();
    act(Client::new(handle.server(), "default").unwrap()).await;
    handle.end().await;
}

const OBJECTS: &str = r"
CREATE FUNCTION plus_one AS x -> x + 1;
CREATE TABLE t (a UInt64, b String DEFAULT 'x' COMMENT 'it''s' CODEC(ZSTD(1)), c DateTime, d String TTL c + INTERVAL 1 DAY, x Float64 DEFAULT 1.0,
    INDEX i b TYPE bloom_filter GRANULARITY 1, CONSTRAINT k CHECK a > 0, PROJECTION p (SELECT a ORDER BY b))
    ENGINE = MergeTree PARTITION BY toYYYYMM(c) ORDER BY a TTL c + INTERVAL 2 DAY SETTINGS index_granularity = 1024 COMMENT 'c';
CREATE TABLE z_target (a UInt64) ENGINE = ReplacingMergeTree(a) PRIMARY KEY a ORDER BY (a, a + 1);
CREATE MATERIALIZED VIEW a_trigger TO z_target AS SELECT a FROM t WHERE b = 'home.t';
CREATE MATERIALIZED VIEW a_inner ENGINE = MergeTree ORDER BY a AS SELECT a FROM t;
CREATE MATERIALIZED VIEW a_clock REFRESH EVERY 1 HOUR TO z_target AS SELECT a FROM t;
CREATE VIEW a_parameter AS SELECT a FROM t WHERE a = {x:UInt64} AND a IN z_target;
CREATE VIEW a_secure SQL SECURITY DEFINER AS SELECT a FROM home.t UNION ALL SELECT a FROM z_target;
CREATE DICTIONARY t_dictionary (a UInt64, b String) PRIMARY KEY a SOURCE(CLICKHOUSE(TABLE 't' DB 'home' PASSWORD 'hush')) LAYOUT(FLAT()) LIFETIME(10);
CREATE VIEW a_lookup AS SELECT dictGet('t_dictionary', 'b', a) AS x, plus_one(a) AS y FROM t;
CREATE TABLE a_buffer AS t ENGINE = Buffer(home, t, 1, 1, 1, 1, 1, 1, 1);
CREATE TABLE a_merge AS t ENGINE = Merge('home', '^t$');
CREATE TABLE `we``ird. näme` (`a.b` UInt64, `select` String ALIAS toString(1.0)) ENGINE = MergeTree ORDER BY `a.b`;
CREATE VIEW `from` AS SELECT 1.0 AS x, `we``ird. näme`.`a.b` FROM `we``ird. näme`;
";

#[tokio::test]
async fn a_dump_of_a_loaded_dump_is_the_same() {
    with_engine(async |engine| {
        let bench = Bench::new(&engine, "home").await.unwrap();
        let first = bench.replay(&Step::of_text(OBJECTS)).await.unwrap();
        assert_eq!(first.len(), 14);
        for definition in first.iter() {
            assert!(!definition.as_text, "{}", definition.name);
            assert!(
                !definition.text.contains("FROM home."),
                "{}",
                definition.text
            );
            assert!(!definition.text.contains("hush"), "{}", definition.text);
            assert_eq!(
                canonical(&definition.text, "home", Masking::Replication),
                definition.text
            );
        }
        let again = bench.read_back(&first).await.unwrap();
        assert_eq!(first.differences(&again), []);
        // As a dump is used: one statement after the other, in the order of the dump, in a database of another name.
        let sorted: Vec<String> = first
            .in_order()
            .unwrap()
            .into_iter()
            .map(|definition| definition.text + ";\n")
            .collect();
        let elsewhere = Bench::new(&engine, "elsewhere").await.unwrap();
        let loaded = elsewhere
            .replay(&Step::of_text(&sorted.concat()))
            .await
            .unwrap();
        assert_eq!(first.differences(&loaded), []);
    })
    .await;
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_compared_as_text_and_what_reads_it_is_not() {
    with_engine(async |engine| {
        let bench = Bench::new(&engine, "default").await.unwrap();
        let steps = |cluster: &str| {
            Step::of_text(&format!(
                "CREATE TABLE t (a UInt64) ENGINE = ReplicatedMergeTree('/p', '{{replica}}') ORDER BY a;\
                 CREATE TABLE d (a UInt64) ENGINE = Distributed('{cluster}', 'default', 't');\
                 CREATE VIEW v AS SELECT a + 1.0 AS b FROM d;\
                 ALTER TABLE d ADD COLUMN c String"
            ))
        };
        let one = bench.replay(&steps("one")).await.unwrap();
        let text = &one.get("d").unwrap().text;
        assert!(one.get("d").unwrap().as_text);
        assert!(text.contains("`c` String"), "{text}");
        assert!(
            text.ends_with("ENGINE = Distributed('one', currentDatabase(), 't')"),
            "{text}"
        );
        assert!(!one.get("v").unwrap().as_text);
        assert!(one.get("t").unwrap().text.contains("ENGINE = MergeTree"));
        assert_eq!(one.differences(&bench.read_back(&one).await.unwrap()), []);
        let two = bench.replay(&steps("two")).await.unwrap();
        let found = one.differences(&two);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].object().name, "d");
    })
    .await;
}

#[tokio::test]
async fn a_statement_that_no_server_takes_is_an_error() {
    with_engine(async |engine| {
        let bench = Bench::new(&engine, "home").await.unwrap();
        let error = bench
            .replay(&Step::of_text("CREATE VIEW v AS SELECT a FROM nowhere"))
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Statement { .. }), "{error}");
    })
    .await;
}

#[tokio::test]
async fn files_are_written_compared_and_removed() {
    with_engine(async |engine| {
        let bench = Bench::new(&engine, "home").await.unwrap();
        let state = bench.replay(&Step::of_text(OBJECTS)).await.unwrap();
        let dir = support::directory();
        let current = dir.path().join("current");
        assert_eq!(write(&current, &state).unwrap().len(), 14);
        assert!(compare(&current, &state).unwrap().is_empty());
        assert!(current.join("we%60ird%2E näme.sql").exists());
        assert!(current.join("plus_one.function.sql").exists());
        fs_err::write(current.join("gone.sql"), "CREATE VIEW gone AS SELECT 1;\n").unwrap();
        fs_err::remove_file(current.join("t.sql")).unwrap();
        assert_eq!(write(&current, &state).unwrap().len(), 2);
        assert!(compare(&current, &state).unwrap().is_empty());
        // What the files say is what was written.
        let declared = housewright::drift::declared(&current, "home").unwrap();
        let read = bench.load_declared(&declared).await.unwrap();
        assert_eq!(state.differences(&read), []);
    })
    .await;
}

#[tokio::test]
async fn our_own_files_are_what_the_migrations_add_up_to() {
    with_engine(async |engine| {
        let migrations = housewright::migration::Migrations::load(&support::schema()).unwrap();
        let bench = Bench::new(&engine, "millimetric").await.unwrap();
        let end = bench
            .replay(&Step::of_migrations(&migrations))
            .await
            .unwrap();
        let changes = compare(&support::schema().join("current"), &end).unwrap();
        assert!(
            changes.is_empty(),
            "`housewright dump --write`: {changes:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_live_database_is_read_without_journal_and_lock() {
    let client = support::database_with_schema("dump_live").await;
    let read = Definitions::read(&client.read_only(), Masking::Paths)
        .await
        .unwrap();
    let names: Vec<&str> = read.iter().map(|it| it.name.as_str()).collect();
    assert!(
        !names.iter().any(|name| name.contains("housewright")),
        "{names:?}"
    );
    let sorted = read.in_order().unwrap();
    let place = |name: &str| sorted.iter().position(|it| it.name == name).unwrap();
    assert!(place("events") < place("sessions_v1_mv"));
    assert!(place("sessions_v1") < place("sessions_v1_mv"));
    assert!(place("sessions_v1") < place("sessions"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_format_query_shows_its_definitions_itself() {
    let client = support::database("dump_shown").await;
    for statement in housewright::sql::split(OBJECTS).iter().skip(1).take(6) {
        support::execute(&client, statement.sql()).await;
    }
    support::execute(
        &client,
        "CREATE DICTIONARY d (a UInt64) PRIMARY KEY a SOURCE(CLICKHOUSE(TABLE 't')) LAYOUT(FLAT()) LIFETIME(10)",
    )
    .await;
    // What such a server says of itself: it has no function of that name.
    let proxy = Proxy::start(&support::engine().url, |request| {
        if request.sql().contains("name = 'formatQueryOrNull'") {
            Fate::Answer("{\"number\":0}\n")
        } else {
            Fate::Pass
        }
    });
    let server = Server {
        url: proxy.url.clone(),
        ..support::engine().clone()
    };
    let old = Client::new(&server, "dump_shown").unwrap();
    let formatted = Definitions::read(&client, Masking::Paths).await.unwrap();
    let shown = Definitions::read(&old, Masking::Paths).await.unwrap();
    assert_eq!(formatted.differences(&shown), []);
    assert_eq!(shown.len(), 7);
    let asked = proxy.seen.lock().unwrap();
    let shows = asked.iter().filter(|it| it.sql().contains("SHOW CREATE"));
    assert_eq!(shows.count(), 7, "each definition was shown");
    assert!(
        !asked
            .iter()
            .any(|it| it.sql().contains("formatQueryOrNull("))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn users_and_rights_are_dumped_where_asked_and_no_secret_with_them() {
    support::execute(
        &support::database("dump_access").await,
        "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a",
    )
    .await;
    // The embedded engine has no users; this is what a server answers.
    let proxy = Proxy::start(&support::engine().url, |request| {
        if request.sql().contains("SHOW ACCESS") {
            Fate::Answer(concat!(
                r#"{"ACCESS":"CREATE USER reader IDENTIFIED WITH sha256_hash BY '0AF1' SALT 'B2' HOST LOCAL DEFAULT ROLE analyst"}"#,
                "\n",
                r#"{"ACCESS":"CREATE ROLE analyst"}"#,
                "\n",
                r#"{"ACCESS":"CREATE ROW POLICY own ON dump_access.t FOR SELECT USING a = 1 TO analyst"}"#,
                "\n",
                r#"{"ACCESS":"GRANT SELECT ON dump_access.* TO analyst"}"#,
                "\n",
            ))
        } else {
            Fate::Pass
        }
    });
    let sandbox = Sandbox::new();
    let dump = |args: &[&str]| {
        let at = [
            "--url",
            proxy.url.as_str(),
            "--database",
            "dump_access",
            "dump",
        ];
        let mut command = sandbox.command(&[&at, args].concat());
        let password = support::engine().password.as_ref().unwrap();
        command.env("HOUSEWRIGHT_PASSWORD", password.expose());
        command
    };
    snapshot!(dump(&["--access"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    CREATE TABLE t
    (
        `a` UInt64
    )
    ENGINE = MergeTree
    ORDER BY a
    SETTINGS index_granularity = 8192;

    CREATE USER reader IDENTIFIED WITH sha256_hash BY '[HIDDEN]' SALT '[HIDDEN]' HOST LOCAL DEFAULT ROLE analyst;

    CREATE ROLE analyst;

    CREATE ROW POLICY own ON dump_access.t FOR SELECT USING a = 1 TO analyst;

    GRANT SELECT ON dump_access.* TO analyst;

    ----- stderr -----
    ");
    snapshot!(dump(&["--access", "--format", "json"]), @r#"
    success: true
    exit_code: 0
    ----- stdout -----
    {
      "version": 1,
      "target": "http://[ADDRESS]/",
      "database": "dump_access",
      "objects": [
        {
          "name": "t",
          "kind": "table",
          "sql": "CREATE TABLE t\n(\n    `a` UInt64\n)\nENGINE = MergeTree\nORDER BY a\nSETTINGS index_granularity = 8192"
        }
      ],
      "access": [
        "CREATE USER reader IDENTIFIED WITH sha256_hash BY '[HIDDEN]' SALT '[HIDDEN]' HOST LOCAL DEFAULT ROLE analyst",
        "CREATE ROLE analyst",
        "CREATE ROW POLICY own ON dump_access.t FOR SELECT USING a = 1 TO analyst",
        "GRANT SELECT ON dump_access.* TO analyst"
      ]
    }

    ----- stderr -----
    "#);
    snapshot!(dump(&[]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    CREATE TABLE t
    (
        `a` UInt64
    )
    ENGINE = MergeTree
    ORDER BY a
    SETTINGS index_granularity = 8192;

    ----- stderr -----
    ");
}
