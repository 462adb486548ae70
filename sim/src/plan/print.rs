//! Prints a plan as scenario lines, one for each operation.

use std::fmt;
use std::time::Duration;

use crate::plan::{
    KeptWrites, Op, Plan, ScriptedRequest, TriggerCondition, UNTIL_STABILIZATION, Verb, When,
};
use crate::time::SimTime;
use crate::words::Exact;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ops.iter().try_for_each(|op| writeln!(f, "{op}"))
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (When::At(time), Verb::Request(request @ ScriptedRequest { expected: true, .. })) =
            (self.when, &self.verb)
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

/// A named number, its value and its default; it prints as ` name=value`, or as nothing if the
/// value is the default.
struct NamedNumber(&'static str, u32, u32);

impl fmt::Display for NamedNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NamedNumber(name, number, default) = self;
        if number == default { Ok(()) } else { write!(f, " {name}={number}") }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = |count: &u32| NamedNumber("count", *count, 1);
        match self {
            Verb::Crash(node, KeptWrites::None, _) => write!(f, "crash {node}")?,
            Verb::Crash(node, keep, _) => write!(f, "crash {node} keep={keep}")?,
            Verb::Wipe(node, _) => write!(f, "wipe {node}")?,
            Verb::RollBack(node, age, _) => write!(f, "roll back {node} by {}", Exact(*age))?,
            Verb::Stop(node, _) => write!(f, "stop {node}")?,
            Verb::LoadSpike(node, count) => write!(f, "load spike {node}{}", counted(count))?,
            Verb::PollReads(node, period, _) => {
                write!(f, "poll reads {node} every {}", Exact(*period))?;
            }
            Verb::Pause(node, _) => write!(f, "pause {node}")?,
            Verb::Isolate(node, _) => write!(f, "isolate {node}")?,
            Verb::BlockInbound(node, _) => write!(f, "block inbound {node}")?,
            Verb::BlockOutbound(node, _) => write!(f, "block outbound {node}")?,
            Verb::Strand(node, with, _) => write!(f, "strand {node} with {with}")?,
            Verb::Cut(from, to, _) => write!(f, "cut {from} -> {to}")?,
            Verb::Split(side, _) => {
                f.write_str("split")?;
                side.iter().try_for_each(|node| write!(f, " {node}"))?;
            }
            Verb::Only(links, _) => {
                f.write_str("only")?;
                links.iter().try_for_each(|(one, other)| write!(f, " {one}-{other}"))?;
            }
            Verb::Flap(one, other, period, _) => {
                write!(f, "flap {one}-{other} every {}", Exact(*period))?;
            }
            Verb::Clog(node, _) => write!(f, "clog {node}")?,
            Verb::ClockDrift(node, ppm, _) => write!(f, "clock drift {node} {ppm:+}ppm")?,
            Verb::ClockStep(node, by) => write!(f, "clock step {node} by {}", Exact(*by))?,
            Verb::SlowDisk(node, by, _) => write!(f, "slow disk {node} by {}", Exact(*by))?,
            Verb::SlowApply(node, by, _) => write!(f, "slow apply {node} by {}", Exact(*by))?,
            Verb::Misroute(node, count) => write!(f, "misroute {node}{}", counted(count))?,
            Verb::Replay(node, count) => write!(f, "replay {node}{}", counted(count))?,
            Verb::Campaign(node) => write!(f, "campaign {node}")?,
            Verb::FailCall(node, call, after, sectors) => {
                let (after, sectors) =
                    (NamedNumber("after", *after, 0), NamedNumber("sectors", *sectors, 0));
                write!(f, "fail {call} {node}{after}{sectors}")?;
            }
            Verb::FillDisk(node, room, _) => {
                write!(f, "fill disk {node}{}", NamedNumber("room", *room, 0))?
            }
            Verb::StallDisk(node, _) => write!(f, "stall disk {node}")?,
            Verb::Corrupt(node, region) => write!(f, "corrupt {region} {node}")?,
            Verb::MisdirectWrite(node, region, after) => {
                write!(f, "misdirect write {node} to {region}{}", NamedNumber("after", *after, 0))?;
            }
            Verb::LoseWrite(node, after) => {
                write!(f, "lose write {node}{}", NamedNumber("after", *after, 0))?;
            }
            Verb::Change(node, change) => write!(f, "change {node} {change}")?,
            Verb::CancelChange(node) => write!(f, "cancel change {node}")?,
            Verb::Transfer(node, Some(to)) => write!(f, "transfer {node} to {to}")?,
            Verb::Transfer(node, None) => write!(f, "transfer {node}")?,
            Verb::MachineFault(node, fault) => write!(f, "machine fault {node} {fault}")?,
            Verb::Request(request) => write!(f, "{request}")?,
        }
        match self.duration() {
            Some(duration) if duration < UNTIL_STABILIZATION => {
                write!(f, " for {}", Exact(duration))
            }
            _ => Ok(()),
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

    use crate::plan::{Call, NodeSelector, Region, Trigger};

    use super::*;

    #[test]
    fn operations_print_as_scenario_lines() {
        let n = NodeId;
        let ms = Duration::from_millis;
        let at = |millis| When::At(SimTime::default().after(ms(millis)));
        let [from, to] = [1_200, 3_000].map(|millis| SimTime::default().after(ms(millis)));
        let vote = TriggerCondition::next(Trigger::SubmitsVote, from, to);
        let vote = When::On(TriggerCondition { node: Some(n(3)), ..vote });
        let lines = [
            (at(1_850), Verb::Isolate(NodeSelector::Node(n(1)), ms(600))),
            (vote, Verb::Crash(NodeSelector::Node(n(3)), KeptWrites::None, ms(90))),
            (at(20), Verb::Cut(NodeSelector::Leader, NodeSelector::Node(n(4)), ms(1))),
            (at(20), Verb::Only(vec![(n(1), n(2)), (n(2), n(3))], ms(5))),
            (at(20), Verb::ClockDrift(NodeSelector::Node(n(2)), -500, ms(5))),
            (at(20), Verb::FailCall(NodeSelector::It, Call::Flush, 0, 3)),
            (at(20), Verb::FailCall(NodeSelector::Leader, Call::FlushDirectory, 2, 0)),
            (at(20), Verb::FillDisk(NodeSelector::Node(n(2)), 4096, ms(900))),
            (at(20), Verb::StallDisk(NodeSelector::Node(n(2)), UNTIL_STABILIZATION)),
            (at(20), Verb::Corrupt(NodeSelector::Node(n(2)), Region::Headers)),
            (at(20), Verb::MisdirectWrite(NodeSelector::Node(n(2)), Region::Superblock, 1)),
            (at(20), Verb::LoseWrite(NodeSelector::Node(n(2)), 0)),
            (at(20), Verb::Change(NodeSelector::Leader, Change::new().voter(n(4)).remove(n(2)))),
            (at(20), Verb::Transfer(NodeSelector::It, Some(n(3)))),
        ]
        .map(|(when, verb)| Op { when, verb }.to_string());
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
