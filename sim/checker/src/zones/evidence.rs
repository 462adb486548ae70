//! Few operations that prove a history wrong, and a sentence that says how.

use crate::history::OpId;
use crate::value::Value;
use crate::verdict::{Evidence, Verdict};
use crate::zones::call::{Call, Calls, What};
use crate::zones::finding::{CallId, Extremes, Finding, Why, Wrong};

/// The most characters of a value that a sentence has.
const WORDS_MAX: usize = 60;

/// How the operations of a register are called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names {
    pub(crate) read: &'static str,
    pub(crate) write: &'static str,
}

/// What `decide` says of `calls`, in words; nothing if they are ambiguous.
pub(crate) fn verdict(
    calls: &Calls,
    names: Names,
    words: &dyn Fn(Value) -> String,
    decide: impl Fn(&[Call]) -> Finding,
) -> Option<Verdict> {
    let wrong = match decide(&calls.list) {
        Finding::Linearizable => return Some(Verdict::Linearizable),
        Finding::Ambiguous => return None,
        Finding::Wrong(wrong) => wrong,
    };
    let proof = Proof::of(&calls.list, wrong, &decide);
    let tale = Tale { calls: &proof.calls, ids: &calls.ids, proof: &proof, names, words };
    let operations = proof.known.iter().map(|id| calls.ids[*id as usize]).collect();
    let because = tale.because();
    Some(Verdict::NotLinearizable(Evidence { operations, because, minimal: proof.is_minimal }))
}

/// Some calls of a history, which prove it wrong.
#[derive(Debug)]
struct Proof {
    /// The calls that it takes; the outcomes of those that are not in `known` are unknown.
    calls: Vec<Call>,
    /// The place of each of them in the history.
    places: Vec<CallId>,
    /// Places in the history: the calls whose outcomes prove it, in order.
    known: Vec<CallId>,
    why: Why,
    is_minimal: bool,
}

/// What some calls prove.
enum Tried {
    Wrong(Proof),
    Right,
    Ambiguous,
}

impl Proof {
    /// As few as there can be of the calls that `wrong` names: none of them can be left out.
    fn of(calls: &[Call], wrong: Wrong, decide: &impl Fn(&[Call]) -> Finding) -> Proof {
        let mut known = wrong.known;
        known.sort_unstable();
        known.dedup();
        let mut related = wrong.related;
        related.extend(&known);
        let Tried::Wrong(mut proof) = Proof::tried(calls, &known, &related, decide) else {
            return Proof::of_all(calls, wrong.why);
        };
        for id in known {
            let fewer: Vec<CallId> =
                proof.known.iter().copied().filter(|other| *other != id).collect();
            match Proof::tried(calls, &fewer, &related, decide) {
                Tried::Wrong(smaller) => proof = Proof { is_minimal: proof.is_minimal, ..smaller },
                Tried::Right => {}
                Tried::Ambiguous => proof.is_minimal = false,
            }
        }
        proof
    }

    /// All of `calls`.
    fn of_all(calls: &[Call], why: Why) -> Proof {
        let places: Vec<CallId> = (0..).zip(calls).map(|(place, _)| place).collect();
        let known = (0..).zip(calls).filter(|(_, call)| call.is_known());
        let known = known.map(|(place, _): (CallId, _)| place).collect();
        Proof { calls: calls.to_vec(), places, known, why, is_minimal: false }
    }

    /// The calls `known`, if they prove something wrong where the outcomes of `related` are
    /// unknown, and all others are left out.
    fn tried(
        calls: &[Call],
        known: &[CallId],
        related: &[CallId],
        decide: &impl Fn(&[Call]) -> Finding,
    ) -> Tried {
        let mut places: Vec<CallId> = known.iter().chain(related).copied().collect();
        places.sort_unstable();
        places.dedup();
        let mut few: Vec<Call> = Vec::with_capacity(places.len());
        places.retain(|place| {
            let mut call = calls[*place as usize];
            if known.binary_search(place).is_err() {
                call = call.forgotten();
            }
            let tells = call.is_known() || !matches!(call.what, What::Read(_));
            if tells {
                few.push(call);
            }
            tells
        });
        match decide(&few) {
            Finding::Linearizable => Tried::Right,
            Finding::Ambiguous => Tried::Ambiguous,
            Finding::Wrong(Wrong { why, .. }) => Tried::Wrong(Proof {
                calls: few,
                places,
                known: known.to_vec(),
                why,
                is_minimal: true,
            }),
        }
    }
}

/// Tells a proof.
struct Tale<'a> {
    calls: &'a [Call],
    ids: &'a [OpId],
    proof: &'a Proof,
    names: Names,
    words: &'a dyn Fn(Value) -> String,
}

impl Tale<'_> {
    fn because(&self) -> String {
        match self.proof.why {
            Why::Unwritten(call) => format!("{}, which nobody wrote", self.found(call)),
            Why::Twice(one, other) => self.twice(one, other),
            Why::Circle(call) => {
                format!("{}, which could only come from what it wrote itself", self.found(call))
            }
            Why::Inside { early, late } => self.inside(early, late),
            Why::Apart { one, other } => self.apart(&one, &other),
            Why::Disagree(one, other) => self.disagree(one, other),
            Why::Reused { read, append, other } => self.reused(read, append, other),
            Why::Somehow => "no order explains these operations".to_owned(),
        }
    }

    /// `value` in words, without its middle if it is long.
    fn value(&self, value: Value) -> String {
        let words = (self.words)(value);
        let count = words.chars().count();
        if count <= WORDS_MAX {
            return words;
        }
        let half = WORDS_MAX / 2;
        let end = words.chars().skip(count - half);
        words.chars().take(half).chain("…".chars()).chain(end).collect()
    }

    fn call(&self, id: CallId) -> &Call {
        &self.calls[id as usize]
    }

    /// `read 17`.
    fn name(&self, id: CallId) -> String {
        let name = match self.call(id).what {
            What::Read(_) => self.names.read,
            What::Write(_) => self.names.write,
            What::Append(_) => "append",
            What::Swap { .. } | What::Refused { .. } | What::Found { .. } => "cas",
        };
        let OpId(number) = self.ids[self.proof.places[id as usize] as usize];
        format!("{name} {number}")
    }

    /// What it saw: `read 17 returned 4`.
    fn found(&self, id: CallId) -> String {
        match self.call(id).what {
            What::Read(value) => format!("{} returned {}", self.name(id), self.value(value)),
            What::Swap { from: found, .. } | What::Found { found, .. } => {
                format!("{} found {}", self.name(id), self.value(found))
            }
            What::Write(_) | What::Append(_) | What::Refused { .. } => self.name(id),
        }
    }

    /// What the value was after it: `read 17 returned 4`, `write 5 wrote 4`.
    fn left(&self, id: CallId) -> String {
        let name = self.name(id);
        match self.call(id).what {
            What::Read(value) => format!("{name} returned {}", self.value(value)),
            What::Write(value) => format!("{name} wrote {}", self.value(value)),
            What::Append(value) => format!("{name} added {}", self.value(value)),
            What::Swap { from, to } => {
                format!("{name} changed {} to {}", self.value(from), self.value(to))
            }
            What::Refused { from, .. } => format!("{name} did not find {}", self.value(from)),
            What::Found { found, .. } => format!("{name} found {}", self.value(found)),
        }
    }

    fn disagree(&self, one: CallId, other: CallId) -> String {
        format!(
            "{} and {}, but of a text that only grows one must begin with the other",
            self.found(one),
            self.found(other)
        )
    }

    fn reused(&self, read: CallId, append: CallId, other: CallId) -> String {
        let (found, append) = (self.found(read), self.name(append));
        match other == read {
            true => format!("{found}, which has the text of {append} too often"),
            false => format!(
                "{found}, which has the text of {append}, but {} after another text",
                self.found(other)
            ),
        }
    }

    fn twice(&self, one: CallId, other: CallId) -> String {
        format!(
            "{} and {}, but both need the same value, written once, to have been changed",
            self.left(one),
            self.left(other)
        )
    }

    fn inside(&self, early: CallId, late: CallId) -> String {
        match (self.call(early).what, self.call(late).what) {
            (
                What::Read(value) | What::Found { found: value, .. },
                What::Write(wrote) | What::Swap { to: wrote, .. },
            ) if value == wrote => {
                let early = self.found(early);
                format!("{early} before {}, which wrote it, began", self.name(late))
            }
            _ => format!(
                "{} before {} began, although {} must have taken effect first",
                match self.call(early).what {
                    What::Read(_) | What::Found { .. } => self.found(early),
                    _ => format!("{} completed", self.name(early)),
                },
                self.name(late),
                self.name(late)
            ),
        }
    }

    /// Of two values, neither can be there before the other.
    fn apart(&self, one: &Extremes, other: &Extremes) -> String {
        let (stale, newer) = match (one.returned, other.returned) {
            (_, None) => (other, one),
            _ => (one, other),
        };
        let late = stale.invoked;
        let (Some(early), began) = (newer.returned, newer.invoked) else {
            return format!("{} too late", self.left(late));
        };
        let late_name = self.name(late);
        let head = match self.call(early).what {
            What::Read(_) | What::Found { .. } => {
                format!("{}, although {}", self.left(late), self.left(early))
            }
            _ => format!("{}, although {} completed", self.left(late), self.name(early)),
        };
        let Some(first) = stale.returned else {
            return format!("{head} before {late_name} began");
        };
        let first = self.name(first);
        if began == early {
            return format!("{head} before {late_name} began and after {first}");
        }
        format!("{head} before {late_name} began, and {} after {first} completed", {
            match self.call(began).what {
                What::Read(_) | What::Found { .. } => format!("{} was asked", self.left(began)),
                _ => format!("{} began", self.name(began)),
            }
        })
    }
}
