//! A statement → the same statement, wrong in one place: every mistake that people make in views. Pure.
//!
//! Works on the tokens, so that whatever ClickHouse reads can be changed; the engine judges what still is a definition. What has no
//! meaning (comments, codecs, settings, indices, partitions) is left alone. The operators are those of mutation testing for SQL (Tuya,
//! Suárez-Cabal, de la Riva, 2007) and the traps of aggregating views: first and last, ties, NULL, states, keys, FINAL.

mod definition;
mod expression;
mod select;
mod tokens;

use std::collections::BTreeMap;

use crate::sql::{Kind, Span, header};
use crate::viewtest::mutate::tokens::Statement;

/// A change of one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutation {
    /// What is changed, as `object.column: before → after`; unique in a schema.
    pub name: String,
    /// The pieces of text and what stands there instead; in order, without overlap.
    pub edits: Vec<(Span, String)>,
}

impl Mutation {
    /// The changed statement.
    #[must_use]
    pub fn apply(&self, sql: &str) -> String {
        let mut text = String::with_capacity(sql.len() + 32);
        let mut at = 0;
        for (span, with) in &self.edits {
            text.push_str(sql.get(at..span.start).unwrap_or_default());
            text.push_str(with);
            at = span.end;
        }
        text.push_str(sql.get(at..).unwrap_or_default());
        text
    }
}

/// The types of the columns that a statement may name.
pub type Types = BTreeMap<String, String>;

/// Every change of one place. Names are unique within `taken`, which grows.
#[must_use]
pub fn mutations(sql: &str, types: &Types, taken: &mut BTreeMap<String, usize>) -> Vec<Mutation> {
    let header = header(sql);
    let Some(object) = header.objects.first() else {
        return Vec::new();
    };
    let mut statement = Statement::read(sql, &object.name, types);
    match header.kind {
        Kind::CreateTable => statement.table(),
        Kind::CreateView | Kind::CreateMaterializedView => statement.view(),
        Kind::Alter => statement.alter(),
        _ => return Vec::new(),
    }
    statement.operators();
    let mut found = statement.found;
    // What changes nothing is no mutant, and the same text is one.
    let mut texts: Vec<String> = vec![sql.to_owned()];
    found.retain(|mutation| {
        let text = mutation.apply(sql);
        let new = !texts.contains(&text);
        texts.push(text);
        new
    });
    for mutation in &mut found {
        let number = taken.entry(mutation.name.clone()).or_insert(0);
        *number += 1;
        if *number > 1 {
            mutation.name = format!("{} ({number})", mutation.name);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(sql: &str, columns: &[(&str, &str)]) -> String {
        let types: Types = columns
            .iter()
            .map(|(name, kind)| ((*name).to_owned(), (*kind).to_owned()))
            .collect();
        let found = mutations(sql, &types, &mut BTreeMap::new());
        let names: Vec<&str> = found
            .iter()
            .map(|mutation| mutation.name.as_str())
            .collect();
        names.join("\n")
    }

    #[test]
    fn a_table_in_every_wrong_way() {
        insta::assert_snapshot!(names(
            "CREATE TABLE s (k String COMMENT 'kept' CODEC(ZSTD(1)), d String DEFAULT concat(k, '-'), n Nullable(UInt8), \
             a DateTime64(6) MATERIALIZED now64(6), m SimpleAggregateFunction(min, DateTime64(3)), \
             CONSTRAINT given CHECK k != '') ENGINE = AggregatingMergeTree ORDER BY (k, d) SETTINGS index_granularity = 1",
            &[("k", "String"), ("d", "String")],
        ), @r##"
        s.d: DEFAULT concat(k, '-') → (dropped)
        s.a: MATERIALIZED → DEFAULT
        s.given: CONSTRAINT given → (dropped)
        s.engine: AggregatingMergeTree → ReplacingMergeTree
        s.engine: AggregatingMergeTree → MergeTree
        s.order by: k → (dropped)
        s.order by: d → (dropped)
        s.d: concat(k, '-') → k
        s.d: concat(k, '-') → '-'
        s.d: k in concat → a constant
        s.d: '-' → '' in concat
        s.n: Nullable(UInt8) → UInt8
        s.a: DateTime64(6) → DateTime64(0)
        s.a: now64(6) → 6
        s.a: 6 → 7 in now64
        s.m: min → max
        s.m: min → any
        s.m: SimpleAggregateFunction(min, …) → the type alone
        s.m: DateTime64(3) → DateTime64(0)
        s.given: k in s → a constant
        s.given: k != '' → =
        s.given: '' → '?' in s
        "##);
    }

    #[test]
    fn a_view_in_every_wrong_way() {
        insta::assert_snapshot!(names(
            "CREATE MATERIALIZED VIEW v TO t AS SELECT e.k AS k, min((e.ts, e.id)) AS entry, argMinIfState(e.url, e.ts, e.ok) AS u, \
             countIf(e.id = 'x') AS n, uniq(e.id) AS people FROM events AS e FINAL WHERE e.k != '' AND e.ts BETWEEN 1 AND 1800 GROUP BY e.k, e.id",
            &[
                ("k", "String"),
                ("id", "String"),
                ("url", "String"),
                ("ts", "DateTime"),
                ("ok", "UInt8")
            ],
        ), @"
        v.where: WHERE e.k != '' AND e.ts BETWEEN 1 AND 1800 → (dropped)
        v.group by: e.k → (dropped)
        v.group by: e.id → (dropped)
        v.k: e.k → a constant
        v.k: e.k → id
        v.entry: min → max
        v.entry: min → any
        v.entry: e.ts of (e.ts, e.id) → (dropped)
        v.entry: e.id of (e.ts, e.id) → (dropped)
        v.entry: e.ts → a constant
        v.entry: e.id → a constant
        v.entry: e.id → url
        v.u: argMinIfState → argMaxIfState
        v.u: argMinIfState(e.url, e.ts, e.ok) → anyIfState(e.url, e.ok)
        v.u: argMinIfState(e.url, e.ts, e.ok) → argMinState(e.url, e.ts)
        v.u: argMinIfState → argMinIfMerge
        v.u: e.url in argMinIfState → a constant
        v.u: e.url in argMinIfState → k
        v.u: e.ts in argMinIfState → a constant
        v.u: e.ok in argMinIfState → a constant
        v.n: countIf(e.id = 'x') → count()
        v.n: e.id in countIf → a constant
        v.n: e.id in countIf → url
        v.n: e.id = 'x' → !=
        v.n: 'x' → '' in countIf
        v.people: uniq → count
        v.people: e.id in uniq → a constant
        v.people: e.id in uniq → url
        v.from: FINAL → (dropped)
        v.where: e.k → a constant
        v.where: e.k → id
        v.where: e.k != '' → =
        v.where: '' → '?'
        v.where: e.k != '' AND e.ts BETWEEN 1 AND 1800 → OR
        v.where: e.k != '' AND → (dropped)
        v.where: AND e.ts BETWEEN 1 AND 1800 → (dropped)
        v.where: e.ts → a constant
        v.where: e.ts BETWEEN 1 AND 1800 → e.ts > 1 AND e.ts <= 1800
        v.where: e.ts BETWEEN 1 AND 1800 → e.ts >= 1 AND e.ts < 1800
        v.where: 1 → 2
        v.where: 1800 → 1801
        ");
    }

    #[test]
    fn what_reads_a_tuple() {
        insta::assert_snapshot!(names(
            "CREATE VIEW v AS SELECT if(tupleElement(e, 'known') = 1, tupleElement(e, 'id'), NULL) AS who FROM (SELECT DISTINCT e FROM t UNION ALL SELECT e FROM u)",
            &[],
        ), @r##"
        v: DISTINCT → (dropped)
        v.union: ALL → DISTINCT
        v.who: if(tupleElement(e, 'known') = 1, tupleEl…(e, 'id'), NULL) → tupleElement(e, 'id')
        v.who: if(tupleElement(e, 'known') = 1, tupleEl…(e, 'id'), NULL) → NULL
        v.who: tupleElement(e, 'known') → e.known
        v.who: 'known' → 'id'
        v.who: tupleElement(e, 'known') = 1 → !=
        v.who: 1 → 2 in if
        v.who: tupleElement(e, 'id') → e.id
        v.who: 'id' → 'known'
        v.who: NULL → ''
        "##);
    }

    #[test]
    fn a_state_is_taken_for_its_value() {
        insta::assert_snapshot!(names(
            "CREATE VIEW v AS SELECT uniqMerge(u) AS u, sumIfState(a, b) AS s, minSimpleState(a) AS m FROM t WHERE (x, y) IN (1, 2)",
            &[],
        ), @"
        v.where: WHERE (x, y) IN (1, 2) → (dropped)
        v.u: uniqMerge → countMerge
        v.u: uniqMerge → uniqState
        v.u: uniqMerge → uniq
        v.s: sumIfState → maxIfState
        v.s: sumIfState → anyIfState
        v.s: sumIfState(a, b) → sumState(a)
        v.s: sumIfState → sumIfMerge
        v.m: minSimpleState → maxSimpleState
        v.m: minSimpleState → anySimpleState
        v.where: x of (x, y) → (dropped)
        v.where: y of (x, y) → (dropped)
        v.where: (x, y) IN (1, 2) → NOT IN
        v.where: 1 of (1, 2) → (dropped)
        v.where: 2 of (1, 2) → (dropped)
        v.where: 1 → 2 in IN
        v.where: 2 → 3 in IN
        ");
    }

    #[test]
    fn only_the_place_that_is_named_changes() {
        let sql = "CREATE VIEW v AS SELECT a, max(b) AS b FROM t GROUP BY a, c -- max(b)";
        let found = mutations(sql, &Types::new(), &mut BTreeMap::new());
        let texts: Vec<String> = found.iter().map(|mutation| mutation.apply(sql)).collect();
        insta::assert_snapshot!(texts.join("\n"), @r##"
        CREATE VIEW v AS SELECT any(a) AS a, max(b) AS b FROM t GROUP BY  c -- max(b)
        CREATE VIEW v AS SELECT a, max(b) AS b FROM t GROUP BY a -- max(b)
        CREATE VIEW v AS SELECT a, min(b) AS b FROM t GROUP BY a, c -- max(b)
        CREATE VIEW v AS SELECT a, anyLast(b) AS b FROM t GROUP BY a, c -- max(b)
        "##);
    }

    #[test]
    fn statements_that_make_nothing_have_no_mutants() {
        assert_eq!(names("INSERT INTO t SELECT 1", &[]), "");
        assert_eq!(names("DROP TABLE t", &[]), "");
        assert_eq!(names("", &[]), "");
    }
}
