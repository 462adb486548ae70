//! Recorded runs: watching changes nothing, and what a recording says holds together.

use quorate_sim::record::{EventId, Record, Recording, Taken, Until, What};
use quorate_sim::run::{RunOptions, record, run};
use quorate_sim::time::SimTime;

fn recorded(seed: u64) -> Recording {
    record(seed, &RunOptions::default(), Until::End)
}

/// S32: whoever records changes nothing.
#[test]
fn a_recorded_run_is_the_same_run() {
    for seed in 40..46 {
        let recording = recorded(seed);
        assert_eq!(recording.outcome, run(seed, &RunOptions::default()), "seed {seed}");
        assert!(recording.record.events.len() as u64 > recording.outcome.tally.events);
    }
}

#[test]
fn causes_come_before_what_they_cause() {
    let Record { events, .. } = recorded(41).record;
    for (place, event) in events.iter().enumerate() {
        for earlier in [event.before, event.cause].into_iter().flatten() {
            let cause = &events[earlier.0 as usize - 1];
            assert!((earlier.0 as usize) < place + 1 && cause.at <= event.at, "event {place}");
        }
    }
}

/// What is sent is taken or dropped, and every message that is taken was sent.
#[test]
fn every_message_that_is_taken_was_sent_to_whoever_takes_it() {
    let (mut taken, mut dropped) = (0, 0);
    // Cluster sizes are drawn: in one of a single node nobody says anything.
    for record in (40..44).map(|seed| recorded(seed).record) {
        for (id, event) in record.all() {
            match &event.what {
                What::Took(Taken::Packet(packet)) => {
                    let sending = record.event(event.cause.expect("a packet has a sender"));
                    match &sending.what {
                        What::Sent(sent) => {
                            let way = sent.way.expect("it was sent on its way");
                            assert_eq!(Some(sent.to), event.node, "{id}");
                            assert_eq!(way.packet, *packet, "{id}");
                            let due = [way.arrival, way.copy];
                            assert!(due.iter().flatten().any(|due| *due <= event.at), "{id}");
                        }
                        What::Intruded { packet: number, .. } => assert_eq!(number, packet),
                        other => panic!("{id} is brought by {other}"),
                    }
                    taken += 1;
                }
                What::Dropped { .. } => dropped += 1,
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
        let What::Durable(write) = event.what else { continue };
        let submission = event.cause.expect("a write is submitted");
        let What::Submitted(submitted) = &record.event(submission).what else {
            panic!("{id} is the end of {}", record.event(submission).what);
        };
        assert_eq!((submitted.id, record.event(submission).node), (write, event.node), "{id}");
        durable += 1;
    }
    assert!(durable > 100, "{durable} writes are durable");
}

#[test]
fn a_recording_ends_where_it_is_told_to() {
    let whole = recorded(44).record;
    let options = RunOptions::default();
    let some = record(44, &options, Until::Event(EventId(1_000))).record;
    assert!(some.events.len() >= 1_000 && some.events.len() < 1_100);
    let early = SimTime(1_500_000_000);
    let part = record(44, &options, Until::Time(early)).record;
    assert!(part.events.iter().all(|event| event.at <= early));
    for part in [some, part] {
        let lines = |of: &Record| -> Vec<String> {
            (1..=part.events.len() as u32).map(|id| of.line(EventId(id))).collect()
        };
        assert_eq!(lines(&part), lines(&whole));
    }
}

/// The past of an event is closed: it has the causes of all it has.
#[test]
fn a_past_has_all_that_it_depends_on() {
    let record = recorded(45).record;
    let last = record.last().expect("something happened");
    let of = EventId(last.0 / 2);
    let past = record.past(of);
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
    // Commands, which messages and writes bring, come to no more than a few hundred bytes each.
    assert!(event <= 128, "an event has {event} bytes");
    let bytes = record.events.len() * event + record.states.len() * state;
    assert!(bytes / record.events.len() < 256, "{bytes} bytes");
}
