//! A changed definition against what is there: what it would take the place of, and what stands in its way. Only reads.

use serde::{Deserialize, Serialize};

use crate::catalog::generation::parse;
use crate::catalog::{Catalog, Column, Generations, Kind, Object, mentions};
use crate::clickhouse::{Client, Error as ClickHouseError, Query, identifier, literal};
use crate::diagnostic::Location;
use crate::diff::object;
use crate::migration::{Change, Part};
use crate::rebuild::obstacles::{Refusal, check_shape, received_at, refusal};
use crate::rebuild::reason::why_beside;
use crate::rebuild::subject::{
    Found, Side, Subject, Survey, find_fed, readers, source_columns, state_columns, weigh,
};
use crate::rebuild::sums::Sums;
use crate::rebuild::{Error, Options};

/// Rows that only the old side has, or only the new one, among the columns that may differ.
pub(super) const ROWS: [&str; 2] = ["-rows", "+rows"];

/// What a changed definition brings with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// The statement that makes the new state.
    pub state: String,
    /// Where that stands, and where the view's does: `file:line`.
    pub places: (String, String),
    /// The views that change over, in their order.
    pub readers: Vec<Reader>,
    /// The fingerprints of the statements as they were written.
    pub fingerprints: Vec<String>,
    /// The columns of readers that may differ from what they say now; `None`: nothing is said of it.
    pub expects: Option<Vec<String>>,
}

/// A view that changes over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reader {
    /// Its name.
    pub name: String,
    /// The statement that makes it as it is now, if it is there.
    pub before: Option<String>,
    /// The statement that lets it read the new state.
    pub after: String,
    /// Where that stands: `file:line`.
    pub place: String,
}

/// Reads what a name stands for, and what a change of its definition would meet.
///
/// # Errors
/// As [`survey`](crate::rebuild::survey), and [`Error::Refused`] with what is wrong with the definition itself.
pub async fn survey_change(
    client: &Client,
    name: Option<&str>,
    change: &Change,
    options: &Options,
) -> Result<Survey, Error> {
    let client = &client.read_only();
    let catalog = Catalog::read(client).await?;
    let generations = Generations::of(catalog.objects.iter().map(|object| object.name.as_str()));
    let old: Option<Found<'_>> = match name {
        Some(name) => Some(find_fed(&catalog, &generations, name)?),
        None => None,
    };
    let mut refusals = Vec::new();
    for part in [&change.state, &change.view] {
        let taken = |object: &&Object| parse(&object.name).0 == part.name;
        if catalog.objects.iter().any(|object| taken(&object)) {
            refusals.push(
                refusal(
                    format!("there is a `{}` already", part.name),
                    "give what is new a name of its own, as in `sessions_v2` beside `sessions_v1`: both stand until the old side is let go",
                )
                .at(&part.location),
            );
        }
    }
    let state = define(client, &generations, &change.state, &mut refusals).await?;
    let view = define(client, &generations, &change.view, &mut refusals).await?;
    let mut readers_after = Vec::new();
    for part in &change.readers {
        let after = define(client, &generations, part, &mut refusals).await?;
        readers_after.extend(after.map(|after| (part, after.create)));
    }
    let (Some(mut state), Some(mut view)) = (state, view) else {
        return Err(Error::Refused(refusals));
    };
    name_types(client, &mut state).await?;
    let Some(source) = read_once(&catalog, old.as_ref(), &view, change, &mut refusals) else {
        return Err(Error::Refused(refusals));
    };
    if refusals.is_empty() {
        let location = &change.view.location;
        view.columns = outputs(client, &view, location, &mut refusals).await?;
        fits(&state, &view, location, &mut refusals);
        check_shape(source, &state, &view, &mut refusals);
    }
    let received_at = received_at(client, source, options, &mut refusals).await?;
    let changed = Changed {
        state: state.create.clone(),
        places: (place(&change.state), place(&change.view)),
        readers: readers_after
            .into_iter()
            .filter_map(|(part, after)| reader(&catalog, part, after, &mut refusals))
            .collect(),
        fingerprints: change.fingerprints(),
        expects: change.expects.clone(),
    };
    expected(&catalog, &changed, change, &mut refusals);
    let subject = Subject {
        name: name
            .unwrap_or(change.readers.first().map_or("", |it| it.name.as_str()))
            .to_owned(),
        source: source.name.clone(),
        source_columns: source_columns(source, &view.select, &received_at),
        received_at,
        old: Side {
            state: old
                .as_ref()
                .map_or_else(String::new, |it| it.state.name.clone()),
            view: old
                .as_ref()
                .map_or_else(String::new, |it| it.view.name.clone()),
        },
        new: Side {
            state: state.name.clone(),
            view: view.name.clone(),
        },
        logical: state.name.clone(),
        create: view.create.clone(),
        select: view.select.clone(),
        columns: state_columns(&state, &view),
        engine: state.engine.clone(),
        sums: Sums::of(&state, |name| view.column(name).is_some()),
        key: state.sorting_key.clone(),
        source_key: source.sorting_key.clone(),
        change: Some(changed),
        added: None,
        scope: None,
    };
    let names: Vec<String> = change.readers.iter().map(|it| it.name.clone()).collect();
    let mut staying = if subject.old.state.is_empty() {
        Vec::new()
    } else {
        readers(&catalog, &subject.old.state)
    };
    staying.retain(|reader| !names.contains(reader));
    let why = why_beside(
        old.as_ref().map(|it| (it.state, it.view)),
        &state,
        &view,
        client.database(),
    );
    let survey = weigh(client, subject, names, source, refusals, options).await?;
    Ok(Survey {
        staying,
        why,
        ..survey
    })
}

pub(super) fn place(part: &Part) -> String {
    format!("{}:{}", part.location.path, part.location.line)
}

/// What a statement would make, as the server lays it out and with the server's names.
pub(super) async fn define(
    client: &Client,
    generations: &Generations,
    part: &Part,
    refusals: &mut Vec<Refusal>,
) -> Result<Option<Object>, ClickHouseError> {
    #[derive(Deserialize)]
    struct Row {
        text: String,
    }
    const UNKNOWN_FUNCTION: i32 = 46;
    let query =
        Query::new("SELECT formatQuery({sql:String}) AS text").text("sql", part.sql.clone());
    let text = match client.row::<Row>(&query).await {
        Ok(row) => row.text,
        Err(error) if error.is_code(UNKNOWN_FUNCTION) => {
            refusals.push(refusal(
                "this server has no formatQuery (it came with ClickHouse 23.10), so a changed definition cannot be read",
                "upgrade it; or make the new side by hand, beside the old one",
            ));
            return Ok(None);
        }
        Err(ClickHouseError::Exception(exception)) => {
            refusals.push(
                refusal(
                    format!(
                        "ClickHouse does not read this: {}",
                        // What follows is our own question.
                        exception
                            .message
                            .split(": In scope SELECT formatQuery")
                            .next()
                            .unwrap_or_default()
                    ),
                    "mend the statement",
                )
                .at(&part.location),
            );
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let made = object(&part.name, &generations.resolve(&text));
    let complete = made.as_ref().is_some_and(|it| {
        it.kind != Kind::Table || !it.columns.is_empty() && !it.engine.is_empty()
    });
    if complete {
        return Ok(made);
    }
    refusals.push(
        refusal(
            format!("`{}` does not say all of what it is", part.name),
            "write its columns, ENGINE and ORDER BY out (not CREATE TABLE … AS another)",
        )
        .at(&part.location),
    );
    Ok(None)
}

/// The types of a table's columns, as the server writes them.
pub(super) async fn name_types(client: &Client, table: &mut Object) -> Result<(), ClickHouseError> {
    #[derive(Deserialize)]
    struct Row {
        name: String,
        r#type: String,
    }
    let structure: Vec<String> = table
        .columns
        .iter()
        .map(|column| format!("{} {}", identifier(&column.name), column.r#type))
        .collect();
    let query = Query::new(format!(
        "DESCRIBE TABLE null({})",
        literal(&structure.join(", "))
    ));
    let rows: Vec<Row> = match client.rows(&query).await {
        Ok(rows) => rows,
        // A type that is none: the server says so when the table is made.
        Err(ClickHouseError::Exception(_)) => return Ok(()),
        Err(error) => return Err(error),
    };
    for column in &mut table.columns {
        if let Some(row) = rows.iter().find(|row| row.name == column.name) {
            column.r#type.clone_from(&row.r#type);
        }
    }
    Ok(())
}

/// The source, if the view reads that of the old one and nothing else.
fn read_once<'a>(
    catalog: &'a Catalog,
    old: Option<&Found<'a>>,
    view: &Object,
    change: &Change,
    refusals: &mut Vec<Refusal>,
) -> Option<&'a Object> {
    let named: Vec<String> = mentions(&view.select).into_iter().map(|it| it.0).collect();
    let Some(source) = old
        .map(|found| found.source)
        .or_else(|| named.iter().find_map(|name| catalog.get(name)))
    else {
        refusals.push(
            refusal(
                format!("`{}` reads no table of this database", view.name),
                "let it read a table whose INSERTs trigger it",
            )
            .at(&change.view.location),
        );
        return None;
    };
    if let Some(old) = old.filter(|_| !named.contains(&source.name)) {
        refusals.push(
            refusal(
                format!(
                    "`{}` does not read `{}`, from which `{}` is made",
                    view.name, source.name, old.state.name
                ),
                "let it read the same source; a state from another one is a new view, not a changed one",
            )
            .at(&change.view.location),
        );
    }
    let others = named
        .iter()
        .filter(|name| **name != source.name && catalog.get(name).is_some());
    for other in others {
        refusals.push(
            refusal(
                format!("`{}` reads `{other}` besides `{}`", view.name, source.name),
                "a trigger would see that table as it is at the time of each INSERT, which no recomputation can; look it up when the state is read, or in a dictionary",
            )
            .at(&change.view.location),
        );
    }
    Some(source)
}

/// The columns of a view's SELECT, by the server.
pub(super) async fn outputs(
    client: &Client,
    view: &Object,
    location: &Location,
    refusals: &mut Vec<Refusal>,
) -> Result<Vec<Column>, ClickHouseError> {
    match describe(client, &format!("({})", view.select)).await {
        Ok(columns) => Ok(columns),
        Err(ClickHouseError::Exception(exception)) => {
            refusals.push(
                refusal(
                    format!(
                        "ClickHouse refuses the query of `{}`: {}",
                        view.name,
                        without_scope(&exception.message)
                    ),
                    "mend the SELECT",
                )
                .at(location),
            );
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

/// A message without the query that it repeats.
fn without_scope(message: &str) -> String {
    let Some((what, scope)) = message.split_once(". In scope ") else {
        return message.to_owned();
    };
    match scope.rsplit_once(". Maybe you meant: ") {
        Some((_, instead)) => format!("{what}. Maybe you meant: {instead}"),
        None => what.to_owned(),
    }
}

/// The columns of a table or of a query in brackets.
pub(super) async fn describe(client: &Client, what: &str) -> Result<Vec<Column>, ClickHouseError> {
    #[derive(Deserialize)]
    struct Row {
        name: String,
        r#type: String,
    }
    let rows: Vec<Row> = client
        .rows(&Query::new(format!("DESCRIBE TABLE {what}")))
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| Column {
            name: row.name,
            r#type: row.r#type,
            default: String::new(),
        })
        .collect())
}

/// Whether the state has a place for all that the view writes, and the view writes all of the key. The server itself asks for neither
/// where a view's query is changed, and takes a state of another kind for what it is not.
pub(super) fn fits(
    state: &Object,
    view: &Object,
    location: &Location,
    refusals: &mut Vec<Refusal>,
) {
    if view.columns.is_empty() {
        return;
    }
    let mut refuse = |reason: String, remedy: &str| {
        refusals.push(refusal(reason, remedy).at(location));
    };
    for output in &view.columns {
        let Some(column) = state.column(&output.name) else {
            refuse(
                format!(
                    "the view writes `{}`, and `{}` has no such column",
                    output.name, state.name
                ),
                "add the column to the table, or call the output as the table does",
            );
            continue;
        };
        let is_state = |r#type: &str| r#type.starts_with("AggregateFunction(");
        if (is_state(&column.r#type) || is_state(&output.r#type))
            && plain(&column.r#type) != plain(&output.r#type)
        {
            refuse(
                format!(
                    "the view writes {} into `{}.{}`, which is {}",
                    output.r#type, state.name, column.name, column.r#type
                ),
                "let both be the same aggregate function of the same types",
            );
        }
    }
    for column in state.columns.iter().filter(|it| it.default.is_empty()) {
        if state.is_sorted_by(&column.name) && view.column(&column.name).is_none() {
            refuse(
                format!(
                    "the key of `{}` has `{}`, which the view does not write",
                    state.name, column.name
                ),
                "let the view write it, or take it out of ORDER BY",
            );
        }
    }
}

/// A type without what states do not tell apart.
fn plain(r#type: &str) -> String {
    r#type.replace("LowCardinality(String)", "String")
}

/// How a view changes over.
pub(super) fn reader(
    catalog: &Catalog,
    part: &Part,
    after: String,
    refusals: &mut Vec<Refusal>,
) -> Option<Reader> {
    let before = catalog.get(&part.name);
    if let Some(object) = before
        && !object.create.starts_with("CREATE VIEW ")
    {
        refusals.push(
            refusal(
                format!(
                    "`{}` is no view that could change over ({})",
                    part.name, object.engine
                ),
                "replace plain views only",
            )
            .at(&part.location),
        );
        return None;
    }
    Some(Reader {
        name: part.name.clone(),
        before: before.map(|object| object.create.clone()),
        after,
        place: place(part),
    })
}

/// Whether what may differ can be looked at.
fn expected(catalog: &Catalog, changed: &Changed, change: &Change, refusals: &mut Vec<Refusal>) {
    let comparable = changed
        .readers
        .iter()
        .filter_map(|reader| catalog.get(&reader.name))
        .any(|object| object.kind == Kind::View);
    if changed.expects.is_some() && !comparable {
        refusals.push(
            refusal(
                "none of the readers is a plain view that is there already, so old and new cannot be compared",
                "leave out which columns may differ",
            )
            .at(&change.state.location),
        );
    }
}
