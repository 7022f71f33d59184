//! Which keys a comparison looks at: all of them, in slices, so that a look takes no more memory than there is; or those that differed the
//! last time. What is compared is not known here.

use crate::clickhouse::identifier;
use crate::rebuild::run::{Halt, Run};

/// How many pieces of history a slice is. Each slice reads both sides whole, so that few are fast; 4 million events of 1 million sessions
/// take less than 1 GiB.
const PIECES: u64 = 4;
/// In how many slices at first, at most, and in how many at all.
const SLICES: (u64, u64) = (64, 4096);

/// Some of the keys, each of which is known by a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of<'a> {
    /// The number of a slice, from 0, and how many there are: about that part of all. The server filters before it aggregates.
    Slice(u64, u64),
    /// Those whose numbers a query gives.
    Keys(&'a str),
}

impl Of<'_> {
    /// The WHERE of a query for some of the keys, by the expression for a key's number.
    #[must_use]
    pub(super) fn filter(&self, number: &str) -> String {
        match self {
            Self::Slice(_, 1) => String::new(),
            Self::Slice(slice, of) => format!(" WHERE {number} % {of} = {slice}"),
            Self::Keys(keys) => format!(" WHERE {number} IN ({keys})"),
        }
    }
}

/// In how many slices so many rows are looked at first, by the rows of a piece of history.
fn slices(rows: u64, piece: u64) -> u64 {
    rows.div_ceil(piece.max(1).saturating_mul(PIECES))
        .clamp(1, SLICES.0)
}

/// Where a comparison notes what it finds: a table.
pub(super) struct Notes<'a> {
    /// What the table is called by, besides the run.
    pub(super) name: &'a str,
    /// Its columns, as they are declared.
    pub(super) columns: &'a str,
    /// What it is sorted by.
    pub(super) order: &'a str,
}

impl Run<'_> {
    /// Makes a table of what a query finds, of the keys that another gives, or of all, which are of about so many rows. Where the server's
    /// memory is not enough for a slice, all of it is done again with slices half as large.
    pub(super) async fn find(
        &mut self,
        notes: &Notes<'_>,
        only: Option<&str>,
        rows: u64,
        query: impl Fn(&Of<'_>) -> String,
    ) -> Result<String, Halt> {
        let mut count = slices(rows, self.options.chunk_rows);
        loop {
            let name = format!("{}_{}_{count}", notes.name, self.run());
            let table = identifier(&self.subject.scratch(&name));
            self.send(&format!(
                "CREATE TABLE IF NOT EXISTS {table} ({}) ENGINE = MergeTree ORDER BY {}",
                notes.columns, notes.order
            ))
            .await?;
            let looks: Vec<Of<'_>> = match only {
                Some(keys) => vec![Of::Keys(keys)],
                None => (0..count).map(|it| Of::Slice(it, count)).collect(),
            };
            match self.note(&table, &looks, &query).await {
                Err(Halt::Error(error))
                    if error.is_short_of_memory() && only.is_none() && count < SLICES.1 => {}
                result => return result.map(|()| table),
            }
            self.send(&format!("DROP TABLE IF EXISTS {table}")).await?;
            count *= 2;
        }
    }

    /// Puts what a query finds in each look into a table.
    async fn note(
        &mut self,
        table: &str,
        looks: &[Of<'_>],
        query: impl Fn(&Of<'_>) -> String,
    ) -> Result<(), Halt> {
        for of in looks {
            let insert = format!("INSERT INTO {table} {}", query(of));
            self.send_heavy(&insert).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_as_many_as_pieces_ask_for_and_not_too_many() {
        assert_eq!(slices(0, 10), 1);
        assert_eq!(slices(40, 10), 1);
        assert_eq!(slices(41, 10), 2);
        assert_eq!(slices(9, 0), 3);
        assert_eq!(slices(u64::MAX, 1), 64);
        assert_eq!(slices(u64::MAX, u64::MAX), 1);
    }

    #[test]
    fn a_slice_is_a_remainder_of_the_number() {
        assert_eq!(Of::Slice(0, 1).filter("h"), "");
        assert_eq!(Of::Slice(1, 3).filter("h"), " WHERE h % 3 = 1");
        assert_eq!(Of::Keys("SELECT 1").filter("h"), " WHERE h IN (SELECT 1)");
    }
}
