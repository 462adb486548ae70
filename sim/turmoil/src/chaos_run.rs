//! A chaos run: its hosts, its faults, and its two phases.

use std::any::Any;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::error::Error;
use std::future::poll_fn;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::{Arc, Once};
use std::task::{Poll, ready};
use std::time::Duration;

use quorate::machine::StateMachine;
use quorate::raft::RoleName;
use quorate::runtime::ServerConfig;
use quorate::types::{NodeId, ReadLevel, Term};
use quorate_sim::values::digest::mix;
use tokio::time::sleep;
use turmoil::{Builder, Sim};

use crate::core_checks;
use crate::disk::NodeDisk;
use crate::faults::{Faults, FaultsError};
use crate::node::{Beside, Configure, Node, run_node};
use crate::report::{Failure, Report, replay};
use crate::schedule::Schedule;
use crate::trail::TrailEvent;
use crate::world::{CHECK, HOLD_INTERVAL, Shared, World};

/// The result of a service, a client or a check.
pub type Outcome = Result<(), Box<dyn Error>>;
/// The future of a host.
pub(crate) type LocalFuture = Pin<Box<dyn Future<Output = Outcome>>>;
/// Starts the future of a host.
type Start = Rc<dyn Fn(World) -> LocalFuture>;
/// Starts a node on its disk. The pair is the id of the node and the number of nodes; the last
/// argument starts what runs beside the node.
type StartNode = Rc<dyn Fn(World, (u8, u8), NodeDisk, Configure, Beside) -> LocalFuture>;

/// The time within which every client and the check must end once all faults are over.
const STABILIZATION_MAX: Duration = Duration::from_secs(60);
thread_local! {
    /// The seed of the last run of this thread.
    static SEED: Cell<Option<u64>> = const { Cell::new(None) };
}

/// The step of the simulated time.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// A chaos run of a service. Equal seeds and equal services make equal runs.
pub struct ChaosRun {
    seed: u64,
    nodes: u8,
    start_node: Option<StartNode>,
    beside: Beside,
    configure: Configure,
    services: Vec<(String, Start)>,
    clients: Vec<(String, Start)>,
    check: Start,
    drift_max_ppm: Option<u32>,
    faults: Option<Faults>,
    scenario: Option<String>,
    /// Returns the disk of a node before its first start.
    disk: fn() -> NodeDisk,
}

impl ChaosRun {
    /// Returns a run without nodes, whose faults are those of the seed.
    #[must_use]
    pub fn new(seed: u64) -> ChaosRun {
        ChaosRun {
            seed,
            nodes: 0,
            start_node: None,
            beside: Rc::new(|_| Box::pin(async { Ok(()) })),
            configure: Rc::new(|_| {}),
            services: Vec::new(),
            clients: Vec::new(),
            check: Rc::new(|_| Box::pin(async { Ok(()) })),
            drift_max_ppm: None,
            faults: None,
            scenario: None,
            disk: NodeDisk::default,
        }
    }

    /// Adds the nodes `n1` to `n<count>`. `machine` returns the state machine of each start of a
    /// node: empty, or with the state that it made durable itself.
    #[must_use]
    pub fn nodes<M>(mut self, count: u8, machine: impl Fn(NodeId) -> M + 'static) -> ChaosRun
    where
        M: StateMachine + Send + 'static,
    {
        self.nodes = count;
        let machine = Rc::new(machine);
        self.start_node = Some(Rc::new(move |world, ids, disk, configure, beside| {
            let machine = machine(NodeId(ids.0.into()));
            Box::pin(run_node(world, ids, (disk, machine), configure, beside))
        }));
        self
    }

    /// Changes the configuration of every node.
    #[must_use]
    pub fn configure(mut self, configure: impl Fn(&mut ServerConfig) + 'static) -> ChaosRun {
        self.configure = Rc::new(configure);
        self
    }

    /// Runs a service beside each node, at its host: it starts, crashes and stops with the node.
    /// The run fails if the service returns an error.
    #[must_use]
    pub fn beside<F>(mut self, service: impl Fn(Node) -> F + 'static) -> ChaosRun
    where
        F: Future<Output = Outcome> + 'static,
    {
        self.beside = Rc::new(move |node| Box::pin(service(node)));
        self
    }

    /// Adds a service at a host of its own, which crashes and restarts like a node. In a scenario
    /// its host is the next node after those of the cluster, and counts as one of the `spares`. The
    /// run fails if the service returns an error.
    #[must_use]
    pub fn service<F>(mut self, name: &str, service: impl Fn(World) -> F + 'static) -> ChaosRun
    where
        F: Future<Output = Outcome> + 'static,
    {
        self.services.push((name.to_owned(), Rc::new(move |world| Box::pin(service(world)))));
        self
    }

    /// Adds a client at a host of its own, which no fault crashes. It must end: a client that runs
    /// for the whole fault phase checks [`World::is_stable`] to end after it. The run fails if the
    /// client returns an error or panics.
    #[must_use]
    pub fn client<F>(mut self, name: &str, client: impl Fn(World) -> F + 'static) -> ChaosRun
    where
        F: Future<Output = Outcome> + 'static,
    {
        self.clients.push((name.to_owned(), Rc::new(move |world| Box::pin(client(world)))));
        self
    }

    /// Sets the check of the run. It begins when all faults are over, every client has ended, and
    /// the cluster has answered a linearizable read.
    #[must_use]
    pub fn check<F>(mut self, check: impl Fn(World) -> F + 'static) -> ChaosRun
    where
        F: Future<Output = Outcome> + 'static,
    {
        self.check = Rc::new(move |world| Box::pin(check(world)));
        self
    }

    /// Keeps the clocks of the nodes within what leases assume: faults of the seed let a clock
    /// drift by this rate at most, in parts per million, and never step.
    #[must_use]
    pub fn drift_max(mut self, ppm: u32) -> ChaosRun {
        self.drift_max_ppm = Some(ppm);
        self
    }

    /// Takes the faults from a scenario of the simulator, in place of those of the seed. A line
    /// `seed`, such as that of a failure's scenario, must have the seed of this run, from which
    /// everything else is drawn.
    #[must_use]
    pub fn scenario(mut self, text: &str) -> ChaosRun {
        self.scenario = Some(text.to_owned());
        self
    }

    #[cfg(test)]
    pub(crate) fn with_disks(mut self, disk: fn() -> NodeDisk) -> ChaosRun {
        self.disk = disk;
        self
    }

    pub(crate) fn with_faults(mut self, faults: Faults) -> ChaosRun {
        self.faults = Some(faults);
        self
    }

    /// Returns the seed of the run.
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// Returns the faults of the run.
    ///
    /// # Errors
    /// The scenario has a syntax error, a word that does not exist here, or another seed or number
    /// of hosts than the run.
    pub(crate) fn faults(&self) -> Result<Faults, FaultsError> {
        let hosts = (self.nodes, self.services.len() as u8);
        match (&self.faults, &self.scenario) {
            (Some(faults), _) => Ok(faults.clone()),
            (None, Some(text)) => Faults::read(text, hosts, self.seed),
            (None, None) => Ok(Faults::draw(self.seed, hosts, self.drift_max_ppm)),
        }
    }

    /// Performs the run.
    ///
    /// # Errors
    /// How the run failed.
    ///
    /// # Panics
    /// If there are no nodes, or the scenario cannot run here.
    pub fn run(&self) -> Result<Report, Failure> {
        self.run_and_keep(None).0
    }

    /// Performs the run, and returns its events, too.
    pub(crate) fn run_with_trail(&self) -> (Result<Report, Failure>, Vec<TrailEvent>) {
        let (result, trail) = self.run_and_keep(Some(Vec::new()));
        (result, trail.expect("the events were kept"))
    }

    /// Performs the run, and adds its events to `trail`, if there is one.
    fn run_and_keep(
        &self,
        trail: Option<Vec<TrailEvent>>,
    ) -> (Result<Report, Failure>, Option<Vec<TrailEvent>>) {
        name_seed_in_panics(self.seed);
        let faults = self.faults().unwrap_or_else(|error| panic!("{error}"));
        let clients = self.clients.iter().map(|(name, _)| name.clone()).collect();
        let shared = Shared::new(self.seed, self.nodes, faults.loss_permille, clients);
        shared.state().trail = trail;
        let mut sim = Builder::new()
            .rng_seed(mix(self.seed, 1))
            .tick_duration(TICK)
            .simulation_duration(Duration::MAX)
            .min_message_latency(faults.latency.min)
            .max_message_latency(faults.latency.max)
            .tcp_capacity(1 << 14)
            .build();
        let mut schedule = self.add_hosts(&mut sim, &shared, &faults);
        let ended = run_phases(&mut sim, &shared, &mut schedule, faults.fault_phase);
        let mut state = shared.state();
        let trail = state.trail.take();
        let scenario = format!("seed {}\n{faults}", self.seed);
        let recordings: Vec<&[u8]> = state.nodes.iter().map(|node| &*node.recording).collect();
        // A violation by a core comes first, because it causes the failure of the service.
        let facts = core_checks::check(&recordings);
        let result = match facts.and_then(|core_facts| ended.map(|()| core_facts)) {
            Ok(core_facts) => {
                let (digest, events) = (state.digest, state.events);
                Ok(Report { digest, events, core_facts, simulated: state.now, scenario })
            }
            Err(sentence) => {
                let (seed, at, lines) = (self.seed, state.now, state.lines.clone());
                Err(Failure { seed, sentence, at, scenario, lines })
            }
        };
        (result, trail)
    }

    /// Adds every host to the simulation, the nodes first, and returns the schedule of the faults.
    fn add_hosts(&self, sim: &mut Sim<'_>, shared: &Arc<Shared>, faults: &Faults) -> Schedule {
        let start_node =
            self.start_node.as_ref().expect("the run has nodes: call `ChaosRun::nodes`");
        let mut hosts = Vec::new();
        let mut disks = Vec::new();
        for id in 1..=self.nodes {
            let (name, disk) = (format!("n{id}"), (self.disk)());
            let (start, configure) = (Rc::clone(start_node), Rc::clone(&self.configure));
            let (beside, nodes) = (Rc::clone(&self.beside), self.nodes);
            let (world, own) = (World::new(shared, &name, id.into()), disk.clone());
            sim.host(name.as_str(), move || {
                let (configure, beside) = (Rc::clone(&configure), Rc::clone(&beside));
                let node = start(world.clone(), (id, nodes), own.clone(), configure, beside);
                paused_with(world.clone(), guarded(world.host(), node))
            });
            hosts.push(name);
            disks.push(disk);
        }
        for (name, start) in &self.services {
            let number = hosts.len() as u64 + 1;
            let (world, start) = (World::new(shared, name, number), Rc::clone(start));
            sim.host(name.as_str(), move || {
                paused_with(world.clone(), guarded(world.host(), start(world.clone())))
            });
            hosts.push(name.clone());
        }
        let struck = hosts.len();
        for (name, start) in &self.clients {
            let number = hosts.len() as u64 + 1;
            let (world, ended) = (World::new(shared, name, number), Arc::clone(shared));
            let client = guarded(name, start(world));
            let name = name.clone();
            hosts.push(name.clone());
            sim.client(name.clone().as_str(), async move {
                client.await?;
                ended.client_ended(&name);
                Ok(())
            });
        }
        debug_assert_eq!(struck, usize::from(self.nodes) + self.services.len());
        let number = hosts.len() as u64 + 1;
        let (world, check) = (World::new(shared, CHECK, number), Rc::clone(&self.check));
        sim.client(CHECK, guarded(CHECK, Box::pin(checked(world, check))));
        Schedule::new(faults, hosts, disks, self.seed)
    }
}

/// Makes every later panic of this thread name the seed. A panic in a task that a host has spawned
/// may abort the process, because tokio then drops all tasks of the runtime, and one that wakes
/// another while it is dropped panics again.
fn name_seed_in_panics(seed: u64) {
    static HOOK: Once = Once::new();
    SEED.set(Some(seed));
    HOOK.call_once(|| {
        let hook = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            hook(info);
            if let Some(seed) = SEED.get() {
                eprintln!("in the run of seed {seed}: {}", replay(seed));
            }
        }));
    });
}

/// Performs the check once the service is stable.
async fn checked(world: World, check: Start) -> Outcome {
    world.stable().await;
    world.clients_ended().await;
    let client = world.client(|config| config.deadline = STABILIZATION_MAX)?;
    client.read(ReadLevel::Linearizable, b"").await?;
    check(world).await
}

/// Names the host in the error of its future, and turns a panic into an error.
fn guarded(host: &str, mut future: LocalFuture) -> impl Future<Output = Outcome> + use<> {
    let host = host.to_owned();
    poll_fn(move |context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(Ok(()))) => Poll::Ready(Ok(())),
        Ok(Poll::Ready(Err(error))) => Poll::Ready(Err(format!("{host}: {error}").into())),
        Err(panic) => Poll::Ready(Err(format!("{host} panicked: {}", panic_text(&*panic)).into())),
    })
}

/// Does not poll the future of a host while the host is paused.
async fn paused_with(world: World, future: impl Future<Output = Outcome>) -> Outcome {
    let mut future = pin!(future);
    let mut wait = None;
    poll_fn(move |context| {
        while world.is_paused() {
            let wait_for = wait.get_or_insert_with(|| Box::pin(sleep(HOLD_INTERVAL)));
            ready!(wait_for.as_mut().poll(context));
            wait = None;
        }
        wait = None;
        future.as_mut().poll(context)
    })
    .await
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text")
}

/// Runs both phases; returns the failure in one sentence.
fn run_phases(
    sim: &mut Sim<'_>,
    shared: &Shared,
    schedule: &mut Schedule,
    fault_phase: Duration,
) -> Result<(), String> {
    let mut leaders = BTreeMap::new();
    let mut is_stable = false;
    loop {
        let now = sim.elapsed();
        shared.state().now = now;
        if !is_stable && now >= fault_phase {
            is_stable = true;
            schedule.stabilize(shared, now);
            shared.stabilize();
        }
        schedule.step(sim, shared, now);
        let has_ended = step(sim)?;
        check_leaders(shared, &mut leaders)?;
        if has_ended {
            return Ok(());
        }
        if now > fault_phase + STABILIZATION_MAX {
            let running = shared.state().running_clients.join(", ");
            let waits = if running.is_empty() { "the check" } else { running.as_str() };
            return Err(format!(
                "{STABILIZATION_MAX:?} after all faults were over, {waits} had not ended"
            ));
        }
    }
}

/// Performs one step of the simulated time; returns true if every client and the check have ended.
fn step(sim: &mut Sim<'_>) -> Result<bool, String> {
    // A panic in a task that a host has spawned ends its runtime, and so this step.
    match catch_unwind(AssertUnwindSafe(|| sim.step())) {
        Ok(stepped) => stepped.map_err(|error| error.to_string()),
        Err(panic) => Err(format!("a task panicked: {}", panic_text(&*panic))),
    }
}

/// Checks that each term has one leader at most.
fn check_leaders(shared: &Shared, leaders: &mut BTreeMap<Term, usize>) -> Result<(), String> {
    let mut elected = Vec::new();
    for (at, node) in shared.state().nodes.iter().enumerate() {
        let Some(handle) = &node.handle else { continue };
        let leadership = *handle.leadership().borrow();
        if leadership.role != RoleName::Leader {
            continue;
        }
        let first = *leaders.entry(leadership.term).or_insert_with(|| {
            elected.push((at, leadership.term));
            at
        });
        if first != at {
            let (first, second, term) = (first + 1, at + 1, leadership.term);
            return Err(format!("n{first} and n{second} both led in term {term}"));
        }
    }
    for (at, term) in elected {
        shared.line(&format!("n{}", at + 1), &format!("leads in term {term}"));
    }
    Ok(())
}
