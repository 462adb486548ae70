//! All nodes and all messages at one moment, as a few numbers.

use std::collections::VecDeque;

use crate::events::Spent;

/// All nodes and all messages at one moment; what is equal behaves alike.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct World {
    pub(crate) spent: Spent,
    /// The number of the history so far.
    pub(crate) history: u32,
    /// The number of each node's state.
    pub(crate) states: Vec<u32>,
    /// The numbers of the messages on their way, in ascending order, each once.
    pub(crate) flight: Vec<u32>,
}

impl World {
    /// A name of 128 bits.
    pub(crate) fn hash(&self) -> u128 {
        let (mut left, mut right): (u64, u64) = (0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344);
        self.words(|word| {
            left = fold(left ^ u64::from(word), 0x9e37_79b9_7f4a_7c15);
            right = fold(right.rotate_left(23) ^ u64::from(word), 0xd6e8_feb8_6659_fd93);
        });
        u128::from(fold(left, 0xa409_3822_299f_31d1)) << 64 | u128::from(fold(right, left | 1))
    }

    /// The world as a line of words: how many messages, and then everything.
    fn words(&self, mut each: impl FnMut(u32)) {
        each(u32::try_from(self.flight.len()).expect("the messages are few"));
        each(self.spent.0);
        each(self.history);
        self.states.iter().chain(&self.flight).for_each(|word| each(*word));
    }
}

/// Multiplies to 128 bits and folds them.
fn fold(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    (product as u64) ^ ((product >> 64) as u64) ^ left
}

/// Worlds that wait for their turn, in as little memory as it takes.
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

    /// The next world, put in the place of `world`.
    pub(crate) fn pop(&mut self, world: &mut World) -> bool {
        let Some(count) = self.words.pop_front() else { return false };
        let mut next = || self.words.pop_front().expect("a world is pushed as a whole");
        world.spent = Spent(next());
        world.history = next();
        world.states.clear();
        world.states.extend((0..self.nodes).map(|_| next()));
        world.flight.clear();
        world.flight.extend((0..count).map(|_| next()));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_world_comes_out_of_the_queue_as_it_went_in() {
        let world = |flight: &[u32]| World {
            spent: Spent(7),
            history: 3,
            states: vec![1, 2],
            flight: flight.to_vec(),
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
