//! omnipaxos 0.2.4. It writes inside each step, so the writes come before the messages of a step.

use std::cell::RefCell;
use std::mem;
use std::rc::Rc;

use omnipaxos::ballot_leader_election::Ballot;
use omnipaxos::messages::Message;
use omnipaxos::messages::sequence_paxos::PaxosMsg;
use omnipaxos::storage::StorageResult;
use omnipaxos::storage::{Entry as Log, Snapshot as State, StopSign, Storage, StorageOp};
use omnipaxos::util::LogEntry;
use omnipaxos::{ClusterConfig, OmniPaxosConfig, ServerConfig};
use quorate_sim::faults::Fault;

use crate::disk::{Bytes, Disk, Entry, Snapshot, Write};
use crate::guest::{Effects, Guest, Member, NodeId, Statement, Status};
use crate::machine::Machine;

/// A node of omnipaxos, which replaces its log by snapshots or keeps all of it.
pub struct OmniPaxos<const SNAPSHOTS: bool> {
    paxos: omnipaxos::OmniPaxos<Command<SNAPSHOTS>, Shared<SNAPSHOTS>>,
    shared: Shared<SNAPSHOTS>,
    applied: usize,
}

/// The content of a log entry.
#[derive(Clone, Debug)]
pub struct Command<const SNAPSHOTS: bool>(Bytes);

impl<const SNAPSHOTS: bool> Log for Command<SNAPSHOTS> {
    type Snapshot = Registers;
}

/// The content of a snapshot: the state machine after the first commands of the log.
#[derive(Clone, Debug)]
pub struct Registers(Machine);

impl<const SNAPSHOTS: bool> State<Command<SNAPSHOTS>> for Registers {
    fn create(entries: &[Command<SNAPSHOTS>]) -> Registers {
        let mut machine = Machine::default();
        entries.iter().for_each(|Command(command)| machine.execute(command));
        Registers(machine)
    }

    fn merge(&mut self, delta: Registers) {
        self.0.merge(&delta.0);
    }

    fn use_snapshots() -> bool {
        SNAPSHOTS
    }
}

/// The disk as omnipaxos sees it, and the writes that were not passed to the cluster yet.
#[derive(Clone, Default)]
struct Shared<const SNAPSHOTS: bool>(Rc<RefCell<Journal>>);

#[derive(Default)]
struct Journal {
    disk: Disk,
    writes: Vec<Write>,
    /// The index up to which the snapshot of the next operation replaces the log.
    compacted: Option<u64>,
}

/// The name of the record with the round of the last accepted entry.
const ACCEPTED_ROUND: &str = "accepted round";

impl<const SNAPSHOTS: bool> Guest for OmniPaxos<SNAPSHOTS> {
    type Message = Message<Command<SNAPSHOTS>>;

    /// omnipaxos expects sessions that lose messages only when they break, and keep their order.
    const EXCLUDED: &'static [Fault] =
        &[Fault::Loss, Fault::Duplicate, Fault::Delay, Fault::Reorder];

    const SESSIONS: bool = true;
    const NODES_MIN: u8 = 2;

    fn start(member: &Member, disk: &Disk) -> Self {
        let nodes = member.nodes.iter().map(|node| node.0).collect();
        let cluster_config = ClusterConfig { configuration_id: 1, nodes, flexible_quorum: None };
        let server_config = ServerConfig {
            pid: member.id.0,
            election_tick_timeout: u64::from(member.election_ticks.0),
            resend_message_tick_timeout: u64::from(member.election_ticks.1) * 2,
            ..ServerConfig::default()
        };
        let shared = Shared::default();
        shared.0.borrow_mut().disk = disk.clone();
        let config = OmniPaxosConfig { cluster_config, server_config };
        let paxos = config.build(shared.clone()).expect("a valid configuration");
        OmniPaxos { paxos, shared, applied: 0 }
    }

    fn tick(&mut self) {
        self.paxos.tick();
    }

    fn receive(&mut self, _: NodeId, message: Message<Command<SNAPSHOTS>>) {
        self.paxos.handle_incoming(message);
    }

    fn propose(&mut self, command: &Bytes) -> bool {
        self.paxos.append(Command(command.clone())).is_ok()
    }

    fn take_effects(&mut self, effects: &mut Effects<Message<Command<SNAPSHOTS>>>) {
        let mut messages = Vec::new();
        self.paxos.take_outgoing_messages(&mut messages);
        self.shared.0.borrow_mut().writes.drain(..).for_each(|write| effects.write(write));
        effects.sync();
        for message in messages {
            effects.send(NodeId(message.get_receiver()), message);
        }
        for entry in self.paxos.read_decided_suffix(self.applied).unwrap_or_default() {
            match entry {
                LogEntry::Decided(Command(command)) => {
                    self.applied += 1;
                    effects.apply(self.applied as u64, Entry { term: 0, command });
                }
                LogEntry::Snapshotted(snapshot) => {
                    self.applied = snapshot.trimmed_idx;
                    let state = snapshot.snapshot.0.encode();
                    effects.restore(Snapshot { index: self.applied as u64, term: 0, state });
                }
                entry => panic!("{entry:?} among the decided entries"),
            }
        }
    }

    fn status(&self) -> Status {
        let leads = self.paxos.get_current_leader() == Some((self.paxos.get_pid(), true));
        Status { term: term_of(self.paxos.get_promise()), leads }
    }

    fn compact(&mut self, snapshot: Snapshot) {
        if SNAPSHOTS {
            // omnipaxos declines a snapshot of entries that it has not decided, or has compacted
            // already.
            let _ = self.paxos.snapshot(Some(snapshot.index as usize), true);
        }
    }

    fn reconnected(&mut self, peer: NodeId) {
        self.paxos.reconnected(peer.0);
    }

    fn statement(_: NodeId, _: NodeId, message: &Message<Command<SNAPSHOTS>>) -> Statement {
        let Message::SequencePaxos(message) = message else { return Statement::default() };
        let (round, log) = match &message.msg {
            PaxosMsg::Promise(promise) => (promise.n, None),
            PaxosMsg::Accepted(accepted) => (accepted.n, Some(accepted.accepted_idx as u64)),
            _ => return Statement::default(),
        };
        Statement { term: Some(term_of(round)), log, vote: None }
    }
}

/// A ballot as one number, in the order of ballots.
fn term_of(ballot: Ballot) -> u64 {
    u64::from(ballot.n) << 16 | u64::from(ballot.priority) << 8 | ballot.pid
}

fn ballot_of(term: u64) -> Option<Ballot> {
    let ballot = Ballot::with(1, (term >> 16) as u32, (term >> 8) as u32 & 0xff, term & 0xff);
    (term > 0).then_some(ballot)
}

impl<const S: bool> Shared<S> {
    fn write(&self, write: Write) -> StorageResult<()> {
        let mut journal = self.0.borrow_mut();
        journal.disk.write(write.clone());
        journal.writes.push(write);
        Ok(())
    }

    fn read<T>(&self, read: impl FnOnce(&Journal) -> T) -> StorageResult<T> {
        Ok(read(&self.0.borrow()))
    }

    /// The entries in a range of places; none if the log does not have all of them.
    fn entries(&self, from: usize, to: usize) -> StorageResult<Vec<Command<S>>> {
        let disk = &self.0.borrow().disk;
        let entry = |place| Some(Command(disk.entry(place as u64 + 1)?.command.clone()));
        Ok((from..to).map(entry).collect::<Option<_>>().unwrap_or_default())
    }
}

impl<const S: bool> Storage<Command<S>> for Shared<S> {
    fn write_atomically(&mut self, ops: Vec<StorageOp<Command<S>>>) -> StorageResult<()> {
        let earlier = mem::take(&mut self.0.borrow_mut().writes);
        for op in ops {
            match op {
                StorageOp::AppendEntry(entry) => self.append_entry(entry)?,
                StorageOp::AppendEntries(entries) => self.append_entries(entries)?,
                StorageOp::AppendOnPrefix(from, entries) => self.append_on_prefix(from, entries)?,
                StorageOp::SetPromise(round) => self.set_promise(round)?,
                StorageOp::SetDecidedIndex(index) => self.set_decided_idx(index)?,
                StorageOp::SetAcceptedRound(round) => self.set_accepted_round(round)?,
                StorageOp::SetCompactedIdx(index) => self.set_compacted_idx(index)?,
                StorageOp::Trim(index) => self.trim(index)?,
                StorageOp::SetStopsign(sign) => self.set_stopsign(sign)?,
                StorageOp::SetSnapshot(snapshot) => self.set_snapshot(snapshot)?,
            }
        }
        let mut journal = self.0.borrow_mut();
        let together = mem::replace(&mut journal.writes, earlier);
        journal.writes.push(Write::All(together));
        Ok(())
    }

    fn append_entry(&mut self, entry: Command<S>) -> StorageResult<()> {
        self.append_entries(vec![entry])
    }

    fn append_entries(&mut self, entries: Vec<Command<S>>) -> StorageResult<()> {
        let last = self.read(|journal| journal.disk.last())?;
        self.append_on_prefix(last as usize, entries)
    }

    fn append_on_prefix(&mut self, from: usize, entries: Vec<Command<S>>) -> StorageResult<()> {
        let entries = entries.into_iter().map(|Command(command)| Entry { term: 0, command });
        self.write(Write::Append(from as u64, entries.collect()))
    }

    fn set_promise(&mut self, round: Ballot) -> StorageResult<()> {
        self.write(Write::Term(term_of(round), None))
    }

    fn set_decided_idx(&mut self, index: usize) -> StorageResult<()> {
        self.write(Write::Commit(index as u64))
    }

    fn get_decided_idx(&self) -> StorageResult<usize> {
        self.read(|journal| journal.disk.commit as usize)
    }

    fn set_accepted_round(&mut self, round: Ballot) -> StorageResult<()> {
        self.write(Write::Record(ACCEPTED_ROUND, term_of(round).to_le_bytes().to_vec()))
    }

    fn get_accepted_round(&self) -> StorageResult<Option<Ballot>> {
        self.read(|journal| {
            let bytes = journal.disk.records.get(ACCEPTED_ROUND)?;
            ballot_of(u64::from_le_bytes(*bytes.first_chunk()?))
        })
    }

    fn get_entries(&self, from: usize, to: usize) -> StorageResult<Vec<Command<S>>> {
        self.entries(from, to)
    }

    fn get_log_len(&self) -> StorageResult<usize> {
        self.read(|journal| journal.disk.entries.len())
    }

    fn get_suffix(&self, from: usize) -> StorageResult<Vec<Command<S>>> {
        let last = self.read(|journal| journal.disk.last())?;
        self.entries(from, last as usize)
    }

    fn get_promise(&self) -> StorageResult<Option<Ballot>> {
        self.read(|journal| ballot_of(journal.disk.term))
    }

    fn set_stopsign(&mut self, _: Option<StopSign>) -> StorageResult<()> {
        Ok(())
    }

    fn get_stopsign(&self) -> StorageResult<Option<StopSign>> {
        Ok(None)
    }

    fn trim(&mut self, _: usize) -> StorageResult<()> {
        // The disk replaces the log by the snapshot that follows.
        Ok(())
    }

    fn set_compacted_idx(&mut self, index: usize) -> StorageResult<()> {
        self.0.borrow_mut().compacted = Some(index as u64);
        Ok(())
    }

    fn get_compacted_idx(&self) -> StorageResult<usize> {
        self.read(|journal| journal.disk.base() as usize)
    }

    fn set_snapshot(&mut self, snapshot: Option<Registers>) -> StorageResult<()> {
        let index = self.0.borrow_mut().compacted.take();
        let (Some(Registers(machine)), Some(index)) = (snapshot, index) else { return Ok(()) };
        self.write(Write::Compact(Snapshot { index, term: 0, state: machine.encode() }))
    }

    fn get_snapshot(&self) -> StorageResult<Option<Registers>> {
        self.read(|journal| {
            let snapshot = journal.disk.snapshot.as_ref()?;
            Machine::decode(&snapshot.state).map(Registers)
        })
    }
}
