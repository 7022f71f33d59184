//! One run of a rebuild under its lock: the steps, in order, each of which may have been done before.

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::catalog::Catalog;
use crate::catalog::generation::{parse, renamed};
use crate::clickhouse::{Client, Error as ClickHouseError, Query, identifier};
use crate::journal::{Lock, Owner};
use crate::migration::{Change, Redefinition};
use crate::rebuild::barrier::Barrier;
use crate::rebuild::change::survey_change;
use crate::rebuild::ledger::{Fact, Ledger};
use crate::rebuild::obstacles::refusal;
use crate::rebuild::parity::Comparison;
use crate::rebuild::section::{same, survey_section};
use crate::rebuild::subject::{Side, Subject, Survey, readers, survey};
use crate::rebuild::{Error, Event, Options, Outcome, Task, chunks};

/// No row is received that late: a view that is to take nothing yet takes rows from here on.
pub(super) const NEVER: u64 = 4_294_967_295;
/// As [`apply`](crate::apply) sends them, and what a backfill needs besides.
const SETTINGS: [(&str, &str); 7] = [
    ("mutations_sync", "1"),
    ("alter_sync", "1"),
    ("async_insert", "0"),
    ("implicit_select", "0"),
    // A piece that looks like another one is data too.
    ("insert_deduplicate", "0"),
    // What goes is what was made anew, and compared.
    ("max_table_size_to_drop", "0"),
    ("max_partition_size_to_drop", "0"),
];
/// What reads much waits for what does not: INSERTs and readers go on meanwhile. Without `CAP_SYS_NICE` the server takes no notice of it.
const YIELDING: [(&str, &str); 1] = [("os_thread_priority", "10")];

/// Does what is asked for, under the lock of the database.
///
/// # Errors
/// [`Error`]; the ledger then says where the rebuild stands.
pub async fn perform(
    client: &Client,
    task: &Task,
    options: &Options,
    owner: &Owner,
    stop: &AtomicBool,
    events: &mut (dyn FnMut(Event<'_>) + Send),
) -> Result<Outcome, Error> {
    let begun = Instant::now();
    if let Task::Begin { view, change } = task {
        // Before anything is locked, and again under the lock.
        refuse_a_second(crate::rebuild::last(client).await?)?;
        check(client, view, change.as_deref(), options).await?;
    }
    let lock = Lock::acquire(client, owner.clone()).await?;
    events(Event::Locked);
    let result = under(client, &lock, task, options, owner, stop, events, begun).await;
    if let Err(error) = lock.release().await {
        events(Event::NotReleased { error: &error });
    }
    result
}

/// The same, under a lock that is held.
#[expect(clippy::too_many_arguments, reason = "what a run is made of")]
pub(super) async fn under(
    client: &Client,
    lock: &Lock,
    task: &Task,
    options: &Options,
    owner: &Owner,
    stop: &AtomicBool,
    events: &mut (dyn FnMut(Event<'_>) + Send),
    begun: Instant,
) -> Result<Outcome, Error> {
    // History and what it is compared with are read by the same conditions, so that rows left out of both would not be missed.
    let client = &client.without_statistics().await?;
    let open = Ledger::open(client, owner).await?;
    let begins = open.is_none();
    let ledger = match (task, open) {
        (Task::Section(what), Some(mut open)) if open.progress.belongs_to(task) => {
            same(&open.progress, what)?;
            // What may differ is no part of the definition, and may be said anew.
            if let (Some(begun), Redefinition::Beside(change)) =
                (&mut open.progress.subject.change, &**what)
            {
                begun.expects.clone_from(&change.expects);
            }
            open
        }
        (Task::Section(_) | Task::Begin { .. }, Some(open)) => {
            return Err(unfinished(&open.progress));
        }
        (Task::Section(what), None) => {
            let survey = survey_section(client, what, options).await?;
            begin(client, owner, clear(client, survey).await?).await?
        }
        (Task::Begin { view, change }, None) => {
            let subject = check(client, view, change.as_deref(), options).await?;
            begin(client, owner, subject).await?
        }
        (_, Some(open)) => open,
        (_, None) => {
            if *task == Task::Abort {
                crate::rebuild::ledger::sweep(client, owner).await?;
            }
            return Err(Error::None {
                what: match task {
                    Task::Finish => "finish",
                    Task::RollBack => "roll back",
                    Task::Abort => "abort",
                    _ => "go on with",
                },
            });
        }
    };
    let subject = ledger.progress.subject.clone();
    let mut run = Run {
        client,
        options,
        owner,
        settings: client.known(&SETTINGS).await?,
        yielding: client.known(&YIELDING).await?,
        barrier: Barrier::new(client, &subject.source).await?,
        subject,
        ledger,
        lock,
        stop,
        events,
        first: begins,
        emptied: 0,
    };
    run.tell_begun(task);
    let ended = run.dispatch(task).await;
    let stopped = match ended {
        Ok(()) => false,
        Err(Halt::Stopped) => true,
        Err(Halt::Error(error)) => {
            if matches!(error, Error::Unmakeable { .. }) && run.ledger.progress.aborting {
                run.ledger.forget().await?;
            }
            return Err(error);
        }
    };
    let outcome = run.outcome(stopped, begun.elapsed()).await?;
    if matches!(task, Task::Abort) {
        run.ledger.forget().await?;
    }
    Ok(outcome)
}

fn refuse_a_second(last: Option<crate::rebuild::Progress>) -> Result<(), Error> {
    match last {
        Some(progress) if !progress.ended => Err(unfinished(&progress)),
        _ => Ok(()),
    }
}

fn unfinished(progress: &crate::rebuild::Progress) -> Error {
    Error::Unfinished {
        name: progress.subject.name.clone(),
        place: progress.place(),
    }
}

/// Opens the ledger of a new rebuild, by the server's clock.
async fn begin<'a>(
    client: &'a Client,
    owner: &'a Owner,
    subject: Subject,
) -> Result<Ledger<'a>, Error> {
    let now = Barrier::new(client, &subject.source).await?.now().await?;
    Ok(Ledger::begin(client, owner, subject, now).await?)
}

/// What a name means, if nothing stands in the way.
async fn check(
    client: &Client,
    name: &str,
    change: Option<&Change>,
    options: &Options,
) -> Result<Subject, Error> {
    let survey = match change {
        None => survey(client, name, options).await?,
        Some(change) => survey_change(client, Some(name), change, options).await?,
    };
    clear(client, survey).await
}

/// The subject, if nothing stands in the way.
async fn clear(client: &Client, mut survey: Survey) -> Result<Subject, Error> {
    let barrier = Barrier::new(client, &survey.subject.source).await?;
    survey
        .refusals
        .extend(barrier.streams.iter().map(|stream| refusal(
            format!(
                "{stream} writes into `{}` without an INSERT that the server shows, so nobody could wait for it",
                survey.subject.source
            ),
            "detach it for the time of the rebuild's first seconds, or stop what it reads",
        )));
    if survey.refusals.is_empty() {
        Ok(survey.subject)
    } else {
        Err(Error::Refused(survey.refusals))
    }
}

/// Why the steps end early.
pub(super) enum Halt {
    Stopped,
    Error(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<ClickHouseError> for Halt {
    fn from(error: ClickHouseError) -> Self {
        Self::Error(error.into())
    }
}

impl From<crate::journal::LockError> for Halt {
    fn from(error: crate::journal::LockError) -> Self {
        Self::Error(error.into())
    }
}

pub(super) struct Run<'a> {
    pub(super) client: &'a Client,
    pub(super) options: &'a Options,
    pub(super) owner: &'a Owner,
    pub(super) settings: Vec<(&'static str, &'static str)>,
    /// Besides, of what reads much.
    pub(super) yielding: Vec<(&'static str, &'static str)>,
    pub(super) barrier: Barrier<'a>,
    pub(super) subject: Subject,
    pub(super) ledger: Ledger<'a>,
    pub(super) lock: &'a Lock,
    pub(super) stop: &'a AtomicBool,
    pub(super) events: &'a mut (dyn FnMut(Event<'_>) + Send),
    /// No other run had a hand in this rebuild.
    pub(super) first: bool,
    /// How often the new state was emptied.
    pub(super) emptied: u32,
}

impl Run<'_> {
    async fn dispatch(&mut self, task: &Task) -> Result<(), Halt> {
        self.wait_for_orphans().await?;
        if let Some(added) = self.subject.added.clone() {
            return self.in_place(task, &added).await;
        }
        let progress = &self.ledger.progress;
        let not_now = |what, remedy| progress.not_now(what, remedy);
        match task {
            Task::Begin { .. } | Task::Section(_) | Task::Resume if progress.aborting => {
                Err(not_now(
                    "go on",
                    "`housewright rebuild --abort` brings that to its end",
                )
                .into())
            }
            Task::Begin { .. } | Task::Section(_) | Task::Resume if progress.finishing => {
                self.finish().await
            }
            Task::Begin { .. } | Task::Resume => self.advance().await,
            Task::Section(_) => {
                self.advance().await?;
                self.write(Fact::Kept).await
            }
            Task::Finish if !progress.swapped => Err(not_now(
                "be finished",
                "`housewright rebuild --resume` brings it to the swap of the readers first",
            )
            .into()),
            Task::Finish => self.finish().await,
            Task::RollBack if !progress.swapped || progress.finishing => Err(not_now(
                "be rolled back",
                "readers can go back only while both sides stand and they read the new one",
            )
            .into()),
            Task::RollBack => self.back().await,
            Task::Abort if progress.finishing => Err(not_now(
                "be aborted",
                "`housewright rebuild --finish` brings that to its end",
            )
            .into()),
            Task::Abort => self.abort().await,
        }
    }

    /// From wherever it stands to the swap of the readers.
    async fn advance(&mut self) -> Result<(), Halt> {
        if self.ledger.progress.swapped {
            return Ok(());
        }
        if self.ledger.progress.staged.is_some() {
            self.settle_staged().await?;
        }
        self.drop_scratch().await?;
        if !self.ledger.progress.captured {
            let captured = self.capture().await;
            self.or_take_back(captured).await?;
        }
        if !self.ledger.progress.complete {
            self.complete().await?;
        }
        self.freeze().await?;
        if self.ledger.progress.chunks.is_none() {
            let frozen = self.ledger.progress.frozen.clone();
            let (chunks, rows) = chunks::plan(
                self.client,
                &self.subject,
                frozen.as_ref(),
                self.cut(),
                self.options.piece(),
            )
            .await?;
            self.write(Fact::Planned { chunks, rows }).await?;
        }
        self.backfill().await?;
        self.stay_still().await?;
        self.agree().await?;
        self.compare_with_old().await?;
        self.stay_still().await?;
        self.swap(true).await?;
        self.take_all().await?;
        self.write(Fact::Swapped).await
    }

    /// All rows from before the cut are in the source.
    async fn complete(&mut self) -> Result<(), Halt> {
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970")]
        let cut = self.cut() as f64;
        self.quiet_since(cut).await?;
        self.stay_still().await?;
        self.write(Fact::Complete).await
    }

    /// Replaces the reading views, each atomically: by such that read the new state, or the old one.
    pub(super) async fn swap(&mut self, to_new: bool) -> Result<(), Halt> {
        if self.subject.change.is_some() {
            return self.change_over(to_new).await;
        }
        let (from, to) = if to_new {
            (&self.subject.old.state, &self.subject.new.state)
        } else {
            (&self.subject.new.state, &self.subject.old.state)
        };
        let names = [(from.clone(), to.clone())].into();
        let catalog = Catalog::read(self.client).await?;
        for reader in readers(&catalog, from) {
            let Some(view) = catalog.get(&reader) else {
                continue;
            };
            let replace = renamed(&view.create, &names).replacen(
                "CREATE VIEW ",
                "CREATE OR REPLACE VIEW ",
                1,
            );
            self.send(&replace).await?;
        }
        Ok(())
    }

    async fn back(&mut self) -> Result<(), Halt> {
        self.swap(false).await?;
        self.write(Fact::Back).await
    }

    /// Takes the cut out of the new view: every row that comes in is from after it by now.
    async fn take_all(&mut self) -> Result<(), Halt> {
        let plain = format!(
            "ALTER TABLE {} MODIFY QUERY {}",
            identifier(&self.subject.new.view),
            self.subject.select
        );
        self.send(&plain).await
    }

    /// The new side takes the old one's place for good.
    async fn finish(&mut self) -> Result<(), Halt> {
        self.nobody_stays().await?;
        if !self.ledger.progress.finishing {
            self.write(Fact::Finishing).await?;
        }
        // What a dead run was about to give back to the readers.
        if self.subject.change.is_none() {
            self.swap(true).await?;
        }
        let Side { state, view } = self.subject.old.clone();
        let mut views = self.attempts().await?;
        views.retain(|view| *view != self.subject.new.view);
        // A view that is new has no old side.
        if !view.is_empty() {
            views.insert(0, view);
        }
        self.let_go(&views, &state).await?;
        self.drop_scratch().await?;
        self.write(Fact::Finished).await
    }

    /// Drops views, and their table once no INSERT is left that feeds it.
    async fn let_go(&mut self, views: &[String], state: &str) -> Result<(), Halt> {
        for view in views {
            self.send(&format!("DROP VIEW IF EXISTS {}", identifier(view)))
                .await?;
        }
        if state.is_empty() {
            return Ok(());
        }
        self.quiet().await?;
        self.send(&format!("DROP TABLE IF EXISTS {}", identifier(state)))
            .await
    }

    /// Drops the tables that earlier steps and runs kept for themselves.
    pub(super) async fn drop_scratch(&mut self) -> Result<(), Halt> {
        let names = self.names().await?;
        let prefix = self.subject.scratch_prefix();
        let needed = self.needed();
        for name in names {
            if name.starts_with(&prefix) && parse(&name).1.is_none() && !needed.contains(&name) {
                self.send(&format!("DROP TABLE IF EXISTS {}", identifier(&name)))
                    .await?;
            }
        }
        Ok(())
    }

    fn tell_begun(&mut self, task: &Task) {
        if self.ledger.is_new() && matches!(task, Task::Begin { .. } | Task::Section(_)) {
            let fact = Fact::Begun {
                subject: Box::new(self.subject.clone()),
            };
            (self.events)(Event::Wrote {
                fact: &fact,
                progress: &self.ledger.progress,
            });
        }
    }

    pub(super) async fn write(&mut self, fact: Fact) -> Result<(), Halt> {
        self.lock.assert_held().await?;
        self.ledger.write(fact.clone()).await?;
        (self.events)(Event::Wrote {
            fact: &fact,
            progress: &self.ledger.progress,
        });
        Ok(())
    }

    pub(super) async fn send(&mut self, sql: &str) -> Result<(), Halt> {
        self.execute(sql, false).await
    }

    pub(super) async fn send_heavy(&mut self, sql: &str) -> Result<(), Halt> {
        self.execute(sql, true).await
    }

    async fn execute(&mut self, sql: &str, heavy: bool) -> Result<(), Halt> {
        self.lock.assert_held().await?;
        (self.events)(Event::Sending { sql });
        let begun = Instant::now();
        let mut query = Query::new(sql);
        for (name, value) in &self.settings {
            query = query.setting(name, *value);
        }
        if heavy {
            for (name, value) in &self.yielding {
                query = query.setting(name, *value);
            }
            if let Some(threads) = self.options.max_threads {
                query = query.setting("max_threads", threads.to_string());
            }
            if let Some(bytes) = self.options.max_memory {
                query = query
                    .setting("max_memory_usage", bytes.to_string())
                    .setting(
                        "max_bytes_before_external_group_by",
                        (bytes / 2).to_string(),
                    );
            }
        }
        self.client.execute(&query).await?;
        (self.events)(Event::Sent {
            sql,
            took: begun.elapsed(),
        });
        Ok(())
    }

    pub(super) async fn names(&mut self) -> Result<Vec<String>, ClickHouseError> {
        #[derive(Deserialize)]
        struct Row {
            name: String,
        }
        let query = Query::new(
            "SELECT name FROM system.tables WHERE database = currentDatabase() ORDER BY name",
        );
        let rows: Vec<Row> = self.client.rows(&query).await?;
        Ok(rows.into_iter().map(|row| row.name).collect())
    }

    pub(super) async fn exists(&mut self, name: &str) -> Result<bool, ClickHouseError> {
        Ok(self.names().await?.iter().any(|it| it == name))
    }

    pub(super) async fn has_rows(&mut self, table: &str) -> Result<bool, ClickHouseError> {
        #[derive(Deserialize)]
        struct Row {
            rows: u64,
        }
        let query = Query::new(format!(
            "SELECT toUInt64(count()) AS rows FROM {}",
            identifier(table)
        ));
        Ok(self.client.row::<Row>(&query).await?.rows > 0)
    }

    pub(super) fn cut(&self) -> u64 {
        self.ledger.progress.cut.unwrap_or(NEVER)
    }

    /// What this run's own tables are called by.
    pub(super) fn run(&self) -> String {
        self.owner
            .run_id
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .take(8)
            .collect()
    }

    async fn outcome(&mut self, stopped: bool, took: Duration) -> Result<Outcome, ClickHouseError> {
        let catalog = Catalog::read(self.client).await?;
        let progress = self.ledger.progress.clone();
        let side = if progress.swapped && !progress.aborting {
            &self.subject.new
        } else {
            &self.subject.old
        };
        Ok(Outcome {
            readers: readers(&catalog, &side.state),
            left_out: Comparison::of(&self.subject).left_out,
            progress,
            took,
            stopped,
        })
    }
}

pub(super) fn seconds(time: f64) -> u64 {
    whole(time)
}

pub(super) fn microseconds(time: f64) -> u64 {
    whole(time * 1e6)
}

fn whole(time: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "since 1970"
    )]
    let whole = time.max(0.0) as u64;
    whole
}
