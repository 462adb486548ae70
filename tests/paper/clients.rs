//! The claims of the paper about client interaction (§8).

use quorate::raft::{Action, RejectReason};
use quorate::types::{Payload, Tag};

use crate::harness::{
    Cluster, FIVE, FOUR, MessageKind, ONE, THREE, TWO, entry_id, log, stored, terms, voters,
};

/// §8: "If the client's first choice is not the leader, that server will reject the client's
/// request and supply information about the most recent leader it has heard from".
#[test]
fn a_follower_names_the_leader() {
    let mut cluster = Cluster::new(3);
    let tag = cluster.propose(TWO, "data");
    let unknown = RejectReason::NotLeader { leader: None };
    assert_eq!(cluster.node(TWO).reject_reason(tag), Some(unknown));
    cluster.elect(ONE);
    let tag = cluster.propose(TWO, "data");
    let known = RejectReason::NotLeader { leader: Some(ONE) };
    assert_eq!(cluster.node(TWO).reject_reason(tag), Some(known));
    assert_eq!(cluster.node(ONE).committed(), 1, "no entry was appended");
}

/// §8: Raft has "each leader commit a blank no-op entry into the log at the start of its term", so
/// that it knows which entries are committed.
#[test]
fn a_leader_begins_its_term_with_a_blank_entry() {
    let disk = || stored(voters(3), 1, None, 0, log(&[1, 1]));
    let mut cluster = Cluster::stored([disk(), disk(), disk()]);
    cluster.elect(ONE);
    let entry = cluster.node(ONE).log().pop().expect("the log has entries");
    assert_eq!((entry.id, entry.payload), (entry_id(2, 3), Payload::Noop));
    assert_eq!(cluster.node(ONE).committed(), 3);
    assert_eq!(terms(cluster.node(ONE).applied()), [1, 1, 2]);
}

/// §8: before that entry is committed, a leader does not know which entries are committed, and a
/// read waits.
#[test]
fn a_read_waits_for_an_entry_of_the_leaders_own_term() {
    let disk = || stored(voters(3), 1, None, 1, log(&[1, 1]));
    let mut cluster = Cluster::stored([disk(), disk(), disk()]);
    cluster.network.drop_kinds([MessageKind::AppendEntries]);
    cluster.elect(ONE);
    let tag = cluster.read(ONE);
    for _ in 0..3 {
        cluster.heartbeat(ONE);
    }
    assert_eq!(
        cluster.node(ONE).read_index(tag),
        None,
        "a heartbeat round alone does not confirm the read"
    );
    cluster.network.heal();
    cluster.heartbeat(ONE);
    cluster.heartbeat(ONE);
    assert_eq!(cluster.node(ONE).read_index(tag), Some(3));
}

/// §8: "a leader must check whether it has been deposed before processing a read-only request
/// [...] by having the leader exchange heartbeat messages with a majority of the cluster".
#[test]
fn a_read_waits_for_a_heartbeat_round_with_a_majority() {
    let mut cluster = Cluster::new(5);
    cluster.elect(ONE);
    cluster.heartbeat(ONE);
    cluster.hold();
    let tag = cluster.read(ONE);
    assert_eq!(cluster.node(ONE).read_index(tag), None);
    cluster.deliver_kinds(&[MessageKind::Heartbeat]);
    assert_eq!(cluster.node(ONE).read_index(tag), None);
    cluster.deliver_where(|message| message.from == TWO);
    assert_eq!(cluster.node(ONE).read_index(tag), None, "two of five are not a majority");
    cluster.deliver_where(|message| message.from == THREE);
    assert_eq!(cluster.node(ONE).read_index(tag), Some(1));
}

/// §8: the replies must be to heartbeats sent after the read, because earlier ones prove nothing
/// about the time of the read.
#[test]
fn a_reply_to_an_earlier_heartbeat_does_not_confirm_a_read() {
    let mut cluster = Cluster::new(3);
    cluster.elect(ONE);
    cluster.hold();
    cluster.heartbeat(ONE);
    cluster.deliver_kinds(&[MessageKind::Heartbeat]);
    let tag = cluster.read(ONE);
    cluster.deliver_kinds(&[MessageKind::HeartbeatReply]);
    assert_eq!(cluster.node(ONE).read_index(tag), None);
    cluster.release();
    assert_eq!(cluster.node(ONE).read_index(tag), Some(1));
}

/// §8: without that round, there is "the risk of returning stale data, since the leader responding
/// to the request might have been superseded by a newer leader of which it is unaware."
#[test]
fn a_deposed_leader_answers_no_read() {
    let mut cluster = Cluster::new(3);
    cluster.elect(ONE);
    cluster.isolate(ONE);
    cluster.elect(TWO);
    cluster.propose(TWO, "new");
    let tag = cluster.read(ONE);
    for _ in 0..5 {
        cluster.heartbeat(ONE);
    }
    assert!(cluster.node(ONE).leads(), "it has not heard of the new leader");
    assert_eq!(cluster.node(ONE).read_index(tag), None);
    cluster.network.heal();
    cluster.heartbeat(TWO);
    assert_eq!(cluster.node(ONE).reject_reason(tag), Some(RejectReason::NoLeader));
}

/// §8, thesis §6.4: a deposed leader does not answer a follower that has not heard of the new
/// leader either.
#[test]
fn a_deposed_leader_answers_no_read_of_its_last_follower() {
    let mut cluster = Cluster::new(5);
    cluster.elect(ONE);
    for id in [TWO, THREE, FOUR] {
        cluster.cut(id, ONE);
        cluster.cut(id, FIVE);
    }
    cluster.elect(TWO);
    cluster.propose(TWO, "new");
    let tag = cluster.read(FIVE);
    cluster.heartbeat(ONE);
    assert_eq!(cluster.node(FIVE).status().leader, Some(ONE), "it has not heard of the new leader");
    assert_eq!(cluster.node(FIVE).read_index(tag), None);
    cluster.network.heal();
    cluster.tick_all(4);
    assert_eq!(cluster.node(FIVE).read_index(tag), Some(3), "the new leader answers it");
    assert_eq!(cluster.node(FIVE).applied_commands(), ["new"]);
}

/// §8: reads are linearizable: a read returns every write acknowledged before it began.
#[test]
fn a_read_returns_every_write_acknowledged_before() {
    let mut cluster = Cluster::new(3);
    cluster.elect(ONE);
    for count in 1..=5 {
        cluster.node_mut(ONE).take_outcomes();
        let tag = cluster.propose(ONE, "data");
        let committed = Action::Committed { tag, id: entry_id(1, count + 1) };
        assert_eq!(cluster.node_mut(ONE).take_outcomes(), [committed]);
        for id in cluster.ids() {
            let read = cluster.read(id);
            let index = cluster.node(id).read_index(read).expect("the read is answered");
            assert!(index > count, "{id} reads at {index}");
            assert!(cluster.node(id).applied().len() as u64 >= index, "the read index is applied");
        }
    }
}

/// Thesis §6.4: a follower requests the read index from its leader, and waits until it has
/// applied that index.
#[test]
fn a_followers_read_waits_until_it_has_applied_the_leaders_index() {
    let mut cluster = Cluster::new(3);
    cluster.elect(ONE);
    cluster.node_mut(TWO).applies_at_once = false;
    cluster.propose(ONE, "data");
    let tag = cluster.read(TWO);
    assert_eq!(cluster.node(TWO).read_index(tag), None);
    cluster.node_mut(TWO).applies_at_once = true;
    cluster.node_mut(TWO).apply();
    assert_eq!(cluster.node(TWO).read_index(tag), Some(2));
    assert_eq!(cluster.node(TWO).applied_commands(), ["data"]);
}

/// Every proposal and every read ends in exactly one outcome, under any leader.
#[test]
fn every_request_ends_in_exactly_one_outcome() {
    let mut cluster = Cluster::new(3);
    cluster.elect(ONE);
    let mut tags: Vec<Tag> = Vec::new();
    for id in cluster.ids() {
        tags.push(cluster.propose(id, "first"));
        tags.push(cluster.read(id));
    }
    cluster.isolate(ONE);
    for id in cluster.ids() {
        tags.push(cluster.propose(id, "second"));
        tags.push(cluster.read(id));
    }
    cluster.elect(TWO);
    cluster.network.heal();
    cluster.tick_all(4);
    let mut ended: Vec<Tag> = Vec::new();
    for id in cluster.ids() {
        for outcome in cluster.node_mut(id).take_outcomes() {
            ended.push(match outcome {
                Action::Committed { tag, .. }
                | Action::Rejected { tag, .. }
                | Action::Unknown { tag, .. }
                | Action::ReadReady { tag, .. } => tag,
                other => panic!("{other:?} is not an outcome"),
            });
        }
    }
    ended.sort_unstable();
    assert_eq!(ended, tags);
}
