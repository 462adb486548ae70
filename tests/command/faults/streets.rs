//! Network namespaces, one for each node, and a bridge between them whose rules say what passes.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// Nodes' namespaces. All of it goes when this is dropped.
pub(crate) struct Streets {
    /// What all names begin with: no other test's do.
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
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{program}: {}", said.trim())) }
}

impl Streets {
    /// Namespaces for so many nodes; the reason, if they cannot be had here.
    pub(crate) fn new(nodes: u64) -> Result<Streets, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let net = (std::process::id() * 4 + COUNT.fetch_add(1, Ordering::Relaxed)) % 250 + 1;
        run("nft --version")?;
        let streets =
            Streets { name: format!("q{}x{net}", std::process::id() % 10_000), net, nodes };
        streets.lay()?;
        Ok(streets)
    }

    fn lay(&self) -> Result<(), String> {
        let Streets { name, net, nodes } = self;
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
        // Clients are in the namespace of the test itself.
        run(&format!("ip link add name {name} type veth peer name pc netns {hub}"))?;
        run(&format!("ip addr add 10.213.{net}.254/24 dev {name}"))?;
        run(&format!("ip link set dev {name} up"))?;
        self.connect("pc")?;
        self.rule("add table bridge q")?;
        self.rule("add chain bridge q f { type filter hook forward priority 0 ; }")
    }

    /// One end of a wire is plugged into the bridge.
    fn connect(&self, port: &str) -> Result<(), String> {
        run(&format!("ip -n {}h link set dev {port} master b", self.name))?;
        run(&format!("ip -n {}h link set dev {port} up", self.name))
    }

    fn rule(&self, words: &str) -> Result<(), String> {
        run(&format!("ip netns exec {}h nft {words}", self.name))
    }

    pub(crate) fn address(&self, id: u64) -> SocketAddr {
        format!("10.213.{}.{id}:7100", self.net).parse().expect("it is one")
    }

    /// The command that runs another in the node's namespace.
    pub(crate) fn within(&self, id: u64) -> Vec<String> {
        let name = format!("{}n{id}", self.name);
        ["ip", "netns", "exec", &name].map(str::to_owned).to_vec()
    }

    /// What the node says to the other is lost from now on.
    pub(crate) fn cut(&self, from: u64, to: u64) {
        self.add(&format!("iifname p{from} oifname p{to} counter drop"));
    }

    /// The node and all other nodes do not hear each other any more; clients reach every one.
    pub(crate) fn isolate(&self, id: u64) {
        for other in (1..=self.nodes).filter(|other| *other != id) {
            self.cut(id, other);
            self.cut(other, id);
        }
    }

    /// So many of a hundred packets between nodes and to clients are lost.
    pub(crate) fn lose(&self, percent: u32) {
        self.add(&format!("numgen random mod 100 < {percent} counter drop"));
    }

    /// Everything passes again. Something was lost meanwhile, or there was no fault.
    pub(crate) fn mend(&self) {
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
            .expect("it was there before");
        let rules = String::from_utf8_lossy(&output.stdout).into_owned();
        let counts = rules.split("packets ").skip(1);
        let lost = counts.filter(|rest| !rest.starts_with("0 ")).count();
        assert!(lost > 0, "nothing was lost: {rules}");
        self.rule("flush chain bridge q f").expect("the chain is there");
    }

    fn add(&self, rule: &str) {
        self.rule(&format!("add rule bridge q f {rule}")).expect("the chain is there");
    }
}

impl Drop for Streets {
    fn drop(&mut self) {
        for id in 1..=self.nodes {
            let _ = run(&format!("ip netns del {}n{id}", self.name));
        }
        // The wire to the clients goes with its other end.
        if let Err(error) = run(&format!("ip netns del {}h", self.name)) {
            eprintln!("left behind: {error}");
        }
    }
}
