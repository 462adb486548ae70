//! Forged excess and unrest: S29, S30, L3 and L4.

use std::time::Duration;

use quorate::types::{Beat, Body, Entry, EntryId, Index, Term};

use crate::stage::{Stage, noop, written};

const HEARTBEAT: Body = Body::Heartbeat(Beat::new(1, Index::ZERO));

/// Node 1 leads term 1 and its entry is applied everywhere; nothing is asked any more.
fn idle() -> Stage {
    let mut stage = Stage::new();
    stage.wins(1, 1, &[2, 3, 4, 5]);
    stage.all_hold(&[1, 2, 3, 4, 5], &[noop(1, 1)]);
    for node in 1..=5 {
        stage.commits(node, 1);
        stage.applies(node, 1);
    }
    stage.calms(&[1, 2, 3]);
    stage.idles();
    stage
}

/// Several entries of together over four mebibytes.
fn heavy() -> Vec<Entry> {
    let bytes = vec![b'x'; 1 << 20];
    (1..=5).map(|index| written(index, 1, index - 1, &bytes)).collect()
}

crate::forgeries! {
    S29 the_outbox_overflows
    "n1 has 4102 messages waiting for the disk, and the bound is 4101"
    |stage| stage.says(1, |status| status.outbox_messages = 4102)

    S29 too_many_reads_wait
    "n1 has 4097 reads waiting, and the bound is 4096"
    |stage| stage.says(1, |status| status.reads_waiting = 4097)

    S29 too_much_is_taken_before_it_is_applied
    "n1 takes 4@t1 with 83886172 bytes unapplied, the bound is 67108864"
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

    S29 too_much_is_kept_in_memory
    "n1 has 16777217 bytes in memory, and the bound is 16777216"
    |stage| {
        stage.says(1, |status| status.tail_bytes = (16 << 20) + 1);
    }

    S29 a_message_has_too_many_entries
    "n1 sends 4097 entries at once, the bound is 4096"
    |stage| {
        stage.wins(1, 1, &[2, 3]);
        let entries = (1..=4097).map(|index| noop(index, 1)).collect();
        let (prev, committed) = (EntryId::ZERO, Index::ZERO);
        stage.sends(1, 2, 1, Body::AppendEntries { prev, entries, committed });
    }

    S29 a_message_has_too_many_bytes
    "n1 sends 5243110 bytes of entries at once, the bound is 2097152"
    |stage| {
        stage.wins(1, 1, &[2, 3]);
        let (prev, committed) = (EntryId::ZERO, Index::ZERO);
        stage.sends(1, 2, 1, Body::AppendEntries { prev, entries: heavy(), committed });
    }

    S29 a_batch_has_too_many_bytes
    "n1 applies 5243110 bytes of entries at once, the bound is 4194304"
    |stage| {
        for _ in heavy() {
            stage.proposes();
        }
        stage.wins(1, 1, &[2, 3]);
        stage.all_hold(&[1, 2, 3], &heavy());
        stage.commits(1, 5);
        stage.applies_these(1, &heavy());
    }

    S29 one_input_sets_off_a_storm
    "n1 sends over 25856 messages after few inputs"
    |stage| {
        stage.wins(1, 1, &[2, 3]);
        for _ in 0..=4096 + 64 * 5 * 68 {
            stage.sends(1, 2, 1, HEARTBEAT);
        }
    }

    S30 an_idle_cluster_begins_a_term on idle
    "n2 goes from t1 to t2 while nothing is asked of the cluster"
    |stage| {
        stage.says(2, |status| status.term = Term(2));
    }

    S30 an_idle_cluster_elects
    "n2 wins t2 while nothing is asked of the cluster"
    |stage| {
        [2, 3, 4].into_iter().for_each(|node| stage.votes(node, 2, 2));
        stage.calms(&[1, 2, 3]);
        stage.idles();
        stage.leads(2, 2);
    }

    S30 an_idle_cluster_chatters on idle
    "the core sends over 1240 messages in the second after 8.007300s while nothing is asked of \
     the cluster, the last Heartbeat by n1"
    |stage| {
        stage.waits(Duration::from_millis(7_000));
        for _ in 0..=2 * (4 * 5 * 21 + 2 * 25 * 4) {
            stage.sends(1, 2, 1, HEARTBEAT);
        }
    }

    L4 a_term_comes_from_outside
    "n2 goes to t6, which no core node has begun"
    |stage| {
        stage.calms(&[1, 2, 3]);
        stage.enters(2, 5);
        stage.says(2, |status| status.term = Term(6));
    }

    L3 leaders_follow_one_another_after_the_storm
    "n1 wins t9, after 8 elections since the storm"
    |stage| {
        stage.calms(&[1, 2, 3]);
        for term in 1..=9 {
            stage.wins(1 + term % 3, term, &[4, 5]);
        }
    }
}
