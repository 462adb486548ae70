//! The content of heartbeats, and a follower's report about itself, which its replies carry.

use core::fmt;
use core::time::Duration;

use crate::types::id::Index;
use crate::types::version::MachineVersion;

/// The fields of a heartbeat. The receiver measures the durations by its own clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Heartbeat {
    /// The number of the leader's round within its term, from 1.
    pub round: u64,
    /// The leader's commit index.
    pub committed: Index,
    /// The last round that a quorum has answered. When it began, no later leader had been elected.
    /// It is 0 if that round began before the leader had committed an entry of its own term, or if
    /// it is not one of the leader's last 64.
    pub confirmed: u64,
    /// The last round that the receiver has answered, as far as the leader knows. It is 0 until the
    /// leader has committed an entry of its own term, because before that its commit index may not
    /// cover every completed write.
    pub echo: u64,
    /// The vote lease: how long from receipt the receiver withholds its vote from other
    /// candidates; zero without `Config::lease`, and once the leader has asked another node to
    /// campaign.
    #[cfg_attr(feature = "std", serde(with = "crate::types::serial::Nanos"))]
    pub vote_lease: Duration,
    /// The read lease: how long the receiver may answer reads without the leader, counted from
    /// when it sent its answer to round `echo`; zero if the leader grants none.
    #[cfg_attr(feature = "std", serde(with = "crate::types::serial::Nanos"))]
    pub read_lease: Duration,
}

impl Heartbeat {
    /// Returns the heartbeat of a leader that has no confirmed round and no lease.
    #[must_use]
    pub const fn new(round: u64, committed: Index) -> Heartbeat {
        let (vote_lease, read_lease) = (Duration::ZERO, Duration::ZERO);
        Heartbeat { round, committed, confirmed: 0, echo: 0, vote_lease, read_lease }
    }
}

/// The state that a follower reports to its leader in addition to its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Readiness {
    /// Whether it wants a read lease, to answer reads without the leader.
    pub wants_read_lease: bool,
    /// Whether it may lead: its disk completes writes, its state machine is not in quarantine, its
    /// log is certain, no entry after its commit index is damaged, and it knows every membership in
    /// its log.
    pub may_lead: bool,
    /// Whether its log may lack entries that it acknowledged: it then counts in no quorum
    /// (docs/REPAIR.md, R3).
    pub is_uncertain: bool,
    /// The highest version of the rules by which its state machine can apply commands.
    pub version_max: MachineVersion,
}

impl Default for Readiness {
    /// Returns the readiness assumed of a node that has not reported: it may lead, wants no read
    /// lease, and has the first rules only.
    fn default() -> Readiness {
        let (wants_read_lease, version_max) = (false, MachineVersion::FIRST);
        Readiness { wants_read_lease, may_lead: true, is_uncertain: false, version_max }
    }
}

impl fmt::Display for Readiness {
    /// Writes each field that differs from the default, after a space.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.wants_read_lease { " wants read lease" } else { "" })?;
        f.write_str(if self.may_lead { "" } else { " may not lead" })?;
        f.write_str(if self.is_uncertain { " uncertain" } else { "" })?;
        match self.version_max {
            MachineVersion::FIRST => Ok(()),
            version_max => write!(f, " version_max={version_max}"),
        }
    }
}

impl fmt::Display for Heartbeat {
    /// Writes each field after a space: the confirmed round only with a vote lease, and the echoed
    /// round only with a read lease.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Heartbeat { round, committed, confirmed, echo, vote_lease, read_lease } = self;
        write!(f, " round={round} committed={committed}")?;
        if !vote_lease.is_zero() {
            write!(f, " confirmed={confirmed} vote_lease={vote_lease:?}")?;
        }
        if !read_lease.is_zero() {
            write!(f, " echo={echo} read_lease={read_lease:?}")?;
        }
        Ok(())
    }
}
