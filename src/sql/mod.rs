//! Text → statements with spans and a kind. The only room that knows sqlparser.
