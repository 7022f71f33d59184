//! The history of another tool is found by its table, has to fit the files, is shown before it is written, and is then ours.
//!
//! Both `clickhouse-migrations` are installed and run here. The tables of the others are made with their own statements: goose and
//! golang-migrate are Go programs that no package of npm or `PyPI` brings, and dbmate wants a Native format that the endpoint does not speak.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod support;

use std::process::Command;

use camino::Utf8PathBuf;
use housewright::clickhouse::Client;
use support::sandbox::{Sandbox, snapshot};
use support::{database, engine, execute, table};

/// When the tools ran is not the same twice.
fn times() -> insta::internals::SettingsBindDropGuard {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "[TIME]");
    settings.bind_to_scope()
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}\n{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A directory for what is installed, kept between runs; `install` fills it once.
fn home(name: &str, install: impl Fn(&Utf8PathBuf)) -> Utf8PathBuf {
    let home = Utf8PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join("peers")
        .join(name);
    let mark = home.join("installed");
    if !mark.exists() {
        fs_err::create_dir_all(&home).unwrap();
        install(&home);
        fs_err::write(mark, "").unwrap();
    }
    home
}

/// The files of both migrations as another tool wants them: no sections.
fn foreign(sandbox: &Sandbox) -> Utf8PathBuf {
    let directory = sandbox.path("foreign");
    fs_err::create_dir_all(&directory).unwrap();
    sandbox.write(
        "foreign/1_first.sql",
        "CREATE TABLE first (a UInt64) ENGINE = MergeTree ORDER BY a;\n",
    );
    sandbox.write(
        "foreign/2_second.sql",
        "-- the second\nCREATE TABLE second (a UInt64) ENGINE = MergeTree ORDER BY a;\nCREATE VIEW both AS SELECT a FROM first UNION ALL SELECT a FROM second;\n",
    );
    directory
}

/// What was imported is applied, `apply` goes on behind it, and a second import has nothing to write.
async fn assert_taken_over(sandbox: &Sandbox, client: &Client) {
    assert_eq!(
        table(
            client,
            "SELECT version, statement, state FROM housewright_journal ORDER BY position"
        )
        .await,
        "1 | 1 | done\n2 | 1 | done\n2 | 2 | done"
    );
    let output = sandbox
        .on(client, &["import-history", "--write"])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.ends_with("the journal knows all of them already; nothing was written\n"),
        "{said}"
    );
    sandbox.migration("0003_third.sql", "-- migrate:up\nCREATE TABLE third (a UInt64) ENGINE = MergeTree ORDER BY a;\n-- migrate:down\nDROP TABLE third;\n");
    sandbox.run(&["repair", "-q"]);
    run(&mut sandbox.on(client, &["apply"]));
    run(&mut sandbox.on(client, &["status", "--check"]));
    assert_eq!(
        table(
            client,
            "SELECT name FROM system.tables WHERE database = currentDatabase() AND name = 'third'"
        )
        .await,
        "third"
    );
}

#[tokio::test]
async fn clickhouse_migrations_of_pypi() {
    let _times = times();
    let client = database("import_pypi").await;
    let sandbox = Sandbox::with_migrations();
    let files = foreign(&sandbox);
    let home = home("pypi", |home| {
        run(Command::new("python3").args(["-m", "venv", "--clear", home.as_str()]));
        run(Command::new(home.join("bin/python")).args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "clickhouse-migrations[connect]==0.16.0",
        ]));
    });
    let server = engine();
    run(Command::new(home.join("bin/clickhouse-migrations")).args([
        "migrate",
        "--driver",
        "clickhouse-connect",
        "--db-host",
        "127.0.0.1",
        "--db-port",
        server.url.trim_end_matches('/').rsplit(':').next().unwrap(),
        "--db-user",
        &server.user,
        "--db-password",
        server.password.as_ref().unwrap().expose(),
        "--db-name",
        client.database(),
        "--no-create-db-if-not-exists",
        "--migrations-dir",
        files.as_str(),
    ]));
    snapshot!(sandbox.on(&client, &["import-history"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    import_pypi on http://[ADDRESS]/: clickhouse-migrations (PyPI) has applied 2 migrations (`schema_versions`)

      file         statements  applied
      0001_first   1           [TIME]
      0002_second  2           [TIME]

    nothing was written; `housewright import-history --write` writes this into the journal

    ----- stderr -----
    ");
    assert_eq!(
        table(&client, "SELECT count() AS n FROM system.tables WHERE database = currentDatabase() AND name LIKE 'housewright%'").await,
        "0",
        "shown, not written"
    );
    // The tool keeps what it executed, so a file that says something else is noticed.
    sandbox.migration("0002_second.sql", "-- migrate:up\nCREATE TABLE second (a UInt64) ENGINE = MergeTree ORDER BY a;\nCREATE VIEW both AS SELECT a FROM first;\n-- migrate:down\nDROP VIEW both;\nDROP TABLE second;\n");
    snapshot!(sandbox.on(&client, &["import-history", "--write"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error[differs-from-history]: 0002_second is not what clickhouse-migrations (PyPI) executed, from statement 2 on
     --> schema/migrations/0002_second.sql:3:1
      |
    3 | CREATE VIEW both AS SELECT a FROM first;
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: bring the file back as it was executed, and write what should be different into a new migration
    ");
    let sandbox = Sandbox::with_migrations();
    snapshot!(sandbox.on(&client, &["import-history", "--write"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    import_pypi on http://[ADDRESS]/: clickhouse-migrations (PyPI) has applied 2 migrations (`schema_versions`)

      file         statements  applied
      0001_first   1           [TIME]
      0002_second  2           [TIME]

    3 statements written into the journal, nothing executed; `housewright drift` says whether the database is what they make

    ----- stderr -----
    ");
    assert_taken_over(&sandbox, &client).await;
}

#[tokio::test]
async fn clickhouse_migrations_of_npm() {
    let _times = times();
    let client = database("import_npm").await;
    let sandbox = Sandbox::with_migrations();
    let files = foreign(&sandbox);
    let home = home("npm", |home| {
        fs_err::write(home.join("package.json"), "{\"private\":true}\n").unwrap();
        run(Command::new("npm")
            .args([
                "install",
                "--silent",
                "--no-audit",
                "--no-fund",
                "clickhouse-migrations@1.4.0",
            ])
            .current_dir(home));
    });
    let server = engine();
    run(
        Command::new(home.join("node_modules/.bin/clickhouse-migrations")).args([
            "migrate",
            &format!("--host={}", server.url.trim_end_matches('/')),
            &format!("--user={}", server.user),
            &format!("--password={}", server.password.as_ref().unwrap().expose()),
            &format!("--db={}", client.database()),
            &format!("--migrations-home={files}"),
        ]),
    );
    snapshot!(sandbox.on(&client, &["import-history", "--format", "json"]), @r#"
    success: true
    exit_code: 0
    ----- stdout -----
    {
      "version": 1,
      "target": "http://[ADDRESS]/",
      "database": "import_npm",
      "tool": "clickhouse-migrations-npm",
      "table": "_migrations",
      "migrations": [
        {
          "version": 1,
          "name": "first",
          "statements": 1,
          "applied_at": "[TIME]"
        },
        {
          "version": 2,
          "name": "second",
          "statements": 2,
          "applied_at": "[TIME]"
        }
      ],
      "written": null
    }

    ----- stderr -----
    "#);
    snapshot!(sandbox.on(&client, &["import-history", "--write"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    import_npm on http://[ADDRESS]/: clickhouse-migrations (npm) has applied 2 migrations (`_migrations`)

      file         statements  applied
      0001_first   1           [TIME]
      0002_second  2           [TIME]

    3 statements written into the journal, nothing executed; `housewright drift` says whether the database is what they make

    ----- stderr -----
    ");
    assert_taken_over(&sandbox, &client).await;
}

#[tokio::test]
async fn goose() {
    let client = database("import_goose").await;
    let sandbox = Sandbox::with_migrations();
    execute(&client, "CREATE TABLE IF NOT EXISTS goose_db_version (version_id Int64, is_applied UInt8, date Date default now(), tstamp DateTime default now()) ENGINE = MergeTree() ORDER BY (version_id)").await;
    execute(&client, "INSERT INTO goose_db_version (version_id, is_applied, tstamp) VALUES (0, 1, '2026-05-01 10:00:00'), (1, 1, '2026-05-01 10:00:01'), (2, 1, '2026-05-02 10:00:00'), (3, 1, '2026-05-03 10:00:00'), (3, 0, '2026-05-03 11:00:00')").await;
    snapshot!(sandbox.on(&client, &["import-history"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    import_goose on http://[ADDRESS]/: goose has applied 2 migrations (`goose_db_version`)

      file         statements  applied
      0001_first   1           2026-05-01 10:00:01
      0002_second  2           2026-05-02 10:00:00

    nothing was written; `housewright import-history --write` writes this into the journal

    ----- stderr -----
    ");
    run(&mut sandbox.on(&client, &["import-history", "--write"]));
    assert_taken_over(&sandbox, &client).await;
}

#[tokio::test]
async fn golang_migrate_says_where_it_stands_and_is_refused_when_dirty() {
    let client = database("import_migrate").await;
    let sandbox = Sandbox::with_migrations();
    execute(&client, "CREATE TABLE schema_migrations (version Int64, dirty UInt8, sequence UInt64) Engine=TinyLog").await;
    execute(
        &client,
        "INSERT INTO schema_migrations VALUES (1, 1, 1000), (1, 0, 1001), (2, 1, 1002)",
    )
    .await;
    snapshot!(sandbox.on(&client, &["import-history", "--write"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error[dirty-history]: golang-migrate calls version 2 dirty: it broke off in the middle
     |
     = note: `schema_migrations` says so; nobody knows which of its statements are done
     = help: bring that migration to its end by hand and say so to golang-migrate (`force 2`), then import
    ");
    execute(&client, "INSERT INTO schema_migrations VALUES (2, 0, 1003)").await;
    snapshot!(sandbox.on(&client, &["import-history", "--write"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    import_migrate on http://[ADDRESS]/: golang-migrate has applied 2 migrations (`schema_migrations`)

      file         statements  applied
      0001_first   1
      0002_second  2

    3 statements written into the journal, nothing executed; `housewright drift` says whether the database is what they make

    ----- stderr -----
    ");
    assert_taken_over(&sandbox, &client).await;
}

#[tokio::test]
async fn dbmate_and_what_does_not_fit() {
    let client = database("import_dbmate").await;
    let sandbox = Sandbox::with_migrations();
    snapshot!(sandbox.on(&client, &["import-history"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: no history of another tool in import_dbmate on http://[ADDRESS]/
      looked for `goose_db_version` of goose, `schema_migrations` of golang-migrate, `schema_migrations` of dbmate, `schema_versions` of clickhouse-migrations (PyPI), `_migrations` of clickhouse-migrations (npm)
    ");
    execute(&client, "create table if not exists schema_migrations (version String, checksum String, ts DateTime default now(), applied UInt8 default 1) engine = ReplacingMergeTree(ts) primary key version order by version").await;
    snapshot!(sandbox.on(&client, &["import-history", "--write"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    import_dbmate on http://[ADDRESS]/: dbmate has applied 0 migrations (`schema_migrations`)
    there is nothing to take over

    ----- stderr -----
    ");
    execute(&client, "INSERT INTO schema_migrations (version, ts) VALUES ('0002', '2026-05-02 10:00:00'), ('0007', '2026-05-03 10:00:00'), ('hotfix', '2026-05-04 10:00:00')").await;
    snapshot!(sandbox.on(&client, &["import-history", "--write"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error[unknown-version]: dbmate has applied version 0007, and there is no file of that version
     |
     = help: bring its file into the schema directory as `<version>_<name>.sql`, with the statements below `-- migrate:up`

    error[unknown-version]: dbmate has applied version hotfix, and there is no file of that version
     |
     = help: bring its file into the schema directory as `<version>_<name>.sql`, with the statements below `-- migrate:up`

    error[not-in-history]: dbmate has applied 0002 and does not know 0001_first before it
     --> schema/migrations/0001_first.sql:1:1
      |
    1 | -- migrate:up
      | ^
      |
      = help: apply it with dbmate first, or give the file a version behind 0002
    ");
    // What was rolled back is a newer row that says so.
    execute(&client, "INSERT INTO schema_migrations (version, ts, applied) VALUES ('0007', '2026-05-05 10:00:00', 0), ('hotfix', '2026-05-05 10:00:00', 0), ('0001', '2026-05-01 10:00:00', 1)").await;
    execute(&client, "CREATE TABLE goose_db_version (version_id Int64, is_applied UInt8, date Date, tstamp DateTime) ENGINE = Memory").await;
    snapshot!(sandbox.on(&client, &["import-history", "--write"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: import_dbmate on http://[ADDRESS]/ holds the histories of several tools
      say which: `--from goose` or `--from dbmate`
    ");
    snapshot!(sandbox.on(&client, &["import-history", "--write", "--from", "dbmate"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    import_dbmate on http://[ADDRESS]/: dbmate has applied 2 migrations (`schema_migrations`)

      file         statements  applied
      0001_first   1           2026-05-01 10:00:00
      0002_second  2           2026-05-02 10:00:00

    3 statements written into the journal, nothing executed; `housewright drift` says whether the database is what they make

    ----- stderr -----
    ");
    execute(&client, "DROP TABLE goose_db_version").await;
    assert_taken_over(&sandbox, &client).await;
}
