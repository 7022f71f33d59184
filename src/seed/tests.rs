//! What traffic and the API's lines promise, told as stories.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::seed::{Event, Options, api, derived_session_id, generate};

fn options(seed: u64, events: u64, projects: u32) -> Options {
    Options {
        seed,
        events,
        projects,
        days: 30,
        start: jiff::civil::date(2026, 5, 1),
    }
}

fn lines(options: &Options) -> Vec<u8> {
    let mut out = Vec::new();
    for event in generate(options).unwrap() {
        event.write_json_line(&mut out).unwrap();
    }
    out
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_every_platform() {
    let mut sums = String::new();
    for (seed, events, projects) in [(1, 200, 2), (42, 5000, 3), (7, 1000, 1)] {
        for byte in Sha256::digest(lines(&options(seed, events, projects))) {
            write!(sums, "{byte:02x}").unwrap();
        }
        sums += "\n";
    }
    insta::assert_snapshot!(sums, @r"
    1b4b39476ae853157d9057c5b344c686466c5a6f8c3fe6d296c0fcb676478e3d
    ec3898d6a52cc149f95e9b65f5a14320df48e58e0b7968489f503cbc4b6c1a84
    19acafd93700961741f27e809672ec30b76a9a6f810ff343c3d09445fb8f7c7c
    ");
}

#[test]
fn exactly_as_many_rows_come_out_as_were_asked_for() {
    for n in [0, 1, 2, 199, 5000] {
        assert_eq!(generate(&options(3, n, 2)).unwrap().count() as u64, n);
    }
}

#[test]
fn absurd_options_are_refused_with_their_numbers() {
    let good = options(1, 1, 1);
    let all = [
        Options {
            projects: 0,
            ..good.clone()
        },
        Options {
            days: 0,
            ..good.clone()
        },
        Options {
            events: u64::MAX,
            ..good.clone()
        },
        Options {
            start: jiff::civil::date(1850, 1, 1),
            ..good.clone()
        },
        Options {
            start: jiff::civil::date(2299, 12, 30),
            ..good
        },
    ];
    let said: Vec<String> = all
        .iter()
        .map(|o| generate(o).unwrap_err().to_string())
        .collect();
    insta::assert_snapshot!(said.join("\n"), @r"
    0 projects: give 1 to 10000
    0 days: give 1 to 3660
    18446744073709551615 events: give at most 100000000000
    30 days from 1850-01-01 leave the range of DateTime64(3): choose dates from 1900-01-01 to 2299-12-01
    30 days from 2299-12-30 leave the range of DateTime64(3): choose dates from 1900-01-01 to 2299-12-01
    ");
}

#[test]
fn two_hundred_events_hold_facebook_paid_and_facebook_social() {
    for seed in 0..20 {
        let pairs: BTreeSet<_> = generate(&options(seed, 200, 2))
            .unwrap()
            .map(|e| (e.source, e.medium))
            .collect();
        assert!(
            pairs.contains(&("facebook".into(), "paid".into())),
            "seed {seed}"
        );
        assert!(
            pairs.contains(&("facebook".into(), "social".into())),
            "seed {seed}"
        );
    }
}

#[test]
fn five_thousand_events_hold_every_feature() {
    let all: Vec<Event> = generate(&options(42, 5000, 3)).unwrap().collect();
    let mut sessions: BTreeMap<(String, String), Vec<&Event>> = BTreeMap::new();
    let (mut newest, mut late, mut edges) = (i64::MIN, 0, 0);
    let (mut ids, mut moments) = (BTreeMap::new(), BTreeMap::new());
    let mut buckets = BTreeSet::new();
    for e in &all {
        late += usize::from(e.timestamp + 60_000 < newest);
        newest = newest.max(e.timestamp);
        *ids.entry(&e.event_id).or_insert(0) += 1;
        moments
            .entry((&e.anonymous_id, e.timestamp))
            .or_insert_with(BTreeSet::new)
            .insert(&e.event_id);
        let id = e
            .session_id
            .clone()
            .unwrap_or_else(|| derived_session_id(&e.anonymous_id, e.timestamp));
        if e.session_id.is_none() {
            buckets.insert((&e.anonymous_id, e.timestamp / 1_800_000));
        }
        sessions
            .entry((e.project_id.clone(), id))
            .or_default()
            .push(e);
    }
    for (id, bucket) in &buckets {
        edges += usize::from(buckets.contains(&(id, bucket + 1)));
    }
    let named = |name: &str| all.iter().filter(|e| e.event_name == name).count();
    let count = |test: &dyn Fn(&[&Event]) -> bool| sessions.values().filter(|s| test(s)).count();
    let span = |s: &[&Event]| {
        s.iter().map(|e| e.timestamp).max().unwrap() - s.iter().map(|e| e.timestamp).min().unwrap()
    };
    let projects: BTreeSet<_> = sessions.keys().map(|(p, s)| (s, p)).collect();
    let shared = projects
        .iter()
        .zip(projects.iter().skip(1))
        .filter(|(a, b)| a.0 == b.0)
        .count();
    let features = [
        ("late", late),
        ("duplicates", ids.values().filter(|n| **n > 1).count()),
        ("ties", moments.values().filter(|ids| ids.len() > 1).count()),
        ("bucket edges crossed", edges),
        ("$pageview", named("$pageview")),
        ("$identify", named("$identify")),
        ("signup", named("signup")),
        ("logout", named("logout")),
        (
            "server-side",
            all.iter().filter(|e| e.url.is_empty()).count(),
        ),
        ("sessions of hours", count(&|s| span(s) > 3_600_000)),
        ("sessions of days", count(&|s| span(s) > 86_400_000)),
        (
            "two visitors",
            count(&|s| s.iter().any(|e| e.anonymous_id != s[0].anonymous_id)),
        ),
        (
            "known in mid-session",
            count(&|s| {
                s.iter().any(|e| e.user_id.is_none()) && s.iter().any(|e| e.user_id.is_some())
            }),
        ),
        (
            "campaign after none",
            count(&|s| {
                let first = s.iter().min_by_key(|e| (e.timestamp, &e.event_id)).unwrap();
                first.campaign.is_empty() && s.iter().any(|e| !e.campaign.is_empty())
            }),
        ),
        ("one session id in two projects", shared),
    ];
    for (feature, n) in features {
        assert!(n > 0, "{feature}: {features:?}");
    }
}

#[test]
fn every_bad_line_is_named_and_nothing_of_its_batch_is_taken() {
    let with = |more: &str| {
        format!(
            "{{\"project_id\":\"p\",\"event\":\"e\",\"anonymous_id\":\"a\",\"timestamp\":0{more}}}"
        )
    };
    let bad = [
        "{\"project_id\":".to_owned(), "[]".to_owned(), "{}".to_owned(), with(",\"sesion_id\":\"x\""),
        with(",\"event_name\":\"e\""), with(",\"user_id\":7"), with(",\"session_id\":\"\""),
        with(&format!(",\"url\":\"{}\"", "u".repeat(2049))), with(",\"source_confidence\":\"sure\""),
        with(&format!(",\"properties\":{{\"k\":\"{}\"}}", "v".repeat(8192))), with(",\"properties\":[]"),
        "{\"project_id\":\"p\",\"event\":\"e\",\"anonymous_id\":\"a\",\"timestamp\":\"2026-05-16 18:00\"}".to_owned(),
        "{\"project_id\":\"p\",\"event\":\"e\",\"anonymous_id\":\"a\",\"timestamp\":99999999999999}".to_owned(),
        "{\"event\":\"e\",\"timestamp\":0}".to_owned(), "x".repeat(api::MAX_LINE + 9),
    ];
    let mut input = format!("\u{feff}{}\r\n\n{}\n", with(""), bad.join("\n")).into_bytes();
    input.extend_from_slice(b"\xff\n");
    let mut batches = api::read(input.as_slice(), 1000);
    let error = batches.next().unwrap().unwrap_err();
    assert!(batches.next().is_none());
    let said: Vec<String> = error
        .errors
        .iter()
        .map(|(n, why)| format!("{n}: {why}"))
        .collect();
    insta::assert_snapshot!(format!("{error}\n{}", said.join("\n")), @r"
    16 bad lines in the batch from line 1 on; nothing of it was taken: mend them and send it again
    3: the line is not one JSON value: EOF while parsing a value at line 1 column 14
    4: the line is not a JSON object
    5: `event` is missing or null
    6: `sesion_id` is not a field of an event; put it in `properties`, or did you mean `session_id`?
    7: `event` and `event_name` are both given: send one
    8: `user_id` must be a string
    9: `session_id` is empty: leave it out or give it a value
    10: `url` has 2049 characters; at most 2048 are allowed
    11: `source_confidence` must be low, medium or high
    12: `properties` takes 8200 bytes as JSON; at most 8192 are allowed
    13: `properties` must be an object
    14: `timestamp` is not ISO 8601 with a zone, nor whole Unix milliseconds
    15: `timestamp` is outside 1900-01-01 to 2299-12-31, the range of DateTime64(3)
    16: `project_id` is missing or null
    17: the line is longer than 262144 bytes
    18: the line is not UTF-8 from byte 1 on
    ");
}

#[test]
fn a_line_of_the_api_is_read_as_the_domain_says() {
    let line = br#"{"project_id":"p","event":"signup","anonymous_id":"a","timestamp":"2026-05-16T20:59:59.999+02:00",
        "session_id":null,"user_id":null,"campaign":null,"properties":{"plan":"pro"}}"#;
    let event = api::read_line(line).unwrap();
    assert_eq!(event.timestamp, 1_778_957_999_999);
    assert_eq!(
        (event.session_id, event.user_id, event.event_id.len()),
        (None, None, 32)
    );
    assert_eq!(
        (&*event.event_name, &*event.campaign, &*event.properties),
        ("signup", "", r#"{"plan":"pro"}"#)
    );
}

#[test]
fn a_bad_batch_does_not_stop_the_good_ones_around_it() {
    let good = r#"{"project_id":"p","event":"e","anonymous_id":"a","timestamp":1}"#;
    let input = format!("{good}\n{good}\n{good}\nbad\n\n{good}");
    let sizes: Vec<_> = api::read(input.as_bytes(), 2)
        .map(|b| b.map(|e| e.len()).map_err(|e| e.first_line))
        .collect();
    assert_eq!(sizes, [Ok(2), Err(3), Ok(1)]);
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400), size in 0_usize..5) {
        let lines = bytes.split(|b| *b == b'\n').count();
        proptest::prop_assert!(api::read(bytes.as_slice(), size).count() <= lines);
    }
}
