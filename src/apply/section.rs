//! A section `-- migrate:rebuild`: where there are rows, its statements are carried out as one rebuild, whose ledger says how far it came.
//! The journal has its first statement as begun meanwhile, and all of them as done afterwards.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use crate::apply::run::{Run, fact, milliseconds};
use crate::apply::witness::{Phase, Witness};
use crate::apply::{Event, FailureKind};
use crate::clickhouse::{Client, Error as ClickHouseError, identifier};
use crate::diagnostic::{Diagnostic, Severity};
use crate::journal::{Fact, State};
use crate::migration::{Change, Part, Rebuild, Redefinition};
use crate::plan::{How, Plan, Step, Way};
use crate::rebuild::{self, Error, Options};
use crate::sql::Kind;

/// How a section ended.
pub(super) enum Section {
    /// Its statements are to be executed as they are.
    Plain,
    /// All of it is done.
    Done,
    /// It stopped early because it was asked to.
    Stopped,
}

impl Run<'_> {
    /// Carries out the section that begins a list of steps, if rows want more than its plain statements.
    ///
    /// # Errors
    /// [`FailureKind::Rebuild`] and others; the ledger says how far it came.
    pub(super) async fn section(
        &mut self,
        steps: &[Step],
        stop: &AtomicBool,
        events: &mut (dyn FnMut(Event<'_>) + Send),
        executed: &mut Vec<Step>,
    ) -> Result<Section, FailureKind> {
        let Some((step, section)) = steps
            .first()
            .and_then(|step| Some((step, step.section.as_ref()?)))
        else {
            return Ok(Section::Plain);
        };
        let options = self.rebuilds.clone();
        let failed = |error| FailureKind::Rebuild {
            step: Box::new(step.clone()),
            error: Box::new(error),
        };
        if step.number > section.first_number()
            && let Some(plain) = begun_plainly(section, step, steps)?
        {
            return Ok(plain);
        }
        match rebuild::way(self.client, &section.what, &options)
            .await
            .map_err(failed)?
        {
            How::Plain { .. } => return Ok(Section::Plain),
            How::Done => {
                self.write_down(steps, false, 0, events, executed).await?;
                return Ok(Section::Done);
            }
            _ => {}
        }
        let witness = Witness {
            phase: Phase::Rebuilding,
            ..Witness::default()
        };
        self.lock.assert_held().await?;
        let fact = self.begun(step, &witness);
        self.writer.append(vec![fact]).await?;
        events(Event::Started { step });
        let begun = Instant::now();
        // Boxed: what it keeps while it waits is large.
        let outcome = Box::pin(rebuild::carry_out(
            self.client,
            self.lock,
            &section.what,
            &options,
            self.owner,
            stop,
            &mut |event| events(Event::Rebuilding { event: &event }),
        ))
        .await;
        match outcome {
            Ok(outcome) if outcome.stopped => Ok(Section::Stopped),
            Ok(_) => {
                let took = milliseconds(begun.elapsed());
                self.write_down(steps, true, took, events, executed).await?;
                Ok(Section::Done)
            }
            Err(error) => {
                self.gave_up(step, &error, milliseconds(begun.elapsed()))
                    .await;
                Err(failed(error))
            }
        }
    }

    /// All of the section is there; the first statement may be written down as begun.
    async fn write_down(
        &mut self,
        steps: &[Step],
        begun: bool,
        took: u64,
        events: &mut (dyn FnMut(Event<'_>) + Send),
        executed: &mut Vec<Step>,
    ) -> Result<(), FailureKind> {
        let mut facts = Vec::new();
        let section: Vec<&Step> = of_one_section(steps).collect();
        for (index, step) in section.iter().enumerate() {
            if index > 0 || !begun {
                facts.push(fact(self.owner, step, State::Started));
            }
            facts.push(Fact {
                duration_ms: if index == 0 { took } else { 0 },
                ..fact(self.owner, step, State::Done)
            });
        }
        self.lock.assert_held().await?;
        let last = section.last().copied().or(steps.first());
        self.writer
            .append(facts)
            .await
            .map_err(|error| match last {
                Some(step) => FailureKind::NotWritten {
                    step: Box::new(step.clone()),
                    error,
                },
                None => error.into(),
            })?;
        for (index, step) in section.into_iter().enumerate() {
            let took = if index == 0 { took } else { 0 };
            let took = std::time::Duration::from_millis(took);
            executed.push(step.clone());
            events(Event::Done { step, took });
        }
        Ok(())
    }

    /// What the definition is to blame for is a failure; anything else leaves the statement in doubt, and the next run goes on with it.
    async fn gave_up(&mut self, step: &Step, error: &Error, took: u64) {
        if matches!(error, Error::Lock(_) | Error::ClickHouse(_)) {
            return;
        }
        let fact = Fact {
            error: error.to_string(),
            duration_ms: took,
            ..fact(self.owner, step, State::Failed)
        };
        // If it cannot be written down, the journal says `started` still.
        let _ = self.writer.append(vec![fact]).await;
    }
}

/// Some statements of the section were executed as they are, when its source was empty. Readers alone can follow whatever came in since,
/// and columns that are added in place are filled by whoever goes on.
fn begun_plainly(
    section: &Rebuild,
    step: &Step,
    steps: &[Step],
) -> Result<Option<Section>, FailureKind> {
    if of_one_section(steps).all(|step| step.kind == Kind::CreateView) {
        return Ok(Some(Section::Plain));
    }
    let Redefinition::Beside(change) = &*section.what else {
        return Ok(None);
    };
    let steps = taking_back(change, section.first_number()..step.number, step.version);
    Err(FailureKind::Rebuild {
        step: Box::new(step.clone()),
        error: Box::new(Error::BegunPlainly { steps }),
    })
}

/// How to take back statements of a changed definition, by their numbers, the last first.
fn taking_back(change: &Change, done: std::ops::Range<u32>, version: u64) -> Vec<String> {
    let mut parts: Vec<&Part> = [&change.state, &change.view]
        .into_iter()
        .chain(&change.readers)
        .collect();
    parts.sort_by_key(|part| part.location.span.start);
    let mut steps: Vec<String> = done
        .zip(parts)
        .map(|(number, part)| {
            let name = identifier(&part.name);
            let undo = if part.name == change.state.name {
                format!("DROP TABLE {name}")
            } else {
                format!("let {name} be what it was")
            };
            format!("{undo}, and `housewright repair --retry {version}:{number}`")
        })
        .collect();
    steps.reverse();
    steps
}

/// The steps of the section that a list begins with.
pub(super) fn of_one_section(steps: &[Step]) -> impl Iterator<Item = &Step> {
    let version = steps.first().map(|step| step.version);
    steps
        .iter()
        .take_while(move |step| Some(step.version) == version && step.section.is_some())
}

/// Says of each section of a plan which way it takes, or why it can take none.
///
/// # Errors
/// [`ClickHouseError`].
pub(super) async fn weigh(
    client: &Client,
    plan: &mut Plan,
    options: &Options,
) -> Result<(), ClickHouseError> {
    let mut ways = Vec::new();
    let mut refusals = Vec::new();
    for (index, step) in plan.steps.iter().enumerate() {
        let Some(section) = step
            .section
            .as_ref()
            .filter(|it| step.number == it.first_number())
        else {
            continue;
        };
        match rebuild::way(client, &section.what, options).await {
            Ok(how) => ways.push(Way {
                version: step.version,
                first: step.number,
                how,
            }),
            Err(Error::ClickHouse(error)) => return Err(error),
            // What stands in the way may be mended by the statements before it.
            Err(error) if index > 0 => ways.push(Way {
                version: step.version,
                first: step.number,
                how: How::Later {
                    why: rebuild_reason(&error),
                },
            }),
            Err(error) => refusals.extend(findings(step, &error)),
        }
    }
    refusals.extend(touching(client, plan).await?);
    plan.ways = ways;
    plan.refusals.extend(refusals);
    Ok(())
}

fn rebuild_reason(error: &Error) -> String {
    match error {
        Error::Refused(refusals) => refusals
            .first()
            .map_or_else(String::new, |it| it.reason.clone()),
        other => other.to_string(),
    }
}

/// What is wrong, at the section.
pub(crate) fn findings(step: &Step, error: &Error) -> Vec<Diagnostic> {
    match error {
        Error::Refused(refusals) => refusals
            .iter()
            .map(|refusal| {
                let finding = refusal.finding();
                match finding.location {
                    Some(_) => finding,
                    None => finding.at(Some(step.location())),
                }
            })
            .collect(),
        other => vec![
            Diagnostic::new(Severity::Error, "rebuild", other.to_string())
                .at(Some(step.location())),
        ],
    }
}

/// Statements about what a rebuild that is not finished works on.
async fn touching(client: &Client, plan: &Plan) -> Result<Vec<Diagnostic>, ClickHouseError> {
    let open = rebuild::last(&client.read_only())
        .await?
        .filter(|it| !it.ended && it.subject.is_written());
    let Some(progress) = open else {
        return Ok(Vec::new());
    };
    let subject = &progress.subject;
    let names = [
        &subject.old.state,
        &subject.old.view,
        &subject.new.state,
        &subject.new.view,
        &subject.source,
    ];
    let own = |step: &Step| {
        let section = step.section.as_ref();
        section.is_some_and(|it| subject.is_of(&it.what))
    };
    let touches = |step: &&Step| {
        step.kind != Kind::Insert
            && step.kind != Kind::InsertSelect
            && step.objects.iter().any(|it| names.contains(&it))
    };
    Ok(plan
        .steps
        .iter()
        .take_while(|step| !own(step))
        .filter(touches)
        .map(|step| {
            Diagnostic::new(
                Severity::Error,
                "rebuilding",
                format!(
                    "{} is about what a rebuild of `{}` works on, which is not finished: {}",
                    step.title(),
                    subject.name,
                    progress.place()
                ),
            )
            .at(Some(step.location()))
            .note("nothing was executed")
            .help(
                "bring the rebuild to its end first: `housewright rebuild --finish`, or `--abort`",
            )
        })
        .collect())
}
