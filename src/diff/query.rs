//! How a view's query differs from another, column by column. Only words, and pure.

use crate::sql::{TokenKind, tokens};

/// A SELECT, cut where its columns begin and end; each part as its words, so that layout does not matter.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shape {
    /// What stands before the columns: `SELECT`, or a WITH and that.
    head: Vec<String>,
    /// The columns, by their names.
    columns: Vec<(String, Vec<String>)>,
    /// From FROM on.
    tail: Vec<String>,
}

/// How a view's query differs from what it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryChange {
    /// What it writes besides.
    pub added: Vec<String>,
    /// What it writes no longer.
    pub gone: Vec<String>,
    /// What it makes otherwise.
    pub other: Vec<String>,
    /// It reads, filters or groups otherwise, or that cannot be seen.
    pub elsewhere: bool,
}

impl QueryChange {
    /// Between two queries that name tables of `database` with or without it.
    #[must_use]
    pub fn of(before: &str, after: &str, database: &str) -> Self {
        let (Some(before), Some(after)) =
            (Shape::read(before, database), Shape::read(after, database))
        else {
            return Self {
                elsewhere: true,
                ..Self::default()
            };
        };
        let find = |shape: &Shape, name: &str| {
            let mut all = shape.columns.iter().filter(|(it, _)| it == name);
            all.next().map(|(_, words)| words.clone())
        };
        let mut change = Self {
            elsewhere: before.head != after.head || before.tail != after.tail,
            ..Self::default()
        };
        change.added = after
            .columns
            .iter()
            .filter(|(name, _)| find(&before, name).is_none())
            .map(|(name, _)| name.clone())
            .collect();
        // What is called as a column of the source stands for it wherever that is named without its table.
        let means_another = |words: &[String]| change.added.iter().any(|name| names(words, name));
        change.elsewhere |= means_another(&before.tail) || means_another(&before.head);
        change.other = after
            .columns
            .iter()
            .filter(|(name, words)| {
                let known = find(&before, name);
                known.is_some_and(|known| known != *words || means_another(words))
            })
            .map(|(name, _)| name.clone())
            .collect();
        change.gone = before
            .columns
            .iter()
            .filter(|(name, _)| find(&after, name).is_none())
            .map(|(name, _)| name.clone())
            .collect();
        change
    }
}

impl Shape {
    /// `None` if it is no single SELECT whose columns all have names.
    fn read(select: &str, database: &str) -> Option<Self> {
        let words = words(select, database);
        let mut depth = 0_i32;
        let (mut head, mut columns, mut tail) = (Vec::new(), Vec::new(), Vec::new());
        let mut column: Vec<String> = Vec::new();
        let mut part = 0;
        for word in words {
            match word.as_str() {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth -= 1,
                _ => {}
            }
            let is = |keyword: &str| depth == 0 && word.eq_ignore_ascii_case(keyword);
            if is("UNION") || is("INTERSECT") || is("EXCEPT") {
                return None;
            }
            match part {
                0 => {
                    if is("SELECT") {
                        part = 1;
                    }
                    head.push(word);
                }
                1 if is("DISTINCT") && column.is_empty() && columns.is_empty() => head.push(word),
                1 if is(",") => columns.push(std::mem::take(&mut column)),
                1 if is("FROM") => {
                    part = 2;
                    columns.push(std::mem::take(&mut column));
                    tail.push(word);
                }
                1 => column.push(word),
                _ => tail.push(word),
            }
        }
        if part == 1 {
            columns.push(column);
        }
        let columns: Option<Vec<_>> = columns
            .into_iter()
            .map(|words| Some((name(&words)?, words)))
            .collect();
        Some(Self {
            head,
            columns: columns.filter(|_| part > 0)?,
            tail,
        })
    }
}

/// The words of a text, without the database before its tables.
fn words(text: &str, database: &str) -> Vec<String> {
    let all: Vec<String> = tokens(text)
        .filter(|token| token.kind.is_significant() && token.kind != TokenKind::Semicolon)
        .map(|token| {
            let word = token.span.of(text);
            if token.kind == TokenKind::QuotedIdentifier {
                word.trim_matches(['`', '"']).to_owned()
            } else {
                word.to_owned()
            }
        })
        .collect();
    let mut words = Vec::with_capacity(all.len());
    let mut rest = all.into_iter().peekable();
    while let Some(word) = rest.next() {
        if word == database && rest.peek().is_some_and(|next| next == ".") {
            rest.next();
        } else {
            words.push(word);
        }
    }
    words
}

/// Whether words name something without its table.
fn names(words: &[String], name: &str) -> bool {
    let behind_a_point = |at: usize| {
        at.checked_sub(1)
            .and_then(|at| words.get(at))
            .is_some_and(|it| it == ".")
    };
    words
        .iter()
        .enumerate()
        .any(|(at, word)| word == name && !behind_a_point(at))
}

/// What a column of a SELECT is called: by AS, or by the column that it is.
fn name(words: &[String]) -> Option<String> {
    let last = words.last()?;
    let before = words.len().checked_sub(2).and_then(|at| words.get(at));
    let named = match before {
        None => true,
        Some(before) if before.eq_ignore_ascii_case("AS") => true,
        Some(before) => {
            before == "."
                && words
                    .iter()
                    .enumerate()
                    .all(|(at, it)| (at % 2 == 1) == (it == "."))
        }
    };
    let identifier = last
        .chars()
        .next()
        .is_some_and(|first| first.is_alphabetic() || first == '_');
    (named && identifier).then(|| last.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_told() {
        let of = |before: &str, after: &str| QueryChange::of(before, after, "db");
        let before = "SELECT e.k AS k, count() AS n FROM db.events AS e GROUP BY e.k";
        let added = of(
            before,
            "SELECT\n    e.k AS k,\n    max(if(e.a IN (1, 2), e.b, '')) AS `last`,\n    count() AS n\nFROM events AS e GROUP BY e.k",
        );
        assert_eq!(
            added,
            QueryChange {
                added: vec!["last".to_owned()],
                ..QueryChange::default()
            }
        );
        assert_eq!(of(before, before), QueryChange::default());
        let other = of(
            before,
            "SELECT e.k AS k, countIf(a) AS n FROM events AS e GROUP BY e.k",
        );
        assert_eq!(other.other, ["n"]);
        let gone = of(before, "SELECT e.k AS k FROM events AS e GROUP BY e.k");
        assert_eq!(gone.gone, ["n"]);
        for after in [
            "SELECT e.k AS k, count() AS n FROM events AS e WHERE a GROUP BY e.k",
            "SELECT DISTINCT e.k AS k, count() AS n FROM events AS e GROUP BY e.k",
            "WITH 1 AS x SELECT e.k AS k, count() AS n FROM events AS e GROUP BY e.k",
            "SELECT e.k AS k, count() AS n FROM events AS e GROUP BY e.k UNION ALL SELECT 1, 2",
            // A column without a name.
            "SELECT e.k AS k, count() FROM events AS e GROUP BY e.k",
        ] {
            assert!(of(before, after).elsewhere, "{after}");
        }
    }

    #[test]
    fn a_new_column_that_is_called_as_one_of_the_source_changes_what_others_mean() {
        let of = |before: &str, after: &str| QueryChange::of(before, after, "db");
        let before = "SELECT k, max(name) AS last FROM events GROUP BY k";
        let after = "SELECT k, max(name) AS last, max(upper(x)) AS name FROM events GROUP BY k";
        assert_eq!(of(before, after).other, ["last"]);
        let with_table = |text: &str| text.replace("max(name)", "max(events.name)");
        assert!(of(&with_table(before), &with_table(after)).other.is_empty());
        let filtered = |text: &str| text.replace("FROM events", "FROM events WHERE name != ''");
        assert!(of(&filtered(before), &filtered(after)).elsewhere);
    }

    #[test]
    fn a_column_is_called_as_the_view_writes_it() {
        let name = |text: &str| name(&words(text, "db"));
        assert_eq!(name("e.a").as_deref(), Some("a"));
        assert_eq!(name("a").as_deref(), Some("a"));
        assert_eq!(name("f(a.b) AS c").as_deref(), Some("c"));
        assert_eq!(name("a + e.b"), None);
        assert_eq!(name("f(a)"), None);
    }
}
