//! A network of its own: one namespace for each node, one for the clients, a bridge between them.
//!
//! What a node sends to another is lost while the node takes a wrong hardware address for the
//! other's: that needs no packet filter, goes one way only, and is as silent as a cut cable.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::cli::clock::own_number;

/// The namespaces. They go when this is dropped, with all that is in them.
#[derive(Debug)]
pub(super) struct Net {
    /// What all names begin with: nobody else's do.
    name: String,
    nodes: u64,
    /// How many faults cut what the first node sends to the second.
    cuts: BTreeMap<(u64, u64), u32>,
}

/// Stands for the clients in addresses.
const CLIENTS: u64 = 254;
/// The port of every node.
const PORT: u16 = 7100;

impl Net {
    /// Namespaces for so many nodes.
    ///
    /// # Errors
    /// Why they cannot be had.
    pub(super) fn lay(nodes: u64) -> Result<Net, String> {
        // Whatever was laid before something went wrong is taken away again.
        let name = format!("qp{}", own_number());
        let net = Net { name, nodes, cuts: BTreeMap::new() };
        net.lay_all().map_err(|error| {
            format!("no network of its own: {error}; it takes root, and `ip` of iproute2")
        })?;
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

    fn space(&self, id: u64) -> String {
        format!("{}n{id}", self.name)
    }

    /// Where a node listens.
    pub(super) fn address(&self, id: u64) -> String {
        format!("{}:{PORT}", host(id))
    }

    /// Where all nodes listen.
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

    /// Everything arrives again.
    pub(super) fn mend_all(&mut self) -> Result<(), String> {
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

/// Runs `ip` with these lines as its input.
fn ip(words: &[&str], lines: &str) -> Result<(), String> {
    let mut command = Command::new("ip");
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
