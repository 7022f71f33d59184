//! SQL with its words told apart, for HTML. Pure; the lexer is the one that splits migrations.

use crate::docs::escape::html;
use crate::sql::{TokenKind, tokens};

/// The words that stand out.
const KEYWORDS: [&str; 58] = [
    "ADD",
    "ALIAS",
    "ALTER",
    "AND",
    "AS",
    "ASC",
    "BETWEEN",
    "BY",
    "CASE",
    "CHECK",
    "CODEC",
    "COLUMN",
    "COMMENT",
    "CONSTRAINT",
    "CREATE",
    "DEFAULT",
    "DESC",
    "DICTIONARY",
    "DISTINCT",
    "DROP",
    "ELSE",
    "END",
    "ENGINE",
    "FILL",
    "FINAL",
    "FROM",
    "GROUP",
    "HAVING",
    "IN",
    "INDEX",
    "INNER",
    "INSERT",
    "INTO",
    "IS",
    "JOIN",
    "LEFT",
    "LIMIT",
    "MATERIALIZED",
    "MODIFY",
    "NOT",
    "NULL",
    "ON",
    "OR",
    "ORDER",
    "OVER",
    "PARTITION",
    "PRIMARY",
    "SELECT",
    "SETTINGS",
    "TABLE",
    "THEN",
    "TO",
    "TTL",
    "UNION",
    "VIEW",
    "WHEN",
    "WHERE",
    "WITH",
];

/// The text with `<b>` around keywords, `<i>` around strings and numbers, `<em>` around comments: short, as there are many.
pub(crate) fn highlighted(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len() * 2);
    for token in tokens(sql) {
        let text = token.span.of(sql);
        let tag = match token.kind {
            TokenKind::BareWord
                if text.chars().all(|c| c.is_ascii_uppercase())
                    && KEYWORDS.binary_search(&text).is_ok() =>
            {
                Some("b")
            }
            TokenKind::StringLiteral | TokenKind::Number => Some("i"),
            TokenKind::Comment => Some("em"),
            _ => None,
        };
        match tag {
            Some(tag) => {
                out.push('<');
                out.push_str(tag);
                out.push('>');
                out.push_str(&html(text));
                out.push_str("</");
                out.push_str(tag);
                out.push('>');
            }
            None => out.push_str(&html(text)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_apart_and_nothing_is_lost() {
        assert!(KEYWORDS.is_sorted());
        assert_eq!(
            highlighted("SELECT a AS `from`, '<b>' -- x\nFROM t"),
            "<b>SELECT</b> a <b>AS</b> `from`, <i>&#39;&lt;b&gt;&#39;</i> <em>-- x</em>\n<b>FROM</b> t"
        );
    }
}
