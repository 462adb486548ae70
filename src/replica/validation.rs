//! Whether this node's state machine is right: what came of the log here is held against what came
//! of it elsewhere, and whoever is alone with it starts over from another's snapshot.
//!
//! Each node asks for itself and judges itself, so nobody need tell anybody that he is wrong. What
//! a peer does not know, or does not say, speaks for nobody.

use core::time::Duration;
use std::collections::BTreeMap;

use crate::replica::config::ReplicaConfig;
use crate::replica::imprints::Imprints;
use crate::replica::output::{Output, Verdict};
use crate::types::{
    Comparison, ComparisonBody, Comparisons, Hash128, Imprint, Index, Instant, Membership, NodeId,
    Packet, SnapshotMeta, Standing,
};

/// What one node knows of results, its own and others', and makes of it.
#[derive(Clone, Debug)]
pub(crate) struct Validation {
    id: NodeId,
    interval: u64,
    period: Duration,
    patience: Duration,
    standing: Standing,
    /// Until when an unchecked node rejects reads.
    unchecked_until: Instant,
    known: Imprints,
    round: Option<Round>,
    rounds: u64,
    /// The index last asked about, and the last that a majority agreed on.
    asked: Index,
    agreed: Index,
    due_at: Instant,
    /// What peers have asked about and this node has not applied yet: one question each.
    waiting: BTreeMap<NodeId, (u64, Index)>,
    rebuild: Rebuild,
    pub(crate) comparisons: Comparisons,
}

/// A question on its way to every other voter.
#[derive(Clone, Debug)]
struct Round {
    number: u64,
    index: Index,
    own: Imprint,
    /// Who has answered, and with what.
    answers: BTreeMap<NodeId, Imprint>,
    until: Instant,
    /// Who voted when the answers were last looked at, if none has come since.
    judged_by: Option<Membership>,
}

/// How far a node in quarantine is on its way out.
#[derive(Clone, Debug)]
struct Rebuild {
    ask_at: Instant,
    /// Counts whom it has asked for a snapshot.
    turn: usize,
    /// The snapshot to start over from, once it is in force.
    snapshot: Option<SnapshotMeta>,
}

/// For how many times its patience an unchecked node rejects reads.
const UNCHECKED_PATIENCE: u32 = 8;

impl Validation {
    /// A node whose state machine stands at `last`. `seed` tells its rounds from those of other
    /// starts.
    pub(crate) fn new(
        config: &ReplicaConfig,
        seed: u64,
        (last, imprint): (Index, Imprint),
        now: Instant,
    ) -> Validation {
        let mut validation = Validation {
            id: config.raft.id,
            interval: config.validation_entries,
            period: config.validation_period,
            patience: config.validation_patience,
            standing: Standing::Sound,
            unchecked_until: now,
            known: Imprints::new(config.validation_entries, last, imprint),
            round: None,
            rounds: seed,
            asked: Index::ZERO,
            agreed: Index::ZERO,
            due_at: now,
            waiting: BTreeMap::new(),
            rebuild: Rebuild { ask_at: Instant::NEVER, turn: 0, snapshot: None },
            comparisons: Comparisons::default(),
        };
        // Before the first entry there is one state that a machine can be in.
        if last > Index::ZERO {
            validation.check_anew(now);
        }
        validation
    }

    /// What is known of the state machine.
    pub(crate) fn standing(&self) -> Standing {
        self.standing
    }

    /// Whether the state machine is not known to be wrong.
    pub(crate) fn stands(&self) -> bool {
        matches!(self.standing, Standing::Unchecked | Standing::Sound)
    }

    /// Whether users may be told what the state machine says. An unchecked one has to be compared
    /// first, where there is somebody to ask; but for so long only, for those who cannot tell may
    /// never be able to.
    pub(crate) fn may_answer(&self, now: Instant, membership: &Membership) -> bool {
        match self.standing {
            Standing::Sound => true,
            Standing::Unchecked => now >= self.unchecked_until || self.is_alone(membership),
            Standing::Quarantined | Standing::Divided => false,
        }
    }

    fn is_alone(&self, membership: &Membership) -> bool {
        membership.voters().all(|voter| voter == self.id)
    }

    /// When [`Validation::advance`] has something to do at the latest.
    pub(crate) fn deadline(&self) -> Instant {
        match (self.standing, &self.round) {
            (Standing::Divided, _) => Instant::NEVER,
            (Standing::Quarantined, _) => self.rebuild.ask_at,
            (_, Some(round)) => round.until,
            (_, None) => self.due_at,
        }
    }

    /// The state machine has applied the entry at `index`: peers that waited for it are told.
    pub(crate) fn applied(&mut self, index: Index, imprint: Imprint, outputs: &mut Vec<Output>) {
        self.known.push(index, imprint);
        let reached = self.waiting.extract_if(.., |_, (_, asked)| *asked <= index);
        for (peer, (round, asked)) in reached.collect::<Vec<_>>() {
            self.answer(peer, round, asked, outputs);
        }
    }

    /// The state machine has started over from a snapshot that ends at `last`: it is nothing that
    /// anybody has compared.
    pub(crate) fn restarted(&mut self, last: Index, imprint: Imprint, now: Instant) {
        self.known.restart(last, imprint);
        self.waiting.clear();
        self.check_anew(now);
    }

    fn check_anew(&mut self, now: Instant) {
        self.standing = Standing::Unchecked;
        self.unchecked_until = now.after(self.patience.saturating_mul(UNCHECKED_PATIENCE));
        (self.asked, self.agreed, self.due_at) = (Index::ZERO, Index::ZERO, now);
        self.round = None;
    }

    /// Does what is due now; returns what a round came to that ends by this.
    pub(crate) fn advance(
        &mut self,
        now: Instant,
        membership: &Membership,
        snapshot: Index,
        outputs: &mut Vec<Output>,
    ) -> Option<Verdict> {
        if self.standing == Standing::Quarantined {
            self.want_snapshot(now, membership, snapshot, outputs);
        }
        if !self.stands() || self.is_alone(membership) {
            self.round = None;
            self.due_at = self.due_at.max(now.after(self.period));
            return None;
        }
        if let Some(round) = &mut self.round {
            let over = now >= round.until;
            if !over && round.judged_by.as_ref().is_some_and(|by| by.is_same(membership)) {
                return None;
            }
            round.judged_by = Some(membership.clone());
            let verdict = judge(self.id, round, membership, over)?;
            return Some(self.conclude(now, verdict));
        }
        let news = self.known.last().0 >= self.asked.0.saturating_add(self.interval);
        if now < self.due_at && !news {
            return None;
        }
        self.begin(now, membership, outputs)
    }

    /// Asks every other voter about the last index at which all are likely to know the answer.
    fn begin(
        &mut self,
        now: Instant,
        membership: &Membership,
        outputs: &mut Vec<Output>,
    ) -> Option<Verdict> {
        let mark = self.known.last_mark().filter(|mark| *mark > self.asked);
        let index = mark.unwrap_or(self.known.last());
        self.asked = index;
        if index == self.agreed {
            // Nothing happened since.
            self.due_at = now.after(self.period);
            return None;
        }
        let own = self.known.at(index);
        if own.is_unknown() {
            return Some(self.conclude(now, Verdict::Unavailable { index }));
        }
        self.rounds = self.rounds.wrapping_add(1);
        let number = self.rounds;
        for voter in membership.voters().filter(|voter| *voter != self.id) {
            outputs.push(self.says(voter, ComparisonBody::Ask { round: number, index }));
        }
        let (answers, until) = (BTreeMap::new(), now.after(self.patience));
        self.round = Some(Round { number, index, own, answers, until, judged_by: None });
        None
    }

    /// A round is over.
    fn conclude(&mut self, now: Instant, verdict: Verdict) -> Verdict {
        self.round = None;
        let mut pause = self.patience;
        match verdict {
            Verdict::Sound { index } => {
                self.comparisons.agreed += 1;
                self.standing = Standing::Sound;
                self.agreed = index;
                pause = self.period;
            }
            Verdict::Unavailable { .. } => {
                self.comparisons.unavailable += 1;
                if self.standing == Standing::Sound || now >= self.unchecked_until {
                    pause = self.period;
                }
            }
            Verdict::Undecided { .. } => {
                self.comparisons.undecided += 1;
                // Something is wrong somewhere: an unchecked node waits until it is found sound.
                self.unchecked_until = Instant::NEVER;
            }
            Verdict::Divided { .. } => {
                self.comparisons.undecided += 1;
                self.standing = Standing::Divided;
            }
            Verdict::Quarantined { .. } => {
                self.comparisons.refuted += 1;
                self.standing = Standing::Quarantined;
                self.rebuild = Rebuild { ask_at: now, turn: 0, snapshot: None };
            }
            Verdict::Rebuilt { .. } => unreachable!("no round comes to this"),
        }
        self.due_at = now.after(pause);
        verdict
    }

    /// A member asks what came of the log.
    pub(crate) fn on_ask(
        &mut self,
        from: NodeId,
        round: u64,
        index: Index,
        outputs: &mut Vec<Output>,
    ) {
        if index <= self.known.last() {
            self.answer(from, round, index, outputs);
        } else {
            self.waiting.insert(from, (round, index));
        }
    }

    fn answer(&self, to: NodeId, round: u64, index: Index, outputs: &mut Vec<Output>) {
        let imprint = self.known.at(index);
        outputs.push(self.says(to, ComparisonBody::Answer { round, index, imprint }));
    }

    /// A voter answers. Rounds of two starts may have one number: what was asked then is of another
    /// index, or true of this one, too.
    pub(crate) fn on_answer(&mut self, from: NodeId, number: u64, index: Index, imprint: Imprint) {
        let asked = |round: &&mut Round| (round.number, round.index) == (number, index);
        if let Some(round) = self.round.as_mut().filter(asked) {
            round.answers.insert(from, imprint);
            round.judged_by = None;
        }
    }

    /// In quarantine: asks one voter after the other for a snapshot.
    fn want_snapshot(
        &mut self,
        now: Instant,
        membership: &Membership,
        after: Index,
        outputs: &mut Vec<Output>,
    ) {
        if now < self.rebuild.ask_at || self.rebuild.snapshot.is_some() {
            return;
        }
        self.rebuild.ask_at = now.after(self.patience);
        let others: Vec<NodeId> = membership.voters().filter(|voter| *voter != self.id).collect();
        if let Some(to) = others.get(self.rebuild.turn % others.len().max(1)) {
            outputs.push(self.says(*to, ComparisonBody::Want { after }));
        }
        self.rebuild.turn += 1;
    }

    /// The snapshot to start over from is whole, and on its way to being in force.
    pub(crate) fn rebuild_from(&mut self, meta: SnapshotMeta) {
        (self.rebuild.snapshot, self.rebuild.ask_at) = (Some(meta), Instant::NEVER);
    }

    /// That snapshot was overtaken: another one is needed.
    pub(crate) fn rebuild_again(&mut self, now: Instant) {
        (self.rebuild.snapshot, self.rebuild.ask_at) = (None, now);
    }

    /// The snapshot to start over from, if there is one.
    pub(crate) fn rebuilds_from(&self) -> Option<&SnapshotMeta> {
        self.rebuild.snapshot.as_ref().filter(|_| self.standing == Standing::Quarantined)
    }

    /// A peer is offered this node's snapshot.
    pub(crate) fn offer(&self, to: NodeId, meta: SnapshotMeta) -> Output {
        self.says(to, ComparisonBody::Offer { meta })
    }

    fn says(&self, to: NodeId, body: ComparisonBody) -> Output {
        Output::Send(Packet::Comparison(Comparison { from: self.id, to, body }))
    }
}

/// What the answers so far come to; none while they may yet come to something else.
///
/// Results and states are judged each for itself. Either may find the node wrong; both have to be
/// heard out before it is right, unless one cannot be told: a machine that is durable by itself may
/// have forgotten its results, and its state is as good.
fn judge(id: NodeId, round: &Round, membership: &Membership, over: bool) -> Option<Verdict> {
    let index = round.index;
    let part = |of: fn(&Imprint) -> Option<Hash128>| judge_part(id, round, membership, over, of);
    let parts = [part(|imprint| imprint.results), part(|imprint| imprint.state)];
    let any = |opinion| parts.contains(&opinion);
    if any(Opinion::Refuted) {
        Some(Verdict::Quarantined { index })
    } else if any(Opinion::Divided) {
        Some(Verdict::Divided { index })
    } else if any(Opinion::Open) {
        None
    } else if any(Opinion::Differs) {
        Some(Verdict::Undecided { index })
    } else if any(Opinion::Agreed) {
        Some(Verdict::Sound { index })
    } else {
        Some(Verdict::Unavailable { index })
    }
}

/// What the answers say of one part of an imprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opinion {
    /// A majority has what this node has.
    Agreed,
    /// A majority has something else.
    Refuted,
    /// No majority can have the same.
    Divided,
    /// Some have something else; too few can tell.
    Differs,
    /// Too few can tell.
    Unknown,
    /// More answers may come.
    Open,
}

fn judge_part(
    id: NodeId,
    round: &Round,
    membership: &Membership,
    over: bool,
    of: fn(&Imprint) -> Option<Hash128>,
) -> Opinion {
    let Some(own) = of(&round.own) else { return Opinion::Unknown };
    let mut counts: BTreeMap<Hash128, usize> = BTreeMap::new();
    let (mut voters, mut waits) = (0, false);
    for voter in membership.voters() {
        voters += 1;
        let answer = if voter == id { Some(&round.own) } else { round.answers.get(&voter) };
        waits |= answer.is_none();
        if let Some(hash) = answer.and_then(of) {
            *counts.entry(hash).or_default() += 1;
        }
    }
    let majority = voters / 2 + 1;
    let known: usize = counts.values().sum();
    let most = counts.values().max().copied().unwrap_or(0);
    if let Some((hash, _)) = counts.iter().find(|(_, count)| **count >= majority) {
        return if *hash == own { Opinion::Agreed } else { Opinion::Refuted };
    }
    if most + (voters - known) < majority {
        return Opinion::Divided;
    }
    if waits && !over {
        return Opinion::Open;
    }
    if counts.keys().any(|hash| *hash != own) { Opinion::Differs } else { Opinion::Unknown }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::Config;

    /// Results and a state; 0 for what is not known.
    fn shows(results: u8, state: u8) -> Imprint {
        let hash = |number: u8| (number > 0).then_some(Hash128([number; 16]));
        Imprint { results: hash(results), state: hash(state) }
    }

    fn round(own: Imprint, answers: BTreeMap<NodeId, Imprint>) -> Round {
        let (until, judged_by) = (Instant::NEVER, None);
        Round { number: 1, index: Index(9), own, answers, until, judged_by }
    }

    /// What node 1, with results 1, makes of the answers of the other voters of `voters`: 0 for
    /// one that does not know, and nothing for one that does not answer.
    fn verdict(voters: u64, answers: &[(u64, u8)], over: bool) -> Option<Verdict> {
        let answers = answers.iter().map(|(id, number)| (NodeId(*id), shows(*number, 0))).collect();
        let own = shows(1, 0);
        let round = round(own, answers);
        judge(NodeId(1), &round, &Membership::new((1..=voters).map(NodeId)), over)
    }

    const SOUND: Option<Verdict> = Some(Verdict::Sound { index: Index(9) });
    const QUARANTINED: Option<Verdict> = Some(Verdict::Quarantined { index: Index(9) });
    const DIVIDED: Option<Verdict> = Some(Verdict::Divided { index: Index(9) });
    const UNDECIDED: Option<Verdict> = Some(Verdict::Undecided { index: Index(9) });
    const UNAVAILABLE: Option<Verdict> = Some(Verdict::Unavailable { index: Index(9) });

    #[test]
    fn an_answer_about_another_index_is_one_to_an_earlier_start() {
        let config = ReplicaConfig::new(Config::new(NodeId(1)));
        let membership = Membership::new([1, 2, 3].map(NodeId));
        let mut validation = Validation::new(&config, 7, (Index(9), shows(1, 0)), Instant::ZERO);
        let mut advance = |answers: &[(u64, u64, u8)]| {
            for (from, index, results) in answers {
                let (from, index) = (NodeId(*from), Index(*index));
                validation.on_answer(from, 8, index, shows(*results, 0));
            }
            let (now, after) = (Instant::ZERO, Index::ZERO);
            validation.advance(now, &membership, after, &mut Vec::new())
        };
        assert_eq!(advance(&[]), None, "it asks");
        assert_eq!(advance(&[(2, 8, 7), (3, 8, 7)]), None, "that was asked by another start");
        assert_eq!(advance(&[(2, 9, 1)]), SOUND);
    }

    #[test]
    fn a_majority_decides_as_soon_as_it_is_known() {
        assert_eq!(verdict(3, &[], false), None);
        assert_eq!(verdict(3, &[(2, 1)], false), SOUND);
        assert_eq!(verdict(3, &[(2, 7)], false), None);
        assert_eq!(verdict(3, &[(2, 7), (3, 7)], false), QUARANTINED);
        assert_eq!(verdict(5, &[(2, 1), (3, 7)], false), None);
        assert_eq!(verdict(5, &[(2, 1), (3, 7), (4, 1)], false), SOUND);
        assert_eq!(verdict(5, &[(2, 7), (3, 7), (4, 7)], false), QUARANTINED);
    }

    #[test]
    fn who_does_not_know_speaks_for_nobody() {
        assert_eq!(verdict(3, &[(2, 0), (3, 0)], false), UNAVAILABLE);
        assert_eq!(verdict(3, &[(2, 0)], false), None);
        assert_eq!(verdict(3, &[(2, 0)], true), UNAVAILABLE);
        assert_eq!(verdict(3, &[], true), UNAVAILABLE);
        assert_eq!(verdict(5, &[(2, 1), (3, 0), (4, 0), (5, 0)], true), UNAVAILABLE);
        assert_eq!(verdict(3, &[(2, 7), (3, 0)], true), UNDECIDED);
        assert_eq!(verdict(3, &[(2, 7)], true), UNDECIDED);
    }

    #[test]
    fn where_no_majority_can_agree_nobody_is_right() {
        assert_eq!(verdict(2, &[(2, 7)], false), DIVIDED);
        assert_eq!(verdict(3, &[(2, 7), (3, 8)], false), DIVIDED);
        assert_eq!(verdict(4, &[(2, 1), (3, 7), (4, 7)], false), DIVIDED);
        assert_eq!(verdict(4, &[(2, 1), (3, 7)], true), UNDECIDED);
        assert_eq!(verdict(5, &[(2, 7), (3, 8), (4, 9)], false), DIVIDED);
    }

    #[test]
    fn a_learner_is_judged_and_does_not_count() {
        let own = shows(1, 0);
        let membership = Membership::new([2, 3, 4].map(NodeId)).with_learners([NodeId(1)]);
        let verdict = |two, three| {
            let answers = [(NodeId(2), shows(two, 0)), (NodeId(3), shows(three, 0))].into();
            judge(NodeId(1), &round(own, answers), &membership, false)
        };
        assert_eq!(verdict(1, 1), SOUND);
        assert_eq!(verdict(7, 7), QUARANTINED);
        assert_eq!(verdict(1, 7), None);
    }

    #[test]
    fn states_are_judged_beside_results() {
        let membership = Membership::new([1, 2, 3].map(NodeId));
        let verdict = |own, two, three| {
            let answers = [(NodeId(2), two), (NodeId(3), three)].into();
            judge(NodeId(1), &round(own, answers), &membership, true)
        };
        assert_eq!(verdict(shows(1, 1), shows(1, 1), shows(1, 1)), SOUND);
        assert_eq!(verdict(shows(1, 1), shows(1, 7), shows(1, 7)), QUARANTINED);
        assert_eq!(verdict(shows(1, 1), shows(7, 1), shows(7, 1)), QUARANTINED);
        assert_eq!(verdict(shows(0, 1), shows(7, 1), shows(7, 1)), SOUND, "no opinion of results");
        assert_eq!(verdict(shows(1, 1), shows(1, 0), shows(1, 0)), SOUND, "states are not hashed");
        assert_eq!(verdict(shows(1, 1), shows(1, 7), shows(1, 0)), UNDECIDED);
        assert_eq!(verdict(shows(0, 1), shows(7, 0), shows(7, 0)), UNAVAILABLE);
    }
}
