//! Appends carry the chain of what comes before them: equal entries after different ones stop a
//! node.

use quorate::replica::Input;
use quorate::types::{
    Body, Chain, Command, Entry, EntryId, Incarnation, Index, Message, NodeId, Packet, Payload,
    Term,
};

use crate::cluster::{Cluster, Told};

/// What node 1 would say to node 3 after its last entry, if its log were another.
fn append(cluster: &Cluster, chain: Chain, entries: Vec<Entry>) -> Packet {
    let status = cluster.node(1).status();
    let prev = if entries.is_empty() { status.last } else { EntryId::new(Term(1), Index(1)) };
    let body = Body::AppendEntries { prev, entries, committed: Index::ZERO };
    let incarnation = Incarnation(1);
    let message = Message { from: NodeId(1), incarnation, to: NodeId(3), term: status.term, body };
    Packet::Chained(message, chain)
}

fn stops_at(cluster: &Cluster) -> Option<String> {
    cluster.told.iter().find_map(|(by, told)| match told {
        Told::Stopped(failure) if *by == 3 => Some(failure.to_string()),
        _ => None,
    })
}

#[test]
fn every_append_to_a_node_that_has_the_log_is_compared() {
    let mut cluster = Cluster::new(|_| {});
    (0..5).for_each(|_| cluster.proposes());
    let comparisons = cluster.node(3).comparisons();
    assert!(comparisons.chains >= 5, "{comparisons:?}");
    assert_eq!(comparisons.chains_unavailable, 1, "nothing precedes the first entry");
}

#[test]
fn another_chain_before_the_same_entry_stops_the_node() {
    let mut cluster = Cluster::new(|_| {});
    (0..5).for_each(|_| cluster.proposes());
    let last = cluster.node(1).status().last;
    cluster.input(3, Input::Packet(append(&cluster, Chain(7), Vec::new())));
    let why = stops_at(&cluster).expect("it has stopped");
    let expected = format!("the log contradicts that of n1 at entry {last}, which both have; ");
    assert!(why.starts_with(&expected), "{why}");
}

#[test]
fn another_entry_in_the_same_place_stops_the_node() {
    let mut cluster = Cluster::new(|_| {});
    (0..5).for_each(|_| cluster.proposes());
    let first = EntryId::new(Term(1), Index(1));
    let noop = Entry { id: first, payload: Payload::Noop };
    let chain = Chain::after(None, &noop).expect("it begins there");
    let payload = Payload::Command(Command::from("something else"));
    let other = Entry { id: EntryId::new(Term(1), Index(2)), payload };
    cluster.input(3, Input::Packet(append(&cluster, chain, vec![other])));
    let why = stops_at(&cluster).expect("it has stopped");
    assert!(why.contains("at entry 2@1") || why.contains("n1 at entry"), "{why}");
}
