//! How the parts of an operation read in a plan.

use std::fmt;

use crate::plan::{Call, Keep, Region, Slip, Trigger, Who};
use crate::words::{self, Mistake, Words};

impl Trigger {
    /// Every trigger, in the order of declaration, and how it reads.
    pub const ALL: [(Trigger, &'static str); 25] = [
        (Trigger::Starts, "starts"),
        (Trigger::Falls, "falls"),
        (Trigger::AboutToSubmit, "about to submit"),
        (Trigger::SubmitsVote, "submits vote"),
        (Trigger::SubmitsEntries, "submits entries"),
        (Trigger::CutsLog, "cuts log"),
        (Trigger::Flushes, "flushes"),
        (Trigger::Promises, "promises"),
        (Trigger::Beats, "beats"),
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
        (Trigger::NamesSnapshot, "names snapshot"),
        (Trigger::ReceivesPart, "receives part"),
        (Trigger::SendsPart, "sends part"),
        (Trigger::InstallsSnapshot, "installs snapshot"),
        (Trigger::RestoresSnapshot, "restores snapshot"),
        (Trigger::ChangesMembership, "changes membership"),
    ];

    /// How it reads.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// The one that the words name.
    pub(super) fn read(words: &mut Words<'_>) -> Result<Trigger, Mistake> {
        let names = Self::ALL.map(|(_, name)| name);
        Ok(Self::ALL[words.name("trigger", &names)?].0)
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Slip {
    /// Every slip, in the order of declaration, and how it reads.
    pub const ALL: [(Slip, &'static str); 4] = [
        (Slip::Skips, "skips command"),
        (Slip::Repeats, "repeats command"),
        (Slip::Misspeaks, "misspeaks"),
        (Slip::Forgets, "flips bit of state"),
    ];

    /// How it reads.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// The one that the words name.
    pub(super) fn read(words: &mut Words<'_>) -> Result<Slip, Mistake> {
        let names = Self::ALL.map(|(_, name)| name);
        Ok(Self::ALL[words.name("slip of a state machine", &names)?].0)
    }
}

impl fmt::Display for Slip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Call {
    /// Every call, in the order of declaration, and how it reads.
    pub const ALL: [(Call, &'static str); 7] = [
        (Call::Write, "write"),
        (Call::Create, "creation"),
        (Call::Rename, "renaming"),
        (Call::Remove, "removal"),
        (Call::Flush, "flush"),
        (Call::FlushDirectory, "directory flush"),
        (Call::Read, "read"),
    ];

    /// How it reads.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// The one that the words name.
    pub(super) fn read(words: &mut Words<'_>) -> Result<Call, Mistake> {
        let names = Self::ALL.map(|(_, name)| name);
        Ok(Self::ALL[words.name("call to a disk", &names)?].0)
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Region {
    /// Every region, in the order of declaration, and how it reads.
    pub const ALL: [(Region, &'static str); 4] = [
        (Region::Superblock, "superblock"),
        (Region::Headers, "headers"),
        (Region::Bodies, "bodies"),
        (Region::Snapshot, "snapshot"),
    ];

    /// How it reads.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// The one that the words name.
    pub(super) fn read(words: &mut Words<'_>) -> Result<Region, Mistake> {
        let names = Self::ALL.map(|(_, name)| name);
        Ok(Self::ALL[words.name("region of a disk", &names)?].0)
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Keep {
    /// Every part that a crash may keep, in the order of declaration, and how it reads.
    pub const ALL: [(Keep, &'static str); 3] =
        [(Keep::None, "none"), (Keep::Part, "part"), (Keep::All, "all")];

    /// How it reads.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Who {
    /// Whom a word names, if anybody.
    pub(super) fn of(word: &str) -> Option<Who> {
        match word {
            "it" => Some(Who::It),
            "other" => Some(Who::Other),
            "leader" => Some(Who::Leader),
            _ => words::node(word).map(Who::Node),
        }
    }

    /// Whom the next word names.
    pub(super) fn read(words: &mut Words<'_>) -> Result<Who, Mistake> {
        words.read("a node: n1, n2.., leader, it or other", Who::of)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_stands_at_the_place_of_what_it_names() {
        assert!(Trigger::ALL.iter().enumerate().all(|(at, (it, _))| *it as usize == at));
        assert!(Slip::ALL.iter().enumerate().all(|(at, (it, _))| *it as usize == at));
        assert!(Call::ALL.iter().enumerate().all(|(at, (it, _))| *it as usize == at));
        assert!(Region::ALL.iter().enumerate().all(|(at, (it, _))| *it as usize == at));
        assert!(Keep::ALL.iter().enumerate().all(|(at, (it, _))| *it as usize == at));
    }
}
