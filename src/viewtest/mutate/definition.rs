//! What a table is: its columns, their types and defaults, its constraints, engine and key; and what an ALTER changes of that.

use crate::sql::{Span, TokenKind};
use crate::viewtest::mutate::expression::FUNCTIONS;
use crate::viewtest::mutate::tokens::{Range, Statement, Tok, Zone};

impl Statement<'_> {
    pub(super) fn table(&mut self) {
        let Some(open) = self
            .toks
            .iter()
            .position(|tok| tok.kind == TokenKind::OpeningRoundBracket && tok.depth == 0)
        else {
            return;
        };
        let Some(list) = self.inside(open) else {
            return;
        };
        let close = list.end;
        for item in self.items(&list) {
            self.column(item);
        }
        self.storage(close + 1);
    }

    /// A column's or constraint's declaration.
    pub(super) fn column(&mut self, item: Range) {
        let first = item.start;
        if ["INDEX", "PROJECTION", "PRIMARY", "STATISTICS"]
            .iter()
            .any(|word| self.is(first, word))
        {
            return;
        }
        if self.is(first, "CONSTRAINT") {
            let name = self.text(&(first + 1..first + 2)).to_owned();
            self.mark(first + 3..item.end, Zone::Expression, &name);
            // With the comma before or behind it.
            let span = self.span(&item);
            let comma = if self.kind(item.end) == Some(TokenKind::Comma) {
                item.end..item.end + 1
            } else {
                first - 1..first
            };
            let comma = self.span(&comma);
            let whole = Span {
                start: span.start.min(comma.start),
                end: span.end.max(comma.end),
            };
            self.add(
                first + 3,
                &format!("CONSTRAINT {name} → (dropped)"),
                vec![(whole, String::new())],
            );
            return;
        }
        let name = self.text(&(first..first + 1)).trim_matches('`').to_owned();
        let mut zone = Zone::Type;
        let mut index = first + 1;
        while index < item.end {
            let word = self.text(&(index..index + 1)).to_ascii_uppercase();
            let next = match word.as_str() {
                "DEFAULT" | "MATERIALIZED" | "ALIAS" => {
                    let end = self.expression_end(index + 1, item.end);
                    if word == "MATERIALIZED" {
                        self.mark(index..index + 1, Zone::Still, &name);
                        self.swap(&(index..index + 1), "DEFAULT");
                    }
                    if word == "DEFAULT" {
                        self.mark(index..index + 1, Zone::Still, &name);
                        self.swap(&(index..end), "");
                    }
                    zone = Zone::Expression;
                    index + 1
                }
                "COMMENT" => index + 2,
                "CODEC" | "STATISTICS" => {
                    zone = Zone::Still;
                    index + 1
                }
                "TTL" => break,
                _ => {
                    self.mark(index..index + 1, zone, &name);
                    index + 1
                }
            };
            index = next;
        }
    }

    pub(super) fn expression_end(&self, from: usize, end: usize) -> usize {
        let depth = self.toks.get(from).map_or(0, |tok| tok.depth);
        (from..end)
            .find(|index| {
                self.toks.get(*index).is_some_and(|tok| tok.depth == depth)
                    && ["COMMENT", "CODEC", "TTL", "STATISTICS"]
                        .iter()
                        .any(|word| self.is(*index, word))
            })
            .unwrap_or(end)
    }

    /// ENGINE and ORDER BY.
    pub(super) fn storage(&mut self, from: usize) {
        for index in from..self.toks.len() {
            if self.toks.get(index).is_none_or(|tok| tok.depth > 0) {
                continue;
            }
            if self.is(index, "ENGINE") {
                let name = if self.kind(index + 1) == Some(TokenKind::Equals) {
                    index + 2
                } else {
                    index + 1
                };
                self.mark(name..name + 1, Zone::Still, "engine");
                let engine = self.text(&(name..name + 1)).to_owned();
                let others: &[&str] = match engine.as_str() {
                    "AggregatingMergeTree" => &["ReplacingMergeTree", "MergeTree"],
                    "ReplacingMergeTree" | "SummingMergeTree" | "CollapsingMergeTree" => {
                        &["MergeTree"]
                    }
                    _ => &[],
                };
                for other in others {
                    self.swap(&(name..name + 1), other);
                }
            }
            if self.are(index, &["ORDER", "BY"])
                && self.kind(index + 2) == Some(TokenKind::OpeningRoundBracket)
            {
                let Some(list) = self.inside(index + 2) else {
                    continue;
                };
                self.mark(list.clone(), Zone::Still, "order by");
                self.drop_each(&list);
            }
        }
    }

    pub(super) fn alter(&mut self) {
        for index in 0..self.toks.len() {
            if self.are(index, &["MODIFY", "QUERY"]) {
                self.select_until_end(index + 2);
                return;
            }
            if self.are(index, &["ADD", "COLUMN"]) || self.are(index, &["MODIFY", "COLUMN"]) {
                let mut first = index + 2;
                while ["IF", "NOT", "EXISTS"]
                    .iter()
                    .any(|word| self.is(first, word))
                {
                    first += 1;
                }
                let end = (first..self.toks.len())
                    .find(|at| {
                        self.toks.get(*at).is_some_and(|tok| tok.depth == 0)
                            && (self.kind(*at) == Some(TokenKind::Comma)
                                || self.is(*at, "AFTER")
                                || self.is(*at, "FIRST"))
                    })
                    .unwrap_or(self.toks.len());
                self.column(first..end);
            }
        }
    }

    pub(super) fn type_word(&mut self, index: usize, tok: &Tok<'_>) {
        let one = index..index + 1;
        let Some(open) =
            Some(index + 1).filter(|at| self.kind(*at) == Some(TokenKind::OpeningRoundBracket))
        else {
            if tok.text == "Date32" {
                self.swap(&one, "Date");
            }
            if tok.text == "DateTime" {
                self.swap(&one, "Date");
            }
            return;
        };
        let Some(inside) = self.inside(open) else {
            return;
        };
        match tok.text {
            "SimpleAggregateFunction" | "AggregateFunction" => {
                let first = inside.start..inside.start + 1;
                let name = self.text(&first).to_owned();
                for other in FUNCTIONS
                    .iter()
                    .filter(|(function, _)| *function == name)
                    .flat_map(|(_, others)| *others)
                {
                    self.swap(&first, other);
                }
                if tok.text == "SimpleAggregateFunction" && inside.len() > 2 {
                    let bare = self.text(&(inside.start + 2..inside.end)).to_owned();
                    let whole = index..inside.end + 1;
                    self.add(
                        index,
                        &format!("SimpleAggregateFunction({name}, …) → the type alone"),
                        vec![(self.span(&whole), bare)],
                    );
                }
            }
            "Nullable" => {
                let bare = self.text(&inside).to_owned();
                self.swap(&(index..inside.end + 1), &bare);
            }
            "DateTime64" => {
                let first = inside.start..inside.start + 1;
                if self.text(&first) != "0" {
                    let label = format!("DateTime64({}) → DateTime64(0)", self.text(&first));
                    self.add(index, &label, vec![(self.span(&first), "0".to_owned())]);
                }
            }
            _ => {}
        }
    }
}
