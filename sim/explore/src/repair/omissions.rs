//! The rules of the repair protocol, each with the parts that can be left out.

/// A part of a rule that is left out, or replaced by a simpler one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Omission {
    /// R1: a node that starts truncates its log at the first damaged entry.
    TruncatesAtDamage,
    /// R2: votes compare the entries before the first damaged one.
    VotesByIntactEntries,
    /// R3: a node with an uncertain end of the log votes.
    UncertainVotes,
    /// R3: an answer to an earlier start of the node is accepted.
    KeepsAnswer,
    /// R3: a leader counts the acknowledgements of an uncertain node.
    UncertainAcknowledges,
    /// R3: a leader answers a request at once.
    AnswersAtOnce,
    /// R3: a leader answers after a heartbeat round, and waits for no entry of its own.
    AnswersByRound,
    /// R4: a leader counts acknowledgements of damaged entries.
    DamagedCounts,
    /// R5: a damaged entry is replaced by any entry of the same index.
    AnyEntryRepairs,
    /// R6: a leader truncates its damaged entries without a query.
    TruncatesUnasked,
    /// R6: a leader truncates after one node replies that it lacks the entry.
    OneReplySuffices,
    /// R6: a damaged copy counts as a missing one.
    DamagedIsMissing,
    /// R6: a node whose snapshot covers the entry replies that it lacks the entry.
    CoveredIsMissing,
    /// R6: a node with an uncertain end of the log replies that it lacks the entry.
    UncertainIsMissing,
    /// R6: a node answers the query without entering the leader's term.
    TermNotEntered,
    /// R6: the truncation is not durable before the next entries are.
    VolatileTruncation,
    /// R6: a leader truncates although it has sent entries in its term.
    TruncatesAfterSending,
    /// R6: a leader appends and sends entries before its log is repaired.
    SendsBeforeRepair,
    /// R6: a leader that cannot decide continues to lead.
    WaitsForEver,
    /// R6: a leader that cannot decide steps down, and may lead again at once.
    CampaignsAgain,
    /// R7: a damaged node campaigns as early as an intact one.
    DamagedCampaignsEarly,
    /// Snapshots: a node removes its entries after the end of a snapshot, and stays certain, unless
    /// the sender has the same entries.
    RemovesUnjoined,
    /// A2: an entry needs an intact copy only if it is committed.
    OnlyCommittedNeedsCopy,
}

impl Omission {
    /// Whether the omission leaves the cluster safe, and only prevents its recovery.
    #[must_use]
    pub fn is_of_progress(self) -> bool {
        matches!(
            self,
            Omission::SendsBeforeRepair
                | Omission::WaitsForEver
                | Omission::CampaignsAgain
                | Omission::DamagedCampaignsEarly
                | Omission::OnlyCommittedNeedsCopy
        )
    }
}
