//! A SELECT: its clauses, what is nested in them, and what is forgotten of them.

use crate::sql::TokenKind;
use crate::viewtest::mutate::tokens::{Range, Statement, Zone};

impl Statement<'_> {
    pub(super) fn view(&mut self) {
        let body = (0..self.toks.len()).find(|index| {
            self.toks.get(*index).is_some_and(|tok| tok.depth == 0)
                && self.is(*index, "AS")
                && (self.is(index + 1, "SELECT")
                    || self.is(index + 1, "WITH")
                    || self.kind(index + 1) == Some(TokenKind::OpeningRoundBracket))
        });
        if let Some(body) = body {
            self.select_until_end(body + 1);
        }
    }

    pub(super) fn select_until_end(&mut self, from: usize) {
        let end = (from..self.toks.len())
            .find(|index| {
                self.toks.get(*index).is_some_and(|tok| tok.depth == 0)
                    && (self.is(*index, "COMMENT") || self.is(*index, "SETTINGS"))
            })
            .unwrap_or(self.toks.len());
        self.select(from..end);
    }

    /// A SELECT, its clauses and what is nested in them.
    pub(super) fn select(&mut self, range: Range) {
        const CLAUSES: &[(&str, &str)] = &[
            ("WITH", "with"),
            ("SELECT", "select"),
            ("FROM", "from"),
            ("PREWHERE", "where"),
            ("WHERE", "where"),
            ("GROUP", "group by"),
            ("HAVING", "having"),
            ("ORDER", "order by"),
            ("LIMIT", "limit"),
            ("UNION", "union"),
            ("SETTINGS", ""),
            ("WINDOW", "window"),
        ];
        let Some(depth) = self.toks.get(range.start).map(|tok| tok.depth) else {
            return;
        };
        let mut starts: Vec<(usize, &str)> = Vec::new();
        for index in range.clone() {
            if self.toks.get(index).is_some_and(|tok| tok.depth == depth)
                && let Some((_, name)) = CLAUSES.iter().find(|(word, _)| self.is(index, word))
            {
                starts.push((index, name));
            }
        }
        self.mark(range.clone(), Zone::Expression, "");
        let ends: Vec<usize> = starts
            .iter()
            .skip(1)
            .map(|(start, _)| *start)
            .chain([range.end])
            .collect();
        let clauses: Vec<(Range, &str)> = starts
            .iter()
            .zip(&ends)
            .map(|((start, name), end)| (*start..*end, *name))
            .collect();
        for (clause, name) in &clauses {
            match *name {
                "" => self.mark(clause.clone(), Zone::Still, ""),
                "select" | "with" => {
                    let first = if self.is(clause.start + 1, "DISTINCT") {
                        clause.start + 2
                    } else {
                        clause.start + 1
                    };
                    for item in self.items(&(first..clause.end)) {
                        let alias = self.alias(&item);
                        self.mark(item, Zone::Expression, &alias);
                    }
                }
                name => self.mark(clause.clone(), Zone::Expression, name),
            }
        }
        self.clauses(&clauses, depth);
        // Nested ones.
        let mut index = range.start;
        while index < range.end {
            if self.kind(index) == Some(TokenKind::OpeningRoundBracket)
                && let Some(inside) = self.inside(index)
                && (self.is(inside.start, "SELECT") || self.is(inside.start, "WITH"))
            {
                let end = inside.end;
                self.select(inside);
                index = end;
            }
            if self.kind(index) == Some(TokenKind::OpeningCurlyBrace)
                && let Some(inside) = self.inside(index)
            {
                self.mark(index..inside.end + 1, Zone::Still, "");
                index = inside.end;
            }
            index += 1;
        }
    }

    /// `… AS name` → `name`; without one, the last word.
    pub(super) fn alias(&self, item: &Range) -> String {
        let last = item.end.wrapping_sub(1);
        self.text(&(last..item.end)).trim_matches('`').to_owned()
    }

    /// Whole clauses that are forgotten.
    pub(super) fn clauses(&mut self, clauses: &[(Range, &str)], depth: usize) {
        let selected: Vec<Range> = clauses
            .iter()
            .filter(|(_, name)| *name == "select")
            .flat_map(|(clause, _)| self.items(&(clause.start + 1..clause.end)))
            .collect();
        for (clause, name) in clauses {
            match *name {
                "where" | "having" | "limit" => self.swap(clause, ""),
                "order by" if depth > 0 => self.swap(clause, ""),
                "group by" => self.keys(&(clause.start + 2..clause.end), &selected),
                "union" if self.is(clause.start + 1, "ALL") => {
                    self.swap(&(clause.start + 1..clause.start + 2), "DISTINCT");
                }
                "select" if self.is(clause.start + 1, "DISTINCT") => {
                    self.swap(&(clause.start + 1..clause.start + 2), "");
                }
                _ => {}
            }
        }
    }

    /// A key less: what was the key becomes `any` of it.
    pub(super) fn keys(&mut self, list: &Range, selected: &[Range]) {
        let keys = self.items(list);
        if keys.len() < 2 {
            return;
        }
        for key in keys {
            let name = self.text(&key).to_owned();
            let mut edits = vec![(self.span(&self.with_comma(&key)), String::new())];
            for item in selected {
                // `expression AS alias`, where either is the key.
                let (expression, alias) = match item.len() {
                    length if length > 2 && self.is(item.end - 2, "AS") => {
                        (item.start..item.end - 2, self.alias(item))
                    }
                    _ => (item.clone(), self.alias(item)),
                };
                if self.text(&expression) == name || alias == name {
                    let mut text = format!("any({})", self.text(&expression));
                    // The column keeps its name.
                    if expression == *item {
                        text = format!("{text} AS {alias}");
                    }
                    edits.push((self.span(&expression), text));
                }
            }
            edits.sort_by_key(|(span, _)| span.start);
            self.add(key.start, &format!("{name} → (dropped)"), edits);
        }
    }
}
