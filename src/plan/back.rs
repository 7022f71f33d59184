//! What `rollback` does: the down sections as the journal stored them when they were applied, the last version first. Pure.

use camino::Utf8PathBuf;

use crate::journal::{Journal, Record};
use crate::migration::{Migration, Migrations};
use crate::plan::{Direction, Plan, Standing, State, Step, count, refusal, title};
use crate::sql::{Statement, allowance, split};

/// How far back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The last so many migrations, counted by version.
    Steps(u32),
    /// Everything above this version, which stays; 0 for everything.
    To(u64),
}

impl Plan {
    /// Decides what to roll back. What the files say now does not matter, nor whether they are there.
    #[must_use]
    pub fn back(migrations: &Migrations, journal: &Journal, reach: Reach) -> Self {
        let mut plan = Self::stand(migrations, journal);
        let begun = plan
            .standings
            .iter()
            .rev()
            .filter_map(|standing| Some((standing, standing.record.as_ref()?)));
        let chosen: Vec<(&Standing, &Record)> = match reach {
            Reach::Steps(steps) => begun.take(steps as usize).collect(),
            Reach::To(to) => begun
                .take_while(|(standing, _)| standing.version > to)
                .collect(),
        };
        let mut refusals = Vec::new();
        if let Reach::To(to) = reach
            && to > 0
            && plan.standing(to).is_none()
        {
            refusals.push(
                refusal("unknown-version", format!("there is no migration {to:04}")).help(
                    "`housewright status` lists the versions; `--to 0` rolls back everything",
                ),
            );
        }
        let mut steps = Vec::new();
        for (standing, record) in chosen {
            let title = title(standing.version, &standing.name);
            match standing.state {
                State::Partial { .. } | State::Failed { .. } => refusals.push(
                    refusal("half-applied", format!("{title} is not applied in full, so its down section may not fit"))
                        .help("bring it to its end with `housewright apply`, if need be with its rest taken out of the file; then roll it back"),
                ),
                // Settled first; then it stands otherwise.
                State::InDoubt { .. } | State::RollbackInDoubt { .. } => {}
                _ => {
                    let migration = migrations.get(standing.version);
                    let down = Down::of(record, migration);
                    if down.statements.is_empty() {
                        refusals.push(
                            refusal("no-down-section", format!("{title} had no down section when it was applied, so it cannot be rolled back"))
                                .note("what the journal stored then is what counts, not what the file says now")
                                .help("write a migration that takes it back (`housewright new`)"),
                        );
                    }
                    let done = record.rolled_back();
                    steps.extend(down.steps(record).filter(|step| step.number > done));
                }
            }
        }
        if refusals.is_empty() {
            plan.steps = steps;
        }
        plan.refusals = refusals;
        plan
    }
}

/// A stored down section, and where it can be read.
struct Down {
    path: Utf8PathBuf,
    text: String,
    statements: Vec<Statement>,
}

impl Down {
    fn of(record: &Record, migration: Option<&Migration>) -> Self {
        let same = migration.and_then(|migration| {
            let down = migration.down.as_ref()?;
            (down.text == record.down_sql).then(|| Self {
                path: migration.path.clone(),
                text: migration.text.clone(),
                statements: down.statements.clone(),
            })
        });
        same.unwrap_or_else(|| Self {
            path: Utf8PathBuf::from(format!(
                "{} (its down section, as the journal has it)",
                title(record.version, &record.name)
            )),
            text: record.down_sql.clone(),
            statements: split(&record.down_sql),
        })
    }

    fn steps(self, record: &Record) -> impl Iterator<Item = Step> {
        let total = count(self.statements.len());
        let mut end = 0;
        (1..)
            .zip(self.statements)
            .map(move |(number, statement)| {
                let between = self.text.get(end..statement.span.start).unwrap_or_default();
                end = statement.span.end;
                Step {
                    version: record.version,
                    name: record.name.clone(),
                    direction: Direction::Down,
                    path: self.path.clone(),
                    file_sha256: record.file_sha256.clone(),
                    down_sql: record.down_sql.clone(),
                    allowance: allowance(between, "destructive"),
                    unsettled: allowance(between, "unsettled"),
                    ..Step::of(&statement, number, total)
                }
            })
            .collect::<Vec<_>>()
            .into_iter()
    }
}
