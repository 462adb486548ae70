//! Recorded runs: recording changes nothing, and a recording is consistent.

use quorate_sim::record::{EventId, EventKind, InputKind, Record, RecordUntil, Recording};
use quorate_sim::run::{RunOptions, record, run};
use quorate_sim::values::time::SimTime;

fn recorded(seed: u64) -> Recording {
    record(seed, &RunOptions::default(), RecordUntil::End)
}

#[test]
fn a_recorded_run_is_the_same_run() {
    for seed in 26..32 {
        let recording = recorded(seed);
        assert_eq!(recording.outcome, run(seed, &RunOptions::default()), "seed {seed}");
        assert!(recording.record.events.len() as u64 > recording.outcome.tally.events);
    }
}

#[test]
fn causes_precede_their_effects() {
    let Record { events, .. } = recorded(41).record;
    for (index, event) in events.iter().enumerate() {
        for earlier in [event.before, event.cause].into_iter().flatten() {
            let cause = &events[earlier.0 as usize - 1];
            assert!((earlier.0 as usize) < index + 1 && cause.at <= event.at, "event {index}");
        }
    }
}

/// A sent message is taken or dropped, and every taken message was sent.
#[test]
fn every_taken_message_was_sent_to_the_node_that_takes_it() {
    let (mut taken, mut dropped) = (0, 0);
    // Cluster sizes are random, and a cluster of one node sends no messages.
    for record in (40..44).map(|seed| recorded(seed).record) {
        for (id, event) in record.all() {
            match &event.kind {
                EventKind::TookInput(InputKind::Packet(packet)) => {
                    let sending = record.event(event.cause.expect("a packet has a sender"));
                    match &sending.kind {
                        EventKind::Sent(sent) => {
                            let delivery = sent.delivery.expect("the packet was sent");
                            assert_eq!(Some(sent.to), event.node, "{id}");
                            assert_eq!(delivery.packet, *packet, "{id}");
                            let due = [delivery.arrival, delivery.copy];
                            assert!(due.iter().flatten().any(|due| *due <= event.at), "{id}");
                        }
                        EventKind::Injected { packet: number, .. } => assert_eq!(number, packet),
                        other => panic!("{id} is caused by {other}"),
                    }
                    taken += 1;
                }
                EventKind::Dropped { .. } => dropped += 1,
                _ => {}
            }
        }
    }
    assert!(taken > 1_000 && dropped > 10, "{taken} taken, {dropped} dropped");
}

/// A durable write was submitted before, and a completed flush names that submission.
#[test]
fn every_durable_write_was_submitted() {
    let record = recorded(43).record;
    let mut durable = 0;
    for (id, event) in record.all() {
        let EventKind::Durable(write) = event.kind else { continue };
        let submission = event.cause.expect("a write is submitted");
        let EventKind::Submitted(submitted) = &record.event(submission).kind else {
            panic!("{id} is caused by {}", record.event(submission).kind);
        };
        assert_eq!((submitted.id, record.event(submission).node), (write, event.node), "{id}");
        durable += 1;
    }
    assert!(durable > 100, "{durable} writes are durable");
}

#[test]
fn a_recording_ends_at_the_given_event_or_time() {
    let whole = recorded(42).record;
    let options = RunOptions::default();
    let some = record(42, &options, RecordUntil::Event(EventId(1_000))).record;
    assert!(some.events.len() >= 1_000 && some.events.len() < 1_100);
    let early = SimTime(1_500_000_000);
    let part = record(42, &options, RecordUntil::Time(early)).record;
    assert!(part.events.iter().all(|event| event.at <= early));
    for part in [some, part] {
        let lines = |of: &Record| -> Vec<String> {
            (1..=part.events.len() as u32).map(|id| of.line(EventId(id))).collect()
        };
        assert_eq!(lines(&part), lines(&whole));
    }
}

/// The causal past of an event is closed: it has the causes of all its events.
#[test]
fn a_causal_past_has_every_cause() {
    let record = recorded(45).record;
    let last = record.last().expect("something happened");
    let of = EventId(last.0 / 2);
    let past = record.causal_past(of);
    assert!(past.contains(&of) && past.len() < of.0 as usize);
    for id in &past {
        let event = record.event(*id);
        let earlier = [event.before, event.cause];
        assert!(earlier.iter().flatten().all(|id| past.contains(id)), "{id}");
    }
}

#[test]
fn a_recording_is_not_large() {
    let record = recorded(46).record;
    let event = size_of::<quorate_sim::record::Event>();
    let state = size_of_val(&record.states[0]);
    // The commands in messages and writes have at most a few hundred bytes each.
    assert!(event <= 128, "an event has {event} bytes");
    let bytes = record.events.len() * event + record.states.len() * state;
    assert!(bytes / record.events.len() < 256, "{bytes} bytes");
}
