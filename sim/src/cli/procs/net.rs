//! An isolated network: one network namespace per node, one for the clients, joined by a bridge.
//!
//! A link is cut by a wrong hardware address in the neighbour table of the sender. This needs no
//! packet filter, works per direction, and is as silent as an unplugged cable. With random faults,
//! a relay in the namespace of each node receives its connections.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::Stdio;
use std::sync::Arc;

use crate::cli::clock::pid;
use crate::cli::procs::detached::detached_command;
use crate::cli::procs::random_faults::RandomFaults;
use crate::cli::procs::relay::Relay;
use crate::observe::outcome::Tally;

/// The network namespaces of a run, deleted on drop.
#[derive(Debug)]
pub(super) struct NamespaceNetwork {
    /// The prefix of all namespace names, unique to this process.
    name: String,
    nodes: u64,
    /// The number of active faults that cut each link, from the first node to the second.
    cuts: BTreeMap<(u64, u64), u32>,
    random_faults: Option<Arc<RandomFaults>>,
    /// The relays of the nodes, if there are random faults.
    relays: Vec<Relay>,
}

/// The host number of the clients.
const CLIENTS: u64 = 254;
/// The port at which nodes are reachable.
const PORT: u16 = 7100;
/// The port at which a node listens behind its relay.
const PORT_BEHIND_RELAY: u16 = 7101;

impl NamespaceNetwork {
    /// Creates the namespaces of `nodes` nodes and, with random faults, starts the relays.
    ///
    /// # Errors
    /// The failed `ip` command or relay.
    pub(super) fn create(
        nodes: u64,
        faults: Option<RandomFaults>,
    ) -> Result<NamespaceNetwork, String> {
        // On an error, the drop of `net` deletes the namespaces created so far.
        let name = format!("qp{}", pid());
        let (faults, relays) = (faults.map(Arc::new), Vec::new());
        let mut net =
            NamespaceNetwork { name, nodes, cuts: BTreeMap::new(), random_faults: faults, relays };
        net.create_namespaces().map_err(|error| {
            format!("cannot create network namespaces: {error}; requires root and `ip` of iproute2")
        })?;
        net.start_relays()?;
        Ok(net)
    }

    fn create_namespaces(&self) -> Result<(), String> {
        let hub = format!("{}h", self.name);
        ip(&["netns", "add", &hub], "")?;
        ip(&["-n", &hub, "-batch", "-"], "link add name b type bridge\nlink set dev b up\n")?;
        let all: Vec<u64> = (1..=self.nodes).chain([CLIENTS]).collect();
        for id in &all {
            let namespace = self.namespace(*id);
            ip(&["netns", "add", &namespace], "")?;
            let mut lines = format!(
                "link add name e address {} type veth peer name p{id} netns {hub}\n\
                 addr add {}/24 dev e\nlink set dev e up\nlink set dev lo up\n",
                hardware(*id),
                host(*id)
            );
            for other in all.iter().filter(|other| *other != id) {
                lines += &neighbour(*other, &hardware(*other));
            }
            ip(&["-n", &namespace, "-batch", "-"], &lines)?;
            let plug = format!("link set dev p{id} master b\nlink set dev p{id} up\n");
            ip(&["-n", &hub, "-batch", "-"], &plug)?;
        }
        Ok(())
    }

    fn start_relays(&mut self) -> Result<(), String> {
        let Some(faults) = &self.random_faults else { return Ok(()) };
        for id in 1..=self.nodes {
            let namespace = self.namespace(id);
            let (at, node) = (self.address(id), self.listen_address(id));
            let relay = Relay::start(move || enter(&namespace), at, node, Arc::clone(faults))?;
            self.relays.push(relay);
        }
        Ok(())
    }

    fn namespace(&self, id: u64) -> String {
        format!("{}n{id}", self.name)
    }

    /// Returns the address at which other nodes and clients reach a node.
    pub(super) fn address(&self, id: u64) -> String {
        format!("{}:{PORT}", host(id))
    }

    /// Returns the address at which the node itself listens.
    pub(super) fn listen_address(&self, id: u64) -> String {
        let port = if self.random_faults.is_some() { PORT_BEHIND_RELAY } else { PORT };
        format!("{}:{port}", host(id))
    }

    /// Returns the addresses of all nodes.
    pub(super) fn addresses(&self) -> Vec<String> {
        (1..=self.nodes).map(|id| self.address(id)).collect()
    }

    /// Returns the number of nodes.
    pub(super) fn nodes(&self) -> u64 {
        self.nodes
    }

    /// Returns the command prefix that runs a command in the namespace of a node.
    pub(super) fn exec_prefix(&self, id: u64) -> Vec<String> {
        ["ip", "netns", "exec", &self.namespace(id)].map(str::to_owned).to_vec()
    }

    /// Returns the command prefix that runs a command in the namespace of the clients.
    pub(super) fn client_exec_prefix(&self) -> Vec<String> {
        self.exec_prefix(CLIENTS)
    }

    /// Cuts the links from the first node of each pair to the second.
    pub(super) fn cut(&mut self, links: &[(u64, u64)]) -> Result<(), String> {
        for link in links {
            *self.cuts.entry(*link).or_default() += 1;
        }
        self.apply(links)
    }

    /// Removes one fault from each link; a link without faults works again.
    pub(super) fn heal(&mut self, links: &[(u64, u64)]) -> Result<(), String> {
        for link in links {
            let cuts = self.cuts.entry(*link).or_default();
            *cuts = cuts.saturating_sub(1);
        }
        self.apply(links)
    }

    /// Enables the random faults, if there are any.
    pub(super) fn enable_random_faults(&self) {
        if let Some(faults) = &self.random_faults {
            faults.set_enabled(true);
        }
    }

    /// Returns the counts of the random faults, if there are any.
    pub(super) fn tally(&self) -> Option<Tally> {
        self.random_faults.as_ref().map(|faults| faults.tally())
    }

    /// Heals all links and disables the random faults.
    pub(super) fn heal_all(&mut self) -> Result<(), String> {
        if let Some(faults) = &self.random_faults {
            faults.set_enabled(false);
        }
        let links: Vec<(u64, u64)> = std::mem::take(&mut self.cuts).into_keys().collect();
        self.apply(&links)
    }

    fn apply(&self, links: &[(u64, u64)]) -> Result<(), String> {
        for from in 1..=self.nodes {
            let lines: String = links
                .iter()
                .filter(|(one, _)| *one == from)
                .map(|(_, to)| {
                    let is_cut = self.cuts.get(&(from, *to)).is_some_and(|cuts| *cuts > 0);
                    neighbour(
                        *to,
                        &if is_cut { UNUSED_HARDWARE_ADDRESS.to_owned() } else { hardware(*to) },
                    )
                })
                .collect();
            if !lines.is_empty() {
                ip(&["-n", &self.namespace(from), "-batch", "-"], &lines)?;
            }
        }
        Ok(())
    }
}

impl Drop for NamespaceNetwork {
    fn drop(&mut self) {
        let namespaces = (1..=self.nodes).chain([CLIENTS]).map(|id| self.namespace(id));
        for namespace in namespaces.chain([format!("{}h", self.name)]) {
            // A namespace that was never created cannot be deleted.
            let _ = ip(&["netns", "del", &namespace], "");
        }
    }
}

/// A hardware address that no interface has.
const UNUSED_HARDWARE_ADDRESS: &str = "02:00:00:00:ff:ff";

fn hardware(id: u64) -> String {
    format!("02:00:00:00:00:{id:02x}")
}

fn host(id: u64) -> String {
    format!("10.213.0.{id}")
}

fn neighbour(id: u64, hardware: &str) -> String {
    format!("neigh replace {} lladdr {hardware} dev e nud permanent\n", host(id))
}

/// Moves the calling thread, and the threads that it starts later, into a network namespace.
#[cfg(target_os = "linux")]
fn enter(namespace: &str) -> Result<(), String> {
    use std::os::fd::AsFd;

    use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

    let path = format!("/var/run/netns/{namespace}");
    let message = |error: std::io::Error| format!("{path}: {error}");
    let link = std::fs::File::open(&path).map_err(message)?;
    let kind = Some(LinkNameSpaceType::Network);
    move_into_link_name_space(link.as_fd(), kind).map_err(|error| message(error.into()))
}

/// Network namespaces exist only on Linux.
#[cfg(not(target_os = "linux"))]
fn enter(_: &str) -> Result<(), String> {
    Err("network namespaces require Linux".to_owned())
}

/// Runs `ip` with these lines as its standard input.
fn ip(words: &[&str], lines: &str) -> Result<(), String> {
    let mut command = detached_command("ip");
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("ip: {error}"))?;
    if let Some(mut input) = child.stdin.take() {
        // If `ip` does not read everything, its own error says why.
        let _ = input.write_all(lines.as_bytes());
    }
    let output = child.wait_with_output().map_err(|error| format!("ip: {error}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    let error = errors.lines().next().unwrap_or_default();
    if output.status.success() { Ok(()) } else { Err(format!("ip {}: {error}", words.join(" "))) }
}
