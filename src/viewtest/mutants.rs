//! How strong the cases are: the schema is made wrong in one place after the other, and each time a case has to notice.
//!
//! A mutant is a schema with one changed statement, built in a database of its own. It is *refused* if the server does not take it,
//! *killed* by the first reading of a case that differs from what the original answers, *equivalent* if no row of a [`Sample`] tells it
//! from the original, and *survives* otherwise: then a case is missing.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;

use crate::catalog::Catalog;
use crate::config::{Equivalents, TestEntry};
use crate::diagnostic::{Diagnostic, Location, Severity};
use crate::scratch::{Blueprint, BuildError};
use crate::sql::{Kind, Span, TokenKind, header, tokens};
use crate::viewtest::case::Case;
use crate::viewtest::history::History;
use crate::viewtest::killers::{Killers, Part};
use crate::viewtest::mutate::{Mutation, Types, mutations};
use crate::viewtest::play::{Script, Stop};
use crate::viewtest::reach::Reach;
use crate::viewtest::sample::{Example, Sample};
use crate::viewtest::snapshot::Answers;
use crate::viewtest::stage::{Stage, Theatre};
use crate::viewtest::suite::{Outcome, Suite};

/// A schema that is wrong in one place.
#[derive(Clone, Debug)]
pub struct Mutant {
    /// What is changed, as `object.column: before → after`; unique in the schema.
    pub name: String,
    /// The number of the changed statement in [`Blueprint::pieces`].
    pub piece: usize,
    /// Where that statement stands.
    pub location: Location,
    /// The lines that are not in the mutant.
    pub removed: Vec<String>,
    /// The lines that are only in the mutant.
    pub added: Vec<String>,
    sql: String,
}

/// What became of a mutant.
#[derive(Clone, Debug)]
pub enum Fate {
    /// The server does not take it, or it takes no row.
    Refused {
        /// What the server says.
        because: String,
    },
    /// A case noticed.
    Killed {
        /// Its place in [`Suite::cases`].
        case: usize,
        /// The reading that differs; `None` if the case could not be played to its end.
        history: Option<History>,
    },
    /// Nothing tells it from the original.
    Equivalent,
    /// Rows differ, and no case notices.
    Survived {
        /// One of them.
        example: Box<Example>,
    },
}

/// What happens, as it happens.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// So many mutants will be tried.
    Begun(usize),
    /// A mutant is done.
    Ended(&'a Mutant, &'a Fate),
}

/// All mutants, and what became of them.
#[derive(Debug, Default)]
pub struct Report {
    /// In the order of the schema.
    pub fates: Vec<(Mutant, Fate)>,
    /// What is wrong with the list of equivalent mutants.
    pub findings: Vec<Diagnostic>,
}

impl Report {
    /// How many were killed.
    #[must_use]
    pub fn killed(&self) -> usize {
        self.count(|fate| matches!(fate, Fate::Killed { .. }))
    }

    /// How many survived.
    #[must_use]
    pub fn survived(&self) -> usize {
        self.count(|fate| matches!(fate, Fate::Survived { .. }))
    }

    /// How many fates are of a kind.
    pub fn count(&self, which: impl Fn(&Fate) -> bool) -> usize {
        self.fates.iter().filter(|(_, fate)| which(fate)).count()
    }

    /// The killed ones among those that can be, in percent; 100 if there are none.
    #[must_use]
    pub fn score(&self) -> f64 {
        let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        let (killed, survived) = (number(self.killed()), number(self.survived()));
        if killed + survived == 0.0 {
            100.0
        } else {
            100.0 * killed / (killed + survived)
        }
    }
}

/// Every mutant of a schema, by the statements that its objects are made of now.
#[must_use]
pub fn mutants(blueprint: &Blueprint, catalog: &Catalog) -> Vec<Mutant> {
    let mut all = Vec::new();
    let mut taken = BTreeMap::new();
    for (piece, statement) in blueprint.pieces.iter().enumerate() {
        if !is_live(blueprint, piece, catalog) {
            continue;
        }
        let types = types(&statement.sql, catalog);
        for mutation in mutations(&statement.sql, &types, &mut taken) {
            let sql = mutation.apply(&statement.sql);
            let (removed, added) = lines(&statement.sql, &sql);
            let location = place(&statement.location, &statement.sql, &mutation);
            all.push(Mutant {
                name: mutation.name,
                piece,
                location,
                removed,
                added,
                sql,
            });
        }
    }
    all
}

/// The place of the first change in the file that the statement stands in.
fn place(statement: &Location, sql: &str, mutation: &Mutation) -> Location {
    let (Some((first, _)), Some((last, _))) = (mutation.edits.first(), mutation.edits.last())
    else {
        return statement.clone();
    };
    let before = sql.get(..first.start).unwrap_or_default();
    let line = before.rsplit('\n').next().unwrap_or_default();
    let from = if line.len() == before.len() {
        statement.column
    } else {
        1
    };
    Location {
        path: statement.path.clone(),
        span: Span {
            start: statement.span.start + first.start,
            end: statement.span.start + last.end,
        },
        line: statement.line + before.matches('\n').count(),
        column: from + line.chars().count(),
    }
}

/// Whether what a statement says still holds: no later one drops its object, or makes it anew.
fn is_live(blueprint: &Blueprint, piece: usize, catalog: &Catalog) -> bool {
    let Some(statement) = blueprint.pieces.get(piece) else {
        return false;
    };
    let own = header(&statement.sql);
    let Some(object) = own.objects.first() else {
        return false;
    };
    let query = |sql: &str| {
        let words: Vec<&str> = tokens(sql)
            .filter(|token| token.kind == TokenKind::BareWord)
            .map(|token| token.span.of(sql))
            .collect();
        words.windows(2).any(|pair| {
            pair.iter()
                .zip(["MODIFY", "QUERY"])
                .all(|(word, keyword)| word.eq_ignore_ascii_case(keyword))
        })
    };
    let replaced = blueprint.pieces.iter().skip(piece + 1).any(|later| {
        let header = header(&later.sql);
        let same = header.objects.iter().any(|other| other.name == object.name);
        same && match header.kind {
            Kind::CreateTable | Kind::CreateView | Kind::CreateMaterializedView => true,
            Kind::Alter => own.kind == Kind::CreateMaterializedView && query(&later.sql),
            _ => header.label.starts_with("DROP"),
        }
    });
    !replaced && catalog.get(&object.name).is_some()
}

/// The types of the columns that a statement may name: those of the objects it reads, and for a table its own.
fn types(sql: &str, catalog: &Catalog) -> Types {
    let header = header(sql);
    let own = header.objects.first().map(|object| object.name.as_str());
    let target = header.target.as_ref().map(|target| target.name.as_str());
    let is_view = matches!(header.kind, Kind::CreateView | Kind::CreateMaterializedView);
    let mut types = Types::new();
    for token in tokens(sql) {
        let word = token.span.of(sql).trim_matches('`');
        if is_view && (Some(word) == own || Some(word) == target) {
            continue;
        }
        if let Some(object) = catalog.get(word) {
            for column in &object.columns {
                types
                    .entry(column.name.clone())
                    .or_insert_with(|| column.r#type.clone());
            }
        }
    }
    types
}

/// The lines in which two texts differ.
fn lines(before: &str, after: &str) -> (Vec<String>, Vec<String>) {
    let (before, after): (Vec<&str>, Vec<&str>) =
        (before.lines().collect(), after.lines().collect());
    let same = |(one, other): &(&&str, &&str)| one == other;
    let head = before.iter().zip(&after).take_while(same).count();
    let (before, after) = (
        before.get(head..).unwrap_or_default(),
        after.get(head..).unwrap_or_default(),
    );
    let tail = before
        .iter()
        .rev()
        .zip(after.iter().rev())
        .take_while(same)
        .count();
    let own = |lines: &[&str]| -> Vec<String> {
        let kept = lines.len().saturating_sub(tail);
        lines
            .iter()
            .take(kept)
            .map(|&line| line.to_owned())
            .collect()
    };
    (own(before), own(after))
}

/// What is tried, and how.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// Only mutants whose name has one of these words; all if there are none.
    pub only: &'a [String],
    /// The mutants that are known to be equivalent.
    pub equivalents: &'a Equivalents,
    /// The cases whose rows the generated ones are bred from: all that there are, whichever are played. Else a few cases would make a
    /// mistake look like the original.
    pub parents: &'a [Case],
    /// How many are tried at once.
    pub jobs: usize,
}

/// Tries every mutant. `outcomes` are those of the original, which must be good.
///
/// # Errors
/// [`BuildError`]: the schema could not be built, or the server went away.
pub async fn run(
    theatre: &Theatre,
    blueprint: &Blueprint,
    suite: &Suite,
    outcomes: &[Outcome],
    test: &TestEntry,
    options: Options<'_>,
    events: &(dyn Fn(Event<'_>) + Sync),
) -> Result<Report, BuildError> {
    let mut stage = Stage::open(theatre, blueprint).await?;
    let all = mutants(blueprint, &stage.catalog);
    let names: Vec<String> = all.iter().map(|mutant| mutant.name.clone()).collect();
    let wanted = |mutant: &Mutant| {
        options.only.is_empty() || options.only.iter().any(|word| mutant.name.contains(word))
    };
    let tried: Vec<Mutant> = all.into_iter().filter(wanted).collect();
    if tried.is_empty() {
        stage.close().await;
        return Ok(Report::default());
    }
    let sample = Sample::of(options.parents, &mut stage, test).await;
    let catalog = std::mem::take(&mut stage.catalog);
    stage.close().await;
    let trial = Trial {
        theatre,
        blueprint,
        catalog: &catalog,
        suite,
        outcomes,
        test,
        sample: sample?,
        killers: Mutex::new(Killers::new(outcomes)),
        listed: options.equivalents,
    };
    events(Event::Begun(tried.len()));
    let next = AtomicUsize::new(0);
    let fates = Mutex::new(BTreeMap::new());
    let workers = (0..options.jobs.clamp(1, tried.len().max(1))).map(|_| async {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(mutant) = tried.get(index) else {
                return Ok::<(), BuildError>(());
            };
            let fate = trial.judge(mutant).await?;
            events(Event::Ended(mutant, &fate));
            if let Ok(mut fates) = fates.lock() {
                fates.insert(index, fate);
            }
        }
    });
    join_all(workers)
        .await
        .into_iter()
        .collect::<Result<Vec<()>, BuildError>>()?;
    let fates = fates.into_inner().unwrap_or_default();
    let fates: Vec<(Mutant, Fate)> = tried.into_iter().zip(fates.into_values()).collect();
    let findings = findings(&fates, &names, options.equivalents);
    Ok(Report { fates, findings })
}

struct Trial<'a> {
    theatre: &'a Theatre,
    blueprint: &'a Blueprint,
    /// What is in the original.
    catalog: &'a Catalog,
    suite: &'a Suite,
    outcomes: &'a [Outcome],
    test: &'a TestEntry,
    sample: Sample,
    killers: Mutex<Killers>,
    /// The mutants that are known to be equivalent.
    listed: &'a Equivalents,
}

impl Trial<'_> {
    async fn judge(&self, mutant: &Mutant) -> Result<Fate, BuildError> {
        let mut blueprint = self.blueprint.clone();
        if let Some(piece) = blueprint.pieces.get_mut(mutant.piece) {
            piece.sql.clone_from(&mutant.sql);
        }
        let mut stage = match Stage::open(self.theatre, &blueprint).await {
            Ok(stage) => stage,
            Err(error) => return refused(error),
        };
        let fate = self.play(mutant, &mut stage).await;
        stage.close().await;
        fate
    }

    async fn play(&self, mutant: &Mutant, stage: &mut Stage<'_>) -> Result<Fate, BuildError> {
        let object = header(&mutant.sql).objects.into_iter().next();
        let object = object.map(|object| object.name).unwrap_or_default();
        let reach = Reach::of(self.catalog, &object);
        let mut order = self
            .killers
            .lock()
            .map(|killers| killers.order(mutant.piece))
            .unwrap_or_default();
        order.retain(|(_, index)| {
            let case = self.suite.cases.get(*index);
            case.is_some_and(|case| reach.concerns(case))
        });
        // What somebody thought through is proven again by the sample, merged and unmerged, and by a reading of every case.
        let listed = self.listed.reason(&mutant.name).is_some();
        let mut example = None;
        if listed {
            example = self.sample.tell(stage, &reach).await?;
            if example.is_none() {
                order.retain(|(part, _)| *part == Part::Simplest);
            }
        }
        for (part, index) in order {
            let Some(history) = self.notices(part, index, stage, listed).await? else {
                continue;
            };
            if history.is_none()
                && let Some(because) = self.sample.refusal(stage).await?
            {
                return Ok(Fate::Refused { because });
            }
            if let Ok(mut killers) = self.killers.lock() {
                killers.killed(mutant.piece, part, index);
            }
            return Ok(Fate::Killed {
                case: index,
                history,
            });
        }
        if !listed {
            example = self.sample.tell(stage, &reach).await?;
        }
        Ok(example.map_or(Fate::Equivalent, |example| Fate::Survived {
            example: Box::new(example),
        }))
    }

    /// Whether a case tells a mutant from the original, and by which reading; `once`: no more than the first is taken.
    async fn notices(
        &self,
        part: Part,
        index: usize,
        stage: &mut Stage<'_>,
        once: bool,
    ) -> Result<Option<Option<History>>, BuildError> {
        let (Some(case), Some(original)) = (
            self.suite.cases.get(index),
            self.outcomes.iter().find(|outcome| outcome.index == index),
        ) else {
            return Ok(None);
        };
        let mut noticed = None;
        let played = async {
            let script = Script::of(case, stage, self.test).await?;
            let ways = script.ways(stage);
            let (simplest, others) = ways.split_at(ways.len().min(1));
            for way in match part {
                Part::Simplest => simplest,
                Part::Others => others,
            } {
                let told = script
                    .play_one(stage, *way, &mut |reading| {
                        if differs(&original.answers, &reading.answers) {
                            noticed = Some(Some(reading.history));
                            return ControlFlow::Break(());
                        }
                        if once {
                            ControlFlow::Break(())
                        } else {
                            ControlFlow::Continue(())
                        }
                    })
                    .await?;
                if told.is_break() {
                    break;
                }
            }
            Ok(())
        }
        .await;
        match played {
            Ok(()) => Ok(noticed),
            Err(Stop::Finding(_)) => Ok(Some(None)),
            Err(Stop::Broken(error)) if is_exception(&error) => Ok(Some(None)),
            Err(Stop::Broken(error)) => Err(error),
        }
    }
}

/// Every history of the original gives the same answers, so that the first one stands for all.
fn differs(original: &Answers, answers: &Answers) -> bool {
    answers.iter().any(|(heading, rows)| {
        original
            .iter()
            .any(|(asked, expected)| asked == heading && expected != rows)
    })
}

fn is_exception(error: &BuildError) -> bool {
    match error {
        BuildError::Statement { error, .. } | BuildError::ClickHouse(error) => {
            error.exception().is_some()
        }
        BuildError::Database { .. } => false,
    }
}

fn refused(error: BuildError) -> Result<Fate, BuildError> {
    let exception = match &error {
        BuildError::Statement { error, .. } | BuildError::ClickHouse(error) => error.exception(),
        BuildError::Database { .. } => None,
    };
    match exception {
        Some(exception) => Ok(Fate::Refused {
            because: format!("{}: {}", exception.name, exception.message),
        }),
        None => Err(error),
    }
}

/// Equivalent mutants that nobody explained, and explanations that do not hold.
fn findings(
    fates: &[(Mutant, Fate)],
    names: &[String],
    equivalents: &Equivalents,
) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    for (mutant, fate) in fates {
        if matches!(fate, Fate::Equivalent) && equivalents.reason(&mutant.name).is_none() {
            findings.push(
                Diagnostic::new(
                    Severity::Error,
                    "unexplained-equivalent",
                    format!("nothing tells the mutant `{}` from the schema", mutant.name),
                )
                .at(Some(mutant.location.clone()))
                .note(mutant.added.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" "))
                .help(format!("think why: add a case that tells them apart, simplify the schema, or give the reason in {}", equivalents.path)),
            );
        }
    }
    for entry in &equivalents.entries {
        let fate = fates.iter().find(|(mutant, _)| mutant.name == entry.name);
        let what = match fate {
            Some((_, Fate::Killed { .. })) => "is told from the schema by a case",
            Some((_, Fate::Survived { .. })) => "gives other rows than the schema",
            Some((_, Fate::Refused { .. })) => "is refused by ClickHouse",
            Some((_, Fate::Equivalent)) => continue,
            None if names.contains(&entry.name) => continue,
            None => "is no mutant of this schema",
        };
        findings.push(
            Diagnostic::new(
                Severity::Error,
                "stale-equivalent",
                format!("`{}` {what}, and is listed as equivalent", entry.name),
            )
            .at(Some(Location {
                path: equivalents.path.clone(),
                span: Span {
                    start: entry.span.start,
                    end: entry.span.end,
                },
                line: entry.line,
                column: 1,
            }))
            .help("remove the line"),
        );
    }
    findings
}
