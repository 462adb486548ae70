//! Forged bounds and activity: S29, S30, L3 and L4.

use std::time::Duration;

use quorate::types::{Body, Entry, EntryId, Heartbeat, Index, Term};

use crate::stage::{Stage, noop, voted, written};

const HEARTBEAT: Body = Body::Heartbeat(Heartbeat::new(1, Index::ZERO));

/// Node 1 leads term 1, its entry is applied everywhere, and the cluster is idle.
fn idle() -> Stage {
    let mut stage = Stage::new();
    stage.wins(1, 1, &[2, 3, 4, 5]);
    stage.all_hold(&[1, 2, 3, 4, 5], &[noop(1, 1)]);
    for node in 1..=5 {
        stage.commits(node, 1);
        stage.applies(node, 1);
    }
    stage.stabilizes(&[1, 2, 3]);
    stage.idles();
    stage
}

/// Several entries with more than four mebibytes in total.
fn heavy() -> Vec<Entry> {
    let bytes = vec![b'x'; 1 << 20];
    (1..=5).map(|index| written(index, 1, index - 1, &bytes)).collect()
}

crate::forgeries! {
    S29 the_outbox_overflows
    "n1 has 4102 messages waiting for the disk, but the bound is 4101"
    |stage| stage.changes_status(1, |status| status.outbox_messages = 4102)

    S29 too_many_reads_are_pending
    "n1 has 4097 pending reads, but the bound is 4096"
    |stage| stage.changes_status(1, |status| status.reads_waiting = 4097)

    S29 too_many_unapplied_bytes_are_appended
    "n1 appends command 4@t1 with 83886174 bytes of entries that are not both applied and on its \
     disk, but the bound is 67108864 bytes"
    |stage| {
        for _ in 0..3 {
            stage.proposes();
        }
        let bytes = vec![b'x'; 40 << 20];
        stage.wins(1, 1, &[2, 3]);
        stage.all_hold(&[1, 2, 3], &[noop(1, 1)]);
        stage.all_hold(&[1, 2, 3], &[written(2, 1, 0, &bytes)]);
        stage.commits(1, 2);
        stage.applies(1, 1);
        stage.applies(1, 2);
        stage.all_hold(&[1, 2, 3], &[written(3, 1, 1, &bytes)]);
        stage.commits(1, 3);
        stage.takes(1, &[written(4, 1, 2, &bytes)]);
    }

    S29 too_many_bytes_are_appended_before_the_disk_has_the_applied_ones
    "n1 appends command 4@t1 with 83886174 bytes of entries that are not both applied and on its \
     disk, but the bound is 67108864 bytes"
    |stage| {
        for _ in 0..3 {
            stage.proposes();
        }
        let bytes = vec![b'x'; 40 << 20];
        stage.wins(1, 1, &[2, 3, 4]);
        stage.all_hold(&[1, 2, 3, 4], &[noop(1, 1)]);
        stage.all_hold(&[1, 2, 3, 4], &[written(2, 1, 0, &bytes)]);
        stage.commits(1, 2);
        stage.applies(1, 1);
        stage.applies(1, 2);
        stage.takes(1, &[written(3, 1, 1, &bytes)]);
        stage.all_hold(&[2, 3, 4], &[written(3, 1, 1, &bytes)]);
        stage.commits(1, 3);
        stage.applies(1, 3);
        stage.takes(1, &[written(4, 1, 2, &bytes)]);
    }

    S29 too_many_bytes_are_kept_in_memory
    "n1 has 16777217 bytes of entries in memory, but the bound is 16777216"
    |stage| {
        stage.changes_status(1, |status| status.tail_bytes = (16 << 20) + 1);
    }

    S29 a_message_has_too_many_entries
    "n1 sends 4097 entries in one message, but the bound is 4096"
    |stage| {
        stage.wins(1, 1, &[2, 3]);
        let entries = (1..=4097).map(|index| noop(index, 1)).collect();
        let (prev, committed) = (EntryId::ZERO, Index::ZERO);
        stage.sends(1, 2, 1, Body::AppendEntries { prev, entries, committed });
    }

    S29 a_message_has_too_many_bytes
    "n1 sends 5243115 bytes of entries at once, but the bound is 2097152 bytes"
    |stage| {
        stage.wins(1, 1, &[2, 3]);
        let (prev, committed) = (EntryId::ZERO, Index::ZERO);
        stage.sends(1, 2, 1, Body::AppendEntries { prev, entries: heavy().into(), committed });
    }

    S29 a_batch_has_too_many_bytes
    "n1 applies 5243115 bytes of entries at once, but the bound is 4194304 bytes"
    |stage| {
        for _ in heavy() {
            stage.proposes();
        }
        stage.wins(1, 1, &[2, 3]);
        stage.all_hold(&[1, 2, 3], &heavy());
        stage.commits(1, 5);
        stage.applies_these(1, &heavy());
    }

    S29 one_input_causes_too_many_messages
    "n1 sends more messages than its inputs allow: 340 for each input, and at most 25856 saved up"
    |stage| {
        stage.wins(1, 1, &[2, 3]);
        for _ in 0..=4096 + 64 * 5 * 68 {
            stage.sends(1, 2, 1, HEARTBEAT);
        }
    }

    S30 an_idle_cluster_starts_a_term on idle
    "n2 changes from term t1 to term t2 although the cluster is idle"
    |stage| {
        stage.changes_status(2, |status| status.term = Term(2));
    }

    S30 an_idle_cluster_elects_a_leader
    "n2 wins term t2 although the cluster is idle"
    |stage| {
        [2, 3, 4].into_iter().for_each(|node| stage.votes(node, 2, 2));
        stage.stabilizes(&[1, 2, 3]);
        stage.idles();
        stage.leads(2, 2);
    }

    S30 an_idle_cluster_writes on idle
    "n2 writes w28 after 25 other writes of the idle cluster"
    |stage| (0..26).for_each(|_| stage.submits(2, Some(voted(1, 1)), &[]))

    S30 an_idle_cluster_sends_too_many_messages on idle
    "the core of the idle cluster sends more than 1240 messages in the second after 8.007300 s; \
     the last one is Heartbeat from n1"
    |stage| {
        stage.advances_time(Duration::from_millis(7_000));
        for _ in 0..=2 * (4 * 5 * 21 + 2 * 25 * 4) {
            stage.sends(1, 2, 1, HEARTBEAT);
        }
    }

    L4 a_node_outside_the_core_raises_the_term
    "n2 enters term t6, but no core node started that term"
    |stage| {
        stage.stabilizes(&[1, 2, 3]);
        stage.enters(2, 5);
        stage.changes_status(2, |status| status.term = Term(6));
    }

    L3 too_many_elections_in_the_stabilization_phase
    "n1 wins term t9 after 8 other elections in the stabilization phase"
    |stage| {
        stage.stabilizes(&[1, 2, 3]);
        for term in 1..=9 {
            stage.wins(1 + term % 3, term, &[4, 5]);
        }
    }
}
