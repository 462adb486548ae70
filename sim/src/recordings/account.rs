//! The account of recordings: what happened on which node, in lines for people.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use quorate::raft::{Action, Input, MessageRejectReason, RejectReason, RoleCause, RoleName};
use quorate::recording::{Header, Step};
use quorate::types::{Index, Membership, NodeId, Term};

use crate::recordings::elections::{Election, Elections};
use crate::recordings::event::{CoreState, Event, EventKind};
use crate::recordings::silences::{Silence, Silences};
use crate::values::time::{Seconds, SimTime};

/// The lines of an account, in the order of the events.
#[derive(Clone, Debug, Default)]
pub struct Account {
    lines: Vec<AccountLine>,
    nodes: BTreeMap<NodeId, NodeAccount>,
    silences: Silences,
    elections: Elections,
}

/// One line of an account: an event, or several equal ones in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountLine {
    /// The time of the first of the events.
    pub at: SimTime,
    /// The time of the last of the events.
    pub until: SimTime,
    /// The node of the events.
    pub node: NodeId,
    /// The term of the node after the event.
    pub term: Term,
    /// The number of the first record that belongs to the line, if it belongs to one.
    pub record: Option<u64>,
    /// The number of events.
    pub count: u64,
    /// The event that the line describes.
    pub note: Note,
}

/// The event of a line of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The node starts from its disk: this is its first step.
    Starts,
    /// The recording begins within a start, in this role; the steps before it are not recorded.
    Begins {
        /// The role at the beginning of the recording.
        role: RoleName,
        /// The leader that the node knows.
        leader: Option<NodeId>,
    },
    /// The recording of this start ends.
    Ends,
    /// Steps of the node are missing between this line and the node's next one.
    Lacks,
    /// The node took no step for a while, although one was due: it came at least the shortest
    /// election timeout too late.
    TookNoStep {
        /// The time since the last step.
        pause: Duration,
        /// The time by which the step was late.
        late: Duration,
    },
    /// The node received none of the messages that another node sent, up to this time.
    HeardNothing {
        /// The other node, which sent messages.
        from: NodeId,
        /// The time since which nothing arrived.
        since: SimTime,
        /// The number of messages that the other node sent meanwhile.
        sent: u64,
    },
    /// The node's role, term or known leader changed.
    ChangesRole {
        /// The role from now on.
        role: RoleName,
        /// The leader from now on.
        leader: Option<NodeId>,
        /// The reason for the change.
        cause: RoleCause,
    },
    /// The commit index advanced.
    Commits {
        /// The previous commit index.
        from: Index,
        /// The commit index after.
        to: Index,
    },
    /// The node rejected messages.
    RejectsMessage {
        /// The node that sent the messages.
        from: NodeId,
        /// The name of the message.
        message: &'static str,
        /// The reason why the node rejected them.
        reason: MessageRejectReason,
    },
    /// The node rejected requests of users.
    RejectsRequest(RejectReason),
    /// The node uses another membership from here on.
    UsesMembership(Membership),
    /// Another action that is rare, in the words of the traces.
    Other(String),
}

/// The state of one node's account.
#[derive(Clone, Debug, Default)]
struct NodeAccount {
    /// The lines that further equal events are added to.
    open: Vec<usize>,
    last_step: SimTime,
    election_timeout: Duration,
    /// The start of the last segment.
    start: Option<u64>,
}

impl AccountLine {
    /// The nodes that the line names: its own, and one that it has not heard from.
    pub(super) fn nodes(&self) -> impl Iterator<Item = NodeId> {
        let other = match self.note {
            Note::HeardNothing { from, .. } => Some(from),
            _ => None,
        };
        std::iter::once(self.node).chain(other)
    }
}

/// The account reports a silence only if at least this number of messages was sent meanwhile, and
/// none of them arrived.
const SENT_MIN: u64 = 3;

impl Account {
    /// Adds an event of a recording.
    pub fn observe(&mut self, event: &Event<'_>) {
        if !matches!(event.kind, EventKind::IsAhead) {
            self.silences.passes(event.node, event.at);
        }
        self.elections.observe(event, self.lines.len());
        match event.kind {
            EventKind::Begins { header, continues: false, state, .. } => {
                self.begins(event, header, state);
            }
            EventKind::Begins { .. } | EventKind::IsAhead => {}
            EventKind::Steps { step, before, state, .. } => {
                self.note_silence(event, step, event.lateness(), state);
                step.actions.iter().filter_map(note_of).for_each(|note| {
                    self.push(event, state, Some(step), note);
                });
                let (from, to) = (before.committed, state.status.committed);
                if to > from {
                    self.push(event, state, Some(step), Note::Commits { from, to });
                }
            }
            EventKind::Ends => {
                let silences: Vec<Silence> = self.silences.of(event.node).collect();
                let timeout = self.node(event.node).election_timeout;
                let notes = silences.iter().filter_map(|of| heard_nothing(of, event.at, timeout));
                notes.collect::<Vec<_>>().into_iter().for_each(|note| {
                    self.add(event, Term::ZERO, None, note);
                });
                self.silences.ends(event.node);
                self.add(event, Term::ZERO, None, Note::Ends);
            }
        }
    }

    /// The lines in order.
    #[must_use]
    pub fn lines(&self) -> &[AccountLine] {
        &self.lines
    }

    /// Ends the account, and returns its lines and the elections of its leaders, in order.
    #[must_use]
    pub fn finish(self) -> (Vec<AccountLine>, Vec<Election>) {
        (self.lines, self.elections.finish())
    }

    /// Notes how long the node took no step, or received none of another node's messages.
    fn note_silence(
        &mut self,
        event: &Event<'_>,
        step: &Step,
        late: Option<Duration>,
        state: CoreState<'_>,
    ) {
        let (node, at) = (event.node, event.at);
        let timeout = state.config.election_timeout_min;
        let last = std::mem::replace(&mut self.node(node).last_step, at);
        self.node(node).election_timeout = timeout;
        if let Some(late) = late {
            self.silences.returns(node);
            let pause = at.since(last);
            self.push(event, state, Some(step), Note::TookNoStep { pause, late });
        }
        if let Input::Message(message) = &step.input {
            let silence = self.silences.arrived(node, message, at, event.sent_at());
            if let Some(note) = heard_nothing(&silence, at, timeout) {
                self.push(event, state, Some(step), note);
            }
        }
        for action in &step.actions {
            if let Action::Send(message) = action {
                self.silences.sent(node, message.to, at);
            }
        }
    }

    fn node(&mut self, node: NodeId) -> &mut NodeAccount {
        self.nodes.entry(node).or_default()
    }

    fn begins(&mut self, event: &Event<'_>, header: &Header, state: CoreState<'_>) {
        let node = self.node(event.node);
        let before = node.start.replace(header.start);
        (node.last_step, node.election_timeout) = (event.at, state.config.election_timeout_min);
        self.silences.returns(event.node);
        if before == Some(header.start) {
            let end = self.lines.iter_mut().rfind(|line| line.node == event.node);
            if let Some(line) = end.filter(|line| line.note == Note::Ends) {
                line.note = Note::Lacks;
            }
        }
        let note = match header.first_record {
            0 => Note::Starts,
            _ => Note::Begins { role: state.status.role, leader: state.status.leader },
        };
        self.push(event, state, None, note);
    }

    fn push(&mut self, event: &Event<'_>, state: CoreState<'_>, step: Option<&Step>, note: Note) {
        self.add(event, state.status.term, step.map(|step| step.record), note);
    }

    fn add(&mut self, event: &Event<'_>, term: Term, record: Option<u64>, note: Note) {
        let (place, lines) = (self.lines.len(), &mut self.lines);
        let node = self.nodes.entry(event.node).or_default();
        let equal = node.open.iter().find(|line| lines[**line].note.continues_as(&note));
        if let Some(equal) = equal {
            let line = &mut lines[*equal];
            line.note.extend(&note);
            (line.count, line.until) = (line.count + 1, event.at);
            return;
        }
        if note.is_frequent() {
            node.open.push(place);
        } else {
            node.open.clear();
        }
        let (at, node) = (event.at, event.node);
        // The end of a recording has no state of its own.
        let last = || lines.iter().rfind(|line| line.node == node).map(|line| line.term);
        let term = if term == Term::ZERO { last().unwrap_or_default() } else { term };
        lines.push(AccountLine { at, until: at, node, term, record, count: 1, note });
    }
}

/// The note of a silence of at least the shortest election timeout and [`SENT_MIN`] messages.
fn heard_nothing(silence: &Silence, at: SimTime, timeout: Duration) -> Option<Note> {
    let Silence { from, since, sent } = *silence;
    let is_long = sent >= SENT_MIN && at.since(since) >= timeout;
    is_long.then_some(Note::HeardNothing { from, since, sent })
}

/// Returns the note of an action; `None` if the account has no line for such an action.
pub(crate) fn note_of(action: &Action) -> Option<Note> {
    Some(match action {
        Action::RoleChanged { role, leader, cause, .. } => {
            Note::ChangesRole { role: *role, leader: *leader, cause: *cause }
        }
        Action::MessageRejected { from, message, reason } => {
            Note::RejectsMessage { from: *from, message, reason: *reason }
        }
        Action::Rejected { reason, .. } => Note::RejectsRequest(*reason),
        Action::ActiveMembershipChanged(membership) => Note::UsesMembership(membership.clone()),
        Action::Send(_)
        | Action::Persist(_)
        | Action::Apply(_)
        | Action::Fetch { .. }
        | Action::Repair(_)
        | Action::Committed { .. }
        | Action::MayBeLost { .. }
        | Action::Unknown { .. }
        | Action::ReadReady { .. } => return None,
        rare => Note::Other(rare.to_string()),
    })
}

impl Note {
    /// Whether such events are so frequent that one line stands for several.
    fn is_frequent(&self) -> bool {
        matches!(self, Note::Commits { .. } | Note::RejectsMessage { .. } | Note::RejectsRequest(_))
    }

    /// Whether the later note can be added to the line of this one.
    fn continues_as(&self, later: &Note) -> bool {
        let both_commit = matches!((self, later), (Note::Commits { .. }, Note::Commits { .. }));
        both_commit || self.is_frequent() && self == later
    }

    fn extend(&mut self, later: &Note) {
        if let (Note::Commits { to, .. }, Note::Commits { to: last, .. }) = (self, later) {
            *to = *last;
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::Starts => f.write_str("starts"),
            Note::Begins { role, leader: Some(leader) } => {
                write!(f, "is recorded from here on: {role}, leader {leader}")
            }
            Note::Begins { role, leader: None } => {
                write!(f, "is recorded from here on: {role}, no leader")
            }
            Note::Ends => f.write_str("the recording of this start ends"),
            Note::Lacks => f.write_str("the next steps are missing"),
            Note::TookNoStep { pause, late } => {
                let (pause, late) = (Seconds(*pause), Seconds(*late));
                write!(f, "took no step for {pause} s, and this one was due {late} s ago")
            }
            Note::HeardNothing { from, since, sent } => {
                write!(
                    f,
                    "heard nothing from {from} since {since} s, but {from} sent {sent} messages"
                )
            }
            Note::ChangesRole { role, leader, cause } => {
                write!(f, "becomes {role}")?;
                match leader {
                    Some(_) if *role == RoleName::Leader => {}
                    Some(leader) => write!(f, ", leader {leader}")?,
                    None => f.write_str(", no leader")?,
                }
                write!(f, ": {cause}")
            }
            Note::Commits { from, to } if to.0 == from.0 + 1 => write!(f, "commits index {to}"),
            Note::Commits { from, to } => {
                write!(f, "commits indices {} to {to}", Index(from.0 + 1))
            }
            Note::RejectsMessage { from, message, reason } => {
                write!(f, "rejects {message} from {from}: {reason}")
            }
            Note::RejectsRequest(reason) => write!(f, "rejects a request: {reason}"),
            Note::UsesMembership(membership) => write!(f, "uses the membership {membership}"),
            Note::Other(text) => f.write_str(text),
        }
    }
}
