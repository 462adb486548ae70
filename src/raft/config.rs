//! A node's configuration: every bound by name, and which combinations make no sense.

use core::fmt;
use core::time::Duration;

use crate::types::{Entry, Membership, NodeId};

/// How one node behaves. [`Config::new`] has defaults for a network with round trips of a few
/// milliseconds; every field may be changed before the start.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// The node's id; never 0.
    pub id: NodeId,
    /// Who forms the first membership, this node among them, each voter with its address and
    /// priority. It does so once all have met; a node that has a membership, or is to join a
    /// cluster, needs no founders.
    pub founders: Option<Membership>,
    /// The shortest time without word from a leader after which a node campaigns.
    pub election_timeout_min: Duration,
    /// The longest such time; each wait is drawn anew from between the two (Raft §5.2). A leader
    /// that has not heard from a quorum for this long steps down with its next heartbeat
    /// (`check_quorum`).
    pub election_timeout_max: Duration,
    /// How often a leader says that it is alive.
    pub heartbeat_interval: Duration,
    /// How long a leader keeps to itself that more is committed, while it has nothing else to
    /// say: the next entries or the next heartbeat say it too. Zero says it at once. Followers
    /// apply that much later when nothing follows, and nobody else waits.
    pub commit_delay: Duration,
    /// Ask whether votes would be given before raising the term (thesis §9.6).
    pub pre_vote: bool,
    /// A leader that hears from no quorum steps down (thesis §6.2).
    pub check_quorum: bool,
    /// Refuse votes while a leader has been heard from within `election_timeout_min`
    /// (thesis §4.2.3).
    pub stickiness: bool,
    /// As the leader of an even set of voters, hold its casting vote: the half that the leader is
    /// in goes on if the network splits.
    pub casting_vote: bool,
    /// As the leader, make learners of voters that are silent for too long, and voters of them
    /// again once they are back.
    pub removal: Option<Removal>,
    /// Go on as the last survivor, where silence means death. *Under partition this splits the
    /// brain*: read [`Survivor`] first. Every node has the same.
    pub survivor: Option<Survivor>,
    /// As the leader, hold a lease as long as a quorum answers: reads at the level
    /// [`ReadLevel::Lease`](crate::types::ReadLevel::Lease) need no message then.
    pub lease: Option<Lease>,
    /// The largest command that may be proposed, in bytes.
    pub command_bytes_max: usize,
    /// The most entries one message or one fetch carries.
    pub message_entries_max: usize,
    /// The most bytes of entries one message or one fetch carries; a single larger entry still
    /// travels, alone.
    pub message_bytes_max: usize,
    /// The most appends on their way to one peer.
    pub inflight_messages_max: usize,
    /// The most entries on their way to one peer.
    pub inflight_entries_max: usize,
    /// The most bytes of entries on their way to one peer; a single larger entry still travels,
    /// alone.
    pub inflight_bytes_max: usize,
    /// The most bytes of entries in a leader's log that its own state machine has not applied, for
    /// a proposal to be taken; beyond it proposals are refused as busy. What a new leader inherits
    /// counts too, and while some of that is on its disk alone it takes none.
    pub unapplied_bytes_max: usize,
    /// The most proposals that wait for every live voter, committed ones among them; beyond it
    /// those that are to wait so are refused as busy.
    pub all_live_max: usize,
    /// The most bytes of durable entries kept in memory; older ones are fetched from the disk.
    pub tail_bytes_max: usize,
    /// The most bytes of entries handed to the state machine at once; a single larger entry is
    /// still handed over, alone.
    pub apply_bytes_max: usize,
    /// The most reads that wait on this node, its own and those other nodes forwarded to it.
    pub reads_max: usize,
    /// The most messages that wait for the disk, a candidate's requests apart; beyond it the
    /// newest is dropped, as a network might.
    pub outbox_messages_max: usize,
}

/// When a leader suspends voters by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Removal {
    /// How long a voter is silent before it is suspended.
    pub after: Duration,
    /// How many voters remain in any case. With two, what a quorum has may be on one disk alone;
    /// with one it always is.
    pub voters_min: usize,
    /// How long nothing is changed after a voter was suspended or readmitted.
    pub pause: Duration,
}

/// When the nodes that are left go on without the others, down to the last one.
///
/// **This is correct only if silence means death, in both directions.** Where a network can part
/// two nodes that are both alive, or delay what they say for as long as [`Survivor::after`], each
/// goes on without the other: *the brain splits*, and what was acknowledged by one is lost.
/// `docs/SURVIVOR.md` shows a run in which it does. It is for nodes that crash and a network that
/// does not fail: nodes on one board, say, or on links each of which is doubled.
///
/// In return three nodes outlast two crashes, one after the other or both at once, whichever they
/// are; the one left goes on, and nothing acknowledged is lost. The price: every entry waits for
/// *every* voter's disk, so that after any crash nothing is committed for [`Survivor::after`]; and
/// nodes that all start at the same time, as after a power cut, elect nobody before every voter is
/// there, unless the one that was left alone is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Survivor {
    /// How long a node is silent before it counts as dead; at least four times
    /// `election_timeout_max`. Longer than twice any pause of a process, and any delay of a message
    /// and a heartbeat on top.
    pub after: Duration,
}

/// What leases rest on, and who gets a part of them. Every node of the cluster has the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// By how many millionths a node's clock may run too fast or too slow; at most
    /// [`Lease::DRIFT_PPM_MAX`]. Beyond it reads may be old. A clock counts while its machine is
    /// suspended; that of a virtual machine that was frozen does not, and is outside any bound.
    pub drift_ppm: u32,
    /// Lend the lease to followers that ask for it, and ask for it as a follower: reads at the
    /// level [`ReadLevel::Replica`](crate::types::ReadLevel::Replica) need no message then. Whoever
    /// has a loan and falls silent delays writes until the loan ends, at most
    /// `election_timeout_min`.
    pub replicas: bool,
}

impl Lease {
    /// The largest bound on drift that a configuration may name.
    pub const DRIFT_PPM_MAX: u32 = 500_000;
}

/// Why a configuration is refused: which field, and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// `id` is 0, which names no node.
    IdIsZero,
    /// `heartbeat_interval` is zero.
    HeartbeatIntervalIsZero,
    /// `election_timeout_min` is less than three times `heartbeat_interval`: one late heartbeat
    /// would start an election.
    ElectionTimeoutTooShort,
    /// `election_timeout_max` is less than one and a quarter of `election_timeout_min`: nodes
    /// would campaign at the same time again and again.
    ElectionTimeoutsTooClose,
    /// `election_timeout_max` is over an hour: more likely a wrong unit than a wish.
    ElectionTimeoutTooLong,
    /// `stickiness` without `check_quorum`: followers would keep a leader that hears nobody.
    StickinessWithoutCheckQuorum,
    /// `founders` without this node as a voter, or with members that no cluster may have.
    FoundersWithoutNode,
    /// `removal.after` is less than twice `election_timeout_max`, `removal.voters_min` is 0, or
    /// `removal.pause` is shorter than `removal.after`: a short silence would shrink the cluster.
    RemovalTooEager,
    /// `survivor.after` is less than four times `election_timeout_max`: a short silence would be
    /// taken for death.
    SurvivorTooEager,
    /// `survivor` and `removal`: each suspends voters by rules of its own.
    SurvivorWithRemoval,
    /// `lease.drift_ppm` is over [`Lease::DRIFT_PPM_MAX`]: the clocks would be worth nothing.
    DriftTooLarge,
    /// The named bound is zero, so nothing could ever pass it.
    BoundIsZero(&'static str),
    /// `command_bytes_max` is over `message_bytes_max` less an entry's overhead: the largest
    /// command would break the bound on messages.
    CommandLargerThanMessage,
    /// `message_bytes_max` is over `inflight_bytes_max`: one full message would break the window.
    MessageLargerThanInflight,
    /// `command_bytes_max` with overhead is over `unapplied_bytes_max`: the largest command
    /// could never be proposed.
    CommandLargerThanUnapplied,
}

impl Config {
    /// The default configuration of node `id`.
    #[must_use]
    pub fn new(id: NodeId) -> Config {
        Config {
            id,
            founders: None,
            election_timeout_min: Duration::from_millis(300),
            election_timeout_max: Duration::from_millis(600),
            heartbeat_interval: Duration::from_millis(50),
            commit_delay: Duration::ZERO,
            pre_vote: true,
            check_quorum: true,
            stickiness: true,
            casting_vote: true,
            removal: None,
            survivor: None,
            lease: None,
            command_bytes_max: 1 << 20,
            message_entries_max: 4096,
            message_bytes_max: 2 << 20,
            inflight_messages_max: 64,
            inflight_entries_max: 16384,
            inflight_bytes_max: 8 << 20,
            unapplied_bytes_max: 64 << 20,
            all_live_max: 4096,
            tail_bytes_max: 16 << 20,
            apply_bytes_max: 4 << 20,
            reads_max: 4096,
            outbox_messages_max: 4096,
        }
    }

    /// Says what is wrong with the configuration, if anything is: the first field in the order of
    /// the declaration.
    ///
    /// # Errors
    /// A [`ConfigError`] that names the field or the combination.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.id.0 == 0 {
            return Err(ConfigError::IdIsZero);
        }
        let may_found = |founders: &Membership| {
            founders.incoming().contains(&self.id)
                && founders.is_settled()
                && founders.flaw().is_none()
        };
        if !self.founders.as_ref().is_none_or(may_found) {
            return Err(ConfigError::FoundersWithoutNode);
        }
        if self.heartbeat_interval.is_zero() {
            return Err(ConfigError::HeartbeatIntervalIsZero);
        }
        if self.election_timeout_max > Duration::from_secs(3600) {
            return Err(ConfigError::ElectionTimeoutTooLong);
        }
        if self.election_timeout_min < self.heartbeat_interval.saturating_mul(3) {
            return Err(ConfigError::ElectionTimeoutTooShort);
        }
        if self.election_timeout_max < self.election_timeout_min.saturating_mul(5) / 4 {
            return Err(ConfigError::ElectionTimeoutsTooClose);
        }
        if self.stickiness && !self.check_quorum {
            return Err(ConfigError::StickinessWithoutCheckQuorum);
        }
        if self.removal.is_some_and(|removal| {
            removal.after < self.election_timeout_max.saturating_mul(2)
                || removal.voters_min == 0
                || removal.pause < removal.after
        }) {
            return Err(ConfigError::RemovalTooEager);
        }
        let eager = self.election_timeout_max.saturating_mul(4);
        if self.survivor.is_some_and(|survivor| survivor.after < eager) {
            return Err(ConfigError::SurvivorTooEager);
        }
        if self.survivor.is_some() && self.removal.is_some() {
            return Err(ConfigError::SurvivorWithRemoval);
        }
        if self.lease.is_some_and(|lease| lease.drift_ppm > Lease::DRIFT_PPM_MAX) {
            return Err(ConfigError::DriftTooLarge);
        }
        self.check_bounds()
    }

    fn check_bounds(&self) -> Result<(), ConfigError> {
        let bounds = [
            ("command_bytes_max", self.command_bytes_max),
            ("message_entries_max", self.message_entries_max),
            ("message_bytes_max", self.message_bytes_max),
            ("inflight_messages_max", self.inflight_messages_max),
            ("inflight_entries_max", self.inflight_entries_max),
            ("inflight_bytes_max", self.inflight_bytes_max),
            ("unapplied_bytes_max", self.unapplied_bytes_max),
            ("all_live_max", self.all_live_max),
            ("tail_bytes_max", self.tail_bytes_max),
            ("apply_bytes_max", self.apply_bytes_max),
            ("reads_max", self.reads_max),
            ("outbox_messages_max", self.outbox_messages_max),
        ];
        if let Some((name, _)) = bounds.iter().find(|(_, bound)| *bound == 0) {
            return Err(ConfigError::BoundIsZero(name));
        }
        let largest_entry = self.command_bytes_max.saturating_add(Entry::OVERHEAD_BYTES);
        if largest_entry > self.message_bytes_max {
            return Err(ConfigError::CommandLargerThanMessage);
        }
        if self.message_bytes_max > self.inflight_bytes_max {
            return Err(ConfigError::MessageLargerThanInflight);
        }
        if largest_entry > self.unapplied_bytes_max {
            return Err(ConfigError::CommandLargerThanUnapplied);
        }
        Ok(())
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::IdIsZero => f.write_str("id is 0: give the node an id from 1"),
            ConfigError::HeartbeatIntervalIsZero => f.write_str("heartbeat_interval is zero"),
            ConfigError::ElectionTimeoutTooShort => f.write_str(
                "election_timeout_min is less than three times heartbeat_interval: \
                 raise the one or lower the other",
            ),
            ConfigError::ElectionTimeoutsTooClose => f.write_str(
                "election_timeout_max is less than 1.25 times election_timeout_min: raise it, \
                 or nodes campaign at the same time",
            ),
            ConfigError::ElectionTimeoutTooLong => {
                f.write_str("election_timeout_max is over an hour: check its unit")
            }
            ConfigError::FoundersWithoutNode => {
                f.write_str("founders must be a simple membership with this node as a voter")
            }
            ConfigError::RemovalTooEager => f.write_str(
                "removal.after must be at least twice election_timeout_max, removal.pause at least \
                 removal.after, and removal.voters_min at least 1",
            ),
            ConfigError::SurvivorTooEager => {
                f.write_str("survivor.after must be at least four times election_timeout_max")
            }
            ConfigError::SurvivorWithRemoval => {
                f.write_str("survivor suspends voters by itself: leave removal out")
            }
            ConfigError::DriftTooLarge => f.write_str(
                "lease.drift_ppm is over 500000: a clock that is off by more than half is no clock",
            ),
            ConfigError::StickinessWithoutCheckQuorum => f.write_str(
                "stickiness without check_quorum would keep a leader that hears nobody: \
                 turn both on or both off",
            ),
            ConfigError::BoundIsZero(name) => write!(f, "{name} is 0: nothing could pass it"),
            ConfigError::CommandLargerThanMessage => f.write_str(
                "command_bytes_max plus 32 is over message_bytes_max: the largest command would \
                 not fit a message",
            ),
            ConfigError::MessageLargerThanInflight => f.write_str(
                "message_bytes_max is over inflight_bytes_max: a full message would not fit the \
                 window",
            ),
            ConfigError::CommandLargerThanUnapplied => f.write_str(
                "command_bytes_max plus 32 is over unapplied_bytes_max: the largest command \
                 could never be proposed",
            ),
        }
    }
}

impl core::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut Config)) -> ConfigError {
        let mut config = Config::new(NodeId(1));
        change(&mut config);
        config.check().expect_err("the configuration is wrong")
    }

    #[test]
    fn the_default_is_accepted() {
        assert_eq!(Config::new(NodeId(1)).check(), Ok(()));
    }

    #[test]
    fn each_wrong_field_is_named() {
        use ConfigError::*;
        assert_eq!(refused(|c| c.id = NodeId(0)), IdIsZero);
        assert_eq!(refused(|c| c.heartbeat_interval = Duration::ZERO), HeartbeatIntervalIsZero);
        assert_eq!(refused(|c| c.tail_bytes_max = 0), BoundIsZero("tail_bytes_max"));
        assert_eq!(refused(|c| c.reads_max = 0), BoundIsZero("reads_max"));
        let day = Duration::from_secs(86_400);
        assert_eq!(refused(|c| c.election_timeout_max = day), ElectionTimeoutTooLong);
    }

    #[test]
    fn each_wrong_combination_is_named() {
        use ConfigError::*;
        let ms = Duration::from_millis;
        assert_eq!(refused(|c| c.heartbeat_interval = ms(101)), ElectionTimeoutTooShort);
        assert_eq!(refused(|c| c.election_timeout_max = ms(374)), ElectionTimeoutsTooClose);
        assert_eq!(refused(|c| c.check_quorum = false), StickinessWithoutCheckQuorum);
        let lease = Some(Lease { drift_ppm: Lease::DRIFT_PPM_MAX + 1, replicas: false });
        assert_eq!(refused(|c| c.lease = lease), DriftTooLarge);
        assert_eq!(refused(|c| c.command_bytes_max = 2 << 20), CommandLargerThanMessage);
        let survivor = |after| Some(Survivor { after: ms(after) });
        assert_eq!(refused(|c| c.survivor = survivor(2399)), SurvivorTooEager);
        let removal = Removal { after: ms(1200), voters_min: 1, pause: ms(1200) };
        let both = |c: &mut Config| (c.survivor, c.removal) = (survivor(2400), Some(removal));
        assert_eq!(refused(both), SurvivorWithRemoval);
        assert_eq!(refused(|c| c.inflight_bytes_max = 1 << 20), MessageLargerThanInflight);
        assert_eq!(refused(|c| c.unapplied_bytes_max = 99), CommandLargerThanUnapplied);
    }

    #[test]
    fn the_limits_themselves_are_accepted() {
        let mut config = Config::new(NodeId(1));
        config.heartbeat_interval = Duration::from_millis(100);
        config.election_timeout_max = Duration::from_millis(375);
        config.command_bytes_max = config.message_bytes_max - Entry::OVERHEAD_BYTES;
        assert_eq!(config.check(), Ok(()));
    }
}
