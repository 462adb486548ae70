//! Clients of the real nodes. Each operation is a process of `quorate`; operations and results form
//! the history for the linearizability checker.

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
use quorate_checker::value::{Value, ValueId, ValueTable};
use quorate_checker::verdict::Verdict;
use serde_json::Value as Json;

use crate::cli::clock::{Stopwatch, sleep};
use crate::cli::procs::detached::detached_command;
use crate::faults::{ScriptedOperation, ScriptedOutcome, ScriptedRequest};
use crate::observe::outcome::{LeaderPeriod, ScriptedResult, ScriptedResults};
use crate::settings::Settings;
use crate::values::digest::mix;
use crate::values::time::SimTime;

/// The clients of a run, with their history and the observed results.
#[derive(Debug)]
pub(super) struct ProcessClients {
    /// The words before every subcommand: the namespace prefix and the binary.
    words: Vec<String>,
    addresses: Vec<String>,
    folder: PathBuf,
    watch: Stopwatch,
    recorder: Recorder<KvOp, KvRet>,
    values: ValueTable,
    results: Mutex<ScriptedResults>,
    /// The next client id in the history; each id is used for one operation.
    names: AtomicU32,
    answered: AtomicU32,
    stopped: AtomicBool,
}

/// The exit code and the standard output of a process of `quorate`.
struct CommandOutput {
    code: i32,
    out: String,
}

/// The number of keys that the load clients share.
const KEYS: u64 = 8;
/// The interval at which the clients poll for the leader.
const LEADER_POLL_INTERVAL: Duration = Duration::from_millis(50);

impl ProcessClients {
    /// Returns clients that have sent nothing. Every command begins with `exec_prefix`; the clock
    /// of the run starts now.
    pub(super) fn new(
        exec_prefix: Vec<String>,
        binary: &Path,
        addresses: Vec<String>,
        folder: &Path,
    ) -> ProcessClients {
        let mut words = exec_prefix;
        words.push(binary.display().to_string());
        ProcessClients {
            words,
            addresses,
            folder: folder.to_owned(),
            watch: Stopwatch::start(),
            recorder: Recorder::new(),
            values: ValueTable::default(),
            results: Mutex::default(),
            names: AtomicU32::new(0),
            answered: AtomicU32::new(0),
            stopped: AtomicBool::new(false),
        }
    }

    /// Restarts the clock of the run.
    pub(super) fn restart_clock(&mut self) {
        self.watch = Stopwatch::start();
    }

    /// Returns the time since the start of the run.
    pub(super) fn now(&self) -> Duration {
        self.watch.elapsed()
    }

    /// Stops the load clients and the polling of the leader.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Returns the number of answered operations.
    pub(super) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed).into()
    }

    /// Returns the results observed so far.
    pub(super) fn results(&self) -> MutexGuard<'_, ScriptedResults> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a command of `quorate` to its end, with `within` as its timeout.
    fn run_command(&self, words: &[&str], nodes: &[String], within: Duration) -> CommandOutput {
        let mut command = detached_command(&self.words[0]);
        command.args(&self.words[1..]).args(words).current_dir(&self.folder);
        let timeout = millis(within.max(Duration::from_millis(10)));
        command.args(["--plaintext", "--timeout", &timeout, "--nodes", &nodes.join(",")]);
        match command.stdin(Stdio::null()).output() {
            Ok(output) => CommandOutput {
                code: output.status.code().unwrap_or(-1),
                out: String::from_utf8_lossy(&output.stdout).into_owned(),
            },
            Err(_) => CommandOutput { code: 3, out: String::new() },
        }
    }

    /// Runs an operator command against the leader; returns true if it succeeded.
    pub(super) fn run_operator_command(&self, words: &[&str]) -> bool {
        self.run_command(words, &self.addresses, Duration::from_secs(5)).code == 0
    }

    /// Returns the node that reports itself as leader in the highest term.
    pub(super) fn leader(&self) -> Option<NodeId> {
        let output =
            self.run_command(&["status", "--json"], &self.addresses, Duration::from_millis(300));
        let status: Json = serde_json::from_str(&output.out).ok()?;
        let nodes = status["nodes"].as_array()?;
        let leaders = nodes.iter().filter(|node| node["role"] == "leader");
        let leader = leaders.max_by_key(|node| node["term"].as_u64())?;
        leader["node"].as_u64().map(NodeId)
    }

    /// Polls for the leader and records every change, until the clients are stopped.
    pub(super) fn poll_leader(&self) {
        while !self.stopped.load(Ordering::Relaxed) {
            let leader = self.leader();
            let now = SimTime::default().after(self.now());
            let mut results = self.results();
            let last = results.leader_periods.last().and_then(|period| period.leader);
            if leader != last {
                results.leader_periods.push(LeaderPeriod { since: now, leader });
            }
            drop(results);
            sleep(LEADER_POLL_INTERVAL);
        }
    }

    /// Runs one load client: sends operations one after the other, as the settings say.
    pub(super) fn run_client(&self, client: u64, seed: u64, settings: &Settings) {
        let mut seen: [Option<String>; KEYS as usize] = Default::default();
        let mut drawn = 0;
        let mut below = |bound: u64| {
            drawn += 1;
            mix(mix(seed, client), drawn) % bound
        };
        let mut count = 0;
        while !self.stopped.load(Ordering::Relaxed) && self.answered() < settings.operations_max {
            count += 1;
            let number = below(KEYS);
            let (key, value) = (format!("k{number}"), format!("c{client}.{count}"));
            let known = &mut seen[number as usize];
            let operation = if below(1_000) < settings.read_permille {
                ScriptedOperation::Get(key, ReadLevel::Linearizable, None)
            } else if below(3) == 0 {
                ScriptedOperation::Swap(key, known.clone(), value)
            } else {
                ScriptedOperation::Put(key, value)
            };
            if let ScriptedOutcome::Value(value) =
                self.perform(&operation, None, settings.request_timeout)
            {
                *known = value;
            }
            sleep(settings.think_time.min);
        }
    }

    /// Performs a scripted request and records its outcome.
    pub(super) fn run_request(
        &self,
        op: usize,
        request: &ScriptedRequest,
        via: Option<u64>,
        patience: Duration,
    ) {
        let since = SimTime::default().after(self.now());
        let outcome = self.perform(&request.operation, via, patience);
        self.results().requests.push(ScriptedResult { op, since, outcome });
    }

    /// Performs an operation, with retries until there is an outcome or `patience` has passed.
    pub(super) fn perform(
        &self,
        operation: &ScriptedOperation,
        via: Option<u64>,
        patience: Duration,
    ) -> ScriptedOutcome {
        let watch = Stopwatch::start();
        let first = via.map(|id| self.addresses[id as usize - 1].clone());
        loop {
            let left = patience.saturating_sub(watch.elapsed());
            let nodes = match &first {
                Some(address) => std::slice::from_ref(address),
                None => &self.addresses[..],
            };
            let (words, is_current) = command_line(operation, first.as_deref());
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let name = Client(self.names.fetch_add(1, Ordering::Relaxed));
            let pending = is_current.then(|| self.recorder.invoke(name, self.op(operation)));
            let output = self.run_command(&words, nodes, left);
            // 3: not executed, safe to retry; 5: rejected; 4 and others: the outcome is unknown.
            let outcome = match output.code {
                0 | 1 | 11 => outcome(operation, &output),
                3 if watch.elapsed() < patience => {
                    pending.into_iter().for_each(|pending| pending.failed());
                    sleep(Duration::from_millis(20));
                    continue;
                }
                3 | 5 => {
                    pending.into_iter().for_each(|pending| pending.failed());
                    return ScriptedOutcome::NoReply;
                }
                // A dropped `pending` has an unknown outcome in the history.
                _ => return ScriptedOutcome::NoReply,
            };
            self.answered.fetch_add(1, Ordering::Relaxed);
            if let Some(pending) = pending {
                pending.returned(self.ret(operation, &outcome));
            }
            return outcome;
        }
    }

    /// Checks the history for linearizability; returns the verdict and the number of operations.
    pub(super) fn verdict(&self) -> (Verdict, usize) {
        let model =
            Kv { init: self.values.intern(Value::Null).into(), values: self.values.clone() };
        let history = self.recorder.history();
        (check(&model, &history, &Budget::default()), history.operations().len())
    }

    fn value(&self, text: Option<&String>) -> ValueId {
        self.values.intern(text.map_or(Value::Null, |text| Value::Text(text.clone())))
    }

    fn op(&self, operation: &ScriptedOperation) -> KvOp {
        let (key, call) = match operation {
            ScriptedOperation::Put(key, value) => (key, KvCall::Put(self.value(Some(value)))),
            ScriptedOperation::Swap(key, from, to) => {
                let (from, to) = (self.value(from.as_ref()), self.value(Some(to)));
                (key, KvCall::Cas { from, to })
            }
            ScriptedOperation::Get(key, ..) => (key, KvCall::Get),
        };
        KvOp { key: self.value(Some(key)), call }
    }

    fn ret(&self, operation: &ScriptedOperation, outcome: &ScriptedOutcome) -> KvRet {
        match (operation, outcome) {
            (ScriptedOperation::Swap(..), outcome) => {
                KvRet::Swapped(*outcome == ScriptedOutcome::Done)
            }
            (ScriptedOperation::Get(..), ScriptedOutcome::Value(value)) => {
                KvRet::Value(self.value(value.as_ref()))
            }
            _ => KvRet::Written,
        }
    }
}

/// Formats a duration as a flag value of `quorate`.
pub(super) fn millis(span: Duration) -> String {
    format!("{}ms", span.as_millis())
}

/// Returns the operation as arguments of `quorate`, and whether its result must be linearizable.
fn command_line(operation: &ScriptedOperation, at: Option<&str>) -> (Vec<String>, bool) {
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    match operation {
        ScriptedOperation::Put(key, value) => (owned(&["put", key, value]), true),
        ScriptedOperation::Swap(key, from, to) => {
            let mut words = owned(&["cas", key, "--to", to]);
            words.extend(from.iter().flat_map(|from| owned(&["--from", from])));
            (words, true)
        }
        ScriptedOperation::Get(key, level, _) => {
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

/// Returns the outcome of a command that ended with exit code 0, 1 or 11. The values of a run are
/// short, so 11 means that the key of a compare does not exist.
fn outcome(operation: &ScriptedOperation, output: &CommandOutput) -> ScriptedOutcome {
    let value = || Some(output.out.trim_end().to_owned()).filter(|text| !text.is_empty());
    match (operation, output.code) {
        (ScriptedOperation::Put(..) | ScriptedOperation::Swap(..), 0) => ScriptedOutcome::Done,
        (ScriptedOperation::Get(..), 1) | (ScriptedOperation::Swap(..), 11) => {
            ScriptedOutcome::Value(None)
        }
        _ => ScriptedOutcome::Value(value()),
    }
}
