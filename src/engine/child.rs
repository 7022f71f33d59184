//! The embedded engine as a process of its own: started, or joined where another command's engine already holds the data.
//!
//! The binary re-executes itself as `serve` on a free loopback port with a random key. The child lives as long as somebody needs it:
//! its parent's end of a pipe, or a *lease*, a connection that a joined command keeps open. Nobody has to clean up after a crash,
//! because the operating system closes both.

use std::process::Stdio;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{ChildStdin, ChildStdout, Command};

use crate::config::{Secret, Server};

/// The environment variable that carries the key to the child.
pub const KEY_VARIABLE: &str = "HOUSEWRIGHT_ENGINE_KEY";
/// The exit code of a `serve` that found its data directory held by another engine.
pub const EXIT_HELD: u8 = 4;
/// The path of the lease.
pub const LEASE_PATH: &str = "/housewright/lease";

/// How long an engine may take until it answers; cold, from a slow disk, it is a few seconds.
const READY_TIMEOUT: Duration = Duration::from_mins(1);
/// How long a child may take to end after it was told to.
const END_TIMEOUT: Duration = Duration::from_secs(30);

/// What to start.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The `housewright` binary.
    pub program: Utf8PathBuf,
    /// The library.
    pub library: Utf8PathBuf,
    /// The data directory; `None` for a throw-away one.
    pub path: Option<Utf8PathBuf>,
}

/// Where a running engine answers: one line on its standard output, and the content of the file in its data directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The layout of this object.
    pub version: u32,
    /// The URL.
    pub url: String,
    /// The user.
    pub user: String,
    /// The key; only in the file, which only its user can read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The engine's process.
    pub pid: u32,
}

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The process could not be started.
    #[error("could not start the embedded engine as `{program} serve`")]
    Spawn {
        /// The binary.
        program: Utf8PathBuf,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
    /// The process ended before it was ready.
    #[error("the embedded engine ended before it was ready ({status})\n{said}")]
    Ended {
        /// Its exit status.
        status: String,
        /// What it said, indented.
        said: String,
    },
    /// It took too long.
    #[error("the embedded engine was not ready within {} s", READY_TIMEOUT.as_secs())]
    Late,
    /// Another engine holds the data and cannot be joined.
    #[error(
        "the data in {path} is held by another process, which could not be joined\n  is an older housewright or another ClickHouse using it?"
    )]
    Held {
        /// The data directory.
        path: Utf8PathBuf,
    },
}

/// An engine that this process may use until [`Handle::end`].
#[derive(Debug)]
pub struct Handle {
    server: Server,
    process: Option<Process>,
    /// Kept open: the lease of a joined engine.
    lease: Option<TcpStream>,
}

#[derive(Debug)]
struct Process {
    child: tokio::process::Child,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
}

impl Handle {
    /// Where it answers.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The engine's process, if this one started it.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().and_then(|process| process.child.id())
    }

    /// Gives the engine back. One that this process started ends now, unless somebody joined it.
    pub async fn end(self) {
        drop(self.lease);
        let Some(mut process) = self.process else {
            return;
        };
        drop(process.stdin);
        // It ends, or says in a line that it stays for its guests.
        let gone = async {
            tokio::select! {
                _ = process.child.wait() => {}
                line = process.stdout.next_line() => {
                    if !matches!(line, Ok(Some(_))) {
                        let _ = process.child.wait().await;
                    }
                }
            }
        };
        if tokio::time::timeout(END_TIMEOUT, gone).await.is_err() {
            let _ = process.child.kill().await;
        }
    }
}

/// Starts an engine, or joins the one that holds the data directory.
///
/// # Errors
/// [`Error`].
pub async fn open(launch: &Launch) -> Result<Handle, Error> {
    let deadline = Instant::now() + READY_TIMEOUT;
    loop {
        if let Some(path) = &launch.path
            && let Some(handle) = join(path).await
        {
            return Ok(handle);
        }
        match start(launch).await {
            Err(Error::Held { path }) if Instant::now() >= deadline => {
                return Err(Error::Held { path });
            }
            // The holder is starting or ending just now.
            Err(Error::Held { .. }) => tokio::time::sleep(Duration::from_millis(50)).await,
            other => return other,
        }
    }
}

async fn start(launch: &Launch) -> Result<Handle, Error> {
    let key: [u8; 16] = rand::random();
    let key = key.iter().fold(String::new(), |mut text, byte| {
        use std::fmt::Write as _;
        let _ = write!(text, "{byte:02x}");
        text
    });
    let mut command = Command::new(&launch.program);
    command
        .args([
            "serve",
            "--for-parent",
            "--port",
            "0",
            "--password-env",
            KEY_VARIABLE,
        ])
        .env(KEY_VARIABLE, &key)
        .env("HOUSEWRIGHT_LIBCHDB", &launch.library)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(path) = &launch.path {
        command.arg("--path").arg(path);
    }
    // Ctrl-C in the terminal is for the command, which then ends its engine in order.
    #[cfg(unix)]
    command.process_group(0);
    let mut child = command.spawn().map_err(|source| Error::Spawn {
        program: launch.program.clone(),
        source,
    })?;
    let (Some(stdin), Some(stdout), Some(mut stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(Error::Late);
    };
    let said = tokio::spawn(async move {
        let mut text = Vec::new();
        let _ = (&mut stderr).take(16 * 1024).read_to_end(&mut text).await;
        // Whatever comes later must not block the child.
        let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
        String::from_utf8_lossy(&text).into_owned()
    });
    let mut stdout = BufReader::new(stdout).lines();
    let line = tokio::time::timeout(READY_TIMEOUT, stdout.next_line()).await;
    let Ok(line) = line else {
        let _ = child.kill().await;
        return Err(Error::Late);
    };
    let endpoint = line
        .ok()
        .flatten()
        .and_then(|line| serde_json::from_str::<Endpoint>(&line).ok());
    let Some(endpoint) = endpoint else {
        drop(stdin);
        let status = child.wait().await;
        let code = status
            .as_ref()
            .ok()
            .and_then(std::process::ExitStatus::code);
        if let (Some(path), true) = (&launch.path, code == Some(i32::from(EXIT_HELD))) {
            return Err(Error::Held { path: path.clone() });
        }
        let said = said.await.unwrap_or_default();
        return Err(Error::Ended {
            status: status.map_or_else(|error| error.to_string(), |status| status.to_string()),
            said: crate::engine::indented(&said),
        });
    };
    Ok(Handle {
        server: server(&endpoint, Secret::new(key)),
        process: Some(Process {
            child,
            stdin,
            stdout,
        }),
        lease: None,
    })
}

fn server(endpoint: &Endpoint, key: Secret) -> Server {
    Server {
        name: None,
        url: endpoint.url.clone(),
        user: endpoint.user.clone(),
        password: Some(key),
        ca_file: None,
        cluster: None,
    }
}

/// The file in a data directory that says where its engine answers.
#[must_use]
pub fn endpoint_file(path: &Utf8Path) -> Utf8PathBuf {
    path.join("engine.json")
}

/// Takes a lease on the engine that holds the data directory, if one does and answers.
async fn join(path: &Utf8Path) -> Option<Handle> {
    let text = fs_err::read_to_string(endpoint_file(path)).ok()?;
    let endpoint: Endpoint = serde_json::from_str(&text).ok()?;
    let key = Secret::new(endpoint.key.clone()?);
    let server = server(&endpoint, key);
    let lease = tokio::time::timeout(Duration::from_secs(5), lease(&server)).await;
    Some(Handle {
        lease: Some(lease.ok()?.ok()?),
        server,
        process: None,
    })
}

/// Opens the connection that keeps an engine alive.
async fn lease(server: &Server) -> std::io::Result<TcpStream> {
    use base64::Engine as _;
    let authority = server
        .url
        .trim_start_matches("http://")
        .trim_end_matches('/');
    let password = server.password.as_ref().map_or("", Secret::expose);
    let credentials =
        base64::engine::general_purpose::STANDARD.encode(format!("{}:{password}", server.user));
    let mut stream = TcpStream::connect(authority).await?;
    stream
        .write_all(
            format!("GET {LEASE_PATH} HTTP/1.1\r\nHost: {authority}\r\nAuthorization: Basic {credentials}\r\n\r\n")
                .as_bytes(),
        )
        .await?;
    let mut status = [0; 12];
    stream.read_exact(&mut status).await?;
    if &status == b"HTTP/1.1 200" {
        Ok(stream)
    } else {
        Err(std::io::Error::other("the engine refused the lease"))
    }
}
