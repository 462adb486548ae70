//! Profiles: named families of runs, each with the faults and cluster shapes it draws from.

use std::fmt;

use crate::faults::{Fault, Faults};
use crate::values::choice::{Choices, Key, Kind};

/// A named family of runs; the seed draws one run from it.
#[derive(Debug, PartialEq, Eq)]
pub struct Profile {
    /// The name on the command line (`--profile`).
    pub name: &'static str,
    /// A short description for `--help`.
    pub summary: &'static str,
    /// The narrower profiles of which some of its runs are, by name, each with the number of these
    /// runs in 1,000. So a sweep also reaches what only those profiles have.
    pub(crate) others: &'static [(&'static str, u64)],
    /// The kinds of faults that its runs draw from.
    pub(crate) faults: Faults,
    /// The kinds of faults that are enabled in every run, except that `Change` and `Transfer` are
    /// enabled only in the runs in which the operator changes the membership (`churn_permille`).
    pub(crate) always: Faults,
    /// The factor by which the network is slower than usual. It scales message latency, timeouts,
    /// client pauses and fault durations; the work of a node itself is not scaled.
    pub(crate) distance: u32,
    /// The possible numbers of initial voters.
    pub(crate) voters: &'static [u8],
    /// The number of runs in 1,000 with learners.
    pub(crate) learners_permille: u64,
    /// The number of runs in 1,000 in which the operator changes the membership.
    pub(crate) churn_permille: u64,
    /// Of the runs with membership changes, the number in 1,000 in which leaders suspend silent
    /// voters and readmit them.
    pub(crate) suspension_permille: u64,
    /// The number of runs in 1,000 in which the nodes start without a membership and bootstrap the
    /// cluster.
    pub(crate) bootstrap_permille: u64,
    /// The number of runs in 1,000 in which nodes lose their disks.
    pub(crate) wipe_permille: u64,
    /// The number of runs in 1,000 in which nodes restart on older copies of their disks.
    pub(crate) rollback_permille: u64,
    /// The number of runs in 1,000 in which the disks of nodes lose bodies of entries, one node's
    /// after the other, if the profile has this kind of fault.
    pub(crate) entry_damage_permille: u64,
    /// The number of runs in 1,000 in which the segments of the log are as small as possible.
    pub(crate) small_segments_permille: u64,
    /// The number of runs in 1,000 in which nodes take a snapshot every few entries, and transfer
    /// snapshots slowly.
    pub(crate) frequent_snapshots_permille: u64,
    /// The number of runs in 1,000 with few faults, each of which lasts for a large part of the
    /// run.
    pub(crate) lasting_permille: u64,
    /// The number of runs in 1,000 in which leaders hold leases.
    pub(crate) leases_permille: u64,
    /// Of the runs with leases, the number in 1,000 in which leaders grant read leases.
    pub(crate) read_leases_permille: u64,
    /// Whether clocks exceed the drift that leases allow for.
    pub(crate) clocks_exceed_lease: bool,
    /// The number of runs in 1,000 with clients that lie in every field of their requests.
    pub(crate) hostile_clients_permille: u64,
    /// Whether the last survivor takes over, because a silent node counts as dead.
    pub(crate) last_survivor: bool,
}

/// The error for an unknown profile name; its text lists the known names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownProfile(pub String);

/// Crashes, and the delays that make a crash in the middle of work likely.
const CRASHES: Faults = Faults::of(&[
    Fault::Crash,
    Fault::Stop,
    Fault::LoadSpike,
    Fault::SlowDisk,
    Fault::SlowApply,
    Fault::Lag,
    Fault::Pause,
]);

/// Crashes, campaigns, and a network that loses, repeats, delays and reorders messages.
const CRASHES_IN_A_BAD_NETWORK: Faults = CRASHES.union(Faults::of(&[
    Fault::Loss,
    Fault::Duplicate,
    Fault::Delay,
    Fault::Reorder,
    Fault::Partition,
    Fault::Campaign,
]));

const DEFAULT: Profile = Profile {
    name: "default",
    summary: "most fault kinds; the search strategy decides which ones occur in a run; some runs \
              are of validation, upgrade and survivor",
    others: &[("validation", 50), ("upgrade", 40), ("survivor", 40)],
    faults: Faults::ALL.without(Faults::of(&[Fault::MachineFault, Fault::Upgrade])),
    always: Faults::NONE,
    distance: 1,
    voters: &[5, 3, 3, 5, 3, 5, 3, 5, 4, 7, 2, 1],
    learners_permille: 200,
    churn_permille: 200,
    suspension_permille: 300,
    bootstrap_permille: 200,
    wipe_permille: 150,
    rollback_permille: 60,
    entry_damage_permille: 250,
    small_segments_permille: 250,
    frequent_snapshots_permille: 200,
    lasting_permille: 80,
    leases_permille: 300,
    read_leases_permille: 700,
    clocks_exceed_lease: false,
    hostile_clients_permille: 100,
    last_survivor: false,
};

/// The faults with which an old leader may hold a lease although another one leads, if clocks
/// exceed the lease's bound.
const CLOCK_FAULTS: [Fault; 5] =
    [Fault::ClockDrift, Fault::ClockStep, Fault::Pause, Fault::Partition, Fault::OneWay];

/// Faults under which a silent node is always dead, because messages between live nodes arrive
/// soon.
const NODE_FAULTS: Faults =
    Faults::of(&[Fault::Crash, Fault::Stop, Fault::LoadSpike, Fault::SlowApply, Fault::Campaign]);

/// The base of the profiles that aim at one thing.
const NARROW: Profile = Profile {
    others: &[],
    lasting_permille: 0,
    hostile_clients_permille: 0,
    rollback_permille: 0,
    ..DEFAULT
};

/// The base of the profiles that have neither membership changes nor lost disks.
const FIXED_MEMBERS: Profile = Profile {
    churn_permille: 0,
    wipe_permille: 0,
    small_segments_permille: 0,
    frequent_snapshots_permille: 0,
    ..NARROW
};

static PROFILES: [Profile; 20] = [
    DEFAULT,
    Profile {
        name: "no-faults",
        summary: "load without faults",
        faults: Faults::NONE,
        ..FIXED_MEMBERS
    },
    Profile {
        name: "five",
        summary: "five voters; faults as in default, but no membership changes and no lost disks",
        voters: &[5],
        learners_permille: 0,
        ..FIXED_MEMBERS
    },
    Profile {
        name: "wide-area",
        summary: "like default, on a wide-area network: 4 to 500 ms latency, long runs",
        others: &[],
        distance: 50,
        ..DEFAULT
    },
    Profile {
        name: "disk",
        summary: "failing, full, stalled and corrupting disks; crashes; no network faults",
        faults: Faults::OF_DISKS.union(Faults::of(&[Fault::Crash, Fault::Stop, Fault::SlowDisk])),
        always: Faults::of(&[Fault::Crash]),
        entry_damage_permille: 500,
        ..FIXED_MEMBERS
    },
    Profile {
        name: "damage",
        summary: "one disk after another loses entries; crashes, partitions, membership changes",
        faults: CRASHES.union(Faults::of(&[
            Fault::DamagedBody,
            Fault::FailedRead,
            Fault::Partition,
            Fault::OneWay,
            Fault::Campaign,
            Fault::Loss,
            Fault::Clog,
        ])),
        always: Faults::of(&[Fault::Crash]),
        voters: &[3, 3, 5, 3, 4],
        churn_permille: 400,
        suspension_permille: 0,
        wipe_permille: 0,
        entry_damage_permille: 1000,
        small_segments_permille: 1000,
        ..NARROW
    },
    Profile {
        name: "crash",
        summary: "crashes at every kind of step; no network faults, no failing disks",
        faults: CRASHES,
        always: Faults::of(&[Fault::Crash]),
        ..FIXED_MEMBERS
    },
    Profile {
        name: "snapshot",
        summary: "snapshots every few entries, slow transfers, nodes that fall behind",
        faults: CRASHES.union(Faults::OF_DISKS).union(Faults::of(&[
            Fault::Loss,
            Fault::Duplicate,
            Fault::Delay,
            Fault::Clog,
            Fault::OneWay,
            Fault::Partition,
            Fault::Campaign,
        ])),
        always: Faults::of(&[Fault::Crash, Fault::Partition]),
        frequent_snapshots_permille: 1000,
        ..FIXED_MEMBERS
    },
    Profile {
        name: "membership",
        summary: "membership changes and leadership transfers, with the faults of default",
        always: Faults::OF_MEMBERS,
        churn_permille: 1000,
        ..NARROW
    },
    Profile {
        name: "validation",
        summary: "faulty state machines, few at a time; crashes and a bad network",
        faults: CRASHES_IN_A_BAD_NETWORK,
        always: Faults::of(&[Fault::MachineFault]),
        voters: &[3, 5, 3, 4, 5, 7],
        ..FIXED_MEMBERS
    },
    Profile {
        name: "upgrade",
        summary: "builds with other rules, rolling upgrades and downgrades; crashes, a bad network",
        faults: CRASHES_IN_A_BAD_NETWORK,
        always: Faults::of(&[Fault::Upgrade]),
        voters: &[3, 5, 3, 4, 5, 2],
        frequent_snapshots_permille: 600,
        ..FIXED_MEMBERS
    },
    Profile {
        name: "even",
        summary: "two, four or six voters, partitioned in half; membership changes in some runs",
        always: Faults::of(&[Fault::Partition]),
        voters: &[4, 2, 4, 6],
        churn_permille: 400,
        ..NARROW
    },
    Profile {
        name: "reads",
        summary: "leader and read leases, clocks at their allowed drift, frequent leader changes",
        faults: DEFAULT.faults.without(Faults::OF_DISKS),
        always: Faults::of(&[
            Fault::ClockDrift,
            Fault::Pause,
            Fault::Crash,
            Fault::Partition,
            Fault::Campaign,
            Fault::Transfer,
            Fault::LoadSpike,
        ]),
        voters: &[3, 5, 3, 4],
        churn_permille: 500,
        leases_permille: 1000,
        ..NARROW
    },
    Profile {
        name: "read-leases",
        summary: "read leases in every run; leaders suspend silent voters and readmit them",
        faults: DEFAULT.faults.without(Faults::OF_DISKS),
        always: Faults::of(&[Fault::Crash, Fault::Partition, Fault::LoadSpike]),
        voters: &[3, 5, 3, 4],
        churn_permille: 1000,
        suspension_permille: 1000,
        wipe_permille: 300,
        leases_permille: 1000,
        read_leases_permille: 1000,
        ..NARROW
    },
    Profile {
        name: "clock",
        summary: "clocks beyond the drift that leases allow: some runs fail, e.g. with stale reads",
        faults: Faults::of(&CLOCK_FAULTS),
        always: Faults::of(&CLOCK_FAULTS),
        voters: &[3, 5],
        learners_permille: 0,
        leases_permille: 1000,
        clocks_exceed_lease: true,
        ..FIXED_MEMBERS
    },
    Profile {
        name: "survivor",
        summary: "three nodes with last-survivor takeover; crashes, no network faults",
        faults: NODE_FAULTS,
        always: Faults::of(&[Fault::Crash]),
        voters: &[3],
        learners_permille: 0,
        last_survivor: true,
        ..FIXED_MEMBERS
    },
    Profile {
        name: "survivor-partitioned",
        summary: "like survivor, with partitions: runs fail with a split brain",
        faults: NODE_FAULTS.union(Faults::of(&[Fault::Partition])),
        always: Faults::of(&[Fault::Partition]),
        voters: &[3],
        learners_permille: 0,
        last_survivor: true,
        ..FIXED_MEMBERS
    },
    Profile {
        name: "hostile-clients",
        summary: "clients that lie in every field of their requests, alongside honest ones",
        frequent_snapshots_permille: 1000,
        hostile_clients_permille: 1000,
        ..FIXED_MEMBERS
    },
    Profile {
        name: "identity",
        summary: "cluster bootstrap; lost disks, and nodes that return with a new disk",
        always: Faults::of(&[Fault::Crash, Fault::Change, Fault::Transfer]),
        voters: &[3, 5, 3, 4, 5, 7],
        churn_permille: 1000,
        bootstrap_permille: 500,
        wipe_permille: 1000,
        rollback_permille: 150,
        ..NARROW
    },
    Profile {
        name: "rollback",
        summary: "nodes restart on older copies of their disks, most of them uncertain",
        always: Faults::of(&[Fault::Crash, Fault::Partition]),
        voters: &[3, 5, 3, 5, 7, 4],
        rollback_permille: 1000,
        wipe_permille: 0,
        ..NARROW
    },
];

impl Profile {
    /// Returns the profile of one run: this profile, or one of the narrower ones of which some of
    /// its runs are.
    pub(super) fn of_run<'a>(&'a self, choices: &Choices) -> &'a Profile {
        let mut draw = choices.draw(Key { counter: 200, ..Kind::Ingredient.key() });
        // The benign choice is this profile.
        let mut rest = 999 - draw.below(1000);
        for (name, permille) in self.others {
            if rest < *permille {
                return Profile::by_name(name).expect("the profile exists");
            }
            rest -= permille;
        }
        self
    }

    /// Returns the profile with this name.
    ///
    /// # Errors
    /// [`UnknownProfile`] if there is no profile with this name.
    pub fn by_name(name: &str) -> Result<&'static Profile, UnknownProfile> {
        PROFILES
            .iter()
            .find(|profile| profile.name == name)
            .ok_or_else(|| UnknownProfile(name.to_owned()))
    }

    /// Returns all profiles; the first is the default.
    #[must_use]
    pub fn all() -> &'static [Profile] {
        &PROFILES
    }

    /// Returns the names of all profiles; the first is the default.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        PROFILES.iter().map(|profile| profile.name).collect()
    }
}

impl Default for &'static Profile {
    fn default() -> &'static Profile {
        &PROFILES[0]
    }
}

impl fmt::Display for UnknownProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown profile `{}`; known profiles: {}", self.0, Profile::names().join(", "))
    }
}

impl std::error::Error for UnknownProfile {}
