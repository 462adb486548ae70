//! Concurrent clients, each with one command at a time, and the history of their operations.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;

use quorate_checker::budget::Budget;
use quorate_checker::check::check;
use quorate_checker::history::{Client, Recorder};
use quorate_checker::models::{Kv, KvCall, KvOp, KvRet};
use quorate_checker::value::{Value, ValueId, ValueTable};
use quorate_checker::verdict::Verdict;

use crate::cli::{CommandOutput, PRESENT, command_of};
use crate::nodes::{Nodes, eventually};

/// The number of clients.
const CLIENTS: u32 = 4;
/// The number of keys that the clients share.
const KEYS: u32 = 4;

/// Running clients. They end when this is dropped.
pub(crate) struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

struct Shared {
    root: PathBuf,
    addresses: Vec<String>,
    flags: Vec<String>,
    /// The commands that the clients run, each client one of them.
    programs: Vec<String>,
    recorder: Recorder<KvOp, KvRet>,
    values: ValueTable,
    answered: AtomicU32,
    ended: AtomicBool,
    /// The next client id of the history: after an unknown outcome a client gets a new one.
    names: AtomicU32,
}

impl Load {
    /// Starts the clients; the seed decides their commands.
    pub(crate) fn start(nodes: &Nodes, seed: u64) -> Load {
        Load::of(nodes, &[PRESENT], seed)
    }

    /// Starts the clients like [`Load::start`], in turn with the commands of these files.
    pub(crate) fn of(nodes: &Nodes, programs: &[&str], seed: u64) -> Load {
        let addresses = nodes.nodes().split(',').map(str::to_owned).collect();
        let programs = programs.iter().map(|program| (*program).to_owned()).collect();
        Load::by(programs, nodes.root(), addresses, Vec::new(), seed)
    }

    /// Starts the clients in the directory `root`, on nodes at these addresses; every command also
    /// has `flags`.
    pub(crate) fn on(root: &Path, addresses: Vec<String>, flags: Vec<String>, seed: u64) -> Load {
        Load::by(vec![PRESENT.to_owned()], root, addresses, flags, seed)
    }

    fn by(
        programs: Vec<String>,
        root: &Path,
        addresses: Vec<String>,
        flags: Vec<String>,
        seed: u64,
    ) -> Load {
        let shared = Arc::new(Shared {
            root: root.to_owned(),
            addresses,
            flags,
            programs,
            recorder: Recorder::new(),
            values: ValueTable::default(),
            answered: AtomicU32::new(0),
            ended: AtomicBool::new(false),
            names: AtomicU32::new(0),
        });
        let client = |number: u32| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || {
                let program = &shared.programs[number as usize % shared.programs.len()];
                shared.work(program, seed << 8 | u64::from(number));
            })
        };
        Load { clients: (0..CLIENTS).map(client).collect(), shared }
    }

    /// Waits until `more` further commands were answered.
    pub(crate) fn answered(&self, more: u32) {
        let goal = self.shared.answered.load(Ordering::Relaxed) + more;
        eventually("clients are answered", || self.shared.answered.load(Ordering::Relaxed) >= goal);
    }

    /// Ends the clients, reads every key once more, and asserts that the history is linearizable:
    /// no acknowledged write is lost, and no read is stale.
    pub(crate) fn must_be_linearizable(mut self) {
        self.end();
        let shared = &self.shared;
        for key in 0..KEYS {
            let name = Client(shared.names.fetch_add(1, Ordering::Relaxed));
            let pending = shared.recorder.invoke(name, shared.op(key, KvCall::Get));
            let output = shared.ask(PRESENT, vec!["get".to_owned(), shared.key(key)]);
            assert!(output.code <= 1, "{output:?}");
            pending.returned(shared.read(&output));
        }
        let model =
            Kv { init: shared.values.intern(Value::Null).into(), values: shared.values.clone() };
        let history = shared.recorder.history();
        let verdict = check(&model, &history, &Budget::default());
        assert!(matches!(verdict, Verdict::Linearizable), "{verdict:?}");
        let answered = shared.answered.load(Ordering::Relaxed);
        println!("{} commands, {answered} of them answered", history.operations().len());
    }

    fn end(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        for client in self.clients.drain(..) {
            let ended = client.join();
            assert!(ended.is_ok() || std::thread::panicking(), "a client panicked");
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn work(&self, program: &str, seed: u64) {
        let mut rng = Rng(seed);
        let mut name = self.names.fetch_add(1, Ordering::Relaxed);
        let mut seen = self.values.intern(Value::Null);
        let mut count = 0;
        while !self.ended.load(Ordering::Relaxed) {
            count += 1;
            let key = rng.below(KEYS);
            let text = format!("{seed}-{count}");
            let to = self.values.intern(Value::Text(text.clone()));
            let (call, words) = match rng.below(4) {
                0 => (KvCall::Put(to), vec!["put".to_owned(), self.key(key), text]),
                1 => (KvCall::Cas { from: seen, to }, self.cas(key, seen, text)),
                // Every node answers a linearizable read, also one that was paused.
                2 => (KvCall::Get, self.get_at(key, rng.below(self.addresses.len() as u32))),
                _ => (KvCall::Get, vec!["get".to_owned(), self.key(key)]),
            };
            let pending = self.recorder.invoke(Client(name), self.op(key, call));
            let timeout = ["--timeout", "3s"].map(str::to_owned);
            let output = self.ask(program, words.into_iter().chain(timeout));
            match output.code {
                0 | 1 | 11 => self.answered.fetch_add(1, Ordering::Relaxed),
                3 | 5 => {
                    pending.failed();
                    continue;
                }
                4 => {
                    pending.unknown();
                    name = self.names.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                _ => panic!("{output:?}"),
            };
            pending.returned(match call {
                KvCall::Get => {
                    let read = self.read(&output);
                    if let KvRet::Value(value) = read {
                        seen = value;
                    }
                    read
                }
                KvCall::Cas { .. } => KvRet::Swapped(output.code == 0),
                _ => KvRet::Written,
            });
        }
    }

    fn ask(&self, program: &str, words: impl IntoIterator<Item = String>) -> CommandOutput {
        let nodes = ["--nodes".to_owned(), self.addresses.join(",")];
        let words = words.into_iter().chain(nodes).chain(self.flags.iter().cloned());
        CommandOutput::run(command_of(program).current_dir(&self.root).args(words))
    }

    fn key(&self, key: u32) -> String {
        format!("key-{key}")
    }

    fn op(&self, key: u32, call: KvCall) -> KvOp {
        KvOp { key: self.values.intern(Value::Text(self.key(key))), call }
    }

    fn read(&self, output: &CommandOutput) -> KvRet {
        KvRet::Value(self.values.intern(match output.code {
            0 => Value::Text(output.out.trim_end().to_owned()),
            _ => Value::Null,
        }))
    }

    fn get_at(&self, key: u32, place: u32) -> Vec<String> {
        let address = self.addresses[place as usize].clone();
        vec!["get".to_owned(), self.key(key), "--at".to_owned(), address]
    }

    fn cas(&self, key: u32, from: ValueId, to: String) -> Vec<String> {
        let mut words = vec!["cas".to_owned(), self.key(key), "--to".to_owned(), to];
        let from = self.values.with(|data| match &data[from.0 as usize] {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        });
        words.extend(from.into_iter().flat_map(|from| ["--from".to_owned(), from]));
        words
    }
}

/// A seeded random number generator: SplitMix64.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % u64::from(bound)) as u32
    }
}
