//! Deserialization of a [`Raft`]: its log and its members must share one membership value again.

use crate::raft::Raft;
use crate::raft::common::Common;
use crate::raft::role::Role;

/// The fields of a [`Raft`], as they are serialized.
#[derive(serde::Deserialize)]
pub(crate) struct RaftFields {
    common: Common,
    role: Role,
}

impl From<RaftFields> for Raft {
    fn from(RaftFields { mut common, role }: RaftFields) -> Raft {
        // The log and `members` share one membership value; serialization has written it twice.
        let active = common.log().membership();
        if active == common.members.reported() {
            let active = active.clone();
            common.members.set_reported(active);
        }
        Raft { common, role }
    }
}
