//! The view of the whole cluster from one node, as JSON for the page.

use std::time::Duration;

use crate::runtime::{Client, Handle, LatencyHistogram, LatencyMetric, Metrics, Report};
use crate::types::{MachineUsage, Membership, NodeId, RoleChange};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use crate::http::peer_reports::PeerReports;

/// The time limit for the report of this node, which is missing from the view if the node is stuck.
const OWN_REPORT_TIME_MAX: Duration = Duration::from_secs(2);

/// The view of the cluster from one node.
#[derive(Debug)]
pub(super) struct ClusterView {
    handle: Handle,
    peer_reports: PeerReports,
    start: Instant,
}

impl ClusterView {
    pub(super) fn new(handle: Handle, client: Option<Client>) -> ClusterView {
        ClusterView { handle, peer_reports: PeerReports::new(client), start: Instant::now() }
    }

    /// Returns the current view as JSON. It contains only values that the metrics and the reports
    /// of nodes also contain.
    pub(super) async fn to_json(&self) -> Value {
        let metrics = self.handle.metrics();
        let membership = self.handle.membership().borrow().clone();
        let summary = metrics.summary();
        let peer_reports = self.peer_reports.reports(&membership, summary.id).await;
        let own = timeout(OWN_REPORT_TIME_MAX, self.handle.report()).await;
        let own = own.ok().and_then(Result::ok);
        let nodes: Vec<Value> = own.iter().chain(&peer_reports).map(node).collect();
        let totals = metrics.totals();
        json!({
            "milliseconds": self.start.elapsed().as_millis() as u64,
            "node": summary.id.0,
            "stopped": summary.stopped,
            "membership": members(&membership),
            "nodes": nodes,
            "links": links(&metrics),
            "totals": {
                "proposals_done": totals.proposals_done,
                "proposals_failed": totals.proposals_failed,
                "reads_answered": totals.reads_answered,
                "reads_rejected": totals.reads_rejected,
                "bytes_sent": totals.bytes_sent,
                "bytes_received": totals.bytes_received,
            },
            "latencies": {
                "proposal": latencies(&metrics.latency(LatencyMetric::Proposal)),
                "read": latencies(&metrics.latency(LatencyMetric::Read)),
                "flush": latencies(&metrics.latency(LatencyMetric::Flush)),
                "apply": latencies(&metrics.latency(LatencyMetric::Apply)),
            },
        })
    }
}

/// Returns the report of one node as JSON.
fn node(report: &Report) -> Value {
    let status = &report.status;
    let peers = report.peers.iter().map(|peer| {
        json!({
            "id": peer.id.0,
            "matched": peer.matched.0,
            "suspected": peer.suspected,
            "probing": peer.probing,
            "snapshot": peer.snapshot.map(|index| index.0),
            "disk_full": peer.disk_full,
            "inflight_entries": peer.inflight_entries,
        })
    });
    json!({
        "id": status.id.0,
        "role": status.role.to_string(),
        "term": status.term.0,
        "leader": status.leader.map(|leader| leader.0),
        "log": {
            "base": status.base.0,
            "snapshot": status.snapshot.0,
            "applied": status.applied.0,
            "committed": status.committed.0,
            "durable": status.durable.0,
            "last": status.last.index.0,
        },
        "verification": report.verification.name(),
        "version": report.usage.version.user,
        "disk_full": status.disk_full,
        "damaged_entries": status.damaged_entries,
        "is_uncertain": status.is_uncertain,
        "usage": usage(&report.usage),
        "peers": peers.collect::<Vec<_>>(),
        "role_changes": report.role_changes.iter().map(role_change).collect::<Vec<_>>(),
    })
}

/// Returns a change of a node's role as JSON.
fn role_change(change: &RoleChange) -> Value {
    json!({
        "age_seconds": change.age.as_secs_f64(),
        "role": change.role.to_string(),
        "term": change.term.0,
        "leader": change.leader.map(|leader| leader.0),
        "reason": change.cause.to_string(),
    })
}

/// Returns the memory of the client sessions and of the state as JSON.
fn usage(usage: &MachineUsage) -> Value {
    let quota = usage.quota.map(
        |quota| json!({ "used": quota.used_bytes, "max": quota.bytes_max, "alarm": quota.alarm }),
    );
    json!({
        "sessions": usage.sessions,
        "requests": usage.requests,
        "replies_bytes": usage.replies_bytes,
        "quota": quota,
    })
}

fn members(membership: &Membership) -> Value {
    let ids = |ids: &mut dyn Iterator<Item = NodeId>| ids.map(|id| id.0).collect::<Vec<_>>();
    let casting = membership.incoming().casting().or(membership.outgoing().casting());
    let members = membership.members().iter().map(|member| {
        json!({
            "id": member.id.0,
            "address": member.address.as_str(),
            "voter": membership.is_voter(member.id),
            "casting": casting == Some(member.id),
            "priority": membership.priority(member.id),
        })
    });
    json!({
        "text": membership.to_string(),
        "joint": membership.is_joint(),
        "staged": membership.is_staged(),
        "voters": ids(&mut membership.voters()),
        "members": members.collect::<Vec<_>>(),
    })
}

fn links(metrics: &Metrics) -> Vec<Value> {
    let links = metrics.peer_links().into_iter().map(|link| {
        json!({
            "peer": link.peer.0,
            "silence_milliseconds": link.silence.map(|ago| ago.as_millis() as u64),
            "connected_lanes": link.connected_lanes,
            "queued_packets": link.queued_packets,
            "dropped_packets": link.dropped_packets,
        })
    });
    links.collect()
}

/// Returns the upper bound of each bucket in microseconds, `None` for the last one, with its count.
fn latencies(latencies: &LatencyHistogram) -> Vec<(Option<u64>, u64)> {
    let buckets = latencies.buckets.iter();
    buckets
        .map(|bucket| (bucket.upper_bound.map(|time| time.as_micros() as u64), bucket.count))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_node_that_does_not_report_in_time_has_not_stopped() {
        let (handle, _node) = Handle::of_stuck_node();
        let view = ClusterView::new(handle, None).to_json().await;
        assert_eq!(view["nodes"], json!([]), "its own report is missing");
        assert_eq!(view["stopped"], false);
    }
}
