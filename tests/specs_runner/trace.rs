//! The output of a script: lines `time  node  role  term  last/durable/committed/applied  event`,
//! and their kinds.

use quorate::raft::{Action, Input, PeerStatus};
use quorate::types::{Message, MessageTopic};

use super::node::Node;

/// The kind of a line; the commands `show` and `hide` select kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Timeouts, requested campaigns, and the inputs of no other kind.
    Clock,
    /// Changes of role, term or leader, and of the certainty of a log.
    Roles,
    /// Client requests and their outcomes.
    Client,
    /// Changes of the active membership.
    Members,
    /// All messages except heartbeats.
    Messages,
    /// Heartbeats and their replies.
    Heartbeats,
    /// Messages that a node rejected.
    Rejections,
    /// Writes, flushes, fetches, damage, repairs and snapshots.
    Disk,
    /// Entries and snapshots for the state machine.
    Apply,
    /// Crashes and starts of nodes.
    Faults,
}

impl Kind {
    pub(crate) const ALL: [Kind; 10] = [
        Kind::Clock,
        Kind::Roles,
        Kind::Client,
        Kind::Members,
        Kind::Messages,
        Kind::Heartbeats,
        Kind::Rejections,
        Kind::Disk,
        Kind::Apply,
        Kind::Faults,
    ];

    /// Reads a list of kinds such as `roles client`.
    pub(crate) fn parse_list(words: &[&str]) -> Result<Vec<Kind>, String> {
        let find = |word: &str| Kind::ALL.into_iter().find(|kind| kind.name() == word);
        let names = Kind::ALL.map(Kind::name).join(", ");
        let read = |word: &&str| find(word).ok_or_else(|| format!("`{word}` is none of {names}"));
        words.iter().map(read).collect()
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Clock => "clock",
            Kind::Roles => "roles",
            Kind::Client => "client",
            Kind::Members => "members",
            Kind::Messages => "messages",
            Kind::Heartbeats => "heartbeats",
            Kind::Rejections => "rejections",
            Kind::Disk => "disk",
            Kind::Apply => "apply",
            Kind::Faults => "faults",
        }
    }

    pub(crate) fn of_message(message: &Message) -> Kind {
        if message.body.topic() == MessageTopic::Heartbeat {
            Kind::Heartbeats
        } else {
            Kind::Messages
        }
    }

    pub(crate) fn of_input(input: &Input) -> Kind {
        match input {
            Input::Message(message) => Kind::of_message(message),
            Input::Persisted(_)
            | Input::Fetched { .. }
            | Input::Damaged(_)
            | Input::Repaired(_)
            | Input::SnapshotTaken { .. }
            | Input::SnapshotReceived { .. }
            | Input::DiskFull(_) => Kind::Disk,
            Input::Applied(_) => Kind::Apply,
            Input::Propose(_)
            | Input::Read { .. }
            | Input::ChangeMembership { .. }
            | Input::CancelMembershipChange { .. }
            | Input::TransferLeadership { .. } => Kind::Client,
            _ => Kind::Clock,
        }
    }

    pub(crate) fn of_action(action: &Action) -> Kind {
        match action {
            Action::Send(message) => Kind::of_message(message),
            Action::Persist(_)
            | Action::Fetch { .. }
            | Action::ReceiveSnapshot { .. }
            | Action::Repair(_)
            | Action::AdoptSnapshot(_) => Kind::Disk,
            Action::Apply(_) | Action::Restore(_) => Kind::Apply,
            Action::RoleChanged { .. } | Action::LogUncertain { .. } | Action::LogCertain => {
                Kind::Roles
            }
            Action::ActiveMembershipChanged(_) => Kind::Members,
            Action::MessageRejected { .. } => Kind::Rejections,
            _ => Kind::Client,
        }
    }
}

/// Returns the leader's view of a peer as a line shows it.
pub(crate) fn peer_text(peer: &PeerStatus) -> String {
    let PeerStatus { id, matched, next, inflight_entries, inflight_bytes, .. } = peer;
    let state = match (peer.snapshot, peer.probing, peer.disk_full) {
        (Some(last), ..) => format!("snapshot {last}"),
        (None, true, true) => "probe, no space".to_owned(),
        (None, true, false) => "probe".to_owned(),
        (None, false, _) => "replicate".to_owned(),
    };
    format!(
        "peer {id} {state} matched={matched} next={next} \
         inflight={inflight_entries} entries, {inflight_bytes} bytes"
    )
}

/// The lines that the current command has printed.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    lines: Vec<String>,
    pub(crate) shown: Vec<Kind>,
}

impl Trace {
    /// Returns an empty trace that shows all kinds.
    pub(crate) fn new() -> Trace {
        Trace { lines: Vec::new(), shown: Kind::ALL.to_vec() }
    }

    /// Adds a line about `node`, with its current status, if lines of the kind are shown.
    pub(crate) fn line(&mut self, kind: Kind, node: &Node, event: &str) {
        if self.shown.contains(&kind) {
            self.answer(node, event);
        }
    }

    /// Adds a line about `node` that the script requested.
    pub(crate) fn answer(&mut self, node: &Node, event: &str) {
        let columns = match node.status() {
            Some(status) => status.to_string(),
            None => format!("{:<2}  {:<13}  {:<3}  {:<11}", node.id, "down", "-", "-"),
        };
        self.lines.push(format!("{}  {columns}  {event}", node.clock));
    }

    /// Adds a line that is not about one node.
    pub(crate) fn plain(&mut self, line: String) {
        self.lines.push(line);
    }

    /// Returns the lines so far and clears them.
    pub(crate) fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }
}
