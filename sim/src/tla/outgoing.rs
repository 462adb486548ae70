//! The outgoing messages of a step that the specification compares with the state of the sender:
//! votes and their requests, acknowledgements, and replies with a read index.

use quorate::raft::Action;
use quorate::types::{AppendOutcome, Body, Message};

use crate::tla::line::{truth, tuple};
use crate::tla::reads;

/// The texts of the messages that the step sends, each once.
pub(super) fn texts(actions: &[Action]) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    for action in actions {
        if let Action::Send(message) = action
            && let Some(text) = text(message)
            && !texts.contains(&text)
        {
            texts.push(text);
        }
    }
    texts
}

fn text(message: &Message) -> Option<String> {
    let (term, to) = (message.term.0.to_string(), message.to);
    let named = |name: &str, rest: Vec<String>| {
        tuple([format!("\"{name}\""), term.clone()].into_iter().chain(rest))
    };
    Some(match &message.body {
        Body::RequestVote { last, transfer } => {
            let (index, last_term) = (last.index.0.to_string(), last.term.0.to_string());
            named("request", vec![index, last_term, truth(*transfer).to_owned()])
        }
        Body::RequestVoteReply { granted: true, .. } => named("grant", vec![to.0.to_string()]),
        Body::AppendEntriesReply(AppendOutcome::Accepted { matched })
        | Body::InstallSnapshotReply { matched }
            if matched.0 > 0 =>
        {
            named("ack", vec![matched.0.to_string()])
        }
        Body::HeartbeatReply { round, matched, verified, .. } => {
            let (matched, verified) = (matched.0.to_string(), verified.0.to_string());
            named("beat", vec![round.to_string(), matched, verified])
        }
        Body::ReadIndexReply { start_id, ticket, index } => {
            let name = reads::peer_name(message.term, to, *start_id, *ticket);
            tuple(["\"index\"".to_owned(), format!("\"{name}\""), index.0.to_string()])
        }
        _ => return None,
    })
}
