//! Network namespaces, one for each node, joined by a bridge with packet filter rules.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// The namespaces of the nodes, which are deleted when this is dropped.
pub(crate) struct Network {
    /// The prefix of all names, different in each test.
    name: String,
    /// The third byte of all addresses.
    net: u32,
    nodes: u64,
}

fn run(words: &str) -> Result<(), String> {
    let mut words = words.split_whitespace();
    let program = words.next().expect("a command has a name");
    let output = Command::new(program).args(words).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    let message = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{program}: {}", message.trim())) }
}

impl Network {
    /// Creates namespaces for `nodes` nodes; returns the reason if this machine does not allow it.
    pub(crate) fn new(nodes: u64) -> Result<Network, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let net = (std::process::id() * 4 + COUNT.fetch_add(1, Ordering::Relaxed)) % 250 + 1;
        run("nft --version")?;
        let network =
            Network { name: format!("q{}x{net}", std::process::id() % 10_000), net, nodes };
        network.set_up()?;
        Ok(network)
    }

    fn set_up(&self) -> Result<(), String> {
        let Network { name, net, nodes } = self;
        let hub = format!("{name}h");
        run(&format!("ip netns add {hub}"))?;
        run(&format!("ip -n {hub} link add name b type bridge"))?;
        run(&format!("ip -n {hub} link set dev b up"))?;
        for id in 1..=*nodes {
            run(&format!("ip netns add {name}n{id}"))?;
            run(&format!(
                "ip -n {name}n{id} link add name e type veth peer name p{id} netns {hub}"
            ))?;
            run(&format!("ip -n {name}n{id} addr add 10.213.{net}.{id}/24 dev e"))?;
            run(&format!("ip -n {name}n{id} link set dev e up"))?;
            run(&format!("ip -n {name}n{id} link set dev lo up"))?;
            self.connect(&format!("p{id}"))?;
        }
        // Clients run in the namespace of the test itself.
        run(&format!("ip link add name {name} type veth peer name pc netns {hub}"))?;
        run(&format!("ip addr add 10.213.{net}.254/24 dev {name}"))?;
        run(&format!("ip link set dev {name} up"))?;
        self.connect("pc")?;
        self.rule("add table bridge q")?;
        self.rule("add chain bridge q f { type filter hook forward priority 0 ; }")
    }

    /// Connects one end of a veth pair to the bridge.
    fn connect(&self, port: &str) -> Result<(), String> {
        run(&format!("ip -n {}h link set dev {port} master b", self.name))?;
        run(&format!("ip -n {}h link set dev {port} up", self.name))
    }

    fn rule(&self, words: &str) -> Result<(), String> {
        run(&format!("ip netns exec {}h nft {words}", self.name))
    }

    pub(crate) fn address(&self, id: u64) -> SocketAddr {
        format!("10.213.{}.{id}:7100", self.net).parse().expect("the address is valid")
    }

    /// Returns the command prefix that runs a command in the node's namespace.
    pub(crate) fn within(&self, id: u64) -> Vec<String> {
        let name = format!("{}n{id}", self.name);
        ["ip", "netns", "exec", &name].map(str::to_owned).to_vec()
    }

    /// Drops all packets from one node to another from now on.
    pub(crate) fn cut(&self, from: u64, to: u64) {
        self.add(&format!("iifname p{from} oifname p{to} counter drop"));
    }

    /// Partitions the node from all other nodes; clients still reach every node.
    pub(crate) fn isolate(&self, id: u64) {
        for other in (1..=self.nodes).filter(|other| *other != id) {
            self.cut(id, other);
            self.cut(other, id);
        }
    }

    /// Drops this percentage of all packets, between nodes and to clients.
    pub(crate) fn lose(&self, percent: u32) {
        self.add(&format!("numgen random mod 100 < {percent} counter drop"));
    }

    /// Removes all faults, and asserts that they dropped packets.
    pub(crate) fn heal(&self) {
        let output = Command::new("ip")
            .args([
                "netns",
                "exec",
                &format!("{}h", self.name),
                "nft",
                "list",
                "table",
                "bridge",
                "q",
            ])
            .output()
            .expect("`ip` is installed");
        let rules = String::from_utf8_lossy(&output.stdout).into_owned();
        let counts = rules.split("packets ").skip(1);
        let lost = counts.filter(|rest| !rest.starts_with("0 ")).count();
        assert!(lost > 0, "no packet was dropped: {rules}");
        self.rule("flush chain bridge q f").expect("the chain is there");
    }

    fn add(&self, rule: &str) {
        self.rule(&format!("add rule bridge q f {rule}")).expect("the chain is there");
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for id in 1..=self.nodes {
            let _ = run(&format!("ip netns del {}n{id}", self.name));
        }
        // The veth pair of the clients is deleted with its other end.
        if let Err(error) = run(&format!("ip netns del {}h", self.name)) {
            eprintln!("cannot delete the namespace of the bridge: {error}");
        }
    }
}
