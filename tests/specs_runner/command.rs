//! The commands of the script language and their parser.

use std::time::Duration;

use quorate::raft::Config;
use quorate::types::{Acknowledge, Change, Index, Message, NodeId, ReadLevel};

use super::change::{self, InitialMembership};
use super::disk::Image;
use super::message::{self, Selector};
use super::settings::{self, duration, node, nodes, pair, whole};
use super::trace::Kind;

/// One command of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Cluster(Box<ClusterSetup>),
    Disk(NodeId, Image),
    Elect(NodeId),
    Campaign(NodeId),
    /// Proposals, one by one or in one input.
    Propose {
        to: NodeId,
        acknowledge: Acknowledge,
        commands: Vec<String>,
        at_once: bool,
    },
    Read {
        node: NodeId,
        level: ReadLevel,
        conflict: Option<Index>,
    },
    Change(NodeId, Change),
    CancelChange(NodeId),
    Transfer {
        node: NodeId,
        to: Option<NodeId>,
    },
    Timeout(NodeId),
    Advance {
        nodes: Vec<NodeId>,
        by: Duration,
    },
    Pause(NodeId, Duration),
    Run(Duration),
    Settle,
    Deliver(Pick),
    Drop(Pick),
    Duplicate(Pick),
    Hold(Selector),
    Release,
    Cut(Vec<(NodeId, NodeId)>),
    Isolate(NodeId),
    Heal,
    Manual(Lane, Vec<NodeId>),
    Automatic(Lane, Vec<NodeId>),
    Flush {
        node: NodeId,
        count: Option<usize>,
    },
    Apply(NodeId),
    Crash {
        node: NodeId,
        keep: KeptWrites,
    },
    Restart {
        node: NodeId,
        tail: Option<usize>,
    },
    Snapshot {
        node: NodeId,
        trailing: u64,
    },
    Receive {
        node: NodeId,
        last: Option<Index>,
    },
    Damage(NodeId, Vec<Index>),
    Scrub(NodeId),
    DiskFull(NodeId, bool),
    Quarantine(NodeId, bool),
    Rebuild {
        node: NodeId,
        from: NodeId,
    },
    AppendNoop(NodeId),
    Inject(Message),
    Status(Vec<NodeId>),
    Log(Vec<NodeId>),
    Members(Vec<NodeId>),
    Peers(NodeId),
    Network,
    Show(Vec<Kind>),
    Hide(Vec<Kind>),
}

/// The initial cluster of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClusterSetup {
    pub(crate) membership: InitialMembership,
    /// Nodes with a new disk, which are not members yet.
    pub(crate) spares: Vec<NodeId>,
    pub(crate) seed: u64,
    /// The configuration of every node, except its id.
    pub(crate) config: Config,
}

/// A selection of the messages in flight, oldest first unless `newest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pick {
    pub(crate) selector: Selector,
    pub(crate) newest: bool,
    pub(crate) count: Option<usize>,
}

/// A component that completes a node's work: its disk, or its state machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    Disk,
    Apply,
}

/// The number of pending writes that a crash leaves on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeptWrites {
    All,
    First(usize),
}

/// The syntax of every command, for the error on a malformed one.
const USAGES: [(&str, &str); 45] = [
    (
        "cluster",
        "cluster 3 [learners=n4] [spares=n5] [casting=n1] [named=on] [priorities=n1!200] \
         [addresses=n1@a] [seed=1] [pre_vote=off] [field_of_config=value …]",
    ),
    (
        "disk",
        "disk n1 [new=33] [snapshot=3@t1] [log=1,1,2] [term=2] [vote=n1] [committed=1] [tail=1] \
         [uncertain=on] [machine=durable]",
    ),
    ("elect", "elect n1"),
    ("campaign", "campaign n1"),
    (
        "propose",
        "propose n1 x y … [count=3] [bytes=100] [ack=quorum|all-live|leader-only] [at=once]",
    ),
    ("read", "read n1 [lease | replica [after=3] | within 100ms | local]"),
    ("change", "change n1 nothing|+n4|-n3|?n5|~n2|casting=n1|n2@a|n2#22|n2!200 …"),
    ("cancel-change", "cancel-change n1"),
    ("transfer", "transfer n1 [n2]"),
    ("timeout", "timeout n1"),
    ("advance", "advance n1 n2 … 100ms"),
    ("pause", "pause n1 3s"),
    ("run", "run 100ms"),
    ("settle", "settle"),
    ("deliver", "deliver [n1 -> n2] [Name] [newest] [count=1]"),
    ("drop", "drop [n1 -> n2] [Name] [newest] [count=1]"),
    ("duplicate", "duplicate [n1 -> n2] [Name] [newest] [count=1]"),
    ("hold", "hold [n1 -> n2] [Name]"),
    ("release", "release"),
    ("cut", "cut n1 n2, or one way: cut n1 -> n2"),
    ("isolate", "isolate n1"),
    ("heal", "heal"),
    ("manual", "manual disk|apply [n1 …]"),
    ("automatic", "automatic disk|apply [n1 …]"),
    ("flush", "flush n1 [count=1]"),
    ("apply", "apply n1"),
    ("crash", "crash n1 [keep=none|all|2]"),
    ("restart", "restart n1 [tail=0]"),
    ("snapshot", "snapshot n1 [trailing=0]"),
    ("receive", "receive n1 [last=3]"),
    ("damage", "damage n1 2 3 …"),
    ("scrub", "scrub n1"),
    ("full", "full n1"),
    ("space", "space n1"),
    ("quarantine", "quarantine n1 [ends]"),
    ("rebuild", "rebuild n1 from n2"),
    ("noop", "noop n1"),
    ("inject", "inject n2 -> n1 Name term=2 field=value …"),
    ("status", "status [n1 …]"),
    ("log", "log [n1 …]"),
    ("members", "members [n1 …]"),
    ("peers", "peers n1"),
    ("network", "network"),
    ("show", "show all | none | kind …"),
    ("hide", "hide kind …"),
];

/// Reads the level of a read and, for a replica read, the last conflicting index.
fn read(words: &[&str]) -> Result<(ReadLevel, Option<Index>), String> {
    Ok(match words {
        [] => (ReadLevel::Linearizable, None),
        ["lease"] => (ReadLevel::Lease, None),
        ["replica"] => (ReadLevel::Replica, None),
        ["replica", option] => match pair(option)? {
            ("after", index) => (ReadLevel::Replica, Some(Index(whole(index)?))),
            _ => return Err(String::new()),
        },
        ["within", span] => (ReadLevel::Bounded(duration(span)?), None),
        ["local"] => (ReadLevel::Local, None),
        _ => return Err(String::new()),
    })
}

impl Command {
    /// Parses one command line.
    pub(crate) fn parse(text: &str) -> Result<Command, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let [verb, rest @ ..] = words.as_slice() else {
            return Err("a command is missing after `>`".into());
        };
        let Some((_, usage)) = USAGES.iter().find(|(name, _)| name == verb) else {
            let verbs: Vec<&str> = USAGES.iter().map(|(name, _)| *name).collect();
            return Err(format!("unknown command `{verb}`; the commands are {}", verbs.join(", ")));
        };
        let parsed = match *verb {
            "cluster" | "disk" | "crash" | "restart" | "snapshot" | "receive" => {
                Self::parse_life(verb, rest)
            }
            "deliver" | "drop" | "duplicate" | "hold" | "cut" | "inject" => {
                Self::parse_network(verb, rest)
            }
            "propose" | "change" | "advance" | "flush" | "manual" | "automatic" | "show"
            | "hide" => Self::parse_list(verb, rest),
            _ => Self::parse_plain(verb, rest),
        };
        parsed.map_err(|why| if why.is_empty() { format!("usage: {usage}") } else { why })
    }

    fn parse_plain(verb: &str, rest: &[&str]) -> Result<Command, String> {
        let all = || rest.iter().map(|word| node(word)).collect::<Result<Vec<_>, _>>();
        Ok(match (verb, rest) {
            ("status", _) => Command::Status(all()?),
            ("log", _) => Command::Log(all()?),
            ("members", _) => Command::Members(all()?),
            ("settle", []) => Command::Settle,
            ("release", []) => Command::Release,
            ("heal", []) => Command::Heal,
            ("network", []) => Command::Network,
            ("pause", [id, span]) => Command::Pause(node(id)?, duration(span)?),
            ("run", [span]) => Command::Run(duration(span)?),
            ("elect", [id]) => Command::Elect(node(id)?),
            ("campaign", [id]) => Command::Campaign(node(id)?),
            ("read", [id, words @ ..]) => {
                let (level, conflict) = read(words)?;
                Command::Read { node: node(id)?, level, conflict }
            }
            ("cancel-change", [id]) => Command::CancelChange(node(id)?),
            ("transfer", [id]) => Command::Transfer { node: node(id)?, to: None },
            ("transfer", [id, to]) => Command::Transfer { node: node(id)?, to: Some(node(to)?) },
            ("timeout", [id]) => Command::Timeout(node(id)?),
            ("isolate", [id]) => Command::Isolate(node(id)?),
            ("apply", [id]) => Command::Apply(node(id)?),
            ("peers", [id]) => Command::Peers(node(id)?),
            ("damage", [id, indices @ ..]) if !indices.is_empty() => {
                let index = |word: &&str| whole(word).map(Index);
                let indices = indices.iter().map(index).collect::<Result<_, _>>()?;
                Command::Damage(node(id)?, indices)
            }
            ("scrub", [id]) => Command::Scrub(node(id)?),
            ("full", [id]) => Command::DiskFull(node(id)?, true),
            ("space", [id]) => Command::DiskFull(node(id)?, false),
            ("quarantine", [id]) => Command::Quarantine(node(id)?, true),
            ("quarantine", [id, "ends"]) => Command::Quarantine(node(id)?, false),
            ("rebuild", [id, "from", from]) => {
                Command::Rebuild { node: node(id)?, from: node(from)? }
            }
            ("noop", [id]) => Command::AppendNoop(node(id)?),
            _ => return Err(String::new()),
        })
    }

    fn parse_life(verb: &str, rest: &[&str]) -> Result<Command, String> {
        let [first, options @ ..] = rest else { return Err(String::new()) };
        let options = options.iter().map(|word| pair(word)).collect::<Result<Vec<_>, _>>()?;
        if verb == "cluster" {
            let setup = ClusterSetup::parse(first, &options)?;
            return Ok(Command::Cluster(Box::new(setup)));
        }
        let id = node(first)?;
        match (verb, options.as_slice()) {
            ("disk", _) => Ok(Command::Disk(id, Image::parse(&options)?)),
            ("crash", []) => Ok(Command::Crash { node: id, keep: KeptWrites::First(0) }),
            ("crash", [("keep", kept)]) => {
                Ok(Command::Crash { node: id, keep: KeptWrites::parse(kept)? })
            }
            ("restart", []) => Ok(Command::Restart { node: id, tail: None }),
            ("restart", [("tail", tail)]) => {
                Ok(Command::Restart { node: id, tail: Some(count(tail)?) })
            }
            ("snapshot", []) => Ok(Command::Snapshot { node: id, trailing: 0 }),
            ("snapshot", [("trailing", trailing)]) => {
                Ok(Command::Snapshot { node: id, trailing: whole(trailing)? })
            }
            ("receive", []) => Ok(Command::Receive { node: id, last: None }),
            ("receive", [("last", last)]) => {
                Ok(Command::Receive { node: id, last: Some(Index(whole(last)?)) })
            }
            _ => Err(String::new()),
        }
    }

    fn parse_network(verb: &str, rest: &[&str]) -> Result<Command, String> {
        match (verb, rest) {
            ("inject", _) => message::parse(rest).map(Command::Inject),
            ("hold", _) => Selector::parse(rest).map(Command::Hold),
            ("cut", [from, "->", to]) => Ok(Command::Cut(vec![(node(from)?, node(to)?)])),
            ("cut", [one, other]) => {
                let (one, other) = (node(one)?, node(other)?);
                Ok(Command::Cut(vec![(one, other), (other, one)]))
            }
            ("deliver", _) => Pick::parse(rest).map(Command::Deliver),
            ("drop", _) => Pick::parse(rest).map(Command::Drop),
            ("duplicate", _) => Pick::parse(rest).map(Command::Duplicate),
            _ => Err(String::new()),
        }
    }

    fn parse_list(verb: &str, rest: &[&str]) -> Result<Command, String> {
        let ids = |words: &[&str]| words.iter().map(|word| node(word)).collect::<Result<_, _>>();
        match (verb, rest) {
            ("propose", [to, words @ ..]) if !words.is_empty() => {
                let (commands, acknowledge, at_once) = commands(words)?;
                Ok(Command::Propose { to: node(to)?, acknowledge, commands, at_once })
            }
            ("change", [to, words @ ..]) if !words.is_empty() => {
                Ok(Command::Change(node(to)?, change::change(words)?))
            }
            ("advance", [several @ .., span]) if !several.is_empty() => {
                Ok(Command::Advance { nodes: ids(several)?, by: duration(span)? })
            }
            ("flush", [id]) => Ok(Command::Flush { node: node(id)?, count: None }),
            ("flush", [id, option]) => match pair(option)? {
                ("count", writes) => {
                    Ok(Command::Flush { node: node(id)?, count: Some(count(writes)?) })
                }
                _ => Err(String::new()),
            },
            ("manual", [lane, several @ ..]) => {
                Ok(Command::Manual(Lane::parse(lane)?, ids(several)?))
            }
            ("automatic", [lane, several @ ..]) => {
                Ok(Command::Automatic(Lane::parse(lane)?, ids(several)?))
            }
            ("show", ["all"]) => Ok(Command::Show(Kind::ALL.to_vec())),
            ("show", ["none"]) => Ok(Command::Show(Vec::new())),
            ("show", [_, ..]) => Kind::parse_list(rest).map(Command::Show),
            ("hide", [_, ..]) => Kind::parse_list(rest).map(Command::Hide),
            _ => Err(String::new()),
        }
    }
}

impl ClusterSetup {
    fn parse(voters: &str, options: &[(&str, &str)]) -> Result<ClusterSetup, String> {
        let mut setup = ClusterSetup {
            membership: InitialMembership::with_voters(whole(voters)?),
            spares: Vec::new(),
            seed: 1,
            config: Config::new(NodeId(1)),
        };
        if !(1..=9).contains(&setup.membership.voters) {
            return Err("a cluster has 1 to 9 voters".into());
        }
        for (key, value) in options {
            match *key {
                _ if setup.membership.set(key, value)? => {}
                "spares" => setup.spares = nodes(value)?,
                "seed" => setup.seed = whole(value)?,
                _ => settings::configure(&mut setup.config, key, value)?,
            }
        }
        setup.config.check().map_err(|error| error.to_string())?;
        Ok(setup)
    }
}

impl Pick {
    fn parse(words: &[&str]) -> Result<Pick, String> {
        let mut selector = Vec::new();
        let (mut newest, mut limit) = (false, None);
        for word in words {
            match word.strip_prefix("count=") {
                Some(several) => limit = Some(count(several)?),
                None if *word == "newest" => newest = true,
                None => selector.push(*word),
            }
        }
        Ok(Pick { selector: Selector::parse(&selector)?, newest, count: limit })
    }
}

impl Lane {
    fn parse(word: &str) -> Result<Lane, String> {
        match word {
            "disk" => Ok(Lane::Disk),
            "apply" => Ok(Lane::Apply),
            _ => Err(format!("`{word}` is neither disk nor apply")),
        }
    }
}

impl KeptWrites {
    fn parse(word: &str) -> Result<KeptWrites, String> {
        match word {
            "none" => Ok(KeptWrites::First(0)),
            "all" => Ok(KeptWrites::All),
            _ => count(word).map(KeptWrites::First),
        }
    }
}

fn count(word: &str) -> Result<usize, String> {
    whole(word).map(|count| usize::try_from(count).expect("a count fits"))
}

/// Reads the commands of a proposal: plain words are commands; `count` repeats them with a number,
/// and `bytes` pads each to that size; `ack` is the acknowledgement, and `at=once` puts all
/// proposals into one input.
fn commands(words: &[&str]) -> Result<(Vec<String>, Acknowledge, bool), String> {
    let (options, mut list): (Vec<&str>, Vec<&str>) = words.iter().partition(|w| w.contains('='));
    let (mut repeat, mut bytes) = (None, 0);
    let (mut acknowledge, mut at_once) = (Acknowledge::Default, false);
    for option in options {
        match pair(option)? {
            ("count", value) => repeat = Some(count(value)?),
            ("bytes", value) => bytes = count(value)?,
            ("ack", "quorum") => acknowledge = Acknowledge::Quorum,
            ("ack", "all-live") => acknowledge = Acknowledge::AllLive,
            ("ack", "leader-only") => acknowledge = Acknowledge::LeaderOnly,
            ("at", "once") => at_once = true,
            (key, _) => return Err(format!("`{key}` is not an option of propose")),
        }
    }
    if list.is_empty() {
        return Err(String::new());
    }
    let mut commands: Vec<String> = Vec::new();
    match repeat {
        None => commands.extend(list.drain(..).map(str::to_owned)),
        Some(times) => {
            for number in 1..=times {
                commands.extend(list.iter().map(|word| format!("{word}{number}")));
            }
        }
    }
    for command in &mut commands {
        while command.len() < bytes {
            command.push('.');
        }
    }
    Ok((commands, acknowledge, at_once))
}
