//! The bench: processes that speak lines, and the network between them and the clients.

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

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often nodes take snapshots.
pub(crate) const SNAPSHOT_ENTRIES: u8 = 40;

/// How much later a message may come for the second time.
const TWICE_AFTER_MAX: Duration = Duration::from_secs(1);

/// What becomes of messages.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weather {
    /// This one neither hears nor is heard.
    pub(crate) alone: Option<&'static str>,
    /// This one hears, and is not heard.
    pub(crate) mute: Option<&'static str>,
    /// The share of messages that are lost.
    pub(crate) lost: f64,
    /// The share of messages that come twice.
    pub(crate) twice: f64,
}

/// Everything that knows of the others.
#[derive(Default)]
struct Town {
    members: Vec<String>,
    nodes: BTreeMap<String, (Child, Sender<String>)>,
    clients: BTreeMap<String, Sender<Value>>,
    weather: Weather,
}

/// Processes, clients, and what is between them. All of it ends when the last of its clones does.
#[derive(Clone)]
pub(crate) struct Bench {
    town: Arc<Mutex<Town>>,
    /// What was said, and by which time it is to be delivered.
    post: Sender<(Instant, Value)>,
    root: Arc<TempDir>,
    _end: Arc<End>,
}

/// Kills what runs.
struct End(Arc<Mutex<Town>>);

impl Drop for End {
    fn drop(&mut self) {
        let nodes = std::mem::take(&mut lock(&self.0).nodes);
        for (_, (mut child, _)) in nodes {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn lock(town: &Mutex<Town>) -> MutexGuard<'_, Town> {
    town.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Bench {
    pub(crate) fn new() -> Bench {
        let members = ["n1", "n2", "n3"].map(str::to_owned).to_vec();
        let town = Arc::new(Mutex::new(Town { members, ..Town::default() }));
        let (post, letters) = mpsc::channel();
        let delivering = Arc::clone(&town);
        thread::spawn(move || deliver(&delivering, &letters));
        let root = Arc::new(TempDir::new().expect("there is room"));
        Bench { _end: Arc::new(End(Arc::clone(&town))), town, post, root }
    }

    /// Who there is, instead of three nodes.
    pub(crate) fn members(&self, names: &[&str]) {
        lock(&self.town).members = names.iter().map(|name| (*name).to_owned()).collect();
    }

    /// Starts the node, for the first time or again, and tells it who it is.
    pub(crate) fn start(&self, name: &str) {
        let log = self.root.path().join(format!("{name}.log"));
        let log = File::options().create(true).append(true).open(log).expect("there is room");
        let mut child = Command::new(env!("CARGO_BIN_EXE_quorate"))
            .arg("lin-kv")
            .env("QUORATE_DATA_DIR", self.root.path())
            .args(["--snapshot-entries", &SNAPSHOT_ENTRIES.to_string()])
            .args(["--trailing-entries", "10"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("it runs");
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let (input, output) = (input.expect("a pipe"), output.expect("a pipe"));
        let members = {
            let mut town = lock(&self.town);
            town.nodes.insert(name.to_owned(), (child, writer(input)));
            town.members.clone()
        };
        let bench = self.post.clone();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).expect("every line is a message");
                if bench.send((due(), line)).is_err() {
                    break;
                }
            }
        });
        let init = json!({ "type": "init", "msg_id": 1, "node_id": name, "node_ids": members });
        let told = self.ask(&format!("init-{name}"), name, init);
        assert_eq!(told["type"], "init_ok", "{told}");
    }

    pub(crate) fn kill(&self, name: &str) {
        let node = lock(&self.town).nodes.remove(name);
        let (mut child, _) = node.expect("it runs");
        child.kill().expect("it is ours");
        child.wait().expect("it is ours");
    }

    /// What the directory of a node holds that does not run.
    pub(crate) fn inspect(&self, name: &str) -> Value {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
        let output = command.args(["--json", "inspect"]).arg(self.root.path().join(name)).output();
        let output = output.expect("it runs");
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).expect("it is JSON")
    }

    pub(crate) fn signal(&self, name: &str, signal: &str) {
        let id = lock(&self.town).nodes[name].0.id();
        let sent = Command::new("kill").args([signal, &id.to_string()]).status();
        assert!(sent.expect("there is such a command").success());
    }

    /// Such is the weather for a while, and fair again.
    pub(crate) fn weather(&self, weather: Weather, span: Duration) {
        lock(&self.town).weather = weather;
        thread::sleep(span);
        lock(&self.town).weather = Weather::default();
    }

    /// The client hears what is said to it.
    pub(crate) fn client(&self, name: &str) -> Receiver<Value> {
        let (sender, heard) = mpsc::channel();
        lock(&self.town).clients.insert(name.to_owned(), sender);
        heard
    }

    pub(crate) fn say(&self, from: &str, to: &str, body: Value) {
        let line = json!({ "src": from, "dest": to, "body": body });
        self.post.send((Instant::now(), line)).expect("the network outlives the bench");
    }

    /// What all nodes have logged.
    pub(crate) fn logs(&self) -> String {
        let members = lock(&self.town).members.clone();
        let log = |name: &String| {
            let log = fs::read_to_string(self.root.path().join(format!("{name}.log")));
            format!("the log of {name}:\n{}\n", log.unwrap_or_default())
        };
        members.iter().map(log).collect()
    }

    /// Says it, and waits for the answer's body.
    pub(crate) fn ask(&self, from: &str, to: &str, body: Value) -> Value {
        let number = body.get("msg_id").cloned();
        let heard = self.client(from);
        self.say(from, to, body);
        let answer = heard
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|_| panic!("{to} does not answer; {}", self.logs()));
        assert_eq!(answer["body"].get("in_reply_to"), number.as_ref());
        answer["body"].clone()
    }
}

/// Writes to a node that may have been stopped, so that nobody else has to wait for it.
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

fn due() -> Instant {
    Instant::now() + Duration::from_micros(rand::rng().random_range(0..5000))
}

/// Delivers what is due until nobody can say anything any more.
fn deliver(town: &Mutex<Town>, letters: &Receiver<(Instant, Value)>) {
    let mut waiting: BinaryHeap<Reverse<(Instant, u64)>> = BinaryHeap::new();
    let mut lines = BTreeMap::new();
    for number in 0.. {
        let first = waiting.peek().map(|Reverse((due, _))| *due);
        let wait = first.map_or(PATIENCE, |due| due.saturating_duration_since(Instant::now()));
        match letters.recv_timeout(wait) {
            Ok((due, line)) => {
                let mut rng = rand::rng();
                if rng.random_bool(lock(town).weather.twice) {
                    let later = due + rng.random_range(Duration::ZERO..TWICE_AFTER_MAX);
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
            let line = lines.remove(&number).expect("it waits");
            lock(town).deliver(&line);
        }
    }
}

impl Town {
    fn deliver(&mut self, line: &Value) {
        let from = line["src"].as_str().expect("who speaks");
        let to = line["dest"].as_str().expect("to whom");
        if let Some(client) = self.clients.get(to) {
            let _ = client.send(line.clone());
            return;
        }
        let mut rng = rand::rng();
        let between = self.members.iter().any(|name| name == from);
        let Weather { alone, mute, lost, .. } = self.weather;
        let cut = alone == Some(from) || alone == Some(to) || mute == Some(from);
        if (between && cut) || rng.random_bool(lost) {
            return;
        }
        if let Some((_, input)) = self.nodes.get(to) {
            // Whoever was killed hears nothing.
            let _ = input.send(line.to_string());
        }
    }
}
