//! raft-rs 0.7 (`raft` on crates.io), driven by the loop of its documentation: send messages,
//! install the snapshot, apply committed entries, write entries and hard state, sync the disk, and
//! send the messages that wait for the sync.

use raft::eraftpb::{ConfState, Entry as RaftEntry, HardState, Message, MessageType, Snapshot};
use raft::storage::GetEntriesContext;
use raft::util::limit_size;
use raft::{
    Config, Error, ProgressState, RaftState, RawNode, SnapshotStatus, StateRole, Storage,
    StorageError,
};
use slog::{Discard, Logger, o};

use crate::disk::{self, Bytes, Disk, Entry, Write};
use crate::guest::{Effects, Guest, Member, NodeId, ReadReply, Statement, Status};

/// A node of raft-rs.
pub struct RaftRs {
    node: RawNode<Log>,
    member: Member,
    ticks: u32,
    applied: u64,
    /// A snapshot of the state machine that is not on the disk yet.
    compacted: Option<disk::Snapshot>,
    /// The reads that wait until the node has applied their read index.
    reads: Vec<(u64, u64)>,
    /// The term and the role of the last drawn election timeout, and the number of draws.
    drawn: (u64, StateRole, u64),
}

/// The log as raft-rs reads it.
struct Log {
    disk: Disk,
    voters: ConfState,
}

impl Guest for RaftRs {
    type Message = Message;

    fn start(member: &Member, disk: &Disk) -> RaftRs {
        let (least, most) = member.election_ticks;
        let config = Config {
            id: member.id.0,
            election_tick: least as usize,
            min_election_tick: least as usize,
            max_election_tick: most as usize + 1,
            heartbeat_tick: member.heartbeat_ticks as usize,
            applied: disk.base(),
            max_size_per_msg: 1024,
            max_inflight_msgs: 16,
            pre_vote: member.pre_vote,
            check_quorum: member.check_quorum,
            ..Config::default()
        };
        let ids: Vec<u64> = member.nodes.iter().map(|node| node.0).collect();
        let log = Log { disk: disk.clone(), voters: ConfState::from((ids, vec![])) };
        let logger = Logger::root(Discard, o!());
        let node = RawNode::new(&config, log, &logger).expect("a valid configuration");
        RaftRs {
            node,
            member: member.clone(),
            ticks: 0,
            applied: 0,
            compacted: None,
            reads: Vec::new(),
            drawn: (u64::MAX, StateRole::Follower, 0),
        }
    }

    fn tick(&mut self) {
        self.node.tick();
        self.ticks += 1;
        if self.ticks.is_multiple_of(self.member.election_ticks.1) {
            self.report_snapshots();
        }
    }

    fn receive(&mut self, _: NodeId, message: Message) {
        // An error says that the message is not for this node, or too old.
        let _ = self.node.step(message);
    }

    fn propose(&mut self, command: &Bytes) -> bool {
        // A follower would forward the command, and the network may duplicate what it forwards.
        self.status().leads && self.node.propose(Vec::new(), command.to_vec()).is_ok()
    }

    fn take_effects(&mut self, effects: &mut Effects<Message>) {
        let disk = &self.node.store().disk;
        let base = disk.base();
        if self.applied < base
            && let Some(snapshot) = disk.snapshot.clone()
        {
            self.restore(snapshot, effects);
        }
        if let Some(snapshot) = self.compacted.take_if(|snapshot| snapshot.index > base) {
            self.write(Write::Compact(snapshot), effects);
            effects.sync();
        }
        while self.node.has_ready() {
            self.handle_ready(effects);
        }
        let applied = self.applied;
        let answered = self.reads.extract_if(.., |(index, _)| *index <= applied);
        answered.for_each(|(_, read)| effects.answer(read));
        self.draw_timeout();
    }

    fn status(&self) -> Status {
        let raft = &self.node.raft;
        Status { term: raft.term, leads: raft.state == StateRole::Leader }
    }

    fn read(&mut self, read: u64) -> ReadReply {
        self.node.read_index(read.to_le_bytes().to_vec());
        ReadReply::Accepted
    }

    fn compact(&mut self, snapshot: disk::Snapshot) {
        self.compacted = Some(snapshot);
    }

    fn statement(from: NodeId, to: NodeId, message: &Message) -> Statement {
        let term = Some(message.term).filter(|term| *term > 0);
        let stated = Statement { term, ..Statement::default() };
        match message.get_msg_type() {
            // The terms of these messages are those of an election that may not take place.
            MessageType::MsgRequestPreVote | MessageType::MsgRequestPreVoteResponse => {
                Statement::default()
            }
            MessageType::MsgRequestVote => Statement { vote: Some(from), ..stated },
            MessageType::MsgRequestVoteResponse if !message.reject => {
                Statement { vote: Some(to), ..stated }
            }
            MessageType::MsgAppendResponse if !message.reject => {
                Statement { log: Some(message.index), ..stated }
            }
            _ => stated,
        }
    }
}

impl RaftRs {
    fn write(&mut self, write: Write, effects: &mut Effects<Message>) {
        self.node.mut_store().disk.write(write.clone());
        effects.write(write);
    }

    fn apply(&mut self, entries: Vec<RaftEntry>, effects: &mut Effects<Message>) {
        for entry in entries {
            self.applied = entry.index;
            effects.apply(entry.index, Entry { term: entry.term, command: entry.data[..].into() });
        }
    }

    fn set_hard_state(&mut self, state: &HardState, effects: &mut Effects<Message>) {
        let disk = &self.node.store().disk;
        let vote = Some(NodeId(state.vote)).filter(|vote| vote.0 > 0);
        if (disk.term, disk.vote) != (state.term, vote) {
            self.write(Write::Term(state.term, vote), effects);
        }
        self.write(Write::Commit(state.commit), effects);
    }

    /// Handles one `Ready`, in the order that the documentation of raft-rs gives.
    fn handle_ready(&mut self, effects: &mut Effects<Message>) {
        let mut ready = self.node.ready();
        send(ready.take_messages(), effects);
        for read in ready.take_read_states() {
            let number = read.request_ctx.try_into().expect("the number of a read");
            self.reads.push((read.index, u64::from_le_bytes(number)));
        }
        if !ready.snapshot().is_empty() {
            let snapshot = of_raft(ready.snapshot());
            self.write(Write::Install(snapshot.clone()), effects);
            self.restore(snapshot, effects);
        }
        self.apply(ready.take_committed_entries(), effects);
        if let Some(first) = ready.entries().first() {
            let after = first.index - 1;
            let entries = ready
                .entries()
                .iter()
                .map(|entry| Entry { term: entry.term, command: entry.data[..].into() });
            let entries = entries.collect();
            self.write(Write::Append(after, entries), effects);
        }
        if let Some(state) = ready.hs() {
            self.set_hard_state(&state.clone(), effects);
        }
        if ready.must_sync() {
            effects.sync();
        }
        send(ready.take_persisted_messages(), effects);
        let mut light = self.node.advance(ready);
        if let Some(commit) = light.commit_index() {
            self.write(Write::Commit(commit), effects);
        }
        send(light.take_messages(), effects);
        self.apply(light.take_committed_entries(), effects);
        self.node.advance_apply();
    }

    fn restore(&mut self, snapshot: disk::Snapshot, effects: &mut Effects<Message>) {
        self.applied = snapshot.index;
        effects.restore(snapshot);
    }

    /// Once per election timeout, reports every snapshot that is still under way as lost, because
    /// raft-rs leaves that to the driver.
    fn report_snapshots(&mut self) {
        let peers = self.node.raft.prs().iter();
        let waits = peers.filter(|(_, peer)| peer.state == ProgressState::Snapshot);
        let waits: Vec<u64> = waits.map(|(id, _)| *id).collect();
        waits.into_iter().for_each(|id| self.node.report_snapshot(id, SnapshotStatus::Failure));
    }

    /// Replaces an election timeout that raft-rs has drawn with one that the seed decides.
    fn draw_timeout(&mut self) {
        let raft = &mut self.node.raft;
        if (raft.term, raft.state) != (self.drawn.0, self.drawn.1) {
            self.drawn = (raft.term, raft.state, self.drawn.2 + 1);
            let timeout = self.member.election_timeout(self.drawn.2);
            raft.set_randomized_election_timeout(timeout as usize);
        }
    }
}

fn send(messages: Vec<Message>, effects: &mut Effects<Message>) {
    messages.into_iter().for_each(|message| effects.send(NodeId(message.to), message));
}

/// The snapshot of a message.
fn of_raft(snapshot: &Snapshot) -> disk::Snapshot {
    let meta = snapshot.get_metadata();
    let state = snapshot.get_data().to_vec().into();
    disk::Snapshot { index: meta.index, term: meta.term, state }
}

impl Storage for Log {
    fn initial_state(&self) -> raft::Result<RaftState> {
        let state = HardState {
            term: self.disk.term,
            vote: self.disk.vote.map_or(0, |vote| vote.0),
            commit: self.disk.commit.clamp(self.disk.base(), self.disk.last()),
            ..HardState::default()
        };
        Ok(RaftState::new(state, self.voters.clone()))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _: GetEntriesContext,
    ) -> raft::Result<Vec<RaftEntry>> {
        if low <= self.disk.base() {
            return Err(Error::Store(StorageError::Compacted));
        }
        let entry = |index| {
            let Entry { term, command } = self.disk.entry(index).expect("an entry of the log");
            RaftEntry { index, term: *term, data: command.to_vec().into(), ..Default::default() }
        };
        let mut entries: Vec<RaftEntry> = (low..high).map(entry).collect();
        limit_size(&mut entries, max_size.into());
        Ok(entries)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        let error = match index < self.disk.base() {
            true => StorageError::Compacted,
            false => StorageError::Unavailable,
        };
        self.disk.term_at(index).ok_or(Error::Store(error))
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.disk.base() + 1)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.disk.last())
    }

    fn snapshot(&self, request_index: u64, _: u64) -> raft::Result<Snapshot> {
        let snapshot = self.disk.snapshot.as_ref().filter(|it| it.index >= request_index);
        let unavailable = Error::Store(StorageError::SnapshotTemporarilyUnavailable);
        let snapshot = snapshot.ok_or(unavailable)?;
        let mut found = Snapshot::default();
        found.set_data(snapshot.state.to_vec().into());
        let meta = found.mut_metadata();
        (meta.index, meta.term) = (snapshot.index, snapshot.term);
        meta.set_conf_state(self.voters.clone());
        Ok(found)
    }
}
