//! The evidence that the core makes no progress.

use std::fmt::Write;

use quorate::raft::RoleName;
use quorate::types::{Index, Membership};

use crate::check::L1;
use crate::observe::Violation;
use crate::world::cluster::running::Running;
use crate::world::goals::Goals;
use crate::world::network::Network;

impl Goals<'_> {
    /// Describes the state of every node: the evidence that the core makes no progress.
    pub(crate) fn stall_report(&self, network: &Network) -> Violation {
        let lacks = self.missing_progress().unwrap_or_else(|| {
            match self.stabilization.core.get(self.stabilization.reads_served) {
                Some(place) if self.stabilization.probed => {
                    format!("{} serves no read", place.id())
                }
                _ => "no command is committed".to_owned(),
            }
        });
        let mut saw = format!(
            "{lacks}, {:?} after the fault phase;",
            self.now.since(self.stabilization.since)
        );
        for node in self.cluster.nodes() {
            let id = node.place.id();
            let core =
                if self.stabilization.core.contains(&node.place) { "core" } else { "outside" };
            let hears = self.cluster.nodes().filter(|other| {
                other.place != node.place && network.is_open(other.place, node.place)
            });
            let hears: Vec<String> = hears.map(|other| other.place.id().to_string()).collect();
            let state = match node.running() {
                None => "is down".to_owned(),
                Some(_) if node.is_paused() => "is paused".to_owned(),
                Some(running) => blocked_state(running),
            };
            // Writing to a string cannot fail.
            let membership = node.membership();
            let _ = write!(
                saw,
                " [{core}] {id} {state}, has membership {membership}, hears {};",
                hears.join(" ")
            );
        }
        if let Some(leader) = self.core_leader() {
            let membership = self.cluster[leader].membership();
            let _ = write!(saw, " {}", self.absent_voters(membership));
        }
        L1.violation_at(saw, self.now)
    }

    /// Describes the voters of each set that are not in the core, for which a leader may wait.
    fn absent_voters(&self, membership: &Membership) -> String {
        let sets = [
            ("to decide", membership.incoming()),
            ("to decide with the outgoing voters", membership.outgoing()),
            ("to complete the change", membership.target()),
        ];
        let lacking = sets.iter().filter_map(|(purpose, voters)| {
            let absent = voters.iter().filter(|id| !self.stabilization.hears(**id));
            let absent: Vec<String> = absent.map(|id| id.to_string()).collect();
            let absent = absent.join(" ");
            (!absent.is_empty())
                .then(|| format!("the leader does not hear {absent}, which it needs {purpose}"))
        });
        let lacking: Vec<String> = lacking.collect();
        match lacking.is_empty() {
            true => "the leader hears every voter".to_owned(),
            false => lacking.join("; "),
        }
    }
}

fn blocked_state(running: &Running) -> String {
    let status = &running.status;
    let leader = match status.leader {
        Some(leader) => format!("follows {leader}"),
        None => "knows no leader".to_owned(),
    };
    let role = match status.role {
        RoleName::Leader => "leads".to_owned(),
        role => format!("is {role}, {leader}"),
    };
    let (last, ladder) = (status.last, (status.durable, status.committed, status.applied));
    let waiting = running.requests.unanswered.len();
    let machine: Index = running.worker.machine().applied().index;
    format!(
        "{role} in {} with last {last}, durable {}, committed {}, applied {} ({machine}), \
         {waiting} unanswered",
        status.term, ladder.0, ladder.1, ladder.2
    )
}
