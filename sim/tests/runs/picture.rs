//! The data of a page is the data of the recorded run.

use quorate_page::document::{Condition, Delivery, Document, Kind, Lane, Outcome, WriteOutcome};
use quorate_sim::picture::document;
use quorate_sim::record::{EventKind, InputKind, RecordUntil, Recording};
use quorate_sim::run::{RunOptions, record};
use quorate_sim::settings::profile::Profile;
use quorate_sim::values::time::SimTime;
use quorate_sim::workload::Workload;

const PROFILES: [&str; 3] = ["default", "crash", "snapshot"];

fn drawn(profile: &str, seed: u64) -> (Recording, Document) {
    let profile = Profile::by_name(profile).expect("the profile exists");
    let options = RunOptions { profile, checks: false, ..RunOptions::default() };
    let recording = record(seed, &options, RecordUntil::End);
    let document =
        document("a seed", &recording, &|command| options.workload.describe_command(command));
    (recording, document)
}

#[test]
fn every_event_is_on_the_page_and_every_packet_is_delivered_or_lost() {
    let (recording, document) = drawn("default", 3);
    let events = &recording.record.events;
    assert_eq!(document.events.len(), events.len());
    let times = document.events.iter().map(|event| event.at);
    assert!(times.eq(events.iter().map(|event| event.at.0)));
    let sent = events.iter().filter(|event| matches!(event.kind, EventKind::Sent(_))).count();
    let taken = |kind: &EventKind| matches!(kind, EventKind::TookInput(InputKind::Packet(_)));
    let taken = events.iter().filter(|event| taken(&event.kind)).count();
    let arrived = document.messages.iter();
    let arrived =
        arrived.filter(|message| matches!(message.delivery, Delivery::Arrived(_))).count();
    assert!(document.messages.len() >= sent && sent > 0, "{sent}");
    // No node sent an injected packet.
    let injected = events.iter().filter(|event| matches!(event.kind, EventKind::Injected { .. }));
    let injected = injected.count();
    assert!(arrived <= taken && taken <= arrived + injected, "{taken} {arrived} {injected}");
    let lost =
        document.messages.iter().any(|message| matches!(message.delivery, Delivery::Lost(_)));
    assert!(lost, "no packet was lost");
    assert!(document.operations.iter().any(|one| one.call.starts_with("put ")));
    assert!(!document.faults.is_empty());
}

/// No log has a rejected command.
#[test]
fn a_rejected_command_is_described_like_any_other() {
    let (_, document) = drawn("default", 3);
    let failed = document.operations.iter().filter(|one| one.outcome == Outcome::Failed);
    let calls: Vec<&str> = failed.map(|one| one.call.as_str()).collect();
    let is_command = |call: &&str| call.starts_with("put ") || call.starts_with("cas ");
    assert!(calls.iter().any(is_command) && !calls.contains(&"command"), "{calls:?}");
}

/// The last index of a log on the page is the last index in the node's status.
#[test]
fn logs_end_at_the_index_in_their_nodes_status() {
    let mut checked = 0;
    for profile in PROFILES {
        let (_, document) = drawn(profile, 5);
        let mut lasts = vec![0; document.nodes.len()];
        // A step precedes the write that it submits, at the same time.
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
        flushed +=
            document.writes.iter().filter(|write| write.outcome == WriteOutcome::Flushed).count();
        for write in document.writes.iter().filter(|write| write.outcome == WriteOutcome::Lost) {
            lost += 1;
            let event = &document.events[write.ended.expect("it ended") as usize];
            assert!(event.kind == Kind::Crash || event.kind == Kind::Start, "{event:?}");
        }
    }
    assert!(flushed > 0 && lost > 0, "{flushed} {lost}");
}

/// A run that ends during its fault phase, as a failing run does.
#[test]
fn no_fault_ends_after_the_run() {
    let options = RunOptions { checks: false, ..RunOptions::default() };
    let mut stay = 0;
    for seed in 0..20 {
        let recording = record(seed, &options, RecordUntil::Time(SimTime(2_000_000_000)));
        let command = |command: &[u8]| options.workload.describe_command(command);
        let document = document("a seed", &recording, &command);
        let last = document.events.last().expect("something happens").at;
        stay += document.faults.iter().filter(|fault| fault.until.is_none()).count();
        assert!(document.faults.iter().all(|fault| fault.until <= Some(last)), "{seed}");
    }
    assert!(stay > 0, "no fault was active at the end");
}
