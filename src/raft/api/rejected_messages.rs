//! Counts of rejected messages.

use core::fmt;

use crate::raft::api::action::MessageRejectReason;

/// The number of messages a node rejected since its start, by reason.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct RejectedMessages([u64; MessageRejectReason::ALL.len()]);

const _: () = {
    let mut place = 0;
    while place < MessageRejectReason::ALL.len() {
        assert!(
            MessageRejectReason::ALL[place] as usize == place,
            "a reason is counted at its own position"
        );
        place += 1;
    }
};

impl RejectedMessages {
    /// The number of messages rejected for `reason`.
    #[must_use]
    pub fn count(&self, reason: MessageRejectReason) -> u64 {
        self.0[reason as usize]
    }

    /// The counts above 0, in the order of [`MessageRejectReason::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (MessageRejectReason, u64)> + '_ {
        let counts =
            MessageRejectReason::ALL.into_iter().map(|reason| (reason, self.count(reason)));
        counts.filter(|(_, count)| *count > 0)
    }

    pub(crate) fn add(&mut self, reason: MessageRejectReason) {
        self.0[reason as usize] += 1;
    }
}

/// Writes the counts above 0 with the texts of their reasons.
impl fmt::Display for RejectedMessages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.iter().next().is_none() {
            return f.write_str("none");
        }
        for (position, (reason, count)) in self.iter().enumerate() {
            let separator = if position == 0 { "" } else { ", " };
            write!(f, "{separator}{count} {reason}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for RejectedMessages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn counts_are_written_with_their_reasons() {
        let mut rejected = RejectedMessages::default();
        assert_eq!(format!("{rejected}, {rejected:?}"), "none, {}");
        rejected.add(MessageRejectReason::StaleTerm);
        rejected.add(MessageRejectReason::LogBehind);
        rejected.add(MessageRejectReason::StaleTerm);
        assert_eq!(format!("{rejected}"), "2 stale term, 1 log is behind");
        assert_eq!(format!("{rejected:?}"), "{StaleTerm: 2, LogBehind: 1}");
    }
}
