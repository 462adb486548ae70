//! Requests of clients and the replies to them: a sample of every kind, and arbitrary ones, which
//! round-trip through their encoding.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use quorate::types::{
    Acknowledge, Address, Change, ChangeError, Command, Comparisons, EntryId, Freshness,
    Incarnation, Index, MachineRejectReason, MachineUsage, MachineVersion, Membership, NodeId,
    PeerStatus, QuotaUsage, ReadLevel, RejectReason, Report, RoleCause, RoleChange, RoleName,
    SessionBounds, StateVerification, Status, Term,
};
use quorate::wire::{
    ClientHello, ClientReply, ClientRequest, FRAME_HEADER_BYTES, Frame, FrameError, FrameReader,
    Kind, LeaderHint, ReplyBody, RequestBody, ServiceRejectReason, Versions, WireError, decode,
};

use super::driver::seal;
use crate::fixtures::Fixtures;

type Named<T> = (&'static str, T);

fn id() -> EntryId {
    EntryId::new(Term(3), Index(14))
}

fn hello() -> ClientHello {
    let versions = Versions { oldest: 1, newest: 0x0203 };
    let cluster = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef;
    ClientHello { versions, cluster, node: Some(NodeId(2)), full: false }
}

fn change() -> Change {
    Change::new()
        .voter(NodeId(3))
        .learner(NodeId(4))
        .suspend(NodeId(5))
        .remove(NodeId(2))
        .casting(Some(NodeId(1)))
        .casting(None)
        .incarnation(NodeId(3), Incarnation(0x0333))
        .address(NodeId(3), Address::new("three:7000").expect("the address is short"))
        .priority(NodeId(1), 200)
}

/// The number of a variant of [`RequestBody`] on the wire, which never changes.
fn number_of_request(body: &RequestBody) -> u32 {
    match body {
        RequestBody::Propose { .. } => 0,
        RequestBody::Read { .. } => 1,
        RequestBody::Report => 2,
        RequestBody::ChangeMembership(_) => 3,
        RequestBody::CancelMembershipChange => 4,
        RequestBody::TransferLeadership(_) => 5,
        RequestBody::Campaign => 6,
        RequestBody::TakeSnapshot => 7,
        RequestBody::ProposeFor { .. } => 8,
        RequestBody::ReadRecording { .. } => 9,
    }
}

/// The number of a variant of [`ReplyBody`] on the wire, which never changes.
fn number_of_reply(body: &ReplyBody) -> u32 {
    match body {
        ReplyBody::Replied { .. } => 0,
        ReplyBody::Registered { .. } => 1,
        ReplyBody::SessionExpired { .. } => 2,
        ReplyBody::OutsideWindow { .. } => 3,
        ReplyBody::Malformed { .. } => 4,
        ReplyBody::MayBeLost { .. } => 5,
        ReplyBody::Answered { .. } => 6,
        ReplyBody::MembershipChangeCommitted { .. } => 7,
        ReplyBody::LeadershipTransferred => 8,
        ReplyBody::Started => 9,
        ReplyBody::Report(_) => 10,
        ReplyBody::Rejected { .. } => 11,
        ReplyBody::Unknown => 12,
        ReplyBody::ServiceRejected(_) => 13,
        ReplyBody::MachineRejected { .. } => 14,
        ReplyBody::RecordingPart { .. } => 15,
    }
}

fn levels() -> [ReadLevel; 5] {
    [
        ReadLevel::Linearizable,
        ReadLevel::Lease,
        ReadLevel::Replica,
        ReadLevel::Bounded(Duration::from_millis(300)),
        ReadLevel::Local,
    ]
}

fn acknowledges() -> [Acknowledge; 4] {
    [Acknowledge::Default, Acknowledge::Quorum, Acknowledge::AllLive, Acknowledge::LeaderOnly]
}

fn requests() -> Vec<Named<ClientRequest>> {
    let propose =
        |acknowledge| RequestBody::Propose { acknowledge, command: Command::from("set x 1") };
    let read = |level| RequestBody::Read { level, query: b"x".to_vec() };
    let (acknowledge, command) = (Acknowledge::Quorum, Command::from("set x 1"));
    let proposals = acknowledges().map(|acknowledge| ("Propose", propose(acknowledge)));
    let reads = levels().map(|level| ("Read", read(level)));
    let others = [
        ("Report", RequestBody::Report),
        ("ChangeMembership", RequestBody::ChangeMembership(change())),
        ("CancelMembershipChange", RequestBody::CancelMembershipChange),
        ("TransferLeadership", RequestBody::TransferLeadership(None)),
        ("TransferLeadership-named", RequestBody::TransferLeadership(Some(NodeId(2)))),
        ("Campaign", RequestBody::Campaign),
        ("TakeSnapshot", RequestBody::TakeSnapshot),
        ("ProposeFor", RequestBody::ProposeFor { acknowledge, command }),
        ("ReadRecording", RequestBody::ReadRecording { file: 3, offset: 0x0004_0000 }),
    ];
    let all = proposals.into_iter().chain(reads).chain(others);
    all.zip(0x0102_0304_0506_0708..)
        .map(|((name, body), number)| (name, ClientRequest { number, body }))
        .collect()
}

fn status() -> Status {
    Status {
        id: NodeId(1),
        role: RoleName::Leader,
        term: Term(3),
        vote: Some(NodeId(1)),
        vote_lease: Duration::from_millis(300),
        leader: Some(NodeId(1)),
        last: id(),
        durable: Index(13),
        committed: Index(12),
        applied: Index(11),
        snapshot: Index(10),
        base: Index(9),
        disk_full: true,
        damaged_entries: 5,
        is_uncertain: true,
        tail_bytes: 1,
        unapplied_bytes: 2,
        outbox_messages: 3,
        reads_waiting: 4,
    }
}

fn report() -> Report {
    let version = MachineVersion { user: 2, library: 1 };
    let peer = PeerStatus {
        id: NodeId(2),
        probing: true,
        snapshot: Some(Index(10)),
        disk_full: false,
        suspected: true,
        matched: Index(8),
        next: Index(9),
        inflight_entries: 5,
        inflight_bytes: 6,
        version_max: Some(version),
    };
    let other = PeerStatus { id: NodeId(3), snapshot: None, version_max: None, ..peer };
    let membership = Membership::new([1, 2, 3].map(NodeId));
    let comparisons = Comparisons {
        consistent: 1,
        unavailable: 2,
        inconclusive: 3,
        diverged: 4,
        chains: 5,
        chains_unavailable: 6,
    };
    let (peers, verification) = (vec![peer, other], StateVerification::Consistent);
    let lease = Duration::from_millis(200);
    let quota = Some(QuotaUsage { used_bytes: 7, bytes_max: 8, alarm: true });
    let bounds = SessionBounds::DEFAULT;
    let usage = MachineUsage { bounds, sessions: 4, requests: 5, replies_bytes: 6, quota, version };
    let change = RoleChange {
        age: Duration::from_secs(1),
        role: RoleName::Leader,
        term: Term(3),
        leader: Some(NodeId(1)),
        cause: RoleCause::VotesGranted,
    };
    let cause = RoleCause::LaterTerm { from: NodeId(2) };
    let earlier = RoleChange { role: RoleName::Follower, leader: None, cause, ..change };
    let role_changes = vec![change, earlier];
    let (version_max, version_required) = (version, Some(MachineVersion { user: 4, library: 1 }));
    Report {
        status: status(),
        peers,
        membership,
        verification,
        comparisons,
        lease,
        usage,
        version_max,
        version_required,
        role_changes,
    }
}

fn reasons() -> Vec<RejectReason> {
    let changes = [
        ChangeError::NoVoters,
        ChangeError::TooManyVoters,
        ChangeError::TooLarge,
        ChangeError::IdIsZero,
        ChangeError::NotMember(NodeId(2)),
        ChangeError::CastingWithoutVote(NodeId(2)),
        ChangeError::ConflictingRoles(NodeId(2)),
        ChangeError::OtherIncarnationVotes(NodeId(2)),
        ChangeError::InvalidAddress(NodeId(2)),
    ];
    let version_max = MachineVersion { user: 2, library: 1 };
    let others = [
        RejectReason::NotLeader { leader: None },
        RejectReason::NotLeader { leader: Some(NodeId(2)) },
        RejectReason::Busy,
        RejectReason::TooLarge,
        RejectReason::NoLeader,
        RejectReason::Stopped,
        RejectReason::DiskFull,
        RejectReason::MembershipChangeInFlight,
        RejectReason::NoChangeToCancel,
        RejectReason::ChangeCancelled,
        RejectReason::Transferring,
        RejectReason::NoTransferTarget,
        RejectReason::TransferAborted,
        RejectReason::Unverified,
        RejectReason::BuildTooOld { node: NodeId(2), version_max },
        RejectReason::BuildUnknown { node: NodeId(2) },
    ];
    others.into_iter().chain(changes.map(RejectReason::Membership)).collect()
}

fn freshnesses() -> [Freshness; 3] {
    let within = Freshness::Within(Duration::from_millis(300));
    [Freshness::Linearizable, within, Freshness::Unknown]
}

fn replies() -> Vec<Named<ClientReply>> {
    let (index, applied) = (Index(12), Index(13));
    let leader =
        LeaderHint { id: NodeId(2), address: Address::new("two:7000").expect("it is short") };
    let mut bodies = vec![
        ("Replied", ReplyBody::Replied { id: id(), reply: b"ok"[..].into() }),
        ("Registered", ReplyBody::Registered { id: id(), session: index }),
        ("SessionExpired", ReplyBody::SessionExpired { id: id() }),
        ("OutsideWindow", ReplyBody::OutsideWindow { id: id() }),
        ("Malformed", ReplyBody::Malformed { id: id() }),
        ("MayBeLost", ReplyBody::MayBeLost { id: id() }),
        ("MembershipChangeCommitted", ReplyBody::MembershipChangeCommitted { id: id() }),
        ("LeadershipTransferred", ReplyBody::LeadershipTransferred),
        ("Started", ReplyBody::Started),
        ("Report", ReplyBody::Report(Box::new(report()))),
        ("Unknown", ReplyBody::Unknown),
    ];
    bodies.extend(freshnesses().map(|freshness| {
        ("Answered", ReplyBody::Answered { freshness, index, applied, answer: b"1".to_vec() })
    }));
    bodies.extend(
        reasons().into_iter().map(|reason| {
            ("Rejected", ReplyBody::Rejected { reason, leader: Some(leader.clone()) })
        }),
    );
    let unknown = ReplyBody::Rejected { reason: RejectReason::NoLeader, leader: None };
    bodies.push(("Rejected-no-leader", unknown));
    let service_reasons = [
        ServiceRejectReason::NotAllowed,
        ServiceRejectReason::AnswerTooLarge,
        ServiceRejectReason::Overloaded,
    ];
    let rejected = |reason| ("ServiceRejected", ReplyBody::ServiceRejected(reason));
    bodies.extend(service_reasons.map(rejected));
    let machine_reasons = [
        MachineRejectReason::NotAdministrator,
        MachineRejectReason::Sessions { max: 1 },
        MachineRejectReason::Window { max: 2 },
        MachineRejectReason::RepliesBytesPerSession { max: 3 },
        MachineRejectReason::Requests { max: 4 },
        MachineRejectReason::VersionNotHigher { current: MachineVersion { user: 5, library: 1 } },
    ];
    bodies.extend(
        machine_reasons
            .map(|reason| ("MachineRejected", ReplyBody::MachineRejected { id: id(), reason })),
    );
    bodies.push(rejected(ServiceRejectReason::NoRecording));
    let (file, offset, bytes) = (3, 0x0004_0000, b"QRec".to_vec());
    bodies.push(("RecordingPart", ReplyBody::RecordingPart { file, offset, newest: 4, bytes }));
    let reply = |((name, body), number)| (name, ClientReply { number, body });
    bodies.into_iter().zip(0x0102_0304_0506_0708..).map(reply).collect()
}

pub(crate) fn request_frame(request: &ClientRequest) -> Vec<u8> {
    let mut bytes = Vec::new();
    request.encode(&mut bytes).expect("the value is within the bounds");
    bytes
}

pub(crate) fn reply_frame(reply: &ClientReply) -> Vec<u8> {
    let mut bytes = Vec::new();
    reply.encode(&mut bytes).expect("the value is within the bounds");
    bytes
}

/// Returns the bytes of each sample, with its name.
fn frames() -> Vec<Named<Vec<u8>>> {
    let mut client_hello = Vec::new();
    hello().encode(&mut client_hello);
    let requests = requests().into_iter().map(|(name, request)| (name, request_frame(&request)));
    let replies = replies().into_iter().map(|(name, reply)| (name, reply_frame(&reply)));
    [("ClientHello", client_hello)].into_iter().chain(requests).chain(replies).collect()
}

/// Adds the samples to the fixtures of frames. Some names have several samples.
pub(crate) fn add_samples(fixtures: &mut Fixtures) {
    let mut bytes = Vec::new();
    hello().encode(&mut bytes);
    fixtures.value("ClientHello", &bytes, |kept| {
        assert_eq!(ClientHello::decode(kept), Ok(hello()));
    });
    for (number, (name, request)) in requests().into_iter().enumerate() {
        fixtures.value(&format!("request-{number}-{name}"), &request_frame(&request), |kept| {
            assert_eq!(ClientRequest::decode(kept), Ok(request));
        });
    }
    for (number, (name, reply)) in replies().into_iter().enumerate() {
        fixtures.value(&format!("reply-{number}-{name}"), &reply_frame(&reply), |kept| {
            assert_eq!(ClientReply::decode(kept), Ok(reply));
        });
    }
}

#[test]
fn the_numbers_of_variants_do_not_change() {
    let number_at = |bytes: &[u8]| {
        let place = FRAME_HEADER_BYTES + 8;
        u32::from_le_bytes(bytes[place..place + 4].try_into().expect("four bytes"))
    };
    let mut request_numbers: Vec<u32> = Vec::new();
    for (name, request) in requests() {
        let number = number_of_request(&request.body);
        assert_eq!(number_at(&request_frame(&request)), number, "{name}");
        request_numbers.push(number);
    }
    let mut reply_numbers: Vec<u32> = Vec::new();
    for (name, reply) in replies() {
        let number = number_of_reply(&reply.body);
        assert_eq!(number_at(&reply_frame(&reply)), number, "{name}");
        reply_numbers.push(number);
    }
    for (numbers, count) in [(&mut request_numbers, 10), (&mut reply_numbers, 16)] {
        numbers.sort_unstable();
        numbers.dedup();
        assert!(numbers.iter().copied().eq(0..count), "each has a sample: {numbers:?}");
    }
}

/// Returns the request or reply that the bytes encode, and asserts that it encodes to the same.
fn decoded(bytes: &[u8]) -> Option<(Option<ClientRequest>, Option<ClientReply>)> {
    let (request, reply) = (ClientRequest::decode(bytes).ok(), ClientReply::decode(bytes).ok());
    if let Some(request) = &request {
        assert_eq!(request_frame(request), bytes, "{request:?}");
        assert_eq!(reply, None, "a frame is a request or a reply");
    }
    if let Some(reply) = &reply {
        assert_eq!(reply_frame(reply), bytes, "{reply:?}");
    }
    assert!(decode(bytes).is_err() || (request.is_none() && reply.is_none()), "it is not a packet");
    (request.is_some() || reply.is_some()).then_some((request, reply))
}

#[test]
fn a_body_with_one_byte_changed_decodes_to_another_value_or_not_at_all() {
    for (name, bytes) in frames().into_iter().skip(1) {
        let (kind, body) = (bytes[6], &bytes[FRAME_HEADER_BYTES..]);
        let original = decoded(&bytes).expect("a sample decodes");
        for place in 0..body.len() {
            for change in [1, 2, 0x80, 0xff] {
                let mut body = body.to_vec();
                body[place] ^= change;
                assert_ne!(decoded(&seal(kind, &body)), Some(original.clone()), "{name} {place}");
            }
        }
        for length in 0..body.len() {
            assert_eq!(decoded(&seal(kind, &body[..length])), None, "{name} cut to {length}");
        }
        assert_eq!(
            decoded(&seal(kind, &[body, &[0]].concat())),
            None,
            "{name} with a trailing byte"
        );
        for other in 0..=12 {
            assert_eq!(decoded(&seal(other, body)).is_some(), other == kind, "{name} as {other}");
        }
    }
}

#[test]
fn a_frame_with_one_byte_changed_does_not_decode() {
    for (name, bytes) in frames() {
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 0x55;
            assert_eq!(decoded(&changed), None, "{name} at {place}");
            assert!(ClientHello::decode(&changed).is_err(), "{name} at {place}");
        }
    }
}

#[test]
fn a_request_at_its_bound_round_trips_and_a_longer_one_is_rejected() {
    let request = |bytes: usize| {
        let command = Command::from(vec![7; bytes]);
        let body = RequestBody::Propose { acknowledge: Acknowledge::Default, command };
        ClientRequest { number: 1, body }
    };
    let fixed = request_frame(&request(0)).len() - FRAME_HEADER_BYTES;
    let largest = Kind::Request.bytes_max() - fixed;
    let full = request(largest);
    assert_eq!(ClientRequest::decode(&request_frame(&full)), Ok(full));
    let mut bytes = vec![9];
    let error = request(largest + 1).encode(&mut bytes).expect_err("it is too long");
    let length = Kind::Request.bytes_max() + 1;
    let too_long = FrameError::TooLong { kind: Kind::Request, length };
    assert_eq!(error, WireError { offset: 0, error: too_long });
    assert_eq!(bytes, [9]);
    let many = (0..=Change::EDITS_MAX).fold(Change::new(), |change, _| change.voter(NodeId(1)));
    let many = ClientRequest { number: 1, body: RequestBody::ChangeMembership(many) };
    assert!(many.encode(&mut bytes).is_err());
    assert_eq!(bytes, [9]);
}

#[test]
fn a_duration_that_is_too_long_for_the_wire_is_shortened() {
    let read = |age| RequestBody::Read { level: ReadLevel::Bounded(age), query: b"x".to_vec() };
    let frame = request_frame(&ClientRequest { number: 1, body: read(Duration::MAX) });
    let longest = Duration::from_nanos(u64::MAX);
    assert_eq!(ClientRequest::decode(&frame), Ok(ClientRequest { number: 1, body: read(longest) }));
}

#[test]
fn a_connection_carries_frames_of_a_client_or_of_a_node() {
    let rejected = |frames: &[&[u8]]| {
        let mut reader = FrameReader::new();
        let stream = frames.concat();
        let mut rest = &stream[..];
        loop {
            match reader.read(&mut rest) {
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(WireError { error: FrameError::UnexpectedKind { found }, .. }) => {
                    return Some(found);
                }
                Err(error) => panic!("{error}"),
            }
        }
    };
    let (mut client, mut keepalive) = (Vec::new(), Vec::new());
    hello().encode(&mut client);
    quorate::wire::encode_keepalive(&mut keepalive);
    let node = seal(1, &[0; 56]);
    let request = request_frame(&requests()[0].1);
    let reply = reply_frame(&replies()[0].1);
    let (_, packet) = super::golden::samples().swap_remove(0);
    let packet = super::packets::frame(&packet);
    assert_eq!(rejected(&[&client, &request, &keepalive, &reply]), None);
    assert_eq!(rejected(&[&node, &packet, &keepalive]), None);
    assert_eq!(rejected(&[&request]), Some(Kind::Request));
    assert_eq!(rejected(&[&client, &client]), Some(Kind::ClientHello));
    assert_eq!(rejected(&[&client, &packet]), Some(Kind::Control));
    assert_eq!(rejected(&[&node, &request]), Some(Kind::Request));
    assert_eq!(rejected(&[&node, &reply]), Some(Kind::Reply));
    assert_eq!(rejected(&[&node, &client]), Some(Kind::ClientHello));
    let mut reader = FrameReader::new();
    let read = reader.read(&mut &client[..]);
    assert_eq!(read, Ok(Some(Frame::ClientHello(hello()))));
}

fn any_request() -> impl Strategy<Value = ClientRequest> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..200);
    let acknowledge = || prop::sample::select(acknowledges().to_vec());
    let level = prop_oneof![
        prop::sample::select(levels().to_vec()),
        any::<u64>().prop_map(|age| ReadLevel::Bounded(Duration::from_nanos(age))),
    ];
    let edits = prop::collection::vec((0u8..9, any::<u64>(), "[a-z:0-9]{0,20}"), 0..20);
    let body = prop_oneof![
        (acknowledge(), bytes()).prop_map(|(acknowledge, bytes)| {
            RequestBody::Propose { acknowledge, command: Command::from(bytes) }
        }),
        (acknowledge(), bytes()).prop_map(|(acknowledge, bytes)| {
            RequestBody::ProposeFor { acknowledge, command: Command::from(bytes) }
        }),
        (level, bytes()).prop_map(|(level, query)| RequestBody::Read { level, query }),
        Just(RequestBody::Report),
        edits.prop_map(|edits| RequestBody::ChangeMembership(
            edits.iter().fold(Change::new(), edited)
        )),
        Just(RequestBody::CancelMembershipChange),
        prop::option::of(any::<u64>().prop_map(NodeId)).prop_map(RequestBody::TransferLeadership),
        Just(RequestBody::Campaign),
        Just(RequestBody::TakeSnapshot),
        any::<(u64, u64)>().prop_map(|(file, offset)| RequestBody::ReadRecording { file, offset }),
    ];
    (any::<u64>(), body).prop_map(|(number, body)| ClientRequest { number, body })
}

/// Every kind of request is drawn, so that the properties below are tested with all of them.
#[test]
fn every_kind_of_request_is_drawn() {
    let mut runner = TestRunner::deterministic();
    let strategy = any_request();
    let mut draw = || strategy.new_tree(&mut runner).expect("it is drawn").current();
    let drawn: BTreeSet<u32> = (0..500).map(|_| number_of_request(&draw().body)).collect();
    let all: BTreeSet<u32> =
        requests().iter().map(|(_, request)| number_of_request(&request.body)).collect();
    assert_eq!(drawn, all);
}

fn edited(change: Change, (kind, id, text): &(u8, u64, String)) -> Change {
    let node = NodeId(*id);
    match kind {
        0 => change.voter(node),
        1 => change.learner(node),
        2 => change.suspend(node),
        3 => change.remove(node),
        4 => change.casting(Some(node)),
        5 => change.casting(None),
        6 => change.incarnation(node, Incarnation(u128::from(*id) << 3)),
        7 => change.address(node, Address::new(text).expect("the address is short")),
        _ => change.priority(node, *id as u8),
    }
}

fn any_reply() -> impl Strategy<Value = ClientReply> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..200);
    let samples: Vec<ReplyBody> = replies().into_iter().map(|(_, reply)| reply.body).collect();
    let hint = (any::<u64>(), "[a-z:0-9]{0,20}").prop_map(|(id, address)| LeaderHint {
        id: NodeId(id),
        address: Address::new(&address).expect("the address is short"),
    });
    let freshness = prop::sample::select(freshnesses().to_vec());
    let body = prop_oneof![
        prop::sample::select(samples),
        bytes().prop_map(|reply| ReplyBody::Replied { id: id(), reply: reply.into() }),
        (freshness, any::<u64>(), any::<u64>(), bytes()).prop_map(
            |(freshness, index, applied, answer)| ReplyBody::Answered {
                freshness,
                index: Index(index),
                applied: Index(applied),
                answer,
            }
        ),
        (prop::sample::select(reasons()), prop::option::of(hint))
            .prop_map(|(reason, leader)| ReplyBody::Rejected { reason, leader }),
    ];
    (any::<u64>(), body).prop_map(|(number, body)| ClientReply { number, body })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_request_round_trips(request in any_request()) {
        let bytes = request_frame(&request);
        prop_assert_eq!(decoded(&bytes), Some((Some(request), None)));
    }

    #[test]
    fn every_reply_round_trips(reply in any_reply()) {
        let bytes = reply_frame(&reply);
        prop_assert_eq!(decoded(&bytes), Some((None, Some(reply))));
    }

    #[test]
    fn decoding_any_bytes_keeps_the_invariants(
        kind in 8u8..11,
        body in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        decoded(&seal(kind, &body));
        super::driver::drive(&[&[kind], &body[..]].concat());
    }

    #[test]
    fn decoding_a_changed_request_keeps_the_invariants(
        request in any_request(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..5),
    ) {
        let mut body = request_frame(&request).split_off(FRAME_HEADER_BYTES);
        for (place, byte) in changes {
            let place = place.index(body.len());
            body[place] = byte;
        }
        decoded(&seal(9, &body));
    }
}
