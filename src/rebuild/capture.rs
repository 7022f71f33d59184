//! The cut: from when on the new view takes what comes in, and that nothing before it or after it is taken twice or not at all.

use std::time::{Duration, Instant};

use crate::catalog::Generations;
use crate::catalog::generation::{parse, physical};
use crate::clickhouse::identifier;
use crate::rebuild::ledger::Fact;
use crate::rebuild::run::{Halt, NEVER, Run, seconds};

impl Run<'_> {
    /// Both sides are fed from the cut on.
    pub(super) async fn capture(&mut self) -> Result<(), Halt> {
        let create = self.subject.create_state();
        let places = self.subject.change.as_ref().map(|it| it.places.clone());
        let (state, view) = places.unzip();
        self.make(&create, state.as_deref()).await?;
        self.rehearse().await?;
        let again = !self.first;
        if again {
            self.renew().await?;
        }
        let create = self.subject.create_view(NEVER);
        self.make(&create, view.as_deref()).await?;
        if again {
            self.empty_new_state().await?;
        }
        let mut lead = self.options.lead;
        let begun = Instant::now();
        loop {
            let at = seconds(self.barrier.now().await?) + lead.as_secs() + 1;
            self.write(Fact::Cut { at }).await?;
            self.stand_still().await?;
            self.take_from(at).await?;
            if self.quiet_before(at).await? {
                return self.write(Fact::Captured).await;
            }
            // An INSERT that does not know of the view may still stamp rows after the cut: the cut has to lie later.
            if begun.elapsed() > self.options.patience {
                let (_, running) = self.barrier.look(f64::MAX).await?;
                self.take_from(NEVER).await?;
                return Err(self.busy(running).into());
            }
            self.take_from(NEVER).await?;
            self.empty_new_state().await?;
            lead = (lead * 2).max(Duration::from_secs(1));
        }
    }

    /// Gives the new view a name that no run had a statement about: one of a dead run may still be on its way, and none can reach what it
    /// does not name. The views of earlier attempts go, and what they took goes with [`Self::empty_new_state`].
    async fn renew(&mut self) -> Result<(), Halt> {
        let earlier = self.attempts().await?;
        let known = Generations::of(
            earlier
                .iter()
                .chain([&self.subject.old.view, &self.subject.new.view])
                .map(String::as_str),
        );
        let logical = parse(&self.subject.new.view).0;
        let view = physical(logical, known.next(logical));
        self.write(Fact::Renewed { view: view.clone() }).await?;
        self.subject.new.view = view;
        for view in earlier {
            self.send(&format!("DROP VIEW IF EXISTS {}", identifier(&view)))
                .await?;
        }
        Ok(())
    }

    /// The new view, as this attempt and earlier ones called it.
    pub(super) async fn attempts(&mut self) -> Result<Vec<String>, Halt> {
        let mut names = self.names().await?;
        let logical = parse(&self.subject.new.view).0;
        let (before, old) = parse(&self.subject.old.view);
        names.retain(|name| {
            let (known, generation) = parse(name);
            // A changed definition has a name of its own, of which even the first generation is new.
            known == logical && generation.is_some() && (before != logical || generation > old)
        });
        Ok(names)
    }

    /// Lets the new view take rows from a moment on.
    async fn take_from(&mut self, at: u64) -> Result<(), Halt> {
        let alter = format!(
            "ALTER TABLE {} MODIFY QUERY {}",
            identifier(&self.subject.new.view),
            self.subject.query(&self.subject.since(at))
        );
        self.send(&alter).await
    }

    /// Once the view takes nothing and no INSERT is left that thinks otherwise. A TRUNCATE that arrives late would take what came in since;
    /// this exchange finds the empty table gone.
    async fn empty_new_state(&mut self) -> Result<(), Halt> {
        self.quiet().await?;
        self.emptied += 1;
        let empty = self
            .subject
            .scratch(&format!("empty_{}_{}", self.run(), self.emptied));
        let (empty, state) = (identifier(&empty), identifier(&self.subject.new.state));
        self.send(&format!("CREATE TABLE {empty} AS {state}"))
            .await?;
        self.send(&format!("EXCHANGE TABLES {empty} AND {state}"))
            .await?;
        self.send(&format!("DROP TABLE IF EXISTS {empty}")).await
    }
}
