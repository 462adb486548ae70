//! Operations of the same text: which of them made which of the places where it was read.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::zones::call::{BEFORE, NEVER, Time};
use crate::zones::clusters::{Cluster, ClusterId};

/// Appends of which other operations have the same text. Each place where such a text was read has
/// a cluster of one of them, whichever; that it was made by this one is not known if there are
/// several.
#[derive(Debug)]
pub(crate) struct Repeats {
    /// By the first of their clusters.
    groups: Vec<Group>,
}

/// All operations of one text.
#[derive(Debug)]
struct Group {
    /// The first of all clusters, that of a write included.
    first: ClusterId,
    /// That of the only write.
    write: Option<ClusterId>,
    /// Those of the appends, in the order of invocation.
    clusters: Vec<ClusterId>,
    /// How many of the clusters stand for places.
    places: usize,
    /// Of the appends that made none of the places looked at so far, those invoked too late for
    /// them, the last first: when each was invoked, and when it returned.
    later: Vec<(Time, Time)>,
    /// Those that could make the next place, the first that returned on top: when each returned,
    /// and when it was invoked.
    ready: BinaryHeap<Reverse<(Time, Time)>>,
    /// Those that returned too early for the places that were left: like `later`.
    earlier: Vec<(Time, Time)>,
}

impl Repeats {
    /// Those of each list, in order, have the same text; nothing if several of one are no appends.
    pub(crate) fn new(
        alike: &[Vec<ClusterId>],
        is_append: impl Fn(ClusterId) -> bool,
    ) -> Option<Repeats> {
        let group = |all: &Vec<ClusterId>| {
            let (clusters, writes): (Vec<ClusterId>, Vec<ClusterId>) =
                all.iter().partition(|cluster| is_append(**cluster));
            (writes.len() <= 1).then(|| Group {
                first: all[0],
                write: writes.first().copied(),
                clusters,
                places: 0,
                later: Vec::new(),
                ready: BinaryHeap::new(),
                earlier: Vec::new(),
            })
        };
        let mut groups = alike.iter().map(group).collect::<Option<Vec<Group>>>()?;
        groups.sort_unstable_by_key(|group| group.first);
        Some(Repeats { groups })
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Whether it is not known of some of them which place they made.
    pub(crate) fn are_open(&self) -> bool {
        self.groups.iter().any(Group::is_open)
    }

    /// The write that has the text of `first`, the first that has it, if appends have it too.
    pub(crate) fn write(&self, first: ClusterId) -> Option<ClusterId> {
        self.find(first).and_then(|group| self.groups[group].write)
    }

    /// The first append that has the text of `first`, the first that has it; `first` itself if no
    /// other has it.
    pub(crate) fn append(&self, first: ClusterId) -> ClusterId {
        self.find(first).map_or(first, |group| self.groups[group].clusters[0])
    }

    /// A cluster for one more place where an append of the text of `first`, the first that has it,
    /// was read; nothing if there are more places than appends.
    pub(crate) fn place(&mut self, first: ClusterId) -> Option<ClusterId> {
        let Some(group) = self.find(first) else { return Some(first) };
        let group = &mut self.groups[group];
        group.places += 1;
        group.clusters.get(group.places - 1).copied()
    }

    fn find(&self, first: ClusterId) -> Option<usize> {
        self.groups.binary_search_by_key(&first, |group| group.first).ok()
    }

    /// Takes away when they were asked: what is wrong then is so whoever made which place.
    pub(crate) fn forget(&mut self, clusters: &mut [Cluster]) {
        for group in self.groups.iter_mut().filter(|group| group.is_open()) {
            for cluster in group.clusters.iter().rev() {
                let cluster = &mut clusters[*cluster as usize];
                group.later.push((cluster.write_invoked, cluster.write_returned));
                (cluster.write_invoked, cluster.write_returned) = (BEFORE, NEVER);
            }
        }
    }

    /// After they were [forgotten](Repeats::forget): has each place in `chains` be made by the
    /// append that returned first, of those that can have made it. Returns whether there always
    /// was one. Another choice may do where this one does not.
    pub(crate) fn remember<'a>(
        &mut self,
        clusters: &mut [Cluster],
        chains: impl Iterator<Item = &'a [(usize, ClusterId)]>,
    ) -> bool {
        let mut groups: Vec<Option<usize>> = vec![None; clusters.len()];
        for (number, group) in self.groups.iter().enumerate().filter(|(_, it)| it.is_open()) {
            for cluster in &group.clusters {
                groups[*cluster as usize] = Some(number);
            }
        }
        for chain in chains {
            // Before which return each of them took effect.
            let mut before: Vec<Time> = Vec::with_capacity(chain.len());
            for (_, place) in chain.iter().rev() {
                let last = before.last().copied().unwrap_or(NEVER);
                let cluster = &clusters[*place as usize];
                before.push(last.min(cluster.write_returned).min(cluster.read_returned_min));
            }
            let mut after = BEFORE;
            for ((_, place), before) in chain.iter().zip(before.into_iter().rev()) {
                let cluster = &mut clusters[*place as usize];
                if let Some(group) = groups[*place as usize] {
                    let Some(append) = self.groups[group].take(after, before) else {
                        return false;
                    };
                    (cluster.write_invoked, cluster.write_returned) = append;
                }
                after = after.max(cluster.write_invoked).max(cluster.read_invoked_max);
            }
        }
        for group in self.groups.iter_mut().filter(|group| group.is_open()) {
            for place in group.places..group.clusters.len() {
                let cluster = &mut clusters[group.clusters[place] as usize];
                let append = group.left().expect("there are as many appends as clusters");
                (cluster.write_invoked, cluster.write_returned) = append;
            }
        }
        true
    }
}

impl Group {
    /// Whether it is not known which append made which place.
    fn is_open(&self) -> bool {
        self.clusters.len() > 1
    }

    /// An append that can have taken effect after the invocation `after` and before the return
    /// `before`, the first that returned.
    fn take(&mut self, after: Time, before: Time) -> Option<(Time, Time)> {
        while let Some((invoked, returned)) = self.later.pop_if(|(at, _)| *at < before) {
            self.ready.push(Reverse((returned, invoked)));
        }
        while let Some(Reverse((returned, invoked))) = self.ready.pop() {
            if returned > after {
                return Some((invoked, returned));
            }
            self.earlier.push((invoked, returned));
        }
        None
    }

    /// An append that made no place.
    fn left(&mut self) -> Option<(Time, Time)> {
        let ready = |group: &mut Group| {
            let Reverse((returned, invoked)) = group.ready.pop()?;
            Some((invoked, returned))
        };
        self.earlier.pop().or_else(|| ready(self)).or_else(|| self.later.pop())
    }
}
