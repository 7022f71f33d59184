//! The stories of `rebuild`: rows come in all the time, it is killed anywhere, and nothing is lost, doubled or seen wrong.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]
#![expect(clippy::print_stdout, reason = "the counts are worth reading")]

mod support;

use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use camino::Utf8Path;
use housewright::clickhouse::{Client, Query};
use housewright::config::Environment;
use rand::{RngExt, SeedableRng};
use support::kill::{self, End};
use support::proxy::{Fate, Proxy, Request};
use support::sandbox::{Sandbox, snapshot};
use support::{database, database_with_schema, engine, execute, schema, table};

/// The command against the engine of this binary, or what stands before it.
fn housewright(url: &str, database: &str, args: &[&str]) -> Command {
    let schema = schema();
    let target = [
        "--url",
        url,
        "--database",
        database,
        "--schema",
        schema.as_str(),
    ];
    let root = Utf8Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = support::command(root, &[&target, args].concat());
    command.env("USER", "tester").env("HOSTNAME", "box").env(
        "HOUSEWRIGHT_PASSWORD",
        engine().password.as_ref().unwrap().expose(),
    );
    command
}

fn run(database: &str, args: &[&str]) -> Output {
    housewright(&engine().url, database, args).output().unwrap()
}

/// Runs what has to succeed.
fn done(database: &str, args: &[&str]) -> String {
    let output = run(database, args);
    assert!(
        output.status.success(),
        "{args:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Runs the command and kills it with SIGKILL at the n-th request that changes something.
fn killed_at(database: &str, args: &[&str], number: usize, fate: Fate) -> End {
    kill::killed_at(|url| housewright(url, database, args), number, fate)
}

/// Everything that is there, as the server writes it; the journal is no part of a schema, and a lock that was broken is none.
async fn everything(client: &Client) -> String {
    table(
        client,
        "SELECT name, create_table_query AS definition FROM system.tables WHERE database = currentDatabase() AND name NOT LIKE 'housewright_lock%' ORDER BY name",
    )
    .await
}

/// Two months of some projects, sent ids and ties among them.
async fn seed(client: &Client, events: u64) {
    let options = housewright::seed::Options {
        seed: 7,
        events,
        projects: 2,
        days: 5,
        start: jiff::civil::date(2026, 5, 28),
    };
    let mut text = Vec::new();
    for event in housewright::seed::generate(&options).unwrap() {
        event.write_json_line(&mut text).unwrap();
    }
    support::insert(client, "INSERT INTO events FORMAT JSONEachRow", text).await;
    execute(
        client,
        "INSERT INTO events (project_id, event_id, timestamp, event_name, anonymous_id, session_id, user_id, source) SELECT 'p0', toString(number % 90), toDateTime64('2026-05-31 23:50:00', 3, 'UTC') + number, if(number % 3 = 0, '$pageview', 'x'), 'tie', 'long', if(number % 7 = 0, 'u' || toString(number), NULL), toString(number % 90) FROM numbers(1200)",
    )
    .await;
}

/// Sessions by the raw rows, in words of their own.
const RAW: &str = "SELECT project_id, session_id, anonymous_id, min(timestamp) AS started_at, max(timestamp) AS ended_at, \
    toInt64(floor((toUnixTimestamp64Milli(max(timestamp)) - toUnixTimestamp64Milli(min(timestamp))) / 1000)) AS duration_s, \
    count() AS event_count, countIf(event_name = '$pageview') AS pageview_count, \
    argMin(toString(source), (timestamp, event_id)) AS entry_source, argMin(url, (timestamp, event_id)) AS entry_url, \
    argMaxIf(assumeNotNull(user_id), (timestamp, event_id), user_id != '') AS user_id \
    FROM events GROUP BY project_id, session_id, anonymous_id";

const VIEW: &str = "SELECT project_id, session_id, anonymous_id, started_at, ended_at, duration_s, event_count, pageview_count, \
    entry_source, entry_url, ifNull(user_id, '') AS user_id FROM sessions";

/// `sessions` is what the raw rows say, row by row. Gives the number of sessions.
async fn assert_right(client: &Client) -> u64 {
    assert_right_where(client, "1").await
}

/// The same for some of the sessions. Gives the number of all.
async fn assert_right_where(client: &Client, condition: &str) -> u64 {
    let wrong = table(
        client,
        &format!("SELECT * FROM ({VIEW} EXCEPT {RAW}) WHERE {condition} LIMIT 3"),
    )
    .await;
    assert_eq!(wrong, "", "rows that should not be there");
    let missing = table(
        client,
        &format!("SELECT * FROM ({RAW} EXCEPT {VIEW}) WHERE {condition} LIMIT 3"),
    )
    .await;
    assert_eq!(missing, "", "rows that are missing");
    let counts = table(
        client,
        "SELECT count() AS n, count() - uniqExact(project_id, session_id, anonymous_id) AS doubled FROM sessions",
    )
    .await;
    let (count, doubled) = counts.split_once(" | ").unwrap();
    assert_eq!(doubled, "0");
    count.parse().unwrap()
}

/// A reader leaves the machine to the others for so long.
const BETWEEN_LOOKS: Duration = Duration::from_millis(60);

/// What comes in, and how much of it.
#[derive(Default)]
struct Traffic {
    /// INSERTs that were begun, in rows, by writer.
    begun: [AtomicU64; 4],
    /// INSERTs that were answered, in rows.
    answered: [AtomicU64; 4],
    inserts: AtomicU64,
    reads: AtomicU64,
    ended: AtomicBool,
}

/// Sends events without end: late, out of order, twice, into several partitions; some INSERTs take their time.
async fn write(client: Client, number: usize, traffic: Arc<Traffic>) {
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(number as u64);
    let mut event = 0_u64;
    while !traffic.ended.load(Ordering::Relaxed) {
        let rows = random.random_range(2..60_u64);
        let line = |random: &mut rand_chacha::ChaCha8Rng, event: u64| {
            let month = random.random_range(4..7);
            let minute = random.random_range(0..600);
            let session = match random.random_range(0..3) {
                0 => String::new(),
                other => format!(r#","session_id":"s{}""#, other * random.random_range(1..40)),
            };
            format!(
                r#"{{"project_id":"live{number}","event_id":"{event}","timestamp":"2026-{month:02}-15 {:02}:{:02}:00","event_name":"$pageview","anonymous_id":"a{}","source":"s{event}"{session}}}"#,
                minute / 60,
                minute % 60,
                random.random_range(0..5),
            ) + "\n"
        };
        let mut text = Vec::new();
        for _ in 0..rows / 2 {
            event += 1;
            let line = line(&mut random, event);
            // Clients retry: the same event, twice.
            text.extend_from_slice(line.as_bytes());
            text.extend_from_slice(line.as_bytes());
        }
        let rows = rows / 2 * 2;
        traffic.begun[number].fetch_add(rows, Ordering::SeqCst);
        let query =
            Query::new("INSERT INTO events FORMAT JSONEachRow").setting("async_insert", "0");
        let mut insert = client.insert(&query);
        if random.random_range(0..6) == 0 {
            let half = text.len() / 2;
            let rest = text.split_off(half);
            insert.send(text.into()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(random.random_range(50..900))).await;
            insert.send(rest.into()).await.unwrap();
        } else {
            insert.send(text.into()).await.unwrap();
        }
        insert.end().await.unwrap();
        traffic.answered[number].fetch_add(rows, Ordering::SeqCst);
        traffic.inserts.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(random.random_range(0..100))).await;
    }
}

/// Reads without end, and never sees anything wrong, missing or doubled.
async fn read(client: Client, traffic: Arc<Traffic>) {
    const STILL: &str = "SELECT count() AS n, sum(cityHash64(toString(tuple(*)))) AS h FROM sessions WHERE project_id LIKE 'p%'";
    const SOURCES: &str = "SELECT sum(sessions) AS n, sum(events) AS e, sum(cityHash64(source, medium, sessions, events, uniques)) AS h FROM sources(project = 'p0', from = '2026-05-29 00:00:00.000', to = '2026-06-01 00:00:00.000', breakdown = 'source_medium')";
    let still = table(&client, STILL).await;
    let sources = table(&client, SOURCES).await;
    while !traffic.ended.load(Ordering::Relaxed) {
        assert_eq!(table(&client, STILL).await, still);
        assert_eq!(table(&client, SOURCES).await, sources);
        for number in 0..4 {
            let at_least = traffic.answered[number].load(Ordering::SeqCst);
            let seen = table(
                &client,
                &format!("SELECT sum(event_count) AS n, sum(pageview_count) AS p, count() - uniqExact(session_id, anonymous_id) AS doubled FROM sessions WHERE project_id = 'live{number}'"),
            )
            .await;
            let at_most = traffic.begun[number].load(Ordering::SeqCst);
            let seen: Vec<u64> = seen.split(" | ").map(|it| it.parse().unwrap()).collect();
            assert!(
                (at_least..=at_most).contains(&seen[0]) && seen[0] == seen[1] && seen[2] == 0,
                "writer {number}: {at_least} rows were answered and {at_most} sent, and a reader saw {seen:?}"
            );
        }
        traffic.reads.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}

/// What happened in all rounds.
#[derive(Default)]
struct Seen {
    kills: Vec<String>,
    aborts: u64,
    inserts: u64,
    reads: u64,
    sessions: u64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn under_live_ingest_and_killed_anywhere_nothing_is_lost_doubled_or_seen_wrong() {
    // Writers never pause, so that tables grow from round to round: after some rounds new ones are filled.
    const TOGETHER: usize = 3;
    let rounds: u64 = Environment::of_this_process()
        .get("HOUSEWRIGHT_REBUILD_ROUNDS")
        .map_or(1, |rounds| rounds.parse().unwrap());
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(11);
    let mut seen = Seen::default();
    for first in (0..rounds).step_by(TOGETHER) {
        let rounds = first..rounds.min(first + TOGETHER as u64);
        live_rounds(rounds, &mut random, &mut seen).await;
    }
    let Seen {
        kills,
        aborts,
        inserts,
        reads,
        sessions,
    } = seen;
    println!(
        "{rounds} rounds, {} kills, {aborts} aborts, {inserts} inserts, {reads} reads: {sessions} sessions, none lost, doubled or seen wrong",
        kills.len()
    );
    println!("killed at:\n  {}", kills.join("\n  "));
    assert!(inserts > 20 && reads > 5 && !kills.is_empty());
}

/// Rebuilds that follow each other in one database, each killed several times, and gone on with in little memory, while rows come in and are
/// read.
async fn live_rounds(
    rounds: std::ops::Range<u64>,
    random: &mut rand_chacha::ChaCha8Rng,
    seen: &mut Seen,
) {
    const NAME: &str = "rebuild_live";
    let client = database_with_schema(NAME).await;
    seed(&client, 6000).await;
    let before = done(NAME, &["dump"]);
    let traffic = Arc::new(Traffic::default());
    let mut tasks: Vec<_> = (0..4)
        .map(|number| tokio::spawn(write(client.clone(), number, Arc::clone(&traffic))))
        .collect();
    // The first reader's own first look has to come before anything moves; what it looks at never does.
    for _ in 0..2 {
        tasks.push(tokio::spawn(read(client.clone(), Arc::clone(&traffic))));
    }
    for round in rounds {
        let mut args = vec!["rebuild", "sessions", "--lead", "1", "--chunk-rows", "2500"];
        for kill in 0.. {
            let number = random.random_range(1..if kill < 3 { 22 } else { 60 });
            let fate =
                [Fate::HoldBefore, Fate::HoldDuring, Fate::HoldAfter][random.random_range(0..3)];
            let number = if kill < 5 { number } else { usize::MAX };
            let end = {
                let args = args.clone();
                tokio::task::spawn_blocking(move || killed_at(NAME, &args, number, fate))
                    .await
                    .unwrap()
            };
            let End::Killed(at) = end else { break };
            seen.kills.push(format!("{fate:?} {at}"));
            done(NAME, &["unlock", "--force", "-q"]);
            let begun = housewright::rebuild::last(&client).await.unwrap();
            let open = begun.is_some_and(|progress| !progress.ended);
            if open && kill == 1 && round % 2 == 1 {
                done(NAME, &["rebuild", "--abort"]);
                seen.aborts += 1;
                assert_eq!(done(NAME, &["dump"]), before);
            } else if open {
                args = vec!["rebuild", "--resume", "--lead", "1", "--chunk-rows", "2500"];
                // Not enough for a chunk at once.
                args.extend(["--max-threads", "2", "--max-memory", "14000000"]);
                continue;
            }
            args = vec!["rebuild", "sessions", "--lead", "1", "--chunk-rows", "2500"];
        }
        assert_eq!(done(NAME, &["dump"]), before, "names stay what they are");
        if round % 2 == 0 {
            done(NAME, &["rebuild", "--rollback"]);
            done(NAME, &["rebuild", "--resume"]);
        }
        for kill in 0.. {
            let number = if kill < 2 {
                random.random_range(1..7)
            } else {
                usize::MAX
            };
            let end = tokio::task::spawn_blocking(move || {
                killed_at(NAME, &["rebuild", "--finish"], number, Fate::HoldAfter)
            })
            .await
            .unwrap();
            let End::Killed(at) = end else { break };
            seen.kills.push(at);
            done(NAME, &["unlock", "--force", "-q"]);
            let last = housewright::rebuild::last(&client).await.unwrap();
            if last.is_some_and(|progress| progress.ended) {
                break;
            }
        }
        assert_eq!(done(NAME, &["dump"]), before);
        support::say(&format!(
            "round {}: {} kills so far",
            round + 1,
            seen.kills.len()
        ));
    }
    traffic.ended.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
    seen.inserts += traffic.inserts.load(Ordering::Relaxed);
    seen.reads += traffic.reads.load(Ordering::Relaxed);
    seen.sessions += assert_right(&client).await;
    assert!(!everything(&client).await.contains("housewright_stage"));
}

/// One INSERT of some rows, from which each session of the number gets one more.
async fn one_insert(client: &Client, number: usize) {
    execute(
        client,
        &format!("INSERT INTO events (project_id, event_id, timestamp, event_name, anonymous_id, session_id) SELECT 'late', toString(now64(6)) || toString(number), toDateTime64('2026-05-31 23:50:00', 3, 'UTC') + number, '$pageview', 'a', 'l{number}' FROM numbers(4)"),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_of_a_dead_run_that_arrives_when_another_has_gone_on_does_no_harm() {
    const NAME: &str = "rebuild_late";
    const BEGIN: [&str; 6] = ["rebuild", "sessions", "--lead", "0", "--chunk-rows", "400"];
    const RESUME: [&str; 6] = ["rebuild", "--resume", "--lead", "0", "--chunk-rows", "400"];
    let client = database_with_schema(NAME).await;
    seed(&client, 300).await;
    let before = done(NAME, &["dump"]);
    let step = if support::full() { 1 } else { 13 };
    let mut places = Vec::new();
    // The run that is killed is the first, or one that went on after another.
    for resumed in [true, false] {
        for number in (1 + usize::from(resumed)..).step_by(step) {
            if resumed {
                // Before the new view feeds the new state for good.
                let count = AtomicUsize::new(0);
                let feeds = move |request: &Request| {
                    let first = request.sql().contains("MODIFY QUERY")
                        && count.fetch_add(1, Ordering::SeqCst) == 0;
                    if first { Fate::HoldAfter } else { Fate::Pass }
                };
                let (_, end) = kill::killed(|url| housewright(url, NAME, &BEGIN), feeds);
                assert!(matches!(end, End::Killed(_)));
                done(NAME, &["unlock", "--force", "-q"]);
            }
            let args: &[&str] = if resumed { &RESUME } else { &BEGIN };
            let late = kill::at(number, Fate::HoldLate);
            let (proxy, end) = kill::killed(|url| housewright(url, NAME, args), late);
            let ended = end == End::Ended;
            if let End::Killed(sql) = end {
                done(NAME, &["unlock", "--force", "-q"]);
                let last = housewright::rebuild::last(&client).await.unwrap();
                let open = last.is_some_and(|progress| !progress.ended);
                done(NAME, if open { &RESUME } else { &BEGIN });
                one_insert(&client, number).await;
                assert_right(&client).await;
                let answer = proxy.release();
                let status = answer.lines().next().unwrap_or_default();
                one_insert(&client, number).await;
                assert_right(&client).await;
                places.push(format!("{} {sql}", status.replace("HTTP/1.1 ", "")));
                assert_eq!(done(NAME, &["dump"]), before, "{places:?}");
            }
            done(NAME, &["rebuild", "--finish"]);
            assert_right(&client).await;
            assert_eq!(done(NAME, &["dump"]), before, "{places:?}");
            if ended {
                break;
            }
        }
    }
    println!(
        "late at {} places:\n  {}",
        places.len(),
        places.join("\n  ")
    );
    assert!(places.len() * step > 30, "{places:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_of_a_dead_abort_that_arrives_when_a_new_rebuild_has_begun_does_no_harm() {
    const NAME: &str = "rebuild_late_abort";
    const BEGIN: [&str; 6] = ["rebuild", "sessions", "--lead", "0", "--chunk-rows", "800"];
    let client = database_with_schema(NAME).await;
    seed(&client, 300).await;
    let before = done(NAME, &["dump"]);
    let mut places = Vec::new();
    for number in 1.. {
        // Readers read the new side, so that all there is has to be taken back.
        done(NAME, &BEGIN);
        let count = AtomicUsize::new(0);
        let late = move |request: &Request| {
            let sql = request.sql();
            // What names nothing but the run's own.
            let own = ["CREATE TABLE", "DROP TABLE"];
            let harmless = own.iter().any(|word| sql.trim_start().starts_with(word));
            let counts = kill::changes(request) && (support::full() || !harmless);
            if counts && count.fetch_add(1, Ordering::SeqCst) + 1 == number {
                Fate::HoldLate
            } else {
                Fate::Pass
            }
        };
        let (proxy, end) =
            kill::killed(|url| housewright(url, NAME, &["rebuild", "--abort"]), late);
        let End::Killed(sql) = end else { break };
        done(NAME, &["unlock", "--force", "-q"]);
        let aborted = run(NAME, &["rebuild", "--abort"]);
        let said = String::from_utf8_lossy(&aborted.stderr).into_owned();
        assert!(
            aborted.status.success() || said.contains("there is no rebuild to abort"),
            "{sql}: {said}"
        );
        // A new one, which is on its way, or has come to its end, when the statement arrives.
        let on_its_way = number % 2 == 0;
        if on_its_way {
            let moves = |request: &Request| {
                if request.sql().contains("MOVE PARTITION") {
                    Fate::HoldBefore
                } else {
                    Fate::Pass
                }
            };
            let (_, end) = kill::killed(|url| housewright(url, NAME, &BEGIN), moves);
            assert!(matches!(end, End::Killed(_)));
            done(NAME, &["unlock", "--force", "-q"]);
        } else {
            done(NAME, &BEGIN);
        }
        one_insert(&client, number).await;
        assert_right(&client).await;
        let answer = proxy.release();
        let status = answer.lines().next().unwrap_or_default();
        places.push(format!("{} {sql}", status.replace("HTTP/1.1 ", "")));
        one_insert(&client, number).await;
        assert_right(&client).await;
        if on_its_way {
            done(NAME, &["rebuild", "--resume", "--lead", "0"]);
        }
        done(NAME, &["rebuild", "--finish"]);
        one_insert(&client, number).await;
        assert_right(&client).await;
        assert_eq!(done(NAME, &["dump"]), before, "{places:?}");
        // So that the next abort takes the ledger away too.
        execute(&client, "DROP TABLE housewright_rebuild").await;
    }
    println!(
        "late at {} places:\n  {}",
        places.len(),
        places.join("\n  ")
    );
    assert!(places.len() > 5, "{places:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aborted_at_every_statement_it_leaves_no_trace() {
    const NAME: &str = "rebuild_abort";
    let client = database_with_schema(NAME).await;
    seed(&client, 300).await;
    let before = everything(&client).await;
    let mut places = Vec::new();
    for number in 1.. {
        let fate = [Fate::HoldBefore, Fate::HoldAfter, Fate::HoldDuring][number % 3];
        let args = [
            "rebuild",
            "sessions",
            "--lead",
            "0",
            "--chunk-rows",
            "100000",
        ];
        let end = killed_at(NAME, &args, number, fate);
        let End::Killed(at) = end else {
            // Swapped: even that is taken back.
            done(NAME, &["rebuild", "--abort"]);
            assert_eq!(everything(&client).await, before);
            break;
        };
        done(NAME, &["unlock", "--force", "-q"]);
        let abort = run(NAME, &["rebuild", "--abort"]);
        let said = String::from_utf8_lossy(&abort.stderr).into_owned();
        assert!(
            abort.status.success() || said.contains("there is no rebuild to abort"),
            "{number} {at}: {said}"
        );
        assert_eq!(everything(&client).await, before, "{number} {fate:?} {at}");
        places.push(format!("{fate:?} {at}"));
    }
    println!(
        "aborted at {} places:\n  {}",
        places.len(),
        places.join("\n  ")
    );
    assert!(places.len() > 20, "{places:?}");
    assert_right(&client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_insert_that_takes_longer_than_the_cut_is_ahead_moves_the_cut() {
    const NAME: &str = "rebuild_slow";
    let client = database(NAME).await;
    // A DEFAULT is computed for each block, so that one INSERT has rows on both sides of a cut.
    for statement in [
        "CREATE TABLE raw (k UInt8, n UInt64, at DateTime64(6, 'UTC') DEFAULT now64(6)) ENGINE = MergeTree ORDER BY k",
        "CREATE TABLE sums (k UInt8, n UInt64) ENGINE = SummingMergeTree ORDER BY k",
        "CREATE MATERIALIZED VIEW sums_mv TO sums AS SELECT k, sum(n) AS n FROM raw GROUP BY k",
        "CREATE VIEW totals AS SELECT k, sum(n) AS n FROM sums GROUP BY k",
        "INSERT INTO raw (k, n) SELECT number % 5, number FROM numbers(1000)",
    ] {
        execute(&client, statement).await;
    }
    let slow = {
        let client = client.clone();
        tokio::spawn(async move {
            let query = Query::new("INSERT INTO raw (k, n) FORMAT JSONEachRow")
                .setting("async_insert", "0")
                .setting("max_insert_block_size", "10")
                .setting("min_insert_block_size_rows", "1")
                .setting("min_insert_block_size_bytes", "1");
            let mut insert = client.insert(&query);
            for _ in 0..30 {
                let rows = "{\"k\":7,\"n\":1}\n".repeat(20);
                insert.send(rows.into()).await.unwrap();
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            insert.end().await.unwrap();
        })
    };
    tokio::time::sleep(Duration::from_millis(700)).await;
    let output = done(
        NAME,
        &[
            "rebuild",
            "totals",
            "--lead",
            "0",
            "--received-at",
            "at",
            "--format",
            "json",
        ],
    );
    slow.await.unwrap();
    let cuts = output
        .lines()
        .filter(|line| line.contains(r#""step":"cut""#))
        .count();
    assert!(cuts > 1, "the first cut was too early:\n{output}");
    assert_eq!(
        table(&client, "SELECT k, n FROM totals ORDER BY k").await,
        table(
            &client,
            "SELECT k, sum(n) AS n FROM raw GROUP BY k ORDER BY k"
        )
        .await
    );
    assert_eq!(
        table(&client, "SELECT n FROM totals WHERE k = 7").await,
        "600"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_differs_is_not_swapped_in() {
    const NAME: &str = "rebuild_differs";
    let client = database_with_schema(NAME).await;
    seed(&client, 300).await;
    let before = everything(&client).await;
    // Killed before the comparison; then a row is taken from the new state, and one is counted twice.
    let compares = |request: &Request| {
        if request.sql().contains("housewright_check") {
            Fate::HoldBefore
        } else {
            Fate::Pass
        }
    };
    let args = ["rebuild", "sessions", "--lead", "0"];
    let (_, end) = kill::killed(|url| housewright(url, NAME, &args), compares);
    assert!(matches!(end, End::Killed(_)));
    done(NAME, &["unlock", "--force", "-q"]);
    execute(
        &client,
        "INSERT INTO sessions_v1__housewright_2 (project_id, session_id, anonymous_id, started_at, ended_at, event_count, pageview_count, user, entry) SELECT project_id, session_id, anonymous_id, started_at, ended_at, 1, 0, user, entry FROM sessions_v1__housewright_2 FINAL WHERE session_id = 'long'",
    )
    .await;
    // In several slices of the keys, of which one has it.
    let output = run(NAME, &["rebuild", "--resume", "--chunk-rows", "300"]);
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(String::from_utf8_lossy(&output.stderr), @"
    error[parity]: 1 row of `sessions_v1__housewright_2` differs from a recomputation from `events`; readers were not swapped
     |
     = note: project_id p0, session_id long, anonymous_id tie: event_count should be 1200 and is 1201
     = help: was a server killed during an INSERT, or were rows deleted from the source? `housewright rebuild --abort`, and begin again; `--resume` only compares again
    ");
    let readers = table(&client, "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine = 'View' AND create_table_query LIKE '%__housewright_%'").await;
    assert_eq!(readers, "");
    done(NAME, &["rebuild", "--abort"]);
    assert_eq!(everything(&client).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_of_zeros_that_a_summing_table_drops_is_no_difference() {
    const NAME: &str = "rebuild_zeros";
    let client = database(NAME).await;
    for statement in [
        "CREATE TABLE raw (k UInt8, v Int64, day Date, at DateTime64(6, 'UTC') MATERIALIZED now64(6)) ENGINE = MergeTree ORDER BY k",
        // Merges keep a row of zeros if there is an aggregate besides.
        "CREATE TABLE sums (k UInt8, n Int64, m Int64, note String) ENGINE = SummingMergeTree ORDER BY k SETTINGS allow_dimensions_outside_sorting_key = 1",
        "CREATE TABLE kept (k UInt8, n Int64, last SimpleAggregateFunction(max, Date)) ENGINE = SummingMergeTree ORDER BY k",
        // The numbers that the engine does not name are those of any row, and keep none.
        "CREATE TABLE named (k UInt8, n Int64, m Int64) ENGINE = SummingMergeTree(n) ORDER BY k",
        "CREATE MATERIALIZED VIEW sums_mv TO sums AS SELECT k, sum(v) AS n, sum(v) AS m, 'x' AS note FROM raw GROUP BY k",
        "CREATE MATERIALIZED VIEW kept_mv TO kept AS SELECT k, sum(v) AS n, max(day) AS last FROM raw GROUP BY k",
        "CREATE MATERIALIZED VIEW named_mv TO named AS SELECT k, sum(v) AS n, max(v) AS m FROM raw GROUP BY k",
        "CREATE VIEW of_sums AS SELECT k, sum(n) AS n FROM sums GROUP BY k",
        "CREATE VIEW of_kept AS SELECT k, sum(n) AS n FROM kept GROUP BY k",
        "CREATE VIEW of_named AS SELECT k, sum(n) AS n FROM named GROUP BY k",
        "INSERT INTO raw (k, v, day) VALUES (1, 1, '2026-05-01'), (2, 5, '2026-05-01'), (3, 7, '2026-05-01')",
        "INSERT INTO raw (k, v, day) VALUES (1, -1, '2026-05-02'), (3, -7, '2026-05-01')",
    ] {
        execute(&client, statement).await;
    }
    // Both rows of the new state may have merged, or not, when it is compared.
    for (table_name, optimized, rows) in [
        ("sums", false, "1"),
        ("sums", true, "1"),
        ("named", true, "1"),
        ("kept", true, "3"),
    ] {
        let state = format!("{table_name}__housewright_2");
        let reader = format!("of_{table_name}");
        let compares = |request: &Request| {
            if request.sql().contains("housewright_check") {
                Fate::HoldBefore
            } else {
                Fate::Pass
            }
        };
        let args = ["rebuild", &reader, "--lead", "0"];
        let until_it_compares = || {
            let (_, end) = kill::killed(|url| housewright(url, NAME, &args), compares);
            assert!(matches!(end, End::Killed(_)));
            done(NAME, &["unlock", "--force", "-q"]);
        };
        until_it_compares();
        if optimized {
            execute(&client, &format!("OPTIMIZE TABLE {state} FINAL")).await;
        }
        let there = table(&client, &format!("SELECT count() AS n FROM {state}")).await;
        assert_eq!(there, rows, "{state}");
        done(NAME, &["rebuild", "--resume"]);
        done(NAME, &["rebuild", "--abort"]);

        // A row that is missing and has something to say is missing still.
        until_it_compares();
        let key = if table_name == "kept" { 1 } else { 2 };
        execute(
            &client,
            &format!("ALTER TABLE {state} DELETE WHERE k = {key} SETTINGS mutations_sync = 1"),
        )
        .await;
        let resumed = run(NAME, &["rebuild", "--resume"]);
        let said = String::from_utf8_lossy(&resumed.stderr).into_owned();
        assert_eq!(resumed.status.code(), Some(1), "{said}");
        assert!(said.contains(&format!("k {key}")), "{said}");
        done(NAME, &["rebuild", "--abort"]);
    }
}

/// A server of its own, which can be killed.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(sandbox: &Sandbox) -> Self {
        let mut child = sandbox
            .command(&[
                "serve",
                "--port",
                "0",
                "--path",
                "data",
                "--no-password",
                "--apply",
            ])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = child.stdout.as_mut().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).unwrap();
        Self {
            child,
            url: line.trim().to_owned(),
        }
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn a_server_that_dies_while_a_chunk_is_moved_begins_history_again() {
    let sandbox = Sandbox::new();
    sandbox.migration("0001_all.sql", "-- migrate:up\nCREATE TABLE raw (k UInt8, n UInt64, at DateTime64(6, 'UTC') MATERIALIZED now64(6)) ENGINE = MergeTree PARTITION BY k ORDER BY n;\nCREATE TABLE sums (k UInt8, n UInt64) ENGINE = SummingMergeTree PARTITION BY k ORDER BY k;\nCREATE MATERIALIZED VIEW sums_mv TO sums AS SELECT k, sum(n) AS n FROM raw GROUP BY k;\nCREATE VIEW totals AS SELECT k, sum(n) AS n FROM sums GROUP BY k;\nINSERT INTO raw (k, n) SELECT number % 3, number FROM numbers(1000);\n");
    let server = Server::start(&sandbox);
    // The second of the three partitions is being moved.
    let moves = AtomicUsize::new(0);
    let proxy = Proxy::start(&server.url, move |request| {
        let moving = request.sql().contains("MOVE PARTITION");
        if moving && moves.fetch_add(1, Ordering::SeqCst) == 1 {
            Fate::HoldBefore
        } else {
            Fate::Pass
        }
    });
    let args = ["rebuild", "totals", "--lead", "1"];
    let mut child = sandbox
        .command(&args)
        .args(["--url", &proxy.url])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    proxy.held(Duration::from_mins(2)).unwrap();
    server.kill();
    child.kill().unwrap();
    child.wait().unwrap();
    let server = Server::start(&sandbox);
    let run = |args: &[&str]| {
        let output = sandbox
            .command(args)
            .args(["--url", &server.url])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    };
    run(&["unlock", "--force"]);
    let output = run(&["rebuild", "--resume", "--lead", "1", "--format", "json"]);
    assert!(output.contains(r#""step":"again""#), "{output}");
    assert!(output.contains(r#""step":"swapped""#), "{output}");
    run(&["rebuild", "--finish"]);
    let config = housewright::config::Server {
        url: server.url.clone(),
        password: None,
        ..engine().clone()
    };
    let client = Client::new(&config, "default").unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let totals = runtime.block_on(table(&client, "SELECT k, n FROM totals ORDER BY k"));
    assert_eq!(totals, "0 | 166833\n1 | 166167\n2 | 166500");
    server.kill();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_that_the_server_leaves_out_by_wrong_statistics_are_read() {
    const NAME: &str = "rebuild_statistics";
    let client = database(NAME).await;
    for statement in [
        "CREATE TABLE raw (k String, at DateTime64(3, 'UTC'), received_at DateTime64(6, 'UTC') MATERIALIZED now64(6)) ENGINE = MergeTree ORDER BY k",
        "CREATE TABLE sums_v1 (k String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY k",
        "CREATE MATERIALIZED VIEW sums_v1_mv TO sums_v1 AS SELECT k, count() AS n FROM raw WHERE at < toDateTime('2026-06-01 00:00:00', 'UTC') GROUP BY k",
        "CREATE VIEW sums AS SELECT k, n FROM sums_v1 FINAL",
    ] {
        execute(&client, statement).await;
    }
    // In the second before the view's own limit, and in the one before the cut.
    for at in ["2026-05-31 23:59:59.500", "2026-05-01 00:00:00.000"] {
        execute(&client, "TRUNCATE TABLE raw").await;
        execute(&client, "TRUNCATE TABLE sums_v1").await;
        // By the server's clock, from the beginning of a second on.
        let left = "SELECT 1000000 - toUnixTimestamp64Micro(now64(6)) % 1000000 AS micros";
        let left = table(&client, left).await.parse().unwrap();
        tokio::time::sleep(Duration::from_micros(left)).await;
        execute(
            &client,
            &format!("INSERT INTO raw (k, at) SELECT toString(number), toDateTime64('{at}', 3, 'UTC') FROM numbers(100)"),
        )
        .await;
        // A merge makes statistics.
        execute(&client, "OPTIMIZE TABLE raw FINAL").await;
        done(NAME, &["rebuild", "sums", "--lead", "0"]);
        done(NAME, &["rebuild", "--rollback"]);
        done(NAME, &["rebuild", "--resume"]);
        assert_eq!(
            table(&client, "SELECT count() AS k, sum(n) AS n FROM sums").await,
            "100 | 100",
            "{at}"
        );
        done(NAME, &["rebuild", "--rollback"]);
        done(NAME, &["rebuild", "--abort"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_null_is_in_a_slice_too() {
    const NAME: &str = "rebuild_null";
    let client = database(NAME).await;
    for statement in [
        "CREATE TABLE raw (k Nullable(String), u String, received_at DateTime64(6, 'UTC') MATERIALIZED now64(6)) ENGINE = MergeTree ORDER BY u",
        "CREATE TABLE people_v1 (k Nullable(String), u String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY (k, u) SETTINGS allow_nullable_key = 1",
        "CREATE MATERIALIZED VIEW people_v1_mv TO people_v1 AS SELECT k, u, count() AS n FROM raw GROUP BY k, u",
        "CREATE VIEW people AS SELECT k, u, n FROM people_v1 FINAL",
        "INSERT INTO raw SELECT if(number % 2 = 0, NULL, 'k'), repeat(toString(number), 40) FROM numbers(60000)",
    ] {
        execute(&client, statement).await;
    }
    let mut args = vec!["rebuild", "people", "--lead", "0", "--chunk-rows", "30000"];
    args.extend(["--max-threads", "2", "--max-memory", "20000000"]);
    let output = run(NAME, &args);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("memory is short"), "{said}");
    assert!(said.contains("  60,000 rows are the same"), "{said}");
    assert_eq!(
        table(
            &client,
            "SELECT isNull(k) AS missing, sum(n) AS n FROM people GROUP BY missing ORDER BY missing"
        )
        .await,
        "0 | 30000\n1 | 30000"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_memory_is_short_less_is_made_and_compared_at_once() {
    const NAME: &str = "rebuild_memory";
    let client = database_with_schema(NAME).await;
    execute(
        &client,
        "INSERT INTO events (project_id, event_id, timestamp, event_name, anonymous_id, url) SELECT 'p', toString(number), toDateTime64('2026-05-01 00:00:00', 3, 'UTC') + number, '$pageview', hex(sipHash128(number)), repeat('u', 60) FROM numbers(120000)",
    )
    .await;
    // Each thread wants some, and machines have more or fewer.
    let limited = |bytes| ["--max-threads", "2", "--max-memory", bytes];
    let begin = ["rebuild", "sessions", "--lead", "0"];
    let output = run(NAME, &[&begin[..], &limited("1000000")].concat());
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8(output.stderr).unwrap();
    let error = &said[said.find("error:").unwrap()..];
    let (what, cause) = error.split_once('\n').unwrap();
    insta::assert_snapshot!(what, @"error: the rebuild broke off for want of memory; what was done is written down, and `housewright rebuild --resume` with more `--max-memory` goes on; or `--abort`, and begin again with fewer `--chunk-rows`");
    assert!(cause.contains("MEMORY_LIMIT_EXCEEDED (code 241)"), "{said}");
    assert!(
        said.contains("\n  memory is short: going on in 64 slices\n"),
        "{said}"
    );
    // Not enough for the piece of history in one.
    let resume = [&["rebuild", "--resume", "-q"][..], &limited("64000000")].concat();
    {
        let (proxy, end) = kill::killed(
            |url| housewright(url, NAME, &resume),
            |request| {
                if request.sql().contains("housewright_check") {
                    Fate::HoldBefore
                } else {
                    Fate::Pass
                }
            },
        );
        assert!(matches!(end, End::Killed(_)));
        in_ever_more_slices(&proxy, "INSERT INTO `sessions_v1__housewright_stage");
    }
    done(NAME, &["unlock", "--force", "-q"]);
    // Nor for the comparison.
    let proxy = Proxy::start(&engine().url, |_| Fate::Pass);
    let resume = [&["rebuild", "--resume"][..], &limited("24000000")].concat();
    let output = housewright(&proxy.url, NAME, &resume).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    in_ever_more_slices(&proxy, "INSERT INTO `sessions_v1__housewright_check");
    assert_right(&client).await;
}

/// Such statements were for fewer parts of the keys at first, and in the end for as many as the last says.
fn in_ever_more_slices(proxy: &Proxy, begins: &str) {
    let seen = proxy.seen.lock().unwrap().clone();
    let slices: Vec<String> = seen
        .iter()
        .map(Request::sql)
        .filter(|sql| sql.contains(begins))
        .map(|sql| {
            let slice = sql.split(") % ").nth(1).unwrap_or("1 = 0");
            slice
                .split([')', ' '])
                .next()
                .unwrap_or_default()
                .to_owned()
        })
        .collect();
    let (first, last) = (slices.first().unwrap(), slices.last().unwrap());
    assert!(first.len() < last.len() || first < last, "{slices:?}");
    assert_eq!(
        slices.iter().filter(|it| *it == last).count().to_string(),
        *last
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_deletion_on_request_the_person_is_gone_and_names_stay() {
    const NAME: &str = "rebuild_deletion";
    let sandbox = Sandbox::new();
    for name in ["0001_events.sql", "0002_sessions.sql", "0003_sources.sql"] {
        sandbox.migration(
            name,
            &fs_err::read_to_string(schema().join("migrations").join(name)).unwrap(),
        );
    }
    sandbox.write(
        "schema/housewright.toml",
        format!("database = \"{NAME}\"\n"),
    );
    let within = |args: &[&str]| {
        let mut command = sandbox.command(args);
        command.args(["--url", &engine().url]).env(
            "HOUSEWRIGHT_PASSWORD",
            engine().password.as_ref().unwrap().expose(),
        );
        command
    };
    let client = database(NAME).await;
    assert!(within(&["repair", "-q"]).status().unwrap().success());
    assert!(within(&["apply", "-q"]).status().unwrap().success());
    execute(&client, "INSERT INTO events (project_id, event_id, timestamp, event_name, anonymous_id, session_id, user_id) VALUES ('p', '1', '2026-05-01 10:00:00', '$pageview', 'a', 's', NULL), ('p', '2', '2026-05-01 10:01:00', 'signup', 'a', 's', 'user_42'), ('p', '3', '2026-05-02 10:00:00', 'x', 'a', 't', 'user_42')").await;
    execute(&client, "ALTER TABLE events DELETE WHERE project_id = 'p' AND user_id = 'user_42' SETTINGS mutations_sync = 1").await;
    let sessions = "SELECT session_id, user_id, event_count FROM sessions ORDER BY session_id";
    assert_eq!(
        table(&client, sessions).await,
        "s | user_42 | 2\nt | user_42 | 1"
    );
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\b[\d.]+ [KMGT]iB\b", "[BYTES]");
    let bytes = settings.bind_to_scope();
    snapshot!(within(&["rebuild", "sessions", "--dry-run"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    rebuild_deletion on http://[ADDRESS]/: `sessions` is re-aggregated beside itself, because its definition stays

      1  make sessions_v1__housewright_2 beside sessions_v1, and a view that feeds it from `events`
      2  choose a cut of received_at some seconds ahead, and wait for every INSERT that began before it
      3  aggregate what was received before the cut: about 1 row ([BYTES]) in 1 chunk
      4  compare every row of sessions_v1__housewright_2 with a recomputation from `events`
      5  let the readers read it: sessions, sources

    the copy needs about [BYTES] on disk; [BYTES] are free

    ----- stderr -----
    ");
    drop(bytes);
    snapshot!(within(&["rebuild", "sessions", "--lead", "1"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    rebuild_deletion on http://[ADDRESS]/: `sessions` is rebuilt: sessions, sources now read sessions_v1__housewright_2, in [DURATION]
    sessions_v1 is kept, and fed: `housewright rebuild --rollback` lets readers go back to it, `--finish` lets it go

    ----- stderr -----
    rebuilding `sessions`: sessions_v1__housewright_2 beside sessions_v1, from `events`
      cut at [TIME]
      what comes in from then on feeds both sides
      everything from before is there
      history: 1 row in 1 chunk
      1 row is the same as a recomputation from `events`
      readers read the new side
    ");
    assert_eq!(table(&client, sessions).await, "s | null | 1");
    snapshot!(within(&["rebuild", "sessions"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: the rebuild of `sessions` is not finished: readers read the new side, the old one is kept
      `housewright rebuild --resume` goes on, `--finish` lets the old side go once readers are swapped, `--abort` takes all of it back
    ");
    snapshot!(within(&["rebuild", "--rollback"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    rebuild_deletion on http://[ADDRESS]/: `sessions`: sessions, sources read sessions_v1 again, in [DURATION]
    sessions_v1__housewright_2 is kept, and fed: `housewright rebuild --resume` compares and swaps again, `--abort` lets it go

    ----- stderr -----
      readers read the old side
    ");
    assert_eq!(
        table(&client, sessions).await,
        "s | user_42 | 2\nt | user_42 | 1"
    );
    snapshot!(within(&["rebuild", "--finish"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: the rebuild of `sessions` cannot be finished: readers read the old side again
      `housewright rebuild --resume` brings it to the swap of the readers first
    ");
    assert!(
        within(&["rebuild", "--resume", "-q"])
            .status()
            .unwrap()
            .success()
    );

    // Until the old side is gone a migration could reach either of two; afterwards the files' name is enough.
    sandbox.migration("0004_signups.sql", "-- migrate:up\nALTER TABLE sessions_v1 ADD COLUMN signups SimpleAggregateFunction(sum, UInt64);\n-- migrate:down\nALTER TABLE sessions_v1 DROP COLUMN signups;\n");
    assert!(within(&["repair", "-q"]).status().unwrap().success());
    snapshot!(within(&["apply"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error[rebuilding]: statement 1 of 0004_signups is about `sessions_v1`, of which two generations stand
     --> schema/migrations/0004_signups.sql:2:1
      |
    2 | ALTER TABLE sessions_v1 ADD COLUMN signups SimpleAggregateFunction(sum, UInt64);
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: nothing was executed
      = help: bring the rebuild to its end first: `housewright rebuild --finish`, or `--abort`
    ");
    snapshot!(within(&["rebuild", "--finish"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    rebuild_deletion on http://[ADDRESS]/: `sessions` is rebuilt; the old side is gone, in [DURATION]

    ----- stderr -----
      letting sessions_v1 go
    ");
    snapshot!(within(&["apply"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    rebuild_deletion on http://[ADDRESS]/: 1 statement executed in [DURATION]

    ----- stderr -----
      0004_signups 1/1  ALTER TABLE … ADD COLUMN sessions_v1  [DURATION]
    ");
    snapshot!(within(&["drift"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    rebuild_deletion on http://[ADDRESS]/ is what the 4 migrations made that were applied there: 7 objects

    ----- stderr -----
    ");
    snapshot!(within(&["rollback", "--allow-destructive"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    rebuild_deletion on http://[ADDRESS]/: 1 statement executed in [DURATION]

    ----- stderr -----
      0004_signups down 1/1  ALTER TABLE … DROP COLUMN sessions_v1  [DURATION]
    ");
    assert_eq!(table(&client, sessions).await, "s | null | 1");
    let names = "SELECT name FROM system.tables WHERE database = currentDatabase() AND name LIKE 'sessions%' ORDER BY name";
    assert_eq!(
        table(&client, names).await,
        "sessions\nsessions_v1__housewright_2\nsessions_v1_mv__housewright_2"
    );
    // And all of it down to nothing, by the files' names.
    let down = within(&["rollback", "--to", "0", "--allow-destructive", "-q"]);
    assert!({ down }.status().unwrap().success());
    assert_eq!(table(&client, names).await, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stands_in_the_way_is_said_before_anything_is_made() {
    const NAME: &str = "rebuild_refused";
    let client = database(NAME).await;
    for statement in [
        "CREATE TABLE plain (k UInt8) ENGINE = MergeTree ORDER BY k TTL toDate(k) + INTERVAL 90 YEAR",
        "CREATE TABLE state (k UInt8, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY k",
        "CREATE MATERIALIZED VIEW state_mv TO state AS SELECT k, count() AS n FROM plain GROUP BY k",
        "CREATE MATERIALIZED VIEW inside ENGINE = SummingMergeTree ORDER BY k AS SELECT k, count() AS n FROM plain GROUP BY k",
        "CREATE TABLE stamped (k UInt8, at DateTime DEFAULT now()) ENGINE = MergeTree ORDER BY k",
        "CREATE TABLE other (k UInt8, n UInt64) ENGINE = SummingMergeTree ORDER BY k",
        "CREATE MATERIALIZED VIEW other_mv TO other AS SELECT k, count() AS n FROM stamped GROUP BY k",
        "CREATE TABLE further (k UInt8) ENGINE = MergeTree ORDER BY k",
        "CREATE MATERIALIZED VIEW further_mv TO further AS SELECT k FROM other",
        "CREATE VIEW reader AS SELECT k, n FROM other FINAL",
        "CREATE VIEW both AS SELECT k, n FROM other UNION ALL SELECT k, n FROM state",
        "CREATE TABLE clamped (k UInt8, ip String TTL at + INTERVAL 90 YEAR, at DateTime MATERIALIZED least(now(), toDateTime(k))) ENGINE = MergeTree ORDER BY k",
        "CREATE TABLE ips (k UInt8, n AggregateFunction(uniq, String)) ENGINE = AggregatingMergeTree ORDER BY k",
        "CREATE MATERIALIZED VIEW ips_mv TO ips AS SELECT k, uniqState(ip) AS n FROM clamped GROUP BY k",
        "CREATE VIEW ips_read AS SELECT k, finalizeAggregation(n) AS n FROM ips FINAL",
    ] {
        execute(&client, statement).await;
    }
    let before = everything(&client).await;
    snapshot!(housewright(&engine().url, NAME, &["rebuild", "nothing"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: there is no `nothing` in this database
      its materialized views: further_mv, inside, ips_mv, other_mv, state_mv
    ");
    snapshot!(housewright(&engine().url, NAME, &["rebuild", "plain"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: `plain` cannot be rebuilt: no materialized view of this database feeds it
      name a materialized view with TO, its table, or a view that reads that table; nothing was changed
    ");
    snapshot!(housewright(&engine().url, NAME, &["rebuild", "inside"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: `inside` cannot be rebuilt: `inside` has no TO table in this database
      make the view TO a table of this database; nothing was changed
    ");
    snapshot!(housewright(&engine().url, NAME, &["rebuild", "both"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: `both` reads several states, and one is rebuilt at a time: other, state
      name one of them; nothing was changed
    ");
    snapshot!(housewright(&engine().url, NAME, &["rebuild", "state_mv"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error[rebuild]: `plain` has no column in which the server writes when it took a row, so there is no safe place to cut history from what comes in
     |
     = note: nothing was changed
     = help: add one: ALTER TABLE plain ADD COLUMN received_at DateTime64(6, 'UTC') DEFAULT toDateTime64(0, 6, 'UTC'); ALTER TABLE plain MATERIALIZE COLUMN received_at; ALTER TABLE plain MODIFY COLUMN received_at DateTime64(6, 'UTC') MATERIALIZED now64(6). Or stop whoever writes into it until readers are swapped, and say `--writers-stopped`

    error[rebuild]: `plain` has a TTL: what it let go is in `state` and could not be made anew
     |
     = note: nothing was changed
     = help: if that may go from the state too, say `--allow-shorter-history`
    ");
    snapshot!(housewright(&engine().url, NAME, &["rebuild", "reader"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error[rebuild]: which column of `stamped` says when the server took a row is not certain: at
     |
     = note: nothing was changed
     = help: if no client ever sends it, say `--received-at at`; surer is ALTER TABLE stamped MODIFY COLUMN at … MATERIALIZED now64(6)

    error[rebuild]: `further_mv` (MaterializedView) reads `other` and would go on with the old one
     |
     = note: nothing was changed
     = help: drop it before, and make it anew after `rebuild --finish`
    ");
    snapshot!(housewright(&engine().url, NAME, &["rebuild", "ips_read"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error[rebuild]: `clamped` has no column in which the server writes when it took a row, so there is no safe place to cut history from what comes in
     |
     = note: nothing was changed
     = help: add one: ALTER TABLE clamped ADD COLUMN received_at DateTime64(6, 'UTC') DEFAULT toDateTime64(0, 6, 'UTC'); ALTER TABLE clamped MATERIALIZE COLUMN received_at; ALTER TABLE clamped MODIFY COLUMN received_at DateTime64(6, 'UTC') MATERIALIZED now64(6). Or stop whoever writes into it until readers are swapped, and say `--writers-stopped`

    error[rebuild]: `clamped.ip` has a TTL: what it let go is in `ips` and could not be made anew
     |
     = note: nothing was changed
     = help: if that may go from the state too, say `--allow-shorter-history`
    ");
    snapshot!(housewright(&engine().url, NAME, &["rebuild", "--resume"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: there is no rebuild to go on with
      `housewright rebuild VIEW` begins one
    ");
    snapshot!(housewright(&engine().url, NAME, &["rebuild", "--abort", "--finish"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: the argument '--abort' cannot be used with '--finish'

    Usage: housewright rebuild --abort [VIEW]

    For more information, try '--help'.
    ");
    assert_eq!(everything(&client).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_side_that_somebody_began_to_read_is_not_let_go() {
    const NAME: &str = "rebuild_still_read";
    let client = database_with_schema(NAME).await;
    seed(&client, 50).await;
    done(NAME, &["rebuild", "sessions", "--lead", "0"]);
    for statement in [
        "CREATE TABLE starts (started_at DateTime64(3, 'UTC')) ENGINE = MergeTree ORDER BY started_at",
        "CREATE MATERIALIZED VIEW starts_mv TO starts AS SELECT started_at FROM sessions_v1",
        "CREATE DATABASE IF NOT EXISTS rebuild_reports",
        "CREATE OR REPLACE VIEW rebuild_reports.many AS SELECT count() AS n FROM rebuild_still_read.sessions_v1",
        // Of another name only.
        "CREATE OR REPLACE VIEW rebuild_reports.other AS SELECT count() AS n FROM rebuild_still_read.sessions_v1__housewright_2",
    ] {
        execute(&client, statement).await;
    }
    snapshot!(housewright(&engine().url, NAME, &["rebuild", "--finish"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: `sessions_v1` is still read by starts_mv, rebuild_reports.many, so it cannot be let go
      let them read the other side (CREATE OR REPLACE VIEW), or drop them; nothing was changed
    ");
    execute(&client, "DROP VIEW starts_mv").await;
    execute(&client, "DROP VIEW rebuild_reports.many").await;
    // Nor is the new one.
    done(NAME, &["rebuild", "--rollback"]);
    snapshot!(housewright(&engine().url, NAME, &["rebuild", "--abort"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: `sessions_v1__housewright_2` is still read by rebuild_reports.other, so it cannot be let go
      let them read the other side (CREATE OR REPLACE VIEW), or drop them; nothing was changed
    ");
    execute(&client, "DROP VIEW rebuild_reports.other").await;
    done(NAME, &["rebuild", "--resume"]);
    done(NAME, &["rebuild", "--finish"]);
    assert_right(&client).await;
}

/// Reads without end what is not to change, and what is written meanwhile.
async fn read_kept(client: Client, traffic: Arc<Traffic>) {
    const KEPT: &str = "SELECT count() AS n, sum(cityHash64(toString(tuple(*)))) AS h FROM sessions WHERE project_id = 'p1'";
    let kept = table(&client, KEPT).await;
    while !traffic.ended.load(Ordering::Relaxed) {
        assert_eq!(table(&client, KEPT).await, kept);
        for number in 0..4 {
            let at_least = traffic.answered[number].load(Ordering::SeqCst);
            let seen = table(
                &client,
                &format!(
                    "SELECT sum(event_count) AS n FROM sessions WHERE project_id = 'live{number}'"
                ),
            )
            .await;
            let at_most = traffic.begun[number].load(Ordering::SeqCst);
            assert!(
                (at_least..=at_most).contains(&seen.parse().unwrap()),
                "writer {number}: {at_least} rows were answered and {at_most} sent, and a reader saw {seen}"
            );
        }
        traffic.reads.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn some_rows_are_made_anew_and_the_others_taken_over_under_live_ingest_and_killed_anywhere() {
    const NAME: &str = "rebuild_some";
    const BEGIN: [&str; 8] = [
        "rebuild",
        "sessions",
        "--where",
        "project_id = 'p0'",
        "--lead",
        "0",
        "--chunk-rows",
        "1500",
    ];
    const RESUME: [&str; 6] = ["rebuild", "--resume", "--lead", "0", "--chunk-rows", "1500"];
    let client = database_with_schema(NAME).await;
    seed(&client, 2000).await;
    // What is not asked for stays as it is, although its raw rows say something else by now.
    execute(&client, "ALTER TABLE events DELETE WHERE project_id = 'p1' AND event_name = '$pageview' SETTINGS mutations_sync = 1").await;
    let stale = "SELECT count() AS n FROM (SELECT project_id, session_id, anonymous_id, count() AS c, any(event_count) AS e FROM events JOIN sessions USING (project_id, session_id, anonymous_id) WHERE project_id = 'p1' GROUP BY ALL) WHERE c != e";
    let stale_before = table(&client, stale).await;
    assert_ne!(stale_before, "0");
    let before = done(NAME, &["dump"]);
    let traffic = Arc::new(Traffic::default());
    let mut tasks: Vec<_> = (0..2)
        .map(|number| tokio::spawn(write(client.clone(), number, Arc::clone(&traffic))))
        .collect();
    tasks.push(tokio::spawn(read_kept(
        client.clone(),
        Arc::clone(&traffic),
    )));
    let mut places = Vec::new();
    // Each run is killed at one of these; with all of them at each statement, in a rebuild of its own.
    let marks = [
        "ATTACH PARTITION",
        "INSERT INTO `sessions_v1__housewright_touched",
        "__housewright_frozen_%FINAL",
        "MOVE PARTITION",
        "housewright_check",
    ];
    let rounds = if support::full() { 70 } else { 1 };
    for round in 1..=rounds {
        execute(&client, &format!("ALTER TABLE events DELETE WHERE project_id = 'p0' AND cityHash64(event_id) % 70 = {} SETTINGS mutations_sync = 1", round % 70)).await;
        let mut args: &[&str] = &BEGIN;
        for kill in 0..=marks.len() {
            let fate = [Fate::HoldBefore, Fate::HoldDuring, Fate::HoldAfter][(kill + round) % 3];
            let mark = marks.get(kill).copied();
            let at_number = kill::at(round, fate);
            let at_mark = move |request: &Request| {
                let sql = request.sql();
                let words = mark.map(|mark| mark.split('%'));
                let found = words.is_some_and(|mut words| words.all(|word| sql.contains(word)));
                if found && kill::changes(request) {
                    fate
                } else {
                    Fate::Pass
                }
            };
            let end = tokio::task::spawn_blocking(move || {
                let command = |url: &str| housewright(url, NAME, args);
                if rounds > 1 && kill == 0 {
                    kill::killed(command, at_number).1
                } else if rounds > 1 {
                    kill::killed(command, |_| Fate::Pass).1
                } else {
                    kill::killed(command, at_mark).1
                }
            })
            .await
            .unwrap();
            let End::Killed(sql) = end else { break };
            places.push(format!("{fate:?} {sql}"));
            done(NAME, &["unlock", "--force", "-q"]);
            let last = housewright::rebuild::last(&client).await.unwrap();
            let open = last.is_some_and(|progress| !progress.ended);
            args = if open { &RESUME } else { &BEGIN };
        }
        if round == 1 {
            done(NAME, &["rebuild", "--rollback"]);
            done(NAME, &["rebuild", "--resume"]);
        }
        assert_eq!(done(NAME, &["dump"]), before);
        done(NAME, &["rebuild", "--finish"]);
        assert_right_where(&client, "project_id = 'p0'").await;
    }
    traffic.ended.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
    assert_right_where(&client, "project_id != 'p1'").await;
    assert_eq!(table(&client, stale).await, stale_before);
    let left = "SELECT name FROM system.tables WHERE database = currentDatabase() AND name LIKE '%\\_\\_housewright\\_%' AND NOT match(name, '[0-9]$')";
    assert_eq!(table(&client, left).await, "");
    println!(
        "{} inserts, {} reads; killed at {} places:\n  {}",
        traffic.inserts.load(Ordering::Relaxed),
        traffic.reads.load(Ordering::Relaxed),
        places.len(),
        places.join("\n  ")
    );
    assert!(places.len() >= marks.len(), "{places:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_is_named_by_its_key_or_its_partition_and_refused_where_that_would_not_be_exact() {
    const NAME: &str = "rebuild_part";
    let client = database(NAME).await;
    for statement in [
        "CREATE TABLE raw (k UInt8, day Date, n UInt64, f Float64, at DateTime64(6, 'UTC') MATERIALIZED now64(6)) ENGINE = MergeTree PARTITION BY k ORDER BY n",
        // The view writes wider numbers than the state has.
        "CREATE TABLE sums (k UInt8, day Date, n UInt64, last SimpleAggregateFunction(max, Date), note String DEFAULT 'none') ENGINE = SummingMergeTree((n)) PARTITION BY (toYYYYMM(day), k) ORDER BY (k, day) SETTINGS allow_dimensions_outside_sorting_key = 1",
        "CREATE MATERIALIZED VIEW sums_mv TO sums AS SELECT toUInt32(k) AS k, day, sum(n) AS n, max(day) AS last FROM raw GROUP BY k, day",
        "CREATE VIEW totals AS SELECT k, day, sum(n) AS n, any(note) AS note FROM sums GROUP BY k, day",
        "CREATE TABLE by_value (f Float64, n UInt64) ENGINE = SummingMergeTree ORDER BY f",
        "CREATE MATERIALIZED VIEW by_value_mv TO by_value AS SELECT f, sum(n) AS n FROM raw GROUP BY f",
        "CREATE VIEW values AS SELECT f, n FROM by_value FINAL",
        "CREATE TABLE by_month (day Date, n UInt64) ENGINE = SummingMergeTree(n) ORDER BY toYYYYMM(day) SETTINGS allow_dimensions_outside_sorting_key = 1",
        "CREATE MATERIALIZED VIEW by_month_mv TO by_month AS SELECT day, sum(n) AS n FROM raw GROUP BY day",
        "CREATE VIEW months AS SELECT day, n FROM by_month FINAL",
        "INSERT INTO raw (k, day, n) SELECT number % 3, toDate('2026-05-30') + number % 4, number FROM numbers(1000)",
    ] {
        execute(&client, statement).await;
    }
    execute(
        &client,
        "ALTER TABLE raw DELETE WHERE n < 500 SETTINGS mutations_sync = 1",
    )
    .await;
    let refused = |args: &[&str]| {
        let output = run(NAME, &[&["rebuild"], args].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        String::from_utf8_lossy(&output.stderr)
            .lines()
            .filter(|line| line.starts_with("error") || line.contains("help:"))
            .collect::<Vec<_>>()
            .join("\n")
    };
    let said: Vec<String> = [
        vec!["totals", "--where", "n > 5"],
        vec!["totals", "--where", "k = 1 AND day < today()"],
        vec!["totals", "--where", "k IN (SELECT 1)"],
        vec!["totals", "--where", "k = 1) OR (1"],
        vec!["totals", "--where", "nullIf(k, 1)"],
        vec!["totals", "--where", "day"],
        vec!["totals", "--partition", "202607-1"],
        vec!["values", "--where", "f = 0"],
        vec!["months", "--where", "day = '2026-05-30'"],
        vec!["months", "--partition", "all"],
    ]
    .iter()
    .map(|args| refused(args))
    .collect();
    insta::assert_snapshot!(said.join("\n\n"), @"
    error[rebuild]: `n > 5` does not tell which rows of `sums` to make anew: ClickHouse says UNKNOWN_IDENTIFIER (code 47): Unknown expression or function identifier `n`
     = help: a condition on columns that stay what they are when rows merge: `k`, `day`

    error[rebuild]: `k = 1 AND day < today()` does not tell which rows of `sums` to make anew: today() may say something else the next time
     = help: a condition on columns that stay what they are when rows merge: `k`, `day`

    error[rebuild]: `k IN (SELECT 1)` does not tell which rows of `sums` to make anew: it asks for rows of other tables
     = help: a condition on columns that stay what they are when rows merge: `k`, `day`

    error[rebuild]: `k = 1) OR (1` does not tell which rows of `sums` to make anew: its brackets do not match
     = help: a condition on columns that stay what they are when rows merge: `k`, `day`

    error[rebuild]: `nullIf(k, 1)` does not tell which rows of `sums` to make anew: it may be NULL, neither true nor false
     = help: a condition on columns that stay what they are when rows merge: `k`, `day`

    error[rebuild]: `day` does not tell which rows of `sums` to make anew: ClickHouse says ILLEGAL_TYPE_OF_COLUMN_FOR_FILTER (code 59): Invalid type for filter in WHERE: Date
     = help: a condition on columns that stay what they are when rows merge: `k`, `day`

    error[rebuild]: `sums` has no partition 202607-1
     = help: it has 202605-0, 202605-1, 202605-2, 202606-0, 202606-1, 202606-2

    error[rebuild]: `f` of the key of `by_value` is Float64, whose values are not all equal to themselves, so rows could be missed
     = help: rebuild all of it: leave `--where` and `--partition` out

    error[rebuild]: `by_month` is sorted by toYYYYMM(day), so rows with different values of its columns may be one row by now
     = help: rebuild all of it: leave `--where` and `--partition` out

    error[rebuild]: `by_month` is sorted by toYYYYMM(day), so rows with different values of its columns may be one row by now
     = help: rebuild all of it: leave `--where` and `--partition` out
    ");
    let before = table(&client, "SELECT * FROM totals ORDER BY ALL").await;
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\b[\d.]+ [KMGT]?i?B\b", "[BYTES]");
    let bytes = settings.bind_to_scope();
    snapshot!(housewright(&engine().url, NAME, &["rebuild", "totals", "--partition", "202605-1", "--dry-run"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    rebuild_part on http://[ADDRESS]/: `totals` is re-aggregated in part beside itself, because its definition stays

      1  make sums__housewright_2 beside sums, and a view that feeds it from `raw`
      2  choose a cut of at some seconds ahead, and wait for every INSERT that began before it
      3  aggregate what was received before the cut for partition 202605-1: about 166 rows of 500 have to be read
      4  take the other rows over as sums has them, about 12 rows; those that get events meanwhile are aggregated too
      5  compare these rows of sums__housewright_2 with a recomputation from `raw`, and the others with sums
      6  let the readers read it: totals

    the copy needs about [BYTES] on disk; [BYTES] are free

    ----- stderr -----
    ");
    drop(bytes);
    snapshot!(housewright(&engine().url, NAME, &["rebuild", "totals", "--partition", "202605-1", "--lead", "0"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    rebuild_part on http://[ADDRESS]/: `totals` is rebuilt: totals now read sums__housewright_2, in [DURATION]
    not compared, because two right answers may differ: last
    sums is kept, and fed: `housewright rebuild --rollback` lets readers go back to it, `--finish` lets it go

    ----- stderr -----
    rebuilding `totals`: sums__housewright_2 beside sums, from `raw`, for partition 202605-1
      cut at [TIME]
      what comes in from then on feeds both sides
      everything from before is there
      sums is looked at as it is
      history: 166 rows of `raw` to read, 12 rows of sums to take over, in 2 chunks
      12 rows are the same as a recomputation from `raw`, or what sums has
      readers read the new side
    ");
    done(NAME, &["rebuild", "--finish"]);
    let raw = table(&client, "SELECT k, day, sum(n) AS n, 'none' AS note FROM raw WHERE k = 1 AND day < '2026-06-01' GROUP BY k, day ORDER BY ALL").await;
    let made = "SELECT * FROM totals WHERE k = 1 AND day < '2026-06-01' ORDER BY ALL";
    assert_eq!(table(&client, made).await, raw);
    let others = |all: &str| {
        let mut lines: Vec<String> = all.lines().map(str::to_owned).collect();
        lines.retain(|line| !line.starts_with("1 | 2026-05"));
        lines
    };
    let after = table(&client, "SELECT * FROM totals ORDER BY ALL").await;
    assert_eq!(others(&after), others(&before));
    assert_ne!(after, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_does_not_say_when_it_took_a_row_is_rebuilt_while_nobody_writes() {
    const NAME: &str = "rebuild_stopped";
    const BEGIN: [&str; 5] = ["rebuild", "totals", "--writers-stopped", "--lead", "0"];
    let client = database(NAME).await;
    for statement in [
        "CREATE TABLE raw (k UInt8, n UInt64) ENGINE = MergeTree PARTITION BY k % 2 ORDER BY k",
        "CREATE TABLE sums (k UInt8, n UInt64) ENGINE = SummingMergeTree ORDER BY k",
        "CREATE MATERIALIZED VIEW sums_mv TO sums AS SELECT k, sum(n) AS n FROM raw GROUP BY k",
        "CREATE VIEW totals AS SELECT k, sum(n) AS n FROM sums GROUP BY k",
        "INSERT INTO raw SELECT number % 5, number FROM numbers(1000)",
        "ALTER TABLE raw DELETE WHERE n < 500 SETTINGS mutations_sync = 1",
    ] {
        execute(&client, statement).await;
    }
    let right = || async {
        let totals = table(&client, "SELECT k, n FROM totals ORDER BY k").await;
        let raw = "SELECT k, sum(n) AS n FROM raw GROUP BY k ORDER BY k";
        assert_eq!(totals, table(&client, raw).await);
    };
    let before = everything(&client).await;
    snapshot!(housewright(&engine().url, NAME, &BEGIN), @"
    success: true
    exit_code: 0
    ----- stdout -----
    rebuild_stopped on http://[ADDRESS]/: `totals` is rebuilt: totals now read sums__housewright_2, in [DURATION]
    sums is kept, and fed: `housewright rebuild --rollback` lets readers go back to it, `--finish` lets it go

    ----- stderr -----
    rebuilding `totals`: sums__housewright_2 beside sums, from `raw`
      nobody writes into `raw`; what comes in from then on feeds both sides
      everything from before is there
      history: 500 rows in 1 chunk
      5 rows are the same as a recomputation from `raw`
      readers read the new side
    ");
    right().await;
    execute(&client, "INSERT INTO raw VALUES (1, 1), (9, 9)").await;
    right().await;
    done(NAME, &["rebuild", "--rollback"]);
    execute(&client, "INSERT INTO raw VALUES (2, 1)").await;
    done(NAME, &["rebuild", "--resume"]);
    right().await;
    done(NAME, &["rebuild", "--abort"]);
    assert_eq!(everything(&client).await, before);
    let reader = "SELECT create_table_query AS definition FROM system.tables WHERE database = currentDatabase() AND name = 'totals'";
    // Somebody writes all the same, whatever was done last.
    for (mark, stops) in [
        (r#""step":"still""#, false),
        ("MODIFY QUERY", false),
        (r#""step":"captured""#, true),
        ("MOVE PARTITION", true),
        ("housewright_check", true),
        ("CREATE OR REPLACE VIEW", true),
    ] {
        let at = move |request: &Request| {
            if kill::changes(request) && request.sql().contains(mark) {
                Fate::HoldAfter
            } else {
                Fate::Pass
            }
        };
        let reads = table(&client, reader).await;
        let (_, end) = kill::killed(|url| housewright(url, NAME, &BEGIN), at);
        assert!(matches!(end, End::Killed(_)), "{mark}");
        done(NAME, &["unlock", "--force", "-q"]);
        execute(&client, "INSERT INTO raw VALUES (3, 1)").await;
        let resumed = run(NAME, &["rebuild", "--resume", "--lead", "0"]);
        let said = String::from_utf8_lossy(&resumed.stderr).into_owned();
        if stops {
            assert_eq!(resumed.status.code(), Some(3), "{mark}: {said}");
            assert!(said.contains("rows came into `raw`"), "{mark}: {said}");
            assert_eq!(table(&client, reader).await, reads);
            done(NAME, &["rebuild", "--resume", "--lead", "0"]);
        } else {
            assert!(resumed.status.success(), "{mark}: {said}");
        }
        right().await;
        done(NAME, &["rebuild", "--finish"]);
        right().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_chunks_that_are_shown_before_are_those_that_are_made() {
    const NAME: &str = "rebuild_chunks";
    let client = database(NAME).await;
    for statement in [
        "CREATE TABLE raw (k UInt8, n UInt64, at DateTime64(6, 'UTC') MATERIALIZED now64(6)) ENGINE = MergeTree PARTITION BY k ORDER BY n SETTINGS index_granularity = 100",
        "CREATE TABLE sums (k UInt8, n UInt64) ENGINE = SummingMergeTree ORDER BY k",
        "CREATE MATERIALIZED VIEW sums_mv TO sums AS SELECT k, sum(n) AS n FROM raw GROUP BY k",
        "CREATE VIEW totals AS SELECT k, sum(n) AS n FROM sums GROUP BY k",
        // A large partition, and small ones of which several fit into a chunk.
        "INSERT INTO raw (k, n) SELECT if(number < 1500, 0, 1 + number % 4), number FROM numbers(1900)",
    ] {
        execute(&client, statement).await;
    }
    let begin = ["rebuild", "totals", "--lead", "0", "--format", "json"];
    let shown = |args: &[&str]| {
        let shown = done(NAME, &[&begin[..], args, &["--dry-run"]].concat());
        serde_json::from_str::<serde_json::Value>(&shown).unwrap()["chunks"].clone()
    };
    for (args, chunks) in [
        (vec![], 1),
        (vec!["--chunk-rows", "400"], 5),
        // Of less than a granule no piece can be made.
        (vec!["--chunk-rows", "30"], 19),
        (vec!["--chunk-rows", "400", "--where", "k = 1"], 2),
    ] {
        let made = done(NAME, &[&begin[..], &args].concat());
        done(NAME, &["rebuild", "--abort"]);
        let made = made
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .find(|line| line["step"] == "planned")
            .unwrap();
        assert_eq!(made["all_chunks"], chunks, "{args:?}");
        assert_eq!(shown(&args), chunks, "{args:?}");
    }
    // Slower means smaller.
    assert_eq!(shown(&["--max-rows-per-second", "20"]), 10);
}
