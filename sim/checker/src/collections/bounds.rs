//! Upper and lower bounds of a counter with positive and negative additions.

use crate::collections::additions::{Addition, Read};
use crate::collections::span::Time;
use crate::history::OpId;
use crate::verdict::{Counterexample, Verdict};

/// Finds a read outside the bounds of a counter with the initial number `init`. The upper bound
/// counts all positive additions invoked before the read returned, and only those negative ones
/// that returned before the read was invoked. The lower bound is its mirror image.
pub(crate) fn out_of_bounds(init: i64, additions: &[Addition], reads: &[Read]) -> Option<Verdict> {
    [1, -1].into_iter().find_map(|direction| {
        let towards = Sums::of(additions, |addition| {
            (direction * addition.amount > 0)
                .then_some((addition.span.invoked, direction * addition.amount))
        });
        let away = Sums::of(additions, |addition| {
            let is_certain = direction * addition.amount < 0 && addition.span.is_known();
            is_certain.then_some((addition.span.returned, direction * addition.amount))
        });
        reads.iter().find_map(|read| {
            let most = direction * init + towards.before(read.span.returned);
            let most_left = most + away.before(read.span.invoked);
            if direction * read.number <= most_left {
                return None;
            }
            let mut against: Vec<&Addition> = additions
                .iter()
                .filter(|addition| {
                    direction * addition.amount < 0 && addition.span.returned < read.span.invoked
                })
                .collect();
            against.sort_by_key(|addition| (direction * addition.amount, addition.id));
            Some(out_of_bounds_verdict(direction, read, most, &against))
        })
    })
}

/// Returns the verdict on `read`, which exceeds `most` once enough of the additions `against` it,
/// the largest first, are counted.
fn out_of_bounds_verdict(
    direction: i64,
    read: &Read,
    mut most: i64,
    against: &[&Addition],
) -> Verdict {
    let mut operations: Vec<OpId> = vec![read.id];
    for addition in against {
        if direction * read.number > most {
            break;
        }
        most += direction * addition.amount;
        operations.push(addition.id);
    }
    let minimal = operations.len() == 1;
    operations.sort();
    let reason = format!(
        "operation {} returned {}, although the number cannot be {} than {} between its \
         invocation and its response",
        read.id.0,
        read.number,
        if direction > 0 { "more" } else { "less" },
        direction * most
    );
    Verdict::NotLinearizable(Counterexample { operations, reason, minimal })
}

/// Prefix sums of additions by time.
struct Sums(Vec<(Time, i64)>);

impl Sums {
    fn of(additions: &[Addition], of: impl Fn(&Addition) -> Option<(Time, i64)>) -> Sums {
        let mut sums: Vec<(Time, i64)> = additions.iter().filter_map(of).collect();
        sums.sort_unstable();
        let mut sum = 0;
        for (_, amount) in &mut sums {
            sum += *amount;
            *amount = sum;
        }
        Sums(sums)
    }

    fn before(&self, time: Time) -> i64 {
        let count = self.0.partition_point(|(at, _)| *at < time);
        count.checked_sub(1).map_or(0, |place| self.0[place].1)
    }
}
