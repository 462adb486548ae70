//! Whether the leader's disk is much slower than the disks of a quorum, so that another node
//! should lead.

use core::time::Duration;

use crate::types::{Index, Instant};

/// How long the leader's disk has been late, compared with the disks of a quorum.
///
/// A measurement begins when a quorum has entries that this disk lacks, and ends when this disk has
/// them as well. A measurement that takes longer than the tolerance is late. A shorter one ends the
/// series of late measurements before it; so does an entry that this disk has before a quorum has
/// it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct DiskLag {
    /// The last entry that a quorum had when the current measurement began, and that time.
    current: Option<(Index, Instant)>,
    /// The consecutive late measurements, if the last one was late.
    late: Option<Late>,
}

/// A series of consecutive late measurements, and whether this disk has been ahead of a quorum
/// since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
struct Late {
    /// The start of the first measurement of the series.
    since: Instant,
    /// The last time at which a measurement of the series was found to be late.
    until: Instant,
    /// The last entry that a quorum had when this disk was first ahead of the quorum after the last
    /// late measurement; `None` if it has not been ahead since.
    overtaken: Option<Index>,
}

/// The durations by which a leader decides that its disk is slow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LagLimits {
    /// The longest time by which a disk may lag behind the disks of a quorum without being late.
    pub(crate) tolerance: Duration,
    /// How long a disk must be late before another node should lead. A longer pause between two
    /// writes makes the earlier measurements void.
    pub(crate) span: Duration,
}

impl DiskLag {
    /// Whether no measurement is under way, none begins, and no series of late ones can end.
    #[inline]
    pub(crate) fn is_idle(&self, committed: Index, durable: Index) -> bool {
        self.current.is_none() && self.late.is_none() && committed <= durable
    }

    /// Records that a quorum has the entries up to `committed`, and this disk those up to
    /// `durable`.
    pub(crate) fn record(
        &mut self,
        committed: Index,
        durable: Index,
        limits: LagLimits,
        now: Instant,
    ) {
        if let Some((index, begin)) = self.current {
            let is_late = now > begin.after(limits.tolerance);
            if is_late {
                let recent = self.late.filter(|late| begin <= late.until.after(limits.span));
                let since = recent.map_or(begin, |late| late.since);
                assert!(since <= now, "a measurement began before it is late");
                self.late = Some(Late { since, until: now, overtaken: None });
            }
            if durable < index {
                return;
            }
            if !is_late {
                self.late = None;
            }
            self.current = None;
        }
        if committed > durable {
            self.current = Some((committed, now));
        } else if let Some(late) = &mut self.late {
            if late.overtaken.is_some_and(|overtaken| committed > overtaken) {
                self.late = None;
            } else if durable > committed {
                late.overtaken.get_or_insert(committed);
            }
        }
    }

    /// Whether all measurements during a whole [`LagLimits::span`] were late, and the last of them
    /// is recent.
    pub(crate) fn is_lasting(&self, limits: LagLimits, now: Instant) -> bool {
        self.late.is_some_and(|Late { since, until, .. }| {
            until >= since.after(limits.span) && now <= until.after(limits.span)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: LagLimits =
        LagLimits { tolerance: Duration::from_nanos(10), span: Duration::from_nanos(100) };

    /// Records writes, each of which ends `lag` after a quorum's, and returns the time at which the
    /// disk first counts as slow.
    fn lasting_after(lag: u64, pause: u64) -> Option<u64> {
        let mut disk = DiskLag::default();
        let mut now = 0;
        for index in 1..=20 {
            disk.record(Index(index), Index(index - 1), LIMITS, Instant(now));
            now += lag;
            disk.record(Index(index), Index(index), LIMITS, Instant(now));
            if disk.is_lasting(LIMITS, Instant(now)) {
                return Some(now);
            }
            now += pause;
        }
        None
    }

    #[test]
    fn only_a_disk_that_is_late_for_the_whole_span_is_slow() {
        assert_eq!(lasting_after(10, 0), None, "it is within the tolerance");
        assert_eq!(lasting_after(30, 0), Some(120));
        assert_eq!(lasting_after(30, 20), Some(130));
        assert_eq!(lasting_after(30, 101), None, "a pause makes earlier measurements void");
    }

    #[test]
    fn one_write_in_time_resets_the_measurements() {
        let mut disk = DiskLag::default();
        for (committed, durable, now) in [(1, 0, 0), (1, 1, 90), (2, 1, 90), (2, 2, 95)] {
            disk.record(Index(committed), Index(durable), LIMITS, Instant(now));
        }
        disk.record(Index(3), Index(2), LIMITS, Instant(100));
        disk.record(Index(3), Index(3), LIMITS, Instant(150));
        assert!(!disk.is_lasting(LIMITS, Instant(150)), "late for 50 only");
    }

    #[test]
    fn a_disk_that_overtakes_a_quorum_again_is_not_slow() {
        let mut disk = DiskLag::default();
        let mut record = |committed, durable, now| {
            disk.record(Index(committed), Index(durable), LIMITS, Instant(now));
            disk.is_lasting(LIMITS, Instant(now))
        };
        record(1, 0, 0);
        assert!(record(1, 1, 150));
        assert!(record(2, 2, 160), "a quorum had to wait for the disk");
        assert!(record(2, 3, 170), "nothing was committed since");
        assert!(!record(3, 3, 180), "the disk had the entry first");
        assert!(disk.is_idle(Index(3), Index(3)));
    }

    #[test]
    fn entries_that_a_quorum_gets_meanwhile_do_not_prolong_a_measurement() {
        let mut disk = DiskLag::default();
        for now in 0..200 {
            // A disk that is five entries behind, and gets each one in time.
            disk.record(Index(now + 5), Index(now), LIMITS, Instant(now));
        }
        assert!(!disk.is_lasting(LIMITS, Instant(200)));
    }

    #[test]
    fn old_measurements_do_not_count() {
        let mut disk = DiskLag::default();
        disk.record(Index(1), Index(0), LIMITS, Instant(0));
        disk.record(Index(1), Index(1), LIMITS, Instant(150));
        assert!(disk.is_lasting(LIMITS, Instant(250)));
        assert!(!disk.is_lasting(LIMITS, Instant(251)));
    }
}
