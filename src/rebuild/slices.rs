//! Which keys a comparison looks at: all of them, in slices, so that a look takes about the memory of a piece of history; or those that
//! differed the last time. Only SQL, and pure; what is compared is not known here.

/// In how many slices at most: each look reads both sides once.
const SLICES: u64 = 64;

/// Some of the keys, each of which is known by a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of<'a> {
    /// The number of a slice, from 0, and how many there are: about that part of all. The server filters before it aggregates.
    Slice(u64, u64),
    /// Those whose numbers a query gives.
    Keys(&'a str),
}

impl<'a> Of<'a> {
    /// The looks that together are one at the keys that a query gives, or at all: as many as there are pieces of so many rows.
    #[must_use]
    pub(super) fn looks(keys: Option<&'a str>, rows: u64, piece: u64) -> Vec<Self> {
        let slices = rows.div_ceil(piece.max(1)).clamp(1, SLICES);
        match keys {
            Some(keys) => vec![Self::Keys(keys)],
            None => (0..slices).map(|it| Self::Slice(it, slices)).collect(),
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_as_many_as_pieces_and_not_too_many() {
        assert_eq!(Of::looks(None, 0, 10), [Of::Slice(0, 1)]);
        assert_eq!(Of::looks(None, 10, 10), [Of::Slice(0, 1)]);
        assert_eq!(Of::looks(None, 11, 10), [Of::Slice(0, 2), Of::Slice(1, 2)]);
        assert_eq!(Of::looks(None, 7, 0).len(), 7);
        assert_eq!(Of::looks(None, u64::MAX, 1).len(), 64);
        assert_eq!(Of::looks(Some("q"), 11, 10), [Of::Keys("q")]);
    }

    #[test]
    fn a_slice_is_a_remainder_of_the_number() {
        assert_eq!(Of::Slice(0, 1).filter("h"), "");
        assert_eq!(Of::Slice(1, 3).filter("h"), " WHERE h % 3 = 1");
        assert_eq!(Of::Keys("SELECT 1").filter("h"), " WHERE h IN (SELECT 1)");
    }
}
