//! Assigns appends with equal texts to the places where their text was read.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::zones::call::{BEFORE, NEVER, Time};
use crate::zones::clusters::{Cluster, ClusterId};

/// Groups of appends with equal texts. Each place where such a text was read has the cluster of an
/// arbitrary append of the group; which append made it is not known if there are several.
#[derive(Debug)]
pub(crate) struct Repeats {
    /// The groups, sorted by their first cluster.
    groups: Vec<Group>,
}

/// All operations with one text.
#[derive(Debug)]
struct Group {
    /// The first cluster of the group, including that of a write.
    first: ClusterId,
    /// The cluster of the only write, if there is one.
    write: Option<ClusterId>,
    /// The clusters of the appends, in the order of invocation.
    clusters: Vec<ClusterId>,
    /// The number of clusters that stand for places.
    places: usize,
    /// Unassigned appends that were invoked too late for the places so far, the last first, as
    /// invocation and response.
    later: Vec<(Time, Time)>,
    /// Appends that could make the next place, the one with the first response on top, as response
    /// and invocation.
    ready: BinaryHeap<Reverse<(Time, Time)>>,
    /// Appends that returned too early for the remaining places, like `later`.
    earlier: Vec<(Time, Time)>,
}

impl Repeats {
    /// Groups the operations of each list, which have the same text. Returns `None` if a list
    /// contains several writes.
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

    /// Returns true if there are no groups.
    pub(crate) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Returns true if the place of some append is not known.
    pub(crate) fn is_ambiguous(&self) -> bool {
        self.groups.iter().any(Group::is_ambiguous)
    }

    /// Returns the write with the text of `first`, the first operation with it, if appends have it
    /// too.
    pub(crate) fn write(&self, first: ClusterId) -> Option<ClusterId> {
        self.find(first).and_then(|group| self.groups[group].write)
    }

    /// Returns the first append with the text of `first`, or `first` itself if its text is unique.
    pub(crate) fn append(&self, first: ClusterId) -> ClusterId {
        self.find(first).map_or(first, |group| self.groups[group].clusters[0])
    }

    /// Returns a cluster for another place with the text of `first`, or `None` if there are more
    /// places than appends.
    pub(crate) fn place(&mut self, first: ClusterId) -> Option<ClusterId> {
        let Some(group) = self.find(first) else { return Some(first) };
        let group = &mut self.groups[group];
        group.places += 1;
        group.clusters.get(group.places - 1).copied()
    }

    fn find(&self, first: ClusterId) -> Option<usize> {
        self.groups.binary_search_by_key(&first, |group| group.first).ok()
    }

    /// Removes the times of ambiguous appends. A conflict without them exists for every assignment.
    pub(crate) fn forget_times(&mut self, clusters: &mut [Cluster]) {
        for group in self.groups.iter_mut().filter(|group| group.is_ambiguous()) {
            for cluster in group.clusters.iter().rev() {
                let cluster = &mut clusters[*cluster as usize];
                group.later.push((cluster.write_invoked, cluster.write_returned));
                (cluster.write_invoked, cluster.write_returned) = (BEFORE, NEVER);
            }
        }
    }

    /// After [`Repeats::forget_times`]: assigns to each place in `chains` the append with the first
    /// response of those that can have made it. Returns true if there always was one. If not,
    /// another assignment may exist.
    pub(crate) fn assign_times<'a>(
        &mut self,
        clusters: &mut [Cluster],
        chains: impl Iterator<Item = &'a [(usize, ClusterId)]>,
    ) -> bool {
        let mut groups: Vec<Option<usize>> = vec![None; clusters.len()];
        for (number, group) in self.groups.iter().enumerate().filter(|(_, it)| it.is_ambiguous()) {
            for cluster in &group.clusters {
                groups[*cluster as usize] = Some(number);
            }
        }
        for chain in chains {
            // The response before which each place took effect.
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
        for group in self.groups.iter_mut().filter(|group| group.is_ambiguous()) {
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
    /// Returns true if it is not known which append made which place.
    fn is_ambiguous(&self) -> bool {
        self.clusters.len() > 1
    }

    /// Takes the append with the first response of those that can take effect after the invocation
    /// `after` and before the response `before`.
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

    /// Takes an append that made no place.
    fn left(&mut self) -> Option<(Time, Time)> {
        let ready = |group: &mut Group| {
            let Reverse((returned, invoked)) = group.ready.pop()?;
            Some((invoked, returned))
        };
        self.earlier.pop().or_else(|| ready(self)).or_else(|| self.later.pop())
    }
}
