//! Minimal counterexamples of the near-linear checks, and the sentences that explain them.

use crate::budget::StopCheck;
use crate::history::OpId;
use crate::value::ValueId;
use crate::verdict::{Counterexample, Verdict};
use crate::zones::call::{Action, Call, Calls};
use crate::zones::conflict::{CallId, Conflict, Extremes, Violation, ZoneResult};

/// The maximum number of characters of a value in a sentence.
const TEXT_MAX: usize = 60;

/// The names of the operations of a register.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpNames {
    pub(crate) read: &'static str,
    pub(crate) write: &'static str,
}

/// Returns the verdict of `decide` on `calls`, or `None` if they are ambiguous. The counterexample
/// is not minimal if `stop` ends the search for a smaller one.
pub(crate) fn verdict(
    calls: &Calls,
    names: OpNames,
    describe: &dyn Fn(ValueId) -> String,
    stop: &StopCheck<'_>,
    decide: impl Fn(&[Call]) -> ZoneResult,
) -> Option<Verdict> {
    let violation = match decide(&calls.list) {
        ZoneResult::Linearizable => return Some(Verdict::Linearizable),
        ZoneResult::Ambiguous => return None,
        ZoneResult::NotLinearizable(violation) => violation,
    };
    let proof = Proof::of(&calls.list, violation, stop, &decide);
    let text =
        ConflictText { calls: &proof.calls, ids: &calls.ids, proof: &proof, names, describe };
    let operations = proof.known.iter().map(|id| calls.ids[*id as usize]).collect();
    let reason = text.reason();
    Some(Verdict::NotLinearizable(Counterexample { operations, reason, minimal: proof.is_minimal }))
}

/// Some calls of a history that prove that it is not linearizable.
#[derive(Debug)]
struct Proof {
    /// The calls that the proof needs. Those outside `known` have unknown outcomes.
    calls: Vec<Call>,
    /// The position of each call in the history.
    places: Vec<CallId>,
    /// The positions in the history of the calls whose outcomes prove the violation, in order.
    known: Vec<CallId>,
    conflict: Conflict,
    is_minimal: bool,
}

/// The result of checking some calls of a history.
enum ProofCheck {
    Proves(Proof),
    Linearizable,
    Ambiguous,
}

impl Proof {
    /// Reduces the calls of `violation` until none of them can be left out.
    fn of(
        calls: &[Call],
        violation: Violation,
        stop: &StopCheck<'_>,
        decide: &impl Fn(&[Call]) -> ZoneResult,
    ) -> Proof {
        let mut known = violation.known;
        known.sort_unstable();
        known.dedup();
        let mut related = violation.related;
        related.extend(&known);
        let ProofCheck::Proves(mut proof) = Proof::check(calls, &known, &related, decide) else {
            return Proof::of_all(calls, violation.conflict);
        };
        for id in known {
            if stop.is_stopped_after(related.len()) {
                return Proof { is_minimal: false, ..proof };
            }
            let fewer: Vec<CallId> =
                proof.known.iter().copied().filter(|other| *other != id).collect();
            match Proof::check(calls, &fewer, &related, decide) {
                ProofCheck::Proves(smaller) => {
                    proof = Proof { is_minimal: proof.is_minimal, ..smaller }
                }
                ProofCheck::Linearizable => {}
                ProofCheck::Ambiguous => proof.is_minimal = false,
            }
        }
        proof
    }

    /// Builds the proof that consists of all `calls`.
    fn of_all(calls: &[Call], conflict: Conflict) -> Proof {
        let places: Vec<CallId> = (0..).zip(calls).map(|(place, _)| place).collect();
        let known = (0..).zip(calls).filter(|(_, call)| call.is_known());
        let known = known.map(|(place, _): (CallId, _)| place).collect();
        Proof { calls: calls.to_vec(), places, known, conflict, is_minimal: false }
    }

    /// Checks the calls `known`, with unknown outcomes for those of `related`, and without all
    /// others.
    fn check(
        calls: &[Call],
        known: &[CallId],
        related: &[CallId],
        decide: &impl Fn(&[Call]) -> ZoneResult,
    ) -> ProofCheck {
        let mut places: Vec<CallId> = known.iter().chain(related).copied().collect();
        places.sort_unstable();
        places.dedup();
        let mut few: Vec<Call> = Vec::with_capacity(places.len());
        places.retain(|place| {
            let mut call = calls[*place as usize];
            if known.binary_search(place).is_err() {
                call = call.with_unknown_outcome();
            }
            let matters = call.is_known() || !matches!(call.action, Action::Read(_));
            if matters {
                few.push(call);
            }
            matters
        });
        match decide(&few) {
            ZoneResult::Linearizable => ProofCheck::Linearizable,
            ZoneResult::Ambiguous => ProofCheck::Ambiguous,
            ZoneResult::NotLinearizable(Violation { conflict, .. }) => ProofCheck::Proves(Proof {
                calls: few,
                places,
                known: known.to_vec(),
                conflict,
                is_minimal: true,
            }),
        }
    }
}

/// Formats the conflict of a proof.
struct ConflictText<'a> {
    calls: &'a [Call],
    ids: &'a [OpId],
    proof: &'a Proof,
    names: OpNames,
    describe: &'a dyn Fn(ValueId) -> String,
}

impl ConflictText<'_> {
    fn reason(&self) -> String {
        match self.proof.conflict {
            Conflict::Unwritten(call) => format!("{}, which no operation wrote", self.found(call)),
            Conflict::ReplacedTwice(one, other) => self.replaced_twice(one, other),
            Conflict::Cycle(call) => {
                format!("{}, which only its own write can have produced", self.found(call))
            }
            Conflict::WithinChain { early, late } => self.within_chain(early, late),
            Conflict::BetweenChains { one, other } => self.between_chains(&one, &other),
            Conflict::DivergentReads(one, other) => self.divergent_reads(one, other),
            Conflict::RepeatedAppend { read, append, other } => {
                self.repeated_append(read, append, other)
            }
            Conflict::Other => "no order explains these operations".to_owned(),
        }
    }

    /// Describes `value`, without its middle if it is long.
    fn value(&self, value: ValueId) -> String {
        let describe = (self.describe)(value);
        let count = describe.chars().count();
        if count <= TEXT_MAX {
            return describe;
        }
        let half = TEXT_MAX / 2;
        let end = describe.chars().skip(count - half);
        describe.chars().take(half).chain("…".chars()).chain(end).collect()
    }

    fn call(&self, id: CallId) -> &Call {
        &self.calls[id as usize]
    }

    /// Returns the name of a call: `read 17`.
    fn name(&self, id: CallId) -> String {
        let name = match self.call(id).action {
            Action::Read(_) => self.names.read,
            Action::Write(_) => self.names.write,
            Action::Append(_) => "append",
            Action::CompareAndSet { .. }
            | Action::FailedCas { .. }
            | Action::FailedCasFound { .. } => "cas",
        };
        let OpId(number) = self.ids[self.proof.places[id as usize] as usize];
        format!("{name} {number}")
    }

    /// Describes the value that a call observed: `read 17 returned 4`.
    fn found(&self, id: CallId) -> String {
        match self.call(id).action {
            Action::Read(value) => format!("{} returned {}", self.name(id), self.value(value)),
            Action::CompareAndSet { from: found, .. } | Action::FailedCasFound { found, .. } => {
                format!("{} found {}", self.name(id), self.value(found))
            }
            Action::Write(_) | Action::Append(_) | Action::FailedCas { .. } => self.name(id),
        }
    }

    /// Describes the value after a call: `read 17 returned 4`, `write 5 wrote 4`.
    fn left(&self, id: CallId) -> String {
        let name = self.name(id);
        match self.call(id).action {
            Action::Read(value) => format!("{name} returned {}", self.value(value)),
            Action::Write(value) => format!("{name} wrote {}", self.value(value)),
            Action::Append(value) => format!("{name} added {}", self.value(value)),
            Action::CompareAndSet { from, to } => {
                format!("{name} changed {} to {}", self.value(from), self.value(to))
            }
            Action::FailedCas { from, .. } => format!("{name} did not find {}", self.value(from)),
            Action::FailedCasFound { found, .. } => format!("{name} found {}", self.value(found)),
        }
    }

    fn divergent_reads(&self, one: CallId, other: CallId) -> String {
        format!(
            "{} and {}, but of two reads of a growing text one must be a prefix of the other",
            self.found(one),
            self.found(other)
        )
    }

    fn repeated_append(&self, read: CallId, append: CallId, other: CallId) -> String {
        let (found, append) = (self.found(read), self.name(append));
        match other == read {
            true => format!("{found}, which contains the text of {append} too often"),
            false => format!(
                "{found}, which contains the text of {append}, but {}, where it follows another \
                 text",
                self.found(other)
            ),
        }
    }

    fn replaced_twice(&self, one: CallId, other: CallId) -> String {
        format!(
            "{} and {}, but both replaced the same value, which was written only once",
            self.left(one),
            self.left(other)
        )
    }

    fn within_chain(&self, early: CallId, late: CallId) -> String {
        match (self.call(early).action, self.call(late).action) {
            (
                Action::Read(value) | Action::FailedCasFound { found: value, .. },
                Action::Write(wrote) | Action::CompareAndSet { to: wrote, .. },
            ) if value == wrote => {
                let early = self.found(early);
                format!("{early} before {}, which wrote it, was invoked", self.name(late))
            }
            _ => format!(
                "{} before {} was invoked, although {} must have taken effect first",
                match self.call(early).action {
                    Action::Read(_) | Action::FailedCasFound { .. } => self.found(early),
                    _ => format!("{} returned", self.name(early)),
                },
                self.name(late),
                self.name(late)
            ),
        }
    }

    /// Describes two values of which neither can come first.
    fn between_chains(&self, one: &Extremes, other: &Extremes) -> String {
        let (stale, newer) = match (one.returned, other.returned) {
            (_, None) => (other, one),
            _ => (one, other),
        };
        let late = stale.invoked;
        let (Some(early), began) = (newer.returned, newer.invoked) else {
            return format!("{} too late", self.left(late));
        };
        let late_name = self.name(late);
        let head = match self.call(early).action {
            Action::Read(_) | Action::FailedCasFound { .. } => {
                format!("{}, although {}", self.left(late), self.left(early))
            }
            _ => format!("{}, although {} returned", self.left(late), self.name(early)),
        };
        let Some(first) = stale.returned else {
            return format!("{head} before {late_name} was invoked");
        };
        let first = self.name(first);
        if began == early {
            return format!("{head} before {late_name} was invoked and after {first}");
        }
        format!("{head} before {late_name} was invoked, and {} after {first} returned", {
            match self.call(began).action {
                Action::Read(_) | Action::FailedCasFound { .. } => {
                    format!("{}, invoked", self.left(began))
                }
                _ => format!("{} was invoked", self.name(began)),
            }
        })
    }
}
