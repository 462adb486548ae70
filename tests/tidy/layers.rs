//! The folders of the library and of the simulator in layers, and the rule that a folder imports
//! only from lower layers.

use super::paths::{NamedPath, paths_below};
use super::source::Source;
use super::tree::{Finding, assert_clean, sources};

/// One folder of the library and its place among the layers.
pub(crate) struct Folder {
    pub(crate) name: &'static str,
    /// The layer of the folder: the folder may import only from folders of lower layers.
    pub(crate) layer: u8,
    /// The folders that the folder may import from.
    pub(crate) below: &'static [&'static str],
    /// Whether the folder is built without the standard library.
    pub(crate) no_std: bool,
}

/// The folders in the table of ARCHITECTURE.md: those of the library, and the simulator.
pub(crate) const LIBRARY_FOLDERS: [Folder; 15] = [
    Folder { name: "types", layer: 1, below: &[], no_std: true },
    Folder { name: "quorum", layer: 2, below: &["types"], no_std: true },
    Folder { name: "log", layer: 2, below: &["types"], no_std: true },
    Folder { name: "wire", layer: 2, below: &["types"], no_std: false },
    Folder { name: "storage", layer: 2, below: &["types"], no_std: false },
    Folder { name: "machine", layer: 2, below: &["types"], no_std: false },
    Folder { name: "progress", layer: 3, below: &["quorum", "types"], no_std: true },
    Folder { name: "typed", layer: 3, below: &["machine", "types", "wire"], no_std: false },
    Folder { name: "recovery", layer: 3, below: &["quorum", "storage", "types"], no_std: false },
    Folder { name: "raft", layer: 4, below: &["progress", "log", "quorum", "types"], no_std: true },
    Folder { name: "recording", layer: 5, below: &["raft", "types"], no_std: false },
    Folder { name: "replica", layer: 6, below: BELOW_REPLICA, no_std: false },
    Folder { name: "runtime", layer: 7, below: BELOW_DRIVERS, no_std: false },
    Folder { name: "http", layer: 8, below: &["runtime", "types"], no_std: false },
    Folder { name: "sim", layer: 7, below: BELOW_DRIVERS, no_std: false },
];

const BELOW_REPLICA: &[&str] =
    &["recording", "raft", "progress", "machine", "storage", "wire", "log", "quorum", "types"];
const BELOW_DRIVERS: &[&str] = &[
    "replica",
    "recording",
    "raft",
    "recovery",
    "progress",
    "typed",
    "machine",
    "storage",
    "wire",
    "log",
    "quorum",
    "types",
];

/// The folders of `sim/src/` and their layers, as in ARCHITECTURE.md: a folder may import only from
/// folders of lower layers.
pub(crate) const SIMULATOR_FOLDERS: [(&str, u8); 22] = [
    ("values", 1),
    ("disk", 1),
    ("workload", 2),
    ("faults", 2),
    ("observe", 3),
    ("machine", 4),
    ("check", 5),
    ("settings", 6),
    ("recordings", 6),
    ("plan", 7),
    ("tla", 7),
    ("record", 8),
    ("link", 9),
    ("observer", 9),
    ("explain", 9),
    ("picture", 9),
    ("world", 10),
    ("run", 11),
    ("scenario", 12),
    ("shrink", 13),
    ("cli", 14),
    ("chaos", 15),
];

/// The folder of a file: the folder below `src/`, or the simulator. Tests and the root files of
/// crates belong to none.
pub(crate) fn folder_of(path: &str) -> Option<&str> {
    if path == "src/lib.rs" || path.starts_with("src/bin/") {
        return None;
    }
    match path.strip_prefix("src/") {
        Some(inside) => Some(inside.split(['/', '.']).next().unwrap_or(inside)),
        None => path.starts_with("sim/src/").then_some("sim"),
    }
}

/// Imports that do not point to a lower layer.
fn upward_imports(source: &Source) -> Vec<Finding> {
    let Some(name) = folder_of(&source.path) else { return Vec::new() };
    let finding = |line: usize, item: String, advice: String| Finding {
        path: source.path.clone(),
        line,
        item,
        size: 0,
        advice,
    };
    let Some(folder) = LIBRARY_FOLDERS.iter().find(|folder| folder.name == name) else {
        let advice = format!("folder `{name}` has no layer: add it to LIBRARY_FOLDERS");
        return vec![finding(1, name.to_owned(), advice)];
    };
    let library = if name == "sim" { "quorate" } else { "crate" };
    let mut found = Vec::new();
    for NamedPath { position, parts } in paths_below(source, library) {
        let from = parts.first().map_or("", String::as_str);
        if from != name && !folder.below.contains(&from) {
            let advice = if LIBRARY_FOLDERS.iter().any(|other| other.name == from) {
                format!("`{name}` (layer {}) may not import from `{from}`", folder.layer)
            } else {
                let path = parts.join("::");
                format!("`{library}::{path}` comes through lib.rs: import it from its folder")
            };
            found.push(finding(source.line_of(position), parts.join("::"), advice));
        }
    }
    found
}

/// Imports inside the simulator that do not point to a lower layer.
fn upward_simulator_imports(source: &Source) -> Vec<Finding> {
    let Some(inside) = source.path.strip_prefix("sim/src/") else { return Vec::new() };
    let name = inside.split(['/', '.']).next().unwrap_or(inside);
    if ["lib", "main"].contains(&name) {
        return Vec::new();
    }
    let layer_of = |name: &str| {
        SIMULATOR_FOLDERS.iter().find(|(folder, _)| *folder == name).map(|(_, layer)| *layer)
    };
    let finding = |line: usize, item: &str, advice: String| Finding {
        path: source.path.clone(),
        line,
        item: item.to_owned(),
        size: 0,
        advice,
    };
    let Some(layer) = layer_of(name) else {
        let advice = format!("folder `{name}` has no layer: add it to SIMULATOR_FOLDERS");
        return vec![finding(1, name, advice)];
    };
    let mut found = Vec::new();
    for NamedPath { position, parts } in paths_below(source, "crate") {
        let from = parts.first().map_or("", String::as_str);
        if from != name && layer_of(from).is_some_and(|other| other >= layer) {
            let advice = format!("`{name}` (layer {layer}) may not import from `{from}`");
            found.push(finding(source.line_of(position), &parts.join("::"), advice));
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
fn imports_inside_the_simulator_point_down() {
    let findings: Vec<Finding> = sources().iter().flat_map(upward_simulator_imports).collect();
    assert_clean("layers", &findings);
}

#[test]
fn an_upward_import_inside_the_simulator_is_noticed() {
    let found = |path: &str, text: &str| upward_simulator_imports(&Source::new(path, text)).len();
    assert_eq!(found("sim/src/check/mod.rs", "use crate::world::World;\n"), 1, "upward");
    assert_eq!(found("sim/src/explain/mod.rs", "use crate::picture::draw;\n"), 1, "a sibling");
    assert_eq!(found("sim/src/cellar.rs", "fn f() {}\n"), 1, "not in the table");
    assert_eq!(found("sim/src/world/mod.rs", "use crate::check::Checks;\n"), 0, "downward");
    assert_eq!(found("src/raft/mod.rs", "use crate::cli::main;\n"), 0, "another crate");
}

#[test]
fn the_table_itself_points_down() {
    for folder in &LIBRARY_FOLDERS {
        for below in folder.below {
            let other = LIBRARY_FOLDERS.iter().find(|other| other.name == *below);
            let other = other.unwrap_or_else(|| panic!("{below} is not in LIBRARY_FOLDERS"));
            assert!(other.layer < folder.layer, "{} imports {below}", folder.name);
            assert!(other.no_std || !folder.no_std, "{} needs std through {below}", folder.name);
        }
    }
}

#[test]
fn an_upward_import_is_noticed() {
    let found = |path: &str, text: &str| upward_imports(&Source::new(path, text)).len();
    let up = "use crate::raft::Raft;\n";
    assert_eq!(found("src/log/mod.rs", up), 1, "from layer 4 to layer 2");
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
