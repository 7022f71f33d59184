//! New and raw, compared while rows come in: what differs is looked at again until it agrees, or is surely wrong.

use serde::Deserialize;

use crate::clickhouse::{Error as ClickHouseError, Query, identifier};
use crate::rebuild::ledger::Fact;
use crate::rebuild::parity::Comparison;
use crate::rebuild::run::{Halt, Run, seconds};
use crate::rebuild::slices::Notes;
use crate::rebuild::{Error, Event, Example};

/// How often what changed while it was compared is compared again.
pub(super) const ROUNDS: u32 = 20;

impl Run<'_> {
    /// New and raw are the same, key by key.
    pub(super) async fn agree(&mut self) -> Result<(), Halt> {
        #[derive(Deserialize)]
        struct Row {
            same: u64,
            differing: u64,
            sure: u64,
        }
        if self.ledger.progress.agreed.is_some() {
            return Ok(());
        }
        let comparison = Comparison::of(&self.subject);
        let touched = self.touched();
        let raw = self.subject.expected(touched.as_deref());
        let state = identifier(&self.subject.new.state);
        let mut only: Option<String> = None;
        let mut total = 0;
        for round in 1..=ROUNDS {
            (self.events)(Event::Comparing { round });
            let since = self.barrier.now().await?;
            self.quiet_since(since).await?;
            let notes = Notes {
                name: &format!("check_{round}"),
                columns: "wrong UInt8, key UInt64, n UInt64",
                order: "(wrong, key)",
            };
            let rows = self.ledger.progress.rows;
            let found = self
                .find(&notes, only.as_deref(), rows, |of| {
                    comparison.query(&raw, &state, of)
                })
                .await?;
            // Whatever came in since before the look may have been seen on one side only.
            self.quiet().await?;
            let recent = self.recent(seconds(since).saturating_sub(1)).await?;
            let recent = self.subject.query(&recent);
            let query = Query::new(format!(
                "SELECT toUInt64(sumIf(n, wrong = 0)) AS same, toUInt64(sumIf(n, wrong = 1)) AS differing, \
                 toUInt64(countIf(wrong = 1 AND key NOT IN ({}))) AS sure FROM {found}",
                comparison.touched(&recent)
            ));
            let row: Row = self.client.row(&query).await?;
            if round == 1 {
                total = row.same + row.differing;
            }
            if row.sure > 0 {
                let keys = format!(
                    "SELECT key FROM {found} WHERE wrong = 1 AND key NOT IN ({}) LIMIT 5",
                    comparison.touched(&recent)
                );
                let examples = self.examples(&comparison, &raw, &keys).await?;
                self.drop_scratch().await?;
                return Err(Error::Disagree {
                    state: self.subject.new.state.clone(),
                    source_table: self.subject.source.clone(),
                    kept: self
                        .subject
                        .scope
                        .as_ref()
                        .map(|_| self.subject.old.state.clone()),
                    in_place: self.subject.added.is_some(),
                    count: row.sure,
                    examples,
                }
                .into());
            }
            if row.differing == 0 {
                self.drop_scratch().await?;
                return self.write(Fact::Agreed { rows: total }).await;
            }
            only = Some(format!("SELECT key FROM {found} WHERE wrong = 1"));
            if round == ROUNDS {
                self.drop_scratch().await?;
                return Err(Error::Restless {
                    state: self.subject.new.state.clone(),
                    count: row.differing,
                }
                .into());
            }
        }
        Ok(())
    }

    pub(super) async fn examples(
        &mut self,
        comparison: &Comparison,
        raw: &str,
        keys: &str,
    ) -> Result<Vec<Example>, ClickHouseError> {
        #[derive(Deserialize)]
        struct Row {
            names: Vec<(String, String)>,
            cells: Vec<(String, String, String)>,
            raw_rows: u64,
            state_rows: u64,
        }
        let state = identifier(&self.subject.new.state);
        let query = Query::new(comparison.examples(raw, &state, keys));
        let rows: Vec<Row> = self.client.rows(&query).await?;
        Ok(rows
            .into_iter()
            .map(|row| Example {
                key: row.names,
                in_raw: row.raw_rows > 0,
                in_state: row.state_rows > 0,
                cells: row
                    .cells
                    .into_iter()
                    .filter(|(_, raw, state)| raw != state)
                    .collect(),
            })
            .collect())
    }
}
