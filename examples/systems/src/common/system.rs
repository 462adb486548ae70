//! The identity of an example system, its default addresses, and the state files of its users.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use quorate::storage::ClusterId;

/// The constants of a system.
#[derive(Clone, Copy, Debug)]
pub struct System {
    /// The name of the system and of its command.
    pub name: &'static str,
    /// The cluster id; nodes of other clusters are rejected.
    pub cluster: ClusterId,
    /// The default addresses of its nodes: those that its README.md uses.
    pub nodes: &'static [&'static str],
    /// Whether TLS is the default, so that only `--plaintext` disables it. Otherwise `--certs`
    /// enables it.
    pub tls_by_default: bool,
}

impl System {
    /// Returns the default addresses: those in the environment variable, else the remembered ones,
    /// else those that the system's README.md uses.
    #[must_use]
    pub fn default_nodes(&self) -> Vec<String> {
        if let Some(nodes) = env::var(self.variable("NODES")).ok().filter(|nodes| !nodes.is_empty())
        {
            let nodes = nodes.split(',').map(str::trim).filter(|node| !node.is_empty());
            return nodes.map(str::to_owned).collect();
        }
        let known = self.state_file("nodes").and_then(|file| fs::read_to_string(file).ok());
        let known: Vec<String> = known.unwrap_or_default().lines().map(str::to_owned).collect();
        match known.is_empty() {
            true => self.nodes.iter().map(|node| (*node).to_owned()).collect(),
            false => known,
        }
    }

    /// Returns the name of an environment variable of the system: `NAME_NODES`.
    #[must_use]
    pub fn variable(&self, end: &str) -> String {
        format!("{}_{end}", self.name.to_uppercase())
    }

    /// Returns the path of a state file of the user, `NAME.EXTENSION`, in the XDG state directory;
    /// `None` for a user without a home directory.
    #[must_use]
    pub fn state_file(&self, extension: &str) -> Option<PathBuf> {
        let set = |name| env::var_os(name).filter(|value: &OsString| !value.is_empty());
        let state = set("XDG_STATE_HOME").map(PathBuf::from);
        let home = || set("HOME").map(|home| PathBuf::from(home).join(".local/state"));
        let folder = state.or_else(home)?.join("quorate-systems");
        Some(folder.join(format!("{}.{extension}", self.name)))
    }
}

/// Replaces a state file as a whole, so that another client reads either the earlier text or the
/// new one.
///
/// # Errors
/// The file cannot be written.
pub fn replace_file(file: &Path, text: &str) -> io::Result<()> {
    file.parent().map_or(Ok(()), fs::create_dir_all)?;
    let mut new = file.as_os_str().to_owned();
    // No name of a user has a tilde, so this is no state file of another user.
    new.push(format!("~{}", std::process::id()));
    private_file().open(&new)?.write_all(text.as_bytes())?;
    fs::rename(new, file)
}

/// Returns options for a file that only its owner may read, because the token of a session
/// authenticates its user.
#[must_use]
pub fn private_file() -> fs::OpenOptions {
    let mut options = fs::File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}
