//! What ties an entry to those before it: two logs with the same entry must have the same chain
//! there (log matching, Raft §5.3).

use core::fmt;

use crate::types::entry::{Entry, Payload};
use crate::types::id::Index;

/// A hash over an entry and its predecessors, back to the last index that [`Chain::SPAN`] divides.
/// It meets bugs and broken disks, not attackers: it is small and fast, and easy to forge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Chain(pub u64);

impl Chain {
    /// A chain begins anew at every multiple of this index: a node that lacks the entries before,
    /// after a restart or with a snapshot in their place, has the same chains as all others soon.
    pub const SPAN: u64 = 256;

    /// The chain that ends with `entry`, after `previous`. None if that is not known, and the
    /// chain does not begin here.
    #[must_use]
    pub fn after(previous: Option<Chain>, entry: &Entry) -> Option<Chain> {
        let begins = entry.id.index == Index(1) || entry.id.index.0.is_multiple_of(Chain::SPAN);
        let previous = if begins { Chain(0) } else { previous? };
        let kind = match &entry.payload {
            Payload::Noop => 1,
            Payload::Command(_) => 2,
            Payload::Membership(_) => 3,
        };
        let fixed = [entry.id.term.0, entry.id.index.0, kind, entry.payload.bytes() as u64];
        let chain = fixed.into_iter().fold(previous, Chain::and);
        Some(match &entry.payload {
            Payload::Noop => chain,
            Payload::Command(command) => chain.and_bytes(command),
            Payload::Membership(membership) => chain.and_bytes(&membership.encode()),
        })
    }

    fn and_bytes(self, bytes: &[u8]) -> Chain {
        let (words, rest) = bytes.as_chunks::<8>();
        let chain = words.iter().fold(self, |chain, word| chain.and(u64::from_le_bytes(*word)));
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        chain.and(u64::from_le_bytes(last))
    }

    /// Every step is a bijection of what came before: what differs once differs from then on.
    fn and(self, word: u64) -> Chain {
        let mixed = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Chain((mixed ^ mixed >> 32).wrapping_add(1))
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
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
    fn whatever_differs_before_differs_after() {
        let chain = |first: &Entry| {
            Chain::after(Chain::after(None, first), &entry(1, 2, "same")).expect("from the start")
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
    fn a_chain_is_known_again_from_the_next_multiple_of_the_span_on() {
        assert_eq!(Chain::after(None, &entry(1, 7, "x")), None);
        let begin = entry(1, Chain::SPAN, "x");
        let known = Chain::after(None, &begin);
        assert!(known.is_some());
        assert_eq!(known, Chain::after(Some(Chain(9)), &begin), "what came before does not show");
    }
}
