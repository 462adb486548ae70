//! What clients and nodes say to each other: a sample of every sort, and that arbitrary ones come
//! back from their bytes.

use std::time::Duration;

use proptest::prelude::*;

use quorate::types::{
    Acknowledge, Address, Change, ChangeError, Command, Comparisons, EntryId, Freshness,
    Incarnation, Index, Membership, NodeId, PeerStatus, ReadLevel, RejectReason, Report, RoleName,
    Standing, Status, Term,
};
use quorate::wire::{
    ClientHello, ClientReply, ClientRequest, Denial, FRAME_HEADER_BYTES, Flaw, Frame, FrameReader,
    Kind, LeaderHint, Told, Versions, Wanted, WireError, decode,
};

use crate::driver::seal;

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
        .address(NodeId(3), Address::new("three:7000").expect("it is short"))
        .priority(NodeId(1), 200)
}

/// The number of a variant of [`Wanted`] on the wire, for good.
fn number_of_wanted(wanted: &Wanted) -> u32 {
    match wanted {
        Wanted::Propose { .. } => 0,
        Wanted::Read { .. } => 1,
        Wanted::Report => 2,
        Wanted::ChangeMembership(_) => 3,
        Wanted::GiveUpChange => 4,
        Wanted::Transfer(_) => 5,
        Wanted::Campaign => 6,
        Wanted::Snapshot => 7,
    }
}

/// The number of a variant of [`Told`] on the wire, for good.
fn number_of_told(told: &Told) -> u32 {
    match told {
        Told::Replied { .. } => 0,
        Told::Registered { .. } => 1,
        Told::SessionExpired { .. } => 2,
        Told::OutsideWindow { .. } => 3,
        Told::Malformed { .. } => 4,
        Told::MayBeLost { .. } => 5,
        Told::Answered { .. } => 6,
        Told::Changed { .. } => 7,
        Told::Resigned => 8,
        Told::Begun => 9,
        Told::Report(_) => 10,
        Told::Rejected { .. } => 11,
        Told::Unknown => 12,
        Told::Refused(_) => 13,
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
    let propose = |acknowledge| Wanted::Propose { acknowledge, command: Command::from("set x 1") };
    let read = |level| Wanted::Read { level, query: b"x".to_vec() };
    let wanted = acknowledges().map(|acknowledge| ("Propose", propose(acknowledge)));
    let reads = levels().map(|level| ("Read", read(level)));
    let others = [
        ("Report", Wanted::Report),
        ("ChangeMembership", Wanted::ChangeMembership(change())),
        ("GiveUpChange", Wanted::GiveUpChange),
        ("Transfer", Wanted::Transfer(None)),
        ("Transfer-named", Wanted::Transfer(Some(NodeId(2)))),
        ("Campaign", Wanted::Campaign),
        ("Snapshot", Wanted::Snapshot),
    ];
    let all = wanted.into_iter().chain(reads).chain(others);
    all.zip(0x0102_0304_0506_0708..)
        .map(|((name, wanted), number)| (name, ClientRequest { number, wanted }))
        .collect()
}

fn report() -> Report {
    let status = Status {
        id: NodeId(1),
        role: RoleName::Leader,
        term: Term(3),
        vote: Some(NodeId(1)),
        promise: Duration::from_millis(300),
        leader: Some(NodeId(1)),
        last: id(),
        durable: Index(13),
        committed: Index(12),
        applied: Index(11),
        snapshot: Index(10),
        base: Index(9),
        disk_full: true,
        tail_bytes: 1,
        unapplied_bytes: 2,
        outbox_messages: 3,
        reads_waiting: 4,
    };
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
    };
    let other = PeerStatus { id: NodeId(3), snapshot: None, ..peer };
    let membership = Membership::new([1, 2, 3].map(NodeId));
    let comparisons = Comparisons {
        agreed: 1,
        unavailable: 2,
        undecided: 3,
        refuted: 4,
        chains: 5,
        chains_unavailable: 6,
    };
    let (peers, standing) = (vec![peer, other], Standing::Sound);
    let lease = Duration::from_millis(200);
    Report { status, peers, membership, standing, comparisons, lease }
}

fn reasons() -> Vec<RejectReason> {
    let changes = [
        ChangeError::NoVoters,
        ChangeError::TooManyVoters,
        ChangeError::TooLarge,
        ChangeError::IdIsZero,
        ChangeError::NotMember(NodeId(2)),
        ChangeError::CastingWithoutVote(NodeId(2)),
        ChangeError::Contradiction(NodeId(2)),
        ChangeError::OtherDisk(NodeId(2)),
    ];
    let others = [
        RejectReason::NotLeader { leader: None },
        RejectReason::NotLeader { leader: Some(NodeId(2)) },
        RejectReason::Busy,
        RejectReason::TooLarge,
        RejectReason::NoLeader,
        RejectReason::Stopped,
        RejectReason::DiskFull,
        RejectReason::MembershipChangeInFlight,
        RejectReason::NothingToGiveUp,
        RejectReason::GivenUp,
        RejectReason::Transferring,
        RejectReason::NoSuccessor,
        RejectReason::TransferAborted,
        RejectReason::Unverified,
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
    let mut told = vec![
        ("Replied", Told::Replied { id: id(), reply: b"ok"[..].into() }),
        ("Registered", Told::Registered { id: id(), session: index }),
        ("SessionExpired", Told::SessionExpired { id: id() }),
        ("OutsideWindow", Told::OutsideWindow { id: id() }),
        ("Malformed", Told::Malformed { id: id() }),
        ("MayBeLost", Told::MayBeLost { id: id() }),
        ("Changed", Told::Changed { id: id() }),
        ("Resigned", Told::Resigned),
        ("Begun", Told::Begun),
        ("Report", Told::Report(Box::new(report()))),
        ("Unknown", Told::Unknown),
    ];
    told.extend(freshnesses().map(|freshness| {
        ("Answered", Told::Answered { freshness, index, applied, answer: b"1".to_vec() })
    }));
    told.extend(
        reasons()
            .into_iter()
            .map(|reason| ("Rejected", Told::Rejected { reason, leader: Some(leader.clone()) })),
    );
    let unknown = Told::Rejected { reason: RejectReason::NoLeader, leader: None };
    told.push(("Rejected-no-leader", unknown));
    let denials = [Denial::NotAllowed, Denial::AnswerTooLarge, Denial::Overloaded];
    told.extend(denials.map(|denial| ("Refused", Told::Refused(denial))));
    let reply = |((name, told), number)| (name, ClientReply { number, told });
    told.into_iter().zip(0x0102_0304_0506_0708..).map(reply).collect()
}

fn request_frame(request: &ClientRequest) -> Vec<u8> {
    let mut bytes = Vec::new();
    request.encode(&mut bytes).expect("it is within the bounds");
    bytes
}

fn reply_frame(reply: &ClientReply) -> Vec<u8> {
    let mut bytes = Vec::new();
    reply.encode(&mut bytes).expect("it is within the bounds");
    bytes
}

/// The bytes of each sample, with its name.
pub(crate) fn frames() -> Vec<Named<Vec<u8>>> {
    let mut greeting = Vec::new();
    hello().encode(&mut greeting);
    let requests = requests().into_iter().map(|(name, request)| (name, request_frame(&request)));
    let replies = replies().into_iter().map(|(name, reply)| (name, reply_frame(&reply)));
    [("ClientHello", greeting)].into_iter().chain(requests).chain(replies).collect()
}

/// The kept bytes are those of the samples.
pub(crate) fn understood(kept: &[Named<Vec<u8>>]) {
    let mut kept = kept.iter().map(|(_, bytes)| &bytes[..]);
    let mut next = || kept.next().expect("each sample has its bytes");
    assert_eq!(ClientHello::decode(next()), Ok(hello()));
    for (name, request) in requests() {
        assert_eq!(ClientRequest::decode(next()), Ok(request), "{name}");
    }
    for (name, reply) in replies() {
        assert_eq!(ClientReply::decode(next()), Ok(reply), "{name}");
    }
    assert_eq!(kept.next(), None);
}

#[test]
fn numbers_of_variants_stay() {
    let number_at = |bytes: &[u8]| {
        let place = FRAME_HEADER_BYTES + 8;
        u32::from_le_bytes(bytes[place..place + 4].try_into().expect("four bytes"))
    };
    let mut wanted: Vec<u32> = Vec::new();
    for (name, request) in requests() {
        let number = number_of_wanted(&request.wanted);
        assert_eq!(number_at(&request_frame(&request)), number, "{name}");
        wanted.push(number);
    }
    let mut told: Vec<u32> = Vec::new();
    for (name, reply) in replies() {
        let number = number_of_told(&reply.told);
        assert_eq!(number_at(&reply_frame(&reply)), number, "{name}");
        told.push(number);
    }
    for (numbers, count) in [(&mut wanted, 8), (&mut told, 14)] {
        numbers.sort_unstable();
        numbers.dedup();
        assert!(numbers.iter().copied().eq(0..count), "each has a sample: {numbers:?}");
    }
}

/// What the bytes are, if they are a request or a reply; encoded again they are the same.
fn taken(bytes: &[u8]) -> Option<(Option<ClientRequest>, Option<ClientReply>)> {
    let (request, reply) = (ClientRequest::decode(bytes).ok(), ClientReply::decode(bytes).ok());
    if let Some(request) = &request {
        assert_eq!(request_frame(request), bytes, "{request:?}");
        assert_eq!(reply, None, "a frame is one or the other");
    }
    if let Some(reply) = &reply {
        assert_eq!(reply_frame(reply), bytes, "{reply:?}");
    }
    assert!(decode(bytes).is_err() || (request.is_none() && reply.is_none()), "no packet either");
    (request.is_some() || reply.is_some()).then_some((request, reply))
}

#[test]
fn a_body_with_one_byte_changed_and_the_right_checksum_is_its_own_or_none() {
    for (name, bytes) in frames().into_iter().skip(1) {
        let (kind, body) = (bytes[6], &bytes[FRAME_HEADER_BYTES..]);
        let original = taken(&bytes).expect("it is a sample");
        for place in 0..body.len() {
            for change in [1, 2, 0x80, 0xff] {
                let mut body = body.to_vec();
                body[place] ^= change;
                assert_ne!(taken(&seal(kind, &body)), Some(original.clone()), "{name} {place}");
            }
        }
        for length in 0..body.len() {
            assert_eq!(taken(&seal(kind, &body[..length])), None, "{name} cut to {length}");
        }
        assert_eq!(taken(&seal(kind, &[body, &[0]].concat())), None, "{name} goes on");
        for other in 0..=12 {
            assert_eq!(taken(&seal(other, body)).is_some(), other == kind, "{name} as {other}");
        }
    }
}

#[test]
fn no_frame_with_one_byte_changed_is_anything() {
    for (name, bytes) in frames() {
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 0x55;
            assert_eq!(taken(&changed), None, "{name} at {place}");
            assert!(ClientHello::decode(&changed).is_err(), "{name} at {place}");
        }
    }
}

#[test]
fn a_request_at_its_bound_comes_back_and_one_beyond_is_refused() {
    let request = |bytes: usize| {
        let command = Command::from(vec![7; bytes]);
        let wanted = Wanted::Propose { acknowledge: Acknowledge::Default, command };
        ClientRequest { number: 1, wanted }
    };
    let fixed = request_frame(&request(0)).len() - FRAME_HEADER_BYTES;
    let largest = Kind::Request.bytes_max() - fixed;
    let full = request(largest);
    assert_eq!(ClientRequest::decode(&request_frame(&full)), Ok(full));
    let mut bytes = vec![9];
    let error = request(largest + 1).encode(&mut bytes).expect_err("it is too long");
    let length = Kind::Request.bytes_max() + 1;
    assert_eq!(error, WireError { offset: 0, flaw: Flaw::TooLong { kind: Kind::Request, length } });
    assert_eq!(bytes, [9]);
    let many = (0..=Change::EDITS_MAX).fold(Change::new(), |change, _| change.voter(NodeId(1)));
    let many = ClientRequest { number: 1, wanted: Wanted::ChangeMembership(many) };
    assert!(many.encode(&mut bytes).is_err());
    assert_eq!(bytes, [9]);
}

#[test]
fn a_connection_is_of_a_client_or_of_a_node() {
    let place = |frames: &[&[u8]]| {
        let mut reader = FrameReader::new();
        let stream = frames.concat();
        let mut rest = &stream[..];
        loop {
            match reader.read(&mut rest) {
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(WireError { flaw: Flaw::Place { found }, .. }) => return Some(found),
                Err(error) => panic!("{error}"),
            }
        }
    };
    let (mut client, mut pulse) = (Vec::new(), Vec::new());
    hello().encode(&mut client);
    quorate::wire::pulse(&mut pulse);
    let node = seal(1, &[0; 56]);
    let request = request_frame(&requests()[0].1);
    let reply = reply_frame(&replies()[0].1);
    let (_, packet) = crate::golden::samples().swap_remove(0);
    let packet = crate::packets::frame(&packet);
    assert_eq!(place(&[&client, &request, &pulse, &reply]), None);
    assert_eq!(place(&[&node, &packet, &pulse]), None);
    assert_eq!(place(&[&request]), Some(Kind::Request));
    assert_eq!(place(&[&client, &client]), Some(Kind::ClientHello));
    assert_eq!(place(&[&client, &packet]), Some(Kind::Control));
    assert_eq!(place(&[&node, &request]), Some(Kind::Request));
    assert_eq!(place(&[&node, &reply]), Some(Kind::Reply));
    assert_eq!(place(&[&node, &client]), Some(Kind::ClientHello));
    let mut reader = FrameReader::new();
    let read = reader.read(&mut &client[..]);
    assert_eq!(read, Ok(Some(Frame::ClientHello(hello()))));
}

fn any_request() -> impl Strategy<Value = ClientRequest> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..200);
    let acknowledge = prop::sample::select(acknowledges().to_vec());
    let level = prop_oneof![
        prop::sample::select(levels().to_vec()),
        any::<u64>().prop_map(|age| ReadLevel::Bounded(Duration::from_nanos(age))),
    ];
    let edits = prop::collection::vec((0u8..9, any::<u64>(), "[a-z:0-9]{0,20}"), 0..20);
    let wanted = prop_oneof![
        (acknowledge, bytes()).prop_map(|(acknowledge, bytes)| {
            Wanted::Propose { acknowledge, command: Command::from(bytes) }
        }),
        (level, bytes()).prop_map(|(level, query)| Wanted::Read { level, query }),
        Just(Wanted::Report),
        edits.prop_map(|edits| Wanted::ChangeMembership(edits.iter().fold(Change::new(), edited))),
        Just(Wanted::GiveUpChange),
        prop::option::of(any::<u64>().prop_map(NodeId)).prop_map(Wanted::Transfer),
        Just(Wanted::Campaign),
        Just(Wanted::Snapshot),
    ];
    (any::<u64>(), wanted).prop_map(|(number, wanted)| ClientRequest { number, wanted })
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
        7 => change.address(node, Address::new(text).expect("it is short")),
        _ => change.priority(node, *id as u8),
    }
}

fn any_reply() -> impl Strategy<Value = ClientReply> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..200);
    let samples: Vec<Told> = replies().into_iter().map(|(_, reply)| reply.told).collect();
    let hint = (any::<u64>(), "[a-z:0-9]{0,20}").prop_map(|(id, address)| LeaderHint {
        id: NodeId(id),
        address: Address::new(&address).expect("it is short"),
    });
    let freshness = prop::sample::select(freshnesses().to_vec());
    let told = prop_oneof![
        prop::sample::select(samples),
        bytes().prop_map(|reply| Told::Replied { id: id(), reply: reply.into() }),
        (freshness, any::<u64>(), any::<u64>(), bytes()).prop_map(
            |(freshness, index, applied, answer)| Told::Answered {
                freshness,
                index: Index(index),
                applied: Index(applied),
                answer,
            }
        ),
        (prop::sample::select(reasons()), prop::option::of(hint))
            .prop_map(|(reason, leader)| Told::Rejected { reason, leader }),
    ];
    (any::<u64>(), told).prop_map(|(number, told)| ClientReply { number, told })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_request_comes_back(request in any_request()) {
        let bytes = request_frame(&request);
        prop_assert_eq!(taken(&bytes), Some((Some(request), None)));
    }

    #[test]
    fn every_reply_comes_back(reply in any_reply()) {
        let bytes = reply_frame(&reply);
        prop_assert_eq!(taken(&bytes), Some((None, Some(reply))));
    }

    #[test]
    fn any_bytes_are_read_without_harm(
        kind in 8u8..11,
        body in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        taken(&seal(kind, &body));
        crate::driver::drive(&[&[kind], &body[..]].concat());
    }

    #[test]
    fn any_request_with_bytes_changed_is_read_without_harm(
        request in any_request(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..5),
    ) {
        let mut body = request_frame(&request).split_off(FRAME_HEADER_BYTES);
        for (place, byte) in changes {
            let place = place.index(body.len());
            body[place] = byte;
        }
        taken(&seal(9, &body));
    }
}
