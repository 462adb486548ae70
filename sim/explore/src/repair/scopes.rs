//! The scopes of the repair model, and the omissions with the scopes that find them.

use crate::repair::omissions::Omission;

/// The scope of one exploration of the repair model.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The name on the command line.
    pub name: &'static str,
    /// The property that the scope exercises, in one line.
    pub description: &'static str,
    /// The number of nodes, which are all voters.
    pub nodes: usize,
    /// The state in which the exploration begins.
    pub(crate) start: Start,
    /// Whether messages of former leaders may arrive late.
    pub(crate) late: bool,
    pub(crate) bounds: Bounds,
    pub(crate) short: Bounds,
    /// The part of the protocol that is left out, if any.
    pub omitted: Option<Omission>,
}

/// The state in which an exploration begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// All logs are empty, and no node leads.
    Empty,
    /// All nodes have four committed entries, and n1 leads. The first event damages any of the
    /// entries, and may restart all nodes.
    Atlas,
    /// Of five nodes, n1 leads and has sent one entry to n2 only.
    OneFollower,
    /// All logs are empty, and n1 leads. There is a copy of each disk.
    Led,
}

/// The maximum number of events of each limited kind on a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) term: u8,
    /// The maximum number of entries in a log.
    pub(crate) entries: u8,
    pub(crate) crashes: u8,
    /// Entries whose body is damaged.
    pub(crate) damages: u8,
    /// Entries whose records are both damaged.
    pub(crate) erasures: u8,
    /// Logs with a damaged end.
    pub(crate) lost_ends: u8,
    pub(crate) snapshots: u8,
    /// Copies of disks that are made after the start.
    pub(crate) copies: u8,
    /// Nodes that start with a copy in place of their disk.
    pub(crate) rollbacks: u8,
}

const NOTHING: Bounds = Bounds {
    term: 2,
    entries: 2,
    crashes: 0,
    damages: 0,
    erasures: 0,
    lost_ends: 0,
    snapshots: 0,
    copies: 0,
    rollbacks: 0,
};

impl Scope {
    /// The number of nodes that the symmetry reduction must not permute, because they differ in the
    /// start state.
    pub(crate) fn fixed_places(&self) -> usize {
        match self.start {
            Start::Empty | Start::Atlas => 0,
            Start::Led => 1,
            Start::OneFollower => 2,
        }
    }

    /// Returns the scope with its short bounds.
    #[must_use]
    pub fn shortened(self) -> Scope {
        Scope { bounds: self.short, ..self }
    }

    /// Returns the scope without a part of the protocol.
    #[must_use]
    pub fn without(self, omission: Omission) -> Scope {
        Scope { omitted: Some(omission), ..self }
    }
}

/// Returns the scope with the name `name`.
#[must_use]
pub fn named(name: &str) -> Option<Scope> {
    all().into_iter().find(|scope| scope.name == name)
}

/// The scope on which all others are based.
fn damaged_bodies() -> Scope {
    Scope {
        name: "repair-damage",
        description: "damaged entries on any nodes, elections",
        nodes: 3,
        start: Start::Empty,
        late: false,
        bounds: Bounds { term: 3, entries: 2, damages: 2, ..NOTHING },
        short: Bounds { term: 3, entries: 1, damages: 3, ..NOTHING },
        omitted: None,
    }
}

/// Returns all scopes in the order of their listing.
#[must_use]
pub fn all() -> Vec<Scope> {
    let mut scopes = scopes_of_damage();
    scopes.extend(scopes_of_uncertain_nodes());
    scopes
}

fn scopes_of_damage() -> Vec<Scope> {
    let damage = damaged_bodies();
    vec![
        Scope {
            name: "repair-crash",
            description: "damaged entries and crashes, before or after a flush",
            bounds: Bounds { term: 3, crashes: 1, damages: 1, ..NOTHING },
            short: Bounds { crashes: 1, damages: 1, ..NOTHING },
            ..damage.clone()
        },
        Scope {
            name: "repair-late",
            description: "damaged entries, and messages of former leaders that arrive late",
            late: true,
            bounds: Bounds { term: 3, damages: 2, ..NOTHING },
            short: Bounds { damages: 1, ..NOTHING },
            ..damage.clone()
        },
        Scope {
            name: "repair-erased",
            description: "entries without any readable record: the next entry names them",
            bounds: Bounds { entries: 3, erasures: 2, damages: 1, ..NOTHING },
            short: Bounds { entries: 3, erasures: 1, ..NOTHING },
            ..damage.clone()
        },
        Scope {
            name: "repair-snapshot",
            description: "snapshots take the place of damaged entries",
            bounds: Bounds { term: 3, snapshots: 1, damages: 1, ..NOTHING },
            short: Bounds { snapshots: 1, damages: 1, ..NOTHING },
            ..damage.clone()
        },
        Scope {
            name: "repair-behind",
            description: "entries without a record, and a snapshot of a node that is behind",
            bounds: Bounds { entries: 3, erasures: 2, snapshots: 1, ..NOTHING },
            short: Bounds { term: 1, entries: 3, erasures: 2, snapshots: 1, ..NOTHING },
            ..damage.clone()
        },
        Scope {
            name: "repair-five",
            description: "five nodes, and a leader that does not know that another was elected",
            nodes: 5,
            start: Start::OneFollower,
            bounds: Bounds { term: 3, entries: 1, damages: 1, ..NOTHING },
            short: Bounds { entries: 1, damages: 1, ..NOTHING },
            ..damage.clone()
        },
        Scope {
            name: "repair-atlas",
            description: "four committed entries on three nodes, and every mask of damage",
            start: Start::Atlas,
            bounds: Bounds { entries: 5, ..NOTHING },
            short: Bounds { entries: 4, ..NOTHING },
            ..damage.clone()
        },
        damage,
    ]
}

fn scopes_of_uncertain_nodes() -> Vec<Scope> {
    let damage = damaged_bodies();
    vec![
        Scope {
            name: "repair-end",
            description: "a log with an uncertain end: the node votes once it has caught up",
            late: true,
            bounds: Bounds { term: 3, lost_ends: 2, ..NOTHING },
            short: Bounds { lost_ends: 2, ..NOTHING },
            ..damage.clone()
        },
        Scope {
            name: "repair-end-damage",
            description: "damaged entries, and a log with an uncertain end",
            late: true,
            bounds: Bounds { damages: 1, lost_ends: 1, ..NOTHING },
            short: Bounds { entries: 1, damages: 1, lost_ends: 1, ..NOTHING },
            ..damage.clone()
        },
        Scope {
            name: "repair-rollback",
            description: "disks that are replaced by older copies of themselves",
            start: Start::Led,
            bounds: Bounds { copies: 1, rollbacks: 1, ..NOTHING },
            short: Bounds { rollbacks: 1, ..NOTHING },
            ..damage.clone()
        },
        Scope {
            name: "repair-rollback-five",
            description: "five nodes, and a vote that was forgotten",
            nodes: 5,
            start: Start::Led,
            bounds: Bounds { rollbacks: 1, ..NOTHING },
            short: Bounds { entries: 1, rollbacks: 1, ..NOTHING },
            ..damage
        },
    ]
}

/// The omissions, each with the scope whose short bounds find it, and the number of events to the
/// violation.
pub const OMISSIONS: [(Omission, &str, usize); 23] = [
    (Omission::TruncatesAtDamage, "repair-crash", 6),
    (Omission::VotesByIntactEntries, "repair-damage", 6),
    (Omission::UncertainVotes, "repair-end", 6),
    (Omission::KeepsAnswer, "repair-end", 11),
    (Omission::UncertainAcknowledges, "repair-rollback", 7),
    (Omission::AnswersAtOnce, "repair-rollback", 8),
    (Omission::AnswersByRound, "repair-rollback-five", 10),
    (Omission::DamagedCounts, "repair-damage", 6),
    (Omission::AnyEntryRepairs, "repair-damage", 8),
    (Omission::TruncatesUnasked, "repair-damage", 7),
    (Omission::OneReplySuffices, "repair-damage", 7),
    (Omission::DamagedIsMissing, "repair-damage", 9),
    (Omission::CoveredIsMissing, "repair-snapshot", 10),
    (Omission::UncertainIsMissing, "repair-end-damage", 9),
    (Omission::TermNotEntered, "repair-five", 6),
    (Omission::VolatileTruncation, "repair-crash", 10),
    (Omission::TruncatesAfterSending, "repair-late", 11),
    (Omission::SendsBeforeRepair, "repair-damage", 6),
    (Omission::WaitsForEver, "repair-damage", 3),
    (Omission::CampaignsAgain, "repair-damage", 10),
    (Omission::DamagedCampaignsEarly, "repair-damage", 9),
    (Omission::RemovesUnjoined, "repair-behind", 12),
    (Omission::OnlyCommittedNeedsCopy, "repair-damage", 5),
];
