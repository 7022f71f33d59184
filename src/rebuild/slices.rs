//! Which keys a query looks at: all of them, in slices, so that a look takes no more memory than there is; or those that differed the
//! last time. What is done with them is not known here.

use std::time::Duration;

use crate::clickhouse::identifier;
use crate::rebuild::run::{Halt, Run};
use crate::rebuild::{Event, Options};

/// How many pieces of history a slice is, where no limit of memory is set. Each slice reads both sides whole, so that few are fast.
const PIECES: u64 = 4;
/// How many bytes of memory a row of a slice may have: 4 million events of 1 million sessions take less than 1 GiB.
const BYTES: u64 = 256;
/// In how many slices all of it is looked at to begin with, at most, and in how many in the end.
const SLICES: (u64, u64) = (64, 4096);
/// In how many slices a piece of history is aggregated at most.
const SLICES_OF_A_PIECE: u64 = 64;

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

/// The number of a key, by its columns: NULL is a value as any other.
#[must_use]
pub(super) fn number<'a>(columns: impl Iterator<Item = &'a str>) -> String {
    let values: Vec<String> = columns
        .map(identifier)
        .map(|it| format!("isNull({it}), ifNull(toString({it}), '')"))
        .collect();
    if values.is_empty() {
        "toUInt64(0)".to_owned()
    } else {
        format!("cityHash64({})", values.join(", "))
    }
}

/// In how many slices something is done: twice as many whenever the server has not the memory for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slices {
    count: u64,
    most: u64,
}

impl Slices {
    /// Of a piece of history: one, as pieces are small. Each slice reads the piece whole.
    pub(super) const OF_A_PIECE: Self = Self {
        count: 1,
        most: SLICES_OF_A_PIECE,
    };

    /// Of so many rows: as few as memory may allow.
    fn of_all(rows: u64, options: &Options) -> Self {
        let rows_of_one = match options.max_memory {
            Some(bytes) => bytes / BYTES,
            None => options.chunk_rows.saturating_mul(PIECES),
        };
        let count = rows.div_ceil(rows_of_one.max(1)).clamp(1, SLICES.0);
        Self {
            count,
            most: SLICES.1,
        }
    }

    /// How many there are, for the name of a table that is of as many.
    pub(super) fn count(self) -> u64 {
        self.count
    }

    pub(super) fn each(self) -> impl Iterator<Item = Of<'static>> {
        (0..self.count).map(move |it| Of::Slice(it, self.count))
    }
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
    /// Whether what failed is to be done again in twice as many slices, because memory was short.
    pub(super) fn refine(&mut self, slices: &mut Slices, halt: &Halt) -> bool {
        let short = matches!(halt, Halt::Error(error) if error.is_short_of_memory());
        if !short || slices.count >= slices.most {
            return false;
        }
        slices.count *= 2;
        (self.events)(Event::Sliced {
            slices: slices.count,
        });
        true
    }

    /// Makes a table of what a query finds, of the keys that another gives, or of all, which are of about so many rows.
    pub(super) async fn find(
        &mut self,
        notes: &Notes<'_>,
        only: Option<&str>,
        rows: u64,
        query: impl Fn(&Of<'_>) -> String,
    ) -> Result<String, Halt> {
        let mut slices = Slices::of_all(rows, self.options);
        loop {
            let name = format!("{}_{}_{}", notes.name, self.run(), slices.count());
            let table = identifier(&self.subject.scratch(&name));
            self.send(&format!(
                "CREATE TABLE IF NOT EXISTS {table} ({}) ENGINE = MergeTree ORDER BY {}",
                notes.columns, notes.order
            ))
            .await?;
            let looks: Vec<Of<'_>> = match only {
                Some(keys) => vec![Of::Keys(keys)],
                None => slices.each().collect(),
            };
            match self.insert_each(&table, &looks, &query).await {
                Err(halt) if only.is_none() && self.refine(&mut slices, &halt) => {}
                result => return result.map(|()| table),
            }
            self.send(&format!("DROP TABLE IF EXISTS {table}")).await?;
        }
    }

    /// Puts what a query finds in each look into a table.
    pub(super) async fn insert_each(
        &mut self,
        into: &str,
        looks: &[Of<'_>],
        query: impl Fn(&Of<'_>) -> String,
    ) -> Result<(), Halt> {
        for of in looks {
            self.pause(Duration::ZERO).await?;
            let insert = format!("INSERT INTO {into} {}", query(of));
            self.send_heavy(&insert).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_as_many_as_memory_or_pieces_ask_for_and_not_too_many() {
        let count = |rows, max_memory, chunk_rows| {
            let options = Options {
                chunk_rows,
                max_memory,
                ..Options::default()
            };
            Slices::of_all(rows, &options).count()
        };
        for (rows, chunk_rows, expected) in [
            (0, 10, 1),
            (40, 10, 1),
            (41, 10, 2),
            (9, 0, 9),
            (u64::MAX, 1, 64),
            (u64::MAX, u64::MAX, 1),
        ] {
            assert_eq!(count(rows, None, chunk_rows), expected, "{rows}");
        }
        assert_eq!(count(4 << 20, Some(1 << 30), 1), 1);
        assert_eq!(count(50_000_000, Some(1 << 30), 1), 12);
        assert_eq!(count(50_000_000, Some(0), 1), 64);
    }

    #[test]
    fn a_slice_is_a_remainder_of_the_number() {
        assert_eq!(Of::Slice(0, 1).filter("h"), "");
        assert_eq!(Of::Slice(1, 3).filter("h"), " WHERE h % 3 = 1");
        assert_eq!(Of::Keys("SELECT 1").filter("h"), " WHERE h IN (SELECT 1)");
    }
}
