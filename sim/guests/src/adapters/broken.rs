//! The tiny Raft with planted bugs: each check must find the bug that violates it.

use crate::adapters::tiny::{Body, Message, Tiny};
use crate::case;
use crate::disk::{Bytes, Disk, Snapshot, Write};
use crate::guest::{
    Effect, Effects, Execution, Guest, Member, NodeId, ReadReply, Statement, Status,
};
use crate::run::run;

use quorate_sim::observe::outcome::{Failure, Outcome};
use quorate_sim::run::RunOptions;
use quorate_sim::shrink::{ShrinkOptions, shrink};

/// The planted bugs; a test below names the check that finds each of them.
const CLAIMS_TO_LEAD: u8 = 1;
const VOTES_TWICE: u8 = 2;
const FORGETS_VOTE: u8 = 3;
const SENDS_BEFORE_WRITING: u8 = 4;
const SYNCS_NO_ENTRIES: u8 = 5;
const FORGETS_TERM: u8 = 6;
const CHANGES_ENTRIES: u8 = 7;
const VOTES_FOR_ANY_LOG: u8 = 8;
const APPLIES_ANOTHER: u8 = 9;
const WRITES_NO_ENTRIES: u8 = 10;
const SKIPS_AN_ENTRY: u8 = 11;
const PROPOSES_TWICE: u8 = 12;
const READS_LOCALLY: u8 = 13;
const RESTORES_ANOTHER: u8 = 14;
const DECLINES_ALL: u8 = 15;
const STAYS_BEHIND: u8 = 16;
const PANICS: u8 = 17;
const REPLIES_ANOTHER: u8 = 18;
const EXECUTES_ANOTHER: u8 = 19;

struct Broken<const BUG: u8> {
    node: Tiny,
    id: NodeId,
    is_first_start: bool,
    answers: Vec<u64>,
    ticks: u32,
}

impl<const BUG: u8> Broken<BUG> {
    fn is_deaf(&self) -> bool {
        BUG == STAYS_BEHIND && self.id == NodeId(2)
    }

    /// Returns the effects that replace one effect of the tiny Raft.
    fn changed(&self, effect: Effect<Message>) -> Vec<Effect<Message>> {
        let is_second = self.id == NodeId(2);
        match (BUG, effect) {
            (VOTES_TWICE, Effect::Write(Write::Term(term, Some(vote)))) => {
                let other = NodeId(vote.0 % 3 + 1);
                [vote, other].map(|vote| Effect::Write(Write::Term(term, Some(vote)))).into()
            }
            (FORGETS_VOTE, Effect::Write(Write::Term(term, _))) => {
                vec![Effect::Write(Write::Term(term, None))]
            }
            (CHANGES_ENTRIES, Effect::Write(Write::Append(after, mut entries))) if is_second => {
                entries.iter_mut().for_each(|entry| entry.command = Bytes::from([1]));
                vec![Effect::Write(Write::Append(after, entries))]
            }
            (WRITES_NO_ENTRIES, Effect::Write(Write::Append(..))) => Vec::new(),
            (SKIPS_AN_ENTRY, Effect::Apply(7, _)) => Vec::new(),
            (APPLIES_ANOTHER, Effect::Apply(index, mut entry)) if !self.node.status().leads => {
                entry.command = Bytes::from([1]);
                vec![Effect::Apply(index, entry)]
            }
            (REPLIES_ANOTHER, Effect::Apply(index, entry)) => {
                let outcome = Bytes::from([u8::from(is_second)]);
                let execution = Execution { command: entry.command.clone(), outcome };
                vec![Effect::Execute(index, entry, execution)]
            }
            (EXECUTES_ANOTHER, Effect::Apply(index, entry)) => {
                let command = if is_second { Bytes::from([]) } else { entry.command.clone() };
                let execution = Execution { command, outcome: Bytes::from([]) };
                vec![Effect::Execute(index, entry, execution)]
            }
            (_, effect) => vec![effect],
        }
    }
}

impl<const BUG: u8> Guest for Broken<BUG> {
    type Message = Message;

    fn start(member: &Member, disk: &Disk) -> Self {
        let mut disk = disk.clone();
        let is_first_start = disk.term == 0;
        if BUG == FORGETS_TERM {
            (disk.term, disk.vote) = (0, None);
        }
        let node = Tiny::start(member, &disk);
        Broken { node, id: member.id, is_first_start, answers: Vec::new(), ticks: 0 }
    }

    fn tick(&mut self) {
        self.ticks += 1;
        assert!(BUG != PANICS || self.ticks < 90, "the planted panic");
        if !self.is_deaf() {
            self.node.tick();
        }
    }

    fn receive(&mut self, from: NodeId, mut message: Message) {
        if BUG == VOTES_FOR_ANY_LOG
            && let Body::RequestVote { last_term, .. } = &mut message.body
        {
            *last_term = u64::MAX;
        }
        if !self.is_deaf() {
            self.node.receive(from, message);
        }
    }

    fn propose(&mut self, command: &Bytes) -> bool {
        if BUG == PROPOSES_TWICE {
            self.node.propose(command);
        }
        BUG != DECLINES_ALL && self.node.propose(command)
    }

    fn take_effects(&mut self, effects: &mut Effects<Message>) {
        if BUG == RESTORES_ANOTHER && !self.is_first_start {
            self.is_first_start = true;
            effects.restore(Snapshot { index: 3, term: 1, state: Bytes::from([7; 32]) });
        }
        let mut own = Effects::default();
        self.node.take_effects(&mut own);
        let votes = own.0.iter().any(|effect| matches!(effect, Effect::Write(Write::Term(..))));
        let mut changed: Vec<_> =
            own.0.into_iter().flat_map(|effect| self.changed(effect)).collect();
        if BUG == SENDS_BEFORE_WRITING {
            changed.sort_by_key(|effect| !matches!(effect, Effect::Send(..)));
        }
        if BUG == SYNCS_NO_ENTRIES && !votes {
            changed.retain(|effect| !matches!(effect, Effect::Sync));
        }
        effects.0.extend(changed);
        self.answers.drain(..).for_each(|read| effects.answer(read));
    }

    fn status(&self) -> Status {
        let status = self.node.status();
        Status { leads: status.leads || BUG == CLAIMS_TO_LEAD && status.term > 0, ..status }
    }

    fn read(&mut self, read: u64) -> ReadReply {
        if BUG != READS_LOCALLY {
            return ReadReply::Unsupported;
        }
        self.answers.push(read);
        ReadReply::Accepted
    }

    fn statement(from: NodeId, to: NodeId, message: &Message) -> Statement {
        // If a core states nothing about its messages, the check of its applied entries finds the
        // bug.
        match BUG {
            WRITES_NO_ENTRIES => Statement::default(),
            _ => Tiny::statement(from, to, message),
        }
    }
}

/// Returns the first failure of the seeds below 300.
fn first_failure<const BUG: u8>() -> Option<(Outcome, Failure)> {
    let options = RunOptions { events_max: 300_000, ..RunOptions::default() };
    (0..300).find_map(|seed| {
        let outcome = run::<Broken<BUG>>(&case::draw::<Broken<BUG>>(seed, &options), &options);
        let failure = outcome.failure.clone()?;
        Some((outcome, failure))
    })
}

/// Asserts that the first failure of a bug is a violation of this check.
fn expect<const BUG: u8>(id: &str) {
    let (_, failure) = first_failure::<BUG>().unwrap_or_else(|| panic!("{id} finds nothing"));
    let found = failure.to_string();
    assert!(
        found.starts_with(&format!("{id} ")) || found.starts_with(&format!("{id}: ")),
        "{found}"
    );
}

#[test]
fn every_check_finds_the_bug_that_violates_it() {
    expect::<CLAIMS_TO_LEAD>("S1");
    expect::<VOTES_TWICE>("S3");
    expect::<FORGETS_VOTE>("S4");
    expect::<SENDS_BEFORE_WRITING>("S5");
    expect::<SYNCS_NO_ENTRIES>("S6");
    expect::<FORGETS_TERM>("S7");
    expect::<CHANGES_ENTRIES>("S8");
    expect::<VOTES_FOR_ANY_LOG>("S10");
    expect::<APPLIES_ANOTHER>("S11");
    expect::<REPLIES_ANOTHER>("S11");
    expect::<EXECUTES_ANOTHER>("S11");
    expect::<WRITES_NO_ENTRIES>("S12");
    expect::<SKIPS_AN_ENTRY>("S15");
    expect::<PROPOSES_TWICE>("S19");
    expect::<READS_LOCALLY>("S20");
    expect::<RESTORES_ANOTHER>("S25");
    expect::<DECLINES_ALL>("L1");
    expect::<STAYS_BEHIND>("L5");
    expect::<PANICS>("panic");
}

#[test]
fn a_failing_run_becomes_a_scenario_of_a_few_lines() {
    let options = RunOptions { events_max: 300_000, ..RunOptions::default() };
    let (outcome, _) = first_failure::<VOTES_FOR_ANY_LOG>().expect("a seed fails");
    type Guilty = Broken<VOTES_FOR_ANY_LOG>;
    let case = case::draw::<Guilty>(outcome.seed, &options);
    let shrinking = ShrinkOptions {
        jobs: std::num::NonZeroUsize::MIN,
        runs_max: 600,
        is_out_of_time: &|| false,
        run: &run::<Guilty>,
        on_progress: &|_, _| {},
    };
    let shrunk = shrink(&case, &options, shrinking).expect("the run fails");
    let text = shrunk.scenario.to_string();
    assert!(shrunk.after.lines < shrunk.before.lines && shrunk.after.lines <= 14, "{text}");
    let read = case::read::<Guilty>(&text, &options).expect("the scenario is valid");
    assert_eq!(read.unmet(&run::<Guilty>(&read.case, &options)), [], "{text}");
}
