//! Log files that vanish or lose their content after a node was killed.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::nodes::{Nodes, eventually};

/// The size of a log file, in bytes.
const SEGMENT: u64 = 16 << 20;

/// Returns a single node that was killed after writes that fill two log files, and a small one.
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
        in_use(&nodes.directory(1)) >= 3
    });
    nodes.quorate(&["put", "last", "acknowledged", "--nodes", &address]).ok();
    nodes.kill(1);
    nodes
}

fn segment(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("log-{number:016x}"))
}

/// Returns the number of log files that begin with a flush.
fn in_use(directory: &Path) -> u64 {
    let begins = |number: &u64| {
        let mut byte = [0];
        let read = File::open(segment(directory, *number));
        read.and_then(|file| file.read_exact_at(&mut byte, 0)).is_ok() && byte != [0]
    };
    (1..).take_while(begins).count() as u64
}

/// Copies the directory, and loses a part of the copy.
fn copy(nodes: &Nodes, name: &str, lose: impl FnOnce(&Path)) {
    let copy = nodes.root().join(name);
    fs::create_dir(&copy).expect("the disk has space");
    for entry in fs::read_dir(nodes.directory(1)).expect("the directory exists") {
        let entry = entry.expect("it can be read");
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
    let last = in_use(&nodes.directory(1));
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
