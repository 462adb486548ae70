//! The rules by which a simulated state machine applies commands. The rules have versions: state
//! machines that follow different versions reach different states.

use std::io::{self, Read};

use quorate::machine::Digest;
use quorate::types::Index;

/// The version of the rules, and the part of the state that depends on it: from version 1 on, a
/// hash over the indices of the commands and the version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    version: u32,
    tally: u64,
}

impl Rules {
    /// Follows a higher version from the next command on.
    pub(crate) fn set_version(&mut self, version: u32) {
        assert!(self.version < version, "the version can only be raised");
        self.version = version;
    }

    /// Applies the command at this index.
    pub(crate) fn apply(&mut self, index: Index) {
        if self.version > 0 {
            let mixed = (self.tally ^ index.0).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            self.tally = mixed.wrapping_add(u64::from(self.version));
        }
    }

    /// Returns the bytes that the version adds to a snapshot; version 0 adds none.
    pub(crate) fn snapshot(&self) -> Vec<u8> {
        if self.version == 0 { Vec::new() } else { self.tally.to_le_bytes().to_vec() }
    }

    /// Returns the rules with which a snapshot of this version begins.
    pub(crate) fn restore(version: u32, snapshot: &mut dyn Read) -> io::Result<Rules> {
        let mut tally = [0; 8];
        if version > 0 {
            snapshot.read_exact(&mut tally)?;
        }
        Ok(Rules { version, tally: u64::from_le_bytes(tally) })
    }

    /// Returns the digest of the state whose other part has this digest.
    pub(crate) fn digest(&self, rest: Digest) -> Digest {
        match self.version {
            0 => rest,
            _ => Digest::of_bytes(&[&self.snapshot()[..], &rest.0].concat()),
        }
    }
}
