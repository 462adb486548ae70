//! A generated run that resembles a cluster with faults, with a chosen number of events.

mod toy;

use std::collections::BTreeMap;

use quorate_page::document::{
    Condition, Delivery, Document, Entry, Event, Fact, Fault, Kind, Lane, LogChange, Message,
    Operation, Outcome, Relevance, Role, Sentence, Topic, Violation, Write, WriteOutcome,
};

use toy::{Contents, Toy};

const MILLI: u64 = 1_000_000;

/// A scheduled event of the generated run.
#[derive(Clone, Debug)]
enum Due {
    Request(u16),
    Arrive(usize, Contents),
    Heartbeat(u16, u64),
    Flush(usize, u64),
    ElectionTimeout(u16),
    Fault(u64),
    Restart(u16),
    Resume(u16),
    Heal(usize),
}

/// A generated run under construction.
pub(crate) struct Generator {
    document: Document,
    nodes: Vec<Toy>,
    due: BTreeMap<(u64, u64), Due>,
    order: u64,
    random: u64,
    now: u64,
    /// The pending operation of each client, with the index of its command.
    open: Vec<Option<(usize, u64)>>,
    /// Pairs of nodes that cannot reach each other.
    cut: Vec<(u16, u16)>,
}

/// Generates a run of `nodes` nodes with about `events` events.
pub(crate) fn made(nodes: u16, events: usize, seed: u64) -> Document {
    let mut generator = Generator::new(nodes, seed);
    while generator.document.events.len() < events {
        let Some(((at, _), due)) = generator.due.pop_first() else { break };
        generator.now = at;
        generator.handle(due);
    }
    generator.finish(seed)
}

impl Generator {
    fn new(nodes: u16, seed: u64) -> Generator {
        let clients = 4;
        let document = Document {
            nodes: (1..=nodes).map(|node| format!("n{node}")).collect(),
            clients: (1..=clients).map(|client| format!("client {client}")).collect(),
            ..Document::default()
        };
        let mut generator = Generator {
            document,
            nodes: (0..nodes).map(|_| Toy::default()).collect(),
            due: BTreeMap::new(),
            order: 0,
            random: seed * 2 + 1,
            now: 0,
            open: vec![None; clients],
            cut: Vec::new(),
        };
        for node in 0..nodes {
            generator.on(node, Kind::Start, "starts from an empty disk", Vec::new());
            generator.set_election_timeout(node);
        }
        (0..clients as u16).for_each(|client| generator.at(20 * MILLI, Due::Request(client)));
        generator.at(400 * MILLI, Due::Fault(0));
        generator
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    fn at(&mut self, after: u64, due: Due) {
        self.order += 1;
        self.due.insert((self.now + after, self.order), due);
    }

    fn event(&mut self, lane: Lane, kind: Kind, text: &str, causes: Vec<u32>) -> u32 {
        let place = self.document.events.len() as u32;
        let (state, log) = match lane {
            Lane::Node(node) => {
                let toy = &mut self.nodes[usize::from(node)];
                (Some(toy.state()), toy.changed.take())
            }
            _ => (None, None),
        };
        let (at, text) = (self.now, text.to_owned());
        self.document.events.push(Event { at, lane, kind, text, causes, state, log });
        place
    }

    /// Adds an event of a node, caused by the node's previous event.
    fn on(&mut self, node: u16, kind: Kind, text: &str, mut causes: Vec<u32>) -> u32 {
        causes.extend(self.nodes[usize::from(node)].before);
        let event = self.event(Lane::Node(node), kind, text, causes);
        self.nodes[usize::from(node)].before = Some(event);
        event
    }

    fn handle(&mut self, due: Due) {
        match due {
            Due::Request(client) => self.request(client),
            Due::Arrive(message, contents) => self.arrives(message, contents),
            Due::Heartbeat(node, term) => self.heartbeats(node, term),
            Due::Flush(write, life) => self.flushes(write, life),
            Due::ElectionTimeout(node) => self.election_timeout(node),
            Due::Fault(number) => self.inject_fault(number),
            Due::Restart(node) => {
                let toy = &mut self.nodes[usize::from(node)];
                (toy.condition, toy.role) = (Condition::Up, Role::Follower);
                let text = format!("starts with entries up to {}", toy.last());
                self.on(node, Kind::Start, &text, Vec::new());
                self.set_election_timeout(node);
            }
            Due::Resume(node) => {
                self.nodes[usize::from(node)].condition = Condition::Up;
                self.on(node, Kind::Resume, "continues", Vec::new());
            }
            Due::Heal(fault) => {
                self.cut.clear();
                self.document.faults[fault].until = Some(self.now);
                self.event(Lane::Cluster, Kind::Fault, "the network is healed", Vec::new());
            }
        }
    }

    fn up(&self, node: u16) -> bool {
        self.nodes[usize::from(node)].condition == Condition::Up
    }

    fn leader(&self) -> Option<u16> {
        let leads =
            |node: &u16| self.up(*node) && self.nodes[usize::from(*node)].role == Role::Leader;
        (0..self.nodes.len() as u16)
            .filter(leads)
            .max_by_key(|node| self.nodes[usize::from(*node)].term)
    }

    fn request(&mut self, client: u16) {
        let again = 15 + self.draw(90);
        self.at(again * MILLI, Due::Request(client));
        let Some(leader) = self.leader() else { return };
        if self.open[usize::from(client)].is_some() {
            return;
        }
        let (key, value) = (self.draw(5), self.draw(900));
        let call = format!("put k{key} {value}");
        let event = self.event(
            Lane::Client(client),
            Kind::Client,
            &format!("sends {call} to n{}", leader + 1),
            Vec::new(),
        );
        let toy = &mut self.nodes[usize::from(leader)];
        let index = toy.append(&call);
        self.open[usize::from(client)] = Some((self.document.operations.len(), index));
        self.document.operations.push(Operation {
            client,
            call,
            result: String::new(),
            invoked: self.now,
            returned: None,
            outcome: Outcome::Unknown,
            event: Some(event),
            relevance: Relevance::Context,
            place: None,
        });
        self.on(leader, Kind::Client, &format!("appends a proposal at index {index}"), vec![event]);
        self.writes(leader);
        self.replicate(leader);
    }

    fn writes(&mut self, node: u16) {
        let toy = &self.nodes[usize::from(node)];
        let (last, life) = (toy.last(), toy.life);
        let event = self.on(node, Kind::Disk, &format!("submits entries up to {last}"), Vec::new());
        let place = self.document.writes.len();
        self.document.writes.push(Write {
            node,
            text: format!("entries up to {last}"),
            submitted: event,
            ended: None,
            outcome: WriteOutcome::Pending,
        });
        self.nodes[usize::from(node)].writes.push((place, last));
        let took = 1500 + self.draw(4000);
        self.at(took * 1000, Due::Flush(place, life));
    }

    fn flushes(&mut self, write: usize, life: u64) {
        let node = self.document.writes[write].node;
        let toy = &mut self.nodes[usize::from(node)];
        let Some(place) = toy.writes.iter().position(|(other, _)| *other == write) else { return };
        if toy.life != life {
            return;
        }
        let (_, last) = toy.writes.remove(place);
        toy.durable = toy.durable.max(last.min(toy.last()));
        let submitted = self.document.writes[write].submitted;
        let event = self.on(
            node,
            Kind::Disk,
            &format!("entries up to {last} are durable"),
            vec![submitted],
        );
        let write = &mut self.document.writes[write];
        (write.ended, write.outcome) = (Some(event), WriteOutcome::Flushed);
        match self.nodes[usize::from(node)].leader {
            Some(leader) if leader != node => self.sends(node, leader, Contents::Has(last)),
            _ => self.commits(node),
        }
    }

    fn replicate(&mut self, leader: u16) {
        let toy = &self.nodes[usize::from(leader)];
        let contents = Contents::Entries(toy.log.clone(), toy.committed);
        for to in (0..self.nodes.len() as u16).filter(|to| *to != leader) {
            self.sends(leader, to, contents.clone());
        }
    }

    fn sends(&mut self, from: u16, to: u16, contents: Contents) {
        let toy = &self.nodes[usize::from(from)];
        let (topic, text) = contents.describe(toy.term);
        let text = text.as_str();
        let sent = self.on(from, Kind::Send, &format!("-> n{} {text}", to + 1), Vec::new());
        let place = self.document.messages.len();
        let late = if self.draw(40) == 0 { 60_000 } else { 0 };
        let took = (400 + self.draw(2500) + late) * 1000;
        let deaf = self.cut.contains(&(from, to)) || self.draw(50) == 0;
        let delivery = if deaf { Delivery::Lost(self.now + took / 2) } else { Delivery::InFlight };
        let text = text.to_owned();
        self.document.messages.push(Message { sent, from, to, topic, text, delivery });
        if !deaf {
            self.at(took, Due::Arrive(place, contents));
        }
    }

    fn arrives(&mut self, message: usize, contents: Contents) {
        let Message { from, to, sent, .. } = self.document.messages[message];
        if !self.up(to) {
            self.document.messages[message].delivery = Delivery::Lost(self.now);
            return;
        }
        let term = self.nodes[usize::from(from)].term;
        let toy = &mut self.nodes[usize::from(to)];
        if term > toy.term && !matches!(contents, Contents::Has(_)) {
            (toy.term, toy.role, toy.leader) = (term, Role::Follower, None);
        }
        let grants = matches!(contents, Contents::Vote) && toy.grants_vote(term);
        let mut grew = false;
        if let (Contents::Entries(log, committed), true) = (&contents, term == toy.term) {
            (toy.role, toy.leader, toy.heard) = (Role::Follower, Some(from), self.now);
            grew = toy.accept_entries(log);
            toy.committed = toy.committed.max((*committed).min(toy.last()));
        }
        let event = self.on(to, Kind::Message, "", vec![sent]);
        self.document.messages[message].delivery = Delivery::Arrived(event);
        match contents {
            Contents::Entries(..) if grew => self.writes(to),
            Contents::Entries(..) => {}
            Contents::Has(last) => {
                self.nodes[usize::from(to)].matched.insert(from, last);
                self.commits(to);
            }
            Contents::Vote if grants => self.sends(to, from, Contents::Granted),
            Contents::Vote => {}
            Contents::Granted => self.counts(to, from),
        }
        self.applies(to);
    }

    fn counts(&mut self, node: u16, from: u16) {
        let quorum = self.nodes.len() / 2 + 1;
        let toy = &mut self.nodes[usize::from(node)];
        toy.votes.push(from);
        toy.votes.dedup();
        if toy.role != Role::Candidate || toy.votes.len() < quorum {
            return;
        }
        (toy.role, toy.leader) = (Role::Leader, Some(node));
        toy.matched.clear();
        toy.append("noop");
        let term = toy.term;
        self.on(node, Kind::Timer, &format!("becomes leader of term {term}"), Vec::new());
        self.writes(node);
        self.at(0, Due::Heartbeat(node, term));
    }

    fn heartbeats(&mut self, node: u16, term: u64) {
        let toy = &self.nodes[usize::from(node)];
        if toy.role != Role::Leader || toy.term != term || !self.up(node) {
            return;
        }
        self.on(node, Kind::Timer, "sends a round of heartbeats", Vec::new());
        self.replicate(node);
        self.at(40 * MILLI, Due::Heartbeat(node, term));
    }

    fn commits(&mut self, node: u16) {
        let toy = &mut self.nodes[usize::from(node)];
        if toy.role != Role::Leader {
            return;
        }
        let mut all: Vec<u64> = toy.matched.values().copied().chain([toy.durable]).collect();
        all.sort_unstable_by(|one, two| two.cmp(one));
        if let Some(index) = all.get(self.nodes.len() / 2) {
            let toy = &mut self.nodes[usize::from(node)];
            toy.committed = toy.committed.max((*index).min(toy.last()));
        }
        self.applies(node);
    }

    fn applies(&mut self, node: u16) {
        let toy = &mut self.nodes[usize::from(node)];
        if toy.applied >= toy.committed {
            return;
        }
        let (first, last) = (toy.applied + 1, toy.committed);
        toy.applied = last;
        let leads = toy.role == Role::Leader;
        let event =
            self.on(node, Kind::Machine, &format!("applies indices {first} to {last}"), Vec::new());
        for client in 0..self.open.len() {
            if let Some((operation, index)) = self.open[client].filter(|_| leads)
                && index <= last
            {
                let operation = &mut self.document.operations[operation];
                operation.returned = Some(self.now);
                operation.result = format!("at index {index}");
                operation.outcome = Outcome::Returned;
                self.open[client] = None;
                let lane = Lane::Client(client as u16);
                self.event(
                    lane,
                    Kind::Client,
                    &format!("receives the result: at index {index}"),
                    vec![event],
                );
            }
        }
    }

    fn set_election_timeout(&mut self, node: u16) {
        let after = 150 + self.draw(150);
        self.at(after * MILLI, Due::ElectionTimeout(node));
    }

    fn election_timeout(&mut self, node: u16) {
        let toy = &mut self.nodes[usize::from(node)];
        let fresh = toy.heard + 150 * MILLI > self.now && toy.leader.is_some();
        if toy.role != Role::Leader && toy.condition == Condition::Up && !fresh {
            toy.term += 1;
            (toy.role, toy.leader, toy.voted) = (Role::Candidate, None, toy.term);
            toy.votes = vec![node];
            let text = format!("campaigns in term {}", toy.term);
            self.on(node, Kind::Timer, &text, Vec::new());
            for to in (0..self.nodes.len() as u16).filter(|to| *to != node) {
                self.sends(node, to, Contents::Vote);
            }
        }
        self.set_election_timeout(node);
    }

    fn inject_fault(&mut self, number: u64) {
        let next = 250 + self.draw(300);
        self.at(next * MILLI, Due::Fault(number + 1));
        let node = match number % 2 {
            0 => self.leader().unwrap_or(0),
            _ => self.draw(self.nodes.len() as u64) as u16,
        };
        if !self.up(node) {
            return;
        }
        let name = format!("n{}", node + 1);
        let (text, lasts) = match number % 3 {
            0 => (format!("crash {name} keep=unsynced:none"), 160 + self.draw(200)),
            1 => (format!("pause {name}"), 80 + self.draw(100)),
            _ => (format!("isolate {name}"), 200 + self.draw(200)),
        };
        let event = self.event(Lane::Cluster, Kind::Fault, &text, Vec::new());
        let until = Some(self.now + lasts * MILLI);
        let fault = self.document.faults.len();
        let from = self.now;
        self.document.faults.push(Fault {
            text,
            from,
            until,
            nodes: vec![node],
            event: Some(event),
        });
        match number % 3 {
            0 => self.crashes(node, event, lasts),
            1 => {
                self.nodes[usize::from(node)].condition = Condition::Paused;
                self.on(node, Kind::Pause, "is paused", vec![event]);
                self.at(lasts * MILLI, Due::Resume(node));
            }
            _ => {
                let others = 0..self.nodes.len() as u16;
                self.cut = others.flat_map(|other| [(node, other), (other, node)]).collect();
                self.at(lasts * MILLI, Due::Heal(fault));
            }
        }
    }

    fn crashes(&mut self, node: u16, event: u32, lasts: u64) {
        let toy = &mut self.nodes[usize::from(node)];
        toy.crash();
        let torn = std::mem::take(&mut toy.writes);
        let event = self.on(node, Kind::Crash, "crashes", vec![event]);
        for (place, (write, _)) in torn.into_iter().enumerate() {
            let write = &mut self.document.writes[write];
            let end = if place == 0 { WriteOutcome::Torn } else { WriteOutcome::Lost };
            (write.ended, write.outcome) = (Some(event), end);
        }
        self.at(lasts * MILLI, Due::Restart(node));
    }

    fn finish(mut self, seed: u64) -> Document {
        let last = self.document.events.len() as u32 - 1;
        let wrong = last - last / 10;
        let sentence = |text: &str, event| Sentence { text: text.to_owned(), event: Some(event) };
        let fact = |label: &str, value: String, code| Fact { label: label.to_owned(), value, code };
        self.document.title = format!("seed {seed}, profile generated");
        self.document.name = "original".to_owned();
        self.document.facts = vec![
            fact("replay", format!("cargo sim --seed {seed}"), true),
            fact("events", (last + 1).to_string(), false),
        ];
        self.document.violation = Some(Violation {
            event: wrong,
            check: "S1 election-safety".to_owned(),
            finding: "term t7 has two leaders: n2, elected at 1.912 s, and n4, elected at 1.977 s"
                .to_owned(),
        });
        self.document.explanation = vec![
            sentence(
                "n3 votes for n2 and loses that vote in a crash before it is durable",
                wrong / 2,
            ),
            sentence("n3 votes for n4 in the same term", wrong),
        ];
        self.document
    }
}

/// The change of a log.
fn change(keep: u64, entries: &[Entry]) -> Option<LogChange> {
    Some(LogChange { keep, entries: entries.to_vec() })
}

/// The topic of a message.
fn topic(contents: &Contents) -> Topic {
    match contents {
        Contents::Vote | Contents::Granted => Topic::Vote,
        Contents::Entries(log, committed) if log.len() as u64 == *committed => Topic::Heartbeat,
        Contents::Entries(..) | Contents::Has(_) => Topic::Append,
    }
}
