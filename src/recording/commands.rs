//! The recorded form of users' commands, and the commands that take their place in a replay.

/// The recorded form of the users' commands. The core never reads them, so other bytes of the
/// same length have the same effects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Contents {
    /// The length of each command and a hash of its first and last bytes under a secret key that is
    /// not recorded. In a replay, bytes made from the hash stand in for the command.
    #[default]
    Hashed,
    /// The bytes of each command as they are.
    Kept,
}

/// The size of a hash in bytes. The hash of a shorter command is cut to the command's length.
pub(super) const HASH_BYTES: usize = 8;

/// The maximum number of bytes at each end of a command that enter its hash.
const HASHED_END_BYTES: usize = 32;

/// Turns commands into hashes while a node records, and recognizes the hashes in a replay.
#[derive(Clone, Copy, Debug)]
pub(super) enum CommandHasher {
    /// The commands are those that users proposed.
    Original {
        /// The secret key, which no recording has.
        key: u64,
    },
    /// The commands are stand-ins made from hashes.
    StandIn,
}

impl CommandHasher {
    /// Returns the hash of a command. If the command is shorter than the hash, only as many of the
    /// hash's first bytes have a meaning.
    pub(super) fn hash(self, command: &[u8]) -> [u8; HASH_BYTES] {
        match self {
            CommandHasher::Original { key } => hash(key, command).to_le_bytes(),
            CommandHasher::StandIn => {
                let mut hash = [0; HASH_BYTES];
                let recorded = command.len().min(HASH_BYTES);
                hash[..recorded].copy_from_slice(&command[..recorded]);
                hash
            }
        }
    }
}

/// Writes a command of `length` bytes, which repeats `hash`, into `command`.
pub(super) fn stand_in(hash: &[u8], length: usize, command: &mut Vec<u8>) {
    command.clear();
    command.reserve(length);
    while command.len() < length {
        let missing = length - command.len();
        command.extend_from_slice(&hash[..missing.min(hash.len())]);
    }
}

/// Hashes the length of a command and its two ends, which are all bytes of a short command.
fn hash(key: u64, command: &[u8]) -> u64 {
    let mut state = mix(key, command.len() as u64);
    if command.len() <= 2 * HASHED_END_BYTES {
        state = absorb(state, command);
    } else {
        state = absorb(state, &command[..HASHED_END_BYTES]);
        state = absorb(state, &command[command.len() - HASHED_END_BYTES..]);
    }
    mix(state, key)
}

/// Adds bytes to the state of a hash, sixteen at a time.
pub(super) fn absorb(mut state: u64, bytes: &[u8]) -> u64 {
    let (pairs, rest) = bytes.as_chunks::<16>();
    for pair in pairs {
        state = absorb_pair(state, u128::from_le_bytes(*pair));
    }
    if !rest.is_empty() {
        let mut pair = [0; 16];
        pair[..rest.len()].copy_from_slice(rest);
        state = absorb_pair(state, u128::from_le_bytes(pair));
    }
    state
}

fn absorb_pair(state: u64, pair: u128) -> u64 {
    mix(state ^ pair as u64, (pair >> 64) as u64)
}

/// Adds a number to the state of a hash: a multiplication to twice the width, folded.
pub(super) fn mix(state: u64, number: u64) -> u64 {
    let number = u128::from(number ^ 0xe703_7ed1_a0b4_28db);
    let product = u128::from(state ^ 0x9e37_79b9_7f4a_7c15) * number;
    (product as u64) ^ ((product >> 64) as u64) ^ state.rotate_left(23)
}
