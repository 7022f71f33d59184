//! What leads from one set of definitions to another: the statements of a migration, or why there are none. Pure; whether it is true is
//! proven where an engine is (`drift`).

mod columns;
mod shape;
mod table;
mod view;
mod write;

use std::collections::BTreeMap;

use crate::catalog::{Cycle, Definition, DefinitionKind, Definitions, Difference, references};
use crate::diff::shape::{Table, View};

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

/// The new names of columns: object → old → new.
pub type Renames = BTreeMap<String, BTreeMap<String, String>>;

/// What leads from one set of definitions to another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// What destroys nothing, in the order in which it is to be executed.
    pub safe: Vec<Statement>,
    /// What destroys data, and what cannot be done before that.
    pub late: Vec<Statement>,
    /// What cannot be done.
    pub refusals: Vec<Refusal>,
}

impl Diff {
    /// Whether the two are the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.safe.is_empty() && self.late.is_empty() && self.refusals.is_empty()
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
    let mut out = Diff::default();
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
    if changed.is_empty() {
        return Ok(out);
    }
    let mut gone: Vec<Definition> = from
        .in_order()?
        .into_iter()
        .filter(|old| matches!(changed.get(&key(old)), Some((Some(_), None))))
        .collect();
    gone.reverse();
    // A trigger goes before what it reads changes, and a view when nobody needs it any more.
    for old in gone.iter().filter(|old| is_trigger(old)) {
        drop(old, &mut out);
    }
    let mut tables = Diff::default();
    for new in to.in_order()? {
        match changed.get(&key(&new)) {
            Some((None, _)) => create(&new, &mut out),
            Some((Some(old), Some(new))) => {
                let none = BTreeMap::new();
                let renamed = renames.get(&new.name).unwrap_or(&none);
                let before = out.late.len();
                let read = names_read_by_triggers(from, &new.name, renamed);
                change(old, new, renamed, read, &mut out);
                tables.late.extend(out.late.drain(before..));
            }
            _ => {}
        }
    }
    out.late.extend(tables.late);
    for old in gone.iter().filter(|old| !is_trigger(old)) {
        drop(old, &mut out);
    }
    Ok(out)
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

/// The words that make an object, and its name as the engine quotes it.
fn head(definition: &Definition) -> (&'static str, String) {
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
    let name = words.get(at).map_or("", |name| name.text);
    (word, name.to_owned())
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

fn create(new: &Definition, out: &mut Diff) {
    if hides(new) {
        out.refusals.push(secret(new));
        return;
    }
    let statement = Statement::new(new, "is new", new.text.clone());
    out.safe.push(if new.kind == DefinitionKind::MaterializedView {
        statement.note("it takes what is inserted from now on; `housewright rebuild` fills in what is there")
    } else {
        statement
    });
}

fn drop(old: &Definition, out: &mut Diff) {
    let (word, name) = head(old);
    let statement = Statement::new(old, "is gone", format!("DROP {word} {name}"));
    let engine = Table::read(&old.text).map(|table| table.engine_name());
    match old.kind {
        DefinitionKind::Table if engine.as_deref().is_some_and(table::holds_nothing) => {
            out.safe
                .push(statement.harmless("a table of this engine holds no rows"));
        }
        DefinitionKind::Table => {
            let rows = format!("the rows of {}", old.name);
            out.late.push(statement.destroys(rows));
        }
        DefinitionKind::MaterializedView | DefinitionKind::RefreshableView
            if View::read(&old.text).is_none_or(|view| view.target.is_none()) =>
        {
            let rows = format!("the rows that {} keeps itself", old.name);
            out.late.push(statement.destroys(rows));
        }
        _ => out.safe.push(statement),
    }
}

fn change(
    old: &Definition,
    new: &Definition,
    renamed: &BTreeMap<String, String>,
    read: bool,
    out: &mut Diff,
) {
    use DefinitionKind as K;
    match (old.kind, new.kind) {
        (K::Table, K::Table) => {
            let (Some(was), Some(is)) = (Table::read(&old.text), Table::read(&new.text)) else {
                out.refusals.push(unread(new));
                return;
            };
            let engine = was.engine_name();
            if engine == is.engine_name() && table::holds_nothing(&engine) || renewable(&was, &is) {
                renew(old, new, out);
                return;
            }
            let made = table::alter(new, &was, &is, renamed, read);
            out.safe.extend(made.safe);
            out.late.extend(made.late);
            out.refusals.extend(made.refusals);
        }
        (K::Function | K::Dictionary, kind) if kind == old.kind => {
            if hides(new) || hides(old) {
                out.refusals.push(secret(new));
                return;
            }
            replace(new, out);
        }
        (K::View | K::ParameterizedView, K::View | K::ParameterizedView) => replace(new, out),
        (K::MaterializedView, K::MaterializedView) | (K::RefreshableView, K::RefreshableView) => {
            match (View::read(&old.text), View::read(&new.text)) {
                (Some(was), Some(is)) => view::alter(old, new, &was, &is, out),
                _ => out.refusals.push(unread(new)),
            }
        }
        _ => out.refusals.push(Refusal::new(
            new,
            format!("a {} that becomes a {}", old.kind.label(), new.kind.label()),
            "one name cannot be two things within one migration that goes back again",
            "drop it in one migration (remove its file) and make it in the next, or take another name",
        )),
    }
}

fn renewable(was: &Table, is: &Table) -> bool {
    table::holds_nothing(&was.engine_name()) && table::holds_nothing(&is.engine_name())
}

/// Drops and makes anew what holds nothing.
fn renew(old: &Definition, new: &Definition, out: &mut Diff) {
    if hides(new) || hides(old) {
        out.refusals.push(secret(new));
        return;
    }
    let (word, name) = head(old);
    let dropped = Statement::new(
        old,
        "makes room for what it becomes",
        format!("DROP {word} {name}"),
    );
    out.safe.push(if old.kind == DefinitionKind::Table {
        dropped.harmless("a table of this engine holds no rows")
    } else {
        dropped
    });
    out.safe
        .push(Statement::new(new, "is made anew", new.text.clone()));
}

/// `CREATE OR REPLACE`, which is one step for readers.
fn replace(new: &Definition, out: &mut Diff) {
    let sql = match new.text.strip_prefix("CREATE ") {
        Some(rest) => format!("CREATE OR REPLACE {rest}"),
        None => new.text.clone(),
    };
    out.safe.push(Statement::new(new, "is another", sql));
}

/// Whether a materialized view reads a column of a table that gets another name.
fn names_read_by_triggers(
    from: &Definitions,
    table: &str,
    renamed: &BTreeMap<String, String>,
) -> bool {
    !renamed.is_empty()
        && from
            .iter()
            .filter(|view| view.kind == DefinitionKind::MaterializedView)
            .filter(|view| references(&view.text).contains(table))
            .filter_map(|view| View::read(&view.text))
            .any(|view| {
                let named = table::named(&view.query);
                renamed.keys().any(|column| named.contains(column))
            })
}

fn unread(definition: &Definition) -> Refusal {
    Refusal::new(
        definition,
        "its definition",
        "its text is laid out in a way that housewright does not read",
        "write this migration by hand, and report it",
    )
}
