//! A rolling upgrade of real processes whose state machine changes its rules, and a node whose
//! build is too old for the log.

use std::env;
use std::io::{self, Cursor, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use quorate::machine::StateMachine;
use quorate::runtime::blocking::Client;
use quorate::runtime::{ClientConfig, Server, ServerConfig};
use quorate::storage::ClusterId;
use quorate::types::{Index, NodeId, ReadLevel};
use serde_json::Value;
use tempfile::TempDir;

use crate::addresses::free_address;
use crate::cli::{CommandOutput, quorate_in};
use crate::processes::{Processes, eventually};

/// A counter of commands, and from version 1 on of their bytes.
#[derive(Default)]
struct Counter {
    version_max: u32,
    version: u32,
    count: u64,
}

impl StateMachine for Counter {
    fn version_max(&self) -> u32 {
        self.version_max
    }
    fn set_version(&mut self, _: Index, version: u32) {
        self.version = version;
    }
    fn apply(&mut self, _: Index, command: &[u8]) -> Vec<u8> {
        self.count += if self.version == 0 { 1 } else { command.len() as u64 };
        self.count.to_string().into_bytes()
    }
    fn query(&self, _: &[u8]) -> Vec<u8> {
        self.count.to_string().into_bytes()
    }
    fn snapshot(&self) -> Box<dyn Read + Send> {
        Box::new(Cursor::new(self.count.to_le_bytes()))
    }
    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        let mut count = [0; 8];
        snapshot.read_exact(&mut count)?;
        self.count = u64::from_le_bytes(count);
        Ok(())
    }
    fn restore_version(&mut self, version: u32, snapshot: &mut dyn Read) -> io::Result<()> {
        self.version = version;
        self.restore(snapshot)
    }
}

/// The environment variable with the arguments of a node: its id, its build, its directory and the
/// addresses of all nodes.
const NODE: &str = "QUORATE_TEST_COUNTER";

/// Runs the node that the variable [`NODE`] describes until the process is killed; without the
/// variable, does nothing.
#[test]
#[ignore = "the process of a node, which the test below starts"]
fn a_node_of_counters() {
    let Ok(arguments) = env::var(NODE) else { return };
    let words: Vec<&str> = arguments.split(' ').collect();
    let [id, build, directory, addresses @ ..] = &words[..] else { panic!("{arguments}") };
    let address = |text: &&str| text.parse::<SocketAddr>().expect("it is an address");
    let members = (1..).map(NodeId).zip(addresses.iter().map(address));
    let id = NodeId(id.parse().expect("it is a number"));
    let mut config = ServerConfig::new(directory, CLUSTER, id, members).expect("a member");
    config.replica.storage.segment_bytes = 16 << 20;
    config.replica.storage.spare_segments = 1;
    config.replica.snapshot_entries = 4;
    config.replica.trailing_entries = 0;
    let version_max = build.parse().expect("it is a number");
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    let runtime = tokio::runtime::Runtime::new().expect("threads start");
    runtime.block_on(async {
        let machine = Counter { version_max, ..Counter::default() };
        let mut server = Server::start(config, machine).await.expect("the directory is its own");
        server.stopped().await.expect("the disk works");
    });
}

const CLUSTER: ClusterId = ClusterId(0x7570);

/// Three processes, some of which run.
struct Counters {
    running: Processes,
    addresses: Vec<SocketAddr>,
    root: TempDir,
}

impl Counters {
    fn start(builds: [u32; 3]) -> Counters {
        let addresses = (0..3).map(|_| free_address()).collect();
        let root = TempDir::new().expect("a temporary file can be created");
        let mut counters = Counters { running: Processes::default(), addresses, root };
        (1..).zip(builds).for_each(|(id, build)| counters.serve(id, build));
        counters
    }

    /// Starts the node with a build that has the rules up to this version.
    fn serve(&mut self, id: u64, build: u32) {
        let directory = self.root.path().join(format!("d{id}"));
        let addresses: Vec<_> = self.addresses.iter().map(SocketAddr::to_string).collect();
        let arguments = format!("{id} {build} {} {}", directory.display(), addresses.join(" "));
        let own = env::current_exe().expect("the test has a file");
        let mut command = Command::new(own);
        command.args(["--exact", "versions::a_node_of_counters", "--ignored", "--nocapture"]);
        command.env(NODE, arguments);
        self.running.spawn(&id.to_string(), &mut command, &self.log_file(id));
    }

    /// Kills the node with SIGKILL, and starts it with this build.
    fn install(&mut self, id: u64, build: u32) {
        self.running.kill(&id.to_string());
        self.serve(id, build);
    }

    fn log_file(&self, id: u64) -> PathBuf {
        self.root.path().join(format!("d{id}.log"))
    }

    /// Returns the number of lines in the node's log that say that its build is too old.
    fn count_too_old(&self, id: u64) -> usize {
        let log = std::fs::read_to_string(self.log_file(id)).unwrap_or_default();
        let line = "a version that the build of this node is too old for";
        log.lines().filter(|text| text.contains("ERROR") && text.contains(line)).count()
    }

    fn ask(&self, words: &[&str]) -> CommandOutput {
        let addresses: Vec<_> = self.addresses.iter().map(SocketAddr::to_string).collect();
        let addresses = addresses.join(",");
        let cluster = format!("{:032x}", CLUSTER.0);
        let flags = ["--nodes", &addresses, "--cluster", &cluster];
        let words: Vec<_> = words.iter().copied().chain(flags).collect();
        quorate_in(self.root.path(), &words)
    }

    fn status(&self) -> Option<Value> {
        serde_json::from_str(&self.ask(&["status", "--json"]).out).ok()
    }

    /// Waits until a leader knows that every member's build has the rules up to this version.
    fn wait_known(&self, least: u64) {
        eventually("the leader knows every build", || {
            let known = self.ask(&["upgrade", "--dry-run", "--json"]);
            let known: Option<Value> = serde_json::from_str(&known.out).ok();
            let members = known.as_ref().and_then(|known| known["members"].as_array());
            members.is_some_and(|all| {
                let has = |one: &Value| one["version_max"]["user"].as_u64() >= Some(least);
                all.len() == 3 && all.iter().all(has)
            })
        });
    }

    fn client(&self, nodes: &[u64]) -> Client {
        let address = |id: &u64| self.addresses[*id as usize - 1];
        Client::new(ClientConfig::new(CLUSTER, nodes.iter().map(address))).expect("it is valid")
    }

    /// Adds three bytes, and returns the count.
    fn add(&self) -> u64 {
        let reply = self.client(&[1, 2, 3]).propose(b"abc").expect("a leader is elected");
        String::from_utf8_lossy(&reply).parse().expect("it is a number")
    }
}

#[test]
fn a_rolling_upgrade_changes_the_rules_and_a_build_that_is_too_old_applies_nothing() {
    let mut counters = Counters::start([1, 1, 0]);
    counters.wait_known(0);
    assert_eq!(counters.add(), 1);
    let refused = counters.ask(&["upgrade", "1"]);
    assert_eq!(refused.code, 5, "{}", refused.err);
    assert!(
        refused.err.contains("the build of n3 has the rules up to version 0"),
        "{}",
        refused.err
    );
    let behind = counters.ask(&["upgrade"]);
    assert_eq!(behind.code, 5, "{}", behind.err);
    assert!(behind.err.contains("n3: up to 0 (library 1)"), "{}", behind.err);
    assert_eq!(counters.add(), 2, "the old rule holds");

    counters.install(3, 1);
    counters.wait_known(1);
    assert_eq!(counters.ask(&["upgrade"]).ok(), "the version is 1 (library 1) from now on\n");
    assert_eq!(counters.add(), 5, "the new rule holds");

    // A downgrade after the raise: the node applies nothing, but the cluster still needs it for a
    // quorum.
    counters.install(3, 0);
    eventually("the old build says that it is too old", || counters.count_too_old(3) == 1);
    counters.running.kill("2");
    eventually("the others lead", || counters.status().is_some_and(|status| status["leader"] == 1));
    assert_eq!(counters.add(), 8, "the node that is too old acknowledges");
    let status = counters.ask(&["status"]);
    let warning = "n3: its build is too old: it has the rules up to version 0 (library 1), and the \
                   log has reached 1 (library 1); restart it with the newer build";
    assert!(status.out.contains(warning), "{}", status.out);
    let third = counters.status().expect("the leader answers")["nodes"][2].clone();
    assert_eq!(
        (&third["version_max"]["user"], &third["version_required"]["user"]),
        (&0.into(), &1.into())
    );
    let mut addresses = counters.addresses.clone();
    let own = addresses.remove(2).to_string();
    let read = counters.client(&[3]).read_at(&own, ReadLevel::Local, b"");
    assert!(read.is_err(), "{read:?}");

    // The newer build continues where the old one stopped, also after another kill.
    counters.serve(2, 1);
    counters.install(3, 1);
    counters.install(3, 1);
    eventually("it answers reads again", || {
        let read = counters.client(&[3]).read_at(&own, ReadLevel::Linearizable, b"");
        read.is_ok_and(|reply| reply.answer == b"8")
    });
    assert_eq!(counters.add(), 11);
    assert_eq!(counters.count_too_old(3), 1);
}
