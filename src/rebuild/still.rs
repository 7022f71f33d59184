//! A source that does not say when it took a row: nobody writes into it, as somebody said, and that is looked at until readers are swapped.
//!
//! Every INSERT leaves parts with higher block numbers, and merges keep the highest, so that rows that came in are seen by what is left.

use serde::Deserialize;

use crate::clickhouse::{Query, literal};
use crate::rebuild::Error;
use crate::rebuild::ledger::Fact;
use crate::rebuild::run::{Halt, Run};

impl Run<'_> {
    /// Before the new view takes anything: how the source stands, once no INSERT runs.
    pub(super) async fn stand_still(&mut self) -> Result<(), Halt> {
        if !self.subject.stopped() {
            return Ok(());
        }
        self.quiet().await?;
        let blocks = self.blocks().await?;
        self.write(Fact::Still { blocks }).await
    }

    /// Nothing came in since. If something did, nobody knows whether the new state has it once: history has to be begun again.
    pub(super) async fn stay_still(&mut self) -> Result<(), Halt> {
        if !self.subject.stopped() || self.ledger.progress.was_swapped {
            return Ok(());
        }
        self.quiet().await?;
        if self.is_still().await? {
            return Ok(());
        }
        // A run that was killed may have swapped readers and not have written it down.
        self.swap(false).await?;
        self.write(Fact::Again).await?;
        Err(Error::NotStill {
            source_table: self.subject.source.clone(),
        }
        .into())
    }

    /// A condition on the source: the rows that came in at a moment or later; where it does not say when they came, all if any did.
    pub(super) async fn recent(&mut self, at: u64) -> Result<String, Halt> {
        Ok(if !self.subject.stopped() {
            self.subject.since(at)
        } else if self.is_still().await? {
            "0".to_owned()
        } else {
            "1".to_owned()
        })
    }

    async fn is_still(&mut self) -> Result<bool, Halt> {
        let now = self.blocks().await?;
        Ok(self.ledger.progress.still.as_ref() == Some(&now))
    }

    /// The highest block number of each partition, as one number.
    async fn blocks(&mut self) -> Result<String, Halt> {
        #[derive(Deserialize)]
        struct Row {
            blocks: String,
        }
        let query = Query::new(format!(
            "SELECT toString(cityHash64(arraySort(groupArray((id, most))))) AS blocks FROM (\
               SELECT partition_id AS id, max(max_block_number) AS most FROM system.parts \
               WHERE active AND database = currentDatabase() AND table = {} GROUP BY id)",
            literal(&self.subject.source)
        ));
        Ok(self.client.row::<Row>(&query).await?.blocks)
    }
}
