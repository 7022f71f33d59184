//! The migrations, replayed statement by statement, with what there is after each of them and what the engine says of every view; and
//! each down section, tried: back to where it began, and up again.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{Catalog, Definitions, Kind, Object, query_tree, words};
use crate::clickhouse::{Client, identifier};
use crate::diagnostic::{Diagnostic, Severity};
use crate::drift::bench::{Bench, StandIns, defines};
use crate::drift::{Error, Step};
use crate::lint::{Entry, History, Query, Reversal, Reverse, State, View, touched};
use crate::migration::{Migration, Migrations};
use crate::sql::Kind as Create;
use crate::sql::{Header, Statement, header};

/// A view of this name is made and dropped to ask the engine whether a query fits a target.
const PROBE: &str = "_housewright_probe";

/// The setting without which 26.7 refuses a table that older servers take.
const TOLERATED: &str = "allow_dimensions_outside_sorting_key";

/// A replay that goes on.
struct Replay<'b> {
    bench: &'b Bench,
    client: &'b Client,
    stand_ins: StandIns,
    state: State,
}

/// How the engine took a statement.
enum Taken {
    Yes,
    /// It cannot, and a server can.
    Beyond(String),
    /// A server would refuse it too.
    Refused(String),
}

impl Bench {
    /// Replays the migrations. With `down`, each down section is tried as well: up, down, up again.
    ///
    /// The second value is what it all adds up to; `None` if the engine refused something on the way.
    ///
    /// # Errors
    /// [`Error::ClickHouse`] if the engine goes away. What it refuses is a finding of the history.
    pub async fn history<'a>(
        &self,
        migrations: &'a Migrations,
        down: bool,
    ) -> Result<(History<'a>, Option<Definitions>), Error> {
        let mut history = History::of_texts(migrations, self.client().database());
        self.clear().await?;
        let mut replay = Replay {
            bench: self,
            client: self.client(),
            stand_ins: StandIns::default(),
            state: State::new(self.client().database()),
        };
        let mut index = 0;
        for migration in migrations.iter() {
            let before = (replay.state.clone(), replay.stand_ins.clone());
            for statement in &migration.up {
                let Some(moment) = history.moments.get_mut(index) else {
                    break;
                };
                index += 1;
                moment.before = Some(replay.state.clone());
                match replay.take(statement).await? {
                    Taken::Yes => {}
                    Taken::Beyond(why) => {
                        history
                            .beyond
                            .push((migration.location(statement.span), why));
                    }
                    Taken::Refused(why) => {
                        history.refused = Some(refused(migration, statement, &why));
                        return Ok((history, None));
                    }
                }
                moment.after = Some(replay.state.clone());
            }
            if down {
                let reverse = replay.there_and_back(migrations, migration, before).await?;
                history.reversals.push(Reversal { migration, reverse });
            }
        }
        let end = self.state(&replay.stand_ins).await?;
        Ok((history, Some(end)))
    }
}

fn refused(migration: &Migration, statement: &Statement, why: &str) -> Diagnostic {
    Diagnostic::new(
        Severity::Error,
        "refused",
        "the embedded ClickHouse refused this statement when the migrations were replayed",
    )
    .at(Some(migration.location(statement.span)))
    .note(why)
    .help("what stands behind it was judged by its text alone; the migrations have to be executable from nothing, one after the other")
}

impl Replay<'_> {
    async fn send(&mut self, statement: &Statement) -> Result<Taken, Error> {
        let sql = without_cluster(statement.sql(), &statement.header);
        let taken = self.execute(&sql).await?;
        // What only newer servers refuse is made all the same: a rule says by name what is wrong with it.
        match &taken {
            Taken::Refused(why)
                if why.contains(TOLERATED) && statement.header.kind == Create::CreateTable =>
            {
                self.execute(&tolerating(&sql)).await
            }
            _ => Ok(taken),
        }
    }

    async fn take(&mut self, statement: &Statement) -> Result<Taken, Error> {
        let taken = self.send(statement).await?;
        if matches!(taken, Taken::Yes) && defines(&statement.header) {
            self.look(&statement.header).await?;
        }
        Ok(taken)
    }

    async fn execute(&mut self, sql: &str) -> Result<Taken, Error> {
        let step = Step {
            sql: sql.to_owned(),
            location: None,
        };
        match self.bench.run(&[step], &mut self.stand_ins).await {
            Ok(()) => Ok(Taken::Yes),
            Err(Error::Statement { error, .. }) => {
                let said = error
                    .exception()
                    .map_or_else(|| error.to_string(), ToString::to_string);
                if error.exception().is_none() {
                    return Err(Error::ClickHouse(*error));
                }
                Ok(if Bench::is_beyond(&error) {
                    Taken::Beyond(said)
                } else {
                    Taken::Refused(said)
                })
            }
            Err(error) => Err(error),
        }
    }

    /// Reads again what a statement may have changed.
    async fn look(&mut self, header: &Header) -> Result<(), Error> {
        let names = touched(header);
        if names.as_ref().is_some_and(BTreeSet::is_empty) {
            return Ok(());
        }
        let catalog = match &names {
            None => Catalog::read(self.client).await?,
            Some(names) => {
                let names: Vec<String> = names.iter().cloned().collect();
                Catalog::read_only(self.client, &names).await?
            }
        };
        let names = names.unwrap_or_else(|| {
            let known = self.state.entries().map(|entry| entry.object.name.clone());
            known
                .chain(catalog.objects.iter().map(|object| object.name.clone()))
                .collect()
        });
        for name in &names {
            self.state.remove(name);
        }
        for mut object in catalog.objects {
            if object.name.starts_with(".inner") {
                continue;
            }
            self.own_engine(&mut object);
            self.state.put(Entry::new(object));
        }
        for name in self.state.dependents(&names) {
            self.ask(&name).await?;
        }
        Ok(())
    }

    /// A stand-in is shown with the engine that it stands for.
    fn own_engine(&self, object: &mut Object) {
        let Some(clause) = self.stand_ins.get(&object.name) else {
            return;
        };
        if let Some(range) = crate::catalog::engine_clause(&object.create) {
            object.create.replace_range(range, clause);
        }
        if let Some(engine) = words(clause).get(2) {
            engine.text.clone_into(&mut object.engine);
        }
    }

    /// What the engine says of a view's query and target.
    async fn ask(&mut self, name: &str) -> Result<(), Error> {
        let Some(object) = self.state.get(name).cloned() else {
            return Ok(());
        };
        let mut entry = Entry::new(object);
        entry.query = match query_tree(self.client, &entry.object.select).await? {
            Ok(Some(tree)) => Query::Tree(Box::new(tree)),
            Ok(None) => Query::None,
            Err(exception) => Query::Refused(exception),
        };
        let fits = {
            let view = View::of(&entry, &self.state);
            match view.target().filter(|_| view.is_trigger()) {
                Some(target) if view.tree().is_some() => view.branches().iter().all(|query| {
                    view.outputs(query).iter().all(|output| {
                        target
                            .column(&output.name)
                            .is_some_and(|column| column.r#type == output.r#type)
                    })
                }),
                _ => true,
            }
        };
        if !fits && entry.object.kind == Kind::MaterializedView {
            entry.unfit = self.probe(&entry.object).await?;
        }
        self.state.put(entry);
        Ok(())
    }

    async fn probe(&self, view: &Object) -> Result<Option<crate::clickhouse::Exception>, Error> {
        let target = view.target.as_deref().unwrap_or_default();
        let create = format!(
            "CREATE MATERIALIZED VIEW {PROBE} TO {} AS {}",
            identifier(target),
            view.select
        );
        match self.bench.execute(&create).await {
            Ok(()) => {
                self.bench
                    .execute(&format!("DROP TABLE IF EXISTS {PROBE}"))
                    .await?;
                Ok(None)
            }
            Err(error) => match error.exception() {
                Some(exception) => Ok(Some(exception.clone())),
                None => Err(error.into()),
            },
        }
    }

    /// Down, and up again; whatever comes of it, the engine is where it was afterwards.
    async fn there_and_back(
        &mut self,
        migrations: &Migrations,
        migration: &Migration,
        (before, stand_ins_before): (State, StandIns),
    ) -> Result<Reverse, Error> {
        let Some(down) = &migration.down else {
            return Ok(Reverse::Missing);
        };
        let after = (self.state.clone(), self.stand_ins.clone());
        let mut reverse = Reverse::Inverse;
        for statement in &down.statements {
            if let Taken::Refused(why) = self.take_quietly(statement).await? {
                reverse = Reverse::Refused(statement.span, why);
                break;
            }
        }
        if reverse == Reverse::Inverse {
            let differs = differences(&before, &self.state);
            if !differs.is_empty() {
                reverse = Reverse::Differs(differs);
            }
        }
        if reverse == Reverse::Inverse {
            self.stand_ins = stand_ins_before;
            for statement in &migration.up {
                if let Taken::Refused(why) = self.take_quietly(statement).await? {
                    reverse = Reverse::NoSecondTime(why);
                    break;
                }
            }
        }
        if reverse != Reverse::Inverse {
            self.bench.clear().await?;
            self.stand_ins = StandIns::default();
            for other in migrations.up_to(migration.version).iter() {
                for statement in &other.up {
                    self.send(statement).await?;
                }
            }
        }
        (self.state, self.stand_ins) = after;
        Ok(reverse)
    }

    /// As [`Replay::take`], without asking about views.
    async fn take_quietly(&mut self, statement: &Statement) -> Result<Taken, Error> {
        let taken = self.send(statement).await?;
        let Some(names) = touched(&statement.header) else {
            let catalog = Catalog::read(self.client).await?;
            self.state = State::new(self.client.database());
            self.keep(catalog);
            return Ok(taken);
        };
        if matches!(taken, Taken::Yes) && !names.is_empty() && defines(&statement.header) {
            let names: Vec<String> = names.into_iter().collect();
            let catalog = Catalog::read_only(self.client, &names).await?;
            for name in &names {
                self.state.remove(name);
            }
            self.keep(catalog);
        }
        Ok(taken)
    }

    fn keep(&mut self, catalog: Catalog) {
        for mut object in catalog.objects {
            if !object.name.starts_with(".inner") {
                self.own_engine(&mut object);
                self.state.put(Entry::new(object));
            }
        }
    }
}

/// What is another, in words.
fn differences(should: &State, is: &State) -> Vec<String> {
    let texts = |state: &State| -> BTreeMap<String, String> {
        state
            .entries()
            .map(|entry| (entry.object.name.clone(), entry.object.create.clone()))
            .collect()
    };
    let (should, is) = (texts(should), texts(is));
    let mut differences = Vec::new();
    for (name, text) in &should {
        match is.get(name) {
            None => differences.push(format!("`{name}` is gone")),
            Some(other) if other != text => {
                differences.push(format!("`{name}` was {}", change(text, other)));
            }
            Some(_) => {}
        }
    }
    for name in is.keys().filter(|name| !should.contains_key(*name)) {
        differences.push(format!("`{name}` is still there"));
    }
    differences
}

/// The place at which two definitions part: `… was x, is y`.
fn change(should: &str, is: &str) -> String {
    let same = |a: &[crate::catalog::Word<'_>], b: &[crate::catalog::Word<'_>]| {
        a.iter()
            .zip(b)
            .take_while(|(a, b)| a.text == b.text)
            .count()
    };
    let (a, b) = (words(should), words(is));
    let start = same(&a, &b);
    let (mut left, mut right) = (a.clone(), b.clone());
    left.reverse();
    right.reverse();
    let end = same(&left, &right)
        .min(a.len().saturating_sub(start))
        .min(b.len().saturating_sub(start));
    let text = |sql: &str, words: &[crate::catalog::Word<'_>]| {
        let from = start.saturating_sub(1);
        let until = words.len().saturating_sub(end);
        let span = words
            .get(from)
            .zip(words.get(until.max(from + 1) - 1))
            .and_then(|(first, last)| sql.get(first.start..last.end));
        let text = span.unwrap_or_default();
        let short: String = text.chars().take(100).collect();
        if short.len() < text.len() {
            short + "…"
        } else {
            short
        }
    };
    format!("`{}`, and is `{}`", text(should, &a), text(is, &b))
}

/// A CREATE TABLE with [`TOLERATED`].
fn tolerating(sql: &str) -> String {
    let words = words(sql);
    let at = |keyword: &str| {
        words
            .iter()
            .skip_while(|word| word.depth > 0 || !word.is("ENGINE"))
            .find(|word| word.depth == 0 && word.is(keyword))
    };
    let (position, setting) = match (at("SETTINGS"), at("COMMENT")) {
        (Some(settings), _) => (settings.end, format!(" {TOLERATED} = 1,")),
        (None, Some(comment)) => (comment.start, format!("SETTINGS {TOLERATED} = 1 ")),
        (None, None) => (sql.len(), format!(" SETTINGS {TOLERATED} = 1")),
    };
    let (before, after) = sql.split_at(position);
    format!("{before}{setting}{after}")
}

/// A statement without `ON CLUSTER`, which the embedded engine has none of.
fn without_cluster(sql: &str, head: &Header) -> String {
    if head.on_cluster.is_none() && header(sql).on_cluster.is_none() {
        return sql.to_owned();
    }
    let words = words(sql);
    let at = words
        .windows(3)
        .find(|three| matches!(three, [on, cluster, _] if on.is("ON") && cluster.is("CLUSTER")));
    match at {
        Some([on, _, name]) => format!(
            "{}{}",
            sql.get(..on.start).unwrap_or_default(),
            sql.get(name.end..).unwrap_or_default()
        ),
        _ => sql.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_at_which_definitions_part_is_shown() {
        assert_eq!(
            change(
                "CREATE TABLE t (a UInt8, b UInt8) ORDER BY a",
                "CREATE TABLE t (a UInt8, b UInt16) ORDER BY a"
            ),
            "`b UInt8`, and is `b UInt16`"
        );
        assert_eq!(
            change(
                "CREATE TABLE t (a UInt8) ORDER BY a",
                "CREATE TABLE t (a UInt8, b UInt16) ORDER BY a"
            ),
            "`UInt8`, and is `UInt8, b UInt16`"
        );
    }

    #[test]
    fn a_cluster_is_taken_out() {
        let sql = "DROP TABLE t ON CLUSTER 'c' SYNC";
        assert_eq!(without_cluster(sql, &header(sql)), "DROP TABLE t  SYNC");
    }
}
