//! What the schema means: every rule of the domain, on the engine, whatever the way the events arrived.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod support;

use housewright::clickhouse::{Client, Query};
use serde_json::{Value, json};
use support::{database_with_schema, execute, insert, table};

const INSERT: &str = "INSERT INTO events FORMAT JSONEachRow";

/// An event with the columns that a story is about; the rest is as little as the table takes.
fn event(id: &str, timestamp: &str, rest: &Value) -> Value {
    let mut event = json!({
        "project_id": "p", "event_id": id, "timestamp": timestamp, "event_name": "$pageview", "anonymous_id": "u_abc",
        "source": "direct", "medium": "direct",
    });
    for (name, value) in rest.as_object().unwrap() {
        event[name] = value.clone();
    }
    event
}

/// What a query answers after every way the events can arrive: it must be one answer.
async fn ask(name: &str, events: &[Value], sql: &str) -> String {
    let client = database_with_schema(name).await;
    let mut answers: Vec<(String, String)> = Vec::new();
    for merged in [false, true] {
        for (way, batches) in ways(events) {
            for target in ["events", "sessions_v1", "session_days_v1"] {
                execute(&client, &format!("TRUNCATE TABLE {target}")).await;
                execute(
                    &client,
                    &format!(
                        "SYSTEM {} MERGES {target}",
                        if merged { "START" } else { "STOP" }
                    ),
                )
                .await;
            }
            for batch in batches {
                let lines: String = batch
                    .iter()
                    .map(|event| format!("{event}\n"))
                    .collect::<Vec<_>>()
                    .concat();
                // The same batch twice is two batches here: deduplication has a test of its own.
                let query = Query::new(INSERT)
                    .setting("insert_deduplicate", "0")
                    .setting("async_insert", "0");
                let mut insert = client.insert(&query);
                insert.send(lines.into()).await.unwrap();
                insert.end().await.unwrap();
            }
            if merged {
                for target in ["sessions_v1", "session_days_v1"] {
                    execute(&client, &format!("OPTIMIZE TABLE {target} FINAL")).await;
                }
            }
            let merged = if merged { "merged" } else { "unmerged" };
            answers.push((format!("{way}, {merged}"), table(&client, sql).await));
        }
    }
    let (_, first) = answers.first().unwrap();
    for (way, answer) in &answers {
        assert_eq!(answer, first, "{way} differs from the first way");
    }
    first.clone()
}

fn ways(events: &[Value]) -> Vec<(&'static str, Vec<Vec<Value>>)> {
    let one_by_one = |events: Vec<Value>| events.into_iter().map(|event| vec![event]).collect();
    let reversed: Vec<Value> = events.iter().rev().cloned().collect();
    let middle = events.len() / 2;
    vec![
        ("one INSERT", vec![events.to_vec()]),
        ("one INSERT, reversed", vec![reversed.clone()]),
        ("one per event", one_by_one(events.to_vec())),
        ("one per event, reversed", one_by_one(reversed)),
        (
            "two halves",
            vec![events[middle..].to_vec(), events[..middle].to_vec()]
                .into_iter()
                .filter(|half| !half.is_empty())
                .collect(),
        ),
    ]
}

const ENTRY: &str = "SELECT session_id, entry_source, entry_medium, entry_campaign, entry_url, entry_path, entry_referrer, country, device_type, browser, os FROM sessions ORDER BY ALL";

#[tokio::test]
async fn a_session_id_that_is_not_sent_is_derived_from_the_half_hour() {
    let events = [
        event("1", "2026-05-16 18:59:59", &json!({})),
        event("2", "2026-05-16 19:00:00", &json!({"session_id": null})),
        event("3", "2026-05-16 19:29:59.999", &json!({})),
        event("4", "2026-05-16 19:30:00", &json!({})),
        event("5", "1969-12-31 23:59:59.999", &json!({})),
        event(
            "6",
            "2026-05-16 19:30:00",
            &json!({"session_id": "watch_1"}),
        ),
    ];
    insta::assert_snapshot!(ask("d_ids", &events, "SELECT session_id, event_count FROM sessions ORDER BY started_at, session_id").await, @"
    u_abc--1 | 1
    u_abc-988309 | 1
    u_abc-988310 | 2
    u_abc-988311 | 1
    watch_1 | 1
    ");
}

#[tokio::test]
async fn what_must_be_given_is_refused_when_it_is_empty() {
    let client = database_with_schema("d_checks").await;
    for name in ["project_id", "event_id", "anonymous_id", "session_id"] {
        let mut event = event("1", "2026-05-16 19:00:00", &json!({"session_id": "s"}));
        event[name] = json!("");
        let mut insert = client.insert(&Query::new(INSERT));
        insert.send(event.to_string().into()).await.unwrap();
        let error = insert.end().await.unwrap_err();
        assert!(error.is_code(469), "{name}: {error}");
    }
    insert(
        &client,
        INSERT,
        event(
            "1",
            "2026-05-16 19:00:00",
            &json!({"campaign": null, "referrer": null, "url": null, "path": null}),
        )
        .to_string(),
    )
    .await;
    assert_eq!(table(&client, "SELECT campaign = '' AND referrer = '' AND url = '' AND path = '' AS empty, user_id FROM events").await, "1 | null");
    assert_eq!(
        table(&client, "SELECT count() AS n FROM sessions").await,
        "1",
        "what was refused left nothing in the view"
    );
}

#[tokio::test]
async fn nobody_can_send_received_at() {
    let client = database_with_schema("d_received").await;
    let mut sent = client.insert(&Query::new(
        "INSERT INTO events (project_id, event_id, timestamp, anonymous_id, received_at) VALUES",
    ));
    sent.send("('p', '1', '2026-05-16 19:00:00', 'a', '2020-01-01 00:00:00')".into())
        .await
        .unwrap();
    assert!(sent.end().await.is_err());
    insert(
        &client,
        INSERT,
        event(
            "0",
            "2026-05-16 19:00:00",
            &json!({"received_at": "2020-01-01 00:00:00"}),
        )
        .to_string(),
    )
    .await;
    assert_eq!(
        table(
            &client,
            "SELECT received_at > '2025-01-01' AS ours FROM events"
        )
        .await,
        "1",
        "what was sent is not taken"
    );
    execute(&client, "TRUNCATE TABLE events").await;
    execute(&client, "INSERT INTO events (project_id, event_id, timestamp, anonymous_id) SELECT 'p', toString(number), '2026-05-16 19:00:00', 'a' FROM numbers(3000) SETTINGS max_block_size = 1000, min_insert_block_size_rows = 0, min_insert_block_size_bytes = 0").await;
    assert_eq!(table(&client, "SELECT uniqExact(received_at) AS stamps, abs(dateDiff('second', any(received_at), now64(6))) < 60 AS fresh FROM events").await, "1 | 1");
}

#[tokio::test]
async fn all_entry_columns_are_those_of_the_first_event() {
    let first = json!({"source": "facebook", "medium": "paid", "campaign": "", "url": "https://e/1?fbclid=x", "path": "/1", "referrer": "https://l.facebook.com/", "country": "DE", "device_type": "mobile", "browser": "chrome", "os": "android"});
    let later = json!({"source": "google", "medium": "organic", "campaign": "spring", "url": "https://e/2", "path": "/2", "referrer": "https://www.google.com/", "country": "FR", "device_type": "desktop", "browser": "firefox", "os": "linux"});
    let bare = json!({"event_name": "invoice_paid"});
    let events = [
        event("1", "2026-05-16 19:00:00.001", &first),
        event("0", "2026-05-16 19:00:00.002", &later),
        event("2", "2026-05-16 19:05:00", &bare),
    ];
    insta::assert_snapshot!(ask("d_entry", &events, ENTRY).await, @"u_abc-988310 | facebook | paid |  | https://e/1?fbclid=x | /1 | https://l.facebook.com/ | DE | mobile | chrome | android");
}

#[tokio::test]
async fn a_tie_goes_to_the_lesser_event_id_and_then_to_the_rest() {
    let at = "2026-05-16 19:00:00.500";
    let events = [
        event("b", at, &json!({"source": "google", "session_id": "ids"})),
        event("a", at, &json!({"source": "tiktok", "session_id": "ids"})),
        event("B", at, &json!({"source": "zzz", "session_id": "ids"})),
        event(
            "x",
            at,
            &json!({"source": "google", "medium": "paid", "session_id": "rest"}),
        ),
        event(
            "x",
            at,
            &json!({"source": "bing", "medium": "paid", "session_id": "rest"}),
        ),
        event(
            "x",
            at,
            &json!({"source": "bing", "medium": "organic", "campaign": "c", "session_id": "rest"}),
        ),
    ];
    insta::assert_snapshot!(ask("d_ties", &events, "SELECT session_id, entry_source, entry_medium, entry_campaign, event_count FROM sessions ORDER BY ALL").await, @"
    ids | zzz | direct |  | 3
    rest | bing | organic | c | 3
    ");
}

#[tokio::test]
async fn a_late_event_is_first_if_it_happened_first() {
    let events = [
        event(
            "1",
            "2026-05-16 19:10:00",
            &json!({"source": "direct", "session_id": "s"}),
        ),
        event(
            "2",
            "2026-05-14 08:00:00",
            &json!({"source": "facebook", "medium": "social", "session_id": "s"}),
        ),
        event(
            "3",
            "2026-05-18 08:00:00",
            &json!({"source": "google", "session_id": "s"}),
        ),
    ];
    insta::assert_snapshot!(ask("d_late", &events, "SELECT started_at, ended_at, duration_s, entry_source, entry_medium FROM sessions").await, @"2026-05-14 08:00:00.000 | 2026-05-18 08:00:00.000 | 345600 | facebook | social");
}

#[tokio::test]
async fn two_visitors_are_two_rows_and_two_projects_are_two_rows() {
    let events = [
        event(
            "1",
            "2026-05-16 19:00:00",
            &json!({"session_id": "s", "anonymous_id": "a"}),
        ),
        event(
            "2",
            "2026-05-16 19:00:01",
            &json!({"session_id": "s", "anonymous_id": "b"}),
        ),
        event(
            "3",
            "2026-05-16 19:00:02",
            &json!({"session_id": "s", "anonymous_id": "a", "project_id": "q"}),
        ),
    ];
    insta::assert_snapshot!(ask("d_rows", &events, "SELECT project_id, session_id, anonymous_id, event_count FROM sessions ORDER BY ALL").await, @"
    p | s | a | 1
    p | s | b | 1
    q | s | a | 1
    ");
}

#[tokio::test]
async fn the_person_is_the_last_one_named() {
    let named = |id: &str, second: u8, session: &str, user: Value| {
        event(
            id,
            &format!("2026-05-16 19:00:{second:02}"),
            &json!({"session_id": session, "user_id": user}),
        )
    };
    let events = [
        named("1", 0, "never", Value::Null),
        named("2", 0, "first", json!("user_1")),
        named("3", 1, "first", Value::Null),
        named("4", 0, "changed", json!("user_9")),
        named("5", 1, "changed", json!("user_2")),
        named("6", 2, "changed", Value::Null),
        named("9", 9, "empty", json!("")),
        named("a", 3, "tie", json!("user_9")),
        named("b", 3, "tie", json!("user_1")),
        event(
            "7",
            "1965-01-01 00:00:00",
            &json!({"session_id": "early", "user_id": "user_65"}),
        ),
        event("8", "1965-01-01 00:00:01", &json!({"session_id": "early"})),
    ];
    insta::assert_snapshot!(ask("d_person", &events, "SELECT session_id, user_id FROM sessions ORDER BY ALL").await, @"
    changed | user_2
    early | user_65
    empty | null
    first | user_1
    never | null
    tie | user_1
    ");
}

#[tokio::test]
async fn counts_and_durations_are_of_all_events() {
    let events = [
        event("1", "2026-05-16 19:00:00.900", &json!({"session_id": "s"})),
        event("1", "2026-05-16 19:00:00.900", &json!({"session_id": "s"})),
        event(
            "2",
            "2026-05-16 19:00:02.800",
            &json!({"session_id": "s", "event_name": "signup"}),
        ),
        event(
            "3",
            "2026-05-16 19:00:01",
            &json!({"session_id": "s", "event_name": "$pageviews"}),
        ),
        event(
            "4",
            "2026-05-16 19:00:01",
            &json!({"session_id": "one", "event_name": "signup"}),
        ),
        event(
            "5",
            "2026-12-31 23:59:59.999",
            &json!({"session_id": "year"}),
        ),
        event(
            "6",
            "2027-01-01 00:00:00.999",
            &json!({"session_id": "year"}),
        ),
    ];
    insta::assert_snapshot!(ask("d_counts", &events, "SELECT session_id, started_at, ended_at, duration_s, event_count, pageview_count FROM sessions ORDER BY ALL").await, @"
    one | 2026-05-16 19:00:01.000 | 2026-05-16 19:00:01.000 | 0 | 1 | 0
    s | 2026-05-16 19:00:00.900 | 2026-05-16 19:00:02.800 | 1 | 4 | 2
    year | 2026-12-31 23:59:59.999 | 2027-01-01 00:00:00.999 | 1 | 2 | 2
    ");
}

#[tokio::test]
async fn a_visitor_becomes_known_and_history_is_not_rewritten() {
    let at = |id: &str, time: &str, name: &str, rest: Value| {
        let mut rest = rest;
        rest["event_name"] = json!(name);
        event(id, time, &rest)
    };
    let facebook = json!({"source": "facebook", "medium": "paid"});
    let known = json!({"user_id": "user_42"});
    let events = [
        at("1", "2026-05-01 14:00:00", "$pageview", facebook.clone()),
        at("2", "2026-05-01 14:02:00", "clicked_pricing", facebook),
        at("3", "2026-05-05 09:30:00", "$pageview", json!({})),
        at("4", "2026-05-07 11:14:00", "$identify", known.clone()),
        at("5", "2026-05-07 11:14:00", "signup", known.clone()),
        at("6", "2026-05-09 16:22:00", "feature_used", known),
    ];
    insta::assert_snapshot!(ask("d_stitching", &events, "SELECT started_at, user_id, entry_source, entry_medium, event_count FROM sessions ORDER BY started_at").await, @"
    2026-05-01 14:00:00.000 | null | facebook | paid | 2
    2026-05-05 09:30:00.000 | null | direct | direct | 1
    2026-05-07 11:14:00.000 | user_42 | direct | direct | 2
    2026-05-09 16:22:00.000 | user_42 | direct | direct | 1
    ");
    let first_touch = "SELECT argMin((entry_source, entry_medium), started_at) AS touch FROM sessions WHERE project_id = 'p' AND anonymous_id IN (SELECT anonymous_id FROM sessions WHERE project_id = 'p' AND user_id = 'user_42')";
    assert_eq!(
        ask("d_first_touch", &events, first_touch).await,
        "[\"facebook\",\"paid\"]"
    );
}

fn sources(from: &str, to: &str, breakdown: &str) -> String {
    format!(
        "SELECT * FROM sources(project = 'p', `from` = '{from}', `to` = '{to}', breakdown = '{breakdown}') ORDER BY source, medium"
    )
}

/// Every visitor has one session of one event.
fn golden() -> Vec<Value> {
    let mut events = Vec::new();
    for (source, medium, number) in [
        ("facebook", "paid", 6),
        ("facebook", "social", 3),
        ("google", "paid", 3),
        ("direct", "direct", 7),
    ] {
        for _ in 0..number {
            let id = events.len();
            events.push(event(
                &id.to_string(),
                &format!("2026-05-16 {:02}:00:00", id % 24),
                &json!({"anonymous_id": format!("v{id}"), "source": source, "medium": medium}),
            ));
        }
    }
    events
}

#[tokio::test]
async fn sources_has_the_documented_rows() {
    let whole_day = |breakdown| sources("2026-05-16 00:00:00", "2026-05-17 00:00:00", breakdown);
    insta::assert_snapshot!(ask("d_sources", &golden(), &whole_day("source_medium")).await, @"
    direct | direct | 7 | 7 | 7 | 0
    facebook | paid | 6 | 6 | 6 | 1
    facebook | social | 3 | 3 | 3 | 0
    google | paid | 3 | 3 | 3 | 1
    ");
    insta::assert_snapshot!(ask("d_sources_by_source", &golden(), &whole_day("source")).await, @"
    direct |  | 7 | 7 | 7 | 0
    facebook |  | 9 | 9 | 9 | 0.6666666666666666
    google |  | 3 | 3 | 3 | 1
    ");
    let client = database_with_schema("d_sources_unknown").await;
    let error = client
        .fetch(&Query::new(whole_day("campaign")), "TSV")
        .await
        .unwrap_err();
    assert!(error.to_string().contains("campaign"), "{error}");
}

#[tokio::test]
async fn a_range_begins_inclusive_and_ends_exclusive_by_when_the_session_started() {
    let events = [
        event(
            "1",
            "2026-05-16 11:59:59.999",
            &json!({"anonymous_id": "before", "source": "before"}),
        ),
        event(
            "2",
            "2026-05-16 12:00:00.000",
            &json!({"anonymous_id": "first", "source": "first"}),
        ),
        event(
            "3",
            "2026-05-16 12:59:59.999",
            &json!({"anonymous_id": "last", "source": "last"}),
        ),
        event(
            "4",
            "2026-05-16 13:00:00.000",
            &json!({"anonymous_id": "after", "source": "after"}),
        ),
        // Goes on after the range: counted whole, because it started inside.
        event(
            "5",
            "2026-05-16 12:30:00.000",
            &json!({"session_id": "long", "source": "long"}),
        ),
        event(
            "6",
            "2026-05-19 12:30:00.000",
            &json!({"session_id": "long", "source": "x"}),
        ),
        // Has events inside, and started before.
        event(
            "7",
            "2026-05-14 12:30:00.000",
            &json!({"session_id": "earlier", "source": "earlier"}),
        ),
        event(
            "8",
            "2026-05-16 12:30:00.000",
            &json!({"session_id": "earlier", "source": "x"}),
        ),
    ];
    let sql = sources(
        "2026-05-16 12:00:00",
        "2026-05-16 13:00:00",
        "source_medium",
    );
    insta::assert_snapshot!(ask("d_range", &events, &sql).await, @"
    first | direct | 1 | 1 | 1 | 0
    last | direct | 1 | 1 | 1 | 0
    long | direct | 1 | 2 | 1 | 0
    ");
}

#[tokio::test]
async fn an_id_that_a_client_sent_may_look_like_another_days() {
    // imp-988309 says 2026-05-16 18:30, and its events are of other days.
    let events = [
        event(
            "1",
            "2026-05-18 10:00:00",
            &json!({"anonymous_id": "imp", "session_id": "imp-988309", "source": "impostor"}),
        ),
        event(
            "2",
            "2026-05-20 10:00:00",
            &json!({"anonymous_id": "imp", "session_id": "imp-988309", "source": "x"}),
        ),
        event(
            "3",
            "2026-05-16 18:40:00",
            &json!({"anonymous_id": "other", "session_id": "u_abc-988309", "source": "foreign"}),
        ),
        event(
            "4",
            "2026-05-16 18:40:00",
            &json!({"session_id": "u_abc-0988309", "source": "padded"}),
        ),
        event(
            "5",
            "2026-05-16 18:40:00",
            &json!({"session_id": "u_abc-99999999999999999999", "source": "huge"}),
        ),
        event(
            "6",
            "2026-05-16 18:40:00",
            &json!({"session_id": "u_abc-", "source": "none"}),
        ),
        event("7", "2026-05-16 18:40:00", &json!({"source": "true"})),
    ];
    let day = |day: u8| {
        sources(
            &format!("2026-05-{day} 00:00:00"),
            &format!("2026-05-{} 00:00:00", day + 1),
            "source",
        )
    };
    insta::assert_snapshot!(ask("d_impostor_16", &events, &day(16)).await, @"
    foreign |  | 1 | 1 | 1 | 0
    huge |  | 1 | 1 | 1 | 0
    none |  | 1 | 1 | 1 | 0
    padded |  | 1 | 1 | 1 | 0
    true |  | 1 | 1 | 1 | 0
    ");
    insta::assert_snapshot!(ask("d_impostor_18", &events, &day(18)).await, @"impostor |  | 1 | 2 | 1 | 0");
    assert_eq!(ask("d_impostor_20", &events, &day(20)).await, "");
}

#[tokio::test]
async fn the_zone_of_whoever_asks_changes_nothing() {
    let client = database_with_schema("d_zone").await;
    let lines: String = golden()
        .iter()
        .map(|event| format!("{event}\n"))
        .collect::<Vec<_>>()
        .concat();
    insert(&client, INSERT, lines).await;
    let sql = sources(
        "2026-05-16 00:00:00",
        "2026-05-17 00:00:00",
        "source_medium",
    );
    let ask = |zone: &'static str| {
        let (client, sql) = (client.clone(), sql.clone());
        async move {
            client
                .fetch(&Query::new(sql).setting("session_timezone", zone), "TSV")
                .await
                .unwrap()
        }
    };
    assert_eq!(ask("Asia/Kathmandu").await, ask("UTC").await);
    let starts = |zone: &'static str| {
        let client = client.clone();
        async move {
            client
                .fetch(
                    &Query::new("SELECT session_id, started_at FROM sessions ORDER BY ALL")
                        .setting("session_timezone", zone),
                    "TSV",
                )
                .await
                .unwrap()
        }
    };
    assert_eq!(starts("Asia/Kathmandu").await, starts("UTC").await);
}

#[tokio::test]
async fn readers_find_the_documented_columns_and_a_comment_on_each() {
    let client = database_with_schema("d_columns").await;
    insta::assert_snapshot!(table(&client, "SELECT arrayStringConcat(groupArray(name), ', ') AS names FROM (SELECT name FROM system.columns WHERE database = currentDatabase() AND table = 'sessions' ORDER BY position)").await, @"session_id, anonymous_id, project_id, user_id, started_at, ended_at, duration_s, event_count, pageview_count, entry_source, entry_medium, entry_campaign, entry_url, entry_path, entry_referrer, country, device_type, browser, os");
    let ours = "database = currentDatabase() AND NOT startsWith({t}, 'housewright')";
    let tables = format!(
        "SELECT name FROM system.tables WHERE {} AND comment = ''",
        ours.replace("{t}", "name")
    );
    assert_eq!(
        table(&client, &tables).await,
        "",
        "tables without a comment"
    );
    // The columns of a materialized view TO a table are that table's.
    let columns = format!(
        "SELECT table, name FROM system.columns WHERE {} AND comment = '' AND NOT endsWith(table, '_mv') AND table != 'sources'",
        ours.replace("{t}", "table")
    );
    assert_eq!(
        table(&client, &columns).await,
        "",
        "columns without a comment"
    );
}

#[tokio::test]
async fn the_same_batch_sent_twice_is_counted_twice_everywhere() {
    let client = database_with_schema("d_twice").await;
    let line = event("1", "2026-05-16 19:00:00", &json!({})).to_string();
    for _ in 0..3 {
        insert(&client, INSERT, line.clone()).await;
    }
    assert_eq!(
        table(
            &client,
            "SELECT (SELECT count() FROM events) AS events, event_count FROM sessions"
        )
        .await,
        "3 | 3"
    );
}

/// Rows that a query reads, as the endpoint's summary has them.
async fn rows_read(client: &Client, sql: &str) -> u64 {
    let query = Query::new(format!("EXPLAIN ESTIMATE {sql}"));
    let rows: Vec<Value> = client.rows(&query).await.unwrap();
    rows.iter().map(|row| row["rows"].as_u64().unwrap()).sum()
}

#[tokio::test]
async fn one_day_of_sources_costs_about_that_days_rows() {
    let client = database_with_schema("d_cost").await;
    // 60 days of 5,000 derived sessions, and 2 % whose id a client sent.
    execute(&client, "INSERT INTO events (project_id, event_id, timestamp, anonymous_id, source, medium) SELECT 'p', toString(number), toDateTime64('2026-01-01 00:00:00', 3, 'UTC') + INTERVAL intDiv(number * 86400, 5000) SECOND, 'a' || toString(cityHash64(number)), 'direct', 'direct' FROM numbers(300000)").await;
    execute(&client, "INSERT INTO events (project_id, event_id, timestamp, anonymous_id, session_id, source, medium) SELECT 'p', 'o' || toString(number), toDateTime64('2026-01-01 00:00:00', 3, 'UTC') + INTERVAL intDiv(number * 86400, 100) SECOND, 'o' || toString(cityHash64(number)), 'watch_' || toString(sipHash64(number)), 'watch', 'direct' FROM numbers(6000)").await;
    execute(&client, "OPTIMIZE TABLE sessions_v1 FINAL").await;
    execute(&client, "OPTIMIZE TABLE session_days_v1 FINAL").await;
    let sql = sources("2026-02-10 00:00:00", "2026-02-11 00:00:00", "source");
    insta::assert_snapshot!(table(&client, &sql).await, @"
    direct |  | 5000 | 5000 | 5000 | 0
    watch |  | 100 | 100 | 100 | 0
    ");
    let day = rows_read(&client, &sql).await;
    let project = rows_read(
        &client,
        "SELECT count() FROM sessions WHERE project_id = 'p' AND event_count > 0",
    )
    .await;
    assert_eq!(project, 306_000);
    // The day by its ids, the granules it shares with its neighbours, and the 2 % of sessions whose id names no day.
    assert!(day < 20_000, "one day of 60 reads {day} of {project} rows");
}
