//! The migrations, replayed statement by statement, with what there is after each of them and what the engine says of every view; and
//! each down section, tried: back to where it began, and up again.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{Catalog, Definitions, Kind, Object, query_tree, words};
use crate::clickhouse::{Client, identifier};
use crate::diagnostic::{Diagnostic, Location, Severity};
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
    /// The statements that have no effect here: the version and the first byte.
    left_out: BTreeSet<(u64, usize)>,
    /// The objects of which it is not known what they should be; they are in no state.
    unknown: BTreeSet<String>,
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
            left_out: BTreeSet::new(),
            unknown: BTreeSet::new(),
        };
        let mut doubts = Doubts::default();
        let mut index = 0;
        'all: for migration in migrations.iter() {
            let before = (replay.state.clone(), replay.stand_ins.clone());
            let mut whole = true;
            for statement in &migration.up {
                let Some(moment) = history.moments.get_mut(index) else {
                    break 'all;
                };
                index += 1;
                if let Some(names) = doubts.concern(migration, statement) {
                    whole = false;
                    replay.leave_out(migration, statement, names);
                    continue;
                }
                moment.before = Some(replay.state.clone());
                match replay.take(statement).await? {
                    Taken::Yes => {}
                    Taken::Beyond(why) => {
                        history
                            .beyond
                            .push((migration.location(statement.span), why));
                    }
                    Taken::Refused(why) => {
                        whole = false;
                        let names = doubts.refused(migration, statement, why);
                        replay.leave_out(migration, statement, names);
                        continue;
                    }
                }
                moment.after = Some(replay.state.clone());
            }
            let down_is_known = migration
                .down
                .iter()
                .flat_map(|down| &down.statements)
                .all(|statement| doubts.causes(statement).is_empty());
            if down && whole && down_is_known {
                let reverse = replay.there_and_back(migrations, migration, before).await?;
                history.reversals.push(Reversal { migration, reverse });
            }
        }
        if doubts.refused.is_empty() {
            let end = self.state(&replay.stand_ins).await?;
            return Ok((history, Some(end)));
        }
        history.refused = doubts.refused.into_iter().map(Doubt::told).collect();
        history.unknown = replay.unknown;
        Ok((history, None))
    }
}

/// What is not known because the engine refused a statement: what that would have changed, and what needs this.
#[derive(Default)]
struct Doubts {
    refused: Vec<Doubt>,
    /// By the name of an object: the statements, by their number, that have to be mended before it is known.
    causes: BTreeMap<String, BTreeSet<usize>>,
    /// The statement that may have changed anything, so that nothing behind it is known.
    all: Option<usize>,
}

/// A statement that the engine refused.
struct Doubt {
    location: Location,
    why: String,
    /// Those that were not executed because of it: where, and what they are.
    behind: Vec<(Location, String)>,
}

impl Doubts {
    /// The statements that have to be mended before it is known what another does.
    fn causes(&self, statement: &Statement) -> BTreeSet<usize> {
        if self.refused.is_empty() {
            return BTreeSet::new();
        }
        let named = words(statement.sql());
        let named = named.iter().flat_map(|word| [word.name(), word.string()]);
        let causes = named.flatten().filter_map(|name| self.causes.get(&name));
        self.all
            .into_iter()
            .chain(causes.flatten().copied())
            .collect()
    }

    /// Whether a statement needs what is not known: then what it would change is not known either.
    fn concern(
        &mut self,
        migration: &Migration,
        statement: &Statement,
    ) -> Option<BTreeSet<String>> {
        let causes = self.causes(statement);
        for cause in &causes {
            if let Some(doubt) = self.refused.get_mut(*cause) {
                let location = migration.location(statement.span);
                doubt
                    .behind
                    .push((location, statement.header.label.clone()));
            }
        }
        (!causes.is_empty()).then(|| self.doubt(statement, &causes))
    }

    fn refused(
        &mut self,
        migration: &Migration,
        statement: &Statement,
        why: String,
    ) -> BTreeSet<String> {
        let number = self.refused.len();
        self.refused.push(Doubt {
            location: migration.location(statement.span),
            why,
            behind: Vec::new(),
        });
        self.doubt(statement, &BTreeSet::from([number]))
    }

    fn doubt(&mut self, statement: &Statement, causes: &BTreeSet<usize>) -> BTreeSet<String> {
        let Some(names) = touched(&statement.header) else {
            self.all = self.all.or(causes.first().copied());
            return BTreeSet::new();
        };
        for name in &names {
            let known = self.causes.entry(name.clone()).or_default();
            known.extend(causes);
        }
        names
    }
}

impl Doubt {
    fn told(self) -> Diagnostic {
        const SHOWN: usize = 5;
        let mut finding = Diagnostic::new(
            Severity::Error,
            "refused",
            "the embedded ClickHouse refused this statement when the migrations were replayed",
        )
        .at(Some(self.location))
        .note(self.why);
        if !self.behind.is_empty() {
            let mut places: Vec<String> = self
                .behind
                .iter()
                .take(SHOWN)
                .map(|(at, label)| format!("{}:{} {label}", at.path, at.line))
                .collect();
            if let Some(more) = self.behind.len().checked_sub(SHOWN).filter(|it| *it > 0) {
                places.push(format!("and {more} more"));
            }
            finding = finding.note(format!(
                "not executed because of it, and judged by the text alone: {}",
                places.join(", ")
            ));
        }
        finding.help("the migrations have to be executable from nothing, one after the other")
    }
}

impl Replay<'_> {
    /// A statement had no effect although it should: what it is about is not known from here on.
    fn leave_out(&mut self, migration: &Migration, statement: &Statement, names: BTreeSet<String>) {
        let key = (migration.version, statement.span.start);
        self.left_out.insert(key);
        for name in &names {
            self.state.remove(name);
        }
        self.unknown.extend(names);
    }

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
            // It is gone: nobody has to be asked.
            Some(_) if is_drop_of_ours(header) => Catalog::default(),
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
        self.keep(catalog);
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
        let mut reverse = self.send_all(&down.statements).await?;
        if reverse.is_none() {
            self.see(&down.statements).await?;
            let differs = differences(&before, &self.state);
            if !differs.is_empty() {
                reverse = Some(Reverse::Differs(differs));
            }
        }
        if reverse.is_none() {
            self.stand_ins = stand_ins_before;
            reverse = match self.send_all(&migration.up).await? {
                Some(Reverse::Refused(_, why)) => Some(Reverse::NoSecondTime(why)),
                other => other,
            };
        }
        if reverse.is_some() {
            self.bench.clear().await?;
            self.stand_ins = StandIns::default();
            for other in migrations.up_to(migration.version).iter() {
                for statement in &other.up {
                    let key = (other.version, statement.span.start);
                    if !self.left_out.contains(&key) {
                        self.send(statement).await?;
                    }
                }
            }
        }
        (self.state, self.stand_ins) = after;
        Ok(reverse.unwrap_or(Reverse::Inverse))
    }

    /// Executes statements and looks at nothing; the one that was refused, if one was.
    async fn send_all(&mut self, statements: &[Statement]) -> Result<Option<Reverse>, Error> {
        for statement in statements {
            if let Taken::Refused(why) = self.send(statement).await? {
                return Ok(Some(Reverse::Refused(statement.span, why)));
            }
        }
        Ok(None)
    }

    /// Reads again what statements may have changed, without asking about views.
    async fn see(&mut self, statements: &[Statement]) -> Result<(), Error> {
        // What the last statement about it dropped is gone, and need not be read.
        let (mut all, mut gone) = (BTreeSet::new(), BTreeSet::new());
        for statement in statements.iter().filter(|it| defines(&it.header)) {
            let Some(names) = touched(&statement.header) else {
                let catalog = Catalog::read(self.client).await?;
                self.state = State::new(self.client.database());
                self.keep(catalog);
                return Ok(());
            };
            for name in names {
                if is_drop_of_ours(&statement.header) {
                    gone.insert(name.clone());
                } else {
                    gone.remove(&name);
                }
                all.insert(name);
            }
        }
        for name in &all {
            self.state.remove(name);
        }
        let names: Vec<String> = all.difference(&gone).cloned().collect();
        if !names.is_empty() {
            self.keep(Catalog::read_only(self.client, &names).await?);
        }
        Ok(())
    }

    fn keep(&mut self, catalog: Catalog) {
        for mut object in catalog.objects {
            let known = !self.unknown.contains(&object.name);
            if known && !object.name.starts_with(".inner") {
                self.own_engine(&mut object);
                self.state.put(Entry::new(object));
            }
        }
    }
}

/// Whether a statement drops an object of the database that it is executed in.
fn is_drop_of_ours(header: &Header) -> bool {
    ["DROP TABLE", "DROP VIEW", "DROP DICTIONARY"].contains(&header.label.as_str())
        && header.objects.iter().all(|it| it.database.is_none())
}

/// What is another, in words.
fn differences(should: &State, is: &State) -> Vec<String> {
    let differences = should.differences(is).into_iter();
    let said = differences.map(|(name, should, is)| match (should, is) {
        (Some(should), Some(is)) => format!("`{name}` was {}", change(should, is)),
        (_, None) => format!("`{name}` is gone"),
        (None, _) => format!("`{name}` is still there"),
    });
    said.collect()
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
