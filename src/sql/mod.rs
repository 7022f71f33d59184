//! Text → statements with spans and a kind. The only room that knows sqlparser.
//!
//! Splitting and classifying rest on a lexer of our own, proven equal to the engine's. sqlparser reads SELECT bodies for hints; what it
//! does not know is never a reason to refuse, and what it prints is never executed.

mod allow;
mod header;
mod insert;
mod lexer;
mod parameters;
mod reads;
mod split;
mod types;
mod words;

pub use crate::sql::allow::{Allowance, Mention, allowance, allowances, allowances_above};
pub use crate::sql::header::{Class, Command, Header, Kind, ObjectName, header};
pub use crate::sql::insert::{Insert, insert};
pub use crate::sql::lexer::{Lexer, Token, TokenKind, tokens};
pub use crate::sql::parameters::{Parameter, parameters};
pub use crate::sql::reads::reads;
pub(crate) use crate::sql::split::hex;
pub use crate::sql::split::{Statement, split};
pub use crate::sql::types::{Loss, loss};

/// A range of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte behind the last.
    pub end: usize,
}

impl Span {
    /// The text it covers; empty if it does not lie within `text` or cuts a character.
    #[must_use]
    pub fn of<'a>(&self, text: &'a str) -> &'a str {
        text.get(self.start..self.end).unwrap_or_default()
    }

    fn bytes<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        text.get(self.start..self.end).unwrap_or_default()
    }
}

/// The line and the column, in characters, of a byte; both from 1.
#[must_use]
pub fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let lines = before.matches('\n').count();
    let columns = before.get(line_start..).unwrap_or_default().chars().count();
    (lines + 1, columns + 1)
}

/// What an aggregate function's name may end with, the longer before those that they end with.
pub(crate) const COMBINATORS: &[&str] = &[
    "SimpleState",
    "State",
    "Merge",
    "OrNull",
    "OrDefault",
    "Distinct",
    "If",
];
