//! The rows of a query as text: written into a golden file, read back from it, compared. Pure.

use std::fmt::Write as _;

/// What a query answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// The columns' names.
    pub columns: Vec<String>,
    /// The rows; `None` is NULL.
    pub rows: Vec<Vec<Option<String>>>,
}

/// More columns than this are written one a line.
const WIDE: usize = 8;
const NO_ROWS: &str = "no rows";
const NULL: &str = "NULL";
const EMPTY: &str = "''";

impl Rows {
    /// Reads `TabSeparatedWithNames`.
    #[must_use]
    pub fn from_tsv(bytes: &[u8]) -> Self {
        let mut lines = bytes
            .strip_suffix(b"\n")
            .unwrap_or(bytes)
            .split(|byte| *byte == b'\n');
        let fields = |line: &[u8]| -> Vec<Option<String>> {
            line.split(|byte| *byte == b'\t').map(unescape).collect()
        };
        let columns = lines
            .next()
            .map(|line| {
                fields(line)
                    .into_iter()
                    .map(Option::unwrap_or_default)
                    .collect()
            })
            .unwrap_or_default();
        Self {
            columns,
            rows: lines.map(fields).collect(),
        }
    }

    /// Puts the rows into one order that does not depend on how they came.
    pub fn sort(&mut self) {
        self.rows.sort();
    }

    /// The text of a golden file.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        if self.rows.is_empty() {
            let _ = writeln!(text, "{NO_ROWS} of {}", self.columns.join(" | "));
        } else if self.columns.len() > WIDE {
            let width = self
                .columns
                .iter()
                .map(|name| name.chars().count())
                .max()
                .unwrap_or(0);
            for (index, row) in self.rows.iter().enumerate() {
                let _ = writeln!(
                    text,
                    "{}row {}",
                    if index == 0 { "" } else { "\n" },
                    index + 1
                );
                for (column, value) in self.columns.iter().zip(row) {
                    let _ = writeln!(text, "  {column:width$} = {}", show(value.as_deref()));
                }
            }
        } else {
            let mut widths: Vec<usize> = self
                .columns
                .iter()
                .map(|name| name.chars().count())
                .collect();
            let cells: Vec<Vec<String>> = self
                .rows
                .iter()
                .map(|row| row.iter().map(|value| show(value.as_deref())).collect())
                .collect();
            for row in &cells {
                for (width, cell) in widths.iter_mut().zip(row) {
                    *width = (*width).max(cell.chars().count());
                }
            }
            let mut line = |cells: &[String]| {
                let mut line = String::new();
                for (index, (cell, width)) in cells.iter().zip(&widths).enumerate() {
                    let _ = write!(line, "{}{cell:width$}", if index == 0 { "" } else { " | " });
                }
                let _ = writeln!(text, "{}", line.trim_end());
            };
            line(&self.columns);
            for row in &cells {
                line(row);
            }
        }
        text
    }

    /// Reads what [`Rows::render`] wrote; `None` if it is not that.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .peekable();
        let first = *lines.peek()?;
        if let Some(columns) = first.strip_prefix(NO_ROWS) {
            return Some(Self {
                columns: columns
                    .strip_prefix(" of ")?
                    .split(" | ")
                    .map(str::to_owned)
                    .collect(),
                rows: Vec::new(),
            });
        }
        let mut parsed = Self::default();
        // A column may be called `row`.
        let number = first.strip_prefix("row ");
        if number.is_some_and(|number| number.parse::<usize>().is_ok()) {
            for line in lines {
                if line.starts_with("row ") {
                    parsed.rows.push(Vec::new());
                    continue;
                }
                let (column, value) = line.split_once(" = ")?;
                let row = parsed.rows.last_mut()?;
                row.push(read(value)?);
                if parsed.columns.len() < row.len() {
                    parsed.columns.push(column.trim().to_owned());
                }
            }
        } else {
            let cells = |line: &str| -> Option<Vec<Option<String>>> {
                cut(line).into_iter().map(read).collect()
            };
            parsed.columns = first
                .split('|')
                .map(|name| name.trim().to_owned())
                .collect();
            for line in lines.skip(1) {
                parsed.rows.push(cells(line)?);
            }
        }
        let whole = |row: &Vec<Option<String>>| row.len() == parsed.columns.len();
        parsed.rows.iter().all(whole).then_some(parsed)
    }
}

/// A line's cells: bars inside of a JSON string are not ends.
fn cut(line: &str) -> Vec<&str> {
    let mut cells = Vec::new();
    let (mut start, mut quoted, mut escaped) = (0, false, false);
    for (at, c) in line.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' if quoted
                || line
                    .get(start..at)
                    .is_some_and(|cell| cell.trim().is_empty()) =>
            {
                quoted = !quoted;
            }
            '|' if !quoted => {
                cells.push(line.get(start..at).unwrap_or_default().trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    cells.push(line.get(start..).unwrap_or_default().trim());
    cells
}

/// A value as it is written: plain where that cannot be taken for anything else, else a JSON string.
#[must_use]
pub fn show(value: Option<&str>) -> String {
    let Some(value) = value else {
        return NULL.to_owned();
    };
    if value.is_empty() {
        return EMPTY.to_owned();
    }
    let plain = value != NULL
        && value != EMPTY
        && value.trim() == value
        && !value.starts_with('"')
        && !value
            .chars()
            .any(|c| c == '|' || c.is_control() || is_invisible(c));
    if plain {
        value.to_owned()
    } else {
        serde_json::to_string(value).unwrap_or_default()
    }
}

/// Spaces and marks that nobody sees.
fn is_invisible(c: char) -> bool {
    c != ' '
        && (c.is_whitespace()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}' | '\u{feff}'))
}

#[expect(
    clippy::option_option,
    reason = "the outer one: it cannot be read; the inner one: NULL"
)]
fn read(text: &str) -> Option<Option<String>> {
    match text.trim() {
        NULL => Some(None),
        EMPTY => Some(Some(String::new())),
        quoted if quoted.starts_with('"') => serde_json::from_str(quoted).ok().map(Some),
        plain => Some(Some(plain.to_owned())),
    }
}

/// A field of `TabSeparated`.
fn unescape(field: &[u8]) -> Option<String> {
    if field == b"\\N" {
        return None;
    }
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.iter();
    while let Some(byte) = rest.next() {
        if *byte != b'\\' {
            bytes.push(*byte);
            continue;
        }
        match rest.next() {
            Some(b'n') => bytes.push(b'\n'),
            Some(b't') => bytes.push(b'\t'),
            Some(b'r') => bytes.push(b'\r'),
            Some(b'0') => bytes.push(0),
            Some(b'b') => bytes.push(8),
            Some(b'f') => bytes.push(12),
            Some(other) => bytes.push(*other),
            None => bytes.push(b'\\'),
        }
    }
    // What is no text is written as bytes, so that two of them never look alike.
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    Some(text)
}

/// A row on both sides, or on one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The row as it should be.
    pub expected: Option<Vec<Option<String>>>,
    /// The row as it is.
    pub found: Option<Vec<Option<String>>>,
}

impl Difference {
    /// Whether the two sides differ in a column.
    #[must_use]
    pub fn differs(&self, column: usize) -> bool {
        match (&self.expected, &self.found) {
            (Some(expected), Some(found)) => expected.get(column) != found.get(column),
            _ => true,
        }
    }
}

/// Pairs the rows that differ: those that agree in the most columns belong together, if that is at least one in three.
#[must_use]
pub fn compare(expected: &Rows, found: &Rows) -> Vec<Difference> {
    let mut missing = expected.rows.clone();
    let mut extra: Vec<Vec<Option<String>>> = Vec::new();
    for row in &found.rows {
        match missing.iter().position(|other| other == row) {
            Some(at) => drop(missing.remove(at)),
            None => extra.push(row.clone()),
        }
    }
    let alike = |one: &[Option<String>], other: &[Option<String>]| {
        one.iter()
            .zip(other)
            .filter(|(one, other)| one == other)
            .count()
    };
    let mut differences = Vec::new();
    for row in missing {
        let best = extra
            .iter()
            .enumerate()
            .map(|(index, other)| (alike(&row, other), index))
            .filter(|(score, _)| score * 3 >= row.len() && *score > 0)
            .max_by_key(|(score, index)| (*score, std::cmp::Reverse(*index)));
        differences.push(Difference {
            expected: Some(row),
            found: best.map(|(_, index)| extra.remove(index)),
        });
    }
    differences.extend(extra.into_iter().map(|row| Difference {
        expected: None,
        found: Some(row),
    }));
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(columns: &[&str], rows: &[&[Option<&str>]]) -> Rows {
        Rows {
            columns: columns.iter().map(|&name| name.to_owned()).collect(),
            rows: rows
                .iter()
                .map(|row| row.iter().map(|value| value.map(str::to_owned)).collect())
                .collect(),
        }
    }

    #[test]
    fn a_column_called_row_is_a_column() {
        let rows = Rows::from_tsv(b"row\trefused with\n1\tA\n2\tB\n");
        assert_eq!(Rows::parse(&rows.render()).unwrap(), rows);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let odd = rows(
            &["a", "b c"],
            &[
                &[None, Some("")],
                &[Some("NULL"), Some("''")],
                &[Some("x | \"y\" \\"), Some(" z\n")],
                &[Some("é 😀"), Some("a \"b\" c")],
                &[Some("a\u{a0}b"), Some("\"")],
            ],
        );
        insta::assert_snapshot!(odd.render(), @r#"
        a              | b c
        NULL           | ''
        "NULL"         | "''"
        "x | \"y\" \\" | " z\n"
        é 😀            | a "b" c
        "a b"          | "\""
        "#);
        assert_eq!(Rows::parse(&odd.render()).unwrap(), odd);
        let wide = rows(
            &["1", "2", "3", "4", "5", "6", "7", "8", "long"],
            &[&[Some("x = y"); 9], &[None; 9]],
        );
        insta::assert_snapshot!(wide.render(), @"
        row 1
          1    = x = y
          2    = x = y
          3    = x = y
          4    = x = y
          5    = x = y
          6    = x = y
          7    = x = y
          8    = x = y
          long = x = y

        row 2
          1    = NULL
          2    = NULL
          3    = NULL
          4    = NULL
          5    = NULL
          6    = NULL
          7    = NULL
          8    = NULL
          long = NULL
        ");
        assert_eq!(Rows::parse(&wide.render()).unwrap(), wide);
        let none = rows(&["a", "b"], &[]);
        assert_eq!(Rows::parse(&none.render()).unwrap(), none);
        assert_eq!(Rows::parse("a | b\n1"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_value_is_read_back(values in proptest::collection::vec(proptest::option::of(".*|[|\"\\\\ NUL']{0,4}"), 3)) {
            let one = Rows { columns: vec!["a".into(), "b".into(), "c".into()], rows: vec![values.clone(), values] };
            proptest::prop_assert_eq!(Rows::parse(&one.render()), Some(one));
        }
    }

    #[test]
    fn rows_that_belong_together_are_paired() {
        let expected = rows(
            &["k", "a", "b"],
            &[
                &[Some("1"), Some("x"), Some("y")],
                &[Some("2"), Some("x"), Some("y")],
                &[Some("3"), Some("q"), Some("r")],
            ],
        );
        let found = rows(
            &["k", "a", "b"],
            &[
                &[Some("1"), Some("x"), Some("y")],
                &[Some("2"), Some("x"), Some("z")],
                &[Some("9"), Some("m"), Some("n")],
            ],
        );
        let differences = compare(&expected, &found);
        assert_eq!(differences.len(), 3);
        assert!(!differences[0].differs(0) && differences[0].differs(2));
        assert!(differences[1].found.is_none() && differences[2].expected.is_none());
    }
}
