//! ClickHouse's own lexer, byte for byte.
//!
//! What a token is, is decided by `src/Parsers/Lexer.cpp` of ClickHouse and by nothing else; `tests/lexer.rs` holds this file against
//! the engine's `tokenizeQuery`. Every byte belongs to exactly one token, nothing is refused: what is not closed is an error token that
//! reaches to the end.

use crate::sql::Span;

/// The kind of a token, named as `tokenizeQuery` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(
    missing_docs,
    reason = "the names are ClickHouse's and say what they are"
)]
pub enum TokenKind {
    Whitespace,
    Comment,
    BareWord,
    Number,
    StringLiteral,
    QuotedIdentifier,
    HereDoc,
    OpeningRoundBracket,
    ClosingRoundBracket,
    OpeningSquareBracket,
    ClosingSquareBracket,
    OpeningCurlyBrace,
    ClosingCurlyBrace,
    Comma,
    Semicolon,
    VerticalDelimiter,
    Dot,
    Asterisk,
    DollarSign,
    Plus,
    Minus,
    Slash,
    Percent,
    Arrow,
    QuestionMark,
    Colon,
    DoubleColon,
    Caret,
    Equals,
    NotEquals,
    Less,
    Greater,
    LessOrEquals,
    GreaterOrEquals,
    Spaceship,
    PipeMark,
    Concatenation,
    At,
    DoubleAt,
    Error,
    ErrorSingleQuoteIsNotClosed,
    ErrorDoubleQuoteIsNotClosed,
    ErrorBackQuoteIsNotClosed,
    ErrorMultilineCommentIsNotClosed,
    ErrorSingleExclamationMark,
    ErrorSinglePipeMark,
    ErrorWrongNumber,
}

impl TokenKind {
    /// Whether the parser sees it: neither white space nor a comment.
    #[must_use]
    pub fn is_significant(self) -> bool {
        !matches!(self, Self::Whitespace | Self::Comment)
    }

    /// Whether it is a string, a quoted name or a comment that is never closed.
    #[must_use]
    pub fn is_unclosed(self) -> bool {
        matches!(
            self,
            Self::ErrorSingleQuoteIsNotClosed
                | Self::ErrorDoubleQuoteIsNotClosed
                | Self::ErrorBackQuoteIsNotClosed
                | Self::ErrorMultilineCommentIsNotClosed
        )
    }
}

/// A token and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// The bytes it covers.
    pub span: Span,
}

/// The tokens of a text, one after the other.
#[derive(Clone, Debug)]
pub struct Lexer<'a> {
    text: &'a [u8],
    position: usize,
    /// Decides what a dot and the digits behind it are.
    previous: Option<TokenKind>,
}

/// The tokens of a text; they cover it without a gap.
#[must_use]
pub fn tokens(text: &(impl AsRef<[u8]> + ?Sized)) -> Lexer<'_> {
    Lexer {
        text: text.as_ref(),
        position: 0,
        previous: None,
    }
}

impl Iterator for Lexer<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        let start = self.position;
        let first = *self.text.get(start)?;
        let kind = self.scan(first);
        if kind.is_significant() {
            self.previous = Some(kind);
        }
        Some(Token {
            kind,
            span: Span {
                start,
                end: self.position,
            },
        })
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

impl Lexer<'_> {
    fn rest(&self) -> &[u8] {
        self.text.get(self.position..).unwrap_or_default()
    }

    /// The byte so many places ahead.
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.text.get(self.position + ahead).copied()
    }

    fn take(&mut self, bytes: usize, kind: TokenKind) -> TokenKind {
        self.position += bytes;
        kind
    }

    fn until_end(&mut self, kind: TokenKind) -> TokenKind {
        self.position = self.text.len();
        kind
    }

    fn skip_while(&mut self, wanted: impl Fn(u8) -> bool) {
        let rest = self.rest();
        self.position += rest
            .iter()
            .position(|byte| !wanted(*byte))
            .unwrap_or(rest.len());
    }

    fn scan(&mut self, first: u8) -> TokenKind {
        use TokenKind as K;
        let second = self.peek(1);
        match first {
            byte if is_space(byte) => {
                self.skip_while(is_space);
                K::Whitespace
            }
            b'0'..=b'9' => self.number(),
            b'\'' => self.quoted(b'\'', K::StringLiteral, K::ErrorSingleQuoteIsNotClosed),
            b'"' => self.quoted(b'"', K::QuotedIdentifier, K::ErrorDoubleQuoteIsNotClosed),
            b'`' => self.quoted(b'`', K::QuotedIdentifier, K::ErrorBackQuoteIsNotClosed),
            b'(' => self.take(1, K::OpeningRoundBracket),
            b')' => self.take(1, K::ClosingRoundBracket),
            b'[' => self.take(1, K::OpeningSquareBracket),
            b']' => self.take(1, K::ClosingSquareBracket),
            b'{' => self.take(1, K::OpeningCurlyBrace),
            b'}' => self.take(1, K::ClosingCurlyBrace),
            b',' => self.take(1, K::Comma),
            b';' => self.take(1, K::Semicolon),
            b'.' => self.dot(),
            b'+' => self.take(1, K::Plus),
            b'-' if second == Some(b'>') => self.take(2, K::Arrow),
            b'-' if second == Some(b'-') => self.line_comment(),
            b'-' => self.take(1, K::Minus),
            b'*' => self.take(1, K::Asterisk),
            b'/' if second == Some(b'/') => self.line_comment(),
            b'/' if second == Some(b'*') => self.block_comment(),
            b'/' => self.take(1, K::Slash),
            b'#' if matches!(second, Some(b' ' | b'!')) => self.line_comment(),
            b'#' => self.take(1, K::Error),
            b'%' => self.take(1, K::Percent),
            b'^' => self.take(1, K::Caret),
            b'=' if second == Some(b'=') => self.take(2, K::Equals),
            b'=' => self.take(1, K::Equals),
            b'!' if second == Some(b'=') => self.take(2, K::NotEquals),
            b'!' => self.take(1, K::ErrorSingleExclamationMark),
            b'<' if second == Some(b'=') && self.peek(2) == Some(b'>') => {
                self.take(3, K::Spaceship)
            }
            b'<' if second == Some(b'=') => self.take(2, K::LessOrEquals),
            b'<' if second == Some(b'>') => self.take(2, K::NotEquals),
            b'<' => self.take(1, K::Less),
            b'>' if second == Some(b'=') => self.take(2, K::GreaterOrEquals),
            b'>' => self.take(1, K::Greater),
            b'?' => self.take(1, K::QuestionMark),
            b':' if second == Some(b':') => self.take(2, K::DoubleColon),
            b':' => self.take(1, K::Colon),
            b'|' if second == Some(b'|') => self.take(2, K::Concatenation),
            b'|' => self.take(1, K::PipeMark),
            b'@' if second == Some(b'@') => self.take(2, K::DoubleAt),
            b'@' => self.take(1, K::At),
            b'\\' if second == Some(b'G') => self.take(2, K::VerticalDelimiter),
            b'\\' => self.take(1, K::Error),
            b'$' => self.dollar(),
            b'x' | b'X' | b'b' | b'B' if second == Some(b'\'') && self.peek(2).is_some() => {
                self.quoted_digits(first)
            }
            byte if is_word(byte) => self.word(),
            0xe2 => self.typographic(),
            _ => self.other(),
        }
    }

    fn word(&mut self) -> TokenKind {
        self.skip_while(|byte| is_word(byte) || byte == b'$');
        TokenKind::BareWord
    }

    fn line_comment(&mut self) -> TokenKind {
        self.skip_while(|byte| byte != b'\n');
        TokenKind::Comment
    }

    /// Block comments nest, as in the SQL standard.
    fn block_comment(&mut self) -> TokenKind {
        let mut depth = 0_usize;
        while let (Some(first), Some(second)) = (self.peek(0), self.peek(1)) {
            match (first, second) {
                (b'/', b'*') => {
                    self.position += 2;
                    depth += 1;
                }
                (b'*', b'/') => {
                    self.position += 2;
                    depth -= 1;
                    if depth == 0 {
                        return TokenKind::Comment;
                    }
                }
                _ => self.position += 1,
            }
        }
        self.until_end(TokenKind::ErrorMultilineCommentIsNotClosed)
    }

    /// A quote is doubled or escaped; a backslash escapes anything.
    fn quoted(&mut self, quote: u8, closed: TokenKind, unclosed: TokenKind) -> TokenKind {
        self.position += 1;
        loop {
            self.skip_while(|byte| byte != quote && byte != b'\\');
            match (self.peek(0), self.peek(1)) {
                (Some(byte), Some(next)) if byte == b'\\' || next == quote => self.position += 2,
                (Some(byte), _) if byte == quote => return self.take(1, closed),
                _ => return self.until_end(unclosed),
            }
        }
    }

    /// `x'1F'` and `b'01'`.
    fn quoted_digits(&mut self, first: u8) -> TokenKind {
        self.position += 2;
        if first.eq_ignore_ascii_case(&b'x') {
            self.skip_while(|byte| byte.is_ascii_hexdigit());
        } else {
            self.skip_while(|byte| matches!(byte, b'0' | b'1'));
        }
        if self.peek(0) == Some(b'\'') {
            self.take(1, TokenKind::StringLiteral)
        } else {
            self.until_end(TokenKind::ErrorSingleQuoteIsNotClosed)
        }
    }

    /// `$tag$ … $tag$`, a word that begins with a dollar, or a dollar by itself.
    fn dollar(&mut self) -> TokenKind {
        let rest = self.rest();
        if let Some(tag_end) = rest.iter().skip(1).position(|byte| *byte == b'$') {
            let (tag, body) = rest.split_at(tag_end + 2);
            if let Some(at) = find(body, tag) {
                return self.take(tag.len() + at + tag.len(), TokenKind::HereDoc);
            }
        }
        if self.peek(1).is_some_and(is_word) {
            self.word()
        } else {
            self.take(1, TokenKind::DollarSign)
        }
    }

    /// A qualifier, a tuple access, or the start of a number.
    fn dot(&mut self) -> TokenKind {
        use TokenKind as K;
        let digit_follows = self.peek(1).is_some_and(|byte| byte.is_ascii_digit());
        let behind_expression = matches!(
            self.previous,
            Some(
                K::ClosingRoundBracket
                    | K::ClosingSquareBracket
                    | K::BareWord
                    | K::QuotedIdentifier
                    | K::Number
            )
        );
        if self.position > 0 && (!digit_follows || behind_expression) {
            return self.take(1, K::Dot);
        }
        self.position += 1;
        self.digits(true, false);
        self.exponent(b'e');
        K::Number
    }

    fn number(&mut self) -> TokenKind {
        let start = self.position;
        if self.previous == Some(TokenKind::Dot) {
            // `x.1.1` is two tuple accesses, not the number 1.1.
            self.position += 1;
            self.digits(false, false);
        } else {
            let (second, third) = (self.peek(1), self.peek(2));
            let hex = self.peek(0) == Some(b'0')
                && matches!(second, Some(b'x' | b'X'))
                && third.is_some_and(|byte| byte.is_ascii_hexdigit());
            let binary = self.peek(0) == Some(b'0')
                && matches!(second, Some(b'b' | b'B'))
                && matches!(third, Some(b'0' | b'1'));
            self.position += if hex || binary { 2 } else { 1 };
            self.digits(hex || binary, hex);
            if self.peek(0) == Some(b'.') {
                self.position += 1;
                self.digits(true, hex);
            }
            self.exponent(if hex { b'p' } else { b'e' });
        }
        if !self.peek(0).is_some_and(is_word) {
            return TokenKind::Number;
        }
        self.skip_while(is_word);
        let is_name = self
            .text
            .get(start..self.position)
            .is_some_and(|text| text.iter().all(|byte| is_word(*byte)));
        if is_name {
            TokenKind::BareWord
        } else {
            TokenKind::ErrorWrongNumber
        }
    }

    /// Digits, with single underscores between them.
    fn digits(&mut self, mut start_of_block: bool, hex: bool) {
        let is_digit = |byte: u8| {
            if hex {
                byte.is_ascii_hexdigit()
            } else {
                byte.is_ascii_digit()
            }
        };
        while let Some(byte) = self.peek(0) {
            let separator = byte == b'_' && !start_of_block && self.peek(1).is_some_and(is_digit);
            if !is_digit(byte) && !separator {
                return;
            }
            self.position += 1;
            start_of_block = false;
        }
    }

    /// The exponent is decimal, whatever the number is.
    fn exponent(&mut self, mark: u8) {
        let marked = self
            .peek(0)
            .is_some_and(|byte| byte.eq_ignore_ascii_case(&mark));
        if !marked || self.peek(1).is_none() {
            return;
        }
        self.position += 1;
        if matches!(self.peek(0), Some(b'+' | b'-')) && self.peek(1).is_some() {
            self.position += 1;
        }
        self.digits(true, false);
    }

    /// The quotes and the minus that a word processor puts in.
    fn typographic(&mut self) -> TokenKind {
        use TokenKind as K;
        match self.rest().get(..3) {
            // Less than a pair of quotes is not looked at as one.
            Some([0xe2, 0x80, 0x98 | 0x9c]) if self.rest().len() < 6 => self.other(),
            Some([0xe2, 0x80, 0x98]) => {
                self.curly(0x99, K::StringLiteral, K::ErrorSingleQuoteIsNotClosed)
            }
            Some([0xe2, 0x80, 0x9c]) => {
                self.curly(0x9d, K::QuotedIdentifier, K::ErrorDoubleQuoteIsNotClosed)
            }
            Some([0xe2, 0x88, 0x92]) => self.take(3, K::Minus),
            _ => self.other(),
        }
    }

    /// Curly quotes know neither escapes nor doubling.
    fn curly(&mut self, close: u8, closed: TokenKind, unclosed: TokenKind) -> TokenKind {
        let body = self.rest().get(3..).unwrap_or_default();
        match find(body, &[0xe2, 0x80, close]) {
            Some(at) => self.take(3 + at + 3, closed),
            None => self.until_end(unclosed),
        }
    }

    /// Unicode's white space, or a character that means nothing.
    fn other(&mut self) -> TokenKind {
        let start = self.position;
        while let Some(length) = unicode_space(self.rest()) {
            self.position += length;
        }
        if self.position > start {
            TokenKind::Whitespace
        } else {
            // The whole character, if it is one.
            self.position += 1;
            self.skip_while(|byte| matches!(byte, 0x80..=0xbf));
            TokenKind::Error
        }
    }
}

/// The length of the white space, as `skipWhitespacesUTF8` has it, that the bytes begin with.
fn unicode_space(bytes: &[u8]) -> Option<usize> {
    match *bytes {
        [byte, ..] if is_space(byte) => Some(1),
        [0xc2, 0x85 | 0xa0, ..] => Some(2),
        [0xe1, 0xa0, 0x8e, ..]
        | [0xe2, 0x80, 0x80..=0x8d | 0xa8 | 0xa9 | 0xaf, ..]
        | [0xe2, 0x81, 0x9f | 0xa0, ..]
        | [0xe3, 0x80, 0x80, ..]
        | [0xef, 0xbb, 0xbf, ..] => Some(3),
        _ => None,
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len().max(1))
        .position(|window| window == needle)
}
