//! Data directories: inspection, locks, moved and replaced files, copies, permissions and recovery.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::nodes::{Nodes, eventually};

/// Returns a single node that has run and was stopped, with its data directory.
fn used() -> Nodes {
    let mut nodes = Nodes::start(1);
    eventually("the node leads", || nodes.log(1).contains("role=Leader"));
    nodes.signal(1, "TERM");
    assert!(nodes.ended(1).success(), "{}", nodes.log(1));
    nodes
}

/// Returns the path and the content of every file.
fn content(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).expect("the directory exists") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() {
            continue;
        }
        let mut bytes = Vec::new();
        File::open(&path).and_then(|mut file| file.read_to_end(&mut bytes)).expect("it is a file");
        files.push((path.to_string_lossy().into_owned(), bytes));
    }
    files.sort();
    files
}

#[test]
fn inspect_prints_a_directory_and_does_not_change_it() {
    let nodes = used();
    let before = content(&nodes.directory(1));
    let text = nodes.quorate(&["inspect", "d1", "--entries"]).ok();
    for part in ["node         n1", "membership   {n1}", "no damage", "1@t1  ", "no-op of a leader"]
    {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    let found = nodes.quorate(&["--json", "inspect", "d1"]).json();
    assert_eq!((found["node"].as_u64(), found["term"].as_u64()), (Some(1), Some(1)));
    assert_eq!(found["damage"].as_array().map(Vec::len), Some(0));
    assert!(before == content(&nodes.directory(1)), "inspect changes no file");
}

#[test]
fn inspect_names_the_file_and_offset_of_damage() {
    let nodes = used();
    let segment = nodes.directory(1).join("log-0000000000000001");
    let mut file = File::options().read(true).write(true).open(segment).expect("the file exists");
    // A byte in the first sector of the first flush.
    let mut byte = [0];
    file.seek(SeekFrom::Start(40)).and_then(|_| file.read_exact(&mut byte)).expect("it is long");
    byte[0] ^= 1;
    file.seek(SeekFrom::Start(40)).and_then(|_| file.write_all(&byte)).expect("it is long");
    let output = nodes.quorate(&["--json", "inspect", "d1"]);
    assert_eq!(output.code, 1, "{output:?}");
    let damage = &output.json()["repairable_sectors"][0];
    assert_eq!(damage["file"], "log-0000000000000001", "{output:?}");
    assert_eq!(damage["offset"], 0, "{output:?}");
    let output = nodes.quorate(&["inspect", "d1"]);
    let text = "repairable: log-0000000000000001 at 0: a start writes the sector again";
    assert!(output.out.contains(text), "{output:?}");
}

#[test]
fn a_removed_lock_file_lets_no_second_node_in() {
    let mut nodes = Nodes::start(1);
    eventually("the node leads", || nodes.log(1).contains("role=Leader"));
    fs::remove_file(nodes.directory(1).join("lock")).expect("the file exists");
    let used = "d1: in use by another process: stop that process, or choose another directory";
    nodes.quorate(&["inspect", "d1"]).fails_with(3, used);
    nodes.kill(1);
    nodes.quorate(&["inspect", "d1"]).ok();
}

#[test]
fn a_node_whose_directory_is_moved_or_replaced_stops_before_it_acknowledges_anything() {
    // With and without another directory in its place, under writes and idle.
    for (is_replaced, is_idle) in [(true, false), (false, true), (true, true)] {
        let mut nodes = Nodes::start(1);
        eventually("the node leads", || nodes.log(1).contains("role=Leader"));
        nodes.ask(&["put", "a", "1"]).ok();
        let moved = nodes.root().join("moved");
        fs::rename(nodes.directory(1), &moved).expect("the disk has space");
        if is_replaced {
            fs::create_dir(nodes.directory(1)).expect("the disk has space");
        }
        if !is_idle {
            let output = nodes.ask(&["put", "a", "2", "--timeout", "3s"]);
            assert_ne!(output.code, 0, "{output:?}");
        }
        assert_eq!(nodes.ended(1).code(), Some(6), "{}", nodes.log(1));
        let loss = match is_replaced {
            true => "another directory was put in its place",
            false => "it was moved, removed or unmounted",
        };
        let log = nodes.log(1);
        let text = format!("d1 is no longer the one that was opened: {loss}");
        assert!(log.contains(&text) && log.contains("put the node's own back"), "{log}");
        if is_replaced {
            fs::remove_dir(nodes.directory(1)).expect("the node has put no file into it");
        }
        fs::rename(&moved, nodes.directory(1)).expect("the disk has space");
        nodes.serve(1);
        eventually("the node leads again", || nodes.ask(&["get", "a"]).out == "1\n");
    }
}

#[test]
fn a_node_whose_files_are_removed_or_replaced_stops() {
    let segment = "log-0000000000000001";
    for (name, is_replaced) in [("superblock", false), ("superblock", true), (segment, true)] {
        let mut nodes = Nodes::start(1);
        eventually("the node leads", || nodes.log(1).contains("role=Leader"));
        nodes.ask(&["put", "a", "1"]).ok();
        let (file, moved) = (nodes.directory(1).join(name), nodes.root().join("moved"));
        fs::rename(&file, &moved).expect("the file exists");
        if is_replaced {
            fs::copy(&moved, &file).expect("the disk has space");
        }
        assert_eq!(nodes.ended(1).code(), Some(6), "{}", nodes.log(1));
        let text = format!("the file {} is no longer the one", file.display());
        assert!(nodes.log(1).contains(&text), "{}", nodes.log(1));
        fs::rename(&moved, &file).expect("the disk has space");
        nodes.serve(1);
        eventually("the node leads again", || nodes.ask(&["get", "a"]).out == "1\n");
    }
}

/// Copies the files of a data directory to `d9`.
fn copy_directory(nodes: &Nodes, id: u64) {
    let copy = nodes.root().join("d9");
    fs::create_dir(&copy).expect("the disk has space");
    for (path, bytes) in content(&nodes.directory(id)) {
        let name = Path::new(&path).file_name().expect("it has one").to_owned();
        fs::write(copy.join(name), bytes).expect("the disk has space");
    }
}

#[test]
fn a_copy_of_a_directory_does_not_start_while_its_node_runs() {
    for count in [1, 3] {
        let mut nodes = Nodes::start(count);
        nodes.leader();
        nodes.kill(count);
        copy_directory(&nodes, count);
        nodes.serve(count);
        eventually("the node listens again", || {
            nodes.log(count).matches("is listening").count() == 2
        });
        let members = nodes.listed(&(1..=count).collect::<Vec<_>>());
        let copy = ["serve", "--data-dir", "d9", "--listen", "127.0.0.1:0"];
        let output = nodes.quorate(&copy);
        output.fails_with(2, &format!("another process of n{count} runs already"));
        let output = nodes.quorate(&[&copy[..], &["--id", &count.to_string()]].concat());
        output.fails_with(2, &nodes.address(count).to_string());
        let output = nodes.quorate(&[&copy[..], &["--members", &members]].concat());
        assert_eq!(output.code, 2, "{output:?}");
    }
}

#[test]
fn peers_reject_a_copy_that_starts_together_with_its_node() {
    let mut nodes = Nodes::start(3);
    nodes.leader();
    nodes.put(0);
    nodes.kill(3);
    copy_directory(&nodes, 3);
    // While the node is stopped, the copy runs in its place, and is not rejected.
    nodes.serve_copy(9, 3);
    eventually("the copy runs", || nodes.log(9).contains("is listening"));
    assert!(!nodes.log(1).contains("another process of n3"), "{}", nodes.log(1));
    nodes.serve(3);
    eventually("the peers notice both", || {
        (1..=2).any(|id| nodes.log(id).contains("another process of n3 answers at its address"))
    });
    nodes.put(1);
    nodes.has(&[1, 2, 3], "key1", "value1");
}

#[test]
fn other_users_cannot_read_data_directories_backups_and_keys() {
    use std::os::unix::fs::PermissionsExt;

    let mut nodes = Nodes::unstarted(1);
    nodes.serve_after(1, "umask 0", &[]);
    nodes.ask(&["put", "password", "secret"]).ok();
    nodes.ask(&["snapshot", &nodes.address(1).to_string()]).ok();
    nodes.quorate(&["certs", "certs", "--nodes", "1"]).ok();
    eventually("a snapshot is complete", || nodes.quorate(&["backup", "d1", "file"]).code == 0);
    nodes.kill(1);
    let mut paths = vec![nodes.directory(1), nodes.root().join("file"), nodes.root().join("certs")];
    for directory in [nodes.directory(1), nodes.root().join("certs")] {
        let entries = fs::read_dir(directory).expect("the directory exists").flatten();
        let names = entries.map(|entry| entry.path());
        paths.extend(names.filter(|path| path.extension().is_none_or(|end| end != "pem")));
    }
    assert!(paths.len() > 8, "{paths:?}");
    for path in paths {
        let mode = fs::metadata(&path).expect("it exists").permissions().mode() & 0o777;
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        // The lock of the certificates is empty, and the id of their cluster is public.
        let is_public = path.ends_with("certs/lock") || path.ends_with("certs/cluster");
        assert!(mode == expected || is_public, "{}: {mode:o}", path.display());
    }
}

#[test]
fn a_symbolic_link_in_a_data_directory_is_named_as_one() {
    let nodes = used();
    let (segment, moved) =
        (nodes.directory(1).join("log-0000000000000001"), nodes.root().join("x"));
    fs::rename(&segment, &moved).expect("the file exists");
    std::os::unix::fs::symlink(&moved, &segment).expect("the disk has links");
    let text = "log-0000000000000001: it is a symbolic link";
    nodes.quorate(&["inspect", "d1"]).fails_with(2, text);
    nodes.quorate(&["serve", "--data-dir", "d1"]).fails_with(2, text);
}

#[test]
fn a_directory_that_is_not_a_nodes_or_is_in_use_is_rejected() {
    let mut nodes = Nodes::none(1);
    nodes.quorate(&["inspect", "d1"]).fails_with(2, "d1: no such directory");
    fs::create_dir(nodes.directory(1)).expect("the disk has space");
    nodes.quorate(&["inspect", "d1"]).fails_with(2, "d1: the directory is not formatted");
    nodes.quorate(&["backup", "d1", "file"]).fails_with(2, "d1: not a data directory of a node");
    nodes.quorate(&["recover", "d1"]).fails_with(2, "no directory of the cluster can be read");
    assert!(!nodes.root().join("file").exists());
    fs::remove_dir(nodes.directory(1)).expect("it is empty");
    let members = nodes.listed(&[1]);
    nodes.serve_with(1, &["--members", &members]);
    eventually("the node leads", || nodes.log(1).contains("role=Leader"));
    let used = "d1: in use by another process: stop that process, or choose another directory";
    nodes.quorate(&["inspect", "d1"]).fails_with(3, used);
    let listen = ["--listen", "127.0.0.1:0", "--members", &members];
    let serve = [&["serve", "--id", "1", "--data-dir", "d1"], &listen[..]].concat();
    nodes.quorate(&serve).fails_with(3, used);
    nodes.quorate(&["serve", "--data-dir", "d1"]).fails_with(3, &format!("error: {used}"));
}

#[test]
fn a_used_directory_holds_its_node_cluster_and_address() {
    let mut nodes = used();
    nodes.serve_with(1, &[]);
    eventually("the node leads again", || nodes.log(1).matches("role=Leader").count() == 2);
    nodes.kill(1);
    let output = nodes.quorate(&["serve", "--data-dir", "d1", "--id", "2"]);
    output.fails_with(2, "--id: d1 belongs to node n1, not to n2");
    let output = nodes.quorate(&["serve", "--data-dir", "d1", "--cluster", "another"]);
    output.fails_with(2, "--cluster: d1 belongs to cluster ");
}

#[test]
fn a_new_cluster_is_recovered_after_the_loss_of_a_quorum() {
    let mut nodes = Nodes::start(3);
    eventually("a leader is elected", || (1..=3).any(|id| nodes.log(id).contains("role=Leader")));
    (1..=3).for_each(|id| nodes.kill(id));
    nodes
        .quorate(&["recover", "d1", "d2", "--members", "1=127.0.0.1:1", "--out", "new"])
        .fails_with(5, "a quorum is available");
    let text = nodes.quorate(&["recover", "d1"]).ok();
    assert!(text.contains("continues from d1") && text.contains("nothing was created"), "{text}");
    let other = ["recover", "d1", "--cluster", "another"];
    nodes.quorate(&other).fails_with(2, "no directory of the cluster can be read");
    let into = ["--members", "1=127.0.0.1:1", "--out", "split", "--alive", "2,3"];
    let alive = [&["recover", "d1"], &into[..]].concat();
    nodes.quorate(&alive).fails_with(5, "a quorum is alive: n2, n3");
    assert!(!nodes.root().join("split").exists());
    nodes.quorate(&[&alive[..], &["--allow-split-brain"]].concat()).ok();
    assert!(nodes.root().join("split/1").exists());
    let members = nodes.listed(&[1]);
    let words = ["--json", "recover", "d1", "--members", &members, "--out", "new"];
    let created = nodes.quorate(&words);
    assert_eq!(created.code, 0, "{created:?}");
    assert_eq!(created.json()["new"]["members"][0]["directory"], "new/1");
    nodes.quorate(&words).fails_with(2, "new/1: the directory is not empty");
    let two = nodes.listed(&[1, 2]);
    let into = ["--members", &two, "--out", "new"];
    nodes.quorate(&[&["recover", "d1"], &into[..]].concat()).fails_with(2, "new/1: ");
    assert!(!nodes.root().join("new/2").exists(), "all directories are created, or none");
    let old = nodes.quorate(&["--json", "inspect", "d1"]).json()["cluster"].clone();
    let old = old.as_str().expect("it has an id");
    let into = ["--members", &two, "--out", "a/b", "--new-cluster", old];
    let output = nodes.quorate(&[&["recover", "d1"], &into[..]].concat());
    assert_eq!(output.code, 2, "{output:?}");
    assert!(!nodes.root().join("a").exists(), "{output:?}");
    let found = nodes.quorate(&["--json", "inspect", "new/1"]).json();
    assert_eq!(found["cluster"], created.json()["new"]["cluster"]);
    assert_eq!(found["membership"], "{n1}");
}

#[test]
fn recovery_is_rejected_while_a_node_runs_on_a_given_directory() {
    let mut nodes = Nodes::start(3);
    nodes.leader();
    [1, 3].into_iter().for_each(|id| nodes.kill(id));
    let members = nodes.listed(&[3]);
    let create = ["recover", "d2", "d3", "--members", &members, "--out", "new"];
    nodes.quorate(&create).fails_with(5, "d2: in use by a running node");
    nodes.quorate(&["recover", "d2", "d3"]).fails_with(5, "d2: in use by a running node");
    nodes.kill(2);
    nodes.quorate(&create).fails_with(5, "a quorum is available");
    assert!(!nodes.root().join("new").exists());
}

#[test]
fn recovery_uses_no_source_whose_snapshot_is_damaged() {
    let mut nodes = Nodes::start(3);
    nodes.leader();
    nodes.kill(3);
    nodes.put(0);
    nodes.ask(&["snapshot", &nodes.address(1).to_string()]).ok();
    eventually("a snapshot is complete", || nodes.quorate(&["backup", "d1", "file"]).code == 0);
    [1, 2].into_iter().for_each(|id| nodes.kill(id));
    for (path, mut bytes) in content(&nodes.directory(1)) {
        if path.contains("/snapshot-") {
            bytes[4096] ^= 1;
            fs::write(path, bytes).expect("the disk has space");
        }
    }
    let members = nodes.listed(&[3]);
    let found = nodes.quorate(&["--json", "recover", "d1", "d3"]).json();
    let choice = found["choice"].as_str().expect("it is a text");
    assert!(choice.contains("continues from d3"), "{found}");
    assert_eq!(found["unusable"][0]["directory"], "d1", "{found}");
    nodes.quorate(&["recover", "d1", "d3"]).prints(0, "d1: unusable: snapshot-");
    let create = ["recover", "d1", "d3", "--members", &members, "--out", "new"];
    nodes.quorate(&create).prints(0, "continues from d3");
}
