//! A thousand tables: replayed, read back, compared, and what leads from them to a hundred edited ones, there and back.
//!
//! `cargo bench --bench diff`. All figures are of one run on one engine.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run fails")]

mod common;

use camino_tempfile::Utf8TempDir;
use common::{engine, line, ms, time};
use housewright::clickhouse::Client;
use housewright::drift::{Bench, Step, compare, declared, lead, write};

const TABLES: usize = 1000;

fn table(number: usize) -> String {
    format!(
        "CREATE TABLE t{number} (id UInt64, at DateTime('UTC') CODEC(Delta, ZSTD(1)), name LowCardinality(String) DEFAULT 'x' COMMENT 'a name', \
         total Decimal(18, 2), INDEX by_name name TYPE bloom_filter) ENGINE = MergeTree PARTITION BY toYYYYMM(at) ORDER BY (id, at)"
    )
}

#[tokio::main]
async fn main() {
    let handle = engine().await;
    let client = Client::new(handle.server(), "default").unwrap();
    let bench = Bench::new(&client, "home").await.unwrap();
    let tables: Vec<String> = (0..TABLES).map(table).collect();
    let steps = Step::of_text(&tables.join(";\n"));
    let (took, state) = time(bench.replay(&steps)).await;
    let state = state.unwrap();
    line(
        "1000 tables replayed and read",
        &format!("{:.0} ms", ms(took)),
    );
    let (took, again) = time(bench.read_back(&state)).await;
    line(
        "loaded from their definitions and read",
        &format!("{:.0} ms", ms(took)),
    );
    let again = again.unwrap();
    let (took, differences) = time(async { state.differences(&again) }).await;
    assert!(differences.is_empty());
    line("compared", &format!("{:.0} ms", ms(took)));
    let dir = Utf8TempDir::new().unwrap();
    write(dir.path(), &state).unwrap();
    let (took, changes) = time(async { compare(dir.path(), &state).unwrap() }).await;
    assert!(changes.is_empty());
    line("compared with 1000 files", &format!("{:.0} ms", ms(took)));
    for edited in [0, 100] {
        for number in 0..edited {
            let text = table(number * 10)
                .replace("total Decimal(18, 2)", "total Decimal(18, 2), more UInt8");
            fs_err::write(dir.path().join(format!("t{}.sql", number * 10)), text).unwrap();
        }
        let files = declared(dir.path(), "home").unwrap();
        let (took, outcome) = time(lead(&bench, &steps, &files)).await;
        assert_eq!(outcome.unwrap().diff.safe.len(), edited);
        line(
            &format!("diff with {edited} edited, the whole way"),
            &format!("{:.0} ms", ms(took)),
        );
    }
    handle.end().await;
}
