//! Hash chains of appends: a node stops if its log and the sender's differ although both have an
//! entry with the same id.

use quorate::replica::Input;
use quorate::types::{
    Body, Command, Entry, EntryId, HashChain, Incarnation, Index, Message, NodeId, Packet, Payload,
    Term,
};

use super::cluster::{Cluster, Event};

/// Returns an append from node 1 to node 3, as if node 1 had another log.
fn append(cluster: &Cluster, chain: HashChain, entries: Vec<Entry>) -> Packet {
    let status = cluster.node(1).status();
    let prev = if entries.is_empty() { status.last } else { EntryId::new(Term(1), Index(1)) };
    let body = Body::AppendEntries { prev, entries: entries.into(), committed: Index::ZERO };
    let incarnation = Incarnation(1);
    let message = Message { from: NodeId(1), incarnation, to: NodeId(3), term: status.term, body };
    Packet::Chained(message, chain)
}

/// Returns the error with which node 3 has stopped, if it has.
fn stop_error(cluster: &Cluster) -> Option<String> {
    cluster.events.iter().find_map(|(by, event)| match event {
        Event::Stopped(error) if *by == 3 => Some(error.to_string()),
        _ => None,
    })
}

#[test]
fn every_append_to_a_node_with_the_log_is_compared() {
    let mut cluster = Cluster::new(|_| {});
    (0..5).for_each(|_| cluster.propose());
    let comparisons = cluster.node(3).comparisons();
    assert!(comparisons.chains >= 5, "{comparisons:?}");
    assert_eq!(comparisons.chains_unavailable, 1, "there is no entry before the first");
}

#[test]
fn a_different_chain_at_the_same_entry_stops_the_node() {
    let mut cluster = Cluster::new(|_| {});
    (0..5).for_each(|_| cluster.propose());
    let last = cluster.node(1).status().last;
    cluster.input(3, Input::Packet(append(&cluster, HashChain(7), Vec::new())));
    let error = stop_error(&cluster).expect("it has stopped");
    let expected =
        format!("this log and the log of n1 both have an entry {last}, but differ in it");
    assert!(error.starts_with(&expected), "{error}");
}

#[test]
fn a_different_entry_with_the_same_id_stops_the_node() {
    let mut cluster = Cluster::new(|_| {});
    (0..5).for_each(|_| cluster.propose());
    let first = EntryId::new(Term(1), Index(1));
    let noop = Entry { id: first, payload: Payload::Noop };
    let chain = HashChain::after(None, &noop).expect("the chain starts there");
    let payload = Payload::Command(Command::from("something else"));
    let other = Entry { id: EntryId::new(Term(1), Index(2)), payload };
    cluster.input(3, Input::Packet(append(&cluster, chain, vec![other])));
    let error = stop_error(&cluster).expect("it has stopped");
    assert!(error.contains("both have an entry 2@t1"), "{error}");
}
