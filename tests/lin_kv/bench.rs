//! The test harness: node processes that speak JSON lines, and the network between nodes and
//! clients.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use rand::RngExt;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A timeout that is longer than any operation of this test.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The number of entries after which nodes take a snapshot.
pub(crate) const SNAPSHOT_ENTRIES: u8 = 40;

/// The longest delay of a duplicated message.
const DUPLICATE_DELAY_MAX: Duration = Duration::from_secs(1);

/// The faults of the network.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NetworkFaults {
    /// The node that neither receives from nor sends to other nodes.
    pub(crate) isolated: Option<&'static str>,
    /// The node that receives from other nodes, but sends nothing to them.
    pub(crate) outbound_blocked: Option<&'static str>,
    /// The probability that a message to a node is lost.
    pub(crate) lost: f64,
    /// The probability that a message is duplicated.
    pub(crate) duplicated: f64,
}

/// The state of the network: nodes, clients and faults.
#[derive(Default)]
struct NetworkState {
    members: Vec<String>,
    nodes: BTreeMap<String, (Child, Sender<String>)>,
    clients: BTreeMap<String, Sender<Value>>,
    faults: NetworkFaults,
}

/// The processes, the clients and the network. All of them end when the last clone is dropped.
#[derive(Clone)]
pub(crate) struct TestBench {
    state: Arc<Mutex<NetworkState>>,
    /// Sends messages to the delivery thread, each with its delivery time.
    network: Sender<(Instant, Value)>,
    root: Arc<TempDir>,
    _end: Arc<KillOnDrop>,
}

/// Kills the node processes when dropped.
struct KillOnDrop(Arc<Mutex<NetworkState>>);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        let nodes = std::mem::take(&mut lock(&self.0).nodes);
        for (_, (mut child, _)) in nodes {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn lock(state: &Mutex<NetworkState>) -> MutexGuard<'_, NetworkState> {
    state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl TestBench {
    pub(crate) fn new() -> TestBench {
        let members = ["n1", "n2", "n3"].map(str::to_owned).to_vec();
        let state = Arc::new(Mutex::new(NetworkState { members, ..NetworkState::default() }));
        let (network, messages) = mpsc::channel();
        let delivering = Arc::clone(&state);
        thread::spawn(move || deliver(&delivering, &messages));
        let root = Arc::new(TempDir::new().expect("a temporary file can be created"));
        TestBench { _end: Arc::new(KillOnDrop(Arc::clone(&state))), state, network, root }
    }

    /// Replaces the default list of three nodes.
    pub(crate) fn members(&self, names: &[&str]) {
        lock(&self.state).members = names.iter().map(|name| (*name).to_owned()).collect();
    }

    /// Starts the node, for the first time or again, and sends `init` to it.
    pub(crate) fn start(&self, name: &str) {
        let log = self.root.path().join(format!("{name}.log"));
        let log = File::options().create(true).append(true).open(log).expect("the disk has space");
        let mut child = Command::new(env!("CARGO_BIN_EXE_quorate"))
            .args(["lin-kv", "--data-dir"])
            .arg(self.root.path())
            .args(["--snapshot-entries", &SNAPSHOT_ENTRIES.to_string()])
            .args(["--trailing-entries", "10"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the process runs");
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let (input, output) = (input.expect("a pipe"), output.expect("a pipe"));
        let members = {
            let mut state = lock(&self.state);
            state.nodes.insert(name.to_owned(), (child, writer(input)));
            state.members.clone()
        };
        let bench = self.network.clone();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).expect("every line is a message");
                if bench.send((random_due_time(), line)).is_err() {
                    break;
                }
            }
        });
        let init = json!({ "type": "init", "msg_id": 1, "node_id": name, "node_ids": members });
        let answer = self.ask(&format!("init-{name}"), name, init);
        assert_eq!(answer["type"], "init_ok", "{answer}");
    }

    pub(crate) fn kill(&self, name: &str) {
        let node = lock(&self.state).nodes.remove(name);
        let (mut child, _) = node.expect("the process runs");
        child.kill().expect("the process is a child of the test");
        child.wait().expect("the process is a child of the test");
    }

    /// Inspects the data directory of a stopped node.
    pub(crate) fn inspect(&self, name: &str) -> Value {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
        let output = command.args(["--json", "inspect"]).arg(self.root.path().join(name)).output();
        let output = output.expect("the process runs");
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).expect("the text is JSON")
    }

    pub(crate) fn signal(&self, name: &str, signal: &str) {
        let id = lock(&self.state).nodes[name].0.id();
        let sent = Command::new("kill").args([signal, &id.to_string()]).status();
        assert!(sent.expect("`kill` is installed").success());
    }

    /// Injects the faults for a while.
    pub(crate) fn inject(&self, faults: NetworkFaults, span: Duration) {
        lock(&self.state).faults = faults;
        thread::sleep(span);
        lock(&self.state).faults = NetworkFaults::default();
    }

    /// Registers the client, and returns its received messages.
    pub(crate) fn client(&self, name: &str) -> Receiver<Value> {
        let (sender, answers) = mpsc::channel();
        lock(&self.state).clients.insert(name.to_owned(), sender);
        answers
    }

    pub(crate) fn send(&self, from: &str, to: &str, body: Value) {
        let line = json!({ "src": from, "dest": to, "body": body });
        self.network.send((Instant::now(), line)).expect("the network outlives the bench");
    }

    /// Returns the logs of all nodes.
    pub(crate) fn logs(&self) -> String {
        let members = lock(&self.state).members.clone();
        let log = |name: &String| {
            let log = fs::read_to_string(self.root.path().join(format!("{name}.log")));
            format!("the log of {name}:\n{}\n", log.unwrap_or_default())
        };
        members.iter().map(log).collect()
    }

    /// Sends a request, and waits for the body of its answer.
    pub(crate) fn ask(&self, from: &str, to: &str, body: Value) -> Value {
        let number = body.get("msg_id").cloned();
        let answers = self.client(from);
        self.send(from, to, body);
        let answer = answers
            .recv_timeout(TIMEOUT)
            .unwrap_or_else(|_| panic!("{to} did not answer; {}", self.logs()));
        assert_eq!(answer["body"].get("in_reply_to"), number.as_ref());
        answer["body"].clone()
    }
}

/// Writes to a node on a thread, because the pipe of a paused node blocks.
fn writer(mut input: ChildStdin) -> Sender<String> {
    let (sender, lines) = mpsc::channel::<String>();
    thread::spawn(move || {
        for line in lines {
            if writeln!(input, "{line}").is_err() {
                break;
            }
        }
    });
    sender
}

fn random_due_time() -> Instant {
    Instant::now() + Duration::from_micros(rand::rng().random_range(0..5000))
}

/// Delivers due messages until the bench is dropped.
fn deliver(state: &Mutex<NetworkState>, messages: &Receiver<(Instant, Value)>) {
    let mut waiting: BinaryHeap<Reverse<(Instant, u64)>> = BinaryHeap::new();
    let mut lines = BTreeMap::new();
    for number in 0.. {
        let first = waiting.peek().map(|Reverse((due, _))| *due);
        let wait = first.map_or(TIMEOUT, |due| due.saturating_duration_since(Instant::now()));
        match messages.recv_timeout(wait) {
            Ok((due, line)) => {
                let mut rng = rand::rng();
                if rng.random_bool(lock(state).faults.duplicated) {
                    let later = due + rng.random_range(Duration::ZERO..DUPLICATE_DELAY_MAX);
                    waiting.push(Reverse((later, 2 * number)));
                    lines.insert(2 * number, line.clone());
                }
                waiting.push(Reverse((due, 2 * number + 1)));
                lines.insert(2 * number + 1, line);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        while waiting.peek().is_some_and(|Reverse((due, _))| *due <= Instant::now()) {
            let Some(Reverse((_, number))) = waiting.pop() else { break };
            let line = lines.remove(&number).expect("the message is queued");
            lock(state).deliver(&line);
        }
    }
}

impl NetworkState {
    fn deliver(&mut self, line: &Value) {
        let from = line["src"].as_str().expect("a message has a source");
        let to = line["dest"].as_str().expect("a message has a destination");
        if let Some(client) = self.clients.get(to) {
            let _ = client.send(line.clone());
            return;
        }
        let mut rng = rand::rng();
        let from_node = self.members.iter().any(|name| name == from);
        let NetworkFaults { isolated, outbound_blocked, lost, .. } = self.faults;
        let is_blocked =
            isolated == Some(from) || isolated == Some(to) || outbound_blocked == Some(from);
        if (from_node && is_blocked) || rng.random_bool(lost) {
            return;
        }
        if let Some((_, input)) = self.nodes.get(to) {
            // A killed node loses the message.
            let _ = input.send(line.to_string());
        }
    }
}
