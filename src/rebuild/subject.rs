//! What is rebuilt: the state behind a name, the view that feeds it, its source, its readers, and what stands in the way. Only reads.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::catalog::generation::{parse, physical, renamed, scratch};
use crate::catalog::{Catalog, Column, Generations, Kind, Object, mentions, references};
use crate::clickhouse::{Client, Error as ClickHouseError, Query, identifier, literal};
use crate::rebuild::addition::Added;
use crate::rebuild::change::{Changed, Reader};
use crate::rebuild::chunks;
use crate::rebuild::obstacles::{
    Refusal, Ttl, check_followers, check_readers, check_replicas, check_shape, received_at,
    refusal, words_of,
};
use crate::rebuild::run::NEVER;
use crate::rebuild::scope::{Scope, scope};
use crate::rebuild::sums::Sums;
use crate::rebuild::{Error, Options};
use crate::sql::tokens;

/// A state and the view that feeds it, as the server calls them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// The table.
    pub state: String,
    /// The materialized view.
    pub view: String,
}

/// A column of the state that the view writes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateColumn {
    /// Its name.
    pub name: String,
    /// Its type in the state.
    pub r#type: String,
}

/// What is rebuilt, and how everything is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// The name that was asked for.
    pub name: String,
    /// The table whose inserts feed the state.
    pub source: String,
    /// Its column with the time at which the server took a row; empty: it has none, and nobody writes into it meanwhile.
    pub received_at: String,
    /// As it is.
    pub old: Side,
    /// As it will be.
    pub new: Side,
    /// The name of the state in the files.
    pub logical: String,
    /// The statement that made the old view.
    pub create: String,
    /// Its SELECT.
    pub select: String,
    /// The columns of the source that the SELECT may need.
    pub source_columns: Vec<String>,
    /// The columns of the state that it writes.
    pub columns: Vec<StateColumn>,
    /// The engine of the state.
    pub engine: String,
    /// What its merges add up, if that is what they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sums: Option<Sums>,
    /// The sorting key of the state.
    pub key: Vec<String>,
    /// The sorting key of the source.
    pub source_key: Vec<String>,
    /// What a changed definition brings with it; `None`: the definition stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Changed>,
    /// What columns that are added in place bring with them; old and new side are one then. `None`: none are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added: Option<Added>,
    /// Which rows are made anew; `None`: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
}

impl Subject {
    /// The view's SELECT over those rows of the source for which a condition holds.
    #[must_use]
    pub fn query(&self, condition: &str) -> String {
        let Some((_, span)) = mentions(&self.select)
            .into_iter()
            .find(|(name, _)| *name == self.source)
        else {
            return self.select.clone();
        };
        let (before, after) = (
            self.select.get(..span.start).unwrap_or_default(),
            self.select.get(span.end..).unwrap_or_default(),
        );
        let columns: Vec<String> = self
            .source_columns
            .iter()
            .map(|name| identifier(name))
            .collect();
        let alias = if words_of(after).first().is_some_and(|word| word == "AS") {
            String::new()
        } else {
            format!(" AS {}", identifier(&self.source))
        };
        format!(
            "{before}(SELECT {} FROM {} WHERE {condition}){alias}{after}",
            columns.join(", "),
            identifier(&self.source)
        )
    }

    /// The rows of the new state as they should be, by the source; of what is not made anew, by the old state.
    #[must_use]
    pub(super) fn expected(&self, touched: Option<&str>) -> String {
        let Some(scope) = &self.scope else {
            return self.query("1");
        };
        let casts: Vec<String> = self
            .columns
            .iter()
            .map(|column| {
                let name = identifier(&column.name);
                format!("CAST({name}, {}) AS {name}", literal(&column.r#type))
            })
            .collect();
        let columns = self.column_list();
        format!(
            "SELECT {} FROM ({}) UNION ALL SELECT {columns} FROM {} WHERE NOT {}",
            casts.join(", "),
            scope.within(&self.query("1"), &columns, touched),
            identifier(&self.old.state),
            scope.holds(touched)
        )
    }

    /// The views that change over with a changed definition, or show what is added, in their order.
    #[must_use]
    pub(super) fn changing(&self) -> &[Reader] {
        let changed = self.change.as_ref().map(|it| &it.readers);
        changed
            .or(self.added.as_ref().map(|it| &it.readers))
            .map_or(&[], Vec::as_slice)
    }

    /// Whether statements of a file make it: a changed definition, or columns added in place.
    #[must_use]
    pub fn is_written(&self) -> bool {
        self.change.is_some() || self.added.is_some()
    }

    /// Whether nobody writes into the source until readers are swapped, because it does not say when it took a row.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.received_at.is_empty()
    }

    /// Rows of the source that the server took before a moment, in seconds since 1970; all where nobody writes.
    #[must_use]
    pub fn before(&self, at: u64) -> String {
        if self.stopped() {
            return "1".to_owned();
        }
        format!("{} < {}", identifier(&self.received_at), moment(at))
    }

    /// Rows of the source that the server took at a moment or later; where nobody writes, all that come, or for [`NEVER`] none.
    #[must_use]
    pub fn since(&self, at: u64) -> String {
        if self.stopped() {
            return if at == NEVER { "0" } else { "1" }.to_owned();
        }
        format!("{} >= {}", identifier(&self.received_at), moment(at))
    }

    /// The statement that makes the new state, if it is not there.
    #[must_use]
    pub fn create_state(&self) -> String {
        match &self.change {
            Some(change) => change
                .state
                .replacen("CREATE TABLE", "CREATE TABLE IF NOT EXISTS", 1),
            None => format!(
                "CREATE TABLE IF NOT EXISTS {} AS {}",
                identifier(&self.new.state),
                identifier(&self.old.state)
            ),
        }
    }

    /// The statement that makes the new view, taking rows from a moment on.
    #[must_use]
    pub fn create_view(&self, at: u64) -> String {
        let head = self.create.split(self.select.as_str()).next();
        let head = head.unwrap_or_default();
        let tail = self.create.get(head.len() + self.select.len()..);
        let names = if self.change.is_some() {
            // Another attempt at it has the next generation's name.
            [(parse(&self.new.view).0.to_owned(), self.new.view.clone())].into()
        } else {
            [
                (self.old.view.clone(), self.new.view.clone()),
                (self.old.state.clone(), self.new.state.clone()),
            ]
            .into()
        };
        let head = renamed(head, &names).replacen(
            "CREATE MATERIALIZED VIEW",
            "CREATE MATERIALIZED VIEW IF NOT EXISTS",
            1,
        );
        format!(
            "{head}{}{}",
            self.query(&self.since(at)),
            tail.unwrap_or_default()
        )
    }

    /// The names of the columns that the view writes, as a list.
    #[must_use]
    pub fn column_list(&self) -> String {
        let names: Vec<String> = self
            .columns
            .iter()
            .map(|column| identifier(&column.name))
            .collect();
        names.join(", ")
    }

    /// A table that this rebuild keeps for itself.
    #[must_use]
    pub fn scratch(&self, what: &str) -> String {
        scratch(&self.logical, what)
    }

    /// What the names of such tables begin with.
    #[must_use]
    pub fn scratch_prefix(&self) -> String {
        scratch(&self.logical, "")
    }
}

/// A moment as a literal that compares with `DateTime` and `DateTime64`.
fn moment(at: u64) -> String {
    format!("toDateTime({at}, 'UTC')")
}

/// A subject and what it costs.
#[derive(Clone, Debug)]
pub struct Survey {
    /// What would be rebuilt.
    pub subject: Subject,
    /// The views that would be swapped.
    pub readers: Vec<String>,
    /// The views that go on with the old state, because a changed definition does not name them.
    pub staying: Vec<String>,
    /// Rows of the source.
    pub source_rows: u64,
    /// Of those, about how many have to be read for what is made anew, if that is not all.
    pub scope_rows: Option<u64>,
    /// Bytes of the source on disk.
    pub source_bytes: u64,
    /// In how many pieces history would be made anew; 0 if something stands in the way.
    pub chunks: u64,
    /// Rows of the state.
    pub state_rows: u64,
    /// Bytes of the state on disk.
    pub state_bytes: u64,
    /// Free bytes where the state stands.
    pub free_bytes: u64,
    /// Why a changed definition wants a state beside the old one; empty if the definition stays, or nothing else is made.
    pub why: String,
    /// What stands in the way.
    pub refusals: Vec<Refusal>,
}

/// What feeds what behind a name, as it is now.
pub(super) struct Found<'a> {
    /// The materialized view.
    pub(super) view: &'a Object,
    /// The table whose inserts trigger it.
    pub(super) source: &'a Object,
    /// The table it writes to.
    pub(super) state: &'a Object,
}

/// The object that a name means: the reading view's, the state's or the materialized view's.
fn find<'a>(catalog: &'a Catalog, generations: &Generations, name: &str) -> Option<&'a Object> {
    catalog.get(&generations.current(name))
}

/// The views that feed states, with their sources, behind a plain view.
fn feeders<'a>(
    catalog: &'a Catalog,
    object: &'a Object,
    seen: &mut BTreeSet<String>,
) -> Vec<(&'a Object, &'a Object)> {
    if !seen.insert(object.name.clone()) {
        return Vec::new();
    }
    match object.kind {
        Kind::MaterializedView => catalog
            .triggers()
            .filter(|(view, _)| view.name == object.name)
            .collect(),
        Kind::Table => catalog
            .triggers()
            .filter(|(view, _)| view.target.as_deref() == Some(object.name.as_str()))
            .collect(),
        Kind::View | Kind::ParameterizedView => references(&object.select)
            .iter()
            .filter_map(|name| catalog.get(name))
            .flat_map(|read| feeders(catalog, read, seen))
            .collect(),
        Kind::Dictionary => Vec::new(),
    }
}

/// The view that feeds what a name means, its source and its state.
///
/// # Errors
/// [`Error::Unknown`], [`Error::Ambiguous`] and [`Error::NotRebuildable`].
pub(super) fn find_fed<'a>(
    catalog: &'a Catalog,
    generations: &Generations,
    name: &str,
) -> Result<Found<'a>, Error> {
    let not = |reason: String, remedy: &str| Error::NotRebuildable {
        name: name.to_owned(),
        reason,
        remedy: remedy.to_owned(),
    };
    let object = find(catalog, generations, name).ok_or_else(|| Error::Unknown {
        name: name.to_owned(),
        known: catalog
            .triggers()
            .map(|(view, _)| parse(&view.name).0.to_owned())
            .collect(),
    })?;
    let mut found = feeders(catalog, object, &mut BTreeSet::new());
    let current = |view: &Object| generations.shows(&view.name);
    found.retain(|(view, _)| current(view));
    let states: BTreeSet<&str> = found
        .iter()
        .filter_map(|(view, _)| view.target.as_deref())
        .collect();
    if states.len() > 1 {
        return Err(Error::Ambiguous {
            name: name.to_owned(),
            states: states.iter().map(|it| parse(it).0.to_owned()).collect(),
        });
    }
    let (view, source) = match found.as_slice() {
        [] => {
            return Err(not(
                "no materialized view of this database feeds it".to_owned(),
                "name a materialized view with TO, its table, or a view that reads that table",
            ));
        }
        [one] => *one,
        several => {
            let views: Vec<&str> = several.iter().map(|(view, _)| view.name.as_str()).collect();
            return Err(not(
                format!("several views feed it: {}", views.join(", ")),
                "a rebuild knows how to replace one; let one view feed one table",
            ));
        }
    };
    let state = view
        .target
        .as_deref()
        .and_then(|target| catalog.get(target))
        .ok_or_else(|| {
            not(
                format!("`{}` has no TO table in this database", view.name),
                "make the view TO a table of this database",
            )
        })?;
    Ok(Found {
        view,
        source,
        state,
    })
}

/// Reads what a name stands for, and what a rebuild of it would meet.
///
/// # Errors
/// [`Error::Unknown`], [`Error::Ambiguous`] and [`Error::NotRebuildable`] if it stands for nothing that can be rebuilt at all.
pub async fn survey(client: &Client, name: &str, options: &Options) -> Result<Survey, Error> {
    let client = &client.read_only();
    let catalog = Catalog::read(client).await?;
    let generations = Generations::of(catalog.objects.iter().map(|object| object.name.as_str()));
    let Found {
        view,
        source,
        state,
    } = find_fed(&catalog, &generations, name)?;
    let mut refusals = Vec::new();
    let received_at = received_at(client, source, options, &mut refusals).await?;
    let (logical, logical_view) = (parse(&state.name).0, parse(&view.name).0);
    let next = generations
        .next(logical)
        .max(generations.next(logical_view));
    let mut subject = Subject {
        name: name.to_owned(),
        source: source.name.clone(),
        source_columns: source_columns(source, &view.select, &received_at),
        received_at,
        old: Side {
            state: state.name.clone(),
            view: view.name.clone(),
        },
        new: Side {
            state: physical(logical, next),
            view: physical(logical_view, next),
        },
        logical: logical.to_owned(),
        create: view.create.clone(),
        select: view.select.clone(),
        columns: state_columns(state, view),
        engine: state.engine.clone(),
        sums: Sums::of(state, |name| view.column(name).is_some()),
        key: state.sorting_key.clone(),
        source_key: source.sorting_key.clone(),
        change: None,
        added: None,
        scope: None,
    };
    if let Some(only) = &options.only {
        subject.scope = scope(client, only, &subject, state, view, &mut refusals).await?;
    }
    let readers = readers(&catalog, &state.name);
    check_shape(source, state, view, &mut refusals);
    check_followers(&catalog, &subject, &mut refusals);
    check_readers(client, &catalog, &subject, &readers, &mut refusals).await?;
    weigh(client, subject, readers, source, refusals, options).await
}

/// The columns of a state that a view writes.
pub(super) fn state_columns(state: &Object, view: &Object) -> Vec<StateColumn> {
    state
        .columns
        .iter()
        .filter(|column| view.column(&column.name).is_some())
        .map(|column| StateColumn {
            name: column.name.clone(),
            r#type: column.r#type.clone(),
        })
        .collect()
}

/// What a rebuild costs, and what stands in its way on the side of the server.
pub(super) async fn weigh(
    client: &Client,
    subject: Subject,
    readers: Vec<String>,
    source: &Object,
    mut refusals: Vec<Refusal>,
    options: &Options,
) -> Result<Survey, Error> {
    check_replicas(client, &subject, &mut refusals).await?;
    let ttl = Ttl::of(&source.create);
    let used = |name: &String| subject.source_columns.contains(name);
    // What an ALIAS is made of is not looked at.
    let alias = |column: &Column| column.default == "ALIAS" && used(&column.name);
    let any = source.columns.iter().any(alias);
    let column = ttl.columns.iter().find(|it| any || used(it));
    if !options.allow_shorter_history && (ttl.rows || column.is_some()) {
        let what = match column {
            Some(column) if !ttl.rows => format!("{}.{column}", source.name),
            _ => source.name.clone(),
        };
        refusals.push(refusal(
            format!(
                "`{what}` has a TTL: what it let go is in `{}` and could not be made anew",
                subject.old.state
            ),
            if subject.added.is_some() {
                "if new columns may be empty there, say `--allow-shorter-history`"
            } else {
                "if that may go from the state too, say `--allow-shorter-history`"
            },
        ));
    }
    let (source_rows, source_bytes) = size(client, &source.name).await?;
    let (state_rows, state_bytes) = size(client, &subject.old.state).await?;
    let free_bytes = free(client, &subject.old.state).await?;
    if subject.added.is_none() && free_bytes < state_bytes {
        refusals.push(refusal(
            format!(
                "the new state needs about {state_bytes} bytes beside the old one, and {free_bytes} are free"
            ),
            "make room first; nothing was changed",
        ));
    }
    let scope_rows = match &subject.scope {
        Some(scope) if refusals.is_empty() => Some(
            chunks::estimate(
                client,
                &subject.source,
                &scope.within(&subject.query("1"), &subject.column_list(), None),
            )
            .await?,
        ),
        _ => None,
    };
    let chunks = if refusals.is_empty() {
        chunks::expect(client, &subject, options.piece()).await?
    } else {
        0
    };
    Ok(Survey {
        subject,
        readers,
        staying: Vec::new(),
        why: String::new(),
        source_rows,
        scope_rows,
        source_bytes,
        chunks,
        state_rows,
        state_bytes,
        free_bytes,
        refusals,
    })
}

/// The views that read a state by its name on the server.
#[must_use]
pub(super) fn readers(catalog: &Catalog, state: &str) -> Vec<String> {
    catalog
        .objects
        .iter()
        .filter(|object| matches!(object.kind, Kind::View | Kind::ParameterizedView))
        .filter(|object| references(&object.select).contains(state))
        .map(|object| object.name.clone())
        .collect()
}

/// The columns of the source that a SELECT may need: stored ones, and ALIAS columns that it names.
pub(super) fn source_columns(source: &Object, select: &str, received_at: &str) -> Vec<String> {
    let named: BTreeSet<String> = tokens(select)
        .filter(|token| token.kind.is_significant())
        .map(|token| token.span.of(select).trim_matches(['`', '"']).to_owned())
        .collect();
    let mut columns: Vec<String> = source
        .columns
        .iter()
        .filter(|column| column.default != "EPHEMERAL" && named.contains(&column.name))
        .map(|column| column.name.clone())
        .collect();
    if columns.is_empty() {
        // `SELECT count() FROM source`
        let stored = source
            .columns
            .iter()
            .find(|column| !matches!(column.default.as_str(), "EPHEMERAL" | "ALIAS"));
        let any = stored.filter(|_| received_at.is_empty());
        columns.push(any.map_or_else(|| received_at.to_owned(), |it| it.name.clone()));
    }
    columns
}

pub(super) async fn size(client: &Client, table: &str) -> Result<(u64, u64), ClickHouseError> {
    #[derive(Deserialize)]
    struct Row {
        rows: u64,
        bytes: u64,
    }
    let query = Query::new(format!(
        "SELECT toUInt64(sum(rows)) AS rows, toUInt64(sum(bytes_on_disk)) AS bytes FROM system.parts WHERE active AND database = currentDatabase() AND table = {}",
        literal(table)
    ));
    let row: Row = client.row(&query).await?;
    Ok((row.rows, row.bytes))
}

/// Free bytes on the disks on which a table's parts stand, or on all.
async fn free(client: &Client, table: &str) -> Result<u64, ClickHouseError> {
    #[derive(Deserialize)]
    struct Row {
        free: u64,
    }
    let disks = format!(
        "SELECT DISTINCT disk_name FROM system.parts WHERE active AND database = currentDatabase() AND table = {}",
        literal(table)
    );
    let query = Query::new(format!(
        "SELECT toUInt64(if(countIf(name IN ({disks})) > 0, sumIf(free_space, name IN ({disks})), sum(free_space))) AS free FROM system.disks"
    ));
    Ok(client.row::<Row>(&query).await?.free)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject() -> Subject {
        let select = "SELECT e.a AS a, count() AS n FROM db.events AS e GROUP BY e.a";
        Subject {
            name: "s".to_owned(),
            source: "events".to_owned(),
            received_at: "at".to_owned(),
            old: Side {
                state: "s".to_owned(),
                view: "s_mv".to_owned(),
            },
            new: Side {
                state: "s__housewright_2".to_owned(),
                view: "s_mv__housewright_2".to_owned(),
            },
            logical: "s".to_owned(),
            create: format!(
                "CREATE MATERIALIZED VIEW db.s_mv TO db.s (`a` String, `n` UInt64) COMMENT 'x' AS {select}"
            ),
            select: select.to_owned(),
            source_columns: vec!["a".to_owned()],
            columns: Vec::new(),
            engine: "SummingMergeTree".to_owned(),
            sums: None,
            key: vec!["a".to_owned()],
            source_key: vec!["a".to_owned()],
            change: None,
            added: None,
            scope: None,
        }
    }

    #[test]
    fn the_new_view_reads_a_part_of_the_source() {
        assert_eq!(
            subject().create_view(7),
            "CREATE MATERIALIZED VIEW IF NOT EXISTS db.`s_mv__housewright_2` TO db.`s__housewright_2` (`a` String, `n` UInt64) COMMENT 'x' AS SELECT e.a AS a, count() AS n FROM (SELECT `a` FROM `events` WHERE `at` >= toDateTime(7, 'UTC')) AS e GROUP BY e.a"
        );
        let mut without = subject();
        without.select = "SELECT a FROM events GROUP BY a".to_owned();
        assert_eq!(
            without.query("1"),
            "SELECT a FROM (SELECT `a` FROM `events` WHERE 1) AS `events` GROUP BY a"
        );
    }
}
