//! Three whole nodes, a network that delivers at once, and state machines that err on demand.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quorate::machine::{Frozen, Outcome, Request, StateMachine};
use quorate::raft::{Config, RejectReason, RoleName};
use quorate::replica::{
    Done, Input, Node, Output, Replica, ReplicaConfig, Standing, Verdict, Work, Worker,
};
use quorate::storage::{ClusterId, Completion, Disk, Failure, Identity};
use quorate::types::{
    Acknowledge, Incarnation, Index, Instant, Membership, NodeId, Packet, ReadLevel, Tag,
};
use quorate_sim::disk::SimDisk;

const CLUSTER: ClusterId = ClusterId(7);

/// A number to which commands add, and one that they count, which no reply shows. Once, with the
/// next command, either is off by what `slips` has.
#[derive(Clone, Default)]
pub(crate) struct Tally {
    sum: u64,
    hidden: u64,
    slips: Slips,
}

/// By how much the number, and the hidden one, will be off.
type Slips = Arc<[AtomicU64; 2]>;

impl StateMachine for Tally {
    fn apply(&mut self, _: Index, command: &[u8]) -> Vec<u8> {
        let [errs, rots] = &*self.slips;
        self.sum += command.len() as u64 + errs.swap(0, Ordering::Relaxed);
        self.hidden += 1 + rots.swap(0, Ordering::Relaxed);
        self.sum.to_le_bytes().to_vec()
    }

    fn query(&self, _: &[u8]) -> Vec<u8> {
        self.sum.to_le_bytes().to_vec()
    }

    fn snapshot(&self) -> Box<dyn Read + Send> {
        Box::new(io::Cursor::new([self.sum, self.hidden].map(u64::to_le_bytes).concat()))
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        for number in [&mut self.sum, &mut self.hidden] {
            let mut bytes = [0; 8];
            snapshot.read_exact(&mut bytes)?;
            *number = u64::from_le_bytes(bytes);
        }
        Ok(())
    }
}

/// What users and operators were told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Told {
    Reply(u64),
    Answer(u64),
    Rejected(RejectReason),
    Unknown,
    Judged(Verdict),
    Stopped(Failure),
}

struct Site {
    disk: SimDisk,
    /// None while it is down.
    running: Option<Running>,
    slips: Slips,
    starts: u64,
    /// What its worker has to do and does not, while it stands still.
    stuck: Option<Vec<Work>>,
}

struct Running {
    node: Node,
    worker: Worker<Tally>,
    view: Option<Frozen>,
}

pub(crate) struct Cluster {
    sites: Vec<Site>,
    now: Instant,
    flying: VecDeque<Packet>,
    /// Comparisons that were cut off.
    late: Vec<Packet>,
    /// Who hears nobody and is heard by nobody.
    cut: Vec<u64>,
    tags: u64,
    pub(crate) told: Vec<(u64, Told)>,
    configure: fn(&mut ReplicaConfig),
}

impl Cluster {
    /// Three voters, and node 1 leads them.
    pub(crate) fn new(configure: fn(&mut ReplicaConfig)) -> Cluster {
        let membership = Membership::new([1, 2, 3].map(NodeId));
        let mut cluster = Cluster {
            sites: Vec::new(),
            now: Instant(1),
            flying: VecDeque::new(),
            late: Vec::new(),
            cut: Vec::new(),
            tags: 0,
            told: Vec::new(),
            configure,
        };
        for id in 1..=3 {
            let mut disk = SimDisk::default();
            let incarnation = Incarnation(u128::from(id));
            let identity = Identity { cluster: CLUSTER, node: NodeId(id), incarnation };
            let config = cluster.config(id);
            Replica::<Tally>::create(&mut disk, identity, &membership, &config)
                .expect("it is empty");
            let slips = Slips::default();
            cluster.sites.push(Site { disk, running: None, slips, starts: 0, stuck: None });
            cluster.starts(id);
        }
        cluster.input(1, Input::Campaign);
        assert_eq!(cluster.leader(), Some(1));
        cluster
    }

    fn config(&self, id: u64) -> ReplicaConfig {
        let mut config = ReplicaConfig::new(Config::new(NodeId(id)));
        config.validation_entries = 8;
        (self.configure)(&mut config);
        config
    }

    fn site(&mut self, id: u64) -> &mut Site {
        &mut self.sites[id as usize - 1]
    }

    pub(crate) fn node(&self, id: u64) -> &Node {
        &self.sites[id as usize - 1].running.as_ref().expect("it runs").node
    }

    fn tally(&self, id: u64) -> &Tally {
        self.sites[id as usize - 1].running.as_ref().expect("it runs").worker.machine().user()
    }

    pub(crate) fn sum(&self, id: u64) -> u64 {
        self.tally(id).sum
    }

    pub(crate) fn hidden(&self, id: u64) -> u64 {
        self.tally(id).hidden
    }

    pub(crate) fn standing(&self, id: u64) -> Standing {
        self.node(id).standing()
    }

    pub(crate) fn leader(&self) -> Option<u64> {
        let leads = |id: &u64| {
            let running = self.sites[*id as usize - 1].running.as_ref();
            running.is_some_and(|running| running.node.status().role == RoleName::Leader)
        };
        (1..=3).filter(|id| !self.cut.contains(id)).find(leads)
    }

    pub(crate) fn starts(&mut self, id: u64) {
        let (config, now) = (self.config(id), self.now);
        let site = self.site(id);
        site.starts += 1;
        let machine = Tally { slips: site.slips.clone(), ..Tally::default() };
        let seed = id << 32 | site.starts;
        let replica = Replica::open(&mut site.disk, CLUSTER, machine, config, seed, now);
        let Replica { node, worker } = replica.expect("its disk is whole");
        site.running = Some(Running { node, worker, view: None });
        let mut outputs = Vec::new();
        self.site(id).running.as_mut().expect("it runs").node.start(&mut outputs);
        self.carry_out(id, outputs);
        self.deliver();
    }

    pub(crate) fn crashes(&mut self, id: u64) {
        self.site(id).running = None;
    }

    /// Nobody hears the node, and it hears nobody.
    pub(crate) fn cuts_off(&mut self, id: u64) {
        self.cut.push(id);
    }

    pub(crate) fn heals(&mut self) {
        self.cut.clear();
    }

    /// The node's state machine adds so much too much with the next command.
    pub(crate) fn errs(&mut self, id: u64, by: u64) {
        self.site(id).slips[0].store(by, Ordering::Relaxed);
    }

    /// What no reply shows of the node's state machine is damaged by the next command.
    pub(crate) fn rots(&mut self, id: u64) {
        self.site(id).slips[1].store(1000, Ordering::Relaxed);
    }

    /// The node's worker does nothing from now on.
    pub(crate) fn sticks(&mut self, id: u64) {
        self.site(id).stuck = Some(Vec::new());
    }

    /// What the worker of a node that stands still has to do.
    pub(crate) fn stuck(&self, id: u64) -> &[Work] {
        self.sites[id as usize - 1].stuck.as_deref().unwrap_or_default()
    }

    /// The worker does what it had to do meanwhile, and whatever comes.
    pub(crate) fn goes_on(&mut self, id: u64) {
        let work = self.site(id).stuck.take().unwrap_or_default();
        self.carry_out(id, work.into_iter().map(Output::Work).collect());
        self.deliver();
    }

    /// Comparisons that were cut off arrive after all: those of the node's.
    pub(crate) fn comes_late(&mut self, from: u64) {
        let late = std::mem::take(&mut self.late);
        self.flying.extend(late.into_iter().filter(|packet| packet.from().0 == from));
        self.deliver();
    }

    /// The leader is asked to carry out a command of one byte.
    pub(crate) fn proposes(&mut self) {
        let leader = self.leader().expect("somebody leads");
        self.proposes_at(leader);
    }

    pub(crate) fn proposes_at(&mut self, id: u64) {
        let command = Request::Plain(b"x").encode();
        let tag = self.tag();
        self.input(id, Input::propose(tag, Acknowledge::Default, command));
    }

    /// The node is asked for the sum: what it says at once.
    pub(crate) fn reads(&mut self, id: u64) -> Option<Told> {
        let (tag, before) = (self.tag(), self.told.len());
        self.input(id, Input::Read { tag, level: ReadLevel::Linearizable, query: Vec::new() });
        let mut told = self.told[before..].iter().filter(|(by, _)| *by == id);
        told.find(|(_, told)| matches!(told, Told::Answer(_) | Told::Rejected(_)))
            .map(|(_, told)| told.clone())
    }

    fn tag(&mut self) -> Tag {
        self.tags += 1;
        Tag(self.tags)
    }

    /// Time passes, and everybody does what is due.
    pub(crate) fn passes(&mut self, span: Duration) {
        let until = self.now.after(span);
        loop {
            let deadline = |site: &Site| {
                site.running.as_ref().map_or(Instant::NEVER, |running| running.node.deadline())
            };
            let next = self.sites.iter().map(deadline).min().unwrap_or(Instant::NEVER);
            if next > until {
                break;
            }
            self.now = self.now.max(next);
            for id in 1..=3 {
                let site = &self.sites[id as usize - 1];
                if deadline(site) <= self.now {
                    self.input(id, Input::Timeout);
                }
            }
        }
        self.now = until;
    }

    pub(crate) fn input(&mut self, id: u64, input: Input) {
        self.step(id, input);
        self.deliver();
    }

    /// What the node found comparing its state machine, since the start of the test.
    pub(crate) fn verdicts(&self, id: u64) -> Vec<Verdict> {
        let of = self.told.iter().filter(|(by, _)| *by == id);
        of.filter_map(|(_, told)| match told {
            Told::Judged(verdict) => Some(*verdict),
            _ => None,
        })
        .collect()
    }

    fn step(&mut self, id: u64, input: Input) {
        let now = self.now;
        let Some(running) = &mut self.site(id).running else { return };
        let mut outputs = Vec::new();
        running.node.step(now, input, &mut outputs);
        running.node.assert_invariants();
        self.carry_out(id, outputs);
    }

    fn deliver(&mut self) {
        while let Some(packet) = self.flying.pop_front() {
            let (from, to) = (packet.from().0, packet.to().0);
            if !self.cut.contains(&from) && !self.cut.contains(&to) {
                self.step(to, Input::Packet(packet));
            } else if matches!(packet, Packet::Comparison(_)) {
                self.late.push(packet);
            }
        }
    }

    fn carry_out(&mut self, id: u64, outputs: Vec<Output>) {
        for output in outputs {
            let input = self.carry(id, output);
            if let Some(input) = input {
                self.step(id, input);
            }
        }
    }

    fn carry(&mut self, id: u64, output: Output) -> Option<Input> {
        let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
        let site = &mut self.sites[id as usize - 1];
        let running = site.running.as_mut()?;
        let told = match output {
            Output::Send(packet) => {
                self.flying.push_back(packet);
                return None;
            }
            Output::Disk(operation) => {
                let result = site.disk.execute(&operation.action);
                return Some(Input::Disk(Completion { id: operation.id, result }));
            }
            Output::Work(work) if site.stuck.is_some() => {
                site.stuck.get_or_insert_default().push(work);
                return None;
            }
            Output::Work(work) => {
                let done: Done = running.worker.execute(work, &mut site.disk);
                return Some(Input::Done(done));
            }
            Output::Freeze => {
                running.view = running.worker.freeze();
                let last = running.view.as_ref().map(Frozen::last);
                return Some(last.map_or(Input::ViewFailed, Input::Frozen));
            }
            Output::View { bytes } => {
                let mut piece = Vec::new();
                let view = running.view.as_mut().expect("it was frozen");
                view.take(bytes as u64).read_to_end(&mut piece).expect("it is in memory");
                return Some(Input::Viewed(piece));
            }
            Output::Replied { outcome: Outcome::Reply(reply), .. } => Told::Reply(number(&reply)),
            Output::Answered { answer, .. } => Told::Answer(number(&answer)),
            Output::Rejected { reason, .. } => Told::Rejected(reason),
            Output::Unknown { .. } => Told::Unknown,
            Output::Judged(verdict) => Told::Judged(verdict),
            Output::Stopped(failure) => {
                site.running = None;
                Told::Stopped(failure)
            }
            _ => return None,
        };
        self.told.push((id, told));
        None
    }
}
