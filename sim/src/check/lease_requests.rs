//! Requests for read leases (S78): a node asks for one only in a term that it entered after its
//! start, and after it last became uncertain or certain.
//!
//! A node that lost a part of its disk may have answered the leader's last round before that. If
//! the leader echoes that reply, the node would count the time of its read lease from a later reply
//! to the same round, and so for too long (`Ballot::may_count_round`). In a later term this cannot
//! happen, because the node has sent no reply of that term before the loss.

use quorate::raft::Status;
use quorate::types::{Body, Message, Term};

use crate::check::finding::{CheckResult, S78};
use crate::check::known::Known;
use crate::check::rule::Rule;

/// For each node, the term in which it started, or last became uncertain or certain.
#[derive(Clone, Debug)]
pub(super) struct LeaseRequests {
    since: Vec<Term>,
}

impl Rule for LeaseRequests {
    fn new(known: &Known) -> LeaseRequests {
        LeaseRequests { since: vec![Term::ZERO; known.model.nodes.len()] }
    }

    fn started(&mut self, known: &Known, status: &Status) -> CheckResult {
        self.since[known.model.slot(status.id).0] = status.term;
        Ok(())
    }

    fn status_changed(&mut self, known: &Known, status: &Status) -> CheckResult {
        if known.before.is_some_and(|before| before.is_uncertain != status.is_uncertain) {
            self.since[known.model.slot(status.id).0] = status.term;
        }
        Ok(())
    }

    fn sent(&mut self, known: &Known, message: &Message) -> CheckResult {
        let Body::HeartbeatReply { round: 1.., ready, .. } = message.body else { return Ok(()) };
        let slot = known.model.slot(message.from);
        let since = self.since[slot.0];
        if !ready.wants_read_lease || message.term > since || !known.is_prompt(slot) {
            return Ok(());
        }
        let Message { from, to, term, .. } = message;
        S78.violated(format!(
            "{from} asks {to} for a read lease in term {term}, but started, or became uncertain or \
             certain, in term {since}"
        ))
    }
}
