//! Builds and keeps ClickHouse schemas.
//!
//! Data flows one way, read → know → decide → act → say; each module below is one room of that house and may name only
//! rooms listed above it (`tests/architecture.rs` holds this). ARCHITECTURE.md is the map.

// read
pub mod config;
pub mod diagnostic;
pub mod migration;
pub mod recipe;
pub mod seed;
pub mod sql;

// know
pub mod catalog;
pub mod clickhouse;
pub mod cluster;
pub mod engine;
pub mod journal;

// decide
pub mod diff;
pub mod docs;
pub mod lint;
pub mod plan;

// act
pub mod apply;
pub mod drift;
pub mod import;
pub mod rebuild;
pub mod scratch;
pub mod survey;
pub mod viewtest;

// say
#[cfg(feature = "cli")]
pub mod cli;
pub mod report;
