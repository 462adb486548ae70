//! The cluster of a script: it carries out commands and passes each node its inputs.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use quorate::raft::{Action, Config, Input, RoleName};
use quorate::types::{
    EntryId, Incarnation, Index, Instant, Membership, Message, NodeId, Proposal, SnapshotMeta, Tag,
};

use super::change;
use super::command::{ClusterSetup, Command, KeptWrites, Lane};
use super::disk::Image;
use super::network::Network;
use super::node::Node;
use super::safety::SafetyChecks;
use super::trace::{Kind, Trace, peer_text};

/// A cluster under the control of a script.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    nodes: BTreeMap<NodeId, Node>,
    membership: Membership,
    /// Every disk that is not new has its node's number as incarnation.
    named: bool,
    config: Config,
    seed: u64,
    network: Network,
    pub(crate) safety: SafetyChecks,
    trace: Trace,
    tag: u64,
    /// The number of inputs that the current command may still cause.
    budget: u32,
}

/// The maximum number of inputs that one command may cause.
const INPUTS_MAX: u32 = 100_000;

impl Cluster {
    /// Returns a cluster without nodes, which the first command creates.
    pub(crate) fn new() -> Cluster {
        Cluster {
            nodes: BTreeMap::new(),
            membership: Membership::default(),
            named: false,
            config: Config::new(NodeId(1)),
            seed: 0,
            network: Network::default(),
            safety: SafetyChecks::default(),
            trace: Trace::new(),
            tag: 0,
            budget: 0,
        }
    }

    /// Carries out a command and returns the lines that it prints.
    pub(crate) fn carry_out(&mut self, command: Command) -> Result<Vec<String>, String> {
        self.budget = INPUTS_MAX;
        match command {
            Command::Cluster(setup) if self.nodes.is_empty() => self.create(*setup)?,
            Command::Cluster(_) => return Err("the cluster exists already".into()),
            _ if self.nodes.is_empty() => return Err("the first command is `cluster`".into()),
            Command::Elect(id) => self.elect(id)?,
            Command::Timeout(id) => self.time_out(id)?,
            Command::Advance { nodes, by } => self.advance(&nodes, by)?,
            Command::Run(span) => self.run(span)?,
            Command::Pause(id, span) => {
                let node = self.node_mut(id)?;
                node.clock = node.clock.after(span);
            }
            Command::Settle => self.settle()?,
            other => self.carry_out_at_once(other)?,
        }
        Ok(self.trace.take())
    }

    /// Carries out a command during which no time passes and no message is delivered by itself.
    fn carry_out_at_once(&mut self, command: Command) -> Result<(), String> {
        match command {
            Command::Campaign(id) => self.give(id, Input::Campaign),
            Command::Propose { to, acknowledge, commands, at_once } => {
                let commands = commands.iter().map(|command| command.as_str().into());
                let proposal = |command| Proposal { tag: self.next_tag(), acknowledge, command };
                let proposals: Vec<Proposal> = commands.map(proposal).collect();
                let size = if at_once { proposals.len() } else { 1 };
                let mut inputs = proposals.chunks(size).map(|some| Input::Propose(some.to_vec()));
                inputs.try_for_each(|input| self.give(to, input))
            }
            Command::Read { node, level, conflict } => {
                let tag = self.next_tag();
                let last =
                    self.node(node)?.status().map_or(Index::ZERO, |status| status.last.index);
                self.give(node, Input::Read { tag, level, conflict: conflict.unwrap_or(last) })
            }
            Command::Change(id, change) => {
                let tag = self.next_tag();
                self.give(id, Input::ChangeMembership { tag, change })
            }
            Command::CancelChange(id) => {
                let tag = self.next_tag();
                self.give(id, Input::CancelMembershipChange { tag })
            }
            Command::Transfer { node, to } => {
                let tag = self.next_tag();
                self.give(node, Input::TransferLeadership { tag, to })
            }
            Command::Manual(lane, ids) => self.set_manual(lane, &ids, true),
            Command::Automatic(lane, ids) => self.set_manual(lane, &ids, false),
            Command::Flush { node, count } => self.flush(node, count),
            Command::Apply(id) => self.apply(id),
            Command::Disk(id, image) => self.replace_disk(id, image),
            Command::Crash { node, keep } => self.crash(node, keep),
            Command::Restart { node, tail } => self.restart(node, tail),
            Command::Snapshot { node, trailing } => self.take_snapshot(node, trailing),
            Command::Receive { node, last } => self.receive_snapshot(node, last),
            Command::Damage(node, indices) => {
                self.node_mut(node)?.disk.image.damaged.extend(indices);
                Ok(())
            }
            Command::Scrub(node) => {
                let damaged = self.node(node)?.disk.image.damaged_entries();
                self.give(node, Input::Damaged(damaged))
            }
            Command::DiskFull(node, full) => self.give(node, Input::DiskFull(full)),
            Command::Quarantine(node, wrong) => self.give(node, Input::Quarantine(wrong)),
            Command::Rebuild { node, from } => self.rebuild(node, from),
            Command::AppendNoop(node) => self.give(node, Input::AppendNoop),
            Command::Show(kinds) => {
                self.trace.shown = kinds;
                Ok(())
            }
            Command::Hide(kinds) => {
                self.trace.shown.retain(|kind| !kinds.contains(kind));
                Ok(())
            }
            Command::Status(ids) => self.print_status(&ids),
            Command::Log(ids) => self.print_log(&ids),
            Command::Members(ids) => self.print_members(&ids),
            Command::Peers(id) => self.print_peers(id),
            other => self.carry_out_on_network(other),
        }
    }

    fn carry_out_on_network(&mut self, command: Command) -> Result<(), String> {
        match command {
            Command::Deliver(pick) => {
                self.network.take(&pick)?.into_iter().try_for_each(|message| self.deliver(message))
            }
            Command::Drop(pick) => {
                let lost = self.network.take(&pick)?;
                lost.into_iter().try_for_each(|message| self.lose(&message))
            }
            Command::Duplicate(pick) => self.network.duplicate(&pick),
            Command::Hold(selector) => {
                self.network.hold(selector);
                Ok(())
            }
            Command::Release => {
                self.network.release();
                Ok(())
            }
            Command::Cut(links) => links.into_iter().try_for_each(|(from, to)| self.cut(from, to)),
            Command::Isolate(id) => {
                let others: Vec<NodeId> = self.ids().filter(|other| *other != id).collect();
                others.iter().try_for_each(|other| self.cut(id, *other))?;
                others.iter().try_for_each(|other| self.cut(*other, id))
            }
            Command::Heal => {
                self.network.heal();
                Ok(())
            }
            Command::Inject(message) => self.deliver(message),
            Command::Network => {
                for (message, held) in self.network.in_flight() {
                    let held = if held { "  (held)" } else { "" };
                    let (from, to) = (message.from, message.to);
                    self.trace.plain(format!("in flight  {from} -> {to} {message}{held}"));
                }
                Ok(())
            }
            other => unreachable!("{other:?} is carried out elsewhere"),
        }
    }

    // Creation, crashes, restarts.

    fn create(&mut self, setup: ClusterSetup) -> Result<(), String> {
        self.membership = setup.membership.membership()?;
        self.named = setup.membership.named;
        self.config = setup.config;
        self.seed = setup.seed;
        for id in self.membership.clone().ids().chain(setup.spares) {
            if self.nodes.insert(id, Node::new(id)).is_some() {
                return Err(format!("{id} is a member"));
            }
            self.replace_disk(id, Image::default())?;
        }
        Ok(())
    }

    fn start(&mut self, id: NodeId) -> Result<(), String> {
        let (config, seed) = (self.config.clone(), self.seed);
        self.node_mut(id)?.start(config, seed)
    }

    /// Replaces a node's disk and starts it. A member's disk has the first membership, unless the
    /// disk is new.
    fn replace_disk(&mut self, id: NodeId, mut image: Image) -> Result<(), String> {
        if self.membership.is_member(id) && !image.is_new {
            image.membership = self.membership.clone();
        }
        if self.named && !image.is_new {
            image.incarnation = Incarnation(id.0.into());
        }
        self.node_mut(id)?.replace_disk(image);
        self.start(id)
    }

    fn crash(&mut self, id: NodeId, keep: KeptWrites) -> Result<(), String> {
        let node = self.node_mut(id)?;
        if node.raft().is_none() {
            return Err(format!("{id} is down already"));
        }
        node.disk.flush(match keep {
            KeptWrites::All => None,
            KeptWrites::First(count) => Some(count),
        });
        let lost = node.crash();
        let event = match lost {
            0 => "crashes".to_owned(),
            lost => format!("crashes, writes lost: {lost}"),
        };
        self.trace.line(Kind::Faults, &self.nodes[&id], &event);
        Ok(())
    }

    fn restart(&mut self, id: NodeId, tail: Option<usize>) -> Result<(), String> {
        let node = self.node_mut(id)?;
        if node.raft().is_some() {
            return Err(format!("{id} is up already"));
        }
        node.disk.image.set_tail(tail);
        self.start(id)?;
        self.trace.line(Kind::Faults, &self.nodes[&id], "starts");
        Ok(())
    }

    // Time.

    fn elect(&mut self, id: NodeId) -> Result<(), String> {
        let shown = std::mem::take(&mut self.trace.shown);
        self.give(id, Input::Campaign)?;
        self.settle()?;
        self.run(self.config.heartbeat_interval)?;
        self.trace.shown = shown;
        let node = self.node(id)?.clone();
        if node.status().is_none_or(|status| status.role != RoleName::Leader) {
            return Err(format!("{id} is not elected: campaign step by step to see why"));
        }
        self.trace.answer(&node, "leads");
        Ok(())
    }

    fn time_out(&mut self, id: NodeId) -> Result<(), String> {
        let node = self.node_mut(id)?;
        let deadline = node.raft().ok_or_else(|| format!("{id} is down"))?.deadline();
        if deadline == Instant::NEVER {
            return Err(format!("{id} has no deadline"));
        }
        node.clock = node.clock.max(deadline);
        self.give(id, Input::Timeout)
    }

    /// Advances the clocks of some nodes, one after the other, and delivers nothing.
    fn advance(&mut self, ids: &[NodeId], by: Duration) -> Result<(), String> {
        for &id in ids {
            let end = self.node(id)?.clock.after(by);
            while let Some(due) = self.deadline(id).filter(|due| *due <= end) {
                let node = self.node_mut(id)?;
                node.clock = node.clock.max(due);
                self.give(id, Input::Timeout)?;
            }
            self.node_mut(id)?.clock = end;
        }
        Ok(())
    }

    /// Lets time pass on all nodes. Messages take no time. Timeouts occur in the order of their
    /// deadlines, equal ones in the order of the node ids.
    fn run(&mut self, span: Duration) -> Result<(), String> {
        self.settle()?;
        let mut left = span;
        while let Some((wait, id)) = self.next_due().filter(|(wait, _)| *wait <= left) {
            self.pass(wait);
            left -= wait;
            self.give(id, Input::Timeout)?;
            self.settle()?;
        }
        self.pass(left);
        Ok(())
    }

    fn pass(&mut self, span: Duration) {
        self.nodes.values_mut().for_each(|node| node.clock = node.clock.after(span));
    }

    fn next_due(&self) -> Option<(Duration, NodeId)> {
        let wait = |id| Some((self.deadline(id)?.since(self.nodes[&id].clock), id));
        self.ids().filter_map(wait).min()
    }

    fn deadline(&self, id: NodeId) -> Option<Instant> {
        let deadline = self.nodes[&id].raft()?.deadline();
        (deadline != Instant::NEVER).then_some(deadline)
    }

    // Messages.

    /// Delivers messages until only held ones are in flight.
    fn settle(&mut self) -> Result<(), String> {
        while let Some(message) = self.network.next() {
            self.deliver(message)?;
        }
        Ok(())
    }

    fn deliver(&mut self, message: Message) -> Result<(), String> {
        let to = message.to;
        if self.node(to)?.raft().is_none() {
            return self.lose(&message);
        }
        self.give(to, Input::Message(message))
    }

    fn lose(&mut self, message: &Message) -> Result<(), String> {
        let event = format!("-x {} {message}", message.to);
        let sender = self.node(message.from)?.clone();
        self.trace.line(Kind::of_message(message), &sender, &event);
        Ok(())
    }

    fn cut(&mut self, from: NodeId, to: NodeId) -> Result<(), String> {
        self.node(from)?;
        self.node(to)?;
        let lost = self.network.cut(from, to);
        lost.iter().try_for_each(|message| self.lose(message))
    }

    // Inputs and actions.

    /// Passes an input to a node, then those for work that its disk and machine complete at once.
    fn give(&mut self, id: NodeId, input: Input) -> Result<(), String> {
        let mut inputs = VecDeque::from([input]);
        let mut asked_for = true;
        while let Some(input) = inputs.pop_front() {
            if self.budget == 0 {
                return Err("the command causes too many inputs".into());
            }
            self.budget -= 1;
            let actions = self.node_mut(id)?.step(input.clone())?;
            let node = &self.nodes[&id];
            let raft = node.raft().expect("the node is up");
            self.safety.on_status(&raft.status(), raft.log())?;
            if asked_for {
                self.trace.line(Kind::of_input(&input), node, &input.to_string());
            }
            asked_for = false;
            self.carry_out_actions(id, actions, &mut inputs)?;
        }
        Ok(())
    }

    /// Carries out the actions of one step; inputs for work that is done at once join `inputs`.
    fn carry_out_actions(
        &mut self,
        id: NodeId,
        actions: Vec<Action>,
        inputs: &mut VecDeque<Input>,
    ) -> Result<(), String> {
        self.print_actions(id, &actions);
        for action in actions {
            let node = self.nodes.get_mut(&id).expect("the node exists");
            match action {
                Action::Send(message) => {
                    SafetyChecks::on_send(&message, &node.disk.image)?;
                    if self.network.connects(message.from, message.to) {
                        self.network.send(message);
                    }
                }
                Action::Persist(write) => node.disk.submit(write),
                Action::Apply(entries) => {
                    self.safety.on_apply(id, entries.iter().map(|entry| entry.id))?;
                    node.begin_apply(entries.last().expect("a batch is not empty").id.index);
                }
                Action::Restore(meta) => {
                    self.safety.on_apply(id, [meta.last])?;
                    node.begin_apply(meta.last.index);
                }
                Action::ReceiveSnapshot { meta, .. } => node.request_snapshot(meta),
                Action::Committed { id: entry, .. } => self.safety.on_acknowledged(entry),
                Action::Fetch { .. } | Action::Repair(_) | Action::AdoptSnapshot(_) => {
                    inputs.extend(node.answer_from_disk(action)?);
                }
                _ => {}
            }
        }
        let node = self.node_mut(id)?;
        if !node.manual_disk {
            inputs.extend(node.disk.flush(None).map(Input::Persisted));
        }
        if !node.manual_apply {
            inputs.extend(node.apply().map(Input::Applied));
        }
        Ok(())
    }

    /// Prints actions, one per line; the same message to several nodes shares a line.
    fn print_actions(&mut self, id: NodeId, actions: &[Action]) {
        let node = &self.nodes[&id];
        let mut rest = actions;
        while let [first, ..] = rest {
            let same = match first {
                Action::Send(message) => {
                    let to = self.receivers(message, rest);
                    let names: Vec<String> = to.iter().map(NodeId::to_string).collect();
                    let event = format!("{} {} {message}", self.arrow(message), names.join(" "));
                    self.trace.line(Kind::of_action(first), node, &event);
                    to.len()
                }
                other => {
                    self.trace.line(Kind::of_action(other), node, &other.to_string());
                    1
                }
            };
            rest = &rest[same..];
        }
    }

    /// Returns the receivers of the first of `actions` that send `message` with the same outcome.
    fn receivers(&self, message: &Message, actions: &[Action]) -> Vec<NodeId> {
        let mut to: Vec<NodeId> = Vec::new();
        for action in actions {
            let Action::Send(other) = action else { break };
            let alike = other.term == message.term && other.body == message.body;
            if !alike || self.arrow(other) != self.arrow(message) || to.contains(&other.to) {
                break;
            }
            to.push(other.to);
        }
        to
    }

    fn arrow(&self, message: &Message) -> &'static str {
        if self.network.connects(message.from, message.to) { "->" } else { "-x" }
    }

    fn set_manual(&mut self, lane: Lane, ids: &[NodeId], manual: bool) -> Result<(), String> {
        for id in self.ids_or_all(ids) {
            let node = self.node_mut(id)?;
            match lane {
                Lane::Disk => node.manual_disk = manual,
                Lane::Apply => node.manual_apply = manual,
            }
            if !manual {
                let inputs =
                    [node.disk.flush(None).map(Input::Persisted), node.apply().map(Input::Applied)];
                inputs.into_iter().flatten().try_for_each(|input| self.give(id, input))?;
            }
        }
        Ok(())
    }

    fn flush(&mut self, id: NodeId, count: Option<usize>) -> Result<(), String> {
        let flushed = self.node_mut(id)?.disk.flush(count);
        let write = flushed.ok_or_else(|| format!("{id} has no pending write"))?;
        self.give(id, Input::Persisted(write))
    }

    fn apply(&mut self, id: NodeId) -> Result<(), String> {
        let applied = self.node_mut(id)?.apply();
        let index = applied.ok_or_else(|| format!("{id} has nothing to apply"))?;
        self.give(id, Input::Applied(index))
    }

    // Snapshots.

    /// Takes a snapshot of the applied state; the log keeps `trailing` of the covered entries.
    fn take_snapshot(&mut self, id: NodeId, trailing: u64) -> Result<(), String> {
        let node = self.node_mut(id)?;
        let raft = node.raft().ok_or_else(|| format!("{id} is down"))?;
        let log = raft.log();
        let entry_at = |index: Index| Some(EntryId::new(log.term_at(index)?, index));
        let applied = log.applied();
        let snapshot = entry_at(applied).filter(|_| applied > log.snapshot().index);
        let snapshot = snapshot.ok_or_else(|| format!("{id} has applied nothing new"))?;
        if applied > log.durable() {
            return Err(format!("{id} has applied an entry that its disk lacks"));
        }
        let base = Index(applied.0.saturating_sub(trailing)).max(log.base().index);
        let base = entry_at(base).expect("the log goes back to its base");
        let membership = log.membership_at(applied).expect("the log has the membership").clone();
        let meta = SnapshotMeta::empty(snapshot, membership);
        node.disk.image.take_snapshot(meta.clone(), base);
        self.give(id, Input::SnapshotTaken { meta, base: base.index })
    }

    fn receive_snapshot(&mut self, id: NodeId, last: Option<Index>) -> Result<(), String> {
        let meta = self.node(id)?.receive(last);
        let meta = meta.ok_or_else(|| format!("{id} has not requested this snapshot"))?;
        self.give(id, Input::SnapshotReceived { meta })
    }

    /// Rebuilds the state machine from another node's last snapshot.
    fn rebuild(&mut self, id: NodeId, from: NodeId) -> Result<(), String> {
        let Image { snapshot, membership, .. } = self.node(from)?.disk.image.clone();
        let meta = SnapshotMeta::empty(snapshot, membership);
        self.give(id, Input::Rebuild { meta })
    }

    // Output that the script requests.

    fn print_status(&mut self, ids: &[NodeId]) -> Result<(), String> {
        let shown = |id: Option<NodeId>| id.map_or("none".to_owned(), |id| id.to_string());
        for id in self.ids_or_all(ids) {
            let node = self.node(id)?.clone();
            let event = node.status().map_or("status".to_owned(), |status| {
                format!("status leader={} vote={}", shown(status.leader), shown(status.vote))
            });
            self.trace.answer(&node, &event);
        }
        Ok(())
    }

    /// Prints the base of the log and the term of each entry, as the paper draws logs; entries
    /// after `|` are not durable.
    fn print_log(&mut self, ids: &[NodeId]) -> Result<(), String> {
        for id in self.ids_or_all(ids) {
            let node = self.node(id)?.clone();
            let intended = node.disk.intended();
            let durable = &node.disk.image.log;
            let mut terms = String::from("log");
            if intended.base.index > Index::ZERO {
                terms.push_str(&format!(" after {}:", intended.base));
            }
            for entry in &intended.log {
                if !durable.contains(entry) && !terms.contains('|') {
                    terms.push_str(" |");
                }
                terms.push_str(&format!(" {}", entry.id.term.0));
            }
            self.trace.answer(&node, &terms);
        }
        Ok(())
    }

    /// Prints the active membership of each node.
    fn print_members(&mut self, ids: &[NodeId]) -> Result<(), String> {
        for id in self.ids_or_all(ids) {
            let node = self.node(id)?.clone();
            let raft = node.raft().ok_or_else(|| format!("{id} is down"))?;
            self.trace
                .answer(&node, &format!("members {}", change::membership_text(raft.membership())));
        }
        Ok(())
    }

    fn print_peers(&mut self, id: NodeId) -> Result<(), String> {
        let node = self.node(id)?.clone();
        let raft = node.raft().ok_or_else(|| format!("{id} is down"))?;
        for peer in raft.peers() {
            self.trace.answer(&node, &peer_text(&peer));
        }
        Ok(())
    }

    // Nodes.

    fn ids(&self) -> impl Iterator<Item = NodeId> {
        self.nodes.keys().copied()
    }

    /// Returns the nodes that a command names, or all nodes if it names none.
    fn ids_or_all(&self, ids: &[NodeId]) -> Vec<NodeId> {
        if ids.is_empty() { self.ids().collect() } else { ids.to_vec() }
    }

    pub(crate) fn node(&self, id: NodeId) -> Result<&Node, String> {
        self.nodes.get(&id).ok_or_else(|| format!("{id} is not in the cluster"))
    }

    fn node_mut(&mut self, id: NodeId) -> Result<&mut Node, String> {
        self.nodes.get_mut(&id).ok_or_else(|| format!("{id} is not in the cluster"))
    }

    fn next_tag(&mut self) -> Tag {
        self.tag += 1;
        Tag(self.tag)
    }
}
