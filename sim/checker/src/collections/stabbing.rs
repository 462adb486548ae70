//! A line of places that are covered and uncovered, and windows on it that wait for a bare place.

use std::ops::Range;

/// More covers than there ever are: of a place that was bare before.
const SEEN: i32 = i32::MAX / 2;

const NONE: u32 = u32::MAX;

/// Windows on a line of places. Every window is told of once, when a place in it is bare for the
/// first time. A tree over the places: O(log n) for each cover, place and window.
#[derive(Clone, Debug)]
pub(crate) struct Windows {
    /// The places that the tree has room for, a power of two.
    width: usize,
    /// The fewest covers of a place below each node, those above the node not counted.
    fewest: Vec<i32>,
    /// The covers that all below each node share; taken away ones are negative.
    covers: Vec<i32>,
    /// The first of the windows that stand at each node, in `waiting`.
    first: Vec<u32>,
    /// Windows that stand at nodes, and the next at the same.
    waiting: Vec<(u32, u32)>,
    /// Which windows there are, and which have been told of.
    told: Vec<bool>,
    /// Windows to tell of.
    found: Vec<u32>,
    /// Places that were found bare and whose windows are not yet found.
    bare: Vec<usize>,
}

impl Windows {
    /// No windows yet, on `places` places; room for `windows` of them.
    pub(crate) fn new(places: usize, windows: usize) -> Windows {
        let width = places.max(1).next_power_of_two();
        Windows {
            width,
            fewest: vec![0; 2 * width],
            covers: vec![0; 2 * width],
            first: vec![NONE; 2 * width],
            waiting: Vec::with_capacity(windows * 2),
            told: Vec::with_capacity(windows),
            found: Vec::new(),
            bare: Vec::new(),
        }
    }

    /// Has one more window; they are numbered in the order in which they come.
    pub(crate) fn add(&mut self, places: Range<usize>) {
        let window = number(self.told.len());
        self.told.push(false);
        let (mut from, mut to) = (places.start + self.width, places.end + self.width);
        while from < to {
            if from & 1 == 1 {
                self.stand(window, from);
                from += 1;
            }
            if to & 1 == 1 {
                to -= 1;
                self.stand(window, to);
            }
            from /= 2;
            to /= 2;
        }
    }

    fn stand(&mut self, window: u32, node: usize) {
        let next = std::mem::replace(&mut self.first[node], number(self.waiting.len()));
        self.waiting.push((window, next));
    }

    /// Covers each place once for each of `ranges` that it is in. Once, before anything is told.
    pub(crate) fn cover(&mut self, ranges: &[Range<usize>]) {
        let mut changes = vec![0_i32; self.width + 1];
        for range in ranges {
            changes[range.start] += 1;
            changes[range.end] -= 1;
        }
        let mut covers = 0;
        for (place, change) in changes.into_iter().take(self.width).enumerate() {
            covers += change;
            self.fewest[self.width + place] = covers;
        }
        for node in (1..self.width).rev() {
            self.fewest[node] = self.fewest[2 * node].min(self.fewest[2 * node + 1]);
        }
        self.find_bare(1, 0);
    }

    /// Covers each place of `range` once less.
    pub(crate) fn uncover(&mut self, range: Range<usize>) {
        self.uncover_below(1, 0..self.width, &range);
        self.find_bare(1, 0);
    }

    fn uncover_below(&mut self, node: usize, here: Range<usize>, range: &Range<usize>) {
        if range.end <= here.start || here.end <= range.start {
            return;
        }
        if range.start <= here.start && here.end <= range.end {
            self.covers[node] -= 1;
            self.fewest[node] -= 1;
            return;
        }
        let middle = here.start.midpoint(here.end);
        self.uncover_below(2 * node, here.start..middle, range);
        self.uncover_below(2 * node + 1, middle..here.end, range);
        self.sum_up(node);
    }

    fn sum_up(&mut self, node: usize) {
        let below = self.fewest[2 * node].min(self.fewest[2 * node + 1]);
        self.fewest[node] = below + self.covers[node];
    }

    /// Finds every bare place below `node`, which is covered `above` times from above.
    fn find_bare(&mut self, node: usize, above: i32) {
        if self.fewest[node] + above != 0 {
            return;
        }
        if node >= self.width {
            self.bare.push(node);
            self.fewest[node] = SEEN;
            return;
        }
        let above = above + self.covers[node];
        self.find_bare(2 * node, above);
        self.find_bare(2 * node + 1, above);
        self.sum_up(node);
    }

    /// A window in which there is a bare place, if there is one not yet told of.
    pub(crate) fn next_bare(&mut self) -> Option<usize> {
        loop {
            while let Some(window) = self.found.pop() {
                if !std::mem::replace(&mut self.told[window as usize], true) {
                    return Some(window as usize);
                }
            }
            let mut node = self.bare.pop()?;
            while node > 0 {
                let mut next = std::mem::replace(&mut self.first[node], NONE);
                while next != NONE {
                    let (window, after) = self.waiting[next as usize];
                    self.found.push(window);
                    next = after;
                }
                node /= 2;
            }
        }
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).expect("fewer than four billion windows")
}
