//! Migrations + journal → what to do. Pure: `plan`, `apply --dry-run` and `apply` share the value that is made here.
//!
//! Nothing here knows how a statement is executed or shown. What stands in the way is a refusal with its remedy, never a guess.

mod back;
mod basis;
mod doubt;
mod effect;
mod partition;
mod refusal;
mod step;
mod way;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{Generations, Holdings};
use crate::diagnostic::Diagnostic;
use crate::journal::{Condition, Journal, Record, records};
use crate::migration::{Migration, Migrations};
use crate::sql::{Allowance, allowance, header};

pub use crate::plan::back::Reach;
pub use crate::plan::basis::Basis;
pub use crate::plan::doubt::{Findings, Log, Sign, Trace, Traces, Verdict, decide};
pub use crate::plan::effect::{Effect, deleted};
pub use crate::plan::partition::is_partition;
pub use crate::plan::refusal::unsettleable;
use crate::plan::refusal::{destructive, in_doubt, rebuilding, refusal, unfinished};
pub use crate::plan::step::{Direction, Doubt, Step};
pub use crate::plan::way::{How, Way};

/// What is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The last version to apply; `None` for all.
    pub to: Option<u64>,
    /// Apply a pending migration although a later one is applied already.
    pub out_of_order: bool,
    /// Execute statements that destroy data although nothing in their file allows it.
    pub allow_destructive: bool,
}

/// What to do, and what stands in the way of it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How every migration stands, of the files and of the journal, by version.
    pub standings: Vec<Standing>,
    /// The statements to execute, in order.
    pub steps: Vec<Step>,
    /// The statements that were begun and whose end nobody wrote down; `apply` settles them before anything else.
    pub doubts: Vec<Doubt>,
    /// Why nothing may be executed; empty if nothing stands in the way.
    pub refusals: Vec<Diagnostic>,
    /// The statements that destroy data of the target and that nothing allows; known once the plan is weighed.
    pub destructive: Vec<Diagnostic>,
    /// How the changed definitions among the steps are carried out; known once the plan is weighed.
    pub ways: Vec<Way>,
    /// The journal's last position when this was decided.
    pub journal_position: u64,
    /// The state this was made from; known once the plan is weighed.
    pub basis: Option<Basis>,
}

/// How one migration stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The version.
    pub version: u64,
    /// The name.
    pub name: String,
    /// The state.
    pub state: State,
    /// The number of statements.
    pub statements: u32,
    /// What the journal knows, if it knows the migration.
    pub record: Option<Record>,
}

/// The state of a migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// All statements are done, and the file still says the same.
    Applied,
    /// Nothing was begun.
    Pending,
    /// Some statements are done; the next was not begun.
    Partial {
        /// How many are done.
        done: u32,
    },
    /// The server refused a statement; `apply` continues with it.
    Failed {
        /// Its number.
        statement: u32,
    },
    /// A statement was begun and its end never recorded.
    InDoubt {
        /// Its number.
        statement: u32,
    },
    /// A rollback was begun and is not at its end; `rollback` continues it.
    RollingBack {
        /// How many statements of its down section are done.
        done: u32,
    },
    /// A statement of the down section was begun and its end never recorded.
    RollbackInDoubt {
        /// Its number.
        statement: u32,
    },
    /// The file is not what was applied.
    Changed {
        /// The first statement that differs.
        statement: u32,
    },
    /// It was applied, and there is no file.
    Missing,
}

impl Plan {
    /// How everything stands, and nothing to do.
    fn stand(migrations: &Migrations, journal: &Journal) -> Self {
        let records = records(journal);
        let mut standings: BTreeMap<u64, Standing> = records
            .values()
            .map(|record| (record.version, missing(record)))
            .collect();
        for migration in migrations.iter() {
            let record = records.get(&migration.version);
            standings.insert(migration.version, standing(migration, record));
        }
        let doubts = standings
            .values()
            .filter_map(|standing| doubt(standing, migrations, journal))
            .collect();
        Self {
            standings: standings.into_values().collect(),
            steps: Vec::new(),
            doubts,
            refusals: Vec::new(),
            destructive: Vec::new(),
            ways: Vec::new(),
            journal_position: journal.position(),
            basis: None,
        }
    }

    /// Decides what to do.
    #[must_use]
    pub fn make(migrations: &Migrations, journal: &Journal, options: Options) -> Self {
        let mut plan = Self::stand(migrations, journal);
        plan.refuse(migrations, options);
        for migration in migrations.iter() {
            let wanted = options.to.is_none_or(|to| migration.version <= to);
            let done =
                plan.standing(migration.version)
                    .map_or(0, |standing| match standing.state {
                        State::Pending => 0,
                        State::Partial { done } => done,
                        State::Failed { statement } | State::InDoubt { statement } => statement - 1,
                        State::Applied
                        | State::RollingBack { .. }
                        | State::RollbackInDoubt { .. }
                        | State::Changed { .. }
                        | State::Missing => u32::MAX,
                    });
            if wanted {
                plan.steps
                    .extend(steps(migration).filter(|step| step.number > done));
            }
        }
        plan
    }

    /// The databases other than the target's that its statements name.
    #[must_use]
    pub fn databases(&self) -> BTreeSet<String> {
        let mut databases = BTreeSet::new();
        for step in &self.steps {
            let header = header(&step.sql);
            let whole = header.label.ends_with("DATABASE") || header.label.ends_with("TABLES FROM");
            for object in header.objects {
                databases.extend(if whole {
                    Some(object.name)
                } else {
                    object.database
                });
            }
        }
        databases
    }

    /// Says of each statement what it does to what is on the target, and refuses those that destroy data and are not allowed to.
    pub fn weigh(&mut self, holdings: &Holdings, allow_destructive: bool) {
        let mut world = world::World::of(holdings);
        self.destructive.clear();
        for step in &mut self.steps {
            let mut effect = world.execute(&step.sql);
            // A section does to rows that are there what its way says.
            effect.keeps = effect.keeps.filter(|_| step.section.is_none());
            let allowed =
                allow_destructive || matches!(step.allowance, Some(Allowance::Because(_)));
            if let Some(lost) = effect.destroys.as_ref().filter(|_| !allowed) {
                self.destructive.push(destructive(step, lost, &effect));
            }
            step.effect = Some(effect);
        }
        self.basis = Some(Basis::of(self.journal_position, &self.steps, holdings));
    }

    /// Refuses statements about what a rebuild is making anew: they would reach one of the two generations that stand.
    pub fn respect(&mut self, generations: &Generations) {
        let found = self.steps.iter().filter_map(|step| {
            let name = generations.unfinished(&step.sql)?;
            Some(rebuilding(step, name))
        });
        self.refusals.extend(found.collect::<Vec<_>>());
    }

    /// How a migration stands.
    #[must_use]
    pub fn standing(&self, version: u64) -> Option<&Standing> {
        self.standings
            .iter()
            .find(|standing| standing.version == version)
    }

    /// Whether everything is applied as it should be.
    #[must_use]
    pub fn is_up_to_date(&self) -> bool {
        self.refusals.is_empty() && self.steps.is_empty() && self.doubts.is_empty()
    }

    fn refuse(&mut self, migrations: &Migrations, options: Options) {
        let begun = |standing: &&Standing| standing.record.is_some();
        let last_begun = self
            .standings
            .iter()
            .rev()
            .find(begun)
            .map(|standing| standing.version);
        let mut refusals = Vec::new();
        for standing in &self.standings {
            let migration = migrations.get(standing.version);
            let at =
                |statement: u32| migration.and_then(|migration| location(migration, statement));
            let title = title(standing.version, &standing.name);
            match standing.state {
                State::Changed { statement } => refusals.push(
                    refusal("changed-migration", format!("{title} was applied, and its file now says something else, from statement {statement} on"))
                        .at(at(statement))
                        .help("bring the file back as it was (`git checkout`), and write what should be different into a new migration (`housewright new`)"),
                ),
                State::Missing => refusals.push(
                    refusal("missing-migration", format!("{title} was applied, and there is no file of that version"))
                        .help("bring the file back (`git checkout`), or switch to the branch that has it; a migration that was applied is never taken away, only followed by another"),
                ),
                State::RollingBack { done } => refusals.push(unfinished(standing, done)),
                State::Pending
                    if !options.out_of_order
                        && options.to.is_none_or(|to| standing.version <= to)
                        && last_begun.is_some_and(|last| last > standing.version) =>
                {
                    refusals.push(
                        refusal("out-of-order", format!("{title} is pending, and version {:04} was applied before it", last_begun.unwrap_or_default()))
                            .at(at(1))
                            .help("if no server has it yet, give the file the next free version; or apply it all the same with `--out-of-order`"),
                    );
                }
                _ => {}
            }
        }
        if let Some(to) = options.to
            && migrations.get(to).is_none()
        {
            refusals.push(
                refusal("unknown-version", format!("there is no migration {to:04}"))
                    .help("`housewright status` lists the versions"),
            );
        }
        self.refusals = refusals;
    }
}

/// The statement of a migration that is in doubt, if one is.
fn doubt(standing: &Standing, migrations: &Migrations, journal: &Journal) -> Option<Doubt> {
    let (direction, number) = match standing.state {
        State::InDoubt { statement } => (Direction::Up, statement),
        State::RollbackInDoubt { statement } => (Direction::Down, statement),
        _ => return None,
    };
    let fact = journal.facts().iter().rfind(|fact| {
        (fact.version, fact.statement) == (standing.version, number)
            && fact.direction == direction.word()
    })?;
    let step = Step::of_fact(fact);
    let place = migrations
        .get(standing.version)
        .filter(|_| direction == Direction::Up)
        .and_then(|migration| location(migration, number));
    Some(Doubt {
        finding: in_doubt(&step, fact).at(place),
        step,
        fact: fact.clone(),
    })
}

/// `0002_sessions`, as the file is called.
#[must_use]
pub fn title(version: u64, name: &str) -> String {
    format!("{version:04}_{name}")
}

fn missing(record: &Record) -> Standing {
    Standing {
        version: record.version,
        name: record.name.clone(),
        state: rolling_back(record).unwrap_or(State::Missing),
        statements: record.total,
        record: Some(record.clone()),
    }
}

fn standing(migration: &Migration, record: Option<&Record>) -> Standing {
    Standing {
        version: migration.version,
        name: migration.name.clone(),
        state: record.map_or(State::Pending, |record| state(migration, record)),
        statements: count(migration.up.len()),
        record: record.cloned(),
    }
}

/// Formatting and comments may change after a migration was applied; a statement may not. What was not executed yet may.
fn state(migration: &Migration, record: &Record) -> State {
    if let Some(state) = rolling_back(record) {
        return state;
    }
    let done = record.done();
    let differs = (1..=done).find(|number| {
        let recorded = record
            .statements
            .get(number)
            .map(|statement| statement.sha256.as_str());
        let written = (*number as usize)
            .checked_sub(1)
            .and_then(|index| migration.up.get(index))
            .map(crate::sql::Statement::fingerprint);
        recorded != written.as_deref()
    });
    if let Some(statement) = differs {
        return State::Changed { statement };
    }
    match record.condition() {
        Condition::Applied if count(migration.up.len()) > record.total => State::Changed {
            statement: record.total + 1,
        },
        Condition::Applied => State::Applied,
        Condition::Partial { done } => State::Partial { done },
        Condition::Failed { statement } => State::Failed { statement },
        Condition::InDoubt { statement } => State::InDoubt { statement },
    }
}

fn rolling_back(record: &Record) -> Option<State> {
    let doubt = record
        .down
        .iter()
        .find(|(_, statement)| statement.state == crate::journal::State::Started);
    match doubt {
        Some((statement, _)) => Some(State::RollbackInDoubt {
            statement: *statement,
        }),
        None => (!record.down.is_empty()).then(|| State::RollingBack {
            done: record.rolled_back(),
        }),
    }
}

fn location(migration: &Migration, statement: u32) -> Option<crate::diagnostic::Location> {
    let index = (statement as usize).saturating_sub(1);
    migration
        .up
        .get(index)
        .or_else(|| migration.up.last())
        .map(|statement| migration.location(statement.span))
}

fn steps(migration: &Migration) -> impl Iterator<Item = Step> + '_ {
    let total = count(migration.up.len());
    let down_sql = migration
        .down
        .as_ref()
        .map_or("", |down| down.text.as_str());
    let ends = std::iter::once(0).chain(migration.up.iter().map(|statement| statement.span.end));
    migration
        .up
        .iter()
        .zip(ends)
        .zip(1..)
        .map(move |((statement, end), number)| Step {
            version: migration.version,
            name: migration.name.clone(),
            path: migration.path.clone(),
            file_sha256: migration.sha256.clone(),
            down_sql: down_sql.to_owned(),
            allowance: allowance(
                migration
                    .text
                    .get(end..statement.span.start)
                    .unwrap_or_default(),
                "destructive",
            ),
            unsettled: allowance(
                migration
                    .text
                    .get(end..statement.span.start)
                    .unwrap_or_default(),
                "unsettled",
            ),
            section: migration
                .rebuild
                .clone()
                .filter(|rebuild| number >= rebuild.first_number()),
            ..Step::of(statement, number, total)
        })
}

fn count(statements: usize) -> u32 {
    u32::try_from(statements).unwrap_or(u32::MAX)
}
