//! What clients ask real nodes, each time by a process of `quorate`, and what they were told: a
//! history for the checker.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quorate::types::{NodeId, ReadLevel};
use quorate_checker::budget::Budget;
use quorate_checker::check::check;
use quorate_checker::history::{Client, Recorder};
use quorate_checker::models::{Kv, KvCall, KvOp, KvRet};
use quorate_checker::value::{Datum, Value, Values};
use quorate_checker::verdict::Verdict;
use serde_json::Value as Json;

use crate::cli::clock::{Stopwatch, pause};
use crate::cli::procs::apart::apart;
use crate::digest::mix;
use crate::outcome::{Answered, Reign, Sightings};
use crate::plan::{Answer, Errand, Task};
use crate::settings::Settings;
use crate::time::SimTime;

/// Everything that is asked from outside, and what was seen by it.
#[derive(Debug)]
pub(super) struct Asking {
    /// The words before every command.
    words: Vec<String>,
    addresses: Vec<String>,
    folder: PathBuf,
    watch: Stopwatch,
    recorder: Recorder<KvOp, KvRet>,
    values: Values,
    sightings: Mutex<Sightings>,
    /// The next name of a client in the history: each is used for one operation.
    names: AtomicU32,
    answered: AtomicU32,
    ended: AtomicBool,
}

/// What a process of `quorate` came to.
struct Told {
    code: i32,
    out: String,
}

/// How many keys the clients share that ask by themselves.
const KEYS: u64 = 8;
/// How often the nodes are asked who leads.
const LOOK: Duration = Duration::from_millis(50);

impl Asking {
    /// Nobody asks yet. Every command begins with the words of `within`; time begins now.
    pub(super) fn new(
        within: Vec<String>,
        binary: &Path,
        addresses: Vec<String>,
        folder: &Path,
    ) -> Asking {
        let mut words = within;
        words.push(binary.display().to_string());
        Asking {
            words,
            addresses,
            folder: folder.to_owned(),
            watch: Stopwatch::start(),
            recorder: Recorder::new(),
            values: Values::default(),
            sightings: Mutex::default(),
            names: AtomicU32::new(0),
            answered: AtomicU32::new(0),
            ended: AtomicBool::new(false),
        }
    }

    /// Time begins again: now.
    pub(super) fn begin(&mut self) {
        self.watch = Stopwatch::start();
    }

    /// The time since the beginning.
    pub(super) fn now(&self) -> Duration {
        self.watch.elapsed()
    }

    /// Nobody who asks by themselves asks any more.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    /// How many operations were answered.
    pub(super) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed).into()
    }

    /// What was seen so far.
    pub(super) fn sightings(&self) -> MutexGuard<'_, Sightings> {
        self.sightings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a command of `quorate` until it ends, which it does within the time.
    fn ask(&self, words: &[&str], nodes: &[String], within: Duration) -> Told {
        let mut command = apart(&self.words[0]);
        command.args(&self.words[1..]).args(words).current_dir(&self.folder);
        let timeout = millis(within.max(Duration::from_millis(10)));
        command.args(["--plaintext", "--timeout", &timeout, "--nodes", &nodes.join(",")]);
        match command.stdin(Stdio::null()).output() {
            Ok(output) => Told {
                code: output.status.code().unwrap_or(-1),
                out: String::from_utf8_lossy(&output.stdout).into_owned(),
            },
            Err(_) => Told { code: 3, out: String::new() },
        }
    }

    /// Gives an order to whoever leads; whether it was carried out.
    pub(super) fn order(&self, words: &[&str]) -> bool {
        self.ask(words, &self.addresses, Duration::from_secs(5)).code == 0
    }

    /// Who says of itself that it leads, in the highest term of all that do.
    pub(super) fn leader(&self) -> Option<NodeId> {
        let told = self.ask(&["status", "--json"], &self.addresses, Duration::from_millis(300));
        let status: Json = serde_json::from_str(&told.out).ok()?;
        let nodes = status["nodes"].as_array()?;
        let leaders = nodes.iter().filter(|node| node["role"] == "leader");
        let leader = leaders.max_by_key(|node| node["term"].as_u64())?;
        leader["node"].as_u64().map(NodeId)
    }

    /// Looks who leads, again and again, until nobody asks any more.
    pub(super) fn look(&self) {
        while !self.ended.load(Ordering::Relaxed) {
            let leader = self.leader();
            let now = SimTime::default().after(self.now());
            let mut sightings = self.sightings();
            let last = sightings.reigns.last().and_then(|reign| reign.leader);
            if leader != last {
                sightings.reigns.push(Reign { since: now, leader });
            }
            drop(sightings);
            pause(LOOK);
        }
    }

    /// A client asks again and again, one thing after the other, as the settings say.
    pub(super) fn work(&self, client: u64, seed: u64, settings: &Settings) {
        let mut seen: [Option<String>; KEYS as usize] = Default::default();
        let mut drawn = 0;
        let mut below = |bound: u64| {
            drawn += 1;
            mix(mix(seed, client), drawn) % bound
        };
        let mut count = 0;
        while !self.ended.load(Ordering::Relaxed) && self.answered() < settings.operations_max {
            count += 1;
            let number = below(KEYS);
            let (key, value) = (format!("k{number}"), format!("c{client}.{count}"));
            let known = &mut seen[number as usize];
            let task = if below(1_000) < settings.read_permille {
                Task::Get(key, ReadLevel::Linearizable, None)
            } else if below(3) == 0 {
                Task::Swap(key, known.clone(), value)
            } else {
                Task::Put(key, value)
            };
            if let Answer::Value(value) = self.carry_out(&task, None, settings.patience) {
                *known = value;
            }
            pause(settings.think.least);
        }
    }

    /// A client goes on an errand, and what comes of it is seen.
    pub(super) fn errand(&self, op: usize, errand: &Errand, via: Option<u64>, patience: Duration) {
        let since = SimTime::default().after(self.now());
        let answer = self.carry_out(&errand.task, via, patience);
        self.sightings().answers.push(Answered { op, since, answer });
    }

    /// Asks until there is an answer or the time is over.
    pub(super) fn carry_out(&self, task: &Task, via: Option<u64>, patience: Duration) -> Answer {
        let watch = Stopwatch::start();
        let first = via.map(|id| self.addresses[id as usize - 1].clone());
        loop {
            let left = patience.saturating_sub(watch.elapsed());
            let nodes = match &first {
                Some(address) => std::slice::from_ref(address),
                None => &self.addresses[..],
            };
            let (words, is_current) = words(task, first.as_deref());
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let name = Client(self.names.fetch_add(1, Ordering::Relaxed));
            let pending = is_current.then(|| self.recorder.invoke(name, self.op(task)));
            let told = self.ask(&words, nodes, left);
            let answer = match told.code {
                0 | 1 => answer(task, &told),
                3 if watch.elapsed() < patience => {
                    pending.into_iter().for_each(|pending| pending.failed());
                    pause(Duration::from_millis(20));
                    continue;
                }
                3 | 5 => {
                    pending.into_iter().for_each(|pending| pending.failed());
                    return Answer::Silence;
                }
                // Dropped, its outcome is unknown.
                _ => return Answer::Silence,
            };
            self.answered.fetch_add(1, Ordering::Relaxed);
            if let Some(pending) = pending {
                pending.returned(self.ret(task, &answer));
            }
            return answer;
        }
    }

    /// Whether all that was told fits together, once every key was read again; and of how many
    /// operations.
    pub(super) fn verdict(&self) -> (Verdict, usize) {
        let model = Kv { init: self.values.of(Datum::Null), values: self.values.clone() };
        let history = self.recorder.history();
        (check(&model, &history, &Budget::default()), history.operations().len())
    }

    fn value(&self, text: Option<&String>) -> Value {
        self.values.of(text.map_or(Datum::Null, |text| Datum::Text(text.clone())))
    }

    fn op(&self, task: &Task) -> KvOp {
        let (key, call) = match task {
            Task::Put(key, value) => (key, KvCall::Put(self.value(Some(value)))),
            Task::Swap(key, from, to) => {
                let (from, to) = (self.value(from.as_ref()), self.value(Some(to)));
                (key, KvCall::Cas { from, to })
            }
            Task::Get(key, ..) => (key, KvCall::Get),
        };
        KvOp { key: self.value(Some(key)), call }
    }

    fn ret(&self, task: &Task, answer: &Answer) -> KvRet {
        match (task, answer) {
            (Task::Swap(..), answer) => KvRet::Swapped(*answer == Answer::Done),
            (Task::Get(..), Answer::Value(value)) => KvRet::Value(self.value(value.as_ref())),
            _ => KvRet::Written,
        }
    }
}

/// A span of time as `quorate` reads it.
pub(super) fn millis(span: Duration) -> String {
    format!("{}ms", span.as_millis())
}

/// The task as words for `quorate`, and whether its answer must be current.
fn words(task: &Task, at: Option<&str>) -> (Vec<String>, bool) {
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    match task {
        Task::Put(key, value) => (owned(&["put", key, value]), true),
        Task::Swap(key, from, to) => {
            let mut words = owned(&["cas", key, "--to", to]);
            words.extend(from.iter().flat_map(|from| owned(&["--from", from])));
            (words, true)
        }
        Task::Get(key, level, _) => {
            let (name, is_current) = match level {
                ReadLevel::Linearizable => ("linearizable".to_owned(), true),
                ReadLevel::Lease => ("lease".to_owned(), true),
                ReadLevel::Replica => ("replica".to_owned(), true),
                ReadLevel::Bounded(age) => (millis(*age), false),
                ReadLevel::Local => ("local".to_owned(), false),
            };
            let mut words = owned(&["get", key, "--level", &name]);
            words.extend(at.iter().flat_map(|at| owned(&["--at", at])));
            (words, is_current)
        }
    }
}

/// What a command says that ended with 0 or 1.
fn answer(task: &Task, told: &Told) -> Answer {
    let said = || Some(told.out.trim_end().to_owned()).filter(|text| !text.is_empty());
    match (task, told.code) {
        (Task::Put(..) | Task::Swap(..), 0) => Answer::Done,
        (Task::Get(..), 1) => Answer::Value(None),
        _ => Answer::Value(said()),
    }
}
