//! Decides on a register to whose text more is appended, if every text that is read tells which
//! operations made it.

use crate::value::{Datum, Value};
use crate::zones::call::{Call, What};
use crate::zones::clusters::{Clash, Cluster, ClusterId, NONE, Written, clash};
use crate::zones::finding::{CallId, Finding, Why, Wrong};
use crate::zones::places::Places;
use crate::zones::tokens::Tokens;

/// Decides on a register that has `init` at first; `data` says which datum each value is.
///
/// Whatever stands between two writes grows, so all reads of it are beginnings of the longest. An
/// append that nobody saw took effect where nobody looked again before the next write: it may
/// stand anywhere, like a write that nobody saw.
pub(crate) fn decide(calls: &[Call], init: Value, data: &[Datum]) -> Finding {
    let Some(mut texts) = Texts::of(calls, init, data) else { return Finding::Ambiguous };
    let why = texts.read_all(calls).err();
    let why = why.or_else(|| clash(&texts.clusters).map(|clash: Clash| Why::of(&clash, calls)));
    match why {
        Some(why) => Finding::Wrong(texts.wrong(calls, why)),
        None => Finding::Linearizable,
    }
}

/// The cluster of the value that was there at first. That of the operation with number `n` is
/// `n + 1`: what it wrote, or made by appending.
const FIRST: usize = 0;

/// The texts of a register.
struct Texts<'a> {
    clusters: Vec<Cluster>,
    tokens: Tokens<'a>,
    init: &'a Datum,
    data: &'a [Datum],
    /// The longest text that was read of each cluster that is no append, and who read it.
    longest: Vec<Option<(&'a str, CallId)>>,
    /// Where the longest text of a cluster ends in tokens, in order: the length so far, and the
    /// cluster of the last of them. Those of one first cluster stand together, in `range`.
    ends: Vec<(usize, ClusterId)>,
    range: Vec<(usize, usize)>,
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
        let longest = vec![None; clusters.len()];
        let range = vec![(0, 0); clusters.len()];
        Some(Texts { clusters, tokens, init, data, longest, ends: Vec::new(), range })
    }

    /// Gives every read the cluster that it saw, and every append the one before it.
    fn read_all(&mut self, calls: &[Call]) -> Result<(), Why> {
        let mut read: Vec<(Value, usize, CallId)> = Vec::new();
        // What begins with the same token has the same first cluster.
        let mut same: Option<(&str, usize)> = None;
        for (id, call) in (0..).zip(calls) {
            let What::Read(value) = call.what else { continue };
            let whole = text(&self.data[value.0 as usize]);
            let begins = same.zip(whole).filter(|((token, _), whole)| whole.starts_with(token));
            let (first, text) = match begins {
                Some(((_, first), whole)) => (first, whole),
                None => {
                    let found = self.first(calls, value).ok_or(Why::Unwritten(id))?;
                    let token = self.tokens.first_of(found.1);
                    same = token.map(|(_, length)| (&found.1[..length], found.0)).or(same);
                    found
                }
            };
            read.push((value, first, id));
            if self.longest[first].is_none_or(|(longest, _)| longest.len() < text.len()) {
                self.longest[first] = Some((text, id));
            }
        }
        for first in 0..self.clusters.len() {
            if let Some((text, read)) = self.longest[first] {
                let from = self.ends.len();
                self.take_apart(calls, first, text, read)?;
                self.range[first] = (from, self.ends.len());
            }
        }
        let low = read.iter().map(|(value, ..)| *value).min().unwrap_or_default();
        let high = read.iter().map(|(value, ..)| *value).max().unwrap_or_default();
        let mut places = Places::new(low, high, read.len());
        for (value, first, id) in read {
            let place = places.at(value);
            if *place == NONE {
                *place = self.place(value, first, id)?;
            }
            let call = &calls[id as usize];
            self.clusters[*place as usize].read(call.invoked, call.returned);
        }
        Ok(())
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
        match calls[place - 1].what {
            What::Write(_) => Some((place, text)),
            _ if matches!(self.init, Datum::Text(first) if !first.is_empty()) => None,
            _ => Some((FIRST, text)),
        }
    }

    /// Chains the operations that made `text`, the longest that begins with `first`.
    fn take_apart(
        &mut self,
        calls: &[Call],
        first: usize,
        text: &str,
        read: CallId,
    ) -> Result<(), Why> {
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
            let append = number - 1;
            if !matches!(calls[append as usize].what, What::Append(_)) {
                return Err(Why::Unwritten(read));
            }
            let place = number as usize;
            if self.clusters[place].written == Written::Made {
                let other = self.longest[self.root(place)].map_or(read, |(_, other)| other);
                return Err(Why::Reused { read, append, other });
            }
            self.clusters[place].written = Written::Made;
            self.clusters[place].is_found = true;
            self.clusters[place].parent = last as ClusterId;
            self.clusters[last].child = number;
            (end, last) = (end + length, place);
            self.ends.push((end, number));
        }
        Ok(())
    }

    /// The cluster of the whole of `value`, which begins with `first`.
    fn place(&self, value: Value, first: usize, read: CallId) -> Result<ClusterId, Why> {
        let text = text(&self.data[value.0 as usize]).unwrap_or("");
        let (longest, other) = self.longest[first].unwrap_or((text, read));
        if !longest.starts_with(text) {
            return Err(Why::Disagree(read, other));
        }
        let (from, to) = self.range[first];
        let ends = &self.ends[from..to];
        let found = ends.binary_search_by_key(&text.len(), |(end, _)| *end);
        found.map(|place| ends[place].1).map_err(|_| Why::Unwritten(read))
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
            known.extend(self.longest[place].map(|(_, read)| read));
            while place != NONE as usize {
                related.extend(CallId::try_from(place).ok().and_then(|place| place.checked_sub(1)));
                place = self.clusters[place].child as usize;
            }
        }
        if !is_of_places {
            let writes = (0..).zip(calls).filter(|(_, call)| !matches!(call.what, What::Read(_)));
            related.extend(writes.map(|(id, _): (CallId, _)| id));
        }
        Wrong { why, known, related }
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
