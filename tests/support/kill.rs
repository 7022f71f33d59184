//! The command, killed with SIGKILL at a request of its own.

#![allow(dead_code, reason = "every test binary uses another part of it")]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::engine;
use super::proxy::{Fate, Proxy, Request};

/// How a run ended that was to be killed at a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Killed, at this request.
    Killed(String),
    /// It made fewer requests, and ended well.
    Ended,
}

/// Whether a request changes something, the lock aside.
pub(crate) fn changes(request: &Request) -> bool {
    let sql = request.sql();
    let word = sql.trim_start().split([' ', '\n']).next().unwrap_or("");
    matches!(
        word,
        "CREATE" | "ALTER" | "INSERT" | "TRUNCATE" | "DROP" | "RENAME"
    ) && !sql.contains("housewright_lock")
}

/// What becomes of the n-th request that changes something; the others pass.
pub(crate) fn at(number: usize, fate: Fate) -> impl Fn(&Request) -> Fate + Send + Sync + 'static {
    let count = AtomicUsize::new(0);
    move |request| {
        if changes(request) && count.fetch_add(1, Ordering::SeqCst) + 1 == number {
            fate
        } else {
            Fate::Pass
        }
    }
}

/// Runs a command against the test's engine, and kills it at the n-th request that changes something.
pub(crate) fn killed_at(command: impl Fn(&str) -> Command, number: usize, fate: Fate) -> End {
    killed(command, at(number, fate)).1
}

/// Runs a command against the test's engine, and kills it at the first request that is held. The proxy has that request until it is dropped.
pub(crate) fn killed(
    command: impl Fn(&str) -> Command,
    fate: impl Fn(&Request) -> Fate + Send + Sync + 'static,
) -> (Proxy, End) {
    let proxy = Proxy::start(&engine().url, fate);
    let mut child: Child = command(&proxy.url)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    loop {
        if let Some(request) = proxy.held(Duration::from_millis(20)) {
            child.kill().unwrap();
            child.wait().unwrap();
            return (proxy, End::Killed(request.sql().chars().take(90).collect()));
        }
        if child.try_wait().unwrap().is_some() {
            let output = child.wait_with_output().unwrap();
            assert!(
                output.status.success(),
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
            return (proxy, End::Ended);
        }
    }
}
