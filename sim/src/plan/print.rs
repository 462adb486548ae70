//! How a plan reads: one line for each operation.

use std::fmt;
use std::time::Duration;

use crate::plan::{Errand, FOREVER, Keep, Occasion, Op, Plan, Verb, When};
use crate::time::SimTime;
use crate::words::Exact;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ops.iter().try_for_each(|op| writeln!(f, "{op}"))
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (When::At(time), Verb::Ask(errand @ Errand { expected: true, .. })) =
            (self.when, &self.verb)
        {
            return write!(f, "expect {errand} at {}", instant(time));
        }
        let comma = if matches!(self.when, When::At(_)) { "" } else { "," };
        write!(f, "{}{comma} {}", self.when, self.verb)
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            When::At(time) => write!(f, "at {}", instant(time)),
            When::On(Occasion { trigger, by, from, to, nth, times, later }) => {
                if from > SimTime::default() {
                    write!(f, "from {} ", instant(from))?;
                }
                if to < SimTime::default().after(FOREVER) {
                    write!(f, "to {} ", instant(to))?;
                }
                f.write_str(if times > 1 { "whenever " } else { "when " })?;
                match by {
                    Some(node) => write!(f, "{node} {trigger}")?,
                    None => write!(f, "any {trigger}")?,
                }
                if nth > 1 {
                    write!(f, " nth={nth}")?;
                }
                if times > 1 && times < u32::MAX {
                    write!(f, " times={times}")?;
                }
                match later {
                    Duration::ZERO => Ok(()),
                    later => write!(f, " later {}", Exact(later)),
                }
            }
        }
    }
}

/// A number with its name, unless it is what it is where nothing is said.
struct Given(&'static str, u32, u32);

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Given(name, number, plain) = self;
        if number == plain { Ok(()) } else { write!(f, " {name}={number}") }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verb::Crash(who, Keep::None, _) => write!(f, "crash {who}")?,
            Verb::Crash(who, keep, _) => write!(f, "crash {who} keep={keep}")?,
            Verb::Wipe(who, _) => write!(f, "wipe {who}")?,
            Verb::Rollback(who, age, _) => write!(f, "roll back {who} by {}", Exact(*age))?,
            Verb::Stop(who, _) => write!(f, "stop {who}")?,
            Verb::Surge(who, count) => write!(f, "surge {who}{}", Given("count", *count, 1))?,
            Verb::Consult(who, period, _) => {
                write!(f, "consult {who} every {}", Exact(*period))?;
            }
            Verb::Pause(who, _) => write!(f, "pause {who}")?,
            Verb::Isolate(who, _) => write!(f, "isolate {who}")?,
            Verb::Deafen(who, _) => write!(f, "deafen {who}")?,
            Verb::Mute(who, _) => write!(f, "mute {who}")?,
            Verb::Strand(who, with, _) => write!(f, "strand {who} with {with}")?,
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
            Verb::Clog(who, _) => write!(f, "clog {who}")?,
            Verb::Drift(who, ppm, _) => write!(f, "drift {who} {ppm:+}ppm")?,
            Verb::Jump(who, by) => write!(f, "jump {who} by {}", Exact(*by))?,
            Verb::SlowDisk(who, by, _) => write!(f, "slow disk {who} by {}", Exact(*by))?,
            Verb::SlowApply(who, by, _) => write!(f, "slow apply {who} by {}", Exact(*by))?,
            Verb::Stray(who, count) => write!(f, "stray {who}{}", Given("count", *count, 1))?,
            Verb::Replay(who, count) => write!(f, "replay {who}{}", Given("count", *count, 1))?,
            Verb::Campaign(who) => write!(f, "campaign {who}")?,
            Verb::Fail(who, call, after, sectors) => {
                let (after, sectors) = (Given("after", *after, 0), Given("sectors", *sectors, 0));
                write!(f, "fail {call} {who}{after}{sectors}")?;
            }
            Verb::Fill(who, room, _) => write!(f, "fill disk {who}{}", Given("room", *room, 0))?,
            Verb::Stall(who, _) => write!(f, "stall disk {who}")?,
            Verb::Rot(who, region) => write!(f, "rot {region} {who}")?,
            Verb::Misdirect(who, region, after) => {
                write!(f, "misdirect write {who} to {region}{}", Given("after", *after, 0))?;
            }
            Verb::LoseWrite(who, after) => {
                write!(f, "lose write {who}{}", Given("after", *after, 0))?;
            }
            Verb::Change(who, change) => write!(f, "change {who} {change}")?,
            Verb::GiveUp(who) => write!(f, "give up change {who}")?,
            Verb::Transfer(who, Some(to)) => write!(f, "transfer {who} to {to}")?,
            Verb::Transfer(who, None) => write!(f, "transfer {who}")?,
            Verb::Slip(who, slip) => write!(f, "slip {who} {slip}")?,
            Verb::Ask(errand) => write!(f, "{errand}")?,
        }
        match self.lasting() {
            Some(lasting) if lasting < FOREVER => write!(f, " for {}", Exact(lasting)),
            _ => Ok(()),
        }
    }
}

/// A time as the span from the start of the run to it.
fn instant(time: SimTime) -> Exact {
    Exact(Duration::from_nanos(time.0))
}

#[cfg(test)]
mod tests {
    use quorate::types::{Change, NodeId};

    use crate::plan::{Call, Region, Trigger, Who};

    use super::*;

    #[test]
    fn operations_read_like_sentences() {
        let n = NodeId;
        let ms = Duration::from_millis;
        let at = |millis| When::At(SimTime::default().after(ms(millis)));
        let [from, to] = [1_200, 3_000].map(|millis| SimTime::default().after(ms(millis)));
        let vote = Occasion::next(Trigger::SubmitsVote, from, to);
        let vote = When::On(Occasion { by: Some(n(3)), ..vote });
        let lines = [
            (at(1_850), Verb::Isolate(Who::Node(n(1)), ms(600))),
            (vote, Verb::Crash(Who::Node(n(3)), Keep::None, ms(90))),
            (at(20), Verb::Cut(Who::Leader, Who::Node(n(4)), ms(1))),
            (at(20), Verb::Only(vec![(n(1), n(2)), (n(2), n(3))], ms(5))),
            (at(20), Verb::Drift(Who::Node(n(2)), -500, ms(5))),
            (at(20), Verb::Fail(Who::It, Call::Flush, 0, 3)),
            (at(20), Verb::Fail(Who::Leader, Call::FlushDirectory, 2, 0)),
            (at(20), Verb::Fill(Who::Node(n(2)), 4096, ms(900))),
            (at(20), Verb::Stall(Who::Node(n(2)), FOREVER)),
            (at(20), Verb::Rot(Who::Node(n(2)), Region::Headers)),
            (at(20), Verb::Misdirect(Who::Node(n(2)), Region::Superblock, 1)),
            (at(20), Verb::LoseWrite(Who::Node(n(2)), 0)),
            (at(20), Verb::Change(Who::Leader, Change::new().voter(n(4)).remove(n(2)))),
            (at(20), Verb::Transfer(Who::It, Some(n(3)))),
        ]
        .map(|(when, verb)| Op { when, verb }.to_string());
        assert_eq!(
            lines,
            [
                "at 1.85s isolate n1 for 600ms",
                "from 1.2s to 3s when n3 submits vote, crash n3 for 90ms",
                "at 20ms cut leader -> n4 for 1ms",
                "at 20ms only n1-n2 n2-n3 for 5ms",
                "at 20ms drift n2 -500ppm for 5ms",
                "at 20ms fail flush it sectors=3",
                "at 20ms fail directory flush leader after=2",
                "at 20ms fill disk n2 room=4096 for 900ms",
                "at 20ms stall disk n2",
                "at 20ms rot headers n2",
                "at 20ms misdirect write n2 to superblock after=1",
                "at 20ms lose write n2",
                "at 20ms change leader +n4 -n2",
                "at 20ms transfer it to n3",
            ]
        );
    }
}
