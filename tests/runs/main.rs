//! What may befall a run: it is killed, its statements are cut off, others run at once, and the servers are several. In one binary, since
//! most of these stories wait.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod cluster;
mod crash;
mod lock;
mod race;
mod settle;
#[path = "../support/mod.rs"]
mod support;
