//! The coverage marks that runs of a profile can reach.

use crate::faults::{Fault, Faults};
use crate::settings::profile::Profile;

/// Faults that change what a disk holds or returns.
const DAMAGE: Faults = Faults::of(&[
    Fault::DamagedBody,
    Fault::BitRot,
    Fault::LostWrite,
    Fault::MisdirectedWrite,
    Fault::FailedRead,
]);

impl Profile {
    /// Whether runs of this profile may reach the mark with this name. False only if the profile
    /// lacks what the mark is about, such as membership changes.
    #[must_use]
    pub fn may_reach(&self, mark: &str) -> bool {
        let (family, rest) = mark.split_once('/').unwrap_or((mark, ""));
        // The operator changes the membership, or leaders remove the votes of dead voters.
        let changes = self.churn_permille > 0 || self.last_survivor;
        let any = |faults: Faults| Fault::ALL.iter().any(|it| faults.has(*it) && self.has(*it));
        let has_damage = any(DAMAGE);
        let goes_down = any(Faults::of(&[Fault::Crash, Fault::Stop]).union(Faults::OF_IDENTITY))
            || any(Faults::OF_DISKS);
        match (family, rest) {
            ("fault", _) => {
                let kind = rest.split('/').next().unwrap_or_default();
                Fault::ALL.iter().any(|fault| fault.name() == kind && self.has(*fault))
            }
            ("size", voters) => self.voters.iter().any(|it| it.to_string() == voters),
            ("leader", "single-voter") => self.voters.contains(&1),
            ("crash", _) => any(Faults::of(&[Fault::Crash]).union(Faults::OF_IDENTITY)),
            ("outcome", "unknown-crash" | "node-down") => goes_down,
            ("restart", "with-damaged-entries") => has_damage,
            ("restart", "rolled-back") => self.has(Fault::Rollback),
            ("restart", "lost-end") => has_damage || self.has(Fault::Rollback),
            ("restart", _) => goes_down,
            ("repair", "certain-again")
            | ("stabilization", "uncertain-in-core")
            | ("message-rejected", "log-uncertain") => has_damage || self.has(Fault::Rollback),
            ("repair", _)
            | ("fetch", "for-repair")
            | ("stabilization", "damaged-in-core")
            | ("received", "request-entries" | "request-entries-reply") => has_damage,
            ("disk", "node-stopped") => any(Faults::OF_DISKS) || has_damage,
            ("disk", "damage-read-while-running" | "node-refuses-to-start") => has_damage,
            ("disk", "node-cannot-start-yet") => {
                any(Faults::of(&[Fault::FullDisk, Fault::FailedRead]))
            }
            ("request-rejected" | "message-rejected", "disk-full") => self.has(Fault::FullDisk),
            ("change", "joint-left" | "joint-left-by-another" | "truncated")
            | ("transfer", "to-higher-priority") => true,
            ("change" | "transfer", _)
            | ("read-lease", "valid-at-transfer")
            | ("stabilization", "change-cancelled") => changes,
            ("stabilization", "learner-in-core") => changes || self.learners_permille > 0,
            ("casting", _) | ("stabilization", "half-of-the-voters") => {
                changes || self.voters.iter().any(|voters| voters % 2 == 0)
            }
            ("identity", "new-disk-votes") => changes && self.has(Fault::Wipe),
            ("identity", _) | ("received" | "message-rejected", "unknown-incarnation") => {
                self.has(Fault::Wipe)
            }
            ("version", _) => self.has(Fault::Upgrade),
            _ => true,
        }
    }

    /// Whether the profile may have runs with this kind of fault.
    fn has(&self, fault: Fault) -> bool {
        let is_listed = self.faults.has(fault) || self.always.has(fault);
        match fault {
            Fault::Change | Fault::Transfer => self.churn_permille > 0,
            Fault::Wipe => self.wipe_permille > 0,
            Fault::Rollback => self.rollback_permille > 0,
            Fault::DamagedBody => is_listed && self.entry_damage_permille > 0,
            _ => is_listed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::coverage::MARKS;

    #[test]
    fn a_default_sweep_may_reach_every_required_mark() {
        let missed = MARKS.iter().filter(|mark| mark.required);
        let mut missed = missed.filter(|mark| !<&Profile>::default().may_reach(mark.name));
        assert_eq!(missed.next(), None);
    }

    #[test]
    fn a_profile_without_membership_changes_is_not_blamed_for_missing_them() {
        let crash = Profile::by_name("crash").expect("the profile exists");
        for mark in
            ["change/completed", "fault/change/leader", "transfer/done", "fault/wipe/leader"]
        {
            assert!(!crash.may_reach(mark), "{mark}");
        }
        for mark in ["fault/crash/leader", "restart/quick", "log/truncated", "size/4"] {
            assert!(crash.may_reach(mark), "{mark}");
        }
        let disk = Profile::by_name("disk").expect("the profile exists");
        assert!(!disk.may_reach("fault/partition/leader") && disk.may_reach("disk/node-stopped"));
        let five = Profile::by_name("five").expect("the profile exists");
        assert!(five.may_reach("size/5") && !five.may_reach("size/3"));
    }
}
