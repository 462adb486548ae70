//! Concurrent clients, each with one operation at a time, and the history of their operations.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use quorate_checker::history::{Client, History, Pending, Recorder};
use quorate_checker::models::{KvCall, KvOp, KvRet};
use quorate_checker::value::ValueId;
use rand::RngExt;
use serde_json::{Value, json};

use super::bench::TestBench;

pub(crate) const CLIENTS: usize = 5;
const KEYS: u32 = 3;
const VALUES: u32 = 5;
/// The time that a client waits for an answer.
const WAIT: Duration = Duration::from_secs(1);
/// The time in which every client must write again after the faults end.
const TIMEOUT: Duration = Duration::from_secs(60);

type Op = KvOp;

/// Running clients, with their history.
pub(crate) struct Clients {
    recorder: Arc<Recorder<Op, KvRet>>,
    finished: Arc<AtomicBool>,
    /// The number of writes of each client.
    written: Arc<[AtomicUsize; CLIENTS]>,
    threads: Vec<JoinHandle<()>>,
}

impl Clients {
    pub(crate) fn start(bench: &TestBench, nodes: &'static [&'static str]) -> Clients {
        let (recorder, finished) = (Arc::new(Recorder::new()), Arc::new(AtomicBool::new(false)));
        let written: Arc<[AtomicUsize; CLIENTS]> = Arc::default();
        let client = |number: usize| {
            let (bench, recorder) = (bench.clone(), Arc::clone(&recorder));
            let (finished, written) = (Arc::clone(&finished), Arc::clone(&written));
            thread::spawn(move || {
                let mut client = TestClient { bench, number, process: number, requests: 0 };
                while !finished.load(Ordering::Relaxed) {
                    if client.ask(&recorder, nodes) {
                        written[number].fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        };
        let threads = (0..CLIENTS).map(client).collect();
        Clients { recorder, finished, written, threads }
    }

    /// Waits until every client has written once more.
    pub(crate) fn until_all_write(&self) {
        let counts = || self.written.each_ref().map(|count| count.load(Ordering::Relaxed));
        let (before, end) = (counts(), Instant::now() + TIMEOUT);
        while counts().iter().zip(before).any(|(now, before)| *now <= before) {
            assert!(Instant::now() < end, "a client cannot write: {before:?}, {:?}", counts());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends the clients, and returns the history of their operations.
    pub(crate) fn end(self) -> History<Op, KvRet> {
        self.finished.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("no client panics");
        }
        self.recorder.history()
    }
}

struct TestClient {
    bench: TestBench,
    number: usize,
    /// The client's process id in the history: a new one after each operation with an unknown
    /// outcome.
    process: usize,
    requests: u64,
}

/// Returns the checker's id of a value; id 0 stands for no value.
fn value_id(value: &Value) -> ValueId {
    let number = value.as_u64().expect("only numbers are written");
    ValueId(u32::try_from(number).expect("a small one") + 1)
}

impl TestClient {
    /// Executes one operation, and returns true if it was a successful write.
    fn ask(&mut self, recorder: &Recorder<Op, KvRet>, nodes: &[&str]) -> bool {
        let mut rng = rand::rng();
        let (key, node) = (rng.random_range(0..KEYS), nodes[rng.random_range(0..nodes.len())]);
        let mut value = || rng.random_range(0..VALUES);
        let (one, other, which) = (value(), value(), value());
        let (call, mut body) = match which {
            0 | 1 => (KvCall::Get, json!({ "type": "read", "key": key })),
            2 | 3 => {
                let call = KvCall::Put(ValueId(one + 1));
                (call, json!({ "type": "write", "key": key, "value": one }))
            }
            _ => {
                let call = KvCall::Cas { from: ValueId(one + 1), to: ValueId(other + 1) };
                (call, json!({ "type": "cas", "key": key, "from": one, "to": other }))
            }
        };
        self.requests += 1;
        body["msg_id"] = json!(self.requests);
        let name = format!("c{}", self.number);
        let answers = self.bench.client(&name);
        let client = Client(u32::try_from(self.process).expect("few"));
        let pending = recorder.invoke(client, KvOp { key: ValueId(key), call });
        self.bench.send(&name, node, body);
        let end = Instant::now() + WAIT;
        let answer = loop {
            let left = end.saturating_duration_since(Instant::now());
            match answers.recv_timeout(left) {
                Ok(line) if line["body"]["in_reply_to"] == self.requests => break Some(line),
                Ok(_) => {}
                Err(_) => break None,
            }
        };
        self.record(call, pending, answer.as_ref().map(|line| &line["body"]))
    }

    fn record(&mut self, call: KvCall, pending: Pending<Op, KvRet>, body: Option<&Value>) -> bool {
        let code = body.and_then(|body| body["code"].as_u64());
        match (call, body.and_then(|body| body["type"].as_str())) {
            (KvCall::Get, Some("read_ok")) => {
                pending.returned(KvRet::Value(value_id(
                    &body.expect("an answer has a body")["value"],
                )));
            }
            (KvCall::Get, Some("error")) if code == Some(20) => {
                pending.returned(KvRet::Value(ValueId(0)));
            }
            (KvCall::Get, _) => pending.failed(),
            (KvCall::Put(_), Some("write_ok")) => {
                pending.returned(KvRet::Written);
                return true;
            }
            (KvCall::Cas { .. }, Some("cas_ok")) => pending.returned(KvRet::Swapped(true)),
            (KvCall::Cas { .. }, Some("error")) if matches!(code, Some(20 | 22)) => {
                pending.returned(KvRet::Swapped(false));
            }
            _ => {
                pending.unknown();
                self.process += CLIENTS;
            }
        }
        false
    }
}
