//! Names and strings as ClickHouse reads them back.

/// A name in backquotes.
#[must_use]
pub fn identifier(name: &str) -> String {
    quoted(name, '`')
}

/// A string literal.
#[must_use]
pub fn literal(text: &str) -> String {
    quoted(text, '\'')
}

fn quoted(text: &str, quote: char) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for c in text.chars() {
        if c == quote || c == '\\' {
            out.push('\\');
        }
        out.push(c);
    }
    out.push(quote);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_backslashes_survive() {
        assert_eq!(identifier("a`b\\c"), "`a\\`b\\\\c`");
        assert_eq!(literal("it's \\n"), "'it\\'s \\\\n'");
    }
}
