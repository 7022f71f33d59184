//! What leads from one set of definitions to another: the statements of a migration, or why there are none. Pure; whether it is true is
//! proven where an engine is (`drift`).

mod columns;
mod neutral;
mod object;
mod order;
mod query;
mod section;
mod shape;
mod table;
mod view;
mod write;

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{Cycle, Definition, DefinitionKind, Definitions, Difference, references};
use crate::diff::order::{Change, Made, Part};
use crate::diff::shape::{Table, View};

pub use crate::diff::neutral::{Neutral, added, aggregate, neutral};
pub use crate::diff::object::object;
pub use crate::diff::query::QueryChange;
pub use crate::diff::write::{Way, migration};

/// A statement, without `;`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The object that it is about.
    pub object: String,
    /// What that is.
    pub kind: DefinitionKind,
    /// What it does, in words.
    pub does: String,
    /// The statement.
    pub sql: String,
    /// The data that it destroys, in words.
    pub destroys: Option<String>,
    /// Why it destroys nothing although it looks like it.
    pub harmless: Option<&'static str>,
    /// What else there is to know.
    pub note: Option<String>,
}

impl Statement {
    fn new(object: &Definition, does: impl Into<String>, sql: String) -> Self {
        Self {
            object: object.name.clone(),
            kind: object.kind,
            does: does.into(),
            sql,
            destroys: None,
            harmless: None,
            note: None,
        }
    }

    fn destroys(mut self, what: impl Into<String>) -> Self {
        self.destroys = Some(what.into());
        self
    }

    fn harmless(mut self, why: &'static str) -> Self {
        self.harmless = Some(why);
        self
    }

    fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }
}

/// A change that no migration makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The object.
    pub object: String,
    /// What that is.
    pub kind: DefinitionKind,
    /// What would have to change.
    pub what: String,
    /// Why it cannot.
    pub why: String,
    /// What to do.
    pub instead: String,
}

impl Refusal {
    fn new(
        object: &Definition,
        what: impl Into<String>,
        why: impl Into<String>,
        instead: impl Into<String>,
    ) -> Self {
        Self {
            object: object.name.clone(),
            kind: object.kind,
            what: what.into(),
            why: why.into(),
            instead: instead.into(),
        }
    }
}

/// The new names that somebody gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Renames {
    /// Of objects: old → new.
    pub objects: BTreeMap<String, String>,
    /// Of columns, by the new name of their object: old → new.
    pub columns: BTreeMap<String, BTreeMap<String, String>>,
}

impl Renames {
    /// The way back.
    #[must_use]
    pub fn inverted(&self) -> Self {
        let turned = |names: &BTreeMap<String, String>| -> BTreeMap<String, String> {
            let pairs = names.iter();
            pairs.map(|(old, new)| (new.clone(), old.clone())).collect()
        };
        let objects = turned(&self.objects);
        let columns = self.columns.iter().map(|(object, names)| {
            let object = objects.get(object).unwrap_or(object);
            (object.clone(), turned(names))
        });
        Self {
            columns: columns.collect(),
            objects,
        }
    }

    /// The definitions, made under the new names of objects, which are those in `to`.
    #[must_use]
    pub fn of(&self, from: &Definitions, to: &Definitions) -> Definitions {
        Definitions::of(from.iter().map(|old| {
            let new = self.objects.get(&old.name).and_then(|name| to.get(name));
            match new.filter(|_| old.kind != DefinitionKind::Function) {
                None => old.clone(),
                Some(new) => {
                    let mut text = old.text.clone();
                    text.replace_range(head(old).1, name(new));
                    Definition {
                        name: new.name.clone(),
                        text,
                        ..old.clone()
                    }
                }
            }
        }))
    }
}

/// What leads from one set of definitions to another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// What destroys nothing, in the order in which it is to be executed.
    pub safe: Vec<Statement>,
    /// A changed definition, behind `safe`: a new state, the view that feeds it, and the readers that change over. Nothing is `late` then.
    pub rebuild: Vec<Statement>,
    /// What destroys data, and what cannot be done before that.
    pub late: Vec<Statement>,
    /// What cannot be done.
    pub refusals: Vec<Refusal>,
}

impl Diff {
    /// Whether the two are the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.safe.is_empty()
            && self.rebuild.is_empty()
            && self.late.is_empty()
            && self.refusals.is_empty()
    }
}

/// A definition as far as a migration can make it: the list of columns of a view with a target follows from its query.
#[must_use]
pub fn essence(definition: &Definition) -> String {
    let of_view = matches!(
        definition.kind,
        DefinitionKind::MaterializedView | DefinitionKind::RefreshableView
    );
    match View::read(&definition.text).filter(|_| of_view) {
        Some(view) if view.target.is_some() => format!(
            "{:?}",
            (
                view.refresh,
                view.target,
                view.security,
                view.comment,
                view.query
            )
        ),
        _ => definition.text.clone(),
    }
}

/// Where two sets of definitions differ in what a migration can make.
#[must_use]
pub fn differences(from: &Definitions, to: &Definitions) -> Vec<Difference> {
    from.differences(to)
        .into_iter()
        .filter(|difference| match difference {
            Difference::Different { should, is } => {
                should.kind != is.kind || essence(should) != essence(is)
            }
            _ => true,
        })
        .collect()
}

/// What leads from one set of definitions to another.
///
/// Both are read back from the same engine. Nothing is taken for renamed that `renames` does not name.
///
/// # Errors
/// [`Cycle`] if the objects of one side need each other.
pub fn diff(from: &Definitions, to: &Definitions, renames: &Renames) -> Result<Diff, Cycle> {
    let moved = moves(from, to, &renames.objects);
    let from = &renames.of(from, to);
    let mut changed: BTreeMap<(bool, String), (Option<Definition>, Option<Definition>)> =
        BTreeMap::new();
    for difference in differences(from, to) {
        let pair = match difference {
            Difference::Missing(old) => (Some(old), None),
            Difference::Extra(new) => (None, Some(new)),
            Difference::Different { should, is } => (Some(should), Some(is)),
        };
        let key = pair.0.as_ref().or(pair.1.as_ref()).map(key);
        changed.extend(key.map(|key| (key, pair)));
    }
    if changed.is_empty() && moved.is_empty() {
        return Ok(Diff::default());
    }
    let mut gone = Vec::new();
    // What needs others goes before them.
    for old in from.in_order()?.into_iter().rev() {
        if matches!(changed.get(&key(&old)), Some((Some(_), None))) {
            let mut part = Part::default();
            drop(&old, "is gone", &mut part);
            gone.push((old, part));
        }
    }
    let mut changes = Vec::new();
    for new in to.in_order()? {
        let mut part = Part::default();
        let old = match changed.remove(&key(&new)) {
            Some((None, _)) => {
                create(&new, &mut part);
                None
            }
            Some((Some(old), Some(new))) => {
                let none = BTreeMap::new();
                let renamed = renames.columns.get(&new.name).unwrap_or(&none);
                let read = Read {
                    before: read_by_triggers(from, &new.name),
                    after: read_by_triggers(to, &new.name),
                };
                change(&old, &new, renamed, &read, &mut part);
                Some(old)
            }
            _ => None,
        };
        changes.push(Change { old, new, part });
    }
    Ok(order::assemble(moved, changes, gone))
}

/// Gives objects their new names, first of all.
fn moves(from: &Definitions, to: &Definitions, names: &BTreeMap<String, String>) -> Vec<Statement> {
    let mut moves = Vec::new();
    for (old, new) in names {
        let (Some(object), Some(new)) = (from.get(old), to.get(new)) else {
            continue;
        };
        let readers: Vec<&str> = from
            .iter()
            .filter(|view| view.kind == DefinitionKind::MaterializedView)
            .filter(|view| references(&view.text).contains(old))
            .map(|view| view.name.as_str())
            .collect();
        let word = match object.kind {
            DefinitionKind::Dictionary => "DICTIONARY",
            _ => "TABLE",
        };
        let sql = format!("RENAME {word} {} TO {}", name(object), name(new));
        let statement = Statement::new(new, format!("is called so; it was `{old}`"), sql);
        moves.push(if readers.is_empty() {
            statement
        } else {
            statement.note(format!(
                "what is inserted under the new name before the MODIFY QUERY of {} does not reach it",
                readers.join(", ")
            ))
        });
    }
    moves
}

/// The columns of a table; none of anything else.
#[must_use]
pub fn columns(definition: &Definition) -> Vec<String> {
    let table = Table::read(&definition.text);
    table.map_or_else(Vec::new, |table| {
        table
            .columns
            .into_iter()
            .map(|column| column.name)
            .collect()
    })
}

/// The columns that a plain view lists, and its query.
#[must_use]
pub fn listed(definition: &Definition) -> Option<(Vec<String>, String)> {
    let view = View::read(&definition.text).filter(|_| definition.kind == DefinitionKind::View)?;
    Some((view.names(), view.query))
}

fn key(definition: &Definition) -> (bool, String) {
    (
        definition.kind == DefinitionKind::Function,
        definition.name.clone(),
    )
}

fn is_trigger(definition: &Definition) -> bool {
    matches!(
        definition.kind,
        DefinitionKind::MaterializedView | DefinitionKind::RefreshableView
    )
}

/// The word that makes an object, and where its name stands in the text.
fn head(definition: &Definition) -> (&'static str, std::ops::Range<usize>) {
    let word = match definition.kind {
        DefinitionKind::Table => "TABLE",
        DefinitionKind::Dictionary => "DICTIONARY",
        DefinitionKind::Function => "FUNCTION",
        _ => "VIEW",
    };
    let words = crate::catalog::words(&definition.text);
    let at = words
        .iter()
        .position(|it| it.is(word))
        .map_or(0, |at| at + 1);
    let name = words.get(at);
    (word, name.map_or(0..0, |name| name.start..name.end))
}

/// An object's name as the engine quotes it.
fn name(definition: &Definition) -> &str {
    definition.text.get(head(definition).1).unwrap_or_default()
}

/// A name as the engine writes it in definitions: without quotes if it needs none.
fn quoted(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain {
        name.to_owned()
    } else {
        crate::clickhouse::identifier(name)
    }
}

/// Whether a definition's text hides a secret, so that it is not the text that makes the object.
fn hides(definition: &Definition) -> bool {
    definition.text.contains("'[HIDDEN]'")
}

fn secret(definition: &Definition) -> Refusal {
    Refusal::new(
        definition,
        "a definition with a secret",
        "its text is hidden, so what is written would not be what is meant",
        "write this migration by hand, and put the secret into a named collection",
    )
}

fn create(new: &Definition, part: &mut Part) {
    if hides(new) {
        part.refusals.push(secret(new));
        return;
    }
    part.safe.push(made(new, "is new"));
}

fn made(new: &Definition, does: &str) -> Statement {
    let statement = Statement::new(new, does, new.text.clone());
    if new.kind == DefinitionKind::MaterializedView {
        statement.note(
            "it takes what is inserted from now on; `housewright rebuild` fills in what is there",
        )
    } else {
        statement
    }
}

fn drop(old: &Definition, does: &str, part: &mut Part) {
    let statement = Statement::new(old, does, format!("DROP {} {}", head(old).0, name(old)));
    let engine = Table::read(&old.text).map(|table| table.engine_name());
    match old.kind {
        DefinitionKind::Table if engine.as_deref().is_some_and(table::holds_nothing) => {
            part.safe
                .push(statement.harmless("a table of this engine holds no rows"));
        }
        DefinitionKind::Table => {
            let rows = format!("the rows of {}", old.name);
            part.late.push(statement.destroys(rows));
        }
        DefinitionKind::MaterializedView | DefinitionKind::RefreshableView
            if View::read(&old.text).is_none_or(|view| view.target.is_none()) =>
        {
            let rows = format!("the rows that {} keeps itself", old.name);
            part.late.push(statement.destroys(rows));
        }
        _ => part.safe.push(statement),
    }
}

fn change(
    old: &Definition,
    new: &Definition,
    renamed: &BTreeMap<String, String>,
    read: &Read,
    part: &mut Part,
) {
    use DefinitionKind as K;
    match (old.kind, new.kind) {
        (K::Table, K::Table) => {
            let (Some(was), Some(is)) = (Table::read(&old.text), Table::read(&new.text)) else {
                part.refusals.push(unread(new));
                return;
            };
            let nothing = |table: &Table| table::holds_nothing(&table.engine_name());
            if nothing(&was) && nothing(&is) {
                remake(old, new, part);
                return;
            }
            *part = table::alter(new, &was, &is, renamed, read);
        }
        (K::Function | K::Dictionary, kind) if kind == old.kind => {
            if hides(new) || hides(old) {
                part.refusals.push(secret(new));
                return;
            }
            replace(new, part);
        }
        (K::View | K::ParameterizedView, K::View | K::ParameterizedView) => replace(new, part),
        (K::MaterializedView, K::MaterializedView) | (K::RefreshableView, K::RefreshableView) => {
            match (View::read(&old.text), View::read(&new.text)) {
                (Some(was), Some(is)) => view::alter(old, new, &was, &is, part),
                _ => part.refusals.push(unread(new)),
            }
        }
        // Another kind of thing under the same name.
        _ => remake(old, new, part),
    }
}

/// Drops an object and makes it anew; where that takes rows along, both are for a person to decide.
fn remake(old: &Definition, new: &Definition, part: &mut Part) {
    if hides(new) || hides(old) {
        part.refusals.push(secret(new));
        return;
    }
    drop(old, "makes room for what it becomes", part);
    let made = if old.kind == new.kind {
        made(new, "is made anew")
    } else {
        for dropped in part.safe.iter_mut().chain(&mut part.late) {
            dropped.note = Some(format!(
                "it is no {} until the next statement, and whoever reads it fails",
                new.kind.label()
            ));
        }
        made(new, &format!("is a {} now", new.kind.label()))
    };
    if part.late.is_empty() {
        part.safe.push(made);
    } else {
        part.late.push(made);
        part.made = Made::Whole;
    }
}

fn replace(new: &Definition, part: &mut Part) {
    part.safe
        .push(Statement::new(new, "is another", replacing(&new.text)));
}

/// `CREATE OR REPLACE`, which is one step for readers.
fn replacing(text: &str) -> String {
    match text.strip_prefix("CREATE ") {
        Some(rest) => format!("CREATE OR REPLACE {rest}"),
        None => text.to_owned(),
    }
}

/// The names in the queries of the materialized views that read a table: columns among them, which the engine does not drop.
struct Read {
    before: BTreeSet<String>,
    after: BTreeSet<String>,
}

fn read_by_triggers(from: &Definitions, table: &str) -> BTreeSet<String> {
    from.iter()
        .filter(|view| view.kind == DefinitionKind::MaterializedView)
        .filter(|view| references(&view.text).contains(table))
        .filter_map(|view| View::read(&view.text))
        .flat_map(|view| table::named(&view.query))
        .collect()
}

fn unread(definition: &Definition) -> Refusal {
    Refusal::new(
        definition,
        "its definition",
        "its text is laid out in a way that housewright does not read",
        "write this migration by hand, and report it",
    )
}
