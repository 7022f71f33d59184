//! The stories of a changed definition: history is made anew by it while rows come in, readers change over, and there is a way back.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod in_place;
mod live;
#[path = "../support/mod.rs"]
mod support;

use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use housewright::clickhouse::Client;
use live::Live;
use support::kill::{self, End, killed_at};
use support::proxy::{Fate, Proxy, Request};
use support::sandbox::{Sandbox, filters, snapshot};
use support::{database_with_schema, engine, execute, schema, table};

/// A part of our own migrations, from a statement's first words to its `;`.
fn statement(file: &str, begins: &str) -> String {
    let text = fs_err::read_to_string(schema().join("migrations").join(file)).unwrap();
    let from = text.find(begins).unwrap();
    let end = text[from..].find(";\n").unwrap();
    text[from..=from + end].to_owned()
}

/// Our own `sessions` as a second version, with changes: `(before, after)`, each of which has to be there.
fn second(changes: &[(&str, &str)]) -> String {
    let mut text = [
        statement("0002_sessions.sql", "CREATE TABLE sessions_v1"),
        statement(
            "0002_sessions.sql",
            "CREATE MATERIALIZED VIEW sessions_v1_mv",
        ),
        statement("0002_sessions.sql", "CREATE VIEW sessions\n")
            .replace("CREATE VIEW", "CREATE OR REPLACE VIEW"),
    ]
    .join("\n\n")
    .replace("sessions_v1", "sessions_v2");
    for (before, after) in changes {
        assert!(text.contains(before), "{before}");
        text = text.replace(before, after);
    }
    text + "\n"
}

/// Events enough to see what changes: two visitors, a session with three events, one with one, a late first event.
const EVENTS: &str = "INSERT INTO events (project_id, event_id, timestamp, event_name, anonymous_id, session_id, user_id, source, campaign, country) VALUES \
    ('p', '2', '2026-05-01 10:05:00', 'signup', 'a', 's', 'u1', 'google', 'spring', 'DE'), \
    ('p', '3', '2026-05-01 10:09:00', 'screen', 'a', 's', 'u1', 'bing', '', 'FR'), \
    ('p', '1', '2026-05-01 10:00:00', '$pageview', 'a', 's', NULL, 'direct', '', 'DE'), \
    ('p', '4', '2026-06-02 10:00:00', '$pageview', 'b', 't', NULL, 'google', 'summer', 'DE'), \
    ('q', '5', '2026-06-02 11:00:00', 'screen', 'b', 't', NULL, 'x', '', 'US')";

/// Runs what has to succeed, and gives what it said.
fn done(sandbox: &Sandbox, client: &Client, args: &[&str]) -> String {
    let output = sandbox.on(client, args).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.success(),
        "{args:?}: {}{said}",
        String::from_utf8_lossy(&output.stdout)
    );
    said
}

/// All that is there, as the server writes it.
const DEFINITIONS: &str = "SELECT name, create_table_query AS definition FROM system.tables WHERE database = currentDatabase() AND name NOT LIKE 'housewright_lock%' ORDER BY name";

/// What a story told, without its times and the cuts that came too early.
macro_rules! told {
    ($told:expr, @$expected:literal) => {{
        let _sizes = sizes_and_cuts();
        let _filters = filters();
        insta::assert_snapshot!($told, @$expected);
    }};
}

/// Sizes, and how many cuts came too early, are not the same twice.
fn sizes_and_cuts() -> insta::internals::SettingsBindDropGuard {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\b[\d.]+ [KMGT]iB\b|\b\d+ B\b", "[BYTES]");
    settings.add_filter(r"(  cut at [^\n]+\n)+", "  cut at [TIME]\n");
    settings.bind_to_scope()
}

/// A change of our own schema with some events, there and back: what was said, and what readers saw before, after, and after the way back.
async fn story(name: &str, changes: &[(&str, &str)], reader: &str) -> String {
    let client = database_with_schema(name).await;
    execute(&client, EVENTS).await;
    there_and_back(&client, &second(changes), reader).await
}

async fn there_and_back(client: &Client, file: &str, reader: &str) -> String {
    let sandbox = Sandbox::new();
    sandbox.write("v2.sql", file);
    // What came in within the last second is left out of what differs.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = table(client, DEFINITIONS).await;
    let seen = |what: &str, rows: String| format!("{what}\n  {}\n", rows.replace('\n', "\n  "));
    let columns =
        "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = 'sessions'";
    let known = table(client, columns).await;
    let common: Vec<&str> = reader
        .split(", ")
        .filter(|column| known.lines().any(|it| it == *column))
        .collect();
    let old_rows = table(
        client,
        &format!("SELECT {} FROM sessions ORDER BY ALL", common.join(", ")),
    )
    .await;
    let said = done(
        &sandbox,
        client,
        &["rebuild", "sessions", "--to", "v2.sql", "--lead", "0"],
    );
    let new_rows = table(
        client,
        &format!("SELECT {reader} FROM sessions ORDER BY ALL"),
    )
    .await;
    // What comes in afterwards is seen on both sides.
    execute(client, "INSERT INTO events (project_id, event_id, timestamp, event_name, anonymous_id, session_id, source, country) VALUES ('p', '6', '2026-06-02 10:30:00', 'signup', 'b', 't', 'late', 'DE')").await;
    let later = table(
        client,
        &format!(
            "SELECT {reader} FROM sessions WHERE session_id = 't' AND project_id = 'p' ORDER BY ALL"
        ),
    )
    .await;
    // The view is what the file says: no cut is left in it.
    let cut = table(client, "SELECT count() AS n FROM system.tables WHERE database = currentDatabase() AND engine = 'MaterializedView' AND as_select LIKE '%received_at%'").await;
    assert_eq!(cut, "0");
    done(&sandbox, client, &["rebuild", "--rollback", "-q"]);
    done(&sandbox, client, &["rebuild", "--abort", "-q"]);
    assert_eq!(table(client, DEFINITIONS).await, before);
    [
        seen("before", old_rows),
        said,
        seen("after", new_rows),
        seen("later", later),
    ]
    .concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_aggregate_column_is_added() {
    let told = story(
        "change_column",
        &[
            ("    event_count    SimpleAggregateFunction(sum, UInt64) ", "    signup_count   SimpleAggregateFunction(sum, UInt64),\n    event_count    SimpleAggregateFunction(sum, UInt64) "),
            ("    count() AS event_count,", "    count() AS event_count,\n    countIf(e.event_name = 'signup') AS signup_count,"),
            ("    session_id      String               COMMENT 'The session',", "    session_id      String               COMMENT 'The session',\n    signup_count UInt64,"),
            ("    s.event_count AS event_count,", "    s.event_count AS event_count,\n    s.signup_count AS signup_count,"),
        ],
        "project_id, session_id, event_count, pageview_count, signup_count",
    )
    .await;
    told!(told, @"
    before
      p | s | 3 | 1
      p | t | 1 | 1
      q | t | 1 | 0
    rebuilding `sessions`: sessions_v2 beside sessions_v1, from `events`
      cut at [TIME]
      what comes in from then on feeds both sides
      everything from before is there
      history: 5 rows in 1 chunk
      3 rows are the same as a recomputation from `events`
      `sessions` against what it says now: 3 rows the same
        new column: signup_count
      readers read the new side
    after
      p | s | 3 | 1 | 1
      p | t | 1 | 1 | 0
      q | t | 1 | 0 | 0
    later
      p | t | 2 | 1 | 1
    ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expression_is_changed() {
    let told = story(
        "change_expression",
        &[(
            "countIf(e.event_name = '$pageview')",
            "countIf(e.event_name IN ('$pageview', 'screen'))",
        )],
        "project_id, session_id, event_count, pageview_count",
    )
    .await;
    told!(told, @"
    before
      p | s | 3 | 1
      p | t | 1 | 1
      q | t | 1 | 0
    rebuilding `sessions`: sessions_v2 beside sessions_v1, from `events`
      cut at [TIME]
      what comes in from then on feeds both sides
      everything from before is there
      history: 5 rows in 1 chunk
      3 rows are the same as a recomputation from `events`
      `sessions` against what it says now: 1 row the same
        pageview_count differs in 2 rows
        e.g. project_id p, session_id s, anonymous_id a: pageview_count was 1 and is 2
        e.g. project_id q, session_id t, anonymous_id b: pageview_count was 0 and is 1
      readers read the new side
    after
      p | s | 3 | 2
      p | t | 1 | 1
      q | t | 1 | 1
    later
      p | t | 2 | 1
    ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_view_is_mended() {
    // argMin skips what is NULL, so each column has its own first event: a session that began with nobody's campaign gets a later one's.
    let client = database_with_schema("change_wrong").await;
    for object in ["sources", "sessions", "sessions_v1_mv", "sessions_v1"] {
        execute(&client, &format!("DROP TABLE {object}")).await;
    }
    for statement in [
        "CREATE TABLE sessions_v1 (project_id String, session_id String, anonymous_id String, source AggregateFunction(argMin, Nullable(String), DateTime64(3, 'UTC')), campaign AggregateFunction(argMin, Nullable(String), DateTime64(3, 'UTC'))) ENGINE = AggregatingMergeTree ORDER BY (project_id, session_id, anonymous_id)",
        "CREATE MATERIALIZED VIEW sessions_v1_mv TO sessions_v1 AS SELECT project_id, session_id, anonymous_id, argMinState(CAST(nullIf(source, ''), 'Nullable(String)'), timestamp) AS source, argMinState(CAST(nullIf(campaign, ''), 'Nullable(String)'), timestamp) AS campaign FROM events GROUP BY project_id, session_id, anonymous_id",
        "CREATE VIEW sessions AS SELECT project_id, session_id, anonymous_id, ifNull(argMinMerge(source), '') AS entry_source, ifNull(argMinMerge(campaign), '') AS entry_campaign FROM sessions_v1 GROUP BY project_id, session_id, anonymous_id",
    ] {
        execute(&client, statement).await;
    }
    execute(&client, EVENTS).await;
    let told = there_and_back(
        &client,
        "CREATE TABLE sessions_v2 (project_id String, session_id String, anonymous_id String, entry SimpleAggregateFunction(min, Tuple(timestamp DateTime64(3, 'UTC'), event_id String, source String, campaign String))) ENGINE = AggregatingMergeTree ORDER BY (project_id, session_id, anonymous_id);\n\
         CREATE MATERIALIZED VIEW sessions_v2_mv TO sessions_v2 AS SELECT project_id, session_id, anonymous_id, min((timestamp, event_id, toString(source), toString(campaign))) AS entry FROM events GROUP BY project_id, session_id, anonymous_id;\n\
         -- housewright:expect(entry_campaign)\n\
         CREATE OR REPLACE VIEW sessions AS SELECT project_id, session_id, anonymous_id, tupleElement(entry, 'source') AS entry_source, tupleElement(entry, 'campaign') AS entry_campaign FROM sessions_v2 FINAL;\n",
        "project_id, session_id, entry_source, entry_campaign",
    )
    .await;
    told!(told, @"
    before
      p | s | direct | spring
      p | t | google | summer
      q | t | x | 
    rebuilding `sessions`: sessions_v2 beside sessions_v1, from `events`
      cut at [TIME]
      what comes in from then on feeds both sides
      everything from before is there
      history: 5 rows in 1 chunk
      3 rows are the same as a recomputation from `events`
      `sessions` against what it says now: 2 rows the same
        entry_campaign differs in 1 row
        e.g. project_id p, session_id s, anonymous_id a: entry_campaign was spring and is ''
      readers read the new side
    after
      p | s | direct | 
      p | t | google | summer
      q | t | x | 
    later
      p | t | google | summer
    ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sorting_key_is_changed() {
    let told = story(
        "change_sorting",
        &[(
            "ORDER BY (project_id, day, session_id, anonymous_id)",
            "ORDER BY (project_id, anonymous_id, day, session_id)",
        )],
        "project_id, session_id, event_count",
    )
    .await;
    told!(told, @"
    before
      p | s | 3
      p | t | 1
      q | t | 1
    rebuilding `sessions`: sessions_v2 beside sessions_v1, from `events`
      cut at [TIME]
      what comes in from then on feeds both sides
      everything from before is there
      history: 5 rows in 1 chunk
      3 rows are the same as a recomputation from `events`
      `sessions` against what it says now: 3 rows the same
      readers read the new side
    after
      p | s | 3
      p | t | 1
      q | t | 1
    later
      p | t | 2
    ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_partition_key_is_changed() {
    let told = story(
        "change_partition",
        &[(
            "ORDER BY (project_id, day, session_id, anonymous_id)",
            "PARTITION BY cityHash64(project_id) % 3\nORDER BY (project_id, day, session_id, anonymous_id)",
        )],
        "project_id, session_id, event_count",
    )
    .await;
    told!(told, @"
    before
      p | s | 3
      p | t | 1
      q | t | 1
    rebuilding `sessions`: sessions_v2 beside sessions_v1, from `events`
      cut at [TIME]
      what comes in from then on feeds both sides
      everything from before is there
      history: 5 rows in 1 chunk
      3 rows are the same as a recomputation from `events`
      `sessions` against what it says now: 3 rows the same
      readers read the new side
    after
      p | s | 3
      p | t | 1
      q | t | 1
    later
      p | t | 2
    ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dimension_is_added_to_the_key() {
    let told = story(
        "change_dimension",
        &[
            (
                "    event_count    SimpleAggregateFunction(sum, UInt64) ",
                "    land String,\n    event_count    SimpleAggregateFunction(sum, UInt64) ",
            ),
            (
                "ORDER BY (project_id, day, session_id, anonymous_id)",
                "ORDER BY (project_id, day, session_id, anonymous_id, land)",
            ),
            (
                "    count() AS event_count,",
                "    count() AS event_count,\n    e.country AS land,",
            ),
            (
                "    e.session_id,\n    e.anonymous_id\n",
                "    e.session_id,\n    e.anonymous_id,\n    e.country\n",
            ),
            (
                "    session_id      String               COMMENT 'The session',",
                "    session_id      String               COMMENT 'The session',\n    land String,",
            ),
            (
                "    s.event_count AS event_count,",
                "    s.event_count AS event_count,\n    s.land AS land,",
            ),
        ],
        "project_id, session_id, land, event_count",
    )
    .await;
    told!(told, @"
    before
      p | s | 3
      p | t | 1
      q | t | 1
    rebuilding `sessions`: sessions_v2 beside sessions_v1, from `events`
      cut at [TIME]
      what comes in from then on feeds both sides
      everything from before is there
      history: 5 rows in 1 chunk
      4 rows are the same as a recomputation from `events`
      `sessions` against what it says now: one side has several rows with the same project_id, session_id, anonymous_id, so that they cannot be told apart
        new column: land
      readers read the new side
    after
      p | s | DE | 2
      p | s | FR | 1
      p | t | DE | 1
      q | t | US | 1
    later
      p | t | DE | 2
    ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_differ_is_said_and_nothing_else_may() {
    let client = database_with_schema("change_expect").await;
    let sandbox = Sandbox::new();
    execute(&client, EVENTS).await;
    let before = table(&client, WHOLE).await;
    sandbox.write(
        "v2.sql",
        second(&[(
            "countIf(e.event_name = '$pageview')",
            "countIf(e.event_name IN ('$pageview', 'screen'))",
        )]),
    );
    let _settings = sizes_and_cuts();
    let args = ["rebuild", "sessions", "--to", "v2.sql", "--lead", "0"];
    snapshot!(sandbox.on(&client, &[&args[..], &["--expect", "event_count, -rows"]].concat()), @"
    success: false
    exit_code: 1
    ----- stdout -----

    ----- stderr -----
    rebuilding `sessions`: sessions_v2 beside sessions_v1, from `events`
      cut at [TIME]
      what comes in from then on feeds both sides
      everything from before is there
      history: 5 rows in 1 chunk
      3 rows are the same as a recomputation from `events`
    error[unexpected-difference]: `sessions` would differ from what it says now in more than was expected; readers were not swapped
     |
     = note: more than expected: pageview_count
     = note: project_id p, session_id s, anonymous_id a: pageview_count was 1 and is 2
     = note: project_id q, session_id t, anonymous_id b: pageview_count was 0 and is 1
     = help: if that is meant, `housewright rebuild --abort`, add it to what may differ, and begin again; otherwise mend the definition
    ");
    assert_eq!(
        table(&client, "SELECT count() AS n FROM system.tables WHERE database = currentDatabase() AND engine = 'View' AND create_table_query LIKE '%sessions_v2%'").await,
        "0"
    );
    snapshot!(sandbox.on(&client, &["rebuild", "--abort"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    change_expect on http://[ADDRESS]/: `sessions`: the rebuild was taken back, in [DURATION]; everything is as it was

    ----- stderr -----
      letting sessions_v2 go
    ");
    assert_eq!(table(&client, WHOLE).await, before);
    snapshot!(sandbox.on(&client, &[&args[..], &["--expect", "pageview_count", "--dry-run"]].concat()), @"
    success: true
    exit_code: 0
    ----- stdout -----
    change_expect on http://[ADDRESS]/: `sessions` changes over from sessions_v1 to sessions_v2, and not in place, because `pageview_count` is made otherwise, and what is in merged rows cannot be made anew from them; where history may keep what it has, MODIFY QUERY does

      1  make sessions_v2 beside sessions_v1, and a view that feeds it from `events`
      2  choose a cut of received_at some seconds ahead, and wait for every INSERT that began before it
      3  aggregate what was received before the cut: about 5 rows ([BYTES]) in 1 chunk
      4  compare every row of sessions_v2 with a recomputation from `events`
      5  compare readers with what they say now, and stop if more differs than pageview_count
      6  let the readers read it: sessions
      7  keep sessions_v1, and feed it, as the way back; sources reads it still

    the copy needs about [BYTES] on disk; [BYTES] are free

    ----- stderr -----
    ");
    snapshot!(sandbox.on(&client, &[&args[..], &["--expect", "pageview_count"]].concat()), @"
    success: true
    exit_code: 0
    ----- stdout -----
    change_expect on http://[ADDRESS]/: `sessions` is rebuilt: sessions now read sessions_v2, in [DURATION]
    sessions_v1 is kept, and fed: `housewright rebuild --rollback` lets readers go back to it, `--finish` lets it go

    ----- stderr -----
    rebuilding `sessions`: sessions_v2 beside sessions_v1, from `events`
      cut at [TIME]
      what comes in from then on feeds both sides
      everything from before is there
      history: 5 rows in 1 chunk
      3 rows are the same as a recomputation from `events`
      `sessions` against what it says now: 1 row the same
        pageview_count differs in 2 rows
        e.g. project_id p, session_id s, anonymous_id a: pageview_count was 1 and is 2
        e.g. project_id q, session_id t, anonymous_id b: pageview_count was 0 and is 1
      readers read the new side
    ");
    // `sources` reads the old state still.
    snapshot!(sandbox.on(&client, &["rebuild", "--finish"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: `sessions_v1` is still read by sources, so it cannot be let go
      let them read the other side (CREATE OR REPLACE VIEW), or drop them; nothing was changed
    ");
    execute(&client, "DROP VIEW sources").await;
    snapshot!(sandbox.on(&client, &["rebuild", "--finish"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    change_expect on http://[ADDRESS]/: `sessions` is rebuilt; the old side is gone, in [DURATION]

    ----- stderr -----
      letting sessions_v1 go
    ");
    assert_eq!(
        table(&client, "SELECT name FROM system.tables WHERE database = currentDatabase() AND name LIKE 'sessions%' ORDER BY name").await,
        "sessions\nsessions_v2\nsessions_v2_mv"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_slices_of_the_keys_new_and_old_differ_in_the_same_rows() {
    let client = database_with_schema("change_slices").await;
    let sandbox = Sandbox::new();
    execute(&client, EVENTS).await;
    execute(&client, "INSERT INTO events (project_id, event_id, timestamp, event_name, anonymous_id, session_id) SELECT 'p', toString(100 + number), toDateTime64('2026-06-03 10:00:00', 3, 'UTC') + number, if(number % 3 = 0, 'screen', '$pageview'), 'c', 'n' || toString(number % 40) FROM numbers(60)").await;
    sandbox.write(
        "v2.sql",
        second(&[(
            "countIf(e.event_name = '$pageview')",
            "countIf(e.event_name IN ('$pageview', 'screen'))",
        )]),
    );
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut told = Vec::new();
    for (rows, slices) in [("1000000", 1), ("3", 4)] {
        let proxy = Proxy::start(&engine().url, |_| Fate::Pass);
        let args = ["rebuild", "sessions", "--to", "v2.sql", "--lead", "0"];
        let args = [&args[..], &["--chunk-rows", rows]].concat();
        let output = sandbox.at(&proxy.url, &client, &args).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        let seen = proxy.seen.lock().unwrap().clone();
        let looks = seen.iter().filter(|it| {
            it.sql()
                .contains("INSERT INTO `sessions_v2__housewright_against_seen")
        });
        assert_eq!(looks.count(), slices, "{said}");
        let from = said.find("  `sessions` against").unwrap();
        told.push(said[from..].to_owned());
        done(&sandbox, &client, &["rebuild", "--abort", "-q"]);
    }
    assert_eq!(told[0], told[1]);
    insta::assert_snapshot!(told[0], @"
    `sessions` against what it says now: 21 rows the same
      pageview_count differs in 22 rows
      e.g. project_id p, session_id n30, anonymous_id c: pageview_count was 0 and is 1
      e.g. project_id p, session_id n36, anonymous_id c: pageview_count was 0 and is 1
      e.g. project_id p, session_id n9, anonymous_id c: pageview_count was 1 and is 2
    readers read the new side
    ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_anywhere_it_goes_on_or_leaves_no_trace() {
    let client = database_with_schema("change_killed").await;
    let sandbox = Sandbox::new();
    sandbox.write(
        "v2.sql",
        second(&[(
            "countIf(e.event_name = '$pageview')",
            "countIf(e.event_name IN ('$pageview', 'screen'))",
        )]),
    );
    execute(&client, EVENTS).await;
    let before = table(&client, WHOLE).await;
    let args = [
        "rebuild",
        "sessions",
        "--to",
        "v2.sql",
        "--lead",
        "0",
        "--chunk-rows",
        "2",
        "--expect",
        "pageview_count",
    ];
    done(&sandbox, &client, &args);
    let never_killed = whole(&sandbox, &client).await;
    done(&sandbox, &client, &["rebuild", "--abort"]);
    assert_eq!(table(&client, WHOLE).await, before);
    let mut places = Vec::new();
    let stride = if support::full() { 1 } else { 9 };
    for number in (1..).step_by(stride) {
        let fate = [Fate::HoldBefore, Fate::HoldAfter, Fate::HoldDuring][number / stride % 3];
        let end = killed_at(|url| sandbox.at(url, &client, &args), number, fate);
        let End::Killed(at) = end else {
            done(&sandbox, &client, &["rebuild", "--abort"]);
            assert_eq!(table(&client, WHOLE).await, before);
            break;
        };
        done(&sandbox, &client, &["unlock", "--force", "-q"]);
        let last = housewright::rebuild::last(&client).await.unwrap();
        if last.is_some_and(|progress| !progress.ended) && (number / stride) % 2 == 0 {
            done(
                &sandbox,
                &client,
                &["rebuild", "--resume", "--lead", "0", "-q"],
            );
            let now = whole(&sandbox, &client).await;
            assert_eq!(now, never_killed, "{number} {fate:?} {at}");
        }
        let abort = sandbox
            .on(&client, &["rebuild", "--abort"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&abort.stderr).into_owned();
        assert!(
            abort.status.success() || said.contains("there is no rebuild to abort"),
            "{number} {at}: {said}"
        );
        assert_eq!(
            table(&client, WHOLE).await,
            before,
            "{number} {fate:?} {at}"
        );
        places.push(format!("{fate:?} {at}"));
    }
    support::say(&format!(
        "killed at {} places:\n  {}",
        places.len(),
        places.join("\n  ")
    ));
    assert!(places.len() > 30 / stride, "{places:?}");
}

/// Definitions of all objects under the names of the files, and what readers see.
async fn whole(sandbox: &Sandbox, client: &Client) -> String {
    let output = sandbox.on(client, &["dump"]).output().unwrap();
    let rows = "SELECT * FROM sessions ORDER BY ALL";
    String::from_utf8(output.stdout).unwrap() + &table(client, rows).await
}

/// Definitions of all objects, and what readers see.
const WHOLE: &str = "SELECT * FROM (SELECT name AS a, create_table_query AS b FROM system.tables WHERE database = currentDatabase() AND name NOT LIKE 'housewright_lock%' UNION ALL SELECT 'rows', toString(groupArray(t)) FROM (SELECT tuple(*) AS t FROM sessions ORDER BY ALL)) ORDER BY a";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn while_rows_come_in_nothing_is_lost_doubled_or_seen_wrong() {
    let client = database_with_schema("change_live").await;
    let sandbox = Sandbox::new();
    sandbox.write(
        "v2.sql",
        second(&[(
            "countIf(e.event_name = '$pageview')",
            "countIf(e.event_name IN ('$pageview', 'screen'))",
        )]),
    );
    execute(&client, EVENTS).await;
    let live = Live::start(&client, 2, |writer, number| {
        format!(
            "INSERT INTO events (project_id, event_id, timestamp, event_name, anonymous_id, session_id, source) SELECT 'live', '{writer}-{number}-' || toString(number), toDateTime64('2026-05-01 00:00:00', 3, 'UTC') + rand() % 6000000, if(number % 2, 'screen', '$pageview'), 'a' || toString(number % 3), 's' || toString(rand() % 40), 'x' FROM numbers(20) WHERE sleepEachRow({}) = 0",
            if number % 5 == 0 { 0.02 } else { 0.0 }
        )
    });
    let mut args = vec![
        "rebuild",
        "sessions",
        "--to",
        "v2.sql",
        "--lead",
        "1",
        "--chunk-rows",
        "300",
        "--expect",
        "pageview_count",
    ];
    let mut kills = Vec::new();
    for number in [9, 14, usize::MAX] {
        let end = {
            let (sandbox, client, args) = (&sandbox, &client, &args);
            tokio::task::block_in_place(|| {
                killed_at(|url| sandbox.at(url, client, args), number, Fate::HoldAfter)
            })
        };
        let End::Killed(at) = end else { break };
        kills.push(at);
        done(&sandbox, &client, &["unlock", "--force", "-q"]);
        args = vec!["rebuild", "--resume", "--lead", "1", "--chunk-rows", "300"];
    }
    let (rows, reads) = live.end().await;
    let raw = "SELECT project_id, session_id, anonymous_id, count() AS n, countIf(event_name IN ('$pageview', 'screen')) AS p, argMin(toString(source), (timestamp, event_id)) AS e FROM events GROUP BY 1, 2, 3";
    let seen = "SELECT project_id, session_id, anonymous_id, event_count AS n, pageview_count AS p, entry_source AS e FROM sessions";
    for (a, b) in [(raw, seen), (seen, raw)] {
        assert_eq!(
            table(&client, &format!("SELECT * FROM ({a} EXCEPT {b}) LIMIT 3")).await,
            ""
        );
    }
    support::say(&format!(
        "{rows} rows came in, {reads} reads, killed at {kills:?}"
    ));
    assert!(rows > 200 && reads > 3 && kills.len() == 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_change_is_refused_with_its_place() {
    let client = database_with_schema("change_refused").await;
    let sandbox = Sandbox::new();
    execute(&client, EVENTS).await;
    execute(
        &client,
        "CREATE TABLE lookup (country String, land String) ENGINE = MergeTree ORDER BY country",
    )
    .await;
    execute(
        &client,
        "CREATE TABLE unstamped (k String) ENGINE = MergeTree ORDER BY k",
    )
    .await;
    execute(
        &client,
        "CREATE TABLE plain_v1 (k String, n UInt64) ENGINE = SummingMergeTree ORDER BY k",
    )
    .await;
    execute(&client, "CREATE MATERIALIZED VIEW plain_v1_mv TO plain_v1 AS SELECT k, count() AS n FROM unstamped GROUP BY k").await;
    execute(
        &client,
        "CREATE VIEW plain AS SELECT k, n FROM plain_v1 FINAL",
    )
    .await;
    let before = table(&client, WHOLE).await;
    let state = "CREATE TABLE n_v2 (project_id String, n UInt64)\nENGINE = SummingMergeTree ORDER BY project_id;\n";
    let view = "CREATE MATERIALIZED VIEW n_v2_mv TO n_v2 AS\nSELECT project_id, count() AS n FROM events GROUP BY project_id;\n";
    let reader = "CREATE OR REPLACE VIEW counts AS SELECT project_id, sum(n) AS n FROM n_v2 GROUP BY project_id;\n";
    let whole = [state, view, reader].concat();
    let mut told = String::new();
    for (what, text) in [
        ("the same names", whole.replace("n_v2", "sessions_v1")),
        ("no view", [state, reader].concat()),
        (
            "something else",
            format!("{whole}DROP TABLE sessions_v1;\n"),
        ),
        (
            "another reader",
            format!("{whole}CREATE OR REPLACE VIEW other AS SELECT 1 FROM events;\n"),
        ),
        (
            "another source",
            whole
                .replace("FROM events", "FROM lookup")
                .replace("project_id, count", "country AS project_id, count")
                .replace(
                    "GROUP BY project_id;\nCREATE OR",
                    "GROUP BY country;\nCREATE OR",
                ),
        ),
        (
            "a join",
            whole.replace(
                "FROM events",
                "FROM events AS e INNER JOIN lookup AS l ON l.country = e.country",
            ),
        ),
        (
            "no such column",
            whole.replace("count() AS n", "sum(nothing) AS n"),
        ),
        (
            "a column without a place",
            whole.replace("count() AS n", "count() AS m"),
        ),
        (
            "a key that is not written",
            whole
                .replace("(project_id String, n", "(project_id String, k String, n")
                .replace("ORDER BY project_id", "ORDER BY (project_id, k)"),
        ),
        (
            "a state of another kind",
            whole
                .replace("n UInt64", "n AggregateFunction(sum, UInt64)")
                .replace("sum(n)", "sumMerge(n)"),
        ),
        (
            "no SQL",
            whole.replace("SELECT project_id, count", "SELECT project_id,, count"),
        ),
        (
            "a reader that cannot be",
            whole.replace("sum(n) AS n", "sum(nothing) AS n"),
        ),
        (
            "an engine that cannot be",
            whole.replace("SummingMergeTree", "SummingMergeTree(nothing)"),
        ),
        (
            "a table as reader",
            whole.replace("VIEW counts", "VIEW lookup"),
        ),
        (
            "no columns",
            whole.replace("(project_id String, n UInt64)\n", ""),
        ),
    ] {
        sandbox.write("change.sql", text);
        let output = sandbox
            .on(
                &client,
                &["rebuild", "sessions", "--to", "change.sql", "--lead", "0"],
            )
            .output()
            .unwrap();
        let _ = writeln!(
            told,
            "## {what}: {}\n{}",
            output.status.code().unwrap(),
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(table(&client, WHOLE).await, before, "{what}");
    }
    sandbox.write(
        "change.sql",
        whole
            .replace("FROM events", "FROM unstamped")
            .replace("project_id", "k"),
    );
    let output = sandbox
        .on(&client, &["rebuild", "plain", "--to", "change.sql"])
        .output()
        .unwrap();
    let _ = writeln!(
        told,
        "## no time of receiving: {}\n{}",
        output.status.code().unwrap(),
        String::from_utf8_lossy(&output.stderr)
    );
    let output = sandbox
        .on(&client, &["rebuild", "plain", "--to", "nowhere.sql"])
        .output()
        .unwrap();
    let _ = writeln!(
        told,
        "## no file: {}\n{}",
        output.status.code().unwrap(),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(table(&client, WHOLE).await, before);
    told!(told, @"
    ## the same names: 2
    error[rebuild]: there is a `sessions_v1` already
     --> change.sql:1:1
      |
    1 | CREATE TABLE sessions_v1 (project_id String, n UInt64)
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: nothing was changed
      = help: give what is new a name of its own, as in `sessions_v2` beside `sessions_v1`: both stand until the old side is let go

    error[rebuild]: there is a `sessions_v1_mv` already
     --> change.sql:3:1
      |
    3 | CREATE MATERIALIZED VIEW sessions_v1_mv TO sessions_v1 AS
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: nothing was changed
      = help: give what is new a name of its own, as in `sessions_v2` beside `sessions_v1`: both stand until the old side is let go

    ## no view: 2
    error[changed-definition]: there is no CREATE MATERIALIZED VIEW … TO it
     --> change.sql:1:1
      |
    1 | CREATE TABLE n_v2 (project_id String, n UInt64)
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: a changed definition is a new table, a new materialized view TO it, and the readers

    ## something else: 2
    error[changed-definition]: DROP TABLE does not belong to a changed definition
     --> change.sql:6:1
      |
    6 | DROP TABLE sessions_v1;
      | ^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: keep one CREATE TABLE, one CREATE MATERIALIZED VIEW … TO it, and CREATE OR REPLACE VIEW for the readers; anything else goes into another migration (columns are added in place by a section of their own)

    ## another reader: 2
    error[changed-definition]: `other` does not read `n_v2`
     --> change.sql:6:1
      |
    6 | CREATE OR REPLACE VIEW other AS SELECT 1 FROM events;
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: only views that change over to the new state stand here; others go into another migration

    ## another source: 2
    error[rebuild]: `n_v2_mv` does not read `events`, from which `sessions_v1` is made
     --> change.sql:3:1
      |
    3 | CREATE MATERIALIZED VIEW n_v2_mv TO n_v2 AS
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: nothing was changed
      = help: let it read the same source; a state from another one is a new view, not a changed one

    error[rebuild]: `n_v2_mv` reads `lookup` besides `events`
     --> change.sql:3:1
      |
    3 | CREATE MATERIALIZED VIEW n_v2_mv TO n_v2 AS
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: nothing was changed
      = help: a trigger would see that table as it is at the time of each INSERT, which no recomputation can; look it up when the state is read, or in a dictionary

    ## a join: 2
    error[rebuild]: `n_v2_mv` reads `lookup` besides `events`
     --> change.sql:3:1
      |
    3 | CREATE MATERIALIZED VIEW n_v2_mv TO n_v2 AS
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: nothing was changed
      = help: a trigger would see that table as it is at the time of each INSERT, which no recomputation can; look it up when the state is read, or in a dictionary

    ## no such column: 2
    error[rebuild]: ClickHouse refuses the query of `n_v2_mv`: Unknown expression or function identifier `nothing` in scope SELECT project_id, sum(nothing) AS n FROM events GROUP BY project_id.
     --> change.sql:3:1
      |
    3 | CREATE MATERIALIZED VIEW n_v2_mv TO n_v2 AS
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: nothing was changed
      = help: mend the SELECT

    ## a column without a place: 2
    error[rebuild]: the view writes `m`, and `n_v2` has no such column
     --> change.sql:3:1
      |
    3 | CREATE MATERIALIZED VIEW n_v2_mv TO n_v2 AS
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: nothing was changed
      = help: add the column to the table, or call the output as the table does

    ## a key that is not written: 2
    error[rebuild]: the key of `n_v2` has `k`, which the view does not write
     --> change.sql:3:1
      |
    3 | CREATE MATERIALIZED VIEW n_v2_mv TO n_v2 AS
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: nothing was changed
      = help: let the view write it, or take it out of ORDER BY

    ## a state of another kind: 2
    error[rebuild]: the view writes UInt64 into `n_v2.n`, which is AggregateFunction(sum, UInt64)
     --> change.sql:3:1
      |
    3 | CREATE MATERIALIZED VIEW n_v2_mv TO n_v2 AS
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: nothing was changed
      = help: let both be the same aggregate function of the same types

    ## no SQL: 2
    error[rebuild]: ClickHouse does not read this: Syntax error: failed at position 65 (count) (line 2, col 21): count() AS n FROM events GROUP BY project_id. Expected end of query
     --> change.sql:3:1
      |
    3 | CREATE MATERIALIZED VIEW n_v2_mv TO n_v2 AS
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: nothing was changed
      = help: mend the statement

    ## a reader that cannot be: 3
    rebuilding `sessions`: n_v2 beside sessions_v1, from `events`
      letting n_v2 go
    error: ClickHouse refused what stands in change.sql:5; readers were not touched, and everything is as it was
      because: ClickHouse says UNKNOWN_IDENTIFIER (code 47): Unknown expression or function identifier `nothing` in scope SELECT project_id, sum(nothing) AS n FROM change_refused.n_v2 GROUP BY project_id.

    ## an engine that cannot be: 3
    rebuilding `sessions`: n_v2 beside sessions_v1, from `events`
      letting n_v2 go
    error: ClickHouse refused what stands in change.sql:1; readers were not touched, and everything is as it was
      because: ClickHouse says NO_SUCH_COLUMN_IN_TABLE (code 16): Column nothing listed in columns to sum does not exist in table declaration.

    ## a table as reader: 2
    error[rebuild]: `lookup` is no view that could change over (MergeTree)
     --> change.sql:5:1
      |
    5 | CREATE OR REPLACE VIEW lookup AS SELECT project_id, sum(n) AS n FROM n_v2 GROUP BY project_id;
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: nothing was changed
      = help: replace plain views only

    ## no columns: 2
    error[rebuild]: `n_v2` does not say all of what it is
     --> change.sql:1:1
      |
    1 | CREATE TABLE n_v2 ENGINE = SummingMergeTree ORDER BY project_id;
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: nothing was changed
      = help: write its columns, ENGINE and ORDER BY out (not CREATE TABLE … AS another)

    ## no time of receiving: 2
    error[rebuild]: `unstamped` has no column in which the server writes when it took a row, so there is no safe place to cut history from what comes in
     |
     = note: nothing was changed
     = help: add one: ALTER TABLE unstamped ADD COLUMN received_at DateTime64(6, 'UTC') DEFAULT toDateTime64(0, 6, 'UTC'); ALTER TABLE unstamped MATERIALIZE COLUMN received_at; ALTER TABLE unstamped MODIFY COLUMN received_at DateTime64(6, 'UTC') MATERIALIZED now64(6). Or stop whoever writes into it until readers are swapped, and say `--writers-stopped`

    ## no file: 2
    error[unreadable]: the file cannot be read: failed to open file `nowhere.sql`: No such file or directory (os error 2)
    --> nowhere.sql:1:1
     = help: check that it is a file and that you may read it
    ");
}

/// Our own migrations in a sandbox, and another file with a section and a way back.
fn ours_and(file: &str, section: &str, down: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    for name in ["0001_events.sql", "0002_sessions.sql", "0003_sources.sql"] {
        sandbox.migration(
            name,
            &fs_err::read_to_string(schema().join("migrations").join(name)).unwrap(),
        );
    }
    sandbox.migration(
        file,
        &format!("-- migrate:rebuild\n{section}-- migrate:down\n{down}"),
    );
    sandbox
}

/// The same with a changed definition.
fn with_section(change: &str, down: &str) -> Sandbox {
    let sandbox = ours_and("0004_sessions_v2.sql", change, down);
    sandbox.run(&["repair", "-q"]);
    sandbox
}

/// Screens count as pageviews; and the way back.
fn screens() -> (String, String) {
    let old = statement("0002_sessions.sql", "CREATE VIEW sessions\n")
        .replace("CREATE VIEW", "CREATE OR REPLACE VIEW");
    (
        second(&[(
            "countIf(e.event_name = '$pageview')",
            "countIf(e.event_name IN ('$pageview', 'screen'))",
        )]),
        format!(
            "{old}\nDROP VIEW sessions_v2_mv;\n-- housewright:allow(destructive) because sessions_v1 has all of it\nDROP TABLE sessions_v2;\n"
        ),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_section_is_plain_ddl_where_nothing_is_and_a_rebuild_where_rows_are() {
    let (change, down) = screens();
    let sandbox = with_section(&change, &down);
    let empty = support::database("section_empty").await;
    let _settings = sizes_and_cuts();
    done(&sandbox, &empty, &["apply", "--to", "3", "-q"]);
    snapshot!(sandbox.on(&empty, &["plan"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    section_empty on http://[ADDRESS]/: 3 statements to execute

    0004_sessions_v2  schema/migrations/0004_sessions_v2.sql
      1/3  CREATE TABLE              sessions_v2     metadata
      2/3  CREATE MATERIALIZED VIEW  sessions_v2_mv  metadata
      3/3  CREATE VIEW               sessions        metadata
      from statement 1 on: plain statements, because events is empty

    ----- stderr -----
    ");
    snapshot!(sandbox.on(&empty, &["apply"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    section_empty on http://[ADDRESS]/: 3 statements executed in [DURATION]

    ----- stderr -----
      0004_sessions_v2 1/3  CREATE TABLE sessions_v2  [DURATION]
      0004_sessions_v2 2/3  CREATE MATERIALIZED VIEW sessions_v2_mv  [DURATION]
      0004_sessions_v2 3/3  CREATE VIEW sessions  [DURATION]
    ");
    snapshot!(sandbox.on(&empty, &["drift"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    section_empty on http://[ADDRESS]/ is what the 4 migrations made that were applied there: 9 objects

    ----- stderr -----
    ");

    let client = support::database("section_rows").await;
    done(&sandbox, &client, &["apply", "--to", "3", "-q"]);
    execute(&client, EVENTS).await;
    let dump = |client: &Client| {
        let output = sandbox.on(client, &["dump"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let before = dump(&client);
    tokio::time::sleep(Duration::from_secs(2)).await;
    snapshot!(sandbox.on(&client, &["plan", "--chunk-rows", "2"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    section_rows on http://[ADDRESS]/: 3 statements to execute

    0004_sessions_v2  schema/migrations/0004_sessions_v2.sql
      1/3  CREATE TABLE              sessions_v2     metadata
      2/3  CREATE MATERIALIZED VIEW  sessions_v2_mv  metadata
      3/3  CREATE VIEW               sessions        metadata
      from statement 1 on: a rebuild, because `events` has rows: history is made anew in `sessions_v2` while rows come in
        not in place, because `pageview_count` is made otherwise, and what is in merged rows cannot be made anew from them; where history may keep what it has, MODIFY QUERY does
        5 rows ([BYTES]) of `events` in 2 chunks; the copy needs about [BYTES] on disk, [BYTES] are free
        then these change over: sessions
        `sessions_v1` is kept, and fed: the down section goes back to it; sources goes on with it

    ----- stderr -----
    ");
    snapshot!(sandbox.on(&client, &["apply", "--chunk-rows", "2"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    section_rows on http://[ADDRESS]/: 3 statements executed in [DURATION]

    ----- stderr -----
    rebuilding `sessions`: sessions_v2 beside sessions_v1, from `events`
      cut at [TIME]
      what comes in from then on feeds both sides
      everything from before is there
      history: 5 rows in 2 chunks
      3 rows are the same as a recomputation from `events`
      `sessions` against what it says now: 1 row the same
        pageview_count differs in 2 rows
        e.g. project_id p, session_id s, anonymous_id a: pageview_count was 1 and is 2
        e.g. project_id q, session_id t, anonymous_id b: pageview_count was 0 and is 1
      readers read the new side
      0004_sessions_v2 1/3  CREATE TABLE sessions_v2  [DURATION]
      0004_sessions_v2 2/3  CREATE MATERIALIZED VIEW sessions_v2_mv  [DURATION]
      0004_sessions_v2 3/3  CREATE VIEW sessions  [DURATION]
    ");
    snapshot!(sandbox.on(&client, &["apply"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    section_rows on http://[ADDRESS]/ is up to date: nothing was executed

    ----- stderr -----
    ");
    snapshot!(sandbox.on(&client, &["drift"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    section_rows on http://[ADDRESS]/ is what the 4 migrations made that were applied there: 9 objects

    ----- stderr -----
    ");
    let counted = "SELECT project_id, session_id, pageview_count FROM sessions ORDER BY ALL";
    assert_eq!(
        table(&client, counted).await,
        "p | s | 2\np | t | 1\nq | t | 1"
    );
    // Both databases are the same.
    assert_eq!(dump(&client), dump(&empty));
    // The old side is fed until a later migration lets it go; the way back is the down section.
    execute(&client, "INSERT INTO events (project_id, event_id, timestamp, event_name, anonymous_id, session_id) VALUES ('p', '9', '2026-06-02 10:00:01', 'screen', 'b', 't')").await;
    snapshot!(sandbox.on(&client, &["rollback"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    section_rows on http://[ADDRESS]/: 3 statements executed in [DURATION]

    ----- stderr -----
      0004_sessions_v2 down 1/3  CREATE VIEW sessions  [DURATION]
      0004_sessions_v2 down 2/3  DROP VIEW sessions_v2_mv  [DURATION]
      0004_sessions_v2 down 3/3  DROP TABLE sessions_v2  [DURATION]
    ");
    assert_eq!(
        table(&client, counted).await,
        "p | s | 1\np | t | 1\nq | t | 0"
    );
    assert_eq!(dump(&client), before);
    done(&sandbox, &client, &["apply", "-q"]);
    assert_eq!(
        table(&client, counted).await,
        "p | s | 2\np | t | 2\nq | t | 1"
    );
    let names = "CREATE OR REPLACE VIEW sources AS SELECT project_id, count() AS sessions FROM sessions_v2 FINAL GROUP BY project_id;";
    sandbox.migration(
        "0005_let_go.sql",
        &format!("-- migrate:up\n{names}\nDROP VIEW sessions_v1_mv;\n-- housewright:allow(destructive) because sessions_v2 has all of it\nDROP TABLE sessions_v1;\n"),
    );
    sandbox.run(&["repair", "-q"]);
    done(&sandbox, &client, &["apply", "-q"]);
    done(&sandbox, &empty, &["apply", "-q"]);
    assert_eq!(dump(&client), dump(&empty));
}

/// The journal's end state.
const JOURNAL: &str = "SELECT version, statement, argMax(state, position) AS s, argMax(sha256, position) AS h FROM housewright_journal GROUP BY version, statement ORDER BY version, statement";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_section_killed_anywhere_ends_as_if_it_never_was() {
    let (change, down) = screens();
    let sandbox = with_section(&change, &down);
    let client = support::database("section_killed").await;
    done(&sandbox, &client, &["apply", "--to", "3", "-q"]);
    execute(&client, EVENTS).await;
    done(&sandbox, &client, &["apply", "-q"]);
    let never_killed = whole(&sandbox, &client).await;
    let journal = table(&client, JOURNAL).await;
    done(&sandbox, &client, &["rollback", "-q"]);
    let before = whole(&sandbox, &client).await;
    let mut places = Vec::new();
    let stride = if support::full() { 1 } else { 11 };
    for number in (1..).step_by(stride) {
        let fate = [Fate::HoldBefore, Fate::HoldAfter, Fate::HoldDuring][number / stride % 3];
        let end = killed_at(|url| sandbox.at(url, &client, &["apply"]), number, fate);
        let End::Killed(at) = end else {
            assert_eq!(whole(&sandbox, &client).await, never_killed);
            break;
        };
        done(&sandbox, &client, &["unlock", "--force", "-q"]);
        done(&sandbox, &client, &["apply", "-q"]);
        assert_eq!(
            whole(&sandbox, &client).await,
            never_killed,
            "{number} {fate:?} {at}"
        );
        assert_eq!(
            table(&client, JOURNAL).await,
            journal,
            "{number} {fate:?} {at}"
        );
        done(&sandbox, &client, &["rollback", "-q"]);
        assert_eq!(
            whole(&sandbox, &client).await,
            before,
            "{number} {fate:?} {at}"
        );
        places.push(format!("{fate:?} {at}"));
    }
    support::say(&format!(
        "killed at {} places:\n  {}",
        places.len(),
        places.join("\n  ")
    ));
    assert!(places.len() > 30 / stride, "{places:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_section_that_was_begun_plainly_says_how_to_go_on_when_rows_have_come() {
    let (change, down) = screens();
    let sandbox = with_section(&change, &down);
    let client = support::database("section_plainly").await;
    let killed = |fate: Fate| {
        let at_the_view = move |request: &Request| {
            let sql = request.sql();
            if sql.trim_start().starts_with("CREATE MATERIALIZED VIEW") {
                fate
            } else {
                Fate::Pass
            }
        };
        let apply = |url: &str| sandbox.at(url, &client, &["apply"]);
        let (_, end) = kill::killed(apply, at_the_view);
        assert!(matches!(end, End::Killed(_)), "{end:?}");
        done(&sandbox, &client, &["unlock", "--force", "-q"]);
    };
    let counted = "SELECT project_id, session_id, pageview_count FROM sessions ORDER BY ALL";
    let right = "p | s | 2\np | t | 1\nq | t | 1";
    done(&sandbox, &client, &["apply", "--to", "3", "-q"]);
    // The view is not there: what has come in is not in the new state.
    killed(Fate::HoldBefore);
    execute(&client, EVENTS).await;
    snapshot!(sandbox.on(&client, &["apply"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    statement 2 of 0004_sessions_v2 had broken off: the definitions are as before it; it is executed again
    error[begun-plainly]: it was begun as plain statements when its source was empty, and rows have come by now that the new state would not have
      --> schema/migrations/0004_sessions_v2.sql:30:1
       |
    30 | CREATE MATERIALIZED VIEW sessions_v2_mv TO sessions_v2
       | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
       |
       = note: nothing was executed in this run; of 0004_sessions_v2 1 of 3 are done
       = help: DROP TABLE `sessions_v2`, and `housewright repair --retry 4:1`; then `apply` again makes history anew
    ");
    // Only the last that is done can be taken back, and nothing of what is applied.
    snapshot!(sandbox.on(&client, &["repair", "--retry", "2:5"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: statement 5 of migration 0002 is not in doubt; `housewright status` shows what is
    ");
    execute(&client, "DROP TABLE sessions_v2").await;
    snapshot!(sandbox.on(&client, &["repair", "--retry", "4:1"]), @"
    success: true
    exit_code: 0
    ----- stdout -----

    ----- stderr -----
    recorded; `housewright apply` goes on with migration 0004
    ");
    done(&sandbox, &client, &["apply", "-q"]);
    assert_eq!(table(&client, counted).await, right);
    snapshot!(sandbox.on(&client, &["drift"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    section_plainly on http://[ADDRESS]/ is what the 4 migrations made that were applied there: 9 objects

    ----- stderr -----
    ");
    // The view is there: it takes what comes in, and the readers follow.
    done(&sandbox, &client, &["rollback", "-q"]);
    execute(&client, "TRUNCATE TABLE events").await;
    for state in ["sessions_v1", "session_days_v1"] {
        execute(&client, &format!("TRUNCATE TABLE {state}")).await;
    }
    killed(Fate::HoldAfter);
    execute(&client, EVENTS).await;
    done(&sandbox, &client, &["apply", "-q"]);
    assert_eq!(table(&client, counted).await, right);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_section_that_expects_other_differences_stops_before_the_swap() {
    let (change, down) = screens();
    let sandbox = with_section(
        &format!("-- housewright:expect(event_count)\n{change}"),
        &down,
    );
    let client = support::database("section_expects").await;
    done(&sandbox, &client, &["apply", "--to", "3", "-q"]);
    execute(&client, EVENTS).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = whole(&sandbox, &client).await;
    let _settings = sizes_and_cuts();
    snapshot!(sandbox.on(&client, &["apply"]), @"
    success: false
    exit_code: 1
    ----- stdout -----

    ----- stderr -----
    rebuilding `sessions`: sessions_v2 beside sessions_v1, from `events`
      cut at [TIME]
      what comes in from then on feeds both sides
      everything from before is there
      history: 5 rows in 1 chunk
      3 rows are the same as a recomputation from `events`
    error[unexpected-difference]: `sessions` would differ from what it says now in more than was expected; readers were not swapped
     --> schema/migrations/0004_sessions_v2.sql:3:1
      |
    3 | CREATE TABLE sessions_v2
      | ^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: more than expected: pageview_count
      = note: project_id p, session_id s, anonymous_id a: pageview_count was 1 and is 2
      = note: project_id q, session_id t, anonymous_id b: pageview_count was 0 and is 1
      = note: nothing was executed in this run; of 0004_sessions_v2 0 of 3 are done
      = help: if that is meant, `housewright rebuild --abort`, add it to what may differ, and begin again; otherwise mend the definition
    ");
    snapshot!(sandbox.on(&client, &["status"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    section_expects on http://[ADDRESS]/

      version  name         state    statements  applied                  by
      0001     events       applied  1/1         [TIME]  tester@box, [DURATION]
      0002     sessions     applied  5/5         [TIME]  tester@box, [DURATION]
      0003     sources      applied  1/1         [TIME]  tester@box, [DURATION]
      0004     sessions_v2  failed   0/3         [TIME]  tester@box, [DURATION]

    3 applied, 1 failed

    0004_sessions_v2 failed at statement 1 of 3: `sessions` would differ from what it says now in more than was expected; readers were not swapped
      the 0 statements before it are done; correct the file and `apply` again, it continues there

    ----- stderr -----
    ");
    // Another migration has to wait, and nothing is begun beside it.
    snapshot!(sandbox.on(&client, &["rebuild", "sessions"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: the rebuild of `sessions` is not finished: new and raw agree, readers are not swapped
      `housewright rebuild --resume` goes on, `--finish` lets the old side go once readers are swapped, `--abort` takes all of it back
    ");
    done(&sandbox, &client, &["rebuild", "--abort", "-q"]);
    assert_eq!(whole(&sandbox, &client).await, before);
    sandbox.migration(
        "0004_sessions_v2.sql",
        &format!("-- migrate:rebuild\n-- housewright:expect(pageview_count)\n{change}-- migrate:down\n{down}"),
    );
    sandbox.run(&["repair", "-q"]);
    done(&sandbox, &client, &["apply", "-q"]);
    snapshot!(sandbox.on(&client, &["drift"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    section_expects on http://[ADDRESS]/ is what the 4 migrations made that were applied there: 9 objects

    ----- stderr -----
    ");
}

/// A new view over `source`, as a section.
fn counts_of(source: &str) -> String {
    format!(
        "CREATE TABLE counts_v1 (project_id String, n UInt64) ENGINE = SummingMergeTree ORDER BY project_id;\n\
         CREATE MATERIALIZED VIEW counts_v1_mv TO counts_v1 AS SELECT project_id, count() AS n FROM {source} GROUP BY project_id;\n\
         CREATE OR REPLACE VIEW counts AS SELECT project_id, sum(n) AS n FROM counts_v1 GROUP BY project_id;\n"
    )
}

const COUNTS_BACK: &str = "DROP VIEW counts;\nDROP VIEW counts_v1_mv;\nDROP TABLE counts_v1;\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_view_is_filled_with_history() {
    let sandbox = with_section(&counts_of("events"), COUNTS_BACK);
    let client = support::database("section_new").await;
    done(&sandbox, &client, &["apply", "--to", "3", "-q"]);
    execute(&client, EVENTS).await;
    let _settings = sizes_and_cuts();
    snapshot!(sandbox.on(&client, &["plan"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    section_new on http://[ADDRESS]/: 3 statements to execute

    0004_sessions_v2  schema/migrations/0004_sessions_v2.sql
      1/3  CREATE TABLE              counts_v1     metadata
      2/3  CREATE MATERIALIZED VIEW  counts_v1_mv  metadata
      3/3  CREATE VIEW               counts        metadata
      from statement 1 on: a rebuild, because `events` has rows: history is made anew in `counts_v1` while rows come in
        not in place, because no state stands behind these readers yet, and it is to have history
        5 rows ([BYTES]) of `events` in 1 chunk; what it takes on disk is not known, [BYTES] are free
        then these change over: counts

    ----- stderr -----
    ");
    snapshot!(sandbox.on(&client, &["apply"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    section_new on http://[ADDRESS]/: 3 statements executed in [DURATION]

    ----- stderr -----
    filling counts_v1 from `events`
      cut at [TIME]
      what comes in from then on feeds both sides
      everything from before is there
      history: 5 rows in 1 chunk
      2 rows are the same as a recomputation from `events`
      readers read the new side
      0004_sessions_v2 1/3  CREATE TABLE counts_v1  [DURATION]
      0004_sessions_v2 2/3  CREATE MATERIALIZED VIEW counts_v1_mv  [DURATION]
      0004_sessions_v2 3/3  CREATE VIEW counts  [DURATION]
    ");
    execute(&client, EVENTS).await;
    assert_eq!(
        table(&client, "SELECT project_id, n FROM counts ORDER BY 1").await,
        "p | 8\nq | 2"
    );
    snapshot!(sandbox.on(&client, &["drift"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    section_new on http://[ADDRESS]/ is what the 4 migrations made that were applied there: 10 objects

    ----- stderr -----
    ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_view_that_rebuild_goes_on_with_has_no_old_side_to_let_go() {
    let sandbox = with_section(&counts_of("events"), COUNTS_BACK);
    let client = support::database("section_new_killed").await;
    done(&sandbox, &client, &["apply", "--to", "3", "-q"]);
    execute(&client, EVENTS).await;
    let apply = |url: &str| sandbox.at(url, &client, &["apply"]);
    let (_, end) = kill::killed(apply, |request: &Request| {
        if request.sql().contains("MOVE PARTITION") {
            Fate::HoldBefore
        } else {
            Fate::Pass
        }
    });
    assert!(matches!(end, End::Killed(_)), "{end:?}");
    done(&sandbox, &client, &["unlock", "--force", "-q"]);
    snapshot!(sandbox.on(&client, &["rebuild", "--resume", "-q"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    section_new_killed on http://[ADDRESS]/: `counts`: counts_v1 has all of history, and counts read it, in [DURATION]; `housewright apply` goes on with the migrations

    ----- stderr -----
    ");
    snapshot!(sandbox.on(&client, &["rebuild", "--finish"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    section_new_killed on http://[ADDRESS]/: `counts` is done; there was no old side, in [DURATION]

    ----- stderr -----
    ");
    done(&sandbox, &client, &["apply", "-q"]);
    assert_eq!(
        table(&client, "SELECT project_id, n FROM counts ORDER BY 1").await,
        "p | 4\nq | 1"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_section_is_plain_only_where_its_source_has_nothing() {
    let client = support::database("section_sources").await;
    execute(&client, "CREATE DATABASE IF NOT EXISTS section_elsewhere").await;
    execute(&client, "CREATE OR REPLACE TABLE section_elsewhere.raw (project_id String) ENGINE = MergeTree ORDER BY project_id").await;
    execute(
        &client,
        "CREATE TABLE noted (project_id String) ENGINE = Memory",
    )
    .await;
    let elsewhere = with_section(&counts_of("section_elsewhere.raw"), "SELECT 1;\n");
    done(&elsewhere, &client, &["apply", "--to", "3", "-q"]);
    snapshot!(elsewhere.on(&client, &["apply"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error[rebuild]: `counts_v1_mv` names section_elsewhere.raw, and a section knows the tables of its own database, `section_sources`
     --> schema/migrations/0004_sessions_v2.sql:3:1
      |
    3 | CREATE MATERIALIZED VIEW counts_v1_mv TO counts_v1 AS SELECT project_id, count() AS n FROM section_elsewhere.raw GROUP BY project_id;
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: nothing was changed
      = help: put both into one database; or make the new side by hand, in `-- migrate:up`, and fill it with history yourself
    ");
    // What stands before a dot may be an alias.
    let alias = counts_of("events AS e WHERE e.project_id IN (e.project_id, e.event_id)");
    let alias = with_section(&alias, "SELECT 1;\n");
    let plan = alias.on(&client, &["plan"]).output().unwrap().stdout;
    let plan = String::from_utf8(plan).unwrap();
    assert!(
        plan.contains("plain statements, because events is empty"),
        "{plan}"
    );
    let memory = with_section(&counts_of("noted"), "SELECT 1;\n");
    snapshot!(memory.on(&client, &["plan"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    section_sources on http://[ADDRESS]/: 3 statements to execute

    0004_sessions_v2  schema/migrations/0004_sessions_v2.sql
      1/3  CREATE TABLE              counts_v1     metadata
      2/3  CREATE MATERIALIZED VIEW  counts_v1_mv  metadata
      3/3  CREATE VIEW               counts        metadata
      from statement 1 on: plain statements, because noted is empty

    ----- stderr -----
    ");
    execute(&client, "INSERT INTO noted VALUES ('p')").await;
    snapshot!(memory.on(&client, &["apply"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error[rebuild]: `noted` is a table of the engine Memory, so there may be no history to read
     --> schema/migrations/0004_sessions_v2.sql:2:1
      |
    2 | CREATE TABLE counts_v1 (project_id String, n UInt64) ENGINE = SummingMergeTree ORDER BY project_id;
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: nothing was changed
      = help: rebuild from a table of the MergeTree family that keeps the raw rows

    error[rebuild]: `noted` has no column in which the server writes when it took a row, so there is no safe place to cut history from what comes in
     --> schema/migrations/0004_sessions_v2.sql:2:1
      |
    2 | CREATE TABLE counts_v1 (project_id String, n UInt64) ENGINE = SummingMergeTree ORDER BY project_id;
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: nothing was changed
      = help: add one: ALTER TABLE noted ADD COLUMN received_at DateTime64(6, 'UTC') DEFAULT toDateTime64(0, 6, 'UTC'); ALTER TABLE noted MATERIALIZE COLUMN received_at; ALTER TABLE noted MODIFY COLUMN received_at DateTime64(6, 'UTC') MATERIALIZED now64(6). Or stop whoever writes into it until readers are swapped, and say `--writers-stopped`
    ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_refuses_when_history_is_made_is_gone_on_with() {
    let (change, down) = screens();
    let sandbox = with_section(&change, &down);
    let client = support::database("section_refused_late").await;
    done(&sandbox, &client, &["apply", "--to", "3", "-q"]);
    execute(&client, EVENTS).await;
    // A reader is tried before anything is made, and again when it is compared.
    let tried = AtomicUsize::new(0);
    let proxy = Proxy::start(&engine().url, move |request| {
        let sql = request.sql();
        let tries = sql.trim_start().starts_with("CREATE") && sql.contains("housewright_reader");
        if tries && tried.fetch_add(1, Ordering::SeqCst) == 1 {
            Fate::Refuse("Code: 241. DB::Exception: Memory limit exceeded. (MEMORY_LIMIT_EXCEEDED)")
        } else {
            Fate::Pass
        }
    });
    let output = sandbox
        .at(&proxy.url, &client, &["apply"])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("`apply` again"), "{said}");
    done(&sandbox, &client, &["apply", "-q"]);
    let counted = "SELECT project_id, session_id, pageview_count FROM sessions ORDER BY ALL";
    assert_eq!(
        table(&client, counted).await,
        "p | s | 2\np | t | 1\nq | t | 1"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_section_is_done_only_if_its_readers_are_changed_over() {
    let (change, _) = screens();
    let back = statement("0002_sessions.sql", "CREATE VIEW sessions\n")
        .replace("CREATE VIEW", "CREATE OR REPLACE VIEW");
    let sandbox = with_section(&change, &format!("{back}\n"));
    let client = support::database("section_back").await;
    done(&sandbox, &client, &["apply", "--to", "3", "-q"]);
    execute(&client, EVENTS).await;
    done(&sandbox, &client, &["apply", "-q"]);
    done(&sandbox, &client, &["rollback", "-q"]);
    snapshot!(sandbox.on(&client, &["apply"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error[rebuild]: there is a `sessions_v2` already
     --> schema/migrations/0004_sessions_v2.sql:2:1
      |
    2 | CREATE TABLE sessions_v2
      | ^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: nothing was changed
      = help: give what is new a name of its own, as in `sessions_v2` beside `sessions_v1`: both stand until the old side is let go

    error[rebuild]: there is a `sessions_v2_mv` already
      --> schema/migrations/0004_sessions_v2.sql:30:1
       |
    30 | CREATE MATERIALIZED VIEW sessions_v2_mv TO sessions_v2
       | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
       |
       = note: nothing was changed
       = help: give what is new a name of its own, as in `sessions_v2` beside `sessions_v1`: both stand until the old side is let go
    ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_section_that_is_none_is_refused_with_its_place() {
    let (change, down) = screens();
    let sandbox = with_section(&change, &down);
    let client = support::database("section_refused").await;
    done(&sandbox, &client, &["apply", "--to", "3", "-q"]);
    execute(&client, EVENTS).await;
    let before = whole(&sandbox, &client).await;
    sandbox.migration("0004_sessions_v2.sql", &format!("-- migrate:rebuild\n{change}INSERT INTO sessions_v2 SELECT * FROM sessions_v1;\n\n-- migrate:down\n{down}"));
    snapshot!(sandbox.on(&client, &["plan"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error[changed-definition]: INSERT INTO … SELECT does not belong to a changed definition
      --> schema/migrations/0004_sessions_v2.sql:96:1
       |
    96 | INSERT INTO sessions_v2 SELECT * FROM sessions_v1;
       | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
       |
       = help: keep one CREATE TABLE, one CREATE MATERIALIZED VIEW … TO it, and CREATE OR REPLACE VIEW for the readers; anything else goes into another migration (columns are added in place by a section of their own)
    ");
    sandbox.migration(
        "0004_sessions_v2.sql",
        &format!("-- migrate:rebuild\n{change}\n-- migrate:up\nSELECT 1;\n"),
    );
    snapshot!(sandbox.on(&client, &["plan"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error[section-order]: `-- migrate:up` stands behind `-- migrate:rebuild`
      --> schema/migrations/0004_sessions_v2.sql:97:1
       |
    97 | -- migrate:up
       | ^^^^^^^^^^^^^
       |
       = help: put it first: what a changed definition needs is made before it
    ");
    // On the target: a column that is not there, said by `plan` with its place.
    sandbox.migration(
        "0004_sessions_v2.sql",
        &format!(
            "-- migrate:rebuild\n{}-- migrate:down\n{down}",
            change.replace("min((e.timestamp, ", "min((e.nothing, ")
        ),
    );
    sandbox.run(&["repair", "-q"]);
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(
        r"refuses the query of `sessions_v2_mv`: .*",
        "refuses the query of `sessions_v2_mv`: [MESSAGE]",
    );
    settings.add_filter(r"(?m)^ +\d* *\| .*$\n?", "");
    let _settings = settings.bind_to_scope();
    snapshot!(sandbox.on(&client, &["plan"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error[rebuild]: ClickHouse refuses the query of `sessions_v2_mv`: [MESSAGE]
      --> schema/migrations/0004_sessions_v2.sql:30:1
       |
    30 | CREATE MATERIALIZED VIEW sessions_v2_mv TO sessions_v2
       |
       = note: nothing was changed
       = help: mend the SELECT
    ");
    snapshot!(sandbox.on(&client, &["apply"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error[rebuild]: ClickHouse refuses the query of `sessions_v2_mv`: [MESSAGE]
      --> schema/migrations/0004_sessions_v2.sql:30:1
       |
    30 | CREATE MATERIALIZED VIEW sessions_v2_mv TO sessions_v2
       |
       = note: nothing was changed
       = help: mend the SELECT
    ");
    assert_eq!(whole(&sandbox, &client).await, before);
}
