//! What a user sees: exit code, stdout and stderr of a command in one snapshot, in a world of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod support;

use std::process::Command;

use camino::Utf8Path;
use support::sandbox::{Sandbox, snapshot};

#[test]
fn a_second_apply_executes_nothing() {
    let sandbox = Sandbox::with_migrations();
    snapshot!(sandbox.command(&["plan"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    default on local (embedded engine, data in .housewright): 3 statements to execute

    0001_first  schema/migrations/0001_first.sql
      1/1  CREATE TABLE  first  metadata

    0002_second  schema/migrations/0002_second.sql
      1/2  CREATE TABLE  second  metadata
      2/2  CREATE VIEW   both    metadata

    ----- stderr -----
    ");
    snapshot!(sandbox.command(&["status", "--check"]), @"
    success: false
    exit_code: 1
    ----- stdout -----
    default on local (embedded engine, data in .housewright)

      version  name    state    statements  applied  by
      0001     first   pending  0/1
      0002     second  pending  0/2

    2 pending

    ----- stderr -----
    ");
    snapshot!(sandbox.command(&["apply"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    default on local (embedded engine, data in .housewright): 3 statements executed in [DURATION]

    ----- stderr -----
      0001_first 1/1  CREATE TABLE first  [DURATION]
      0002_second 1/2  CREATE TABLE second  [DURATION]
      0002_second 2/2  CREATE VIEW both  [DURATION]
    ");
    snapshot!(sandbox.command(&["apply"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    default on local (embedded engine, data in .housewright) is up to date: nothing was executed

    ----- stderr -----
    ");
    snapshot!(sandbox.command(&["status", "--check"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    default on local (embedded engine, data in .housewright)

      version  name    state    statements  applied                  by
      0001     first   applied  1/1         [TIME]  tester@box, [DURATION]
      0002     second  applied  2/2         [TIME]  tester@box, [DURATION]

    2 applied

    ----- stderr -----
    ");
    snapshot!(sandbox.command(&["status", "--format", "json"]), @r#"
    success: true
    exit_code: 0
    ----- stdout -----
    {
      "version": 1,
      "target": "local (embedded engine, data in .housewright)",
      "database": "default",
      "up_to_date": true,
      "migrations": [
        {
          "version": 1,
          "name": "first",
          "state": "applied",
          "statements": 1,
          "done": 1,
          "recorded_at": "[NUMBER]",
          "duration_ms": "[NUMBER]",
          "error": null
        },
        {
          "version": 2,
          "name": "second",
          "state": "applied",
          "statements": 2,
          "done": 2,
          "recorded_at": "[NUMBER]",
          "duration_ms": "[NUMBER]",
          "error": null
        }
      ],
      "findings": []
    }

    ----- stderr -----
    "#);
}

#[test]
fn a_failure_in_the_middle_is_explained_and_the_next_apply_continues_there() {
    let sandbox = Sandbox::with_migrations();
    sandbox.migration("0003_third.sql", "-- migrate:up\nCREATE TABLE third (a UInt64) ENGINE = MergeTree ORDER BY a;\nALTER TABLE nowhere ADD COLUMN b UInt8;\nALTER TABLE third ADD COLUMN c UInt8;\n-- migrate:down\nDROP TABLE third;\n");
    snapshot!(sandbox.command(&["apply"]), @"
    success: false
    exit_code: 3
    ----- stdout -----

    ----- stderr -----
      0001_first 1/1  CREATE TABLE first  [DURATION]
      0002_second 1/2  CREATE TABLE second  [DURATION]
      0002_second 2/2  CREATE VIEW both  [DURATION]
      0003_third 1/3  CREATE TABLE third  [DURATION]
    error[refused]: ClickHouse refused statement 2 of 0003_third
     --> schema/migrations/0003_third.sql:3:1
      |
    3 | ALTER TABLE nowhere ADD COLUMN b UInt8;
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: ClickHouse says UNKNOWN_TABLE (code 60): Could not find table: nowhere.
      = note: 4 statements executed before it in this run, and recorded; of 0003_third 1 of 3 are done
      = help: correct the file and `apply` again: it continues with this statement
    ");
    snapshot!(sandbox.command(&["status"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    default on local (embedded engine, data in .housewright)

      version  name    state    statements  applied                  by
      0001     first   applied  1/1         [TIME]  tester@box, [DURATION]
      0002     second  applied  2/2         [TIME]  tester@box, [DURATION]
      0003     third   failed   1/3         [TIME]  tester@box, [DURATION]

    2 applied, 1 failed

    0003_third failed at statement 2 of 3: ClickHouse says UNKNOWN_TABLE (code 60): Could not find table: nowhere.
      the 1 statement before it is done; correct the file and `apply` again, it continues there

    ----- stderr -----
    warning[sum-missing]: housewright.sum does not know 0003_third
     --> schema/migrations/0003_third.sql:1:1
      |
    1 | -- migrate:up
      | ^
      |
      = help: if the change is meant and no server has the migration yet, `housewright repair` records it; otherwise bring the file back (`git checkout`)
    ");
    sandbox.migration("0003_third.sql", "-- migrate:up\n-- The first statement may be laid out anew: it is done.\nCREATE TABLE third (a UInt64)\nENGINE = MergeTree ORDER BY a;\nALTER TABLE third ADD COLUMN b UInt8;\nALTER TABLE third ADD COLUMN c UInt8;\n-- migrate:down\nDROP TABLE third;\n");
    snapshot!(sandbox.command(&["apply"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    default on local (embedded engine, data in .housewright): 2 statements executed in [DURATION]

    ----- stderr -----
      0003_third 2/3  ALTER TABLE … ADD COLUMN third  [DURATION]
      0003_third 3/3  ALTER TABLE … ADD COLUMN third  [DURATION]
    recorded the checksums in housewright.sum
    ");
    snapshot!(sandbox.command(&["status"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    default on local (embedded engine, data in .housewright)

      version  name    state    statements  applied                  by
      0001     first   applied  1/1         [TIME]  tester@box, [DURATION]
      0002     second  applied  2/2         [TIME]  tester@box, [DURATION]
      0003     third   applied  3/3         [TIME]  tester@box, [DURATION]

    3 applied

    ----- stderr -----
    ");
}

#[test]
fn a_statement_that_clickhouse_does_not_read_stops_the_run_before_the_first_is_executed() {
    let sandbox = Sandbox::with_migrations();
    sandbox.migration("0003_third.sql", "-- migrate:up\nCREATE TABLE third (a UInt64) ENGINE = MergeTree ORDER BY a;\n\nCREATE TABEL fourth (a UInt64);\n");
    snapshot!(sandbox.command(&["plan"]), @"
    success: false
    exit_code: 3
    ----- stdout -----

    ----- stderr -----
    error[malformed]: ClickHouse does not read statement 2 of 0003_third
     --> schema/migrations/0003_third.sql:4:8
      |
    4 | CREATE TABEL fourth (a UInt64);
      |        ^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: ClickHouse says SYNTAX_ERROR (code 62): Syntax error: failed at position 8 (TABEL): TABEL fourth (a UInt64)
      = note: nothing was executed
      = help: correct the file and `apply` again
    ");
    snapshot!(sandbox.command(&["apply"]), @"
    success: false
    exit_code: 3
    ----- stdout -----

    ----- stderr -----
    error[malformed]: ClickHouse does not read statement 2 of 0003_third
     --> schema/migrations/0003_third.sql:4:8
      |
    4 | CREATE TABEL fourth (a UInt64);
      |        ^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: ClickHouse says SYNTAX_ERROR (code 62): Syntax error: failed at position 8 (TABEL): TABEL fourth (a UInt64)
      = note: nothing was executed
      = help: correct the file and `apply` again
    ");
    snapshot!(sandbox.command(&["status"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    default on local (embedded engine, data in .housewright)

      version  name    state    statements  applied  by
      0001     first   pending  0/1
      0002     second  pending  0/2
      0003     third   pending  0/2

    3 pending

    ----- stderr -----
    warning[sum-missing]: housewright.sum does not know 0003_third
     --> schema/migrations/0003_third.sql:1:1
      |
    1 | -- migrate:up
      | ^
      |
      = help: if the change is meant and no server has the migration yet, `housewright repair` records it; otherwise bring the file back (`git checkout`)
    ");
}

#[test]
fn what_was_applied_and_is_changed_or_missing_or_late_is_refused_by_name() {
    let sandbox = Sandbox::with_migrations();
    sandbox.run(&["apply", "-q"]);
    let first = fs_err::read_to_string(sandbox.path("schema/migrations/0001_first.sql")).unwrap();
    sandbox.migration("0001_first.sql", &first.replace("UInt64", "UInt32"));
    snapshot!(sandbox.command(&["apply"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error[changed-migration]: 0001_first was applied, and its file now says something else, from statement 1 on
     --> schema/migrations/0001_first.sql:2:1
      |
    2 | CREATE TABLE first (a UInt32) ENGINE = MergeTree ORDER BY a;
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: bring the file back as it was (`git checkout`), and write what should be different into a new migration (`housewright new`)
    ");
    fs_err::remove_file(sandbox.path("schema/migrations/0001_first.sql")).unwrap();
    snapshot!(sandbox.command(&["apply"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error[missing-migration]: 0001_first was applied, and there is no file of that version
     |
     = help: bring the file back (`git checkout`), or switch to the branch that has it; a migration that was applied is never taken away, only followed by another
    ");
    sandbox.migration("0001_first.sql", &first);
    fs_err::rename(
        sandbox.path("schema/migrations/0002_second.sql"),
        sandbox.path("schema/migrations/0004_second.sql"),
    )
    .unwrap();
    snapshot!(sandbox.command(&["status"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    default on local (embedded engine, data in .housewright)

      version  name    state    statements  applied                  by
      0001     first   applied  1/1         [TIME]  tester@box, [DURATION]
      0002     second  missing  2/2         [TIME]  tester@box, [DURATION]
      0004     second  pending  0/2

    1 applied, 1 pending, 1 missing

    ----- stderr -----
    error[missing-migration]: 0002_second was applied, and there is no file of that version
     |
     = help: bring the file back (`git checkout`), or switch to the branch that has it; a migration that was applied is never taken away, only followed by another

    warning[sum-missing]: housewright.sum does not know 0004_second
     --> schema/migrations/0004_second.sql:1:1
      |
    1 | -- migrate:up
      | ^
      |
      = help: if the change is meant and no server has the migration yet, `housewright repair` records it; otherwise bring the file back (`git checkout`)

    warning[sum-extra]: housewright.sum knows 0002_second, and there is no such file
     --> schema/migrations/housewright.sum:1:1
      |
    1 | # version name sha256; written by housewright, kept in git
      | ^
      |
      = help: bring the file back (`git checkout`); if it was never applied anywhere, `housewright repair` forgets it
    ");
}

#[test]
fn a_migration_that_comes_late_needs_a_word() {
    let sandbox = Sandbox::new();
    sandbox.migration(
        "0002_second.sql",
        "-- migrate:up\nCREATE TABLE second (a UInt64) ENGINE = Memory;\n",
    );
    sandbox.run(&["apply", "-q"]);
    sandbox.migration(
        "0001_first.sql",
        "-- migrate:up\nCREATE TABLE first (a UInt64) ENGINE = Memory;\n",
    );
    snapshot!(sandbox.command(&["apply"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error[out-of-order]: 0001_first is pending, and version 0002 was applied before it
     --> schema/migrations/0001_first.sql:2:1
      |
    2 | CREATE TABLE first (a UInt64) ENGINE = Memory;
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: if no server has it yet, give the file the next free version; or apply it all the same with `--out-of-order`
    ");
    snapshot!(sandbox.command(&["apply", "--out-of-order"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    default on local (embedded engine, data in .housewright): 1 statement executed in [DURATION]

    ----- stderr -----
      0001_first 1/1  CREATE TABLE first  [DURATION]
    recorded the checksums in housewright.sum
    ");
}

#[test]
fn on_a_server_the_sum_file_has_to_agree() {
    let sandbox = Sandbox::with_migrations();
    let server = support::engine();
    sandbox.migration(
        "0003_third.sql",
        "-- migrate:up\nCREATE TABLE third (a UInt64) ENGINE = Memory;\n",
    );
    let mut command = sandbox.command(&["apply", "--database", "sum_has_to_agree"]);
    command.env("HOUSEWRIGHT_URL", &server.url).env(
        "HOUSEWRIGHT_PASSWORD",
        server.password.as_ref().unwrap().expose(),
    );
    snapshot!(command, @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error[sum-missing]: housewright.sum does not know 0003_third
     --> schema/migrations/0003_third.sql:1:1
      |
    1 | -- migrate:up
      | ^
      |
      = help: if the change is meant and no server has the migration yet, `housewright repair` records it; otherwise bring the file back (`git checkout`)
    ");
    sandbox.write(
        "schema/migrations/housewright.sum",
        "# x\n<<<<<<< HEAD\n0003 third sha256:00\n",
    );
    snapshot!(command, @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error[sum-unreadable]: a merge conflict: two branches added migrations
     --> schema/migrations/housewright.sum:2:1
      |
    2 | <<<<<<< HEAD
      | ^^^^^^^^^^^^
      |
      = help: give the migrations of the branch that no server has yet the next free versions, then `housewright repair`
    ");
}

#[test]
fn bad_migrations_are_named_all_at_once() {
    let sandbox = Sandbox::new();
    sandbox.migration("0001_a.sql", "-- migrate:up\nSELECT 1;\n");
    sandbox.migration("1_b.sql", "-- migrate:up\nSELECT 1;\n");
    sandbox.migration("0002_empty.sql", "");
    sandbox.migration(
        "0003_only_comments.sql",
        "-- migrate:up\n-- nothing yet\n-- migrate:down\n",
    );
    sandbox.migration("0004_no_sections.sql", "SELECT 1;\n");
    sandbox.migration(
        "0005_twice.sql",
        "-- migrate:up\nSELECT 1;\n-- migrate:up\nSELECT 2;\n",
    );
    sandbox.migration("0006_open.sql", "-- migrate:up\nSELECT 'never closed;\n");
    sandbox.migration("no_version.sql", "-- migrate:up\nSELECT 1;\n");
    sandbox.write(
        "schema/migrations/0007_latin1.sql",
        b"-- migrate:up\nSELECT '\xe9';\n",
    );
    std::os::unix::fs::symlink("gone", sandbox.path("schema/migrations/0008_dangling.sql"))
        .unwrap();
    sandbox.migration("notes.txt", "not a migration");
    sandbox.migration(".0009_hidden.sql", "an editor's");
    snapshot!(sandbox.command(&["plan"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error[empty-migration]: the migration does nothing
    --> schema/migrations/0002_empty.sql:1:1
     = help: begin with a line `-- migrate:up` and write the statements below it

    error[empty-migration]: the migration does nothing
     --> schema/migrations/0003_only_comments.sql:1:1
      |
    1 | -- migrate:up
      | ^
      |
      = help: write statements below `-- migrate:up`, or delete the file

    error[outside-section]: SQL stands before the first section
     --> schema/migrations/0004_no_sections.sql:1:1
      |
    1 | SELECT 1;
      | ^^^^^^
      |
      = help: begin the file with a line `-- migrate:up`; what takes it back goes below `-- migrate:down`

    error[duplicate-section]: a second `-- migrate:up`
     --> schema/migrations/0005_twice.sql:3:1
      |
    3 | -- migrate:up
      | ^^^^^^^^^^^^^
      |
      = help: put all its statements into one section

    error[unclosed]: a quote or comment is opened here and never closed
     --> schema/migrations/0006_open.sql:2:8
      |
    2 | SELECT 'never closed;
      |        ^^^^^^^^^^^^^^
      |
      = help: close it; a quote inside a string is written as `''`

    error[invalid-utf8]: the file is not UTF-8: byte 22, in line 2
    --> schema/migrations/0007_latin1.sql:1:1
     = help: save it as UTF-8; a binary value can be written as unhex('…')

    error[unreadable]: the file cannot be read: failed to open file `schema/migrations/0008_dangling.sql`: No such file or directory (os error 2)
    --> schema/migrations/0008_dangling.sql:1:1
     = help: check that it is a file and that you may read it

    error[duplicate-version]: two migrations have the version 0001
     --> schema/migrations/1_b.sql:1:1
      |
    1 | -- migrate:up
      | ^
      |
      = note: the other is schema/migrations/0001_a.sql
      = help: give the one that no server has yet the next free version

    error[migration-name]: `no_version.sql` is not a migration's name
     --> schema/migrations/no_version.sql:1:1
      |
    1 | -- migrate:up
      | ^
      |
      = help: call it `<version>_<name>.sql`, as in `0007_add_referrer.sql`; the version is a number from 1
    ");
    snapshot!(sandbox.command(&["plan", "--format", "json"]), @r#"
    success: false
    exit_code: 2
    ----- stdout -----
    {
      "version": 1,
      "ok": false,
      "exit_code": 2,
      "error": null,
      "findings": [
        {
          "severity": "error",
          "code": "empty-migration",
          "message": "the migration does nothing",
          "path": "schema/migrations/0002_empty.sql",
          "line": 1,
          "column": 1,
          "notes": [],
          "help": "begin with a line `-- migrate:up` and write the statements below it"
        },
        {
          "severity": "error",
          "code": "empty-migration",
          "message": "the migration does nothing",
          "path": "schema/migrations/0003_only_comments.sql",
          "line": 1,
          "column": 1,
          "notes": [],
          "help": "write statements below `-- migrate:up`, or delete the file"
        },
        {
          "severity": "error",
          "code": "outside-section",
          "message": "SQL stands before the first section",
          "path": "schema/migrations/0004_no_sections.sql",
          "line": 1,
          "column": 1,
          "notes": [],
          "help": "begin the file with a line `-- migrate:up`; what takes it back goes below `-- migrate:down`"
        },
        {
          "severity": "error",
          "code": "duplicate-section",
          "message": "a second `-- migrate:up`",
          "path": "schema/migrations/0005_twice.sql",
          "line": 3,
          "column": 1,
          "notes": [],
          "help": "put all its statements into one section"
        },
        {
          "severity": "error",
          "code": "unclosed",
          "message": "a quote or comment is opened here and never closed",
          "path": "schema/migrations/0006_open.sql",
          "line": 2,
          "column": 8,
          "notes": [],
          "help": "close it; a quote inside a string is written as `''`"
        },
        {
          "severity": "error",
          "code": "invalid-utf8",
          "message": "the file is not UTF-8: byte 22, in line 2",
          "path": "schema/migrations/0007_latin1.sql",
          "line": 1,
          "column": 1,
          "notes": [],
          "help": "save it as UTF-8; a binary value can be written as unhex('…')"
        },
        {
          "severity": "error",
          "code": "unreadable",
          "message": "the file cannot be read: failed to open file `schema/migrations/0008_dangling.sql`: No such file or directory (os error 2)",
          "path": "schema/migrations/0008_dangling.sql",
          "line": 1,
          "column": 1,
          "notes": [],
          "help": "check that it is a file and that you may read it"
        },
        {
          "severity": "error",
          "code": "duplicate-version",
          "message": "two migrations have the version 0001",
          "path": "schema/migrations/1_b.sql",
          "line": 1,
          "column": 1,
          "notes": [
            "the other is schema/migrations/0001_a.sql"
          ],
          "help": "give the one that no server has yet the next free version"
        },
        {
          "severity": "error",
          "code": "migration-name",
          "message": "`no_version.sql` is not a migration's name",
          "path": "schema/migrations/no_version.sql",
          "line": 1,
          "column": 1,
          "notes": [],
          "help": "call it `<version>_<name>.sql`, as in `0007_add_referrer.sql`; the version is a number from 1"
        }
      ]
    }

    ----- stderr -----
    "#);
}

#[test]
fn line_ends_and_a_byte_order_mark_change_nothing() {
    let sandbox = Sandbox::with_migrations();
    sandbox.run(&["apply", "-q"]);
    let text = fs_err::read_to_string(sandbox.path("schema/migrations/0002_second.sql")).unwrap();
    sandbox.migration(
        "0002_second.sql",
        &format!("\u{feff}{}", text.replace('\n', "\r\n")),
    );
    snapshot!(sandbox.command(&["status", "--check"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    default on local (embedded engine, data in .housewright)

      version  name    state    statements  applied                  by
      0001     first   applied  1/1         [TIME]  tester@box, [DURATION]
      0002     second  applied  2/2         [TIME]  tester@box, [DURATION]

    2 applied

    ----- stderr -----
    ");
}

#[test]
fn places_that_are_not_there_are_named() {
    let sandbox = Sandbox::new();
    snapshot!(sandbox.command(&["apply", "--schema", "nowhere"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: no schema directory at `nowhere`
      run this where the project's `schema/` is, or say where it is: `--schema DIR` or HOUSEWRIGHT_SCHEMA
    ");
    fs_err::remove_dir(sandbox.path("schema/migrations")).unwrap();
    snapshot!(sandbox.command(&["apply"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: could not read the migrations
      `housewright new NAME` makes the first one
      because: failed to read directory `schema/migrations`: No such file or directory (os error 2)
    ");
    snapshot!(sandbox.command(&["apply", "--url", "http://127.0.0.1:1"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: could not read the migrations
      `housewright new NAME` makes the first one
      because: failed to read directory `schema/migrations`: No such file or directory (os error 2)
    ");
    sandbox.write(
        "schema/housewright.toml",
        "[targets.local]\npath = \"/proc/housewright\"\n",
    );
    fs_err::create_dir(sandbox.path("schema/migrations")).unwrap();
    snapshot!(sandbox.command(&["status"]), @"
    success: false
    exit_code: 3
    ----- stdout -----

    ----- stderr -----
    error: the embedded engine ended before it was ready (exit status: 3)
      | error: could not use the data directory /proc/housewright
      |   because: failed to create directory `/proc/housewright`: No such file or directory (os error 2)
    ");
}

#[test]
fn a_full_disk_is_said_to_be_full() {
    let sandbox = Sandbox::with_migrations();
    fs_err::create_dir(sandbox.path("small")).unwrap();
    sandbox.write(
        "schema/housewright.toml",
        "[targets.local]\npath = \"small/data\"\n",
    );
    // A file system of a few pages, in a mount namespace of its own.
    let small = |size: &str, script: &str| {
        let mut command = Command::new("unshare");
        command
            .args(["--map-root-user", "--mount", "sh", "-c"])
            .arg(format!(
                "mount -t tmpfs -o size={size} tmpfs small && {script}"
            ))
            .current_dir(sandbox.dir.path())
            .env("HOUSEWRIGHT", support::program())
            .env("HOUSEWRIGHT_LIBCHDB", support::library())
            .env("USER", "tester")
            .env("HOSTNAME", "box");
        command
    };
    if !small("1m", "true")
        .status()
        .is_ok_and(|status| status.success())
    {
        // A machine that lets nobody mount has no small disk to offer; the directory that cannot be made is tested above.
        return;
    }
    let mut filters = insta::Settings::clone_current();
    filters.add_filter(r"/[^ `]*/small/", "[DIR]/small/");
    let _filters = filters.bind_to_scope();
    snapshot!(small("8k", "\"$HOUSEWRIGHT\" status"), @"
    success: false
    exit_code: 3
    ----- stdout -----

    ----- stderr -----
    error: the embedded engine ended before it was ready (exit status: 3)
      | error: could not prepare the data directory small/data/clickhouse
      |   because: failed to write to file `[DIR]/small/data/clickhouse/housewright.xml`: No space left on device (os error 28)
    ");
    snapshot!(small("120k", "\"$HOUSEWRIGHT\" apply; \"$HOUSEWRIGHT\" status --check"), @"
    success: false
    exit_code: 1
    ----- stdout -----
    default on local (embedded engine, data in small/data)

      version  name    state    statements  applied  by
      0001     first   pending  0/1
      0002     second  pending  0/2

    2 pending

    ----- stderr -----
    error: could not write the journal `default.housewright_journal`
      because: ClickHouse says NOT_ENOUGH_SPACE (code 243): Cannot reserve 1.00 MiB, not enough space.
    ");
}

#[test]
fn an_unreachable_server_and_a_wrong_password_say_so_and_show_no_secret() {
    let sandbox = Sandbox::with_migrations();
    snapshot!(sandbox.command(&["status", "--url", "http://127.0.0.1:1"]), @"
    success: false
    exit_code: 3
    ----- stdout -----

    ----- stderr -----
    error: could not read the journal `default.housewright_journal`
      because: could not reach ClickHouse at http://[ADDRESS]/
      is the server up, and is this its HTTP port (8123, or 8443 with TLS)?
      because: client error (Connect)
      because: tcp connect error
      because: Connection refused (os error 111)
    ");
    let server = support::engine();
    let mut wrong = sandbox.command(&["status"]);
    wrong.env(
        "HOUSEWRIGHT_URL",
        server
            .url
            .replace("http://", "http://default:s3cr%2Fet%23%40@"),
    );
    snapshot!(wrong, @"
    success: false
    exit_code: 3
    ----- stdout -----

    ----- stderr -----
    error: could not read the journal `default.housewright_journal`
      because: ClickHouse says AUTHENTICATION_FAILED (code 516): default: Authentication failed: password is incorrect, or there is no user with such name.
      the user comes from the URL or HOUSEWRIGHT_USER, the password from HOUSEWRIGHT_PASSWORD or HOUSEWRIGHT_PASSWORD_FILE
    ");
    let mut broken = sandbox.command(&["status"]);
    broken.env("HOUSEWRIGHT_URL", "http://default:s3cr/et#@localhost:8123");
    snapshot!(broken, @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: HOUSEWRIGHT_URL is not a URL of ClickHouse's HTTP interface: it has an `@` behind the host, so the user or the password seems to hold one of `/ ? #`; write them percent-encoded (`%2F %3F %23`), or give the password in HOUSEWRIGHT_PASSWORD
    ");
    snapshot!(sandbox.command(&["status", "--url", "http://default:s3cret@localhost:8123"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: --url holds a password, which every process of the machine can read
      put it into HOUSEWRIGHT_PASSWORD, into a file named by HOUSEWRIGHT_PASSWORD_FILE, or name its variable with `password_env` in housewright.toml
    ");
}

#[test]
fn a_database_that_is_not_there_is_not_made_on_a_server() {
    let sandbox = Sandbox::with_migrations();
    let server = support::engine();
    let mut command = sandbox.command(&["apply", "--database", "nowhere"]);
    command.env("HOUSEWRIGHT_URL", &server.url).env(
        "HOUSEWRIGHT_PASSWORD",
        server.password.as_ref().unwrap().expose(),
    );
    snapshot!(command, @"
    success: false
    exit_code: 3
    ----- stdout -----

    ----- stderr -----
    error: ClickHouse says UNKNOWN_DATABASE (code 81): Database nowhere does not exist.
      make it with CREATE DATABASE, or name another with `--database`; nothing was changed
    ");
}

#[tokio::test]
async fn a_locked_database_says_whose_lock_it_is_and_unlock_breaks_it_only_by_force() {
    let sandbox = Sandbox::with_migrations();
    let client = support::database("cli_locked").await;
    let lock = housewright::journal::Lock::acquire(&client, support::owner())
        .await
        .unwrap();
    let server = support::engine();
    let on_server = |args: &[&str]| {
        let mut command = sandbox.command(args);
        command
            .args(["--database", "cli_locked"])
            .env("HOUSEWRIGHT_URL", &server.url)
            .env(
                "HOUSEWRIGHT_PASSWORD",
                server.password.as_ref().unwrap().expose(),
            );
        command
    };
    snapshot!(on_server(&["apply"]), @"
    success: false
    exit_code: 4
    ----- stdout -----

    ----- stderr -----
    error: `cli_locked` is locked by another run: test@localhost, process [PID], run [RUN]
      its last sign of life was [DURATION] ago; wait for it to end. If it is gone for good, the lock opens by itself after [DURATION], or now with `housewright unlock --force`
    ");
    snapshot!(on_server(&["unlock"]), @"
    success: false
    exit_code: 4
    ----- stdout -----

    ----- stderr -----
    error: `cli_locked` is locked by another run: test@localhost, process [PID], run [RUN]
      its last sign of life was [DURATION] ago; wait for it to end. If it is gone for good, the lock opens by itself after [DURATION], or now with `housewright unlock --force`
    ");
    snapshot!(on_server(&["unlock", "--force"]), @"
    success: true
    exit_code: 0
    ----- stdout -----

    ----- stderr -----
    broke the lock of test@localhost, process [PID], run [RUN], silent for [DURATION]
    ");
    snapshot!(on_server(&["unlock"]), @"
    success: true
    exit_code: 0
    ----- stdout -----

    ----- stderr -----
    there is no lock
    ");
    snapshot!(on_server(&["apply"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    cli_locked on http://[ADDRESS]/: 3 statements executed in [DURATION]

    ----- stderr -----
      0001_first 1/1  CREATE TABLE first  [DURATION]
      0002_second 1/2  CREATE TABLE second  [DURATION]
      0002_second 2/2  CREATE VIEW both  [DURATION]
    ");
    lock.release().await.unwrap();
}

#[tokio::test]
async fn a_statement_in_doubt_is_shown_and_settled_by_who_looked() {
    let sandbox = Sandbox::with_migrations();
    let client = support::database("cli_doubt").await;
    let server = support::engine();
    let on_server = |args: &[&str]| {
        let mut command = sandbox.command(args);
        command
            .args(["--database", "cli_doubt"])
            .env("HOUSEWRIGHT_URL", &server.url)
            .env(
                "HOUSEWRIGHT_PASSWORD",
                server.password.as_ref().unwrap().expose(),
            );
        command
    };
    assert!(on_server(&["apply", "-q"]).status().unwrap().success());
    // As a kill between the last statement and its fact leaves it.
    support::execute(&client, "ALTER TABLE housewright_journal DELETE WHERE version = 2 AND statement = 2 AND state = 'done' SETTINGS mutations_sync = 1").await;
    snapshot!(on_server(&["status"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    cli_doubt on http://[ADDRESS]/

      version  name    state     statements  applied                  by
      0001     first   applied   1/1         [TIME]  tester@box, [DURATION]
      0002     second  in doubt  1/2         [TIME]  tester@box, [DURATION]

    1 applied, 1 in doubt

    ----- stderr -----
    warning[in-doubt]: statement 2 of 0002_second was begun, and nobody wrote down how it ended
     --> schema/migrations/0002_second.sql:3:1
      |
    3 | CREATE VIEW both AS SELECT a FROM first UNION ALL SELECT a FROM second;
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: it was: CREATE VIEW both AS SELECT a FROM first UNION ALL SELECT a FROM second
      = note: begun by tester@box under query_id housewright-[RUN]-0002-2
      = help: `housewright apply` settles it before anything else: it looks at the definitions, against those before and after the statement
    ");
    snapshot!(on_server(&["repair", "--done", "1:1"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: statement 1 of migration 0001 is not in doubt; `housewright status` shows what is
    ");
    snapshot!(on_server(&["repair", "--done", "nonsense"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: `nonsense` is not VERSION:STATEMENT, as in `3:2`
    ");
    snapshot!(on_server(&["repair", "--done", "2:2"]), @"
    success: true
    exit_code: 0
    ----- stdout -----

    ----- stderr -----
    recorded; `housewright apply` goes on with migration 0002
    ");
    snapshot!(on_server(&["apply"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    cli_doubt on http://[ADDRESS]/ is up to date: nothing was executed

    ----- stderr -----
    ");
    // Once more, and nobody looks.
    support::execute(&client, "ALTER TABLE housewright_journal DELETE WHERE version = 2 AND statement = 2 AND state = 'done' SETTINGS mutations_sync = 1").await;
    snapshot!(on_server(&["plan"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    cli_doubt on http://[ADDRESS]/: 1 statement to execute

    0002_second  schema/migrations/0002_second.sql
      2/2  CREATE VIEW  both  metadata

    ----- stderr -----
    warning[in-doubt]: statement 2 of 0002_second was begun, and nobody wrote down how it ended
     --> schema/migrations/0002_second.sql:3:1
      |
    3 | CREATE VIEW both AS SELECT a FROM first UNION ALL SELECT a FROM second;
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: it was: CREATE VIEW both AS SELECT a FROM first UNION ALL SELECT a FROM second
      = note: begun by tester@box under query_id housewright-[RUN]-0002-2
      = help: `housewright apply` settles it before anything else: it looks at the definitions, against those before and after the statement
    ");
    snapshot!(on_server(&["apply"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    cli_doubt on http://[ADDRESS]/ is up to date: nothing was executed

    ----- stderr -----
    statement 2 of 0002_second had broken off: the definitions are as after it; recorded as done
    ");
    snapshot!(on_server(&["status", "--check", "--format", "json"]), @r#"
    success: true
    exit_code: 0
    ----- stdout -----
    {
      "version": 1,
      "target": "http://[ADDRESS]/",
      "database": "cli_doubt",
      "up_to_date": true,
      "migrations": [
        {
          "version": 1,
          "name": "first",
          "state": "applied",
          "statements": 1,
          "done": 1,
          "recorded_at": "[NUMBER]",
          "duration_ms": "[NUMBER]",
          "error": null
        },
        {
          "version": 2,
          "name": "second",
          "state": "applied",
          "statements": 2,
          "done": 2,
          "recorded_at": "[NUMBER]",
          "duration_ms": "[NUMBER]",
          "error": null
        }
      ],
      "findings": []
    }

    ----- stderr -----
    "#);
}

#[test]
fn statements_shows_how_a_file_is_cut() {
    let sandbox = Sandbox::new();
    sandbox.write("a.sql", "-- a; b\nCREATE MATERIALIZED VIEW mv TO t AS SELECT ';' AS x FROM s; INSERT INTO t FORMAT CSV\n1,2\n3,4\n\nALTER TABLE t ADD COLUMN a UInt8, DROP COLUMN b;\nSELECT $x$ ; $x$ # c;\n");
    snapshot!(sandbox.command(&["statements", "a.sql"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    a.sql  4 statements
      2:1   CREATE MATERIALIZED VIEW               mv → t ← s           metadata
      2:61  INSERT INTO                            t + 7 bytes of data  data
      6:1   ALTER TABLE … ADD COLUMN, DROP COLUMN  t                    destroys
      7:1   SELECT                                                      reads

    ----- stderr -----
    ");
    sandbox.write("b.sql", "SELECT 'open");
    snapshot!(sandbox.command(&["statements", "b.sql", "--format", "json"]), @r#"
    success: false
    exit_code: 1
    ----- stdout -----
    {
      "version": 1,
      "files": [
        {
          "path": "b.sql",
          "statements": [
            {
              "line": 1,
              "column": 1,
              "start": 0,
              "end": 12,
              "kind": "Read",
              "label": "SELECT",
              "class": "reads",
              "objects": [],
              "target": null,
              "on_cluster": null,
              "reads": null,
              "data_bytes": null,
              "closed": false,
              "sha256": "1edcf931efc8ae62a7a2c604269be44d8b36b400703edeb40dac327b855382ac",
              "sql": "SELECT 'open"
            }
          ]
        }
      ]
    }

    ----- stderr -----
    "#);
}

#[test]
fn seeds_repeat_and_bad_lines_are_named() {
    let sandbox = Sandbox::new();
    let once = sandbox.run(&["seed", "--events", "50", "--seed", "7"]);
    assert_eq!(
        once,
        sandbox.run(&["seed", "--events", "50", "--seed", "7"])
    );
    assert_ne!(
        once,
        sandbox.run(&["seed", "--events", "50", "--seed", "8"])
    );
    assert_eq!(once.lines().count(), 50);
    sandbox.write("events.ndjson", "{\"project_id\":\"p\",\"event\":\"$pageview\",\"anonymous_id\":\"a\",\"timestamp\":\"2026-05-16T18:59:59Z\"}\n{\"project_id\":\"p\"}\nnot json\n");
    snapshot!(sandbox.command(&["seed", "--file", "events.ndjson"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: events.ndjson: 2 lines of the batch that begins at line 1 cannot be read; nothing of that batch was taken
      line 2: `event` is missing or null
      line 3: the line is not one JSON value: expected ident at line 1 column 2
      0 events of the batches before it were taken
    ");
    snapshot!(sandbox.command(&["seed", "--projects", "0"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: 0 projects: give 1 to 10000
    ");
}

#[test]
fn events_are_loaded_and_counted() {
    let sandbox = Sandbox::new();
    for entry in support::schema()
        .join("migrations")
        .read_dir_utf8()
        .unwrap()
    {
        let path = entry.unwrap().into_path();
        fs_err::copy(
            &path,
            sandbox
                .path("schema/migrations")
                .join(path.file_name().unwrap()),
        )
        .unwrap();
    }
    sandbox.run(&["apply", "-q"]);
    snapshot!(sandbox.command(&["seed", "--load", "--events", "2500"]), @"
    success: true
    exit_code: 0
    ----- stdout -----

    ----- stderr -----
    loaded 2,500 events in [DURATION]
    ");
    // A bad line stops the load with its batch: what came before is in, nothing of the batch is.
    let event = |id: &str| {
        format!(
            "{{\"project_id\":\"bad\",\"event\":\"x\",\"event_id\":\"{id}\",\"anonymous_id\":\"a\",\"timestamp\":\"2026-05-16T18:59:59Z\"}}\n"
        )
    };
    let lines = format!("{}{}{}not json\n", event("1"), event("2"), event("3"));
    sandbox.write("bad.ndjson", lines);
    snapshot!(sandbox.command(&["seed", "--load", "--file", "bad.ndjson", "--batch", "2"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: bad.ndjson: 1 line of the batch that begins at line 3 cannot be read; nothing of that batch was taken
      line 4: the line is not one JSON value: expected ident at line 1 column 2
      2 events of the batches before it were taken
    ");
    // The table itself says how many there are: what a TRUNCATE would destroy.
    sandbox.migration(
        "0009_empty.sql",
        "-- migrate:up\nTRUNCATE TABLE events;\n-- migrate:down\n",
    );
    let plan = sandbox.command(&["plan"]).output().unwrap();
    let plan = String::from_utf8(plan.stdout).unwrap();
    assert!(plan.contains("2,502 rows"), "{plan}");
    snapshot!(sandbox.command(&["seed", "--load", "--file", "nowhere.ndjson"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: failed to open file `nowhere.ndjson`: No such file or directory (os error 2)
    ");
}

#[test]
fn new_makes_the_next_file_and_never_overwrites() {
    let sandbox = Sandbox::with_migrations();
    snapshot!(sandbox.command(&["new", "Add referrer & more!"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    schema/migrations/0003_add_referrer_more.sql

    ----- stderr -----
    ");
    snapshot!(sandbox.command(&["new", "!!!"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: `!!!` has no letter or digit to name a migration after
    ");
    // What is not filled in yet is a finding, and the number is taken.
    snapshot!(sandbox.command(&["new", "another"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error[empty-migration]: the migration does nothing
     --> schema/migrations/0003_add_referrer_more.sql:1:1
      |
    1 | -- migrate:up
      | ^
      |
      = help: write statements below `-- migrate:up`, or delete the file
    ");
}

#[test]
fn the_help_is_a_manual() {
    let sandbox = Sandbox::new();
    snapshot!(sandbox.command(&["--help"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    Builds and keeps ClickHouse schemas.

    Versioned DDL that survives a crash, materialized views whose meaning is tested, and a schema that
    people can read. Without `--url` or `--target` it works on an embedded ClickHouse, with its data in
    `.housewright/`.

    Usage: housewright [OPTIONS] <COMMAND>

    Commands:
      demo            Apply the schema to a throw-away embedded ClickHouse, load generated events, and
                      show the sessions and sources that come out
      new             Make the next migration file, with both sections
      status          Show which migrations are applied, pending, changed, missing or in doubt
      plan            Show what `apply` would do, statement by statement; nothing is written anywhere
      apply           Apply pending migrations: lock, execute, write down each step
      rollback        Take back what was applied, with the down sections that were stored then
      baseline        Adopt an existing database: write down that migrations are done, without executing
                      them
      import-history  Take over the history of goose, golang-migrate, dbmate or clickhouse-migrations
      repair          Record the checksums of the files, or settle a statement in doubt
      unlock          Break the lock of a run that is gone, and show whose it was
      diff            Print or write the migration that leads to the edited files of schema/current/
      drift           Compare a target with the migrations that were applied there, and exit with 1 if
                      somebody changed it by hand
      dump            Print the definitions of a target, each behind what it needs, ready to be executed
                      again
      rebuild         Make a materialized view anew from its source while rows come in: nothing lost,
                      nothing counted twice
      statements      Show how files are split into statements, and what each is
      seed            Generate realistic events, or read them from a file: the same seed, the same bytes
      test            Play the view cases through every way in which rows can arrive and meet, and
                      compare with their golden rows
      docs            Write the schema as pages that people read: schema/docs/SCHEMA.md, schema.json,
                      lineage.svg and index.html
      lineage         Show where each column comes from, back to what clients sent
      explain         Explain a table, a view or a column on one screen: what it means, where it comes
                      from, what is in it, which queries are fast
      query           Ask one of the recipes of schema/queries; without a name, list them
      lint            Find what ClickHouse accepts and should not have been given
      check           Everything that CI should know of a schema, offline: files, sums, rules, up and
                      down and up again, schema/current, pages, view cases
      serve           Serve the embedded ClickHouse over its HTTP interface
      engine          Install the embedded ClickHouse (libchdb), or show where it is
      completions     Print the completions of a shell
      man             Print the manual, for `man -l -`
      help            Print this message or the help of the given subcommand(s)

    Options:
      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version

    Global options:
          --schema <DIR>
              The schema directory [default: schema] [env: HOUSEWRIGHT_SCHEMA]

          --target <NAME>
              A target of housewright.toml [default: local, the embedded engine] [env:
              HOUSEWRIGHT_TARGET]

          --url <URL>
              A server's HTTP interface, as in http://user@host:8123 [env: HOUSEWRIGHT_URL]

          --database <NAME>
              The database [default: as in housewright.toml] [env: HOUSEWRIGHT_DATABASE]

          --format <FORMAT>
              For people or for programs

              Possible values:
              - human:    For people
              - json:     For programs
              - junit:    `JUnit` XML; of `test`
              - github:   Annotations of GitHub Actions; of `test`, `lint` and `check`
              - csv:      Comma-separated values; of `query`
              - tsv:      Tab-separated values; of `query`
              - markdown: A Markdown table; of `query`
              - ndjson:   A JSON object a row; of `query`
              - sarif:    SARIF 2.1.0; of `lint` and `check`
              
              [default: human]

          --color <COLOR>
              Colour
              
              [default: auto]
              [possible values: auto, always, never]

      -q, --quiet
              Say less: only data and errors

      -v, --verbose
              Say more

    Exit codes:
      0  done, nothing to report
      1  findings: `lint`, `check`, `diff`, `drift`, `dump --check`, `docs --check`, `rebuild`, or
         something pending with `status --check`
      2  usage, or an invalid project
      3  ClickHouse refused, or could not be reached
      4  locked by another run
      5  refused as destructive: nothing allows the loss of data

    A password is never given on the command line: HOUSEWRIGHT_PASSWORD, a file named by
    HOUSEWRIGHT_PASSWORD_FILE, or `password_env` of a target in housewright.toml.

    ----- stderr -----
    ");
    snapshot!(sandbox.command(&["apply", "--help"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    Apply pending migrations: lock, execute, write down each step

    All pending statements are read by the engine's own parser before the first is executed. The journal
    knows each statement before and after it is sent, so that a run that broke off is continued where it
    stopped. Ctrl-C stops after the statement that is running.

    Usage: housewright apply [OPTIONS]

    Options:
          --to <VERSION>
              The last version to apply

          --out-of-order
              Apply a pending migration although a later one is applied already

          --allow-destructive
              Execute statements that destroy data although nothing in their file allows it

          --dry-run
              Show what would be done, and do nothing: the same as `plan`

          --plan <FILE>
              Execute this plan, as `plan --format json` wrote it, and only if nothing has moved since

          --wait[=<SECONDS>]
              If another run has the lock, wait for it, at most so many seconds [default: until it ends]

      -h, --help
              Print help (see a summary with '-h')

    How a rebuild is done:
          --received-at <COLUMN>
              The column of the source that the server fills with the time of the INSERT, and no client
              sends [default: the MATERIALIZED one]

          --writers-stopped
              Nobody writes into the source until readers are swapped: for one without such a column. It
              is looked at, and rows that come in all the same stop the rebuild before the swap

          --chunk-rows <N>
              Rows of the source that are aggregated at once, and about as many that are compared
              
              [default: 1000000]

          --lead <SECONDS>
              Seconds from now to the cut; more if INSERTs take longer
              
              [default: 3]

          --patience <SECONDS>
              Seconds to wait for INSERTs that began before
              
              [default: 600]

          --max-rows-per-second <N>
              Read no more rows of the source a second

          --max-threads <N>
              Threads of a chunk, and of the comparison

          --max-memory <BYTES>
              Bytes of memory of a chunk, and of the comparison; what needs more is done in slices

          --pause-file <FILE>
              Begin no chunk while this file is there

          --allow-shorter-history
              What the source's TTL let go may go from the state too

    Global options:
          --schema <DIR>
              The schema directory [default: schema] [env: HOUSEWRIGHT_SCHEMA]

          --target <NAME>
              A target of housewright.toml [default: local, the embedded engine] [env:
              HOUSEWRIGHT_TARGET]

          --url <URL>
              A server's HTTP interface, as in http://user@host:8123 [env: HOUSEWRIGHT_URL]

          --database <NAME>
              The database [default: as in housewright.toml] [env: HOUSEWRIGHT_DATABASE]

          --format <FORMAT>
              For people or for programs

              Possible values:
              - human:    For people
              - json:     For programs
              - junit:    `JUnit` XML; of `test`
              - github:   Annotations of GitHub Actions; of `test`, `lint` and `check`
              - csv:      Comma-separated values; of `query`
              - tsv:      Tab-separated values; of `query`
              - markdown: A Markdown table; of `query`
              - ndjson:   A JSON object a row; of `query`
              - sarif:    SARIF 2.1.0; of `lint` and `check`
              
              [default: human]

          --color <COLOR>
              Colour
              
              [default: auto]
              [possible values: auto, always, never]

      -q, --quiet
              Say less: only data and errors

      -v, --verbose
              Say more

    ----- stderr -----
    ");
}

/// A program called npm, first on the path.
fn npm(sandbox: &Sandbox, script: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = sandbox.path("bin");
    fs_err::create_dir_all(&directory).unwrap();
    let path = directory.join("npm");
    fs_err::write(&path, script).unwrap();
    fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    format!("{directory}:/usr/bin:/bin")
}

fn install(sandbox: &Sandbox, path: &str) -> Command {
    let mut command = sandbox.command(&["engine", "install"]);
    command
        .env_remove("HOUSEWRIGHT_LIBCHDB")
        .env("PATH", path)
        .env("XDG_CACHE_HOME", sandbox.path("cache"));
    command
}

fn below(directory: &Utf8Path) -> Vec<String> {
    let Ok(entries) = directory.read_dir_utf8() else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().to_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_package_with_a_wrong_checksum_is_refused_and_deleted() {
    let sandbox = Sandbox::new();
    let path = npm(&sandbox, "#!/bin/sh\necho forged > x.tgz\n");
    snapshot!(install(&sandbox, &path), @"
    success: false
    exit_code: 3
    ----- stdout -----

    ----- stderr -----
    error: the package @chdb/lib-linux-x64-gnu@26.7.3-stable.1 has the wrong SHA-512 and was deleted
      expected XP97mMqnc5tZpKQywR8N7cLTsHNiTmHr30pC5mzo3jWmukjKn2IBa60c2B/gWUNcuFjOMjWoorQICCqBVj5wpw==
      found    v3tykr+cPlh9GeMMNLpl0gwLQwzhgbb2VUYNYjVJSKJR7k357bJn2aPdRpMsUXRu8VqeYDH8xx/YZuql9yGNlA==
    ");
    assert_eq!(
        below(&sandbox.path("cache/housewright")),
        ["libchdb-26.7.3-stable.1.lock"]
    );
}

#[test]
fn without_npm_or_network_the_ways_are_said() {
    let sandbox = Sandbox::new();
    snapshot!(install(&sandbox, "/nonexistent"), @"
    success: false
    exit_code: 3
    ----- stdout -----

    ----- stderr -----
    error: the embedded ClickHouse is not installed, and `npm`, which would fetch it, could not be started
      install npm and try again; or unpack the package @chdb/lib-linux-x64-gnu@26.7.3-stable.1 elsewhere and name its library in HOUSEWRIGHT_LIBCHDB; or use a server (`--url`)
      because: No such file or directory (os error 2)
    ");
    let path = npm(
        &sandbox,
        "#!/bin/sh\necho 'npm error network' >&2\nexit 1\n",
    );
    snapshot!(install(&sandbox, &path), @"
    success: false
    exit_code: 3
    ----- stdout -----

    ----- stderr -----
    error: npm could not fetch @chdb/lib-linux-x64-gnu@26.7.3-stable.1
      | npm error network

      without a network, unpack the package elsewhere and name its library in HOUSEWRIGHT_LIBCHDB, or use a server (`--url`)
    ");
    let mut wrong = sandbox.command(&["status"]);
    wrong.env("HOUSEWRIGHT_LIBCHDB", "/nonexistent/libchdb.so");
    snapshot!(wrong, @"
    success: false
    exit_code: 3
    ----- stdout -----

    ----- stderr -----
    error: HOUSEWRIGHT_LIBCHDB names `/nonexistent/libchdb.so`, where there is no file
      correct it, or unset it to use the installed library
    ");
}

#[test]
fn an_installation_that_was_killed_leaves_nothing_that_looks_like_one() {
    let sandbox = Sandbox::new();
    let path = npm(&sandbox, "#!/bin/sh\necho begun > npm-begun\nsleep 60\n");
    let mut child = install(&sandbox, &path).spawn().unwrap();
    let begun = sandbox.path("cache/housewright/.libchdb-26.7.3-stable.1.partial/npm-begun");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !begun.exists() {
        assert!(std::time::Instant::now() < deadline, "npm was not started");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        !sandbox
            .path("cache/housewright/libchdb-26.7.3-stable.1")
            .exists()
    );
    let path = npm(&sandbox, "#!/bin/sh\necho forged > x.tgz\n");
    assert!(!install(&sandbox, &path).status().unwrap().success());
    assert_eq!(
        below(&sandbox.path("cache/housewright")),
        ["libchdb-26.7.3-stable.1.lock"],
        "what was left is swept"
    );
}

#[test]
fn a_schema_is_dumped_kept_as_files_and_held_against_what_is_there() {
    let sandbox = Sandbox::with_migrations();
    sandbox.run(&["apply", "-q"]);
    snapshot!(sandbox.command(&["dump"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    CREATE TABLE first
    (
        `a` UInt64
    )
    ENGINE = MergeTree
    ORDER BY a
    SETTINGS index_granularity = 8192;

    CREATE TABLE second
    (
        `a` UInt64
    )
    ENGINE = MergeTree
    ORDER BY a
    SETTINGS index_granularity = 8192;

    CREATE VIEW both
    (
        `a` UInt64
    )
    AS SELECT a
    FROM first
    UNION ALL
    SELECT a
    FROM second;

    ----- stderr -----
    ");
    snapshot!(sandbox.command(&["dump", "--check"]), @"
    success: false
    exit_code: 1
    ----- stdout -----
    missing  schema/current/both.sql
    missing  schema/current/first.sql
    missing  schema/current/second.sql

    schema/current is not what the migrations add up to: 3 files differ
      `housewright dump --write` writes it anew

    ----- stderr -----
    ");
    snapshot!(sandbox.command(&["dump", "--write"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    new  schema/current/both.sql
    new  schema/current/first.sql
    new  schema/current/second.sql

    schema/current: 3 files written or removed

    ----- stderr -----
    ");
    sandbox.write(
        "schema/current/both.sql",
        "CREATE VIEW both\n(\n    `a` UInt64\n)\nAS SELECT a\nFROM first;\n",
    );
    snapshot!(sandbox.command(&["dump", "--check"]), @"
    success: false
    exit_code: 1
    ----- stdout -----
    different  schema/current/both.sql
        )
        AS SELECT a
      - FROM first;
      + FROM first
      + UNION ALL
      + SELECT a
      + FROM second;

    schema/current is not what the migrations add up to: 1 file differs
      `housewright dump --write` writes it anew

    ----- stderr -----
    ");
    snapshot!(sandbox.command(&["dump", "--check", "--format", "json"]), @r#"
    success: false
    exit_code: 1
    ----- stdout -----
    {
      "version": 1,
      "directory": "schema/current",
      "written": false,
      "objects": 3,
      "files": [
        {
          "path": "schema/current/both.sql",
          "state": "different"
        }
      ]
    }

    ----- stderr -----
    "#);
    snapshot!(sandbox.command(&["drift"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    default on local (embedded engine, data in .housewright) is what the 2 migrations made that were applied there: 3 objects

    ----- stderr -----
    ");
    sandbox.migration("0003_broken.sql", "-- migrate:up\nCREATE VIEW broken AS SELECT 1 FROM nowhere;\n-- migrate:down\nDROP VIEW broken;\n");
    snapshot!(sandbox.command(&["dump", "--write"]), @"
    success: false
    exit_code: 3
    ----- stdout -----

    ----- stderr -----
    error[refused]: the embedded ClickHouse refused this statement when the migrations were replayed
     --> schema/migrations/0003_broken.sql:2:1
      |
    2 | CREATE VIEW broken AS SELECT 1 FROM nowhere;
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: ClickHouse says UNKNOWN_TABLE (code 60): Unknown table expression identifier 'default.nowhere' in scope SELECT 1 FROM default.nowhere.
      = help: nothing was written; the migrations have to be executable from nothing, one after the other
    ");
}
