//! Disk images mutated by input bytes: recovery rejects them or recovers a log, and never panics.

use quorate::storage::{ClusterId, Disk, Event, FileAction, FileName, Storage};
use quorate::types::{Entry, Index, NodeId, Write};
use quorate_sim::disk::SimDisk;

use super::host::{Host, bare, entry, hard_state, identity, snapshot, write};

/// Returns a disk image with three segments in use, a truncated log, a snapshot and spare segments.
pub(crate) fn image() -> SimDisk {
    let mut host = Host::fresh();
    host.persist(Write { hard_state: Some(hard_state(2, 1)), ..bare(1) });
    for id in 0..4 {
        host.persist(write(id + 2, 1, id * 4 + 1..=id * 4 + 4));
        host.settle();
    }
    host.persist(write(9, 2, 10..=12));
    host.settle();
    host.act(|storage, events| storage.set_snapshot(snapshot(1, 5), events));
    host.settle();
    host.disk.durable_copy()
}

/// Returns the entries that were reported durable when the image was made.
fn acknowledged() -> Vec<Entry> {
    let first = (1..=9).map(|index| entry(1, index));
    first.chain((10..=12).map(|index| entry(2, index))).collect()
}

/// Mutates the image, opens it, and continues if it opens.
pub(crate) fn drive(image: &SimDisk, bytes: &[u8]) {
    let mut disk = image.clone();
    let mut has_forged_checksum = false;
    for change in bytes.chunks_exact(8).take(16) {
        let file = match change[0] % 6 {
            0 | 1 => FileName::Superblock,
            number => FileName::Segment(u64::from(number) - 1),
        };
        let number = u64::from(u16::from_le_bytes([change[2], change[3]]));
        let sector = match file {
            // A sector of a copy, or the sector of a mark.
            FileName::Superblock if number / 32 % 8 == 7 => number % 2 * 2048 + 1024,
            FileName::Superblock => (number % 4) * 2048 + number / 4 % 8,
            _ => number % 64,
        };
        let (place, value) = (u16::from_le_bytes([change[4], change[5]]), change[6]);
        has_forged_checksum |= change[1] % 4 == 3;
        mutate(&mut disk, file, sector, usize::from(place) % 512, (change[1] % 4, value));
    }
    let Ok((mut host, opened)) = Host::open(disk) else { return };
    host.act(Storage::start);
    host.settle();
    if host.events.iter().any(|event| matches!(event, Event::Failed(_))) {
        return;
    }
    let last = opened.last.index;
    assert!(opened.base.index <= opened.snapshot.last.index || has_forged_checksum);
    if has_forged_checksum {
        return;
    }
    // The superblock acknowledges every flush, so either the whole log is recovered, or opening
    // fails, or only the content of entries is damaged, which is provided again.
    let provided = acknowledged();
    let damaged = |entry: &&Entry| opened.damaged.iter().any(|found| found.id == entry.id);
    let provided: Vec<Entry> = provided.iter().filter(damaged).cloned().collect();
    assert_eq!(provided.len(), opened.damaged.len(), "damaged entries are entries of the log");
    host.act(|storage, events| storage.repair(provided, events));
    host.settle();
    let repaired = host.events.pop();
    let ids: Vec<_> = opened.damaged.iter().map(|found| found.id).collect();
    assert_eq!(repaired, Some(Event::Repaired(ids)), "all damaged entries are repaired");
    let entries = host.log();
    assert_eq!(opened.base.index, Index(0));
    assert_eq!(entries, acknowledged());
    let term = opened.hard_state.term.0;
    host.persist(write(1, term, last.0 + 1..=last.0 + 2));
    host.settle();
    let (mut again, _) =
        Host::open(host.disk.durable_copy()).expect("an opened directory opens again");
    assert_eq!(again.storage.last().index, Index(last.0 + 2));
    assert!(again.log().starts_with(&entries));
}

fn mutate(
    disk: &mut SimDisk,
    file: FileName,
    sector: u64,
    place: usize,
    (mutation, value): (u8, u8),
) {
    let offset = sector * 512;
    let read = disk.execute(&FileAction::Read { file, offset, bytes: 512 });
    let Ok(mut bytes) = read else { return };
    if bytes.len() < 512 {
        return;
    }
    match mutation {
        0 => bytes[place] ^= value,
        1 => bytes.fill(0),
        2 => bytes[place..].fill(value),
        _ => {
            bytes[place] ^= value;
            forge_checksum(disk, file, sector, &mut bytes);
        }
    }
    for action in [FileAction::Write { file, offset, bytes }, FileAction::Sync { file }] {
        disk.execute(&action).expect("a file that was read can be written");
    }
}

/// Gives a mutated sector a valid checksum, computed as `docs/FORMAT.md` specifies rather than by
/// the code under test.
fn forge_checksum(disk: &mut SimDisk, file: FileName, sector: u64, bytes: &mut [u8]) {
    let FileName::Segment(number) = file else {
        return match sector % 2048 {
            1024 => forge_mark_checksum(bytes),
            _ => forge_superblock_checksum(disk, sector, bytes),
        };
    };
    let (ClusterId(cluster), NodeId(node)) = (identity().cluster, identity().node);
    let mut named = Vec::new();
    named.extend(cluster.to_le_bytes());
    named.extend(node.to_le_bytes());
    named.extend(identity().incarnation.0.to_le_bytes());
    named.extend(number.to_le_bytes());
    let mut key = blake3::hash(&named).as_bytes()[..8].to_vec();
    key.push(if sector < 32 { 1 } else { 2 });
    key.extend(sector.to_le_bytes());
    key.extend(&bytes[..508]);
    let sum = crc32c::crc32c(&key).max(1);
    bytes[508..].copy_from_slice(&sum.to_le_bytes());
}

/// Recomputes the checksum of a mark of the acknowledged floor, which is one sector.
fn forge_mark_checksum(bytes: &mut [u8]) {
    let (payload, sum) = bytes.split_at_mut(496);
    sum.copy_from_slice(&blake3::hash(payload).as_bytes()[..16]);
}

/// Recomputes the checksum of a superblock, which covers eight sectors, and makes all four copies
/// equal.
fn forge_superblock_checksum(disk: &mut SimDisk, sector: u64, bytes: &mut [u8]) {
    let (file, within) = (FileName::Superblock, (sector % 2048) as usize * 512);
    let read = FileAction::Read { file, offset: (sector / 2048) << 20, bytes: 4096 };
    let Ok(mut copy) = disk.execute(&read) else { return };
    copy[within..within + 512].copy_from_slice(bytes);
    let sum = blake3::hash(&copy[..4080]);
    copy[4080..].copy_from_slice(&sum.as_bytes()[..16]);
    bytes.copy_from_slice(&copy[within..within + 512]);
    for number in 0..4 {
        let write = FileAction::Write { file, offset: number << 20, bytes: copy.clone() };
        disk.execute(&write).expect("the superblock exists");
    }
}
