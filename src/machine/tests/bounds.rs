//! Attacks on the memory of a node: more sessions, requests and replies than the bounds allow.

use super::*;

const SMALL: SessionBounds = SessionBounds {
    sessions_max: 6,
    sessions_per_principal_max: 4,
    window_max: 8,
    requests_per_principal_max: 10,
    requests_max: 12,
    replies_bytes_per_session_max: 20,
    replies_bytes_per_principal_max: 30,
    replies_bytes_max: 40,
};
const ALICE: Proposer<'_> = Proposer::Client("alice");
const MALLORY: Proposer<'_> = Proposer::Client("mallory");
const ROOT: Proposer<'_> = Proposer::Admin("root");

/// A machine with the small bounds, to which one request at a time is applied.
struct Run(Machine<Notes>);

impl Run {
    fn new() -> Run {
        let mut machine = empty();
        machine.sessions = Sessions::within(SMALL);
        Run(machine)
    }

    fn apply(&mut self, proposer: Proposer<'_>, request: Request<'_>) -> Outcome {
        let index = self.0.applied().index.next().0;
        self.0.apply(&log_of(proposer, index, &[request])).pop().unwrap().1
    }

    fn open(&mut self, proposer: Proposer<'_>, nonce: u128) -> u64 {
        match self.apply(proposer, asks(nonce, 8, 20)) {
            Outcome::Registered(session) => session.0.0,
            other => panic!("{other:?}"),
        }
    }

    fn is_open(&self, session: u64) -> bool {
        self.0.sessions.open().contains_key(&SessionId(Index(session)))
    }
}

fn asks(nonce: u128, window: u32, replies_bytes_max: u32) -> Request<'static> {
    let limits = SessionLimits { window, replies_bytes_max };
    Request::Register { nonce: Nonce(nonce), limits }
}

#[test]
fn a_registration_beyond_a_bound_is_rejected_and_names_it() {
    let mut run = Run::new();
    let window = MachineRejectReason::Window { max: 8 };
    assert_eq!(run.apply(ALICE, asks(1, 9, 20)), Outcome::Rejected(window));
    assert!(window.to_string().contains("window_max = 8"), "{window}");
    let replies = MachineRejectReason::RepliesBytesPerSession { max: 20 };
    assert_eq!(run.apply(ALICE, asks(1, 8, 21)), Outcome::Rejected(replies));
    assert!(replies.to_string().contains("replies_bytes_per_session_max = 20"), "{replies}");
    assert_eq!(run.0.usage().sessions, 0);
}

#[test]
fn registrations_and_requests_of_a_hostile_client_take_bounded_memory() {
    let mut run = Run::new();
    for nonce in 0..50 {
        let session = run.open(MALLORY, nonce);
        for sequence in 1..=8 {
            run.apply(MALLORY, request(session, sequence, 1, "a long command"));
        }
        let usage = run.0.usage();
        assert!(usage.sessions <= 4 && usage.requests <= 10, "{usage:?}");
        assert!(usage.replies_bytes <= 30, "{usage:?}");
    }
    let of_alice = run.open(ALICE, 1);
    let first = run.apply(ALICE, request(of_alice, 1, 1, "a"));
    assert_eq!(run.apply(ALICE, request(of_alice, 1, 1, "a")), first, "the reply is stored");
}

#[test]
fn stored_requests_of_a_principal_expire_its_oldest_session() {
    let mut run = Run::new();
    let (first, second) = (run.open(ALICE, 1), run.open(ALICE, 2));
    for sequence in 1..=8 {
        run.apply(ALICE, request(first, sequence, 1, ""));
    }
    run.apply(ALICE, request(second, 1, 1, ""));
    run.apply(ALICE, request(second, 2, 1, ""));
    assert!(run.is_open(first), "ten requests are stored");
    run.apply(ALICE, request(second, 3, 1, ""));
    assert!(!run.is_open(first) && run.is_open(second));
    assert_eq!(run.0.usage().requests, 3);
}

#[test]
fn a_request_is_rejected_while_others_store_all_requests() {
    let mut run = Run::new();
    let (of_mallory, of_alice) = (run.open(MALLORY, 1), run.open(ALICE, 1));
    let other = run.open(MALLORY, 2);
    for sequence in 1..=8 {
        run.apply(MALLORY, request(of_mallory, sequence, 1, ""));
    }
    run.apply(MALLORY, request(other, 1, 1, ""));
    run.apply(MALLORY, request(other, 2, 1, ""));
    run.apply(ALICE, request(of_alice, 1, 1, "a"));
    run.apply(ALICE, request(of_alice, 2, 1, "b"));
    let full = MachineRejectReason::Requests { max: 12 };
    assert_eq!(run.apply(ALICE, request(of_alice, 3, 1, "c")), Outcome::Rejected(full));
    assert!(full.to_string().contains("requests_max = 12"), "{full}");
    assert_eq!(run.0.query(b""), b"ab", "it was not executed");
    // An acknowledgement makes room, and the same request is then executed.
    assert_eq!(run.apply(ALICE, request(of_alice, 3, 2, "c")), reply("3c"));
    assert!(run.is_open(of_mallory) && run.is_open(other) && run.is_open(of_alice));
}

#[test]
fn replies_beyond_the_share_of_a_principal_are_dropped_from_its_oldest_session() {
    let mut run = Run::new();
    let (of_alice, first, second) =
        (run.open(ALICE, 1), run.open(MALLORY, 1), run.open(MALLORY, 2));
    let kept = run.apply(ALICE, request(of_alice, 1, 1, "1234567"));
    run.apply(MALLORY, request(first, 1, 1, "1234567"));
    run.apply(MALLORY, request(first, 2, 1, "1234567"));
    let last = run.apply(MALLORY, request(second, 1, 1, "1234567"));
    assert_eq!(run.0.usage().replies_bytes, 8 + 3 * 9);
    run.apply(MALLORY, request(second, 2, 1, "1234567"));
    assert_eq!(run.apply(MALLORY, request(first, 1, 1, "")), Outcome::SessionExpired, "dropped");
    assert_eq!(run.apply(MALLORY, request(second, 1, 1, "")), last);
    assert_eq!(run.apply(ALICE, request(of_alice, 1, 1, "")), kept, "a reply of another principal");
}

#[test]
fn lower_bounds_expire_the_sessions_used_least_recently() {
    let mut run = Run::new();
    let sessions = [(ALICE, 1), (ALICE, 2), (MALLORY, 1), (MALLORY, 2), (MALLORY, 3)];
    let sessions = sessions.map(|(proposer, nonce)| (proposer, run.open(proposer, nonce)));
    for (proposer, session) in sessions {
        run.apply(proposer, request(session, 1, 1, "123456"));
    }
    let fewer = SessionBounds {
        sessions_max: 3,
        sessions_per_principal_max: 2,
        replies_bytes_per_principal_max: 20,
        replies_bytes_max: 20,
        ..SMALL
    };
    assert_eq!(run.apply(ROOT, Request::SetBounds(fewer)), reply(""));
    let open = sessions.map(|(_, session)| run.is_open(session));
    assert_eq!(open, [false, true, false, true, true]);
    assert!(run.0.usage().replies_bytes <= 20);
    let narrow = SessionBounds { window_max: 7, ..fewer };
    run.apply(ROOT, Request::SetBounds(narrow));
    assert_eq!(run.0.usage().sessions, 0, "their windows are larger");
}

#[test]
fn bounds_are_a_part_of_the_snapshot() {
    let mut run = Run::new();
    run.open(ALICE, 1);
    let bytes = bytes_of(&run.0);
    let mut other = empty();
    other.restore(run.0.applied(), &mut &bytes[..]).unwrap();
    assert_eq!(other.usage(), run.0.usage());
    assert_eq!(other.digest().unwrap(), run.0.digest().unwrap());
}

#[test]
fn the_digest_depends_on_the_bounds() {
    let mut run = Run::new();
    run.apply(ROOT, Request::SetBounds(SMALL));
    let mut other = Run::new();
    other.apply(ROOT, Request::SetBounds(SessionBounds { window_max: 7, ..SMALL }));
    assert_ne!(run.0.digest().unwrap(), other.0.digest().unwrap());
}
