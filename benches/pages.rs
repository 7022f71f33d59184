//! `docs` of a thousand objects: how long it takes, how large the page is, when a browser has painted it.
//!
//! `cargo bench --bench pages`; TABLES is how many tables, CHROMIUM the browser.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark that cannot run fails, and prints its figures"
)]

mod common;

use std::fmt::Write as _;
use std::process::Command;
use std::time::Instant;

use camino::Utf8Path;
use camino_tempfile::Utf8TempDir;
use common::{engine, line, ms, number, time};
use housewright::clickhouse::Client;
use housewright::config::Environment;
use housewright::drift::Bench;
use housewright::migration::Migrations;
use housewright::recipe::Recipes;
use housewright::{docs, survey};

/// Tables of twenty columns; every tenth has a materialized view into a state, and a view over that.
fn schema(tables: u64) -> Utf8TempDir {
    let directory = Utf8TempDir::new().unwrap();
    let migrations = directory.path().join("migrations");
    fs_err::create_dir_all(&migrations).unwrap();
    for chunk in 0..tables.div_ceil(50) {
        let mut sql = "-- migrate:up\n".to_owned();
        for table in chunk * 50..((chunk + 1) * 50).min(tables) {
            let mut columns = String::new();
            for column in 0..18 {
                let _ = write!(
                    columns,
                    "column_{column} String COMMENT 'What column {column} of table {table} means, in about as many words as people write',"
                );
            }
            let _ = writeln!(
                sql,
                "CREATE TABLE table_{table} (id UInt64, at DateTime('UTC'), {columns} extra String DEFAULT lower(column_0)) ENGINE = MergeTree ORDER BY (id, at) COMMENT 'What table {table} is for';"
            );
            if table % 10 == 0 {
                let _ = writeln!(
                    sql,
                    "CREATE TABLE state_{table} (id UInt64, first SimpleAggregateFunction(min, Tuple(at DateTime('UTC'), value String))) ENGINE = AggregatingMergeTree ORDER BY id;\n\
                     CREATE MATERIALIZED VIEW state_{table}_mv TO state_{table} AS SELECT id, min((at, column_0)) AS first FROM table_{table} GROUP BY id;\n\
                     CREATE VIEW view_{table} AS SELECT s.id AS id, tupleElement(s.first, 'value') AS value, o.column_1 AS other FROM state_{table} AS s FINAL LEFT JOIN table_{} AS o ON o.id = s.id;",
                    // A view of what was made before.
                    table.saturating_sub(10)
                );
            }
        }
        sql.push_str("-- migrate:down\n");
        fs_err::write(migrations.join(format!("{:04}_tables.sql", chunk + 1)), sql).unwrap();
    }
    directory
}

#[tokio::main]
async fn main() {
    let tables = number("TABLES", 1000);
    let directory = schema(tables);
    let (took, migrations) = time(async { Migrations::load(directory.path()).unwrap() }).await;
    line("read the migrations", &format!("{:.0} ms", ms(took)));
    let handle = engine().await;
    let client = Client::new(handle.server(), "default").unwrap();
    let bench = Bench::new(&client, "bench").await.unwrap();
    let (took, model) = time(survey::model(
        &bench,
        &migrations,
        &Recipes::default(),
        true,
    ))
    .await;
    let model = model.unwrap();
    handle.end().await;
    let columns: usize = model
        .objects
        .iter()
        .map(|object| object.columns.len())
        .sum();
    line(
        &format!("survey: {} objects, {columns} columns", model.objects.len()),
        &format!("{:.1} s", took.as_secs_f64()),
    );
    let begun = Instant::now();
    let pages = docs::pages(&model);
    line("all four pages", &format!("{:.0} ms", ms(begun.elapsed())));
    let begun = Instant::now();
    let drawn = docs::svg(&model);
    line(
        "of which the drawing, laid out",
        &format!("{:.0} ms", ms(begun.elapsed())),
    );
    assert!(!drawn.is_empty());
    for page in &pages {
        let bytes = page.text.len();
        line(
            page.name,
            &format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10),
        );
    }
    docs::write(directory.path(), &pages).unwrap();
    paint(&directory.path().join("index.html"));
}

/// When Chromium has painted, by its own account, and the page for our own schema for comparison.
fn paint(page: &Utf8Path) {
    const ASK: &str = r#"
import { chromium } from "playwright-core";
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
for (const file of process.argv.slice(2)) {
  const times = [];
  for (let run = 0; run < 5; run++) {
    const page = await browser.newPage({ viewport: { width: 1600, height: 1000 } });
    await page.goto("file://" + file);
    times.push(await page.evaluate(() => new Promise((done) => {
      const seen = performance.getEntriesByName("first-contentful-paint")[0];
      const loaded = performance.getEntriesByType("navigation")[0];
      requestAnimationFrame(() => setTimeout(() => done([performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? seen?.startTime, loaded.domContentLoadedEventEnd]), 100));
    })));
    const begun = Date.now();
    await page.fill("input", "column_7");
    await page.waitForSelector("[role=option]");
    times.at(-1).push(Date.now() - begun);
    await page.close();
  }
  times.sort((a, b) => a[0] - b[0]);
  const [paint, ready, search] = times[2];
  console.log(`${Math.round(paint)} ms to first paint, ${Math.round(ready)} ms to ready, ${search} ms for the first search`);
}
await browser.close();
"#;
    let home = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tmp/browser");
    let environment = Environment::of_this_process();
    let chromium = environment.get("CHROMIUM").unwrap_or("/usr/bin/chromium");
    if !home.join("node_modules").exists() || !Utf8Path::new(chromium).exists() {
        println!(
            "(no browser: run `cargo test --test pages` first, which installs what drives it)"
        );
        return;
    }
    fs_err::write(home.join("paint.mjs"), ASK).unwrap();
    let ours = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/docs/index.html");
    let output = Command::new("node")
        .args(["paint.mjs", page.as_str(), ours.as_str()])
        .env("CHROMIUM", chromium)
        .current_dir(&home)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    for (what, figures) in ["in a browser", "our own schema's page"]
        .iter()
        .zip(said.lines())
    {
        line(what, figures);
    }
}
