//! What stands in the way of a rebuild, each with what to do about it. Only reads.

use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, Kind, Object, mentions, references};
use crate::clickhouse::{Client, Error as ClickHouseError, Query, literal};
use crate::diagnostic::{Diagnostic, Location, Severity};
use crate::rebuild::Options;
use crate::rebuild::subject::{Side, Subject};
use crate::sql::{TokenKind, tokens};

/// What stands in the way of a rebuild, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// What.
    pub reason: String,
    /// What to do.
    pub remedy: String,
    /// Where it stands in a file, if it does.
    #[serde(skip)]
    pub location: Option<Location>,
}

impl Refusal {
    /// As a finding.
    #[must_use]
    pub fn finding(&self) -> Diagnostic {
        Diagnostic::new(Severity::Error, "rebuild", self.reason.clone())
            .at(self.location.clone())
            .note("nothing was changed")
            .help(self.remedy.clone())
    }

    /// With its place in a file.
    #[must_use]
    pub fn at(mut self, location: &Location) -> Self {
        self.location = Some(location.clone());
        self
    }
}

pub(super) fn refusal(reason: impl Into<String>, remedy: impl Into<String>) -> Refusal {
    Refusal {
        reason: reason.into(),
        remedy: remedy.into(),
        location: None,
    }
}

/// Whether state, view and source are such as a rebuild knows how to make.
pub(super) fn check_shape(
    source: &Object,
    state: &Object,
    view: &Object,
    refusals: &mut Vec<Refusal>,
) {
    if !state.merges() {
        refusals.push(refusal(
            format!("`{}` is a table of the engine {}", state.name, state.engine),
            "a rebuild moves partitions, which tables of the MergeTree family have",
        ));
    }
    let engine = state
        .engine
        .trim_start_matches("Replicated")
        .trim_start_matches("Shared");
    let compared = [
        "AggregatingMergeTree",
        "SummingMergeTree",
        "ReplacingMergeTree",
        "MergeTree",
    ];
    if state.merges() && !compared.contains(&engine) {
        refusals.push(refusal(
            format!(
                "`{}` is a table of the engine {}, whose rows a rebuild cannot compare",
                state.name, state.engine
            ),
            format!("a rebuild knows {}", compared.join(", ")),
        ));
    }
    if !source.merges() {
        refusals.push(refusal(
            format!(
                "`{}` is a table of the engine {}, so there may be no history to read",
                source.name, source.engine
            ),
            "rebuild from a table of the MergeTree family that keeps the raw rows",
        ));
    }
    let named = mentions(&view.select);
    let spans: Vec<_> = named
        .iter()
        .filter(|(name, _)| *name == source.name)
        .collect();
    if let [(_, span)] = spans.as_slice() {
        let behind = view.select.get(span.end..).unwrap_or_default();
        let behind: Vec<String> = words_of(behind);
        let next = if behind.first().is_some_and(|word| word == "AS") {
            behind.get(2)
        } else {
            behind.first()
        };
        if next.is_some_and(|word| matches!(word.as_str(), "FINAL" | "SAMPLE" | "PREWHERE")) {
            refusals.push(refusal(
                format!("`{}` reads `{}` with FINAL, SAMPLE or PREWHERE", view.name, source.name),
                "take that out of the view (a trigger sees inserted blocks, where it means nothing)",
            ));
        }
    } else {
        refusals.push(refusal(
            format!(
                "`{}` reads `{}` in {} places",
                view.name,
                source.name,
                spans.len()
            ),
            "let the view read its source once",
        ));
    }
    if has_star(&view.select) {
        refusals.push(refusal(
            format!("`{}` selects `*`", view.name),
            "name the columns in the view",
        ));
    }
    if !view.create.contains(&view.select) || view.select.is_empty() {
        refusals.push(refusal(
            format!("the definition of `{}` could not be read", view.name),
            "please report its SHOW CREATE TABLE",
        ));
    }
}

/// What reads the old state and is no reader: a trigger on it, a dictionary.
pub(super) fn followers<'a>(
    catalog: &'a Catalog,
    old: &'a Side,
) -> impl Iterator<Item = &'a Object> {
    catalog.objects.iter().filter(|object| {
        object.name != old.view
            && !matches!(object.kind, Kind::View | Kind::ParameterizedView)
            && object.name != old.state
            && references(&object.create).contains(&old.state)
    })
}

/// What inserts into the state trigger, and what else reads it, would go on with the old one.
pub(super) fn check_followers(catalog: &Catalog, subject: &Subject, refusals: &mut Vec<Refusal>) {
    let others = followers(catalog, &subject.old);
    for other in others {
        refusals.push(refusal(
            format!(
                "`{}` ({}) reads `{}` and would go on with the old one",
                other.name, other.engine, subject.old.state
            ),
            "drop it before, and make it anew after `rebuild --finish`",
        ));
    }
}

#[derive(Deserialize)]
struct Row {
    name: String,
}

/// Whether all that read the old state can be swapped.
pub(super) async fn check_readers(
    client: &Client,
    catalog: &Catalog,
    subject: &Subject,
    readers: &[String],
    refusals: &mut Vec<Refusal>,
) -> Result<(), ClickHouseError> {
    let state = &subject.old.state;
    if readers.is_empty() {
        refusals.push(refusal(
            format!("no view reads `{state}`, so nothing could be swapped: whoever reads the table by name would go on with the old one"),
            format!("make a view over it (CREATE VIEW … AS SELECT … FROM {state} FINAL) and let readers use that"),
        ));
    }
    for reader in readers {
        let complete = catalog
            .get(reader)
            .is_some_and(|view| view.create.starts_with("CREATE VIEW "));
        if !complete {
            refusals.push(refusal(
                format!("the definition of `{reader}` could not be read"),
                "please report its SHOW CREATE TABLE",
            ));
        }
        let select = catalog.get(reader).map_or("", |view| &view.select);
        for (name, span) in mentions(select) {
            let text = span.of(select);
            if name == *state && qualifier(text).is_some_and(|it| it != client.database()) {
                refusals.push(refusal(
                    format!("`{reader}` reads {text}, which has the name of `{state}` in another database, and would be taken for it"),
                    "let it read that by a view of another name",
                ));
            }
        }
    }
    for name in elsewhere(client, state).await? {
        refusals.push(refusal(
            format!("`{name}` of another database reads `{state}`"),
            "let it read a view of this database instead",
        ));
    }
    Ok(())
}

/// What of other databases names a table of this one: `database.name`.
pub(super) async fn elsewhere(
    client: &Client,
    table: &str,
) -> Result<Vec<String>, ClickHouseError> {
    #[derive(Deserialize)]
    struct Row {
        name: String,
        create: String,
    }
    let query = Query::new(format!(
        "SELECT concat(database, '.', name) AS name, create_table_query AS create FROM system.tables WHERE database NOT IN (currentDatabase(), 'system', 'INFORMATION_SCHEMA', 'information_schema') \
         AND position(create_table_query, {}) > 0 AND position(create_table_query, currentDatabase()) > 0 ORDER BY name",
        literal(table)
    ));
    let rows: Vec<Row> = client.rows(&query).await?;
    let of_this = |create: &str| {
        mentions(create).iter().any(|(name, span)| {
            name == table && qualifier(span.of(create)) == Some(client.database())
        })
    };
    // In strings and in the arguments of functions too.
    let written = format!("{}.{table}", client.database());
    Ok(rows
        .into_iter()
        .filter(|row| of_this(&row.create) || stands_alone(&row.create, &written))
        .map(|row| row.name)
        .collect())
}

/// Inserts on other replicas would not be waited for.
pub(super) async fn check_replicas(
    client: &Client,
    subject: &Subject,
    refusals: &mut Vec<Refusal>,
) -> Result<(), ClickHouseError> {
    let query = Query::new(format!(
        "SELECT table AS name FROM system.replicas WHERE database = currentDatabase() AND table IN ({}, {}) AND total_replicas > 1",
        literal(&subject.old.state),
        literal(&subject.source)
    ));
    for row in client.rows::<Row>(&query).await? {
        refusals.push(refusal(
            format!(
                "`{}` has several replicas, and inserts on the others would not be waited for",
                row.name
            ),
            "rebuild on a table with one replica; clusters are not there yet",
        ));
    }
    Ok(())
}

/// The column that says when the server took a row; empty: nobody writes meanwhile.
pub(super) async fn received_at(
    client: &Client,
    source: &Object,
    options: &Options,
    refusals: &mut Vec<Refusal>,
) -> Result<String, ClickHouseError> {
    #[derive(Deserialize)]
    struct Row {
        name: String,
        default_kind: String,
        default_expression: String,
    }
    if options.writers_stopped {
        return Ok(String::new());
    }
    let query = Query::new(format!(
        "SELECT name, default_kind, default_expression FROM system.columns WHERE database = currentDatabase() AND table = {} AND type LIKE 'DateTime%' ORDER BY position",
        literal(&source.name)
    ));
    let rows: Vec<Row> = client.rows(&query).await?;
    let stamped: Vec<Row> = rows
        .into_iter()
        .filter(|row| matches!(row.default_kind.as_str(), "DEFAULT" | "MATERIALIZED"))
        .filter(|row| is_now(&row.default_expression))
        .collect();
    if let Some(asked) = &options.received_at {
        if stamped.iter().all(|row| row.name != *asked) {
            refusals.push(refusal(
                format!("`{}.{asked}` is no DateTime column with now() or now64() as DEFAULT or MATERIALIZED", source.name),
                "name a column that the server fills with the time of the INSERT",
            ));
        }
        return Ok(asked.clone());
    }
    let mut sure = stamped
        .iter()
        .filter(|row| row.default_kind == "MATERIALIZED");
    if let (Some(row), None) = (sure.next(), sure.next()) {
        return Ok(row.name.clone());
    }
    let candidates: Vec<&str> = stamped.iter().map(|row| row.name.as_str()).collect();
    refusals.push(if let Some(first) = candidates.first() {
        refusal(
            format!("which column of `{}` says when the server took a row is not certain: {}", source.name, candidates.join(", ")),
            format!("if no client ever sends it, say `--received-at {first}`; surer is ALTER TABLE {} MODIFY COLUMN {first} … MATERIALIZED now64(6)", source.name),
        )
    } else {
        refusal(
            format!("`{}` has no column in which the server writes when it took a row, so there is no safe place to cut history from what comes in", source.name),
            format!(
                "add one: ALTER TABLE {0} ADD COLUMN received_at DateTime64(6, 'UTC') DEFAULT toDateTime64(0, 6, 'UTC'); ALTER TABLE {0} MATERIALIZE COLUMN received_at; ALTER TABLE {0} MODIFY COLUMN received_at DateTime64(6, 'UTC') MATERIALIZED now64(6). Or stop whoever writes into it until readers are swapped, and say `--writers-stopped`",
                source.name
            ),
        )
    });
    Ok(candidates
        .first()
        .map_or_else(String::new, |it| (*it).to_owned()))
}

/// The database before a name: `db.name`.
pub(super) fn qualifier(name: &str) -> Option<&str> {
    let (before, _) = name.split_once('.')?;
    Some(before.trim().trim_matches(['`', '"']))
}

/// Whether a text has a word that is no part of another.
fn stands_alone(text: &str, word: &str) -> bool {
    let goes_on = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let before = text.get(..at).unwrap_or_default();
        let behind = text.get(at + word.len()..).unwrap_or_default();
        !before.ends_with(goes_on) && !behind.starts_with(goes_on)
    })
}

pub(super) fn words_of(sql: &str) -> Vec<String> {
    tokens(sql)
        .filter(|token| token.kind.is_significant())
        .take(3)
        .map(|token| token.span.of(sql).to_ascii_uppercase())
        .collect()
}

fn has_star(select: &str) -> bool {
    let mut before = None;
    for token in tokens(select).filter(|token| token.kind.is_significant()) {
        let word = token.span.of(select);
        if token.kind == TokenKind::Asterisk
            && matches!(before, Some("SELECT" | "DISTINCT" | "," | "."))
        {
            return true;
        }
        before = Some(word);
    }
    false
}

/// What of a table goes after a time, by its definition.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Ttl {
    /// Whether rows do.
    pub(super) rows: bool,
    /// The columns whose values do.
    pub(super) columns: Vec<String>,
}

impl Ttl {
    /// Of a CREATE TABLE, as the server writes it.
    #[must_use]
    pub(super) fn of(create: &str) -> Self {
        let mut found = Self::default();
        let mut depth = 0_usize;
        let mut column = None;
        let mut begins = false;
        for token in tokens(create).filter(|token| token.kind.is_significant()) {
            let text = token.span.of(create);
            match token.kind {
                TokenKind::OpeningRoundBracket => {
                    depth += 1;
                    begins = depth == 1;
                    continue;
                }
                TokenKind::ClosingRoundBracket => depth = depth.saturating_sub(1),
                TokenKind::Comma if depth == 1 => {
                    begins = true;
                    continue;
                }
                _ if begins => column = Some(text.trim_matches(['`', '"']).to_owned()),
                TokenKind::BareWord if text.eq_ignore_ascii_case("TTL") => match depth {
                    0 => found.rows = true,
                    1 => found.columns.extend(column.take()),
                    _ => {}
                },
                _ => {}
            }
            begins = false;
        }
        found
    }
}

/// Whether an expression is the time at which the server looks at it, to the second at least, and nothing else.
fn is_now(expression: &str) -> bool {
    const MADE_OF: [&str; 7] = [
        "now",
        "now64",
        "cast",
        "_cast",
        "todatetime",
        "todatetime64",
        "totimezone",
    ];
    let mut now = false;
    tokens(expression)
        .filter(|token| token.kind.is_significant())
        .all(|token| {
            let word = token.span.of(expression).to_ascii_lowercase();
            now |= word.starts_with("now");
            match token.kind {
                TokenKind::BareWord => MADE_OF.contains(&word.as_str()),
                TokenKind::OpeningRoundBracket
                | TokenKind::ClosingRoundBracket
                | TokenKind::Comma
                | TokenKind::Number
                | TokenKind::StringLiteral => true,
                _ => false,
            }
        })
        && now
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_columns_may_go_after_a_time() {
        let ttl = |create: &str| {
            let found = Ttl::of(create);
            (found.rows, found.columns.join(" "))
        };
        for (create, rows, columns) in [
            (
                "CREATE TABLE d.t (`a` UInt8, `b` String TTL at + toIntervalDay(1), `ttl` Date DEFAULT f(TTL, 1)) ENGINE = MergeTree ORDER BY a",
                false,
                "b",
            ),
            (
                "CREATE TABLE t (a Date, b Decimal(9, 2) TTL a + 1) ENGINE = MergeTree ORDER BY a TTL a + toIntervalDay(90)",
                true,
                "b",
            ),
            (
                "CREATE TABLE t (TTL Date, b UInt8) ENGINE = Memory",
                false,
                "",
            ),
        ] {
            assert_eq!(ttl(create), (rows, columns.to_owned()), "{create}");
        }
    }

    #[test]
    fn a_stamp_is_the_time_and_nothing_else() {
        for stamp in [
            "now()",
            "now64(6)",
            "now64(6, 'UTC')",
            "CAST(now64(3), 'DateTime64(3)')",
            "toDateTime(now(), 'UTC')",
        ] {
            assert!(is_now(stamp), "{stamp}");
        }
        for other in [
            "least(at, now())",
            "toStartOfHour(now())",
            "now() - 5",
            "toDateTime(0)",
            "at",
            "if(at > now(), at, now())",
        ] {
            assert!(!is_now(other), "{other}");
        }
    }
}
