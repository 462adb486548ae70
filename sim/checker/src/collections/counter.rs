//! Decides counters that only grow, or only shrink.
//!
//! The numbers that are read grow with time, so reads of the same number form a group, and groups
//! are ordered by their numbers. It remains to choose the additions before each group. They have
//! the right sum. They include all that returned before the last invocation of a read up to the
//! group, and none that was invoked after the first response of a read from the group on. With each
//! of them, they include all additions that returned before its invocation. If all amounts are
//! equal there is one choice, the additions with the first responses. Otherwise the search tries
//! every subset of the concurrent additions with the right sum, from group to group, with
//! backtracking.

use foldhash::fast::FixedState;
use hashbrown::HashSet;

use crate::budget::{Budget, StopCheck};
use crate::collections::additions::{Addition, Additions, Choices, Read, Stage};
use crate::collections::bounds;
use crate::collections::narrowing::{CheckResult, Narrowing, Violation, verdict};
use crate::collections::span::{NEVER, Time};
use crate::history::OpId;
use crate::verdict::Verdict;

/// Reads of the same number, and the bounds of their group.
#[derive(Clone, Copy, Debug)]
struct Group {
    number: i64,
    /// The read up to this group with the last invocation.
    last_invoked: Read,
    /// The read from this group on with the first response.
    first_returned: Read,
}

/// The bytes of a visited choice, besides its additions.
const VISITED_BYTES: usize = 64;

/// The maximum number of choices that the search visits.
const VISITED_MAX: usize = 200_000;

/// The number of steps that an open addition counts as where choices are prepared.
const CHOICE_STEPS: usize = 8;

/// The maximum number of open additions that are remembered, over all groups.
const OPEN_MAX: usize = 8_000_000;

/// The maximum number of additions that are examined to find choices, in total.
const STEPS_MAX: u64 = 1_000_000;

/// The maximum number of reads and additions that are compared with a read, in total, after a
/// search of choices that reached its limit.
const COMPARED_MAX: usize = 100_000_000;

/// Decides a counter with the initial number `init`. A counter that both grows and shrinks is
/// decided only if a read is out of bounds.
pub(crate) fn decide(
    init: i64,
    additions: &[Addition],
    reads: &[Read],
    budget: &Budget<'_>,
) -> Option<Verdict> {
    let sizes = additions.iter().map(|addition| i128::from(addition.amount).abs());
    let sum = additions.iter().filter_map(|addition| addition.sum);
    let numbers = reads.iter().map(|read| read.number).chain(sum);
    let largest = numbers.chain([init]).map(|number| i128::from(number).abs()).max()?;
    if sizes.sum::<i128>() + largest > i128::from(i64::MAX / 4) {
        return None;
    }
    let shrinks = additions.iter().any(|addition| addition.amount < 0);
    if shrinks && additions.iter().any(|addition| addition.amount > 0) {
        return bounds::out_of_bounds(init, additions, reads);
    }
    // A counter that shrinks is the mirror image of one that grows.
    let sign = if shrinks { -1 } else { 1 };
    let additions: Vec<Addition> = additions
        .iter()
        .map(|addition| Addition {
            amount: sign * addition.amount,
            sum: addition.sum.map(|sum| sign * sum),
            ..*addition
        })
        .collect();
    let reads: Vec<Read> =
        reads.iter().map(|read| Read { number: sign * read.number, ..*read }).collect();
    let stop = &StopCheck::new(budget);
    let bytes_max = budget.bytes_max;
    let counter = Counter { init: sign * init, sign, additions, reads, stop, bytes_max };
    let count = counter.additions.len() + counter.reads.len();
    verdict(Narrowing::Singly, count, stop, |known| counter.check(known))
}

/// A counter that only grows, or the mirror image of one that only shrinks.
struct Counter<'a> {
    init: i64,
    /// The factor of numbers in sentences: -1 for a mirror image.
    sign: i64,
    additions: Vec<Addition>,
    reads: Vec<Read>,
    /// Ends a check that takes too long.
    stop: &'a StopCheck<'a>,
    /// The maximum number of bytes that the search of choices may hold.
    bytes_max: usize,
}

impl Counter<'_> {
    fn check(&self, known: &dyn Fn(OpId) -> bool) -> CheckResult {
        let additions: Vec<Addition> = self
            .additions
            .iter()
            .map(|addition| match addition.span.is_known() && known(addition.id) {
                true => *addition,
                false => {
                    let span = addition.span.unknown();
                    Addition { span, sum: None, ..*addition }
                }
            })
            .collect();
        let mut reads: Vec<Read> =
            self.reads.iter().copied().filter(|read| known(read.id)).collect();
        for Addition { id, span, amount, sum } in &additions {
            let Some(sum) = *sum else { continue };
            reads.push(Read { id: *id, span: *span, number: sum });
            reads.push(Read { id: *id, span: *span, number: sum - amount });
        }
        reads.sort_unstable_by_key(|read| (read.number, read.span.invoked));
        let mut sums = Additions::new(additions);
        let groups = groups(&reads);
        let violation = self.too_much(&reads, &sums);
        let violation = violation.or_else(|| self.shrunk(&groups));
        if let Some(violation) = violation.or_else(|| self.too_little(&reads, &sums)) {
            return CheckResult::NotLinearizable(violation);
        }
        match self.choose(&groups, &reads, &mut sums) {
            CheckResult::Unknown => self
                .lacking_any(&reads, &sums)
                .map_or(CheckResult::Unknown, CheckResult::NotLinearizable),
            result => result,
        }
    }

    /// Finds a read that misses additions since an earlier read. It examines the reads that
    /// returned first, as many as [`COMPARED_MAX`] allows.
    fn lacking_any(&self, reads: &[Read], sums: &Additions) -> Option<Violation> {
        let cost = 64 * (self.additions.len() + reads.len());
        let mut by_response: Vec<&Read> = reads.iter().collect();
        by_response.sort_unstable_by_key(|read| read.span.returned);
        let examined = by_response.into_iter().take(COMPARED_MAX / cost.max(1) + 1);
        let mut examined = examined.take_while(|_| !self.stop.is_stopped_after(cost));
        examined.find_map(|read| self.lacking_least(read, None, reads, sums))
    }

    /// Finds a read that is greater than the sum of all additions invoked before its response.
    fn too_much(&self, reads: &[Read], sums: &Additions) -> Option<Violation> {
        let most = |read: &Read| self.init + sums.invoked_by(read.span.returned);
        let read = reads.iter().find(|read| read.number > most(read))?;
        let reason = format!(
            "operation {} returned {}, although all additions invoked by then make {}",
            read.id.0,
            self.sign * read.number,
            self.sign * most(read)
        );
        Some(Violation { kept: vec![read.id], reason })
    }

    /// Finds a read that is less than the sum of all additions that returned before its invocation.
    fn too_little(&self, reads: &[Read], sums: &Additions) -> Option<Violation> {
        let least = |read: &Read| self.init + sums.returned_by(read.span.invoked);
        let read = reads.iter().find(|read| read.number < least(read))?;
        self.lacking_least(read, None, reads, sums)
    }

    /// Returns the violation of `read` that misses additions since an earlier read. Of the recent
    /// earlier reads and `since`, it uses the one that needs the fewest operations.
    fn lacking_least(
        &self,
        read: &Read,
        since: Option<&Read>,
        reads: &[Read],
        sums: &Additions,
    ) -> Option<Violation> {
        let is_earlier = |other: &&Read| other.span.returned < read.span.invoked;
        let mut earlier: Vec<&Read> = reads.iter().filter(is_earlier).collect();
        earlier.sort_by_key(|other| std::cmp::Reverse(other.span.returned));
        let earlier = since.filter(is_earlier).into_iter().chain(earlier.into_iter().take(64));
        let violations = earlier.filter_map(|since| self.lacking(Some(since), read, sums));
        let least = violations.min_by_key(|violation| violation.kept.len());
        least.or_else(|| self.lacking(None, read, sums))
    }

    /// Returns the violation of `read` if it misses some of the additions before it and after
    /// `since`, or after the start.
    fn lacking(&self, since: Option<&Read>, read: &Read, sums: &Additions) -> Option<Violation> {
        let (number, returned) =
            since.map_or((self.init, Time::MIN), |since| (since.number, since.span.returned));
        let mut between = sums.between(returned, read.span.invoked);
        between.sort_by_key(|addition| (-addition.amount, addition.id));
        let mut least = number;
        let mut kept: Vec<OpId> = Vec::new();
        for addition in between {
            if least > read.number {
                break;
            }
            least += addition.amount;
            kept.push(addition.id);
        }
        if least <= read.number {
            return None;
        }
        let added: Vec<String> = kept.iter().take(8).map(|id| id.0.to_string()).collect();
        let ellipsis = if kept.len() > 8 { ", …" } else { "" };
        let after = match since {
            Some(since) => {
                format!("operation {} returned {}", since.id.0, self.sign * since.number)
            }
            None => format!("the initial number was {}", self.sign * self.init),
        };
        let then = match kept.len() {
            0 => String::new(),
            _ => format!(
                " and then additions {}{ellipsis} returned before its invocation",
                added.join(", ")
            ),
        };
        let reason = format!(
            "operation {} returned {}, although {after}{then}: that makes {}",
            read.id.0,
            self.sign * read.number,
            self.sign * least
        );
        kept.push(read.id);
        kept.extend(since.map(|since| since.id));
        Some(Violation { kept, reason })
    }

    /// Finds a read of a smaller number after a read of a larger one.
    fn shrunk(&self, groups: &[Group]) -> Option<Violation> {
        groups.windows(2).find_map(|pair| {
            let (later, earlier) = (pair[0].last_invoked, pair[1].first_returned);
            if earlier.span.returned > later.span.invoked {
                return None;
            }
            let reason = format!(
                "operation {} returned {}, although operation {}, which returned before its \
                 invocation, returned {}",
                later.id.0,
                self.sign * later.number,
                earlier.id.0,
                self.sign * earlier.number
            );
            Some(Violation { kept: vec![earlier.id, later.id], reason })
        })
    }

    /// Chooses the additions before each group.
    fn choose(&self, groups: &[Group], reads: &[Read], sums: &mut Additions) -> CheckResult {
        let mut stages: Vec<Stage> = Vec::with_capacity(groups.len());
        let mut pending: Vec<Choices> = Vec::with_capacity(groups.len());
        let mut visited: HashSet<(usize, Box<[u32]>), FixedState> = HashSet::default();
        let (mut steps, mut opened) = (STEPS_MAX, 0);
        // The bytes of the visited and the pending choices.
        let mut bytes = 0_usize;
        let mut choice: Option<Box<[u32]>> = Some(Box::default());
        while let Some(before) = choice.take() {
            let place = pending.len();
            let Some(group) = groups.get(place) else { return CheckResult::Linearizable };
            if stages.len() == place {
                let (certain, possible) =
                    (group.last_invoked.span.invoked, group.first_returned.span.returned);
                let Some(stage) = sums.advance(group.number, certain, possible) else {
                    return CheckResult::NotLinearizable(self.impossible(group, reads, sums));
                };
                opened += stage.open.len();
                stages.push(stage);
            }
            // The choices of a stage compare each of its additions with a few others.
            let is_stopped =
                self.stop.is_stopped_after(CHOICE_STEPS * (stages[place].open.len() + 1));
            if visited.len() > VISITED_MAX
                || opened > OPEN_MAX
                || opened * size_of::<u32>() + bytes > self.bytes_max
                || is_stopped
            {
                return CheckResult::Unknown;
            }
            if visited.insert((place, before.clone())) {
                let choices = sums.choices(&stages[place], &before, self.init);
                bytes += size_of_val(&*before) + VISITED_BYTES + choices.bytes();
                pending.push(choices);
            }
            while let Some(choices) = pending.last_mut() {
                choice = choices.next(&mut steps);
                if choice.is_some() {
                    break;
                }
                bytes -= choices.bytes();
                pending.pop();
            }
            if steps == 0 {
                return CheckResult::Unknown;
            }
        }
        match stages.len().checked_sub(1) {
            Some(last) => CheckResult::NotLinearizable(self.impossible(&groups[last], reads, sums)),
            None => CheckResult::Linearizable,
        }
    }

    /// Returns the violation of a group that no choice of additions leads to.
    fn impossible(&self, group: &Group, reads: &[Read], sums: &Additions) -> Violation {
        let (later, bound) = (group.last_invoked, group.first_returned.span.returned);
        if let Some(violation) =
            self.lacking_least(&later, Some(&group.first_returned), reads, sums)
        {
            return violation;
        }
        let limit = later.span.invoked.max(bound);
        let kept = sums
            .invoked_before(limit)
            .chain(reads.iter().filter(|read| read.span.invoked <= limit).map(|read| read.id));
        let reason = format!(
            "operation {} cannot have returned {}: no choice of the concurrent additions makes \
             this number, given the additions that returned before and all earlier reads",
            later.id.0,
            self.sign * later.number
        );
        Violation { kept: kept.collect(), reason }
    }
}

/// Groups `reads`, which are sorted by number.
fn groups(reads: &[Read]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut last: Option<Read> = None;
    for read in reads {
        let last_invoked =
            last.filter(|last| last.span.invoked > read.span.invoked).unwrap_or(*read);
        last = Some(last_invoked);
        match groups.last_mut() {
            Some(group) if group.number == read.number => group.last_invoked = last_invoked,
            _ => groups.push(Group { number: read.number, last_invoked, first_returned: *read }),
        }
    }
    let mut first: Option<Read> = None;
    let mut unplaced = reads.len();
    for group in groups.iter_mut().rev() {
        while let Some(read) = reads[..unplaced].last().filter(|read| read.number == group.number) {
            unplaced -= 1;
            if first.is_none_or(|first| read.span.returned < first.span.returned) {
                first = Some(*read);
            }
        }
        group.first_returned = first.unwrap_or(group.first_returned);
    }
    debug_assert!(groups.iter().all(|group| group.first_returned.span.returned < NEVER));
    groups
}
