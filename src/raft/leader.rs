//! A leader: takes proposals, sends entries, counts acknowledgements, confirms that it leads.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use crate::progress::Progress;
use crate::quorum;
use crate::raft::action::{Action, Refusal};
use crate::raft::catch_up::Changing;
use crate::raft::common::Common;
use crate::raft::lease::Tenure;
use crate::raft::proposals::{Pending, Proposals};
use crate::raft::reads::{LeaderRead, Reader};
use crate::raft::replication;
use crate::raft::transition::Transition;
use crate::raft::unapplied::Unapplied;
use crate::types::{
    Acknowledge, AppendOutcome, Beat, Body, Entry, EntryId, Freshness, Index, Instant, NodeId,
    Payload, Proposal, ReadLevel, Readiness, RejectReason, Tag,
};

/// What only a leader has.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Leader {
    /// Every other member, and who left lately, by ascending id.
    pub(crate) peers: Vec<(NodeId, Progress)>,
    pub(crate) changing: Changing,
    pub(crate) handover: Option<Handover>,
    pub(crate) heartbeat_due: Instant,
    /// When peers are to hear that more is committed, if they have not.
    commit_due: Option<Instant>,
    /// The last round of heartbeats sent.
    pub(crate) round: u64,
    pub(crate) tenure: Tenure,
    /// The entry this leader began its term with.
    first: Index,
    pub(crate) proposals: Proposals,
    pub(crate) unapplied: Unapplied,
    /// Own reads that came before an entry of this term was committed.
    early_reads: VecDeque<Tag>,
    /// Reads that wait for a round, by ascending round.
    reads: VecDeque<LeaderRead>,
}

/// A leadership on its way to another node. Meanwhile nothing is proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Handover {
    /// Who asked for it; nobody did if the leader began by itself.
    pub(crate) tag: Option<Tag>,
    pub(crate) to: NodeId,
    /// When this leader goes on by itself.
    pub(crate) deadline: Instant,
}

impl Leader {
    /// Begins to lead the current term: appends an entry that commits what came before (Raft §8)
    /// and says at once that there is a leader.
    pub(crate) fn new(common: &mut Common) -> Leader {
        let last = common.log.last().index;
        let others = common.log.membership().ids().filter(|id| *id != common.id());
        let peers = others.map(|id| (id, Progress::new(last, common.now))).collect();
        let first = common.append(Payload::Noop).index;
        common.drift.begin(common.now, common.config.election_timeout_max);
        let mut leader = Leader {
            peers,
            changing: Changing::default(),
            handover: None,
            heartbeat_due: common.now,
            commit_due: None,
            round: 0,
            tenure: Tenure::default(),
            first,
            proposals: Proposals::default(),
            unapplied: Unapplied::of(&common.log),
            early_reads: VecDeque::new(),
            reads: VecDeque::new(),
        };
        leader.beat(common);
        leader
    }

    /// Every instant a leader knows.
    pub(crate) fn instants(&mut self) -> impl Iterator<Item = &mut Instant> {
        let heard = self.peers.iter_mut().map(|(_, progress)| &mut progress.heard);
        let handover = self.handover.iter_mut().map(|handover| &mut handover.deadline);
        let tenure = self.tenure.instants();
        let own = [&mut self.heartbeat_due].into_iter().chain(&mut self.commit_due).chain(tenure);
        heard.chain(own).chain(handover).chain(self.changing.instants())
    }

    fn peer(&mut self, id: NodeId) -> Option<&mut Progress> {
        self.peers.iter_mut().find(|(peer, _)| *peer == id).map(|(_, progress)| progress)
    }

    /// The progress of the sender of a reply, which is heard from; refuses strangers.
    fn hear(
        &mut self,
        common: &mut Common,
        from: NodeId,
        message: &'static str,
    ) -> Option<&mut Progress> {
        match self.peer(from) {
            Some(progress) => {
                progress.heard = common.now;
                Some(progress)
            }
            None => {
                common.refuse(from, message, Refusal::NotVoter);
                None
            }
        }
    }

    /// The highest number a quorum has reached, or every voter where the last one of them is to go
    /// on alone: this node `own`, every peer as `of` tells.
    fn reached(&self, common: &Common, own: u64, of: impl Fn(&Progress) -> u64) -> u64 {
        let reached = |id: NodeId| {
            if id == common.id() {
                return own;
            }
            let peer = self.peers.iter().find(|(peer, _)| *peer == id);
            peer.map_or(0, |(_, progress)| of(progress))
        };
        let membership = common.log.membership();
        if common.survival.is_on() {
            return membership.voters().map(reached).min().unwrap_or(0);
        }
        quorum::reached(membership, reached)
    }

    /// Whether an entry of this term is committed: before, the commit index may be behind what
    /// earlier leaders committed (Raft §8).
    pub(crate) fn is_established(&self, common: &Common) -> bool {
        common.log.committed() >= self.first
    }

    pub(crate) fn on_propose(
        &mut self,
        common: &mut Common,
        Proposal { tag, acknowledge, command }: Proposal,
    ) {
        let acknowledge = acknowledge.resolved(common.log.membership());
        let waits_for_all = acknowledge == Acknowledge::AllLive;
        if command.len() > common.config.command_bytes_max {
            return common.reject(tag, RejectReason::TooLarge);
        }
        let bytes = Entry::OVERHEAD_BYTES + command.len();
        if self.handover.is_some() {
            return common.reject(tag, RejectReason::Transferring);
        }
        if common.disk_full {
            return common.reject(tag, RejectReason::DiskFull);
        }
        if !self.unapplied.has_room(bytes, common.config.unapplied_bytes_max) {
            return common.reject(tag, RejectReason::Busy);
        }
        if waits_for_all && self.proposals.for_all_live() >= common.config.all_live_max {
            return common.reject(tag, RejectReason::Busy);
        }
        let index = self.append(common, Payload::Command(command));
        match acknowledge {
            Acknowledge::LeaderOnly => {
                let id = EntryId::new(common.term(), index);
                common.actions.push(Action::MayBeLost { tag, id });
            }
            _ if waits_for_all => self.proposals.wait_for_all_live(Pending { tag, index }),
            _ => self.proposals.wait_for_quorum(Pending { tag, index }),
        }
    }

    /// Appends an empty entry, if there is room for one.
    pub(crate) fn on_append(&mut self, common: &mut Common) {
        let room =
            self.unapplied.has_room(Entry::OVERHEAD_BYTES, common.config.unapplied_bytes_max);
        if room && !common.disk_full && self.handover.is_none() {
            self.append(common, Payload::Noop);
        }
    }

    /// Appends what the leader's state machine will count as unapplied.
    pub(crate) fn append(&mut self, common: &mut Common, payload: Payload) -> Index {
        let bytes = Entry::OVERHEAD_BYTES + payload.bytes();
        let index = common.append(payload).index;
        self.unapplied.push(index, bytes);
        index
    }

    /// What a quorum has on its disks.
    fn held(&self, common: &Common) -> Index {
        let durable = common.log.durable().0;
        Index(self.reached(common, durable, |peer| peer.matched().0))
    }

    /// Raft §5.3, §5.4.2: what a quorum has on its disks is committed, if it is of this leader's
    /// own term; what comes before it is then committed too. So must have it who answers reads by
    /// itself: an answer waits for what is in its log.
    fn advance_commit(&mut self, common: &mut Common) {
        let index = self.held(common);
        let index = self.lent_through(common.now).map_or(index, |lent| lent.min(index));
        if index <= common.log.committed() || common.log.term_at(index) != Some(common.term()) {
            return;
        }
        let established = self.is_established(common);
        common.log.commit(index);
        while let Some(proposal) = self.proposals.pop_committed(index) {
            common.committed(proposal.tag, proposal.index);
        }
        if !established {
            while let Some(tag) = self.early_reads.pop_front() {
                self.queue_read(common, Reader::Own(tag));
            }
        }
    }

    /// Answers the committed proposals that every voter not suspected dead has on its disk.
    fn answer_all_live(&mut self, common: &mut Common) {
        if self.proposals.for_all_live() == 0 {
            return;
        }
        let own = common.log.membership().is_voter(common.id());
        let mut reached = common.log.committed();
        if own {
            reached = reached.min(common.log.durable());
        }
        for (id, peer) in &self.peers {
            if common.log.membership().is_voter(*id) && !self.suspects(common, peer) {
                reached = reached.min(peer.matched());
            }
        }
        while let Some(proposal) = self.proposals.pop_on_all_live(reached) {
            common.committed(proposal.tag, proposal.index);
        }
    }

    /// Whether the peer was silent for so long that it may be dead, though it need not be.
    pub(crate) fn suspects(&self, common: &Common, peer: &Progress) -> bool {
        common.now >= peer.heard.after(common.config.election_timeout_max)
    }

    /// Up to where every peer that answers reads by itself has the log, if there is one. Of one
    /// that is no peer any more nothing is known.
    fn lent_through(&mut self, now: Instant) -> Option<Index> {
        if !self.tenure.lends(now) {
            return None;
        }
        self.tenure.lent_through(|id| {
            let peer = self.peers.iter().find(|(peer, _)| *peer == id);
            peer.map_or(Index::ZERO, |(_, progress)| progress.matched())
        })
    }

    pub(crate) fn on_append_entries_reply(
        &mut self,
        common: &mut Common,
        from: NodeId,
        outcome: AppendOutcome,
    ) {
        let last = common.log.last().index;
        let (successor, round) = (self.handover.is_some(), self.round);
        let Some(progress) = self.hear(common, from, "AppendEntriesReply") else { return };
        match outcome {
            AppendOutcome::Accepted { matched } if matched > last => {
                common.refuse(from, "AppendEntriesReply", Refusal::ImpossibleMatch);
            }
            AppendOutcome::Accepted { matched } => {
                let before = progress.matched();
                progress.accepted(matched);
                progress.note_matched(before, round);
                if successor && matched > before {
                    self.press_handover(common);
                }
            }
            AppendOutcome::NoSpace { verified } if verified > last => {
                common.refuse(from, "AppendEntriesReply", Refusal::ImpossibleMatch);
            }
            AppendOutcome::NoSpace { verified } => progress.no_space(verified),
            AppendOutcome::Rejected { prev, hint } => {
                // The follower has nothing at `hint.index` of a term after `hint.term`, and the
                // two logs agree only where ours has none after it either.
                let agreed = common.log.back_to(hint.index, hint.term).index;
                let agreed = agreed.min(hint.index);
                if !progress.rejected(prev, agreed) {
                    common.refuse(from, "AppendEntriesReply", Refusal::StaleReply);
                }
            }
        }
    }

    pub(crate) fn on_install_snapshot_reply(
        &mut self,
        common: &mut Common,
        from: NodeId,
        matched: Index,
    ) {
        let (last, current) = (common.log.last().index, self.round);
        let Some(progress) = self.hear(common, from, "InstallSnapshotReply") else { return };
        if matched > last {
            return common.refuse(from, "InstallSnapshotReply", Refusal::ImpossibleMatch);
        }
        let before = progress.matched();
        progress.accepted(matched);
        progress.note_matched(before, current);
    }

    /// When the leader wants to be called at the latest.
    pub(crate) fn deadline(&self) -> Instant {
        self.commit_due.map_or(self.heartbeat_due, |due| due.min(self.heartbeat_due))
    }

    /// Sends every peer what it lacks.
    fn replicate(&mut self, common: &mut Common) {
        let due = self.commit_due.unwrap_or(common.now.after(common.config.commit_delay));
        let tells = due <= common.now;
        for (id, progress) in &mut self.peers {
            replication::feed(common, *id, progress, (self.round, tells));
        }
        let owes = |(_, progress): &(_, Progress)| replication::owes_commit(common, progress);
        self.commit_due = self.peers.iter().any(owes).then_some(due);
    }

    /// Entries for a peer came from the disk.
    pub(crate) fn on_fetched(&mut self, common: &mut Common, peer: NodeId, entries: Vec<Entry>) {
        let round = self.round;
        if let Some(progress) = self.peer(peer) {
            replication::feed_fetched(common, peer, progress, entries, round);
        }
    }

    /// Says that it leads; the answers confirm the round.
    fn beat(&mut self, common: &mut Common) {
        let confirmed = self.confirmed_round(common);
        let loan = self.loan(common, confirmed);
        let held = self.held(common);
        self.round += 1;
        self.heartbeat_due = common.now.after(common.config.heartbeat_interval);
        let established = self.is_established(common);
        if established {
            self.tenure.begins(self.round, common.now, confirmed);
        }
        let beat = Beat {
            round: self.round,
            committed: common.log.committed(),
            confirmed: if self.tenure.since(confirmed).is_some() { confirmed } else { 0 },
            echo: 0,
            promise: self.lease(common).map_or(Duration::ZERO, |_| common.lease_promise()),
            loan: Duration::ZERO,
        };
        for (id, progress) in &mut self.peers {
            progress.committed_sent = beat.committed;
            // What is committed it must have, or its answers would lack it. Whoever holds the
            // others back and gets no further, silent or not, gets no other loan.
            let matched = progress.matched();
            let moves = matched >= held || matched > progress.lent_through;
            let lent =
                loan.filter(|_| progress.ready.borrows && moves && matched >= beat.committed);
            if let Some((_, until)) = lent {
                progress.lent_through = matched;
                self.tenure.lend(*id, until);
            }
            let loan = lent.map_or(Duration::ZERO, |(length, _)| length);
            // Before, the commit index may lack what was complete: such a round makes nobody fresh.
            let echo = if established { progress.acked_round } else { 0 };
            let beat = Beat { echo, loan, ..beat };
            common.send(*id, Body::Heartbeat(beat));
        }
        if common.survival.is_on() {
            self.count_on_live(common);
        }
    }

    /// Tells those voters without which nothing is committed that they count. They are fresh: it
    /// would take longer to lose them than to tell them.
    fn count_on_live(&self, common: &mut Common) {
        let membership = common.log.membership().clone();
        if common.log.membership_index() > common.log.committed() {
            return;
        }
        for (id, progress) in &self.peers {
            let counts = membership.incoming().contains(id)
                && progress.matched() >= common.log.committed()
                && common.survival.is_fresh(*id, common.now);
            if counts {
                common.send(*id, Body::Counted);
            }
        }
    }

    pub(crate) fn on_timeout(&mut self, common: &mut Common) -> Transition {
        if common.now < self.heartbeat_due {
            return Transition::Stay;
        }
        if common.config.check_quorum && !self.hears_quorum(common) {
            return Transition::Follow { term: common.term(), leader: None };
        }
        if common.disk_is_stuck() {
            self.yield_leadership(common);
            return Transition::Follow { term: common.term(), leader: None };
        }
        self.part(common.now);
        self.expire_handover(common);
        self.press_handover(common);
        self.keep_up_membership(common);
        self.beat(common);
        Transition::Stay
    }

    /// Whether a quorum was heard from within the longest election timeout (thesis §6.2).
    fn hears_quorum(&self, common: &Common) -> bool {
        if common.survival.is_on() {
            // Whoever is silent for too long is dead, and the leader goes on.
            return true;
        }
        let heard = Instant(self.reached(common, common.now.0, |peer| peer.heard.0));
        common.now < heard.after(common.config.election_timeout_max)
    }

    pub(crate) fn on_heartbeat_reply(
        &mut self,
        common: &mut Common,
        from: NodeId,
        round: u64,
        verified: Index,
        matched: Index,
        ready: Readiness,
    ) {
        let current = self.round;
        let impossible = round > current || verified > common.log.last().index;
        let Some(progress) = self.hear(common, from, "HeartbeatReply") else { return };
        if impossible {
            return common.refuse(from, "HeartbeatReply", Refusal::ImpossibleMatch);
        }
        if round >= progress.acked_round {
            (progress.acked_round, progress.ready) = (round, ready);
        }
        let before = progress.matched();
        progress.heartbeat_answered(round, verified, matched);
        progress.note_matched(before, current);
    }

    pub(crate) fn reads_waiting(&self) -> usize {
        self.early_reads.len() + self.reads.len()
    }

    fn reads_are_full(&self, common: &Common) -> bool {
        self.reads_waiting() + common.reads.len() >= common.config.reads_max
    }

    pub(crate) fn on_read(&mut self, common: &mut Common, tag: Tag, level: ReadLevel) {
        if self.reads_are_full(common) {
            common.reject(tag, RejectReason::Busy);
        } else if let Some(freshness) = self.freshness(common, level) {
            common.confirm_read(tag, common.log.committed(), freshness);
        } else if self.is_established(common) {
            self.queue_read(common, Reader::Own(tag));
        } else {
            self.early_reads.push_back(tag);
        }
    }

    pub(crate) fn on_read_index(
        &mut self,
        common: &mut Common,
        from: NodeId,
        boot: u64,
        ticket: u64,
    ) {
        if self.hear(common, from, "ReadIndex").is_none() {
            return;
        }
        let reader = Reader::Peer { id: from, boot, ticket };
        if self.reads.iter().any(|read| read.reader == reader) {
            return;
        }
        if self.reads_are_full(common) || !self.is_established(common) {
            return common.refuse(from, "ReadIndex", Refusal::ReadNotReady);
        }
        self.queue_read(common, reader);
    }

    /// The read waits for a round of heartbeats that begins after it (thesis §6.4).
    fn queue_read(&mut self, common: &Common, reader: Reader) {
        let (index, round) = (common.log.committed(), self.round + 1);
        self.reads.push_back(LeaderRead { reader, index, round });
    }

    /// Ends a step of the leader's: commits, replicates and answers what the input made possible.
    /// A leader that has no vote any more hands over and leaves.
    pub(crate) fn advance(&mut self, common: &mut Common) -> Transition {
        self.unapplied.applied(common.log.applied());
        self.advance_commit(common);
        if self.advance_membership(common) {
            // It counts from its append on: a quorum of it may have what one before had not.
            self.advance_commit(common);
        }
        self.answer_all_live(common);
        self.replicate(common);
        self.advance_reads(common);
        if !self.is_dismissed(common) {
            return Transition::Stay;
        }
        self.yield_leadership(common);
        Transition::Follow { term: common.term(), leader: None }
    }

    /// Answers the reads whose round is confirmed, and begins the round that others wait for
    /// unless one is still on its way.
    fn advance_reads(&mut self, common: &mut Common) {
        if self.reads.is_empty() {
            return;
        }
        if self.confirmed_round(common) == self.round {
            self.answer_reads(common);
            if !self.reads.is_empty() {
                self.beat(common);
            }
        }
        self.answer_reads(common);
    }

    fn answer_reads(&mut self, common: &mut Common) {
        let confirmed = self.confirmed_round(common);
        while let Some(read) = self.reads.pop_front_if(|read| read.round <= confirmed) {
            match read.reader {
                Reader::Own(tag) => {
                    common.confirm_read(tag, read.index, Freshness::Linearizable);
                }
                Reader::Peer { id, boot, ticket } => {
                    common.send(id, Body::ReadIndexReply { boot, ticket, index: read.index });
                }
            }
        }
    }

    /// The last round that a quorum has answered.
    pub(crate) fn confirmed_round(&self, common: &Common) -> u64 {
        self.reached(common, self.round, |peer| peer.acked_round)
    }

    /// Stops leading: what waits ends now. A proposal may yet be committed by a later leader.
    pub(crate) fn resign(&mut self, common: &mut Common) {
        self.abandon_change(common);
        self.finish_handover(common);
        if let Some(until) = self.tenure.lent_until() {
            common.promised_until = common.promised_until.max(until);
        }
        while let Some(proposal) = self.proposals.pop() {
            let id = EntryId::new(common.term(), proposal.index);
            common.actions.push(Action::Unknown { tag: proposal.tag, id });
        }
        for tag in self.early_reads.drain(..) {
            common.reject(tag, RejectReason::NoLeader);
        }
        for read in self.reads.drain(..) {
            if let Reader::Own(tag) = read.reader {
                common.reject(tag, RejectReason::NoLeader);
            }
        }
    }

    pub(crate) fn assert_invariants(&self, common: &Common) {
        let last = common.log.last();
        for (_, progress) in &self.peers {
            progress.assert_invariants(last);
            let inflight = progress.inflight();
            let window = replication::window(common);
            assert!(inflight.messages() <= window.messages_max, "the window bounds messages");
            assert!(inflight.entries() <= window.entries_max, "the window bounds entries");
            let alone = inflight.entries() <= 1;
            assert!(alone || inflight.bytes() <= window.bytes_max, "the window bounds bytes");
        }
        self.unapplied.assert_invariants(&common.log);
        self.proposals.assert_invariants(last.index);
        assert!(
            self.reads.iter().is_sorted_by_key(|read| read.round),
            "reads wait in the order of their rounds"
        );
        assert!(last.term == common.term(), "a leader's log ends in its term");
    }
}
