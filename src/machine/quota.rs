//! The quota of a user's state, with an alarm that rejects writes that grow the state.

use crate::types::QuotaUsage;

/// A quota of bytes for a user's state, which the user's state machine keeps and replicates.
///
/// A write that would exceed the quota is rejected and raises the alarm. From then on all writes
/// that grow the state are rejected, until an administrator has made room and clears the alarm, as
/// etcd does with its NOSPACE alarm. Reads, deletes and writes that do not grow the state always
/// work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    usage: QuotaUsage,
}

/// An administrator's command about a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaCommand {
    /// Sets the quota, in bytes. Raises the alarm if the state exceeds it.
    SetBytes(u64),
    /// Clears the alarm, unless the state exceeds the quota.
    ClearAlarm,
}

const SET_BYTES: u8 = 1;
const CLEAR_ALARM: u8 = 2;

impl Quota {
    /// The quota before an administrator changes it: 2 GiB.
    pub const BYTES_MAX_DEFAULT: u64 = 2 << 30;
    /// The number of bytes of an encoded quota.
    pub const ENCODED_BYTES: usize = 9;

    /// Returns true if a write that replaces `freed` bytes of the state with `added` bytes may be
    /// executed, and counts it. Otherwise the write must have no effect.
    ///
    /// # Panics
    /// If more bytes are freed than the state has.
    #[must_use]
    pub fn admit(&mut self, freed: u64, added: u64) -> bool {
        let usage = &mut self.usage;
        let rest = usage.used_bytes.checked_sub(freed).expect("only stored bytes are freed");
        let grows = added > freed;
        if grows && (usage.alarm || rest.saturating_add(added) > usage.bytes_max) {
            usage.alarm = true;
            return false;
        }
        usage.used_bytes = rest + added;
        self.check();
        true
    }

    /// Panics if the quota is exceeded without an alarm.
    fn check(&self) {
        let QuotaUsage { used_bytes, bytes_max, alarm } = self.usage;
        assert!(alarm || used_bytes <= bytes_max, "a state beyond its quota raises the alarm");
    }

    /// Executes a command. Returns false if it is declined: the state still exceeds the quota.
    pub fn execute(&mut self, command: QuotaCommand) -> bool {
        self.check();
        let usage = &mut self.usage;
        let exceeds = |usage: &QuotaUsage| usage.used_bytes > usage.bytes_max;
        match command {
            QuotaCommand::SetBytes(bytes_max) => {
                usage.bytes_max = bytes_max;
                usage.alarm |= exceeds(usage);
                true
            }
            QuotaCommand::ClearAlarm => {
                usage.alarm = exceeds(usage);
                !usage.alarm
            }
        }
    }

    /// Returns the quota and its use.
    #[must_use]
    pub fn usage(&self) -> QuotaUsage {
        self.usage
    }

    /// Encodes the quota and the alarm for a snapshot. The use is not encoded, because the state
    /// determines it.
    #[must_use]
    pub fn encode(&self) -> [u8; Quota::ENCODED_BYTES] {
        let mut bytes = [0; Quota::ENCODED_BYTES];
        bytes[..8].copy_from_slice(&self.usage.bytes_max.to_le_bytes());
        bytes[8] = u8::from(self.usage.alarm);
        bytes
    }

    /// Decodes a quota, for a state with `used_bytes`; `None` for other bytes, and if the state
    /// exceeds the quota without an alarm.
    #[must_use]
    pub fn decode(bytes: &[u8; Quota::ENCODED_BYTES], used_bytes: u64) -> Option<Quota> {
        let (bytes_max, alarm) = bytes.split_first_chunk()?;
        let bytes_max = u64::from_le_bytes(*bytes_max);
        let alarm = match alarm {
            [0] => false,
            [1] => true,
            _ => return None,
        };
        let is_possible = alarm || used_bytes <= bytes_max;
        is_possible.then_some(Quota { usage: QuotaUsage { used_bytes, bytes_max, alarm } })
    }
}

impl Default for Quota {
    fn default() -> Quota {
        let bytes_max = Quota::BYTES_MAX_DEFAULT;
        Quota { usage: QuotaUsage { used_bytes: 0, bytes_max, alarm: false } }
    }
}

impl QuotaCommand {
    /// Encodes the command into the bytes of a [`Request::Admin`](crate::machine::Request::Admin).
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            QuotaCommand::SetBytes(bytes) => [&[SET_BYTES][..], &bytes.to_le_bytes()].concat(),
            QuotaCommand::ClearAlarm => vec![CLEAR_ALARM],
        }
    }

    /// Decodes a command; `None` for other bytes.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<QuotaCommand> {
        match bytes {
            [SET_BYTES, bytes @ ..] => {
                Some(QuotaCommand::SetBytes(u64::from_le_bytes(bytes.try_into().ok()?)))
            }
            [CLEAR_ALARM] => Some(QuotaCommand::ClearAlarm),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(bytes_max: u64) -> Quota {
        let mut quota = Quota::default();
        assert!(quota.execute(QuotaCommand::SetBytes(bytes_max)));
        quota
    }

    #[test]
    fn a_write_beyond_the_quota_stops_all_that_grow_until_the_alarm_is_cleared() {
        let mut quota = quota(10);
        assert!(quota.admit(0, 8));
        assert!(!quota.admit(0, 3), "11 bytes");
        assert!(!quota.admit(0, 1), "9 bytes would fit, but the alarm is on");
        assert!(quota.admit(8, 8) && quota.admit(8, 5), "replacing and shrinking work");
        assert!(quota.execute(QuotaCommand::ClearAlarm));
        assert!(quota.admit(0, 5) && quota.usage().used_bytes == 10);
    }

    #[test]
    fn the_alarm_stays_while_the_state_exceeds_the_quota() {
        let mut quota = quota(10);
        assert!(quota.admit(0, 8));
        assert!(quota.execute(QuotaCommand::SetBytes(5)) && quota.usage().alarm);
        assert!(!quota.execute(QuotaCommand::ClearAlarm));
        assert!(quota.admit(4, 0) && quota.execute(QuotaCommand::ClearAlarm));
        assert!(!quota.admit(0, u64::MAX), "no overflow");
    }

    #[test]
    fn only_a_command_to_clear_it_ends_an_alarm_and_only_within_the_quota() {
        let commands = [1, 5, 20].map(QuotaCommand::SetBytes).into_iter();
        for command in commands.chain([QuotaCommand::ClearAlarm]) {
            for (used, bytes_max, alarm) in [(0, 3, true), (3, 3, false), (3, 3, true)] {
                let mut quota = Quota { usage: QuotaUsage { used_bytes: used, bytes_max, alarm } };
                let is_done = quota.execute(command);
                let after = quota.usage();
                let exceeds = used > after.bytes_max;
                assert_eq!(is_done, command != QuotaCommand::ClearAlarm || !exceeds);
                let keeps_alarm = alarm && command != QuotaCommand::ClearAlarm;
                assert_eq!(after.alarm, exceeds || keeps_alarm, "{command:?} {used} {bytes_max}");
                assert_eq!(after.used_bytes, used, "a command changes no other state");
            }
        }
    }

    #[test]
    fn encoded_quotas_and_commands_decode_to_themselves() {
        let mut quota = quota(10);
        assert!(quota.admit(0, 8) && !quota.admit(0, 3));
        assert_eq!(Quota::decode(&quota.encode(), 8), Some(quota));
        let mut odd = quota.encode();
        odd[8] = 2;
        assert_eq!(Quota::decode(&odd, 8), None);
        odd[8] = 0;
        assert_eq!(Quota::decode(&odd, 11), None, "more than the quota without an alarm");
        for command in [QuotaCommand::SetBytes(7), QuotaCommand::ClearAlarm] {
            assert_eq!(QuotaCommand::decode(&command.encode()), Some(command));
        }
        for odd in [&b""[..], b"\x01\0", b"\x02\0", b"\x03"] {
            assert_eq!(QuotaCommand::decode(odd), None);
        }
    }
}
