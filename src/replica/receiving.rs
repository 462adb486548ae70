//! Getting a snapshot from a peer: part by part, each asked for until it has come.

use core::time::Duration;

use crate::types::{EntryId, Instant, NodeId, Part, Root, SnapshotMeta};

/// The snapshot that is being received, if one is.
#[derive(Clone, Debug)]
pub(crate) struct Receiving {
    current: Option<Current>,
    inflight_max: usize,
    patience: Duration,
}

#[derive(Clone, Debug)]
struct Current {
    from: NodeId,
    meta: SnapshotMeta,
    /// Parts asked for that have not come, each with the time when it is asked for again.
    asked: Vec<(Part, Instant)>,
    /// When a part came last.
    heard: Instant,
}

/// What an offer of a snapshot comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// Nothing begins: it is on its way already, or another is, or none may begin.
    Stay,
    /// The store begins to receive it, in place of any other.
    New,
}

/// For how many times its patience a receiver stays with a source that sends nothing.
const FAITHFUL: u32 = 4;

impl Receiving {
    pub(crate) fn new(inflight_max: usize, patience: Duration) -> Receiving {
        Receiving { current: None, inflight_max, patience }
    }

    /// A peer offers a snapshot. One that is on its way is not given up for a newer one as long as
    /// its parts come in: a leader that takes snapshots faster than they travel would otherwise
    /// never get one across. Any other comes in if it `may_begin` to.
    pub(crate) fn offered(
        &mut self,
        now: Instant,
        from: NodeId,
        meta: &SnapshotMeta,
        may_begin: bool,
    ) -> Offer {
        let patience = self.patience.saturating_mul(FAITHFUL);
        if let Some(current) = &mut self.current {
            if current.meta.root == meta.root {
                if current.from != from {
                    current.from = from;
                    current.asked.clear();
                }
                return Offer::Stay;
            }
            if now < current.heard.after(patience) {
                return Offer::Stay;
            }
        }
        if !may_begin {
            return Offer::Stay;
        }
        self.current = Some(Current { from, meta: meta.clone(), asked: Vec::new(), heard: now });
        Offer::New
    }

    /// The snapshot being received.
    pub(crate) fn root(&self) -> Option<Root> {
        self.current.as_ref().map(|current| current.meta.root)
    }

    /// Whom it is received from.
    pub(crate) fn from(&self) -> Option<NodeId> {
        self.current.as_ref().map(|current| current.from)
    }

    /// Where the snapshot being received ends.
    pub(crate) fn last(&self) -> Option<EntryId> {
        self.current.as_ref().map(|current| current.meta.last)
    }

    /// Whom to ask now, and for which parts, of those of `root` that the store `wants` in this
    /// order.
    pub(crate) fn ask(
        &mut self,
        now: Instant,
        root: Root,
        wants: Vec<Part>,
    ) -> Option<(NodeId, Vec<Part>)> {
        let again = now.after(self.patience);
        let current = self.current.as_mut().filter(|current| current.meta.root == root)?;
        // What the store cannot take now is asked for when it can: nobody need wake for it before.
        current.asked.retain(|(part, due)| now < *due || wants.contains(part));
        let mut parts = Vec::new();
        for part in wants.into_iter().take(self.inflight_max) {
            let room = current.asked.len() < self.inflight_max;
            match current.asked.iter_mut().find(|(asked, _)| *asked == part) {
                Some((_, due)) if now >= *due => *due = again,
                None if room => current.asked.push((part, again)),
                Some(_) | None => continue,
            }
            parts.push(part);
        }
        (!parts.is_empty()).then_some((current.from, parts))
    }

    /// A part came.
    pub(crate) fn arrived(&mut self, now: Instant, part: Part) {
        if let Some(current) = &mut self.current {
            current.asked.retain(|(asked, _)| *asked != part);
            current.heard = now;
        }
    }

    /// Nothing is received any more.
    pub(crate) fn end(&mut self) {
        self.current = None;
    }

    /// When a part is to be asked for again.
    pub(crate) fn deadline(&self) -> Instant {
        let asked = self.current.iter().flat_map(|current| &current.asked);
        asked.map(|(_, due)| *due).min().unwrap_or(Instant::NEVER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Index, Membership, Term};

    const SECOND: Duration = Duration::from_secs(1);

    fn meta(index: u64) -> SnapshotMeta {
        let last = EntryId::new(Term(1), Index(index));
        let root = Root([index as u8; 32]);
        SnapshotMeta { root, ..SnapshotMeta::empty(last, Membership::default()) }
    }

    fn at(seconds: u64) -> Instant {
        Instant::ZERO.after(SECOND * seconds as u32)
    }

    fn chunks(from: u32) -> Vec<Part> {
        (from..9).map(Part::Chunk).collect()
    }

    #[test]
    fn so_many_parts_are_asked_for_at_a_time_and_again_when_they_do_not_come() {
        let mut receiving = Receiving::new(2, SECOND);
        assert_eq!(receiving.ask(at(0), meta(5).root, chunks(0)), None, "nothing was offered");
        assert_eq!(receiving.offered(at(0), NodeId(1), &meta(5), true), Offer::New);
        let (first, second) = (Part::Chunk(0), Part::Chunk(1));
        assert_eq!(
            receiving.ask(at(0), meta(5).root, chunks(0)),
            Some((NodeId(1), vec![first, second]))
        );
        assert_eq!(receiving.ask(at(0), meta(5).root, chunks(0)), None);
        receiving.arrived(at(0), first);
        assert_eq!(
            receiving.ask(at(0), meta(5).root, chunks(1)),
            Some((NodeId(1), vec![Part::Chunk(2)]))
        );
        assert_eq!(receiving.deadline(), at(1));
        let again = vec![second, Part::Chunk(2)];
        assert_eq!(receiving.ask(at(1), meta(5).root, chunks(1)), Some((NodeId(1), again)));
    }

    #[test]
    fn a_part_that_is_due_while_the_store_takes_none_is_no_deadline() {
        let mut receiving = Receiving::new(2, SECOND);
        receiving.offered(at(0), NodeId(1), &meta(5), true);
        receiving.ask(at(0), meta(5).root, chunks(0));
        assert_eq!(receiving.ask(at(1), meta(5).root, Vec::new()), None);
        assert!(receiving.deadline() > at(1), "it would be woken again and again");
        let first = vec![Part::Chunk(0), Part::Chunk(1)];
        assert_eq!(receiving.ask(at(1), meta(5).root, chunks(0)), Some((NodeId(1), first)));
    }

    #[test]
    fn a_snapshot_on_its_way_is_given_up_for_another_only_when_nothing_comes() {
        let mut receiving = Receiving::new(2, SECOND);
        receiving.offered(at(0), NodeId(1), &meta(5), true);
        receiving.arrived(at(2), Part::Chunk(0));
        assert_eq!(receiving.offered(at(5), NodeId(1), &meta(9), true), Offer::Stay);
        assert_eq!(receiving.root(), Some(meta(5).root));
        assert_eq!(receiving.offered(at(6), NodeId(1), &meta(9), false), Offer::Stay);
        assert_eq!(receiving.root(), Some(meta(5).root), "none may begin");
        assert_eq!(receiving.offered(at(6), NodeId(1), &meta(9), true), Offer::New);
        assert_eq!(receiving.root(), Some(meta(9).root));
    }

    #[test]
    fn another_source_of_the_same_snapshot_is_asked_at_once() {
        let mut receiving = Receiving::new(1, SECOND);
        receiving.offered(at(0), NodeId(1), &meta(5), true);
        receiving.ask(at(0), meta(5).root, chunks(0));
        assert_eq!(receiving.offered(at(0), NodeId(2), &meta(5), true), Offer::Stay);
        assert_eq!(
            receiving.ask(at(0), meta(5).root, chunks(0)),
            Some((NodeId(2), vec![Part::Chunk(0)]))
        );
    }
}
