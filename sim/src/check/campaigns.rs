//! Campaigns: a node requests votes only with a reason (S49), and nodes vote only for candidates
//! whose logs are up to date (S50).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use quorate::raft::{RoleName, Status};
use quorate::types::{Body, EntryId, Index, Message, NodeId, Term};

use crate::check::electorate::{Decision, Electorate};
use crate::check::finding::{CheckResult, S49, S50};
use crate::check::known::{Known, names};
use crate::check::nodes::{Nodes, Slot};
use crate::check::rule::Rule;

/// The campaigns of the run, by candidate and term.
#[derive(Clone, Debug)]
pub(super) struct Campaigns {
    campaigns: BTreeMap<(Slot, Term), Campaign>,
    /// The nodes that a leader asked to campaign, each with the term of that leader.
    asked: BTreeSet<(Slot, Term)>,
    /// For each node, the term of its last candidacy, and the membership that it used when the
    /// candidacy began.
    candidacies: Vec<Option<(Term, Arc<Electorate>)>>,
    /// For each node, the highest commit index that a leader has named to it since its start.
    named: Vec<Index>,
    /// The commit index in the leader's message that the next step takes.
    taken: Option<Named>,
}

/// A commit index that a leader names.
#[derive(Clone, Copy, Debug)]
struct Named {
    by: NodeId,
    term: Term,
    committed: Index,
}

/// The campaign of one node in one term.
#[derive(Clone, Copy, Debug, Default)]
struct Campaign {
    /// The most up-to-date last entry of its log that its requests for pre-votes have named;
    /// `vote_last` is the one that its requests for votes have named.
    pre_vote_last: EntryId,
    /// The highest last index of its log that a request for pre-votes named.
    pre_vote_index: Index,
    vote_last: Option<EntryId>,
    /// The nodes that granted it a pre-vote.
    granted: Nodes,
}

impl Rule for Campaigns {
    fn new(known: &Known) -> Campaigns {
        Campaigns {
            campaigns: BTreeMap::new(),
            asked: BTreeSet::new(),
            candidacies: vec![None; known.model.nodes.len()],
            named: vec![Index::ZERO; known.model.nodes.len()],
            taken: None,
        }
    }

    fn started(&mut self, known: &Known, status: &Status) -> CheckResult {
        self.named[known.model.slot(status.id).0] = Index::ZERO;
        Ok(())
    }

    fn delivered(&mut self, known: &Known, node: NodeId, message: &Message) -> CheckResult {
        let committed = match &message.body {
            Body::AppendEntries { committed, .. } => Some(*committed),
            Body::Heartbeat(heartbeat) => Some(heartbeat.committed),
            _ => None,
        };
        let is_rejected = known.next_message.is_none_or(|message| message.may_be_rejected);
        let committed = committed.filter(|_| message.to == node && !is_rejected);
        let (by, term) = (message.from, message.term);
        self.taken = committed.map(|committed| Named { by, term, committed });
        Ok(())
    }

    fn stepped(&mut self, known: &Known, status: &Status) -> CheckResult {
        let follows = |it: &Named| (Some(it.by), it.term) == (status.leader, status.term);
        if let Some(taken) = self.taken.take().filter(follows).filter(|_| known.message.is_some()) {
            let named = &mut self.named[known.model.slot(status.id).0];
            *named = taken.committed.max(*named);
        }
        Ok(())
    }

    /// Notes the start of a candidacy, and checks the node's vote: the candidate's log must not be
    /// behind the voter's (Raft §5.4.1).
    fn status_changed(&mut self, known: &Known, status: &Status) -> CheckResult {
        let Status { id, term, last, .. } = *status;
        let slot = known.model.slot(id);
        if status.role == RoleName::Candidate {
            let is_known = self.candidacies[slot.0].as_ref().is_some_and(|(of, _)| *of == term);
            if !is_known {
                let electorate = Arc::clone(known.model.electorate(slot));
                self.candidacies[slot.0] = Some((term, electorate));
            }
        }
        let Some(vote) = status.vote.filter(|vote| *vote != id) else { return Ok(()) };
        let is_new = known.before.is_some_and(|it| (it.term, it.vote) != (term, Some(vote)));
        let requested = self.campaigns.get(&(known.model.slot(vote), term));
        let Some(ends) = requested.and_then(|it| it.vote_last).filter(|_| is_new) else {
            return Ok(());
        };
        if ends >= last {
            return self.check_has_named(
                slot,
                ends,
                &format!("{id} votes in term {term} for {vote}"),
            );
        }
        S50.violated(format!(
            "{id} votes in term {term} for {vote}, whose log ends with entry {ends}, but its own \
             log ends with entry {last}"
        ))
    }

    fn sent(&mut self, known: &Known, message: &Message) -> CheckResult {
        let slots = [message.from, message.to].map(|id| known.model.slot(id));
        let [from, to] = slots;
        match message.body {
            Body::PreVote { next_term, last } => {
                let campaign = self.campaigns.entry((from, next_term)).or_default();
                campaign.pre_vote_last = campaign.pre_vote_last.max(last);
                campaign.pre_vote_index = campaign.pre_vote_index.max(last.index);
                Ok(())
            }
            Body::PreVoteReply { next_term, granted: true, .. } => {
                self.campaigns.entry((to, next_term)).or_default().granted.insert(from);
                self.check_pre_vote(known, message, next_term)
            }
            Body::RequestVote { last, transfer } => {
                let campaign = self.campaigns.entry((from, message.term)).or_default();
                campaign.vote_last = campaign.vote_last.max(Some(last));
                self.check_campaign(known, from, message.from, message.term, transfer)
            }
            Body::TimeoutNow => {
                self.asked.insert((to, message.term));
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Campaigns {
    /// Checks that a candidate's log does not end before a commit index that a leader has named to
    /// the voter: every node that can win an election has the entries up to that index (Raft
    /// §5.4.3).
    fn check_has_named(&self, slot: Slot, ends: EntryId, does: &str) -> CheckResult {
        let named = self.named[slot.0];
        if ends.index >= named {
            return Ok(());
        }
        S50.violated(format!(
            "{does}, whose log ends with entry {ends}, but a leader has named index {named} as \
             committed"
        ))
    }

    /// Checks the reason of a campaign: a leader asked the node to campaign, if the node claims so;
    /// otherwise a quorum granted it a pre-vote (thesis §3.10, §9.6).
    fn check_campaign(
        &self,
        known: &Known,
        slot: Slot,
        id: NodeId,
        term: Term,
        is_transfer: bool,
    ) -> CheckResult {
        let asked_in = Term(term.0.saturating_sub(1));
        if is_transfer {
            if self.asked.contains(&(slot, asked_in)) {
                return Ok(());
            }
            return S49.violated(format!(
                "{id} requests votes in term {term} at the request of a leader, but no leader of \
                 term {asked_in} asked it to campaign"
            ));
        }
        // A last survivor does not need the pre-votes of dead voters.
        if !known.bounds.config.pre_vote || known.model.last_survivor_enabled {
            return Ok(());
        }
        let candidacy = self.candidacies[slot.0].as_ref().filter(|(of, _)| *of == term);
        let electorate =
            candidacy.map_or_else(|| known.model.electorate(slot), |(_, electorate)| electorate);
        let mut granted = self.campaigns.get(&(slot, term)).copied().unwrap_or_default().granted;
        granted.insert(slot);
        if electorate.decision(granted) == Decision::Quorum {
            return Ok(());
        }
        S49.violated(format!(
            "{id} requests votes in term {term} with pre-votes of {}, which is not a quorum of {}",
            names(&known.model, granted),
            electorate.membership
        ))
    }

    /// Checks a granted pre-vote: it is for a later term than the voter's, and the candidate's log
    /// is neither behind the voter's nor ends before a commit index that the voter knows.
    fn check_pre_vote(&self, known: &Known, message: &Message, next_term: Term) -> CheckResult {
        let Message { from, to, .. } = *message;
        let (slot, term) = (known.model.slot(from), message.term);
        if next_term <= term {
            return S50.violated(format!(
                "{from} grants {to} a pre-vote for term {next_term}, but is in term {term}"
            ));
        }
        // The log may have grown while the reply waited.
        let status = known.model.node(slot).status.filter(|_| known.is_prompt(slot));
        let Some(Status { last, .. }) = status else { return Ok(()) };
        let requested = self.campaigns.get(&(known.model.slot(to), next_term));
        let Some(requested) = requested else { return Ok(()) };
        let ends = requested.pre_vote_last;
        if requested.pre_vote_index >= self.named[slot.0] && ends >= last {
            return Ok(());
        }
        if ends >= last {
            let does = format!("{from} grants a pre-vote for term {next_term} to {to}");
            return self.check_has_named(slot, ends, &does);
        }
        S50.violated(format!(
            "{from} grants a pre-vote for term {next_term} to {to}, whose log ends with entry \
             {ends}, but its own log ends with entry {last}"
        ))
    }
}
