//! The whole cluster as one node sees it, for the page.

use std::time::Duration;

use crate::runtime::{Client, Handle, Latencies, Metrics, Report, Timed};
use crate::types::{Membership, NodeId};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use crate::http::others::Others;

/// How long the node's own loop may take to say how it is.
const PATIENCE: Duration = Duration::from_secs(2);

/// Looks at the cluster from one node.
#[derive(Debug)]
pub(super) struct Watch {
    handle: Handle,
    others: Others,
    start: Instant,
}

impl Watch {
    pub(super) fn new(handle: Handle, client: Option<Client>) -> Watch {
        Watch { handle, others: Others::new(client), start: Instant::now() }
    }

    /// All that is known now. Every number of it is one that the node tells anybody else, too.
    pub(super) async fn seen(&self) -> Value {
        let metrics = self.handle.metrics();
        let membership = self.handle.membership().borrow().clone();
        let glance = metrics.glance();
        let others = self.others.reports(&membership, glance.id).await;
        let own = timeout(PATIENCE, self.handle.report()).await;
        let own = own.ok().and_then(Result::ok);
        let nodes: Vec<Value> = own.iter().chain(&others).map(node).collect();
        let totals = metrics.totals();
        json!({
            "milliseconds": self.start.elapsed().as_millis() as u64,
            "node": glance.id.0,
            "stopped": own.is_none(),
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
                "proposal": latencies(&metrics.latencies(Timed::Proposal)),
                "read": latencies(&metrics.latencies(Timed::Read)),
                "flush": latencies(&metrics.latencies(Timed::Flush)),
                "apply": latencies(&metrics.latencies(Timed::Apply)),
            },
        })
    }
}

/// What a node says of itself.
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
        "standing": format!("{:?}", report.standing).to_lowercase(),
        "disk_full": status.disk_full,
        "peers": peers.collect::<Vec<_>>(),
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
    let links = metrics.links().into_iter().map(|link| {
        json!({
            "peer": link.peer.0,
            "heard_milliseconds": link.heard.map(|ago| ago.as_millis() as u64),
            "connected": link.connected,
            "waiting": link.waiting,
            "lost": link.lost,
        })
    });
    links.collect()
}

/// Pairs of a bound in microseconds, none for the last, and how often it was kept.
fn latencies(latencies: &Latencies) -> Vec<(Option<u64>, u64)> {
    let buckets = latencies.buckets.iter();
    buckets.map(|bucket| (bucket.up_to.map(|time| time.as_micros() as u64), bucket.count)).collect()
}
