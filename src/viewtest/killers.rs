//! Which cases notice most mutants: they are asked first. Pure.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::viewtest::suite::Outcome;

/// The histories of a case: the simplest one finds most, and is played for every case before the others are for any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Simplest,
    Others,
}

/// How many of those that killed the neighbours come before all others.
const RECENT: usize = 4;

/// What killed, and how often.
#[derive(Debug)]
pub(crate) struct Killers {
    /// For each part of each case: its place, how many it killed, and the milliseconds that the case takes.
    cases: Vec<(Part, usize, usize, u128)>,
    /// For a statement, what killed its mutants, the last first.
    recent: BTreeMap<usize, Vec<(Part, usize)>>,
}

impl Killers {
    /// Nothing killed yet; `outcomes` are those of the original.
    pub(crate) fn new(outcomes: &[Outcome]) -> Self {
        let of = |part| {
            outcomes
                .iter()
                .map(move |outcome| (part, outcome.index, 0, outcome.took.as_millis()))
        };
        Self {
            cases: of(Part::Simplest).chain(of(Part::Others)).collect(),
            recent: BTreeMap::new(),
        }
    }

    /// A mutant of a statement was killed.
    pub(crate) fn killed(&mut self, piece: usize, part: Part, case: usize) {
        let recent = self.recent.entry(piece).or_default();
        recent.retain(|other| *other != (part, case));
        recent.insert(0, (part, case));
        recent.truncate(RECENT);
        for (known, index, kills, _) in &mut self.cases {
            if *index == case && *known == part {
                *kills += 1;
            }
        }
    }

    /// Those that killed the neighbours, then the simplest histories, of cases that kill most and then of the quick ones.
    pub(crate) fn order(&self, piece: usize) -> Vec<(Part, usize)> {
        let none = Vec::new();
        let recent = self.recent.get(&piece).unwrap_or(&none);
        let mut cases = self.cases.clone();
        cases.sort_by_key(|(part, index, kills, took)| {
            let last = recent.iter().position(|other| *other == (*part, *index));
            (
                last.unwrap_or(RECENT),
                *part,
                Reverse(*kills),
                *took,
                *index,
            )
        });
        cases
            .into_iter()
            .map(|(part, index, ..)| (part, index))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Part::{Others, Simplest};
    use super::*;
    use crate::viewtest::suite::Verdict;
    use std::time::Duration;

    #[test]
    fn those_that_killed_the_neighbours_come_first_then_the_simplest() {
        let outcome = |index, milliseconds| Outcome {
            index,
            verdict: Verdict::Passed,
            answers: Vec::new(),
            readings: 0,
            took: Duration::from_millis(milliseconds),
        };
        let mut killers = Killers::new(&[outcome(0, 9), outcome(1, 5), outcome(2, 7)]);
        let order = [(Simplest, 1), (Simplest, 2), (Simplest, 0)];
        assert_eq!(killers.order(7)[..3], order);
        killers.killed(7, Others, 2);
        killers.killed(7, Simplest, 0);
        assert_eq!(
            killers.order(7)[..4],
            [(Simplest, 0), (Others, 2), (Simplest, 1), (Simplest, 2)]
        );
        // Another statement's mutants: only that it killed counts.
        assert_eq!(killers.order(8)[0], (Simplest, 0));
        assert_eq!(killers.order(8).len(), 6);
    }
}
