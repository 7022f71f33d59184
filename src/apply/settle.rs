//! A statement that an earlier run began and whose end nobody wrote down: the facts are gathered here, `plan` decides on them, and what
//! follows is done and written down, so that planning finds a journal without doubts.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::apply::run::Run;
use crate::apply::trace::{Found, find};
use crate::apply::witness::{Phase, Witness, look, tables};
use crate::apply::{Event, FailureKind, follow, stage};
use crate::catalog::{Definition, DefinitionKind, Definitions, Difference, Masking};
use crate::clickhouse::{Client, Error, Query, identifier, literal};
use crate::diagnostic::Severity;
use crate::drift::{self, Bench};
use crate::engine::child::open;
use crate::journal::{Journal, State, executed};
use crate::plan::{Doubt, Findings, Log, Sign, Trace, Traces, Verdict, decide};
use crate::sql::header;

impl Run<'_> {
    /// Settles what is in doubt.
    ///
    /// # Errors
    /// [`FailureKind::Unsettled`] if the facts do not tell; nothing was changed then.
    pub(super) async fn settle(
        &mut self,
        journal: &Journal,
        doubts: &[Doubt],
        events: &mut (dyn FnMut(Event<'_>) + Send),
    ) -> Result<(), FailureKind> {
        for doubt in doubts {
            self.settle_one(journal, doubt, events).await?;
        }
        Ok(())
    }

    async fn settle_one(
        &mut self,
        journal: &Journal,
        doubt: &Doubt,
        events: &mut (dyn FnMut(Event<'_>) + Send),
    ) -> Result<(), FailureKind> {
        let fact = &doubt.fact;
        let step = &self.resolved(&doubt.step).await?;
        let witness = Witness::read(&fact.note);
        let title = step.title();
        follow::end_of(self.client, &fact.query_id, &title, events).await?;
        let staged = match &witness.phase {
            Phase::Plain => None,
            Phase::Staging => {
                stage::clear(self.client, step).await?;
                Some((
                    State::Failed,
                    "its rows were still on their way into a staging table",
                ))
            }
            Phase::Staged(_) => {
                stage::deliver(self.client, step, &witness).await?;
                Some((
                    State::Done,
                    "its rows were all in a staging table, and what was left there has been moved",
                ))
            }
            Phase::Rebuilding => Some((
                State::Failed,
                "history was being made anew, and that goes on where it stopped",
            )),
            Phase::Made(..) => {
                stage::deliver(self.client, step, &witness).await?;
                Some((
                    State::Done,
                    "it was made in full under another name, and has its own now",
                ))
            }
        };
        if let Some((state, how)) = staged {
            self.settled(fact, state, how).await?;
            let done = state == State::Done;
            events(Event::Settled { doubt, done, how });
            return Ok(());
        }
        let traces = Traces::of(&step.sql);
        let mut debris = Vec::new();
        let mut findings = Findings {
            log: log(self.client, &fact.query_id).await?,
            ..Findings::default()
        };
        let verdict = if findings.log == Log::Silent {
            for found in self.signs(journal, doubt, &step.sql, &witness).await? {
                debris.extend(found.debris);
                findings.signs.push((found.what, found.sign));
            }
            decide(&traces, &findings)
        } else {
            decide(&traces, &findings)
        };
        match verdict {
            Verdict::Wait => Ok(()),
            Verdict::Done(how) => {
                self.follow(step, &witness, events).await?;
                drop_replaced(self.client, &step.sql, Some(&witness)).await?;
                self.settled(fact, State::Done, &how).await?;
                events(Event::Settled {
                    doubt,
                    done: true,
                    how: &how,
                });
                Ok(())
            }
            Verdict::Execute(how) => {
                for statement in debris {
                    self.client.execute(&Query::new(statement)).await?;
                }
                drop_replaced(self.client, &step.sql, None).await?;
                self.settled(fact, State::Failed, &how).await?;
                events(Event::Settled {
                    doubt,
                    done: false,
                    how: &how,
                });
                Ok(())
            }
            Verdict::Stop(notes) => {
                let mut finding = doubt.finding.clone();
                finding.severity = Severity::Error;
                finding.message = format!("what became of {title} cannot be known");
                finding.notes.extend(notes);
                finding.notes.push("nothing was executed".to_owned());
                finding.help = Some(doubt.by_hand());
                Err(FailureKind::Unsettled(Box::new(finding)))
            }
        }
    }

    /// Every trace of a statement, as it shows now.
    async fn signs(
        &self,
        journal: &Journal,
        doubt: &Doubt,
        sql: &str,
        witness: &Witness,
    ) -> Result<Vec<Found>, FailureKind> {
        let traces = &Traces::of(sql);
        let database = self.client.database();
        let named = header(sql).objects.into_iter().next();
        let table = named.map_or_else(Default::default, |name| {
            (
                name.database.unwrap_or_else(|| database.to_owned()),
                name.name,
            )
        });
        let mut keys = tables(sql, traces, database);
        keys.extend(witness.keys());
        let now = look(self.client, &keys, true).await?;
        let formatted = if traces.leaves.contains(&Trace::Mutation) {
            formatted(self.client, sql).await?
        } else {
            None
        };
        let mut found = Vec::new();
        for trace in &traces.leaves {
            if *trace == Trace::Definitions {
                found.push(Found {
                    what: "the definitions",
                    sign: self.definitions(journal, doubt, traces).await?,
                    debris: Vec::new(),
                });
            } else {
                found.push(find(
                    trace,
                    &table,
                    database,
                    witness,
                    &now,
                    formatted.as_deref(),
                ));
            }
        }
        Ok(found)
    }

    /// The live definitions against those that the journal's statements make, without and with the one in doubt.
    async fn definitions(
        &self,
        journal: &Journal,
        doubt: &Doubt,
        traces: &Traces,
    ) -> Result<Sign, FailureKind> {
        let not = |why: String| match traces.repeatable {
            Some(_) => Sign::Unseen,
            None => Sign::Neither(vec![format!(
                "the definitions could not be compared: {why}"
            )]),
        };
        let Some(bench) = self.bench else {
            return Ok(not(
                "there is no embedded engine to compare them on".to_owned()
            ));
        };
        let launch = match (bench.0)() {
            Ok(launch) => launch,
            Err(why) => return Ok(not(why)),
        };
        let handle = match open(&launch).await {
            Ok(handle) => handle,
            Err(error) => return Ok(not(error.to_string())),
        };
        let sign = async {
            let engine = Client::new(handle.server(), "default")?;
            let bench = Bench::new(&engine, self.client.database()).await?;
            compare(self.client, &bench, journal, &doubt.fact.sql).await
        }
        .await;
        handle.end().await;
        match sign {
            Ok(sign) => Ok(sign),
            Err(error @ drift::Error::Statement { .. }) => {
                let why =
                    std::error::Error::source(&error).map_or_else(String::new, ToString::to_string);
                Ok(not(format!("{error}: {why}")))
            }
            Err(error) => Ok(not(error.to_string())),
        }
    }
}

/// Removes what `OR REPLACE` leaves where the server ends within it: the new object is made under another name, the two exchange their names,
/// and the old one is dropped. That name begins with a hash of the object's own.
///
/// Once the statement is done (`then` is the look before it) it is the old object, which is known by its UUID; before that it is the new one,
/// which looks just as what a running refresh fills.
async fn drop_replaced(client: &Client, sql: &str, then: Option<&Witness>) -> Result<(), Error> {
    #[derive(Deserialize)]
    struct Row {
        name: String,
        uuid: String,
        engine: String,
    }
    let header = header(sql);
    let Some(object) = header.objects.first().filter(|_| header.replaces) else {
        return Ok(());
    };
    let database = object.database.as_deref().unwrap_or(client.database());
    let found = Query::new(format!(
        "SELECT name, toString(uuid) AS uuid, engine FROM system.tables WHERE database = {0} AND startsWith(name, concat('_tmp_replace_', lower(hex(sipHash64(concat({0}, {1})))), '_'))",
        literal(database),
        literal(&object.name)
    ));
    let old = then.and_then(|then| then.table(&(database.to_owned(), object.name.clone())));
    for row in client.rows::<Row>(&found).await? {
        let is_debris = match (then, old) {
            (Some(_), Some(old)) => row.uuid == old.uuid,
            // Of views there was no look, and they hold nothing.
            (Some(_), None) => row.engine == "View",
            (None, _) => !refreshes(client, database).await?,
        };
        if is_debris {
            client
                .execute(&Query::new(format!(
                    "DROP TABLE IF EXISTS {}.{} SYNC",
                    identifier(database),
                    identifier(&row.name)
                )))
                .await?;
        }
    }
    Ok(())
}

/// Whether a database has views that are refreshed; not where the server does not know such views.
async fn refreshes(client: &Client, database: &str) -> Result<bool, Error> {
    #[derive(Deserialize)]
    struct Row {
        views: u64,
    }
    let query = Query::new(format!(
        "SELECT toUInt64(count()) AS views FROM system.view_refreshes WHERE database = {}",
        literal(database)
    ));
    match client.read_only().row::<Row>(&query).await {
        Ok(row) => Ok(row.views > 0),
        Err(error) if error.exception().is_some() => Ok(false),
        Err(error) => Err(error),
    }
}

async fn compare(
    target: &Client,
    bench: &Bench,
    journal: &Journal,
    sql: &str,
) -> Result<Sign, drift::Error> {
    let mut steps: Vec<drift::Step> = executed(journal)
        .into_iter()
        .flat_map(|fact| drift::Step::of_text(&fact.sql))
        .collect();
    let before = bench.replay(&steps).await?;
    steps.extend(drift::Step::of_text(sql));
    let after = bench.replay(&steps).await?;
    let changed: BTreeSet<(DefinitionKind, String)> = before
        .differences(&after)
        .iter()
        .map(|difference| key(difference.object()))
        .collect();
    if changed.is_empty() {
        return Ok(Sign::Unseen);
    }
    let live = bench
        .read_back(&Definitions::read(&target.read_only(), Masking::Replication).await?)
        .await?;
    let names: BTreeSet<&str> = changed.iter().map(|(_, name)| name.as_str()).collect();
    let only = |all: &Definitions| {
        Definitions::of(
            all.iter()
                .filter(|it| names.contains(it.name.as_str()))
                .cloned(),
        )
    };
    let (before, after, live) = (only(&before), only(&after), only(&live));
    if before.differences(&live).is_empty() {
        return Ok(Sign::Before);
    }
    let left = after.differences(&live);
    if left.is_empty() {
        return Ok(Sign::After);
    }
    Ok(Sign::Neither(left.iter().map(difference).collect()))
}

fn key(definition: &Definition) -> (DefinitionKind, String) {
    (definition.kind, definition.name.clone())
}

fn difference(difference: &Difference) -> String {
    let line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    match difference {
        Difference::Missing(object) => {
            format!(
                "`{}` is there neither as before the statement nor as after it: it is not there",
                object.name
            )
        }
        Difference::Extra(object) => {
            format!(
                "`{}` would be gone after the statement, and is not what it was before it: {}",
                object.name,
                line(&object.text)
            )
        }
        Difference::Different { should, is } => format!(
            "`{}` is neither as before the statement nor as after it\n  after it:  {}\n  on target: {}",
            should.name,
            line(&should.text),
            line(&is.text)
        ),
    }
}

/// What the server's log says of a query.
async fn log(client: &Client, query_id: &str) -> Result<Log, Error> {
    #[derive(Deserialize)]
    struct Row {
        r#type: String,
    }
    if query_id.is_empty() {
        return Ok(Log::Silent);
    }
    let _ = client.execute(&Query::new("SYSTEM FLUSH LOGS")).await;
    let query = Query::new(format!(
        "SELECT toString(type) AS type FROM system.query_log WHERE query_id = {}",
        literal(query_id)
    ));
    let rows: Vec<Row> = match client.read_only().rows(&query).await {
        Ok(rows) => rows,
        // There is none, or this user may not read it.
        Err(error) if error.exception().is_some() => Vec::new(),
        Err(error) => return Err(error),
    };
    let has = |wanted: &str| rows.iter().any(|row| row.r#type == wanted);
    Ok(if has("QueryFinish") {
        Log::Finished
    } else if has("ExceptionBeforeStart") {
        Log::Refused
    } else {
        Log::Silent
    })
}

/// A statement as the server would print it.
async fn formatted(client: &Client, sql: &str) -> Result<Option<String>, Error> {
    #[derive(Deserialize)]
    struct Row {
        text: String,
    }
    let query = Query::new("SELECT formatQuery({sql:String}) AS text").text("sql", sql);
    match client.read_only().row::<Row>(&query).await {
        Ok(row) => Ok(Some(row.text)),
        Err(error) if error.exception().is_some() => Ok(None),
        Err(error) => Err(error),
    }
}
