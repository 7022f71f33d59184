//! The steps of columns that are added in place: the table has them, the view fills them from then on, and when every INSERT knows that,
//! history is added to the rows that are there. Whatever is added twice changes nothing, so that every step may be done again.

use std::time::Instant;

use crate::catalog::Catalog;
use crate::clickhouse::identifier;
use crate::diff::QueryChange;
use crate::rebuild::addition::{Added, Alter};
use crate::rebuild::ledger::{Chunk, Fact};
use crate::rebuild::parity::Comparison;
use crate::rebuild::run::{Halt, Run};
use crate::rebuild::slices::Slices;
use crate::rebuild::{Error, Task, chunks};

/// A column of this name is there (`DUPLICATE_COLUMN`, `ILLEGAL_COLUMN`).
const STANDS: [i32; 2] = [15, 44];

impl Run<'_> {
    /// Does what is asked for.
    pub(super) async fn in_place(&mut self, task: &Task, added: &Added) -> Result<(), Halt> {
        let progress = &self.ledger.progress;
        let not_now = |what, remedy| progress.not_now(what, remedy);
        match task {
            Task::Abort => self.abort().await,
            Task::Finish => Err(not_now(
                "be finished",
                "columns that are added in place leave no old side; `apply` brings it to its end",
            )
            .into()),
            Task::RollBack => Err(not_now(
                "be rolled back",
                "`apply` brings it to its end, and `rollback` takes it back then; `housewright rebuild --abort` does at once",
            )
            .into()),
            _ if progress.aborting => Err(not_now(
                "go on",
                "`housewright rebuild --abort` brings that to its end",
            )
            .into()),
            _ => {
                self.add(added).await?;
                if matches!(task, Task::Section(_)) {
                    self.write(Fact::Kept).await?;
                }
                Ok(())
            }
        }
    }

    async fn add(&mut self, added: &Added) -> Result<(), Halt> {
        if self.ledger.progress.swapped {
            return Ok(());
        }
        self.drop_scratch().await?;
        if !self.ledger.progress.captured {
            let captured = self.widen(added).await;
            self.or_take_back(captured).await?;
        }
        if self.ledger.progress.chunks.is_none() {
            let (chunks, rows) = chunks::plan(
                self.client,
                &self.subject,
                None,
                self.cut(),
                self.options.piece(),
            )
            .await?;
            self.write(Fact::Planned { chunks, rows }).await?;
        }
        self.fill(added).await?;
        self.agree().await?;
        let select = self.subject.select.clone();
        if self.is_other_than(&select).await? {
            self.write(Fact::Again).await?;
            return Err(Error::NotNow {
                name: self.subject.name.clone(),
                what: "go on",
                place: "somebody changed the query of its view meanwhile, so that what came in since does not fill the columns".to_owned(),
                remedy: "`apply` again changes the query and adds history once more; readers were not changed",
            }
            .into());
        }
        self.change_over(true).await?;
        self.write(Fact::Swapped).await
    }

    /// The view fills the columns, whichever INSERT triggers it.
    async fn widen(&mut self, added: &Added) -> Result<(), Halt> {
        for alter in &added.alters {
            self.alter(alter).await?;
        }
        self.rehearse().await?;
        let (query, place) = &added.query;
        self.make(query, Some(place)).await?;
        // One that began before writes the columns empty, and its rows are history.
        self.quiet().await?;
        self.stand_still().await?;
        self.write(Fact::Captured).await
    }

    /// Adds columns, unless they are there.
    async fn alter(&mut self, alter: &Alter) -> Result<(), Halt> {
        if self.has(&alter.columns).await? {
            return Ok(());
        }
        match self.make(&alter.sql, Some(&alter.place)).await {
            // A statement of a run that was killed came late.
            Err(Halt::Error(Error::Unmakeable { error, .. }))
                if STANDS.iter().any(|code| error.is_code(*code))
                    && self.has(&alter.columns).await? =>
            {
                Ok(())
            }
            result => result,
        }
    }

    /// Whether the state has columns.
    async fn has(&mut self, columns: &[String]) -> Result<bool, Halt> {
        let catalog = Catalog::read(self.client).await?;
        let state = catalog.get(&self.subject.new.state);
        Ok(state.is_some_and(|state| columns.iter().all(|it| state.column(it).is_some())))
    }

    /// History, piece by piece, each to the rows of its keys that are there.
    async fn fill(&mut self, added: &Added) -> Result<(), Halt> {
        let chunks = self.ledger.progress.chunks.clone().unwrap_or_default();
        let mut slices = Slices::OF_A_PIECE;
        for (number, chunk) in chunks.iter().enumerate() {
            if self.ledger.progress.moved.contains(&number) {
                continue;
            }
            self.hold().await?;
            let begun = Instant::now();
            loop {
                match self.fill_with(added, number, chunk, slices).await {
                    Err(halt) if self.refine(&mut slices, &halt) => self.drop_scratch().await?,
                    result => break result?,
                }
            }
            self.write(Fact::Moved { chunk: number }).await?;
            self.throttle(chunk.rows.saturating_mul(slices.count()), begun.elapsed())
                .await?;
        }
        Ok(())
    }

    /// One piece, in slices.
    async fn fill_with(
        &mut self,
        added: &Added,
        number: usize,
        chunk: &Chunk,
        slices: Slices,
    ) -> Result<(), Halt> {
        let columns: Vec<String> = self
            .subject
            .columns
            .iter()
            .map(|column| format!("{} {}", identifier(&column.name), column.r#type))
            .collect();
        let condition = format!(
            "{} AND {}",
            self.subject.before(self.cut()),
            chunk.condition
        );
        let (list, rows) = (self.subject.column_list(), self.subject.query(&condition));
        let key = Comparison::of(&self.subject).key_hash();
        for (slice, of) in slices.each().enumerate() {
            let stage = format!("stage_{}_{number}_{}_{slice}", self.run(), slices.count());
            let stage = identifier(&self.subject.scratch(&stage));
            self.send(&format!(
                "CREATE TABLE IF NOT EXISTS {stage} ({}) ENGINE = MergeTree ORDER BY tuple()",
                columns.join(", ")
            ))
            .await?;
            self.send_heavy(&format!(
                "INSERT INTO {stage} ({list}) SELECT {list} FROM ({rows}){}",
                of.filter(&key)
            ))
            .await?;
            let fill = self.filling(added, &stage);
            self.send_heavy(&fill).await?;
            self.send(&format!("DROP TABLE IF EXISTS {stage}")).await?;
        }
        Ok(())
    }

    /// The INSERT that adds a stage to the state: of keys that are there, and with what leaves the other columns as they are. What is not
    /// named has what its type begins with.
    fn filling(&self, added: &Added, stage: &str) -> String {
        let keys: Vec<String> = Comparison::of(&self.subject)
            .keys
            .iter()
            .map(|key| identifier(&key.name))
            .collect();
        let own: Vec<(String, &str)> = added
            .own
            .iter()
            .map(|(name, function)| (identifier(name), function.as_str()))
            .collect();
        let state = identifier(&self.subject.new.state);
        let of = |side: &str, names: &[String]| -> Vec<String> {
            names.iter().map(|name| format!("{side}.{name}")).collect()
        };
        let filled: Vec<String> = added.filled.iter().map(|name| identifier(name)).collect();
        let names: Vec<String> = own.iter().map(|(name, _)| name.clone()).collect();
        let columns = [keys.clone(), filled.clone(), names.clone()].concat();
        let values = [of("r", &keys), of("r", &filled), of("s", &names)].concat();
        let kept: Vec<String> = of("t", &keys)
            .iter()
            .zip(&keys)
            .map(|(value, name)| format!("{value} AS {name}"))
            .chain(
                own.iter()
                    .map(|(name, function)| format!("{function}(t.{name}) AS {name}")),
            )
            .collect();
        let same: Vec<String> = keys
            .iter()
            .map(|key| format!("r.{key} = s.{key}"))
            .collect();
        let key = keys.join(", ");
        format!(
            "INSERT INTO {state} ({}) SELECT {} FROM {stage} AS r ALL INNER JOIN (SELECT {} FROM {state} AS t WHERE ({}) IN (SELECT {key} FROM {stage}) GROUP BY {}) AS s ON {}",
            columns.join(", "),
            values.join(", "),
            kept.join(", "),
            of("t", &keys).join(", "),
            of("t", &keys).join(", "),
            same.join(" AND ")
        )
    }

    /// Everything is as it was: readers, the view's query, and then the columns that nothing writes any more.
    pub(super) async fn take_back(&mut self, added: &Added) -> Result<(), Halt> {
        self.change_over(false).await?;
        if self.is_other_than(&added.before).await? {
            let view = identifier(&self.subject.new.view);
            self.send(&format!("ALTER TABLE {view} MODIFY QUERY {}", added.before))
                .await?;
        }
        self.quiet().await?;
        let state = identifier(&self.subject.new.state);
        for column in added.alters.iter().flat_map(|it| &it.columns) {
            self.send(&format!(
                "ALTER TABLE {state} DROP COLUMN IF EXISTS {}",
                identifier(column)
            ))
            .await?;
        }
        self.drop_scratch().await
    }

    /// Whether the view's query is another one.
    async fn is_other_than(&mut self, select: &str) -> Result<bool, Halt> {
        let catalog = Catalog::read(self.client).await?;
        let now = catalog.get(&self.subject.new.view);
        Ok(now.is_some_and(|view| {
            QueryChange::of(select, &view.select, self.client.database()) != QueryChange::default()
        }))
    }
}
