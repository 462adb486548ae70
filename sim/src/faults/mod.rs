//! Every kind of fault and of planned operation: a registry with one row for each.
//!
//! A fault occurs by chance, for a message or a step, or it is planned: an operation of the plan,
//! whose file has its data, its parser, its text, its draw, its effect and whether it exists on
//! real processes.

pub(crate) mod argument;
mod bridge;
mod campaign;
mod clock;
mod crash;
mod damage;
mod disk_calls;
mod disk_identity;
mod fault_draw;
mod link;
mod load_spike;
mod machine_fault;
mod messages;
#[cfg_attr(not(feature = "cli"), allow(dead_code, reason = "only the command runs processes"))]
mod operation;
#[cfg_attr(not(feature = "cli"), allow(dead_code, reason = "only the command runs processes"))]
mod operator;
mod partition;
mod scripted_request;
mod selector;
mod slowness;
#[cfg_attr(not(feature = "cli"), allow(dead_code, reason = "only the command runs processes"))]
mod strike;
mod upgrade;

use std::fmt;
use std::time::Duration;

use quorate::raft::RoleName;

use crate::disk::SimDisk;
use crate::values::choice::{Choices, Kind, Overrides};
use crate::values::words::{SyntaxError, Words};

pub use argument::UNTIL_STABILIZATION;
pub(crate) use argument::{Argument, named};
pub use bridge::Bridge;
pub use campaign::Campaign;
pub use clock::{ClockDrift, ClockStep};
pub use crash::{Crash, Pause, Stop};
pub use damage::{BitRot, DamagedBody, LostWrite, MisdirectedWrite, Region};
pub use disk_calls::{Call, FailedCall, FullDisk, StalledDisk};
pub use disk_identity::{Rollback, Wipe};
use fault_draw::Drawn;
pub(crate) use fault_draw::{FaultDraw, Scale};
pub use link::{Clog, Flap, OneWay};
pub use load_spike::LoadSpike;
pub use machine_fault::FaultyMachine;
pub use messages::{Misroute, Replay};
pub use operation::Syntax;
pub(crate) use operation::{Extent, Planned};
#[cfg(feature = "cli")]
pub(crate) use operator::single_edits;
pub use operator::{MembershipChange, Transfer};
pub use partition::Partition;
pub use scripted_request::{ExpectedAnswer, ScriptedOperation, ScriptedOutcome, ScriptedRequest};
pub use selector::NodeSelector;
pub use slowness::{SlowApply, SlowDisk};
pub(crate) use strike::{
    AdminRequest, Damage, DamageDisk, DamageEntries, Lasting, LinkSelector, NodeStrike, Resolve,
    SelectLinks, Simulated, Strike,
};
pub use strike::{KeptWrites, LinkFault, MachineFault};
pub use upgrade::Upgrade;

/// The family of a fault kind, by the thing that it strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    /// Messages and links between nodes.
    Network,
    /// A node: its process, its clock, its speed, its load or its state machine.
    Node,
    /// The calls and the contents of a disk; neither crashes nor slow disks.
    Disk,
    /// Membership and leadership, on request of the operator.
    Members,
    /// The identity of a disk: another disk takes its place.
    Identity,
}

/// The row of a fault kind in the registry.
struct KindRow {
    name: &'static str,
    family: Family,
    /// The coverage mark for each role, in the order of [`RoleName::ALL`].
    marks: [&'static str; RoleName::ALL.len()],
    /// Whether a default sweep must strike nodes in each of these roles.
    required: [bool; RoleName::ALL.len()],
    /// Draws an operation of the kind; `None` if it occurs by chance for each message or step.
    draw: Option<Drawn<Verb>>,
}

const EVERY_ROLE: [bool; 4] = [true; 4];
/// A pre-candidate uses its disk so little that disk faults rarely affect it.
const NOT_PRE_CANDIDATE: [bool; 4] = [true, false, true, true];
/// Membership changes, transfers and lost disks rarely affect a pre-candidate or a candidate.
const FOLLOWER_AND_LEADER: [bool; 4] = [true, false, false, true];
/// No run of the default profile has machine faults or upgrades, and few have rolled-back disks.
const NO_ROLE: [bool; 4] = [false; 4];

/// Defines the fault kinds. Each row has the name, the family, the roles in which a sweep must
/// strike nodes, and the draw of its operation.
macro_rules! faults {
    (@draw by_chance) => { None };
    (@draw $kind:ident::$draw:ident) => {
        Some(|draw, node, duration| ($kind::$draw)(draw, node, duration).into())
    };
    ($(
        $(#[$about:meta])*
        $fault:ident $name:literal $family:ident $required:ident ($($draw:tt)+);
    )*) => {
        /// One kind of simulated fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Fault { $($(#[$about])* $fault),* }

        const KINDS: &[KindRow] = &[$(KindRow {
            name: $name,
            family: Family::$family,
            marks: [
                concat!("fault/", $name, "/follower"),
                concat!("fault/", $name, "/pre-candidate"),
                concat!("fault/", $name, "/candidate"),
                concat!("fault/", $name, "/leader"),
            ],
            required: $required,
            draw: faults!(@draw $($draw)+),
        }),*];

        impl Fault {
            /// Every fault kind, in the order of declaration.
            pub const ALL: [Fault; KINDS.len()] = [$(Fault::$fault),*];
        }
    };
}

faults! {
    /// The network drops a message.
    Loss "loss" Network EVERY_ROLE (by_chance);
    /// A message arrives twice.
    Duplicate "duplicate" Network EVERY_ROLE (by_chance);
    /// A message takes far longer than others, up to several election timeouts.
    Delay "delay" Network EVERY_ROLE (by_chance);
    /// A message overtakes an earlier one on the same link.
    Reorder "reorder" Network EVERY_ROLE (by_chance);
    /// A link holds back all messages for a while, then delivers them together.
    Clog "clog" Network EVERY_ROLE (Clog::draw);
    /// A link works in one direction only.
    OneWay "one-way" Network EVERY_ROLE (OneWay::draw);
    /// The network partitions the nodes into groups that cannot exchange messages.
    Partition "partition" Network EVERY_ROLE (Partition::draw);
    /// Some pairs of nodes cannot exchange messages, although both can with a third node: a bridge,
    /// a star, a chain.
    Bridge "bridge" Network EVERY_ROLE (Bridge::draw);
    /// A link goes up and down repeatedly.
    Flap "flap" Network EVERY_ROLE (Flap::draw);
    /// A node loses its memory and all, some or none of its unflushed writes, stays down, and
    /// restarts.
    Crash "crash" Node EVERY_ROLE (Crash::draw);
    /// A node takes no steps for a while; messages that arrive meanwhile are delivered together
    /// later.
    Pause "pause" Node EVERY_ROLE (Pause::draw);
    /// A node's clock runs fast or slow.
    ClockDrift "clock-drift" Node EVERY_ROLE (ClockDrift::draw);
    /// A node's clock steps forward.
    ClockStep "clock-step" Node EVERY_ROLE (ClockStep::draw);
    /// A node's flushes take long.
    SlowDisk "slow-disk" Node EVERY_ROLE (SlowDisk::draw);
    /// A node's state machine takes long to apply.
    SlowApply "slow-apply" Node EVERY_ROLE (SlowApply::draw);
    /// A node's driver executes actions late, one by one, between further inputs.
    Lag "lag" Node EVERY_ROLE (by_chance);
    /// A message arrives that no correct node would send to this receiver.
    Misroute "misroute" Network EVERY_ROLE (Misroute::draw);
    /// An old message arrives again, possibly one from an earlier start of its sender.
    Replay "replay" Network EVERY_ROLE (Replay::draw);
    /// A node campaigns although its election timeout has not passed.
    Campaign "campaign" Node EVERY_ROLE (Campaign::draw);
    /// A node shuts down cleanly, stays down, and restarts.
    Stop "stop" Node EVERY_ROLE (Stop::draw);
    /// A node receives many requests, at once or in quick succession.
    LoadSpike "load-spike" Node EVERY_ROLE (LoadSpike::draw);
    /// A flush fails, of a file or of the directory.
    FailedFlush "failed-flush" Disk NOT_PRE_CANDIDATE (FailedCall::DRAW_FLUSH);
    /// A write fails half-way, or the creation, renaming or removal of a file fails.
    FailedWrite "failed-write" Disk NOT_PRE_CANDIDATE (FailedCall::DRAW_WRITE);
    /// A read from the disk fails.
    FailedRead "failed-read" Disk NOT_PRE_CANDIDATE (FailedCall::DRAW_READ);
    /// A node's disk has little or no space left.
    FullDisk "full-disk" Disk NOT_PRE_CANDIDATE (FullDisk::draw);
    /// A node's disk completes no call, except cached writes, for many election timeouts.
    StalledDisk "stalled-disk" Disk NOT_PRE_CANDIDATE (StalledDisk::draw);
    /// Durable data on a node's disk changes.
    BitRot "bit-rot" Disk NOT_PRE_CANDIDATE (BitRot::draw);
    /// A write goes to the wrong place on a node's disk, and is reported as done.
    MisdirectedWrite "misdirected-write" Disk NOT_PRE_CANDIDATE (MisdirectedWrite::draw);
    /// A node's disk does not store a write, but reports it as done and flushed.
    LostWrite "lost-write" Disk NOT_PRE_CANDIDATE (LostWrite::draw);
    /// The operator asks for a membership change, or for its cancellation.
    Change "change" Members FOLLOWER_AND_LEADER (MembershipChange::draw);
    /// The operator asks for a leadership transfer.
    Transfer "transfer" Members FOLLOWER_AND_LEADER (Transfer::draw);
    /// A node loses its disk, and starts on an empty one under the same id.
    Wipe "wipe" Identity FOLLOWER_AND_LEADER (Wipe::draw);
    /// A node starts on an older copy of its disk. In three of four runs the copies are marked as
    /// restored, or only the log is older: the node is uncertain until a leader has confirmed its
    /// log, and all checks stay on. In the others safety cannot hold, because the node counts until
    /// a leader finds the loss, but no node may panic. Runs with this fault may also lose more
    /// disks than the cluster survives.
    Rollback "rollback" Identity NO_ROLE (Rollback::draw);
    /// A node's state machine makes an error.
    MachineFault "machine-fault" Node NO_ROLE (FaultyMachine::draw);
    /// The disk of one node at a time loses bodies of entries that other nodes have.
    DamagedBody "damaged-body" Disk FOLLOWER_AND_LEADER (DamagedBody::draw);
    /// A node gets another build of its state machine, or the operator raises the version of the
    /// rules by which all nodes apply commands.
    Upgrade "upgrade" Node NO_ROLE (Upgrade::draw);
}

/// Defines the kinds of planned operations by the types of their data. The fault kind of an
/// operation has the name of its type, or a function names it.
macro_rules! verbs {
    (@fault $kind:ident) => { |_| Fault::$kind };
    (@fault $kind:ident $fault:expr) => { $fault };
    ($($kind:ident $(($fault:expr))?)*) => {
        /// A planned operation: one of a fault kind, or a scripted request.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Verb {
            $(#[doc = concat!("An operation of the kind [`", stringify!($kind), "`].")]
            $kind($kind),)*
            /// A client sends a request to the key-value store.
            ScriptedRequest(ScriptedRequest),
        }

        impl Verb {
            /// Returns the fault kind of the operation, or `None` for a scripted request.
            #[must_use]
            pub fn fault(&self) -> Option<Fault> {
                match self {
                    $(Verb::$kind(data) => {
                        let fault: fn(&$kind) -> Fault = verbs!(@fault $kind $($fault)?);
                        Some(fault(data))
                    })*
                    Verb::ScriptedRequest(_) => None,
                }
            }

            /// Returns every verb of the scenario language.
            #[must_use]
            pub fn syntax() -> Vec<Syntax<Verb>> {
                [$($kind::syntax(),)* ScriptedRequest::syntax()].concat()
            }

            fn planned(&self) -> &dyn Planned {
                match self {
                    $(Verb::$kind(planned) => planned,)*
                    Verb::ScriptedRequest(request) => request,
                }
            }
        }

        verbs!(@from $($kind)* ScriptedRequest);
    };
    (@from $($kind:ident)*) => {$(
        impl From<$kind> for Verb {
            fn from(planned: $kind) -> Verb {
                Verb::$kind(planned)
            }
        }
    )*};
}

verbs! {
    Crash Stop Pause Wipe Rollback
    Partition OneWay Bridge Flap Clog Misroute Replay
    ClockDrift ClockStep SlowDisk SlowApply Campaign LoadSpike
    FailedCall(fault_of_call) FullDisk StalledDisk BitRot MisdirectedWrite LostWrite
    MembershipChange(|_| Fault::Change) Transfer FaultyMachine(|_| Fault::MachineFault)
    DamagedBody Upgrade
}

fn fault_of_call(failed: &FailedCall) -> Fault {
    match failed.call {
        Call::Flush | Call::FlushDirectory => Fault::FailedFlush,
        Call::Read => Fault::FailedRead,
        Call::Write | Call::Create | Call::Rename | Call::Remove => Fault::FailedWrite,
    }
}

impl AdminRequest {
    /// Returns the kind of fault that the request counts as.
    pub(crate) fn fault(&self) -> Fault {
        match self {
            AdminRequest::Change(_) | AdminRequest::CancelChange => Fault::Change,
            AdminRequest::Transfer(_) => Fault::Transfer,
            AdminRequest::RaiseVersion(_) => Fault::Upgrade,
        }
    }
}

impl Verb {
    /// Draws an operation of this fault kind on the node; `None` if the kind occurs by chance only.
    pub(crate) fn draw(draw: &mut FaultDraw<'_>, fault: Fault, node: NodeSelector) -> Option<Verb> {
        let duration = draw.fault_duration();
        Verb::draw_for(draw, fault, node, duration)
    }

    /// Draws an operation of this fault kind on the node, which lasts for about this duration if it
    /// lasts at all; `None` if the kind occurs by chance only.
    pub(crate) fn draw_for(
        draw: &mut FaultDraw<'_>,
        fault: Fault,
        node: NodeSelector,
        duration: Duration,
    ) -> Option<Verb> {
        KINDS[fault as usize].draw.map(|draw_verb| draw_verb(draw, node, duration))
    }

    /// Parses a verb and its arguments.
    pub(crate) fn read(words: &mut Words<'_>) -> Result<Verb, SyntaxError> {
        let syntax = Verb::syntax();
        let names: Vec<&str> = syntax.iter().map(|syntax| syntax.verb).collect();
        let at = words.name("verb", &names)?;
        (syntax[at].read)(words)
    }

    /// Returns the nodes that the operation names, and how long it lasts.
    pub(crate) fn extent(&self) -> Extent {
        self.planned().extent()
    }

    /// Returns the effect of the operation.
    pub(crate) fn strike(&self) -> Strike<'_> {
        self.planned().strike()
    }

    /// Returns an error with the reason if the operation does not exist on real processes.
    #[cfg(feature = "cli")]
    pub(crate) fn on_processes(&self) -> Result<(), &'static str> {
        match self.strike() {
            Strike::Simulated(_, only) => Err(only.reason()),
            Strike::Links(..) | Strike::Node(..) | Strike::Request => self.planned().on_processes(),
        }
    }

    /// Returns the links that the operation changes and how, if it changes links and the nodes that
    /// it names are known. `resolve` finds the node that a selector means.
    #[must_use]
    pub fn links(&self, resolve: Resolve<'_>) -> Option<(LinkFault, LinkSelector)> {
        match self.strike() {
            Strike::Links(fault, select) => Some((fault, select(resolve)?)),
            Strike::Node(..) | Strike::Simulated(..) | Strike::Request => None,
        }
    }

    /// Damages a disk as the operation does, with choices that `seed` determines. Returns false if
    /// the operation does not damage a disk at once, or the disk has nothing to damage.
    pub fn damage(&self, disk: &mut SimDisk, seed: u64) -> bool {
        let choices = Choices::new(seed, Overrides::new());
        let mut draw = choices.draw(Kind::Damage.key());
        match self.strike() {
            Strike::Simulated(_, Simulated::Damage(damage)) => {
                damage(disk, &mut draw) == Damage::Done
            }
            Strike::Simulated(_, Simulated::DamageEntries(damage)) => damage(disk, &mut draw),
            _ => false,
        }
    }

    /// Returns how long the effect lasts, or `None` if it has no duration.
    #[must_use]
    pub fn duration(&self) -> Option<Duration> {
        self.extent().duration
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.planned().fmt(f)
    }
}

impl Fault {
    /// Returns the name in scenarios, summaries and coverage marks.
    #[must_use]
    pub const fn name(self) -> &'static str {
        KINDS[self as usize].name
    }

    /// Returns the coverage mark for each role, and whether a default sweep must reach it, in the
    /// order of [`RoleName::ALL`].
    pub(crate) const fn marks(self) -> ([&'static str; 4], [bool; 4]) {
        let KindRow { marks, required, .. } = &KINDS[self as usize];
        (*marks, *required)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A set of fault kinds.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Faults(u64);

impl Faults {
    /// The empty set of fault kinds.
    pub const NONE: Faults = Faults(0);
    /// The set of all fault kinds.
    pub const ALL: Faults = Faults((1 << Fault::ALL.len()) - 1);
    /// The kinds about membership and leadership, requested by the operator.
    pub(crate) const OF_MEMBERS: Faults = Faults::of_rows(Some(Family::Members));
    /// The kinds that replace a node's disk with another one.
    pub(crate) const OF_IDENTITY: Faults = Faults::of_rows(Some(Family::Identity));
    /// The kinds of a disk, except crashes and slow disks.
    pub(crate) const OF_DISKS: Faults = Faults::of_rows(Some(Family::Disk));
    /// The kinds that are planned for a node or a link.
    pub(crate) const PLANNED: Faults = Faults::of_rows(None);
    /// The kinds that occur by chance for each message; they also exist on real processes.
    #[cfg(feature = "cli")]
    pub(crate) const OF_MESSAGES: Faults =
        Faults::of_rows(Some(Family::Network)).without(Faults::PLANNED);

    /// Returns the set of the kinds of this family or, for `None`, of those that have a draw.
    const fn of_rows(family: Option<Family>) -> Faults {
        let (mut set, mut at) = (0, 0);
        while at < KINDS.len() {
            let is_in = match family {
                Some(family) => KINDS[at].family as u8 == family as u8,
                None => KINDS[at].draw.is_some(),
            };
            set |= (is_in as u64) << at;
            at += 1;
        }
        Faults(set)
    }

    /// Returns the set of these kinds.
    pub(crate) const fn of(kinds: &[Fault]) -> Faults {
        let (mut set, mut at) = (0, 0);
        while at < kinds.len() {
            set |= 1 << kinds[at] as u8;
            at += 1;
        }
        Faults(set)
    }

    /// Returns the union of both sets.
    pub(crate) const fn union(self, other: Faults) -> Faults {
        Faults(self.0 | other.0)
    }

    /// Returns true if the set contains `fault`.
    #[must_use]
    pub const fn has(self, fault: Fault) -> bool {
        self.0 & (1 << fault as u8) != 0
    }

    /// Returns the number of kinds in the set.
    pub(crate) const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Inserts `fault` into the set.
    pub fn insert(&mut self, fault: Fault) {
        self.0 |= 1 << fault as u8;
    }

    /// Returns the set without the kinds in `other`.
    pub(crate) const fn without(self, other: Faults) -> Faults {
        Faults(self.0 & !other.0)
    }

    /// Returns the kinds in the set, in the order of declaration.
    pub fn iter(self) -> impl Iterator<Item = Fault> {
        Fault::ALL.into_iter().filter(move |fault| self.has(*fault))
    }
}

impl FromIterator<Fault> for Faults {
    fn from_iter<I: IntoIterator<Item = Fault>>(faults: I) -> Faults {
        let mut set = Faults::NONE;
        faults.into_iter().for_each(|fault| set.insert(fault));
        set
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
