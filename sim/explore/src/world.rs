//! Worlds: all nodes and all messages at one point, as a few numbers.

use std::collections::VecDeque;

use crate::events::UsedBounds;

/// All nodes and all messages at one point. Equal worlds behave alike.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct World {
    pub(crate) used: UsedBounds,
    /// The number of the history so far.
    pub(crate) history: u32,
    /// The number of each node's state.
    pub(crate) states: Vec<u32>,
    /// The numbers of the messages in flight, in ascending order, each once.
    pub(crate) in_flight: Vec<u32>,
}

impl World {
    /// Returns a hash of 128 bits that identifies the world.
    pub(crate) fn hash(&self) -> u128 {
        let (mut left, mut right): (u64, u64) = (0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344);
        self.words(|word| {
            left = fold(left ^ u64::from(word), 0x9e37_79b9_7f4a_7c15);
            right = fold(right.rotate_left(23) ^ u64::from(word), 0xd6e8_feb8_6659_fd93);
        });
        u128::from(fold(left, 0xa409_3822_299f_31d1)) << 64 | u128::from(fold(right, left | 1))
    }

    /// Passes the words of the world to `each`: the number of messages, then everything else.
    fn words(&self, mut each: impl FnMut(u32)) {
        each(u32::try_from(self.in_flight.len()).expect("the messages are few"));
        each(self.used.0);
        each(self.history);
        self.states.iter().chain(&self.in_flight).for_each(|word| each(*word));
    }
}

/// Multiplies to 128 bits and folds the result to 64.
fn fold(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    (product as u64) ^ ((product >> 64) as u64) ^ left
}

/// A queue of worlds that uses as little memory as possible.
#[derive(Debug)]
pub(crate) struct Queue {
    words: VecDeque<u32>,
    nodes: usize,
}

impl Queue {
    pub(crate) fn new(nodes: usize) -> Queue {
        Queue { words: VecDeque::new(), nodes }
    }

    pub(crate) fn push(&mut self, world: &World) {
        world.words(|word| self.words.push_back(word));
    }

    /// Overwrites `world` with the next world. Returns false if the queue is empty.
    pub(crate) fn pop(&mut self, world: &mut World) -> bool {
        let Some(count) = self.words.pop_front() else { return false };
        let mut next = || self.words.pop_front().expect("a world is pushed completely");
        world.used = UsedBounds(next());
        world.history = next();
        world.states.clear();
        world.states.extend((0..self.nodes).map(|_| next()));
        world.in_flight.clear();
        world.in_flight.extend((0..count).map(|_| next()));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queued_world_is_unchanged() {
        let world = |in_flight: &[u32]| World {
            used: UsedBounds(7),
            history: 3,
            states: vec![1, 2],
            in_flight: in_flight.to_vec(),
        };
        let mut queue = Queue::new(2);
        let worlds = [world(&[]), world(&[4, 9])];
        worlds.iter().for_each(|world| queue.push(world));
        let mut out = World::default();
        for world in &worlds {
            assert!(queue.pop(&mut out) && out == *world);
        }
        assert!(!queue.pop(&mut out));
        assert_ne!(worlds[0].hash(), worlds[1].hash());
        assert_ne!(world(&[1]).hash(), world(&[0, 1]).hash());
    }
}
