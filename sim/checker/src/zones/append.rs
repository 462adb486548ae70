//! Decides on a register to whose text more is appended, if every text that is read tells which
//! operations made it, or at least what each of them appended.

use crate::value::{Datum, Value};
use crate::zones::call::{Call, What};
use crate::zones::clusters::{Clash, Cluster, ClusterId, NONE, Written, clash};
use crate::zones::finding::{CallId, Finding, Why, Wrong};
use crate::zones::places::Places;
use crate::zones::repeats::Repeats;
use crate::zones::tokens::Tokens;

/// Decides on a register that has `init` at first; `data` says which datum each value is.
///
/// Whatever stands between two writes grows, so all reads of it are beginnings of the longest. An
/// append that nobody saw took effect where nobody looked again before the next write: it may
/// stand anywhere, like a write that nobody saw. Where several appended the same, it is wrong if it
/// is so whoever of them made which place of a text, and right if it is so for one choice. What was
/// appended and written too is taken for written wherever a text begins with it.
pub(crate) fn decide(calls: &[Call], init: Value, data: &[Datum]) -> Finding {
    let Some(mut texts) = Texts::of(calls, init, data) else { return Finding::Ambiguous };
    let why = texts.read_all(calls).err();
    let why = why.or_else(|| {
        texts.repeats.forget(&mut texts.clusters);
        clash(&texts.clusters).map(|clash: Clash| Why::of(&clash, calls))
    });
    match why {
        Some(_) if texts.is_guessed() => Finding::Ambiguous,
        Some(why) => Finding::Wrong(texts.wrong(calls, why)),
        None if !texts.repeats.are_open() || texts.is_explained() => Finding::Linearizable,
        None => Finding::Ambiguous,
    }
}

/// The cluster of the value that was there at first. That of the operation with number `n` is
/// `n + 1`: what it wrote, or made by appending.
const FIRST: usize = 0;

/// The texts of a register.
struct Texts<'a> {
    clusters: Vec<Cluster>,
    tokens: Tokens<'a>,
    repeats: Repeats,
    init: &'a Datum,
    data: &'a [Datum],
    /// The longest text that begins with each cluster, as far as one of them has any.
    longest: Vec<Option<Longest<'a>>>,
    /// Whether a text that was read begins with one that was both written and appended.
    begins_alike: bool,
    /// Where the longest text of a cluster ends in tokens, in order: the length so far, and the
    /// cluster of the last of them. Those of one first cluster stand together.
    ends: Vec<(usize, ClusterId)>,
}

/// The longest text that was read of those that begin with some cluster, which is no append.
#[derive(Clone, Copy)]
struct Longest<'a> {
    text: &'a str,
    /// Who read it.
    read: CallId,
    /// Where it stands in [`Texts::ends`].
    ends: (usize, usize),
}

/// A value that was read.
struct Seen {
    value: Value,
    /// The cluster that it begins with.
    first: usize,
    /// Who read it first.
    read: CallId,
}

/// The text of `datum`.
fn text(datum: &Datum) -> Option<&str> {
    match datum {
        Datum::Text(text) => Some(text),
        _ => None,
    }
}

impl<'a> Texts<'a> {
    /// Nothing if a text that is read might be taken apart in more than one way.
    fn of(calls: &[Call], init: Value, data: &'a [Datum]) -> Option<Texts<'a>> {
        let mut clusters = vec![Cluster::UNKNOWN; calls.len() + 1];
        clusters[FIRST] = Cluster::FIRST;
        let mut tokens: Vec<(&str, u32)> = Vec::with_capacity(calls.len() + 1);
        let init = &data[init.0 as usize];
        match init {
            Datum::Text(first) if !first.is_empty() => tokens.push((first, 0)),
            Datum::Text(_) | Datum::Null => {}
            _ => return None,
        }
        for (place, call) in (1..).zip(calls) {
            match call.what {
                What::Write(value) | What::Append(value) => {
                    tokens.push((text(&data[value.0 as usize])?, place));
                    let cluster = &mut clusters[place as usize];
                    cluster.written = Written::Once;
                    cluster.write_invoked = call.invoked;
                    cluster.write_returned = call.returned;
                }
                What::Read(_) => {}
                What::Swap { .. } | What::Refused { .. } | What::Found { .. } => return None,
            }
        }
        let tokens = Tokens::new(tokens.into_iter())?;
        if tokens.alike().iter().any(|alike| alike[0] as usize == FIRST) {
            return None;
        }
        let is_append =
            |place: ClusterId| matches!(calls[place as usize - 1].what, What::Append(_));
        let repeats = Repeats::new(tokens.alike(), is_append)?;
        let ends = Vec::with_capacity(clusters.len());
        let (longest, begins_alike) = (Vec::new(), false);
        Some(Texts { clusters, tokens, repeats, init, data, longest, begins_alike, ends })
    }

    /// Gives every read the cluster that it saw, and every append the one before it.
    fn read_all(&mut self, calls: &[Call]) -> Result<(), Why> {
        let values = calls.iter().filter_map(|call| match call.what {
            What::Read(value) => Some(value),
            _ => None,
        });
        let (low, high) = values.fold((Value(u32::MAX), Value(0)), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        let mut places = Places::new(low, high, calls.len());
        let seen = self.begin_all(calls, &mut places)?;
        for first in 0..self.longest.len() {
            if let Some(longest) = self.longest[first] {
                self.take_apart(calls, first, longest)?;
            }
        }
        for one in &seen {
            *places.at(one.value) = self.place(one)?;
        }
        for call in calls {
            if let What::Read(value) = call.what {
                let place = *places.at(value) as usize;
                self.clusters[place].read(call.invoked, call.returned);
            }
        }
        Ok(())
    }

    /// Finds what each value that was read begins with, and the longest that begins so; `places`
    /// are all empty, and each of its value's is then not.
    fn begin_all(&mut self, calls: &[Call], places: &mut Places) -> Result<Vec<Seen>, Why> {
        let mut seen = Vec::with_capacity(calls.len());
        // What begins with the same token has the same first cluster.
        let mut same: Option<(&str, usize)> = None;
        for (read, call) in (0..).zip(calls) {
            let What::Read(value) = call.what else { continue };
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
                    let found = self.first(calls, value).ok_or(Why::Unwritten(read))?;
                    let token = self.tokens.first_of(found.1);
                    let is_alike = token.is_some_and(|it| self.repeats.write(it.0).is_some());
                    self.begins_alike |= is_alike;
                    same = token.map(|(_, length)| (&found.1[..length], found.0)).or(same);
                    found
                }
            };
            seen.push(Seen { value, first, read });
            if self.longest(first).is_none_or(|longest| longest.text.len() < text.len()) {
                self.longest.resize(self.longest.len().max(first + 1), None);
                self.longest[first] = Some(Longest { text, read, ends: (0, 0) });
            }
        }
        Ok(seen)
    }

    /// What a read of `value` saw the text begin with: its cluster, and the text.
    fn first(&self, calls: &[Call], value: Value) -> Option<(usize, &'a str)> {
        let datum = &self.data[value.0 as usize];
        if datum == self.init {
            return Some((FIRST, text(datum).unwrap_or("")));
        }
        let text = text(datum)?;
        let (number, _) = self.tokens.first_of(text)?;
        let place = number as usize;
        if place == FIRST {
            return Some((FIRST, text));
        }
        if let Some(write) = self.repeats.write(number) {
            return Some((write as usize, text));
        }
        match calls[place - 1].what {
            What::Write(_) => Some((place, text)),
            _ if text_length(self.init) > 0 => None,
            _ => Some((FIRST, text)),
        }
    }

    /// Chains the operations that made the longest text that begins with `first`.
    fn take_apart(
        &mut self,
        calls: &[Call],
        first: usize,
        Longest { text, read, .. }: Longest<'_>,
    ) -> Result<(), Why> {
        let from = self.ends.len();
        let mut end = 0;
        let mut last = first;
        let begins_with_token = first != FIRST || text_length(self.init) > 0;
        if begins_with_token {
            let (_, length) = self.tokens.first_of(text).ok_or(Why::Unwritten(read))?;
            end = length;
        }
        self.clusters[first].is_found = true;
        self.ends.push((end, ClusterId::try_from(first).expect("there are few calls")));
        while end < text.len() {
            let next = self.tokens.first_of(&text[end..]).filter(|(number, _)| *number > 0);
            let (number, length) = next.ok_or(Why::Unwritten(read))?;
            let append = self.repeats.append(number) - 1;
            if !matches!(calls[append as usize].what, What::Append(_)) {
                return Err(Why::Unwritten(read));
            }
            let free = self.repeats.place(number);
            let free = free.filter(|free| self.clusters[*free as usize].written != Written::Made);
            let Some(free) = free else {
                let other = self.longest(self.root(append as usize + 1));
                let other = other.map_or(read, |longest| longest.read);
                return Err(Why::Reused { read, append, other });
            };
            let place = free as usize;
            self.clusters[place].written = Written::Made;
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

    /// The cluster of the whole of what was `seen`.
    fn place(&self, seen: &Seen) -> Result<ClusterId, Why> {
        let text = text(&self.data[seen.value.0 as usize]).unwrap_or("");
        let longest = self.longest(seen.first).expect("what was read has a longest");
        if !longest.text.starts_with(text) {
            return Err(Why::Disagree(seen.read, longest.read));
        }
        let ends = &self.ends[longest.ends.0..longest.ends.1];
        let found = ends.binary_search_by_key(&text.len(), |(end, _)| *end);
        found.map(|place| ends[place].1).map_err(|_| Why::Unwritten(seen.read))
    }

    /// Whether a text that may as well have been appended to nothing is taken for written. It may
    /// not if the first value was some text, or one that was appended to it begins otherwise.
    fn is_guessed(&self) -> bool {
        let appended = self.longest(FIRST).map_or(0, |longest| longest.text.len());
        self.begins_alike && text_length(self.init) == 0 && appended == 0
    }

    /// Whether the appends that others have the text of can have made the places where it was
    /// read: no says nothing.
    fn is_explained(&mut self) -> bool {
        let chains = self.longest.iter().flatten();
        let chains = chains.map(|longest| &self.ends[longest.ends.0..longest.ends.1]);
        self.repeats.remember(&mut self.clusters, chains) && clash(&self.clusters).is_none()
    }

    /// `why`, with the calls that prove it, and those that these make certain.
    fn wrong(&self, calls: &[Call], why: Why) -> Wrong {
        let mut known = Vec::new();
        let mut related = Vec::new();
        let is_of_places = matches!(why, Why::Inside { .. } | Why::Apart { .. });
        for id in why.calls() {
            if calls[id as usize].is_known() {
                known.push(id);
            }
            if !is_of_places {
                continue;
            }
            let mut place = match calls[id as usize].what {
                What::Read(value) => self.cluster_of(calls, value),
                _ => id as usize + 1,
            };
            place = self.root(place);
            // An append stands where the longest read of its chain shows it.
            known.extend(self.longest(place).map(|longest| longest.read));
            while place != NONE as usize {
                related.extend(CallId::try_from(place).ok().and_then(|place| place.checked_sub(1)));
                place = self.clusters[place].child as usize;
            }
        }
        if !is_of_places || !self.repeats.is_empty() {
            known.extend(self.longest(FIRST).filter(|_| self.begins_alike).map(|it| it.read));
            let writes = (0..).zip(calls).filter(|(_, call)| !matches!(call.what, What::Read(_)));
            related.extend(writes.map(|(id, _): (CallId, _)| id));
        }
        Wrong { why, known, related }
    }

    /// The longest text that begins with the cluster `first`.
    fn longest(&self, first: usize) -> Option<Longest<'a>> {
        self.longest.get(first).copied().flatten()
    }

    /// The first cluster of the chain of `place`.
    fn root(&self, mut place: usize) -> usize {
        while self.clusters[place].parent != NONE {
            place = self.clusters[place].parent as usize;
        }
        place
    }

    /// The first cluster of the chain that a read of `value` saw.
    fn cluster_of(&self, calls: &[Call], value: Value) -> usize {
        self.first(calls, value).map_or(FIRST, |(first, _)| first)
    }
}

fn text_length(datum: &Datum) -> usize {
    text(datum).map_or(0, str::len)
}
