//! How the parts of an operation read in a plan.

use std::fmt;

use crate::plan::{Call, Region, Slip, Trigger, Who};

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Trigger::Starts => "starts",
            Trigger::Falls => "falls",
            Trigger::AboutToSubmit => "about to submit",
            Trigger::SubmitsVote => "submits vote",
            Trigger::SubmitsEntries => "submits entries",
            Trigger::CutsLog => "cuts log",
            Trigger::Flushes => "flushes",
            Trigger::Promises => "promises",
            Trigger::Beats => "beats",
            Trigger::BecomesLeader => "becomes leader",
            Trigger::BecomesPreCandidate => "becomes pre-candidate",
            Trigger::BecomesCandidate => "becomes candidate",
            Trigger::AdvancesCommit => "advances commit",
            Trigger::UpdatesSuperblock => "updates superblock",
            Trigger::CreatesSegment => "creates segment",
            Trigger::BeginsSegment => "begins segment",
            Trigger::RemovesFile => "removes file",
            Trigger::TakesSnapshot => "takes snapshot",
            Trigger::WritesSnapshot => "writes snapshot",
            Trigger::NamesSnapshot => "names snapshot",
            Trigger::ReceivesPart => "receives part",
            Trigger::SendsPart => "sends part",
            Trigger::InstallsSnapshot => "installs snapshot",
            Trigger::RestoresSnapshot => "restores snapshot",
            Trigger::ChangesMembership => "changes membership",
        })
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Node(node) => write!(f, "{node}"),
            Who::It => f.write_str("it"),
            Who::Other => f.write_str("other"),
            Who::Leader => f.write_str("leader"),
        }
    }
}

impl fmt::Display for Slip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Slip::Skips => "skips command",
            Slip::Repeats => "repeats command",
            Slip::Misspeaks => "misspeaks",
            Slip::Forgets => "flips bit of state",
        })
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Call::Write => "write",
            Call::Create => "creation",
            Call::Rename => "renaming",
            Call::Remove => "removal",
            Call::Flush => "flush",
            Call::FlushDirectory => "directory flush",
            Call::Read => "read",
        })
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Region::Superblock => "superblock",
            Region::Headers => "headers",
            Region::Bodies => "bodies",
            Region::Snapshot => "snapshot",
        })
    }
}
