//! Columns added in place against what is there: whether history may be added to rows that are there, and what stands in the way. Only reads.

use serde::{Deserialize, Serialize};

use crate::catalog::generation::parse;
use crate::catalog::{Catalog, Column, Generations, Kind, Object};
use crate::clickhouse::{Client, Error as ClickHouseError};
use crate::diff::{Neutral, QueryChange, added, neutral};
use crate::migration::{Addition, Part};
use crate::rebuild::change::{Reader, define, fits, name_types, outputs, place, reader};
use crate::rebuild::obstacles::{Refusal, check_shape, followers, received_at, refusal};
use crate::rebuild::parity::Comparison;
use crate::rebuild::subject::{
    Found, Side, Subject, Survey, find_fed, source_columns, state_columns, weigh,
};
use crate::rebuild::{Error, Options};
use crate::sql::{TokenKind, header, tokens};

/// What to do where history cannot be added.
const BESIDE: &str = "make a state beside this one, with the columns in it (CREATE TABLE …, CREATE MATERIALIZED VIEW … TO it, CREATE OR REPLACE VIEW), in this section";

/// What columns that are added in place bring with them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Added {
    /// The statements that add them, as far as they are not there.
    pub alters: Vec<Alter>,
    /// The columns that are filled.
    pub filled: Vec<String>,
    /// Columns that a row leaves as they are by the value that is there: name and function.
    pub own: Vec<(String, String)>,
    /// The view's SELECT as it is now.
    pub before: String,
    /// The statement that changes it, and where that stands: `file:line`.
    pub query: (String, String),
    /// The views that change over, in their order.
    pub readers: Vec<Reader>,
    /// The fingerprints of the statements as they were written.
    pub fingerprints: Vec<String>,
}

/// An `ALTER TABLE … ADD COLUMN`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alter {
    /// The statement.
    pub sql: String,
    /// The columns it adds.
    pub columns: Vec<String>,
    /// Where it stands: `file:line`.
    pub place: String,
}

/// Reads what columns that are to be added in place would meet.
///
/// # Errors
/// As [`survey`](crate::rebuild::survey), and [`Error::Refused`] with what is wrong with the statements themselves.
pub(super) async fn survey_addition(
    client: &Client,
    addition: &Addition,
    options: &Options,
) -> Result<Survey, Error> {
    let client = &client.read_only();
    let catalog = Catalog::read(client).await?;
    let generations = Generations::of(catalog.objects.iter().map(|object| object.name.as_str()));
    let Found {
        view: old,
        source,
        state,
    } = find_fed(&catalog, &generations, &addition.query.name)?;
    let mut refusals = Vec::new();
    let (state, alters) =
        with_columns(client, &generations, addition, state, old, &mut refusals).await?;
    let Some(mut view) =
        changed_view(client, &generations, addition, &state, &mut refusals).await?
    else {
        return Err(Error::Refused(refusals));
    };
    let location = &addition.query.location;
    let mut readers_after = Vec::new();
    for part in &addition.readers {
        let after = define(client, &generations, part, &mut refusals).await?;
        readers_after.extend(after.map(|after| (part, after.create)));
    }
    if refusals.is_empty() {
        view.columns = outputs(client, &view, location, &mut refusals).await?;
        fits(&state, &view, location, &mut refusals);
        check_shape(source, &state, &view, &mut refusals);
    }
    let change = QueryChange::of(&old.select, &view.select, client.database());
    check_query(&change, old, location, &mut refusals);
    check_columns(&change, &state, location, &mut refusals);
    let own = leave(&state, old, &mut refusals);
    check_triggers(&catalog, &state, old, &mut refusals);
    let received_at = received_at(client, source, options, &mut refusals).await?;
    let side = Side {
        state: state.name.clone(),
        view: old.name.clone(),
    };
    let logical = parse(&state.name).0;
    let readers: Vec<String> = addition.readers.iter().map(|it| it.name.clone()).collect();
    let mut subject = Subject {
        name: readers.first().map_or(logical, String::as_str).to_owned(),
        source: source.name.clone(),
        source_columns: source_columns(source, &view.select, &received_at),
        received_at,
        old: side.clone(),
        new: side,
        logical: logical.to_owned(),
        create: old.create.clone(),
        select: view.select.clone(),
        columns: state_columns(&state, &view),
        engine: state.engine.clone(),
        sums: None,
        key: state.sorting_key.clone(),
        source_key: source.sorting_key.clone(),
        change: None,
        added: Some(Added {
            alters,
            filled: change.added.clone(),
            own,
            before: old.select.clone(),
            query: (
                generations.resolve(&addition.query.sql),
                place(&addition.query),
            ),
            readers: readers_after
                .into_iter()
                .filter_map(|(part, after)| reader(&catalog, part, after, &mut refusals))
                .collect(),
            fingerprints: addition.fingerprints(),
        }),
        scope: None,
    };
    let keys = Comparison::of(&subject).keys;
    if keys.is_empty() && refusals.is_empty() {
        refusals.push(refusal(
            format!(
                "`{}` has no key by which the rows that are there could be found",
                state.name
            ),
            BESIDE,
        ));
    }
    for key in keys.iter().filter(|key| key.r#type.contains("Nullable(")) {
        refusals.push(refusal(
            format!(
                "`{}` of the key may be NULL, and NULL is not found by its value",
                key.name
            ),
            BESIDE,
        ));
    }
    subject.columns.retain(|column| {
        change.added.contains(&column.name) || keys.iter().any(|key| key.name == column.name)
    });
    weigh(client, subject, readers, source, refusals, options).await
}

/// The state with the columns that are to be there, and the statements that add those that are not.
async fn with_columns(
    client: &Client,
    generations: &Generations,
    addition: &Addition,
    state: &Object,
    view: &Object,
    refusals: &mut Vec<Refusal>,
) -> Result<(Object, Vec<Alter>), ClickHouseError> {
    let mut with = state.clone();
    let mut alters = Vec::new();
    for part in &addition.columns {
        if part.name != parse(&state.name).0 {
            refusals.push(
                refusal(
                    format!(
                        "the columns are added to `{}`, and `{}` writes to `{}`",
                        part.name, view.name, state.name
                    ),
                    "add them to the table that the view feeds",
                )
                .at(&part.location),
            );
            continue;
        }
        let columns = columns(client, generations, part, refusals).await?;
        let stands = |column: &&Column| state.column(&column.name).is_some();
        for column in columns.iter().filter(stands) {
            let known = state.column(&column.name).map(|it| it.r#type.as_str());
            if known != Some(column.r#type.as_str()) {
                refusals.push(
                    refusal(
                        format!(
                            "`{}` has a column `{}` already, of the type {}",
                            state.name,
                            column.name,
                            known.unwrap_or_default()
                        ),
                        "give the new column a name of its own",
                    )
                    .at(&part.location),
                );
            }
        }
        let standing = columns.iter().filter(stands).count();
        if standing > 0 && standing < columns.len() {
            refusals.push(
                refusal(
                    format!(
                        "some of these columns are in `{}` already, and some are not",
                        state.name
                    ),
                    "add each by a statement of its own",
                )
                .at(&part.location),
            );
        }
        if standing == 0 {
            alters.push(Alter {
                sql: generations.resolve(&part.sql),
                columns: columns.iter().map(|it| it.name.clone()).collect(),
                place: place(part),
            });
            with.columns.extend(columns);
        }
    }
    Ok((with, alters))
}

/// The columns that an `ALTER TABLE … ADD COLUMN` adds, with the server's names for their types.
async fn columns(
    client: &Client,
    generations: &Generations,
    part: &Part,
    refusals: &mut Vec<Refusal>,
) -> Result<Vec<Column>, ClickHouseError> {
    let head = header(&part.sql);
    let declared: Vec<&str> = head
        .commands
        .iter()
        .map(|command| without_position(command.rest.of(&part.sql)))
        .collect();
    let table = Part {
        sql: format!(
            "CREATE TABLE {} ({}) ENGINE = Memory",
            crate::clickhouse::identifier(&part.name),
            declared.join(", ")
        ),
        ..part.clone()
    };
    let Some(mut table) = define(client, generations, &table, refusals).await? else {
        return Ok(Vec::new());
    };
    name_types(client, &mut table).await?;
    Ok(table.columns)
}

/// A column's declaration without `AFTER another` or `FIRST`.
fn without_position(declaration: &str) -> &str {
    let mut depth = 0_usize;
    let mut first = true;
    for token in tokens(declaration).filter(|token| token.kind.is_significant()) {
        match token.kind {
            TokenKind::OpeningRoundBracket => depth += 1,
            TokenKind::ClosingRoundBracket => depth = depth.saturating_sub(1),
            TokenKind::BareWord if depth == 0 && !first => {
                let word = token.span.of(declaration);
                if word.eq_ignore_ascii_case("AFTER") || word.eq_ignore_ascii_case("FIRST") {
                    return declaration
                        .get(..token.span.start)
                        .unwrap_or_default()
                        .trim_end();
                }
            }
            _ => {}
        }
        first = false;
    }
    declaration.trim_end_matches([',', ' ', '\n'])
}

/// The view as it will be.
async fn changed_view(
    client: &Client,
    generations: &Generations,
    addition: &Addition,
    state: &Object,
    refusals: &mut Vec<Refusal>,
) -> Result<Option<Object>, ClickHouseError> {
    let query = &addition.query;
    let head = header(&query.sql);
    let select = head
        .commands
        .first()
        .map_or("", |command| command.rest.of(&query.sql));
    let view = Part {
        sql: format!(
            "CREATE MATERIALIZED VIEW {} TO {} AS {select}",
            crate::clickhouse::identifier(&query.name),
            crate::clickhouse::identifier(&state.name),
        ),
        ..query.clone()
    };
    define(client, generations, &view, refusals).await
}

/// Whether the query does nothing but write more.
fn check_query(
    change: &QueryChange,
    view: &Object,
    location: &crate::diagnostic::Location,
    refusals: &mut Vec<Refusal>,
) {
    let list = |names: &[String]| names.join("`, `");
    let mut refuse =
        |reason: String, remedy: &str| refusals.push(refusal(reason, remedy).at(location));
    if change.elsewhere {
        refuse(
            format!(
                "the query of `{}` reads, filters or groups otherwise than now, so that the columns that are there would mean something else from here on",
                view.name
            ),
            "if history is to change too, make a state beside this one; if it may keep what it has, MODIFY QUERY belongs into `-- migrate:up`",
        );
        return;
    }
    if !change.other.is_empty() {
        refuse(
            format!(
                "`{}` is made otherwise than now, and only new columns are filled in place",
                list(&change.other)
            ),
            "if history is to change too, make a state beside this one; if it may keep what it has, MODIFY QUERY belongs into `-- migrate:up`",
        );
    }
    if !change.gone.is_empty() {
        refuse(
            format!("the query writes `{}` no longer", list(&change.gone)),
            "leave it in here; MODIFY QUERY without it, and then DROP COLUMN, belong into `-- migrate:up`",
        );
    }
    if change.added.is_empty() {
        refuse(
            "the query writes no column that it does not write now, so there is nothing to fill"
                .to_owned(),
            "a query without new columns belongs into `-- migrate:up`",
        );
    }
}

/// Whether history may be added to the new columns, in part twice.
fn check_columns(
    change: &QueryChange,
    state: &Object,
    location: &crate::diagnostic::Location,
    refusals: &mut Vec<Refusal>,
) {
    if !state.engine.ends_with("AggregatingMergeTree") {
        refusals.push(
            refusal(
                format!(
                    "`{}` is a table of the engine {}, whose merges do not put a row that fills a column together with the others",
                    state.name, state.engine
                ),
                BESIDE,
            )
            .at(location),
        );
    }
    let filled = change.added.iter().filter_map(|name| state.column(name));
    for column in filled {
        if let Err(why) = added(column) {
            refusals.push(
                refusal(
                    format!("`{}` cannot be filled in place: {why}", column.name),
                    BESIDE,
                )
                .at(location),
            );
        }
    }
}

/// Columns that a row leaves as they are only by the value that is there.
fn leave(state: &Object, view: &Object, refusals: &mut Vec<Refusal>) -> Vec<(String, String)> {
    let mut own = Vec::new();
    let written = state
        .columns
        .iter()
        .filter(|column| view.column(&column.name).is_some() && !state.is_sorted_by(&column.name));
    for column in written {
        match neutral(column) {
            Ok(Neutral::Default) => {}
            Ok(Neutral::Own(function)) => own.push((column.name.clone(), function)),
            Err(why) => refusals.push(refusal(
                format!("a row that fills a column would change another: {why}"),
                BESIDE,
            )),
        }
    }
    own
}

/// Rows that fill a column would trigger what reads the state.
fn check_triggers(catalog: &Catalog, state: &Object, view: &Object, refusals: &mut Vec<Refusal>) {
    let side = Side {
        state: state.name.clone(),
        view: view.name.clone(),
    };
    let triggers = followers(catalog, &side).filter(|it| it.kind == Kind::MaterializedView);
    for trigger in triggers {
        refusals.push(refusal(
            format!(
                "`{}` is triggered by `{}`, and would take the rows that fill a column for new ones",
                trigger.name, state.name
            ),
            BESIDE,
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_among_the_columns_is_no_part_of_a_column() {
        for (text, expected) in [
            (" a UInt8 AFTER b", " a UInt8"),
            (" a UInt8 FIRST", " a UInt8"),
            (
                "first UInt8 DEFAULT f(after)",
                "first UInt8 DEFAULT f(after)",
            ),
            ("a UInt8 COMMENT 'AFTER'", "a UInt8 COMMENT 'AFTER'"),
        ] {
            assert_eq!(without_position(text), expected);
        }
    }
}
