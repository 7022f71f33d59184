//! The embedded engine: libchdb installed, loaded, served over HTTP, started as a child. The only unsafe code.

pub mod child;
pub mod embedded;
pub mod host;
pub mod install;
pub mod library;
pub mod server;

/// What another process said, as an indented block of at most 20 lines.
fn indented(said: &str) -> String {
    said.lines().take(20).fold(String::new(), |mut text, line| {
        text.push_str("  | ");
        text.push_str(line);
        text.push('\n');
        text
    })
}
