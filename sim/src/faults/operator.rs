//! The operator asks for a membership change, for its cancellation, or for a leadership transfer.

use std::fmt;

use quorate::types::{Address, Change, NodeId};

use crate::faults::argument::{Argument, Node};
use crate::faults::fault_draw::FaultDraw;
use crate::faults::operation::operation;
use crate::faults::selector::NodeSelector;
use crate::faults::strike::{AdminRequest, NodeStrike, Strike};
use crate::values::words;
use crate::values::words::{SyntaxError, Words};

operation! {
    /// A request about the membership.
    enum MembershipChange {
        /// Asks the node to change the membership: `+n4` is a voter, `?n4` a learner, `~n4` a
        /// suspended voter, `-n4` is removed, `n4!200` has this priority, `n4@host-4` this address,
        /// `casting=n4` holds the casting vote, and with `casting=none` no node does; `nothing` is
        /// a change without edits.
        Change "change" (node: NodeSelector as Node, change: Change as Edits)
        /// Asks the node to cancel the membership change in progress.
        Cancel "cancel change" (node: NodeSelector as Node)
    }
    draw |draw, node, _| {
        let target = draw_target(draw, node);
        MembershipChange::Change(target, MembershipChange::draw_edits(draw))
    };
    strike |request| match request {
        MembershipChange::Change(node, change) => {
            Strike::Node(*node, NodeStrike::Admin(AdminRequest::Change(change.clone())))
        }
        MembershipChange::Cancel(node) => {
            Strike::Node(*node, NodeStrike::Admin(AdminRequest::CancelChange))
        }
    };
    on_processes |request| match request {
        MembershipChange::Change(node, change) => {
            on_leader(*node)?;
            let text = "`quorate members` changes one node at a time: +n4, -n4, or both";
            single_edits(change).map(|_| ()).ok_or(text)
        }
        MembershipChange::Cancel(node) => on_leader(*node),
    };
}

operation! {
    /// Asks the node to transfer the leadership to this node, or to the best target.
    struct Transfer "transfer" {
        /// The node that gets the request.
        node: NodeSelector as Node,
        /// The next leader, or the best target if `None`.
        to: Option<NodeId> as NextLeader,
    }
    draw |draw, node, _| {
        Transfer { node: draw_target(draw, node), to: Transfer::draw_next_leader(draw) }
    };
    strike |it| Strike::Node(it.node, NodeStrike::Admin(AdminRequest::Transfer(it.to)));
    on_processes |transfer| on_leader(transfer.node);
}

/// The edits of a membership change; `nothing` for none.
pub(super) struct Edits;

impl Argument for Edits {
    type Value = Change;
    const USAGE: &'static str = "EDIT..";

    fn read(words: &mut Words<'_>) -> Result<Change, SyntaxError> {
        let mut change = Change::new();
        if words.accept("nothing") {
            return Ok(change);
        }
        loop {
            let expected = "an edit, like +n4, ?n4, ~n4, -n4, n4!200, n4@host-4 or casting=n4";
            change = words.read(expected, |word| edited(change.clone(), word))?;
            if words.is_empty() {
                return Ok(change);
            }
        }
    }

    fn write(change: &Change, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " {change}")
    }
}

/// The next leader: `to n2`. Without it, the leader chooses the best target.
pub(super) struct NextLeader;

impl Argument for NextLeader {
    type Value = Option<NodeId>;
    const USAGE: &'static str = "[to ID]";

    fn read(words: &mut Words<'_>) -> Result<Option<NodeId>, SyntaxError> {
        if words.accept("to") { words.node().map(Some) } else { Ok(None) }
    }

    fn write(to: &Option<NodeId>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.map_or(Ok(()), |to| write!(f, " to {to}"))
    }
}

/// Returns an error unless the request goes to the leader, because `cargo sim procs` sends operator
/// requests to no other node.
fn on_leader(node: NodeSelector) -> Result<(), &'static str> {
    match node {
        NodeSelector::Leader => Ok(()),
        NodeSelector::Node(_) | NodeSelector::It | NodeSelector::Other => {
            Err("operator commands go to the leader: use `leader`")
        }
    }
}

/// Draws the node for an operator's request: mostly the leader, because no other node can execute
/// it.
fn draw_target(draw: &mut FaultDraw<'_>, node: NodeSelector) -> NodeSelector {
    if draw.chance(800) { NodeSelector::Leader } else { node }
}

impl MembershipChange {
    /// Draws the edits of a membership change.
    pub(crate) fn draw_edits(draw: &mut FaultDraw<'_>) -> Change {
        let (one, other) = (draw.node(), draw.node());
        match draw.below(16) {
            0..=2 => Change::new().voter(one),
            3 | 4 => Change::new().remove(one),
            5 | 6 if one != other => Change::new().voter(one).remove(other),
            7 => Change::new().learner(one),
            8 => Change::new().priority(one, *draw.pick(&[255, 0, 101, 100])),
            9 => {
                let host = draw.below(100);
                let address = Address::new(&format!("host-{host}")).expect("the address is short");
                Change::new().address(one, address)
            }
            10 => Change::new().casting(draw.chance(800).then_some(one)),
            11 => Change::new().suspend(one),
            12 | 13 => draw_new_voters(draw),
            _ => draw_several_edits(draw),
        }
    }
}

/// Draws a change that makes a range of nodes voters, independent of the current membership.
fn draw_new_voters(draw: &mut FaultDraw<'_>) -> Change {
    let nodes = u64::from(draw.scale.nodes);
    let count = draw.between(1, nodes.min(7));
    let start = draw.below(nodes);
    (0..count).fold(Change::new(), |change, at| change.voter(NodeId((start + at) % nodes + 1)))
}

/// Draws a change of several nodes.
fn draw_several_edits(draw: &mut FaultDraw<'_>) -> Change {
    let mut change = Change::new();
    let mut named = Vec::new();
    for _ in 0..draw.between(2, 4) {
        let (node, kind) = (draw.node(), draw.below(4));
        if named.contains(&node) {
            continue;
        }
        named.push(node);
        change = match kind {
            0 | 1 => change.voter(node),
            2 => change.remove(node),
            _ => change.learner(node),
        };
    }
    change
}

/// Returns the added and the removed node of a change; `None` if the change has no edits, or any
/// edit other than one addition and one removal.
pub(crate) fn single_edits(change: &Change) -> Option<(Option<NodeId>, Option<NodeId>)> {
    let mut edits = (None, None);
    for word in change.to_string().split_whitespace() {
        let (place, node) = match word.split_at_checked(1)? {
            ("+", node) => (&mut edits.0, node),
            ("-", node) => (&mut edits.1, node),
            _ => return None,
        };
        if place.replace(words::node(node)?).is_some() {
            return None;
        }
    }
    (edits != (None, None)).then_some(edits)
}

/// Adds an edit of one node to a change.
type Edit = fn(Change, NodeId) -> Change;

/// The signs before a node, and the edits that they mean.
const SIGNS: [(char, Edit); 4] =
    [('+', Change::voter), ('?', Change::learner), ('~', Change::suspend), ('-', Change::remove)];

/// Returns the change with one more edit, or `None` if the word is not an edit.
fn edited(change: Change, word: &str) -> Option<Change> {
    if let Some(holder) = word.strip_prefix("casting=") {
        let no_holder = holder == "none";
        return (no_holder || words::node(holder).is_some())
            .then(|| change.casting(words::node(holder)));
    }
    for (sign, edit) in SIGNS {
        if let Some(node) = word.strip_prefix(sign).and_then(words::node) {
            return Some(edit(change, node));
        }
    }
    if let Some((node, priority)) = word.split_once('!') {
        return Some(change.priority(words::node(node)?, priority.parse().ok()?));
    }
    let (node, address) = word.split_once('@')?;
    Some(change.address(words::node(node)?, Address::new(address)?))
}

impl Transfer {
    /// Draws the next leader: one named node, or the best target.
    pub(crate) fn draw_next_leader(draw: &mut FaultDraw<'_>) -> Option<NodeId> {
        let node = draw.node();
        draw.chance(600).then_some(node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_edits_add_at_most_one_node_and_remove_at_most_one() {
        let edits = |line: &str| {
            let change = Edits::read(&mut Words::of(line, 1)).expect("the line is a change");
            single_edits(&change)
        };
        assert_eq!(edits("+n4"), Some((Some(NodeId(4)), None)));
        assert_eq!(edits("-n2 +n4"), Some((Some(NodeId(4)), Some(NodeId(2)))));
        for more in ["+n4 +n5", "?n4", "n4!3", "casting=n1", "nothing"] {
            assert_eq!(edits(more), None, "{more}");
        }
    }
}
