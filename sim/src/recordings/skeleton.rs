//! The skeleton of a scenario: the cluster of recordings, and the pauses, outages and silent links
//! that they show, in the words of `docs/SCENARIOS.md`.

use std::fmt::{self, Write as _};
use std::time::Duration;

use quorate::raft::Config;
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

    /// Returns the text of the scenario.
    #[must_use]
    pub fn text(&self, lines: &[AccountLine]) -> String {
        let voters: Vec<NodeId> = self.membership.incoming().iter().copied().collect();
        let members: Vec<NodeId> =
            voters.iter().copied().chain(self.membership.learners()).collect();
        let names = Names(&members);
        let mut text = format!("# A skeleton from recordings of {} nodes.\n", members.len());
        for (place, id) in
            members.iter().enumerate().filter(|(place, id)| *place as u64 + 1 != id.0)
        {
            let _ = writeln!(text, "# n{} was {id}.", place + 1);
        }
        let _ = writeln!(text, "nodes {}", voters.len());
        if members.len() > voters.len() {
            let _ = writeln!(text, "learners {}", members.len() - voters.len());
        }
        if let Some(config) = &self.config {
            let Config { election_timeout_min: min, election_timeout_max: max, .. } = config;
            let switch = |is_on| if is_on { "on" } else { "off" };
            let _ = writeln!(text, "heartbeat {}", Millis(config.heartbeat_interval));
            let _ = writeln!(text, "election timeout {}..{}", Millis(*min), Millis(*max));
            let _ = writeln!(text, "pre-vote {}", switch(config.pre_vote));
            let _ = writeln!(text, "check-quorum {}", switch(config.check_quorum));
            let _ = writeln!(text, "stickiness {}", switch(config.stickiness));
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
                    let is_start = |later: &&AccountLine| {
                        later.node == line.node && matches!(later.note, Note::Starts)
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

fn fault(at: SimTime, verb: &str, lasts: Duration) -> String {
    format!("at {} {verb} for {}", Millis(at.since(SimTime(0))), Millis(lasts))
}

/// The names of nodes in a scenario, which numbers them from 1.
struct Names<'a>(&'a [NodeId]);

impl Names<'_> {
    fn of(&self, id: NodeId) -> String {
        let place = self.0.iter().position(|member| *member == id);
        // A node that is no longer a member keeps its name.
        place.map_or(id.to_string(), |place| format!("n{}", place + 1))
    }
}

/// A duration in milliseconds, at least one, as scenarios write it.
struct Millis(Duration);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0.as_millis().max(1))
    }
}
