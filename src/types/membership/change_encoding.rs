//! The encoding of a membership change in requests of remote clients, as `docs/FORMAT.md`
//! specifies. Each change has exactly one encoding.

use alloc::vec::Vec;

use crate::types::id::NodeId;
use crate::types::membership::change::{Change, Edit, Role};
use crate::types::membership::encoding::{take, take_address};
use crate::types::membership::member::Incarnation;
use crate::types::membership::state::Membership;

const VOTER: u8 = 0;
const LEARNER: u8 = 1;
const SUSPENDED: u8 = 2;
const REMOVED: u8 = 3;
const CASTING: u8 = 4;
const NO_CASTING: u8 = 5;
const INCARNATION: u8 = 6;
const ADDRESS: u8 = 7;
const PRIORITY: u8 = 8;

const _: () = {
    let numbers =
        [VOTER, LEARNER, SUSPENDED, REMOVED, CASTING, NO_CASTING, INCARNATION, ADDRESS, PRIORITY];
    let mut place = 0;
    while place < numbers.len() {
        assert!(numbers[place] as usize == place, "each kind of edit has a number of its own");
        place += 1;
    }
};
const _: () = assert!(
    Change::EDITS_MAX >= 4 * Membership::MEMBERS_MAX,
    "a change can set role, incarnation, address and priority of every member"
);

impl Change {
    /// The maximum number of edits in an encoded change: enough to set the role, the incarnation,
    /// the address and the priority of every member.
    pub const EDITS_MAX: usize = 1024;

    /// Encodes the change. Returns `None` if it has more than [`Change::EDITS_MAX`] edits.
    #[must_use]
    pub fn encode(&self) -> Option<Vec<u8>> {
        if self.edits.len() > Change::EDITS_MAX {
            return None;
        }
        let mut bytes = Vec::new();
        for edit in &self.edits {
            encode_edit(edit, &mut bytes);
        }
        debug_assert!(Change::decode(&bytes).as_ref() == Some(self), "a change decodes");
        assert!(bytes.len() >= self.edits.len(), "every edit has a number");
        Some(bytes)
    }

    /// Decodes a change. Returns `None` if `bytes` are not exactly one encoded change.
    #[must_use]
    pub fn decode(mut bytes: &[u8]) -> Option<Change> {
        let mut edits = Vec::new();
        while !bytes.is_empty() {
            if edits.len() == Change::EDITS_MAX {
                return None;
            }
            edits.push(take_edit(&mut bytes)?);
        }
        assert!(edits.len() <= Change::EDITS_MAX, "the edits of a change are bounded");
        Some(Change { edits })
    }
}

fn encode_edit(edit: &Edit, bytes: &mut Vec<u8>) {
    let mut head = |kind: u8, id: NodeId| {
        bytes.push(kind);
        bytes.extend(id.0.to_le_bytes());
    };
    match edit {
        Edit::Role(id, role) => head(number_of(*role), *id),
        Edit::Casting(Some(holder)) => head(CASTING, *holder),
        Edit::Casting(None) => bytes.push(NO_CASTING),
        Edit::Incarnation(id, incarnation) => {
            head(INCARNATION, *id);
            bytes.extend(incarnation.0.to_le_bytes());
        }
        Edit::Address(id, address) => {
            head(ADDRESS, *id);
            let address = address.as_str().as_bytes();
            bytes.push(u8::try_from(address.len()).expect("an address has at most 255 bytes"));
            bytes.extend(address);
        }
        Edit::Priority(id, priority) => {
            head(PRIORITY, *id);
            bytes.push(*priority);
        }
    }
}

fn number_of(role: Role) -> u8 {
    match role {
        Role::Voter => VOTER,
        Role::Learner => LEARNER,
        Role::Suspended => SUSPENDED,
        Role::Removed => REMOVED,
    }
}

fn take_edit(bytes: &mut &[u8]) -> Option<Edit> {
    let [kind] = take(bytes)?;
    if kind == NO_CASTING {
        return Some(Edit::Casting(None));
    }
    let id = NodeId(u64::from_le_bytes(take(bytes)?));
    Some(match kind {
        VOTER => Edit::Role(id, Role::Voter),
        LEARNER => Edit::Role(id, Role::Learner),
        SUSPENDED => Edit::Role(id, Role::Suspended),
        REMOVED => Edit::Role(id, Role::Removed),
        CASTING => Edit::Casting(Some(id)),
        INCARNATION => Edit::Incarnation(id, Incarnation(u128::from_le_bytes(take(bytes)?))),
        ADDRESS => {
            let [length] = take(bytes)?;
            Edit::Address(id, take_address(bytes, length)?)
        }
        PRIORITY => {
            let [priority] = take(bytes)?;
            Edit::Priority(id, priority)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::membership::member::Address;

    fn every_edit() -> Change {
        Change::new()
            .voter(NodeId(1))
            .learner(NodeId(2))
            .suspend(NodeId(3))
            .remove(NodeId(4))
            .casting(Some(NodeId(1)))
            .casting(None)
            .incarnation(NodeId(1), Incarnation(0x17))
            .address(NodeId(2), Address::new("två:7000").expect("the address is short"))
            .priority(NodeId(1), 9)
    }

    #[test]
    fn a_truncated_change_decodes_to_no_equal_change() {
        let change = every_edit();
        let bytes = change.encode().expect("the value is short");
        assert_eq!(Change::decode(&bytes), Some(change.clone()));
        for length in 0..bytes.len() {
            assert_ne!(Change::decode(&bytes[..length]), Some(change.clone()), "{length}");
        }
        assert_eq!(Change::decode(&[]), Some(Change::new()));
    }

    #[test]
    fn invalid_bytes_do_not_decode() {
        for kind in 9..=255 {
            assert_eq!(Change::decode(&[kind, 1, 0, 0, 0, 0, 0, 0, 0]), None, "{kind}");
        }
        let mut bytes = vec![ADDRESS, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0xff, 0xff];
        assert_eq!(Change::decode(&bytes), None, "not UTF-8");
        bytes[10..].copy_from_slice(b"ab");
        assert!(Change::decode(&bytes).is_some());
    }

    #[test]
    fn the_number_of_edits_is_bounded() {
        let of = |count: usize| {
            (0..count).fold(Change::new(), |change, _| change.priority(NodeId(1), 1))
        };
        let bytes = of(Change::EDITS_MAX).encode().expect("the number is within the bound");
        assert_eq!(Change::decode(&bytes), Some(of(Change::EDITS_MAX)));
        assert_eq!(of(Change::EDITS_MAX + 1).encode(), None);
        assert_eq!(Change::decode(&[&bytes[..], &[NO_CASTING]].concat()), None);
    }
}
