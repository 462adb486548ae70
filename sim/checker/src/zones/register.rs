//! Decides on a register that is read, written, and compared and set, if what was written tells
//! which operation wrote it (Gibbons & Korach 1997, §4: the reads-from mapping is known).

use crate::value::Value;
use crate::zones::call::{Call, NEVER, What};
use crate::zones::clusters::{Cluster, ClusterId, NONE, Written, clash};
use crate::zones::finding::{CallId, Finding, Why, Wrong, invoked_at, returned_at};
use crate::zones::places::Places;

/// Decides on a register that has `init` at first.
///
/// A write of unknown outcome whose value nobody saw can be left out of any order that has it, and
/// so can a compare-and-set. A refusal can be left out too: what is wrong without it is wrong.
pub(crate) fn decide(calls: &[Call], init: Value) -> Finding {
    let mut register = Register::of(calls, init);
    if register.has_swaps {
        register.find_all();
    }
    let is_unclear = |cluster: &Cluster| cluster.is_repeated && cluster.is_observed();
    if register.has_repeated && register.clusters.iter().any(is_unclear) {
        return Finding::Ambiguous;
    }
    match register.why(calls) {
        Some(why) => Finding::Wrong(register.wrong(calls, why)),
        None if register.has_refusals => Finding::Ambiguous,
        None => Finding::Linearizable,
    }
}

/// The values of a register.
#[derive(Debug)]
struct Register {
    clusters: Vec<Cluster>,
    places: Places,
    has_swaps: bool,
    /// Whether a value was written more than once.
    has_repeated: bool,
    /// Whether there are refusals that say something.
    has_refusals: bool,
}

impl Register {
    fn of(calls: &[Call], init: Value) -> Register {
        let (low, high) = span(calls, init);
        let mut register = Register {
            clusters: Vec::with_capacity(calls.len() / 2 + 2),
            places: Places::new(low, high, 2 * calls.len() + 1),
            has_swaps: false,
            has_repeated: false,
            has_refusals: false,
        };
        let first = register.place(init);
        register.clusters[first] = Cluster::FIRST;
        for call in calls {
            match call.what {
                What::Read(value) => {
                    let place = register.place(value);
                    register.clusters[place].read(call.invoked, call.returned);
                }
                What::Write(value) => register.write(value, call, Written::Once, NONE),
                What::Swap { from, to } if from == to => {
                    let place = register.place(from);
                    if call.is_known() {
                        register.clusters[place].read(call.invoked, call.returned);
                    }
                }
                What::Swap { from, to } => {
                    let parent = register.place(from);
                    register.has_swaps = true;
                    register.write(to, call, Written::Made, parent as ClusterId);
                }
                What::Refused { from, to } => {
                    (_, _) = (register.place(from), register.place(to));
                    register.has_refusals = true;
                }
                What::Found { from, to, found } => {
                    (_, _) = (register.place(from), register.place(to));
                    let place = register.place(found);
                    register.clusters[place].read(call.invoked, call.returned);
                }
                What::Append(_) => unreachable!("a register has no appends"),
            }
        }
        if register.has_refusals {
            register.has_refusals = calls.iter().any(|call| register.is_telling(call));
        }
        register
    }

    /// Whether `call` was refused a value that the register may have had.
    fn is_telling(&mut self, call: &Call) -> bool {
        let What::Refused { from, .. } = call.what else { return false };
        let place = self.place(from);
        self.clusters[place].written != Written::Never
    }

    #[inline]
    fn place(&mut self, value: Value) -> usize {
        let place = self.places.at(value);
        if *place == NONE {
            *place = ClusterId::try_from(self.clusters.len()).expect("there are fewer than calls");
            self.clusters.push(Cluster::UNKNOWN);
        }
        *place as usize
    }

    #[inline]
    fn write(&mut self, value: Value, call: &Call, written: Written, parent: ClusterId) {
        let mut place = self.place(value);
        if self.clusters[place].written != Written::Never {
            self.clusters[place].is_repeated = true;
            self.has_repeated = true;
            place = self.clusters.len();
            self.clusters.push(Cluster::UNKNOWN);
        }
        let cluster = &mut self.clusters[place];
        cluster.written = written;
        cluster.write_invoked = call.invoked;
        cluster.write_returned = call.returned;
        cluster.parent = parent;
    }

    /// Marks every value that a swap found which took effect: it returned, or what it wrote was
    /// seen.
    fn find_all(&mut self) {
        let certain = |cluster: &Cluster| cluster.written == Written::Made && cluster.is_certain();
        let mut seen: Vec<ClusterId> = (0..)
            .zip(&self.clusters)
            .filter(|(_, cluster)| certain(cluster))
            .map(|(place, _): (ClusterId, _)| place)
            .collect();
        while let Some(place) = seen.pop() {
            let found = self.clusters[place as usize].parent;
            let parent = &mut self.clusters[found as usize];
            let is_news = !parent.is_certain();
            parent.is_found = true;
            if is_news && parent.written == Written::Made {
                seen.push(found);
            }
        }
    }

    fn why(&mut self, calls: &[Call]) -> Option<Why> {
        let unwritten =
            |cluster: &Cluster| cluster.written == Written::Never && cluster.is_observed();
        if let Some(place) = self.clusters.iter().position(unwritten) {
            return Some(self.observer(calls, place).map_or(Why::Somehow, Why::Unwritten));
        }
        if self.has_swaps
            && let Some(why) = self.link(calls)
        {
            return Some(why);
        }
        Some(Why::of(&clash(&self.clusters)?, calls))
    }

    /// Chains every value to that which was made from it.
    fn link(&mut self, calls: &[Call]) -> Option<Why> {
        let mut left = 0;
        for place in 0..self.clusters.len() {
            let cluster = &self.clusters[place];
            if cluster.written != Written::Made || !cluster.is_certain() {
                continue;
            }
            left += 1;
            let parent = cluster.parent as usize;
            let before = self.clusters[parent].child;
            if before != NONE {
                let one = self.swap_or_observer(calls, before as usize);
                let other = self.swap_or_observer(calls, place);
                let both = one.zip(other).filter(|(one, other)| one != other);
                return Some(both.map_or(Why::Somehow, |(one, other)| Why::Twice(one, other)));
            }
            self.clusters[parent].child = place as ClusterId;
        }
        let mut reached = vec![false; self.clusters.len()];
        for first in 0..self.clusters.len() {
            if self.clusters[first].written != Written::Once {
                continue;
            }
            let mut next = self.clusters[first].child;
            while next != NONE {
                left -= 1;
                reached[next as usize] = true;
                next = self.clusters[next as usize].child;
            }
        }
        if left == 0 {
            return None;
        }
        let in_circle = |place: &usize| {
            let cluster = &self.clusters[*place];
            cluster.written == Written::Made && cluster.is_certain() && !reached[*place]
        };
        let place = (0..self.clusters.len()).find(in_circle)?;
        Some(self.swap_or_observer(calls, place).map_or(Why::Somehow, Why::Circle))
    }

    /// The swap that made the value at `place`, or a call that proves that it took effect.
    fn swap_or_observer(&self, calls: &[Call], place: usize) -> Option<CallId> {
        let cluster = &self.clusters[place];
        returned_at(calls, cluster.write_returned).or_else(|| self.observer(calls, place))
    }

    /// A call whose outcome proves that the register had the value at `place`.
    fn observer(&self, calls: &[Call], place: usize) -> Option<CallId> {
        let mut seen = vec![false; self.clusters.len()];
        let mut place = place;
        while !std::mem::replace(&mut seen[place], true) {
            if let Some(read) = returned_at(calls, self.clusters[place].read_returned_min) {
                return Some(read);
            }
            let child = |cluster: &Cluster| {
                cluster.parent as usize == place
                    && cluster.written == Written::Made
                    && cluster.is_certain()
            };
            place = self.clusters.iter().position(child)?;
            if let Some(swap) = returned_at(calls, self.clusters[place].write_returned) {
                return Some(swap);
            }
        }
        None
    }

    /// `why`, with the calls that prove it, and the writers that these make certain.
    fn wrong(&mut self, calls: &[Call], why: Why) -> Wrong {
        let mut seen = why.calls();
        let mut known = Vec::new();
        for id in seen.clone() {
            let place = self.value_place(&calls[id as usize]);
            match calls[id as usize].is_known() {
                true => known.push(id),
                false => known.extend(self.observer(calls, place)),
            }
        }
        seen.extend(&known);
        let others = self.others(calls);
        let mut related = Vec::new();
        let mut reached = vec![false; self.clusters.len()];
        let mut next: Vec<usize> =
            seen.iter().map(|id| self.value_place(&calls[*id as usize])).collect();
        while let Some(place) = next.pop() {
            if std::mem::replace(&mut reached[place], true) {
                continue;
            }
            let cluster = &self.clusters[place];
            related.extend(invoked_at(calls, cluster.write_invoked));
            if cluster.parent != NONE {
                next.push(cluster.parent as usize);
            }
            let from = others.partition_point(|(written, _)| *written < place);
            for (_, id) in others[from..].iter().take_while(|(written, _)| *written == place) {
                related.push(*id);
                match calls[*id as usize].what {
                    What::Swap { from, .. } => next.push(self.place(from)),
                    // If nobody knew that it was refused, it could have written what they saw.
                    What::Refused { from, .. } => {
                        known.push(*id);
                        next.push(self.place(from));
                    }
                    What::Found { from, found, .. } => {
                        known.push(*id);
                        next.extend([self.place(from), self.place(found)]);
                    }
                    What::Read(_) | What::Write(_) | What::Append(_) => {}
                }
            }
        }
        Wrong { why, known, related }
    }

    /// Every call that could have written a value, apart from the writer that its cluster knows:
    /// with the place of the value, in order.
    fn others(&mut self, calls: &[Call]) -> Vec<(usize, CallId)> {
        let mut others = Vec::new();
        for (id, call) in (0..).zip(calls) {
            let is_other = match call.what {
                What::Read(_) => false,
                What::Refused { .. } | What::Found { .. } => true,
                What::Write(_) | What::Swap { .. } | What::Append(_) => self.has_repeated,
            };
            if is_other {
                others.push((self.written_place(call), id));
            }
        }
        others.sort_unstable();
        others
    }

    /// The value that `call` saw or would leave.
    fn value_place(&mut self, call: &Call) -> usize {
        match call.what {
            What::Found { found, .. } => self.place(found),
            _ => self.written_place(call),
        }
    }

    /// The value that `call` would leave.
    fn written_place(&mut self, call: &Call) -> usize {
        match call.what {
            What::Read(value) | What::Write(value) | What::Append(value) => self.place(value),
            What::Swap { to, .. } | What::Refused { to, .. } | What::Found { to, .. } => {
                self.place(to)
            }
        }
    }
}

/// The least and the greatest value of `calls` and `init`.
fn span(calls: &[Call], init: Value) -> (Value, Value) {
    let (mut low, mut high) = (init, init);
    for call in calls {
        let values = match call.what {
            What::Read(value) | What::Write(value) | What::Append(value) => [value; 3],
            What::Swap { from, to } | What::Refused { from, to } => [from, to, to],
            What::Found { from, to, found } => [from, to, found],
        };
        for value in values {
            (low, high) = (low.min(value), high.max(value));
        }
    }
    debug_assert!(low <= init && init <= high);
    debug_assert!(calls.iter().all(|call| call.invoked < call.returned || call.returned == NEVER));
    (low, high)
}
