//! Backups: their encoding stays the same, each error in one is reported with its place, and a new
//! cluster starts with the state of one.

use std::io::{self, Read};

use quorate::recovery::{
    Backup, BackupError, BackupHeader, Consent, Plan, RecoveryRejectReason, RestoreError, Survey,
    backup, restore,
};
use quorate::storage::{ClusterId, Disk, Inspection, OpenError, Origin, SnapshotReader};
use quorate::types::{EntryId, HardState, Index, Membership, NodeId, Root, Term};
use quorate_sim::disk::SimDisk;

use super::directories::{alone, small};
use crate::fixtures::Fixtures;

const NEW: ClusterId = ClusterId(0xc2);

fn head(chunk_bytes: u32) -> BackupHeader {
    BackupHeader {
        cluster: ClusterId(0xc1),
        last: EntryId::new(Term(3), Index(40)),
        membership: Membership::new([1, 2].map(NodeId)).with_casting(NodeId(2)),
        chunk_bytes,
    }
}

fn content(bytes: u32) -> Vec<u8> {
    (0..bytes).map(|n| (n % 251) as u8).collect()
}

fn written(chunk_bytes: u32, bytes: u32) -> Vec<u8> {
    let mut into = Vec::new();
    backup(&head(chunk_bytes), &mut &content(bytes)[..], &mut into).expect("memory has room");
    into
}

fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let (mut from, mut content) = (bytes, Vec::new());
    Backup::open(&mut from)?.read_to_end(&mut content)?;
    Ok(content)
}

#[test]
fn a_backup_round_trips() {
    for bytes in [0, 1, 511, 512, 513, 1024, 5000] {
        let backup = written(512, bytes);
        assert_eq!(read(&backup).expect("it is valid"), content(bytes));
        let mut from = &backup[..];
        let opened = Backup::open(&mut from).expect("it is valid");
        assert_eq!(opened.head(), &head(512));
        let root = opened.verify().expect("it is valid");
        let again =
            quorate::recovery::backup(&head(512), &mut &content(bytes)[..], &mut io::sink());
        assert_eq!(root, again.expect("nothing can fail"));
        let mut buffered = io::BufWriter::with_capacity(1 << 20, Vec::new());
        let flushed =
            quorate::recovery::backup(&head(512), &mut &content(bytes)[..], &mut buffered);
        assert!(flushed.is_ok() && *buffered.get_ref() == backup, "nothing is left to write");
    }
}

#[test]
fn the_fixtures_of_backups_are_written_and_read() {
    let mut fixtures = Fixtures::of("backup", 1);
    for bytes in [0, 1, 700] {
        fixtures.value(&format!("content-{bytes}"), &written(512, bytes), |kept| {
            assert_eq!(read(kept).expect("it is valid"), content(bytes));
            let mut from = kept;
            assert_eq!(Backup::open(&mut from).expect("it is valid").head(), &head(512));
        });
    }
    for (chunk_bytes, bytes) in (0..64).map(|number| (512 << (number % 4), number * number * 3)) {
        fixtures.hash(&format!("chunks-{chunk_bytes}-of-{bytes}"), &written(chunk_bytes, bytes));
    }
    fixtures.finish();
}

#[test]
fn the_error_of_an_invalid_header_field_has_its_offset() {
    let backup = written(512, 100);
    let members = u32::from_le_bytes([backup[48], backup[49], backup[50], backup[51]]);
    let end = 56 + members as usize;
    for (offset, value) in [
        (12, &511_u32.to_le_bytes()[..]),
        (32, &0_u64.to_le_bytes()),
        (40, &0_u64.to_le_bytes()),
        (52, &1_u32.to_le_bytes()),
    ] {
        let mut wrong = backup.clone();
        wrong[offset..][..value.len()].copy_from_slice(value);
        let sum = blake3::hash(&wrong[..end]);
        wrong[end..end + 16].copy_from_slice(&sum.as_bytes()[..16]);
        assert_eq!(damage(&wrong).offset, offset as u64);
    }
}

fn damage(bytes: &[u8]) -> BackupError {
    let error = read(bytes).expect_err("it is damaged");
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<BackupError>());
    inner.expect("the place is named").clone()
}

#[test]
fn every_changed_byte_is_detected_and_never_restored() {
    let backup = written(512, 1100);
    for place in 0..backup.len() {
        for flip in [1, 0x80, 0xff] {
            let mut bytes = backup.clone();
            bytes[place] ^= flip;
            let damage = damage(&bytes);
            assert!(damage.offset <= bytes.len() as u64, "{place}: {damage}");
            if place > 700 {
                assert!(damage.offset > 100, "{place}: {damage}: the header is valid");
            }
            let mut target = SimDisk::default();
            let made = restored(&bytes, &mut target);
            assert!(matches!(made, Err(RestoreError::Damaged(_))), "{place}: {made:?}");
            let opened = Inspection::open(&mut target, &small());
            let has_no_superblock =
                matches!(opened, Err(OpenError::NotFormatted | OpenError::NoSuperblock(_)));
            assert!(has_no_superblock, "it is not a node's directory");
        }
    }
}

#[test]
fn a_truncated_or_longer_backup_is_rejected() {
    let backup = written(512, 1100);
    for length in 0..backup.len() {
        let text = damage(&backup[..length]).to_string();
        let early = text.contains("the backup ends inside");
        assert!(early, "{length}: {text}");
    }
    let longer = [&backup[..], &[0]].concat();
    let text = damage(&longer).to_string();
    assert_eq!(
        text,
        format!("the backup at offset {}: trailing bytes after the end", backup.len())
    );
}

#[test]
fn reordered_or_missing_chunks_are_rejected() {
    let backup = written(512, 2048);
    let first = backup.len() - 44 - 4 * 548;
    let swapped = [
        &backup[..first],
        &backup[first + 548..first + 1096],
        &backup[first..first + 548],
        &backup[first + 1096..],
    ]
    .concat();
    let text = damage(&swapped).to_string();
    assert!(text.contains("the root does not match the chunks"), "{text}");
    let fewer = [&backup[..first], &backup[first + 548..]].concat();
    assert!(damage(&fewer).description.contains("the root does not match"));
}

#[test]
fn no_backup_with_an_invalid_header_is_written() {
    let rejected = |change: fn(&mut BackupHeader)| {
        let mut head = head(512);
        change(&mut head);
        let made = backup(&head, &mut &b"abc"[..], &mut io::sink());
        assert_eq!(made.expect_err("it is rejected").kind(), io::ErrorKind::InvalidInput);
    };
    rejected(|head| head.last = EntryId::ZERO);
    rejected(|head| head.chunk_bytes = 511);
    rejected(|head| head.chunk_bytes = (1 << 20) + 1);
    rejected(|head| head.membership = Membership::default());
}

fn restored(backup: &[u8], target: &mut SimDisk) -> Result<Root, RestoreError> {
    restore(&mut &backup[..], NEW, &alone(NodeId(4), 9), NodeId(4), target, &small())
}

#[test]
fn a_new_cluster_starts_with_the_state_of_a_backup() {
    for chunk_bytes in [512, 1024, 4096] {
        let mut target = SimDisk::default();
        let bytes = written(chunk_bytes, 5000);
        let root = restored(&bytes, &mut target).expect("it is valid");
        let verified = Backup::open(&mut &bytes[..]).and_then(Backup::verify);
        assert_eq!(root, verified.expect("it is valid"), "it names the backup that was read");
        let opened = Inspection::open(&mut target, &small()).expect("it is a directory").opened;
        let last = head(512).last;
        assert_eq!(opened.origin, Some(Origin { cluster: ClusterId(0xc1), last }));
        assert_eq!(opened.identity.cluster, NEW);
        assert_eq!((opened.base, opened.last, opened.committed), (last, last, last.index));
        assert_eq!(opened.hard_state, HardState::new(Term(3), None));
        assert_eq!(opened.snapshot.membership, alone(NodeId(4), 9));
        let mut read = Vec::new();
        let mut reader = SnapshotReader::open(&mut target, NEW, &opened.snapshot).expect("there");
        reader.read_to_end(&mut read).expect("it is valid");
        assert_eq!(read, content(5000));
        // A restored directory can be the source of a recovery.
        let mut survey = Survey::default();
        survey.inspect("restored", &mut target, &small());
        let (cluster, membership) = (ClusterId(3), alone(NodeId(1), 4));
        let plan = Plan::new(&survey, None, &[], Consent::TwoClusters, cluster, membership);
        let mut next = SimDisk::default();
        let made = plan.expect("the directory exists").create_directory(
            &mut target,
            NodeId(1),
            &mut next,
            &small(),
        );
        made.expect("there is room");
    }
}

#[test]
fn a_backup_is_restored_into_empty_directories_of_another_cluster() {
    let backup = written(512, 700);
    let mut target = SimDisk::default();
    let mut into = |cluster, membership: &Membership, node| {
        restore(&mut &backup[..], cluster, membership, node, &mut target, &small())
    };
    let membership = alone(NodeId(4), 9);
    let same = into(ClusterId(0xc1), &membership, NodeId(4));
    assert!(
        matches!(same, Err(RestoreError::Rejected(RecoveryRejectReason::SameCluster(_)))),
        "{same:?}"
    );
    let not_member = into(NEW, &membership, NodeId(5));
    assert!(matches!(not_member, Err(RestoreError::NotMember(NodeId(5)))), "{not_member:?}");
    let without_incarnation = into(NEW, &Membership::new([NodeId(4)]), NodeId(4));
    assert!(
        matches!(
            without_incarnation,
            Err(RestoreError::Rejected(RecoveryRejectReason::IncarnationNotNew(_)))
        ),
        "{without_incarnation:?}"
    );
    into(NEW, &membership, NodeId(4)).expect("the directory is empty");
    let again = into(NEW, &membership, NodeId(4));
    assert!(matches!(again, Err(RestoreError::Target(OpenError::NotEmpty(_)))), "{again:?}");
    assert!(target.list().is_ok_and(|files| !files.is_empty()));
}
