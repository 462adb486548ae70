//! The requests by which a node proposes its clients' commands: in sessions, in old sessions that
//! may have expired, twice, too late, too early, and without a session. So the builds must also
//! agree on the rules of sessions.

/// The requests that a node has made since its start, and its sessions.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    proposed: u64,
    /// The sessions that this node has registered: the id of each, and its last sequence number.
    sessions: Vec<(u64, u64)>,
}

/// A request to propose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Planned {
    /// The bounds of all sessions, so small that sessions expire.
    Bounds,
    /// The registration of a session, with its nonce.
    Register(u64),
    /// The client's command, without a session.
    Plain,
    /// The client's command in a session: the id, the sequence number and the acknowledged one.
    InSession(u64, u64, u64),
    /// No command, in the session with this sequence number: an earlier one than the client has
    /// acknowledged, or a later one than the window allows.
    Misplaced(u64, u64),
}

/// The number of sessions that the replicated bounds allow.
pub(crate) const SESSIONS_MAX: u32 = 3;
/// The window of every session.
pub(crate) const WINDOW: u32 = 8;
/// The maximum number of sessions that a node remembers: more than may be open, so that some have
/// expired.
const REMEMBERED: usize = 5;
/// The number of commands after which a node registers another session.
const REGISTER_EVERY: u64 = 12;
/// The number of registrations after which a node sets the bounds again.
const BOUNDS_EVERY: u64 = 4;

impl Requests {
    /// Returns the requests for the next command, in their order.
    pub(crate) fn next(&mut self) -> Vec<Planned> {
        let number = self.proposed;
        self.proposed += 1;
        let mut planned = Vec::new();
        if number.is_multiple_of(REGISTER_EVERY) {
            let registrations = number / REGISTER_EVERY;
            if registrations.is_multiple_of(BOUNDS_EVERY) {
                planned.push(Planned::Bounds);
            }
            planned.push(Planned::Register(number));
        }
        if let Some((session, sequence)) = self.sessions.last() {
            match number % 8 {
                1 if *sequence > 4 => {
                    planned.push(Planned::Misplaced(*session, 1));
                }
                4 => planned.push(Planned::Misplaced(*session, sequence + 3 * u64::from(WINDOW))),
                _ => {}
            }
        }
        let old = number % 8 == 5;
        let session = if old { self.sessions.first_mut() } else { self.sessions.last_mut() };
        let request = match session.filter(|_| number % 4 != 2) {
            Some((session, sequence)) => {
                *sequence += 1;
                Planned::InSession(*session, *sequence, sequence.saturating_sub(3).max(1))
            }
            None => Planned::Plain,
        };
        planned.push(request);
        if number % 4 == 3 && request != Planned::Plain {
            planned.push(request);
        }
        planned
    }

    /// Records the session of a registration that has been applied.
    pub(crate) fn registered(&mut self, session: u64) {
        self.sessions.push((session, 0));
        if self.sessions.len() > REMEMBERED {
            self.sessions.remove(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_use_sessions_and_are_repeated() {
        let mut requests = Requests::default();
        assert_eq!(requests.next(), [Planned::Bounds, Planned::Register(0), Planned::Plain]);
        requests.registered(7);
        assert_eq!(requests.next(), [Planned::InSession(7, 1, 1)]);
        assert_eq!(requests.next(), [Planned::Plain]);
        assert_eq!(requests.next(), [Planned::InSession(7, 2, 1), Planned::InSession(7, 2, 1)]);
        requests.registered(9);
        let early = Planned::Misplaced(9, 24);
        assert_eq!(requests.next(), [early, Planned::InSession(9, 1, 1)]);
        assert_eq!(requests.next(), [Planned::InSession(7, 3, 1)], "an old session");
    }
}
