//! Phrases for logs, roles, messages, inputs, entries, nodes and reject reasons.

use std::time::Duration;

use quorate::raft::{MessageRejectReason, RoleName, Status};
use quorate::types::{AppendOutcome, Body, EntryId, Message, NodeId};

use crate::explain::history::History;
use crate::record::{EventId, EventKind, InputKind};

/// Describes a log by its last entry: `a log up to 4@t2`, or `an empty log`.
pub(super) fn log_up_to(last: EntryId) -> String {
    match last {
        EntryId::ZERO => "an empty log".to_owned(),
        _ => format!("a log up to {last}"),
    }
}

/// Describes a node's role and term as a noun phrase: `a follower in term t3`.
pub(super) fn role(status: &Status) -> String {
    let Status { role, term, .. } = status;
    match role {
        RoleName::Leader => format!("the leader of term {term}"),
        _ => format!("a {role} in term {term}"),
    }
}

/// Describes a message as a noun phrase: `n2's RequestVote in term t3 with a log up to 4@t2`.
pub(super) fn message(message: &Message) -> String {
    let Message { from, term, body, .. } = message;
    match body {
        Body::PreVote { next_term, last } => {
            format!("{from}'s PreVote for term {next_term} with {}", log_up_to(*last))
        }
        Body::PreVoteReply { next_term, granted, .. } => {
            let verb = if *granted { "grants" } else { "rejects" };
            format!("{from}'s PreVoteReply that {verb} a pre-vote for term {next_term}")
        }
        Body::RequestVote { last, .. } => {
            format!("{from}'s RequestVote in term {term} with {}", log_up_to(*last))
        }
        Body::RequestVoteReply { granted, .. } => {
            let answer = if *granted { "grants its vote" } else { "rejects the request" };
            format!("{from}'s RequestVoteReply that {answer} in term {term}")
        }
        Body::AppendEntries { prev, entries, committed } => {
            let carried = match (entries.first(), entries.last()) {
                (Some(first), Some(last)) => self::entries(first.id, last.id),
                _ => "no entries".to_owned(),
            };
            format!(
                "{from}'s AppendEntries in term {term} with {carried} after {prev} and commit \
                 index {committed}"
            )
        }
        Body::AppendEntriesReply(AppendOutcome::Accepted { matched })
        | Body::HeartbeatReply { matched, .. } => {
            let name = body.name();
            format!(
                "{from}'s {name} in term {term} that acknowledges the log up to index {matched}"
            )
        }
        Body::AppendEntriesReply(AppendOutcome::Rejected { prev, .. }) => {
            format!("{from}'s AppendEntriesReply in term {term} that rejects entries after {prev}")
        }
        Body::Heartbeat(heartbeat) => {
            let lease = match heartbeat.read_lease.is_zero() {
                true => String::new(),
                false => format!(" and a read lease of {:?}", heartbeat.read_lease),
            };
            let committed = heartbeat.committed;
            format!("{from}'s Heartbeat in term {term} with commit index {committed}{lease}")
        }
        Body::InstallSnapshot { meta } => {
            format!("{from}'s InstallSnapshot in term {term} with a snapshot up to {}", meta.last)
        }
        Body::InstallSnapshotReply { matched } => {
            format!(
                "{from}'s InstallSnapshotReply in term {term} that acknowledges the snapshot up \
                 to index {matched}"
            )
        }
        Body::ReadIndex { .. } => format!("{from}'s ReadIndex request in term {term}"),
        Body::ReadIndexReply { index, .. } => {
            format!("{from}'s ReadIndexReply in term {term} with read index {index}")
        }
        Body::TimeoutNow => {
            format!("{from}'s TimeoutNow in term {term}, which starts the receiver's campaign")
        }
        _ => log_message(message),
    }
}

/// Describes a message about a damaged or an uncertain log, and any without a phrase of its own.
fn log_message(message: &Message) -> String {
    let Message { from, term, body, .. } = message;
    match body {
        Body::RequestEntries { first, last } => {
            format!("{from}'s RequestEntries for the entries from {first} to {last}")
        }
        Body::RequestEntriesReply { entries, .. } => {
            format!("{from}'s RequestEntriesReply with {} entries", entries.len())
        }
        Body::RequestLogEnd { .. } => {
            format!("{from}'s request in term {term} for the end of the leader's log")
        }
        Body::LogEnd { last, .. } => {
            format!("{from}'s LogEnd in term {term}: the receiver must have the log up to {last}")
        }
        Body::AppendEntriesReply(AppendOutcome::Stored { verified }) => {
            format!(
                "{from}'s AppendEntriesReply in term {term} that reports the log up to index \
                 {verified} and acknowledges nothing"
            )
        }
        _ => format!("{from}'s {} in term {term}", body.name()),
    }
}

/// Describes an input as a verb phrase: `receives n2's RequestVote in term t3 …`.
pub(super) fn step(history: &History<'_>, id: EventId) -> String {
    if let Some((sending, received)) = history.message_of(id) {
        let age = history.record().time_between(sending, id).unwrap_or_default();
        let late = age > LATE;
        let kind = &history.event(sending).kind;
        let again = matches!(kind, EventKind::Injected { .. });
        let sent = match (again, late) {
            _ if matches!(kind, EventKind::Arrived { .. }) => {
                ", whose sending is not recorded".to_owned()
            }
            (true, _) => ", which is misrouted or replayed".to_owned(),
            (false, true) => format!(", sent {age:?} earlier ({sending})"),
            (false, false) => String::new(),
        };
        return format!("receives {}{sent}", message(received));
    }
    match &history.event(id).kind {
        EventKind::TookInput(InputKind::Timeout) => "handles a timer".to_owned(),
        EventKind::TookInput(InputKind::Disk) => {
            "receives the completion of a disk operation".to_owned()
        }
        EventKind::TookInput(InputKind::Worker) => {
            "receives a result of its state machine".to_owned()
        }
        EventKind::TookInput(InputKind::View) => "continues to write a snapshot".to_owned(),
        EventKind::TookInput(InputKind::Packet(_)) => "receives a packet".to_owned(),
        EventKind::TookInput(InputKind::Propose(tags)) => match tags.len() {
            1 => "receives a client's command".to_owned(),
            count => format!("receives {count} commands of clients"),
        },
        EventKind::TookInput(InputKind::Read(_)) => "receives a client's read".to_owned(),
        EventKind::TookInput(InputKind::OperatorRequest(words)) => {
            format!("receives the operator's request to {words}")
        }
        EventKind::TookInput(InputKind::Core(words)) => format!("takes the input `{words}`"),
        EventKind::Started { .. } => "starts".to_owned(),
        EventKind::Applied { first, last, .. } => format!("applies {}", entries(*first, *last)),
        other => other.to_string(),
    }
}

/// Describes a range of entries: `entry 4@t2`, or `entries 4@t2 to 6@t2`.
pub(super) fn entries(first: EntryId, last: EntryId) -> String {
    if first == last { format!("entry {first}") } else { format!("entries {first} to {last}") }
}

/// The length above which a finding is shortened, in bytes.
const FINDING_MAX: usize = 300;

/// The finding, without everything after its first `; ` if it is long. A long finding usually ends
/// with the states of all nodes, which `cargo sim at` shows.
pub(super) fn without_states(finding: &str) -> String {
    match finding.split_once("; ") {
        Some((first, _)) if finding.len() > FINDING_MAX => format!("{first}; …"),
        _ => finding.to_owned(),
    }
}

/// The travel time above which a message counts as late.
const LATE: Duration = Duration::from_millis(50);

/// Lists nodes: `n1, n2 and n3`, or `no node`.
pub(super) fn listed(nodes: impl IntoIterator<Item = NodeId>) -> String {
    let names: Vec<String> = nodes.into_iter().map(|node| node.to_string()).collect();
    match names.split_last() {
        None => "no node".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

/// Describes a reject reason as a clause about the rejecting node, to follow "because".
pub(super) fn reject_reason(reason: MessageRejectReason) -> &'static str {
    match reason {
        MessageRejectReason::LogBehind => "its own log is more up to date",
        MessageRejectReason::LacksCommitted => "the candidate lacks committed entries",
        MessageRejectReason::AlreadyVoted => "it already voted for another node in that term",
        MessageRejectReason::LeaderHeard => {
            "it leads, or heard from a leader within the election timeout"
        }
        MessageRejectReason::VoteWithheld => "it withholds its vote under a vote lease",
        MessageRejectReason::NotMember => "its membership does not contain the sender",
        MessageRejectReason::NotVoter => "its membership gives the sender no vote",
        MessageRejectReason::StaleTerm => "it is in a later term",
        MessageRejectReason::NoMembership => "it has no membership yet",
        MessageRejectReason::StaleReply => "the message replies to an older request",
        MessageRejectReason::WrongRole => "its role does not handle the message",
        MessageRejectReason::PrevMismatch => "it lacks the entry before the appended entries",
        MessageRejectReason::ConflictsWithCommitted => {
            "the entries conflict with committed entries"
        }
        MessageRejectReason::SecondLeader => "the term has another leader",
        MessageRejectReason::UnknownIncarnation => {
            "its membership names another disk of the sender"
        }
        MessageRejectReason::RolledBackDisk => "the sender's disk lost acknowledged entries",
        MessageRejectReason::LogUncertain => "its own log may lack acknowledged entries",
        MessageRejectReason::OutboxFull => "too many messages wait for its disk",
        MessageRejectReason::DiskFull => "its disk is full",
        MessageRejectReason::LeaderNotReady => {
            "it cannot confirm a read index or the end of its log yet"
        }
        MessageRejectReason::OtherBootstrapPeers => "the sender lists other bootstrap peers",
        _ => "the message is invalid",
    }
}
