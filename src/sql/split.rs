//! A file → its statements, inline data included, as `clickhouse-client` cuts it.

use sha2::{Digest, Sha256};

use crate::sql::lexer::{TokenKind, tokens};
use crate::sql::{Header, Insert, Span, header, insert, line_and_column};

/// A statement of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The bytes of the file, from the first token to the last, inline data included, `;` not.
    pub span: Span,
    /// The line of the first byte, from 1.
    pub line: usize,
    /// The column of the first byte, in characters from 1.
    pub column: usize,
    /// Kind and names.
    pub header: Header,
    /// The first token that is never closed, if there is one.
    pub unclosed: Option<Span>,
    sql: String,
    data: Option<String>,
}

impl Statement {
    /// The statement, without its `;`; inline data only if it is that of VALUES.
    #[must_use]
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// The inline data of `INSERT … FORMAT X`.
    #[must_use]
    pub fn data(&self) -> Option<&str> {
        self.data.as_deref()
    }

    /// SHA-256, in hex, of what the statement means: the bytes of each significant token followed by `0x1f`; and, if there is inline
    /// data, `0x1e` and the data without white space at its ends. White space and comments do not count. The recipe is stored in
    /// journals and never changes.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut hasher = Sha256::new();
        for token in tokens(&self.sql).filter(|token| token.kind.is_significant()) {
            hasher.update(token.span.bytes(self.sql.as_bytes()));
            hasher.update([0x1f]);
        }
        if let Some(data) = &self.data {
            hasher.update([0x1e]);
            hasher.update(data.trim());
        }
        hex(&hasher.finalize())
    }
}

/// Bytes in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Cuts a text into its statements. Comments alone are none. `INSERT … FORMAT X` takes what follows up to the first blank line.
#[must_use]
pub fn split(text: &str) -> Vec<Statement> {
    let mut statements = Vec::new();
    let mut from = 0;
    let mut lines = 0;
    while let Some(rest) = text.get(from..) {
        let Some(found) = next(rest) else { break };
        let start = from + found.span.start;
        let span = Span {
            start,
            end: from + found.span.end,
        };
        // Counted from the last statement on, so that a long file is read once.
        let line = lines + line_and_column(rest, found.span.start).0;
        let line_start = line_start(text, start);
        let (_, column) = line_and_column(
            text.get(line_start..).unwrap_or_default(),
            start - line_start,
        );
        let whole = span.of(text);
        let (sql, data) = match found.data {
            None => (whole.to_owned(), None),
            Some(data) => {
                let (sql, data) = whole.split_at(data - found.span.start);
                (
                    sql.trim_end().trim_end_matches(';').trim_end().to_owned(),
                    Some(data.to_owned()),
                )
            }
        };
        statements.push(Statement {
            span,
            line,
            column,
            header: header(&sql),
            unclosed: found.unclosed.map(|token| Span {
                start: from + token.start,
                end: from + token.end,
            }),
            sql,
            data,
        });
        lines += line_and_column(rest, found.next).0 - 1;
        from += found.next;
    }
    statements
}

fn line_start(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or_default();
    before
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1)
}

/// One statement in a text; all positions count from the text's start.
struct Found {
    span: Span,
    /// Where inline data begins.
    data: Option<usize>,
    unclosed: Option<Span>,
    /// Where to look for the next.
    next: usize,
}

fn next(text: &str) -> Option<Found> {
    let mut span: Option<Span> = None;
    let mut unclosed = None;
    for token in tokens(text) {
        if !token.kind.is_significant() {
            if token.kind.is_unclosed() {
                unclosed.get_or_insert(token.span);
            }
            continue;
        }
        if matches!(
            token.kind,
            TokenKind::Semicolon | TokenKind::VerticalDelimiter
        ) {
            match span {
                None => continue,
                Some(span) => {
                    return Some(Found {
                        span,
                        data: None,
                        unclosed,
                        next: token.span.end,
                    });
                }
            }
        }
        if token.kind.is_unclosed() {
            unclosed.get_or_insert(token.span);
        }
        if let Some(span) = &mut span {
            span.end = token.span.end;
            continue;
        }
        span = Some(token.span);
        if let Some(found) = with_data(text, token.span.start) {
            return Some(found);
        }
    }
    span.map(|span| Found {
        span,
        data: None,
        unclosed,
        next: text.len(),
    })
}

/// An INSERT with inline data other than VALUES, whose end is a blank line and not a `;`.
fn with_data(text: &str, start: usize) -> Option<Found> {
    let rest = text.get(start..)?;
    let Some(Insert::Data {
        format: Some(format),
        data,
        ..
    }) = insert(rest.as_bytes())
    else {
        return None;
    };
    let inline = rest.get(data..)?;
    if format == "Values" || inline.trim().is_empty() || inline.starts_with('\n') {
        return None;
    }
    let length = inline.find("\n\n").unwrap_or(inline.len());
    let end = start + data + inline.get(..length)?.trim_end().len();
    Some(Found {
        span: Span { start, end },
        data: Some(start + data),
        unclosed: None,
        next: start + data + length,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(text: &str) -> Vec<String> {
        split(text)
            .iter()
            .map(|statement| match statement.data() {
                None => statement.sql().to_owned(),
                Some(data) => format!("{} <<{data}>>", statement.sql()),
            })
            .collect()
    }

    #[test]
    fn semicolons_in_strings_comments_and_heredocs_do_not_cut() {
        let text = "-- one; two\nSELECT ';', `a;b`, \"c;d\", $x$ ; $x$, ‘;’ /* ; /* ; */ ; */;\n# three;\n#! four;\n// five;\nSELECT 2 -- six;\n;;\n";
        assert_eq!(
            texts(text),
            ["SELECT ';', `a;b`, \"c;d\", $x$ ; $x$, ‘;’", "SELECT 2"]
        );
    }

    #[test]
    fn inline_data_ends_at_a_blank_line_and_values_at_their_semicolon() {
        let text = "INSERT INTO t FORMAT JSONEachRow\n{\"a\":\";\"}\n{\"a\":2}\n\nINSERT INTO t VALUES (1, '\n\n;');\nINSERT INTO t FORMAT CSV\n1,2\n";
        assert_eq!(
            texts(text),
            [
                "INSERT INTO t FORMAT JSONEachRow <<{\"a\":\";\"}\n{\"a\":2}>>",
                "INSERT INTO t VALUES (1, '\n\n;')",
                "INSERT INTO t FORMAT CSV <<1,2>>",
            ]
        );
    }

    #[test]
    fn places_count_lines_and_characters() {
        let text = "\n  -- ü\n  SELECT 1; SELECT 'ü', 2";
        let places: Vec<_> = split(text)
            .iter()
            .map(|statement| (statement.line, statement.column, statement.span.of(text)))
            .collect();
        assert_eq!(places, [(3, 3, "SELECT 1"), (3, 13, "SELECT 'ü', 2")]);
    }

    #[test]
    fn a_fingerprint_is_blind_to_white_space_and_comments_and_to_nothing_else() {
        let print = |text: &str| split(text)[0].fingerprint();
        let plain = print("SELECT a, 'x  y' FROM t");
        assert_eq!(
            plain,
            print("SELECT\n  a, -- why\n  'x  y'\nFROM /* here */ t;")
        );
        assert_ne!(plain, print("SELECT a, 'x y' FROM t"));
        assert_ne!(plain, print("SELECT A, 'x  y' FROM t"));
        assert_eq!(
            print("SELECT 1"),
            "2dc389b489dfc569d64ed7a9717c72f27e018c1bc21aed955e38de01ff22527f",
            "the recipe is stored for ever"
        );
    }

    fn soup() -> impl Strategy<Value = String> {
        let pieces = [
            "'", "\"", "`", "\\", "$", "$a$", "--", "/*", "*/", "//", "# ", "\n", "\n\n", " ", ";",
            "(", ")", "INSERT", "INTO", "FORMAT", "CSV", "VALUES", "SELECT", "t", ".", "1", "‘",
            "’", "é", "{", "}", "SETTINGS", "=", ",",
        ];
        proptest::collection::vec(proptest::sample::select(pieces.to_vec()), 0..40)
            .prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn tokens_cover_every_byte_exactly_once(text in soup()) {
            let mut at = 0;
            for token in tokens(&text) {
                prop_assert_eq!(token.span.start, at);
                prop_assert!(token.span.end > at);
                at = token.span.end;
            }
            prop_assert_eq!(at, text.len());
        }

        #[test]
        fn any_bytes_are_tokens(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let covered: usize = tokens(&bytes).map(|token| token.span.end - token.span.start).sum();
            prop_assert_eq!(covered, bytes.len());
            let _ = insert(&bytes);
        }

        #[test]
        fn statements_stand_in_order_and_hold_all_that_is_significant(text in soup()) {
            let mut at = 0;
            for statement in split(&text) {
                prop_assert!(statement.span.start >= at);
                prop_assert!(statement.span.end > statement.span.start);
                at = statement.span.end;
            }
            prop_assert!(at <= text.len());
        }
    }
}
