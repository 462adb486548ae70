//! Changes of the membership as a script writes them, and memberships as it prints them.

use quorate::raft::Removal;
use quorate::types::{Address, Change, Fate, Incarnation, Member, Membership, NodeId};

use super::settings::{duration, node, nodes, pair, switch, whole};

/// Reads `+n4 -n3 ?n5 ~n2 casting=n1 n2@host:1 n2!200`, the form in which traces print it: a voter,
/// no member, a learner, a voter that is suspended, and the rest; `nothing` changes nothing.
pub(crate) fn change(words: &[&str]) -> Result<Change, String> {
    words.iter().try_fold(Change::new(), |change, word| edited(change, word))
}

fn edited(change: Change, word: &str) -> Result<Change, String> {
    if word == "nothing" {
        return Ok(change);
    }
    if let Some(holder) = word.strip_prefix("casting=") {
        return Ok(change.casting(holder_of(holder)?));
    }
    if let Some((id, text)) = word.split_once('@') {
        return Ok(change.address(node(id)?, address(text)?));
    }
    if let Some((id, number)) = word.split_once('#') {
        return Ok(change.incarnation(node(id)?, Incarnation(whole(number)?.into())));
    }
    if let Some((id, priority)) = word.split_once('!') {
        return Ok(change.priority(node(id)?, byte(priority)?));
    }
    let (role, id) = word.split_at_checked(1).unwrap_or((word, ""));
    match role {
        "+" => Ok(change.voter(node(id)?)),
        "-" => Ok(change.remove(node(id)?)),
        "?" => Ok(change.learner(node(id)?)),
        "~" => Ok(change.suspend(node(id)?)),
        _ => {
            Err(format!("`{word}` changes nothing: say +n4, -n3, ?n5, ~n2, casting=n1, n2@a, n2!9"))
        }
    }
}

/// Reads `n1`, or `nobody`.
fn holder_of(word: &str) -> Result<Option<NodeId>, String> {
    if word == "nobody" { Ok(None) } else { node(word).map(Some) }
}

fn address(text: &str) -> Result<Address, String> {
    Address::new(text).ok_or_else(|| "the address is too long".to_owned())
}

fn byte(word: &str) -> Result<u8, String> {
    u8::try_from(whole(word)?).map_err(|_| format!("`{word}` is over 255"))
}

/// The membership that a cluster is founded with: `voters` nodes and what the options add.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Founders {
    pub(crate) voters: u64,
    learners: Vec<NodeId>,
    casting: Option<NodeId>,
    priorities: Vec<(NodeId, u8)>,
    addresses: Vec<(NodeId, Address)>,
    /// Each disk has the number of its node, and the members' are named.
    pub(crate) named: bool,
}

impl Founders {
    /// So many voters.
    pub(crate) fn of(voters: u64) -> Founders {
        Founders { voters, ..Founders::default() }
    }

    /// Reads `learners=n4`, `casting=n1`, `priorities=n1!200,n2!150` or `addresses=n1@a`; false if
    /// it is none of them.
    pub(crate) fn take(&mut self, key: &str, value: &str) -> Result<bool, String> {
        let split = |word: &str, at| {
            let wrong = || format!("`{word}` is not of the form n1{at}value");
            let (id, text) = word.split_once(at).ok_or_else(wrong)?;
            Ok::<_, String>((node(id)?, text.to_owned()))
        };
        match key {
            "learners" => self.learners = nodes(value)?,
            "casting" => self.casting = holder_of(value)?,
            "named" => self.named = switch(value)?,
            "priorities" => {
                for word in value.split(',') {
                    let (id, priority) = split(word, '!')?;
                    self.priorities.push((id, byte(&priority)?));
                }
            }
            "addresses" => {
                for word in value.split(',') {
                    let (id, text) = split(word, '@')?;
                    self.addresses.push((id, address(&text)?));
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What they make together.
    pub(crate) fn membership(&self) -> Result<Membership, String> {
        let voters = (1..=self.voters).map(NodeId);
        let mut membership = Membership::new(voters).with_learners(self.learners.iter().copied());
        let known = |membership: &Membership, id: NodeId| {
            let member = membership.member(id).cloned();
            member.ok_or_else(|| format!("{id} is no member"))
        };
        if let Some(holder) = self.casting {
            if !membership.is_voter(holder) {
                return Err(format!("{holder} has no vote"));
            }
            membership = membership.with_casting(holder);
        }
        for (id, priority) in &self.priorities {
            let member = Member { priority: *priority, ..known(&membership, *id)? };
            membership = membership.with_member(member);
        }
        for (id, address) in &self.addresses {
            let member = Member { address: address.clone(), ..known(&membership, *id)? };
            membership = membership.with_member(member);
        }
        let disks = membership.clone();
        let voters = disks.voters().filter(|_| self.named).filter_map(|id| disks.member(id));
        Ok(voters.fold(membership, |membership, member| {
            let incarnation = Incarnation(member.id.0.into());
            membership.with_member(Member { incarnation, ..member.clone() })
        }))
    }
}

/// Reads `after=2s,voters_min=2,pause=3s`.
pub(crate) fn removal(text: &str) -> Result<Removal, String> {
    let mut removal =
        Removal { after: Default::default(), voters_min: 2, pause: Default::default() };
    for word in text.split(',') {
        match pair(word)? {
            ("after", span) => removal.after = duration(span)?,
            ("pause", span) => removal.pause = duration(span)?,
            ("voters_min", count) => {
                removal.voters_min = usize::try_from(whole(count)?).expect("a count fits");
            }
            (key, _) => return Err(format!("`{key}` is no part of removal")),
        }
    }
    Ok(removal)
}

/// The sets of a membership, and whatever else is said of its members.
pub(crate) fn shown(membership: &Membership) -> String {
    let mut text = membership.to_string();
    for Member { id, address, priority, fate, incarnation } in membership.members() {
        if *incarnation != Incarnation::default() {
            text.push_str(&format!(" {id}#{}", incarnation.0));
        }
        if !address.as_str().is_empty() {
            text.push_str(&format!(" {id}@{address}"));
        }
        if *priority != Member::PRIORITY_DEFAULT {
            text.push_str(&format!(" {id}!{priority}"));
        }
        match fate {
            Fate::Stays => {}
            Fate::Leaves => text.push_str(&format!(" {id} leaves")),
            Fate::Returns => text.push_str(&format!(" {id} returns")),
        }
    }
    text
}
