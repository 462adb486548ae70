//! The account of recordings as JSON.

use serde_json::{Value, json};

use crate::cli::recordings::found::Found;
use crate::cli::recordings::window::Window;
use crate::recordings::{
    AccountLine, CheckedRecordings, ClockOffset, Leadership, NodeRecording, PlaybackError,
};
use crate::values::time::SimTime;

/// Returns the content of the text as one JSON object, without the time span of each recording.
pub(crate) fn of(found: &Found, window: &Window) -> Value {
    let lines = found.lines.iter().filter(|line| window.has(line.at, line.until));
    let has_wall_time = found.recordings.iter().all(NodeRecording::has_wall_time);
    json!({
        "origin_unix_seconds": has_wall_time.then_some(found.merged.origin.as_secs_f64()),
        "recordings": found.recordings.iter().map(recording).collect::<Vec<_>>(),
        "unread": found.unread.iter().map(error).collect::<Vec<_>>(),
        "messages": json!({
            "matched": found.merged.matched,
            "unmatched": found.merged.unmatched,
            "disordered": found.merged.disordered,
        }),
        "clocks": found.merged.clocks.iter().map(clock).collect::<Vec<_>>(),
        "leaders": found.leaders.iter().map(leader).collect::<Vec<_>>(),
        "events": lines.map(line).collect::<Vec<_>>(),
        "checks": found.checks.iter().map(check).collect::<Vec<_>>(),
    })
}

fn seconds(at: SimTime) -> f64 {
    at.since(SimTime(0)).as_secs_f64()
}

fn recording(of: &NodeRecording) -> Value {
    let starts = of.starts.iter().map(|start| {
        json!({
            "start": start.start.to_string(),
            "version": start.version,
            "first_record": start.first_record,
            "steps": start.steps,
            "gaps": start.gaps,
        })
    });
    json!({
        "node": of.node.0,
        "cluster": format!("{:032x}", of.cluster),
        "files": of.sources.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "starts": starts.collect::<Vec<_>>(),
        "errors": of.errors.iter().map(error).collect::<Vec<_>>(),
    })
}

fn error(of: &PlaybackError) -> Value {
    json!({
        "file": of.file,
        "offset": of.error.offset,
        "divergence": of.is_divergence(),
        "error": of.to_string(),
    })
}

fn clock(of: &ClockOffset) -> Value {
    json!({
        "one": of.one.0, "other": of.other.0,
        "ahead_min_seconds": of.min as f64 / 1e9, "ahead_max_seconds": of.max as f64 / 1e9,
    })
}

fn leader(of: &Leadership) -> Value {
    json!({
        "node": of.node.0,
        "term": of.term.0,
        "from": seconds(of.from),
        "began_before": !of.has_beginning,
        "to": of.to.map(seconds),
        "campaigned": of.campaign.map(|cause| cause.to_string()),
        "stopped": of.end.map(|cause| cause.to_string()),
        "started_again": of.restart.map(seconds),
        "pause_seconds": of.pause.map(|pause| pause.as_secs_f64()),
    })
}

fn check(of: &CheckedRecordings) -> Value {
    json!({
        "id": of.check.id,
        "name": of.check.name,
        "hold": of.decided,
        "undecided": of.undecided,
        "not_checked": of.beyond,
        "violation": of.violation.as_ref().map(|violation| violation.finding.as_str()),
        "violated_at": of.violation.as_ref().map(|violation| seconds(violation.at)),
    })
}

fn line(of: &AccountLine) -> Value {
    json!({
        "at": seconds(of.at),
        "until": seconds(of.until),
        "node": of.node.0,
        "term": of.term.0,
        "record": of.record,
        "count": of.count,
        "event": of.note.to_string(),
    })
}
