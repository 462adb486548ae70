//! A counter that only grows, or only shrinks.
//!
//! What is read of it grows with time, so reads that returned the same belong together, and the
//! groups are in the order of their numbers. What remains is which additions come before each
//! group: all that returned before one of the reads up to it was invoked, none that was invoked
//! after one of the reads from it on had returned, so many that the number is right, and none
//! without those that returned before it was invoked. If every addition adds the same there is one
//! choice, those that return first. Otherwise there are as many as there are ways to make a sum of
//! what is under way, which are tried one after another, from group to group and back.

use foldhash::fast::FixedState;
use hashbrown::HashSet;

use crate::collections::additions::{Addition, Additions, Read, Stage, Ways};
use crate::collections::finding::{Fault, Finding, Narrowing, verdict};
use crate::collections::span::{NEVER, Span, Time};
use crate::collections::tides;
use crate::history::OpId;
use crate::verdict::Verdict;

/// Reads of the same number, and what they and the reads around them allow.
#[derive(Clone, Copy, Debug)]
struct Group {
    number: i64,
    /// The read up to this group that was invoked last.
    last_invoked: Read,
    /// The read from this group on that returned first.
    first_returned: Read,
}

/// The most choices that are followed.
const TRIED_MAX: usize = 200_000;

/// The most additions that are remembered as open, all groups taken together.
const OPEN_MAX: usize = 8_000_000;

/// How many additions may be looked at to find choices, all in all.
const STEPS_MAX: u64 = 1_000_000;

/// Decides on a counter that was at `init`; mostly nothing if it both grows and shrinks.
pub(crate) fn decide(init: i64, additions: &[Addition], reads: &[Read]) -> Option<Verdict> {
    let sizes = additions.iter().map(|addition| i128::from(addition.more).abs());
    let told = additions.iter().filter_map(|addition| addition.told);
    let numbers = reads.iter().map(|read| read.number).chain(told);
    let largest = numbers.chain([init]).map(|number| i128::from(number).abs()).max()?;
    if sizes.sum::<i128>() + largest > i128::from(i64::MAX / 4) {
        return None;
    }
    let shrinks = additions.iter().any(|addition| addition.more < 0);
    if shrinks && additions.iter().any(|addition| addition.more > 0) {
        return tides::out_of_reach(init, additions, reads);
    }
    // A counter that shrinks is one that grows, seen in a mirror.
    let sign = if shrinks { -1 } else { 1 };
    let additions: Vec<Addition> = additions
        .iter()
        .map(|addition| Addition {
            more: sign * addition.more,
            told: addition.told.map(|told| sign * told),
            ..*addition
        })
        .collect();
    let reads: Vec<Read> =
        reads.iter().map(|read| Read { number: sign * read.number, ..*read }).collect();
    let counter = Counter { init: sign * init, sign, additions, reads };
    let count = counter.additions.len() + counter.reads.len();
    verdict(Narrowing::Singly, count, |known| counter.look(known))
}

/// A counter that grows.
struct Counter {
    init: i64,
    /// What numbers are said with.
    sign: i64,
    additions: Vec<Addition>,
    reads: Vec<Read>,
}

impl Counter {
    fn look(&self, known: &dyn Fn(OpId) -> bool) -> Finding {
        let additions: Vec<Addition> = self
            .additions
            .iter()
            .map(|addition| match addition.span.is_known() && known(addition.id) {
                true => *addition,
                false => {
                    let span = Span { invoked: addition.span.invoked, ..Span::NEVER };
                    Addition { span, told: None, ..*addition }
                }
            })
            .collect();
        let mut reads: Vec<Read> =
            self.reads.iter().copied().filter(|read| known(read.id)).collect();
        for Addition { id, span, more, told } in &additions {
            let Some(told) = *told else { continue };
            reads.push(Read { id: *id, span: *span, number: told });
            reads.push(Read { id: *id, span: *span, number: told - more });
        }
        reads.sort_unstable_by_key(|read| (read.number, read.span.invoked));
        let mut sums = Additions::new(additions);
        let groups = groups(&reads);
        let fault = self.too_much(&reads, &sums);
        let fault = fault.or_else(|| self.shrunk(&groups));
        if let Some(fault) = fault.or_else(|| self.too_little(&reads, &sums)) {
            return Finding::Wrong(fault);
        }
        self.choose(&groups, &reads, &mut sums)
    }

    /// A number that is more than all that can have been added.
    fn too_much(&self, reads: &[Read], sums: &Additions) -> Option<Fault> {
        let most = |read: &Read| self.init + sums.invoked_by(read.span.returned);
        let read = reads.iter().find(|read| read.number > most(read))?;
        let because = format!(
            "operation {} returned {}, although all that was added by then makes {}",
            read.id.0,
            self.sign * read.number,
            self.sign * most(read)
        );
        Some(Fault { kept: vec![read.id], because })
    }

    /// A number that is less than all that was certainly added.
    fn too_little(&self, reads: &[Read], sums: &Additions) -> Option<Fault> {
        let least = |read: &Read| self.init + sums.returned_by(read.span.invoked);
        let read = reads.iter().find(|read| read.number < least(read))?;
        self.lacking_least(read, None, reads, sums)
    }

    /// The fault of `read` that lacks something since an earlier one, `since` among others; of
    /// the recent ones that which takes the fewest operations to show.
    fn lacking_least(
        &self,
        read: &Read,
        since: Option<&Read>,
        reads: &[Read],
        sums: &Additions,
    ) -> Option<Fault> {
        let is_earlier = |other: &&Read| other.span.returned < read.span.invoked;
        let mut earlier: Vec<&Read> = reads.iter().filter(is_earlier).collect();
        earlier.sort_by_key(|other| std::cmp::Reverse(other.span.returned));
        let earlier = since.filter(is_earlier).into_iter().chain(earlier.into_iter().take(64));
        let faults = earlier.filter_map(|since| self.lacking(Some(since), read, sums));
        let least = faults.min_by_key(|fault| fault.kept.len());
        least.or_else(|| self.lacking(None, read, sums))
    }

    /// The fault of `read` if it lacks some of what was added before it, and after `since`, if
    /// that is given.
    fn lacking(&self, since: Option<&Read>, read: &Read, sums: &Additions) -> Option<Fault> {
        let (number, returned) =
            since.map_or((self.init, Time::MIN), |since| (since.number, since.span.returned));
        let mut between = sums.between(returned, read.span.invoked);
        between.sort_by_key(|addition| (-addition.more, addition.id));
        let mut least = number;
        let mut kept: Vec<OpId> = Vec::new();
        for addition in between {
            if least > read.number {
                break;
            }
            least += addition.more;
            kept.push(addition.id);
        }
        if least <= read.number {
            return None;
        }
        let added: Vec<String> = kept.iter().take(8).map(|id| id.0.to_string()).collect();
        let more = if kept.len() > 8 { ", …" } else { "" };
        let after = match since {
            Some(since) => {
                format!("operation {} returned {}", since.id.0, self.sign * since.number)
            }
            None => format!("it was {} at first", self.sign * self.init),
        };
        let then = match kept.len() {
            0 => String::new(),
            _ => format!(" and then came {}{more}, which returned before", added.join(", ")),
        };
        let because = format!(
            "operation {} returned {}, although {after}{then}: that makes {}",
            read.id.0,
            self.sign * read.number,
            self.sign * least
        );
        kept.push(read.id);
        kept.extend(since.map(|since| since.id));
        Some(Fault { kept, because })
    }

    /// A number that was read after a larger one.
    fn shrunk(&self, groups: &[Group]) -> Option<Fault> {
        groups.windows(2).find_map(|pair| {
            let (later, earlier) = (pair[0].last_invoked, pair[1].first_returned);
            if earlier.span.returned > later.span.invoked {
                return None;
            }
            let because = format!(
                "operation {} returned {}, although operation {}, which returned before it was \
                 invoked, returned {}",
                later.id.0,
                self.sign * later.number,
                earlier.id.0,
                self.sign * earlier.number
            );
            Some(Fault { kept: vec![earlier.id, later.id], because })
        })
    }

    /// Chooses, group by group, what was added before it.
    fn choose(&self, groups: &[Group], reads: &[Read], sums: &mut Additions) -> Finding {
        let mut stages: Vec<Stage> = Vec::with_capacity(groups.len());
        let mut under_way: Vec<Ways> = Vec::with_capacity(groups.len());
        let mut tried: HashSet<(usize, Box<[u32]>), FixedState> = HashSet::default();
        let (mut steps, mut opened) = (STEPS_MAX, 0);
        let mut choice: Option<Box<[u32]>> = Some(Box::default());
        while let Some(before) = choice.take() {
            let place = under_way.len();
            let Some(group) = groups.get(place) else { return Finding::Fine };
            if stages.len() == place {
                let (certain, possible) =
                    (group.last_invoked.span.invoked, group.first_returned.span.returned);
                let Some(stage) = sums.advance(group.number, certain, possible) else {
                    return Finding::Wrong(self.impossible(group, reads, sums));
                };
                opened += stage.open.len();
                stages.push(stage);
            }
            if tried.len() > TRIED_MAX || opened > OPEN_MAX {
                return Finding::Unsure;
            }
            if tried.insert((place, before.clone())) {
                under_way.push(sums.ways(&stages[place], &before, self.init));
            }
            while let Some(ways) = under_way.last_mut() {
                choice = ways.next(&mut steps);
                if choice.is_some() {
                    break;
                }
                under_way.pop();
            }
            if steps == 0 {
                return Finding::Unsure;
            }
        }
        match stages.len().checked_sub(1) {
            Some(last) => Finding::Wrong(self.impossible(&groups[last], reads, sums)),
            None => Finding::Fine,
        }
    }

    /// The fault of a group before which no additions can come.
    fn impossible(&self, group: &Group, reads: &[Read], sums: &Additions) -> Fault {
        let (later, bound) = (group.last_invoked, group.first_returned.span.returned);
        if let Some(fault) = self.lacking_least(&later, Some(&group.first_returned), reads, sums) {
            return fault;
        }
        let limit = later.span.invoked.max(bound);
        let kept = sums
            .invoked_before(limit)
            .chain(reads.iter().filter(|read| read.span.invoked <= limit).map(|read| read.id));
        let because = format!(
            "operation {} cannot have found {}: what was certainly added by then, with any of what \
             was being added, does not make it, given all that was read before",
            later.id.0,
            self.sign * later.number
        );
        Fault { kept: kept.collect(), because }
    }
}

/// The groups of `reads`, which are in the order of their numbers.
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
