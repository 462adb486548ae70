//! A node of quorate as a host, with the user's service beside it.

use std::error::Error;
use std::fmt::Display;
use std::future::pending;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use quorate::machine::StateMachine;
use quorate::replica::OpenError;
use quorate::runtime::{Handle, Server, ServerConfig, ServerError};
use quorate::storage::ErrorCause;
use quorate::types::NodeId;
use tokio::time::{Instant, advance, sleep};

use crate::chaos_run::{LocalFuture, Outcome, TICK};
use crate::disk::NodeDisk;
use crate::world::{CLUSTER, World, node_address};

/// The interval at which a node checks whether it should stop, and whether its clock is behind.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// The node beside which a service runs.
#[derive(Clone)]
pub struct Node {
    /// The id of the node, from 1 on.
    pub id: NodeId,
    /// The handle through which the service uses the node.
    pub handle: Handle,
    /// The world of the host.
    pub world: World,
}

/// A service beside each node, started with it.
pub(crate) type Beside = Rc<dyn Fn(Node) -> LocalFuture>;
/// A change of every node's configuration.
pub(crate) type Configure = Rc<dyn Fn(&mut ServerConfig)>;

/// Runs a node and the service beside it, until either fails, or a fault stops the node.
pub(crate) async fn run_node<M>(
    world: World,
    (id, nodes): (u8, u8),
    (disk, machine): (NodeDisk, M),
    configure: Configure,
    beside: Beside,
) -> Outcome
where
    M: StateMachine + Send + 'static,
{
    let members = (1..=nodes).map(|node| (NodeId(node.into()), node_address(node)));
    let mut config = ServerConfig::new("", CLUSTER, NodeId(id.into()), members)?;
    config.plaintext = true;
    // The simulated disk is memory.
    config.replica.storage.segment_bytes = 16 << 20;
    config.replica.storage.spare_segments = 1;
    configure(&mut config);
    let at = usize::from(id) - 1;
    let raft = &config.replica.raft;
    let may_suspend = raft.suspension.is_some() || raft.survivor.is_some();
    world.shared().state().nodes[at].may_suspend = may_suspend;
    let simulation = Arc::new(world.clone());
    let mut server = match Server::start_simulated(disk.clone(), config, machine, simulation).await
    {
        Ok(server) => server,
        Err(error) if disk.was_faulty() && is_about_disk(&error) => {
            return failed(&world, at, &error).await;
        }
        Err(error) => return Err(error.into()),
    };
    let handle = server.handle();
    world.shared().line(world.host(), "started");
    {
        let mut state = world.shared().state();
        let node = &mut state.nodes[at];
        (node.handle, node.starts) = (Some(handle.clone()), node.starts + 1);
    }
    let node = Node { id: NodeId(id.into()), handle, world: world.clone() };
    let service = async {
        beside(node).await?;
        pending::<Result<(), Box<dyn Error>>>().await
    };
    let stop = async {
        let (start, began) = (Instant::now(), world.now());
        loop {
            let (is_over, due) = {
                let state = world.shared().state();
                let node = &state.nodes[at];
                (node.stop_requested, state.now - began + node.clock_gain)
            };
            if is_over {
                return;
            }
            // An advance within one step of the simulation would gain nothing.
            let late = due.saturating_sub(start.elapsed());
            if late > TICK {
                advance(late).await;
            }
            sleep(POLL_INTERVAL).await;
        }
    };
    tokio::select! {
        biased;
        end = server.stopped() => {
            if let Err(error) = &end
                && disk.was_faulty()
                && matches!(error.cause, ErrorCause::Damage | ErrorCause::Disk)
            {
                return failed(&world, at, error).await;
            }
            let reason = end.map_or_else(|error| error.to_string(), |()| "closed".to_owned());
            return Err(format!("{} has stopped: {reason}", world.host()).into());
        }
        end = service => return end,
        () = stop => {}
    }
    server.shutdown().await?;
    world.shared().line(world.host(), "stopped");
    world.shared().state().nodes[at].has_stopped = true;
    pending().await
}

/// Returns true if a fault of the disk may be the cause of the error.
fn is_about_disk(error: &ServerError) -> bool {
    matches!(error, ServerError::Disk(_) | ServerError::Open(OpenError::Storage(_)))
}

/// Reports that the node cannot go on with its disk. The schedule of the faults ends the process
/// and starts it again, as a supervisor does.
async fn failed(world: &World, at: usize, error: &dyn Display) -> Outcome {
    world.shared().line(world.host(), &format!("fails because of its disk: {error}"));
    world.shared().state().nodes[at].has_failed = true;
    pending().await
}
