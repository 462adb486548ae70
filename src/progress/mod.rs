//! The leader's replication progress of one peer: its matched index, the next entry to send, and
//! the messages in flight.

mod disk;
mod inflight;
#[cfg(test)]
mod tests;

pub use inflight::{Inflight, Window};

use crate::progress::disk::{Certainty, LastAnswer, PeerDisk};
use crate::types::{EntryId, Incarnation, Index, Instant, Readiness};

/// The way in which a leader sends entries to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub enum Mode {
    /// Searching for the last common entry, with one message at a time.
    Probe {
        /// A message is in flight; its reply allows another one. If no reply arrives, an empty
        /// append asks again. A peer without space is sent its next entry again instead, once in a
        /// heartbeat round.
        paused: bool,
    },
    /// Streaming: messages follow one another within the in-flight window.
    Replicate,
    /// Offering a snapshot, because the log cannot provide the entry that the peer needs next. No
    /// entries are sent until the log has the peer's next entry.
    Snapshot {
        /// The last index of the snapshot last offered.
        last: Index,
        /// The offer is in flight; the reply to a later heartbeat allows another offer.
        paused: bool,
    },
}

/// The leader's view of one peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Progress {
    mode: Mode,
    matched: Index,
    next: Index,
    inflight: Inflight,
    /// The first round of the leader's timer after entries or a snapshot offer were last sent: the
    /// reply to it, or to a later one, shows whether they arrived. `None` until that round. Rounds
    /// that reads begin do not count as the first one, because each would cause another append to a
    /// slow or full peer.
    check_round: Option<u64>,
    /// Whether the peer needs an append, even an empty one, because the leader must learn whether
    /// the entries sent so far arrived, or whether the peer's log matches.
    needs_append: bool,
    /// The peer had no space for entries: it is probed until it accepts some.
    disk_full: bool,
    disk: PeerDisk,
    answer: LastAnswer,
    /// The peer's matched index when it last got a read lease.
    matched_at_grant: Index,
    /// When the peer was last heard from in this term.
    last_contact: Instant,
    /// The commit index last sent to the peer.
    committed_sent: Index,
}

impl Progress {
    /// Returns the view of a peer about which the leader knows nothing yet. The next entry to send
    /// follows `last`, and the peer counts as heard from at `now`.
    #[must_use]
    pub fn new(last: Index, now: Instant) -> Progress {
        Progress {
            mode: Mode::Probe { paused: false },
            matched: Index::ZERO,
            next: last.next(),
            inflight: Inflight::default(),
            check_round: Some(0),
            needs_append: false,
            disk_full: false,
            disk: PeerDisk::default(),
            answer: LastAnswer::default(),
            matched_at_grant: Index::ZERO,
            last_contact: now,
            committed_sent: Index::ZERO,
        }
    }

    /// The way in which entries are sent.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The last index up to which the peer's log is known to match the leader's durably
    /// (`matchIndex`).
    #[must_use]
    pub fn matched(&self) -> Index {
        self.matched
    }

    /// The index of the next entry to send (`nextIndex`).
    #[must_use]
    pub fn next(&self) -> Index {
        self.next
    }

    /// The append messages in flight.
    #[must_use]
    pub fn inflight(&self) -> &Inflight {
        &self.inflight
    }

    /// The number of entries and of their bytes that the next message may have. A peer without
    /// space is sent one entry at a time, because it will reject most of them.
    #[inline]
    pub(crate) fn room(&self, window: &Window) -> (usize, usize) {
        let (entries, bytes) = self.inflight.room(window);
        (if self.disk_full { entries.min(1) } else { entries }, bytes)
    }

    /// Pauses sending until a message is acknowledged, because the next entry does not fit the
    /// window.
    pub fn wait_for_room(&mut self) {
        self.inflight.close();
    }

    /// Whether another append may be sent now.
    #[must_use]
    #[inline]
    pub fn may_send(&self, window: &Window) -> bool {
        match self.mode {
            Mode::Probe { paused } => !paused,
            Mode::Replicate => !self.inflight.is_full(window),
            Mode::Snapshot { .. } => false,
        }
    }

    /// Whether a snapshot offer may be made, because none is in flight.
    #[must_use]
    pub fn may_offer(&self) -> bool {
        !matches!(self.mode, Mode::Snapshot { paused: true, .. })
    }

    /// Records that a snapshot that ends at `last` was offered, because the log cannot provide the
    /// entry that the peer needs next.
    pub fn snapshot_offered(&mut self, last: Index) {
        assert!(self.may_offer(), "an offer is made once a round");
        assert!(self.next <= last, "an offered snapshot reaches the peer's next index");
        self.mode = Mode::Snapshot { last, paused: true };
        self.inflight.clear();
        self.check_round = None;
        self.needs_append = false;
        self.disk_full = false;
    }

    /// Resumes streaming after a snapshot offer, or to a peer that had no space but lacks no entry
    /// of the log, which ends at `last`. The log must still have the peer's next entry.
    #[inline]
    pub fn resume(&mut self, last: Index) {
        match self.mode {
            Mode::Snapshot { .. } => self.mode = Mode::Replicate,
            Mode::Probe { paused: false } if self.disk_full && self.next > last => {
                self.disk_full = false;
                self.mode = Mode::Replicate;
            }
            Mode::Probe { .. } | Mode::Replicate => {}
        }
    }

    /// Whether the peer's disk was full when it was last sent entries.
    #[must_use]
    pub fn disk_full(&self) -> bool {
        self.disk_full
    }

    /// Records that `entries` entries of `bytes` bytes, the last one at `last`, were sent.
    #[inline]
    pub fn sent(&mut self, last: Index, entries: usize, bytes: usize) {
        self.check_round = None;
        self.needs_append = false;
        match &mut self.mode {
            Mode::Probe { paused } => *paused = true,
            Mode::Replicate if entries > 0 => {
                assert_eq!(last.0, self.next.0 + entries as u64 - 1, "streams have no gap");
                self.inflight.push(last, entries, bytes);
                self.next = last.next();
            }
            Mode::Replicate => {}
            Mode::Snapshot { .. } => panic!("a peer that gets a snapshot is sent no entries"),
        }
    }

    /// Records that the peer durably has every entry up to `matched`.
    #[inline]
    pub fn accepted(&mut self, matched: Index) {
        self.matched = self.matched.max(matched);
        self.inflight.free_through(matched);
        let took_entries = matched >= self.next;
        match self.mode {
            Mode::Probe { .. } if took_entries || !self.disk_full => {
                self.disk_full = false;
                self.mode = Mode::Replicate;
                self.next = self.matched.next();
            }
            Mode::Probe { .. } | Mode::Replicate | Mode::Snapshot { .. } => {
                self.next = self.next.max(self.matched.next());
            }
        }
    }

    /// The incarnation of the peer's disk; zero before its first reply.
    pub(crate) fn incarnation(&self) -> Incarnation {
        self.disk.incarnation
    }

    /// Whether the peer's disk has less than the peer acknowledged, and the peer has not reported
    /// that it is uncertain: the leader rejects its replies.
    pub(crate) fn disk_rolled_back(&self) -> bool {
        self.disk.certainty == Certainty::RolledBack
    }

    /// Records a message that arrives in `round` from the disk with this incarnation; a heartbeat
    /// reply answers the round `answered`. If the disk has replaced the known one, the view is
    /// reset, and the leader probes with its last entry, at `last`. Any other message from another
    /// disk may be a delayed message of a lost disk. Returns true after a reset.
    pub(crate) fn replied_from(
        &mut self,
        incarnation: Incarnation,
        answered: Option<u64>,
        round: u64,
        last: Index,
    ) -> bool {
        let is_replaced = self.disk.on_message(incarnation, answered, round);
        if is_replaced {
            self.reset_for_disk(incarnation, round, last);
        }
        is_replaced
    }

    fn reset_for_disk(&mut self, incarnation: Incarnation, round: u64, last: Index) {
        let disk = PeerDisk { incarnation, heard_round: round, ..PeerDisk::default() };
        *self = Progress { disk, ..Progress::new(last.previous(), self.last_contact) };
    }

    /// Whether the peer's disk lacks entries that the peer acknowledged: it has the entries up to
    /// `durable`, by the peer's reply to `round`.
    pub(crate) fn lacks_acknowledged_entries(&self, round: u64, durable: Index) -> bool {
        self.disk.lacks_acknowledged(round, durable, self.matched)
    }

    /// Resets the view and records that the reply to `round` came from a disk that was rolled back
    /// to an older image: the peer counts in no quorum until it has reported that it is uncertain,
    /// and then that it is certain again.
    pub(crate) fn mark_rolled_back(&mut self, round: u64, last: Index) {
        self.reset_for_disk(self.disk.incarnation, self.disk.heard_round, last);
        self.disk.certainty = Certainty::RolledBack;
        self.answer.round = round;
    }

    /// Whether the peer's acknowledgements and confirmations count in quorums.
    pub(crate) fn counts(&self) -> bool {
        self.disk.certainty == Certainty::Certain
    }

    /// Records whether the peer is uncertain, as it reports in its reply to `round`. Returns false
    /// if the report is older than the last one, and contradicts it.
    pub(crate) fn report_certainty(&mut self, round: u64, is_uncertain: bool, last: Index) -> bool {
        let reported = if is_uncertain { Certainty::Uncertain } else { Certainty::Certain };
        if self.disk.certainty == reported {
            return true;
        }
        if round <= self.answer.round {
            return false;
        }
        if self.counts() {
            self.reset_for_disk(self.disk.incarnation, self.disk.heard_round, last);
        }
        self.disk.certainty = reported;
        true
    }

    /// Records that the log of an uncertain peer equals the leader's up to `verified`, durably. The
    /// peer acknowledges nothing.
    pub fn stored(&mut self, verified: Index) {
        self.inflight.free_through(verified);
        if matches!(self.mode, Mode::Probe { .. }) {
            self.disk_full = false;
            self.mode = Mode::Replicate;
            self.next = verified.max(self.matched).next();
        }
        self.next = self.next.max(verified.next());
    }

    /// Records `round` as the round of the last rise of `matched`, if `matched` rose from `before`.
    pub(crate) fn record_matched_round(&mut self, before: Index, round: u64) {
        if self.matched > before {
            self.disk.matched_round = round;
        }
    }

    /// The round in which `matched` last rose.
    pub(crate) fn matched_round(&self) -> u64 {
        self.disk.matched_round
    }

    /// The highest round that the peer has answered.
    pub(crate) fn acked_round(&self) -> u64 {
        self.answer.round
    }

    /// The peer's report about itself in its last heartbeat reply.
    pub(crate) fn ready(&self) -> Readiness {
        self.answer.ready
    }

    /// Records the peer's report about itself in its reply to `round`, unless a later round was
    /// answered before.
    pub(crate) fn answered(&mut self, round: u64, ready: Readiness) {
        if round >= self.answer.round {
            self.answer = LastAnswer { round, ready };
        }
    }

    /// When the peer was last heard from in this term.
    pub(crate) fn last_contact(&self) -> Instant {
        self.last_contact
    }

    /// Records that the peer was heard from at `now`.
    pub(crate) fn heard_from(&mut self, now: Instant) {
        self.last_contact = now;
    }

    /// The commit index last sent to the peer.
    pub(crate) fn committed_sent(&self) -> Index {
        self.committed_sent
    }

    /// Records that the peer was sent this commit index.
    pub(crate) fn record_committed_sent(&mut self, committed: Index) {
        self.committed_sent = committed;
    }

    /// Whether the peer's matched index has risen since it last got a read lease.
    pub(crate) fn advanced_since_grant(&self) -> bool {
        self.matched > self.matched_at_grant
    }

    /// Records that the peer gets a read lease.
    pub(crate) fn read_lease_granted(&mut self) {
        self.matched_at_grant = self.matched;
    }

    /// Records that the peer has the leader's log up to `verified`, and no space for more. From
    /// then on, one entry per heartbeat round probes whether it has space again.
    pub fn no_space(&mut self, verified: Index) {
        if matches!(self.mode, Mode::Snapshot { .. }) {
            return;
        }
        self.inflight.clear();
        self.disk_full = true;
        self.mode = Mode::Probe { paused: true };
        self.next = verified.max(self.matched).next();
    }

    /// Records that the peer's log does not match at `prev`, and that the logs match at most up to
    /// `agreed`. Returns false if the rejection is stale, or contradicts an earlier
    /// acknowledgement.
    pub fn rejected(&mut self, prev: Index, agreed: Index) -> bool {
        let answers_sent_append = match self.mode {
            Mode::Probe { .. } => prev.next() == self.next,
            Mode::Replicate => prev < self.next,
            Mode::Snapshot { .. } => false,
        };
        if prev <= self.matched || !answers_sent_append {
            return false;
        }
        self.inflight.clear();
        self.mode = Mode::Probe { paused: false };
        self.next = agreed.min(prev.previous()).max(self.matched).next();
        true
    }

    /// Records that the leader's timer began `round`.
    pub(crate) fn timer_round_sent(&mut self, round: u64) {
        self.check_round.get_or_insert(round);
    }

    /// Records the reply to a heartbeat of `round`: the peer's log is known to match the leader's
    /// up to `verified`, durably up to `matched`, and the peer's whole log is durable up to
    /// `durable`. Entries beyond `verified` that were sent before that round were lost, or the peer
    /// forgot them in a restart, or the heartbeat has overtaken them on a slow connection. An
    /// append after them shows which: its rejection says what the peer lacks. If the entries were
    /// sent again at once, they would fill a slow connection with copies of themselves.
    pub fn heartbeat_replied(
        &mut self,
        round: u64,
        verified: Index,
        matched: Index,
        durable: Index,
    ) {
        if matched > self.matched {
            self.accepted(matched);
        }
        if self.check_round.is_none_or(|check| round < check) {
            return;
        }
        if !self.counts() {
            // An uncertain peer acknowledges nothing, and each of its replies to appends may be
            // lost.
            self.inflight.free_through(verified.min(durable));
        }
        match &mut self.mode {
            Mode::Probe { paused } if self.disk_full => {
                *paused = false;
                if verified > Index::ZERO {
                    self.next = verified.max(self.matched).next();
                }
            }
            Mode::Probe { .. } if verified == Index::ZERO => self.needs_append = true,
            Mode::Snapshot { paused, .. } => {
                *paused = false;
                self.next = self.next.max(verified.next());
            }
            Mode::Replicate if verified.next() >= self.next => self.next = verified.next(),
            Mode::Replicate => self.needs_append = true,
            Mode::Probe { .. } => {
                self.mode = Mode::Replicate;
                self.next = verified.max(self.matched).next();
                self.needs_append = true;
            }
        }
    }

    /// Whether the peer needs an append even without entries to send.
    #[must_use]
    pub(crate) fn needs_append(&self) -> bool {
        self.needs_append
    }

    /// Panics if the view contradicts itself.
    pub fn assert_invariants(&self, last: EntryId) {
        assert!(self.matched < self.next, "matched entries are not sent again");
        if let Mode::Snapshot { last: offered, .. } = self.mode {
            assert!(offered <= last.index, "a snapshot is of the leader's log");
        }
        let streams = self.mode == Mode::Replicate;
        assert!(streams || self.inflight.messages() == 0, "entries are in flight in a stream only");
        let sent = self.inflight.last();
        assert!(sent.is_none_or(|sent| sent < self.next), "the next entry follows those in flight");
        let probes = matches!(self.mode, Mode::Probe { .. });
        assert!(probes || !self.disk_full, "a peer without space is probed");
        assert!(self.matched_at_grant <= self.matched, "the matched index of a disk only rises");
        assert!(self.committed_sent <= last.index, "only entries of the log are committed");
        assert!(self.matched <= last.index, "a peer matches entries of the leader's log");
        assert!(self.next <= last.index.next(), "only existing entries are sent");
    }
}

#[cfg(feature = "explore")]
impl Progress {
    /// The instant in the view.
    pub(crate) fn instant(&mut self) -> &mut Instant {
        &mut self.last_contact
    }
}
