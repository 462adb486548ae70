//! What users ask of a node that runs, and what they are told.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use tokio::sync::oneshot::{self, Sender};

use crate::machine::Outcome;
use crate::replica::{Input, Output};
use crate::runtime::metrics::{Counts, Ending, ReadEnding, Stopwatch};
use crate::types::{
    Acknowledge, Change, Command, EntryId, Freshness, Index, NodeId, ReadLevel, RejectReason,
    Report, Tag,
};

/// What came of something asked.
pub(super) type Told<T> = Result<T, AskError>;

/// Why something that was asked did not end well.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AskError {
    /// Nothing happened, and nothing will: safe to try again, where the reason says.
    Rejected(RejectReason),
    /// It may have happened, or happen yet: safe to try again in a session only.
    Unknown,
    /// The server stopped before anything was known.
    Stopped,
}

/// What became of a request that ended well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proposed {
    /// It is in the log for good and carried out.
    Done {
        /// Where it stands.
        id: EntryId,
        /// What came of it.
        outcome: Outcome,
    },
    /// With [`Acknowledge::LeaderOnly`]: it is in the leader's memory, and may be lost.
    MayBeLost {
        /// Where it was appended.
        id: EntryId,
    },
}

/// An answer to a read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// What the state machine said.
    pub answer: Vec<u8>,
    /// How fresh that is.
    pub freshness: Freshness,
    /// The index that the read waited for.
    pub index: Index,
    /// How far the state machine had applied the log.
    pub applied: Index,
}

/// One thing that a user wants, and whom to tell.
pub(super) enum Ask {
    Propose(Command, Acknowledge, Stopwatch, Sender<Told<Proposed>>),
    Read(ReadLevel, Vec<u8>, Stopwatch, Sender<Told<Answered>>),
    Change(Change, Sender<Told<EntryId>>),
    GiveUp(Sender<Told<EntryId>>),
    Transfer(Option<NodeId>, Sender<Told<()>>),
    Campaign,
    Snapshot,
    Report(Sender<Report>),
    Close,
}

/// Who waits for what.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    last: u64,
    waiting: BTreeMap<Tag, Waits>,
}

#[derive(Debug)]
enum Waits {
    Proposed(Stopwatch, Sender<Told<Proposed>>),
    Answered(ReadLevel, Stopwatch, Sender<Told<Answered>>),
    Changed(Sender<Told<EntryId>>),
    Resigned(Sender<Told<()>>),
}

impl Waiting {
    /// The node's own part of what is asked; what a node has no part in comes back.
    pub(super) fn put(&mut self, ask: Ask) -> Result<Input, Ask> {
        Ok(match ask {
            Ask::Propose(command, acknowledge, since, sender) => {
                let tag = self.wait(Waits::Proposed(since, sender));
                Input::propose(tag, acknowledge, command)
            }
            Ask::Read(level, query, since, sender) => {
                Input::Read { tag: self.wait(Waits::Answered(level, since, sender)), level, query }
            }
            Ask::Change(change, sender) => {
                Input::ChangeMembership { tag: self.wait(Waits::Changed(sender)), change }
            }
            Ask::GiveUp(sender) => Input::GiveUpChange { tag: self.wait(Waits::Changed(sender)) },
            Ask::Transfer(to, sender) => {
                Input::Transfer { tag: self.wait(Waits::Resigned(sender)), to }
            }
            Ask::Campaign => Input::Campaign,
            Ask::Snapshot => Input::TakeSnapshot,
            Ask::Report(_) | Ask::Close => return Err(ask),
        })
    }

    /// To hand over the leadership, and hear of it.
    pub(super) fn resign(&mut self) -> (Input, oneshot::Receiver<Told<()>>) {
        let (sender, told) = oneshot::channel();
        (Input::Transfer { tag: self.wait(Waits::Resigned(sender)), to: None }, told)
    }

    fn wait(&mut self, waits: Waits) -> Tag {
        self.last += 1;
        self.waiting.insert(Tag(self.last), waits);
        Tag(self.last)
    }

    /// Tells whoever waited for it; what nobody waits for comes back.
    pub(super) fn tell(&mut self, output: Output, counts: &Counts) -> Option<Output> {
        let (tag, told) = match output {
            Output::Replied { tag, id, outcome } => (tag, Ok(End::Done(id, outcome))),
            Output::MayBeLost { tag, id } => (tag, Ok(End::MayBeLost(id))),
            Output::Answered { tag, freshness, index, applied, answer } => {
                (tag, Ok(End::Answered(Answered { answer, freshness, index, applied })))
            }
            Output::Changed { tag, id } => (tag, Ok(End::Changed(id))),
            Output::Resigned { tag } => (tag, Ok(End::Resigned)),
            Output::Rejected { tag, reason } => (tag, Err(AskError::Rejected(reason))),
            Output::Unknown { tag } => (tag, Err(AskError::Unknown)),
            other => return Some(other),
        };
        if let Some(waits) = self.waiting.remove(&tag) {
            waits.count(&told, counts);
            waits.tell(told);
        }
        None
    }
}

/// How something that was asked ended.
enum End {
    Done(EntryId, Outcome),
    MayBeLost(EntryId),
    Answered(Answered),
    Changed(EntryId),
    Resigned,
}

impl Waits {
    fn count(&self, told: &Told<End>, counts: &Counts) {
        match self {
            Waits::Proposed(since, _) => {
                let ending = match told {
                    Ok(End::MayBeLost(_)) => Ending::MayBeLost,
                    Ok(_) => Ending::Done,
                    Err(AskError::Rejected(_)) => Ending::Rejected,
                    Err(AskError::Unknown | AskError::Stopped) => Ending::Unknown,
                };
                counts.proposed(ending, *since);
            }
            Waits::Answered(level, since, _) => {
                let answered = told.is_ok();
                let ending = if answered { ReadEnding::Answered } else { ReadEnding::Rejected };
                counts.read(*level, ending, *since);
            }
            Waits::Changed(_) | Waits::Resigned(_) => {}
        }
        if let Err(AskError::Rejected(reason)) = told {
            counts.requests.rejections.add(reason, 1);
        }
    }

    /// Whoever gave up waiting is told nothing.
    fn tell(self, told: Told<End>) {
        match (self, told) {
            (Waits::Proposed(_, sender), Ok(End::Done(id, outcome))) => {
                drop(sender.send(Ok(Proposed::Done { id, outcome })));
            }
            (Waits::Proposed(_, sender), Ok(End::MayBeLost(id))) => {
                drop(sender.send(Ok(Proposed::MayBeLost { id })));
            }
            (Waits::Answered(_, _, sender), Ok(End::Answered(answered))) => {
                drop(sender.send(Ok(answered)));
            }
            (Waits::Changed(sender), Ok(End::Changed(id))) => drop(sender.send(Ok(id))),
            (Waits::Resigned(sender), Ok(End::Resigned)) => drop(sender.send(Ok(()))),
            (Waits::Proposed(_, sender), Err(error)) => drop(sender.send(Err(error))),
            (Waits::Answered(_, _, sender), Err(error)) => drop(sender.send(Err(error))),
            (Waits::Changed(sender), Err(error)) => drop(sender.send(Err(error))),
            (Waits::Resigned(sender), Err(error)) => drop(sender.send(Err(error))),
            (
                Waits::Proposed(..) | Waits::Answered(..) | Waits::Changed(_) | Waits::Resigned(_),
                _,
            ) => {
                unreachable!("a node answers what it was asked")
            }
        }
    }
}

impl Proposed {
    /// The state machine's reply, if there is one.
    #[must_use]
    pub fn reply(&self) -> Option<&Arc<[u8]>> {
        match self {
            Proposed::Done { outcome: Outcome::Reply(reply), .. } => Some(reply),
            Proposed::Done { .. } | Proposed::MayBeLost { .. } => None,
        }
    }
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AskError::Rejected(reason) => write!(f, "nothing happened: {reason}"),
            AskError::Unknown => f.write_str("it may have happened: try again in a session only"),
            AskError::Stopped => f.write_str("the server stopped, and nothing is known"),
        }
    }
}

impl std::error::Error for AskError {}
