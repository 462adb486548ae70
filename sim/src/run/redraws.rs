//! How inevitable a failure was: the share of runs that still fail if all random choices from some
//! time on are redrawn.

use std::fmt;

use crate::observe::outcome::Failure;
use crate::run::{Case, RunOptions};
use crate::values::digest::mix;
use crate::values::time::SimTime;

/// The number of times from which a failed run is redrawn before the bisection.
const POINTS: u64 = 12;
/// The number of bisection steps between two of these times.
const STEPS: u32 = 8;

/// The maximum number of times from which the runs of one case are redrawn.
pub const TIMES_MAX: usize = POINTS as usize + STEPS as usize;

/// The runs that were redrawn from one time on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redraws {
    /// The time from which all random choices were redrawn.
    pub from: SimTime,
    /// The number of runs that failed as the original one did.
    pub failed: u32,
    /// The number of runs.
    pub runs: u32,
}

/// How inevitable the failure of a run was, by time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inevitability {
    /// The redrawn runs, by ascending time.
    pub curve: Vec<Redraws>,
    /// The shortest period that was found in which the failure became inevitable: runs redrawn from
    /// its start on need not fail, and those redrawn from its end on do. `None` if it was
    /// inevitable from the start.
    pub turning_point: Option<(SimTime, SimTime)>,
}

impl Redraws {
    /// Whether at least 95 % of the runs failed.
    fn is_doomed(&self) -> bool {
        self.failed * 20 >= self.runs * 19
    }
}

impl Case {
    /// Measures how inevitable a failure of the case was, which its run reaches at `failed_at`:
    /// `runs` runs are redrawn from each of several times on. Calls `progress` after each time.
    #[must_use]
    pub fn inevitability(
        &self,
        options: &RunOptions,
        failure: &Failure,
        failed_at: SimTime,
        runs: u32,
        mut progress: impl FnMut(),
    ) -> Inevitability {
        let options = RunOptions { trace: None, ..options.clone() };
        let mut redraw = |from: SimTime| {
            let fails = |seed: &u32| {
                let seed = mix(from.0, u64::from(*seed) + 1);
                let redrawn = self.redraw_from(from, seed, options.strategy).run(&options);
                redrawn.failure.is_some_and(|other| other.is_like(failure))
            };
            let failed = (0..runs).filter(fails).count() as u32;
            progress();
            Redraws { from, failed, runs }
        };
        let at = |point: u64| SimTime(failed_at.0 / POINTS * point);
        let mut curve: Vec<Redraws> = (0..POINTS).map(at).map(&mut redraw).collect();
        let doomed = curve.iter().rev().take_while(|point| point.is_doomed()).count();
        let first = curve.len() - doomed;
        let turning_point = first.checked_sub(1).map(|last_open| {
            let until = curve.get(first).map_or(failed_at, |point| point.from);
            let (mut open, mut closed) = (curve[last_open].from, until);
            for _ in 0..STEPS {
                let middle = redraw(SimTime(open.0.midpoint(closed.0)));
                if middle.is_doomed() {
                    closed = middle.from;
                } else {
                    open = middle.from;
                }
                curve.push(middle);
            }
            (open, closed)
        });
        curve.sort_by_key(|point| point.from);
        Inevitability { curve, turning_point }
    }
}

impl fmt::Display for Inevitability {
    /// Prints one line for each time: the time, a bar, and the share of runs that failed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Redraws { from, failed, runs } in &self.curve {
            let bar = "#".repeat((failed * 20 / runs.max(&1)) as usize);
            writeln!(f, "  {from:>10} s  {bar:20}  {failed} of {runs}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_turning_point_lies_between_runs_that_need_not_fail_and_runs_that_do() {
        let options = RunOptions { canary: true, events_max: 5_000, ..RunOptions::default() };
        let seed =
            (0..200).find(|seed| Case::draw(*seed, &options).run(&options).failure.is_some());
        let case = Case::draw(seed.expect("the canary fails"), &options);
        let failure = case.run(&options).failure.expect("it fails");
        let Failure::Safety(violation) = &failure else { panic!("{failure}") };
        let mut times = 0;
        let found = case.inevitability(&options, &failure, violation.at, 1, || times += 1);
        assert_eq!(found.curve.len(), times);
        assert!(found.curve.is_sorted_by_key(|point| point.from));
        let (open, closed) = found.turning_point.expect("it was not inevitable from the start");
        assert!(open < closed && closed <= violation.at);
        assert!(found.curve.iter().any(|point| point.from == open && !point.is_doomed()));
    }
}
