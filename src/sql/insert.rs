//! Where the data of an INSERT begins.
//!
//! In ClickHouse data follows the statement in the same text, in any format, binary included; only the statement's own grammar says
//! where (`src/Parsers/ParserInsertQuery.cpp`).

use crate::sql::Span;
use crate::sql::lexer::{Token, TokenKind, tokens};

/// What an INSERT inserts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Insert {
    /// Data that follows the statement, here or elsewhere.
    Data {
        /// `INSERT INTO t (a, b) SETTINGS …`, without the format.
        head: Span,
        /// The format, if the statement names it; `Values` for VALUES.
        format: Option<String>,
        /// `SETTINGS …` behind the format.
        settings: Option<Span>,
        /// The first byte of the data; the text's length if none follows.
        data: usize,
    },
    /// The result of a SELECT.
    Select,
    /// A file that the client reads.
    InFile,
}

/// Reads the head of an INSERT; `None` if the text is something else.
#[must_use]
pub fn insert(text: &[u8]) -> Option<Insert> {
    let mut cursor = Cursor::new(text);
    if !cursor.word("INSERT") {
        return None;
    }
    let start = cursor.last.start;
    let _ = cursor.word("INTO");
    let _ = cursor.word("TABLE");
    let _ = cursor.word("FUNCTION");
    let mut depth = 0_usize;
    let mut end = cursor.last.end;
    let mut opened = false;
    while let Some(token) = cursor.next() {
        let word = token.span.bytes(text);
        let is_word = token.kind == TokenKind::BareWord;
        match token.kind {
            TokenKind::OpeningRoundBracket => {
                depth += 1;
                opened = true;
                continue;
            }
            TokenKind::ClosingRoundBracket => depth = depth.saturating_sub(1),
            TokenKind::Semicolon if depth == 0 => {
                // Whatever follows is taken for data, and never executed.
                return Some(Insert::Data {
                    head: Span { start, end },
                    format: None,
                    settings: None,
                    data: token.span.end,
                });
            }
            // `INSERT INTO t (SELECT 1)`
            _ if is_word && opened && (is(word, "SELECT") || is(word, "WITH")) => {
                return Some(Insert::Select);
            }
            _ if is_word && depth == 0 && !cursor.is_name => {
                if is(word, "VALUES") {
                    return Some(Insert::Data {
                        head: Span { start, end },
                        format: Some("Values".to_owned()),
                        settings: None,
                        data: token.span.end,
                    });
                }
                if is(word, "FORMAT")
                    && cursor
                        .peek()
                        .is_some_and(|next| next.kind == TokenKind::BareWord)
                {
                    return Some(with_format(text, &mut cursor, Span { start, end }));
                }
                if is(word, "SELECT") || is(word, "WITH") || is(word, "WATCH") {
                    return Some(Insert::Select);
                }
                if is(word, "FROM")
                    && cursor
                        .peek()
                        .is_some_and(|next| is(next.span.bytes(text), "INFILE"))
                {
                    return Some(Insert::InFile);
                }
            }
            _ => {}
        }
        opened = false;
        end = token.span.end;
    }
    Some(Insert::Data {
        head: Span { start, end },
        format: None,
        settings: None,
        data: text.len(),
    })
}

fn with_format(text: &[u8], cursor: &mut Cursor<'_>, head: Span) -> Insert {
    let format = cursor.next().map(|token| token.span).unwrap_or_default();
    let mut end = format.end;
    let mut settings = None;
    if cursor.peek().is_some_and(|next| {
        next.kind == TokenKind::BareWord && is(next.span.bytes(text), "SETTINGS")
    }) {
        let start = cursor.next().map_or(end, |token| token.span.start);
        // name = literal, name = literal
        loop {
            for _ in 0..3 {
                if let Some(token) = cursor.next() {
                    end = token.span.end;
                }
            }
            if cursor.peek().map(|next| next.kind) != Some(TokenKind::Comma) {
                break;
            }
            let _ = cursor.next();
        }
        settings = Some(Span { start, end });
    }
    Insert::Data {
        head,
        format: Some(String::from_utf8_lossy(format.bytes(text)).into_owned()),
        settings,
        data: end + white_space(text.get(end..).unwrap_or_default()),
    }
}

/// Data begins behind the first line end, or behind the blanks if there is none.
fn white_space(text: &[u8]) -> usize {
    let blanks = text
        .iter()
        .take_while(|byte| matches!(byte, b' ' | b'\t' | 0x0c))
        .count();
    match text.get(blanks..) {
        Some([b'\r', b'\n', ..]) => blanks + 2,
        Some([b'\n', ..]) => blanks + 1,
        // `FORMAT CSV;` is followed by data too.
        Some([b';', rest @ ..]) => blanks + 1 + white_space(rest),
        _ => blanks,
    }
}

fn is(word: &[u8], keyword: &str) -> bool {
    word.eq_ignore_ascii_case(keyword.as_bytes())
}

/// The significant tokens, one ahead.
struct Cursor<'a> {
    text: &'a [u8],
    tokens: std::iter::Peekable<Significant<'a>>,
    last: Span,
    previous: Option<TokenKind>,
    /// Whether the last token stands where a name must stand, so that `values` is a table.
    is_name: bool,
}

struct Significant<'a>(crate::sql::lexer::Lexer<'a>);

impl Iterator for Significant<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        self.0.find(|token| token.kind.is_significant())
    }
}

impl<'a> Cursor<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            tokens: Significant(tokens(text)).peekable(),
            last: Span::default(),
            previous: None,
            is_name: false,
        }
    }

    fn peek(&mut self) -> Option<Token> {
        self.tokens.peek().copied()
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.next()?;
        // The first token behind INTO, and whatever follows a dot, is a name.
        self.is_name = matches!(self.previous, None | Some(TokenKind::Dot));
        self.previous = Some(token.kind);
        self.last = token.span;
        Some(token)
    }

    fn word(&mut self, keyword: &str) -> bool {
        let matches = self.peek().is_some_and(|token| {
            token.kind == TokenKind::BareWord && is(token.span.bytes(self.text), keyword)
        });
        if matches {
            let _ = self.next();
            self.previous = None;
        }
        matches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `head | format | data`, or what else it is.
    fn read(text: &str) -> String {
        match insert(text.as_bytes()) {
            None => "not an insert".to_owned(),
            Some(Insert::Select) => "select".to_owned(),
            Some(Insert::InFile) => "infile".to_owned(),
            Some(Insert::Data {
                head,
                format,
                settings,
                data,
            }) => format!(
                "{} | {} | {}{}",
                head.of(text),
                format.unwrap_or_else(|| "-".to_owned()),
                settings
                    .map(|span| format!("{} | ", span.of(text)))
                    .unwrap_or_default(),
                text.get(data..).unwrap_or("<cut>").escape_debug()
            ),
        }
    }

    #[test]
    fn the_data_begins_where_the_grammar_says() {
        let texts = [
            "INSERT INTO t FORMAT JSONEachRow\n{\"i\":1}\n\n{\"i\":2}",
            "insert into t format JSONEachRow {\"i\":1}",
            "INSERT INTO t (a, b) VALUES (1, 'x;y')",
            "INSERT INTO t VALUES",
            "INSERT INTO t FORMAT CSV",
            "INSERT INTO t FORMAT CSV;\n1,2",
            "INSERT INTO t (a)",
            "INSERT INTO t (a); DROP TABLE t",
            "INSERT INTO db.t (`format`) SETTINGS async_insert = 0 FORMAT TSV\r\n1",
            "INSERT INTO t FORMAT CSV SETTINGS a = 1, b = 'x'\n1,2",
            "INSERT INTO values VALUES (1)",
            "INSERT INTO db.values FORMAT CSV 1",
            "INSERT INTO FUNCTION file('x.csv', 'CSV', 'a UInt8') VALUES (1)",
            "/* c */ INSERT -- d\n INTO t FORMAT RowBinary\n\n",
            "INSERT INTO t SELECT 1 FORMAT Null",
            "INSERT INTO t (a) WITH 1 AS x SELECT x",
            "INSERT INTO t (SELECT 1)",
            "INSERT INTO t FROM INFILE 'x' FORMAT CSV",
            "INSERT INTO t (* EXCEPT(b)) VALUES (1)",
            "SELECT 1 FORMAT CSV",
            "",
        ];
        let read: Vec<String> = texts.iter().map(|text| read(text)).collect();
        insta::assert_snapshot!(read.join("\n"));
    }
}
