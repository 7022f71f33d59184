//! An INSERT made exact by construction, where no log of the server's would tell afterwards what became of it.
//!
//! The rows go into tables of the same shape first: one for the target, one for each table behind its materialized views, which get views
//! of the same definition, so that what a trigger would write is written as well. Until they are full, to begin again costs nothing. Then
//! the journal is told, and whole partitions are moved; what is left in the staging tables is what has not been moved yet.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::apply::trace::copies_in;
use crate::apply::witness::{self, Key, Phase, Witness};
use crate::clickhouse::{Client, Error, Query, identifier, literal};
use crate::plan::{Direction, Step, Trace, Traces};
use crate::sql::{Allowance, Kind, TokenKind, header, tokens};

/// What the staging tables of every statement are called first.
pub(super) const PREFIX: &str = "housewright_stage_";

/// The tables that an INSERT writes, and the views between them.
#[derive(Clone, Debug, Default)]
pub(super) struct Stage {
    /// Each with its engine; the first is the target.
    pub(super) tables: Vec<(String, String)>,
    /// The views that are triggers on them.
    views: Vec<View>,
    /// It is no INSERT, but makes an object and fills it; that is made under another name, and renamed when it is full.
    makes: bool,
}

#[derive(Clone, Debug)]
struct View {
    source: String,
    target: String,
    select: String,
}

#[derive(Deserialize)]
struct Table {
    database: String,
    name: String,
    engine: String,
    uuid: String,
    create_table_query: String,
    as_select: String,
    /// The databases of the views that are triggers on it, and their names.
    in_databases: Vec<String>,
    triggers: Vec<String>,
}

/// Whether `system.query_log` will tell what became of a query. In a cluster parts are moved on one server alone, so there it has to.
///
/// # Errors
/// [`Error`].
pub(super) async fn is_logged(client: &Client) -> Result<bool, Error> {
    #[derive(Deserialize)]
    struct Row {
        logged: u8,
    }
    if client.cluster().is_some() {
        return Ok(true);
    }
    let query = Query::new(
        "SELECT toUInt8((SELECT count() FROM system.tables WHERE database = 'system' AND name = 'query_log') = 1 AND (SELECT any(value) FROM system.settings WHERE name = 'log_queries') = '1') AS logged",
    );
    if client.row::<Row>(&query).await?.logged == 1 {
        return Ok(true);
    }
    // The table comes into being with the first flush.
    let _ = client.execute(&Query::new("SYSTEM FLUSH LOGS")).await;
    Ok(client.row::<Row>(&query).await?.logged == 1)
}

/// Says of the statements of a plan which are staged, and gives those that could not be settled if they broke off, each with the reason.
/// A statement that comes after a change of definitions is not judged: what it writes to may not be there yet.
///
/// # Errors
/// [`Error`].
pub(super) async fn foresee(
    client: &Client,
    steps: &mut [Step],
) -> Result<Vec<(Step, String)>, Error> {
    let mut refused = Vec::new();
    let stageable = |step: &Step| {
        let traces = Traces::of(&step.sql);
        (traces.leaves.contains(&Trace::Added), traces.fills)
    };
    if !steps.iter().any(|step| stageable(step) != (false, false)) || is_logged(client).await? {
        return Ok(refused);
    }
    let mut as_now = true;
    for step in steps {
        let (adds, fills) = stageable(step);
        step.staged = adds || fills;
        let allowed = matches!(step.unsettled, Some(Allowance::Because(_)));
        if adds
            && as_now
            && let Err(reason) = survey(client, &step.sql).await?
        {
            step.staged = false;
            if !allowed {
                refused.push((step.clone(), reason));
            }
        }
        as_now &= adds;
    }
    Ok(refused)
}

/// The tables that an INSERT writes; the inner `Err` says why it cannot be staged.
///
/// # Errors
/// [`Error`] if the server cannot be asked.
pub(super) async fn survey(client: &Client, sql: &str) -> Result<Result<Stage, String>, Error> {
    if header(sql).kind == Kind::Update {
        let why = "an UPDATE leaves no mutation behind; ALTER TABLE … UPDATE does";
        return Ok(Err(why.to_owned()));
    }
    match surveyed(client, sql).await {
        Err(Error::Exception(exception)) => Ok(Err(exception.message)),
        other => other,
    }
}

async fn surveyed(client: &Client, sql: &str) -> Result<Result<Stage, String>, Error> {
    let database = client.database().to_owned();
    let header = header(sql);
    let Some(target) = header.objects.first() else {
        return Ok(Err("it does not write to a table".to_owned()));
    };
    if target
        .database
        .as_ref()
        .is_some_and(|named| *named != database)
    {
        return Ok(Err(format!("`{target}` is in another database")));
    }
    let client = client.read_only();
    let mut stage = Stage::default();
    let mut open = vec![target.name.clone()];
    let mut met = BTreeSet::new();
    while let Some(name) = open.pop() {
        if !met.insert(name.clone()) {
            continue;
        }
        let Some(table) = find(&client, &name).await? else {
            return Ok(Err(format!("`{name}` is not there")));
        };
        let movable = witness::is_merge_tree(&table.engine)
            && !table.engine.starts_with("Replicated")
            && !table.engine.starts_with("Shared");
        if !movable && table.engine != "Null" {
            return Ok(Err(format!(
                "`{name}` has the engine {}, whose partitions cannot be moved",
                table.engine
            )));
        }
        stage.tables.push((name.clone(), table.engine));
        for (in_database, view) in table.in_databases.iter().zip(&table.triggers) {
            if *in_database != database {
                return Ok(Err(format!(
                    "the view `{in_database}.{view}` is in another database"
                )));
            }
            let Some(view) = find(&client, view).await? else {
                continue;
            };
            match trigger(&client, &name, &view).await? {
                Ok(found) => {
                    open.push(found.target.clone());
                    stage.views.push(found);
                }
                Err(why) => return Ok(Err(why)),
            }
        }
    }
    // A view that reads a second table of these would read the staging one.
    for view in &stage.views {
        let read = stage
            .tables
            .iter()
            .map(|(name, _)| occurrences(&view.select, &database, name))
            .sum::<usize>();
        if read != 1 {
            return Ok(Err(format!(
                "a materialized view on `{}` reads `{}` or another table of this INSERT more than once",
                view.source, view.source
            )));
        }
    }
    Ok(Ok(stage))
}

async fn find(client: &Client, name: &str) -> Result<Option<Table>, Error> {
    let query = Query::new(format!(
        "SELECT database, name, engine, toString(uuid) AS uuid, create_table_query, as_select, dependencies_database AS in_databases, dependencies_table AS triggers FROM system.tables WHERE database = currentDatabase() AND name = {}",
        literal(name)
    ));
    Ok(client.rows(&query).await?.pop())
}

async fn trigger(
    client: &Client,
    source: &str,
    view: &Table,
) -> Result<Result<View, String>, Error> {
    let target = match header(&view.create_table_query).target {
        Some(target)
            if target
                .database
                .as_ref()
                .is_some_and(|named| *named != view.database) =>
        {
            return Ok(Err(format!(
                "the view `{}` writes to another database",
                view.name
            )));
        }
        Some(target) => target.name,
        None => {
            let mut inner = format!(".inner_id.{}", view.uuid);
            if find(client, &inner).await?.is_none() {
                inner = format!(".inner.{}", view.name);
            }
            inner
        }
    };
    Ok(Ok(View {
        source: source.to_owned(),
        target,
        select: view.as_select.clone(),
    }))
}

impl Stage {
    /// For a statement that makes an object and fills it.
    pub(super) fn for_an_object() -> Self {
        Self {
            makes: true,
            ..Self::default()
        }
    }

    /// The tables, for the witness.
    pub(super) fn keys(&self, database: &str) -> BTreeSet<Key> {
        self.tables
            .iter()
            .map(|(name, _)| (database.to_owned(), name.clone()))
            .collect()
    }

    fn staging(&self, step: &Step, name: &str) -> String {
        let index = self
            .tables
            .iter()
            .position(|(known, _)| known == name)
            .unwrap_or(0);
        format!("{}{index}", prefix(step))
    }

    /// Makes the staging tables anew, and gives the statement that fills them.
    ///
    /// # Errors
    /// [`Error`].
    pub(super) async fn make(&self, client: &Client, step: &Step) -> Result<String, Error> {
        clear(client, step).await?;
        let execute = async |sql: String| client.execute(&Query::new(sql)).await;
        for (name, _) in &self.tables {
            execute(format!(
                "CREATE TABLE {} AS {}",
                identifier(&self.staging(step, name)),
                identifier(name)
            ))
            .await?;
        }
        for (number, view) in self.views.iter().enumerate() {
            let (source, target) = (
                self.staging(step, &view.source),
                self.staging(step, &view.target),
            );
            execute(format!(
                "CREATE MATERIALIZED VIEW {} TO {} AS {}",
                identifier(&format!("{}view_{number}", prefix(step))),
                identifier(&target),
                redirected(&view.select, client.database(), &view.source, &source)
            ))
            .await?;
        }
        let header = header(&step.sql);
        let target = header.objects.first();
        let (start, end) = target.map_or((0, 0), |name| (name.span.start, name.span.end));
        let staging = match self.tables.first() {
            Some((name, _)) => self.staging(step, name),
            None => object(step),
        };
        Ok(format!(
            "{}{}{}",
            step.sql.get(..start).unwrap_or_default(),
            identifier(&staging),
            step.sql.get(end..).unwrap_or_default()
        ))
    }

    /// What the journal keeps when the staging tables are full.
    pub(super) fn full(&self, step: &Step) -> Phase {
        if self.makes {
            let name = header(&step.sql).objects.into_iter().next();
            let name = name.map_or_else(String::new, |name| name.span.of(&step.sql).to_owned());
            return Phase::Made(object(step), name);
        }
        let pairs = self
            .tables
            .iter()
            .filter(|(_, engine)| witness::is_merge_tree(engine))
            .map(|(name, _)| (self.staging(step, name), name.clone()))
            .collect();
        Phase::Staged(pairs)
    }
}

/// Moves what is in the staging tables to where it belongs, and removes them. May be done again after it broke off.
///
/// # Errors
/// [`Error`].
pub(super) async fn deliver(client: &Client, step: &Step, then: &Witness) -> Result<(), Error> {
    #[derive(Deserialize)]
    struct Row {
        id: String,
    }
    let pairs = match &then.phase {
        Phase::Staged(pairs) => pairs,
        Phase::Made(staging, name) => {
            if find(client, staging).await?.is_some() {
                let rename = format!("RENAME TABLE {} TO {name}", identifier(staging));
                client.execute(&Query::new(rename)).await?;
            }
            return Ok(());
        }
        Phase::Plain | Phase::Staging | Phase::Rebuilding => return Ok(()),
    };
    for (staging, name) in pairs {
        let here: Key = (client.database().to_owned(), staging.clone());
        let there: Key = (client.database().to_owned(), name.clone());
        let look =
            witness::look(client, &BTreeSet::from([here.clone(), there.clone()]), true).await?;
        if !look.contains_key(&here) {
            continue;
        }
        // A server that was killed within a move may have both.
        for debris in copies_in(&here, &look, &there, then.table(&there)) {
            client.execute(&Query::new(debris)).await?;
        }
        let partitions = Query::new(format!(
            "SELECT DISTINCT partition_id AS id FROM system.parts WHERE active AND rows > 0 AND database = currentDatabase() AND table = {} ORDER BY id",
            literal(staging)
        ));
        for Row { id } in client.rows(&partitions).await? {
            client
                .execute(&Query::new(format!(
                    "ALTER TABLE {} MOVE PARTITION ID {} TO TABLE {}",
                    identifier(staging),
                    literal(&id),
                    identifier(name)
                )))
                .await?;
        }
    }
    clear(client, step).await
}

/// The name under which a statement's object is made.
fn object(step: &Step) -> String {
    format!("{}object", prefix(step))
}

/// What the staging tables of a statement are called first.
fn prefix(step: &Step) -> String {
    let down = match step.direction {
        Direction::Up => "",
        Direction::Down => "down_",
    };
    format!("{PREFIX}{:04}_{down}{}_", step.version, step.number)
}

/// Removes the staging tables of a statement, the views first.
///
/// # Errors
/// [`Error`].
pub(super) async fn clear(client: &Client, step: &Step) -> Result<(), Error> {
    #[derive(Deserialize)]
    struct Row {
        name: String,
    }
    let query = Query::new(format!(
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND startsWith(name, {}) ORDER BY engine = 'MaterializedView' DESC, name",
        literal(&prefix(step))
    ));
    for Row { name } in client.rows(&query).await? {
        client
            .execute(&Query::new(format!(
                "DROP TABLE IF EXISTS {} SYNC",
                identifier(&name)
            )))
            .await?;
    }
    Ok(())
}

/// The words of a text: kind, text, start and end of each that means something.
fn words(sql: &str) -> Vec<(TokenKind, &str, usize, usize)> {
    tokens(sql)
        .filter(|token| token.kind.is_significant())
        .map(|token| {
            (
                token.kind,
                token.span.of(sql),
                token.span.start,
                token.span.end,
            )
        })
        .collect()
}

/// Where `database.table` stands in a query that the server wrote, as its first word's index.
fn places(sql: &str, database: &str, table: &str) -> Vec<usize> {
    let words = words(sql);
    let is = |index: usize, name: &str| {
        words.get(index).is_some_and(|(kind, text, ..)| match kind {
            TokenKind::BareWord => *text == name,
            TokenKind::QuotedIdentifier => {
                *text == identifier(name) || text.trim_matches(['`', '"']) == name
            }
            _ => false,
        })
    };
    let dot = |index: usize| {
        words
            .get(index)
            .is_some_and(|(kind, ..)| *kind == TokenKind::Dot)
    };
    (0..words.len())
        .filter(|at| {
            is(*at, database) && dot(at + 1) && is(at + 2, table) && (*at == 0 || !dot(at - 1))
        })
        .collect()
}

/// How often a query reads a table; columns that carry its name do not count.
fn occurrences(sql: &str, database: &str, table: &str) -> usize {
    let words = words(sql);
    let dot = |index: usize| {
        words
            .get(index)
            .is_some_and(|(kind, ..)| *kind == TokenKind::Dot)
    };
    places(sql, database, table)
        .into_iter()
        .filter(|at| !dot(at + 3))
        .count()
}

/// The query with another table in the place of one, under the old one's name.
fn redirected(sql: &str, database: &str, table: &str, other: &str) -> String {
    let words = words(sql);
    let mut text = String::new();
    let mut copied = 0;
    for at in places(sql, database, table) {
        let (start, end) = (words[at].2, words[at + 2].3);
        text.push_str(sql.get(copied..start).unwrap_or_default());
        copied = end;
        let behind = words.get(at + 3);
        if behind.is_some_and(|(kind, ..)| *kind == TokenKind::Dot) {
            // A column: `db.t.c`.
            text.push_str(&identifier(table));
            continue;
        }
        text.push_str(&identifier(database));
        text.push('.');
        text.push_str(&identifier(other));
        // The server writes every alias with AS.
        if !behind.is_some_and(|(_, word, ..)| word.eq_ignore_ascii_case("AS")) {
            text.push_str(" AS ");
            text.push_str(&identifier(table));
        }
    }
    text.push_str(sql.get(copied..).unwrap_or_default());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_views_query_is_turned_to_the_staging_table() {
        let redirect = |sql: &str| redirected(sql, "m", "events", "stage_0");
        assert_eq!(
            redirect("SELECT a, m.events.b FROM m.events WHERE events.a = 1"),
            "SELECT a, `events`.b FROM `m`.`stage_0` AS `events` WHERE events.a = 1"
        );
        assert_eq!(
            redirect("SELECT e.a FROM m.events AS e INNER JOIN m.dims AS d ON e.a = d.a"),
            "SELECT e.a FROM `m`.`stage_0` AS e INNER JOIN m.dims AS d ON e.a = d.a"
        );
        assert_eq!(
            redirect("SELECT 'm.events' FROM x.m.events"),
            "SELECT 'm.events' FROM x.m.events"
        );
    }

    #[test]
    fn reads_are_counted_and_columns_are_not() {
        let count = |sql: &str| occurrences(sql, "m", "t");
        assert_eq!(count("SELECT m.t.a FROM m.t"), 1);
        assert_eq!(
            count("SELECT a FROM m.t WHERE a IN (SELECT a FROM m.`t`)"),
            2
        );
    }
}
