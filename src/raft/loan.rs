//! What a follower makes of its leader's heartbeats: how fresh its state is, and for how long it
//! may answer reads by itself.
//!
//! Instants of two nodes are never compared. What a follower knows of the leader's time it knows
//! from its own answers: a heartbeat that echoes one of them began after that had left.

use alloc::collections::VecDeque;
use core::time::Duration;

use crate::types::{Beat, Freshness, Index, Instant, Term};

/// A follower's answers to its leader's heartbeats, and what they are worth.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Borrowing {
    /// The last answers, by ascending round.
    answers: VecDeque<Answer>,
    /// Until when this node may answer reads by itself.
    until: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Answer {
    round: u64,
    /// When it left.
    left: Instant,
    /// The round began after this, and the leader's commit index was that.
    began: Option<Fresh>,
}

/// The highest round that was answered in a term, in whatever role the node was in between. A
/// message that comes late or twice makes a node answer a round again, and an echo does not tell
/// which of the answers it means: only the first to each round is worth anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Answered {
    term: Term,
    round: u64,
}

/// Who has applied everything up to an index has all that was complete at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Fresh {
    /// By this node's clock.
    pub(crate) since: Instant,
    pub(crate) index: Index,
}

impl Borrowing {
    /// How many answers are known at most.
    const ANSWERS_MAX: usize = 16;

    /// The leader was heard; what it confirms makes the state fresher. Whether this `is_new` is
    /// what [`Answered::is_new`] says of the round.
    pub(crate) fn heard(
        &mut self,
        beat: &Beat,
        is_new: bool,
        fresh: &mut Option<Fresh>,
        now: Instant,
    ) {
        let echoed = self.answers.iter().find(|answer| answer.round == beat.echo);
        let after = echoed.map(|answer| answer.left);
        if let Some(left) = after.filter(|_| !beat.loan.is_zero()) {
            self.until = self.until.max(left.after(beat.loan));
        }
        let confirmed = self.answers.iter().rfind(|answer| answer.round <= beat.confirmed);
        if let Some(news) = confirmed.and_then(|answer| answer.began)
            && fresh.is_none_or(|known| known.since < news.since)
        {
            *fresh = Some(news);
        }
        if !is_new {
            return;
        }
        if self.answers.len() == Borrowing::ANSWERS_MAX {
            self.answers.pop_front();
        }
        debug_assert!(self.answers.back().is_none_or(|last| last.round < beat.round));
        let began = after.map(|since| Fresh { since, index: beat.committed });
        self.answers.push_back(Answer { round: beat.round, left: now, began });
    }

    /// Whether this node may answer a read by itself that came before `now`.
    pub(crate) fn holds(&self, now: Instant) -> bool {
        now < self.until
    }

    /// For how long it may.
    pub(crate) fn left(&self, now: Instant) -> Duration {
        self.until.since(now)
    }

    /// Every instant it knows.
    pub(crate) fn instants(&mut self) -> impl Iterator<Item = &mut Instant> {
        let answers = self.answers.iter_mut().flat_map(|answer| {
            [Some(&mut answer.left), answer.began.as_mut().map(|fresh| &mut fresh.since)]
        });
        answers.flatten().chain([&mut self.until])
    }

    /// Nothing is known of answers: where there are no loans that only matters to bounded reads.
    pub(crate) fn forget_answers(&mut self) {
        self.answers.clear();
    }
}

impl Answered {
    /// Whether no round from this one on was answered in the term; this one is from now on.
    pub(crate) fn is_new(&mut self, term: Term, round: u64) -> bool {
        let is_new = (self.term, self.round) < (term, round);
        if is_new {
            *self = Answered { term, round };
        }
        is_new
    }
}

impl Fresh {
    /// How old the state is at most.
    pub(crate) fn at(&self, now: Instant) -> Freshness {
        Freshness::Within(now.since(self.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(round: u64, confirmed: u64, echo: u64, loan: u64) -> Beat {
        let loan = Duration::from_nanos(loan);
        Beat { round, committed: Index(round), confirmed, echo, loan, ..Beat::default() }
    }

    #[test]
    fn a_loan_counts_from_the_answer_it_echoes() {
        let (mut borrowing, mut fresh) = (Borrowing::default(), None);
        borrowing.heard(&beat(1, 0, 0, 100), true, &mut fresh, Instant(10));
        assert!(!borrowing.holds(Instant(11)), "no answer was echoed");
        borrowing.heard(&beat(2, 0, 1, 100), true, &mut fresh, Instant(50));
        assert!(borrowing.holds(Instant(109)));
        assert_eq!(borrowing.left(Instant(109)), Duration::from_nanos(1));
        assert!(!borrowing.holds(Instant(110)));
        assert_eq!(borrowing.left(Instant(120)), Duration::ZERO);
        borrowing.heard(&beat(3, 0, 7, 900), true, &mut fresh, Instant(60));
        assert!(!borrowing.holds(Instant(110)), "nobody gave that answer");
    }

    #[test]
    fn a_confirmed_round_is_as_fresh_as_the_answer_before_it() {
        let (mut borrowing, mut fresh) = (Borrowing::default(), None);
        borrowing.heard(&beat(1, 0, 0, 0), true, &mut fresh, Instant(10));
        borrowing.heard(&beat(2, 1, 1, 0), true, &mut fresh, Instant(20));
        assert_eq!(fresh, None, "round 1 may have begun at any time");
        borrowing.heard(&beat(3, 2, 2, 0), true, &mut fresh, Instant(30));
        assert_eq!(fresh, Some(Fresh { since: Instant(10), index: Index(2) }));
    }

    #[test]
    fn the_first_answer_to_a_round_counts_also_after_another_role() {
        let (mut answered, mut fresh) = (Answered::default(), None);
        let mut heard = |borrowing: &mut Borrowing, term, beat: &Beat, now| {
            let is_new = answered.is_new(Term(term), beat.round);
            borrowing.heard(beat, is_new, &mut fresh, Instant(now));
        };
        let mut borrowing = Borrowing::default();
        heard(&mut borrowing, 1, &beat(5, 0, 0, 0), 10);
        // It was a pre-candidate meanwhile, and knows nothing of its answers.
        let mut borrowing = Borrowing::default();
        heard(&mut borrowing, 1, &beat(5, 0, 0, 0), 50);
        heard(&mut borrowing, 1, &beat(6, 0, 5, 100), 60);
        assert!(!borrowing.holds(Instant(60)), "the loan counts from 10 on, or not at all");
        heard(&mut borrowing, 1, &beat(7, 6, 6, 100), 70);
        assert!(borrowing.holds(Instant(159)) && !borrowing.holds(Instant(160)));
        let mut borrowing = Borrowing::default();
        heard(&mut borrowing, 2, &beat(1, 0, 0, 0), 80);
        heard(&mut borrowing, 2, &beat(2, 0, 1, 100), 90);
        assert!(borrowing.holds(Instant(179)), "another term has rounds of its own");
        assert_eq!(fresh, None, "which answer round 6 began after, nobody knows");
    }
}
