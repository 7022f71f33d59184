//! What a rebuild would do, does, and did.

use std::fmt::Write as _;

use serde::Serialize;

use crate::diagnostic::{Diagnostic, Severity, thousands};
use crate::rebuild::{
    Added, Differences, Error, Event, Example, Fact, Outcome, Refusal, Subject, Survey, Task,
};
use crate::report::{JSON_VERSION, bytes, count, duration, json as document, moment};

/// What a rebuild would do, for a person.
#[must_use]
pub fn survey(survey: &Survey, target: &str, database: &str) -> String {
    let subject = &survey.subject;
    let chunks = usize::try_from(survey.chunks).unwrap_or(usize::MAX);
    let mut steps = vec![
        format!(
            "make {} beside {}, and a view that feeds it from `{}`",
            subject.new.state, subject.old.state, subject.source
        ),
        if subject.stopped() {
            format!(
                "see that nobody writes into `{}`, now and until readers are swapped: rows that come in stop it before that",
                subject.source
            )
        } else {
            format!(
                "choose a cut of {} some seconds ahead, and wait for every INSERT that began before it",
                subject.received_at
            )
        },
        match &subject.scope {
            None => format!(
                "aggregate {}: about {} ({}) in {}",
                history(subject),
                many(survey.source_rows),
                bytes(survey.source_bytes),
                count(chunks, "chunk")
            ),
            Some(scope) => format!(
                "aggregate {} for {}: about {} of {} have to be read",
                history(subject),
                scope.asked,
                many(survey.scope_rows.unwrap_or(survey.source_rows)),
                thousands(survey.source_rows)
            ),
        },
        match &subject.scope {
            None => format!(
                "compare every row of {} with a recomputation from `{}`",
                subject.new.state, subject.source
            ),
            Some(_) => format!(
                "compare these rows of {} with a recomputation from `{}`, and the others with {}",
                subject.new.state, subject.source, subject.old.state
            ),
        },
        format!("let the readers read it: {}", survey.readers.join(", ")),
    ];
    if let Some(change) = &subject.change {
        let may = match &change.expects {
            None => "say in which columns they differ".to_owned(),
            Some(expects) if expects.is_empty() => "stop if anything differs".to_owned(),
            Some(expects) => format!("stop if more differs than {}", expects.join(", ")),
        };
        steps.insert(
            4,
            format!("compare readers with what they say now, and {may}"),
        );
        let staying = match survey.staying.as_slice() {
            [] => String::new(),
            staying => format!(
                "; {} {} it still",
                staying.join(", "),
                if staying.len() == 1 { "reads" } else { "read" }
            ),
        };
        steps.push(format!(
            "keep {}, and feed it, as the way back{staying}",
            subject.old.state
        ));
    }
    if subject.scope.is_some() {
        steps.insert(
            3,
            format!(
                "take the other rows over as {} has them, about {}; those that get events meanwhile are aggregated too",
                subject.old.state,
                many(survey.state_rows)
            ),
        );
    }
    let why = match &subject.change {
        None if subject.scope.is_some() => {
            "is re-aggregated in part beside itself, because its definition stays".to_owned()
        }
        None => "is re-aggregated beside itself, because its definition stays".to_owned(),
        Some(_) => format!(
            "changes over from {} to {}, and not in place, because {}",
            subject.old.state, subject.new.state, survey.why
        ),
    };
    let mut text = format!("{database} on {target}: `{}` {why}\n\n", subject.name);
    for (number, step) in steps.iter().enumerate() {
        let _ = writeln!(text, "  {}  {step}", number + 1);
    }
    let _ = writeln!(
        text,
        "\nthe copy needs about {} on disk; {} are free",
        bytes(survey.state_bytes),
        bytes(survey.free_bytes)
    );
    text
}

fn history(subject: &Subject) -> &'static str {
    if subject.stopped() {
        "what is there"
    } else {
        "what was received before the cut"
    }
}

fn many(rows: u64) -> String {
    count(usize::try_from(rows).unwrap_or(usize::MAX), "row")
}

#[derive(Serialize)]
struct SurveyJson<'a> {
    version: u32,
    target: &'a str,
    database: &'a str,
    view: &'a str,
    way: &'static str,
    why: &'a str,
    source: &'a str,
    received_at: &'a str,
    writers_stopped: bool,
    only: Option<&'a str>,
    only_rows: Option<u64>,
    old_state: &'a str,
    new_state: &'a str,
    readers: &'a [String],
    staying: &'a [String],
    may_differ: Option<&'a [String]>,
    source_rows: u64,
    source_bytes: u64,
    state_bytes: u64,
    free_bytes: u64,
    chunks: u64,
    refusals: &'a [Refusal],
}

/// What a rebuild would do, for a program.
#[must_use]
pub fn survey_json(survey: &Survey, target: &str, database: &str) -> String {
    let subject = &survey.subject;
    document(&SurveyJson {
        version: JSON_VERSION,
        target,
        database,
        view: &subject.name,
        way: "shadow",
        why: &survey.why,
        source: &subject.source,
        received_at: &subject.received_at,
        writers_stopped: subject.stopped(),
        only: subject.scope.as_ref().map(|it| it.condition.as_str()),
        only_rows: survey.scope_rows,
        old_state: &subject.old.state,
        new_state: &subject.new.state,
        readers: &survey.readers,
        staying: &survey.staying,
        may_differ: subject.change.as_ref().and_then(|it| it.expects.as_deref()),
        source_rows: survey.source_rows,
        source_bytes: survey.source_bytes,
        state_bytes: survey.state_bytes,
        free_bytes: survey.free_bytes,
        chunks: survey.chunks,
        refusals: &survey.refusals,
    })
}

/// What happened, in a line for a person; nothing for what is only for those who want to know more.
#[must_use]
pub fn line(event: &Event<'_>) -> Option<String> {
    Some(match event {
        Event::Wrote { fact, progress } => {
            let subject = &progress.subject;
            if let Some(added) = &subject.added {
                return filled(fact, subject, added);
            }
            match fact {
                Fact::Begun { .. } if subject.old.state.is_empty() => {
                    format!("filling {} from `{}`", subject.new.state, subject.source)
                }
                // There is nothing that it takes the place of.
                Fact::Compared { .. } | Fact::Finishing if subject.old.state.is_empty() => {
                    return None;
                }
                Fact::Begun { .. } => format!(
                    "rebuilding `{}`: {} beside {}, from `{}`{}",
                    subject.name,
                    subject.new.state,
                    subject.old.state,
                    subject.source,
                    subject
                        .scope
                        .as_ref()
                        .map_or_else(String::new, |scope| format!(", for {}", scope.asked))
                ),
                Fact::Cut { .. } if subject.stopped() => return None,
                Fact::Cut { at } => format!("  cut at {}", moment(*at)),
                Fact::Captured if subject.stopped() => format!(
                    "  nobody writes into `{}`; what comes in from then on feeds both sides",
                    subject.source
                ),
                Fact::Captured => "  what comes in from then on feeds both sides".to_owned(),
                Fact::Complete => "  everything from before is there".to_owned(),
                Fact::Frozen { .. } => format!("  {} is looked at as it is", subject.old.state),
                Fact::Planned { chunks, .. } if subject.scope.is_some() => {
                    let of = |kept: bool| {
                        chunks
                            .iter()
                            .filter(|chunk| chunk.kept == kept)
                            .map(|chunk| chunk.rows)
                            .sum()
                    };
                    format!(
                        "  history: {} of `{}` to read, {} of {} to take over, in {}",
                        many(of(false)),
                        subject.source,
                        many(of(true)),
                        subject.old.state,
                        count(chunks.len(), "chunk")
                    )
                }
                Fact::Planned { chunks, rows } => planned(*rows, chunks.len()),
                Fact::Again if subject.stopped() => "  history has to be begun again".to_owned(),
                Fact::Again => {
                    "  the server was restarted while a chunk was moved: history is begun again"
                        .to_owned()
                }
                Fact::Agreed { rows } => format!(
                    "  {} {} the same as a recomputation from `{}`{}",
                    many(*rows),
                    if *rows == 1 { "is" } else { "are" },
                    subject.source,
                    if subject.scope.is_some() {
                        format!(", or what {} has", subject.old.state)
                    } else {
                        String::new()
                    }
                ),
                Fact::Compared { differences } => self::differences(differences),
                Fact::Swapped => "  readers read the new side".to_owned(),
                Fact::Back => "  readers read the old side".to_owned(),
                Fact::Finishing => format!("  letting {} go", subject.old.state),
                Fact::Aborting => format!("  letting {} go", subject.new.state),
                Fact::Renewed { .. }
                | Fact::Still { .. }
                | Fact::Staged { .. }
                | Fact::Moved { .. }
                | Fact::Finished
                | Fact::Kept
                | Fact::Aborted => {
                    return None;
                }
            }
        }
        Event::Waiting { running } => {
            let mut text = format!("  waiting for {} to end:", count(running.len(), "INSERT"));
            for insert in running.iter().take(3) {
                let _ = write!(text, "\n    {insert}");
            }
            text
        }
        Event::Paused { file } => format!("  paused while {file} is there"),
        Event::Sliced { slices } => format!("  memory is short: going on in {slices} slices"),
        Event::NotReleased { error } => format!(
            "the lock could not be given back and opens by itself: {}",
            crate::report::causes(*error)
        ),
        _ => return None,
    })
}

/// What happened to columns that are added in place.
fn filled(fact: &Fact, subject: &Subject, added: &Added) -> Option<String> {
    let (state, columns) = (&subject.new.state, added.filled.join(", "));
    Some(match fact {
        Fact::Begun { .. } => format!("filling {columns} of {state} from `{}`", subject.source),
        Fact::Captured => "  every INSERT from then on fills them".to_owned(),
        Fact::Planned { chunks, rows } => planned(*rows, chunks.len()),
        Fact::Agreed { rows } => format!(
            "  {} {} the same in them as a recomputation from `{}`",
            many(*rows),
            if *rows == 1 { "has" } else { "have" },
            subject.source
        ),
        Fact::Swapped if !added.readers.is_empty() => "  readers show them".to_owned(),
        Fact::Aborting => format!("  taking {columns} out of {state} again"),
        _ => return None,
    })
}

fn planned(rows: u64, chunks: usize) -> String {
    format!("  history: {} in {}", many(rows), count(chunks, "chunk"))
}

/// New against old, for a person.
fn differences(found: &Differences) -> String {
    let mut text = if found.reader.is_empty() {
        "  not compared with the old side".to_owned()
    } else {
        format!("  `{}` against what it says now", found.reader)
    };
    if let Some(why) = &found.not_compared {
        let _ = write!(text, ": {why}");
    } else if found.is_none() {
        let _ = write!(text, ": {} the same", many(found.same));
    } else {
        let _ = write!(text, ": {} the same", many(found.same));
        for (column, rows) in &found.columns {
            let _ = write!(text, "\n    {column} differs in {}", many(*rows));
        }
        for (rows, side) in [(found.only_old, "gone"), (found.only_new, "new")] {
            if rows > 0 {
                let be = if rows == 1 { "is" } else { "are" };
                let _ = write!(text, "\n    {} {be} {side}", many(rows));
            }
        }
        for example in &found.examples {
            let _ = write!(text, "\n    e.g. {}", old_and_new(example));
        }
    }
    for (columns, side) in [(&found.added, "new"), (&found.gone, "gone")] {
        if !columns.is_empty() {
            let word = if columns.len() == 1 {
                "column"
            } else {
                "columns"
            };
            let _ = write!(text, "\n    {side} {word}: {}", columns.join(", "));
        }
    }
    if found.moving > 0 {
        let _ = write!(
            text,
            "\n    left out, because events came in: {}",
            many(found.moving)
        );
    }
    text
}

/// The key of a row, and what it says.
fn key(example: &Example) -> String {
    let key: Vec<String> = example
        .key
        .iter()
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    key.join(", ")
}

fn old_and_new(example: &Example) -> String {
    let key = key(example);
    if !example.in_state {
        return format!("{key}: is gone");
    }
    if !example.in_raw {
        return format!("{key}: is new");
    }
    let cells: Vec<String> = example
        .cells
        .iter()
        .map(|(name, old, new)| format!("{name} was {} and is {}", shown(old), shown(new)))
        .collect();
    format!("{key}: {}", cells.join("; "))
}

/// A value; an empty one is to be seen.
fn shown(value: &str) -> &str {
    if value.is_empty() { "''" } else { value }
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum EventJson<'a> {
    Locked,
    Step {
        #[serde(flatten)]
        fact: &'a Fact,
        moved_chunks: usize,
        all_chunks: usize,
    },
    Waiting {
        inserts: &'a [crate::rebuild::Running],
    },
    Paused {
        file: &'a camino::Utf8Path,
    },
    Comparing {
        round: u32,
    },
    Sliced {
        slices: u64,
    },
}

/// What happened, as one line of JSON; nothing for single statements.
#[must_use]
pub fn event_json(event: &Event<'_>) -> Option<String> {
    let event = match event {
        Event::Locked => EventJson::Locked,
        Event::Wrote { fact, progress } => EventJson::Step {
            fact,
            moved_chunks: progress.moved.len(),
            all_chunks: progress.chunks.as_ref().map_or(0, Vec::len),
        },
        Event::Waiting { running } => EventJson::Waiting { inserts: running },
        Event::Paused { file } => EventJson::Paused { file },
        Event::Comparing { round } => EventJson::Comparing { round: *round },
        Event::Sliced { slices } => EventJson::Sliced { slices: *slices },
        _ => return None,
    };
    serde_json::to_string(&event).ok().map(|line| line + "\n")
}

/// How it ended, for a person.
#[must_use]
pub fn human(outcome: &Outcome, task: &Task, target: &str, database: &str) -> String {
    let subject = &outcome.progress.subject;
    let head = format!("{database} on {target}: `{}`", subject.name);
    let took = duration(outcome.took);
    if outcome.stopped {
        return format!(
            "{head}: stopped as asked, {}; `housewright rebuild --resume` goes on\n",
            outcome.progress.place()
        );
    }
    if let Some(added) = subject.added.as_ref().filter(|_| *task == Task::Resume) {
        return format!(
            "{head}: {} of {} {} filled, in {took}; `housewright apply` goes on with the migrations\n",
            added.filled.join(", "),
            subject.new.state,
            if added.filled.len() == 1 { "is" } else { "are" },
        );
    }
    match task {
        Task::Resume if subject.old.state.is_empty() => format!(
            "{head}: {} has all of history, and {} read it, in {took}; `housewright apply` goes on with the migrations\n",
            subject.new.state,
            outcome.readers.join(", ")
        ),
        Task::Finish if subject.old.state.is_empty() => {
            format!("{head} is done; there was no old side, in {took}\n")
        }
        Task::Begin { .. } | Task::Section(_) | Task::Resume if outcome.progress.finishing => {
            format!("{head} is rebuilt; the old side is gone, in {took}\n")
        }
        Task::Begin { .. } | Task::Section(_) | Task::Resume => {
            let left_out = if outcome.left_out.is_empty() {
                String::new()
            } else {
                format!(
                    "not compared, because two right answers may differ: {}\n",
                    outcome.left_out.join(", ")
                )
            };
            format!(
                "{head} is rebuilt: {} now read {}, in {took}\n{left_out}{} is kept, and fed: `housewright rebuild --rollback` lets readers go back to it, `--finish` lets it go\n",
                outcome.readers.join(", "),
                subject.new.state,
                subject.old.state
            )
        }
        Task::Finish => format!("{head} is rebuilt; the old side is gone, in {took}\n"),
        Task::RollBack => format!(
            "{head}: {} read {} again, in {took}\n{} is kept, and fed: `housewright rebuild --resume` compares and swaps again, `--abort` lets it go\n",
            outcome.readers.join(", "),
            subject.old.state,
            subject.new.state
        ),
        Task::Abort => {
            format!("{head}: the rebuild was taken back, in {took}; everything is as it was\n")
        }
    }
}

#[derive(Serialize)]
struct OutcomeJson<'a> {
    version: u32,
    event: &'static str,
    ok: bool,
    target: &'a str,
    database: &'a str,
    view: &'a str,
    swapped: bool,
    stopped: bool,
    rows_compared: Option<u64>,
    not_compared: &'a [String],
    differences: Option<&'a Differences>,
    readers: &'a [String],
    duration_ms: u64,
}

/// How it ended, as one line of JSON.
#[must_use]
pub fn json(outcome: &Outcome, target: &str, database: &str) -> String {
    let value = OutcomeJson {
        version: JSON_VERSION,
        event: "ended",
        ok: !outcome.stopped,
        target,
        database,
        view: &outcome.progress.subject.name,
        swapped: outcome.progress.swapped,
        stopped: outcome.stopped,
        rows_compared: outcome.progress.agreed,
        not_compared: &outcome.left_out,
        differences: outcome.progress.compared.as_ref(),
        readers: &outcome.readers,
        duration_ms: u64::try_from(outcome.took.as_millis()).unwrap_or(u64::MAX),
    };
    serde_json::to_string(&value)
        .map(|line| line + "\n")
        .unwrap_or_default()
}

/// What stands in the way, or differs, as findings. `None`: the error says it all.
#[must_use]
pub fn findings(error: &Error) -> Option<Vec<Diagnostic>> {
    match error {
        Error::Refused(refusals) => Some(refusals.iter().map(Refusal::finding).collect()),
        Error::Disagree {
            examples, in_place, ..
        } => {
            let mut finding = Diagnostic::new(Severity::Error, "parity", error.to_string());
            for example in examples {
                finding = finding.note(self::example(example));
            }
            let help = if *in_place {
                "does a column's DEFAULT count where it should not, or were rows deleted from the source? `housewright rebuild --abort` takes the columns out again"
            } else {
                "was a server killed during an INSERT, or were rows deleted from the source? `housewright rebuild --abort`, and begin again; `--resume` only compares again"
            };
            Some(vec![finding.help(help)])
        }
        Error::Unexpected {
            differences,
            columns,
        } => {
            let mut finding =
                Diagnostic::new(Severity::Error, "unexpected-difference", error.to_string())
                    .note(format!("more than expected: {}", columns.join(", ")));
            for example in &differences.examples {
                finding = finding.note(old_and_new(example));
            }
            Some(vec![finding.help(
                "if that is meant, `housewright rebuild --abort`, add it to what may differ, and begin again; otherwise mend the definition",
            )])
        }
        Error::BegunPlainly { steps } => {
            let finding = Diagnostic::new(Severity::Error, "begun-plainly", error.to_string());
            Some(vec![finding.help(format!(
                "{}; then `apply` again makes history anew",
                steps.join("; ")
            ))])
        }
        _ => None,
    }
}

fn example(example: &Example) -> String {
    let key = key(example);
    if !example.in_state {
        return format!("{key}: is missing");
    }
    if !example.in_raw {
        return format!("{key}: should not be there");
    }
    let cells: Vec<String> = example
        .cells
        .iter()
        .map(|(name, raw, state)| format!("{name} should be {raw} and is {state}"))
        .collect();
    format!("{key}: {}", cells.join("; "))
}
