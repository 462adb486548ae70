//! One system, as everybody knows it who has to do with it, and what its users' files are called.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use quorate::storage::ClusterId;

/// One system, as its clients know it.
#[derive(Clone, Copy, Debug)]
pub struct System {
    /// Its name, which is that of its command.
    pub name: &'static str,
    /// Its cluster: no other one's nodes are spoken to.
    pub cluster: ClusterId,
    /// Where its nodes are, if nobody has said anything: as in its guide.
    pub nodes: &'static [&'static str],
    /// Whether TLS is spoken unless --plaintext is said. Otherwise it is where --certs is said.
    pub secure: bool,
}

impl System {
    /// Where its nodes are: those of the variable, those that the client was told before, or those
    /// of the guide.
    #[must_use]
    pub fn known_nodes(&self) -> Vec<String> {
        if let Ok(told) = env::var(self.variable("NODES")) {
            return told.split(',').map(str::to_owned).collect();
        }
        let known = self.file("nodes").and_then(|file| fs::read_to_string(file).ok());
        let known: Vec<String> = known.unwrap_or_default().lines().map(str::to_owned).collect();
        match known.is_empty() {
            true => self.nodes.iter().map(|node| (*node).to_owned()).collect(),
            false => known,
        }
    }

    /// A variable of its own: `NAME_NODES`.
    #[must_use]
    pub fn variable(&self, end: &str) -> String {
        format!("{}_{end}", self.name.to_uppercase())
    }

    /// A file of the user's for this system, `NAME.EXTENSION`, by the rules of XDG; none for a
    /// user without a home.
    #[must_use]
    pub fn file(&self, extension: &str) -> Option<PathBuf> {
        let set = |name| env::var_os(name).filter(|value: &OsString| !value.is_empty());
        let state = set("XDG_STATE_HOME").map(PathBuf::from);
        let home = || set("HOME").map(|home| PathBuf::from(home).join(".local/state"));
        let folder = state.or_else(home)?.join("quorate-systems");
        Some(folder.join(format!("{}.{extension}", self.name)))
    }
}
