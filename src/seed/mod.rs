//! Seed → events. The same seed gives the same bytes on every platform; nothing here knows a server or a network.

pub mod api;
mod event;
mod traffic;

pub use event::{Event, MAX_TIMESTAMP_MS, MIN_TIMESTAMP_MS, derived_session_id};
pub use traffic::{Options, OptionsError, Traffic, generate};

#[cfg(test)]
mod tests;
