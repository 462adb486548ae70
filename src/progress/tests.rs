//! The view of one peer after its replies.

use crate::progress::{Mode, Progress, Window};
use crate::types::{Index, Instant, Readiness};

const WINDOW: Window = Window { messages_max: 2, entries_max: 10, bytes_max: 1000 };

fn streaming(matched: u64) -> Progress {
    let mut progress = Progress::new(Index(20), Instant::ZERO);
    progress.accepted(Index(matched));
    progress
}

fn replied(progress: &mut Progress, round: u64, verified: u64, matched: u64) {
    progress.heartbeat_replied(round, Index(verified), Index(matched), Index(verified));
}

/// Begins a round of the leader's timer, and records the reply to it.
fn checked(progress: &mut Progress, round: u64, verified: u64, matched: u64) {
    progress.timer_round_sent(round);
    replied(progress, round, verified, matched);
}

#[test]
fn a_heartbeat_may_overtake_a_probe() {
    let mut progress = Progress::new(Index(5), Instant::ZERO);
    assert!(progress.may_send(&WINDOW));
    progress.sent(Index(5), 0, 0);
    assert!(!progress.may_send(&WINDOW));
    progress.timer_round_sent(3);
    replied(&mut progress, 1, 0, 0);
    assert!(!progress.needs_append(), "the round left before the probe");
    replied(&mut progress, 2, 0, 0);
    assert!(!progress.needs_append(), "reads have begun the round");
    replied(&mut progress, 3, 0, 0);
    assert!(progress.needs_append(), "the probe may be lost");
    assert!(!progress.may_send(&WINDOW), "the probe's entries are not sent again");
    progress.sent(Index(5), 0, 0);
    assert!(progress.rejected(Index(5), Index(2)));
    assert!(progress.may_send(&WINDOW));
}

#[test]
fn a_rejection_goes_back_at_least_one_and_never_below_what_matched() {
    let mut progress = Progress::new(Index(9), Instant::ZERO);
    assert!(progress.rejected(Index(9), Index(9)));
    assert_eq!(progress.next(), Index(9));
    assert!(progress.rejected(Index(8), Index(3)));
    assert_eq!(progress.next(), Index(4));

    let mut progress = streaming(6);
    progress.sent(Index(8), 2, 20);
    assert!(progress.rejected(Index(7), Index(2)));
    assert_eq!((progress.matched(), progress.next()), (Index(6), Index(7)));
}

#[test]
fn a_stale_rejection_changes_nothing() {
    let mut progress = streaming(6);
    let before = progress.clone();
    assert!(!progress.rejected(Index(6), Index(3)));
    assert!(!progress.rejected(Index(12), Index(3)));
    assert_eq!(progress, before);
}

#[test]
fn a_later_rounds_reply_shows_lost_entries() {
    let mut progress = streaming(6);
    progress.sent(Index(8), 2, 20);
    progress.timer_round_sent(4);
    replied(&mut progress, 3, 6, 6);
    assert!(!progress.needs_append(), "the round left before the entries");
    replied(&mut progress, 4, 7, 6);
    assert!(progress.needs_append(), "entry 8 may be lost");
    assert_eq!(progress.next(), Index(9), "the heartbeat may have overtaken it");
    progress.sent(Index(8), 0, 0);
    assert!(!progress.needs_append());
    assert!(progress.rejected(Index(8), Index(7)));
    assert_eq!(progress.next(), Index(8), "it was lost");
    assert_eq!(progress.inflight().entries(), 0);
}

#[test]
fn entries_on_a_slow_connection_are_not_sent_again() {
    let mut progress = streaming(6);
    progress.sent(Index(8), 2, 20);
    for round in 4..20 {
        checked(&mut progress, round, 6, 6);
        assert_eq!((progress.next(), progress.inflight().entries()), (Index(9), 2));
        progress.sent(Index(8), 0, 0);
    }
    progress.accepted(Index(8));
    assert_eq!((progress.next(), progress.inflight().entries()), (Index(9), 0));
}

#[test]
fn the_window_of_an_uncertain_peer_is_freed_by_what_its_disk_has() {
    let mut progress = streaming(6);
    assert!(progress.report_certainty(1, true, Index(20)));
    progress.stored(Index(6));
    progress.sent(Index(8), 2, 20);
    progress.timer_round_sent(4);
    progress.heartbeat_replied(4, Index(8), Index(0), Index(7));
    assert_eq!(progress.inflight().entries(), 2, "entry 8 is in the peer's memory");
    progress.heartbeat_replied(4, Index(8), Index(0), Index(8));
    assert_eq!(progress.inflight().entries(), 0);
}

#[test]
fn only_a_reply_to_a_later_round_shows_whether_a_rolled_back_disk_is_certain() {
    let (mut progress, last) = (streaming(6), Index(20));
    progress.answered(5, Readiness::default());
    progress.mark_rolled_back(5, last);
    assert!(progress.disk_rolled_back() && !progress.counts());
    assert_eq!(progress.matched(), Index(0), "the disk has lost what it acknowledged");
    assert!(!progress.report_certainty(5, true, last), "the reply shows the rollback");
    assert!(!progress.report_certainty(4, false, last), "the disk had the entries");
    assert!(progress.report_certainty(6, true, last));
    progress.answered(6, Readiness::default());
    assert!(!progress.report_certainty(6, false, last), "the peer was uncertain then");
    assert!(!progress.counts());
    assert!(progress.report_certainty(7, false, last) && progress.counts());
}

#[test]
fn an_uncertain_peer_has_acknowledged_nothing_and_answered_no_round() {
    let mut progress = streaming(6);
    progress.sent(Index(8), 2, 20);
    progress.answered(3, Readiness::default());
    assert!(progress.report_certainty(4, true, Index(20)));
    assert_eq!((progress.matched(), progress.acked_round()), (Index(0), 0));
    assert_eq!(progress.inflight().entries(), 0);
    assert!(matches!(progress.mode(), Mode::Probe { .. }), "its log may be shorter");
}

#[test]
fn a_heartbeat_reply_replaces_a_lost_acknowledgement() {
    let mut progress = streaming(6);
    progress.sent(Index(8), 2, 20);
    checked(&mut progress, 4, 8, 8);
    assert_eq!((progress.matched(), progress.next()), (Index(8), Index(9)));
    assert_eq!(progress.inflight().entries(), 0);
}

#[test]
fn a_peer_that_forgot_its_verified_index_needs_an_append() {
    let mut progress = streaming(6);
    replied(&mut progress, 1, 0, 0);
    assert_eq!((progress.matched(), progress.next()), (Index(6), Index(7)));
    assert!(progress.needs_append());
    progress.sent(Index(6), 0, 0);
    assert!(!progress.needs_append());
}

#[test]
fn a_probe_that_arrived_is_not_repeated_while_the_peers_disk_is_slow() {
    let mut progress = Progress::new(Index(5), Instant::ZERO);
    progress.sent(Index(6), 1, 10);
    checked(&mut progress, 2, 6, 0);
    assert_eq!((progress.mode(), progress.next()), (Mode::Replicate, Index(7)));
    assert_eq!(progress.matched(), Index(0));
}

#[test]
fn a_snapshot_is_offered_once_per_answered_round() {
    let mut progress = streaming(6);
    progress.sent(Index(8), 2, 20);
    progress.snapshot_offered(Index(15));
    assert!(!progress.may_send(&WINDOW) && !progress.may_offer());
    assert_eq!(progress.inflight().messages(), 0);
    progress.timer_round_sent(4);
    replied(&mut progress, 3, 6, 6);
    assert!(!progress.may_offer(), "the round left before the offer");
    replied(&mut progress, 4, 6, 6);
    assert!(progress.may_offer() && !progress.may_send(&WINDOW));
}

#[test]
fn after_an_offer_streaming_resumes_after_the_last_entry_of_the_peer() {
    type Answer = fn(&mut Progress);
    let answers: [(Answer, u64); 3] = [
        (|progress| progress.accepted(Index(12)), 12),
        (|progress| replied(progress, 1, 12, 12), 12),
        (|progress| checked(progress, 2, 12, 6), 6),
    ];
    for (answer, matched) in answers {
        let mut progress = streaming(6);
        progress.sent(Index(8), 2, 20);
        checked(&mut progress, 2, 6, 6);
        assert!(!progress.rejected(Index(6), Index(2)));
        progress.snapshot_offered(Index(15));
        answer(&mut progress);
        progress.resume(Index(20));
        assert_eq!((progress.matched(), progress.next()), (Index(matched), Index(13)));
        assert_eq!(progress.mode(), Mode::Replicate);
    }
}

#[test]
fn a_rejection_does_not_end_an_offer() {
    let mut progress = streaming(6);
    progress.snapshot_offered(Index(15));
    let before = progress.clone();
    assert!(!progress.rejected(Index(8), Index(3)));
    progress.no_space(Index(7));
    assert_eq!(progress, before);
}

#[test]
fn a_peer_without_space_is_probed_until_it_takes_an_entry() {
    let mut progress = streaming(6);
    progress.sent(Index(8), 2, 20);
    progress.no_space(Index(7));
    assert_eq!((progress.next(), progress.may_send(&WINDOW)), (Index(8), false));
    progress.accepted(Index(7));
    assert!(matches!(progress.mode(), Mode::Probe { .. }), "the peer had that entry before");
    checked(&mut progress, 2, 7, 7);
    assert!(progress.may_send(&WINDOW));
    assert_eq!(progress.room(&WINDOW), (1, 1000));
    progress.sent(Index(8), 1, 10);
    assert!(!progress.may_send(&WINDOW), "one message a round");
    progress.accepted(Index(8));
    assert_eq!((progress.mode(), progress.disk_full()), (Mode::Replicate, false));
    assert_eq!(progress.room(&WINDOW), (10, 1000));
}

#[test]
fn a_peer_without_space_for_the_first_entry_is_probed() {
    let mut progress = Progress::new(Index(5), Instant::ZERO);
    progress.sent(Index(5), 0, 0);
    assert!(progress.rejected(Index(5), Index(0)));
    progress.sent(Index(5), 5, 50);
    progress.no_space(Index(0));
    checked(&mut progress, 2, 0, 0);
    assert_eq!((progress.next(), progress.may_send(&WINDOW)), (Index(1), true));
}

#[test]
fn a_peer_without_space_that_lacks_no_entry_is_streamed_to() {
    let mut progress = streaming(6);
    progress.no_space(Index(7));
    replied(&mut progress, 1, 8, 6);
    progress.resume(Index(9));
    assert!(matches!(progress.mode(), Mode::Probe { .. }), "the peer lacks an entry");
    progress.resume(Index(8));
    assert_eq!((progress.mode(), progress.disk_full()), (Mode::Replicate, false));
}

#[test]
fn an_old_acknowledgement_changes_nothing() {
    let mut progress = streaming(6);
    progress.sent(Index(8), 2, 20);
    progress.accepted(Index(4));
    assert_eq!((progress.matched(), progress.next()), (Index(6), Index(9)));
}
