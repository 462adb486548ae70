//! The scenario words for triggers.

use std::fmt;

use crate::plan::Trigger;
use crate::values::words::{SyntaxError, Words};

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_triggers_are_in_declaration_order() {
        assert!(Trigger::ALL.iter().enumerate().all(|(at, (it, _))| *it as usize == at));
    }
}
