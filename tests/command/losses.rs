//! Log files that vanish or lose their content after a node was killed.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::nodes::{Nodes, eventually};

/// The size of a log file, in bytes.
const SEGMENT: u64 = 16 << 20;

/// Returns a single node that was killed after large writes that fill two log files, and a small
/// write.
fn killed() -> Nodes {
    let mut nodes = Nodes::none(1);
    let members = nodes.listed(&[1]);
    nodes.serve_with(1, &["--members", &members]);
    eventually("the node leads", || nodes.log(1).contains("role=Leader"));
    let address = nodes.address(1).to_string();
    // Few large values, because a snapshot after 200 entries would make files obsolete.
    let words = ["bench", "--nodes", &address, "--clients", "1", "--size", "512KiB"];
    eventually("a third log file has a flush", || {
        nodes.quorate(&[&words[..], &["--time", "100ms"]].concat()).ok();
        begun(&nodes.directory(1)).len() >= 3
    });
    nodes.quorate(&["put", "last", "acknowledged", "--nodes", &address]).ok();
    // Meanwhile the node records that the last flush was acknowledged.
    for _ in 0..5 {
        nodes.quorate(&["get", "last", "--nodes", &address]).prints(0, "acknowledged");
    }
    nodes.kill(1);
    nodes
}

fn segment(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("log-{number:016x}"))
}

/// Copies the directory, and loses a part of the copy.
fn copy(nodes: &Nodes, name: &str, lose: impl FnOnce(&Path)) {
    let copy = nodes.root().join(name);
    fs::create_dir(&copy).expect("the disk has space");
    for entry in fs::read_dir(nodes.directory(1)).expect("the directory exists") {
        let entry = entry.expect("it can be read");
        if entry.path().is_dir() {
            continue;
        }
        fs::copy(entry.path(), copy.join(entry.file_name())).expect("the disk has space");
    }
    lose(&copy);
}

/// Expects that the node does not start on the directory, and that `inspect` finds the same damage.
fn rejected(nodes: &Nodes, name: &str, line: &str) {
    let start = nodes.quorate(&["serve", "--data-dir", name]);
    start.fails_with(2, line);
    let text = &start.err;
    for part in [" acknowledged and cannot be read; ", " lost; ", "; next: quorate inspect "] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    assert_eq!(text.trim_end().lines().count(), 1, "{text}");
    let members = nodes.listed(&[1]);
    let words = ["serve", "--id", "1", "--data-dir", name, "--members", &members];
    nodes.quorate(&words).fails_with(2, line);
    let found = nodes.quorate(&["inspect", name]);
    assert_eq!(found.code, 1, "{found:?}");
    let part = line.trim_start_matches("error: ").trim_start_matches(name).trim_start_matches(": ");
    assert!(found.out.contains(&format!("damaged: {part}")), "{part:?} is not in {}", found.out);
    assert!(!found.out.contains("no damage"), "{}", found.out);
    assert!(found.out.contains("next: quorate members replace 1 "), "{}", found.out);
}

#[test]
fn a_killed_node_does_not_start_without_its_acknowledged_log_files() {
    let nodes = killed();
    let last = begun(&nodes.directory(1)).len() as u64;
    let named = |number: u64| format!("log-{number:016x}");

    copy(&nodes, "whole", |_| ());
    nodes.quorate(&["inspect", "whole"]).prints(0, "no damage");

    // The middle of the files, and then all but the first.
    copy(&nodes, "middle", |copy| {
        (2..last).for_each(|number| fs::remove_file(segment(copy, number)).expect("it exists"));
    });
    rejected(&nodes, "middle", &format!("error: middle: {} at 0: the file is missing", named(2)));
    copy(&nodes, "end", |copy| {
        (2..=last).for_each(|number| fs::remove_file(segment(copy, number)).expect("it exists"));
    });
    rejected(&nodes, "end", &format!("error: end: {} at 0: the file is missing", named(2)));

    copy(&nodes, "cut", |copy| {
        let file = File::options().write(true).open(segment(copy, last)).expect("it exists");
        file.set_len(0).expect("it is a file");
    });
    rejected(&nodes, "cut", &format!("error: cut: {} at 0: the file ends after 0", named(last)));

    copy(&nodes, "zero", |copy| {
        let file = File::create(segment(copy, last)).expect("it exists");
        file.set_len(SEGMENT).expect("the disk has space");
    });
    rejected(
        &nodes,
        "zero",
        &format!("error: zero: {} at 0: no intact flush is here", named(last)),
    );

    // A file of the log under the name of another one is not a copy of that one.
    copy(&nodes, "twice", |copy| {
        fs::copy(segment(copy, 1), segment(copy, last + 9)).expect("the disk has space");
    });
    let line = format!("error: twice: {}: segment number is 1", named(last + 9));
    nodes.quorate(&["serve", "--data-dir", "twice"]).fails_with(2, &line);

    // The last write alone: its header is the last page with content before the bodies.
    copy(&nodes, "tail", |copy| zero_last_flush(&segment(copy, last)));
    rejected(&nodes, "tail", &format!("error: tail: {} at ", named(last)));
}

/// Zeroes the last flush of a log file, whose header and bodies have one page each.
fn zero_last_flush(path: &Path) {
    const PAGE: u64 = 4096;
    let file = File::options().read(true).write(true).open(path).expect("it exists");
    let is_zero = |page: &u64| {
        let mut bytes = [0; PAGE as usize];
        file.read_exact_at(&mut bytes, page * PAGE).expect("the page is in the file");
        bytes.iter().all(|byte| *byte == 0)
    };
    let pages = SEGMENT / PAGE;
    let header = (0..pages).find(is_zero).expect("the file has free space") - 1;
    let bodies = (header + 1..pages).find(|page| !is_zero(page)).expect("the flush has bodies");
    for page in [header, bodies] {
        file.write_all_at(&[0; PAGE as usize], page * PAGE).expect("the disk has space");
    }
}

/// Returns the log files of a directory that begin with a flush.
fn begun(directory: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(directory).expect("the directory exists");
    let paths = files.map(|entry| entry.expect("it can be listed").path());
    let begins = |path: &PathBuf| {
        let mut byte = [0];
        let name = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("log-"));
        let read = File::open(path).and_then(|file| file.read_exact_at(&mut byte, 0));
        name && read.is_ok() && byte != [0]
    };
    let mut found: Vec<PathBuf> = paths.filter(begins).collect();
    found.sort();
    found
}

impl Nodes {
    /// Waits until the node has become certain again `times` times, and asserts that every value is
    /// readable.
    pub(crate) fn await_certain(&self, id: u64, times: usize, values: u64) {
        eventually("the node is certain again", || {
            self.log(id).matches("is certain again").count() == times
        });
        self.assert_has(0..values);
    }
}

#[test]
fn a_node_without_the_end_of_its_log_gets_it_back_from_the_others() {
    type Harm = fn(&Path, &[u8]);
    let harms: [(Harm, &str); 4] = [
        (|file, _| zero_last_flush(file), "no intact flush is here: flush"),
        (|file, _| fs::write(file, "").expect("it is a file"), "the file ends after 0 bytes: "),
        (|file, _| fs::remove_file(file).expect("it exists"), "the file is missing: "),
        (|file, older| fs::write(file, older).expect("it is a file"), "no intact flush is here: "),
    ];
    let mut nodes = Nodes::start(3);
    nodes.leader();
    (0..10).for_each(|value| nodes.put(value));
    let mut values = 10;
    for (place, (harm, line)) in harms.into_iter().enumerate() {
        let id = place as u64 % 3 + 1;
        nodes.put(values);
        let last = begun(&nodes.directory(id)).pop().expect("the log has a flush");
        let older = fs::read(&last).expect("it can be read");
        (values + 1..values + 5).for_each(|value| nodes.put(value));
        values += 5;
        // Reads give the node time to record that its last flush was acknowledged.
        nodes.assert_has(0..values);
        nodes.kill(id);
        harm(&last, &older);
        let found = nodes.quorate(&["inspect", &format!("d{id}")]);
        assert_eq!(found.code, 1, "{found:?}");
        let name = last.file_name().expect("a file has a name").to_string_lossy();
        for part in
            [&format!("\nlost: {name} at "), line, "next: start the node with quorate serve"]
        {
            assert!(found.out.contains(part), "{part:?} is not in {}", found.out);
        }
        nodes.put(values);
        values += 1;
        nodes.serve(id);
        nodes.await_certain(id, 1 + place / 3, values);
        let log = nodes.log(id);
        assert!(log.contains("the disk has lost entries that this node had acknowledged"), "{log}");
        nodes.kill(id);
        nodes.quorate(&["inspect", &format!("d{id}")]).prints(0, "no damage");
        nodes.serve(id);
    }
    // All nodes count in a quorum again.
    let away = nodes.leader();
    nodes.kill(away);
    nodes.put(values);
    nodes.assert_has(0..=values);
}

#[test]
fn nodes_that_all_lost_the_end_of_their_logs_serve_nothing() {
    let mut nodes = Nodes::start(3);
    nodes.leader();
    (0..5).for_each(|value| nodes.put(value));
    // Reads give every node time to record that the last flush was acknowledged.
    nodes.assert_has(0..5);
    (1..=3).for_each(|id| nodes.kill(id));
    for id in 1..=3 {
        zero_last_flush(&begun(&nodes.directory(id)).pop().expect("the log has a flush"));
        nodes.serve(id);
    }
    for id in 1..=3 {
        eventually("the loss is logged", || nodes.log(id).contains("the disk has lost entries"));
    }
    let status = nodes.ask(&["status"]);
    assert_ne!(status.code, 0, "{status:?}");
    assert_ne!(nodes.ask(&["get", "key0"]).code, 0, "no quorum knows what was acknowledged");
}
