//! Backups of running and stopped nodes, restoring them, and interrupted backups and restores.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use crate::cli::{CommandOutput, command};
use crate::nodes::{Nodes, eventually, pause};

#[test]
fn a_backup_is_restored_while_the_old_cluster_runs() {
    let mut nodes = Nodes::start(1);
    nodes.make_room(3);
    nodes.ask(&["put", "k", "old"]).ok();
    nodes.quorate(&["backup", "d1", "file"]).fails_with(2, "there is no snapshot yet");
    let at = nodes.address(1).to_string();
    nodes.ask(&["snapshot", &at]).ok();
    nodes.ask(&["put", "k", "new"]).ok();
    for file in ["d1/file", "d1/superblock"] {
        nodes.quorate(&["backup", "d1", file]).fails_with(2, "is the data directory of a node");
    }
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
    assert_eq!(nodes.ask(&["get", "k"]).ok(), "new\n", "the old cluster keeps running");
    let output = nodes.quorate(&["get", "k", "--nodes", &listed, "--timeout", "500ms"]);
    output.fails_with(7, "cluster");
    let mut bytes = std::fs::read(nodes.root().join("file")).expect("the file exists");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(nodes.root().join("file"), bytes).expect("the disk has space");
    nodes.quorate(&["restore", "file"]).fails_with(1, "file: ");
    let old = made.json()["cluster"].as_str().map(str::to_owned).expect("it has an id");
    for (id, cluster, out) in [("2", &*old, "same"), ("2", "copy", "file/under")] {
        let members = format!("{id}=127.0.0.1:1");
        let words = ["restore", "again", "--members", &members, "--new-cluster", cluster, "--out"];
        nodes.quorate(&["backup", "d1", "again"]).ok();
        assert_eq!(nodes.quorate(&[&words[..], &[out]].concat()).code, 2);
        assert!(!nodes.root().join(out).exists(), "nothing is left in {out}");
    }
}

#[test]
fn a_backup_that_cannot_be_written_names_its_own_file() {
    let mut nodes = Nodes::start(1);
    nodes.ask(&["put", "k", &"v".repeat(100_000)]).ok();
    nodes.ask(&["snapshot", &nodes.address(1).to_string()]).ok();
    nodes.kill(1);
    let limited = "ulimit -f 8; exec \"$0\" backup d1 file";
    let mut shell = Command::new("sh");
    shell.args(["-c", limited]).arg(command().get_program()).current_dir(nodes.root());
    CommandOutput::run(&mut shell).fails_with(2, "/.file.");
    assert!(!nodes.root().join("file").exists(), "no incomplete backup is left");
}

#[test]
fn a_cluster_is_restored_from_a_regular_file_only() {
    let nodes = Nodes::none(0);
    nodes.quorate(&["restore", "/dev/zero"]).fails_with(1, "not a backup");
    let words = ["restore", "/dev/zero", "--members", "2=127.0.0.1:1", "--out", "new"];
    nodes.quorate(&words).fails_with(2, "/dev/zero: it is not a regular file");
}

#[test]
fn backup_and_restore_write_nothing_into_the_data_directory_of_a_node() {
    let nodes = Nodes::start(1);
    nodes.ask(&["put", "k", "v"]).ok();
    nodes.ask(&["snapshot", &nodes.address(1).to_string()]).ok();
    eventually("a snapshot is complete", || nodes.quorate(&["backup", "d1", "file"]).code == 0);
    let names = || {
        let entries = fs::read_dir(nodes.directory(1)).expect("it exists").flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| !name.starts_with("log-")).collect::<BTreeSet<_>>()
    };
    let (before, text) = (names(), "d1 is the data directory of a node");
    for file in ["d1/file", "d1/superblock"] {
        nodes.quorate(&["backup", "d1", file]).fails_with(2, text);
    }
    let members = ["--members", "2=127.0.0.1:1", "--out"];
    for out in ["d1", "d1/new"] {
        nodes.quorate(&[&["restore", "file"], &members[..], &[out]].concat()).fails_with(2, text);
    }
    assert_eq!(names(), before, "nothing was added");
}

#[test]
fn a_backup_of_an_older_snapshot_prints_a_warning() {
    let mut nodes = Nodes::start(1);
    let at = nodes.address(1).to_string();
    nodes.ask(&["put", "k", "old"]).ok();
    nodes.ask(&["snapshot", &at]).ok();
    let older = nodes.quorate(&["backup", "d1", "file", "--json"]).json();
    nodes.ask(&["put", "k", "new"]).ok();
    nodes.ask(&["snapshot", &at]).ok();
    nodes.signal(1, "TERM");
    assert!(nodes.ended(1).success(), "{}", nodes.log(1));
    let output = nodes.quorate(&["backup", "d1", "file", "--json"]);
    let newer = output.json();
    assert!(output.err.is_empty() && newer["damaged_snapshot"].is_null(), "{output:?}");
    let name = format!("snapshot-{:016x}", newer["index"].as_u64().expect("it ends somewhere"));
    let before = format!("snapshot-{:016x}", older["index"].as_u64().expect("it ends somewhere"));
    let path = nodes.directory(1).join(&before);
    let intact = fs::read(&path).expect("the file exists");
    let mut bytes = intact.clone();
    bytes[4096] ^= 1;
    fs::write(&path, bytes).expect("the disk has space");
    let found = nodes.quorate(&["inspect", "d1"]);
    found.prints(1, &format!("older: {before} at 4096: "));
    found.prints(1, "next: start the node");
    fs::write(&path, intact).expect("the disk has space");
    nodes.quorate(&["inspect", "d1"]).prints(0, "no damage");

    let path = nodes.directory(1).join(&name);
    let mut bytes = fs::read(&path).expect("the file exists");
    bytes[4096] ^= 1;
    fs::write(&path, bytes).expect("the disk has space");

    let found = nodes.quorate(&["inspect", "d1"]);
    found.prints(1, &format!("repairable: {name} at 4096: "));
    found.prints(1, "a start uses the snapshot before it");
    let output = nodes.quorate(&["backup", "d1", "file", "--json"]);
    let made = output.json();
    assert_eq!((output.code, &made["root"]), (0, &older["root"]), "{output:?}");
    let behind = newer["index"].as_u64().expect("so far") - older["index"].as_u64().expect("too");
    assert_eq!(made["damaged_snapshot"]["index"], newer["index"], "{output:?}");
    assert_eq!(made["damaged_snapshot"]["behind"], behind, "{output:?}");
    assert!(output.err.contains(r#"{"warning":"#) && output.err.contains(&name), "{output:?}");
    let output = nodes.quorate(&["backup", "d1", "file"]);
    let lacks = format!("through index {}, and lacks {behind} entries", older["index"]);
    output.fails_with(0, &lacks);

    // The node recovers everything from its log, so a new snapshot includes it. Until then the
    // older snapshot is the current one.
    nodes.serve(1);
    nodes.ask(&["put", "k", "newest"]).ok();
    let output = nodes.quorate(&["backup", "d1", "file", "--json"]);
    let made = output.json();
    assert_eq!((output.code, &made["root"]), (0, &older["root"]), "{output:?}");
    nodes.ask(&["snapshot", &at]).ok();
    let output = nodes.quorate(&["backup", "d1", "file"]);
    assert!(output.err.is_empty() && output.code == 0, "{output:?}");
}

/// Returns the entries of a directory except those in `known`.
fn others(directory: &Path, known: &[&str]) -> Vec<PathBuf> {
    let paths = fs::read_dir(directory).expect("it is there").flatten().map(|entry| entry.path());
    paths.filter(|path| !known.iter().any(|known| path.ends_with(known))).collect()
}

/// Runs the command, sends it the signal as soon as `is_begun`, and returns its exit status; it may
/// end before.
fn interrupted(
    root: &Path,
    words: &[&str],
    signal: &str,
    is_begun: impl Fn() -> bool,
) -> ExitStatus {
    let mut child = command();
    let child = child.current_dir(root).args(words).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = child.spawn().expect("the command was built");
    while !is_begun() {
        if let Some(status) = child.try_wait().expect("the process is a child of the test") {
            return status;
        }
        pause(std::time::Duration::from_millis(1));
    }
    // A child keeps its process id until it is waited for, even if it has ended.
    let sent = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status();
    assert!(sent.expect("`kill` is installed").success());
    child.wait().expect("the process is a child of the test")
}

#[test]
fn every_member_is_restored_from_the_backup_that_was_verified() {
    let nodes = Nodes::start(1);
    let at = nodes.address(1).to_string();
    let made = ["old", "new"].map(|name| {
        nodes.ask(&["put", "k", name]).ok();
        nodes.ask(&["snapshot", &at]).ok();
        nodes.quorate(&["backup", "d1", name, "--json"]).json()["index"].clone()
    });
    assert_ne!(made[0], made[1]);
    let ids = 2..10;
    let members = ids.clone().map(|id| format!("{id}=127.0.0.1:{id}")).collect::<Vec<_>>();
    let members = members.join(",");
    let path = |name: &str| nodes.root().join(name);
    let renamed = |from: &Path, to: &Path| fs::rename(from, to);
    let overwritten = |from: &Path, to: &Path| fs::copy(from, to).map(drop);
    let replacements: [fn(&Path, &Path) -> io::Result<()>; 2] = [renamed, overwritten];
    for (out, replace) in ["first", "second"].into_iter().zip(replacements) {
        fs::copy(path("old"), path("latest")).expect("the disk has space");
        fs::copy(path("new"), path("next")).expect("the disk has space");
        let mut child = command();
        let words = ["restore", "latest", "--members", &members, "--out", out];
        let child = child.current_dir(nodes.root()).args(words).stdout(Stdio::null());
        let mut child = child.stderr(Stdio::null()).spawn().expect("the command was built");
        eventually("the restore has begun", || path(out).exists());
        replace(&path("next"), &path("latest")).expect("the disk has space");
        let is_created = child.wait().expect("the process is a child of the test").success();
        assert_eq!(path(out).exists(), is_created, "either every directory is created, or none");
        assert!(is_created || out == "second", "the file that was opened keeps its content");
        for id in ids.clone().filter(|_| is_created) {
            let member = nodes.quorate(&["backup", &format!("{out}/{id}"), "read", "--json"]);
            assert_eq!(member.json()["index"], made[0], "{out}/{id}");
        }
    }
}

/// The maximum number of attempts to interrupt a command before it ends by itself.
const ATTEMPTS_MAX: usize = 50;

#[test]
fn a_terminated_backup_or_restore_leaves_no_files() {
    let nodes = Nodes::start(1);
    let root = tempfile::tempdir().expect("a temporary file can be created");
    let large = root.path().join("large");
    fs::write(&large, vec![b'x'; 512 << 10]).expect("the disk has space");
    for number in 0..24 {
        let mut put = command();
        put.args(["put", &format!("large/{number}"), "-", "--nodes", &nodes.nodes()]);
        CommandOutput::run(put.stdin(fs::File::open(&large).expect("it was written"))).ok();
    }
    nodes.ask(&["snapshot", &nodes.nodes()]).ok();
    fs::remove_file(&large).expect("the file exists");
    let data = nodes.directory(1).to_string_lossy().into_owned();
    let store = others(&nodes.directory(1), &[]).len();
    let backup = ["backup", &data, "file"];
    let begun = || !others(root.path(), &["file"]).is_empty();
    for (signal, leaves) in [("TERM", false), ("INT", false), ("KILL", true)] {
        let mut was_interrupted = false;
        for _ in 0..ATTEMPTS_MAX {
            let status = interrupted(root.path(), &backup, signal, begun);
            was_interrupted = !status.success();
            assert!(!was_interrupted || leaves || status.code() == Some(3), "{signal}: {status}");
            assert!(leaves || !begun(), "{signal} left {:?}", others(root.path(), &["file"]));
            if was_interrupted && begun() == leaves {
                break;
            }
        }
        assert!(was_interrupted, "{signal} interrupted no backup");
    }
    CommandOutput::run(command().current_dir(root.path()).args(backup)).ok();
    assert!(
        !begun(),
        "the next backup removes abandoned files: {:?}",
        others(root.path(), &["file"])
    );
    assert_eq!(
        others(&nodes.directory(1), &[]).len(),
        store,
        "a backup leaves no file in the data directory"
    );

    let out = root.path().join("out");
    let members = "2=127.0.0.1:2,3=127.0.0.1:3";
    let restore = ["restore", "file", "--members", members, "--out", "out"];
    for _ in 0..ATTEMPTS_MAX {
        let status = interrupted(root.path(), &restore, "TERM", || out.exists());
        if status.code() == Some(3) {
            assert!(!out.exists(), "{:?}", others(&out, &[]));
            CommandOutput::run(command().current_dir(root.path()).args(restore)).ok();
            return;
        }
        fs::remove_dir_all(&out).expect("the directory exists");
    }
    panic!("no restore was interrupted");
}

#[test]
fn an_incomplete_directory_is_named_as_one() {
    let nodes = Nodes::none(2);
    let directory = nodes.directory(1);
    fs::create_dir(&directory).expect("the disk has space");
    // A restore that is killed leaves such files.
    for name in ["lock", "snapshot-0000000000000007.part"] {
        fs::write(directory.join(name), "").expect("the disk has space");
    }
    let members = nodes.listed(&[1]);
    let serve = ["serve", "--data-dir", "d1"];
    for words in [
        &["inspect", "d1"][..],
        &serve,
        &[&serve[..], &["--id", "1", "--members", &members]].concat(),
        &["mark-restored", "d1"],
    ] {
        let output = nodes.quorate(words);
        output.fails_with(2, "d1: snapshot-0000000000000007.part: the directory has this file");
        output.fails_with(2, "if `quorate restore` or `quorate recover` was interrupted here");
    }
}
