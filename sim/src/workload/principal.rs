//! The principals of the simulated clients, as their servers know them.

use quorate::machine::Proposer;
use quorate::types::Command;

/// The principal of a simulated client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Principal {
    /// An honest client, one of a few that share a name.
    Honest(u16),
    /// A client that lies in every field of its requests.
    Hostile(u16),
    /// The administrator, who sends admin commands.
    Administrator,
}

impl Principal {
    /// The number of names that honest clients share, and the number that hostile ones share.
    pub(crate) const NAMES: u16 = 2;
    /// The largest number of bytes that a server adds to the request of a simulated client.
    pub(crate) const BYTES_MAX: usize = 4;

    /// Returns the command of the log for a request of the principal, as its server proposes it.
    pub(crate) fn stamp(self, request: &[u8]) -> Command {
        let command = match self {
            // Three clients in a row, of which two use sessions, share a name and the bounds of its
            // sessions.
            Principal::Honest(number) => Proposer::Client(&name('c', number / 3)).stamp(request),
            Principal::Hostile(number) => Proposer::Client(&name('h', number)).stamp(request),
            Principal::Administrator => Proposer::Admin("a").stamp(request),
        };
        debug_assert!(command.len() <= request.len() + Principal::BYTES_MAX);
        command
    }

    /// Returns true if a hostile client proposed the command.
    pub(crate) fn is_hostile(proposer: Proposer<'_>) -> bool {
        matches!(proposer, Proposer::Client(name) if name.starts_with('h'))
    }
}

fn name(kind: char, number: u16) -> String {
    format!("{kind}{}", number % Principal::NAMES)
}
