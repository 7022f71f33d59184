//! The tokens of a statement, with what may be changed in their place, and the ways to walk among them.

use crate::sql::{Span, TokenKind, tokens};
use crate::viewtest::mutate::{Mutation, Types};

/// What may be changed in a token's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Zone {
    /// Nothing.
    Still,
    /// An expression or a clause of a SELECT.
    Expression,
    /// A column's type.
    Type,
}

#[derive(Clone, Debug)]
pub(super) struct Tok<'a> {
    pub(super) kind: TokenKind,
    pub(super) text: &'a str,
    pub(super) span: Span,
    pub(super) depth: usize,
    /// For a bracket, the other one.
    pub(super) other: Option<usize>,
    pub(super) zone: Zone,
    pub(super) context: String,
}

pub(super) struct Statement<'a> {
    pub(super) sql: &'a str,
    pub(super) toks: Vec<Tok<'a>>,
    pub(super) object: String,
    pub(super) types: &'a Types,
    pub(super) found: Vec<Mutation>,
}

fn read(sql: &str) -> Vec<Tok<'_>> {
    let mut toks: Vec<Tok<'_>> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    for token in tokens(sql).filter(|token| token.kind.is_significant()) {
        let index = toks.len();
        let mut other = None;
        let depth = match token.kind {
            TokenKind::OpeningRoundBracket
            | TokenKind::OpeningSquareBracket
            | TokenKind::OpeningCurlyBrace => {
                open.push(index);
                open.len() - 1
            }
            TokenKind::ClosingRoundBracket
            | TokenKind::ClosingSquareBracket
            | TokenKind::ClosingCurlyBrace => {
                other = open.pop();
                open.len()
            }
            _ => open.len(),
        };
        if let Some(tok) = other.and_then(|other: usize| toks.get_mut(other)) {
            tok.other = Some(index);
        }
        toks.push(Tok {
            kind: token.kind,
            text: token.span.of(sql),
            span: token.span,
            depth,
            other,
            zone: Zone::Still,
            context: String::new(),
        });
    }
    toks
}

/// A range of tokens.
pub(super) type Range = std::ops::Range<usize>;

impl<'a> Statement<'a> {
    /// Reads a statement that makes or changes an object.
    pub(super) fn read(sql: &'a str, object: &str, types: &'a Types) -> Self {
        Self {
            sql,
            toks: read(sql),
            object: object.to_owned(),
            types,
            found: Vec::new(),
        }
    }

    pub(super) fn is(&self, index: usize, word: &str) -> bool {
        self.toks.get(index).is_some_and(|tok| {
            tok.text.eq_ignore_ascii_case(word) && tok.kind == TokenKind::BareWord
        })
    }

    pub(super) fn are(&self, index: usize, words: &[&str]) -> bool {
        words
            .iter()
            .enumerate()
            .all(|(at, word)| self.is(index + at, word))
    }

    pub(super) fn kind(&self, index: usize) -> Option<TokenKind> {
        self.toks.get(index).map(|tok| tok.kind)
    }

    pub(super) fn text(&self, range: &Range) -> &str {
        let (Some(first), Some(last)) = (
            self.toks.get(range.start),
            self.toks.get(range.end.wrapping_sub(1)),
        ) else {
            return "";
        };
        if range.is_empty() {
            return "";
        }
        self.sql
            .get(first.span.start..last.span.end)
            .unwrap_or_default()
    }

    pub(super) fn span(&self, range: &Range) -> Span {
        match (
            self.toks.get(range.start),
            self.toks.get(range.end.wrapping_sub(1)),
        ) {
            (Some(first), Some(last)) if !range.is_empty() => Span {
                start: first.span.start,
                end: last.span.end,
            },
            _ => Span::default(),
        }
    }

    pub(super) fn mark(&mut self, range: Range, zone: Zone, context: &str) {
        for tok in self.toks.get_mut(range).unwrap_or_default() {
            tok.zone = zone;
            context.clone_into(&mut tok.context);
        }
    }

    /// The parts of a range that commas separate, at the depth of its first token.
    pub(super) fn items(&self, range: &Range) -> Vec<Range> {
        let Some(depth) = self
            .toks
            .get(range.clone())
            .unwrap_or_default()
            .iter()
            .map(|tok| tok.depth)
            .min()
        else {
            return Vec::new();
        };
        let mut items = Vec::new();
        let mut start = range.start;
        for index in range.clone() {
            if self.kind(index) == Some(TokenKind::Comma)
                && self.toks.get(index).is_some_and(|tok| tok.depth == depth)
            {
                items.push(start..index);
                start = index + 1;
            }
        }
        items.push(start..range.end);
        items.retain(|item| !item.is_empty());
        items
    }

    /// What stands inside of the brackets that open at a token.
    pub(super) fn inside(&self, open: usize) -> Option<Range> {
        self.toks.get(open)?.other.map(|close| open + 1..close)
    }

    /// An item and the comma that separates it from the rest.
    pub(super) fn with_comma(&self, item: &Range) -> Range {
        if self.kind(item.end) == Some(TokenKind::Comma) {
            item.start..item.end + 1
        } else {
            item.start - 1..item.end
        }
    }

    pub(super) fn add(&mut self, at: usize, label: &str, edits: Vec<(Span, String)>) {
        let context = self.toks.get(at).map_or("", |tok| tok.context.as_str());
        let place = if context.is_empty() {
            self.object.clone()
        } else {
            format!("{}.{context}", self.object)
        };
        let one_line = label.split_whitespace().collect::<Vec<_>>().join(" ");
        self.found.push(Mutation {
            name: format!("{place}: {one_line}"),
            edits,
        });
    }

    /// One range becomes another text.
    pub(super) fn swap(&mut self, range: &Range, with: &str) {
        let label = format!(
            "{} → {}",
            short(self.text(range)),
            if with.is_empty() {
                "(dropped)".to_owned()
            } else {
                short(with)
            }
        );
        self.add(
            range.start,
            &label,
            vec![(self.span(range), with.to_owned())],
        );
    }

    /// The list without one of its items, for each of them.
    pub(super) fn drop_each(&mut self, list: &Range) {
        let items = self.items(list);
        if items.len() < 2 {
            return;
        }
        for item in items {
            let span = self.span(&self.with_comma(&item));
            let label = format!("{} → (dropped)", short(self.text(&item)));
            self.add(item.start, &label, vec![(span, String::new())]);
        }
    }

    /// An operator with the words beside it, so that its name says which one it is.
    pub(super) fn around(&self, index: usize) -> String {
        let before = self.operand_before(index);
        let behind = self.operand_behind(index);
        format!(
            "{} {} {}",
            tail(self.text(&before)),
            self.text(&(index..index + 1)),
            head(self.text(&behind))
        )
    }

    /// Whether this AND belongs to a BETWEEN.
    pub(super) fn closes_between(&self, and: usize) -> bool {
        let Some(depth) = self.toks.get(and).map(|tok| tok.depth) else {
            return false;
        };
        for index in (0..and).rev() {
            let Some(tok) = self.toks.get(index) else {
                return false;
            };
            if tok.depth < depth
                || (tok.depth == depth && (self.is(index, "AND") || self.is(index, "OR")))
            {
                return false;
            }
            if tok.depth == depth && self.is(index, "BETWEEN") {
                return true;
            }
        }
        false
    }

    pub(super) fn ends_operand(&self, index: usize, depth: usize) -> bool {
        const WORDS: &[&str] = &[
            "AND", "OR", "SELECT", "WHERE", "PREWHERE", "HAVING", "GROUP", "ORDER", "LIMIT",
            "FROM", "UNION", "AS", "ON", "WITH", "THEN", "ELSE", "WHEN", "END", "CASE", "SETTINGS",
            "CHECK", "BETWEEN", "NOT", "IN", "DISTINCT", "BY", "JOIN", "LEFT", "INNER",
        ];
        let Some(tok) = self.toks.get(index) else {
            return true;
        };
        tok.depth < depth
            || (tok.depth == depth
                && (tok.kind == TokenKind::Comma
                    || (matches!(
                        tok.kind,
                        TokenKind::ClosingRoundBracket | TokenKind::OpeningRoundBracket
                    ) && tok.other.is_none())
                    || (tok.kind == TokenKind::BareWord
                        && WORDS.iter().any(|word| tok.text.eq_ignore_ascii_case(word)))))
    }

    pub(super) fn operand_behind(&self, index: usize) -> Range {
        let Some(depth) = self.toks.get(index).map(|tok| tok.depth) else {
            return index..index;
        };
        let mut end = index + 1;
        // `AND NOT x`, `AND (x) IN (y)`, `AND x BETWEEN y AND z` are one operand each.
        let mut between = false;
        while end < self.toks.len() {
            if self.ends_operand(end, depth) {
                let joins =
                    self.is(end, "NOT") || self.is(end, "IN") || (between && self.is(end, "AND"));
                if self.is(end, "BETWEEN") && !self.is(index, "BETWEEN") {
                    between = true;
                } else if joins {
                    between = between && !self.is(end, "AND");
                } else {
                    break;
                }
            }
            end += 1;
        }
        index + 1..end
    }

    pub(super) fn operand_before(&self, index: usize) -> Range {
        let Some(depth) = self.toks.get(index).map(|tok| tok.depth) else {
            return index..index;
        };
        let mut start = index;
        let mut between = false;
        while start > 0 {
            if self.ends_operand(start - 1, depth) {
                let at = start - 1;
                let joins = self.is(at, "NOT") || self.is(at, "IN");
                if self.is(at, "AND") && self.closes_between(at) && !self.is(index, "BETWEEN") {
                    between = true;
                } else if self.is(at, "BETWEEN") && between {
                    between = false;
                } else if !joins {
                    break;
                }
            }
            start -= 1;
        }
        start..index
    }

    /// The function whose brackets a token stands in.
    pub(super) fn call_of(&self, index: usize) -> Option<usize> {
        let depth = self.toks.get(index)?.depth;
        let open = (0..index).rev().find(|at| {
            self.toks.get(*at).is_some_and(|tok| {
                tok.depth + 1 == depth && tok.kind == TokenKind::OpeningRoundBracket
            })
        })?;
        let name = open.checked_sub(1)?;
        (self.kind(name) == Some(TokenKind::BareWord)).then_some(name)
    }

    pub(super) fn within(&self, index: usize) -> String {
        self.call_of(index).map_or_else(String::new, |call| {
            format!(" in {}", self.text(&(call..call + 1)))
        })
    }
}

/// A text that fits into a name.
pub(super) fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= 60 {
        return line;
    }
    let first: String = line.chars().take(40).collect();
    let last: Vec<char> = line.chars().rev().take(16).collect();
    format!("{first}…{}", last.into_iter().rev().collect::<String>())
}

pub(super) fn head(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= 24 {
        line
    } else {
        line.chars().take(23).chain(['…']).collect()
    }
}

pub(super) fn tail(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let length = line.chars().count();
    if length <= 24 {
        line
    } else {
        std::iter::once('…')
            .chain(line.chars().skip(length - 23))
            .collect()
    }
}
