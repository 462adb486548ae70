//! The pace of a leader's heartbeat rounds: S46.

use quorate::raft::Status;
use quorate::types::{Body, Message, Term};

use crate::check::finding::{CheckResult, S46};
use crate::check::known::Known;
use crate::check::rule::Rule;
use crate::values::time::SimTime;

/// The maximum number of rounds that may follow one another too early: each time that a clock steps
/// forward, it ends a heartbeat interval at once, and a scenario may step a clock many times.
const EARLY_MAX: u32 = 32;

/// For each node, the last round that it sent.
#[derive(Clone, Debug)]
pub(super) struct HeartbeatPace {
    leaders: Vec<Leader>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Leader {
    /// The number of steps that the node took.
    steps: u64,
    term: Term,
    last: Option<Round>,
    /// The number of consecutive rounds, the last one included, that began too early.
    early: u32,
}

#[derive(Clone, Copy, Debug)]
struct Round {
    number: u64,
    begun: SimTime,
    /// The number of the step in which the node sent it.
    step: u64,
}

impl Rule for HeartbeatPace {
    fn new(known: &Known) -> HeartbeatPace {
        HeartbeatPace { leaders: vec![Leader::default(); known.model.nodes.len()] }
    }

    fn stepped(&mut self, known: &Known, status: &Status) -> CheckResult {
        let leader = &mut self.leaders[known.model.slot(status.id).0];
        leader.steps += 1;
        Ok(())
    }

    /// Checks that a leader begins a round only after a heartbeat interval or, because of waiting
    /// reads, once the previous round is confirmed. Clocks run at most twice as fast as real time.
    fn sent(&mut self, known: &Known, message: &Message) -> CheckResult {
        let Body::Heartbeat(heartbeat) = &message.body else { return Ok(()) };
        let (id, term, now) = (message.from, message.term, known.now);
        let leader = &mut self.leaders[known.model.slot(id).0];
        if leader.term != term {
            *leader = Leader { term, last: None, early: 0, ..*leader };
        }
        let round = Round { number: heartbeat.round, begun: now, step: leader.steps };
        let Some(before) = leader.last.replace(round) else { return Ok(()) };
        if before.number == round.number {
            leader.last = Some(before);
            return Ok(());
        }
        // A lagging driver sends late, and messages that waited for the disk are sent in one step.
        let is_prompt = !known.is_late && before.step < round.step;
        let is_paced = now.since(before.begun) >= known.bounds.heartbeat_interval / 2;
        let is_wanted = heartbeat.confirmed >= before.number;
        leader.early = if !is_prompt || is_paced || is_wanted { 0 } else { leader.early + 1 };
        if leader.early <= EARLY_MAX {
            return Ok(());
        }
        S46.violated(format!(
            "{id} leads term {term} and begins round {} {:?} after round {}, which is not \
             confirmed, but the heartbeat interval is {:?}; the {EARLY_MAX} rounds before it also \
             began too early",
            round.number,
            now.since(before.begun),
            before.number,
            known.bounds.heartbeat_interval,
        ))
    }
}
