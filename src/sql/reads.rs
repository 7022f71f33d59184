//! The tables a query reads, as far as sqlparser reads the query.

use std::collections::BTreeSet;

use sqlparser::ast::{Query, SetExpr, Statement, TableFactor, TableWithJoins};
use sqlparser::dialect::ClickHouseDialect;
use sqlparser::parser::Parser;

use crate::sql::lexer::{TokenKind, tokens};

/// The tables named in FROM and JOIN of a SELECT, or of the SELECT inside a CREATE VIEW or an INSERT; without those that WITH defines.
/// `None`: not known. A hint for people, never a ground to decide on.
#[must_use]
pub fn reads(sql: &str) -> Option<BTreeSet<String>> {
    let body = select_of(sql)?;
    let statements = Parser::parse_sql(&ClickHouseDialect {}, body).ok()?;
    let [Statement::Query(query)] = statements.as_slice() else {
        return None;
    };
    let mut tables = BTreeSet::new();
    of_query(query, &BTreeSet::new(), &mut tables);
    Some(tables)
}

/// The text from the first SELECT or WITH on that is not inside brackets.
fn select_of(sql: &str) -> Option<&str> {
    let mut depth = 0_usize;
    for token in tokens(sql) {
        match token.kind {
            TokenKind::OpeningRoundBracket => depth += 1,
            TokenKind::ClosingRoundBracket => depth = depth.saturating_sub(1),
            TokenKind::BareWord if depth == 0 => {
                let word = token.span.of(sql);
                if word.eq_ignore_ascii_case("SELECT") || word.eq_ignore_ascii_case("WITH") {
                    return sql.get(token.span.start..);
                }
            }
            _ => {}
        }
    }
    None
}

fn of_query(query: &Query, outer: &BTreeSet<String>, tables: &mut BTreeSet<String>) {
    let mut defined = outer.clone();
    for table in query.with.iter().flat_map(|with| &with.cte_tables) {
        of_query(&table.query, &defined, tables);
        defined.insert(table.alias.name.value.clone());
    }
    of_body(&query.body, &defined, tables);
}

fn of_body(body: &SetExpr, defined: &BTreeSet<String>, tables: &mut BTreeSet<String>) {
    match body {
        SetExpr::Select(select) => {
            for from in &select.from {
                of_joins(from, defined, tables);
            }
        }
        SetExpr::Query(query) => of_query(query, defined, tables),
        SetExpr::SetOperation { left, right, .. } => {
            of_body(left, defined, tables);
            of_body(right, defined, tables);
        }
        _ => {}
    }
}

fn of_joins(from: &TableWithJoins, defined: &BTreeSet<String>, tables: &mut BTreeSet<String>) {
    let joined = from.joins.iter().map(|join| &join.relation);
    for factor in std::iter::once(&from.relation).chain(joined) {
        match factor {
            // A table function has arguments and reads no table of that name.
            TableFactor::Table {
                name, args: None, ..
            } => {
                let parts: Vec<&str> = name
                    .0
                    .iter()
                    .filter_map(|part| part.as_ident())
                    .map(|part| part.value.as_str())
                    .collect();
                let name = parts.join(".");
                if !defined.contains(&name) {
                    tables.insert(name);
                }
            }
            TableFactor::Derived { subquery, .. } => of_query(subquery, defined, tables),
            TableFactor::NestedJoin {
                table_with_joins, ..
            } => of_joins(table_with_joins, defined, tables),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::reads;

    #[test]
    fn tables_of_from_and_join_are_found_and_the_rest_is_unknown() {
        let read =
            |sql: &str| reads(sql).map(|tables| tables.into_iter().collect::<Vec<_>>().join(" "));
        let known = |tables: &str| Some(tables.to_owned());
        assert_eq!(read("SELECT 1"), known(""));
        assert_eq!(
            read("SELECT * FROM a FINAL JOIN b.c USING (x)"),
            known("a b.c")
        );
        assert_eq!(
            read(
                "CREATE MATERIALIZED VIEW mv TO t AS WITH x AS (SELECT * FROM a) SELECT * FROM x, (SELECT 1 FROM d) UNION ALL SELECT * FROM e"
            ),
            known("a d e")
        );
        assert_eq!(read("INSERT INTO t SELECT * FROM numbers(10)"), known(""));
        assert_eq!(read("CREATE TABLE t (a UInt8) ENGINE = Memory"), None);
        assert_eq!(read("SELECT FROM WHERE"), None);
    }
}
