//! Prints a plan as scenario lines, one for each operation.

use std::fmt;
use std::time::Duration;

use crate::faults::{ScriptedRequest, UNTIL_STABILIZATION, Verb};
use crate::plan::{Op, Plan, TriggerCondition, When};
use crate::values::time::SimTime;
use crate::values::words::Exact;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ops.iter().try_for_each(|op| writeln!(f, "{op}"))
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (
            When::At(time),
            Verb::ScriptedRequest(request @ ScriptedRequest { expected: true, .. }),
        ) = (self.when, &self.verb)
        {
            return write!(f, "expect {request} at {}", instant(time));
        }
        let comma = if matches!(self.when, When::At(_)) { "" } else { "," };
        write!(f, "{}{comma} {}", self.when, self.verb)
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            When::At(time) => write!(f, "at {}", instant(time)),
            When::On(TriggerCondition { trigger, node, from, to, nth, times, delay }) => {
                if from > SimTime::default() {
                    write!(f, "from {} ", instant(from))?;
                }
                if to < SimTime::default().after(UNTIL_STABILIZATION) {
                    write!(f, "to {} ", instant(to))?;
                }
                f.write_str(if times > 1 { "whenever " } else { "when " })?;
                match node {
                    Some(node) => write!(f, "{node} {}", trigger.name())?,
                    None => write!(f, "any {}", trigger.name())?,
                }
                if nth > 1 {
                    write!(f, " nth={nth}")?;
                }
                if times > 1 && times < u32::MAX {
                    write!(f, " times={times}")?;
                }
                match delay {
                    Duration::ZERO => Ok(()),
                    delay => write!(f, " delay {}", Exact(delay)),
                }
            }
        }
    }
}

/// A time, printed as the duration from the start of the run.
fn instant(time: SimTime) -> Exact {
    Exact(Duration::from_nanos(time.0))
}

#[cfg(test)]
mod tests {
    use quorate::types::NodeId;

    use crate::faults::{Call, FailedCall, Flap, NodeSelector, OneWay, Rollback};
    use crate::plan::Trigger;

    use super::*;

    #[test]
    fn operations_print_as_scenario_lines() {
        let ms = Duration::from_millis;
        let [from, to] = [1_200, 3_000].map(|millis| SimTime::default().after(ms(millis)));
        let vote = TriggerCondition::next(Trigger::SubmitsVote, from, to);
        let vote = When::On(TriggerCondition { node: Some(NodeId(3)), ..vote });
        let at = When::At(from);
        let (leader, n4) = (NodeSelector::Leader, NodeSelector::Node(NodeId(4)));
        let call = Call::FlushDirectory;
        let lines: [(When, Verb, &str); 5] = [
            (
                vote,
                OneWay::Cut(leader, n4, ms(90)).into(),
                "from 1.2s to 3s when n3 submits vote, cut leader -> n4 for 90ms",
            ),
            (
                at,
                FailedCall { node: n4, call, after: 2, sectors: 3 }.into(),
                "at 1.2s fail directory flush n4 after=2 sectors=3",
            ),
            (
                at,
                FailedCall { node: n4, call: Call::Read, after: 0, sectors: 0 }.into(),
                "at 1.2s fail read n4",
            ),
            (
                at,
                Rollback { node: leader, age: ms(5), down: ms(7) }.into(),
                "at 1.2s roll back leader by 5ms for 7ms",
            ),
            (
                at,
                Flap { ends: (n4, leader), period: ms(5), duration: UNTIL_STABILIZATION }.into(),
                "at 1.2s flap n4-leader every 5ms",
            ),
        ];
        for (when, verb, line) in lines {
            assert_eq!(Op { when, verb }.to_string(), line);
        }
    }
}
