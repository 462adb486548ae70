//! Reads that a node forwards to its leader: the part of S20 about the leader's answer.

use std::collections::VecDeque;

use quorate::types::{Body, Index, Message, Term};

use crate::check::finding::{S20, Verdict};
use crate::check::model::Model;
use crate::check::nodes::Slot;

/// What was so when a node first asked.
#[derive(Clone, Copy, Debug)]
struct Asked {
    boot: u64,
    ticket: u64,
    /// The latest term that had been won.
    won: Term,
    /// What was complete.
    floor: Index,
}

/// The last requests of each node.
#[derive(Clone, Debug)]
pub(super) struct Forwarded {
    asked: Vec<VecDeque<Asked>>,
}

/// An answer to an earlier request than so many is not checked.
const REMEMBERED_MAX: usize = 32;

impl Forwarded {
    pub(super) fn new(model: &Model) -> Forwarded {
        Forwarded { asked: vec![VecDeque::new(); model.nodes.len()] }
    }

    /// A message left; `won` is the latest term that was won, and `floor` is complete by now.
    pub(super) fn sent(
        &mut self,
        model: &Model,
        message: &Message,
        won: Term,
        floor: Index,
    ) -> Verdict {
        match message.body {
            Body::ReadIndex { boot, ticket } => {
                self.asks(model.slot(message.from), Asked { boot, ticket, won, floor });
                Ok(())
            }
            Body::ReadIndexReply { boot, ticket, index } => {
                let asked = &self.asked[model.slot(message.to).0];
                let is_same = |asked: &&Asked| (asked.boot, asked.ticket) == (boot, ticket);
                let asked = asked.iter().rev().find(is_same).copied();
                asked.map_or(Ok(()), |asked| answers(message, asked, index))
            }
            _ => Ok(()),
        }
    }

    /// A request that is sent again was asked for when it was first sent.
    fn asks(&mut self, slot: Slot, new: Asked) {
        let asked = &mut self.asked[slot.0];
        let key = |asked: &Asked| (asked.boot, asked.ticket);
        if asked.iter().any(|old| key(old) == key(&new)) {
            return;
        }
        if asked.len() == REMEMBERED_MAX {
            asked.pop_front();
        }
        asked.push_back(new);
    }
}

/// The leader confirmed after it was asked that it still leads, and took its index no earlier.
fn answers(message: &Message, asked: Asked, index: Index) -> Verdict {
    let (from, to, term) = (message.from, message.to, message.term);
    let Asked { won, floor, .. } = asked;
    if term < won {
        return S20.broken(format!(
            "{from} answers the reads of {to} in {term}, though {won} was won before it was asked"
        ));
    }
    if index < floor {
        return S20.broken(format!(
            "{from} answers the reads of {to} with {index}, below {floor}, which was complete \
             before it was asked"
        ));
    }
    Ok(())
}
