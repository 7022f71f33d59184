//! A wrong view fails loudly: each known way to get a sessions view wrong, made in our schema, is caught by the case that is about it.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod support;

use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use housewright::clickhouse::Client;
use housewright::config::{Environment, Flags, Settings, resolve};
use housewright::migration::Migrations;
use housewright::scratch::{Blueprint, BuildError};
use housewright::viewtest::Suite;
use housewright::viewtest::case::Case;
use housewright::viewtest::history::Arrival;
use housewright::viewtest::play::{Reading, Script, Stop};
use housewright::viewtest::snapshot::Snapshot;
use housewright::viewtest::stage::{Stage, Theatre};

/// How many variants are tried at once.
const AT_ONCE: usize = 4;

/// A mistake.
struct Trap {
    /// What is wrong.
    what: &'static str,
    /// What is written instead of what: each is there, everywhere it is there.
    edits: Vec<(&'static str, String)>,
    /// The case that has to fail; `None`: the engine refuses the schema.
    case: Option<&'static str>,
}

fn trap(what: &'static str, case: &'static str, edits: &[(&'static str, &str)]) -> Trap {
    Trap {
        what,
        edits: edits
            .iter()
            .map(|(old, new)| (*old, (*new).to_owned()))
            .collect(),
        case: (!case.is_empty()).then_some(case),
    }
}

const ENTRY_TYPE: &str = "entry          SimpleAggregateFunction(min, Tuple(";
const ENTRY_END: &str = "browser String, os String))";
const ENTRY: &str = "min((e.timestamp, e.event_id, toString(e.source), toString(e.medium), toString(e.campaign), e.url, e.path, e.referrer,
        toString(e.country), toString(e.device_type), toString(e.browser), toString(e.os))) AS entry";
const ENTRY_START: &str = "min((e.timestamp, e.event_id, toString(e.source)";
const KEY: &str =
    "ORDER BY (project_id, day, session_id, anonymous_id)\nSETTINGS index_granularity = 2048";
/// Since 26.7 the engine refuses a column that is neither in the key nor an aggregate, until it is told that this is meant.
const MEANT: (&str, &str) = (
    "index_granularity = 2048",
    "index_granularity = 2048, allow_dimensions_outside_sorting_key = 1",
);
const STARTED_TYPE: &str = "started_at     SimpleAggregateFunction(min,";
const STARTED: &str =
    "fromUnixTimestamp64Milli(min(toUnixTimestamp64Milli(e.timestamp)), 'UTC') AS started_at";
const ENDED: &str =
    "fromUnixTimestamp64Milli(max(toUnixTimestamp64Milli(e.timestamp)), 'UTC') AS ended_at";
const COUNT_TYPE: &str = "event_count    SimpleAggregateFunction(sum, UInt64)";
const COUNT: &str = "count() AS event_count";
const USER_TYPE: &str = "user           SimpleAggregateFunction(max,";
const USER: &str = "max(if(isNull(e.user_id) OR e.user_id = '',";
const USER_VALUE: &str = "(toUInt8(1), e.timestamp, e.event_id, assumeNotNull(e.user_id))";
const PAGEVIEWS: &str = "countIf(e.event_name = '$pageview')";
const READ: &str = "FROM sessions_v1 AS s FINAL\nCOMMENT";
const DURATION: &str =
    "intDiv(toUnixTimestamp64Milli(s.ended_at) - toUnixTimestamp64Milli(s.started_at), 1000)";

/// Each column of the entry for itself, by an aggregate over it.
fn each_column(aggregate: impl Fn(&str) -> String) -> String {
    let columns = [
        "source",
        "medium",
        "campaign",
        "url",
        "path",
        "referrer",
        "country",
        "device_type",
        "browser",
        "os",
    ];
    let columns: Vec<String> = columns
        .iter()
        .map(|column| aggregate(&format!("toString(e.{column})")))
        .collect();
    format!(
        "(min(e.timestamp), min(e.event_id), {}) AS entry",
        columns.join(", ")
    )
}

fn duration_kept(aggregate: &str) -> Vec<(&'static str, String)> {
    vec![
        (
            "    started_at     Simple",
            format!(
                "    kept_s SimpleAggregateFunction({aggregate}, Int64),\n    started_at     Simple"
            ),
        ),
        (
            STARTED,
            format!(
                "intDiv(dateDiff('millisecond', min(e.timestamp), max(e.timestamp)), 1000) AS kept_s, {STARTED}"
            ),
        ),
        (DURATION, "s.kept_s".to_owned()),
    ]
}

fn entry_traps() -> Vec<Trap> {
    vec![
        trap(
            "entry: any event",
            "first_event_arrives_late",
            &[
                (ENTRY_TYPE, "entry SimpleAggregateFunction(any, Tuple("),
                (
                    ENTRY_START,
                    "any((e.timestamp, e.event_id, toString(e.source)",
                ),
            ],
        ),
        trap(
            "entry: the last event",
            "empty_first_campaign",
            &[
                (ENTRY_TYPE, "entry SimpleAggregateFunction(max, Tuple("),
                (
                    ENTRY_START,
                    "max((e.timestamp, e.event_id, toString(e.source)",
                ),
            ],
        ),
        Trap {
            what: "entry: argMin of each column, which passes over NULL",
            edits: vec![(
                ENTRY,
                each_column(|column| {
                    format!("ifNull(argMin(nullIf({column}, ''), e.timestamp), '')")
                }),
            )],
            case: Some("empty_first_campaign"),
        },
        Trap {
            what: "entry: the least of each column",
            edits: vec![(ENTRY, each_column(|column| format!("min({column})")))],
            case: Some("tie_is_one_event"),
        },
        trap(
            "entry: argMin by time alone, in a tie whatever came first",
            "tie_of_times",
            &[
                (ENTRY_TYPE, "entry AggregateFunction(argMin, Tuple("),
                (
                    ENTRY_END,
                    "browser String, os String), DateTime64(3, 'UTC'))",
                ),
                (
                    ENTRY_START,
                    "argMinState((e.timestamp, e.event_id, toString(e.source)",
                ),
                (
                    "toString(e.os))) AS entry",
                    "toString(e.os))::Tuple(timestamp DateTime64(3, 'UTC'), event_id String, source String, medium String, campaign String, url String, path String, referrer String, country String, device_type String, browser String, os String), e.timestamp) AS entry",
                ),
                (
                    "tupleElement(s.entry, ",
                    "tupleElement(finalizeAggregation(s.entry), ",
                ),
                (
                    "tupleElement(entry, ",
                    "tupleElement(finalizeAggregation(entry), ",
                ),
            ],
        ),
        trap(
            "entry: no id in the order, in a tie the least text",
            "tie_of_times",
            &[(
                "(e.timestamp, e.event_id, toString(e.source)",
                "(e.timestamp, '', toString(e.source)",
            )],
        ),
        trap(
            "entry: by the time of arrival",
            "first_event_arrives_late",
            &[(
                ENTRY_START,
                "min((e.received_at, e.event_id, toString(e.source)",
            )],
        ),
        trap(
            "entry: time cut to seconds",
            "order_within_a_second",
            &[(
                ENTRY_START,
                "min((toDateTime64(toDateTime(e.timestamp, 'UTC'), 3, 'UTC'), e.event_id, toString(e.source)",
            )],
        ),
        trap(
            "entry: medium and campaign swapped",
            "first_event_whole",
            &[(
                "toString(e.medium), toString(e.campaign), e.url",
                "toString(e.campaign), toString(e.medium), e.url",
            )],
        ),
        trap(
            "entry: url and path swapped",
            "first_event_whole",
            &[("e.url, e.path, e.referrer", "e.path, e.url, e.referrer")],
        ),
        trap(
            "entry: referrer read as path",
            "first_event_whole",
            &[(
                "tupleElement(s.entry, 'referrer')",
                "tupleElement(s.entry, 'path')",
            )],
        ),
        trap(
            "entry: only pageviews are looked at",
            "first_event_is_no_pageview",
            &[
                (
                    ENTRY_START,
                    "minIf((e.timestamp, e.event_id, toString(e.source)",
                ),
                (
                    "toString(e.os))) AS entry",
                    "toString(e.os)), e.event_name = '$pageview') AS entry",
                ),
            ],
        ),
        trap(
            "entry: the last event of each block",
            "server_event_after_paid_entry",
            &[(
                ENTRY_START,
                "max((e.timestamp, e.event_id, toString(e.source)",
            )],
        ),
        trap(
            "read: FINAL with a subcolumn",
            "first_event_arrives_late",
            &[("tupleElement(s.entry, 'source')", "s.entry.source")],
        ),
        trap(
            "entry: a state of a type that is not its column's",
            "",
            &[(
                ENTRY_START,
                "minState((e.timestamp, e.event_id, toString(e.source)",
            )],
        ),
        trap(
            "entry: SimpleAggregateFunction(argMin)",
            "",
            &[(ENTRY_TYPE, "entry SimpleAggregateFunction(argMin, Tuple(")],
        ),
    ]
}

fn time_and_count_traps() -> Vec<Trap> {
    let mut traps = vec![
        trap(
            "started_at: max",
            "duration_in_whole_seconds",
            &[
                (STARTED_TYPE, "started_at SimpleAggregateFunction(max,"),
                (STARTED, "max(e.timestamp) AS started_at"),
            ],
        ),
        trap(
            "started_at: any",
            "first_event_arrives_late",
            &[
                (STARTED_TYPE, "started_at SimpleAggregateFunction(any,"),
                (STARTED, "any(e.timestamp) AS started_at"),
            ],
        ),
        trap(
            "ended_at: anyLast",
            "middle_event_arrives_late",
            &[
                (
                    "ended_at       SimpleAggregateFunction(max,",
                    "ended_at SimpleAggregateFunction(anyLast,",
                ),
                (ENDED, "anyLast(e.timestamp) AS ended_at"),
            ],
        ),
        trap(
            "ended_at: forgotten in the trigger",
            "duration_in_whole_seconds",
            &[(
                "    fromUnixTimestamp64Milli(max(toUnixTimestamp64Milli(e.timestamp)), 'UTC') AS ended_at,\n",
                "",
            )],
        ),
        trap(
            "started_at and ended_at: of times, as a compiled GROUP BY compares them",
            "clocks_far_off",
            &[
                (STARTED, "min(e.timestamp) AS started_at"),
                (ENDED, "max(e.timestamp) AS ended_at"),
            ],
        ),
        trap(
            "event_count: a plain column",
            "duplicates_count",
            &[(COUNT_TYPE, "event_count UInt64"), MEANT],
        ),
        trap(
            "event_count: a plain column, not meant",
            "",
            &[(COUNT_TYPE, "event_count UInt64")],
        ),
        trap(
            "event_count: max of the blocks",
            "duplicates_count",
            &[(
                COUNT_TYPE,
                "event_count SimpleAggregateFunction(max, UInt64)",
            )],
        ),
        trap(
            "event_count: distinct times",
            "duplicates_count",
            &[(COUNT, "uniqExact(e.timestamp) AS event_count")],
        ),
        trap(
            "event_count: distinct ids",
            "duplicates_count",
            &[(COUNT, "uniqExact(e.event_id) AS event_count")],
        ),
        trap(
            "events: deduplicated by the engine",
            "duplicates_count",
            &[(
                "ENGINE = MergeTree\nPARTITION",
                "ENGINE = ReplacingMergeTree\nPARTITION",
            )],
        ),
        trap(
            "pageview_count: every event",
            "pageviews",
            &[(PAGEVIEWS, "count()")],
        ),
        trap(
            "pageview_count: LIKE",
            "pageviews",
            &[(PAGEVIEWS, "countIf(e.event_name LIKE '$page%')")],
        ),
        trap(
            "pageview_count: in any case",
            "pageviews",
            &[(PAGEVIEWS, "countIf(lower(e.event_name) = '$pageview')")],
        ),
        trap(
            "pageview_count: misspelt",
            "",
            &[("AS pageview_count,\n    min", "AS page_views,\n    min")],
        ),
        trap(
            "duration_s: borders of seconds, not seconds",
            "duration_in_whole_seconds",
            &[(DURATION, "dateDiff('second', s.started_at, s.ended_at)")],
        ),
        trap(
            "duration_s: rounded",
            "duration_in_whole_seconds",
            &[(
                DURATION,
                "toInt64(round((toUnixTimestamp64Milli(s.ended_at) - toUnixTimestamp64Milli(s.started_at)) / 1000))",
            )],
        ),
    ];
    for aggregate in ["sum", "max"] {
        traps.push(Trap {
            what: "duration_s: kept by the trigger, which sees one block",
            edits: duration_kept(aggregate),
            case: Some("middle_event_arrives_late"),
        });
    }
    traps
}

fn user_and_key_traps() -> Vec<Trap> {
    vec![
        trap(
            "user_id: the last event's, known or not",
            "logout_keeps_the_user",
            &[(
                "(toUInt8(0), toDateTime64(0, 3, 'UTC'), '', '')",
                "(toUInt8(1), e.timestamp, e.event_id, '')",
            )],
        ),
        trap(
            "user_id: an empty one is one",
            "logout_keeps_the_user",
            &[(USER, "max(if(isNull(e.user_id),")],
        ),
        trap(
            "user_id: any",
            "user_known_at_the_end",
            &[
                (USER_TYPE, "user SimpleAggregateFunction(any,"),
                (USER, "any(if(isNull(e.user_id) OR e.user_id = '',"),
            ],
        ),
        trap(
            "user_id: the greatest text",
            "two_users",
            &[(
                USER_VALUE,
                "(toUInt8(1), toDateTime64(0, 3, 'UTC'), '', assumeNotNull(e.user_id))",
            )],
        ),
        trap(
            "user_id: no id in the order",
            "two_users_in_a_tie",
            &[(
                USER_VALUE,
                "(toUInt8(1), e.timestamp, '', assumeNotNull(e.user_id))",
            )],
        ),
        trap(
            "user_id: a plain column",
            "user_known_at_the_end",
            &[
                (
                    "SimpleAggregateFunction(max, Tuple(known UInt8, timestamp DateTime64(3, 'UTC'), event_id String, id String))",
                    "Tuple(known UInt8, timestamp DateTime64(3, 'UTC'), event_id String, id String)",
                ),
                MEANT,
            ],
        ),
        trap(
            "user_id: '' for nobody",
            "nobody_is_null",
            &[(
                "if(tupleElement(s.user, 'known') = 1, tupleElement(s.user, 'id'), NULL)",
                "tupleElement(s.user, 'id')",
            )],
        ),
        trap(
            "session_id: an empty one is taken",
            "refused",
            &[("CHECK session_id != ''", "CHECK 1")],
        ),
        trap(
            "session_id: hours, not half hours",
            "bucket_edges",
            &[("1800000", "3600000")],
        ),
        trap(
            "HAVING sees one block",
            "one_event",
            &[(
                "    e.anonymous_id\nCOMMENT 'Keeps sessions_v1:",
                "    e.anonymous_id\nHAVING count() >= 2\nCOMMENT 'Keeps sessions_v1:",
            )],
        ),
        trap(
            "key: with the day of the start",
            "sent_id_over_days",
            &[(
                KEY,
                "ORDER BY (project_id, day, toDate(started_at), session_id, anonymous_id)\nSETTINGS index_granularity = 2048",
            )],
        ),
        trap(
            "key: without the project",
            "one_id_two_projects",
            &[
                (
                    KEY,
                    "ORDER BY (day, session_id, anonymous_id)\nSETTINGS index_granularity = 2048",
                ),
                MEANT,
            ],
        ),
        trap(
            "key: without the visitor",
            "two_visitors_one_id",
            &[
                (
                    KEY,
                    "ORDER BY (project_id, day, session_id)\nSETTINGS index_granularity = 2048",
                ),
                MEANT,
            ],
        ),
        trap(
            "partitions by the start, read one by one",
            "sent_id_over_months",
            &[
                (
                    KEY,
                    "PARTITION BY toYYYYMM(started_at) ORDER BY (project_id, day, session_id, anonymous_id)",
                ),
                (
                    READ,
                    "FROM sessions_v1 AS s FINAL SETTINGS do_not_merge_across_partitions_select_final = 1\nCOMMENT",
                ),
            ],
        ),
        trap(
            "read: without FINAL",
            "filters_see_whole_sessions",
            &[(READ, "FROM sessions_v1 AS s\nCOMMENT")],
        ),
    ]
}

fn sources_traps() -> Vec<Trap> {
    vec![
        trap(
            "sources: read without FINAL",
            "sources_over_midnight",
            &[(
                "FROM sessions_v1 AS s FINAL\n    WHERE",
                "FROM sessions_v1 AS s\n    WHERE",
            )],
        ),
        trap(
            "sources: from is outside",
            "sources_range",
            &[("started_at >= range_start", "started_at > range_start")],
        ),
        trap(
            "sources: to is inside",
            "sources_range",
            &[("started_at < range_end", "started_at <= range_end")],
        ),
        trap(
            "sources: sessions counted as visitors",
            "sources_counts",
            &[("uniqExact(anonymous_id)", "count()")],
        ),
        trap(
            "sources: the share of sessions",
            "sources_counts",
            &[(
                "sumIf(event_count, tupleElement(entry, 'medium') = 'paid') / sum(event_count)",
                "countIf(tupleElement(entry, 'medium') = 'paid') / count()",
            )],
        ),
        trap(
            "sources: facebook in one row",
            "facebook_split",
            &[(
                "= 'source', '', tupleElement(entry, 'medium'))",
                "= 'source', '', '')",
            )],
        ),
        trap(
            "sources: ids that name another day are not found",
            "sent_id_of_another_day",
            &[("AND NOT (s.day BETWEEN", "AND 0 AND NOT (s.day BETWEEN")],
        ),
        trap(
            "sources: every tenant's",
            "one_id_two_projects",
            &[("s.project_id = {project:String}", "1")],
        ),
    ]
}

fn settings() -> Settings {
    let flags = Flags {
        schema: Some(support::schema()),
        ..Flags::default()
    };
    resolve(&flags, &Environment::of(&[])).unwrap()
}

/// Our schema with a mistake in it. The mistake must be one: what it replaces is there.
fn wrong(blueprint: &Blueprint, trap: &Trap) -> Blueprint {
    let mut wrong = blueprint.clone();
    for (old, new) in &trap.edits {
        let mut applied = 0;
        for piece in &mut wrong.pieces {
            applied += piece.sql.matches(old).count();
            piece.sql = piece.sql.replace(old, new);
        }
        assert!(applied > 0, "{}: the schema has no `{old}`", trap.what);
    }
    wrong
}

/// Whether a history gives other rows than the golden ones; with `arrival` only that one is played.
async fn differs(
    case: &Case,
    stage: &mut Stage<'_>,
    settings: &Settings,
    arrival: Option<Arrival>,
) -> Result<bool, Stop> {
    let golden = Snapshot::load(case).unwrap().unwrap();
    let script = Script::of(case, stage, &settings.test).await?;
    let mut differs = false;
    let mut each = |reading: Reading| {
        differs |= reading
            .answers
            .iter()
            .any(|(heading, rows)| golden.rows(heading).as_ref() != Some(rows));
        if differs {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    match arrival {
        Some(arrival) => {
            let _ = script.play_one(stage, arrival, &mut each).await?;
        }
        None => script.play(stage, &mut each).await?,
    }
    Ok(differs)
}

/// How a trap ended: `None` is as it should.
async fn spring(
    trap: &Trap,
    suite: &Suite,
    theatre: &Theatre,
    settings: &Settings,
    blueprint: &Blueprint,
) -> Option<String> {
    let wrong = wrong(blueprint, trap);
    let failed = |why: &str| Some(format!("{}: {why}", trap.what));
    let (mut stage, name) = match (Stage::open(theatre, &wrong).await, trap.case) {
        (Err(BuildError::Statement { .. }), None) => return None,
        (Err(error), _) => return failed(&format!("{error:?}")),
        (Ok(stage), None) => {
            stage.close().await;
            return failed("the engine takes it");
        }
        (Ok(stage), Some(name)) => (stage, name),
    };
    let case = suite.cases.iter().find(|case| case.name == name).unwrap();
    let played = differs(case, &mut stage, settings, None).await;
    stage.close().await;
    match played {
        Ok(true) => None,
        Ok(false) => failed(&format!("{name} passes")),
        // What should be refused was taken.
        Err(Stop::Finding(finding)) if finding.code == "not-refused" => None,
        Err(stop) => failed(&format!("{stop:?}")),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_wrong_view_is_caught_by_its_own_case() {
    let settings = settings();
    let migrations = Migrations::load(&settings.schema).unwrap();
    let blueprint = Blueprint::of(&migrations, &settings.database).unwrap();
    let client = Client::new(support::engine(), "default").unwrap();
    let theatre = Theatre::new(&client, "traps", &[]).await.unwrap();
    let traps: Vec<Trap> = [
        entry_traps(),
        time_and_count_traps(),
        user_and_key_traps(),
        sources_traps(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let suite = Suite::load(&settings.cases).unwrap();
    // The view as it is differs in none of these cases, or a trap would prove nothing.
    let mut stage = Stage::open(&theatre, &blueprint).await.unwrap();
    for case in &suite.cases {
        if traps.iter().any(|trap| trap.case == Some(&case.name)) {
            let played = differs(case, &mut stage, &settings, Some(Arrival::Written)).await;
            assert!(!played.unwrap(), "{}", case.name);
        }
    }
    stage.close().await;
    let next = AtomicUsize::new(0);
    let missed = Mutex::new(Vec::new());
    join_all((0..AT_ONCE).map(|_| async {
        while let Some(trap) = traps.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Some(missing) = spring(trap, &suite, &theatre, &settings, &blueprint).await {
                missed.lock().unwrap().push(missing);
            }
        }
    }))
    .await;
    theatre.sweep().await.unwrap();
    let missed = missed.into_inner().unwrap();
    assert!(
        missed.is_empty(),
        "{} of {} traps:\n{}",
        missed.len(),
        traps.len(),
        missed.join("\n")
    );
}
