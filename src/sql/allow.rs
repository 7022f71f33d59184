//! `-- housewright:allow(NAME) because REASON`: a comment directly above a statement that says somebody meant it.

use crate::sql::lexer::{Token, TokenKind, tokens};

/// What a comment above a statement allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowance {
    /// It is allowed, for this reason.
    Because(String),
    /// It is named without a reason, which allows nothing.
    WithoutReason,
}

/// The allowance for `name` in the comments that end a text, those directly above the statement that follows it: no blank line between.
#[must_use]
pub fn allowance(before: &str, name: &str) -> Option<Allowance> {
    let found: Vec<Token> = tokens(before).collect();
    let mut ends_line = false;
    for token in found.iter().rev() {
        let text = token.span.of(before);
        match token.kind {
            // A comment's own line end belongs to the white space behind it.
            TokenKind::Whitespace if text.matches('\n').count() < 2 => ends_line = true,
            TokenKind::Comment if ends_line || text.starts_with("/*") => {
                if let Some(allowance) = read(text, name) {
                    return Some(allowance);
                }
            }
            _ => return None,
        }
    }
    None
}

fn read(comment: &str, name: &str) -> Option<Allowance> {
    let words = comment
        .trim_start_matches(['-', '#', '!', '/', '*'])
        .trim_end_matches("*/")
        .trim();
    let rest = words
        .strip_prefix("housewright:allow(")?
        .strip_prefix(name)?
        .strip_prefix(')')?;
    let reason = rest
        .trim()
        .strip_prefix("because")
        .map(|reason| reason.trim().trim_start_matches(['…', '.']).trim())
        .filter(|reason| !reason.is_empty());
    Some(reason.map_or(Allowance::WithoutReason, |reason| {
        Allowance::Because(reason.to_owned())
    }))
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
