//! One row of `events` as a client sends it, and its JSON line. It must not know where events come from.

use std::borrow::Cow;
use std::io::{self, Write};

/// The least `DateTime64(3)`, 1900-01-01 00:00:00.000 UTC, in Unix milliseconds.
pub const MIN_TIMESTAMP_MS: i64 = -2_208_988_800_000;
/// The greatest `DateTime64(3)`, 2299-12-31 23:59:59.999 UTC, in Unix milliseconds.
pub const MAX_TIMESTAMP_MS: i64 = 10_413_791_999_999;

/// One event: the columns of the table `events` that a client sends. An absent text is `""`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "the fields are the documented columns of events"
)]
pub struct Event {
    pub project_id: String,
    pub event_id: String,
    /// Unix milliseconds, UTC.
    pub timestamp: i64,
    pub event_name: Cow<'static, str>,
    pub anonymous_id: String,
    pub user_id: Option<String>,
    /// `None` = not sent: the table's DEFAULT derives it.
    pub session_id: Option<String>,
    pub source: Cow<'static, str>,
    pub medium: Cow<'static, str>,
    pub campaign: Cow<'static, str>,
    pub source_confidence: Cow<'static, str>,
    pub source_rule_id: Cow<'static, str>,
    pub referrer: Cow<'static, str>,
    pub url: Cow<'static, str>,
    pub path: Cow<'static, str>,
    pub country: Cow<'static, str>,
    pub device_type: Cow<'static, str>,
    pub browser: Cow<'static, str>,
    pub os: Cow<'static, str>,
    pub ip_hash: String,
    /// JSON text of an object.
    pub properties: Cow<'static, str>,
}

/// The session id the table derives: `anonymous_id-bucket`, half-hour buckets of Unix time, rounded down before 1970 too.
pub fn derived_session_id(anonymous_id: &str, timestamp_ms: i64) -> String {
    format!("{anonymous_id}-{}", timestamp_ms.div_euclid(1_800_000))
}

impl Event {
    /// Writes one `JSONEachRow` line with its newline; keys in table order, an absent `session_id` left out.
    pub fn write_json_line(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(b"{\"project_id\":")?;
        text(out, &self.project_id)?;
        field(out, "event_id", &self.event_id)?;
        out.write_all(b",\"timestamp\":\"")?;
        timestamp(out, self.timestamp)?;
        out.write_all(b"\"")?;
        field(out, "event_name", &self.event_name)?;
        field(out, "anonymous_id", &self.anonymous_id)?;
        match &self.user_id {
            Some(id) => field(out, "user_id", id)?,
            None => out.write_all(b",\"user_id\":null")?,
        }
        if let Some(id) = &self.session_id {
            field(out, "session_id", id)?;
        }
        for (key, value) in [
            ("source", &self.source),
            ("medium", &self.medium),
            ("campaign", &self.campaign),
            ("source_confidence", &self.source_confidence),
            ("source_rule_id", &self.source_rule_id),
            ("referrer", &self.referrer),
            ("url", &self.url),
            ("path", &self.path),
            ("country", &self.country),
            ("device_type", &self.device_type),
            ("browser", &self.browser),
            ("os", &self.os),
        ] {
            field(out, key, value)?;
        }
        field(out, "ip_hash", &self.ip_hash)?;
        field(out, "properties", &self.properties)?;
        out.write_all(b"}\n")
    }
}

fn field(out: &mut impl Write, key: &str, value: &str) -> io::Result<()> {
    out.write_all(b",\"")?;
    out.write_all(key.as_bytes())?;
    out.write_all(b"\":")?;
    text(out, value)
}

fn text(out: &mut impl Write, value: &str) -> io::Result<()> {
    // Most values need no escape: one pass to see that is cheaper than a serializer's.
    if value.bytes().any(|b| b < 0x20 || b == b'"' || b == b'\\') {
        return serde_json::to_writer(out, value).map_err(io::Error::from);
    }
    out.write_all(b"\"")?;
    out.write_all(value.as_bytes())?;
    out.write_all(b"\"")
}

/// `2026-05-16 18:59:59.999`; days → civil date by the proleptic Gregorian calendar.
fn timestamp(out: &mut impl Write, ms: i64) -> io::Result<()> {
    let (days, rest) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    let shifted = days + 719_468; // days since 0000-03-01
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (h, m, s) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1000 % 60);
    write!(
        out,
        "{year:04}-{month:02}-{day:02} {h:02}:{m:02}:{s:02}.{:03}",
        rest % 1000
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use test_case::test_case;

    #[test_case("2026-05-16T18:59:59Z", "u_abc-988309")]
    #[test_case("2026-05-16T19:00:00Z", "u_abc-988310")]
    #[test_case("2026-05-16T19:29:59.999Z", "u_abc-988310")]
    #[test_case("2026-05-16T19:30:00Z", "u_abc-988311")]
    #[test_case("1969-12-31T23:59:59.999Z", "u_abc--1")]
    fn a_session_id_is_derived_as_the_domain_says(at: &str, id: &str) {
        let at: jiff::Timestamp = at.parse().unwrap();
        assert_eq!(derived_session_id("u_abc", at.as_millisecond()), id);
    }

    proptest::proptest! {
        #[test]
        fn a_timestamp_is_written_as_jiff_writes_it(ms in MIN_TIMESTAMP_MS..=MAX_TIMESTAMP_MS) {
            let mut out = Vec::new();
            timestamp(&mut out, ms).unwrap();
            let there = jiff::Timestamp::from_millisecond(ms).unwrap();
            let there = there.strftime("%Y-%m-%d %H:%M:%S.%3f").to_string();
            proptest::prop_assert_eq!(String::from_utf8(out).unwrap(), there);
        }
    }
}
