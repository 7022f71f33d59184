//! The tracking API's JSON lines → events, batch by batch, all or nothing. It must not know who reads the file.

use std::io::{BufRead, Read};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::seed::{Event, MAX_TIMESTAMP_MS, MIN_TIMESTAMP_MS};

/// The longest line, in bytes: 8 KB of properties, three texts of 2,048 characters and room to spare.
pub const MAX_LINE: usize = 256 * 1024;
/// Bad lines reported of one batch; more are only counted.
pub const MAX_REPORTED: usize = 100;

/// Field → least and most characters. `event` is the API's name of `event_name`; both are read.
const TEXTS: [(&str, usize, usize); 20] = [
    ("project_id", 1, 128),
    ("event_id", 1, 128),
    ("event_name", 1, 128),
    ("anonymous_id", 1, 128),
    ("user_id", 1, 256),
    ("session_id", 1, 135),
    ("source", 0, 256),
    ("medium", 0, 256),
    ("campaign", 0, 256),
    ("source_confidence", 0, 6),
    ("source_rule_id", 0, 128),
    ("referrer", 0, 2048),
    ("url", 0, 2048),
    ("path", 0, 2048),
    ("country", 0, 2),
    ("device_type", 0, 64),
    ("browser", 0, 64),
    ("os", 0, 64),
    ("ip_hash", 0, 32),
    ("event", 1, 128),
];

/// Why a line is not an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum LineError {
    #[error("the line is not UTF-8 from byte {0} on")]
    Utf8(usize),
    #[error("the line is longer than {MAX_LINE} bytes")]
    TooLong,
    #[error("the line is not one JSON value: {0}")]
    Json(String),
    #[error("the line is not a JSON object")]
    NotAnObject,
    #[error("`{0}` is not a field of an event; put it in `properties`, or did you mean `{1}`?")]
    Unknown(String, &'static str),
    #[error("`event` and `event_name` are both given: send one")]
    TwoNames,
    #[error("`{0}` is missing or null")]
    Missing(&'static str),
    #[error("`{0}` must be {1}")]
    Type(&'static str, &'static str),
    #[error("`{0}` is empty: leave it out or give it a value")]
    Empty(&'static str),
    #[error("`{0}` has {1} characters; at most {2} are allowed")]
    Length(&'static str, usize, usize),
    #[error("`source_confidence` must be low, medium or high")]
    Confidence,
    #[error("`properties` takes {0} bytes as JSON; at most 8192 are allowed")]
    Properties(usize),
    #[error("`timestamp` is not ISO 8601 with a zone, nor whole Unix milliseconds")]
    Timestamp,
    #[error("`timestamp` is outside 1900-01-01 to 2299-12-31, the range of DateTime64(3)")]
    Range,
}

fn text(map: &Map<String, Value>, name: &'static str) -> Result<Option<String>, LineError> {
    let value = match map.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(value)) => value,
        Some(_) => return Err(LineError::Type(name, "a string")),
    };
    let (least, most) = TEXTS
        .iter()
        .find(|(field, ..)| *field == name)
        .map_or((0, 0), |(_, least, most)| (*least, *most));
    match value.chars().count() {
        0 if least > 0 => Err(LineError::Empty(name)),
        n if n > most => Err(LineError::Length(name, n, most)),
        _ => Ok(Some(value.clone())),
    }
}

fn timestamp(value: Option<&Value>) -> Result<i64, LineError> {
    let ms = match value {
        None | Some(Value::Null) => return Err(LineError::Missing("timestamp")),
        Some(Value::Number(number)) => number.as_i64().ok_or(LineError::Timestamp)?,
        Some(Value::String(text)) => {
            let at: jiff::Timestamp = text.parse().map_err(|_| LineError::Timestamp)?;
            // Down, also before 1970, where jiff rounds towards zero.
            i64::try_from(at.as_nanosecond().div_euclid(1_000_000)).map_err(|_| LineError::Range)?
        }
        Some(_) => return Err(LineError::Timestamp),
    };
    if (MIN_TIMESTAMP_MS..=MAX_TIMESTAMP_MS).contains(&ms) {
        Ok(ms)
    } else {
        Err(LineError::Range)
    }
}

/// Characters the two names share in place, from either end: enough to find a slip of the pen.
fn likeness(a: &str, b: &str) -> usize {
    let same = |(x, y): &(u8, u8)| x.eq_ignore_ascii_case(y);
    a.bytes().zip(b.bytes()).take_while(same).count()
        + a.bytes()
            .rev()
            .zip(b.bytes().rev())
            .take_while(same)
            .count()
}

/// Reads one line. An unknown field is refused by name, since a misspelt one would lose its value in silence. Without
/// `event_id` the id is the first 32 hex digits of the line's SHA-256: reading a file again gives the same ids, and
/// two equal lines are one event sent twice.
pub fn read_line(line: &[u8]) -> Result<Event, LineError> {
    if line.len() > MAX_LINE {
        return Err(LineError::TooLong);
    }
    let line = line.trim_ascii();
    let json = std::str::from_utf8(line).map_err(|e| LineError::Utf8(e.valid_up_to() + 1))?;
    let value: Value = serde_json::from_str(json).map_err(|e| LineError::Json(e.to_string()))?;
    let Value::Object(map) = value else {
        return Err(LineError::NotAnObject);
    };
    let names = || {
        TEXTS
            .iter()
            .map(|(name, ..)| *name)
            .chain(["timestamp", "properties"])
    };
    if let Some(unknown) = map
        .keys()
        .find(|key| !names().any(|name| name == key.as_str()))
    {
        let nearest = names()
            .max_by_key(|name| likeness(name, unknown))
            .unwrap_or("properties");
        return Err(LineError::Unknown(
            unknown.chars().take(64).collect(),
            nearest,
        ));
    }
    let need = |name| text(&map, name)?.ok_or(LineError::Missing(name));
    let or_empty = |name| text(&map, name).map(|value| value.unwrap_or_default().into());
    let event_name = match (text(&map, "event")?, text(&map, "event_name")?) {
        (Some(_), Some(_)) => return Err(LineError::TwoNames),
        (Some(name), None) | (None, Some(name)) => name.into(),
        (None, None) => return Err(LineError::Missing("event")),
    };
    let source_confidence: std::borrow::Cow<'static, str> = or_empty("source_confidence")?;
    if !matches!(&*source_confidence, "" | "low" | "medium" | "high") {
        return Err(LineError::Confidence);
    }
    let properties = match map.get("properties") {
        None | Some(Value::Null) => "{}".to_owned(),
        Some(object @ Value::Object(_)) => object.to_string(),
        Some(_) => return Err(LineError::Type("properties", "an object")),
    };
    if properties.len() > 8192 {
        return Err(LineError::Properties(properties.len()));
    }
    let event_id = text(&map, "event_id")?.unwrap_or_else(|| {
        let head = Sha256::digest(line)
            .first_chunk::<16>()
            .copied()
            .unwrap_or_default();
        format!("{:032x}", u128::from_be_bytes(head))
    });
    Ok(Event {
        project_id: need("project_id")?,
        event_id,
        timestamp: timestamp(map.get("timestamp"))?,
        event_name,
        anonymous_id: need("anonymous_id")?,
        user_id: text(&map, "user_id")?,
        session_id: text(&map, "session_id")?,
        source: or_empty("source")?,
        medium: or_empty("medium")?,
        campaign: or_empty("campaign")?,
        source_confidence,
        source_rule_id: or_empty("source_rule_id")?,
        referrer: or_empty("referrer")?,
        url: or_empty("url")?,
        path: or_empty("path")?,
        country: or_empty("country")?,
        device_type: or_empty("device_type")?,
        browser: or_empty("browser")?,
        os: or_empty("os")?,
        ip_hash: or_empty("ip_hash")?.into_owned(),
        properties: properties.into(),
    })
}

/// A batch of which nothing is given out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{count} bad lines in the batch from line {first_line} on; nothing of it was taken: mend them and send it again"
)]
pub struct BatchError {
    /// The batch's first line, from 1.
    pub first_line: u64,
    /// How many lines are bad.
    pub count: u64,
    /// Line number and reason of the first [`MAX_REPORTED`] of them.
    pub errors: Vec<(u64, String)>,
}

/// Reads batches of `batch_size` lines (at least 1), blank ones not counted. Nothing of a batch with a bad line is
/// given out; the next batch follows. A failing reader ends the stream with an error.
pub fn read(
    reader: impl BufRead,
    batch_size: usize,
) -> impl Iterator<Item = Result<Vec<Event>, BatchError>> {
    let (mut reader, mut number, mut ended) = (reader, 0_u64, false);
    std::iter::from_fn(move || {
        let (mut events, mut lines) = (Vec::new(), 0);
        let mut bad = BatchError {
            first_line: 0,
            count: 0,
            errors: Vec::new(),
        };
        let mut line = Vec::new();
        while !ended && lines < batch_size.max(1) {
            number += 1;
            let read = next_line(&mut reader, &mut line);
            let mut rest = line.as_slice();
            if number == 1 {
                rest = rest.strip_prefix(b"\xef\xbb\xbf").unwrap_or(rest);
            }
            let outcome = match read {
                Ok(false) => {
                    ended = true;
                    break;
                }
                Ok(true) if rest.trim_ascii().is_empty() => continue,
                Ok(true) => read_line(rest).map_err(|e| e.to_string()),
                Err(e) => {
                    ended = true;
                    Err(format!("the input could not be read: {e}"))
                }
            };
            lines += 1;
            if bad.first_line == 0 {
                bad.first_line = number;
            }
            match outcome {
                Ok(event) => events.push(event),
                Err(reason) => {
                    bad.count += 1;
                    if bad.errors.len() < MAX_REPORTED {
                        bad.errors.push((number, reason));
                    }
                }
            }
        }
        match (lines, bad.count) {
            (0, _) => None,
            (_, 0) => Some(Ok(events)),
            _ => Some(Err(bad)),
        }
    })
}

/// Reads up to and with the newline; keeps one byte more than [`MAX_LINE`] of an over-long line and skips the rest.
fn next_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<bool> {
    line.clear();
    let most = MAX_LINE as u64 + 1;
    if reader.by_ref().take(most).read_until(b'\n', line)? == 0 {
        return Ok(false);
    }
    if line.len() > MAX_LINE && !line.ends_with(b"\n") {
        reader.skip_until(b'\n')?;
    }
    Ok(true)
}
