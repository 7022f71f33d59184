//! History, in chunks: each through a staging table, so that it is in the new state whole or not at all.

use std::time::Instant;

use serde::Deserialize;

use crate::clickhouse::{Error as ClickHouseError, Query, identifier, literal};
use crate::rebuild::ledger::{Chunk, Fact};
use crate::rebuild::parity::Comparison;
use crate::rebuild::run::{Halt, Run};
use crate::rebuild::slices::{Of, Slices};

impl Run<'_> {
    /// History, piece by piece.
    pub(super) async fn backfill(&mut self) -> Result<(), Halt> {
        let chunks = self.ledger.progress.chunks.clone().unwrap_or_default();
        let mut slices = Slices::OF_A_PIECE;
        for (number, chunk) in chunks.iter().enumerate() {
            if self.ledger.progress.moved.contains(&number) {
                continue;
            }
            self.hold().await?;
            let begun = Instant::now();
            let table = self.stage(chunk, &mut slices).await?;
            self.write(Fact::Staged {
                chunk: number,
                table: table.clone(),
            })
            .await?;
            self.move_all(&table).await?;
            self.write(Fact::Moved { chunk: number }).await?;
            self.throttle(chunk.rows.saturating_mul(slices.count()), begun.elapsed())
                .await?;
        }
        self.drop_scratch().await
    }

    /// Fills a staging table with what a piece adds, in as few slices as memory allows, and gives its name.
    async fn stage(&mut self, chunk: &Chunk, slices: &mut Slices) -> Result<String, Halt> {
        let (columns, rows) = self.rows_of(chunk);
        let key = Comparison::of(&self.subject).key_hash();
        loop {
            let name = format!("stage_{}_{}", self.run(), slices.count());
            let name = self.subject.scratch(&name);
            let stage = identifier(&name);
            let state = identifier(&self.subject.new.state);
            // Empty if it is there: what it had was moved.
            self.send(&format!("CREATE TABLE IF NOT EXISTS {stage} AS {state}"))
                .await?;
            let looks: Vec<Of<'_>> = slices.each().collect();
            let into = format!("{stage} ({columns})");
            let slice = |of: &Of<'_>| format!("SELECT {columns} FROM ({rows}){}", of.filter(&key));
            match self.insert_each(&into, &looks, slice).await {
                Err(halt) if self.refine(slices, &halt) => {}
                result => return result.map(|()| name),
            }
            self.send(&format!("DROP TABLE IF EXISTS {stage}")).await?;
        }
    }

    /// What a piece adds to the new state: the columns, and the query for them.
    fn rows_of(&self, chunk: &Chunk) -> (String, String) {
        let frozen = self.ledger.progress.frozen.as_ref();
        if let Some((scope, (state, touched))) = self.subject.scope.as_ref().zip(frozen)
            && chunk.kept
        {
            return scope.rest(state, touched, &chunk.condition);
        }
        let condition = format!(
            "{} AND {}",
            self.subject.before(self.cut()),
            chunk.condition
        );
        let (columns, query) = (self.subject.column_list(), self.subject.query(&condition));
        let rows = match &self.subject.scope {
            Some(scope) => scope.within(&query, &columns, self.touched().as_deref()),
            None => query,
        };
        (columns, rows)
    }

    /// Moves the partitions of a staging table into the new state. Each is there whole or not at all.
    pub(super) async fn move_all(&mut self, stage: &str) -> Result<(), Halt> {
        for id in self.partitions(stage).await? {
            let alter = format!(
                "ALTER TABLE {} MOVE PARTITION ID {} TO TABLE {}",
                identifier(stage),
                literal(&id),
                identifier(&self.subject.new.state)
            );
            self.send(&alter).await?;
        }
        Ok(())
    }

    /// The partitions of a table that have rows, by their IDs.
    pub(super) async fn partitions(&mut self, table: &str) -> Result<Vec<String>, ClickHouseError> {
        #[derive(Deserialize)]
        struct Row {
            id: String,
        }
        let query = Query::new(format!(
            "SELECT DISTINCT partition_id AS id FROM system.parts WHERE active AND rows > 0 AND database = currentDatabase() AND table = {} ORDER BY id",
            literal(table)
        ));
        let rows: Vec<Row> = self.client.rows(&query).await?;
        Ok(rows.into_iter().map(|row| row.id).collect())
    }

    /// A run broke off while a piece was moved. What is left in the staging table was not moved, unless the server itself broke off.
    pub(super) async fn settle_staged(&mut self) -> Result<(), Halt> {
        #[derive(Deserialize)]
        struct Row {
            up_since: i64,
        }
        let Some((chunk, stage, at)) = self.ledger.progress.staged.clone() else {
            return Ok(());
        };
        let known = self.exists(&stage).await?;
        let query =
            Query::new("SELECT toInt64(toUnixTimestamp(now())) - toInt64(uptime()) AS up_since");
        let row: Row = self.client.row(&query).await?;
        let restarted = row.up_since > i64::try_from(at).unwrap_or(i64::MAX) - 2;
        if !known || (restarted && self.has_rows(&stage).await?) {
            return self.write(Fact::Again).await;
        }
        self.move_all(&stage).await?;
        self.write(Fact::Moved { chunk }).await
    }
}
