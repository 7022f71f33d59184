//! Seed → events.
