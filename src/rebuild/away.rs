//! An abort: how something goes whose name the next rebuild may use again, by statements that are harmless if they arrive late.
//!
//! A DROP of a dead run that is still on its way would drop what the next rebuild has made under the same name. So what goes is renamed to a
//! name of this run's first, in one statement with an empty table of this run's, its *badge*: RENAME stops at the first that is not there,
//! and whoever goes on drops the badges of dead runs before anything else.

use crate::catalog::generation::scratch;
use crate::clickhouse::identifier;
use crate::rebuild::ledger::Fact;
use crate::rebuild::run::{Halt, Run};

impl Run<'_> {
    /// The new side goes, and everything is as it was. Another rebuild may use its names again.
    pub(super) async fn abort(&mut self) -> Result<(), Halt> {
        if !self.ledger.progress.aborting {
            self.nobody_came().await?;
            self.write(Fact::Aborting).await?;
        }
        // What a dead run was taking away, and with it what its statements need.
        self.drop_scratch().await?;
        if let Some(added) = self.subject.added.clone() {
            return self.take_back(&added).await;
        }
        self.swap(false).await?;
        for view in self.attempts().await? {
            self.take_away(&view).await?;
        }
        self.quiet().await?;
        let state = self.subject.new.state.clone();
        self.take_away(&state).await?;
        self.drop_scratch().await
    }

    /// Takes a table or a view away whose name may be used again.
    pub(super) async fn take_away(&mut self, name: &str) -> Result<(), Halt> {
        if !self.exists(name).await? {
            return Ok(());
        }
        for statement in away(name, &self.subject.logical, &self.run()) {
            self.send(&statement).await?;
        }
        Ok(())
    }
}

/// The statements that take a table or a view away, for a run, under names that belong to `logical`.
#[must_use]
pub(super) fn away(name: &str, logical: &str, run: &str) -> [String; 4] {
    let own = |what: &str| identifier(&scratch(logical, &format!("{what}_{run}")));
    let (badge, held, gone) = (own("badge"), own("held"), own("gone"));
    [
        format!("CREATE TABLE IF NOT EXISTS {badge} (a UInt8) ENGINE = Null"),
        format!(
            "RENAME TABLE {badge} TO {held}, {} TO {gone}",
            identifier(name)
        ),
        format!("DROP TABLE IF EXISTS {gone}"),
        format!("DROP TABLE IF EXISTS {held}"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_the_runs_own_are_dropped_and_the_badge_is_renamed_first() {
        assert_eq!(
            away("s__housewright_2", "s", "0a1b"),
            [
                "CREATE TABLE IF NOT EXISTS `s__housewright_badge_0a1b` (a UInt8) ENGINE = Null",
                "RENAME TABLE `s__housewright_badge_0a1b` TO `s__housewright_held_0a1b`, `s__housewright_2` TO `s__housewright_gone_0a1b`",
                "DROP TABLE IF EXISTS `s__housewright_gone_0a1b`",
                "DROP TABLE IF EXISTS `s__housewright_held_0a1b`",
            ]
        );
    }
}
