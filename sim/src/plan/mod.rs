//! The plan of a run: every planned fault, timed or triggered, one per line.
//!
//! A plan is drawn from the seed before the run and printed as it is; taking a line out changes
//! no other.

mod draw;

use std::fmt;
use std::time::Duration;

use quorate::types::NodeId;

use crate::fault::Fault;
use crate::time::SimTime;

/// The planned operations of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The operations; their order does not matter.
    pub ops: Vec<Op>,
}

/// One planned operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Op {
    /// When it happens.
    pub when: When,
    /// What happens.
    pub verb: Verb,
}

/// When a planned operation happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At a time.
    At(SimTime),
    /// When a node does something.
    On {
        /// Not before this time.
        from: SimTime,
        /// Not after this time.
        to: SimTime,
        /// What a node does.
        trigger: Trigger,
        /// Which node; any, if none is named.
        by: Option<NodeId>,
        /// Fires at this match, from 1, and at the ones after it.
        nth: u32,
        /// How often it fires at most.
        times: u32,
        /// How long after the trigger it fires; at once, before the node does anything else, if
        /// zero.
        later: Duration,
    },
}

/// What a node does that a planned operation waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trigger {
    /// It has started again.
    Starts,
    /// It is about to give a write to its disk.
    AboutToSubmit,
    /// It has given a vote to its disk, and the vote is not durable yet.
    SubmitsVote,
    /// It has given entries to its disk, and they are not durable yet.
    SubmitsEntries,
    /// It has given a write to its disk that replaces entries there.
    CutsLog,
    /// A write of it is durable, and it has not heard of it.
    Flushes,
    /// It has given a granted vote, or an acknowledgement of entries, to the network.
    Promises,
    /// It has given a heartbeat to the network.
    Beats,
    /// It begins to lead.
    BecomesLeader,
    /// It begins to ask whether it would win.
    BecomesPreCandidate,
    /// It begins to campaign.
    BecomesCandidate,
    /// Its commit index rises.
    AdvancesCommit,
}

/// Whom an operation concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// This node.
    Node(NodeId),
    /// The node of the trigger.
    It,
    /// The node on the other side of what the trigger saw: whom it votes for, whose entries it
    /// takes; if there is none, the node of the trigger.
    Other,
    /// The leader with the highest term, if any node leads.
    Leader,
}

/// What a crash keeps of the writes that are not durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Nothing.
    None,
    /// A part of them that is chosen when it happens.
    Part,
    /// Everything.
    All,
}

/// What a planned operation does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    /// The node crashes, and starts again after a while.
    Crash(Who, Keep, Duration),
    /// The node does nothing for a while.
    Pause(Who, Duration),
    /// The node neither hears nor is heard.
    Isolate(Who, Duration),
    /// The node hears nobody, but is heard.
    Deafen(Who, Duration),
    /// The node hears, but is not heard.
    Mute(Who, Duration),
    /// The first node keeps its links with the second alone.
    Strand(Who, Who, Duration),
    /// What the first node sends does not reach the second.
    Cut(Who, Who, Duration),
    /// These nodes and the others do not hear one another.
    Split(Vec<Who>, Duration),
    /// Only these pairs hear one another.
    Only(Vec<(NodeId, NodeId)>, Duration),
    /// The link between the two goes down and up again, each time for the first duration.
    Flap(Who, Who, Duration, Duration),
    /// Nothing the node sends arrives until the end; then all of it does.
    Clog(Who, Duration),
    /// The node's clock runs fast by so many parts per million, or slow if negative.
    Drift(Who, i32, Duration),
    /// The node's clock jumps ahead by the duration.
    Jump(Who, Duration),
    /// Each of the node's flushes takes longer by the first duration.
    SlowDisk(Who, Duration, Duration),
    /// Each batch takes the node's state machine longer by the first duration.
    SlowApply(Who, Duration, Duration),
    /// So many messages no correct node would send reach the node.
    Stray(Who, u32),
    /// So many old messages reach the node again.
    Replay(Who, u32),
    /// The node campaigns.
    Campaign(Who),
}

impl Verb {
    /// The kind of fault that the operation is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Verb::Crash(..) => Fault::Crash,
            Verb::Pause(..) => Fault::Pause,
            Verb::Isolate(..) | Verb::Split(..) => Fault::Partition,
            Verb::Deafen(..) | Verb::Mute(..) | Verb::Cut(..) => Fault::OneWay,
            Verb::Strand(..) | Verb::Only(..) => Fault::Bridge,
            Verb::Flap(..) => Fault::Flap,
            Verb::Clog(..) => Fault::Clog,
            Verb::Drift(..) => Fault::Drift,
            Verb::Jump(..) => Fault::Jump,
            Verb::SlowDisk(..) => Fault::SlowDisk,
            Verb::SlowApply(..) => Fault::SlowApply,
            Verb::Stray(..) => Fault::Stray,
            Verb::Replay(..) => Fault::Replay,
            Verb::Campaign(..) => Fault::Campaign,
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ops.iter().try_for_each(|op| writeln!(f, "{op}"))
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.when, self.verb)
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            When::At(time) => write!(f, "at {}", Seconds(time.0)),
            When::On { from, to, trigger, by, nth, times, later } => {
                write!(f, "from {} to {} ", Seconds(from.0), Seconds(to.0))?;
                f.write_str(if times > 1 { "whenever " } else { "when " })?;
                match by {
                    Some(node) => write!(f, "{node} {trigger}")?,
                    None => write!(f, "any {trigger}")?,
                }
                if nth > 1 {
                    write!(f, " nth={nth}")?;
                }
                if times > 1 {
                    write!(f, " times={times}")?;
                }
                if !later.is_zero() {
                    write!(f, " later={}", Seconds::of(later))?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Trigger::Starts => "starts",
            Trigger::AboutToSubmit => "about to submit",
            Trigger::SubmitsVote => "submits vote",
            Trigger::SubmitsEntries => "submits entries",
            Trigger::CutsLog => "cuts log",
            Trigger::Flushes => "flushes",
            Trigger::Promises => "promises",
            Trigger::Beats => "beats",
            Trigger::BecomesLeader => "becomes leader",
            Trigger::BecomesPreCandidate => "becomes pre-candidate",
            Trigger::BecomesCandidate => "becomes candidate",
            Trigger::AdvancesCommit => "advances commit",
        })
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Node(node) => write!(f, "{node}"),
            Who::It => f.write_str("it"),
            Who::Other => f.write_str("other"),
            Who::Leader => f.write_str("leader"),
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verb::Crash(who, keep, _) => {
                let keep = match keep {
                    Keep::None => "none",
                    Keep::Part => "part",
                    Keep::All => "all",
                };
                write!(f, "crash {who} keep={keep}")?;
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
                write!(f, "flap {one}-{other} every {}", Seconds::of(*period))?;
            }
            Verb::Clog(who, _) => write!(f, "clog {who}")?,
            Verb::Drift(who, ppm, _) => write!(f, "drift {who} {ppm:+}ppm")?,
            Verb::Jump(who, by) => write!(f, "jump {who} by {}", Seconds::of(*by))?,
            Verb::SlowDisk(who, by, _) => write!(f, "slow disk {who} by {}", Seconds::of(*by))?,
            Verb::SlowApply(who, by, _) => write!(f, "slow apply {who} by {}", Seconds::of(*by))?,
            Verb::Stray(who, count) => write!(f, "stray {who} count={count}")?,
            Verb::Replay(who, count) => write!(f, "replay {who} count={count}")?,
            Verb::Campaign(who) => write!(f, "campaign {who}")?,
        }
        match self.lasting() {
            Some(lasting) => write!(f, " for {}", Seconds::of(lasting)),
            None => Ok(()),
        }
    }
}

impl Verb {
    /// How long the operation's effect lasts, if it ends by itself.
    #[must_use]
    pub fn lasting(&self) -> Option<Duration> {
        match self {
            Verb::Crash(_, _, lasting)
            | Verb::Pause(_, lasting)
            | Verb::Isolate(_, lasting)
            | Verb::Deafen(_, lasting)
            | Verb::Mute(_, lasting)
            | Verb::Strand(_, _, lasting)
            | Verb::Cut(_, _, lasting)
            | Verb::Split(_, lasting)
            | Verb::Only(_, lasting)
            | Verb::Flap(_, _, _, lasting)
            | Verb::Clog(_, lasting)
            | Verb::Drift(_, _, lasting)
            | Verb::SlowDisk(_, _, lasting)
            | Verb::SlowApply(_, _, lasting) => Some(*lasting),
            Verb::Jump(..) | Verb::Stray(..) | Verb::Replay(..) | Verb::Campaign(_) => None,
        }
    }
}

/// Nanoseconds, printed as seconds with microseconds: `1.850000s`.
struct Seconds(u64);

impl Seconds {
    fn of(span: Duration) -> Seconds {
        Seconds(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", SimTime(self.0))
    }
}

#[cfg(test)]
mod tests {
    use crate::choice::{Choices, Key, Kind, Overrides};
    use crate::profile::Profile;
    use crate::settings::Settings;

    use super::*;

    fn drawn(seed: u64, overrides: &Overrides) -> Plan {
        let choices = Choices::new(seed, overrides.clone());
        let settings = Settings::draw(<&Profile>::default(), &choices, 1);
        Plan::draw(&settings, &choices)
    }

    #[test]
    fn a_plan_is_a_function_of_the_seed() {
        for seed in 0..50 {
            assert_eq!(drawn(seed, &Overrides::new()), drawn(seed, &Overrides::new()));
        }
        assert_ne!(drawn(1, &Overrides::new()), drawn(2, &Overrides::new()));
    }

    #[test]
    fn emptying_one_slot_changes_no_other() {
        let seed = (0..).find(|seed| drawn(*seed, &Overrides::new()).ops.len() > 8);
        let seed = seed.expect("some seed has many operations");
        let whole = drawn(seed, &Overrides::new());
        for slot in 1..=4 {
            let key = Key { peer: slot, ..Kind::Plan.key() };
            let less = drawn(seed, &Overrides::from([(key, 0)]));
            let mut rest = whole.ops.iter();
            assert!(less.ops.iter().all(|op| rest.any(|other| other == op)), "slot {slot}");
        }
    }

    #[test]
    fn every_operation_prints_as_one_line() {
        let plan = drawn(3, &Overrides::new());
        assert_eq!(plan.to_string().lines().count(), plan.ops.len());
    }

    #[test]
    fn operations_read_like_sentences() {
        let n = NodeId;
        let ms = Duration::from_millis;
        let at = |millis| When::At(SimTime::default().after(ms(millis)));
        let vote = When::On {
            from: SimTime::default().after(ms(1_200)),
            to: SimTime::default().after(ms(3_000)),
            trigger: Trigger::SubmitsVote,
            by: Some(n(3)),
            nth: 1,
            times: 1,
            later: Duration::ZERO,
        };
        let lines = [
            (at(1_850), Verb::Isolate(Who::Node(n(1)), ms(600))),
            (vote, Verb::Crash(Who::Node(n(3)), Keep::None, ms(90))),
            (at(20), Verb::Cut(Who::Leader, Who::Node(n(4)), ms(1))),
            (at(20), Verb::Only(vec![(n(1), n(2)), (n(2), n(3))], ms(5))),
            (at(20), Verb::Drift(Who::Node(n(2)), -500, ms(5))),
        ]
        .map(|(when, verb)| Op { when, verb }.to_string());
        assert_eq!(
            lines,
            [
                "at 1.850000s isolate n1 for 0.600000s",
                "from 1.200000s to 3.000000s when n3 submits vote crash n3 keep=none \
                 for 0.090000s",
                "at 0.020000s cut leader -> n4 for 0.001000s",
                "at 0.020000s only n1-n2 n2-n3 for 0.005000s",
                "at 0.020000s drift n2 -500ppm for 0.005000s",
            ]
        );
    }
}
