//! Draws treacherous elections: rivals, leaders that come and go with what only they have.

use std::time::Duration;

use crate::fault::Fault;
use crate::plan::draw::Planner;
use crate::plan::{Keep, Occasion, Trigger, Verb, Who};
use crate::time::SimTime;

impl Planner<'_> {
    /// Two nodes campaign at once, and voters crash over it.
    pub(super) fn duel(&mut self) {
        let at = self.moment();
        let first = self.voter();
        let second = self.voter_after(first);
        for candidate in [first, second] {
            self.push(at, Verb::Campaign(Who::Node(candidate)));
        }
        if self.settings.faults.has(Fault::Crash) {
            let trigger = *self.draw.pick(&[Trigger::SubmitsVote, Trigger::Promises]);
            let times = self.draw.between(1, 2) as u32;
            let to = at.after(self.settings.config.election_timeout_max * 2);
            let down = self.settings.latency.most * self.draw.between(0, 4) as u32;
            let next = Occasion::next(trigger, at, to);
            self.push_on(Occasion { times, ..next }, Verb::Crash(Who::It, Keep::None, down));
        }
    }

    /// Leaders are cut off with a minority that took their last entries, crash, and come back: what
    /// figure 8 of the paper shows (Raft §5.4.2).
    pub(super) fn relay(&mut self) {
        let timeout = self.settings.config.election_timeout_max;
        let at = self.moment();
        let ally = self.voter();
        let strand = Verb::Strand(Who::Leader, Who::Node(ally), timeout * 2);
        self.push(at, strand);
        let crash_at = at.after(timeout * self.draw.between(1, 4) as u32 / 4);
        let down = timeout * self.draw.between(2, 6) as u32 / 2;
        let crash = Verb::Crash(Who::Leader, Keep::All, down);
        self.push(crash_at, crash);
        let times = self.draw.between(1, 3) as u32;
        let to = crash_at.after(timeout * 6);
        let trigger = *self.draw.pick(&[Trigger::SubmitsEntries, Trigger::BecomesLeader]);
        let later = self.delay();
        let next = Occasion::next(trigger, crash_at, to);
        let verb = match self.draw.below(3) {
            0 => Verb::Mute(Who::Leader, timeout),
            1 => Verb::Crash(Who::Leader, Keep::All, timeout * 2),
            _ => Verb::Strand(Who::Leader, Who::Node(self.voter()), timeout),
        };
        self.push_on(Occasion { times, later, ..next }, verb);
        let last = Occasion::next(Trigger::AdvancesCommit, crash_at, to);
        let verb = Verb::Crash(Who::Leader, Keep::All, timeout * 2);
        self.push_on(Occasion { later, ..last }, verb);
    }

    /// A leader is cut off with a long tail, for longer or shorter than it takes to elect another,
    /// who is asked for less: a snapshot of it may end where the first leader's tail goes on.
    pub(super) fn exile(&mut self) {
        let at = self.moment();
        let timeout = self.settings.config.election_timeout_max;
        let lasting = timeout * self.draw.between(4, 16) as u32 / 4;
        self.push(at, Verb::Isolate(Who::Leader, lasting));
        let count = self.surge();
        self.push(at, Verb::Surge(Who::Leader, count));
        self.push_once_led(at, lasting, Verb::Surge(Who::It, count * 2 / 3));
    }

    /// A leader is stranded with one other node, at which somebody reads all the time, while the
    /// rest campaigns at once and is asked for a lot: what the old leader tells its last follower
    /// may be old. It may have handed over just then, so that nobody waits for its promise to end.
    pub(super) fn remnant(&mut self) {
        let timeout = self.settings.config.election_timeout_max;
        let (at, ally) = (self.moment(), Who::Node(self.node()));
        let strand = Verb::Strand(Who::Leader, ally, timeout * 3);
        if self.settings.faults.has(Fault::Transfer) && self.draw.chance(500) {
            self.betray(at, timeout, strand);
        } else {
            self.push(at, strand);
        }
        self.push(at, Verb::Consult(ally, timeout / 64, timeout * 3));
        let rivals = if self.settings.faults.has(Fault::Campaign) { 4 } else { 0 };
        for place in 0..rivals {
            let rival = Who::Node(self.voter());
            let at = at.after(timeout * (place + 1) / 4);
            self.push(at, Verb::Campaign(rival));
        }
        self.push_once_led(at, timeout * 4, Verb::Surge(Who::It, 10));
    }

    /// This happens to the next two that become leader within so long.
    fn push_once_led(&mut self, from: SimTime, within: Duration, verb: Verb) {
        let next = Occasion::next(Trigger::BecomesLeader, from, from.after(within));
        self.push_on(Occasion { times: 2, ..next }, verb);
    }
}
