//! A finding, as data.
