//! The parameters of a query: `{name:Type}`. From the tokens alone.

use crate::sql::lexer::{Token, TokenKind, tokens};

/// A parameter of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Its type, as it is written.
    pub r#type: String,
}

/// The parameters of a query, each once, in the order in which they first stand there.
#[must_use]
pub fn parameters(sql: &str) -> Vec<Parameter> {
    let tokens: Vec<Token> = tokens(sql)
        .filter(|token| token.kind.is_significant())
        .collect();
    let mut parameters: Vec<Parameter> = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        if token.kind != TokenKind::OpeningCurlyBrace {
            continue;
        }
        let Some(name) = tokens.get(index + 1) else {
            continue;
        };
        let end = tokens
            .iter()
            .skip(index)
            .find(|token| token.kind == TokenKind::ClosingCurlyBrace);
        let r#type = tokens
            .get(index + 3)
            .zip(end)
            .and_then(|(first, end)| sql.get(first.span.start..end.span.start))
            .unwrap_or_default()
            .trim()
            .to_owned();
        let name = name.span.of(sql).to_owned();
        if !parameters.iter().any(|known| known.name == name) {
            parameters.push(Parameter { name, r#type });
        }
    }
    parameters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stands_once_and_braces_in_strings_are_none() {
        let found = parameters(
            "SELECT {a:UInt8}, '{b:String}', {c : DateTime64(3, 'UTC')} /* {d:UInt8} */ WHERE x = {a:UInt8}",
        );
        let found: Vec<String> = found
            .iter()
            .map(|it| format!("{} {}", it.name, it.r#type))
            .collect();
        assert_eq!(found, ["a UInt8", "c DateTime64(3, 'UTC')"]);
    }
}
