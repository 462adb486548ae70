//! The leaderships in an account: which node led from when to when, and why it began and ended.

use std::time::Duration;

use quorate::raft::{RoleCause, RoleName};
use quorate::types::{NodeId, Term};

use crate::recordings::account::{AccountLine, Note};
use crate::values::time::SimTime;

/// One node's leadership of one term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leadership {
    /// The node that led.
    pub node: NodeId,
    /// The term that it led.
    pub term: Term,
    /// When the leadership began, or when its recording did.
    pub from: SimTime,
    /// When it ended, or when its recording did.
    pub to: Option<SimTime>,
    /// Why the node last campaigned before; `None` if no campaign of it is recorded.
    pub campaign: Option<RoleCause>,
    /// Why the leadership ended; `None` if the recording ended first.
    pub end: Option<RoleCause>,
    /// When the node started again after its recording ended.
    pub restart: Option<SimTime>,
    /// The longest time without a step during the leadership, of those whose next step came later
    /// than it was due by the shortest election timeout or more.
    pub pause: Option<Duration>,
}

impl Leadership {
    /// Returns the leaderships in an account, in the order in which they began.
    #[must_use]
    pub fn all(lines: &[AccountLine]) -> Vec<Leadership> {
        let mut found: Vec<Leadership> = Vec::new();
        let mut campaigns: Vec<(NodeId, RoleCause)> = Vec::new();
        for AccountLine { at, node, term, note, .. } in lines {
            let current = found.iter_mut().rfind(|leads| leads.node == *node && leads.to.is_none());
            match note {
                Note::ChangesRole { role: RoleName::Leader, .. } => {
                    let campaign = campaigns.iter().rfind(|(of, _)| of == node);
                    let campaign = campaign.map(|(_, cause)| *cause);
                    found.push(Leadership::new(*node, *term, *at, campaign));
                }
                Note::ChangesRole { role, cause, .. } => {
                    if let Some(current) = current {
                        (current.to, current.end) = (Some(*at), Some(*cause));
                    }
                    let campaigns_anew = *role == RoleName::PreCandidate
                        || *role == RoleName::Candidate && *cause != RoleCause::PreVotesGranted;
                    if campaigns_anew {
                        campaigns.push((*node, *cause));
                    }
                }
                Note::Begins { role: RoleName::Leader, .. } => {
                    found.push(Leadership::new(*node, *term, *at, None));
                }
                Note::TookNoStep { pause, .. } => {
                    if let Some(current) = current {
                        current.pause = current.pause.max(Some(*pause));
                    }
                }
                Note::Ends | Note::Lacks => {
                    if let Some(current) = current {
                        current.to = Some(*at);
                    }
                }
                Note::Starts => {
                    let last = found.iter_mut().rfind(|leads| leads.node == *node);
                    if let Some(last) = last.filter(|last| last.end.is_none()) {
                        last.restart.get_or_insert(*at);
                    }
                }
                _ => {}
            }
        }
        found
    }

    fn new(node: NodeId, term: Term, from: SimTime, campaign: Option<RoleCause>) -> Leadership {
        let (to, end, restart, pause) = (None, None, None, None);
        Leadership { node, term, from, to, campaign, end, restart, pause }
    }
}
