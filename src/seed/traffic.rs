//! Realistic traffic, streamed in arrival order. It must not read a clock, use a float or depend on a hash order.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::seed::Event;

/// Rates: one visit in so many. The one table to read or to change.
mod one_in {
    pub(super) const LATE: u64 = 60;
    pub(super) const DUPLICATE: u64 = 80;
    pub(super) const TIE: u64 = 12;
    pub(super) const RETURNING: u64 = 2;
}
/// Events that may wait for their arrival: the bound on memory. When full, the earliest leaves at once.
const MAX_WAITING: usize = 65_536;
/// Events per visit, about: sets the pace of visits only.
const EVENTS_PER_VISIT: u64 = 4;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// Weight of each hour UTC, and of each weekday from Monday.
const HOURS: [i64; 24] = [
    3, 2, 2, 2, 2, 3, 5, 7, 9, 10, 10, 10, 9, 10, 10, 10, 9, 8, 8, 8, 7, 6, 5, 4,
];
const WEEKDAYS: [i64; 7] = [10, 10, 10, 10, 9, 6, 6];
const PATHS: [&str; 6] = [
    "/",
    "/pricing",
    "/docs",
    "/blog/first-touch",
    "/features",
    "/signup",
];
const PRODUCT: [&str; 4] = ["clicked_pricing", "signup", "feature_used", "docs_searched"];

/// source, medium, campaign, confidence, rule id, referrer, query of the landing url.
type Channel = [&'static str; 7];
/// The first visits go through this list once, so that small seeds have every channel; then it is drawn from.
const CHANNELS: [Channel; 16] = [
    [
        "facebook",
        "paid",
        "",
        "high",
        "fb_ad_redirect",
        "https://l.facebook.com/",
        "?fbclid=",
    ],
    [
        "facebook",
        "social",
        "",
        "medium",
        "fb_referrer",
        "https://www.facebook.com/",
        "",
    ],
    [
        "google",
        "paid",
        "",
        "high",
        "gclid",
        "https://www.google.com/",
        "?gclid=",
    ],
    ["direct", "direct", "", "high", "direct", "", ""],
    ["facebook", "paid", "", "medium", "fbclid", "", "?fbclid="],
    [
        "google",
        "organic",
        "",
        "medium",
        "search_referrer",
        "https://www.google.com/",
        "",
    ],
    [
        "bing",
        "paid",
        "",
        "high",
        "msclkid",
        "https://www.bing.com/",
        "?msclkid=",
    ],
    ["tiktok", "paid", "", "high", "ttclid", "", "?ttclid="],
    [
        "linkedin",
        "paid",
        "",
        "high",
        "li_fat_id",
        "",
        "?li_fat_id=",
    ],
    [
        "facebook",
        "paid",
        "spring",
        "high",
        "utm_paid",
        "",
        "?utm_source=facebook&utm_medium=cpc&utm_campaign=spring&r=",
    ],
    [
        "newsletter",
        "email",
        "weekly",
        "high",
        "utm",
        "",
        "?utm_source=newsletter&utm_medium=email&utm_campaign=weekly&r=",
    ],
    [
        "email",
        "email",
        "",
        "medium",
        "mail_client",
        "https://mail.google.com/",
        "",
    ],
    [
        "duckduckgo",
        "organic",
        "",
        "medium",
        "search_referrer",
        "https://duckduckgo.com/",
        "",
    ],
    [
        "news.example.org",
        "referral",
        "",
        "low",
        "referrer_host",
        "https://news.example.org/item",
        "",
    ],
    [
        "google",
        "paid",
        "autumn",
        "high",
        "utm_paid",
        "https://www.google.com/",
        "?utm_source=google&utm_medium=cpc&utm_campaign=autumn&r=",
    ],
    ["direct", "direct", "", "high", "direct", "", ""],
];
const DIRECT: usize = 3;
const COUNTRIES: [&str; 8] = ["US", "US", "DE", "GB", "FR", "IN", "BR", "JP"];
const DEVICES: [[&str; 3]; 5] = [
    ["desktop", "chrome", "windows"],
    ["mobile", "safari", "ios"],
    ["mobile", "chrome", "android"],
    ["desktop", "firefox", "linux"],
    ["tablet", "safari", "ios"],
];

/// What to generate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The seed: all of the randomness.
    pub seed: u64,
    /// Rows, exactly.
    pub events: u64,
    /// Tenants, 1 to 10,000.
    pub projects: u32,
    /// Days of traffic, 1 to 3,660. Late arrivals and long sessions may reach beyond the last.
    pub days: u32,
    /// The first day; it begins at midnight UTC.
    pub start: jiff::civil::Date,
}

impl Default for Options {
    /// What `seed`, `demo`, the recipes and the pages show: always the same week.
    fn default() -> Self {
        Self {
            seed: 42,
            events: 10_000,
            projects: 3,
            days: 7,
            start: jiff::civil::date(2026, 5, 11),
        }
    }
}

/// Why options are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// Outside 1 to 10,000.
    #[error("{0} projects: give 1 to 10000")]
    Projects(u32),
    /// Outside 1 to 3,660.
    #[error("{0} days: give 1 to 3660")]
    Days(u32),
    /// More than 10^11.
    #[error("{0} events: give at most 100000000000")]
    Events(u64),
    /// Traffic would leave `DateTime64(3)`.
    #[error(
        "{days} days from {start} leave the range of DateTime64(3): choose dates from 1900-01-01 to 2299-12-01"
    )]
    Range {
        /// The first day.
        start: jiff::civil::Date,
        /// How many.
        days: u32,
    },
}

/// The events of a seed, in order of arrival. The prefix property does not hold: the pace follows `events`, so a
/// smaller number is another spread over the same days, not the head of a larger one.
pub fn generate(options: &Options) -> Result<Traffic, OptionsError> {
    if !(1..=10_000).contains(&options.projects) {
        return Err(OptionsError::Projects(options.projects));
    }
    if !(1..=3660).contains(&options.days) {
        return Err(OptionsError::Days(options.days));
    }
    if options.events > 100_000_000_000 {
        return Err(OptionsError::Events(options.events));
    }
    let range = || OptionsError::Range {
        start: options.start,
        days: options.days,
    };
    let start = jiff::tz::TimeZone::UTC
        .to_timestamp(options.start.at(0, 0, 0, 0))
        .map_err(|_| range())?;
    let start = start.as_millisecond();
    let end = start + i64::from(options.days) * DAY;
    if start < crate::seed::MIN_TIMESTAMP_MS || end + 30 * DAY > crate::seed::MAX_TIMESTAMP_MS {
        return Err(range());
    }
    let mut key = [0; 32];
    for (to, from) in key.iter_mut().zip(options.seed.to_le_bytes()) {
        *to = from;
    }
    let mut total = 0;
    let sizes = (0..u64::from(options.projects))
        .map(|i| {
            total += 1_000_000 / (i + 1);
            total
        })
        .collect();
    Ok(Traffic {
        rng: ChaCha8Rng::from_seed(key),
        left: options.events,
        made: 0,
        events: options.events,
        clock: start,
        end,
        visits: 0,
        sizes,
        visitors: BTreeMap::new(),
        waiting: BTreeMap::new(),
        order: BinaryHeap::new(),
    })
}

/// The stream of events; see [`generate`].
#[derive(Debug)]
pub struct Traffic {
    rng: ChaCha8Rng,
    left: u64,
    made: u64,
    events: u64,
    clock: i64,
    end: i64,
    visits: u64,
    /// Running sum of project weights: 1, 1/2, 1/3, …
    sizes: Vec<u64>,
    /// Visitors seen, by project.
    visitors: BTreeMap<u64, u64>,
    waiting: BTreeMap<u64, Event>,
    order: BinaryHeap<Reverse<(i64, u64)>>,
}

impl Iterator for Traffic {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        if self.left == 0 {
            return None;
        }
        loop {
            let due = self.order.peek().is_some_and(|Reverse((at, _))| {
                *at <= self.clock || self.made >= self.events || self.order.len() > MAX_WAITING
            });
            if due {
                let Reverse((_, number)) = self.order.pop()?;
                self.left -= 1;
                return self.waiting.remove(&number);
            }
            self.visit();
        }
    }
}

impl Traffic {
    fn below(&mut self, n: u64) -> u64 {
        u64::try_from((u128::from(self.rng.next_u64()) * u128::from(n)) >> 64).unwrap_or(0)
    }

    fn within(&mut self, ms: i64) -> i64 {
        i64::try_from(self.below(ms.max(1).unsigned_abs())).unwrap_or(0)
    }

    fn pick<T: Copy + Default>(&mut self, from: &[T]) -> T {
        let at = self.below(from.len() as u64);
        usize::try_from(at)
            .ok()
            .and_then(|at| from.get(at))
            .copied()
            .unwrap_or_default()
    }

    fn push(&mut self, event: Event, arrival: i64) {
        self.order.push(Reverse((arrival, self.made)));
        self.waiting.insert(self.made, event);
        self.made += 1;
    }

    /// Moves the clock to the next visit: what is left of the time, shared by what is left of the visits, by rhythm.
    fn advance(&mut self) {
        let visits = (self.events.saturating_sub(self.made) / EVENTS_PER_VISIT).max(1);
        let left = (self.end - self.clock).max(0);
        let hour = usize::try_from(self.clock.div_euclid(HOUR).rem_euclid(24)).unwrap_or(0);
        // 1970-01-01 was a Thursday, the fourth day from Monday.
        let weekday = usize::try_from((self.clock.div_euclid(DAY) + 3).rem_euclid(7)).unwrap_or(0);
        let weight = HOURS.get(hour).unwrap_or(&7) * WEEKDAYS.get(weekday).unwrap_or(&9);
        let mean = left / i64::try_from(visits).unwrap_or(i64::MAX);
        self.clock += self.within(mean * 2 * 58 / weight).min(left / 2);
    }

    fn visit(&mut self) {
        self.advance();
        let visit = self.visits;
        self.visits += 1;
        let draw = self.below(self.sizes.last().copied().unwrap_or(1));
        let project = self.sizes.partition_point(|sum| *sum <= draw) as u64;
        let seen = self.visitors.get(&project).copied().unwrap_or(0);
        let returning =
            seen > 0 && visit >= CHANNELS.len() as u64 && self.below(one_in::RETURNING) == 0;
        let visitor = if returning { self.below(seen) } else { seen };
        if !returning {
            self.visitors.insert(project, seen + 1);
        }
        let deck = CHANNELS.len() as u64;
        let channel = if visit < deck {
            visit
        } else if returning && self.below(10) < 7 {
            DIRECT as u64
        } else {
            self.below(deck)
        };
        let channel = usize::try_from(channel)
            .ok()
            .and_then(|at| CHANNELS.get(at))
            .copied()
            .unwrap_or_default();
        // Stories come round in turn, so that each is in every seed of some dozens of visits.
        let story = visit % 16;
        let anonymous_id = format!("a_{project}_{visitor:x}");
        let user = format!("user_{project}_{visitor:x}");
        let mut known = returning && visitor.is_multiple_of(7);
        // Of story 5: sent by two projects under the same name. Of 3, 4 and 8: hours and days long.
        let (session_id, gap) = match story {
            3 => (Some(format!("watch_{visit:x}")), 2 * HOUR),
            4 => (Some(format!("onboarding_{visit:x}")), DAY),
            5 => (Some(format!("shared_{:x}", visit / 64)), 5 * MINUTE),
            8 => (Some(format!("agent_task_{visit:x}")), HOUR),
            9 => (Some(format!("two_visitors_{visit:x}")), 3 * MINUTE),
            _ => (None, 4 * MINUTE),
        };
        let count = if matches!(story, 0 | 7) {
            1
        } else {
            2 + self.below(6)
        };
        let device = self.pick(&DEVICES);
        let country = self.pick(&COUNTRIES);
        let ip_hash = format!("{:016x}", self.rng.next_u64());
        let host = format!("https://p{project}.example.com");
        let mut at = self.clock;
        if story == 6 {
            // One second before a bucket edge; the next event stands on the other side.
            at = (at.div_euclid(30 * MINUTE) + 1) * 30 * MINUTE - 1000;
        }
        for step in 0..count {
            let path = self.pick(&PATHS);
            let identify = matches!(story, 2 | 4 | 12) && step == 1;
            let logout = story == 12 && step + 1 == count && step > 1;
            known = (known || identify) && !logout;
            let server = step > 0 && matches!(story, 1 | 8);
            let name = match step {
                0 => "$pageview",
                _ if identify => "$identify",
                _ if logout => "logout",
                _ if server || self.below(3) == 0 => self.pick(&PRODUCT),
                _ => "$pageview",
            };
            let mut event = Event {
                project_id: format!("p{project}"),
                event_id: format!("{:016x}{:08x}", self.rng.next_u64(), self.made),
                timestamp: at,
                event_name: name.into(),
                anonymous_id: if story == 9 && step % 2 == 1 {
                    format!("{anonymous_id}_b")
                } else {
                    anonymous_id.clone()
                },
                user_id: known.then(|| user.clone()),
                session_id: session_id.clone(),
                country: country.into(),
                device_type: device[0].into(),
                browser: device[1].into(),
                os: device[2].into(),
                ip_hash: ip_hash.clone(),
                properties: if name == "$pageview" {
                    "{}".into()
                } else {
                    format!("{{\"step\":{step}}}").into()
                },
                ..Event::default()
            };
            let mut touch = match step {
                0 => channel,
                _ if server => ["direct", "direct", "", "high", "direct", "", ""],
                _ => ["internal", "direct", "", "high", "same_host", "same", ""],
            };
            if story == 10 && step == 1 {
                // The first event had its own campaign or none; this one has one: an entry must not mix the two.
                touch = [
                    "google",
                    "paid",
                    "spring",
                    "high",
                    "utm_paid",
                    "",
                    "?utm_source=google&utm_medium=cpc&utm_campaign=spring&r=",
                ];
            }
            [
                event.source,
                event.medium,
                event.campaign,
                event.source_confidence,
                event.source_rule_id,
            ] = [
                touch[0].into(),
                touch[1].into(),
                touch[2].into(),
                touch[3].into(),
                touch[4].into(),
            ];
            if !server {
                event.referrer = if touch[5] == "same" {
                    format!("{host}/").into()
                } else {
                    touch[5].into()
                };
                let id = if touch[6].is_empty() {
                    String::new()
                } else {
                    format!("{:x}", self.rng.next_u64())
                };
                event.url = format!("{host}{path}{}{id}", touch[6]).into();
                event.path = path.into();
            }
            let late = self.below(one_in::LATE) == 0 || (story == 11 && step == 0);
            let arrival = if late {
                at + 5 * MINUTE + self.within(3 * DAY)
            } else {
                at + self.within(500)
            };
            if self.below(one_in::DUPLICATE) == 0 || story == 13 && step == 0 {
                let again = arrival + self.within(MINUTE);
                self.push(event.clone(), again);
            }
            self.push(event, arrival);
            if self.below(one_in::TIE) != 0 && !(story == 14 && step == 0) {
                at += if story == 6 && step == 0 {
                    1000
                } else {
                    1 + self.within(gap)
                };
            }
        }
    }
}
