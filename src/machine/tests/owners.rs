//! Attacks of one principal on the sessions of another, and admin commands of clients that are not
//! administrators.

use super::*;

const ALICE: Proposer<'_> = Proposer::Client("alice");
const MALLORY: Proposer<'_> = Proposer::Client("mallory");

/// Returns the outcomes of `requests`, in this order.
fn outcomes(requests: &[(Proposer<'_>, Request<'_>)]) -> (Machine<Notes>, Vec<Outcome>) {
    let mut machine = empty();
    let mut outcomes = Vec::new();
    for (place, (proposer, request)) in requests.iter().enumerate() {
        let entries = log_of(*proposer, place as u64 + 1, &[*request]);
        outcomes.extend(machine.apply(&entries).into_iter().map(|(_, outcome)| outcome));
    }
    (machine, outcomes)
}

#[test]
fn another_principal_cannot_take_a_sequence_number() {
    let (machine, outcomes) = outcomes(&[
        (ALICE, register(7)),
        (MALLORY, request(1, 1, 1, "evil")),
        (ALICE, request(1, 1, 1, "good")),
    ]);
    assert_eq!(outcomes[1..], [Outcome::SessionExpired, reply("4good")]);
    assert_eq!(machine.query(b""), b"good");
}

#[test]
fn another_principal_cannot_acknowledge_a_request() {
    let (_, outcomes) = outcomes(&[
        (ALICE, register(7)),
        (ALICE, request(1, 1, 1, "a")),
        (MALLORY, request(1, 1 << 62, 1 << 62, "")),
        (ALICE, request(1, 1, 1, "a")),
        (ALICE, request(1, 2, 1, "b")),
    ]);
    assert_eq!(outcomes[2..], [Outcome::SessionExpired, reply("1a"), reply("2b")]);
}

#[test]
fn another_principal_cannot_read_a_reply() {
    let (_, outcomes) = outcomes(&[
        (ALICE, register(7)),
        (ALICE, request(1, 1, 1, "secret")),
        (MALLORY, request(1, 1, 1, "")),
        (Proposer::Admin("alice"), request(1, 1, 1, "")),
        (Proposer::Unnamed, request(1, 1, 1, "")),
    ]);
    assert_eq!(outcomes[2..], [const { Outcome::SessionExpired }; 3]);
}

#[test]
fn a_nonce_opens_one_session_for_each_principal() {
    let (_, outcomes) =
        outcomes(&[(ALICE, register(7)), (MALLORY, register(7)), (ALICE, register(7))]);
    assert_eq!(outcomes, [registered(1), registered(2), registered(1)]);
}

#[test]
fn registrations_of_one_principal_expire_its_own_sessions_only() {
    let mut requests = vec![(ALICE, register(7))];
    requests.extend((0..20).map(|nonce| (MALLORY, register(nonce))));
    requests.push((ALICE, request(1, 1, 1, "a")));
    let (machine, outcomes) = outcomes(&requests);
    assert_eq!(outcomes.last(), Some(&reply("1a")));
    assert_eq!(machine.usage().sessions, 3, "two of mallory's");
}

#[test]
fn a_principal_is_rejected_when_others_have_all_sessions() {
    let full = Outcome::Rejected(MachineRejectReason::Sessions { max: BOUNDS.sessions_max });
    let carol = Proposer::Client("carol");
    let (_, outcomes) = outcomes(&[
        (ALICE, register(1)),
        (ALICE, register(2)),
        (MALLORY, register(1)),
        (MALLORY, register(2)),
        (carol, register(1)),
        (ALICE, register(3)),
        (ALICE, request(2, 1, 1, "a")),
    ]);
    assert_eq!(outcomes[4..], [full.clone(), registered(6), reply("1a")]);
    let Outcome::Rejected(reason) = full else { panic!("{full:?}") };
    assert!(reason.to_string().contains("sessions_max = 4"), "{reason}");
}

#[test]
fn only_administrators_send_admin_commands_and_set_bounds() {
    let requests = [Request::Admin(b"command"), Request::SetBounds(SessionBounds::DEFAULT)];
    for request in requests {
        let (machine, outcomes) = outcomes(&[(MALLORY, request)]);
        let rejected = Outcome::Rejected(MachineRejectReason::NotAdministrator);
        assert_eq!(outcomes, [rejected], "{request:?}");
        assert_eq!(*machine.sessions.bounds(), BOUNDS);
        for proposer in [Proposer::Admin("ops"), Proposer::Unnamed] {
            let (_, outcomes) = super::owners::outcomes(&[(proposer, request)]);
            assert!(matches!(outcomes[..], [Outcome::Reply(_)]), "{request:?}");
        }
    }
}

#[test]
fn an_owner_survives_a_snapshot() {
    let (first, _) = outcomes(&[(ALICE, register(7)), (ALICE, request(1, 1, 1, "a"))]);
    let mut machine = empty();
    machine.restore(first.applied(), &mut &bytes_of(&first)[..]).unwrap();
    let stolen = machine.apply(&log_of(MALLORY, 3, &[request(1, 2, 2, "evil")]));
    assert_eq!(stolen[0].1, Outcome::SessionExpired);
    let again = machine.apply(&log_of(ALICE, 4, &[request(1, 1, 1, "a")]));
    assert_eq!(again[0].1, reply("1a"));
}

#[test]
fn the_stamp_of_a_client_is_not_taken_from_its_bytes() {
    let forged = Request::Admin(b"command").encode_for(Proposer::Admin("ops"));
    let mut machine = empty();
    let outcomes = machine.apply(&[entry(1, Payload::Command(MALLORY.stamp(&forged)))]);
    assert_eq!(outcomes, [(Index(1), Outcome::Malformed)]);
}
