//! Do the plan, and write each step down.
//!
//! Before a statement is sent the journal says that it is about to be; when its answer is there the journal says how it ended, in one
//! INSERT together with the announcement of the next. Whatever kills this process, its connection or the server, the journal is never
//! behind by more than one statement, and says which. Every step is an event; who shows it is not known here.

pub mod baseline;
mod distributed;
mod follow;
mod judge;
mod run;
pub(crate) mod section;
mod settle;
mod stage;
mod trace;
mod witness;

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use crate::catalog::{Generations, Holdings};
use crate::clickhouse::Client;
use crate::cluster::{Place, adapted};
use crate::diagnostic::{Diagnostic, Severity};
use crate::engine::child::Launch;
use crate::journal::{Holder, Journal, Lock, LockError, Owner, holder};
use crate::migration::Migrations;
use crate::plan::{Basis, Doubt, Options, Plan, Reach, Step, deleted, unsettleable};
use crate::rebuild;

pub use crate::apply::judge::{Verdict, judge};
use crate::apply::run::{Run, fact};

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
    /// Something of a changed definition that is carried out.
    Rebuilding {
        /// What.
        event: &'a crate::rebuild::Event<'a>,
    },
    /// A statement was executed.
    Done {
        /// The statement.
        step: &'a Step,
        /// How long it took.
        took: Duration,
    },
    /// What became of a statement in doubt is known, and written down.
    Settled {
        /// The statement.
        doubt: &'a Doubt,
        /// Whether its effect is there; if not, it is executed again.
        done: bool,
        /// How that is known.
        how: &'a str,
    },
    /// The server still works on a statement that an earlier run sent; it is waited for.
    StillRunning {
        /// The statement, in words.
        title: &'a str,
        /// Its query.
        query_id: &'a str,
        /// How long it was waited for so far.
        waited: Duration,
    },
    /// A mutation is under way on a table that this run is about to touch.
    Busy {
        /// The table.
        table: &'a str,
        /// The mutation.
        mutation_id: &'a str,
        /// What it does.
        command: &'a str,
        /// The parts that it has before it.
        parts_left: u64,
    },
    /// A mutation that a statement began goes on.
    Mutation {
        /// The statement.
        step: &'a Step,
        /// The mutation.
        mutation_id: &'a str,
        /// The parts that it has before it.
        parts_left: u64,
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
    /// What became of a statement that an earlier run began cannot be known. Nothing was executed.
    #[error("what became of a statement cannot be known")]
    Unsettled(Box<Diagnostic>),
    /// If this statement broke off, nobody could know what became of it. It was not executed.
    #[error("a statement could not be settled if it broke off")]
    NotSettleable {
        /// The statement.
        step: Box<Step>,
        /// Why.
        reason: String,
    },
    /// A mutation that a statement began cannot go on; the server tries again and again.
    #[error("a mutation cannot go on")]
    Mutation {
        /// The statement.
        step: Box<Step>,
        /// The table's database.
        database: String,
        /// The table.
        table: String,
        /// The mutation.
        mutation_id: String,
        /// What the server says.
        reason: String,
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
    /// A changed definition could not be carried out. Its ledger says how far it came.
    #[error("a changed definition could not be carried out")]
    Rebuild {
        /// Its first statement.
        step: Box<Step>,
        /// Why.
        #[source]
        error: Box<crate::rebuild::Error>,
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
        bench: None,
        rebuilds: None,
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
    /// How to come by an engine of our own, on which definitions are compared if a statement is in doubt.
    pub bench: Option<Workbench<'a>>,
    /// How sections that are rebuilds are carried out, if not as [`rebuild::Options::default`] says.
    pub rebuilds: Option<&'a rebuild::Options>,
}

impl Work<'_> {
    fn rebuilds(&self) -> rebuild::Options {
        self.rebuilds.cloned().unwrap_or_default()
    }
}

/// How to come by an embedded engine; called only if one is needed.
#[derive(Clone, Copy)]
pub struct Workbench<'a>(pub &'a (dyn Fn() -> Result<Launch, String> + Sync));

impl std::fmt::Debug for Workbench<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Workbench")
    }
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
    // Boxed: what it keeps while it waits is large.
    match Box::pin(run).await {
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
        Some(plan) if plan.steps.is_empty() && plan.doubts.is_empty() => return Ok(false),
        plan => plan,
    };
    // What is in doubt is settled first, and then there may be less to do.
    let plan = plan.filter(|plan| plan.doubts.is_empty());
    if let Some(plan) = &plan {
        well_formed(client, plan, events).await?;
    }
    let mut judged = plan.is_some();
    let lock = Lock::acquire_within(client, owner.clone(), work.patience, &mut |holder| {
        events(Event::Waiting { holder });
    })
    .await?;
    events(Event::Locked);
    let result = async {
        // What was decided before the lock may have been done by whoever held it.
        let (journal, mut plan) = decide(client, work).await?;
        if plan.steps.is_empty() && plan.doubts.is_empty() {
            return Ok(false);
        }
        let mut run = Run::new(client, work, &lock, owner, &journal).await?;
        if !plan.doubts.is_empty() {
            run.settle(&journal, &plan.doubts, events).await?;
            plan = decide(client, work).await?.1;
            judged = false;
        }
        if !judged {
            well_formed(client, &plan, events).await?;
        }
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
    // What is in doubt is settled before anything is weighed.
    if !plan.doubts.is_empty() || (plan.steps.is_empty() && work.basis.is_none()) {
        return Ok((journal, plan));
    }
    let allowed = work.task.allows_destruction();
    weigh(client, &mut plan, &work.rebuilds(), allowed).await?;
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
    rebuilds: &rebuild::Options,
    allow_destructive: bool,
) -> Result<(), crate::clickhouse::Error> {
    let mut holdings = Holdings::read(client, &plan.databases()).await?;
    for step in &plan.steps {
        if let Some((table, condition)) = deleted(&step.sql)
            && let Some(rows) = Holdings::count(client, table.span.of(&step.sql), condition).await?
        {
            holdings.matching.insert(step.sql.clone(), rows);
        }
    }
    plan.weigh(&holdings, allow_destructive);
    plan.respect(&Generations::read(&client.read_only()).await?);
    section::weigh(client, plan, rebuilds).await?;
    for (step, reason) in stage::foresee(client, &mut plan.steps).await? {
        plan.refusals.push(unsettleable(&step, &reason));
    }
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
