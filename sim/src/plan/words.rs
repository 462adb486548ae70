//! The scenario words for triggers, disk calls, disk regions, machine faults, kept writes and node
//! selectors.

use std::fmt;

use crate::plan::{Call, KeptWrites, MachineFault, NodeSelector, Region, Trigger};
use crate::words::{self, SyntaxError, Words};

impl Trigger {
    /// Every trigger with its scenario words, in the order of declaration.
    pub const ALL: [(Trigger, &'static str); 25] = [
        (Trigger::Restarts, "restarts"),
        (Trigger::GoesDown, "goes down"),
        (Trigger::AboutToWrite, "about to write"),
        (Trigger::SubmitsVote, "submits vote"),
        (Trigger::SubmitsEntries, "submits entries"),
        (Trigger::TruncatesLog, "truncates log"),
        (Trigger::CompletesFlush, "completes flush"),
        (Trigger::Acknowledges, "acknowledges"),
        (Trigger::SendsHeartbeat, "sends heartbeat"),
        (Trigger::BecomesLeader, "becomes leader"),
        (Trigger::BecomesPreCandidate, "becomes pre-candidate"),
        (Trigger::BecomesCandidate, "becomes candidate"),
        (Trigger::AdvancesCommit, "advances commit"),
        (Trigger::UpdatesSuperblock, "updates superblock"),
        (Trigger::CreatesSegment, "creates segment"),
        (Trigger::BeginsSegment, "begins segment"),
        (Trigger::RemovesFile, "removes file"),
        (Trigger::TakesSnapshot, "takes snapshot"),
        (Trigger::WritesSnapshot, "writes snapshot"),
        (Trigger::RenamesSnapshot, "renames snapshot"),
        (Trigger::ReceivesPart, "receives part"),
        (Trigger::SendsPart, "sends part"),
        (Trigger::InstallsSnapshot, "installs snapshot"),
        (Trigger::RestoresSnapshot, "restores snapshot"),
        (Trigger::ChangesMembership, "changes membership"),
    ];

    /// Returns the scenario words of the trigger.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// Parses the words of a trigger.
    pub(super) fn read(words: &mut Words<'_>) -> Result<Trigger, SyntaxError> {
        let names = Self::ALL.map(|(_, name)| name);
        Ok(Self::ALL[words.name("trigger", &names)?].0)
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl MachineFault {
    /// Every machine fault with its scenario words, in the order of declaration.
    pub const ALL: [(MachineFault, &'static str); 4] = [
        (MachineFault::SkippedCommand, "skipped command"),
        (MachineFault::RepeatedCommand, "repeated command"),
        (MachineFault::WrongReply, "wrong reply"),
        (MachineFault::BitFlip, "bit flip"),
    ];

    /// Returns the scenario words of the machine fault.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// Parses the words of a machine fault.
    pub(super) fn read(words: &mut Words<'_>) -> Result<MachineFault, SyntaxError> {
        let names = Self::ALL.map(|(_, name)| name);
        Ok(Self::ALL[words.name("machine fault", &names)?].0)
    }
}

impl fmt::Display for MachineFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Call {
    /// Every disk call with its scenario words, in the order of declaration.
    pub const ALL: [(Call, &'static str); 7] = [
        (Call::Write, "write"),
        (Call::Create, "create"),
        (Call::Rename, "rename"),
        (Call::Remove, "remove"),
        (Call::Flush, "flush"),
        (Call::FlushDirectory, "directory flush"),
        (Call::Read, "read"),
    ];

    /// Returns the scenario words of the disk call.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// Parses the words of a disk call.
    pub(super) fn read(words: &mut Words<'_>) -> Result<Call, SyntaxError> {
        let names = Self::ALL.map(|(_, name)| name);
        Ok(Self::ALL[words.name("disk call", &names)?].0)
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Region {
    /// Every disk region with its scenario word, in the order of declaration.
    pub const ALL: [(Region, &'static str); 4] = [
        (Region::Superblock, "superblock"),
        (Region::Headers, "headers"),
        (Region::Bodies, "bodies"),
        (Region::Snapshot, "snapshot"),
    ];

    /// Returns the scenario word of the region.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// Parses the word of a region.
    pub(super) fn read(words: &mut Words<'_>) -> Result<Region, SyntaxError> {
        let names = Self::ALL.map(|(_, name)| name);
        Ok(Self::ALL[words.name("disk region", &names)?].0)
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl KeptWrites {
    /// Every value of `keep=`, in the order of declaration.
    pub const ALL: [(KeptWrites, &'static str); 3] =
        [(KeptWrites::None, "none"), (KeptWrites::Part, "part"), (KeptWrites::All, "all")];

    /// Returns the word after `keep=`.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

impl fmt::Display for KeptWrites {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl NodeSelector {
    /// Returns the selector that the word names, if it names one.
    pub(super) fn of(word: &str) -> Option<NodeSelector> {
        match word {
            "it" => Some(NodeSelector::It),
            "other" => Some(NodeSelector::Other),
            "leader" => Some(NodeSelector::Leader),
            _ => words::node(word).map(NodeSelector::Node),
        }
    }

    /// Parses the next word as a node selector.
    pub(super) fn read(words: &mut Words<'_>) -> Result<NodeSelector, SyntaxError> {
        words.read("a node, like n1, leader, it or other", NodeSelector::of)
    }
}

impl fmt::Display for NodeSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NodeSelector::Node(node) => write!(f, "{node}"),
            NodeSelector::It => f.write_str("it"),
            NodeSelector::Other => f.write_str("other"),
            NodeSelector::Leader => f.write_str("leader"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_is_in_declaration_order() {
        assert!(Trigger::ALL.iter().enumerate().all(|(at, (it, _))| *it as usize == at));
        assert!(MachineFault::ALL.iter().enumerate().all(|(at, (it, _))| *it as usize == at));
        assert!(Call::ALL.iter().enumerate().all(|(at, (it, _))| *it as usize == at));
        assert!(Region::ALL.iter().enumerate().all(|(at, (it, _))| *it as usize == at));
        assert!(KeptWrites::ALL.iter().enumerate().all(|(at, (it, _))| *it as usize == at));
    }
}
