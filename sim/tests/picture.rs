//! A page shows what was recorded, and nothing else.

use quorate_page::document::{Condition, Document, Fate, Kind, Lane, WriteEnd};
use quorate_sim::picture::document;
use quorate_sim::profile::Profile;
use quorate_sim::record::{Recording, Taken, Until, What};
use quorate_sim::run::{RunOptions, record};
use quorate_sim::time::SimTime;
use quorate_sim::workload::Workload;

const PROFILES: [&str; 3] = ["default", "crash", "snapshot"];

fn drawn(profile: &str, seed: u64) -> (Recording, Document) {
    let profile = Profile::by_name(profile).expect("it is one of ours");
    let options = RunOptions { profile, checks: false, ..RunOptions::default() };
    let recording = record(seed, &options, Until::End);
    let document = document("a seed", &recording, &|command| options.workload.words(command));
    (recording, document)
}

#[test]
fn every_recorded_event_is_an_event_and_every_packet_has_its_fate() {
    let (recording, document) = drawn("default", 3);
    let events = &recording.record.events;
    assert_eq!(document.events.len(), events.len());
    let times = document.events.iter().map(|event| event.at);
    assert!(times.eq(events.iter().map(|event| event.at.0)));
    let sent = events.iter().filter(|event| matches!(event.what, What::Sent(_))).count();
    let taken = |what: &What| matches!(what, What::Took(Taken::Packet(_)));
    let taken = events.iter().filter(|event| taken(&event.what)).count();
    let arrived = document.messages.iter();
    let arrived = arrived.filter(|message| matches!(message.fate, Fate::Arrived(_))).count();
    assert!(document.messages.len() >= sent && sent > 0, "{sent}");
    // A stray was sent by nobody.
    let strays = events.iter().filter(|event| matches!(event.what, What::Intruded { .. })).count();
    assert!(arrived <= taken && taken <= arrived + strays, "{taken} {arrived} {strays}");
    let lost = document.messages.iter().any(|message| matches!(message.fate, Fate::Lost(_)));
    assert!(lost, "a storm loses something");
    assert!(document.operations.iter().any(|one| one.call.starts_with("put ")));
    assert!(!document.faults.is_empty());
}

/// The log that the page tells of ends where the node says that its log ends.
#[test]
fn logs_end_where_their_nodes_say() {
    let mut checked = 0;
    for profile in PROFILES {
        let (_, document) = drawn(profile, 5);
        let mut lasts = vec![0; document.nodes.len()];
        // A step is shown before the write that carries it out, at the same time.
        let mut claims: Vec<Option<(u64, u64)>> = vec![None; document.nodes.len()];
        for event in &document.events {
            let Lane::Node(node) = event.lane else { continue };
            let node = usize::from(node);
            if let Some((at, last)) = claims[node]
                && event.at > at
            {
                assert_eq!(lasts[node], last, "{profile}: n{} before {event:?}", node + 1);
                checked += 1;
            }
            if let Some(change) = &event.log {
                lasts[node] = change.keep + change.entries.len() as u64;
            }
            let state = event.state.as_ref().filter(|state| state.condition == Condition::Up);
            claims[node] = state.map(|state| (event.at, state.last));
        }
    }
    assert!(checked > 1_000, "{checked}");
}

#[test]
fn a_write_ends_durable_or_with_its_node() {
    let (mut flushed, mut lost) = (0, 0);
    for seed in 0..6 {
        let (_, document) = drawn("crash", seed);
        flushed += document.writes.iter().filter(|write| write.end == WriteEnd::Flushed).count();
        for write in document.writes.iter().filter(|write| write.end == WriteEnd::Lost) {
            lost += 1;
            let event = &document.events[write.ended.expect("it ended") as usize];
            assert!(event.kind == Kind::Crash || event.kind == Kind::Start, "{event:?}");
        }
    }
    assert!(flushed > 0 && lost > 0, "{flushed} {lost}");
}

/// A run that ends in the midst of a storm, as one does that fails.
#[test]
fn no_fault_ends_after_the_run() {
    let options = RunOptions { checks: false, ..RunOptions::default() };
    let mut stay = 0;
    for seed in 0..20 {
        let recording = record(seed, &options, Until::Time(SimTime(2_000_000_000)));
        let command = |command: &[u8]| options.workload.words(command);
        let document = document("a seed", &recording, &command);
        let last = document.events.last().expect("something happens").at;
        stay += document.faults.iter().filter(|fault| fault.until.is_none()).count();
        assert!(document.faults.iter().all(|fault| fault.until <= Some(last)), "{seed}");
    }
    assert!(stay > 0, "some fault would have gone on");
}
