//! The rows that a rebuild of some does not make anew: taken over from the old state as it was after the cut.
//!
//! The old state is fed all the time, and its rows do not say when they came. So it is looked at once, after everything from before the cut
//! is there: what it has too much then is of keys that came in between, which the raw rows name once every INSERT that was running has ended.

use crate::clickhouse::{identifier, literal};
use crate::rebuild::ledger::Fact;
use crate::rebuild::run::{Halt, Run};

impl Run<'_> {
    /// Freezes the old state, and writes down the keys that may have come in by then.
    pub(super) async fn freeze(&mut self) -> Result<(), Halt> {
        let Some(scope) = self.subject.scope.clone() else {
            return Ok(());
        };
        if self.ledger.progress.frozen.is_some() {
            return Ok(());
        }
        // Names of this run's: a late statement of a dead one finds nothing.
        let state = self.subject.scratch(&format!("frozen_{}", self.run()));
        let touched = self.subject.scratch(&format!("touched_{}", self.run()));
        let old = self.subject.old.state.clone();
        self.send(&format!(
            "CREATE TABLE {} AS {}",
            identifier(&state),
            identifier(&old)
        ))
        .await?;
        for id in self.partitions(&old).await? {
            self.send(&format!(
                "ALTER TABLE {} ATTACH PARTITION ID {} FROM {}",
                identifier(&state),
                literal(&id),
                identifier(&old)
            ))
            .await?;
        }
        // What wrote into the old state before it was frozen has written into the source by then.
        self.quiet().await?;
        self.send(&format!(
            "CREATE TABLE {} ({}) ENGINE = MergeTree ORDER BY tuple()",
            identifier(&touched),
            scope.key_columns()
        ))
        .await?;
        let recent = self.recent(self.cut()).await?;
        let since = self.subject.query(&recent);
        self.send_heavy(&format!(
            "INSERT INTO {} {}",
            identifier(&touched),
            scope.keys_of(&since)
        ))
        .await?;
        self.write(Fact::Frozen { state, touched }).await
    }

    /// The table of the keys that are made anew because they came in meanwhile.
    pub(super) fn touched(&self) -> Option<String> {
        let frozen = self.ledger.progress.frozen.as_ref();
        frozen.map(|(_, touched)| touched.clone())
    }

    /// The tables of this rebuild's own that it needs still: the keys for every comparison, the frozen state until it is taken over.
    pub(super) fn needed(&self) -> Vec<String> {
        let progress = &self.ledger.progress;
        let Some((state, touched)) = progress
            .frozen
            .clone()
            .filter(|_| !progress.aborting && !progress.finishing)
        else {
            return Vec::new();
        };
        let taken_over = progress
            .chunks
            .as_ref()
            .is_some_and(|chunks| progress.moved.len() >= chunks.len());
        if taken_over {
            vec![touched]
        } else {
            vec![state, touched]
        }
    }
}
