//! The encoding of a membership, as `docs/FORMAT.md` specifies; the same in the log, in the
//! superblock, in a snapshot and on the wire. Each membership has exactly one encoding.

use alloc::vec::Vec;

use crate::types::id::{EntryId, Index, NodeId, Term};
use crate::types::membership::member::{Address, Incarnation, Lineage, Member, PendingTransition};
use crate::types::membership::state::{Membership, Parts};
use crate::types::membership::voters::Voters;

const INCOMING: u8 = 1;
const OUTGOING: u8 = 2;
const TARGET: u8 = 4;
/// The distance from a voter set's bit to the bit of its casting vote.
const CASTING_SHIFT: u8 = 3;
const REMOVE: u8 = 0x40;
const PROMOTE: u8 = 0x80;
/// The size of a member in bytes without its address: id, incarnation, roles, priority, length of
/// the address.
const MEMBER_BYTES: usize = 8 + 16 + 3;
const ROLES: u8 = INCOMING | OUTGOING | TARGET;
const _: () = assert!(ROLES & (ROLES << CASTING_SHIFT) == 0, "a casting vote has its own bit");
const _: () = assert!(
    (ROLES | ROLES << CASTING_SHIFT) & (REMOVE | PROMOTE) == 0,
    "a pending transition has its own bit"
);
const _: () = assert!(Membership::MEMBERS_MAX <= u8::MAX as usize, "a byte counts the members");
const _: () = assert!(Membership::LINEAGES_MAX <= u8::MAX as usize, "a byte counts the lineages");
const _: () = assert!(Address::BYTES_MAX <= u8::MAX as usize, "a byte counts an address");
const _: () = assert!(
    Membership::MEMBERS_MAX == (Membership::BYTES_MAX - 2) / MEMBER_BYTES,
    "as many members fit as are allowed"
);
const _: () = assert!(
    2 + 2 * Membership::VOTERS_MAX * MEMBER_BYTES <= Membership::BYTES_MAX,
    "all voters can be replaced at once"
);

/// The size of a lineage in bytes: its leader, and the term and the index of its membership entry.
const LINEAGE_BYTES: usize = 8 + 8 + 8;

impl Membership {
    /// Returns the size of the encoded membership in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        bytes(self.members(), self.lineages())
    }

    /// Encodes the membership.
    ///
    /// # Panics
    /// If it has more than 255 members; [`Membership::BYTES_MAX`] allows fewer.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let parts = &*self.0;
        let count = u8::try_from(parts.members.len());
        let count = count.expect("contract: a membership is within bounds");
        let lineages = u8::try_from(parts.lineages.len()).expect("lineages are bounded");
        let mut bytes = Vec::with_capacity(self.bytes());
        bytes.extend([count, lineages]);
        for member in &parts.members {
            bytes.extend(member.id.0.to_le_bytes());
            bytes.extend(member.incarnation.0.to_le_bytes());
            let address = member.address.as_str().as_bytes();
            let length = u8::try_from(address.len()).expect("an address has at most 255 bytes");
            bytes.extend([parts.roles(member), member.priority, length]);
            bytes.extend(address);
        }
        for Lineage { by, at } in &parts.lineages {
            bytes.extend([by.0, at.term.0, at.index.0].iter().flat_map(|word| word.to_le_bytes()));
        }
        assert_eq!(bytes.len(), self.bytes(), "the size of an encoding is exact");
        bytes
    }

    /// Decodes a membership. Returns `None` if `bytes` are not exactly one encoded membership, or
    /// if it is invalid.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Membership> {
        let (&[members, lineages], mut rest) = bytes.split_first_chunk::<2>()?;
        let mut parts = Parts::default();
        let mut sets: [Vec<NodeId>; 3] = Default::default();
        let mut castings = [None; 3];
        for _ in 0..members {
            let (roles, member) = take_member(&mut rest)?;
            if parts.members.last().is_some_and(|last| last.id >= member.id) {
                return None;
            }
            let holders = castings.iter_mut();
            for ((bit, set), holder) in
                [INCOMING, OUTGOING, TARGET].iter().zip(&mut sets).zip(holders)
            {
                if roles & bit != 0 {
                    set.push(member.id);
                }
                if roles & (bit << CASTING_SHIFT) != 0 {
                    if roles & bit == 0 || holder.is_some() {
                        return None;
                    }
                    *holder = Some(member.id);
                }
            }
            parts.members.push(member);
        }
        if usize::from(lineages) > Membership::LINEAGES_MAX {
            return None;
        }
        for _ in 0..lineages {
            parts.lineages.push(take_lineage(&mut rest)?);
        }
        let mut sets = sets.into_iter().zip(castings);
        let mut set = || {
            let (ids, holder) = sets.next().expect("there are three sets");
            Voters::new(ids).with_casting(holder)
        };
        (parts.incoming, parts.outgoing, parts.target) = (set(), set(), set());
        let membership = Membership::from_parts(parts);
        (rest.is_empty() && membership.violation().is_none()).then_some(membership)
    }
}

impl Parts {
    /// Drops the oldest lineages that do not fit together with the members within
    /// [`Membership::BYTES_MAX`].
    pub(super) fn fit_lineages(&mut self) {
        let over = bytes(&self.members, &self.lineages).saturating_sub(Membership::BYTES_MAX);
        let dropped = over.div_ceil(LINEAGE_BYTES).min(self.lineages.len());
        self.lineages.drain(..dropped);
        let fits = bytes(&self.members, &self.lineages) <= Membership::BYTES_MAX;
        assert!(fits || self.lineages.is_empty(), "no lineage takes room beyond the bound");
    }

    fn roles(&self, member: &Member) -> u8 {
        let mut roles = match member.pending {
            PendingTransition::None => 0,
            PendingTransition::Remove => REMOVE,
            PendingTransition::Promote => PROMOTE,
        };
        let sets = [(INCOMING, &self.incoming), (OUTGOING, &self.outgoing), (TARGET, &self.target)];
        for (bit, voters) in sets {
            if voters.contains(&member.id) {
                roles |= bit;
            }
            if voters.casting() == Some(member.id) {
                roles |= bit << CASTING_SHIFT;
            }
        }
        roles
    }
}

fn bytes(members: &[Member], lineages: &[Lineage]) -> usize {
    let member = |member: &Member| MEMBER_BYTES + member.address.as_str().len();
    2 + members.iter().map(member).sum::<usize>() + lineages.len() * LINEAGE_BYTES
}

/// Decodes the next lineage of `rest`.
fn take_lineage(rest: &mut &[u8]) -> Option<Lineage> {
    let mut word = || take(rest).map(u64::from_le_bytes);
    Some(Lineage { by: NodeId(word()?), at: EntryId::new(Term(word()?), Index(word()?)) })
}

/// Decodes the next member of `rest`, and its roles.
fn take_member(rest: &mut &[u8]) -> Option<(u8, Member)> {
    let id = NodeId(u64::from_le_bytes(take(rest)?));
    let incarnation = Incarnation(u128::from_le_bytes(take(rest)?));
    let [roles, priority, length] = take(rest)?;
    let address = take_address(rest, length)?;
    let pending = match roles & (REMOVE | PROMOTE) {
        0 => PendingTransition::None,
        REMOVE => PendingTransition::Remove,
        PROMOTE => PendingTransition::Promote,
        _ => return None,
    };
    Some((roles, Member { id, incarnation, address, priority, pending }))
}

/// Takes the next `length` bytes of `rest`, which are the text of an address.
pub(super) fn take_address(rest: &mut &[u8], length: u8) -> Option<Address> {
    let (address, more) = rest.split_at_checked(usize::from(length))?;
    *rest = more;
    Address::new(core::str::from_utf8(address).ok()?)
}

/// Takes the next `N` bytes of `rest`.
pub(super) fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, more) = rest.split_first_chunk()?;
    *rest = more;
    Some(*taken)
}
