//! An expression: functions, operators, literals and columns that are mistaken for others.

use crate::sql::{COMBINATORS, TokenKind};
use crate::viewtest::mutate::tokens::{Range, Statement, Tok, Zone, short};

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
pub(super) const FUNCTIONS: &[(&str, &[&str])] = &[
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

impl Statement<'_> {
    /// All that single tokens can be mistaken for.
    pub(super) fn operators(&mut self) {
        for index in 0..self.toks.len() {
            let Some(tok) = self.toks.get(index).cloned() else {
                continue;
            };
            match tok.zone {
                Zone::Still => {}
                Zone::Type => self.type_word(index, &tok),
                Zone::Expression => {
                    self.call(index, &tok);
                    self.tuple(index, &tok);
                    self.operator(index, &tok);
                    self.literal(index, &tok);
                    self.reference(index, &tok);
                }
            }
        }
    }

    /// A function: another one, without its condition, without itself.
    pub(super) fn call(&mut self, index: usize, tok: &Tok<'_>) {
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
                    // A condition behind it stays.
                    let kept: Vec<&str> = std::iter::once(first)
                        .chain(arguments.iter().skip(2))
                        .map(|argument| self.text(argument))
                        .collect();
                    let text = format!("{other}{suffix}({})", kept.join(", "));
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
        // A state is taken for its value, and the other way round.
        if suffix.contains("Merge") {
            self.swap(&one, &format!("{base}{}", suffix.replace("Merge", "State")));
            self.swap(&one, &format!("{base}{}", suffix.replace("Merge", "")));
        } else if suffix.contains("State") && !suffix.contains("SimpleState") {
            self.swap(&one, &format!("{base}{}", suffix.replace("State", "Merge")));
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

    /// `(a, b)` or `tuple(a, b)`: one element less, for each of them; so is a list behind IN.
    pub(super) fn tuple(&mut self, index: usize, tok: &Tok<'_>) {
        if tok.kind != TokenKind::OpeningRoundBracket {
            return;
        }
        let before = index.wrapping_sub(1);
        let is_call = matches!(
            self.kind(before),
            Some(TokenKind::BareWord | TokenKind::QuotedIdentifier)
        ) && ![
            "IN", "AND", "OR", "NOT", "SELECT", "WHERE", "THEN", "ELSE", "WHEN", "tuple",
        ]
        .iter()
        .any(|word| self.is(before, word));
        let Some(inside) = self.inside(index).filter(|_| !is_call) else {
            return;
        };
        if self.is(inside.start, "SELECT") || self.is(inside.start, "WITH") {
            return;
        }
        let items = self.items(&inside);
        if items.len() < 2 {
            return;
        }
        let whole = short(self.text(&(index..inside.end + 1)));
        for item in items {
            let span = self.span(&self.with_comma(&item));
            let label = format!("{} of {whole} → (dropped)", short(self.text(&item)));
            self.add(item.start, &label, vec![(span, String::new())]);
        }
    }

    /// `tupleElement(entry, 'url')` → the element that another call takes.
    pub(super) fn sibling_element(&mut self, index: usize, value: &Range, element: &Range) {
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

    pub(super) fn operator(&mut self, index: usize, tok: &Tok<'_>) {
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

    pub(super) fn swap_around(&mut self, index: usize, with: &str) {
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

    /// `a AND b` without one of them.
    pub(super) fn operands(&mut self, index: usize) {
        let before = self.operand_before(index);
        let behind = self.operand_behind(index);
        if !before.is_empty() && !behind.is_empty() {
            let left = before.start..index + 1;
            let right = index..behind.end;
            self.swap(&left, "");
            self.swap(&right, "");
        }
    }

    pub(super) fn literal(&mut self, index: usize, tok: &Tok<'_>) {
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

    /// A column: another one of its type, or nothing at all.
    pub(super) fn reference(&mut self, index: usize, tok: &Tok<'_>) {
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
