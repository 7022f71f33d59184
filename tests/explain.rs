//! `explain`: one screen for an object or a column, and what it says of fast queries held against what the engine reads.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod support;

use std::process::Output;

use camino::Utf8Path;

fn housewright(directory: &Utf8Path, args: &[&str]) -> Output {
    support::command(directory, args)
        .env("COLUMNS", "100")
        .output()
        .unwrap()
}

fn shown(directory: &Utf8Path, args: &[&str]) -> String {
    let output = housewright(directory, args);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn root() -> &'static Utf8Path {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn one_screen_for_a_column_and_for_a_table() {
    insta::assert_snapshot!(shown(root(), &["explain", "sessions.user_id"]), @"
    sessions.user_id  Nullable(String)
    The person: the user_id of the last event that carried one; NULL if none did

      changed by       0002_sessions (CREATE VIEW)
      values           user_0_0 · user_2_7
      distinct         436

    sessions.user_id
    ├─ sessions_v1.user.id  in sessions: if(…)
    │  ├─ events.user_id  in sessions_v1_mv: max(if(tuple(assumeNotNull(…))))
    │  └─ decided by events.timestamp, events.event_id  in sessions_v1_mv
    └─ decided by sessions_v1.user.known  in sessions

    queries, as the engine's index analysis has them
      scans   by user_id alone
    ");
    insta::assert_snapshot!(shown(root(), &["explain", "events.session_id"]), @"
    events.session_id  String
    The session: sent by the client, or <anonymous_id>-<half hours since 1970>, so that live and
    replayed events get the same

      default          concat(anonymous_id, '-', toString(intDiv(toUnixTimestamp64Milli(timestamp) -
                       positiveModulo(toUnixTimestamp64Milli(timestamp), 1800000), 1800000)))
      codec            ZSTD(1)
      changed by       0001_events (CREATE TABLE)
      values           shared_9 · shared_18 · shared_1b
      distinct         2,656

    events.session_id
    ├─ events.anonymous_id  by default of events: concat(…)
    └─ events.timestamp  by default of events: concat(toString(intDiv(minus(toUnixTimestamp64Milli(…)))))

    queries, as the engine's index analysis has them
      scans   by session_id alone
    ");
    insta::assert_snapshot!(shown(root(), &["explain", "session_days_v1"]), @"
    session_days_v1  table
    The days of sessions whose id does not name them: ids that a client sent, and ids that name another
    day

      engine           ReplacingMergeTree
      order by         (project_id, day, session_id, anonymous_id)
      comes from       session_days_v1_mv
      goes into        sources
      changed by       0002_sessions (CREATE TABLE)

      column        type    comes from                          meaning
      project_id    String  events.project_id                   The tenant
      day           Date32  events.timestamp                    A UTC day on which the session ha…
      session_id    String  events.session_id                   The session
      anonymous_id  String  events.anonymous_id                 The visitor
      id_day        Date32  events.anonymous_id, events.sessi…  sessions_v1.day of this session: …

    queries, as the engine's index analysis has them
      fast    project_id = 'p0'                                    primary key of session_days_v1 (project_id)
      fast    project_id = 'p0' AND day >= '2026-05-13'            primary key of session_days_v1 (project_id, day)
      fast    project_id = 'p0' AND session_id = 'onboarding_444'  primary key of session_days_v1 (project_id, session_id)
      fast    project_id = 'p0' AND anonymous_id = 'a_0_14e'       primary key of session_days_v1 (project_id, anonymous_id)
      prunes  day >= '2026-05-13'                                  primary key of session_days_v1 (day)
      prunes  session_id = 'onboarding_444'                        primary key of session_days_v1 (session_id)
      prunes  anonymous_id = 'a_0_14e'                             primary key of session_days_v1 (anonymous_id)
      scans   by id_day alone
    ");
    insta::assert_snapshot!(shown(root(), &["explain", "sources"]), @"
    sources  parameterized view
    What brought people in: sessions of a project that started from `from` (inclusive) to `to`
    (exclusive), by source and medium, or by source alone (breakdown = source; medium is then empty).
    Credit goes by the first event

      asked with       from DateTime64(3, 'UTC'), to DateTime64(3, 'UTC'), breakdown
                       Enum8('source_medium' = 1, 'source' = 2), project String
      comes from       session_days_v1, sessions_v1
      rows decided by  sessions_v1.started_at, sessions_v1.entry.source, sessions_v1.entry.medium,
                       sessions_v1.project_id, sessions_v1.day, sessions_v1.session_id,
                       sessions_v1.anonymous_id, session_days_v1.id_day, session_days_v1.project_id,
                       session_days_v1.day
      changed by       0003_sources (CREATE VIEW)
      asked by recipes channels

      column      type     comes from           meaning
      source      String   events.source        The source of the sessions' first events
      medium      String   events.medium        Their medium; empty with breakdown = source
      sessions    UInt64   sessions_v1.*        Sessions that started in the range: rows of the se…
      events      UInt64   events.*             All events of these sessions, of whatever time
      uniques     UInt64   events.anonymous_id  Distinct anonymous_id
      paid_share  Float64  events.*             The share of the events that belongs to sessions w…

    queries, as the engine's index analysis has them
      fast    recipe channels  primary key of sessions_v1 (project_id, day), primary key of sessions_v1 (project_id, day, session_id, anonymous_id)
    ");
}

#[test]
fn an_element_of_a_tuple_is_explained_as_a_column() {
    insta::assert_snapshot!(shown(root(), &["explain", "sessions_v1.entry.source"]), @"
    sessions_v1.entry.source  String
    The first event: its time and id, and what it says of where the visitor came from

      codec            ZSTD(1)
      changed by       0002_sessions (CREATE TABLE)
      values           direct · internal · facebook
      distinct         11

    sessions_v1.entry.source
    ├─ events.source  in sessions_v1_mv: min(tuple(toString(…)))
    └─ decided by events.timestamp, events.event_id  in sessions_v1_mv

    queries, as the engine's index analysis has them
      scans   by entry.source alone
    ");
    let json = shown(
        root(),
        &["explain", "sessions_v1.entry.source", "--format", "json"],
    );
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["column"], "entry.source");
    assert_eq!(json["object"]["columns"][0]["type"], "String");
    assert_eq!(json["changes"][0]["name"], "sessions");
}

#[test]
fn what_is_not_there_is_named() {
    let said = |what: &str| {
        let output = housewright(root(), &["explain", what]);
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    insta::assert_snapshot!(said("session"), @"
    error: the schema has no table or view `session`
      it has: events, session_days_v1, session_days_v1_mv, sessions, sessions_v1, sessions_v1_mv, sources
    ");
    insta::assert_snapshot!(said("sessions_v1.entry.channel"), @"
    error: `sessions_v1.entry` has no element `channel`
      it has: timestamp, event_id, source, medium, campaign, url, path, referrer, country, device_type, browser, os
    ");
    insta::assert_snapshot!(said("sources.channel"), @"
    error: `sources` has no column `channel`
      it has: source, medium, sessions, events, uniques, paid_share
    ");
}

#[test]
fn what_a_rebuild_left_is_explained_by_the_name_that_the_schema_knows() {
    let directory = support::directory();
    fs_err::create_dir_all(directory.path().join("schema/migrations")).unwrap();
    let sql = "-- migrate:up
CREATE TABLE state (id UInt64, n UInt64) ENGINE = MergeTree ORDER BY id SETTINGS index_granularity = 16;
INSERT INTO state SELECT number, 7 FROM numbers(1000);
RENAME TABLE state TO state__housewright_2;
-- migrate:down
";
    let path = directory.path().join("schema/migrations/0001_state.sql");
    fs_err::write(&path, sql).unwrap();
    shown(directory.path(), &["apply", "-q"]);
    // What the schema says, and what stands there since.
    let rename = "RENAME TABLE state TO state__housewright_2;\n";
    fs_err::write(&path, sql.replace(rename, "")).unwrap();
    let text = shown(directory.path(), &["explain", "state", "--target", "local"]);
    for said in [
        "rows             1,000",
        "fast    id = '0'",
        "primary key of state (id)",
    ] {
        assert!(text.contains(said), "{text}");
    }
    let text = shown(
        directory.path(),
        &["explain", "state.n", "--target", "local"],
    );
    // `n` is its name, and not the one of a number that was asked for along with it.
    assert!(text.contains("values           7\n"), "{text}");
}

#[test]
fn foreign_tables_are_explained_too() {
    let directory = support::directory();
    fs_err::create_dir_all(directory.path().join("schema/migrations")).unwrap();
    let sql = "-- migrate:up
CREATE TABLE `a.b` (`c.d` UInt64 CODEC(Delta, ZSTD), day Date, who String, INDEX who_set who TYPE set(100) GRANULARITY 1)
    ENGINE = MergeTree PARTITION BY day PRIMARY KEY `c.d` ORDER BY (`c.d`, who) TTL day + INTERVAL 100 YEAR SETTINGS index_granularity = 16;
INSERT INTO `a.b` SELECT number, toDate('2026-01-01') + number % 3, concat('w', toString(number % 7)) FROM numbers(3000);
ALTER TABLE `a.b` COMMENT COLUMN who 'Who it was';
CREATE TABLE a (b UInt8) ENGINE = Memory;
-- migrate:down
";
    fs_err::write(
        directory.path().join("schema/migrations/0001_foreign.sql"),
        sql,
    )
    .unwrap();
    shown(directory.path(), &["apply", "-q"]);
    let text = shown(directory.path(), &["explain", "a.b", "--target", "local"]);
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, .* ago", "[WHEN]");
    settings.add_filter(r"on disk .*", "on disk [BYTES]");
    let _bound = settings.bind_to_scope();
    insta::assert_snapshot!(text, @"
    a.b  table

      engine           MergeTree
      partition by     day
      order by         (`c.d`, who)
      primary key      `c.d`
      ttl              day + toIntervalYear(100)
      changed by       0001_foreign (CREATE TABLE), 0001_foreign (INSERT INTO … SELECT), 0001_foreign
                       (ALTER TABLE … COMMENT COLUMN)
      rows             3,000
      on disk [BYTES]
      last written     [WHEN]

      column  type    comes from  meaning
      c.d     UInt64  —
      day     Date    —
      who     String  —           Who it was

    queries, as the engine's index analysis has them
      fast    `c.d` = '0'                          primary key of a.b (c.d); 1 of 189 granules
      fast    `c.d` = '0' AND day >= '2026-01-01'  min-max of a.b (day), partition of a.b (day), primary key of a.b (c.d); 1 of 189 granules
      fast    `c.d` = '0' AND who = 'w0'           primary key of a.b (c.d), who_set of a.b; 1 of 189 granules
      prunes  day >= '2026-01-01'                  min-max of a.b (day), partition of a.b (day); 189 of 189 granules
      scans   by who alone
    ");
    insta::assert_snapshot!(shown(directory.path(), &["explain", "a.b.who", "--target", "local"]), @"
    a.b.who  String
    Who it was

      in order by      (`c.d`, who)
      changed by       0001_foreign (CREATE TABLE), 0001_foreign (ALTER TABLE … COMMENT COLUMN)
      values           w0 · w1 · w2
      distinct         7

    queries, as the engine's index analysis has them
      fast    `c.d` = '0' AND who = 'w0'  primary key of a.b (c.d), who_set of a.b; 1 of 189 granules
      scans   by who alone
    ");
    insta::assert_snapshot!(shown(directory.path(), &["explain", "a.b"]), @"
    a.b  table

      engine           MergeTree
      partition by     day
      order by         (`c.d`, who)
      primary key      `c.d`
      ttl              day + toIntervalYear(100)
      changed by       0001_foreign (CREATE TABLE), 0001_foreign (INSERT INTO … SELECT), 0001_foreign
                       (ALTER TABLE … COMMENT COLUMN)

      column  type    comes from  meaning
      c.d     UInt64  —
      day     Date    —
      who     String  —           Who it was
    ");
}

#[test]
fn what_is_called_fast_reads_little_and_what_scans_reads_all() {
    let directory = support::directory();
    for part in ["migrations", "queries"] {
        let to = directory.path().join("schema").join(part);
        fs_err::create_dir_all(&to).unwrap();
        for entry in support::schema().join(part).read_dir_utf8().unwrap() {
            let entry = entry.unwrap();
            fs_err::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
    shown(directory.path(), &["apply", "-q"]);
    shown(
        directory.path(),
        &["seed", "--events", "60000", "--load", "-q"],
    );
    let text = shown(
        directory.path(),
        &["explain", "events", "--target", "local", "--format", "json"],
    );
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["version"], 1);
    assert_eq!(json["object"]["figures"]["rows"], 60_000);
    assert_eq!(json["values"]["project_id"]["distinct"], 3);
    assert_eq!(json["changes"][0]["label"], "CREATE TABLE");
    let queries = json["queries"].as_array().unwrap();
    let of = |speed: &str| {
        queries
            .iter()
            .filter(|query| query["speed"] == speed)
            .collect::<Vec<_>>()
    };
    let share = |query: &serde_json::Value| {
        query["granules_read"].as_f64().unwrap() / query["granules"].as_f64().unwrap()
    };
    assert!(
        of("fast")
            .iter()
            .any(|query| query["condition"] == "project_id = 'p0'")
    );
    let both = of("fast")
        .into_iter()
        .find(|query| query["columns"] == serde_json::json!(["project_id", "event_id"]))
        .unwrap();
    assert!(share(both) < 1.0, "{both}");
    assert!(of("scans").len() > 15);
    assert!(
        of("scans")
            .iter()
            .all(|query| (share(query) - 1.0).abs() < f64::EPSILON)
    );
}
