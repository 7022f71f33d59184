//! Do the plan, and write each step down.
//!
//! Before a statement is sent the journal says that it is about to be; when its answer is there the journal says how it ended, in one
//! INSERT together with the announcement of the next. Whatever kills this process, its connection or the server, the journal is never
//! behind by more than one statement, and says which. Every step is an event; who shows it is not known here.

pub mod baseline;
mod distributed;
mod judge;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::catalog::{Generations, Holdings};
use crate::clickhouse::{Client, Query};
use crate::cluster::{Place, adapted};
use crate::diagnostic::{Diagnostic, Severity};
use crate::journal::{Fact, Holder, Journal, Lock, LockError, Owner, State, Writer, holder};
use crate::migration::Migrations;
use crate::plan::{Basis, Options, Plan, Reach, Step};

pub use crate::apply::judge::{Verdict, judge};

/// The settings that decide when a statement counts as done. Their defaults differ between releases, so they are always sent, as far
/// as the server knows them.
const SETTINGS: [(&str, &str); 5] = [
    // A mutation is waited for, on this replica.
    ("mutations_sync", "1"),
    ("alter_sync", "1"),
    ("lightweight_deletes_sync", "1"),
    // An INSERT is in its table, and in every view, when it is answered.
    ("async_insert", "0"),
    // A blank line in inline data is data.
    ("implicit_select", "0"),
];

/// What happens, as it happens.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Another run has the lock, and is waited for.
    Waiting {
        /// It.
        holder: &'a Holder,
    },
    /// The lock is ours.
    Locked,
    /// The engine has read all pending statements and found them well-formed.
    Judged {
        /// How many.
        statements: usize,
    },
    /// The server has no `formatQuery` (before 23.10), so the statements were not judged before the first is executed.
    NotJudged,
    /// A statement is about to be sent.
    Started {
        /// The statement.
        step: &'a Step,
    },
    /// A statement goes on on servers of the cluster, which are waited for.
    Following {
        /// The statement.
        step: &'a Step,
        /// The servers, as `host:port`.
        waiting: &'a [String],
    },
    /// A statement was executed.
    Done {
        /// The statement.
        step: &'a Step,
        /// How long it took.
        took: Duration,
    },
    /// The lock could not be given back; it dies after its lease.
    NotReleased {
        /// Why.
        error: &'a LockError,
    },
}

/// How a run ended well.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The statements that were executed.
    pub executed: Vec<Step>,
    /// How long all of it took.
    pub took: Duration,
    /// Whether it stopped early because it was asked to.
    pub stopped: bool,
    /// How the definitions differ between the servers of a cluster, a line each.
    pub differences: Vec<String>,
}

/// How a run ended badly, and how far it had come.
#[derive(Debug, thiserror::Error)]
#[error("{kind}")]
pub struct Failure {
    /// What went wrong.
    #[source]
    pub kind: FailureKind,
    /// The statements that were executed before.
    pub executed: Vec<Step>,
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FailureKind {
    /// The plan says that nothing may be executed.
    #[error("the plan was refused")]
    Refused(Box<Plan>),
    /// A statement destroys data, and nothing allows it to. Nothing was executed.
    #[error("the plan destroys data")]
    Destructive(Box<Plan>),
    /// Journal, target or files are not what the plan that was read was made from. Nothing was executed.
    #[error("the target has moved since the plan was made")]
    Moved(Vec<String>),
    /// The engine does not read a pending statement. Nothing was executed.
    #[error("a pending statement is not one that ClickHouse reads")]
    Malformed(Vec<Verdict>),
    /// Another run holds the lock, or took it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The journal could not be read or written.
    #[error(transparent)]
    Journal(#[from] crate::journal::Error),
    /// The server refused a statement, and nothing of it was done.
    #[error("the server refused a statement")]
    Statement {
        /// The statement.
        step: Box<Step>,
        /// What the server said.
        #[source]
        error: crate::clickhouse::Error,
    },
    /// Nobody knows whether a statement was executed.
    #[error("the end of a statement is not known")]
    InDoubt {
        /// The statement.
        step: Box<Step>,
        /// What happened.
        #[source]
        error: crate::clickhouse::Error,
    },
    /// The journal could not be told that a statement was executed.
    #[error("a statement was executed, and the journal could not be told")]
    NotWritten {
        /// The statement.
        step: Box<Step>,
        /// Why.
        #[source]
        error: crate::journal::Error,
    },
    /// The server could not be asked.
    #[error(transparent)]
    ClickHouse(#[from] crate::clickhouse::Error),
}

/// Brings the database to where the migrations say. Executes nothing, and takes no lock, if it is there already.
///
/// `stop` is looked at between statements.
///
/// # Errors
/// [`Failure`]; the journal then says where things stand, and the next run goes on from there.
pub async fn apply(
    client: &Client,
    migrations: &Migrations,
    options: Options,
    owner: &Owner,
    stop: &AtomicBool,
    events: &mut (dyn FnMut(Event<'_>) + Send),
) -> Result<Outcome, Failure> {
    let work = Work {
        migrations,
        task: Task::Apply(options),
        basis: None,
        patience: Duration::ZERO,
    };
    perform(client, work, owner, stop, events).await
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub enum Task {
    /// Bring the database to where the migrations say.
    Apply(Options),
    /// Take back what was applied, with the down sections stored then.
    RollBack {
        /// How far.
        reach: Reach,
        /// Execute statements that destroy data although nothing in their section allows it.
        allow_destructive: bool,
    },
}

impl Task {
    /// Decides what to do for it.
    #[must_use]
    pub fn plan(self, migrations: &Migrations, journal: &Journal) -> Plan {
        match self {
            Self::Apply(options) => Plan::make(migrations, journal, options),
            Self::RollBack { reach, .. } => Plan::back(migrations, journal, reach),
        }
    }

    /// Whether statements may destroy data although nothing beside them allows it.
    #[must_use]
    pub fn allows_destruction(self) -> bool {
        match self {
            Self::Apply(options) => options.allow_destructive,
            Self::RollBack {
                allow_destructive, ..
            } => allow_destructive,
        }
    }
}

/// What to do, and the plan that somebody read before.
#[derive(Clone, Copy, Debug)]
pub struct Work<'a> {
    /// The files.
    pub migrations: &'a Migrations,
    /// What is asked for.
    pub task: Task,
    /// What the plan was made from that is to be executed; nothing is executed if that has moved.
    pub basis: Option<&'a Basis>,
    /// How long to wait for another run to end.
    pub patience: Duration,
}

/// Does the work: one lock, one journal, the same care in both directions.
///
/// # Errors
/// [`Failure`].
pub async fn perform(
    client: &Client,
    work: Work<'_>,
    owner: &Owner,
    stop: &AtomicBool,
    events: &mut (dyn FnMut(Event<'_>) + Send),
) -> Result<Outcome, Failure> {
    let begun = Instant::now();
    let mut executed = Vec::new();
    let run = async {
        let stopped = run(client, work, owner, stop, events, &mut executed).await?;
        let differences = match client.cluster() {
            Some(_) => crate::cluster::differences(client).await?,
            None => Vec::new(),
        };
        Ok((stopped, differences))
    };
    match run.await {
        Ok((stopped, differences)) => Ok(Outcome {
            executed,
            took: begun.elapsed(),
            stopped,
            differences,
        }),
        Err(kind) => Err(Failure { kind, executed }),
    }
}

async fn run(
    client: &Client,
    work: Work<'_>,
    owner: &Owner,
    stop: &AtomicBool,
    events: &mut (dyn FnMut(Event<'_>) + Send),
    executed: &mut Vec<Step>,
) -> Result<bool, FailureKind> {
    let plan = match decide_beside_others(client, work).await? {
        Some(plan) if plan.steps.is_empty() => return Ok(false),
        plan => plan,
    };
    if let Some(plan) = &plan {
        well_formed(client, plan, events).await?;
    }
    let judged = plan.is_some();
    let lock = Lock::acquire_within(client, owner.clone(), work.patience, &mut |holder| {
        events(Event::Waiting { holder });
    })
    .await?;
    events(Event::Locked);
    let result = async {
        // What was decided before the lock may have been done by whoever held it.
        let (journal, plan) = decide(client, work).await?;
        if plan.steps.is_empty() {
            return Ok(false);
        }
        if !judged {
            well_formed(client, &plan, events).await?;
        }
        let mut run = Run {
            client,
            settings: client.known(&SETTINGS).await?,
            generations: Generations::read(client).await?,
            writer: Writer::open(client, &journal).await?,
            lock: &lock,
            owner,
        };
        run.execute(&plan.steps, stop, events, executed).await
    }
    .await;
    if let Err(error) = lock.release().await {
        events(Event::NotReleased { error: &error });
    }
    result
}

/// Decides without the lock; `None` if another run is at work. What it is just about looks like a statement in doubt, and its objects come
/// and go, so what stands in the way may be gone when it has ended.
async fn decide_beside_others(
    client: &Client,
    work: Work<'_>,
) -> Result<Option<Plan>, FailureKind> {
    let is_locked = async || {
        let holder = holder(client).await;
        holder.is_ok_and(|holder| holder.is_some_and(|holder| !holder.is_dead()))
    };
    if let Ok((_, plan)) = decide(client, work).await {
        return Ok(Some(plan));
    }
    if is_locked().await {
        return Ok(None);
    }
    // Nobody has the lock, but somebody may have given it back since.
    match decide(client, work).await {
        Ok((_, plan)) => Ok(Some(plan)),
        Err(_) if is_locked().await => Ok(None),
        Err(kind) => Err(kind),
    }
}

/// The engine's parser over every pending statement.
async fn well_formed(
    client: &Client,
    plan: &Plan,
    events: &mut (dyn FnMut(Event<'_>) + Send),
) -> Result<(), FailureKind> {
    match judge(client, &plan.steps).await? {
        Some(verdicts) if verdicts.is_empty() => events(Event::Judged {
            statements: plan.steps.len(),
        }),
        Some(verdicts) => return Err(FailureKind::Malformed(verdicts)),
        None => events(Event::NotJudged),
    }
    Ok(())
}

async fn decide(client: &Client, work: Work<'_>) -> Result<(Journal, Plan), FailureKind> {
    let journal = Journal::read(client).await?;
    let mut plan = work.task.plan(work.migrations, &journal);
    if !plan.refusals.is_empty() {
        return Err(FailureKind::Refused(Box::new(plan)));
    }
    if plan.steps.is_empty() && work.basis.is_none() {
        return Ok((journal, plan));
    }
    weigh(client, &mut plan, work.task.allows_destruction()).await?;
    if !plan.refusals.is_empty() {
        return Err(FailureKind::Refused(Box::new(plan)));
    }
    if let (Some(basis), Some(now)) = (work.basis, &plan.basis) {
        let moved = basis.moved(now);
        if !moved.is_empty() {
            return Err(FailureKind::Moved(moved));
        }
    }
    if plan.destructive.is_empty() {
        Ok((journal, plan))
    } else {
        Err(FailureKind::Destructive(Box::new(plan)))
    }
}

/// Weighs a plan on the target, and says what is sent to a cluster; nothing is written. What cannot be sent there is refused.
///
/// # Errors
/// [`crate::clickhouse::Error`].
pub async fn weigh(
    client: &Client,
    plan: &mut Plan,
    allow_destructive: bool,
) -> Result<(), crate::clickhouse::Error> {
    let holdings = Holdings::read(client, &plan.databases()).await?;
    plan.weigh(&holdings, allow_destructive);
    plan.respect(&Generations::read(&client.read_only()).await?);
    let place = Place::of(client).await?;
    for step in &mut plan.steps {
        let unique = format!("{:04}.{}", step.version, step.number);
        match adapted(&step.sql, &place, &unique) {
            Ok(sent) => step.sent = sent,
            Err(reason) => plan.refusals.push(
                Diagnostic::new(
                    Severity::Error,
                    reason.code,
                    format!("{} cannot be sent there: {}", step.title(), reason.message),
                )
                .at(Some(step.location()))
                .help(reason.help),
            ),
        }
    }
    Ok(())
}

/// One run under its lock.
struct Run<'a> {
    client: &'a Client,
    settings: Vec<(&'static str, &'static str)>,
    /// What the server calls what a rebuild made anew.
    generations: Generations,
    writer: Writer,
    lock: &'a Lock,
    owner: &'a Owner,
}

impl Run<'_> {
    async fn execute(
        &mut self,
        steps: &[Step],
        stop: &AtomicBool,
        events: &mut (dyn FnMut(Event<'_>) + Send),
        executed: &mut Vec<Step>,
    ) -> Result<bool, FailureKind> {
        let mut steps = steps.iter().peekable();
        let mut announced = false;
        while let Some(step) = steps.next() {
            if !announced {
                self.lock.assert_held().await?;
                let fact = self.fact(step, State::Started);
                self.writer.append(vec![fact]).await?;
            }
            events(Event::Started { step });
            let begun = Instant::now();
            let answer = self.send(step, stop, events).await;
            let took = begun.elapsed();
            if let Err(error) = answer {
                return Err(self.failed(step, error, took).await);
            }
            executed.push(step.clone());
            events(Event::Done { step, took });
            let mut facts = vec![Fact {
                duration_ms: milliseconds(took),
                ..self.fact(step, State::Done)
            }];
            // Announced is only what is sent at once: not when the lock is lost, not when somebody asked us to stop.
            let held = self.lock.assert_held().await;
            if let Err(lost @ LockError::Lost { .. }) = held {
                // The journal is another run's by now, and it has made up its mind about this statement.
                return Err(lost.into());
            }
            let stopping = stop.load(Ordering::Relaxed);
            let next = steps.peek().filter(|_| held.is_ok() && !stopping);
            facts.extend(next.map(|next| self.fact(next, State::Started)));
            announced = next.is_some();
            self.writer
                .append(facts)
                .await
                .map_err(|error| FailureKind::NotWritten {
                    step: Box::new(step.clone()),
                    error,
                })?;
            if steps.peek().is_some() {
                held?;
                if stopping {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    async fn send(
        &self,
        step: &Step,
        stop: &AtomicBool,
        events: &mut (dyn FnMut(Event<'_>) + Send),
    ) -> Result<(), crate::clickhouse::Error> {
        let sql = step.sent.as_ref().unwrap_or(&step.sql);
        // The names of what was made anew; an earlier statement may have dropped one.
        let sql = if self.generations.differ() {
            Generations::read(self.client).await?.resolve(sql)
        } else {
            sql.clone()
        };
        let mut query = Query::new(sql).id(self.query_id(step));
        for (name, value) in &self.settings {
            query = query.setting(name, *value);
        }
        match &step.data {
            None if step.sent.is_some() => {
                distributed::send(self.client, query, stop, &mut |waiting| {
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

    /// Writes down that a statement failed, unless nobody can know that it did.
    async fn failed(
        &mut self,
        step: &Step,
        error: crate::clickhouse::Error,
        took: Duration,
    ) -> FailureKind {
        let step_of = || Box::new(step.clone());
        if error.outcome_is_unknown() || distributed::is_half_done(self.client, step, &error).await
        {
            return FailureKind::InDoubt {
                step: step_of(),
                error,
            };
        }
        let fact = Fact {
            error_code: error.exception().map_or(0, |exception| exception.code),
            error: error.to_string(),
            duration_ms: milliseconds(took),
            ..self.fact(step, State::Failed)
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

    fn query_id(&self, step: &Step) -> String {
        query_id(self.owner, step)
    }

    fn fact(&self, step: &Step, state: State) -> Fact {
        fact(self.owner, step, state)
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
fn fact(owner: &Owner, step: &Step, state: State) -> Fact {
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
        recorded_at: 0,
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
