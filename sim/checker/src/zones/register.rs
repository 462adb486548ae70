//! Decides registers with read, write and compare-and-set, if the written values determine which
//! operation wrote them (Gibbons & Korach 1997, §4: the reads-from mapping is known).

use crate::value::ValueId;
use crate::zones::call::{Action, Call, NEVER};
use crate::zones::cluster_table::ClusterTable;
use crate::zones::clusters::{Cluster, ClusterId, NONE, WriteOrigin, zone_conflict};
use crate::zones::conflict::{CallId, Conflict, Violation, ZoneResult, invoked_at, returned_at};

/// Decides a register with the initial value `init`.
///
/// A write or compare-and-set of unknown outcome whose value was never observed can be left out of
/// any order. A failed compare-and-set is left out, too: without it more orders are legal, so every
/// violation that is found is real.
pub(crate) fn decide(calls: &[Call], init: ValueId) -> ZoneResult {
    let mut register = Register::of(calls, init);
    if register.has_swaps {
        register.mark_found();
    }
    let is_unclear = |cluster: &Cluster| cluster.is_repeated && cluster.is_observed();
    if register.has_repeated && register.clusters.iter().any(is_unclear) {
        return ZoneResult::Ambiguous;
    }
    match register.conflict(calls) {
        Some(conflict) => ZoneResult::NotLinearizable(register.violation(calls, conflict)),
        None if register.has_failed_cas => ZoneResult::Ambiguous,
        None => ZoneResult::Linearizable,
    }
}

/// The clusters of a register.
#[derive(Debug)]
struct Register {
    clusters: Vec<Cluster>,
    places: ClusterTable,
    has_swaps: bool,
    /// Whether a value was written more than once.
    has_repeated: bool,
    /// Whether there are relevant failed compare-and-set operations.
    has_failed_cas: bool,
}

impl Register {
    fn of(calls: &[Call], init: ValueId) -> Register {
        let (low, high) = span(calls, init);
        let mut register = Register {
            clusters: Vec::with_capacity(calls.len() / 2 + 2),
            places: ClusterTable::new(low, high, 2 * calls.len() + 1),
            has_swaps: false,
            has_repeated: false,
            has_failed_cas: false,
        };
        let first = register.place(init);
        register.clusters[first] = Cluster::FIRST;
        for call in calls {
            match call.action {
                Action::Read(value) => {
                    let place = register.place(value);
                    register.clusters[place].read(call.invoked, call.returned);
                }
                Action::Write(value) => register.write(value, call, WriteOrigin::Once, NONE),
                Action::CompareAndSet { from, to } if from == to => {
                    let place = register.place(from);
                    if call.is_known() {
                        register.clusters[place].read(call.invoked, call.returned);
                    }
                }
                Action::CompareAndSet { from, to } => {
                    let parent = register.place(from);
                    register.has_swaps = true;
                    register.write(to, call, WriteOrigin::Derived, parent as ClusterId);
                }
                Action::FailedCas { from, to } => {
                    (_, _) = (register.place(from), register.place(to));
                    register.has_failed_cas = true;
                }
                Action::FailedCasFound { from, to, found } => {
                    (_, _) = (register.place(from), register.place(to));
                    let place = register.place(found);
                    register.clusters[place].read(call.invoked, call.returned);
                }
                Action::Append(_) => unreachable!("a register has no appends"),
            }
        }
        if register.has_failed_cas {
            register.has_failed_cas = calls.iter().any(|call| register.is_relevant(call));
        }
        register
    }

    /// Returns true if `call` is a failed compare-and-set that expected a value that was written.
    fn is_relevant(&mut self, call: &Call) -> bool {
        let Action::FailedCas { from, .. } = call.action else { return false };
        let place = self.place(from);
        self.clusters[place].written != WriteOrigin::Never
    }

    #[inline]
    fn place(&mut self, value: ValueId) -> usize {
        let place = self.places.at(value);
        if *place == NONE {
            *place =
                ClusterId::try_from(self.clusters.len()).expect("the number of clusters fits u32");
            self.clusters.push(Cluster::UNKNOWN);
        }
        *place as usize
    }

    #[inline]
    fn write(&mut self, value: ValueId, call: &Call, written: WriteOrigin, parent: ClusterId) {
        let mut place = self.place(value);
        if self.clusters[place].written != WriteOrigin::Never {
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

    /// Marks every value found by a compare-and-set that took effect: it returned, or the value
    /// that it wrote was observed.
    fn mark_found(&mut self) {
        let certain =
            |cluster: &Cluster| cluster.written == WriteOrigin::Derived && cluster.is_certain();
        let mut seen: Vec<ClusterId> = (0..)
            .zip(&self.clusters)
            .filter(|(_, cluster)| certain(cluster))
            .map(|(place, _): (ClusterId, _)| place)
            .collect();
        while let Some(place) = seen.pop() {
            let found = self.clusters[place as usize].parent;
            let parent = &mut self.clusters[found as usize];
            let is_new = !parent.is_certain();
            parent.is_found = true;
            if is_new && parent.written == WriteOrigin::Derived {
                seen.push(found);
            }
        }
    }

    fn conflict(&mut self, calls: &[Call]) -> Option<Conflict> {
        let unwritten =
            |cluster: &Cluster| cluster.written == WriteOrigin::Never && cluster.is_observed();
        if let Some(place) = self.clusters.iter().position(unwritten) {
            return Some(self.observer(calls, place).map_or(Conflict::Other, Conflict::Unwritten));
        }
        if self.has_swaps
            && let Some(conflict) = self.link(calls)
        {
            return Some(conflict);
        }
        Some(Conflict::of(&zone_conflict(&self.clusters)?, calls))
    }

    /// Links every value to the value that replaced it.
    fn link(&mut self, calls: &[Call]) -> Option<Conflict> {
        let mut left = 0;
        for place in 0..self.clusters.len() {
            let cluster = &self.clusters[place];
            if cluster.written != WriteOrigin::Derived || !cluster.is_certain() {
                continue;
            }
            left += 1;
            let parent = cluster.parent as usize;
            let before = self.clusters[parent].child;
            if before != NONE {
                let one = self.swap_or_observer(calls, before as usize);
                let other = self.swap_or_observer(calls, place);
                let both = one.zip(other).filter(|(one, other)| one != other);
                return Some(
                    both.map_or(Conflict::Other, |(one, other)| {
                        Conflict::ReplacedTwice(one, other)
                    }),
                );
            }
            self.clusters[parent].child = place as ClusterId;
        }
        let mut reached = vec![false; self.clusters.len()];
        for first in 0..self.clusters.len() {
            if self.clusters[first].written != WriteOrigin::Once {
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
            cluster.written == WriteOrigin::Derived && cluster.is_certain() && !reached[*place]
        };
        let place = (0..self.clusters.len()).find(in_circle)?;
        Some(self.swap_or_observer(calls, place).map_or(Conflict::Other, Conflict::Cycle))
    }

    /// Returns the compare-and-set that wrote the value at `place`, or a call that proves its
    /// effect.
    fn swap_or_observer(&self, calls: &[Call], place: usize) -> Option<CallId> {
        let cluster = &self.clusters[place];
        returned_at(calls, cluster.write_returned).or_else(|| self.observer(calls, place))
    }

    /// Returns a call whose outcome proves that the register had the value at `place`.
    fn observer(&self, calls: &[Call], place: usize) -> Option<CallId> {
        // The first child of each cluster, whose own child is not yet known if a conflict ended the
        // links early.
        let mut children = vec![NONE; self.clusters.len()];
        for (child, cluster) in self.clusters.iter().enumerate().rev() {
            if cluster.written == WriteOrigin::Derived && cluster.is_certain() {
                children[cluster.parent as usize] = child as ClusterId;
            }
        }
        let mut seen = vec![false; self.clusters.len()];
        let mut place = place;
        while !std::mem::replace(&mut seen[place], true) {
            let read = self.clusters[place].read_returned_min;
            if read != NEVER {
                return returned_at(calls, read);
            }
            place = Some(children[place]).filter(|child| *child != NONE)? as usize;
            let swap = self.clusters[place].write_returned;
            if swap != NEVER {
                return returned_at(calls, swap);
            }
        }
        None
    }

    /// Returns the violation of `conflict`, with the calls that prove it and the writers that they
    /// imply.
    fn violation(&mut self, calls: &[Call], conflict: Conflict) -> Violation {
        let mut seen = conflict.calls();
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
                match calls[*id as usize].action {
                    Action::CompareAndSet { from, .. } => next.push(self.place(from)),
                    // With an unknown outcome, it could have written the observed value.
                    Action::FailedCas { from, .. } => {
                        known.push(*id);
                        next.push(self.place(from));
                    }
                    Action::FailedCasFound { from, found, .. } => {
                        known.push(*id);
                        next.extend([self.place(from), self.place(found)]);
                    }
                    Action::Read(_) | Action::Write(_) | Action::Append(_) => {}
                }
            }
        }
        Violation { conflict, known, related }
    }

    /// Returns every call that could have written a value, except the writer of its cluster, with
    /// the position of the value, in order.
    fn others(&mut self, calls: &[Call]) -> Vec<(usize, CallId)> {
        let mut others = Vec::new();
        for (id, call) in (0..).zip(calls) {
            let is_other = match call.action {
                Action::Read(_) => false,
                Action::FailedCas { .. } | Action::FailedCasFound { .. } => true,
                Action::Write(_) | Action::CompareAndSet { .. } | Action::Append(_) => {
                    self.has_repeated
                }
            };
            if is_other {
                others.push((self.written_place(call), id));
            }
        }
        others.sort_unstable();
        others
    }

    /// Returns the value that `call` observed, or wrote if it took effect.
    fn value_place(&mut self, call: &Call) -> usize {
        match call.action {
            Action::FailedCasFound { found, .. } => self.place(found),
            _ => self.written_place(call),
        }
    }

    /// Returns the value of the register after `call`, if it took effect.
    fn written_place(&mut self, call: &Call) -> usize {
        match call.action {
            Action::Read(value) | Action::Write(value) | Action::Append(value) => self.place(value),
            Action::CompareAndSet { to, .. }
            | Action::FailedCas { to, .. }
            | Action::FailedCasFound { to, .. } => self.place(to),
        }
    }
}

/// Returns the least and the greatest value of `calls` and `init`.
fn span(calls: &[Call], init: ValueId) -> (ValueId, ValueId) {
    let (mut low, mut high) = (init, init);
    for call in calls {
        let values = match call.action {
            Action::Read(value) | Action::Write(value) | Action::Append(value) => [value; 3],
            Action::CompareAndSet { from, to } | Action::FailedCas { from, to } => [from, to, to],
            Action::FailedCasFound { from, to, found } => [from, to, found],
        };
        for value in values {
            (low, high) = (low.min(value), high.max(value));
        }
    }
    debug_assert!(low <= init && init <= high);
    debug_assert!(calls.iter().all(|call| call.invoked < call.returned || call.returned == NEVER));
    (low, high)
}
