//! Profiles: which storms a run may meet.

use std::fmt;

use crate::fault::{Fault, Faults};

/// A named family of runs. The seed draws one run from it.
#[derive(Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is for, in a few words.
    pub summary: &'static str,
    /// The kinds of faults its runs draw from.
    pub(crate) faults: Faults,
    /// Those of them that every run may meet.
    pub(crate) always: Faults,
    /// How many times as far apart as usual the nodes are: messages, timeouts, clients and faults
    /// take their time by it, the work of a node itself does not.
    pub(crate) distance: u32,
    /// How many voters its runs may begin with.
    pub(crate) voters: &'static [u8],
    /// How many of a thousand of its runs have learners, too.
    pub(crate) learners_permille: u64,
    /// In how many of a thousand of its runs the membership changes.
    pub(crate) churn_permille: u64,
    /// In how many of a thousand of these leaders suspend and readmit voters by themselves.
    pub(crate) removal_permille: u64,
    /// In how many of a thousand of its runs the nodes begin without a membership, and found the
    /// cluster.
    pub(crate) founding_permille: u64,
    /// In how many of a thousand of its runs nodes lose their disks.
    pub(crate) wipe_permille: u64,
    /// In how many of a thousand of its runs nodes start on older images of their disks.
    pub(crate) rollback_permille: u64,
    /// Whether snapshots are taken every few entries, and travel slowly.
    pub(crate) snapshots: bool,
    /// In how many of a thousand of its runs leaders hold leases.
    pub(crate) leases_permille: u64,
    /// In how many of a thousand of these they lend them.
    pub(crate) loans_permille: u64,
    /// Whether clocks stray further than leases allow for.
    pub(crate) clocks_stray: bool,
    /// Whether the last survivor goes on: silence is to mean death.
    pub(crate) survives: bool,
}

/// No profile has the name that was asked for; its text lists those that exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownProfile(pub String);

/// Crashes, and what makes it likely that they find something half done.
const CRASHES: Faults = Faults::of(&[
    Fault::Crash,
    Fault::Stop,
    Fault::Surge,
    Fault::SlowDisk,
    Fault::SlowApply,
    Fault::Lag,
    Fault::Pause,
]);

const EVERYTHING: Profile = Profile {
    name: "default",
    summary: "every fault kind, a random subset in each run",
    faults: Faults::ALL.without(Faults::of(&[Fault::Slip])),
    always: Faults::NONE,
    distance: 1,
    voters: &[5, 3, 3, 5, 3, 5, 3, 5, 4, 7, 2, 1],
    learners_permille: 200,
    churn_permille: 200,
    removal_permille: 300,
    founding_permille: 200,
    wipe_permille: 150,
    rollback_permille: 0,
    snapshots: false,
    leases_permille: 300,
    loans_permille: 700,
    clocks_stray: false,
    survives: false,
};

/// What leaves two leaders at once, if clocks let it.
const STRAYING: [Fault; 5] =
    [Fault::Drift, Fault::Jump, Fault::Pause, Fault::Partition, Fault::OneWay];

/// Nodes that crash and come back; whatever they say while they are up, arrives soon.
const DEATHS: Faults =
    Faults::of(&[Fault::Crash, Fault::Stop, Fault::Surge, Fault::SlowApply, Fault::Campaign]);

/// Runs of which most have nothing to do with members.
const SETTLED: Profile = Profile { churn_permille: 0, wipe_permille: 0, ..EVERYTHING };

static PROFILES: [Profile; 16] = [
    EVERYTHING,
    Profile { name: "calm", summary: "load without faults", faults: Faults::NONE, ..SETTLED },
    Profile {
        name: "five",
        summary: "as default, always with five voters and no learners",
        voters: &[5],
        learners_permille: 0,
        ..SETTLED
    },
    Profile {
        name: "far",
        summary: "as default, between continents: messages take 10 to 600 ms; minutes of storm",
        distance: 50,
        ..EVERYTHING
    },
    Profile {
        name: "disk",
        summary: "disks that fail, fill up, stall, rot and lose writes; crashes; no network faults",
        faults: Faults::of(&Fault::OF_DISKS).and(Faults::of(&[
            Fault::Crash,
            Fault::Stop,
            Fault::SlowDisk,
        ])),
        always: Faults::of(&[Fault::Crash]),
        ..SETTLED
    },
    Profile {
        name: "crash",
        summary: "crashes in the middle of everything; no network faults, no failing disks",
        faults: CRASHES,
        always: Faults::of(&[Fault::Crash]),
        ..SETTLED
    },
    Profile {
        name: "snapshot",
        summary: "snapshots every few entries, slow transfers, nodes that fall behind",
        faults: CRASHES.and(Faults::of(&Fault::OF_DISKS)).and(Faults::of(&[
            Fault::Loss,
            Fault::Duplicate,
            Fault::Delay,
            Fault::Clog,
            Fault::OneWay,
            Fault::Partition,
            Fault::Campaign,
        ])),
        always: Faults::of(&[Fault::Crash, Fault::Partition]),
        snapshots: true,
        ..SETTLED
    },
    Profile {
        name: "member",
        summary: "members come, go, learn and hand over, in the middle of every other fault",
        always: Faults::of(&Fault::OF_MEMBERS),
        churn_permille: 1000,
        ..EVERYTHING
    },
    Profile {
        name: "validation",
        summary: "state machines that err, few at a time; crashes and a bad network",
        faults: CRASHES.and(Faults::of(&[
            Fault::Loss,
            Fault::Duplicate,
            Fault::Delay,
            Fault::Reorder,
            Fault::Partition,
            Fault::Campaign,
        ])),
        always: Faults::of(&[Fault::Slip]),
        voters: &[3, 5, 3, 4, 5, 7],
        ..SETTLED
    },
    Profile {
        name: "even",
        summary: "two, four or six voters that split in halves; members come and go in some runs",
        always: Faults::of(&[Fault::Partition]),
        voters: &[4, 2, 4, 6],
        churn_permille: 400,
        ..EVERYTHING
    },
    Profile {
        name: "reads",
        summary: "leases and loans, clocks off by all that is allowed, leaders that come and go",
        faults: EVERYTHING.faults.without(Faults::of(&Fault::OF_DISKS)),
        always: Faults::of(&[
            Fault::Drift,
            Fault::Pause,
            Fault::Crash,
            Fault::Partition,
            Fault::Campaign,
            Fault::Transfer,
            Fault::Surge,
        ]),
        voters: &[3, 5, 3, 4],
        churn_permille: 500,
        leases_permille: 1000,
        ..EVERYTHING
    },
    Profile {
        name: "replicas",
        summary: "loans in every run; leaders suspend voters and readmit them by themselves",
        faults: EVERYTHING.faults.without(Faults::of(&Fault::OF_DISKS)),
        always: Faults::of(&[Fault::Crash, Fault::Partition, Fault::Surge]),
        voters: &[3, 5, 3, 4],
        churn_permille: 1000,
        removal_permille: 1000,
        wipe_permille: 300,
        leases_permille: 1000,
        loans_permille: 1000,
        ..EVERYTHING
    },
    Profile {
        name: "clock",
        summary: "leases, and clocks off by more than is allowed: reads may be old, and are found",
        faults: Faults::of(&STRAYING),
        always: Faults::of(&STRAYING),
        voters: &[3, 5],
        learners_permille: 0,
        leases_permille: 1000,
        clocks_stray: true,
        ..SETTLED
    },
    Profile {
        name: "survivor",
        summary: "three nodes, of which the last one goes on; crashes, and no silence but death",
        faults: DEATHS,
        always: Faults::of(&[Fault::Crash]),
        voters: &[3],
        learners_permille: 0,
        survives: true,
        ..SETTLED
    },
    Profile {
        name: "survivor-parted",
        summary: "as survivor, and the network parts nodes: the brain splits, and runs fail",
        faults: DEATHS.and(Faults::of(&[Fault::Partition])),
        always: Faults::of(&[Fault::Partition]),
        voters: &[3],
        learners_permille: 0,
        survives: true,
        ..SETTLED
    },
    Profile {
        name: "identity",
        summary: "clusters that found themselves; disks that are lost, and come back as others",
        always: Faults::of(&[Fault::Crash, Fault::Change, Fault::Transfer]),
        voters: &[3, 5, 3, 4, 5, 7],
        churn_permille: 1000,
        founding_permille: 500,
        wipe_permille: 1000,
        rollback_permille: 150,
        ..EVERYTHING
    },
];

impl Profile {
    /// The profile called `name`.
    ///
    /// # Errors
    /// [`UnknownProfile`], which lists the names.
    pub fn by_name(name: &str) -> Result<&'static Profile, UnknownProfile> {
        PROFILES
            .iter()
            .find(|profile| profile.name == name)
            .ok_or_else(|| UnknownProfile(name.to_owned()))
    }

    /// All profiles; the first is the default.
    #[must_use]
    pub fn all() -> &'static [Profile] {
        &PROFILES
    }

    /// The names of all profiles; the first is the default.
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
        write!(f, "unknown profile `{}`; there are: {}", self.0, Profile::names().join(", "))
    }
}

impl std::error::Error for UnknownProfile {}
