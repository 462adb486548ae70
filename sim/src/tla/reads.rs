//! The lines of reads: when they begin, and when they are answered.

use quorate::raft::{Action, RoleName};
use quorate::types::{Freshness, NodeId, ReadLevel, Tag, Term};

use crate::tla::line::{Line, truth};
use crate::tla::step_lines::StepLines;

/// Adds the line of a user's read. A read that needs only the node's own state has no line, because
/// it involves no other node. Neither has a read under a read lease, because the specification has
/// no read leases.
pub(super) fn begin(lines: &mut StepLines<'_>, tag: Tag, level: ReadLevel) {
    let may_use_lease = level == ReadLevel::Lease;
    if !may_use_lease && level != ReadLevel::Linearizable {
        return;
    }
    let (node, now, term) = (lines.node, lines.now(), lines.before.term);
    if may_use_lease && lines.before.role == RoleName::Leader {
        let ended = lines.trace.known(node).ended_round(term, now);
        lines.end_rounds(term, ended);
    }
    let name = own_name(lines, tag);
    add(lines, name, may_use_lease);
}

/// Adds the line of a follower's request to the leader for a read index.
pub(super) fn begin_for_peer(lines: &mut StepLines<'_>, from: NodeId, start_id: u64, ticket: u64) {
    let name = peer_name(lines.before.term, from, start_id, ticket);
    add(lines, name, false);
}

/// Adds the lines of the answers to users.
pub(super) fn answer(lines: &mut StepLines<'_>) {
    for action in &lines.step.actions {
        if let Action::ReadReady { tag, index, freshness: Freshness::Linearizable } = action {
            let name = own_name(lines, *tag);
            if lines.trace.reads.contains(&name) {
                let line = Line::new("Answer", lines.node).with("q", format!("\"{name}\""));
                lines.add(line.with("i", index.0));
            }
        }
    }
}

/// The name of a follower's request for a read index.
pub(super) fn peer_name(term: Term, from: NodeId, start_id: u64, ticket: u64) -> String {
    format!("{from} {start_id} {ticket} {term}")
}

fn own_name(lines: &mut StepLines<'_>, tag: Tag) -> String {
    let node = lines.node;
    format!("{node} {tag} {}", lines.trace.known(node).starts)
}

/// Adds the line of a read, unless the same request was received before.
fn add(lines: &mut StepLines<'_>, name: String, may_use_lease: bool) {
    if !lines.trace.reads.insert(name.clone()) {
        return;
    }
    let line = Line::new("Read", lines.node).with("q", format!("\"{name}\""));
    lines.add(line.with("x", truth(may_use_lease)));
}
