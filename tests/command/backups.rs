//! Backups of nodes that run and of nodes that do not, what begins with them, and what is left of
//! work that was cut short.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use crate::nodes::{Nodes, pause};
use crate::told::{Told, command};

#[test]
fn a_backup_begins_another_cluster_while_the_first_one_runs() {
    let mut nodes = Nodes::start(1);
    nodes.make_room(3);
    nodes.ask(&["put", "k", "old"]).ok();
    nodes.quorate(&["backup", "d1", "file"]).refused(2, "there is no snapshot yet");
    let at = nodes.address(1).to_string();
    nodes.ask(&["snapshot", &at]).ok();
    nodes.ask(&["put", "k", "new"]).ok();
    let made = nodes.quorate(&["backup", "d1", "file", "--json"]);
    assert_eq!(made.code, 0, "{made:?}");
    let checked = nodes.quorate(&["restore", "file", "--json"]).json();
    assert_eq!(
        (&made.json()["root"], &made.json()["index"]),
        (&checked["root"], &checked["index"])
    );
    let members = nodes.listed(&[2, 3]);
    let words = ["restore", "file", "--members", &members, "--out", "r", "--new-cluster", "copy"];
    nodes.quorate(&words).ok();
    for id in [2, 3] {
        std::fs::rename(nodes.root().join(format!("r/{id}")), nodes.directory(id)).expect("made");
        nodes.serve_with(id, &[]);
    }
    let listed = format!("{},{}", nodes.address(2), nodes.address(3));
    let get = ["get", "k", "--cluster", "copy", "--nodes", &listed];
    assert_eq!(nodes.quorate(&get).ok(), "old\n");
    assert_eq!(nodes.ask(&["get", "k"]).ok(), "new\n", "the first one goes on");
    let told = nodes.quorate(&["get", "k", "--nodes", &listed, "--timeout", "500ms"]);
    told.refused(3, "cluster");
    let mut bytes = std::fs::read(nodes.root().join("file")).expect("it is there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(nodes.root().join("file"), bytes).expect("there is room");
    nodes.quorate(&["restore", "file"]).refused(1, "file: ");
    for (id, cluster, out) in [("2", "quorate", "same"), ("2", "copy", "file/under")] {
        let members = format!("{id}=127.0.0.1:1");
        let words = ["restore", "again", "--members", &members, "--new-cluster", cluster, "--out"];
        nodes.quorate(&["backup", "d1", "again"]).ok();
        assert_eq!(nodes.quorate(&[&words[..], &[out]].concat()).code, 2);
        assert!(!nodes.root().join(out).exists(), "nothing is left in {out}");
    }
}

#[test]
fn a_backup_of_an_older_snapshot_says_so() {
    let mut nodes = Nodes::start(1);
    let at = nodes.address(1).to_string();
    nodes.ask(&["put", "k", "old"]).ok();
    nodes.ask(&["snapshot", &at]).ok();
    let older = nodes.quorate(&["backup", "d1", "file", "--json"]).json();
    nodes.ask(&["put", "k", "new"]).ok();
    nodes.ask(&["snapshot", &at]).ok();
    nodes.signal(1, "TERM");
    assert!(nodes.ended(1).success(), "{}", nodes.log(1));
    let told = nodes.quorate(&["backup", "d1", "file", "--json"]);
    let newer = told.json();
    assert!(told.err.is_empty() && newer["damaged_snapshot"].is_null(), "{told:?}");
    let name = format!("snapshot-{:016x}", newer["index"].as_u64().expect("it ends somewhere"));
    let path = nodes.directory(1).join(&name);
    let mut bytes = fs::read(&path).expect("it is there");
    bytes[4096] ^= 1;
    fs::write(&path, bytes).expect("there is room");

    nodes.quorate(&["inspect", "d1"]).says(1, &format!("damaged: {name} at 4096: "));
    let told = nodes.quorate(&["backup", "d1", "file", "--json"]);
    let made = told.json();
    assert_eq!((told.code, &made["root"]), (0, &older["root"]), "{told:?}");
    let behind = newer["index"].as_u64().expect("so far") - older["index"].as_u64().expect("too");
    assert_eq!(made["damaged_snapshot"]["index"], newer["index"], "{told:?}");
    assert_eq!(made["damaged_snapshot"]["behind"], behind, "{told:?}");
    assert!(told.err.contains(r#"{"warning":"#) && told.err.contains(&name), "{told:?}");
    let told = nodes.quorate(&["backup", "d1", "file"]);
    let lacks = format!("through index {}, and lacks the {behind} entries", older["index"]);
    told.refused(0, &lacks);

    // The node has the log, and so all of it, once more in a snapshot.
    nodes.serve(1);
    nodes.ask(&["put", "k", "newest"]).ok();
    nodes.quorate(&["backup", "d1", "file"]).refused(2, &name);
    nodes.ask(&["snapshot", &at]).ok();
    let told = nodes.quorate(&["backup", "d1", "file"]);
    assert!(told.err.is_empty() && told.code == 0, "{told:?}");
}

/// What is in a directory, but for `known`.
fn others(directory: &Path, known: &[&str]) -> Vec<PathBuf> {
    let paths = fs::read_dir(directory).expect("it is there").flatten().map(|entry| entry.path());
    paths.filter(|path| !known.iter().any(|known| path.ends_with(known))).collect()
}

/// Runs the command, sends it the signal as soon as `is_begun`, and says how it ended: it may be
/// done before.
fn cut_short(root: &Path, words: &[&str], signal: &str, is_begun: impl Fn() -> bool) -> ExitStatus {
    let mut child = command();
    let child = child.current_dir(root).args(words).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = child.spawn().expect("the command was built");
    while !is_begun() {
        if let Some(status) = child.try_wait().expect("it is ours") {
            return status;
        }
        pause(std::time::Duration::from_millis(1));
    }
    // Its id is its own until it is waited for, even if it has ended by now.
    let sent = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status();
    assert!(sent.expect("there is a kill").success());
    child.wait().expect("it is ours")
}

/// How often something is cut short before it always came to its end before.
const TRIES: usize = 50;

#[test]
fn what_is_cut_short_leaves_nothing_or_what_the_next_one_removes() {
    let nodes = Nodes::start(1);
    let root = tempfile::tempdir().expect("there is room");
    let large = root.path().join("large");
    fs::write(&large, vec![b'x'; 512 << 10]).expect("there is room");
    for number in 0..24 {
        let mut put = command();
        put.args(["put", &format!("large/{number}"), "-", "--nodes", &nodes.nodes()]);
        Told::of(put.stdin(fs::File::open(&large).expect("it was written"))).ok();
    }
    nodes.ask(&["snapshot", &nodes.nodes()]).ok();
    fs::remove_file(&large).expect("it is there");
    let data = nodes.directory(1).to_string_lossy().into_owned();
    let store = others(&nodes.directory(1), &[]).len();
    let backup = ["backup", &data, "file"];
    let begun = || !others(root.path(), &["file"]).is_empty();
    for (signal, leaves) in [("TERM", false), ("INT", false), ("KILL", true)] {
        let mut cut = false;
        for _ in 0..TRIES {
            let status = cut_short(root.path(), &backup, signal, begun);
            cut = !status.success();
            assert!(!cut || leaves || status.code() == Some(3), "{signal}: {status}");
            assert!(leaves || !begun(), "{signal} left {:?}", others(root.path(), &["file"]));
            if cut && begun() == leaves {
                break;
            }
        }
        assert!(cut, "nothing was cut short by {signal}");
    }
    Told::of(command().current_dir(root.path()).args(backup)).ok();
    assert!(!begun(), "the next one leaves the file alone: {:?}", others(root.path(), &["file"]));
    assert_eq!(others(&nodes.directory(1), &[]).len(), store, "the node's directory is its own");

    let out = root.path().join("out");
    let members = "2=127.0.0.1:2,3=127.0.0.1:3";
    let restore = ["restore", "file", "--members", members, "--out", "out"];
    for _ in 0..TRIES {
        let status = cut_short(root.path(), &restore, "TERM", || out.exists());
        if status.code() == Some(3) {
            assert!(!out.exists(), "{:?}", others(&out, &[]));
            Told::of(command().current_dir(root.path()).args(restore)).ok();
            return;
        }
        fs::remove_dir_all(&out).expect("it is there");
    }
    panic!("no restore was cut short");
}
