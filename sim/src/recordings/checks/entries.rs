//! The contents of entries, and leaders' own logs: S8 and S9.

use std::collections::BTreeMap;

use quorate::raft::{Action, Input, RoleName, Status};
use quorate::recording::Step;
use quorate::types::{Body, Entry, EntryId, Message, NodeId, Payload, Term};

use crate::check::{S8, S9};
use crate::recordings::checks::known::KnownNode;
use crate::recordings::checks::ledger::Ledger;
use crate::recordings::event::{CoreState, Event};
use crate::values::digest::of_bytes;

/// Every entry that a recording shows.
#[derive(Clone, Debug, Default)]
pub(super) struct Entries {
    known: BTreeMap<EntryId, KnownEntry>,
}

#[derive(Clone, Copy, Debug)]
struct KnownEntry {
    /// The term of the entry before it.
    before: Term,
    content: Content,
    /// The node whose recording first shows the entry.
    seen_by: NodeId,
}

/// The content of an entry, as far as a recording has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Noop,
    /// The hash of a membership.
    Membership(u64),
    /// The length of a command, and its hash, which can be compared only with hashes under the same
    /// key: within a start of a node, or among all recordings that keep commands.
    Command {
        bytes: usize,
        hash: u64,
        key: Option<(NodeId, u64)>,
    },
}

impl Content {
    fn of(payload: &Payload, node: &KnownNode) -> Content {
        match payload {
            Payload::Noop => Content::Noop,
            Payload::Membership(membership) => Content::Membership(of_bytes(&membership.encode())),
            Payload::Command(command) => Content::Command {
                bytes: command.len(),
                hash: of_bytes(command),
                key: (!node.keeps_commands).then_some((node.id, node.start)),
            },
        }
    }

    /// Whether the two are certainly different.
    fn differs(self, other: Content) -> bool {
        match (self, other) {
            (
                Content::Command { bytes, hash, key },
                Content::Command { bytes: other_bytes, hash: other_hash, key: other_key },
            ) => bytes != other_bytes || key == other_key && hash != other_hash,
            (one, other) => one != other,
        }
    }
}

impl Entries {
    pub(super) fn input(&mut self, ledger: &mut Ledger, node: &KnownNode, step: &Step) {
        if let Input::Message(message) = &step.input {
            self.message(ledger, node, message);
        }
    }

    pub(super) fn action(
        &mut self,
        ledger: &mut Ledger,
        node: &KnownNode,
        before: &Status,
        action: &Action,
    ) {
        match action {
            Action::Send(message) => self.message(ledger, node, message),
            Action::Persist(write) => {
                let Some(first) = write.entries.first() else { return };
                let overwrites =
                    before.role == RoleName::Leader && first.id.index <= node.log.last();
                let (id, first, last) = (node.id, first.id, node.log.last());
                if overwrites && first.term == before.term {
                    ledger.violated(
                        &S9,
                        format!(
                            "{id} leads term {} and overwrites its own log, which ends at index \
                             {last}, with entry {first}",
                            before.term
                        ),
                    );
                }
                let previous = match &write.install {
                    Some(meta) => Some(meta.last),
                    None => node.log.id_at(first.index.previous()),
                };
                if let Some(previous) =
                    previous.filter(|previous| previous.index >= node.base.index)
                {
                    self.admit(ledger, node, previous, &write.entries);
                }
            }
            _ => {}
        }
    }

    /// Checks that a leader does not truncate its log.
    pub(super) fn stepped(
        &self,
        ledger: &mut Ledger,
        event: &Event<'_>,
        before: &Status,
        state: CoreState<'_>,
    ) {
        let is = state.status;
        if before.role != RoleName::Leader || is.role != before.role || is.term != before.term {
            return;
        }
        let (id, term, was) = (event.node, is.term, before.last);
        let truncates = was.index > is.last.index || state.log.term_at(was.index) != Some(was.term);
        let text = || {
            let last = is.last;
            format!(
                "{id} leads term {term} and truncates its own log, whose last entry changes from \
                 {was} to {last}"
            )
        };
        ledger.decide(&S9, (truncates && was.index > state.log.base().index).then(text));
    }

    fn message(&mut self, ledger: &mut Ledger, node: &KnownNode, message: &Message) {
        if let Body::AppendEntries { prev, entries, .. } = &message.body {
            self.admit(ledger, node, *prev, entries);
        }
    }

    /// Checks entries that follow `before`: an id has one content and one predecessor, and so, by
    /// induction, one log up to it (Raft §5.3).
    fn admit(&mut self, ledger: &mut Ledger, node: &KnownNode, before: EntryId, all: &[Entry]) {
        let mut before = before.term;
        for Entry { id, payload } in all {
            let new = KnownEntry { before, content: Content::of(payload, node), seen_by: node.id };
            before = id.term;
            let Some(old) = self.known.get(id) else {
                self.known.insert(*id, new);
                continue;
            };
            let difference = match old {
                old if old.content.differs(new.content) => "different content",
                old if old.before != new.before => "a different prefix",
                _ => {
                    ledger.holds(&S8);
                    continue;
                }
            };
            let (one, other) = (node.id, old.seen_by);
            let text = format!("{one}'s recording has entry {id} with {difference} than {other}'s");
            ledger.violated(&S8, text);
        }
    }
}
