//! What connections are refused or closed for, counted.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

/// Why a connection was refused or closed: by the other side's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// It did not say in time who it is.
    Late,
    /// It ended before it said who it is.
    Early,
    /// There were too many connections.
    Crowd,
    /// A newer connection of the same principal took its place.
    Replaced,
    /// It speaks in the clear, or something else that is not TLS.
    NotTls,
    /// It speaks no version of TLS, or no part of it, that is spoken here.
    TlsVersion,
    /// It showed no certificate.
    NoCertificate,
    /// Its certificate is over, or not valid yet.
    Expired,
    /// Its certificate is from nobody who is trusted with its role, or was taken back.
    Untrusted,
    /// Its certificate does not say who it is.
    Nameless,
    /// TLS failed otherwise.
    Tls,
    /// It is of another cluster.
    Cluster,
    /// Its role does not allow what it wants.
    Role,
    /// It claims to be somebody else than its certificate says, or is not who was called.
    Identity,
    /// Its hello has some other fault.
    Hello,
    /// It said what somebody else would say.
    Sender,
    /// It said what somebody else should hear.
    Recipient,
    /// A frame was longer than its kind may be.
    FrameLength,
    /// What it said makes no sense.
    Frame,
    /// Nothing was heard for long.
    Silence,
    /// Nothing but pulses was heard for longer.
    Idle,
}

impl Refusal {
    /// Every reason.
    pub const ALL: [Refusal; 21] = [
        Refusal::Late,
        Refusal::Early,
        Refusal::Crowd,
        Refusal::Replaced,
        Refusal::NotTls,
        Refusal::TlsVersion,
        Refusal::NoCertificate,
        Refusal::Expired,
        Refusal::Untrusted,
        Refusal::Nameless,
        Refusal::Tls,
        Refusal::Cluster,
        Refusal::Role,
        Refusal::Identity,
        Refusal::Hello,
        Refusal::Sender,
        Refusal::Recipient,
        Refusal::FrameLength,
        Refusal::Frame,
        Refusal::Silence,
        Refusal::Idle,
    ];

    /// The reason in one word, as metrics have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Refusal::Late => "late",
            Refusal::Early => "early",
            Refusal::Crowd => "crowd",
            Refusal::Replaced => "replaced",
            Refusal::NotTls => "not_tls",
            Refusal::TlsVersion => "tls_version",
            Refusal::NoCertificate => "no_certificate",
            Refusal::Expired => "expired",
            Refusal::Untrusted => "untrusted",
            Refusal::Nameless => "nameless",
            Refusal::Tls => "tls",
            Refusal::Cluster => "cluster",
            Refusal::Role => "role",
            Refusal::Identity => "identity",
            Refusal::Hello => "hello",
            Refusal::Sender => "sender",
            Refusal::Recipient => "recipient",
            Refusal::FrameLength => "frame_length",
            Refusal::Frame => "frame",
            Refusal::Silence => "silence",
            Refusal::Idle => "idle",
        }
    }

    /// Why the error ended a connection; none if the other side is not to blame.
    pub(super) fn of(error: &io::Error) -> Option<Refusal> {
        error.get_ref()?.downcast_ref::<Refused>().map(|refused| refused.why)
    }
}

/// The other side may not do that: an error that is counted as `why` and says `what`.
pub(super) fn refused(why: Refusal, what: impl fmt::Display) -> io::Error {
    let kind = match why {
        Refusal::Late | Refusal::Silence | Refusal::Idle => io::ErrorKind::TimedOut,
        _ => io::ErrorKind::InvalidData,
    };
    io::Error::new(kind, Refused { why, what: what.to_string() })
}

#[derive(Debug)]
struct Refused {
    why: Refusal,
    what: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Refused {}

/// How many connections were refused or closed, by reason.
#[derive(Debug, Default)]
pub(super) struct Refusals([AtomicU64; Refusal::ALL.len()]);

impl Refusals {
    /// Counts the error, if the other side is to blame for it.
    pub(super) fn count(&self, error: &io::Error) {
        if let Some(why) = Refusal::of(error) {
            self.0[why as usize].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Every reason, and how often it was met.
    pub(super) fn counts(&self) -> Vec<(Refusal, u64)> {
        let count = |why: Refusal| (why, self.0[why as usize].load(Ordering::Relaxed));
        Refusal::ALL.into_iter().map(count).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_counted_as_itself() {
        let refusals = Refusals::default();
        for (place, why) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(why as usize, place, "{}", why.name());
            for _ in 0..place {
                refusals.count(&refused(why, "because"));
            }
        }
        refusals.count(&io::ErrorKind::BrokenPipe.into());
        let counts: Vec<u64> = refusals.counts().into_iter().map(|(_, count)| count).collect();
        assert_eq!(counts, (0..Refusal::ALL.len() as u64).collect::<Vec<_>>());
    }
}
