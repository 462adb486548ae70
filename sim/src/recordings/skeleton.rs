//! The skeleton of a scenario: the cluster of recordings, and the pauses, outages and silent links
//! that they show, in the words of `docs/SCENARIOS.md`.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::time::Duration;

use quorate::raft::{Config, Lease, Survivor, Suspension};
use quorate::types::{Membership, NodeId};

use crate::recordings::account::{AccountLine, Note};
use crate::recordings::event::{Event, EventKind};
use crate::recordings::leaders::Leadership;
use crate::values::time::SimTime;

/// Collects the configuration, the membership and the length of a scenario.
#[derive(Clone, Debug, Default)]
pub struct Skeleton {
    config: Option<Config>,
    membership: Membership,
    end: SimTime,
}

impl Skeleton {
    /// Records the first configuration, the last membership and the last time.
    pub fn observe(&mut self, event: &Event<'_>) {
        self.end = self.end.max(event.at);
        let (EventKind::Begins { state, .. } | EventKind::Steps { state, .. }) = event.kind else {
            return;
        };
        if self.config.is_none() {
            self.config = Some(state.config.clone());
        }
        if !self.membership.ptr_eq(state.membership) {
            self.membership = state.membership.clone();
        }
    }

    /// Returns the text of the scenario. If it has more than `nodes_max` nodes, which no scenario
    /// can have, a comment says so.
    #[must_use]
    pub fn text(&self, lines: &[AccountLine], nodes_max: u8) -> String {
        let voters: Vec<NodeId> = self.membership.incoming().iter().copied().collect();
        let learners: Vec<NodeId> = self.membership.learners().collect();
        // Nodes that never were members, or no longer are.
        let is_member = |id: &NodeId| voters.contains(id) || learners.contains(id);
        let others: BTreeSet<NodeId> =
            lines.iter().flat_map(AccountLine::nodes).filter(|id| !is_member(id)).collect();
        let all: Vec<NodeId> = voters.iter().chain(&learners).chain(&others).copied().collect();
        let names = Names(&all);
        let mut text = format!("# A skeleton from recordings of {} nodes.\n", all.len());
        for (place, id) in all.iter().enumerate().filter(|(place, id)| *place as u64 + 1 != id.0) {
            let _ = writeln!(text, "# n{} was {id}.", place + 1);
        }
        if all.len() > usize::from(nodes_max) {
            let _ = writeln!(text, "# A scenario has at most {nodes_max} nodes: leave some out.");
        }
        // Without a membership, the recorded nodes are about to bootstrap the cluster.
        let counts = match voters.is_empty() {
            true => [others.len(), 0, 0],
            false => [voters.len(), learners.len(), others.len()],
        };
        for (setting, count) in ["nodes", "learners", "spares"].into_iter().zip(counts) {
            if count > 0 {
                let _ = writeln!(text, "{setting} {count}");
            }
        }
        if voters.is_empty() {
            text.push_str("bootstrap on\n");
        }
        if let Some(config) = &self.config {
            push_config(&mut text, config);
        }
        let _ = writeln!(text, "fault phase {}", Millis(self.end.since(SimTime(0))));
        self.push_faults(&mut text, &names, lines);
        text.push_str("expect pass\n");
        text
    }

    fn push_faults(&self, text: &mut String, names: &Names<'_>, lines: &[AccountLine]) {
        let mut faults: Vec<(SimTime, String)> = Vec::new();
        for leader in Leadership::all(lines) {
            let (name, term) = (names.of(leader.node), leader.term);
            let at = Millis(leader.from.since(SimTime(0)));
            match faults.is_empty() {
                // Without this line, any node could be the first leader.
                true => faults.push((leader.from, format!("at {at} campaign {name}"))),
                false => faults.push((leader.from, format!("# at {at} {name} leads {term}"))),
            }
        }
        for (place, line) in lines.iter().enumerate() {
            let name = names.of(line.node);
            match &line.note {
                Note::TookNoStep { pause, .. } => {
                    let from = line.at.before(*pause);
                    faults.push((from, fault(from, &format!("pause {name}"), *pause)));
                }
                Note::HeardNothing { from, since, .. } => {
                    let verb = format!("cut {} -> {name}", names.of(*from));
                    faults.push((*since, fault(*since, &verb, line.at.since(*since))));
                }
                Note::Ends => {
                    // The first steps of the next start may not be recorded.
                    let is_start = |later: &&AccountLine| {
                        let is_start = matches!(later.note, Note::Starts | Note::Begins { .. });
                        later.node == line.node && is_start
                    };
                    let start = lines[place..].iter().find(is_start);
                    let Some(start) = start else { continue };
                    let down = start.at.since(line.at);
                    faults.push((line.at, fault(line.at, &format!("crash {name}"), down)));
                }
                _ => {}
            }
        }
        faults.sort();
        faults.into_iter().for_each(|(_, line)| _ = writeln!(text, "{line}"));
    }
}

/// Appends the settings of the configuration that decide when nodes campaign and which of them
/// vote.
fn push_config(text: &mut String, config: &Config) {
    let Config { election_timeout_min: min, election_timeout_max: max, .. } = config;
    let switch = |is_on| if is_on { "on" } else { "off" };
    let _ = writeln!(text, "heartbeat {}", Millis(config.heartbeat_interval));
    let _ = writeln!(text, "election timeout {}..{}", Millis(*min), Millis(*max));
    let _ = writeln!(text, "pre-vote {}", switch(config.pre_vote));
    let _ = writeln!(text, "check-quorum {}", switch(config.check_quorum));
    let _ = writeln!(text, "stickiness {}", switch(config.stickiness));
    let _ = writeln!(text, "casting-vote {}", switch(config.casting_vote));
    if let Some(Suspension { after, voters_min, pause }) = config.suspension {
        let (after, pause) = (Millis(after), Millis(pause));
        let _ = writeln!(text, "suspension after {after}, down to {voters_min}, pause {pause}");
    }
    if let Some(Survivor { after }) = config.survivor {
        let _ = writeln!(text, "survivor after {}", Millis(after));
    }
    if let Some(Lease { drift_ppm, read_leases }) = config.lease {
        let read_leases = if read_leases { " read-leases" } else { "" };
        let _ = writeln!(text, "lease {drift_ppm}ppm{read_leases}");
    }
}

fn fault(at: SimTime, verb: &str, lasts: Duration) -> String {
    format!("at {} {verb} for {}", Millis(at.since(SimTime(0))), Millis(lasts))
}

/// The names of nodes in a scenario, which numbers them from 1.
struct Names<'a>(&'a [NodeId]);

impl Names<'_> {
    fn of(&self, id: NodeId) -> String {
        let place = self.0.iter().position(|node| *node == id);
        format!("n{}", place.expect("every node of a line has a name") + 1)
    }
}

/// A duration in milliseconds, at least one, as scenarios write it.
struct Millis(Duration);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0.as_millis().max(1))
    }
}

#[cfg(test)]
mod tests {
    use quorate::raft::RoleName;
    use quorate::types::Term;

    use super::*;

    fn line(at: u64, node: u64, note: Note) -> AccountLine {
        let (at, node) = (SimTime(at * 1_000_000), NodeId(node));
        AccountLine { at, until: at, node, term: Term(1), record: None, count: 1, note }
    }

    #[test]
    fn a_node_that_is_no_member_has_a_name_of_its_own() {
        let membership = Membership::new([NodeId(2), NodeId(5)]);
        let skeleton = Skeleton { membership, ..Skeleton::default() };
        let since = SimTime(0);
        let lines = [line(40, 5, Note::HeardNothing { from: NodeId(1), since, sent: 9 })];
        let expected = "# A skeleton from recordings of 3 nodes.\n# n1 was n2.\n# n2 was n5.\n\
             # n3 was n1.\nnodes 2\nspares 1\nfault phase 1ms\n\
             at 1ms cut n3 -> n2 for 40ms\nexpect pass\n";
        assert_eq!(skeleton.text(&lines, 11), expected);
    }

    #[test]
    fn suspension_and_survivor_are_settings_and_too_many_nodes_are_a_comment() {
        let mut config = Config::new(NodeId(1));
        let after = config.election_timeout_max * 4;
        config.suspension = Some(Suspension { after, voters_min: 2, pause: after });
        let suspends =
            Skeleton { config: Some(config.clone()), ..Skeleton::default() }.text(&[], 11);
        assert!(suspends.contains("\nsuspension after 2400ms, down to 2, pause 2400ms\n"));
        (config.suspension, config.survivor) = (None, Some(Survivor { after }));
        let survives = Skeleton { config: Some(config), ..Skeleton::default() }.text(&[], 11);
        assert!(survives.contains("\nsurvivor after 2400ms\n"), "{survives}");
        let most = |nodes: u64| {
            let membership = Membership::new((1..=nodes).map(NodeId));
            Skeleton { membership, ..Skeleton::default() }.text(&[], 11)
        };
        assert!(most(12).contains("# A scenario has at most 11 nodes"));
        assert!(!most(11).contains("at most"));
    }

    #[test]
    fn nodes_without_a_membership_bootstrap_the_cluster() {
        let text =
            Skeleton::default().text(&[line(1, 1, Note::Starts), line(2, 2, Note::Starts)], 11);
        assert!(text.contains("nodes 2\nbootstrap on\n"), "{text}");
    }

    #[test]
    fn an_outage_ends_with_the_next_recorded_start() {
        let begins = Note::Begins { role: RoleName::Follower, leader: None };
        let notes = [Note::Ends, begins, Note::Ends, Note::Starts];
        let lines: Vec<AccountLine> =
            (1..).zip(notes).map(|(at, note)| line(at * 10, 1, note)).collect();
        let text = Skeleton::default().text(&lines, 11);
        let crashes = "at 10ms crash n1 for 10ms\nat 30ms crash n1 for 10ms\n";
        assert!(text.contains(crashes), "{text}");
    }
}
