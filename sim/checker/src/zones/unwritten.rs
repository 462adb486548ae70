//! Finds a read of a value that no operations can have made, whichever of them took effect, in
//! whatever order. It does not matter which of several operations with one value made it.

use std::borrow::Cow;

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

use crate::value::{Value, ValueId};
use crate::zones::call::{Action, BEFORE, Call, Time};
use crate::zones::conflict::{CallId, Conflict, Violation};

/// The maximum number of texts that are looked up in total.
const STEPS_MAX: usize = 4_000_000;

/// The first invocation of an operation with each text.
type Texts<'a> = HashMap<Cow<'a, str>, Time, FixedState>;

/// The values that a register with appends may have.
struct Sources<'a> {
    /// The values that were written or present initially, each with the time at which it first was.
    values: HashMap<ValueId, Time, FixedState>,
    /// The texts of these values, and the appended texts.
    first: Texts<'a>,
    appended: Texts<'a>,
}

impl<'a> Sources<'a> {
    fn of(calls: &[Call], init: ValueId, data: &'a [Value]) -> Sources<'a> {
        let mut sources = Sources {
            values: HashMap::default(),
            first: Texts::default(),
            appended: Texts::default(),
        };
        let mut write = |value: ValueId, at: Time| {
            sources.values.entry(value).or_insert(at);
            sources.first.entry(data[value.0 as usize].text()).or_insert(at);
        };
        write(init, BEFORE);
        for call in calls {
            match call.action {
                Action::Write(value) | Action::CompareAndSet { to: value, .. } => {
                    write(value, call.invoked);
                }
                Action::Append(more) => {
                    sources.appended.entry(data[more.0 as usize].text()).or_insert(call.invoked);
                }
                Action::Read(_) | Action::FailedCas { .. } | Action::FailedCasFound { .. } => {}
            }
        }
        sources
    }

    /// Returns true if the value may be made of operations that were invoked before `returned`, or
    /// if more than `steps` texts would have to be looked up.
    fn make(&self, value: ValueId, data: &[Value], returned: Time, steps: &mut usize) -> bool {
        if self.values.get(&value).is_some_and(|invoked| *invoked < returned) {
            return true;
        }
        let Value::Text(text) = &data[value.0 as usize] else { return false };
        let before = |texts: &Texts<'_>| texts.get("").is_some_and(|invoked| *invoked < returned);
        if text.is_empty() {
            // An empty text was appended to null, or to an empty text.
            return before(&self.first) && before(&self.appended);
        }
        let mut reached = vec![false; text.len() + 1];
        for from in 0..text.len() {
            let texts = match from {
                0 => &self.first,
                _ if reached[from] => &self.appended,
                _ => continue,
            };
            // An empty text that was written is followed by appended ones.
            let empty = from == 0 && before(texts);
            for texts in std::iter::once(texts).chain(empty.then_some(&self.appended)) {
                let Some(left) = steps.checked_sub(texts.len()) else { return true };
                *steps = left;
                for (part, invoked) in texts {
                    if *invoked < returned && text[from..].starts_with(&**part) {
                        reached[from + part.len()] = true;
                    }
                }
            }
        }
        reached[text.len()]
    }
}

/// Returns the violation of a read that observed a value which no operations made.
pub(crate) fn unwritten(calls: &[Call], init: ValueId, data: &[Value]) -> Option<Violation> {
    let sources = Sources::of(calls, init, data);
    let mut seen: HashSet<ValueId, FixedState> = HashSet::default();
    let mut steps = STEPS_MAX;
    for (id, call) in (0..).zip(calls) {
        // Most later reads of the same value also returned later, so they show no more.
        let Action::Read(value) = call.action else { continue };
        if !call.is_known() || !seen.insert(value) {
            continue;
        }
        if !sources.make(value, data, call.returned, &mut steps) {
            let is_never = !sources.make(value, data, Time::MAX, &mut steps);
            let conflict = if is_never { Conflict::Unwritten(id) } else { Conflict::Other };
            let others = (0..).zip(calls);
            let writes = others.filter(|(_, call)| !matches!(call.action, Action::Read(_)));
            let related: Vec<CallId> = writes.map(|(id, _)| id).collect();
            return Some(Violation { conflict, known: vec![id], related });
        }
    }
    None
}
