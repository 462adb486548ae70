//! Verification of the state machine: the node compares its state digests with the other voters'.
//! If a majority has a different state, or the node cannot read a snapshot at its start, it
//! rebuilds its state from another node's snapshot.
//!
//! Each node compares only its own state, and evaluates the replies by itself. An unknown digest or
//! a missing reply counts neither for nor against any state.

use core::time::Duration;
use std::collections::BTreeMap;

use crate::log::Log;
use crate::replica::config::ReplicaConfig;
use crate::replica::output::{ComparisonResult, Output};
use crate::replica::state_digests::StateDigests;
use crate::types::{
    Comparison, ComparisonBody, Comparisons, Hash128, Index, Instant, MachineVersion, Membership,
    NodeId, Packet, SnapshotMeta, StateDigest, StateVerification,
};

/// The state of a node's comparisons with the other voters.
#[derive(Clone, Debug)]
pub(crate) struct Validation {
    id: NodeId,
    interval: u64,
    period: Duration,
    timeout: Duration,
    verification: StateVerification,
    /// The time until which an unverified node rejects reads.
    unverified_until: Instant,
    digests: StateDigests,
    round: Option<Round>,
    rounds: u64,
    /// The last index that this node compared or tried to compare, and the last at which a majority
    /// agreed with it.
    requested: Index,
    agreed: Index,
    due_at: Instant,
    /// Peers' requests for indices that this node has not applied yet, at most one per peer.
    waiting: BTreeMap<NodeId, (u64, Index)>,
    rebuild: Rebuild,
    /// The version of the rules that the log has reached and this build does not have; `None`
    /// unless the verification is `TooOld`.
    version_required: Option<MachineVersion>,
    pub(crate) comparisons: Comparisons,
}

/// A comparison whose request went to every other voter.
#[derive(Clone, Debug)]
struct Round {
    number: u64,
    index: Index,
    own: StateDigest,
    /// The digests that voters have replied with.
    replies: BTreeMap<NodeId, StateDigest>,
    until: Instant,
    /// The membership at the last evaluation; `None` if a reply has arrived since.
    evaluated_for: Option<Membership>,
}

/// The progress of a quarantined node's rebuild.
#[derive(Clone, Debug)]
struct Rebuild {
    request_at: Instant,
    /// The number of requests for a snapshot so far, which selects the next voter to ask.
    turn: usize,
    /// The received snapshot to rebuild from, which the store records or has recorded.
    snapshot: Option<SnapshotMeta>,
}

/// The number of comparison timeouts for which an unverified node rejects reads.
const UNVERIFIED_TIMEOUTS: u32 = 8;

impl Validation {
    /// Returns the validation of a node whose state machine has applied `last`. Round numbers are
    /// counted from `seed`, so that those of two starts rarely coincide.
    pub(crate) fn new(
        config: &ReplicaConfig,
        seed: u64,
        last: Index,
        state_digest: StateDigest,
        now: Instant,
    ) -> Validation {
        let mut validation = Validation {
            id: config.raft.id,
            interval: config.validation_entries,
            period: config.validation_period,
            timeout: config.validation_timeout,
            verification: StateVerification::Consistent,
            unverified_until: now,
            digests: StateDigests::new(config.validation_entries, last, state_digest),
            round: None,
            rounds: seed,
            requested: Index::ZERO,
            agreed: Index::ZERO,
            due_at: now,
            waiting: BTreeMap::new(),
            rebuild: Rebuild { request_at: Instant::NEVER, turn: 0, snapshot: None },
            version_required: None,
            comparisons: Comparisons::default(),
        };
        // Without a snapshot, a state machine in memory is empty, and equal on all nodes. A state
        // machine with durable state of its own may not be: then the caller resets the
        // verification.
        if last > Index::ZERO {
            validation.reset_verification(now);
        }
        validation
    }

    /// Returns the last known verification of the state machine.
    pub(crate) fn verification(&self) -> StateVerification {
        self.verification
    }

    /// Returns the version of the rules that the log has reached and this build does not have.
    pub(crate) fn version_required(&self) -> Option<MachineVersion> {
        self.version_required
    }

    /// Returns true if the state machine may apply entries. It may not if a comparison has shown
    /// that no majority of the voters has its state, if it has no state because no snapshot could
    /// be read, or if the build is too old.
    pub(crate) fn is_usable(&self) -> bool {
        matches!(self.verification, StateVerification::Unverified | StateVerification::Consistent)
    }

    /// Returns true if the state machine may be restored from an installed snapshot.
    pub(crate) fn may_restore(&self) -> bool {
        match self.verification {
            StateVerification::NoMajority | StateVerification::TooOld => false,
            StateVerification::Unverified
            | StateVerification::Consistent
            | StateVerification::Quarantined => true,
        }
    }

    /// Returns true if the node may serve reads. An unverified node must compare first if there are
    /// other voters. It waits only for a bounded time, because the others may never know their
    /// digests; but it waits without a bound once it has seen different digests.
    pub(crate) fn may_serve_reads(&self, now: Instant, membership: &Membership) -> bool {
        match self.verification {
            StateVerification::Consistent => true,
            StateVerification::Unverified => {
                now >= self.unverified_until || self.is_alone(membership)
            }
            StateVerification::Quarantined
            | StateVerification::NoMajority
            | StateVerification::TooOld => false,
        }
    }

    fn is_alone(&self, membership: &Membership) -> bool {
        membership.voters().all(|voter| voter == self.id)
    }

    /// Returns the time by which [`Validation::advance`] must be called.
    pub(crate) fn deadline(&self) -> Instant {
        match (self.verification, &self.round) {
            (StateVerification::NoMajority | StateVerification::TooOld, _) => Instant::NEVER,
            (StateVerification::Quarantined, _) => self.rebuild.request_at,
            (_, Some(round)) => round.until,
            (_, None) => self.due_at,
        }
    }

    /// Adds the digest after the entry at `index`, and replies to peers that wait for it.
    pub(crate) fn applied(
        &mut self,
        index: Index,
        state_digest: StateDigest,
        outputs: &mut Vec<Output>,
    ) {
        self.digests.push(index, state_digest);
        let reached = self.waiting.extract_if(.., |_, (_, requested)| *requested <= index);
        for (peer, (round, requested)) in reached.collect::<Vec<_>>() {
            self.reply(peer, round, requested, outputs);
        }
    }

    /// Handles a restore from a snapshot that ends at `last`, after which the state is unverified.
    pub(crate) fn restarted(&mut self, last: Index, state_digest: StateDigest, now: Instant) {
        self.digests.restart(last, state_digest);
        self.waiting.clear();
        self.reset_verification(now);
    }

    /// Makes the state unverified, until a comparison finds it consistent.
    pub(crate) fn reset_verification(&mut self, now: Instant) {
        self.verification = StateVerification::Unverified;
        self.unverified_until = now.after(self.timeout.saturating_mul(UNVERIFIED_TIMEOUTS));
        (self.requested, self.agreed, self.due_at) = (Index::ZERO, Index::ZERO, now);
        self.round = None;
    }

    /// Begins the rebuild of a state that is wrong, or that the node could not restore.
    pub(crate) fn quarantine(&mut self, now: Instant) {
        self.verification = StateVerification::Quarantined;
        self.rebuild = Rebuild { request_at: now, turn: 0, snapshot: None };
        self.round = None;
    }

    /// Stops the use of the state machine until a start with a newer build, because the log or a
    /// snapshot requires this version of the rules.
    pub(crate) fn require_newer_build(&mut self, required: MachineVersion) {
        self.verification = StateVerification::TooOld;
        self.version_required = Some(required);
        self.round = None;
    }

    /// Does what is due now. Returns the result of the round that ends, if one does.
    pub(crate) fn advance(
        &mut self,
        now: Instant,
        membership: &Membership,
        snapshot: Index,
        outputs: &mut Vec<Output>,
    ) -> Option<ComparisonResult> {
        if self.verification == StateVerification::Quarantined {
            self.want_snapshot(now, membership, snapshot, outputs);
        }
        if !self.is_usable() || self.is_alone(membership) {
            self.round = None;
            self.due_at = self.due_at.max(now.after(self.period));
            return None;
        }
        if let Some(round) = &mut self.round {
            let over = now >= round.until;
            if !over && round.evaluated_for.as_ref().is_some_and(|by| by.ptr_eq(membership)) {
                return None;
            }
            round.evaluated_for = Some(membership.clone());
            let result = evaluate(self.id, round, membership, over)?;
            return Some(self.conclude(now, result));
        }
        let is_due = self.digests.last().0 >= self.requested.0.saturating_add(self.interval);
        if now < self.due_at && !is_due {
            return None;
        }
        self.start(now, membership, outputs)
    }

    /// Starts a round at the last index at which all voters are likely to know their digest.
    fn start(
        &mut self,
        now: Instant,
        membership: &Membership,
        outputs: &mut Vec<Output>,
    ) -> Option<ComparisonResult> {
        assert!(self.is_usable(), "only a usable state is compared");
        assert!(self.round.is_none(), "one comparison at a time");
        let mark = self.digests.last_mark().filter(|mark| *mark > self.requested);
        let index = mark.unwrap_or(self.digests.last());
        assert!(index >= self.requested, "comparisons advance");
        self.requested = index;
        if index == self.agreed {
            // No entry was applied since the last comparison that agreed. An unverified node tries
            // again sooner, because it rejects reads until then.
            let is_unverified = self.verification == StateVerification::Unverified;
            self.due_at = now.after(if is_unverified { self.timeout } else { self.period });
            return None;
        }
        let own = self.digests.at(index);
        if own.is_unknown() {
            return Some(self.conclude(now, ComparisonResult::Unavailable { index }));
        }
        self.rounds = self.rounds.wrapping_add(1);
        let number = self.rounds;
        for voter in membership.voters().filter(|voter| *voter != self.id) {
            outputs.push(self.message(voter, ComparisonBody::Request { round: number, index }));
        }
        let (replies, until) = (BTreeMap::new(), now.after(self.timeout));
        self.round = Some(Round { number, index, own, replies, until, evaluated_for: None });
        None
    }

    /// Ends the round with this result.
    fn conclude(&mut self, now: Instant, result: ComparisonResult) -> ComparisonResult {
        assert!(self.is_usable(), "only a usable state is compared");
        self.round = None;
        let mut pause = self.timeout;
        match result {
            ComparisonResult::Consistent { index } => {
                self.comparisons.consistent += 1;
                self.verification = StateVerification::Consistent;
                self.agreed = index;
                pause = self.period;
            }
            ComparisonResult::Unavailable { .. } => {
                self.comparisons.unavailable += 1;
                if self.verification == StateVerification::Consistent
                    || now >= self.unverified_until
                {
                    pause = self.period;
                }
            }
            ComparisonResult::Inconclusive { .. } => {
                self.comparisons.inconclusive += 1;
                // Some node has diverged, so an unverified node rejects reads until it is found
                // consistent.
                self.unverified_until = Instant::NEVER;
            }
            ComparisonResult::NoMajority { .. } => {
                self.comparisons.inconclusive += 1;
                self.verification = StateVerification::NoMajority;
            }
            ComparisonResult::Diverged { .. } => {
                self.comparisons.diverged += 1;
                self.quarantine(now);
            }
            ComparisonResult::Rebuilt { .. } => unreachable!("no round has this result"),
        }
        self.due_at = now.after(pause);
        result
    }

    /// Handles a member's request for the digest at `index`.
    pub(crate) fn on_request(
        &mut self,
        from: NodeId,
        round: u64,
        index: Index,
        outputs: &mut Vec<Output>,
    ) {
        if index <= self.digests.last() {
            self.reply(from, round, index, outputs);
        } else {
            self.waiting.insert(from, (round, index));
        }
    }

    fn reply(&self, to: NodeId, round: u64, index: Index, outputs: &mut Vec<Output>) {
        let state_digest = self.digests.at(index);
        outputs.push(self.message(to, ComparisonBody::Reply { round, index, state_digest }));
    }

    /// Handles a member's reply; only voters' replies are evaluated. If rounds of two starts have
    /// the same number, their replies are for different indices, or valid for both.
    pub(crate) fn on_reply(
        &mut self,
        from: NodeId,
        number: u64,
        index: Index,
        state_digest: StateDigest,
    ) {
        let requested = |round: &&mut Round| (round.number, round.index) == (number, index);
        if let Some(round) = self.round.as_mut().filter(requested) {
            round.replies.insert(from, state_digest);
            round.evaluated_for = None;
        }
    }

    /// Requests a snapshot from the next voter, if the node is quarantined and it is due.
    fn want_snapshot(
        &mut self,
        now: Instant,
        membership: &Membership,
        after: Index,
        outputs: &mut Vec<Output>,
    ) {
        if now < self.rebuild.request_at || self.rebuild.snapshot.is_some() {
            return;
        }
        self.rebuild.request_at = now.after(self.timeout);
        let others: Vec<NodeId> = membership.voters().filter(|voter| *voter != self.id).collect();
        if let Some(to) = others.get(self.rebuild.turn % others.len().max(1)) {
            outputs.push(self.message(*to, ComparisonBody::WantSnapshot { after }));
        }
        self.rebuild.turn += 1;
    }

    /// Returns true if the state machine must be rebuilt, and this snapshot is fit for it: it is
    /// newer than the node's `current` one, and ends in the durable part of the log.
    pub(crate) fn may_rebuild_from(
        &self,
        meta: &SnapshotMeta,
        current: &SnapshotMeta,
        log: &Log,
    ) -> bool {
        let has = meta.last.index <= log.durable() && log.has(meta.last);
        self.verification == StateVerification::Quarantined
            && self.rebuild.snapshot.is_none()
            && meta.last.index > current.last.index
            && has
    }

    /// Sets the received snapshot to rebuild from, which the store will record.
    pub(crate) fn rebuild_from(&mut self, meta: SnapshotMeta) {
        let is_quarantined = self.verification == StateVerification::Quarantined;
        assert!(is_quarantined, "only a quarantined state machine is rebuilt");
        assert!(self.rebuild.snapshot.is_none(), "one rebuild at a time");
        (self.rebuild.snapshot, self.rebuild.request_at) = (Some(meta), Instant::NEVER);
    }

    /// Drops the snapshot to rebuild from, because another one was recorded in its place, and
    /// requests a new one.
    pub(crate) fn retry_rebuild(&mut self, now: Instant) {
        assert!(self.rebuild.snapshot.is_some(), "a snapshot was to be recorded");
        (self.rebuild.snapshot, self.rebuild.request_at) = (None, now);
    }

    /// Returns the snapshot to rebuild from, if there is one.
    pub(crate) fn rebuild_snapshot(&self) -> Option<&SnapshotMeta> {
        self.rebuild
            .snapshot
            .as_ref()
            .filter(|_| self.verification == StateVerification::Quarantined)
    }

    /// Panics if the comparisons contradict one another, or the digests.
    pub(crate) fn assert_invariants(&self) {
        self.digests.assert_invariants();
        assert!(self.agreed <= self.requested, "only what was compared agreed");
        assert!(self.requested <= self.digests.last(), "only what is applied is compared");
        assert!(self.round.is_none() || self.is_usable(), "only a usable state is compared");
        let is_too_old = self.verification == StateVerification::TooOld;
        assert!(is_too_old == self.version_required.is_some(), "a build lacks a known version");
        let round = self.round.as_ref();
        let is_last = round.is_none_or(|round| round.index == self.requested);
        assert!(is_last, "a round compares the last index requested");
        let is_unknown = round.is_some_and(|round| round.own.is_unknown());
        assert!(!is_unknown, "an unknown state is not compared");
        debug_assert!(
            self.waiting.values().all(|(_, index)| *index > self.digests.last()),
            "no peer waits for an applied index"
        );
    }

    /// Returns the offer of this node's snapshot to a peer.
    pub(crate) fn offer(&self, to: NodeId, meta: SnapshotMeta) -> Output {
        self.message(to, ComparisonBody::OfferSnapshot { meta })
    }

    fn message(&self, to: NodeId, body: ComparisonBody) -> Output {
        Output::Send(Packet::Comparison(Comparison { from: self.id, to, body }))
    }
}

/// Evaluates the replies so far. Returns `None` while further replies may change the result.
///
/// Results and states are evaluated separately. Either alone may show that the node has diverged.
/// The node is consistent if one of them agrees with a majority, and the other does so too or is
/// unknown: a state machine with durable state of its own may not know its results after a restart.
fn evaluate(
    id: NodeId,
    round: &Round,
    membership: &Membership,
    over: bool,
) -> Option<ComparisonResult> {
    let index = round.index;
    let part =
        |of: fn(&StateDigest) -> Option<Hash128>| evaluate_part(id, round, membership, over, of);
    let parts =
        [part(|state_digest| state_digest.results), part(|state_digest| state_digest.state)];
    let any = |result| parts.contains(&result);
    if any(PartResult::Diverged) {
        Some(ComparisonResult::Diverged { index })
    } else if any(PartResult::NoMajority) {
        Some(ComparisonResult::NoMajority { index })
    } else if any(PartResult::Pending) {
        None
    } else if any(PartResult::Differs) {
        Some(ComparisonResult::Inconclusive { index })
    } else if any(PartResult::Agreed) {
        Some(ComparisonResult::Consistent { index })
    } else {
        Some(ComparisonResult::Unavailable { index })
    }
}

/// The result of evaluating one part of the digests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PartResult {
    /// A majority has the same value as this node.
    Agreed,
    /// A majority has the same value, and this node has another one.
    Diverged,
    /// No value can reach a majority, whatever the values are that this node does not know.
    NoMajority,
    /// Some values differ from that of this node, and too few are known for a majority.
    Differs,
    /// The value of this node is unknown, or too few are known for a majority and none differs from
    /// that of this node.
    Unknown,
    /// Further replies may change the result.
    Pending,
}

fn evaluate_part(
    id: NodeId,
    round: &Round,
    membership: &Membership,
    over: bool,
    of: fn(&StateDigest) -> Option<Hash128>,
) -> PartResult {
    let Some(own) = of(&round.own) else { return PartResult::Unknown };
    let mut counts: BTreeMap<Hash128, usize> = BTreeMap::new();
    let (mut voters, mut pending) = (0, false);
    for voter in membership.voters() {
        voters += 1;
        let reply = if voter == id { Some(&round.own) } else { round.replies.get(&voter) };
        pending |= reply.is_none();
        if let Some(hash) = reply.and_then(of) {
            *counts.entry(hash).or_default() += 1;
        }
    }
    let majority = voters / 2 + 1;
    let known: usize = counts.values().sum();
    let most = counts.values().max().copied().unwrap_or(0);
    assert!(most <= known && known <= voters, "a voter is counted once");
    if let Some((hash, _)) = counts.iter().find(|(_, count)| **count >= majority) {
        return if *hash == own { PartResult::Agreed } else { PartResult::Diverged };
    }
    if most + (voters - known) < majority {
        return PartResult::NoMajority;
    }
    if pending && !over {
        return PartResult::Pending;
    }
    if counts.keys().any(|hash| *hash != own) { PartResult::Differs } else { PartResult::Unknown }
}

#[cfg(test)]
mod tests;
