//! A statement → the same statement, wrong in one place: every mistake that people make in views. Pure.
//!
//! Works on the tokens, so that whatever ClickHouse reads can be changed; the engine judges what still is a definition. What has no
//! meaning (comments, codecs, settings, indices, partitions) is left alone. The operators are those of mutation testing for SQL (Tuya,
//! Suárez-Cabal, de la Riva, 2007) and the traps of aggregating views: first and last, ties, NULL, states, keys, FINAL.

use std::collections::BTreeMap;

use crate::sql::{Kind, Span, TokenKind, header, tokens};

/// A change of one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutation {
    /// What is changed, as `object.column: before → after`; unique in a schema.
    pub name: String,
    /// The pieces of text and what stands there instead; in order, without overlap.
    pub edits: Vec<(Span, String)>,
}

impl Mutation {
    /// The changed statement.
    #[must_use]
    pub fn apply(&self, sql: &str) -> String {
        let mut text = String::with_capacity(sql.len() + 32);
        let mut at = 0;
        for (span, with) in &self.edits {
            text.push_str(sql.get(at..span.start).unwrap_or_default());
            text.push_str(with);
            at = span.end;
        }
        text.push_str(sql.get(at..).unwrap_or_default());
        text
    }
}

/// The types of the columns that a statement may name.
pub type Types = BTreeMap<String, String>;

/// What may be changed in a token's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Zone {
    /// Nothing.
    Still,
    /// An expression or a clause of a SELECT.
    Expression,
    /// A column's type.
    Type,
}

#[derive(Clone, Debug)]
struct Tok<'a> {
    kind: TokenKind,
    text: &'a str,
    span: Span,
    depth: usize,
    /// For a bracket, the other one.
    other: Option<usize>,
    zone: Zone,
    context: String,
}

struct Statement<'a> {
    sql: &'a str,
    toks: Vec<Tok<'a>>,
    object: String,
    types: &'a Types,
    found: Vec<Mutation>,
}

/// Aggregate functions, by the name without its combinators.
const AGGREGATES: &[&str] = &[
    "min",
    "max",
    "any",
    "anyLast",
    "argMin",
    "argMax",
    "sum",
    "avg",
    "count",
    "uniq",
    "uniqExact",
    "uniqCombined",
    "uniqHLL12",
    "groupArray",
    "groupUniqArray",
    "quantile",
    "median",
    "first_value",
    "last_value",
    "anyHeavy",
    "topK",
    "sumMap",
    "groupBitOr",
    "groupBitAnd",
];
/// What is mistaken for what. The arguments stay.
const FUNCTIONS: &[(&str, &[&str])] = &[
    ("min", &["max", "any"]),
    ("max", &["min", "anyLast"]),
    ("any", &["anyLast", "min"]),
    ("anyLast", &["any", "max"]),
    ("first_value", &["last_value"]),
    ("last_value", &["first_value"]),
    ("argMin", &["argMax", "any"]),
    ("argMax", &["argMin", "anyLast"]),
    ("sum", &["max", "any"]),
    ("avg", &["max"]),
    ("uniq", &["count"]),
    ("uniqExact", &["count"]),
    ("groupArray", &["groupUniqArray"]),
    ("groupUniqArray", &["groupArray"]),
    ("toDate", &["toStartOfMonth"]),
    ("toDate32", &["toDate"]),
    ("toStartOfHour", &["toStartOfDay"]),
    ("toStartOfDay", &["toStartOfHour"]),
    ("toStartOfMonth", &["toDate"]),
    ("intDiv", &["divide"]),
    ("positiveModulo", &["modulo"]),
    ("modulo", &["positiveModulo"]),
    ("floor", &["ceil"]),
    ("ceil", &["floor"]),
    ("least", &["greatest"]),
    ("greatest", &["least"]),
    ("startsWith", &["endsWith"]),
    ("endsWith", &["startsWith"]),
    ("isNull", &["isNotNull"]),
    ("isNotNull", &["isNull"]),
    ("empty", &["notEmpty"]),
    ("notEmpty", &["empty"]),
    ("length", &["lengthUTF8"]),
    ("substring", &["substringUTF8"]),
    ("lower", &["upper"]),
    ("and", &["or"]),
    ("or", &["and"]),
    ("row_number", &["rank"]),
];
const COMBINATORS: &[&str] = &[
    "SimpleState",
    "State",
    "Merge",
    "OrNull",
    "OrDefault",
    "Distinct",
    "If",
];

/// `argMinIfState` → `("argMin", "IfState")`, if it is an aggregate function.
fn aggregate(name: &str) -> Option<(&str, &str)> {
    let mut base = name;
    loop {
        if AGGREGATES.contains(&base) {
            return Some((base, name.get(base.len()..)?));
        }
        base = COMBINATORS
            .iter()
            .find_map(|suffix| base.strip_suffix(suffix))
            .filter(|base| !base.is_empty())?;
    }
}

/// Every change of one place. Names are unique within `taken`, which grows.
#[must_use]
pub fn mutations(sql: &str, types: &Types, taken: &mut BTreeMap<String, usize>) -> Vec<Mutation> {
    let header = header(sql);
    let Some(object) = header.objects.first() else {
        return Vec::new();
    };
    let mut statement = Statement {
        sql,
        toks: read(sql),
        object: object.name.clone(),
        types,
        found: Vec::new(),
    };
    match header.kind {
        Kind::CreateTable => statement.table(),
        Kind::CreateView | Kind::CreateMaterializedView => statement.view(),
        Kind::Alter => statement.alter(),
        _ => return Vec::new(),
    }
    statement.operators();
    let mut found = statement.found;
    // What changes nothing is no mutant, and the same text is one.
    let mut texts: Vec<String> = vec![sql.to_owned()];
    found.retain(|mutation| {
        let text = mutation.apply(sql);
        let new = !texts.contains(&text);
        texts.push(text);
        new
    });
    for mutation in &mut found {
        let number = taken.entry(mutation.name.clone()).or_insert(0);
        *number += 1;
        if *number > 1 {
            mutation.name = format!("{} ({number})", mutation.name);
        }
    }
    found
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
type Range = std::ops::Range<usize>;

impl Statement<'_> {
    fn is(&self, index: usize, word: &str) -> bool {
        self.toks.get(index).is_some_and(|tok| {
            tok.text.eq_ignore_ascii_case(word) && tok.kind == TokenKind::BareWord
        })
    }

    fn are(&self, index: usize, words: &[&str]) -> bool {
        words
            .iter()
            .enumerate()
            .all(|(at, word)| self.is(index + at, word))
    }

    fn kind(&self, index: usize) -> Option<TokenKind> {
        self.toks.get(index).map(|tok| tok.kind)
    }

    fn text(&self, range: &Range) -> &str {
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

    fn span(&self, range: &Range) -> Span {
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

    fn mark(&mut self, range: Range, zone: Zone, context: &str) {
        for tok in self.toks.get_mut(range).unwrap_or_default() {
            tok.zone = zone;
            context.clone_into(&mut tok.context);
        }
    }

    /// The parts of a range that commas separate, at the depth of its first token.
    fn items(&self, range: &Range) -> Vec<Range> {
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
    fn inside(&self, open: usize) -> Option<Range> {
        self.toks.get(open)?.other.map(|close| open + 1..close)
    }

    fn add(&mut self, at: usize, label: &str, edits: Vec<(Span, String)>) {
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
    fn swap(&mut self, range: &Range, with: &str) {
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

    fn table(&mut self) {
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
    fn column(&mut self, item: Range) {
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

    fn expression_end(&self, from: usize, end: usize) -> usize {
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
    fn storage(&mut self, from: usize) {
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

    /// The list without one of its items, for each of them.
    fn drop_each(&mut self, list: &Range) {
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

    /// An item and the comma that separates it from the rest.
    fn with_comma(&self, item: &Range) -> Range {
        if self.kind(item.end) == Some(TokenKind::Comma) {
            item.start..item.end + 1
        } else {
            item.start - 1..item.end
        }
    }

    fn view(&mut self) {
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

    fn alter(&mut self) {
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

    fn select_until_end(&mut self, from: usize) {
        let end = (from..self.toks.len())
            .find(|index| {
                self.toks.get(*index).is_some_and(|tok| tok.depth == 0)
                    && (self.is(*index, "COMMENT") || self.is(*index, "SETTINGS"))
            })
            .unwrap_or(self.toks.len());
        self.select(from..end);
    }

    /// A SELECT, its clauses and what is nested in them.
    fn select(&mut self, range: Range) {
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
    fn alias(&self, item: &Range) -> String {
        let last = item.end.wrapping_sub(1);
        self.text(&(last..item.end)).trim_matches('`').to_owned()
    }

    /// Whole clauses that are forgotten.
    fn clauses(&mut self, clauses: &[(Range, &str)], depth: usize) {
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
    fn keys(&mut self, list: &Range, selected: &[Range]) {
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
                    let text = format!("any({})", self.text(&expression));
                    edits.push((self.span(&expression), text));
                }
            }
            edits.sort_by_key(|(span, _)| span.start);
            self.add(key.start, &format!("{name} → (dropped)"), edits);
        }
    }

    /// All that single tokens can be mistaken for.
    fn operators(&mut self) {
        for index in 0..self.toks.len() {
            let Some(tok) = self.toks.get(index).cloned() else {
                continue;
            };
            match tok.zone {
                Zone::Still => {}
                Zone::Type => self.type_word(index, &tok),
                Zone::Expression => {
                    self.call(index, &tok);
                    self.operator(index, &tok);
                    self.literal(index, &tok);
                    self.reference(index, &tok);
                }
            }
        }
    }

    fn type_word(&mut self, index: usize, tok: &Tok<'_>) {
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

    /// A function: another one, without its condition, without itself.
    fn call(&mut self, index: usize, tok: &Tok<'_>) {
        if tok.kind != TokenKind::BareWord
            || self.kind(index + 1) != Some(TokenKind::OpeningRoundBracket)
        {
            return;
        }
        let Some(inside) = self.inside(index + 1) else {
            return;
        };
        if [
            "IN", "AND", "OR", "NOT", "AS", "ON", "USING", "OVER", "BY", "WHERE", "FROM",
            "BETWEEN", "ALL",
        ]
        .iter()
        .any(|word| self.is(index, word))
        {
            return;
        }
        let name = tok.text;
        let one = index..index + 1;
        let whole = index..inside.end + 1;
        let arguments = if inside.is_empty() {
            Vec::new()
        } else {
            self.items(&inside)
        };
        let (base, suffix) = aggregate(name).unwrap_or((name, ""));
        let others = FUNCTIONS
            .iter()
            .filter(|(function, _)| *function == base)
            .flat_map(|(_, others)| *others);
        for other in others {
            // `any` and `count` take one argument: the value, without what orders it.
            let ordered =
                matches!(base, "argMin" | "argMax") && !matches!(*other, "argMin" | "argMax");
            match arguments.first().filter(|_| ordered) {
                Some(first) => {
                    let text = format!("{other}{suffix}({})", self.text(first));
                    self.swap(&whole, &text);
                }
                None => self.swap(&one, &format!("{other}{suffix}")),
            }
        }
        if base == "count" && suffix.is_empty() && arguments.is_empty() {
            self.swap(&whole, "uniqExact(*)");
            self.swap(&whole, "toUInt64(1)");
        }
        if let Some(plain) = suffix
            .contains("If")
            .then(|| format!("{base}{}", suffix.replacen("If", "", 1)))
        {
            let rest = match arguments.split_last() {
                Some((_, [first, .., last])) => self.text(&(first.start..last.end)).to_owned(),
                Some((_, [only])) => self.text(only).to_owned(),
                _ => String::new(),
            };
            self.swap(&whole, &format!("{plain}({rest})"));
        }
        if aggregate(name).is_some() {
            return;
        }
        match (name, arguments.as_slice()) {
            ("if", [_, then, otherwise]) => {
                let (then, otherwise) =
                    (self.text(then).to_owned(), self.text(otherwise).to_owned());
                self.swap(&whole, &then);
                self.swap(&whole, &otherwise);
            }
            ("tupleElement", [value, element]) => {
                let text = format!(
                    "{}.{}",
                    self.text(value),
                    self.text(element).trim_matches('\'')
                );
                self.swap(&whole, &text);
                self.sibling_element(index, value, element);
            }
            (_, [only]) => {
                let text = self.text(only).to_owned();
                self.swap(&whole, &text);
            }
            (
                "concat" | "coalesce" | "ifNull" | "nullIf" | "least" | "greatest" | "and" | "or",
                several,
            ) if several.len() > 1 => {
                for argument in several {
                    let text = self.text(argument).to_owned();
                    if name == "ifNull" || name == "nullIf" || several.len() == 2 {
                        self.swap(&whole, &text);
                    } else {
                        let span = self.span(&self.with_comma(argument));
                        self.add(
                            argument.start,
                            &format!("{} of {name} → (dropped)", short(&text)),
                            vec![(span, String::new())],
                        );
                    }
                }
            }
            _ => {}
        }
    }

    /// `tupleElement(entry, 'url')` → the element that another call takes.
    fn sibling_element(&mut self, index: usize, value: &Range, element: &Range) {
        let value = self.text(value).to_owned();
        let own = self.text(element).to_owned();
        let mut elements: Vec<String> = Vec::new();
        for at in 0..self.toks.len() {
            if self.is(at, "tupleElement")
                && let Some(inside) = self.inside(at + 1)
                && let [of, name] = self.items(&inside).as_slice()
                && self.text(of) == value
                && !elements.contains(&self.text(name).to_owned())
            {
                elements.push(self.text(name).to_owned());
            }
        }
        let at = elements.iter().position(|name| *name == own).unwrap_or(0);
        if let Some(next) = elements
            .get((at + 1) % elements.len().max(1))
            .filter(|next| **next != own)
        {
            let _ = index;
            self.swap(element, &next.clone());
        }
    }

    fn operator(&mut self, index: usize, tok: &Tok<'_>) {
        let one = index..index + 1;
        let other = match tok.kind {
            TokenKind::Equals => "!=",
            TokenKind::NotEquals => "=",
            TokenKind::Less => "<=",
            TokenKind::LessOrEquals => "<",
            TokenKind::Greater => ">=",
            TokenKind::GreaterOrEquals => ">",
            TokenKind::Plus => "-",
            TokenKind::Minus => "+",
            TokenKind::Slash => "*",
            _ => "",
        };
        if !other.is_empty() {
            let around = self.around(index);
            let label = format!("{around} → {other}");
            self.add(index, &label, vec![(tok.span, other.to_owned())]);
            return;
        }
        if tok.kind != TokenKind::BareWord {
            return;
        }
        let between = self.is(index, "AND") && self.closes_between(index);
        match tok.text.to_ascii_uppercase().as_str() {
            "AND" if !between => {
                self.swap_around(index, "OR");
                self.operands(index);
            }
            "OR" => {
                self.swap_around(index, "AND");
                self.operands(index);
            }
            "NOT" if !self.is(index + 1, "NULL") => self.swap_around(index, ""),
            "IN" if !self.is(index.wrapping_sub(1), "NOT") => self.swap_around(index, "NOT IN"),
            "FINAL" => self.swap(&one, ""),
            "LEFT" if self.is(index + 1, "JOIN") => self.swap(&one, "INNER"),
            "ASC" => self.swap(&one, "DESC"),
            "DESC" => self.swap(&one, "ASC"),
            "NULL" => self.swap(&one, "''"),
            "BETWEEN" => {
                // The borders, one by one.
                let low = self.operand_behind(index);
                let and = low.end;
                if self.is(and, "AND") {
                    let high = self.operand_behind(and);
                    let value = self.operand_before(index);
                    let (value, low, high) = (
                        self.text(&value).to_owned(),
                        self.text(&low).to_owned(),
                        high,
                    );
                    let whole = self.operand_before(index).start..high.end;
                    let high = self.text(&high).to_owned();
                    self.swap(&whole, &format!("{value} > {low} AND {value} <= {high}"));
                    self.swap(&whole, &format!("{value} >= {low} AND {value} < {high}"));
                }
            }
            _ => {}
        }
    }

    fn swap_around(&mut self, index: usize, with: &str) {
        let around = self.around(index);
        let Some(span) = self.toks.get(index).map(|tok| tok.span) else {
            return;
        };
        let with_shown = if with.is_empty() { "(dropped)" } else { with };
        self.add(
            index,
            &format!("{around} → {with_shown}"),
            vec![(span, with.to_owned())],
        );
    }

    /// An operator with the words beside it, so that its name says which one it is.
    fn around(&self, index: usize) -> String {
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
    fn closes_between(&self, and: usize) -> bool {
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

    /// `a AND b` without one of them.
    fn operands(&mut self, index: usize) {
        let before = self.operand_before(index);
        let behind = self.operand_behind(index);
        if !before.is_empty() && !behind.is_empty() {
            let left = before.start..index + 1;
            let right = index..behind.end;
            self.swap(&left, "");
            self.swap(&right, "");
        }
    }

    fn ends_operand(&self, index: usize, depth: usize) -> bool {
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

    fn operand_behind(&self, index: usize) -> Range {
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

    fn operand_before(&self, index: usize) -> Range {
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

    fn literal(&mut self, index: usize, tok: &Tok<'_>) {
        let one = index..index + 1;
        match tok.kind {
            TokenKind::Number => {
                if let Ok(number) = tok.text.parse::<u64>() {
                    let around = self.within(index);
                    let label = format!("{} → {}{around}", number, number.saturating_add(1));
                    self.add(
                        index,
                        &label,
                        vec![(tok.span, number.saturating_add(1).to_string())],
                    );
                }
            }
            TokenKind::StringLiteral => {
                // An element's name is swapped with another's instead.
                let is_element = self
                    .call_of(index)
                    .is_some_and(|call| self.is(call, "tupleElement"));
                let with = match tok.text {
                    _ if is_element => return,
                    "'UTC'" => "'Asia/Kathmandu'",
                    "''" => "'?'",
                    _ => "''",
                };
                let around = self.within(index);
                let label = format!("{} → {with}{around}", short(tok.text));
                self.add(one.start, &label, vec![(tok.span, with.to_owned())]);
            }
            _ => {}
        }
    }

    /// The function whose brackets a token stands in.
    fn call_of(&self, index: usize) -> Option<usize> {
        let depth = self.toks.get(index)?.depth;
        let open = (0..index).rev().find(|at| {
            self.toks.get(*at).is_some_and(|tok| {
                tok.depth + 1 == depth && tok.kind == TokenKind::OpeningRoundBracket
            })
        })?;
        let name = open.checked_sub(1)?;
        (self.kind(name) == Some(TokenKind::BareWord)).then_some(name)
    }

    fn within(&self, index: usize) -> String {
        self.call_of(index).map_or_else(String::new, |call| {
            format!(" in {}", self.text(&(call..call + 1)))
        })
    }

    /// A column: another one of its type, or nothing at all.
    fn reference(&mut self, index: usize, tok: &Tok<'_>) {
        let name = match tok.kind {
            TokenKind::BareWord => tok.text,
            TokenKind::QuotedIdentifier => tok.text.trim_matches(['`', '"']),
            _ => return,
        };
        // Not a function, not an alias, not the table of `table.column`.
        if matches!(
            self.kind(index + 1),
            Some(TokenKind::OpeningRoundBracket | TokenKind::Dot)
        ) || self.is(index.wrapping_sub(1), "AS")
        {
            return;
        }
        if matches!(tok.context.as_str(), "group by" | "from" | "order by") {
            return;
        }
        let Some(own) = self.types.get(name) else {
            return;
        };
        let own = own.clone();
        let start = if self.kind(index.wrapping_sub(1)) == Some(TokenKind::Dot) {
            index - 2
        } else {
            index
        };
        let whole = start..index + 1;
        let constant = format!(
            "defaultValueOfTypeName('{}')",
            own.replace('\\', "\\\\").replace('\'', "\\'")
        );
        let label = format!("{}{} → a constant", self.text(&whole), self.within(index));
        self.add(index, &label, vec![(self.span(&whole), constant)]);
        // The next column of that type that this statement knows.
        let mut siblings: Vec<&str> = Vec::new();
        for (at, other) in self.toks.iter().enumerate() {
            let is_name = matches!(
                other.kind,
                TokenKind::BareWord | TokenKind::QuotedIdentifier
            ) && other.zone == Zone::Expression;
            let is_call = matches!(
                self.kind(at + 1),
                Some(TokenKind::OpeningRoundBracket | TokenKind::Dot)
            );
            let is_alias = self.is(at.wrapping_sub(1), "AS");
            let text = other.text.trim_matches(['`', '"']);
            if is_name
                && !is_call
                && !is_alias
                && self.types.get(text) == Some(&own)
                && !siblings.contains(&text)
            {
                siblings.push(text);
            }
        }
        let at = siblings
            .iter()
            .position(|sibling| *sibling == name)
            .unwrap_or(0);
        if let Some(next) = siblings
            .get((at + 1) % siblings.len().max(1))
            .filter(|next| **next != name)
        {
            let next = (*next).to_owned();
            let label = format!("{}{} → {next}", self.text(&whole), self.within(index));
            self.add(index, &label, vec![(tok.span, next)]);
        }
    }
}

/// A text that fits into a name.
fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= 60 {
        return line;
    }
    let first: String = line.chars().take(40).collect();
    let last: Vec<char> = line.chars().rev().take(16).collect();
    format!("{first}…{}", last.into_iter().rev().collect::<String>())
}

fn head(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= 24 {
        line
    } else {
        line.chars().take(23).chain(['…']).collect()
    }
}

fn tail(text: &str) -> String {
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
