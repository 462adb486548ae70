//! The safety and liveness checks: invariants that hold at every moment of a run, and the progress
//! of the core in the stabilization phase. The core is the nodes that must make progress in that
//! phase: a quorum, or more.
//!
//! The checks observe a run from outside. The facts that several of them read are in one place,
//! `known.rs`. Among them is a model of each node's disk and memory, `model.rs`, which follows the
//! writes that the node submits. The rules compare the node's messages and status with this model.
//! The model stores the id of the last entry of each run of equal terms in a log, so the cost of an
//! event grows with the number of elections in a run and hardly with the number of entries.

mod answered_reads;
mod append;
mod apply;
mod bootstrap_probes;
mod bounded;
mod bounds;
mod campaigns;
mod client;
mod commit;
mod comparison_pace;
mod comparisons;
mod core_activity;
mod costs;
mod counted_replies;
mod damage;
mod deadlines;
mod decided;
mod departed_peers;
mod divergences;
mod election;
mod election_timeouts;
mod electorate;
mod entries;
mod expected;
mod finding;
mod forwarded;
mod heartbeat_pace;
mod heartbeat_receivers;
mod heartbeats;
mod held_messages;
mod history;
mod known;
mod leader_terms;
mod leaderless_reads;
mod leadership_transfers;
mod lease_requests;
mod leases;
mod log;
mod machines;
mod membership;
mod membership_changes;
mod memory;
mod message_terms;
mod model;
mod nodes;
mod operations;
mod own_snapshots;
mod peers;
mod prompt_commits;
mod prompt_entries;
mod quorum_contact;
mod read_requests;
mod received_entries;
mod recoveries;
mod rejected_requests;
mod rejections;
mod repair_requests;
mod reported_state;
mod rule;
mod sent_state;
mod session_model;
mod shadow;
mod snapshot_contents;
mod snapshot_pace;
mod snapshot_parts;
mod spread_commits;
mod stops;
mod taken_appends;
mod uncertain;
mod vote_leases;
mod wait_reason;

pub use bounds::Bounds;
pub(crate) use bounds::prevents_disruptive_servers;
pub use costs::Costs;
pub(crate) use costs::PART_TIMEOUTS_MAX;
pub(crate) use electorate::{Decision, Electorate};
pub use finding::{CHECKS, Check};
pub(crate) use finding::{
    L1, S1, S2, S3, S4, S5, S6, S7, S8, S9, S10, S11, S12, S13, S14, S15, S17, S18, S21, S29, S31,
    S45,
};
pub(crate) use log::Log;
pub(crate) use nodes::Slot;

use std::time::Duration;

use quorate::machine::{Digest, Outcome};
use quorate::raft::{RejectReason, Status};
use quorate::replica::ComparisonResult;
use quorate::types::{
    Comparison, Entry, EntryId, Index, Membership, Message, NodeId, SnapshotMeta, SnapshotTransfer,
    Tag, Term, Write,
};

use crate::check::finding::CheckResult;
use crate::check::known::Known;
use crate::check::rule::{Answer, Rule, events, passed_on, passed_to_each};
use crate::observe::recovery_drill::RecoveryDrill;
use crate::observe::{Executed, MachineView, Observation, OpId, Violation};
use crate::values::time::SimTime;
use crate::workload::{AnyWorkload, HistoryResult};

macro_rules! rules {
    ($($file:ident::$rule:ident)*) => {
        /// Every rule with its own state.
        #[derive(Clone, Debug)]
        struct Rules {
            $($file: $file::$rule,)*
        }

        impl Rule for Rules {
            fn new(known: &Known) -> Rules {
                Rules { $($file: Rule::new(known),)* }
            }

            events! { passed_on { $($file)* } }
        }
    };
}

// The rules in the order in which they check an event. All rules check it before the update of
// `known`, then the update may find a contradiction, then all rules check it again. The run reports
// the first of these findings. Unexpected stops are first, then contradictions of the committed
// log, of votes, of acknowledgements and of disks, and then the effects of a wrong log on state
// machines and clients. Deadlines are last, because a missed deadline does not show its cause.
rules! {
    stops::Stops
    commit::Commit
    election::Election
    append::Acknowledgements
    damage::Damage
    uncertain::Uncertain
    divergences::Divergences
    apply::Apply
    client::Clients
    leases::Leases
    machines::Machines
    snapshot_contents::SnapshotContents
    history::History
    bounded::Bounded
    memory::EntriesInMemory
    campaigns::Campaigns
    vote_leases::VoteLeases
    heartbeats::Heartbeats
    heartbeat_pace::HeartbeatPace
    heartbeat_receivers::HeartbeatReceivers
    peers::Peers
    snapshot_parts::SnapshotParts
    comparisons::Comparisons
    own_snapshots::OwnSnapshots
    leadership_transfers::LeadershipTransfers
    core_activity::CoreActivity
    membership::MembershipSteps
    membership_changes::MembershipChanges
    message_terms::MessageTerms
    received_entries::ReceivedEntries
    counted_replies::CountedReplies
    answered_reads::AnsweredReads
    taken_appends::TakenAppends
    election_timeouts::ElectionTimeouts
    prompt_commits::PromptCommits
    quorum_contact::QuorumContact
    reported_state::ReportedState
    sent_state::SentState
    spread_commits::SpreadCommits
    prompt_entries::PromptEntries
    departed_peers::DepartedPeers
    read_requests::ReadRequests
    leaderless_reads::LeaderlessReads
    bootstrap_probes::BootstrapProbes
    lease_requests::LeaseRequests
    held_messages::HeldMessages
    rejections::Rejections
    rejected_requests::RejectedRequests
    repair_requests::RepairRequests
    snapshot_pace::SnapshotPace
    comparison_pace::ComparisonPace
    recoveries::Recoveries
    forwarded::Forwarded
    deadlines::Deadlines
}

/// All checks, fed with the observations of one run.
#[derive(Clone, Debug)]
pub struct Checks {
    known: Known,
    rules: Rules,
}

impl Checks {
    /// Creates the checks for a world of `nodes`, in which the cluster starts with `membership`.
    /// Every node must stay within `bounds` and runs the state machine of `workload`.
    #[must_use]
    pub fn new(
        nodes: &[NodeId],
        membership: &Membership,
        bounds: Bounds,
        workload: &AnyWorkload,
    ) -> Checks {
        let known = Known::new(nodes, membership, bounds, workload);
        Checks { rules: Rules::new(&known), known }
    }

    /// Checks one observation, made at `now`.
    ///
    /// # Errors
    /// The first violated check. Later results of the checks have no meaning.
    pub fn observe(&mut self, now: SimTime, observation: Observation<'_>) -> Result<(), Violation> {
        let verdict = self.check(now, observation);
        verdict.map_err(|finding| self.known.add_clock_cause(finding).at(now))
    }

    fn check(&mut self, now: SimTime, mut observation: Observation<'_>) -> CheckResult {
        if self.known.begin(now, &mut observation)? {
            rule::before(&mut self.rules, &self.known, &observation)?;
            self.known.update(&observation)?;
            rule::after(&mut self.rules, &self.known, &observation)?;
        }
        self.rules.deadlines.check(&self.known)
    }

    /// The result of checking the clients' history, at the end of the run; `None` if the workload
    /// does not name the object that its clients use.
    pub(crate) fn history_outcome(&self) -> Option<&HistoryResult> {
        self.rules.history.outcome()
    }
}
