//! Messages in a script: selectors of messages in flight, and messages written by hand.

use std::collections::BTreeMap;
use std::time::Duration;

use quorate::types::{
    AppendOutcome, Body, Command, Entry, EntryId, Heartbeat, Incarnation, Index, Lineage,
    Membership, Message, MessageKind, NodeId, Payload, Readiness, SnapshotMeta, Term,
};

use super::settings;

/// A selector of messages by sender, receiver and name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selector {
    from: Option<NodeId>,
    to: Option<NodeId>,
    name: Option<String>,
}

impl Selector {
    /// Selects all messages from one node to another; `None` stands for any node.
    pub(crate) fn between(from: Option<NodeId>, to: Option<NodeId>) -> Selector {
        Selector { from, to, name: None }
    }
}

impl Selector {
    /// Reads `n1 -> n2 AppendEntries`; `*` is any node, and the nodes or the name may be missing.
    pub(crate) fn parse(words: &[&str]) -> Result<Selector, String> {
        match words {
            [] => Ok(Selector::default()),
            [name] => Ok(Selector { name: Some(known_name(name)?), ..Selector::default() }),
            [from, "->", to, rest @ ..] if rest.len() <= 1 => Ok(Selector {
                from: node_or_any(from)?,
                to: node_or_any(to)?,
                name: rest.first().map(|name| known_name(name)).transpose()?,
            }),
            _ => Err(format!("`{}` is not of the form `n1 -> n2 Name`", words.join(" "))),
        }
    }

    /// Whether the selector matches the message.
    pub(crate) fn matches(&self, message: &Message) -> bool {
        self.from.is_none_or(|from| from == message.from)
            && self.to.is_none_or(|to| to == message.to)
            && self.name.as_ref().is_none_or(|name| name == message.body.name())
    }
}

fn node_or_any(word: &str) -> Result<Option<NodeId>, String> {
    if word == "*" { Ok(None) } else { settings::node(word).map(Some) }
}

fn known_name(word: &str) -> Result<String, String> {
    let names = || MessageKind::ALL.iter().map(|kind| kind.name());
    if names().any(|name| name == word) {
        Ok(word.to_owned())
    } else {
        let names: Vec<_> = names().collect();
        Err(format!("unknown message `{word}`; the messages are {}", names.join(", ")))
    }
}

/// Reads a message written by hand: `n2 -> n1 AppendEntries term=2 prev=1@t1 entries=2,2
/// committed=1`. A missing field is zero, empty or false.
pub(crate) fn parse(words: &[&str]) -> Result<Message, String> {
    let [from, "->", to, name, fields @ ..] = words else {
        return Err("a message is written `n2 -> n1 Name term=2 field=value …`".into());
    };
    let mut fields = Fields::parse(fields)?;
    let term = fields.term("term")?;
    let incarnation = Incarnation(fields.whole("disk")?.into());
    let body = body(&known_name(name)?, &mut fields)?;
    fields.finish(name)?;
    let (from, to) = (settings::node(from)?, settings::node(to)?);
    Ok(Message { from, incarnation, to, term, body })
}

fn heartbeat(fields: &mut Fields<'_>) -> Result<Heartbeat, String> {
    let heartbeat = Heartbeat::new(fields.whole("round")?, fields.index("committed")?);
    let (vote_lease, read_lease) = (fields.duration("vote_lease")?, fields.duration("read_lease")?);
    Ok(Heartbeat { echo: fields.whole("echo")?, vote_lease, read_lease, ..heartbeat })
}

fn body(name: &str, fields: &mut Fields<'_>) -> Result<Body, String> {
    Ok(match name {
        "PreVote" => Body::PreVote { next_term: fields.term("next")?, last: fields.id("last")? },
        "PreVoteReply" => {
            let next_term = fields.term("next")?;
            let (granted, committed) = (fields.switch("granted")?, fields.index("committed")?);
            Body::PreVoteReply { next_term, granted, committed }
        }
        "RequestVote" => {
            let last = fields.id("last")?;
            Body::RequestVote { last, transfer: fields.switch("transfer")? }
        }
        "RequestVoteReply" => {
            let (granted, committed) = (fields.switch("granted")?, fields.index("committed")?);
            Body::RequestVoteReply { granted, committed }
        }
        "AppendEntries" => {
            let prev = fields.id("prev")?;
            let entries = entries_after(prev.index, fields.take("entries").unwrap_or(""))?.into();
            Body::AppendEntries { prev, entries, committed: fields.index("committed")? }
        }
        "AppendEntriesReply" => Body::AppendEntriesReply(match fields.take("rejected") {
            None => AppendOutcome::Accepted { matched: fields.index("matched")? },
            Some(prev) => AppendOutcome::Rejected {
                prev: Index(settings::whole(prev)?),
                hint: fields.id("hint")?,
            },
        }),
        "Heartbeat" => Body::Heartbeat(heartbeat(fields)?),
        "HeartbeatReply" => {
            let round = fields.whole("round")?;
            let (verified, matched) = (fields.index("verified")?, fields.index("matched")?);
            let durable = Index(fields.whole("durable")?.max(matched.0));
            Body::HeartbeatReply { round, verified, matched, durable, ready: Readiness::default() }
        }
        "InstallSnapshot" => {
            let voters = settings::nodes(fields.take("voters").unwrap_or("n1,n2,n3"))?;
            let mut membership = Membership::new(voters);
            let lineage = fields.id("lineage")?;
            if lineage != EntryId::ZERO {
                membership = membership.with_lineage(Lineage { by: NodeId(1), at: lineage });
            }
            let meta = SnapshotMeta::empty(fields.id("last")?, membership);
            Body::InstallSnapshot { meta }
        }
        "InstallSnapshotReply" => Body::InstallSnapshotReply { matched: fields.index("matched")? },
        "ReadIndex" => {
            Body::ReadIndex { start_id: fields.whole("start_id")?, ticket: fields.whole("ticket")? }
        }
        "ReadIndexReply" => {
            let (start_id, ticket) = (fields.whole("start_id")?, fields.whole("ticket")?);
            Body::ReadIndexReply { start_id, ticket, index: fields.index("index")? }
        }
        "TimeoutNow" => Body::TimeoutNow,
        "TakeoverAllowed" => Body::TakeoverAllowed,
        "LogIsComplete" => Body::LogIsComplete,
        "RequestLogEnd" => Body::RequestLogEnd { start_id: fields.whole("start_id")? },
        "LogEnd" => {
            Body::LogEnd { start_id: fields.whole("start_id")?, last: fields.index("last")? }
        }
        "LogRolledBack" => Body::LogRolledBack,
        "RequestEntries" => {
            Body::RequestEntries { first: fields.id("first")?, last: fields.index("last")? }
        }
        other => return Err(format!("a script cannot write a message `{other}`")),
    })
}

/// Returns entries from the list of their terms, such as `1,1,2`, at the indices after `before`.
/// The same term at the same index is the same entry in every list.
pub(crate) fn entries_after(before: Index, terms: &str) -> Result<Vec<Entry>, String> {
    let mut entries = Vec::new();
    let mut index = before;
    for word in terms.split(',').filter(|word| !word.is_empty()) {
        index = index.next();
        let id = EntryId::new(settings::term(word)?, index);
        let payload =
            Payload::Command(Command::from(format!("{}.{}", id.term.0, index.0).as_str()));
        entries.push(Entry { id, payload });
    }
    Ok(entries)
}

/// The `key=value` words of a message. Reading a field removes it; a field left over is an error.
struct Fields<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Fields<'a> {
    fn parse(words: &[&'a str]) -> Result<Fields<'a>, String> {
        words.iter().map(|word| settings::pair(word)).collect::<Result<_, _>>().map(Fields)
    }

    fn take(&mut self, key: &str) -> Option<&'a str> {
        self.0.remove(key)
    }

    fn whole(&mut self, key: &str) -> Result<u64, String> {
        self.take(key).map_or(Ok(0), settings::whole)
    }

    fn index(&mut self, key: &str) -> Result<Index, String> {
        self.whole(key).map(Index)
    }

    fn duration(&mut self, key: &str) -> Result<Duration, String> {
        self.take(key).map_or(Ok(Duration::ZERO), settings::duration)
    }

    fn term(&mut self, key: &str) -> Result<Term, String> {
        self.take(key).map_or(Ok(Term::ZERO), settings::term)
    }

    fn id(&mut self, key: &str) -> Result<EntryId, String> {
        self.take(key).map_or(Ok(EntryId::ZERO), settings::entry_id)
    }

    fn switch(&mut self, key: &str) -> Result<bool, String> {
        self.take(key).map_or(Ok(false), settings::switch)
    }

    fn finish(&self, name: &str) -> Result<(), String> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(key) => Err(format!("{name} has no field `{key}`")),
        }
    }
}
