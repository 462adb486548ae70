//! One peer as its leader sees it: what it has, what to send next, what is on its way.

mod inflight;

pub use inflight::{Inflight, Window};

use crate::types::{EntryId, Incarnation, Index, Instant, Readiness};

/// How a leader sends entries to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Looking for where the logs part: one message at a time.
    Probe {
        /// A message is on its way; its answer, or that of a later heartbeat, lets another go.
        paused: bool,
    },
    /// Streaming: messages follow one another within the window.
    Replicate,
    /// Offering a snapshot, for the log no longer goes back to what the peer needs next. No
    /// entries are sent until it has got to where the log goes on.
    Snapshot {
        /// The last index of the snapshot last offered.
        last: Index,
        /// The offer is on its way; the answer to a later heartbeat lets it be made again.
        paused: bool,
    },
}

/// One peer as its leader sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Progress {
    mode: Mode,
    matched: Index,
    next: Index,
    inflight: Inflight,
    /// The leader's round when entries were last sent: an answer to a later round tells which of
    /// them arrived.
    sent_round: u64,
    /// The peer does not know that its log is the leader's: an append is owed, be it empty.
    owes_append: bool,
    /// The peer had no space for entries: it is probed until it takes some.
    disk_full: bool,
    /// The highest round the peer has answered.
    pub(crate) acked_round: u64,
    /// The life of the disk that answers; zero before the first answer.
    pub(crate) incarnation: Incarnation,
    /// The leader's round when `matched` last rose: an answer to a later round left after that.
    pub(crate) matched_in: u64,
    /// The disk has less than it acknowledged: nothing that it says counts any more.
    pub(crate) is_older_image: bool,
    /// What the peer is ready for, as it said last.
    pub(crate) ready: Readiness,
    /// Up to where it had the log when it last got a loan.
    pub(crate) lent_through: Index,
    /// When the peer was last heard from in this term.
    pub(crate) heard: Instant,
    /// The commit index last sent.
    pub(crate) committed_sent: Index,
}

impl Progress {
    /// A peer of a leader just elected at `now`, whose log ends at `last`: nothing is known of it,
    /// and it counts as heard from.
    #[must_use]
    pub fn new(last: Index, now: Instant) -> Progress {
        Progress {
            mode: Mode::Probe { paused: false },
            matched: Index::ZERO,
            next: last.next(),
            inflight: Inflight::default(),
            sent_round: 0,
            owes_append: false,
            disk_full: false,
            acked_round: 0,
            incarnation: Incarnation::default(),
            matched_in: 0,
            is_older_image: false,
            ready: Readiness::default(),
            lent_through: Index::ZERO,
            heard: now,
            committed_sent: Index::ZERO,
        }
    }

    /// How entries are sent.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The highest index known to be durable and equal there.
    #[must_use]
    pub fn matched(&self) -> Index {
        self.matched
    }

    /// The next index to send.
    #[must_use]
    pub fn next(&self) -> Index {
        self.next
    }

    /// What is on its way.
    #[must_use]
    pub fn inflight(&self) -> &Inflight {
        &self.inflight
    }

    /// The next entry does not fit what is on its way: it waits until something has arrived.
    pub fn wait_for_room(&mut self) {
        self.inflight.close();
    }

    /// Whether another append may leave now.
    #[must_use]
    pub fn may_send(&self, window: &Window) -> bool {
        match self.mode {
            Mode::Probe { paused } => !paused,
            Mode::Replicate => !self.inflight.is_full(window),
            Mode::Snapshot { .. } => false,
        }
    }

    /// Whether a snapshot may be offered now.
    #[must_use]
    pub fn may_offer(&self) -> bool {
        !matches!(self.mode, Mode::Snapshot { paused: true, .. })
    }

    /// A snapshot that ends at `last` was offered in `round`: the log does not go back to what
    /// the peer needs next.
    pub fn offered(&mut self, last: Index, round: u64) {
        assert!(self.may_offer(), "an offer is made once a round");
        assert!(self.next <= last, "only what helps is offered");
        self.mode = Mode::Snapshot { last, paused: true };
        self.inflight.clear();
        self.sent_round = round;
        self.owes_append = false;
        self.disk_full = false;
    }

    /// The log, which ends at `last`, goes back to what the peer needs next: it can be streamed to
    /// if a snapshot was offered before, or if it had no space and lacks nothing by now.
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

    /// `entries` entries of `bytes` together, the last at `last`, left in `round`.
    pub fn sent(&mut self, last: Index, entries: usize, bytes: usize, round: u64) {
        self.sent_round = round;
        self.owes_append = false;
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

    /// The peer has everything up to `matched`.
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

    /// The peer answers with the disk `incarnation`, of which nothing is known: the last entry of
    /// the log, which ends at `last`, finds out.
    pub(crate) fn meet(&mut self, incarnation: Incarnation, last: Index) {
        *self = Progress { incarnation, ..Progress::new(last.previous(), self.heard) };
    }

    /// The disk is an older image of itself: nothing counts that it acknowledged, or says.
    pub(crate) fn distrust(&mut self, last: Index) {
        self.meet(self.incarnation, last);
        self.is_older_image = true;
    }

    /// An answer was taken in `round`, `before` which so much matched.
    pub(crate) fn note_matched(&mut self, before: Index, round: u64) {
        if self.matched > before {
            self.matched_in = round;
        }
    }

    /// The peer has the leader's log up to `verified`, and no space for the entries it was sent:
    /// one message a round of heartbeats finds out when it has.
    pub fn no_space(&mut self, verified: Index) {
        if matches!(self.mode, Mode::Snapshot { .. }) {
            return;
        }
        self.inflight.clear();
        self.disk_full = true;
        self.mode = Mode::Probe { paused: true };
        self.next = verified.max(self.matched).next();
    }

    /// The peer has no entry at `prev`, and the logs agree at `agreed` or before. Returns false
    /// if the rejection is stale, or denies what the peer has acknowledged before.
    pub fn rejected(&mut self, prev: Index, agreed: Index) -> bool {
        let of_what_was_sent = match self.mode {
            Mode::Probe { .. } => prev.next() == self.next,
            Mode::Replicate => prev < self.next,
            Mode::Snapshot { .. } => false,
        };
        if prev <= self.matched || !of_what_was_sent {
            return false;
        }
        self.inflight.clear();
        self.mode = Mode::Probe { paused: false };
        self.next = agreed.min(prev.previous()).max(self.matched).next();
        true
    }

    /// The peer answered a heartbeat of `round`, when it knew its log to equal the leader's up to
    /// `verified`, durably up to `matched`. Whatever left before that round and is beyond
    /// `verified` was lost, or the peer forgot it in a restart.
    pub fn heartbeat_answered(&mut self, round: u64, verified: Index, matched: Index) {
        if matched > self.matched {
            self.accepted(matched);
        }
        if round <= self.sent_round {
            return;
        }
        match &mut self.mode {
            Mode::Probe { paused } if verified == Index::ZERO => *paused = false,
            Mode::Probe { paused } if self.disk_full => {
                *paused = false;
                self.next = verified.max(self.matched).next();
            }
            Mode::Snapshot { paused, .. } => {
                *paused = false;
                self.next = self.next.max(verified.next());
            }
            Mode::Replicate if verified.next() >= self.next => self.next = verified.next(),
            Mode::Probe { .. } | Mode::Replicate => {
                let arrived = verified.max(self.matched);
                self.mode = Mode::Replicate;
                self.inflight.forget_after(arrived);
                self.next = arrived.next();
                self.owes_append = true;
            }
        }
    }

    /// Whether an append is owed even if there is no entry to send.
    #[must_use]
    pub(crate) fn owes_append(&self) -> bool {
        self.owes_append
    }

    /// Panics if the parts contradict one another.
    pub fn assert_invariants(&self, last: EntryId) {
        assert!(self.matched < self.next, "what matched is not sent again");
        if let Mode::Snapshot { last: offered, .. } = self.mode {
            assert!(offered <= last.index, "a snapshot is of the leader's log");
            assert!(self.inflight.messages() == 0, "a peer that gets a snapshot gets no entries");
        }
        assert!(self.matched <= last.index, "a peer matches what the leader has");
        assert!(self.next <= last.index.next(), "only what exists is sent");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window { messages_max: 2, entries_max: 10, bytes_max: 1000 };

    fn streaming(matched: u64) -> Progress {
        let mut progress = Progress::new(Index(20), Instant::ZERO);
        progress.accepted(Index(matched));
        progress
    }

    #[test]
    fn a_probe_waits_for_its_answer_or_a_heartbeats() {
        let mut progress = Progress::new(Index(5), Instant::ZERO);
        assert!(progress.may_send(&WINDOW));
        progress.sent(Index(5), 0, 0, 1);
        assert!(!progress.may_send(&WINDOW));
        progress.heartbeat_answered(1, Index(0), Index(0));
        assert!(!progress.may_send(&WINDOW), "the round left before the probe");
        progress.heartbeat_answered(2, Index(0), Index(0));
        assert!(progress.may_send(&WINDOW));
    }

    #[test]
    fn a_rejection_goes_back_at_least_one_and_never_below_what_matched() {
        let mut progress = Progress::new(Index(9), Instant::ZERO);
        assert!(progress.rejected(Index(9), Index(9)));
        assert_eq!(progress.next(), Index(9));
        assert!(progress.rejected(Index(8), Index(3)));
        assert_eq!(progress.next(), Index(4));

        let mut progress = streaming(6);
        progress.sent(Index(8), 2, 20, 1);
        assert!(progress.rejected(Index(7), Index(2)));
        assert_eq!((progress.matched(), progress.next()), (Index(6), Index(7)));
    }

    #[test]
    fn a_stale_rejection_changes_nothing() {
        let mut progress = streaming(6);
        let before = progress.clone();
        assert!(!progress.rejected(Index(6), Index(3)));
        assert!(!progress.rejected(Index(12), Index(3)));
        assert_eq!(progress, before);
    }

    #[test]
    fn a_later_rounds_answer_shows_what_was_lost() {
        let mut progress = streaming(6);
        progress.sent(Index(8), 2, 20, 3);
        progress.heartbeat_answered(3, Index(6), Index(6));
        assert_eq!(progress.next(), Index(9), "the round left before the entries");
        progress.heartbeat_answered(4, Index(7), Index(6));
        assert_eq!(progress.next(), Index(8), "entry 8 was lost");
        assert_eq!(progress.inflight().entries(), 0);
    }

    #[test]
    fn a_heartbeats_answer_makes_up_for_a_lost_acknowledgement() {
        let mut progress = streaming(6);
        progress.sent(Index(8), 2, 20, 3);
        progress.heartbeat_answered(4, Index(8), Index(8));
        assert_eq!((progress.matched(), progress.next()), (Index(8), Index(9)));
        assert_eq!(progress.inflight().entries(), 0);
    }

    #[test]
    fn a_peer_that_forgot_what_it_verified_is_owed_an_append() {
        let mut progress = streaming(6);
        progress.heartbeat_answered(1, Index(0), Index(0));
        assert_eq!((progress.matched(), progress.next()), (Index(6), Index(7)));
        assert!(progress.owes_append());
        progress.sent(Index(6), 0, 0, 1);
        assert!(!progress.owes_append());
    }

    #[test]
    fn a_probe_that_arrived_is_not_repeated_while_the_peers_disk_is_slow() {
        let mut progress = Progress::new(Index(5), Instant::ZERO);
        progress.sent(Index(6), 1, 10, 1);
        progress.heartbeat_answered(2, Index(6), Index(0));
        assert_eq!((progress.mode(), progress.next()), (Mode::Replicate, Index(7)));
        assert_eq!(progress.matched(), Index(0));
    }

    #[test]
    fn a_snapshot_is_offered_once_a_round_that_was_answered() {
        let mut progress = streaming(6);
        progress.sent(Index(8), 2, 20, 3);
        progress.offered(Index(15), 3);
        assert!(!progress.may_send(&WINDOW) && !progress.may_offer());
        assert_eq!(progress.inflight().messages(), 0);
        progress.heartbeat_answered(3, Index(6), Index(6));
        assert!(!progress.may_offer(), "the round left before the offer");
        progress.heartbeat_answered(4, Index(6), Index(6));
        assert!(progress.may_offer() && !progress.may_send(&WINDOW));
    }

    #[test]
    fn an_offer_ends_with_whatever_the_peer_has_by_then() {
        type Answer = fn(&mut Progress);
        let answers: [(Answer, u64); 3] = [
            (|progress| progress.accepted(Index(12)), 12),
            (|progress| progress.heartbeat_answered(1, Index(12), Index(12)), 12),
            (|progress| progress.heartbeat_answered(2, Index(12), Index(6)), 6),
        ];
        for (answer, matched) in answers {
            let mut progress = streaming(6);
            progress.sent(Index(8), 2, 20, 1);
            progress.heartbeat_answered(2, Index(6), Index(6));
            assert!(!progress.rejected(Index(6), Index(2)));
            progress.offered(Index(15), 1);
            answer(&mut progress);
            progress.resume(Index(20));
            assert_eq!((progress.matched(), progress.next()), (Index(matched), Index(13)));
            assert_eq!(progress.mode(), Mode::Replicate);
        }
    }

    #[test]
    fn a_refusal_does_not_end_an_offer() {
        let mut progress = streaming(6);
        progress.offered(Index(15), 1);
        let before = progress.clone();
        assert!(!progress.rejected(Index(8), Index(3)));
        progress.no_space(Index(7));
        assert_eq!(progress, before);
    }

    #[test]
    fn a_peer_without_space_is_probed_until_it_takes_an_entry() {
        let mut progress = streaming(6);
        progress.sent(Index(8), 2, 20, 1);
        progress.no_space(Index(7));
        assert_eq!((progress.next(), progress.may_send(&WINDOW)), (Index(8), false));
        progress.accepted(Index(7));
        assert!(matches!(progress.mode(), Mode::Probe { .. }), "it had that before");
        progress.heartbeat_answered(2, Index(7), Index(7));
        assert!(progress.may_send(&WINDOW));
        progress.sent(Index(8), 1, 10, 2);
        assert!(!progress.may_send(&WINDOW), "one message a round");
        progress.accepted(Index(8));
        assert_eq!((progress.mode(), progress.disk_full()), (Mode::Replicate, false));
    }

    #[test]
    fn a_peer_without_space_that_lacks_nothing_is_streamed_to() {
        let mut progress = streaming(6);
        progress.no_space(Index(7));
        progress.heartbeat_answered(1, Index(8), Index(6));
        progress.resume(Index(9));
        assert!(matches!(progress.mode(), Mode::Probe { .. }), "it lacks an entry");
        progress.resume(Index(8));
        assert_eq!((progress.mode(), progress.disk_full()), (Mode::Replicate, false));
    }

    #[test]
    fn an_old_acknowledgement_takes_nothing_back() {
        let mut progress = streaming(6);
        progress.sent(Index(8), 2, 20, 1);
        progress.accepted(Index(4));
        assert_eq!((progress.matched(), progress.next()), (Index(6), Index(9)));
    }
}
