//! The list of checks, by number and name, and what one of them says when it is broken.

use std::panic::Location;

use crate::observe::{Violation, in_one_line};
use crate::time::SimTime;

/// One check: its number in the list of invariants, its name, and what must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// `S1`, `L3` for one about progress, or `U1` for what is the user's to say.
    pub number: &'static str,
    /// `election-safety`.
    pub name: &'static str,
    /// What must hold, in one sentence.
    pub holds: &'static str,
}

/// A check that is broken, and what it saw.
#[derive(Debug)]
pub(crate) struct Finding {
    check: &'static Check,
    saw: String,
    /// Where it is said in the sources.
    place: &'static Location<'static>,
}

/// What each check answers.
pub(crate) type Verdict<T = ()> = Result<T, Finding>;

impl Check {
    const fn new(number: &'static str, name: &'static str, holds: &'static str) -> Check {
        Check { number, name, holds }
    }

    /// The check is broken: it saw this.
    #[track_caller]
    pub(crate) fn broken<T>(&'static self, saw: String) -> Verdict<T> {
        Err(Finding { check: self, saw, place: Location::caller() })
    }

    /// What whoever watches is told who found it broken elsewhere than in a stream of events.
    #[track_caller]
    pub(crate) fn seen(&'static self, saw: String, at: SimTime) -> Violation {
        self.violation(saw, at, Location::caller())
    }

    fn violation(&self, saw: String, at: SimTime, place: &Location<'_>) -> Violation {
        let place = format!("{}:{}", place.file(), place.line());
        // A user's state machine may say what is wrong with it in several.
        let saw = in_one_line(&saw);
        Violation { number: self.number, check: self.name, saw, at, place }
    }
}

impl Finding {
    /// Whether it is this check that is broken.
    pub(crate) fn is(&self, check: &'static Check) -> bool {
        *self.check == *check
    }

    /// The finding with more to say.
    pub(crate) fn and(mut self, more: &str) -> Finding {
        self.saw.push_str(more);
        self
    }

    pub(crate) fn at(self, at: SimTime) -> Violation {
        self.check.violation(self.saw, at, self.place)
    }
}

macro_rules! checks {
    ($($id:ident $name:literal $holds:literal)*) => {
        $(pub(crate) static $id: Check = Check::new(stringify!($id), $name, $holds);)*

        /// Every check, in the order of the list of invariants.
        pub static CHECKS: &[&Check] = &[$(&$id),*];
    };
}

checks! {
    S1 "election-safety" "A term has at most one leadership, over the whole run."
    S2 "election-certificate" "A leader's term has durable votes of a quorum for it."
    S3 "one-vote" "No node makes durable, or sends, votes for two candidates in one term."
    S4 "vote-before-grant" "A vote is durable before it is sent, asked for or counted."
    S5 "term-before-reply" "The term of a reply is durable at its sender."
    S6 "append-before-ack" "What is acknowledged is durable, and equal to the leader's log."
    S7 "term-monotonic" "A term never falls, on disk or in memory, nor behind the disk's."
    S8 "log-matching" "Entries of one id have one content and one prefix, and come from the leader."
    S9 "leader-append-only" "A leader never cuts or rewrites its own log."
    S10 "leader-completeness" "Every leader's log has what earlier terms committed."
    S11 "state-machine-safety" "No two nodes commit or apply different entries at an index."
    S12 "commit-is-durable" "What is first committed is durable on a quorum."
    S13 "own-term-commit" "A leader commits by counting only in its own term."
    S14 "commit-monotonic" "A node's commit index never falls while it runs."
    S15 "applied-in-order" "Each entry is applied in order, once, after its commit."
    S16 "commit-survives" "After a restart, the commit index is no less than the disk says."
    S17 "memory-equals-disk" "What a node believes of its disk is so, and all of it once written."
    S18 "acknowledged-stays" "An acknowledged command is where it was said to be, for ever."
    S19 "exactly-once" "A command is carried out at most once, and has one outcome and reply."
    S20 "linearizable" "Reads and writes take effect between their call and their return."
    S21 "lease-safety" "Who answers by a lease or a loan has all that may change the answer."
    S22 "membership-steps" "A node goes by the last membership in its log; each is one step on."
    S23 "only-voters-count" "No quorum needs anybody without a vote."
    S24 "lost-disk" "A disk in the place of a lost one decides nothing before it is let in."
    S25 "snapshot-coherent" "A snapshot is of the committed log, and equal wherever it ends alike."
    S26 "state-equality" "The same log leads to the same replies, answers and states."
    S27 "starts-again" "A node starts from its disk, unless that was damaged."
    S28 "fail-stop" "After its disk failed, a node says and writes nothing more."
    S29 "bounded" "No queue and no message exceeds its bound."
    S30 "quiet" "A cluster of which nothing is asked says little and elects nobody."
    S31 "state-validation" "Who is wrong finds out, alone, and says nothing until it is right."
    S33 "all-live" "What is answered for all live voters is on the disk of each of them."
    S34 "stays-up" "A node stops by itself only over a failed or damaged disk, or another's log."
    L1 "progress" "After the storm, the core commits, serves reads and does as it is told."
    U1 "user-model" "The user's workload finds no reply, answer or state wrong."
    L2 "answered" "After the storm, what a core node was asked is answered within a bound."
    L3 "churn" "After the storm, few elections are won."
    L4 "outsiders" "After the storm, nobody outside the core raises its term."
    L5 "caught-up" "After the storm, who starts has all that was committed within a bound."
    L6 "dismissed" "Who knows that it has no vote does not stand for election."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_said_in_one_line() {
        let seen = U1.seen("not what it was\r\n  - 1\n\n  + 2\r".to_owned(), SimTime(0));
        assert_eq!(seen.saw, "not what it was; - 1; + 2");
    }
}
