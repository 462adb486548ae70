//! The reports of the other nodes. They are requested only when a browser requests the view, as an
//! open status page does each second.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::runtime::lock;
use crate::runtime::{Client, Report};
use crate::types::{Membership, NodeId};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, timeout};

/// The shortest time between the starts of two rounds.
const REPORT_AGE_MAX: Duration = Duration::from_millis(500);
/// The longest time for which a request of the page waits for the reports of its round.
const ROUND_WAIT_MAX: Duration = Duration::from_millis(300);
/// The time limit of the request for a report. The page shows a reply that arrives after
/// [`ROUND_WAIT_MAX`] with its next request.
const REPORT_TIME_MAX: Duration = Duration::from_secs(2);

/// The last reports of the other nodes. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct PeerReports {
    /// The client that requests the reports; `None` if the page shows only what this node knows.
    client: Option<Client>,
    cache: Arc<Mutex<CachedReports>>,
}

/// The cache of reports, and the state of the last round of requests.
#[derive(Debug, Default)]
struct CachedReports {
    requested_at: Option<Instant>,
    /// Whether a reply of the last round is outstanding.
    round_in_flight: bool,
    reports: BTreeMap<NodeId, Report>,
}

impl PeerReports {
    pub(super) fn new(client: Option<Client>) -> PeerReports {
        let client = client.map(|client| client.with_deadline(REPORT_TIME_MAX));
        PeerReports { client, cache: Arc::default() }
    }

    /// Returns the known reports of members; a member that has failed to reply is left out until it
    /// replies. Starts a round of requests, unless the last round started less than
    /// [`REPORT_AGE_MAX`] ago or is in flight. Waits up to [`ROUND_WAIT_MAX`] for the replies, so
    /// that the reports are of about the same time.
    pub(super) async fn reports(&self, membership: &Membership, own: NodeId) -> Vec<Report> {
        if let Some(round) = self.start_round(membership, own) {
            // A later reply is shown with the next request of the page.
            let _ = timeout(ROUND_WAIT_MAX, round).await;
        }
        lock(&self.cache).reports.values().cloned().collect()
    }

    /// Requests the reports of all other members that have an address, in a new task. Returns
    /// `None` without a client, or if no round is due.
    fn start_round(&self, membership: &Membership, own: NodeId) -> Option<JoinHandle<()>> {
        let client = self.client.as_ref()?;
        let mut cache = lock(&self.cache);
        if cache.round_in_flight
            || cache.requested_at.is_some_and(|at| at.elapsed() < REPORT_AGE_MAX)
        {
            return None;
        }
        (cache.requested_at, cache.round_in_flight) = (Some(Instant::now()), true);
        cache.reports.retain(|id, _| membership.is_member(*id));
        let mut requests = JoinSet::new();
        for member in membership.members().iter().filter(|member| member.id != own) {
            let (id, address, client) = (member.id, member.address.clone(), client.clone());
            if !address.as_str().is_empty() {
                requests.spawn(async move { (id, client.report(address.as_str()).await) });
            }
        }
        let peer_reports = self.clone();
        Some(tokio::spawn(async move {
            while let Some(reply) = requests.join_next().await {
                match reply {
                    Ok((id, Ok(report))) => {
                        drop(lock(&peer_reports.cache).reports.insert(id, report))
                    }
                    Ok((id, Err(_))) => drop(lock(&peer_reports.cache).reports.remove(&id)),
                    Err(_) => {}
                }
            }
            lock(&peer_reports.cache).round_in_flight = false;
        }))
    }
}
