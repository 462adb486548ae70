//! A queue in which origins take turns, so that thousands of items of one client do not delay one
//! of another client.

use std::collections::{BTreeMap, VecDeque};

use crate::runtime::origin::OriginNumber;

/// Items that wait for the turns of their origins. Those of one origin stay in order.
#[derive(Debug)]
pub(super) struct TurnQueue<T> {
    /// The items by origin. An origin without items has no entry.
    by_origin: BTreeMap<OriginNumber, VecDeque<T>>,
    /// The origins with items, in the order of their turns.
    turns: VecDeque<OriginNumber>,
    len: usize,
}

impl<T> Default for TurnQueue<T> {
    fn default() -> TurnQueue<T> {
        TurnQueue { by_origin: BTreeMap::new(), turns: VecDeque::new(), len: 0 }
    }
}

impl<T> TurnQueue<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, origin: OriginNumber, item: T) {
        let items = self.by_origin.entry(origin).or_default();
        if items.is_empty() {
            self.turns.push_back(origin);
        }
        items.push_back(item);
        self.len += 1;
    }

    /// Removes and returns the first item of the origin whose turn it is.
    pub(super) fn pop(&mut self) -> Option<T> {
        let origin = self.turns.pop_front()?;
        let items = self.by_origin.get_mut(&origin).expect("an origin with a turn has items");
        let item = items.pop_front().expect("an origin with a turn has items");
        if items.is_empty() {
            self.by_origin.remove(&origin);
        } else {
            self.turns.push_back(origin);
        }
        self.len -= 1;
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_with_many_items_has_every_other_turn() {
        let mut queue = TurnQueue::default();
        let [one, other, third] = [1, 2, 3].map(OriginNumber);
        (10..14).for_each(|item| queue.push(one, item));
        (20..22).for_each(|item| queue.push(other, item));
        assert_eq!([queue.pop(), queue.pop(), queue.pop()], [Some(10), Some(20), Some(11)]);
        queue.push(third, 30);
        assert_eq!(queue.len(), 4);
        let rest: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(rest, [21, 12, 30, 13]);
        assert!(queue.is_empty());
    }
}
