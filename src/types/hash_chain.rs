//! Hash chains over the log: two logs with the same entry must have the same chain there (log
//! matching, Raft §5.3).

use crate::types::entry::{Entry, Payload};
use crate::types::id::Index;
use crate::types::text::texts;

/// A hash over an entry and its predecessors, back to the last index that [`HashChain::SPAN`]
/// divides, or to the first entry. It detects bugs and corrupted disks, not attackers: it is small
/// and fast, and easy to forge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct HashChain(pub u64);

const _: () = assert!(HashChain::SPAN > 1, "a chain covers more than one entry");

impl HashChain {
    /// A chain restarts at every index that is a multiple of this number. A node without earlier
    /// entries, after a restart or a snapshot install, soon computes the same chains as the others
    /// again.
    pub const SPAN: u64 = 256;

    /// Returns the chain that ends with `entry`, given the chain of the entry before it. Returns
    /// `None` if `previous` is unknown and no chain starts at `entry`.
    #[must_use]
    pub fn after(previous: Option<HashChain>, entry: &Entry) -> Option<HashChain> {
        let starts = entry.id.index == Index(1) || entry.id.index.0.is_multiple_of(HashChain::SPAN);
        let previous = if starts { HashChain(0) } else { previous? };
        let kind = match &entry.payload {
            Payload::Noop => 1,
            Payload::Command(_) => 2,
            Payload::Membership(_) => 3,
        };
        let fixed = [entry.id.term.0, entry.id.index.0, kind, entry.payload.bytes() as u64];
        let chain = fixed.into_iter().fold(previous, HashChain::mix);
        Some(match &entry.payload {
            Payload::Noop => chain,
            Payload::Command(command) => chain.mix_bytes(command),
            Payload::Membership(membership) => chain.mix_bytes(&membership.encode()),
        })
    }

    fn mix_bytes(self, bytes: &[u8]) -> HashChain {
        let (words, rest) = bytes.as_chunks::<8>();
        let chain = words.iter().fold(self, |chain, word| chain.mix(u64::from_le_bytes(*word)));
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        chain.mix(u64::from_le_bytes(last))
    }

    /// Mixes a word in. Each step is a bijection of the state, so a difference persists.
    fn mix(self, word: u64) -> HashChain {
        const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
        const _: () = assert!(!FACTOR.is_multiple_of(2), "an odd factor loses no difference");
        let mixed = (self.0 ^ word).wrapping_mul(FACTOR);
        HashChain((mixed ^ mixed >> 32).wrapping_add(1))
    }
}

texts! { HashChain:
    Self(number) => "{number:016x}";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Command, EntryId, Term};

    fn entry(term: u64, index: u64, text: &str) -> Entry {
        let payload = Payload::Command(Command::from(text));
        Entry { id: EntryId::new(Term(term), Index(index)), payload }
    }

    #[test]
    fn a_difference_in_an_entry_persists_in_later_chains() {
        let chain = |first: &Entry| {
            let previous = HashChain::after(None, first);
            HashChain::after(previous, &entry(1, 2, "same")).expect("the chain starts at index 1")
        };
        let one = chain(&entry(1, 1, "some command"));
        assert_eq!(one, chain(&entry(1, 1, "some command")));
        assert_ne!(one, chain(&entry(1, 1, "some commanD")));
        assert_ne!(one, chain(&entry(1, 1, "some command\0")));
        assert_ne!(one, chain(&entry(2, 1, "some command")));
        let noop = Entry { payload: Payload::Noop, ..entry(1, 1, "") };
        assert_ne!(chain(&noop), chain(&entry(1, 1, "")));
    }

    #[test]
    fn a_chain_restarts_at_each_multiple_of_the_span() {
        assert_eq!(HashChain::after(None, &entry(1, 7, "x")), None);
        let first = entry(1, HashChain::SPAN, "x");
        let known = HashChain::after(None, &first);
        assert!(known.is_some());
        let after_other = HashChain::after(Some(HashChain(9)), &first);
        assert_eq!(known, after_other, "earlier entries have no effect");
    }
}
