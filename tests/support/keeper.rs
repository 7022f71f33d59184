//! A real ZooKeeper, Debian's, on a loopback port; it ends with the value that stands for it.

#![allow(dead_code, reason = "every test binary uses another part of it")]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use camino_tempfile::Utf8TempDir;

/// A `ZooKeeper`.
pub(crate) struct Keeper {
    process: Child,
    dir: Utf8TempDir,
    /// Its port on 127.0.0.1.
    pub(crate) port: u16,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Keeper {
    /// Starts one, and waits until it answers.
    pub(crate) fn start() -> Self {
        let dir = super::directory();
        let port = free_port();
        fs_err::write(
            dir.path().join("zoo.cfg"),
            format!(
                "tickTime=500\ndataDir={}/data\nclientPort={port}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n4lw.commands.whitelist=srvr\n",
                dir.path()
            ),
        )
        .unwrap();
        let process = launch(&dir);
        let keeper = Self { process, dir, port };
        keeper.wait();
        keeper
    }

    /// Kills it, as a power cut does.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again on what it had written.
    pub(crate) fn restart(&mut self) {
        self.process = launch(&self.dir);
        self.wait();
    }

    /// What a server's configuration says of it.
    pub(crate) fn config(&self) -> String {
        format!(
            "<zookeeper><node index=\"1\"><host>127.0.0.1</host><port>{}</port></node><session_timeout_ms>6000</session_timeout_ms></zookeeper>",
            self.port
        )
    }

    fn wait(&self) {
        let begun = Instant::now();
        while !self.answers() {
            assert!(
                begun.elapsed() < Duration::from_mins(1),
                "ZooKeeper does not answer on port {}: {}",
                self.port,
                fs_err::read_to_string(self.dir.path().join("log")).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else {
            return false;
        };
        stream
            .set_read_timeout(Some(Duration::from_secs(2)))
            .unwrap();
        let mut answer = String::new();
        // It is up before it takes sessions; its mode is only known when it does.
        stream.write_all(b"srvr").is_ok()
            && stream.read_to_string(&mut answer).is_ok()
            && answer.contains("Mode: ")
    }
}

fn launch(dir: &Utf8TempDir) -> Child {
    let log = fs_err::File::create(dir.path().join("log")).unwrap();
    Command::new("java")
        .args([
            "-Xmx128m",
            "-cp",
            "/etc/zookeeper/conf:/usr/share/java/zookeeper.jar",
            "org.apache.zookeeper.server.quorum.QuorumPeerMain",
        ])
        .arg(dir.path().join("zoo.cfg"))
        .stdin(Stdio::null())
        .stdout(log.into_file())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("java could not be started: {error}; `apt-get install zookeeper` brings it")
        })
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}
