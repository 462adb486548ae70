//! What the other nodes say of themselves, asked for only while somebody looks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::runtime::{Client, Report};
use crate::types::{Membership, NodeId};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, timeout};

/// How old an answer may be before it is asked for again.
const FRESH: Duration = Duration::from_millis(500);
/// How long answers are waited for before those are shown that have come.
const SOON: Duration = Duration::from_millis(300);
/// How long a node may take to answer; nothing else waits for it.
const PATIENCE: Duration = Duration::from_secs(2);

/// The other nodes' reports, as far as they were given. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Others {
    /// None if nobody may ask: the page shows then what this node knows.
    client: Option<Client>,
    told: Arc<Mutex<Told>>,
}

#[derive(Debug, Default)]
struct Told {
    asked: Option<Instant>,
    /// Whether answers of the last round are still awaited.
    awaited: bool,
    reports: BTreeMap<NodeId, Report>,
}

impl Others {
    pub(super) fn new(client: Option<Client>) -> Others {
        let client = client.map(|client| client.with_deadline(PATIENCE));
        Others { client, told: Arc::default() }
    }

    /// What is known. Has it asked for anew unless that was just done, and waits a little for the
    /// answers, so that what different nodes say is of about the same moment.
    pub(super) async fn reports(&self, membership: &Membership, own: NodeId) -> Vec<Report> {
        if let Some(round) = self.begin(membership, own) {
            // Whoever has not answered by then is seen in the next round.
            let _ = timeout(SOON, round).await;
        }
        self.told().reports.values().cloned().collect()
    }

    /// Asks every other member, in a task of its own.
    fn begin(&self, membership: &Membership, own: NodeId) -> Option<JoinHandle<()>> {
        let client = self.client.as_ref()?;
        let mut told = self.told();
        if told.awaited || told.asked.is_some_and(|asked| asked.elapsed() < FRESH) {
            return None;
        }
        (told.asked, told.awaited) = (Some(Instant::now()), true);
        told.reports.retain(|id, _| membership.is_member(*id));
        let mut asked = JoinSet::new();
        for member in membership.members().iter().filter(|member| member.id != own) {
            let (id, address, client) = (member.id, member.address.clone(), client.clone());
            if !address.as_str().is_empty() {
                asked.spawn(async move { (id, client.report(address.as_str()).await) });
            }
        }
        let others = self.clone();
        Some(tokio::spawn(async move {
            while let Some(answer) = asked.join_next().await {
                match answer {
                    Ok((id, Ok(report))) => drop(others.told().reports.insert(id, report)),
                    Ok((id, Err(_))) => drop(others.told().reports.remove(&id)),
                    Err(_) => {}
                }
            }
            others.told().awaited = false;
        }))
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
