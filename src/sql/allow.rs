//! `-- housewright:allow(NAME) because REASON`: a comment directly above a statement that says somebody meant it.

use crate::sql::Span;
use crate::sql::lexer::{Token, TokenKind, tokens};

/// What a comment above a statement allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowance {
    /// It is allowed, for this reason.
    Because(String),
    /// It is named without a reason, which allows nothing.
    WithoutReason,
}

/// A comment that allows something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    /// What it allows.
    pub name: String,
    /// Why.
    pub allowance: Allowance,
    /// The comment's bytes.
    pub span: Span,
}

/// The allowance for `name` in the comments that end a text, those directly above the statement that follows it: no blank line between.
#[must_use]
pub fn allowance(before: &str, name: &str) -> Option<Allowance> {
    allowances_above(before)
        .into_iter()
        .find(|mention| mention.name == name)
        .map(|mention| mention.allowance)
}

/// All that is allowed in the comments that end a text, the last first.
#[must_use]
pub fn allowances_above(before: &str) -> Vec<Mention> {
    let found: Vec<Token> = tokens(before).collect();
    let mut mentions = Vec::new();
    let mut ends_line = false;
    for token in found.iter().rev() {
        let text = token.span.of(before);
        match token.kind {
            // A comment's own line end belongs to the white space behind it.
            TokenKind::Whitespace if text.matches('\n').count() < 2 => ends_line = true,
            TokenKind::Comment if ends_line || text.starts_with("/*") => {
                mentions.extend(read(text, token.span));
            }
            _ => break,
        }
    }
    mentions
}

/// All that is allowed in the comments of a text, wherever they stand.
#[must_use]
pub fn allowances(text: &str) -> Vec<Mention> {
    tokens(text)
        .filter(|token| token.kind == TokenKind::Comment)
        .filter_map(|token| read(token.span.of(text), token.span))
        .collect()
}

fn read(comment: &str, span: Span) -> Option<Mention> {
    let words = comment
        .trim_start_matches(['-', '#', '!', '/', '*'])
        .trim_end_matches("*/")
        .trim();
    let (name, rest) = words.strip_prefix("housewright:allow(")?.split_once(')')?;
    let reason = rest
        .trim()
        .strip_prefix("because")
        .map(|reason| reason.trim().trim_start_matches(['…', '.']).trim())
        .filter(|reason| !reason.is_empty());
    Some(Mention {
        name: name.trim().to_owned(),
        allowance: reason.map_or(Allowance::WithoutReason, |reason| {
            Allowance::Because(reason.to_owned())
        }),
        span,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_comment_directly_above_with_a_reason_allows() {
        let because = |reason: &str| Some(Allowance::Because(reason.to_owned()));
        for (before, expected) in [
            (
                "-- housewright:allow(destructive) because it was archived\n",
                because("it was archived"),
            ),
            (
                "x;\n-- housewright:allow(destructive) because a\n-- more words\n  ",
                because("a"),
            ),
            (
                "/* housewright:allow(destructive) because b */ ",
                because("b"),
            ),
            (
                "-- housewright:allow(destructive)\n",
                Some(Allowance::WithoutReason),
            ),
            (
                "-- housewright:allow(destructive) because\n",
                Some(Allowance::WithoutReason),
            ),
            ("-- housewright:allow(destructive) because a\n\n", None),
            (
                "-- housewright:allow(destructive) because a\nSELECT 1;\n",
                None,
            ),
            ("-- housewright:allow(other) because a\n", None),
            ("'-- housewright:allow(destructive) because a'\n", None),
        ] {
            assert_eq!(allowance(before, "destructive"), expected, "{before:?}");
        }
    }
}
