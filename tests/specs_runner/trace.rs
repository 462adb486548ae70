//! What a script prints: lines `time  node  role  term  last/durable/committed/applied  event`,
//! and which kinds of them.

use quorate::raft::{Action, Input};
use quorate::types::{Body, Message};

use super::node::Node;

/// What a line is about; `show` and `hide` choose among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Timeouts and campaigns asked for.
    Clock,
    /// Changes of role, term or leader.
    Roles,
    /// Proposals, reads, changes, transfers and what became of them.
    Client,
    /// Who counts.
    Members,
    /// Messages but for heartbeats.
    Messages,
    /// Heartbeats and their replies.
    Heartbeats,
    /// Messages declined.
    Refusals,
    /// Writes, flushes, fetches and snapshots.
    Disk,
    /// Entries and snapshots for the state machine.
    Apply,
    /// Crashes and starts.
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
        Kind::Refusals,
        Kind::Disk,
        Kind::Apply,
        Kind::Faults,
    ];

    /// Reads `roles client`.
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
            Kind::Refusals => "refusals",
            Kind::Disk => "disk",
            Kind::Apply => "apply",
            Kind::Faults => "faults",
        }
    }

    pub(crate) fn of_message(message: &Message) -> Kind {
        match message.body {
            Body::Heartbeat { .. } | Body::HeartbeatReply { .. } => Kind::Heartbeats,
            _ => Kind::Messages,
        }
    }

    pub(crate) fn of_input(input: &Input) -> Kind {
        match input {
            Input::Message(message) => Kind::of_message(message),
            Input::Persisted(_)
            | Input::Fetched { .. }
            | Input::SnapshotTaken { .. }
            | Input::SnapshotReceived { .. }
            | Input::DiskFull(_) => Kind::Disk,
            Input::Applied(_) => Kind::Apply,
            Input::Propose(_)
            | Input::Read { .. }
            | Input::ChangeMembership { .. }
            | Input::GiveUpChange { .. }
            | Input::Transfer { .. } => Kind::Client,
            _ => Kind::Clock,
        }
    }

    pub(crate) fn of_action(action: &Action) -> Kind {
        match action {
            Action::Send(message) => Kind::of_message(message),
            Action::Persist(_) | Action::Fetch { .. } | Action::ReceiveSnapshot { .. } => {
                Kind::Disk
            }
            Action::Apply(_) | Action::Restore(_) => Kind::Apply,
            Action::RoleChanged { .. } => Kind::Roles,
            Action::MembershipChanged(_) => Kind::Members,
            Action::Refused { .. } => Kind::Refusals,
            _ => Kind::Client,
        }
    }
}

/// The lines of the command under way.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    lines: Vec<String>,
    pub(crate) shown: Vec<Kind>,
}

impl Trace {
    /// Empty, showing everything.
    pub(crate) fn new() -> Trace {
        Trace { lines: Vec::new(), shown: Kind::ALL.to_vec() }
    }

    /// Adds a line about `node`, as it is now, if lines of the kind are shown.
    pub(crate) fn line(&mut self, kind: Kind, node: &Node, event: &str) {
        if self.shown.contains(&kind) {
            self.answer(node, event);
        }
    }

    /// Adds a line about `node` that the script asked for.
    pub(crate) fn answer(&mut self, node: &Node, event: &str) {
        let columns = match node.status() {
            Some(status) => status.to_string(),
            None => format!("{:<2}  {:<13}  {:<3}  {:<11}", node.id, "down", "-", "-"),
        };
        self.lines.push(format!("{}  {columns}  {event}", node.clock));
    }

    /// Adds a line that is about no single node.
    pub(crate) fn plain(&mut self, line: String) {
        self.lines.push(line);
    }

    /// Hands out the lines so far and begins anew.
    pub(crate) fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines)
    }
}
