//! The bounds on the memory of client sessions, the quota of the user's state, and the memory that
//! both take on a node.

use crate::types::version::MachineVersion;

/// The bounds of the sessions, requests and replies that every node stores for clients. They are
/// replicated: the defaults hold from the first entry of the log, and an administrator's request in
/// the log changes them, so that all nodes decide alike.
///
/// A *principal* is the role and the name that a certificate proves: those of a client or of an
/// administrator. All clients without TLS are one principal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct SessionBounds {
    /// The maximum number of sessions of all principals. At the bound, a new session of a principal
    /// replaces its own least recently used one, and a principal without a session cannot register
    /// one.
    pub sessions_max: u32,
    /// The maximum number of sessions of one principal. Beyond it, its least recently used one
    /// expires.
    pub sessions_per_principal_max: u32,
    /// The largest window of a session. It bounds the stored requests of the session: those that
    /// were executed, and that the client has not acknowledged.
    pub window_max: u32,
    /// The maximum number of stored requests of one principal. Beyond it, its least recently used
    /// session expires.
    pub requests_per_principal_max: u32,
    /// The maximum number of stored requests of all principals. At the bound, a new request in a
    /// session is rejected.
    pub requests_max: u32,
    /// The largest size of the stored replies that a session may ask for, in bytes.
    pub replies_bytes_per_session_max: u32,
    /// The maximum size of the stored replies of one principal, in bytes. Beyond it, replies of its
    /// least recently used sessions are dropped.
    pub replies_bytes_per_principal_max: u64,
    /// The maximum size of the stored replies of all principals, in bytes. Beyond it, a principal
    /// that executes a request drops replies of its own.
    pub replies_bytes_max: u64,
}

/// The memory that the client sessions and the user's state take on one node, and the rules by
/// which that node applies commands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct MachineUsage {
    /// The bounds of the client sessions.
    pub bounds: SessionBounds,
    /// The number of open sessions.
    pub sessions: u64,
    /// The number of requests that these sessions store.
    pub requests: u64,
    /// The size of the replies that these sessions store, in bytes.
    pub replies_bytes: u64,
    /// The quota of the user's state, if it has one.
    pub quota: Option<QuotaUsage>,
    /// The version of the rules at the last applied entry.
    pub version: MachineVersion,
}

/// The quota of a user's state, and its use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct QuotaUsage {
    /// The size of the state, in bytes.
    pub used_bytes: u64,
    /// The largest size up to which writes may grow the state, in bytes.
    pub bytes_max: u64,
    /// Whether writes that grow the state are rejected, because one would have exceeded the quota,
    /// or because the quota was set below the size of the state.
    pub alarm: bool,
}

// The defaults obey the rules of `SessionBounds::error`.
const _: () = {
    let bounds = SessionBounds::DEFAULT;
    assert!(bounds.sessions_max <= SessionBounds::SESSIONS_MAX, "sessions are bounded");
    assert!(bounds.sessions_per_principal_max <= bounds.sessions_max, "a share of the sessions");
    assert!(bounds.window_max <= SessionBounds::WINDOW_MAX, "windows are bounded");
    assert!(bounds.window_max <= bounds.requests_per_principal_max, "a window fits into a share");
    assert!(bounds.requests_per_principal_max <= bounds.requests_max, "a share of the requests");
    assert!(bounds.requests_max <= SessionBounds::REQUESTS_MAX, "stored requests are bounded");
    let session = bounds.replies_bytes_per_session_max;
    assert!(session <= SessionBounds::REPLIES_BYTES_PER_SESSION_MAX, "replies are bounded");
    let share = bounds.replies_bytes_per_principal_max;
    assert!(session as u64 <= share, "the replies of a session fit into a share");
    assert!(share <= bounds.replies_bytes_max, "a share of the replies");
    assert!(bounds.replies_bytes_max <= SessionBounds::REPLIES_BYTES_MAX, "replies fit in memory");
};

// The texts of `SessionBounds::error` name these numbers.
const _: () = {
    assert!(SessionBounds::SESSIONS_MAX == 1_048_576, "the text names the number of sessions");
    assert!(SessionBounds::WINDOW_MAX == 1024, "the text names the largest window");
    assert!(SessionBounds::REQUESTS_MAX == 16_777_216, "the text names the number of requests");
    let session = SessionBounds::REPLIES_BYTES_PER_SESSION_MAX;
    assert!(session == 64 << 20, "the text names the replies of a session");
    assert!(SessionBounds::REPLIES_BYTES_MAX == 64 << 30, "the text names the replies of all");
};

impl SessionBounds {
    /// The bounds before an administrator changes them.
    pub const DEFAULT: SessionBounds = SessionBounds {
        sessions_max: 1 << 16,
        sessions_per_principal_max: 1 << 12,
        window_max: 1 << 10,
        requests_per_principal_max: 1 << 16,
        requests_max: 1 << 18,
        replies_bytes_per_session_max: 4 << 20,
        replies_bytes_per_principal_max: 16 << 20,
        replies_bytes_max: 64 << 20,
    };
    /// The largest valid `sessions_max`.
    pub const SESSIONS_MAX: u32 = 1 << 20;
    /// The largest valid `window_max`.
    pub const WINDOW_MAX: u32 = 1 << 10;
    /// The largest valid `requests_max`.
    pub const REQUESTS_MAX: u32 = 1 << 24;
    /// The largest valid `replies_bytes_per_session_max`, in bytes.
    pub const REPLIES_BYTES_PER_SESSION_MAX: u32 = 64 << 20;
    /// The largest valid `replies_bytes_max`, in bytes.
    pub const REPLIES_BYTES_MAX: u64 = 64 << 30;

    /// Returns the rule that the bounds break; `None` if they are valid.
    #[must_use]
    pub fn error(&self) -> Option<&'static str> {
        let of_principal = self.replies_bytes_per_principal_max;
        let rules = [
            (
                self.sessions_max <= Self::SESSIONS_MAX,
                "the number of sessions must be at most 1048576",
            ),
            (
                (1..=self.sessions_max).contains(&self.sessions_per_principal_max),
                "the sessions of a principal must be at least 1, and at most those of all",
            ),
            (
                (1..=Self::WINDOW_MAX).contains(&self.window_max),
                "the window must be from 1 to 1024",
            ),
            (
                self.requests_max <= Self::REQUESTS_MAX,
                "the number of stored requests must be at most 16777216",
            ),
            (
                (self.window_max..=self.requests_max).contains(&self.requests_per_principal_max),
                "the stored requests of a principal must be at least a window, and at most those \
                 of all",
            ),
            (
                self.replies_bytes_per_session_max <= Self::REPLIES_BYTES_PER_SESSION_MAX,
                "the replies of a session must be at most 64 MiB",
            ),
            (
                u64::from(self.replies_bytes_per_session_max) <= of_principal
                    && of_principal <= self.replies_bytes_max,
                "the replies of a principal must be at least those of a session, and at most those \
                 of all",
            ),
            (
                self.replies_bytes_max <= Self::REPLIES_BYTES_MAX,
                "the replies of all principals must be at most 64 GiB",
            ),
        ];
        rules.into_iter().find(|(holds, _)| !holds).map(|(_, rule)| rule)
    }
}

impl Default for SessionBounds {
    fn default() -> SessionBounds {
        SessionBounds::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_is_limited_by_another_or_by_a_constant() {
        const DEFAULT: SessionBounds = SessionBounds::DEFAULT;
        assert_eq!(DEFAULT.error(), None);
        for invalid in [
            SessionBounds { sessions_max: SessionBounds::SESSIONS_MAX + 1, ..DEFAULT },
            SessionBounds { sessions_per_principal_max: DEFAULT.sessions_max + 1, ..DEFAULT },
            SessionBounds { sessions_per_principal_max: 0, ..DEFAULT },
            SessionBounds { window_max: 0, ..DEFAULT },
            SessionBounds { window_max: SessionBounds::WINDOW_MAX + 1, ..DEFAULT },
            SessionBounds { requests_per_principal_max: DEFAULT.window_max - 1, ..DEFAULT },
            SessionBounds { requests_per_principal_max: DEFAULT.requests_max + 1, ..DEFAULT },
            SessionBounds { requests_max: SessionBounds::REQUESTS_MAX + 1, ..DEFAULT },
            SessionBounds { replies_bytes_per_session_max: u32::MAX, ..DEFAULT },
            SessionBounds { replies_bytes_per_principal_max: 0, ..DEFAULT },
            SessionBounds { replies_bytes_per_principal_max: u64::MAX, ..DEFAULT },
            SessionBounds { replies_bytes_max: u64::MAX, ..DEFAULT },
        ] {
            assert!(invalid.error().is_some(), "{invalid:?}");
        }
    }
}
