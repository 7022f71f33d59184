//! The ways in which the same rows can arrive and meet. Pure.
//!
//! A materialized view is a trigger: it sees one block at a time, and what it wrote meets when parts merge, some day. The same rows in one
//! INSERT find 4 of 30 wrong views, in all of these ways all 30 (`## Testing a view` in README.md).

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// How rows are cut into INSERTs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arrival {
    /// As the case says: one INSERT a step.
    Written,
    /// As the case says, and the view's rows as it made them, one block unaggregated (`optimize_on_insert = 0`).
    Raw,
    /// One INSERT a row.
    Single,
    /// One INSERT a row, the last first.
    Reversed,
    /// In another order, in pieces, by the seed.
    Shuffled(u64),
    /// In two INSERTs, the first of that many rows.
    Split(usize),
    /// One INSERT a row, each sent twice; only where inserts are deduplicated.
    Retried,
}

/// How parts meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Merging {
    /// Not at all.
    Never,
    /// Once, when half of the INSERTs are there.
    Half,
    /// All of them, before every question.
    All,
}

/// One way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct History {
    /// How rows arrive.
    pub arrival: Arrival,
    /// How parts meet.
    pub merging: Merging,
}

impl std::fmt::Display for History {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.arrival {
            Arrival::Written => write!(formatter, "as written"),
            Arrival::Raw => write!(formatter, "as written with optimize_on_insert = 0"),
            Arrival::Single => write!(formatter, "one INSERT a row"),
            Arrival::Reversed => write!(formatter, "one INSERT a row, the last first"),
            Arrival::Shuffled(seed) => write!(formatter, "shuffled and cut (seed {seed})"),
            Arrival::Split(first) => write!(formatter, "two INSERTs, the first of {first}"),
            Arrival::Retried => write!(formatter, "one INSERT a row, each sent twice"),
        }?;
        match self.merging {
            Merging::Never => write!(formatter, ", unmerged"),
            Merging::Half => write!(formatter, ", half merged"),
            Merging::All => write!(formatter, ", merged"),
        }
    }
}

/// Rows up to this number are split at every boundary, more in the middle.
const SPLIT_EVERYWHERE: usize = 5;
/// More rows than this do not come one by one but in this many pieces.
const MAX_PIECES: usize = 24;

/// The ways for this many rows, the simplest first; each is done once, with the rows as they meet asked before and after a merge.
#[must_use]
pub fn histories(rows: usize, deduplicates: bool) -> Vec<Arrival> {
    let mut arrivals = vec![Arrival::Written, Arrival::Raw];
    if rows > 1 {
        arrivals.push(Arrival::Single);
        arrivals.push(Arrival::Reversed);
    }
    if rows > 2 {
        arrivals.push(Arrival::Shuffled(1));
        if rows <= SPLIT_EVERYWHERE {
            arrivals.extend((1..rows).map(Arrival::Split));
        } else {
            arrivals.push(Arrival::Split(rows / 2));
        }
    }
    if deduplicates {
        arrivals.push(Arrival::Retried);
    }
    arrivals
}

impl Arrival {
    /// How parts meet before the first question; after it they are merged, and it is asked again.
    #[must_use]
    pub fn merging(self) -> Merging {
        match self {
            Self::Reversed | Self::Shuffled(_) => Merging::Half,
            _ => Merging::Never,
        }
    }

    /// The INSERTs of rows that steps of these lengths bring: the rows' numbers in each.
    #[must_use]
    pub fn cut(self, steps: &[usize]) -> Vec<Vec<usize>> {
        let total: usize = steps.iter().sum();
        let all: Vec<usize> = (0..total).collect();
        let mut batches: Vec<Vec<usize>> = match self {
            Self::Written | Self::Raw => {
                let mut from = 0;
                let mut batches = Vec::new();
                for length in steps {
                    batches.push((from..from + length).collect());
                    from += length;
                }
                batches
            }
            Self::Single => pieces(&all),
            Self::Retried => pieces(&all)
                .into_iter()
                .flat_map(|batch| [batch.clone(), batch])
                .collect(),
            Self::Reversed => pieces(&all.into_iter().rev().collect::<Vec<_>>()),
            Self::Shuffled(seed) => {
                let mut dice = ChaCha8Rng::seed_from_u64(seed);
                let mut below = |bound: usize| {
                    usize::try_from(dice.next_u64() % bound.max(1) as u64).unwrap_or(0)
                };
                let mut rows = all;
                for index in (1..rows.len()).rev() {
                    rows.swap(index, below(index + 1));
                }
                let largest = rows.len().div_ceil(MAX_PIECES).max(2);
                let mut batches = Vec::new();
                while !rows.is_empty() {
                    let rest = rows.split_off((1 + below(largest)).min(rows.len()));
                    batches.push(std::mem::replace(&mut rows, rest));
                }
                batches
            }
            Self::Split(first) => {
                let (one, two) = all.split_at(first.min(all.len()));
                vec![one.to_vec(), two.to_vec()]
            }
        };
        batches.retain(|batch| !batch.is_empty());
        batches
    }
}

/// One row each, or few if there are many.
fn pieces(rows: &[usize]) -> Vec<Vec<usize>> {
    rows.chunks(rows.len().div_ceil(MAX_PIECES).max(1))
        .map(<[usize]>::to_vec)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_brings_every_row_once() {
        for steps in [vec![1], vec![2], vec![3, 2], vec![7], vec![100], vec![0]] {
            let total: usize = steps.iter().sum();
            for arrival in histories(total, false) {
                let mut rows: Vec<usize> = arrival.cut(&steps).concat();
                rows.sort_unstable();
                assert_eq!(rows, (0..total).collect::<Vec<_>>(), "{arrival:?}");
            }
        }
    }

    #[test]
    fn the_ways_of_three_rows() {
        let ways: Vec<String> = histories(3, true)
            .into_iter()
            .map(|arrival| {
                let history = History {
                    arrival,
                    merging: arrival.merging(),
                };
                format!("{history}: {:?}", arrival.cut(&[1, 2]))
            })
            .collect();
        insta::assert_snapshot!(ways.join("\n"), @"
        as written, unmerged: [[0], [1, 2]]
        as written with optimize_on_insert = 0, unmerged: [[0], [1, 2]]
        one INSERT a row, unmerged: [[0], [1], [2]]
        one INSERT a row, the last first, half merged: [[2], [1], [0]]
        shuffled and cut (seed 1), half merged: [[0, 2], [1]]
        two INSERTs, the first of 1, unmerged: [[0], [1, 2]]
        two INSERTs, the first of 2, unmerged: [[0, 1], [2]]
        one INSERT a row, each sent twice, unmerged: [[0], [0], [1], [1], [2], [2]]
        ");
    }
}
