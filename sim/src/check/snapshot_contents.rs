//! The contents of snapshots except for the user's state: S53. The bytes are decoded here by their
//! specification (docs/FORMAT.md), and compared with a model of the sessions, so that a mistake in
//! the library shows even if all nodes make it.

use std::collections::BTreeSet;

use quorate::machine::{Nonce, Sequence, SessionId, SessionLimits};
use quorate::types::{Entry, EntryId, Index, MachineVersion, NodeId};

use crate::check::finding::{CheckResult, S53};
use crate::check::known::Known;
use crate::check::rule::Rule;
use crate::check::session_model::{ModelSession, SessionModel, Summary};

/// The model of the sessions, and its summaries.
#[derive(Clone, Debug)]
pub(super) struct SnapshotContents {
    model: SessionModel,
    /// The summary after each entry that changed it, by index.
    summaries: Vec<(Index, Summary)>,
}

impl Rule for SnapshotContents {
    fn new(_: &Known) -> SnapshotContents {
        let model = SessionModel::new();
        SnapshotContents { summaries: vec![(Index::ZERO, model.summary())], model }
    }

    fn applied(&mut self, _: &Known, _: NodeId, entries: &[Entry]) -> CheckResult {
        for entry in entries {
            let before = self.model.summary();
            if self.model.apply(entry) && self.model.summary() != before {
                self.summaries.push((entry.id.index, self.model.summary()));
            }
        }
        Ok(())
    }

    /// Checks a snapshot that a node writes, unless its state machine may be wrong.
    fn snapshot_frozen(
        &mut self,
        known: &Known,
        node: NodeId,
        last: EntryId,
        bytes: &[u8],
    ) -> CheckResult {
        if known.taint.has(node) {
            return Ok(());
        }
        let after = self.summaries.partition_point(|(index, _)| *index <= last.index);
        let (_, expected) = self.summaries[after - 1];
        let found = Reader(bytes).summary();
        let Some(found) = found.filter(|found| *found != expected) else { return Ok(()) };
        let of = format!("{node} takes a snapshot up to {last}");
        let Summary { executed, version, .. } = expected;
        if found.executed != executed {
            return S53.violated(format!(
                "{of} that names index {} as the last one that its state machine executed, but \
                 the last one is {executed}",
                found.executed
            ));
        }
        if found.version != version {
            return S53.violated(format!(
                "{of} that has version {} of the rules, but the log has reached version {version}",
                found.version
            ));
        }
        S53.violated(format!(
            "{of} whose sessions differ from those that result from the log (for example in a \
             limit, a last use or an executed request)"
        ))
    }
}

/// The rest of the bytes of a snapshot.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    /// Decodes the header and the sessions; `None` if the bytes end early, which other checks
    /// find.
    fn summary(&mut self) -> Option<Summary> {
        // The magic bytes and the version of the format, the last entry, then the executed index.
        self.skip(8 + 4 + 8 + 8)?;
        let executed = Index(self.long()?);
        // The results hash, with a byte that says whether it is known.
        self.skip(1 + 16)?;
        let version = MachineVersion { user: self.number()?, library: self.number()? };
        // The bounds of the sessions.
        self.skip(6 * 4 + 2 * 8)?;
        let mut sessions = 0_u64;
        for _ in 0..self.number()? {
            let (id, session) = self.session()?;
            sessions = sessions.wrapping_add(session.hash(id));
        }
        Some(Summary { executed, version, sessions })
    }

    fn session(&mut self) -> Option<(SessionId, ModelSession)> {
        let id = SessionId(Index(self.long()?));
        let mut owner = self.take(1)?.to_vec();
        // A named proposer has its role, the length of its name, and the name.
        if owner != [0] {
            let length = self.take(1)?[0];
            owner.push(length);
            owner.extend(self.take(length.into())?);
        }
        let nonce = Nonce(u128::from(self.long()?) | u128::from(self.long()?) << 64);
        let limits = SessionLimits { window: self.number()?, replies_bytes_max: self.number()? };
        let (used, floor) = (Index(self.long()?), Sequence(self.long()?));
        let mut executed = BTreeSet::new();
        for _ in 0..self.number()? {
            executed.insert(Sequence(self.long()?));
            let length = self.number()?;
            // The largest number marks an unknown reply.
            self.skip(if length == u32::MAX { 0 } else { length as usize })?;
        }
        Some((id, ModelSession { owner, nonce, limits, used, floor, executed }))
    }

    fn take(&mut self, count: usize) -> Option<&[u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.take(count).map(|_| ())
    }

    fn number(&mut self) -> Option<u32> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*bytes))
    }

    fn long(&mut self) -> Option<u64> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*bytes))
    }
}
