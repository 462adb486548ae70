//! Decides whether a register with appends is linearizable, if every text that is read shows which
//! operations made it, or at least what each of them appended.

use crate::value::{Value, ValueId};
use crate::zones::call::{Action, Call};
use crate::zones::cluster_table::ClusterTable;
use crate::zones::clusters::{Cluster, ClusterId, NONE, WriteOrigin, ZoneConflict, zone_conflict};
use crate::zones::conflict::{CallId, Conflict, Violation, ZoneResult};
use crate::zones::repeats::Repeats;
use crate::zones::tokens::Tokens;
use crate::zones::unwritten::unwritten;

/// Checks the calls of a register with the initial value `init`; `data` has the value of each id.
///
/// Between two writes the text only grows, so all reads of it are prefixes of the longest read. An
/// append that no operation observed may take effect anywhere before the next write, like an
/// unobserved write. If several operations appended the same text, each of them must be assigned to
/// a place of that text: the calls are linearizable if an assignment without a conflict is found,
/// not linearizable if none can exist, and ambiguous otherwise. A text that was both appended and
/// written counts as written wherever a read text begins with it.
///
/// Where the calls are ambiguous, a read of a value that no calls can have made is still found.
pub(crate) fn decide(calls: &[Call], init: ValueId, data: &[Value]) -> ZoneResult {
    match decide_unambiguous(calls, init, data) {
        ZoneResult::Ambiguous if !calls.iter().any(Call::is_known) => ZoneResult::Linearizable,
        ZoneResult::Ambiguous => {
            unwritten(calls, init, data).map_or(ZoneResult::Ambiguous, ZoneResult::NotLinearizable)
        }
        result => result,
    }
}

/// Decides as [`decide`] does, if the calls determine which of them made each text.
fn decide_unambiguous(calls: &[Call], init: ValueId, data: &[Value]) -> ZoneResult {
    let Some(mut texts) = Texts::of(calls, init, data) else { return ZoneResult::Ambiguous };
    let conflict = texts.assign_reads(calls).err();
    let conflict = conflict.or_else(|| {
        texts.repeats.forget_times(&mut texts.clusters);
        zone_conflict(&texts.clusters)
            .map(|zone_conflict: ZoneConflict| Conflict::of(&zone_conflict, calls))
    });
    match conflict {
        Some(_) if texts.is_ambiguous() => ZoneResult::Ambiguous,
        Some(conflict) => ZoneResult::NotLinearizable(texts.violation(calls, conflict)),
        None if !texts.repeats.is_ambiguous() || texts.has_assignment() => ZoneResult::Linearizable,
        None => ZoneResult::Ambiguous,
    }
}

/// The cluster of the initial value. The call at position `n` has the cluster `n + 1`: the text
/// that the call wrote, or made by appending.
const FIRST: usize = 0;

/// The texts of a register, and the clusters that they show.
struct Texts<'a> {
    clusters: Vec<Cluster>,
    tokens: Tokens<'a>,
    repeats: Repeats,
    init: &'a Value,
    data: &'a [Value],
    /// For each cluster with which a text that was read begins, the longest such text.
    longest: Vec<Option<Longest<'a>>>,
    /// Whether a text that was read begins with one that was both written and appended.
    begins_ambiguously: bool,
    /// The ends of the tokens in the longest text of each first cluster, in order: the length so
    /// far, and the cluster of the token that ends there. The ends of one first cluster are
    /// adjacent.
    ends: Vec<(usize, ClusterId)>,
}

/// The longest of the texts read that begin with the same cluster, the initial value or a write.
#[derive(Clone, Copy)]
struct Longest<'a> {
    text: &'a str,
    /// The call that read the text.
    read: CallId,
    /// The range of its ends in [`Texts::ends`].
    ends: (usize, usize),
}

/// A value that some call read.
struct ReadText {
    value: ValueId,
    /// The cluster with which the text begins.
    first: usize,
    /// The first call that read the value.
    read: CallId,
}

/// Returns the text of `value`, if it is one.
fn text(value: &Value) -> Option<&str> {
    match value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

impl<'a> Texts<'a> {
    /// Builds the clusters and tokens of `calls`. Returns `None` if a text might be parsed in more
    /// than one way.
    fn of(calls: &[Call], init: ValueId, data: &'a [Value]) -> Option<Texts<'a>> {
        let mut clusters = vec![Cluster::UNKNOWN; calls.len() + 1];
        clusters[FIRST] = Cluster::FIRST;
        let mut tokens: Vec<(&str, u32)> = Vec::with_capacity(calls.len() + 1);
        let init = &data[init.0 as usize];
        match init {
            Value::Text(first) if !first.is_empty() => tokens.push((first, 0)),
            Value::Text(_) | Value::Null => {}
            _ => return None,
        }
        for (place, call) in (1..).zip(calls) {
            match call.action {
                Action::Write(value) | Action::Append(value) => {
                    tokens.push((text(&data[value.0 as usize])?, place));
                    let cluster = &mut clusters[place as usize];
                    cluster.written = WriteOrigin::Once;
                    cluster.write_invoked = call.invoked;
                    cluster.write_returned = call.returned;
                }
                Action::Read(_) => {}
                Action::CompareAndSet { .. }
                | Action::FailedCas { .. }
                | Action::FailedCasFound { .. } => return None,
            }
        }
        let tokens = Tokens::new(tokens.into_iter())?;
        if tokens.alike().iter().any(|alike| alike[0] as usize == FIRST) {
            return None;
        }
        let is_append =
            |place: ClusterId| matches!(calls[place as usize - 1].action, Action::Append(_));
        let repeats = Repeats::new(tokens.alike(), is_append)?;
        let ends = Vec::with_capacity(clusters.len());
        let (longest, begins_ambiguously) = (Vec::new(), false);
        Some(Texts { clusters, tokens, repeats, init, data, longest, begins_ambiguously, ends })
    }

    /// Assigns every read to the cluster that it observed, and every append to its predecessor.
    fn assign_reads(&mut self, calls: &[Call]) -> Result<(), Conflict> {
        let values = calls.iter().filter_map(|call| match call.action {
            Action::Read(value) => Some(value),
            _ => None,
        });
        let (low, high) = values.fold((ValueId(u32::MAX), ValueId(0)), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        let mut places = ClusterTable::new(low, high, calls.len());
        let seen = self.find_beginnings(calls, &mut places)?;
        for first in 0..self.longest.len() {
            if let Some(longest) = self.longest[first] {
                self.parse_longest(calls, first, longest)?;
            }
        }
        for one in &seen {
            *places.at(one.value) = self.place(one)?;
        }
        for call in calls {
            if let Action::Read(value) = call.action {
                let place = *places.at(value) as usize;
                self.clusters[place].read(call.invoked, call.returned);
            }
        }
        Ok(())
    }

    /// Finds the beginning of each value that was read, and the longest text with each beginning.
    /// All `places` are empty before; those of read values are set afterwards.
    fn find_beginnings(
        &mut self,
        calls: &[Call],
        places: &mut ClusterTable,
    ) -> Result<Vec<ReadText>, Conflict> {
        let mut seen = Vec::with_capacity(calls.len());
        // Texts that begin with the same token have the same first cluster.
        let mut same: Option<(&str, usize)> = None;
        for (read, call) in (0..).zip(calls) {
            let Action::Read(value) = call.action else { continue };
            let place = places.at(value);
            if *place != NONE {
                continue;
            }
            *place = read;
            let whole = text(&self.data[value.0 as usize]);
            let begins = same.zip(whole).filter(|((token, _), whole)| whole.starts_with(token));
            let (first, text) = match begins {
                Some(((_, first), whole)) => (first, whole),
                None => {
                    let found = self.first(calls, value).ok_or(Conflict::Unwritten(read))?;
                    let token = self.tokens.first_of(found.1);
                    let is_alike = token.is_some_and(|it| self.repeats.write(it.0).is_some());
                    self.begins_ambiguously |= is_alike;
                    same = token.map(|(_, length)| (&found.1[..length], found.0)).or(same);
                    found
                }
            };
            seen.push(ReadText { value, first, read });
            if self.longest(first).is_none_or(|longest| longest.text.len() < text.len()) {
                self.longest.resize(self.longest.len().max(first + 1), None);
                self.longest[first] = Some(Longest { text, read, ends: (0, 0) });
            }
        }
        Ok(seen)
    }

    /// Returns the cluster with which the text of `value` begins, and the text.
    fn first(&self, calls: &[Call], value: ValueId) -> Option<(usize, &'a str)> {
        let value = &self.data[value.0 as usize];
        if value == self.init {
            return Some((FIRST, text(value).unwrap_or("")));
        }
        let text = text(value)?;
        let (number, _) = self.tokens.first_of(text)?;
        let place = number as usize;
        if place == FIRST {
            return Some((FIRST, text));
        }
        if let Some(write) = self.repeats.write(number) {
            return Some((write as usize, text));
        }
        match calls[place - 1].action {
            Action::Write(_) => Some((place, text)),
            _ if text_length(self.init) > 0 => None,
            _ => Some((FIRST, text)),
        }
    }

    /// Chains the operations that made the longest text that begins with `first`.
    fn parse_longest(
        &mut self,
        calls: &[Call],
        first: usize,
        Longest { text, read, .. }: Longest<'_>,
    ) -> Result<(), Conflict> {
        let from = self.ends.len();
        let mut end = 0;
        let mut last = first;
        let begins_with_token = first != FIRST || text_length(self.init) > 0;
        if begins_with_token {
            let (_, length) = self.tokens.first_of(text).ok_or(Conflict::Unwritten(read))?;
            end = length;
        }
        self.clusters[first].is_found = true;
        self.ends.push((end, ClusterId::try_from(first).expect("the number of calls fits u32")));
        while end < text.len() {
            let next = self.tokens.first_of(&text[end..]).filter(|(number, _)| *number > 0);
            let (number, length) = next.ok_or(Conflict::Unwritten(read))?;
            let append = self.repeats.append(number) - 1;
            if !matches!(calls[append as usize].action, Action::Append(_)) {
                return Err(Conflict::Unwritten(read));
            }
            let free = self.repeats.place(number);
            let free =
                free.filter(|free| self.clusters[*free as usize].written != WriteOrigin::Derived);
            let Some(free) = free else {
                let other = self.longest(self.root(append as usize + 1));
                let other = other.map_or(read, |longest| longest.read);
                return Err(Conflict::RepeatedAppend { read, append, other });
            };
            let place = free as usize;
            self.clusters[place].written = WriteOrigin::Derived;
            self.clusters[place].is_found = true;
            self.clusters[place].parent = last as ClusterId;
            self.clusters[last].child = free;
            (end, last) = (end + length, place);
            self.ends.push((end, free));
        }
        let until = self.ends.len();
        if let Some(longest) = &mut self.longest[first] {
            longest.ends = (from, until);
        }
        Ok(())
    }

    /// Returns the cluster of the whole text `seen`.
    fn place(&self, seen: &ReadText) -> Result<ClusterId, Conflict> {
        let text = text(&self.data[seen.value.0 as usize]).unwrap_or("");
        let longest =
            self.longest(seen.first).expect("every first cluster of a read has a longest text");
        if !longest.text.starts_with(text) {
            return Err(Conflict::DivergentReads(seen.read, longest.read));
        }
        let ends = &self.ends[longest.ends.0..longest.ends.1];
        let found = ends.binary_search_by_key(&text.len(), |(end, _)| *end);
        found.map(|place| ends[place].1).map_err(|_| Conflict::Unwritten(seen.read))
    }

    /// Returns true if a text that counts as written may instead have been appended to the initial
    /// value: if that is empty, and no text that was read begins with another append to it.
    fn is_ambiguous(&self) -> bool {
        let appended = self.longest(FIRST).map_or(0, |longest| longest.text.len());
        self.begins_ambiguously && text_length(self.init) == 0 && appended == 0
    }

    /// Returns true if some assignment of appends with equal texts explains the places where the
    /// texts were read. False means that none was found.
    fn has_assignment(&mut self) -> bool {
        let chains = self.longest.iter().flatten();
        let chains = chains.map(|longest| &self.ends[longest.ends.0..longest.ends.1]);
        self.repeats.assign_times(&mut self.clusters, chains)
            && zone_conflict(&self.clusters).is_none()
    }

    /// Returns the violation of `conflict`, with the calls that prove it and the calls that these
    /// imply.
    fn violation(&self, calls: &[Call], conflict: Conflict) -> Violation {
        let mut known = Vec::new();
        let mut related = Vec::new();
        let is_of_places =
            matches!(conflict, Conflict::WithinChain { .. } | Conflict::BetweenChains { .. });
        for id in conflict.calls() {
            if calls[id as usize].is_known() {
                known.push(id);
            }
            if !is_of_places {
                continue;
            }
            let mut place = match calls[id as usize].action {
                Action::Read(value) => self.cluster_of(calls, value),
                _ => id as usize + 1,
            };
            place = self.root(place);
            // The longest read of a chain shows the places of its appends.
            known.extend(self.longest(place).map(|longest| longest.read));
            while place != NONE as usize {
                related.extend(CallId::try_from(place).ok().and_then(|place| place.checked_sub(1)));
                place = self.clusters[place].child as usize;
            }
        }
        if !is_of_places || !self.repeats.is_empty() {
            known.extend(self.longest(FIRST).filter(|_| self.begins_ambiguously).map(|it| it.read));
            let writes =
                (0..).zip(calls).filter(|(_, call)| !matches!(call.action, Action::Read(_)));
            related.extend(writes.map(|(id, _): (CallId, _)| id));
        }
        Violation { conflict, known, related }
    }

    /// Returns the longest text read that begins with the cluster `first`.
    fn longest(&self, first: usize) -> Option<Longest<'a>> {
        self.longest.get(first).copied().flatten()
    }

    /// Returns the first cluster of the chain of `place`.
    fn root(&self, mut place: usize) -> usize {
        while self.clusters[place].parent != NONE {
            place = self.clusters[place].parent as usize;
        }
        place
    }

    /// Returns the first cluster of the chain that a read of `value` observed.
    fn cluster_of(&self, calls: &[Call], value: ValueId) -> usize {
        self.first(calls, value).map_or(FIRST, |(first, _)| first)
    }
}

fn text_length(value: &Value) -> usize {
    text(value).map_or(0, str::len)
}
