//! Clients of the messaging systems: ann, who is logged in, and bob, who is not.

use crate::command_output::CommandOutput;
use crate::support::Cluster;

/// Creates the accounts of ann and bob, and logs ann in.
pub(crate) fn with_accounts(cluster: Cluster) -> Cluster {
    for words in [&["create", "ann"], &["create", "bob"], &["login", "ann"]] {
        cluster.run(words).ok();
    }
    cluster
}

/// Sends a message from ann to bob.
pub(crate) fn send(cluster: &Cluster, text: &str) -> CommandOutput {
    cluster.run(&["--as", "ann", "send", "bob", text, "--timeout", "30s"])
}

/// Logs bob in, receives the waiting messages, and returns their texts.
pub(crate) fn receive(cluster: &Cluster) -> Vec<String> {
    cluster.run(&["login", "bob", "--timeout", "30s"]).ok();
    texts(&cluster.run(&["--as", "bob", "receive", "--timeout", "30s"]).ok())
}

/// Returns the texts of printed messages.
pub(crate) fn texts(out: &str) -> Vec<String> {
    out.lines().filter_map(|line| Some(line.split_once(": ")?.1.to_owned())).collect()
}
