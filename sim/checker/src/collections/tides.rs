//! A counter that both grows and shrinks: what it can be at most, and at least.

use crate::collections::additions::{Addition, Read};
use crate::collections::span::Time;
use crate::history::OpId;
use crate::verdict::{Evidence, Verdict};

/// Looks for one of `reads` out of reach of a counter that was at `init`: even if, of what went
/// its way, all was added that was invoked in time, and of the rest only what had returned.
pub(crate) fn out_of_reach(init: i64, additions: &[Addition], reads: &[Read]) -> Option<Verdict> {
    [1, -1].into_iter().find_map(|way| {
        let towards = Sums::of(additions, |addition| {
            (way * addition.more > 0).then_some((addition.span.invoked, way * addition.more))
        });
        let away = Sums::of(additions, |addition| {
            let counts = way * addition.more < 0 && addition.span.is_known();
            counts.then_some((addition.span.returned, way * addition.more))
        });
        reads.iter().find_map(|read| {
            let most = way * init + towards.before(read.span.returned);
            let most_left = most + away.before(read.span.invoked);
            if way * read.number <= most_left {
                return None;
            }
            let mut against: Vec<&Addition> = additions
                .iter()
                .filter(|addition| {
                    way * addition.more < 0 && addition.span.returned < read.span.invoked
                })
                .collect();
            against.sort_by_key(|addition| (way * addition.more, addition.id));
            Some(unreachable_by(way, read, most, &against))
        })
    })
}

/// The verdict on `read`, which is out of reach of `most` if enough of what goes `against` it is
/// counted, the largest first.
fn unreachable_by(way: i64, read: &Read, mut most: i64, against: &[&Addition]) -> Verdict {
    let mut operations: Vec<OpId> = vec![read.id];
    for addition in against {
        if way * read.number > most {
            break;
        }
        most += way * addition.more;
        operations.push(addition.id);
    }
    let minimal = operations.len() == 1;
    operations.sort();
    let because = format!(
        "operation {} found {}, although the number cannot be {} than {} between its \
         invocation and its return",
        read.id.0,
        read.number,
        if way > 0 { "more" } else { "less" },
        way * most
    );
    Verdict::NotLinearizable(Evidence { operations, because, minimal })
}

/// Sums of what happened up to each moment.
struct Sums(Vec<(Time, i64)>);

impl Sums {
    fn of(additions: &[Addition], of: impl Fn(&Addition) -> Option<(Time, i64)>) -> Sums {
        let mut sums: Vec<(Time, i64)> = additions.iter().filter_map(of).collect();
        sums.sort_unstable();
        let mut sum = 0;
        for (_, more) in &mut sums {
            sum += *more;
            *more = sum;
        }
        Sums(sums)
    }

    fn before(&self, time: Time) -> i64 {
        let count = self.0.partition_point(|(at, _)| *at < time);
        count.checked_sub(1).map_or(0, |place| self.0[place].1)
    }
}
