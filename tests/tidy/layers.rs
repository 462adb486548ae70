//! The rooms (folders) of the library, and the rule that imports only point down.

use super::paths::{NamedPath, paths_below};
use super::source::Source;
use super::tree::{Finding, assert_clean, sources};

/// One folder of the library and its place among the layers.
pub(crate) struct Room {
    pub(crate) name: &'static str,
    /// The floor of the room: it may import only from rooms on lower floors.
    pub(crate) floor: u8,
    /// The rooms it may import from.
    pub(crate) below: &'static [&'static str],
    /// Whether it is built without the standard library.
    pub(crate) no_std: bool,
}

/// The table of ARCHITECTURE.md: every room of the library, and the simulator.
pub(crate) const ROOMS: [Room; 13] = [
    Room { name: "types", floor: 1, below: &[], no_std: true },
    Room { name: "quorum", floor: 2, below: &["types"], no_std: true },
    Room { name: "log", floor: 2, below: &["types"], no_std: true },
    Room { name: "wire", floor: 2, below: &["types"], no_std: false },
    Room { name: "storage", floor: 2, below: &["types"], no_std: false },
    Room { name: "machine", floor: 2, below: &["types"], no_std: false },
    Room { name: "progress", floor: 3, below: &["quorum", "types"], no_std: true },
    Room { name: "recovery", floor: 3, below: &["quorum", "storage", "types"], no_std: false },
    Room { name: "raft", floor: 4, below: &["progress", "log", "quorum", "types"], no_std: true },
    Room { name: "replica", floor: 5, below: BELOW_REPLICA, no_std: false },
    Room { name: "runtime", floor: 6, below: BELOW_DRIVERS, no_std: false },
    Room { name: "http", floor: 7, below: &["runtime", "types"], no_std: false },
    Room { name: "sim", floor: 6, below: BELOW_DRIVERS, no_std: false },
];

const BELOW_REPLICA: &[&str] =
    &["raft", "progress", "machine", "storage", "wire", "log", "quorum", "types"];
const BELOW_DRIVERS: &[&str] = &[
    "replica", "raft", "recovery", "progress", "machine", "storage", "wire", "log", "quorum",
    "types",
];

/// The room of a file: the folder below `src/`, or the simulator. Tests and the root files of
/// crates belong to none.
pub(crate) fn room_of(path: &str) -> Option<&str> {
    if path == "src/lib.rs" || path.starts_with("src/bin/") {
        return None;
    }
    match path.strip_prefix("src/") {
        Some(inside) => Some(inside.split(['/', '.']).next().unwrap_or(inside)),
        None => path.starts_with("sim/src/").then_some("sim"),
    }
}

/// Imports that do not point down.
fn upward_imports(source: &Source) -> Vec<Finding> {
    let Some(name) = room_of(&source.path) else { return Vec::new() };
    let finding = |line: usize, item: String, advice: String| Finding {
        path: source.path.clone(),
        line,
        item,
        size: 0,
        advice,
    };
    let Some(room) = ROOMS.iter().find(|room| room.name == name) else {
        let advice = format!("room `{name}` is in no table: give it a floor");
        return vec![finding(1, name.to_owned(), advice)];
    };
    let library = if name == "sim" { "quorate" } else { "crate" };
    let mut found = Vec::new();
    for NamedPath { position, parts } in paths_below(source, library) {
        let from = parts.first().map_or("", String::as_str);
        if from != name && !room.below.contains(&from) {
            let advice = if ROOMS.iter().any(|other| other.name == from) {
                format!("`{name}` (floor {}) may not import from `{from}`", room.floor)
            } else {
                let path = parts.join("::");
                format!("`{library}::{path}` comes through lib.rs: import it from its room")
            };
            found.push(finding(source.line_of(position), parts.join("::"), advice));
        }
    }
    found
}

#[test]
fn imports_point_down() {
    let findings: Vec<Finding> = sources().iter().flat_map(upward_imports).collect();
    assert_clean("layers", &findings);
}

#[test]
fn the_table_itself_points_down() {
    for room in &ROOMS {
        for below in room.below {
            let other = ROOMS.iter().find(|other| other.name == *below);
            let other = other.unwrap_or_else(|| panic!("{below} is in no table"));
            assert!(other.floor < room.floor, "{} imports {below}", room.name);
            assert!(other.no_std || !room.no_std, "{} needs std through {below}", room.name);
        }
    }
}

#[test]
fn an_upward_import_is_noticed() {
    let found = |path: &str, text: &str| upward_imports(&Source::new(path, text)).len();
    let up = "use crate::raft::Raft;\n";
    assert_eq!(found("src/log/mod.rs", up), 1, "from floor 4 to floor 2");
    assert_eq!(found("src/quorum/mod.rs", "use crate::log::Log;\n"), 1, "between siblings");
    assert_eq!(found("src/raft/mod.rs", "fn f() { crate::wire::encode() }\n"), 1, "unlisted");
    assert_eq!(found("src/raft/mod.rs", "use crate::{log::Log, Term};\n"), 1, "through lib.rs");
    assert_eq!(found("src/cellar/mod.rs", "fn f() {}\n"), 1, "not in the table");
    assert_eq!(found("src/cellar.rs", "fn f() {}\n"), 1, "not in the table");
    assert_eq!(found("sim/src/world.rs", "use quorate::runtime::Client;\n"), 1, "a sibling");
    assert_eq!(found("sim/src/world.rs", "use quorate::Raft;\n"), 1, "through lib.rs");
}

#[test]
fn a_downward_import_is_allowed() {
    let found = |path: &str, text: &str| upward_imports(&Source::new(path, text));
    let down = "use crate::{progress::Progress, raft::input::Input, types::Term};\n";
    assert_eq!(found("src/raft/leader.rs", down), []);
    assert_eq!(found("sim/src/world.rs", "use quorate::raft::Raft;\nuse crate::Seed;\n"), []);
    assert_eq!(found("src/log/mod.rs", "#[cfg(test)]\nmod t { use crate::raft::Raft; }\n"), []);
    assert_eq!(found("tests/specs.rs", "use quorate::runtime::Client;\n"), []);
}
