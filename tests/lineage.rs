//! Where columns come from: every column of our schema, and views as other people write them. Right, or said to be unknown.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod support;

use std::process::Output;

use camino::Utf8Path;

fn lineage(schema: &Utf8Path, args: &[&str]) -> Output {
    let root = Utf8Path::new(env!("CARGO_MANIFEST_DIR"));
    support::command(root, &[&["lineage"], args].concat())
        .env("HOUSEWRIGHT_SCHEMA", schema.as_str())
        .output()
        .unwrap()
}

fn shown(schema: &Utf8Path, args: &[&str]) -> String {
    let output = lineage(schema, args);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

#[test]
fn every_column_of_our_schema() {
    let schema = support::schema();
    insta::assert_snapshot!("our_schema", shown(&schema, &[]));
    insta::assert_snapshot!(shown(&schema, &["sessions_v1.entry.campaign"]), @"
    sessions_v1.entry.campaign
    ├─ events.campaign  in sessions_v1_mv: min(tuple(toString(…)))
    └─ decided by events.timestamp, events.event_id, events.source, events.medium  in sessions_v1_mv
    ");
    insta::assert_snapshot!(shown(&schema, &["events.session_id"]), @"
    events.session_id
    ├─ events.anonymous_id  by default of events: concat(…)
    └─ events.timestamp  by default of events: concat(toString(intDiv(minus(toUnixTimestamp64Milli(…)))))
    ");
    insta::assert_snapshot!(shown(&schema, &["--mermaid"]), @r#"
    flowchart LR
        o0[("events")]
        o1[("session_days_v1")]
        o2{{"session_days_v1_mv"}}
        o3(["sessions"])
        o4[("sessions_v1")]
        o5{{"sessions_v1_mv"}}
        o6(["sources"])
        o2 --> o1
        o0 --> o2
        o4 --> o3
        o5 --> o4
        o0 --> o5
        o1 --> o6
        o4 --> o6
    "#);
}

#[test]
fn programs_read_it_too() {
    let text = shown(
        &support::schema(),
        &["sessions.entry_source", "--format", "json"],
    );
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["version"], 1);
    let state = &value["columns"][0]["filled"][0]["origins"][0]["column"];
    assert_eq!(state["object"], "sessions_v1");
    assert_eq!(state["element"], "source");
    let origins = state["filled"][0]["origins"].as_array().unwrap();
    assert_eq!(origins[0]["column"]["column"], "source");
    assert_eq!(
        origins[0]["through"],
        serde_json::json!(["min", "tuple", "toString"])
    );
    assert_eq!(origins[1]["role"], "decides");
}

#[test]
fn what_is_not_there_is_named() {
    let schema = support::schema();
    for (what, said) in [
        ("nowhere", "the schema has no table or view `nowhere`"),
        ("sessions.nothing", "`sessions` has no column `nothing`"),
        (
            "sessions_v1.entry.nothing",
            "`sessions_v1.entry` has no element `nothing`",
        ),
        ("sessions.", "`sessions` has no column ``"),
    ] {
        let output = lineage(&schema, &[what]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{what}: {stderr}");
        assert!(stderr.contains(said), "{what}: {stderr}");
    }
}

/// Tables, and views in every form that hides where a column comes from.
const FOREIGN: &str = "-- migrate:up
CREATE TABLE clicks (id UInt64, at DateTime('UTC'), who String, tags Array(String), price Nullable(Float64), pair Tuple(a String, b UInt8),
    `odd, name` String, `dotted.name` UInt8) ENGINE = MergeTree ORDER BY id;
CREATE TABLE people (who String, name String, joined Date) ENGINE = MergeTree ORDER BY who;
CREATE VIEW joined AS SELECT c.id, p.name AS person, c.price + 1 AS more FROM clicks AS c LEFT JOIN people AS p ON p.who = c.who;
CREATE VIEW using_both AS SELECT who, name, tags FROM clicks INNER JOIN people USING (who) WHERE price > 0;
CREATE VIEW with_cte AS WITH best AS (SELECT who, max(price) AS top FROM clicks GROUP BY who HAVING count() > 1) SELECT b.top AS top, p.name AS name FROM best AS b INNER JOIN people AS p ON p.who = b.who;
CREATE VIEW nested AS SELECT x AS y FROM (SELECT w AS x FROM (SELECT lower(who) AS w FROM clicks));
CREATE VIEW united AS SELECT who AS a FROM clicks UNION ALL SELECT name FROM people;
CREATE VIEW arrays AS SELECT tag, arrayMap(t -> concat(t, who), tags) AS named FROM clicks ARRAY JOIN tags AS tag;
CREATE VIEW windows AS SELECT row_number() OVER (PARTITION BY who ORDER BY at) AS nth, sum(price) OVER (ORDER BY at) AS running FROM clicks;
CREATE VIEW everything AS SELECT * FROM people;
CREATE VIEW everything_twice AS SELECT *, joined AS again FROM everything;
CREATE VIEW scalar AS SELECT id, (SELECT max(joined) FROM people) AS latest, who IN (SELECT who FROM people) AS known FROM clicks;
CREATE VIEW tuples AS SELECT pair.a AS a, tupleElement(pair, 'b') AS b, (who, id).2 AS second, tuple(who, id) AS both FROM clicks;
CREATE VIEW cases AS SELECT CASE WHEN price > 1 THEN who ELSE 'cheap' END AS label, 1 AS one, now() AS moment, `odd, name` AS odd, `dotted.name` AS dotted FROM clicks;
CREATE VIEW counted AS SELECT count() AS n, countIf(price > 1) AS dear, argMax(who, at) AS last, uniqExact(id) AS ids FROM clicks;
CREATE VIEW asked AS SELECT who, if({all:UInt8} = 1, name, '') AS name FROM people WHERE joined >= {since:Date} AND who IN {these:Array(String)};
CREATE VIEW generated AS SELECT number + 1 AS n FROM numbers(10) AS source;
CREATE TABLE daily (day Date, last SimpleAggregateFunction(max, Tuple(at DateTime('UTC'), who String)), users AggregateFunction(uniq, String)) ENGINE = AggregatingMergeTree ORDER BY day;
CREATE MATERIALIZED VIEW daily_mv TO daily AS SELECT toDate(at) AS day, max((at, who)) AS last, uniqState(who) AS users FROM clicks GROUP BY day;
CREATE VIEW daily_read AS SELECT day, tupleElement(last, 'who') AS last_who, uniqMerge(users) AS users FROM daily GROUP BY day, last;
CREATE MATERIALIZED VIEW refreshed REFRESH EVERY 1 YEAR (who String, n UInt64) ENGINE = MergeTree ORDER BY who AS SELECT who, count() AS n FROM clicks GROUP BY who;
-- migrate:down
";

#[test]
fn views_as_other_people_write_them() {
    let directory = support::directory();
    let schema = directory.path().join("schema");
    fs_err::create_dir_all(schema.join("migrations")).unwrap();
    fs_err::write(schema.join("migrations/0001_foreign.sql"), FOREIGN).unwrap();
    insta::assert_snapshot!("foreign", shown(&schema, &[]));
    insta::assert_snapshot!(shown(&schema, &["with_cte"]), @"
    with_cte.top
    └─ clicks.price  in with_cte: max(…)
    with_cte.name
    └─ people.name  in with_cte

    which rows with_cte has is decided by people.who, clicks.who, clicks.*
    ");
    insta::assert_snapshot!(shown(&schema, &["clicks.odd, name"]), @"clicks.odd, name");
}
