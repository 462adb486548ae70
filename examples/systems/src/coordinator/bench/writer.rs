//! The write load: one client that writes sequentially, each write acknowledged by every live node.
#![expect(clippy::disallowed_methods, reason = "it measures real time")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use quorate::runtime::blocking::Client;
use quorate::types::Acknowledge;

use crate::common::codec;
use crate::common::exit::{CommandError, CommandResult};
use crate::common::latencies::Latencies;
use crate::common::local_cluster::LocalCluster;
use crate::coordinator::bench::measured::Load;
use crate::coordinator::message::{Command, Reply};

/// The key that the measured reads read.
pub(super) const KEY: &str = "measured";
/// The number of keys that [`Load::OtherKeys`] writes.
const OTHERS: u64 = 100;

/// The writer thread, which runs until [`Writer::end`].
pub(super) struct Writer {
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<CommandResult<Latencies>>>,
}

impl Writer {
    /// Writes the key that is read, and starts the writer thread.
    ///
    /// # Errors
    /// The key cannot be written.
    pub(super) fn start(load: Load, nodes: &LocalCluster) -> CommandResult<Writer> {
        let mut config = nodes.client_config();
        config.acknowledge = Acknowledge::AllLive;
        let client = Client::new(config).map_err(CommandError::usage)?;
        put(&client, KEY.to_owned())?;
        let end = Arc::new(AtomicBool::new(false));
        let is_ended = Arc::clone(&end);
        let write = move || {
            let mut latencies = Latencies::default();
            for number in 0u64.. {
                if is_ended.load(Ordering::Relaxed) {
                    break;
                }
                let started = Instant::now();
                put(&client, load.key(number))?;
                latencies.add(started.elapsed());
            }
            Ok(latencies)
        };
        let thread = (load != Load::Idle).then(|| thread::spawn(write));
        Ok(Writer { end, thread })
    }

    /// Ends the thread and returns the latencies of its writes, if there were any.
    ///
    /// # Errors
    /// A write was not acknowledged.
    pub(super) fn end(self) -> CommandResult<Option<Latencies>> {
        self.end.store(true, Ordering::Relaxed);
        self.thread.map(|thread| thread.join().expect("no panic")).transpose()
    }
}

impl Load {
    /// Returns the key of the write with this number.
    fn key(self, number: u64) -> String {
        match self {
            Load::Idle | Load::SameKey => KEY.to_owned(),
            Load::OtherKeys => format!("other{}", number % OTHERS),
        }
    }
}

fn put(client: &Client, key: String) -> CommandResult<()> {
    let command = Command::Put { key, value: "a value".to_owned() };
    let reply = client.propose(&codec::encode(&command))?;
    match codec::decode(&reply) {
        Some(Reply::Put) => Ok(()),
        reply => Err(CommandError::usage(format!("unexpected reply to `{command}`: {reply:?}"))),
    }
}
