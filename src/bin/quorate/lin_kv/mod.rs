//! `quorate lin-kv`: a node of linearizable registers that speaks lines of JSON, for test benches
//! of processes. The bench is the network: peers' packets go through it as well.

mod pipe;
mod registers;
mod speech;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use quorate::runtime::{Handle, Inlet, Server, ServerConfig};
use quorate::storage::{ClusterId, FileDisk};
use quorate::types::{NodeId, ReadLevel};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{info, level_filters::LevelFilter, warn};

use crate::exit::{Exit, Trouble};
use crate::lin_kv::pipe::Pipe;
use crate::lin_kv::registers::{Operation, Registers, Request};
use crate::lin_kv::speech::{Code, Line, refusal};

/// What `lin-kv` takes. A bench starts every node by the same words, so that variables do as well.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct LinKvFlags {
    /// Where each node has a directory with its name; another one for every run of a bench
    #[arg(long, env = "QUORATE_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// After how many commands a snapshot is taken [default: 1000000]
    #[arg(long, env = "QUORATE_SNAPSHOT_ENTRIES", value_name = "N")]
    snapshot_entries: Option<u64>,
    /// How many commands before a snapshot are kept for nodes that lag [default: 10000]
    #[arg(long, env = "QUORATE_TRAILING_ENTRIES", value_name = "N")]
    trailing_entries: Option<u64>,
}

const AFTER_HELP: &str = "\
Reads one JSON message a line from standard input and writes one a line to standard output: `init`,
`read`, `write`, `cas`, `echo`, and messages of type `packet` between the nodes. It ends when
standard input does.

What a node holds outlives it, so that a bench may kill and start it. A bench that starts anew needs
an empty directory: in an old one it finds the keys and the answers of the run before.

Example:
  quorate lin-kv --data-dir \"$(mktemp -d)\"";

/// How long a request is tried, at most.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a node waits before it tries again what was refused.
const PAUSE: Duration = Duration::from_millis(10);
/// How many requests are under way at once, at most.
const REQUESTS_MAX: usize = 1024;
/// How often a request is passed on: two nodes may each take the other for the leader.
const HOPS_MAX: u64 = 8;
/// The same for all, as there is one bench and one network.
const CLUSTER: ClusterId = ClusterId(0x6c69_6e6b_7600);

pub(crate) fn run(flags: &LinKvFlags) -> Result<Exit, Trouble> {
    if flags.data_dir.is_none() {
        return Err(Trouble::wrong(
            "say --data-dir, or QUORATE_DATA_DIR: where is the state of this run kept?",
        ));
    }
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_max_level(LevelFilter::INFO)
        .init();
    let runtime = Runtime::new().map_err(|error| Trouble::wrong(format!("no threads: {error}")))?;
    let ended = runtime.block_on(node(flags));
    // The thread that reads standard input may wait there for ever.
    runtime.shutdown_background();
    ended
}

/// One node, from its `init` to the end of the input.
async fn node(flags: &LinKvFlags) -> Result<Exit, Trouble> {
    let (mut heard, said) = (pipe::heard(), pipe::said());
    let init = loop {
        match heard.recv().await {
            Some(line) if line.kind() == "init" => break line,
            // Others need not know that this node has only just started.
            Some(_) => {}
            None => return Ok(Exit::Done),
        }
    };
    let (own, names) = named(&init)?;
    let (mut server, inlet) = start(flags, &own, &names, said.clone())?;
    say(&said, init.answer(&own, json!({ "type": "init_ok" }))).await;
    info!(node = own, "runs");
    let node = Node { handle: server.handle(), own, names, said };
    tokio::select! {
        failed = server.ended() => return failed.map(|()| Exit::Done).map_err(failed_with),
        () = node.listen(&mut heard, &inlet) => {}
    }
    server.shutdown().await.map(|()| Exit::Done).map_err(failed_with)
}

fn failed_with(failure: impl std::fmt::Display) -> Trouble {
    Trouble::new(Exit::Failed, failure)
}

/// What the first message says: this node's name, and the names of all.
fn named(init: &Line) -> Result<(String, BTreeMap<NodeId, String>), Trouble> {
    let own = init.body.get("node_id").and_then(Value::as_str);
    let all = init.body.get("node_ids").and_then(Value::as_array);
    let (Some(own), Some(all)) = (own, all) else {
        return Err(Trouble::wrong("an `init` has `node_id`, a name, and `node_ids`, a list"));
    };
    let mut names: Vec<String> = all.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    names.sort_unstable();
    names.dedup();
    let plain = |name: &str| !name.is_empty() && !name.contains(['/', '\\', '.']);
    if names.len() != all.len() || !names.iter().any(|name| name == own) || !plain(own) {
        return Err(Trouble::wrong("`node_ids` are different names, and `node_id` is one of them"));
    }
    Ok((own.to_owned(), (1..).map(NodeId).zip(names).collect()))
}

fn start(
    flags: &LinKvFlags,
    own: &str,
    names: &BTreeMap<NodeId, String>,
    said: Sender<Line>,
) -> Result<(Server, Inlet), Trouble> {
    // Nobody connects: the addresses are there for form's sake.
    let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let members = names.keys().map(|id| (*id, nowhere));
    let id = names.iter().find(|(_, name)| *name == own).map(|(id, _)| *id);
    let id = id.expect("a node is one of those named");
    let directory = flags.data_dir.as_ref().expect("it was asked for").join(own);
    let config = ServerConfig::new(&directory, CLUSTER, id, members);
    let mut config = config.map_err(Trouble::wrong)?;
    config.inline_machine = true;
    let replica = &mut config.replica;
    replica.snapshot_entries = flags.snapshot_entries.unwrap_or(replica.snapshot_entries);
    replica.trailing_entries = flags.trailing_entries.unwrap_or(replica.trailing_entries);
    replica.check().map_err(Trouble::wrong)?;
    let disk = FileDisk::open(&directory).map_err(Trouble::wrong)?;
    let pipe = Pipe::new(own, names.clone(), said);
    Server::start_over(disk, config, Registers::default(), pipe).map_err(Trouble::wrong)
}

/// A node that runs, as its requests see it.
#[derive(Clone)]
struct Node {
    handle: Handle,
    own: String,
    names: BTreeMap<NodeId, String>,
    said: Sender<Line>,
}

impl Node {
    /// Takes messages until there are no more.
    async fn listen(&self, heard: &mut Receiver<Line>, inlet: &Inlet) {
        let room = Arc::new(Semaphore::new(REQUESTS_MAX));
        while let Some(line) = heard.recv().await {
            if line.kind() == "packet" {
                self.receive(&line, inlet).await;
                continue;
            }
            let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
                say(&self.said, line.answer(&self.own, refusal(Code::Timeout, "too busy"))).await;
                continue;
            };
            let node = self.clone();
            tokio::spawn(async move {
                if let Some(answer) = node.serve(&line).await {
                    say(&node.said, line.answer(&node.own, answer)).await;
                }
                drop(permit);
            });
        }
    }

    /// A peer speaks for itself alone.
    async fn receive(&self, line: &Line, inlet: &Inlet) {
        match pipe::packet(line) {
            Some(packet) if self.names.get(&packet.from()) == Some(&line.src) => {
                inlet.receive(packet).await;
            }
            _ => warn!(from = line.src, "what it says is no packet of its own"),
        }
    }

    /// The answer to a request, if it is this node that gives it.
    async fn serve(&self, line: &Line) -> Option<Value> {
        let served = match line.kind() {
            "read" => self.read(line).await.map(Some),
            "write" | "cas" => self.change(line).await,
            "echo" => {
                let echo = line.field("echo").cloned();
                echo.map(|echo| Some(json!({ "type": "echo_ok", "echo": echo })))
            }
            "init" => Ok(Some(json!({ "type": "init_ok" }))),
            other => Err(refusal(Code::NotSupported, &format!("nobody knows `{other}` here"))),
        };
        served.unwrap_or_else(Some)
    }

    async fn read(&self, line: &Line) -> Result<Value, Value> {
        let key = line.field("key")?.to_string();
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            let read = self.handle.read(ReadLevel::Linearizable, key.as_bytes());
            if let Ok(Ok(answered)) = timeout_at(until, read).await {
                return match serde_json::from_slice::<Value>(&answered.answer) {
                    Ok(value) => Ok(json!({ "type": "read_ok", "value": value })),
                    Err(_) => Err(refusal(Code::NoKey, "no such key")),
                };
            }
            sleep(PAUSE).await;
        }
        Err(refusal(Code::Unavailable, "no leader answers"))
    }

    /// Has a request carried out, here or by whoever leads. It may be tried again at any time: its
    /// number says which it is. So nobody but the log can say that it did not happen.
    async fn change(&self, line: &Line) -> Result<Option<Value>, Value> {
        let command = serde_json::to_vec(&request(line)?).expect("it is JSON");
        let mut leadership = self.handle.leadership();
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            let leader = leadership.borrow_and_update().leader.and_then(|id| self.names.get(&id));
            match leader {
                Some(leader) if *leader == self.own => {
                    let told = timeout_at(until, self.handle.propose(&command)).await;
                    if let Ok(Ok(reply)) = told {
                        return Ok(serde_json::from_slice(&reply).ok());
                    }
                    sleep(PAUSE).await;
                }
                Some(leader) => {
                    self.pass_on(line, leader).await;
                    return Ok(None);
                }
                None => {
                    let _ = timeout_at(until, leadership.changed()).await;
                }
            }
        }
        Err(refusal(Code::Timeout, "no leader carried it out in time"))
    }

    /// Whoever leads answers the client itself.
    async fn pass_on(&self, line: &Line, leader: &str) {
        let hops = line.body.get("hops").and_then(Value::as_u64).unwrap_or_default();
        if hops < HOPS_MAX {
            let mut passed = Line { dest: leader.to_owned(), ..line.clone() };
            passed.body.insert("hops".to_owned(), Value::from(hops + 1));
            say(&self.said, passed).await;
        }
    }
}

/// The request that changes something, as it stands in the log.
fn request(line: &Line) -> Result<Request, Value> {
    let missing = || refusal(Code::Malformed, "a request has a `msg_id`, a number above 0");
    let number = line.number().filter(|number| *number > 0).ok_or_else(missing)?;
    let operation = match line.kind() {
        "write" => Operation::Write(line.field("value")?.clone()),
        _ => Operation::Cas { from: line.field("from")?.clone(), to: line.field("to")?.clone() },
    };
    let (client, key) = (line.src.clone(), line.field("key")?.to_string());
    Ok(Request { client, number, key, operation })
}

async fn say(said: &Sender<Line>, line: Line) {
    // Whoever listened is gone, and with it the reason to say it.
    let _ = said.send(line).await;
}
