//! A node's configuration: timeouts, features and bounds, and the check of their combinations.

use core::time::Duration;

use crate::types::text::texts;
use crate::types::{Entry, Membership, NodeId, Restored};

/// The configuration of one node. The defaults of [`Config::new`] suit a network with round trips
/// of a few milliseconds. Every field may be changed before the start; [`Config::check`] rejects
/// invalid combinations. Every limit on a number of bytes or of items must be at least 1.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Config {
    /// The node's id; never 0.
    pub id: NodeId,
    /// The members of a new cluster, including this node, each with its address and priority. All
    /// of them must be voters, because the first membership takes effect once all members have
    /// agreed on it, and learners take no part in the agreement. None of them may hold the casting
    /// vote, which the first leader takes. The members agree on ids and disks; the member with the
    /// lowest id determines the addresses and priorities. `None` for a node that joins an existing
    /// cluster. A node that already has a membership ignores this field.
    pub bootstrap_peers: Option<Membership>,
    /// The shortest time without leader contact after which a node campaigns; at least three times
    /// `heartbeat_interval`. Choose at least three times the longest round trip between two nodes,
    /// plus the time of a slow flush. A candidate campaigns again if the votes have not arrived
    /// within its timeout. While the log grows, a new voter must receive and acknowledge the
    /// entries of its last catch-up round within `election_timeout_min`. If a node with leases
    /// restarts with a shorter value, a vote lease of the previous length may still be in force:
    /// the shorter value takes full effect only once twice the previous one has passed since the
    /// restart, or later if `Lease::drift_ppm` is large.
    pub election_timeout_min: Duration,
    /// The longest time without leader contact after which a node campaigns; at least 1.25 times
    /// `election_timeout_min`, or equal to it, and at most an hour. Each timeout is drawn between
    /// the two values (Raft §5.2). With equal values every timeout is the same. This suits only
    /// tests that drive the nodes one by one, because nodes with equal timeouts may campaign at the
    /// same time again and again. While other voters have a higher priority, the node waits longer,
    /// by less than the difference of the two values. With `check_quorum`, a leader that has not
    /// heard from a quorum for this long steps down when its next heartbeat is due.
    pub election_timeout_max: Duration,
    /// The time between two heartbeat rounds of a leader; longer than zero.
    pub heartbeat_interval: Duration,
    /// The longest time for which a leader holds back a new commit index, so that the next entries
    /// or heartbeat can carry it. After that time, the leader sends a message with only the index;
    /// with zero, it sends one at once. Followers may apply an entry, and answer a read that waits
    /// for it, up to this much later; the leader's commits and acknowledgements are not delayed.
    pub commit_delay: Duration,
    /// Whether a node asks for pre-votes before it raises its term (thesis §9.6).
    pub pre_vote: bool,
    /// Whether a leader without contact with a quorum steps down (thesis §6.2); with `survivor`, it
    /// does not.
    pub check_quorum: bool,
    /// Whether a node rejects vote requests if it has heard from a leader within the last
    /// `election_timeout_min` (thesis §4.2.3). Requires `check_quorum`.
    pub stickiness: bool,
    /// Whether the leader of an even number of voters takes the casting vote, by a membership
    /// change in the log. Half of the voters are then a quorum if they include the holder of the
    /// casting vote: when the network splits the voters into halves, the leader's half can still
    /// commit entries and elect a leader. Has no effect with `survivor`.
    pub casting_vote: bool,
    /// The rules by which a leader suspends silent voters, and readmits them once they are back;
    /// `None` turns suspension off. A voter is a learner while it is suspended.
    pub suspension: Option<Suspension>,
    /// The rules by which nodes continue without silent nodes, down to the last survivor; `None`
    /// turns this mode off. *In this mode, a network partition causes split brain*: read
    /// [`Survivor`] first. All nodes need the same value.
    pub survivor: Option<Survivor>,
    /// The lease that a leader holds while a quorum answers its heartbeats; `None` turns leases
    /// off. Under a lease, reads at the level [`ReadLevel::Lease`](crate::types::ReadLevel::Lease)
    /// need no message.
    pub lease: Option<Lease>,
    /// The largest command that may be proposed, in bytes. The store of every node must have room
    /// for it, because a follower stores whatever its leader has accepted.
    pub command_bytes_max: usize,
    /// The maximum number of entries in one message, one fetch or one batch for the state machine.
    /// `wire` encodes no message with more than
    /// [`Body::ENTRIES_MAX`](crate::types::Body::ENTRIES_MAX).
    pub message_entries_max: usize,
    /// The maximum number of bytes of entries in one message, or in one fetch for a peer; a single
    /// larger entry is sent alone. `wire` encodes no message of more than 8 MiB.
    pub message_bytes_max: usize,
    /// The maximum number of append messages in flight to one peer.
    pub inflight_messages_max: usize,
    /// The maximum number of entries in flight to one peer.
    pub inflight_entries_max: usize,
    /// The maximum number of bytes of entries in flight to one peer; a single larger entry is sent
    /// alone.
    pub inflight_bytes_max: usize,
    /// The maximum number of bytes of entries in a leader's log that its own state machine has not
    /// applied, or that are not on its own disk. A leader can commit entries before its disk has
    /// them, and keeps them in memory until then. It rejects proposals that would exceed this limit
    /// as busy. Entries of earlier terms count too: while an unapplied one of them is not in
    /// memory, the leader does not know its size and accepts no proposal.
    pub unapplied_bytes_max: usize,
    /// The maximum number of proposals that wait for every live voter, including committed ones. A
    /// leader rejects further proposals of this kind as busy.
    pub all_live_max: usize,
    /// The maximum number of bytes of durable entries kept in memory; older ones are fetched from
    /// the disk.
    pub tail_bytes_max: usize,
    /// The maximum number of bytes of entries passed to the state machine at once; a single larger
    /// entry is passed alone.
    pub apply_bytes_max: usize,
    /// The maximum number of reads waiting on this node, its own and those that other nodes
    /// forwarded to it.
    pub reads_max: usize,
    /// The maximum number of messages waiting for the disk. When the limit is reached, the node
    /// drops each new message that would have to wait, as a network might drop it, unless it is a
    /// candidate's vote request.
    pub outbox_messages_max: usize,
}

/// The rules by which a leader suspends silent voters and readmits them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Suspension {
    /// How long a voter must be silent before the leader suspends it; at least twice
    /// `election_timeout_max`.
    pub after: Duration,
    /// The smallest number of voters that a suspension may leave; at least 1. With two voters left,
    /// the leader commits alone if it holds the casting vote; with one, it always commits alone. A
    /// committed entry may then be on one disk only.
    pub voters_min: usize,
    /// The shortest time between two automatic suspensions or readmissions; at least `after`. A new
    /// leader counts it from the last one that it has seen since its start.
    pub pause: Duration,
}

/// The rules by which the surviving nodes continue without the others, down to the last one.
///
/// **This mode is safe only if silence always means a crash: a node that another node does not hear
/// from must have crashed.** If a network can separate two live nodes, or delay their messages for
/// as long as [`Survivor::after`], each of them continues without the other. That is *split brain*,
/// and entries that one of them committed are lost. `docs/SURVIVOR.md` shows such a run. The mode
/// is for nodes that crash and a network that does not fail, such as nodes on one board, or nodes
/// with redundant links.
///
/// In return, three nodes survive any two crashes, one after the other or both at once: the last
/// one continues, and no committed entry is lost. The price: every entry waits for *every* voter's
/// disk, so after any crash nothing is committed for [`Survivor::after`]. Nodes that all start
/// at the same time, as after a power cut, elect no leader before every voter is up. Once the last
/// survivor has taken over, it is the only voter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Survivor {
    /// The silence after which a node counts as dead; at least four times `election_timeout_max`.
    /// It must exceed twice the longest pause of a process. It must also exceed the sum of the
    /// longest delay of a message and a heartbeat interval.
    pub after: Duration,
}

/// The parameters of leader leases. All nodes of a cluster need the same value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Lease {
    /// The largest clock rate error, in parts per million; at most [`Lease::DRIFT_PPM_MAX`]. With a
    /// larger error, reads may be stale. A clock must advance while its machine is suspended; the
    /// clock of a frozen virtual machine does not, so its error exceeds any bound.
    pub drift_ppm: u32,
    /// Whether a leader grants read leases, and a follower requests them: reads at the level
    /// [`ReadLevel::Replica`](crate::types::ReadLevel::Replica) then need no message. A holder that
    /// falls silent delays commits until its read lease ends, at most `election_timeout_min`.
    pub read_leases: bool,
}

impl Lease {
    /// The largest clock rate error that a configuration may name, in parts per million.
    pub const DRIFT_PPM_MAX: u32 = 500_000;
}

/// Why a configuration is invalid. The text names the field or the combination, and the remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// `id` is 0, which names no node.
    IdIsZero,
    /// `heartbeat_interval` is zero: a leader would send heartbeats without end.
    HeartbeatIntervalIsZero,
    /// `election_timeout_min` is less than three times `heartbeat_interval`: one late heartbeat
    /// would start an election.
    ElectionTimeoutTooShort {
        /// The shortest election timeout, less than three heartbeat intervals.
        election_timeout_min: Duration,
        /// The interval of heartbeats, more than a third of that timeout.
        heartbeat_interval: Duration,
    },
    /// `election_timeout_max` is less than 1.25 times `election_timeout_min` and not equal to it:
    /// nodes would campaign at the same time again and again.
    ElectionTimeoutsTooClose {
        /// The shortest election timeout.
        election_timeout_min: Duration,
        /// The longest election timeout, less than 1.25 times the shortest.
        election_timeout_max: Duration,
    },
    /// The configured `election_timeout_max` is over an hour, which is probably a wrong unit.
    ElectionTimeoutTooLong(Duration),
    /// `stickiness` without `check_quorum`: followers would keep a leader that hears no quorum.
    StickinessWithoutCheckQuorum,
    /// `bootstrap_peers` lacks this node as a voter, has a member that is not a voter, has a holder
    /// of the casting vote, or is an invalid, a staged or a joint membership.
    InvalidBootstrapPeers,
    /// `bootstrap_peers` has an address with white space or a control character, at the named node.
    /// A node that has a membership already ignores the list, and starts.
    InvalidAddress(NodeId),
    /// `suspension.after` is less than twice `election_timeout_max`, `suspension.voters_min` is 0,
    /// or `suspension.pause` is shorter than `suspension.after`: the leader would suspend voters
    /// too soon, too many of them, or too often.
    SuspensionTooEager {
        /// The settings, one of which is out of its bounds.
        suspension: Suspension,
        /// The longest election timeout, which bounds `suspension.after` from below.
        election_timeout_max: Duration,
    },
    /// `survivor.after` is less than four times `election_timeout_max`: a short silence would count
    /// as death.
    SurvivorTooEager {
        /// The configured `survivor.after`.
        after: Duration,
        /// The longest election timeout, which bounds `after` from below.
        election_timeout_max: Duration,
    },
    /// `survivor` together with `suspension`: each suspends voters by its own rules.
    SurvivorWithSuspension,
    /// The configured `lease.drift_ppm` exceeds [`Lease::DRIFT_PPM_MAX`]: leases would be too short
    /// to use.
    DriftTooLarge(u32),
    /// The named limit is zero, so the node could do nothing within it.
    BoundIsZero(&'static str),
    /// `command_bytes_max` plus the overhead of an entry exceeds `message_bytes_max`: the largest
    /// command would fit in no message.
    CommandLargerThanMessage {
        /// The size of the largest command.
        command_bytes_max: usize,
        /// The size of the largest message, which must contain that command.
        message_bytes_max: usize,
    },
    /// `message_bytes_max` exceeds `inflight_bytes_max`: a full message would not fit in the
    /// window.
    MessageLargerThanInflight {
        /// The size of the largest message.
        message_bytes_max: usize,
        /// The size of the window, which must contain that message.
        inflight_bytes_max: usize,
    },
    /// `command_bytes_max` plus the overhead of an entry exceeds `unapplied_bytes_max`: the largest
    /// command could never be proposed.
    CommandLargerThanUnapplied {
        /// The size of the largest command.
        command_bytes_max: usize,
        /// The bound on unapplied entries, which must contain that command.
        unapplied_bytes_max: usize,
    },
}

/// Lists the bounds of a configuration with their names. The macro also takes the name of every
/// other field, so that a new field does not compile until it is listed.
macro_rules! bounds {
    ($config:expr; $($ruled:ident)*; $($bound:ident)*) => {{
        let Config { $($ruled: _,)* $($bound,)* } = $config;
        [$((stringify!($bound), *$bound)),*]
    }};
}

impl Config {
    /// Returns the default configuration of node `id`.
    #[must_use]
    pub fn new(id: NodeId) -> Config {
        Config {
            id,
            bootstrap_peers: None,
            election_timeout_min: Duration::from_millis(300),
            election_timeout_max: Duration::from_millis(600),
            heartbeat_interval: Duration::from_millis(50),
            commit_delay: Duration::ZERO,
            pre_vote: true,
            check_quorum: true,
            stickiness: true,
            casting_vote: true,
            suspension: None,
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

    /// The duration of the vote lease that a leader requests with its heartbeats.
    pub(crate) fn vote_lease_span(&self) -> Duration {
        self.election_timeout_min
    }

    /// How long a bootstrap peer waits, from its start and from each message of a node that has a
    /// membership, before it agrees to a first membership. In this time a cluster that exists
    /// contacts the members whose disks were lost: its leader sends heartbeats, or it elects one.
    pub(crate) fn bootstrap_wait(&self) -> Duration {
        self.election_timeout_max.saturating_mul(2)
    }

    /// Checks every field, and the combinations of fields.
    ///
    /// # Errors
    /// A [`ConfigError`] that names one invalid field or combination.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.id.0 == 0 {
            return Err(ConfigError::IdIsZero);
        }
        if !self.has_valid_bootstrap_peers() {
            return Err(ConfigError::InvalidBootstrapPeers);
        }
        self.check_timeouts()?;
        if self.stickiness && !self.check_quorum {
            return Err(ConfigError::StickinessWithoutCheckQuorum);
        }
        self.check_silence()?;
        if let Some(Lease { drift_ppm, .. }) = self.lease
            && drift_ppm > Lease::DRIFT_PPM_MAX
        {
            return Err(ConfigError::DriftTooLarge(drift_ppm));
        }
        self.check_bounds()
    }

    fn check_timeouts(&self) -> Result<(), ConfigError> {
        let Config { election_timeout_min, election_timeout_max, heartbeat_interval, .. } = *self;
        if heartbeat_interval.is_zero() {
            return Err(ConfigError::HeartbeatIntervalIsZero);
        }
        if election_timeout_max > Duration::from_secs(3600) {
            return Err(ConfigError::ElectionTimeoutTooLong(election_timeout_max));
        }
        if election_timeout_min < heartbeat_interval.saturating_mul(3) {
            return Err(ConfigError::ElectionTimeoutTooShort {
                election_timeout_min,
                heartbeat_interval,
            });
        }
        let is_fixed = election_timeout_max == election_timeout_min;
        if !is_fixed && election_timeout_max < election_timeout_min.saturating_mul(5) / 4 {
            return Err(ConfigError::ElectionTimeoutsTooClose {
                election_timeout_min,
                election_timeout_max,
            });
        }
        Ok(())
    }

    /// Checks the rules by which silent voters are suspended or counted as dead.
    fn check_silence(&self) -> Result<(), ConfigError> {
        let election_timeout_max = self.election_timeout_max;
        if let Some(suspension) = self.suspension
            && (suspension.after < election_timeout_max.saturating_mul(2)
                || suspension.voters_min == 0
                || suspension.pause < suspension.after)
        {
            return Err(ConfigError::SuspensionTooEager { suspension, election_timeout_max });
        }
        if let Some(Survivor { after }) = self.survivor
            && after < election_timeout_max.saturating_mul(4)
        {
            return Err(ConfigError::SurvivorTooEager { after, election_timeout_max });
        }
        if self.survivor.is_some() && self.suspension.is_some() {
            return Err(ConfigError::SurvivorWithSuspension);
        }
        Ok(())
    }

    fn check_bounds(&self) -> Result<(), ConfigError> {
        if let Some((name, _)) = self.bounds().into_iter().find(|(_, bound)| *bound == 0) {
            return Err(ConfigError::BoundIsZero(name));
        }
        let Config { command_bytes_max, message_bytes_max, .. } = *self;
        let Config { inflight_bytes_max, unapplied_bytes_max, .. } = *self;
        if self.largest_entry_bytes() > message_bytes_max {
            return Err(ConfigError::CommandLargerThanMessage {
                command_bytes_max,
                message_bytes_max,
            });
        }
        if message_bytes_max > inflight_bytes_max {
            return Err(ConfigError::MessageLargerThanInflight {
                message_bytes_max,
                inflight_bytes_max,
            });
        }
        if self.largest_entry_bytes() > unapplied_bytes_max {
            return Err(ConfigError::CommandLargerThanUnapplied {
                command_bytes_max,
                unapplied_bytes_max,
            });
        }
        Ok(())
    }

    /// Does the checks of [`Config::check`] and, if the node has no membership, also checks that
    /// the bootstrap peers have valid addresses and no casting vote. A node that has a membership
    /// may run with bootstrap peers that an earlier build accepted.
    pub(crate) fn check_start(&self, restored: &Restored) -> Result<(), ConfigError> {
        self.check()?;
        let is_new = restored.memberships.is_empty() && restored.snapshot.membership.is_empty();
        let peers = self.bootstrap_peers.iter().filter(|_| is_new);
        if peers.clone().any(|peers| peers.incoming().casting().is_some()) {
            return Err(ConfigError::InvalidBootstrapPeers);
        }
        let mut members = peers.flat_map(|peers| peers.members());
        let invalid = members.find(|member| !member.address.is_printable());
        invalid.map_or(Ok(()), |member| Err(ConfigError::InvalidAddress(member.id)))
    }

    fn has_valid_bootstrap_peers(&self) -> bool {
        self.bootstrap_peers.as_ref().is_none_or(|peers| {
            // A learner is invalid, because only voters agree on the first membership.
            peers.incoming().contains(&self.id)
                && peers.ids().all(|id| peers.incoming().contains(&id))
                && peers.is_settled()
                && peers.violation().is_none()
        })
    }

    fn largest_entry_bytes(&self) -> usize {
        self.command_bytes_max.saturating_add(Entry::OVERHEAD_BYTES)
    }

    /// The bounds that must be at least 1, with their names.
    fn bounds(&self) -> [(&'static str, usize); 12] {
        bounds! { self;
            id bootstrap_peers election_timeout_min election_timeout_max heartbeat_interval
            commit_delay pre_vote check_quorum stickiness casting_vote suspension survivor lease;
            command_bytes_max message_entries_max message_bytes_max inflight_messages_max
            inflight_entries_max inflight_bytes_max unapplied_bytes_max all_live_max tail_bytes_max
            apply_bytes_max reads_max outbox_messages_max
        }
    }
}

texts! { ConfigError:
    Self::IdIsZero => "id is 0: it must be at least 1";
    Self::HeartbeatIntervalIsZero => "heartbeat_interval is zero: set a longer interval";
    Self::ElectionTimeoutTooShort { election_timeout_min, heartbeat_interval } =>
        "election_timeout_min is {election_timeout_min:?}, less than three times \
         heartbeat_interval, which is {heartbeat_interval:?}: raise the first or lower the second";
    Self::ElectionTimeoutsTooClose { election_timeout_min, election_timeout_max } =>
        "election_timeout_max is {election_timeout_max:?}, less than 1.25 times \
         election_timeout_min, which is {election_timeout_min:?}: raise the first, or nodes \
         campaign at the same time";
    Self::ElectionTimeoutTooLong(timeout) =>
        "election_timeout_max is {timeout:?}, over an hour: check its unit";
    Self::InvalidBootstrapPeers =>
        "bootstrap_peers must be a valid membership of voters without a casting vote, with this \
         node among them";
    Self::InvalidAddress(id) =>
        "the address of {id} in bootstrap_peers has white space or a control character: remove it";
    Self::SuspensionTooEager {
        suspension: Suspension { after, voters_min, pause }, election_timeout_max
    } =>
        "suspension.after is {after:?}, which must be at least twice election_timeout_max \
         ({election_timeout_max:?}); suspension.pause is {pause:?}, which must be at least \
         suspension.after; suspension.voters_min is {voters_min}, which must be at least 1";
    Self::SurvivorTooEager { after, election_timeout_max } =>
        "survivor.after is {after:?}: it must be at least four times election_timeout_max, which \
         is {election_timeout_max:?}";
    Self::SurvivorWithSuspension =>
        "survivor and suspension both suspend voters: configure only one";
    Self::DriftTooLarge(drift) => "lease.drift_ppm is {drift}: set at most 500000 (50 %)";
    Self::StickinessWithoutCheckQuorum =>
        "stickiness without check_quorum would keep a leader that hears no quorum: turn both on \
         or both off";
    Self::BoundIsZero(name) => "{name} is 0: it must be at least 1";
    Self::CommandLargerThanMessage { command_bytes_max, message_bytes_max } =>
        "command_bytes_max is {command_bytes_max}, which plus 32 bytes of overhead is over \
         message_bytes_max, {message_bytes_max}: lower the first or raise the second, or the \
         largest command fits in no message";
    Self::MessageLargerThanInflight { message_bytes_max, inflight_bytes_max } =>
        "message_bytes_max is {message_bytes_max}, over inflight_bytes_max, \
         {inflight_bytes_max}: lower the first or raise the second, or a full message does not \
         fit in the window";
    Self::CommandLargerThanUnapplied { command_bytes_max, unapplied_bytes_max } =>
        "command_bytes_max is {command_bytes_max}, which plus 32 bytes of overhead is over \
         unapplied_bytes_max, {unapplied_bytes_max}: lower the first or raise the second, or the \
         largest command is never accepted";
}

const _: () = assert!(Entry::OVERHEAD_BYTES == 32, "the texts of errors name the overhead");
const _: () = assert!(Lease::DRIFT_PPM_MAX == 500_000, "the text of an error names the bound");

impl core::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Address, Member};

    fn rejected(change: impl FnOnce(&mut Config)) -> ConfigError {
        let mut config = Config::new(NodeId(1));
        change(&mut config);
        config.check().expect_err("the configuration is invalid")
    }

    #[test]
    fn the_default_is_accepted() {
        assert_eq!(Config::new(NodeId(1)).check(), Ok(()));
    }

    #[test]
    fn wrong_fields_are_named() {
        use ConfigError::*;
        assert_eq!(rejected(|c| c.id = NodeId(0)), IdIsZero);
        assert_eq!(rejected(|c| c.heartbeat_interval = Duration::ZERO), HeartbeatIntervalIsZero);
        assert_eq!(rejected(|c| c.tail_bytes_max = 0), BoundIsZero("tail_bytes_max"));
        assert_eq!(rejected(|c| c.reads_max = 0), BoundIsZero("reads_max"));
        let day = Duration::from_secs(86_400);
        assert_eq!(rejected(|c| c.election_timeout_max = day), ElectionTimeoutTooLong(day));
    }

    #[test]
    fn each_wrong_combination_is_named_with_its_numbers() {
        use ConfigError::*;
        let ms = Duration::from_millis;
        let too_short = rejected(|c| c.heartbeat_interval = ms(101));
        assert_eq!(
            too_short,
            ElectionTimeoutTooShort { election_timeout_min: ms(300), heartbeat_interval: ms(101) }
        );
        assert!(too_short.to_string().contains("is 300ms, less than three times"), "{too_short}");
        let too_close = rejected(|c| c.election_timeout_max = ms(374));
        assert!(matches!(too_close, ElectionTimeoutsTooClose { .. }), "{too_close}");
        let below = rejected(|c| c.election_timeout_max = ms(299));
        assert!(matches!(below, ElectionTimeoutsTooClose { .. }), "{below}");
        assert_eq!(rejected(|c| c.check_quorum = false), StickinessWithoutCheckQuorum);
        let peers = |ids: [u64; 2]| Membership::new(ids.map(NodeId));
        let with_learner = peers([1, 2]).with_learners([NodeId(3)]);
        for invalid in [peers([2, 3]), with_learner] {
            let error = rejected(|c| c.bootstrap_peers = Some(invalid));
            assert_eq!(error, InvalidBootstrapPeers);
        }
        let drift_ppm = Lease::DRIFT_PPM_MAX + 1;
        let lease = Some(Lease { drift_ppm, read_leases: false });
        assert_eq!(rejected(|c| c.lease = lease), DriftTooLarge(drift_ppm));
        let command = rejected(|c| c.command_bytes_max = 2 << 20);
        assert!(matches!(command, CommandLargerThanMessage { .. }), "{command}");
        let survivor = |after| Some(Survivor { after: ms(after) });
        assert_eq!(
            rejected(|c| c.survivor = survivor(2399)),
            SurvivorTooEager { after: ms(2399), election_timeout_max: ms(600) }
        );
        let suspension = Suspension { after: ms(1200), voters_min: 1, pause: ms(1200) };
        for eager in [
            Suspension { after: ms(1199), ..suspension },
            Suspension { voters_min: 0, ..suspension },
            Suspension { pause: ms(1199), ..suspension },
        ] {
            let error = rejected(|c| c.suspension = Some(eager));
            assert!(matches!(error, SuspensionTooEager { .. }), "{error}");
        }
        let both = |c: &mut Config| (c.survivor, c.suspension) = (survivor(2400), Some(suspension));
        assert_eq!(rejected(both), SurvivorWithSuspension);
        let inflight = rejected(|c| c.inflight_bytes_max = 1 << 20);
        assert!(matches!(inflight, MessageLargerThanInflight { .. }), "{inflight}");
        let unapplied = rejected(|c| c.unapplied_bytes_max = 99);
        assert!(unapplied.to_string().contains("unapplied_bytes_max, 99:"), "{unapplied}");
    }

    #[test]
    fn a_node_without_a_membership_accepts_no_casting_vote_and_no_address_with_a_space() {
        let address = Address::new("a b:1").expect("it is short");
        let with_space = Member { address, ..Member::new(NodeId(2)) };
        let peers = Membership::new([NodeId(1), NodeId(2)]);
        for (listed, error) in [
            (peers.clone().with_member(with_space), ConfigError::InvalidAddress(NodeId(2))),
            (peers.with_casting(NodeId(1)), ConfigError::InvalidBootstrapPeers),
        ] {
            let mut config = Config::new(NodeId(1));
            config.bootstrap_peers = Some(listed.clone());
            let mut restored = Restored::default();
            assert_eq!(config.check_start(&restored), Err(error));
            restored.snapshot.membership = listed;
            assert_eq!(config.check_start(&restored), Ok(()));
        }
    }

    #[test]
    fn the_limits_themselves_are_accepted() {
        let mut config = Config::new(NodeId(1));
        config.heartbeat_interval = Duration::from_millis(100);
        config.election_timeout_max = Duration::from_millis(375);
        config.command_bytes_max = config.message_bytes_max - Entry::OVERHEAD_BYTES;
        assert_eq!(config.check(), Ok(()));
        config.election_timeout_max = config.election_timeout_min;
        assert_eq!(config.check(), Ok(()), "fixed timeouts");
    }
}
