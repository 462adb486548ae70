//! A network of its own: one namespace for each node, one for the clients, a bridge between them.
//!
//! What a node sends to another is lost while the node takes a wrong hardware address for the
//! other's: that needs no packet filter, goes one way only, and is as silent as a cut cable. Where
//! chance has a say, a relay stands before each node, within its namespace.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::Stdio;
use std::sync::Arc;

use crate::cli::clock::own_number;
use crate::cli::procs::apart::apart;
use crate::cli::procs::chance::Chance;
use crate::cli::procs::relay::Relay;
use crate::outcome::Tally;

/// The namespaces. They go when this is dropped, with all that is in them.
#[derive(Debug)]
pub(super) struct Net {
    /// What all names begin with: nobody else's do.
    name: String,
    nodes: u64,
    /// How many faults cut what the first node sends to the second.
    cuts: BTreeMap<(u64, u64), u32>,
    chance: Option<Arc<Chance>>,
    /// Those of the nodes, if there is chance.
    relays: Vec<Relay>,
}

/// Stands for the clients in addresses.
const CLIENTS: u64 = 254;
/// The port at which every node is called.
const PORT: u16 = 7100;
/// The port at which it listens, if a relay takes its calls.
const PORT_BEHIND: u16 = 7101;

impl Net {
    /// Namespaces for so many nodes, and relays if there is chance.
    ///
    /// # Errors
    /// Why they cannot be had.
    pub(super) fn lay(nodes: u64, chance: Option<Chance>) -> Result<Net, String> {
        // Whatever was laid before something went wrong is taken away again.
        let name = format!("qp{}", own_number());
        let (chance, relays) = (chance.map(Arc::new), Vec::new());
        let mut net = Net { name, nodes, cuts: BTreeMap::new(), chance, relays };
        net.lay_all().map_err(|error| {
            format!("no network of its own: {error}; it takes root, and `ip` of iproute2")
        })?;
        net.stand_relays()?;
        Ok(net)
    }

    fn lay_all(&self) -> Result<(), String> {
        let hub = format!("{}h", self.name);
        ip(&["netns", "add", &hub], "")?;
        ip(&["-n", &hub, "-batch", "-"], "link add name b type bridge\nlink set dev b up\n")?;
        let all: Vec<u64> = (1..=self.nodes).chain([CLIENTS]).collect();
        for id in &all {
            let space = self.space(*id);
            ip(&["netns", "add", &space], "")?;
            let mut lines = format!(
                "link add name e address {} type veth peer name p{id} netns {hub}\n\
                 addr add {}/24 dev e\nlink set dev e up\nlink set dev lo up\n",
                hardware(*id),
                host(*id)
            );
            for other in all.iter().filter(|other| *other != id) {
                lines += &neighbour(*other, &hardware(*other));
            }
            ip(&["-n", &space, "-batch", "-"], &lines)?;
            let plug = format!("link set dev p{id} master b\nlink set dev p{id} up\n");
            ip(&["-n", &hub, "-batch", "-"], &plug)?;
        }
        Ok(())
    }

    fn stand_relays(&mut self) -> Result<(), String> {
        let Some(chance) = &self.chance else { return Ok(()) };
        for id in 1..=self.nodes {
            let space = self.space(id);
            let places = (self.address(id), self.listens_at(id));
            let relay = Relay::stand(move || enter(&space), places, Arc::clone(chance))?;
            self.relays.push(relay);
        }
        Ok(())
    }

    fn space(&self, id: u64) -> String {
        format!("{}n{id}", self.name)
    }

    /// Where a node is called.
    pub(super) fn address(&self, id: u64) -> String {
        format!("{}:{PORT}", host(id))
    }

    /// Where the node listens itself.
    pub(super) fn listens_at(&self, id: u64) -> String {
        let port = if self.chance.is_some() { PORT_BEHIND } else { PORT };
        format!("{}:{port}", host(id))
    }

    /// Where all nodes are called.
    pub(super) fn addresses(&self) -> Vec<String> {
        (1..=self.nodes).map(|id| self.address(id)).collect()
    }

    /// How many nodes there are.
    pub(super) fn nodes(&self) -> u64 {
        self.nodes
    }

    /// The words before a command that is to run where the node is.
    pub(super) fn within(&self, id: u64) -> Vec<String> {
        ["ip", "netns", "exec", &self.space(id)].map(str::to_owned).to_vec()
    }

    /// The words before a command that is to run where clients are.
    pub(super) fn among_clients(&self) -> Vec<String> {
        self.within(CLIENTS)
    }

    /// What the first of each two nodes sends to the second is lost from now on.
    pub(super) fn cut(&mut self, links: &[(u64, u64)]) -> Result<(), String> {
        for link in links {
            *self.cuts.entry(*link).or_default() += 1;
        }
        self.apply(links)
    }

    /// One fault less cuts these links.
    pub(super) fn mend(&mut self, links: &[(u64, u64)]) -> Result<(), String> {
        for link in links {
            let cuts = self.cuts.entry(*link).or_default();
            *cuts = cuts.saturating_sub(1);
        }
        self.apply(links)
    }

    /// Chance has its say from now on.
    pub(super) fn begin_chance(&self) {
        if let Some(chance) = &self.chance {
            chance.work(true);
        }
    }

    /// What chance did to the messages between nodes, if there is any.
    pub(super) fn tally(&self) -> Option<Tally> {
        self.chance.as_ref().map(|chance| chance.tally())
    }

    /// Everything arrives again, and at once.
    pub(super) fn mend_all(&mut self) -> Result<(), String> {
        if let Some(chance) = &self.chance {
            chance.work(false);
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
                    neighbour(*to, &if is_cut { NOBODY.to_owned() } else { hardware(*to) })
                })
                .collect();
            if !lines.is_empty() {
                ip(&["-n", &self.space(from), "-batch", "-"], &lines)?;
            }
        }
        Ok(())
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        let spaces = (1..=self.nodes).chain([CLIENTS]).map(|id| self.space(id));
        for space in spaces.chain([format!("{}h", self.name)]) {
            // What was never laid is not there.
            let _ = ip(&["netns", "del", &space], "");
        }
    }
}

/// A hardware address that nobody has.
const NOBODY: &str = "02:00:00:00:ff:ff";

fn hardware(id: u64) -> String {
    format!("02:00:00:00:00:{id:02x}")
}

fn host(id: u64) -> String {
    format!("10.213.0.{id}")
}

fn neighbour(id: u64, hardware: &str) -> String {
    format!("neigh replace {} lladdr {hardware} dev e nud permanent\n", host(id))
}

/// Moves the calling thread, and those that it starts from then on, to a namespace.
#[cfg(target_os = "linux")]
fn enter(space: &str) -> Result<(), String> {
    use std::os::fd::AsFd;

    use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

    let path = format!("/var/run/netns/{space}");
    let said = |error: std::io::Error| format!("{path}: {error}");
    let link = std::fs::File::open(&path).map_err(said)?;
    let kind = Some(LinkNameSpaceType::Network);
    move_into_link_name_space(link.as_fd(), kind).map_err(|error| said(error.into()))
}

/// There are none.
#[cfg(not(target_os = "linux"))]
fn enter(_: &str) -> Result<(), String> {
    Err("it takes Linux".to_owned())
}

/// Runs `ip` with these lines as its input.
fn ip(words: &[&str], lines: &str) -> Result<(), String> {
    let mut command = apart("ip");
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("ip: {error}"))?;
    if let Some(mut input) = child.stdin.take() {
        // What it does not read it says itself.
        let _ = input.write_all(lines.as_bytes());
    }
    let output = child.wait_with_output().map_err(|error| format!("ip: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().next().unwrap_or_default();
    if output.status.success() { Ok(()) } else { Err(format!("ip {}: {said}", words.join(" "))) }
}
