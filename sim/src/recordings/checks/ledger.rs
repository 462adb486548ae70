//! The results of the checks: which facts were decided, which were not, and why not.

use std::collections::BTreeMap;
use std::panic::Location;

use crate::check::Check;
use crate::observe::Violation;
use crate::values::time::SimTime;

/// The result of one check over recordings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedRecordings {
    /// The invariant that was checked.
    pub check: &'static Check,
    /// The number of facts for which the invariant certainly holds.
    pub decided: u64,
    /// The number of facts that could not be decided, for each reason.
    pub undecided: BTreeMap<&'static str, u64>,
    /// The first fact that violates the invariant.
    pub violation: Option<Violation>,
    /// The reason why recordings can never decide this check, if there is one.
    pub beyond: Option<&'static str>,
}

impl CheckedRecordings {
    /// Whether the recordings have a fact that the check uses.
    #[must_use]
    pub fn is_seen(&self) -> bool {
        self.decided > 0 || !self.undecided.is_empty() || self.violation.is_some()
    }
}

/// The results so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    /// The time of the current event.
    pub(super) at: SimTime,
    /// The action of the current step that is being checked, by its position.
    pub(super) action: Option<usize>,
    /// The first violation of all checks.
    pub(super) first: Option<FirstViolation>,
    results: BTreeMap<&'static str, Counts>,
}

/// The first violation in recordings, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstViolation {
    /// The violated check, and how it is violated.
    pub violation: Violation,
    /// The action that violates the check, by its position in its step; `None` if it is the state
    /// after the step, or the input.
    pub action: Option<usize>,
}

#[derive(Clone, Debug, Default)]
struct Counts {
    decided: u64,
    undecided: BTreeMap<&'static str, u64>,
    violation: Option<Violation>,
}

impl Ledger {
    /// Notes a fact for which the invariant holds.
    pub(super) fn holds(&mut self, check: &'static Check) {
        self.of(check).decided += 1;
    }

    /// Notes a fact that cannot be decided.
    pub(super) fn undecided(&mut self, check: &'static Check, why: &'static str) {
        *self.of(check).undecided.entry(why).or_default() += 1;
    }

    /// Notes a violation now. Only the first one of each check is kept.
    #[track_caller]
    pub(super) fn violated(&mut self, check: &'static Check, text: String) {
        let at = self.at;
        let violation = check.violation_from(text, at, Location::caller());
        let action = self.action;
        let first = || FirstViolation { violation: violation.clone(), action };
        self.first.get_or_insert_with(first);
        self.of(check).violation.get_or_insert(violation);
    }

    /// Notes that the invariant holds, or the violation.
    #[track_caller]
    pub(super) fn decide(&mut self, check: &'static Check, violation: Option<String>) {
        match violation {
            None => self.holds(check),
            Some(text) => self.violated(check, text),
        }
    }

    fn of(&mut self, check: &'static Check) -> &mut Counts {
        self.results.entry(check.id).or_default()
    }

    pub(super) fn take(&mut self, check: &'static Check) -> CheckedRecordings {
        let Counts { decided, undecided, violation } =
            self.results.remove(check.id).unwrap_or_default();
        let beyond = beyond_recordings(check);
        CheckedRecordings { check, decided, undecided, violation, beyond }
    }
}

/// Why recordings never decide a check.
fn beyond_recordings(check: &Check) -> Option<&'static str> {
    Some(match check.id {
        "S16" | "S27" | "S28" | "S36" => "recordings have no disks",
        "S19" | "S20" => "recordings have no clients",
        "S25" | "S26" | "S31" | "S37" | "S43" | "S53" | "S79" | "S83" | "S84" => {
            "recordings have no state machines or snapshots"
        }
        "S22" | "S23" | "S24" | "S38" => "only the simulator follows every membership and disk",
        "S29" | "S30" | "S33" | "S35" | "S39" | "S40" | "S41" | "S42" | "S44" | "S46" | "S47"
        | "S48" | "S49" | "S50" | "S51" | "S52" | "S54" | "S55" | "S56" | "S57" | "S58" | "S59"
        | "S60" | "S61" | "S62" | "S63" | "S64" | "S65" | "S66" | "S67" | "S68" | "S69" | "S70"
        | "S71" | "S72" | "S73" | "S74" | "S75" | "S76" | "S77" | "S78" | "S80" | "S81" | "S82"
        | "S85" | "S86" | "S87" => "only the simulator checks it",
        "S34" => "recordings have no stops",
        _ => return None,
    })
}
