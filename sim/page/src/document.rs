//! The data model of a page: the events, messages, writes and operations of one run.
//!
//! Nodes and clients are named once, and events refer to them by position. Events are also
//! referred to by position, from 0. Times are nanoseconds since the start of the run, or positions
//! in an order. Numbers above 2⁵³ are rounded, because the page is JavaScript.
//!
//! The page gets the fields by name as JSON, for `assets/read/document.js`.

use serde::Serialize;
use serde_repr::Serialize_repr;

/// One run, or a part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Document {
    /// The short name that distinguishes the runs on the page: `original` or `shrunk`.
    pub name: String,
    /// The title of the run, for example `seed 41877, profile default`.
    pub title: String,
    /// The unit of all times.
    pub clock: Clock,
    /// Further facts, such as the replay command and the counts.
    pub facts: Vec<Fact>,
    /// The names of the nodes.
    pub nodes: Vec<String>,
    /// The names of the clients.
    pub clients: Vec<String>,
    /// The events in order of time.
    pub events: Vec<Event>,
    /// The messages between nodes in the order of sending; each further copy of a message in the
    /// order of its arrival.
    pub messages: Vec<Message>,
    /// The nodes' disk writes in the order of submission.
    pub writes: Vec<Write>,
    /// The clients' operations in the order of invocation.
    pub operations: Vec<Operation>,
    /// The faults in the order of their start times.
    pub faults: Vec<Fault>,
    /// The first violated check, if there is one.
    pub violation: Option<Violation>,
    /// The explanation of the violation, in sentences.
    pub explanation: Vec<Sentence>,
    /// Tables with further details.
    pub tables: Vec<Table>,
}

/// The unit of times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize_repr)]
#[repr(u8)]
pub enum Clock {
    /// Nanoseconds, shown as seconds.
    #[default]
    Nanoseconds,
    /// Positions in an order, without distances.
    Positions,
}

/// A value with a label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// The label of the value.
    pub label: String,
    /// The value as text.
    pub value: String,
    /// Whether the value is a command line to copy.
    pub code: bool,
}

/// The lane of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Lane {
    /// The whole cluster: a fault between nodes or a phase of the run.
    Cluster,
    /// The node at this position.
    Node(u16),
    /// The client at this position.
    Client(u16),
}

/// One event of the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// The time, which is not before that of the previous event.
    pub at: u64,
    /// The lane that the event belongs to.
    pub lane: Lane,
    /// The kind of event.
    pub kind: Kind,
    /// The description in one line; if it is empty, the page shows the arriving message instead.
    pub text: String,
    /// The earlier events that caused it.
    pub causes: Vec<u32>,
    /// The node's state after it, if the event belongs to a node and the state is known.
    pub state: Option<State>,
    /// The change of the node's log.
    pub log: Option<LogChange>,
}

/// The kinds of events, each of which the page can hide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize_repr)]
#[repr(u8)]
pub enum Kind {
    /// A message arrives at a node, or is rejected, dropped or injected.
    Message,
    /// A node sends a message.
    Send,
    /// A node's timer expires.
    Timer,
    /// A disk operation: a submitted or a completed write.
    Disk,
    /// An event of a state machine.
    Machine,
    /// A request of a client or a reply to it.
    Client,
    /// A request of the operator.
    Operator,
    /// A node starts or restarts, or fails to.
    Start,
    /// A node crashes or stops, or its disk is wiped or rolled back.
    Crash,
    /// A node is paused.
    Pause,
    /// A paused node continues.
    Resume,
    /// A fault begins or ends.
    Fault,
    /// A phase of the run begins, or the run ends or fails.
    Phase,
    /// Any other kind of event.
    Other,
}

/// The state of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct State {
    /// Whether the node runs.
    pub condition: Condition,
    /// The role of the node in its term.
    pub role: Role,
    /// The current term of the node.
    pub term: u64,
    /// The leader that the node knows, by position.
    pub leader: Option<u16>,
    /// The last index before the start of its log.
    pub base: u64,
    /// The last index of its latest snapshot.
    pub snapshot: u64,
    /// The last index that its state machine has applied.
    pub applied: u64,
    /// The commit index of the node.
    pub committed: u64,
    /// The last index that is durable on its disk.
    pub durable: u64,
    /// The last index of its log.
    pub last: u64,
    /// Further details in one line, for example `voted n2 · pending reads 3`.
    pub detail: String,
}

/// Whether a node runs, as far as that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize_repr)]
#[repr(u8)]
pub enum Condition {
    /// The node is running.
    #[default]
    Up,
    /// The node has crashed or stopped, or has not started.
    Down,
    /// The node's process is paused.
    Paused,
    /// It is unknown what the node does, because no recording has it.
    Unknown,
}

/// The role of a node in its term.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize_repr)]
#[repr(u8)]
pub enum Role {
    /// The node follows a leader, or waits for one.
    #[default]
    Follower,
    /// The node asks whether it would win an election.
    PreCandidate,
    /// The node is a candidate in an election.
    Candidate,
    /// The node leads its term.
    Leader,
}

/// A change of a log: all entries after `keep` are replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogChange {
    /// The last index that is kept.
    pub keep: u64,
    /// The entries after `keep`.
    pub entries: Vec<Entry>,
}

/// An entry of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The term of the entry.
    pub term: u64,
    /// The contents of the entry in a few words.
    pub text: String,
}

/// A message from one node to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Message {
    /// The event of its sending.
    pub sent: u32,
    /// The sender, by position.
    pub from: u16,
    /// The receiver, by position.
    pub to: u16,
    /// The topic of the message.
    pub topic: Topic,
    /// The contents of the message.
    pub text: String,
    /// The delivery of the message.
    pub delivery: Delivery,
}

/// The topics of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize_repr)]
#[repr(u8)]
pub enum Topic {
    /// An election or a leadership transfer.
    Vote,
    /// Entries and their acknowledgements.
    Append,
    /// Heartbeats and their replies.
    Heartbeat,
    /// A transfer of a snapshot.
    Snapshot,
    /// A read index request or its reply.
    Read,
    /// Any other kind of message.
    Other,
}

/// The delivery of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Delivery {
    /// The message is still in flight at the end of the run.
    InFlight,
    /// The message arrives in this event.
    Arrived(u32),
    /// The message is lost at this time.
    Lost(u64),
    /// Whether and when the message arrived is not recorded.
    NotRecorded,
}

/// A write of a node to its disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Write {
    /// The node with the disk, by position.
    pub node: u16,
    /// The contents of the write.
    pub text: String,
    /// The event of its submission.
    pub submitted: u32,
    /// The event that decided its outcome; `None` if the run ended before.
    pub ended: Option<u32>,
    /// The outcome of the write.
    pub outcome: WriteOutcome,
}

/// The outcome of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize_repr)]
#[repr(u8)]
pub enum WriteOutcome {
    /// The write is still pending.
    Pending,
    /// The write is durable.
    Flushed,
    /// A part of the write was lost.
    Torn,
    /// The whole write was lost.
    Lost,
    /// The disk reported an error.
    Failed,
}

/// A client's operation and its result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Operation {
    /// The client, by position.
    pub client: u16,
    /// The invocation as text.
    pub call: String,
    /// The result as text.
    pub result: String,
    /// The time of the invocation.
    pub invoked: u64,
    /// The time at which the client received the result or gave up; `None` if neither happened.
    pub returned: Option<u64>,
    /// The outcome of the operation.
    pub outcome: Outcome,
    /// The event of its invocation.
    pub event: Option<u32>,
    /// The relevance of the operation for the explanation.
    pub relevance: Relevance,
    /// The position in the longest order that explains the results, from 1.
    pub place: Option<u32>,
}

/// The outcome of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize_repr)]
#[repr(u8)]
pub enum Outcome {
    /// The operation returned a result.
    Returned,
    /// The operation had no effect.
    Failed,
    /// The client received no outcome.
    Unknown,
}

/// The relevance of an operation for an explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize_repr)]
#[repr(u8)]
pub enum Relevance {
    /// The operation is shown only for context.
    Context,
    /// The operation is part of the evidence.
    Evidence,
    /// No order explains the operation's result.
    Unexplained,
}

/// A fault with its start and end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The description of the fault.
    pub text: String,
    /// The time of its start.
    pub from: u64,
    /// The time of its end; `None` if it does not end during the run.
    pub until: Option<u64>,
    /// The affected nodes, by position; empty if no node in particular is affected.
    pub nodes: Vec<u16>,
    /// The event of its start.
    pub event: Option<u32>,
}

/// A violated check and its finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The event that violates the check.
    pub event: u32,
    /// The check's id and name, for example `S1 election-safety`.
    pub check: String,
    /// The finding of the check, in one sentence.
    pub finding: String,
}

/// A sentence of the explanation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sentence {
    /// The text of the sentence.
    pub text: String,
    /// The event that the sentence is about.
    pub event: Option<u32>,
}

/// A table of texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Table {
    /// The title of the table.
    pub title: String,
    /// A note to read before the table.
    pub note: String,
    /// The titles of its columns.
    pub columns: Vec<String>,
    /// The rows, each with one cell for every column.
    pub rows: Vec<Vec<String>>,
    /// The highlighted row, by position.
    pub marked: Option<u32>,
}

impl Document {
    /// Panics if something refers to a node, client or event that does not exist, or ends before it
    /// begins, if an event has a later cause, if the events are not in order of time, or if a row
    /// of a table has the wrong number of cells or is marked and does not exist.
    pub(crate) fn assert_consistent(&self) {
        let (nodes, clients) = (self.nodes.len(), self.clients.len());
        let is_node = |node: u16| assert!(usize::from(node) < nodes, "there is no node {node}");
        let is_client =
            |client: u16| assert!(usize::from(client) < clients, "there is no client {client}");
        let is_event =
            |event: u32| assert!((event as usize) < self.events.len(), "no event {event}");
        for (place, event) in (0..).zip(&self.events) {
            match event.lane {
                Lane::Cluster => {}
                Lane::Node(node) => is_node(node),
                Lane::Client(client) => is_client(client),
            }
            event.state.iter().filter_map(|state| state.leader).for_each(is_node);
            assert!(
                event.causes.iter().all(|cause| *cause < place),
                "event {place} has a later cause"
            );
        }
        assert!(self.events.is_sorted_by_key(|event| event.at), "events are in order of time");
        for message in &self.messages {
            is_node(message.from);
            is_node(message.to);
            is_event(message.sent);
            if let Delivery::Arrived(event) = message.delivery {
                is_event(event);
                assert!(event > message.sent, "{message:?}");
            }
        }
        for write in &self.writes {
            is_node(write.node);
            is_event(write.submitted);
            write.ended.into_iter().for_each(is_event);
            assert!(write.ended.is_none_or(|ended| ended >= write.submitted), "{write:?}");
        }
        for operation in &self.operations {
            is_client(operation.client);
            operation.event.into_iter().for_each(is_event);
            let ended = operation.returned.is_none_or(|returned| returned >= operation.invoked);
            assert!(ended, "{operation:?}");
        }
        for fault in &self.faults {
            fault.nodes.iter().copied().for_each(is_node);
            fault.event.into_iter().for_each(is_event);
            assert!(fault.until.is_none_or(|until| until >= fault.from), "{fault:?}");
        }
        self.violation.iter().for_each(|violation| is_event(violation.event));
        self.explanation.iter().filter_map(|sentence| sentence.event).for_each(is_event);
        for table in &self.tables {
            let whole = table.rows.iter().all(|row| row.len() == table.columns.len());
            assert!(whole, "a row of table {} has the wrong number of cells", table.title);
            let rows = table.rows.len();
            let marked = table.marked.is_none_or(|row| (row as usize) < rows);
            assert!(marked, "table {} has no row to mark", table.title);
        }
    }
}
