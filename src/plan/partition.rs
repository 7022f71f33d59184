//! Partitions as statements write them, and as the server does.

use crate::sql::{ObjectName, header, tokens};

/// `202401 TO TABLE db.t`: the partition as it is written, and the table behind `FROM` or `TO TABLE` (with the word before it).
pub(super) fn partition(rest: &str) -> (String, Option<(String, ObjectName)>) {
    let words: Vec<_> = tokens(rest)
        .filter(|token| token.kind.is_significant())
        .map(|token| token.span)
        .collect();
    let is = |index: usize, wanted: &str| {
        words
            .get(index)
            .is_some_and(|span| span.of(rest).eq_ignore_ascii_case(wanted))
    };
    // The first word is the partition's own.
    let Some(at) = (1..words.len()).find(|at| is(*at, "FROM") || is(*at, "TO")) else {
        return (rest.trim().to_owned(), None);
    };
    let text = rest
        .get(..words[at].start)
        .unwrap_or_default()
        .trim()
        .to_owned();
    let behind = if is(at, "TO") { at + 1 } else { at };
    let (Some(word), Some(name)) = (words.get(behind), words.get(behind + 1)) else {
        return (text, None);
    };
    let statement = format!(
        "TRUNCATE TABLE {}",
        rest.get(name.start..).unwrap_or_default()
    );
    let table = header(&statement).objects.into_iter().next();
    let word = word.of(rest).to_ascii_uppercase();
    (text, table.map(|table| (word, table)))
}

/// Whether a partition is the one that a statement writes as `wanted`.
#[must_use]
pub fn is_partition(wanted: &str, id: &str, text: &str) -> bool {
    let squeeze = |text: &str| -> String {
        text.chars()
            .filter(|c| !c.is_whitespace() && !matches!(c, '\'' | '"'))
            .collect()
    };
    if wanted.eq_ignore_ascii_case("ALL") {
        return true;
    }
    match wanted.split_once(char::is_whitespace) {
        Some((word, literal)) if word.eq_ignore_ascii_case("ID") => squeeze(literal) == id,
        _ => squeeze(wanted) == squeeze(text),
    }
}
