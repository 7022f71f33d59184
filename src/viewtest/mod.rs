//! What a view means, proven: cases with golden rows, played through every way in which rows can arrive and meet.
//!
//! Everything works for any schema directory. A [`Suite`] is a directory of cases; [`Suite::play`] plays them, several at once, each
//! worker on a database of its own. Who shows the outcome is not known here.

pub mod adversary;
pub mod against;
mod breed;
pub mod case;
pub mod history;
pub mod invariance;
mod killers;
mod make;
mod markdown;
pub mod mutants;
pub mod mutate;
pub mod play;
mod reach;
pub mod rows;
mod sample;
mod seeded;
mod shrink;
pub mod snapshot;
pub mod stage;
pub mod states;
mod suite;

pub use sample::Example;
pub use suite::{Answer, Event, Mode, Outcome, Suite, Unstable, Verdict};
