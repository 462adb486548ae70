//! Windows over a line of positions: each window is reported once it contains an uncovered
//! position.

use std::ops::Range;

/// The cover count of a position that was found uncovered; greater than any real count.
const SEEN: i32 = i32::MAX / 2;

const NONE: u32 = u32::MAX;

/// Windows over a line of positions. Every window is reported once, when a position in it becomes
/// uncovered for the first time. A segment tree: O(log n) for each cover, position and window.
#[derive(Clone, Debug)]
pub(crate) struct Windows {
    /// The capacity of the tree in positions, a power of two.
    width: usize,
    /// For each node, the least cover count of a position below it, without the covers above it.
    fewest: Vec<i32>,
    /// For each node, the covers that all positions below it share; negative if removed.
    covers: Vec<i32>,
    /// For each node, the first of its windows in `waiting`.
    first: Vec<u32>,
    /// Windows at nodes, each with the next window at the same node.
    waiting: Vec<(u32, u32)>,
    /// For each window, whether it has been reported.
    reported: Vec<bool>,
    /// The windows to report.
    found: Vec<u32>,
    /// The uncovered positions whose windows have not been found yet.
    bare: Vec<usize>,
}

impl Windows {
    /// Creates a line of `places` positions, with capacity for `windows` windows.
    pub(crate) fn new(places: usize, windows: usize) -> Windows {
        let width = places.max(1).next_power_of_two();
        Windows {
            width,
            fewest: vec![0; 2 * width],
            covers: vec![0; 2 * width],
            first: vec![NONE; 2 * width],
            waiting: Vec::with_capacity(windows * 2),
            reported: Vec::with_capacity(windows),
            found: Vec::new(),
            bare: Vec::new(),
        }
    }

    /// Adds a window. Windows are numbered in the order of their addition.
    pub(crate) fn add(&mut self, places: Range<usize>) {
        let window = number(self.reported.len());
        self.reported.push(false);
        let (mut from, mut to) = (places.start + self.width, places.end + self.width);
        while from < to {
            if from & 1 == 1 {
                self.attach(window, from);
                from += 1;
            }
            if to & 1 == 1 {
                to -= 1;
                self.attach(window, to);
            }
            from /= 2;
            to /= 2;
        }
    }

    /// Adds `window` to the windows of `node`.
    fn attach(&mut self, window: u32, node: usize) {
        let next = std::mem::replace(&mut self.first[node], number(self.waiting.len()));
        self.waiting.push((window, next));
    }

    /// Covers each position once for each of `ranges` that contains it. Called once, before any
    /// report.
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

    /// Removes one cover from each position of `range`.
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

    /// Finds every uncovered position below `node`, which is covered `above` times from above.
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

    /// Returns the next unreported window that contains an uncovered position.
    pub(crate) fn next_bare(&mut self) -> Option<usize> {
        loop {
            while let Some(window) = self.found.pop() {
                if !std::mem::replace(&mut self.reported[window as usize], true) {
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
    u32::try_from(count).expect("the number of windows fits u32")
}
