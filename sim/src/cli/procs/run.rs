//! The course of a scenario on processes: what is done to them when, and for how long.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use quorate::types::{NodeId, ReadLevel};

use crate::cli::clock::{Stopwatch, pause};
use crate::cli::console;
use crate::cli::interrupt;
use crate::cli::procs::asking::Asking;
use crate::cli::procs::net::Net;
use crate::cli::procs::nodes::Nodes;
use crate::cli::procs::unreal::edits;
use crate::outcome::{Sightings, Tally};
use crate::plan::{FOREVER, Op, Task, Verb, When, Who};
use crate::scenario::Scenario;
use crate::settings::Settings;
use crate::time::SimTime;

/// A scenario under way. The processes end before the network goes.
pub(super) struct Course {
    nodes: Nodes,
    net: Net,
    asking: Arc<Asking>,
    threads: Vec<JoinHandle<()>>,
    settings: Settings,
    seed: u64,
    ops: Vec<Op>,
    /// What is to be done, by the time and then in the order of planning.
    agenda: BTreeMap<(Duration, u32), Deed>,
    planned: u32,
    /// What went wrong with the processes.
    wrong: Vec<String>,
}

/// What came of it.
pub(super) struct Seen {
    /// What was seen from outside.
    pub(super) sightings: Sightings,
    /// What was counted until the storm was over.
    pub(super) tally: Tally,
    /// Whether chance had its say.
    pub(super) by_chance: bool,
    /// What went wrong with the processes, in sentences.
    pub(super) wrong: Vec<String>,
    /// Whether somebody led, and every key could be read, once the storm was over.
    pub(super) recovered: bool,
    /// Whether it was ended by the person who watched.
    pub(super) interrupted: bool,
    /// Who asked, with all that was told.
    pub(super) asking: Arc<Asking>,
}

/// Something to be done at a time.
#[derive(Clone, Debug)]
enum Deed {
    /// An operation of the plan.
    Operate(usize),
    /// A fault cuts these links no more.
    Mend(Vec<(u64, u64)>),
    /// These links change between cut and not, up to a time.
    Flap { links: Vec<(u64, u64)>, every: Duration, until: Duration, is_cut: bool },
    /// Somebody reads at the node, up to a time.
    Consult { node: u64, every: Duration, until: Duration },
    /// The node goes on.
    Continue(u64),
    /// The node starts again.
    Start(u64),
    /// The node's disk becomes what was saved of it, and the node starts so much later.
    Restore(u64, Duration),
}

/// How long the nodes may take until one leads, at first and after the storm.
const LEADER_MAX: Duration = Duration::from_secs(30);
/// How long nothing is looked at.
const TICK: Duration = Duration::from_millis(5);

impl Course {
    /// The course of the scenario without these lines.
    pub(super) fn new(
        scenario: &Scenario,
        left_out: &[usize],
        net: Net,
        binary: &Path,
        folder: &Path,
    ) -> Course {
        let case = &scenario.case;
        let nodes = Nodes::new(&case.settings, &net, binary, folder);
        let asking = Asking::new(net.among_clients(), binary, net.addresses(), folder);
        let mut course = Course {
            nodes,
            net,
            asking: Arc::new(asking),
            threads: Vec::new(),
            settings: case.settings.clone(),
            seed: case.seed,
            ops: case.plan.ops.clone(),
            agenda: BTreeMap::new(),
            planned: 0,
            wrong: Vec::new(),
        };
        for (place, (op, line)) in case.plan.ops.iter().zip(&scenario.places.ops).enumerate() {
            if let When::At(at) = op.when
                && !left_out.contains(line)
            {
                course.plan(at.since(SimTime::default()), Deed::Operate(place));
            }
        }
        course
    }

    /// Runs it to its end.
    pub(super) fn run(mut self) -> Seen {
        for id in 1..=self.net.nodes() {
            let started = self.nodes.start(id, &self.net);
            self.note(started);
        }
        let (mut recovered, mut tally) = (false, Tally::default());
        if let Some(leader) = self.await_leader() {
            if let Some(asking) = Arc::get_mut(&mut self.asking) {
                asking.begin();
            }
            self.say(&format!("{leader} leads"));
            self.net.begin_chance();
            self.start_clients();
            self.storm();
            tally = self.tally();
            self.asking.end();
            self.make_well();
            recovered = self.await_leader().is_some() && self.read_all();
        } else if !interrupt::heard() {
            self.wrong.push("nobody ever led".to_owned());
        }
        let interrupted = interrupt::heard();
        self.end_threads();
        self.note_ended();
        let (asking, wrong) = (Arc::clone(&self.asking), std::mem::take(&mut self.wrong));
        let (sightings, by_chance) = (asking.sightings().clone(), self.net.tally().is_some());
        Seen { sightings, tally, by_chance, wrong, recovered, interrupted, asking }
    }

    /// What can be counted from outside.
    fn tally(&self) -> Tally {
        let sightings = self.asking.sightings();
        let leaders = sightings.reigns.iter().filter_map(|reign| reign.leader);
        let mut leaders: Vec<NodeId> = leaders.collect();
        leaders.dedup();
        Tally {
            operations_checked: self.asking.answered(),
            leader_changes: (leaders.len() as u64).saturating_sub(1),
            ..self.net.tally().unwrap_or_default()
        }
    }

    fn plan(&mut self, at: Duration, deed: Deed) {
        self.planned += 1;
        self.agenda.insert((at, self.planned), deed);
    }

    fn say(&self, text: &str) {
        console::say(&format!("{:>8.3}s  {text}", self.asking.now().as_secs_f64()));
    }

    fn note(&mut self, done: Result<(), String>) {
        if let Err(error) = done {
            self.say(&error);
            self.wrong.push(error);
        }
    }

    /// A process that has ended by itself is wrong.
    fn note_ended(&mut self) {
        for (id, how) in self.nodes.ended() {
            self.note(Err(format!("n{id} ended by itself: {how}: see n{id}.log")));
        }
    }

    fn await_leader(&self) -> Option<NodeId> {
        let watch = Stopwatch::start();
        while watch.elapsed() < LEADER_MAX && !interrupt::heard() {
            if let Some(leader) = self.asking.leader() {
                return Some(leader);
            }
            pause(Duration::from_millis(50));
        }
        None
    }

    fn start_clients(&mut self) {
        let looking = Arc::clone(&self.asking);
        self.threads.push(thread::spawn(move || looking.look()));
        for client in 0..u64::from(self.settings.clients) {
            let (asking, settings) = (Arc::clone(&self.asking), self.settings.clone());
            let seed = self.seed;
            self.threads.push(thread::spawn(move || asking.work(client, seed, &settings)));
        }
    }

    fn end_threads(&mut self) {
        self.asking.end();
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "a client panicked");
        }
    }

    /// Does what is planned, each at its time, until the storm is over.
    fn storm(&mut self) {
        let storm = self.settings.storm;
        while !interrupt::heard() {
            let now = self.asking.now();
            let due = self.agenda.first_key_value().map(|(at, _)| *at).filter(|at| at.0 <= now);
            if now >= storm {
                return;
            }
            match due.and_then(|at| self.agenda.remove(&at)) {
                Some(deed) => self.act(deed),
                None => {
                    self.note_ended();
                    pause(TICK);
                }
            }
        }
    }

    /// Takes every fault away.
    fn make_well(&mut self) {
        self.say("the storm is over: all is made well");
        let mended = self.net.mend_all();
        self.note(mended);
        for id in 1..=self.net.nodes() {
            let woken = self.nodes.signal(id, "CONT");
            self.note(woken);
            let started = self.nodes.start(id, &self.net);
            self.note(started);
        }
    }

    /// Reads every key that was asked for once more; whether that could be done.
    fn read_all(&self) -> bool {
        let own = (0..8).map(|key| format!("k{key}"));
        let errands = self.ops.iter().filter_map(|op| match &op.verb {
            Verb::Ask(errand) => Some(errand.key().to_owned()),
            _ => None,
        });
        let own = own.filter(|_| self.settings.clients > 0);
        let keys: std::collections::BTreeSet<String> = own.chain(errands).collect();
        keys.into_iter().all(|key| {
            let task = Task::Get(key, ReadLevel::Linearizable, None);
            let answer = self.asking.carry_out(&task, None, Duration::from_secs(10));
            answer != crate::plan::Answer::Silence
        })
    }

    fn act(&mut self, deed: Deed) {
        let now = self.asking.now();
        match deed {
            Deed::Operate(place) => self.operate(place),
            Deed::Mend(links) => {
                self.say(&format!("mended: {}", told(&links)));
                let mended = self.net.mend(&links);
                self.note(mended);
            }
            Deed::Flap { links, every, until, is_cut } => {
                let done = if is_cut { self.net.mend(&links) } else { self.net.cut(&links) };
                self.note(done);
                if now < until || !is_cut {
                    self.plan(now + every, Deed::Flap { links, every, until, is_cut: !is_cut });
                }
            }
            Deed::Consult { node, every, until } => {
                let task = Task::Get("k0".to_owned(), ReadLevel::Linearizable, None);
                self.send(move |asking, patience| {
                    asking.carry_out(&task, Some(node), patience);
                });
                if now + every <= until {
                    self.plan(now + every, Deed::Consult { node, every, until });
                }
            }
            Deed::Continue(id) => {
                self.say(&format!("n{id} goes on"));
                let woken = self.nodes.signal(id, "CONT");
                self.note(woken);
            }
            Deed::Start(id) => {
                self.say(&format!("n{id} starts again"));
                let started = self.nodes.start(id, &self.net);
                self.note(started);
            }
            Deed::Restore(id, down) => {
                self.say(&format!("n{id} is set back to what it was"));
                self.nodes.kill(id);
                let restored = self.nodes.restore_directory(id);
                self.note(restored);
                self.plan_start(id, down);
            }
        }
    }

    /// Has something asked meanwhile.
    fn send(&mut self, ask: impl FnOnce(&Asking, Duration) + Send + 'static) {
        let (asking, patience) = (Arc::clone(&self.asking), self.settings.patience);
        self.threads.push(thread::spawn(move || ask(&asking, patience)));
    }

    fn resolve(&self, who: Who) -> Option<u64> {
        match who {
            Who::Node(node) => Some(node.0),
            Who::Leader => self.asking.leader().map(|node| node.0),
            Who::It | Who::Other => None,
        }
    }

    fn plan_start(&mut self, id: u64, down: Duration) {
        if down < FOREVER {
            self.plan(self.asking.now() + down, Deed::Start(id));
        }
    }

    /// Carries out one operation of the plan.
    fn operate(&mut self, place: usize) {
        let verb = self.ops[place].verb.clone();
        self.say(&verb.to_string());
        let done = match &verb {
            Verb::Crash(who, ..)
            | Verb::Wipe(who, _)
            | Verb::Stop(who, _)
            | Verb::Pause(who, _)
            | Verb::Rollback(who, ..) => self.befall(*who, &verb),
            Verb::Ask(errand) => {
                let (errand, via) = (errand.clone(), errand.via.and_then(|who| self.resolve(who)));
                self.send(move |asking, patience| asking.errand(place, &errand, via, patience));
                Ok(())
            }
            Verb::Change(..) | Verb::GiveUp(_) | Verb::Transfer(..) => {
                self.order(&verb);
                Ok(())
            }
            Verb::Surge(who, count) => {
                let via = self.resolve(*who);
                for number in 0..*count {
                    let task = Task::Put(format!("k{}", number % 8), format!("s{place}.{number}"));
                    self.send(move |asking, patience| {
                        asking.carry_out(&task, via, patience);
                    });
                }
                Ok(())
            }
            Verb::Consult(who, every, lasting) => {
                if let Some(node) = self.resolve(*who) {
                    let until = self.asking.now().saturating_add(*lasting);
                    self.act(Deed::Consult { node, every: *every, until });
                }
                Ok(())
            }
            _ => self.cut(&verb),
        };
        self.note(done);
    }

    /// What befalls one process.
    fn befall(&mut self, who: Who, verb: &Verb) -> Result<(), String> {
        let Some(id) = self.resolve(who).filter(|id| self.nodes.runs(*id)) else {
            self.say("  there is no such process now: nothing happens");
            return Ok(());
        };
        if who == Who::Leader {
            self.say(&format!("  the leader is n{id}"));
        }
        match verb {
            Verb::Crash(_, _, down) => {
                self.nodes.kill(id);
                self.plan_start(id, *down);
            }
            Verb::Wipe(_, down) => {
                self.nodes.kill(id);
                self.nodes.lose_directory(id)?;
                self.plan_start(id, *down);
            }
            Verb::Stop(_, down) => {
                self.nodes.stop(id)?;
                self.plan_start(id, *down);
            }
            Verb::Rollback(_, age, down) => {
                self.nodes.save_directory(id)?;
                self.plan(self.asking.now() + *age, Deed::Restore(id, *down));
            }
            Verb::Pause(_, lasting) => {
                self.nodes.signal(id, "STOP")?;
                if *lasting < FOREVER {
                    self.plan(self.asking.now() + *lasting, Deed::Continue(id));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// What an operator orders; the answer is told when it comes.
    fn order(&mut self, verb: &Verb) {
        let said = verb.to_string();
        let words = match verb {
            Verb::Transfer(_, to) => {
                let to = to.map(|node| node.0.to_string());
                ["transfer".to_owned()].into_iter().chain(to).collect()
            }
            Verb::Change(_, change) => self.members(&change.to_string()),
            _ => vec!["members".to_owned(), "give-up".to_owned()],
        };
        self.send(move |asking, _| {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let done = if asking.order(&words) { "done" } else { "not done in time" };
            let now = asking.now().as_secs_f64();
            console::say(&format!("{now:>8.3}s  {done}: {said}"));
        });
    }

    /// A change of the membership, as words for `quorate`.
    fn members(&self, change: &str) -> Vec<String> {
        let one = |id: u64| format!("{id}={}", self.net.address(id));
        let words = match edits(change) {
            Some((Some(comes), Some(goes))) => {
                vec!["replace".to_owned(), goes.to_string(), one(comes)]
            }
            Some((Some(comes), None)) => vec!["add".to_owned(), one(comes)],
            Some((None, Some(goes))) => vec!["remove".to_owned(), goes.to_string()],
            _ => Vec::new(),
        };
        ["members".to_owned()].into_iter().chain(words).collect()
    }

    /// What befalls links.
    fn cut(&mut self, verb: &Verb) -> Result<(), String> {
        let now = self.asking.now();
        let leader = match verb.to_string().contains("leader") {
            true => self.resolve(Who::Leader),
            false => None,
        };
        if let Some(leader) = leader {
            self.say(&format!("  the leader is n{leader}"));
        }
        let who = |who: &Who| match who {
            Who::Leader => leader,
            Who::Node(node) => Some(node.0),
            Who::It | Who::Other => None,
        };
        let Some(links) = links(verb, self.net.nodes(), who) else {
            self.say("  nobody leads now: nothing happens");
            return Ok(());
        };
        if let Verb::Flap(_, _, every, lasting) = verb {
            let until = now.saturating_add(*lasting);
            self.act(Deed::Flap { links, every: *every, until, is_cut: false });
            return Ok(());
        }
        self.net.cut(&links)?;
        if let Some(lasting) = verb.lasting().filter(|lasting| *lasting < FOREVER) {
            self.plan(now + lasting, Deed::Mend(links));
        }
        Ok(())
    }
}

impl Drop for Course {
    fn drop(&mut self) {
        self.end_threads();
    }
}

/// The links that an operation cuts, as from whom to whom, if its nodes can be told.
fn links(verb: &Verb, nodes: u64, who: impl Fn(&Who) -> Option<u64>) -> Option<Vec<(u64, u64)>> {
    let all = (1..=nodes).flat_map(|from| (1..=nodes).map(move |to| (from, to)));
    let all = all.filter(|(from, to)| from != to);
    Some(match verb {
        Verb::Isolate(one, _) => {
            let one = who(one)?;
            all.filter(|(from, to)| *from == one || *to == one).collect()
        }
        Verb::Deafen(one, _) => {
            let one = who(one)?;
            all.filter(|(_, to)| *to == one).collect()
        }
        Verb::Mute(one, _) | Verb::Clog(one, _) => {
            let one = who(one)?;
            all.filter(|(from, _)| *from == one).collect()
        }
        Verb::Strand(one, with, _) => {
            let (one, with) = (who(one)?, who(with)?);
            let cut = |(from, to): &(u64, u64)| {
                *from == one && *to != with || *to == one && *from != with
            };
            all.filter(cut).collect()
        }
        Verb::Cut(from, to, _) => vec![(who(from)?, who(to)?)],
        Verb::Flap(one, other, ..) => {
            let (one, other) = (who(one)?, who(other)?);
            vec![(one, other), (other, one)]
        }
        Verb::Split(side, _) => {
            let side: Vec<u64> = side.iter().filter_map(who).collect();
            all.filter(|(from, to)| side.contains(from) != side.contains(to)).collect()
        }
        Verb::Only(pairs, _) => {
            let pair = |one: u64, other: u64| pairs.contains(&(NodeId(one), NodeId(other)));
            all.filter(|(from, to)| !pair(*from, *to) && !pair(*to, *from)).collect()
        }
        _ => return None,
    })
}

fn told(links: &[(u64, u64)]) -> String {
    let links: Vec<String> = links.iter().map(|(from, to)| format!("n{from}->n{to}")).collect();
    links.join(" ")
}

#[cfg(test)]
mod tests {
    use crate::words::Words;

    use super::*;

    #[test]
    fn links_are_cut_as_in_the_simulator() {
        let cases = [
            ("isolate n1", "n1->n2 n1->n3 n2->n1 n3->n1"),
            ("deafen leader", "n1->n2 n3->n2"),
            ("mute n1", "n1->n2 n1->n3"),
            ("strand n1 with n3", "n1->n2 n2->n1"),
            ("cut n1 -> n3", "n1->n3"),
            ("split n1 n3", "n1->n2 n2->n1 n2->n3 n3->n2"),
            ("only n1-n2", "n1->n3 n2->n3 n3->n1 n3->n2"),
            ("flap n2-n3 every 1s", "n2->n3 n3->n2"),
        ];
        for (line, cut) in cases {
            let line = format!("at 1s {line}");
            let op = Op::read(&mut Words::of(&line, 1)).expect("the line is right");
            let who = |who: &Who| match who {
                Who::Node(node) => Some(node.0),
                _ => Some(2),
            };
            let links = links(&op.verb, 3, who).expect("it cuts links");
            assert_eq!(told(&links), cut, "{line}");
        }
    }
}
