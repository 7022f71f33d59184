//! `sessions` and `sources` against a plain model of the domain, over thousands of small streams made to collide.
//!
//! Every stream is a project of its own. Few visitors, ids, instants and days, so that ties, impostors, overridden ids over days, late
//! events and duplicates are the rule; a stream says in which order its events arrive, and where a block ends. All streams go into the
//! same tables at once: the first block of each in one INSERT, then the second of each. One that differs is shrunk, alone, to the
//! smallest that does. Nothing is shared with the SQL.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use housewright::clickhouse::{Client, Query};
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Map, Value, json};
use support::{database, database_with_schema, insert};

const STREAMS: usize = 4000;
/// One stream in so many is asked for its sources too.
const ASKED: usize = 10;
/// How often a stream that differs is tried smaller.
const SHRINKS: usize = 500;
const DAY: i64 = 86_400_000;
const HALF_HOUR: i64 = 1_800_000;

/// What a first event says of where the visitor came from, in the order of the domain's table.
const ENTRY: [(&str, &str); 10] = [
    ("source", "entry_source"),
    ("medium", "entry_medium"),
    ("campaign", "entry_campaign"),
    ("url", "entry_url"),
    ("path", "entry_path"),
    ("referrer", "entry_referrer"),
    ("country", "country"),
    ("device_type", "device_type"),
    ("browser", "browser"),
    ("os", "os"),
];

#[derive(Clone, Debug)]
struct Event {
    timestamp: i64,
    id: &'static str,
    /// The values of [`ENTRY`]; `None` is sent as null.
    entry: Vec<Option<&'static str>>,
    name: &'static str,
    visitor: &'static str,
    user: Option<&'static str>,
    session: Option<String>,
    /// How often it is sent.
    copies: usize,
    /// Whether a block begins with it.
    cut: bool,
}

/// The events of a project, in the order in which they arrive.
type Stream = Vec<Event>;

impl Event {
    fn session(&self) -> String {
        self.session
            .clone()
            .unwrap_or_else(|| format!("{}-{}", self.visitor, self.timestamp.div_euclid(HALF_HOUR)))
    }

    fn entry(&self) -> Vec<&'static str> {
        self.entry
            .iter()
            .map(|value| value.unwrap_or_default())
            .collect()
    }

    /// An empty user is nobody.
    fn user(&self) -> Option<&'static str> {
        self.user.filter(|user| !user.is_empty())
    }

    fn json(&self, project: usize) -> Value {
        let mut value = json!({
            "project_id": project.to_string(), "event_id": self.id, "timestamp": time(self.timestamp), "event_name": self.name,
            "anonymous_id": self.visitor, "user_id": self.user, "session_id": self.session,
        });
        for ((column, _), given) in ENTRY.iter().zip(&self.entry) {
            value[column] = json!(given);
        }
        value
    }
}

fn time(milliseconds: i64) -> String {
    jiff::Timestamp::from_millisecond(milliseconds)
        .unwrap()
        .strftime("%Y-%m-%d %H:%M:%S%.3f")
        .to_string()
}

fn start() -> i64 {
    "2026-02-27T00:00:00Z"
        .parse::<jiff::Timestamp>()
        .unwrap()
        .as_millisecond()
}

fn moment() -> impl Strategy<Value = i64> {
    let instants = [0, 1, 999, 1000, HALF_HOUR - 1, HALF_HOUR, DAY / 2, DAY - 1];
    let near = (0..4_i64, select(instants.to_vec())).prop_map(|(day, at)| start() + day * DAY + at);
    // Clocks that are far off: before 1970, and beyond the days that an id can name.
    let far = select(&[-HALF_HOUR - 1, -1, 0, 7_258_118_400_000][..]);
    prop_oneof![40 => near, 1 => far]
}

fn visitor() -> impl Strategy<Value = &'static str> {
    select(&["a", "b", "a-1", "é"][..])
}

fn session() -> impl Strategy<Value = Option<String>> {
    let half_hour = || {
        (visitor(), 0..4_i64, select(&[0, DAY / 2][..]))
            .prop_map(|(whose, day, at)| (whose, (start() + day * DAY + at).div_euclid(HALF_HOUR)))
    };
    prop_oneof![
        5 => Just(None),
        1 => select(&["watch", "a-1-2", "a-3000000", "é-030"][..]).prop_map(|id| Some(id.to_owned())),
        // The id of some half hour of these days, of whichever visitor.
        2 => half_hour().prop_map(|(whose, bucket)| Some(format!("{whose}-{bucket}"))),
        1 => half_hour().prop_map(|(whose, bucket)| Some(format!("{whose}.{bucket}"))),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let values: [&[&str]; 10] = [
        &["direct", "google", "facebook", ""],
        &["direct", "paid", "social"],
        &["", "spring", "ÜBER|it's"],
        &["", "https://a.example/"],
        &["", "/", "/b"],
        &["", "https://l.facebook.com/"],
        &["", "DE", "NP"],
        &["", "mobile"],
        &["", "chrome"],
        &["", "ios"],
    ];
    let entry: Vec<_> = values
        .into_iter()
        .map(|values| weighted(0.9, select(values)))
        .collect();
    (
        moment(),
        select(&["1", "2", "3", "B"][..]),
        entry,
        select(&["$pageview", "signup", "$identify"][..]),
        visitor(),
        weighted(0.4, select(&["user_1", "user_2", ""][..])),
        session(),
        prop_oneof![9 => Just(1_usize), 1 => Just(2)],
        any::<bool>(),
    )
        .prop_map(
            |(timestamp, id, entry, name, visitor, user, session, copies, cut)| Event {
                timestamp,
                id,
                entry,
                name,
                visitor,
                user,
                session,
                copies,
                cut,
            },
        )
}

/// The blocks of a stream.
fn blocks(stream: &[Event]) -> Vec<Vec<&Event>> {
    let mut blocks: Vec<Vec<&Event>> = Vec::new();
    for event in stream {
        match blocks.last_mut() {
            Some(block) if !event.cut => block.push(event),
            _ => blocks.push(vec![event]),
        }
    }
    blocks
}

/// Inserts streams, each as the project with its number.
async fn arrive(client: &Client, streams: &[(usize, &Stream)]) {
    let cut: Vec<(usize, Vec<Vec<&Event>>)> = streams
        .iter()
        .map(|(project, stream)| (*project, blocks(stream)))
        .collect();
    for round in 0.. {
        let mut lines = String::new();
        for (project, blocks) in &cut {
            for event in blocks.get(round).into_iter().flatten() {
                for _ in 0..event.copies {
                    let _ = writeln!(lines, "{}", event.json(*project));
                }
            }
        }
        if lines.is_empty() {
            return;
        }
        insert(client, "INSERT INTO events FORMAT JSONEachRow", lines).await;
    }
}

/// A session of the model.
#[derive(Debug)]
struct Session<'a> {
    id: String,
    events: Vec<&'a Event>,
}

impl<'a> Session<'a> {
    /// The least by time and id; should those be equal too, the remaining columns decide.
    fn first(&self) -> &'a Event {
        self.events
            .iter()
            .min_by_key(|event| (event.timestamp, event.id, event.entry()))
            .unwrap()
    }

    fn count(&self, which: impl Fn(&Event) -> bool) -> usize {
        self.events
            .iter()
            .filter(|event| which(event))
            .map(|event| event.copies)
            .sum()
    }

    fn row(&self, project: usize) -> Map<String, Value> {
        let first = self.first();
        let ended = self
            .events
            .iter()
            .map(|event| event.timestamp)
            .max()
            .unwrap();
        let user = self
            .events
            .iter()
            .filter(|event| event.user().is_some())
            .max_by_key(|event| (event.timestamp, event.id, event.user()))
            .and_then(|event| event.user());
        let mut row = json!({
            "session_id": self.id, "anonymous_id": first.visitor, "project_id": project.to_string(), "user_id": user,
            "started_at": time(first.timestamp), "ended_at": time(ended), "duration_s": (ended - first.timestamp) / 1000,
            "event_count": self.count(|_| true), "pageview_count": self.count(|event| event.name == "$pageview"),
        });
        for ((_, column), value) in ENTRY.iter().zip(first.entry()) {
            row[column] = json!(value);
        }
        row.as_object().unwrap().clone()
    }
}

fn sessions(stream: &[Event]) -> Vec<Session<'_>> {
    let mut sessions: BTreeMap<(String, &str), Vec<&Event>> = BTreeMap::new();
    for event in stream {
        sessions
            .entry((event.session(), event.visitor))
            .or_default()
            .push(event);
    }
    sessions
        .into_iter()
        .map(|((id, _), events)| Session { id, events })
        .collect()
}

type Rows = Vec<Map<String, Value>>;

/// For each project its rows of `sessions`, all columns.
async fn found_sessions(client: &Client, projects: (usize, usize)) -> BTreeMap<usize, Rows> {
    let sql = format!(
        "SELECT * FROM sessions WHERE toUInt32(project_id) BETWEEN {} AND {} ORDER BY session_id, anonymous_id",
        projects.0, projects.1
    );
    let mut found: BTreeMap<usize, Rows> = BTreeMap::new();
    let rows: Rows = client.rows(&Query::new(sql)).await.unwrap();
    for row in rows {
        let project = row["project_id"].as_str().unwrap().parse().unwrap();
        found.entry(project).or_default().push(row);
    }
    found
}

/// Ranges of `sources` whose edges are those of days and half hours, one for a stream.
fn range(project: usize) -> (i64, i64) {
    let edges = [0, 1, 1000, HALF_HOUR, DAY / 2, DAY - 1];
    let edge =
        |number: usize| start() + i64::try_from(number % 5).unwrap() * DAY + edges[number / 5 % 6];
    let (one, two) = (edge(project / ASKED * 7), edge(project / ASKED * 11 + 4));
    (one.min(two), one.max(two))
}

fn expected_sources(stream: &[Event], (from, to): (i64, i64)) -> Rows {
    #[derive(Default)]
    struct Group<'a> {
        sessions: usize,
        events: usize,
        visitors: BTreeSet<&'a str>,
    }
    let sessions = sessions(stream);
    let mut groups: BTreeMap<(&str, &str), Group<'_>> = BTreeMap::new();
    for session in &sessions {
        let first = session.first();
        if (from..to).contains(&first.timestamp) {
            let entry = first.entry();
            let group = groups.entry((entry[0], entry[1])).or_default();
            group.sessions += 1;
            group.events += session.count(|_| true);
            group.visitors.insert(first.visitor);
        }
    }
    groups
        .into_iter()
        .map(|((source, medium), group)| {
            json!({
                "source": source, "medium": medium, "sessions": group.sessions, "events": group.events,
                "uniques": group.visitors.len(), "paid_share": usize::from(medium == "paid"),
            })
            .as_object()
            .unwrap()
            .clone()
        })
        .collect()
}

async fn found_sources(client: &Client, project: usize, (from, to): (i64, i64)) -> Rows {
    let sql = format!(
        "SELECT * FROM sources(project = '{project}', `from` = '{}', `to` = '{}', breakdown = 'source_medium') ORDER BY source, medium",
        time(from),
        time(to)
    );
    client.rows(&Query::new(sql)).await.unwrap()
}

/// What the engine and the model say of a stream, if that is not the same.
async fn differs(
    client: &Client,
    project: usize,
    stream: &Stream,
    found: &Rows,
) -> Option<(Rows, Rows)> {
    let expected: Rows = sessions(stream)
        .iter()
        .map(|session| session.row(project))
        .collect();
    if expected != *found {
        return Some((expected, found.clone()));
    }
    if project.is_multiple_of(ASKED) {
        let range = range(project);
        let (expected, found) = (
            expected_sources(stream, range),
            found_sources(client, project, range).await,
        );
        if expected != found {
            return Some((expected, found));
        }
    }
    None
}

/// The smallest stream that the engine and the model see differently, with what they say; `None` if they agree on all.
async fn smallest(client: &Client, streams: usize) -> Option<(Stream, Rows, Rows)> {
    let seed = TestRng::from_seed(RngAlgorithm::ChaCha, b"2026-05-16T19:00:00Z: 32 bytes..");
    let mut runner = TestRunner::new_with_rng(Config::default(), seed);
    let strategy = vec(event(), 1..15);
    let mut trees: Vec<_> = (0..streams)
        .map(|_| strategy.new_tree(&mut runner).unwrap())
        .collect();
    let all: Vec<Stream> = trees.iter().map(ValueTree::current).collect();
    let numbered: Vec<(usize, &Stream)> = all.iter().enumerate().collect();
    arrive(client, &numbered).await;
    let found = found_sessions(client, (0, streams - 1)).await;
    let mut different = None;
    for (project, stream) in &numbered {
        let none = Rows::new();
        let found = found.get(project).unwrap_or(&none);
        if let Some((expected, found)) = differs(client, *project, stream, found).await {
            different = Some((*project, (*stream).clone(), expected, found));
            break;
        }
    }
    let (project, mut least, mut expected, mut said) = different?;
    let tree = &mut trees[project];
    // A new project for every try, with the same range.
    let mut more = tree.simplify();
    for number in 1..=SHRINKS {
        if !more {
            break;
        }
        let stream = tree.current();
        let other = project + number * streams * ASKED * 30;
        arrive(client, &[(other, &stream)]).await;
        let found = found_sessions(client, (other, other))
            .await
            .remove(&other)
            .unwrap_or_default();
        if let Some((one, another)) = differs(client, other, &stream, &found).await {
            (least, expected, said) = (stream, one, another);
            more = tree.simplify();
        } else {
            more = tree.complicate();
        }
    }
    Some((least, expected, said))
}

#[tokio::test]
async fn the_engine_and_the_model_agree() {
    let client = database_with_schema("differential").await;
    if let Some((stream, expected, found)) = smallest(&client, STREAMS).await {
        panic!(
            "the smallest stream that differs: {stream:#?}\nthe model: {expected:#?}\nthe engine: {found:#?}"
        );
    }
    // What was compared holds what it should.
    let counts: Value = client
        .row(&Query::new(
            "SELECT count() AS sessions, countIf(event_count > 1) AS longer, countIf(isNotNull(user_id)) AS known, countIf(toDate(started_at) != toDate(ended_at)) AS over_days FROM sessions",
        ))
        .await
        .unwrap();
    for (count, least) in [
        ("sessions", 4 * STREAMS),
        ("longer", STREAMS),
        ("known", STREAMS),
        ("over_days", STREAMS / 20),
    ] {
        let count = counts[count].as_u64().unwrap();
        assert!(usize::try_from(count).unwrap() >= least, "{counts}");
    }
}

/// A view that counts events by their ids is found, and shown with two events that have one.
#[tokio::test]
async fn a_wrong_view_is_shown_with_the_smallest_stream() {
    let client = database("differential_wrong").await;
    for migration in ["0001_events.sql", "0002_sessions.sql", "0003_sources.sql"] {
        let path = support::schema().join("migrations").join(migration);
        let text = fs_err::read_to_string(path).unwrap();
        let up = text.split("-- migrate:down").next().unwrap();
        let wrong = up.replace(
            "count() AS event_count,",
            "uniq(e.event_id) AS event_count,",
        );
        for statement in housewright::sql::split(&wrong) {
            client.execute(&Query::new(statement.sql())).await.unwrap();
        }
    }
    let (stream, expected, found) = smallest(&client, 200).await.unwrap();
    let sent: usize = stream.iter().map(|event| event.copies).sum();
    assert_eq!(sent, 2, "{stream:#?}");
    assert_eq!(blocks(&stream).len(), 1);
    let count = |rows: &Rows| rows[0]["event_count"].clone();
    assert_eq!((count(&expected), count(&found)), (json!(2), json!(1)));
    // All that the mistake does not need is as plain as it can be.
    assert_eq!(stream[0].user, None);
    assert!(stream[0].session.is_none());
}
