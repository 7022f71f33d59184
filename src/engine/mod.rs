//! The embedded engine: libchdb installed, loaded, served over HTTP, started as a child. The only unsafe code.

pub mod install;
