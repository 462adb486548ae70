//! Prints a plan as scenario lines, one for each operation.

use std::fmt;
use std::time::Duration;

use crate::faults::{ScriptedRequest, UNTIL_STABILIZATION, Verb};
use crate::plan::{Op, Plan, TriggerCondition, When};
use crate::time::SimTime;
use crate::words::Exact;

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
                    Some(node) => write!(f, "{node} {trigger}")?,
                    None => write!(f, "any {trigger}")?,
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
    use quorate::types::{Change, NodeId};

    use crate::faults::{
        BitRot, Bridge, Call, ClockDrift, Crash, FailedCall, FullDisk, KeptWrites, LostWrite,
        MembershipChange, MisdirectedWrite, NodeSelector, OneWay, Partition, Region, StalledDisk,
        Transfer,
    };
    use crate::plan::Trigger;

    use super::*;

    #[test]
    fn operations_print_as_scenario_lines() {
        let n = NodeId;
        let ms = Duration::from_millis;
        let at = |millis| When::At(SimTime::default().after(ms(millis)));
        let [from, to] = [1_200, 3_000].map(|millis| SimTime::default().after(ms(millis)));
        let vote = TriggerCondition::next(Trigger::SubmitsVote, from, to);
        let vote = When::On(TriggerCondition { node: Some(n(3)), ..vote });
        let [leader, it, n2] = [NodeSelector::Leader, NodeSelector::It, NodeSelector::Node(n(2))];
        let crash = Crash { node: NodeSelector::Node(n(3)), keep: KeptWrites::None, down: ms(90) };
        let flush = FailedCall { node: it, call: Call::Flush, after: 0, sectors: 3 };
        let of_directory =
            FailedCall { node: leader, call: Call::FlushDirectory, after: 2, sectors: 0 };
        let misdirected = MisdirectedWrite { node: n2, region: Region::Superblock, after: 1 };
        let change = Change::new().voter(n(4)).remove(n(2));
        let verbs: [Verb; 12] = [
            OneWay::Cut(leader, NodeSelector::Node(n(4)), ms(1)).into(),
            Bridge::Only(vec![(n(1), n(2)), (n(2), n(3))], ms(5)).into(),
            ClockDrift { node: n2, ppm: -500, duration: ms(5) }.into(),
            flush.into(),
            of_directory.into(),
            FullDisk { node: n2, room: 4096, duration: ms(900) }.into(),
            StalledDisk { node: n2, duration: UNTIL_STABILIZATION }.into(),
            BitRot { node: n2, region: Region::Headers }.into(),
            misdirected.into(),
            LostWrite { node: n2, after: 0 }.into(),
            MembershipChange::Change(leader, change).into(),
            Transfer { node: it, to: Some(n(3)) }.into(),
        ];
        let isolate = Partition::Isolate(NodeSelector::Node(n(1)), ms(600));
        let first = [(at(1_850), isolate.into()), (vote, crash.into())];
        let lines: Vec<String> = first
            .into_iter()
            .chain(verbs.map(|verb| (at(20), verb)))
            .map(|(when, verb)| Op { when, verb }.to_string())
            .collect();
        assert_eq!(
            lines,
            [
                "at 1.85s isolate n1 for 600ms",
                "from 1.2s to 3s when n3 submits vote, crash n3 for 90ms",
                "at 20ms cut leader -> n4 for 1ms",
                "at 20ms only n1-n2 n2-n3 for 5ms",
                "at 20ms clock drift n2 -500ppm for 5ms",
                "at 20ms fail flush it sectors=3",
                "at 20ms fail directory flush leader after=2",
                "at 20ms fill disk n2 room=4096 for 900ms",
                "at 20ms stall disk n2",
                "at 20ms corrupt headers n2",
                "at 20ms misdirect write n2 to superblock after=1",
                "at 20ms lose write n2",
                "at 20ms change leader +n4 -n2",
                "at 20ms transfer it to n3",
            ]
        );
    }
}
