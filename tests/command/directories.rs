//! Data directories, looked at while no node runs on them.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::nodes::{Nodes, eventually};

/// A directory of one node that ran for a while, alone.
fn used() -> Nodes {
    let mut nodes = Nodes::start(1);
    eventually("it leads", || nodes.log(1).contains("role=Leader"));
    nodes.signal(1, "TERM");
    assert!(nodes.ended(1).success(), "{}", nodes.log(1));
    nodes
}

/// Every file's name and content.
fn content(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).expect("it is there") {
        let path = entry.expect("it can be read").path();
        let mut bytes = Vec::new();
        File::open(&path).and_then(|mut file| file.read_to_end(&mut bytes)).expect("it is a file");
        files.push((path.to_string_lossy().into_owned(), bytes));
    }
    files.sort();
    files
}

#[test]
fn a_directory_is_shown_and_not_changed() {
    let nodes = used();
    let before = content(&nodes.directory(1));
    let text = nodes.quorate(&["inspect", "d1", "--entries"]).ok();
    for part in ["node         n1", "membership   {n1}", "no damage", "1@t1  ", "a term begins"] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    let found = nodes.quorate(&["--json", "inspect", "d1"]).json();
    assert_eq!((found["node"].as_u64(), found["term"].as_u64()), (Some(1), Some(1)));
    assert_eq!(found["damage"].as_array().map(Vec::len), Some(0));
    assert!(before == content(&nodes.directory(1)), "looking changed it");
}

#[test]
fn damage_in_a_segment_is_named_with_its_place() {
    let nodes = used();
    let segment = nodes.directory(1).join("log-0000000000000001");
    let mut file = File::options().read(true).write(true).open(segment).expect("it is there");
    // The first sector of the first flush.
    let mut byte = [0];
    file.seek(SeekFrom::Start(40)).and_then(|_| file.read_exact(&mut byte)).expect("it is long");
    byte[0] ^= 1;
    file.seek(SeekFrom::Start(40)).and_then(|_| file.write_all(&byte)).expect("it is long");
    let told = nodes.quorate(&["--json", "inspect", "d1"]);
    assert_eq!(told.code, 1, "{told:?}");
    let damage = &told.json()["damage"][0];
    assert_eq!(damage["file"], "log-0000000000000001", "{told:?}");
    assert_eq!(damage["offset"], 0, "{told:?}");
    let told = nodes.quorate(&["inspect", "d1"]);
    assert!(told.out.contains("damaged: log-0000000000000001 at 0: "), "{told:?}");
}

#[test]
fn what_is_no_directory_of_a_node_is_refused() {
    let mut nodes = Nodes::none(1);
    nodes.quorate(&["inspect", "d1"]).refused(2, "d1: there is no such directory");
    fs::create_dir(nodes.directory(1)).expect("there is room");
    nodes.quorate(&["inspect", "d1"]).refused(2, "d1: the directory holds no store");
    nodes.quorate(&["backup", "d1", "file"]).refused(2, "d1: this is no node's directory");
    nodes.quorate(&["recover", "d1"]).refused(2, "no directory of the cluster can be read");
    assert!(!nodes.root().join("file").exists());
    fs::remove_dir(nodes.directory(1)).expect("it is empty");
    let members = nodes.listed(&[1]);
    nodes.serve_with(1, &["--members", &members]);
    eventually("it leads", || nodes.log(1).contains("role=Leader"));
    let used = "d1: in use by another process: end that one first, or name another directory";
    nodes.quorate(&["inspect", "d1"]).refused(2, used);
    let listen = ["--listen", "127.0.0.1:0", "--members", &members];
    let serve = [&["serve", "--id", "1", "--data-dir", "d1"], &listen[..]].concat();
    nodes.quorate(&serve).refused(2, used);
    nodes.quorate(&["serve", "--data-dir", "d1"]).refused(2, &format!("error: {used}"));
}

#[test]
fn a_directory_in_use_knows_its_node_its_cluster_and_its_address() {
    let mut nodes = used();
    nodes.serve_with(1, &[]);
    eventually("it leads again", || nodes.log(1).matches("role=Leader").count() == 2);
    nodes.kill(1);
    let told = nodes.quorate(&["serve", "--data-dir", "d1", "--id", "2"]);
    told.refused(2, "--id: d1 is n1's, and not n2's");
    let told = nodes.quorate(&["serve", "--data-dir", "d1", "--cluster", "another"]);
    told.refused(2, "--cluster: d1 is of cluster ");
}

#[test]
fn a_quorum_that_is_lost_leaves_a_cluster_to_go_on_with() {
    let mut nodes = Nodes::start(3);
    eventually("somebody leads", || (1..=3).any(|id| nodes.log(id).contains("role=Leader")));
    (1..=3).for_each(|id| nodes.kill(id));
    nodes
        .quorate(&["recover", "d1", "d2", "--members", "1=127.0.0.1:1", "--out", "new"])
        .refused(5, "a quorum is at hand");
    let text = nodes.quorate(&["recover", "d1"]).ok();
    assert!(text.contains("goes on from d1") && text.contains("nothing was made"), "{text}");
    let members = nodes.listed(&[1]);
    let words = ["--json", "recover", "d1", "--members", &members, "--out", "new"];
    let made = nodes.quorate(&words);
    assert_eq!(made.code, 0, "{made:?}");
    assert_eq!(made.json()["new"]["members"][0]["directory"], "new/1");
    nodes.quorate(&words).refused(2, "new/1: the directory is not empty");
    let two = nodes.listed(&[1, 2]);
    let into = ["--members", &two, "--out", "new"];
    nodes.quorate(&[&["recover", "d1"], &into[..]].concat()).refused(2, "new/1: ");
    assert!(!nodes.root().join("new/2").exists(), "all are made, or none");
    let old = nodes.quorate(&["--json", "inspect", "d1"]).json()["cluster"].clone();
    let old = old.as_str().expect("it has an id");
    let into = ["--members", &two, "--out", "a/b", "--new-cluster", old];
    let told = nodes.quorate(&[&["recover", "d1"], &into[..]].concat());
    assert_eq!(told.code, 2, "{told:?}");
    assert!(!nodes.root().join("a").exists(), "{told:?}");
    let found = nodes.quorate(&["--json", "inspect", "new/1"]).json();
    assert_eq!(found["cluster"], made.json()["new"]["cluster"]);
    assert_eq!(found["membership"], "{n1}");
}
