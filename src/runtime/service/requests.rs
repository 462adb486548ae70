//! One request of a client: whether it is done, and what came of it.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::info;

use crate::machine::Outcome;
use crate::runtime::ask::{Answered, AskError, Proposed};
use crate::runtime::client::Relay;
use crate::runtime::config::ServiceConfig;
use crate::runtime::handle::Handle;
use crate::runtime::principal::Role;
use crate::types::RejectReason;
use crate::wire::{Denial, LeaderHint, Told, Wanted};

/// What waits of all clients together: requests for their replies, and replies to go out.
#[derive(Clone)]
pub(super) struct Bounds {
    requests: Arc<Semaphore>,
    kib: Arc<Semaphore>,
    kib_max: usize,
}

/// What one request takes of the bounds, and its reply after it.
pub(super) struct Share {
    bounds: Bounds,
    _request: OwnedSemaphorePermit,
    kib: Option<OwnedSemaphorePermit>,
}

impl Bounds {
    pub(super) fn new(config: &ServiceConfig) -> Bounds {
        let kib_max = (config.requests_kib_max as usize).min(Semaphore::MAX_PERMITS);
        let requests = Arc::new(Semaphore::new(config.requests_max));
        Bounds { requests, kib: Arc::new(Semaphore::new(kib_max)), kib_max }
    }

    /// The share of a request, if there is that much left.
    pub(super) fn share(&self, wanted: &Wanted) -> Option<Share> {
        let bytes = match wanted {
            Wanted::Propose { command, .. } => command.len(),
            Wanted::Read { query, .. } => query.len(),
            _ => 0,
        };
        let request = Arc::clone(&self.requests).try_acquire_owned().ok()?;
        let kib = self.kib(bytes.div_ceil(1 << 10))?;
        Some(Share { bounds: self.clone(), _request: request, kib: Some(kib) })
    }

    fn kib(&self, count: usize) -> Option<OwnedSemaphorePermit> {
        let count = u32::try_from(count).ok()?;
        Arc::clone(&self.kib).try_acquire_many_owned(count).ok()
    }
}

impl Share {
    /// The share of the reply, which takes the place of its request. An answer without room is
    /// not given, as it may be asked for again; what came of a proposal is told all the same, and
    /// takes what room there is.
    pub(super) fn charge(mut self, told: Told) -> (Told, Share) {
        self.kib = None;
        let Bounds { kib, kib_max, .. } = &self.bounds;
        // One that is longer than all of the bound may go out alone.
        let count = |bytes: usize| bytes.div_ceil(1 << 10).min(*kib_max);
        let (told, kib) = match told {
            Told::Answered { ref answer, .. } => match self.bounds.kib(count(answer.len())) {
                Some(kib) => (told, Some(kib)),
                None => (Told::Refused(Denial::Overloaded), None),
            },
            Told::Replied { ref reply, .. } => {
                let room = count(reply.len()).min(kib.available_permits());
                let kib = self.bounds.kib(room);
                (told, kib)
            }
            short => (short, None),
        };
        (told, Share { kib, ..self })
    }
}

/// Whether somebody of this role may ask for this; `relays` if it passes on what others asked it
/// for, who were asked who they are.
pub(super) fn may((role, relays): (Role, bool), wanted: &Wanted) -> bool {
    match wanted {
        // Nodes ask how others are, for whoever looks at one of them.
        Wanted::Report => true,
        Wanted::Propose { .. } if relays => true,
        Wanted::Propose { .. } | Wanted::Read { .. } => role != Role::Node,
        Wanted::ChangeMembership(_)
        | Wanted::GiveUpChange
        | Wanted::Transfer(_)
        | Wanted::Campaign
        | Wanted::Snapshot => role == Role::Admin,
    }
}

/// Has the node do it, or the leader by `relay`, and says what came of it.
pub(super) async fn carry_out(handle: &Handle, relay: Option<&Relay>, wanted: Wanted) -> Told {
    match wanted {
        Wanted::Propose { acknowledge, command } => {
            let asked = handle.command(command.clone(), acknowledge).await;
            let told = match asked {
                Ok(proposed) => return told(proposed),
                Err(error) => failed(handle, &error, Told::Unknown),
            };
            match (relay, led_by(&told)) {
                (Some(relay), Some(leader)) => {
                    let relayed = relay.ask(leader, Wanted::Propose { acknowledge, command });
                    relayed.await.unwrap_or(told)
                }
                _ => told,
            }
        }
        Wanted::Read { level, query } => match handle.read(level, &query).await {
            Ok(Answered { answer, freshness, index, applied }) => {
                Told::Answered { freshness, index, applied, answer }
            }
            Err(error) => failed(handle, &error, stopped(handle)),
        },
        Wanted::Report => match handle.report().await {
            Ok(report) => Told::Report(Box::new(report)),
            Err(error) => failed(handle, &error, stopped(handle)),
        },
        ordered => obey(handle, ordered).await,
    }
}

/// Who leads, where that is all that is in the way.
fn led_by(told: &Told) -> Option<&LeaderHint> {
    match told {
        Told::Rejected { reason: RejectReason::NotLeader { .. }, leader: Some(leader) } => {
            (!leader.address.as_str().is_empty()).then_some(leader)
        }
        _ => None,
    }
}

/// Does what an administrator wants.
async fn obey(handle: &Handle, ordered: Wanted) -> Told {
    info!(?ordered, "an administrator's order");
    let changed = match ordered {
        Wanted::ChangeMembership(change) => handle.change_membership(change).await,
        Wanted::GiveUpChange => handle.give_up_change().await,
        Wanted::Transfer(to) => {
            let resigned = handle.transfer(to).await.map(|()| Told::Resigned);
            return resigned.unwrap_or_else(|error| failed(handle, &error, Told::Unknown));
        }
        // These end as soon as the node has them: if it has stopped, it never had them.
        Wanted::Campaign => return begun(handle, handle.campaign().await),
        Wanted::Snapshot => return begun(handle, handle.snapshot().await),
        Wanted::Propose { .. } | Wanted::Read { .. } | Wanted::Report => {
            unreachable!("that is no order")
        }
    };
    match changed {
        Ok(id) => Told::Changed { id },
        Err(error) => failed(handle, &error, Told::Unknown),
    }
}

fn begun(handle: &Handle, asked: Result<(), AskError>) -> Told {
    match asked {
        Ok(()) => Told::Begun,
        Err(error) => failed(handle, &error, stopped(handle)),
    }
}

fn told(proposed: Proposed) -> Told {
    match proposed {
        Proposed::MayBeLost { id } => Told::MayBeLost { id },
        Proposed::Done { id, outcome } => match outcome {
            Outcome::Reply(reply) => Told::Replied { id, reply },
            Outcome::Registered(session) => Told::Registered { id, session: session.0 },
            Outcome::SessionExpired => Told::SessionExpired { id },
            Outcome::OutsideWindow => Told::OutsideWindow { id },
            Outcome::Malformed => Told::Malformed { id },
        },
    }
}

/// What a failure is for the client; `stopped` if the node stopped before it told: what it was told
/// to do may have happened.
fn failed(handle: &Handle, error: &AskError, stopped: Told) -> Told {
    match error {
        AskError::Rejected(reason) => rejected(handle, *reason),
        AskError::Unknown => Told::Unknown,
        AskError::Stopped => stopped,
    }
}

fn stopped(handle: &Handle) -> Told {
    rejected(handle, RejectReason::Stopped)
}

fn rejected(handle: &Handle, reason: RejectReason) -> Told {
    let known = match reason {
        RejectReason::NotLeader { leader } => leader,
        _ => handle.leadership.borrow().leader,
    };
    let membership = handle.membership.borrow();
    let leader = known.map(|id| {
        let member = membership.member(id);
        LeaderHint { id, address: member.map(|member| member.address.clone()).unwrap_or_default() }
    });
    Told::Rejected { reason, leader }
}

/// What does not fit into a reply.
pub(super) fn too_large() -> Told {
    Told::Refused(Denial::AnswerTooLarge)
}
