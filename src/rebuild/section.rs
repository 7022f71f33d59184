//! A section of a migration that changes a definition or adds columns: which way it takes and why, and the run of it under the lock of
//! whoever applies.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use serde::Deserialize;

use crate::catalog::generation::parse;
use crate::catalog::{Catalog, Generations, Kind, Object, mentions, references};
use crate::clickhouse::{Client, Error as ClickHouseError, Query, identifier};
use crate::diff::QueryChange;
use crate::journal::{Lock, Owner};
use crate::migration::{Addition, Change, Redefinition};
use crate::plan::How;
use crate::rebuild::addition::survey_addition;
use crate::rebuild::change::survey_change;
use crate::rebuild::ledger::Progress;
use crate::rebuild::obstacles::{Refusal, qualifier, refusal};
use crate::rebuild::run::under;
use crate::rebuild::subject::{Subject, find_fed, size};
use crate::rebuild::{Error, Event, Options, Outcome, Survey, Task, last};

/// Decides which way a section takes on a target. Nothing is written.
///
/// # Errors
/// [`Error::Refused`] and others if it can be carried out in none.
pub async fn way(client: &Client, what: &Redefinition, options: &Options) -> Result<How, Error> {
    let client = &client.read_only();
    let catalog = Catalog::read(client).await?;
    if let Some(progress) = last(client).await?.filter(|it| is_of(it, what)) {
        if !progress.ended {
            same(&progress, what)?;
            return Ok(How::Resume {
                place: progress.place(),
            });
        }
        if !progress.aborting && stands(&progress, what, &catalog, client.database()) {
            return Ok(How::Done);
        }
    }
    let generations = Generations::of(catalog.objects.iter().map(|object| object.name.as_str()));
    if let Some(refusal) = reads_elsewhere(client, what).await? {
        return Err(Error::Refused(vec![refusal]));
    }
    let sources: Vec<&Object> = sources(&catalog, &generations, what);
    if sources.is_empty() {
        return Ok(plain("what it reads is made by the same migrations"));
    }
    let mut tables: Vec<&str> = sources.iter().map(|it| it.name.as_str()).collect();
    let old = match what {
        Redefinition::Beside(change) => old_reader(&catalog, &generations, change, &sources),
        Redefinition::InPlace(addition) => {
            let view = generations.current(&addition.query.name);
            if catalog.get(&view).is_none() {
                return Ok(plain("what it alters is made by the same migrations"));
            }
            Some(addition.query.name.as_str())
        }
    };
    let old = match old {
        Some(old) => Some(find_fed(&catalog, &generations, old)?),
        None => None,
    };
    tables.extend(old.as_ref().map(|it| it.state.name.as_str()));
    let mut rows = 0;
    for table in tables {
        rows += match catalog.get(table) {
            Some(other) if !other.merges() => u64::from(gives_rows(client, table).await?),
            _ => size(client, table).await?.0,
        };
    }
    if rows == 0 {
        let names: Vec<&str> = sources.iter().map(|it| it.name.as_str()).collect();
        return Ok(plain(&format!("{} is empty", names.join(", "))));
    }
    let survey = survey_section(client, what, options).await?;
    if !survey.refusals.is_empty() {
        return Err(Error::Refused(survey.refusals));
    }
    if let Some(added) = &survey.subject.added {
        return Ok(How::InPlace {
            why: why_in_place(&added.filled),
            source: survey.subject.source.clone(),
            rows: survey.source_rows,
            bytes: survey.source_bytes,
            chunks: survey.chunks,
            state: survey.subject.new.state.clone(),
            columns: added.filled.clone(),
            readers: survey.readers,
        });
    }
    Ok(How::Rebuild {
        why: survey.why,
        source: survey.subject.source,
        rows: survey.source_rows,
        bytes: survey.source_bytes,
        chunks: survey.chunks,
        state_bytes: survey.state_bytes,
        free_bytes: survey.free_bytes,
        old_state: Some(survey.subject.old.state).filter(|it| !it.is_empty()),
        new_state: survey.subject.new.state,
        readers: survey.readers,
        staying: survey.staying,
    })
}

fn plain(why: &str) -> How {
    How::Plain {
        why: why.to_owned(),
    }
}

fn why_in_place(columns: &[String]) -> String {
    let only = match columns {
        [one] => format!("`{one}` is"),
        _ => format!("`{}` are", columns.join("`, `")),
    };
    format!("only {only} added, and the same rows, added twice, give the same")
}

impl Subject {
    /// Whether it is that of a section.
    #[must_use]
    pub fn is_of(&self, what: &Redefinition) -> bool {
        let view = parse(&self.new.view).0;
        match what {
            Redefinition::Beside(change) => {
                self.change.is_some()
                    && self.new.state == change.state.name
                    && view == change.view.name
            }
            Redefinition::InPlace(addition) => self.added.is_some() && view == addition.query.name,
        }
    }
}

/// Whether a rebuild is that of a section. The same view may have had other columns added before.
fn is_of(progress: &Progress, what: &Redefinition) -> bool {
    let in_place = matches!(what, Redefinition::InPlace(_));
    progress.subject.is_of(what) && !(in_place && progress.ended && same(progress, what).is_err())
}

/// Whether what a section made is there.
fn stands(progress: &Progress, what: &Redefinition, catalog: &Catalog, database: &str) -> bool {
    let subject = &progress.subject;
    let view = catalog.get(&subject.new.view);
    let state = catalog.get(&subject.new.state);
    match (what, view, state) {
        (Redefinition::Beside(_), Some(_), Some(_)) => {
            let reads = |sql: &str| references(sql).contains(&subject.new.state);
            let mut readers = subject.changing().iter().filter(|it| reads(&it.after));
            same(progress, what).is_ok()
                && readers.all(|reader| {
                    catalog
                        .get(&reader.name)
                        .is_some_and(|it| reads(&it.select))
                })
        }
        (Redefinition::InPlace(_), Some(view), Some(state)) => {
            let change = QueryChange::of(&subject.select, &view.select, database);
            let columns = &subject.columns;
            change == QueryChange::default()
                && columns.iter().all(|it| state.column(&it.name).is_some())
        }
        _ => false,
    }
}

/// Refuses to go on with what was begun if the file says something else by now.
pub(super) fn same(progress: &Progress, what: &Redefinition) -> Result<(), Error> {
    let subject = &progress.subject;
    let begun = match what {
        Redefinition::Beside(change) => {
            let begun = subject.change.as_ref();
            begun.is_some_and(|begun| begun.fingerprints == change.fingerprints())
        }
        Redefinition::InPlace(addition) => {
            let begun = subject.added.as_ref();
            begun.is_some_and(|begun| begun.fingerprints == addition.fingerprints())
        }
    };
    if begun {
        Ok(())
    } else {
        Err(Error::OtherDefinition {
            name: subject.logical.clone(),
        })
    }
}

/// A table of another database, which no section is carried out with: its rows would not be seen, and history not made.
async fn reads_elsewhere(
    client: &Client,
    what: &Redefinition,
) -> Result<Option<Refusal>, ClickHouseError> {
    #[derive(Deserialize)]
    struct Row {
        name: String,
    }
    let part = match what {
        Redefinition::Beside(change) => &change.view,
        Redefinition::InPlace(addition) => &addition.query,
    };
    let database = client.database();
    let named: Vec<&str> = mentions(&part.sql)
        .into_iter()
        .map(|(_, span)| span.of(&part.sql))
        .filter(|name| qualifier(name).is_some_and(|it| it != database))
        .collect();
    if named.is_empty() {
        return Ok(None);
    }
    // What stands before a dot may be an alias.
    let query = Query::new("SELECT name FROM system.databases");
    let databases: Vec<Row> = client.rows(&query).await?;
    let known = |name: &&&str| databases.iter().any(|it| qualifier(name) == Some(&it.name));
    Ok(named.iter().find(known).map(|name| {
        refusal(
            format!(
                "`{}` names {name}, and a section knows the tables of its own database, `{database}`",
                part.name
            ),
            "put both into one database; or make the new side by hand, in `-- migrate:up`, and fill it with history yourself",
        )
        .at(&part.location)
    }))
}

/// Whether a table that is none of the MergeTree family gives rows when it is read. One that cannot be read has none to give.
async fn gives_rows(client: &Client, table: &str) -> Result<bool, ClickHouseError> {
    #[derive(Deserialize)]
    struct Row {
        #[serde(rename = "n")]
        _n: u8,
    }
    let query = Query::new(format!(
        "SELECT toUInt8(1) AS n FROM {} LIMIT 1",
        identifier(table)
    ));
    match client.rows::<Row>(&query).await {
        Ok(rows) => Ok(!rows.is_empty()),
        Err(error) if error.exception().is_some() => Ok(false),
        Err(error) => Err(error),
    }
}

/// The tables that the new view's query names.
fn sources<'a>(
    catalog: &'a Catalog,
    generations: &Generations,
    what: &Redefinition,
) -> Vec<&'a Object> {
    let sql = match what {
        Redefinition::Beside(change) => &change.view.sql,
        Redefinition::InPlace(Addition { query, .. }) => &query.sql,
    };
    let mut found: Vec<&Object> = mentions(&generations.resolve(sql))
        .iter()
        .filter_map(|(name, _)| catalog.get(name))
        .filter(|object| object.kind == Kind::Table && parse(&object.name).0 != what.state())
        .collect();
    found.dedup_by(|a, b| a.name == b.name);
    found
}

/// The first of the readers behind which a state is that has the same source: the old side is found through it.
fn old_reader<'a>(
    catalog: &Catalog,
    generations: &Generations,
    change: &'a Change,
    sources: &[&Object],
) -> Option<&'a str> {
    let names = change.readers.iter().map(|reader| reader.name.as_str());
    names.into_iter().find(|name| {
        catalog.get(name).is_some()
            && find_fed(catalog, generations, name)
                .is_ok_and(|found| sources.iter().any(|it| it.name == found.source.name))
    })
}

/// What a section of a migration would meet.
///
/// # Errors
/// As [`survey_change`].
pub(super) async fn survey_section(
    client: &Client,
    what: &Redefinition,
    options: &Options,
) -> Result<Survey, Error> {
    let mut survey = match what {
        Redefinition::Beside(change) => {
            let catalog = Catalog::read(client).await?;
            let generations =
                Generations::of(catalog.objects.iter().map(|object| object.name.as_str()));
            let sources = sources(&catalog, &generations, what);
            let old = old_reader(&catalog, &generations, change, &sources);
            survey_change(client, old, change, options).await?
        }
        Redefinition::InPlace(addition) => survey_addition(client, addition, options).await?,
    };
    if client.cluster().is_some() {
        survey.refusals.push(refusal(
            "the target is a cluster, and a rebuild knows one server",
            "make the new side by hand, server by server; clusters are not there yet",
        ));
    }
    Ok(survey)
}

/// Carries a section out, or goes on with it, under a lock that is held. What is kept as the way back belongs to the migrations from then
/// on: their down section takes that way, and a later one lets it go.
///
/// # Errors
/// [`Error`]; the ledger then says where it stands.
pub async fn carry_out(
    client: &Client,
    lock: &Lock,
    what: &Redefinition,
    options: &Options,
    owner: &Owner,
    stop: &AtomicBool,
    events: &mut (dyn FnMut(Event<'_>) + Send),
) -> Result<Outcome, Error> {
    let task = Task::Section(Box::new(what.clone()));
    under(
        client,
        lock,
        &task,
        options,
        owner,
        stop,
        events,
        Instant::now(),
    )
    .await
}

impl Progress {
    /// Whether it is one that a section of a migration began, and may go on with.
    pub(super) fn belongs_to(&self, task: &Task) -> bool {
        matches!(task, Task::Section(what) if is_of(self, what))
    }
}
