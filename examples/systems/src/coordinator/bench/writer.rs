//! Writes beside what is measured: one client that puts the next value once it is told that every
//! live node has the last one.
#![expect(clippy::disallowed_methods, reason = "it measures")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use quorate::runtime::blocking::Client;
use quorate::types::Acknowledge;

use crate::common::codec;
use crate::common::exit::Trouble;
use crate::common::latencies::Latencies;
use crate::common::nodes::Nodes;
use crate::coordinator::bench::measured::Load;
use crate::coordinator::message::{Command, Reply};

/// The key that is read.
pub(super) const KEY: &str = "measured";
/// How many keys others are written to.
const OTHERS: u64 = 100;

/// A thread that writes until it is to end.
pub(super) struct Writer {
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Latencies, Trouble>>>,
}

impl Writer {
    /// Begins; the key that is read has a value by then.
    ///
    /// # Errors
    /// The key could not be written.
    pub(super) fn start(load: Load, nodes: &Nodes) -> Result<Writer, Trouble> {
        let mut config = nodes.client_config();
        config.acknowledge = Acknowledge::AllLive;
        let client = Client::new(config).map_err(Trouble::wrong)?;
        put(&client, KEY.to_owned())?;
        let end = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&end);
        let write = move || {
            let mut latencies = Latencies::default();
            for number in 0u64.. {
                if ended.load(Ordering::Relaxed) {
                    break;
                }
                let asked = Instant::now();
                put(&client, load.key(number))?;
                latencies.add(asked.elapsed());
            }
            Ok(latencies)
        };
        let thread = (load != Load::Idle).then(|| thread::spawn(write));
        Ok(Writer { end, thread })
    }

    /// Ends: how long the writes took, if there were any.
    ///
    /// # Errors
    /// A write was not answered.
    pub(super) fn end(self) -> Result<Option<Latencies>, Trouble> {
        self.end.store(true, Ordering::Relaxed);
        self.thread.map(|thread| thread.join().expect("no panic")).transpose()
    }
}

impl Load {
    /// The key that the write of this number goes to.
    fn key(self, number: u64) -> String {
        match self {
            Load::Idle | Load::SameKey => KEY.to_owned(),
            Load::OtherKeys => format!("other{}", number % OTHERS),
        }
    }
}

fn put(client: &Client, key: String) -> Result<(), Trouble> {
    let command = Command::Put { key, value: "a value".to_owned() };
    let told = client.propose(&codec::encode(&command))?;
    match codec::decode(&told) {
        Some(Reply::Put) => Ok(()),
        told => Err(Trouble::wrong(format!("`{command}` was told {told:?}"))),
    }
}
