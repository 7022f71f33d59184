//! Our lexer against the engine's own: `tokenizeQuery`, token by token, on a corpus and on generated soup.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod support;

use housewright::clickhouse::{Client, Query};
use housewright::sql::tokens;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::Deserialize;

/// Texts that are sent at once.
const BATCH: usize = 500;

/// Compares and returns how many texts differ, with the first of them.
async fn differences(client: &Client, texts: &[String]) -> Vec<String> {
    #[derive(Deserialize)]
    struct Row {
        tokens: Vec<(usize, usize, String)>,
    }
    let mut differences = Vec::new();
    for batch in texts.chunks(BATCH) {
        let query = Query::new("SELECT tokenizeQuery(arrayJoin({texts:Array(String)})) AS tokens")
            .texts("texts", batch.to_vec())
            .setting("output_format_json_named_tuples_as_objects", "0");
        let theirs: Vec<Row> = client.rows(&query).await.unwrap();
        assert_eq!(theirs.len(), batch.len());
        for (text, theirs) in batch.iter().zip(theirs) {
            let ours: Vec<(usize, usize, String)> = tokens(text)
                .map(|token| {
                    (
                        token.span.start,
                        token.span.end,
                        format!("{:?}", token.kind),
                    )
                })
                .collect();
            if ours != theirs.tokens {
                differences.push(format!(
                    "{text:?}\n  ours   {ours:?}\n  theirs {:?}",
                    theirs.tokens
                ));
            }
        }
    }
    differences
}

const CORPUS: [&str; 40] = [
    "SELECT 1",
    "-- comment\nSELECT 1 -- another",
    "# comment\nSELECT 1",
    "#!/usr/bin/clickhouse-local\nSELECT 1",
    "#no comment",
    "// comment\nSELECT 1/2",
    "/* /* nested */ */ SELECT 1",
    "/* never closed /* */",
    "SELECT 'it''s', 'a\\'b', 'x\\\\'",
    "SELECT 'never closed",
    "SELECT \"a\"\"b\", `c``d`, `e\\`f`",
    "SELECT \"never closed",
    "SELECT `never closed",
    "SELECT $$a ' \" ; b$$, $tag$ $$ ; $tag$",
    "SELECT $tag$ never closed $other$",
    "SELECT $1, $a, a$b$c",
    "SELECT ‘curly ; string’, “curly id”",
    "SELECT ‘never closed",
    "SELECT 1 − 2",
    "SELECT 0x1F, 0b101, 1e10, 1.5e-3, .5, 1_000_000, 0x_1, 1__0",
    "SELECT x'1F', b'01', X'', x'zz'",
    "SELECT t.1.1, t.1.x, (1, 2).1, [1][1].2",
    "SELECT 1name, 1.name, 0xname",
    "SELECT {p:String}, {a: Array(UInt8)}",
    "SELECT a::String, b ? c : d, x -> y",
    "SELECT a || b, a | b, @@x, @y, a <=> b, a <> b, a != b, !a, a == b",
    "SELECT 1\\G",
    "SELECT \\",
    "INSERT INTO t FORMAT JSONEachRow {\"a\": \"b\"}",
    "SELECT\u{a0}1,\u{3000}2,\u{feff}3,\u{200b}4,\u{2028}5",
    "SELECT 'é', é, 日本",
    "SELECT a % b ^ c * d + e - f / g",
    ";;;",
    "",
    " \t\r\n\u{b}\u{c}",
    "CREATE TABLE t (`a b` Nullable(DateTime64(3, 'UTC')) DEFAULT now64(3) CODEC(Delta(8), ZSTD(1)) COMMENT 'x;y') ENGINE = MergeTree ORDER BY tuple()",
    "ALTER TABLE t ADD COLUMN IF NOT EXISTS a UInt8 AFTER b, DROP COLUMN c",
    "CREATE MATERIALIZED VIEW mv TO db.t AS SELECT count() FROM s GROUP BY ALL",
    "SELECT 1 FORMAT CSV; -- done",
    "SELECT \u{0}",
];

const PIECES: [&str; 84] = [
    "'", "\"", "`", "''", "\\", "\\'", "$", "$$", "$a$", "$tag$", "--", "-", "->", "//", "/*",
    "*/", "/", "# ", "#!", "#", "\n", "\n\n", " ", "\t", ";", ".", "..", "1", "12", "0x1F", "0b01",
    "1e5", "1.5", "1_000", "_", "e", "x'1F'", "b'01'", "x'", "abc", "a$b", "$x", "1a", "‘", "’",
    "“", "”", "−", "é", "\u{a0}", "\u{3000}", "\u{200b}", "\u{feff}", "\u{2028}", "\u{205f}",
    "\u{2060}", "{", "}", "(", ")", "[", "]", ",", "=", "!", "<", ">", "?", ":", "|", "@", "^",
    "%", "+", "*", "\\G", "0", "1e+", "0x", "t.`a`", "FORMAT", "\r", "~", "日",
];

#[tokio::test]
async fn the_corpus_is_cut_as_the_engine_cuts_it() {
    let client = support::database("lexer_corpus").await;
    let texts: Vec<String> = CORPUS.iter().map(|text| (*text).to_owned()).collect();
    let differences = differences(&client, &texts).await;
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[tokio::test]
async fn every_statement_of_our_schema_is_cut_as_the_engine_cuts_it() {
    let client = support::database("lexer_schema").await;
    let migrations = housewright::migration::Migrations::load(&support::schema()).unwrap();
    let texts: Vec<String> = migrations
        .iter()
        .map(|migration| migration.text.clone())
        .collect();
    assert!(texts.len() >= 3);
    let differences = differences(&client, &texts).await;
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// `HOUSEWRIGHT_LEXER_TEXTS` asks for more than the 60,000 texts of every run.
#[tokio::test]
async fn soup_is_cut_as_the_engine_cuts_it() {
    let client = support::database("lexer_soup").await;
    let number = std::env::vars()
        .find(|(name, _)| name == "HOUSEWRIGHT_LEXER_TEXTS")
        .map_or(60_000, |(_, value)| value.parse().unwrap());
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut below = |bound: usize| usize::try_from(random.next_u64() % bound as u64).unwrap();
    let texts: Vec<String> = (0..number)
        .map(|_| {
            (0..=below(14))
                .map(|_| PIECES[below(PIECES.len())])
                .collect()
        })
        .collect();
    let differences = differences(&client, &texts).await;
    let first: Vec<&String> = differences.iter().take(5).collect();
    assert!(
        differences.is_empty(),
        "{} of {number} differ: {first:#?}",
        differences.len()
    );
}
