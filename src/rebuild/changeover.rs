//! The steps that a changed definition has besides: what the server refuses is taken back, readers are tried before and changed over, and
//! what is still read is not let go.

use crate::catalog::generation::renamed;
use crate::catalog::{Catalog, Object};
use crate::clickhouse::identifier;
use crate::rebuild::Error;
use crate::rebuild::change::Reader;
use crate::rebuild::obstacles::{elsewhere, followers};
use crate::rebuild::run::{Halt, Run};
use crate::rebuild::subject::{Side, readers};

impl Run<'_> {
    /// Executes a statement of the definition, which stands in a place; that the server refuses it is the definition's fault.
    pub(super) async fn make(&mut self, sql: &str, place: Option<&str>) -> Result<(), Halt> {
        match (self.send(sql).await, place) {
            (Err(Halt::Error(Error::ClickHouse(error))), Some(place))
                if error.exception().is_some() && !error.outcome_is_unknown() =>
            {
                let place = place.to_owned();
                Err(Error::Unmakeable { place, error }.into())
            }
            (result, _) => result,
        }
    }

    /// What the server refused of a definition leaves nothing behind.
    pub(super) async fn or_take_back(&mut self, result: Result<(), Halt>) -> Result<(), Halt> {
        if let Err(Halt::Error(Error::Unmakeable { .. })) = &result {
            self.abort().await?;
        }
        result
    }

    /// Makes every reader under a name of this run's, so that one that the server refuses is known before anything is aggregated.
    pub(super) async fn rehearse(&mut self) -> Result<(), Halt> {
        for reader in self.subject.changing().to_vec() {
            let name = self.rehearsal(&reader, Some(&reader.place)).await?;
            self.send(&format!("DROP VIEW IF EXISTS {}", identifier(&name)))
                .await?;
        }
        Ok(())
    }

    /// A reader as it will be, under a name of this run's. With a place the definition is to blame if the server refuses it.
    pub(super) async fn rehearsal(
        &mut self,
        reader: &Reader,
        place: Option<&str>,
    ) -> Result<String, Halt> {
        let name = self
            .subject
            .scratch(&format!("reader_{}_{}", reader.name, self.run()));
        let names = [(reader.name.clone(), name.clone())].into();
        self.make(&renamed(&reader.after, &names), place).await?;
        Ok(name)
    }

    /// Lets the readers read the new side, or what they read before. If one cannot, none does.
    pub(super) async fn change_over(&mut self, to_new: bool) -> Result<(), Halt> {
        let readers = self.subject.changing().to_vec();
        if to_new {
            for reader in &readers {
                if let Err(halt) = self.send(&reader.after).await {
                    if !matches!(halt, Halt::Stopped) {
                        self.give_back(&readers).await?;
                    }
                    return Err(halt);
                }
            }
            return Ok(());
        }
        self.give_back(&readers).await
    }

    async fn give_back(&mut self, readers: &[Reader]) -> Result<(), Halt> {
        let catalog = Catalog::read(self.client).await?;
        for reader in readers.iter().rev() {
            let now = catalog.get(&reader.name).map(|object| &object.create);
            match &reader.before {
                Some(before) if now != Some(before) => {
                    let replace = before.replacen("CREATE VIEW ", "CREATE OR REPLACE VIEW ", 1);
                    self.send(&replace).await?;
                }
                None if now.is_some() => self.take_away(&reader.name).await?,
                _ => {}
            }
        }
        Ok(())
    }

    /// The old side is let go only when nothing reads it. Readers of a definition that stays are swapped, whenever they were made.
    pub(super) async fn nobody_stays(&mut self) -> Result<(), Halt> {
        self.unread(&self.subject.old.clone(), &[]).await
    }

    /// The new side is taken back only if nothing but what goes back itself reads it. Nobody knew it by name before it was swapped in.
    pub(super) async fn nobody_came(&mut self) -> Result<(), Halt> {
        if !self.ledger.progress.was_swapped || self.subject.added.is_some() {
            return Ok(());
        }
        let mut own = self.attempts().await?;
        own.extend(self.subject.changing().iter().map(|it| it.name.clone()));
        self.unread(&self.subject.new.clone(), &own).await
    }

    /// Nothing reads a side, but what is named.
    async fn unread(&mut self, side: &Side, but: &[String]) -> Result<(), Halt> {
        if side.state.is_empty() {
            return Ok(());
        }
        let catalog = Catalog::read(self.client).await?;
        let mut staying = match self.subject.change {
            Some(_) => readers(&catalog, &side.state),
            None => Vec::new(),
        };
        staying.extend(followers(&catalog, side).map(|it: &Object| it.name.clone()));
        let scratch = self.subject.scratch_prefix();
        staying.retain(|name| !but.contains(name) && !name.starts_with(&scratch));
        staying.extend(elsewhere(self.client, &side.state).await?);
        if staying.is_empty() {
            return Ok(());
        }
        Err(Error::StillRead {
            state: side.state.clone(),
            readers: staying,
        }
        .into())
    }
}
