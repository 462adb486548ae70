//! Membership edits and memberships in the syntax of the scripts.

use quorate::raft::Suspension;
use quorate::types::{Address, Change, Incarnation, Member, Membership, NodeId, PendingTransition};

use super::settings::{duration, node, nodes, pair, switch, whole};

/// Reads `+n4 -n3 ?n5 ~n2 casting=n1 n2@host:1 n2#22 n2!200`, the syntax in which traces print a
/// change: a voter, a removed member, a learner, a suspended voter, the casting vote, an address, a
/// disk's incarnation and a priority. `nothing` is the empty change.
pub(crate) fn change(words: &[&str]) -> Result<Change, String> {
    words.iter().try_fold(Change::new(), |change, word| with_edit(change, word))
}

fn with_edit(change: Change, word: &str) -> Result<Change, String> {
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
        _ => Err(format!(
            "`{word}` is not a membership edit: write +n4, -n3, ?n5, ~n2, casting=n1, n2@a, n2#2 \
             or n2!9"
        )),
    }
}

/// Reads a node such as `n1`, or `none`.
fn holder_of(word: &str) -> Result<Option<NodeId>, String> {
    if word == "none" { Ok(None) } else { node(word).map(Some) }
}

fn address(text: &str) -> Result<Address, String> {
    Address::new(text).ok_or_else(|| "the address is too long".to_owned())
}

fn byte(word: &str) -> Result<u8, String> {
    u8::try_from(whole(word)?).map_err(|_| format!("`{word}` is over 255"))
}

/// The initial membership of a cluster: `voters` voters and the additions of the options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct InitialMembership {
    pub(crate) voters: u64,
    learners: Vec<NodeId>,
    casting: Option<NodeId>,
    priorities: Vec<(NodeId, u8)>,
    addresses: Vec<(NodeId, Address)>,
    /// Whether every disk has its node's number as incarnation, and the membership names the disks
    /// of its voters.
    pub(crate) named: bool,
}

impl InitialMembership {
    /// Returns an initial membership with the voters n1 to `voters`.
    pub(crate) fn with_voters(voters: u64) -> InitialMembership {
        InitialMembership { voters, ..InitialMembership::default() }
    }

    /// Reads `learners=n4`, `casting=n1`, `named=on`, `priorities=n1!200,n2!150` or
    /// `addresses=n1@a`; returns false for any other key.
    pub(crate) fn set(&mut self, key: &str, value: &str) -> Result<bool, String> {
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

    /// Returns the membership that the options describe.
    pub(crate) fn membership(&self) -> Result<Membership, String> {
        let voters = (1..=self.voters).map(NodeId);
        let mut membership = Membership::new(voters).with_learners(self.learners.iter().copied());
        let known = |membership: &Membership, id: NodeId| {
            let member = membership.member(id).cloned();
            member.ok_or_else(|| format!("{id} is not a member"))
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

/// Reads a suspension rule such as `after=2s,voters_min=2,pause=3s`.
pub(crate) fn suspension(text: &str) -> Result<Suspension, String> {
    let mut suspension =
        Suspension { after: Default::default(), voters_min: 2, pause: Default::default() };
    for word in text.split(',') {
        match pair(word)? {
            ("after", span) => suspension.after = duration(span)?,
            ("pause", span) => suspension.pause = duration(span)?,
            ("voters_min", count) => {
                suspension.voters_min = usize::try_from(whole(count)?).expect("a count fits");
            }
            (key, _) => return Err(format!("`{key}` is not a suspension option")),
        }
    }
    Ok(suspension)
}

/// Prints a membership with the non-default data of its members.
pub(crate) fn membership_text(membership: &Membership) -> String {
    let mut text = membership.to_string();
    for Member { id, address, priority, pending, incarnation } in membership.members() {
        if *incarnation != Incarnation::default() {
            text.push_str(&format!(" {id}#{}", incarnation.0));
        }
        if !address.as_str().is_empty() {
            text.push_str(&format!(" {id}@{address}"));
        }
        if *priority != Member::PRIORITY_DEFAULT {
            text.push_str(&format!(" {id}!{priority}"));
        }
        match pending {
            PendingTransition::None => {}
            PendingTransition::Remove => text.push_str(&format!(" {id} pending=remove")),
            PendingTransition::Promote => text.push_str(&format!(" {id} pending=promote")),
        }
    }
    text
}
