//! `quorate lin-kv`: a node of linearizable registers that speaks JSON lines on standard I/O, for
//! test harnesses like Maelstrom. The harness also carries the packets between the nodes.

mod messages;
mod pipe;
mod registers;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use quorate::runtime::{Handle, PacketInbox, Server, ServerConfig};
use quorate::storage::{ClusterId, FileDisk};
use quorate::types::{NodeId, ReadLevel};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{info, level_filters::LevelFilter, warn};

use crate::exit::{CommandError, CommandResult, Exit};
use crate::lin_kv::messages::{Code, Message, error_body};
use crate::lin_kv::pipe::Pipe;
use crate::lin_kv::registers::{Operation, Registers, Request};
use crate::service_output::{self, LogWriter, OutputStream};
use crate::values::number;

/// The flags of `lin-kv`. Each can also be set by an environment variable, because a test
/// harness starts every node with the same command.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct LinKvFlags {
    /// Parent directory of the nodes' data directories; use a new one for every run of a test
    /// harness such as Maelstrom
    #[arg(long, env = "QUORATE_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Number of applied entries after which the node takes a snapshot; it also takes one after 256
    /// MiB of entries [default: 1000000]
    #[arg(long, env = "QUORATE_SNAPSHOT_ENTRIES", value_name = "N",
        value_parser = number::<u64>(1..=u64::MAX))]
    snapshot_entries: Option<u64>,
    /// Number of log entries before a snapshot that are kept for slow followers [default: 10000]
    #[arg(long, env = "QUORATE_TRAILING_ENTRIES", value_name = "N",
        value_parser = number::<u64>(0..=u64::MAX))]
    trailing_entries: Option<u64>,
}

const AFTER_HELP: &str = "\
Reads one JSON message per line from standard input and writes one per line to standard output:
`init`, `read`, `write`, `cas`, `echo`, and messages of type `packet` between the nodes. Ends at the
end of standard input.

A node's data directory outlives it, so a test harness may kill and restart nodes. A new run needs
an empty directory, because an old one holds the keys and the answers of the previous run.

Example:
  quorate lin-kv --data-dir \"$(mktemp -d)\"";

/// The timeout of a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// The interval between two attempts of a request that was rejected.
const RETRY_INTERVAL: Duration = Duration::from_millis(10);
/// The maximum number of requests in progress at once.
const REQUESTS_MAX: usize = 1024;
/// The maximum number of times a request is forwarded, because two nodes may take each other for
/// the leader.
const HOPS_MAX: u64 = 8;
/// The same id for every node, because a test harness has one cluster and one network.
const CLUSTER: ClusterId = ClusterId(0x6c69_6e6b_7600);

pub(crate) fn run(flags: &LinKvFlags, json: bool) -> CommandResult {
    if flags.data_dir.is_none() {
        return Err(CommandError::invalid_input(
            "--data-dir (or QUORATE_DATA_DIR) is missing: name the parent directory of the nodes' \
             data directories",
        ));
    }
    let no_threads = |error| CommandError::invalid_input(format!("cannot start threads: {error}"));
    let _flush_at_end = service_output::start().map_err(no_threads)?;
    tracing_subscriber::fmt()
        .with_writer(|| LogWriter)
        .with_ansi(false)
        .with_max_level(LevelFilter::INFO)
        // An internal error would be printed to standard error, and a failed print panics.
        .log_internal_errors(false)
        .init();
    let runtime = Runtime::new().map_err(no_threads)?;
    let ended = runtime.block_on(node(flags));
    // The thread that reads standard input may block there forever.
    runtime.shutdown_background();
    Ok(ended.unwrap_or_else(|error| {
        service_output::print(OutputStream::Error, &error.line(json));
        error.exit
    }))
}

/// Runs one node, from its `init` to the end of standard input.
async fn node(flags: &LinKvFlags) -> CommandResult {
    let (mut incoming, outgoing) = (pipe::read_messages(), pipe::write_messages());
    let init = loop {
        match incoming.recv().await {
            Some(message) if message.kind() == "init" => break message,
            // A node that has not started drops messages, as a network may.
            Some(_) => {}
            None => return Ok(Exit::Done),
        }
    };
    let (own, names) = parse_init(&init)?;
    let (mut server, inbox) = start(flags, &own, &names, outgoing.clone())?;
    send(&outgoing, init.answer(&own, json!({ "type": "init_ok" }))).await;
    info!(node = own, "started");
    let node = Node { handle: server.handle(), own, names, outgoing };
    tokio::select! {
        failed = server.stopped() => return failed.map(|()| Exit::Done).map_err(node_stopped),
        () = node.serve_messages(&mut incoming, &inbox) => {}
    }
    server.shutdown().await.map(|()| Exit::Done).map_err(node_stopped)
}

fn node_stopped(failure: impl std::fmt::Display) -> CommandError {
    CommandError::new(Exit::NodeStopped, failure)
}

/// Parses `init`: returns this node's name, and the names of all nodes by id.
fn parse_init(init: &Message) -> CommandResult<(String, BTreeMap<NodeId, String>)> {
    let own = init.body.get("node_id").and_then(Value::as_str);
    let all = init.body.get("node_ids").and_then(Value::as_array);
    let (Some(own), Some(all)) = (own, all) else {
        return Err(CommandError::invalid_input("`init` lacks `node_id` or `node_ids`"));
    };
    let mut names: Vec<String> = all.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    names.sort_unstable();
    names.dedup();
    let plain = |name: &str| !name.is_empty() && !name.contains(['/', '\\', '.']);
    if names.len() != all.len() || !names.iter().any(|name| name == own) || !plain(own) {
        return Err(CommandError::invalid_input(
            "`node_ids` must be different names, and `node_id` one of them",
        ));
    }
    Ok((own.to_owned(), (1..).map(NodeId).zip(names).collect()))
}

fn start(
    flags: &LinKvFlags,
    own: &str,
    names: &BTreeMap<NodeId, String>,
    outgoing: Sender<Message>,
) -> CommandResult<(Server, PacketInbox)> {
    // Packets travel over standard I/O, so no peer connects to these addresses.
    let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let members = names.keys().map(|id| (*id, nowhere));
    let id = names.iter().find(|(_, name)| *name == own).map(|(id, _)| *id);
    let id = id.expect("`node_id` is one of `node_ids`");
    let directory = flags.data_dir.as_ref().expect("run() checked the flag").join(own);
    let config = ServerConfig::new(&directory, CLUSTER, id, members);
    let mut config = config.map_err(CommandError::invalid_input)?;
    config.inline_machine = true;
    let replica = &mut config.replica;
    replica.snapshot_entries = flags.snapshot_entries.unwrap_or(replica.snapshot_entries);
    replica.trailing_entries = flags.trailing_entries.unwrap_or(replica.trailing_entries);
    replica.check().map_err(CommandError::invalid_input)?;
    let disk = FileDisk::open(&directory).map_err(CommandError::invalid_input)?;
    let pipe = Pipe::new(own, names.clone(), outgoing);
    Server::start_with_transport(disk, config, Registers::default(), pipe)
        .map_err(CommandError::invalid_input)
}

/// The parts of a running node that its requests share.
#[derive(Clone)]
struct Node {
    handle: Handle,
    own: String,
    names: BTreeMap<NodeId, String>,
    outgoing: Sender<Message>,
}

impl Node {
    /// Serves messages until standard input ends.
    async fn serve_messages(&self, incoming: &mut Receiver<Message>, inbox: &PacketInbox) {
        let room = Arc::new(Semaphore::new(REQUESTS_MAX));
        while let Some(message) = incoming.recv().await {
            if message.kind() == "packet" {
                self.receive(&message, inbox).await;
                continue;
            }
            let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
                // A node that has forwarded the request may have executed it before.
                send(
                    &self.outgoing,
                    message.answer(
                        &self.own,
                        error_body(Code::Timeout, "too many requests in progress"),
                    ),
                )
                .await;
                continue;
            };
            let node = self.clone();
            tokio::spawn(async move {
                if let Some(answer) = node.serve(&message).await {
                    send(&node.outgoing, message.answer(&node.own, answer)).await;
                }
                drop(permit);
            });
        }
    }

    /// Delivers a packet that a peer sent in its own name; drops any other packet.
    async fn receive(&self, message: &Message, inbox: &PacketInbox) {
        match pipe::packet(message) {
            Some(packet) if self.names.get(&packet.from()) == Some(&message.src) => {
                inbox.deliver(packet).await;
            }
            _ => warn!(
                from = message.src,
                "dropped a packet that is invalid or not the sender's own"
            ),
        }
    }

    /// Returns the answer to a request, or `None` if another node answers.
    async fn serve(&self, message: &Message) -> Option<Value> {
        let served = match message.kind() {
            "read" => self.read(message).await.map(Some),
            "write" | "cas" => self.change(message).await,
            "echo" => {
                let echo = message.field("echo").cloned();
                echo.map(|echo| Some(json!({ "type": "echo_ok", "echo": echo })))
            }
            "init" => Ok(Some(json!({ "type": "init_ok" }))),
            other => Err(error_body(Code::NotSupported, &format!("unknown request `{other}`"))),
        };
        served.unwrap_or_else(Some)
    }

    async fn read(&self, message: &Message) -> Result<Value, Value> {
        let key = message.field("key")?.to_string();
        let until = Instant::now() + REQUEST_TIMEOUT;
        while Instant::now() < until {
            let read = self.handle.read(ReadLevel::Linearizable, key.as_bytes());
            if let Ok(Ok(answered)) = timeout_at(until, read).await {
                return match serde_json::from_slice::<Value>(&answered.answer) {
                    Ok(value) => Ok(json!({ "type": "read_ok", "value": value })),
                    Err(_) => Err(error_body(Code::NoKey, "no such key")),
                };
            }
            sleep(RETRY_INTERVAL).await;
        }
        Err(error_body(Code::Unavailable, "no leader answered in time"))
    }

    /// Executes a request if this node leads, or forwards it to the leader. Every attempt carries
    /// the same request number, so the request is executed at most once. If the time is over, the
    /// outcome is unknown.
    async fn change(&self, message: &Message) -> Result<Option<Value>, Value> {
        let command = serde_json::to_vec(&request(message)?).expect("the text is JSON");
        let mut leadership = self.handle.leadership();
        let until = Instant::now() + REQUEST_TIMEOUT;
        while Instant::now() < until {
            let leader = leadership.borrow_and_update().leader.and_then(|id| self.names.get(&id));
            match leader {
                Some(leader) if *leader == self.own => {
                    let reply = timeout_at(until, self.handle.propose(&command)).await;
                    if let Ok(Ok(reply)) = reply {
                        return Ok(serde_json::from_slice(&reply).ok());
                    }
                    sleep(RETRY_INTERVAL).await;
                }
                Some(leader) => {
                    self.forward(message, leader).await;
                    return Ok(None);
                }
                None => {
                    let _ = timeout_at(until, leadership.changed()).await;
                }
            }
        }
        Err(error_body(Code::Timeout, "no leader replied in time: the outcome is unknown"))
    }

    /// Forwards a request to the leader, which answers the client itself. Drops a request that was
    /// forwarded [`HOPS_MAX`] times.
    async fn forward(&self, message: &Message, leader: &str) {
        let hops = message.body.get("hops").and_then(Value::as_u64).unwrap_or_default();
        if hops < HOPS_MAX {
            let mut passed = Message { dest: leader.to_owned(), ..message.clone() };
            passed.body.insert("hops".to_owned(), Value::from(hops + 1));
            send(&self.outgoing, passed).await;
        }
    }
}

/// Builds the command of a request that changes a register.
fn request(message: &Message) -> Result<Request, Value> {
    let missing = || error_body(Code::Malformed, "a request needs a `msg_id` above 0");
    let number = message.number().filter(|number| *number > 0).ok_or_else(missing)?;
    let operation = match message.kind() {
        "write" => Operation::Write(message.field("value")?.clone()),
        _ => Operation::Cas {
            from: message.field("from")?.clone(),
            to: message.field("to")?.clone(),
        },
    };
    let (client, key) = (message.src.clone(), message.field("key")?.to_string());
    Ok(Request { client, number, key, operation })
}

async fn send(outgoing: &Sender<Message>, message: Message) {
    // The send fails only once the harness has closed the output; then it expects no messages.
    let _ = outgoing.send(message).await;
}
