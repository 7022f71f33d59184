//! The order in which objects change: what needs others behind them, and what takes something away behind all that may still need it.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{Definition, DefinitionKind, references};
use crate::diff::table::named;
use crate::diff::{Diff, Refusal, Statement, is_trigger, section};

/// What is to be done about one object.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// What destroys nothing.
    pub(super) safe: Vec<Statement>,
    /// What takes something away that holds nothing, and that another object may still read.
    pub(super) end: Vec<Statement>,
    /// What destroys data, and what cannot be done before that.
    pub(super) late: Vec<Statement>,
    /// What takes stored columns away, which another object may still read.
    pub(super) last: Vec<Statement>,
    /// What `late` makes.
    pub(super) made: Made,
    pub(super) refusals: Vec<Refusal>,
}

/// What readers have to wait for.
#[derive(Debug, Default)]
pub(super) enum Made {
    #[default]
    Nothing,
    /// These columns.
    Columns(BTreeSet<String>),
    /// The object.
    Whole,
}

impl Made {
    pub(super) fn column(&mut self, name: &str) {
        match self {
            Self::Nothing => *self = Self::Columns(BTreeSet::from([name.to_owned()])),
            Self::Columns(columns) => {
                columns.insert(name.to_owned());
            }
            Self::Whole => {}
        }
    }

    /// Whether a definition that reads the object may need it.
    fn concerns(&self, text: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::Columns(columns) => !columns.is_disjoint(&named(text)),
            Self::Whole => true,
        }
    }
}

/// An object that there is in the end.
#[derive(Debug)]
pub(super) struct Change {
    /// As it was, if it was and is another now.
    pub(super) old: Option<Definition>,
    /// As it is.
    pub(super) new: Definition,
    /// What leads there; nothing if it is the same.
    pub(super) part: Part,
}

/// Puts everything in its order. `changes` are all objects that there are in the end, each behind what it needs; `gone` those that there are
/// not, each before what it needs.
pub(super) fn assemble(
    moved: Vec<Statement>,
    mut changes: Vec<Change>,
    gone: Vec<(Definition, Part)>,
) -> Diff {
    let rebuild = if gone.is_empty() {
        section::take(&mut changes)
    } else {
        Vec::new()
    };
    let waiting = waiting(&changes);
    // What the old definitions of those that wait, and of triggers that go late, still read.
    let changed = changes.iter().filter_map(|change| {
        let waits = waiting.contains(&change.new.name);
        change.old.as_ref().map(|old| (old, &change.part, waits))
    });
    let held: BTreeSet<String> = changed
        .chain(gone.iter().map(|(old, part)| (old, part, false)))
        .filter(|(old, part, waits)| *waits || is_trigger(old) && !part.late.is_empty())
        .flat_map(|(old, ..)| references(&old.text))
        .collect();
    let mut diff = Diff {
        safe: moved,
        rebuild,
        ..Diff::default()
    };
    let (mut end, mut held_end, mut last) = (Vec::new(), Vec::new(), Vec::new());
    // A trigger goes before what it reads changes, and anything else when nobody needs it any more.
    let (triggers, others): (Vec<_>, Vec<_>) =
        gone.into_iter().partition(|(old, _)| is_trigger(old));
    for (_, part) in triggers {
        diff.safe.extend(part.safe);
        diff.late.extend(part.late);
    }
    for Change { new, part, .. } in changes {
        if waiting.contains(&new.name) {
            diff.late.extend(part.safe);
        } else {
            diff.safe.extend(part.safe);
        }
        diff.late.extend(part.late);
        if held.contains(&new.name) {
            held_end.extend(part.end);
        } else {
            end.extend(part.end);
        }
        last.extend(part.last);
        diff.refusals.extend(part.refusals);
    }
    diff.safe.extend(end);
    diff.late.extend(held_end);
    diff.late.extend(last);
    for (old, part) in others {
        if held.contains(&old.name) {
            diff.late.extend(part.safe);
        } else {
            diff.safe.extend(part.safe);
        }
        diff.late.extend(part.late);
    }
    diff
}

/// The objects that read what is only made late, directly or through others.
fn waiting(changes: &[Change]) -> BTreeSet<String> {
    let mut made: BTreeMap<&str, &Made> = BTreeMap::new();
    let mut waiting = BTreeSet::new();
    for Change { new, part, .. } in changes {
        let reads = !matches!(new.kind, DefinitionKind::Table | DefinitionKind::Function);
        let waits = reads
            && references(&new.text)
                .iter()
                .filter_map(|name| made.get(name.as_str()))
                .any(|made| made.concerns(&new.text));
        if waits {
            waiting.insert(new.name.clone());
            made.insert(&new.name, &Made::Whole);
        } else {
            made.insert(&new.name, &part.made);
        }
    }
    waiting
}
