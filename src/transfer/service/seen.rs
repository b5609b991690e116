//! What was met before in a file: a dry run has nowhere else to look for a user who is in it twice.

use std::hash::{BuildHasher as _, Hash, RandomState};

/// How many shelves there are. Each is kept in order, so an insertion moves half a shelf: a kilobyte with a million names, a
/// tenth of a megabyte with a hundred million, where it takes some microseconds.
const SHELVES: usize = 1 << 12;
/// By which part of its length a full shelf grows.
const GROWTH: usize = 8;
/// The least by which it grows.
const LEAST_GROWTH: usize = 4;

/// Digests of 64 bits, under a key of this run's own, in place of the names: 8 bytes for each and an eighth of that to
/// grow into, where the names themselves or a hash table would take several times as much. Of a million names two have
/// the same digest once in forty million runs, and of a hundred million once in four thousand; a dry run says of such a
/// row that it is there already.
pub(super) struct Seen {
    hasher: RandomState,
    shelves: Vec<Vec<u64>>,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            shelves: vec![Vec::new(); SHELVES],
        }
    }
}

impl Seen {
    /// Whether a name is there.
    pub(super) fn has(&self, name: impl Hash) -> bool {
        let digest = self.hasher.hash_one(name);
        let sorted = self.shelves.get(shelf_of(digest));
        sorted.is_some_and(|sorted| sorted.binary_search(&digest).is_ok())
    }

    /// Whether a name is new.
    pub(super) fn insert(&mut self, name: impl Hash) -> bool {
        self.insert_digest(self.hasher.hash_one(name))
    }

    fn insert_digest(&mut self, digest: u64) -> bool {
        let Some(sorted) = self.shelves.get_mut(shelf_of(digest)) else {
            return false;
        };
        let Err(place) = sorted.binary_search(&digest) else {
            return false;
        };
        if sorted.len() == sorted.capacity() {
            sorted.reserve_exact((sorted.len() / GROWTH).max(LEAST_GROWTH));
        }
        sorted.insert(place, digest);
        true
    }
}

/// The upper bits of a digest, of which each has a shelf.
fn shelf_of(digest: u64) -> usize {
    usize::try_from(digest >> (u64::BITS - SHELVES.trailing_zeros())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_new_once() {
        let mut seen = Seen::default();
        for round in [true, false] {
            for number in 0..20_000 {
                let email = format!("user-{number}@example.test");
                assert_eq!(seen.has(("email", &email)), !round, "{email}");
                assert_eq!(seen.insert(("email", &email)), round, "{email}");
                assert_eq!(seen.insert(("id", number)), round, "{number}");
            }
        }
    }

    #[test]
    fn every_digest_has_its_place() {
        let mut seen = Seen::default();
        let ends = [0, 1, (1 << 52) - 1, 1 << 52, u64::MAX - 1, u64::MAX];
        for round in [true, false] {
            for digest in ends {
                assert_eq!(seen.insert_digest(digest), round, "{digest}");
            }
        }
        assert_eq!(seen.shelves.iter().map(Vec::len).sum::<usize>(), ends.len());
        assert!(seen.shelves.iter().all(|shelf| shelf.is_sorted()));
    }

    #[test]
    fn a_name_takes_nine_bytes_and_little_more() {
        const NAMES: usize = 400_000;
        let mut seen = Seen::default();
        for number in 0..NAMES {
            seen.insert(number);
        }
        let room: usize = seen.shelves.iter().map(Vec::capacity).sum();
        assert!(
            room * size_of::<u64>() <= NAMES * 95 / 10,
            "{room} places for {NAMES}"
        );
    }
}
