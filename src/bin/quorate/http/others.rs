//! What the other nodes say of themselves, asked for only while somebody looks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quorate::runtime::{Client, Report};
use quorate::types::{Membership, NodeId};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How old an answer may be before it is asked for again.
const FRESH: Duration = Duration::from_millis(500);
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

    /// What is known; has it asked for anew unless that was just done.
    pub(super) fn reports(&self, membership: &Membership, own: NodeId) -> Vec<Report> {
        let mut told = self.told();
        let stale = told.asked.is_none_or(|asked| asked.elapsed() >= FRESH);
        if let Some(client) = &self.client
            && stale
            && !told.awaited
        {
            (told.asked, told.awaited) = (Some(Instant::now()), true);
            told.reports.retain(|id, _| membership.is_member(*id));
            let members = membership.members().iter().filter(|member| member.id != own);
            let members = members.filter(|member| !member.address.as_str().is_empty());
            let members: Vec<_> =
                members.map(|member| (member.id, member.address.clone())).collect();
            let (others, client) = (self.clone(), client.clone());
            tokio::spawn(async move {
                let mut asked = JoinSet::new();
                for (id, address) in members {
                    let client = client.clone();
                    asked.spawn(async move { (id, client.report(address.as_str()).await) });
                }
                while let Some(answer) = asked.join_next().await {
                    match answer {
                        Ok((id, Ok(report))) => drop(others.told().reports.insert(id, report)),
                        Ok((id, Err(_))) => drop(others.told().reports.remove(&id)),
                        Err(_) => {}
                    }
                }
                others.told().awaited = false;
            });
        }
        told.reports.values().cloned().collect()
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
