//! Runs a scenario on real processes: schedules its operations and ends the faults when due.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use quorate::types::{Change, NodeId, ReadLevel};

use crate::cli::clock::{Stopwatch, sleep};
use crate::cli::console;
use crate::cli::interrupt;
use crate::cli::procs::clients::ProcessClients;
use crate::cli::procs::net::NamespaceNetwork;
use crate::cli::procs::nodes::Nodes;
use crate::faults::{
    AdminRequest, LinkFault, NodeSelector, NodeStrike, ScriptedOperation, ScriptedOutcome,
    SelectLinks, Strike, UNTIL_STABILIZATION, Verb, single_edits,
};
use crate::observe::outcome::{ScriptedResults, Tally};
use crate::plan::{Op, When};
use crate::scenario::Scenario;
use crate::settings::Settings;
use crate::values::time::SimTime;

/// A running scenario. Fields drop in order: the processes end before the network is deleted.
pub(super) struct ScenarioRun {
    nodes: Nodes,
    net: NamespaceNetwork,
    clients: Arc<ProcessClients>,
    threads: Vec<JoinHandle<()>>,
    settings: Settings,
    seed: u64,
    ops: Vec<Op>,
    /// The scheduled actions, ordered by time and then by order of scheduling.
    schedule: BTreeMap<(Duration, u32), ScheduledAction>,
    scheduled_count: u32,
    /// The errors of the run, such as a process that exited, one sentence each.
    errors: Vec<String>,
}

/// The result of a run.
pub(super) struct RunResult {
    /// The results of scripted requests and the observed leaders.
    pub(super) results: ScriptedResults,
    /// The counts at the end of the fault phase.
    pub(super) tally: Tally,
    /// Whether the scenario configures random faults.
    pub(super) has_random_faults: bool,
    /// The errors of the run, such as a process that exited, one sentence each.
    pub(super) errors: Vec<String>,
    /// Whether a leader was elected after the fault phase, and the keys of the load clients and of
    /// the scripted requests could be read.
    pub(super) recovered: bool,
    /// Whether the user pressed Ctrl-C.
    pub(super) interrupted: bool,
    /// The clients, with their history.
    pub(super) clients: Arc<ProcessClients>,
}

/// An action that is scheduled for a time.
#[derive(Clone, Debug)]
enum ScheduledAction {
    /// Run the operation of the plan with this index.
    RunOperation(usize),
    /// Remove one fault from these links.
    Heal(Vec<(u64, u64)>),
    /// Cut and heal these links in turn at the interval `every`. The first healing at `until` or
    /// later is the last step.
    Flap { links: Vec<(u64, u64)>, every: Duration, until: Duration, is_cut: bool },
    /// Read at the node at the interval `every`, up to the time `until`.
    PollReads { node: u64, every: Duration, until: Duration },
    /// Resume the paused process of the node.
    Resume(u64),
    /// Restart the stopped node with this id.
    Start(u64),
    /// Restore the saved data directory of the node, and restart it after the given downtime.
    Restore(u64, Duration),
}

/// The time limit for the election of a leader, at the start and after the fault phase.
const LEADER_MAX: Duration = Duration::from_secs(30);
/// The polling interval of the schedule.
const TICK: Duration = Duration::from_millis(5);

impl ScenarioRun {
    /// Returns a run of the scenario without the skipped lines.
    pub(super) fn new(
        scenario: &Scenario,
        skipped: &[usize],
        net: NamespaceNetwork,
        binary: &Path,
        folder: &Path,
    ) -> ScenarioRun {
        let case = &scenario.case;
        let nodes = Nodes::new(&case.settings, &net, binary, folder);
        let clients =
            ProcessClients::new(net.client_exec_prefix(), binary, net.addresses(), folder);
        let mut run = ScenarioRun {
            nodes,
            net,
            clients: Arc::new(clients),
            threads: Vec::new(),
            settings: case.settings.clone(),
            seed: case.seed,
            ops: case.plan.ops.clone(),
            schedule: BTreeMap::new(),
            scheduled_count: 0,
            errors: Vec::new(),
        };
        for (index, (op, line)) in case.plan.ops.iter().zip(&scenario.line_numbers.ops).enumerate()
        {
            if let When::At(at) = op.when
                && !skipped.contains(line)
            {
                run.schedule_at(at.since(SimTime::default()), ScheduledAction::RunOperation(index));
            }
        }
        run
    }

    /// Runs the scenario to its end.
    pub(super) fn run(mut self) -> RunResult {
        for id in 1..=self.net.nodes() {
            let started = self.nodes.start(id, &self.net);
            self.record_error(started);
        }
        let (mut recovered, mut tally) = (false, Tally::default());
        if let Some(leader) = self.await_leader() {
            if let Some(clients) = Arc::get_mut(&mut self.clients) {
                clients.restart_clock();
            }
            self.log(&format!("{leader} is leader"));
            self.net.enable_random_faults();
            self.start_clients();
            self.run_fault_phase();
            tally = self.tally();
            self.clients.stop();
            self.stabilize();
            recovered = self.await_leader().is_some() && self.read_all();
        } else if !interrupt::interrupted() {
            self.errors.push("no leader was ever elected".to_owned());
        }
        let interrupted = interrupt::interrupted();
        self.end_threads();
        self.record_ended_processes();
        let (clients, errors) = (Arc::clone(&self.clients), std::mem::take(&mut self.errors));
        let results = clients.results().clone();
        let has_random_faults = self.net.tally().is_some();
        RunResult { results, tally, has_random_faults, errors, recovered, interrupted, clients }
    }

    /// Returns the counts that are observable from outside.
    fn tally(&self) -> Tally {
        let results = self.clients.results();
        let leaders = results.leader_periods.iter().filter_map(|period| period.leader);
        let mut leaders: Vec<NodeId> = leaders.collect();
        leaders.dedup();
        Tally {
            operations_checked: self.clients.answered(),
            leader_changes: (leaders.len() as u64).saturating_sub(1),
            ..self.net.tally().unwrap_or_default()
        }
    }

    fn schedule_at(&mut self, at: Duration, action: ScheduledAction) {
        self.scheduled_count += 1;
        self.schedule.insert((at, self.scheduled_count), action);
    }

    fn log(&self, text: &str) {
        console::print_line(&format!("{:>8.3}s  {text}", self.clients.now().as_secs_f64()));
    }

    fn record_error(&mut self, done: Result<(), String>) {
        if let Err(error) = done {
            self.log(&error);
            self.errors.push(error);
        }
    }

    /// Records an error for every process that exited on its own.
    fn record_ended_processes(&mut self) {
        for (id, how) in self.nodes.ended() {
            self.record_error(Err(format!("n{id} exited unexpectedly: {how}: see n{id}.log")));
        }
    }

    fn await_leader(&self) -> Option<NodeId> {
        let watch = Stopwatch::start();
        while watch.elapsed() < LEADER_MAX && !interrupt::interrupted() {
            if let Some(leader) = self.clients.leader() {
                return Some(leader);
            }
            sleep(Duration::from_millis(50));
        }
        None
    }

    fn start_clients(&mut self) {
        let looking = Arc::clone(&self.clients);
        self.threads.push(thread::spawn(move || looking.poll_leader()));
        for client in 0..u64::from(self.settings.clients) {
            let (clients, settings) = (Arc::clone(&self.clients), self.settings.clone());
            let seed = self.seed;
            self.threads.push(thread::spawn(move || clients.run_client(client, seed, &settings)));
        }
    }

    fn end_threads(&mut self) {
        self.clients.stop();
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "a client panicked");
        }
    }

    /// Executes the schedule until the end of the fault phase.
    fn run_fault_phase(&mut self) {
        let fault_phase = self.settings.fault_phase;
        while !interrupt::interrupted() {
            let now = self.clients.now();
            let due = self.schedule.first_key_value().map(|(at, _)| *at).filter(|at| at.0 <= now);
            if now >= fault_phase {
                return;
            }
            match due.and_then(|at| self.schedule.remove(&at)) {
                Some(action) => self.execute(action),
                None => {
                    self.record_ended_processes();
                    sleep(TICK);
                }
            }
        }
    }

    /// Removes every fault and restarts all nodes.
    fn stabilize(&mut self) {
        self.log("end of the fault phase: all faults are removed");
        let healed = self.net.heal_all();
        self.record_error(healed);
        for id in 1..=self.net.nodes() {
            let resumed = self.nodes.resume(id);
            self.record_error(resumed);
            let started = self.nodes.start(id, &self.net);
            self.record_error(started);
        }
    }

    /// Reads the keys of the load clients and of the scripted requests once more; returns true if
    /// all reads succeeded.
    fn read_all(&self) -> bool {
        let own = (0..8).map(|key| format!("k{key}"));
        let requests = self.ops.iter().filter_map(|op| match &op.verb {
            Verb::ScriptedRequest(request) => Some(request.key().to_owned()),
            _ => None,
        });
        let own = own.filter(|_| self.settings.clients > 0);
        let keys: std::collections::BTreeSet<String> = own.chain(requests).collect();
        keys.into_iter().all(|key| {
            let operation = ScriptedOperation::Get(key, ReadLevel::Linearizable, None);
            let answer = self.clients.perform(&operation, None, Duration::from_secs(10));
            answer != ScriptedOutcome::NoReply
        })
    }

    fn execute(&mut self, action: ScheduledAction) {
        let now = self.clients.now();
        match action {
            ScheduledAction::RunOperation(index) => self.run_operation(index),
            ScheduledAction::Heal(links) => {
                self.log(&format!("healed: {}", links_text(&links)));
                let healed = self.net.heal(&links);
                self.record_error(healed);
            }
            ScheduledAction::Flap { until, is_cut: false, .. } if now >= until => {}
            ScheduledAction::Flap { links, every, until, is_cut } => {
                let done = if is_cut { self.net.heal(&links) } else { self.net.cut(&links) };
                self.record_error(done);
                if now < until {
                    let at = until.min(now + every);
                    let is_cut = !is_cut;
                    self.schedule_at(at, ScheduledAction::Flap { links, every, until, is_cut });
                }
            }
            ScheduledAction::PollReads { node, every, until } => {
                let operation =
                    ScriptedOperation::Get("k0".to_owned(), ReadLevel::Linearizable, None);
                self.spawn_request(move |clients, patience| {
                    clients.perform(&operation, Some(node), patience);
                });
                if now + every <= until {
                    self.schedule_at(
                        now + every,
                        ScheduledAction::PollReads { node, every, until },
                    );
                }
            }
            ScheduledAction::Resume(id) if self.nodes.stays_paused(id, now) => {}
            ScheduledAction::Resume(id) => {
                self.log(&format!("n{id} is resumed"));
                let resumed = self.nodes.resume(id);
                self.record_error(resumed);
            }
            ScheduledAction::Start(id) if self.nodes.stays_down(id, now) => {}
            ScheduledAction::Start(id) => {
                self.log(&format!("n{id} is restarted"));
                let started = self.nodes.start(id, &self.net);
                self.record_error(started);
            }
            ScheduledAction::Restore(id, down) => {
                match self.nodes.roll_back(id) {
                    Ok(true) => self.log(&format!("n{id} is rolled back to the saved disk")),
                    Ok(false) => {
                        return self.log(&format!(
                            "n{id} is not rolled back: the saved disk was used or wiped before"
                        ));
                    }
                    Err(error) => self.record_error(Err(error)),
                }
                self.schedule_start(id, down);
            }
        }
    }

    /// Runs a request on its own thread.
    fn spawn_request(&mut self, ask: impl FnOnce(&ProcessClients, Duration) + Send + 'static) {
        let (clients, patience) = (Arc::clone(&self.clients), self.settings.request_timeout);
        self.threads.push(thread::spawn(move || ask(&clients, patience)));
    }

    fn resolve(&self, selector: NodeSelector) -> Option<u64> {
        match selector {
            NodeSelector::Node(node) => Some(node.0),
            NodeSelector::Leader => self.clients.leader().map(|node| node.0),
            NodeSelector::It | NodeSelector::Other => None,
        }
    }

    fn schedule_start(&mut self, id: u64, down: Duration) {
        let at = self.clients.now() + down;
        self.nodes.postpone_start(id, at);
        if down < UNTIL_STABILIZATION {
            self.schedule_at(at, ScheduledAction::Start(id));
        }
    }

    /// Runs one operation of the plan.
    fn run_operation(&mut self, index: usize) {
        let verb = self.ops[index].verb.clone();
        self.log(&verb.to_string());
        let done = match verb.on_processes() {
            Err(reason) => Err(reason.to_owned()),
            Ok(()) => self.strike(index, &verb),
        };
        self.record_error(done);
    }

    /// Carries out an operation that exists on real processes.
    fn strike(&mut self, index: usize, verb: &Verb) -> Result<(), String> {
        let duration = verb.duration().unwrap_or_default();
        let (node, strike) = match verb.strike() {
            Strike::Links(LinkFault::Block | LinkFault::Clog, select) => {
                return self.cut(verb, &select, duration);
            }
            Strike::Links(LinkFault::Flap(every), select) => {
                return self.flap(verb, &select, every, duration);
            }
            Strike::Request => return self.send_request(index),
            Strike::Simulated(_, only) => return Err(only.reason().to_owned()),
            Strike::Node(node, strike) => (node, strike),
        };
        match strike {
            NodeStrike::Crash(_, down) => self.stop_process(node, down, |nodes, id| {
                nodes.kill(id);
                Ok(())
            }),
            NodeStrike::Stop(down) => self.stop_process(node, down, Nodes::stop),
            NodeStrike::Wipe(down) => self.stop_process(node, down, |nodes, id| {
                nodes.kill(id);
                nodes.lose_disk(id)
            }),
            NodeStrike::RollBack(age, down) => self.roll_back(node, age, down),
            NodeStrike::Pause(duration) => self.pause(node, duration),
            NodeStrike::Commands(count) => self.send_commands(index, node, count),
            NodeStrike::PollReads(every) => self.poll_reads(node, every, duration),
            NodeStrike::Admin(request) => self.run_operator_command(verb, self.words(&request)),
        }
    }

    /// Returns a request of the operator as arguments of `quorate`.
    fn words(&self, request: &AdminRequest) -> Vec<String> {
        match request {
            AdminRequest::Change(change) => self.members(change),
            AdminRequest::CancelChange => vec!["members".to_owned(), "cancel".to_owned()],
            AdminRequest::Transfer(to) => {
                let to = to.map(|node| node.0.to_string());
                ["transfer".to_owned()].into_iter().chain(to).collect()
            }
            AdminRequest::RaiseVersion(version) => vec!["upgrade".to_owned(), version.to_string()],
        }
    }

    /// Returns the node that the selector means, if its process is running.
    fn running_process(&self, selector: NodeSelector) -> Option<u64> {
        let Some(id) = self.resolve(selector).filter(|id| self.nodes.runs(*id)) else {
            self.log("  skipped: no such process is running");
            return None;
        };
        if selector == NodeSelector::Leader {
            self.log(&format!("  the leader is n{id}"));
        }
        Some(id)
    }

    /// Stops one process, and schedules its restart.
    fn stop_process(
        &mut self,
        node: NodeSelector,
        down: Duration,
        stop: fn(&mut Nodes, u64) -> Result<(), String>,
    ) -> Result<(), String> {
        let Some(id) = self.running_process(node) else { return Ok(()) };
        stop(&mut self.nodes, id)?;
        self.schedule_start(id, down);
        Ok(())
    }

    fn roll_back(
        &mut self,
        node: NodeSelector,
        age: Duration,
        down: Duration,
    ) -> Result<(), String> {
        let Some(id) = self.running_process(node) else { return Ok(()) };
        self.nodes.save_directory(id)?;
        self.schedule_at(self.clients.now() + age, ScheduledAction::Restore(id, down));
        Ok(())
    }

    fn pause(&mut self, node: NodeSelector, duration: Duration) -> Result<(), String> {
        let Some(id) = self.running_process(node) else { return Ok(()) };
        let until = self.clients.now() + duration;
        self.nodes.pause(id, until)?;
        if duration < UNTIL_STABILIZATION {
            self.schedule_at(until, ScheduledAction::Resume(id));
        }
        Ok(())
    }

    fn send_commands(
        &mut self,
        index: usize,
        node: NodeSelector,
        count: u32,
    ) -> Result<(), String> {
        let via = self.resolve(node);
        for number in 0..count {
            let operation =
                ScriptedOperation::Put(format!("k{}", number % 8), format!("s{index}.{number}"));
            self.spawn_request(move |clients, patience| {
                clients.perform(&operation, via, patience);
            });
        }
        Ok(())
    }

    fn poll_reads(
        &mut self,
        node: NodeSelector,
        every: Duration,
        duration: Duration,
    ) -> Result<(), String> {
        if let Some(node) = self.resolve(node) {
            let until = self.clients.now().saturating_add(duration);
            self.execute(ScheduledAction::PollReads { node, every, until });
        }
        Ok(())
    }

    /// Sends the scripted request of the operation with this index.
    fn send_request(&mut self, index: usize) -> Result<(), String> {
        let Verb::ScriptedRequest(request) = self.ops[index].verb.clone() else { return Ok(()) };
        let via = request.via.and_then(|selector| self.resolve(selector));
        self.spawn_request(move |clients, patience| {
            clients.run_request(index, &request, via, patience)
        });
        Ok(())
    }

    /// Runs an operator command on its own thread, and logs its result.
    fn run_operator_command(&mut self, verb: &Verb, words: Vec<String>) -> Result<(), String> {
        let text = verb.to_string();
        self.spawn_request(move |clients, _| {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let done =
                if clients.run_operator_command(&words) { "done" } else { "not done in time" };
            let now = clients.now().as_secs_f64();
            console::print_line(&format!("{now:>8.3}s  {done}: {text}"));
        });
        Ok(())
    }

    /// Returns a membership change as arguments of `quorate`.
    fn members(&self, change: &Change) -> Vec<String> {
        let peer = |NodeId(id)| format!("{id}={}", self.net.address(id));
        let words = match single_edits(change) {
            Some((Some(added), Some(removed))) => {
                vec!["replace".to_owned(), removed.0.to_string(), peer(added)]
            }
            Some((Some(added), None)) => vec!["add".to_owned(), peer(added)],
            Some((None, Some(removed))) => vec!["remove".to_owned(), removed.0.to_string()],
            _ => Vec::new(),
        };
        ["members".to_owned()].into_iter().chain(words).collect()
    }

    fn cut(
        &mut self,
        verb: &Verb,
        select: &SelectLinks<'_>,
        duration: Duration,
    ) -> Result<(), String> {
        let Some(links) = self.selected_links(verb, select) else { return Ok(()) };
        self.net.cut(&links)?;
        if duration < UNTIL_STABILIZATION {
            self.schedule_at(self.clients.now() + duration, ScheduledAction::Heal(links));
        }
        Ok(())
    }

    fn flap(
        &mut self,
        verb: &Verb,
        select: &SelectLinks<'_>,
        every: Duration,
        duration: Duration,
    ) -> Result<(), String> {
        if let Some(links) = self.selected_links(verb, select) {
            let until = self.clients.now().saturating_add(duration);
            self.execute(ScheduledAction::Flap { links, every, until, is_cut: false });
        }
        Ok(())
    }

    /// Returns the selected links, as (sender, receiver), if the nodes of the operation are known.
    fn selected_links(&self, verb: &Verb, select: &SelectLinks<'_>) -> Option<Vec<(u64, u64)>> {
        let leader = match verb.extent().nodes.contains(&NodeSelector::Leader) {
            true => self.resolve(NodeSelector::Leader),
            false => None,
        };
        if let Some(leader) = leader {
            self.log(&format!("  the leader is n{leader}"));
        }
        let resolve = |selector| match selector {
            NodeSelector::Leader => leader.map(NodeId),
            NodeSelector::Node(node) => Some(node),
            NodeSelector::It | NodeSelector::Other => None,
        };
        let Some(selected) = select(&resolve) else {
            self.log("  skipped: there is no leader");
            return None;
        };
        let nodes = self.net.nodes();
        let all = (1..=nodes).flat_map(|from| (1..=nodes).map(move |to| (from, to)));
        let is_selected =
            |(from, to): &(u64, u64)| from != to && selected(NodeId(*from), NodeId(*to));
        Some(all.filter(is_selected).collect())
    }
}

impl Drop for ScenarioRun {
    fn drop(&mut self) {
        self.end_threads();
    }
}

fn links_text(links: &[(u64, u64)]) -> String {
    let links: Vec<String> = links.iter().map(|(from, to)| format!("n{from}->n{to}")).collect();
    links.join(" ")
}
