//! Clients that are configured for different nodes than those that they reach, and arguments that
//! no command can use: each mistake has its own exit code, and is named at once.

use std::io::Write as _;
use std::net::TcpListener;
use std::process::Command;
use std::thread;

use crate::addresses::free_address;
use crate::cli::{CommandOutput, command};
use crate::http::first_of;
use crate::http_client::get;
use crate::nodes::Nodes;

/// The principals of the certificates that `certs` issues.
const PRINCIPALS: [&str; 6] = ["--nodes", "1,2", "--admins", "ops", "--clients", "app"];

/// A timeout that no client may wait for: the tests would take minutes.
const TIMEOUT: [&str; 2] = ["--timeout", "2min"];

/// Starts node 1, with TLS, and node 2, without, as clusters of their own.
fn two_clusters() -> Nodes {
    let mut nodes = Nodes::none(2);
    nodes.quorate(&[&["certs", "certs"], &PRINCIPALS[..]].concat()).ok();
    let certs = nodes.root().join("certs").to_string_lossy().into_owned();
    nodes.serve_with(1, &["--members", &nodes.listed(&[1]), "--certs", &certs]);
    nodes.serve_with(2, &["--members", &nodes.listed(&[2])]);
    nodes
}

/// Runs a write and the status with these flags, and checks that both fail with this exit code and
/// this text.
fn fails(nodes: &Nodes, flags: &[&str], code: i32, text: &str) {
    for words in [&["put", "k", "v"][..], &["status"]] {
        nodes.quorate(&[words, flags, &TIMEOUT].concat()).fails_with(code, text);
    }
}

#[test]
fn each_mistake_of_a_client_has_its_own_exit_code() {
    let nodes = two_clusters();
    let [tls, plain] = [1, 2].map(|id| nodes.address(id).to_string());
    let with = |certs| ["--certs", certs, "--as", "client/app"];
    nodes.quorate(&[&["put", "k", "v", "--nodes", &tls], &with("certs")[..]].concat()).ok();
    nodes.quorate(&["put", "k", "v", "--nodes", &plain]).ok();

    let other_name = ["--nodes", &plain, "--cluster", "other"];
    fails(&nodes, &other_name, 7, "but the client expects");
    fails(&nodes, &["--nodes", &tls], 8, "uses TLS, but this end does not");
    let to_plain = [&["--nodes", &plain], &with("certs")[..]].concat();
    fails(&nodes, &to_plain, 8, "the remote does not use TLS, but this end does");

    let cluster = std::fs::read_to_string(nodes.root().join("certs/cluster"));
    let cluster = cluster.expect("the file exists");
    let of_others = ["certs", "others", "--cluster", cluster.trim()];
    nodes.quorate(&[&of_others, &PRINCIPALS[..]].concat()).ok();
    let foreign = [&["--nodes", &tls], &with("others")[..]].concat();
    fails(&nodes, &foreign, 9, "no trusted authority of its role has issued the certificate");
    // The client trusts the node, but the node does not trust the client.
    for file in ["admin-authority.pem", "client-authority.pem", "node-authority.pem"] {
        let from = nodes.root().join("certs").join(file);
        std::fs::copy(from, nodes.root().join("others").join(file)).expect("the file exists");
    }
    let untrusted = "it trusts no authority that has issued this end's certificate";
    fails(&nodes, &foreign, 9, untrusted);
    // Nodes that are not reachable do not hide the error of one that is.
    let dead = free_address();
    let several = format!("{dead},{tls},{dead}");
    fails(&nodes, &[&["--nodes", &several], &with("others")[..]].concat(), 9, untrusted);

    let order = [&["transfer", "--nodes", &tls], &with("certs")[..]].concat();
    nodes.quorate(&order).fails_with(10, "requires an administrator");
}

/// A service that greets each caller, as that of SSH does, and then waits for its answer.
fn greeting_service(greeting: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound").to_string();
    thread::spawn(move || {
        let mut callers = Vec::new();
        for caller in listener.incoming() {
            let mut caller = caller.expect("a caller");
            caller.write_all(greeting).expect("the caller has room for it");
            callers.push(caller);
        }
    });
    address
}

#[test]
fn an_address_of_another_service_is_named_at_once_with_its_protocol() {
    let (nodes, metrics, _) = first_of(1);
    nodes.quorate(&[&["certs", "certs"], &PRINCIPALS[..]].concat()).ok();
    let metrics = metrics.to_string();
    let ssh = greeting_service(b"SSH-2.0-OpenSSH_9.6\r\n");
    let other = greeting_service(b"220 mail.example ESMTP\r\n");
    let begins = "does not speak the protocol of quorate, but begins with \"220 \"";
    for (address, text) in [(metrics, "speaks HTTP"), (ssh, "speaks SSH"), (other, begins)] {
        for certs in [&[][..], &["--certs", "certs", "--as", "client/app"]] {
            fails(&nodes, &[&["--nodes", &address], certs].concat(), 2, text);
        }
        let (listen, member) = (free_address().to_string(), format!("9={address}"));
        let joins = ["serve", "--id", "3", "--data-dir", "d3", "--listen", &listen, "--join"];
        nodes.quorate(&[&joins[..], &[&member]].concat()).fails_with(2, text);
    }
    let response = get(nodes.address(1), "/metrics");
    assert_eq!(response.status, 400);
    assert!(response.body.contains("metrics"), "{response:?}");
}

#[test]
fn a_node_without_certificates_does_not_wait_for_members_that_use_them() {
    let nodes = two_clusters();
    let (listen, members) = (free_address().to_string(), nodes.listed(&[1]));
    let words = ["serve", "--id", "3", "--data-dir", "d3", "--listen", &listen, "--join", &members];
    let output = nodes.quorate(&words);
    output.fails_with(2, "--join: no member accepts this node: n1 at ");
    output.fails_with(2, "the remote uses TLS, but this end does not");
}

#[test]
fn an_identity_without_certificates_or_the_reverse_is_rejected() {
    let nodes = Nodes::none(0);
    let words = ["get", "k", "--nodes", "127.0.0.1:1", "--as", "client/app"];
    nodes.quorate(&words).fails_with(2, "--as (or QUORATE_AS) names a certificate, but not where");
    let words = ["get", "k", "--nodes", "127.0.0.1:1", "--certs", "certs"];
    nodes.quorate(&words).fails_with(2, "--certs (or QUORATE_CERTS) does not say which");
}

#[test]
fn the_flags_of_nodes_and_members_are_distinguished() {
    let nodes = Nodes::none(0);
    let members = ["get", "k", "--members", "1=127.0.0.1:7101"];
    nodes.quorate(&members).fails_with(2, "the addresses of nodes with '--nodes HOST:PORT,…'");
    let with_id = ["get", "k", "--nodes", "1=127.0.0.1:7101"];
    nodes.quorate(&with_id).fails_with(2, "takes only its address, 127.0.0.1:7101");
    let serve = ["serve", "--id", "1", "--data-dir", "d1"];
    let by_nodes = [&serve[..], &["--nodes", "127.0.0.1:7101"]].concat();
    nodes.quorate(&by_nodes).fails_with(2, "and their ids with '--members ID=ADDRESS,…'");
    let without_id = [&serve[..], &["--members", "127.0.0.1:7101"]].concat();
    nodes.quorate(&without_id).fails_with(2, "has no id of a node: write ID=ADDRESS:PORT");
    let certs = ["certs", "certs", "--nodes", "127.0.0.1:7101"];
    nodes.quorate(&certs).fails_with(2, "is not the id of a node");
    // A command without either has no other flag to suggest.
    for flag in ["--nodes", "--members"] {
        let output = nodes.quorate(&["inspect", "d1", flag, "127.0.0.1:7101"]);
        output.fails_with(2, "unexpected argument");
        assert!(!output.err.contains("this command takes"), "{output:?}");
    }
}

#[test]
fn a_setting_that_no_node_can_use_is_rejected_with_its_bounds() {
    let nodes = Nodes::none(1);
    let members = nodes.listed(&[1]);
    let serve = ["serve", "--id", "1", "--data-dir", "d1", "--members", &members];
    let of = |flags: &[&str]| nodes.quorate(&[&serve[..], flags].concat());
    let text = "--segment-size: it is 4194304 bytes: it must be a multiple of 4KiB from 4140KiB";
    of(&["--segment-size", "4MiB"]).fails_with(2, text);
    let text = "'--spare-segments <N>': `0` is not a whole number from 1 to 65536";
    of(&["--spare-segments", "0"]).fails_with(2, text);
    let text = "--recording-size: it is 1 bytes: it must be 0, for no recording, or at least \
                1024KiB";
    of(&["--recording-size", "1"]).fails_with(2, text);
    let text = "--heartbeat: --election-timeout is 300ms, less than three times --heartbeat, which \
                is 10s";
    of(&["--heartbeat", "10s"]).fails_with(2, text);
    let text = "--election-timeout: it is 3600s: it must be at most 30min";
    of(&["--election-timeout", "1h"]).fails_with(2, text);
    assert!(!nodes.directory(1).exists(), "nothing was created");
}

#[test]
fn a_command_without_a_required_argument_changes_nothing() {
    let nodes = Nodes::none(0);
    let certs = ["certs", "certs", "--cluster", "orders"];
    nodes.quorate(&certs).fails_with(2, "no certificate requested");
    assert!(!nodes.root().join("certs").exists(), "nothing was created");
    let recover = ["recover", "d1", "--new-cluster", "again"];
    nodes.quorate(&recover).fails_with(2, "--out <DIR>");
}

#[test]
fn certs_removes_the_file_of_a_killed_run() {
    let nodes = Nodes::none(0);
    let directory = nodes.root().join("certs");
    std::fs::create_dir(&directory).expect("the disk has space");
    std::fs::write(directory.join(".cluster.aB3456.part"), "0").expect("the disk has space");
    nodes.quorate(&["certs", "certs", "--nodes", "1"]).ok();
    let entries = std::fs::read_dir(directory).expect("it exists").flatten();
    let names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    assert!(names.iter().all(|name| !name.starts_with('.')), "{names:?}");
    assert!(names.iter().any(|name| name == "cluster"), "{names:?}");
}

#[test]
fn certs_reads_no_device_in_place_of_its_files() {
    let nodes = Nodes::none(0);
    let directory = nodes.root().join("certs");
    std::fs::create_dir(&directory).expect("the disk has space");
    let (words, cluster) = (["certs", "certs", "--nodes", "1"], directory.join("cluster"));
    std::os::unix::fs::symlink("/dev/zero", &cluster).expect("the disk has space");
    nodes.quorate(&words).fails_with(2, "cluster: it is not a regular file");
    std::fs::remove_file(&cluster).expect("it exists");
    nodes.quorate(&words).ok();
    let key = directory.join("node-authority.key");
    std::fs::remove_file(&key).expect("it exists");
    std::os::unix::fs::symlink("/dev/zero", &key).expect("the disk has space");
    nodes.quorate(&words).fails_with(2, "it is not a regular file");
}

#[test]
fn an_address_without_a_port_is_an_error_at_once() {
    let nodes = Nodes::none(0);
    for words in [&["snapshot", "localhost"][..], &["get", "k", "--at", "localhost"]] {
        nodes.quorate(&[words, &TIMEOUT].concat()).fails_with(2, "`localhost` is not HOST:PORT");
    }
}

#[test]
fn addresses_in_other_notations_are_errors_that_show_the_right_one() {
    let nodes = Nodes::none(0);
    let url = nodes.quorate(&["get", "k", "--nodes", "http://localhost:7101"]);
    url.fails_with(2, "`http://localhost:7101` is a URL or a path: write HOST:PORT");
    let serve = |member: &str| {
        nodes.quorate(&["serve", "--id", "1", "--data-dir", "d1", "--members", member])
    };
    serve("1=localhost:7101").fails_with(2, "the address must be an IP address and a port");
    let text = "plaintext connections at 192.0.2.1:7101, beyond loopback, are not allowed: use TLS \
                (--certs), listen on a loopback address, or allow them (--plaintext)";
    serve("1=192.0.2.1:7101").fails_with(2, text);
}

#[test]
fn a_member_is_not_added_at_an_address_that_no_other_node_can_reach() {
    let nodes = Nodes::start(1);
    for address in ["0.0.0.0:7104", "[::]:7104", "127.0.0.1:0", "224.0.0.1:7104"] {
        let added = nodes.ask(&["members", "add", &format!("4={address}")]);
        added.fails_with(2, &format!("no other node can reach {address}"));
    }
}

#[test]
fn a_survey_of_a_directory_with_a_very_long_name_ends_with_an_error() {
    let long = "d".repeat(usize::from(u16::MAX) + 1);
    let text = "no directory of the cluster can be read";
    Nodes::none(0).quorate(&["recover", &long]).fails_with(2, text);
}

#[test]
fn a_value_that_no_node_accepts_is_not_read_into_memory() {
    let file = tempfile::tempfile().expect("a temporary file can be created");
    file.set_len(5 << 30).expect("the file has no content");
    let mut put = command();
    let put = put.args(["put", "k", "-", "--nodes", "127.0.0.1:1"]).stdin(file);
    CommandOutput::run(put).fails_with(2, "standard input has more than");
}

#[test]
fn a_value_from_a_standard_input_that_is_closed_is_rejected() {
    let nodes = Nodes::start(1);
    let put = |input: &str| {
        let script = format!("exec \"$0\" put k - --nodes {} {input}", nodes.nodes());
        CommandOutput::run(Command::new("sh").args(["-c", &script]).arg(command().get_program()))
    };
    put("<&-").fails_with(2, "standard input is closed");
    put("< /dev/null").ok();
    nodes.ask(&["get", "k"]).prints(0, "\n");
}
