//! Messages, steps and lists in words.

use quorate::raft::Refusal;
use quorate::types::{AppendOutcome, Body, Message, NodeId};

use crate::explain::past::Past;
use crate::record::{EventId, Taken, What};

/// A message as a thing: `n2's request for a vote in t3, with a log to 4@t2`.
pub(super) fn message(message: &Message) -> String {
    let Message { from, term, body, .. } = message;
    match body {
        Body::PreVote { next_term, last } => {
            format!("{from}'s question whether it would win {next_term}, with a log to {last}")
        }
        Body::PreVoteReply { next_term, granted: true } => {
            format!("{from}'s word that it would vote in {next_term}")
        }
        Body::PreVoteReply { next_term, granted: false } => {
            format!("{from}'s word that it would not vote in {next_term}")
        }
        Body::RequestVote { last, .. } => {
            format!("{from}'s request for a vote in {term}, with a log to {last}")
        }
        Body::RequestVoteReply { granted: true } => format!("{from}'s vote in {term}"),
        Body::RequestVoteReply { granted: false } => format!("{from}'s refusal to vote in {term}"),
        Body::AppendEntries { prev, entries, committed } => {
            let carried = match (entries.first(), entries.last()) {
                (Some(first), Some(last)) if first.id == last.id => format!("entry {}", first.id),
                (Some(first), Some(last)) => format!("entries {} to {}", first.id, last.id),
                _ => "no entries".to_owned(),
            };
            format!("{from}'s append in {term}: {carried} after {prev}, committed {committed}")
        }
        Body::AppendEntriesReply(AppendOutcome::Accepted { matched }) => {
            format!("{from}'s acknowledgement in {term} of the log to {matched}")
        }
        Body::AppendEntriesReply(AppendOutcome::Rejected { prev, .. }) => {
            format!("{from}'s word in {term} that it has no such entry at {prev}")
        }
        Body::Heartbeat(beat) => {
            format!("{from}'s heartbeat in {term}, committed {}", beat.committed)
        }
        Body::HeartbeatReply { matched, .. } => {
            format!("{from}'s answer to a heartbeat in {term}, its disk equal to {matched}")
        }
        Body::InstallSnapshot { meta } => {
            format!("{from}'s offer in {term} of a snapshot to {}", meta.last)
        }
        Body::InstallSnapshotReply { matched } => {
            format!("{from}'s word in {term} that it has the snapshot, to {matched}")
        }
        Body::ReadIndex { .. } => format!("{from}'s question for a read index in {term}"),
        Body::ReadIndexReply { index, .. } => format!("{from}'s read index {index} in {term}"),
        Body::TimeoutNow => format!("{from}'s word that it is to lead after {term}"),
        _ => format!("{from}'s {} in {term}", body.name()),
    }
}

/// What a step took, as what its node does: `takes n2's vote in t3`.
pub(super) fn step(past: &Past<'_>, id: EventId) -> String {
    if let Some((sending, said)) = past.message_of(id) {
        let age = past.at(id).since(past.at(sending));
        let late = past.at(id).0 > past.at(sending).0 + LATE_NANOS;
        let again = matches!(past.event(sending).what, What::Intruded { .. });
        let sent = match (again, late) {
            (true, _) => ", which nobody sent now".to_owned(),
            (false, true) => format!(", sent {age:?} before ({sending})"),
            (false, false) => String::new(),
        };
        return format!("takes {}{sent}", message(said));
    }
    match &past.event(id).what {
        What::Took(Taken::Timeout) => "has waited as long as it may".to_owned(),
        What::Took(Taken::Disk) => "hears that its disk is done with an operation".to_owned(),
        What::Took(Taken::Worker) => "hears of its state machine".to_owned(),
        What::Took(Taken::View) => "goes on with a snapshot".to_owned(),
        What::Took(Taken::Packet(_)) => "takes a packet".to_owned(),
        What::Took(Taken::Propose(tags)) => match tags.len() {
            1 => "takes a client's command".to_owned(),
            count => format!("takes {count} commands of clients"),
        },
        What::Took(Taken::Read(_)) => "takes a client's read".to_owned(),
        What::Took(Taken::Order(words)) => format!("is told to {words}"),
        What::Started { .. } => "starts".to_owned(),
        other => other.to_string(),
    }
}

/// A message that travels for longer is late.
const LATE_NANOS: u64 = 50_000_000;

/// Nodes in a row: `n1, n2 and n3`, or `nobody`.
pub(super) fn listed(nodes: impl IntoIterator<Item = NodeId>) -> String {
    let names: Vec<String> = nodes.into_iter().map(|node| node.to_string()).collect();
    match names.split_last() {
        None => "nobody".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

/// Why a guard refused, as what the node did.
pub(super) fn refusal(reason: Refusal) -> &'static str {
    match reason {
        Refusal::LogBehind => "its own log goes further",
        Refusal::AlreadyVoted => "it gave its vote of that term to another",
        Refusal::LeaderFresh => "it heard from a leader just before",
        Refusal::Promised => "it promised its leader to vote for nobody else for a while",
        Refusal::NotVoter => "the sender has no vote where votes count",
        Refusal::StaleTerm => "it is in a later term",
        Refusal::NoMembership => "it knows no membership yet",
        Refusal::StaleReply => "it answers something older",
        Refusal::WrongRole => "it is not in the role for it",
        Refusal::PrevMismatch => "it has no such entry to go on from",
        Refusal::ConflictsWithCommitted => "it would replace what is committed",
        Refusal::SecondLeader => "the term has another leader",
        Refusal::OtherDisk | Refusal::OlderImage => "the disk is not the one it counts on",
        Refusal::OutboxFull => "too much waits for its disk",
        Refusal::DiskFull => "its disk is full",
        _ => "it makes no sense to it",
    }
}
