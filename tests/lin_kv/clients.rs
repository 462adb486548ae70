//! Clients that each do one thing after the other, and remember what they saw.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use quorate_checker::history::{Client, History, Pending, Recorder};
use quorate_checker::models::{KvCall, KvOp, KvRet};
use quorate_checker::value::Value as Known;
use rand::RngExt;
use serde_json::{Value, json};

use crate::bench::Bench;

pub(crate) const CLIENTS: usize = 5;
const KEYS: u32 = 3;
const VALUES: u32 = 5;
/// How long a client waits for an answer.
const WAIT: Duration = Duration::from_secs(1);
/// How long all may take to write once all is well again; only a test that fails waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

type Op = KvOp;

/// Clients that run.
pub(crate) struct Clients {
    recorder: Arc<Recorder<Op, KvRet>>,
    ends: Arc<AtomicBool>,
    /// How often each has written.
    written: Arc<[AtomicUsize; CLIENTS]>,
    threads: Vec<JoinHandle<()>>,
}

impl Clients {
    pub(crate) fn start(bench: &Bench, nodes: &'static [&'static str]) -> Clients {
        let (recorder, ends) = (Arc::new(Recorder::new()), Arc::new(AtomicBool::new(false)));
        let written: Arc<[AtomicUsize; CLIENTS]> = Arc::default();
        let client = |number: usize| {
            let (bench, recorder) = (bench.clone(), Arc::clone(&recorder));
            let (ends, written) = (Arc::clone(&ends), Arc::clone(&written));
            thread::spawn(move || {
                let mut client = Asking { bench, number, process: number, asked: 0 };
                while !ends.load(Ordering::Relaxed) {
                    if client.ask(&recorder, nodes) {
                        written[number].fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        };
        let threads = (0..CLIENTS).map(client).collect();
        Clients { recorder, ends, written, threads }
    }

    /// Waits until every client has written something more.
    pub(crate) fn until_all_write(&self) {
        let counts = || self.written.each_ref().map(|count| count.load(Ordering::Relaxed));
        let (before, end) = (counts(), Instant::now() + PATIENCE);
        while counts().iter().zip(before).any(|(now, before)| *now <= before) {
            assert!(Instant::now() < end, "not all can write: {before:?}, {:?}", counts());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Everything that all of them saw.
    pub(crate) fn end(self) -> History<Op, KvRet> {
        self.ends.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("no client panics");
        }
        self.recorder.history()
    }
}

struct Asking {
    bench: Bench,
    number: usize,
    /// Who it is to the checker: another one after each operation whose end it does not know.
    process: usize,
    asked: u64,
}

/// A value as it is said: none is the checker's zero.
fn known(value: &Value) -> Known {
    let number = value.as_u64().expect("only numbers are written");
    Known(u32::try_from(number).expect("a small one") + 1)
}

impl Asking {
    /// Does one thing. True if it wrote.
    fn ask(&mut self, recorder: &Recorder<Op, KvRet>, nodes: &[&str]) -> bool {
        let mut rng = rand::rng();
        let (key, node) = (rng.random_range(0..KEYS), nodes[rng.random_range(0..nodes.len())]);
        let mut value = || rng.random_range(0..VALUES);
        let (one, other, which) = (value(), value(), value());
        let (call, mut body) = match which {
            0 | 1 => (KvCall::Get, json!({ "type": "read", "key": key })),
            2 | 3 => {
                let call = KvCall::Put(Known(one + 1));
                (call, json!({ "type": "write", "key": key, "value": one }))
            }
            _ => {
                let call = KvCall::Cas { from: Known(one + 1), to: Known(other + 1) };
                (call, json!({ "type": "cas", "key": key, "from": one, "to": other }))
            }
        };
        self.asked += 1;
        body["msg_id"] = json!(self.asked);
        let name = format!("c{}", self.number);
        let heard = self.bench.client(&name);
        let client = Client(u32::try_from(self.process).expect("few"));
        let pending = recorder.invoke(client, KvOp { key: Known(key), call });
        self.bench.say(&name, node, body);
        let end = Instant::now() + WAIT;
        let answer = loop {
            let left = end.saturating_duration_since(Instant::now());
            match heard.recv_timeout(left) {
                Ok(line) if line["body"]["in_reply_to"] == self.asked => break Some(line),
                Ok(_) => {}
                Err(_) => break None,
            }
        };
        self.note(call, pending, answer.as_ref().map(|line| &line["body"]))
    }

    fn note(&mut self, call: KvCall, pending: Pending<Op, KvRet>, body: Option<&Value>) -> bool {
        let code = body.and_then(|body| body["code"].as_u64());
        match (call, body.and_then(|body| body["type"].as_str())) {
            (KvCall::Get, Some("read_ok")) => {
                pending.returned(KvRet::Value(known(&body.expect("it was told")["value"])));
            }
            (KvCall::Get, Some("error")) if code == Some(20) => {
                pending.returned(KvRet::Value(Known(0)));
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
