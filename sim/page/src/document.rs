//! What happened in a run, as plain words and numbers: all that a page knows.
//!
//! Nodes and clients are named once and then told apart by their places in those lists; an event is
//! named by its place, too, from 0. Times are nanoseconds since the start, or places in an
//! order. No number is above [`NUMBER_MAX`]; a greater one is shown as that.

/// The greatest number that a page can show exactly: what a script can add to its like.
pub const NUMBER_MAX: u64 = 1 << 52;

/// A run, or part of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// What tells it from another on the same page: `original`, `shrunk`.
    pub name: String,
    /// What it is: `seed 41877, profile default`.
    pub title: String,
    /// What its times are.
    pub clock: Clock,
    /// What else is worth knowing at once: the line that replays it, what was counted.
    pub facts: Vec<Fact>,
    /// The names of the nodes.
    pub nodes: Vec<String>,
    /// The names of the clients.
    pub clients: Vec<String>,
    /// What happened, in order of time.
    pub events: Vec<Event>,
    /// What nodes sent to one another, in the order of sending.
    pub messages: Vec<Message>,
    /// What nodes wrote to their disks, in the order of submission.
    pub writes: Vec<Write>,
    /// What clients asked, in the order of invocation.
    pub operations: Vec<Operation>,
    /// The faults, in the order of their beginnings.
    pub faults: Vec<Fault>,
    /// The first thing that was wrong.
    pub violation: Option<Violation>,
    /// Why it came to that, in sentences.
    pub story: Vec<Sentence>,
    /// What is better read than drawn.
    pub tables: Vec<Table>,
}

/// What times are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// Nanoseconds, shown as seconds.
    #[default]
    Nanoseconds,
    /// Places in an order, which have no distance.
    Places,
}

/// Something worth knowing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// What it is about.
    pub label: String,
    /// What is so.
    pub value: String,
    /// Whether it is a line to copy.
    pub code: bool,
}

/// Whose an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Everybody's: a fault between nodes, a phase of the run.
    Cluster,
    /// This node's.
    Node(u16),
    /// This client's.
    Client(u16),
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When; not before the event in front of it.
    pub at: u64,
    /// To whom.
    pub lane: Lane,
    /// Of which sort it is.
    pub kind: Kind,
    /// What, in one line. If it is empty, the message that arrives with it says it.
    pub text: String,
    /// The earlier events without which it would not have come to this one.
    pub causes: Vec<u32>,
    /// How its node is after it, if it is a node's and that is known.
    pub state: Option<State>,
    /// How the node's log changed.
    pub log: Option<LogChange>,
}

/// The sorts of events: what can be shown and hidden by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A message reaches a node.
    Message,
    /// A node sends one.
    Send,
    /// A node's time is up.
    Timer,
    /// Something of a disk: a write given to it, or done.
    Disk,
    /// A state machine's doing.
    Machine,
    /// Something between a client and a node.
    Client,
    /// An operator's order.
    Order,
    /// A node starts.
    Start,
    /// A node crashes or stops.
    Crash,
    /// A node stands still.
    Pause,
    /// It goes on.
    Resume,
    /// A fault begins or ends.
    Fault,
    /// A phase of the run begins.
    Phase,
    /// Whatever else.
    Other,
}

/// How a node is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Whether it runs.
    pub condition: Condition,
    /// Its role.
    pub role: Role,
    /// Its term.
    pub term: u64,
    /// Whom it believes to lead.
    pub leader: Option<u16>,
    /// Where its log starts.
    pub base: u64,
    /// The last index its newest snapshot covers.
    pub snapshot: u64,
    /// The last index its state machine has applied.
    pub applied: u64,
    /// The last index it knows to be committed.
    pub committed: u64,
    /// The last index on its disk.
    pub durable: u64,
    /// The last index of its log.
    pub last: u64,
    /// Whatever else is known, in one line: `voted n2 · reads waiting 3`.
    pub detail: String,
}

/// Whether a node runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// It runs.
    #[default]
    Up,
    /// It has crashed, or not started.
    Down,
    /// It stands still and knows nothing of it.
    Paused,
}

/// What a node does in its term.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// It follows.
    #[default]
    Follower,
    /// It asks whether it would be elected.
    PreCandidate,
    /// It stands for election.
    Candidate,
    /// It leads.
    Leader,
}

/// What became of a log: its entries after `keep` are replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogChange {
    /// The last index that stays.
    pub keep: u64,
    /// What follows it.
    pub entries: Vec<Entry>,
}

/// An entry of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its term.
    pub term: u64,
    /// What it carries, in a few words.
    pub text: String,
}

/// Something that a node sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The event that sent it.
    pub sent: u32,
    /// Who sent it.
    pub from: u16,
    /// To whom.
    pub to: u16,
    /// Of which sort it is.
    pub topic: Topic,
    /// What it says.
    pub text: String,
    /// What became of it.
    pub fate: Fate,
}

/// The sorts of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Of an election.
    Vote,
    /// Entries, and their acknowledgements.
    Append,
    /// A leader's sign of life, and the answers.
    Heartbeat,
    /// Of a snapshot.
    Snapshot,
    /// Of a read.
    Read,
    /// Whatever else.
    Other,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is still on its way when the run ends.
    Travels,
    /// It arrived with this event.
    Arrived(u32),
    /// It was lost at this time.
    Lost(u64),
}

/// Something that a node gave to its disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Whose disk.
    pub node: u16,
    /// What it is.
    pub text: String,
    /// The event that submitted it.
    pub submitted: u32,
    /// The event that ended it; none if the run ended first.
    pub ended: Option<u32>,
    /// What came of it.
    pub end: WriteEnd,
}

/// What came of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteEnd {
    /// Nothing yet.
    Pending,
    /// It is durable.
    Flushed,
    /// Part of it was lost.
    Torn,
    /// All of it was lost.
    Lost,
    /// The disk said no.
    Failed,
}

/// What a client asked, and was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Who asked.
    pub client: u16,
    /// What.
    pub call: String,
    /// What it was told.
    pub result: String,
    /// When it asked.
    pub invoked: u64,
    /// When it was told; none if it never was.
    pub returned: Option<u64>,
    /// How it ended.
    pub outcome: Outcome,
    /// The event of its invocation.
    pub event: Option<u32>,
    /// What it is to the explanation.
    pub weight: Weight,
    /// Its place in the longest order that explains the results, from 1.
    pub place: Option<u32>,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered.
    Returned,
    /// It had no effect.
    Failed,
    /// Nobody told.
    Unknown,
}

/// What an operation is to an explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// It is shown because it was there.
    Beside,
    /// It is part of the evidence.
    Evidence,
    /// It fits nowhere.
    Misfit,
}

/// A fault, from when to when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What it is.
    pub text: String,
    /// When it began.
    pub from: u64,
    /// When it ended; none if it stayed.
    pub until: Option<u64>,
    /// Whom it befell; nobody in particular if it is empty.
    pub nodes: Vec<u16>,
    /// The event of its beginning.
    pub event: Option<u32>,
}

/// What was wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The event with which it was seen.
    pub event: u32,
    /// Which check saw it: `S1 election-safety`.
    pub check: String,
    /// What it saw, in a sentence.
    pub saw: String,
}

/// A sentence of the story, and where to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentence {
    /// What it says.
    pub text: String,
    /// The event that it is about.
    pub event: Option<u32>,
}

/// Rows of words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// What it lists.
    pub title: String,
    /// What to know before reading it.
    pub note: String,
    /// The titles of its columns.
    pub columns: Vec<String>,
    /// Its rows, each with as many cells as there are columns.
    pub rows: Vec<Vec<String>>,
    /// The row that stands out.
    pub marked: Option<u32>,
}

impl Document {
    /// Everything that is named is there, and time never goes back.
    pub(crate) fn assert_whole(&self) {
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
            assert!(event.causes.iter().all(|cause| *cause < place), "causes come first: {place}");
        }
        assert!(self.events.is_sorted_by_key(|event| event.at), "time never goes back");
        for message in &self.messages {
            is_node(message.from);
            is_node(message.to);
            is_event(message.sent);
            if let Fate::Arrived(event) = message.fate {
                is_event(event);
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
        self.story.iter().filter_map(|sentence| sentence.event).for_each(is_event);
        for table in &self.tables {
            let whole = table.rows.iter().all(|row| row.len() == table.columns.len());
            assert!(whole, "a row of {} has too many cells, or too few", table.title);
        }
    }
}
