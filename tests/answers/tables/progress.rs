//! The leader's view of a peer, in etcd's terms.

use serde::Deserialize;

use quorate::progress::{Mode, Progress, Window};
use quorate::types::{Index, Instant};

use crate::answers::cases::{CaseFile, Verdict, decoded};

#[derive(Deserialize, Default)]
#[serde(default)]
struct Case {
    op: String,
    state: String,
    r#match: u64,
    next: u64,
    ack: u64,
    rejected: u64,
    last: u64,
    flow_paused: bool,
    expect: Expect,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Expect {
    changed: bool,
    r#match: u64,
    next: u64,
    paused: bool,
}

const WINDOW: Window = Window { messages_max: 1, entries_max: 100, bytes_max: 1000 };

/// Returns the progress of a streaming peer, with the entries from its matched index up to `next`
/// in flight.
fn streaming(case: &Case) -> Progress {
    let mut progress = Progress::new(Index(100), Instant::ZERO);
    progress.accepted(Index(case.r#match));
    let sent = case.next.saturating_sub(case.r#match + 1);
    if sent > 0 {
        progress.sent(Index(case.next - 1), sent as usize, 1);
    }
    progress
}

/// Returns the progress of a peer that is probed with the entry before `next`.
fn probed(next: u64) -> Progress {
    Progress::new(Index(next - 1), Instant::ZERO)
}

#[test]
fn progress_etcd_style() {
    // Only a rejection starts a probe here, so the rows that only name the new state have no
    // function to call.
    let skips = ["progress-probe-0", "progress-probe-1", "progress-probe-2"];
    for file in CaseFile::versions("raft-paper/progress_etcd_style.json", "cases") {
        file.run(&skips, |case| progress_case(&decoded(case)));
    }
}

fn progress_case(case: &Case) -> Verdict {
    match (case.op.as_str(), case.state.as_str()) {
        ("is_paused", "snapshot") => {
            let mut progress = probed(5);
            progress.snapshot_offered(Index(10));
            assert_eq!(!progress.may_send(&WINDOW), case.expect.paused);
        }
        ("become_probe", "snapshot") => {
            return Verdict::Skipped("an acknowledgement ends the offer of a snapshot".into());
        }
        ("become_probe", _) => {
            return Verdict::Skipped("only a rejection ends streaming, never a call".into());
        }
        ("maybe_update", _) => {
            let mut progress = streaming(case);
            let before = progress.matched();
            progress.accepted(Index(case.ack));
            assert_eq!(progress.matched() > before, case.expect.changed);
            assert_eq!(progress.matched().0, case.expect.r#match);
            assert_eq!(progress.next().0, case.expect.next);
        }
        ("maybe_decr", "probe") if case.next == 0 => {
            return Verdict::Skipped("the next index to send is at least 1".into());
        }
        ("maybe_decr", "probe") => {
            assert_eq!(case.r#match, 0, "a probed peer has matched nothing");
            let mut progress = probed(case.next);
            let changed = progress.rejected(Index(case.rejected), Index(case.last));
            assert_eq!(changed, case.expect.changed);
            assert_eq!(progress.next().0, case.expect.next);
        }
        ("maybe_decr", "replicate") => {
            let mut progress = streaming(case);
            let changed = progress.rejected(Index(case.rejected), Index(case.last));
            assert_eq!(changed, case.expect.changed);
            // etcd goes back to the matched index; here the follower's hint may shorten the way.
            assert!(case.expect.next <= progress.next().0);
            assert!(!changed || progress.next().0 <= case.rejected);
            assert_eq!(matches!(progress.mode(), Mode::Probe { .. }), changed);
        }
        ("is_paused", state) => {
            let mut progress = if state == "probe" { probed(5) } else { streaming(case) };
            if case.flow_paused {
                let next = progress.next();
                progress.sent(next, 1, 1);
            }
            assert_eq!(!progress.may_send(&WINDOW), case.expect.paused);
        }
        (op, _) => return Verdict::Skipped(format!("no operation {op} in this implementation")),
    }
    Verdict::Passed
}
