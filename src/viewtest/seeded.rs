//! `key = value` lines of a case → rows of the generator of tracking events. Pure.

use crate::seed;
use crate::viewtest::case::Row;

/// Rows of the generator of tracking events.
pub(crate) fn rows(settings: &[(String, String)]) -> Result<Vec<Row>, String> {
    let mut options = seed::Options {
        seed: 1,
        events: 100,
        projects: 2,
        days: 3,
        start: jiff::civil::date(2026, 5, 16),
    };
    for (key, value) in settings {
        let bad = |_| format!("`{value}` is not a value of `{key}`");
        match key.as_str() {
            "seed" => options.seed = value.parse().map_err(bad)?,
            "events" => options.events = value.parse().map_err(bad)?,
            "projects" => options.projects = value.parse().map_err(bad)?,
            "days" => options.days = value.parse().map_err(bad)?,
            "start" => {
                options.start = value
                    .parse()
                    .map_err(|_| format!("`{value}` is not a date like 2026-05-16"))?;
            }
            other => {
                return Err(format!(
                    "`{other}` is not one of seed, events, projects, days, start"
                ));
            }
        }
    }
    let mut rows = Vec::new();
    for event in seed::generate(&options).map_err(|error| error.to_string())? {
        let mut line = Vec::new();
        event
            .write_json_line(&mut line)
            .map_err(|error| error.to_string())?;
        rows.push(serde_json::from_slice(&line).map_err(|error| error.to_string())?);
    }
    Ok(rows)
}
