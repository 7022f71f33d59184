//! `sessions` and `sources` against a plain model of the domain, over many small streams made to collide.
//!
//! Every stream is a project of its own. Few visitors, ids, instants and days, so that ties, impostors, overridden ids over days, late
//! events and duplicates are the rule. Nothing is shared with the SQL.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use housewright::clickhouse::Query;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::{Value, json};
use support::{database_with_schema, insert};

const STREAMS: usize = 400;
const DAY: i64 = 86_400_000;
const HALF_HOUR: i64 = 1_800_000;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    // The order of these three is the order of events.
    timestamp: i64,
    id: String,
    source: String,
    medium: String,
    project: usize,
    name: &'static str,
    visitor: String,
    user: Option<String>,
    session: Option<String>,
}

impl Event {
    fn session(&self) -> String {
        self.session
            .clone()
            .unwrap_or_else(|| format!("{}-{}", self.visitor, self.timestamp.div_euclid(HALF_HOUR)))
    }

    fn json(&self) -> Value {
        let mut value = json!({
            "project_id": self.project.to_string(), "event_id": self.id, "timestamp": time(self.timestamp), "event_name": self.name,
            "anonymous_id": self.visitor, "user_id": self.user, "source": self.source, "medium": self.medium,
        });
        if let Some(session) = &self.session {
            value["session_id"] = json!(session);
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

struct Dice(ChaCha8Rng);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.0.next_u64() % bound as u64).unwrap()
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

fn start() -> i64 {
    "2026-02-27T00:00:00Z"
        .parse::<jiff::Timestamp>()
        .unwrap()
        .as_millisecond()
}

fn stream(project: usize, dice: &mut Dice) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    for _ in 0..=dice.below(14) {
        if !events.is_empty() && dice.below(10) == 0 {
            let again = events[dice.below(events.len())].clone();
            events.push(again);
            continue;
        }
        let instants = [0, 1, 999, 1000, HALF_HOUR - 1, HALF_HOUR, DAY - 1, DAY / 2];
        let timestamp = start()
            + i64::try_from(dice.below(4)).unwrap() * DAY
            + instants[dice.below(instants.len())];
        let visitor = dice.pick(&["a", "b", "a-1"]).to_owned();
        let session = match dice.below(10) {
            0..5 => None,
            5 => Some("watch".to_owned()),
            6 => Some("a-1-2".to_owned()),
            // The id of some half hour of these days, of whichever visitor.
            _ => {
                let whose = dice.pick(&["a", "b", "a-1"]);
                let when = start()
                    + i64::try_from(dice.below(4)).unwrap() * DAY
                    + [0, DAY / 2][dice.below(2)];
                Some(format!("{whose}-{}", when.div_euclid(HALF_HOUR)))
            }
        };
        events.push(Event {
            timestamp,
            id: dice.pick(&["1", "2", "3", "B"]).to_owned(),
            source: dice.pick(&["facebook", "google", "direct", ""]).to_owned(),
            medium: dice.pick(&["paid", "social", "direct"]).to_owned(),
            project,
            name: dice.pick(&["$pageview", "signup"]),
            visitor,
            user: (dice.below(3) == 0).then(|| dice.pick(&["user_1", "user_2"]).to_owned()),
            session,
        });
    }
    events
}

/// Sessions, events, events of paid sessions, visitors.
type Group<'a> = (usize, usize, usize, BTreeSet<&'a str>);

/// `(project, session, visitor)` → the session's events.
type Sessions<'a> = BTreeMap<(usize, String, String), Vec<&'a Event>>;

fn sessions(events: &[Event]) -> Sessions<'_> {
    let mut sessions = Sessions::new();
    for event in events {
        sessions
            .entry((event.project, event.session(), event.visitor.clone()))
            .or_default()
            .push(event);
    }
    sessions
}

fn first<'a>(events: &[&'a Event]) -> &'a Event {
    events.iter().min().unwrap()
}

#[tokio::test]
async fn the_engine_and_the_model_agree() {
    let client = database_with_schema("differential").await;
    let mut dice = Dice(ChaCha8Rng::seed_from_u64(20_260_516));
    let events: Vec<Event> = (0..STREAMS)
        .flat_map(|project| stream(project, &mut dice))
        .collect();
    // In any order, in any pieces.
    let mut shuffled = events.clone();
    for index in (1..shuffled.len()).rev() {
        shuffled.swap(index, dice.below(index + 1));
    }
    let mut rest = shuffled.as_slice();
    while !rest.is_empty() {
        let (batch, more) = rest.split_at((1 + dice.below(200)).min(rest.len()));
        let lines: String = batch
            .iter()
            .map(|event| format!("{}\n", event.json()))
            .collect::<Vec<_>>()
            .concat();
        insert(&client, "INSERT INTO events FORMAT JSONEachRow", lines).await;
        rest = more;
    }

    let model = sessions(&events);
    let expected: Vec<String> = model
        .iter()
        .map(|((project, session, visitor), events)| {
            let begins = first(events);
            let ends = events.iter().map(|event| event.timestamp).max().unwrap();
            let named = events
                .iter()
                .filter(|event| event.user.is_some())
                .max_by_key(|event| (event.timestamp, &event.id, &event.user));
            format!(
                "{project}|{session}|{visitor}|{}|{}|{}|{}|{}|{}|{}|{}",
                named
                    .and_then(|event| event.user.clone())
                    .unwrap_or_else(|| "-".to_owned()),
                time(begins.timestamp),
                time(ends),
                (ends - begins.timestamp) / 1000,
                events.len(),
                events
                    .iter()
                    .filter(|event| event.name == "$pageview")
                    .count(),
                begins.source,
                begins.medium,
            )
        })
        .collect();
    let sql = "SELECT concatWithSeparator('|', project_id, session_id, anonymous_id, ifNull(user_id, '-'), toString(started_at), toString(ended_at), toString(duration_s), toString(event_count), toString(pageview_count), entry_source, entry_medium) AS line FROM sessions ORDER BY toUInt32(project_id), session_id, anonymous_id";
    let rows: Vec<Value> = client.rows(&Query::new(sql)).await.unwrap();
    let found: Vec<&str> = rows
        .iter()
        .map(|row| row["line"].as_str().unwrap())
        .collect();
    for (found, expected) in found.iter().zip(&expected) {
        let project = expected.split('|').next().unwrap();
        assert_eq!(
            found,
            expected,
            "events: {:#?}",
            events
                .iter()
                .filter(|event| event.project.to_string() == project)
                .collect::<Vec<_>>()
        );
    }
    assert_eq!(found.len(), expected.len());

    let mut rows_seen = 0;
    for project in 0..STREAMS {
        let edges = [0, 1, 1000, HALF_HOUR, DAY / 2, DAY - 1];
        let mut edge = || {
            start() + i64::try_from(dice.below(5)).unwrap() * DAY + edges[dice.below(edges.len())]
        };
        let (one, two) = (edge(), edge());
        let (from, to) = (one.min(two), one.max(two));
        let mut groups: BTreeMap<(String, String), Group<'_>> = BTreeMap::new();
        for ((of, _, visitor), events) in &model {
            let begins = first(events);
            if *of != project || begins.timestamp < from || begins.timestamp >= to {
                continue;
            }
            let group = groups
                .entry((begins.source.clone(), begins.medium.clone()))
                .or_default();
            group.0 += 1;
            group.1 += events.len();
            group.2 += if begins.medium == "paid" {
                events.len()
            } else {
                0
            };
            group.3.insert(visitor);
        }
        let expected: Vec<String> = groups
            .iter()
            .map(|((source, medium), (sessions, events, paid, visitors))| {
                format!(
                    "{source}|{medium}|{sessions}|{events}|{}|{}",
                    visitors.len(),
                    paid / events
                )
            })
            .collect();
        let sql = format!(
            "SELECT concatWithSeparator('|', source, medium, toString(sessions), toString(events), toString(uniques), toString(paid_share)) AS line FROM sources(project = '{project}', `from` = '{}', `to` = '{}', breakdown = 'source_medium') ORDER BY source, medium",
            time(from),
            time(to)
        );
        let rows: Vec<Value> = client.rows(&Query::new(sql)).await.unwrap();
        let found: Vec<&str> = rows
            .iter()
            .map(|row| row["line"].as_str().unwrap())
            .collect();
        assert_eq!(
            found,
            expected,
            "project {project} from {} to {}: {:#?}",
            time(from),
            time(to),
            events
                .iter()
                .filter(|event| event.project == project)
                .collect::<Vec<_>>()
        );
        rows_seen += found.len();
    }
    assert!(
        rows_seen > STREAMS / 2,
        "the ranges hold something: {rows_seen}"
    );
}
