//! Bootstrap probes (S76): in one attempt to bootstrap, a peer names one disk of each other peer.
//!
//! A bootstrap peer that sees another peer under two incarnations forgets all peers that it has
//! seen, and draws a new start id for its next probes (`Bootstrap::restart`), because the peers
//! that agreed on the first disk may have bootstrapped the cluster. Therefore probes with the same
//! start id never name two disks of a peer, whatever their order.

use std::collections::BTreeMap;

use quorate::types::{Body, BootstrapPeer, Incarnation, Message, NodeId};

use crate::check::finding::{CheckResult, S76};
use crate::check::known::Known;
use crate::check::rule::Rule;

/// For each node, the disks that it named in its last attempt to bootstrap.
#[derive(Clone, Debug)]
pub(super) struct BootstrapProbes {
    nodes: Vec<Attempt>,
}

/// The probes with one start id.
#[derive(Clone, Debug, Default)]
struct Attempt {
    start_id: u64,
    named: BTreeMap<NodeId, Incarnation>,
}

impl Rule for BootstrapProbes {
    fn new(known: &Known) -> BootstrapProbes {
        BootstrapProbes { nodes: vec![Attempt::default(); known.model.nodes.len()] }
    }

    fn sent(&mut self, known: &Known, message: &Message) -> CheckResult {
        let Body::BootstrapProbe { seen } = &message.body else { return Ok(()) };
        let id = message.from;
        let Some(own) = seen.iter().find(|peer| peer.id == id) else { return Ok(()) };
        let attempt = &mut self.nodes[known.model.slot(id).0];
        if attempt.start_id != own.start_id {
            *attempt = Attempt { start_id: own.start_id, named: BTreeMap::new() };
        }
        for BootstrapPeer { id: peer, incarnation, .. } in seen.iter().filter(|it| it.is_known()) {
            let first = *attempt.named.entry(*peer).or_insert(*incarnation);
            if first != *incarnation {
                return S76.violated(format!(
                    "{id} names disk {incarnation} of {peer} in a bootstrap probe, but it named \
                     disk {first} in the same attempt"
                ));
            }
        }
        Ok(())
    }
}
