//! The digest of a step's actions: equal on every machine for equal actions, even if stand-ins
//! replace the commands.

use crate::raft::Action;
use crate::recording::commands::{CommandHasher, HASH_BYTES, absorb, mix};
use crate::recording::encoding::{Sink, encode};

/// Returns the digest of the actions of one step.
pub(super) fn digest(actions: &[Action], commands: CommandHasher) -> u32 {
    let mut digest = Digest { state: actions.len() as u64, commands };
    for action in actions {
        if encode(action, &mut digest).is_err() {
            digest.number(u64::MAX);
        }
    }
    (digest.state >> 32) as u32 ^ digest.state as u32
}

struct Digest {
    state: u64,
    commands: CommandHasher,
}

impl Sink for Digest {
    fn number(&mut self, number: u64) {
        self.state = mix(self.state, number);
    }

    fn wide_number(&mut self, number: u128) {
        self.state = absorb(self.state, &number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.state = absorb(mix(self.state, bytes.len() as u64), bytes);
    }

    fn command(&mut self, command: &[u8]) {
        let mut hash = self.commands.hash(command);
        hash[command.len().min(HASH_BYTES)..].fill(0);
        self.state = mix(self.state ^ command.len() as u64, u64::from_le_bytes(hash));
    }
}
