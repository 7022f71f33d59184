//! What there is at one moment: the objects, and the engine's answers about the query of every view.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::catalog::{Kind, Node, Object, references};
use crate::clickhouse::Exception;
use crate::sql::Kind as Statement;
use crate::sql::{Header, ObjectName};

/// The objects of a database at one moment. Cheap to copy.
#[derive(Clone, Debug, Default)]
pub struct State {
    database: String,
    entries: Arc<BTreeMap<String, Arc<Entry>>>,
}

/// An object.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) object: Object,
    /// The names that its definition reads or writes.
    pub(crate) needs: BTreeSet<String>,
    /// The query of a view.
    pub(crate) query: Query,
    /// Why the engine would not make a materialized view with this query and this target.
    pub(crate) unfit: Option<Exception>,
}

/// What the engine says of a view's query.
#[derive(Debug)]
pub(crate) enum Query {
    /// It has none, or it was not asked.
    None,
    /// It resolves.
    Tree(Box<Node>),
    /// It does not.
    Refused(Exception),
}

impl Entry {
    pub(crate) fn new(object: Object) -> Self {
        let mut needs = references(&object.create);
        needs.remove(&object.name);
        Self {
            object,
            needs,
            query: Query::None,
            unfit: None,
        }
    }

    /// Whether it is a view of any kind.
    pub(crate) fn is_view(&self) -> bool {
        matches!(
            self.object.kind,
            Kind::View | Kind::ParameterizedView | Kind::MaterializedView
        )
    }
}

impl State {
    pub(crate) fn new(database: &str) -> Self {
        Self {
            database: database.to_owned(),
            entries: Arc::default(),
        }
    }

    pub(crate) fn database(&self) -> &str {
        &self.database
    }

    pub(crate) fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name).map(AsRef::as_ref)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Object> {
        self.entry(name).map(|entry| &entry.object)
    }

    /// An object of this database, as a statement names it.
    pub(crate) fn named(&self, name: &ObjectName) -> Option<&Object> {
        let here = name
            .database
            .as_ref()
            .is_none_or(|named| *named == self.database);
        self.get(&name.name).filter(|_| here)
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().map(AsRef::as_ref)
    }

    pub(crate) fn put(&mut self, entry: Entry) {
        Arc::make_mut(&mut self.entries).insert(entry.object.name.clone(), Arc::new(entry));
    }

    pub(crate) fn remove(&mut self, name: &str) {
        if self.entries.contains_key(name) {
            Arc::make_mut(&mut self.entries).remove(name);
        }
    }

    /// The definitions of one that are not those of the other, by name: its own and the other's.
    pub(crate) fn differences<'a>(
        &'a self,
        other: &'a Self,
    ) -> Vec<(&'a str, Option<&'a str>, Option<&'a str>)> {
        let text = |entry: &'a Arc<Entry>| entry.object.create.as_str();
        let mut found = Vec::new();
        for (name, entry) in &*self.entries {
            match other.entries.get(name) {
                Some(same) if Arc::ptr_eq(entry, same) || text(entry) == text(same) => {}
                theirs => found.push((name.as_str(), Some(text(entry)), theirs.map(text))),
            }
        }
        for (name, entry) in &*other.entries {
            if !self.entries.contains_key(name) {
                found.push((name.as_str(), None, Some(text(entry))));
            }
        }
        found
    }

    /// The views that read or write one of the objects, directly or through other views; and those of the objects that are views.
    pub(crate) fn dependents(&self, names: &BTreeSet<String>) -> BTreeSet<String> {
        let mut found: BTreeSet<String> = names.clone();
        loop {
            let more: Vec<String> = self
                .entries()
                .filter(|entry| entry.is_view() && !found.contains(&entry.object.name))
                .filter(|entry| entry.needs.iter().any(|need| found.contains(need)))
                .map(|entry| entry.object.name.clone())
                .collect();
            if more.is_empty() {
                break;
            }
            found.extend(more);
        }
        found.retain(|name| self.entry(name).is_some_and(Entry::is_view));
        found
    }

    /// An object and everything its definition leads to.
    pub(crate) fn involved(&self, name: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut left = vec![name.to_owned()];
        while let Some(name) = left.pop() {
            if found.insert(name.clone())
                && let Some(entry) = self.entry(&name)
            {
                left.extend(entry.needs.iter().cloned());
            }
        }
        found
    }
}

/// The names that a statement may change; `None`: any.
pub(crate) fn touched(header: &Header) -> Option<BTreeSet<String>> {
    match header.kind {
        Statement::CreateTable
        | Statement::CreateView
        | Statement::CreateMaterializedView
        | Statement::CreateDictionary
        | Statement::Drop
        | Statement::Rename
        | Statement::Exchange
        | Statement::Alter
        | Statement::Truncate
        | Statement::Insert
        | Statement::InsertSelect
        | Statement::Update
        | Statement::Delete
        | Statement::Optimize
            if !header.objects.is_empty() =>
        {
            Some(
                header
                    .objects
                    .iter()
                    .map(|object| object.name.clone())
                    .collect(),
            )
        }
        Statement::CreateAccess
        | Statement::CreateDatabase
        | Statement::System
        | Statement::Kill
        | Statement::Set
        | Statement::Grant
        | Statement::Backup
        | Statement::Read => Some(BTreeSet::new()),
        _ => None,
    }
}
