//! A changed definition as a section of a migration: which way it takes, and the run of it under the lock of whoever applies.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use crate::catalog::generation::parse;
use crate::catalog::{Catalog, Generations, Kind, Object, mentions};
use crate::clickhouse::Client;
use crate::journal::{Lock, Owner};
use crate::migration::Change;
use crate::plan::How;
use crate::rebuild::change::survey_change;
use crate::rebuild::ledger::Progress;
use crate::rebuild::obstacles::refusal;
use crate::rebuild::run::under;
use crate::rebuild::subject::{find_fed, size};
use crate::rebuild::{Error, Event, Options, Outcome, Survey, Task, last};

/// Decides which way a changed definition takes on a target. Nothing is written.
///
/// # Errors
/// [`Error::Refused`] and others if it can be carried out in none.
pub async fn way(client: &Client, change: &Change, options: &Options) -> Result<How, Error> {
    let client = &client.read_only();
    let catalog = Catalog::read(client).await?;
    if let Some(progress) = last(client).await?.filter(|it| is_of(it, change)) {
        if !progress.ended {
            same(&progress, change)?;
            return Ok(How::Resume {
                place: progress.place(),
            });
        }
        let stands = |name: &str| catalog.get(name).is_some();
        if !progress.aborting && stands(&change.state.name) && stands(&progress.subject.new.view) {
            return Ok(How::Done);
        }
    }
    let generations = Generations::of(catalog.objects.iter().map(|object| object.name.as_str()));
    let sources: Vec<&Object> = sources(&catalog, &generations, change);
    if sources.is_empty() {
        return Ok(plain("what it reads is made by the same migrations"));
    }
    let mut tables: Vec<&str> = sources.iter().map(|it| it.name.as_str()).collect();
    let old = old_reader(&catalog, &generations, change, &sources);
    if let Some(old) = old {
        tables.push(find_fed(&catalog, &generations, old)?.state.name.as_str());
    }
    let mut rows = 0;
    for table in tables {
        rows += size(client, table).await?.0;
    }
    if rows == 0 {
        let names: Vec<&str> = sources.iter().map(|it| it.name.as_str()).collect();
        return Ok(plain(&format!("{} is empty", names.join(", "))));
    }
    let survey = survey_section(client, change, options).await?;
    if !survey.refusals.is_empty() {
        return Err(Error::Refused(survey.refusals));
    }
    let chunks = survey.source_rows.div_ceil(options.chunk_rows.max(1));
    Ok(How::Rebuild {
        source: survey.subject.source,
        rows: survey.source_rows,
        bytes: survey.source_bytes,
        chunks,
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

/// Whether a rebuild is that of a definition.
fn is_of(progress: &Progress, change: &Change) -> bool {
    let subject = &progress.subject;
    subject.change.is_some()
        && subject.new.state == change.state.name
        && parse(&subject.new.view).0 == change.view.name
}

/// Refuses to go on with what was begun if the file says something else by now.
pub(super) fn same(progress: &Progress, change: &Change) -> Result<(), Error> {
    let begun = progress.subject.change.as_ref();
    if begun.is_some_and(|begun| begun.fingerprints == change.fingerprints()) {
        Ok(())
    } else {
        Err(Error::OtherDefinition {
            name: change.state.name.clone(),
        })
    }
}

/// The tables that the new view's query names.
fn sources<'a>(
    catalog: &'a Catalog,
    generations: &Generations,
    change: &Change,
) -> Vec<&'a Object> {
    let mut found: Vec<&Object> = mentions(&generations.resolve(&change.view.sql))
        .iter()
        .filter_map(|(name, _)| catalog.get(name))
        .filter(|object| object.kind == Kind::Table && object.name != change.state.name)
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
    change: &Change,
    options: &Options,
) -> Result<Survey, Error> {
    let catalog = Catalog::read(client).await?;
    let generations = Generations::of(catalog.objects.iter().map(|object| object.name.as_str()));
    let sources = sources(&catalog, &generations, change);
    let old = old_reader(&catalog, &generations, change, &sources);
    let mut survey = survey_change(client, old, change, options).await?;
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
    change: &Change,
    options: &Options,
    owner: &Owner,
    stop: &AtomicBool,
    events: &mut (dyn FnMut(Event<'_>) + Send),
) -> Result<Outcome, Error> {
    let task = Task::Section(Box::new(change.clone()));
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
        matches!(task, Task::Section(change) if is_of(self, change))
    }
}
