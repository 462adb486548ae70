//! Faults that last, several of which may be active at the same host.

use std::time::Duration;

/// The active faults of one kind.
pub(crate) struct Lasting<T> {
    /// The host of each fault, its strength and its end, in the order of their beginnings.
    active: Vec<(u64, T, Duration)>,
}

impl<T> Default for Lasting<T> {
    fn default() -> Lasting<T> {
        Lasting { active: Vec::new() }
    }
}

impl<T: Copy> Lasting<T> {
    /// Begins a fault, which ends at `until`. Other faults of the host have their own ends.
    pub(crate) fn begin(&mut self, host: u64, strength: T, until: Duration) {
        self.active.push((host, strength, until));
    }

    /// Ends the faults that are over at `now`.
    pub(crate) fn end_due(&mut self, now: Duration) {
        self.active.retain(|(.., until)| now < *until);
    }

    /// Ends the faults of one host.
    pub(crate) fn end_at(&mut self, host: u64) {
        self.active.retain(|(struck, ..)| *struck != host);
    }

    /// Ends all faults.
    pub(crate) fn clear(&mut self) {
        self.active.clear();
    }

    /// Returns the hosts with an active fault; a host with several occurs several times.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = u64> {
        self.active.iter().map(|(host, ..)| *host)
    }

    /// Returns the strengths of the active faults of a host, the last one to begin first.
    pub(crate) fn of(&self, host: u64) -> impl Iterator<Item = T> {
        let latest_first = self.active.iter().rev();
        latest_first.filter(move |(struck, ..)| *struck == host).map(|(_, strength, _)| *strength)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_fault_ends_no_other() {
        let mut faults = Lasting::default();
        for (host, strength, until) in [(1, 'a', 5), (1, 'b', 3), (1, 'c', 9), (2, 'd', 4)] {
            faults.begin(host, strength, Duration::from_secs(until));
        }
        for (now, expected) in [(2, "cba"), (3, "ca"), (4, "ca"), (5, "c"), (9, "")] {
            faults.end_due(Duration::from_secs(now));
            assert_eq!(faults.of(1).collect::<String>(), expected, "after {now} s");
        }
    }
}
