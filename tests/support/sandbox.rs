//! A directory with a schema in it, and the command run there as a user would.

#![allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "every test binary uses another part of it"
)]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::process::Command;

use camino::Utf8PathBuf;
use camino_tempfile::Utf8TempDir;
use housewright::clickhouse::Client;

/// A directory with a schema in it, and an environment that holds nothing else.
pub(crate) struct Sandbox {
    pub(crate) dir: Utf8TempDir,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        let dir = super::directory();
        fs_err::create_dir_all(dir.path().join("schema/migrations")).unwrap();
        Self { dir }
    }

    /// With two migrations, recorded.
    pub(crate) fn with_migrations() -> Self {
        let sandbox = Self::new();
        sandbox.migration("0001_first.sql", "-- migrate:up\nCREATE TABLE first (a UInt64) ENGINE = MergeTree ORDER BY a;\n-- migrate:down\nDROP TABLE first;\n");
        sandbox.migration("0002_second.sql", "-- migrate:up\nCREATE TABLE second (a UInt64) ENGINE = MergeTree ORDER BY a;\nCREATE VIEW both AS SELECT a FROM first UNION ALL SELECT a FROM second;\n-- migrate:down\nDROP VIEW both;\nDROP TABLE second;\n");
        sandbox.run(&["repair", "-q"]);
        sandbox
    }

    pub(crate) fn path(&self, name: &str) -> Utf8PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs_err::write(self.path(name), content).unwrap();
    }

    pub(crate) fn migration(&self, name: &str, text: &str) {
        self.write(&format!("schema/migrations/{name}"), text);
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = super::command(self.dir.path(), args);
        command.env("USER", "tester").env("HOSTNAME", "box");
        command
    }

    /// A command on a database of the test's own engine, as on a server.
    pub(crate) fn on(&self, client: &Client, args: &[&str]) -> Command {
        self.at(&super::engine().url, client, args)
    }

    /// The same, through what stands before the engine.
    pub(crate) fn at(&self, url: &str, client: &Client, args: &[&str]) -> Command {
        let mut command = self.command(args);
        command
            .args(["--url", url, "--database", client.database()])
            .env(
                "HOUSEWRIGHT_PASSWORD",
                super::engine().password.as_ref().unwrap().expose(),
            );
        command
    }

    /// Runs a command that must succeed.
    pub(crate) fn run(&self, args: &[&str]) -> String {
        let output = self.command(args).output().unwrap();
        assert!(
            output.status.success(),
            "{args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }
}

/// Changes a file of `schema/current`, in which `from` has to be.
pub(crate) fn edit(sandbox: &Sandbox, file: &str, from: &str, to: &str) {
    let path = sandbox.path(&format!("schema/current/{file}"));
    let text = fs_err::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    fs_err::write(path, text.replacen(from, to, 1)).unwrap();
}

/// Times, durations and ids are not the same twice.
pub(crate) fn filters() -> insta::internals::SettingsBindDropGuard {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "[TIME]");
    // A machine that is slow at that moment chooses it again.
    settings.add_filter(r"(  cut at \[TIME\]\n)+", "  cut at [TIME]\n");
    settings.add_filter(r"\b\d+(\.\d)? (ms|s)\b", "[DURATION]");
    settings.add_filter(r"process \d+, run [0-9a-f]{16}", "process [PID], run [RUN]");
    settings.add_filter(r"housewright-[0-9a-f]{16}-", "housewright-[RUN]-");
    settings.add_filter(r#""(recorded_at|duration_ms)": \d+"#, r#""$1": "[NUMBER]""#);
    settings.add_filter(
        r"housewright_test_[0-9a-f]{16}_\d+",
        "housewright_test_[RUN]",
    );
    settings.add_filter(r"127\.0\.0\.1:\d+", "[ADDRESS]");
    settings.add_filter(r"\[DURATION\] +(applied|pending)", "[DURATION] $1");
    settings.bind_to_scope()
}

/// Exit code, stdout and stderr, as they stand in the test.
macro_rules! snapshot {
    ($command:expr, @$expected:literal) => {{
        let _filters = $crate::support::sandbox::filters();
        insta_cmd::assert_cmd_snapshot!($command, @$expected);
    }};
}
pub(crate) use snapshot;
