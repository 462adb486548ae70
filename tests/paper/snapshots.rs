//! Snapshots replace the part of the log that they cover (§7).

use quorate::raft::{Action, Input, Raft, RoleName};
use quorate::types::{
    Acknowledge, AppendOutcome, Body, Command, EntryId, Incarnation, Index, Instant, Membership,
    Message, NodeId, SnapshotMeta, Tag, Term,
};

use super::append;
use crate::harness::{ONE, THREE, TWO, entry_id, log, plain, stored, voters};

/// Node 1 of three, whose log has entries of these terms, in term 5 under node 2. Its disk and its
/// state machine complete every action at once.
struct Server(Raft);

impl Server {
    fn start(terms: &[u64]) -> Server {
        let restored = stored(voters(3), 5, None, 0, log(terms));
        Server(Raft::new(plain(ONE), restored, 1, Instant(1)).expect("a server"))
    }

    fn step(&mut self, input: Input) -> Vec<Action> {
        let mut actions = Vec::new();
        let now = Instant(self.0.deadline().0.saturating_sub(1).max(1));
        self.0.step(now, input, &mut actions);
        let mut done = 0;
        while let Some(action) = actions.get(done).cloned() {
            done += 1;
            let finished = match action {
                Action::Persist(write) => Input::Persisted(write.id),
                Action::Apply(entries) => {
                    Input::Applied(entries.last().expect("a batch is not empty").id.index)
                }
                Action::Restore(meta) => Input::Applied(meta.last.index),
                _ => continue,
            };
            self.0.step(now, finished, &mut actions);
        }
        actions
    }

    fn receive(&mut self, from: NodeId, term: u64, body: Body) -> Vec<Action> {
        let message =
            Message { from, incarnation: Incarnation::default(), to: ONE, term: Term(term), body };
        self.step(Input::Message(message))
    }

    /// Commits and applies every entry of the log.
    fn commit_all(&mut self) {
        let last = self.0.status().last;
        self.receive(TWO, 5, append(last, &[], last.index.0));
        assert_eq!(self.0.status().applied, last.index);
    }

    /// Makes node 1 lead term 6 with every entry of its log applied.
    fn lead(&mut self) {
        self.commit_all();
        self.step(Input::Campaign);
        self.receive(TWO, 6, Body::RequestVoteReply { granted: true, committed: Index::ZERO });
        self.acknowledge(TWO);
        assert_eq!(self.0.status().role, RoleName::Leader);
    }

    fn acknowledge(&mut self, peer: NodeId) {
        let matched = self.0.status().last.index;
        let outcome = AppendOutcome::Accepted { matched };
        self.receive(peer, 6, Body::AppendEntriesReply(outcome));
        assert_eq!(self.0.status().applied, matched);
    }

    fn take_snapshot(&mut self, index: u64, base: u64) -> Vec<Action> {
        let term = self.0.log().term_at(Index(index)).expect("the log has the index");
        let meta = snapshot(EntryId::new(term, Index(index)));
        self.step(Input::SnapshotTaken { meta, base: Index(base) })
    }
}

fn snapshot(last: EntryId) -> SnapshotMeta {
    SnapshotMeta::empty(last, Membership::new([ONE, TWO, THREE]))
}

fn install(last: EntryId) -> Body {
    Body::InstallSnapshot { meta: snapshot(last) }
}

fn sent(actions: &[Action]) -> Vec<(NodeId, Body)> {
    let sent = actions.iter().filter_map(|action| match action {
        Action::Send(message) => Some((message.to, message.body.clone())),
        _ => None,
    });
    sent.collect()
}

fn reply(matched: u64) -> (NodeId, Body) {
    (TWO, Body::InstallSnapshotReply { matched: Index(matched) })
}

fn rejected(prev: u64, hint: EntryId) -> Body {
    Body::AppendEntriesReply(AppendOutcome::Rejected { prev: Index(prev), hint })
}

/// §7: "Each server takes snapshots independently, covering just the committed entries in its log."
#[test]
#[should_panic(expected = "contract: a snapshot covers applied entries only")]
fn a_snapshot_covers_committed_entries_only() {
    let mut server = Server::start(&[1, 1, 2]);
    server.take_snapshot(2, 2);
}

/// §7: the last included index and term "are preserved to support the AppendEntries consistency
/// check for the first log entry following the snapshot".
#[test]
fn the_snapshots_end_supports_the_consistency_check() {
    let mut server = Server::start(&[1, 1, 2]);
    server.commit_all();
    server.take_snapshot(3, 3);
    assert_eq!(server.0.log().base(), entry_id(2, 3));
    let wrong = sent(&server.receive(TWO, 5, append(entry_id(3, 3), &[5], 3)));
    assert_eq!(wrong, [(TWO, rejected(3, entry_id(2, 3)))]);
    let right = sent(&server.receive(TWO, 5, append(entry_id(2, 3), &[5], 3)));
    let accepted = AppendOutcome::Accepted { matched: Index(4) };
    assert_eq!(right, [(TWO, Body::AppendEntriesReply(accepted))]);
}

/// §7: "the leader must occasionally send snapshots to followers that lag behind. This happens when
/// the leader has already discarded the next log entry that it needs to send".
#[test]
fn a_snapshot_goes_only_to_a_peer_that_needs_compacted_entries() {
    for (hint, offered) in [(2, true), (3, false), (4, false)] {
        let mut server = Server::start(&[1, 1, 1, 1, 1]);
        server.lead();
        server.take_snapshot(5, 3);
        let body = rejected(5, entry_id(1, hint));
        let sent = sent(&server.receive(THREE, 6, body));
        let snapshots = sent.iter().filter(|(to, body)| {
            *to == THREE && matches!(body, Body::InstallSnapshot { meta } if meta.last.index.0 == 5)
        });
        assert_eq!(snapshots.count() == 1, offered, "the peer's log ends at {hint}: {sent:?}");
        let appends = sent.iter().filter_map(|(_, body)| match body {
            Body::AppendEntries { prev, .. } => Some(prev.index.0),
            _ => None,
        });
        assert_eq!(appends.collect::<Vec<_>>(), if offered { vec![] } else { vec![hint] });
    }
}

/// §7, Figure 13: "Reply immediately if term < currentTerm"; the reply carries the current term.
#[test]
fn a_stale_leaders_snapshot_is_answered_and_not_requested() {
    let mut server = Server::start(&[1]);
    let actions = server.receive(TWO, 4, install(entry_id(3, 9)));
    assert_eq!(sent(&actions), [reply(0)]);
    let requested = actions.iter().any(|action| matches!(action, Action::ReceiveSnapshot { .. }));
    assert!(!requested, "{actions:?}");
}

/// §7, Figure 13: "If existing log entry has same index and term as snapshot's last included entry,
/// retain log entries following it and reply".
#[test]
fn entries_that_follow_a_snapshots_end_are_retained() {
    let mut server = Server::start(&[1, 1, 2, 2]);
    let actions = server.receive(TWO, 5, install(entry_id(1, 2)));
    assert_eq!(sent(&actions), [reply(2)]);
    assert_eq!(server.0.status().last, entry_id(2, 4));
    assert_eq!(server.0.status().applied, Index(2), "entries covered by a snapshot are committed");
}

/// §7, Figure 13: "Discard the entire log"; "Reset state machine using snapshot contents (and load
/// snapshot's cluster configuration)".
#[test]
fn a_log_without_the_snapshots_end_is_discarded_and_the_machine_is_restored() {
    for terms in [&[1_u64, 1][..], &[1, 1, 2, 2, 2, 2]] {
        let mut server = Server::start(terms);
        let mut meta = snapshot(entry_id(4, 5));
        meta.membership = Membership::new([ONE, TWO, THREE, NodeId(4)]);
        server.receive(TWO, 5, Body::InstallSnapshot { meta: meta.clone() });
        let actions = server.step(Input::SnapshotReceived { meta: meta.clone() });
        let installed = actions.iter().find_map(|action| match action {
            Action::Persist(write) => write.install.as_deref().cloned(),
            _ => None,
        });
        assert_eq!(installed, Some(meta.clone()));
        assert!(actions.contains(&Action::Restore(meta.clone())), "{actions:?}");
        assert_eq!(sent(&actions), [reply(5)]);
        let status = server.0.status();
        assert_eq!((status.last, status.base), (entry_id(4, 5), Index(5)));
        assert_eq!((status.committed, status.applied), (Index(5), Index(5)));
        assert_eq!(*server.0.membership(), meta.membership);
    }
}

/// §7: an offer of a snapshot, like any message of the leader, shows that the leader is alive
/// (§5.2).
#[test]
fn an_offered_snapshot_restarts_the_election_timeout() {
    let mut server = Server::start(&[1]);
    server.receive(TWO, 5, append(entry_id(1, 1), &[], 0));
    let before = server.0.deadline();
    server.receive(TWO, 5, install(entry_id(4, 5)));
    assert!(server.0.deadline() > before);
    assert_eq!(server.0.status().leader, Some(TWO));
}

/// §7: a leader with a compacted log continues as before: it commits the entries of a majority.
#[test]
fn a_leader_with_a_compacted_log_commits_entries() {
    let mut server = Server::start(&[1, 1, 1]);
    server.lead();
    server.take_snapshot(4, 4);
    server.step(Input::propose(Tag(1), Acknowledge::Quorum, Command::from("x")));
    server.acknowledge(TWO);
    assert_eq!(server.0.status().committed, Index(5));
}
