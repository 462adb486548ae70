//! Forged leaders: S40 to S42, S45 to S48, S51, S54, S55, S78, S81, S85, L7 and L10.

use std::time::Duration;

use quorate::raft::RoleName;
use quorate::types::{AppendOutcome, Body, EntryId, Heartbeat, Index, NodeId, Readiness, Term};
use quorate_sim::observe::Observation;

use crate::stage::{Stage, id, noop};

/// Node 1 leads term 1 and has committed its first entry.
fn led() -> Stage {
    led_on(Stage::new())
}

/// Like [`led`], with leases.
fn leased() -> Stage {
    led_on(Stage::of_leases(0))
}

/// Like [`leased`], with clocks whose rates may differ by half.
fn drifting() -> Stage {
    led_on(Stage::of_leases(200_000))
}

fn led_on(mut stage: Stage) -> Stage {
    stage.wins(1, 1, &[2, 3]);
    stage.all_hold(&[1, 2, 3], &[noop(1, 1)]);
    stage.commits(1, 1);
    stage
}

/// Like [`led`]; in addition, node 2 has acknowledged the first entry and answered round 1; then
/// node 1 has begun round 2 and sent entries 2 and 3.
fn streaming() -> Stage {
    let mut stage = led();
    stage.beats(1, 1);
    stage.appends(1, 1);
    stage.acknowledges(2, 1, 1, 1);
    stage.counts_as_matched(1, 2, 1);
    stage.counts_as_matched(1, 2, 1);
    stage.answers_round(1);
    stage.all_hold(&[1], &[noop(2, 1), noop(3, 1)]);
    stage.beats(2, 1);
    stage.appends(2, 3);
    stage
}

impl Stage {
    /// Node 1 begins a round in term 1, and relies on the one before if it has committed an entry.
    fn beats(&mut self, round: u64, committed: u64) {
        let confirmed = if committed > 0 { round - 1 } else { 0 };
        let heartbeat = Heartbeat { confirmed, ..Heartbeat::new(round, Index(committed)) };
        self.sends(1, 2, 1, Body::Heartbeat(heartbeat));
    }

    /// Node 2 answers a round of node 1.
    fn answers_round(&mut self, round: u64) {
        self.replies_to_round(2, round);
    }

    /// A node answers a round of node 1.
    fn replies_to_round(&mut self, node: u64, round: u64) {
        let (verified, matched, durable) = (Index(1), Index(1), Index(1));
        let ready = Readiness::default();
        self.sends(node, 1, 1, Body::HeartbeatReply { round, verified, matched, durable, ready });
    }

    /// Node 1 begins a round in term 1 that requests vote leases of 300 ms, and node 2 answers it.
    fn grants_vote_lease(&mut self) {
        let vote_lease = Duration::from_millis(300);
        let heartbeat = Heartbeat { vote_lease, ..Heartbeat::new(1, Index(1)) };
        self.sends_in_step(1, 2, 1, Body::Heartbeat(heartbeat));
        self.steps(2);
        self.answers_round_in_step(1);
    }

    /// Nodes 2 and 3 answer a round of node 1 in term 1, which then grants node 3 a read lease.
    fn grants_read_lease(&mut self, read_lease: Duration) {
        let vote_lease = Duration::from_millis(300);
        let first = Heartbeat { vote_lease, ..Heartbeat::new(1, Index(1)) };
        self.sends_in_step(1, 2, 1, Body::Heartbeat(first));
        let (round, verified, matched, durable) = (1, Index(1), Index(1), Index(1));
        let ready = Readiness::default();
        let reply = Body::HeartbeatReply { round, verified, matched, durable, ready };
        [2, 3].into_iter().for_each(|node| self.sends(node, 1, 1, reply.clone()));
        for node in [2, 3] {
            self.receives(1, node, 1, reply.clone());
            self.steps(1);
        }
        let next = Heartbeat::new(2, Index(1));
        let next = Heartbeat { vote_lease, read_lease, confirmed: 1, ..next };
        self.sends_at_once(1, 3, 1, Body::Heartbeat(next));
    }

    /// Node 2 answers a round of node 1 in the step that received it.
    fn answers_round_in_step(&mut self, round: u64) {
        let (verified, matched, durable) = (Index(1), Index(1), Index(1));
        let ready = Readiness::default();
        let reply = Body::HeartbeatReply { round, verified, matched, durable, ready };
        self.sends_in_step(2, 1, 1, reply);
    }

    /// Node 4 requests the vote of node 2 in term 2.
    fn requests_vote(&mut self, transfer: bool) {
        if transfer {
            self.sends(1, 4, 1, Body::TimeoutNow);
        }
        self.votes(4, 2, 4);
        let last = id(1, 1);
        self.sends(4, 2, 2, Body::RequestVote { last, transfer });
    }

    /// Node 2 forwards a read to node 1, or, if `is_answered`, node 1 answers it.
    fn answers_forwarded_read(&mut self, ticket: u64, is_answered: bool) {
        let start_id = 7;
        if is_answered {
            let reply = Body::ReadIndexReply { start_id, ticket, index: Index(1) };
            self.sends_in_step(1, 2, 1, reply);
        } else {
            self.sends(2, 1, 1, Body::ReadIndex { start_id, ticket });
        }
    }

    /// Node 3 hears from node 1, and node 1 offers node 2 a snapshot of its first entry.
    fn offers_snapshot(&mut self) {
        self.receives(3, 1, 1, Body::Heartbeat(Heartbeat::new(1, Index::ZERO)));
        self.changes_status(3, |status| status.leader = Some(NodeId(1)));
        self.applies(1, 1);
        self.has_snapshot(1, id(1, 1), 7);
        self.changes_status(1, |status| (status.snapshot, status.base) = (Index(1), Index(1)));
        self.offers_snapshot_again();
    }

    fn offers_snapshot_again(&mut self) {
        let meta = self.snapshot(id(1, 1), 7);
        self.sends_in_step(1, 2, 1, Body::InstallSnapshot { meta });
    }

    /// Node 2, which has only the first of three entries, rejects those after the third, and node 1
    /// continues with the entries after `prev`.
    fn continues_after_rejection(&mut self, prev: u64) {
        self.all_hold(&[1], &[noop(2, 1), noop(3, 1)]);
        let append = |prev| {
            let (prev, entries) = (id(prev, 1), Vec::new().into());
            Body::AppendEntries { prev, entries, committed: Index(1) }
        };
        self.sends_in_step(1, 2, 1, append(3));
        let outcome = AppendOutcome::Rejected { prev: Index(3), hint: id(1, 1) };
        self.receives(1, 2, 1, Body::AppendEntriesReply(outcome));
        self.sends_in_step(1, 2, 1, append(prev));
    }

    /// Node 1 sends entries of term 1 to node 2.
    fn appends(&mut self, first: u64, last: u64) {
        let prev = if first == 1 { EntryId::ZERO } else { id(first - 1, 1) };
        let entries = (first..=last).map(|index| noop(index, 1)).collect();
        let body = Body::AppendEntries { prev, entries, committed: Index(1) };
        self.sends_in_step(1, 2, 1, body);
    }
}

#[test]
fn an_entry_is_sent_again_after_a_reply_to_a_later_round() {
    let mut stage = streaming();
    stage.beats(3, 1);
    stage.answers_round(3);
    stage.appends(2, 3);
    assert_eq!(stage.violation(), None);
}

#[test]
fn an_entry_is_sent_again_after_a_rejection() {
    let mut stage = streaming();
    let hint = id(1, 1);
    let outcome = AppendOutcome::Rejected { prev: Index(2), hint };
    stage.sends(2, 1, 1, Body::AppendEntriesReply(outcome));
    stage.appends(2, 3);
    assert_eq!(stage.violation(), None);
}

#[test]
fn a_late_message_may_carry_an_entry_again() {
    let mut stage = streaming();
    let body =
        Body::AppendEntries { prev: id(1, 1), entries: [noop(2, 1)].into(), committed: Index(1) };
    stage.sends(1, 2, 1, body);
    assert_eq!(stage.violation(), None);
}

#[test]
fn a_leader_forgets_a_peer_that_starts_anew() {
    let mut stage = streaming();
    stage.crashes(2);
    stage.starts(2);
    stage.counts_as_matched(1, 2, 0);
    assert_eq!(stage.violation(), None);
}

/// Node 2 has not heard of term 3 when its disk completes a write of term 1. The leader of term 2
/// may have replaced the entry on node 1.
#[test]
fn an_acknowledgement_of_an_earlier_term_promises_nothing_in_a_later_one() {
    let mut stage = led();
    stage.all_hold(&[1, 2], &[noop(2, 1)]);
    stage.wins(1, 3, &[3, 4]);
    stage.sends(1, 2, 3, Body::Heartbeat(Heartbeat::new(1, Index(1))));
    stage.acknowledges(2, 1, 1, 2);
    stage.sends(1, 2, 3, Body::Heartbeat(Heartbeat::new(2, Index(1))));
    stage.enters(2, 3);
    let (round, verified, matched, durable) = (2, Index(1), Index(1), Index(1));
    let ready = Readiness::default();
    stage.sends(2, 1, 3, Body::HeartbeatReply { round, verified, matched, durable, ready });
    assert_eq!(stage.violation(), None);
}

#[test]
fn rounds_after_the_first_commit_are_relied_on() {
    let mut stage = Stage::new();
    stage.wins(1, 1, &[2, 3]);
    stage.beats(1, 0);
    stage.all_hold(&[1, 2, 3], &[noop(1, 1)]);
    stage.commits(1, 1);
    let begun = Body::Heartbeat(Heartbeat::new(2, Index(1)));
    stage.sends(1, 2, 1, begun);
    stage.beats(3, 1);
    assert_eq!(stage.violation(), None);
}

#[test]
fn a_round_follows_a_confirmed_one_at_once() {
    let mut stage = led();
    for round in 1..=40 {
        let heartbeat = Heartbeat { confirmed: round - 1, ..Heartbeat::new(round, Index(1)) };
        stage.sends_in_step(1, 2, 1, Body::Heartbeat(heartbeat));
        [2, 3].into_iter().for_each(|node| stage.replies_to_round(node, round));
    }
    assert_eq!(stage.violation(), None);
}

#[test]
fn rounds_that_waited_for_the_disk_leave_together() {
    let mut stage = led();
    stage.steps(1);
    for round in 1..=40 {
        stage.sends(1, 2, 1, Body::Heartbeat(Heartbeat::new(round, Index(1))));
    }
    assert_eq!(stage.violation(), None);
}

#[test]
fn a_read_is_answered_after_a_later_round() {
    let mut stage = led();
    stage.applies(1, 1);
    stage.beats(1, 0);
    let op = stage.reads();
    stage.answers_forwarded_read(3, false);
    stage.beats(2, 0);
    [2, 3].into_iter().for_each(|node| stage.replies_to_round(node, 2));
    stage.answers_forwarded_read(3, true);
    stage.serves(op, 1, 1);
    assert_eq!(stage.violation(), None);
}

#[test]
fn a_vote_lease_ends_by_itself_or_by_a_transfer() {
    let mut stage = leased();
    stage.grants_vote_lease();
    let mut transferred = stage.clone();
    stage.requests_vote(false);
    stage.advances_time(Duration::from_millis(300));
    stage.enters(2, 2);
    assert_eq!(stage.violation(), None);
    transferred.requests_vote(true);
    transferred.enters(2, 2);
    assert_eq!(transferred.violation(), None);
}

#[test]
fn a_former_leader_votes_once_its_read_leases_have_ended() {
    let mut stage = leased();
    stage.grants_read_lease(Duration::from_millis(200));
    stage.advances_time(Duration::from_millis(200));
    stage.enters(1, 2);
    assert_eq!(stage.violation(), None);
}

#[test]
fn another_node_leads_after_a_transfer() {
    let mut stage = led();
    stage.stabilizes(&[1, 2, 3]);
    stage.sends(1, 2, 1, Body::TimeoutNow);
    stage.wins(2, 2, &[1, 3]);
    stage.advances_time(Duration::from_secs(5));
    stage.steps(3);
    assert_eq!(stage.violation(), None);
}

#[test]
fn a_leader_answers_a_rejection_and_repeats_a_lost_offer() {
    let mut stage = led();
    stage.beats(1, 0);
    stage.offers_snapshot();
    stage.beats(2, 0);
    let (verified, matched, durable) = (Index::ZERO, Index::ZERO, Index(1));
    let (round, ready) = (2, Readiness::default());
    let reply = Body::HeartbeatReply { round, verified, matched, durable, ready };
    stage.sends(2, 1, 1, reply);
    stage.offers_snapshot_again();
    assert_eq!(stage.violation(), None);
    let mut stage = led();
    stage.continues_after_rejection(1);
    assert_eq!(stage.violation(), None);
}

crate::forgeries! {
    S40 a_round_before_the_first_commit_is_relied_on
    "n1 leads term t1 and relies on its heartbeat round 1 in round 2, but had committed no entry \
     of its term when that round began"
    |stage| {
        stage.wins(1, 1, &[2, 3]);
        stage.beats(1, 0);
        stage.all_hold(&[1, 2, 3], &[noop(1, 1)]);
        stage.commits(1, 1);
        stage.beats(2, 1);
    }

    S40 a_round_is_echoed_before_the_first_commit
    "n1 leads term t1 and relies on its heartbeat round 1 in round 2, but had committed no entry \
     of its term when that round began"
    |stage| {
        stage.wins(1, 1, &[2, 3]);
        stage.beats(1, 0);
        let heartbeat = Heartbeat { echo: 1, ..Heartbeat::new(2, Index::ZERO) };
        stage.sends(1, 2, 1, Body::Heartbeat(heartbeat));
    }

    S40 a_read_lease_is_granted_without_a_confirmed_round on led
    "n1 leads term t1 and grants n2 a read lease of 100ms in round 1, but relies on no confirmed \
     round"
    |stage| {
        let read_lease = Duration::from_millis(100);
        let heartbeat = Heartbeat { read_lease, ..Heartbeat::new(1, Index(1)) };
        stage.sends(1, 2, 1, Body::Heartbeat(heartbeat));
    }

    S41 an_entry_is_sent_twice on streaming
    "n1 leads term t1 and sends entry 2 to n2 again: it had sent all entries before 4, the last \
     ones in round 2, and n2 has answered only round 1"
    |stage| stage.appends(2, 2)

    S41 a_peer_is_probed_without_a_reply_to_a_later_round on streaming
    "n1 leads term t1 and sends n2 an append without entries and without a new commit index: its \
     previous append is of round 2, and n2 has answered only round 1"
    |stage| {
        let (prev, committed) = (id(3, 1), Index(1));
        let body = Body::AppendEntries { prev, entries: [].into(), committed };
        stage.sends_in_step(1, 2, 1, body);
    }

    S42 a_peers_disk_has_less_than_the_peer_acknowledged on streaming
    "n2 reports to n1 in round 2 of term t1 that its log is durable up to index 0, but had \
     acknowledged index 1 before that round"
    |stage| {
        let (round, verified, matched, durable) = (2, Index(1), Index(0), Index(0));
        let ready = Readiness::default();
        stage.sends(2, 1, 1, Body::HeartbeatReply { round, verified, matched, durable, ready });
    }

    S42 a_leader_forgets_what_a_peer_acknowledged on streaming
    "n1 leads term t1 and counts n2's log as matched up to index 0, but counted index 1 before"
    |stage| stage.counts_as_matched(1, 2, 0)

    S45 a_node_acknowledges_in_an_earlier_term on led
    "n2 acknowledges index 1 in term t1, but is in term t2"
    |stage| {
        stage.enters(2, 2);
        let (node, term, matched) = (NodeId(2), Term(1), Index(1));
        stage.observes(Observation::Acknowledged { node, term, matched });
    }

    S46 a_leader_sends_round_after_round on led
    "n1 leads term t1 and begins round 34 100µs after round 33, which is not confirmed, but the \
     heartbeat interval is 50ms; the 32 rounds before it also began too early"
    |stage| {
        for round in 1..=34 {
            let heartbeat = Heartbeat::new(round, Index(1));
            stage.sends_in_step(1, 2, 1, Body::Heartbeat(heartbeat));
        }
    }

    S47 a_snapshot_is_offered_to_a_peer_that_has_all_entries on led
    "n1 leads term t1 and offers n2 a snapshot, but n2's log matches up to index 1, and the \
     leader's log has all entries after index 1"
    |stage| {
        stage.applies(1, 1);
        stage.has_snapshot(1, id(1, 1), 7);
        stage.changes_status(1, |status| (status.snapshot, status.base) = (Index(1), Index(1)));
        stage.acknowledges(2, 1, 1, 1);
        stage.counts_as_matched(1, 2, 1);
        let meta = stage.snapshot(id(1, 1), 7);
        stage.sends_in_step(1, 2, 1, Body::InstallSnapshot { meta });
    }

    S48 a_leader_relies_on_a_round_without_a_quorum on led
    "n1 leads term t1 and relies on its heartbeat round 1, but that round is confirmed only by \
     n1, n2, which is not a quorum of {n1 n2 n3 n4 n5}"
    |stage| {
        stage.sends_in_step(1, 2, 1, Body::Heartbeat(Heartbeat::new(1, Index(1))));
        stage.answers_round(1);
        let heartbeat = Heartbeat { confirmed: 1, ..Heartbeat::new(2, Index(1)) };
        stage.sends_in_step(1, 2, 1, Body::Heartbeat(heartbeat));
    }

    S51 a_node_acknowledges_what_its_leader_did_not_send on streaming
    "n2 acknowledges index 4 to n1 in term t1, but n1 has sent it only the entries up to index 3 \
     in that term"
    |stage| {
        stage.all_hold(&[1], &[noop(4, 1)]);
        stage.all_hold(&[2], &[noop(2, 1), noop(3, 1), noop(4, 1)]);
        stage.acknowledges(2, 1, 1, 4);
    }

    S54 a_leader_answers_a_read_after_an_earlier_round on led
    "n1 leads term t1 and answers a read that was invoked after its heartbeat round 1, but a later \
     round is confirmed only by n1, which is not a quorum of {n1 n2 n3 n4 n5}"
    |stage| {
        stage.applies(1, 1);
        stage.beats(1, 0);
        let op = stage.reads();
        [2, 3].into_iter().for_each(|node| stage.replies_to_round(node, 1));
        stage.serves(op, 1, 1);
    }

    S54 a_leader_answers_a_forwarded_read_after_an_earlier_round on led
    "n1 leads term t1 and answers a read that n2 forwarded after heartbeat round 1, but a later \
     round is confirmed only by n1, which is not a quorum of {n1 n2 n3 n4 n5}"
    |stage| {
        stage.beats(1, 0);
        stage.answers_forwarded_read(3, false);
        [2, 3].into_iter().for_each(|node| stage.replies_to_round(node, 1));
        stage.answers_forwarded_read(3, true);
    }

    S55 a_vote_lease_ends_for_a_vote_request on leased
    "n2 enters term t2 for a vote request, but its vote lease lasts until 1.304099 s at least"
    |stage| {
        stage.grants_vote_lease();
        stage.requests_vote(false);
        stage.changes_status(2, |status| status.term = Term(2));
    }

    S55 a_node_campaigns_in_spite_of_its_vote_lease on leased
    "n2 enters term t2 to campaign, but its vote lease lasts until 1.304099 s at least"
    |stage| {
        stage.grants_vote_lease();
        stage.changes_status(2, |status| {
            (status.term, status.vote) = (Term(2), Some(NodeId(2)));
            status.role = RoleName::Candidate;
        });
    }

    S55 a_vote_lease_ends_early_after_a_clock_error on leased
    "n2 enters term t2 for a vote request, but its vote lease lasts until 1.304099 s at least; the \
     clock of n2 exceeded the drift bound of the leases at 1.004200 s, so leases may not hold"
    |stage| {
        stage.grants_vote_lease();
        stage.observes(Observation::ClockBoundExceeded { node: NodeId(2) });
        stage.requests_vote(false);
        stage.changes_status(2, |status| status.term = Term(2));
    }

    S55 a_former_leader_votes_before_its_read_leases_end on leased
    "n1 votes for n4 in term t2, but a read lease that it granted as a leader lasts for another \
     199.899ms at least"
    |stage| {
        stage.grants_read_lease(Duration::from_millis(200));
        stage.changes_status(1, |status| {
            (status.term, status.vote) = (Term(2), Some(NodeId(4)));
            (status.role, status.leader) = (RoleName::Follower, None);
        });
    }

    S55 a_former_leader_votes_before_a_read_lease_ends_by_a_slow_clock on drifting
    "n1 votes for n4 in term t2, but a read lease that it granted as a leader lasts for another \
     49.899ms at least"
    |stage| {
        stage.grants_read_lease(Duration::from_millis(200));
        stage.advances_time(Duration::from_millis(250));
        stage.changes_status(1, |status| {
            (status.term, status.vote) = (Term(2), Some(NodeId(4)));
            (status.role, status.leader) = (RoleName::Follower, None);
        });
    }

    S78 a_node_asks_for_a_read_lease_in_the_term_of_its_start on leased
    "n2 asks n1 for a read lease in term t1, but started, or became uncertain or certain, in term \
     t1"
    |stage| {
        stage.crashes(2);
        stage.starts(2);
        let (round, verified, matched, durable) = (1, Index(1), Index(1), Index(1));
        let ready = Readiness { wants_read_lease: true, ..Readiness::default() };
        let reply = Body::HeartbeatReply { round, verified, matched, durable, ready };
        stage.sends_in_step(2, 1, 1, reply);
    }

    S47 a_snapshot_is_offered_again_without_a_reply on led
    "n1 leads term t1 and offers n2 a snapshot again: the last offer followed round 1, and n2 has \
     answered only round 0"
    |stage| {
        stage.beats(1, 0);
        stage.offers_snapshot();
        stage.offers_snapshot_again();
    }

    S81 a_leader_goes_back_by_one_entry_for_each_rejection on led
    "n1 leads term t1 and continues with the entries after 2@t1, although n2 rejected the last \
     ones with a hint, so that the logs may match up to entry 1@t1"
    |stage| stage.continues_after_rejection(2)

    S85 a_leader_sends_heartbeats_to_one_peer_only on led
    "n1 leads term t1 and has sent the last 4 rounds to other nodes, but not to n3, which is a \
     member or was just removed"
    |stage| {
        stage.receives(3, 1, 1, Body::Heartbeat(Heartbeat::new(1, Index::ZERO)));
        stage.changes_status(3, |status| status.leader = Some(NodeId(1)));
        for round in 1..=6 {
            let heartbeat = Heartbeat::new(round, Index(1));
            stage.sends_in_step(1, 2, 1, Body::Heartbeat(heartbeat));
        }
    }

    L7 a_round_is_not_confirmed on led
    "n1 leads term t1 of an idle cluster and began round 2 at 1.004100 s, but regards only round 0 \
     as confirmed after 160ms"
    |stage| {
        stage.stabilizes(&[1, 2, 3]);
        stage.idles();
        stage.sends(1, 2, 1, Body::Heartbeat(Heartbeat::new(2, Index(1))));
        stage.advances_time(Duration::from_millis(200));
        stage.sends(1, 2, 1, Body::Heartbeat(Heartbeat::new(3, Index(1))));
    }

    L10 no_node_leads_after_a_transfer on led
    "no core node leads 9.76s after the leader of term t1 asked another node to campaign at \
     1.004000 s: n1  follower       t1   1/1/1/0, disk up to 1@t1; n2  follower       t1   \
     1/1/0/0, disk up to 1@t1; n3  follower       t1   1/1/0/0, disk up to 1@t1"
    |stage| {
        stage.stabilizes(&[1, 2, 3]);
        stage.sends(1, 2, 1, Body::TimeoutNow);
        stage.changes_status(1, |status| {
            (status.role, status.leader) = (RoleName::Follower, None);
        });
        stage.advances_time(Duration::from_secs(60));
        stage.steps(3);
    }
}
