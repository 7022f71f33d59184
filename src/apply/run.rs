//! One run under its lock: each statement is announced with a look at its tables, sent, followed to its end, and written down.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::apply::section::{Section, of_one_section};
use crate::apply::stage::Stage;
use crate::apply::witness::{Key, Phase, Witness, look, tables};
use crate::apply::{Event, FailureKind, Work, Workbench, distributed, follow, stage};
use crate::catalog::Generations;
use crate::clickhouse::{Client, Error, Query};
use crate::journal::{Fact, Journal, Lock, LockError, Owner, State, Writer};
use crate::plan::{Step, Trace, Traces};
use crate::rebuild;
use crate::sql::{Allowance, Kind};

/// The settings that decide when a statement counts as done. Their defaults differ between releases, so they are always sent, as far
/// as the server knows them.
const SETTINGS: [(&str, &str); 6] = [
    // A mutation is registered when it is answered, and followed to its end by us.
    ("mutations_sync", "0"),
    ("lightweight_deletes_sync", "0"),
    // A DELETE is a mutation that can be followed, and not a patch.
    ("lightweight_delete_mode", "alter_update"),
    // An ALTER is waited for, on this replica.
    ("alter_sync", "1"),
    // An INSERT is in its table, and in every view, when it is answered.
    ("async_insert", "0"),
    // A blank line in inline data is data.
    ("implicit_select", "0"),
];

/// A run.
pub(super) struct Run<'a> {
    pub(super) client: &'a Client,
    pub(super) bench: Option<Workbench<'a>>,
    pub(super) rebuilds: rebuild::Options,
    pub(super) writer: Writer,
    pub(super) lock: &'a Lock,
    pub(super) owner: &'a Owner,
    settings: Vec<(&'static str, &'static str)>,
    /// What the server calls what a rebuild made anew.
    generations: Generations,
    /// Whether the server keeps a log of its queries; `None` until somebody asks.
    logged: Option<bool>,
}

/// A statement that may be sent: what its tables look like, and the way it goes.
struct Ready {
    /// As it is sent: with the names that the server has for what a rebuild made anew.
    step: Step,
    traces: Traces,
    witness: Witness,
    /// The tables through which an INSERT goes.
    stage: Option<Stage>,
}

impl<'a> Run<'a> {
    pub(super) async fn new(
        client: &'a Client,
        work: Work<'a>,
        lock: &'a Lock,
        owner: &'a Owner,
        journal: &Journal,
    ) -> Result<Self, FailureKind> {
        Ok(Self {
            client,
            bench: work.bench,
            rebuilds: work.rebuilds(),
            writer: Writer::open(client, journal).await?,
            lock,
            owner,
            settings: client.known(&SETTINGS).await?,
            generations: Generations::read(client).await?,
            logged: None,
        })
    }

    pub(super) async fn execute(
        &mut self,
        steps: &[Step],
        stop: &AtomicBool,
        events: &mut (dyn FnMut(Event<'_>) + Send),
        executed: &mut Vec<Step>,
    ) -> Result<bool, FailureKind> {
        self.tell_what_is_under_way(steps, events).await?;
        let all = steps;
        let mut steps = steps.iter().enumerate().peekable();
        let mut announced: Option<Ready> = None;
        // How many steps of a section are decided to be executed as they are.
        let mut plain = 0;
        while let Some((index, step)) = steps.next() {
            if step.section.is_some() && index >= plain {
                let rest = all.get(index..).unwrap_or_default();
                let length = of_one_section(rest).count();
                match self.section(rest, stop, events, executed).await? {
                    Section::Plain => plain = index + length,
                    Section::Stopped => return Ok(true),
                    Section::Done => {
                        while steps.next_if(|(next, _)| *next < index + length).is_some() {}
                        if steps.peek().is_some() && stop.load(Ordering::Relaxed) {
                            return Ok(true);
                        }
                        continue;
                    }
                }
            }
            let mut ready = if let Some(ready) = announced.take() {
                ready
            } else {
                let ready = self.prepare(step).await?;
                self.lock.assert_held().await?;
                let fact = self.begun(step, &ready.witness);
                self.writer.append(vec![fact]).await?;
                ready
            };
            events(Event::Started { step });
            let begun = Instant::now();
            self.carry_out(step, &mut ready, begun, stop, events)
                .await?;
            let took = begun.elapsed();
            executed.push(step.clone());
            events(Event::Done { step, took });
            let mut facts = vec![Fact {
                duration_ms: milliseconds(took),
                ..fact(self.owner, step, State::Done)
            }];
            // Announced is only what is sent at once: not when the lock is lost, not when somebody asked us to stop.
            let held = self.lock.assert_held().await;
            if let Err(lost @ LockError::Lost { .. }) = held {
                // The journal is another run's by now, and it has made up its mind about this statement.
                return Err(lost.into());
            }
            let stopping = stop.load(Ordering::Relaxed);
            let mut trouble = None;
            // Of a section that begins it is not known yet which way it takes.
            let next = steps
                .peek()
                .filter(|(at, it)| it.section.is_none() || *at < plain);
            if let Some((_, next)) = next.filter(|_| held.is_ok() && !stopping) {
                match self.prepare(next).await {
                    Ok(ready) => {
                        facts.push(self.begun(next, &ready.witness));
                        announced = Some(ready);
                    }
                    Err(error) => trouble = Some(error),
                }
            }
            self.writer
                .append(facts)
                .await
                .map_err(|error| FailureKind::NotWritten {
                    step: Box::new(step.clone()),
                    error,
                })?;
            if let Some(trouble) = trouble {
                return Err(trouble);
            }
            if steps.peek().is_some() {
                held?;
                if stopping {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    async fn tell_what_is_under_way(
        &self,
        steps: &[Step],
        events: &mut (dyn FnMut(Event<'_>) + Send),
    ) -> Result<(), FailureKind> {
        let database = self.client.database();
        let touched: BTreeSet<Key> = steps
            .iter()
            .flat_map(|step| tables(&step.sql, &Traces::of(&step.sql), database))
            .collect();
        for mutation in follow::under_way(self.client, &touched).await? {
            events(Event::Busy {
                table: &mutation.table,
                mutation_id: &mutation.id,
                command: &mutation.command,
                parts_left: u64::try_from(mutation.parts_to_do).unwrap_or(0),
            });
        }
        Ok(())
    }

    /// Looks at the tables of a statement, and refuses one of which nobody could know afterwards what became of it.
    async fn prepare(&mut self, step: &Step) -> Result<Ready, FailureKind> {
        let step = &self.resolved(step).await?;
        let database = self.client.database();
        let mut ready = Ready {
            step: step.clone(),
            witness: Witness::default(),
            stage: None,
            traces: Traces::of(&step.sql),
        };
        let traces = &ready.traces;
        let rows = traces
            .leaves
            .iter()
            .any(|trace| *trace != Trace::Definitions);
        if !rows && step.kind != Kind::Alter && !traces.fills {
            return Ok(ready);
        }
        let mut keys = tables(&step.sql, traces, database);
        let allowed = matches!(step.unsettled, Some(Allowance::Because(_)));
        if traces.leaves.contains(&Trace::Added) {
            match stage::survey(self.client, &step.sql).await? {
                Ok(stage) => {
                    keys.extend(stage.keys(database));
                    if !self.is_logged().await? {
                        ready.stage = Some(stage);
                    }
                }
                Err(reason) if !allowed && !self.is_logged().await? => {
                    return Err(FailureKind::NotSettleable {
                        step: Box::new(step.clone()),
                        reason,
                    });
                }
                Err(_) => {}
            }
        }
        let now = look(self.client, &keys, rows).await?;
        // What is there already is not made.
        let makes = ready.traces.fills && (now.is_empty() || ready.traces.repeatable.is_none());
        if makes && !self.is_logged().await? {
            ready.stage = Some(Stage::for_an_object());
        }
        ready.witness = Witness::of(&now);
        if ready.stage.is_some() {
            ready.witness.phase = Phase::Staging;
        }
        Ok(ready)
    }

    /// A statement with the names of what was made anew; an earlier statement may have dropped one.
    pub(super) async fn resolved(&self, step: &Step) -> Result<Step, Error> {
        let mut step = step.clone();
        if self.generations.differ() {
            let generations = Generations::read(self.client).await?;
            step.sql = generations.resolve(&step.sql);
            step.sent = step.sent.map(|sent| generations.resolve(&sent));
        }
        Ok(step)
    }

    /// Whether `system.query_log` will tell what became of a query; asked once.
    async fn is_logged(&mut self) -> Result<bool, Error> {
        let logged = match self.logged {
            Some(logged) => logged,
            None => stage::is_logged(self.client).await?,
        };
        self.logged = Some(logged);
        Ok(logged)
    }

    /// Executes a statement and waits for all that it began. The journal says `started` still.
    async fn carry_out(
        &mut self,
        step: &Step,
        ready: &mut Ready,
        begun: Instant,
        stop: &AtomicBool,
        events: &mut (dyn FnMut(Event<'_>) + Send),
    ) -> Result<(), FailureKind> {
        let in_doubt = |error| FailureKind::InDoubt {
            step: Box::new(step.clone()),
            error,
        };
        let Some(stage) = &ready.stage else {
            if let Err(error) = self.send(&ready.step, None, stop, events).await {
                return Err(self.failed(step, ready, error, begun.elapsed()).await);
            }
            return self.follow(&ready.step, &ready.witness, events).await;
        };
        let filled = match stage.make(self.client, &ready.step).await {
            Ok(sql) => self.send(&ready.step, Some(&sql), stop, events).await,
            Err(error) => Err(error),
        };
        if let Err(error) = filled {
            // Nothing of it has reached its tables.
            if !error.outcome_is_unknown() {
                let _ = stage::clear(self.client, step).await;
            }
            return Err(self.failed(step, ready, error, begun.elapsed()).await);
        }
        // Whoever has the lock by now has thrown the staging tables away.
        self.lock.assert_held().await?;
        ready.witness.phase = stage.full(&ready.step);
        let fact = self.begun(step, &ready.witness);
        self.writer.append(vec![fact]).await?;
        stage::deliver(self.client, step, &ready.witness)
            .await
            .map_err(in_doubt)
    }

    /// Waits for the mutations that a statement began.
    pub(super) async fn follow(
        &self,
        step: &Step,
        witness: &Witness,
        events: &mut (dyn FnMut(Event<'_>) + Send),
    ) -> Result<(), FailureKind> {
        if !matches!(step.kind, Kind::Alter | Kind::Delete) {
            return Ok(());
        }
        let database = self.client.database();
        for key in tables(&step.sql, &Traces::of(&step.sql), database) {
            if let Some(before) = witness.table(&key) {
                follow::mutations(self.client, step, &key, before, events).await?;
            }
        }
        Ok(())
    }

    /// Sends a statement, or another text in its place.
    async fn send(
        &self,
        step: &Step,
        other: Option<&str>,
        stop: &AtomicBool,
        events: &mut (dyn FnMut(Event<'_>) + Send),
    ) -> Result<(), Error> {
        let sql = other.or(step.sent.as_deref()).unwrap_or(&step.sql);
        let mut query = Query::new(sql).id(query_id(self.owner, step));
        for (name, value) in &self.settings {
            query = query.setting(name, *value);
        }
        match &step.data {
            None if other.is_none() && step.sent.is_some() => {
                distributed::send(self.client, step, query, stop, &mut |waiting| {
                    events(Event::Following { step, waiting });
                })
                .await
            }
            None => self.client.execute(&query).await,
            Some(data) => {
                let mut insert = self.client.insert(&query);
                insert.send(data.clone().into()).await?;
                insert.end().await
            }
        }
    }

    /// Writes down that a statement failed, unless nobody can know that it did, or part of it was done.
    async fn failed(
        &mut self,
        step: &Step,
        ready: &Ready,
        error: Error,
        took: Duration,
    ) -> FailureKind {
        let step_of = || Box::new(step.clone());
        let in_part = ready.stage.is_none()
            && ready.traces.leaves.contains(&Trace::Added)
            && match look(self.client, &ready.witness.keys(), true).await {
                Ok(now) => ready.witness.has_grown(&now),
                Err(_) => true,
            };
        let half_done = distributed::is_half_done(self.client, step, &error).await;
        if error.outcome_is_unknown() || in_part || half_done {
            return FailureKind::InDoubt {
                step: step_of(),
                error,
            };
        }
        let fact = Fact {
            error_code: error.exception().map_or(0, |exception| exception.code),
            error: error.to_string(),
            duration_ms: milliseconds(took),
            ..fact(self.owner, step, State::Failed)
        };
        match self.writer.append(vec![fact]).await {
            Ok(()) => FailureKind::Statement {
                step: step_of(),
                error,
            },
            // The journal still says `started`.
            Err(_) => FailureKind::InDoubt {
                step: step_of(),
                error,
            },
        }
    }

    pub(super) fn begun(&self, step: &Step, witness: &Witness) -> Fact {
        Fact {
            note: witness.note(),
            ..fact(self.owner, step, State::Started)
        }
    }

    /// Writes down what became of a statement that another run began.
    pub(super) async fn settled(
        &mut self,
        begun: &Fact,
        state: State,
        how: &str,
    ) -> Result<(), FailureKind> {
        self.lock.assert_held().await?;
        let fact = Fact {
            run_id: self.owner.run_id.clone(),
            who: self.owner.who.clone(),
            host: self.owner.host.clone(),
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            state,
            error: match state {
                State::Failed => format!("it broke off, and nothing of it was done: {how}"),
                _ => String::new(),
            },
            note: how.to_owned(),
            ..begun.clone()
        };
        self.writer.append(vec![fact]).await?;
        Ok(())
    }
}

/// The id under which the server knows a statement of a run.
fn query_id(owner: &Owner, step: &Step) -> String {
    format!(
        "housewright-{}-{:04}-{}",
        owner.run_id, step.version, step.number
    )
}

/// What is written down of a statement.
pub(super) fn fact(owner: &Owner, step: &Step, state: State) -> Fact {
    Fact {
        position: 0,
        layout: 0,
        run_id: owner.run_id.clone(),
        who: owner.who.clone(),
        host: owner.host.clone(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        version: step.version,
        name: step.name.clone(),
        file_sha256: step.file_sha256.clone(),
        direction: step.direction.word().to_owned(),
        statement: step.number,
        statements: step.total,
        sha256: step.sha256.clone(),
        sql: step.sql.clone(),
        down_sql: step.down_sql.clone(),
        query_id: query_id(owner, step),
        state,
        error_code: 0,
        error: String::new(),
        duration_ms: 0,
        note: String::new(),
        recorded_at: 0,
    }
}

pub(super) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
