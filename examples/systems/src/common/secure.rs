//! Who speaks TLS, and with whose certificate: where the directory is that `certs` made, and what
//! is missing in it.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use quorate::runtime::certs::Directory;
use quorate::runtime::{Principal, Role, TlsConfig};
use quorate::types::NodeId;

use crate::common::exit::{Done, Exit, Trouble};
use crate::common::system::System;

/// The client that the guides speak as.
pub const CLIENT: &str = "user";
/// The administrator that the guides speak as.
pub const ADMIN: &str = "admin";

/// What `certs` takes.
#[derive(Args, Clone, Debug)]
pub struct CertsFlags {
    /// Where the files are, or are to be
    directory: PathBuf,
    /// For whom: ids of nodes, and client/NAME and admin/NAME. Clients ask for what users do,
    /// administrators may add and remove nodes, too
    #[arg(long = "for", value_name = "WHO", value_delimiter = ',', value_parser = principal,
        default_value = "1,2,3,client/user,admin/admin")]
    principals: Vec<Principal>,
    /// For how many days
    #[arg(long, value_name = "N", default_value_t = 365)]
    days: u32,
    /// Make new certificates also for those who have one
    #[arg(long)]
    renew: bool,
}

/// What the help of `certs` ends with.
pub const CERTS_HELP: &str = "\
The first time three authorities are made: for nodes, for clients and for administrators. Whoever is
named, and has no certificate yet, gets one. Each node needs its own two files and the three
*-authority.pem, each client and administrator its own two and node-authority.pem. Keep the keys of
the authorities, *-authority.key, to yourself: who has one makes certificates.";

/// Makes certificates for everybody named who has none, and prints whose were made.
///
/// # Errors
/// A name is none, or a file cannot be read or written.
pub fn certs(system: &System, flags: &CertsFlags) -> Done {
    let directory = Directory::open(&flags.directory).map_err(Trouble::wrong)?;
    for principal in &flags.principals {
        let files = directory.config(principal);
        if files.certificate.exists() && files.key.exists() && !flags.renew {
            continue;
        }
        let made = directory.issue(system.cluster, principal, flags.days);
        let made = made.map_err(Trouble::wrong)?;
        println!("{principal}: {}", made.certificate.display());
    }
    Ok(Exit::Done)
}

/// Whoever may have a certificate: a node by its id, or a guest.
fn principal(text: &str) -> Result<Principal, String> {
    match text.parse() {
        Ok(0) => Err("0 names no node: from 1 on they do".to_owned()),
        Ok(id) => Ok(Principal::Node(NodeId(id))),
        Err(_) => guest(text).map_err(|error| format!("{error}, and no node's id")),
    }
}

/// Whose certificate somebody shows who is no node: `client/NAME` or `admin/NAME`.
///
/// # Errors
/// It is neither.
pub fn guest(text: &str) -> Result<Principal, String> {
    let guest = match text.split_once('/') {
        Some(("client", name)) => Principal::client(name),
        Some(("admin", name)) => Principal::admin(name),
        _ => None,
    };
    guest.ok_or_else(|| format!("`{text}` is not client/NAME or admin/NAME"))
}

impl System {
    /// The directory of certificates: what was said, or the variable NAME_CERTS.
    #[must_use]
    pub fn certs(&self, said: Option<&Path>) -> Option<PathBuf> {
        let variable = || env::var_os(self.variable("CERTS"));
        let set = || variable().filter(|value: &OsString| !value.is_empty()).map(PathBuf::from);
        said.map(Path::to_owned).or_else(set)
    }

    /// Why nobody speaks who has neither certificates nor leave to go without.
    #[must_use]
    pub fn insecure(&self) -> Trouble {
        let Self { name, .. } = self;
        Trouble::wrong(format!(
            "no certificates: make them by `{name} certs DIR`, and say --certs DIR; or say \
             --plaintext, and anybody may listen, and speak as anybody"
        ))
    }

    /// The files of `principal` in the directory.
    ///
    /// # Errors
    /// One is missing, and how to make it.
    pub fn papers(&self, directory: &Path, principal: &Principal) -> Result<TlsConfig, Trouble> {
        let named = match principal {
            Principal::Node(id) => format!("--for {}", id.0),
            Principal::Client(name) => format!("--for client/{name}"),
            Principal::Admin(name) => format!("--for admin/{name}"),
        };
        let (at, system) = (directory.display(), self.name);
        if !directory.is_dir() {
            let how = format!("make it by `{system} certs {at}`");
            return Err(Trouble::wrong(format!("--certs: there is no directory {at}: {how}")));
        }
        let files = Directory::open(directory).map_err(Trouble::wrong)?.config(principal);
        let own = [&files.certificate, &files.key];
        if let Some(file) = own.into_iter().find(|file| !file.exists()) {
            let how = format!("make it by `{system} certs {at} {named}`, or copy it here");
            let file = file.display();
            return Err(Trouble::wrong(format!("--certs: {principal} has no {file}: {how}")));
        }
        let known = [Some(&files.nodes), files.clients.as_ref(), files.admins.as_ref()];
        if let Some(file) = known.into_iter().flatten().find(|file| !file.exists()) {
            let how = "copy it from where certificates are made";
            let file = file.display();
            return Err(Trouble::wrong(format!("--certs: {principal} needs {file}, too: {how}")));
        }
        Ok(files)
    }

    /// The directory that clients were told of before, if it is still there.
    #[must_use]
    pub(super) fn known_certs(&self) -> Option<PathBuf> {
        let known = fs::read_to_string(self.file("certs")?).ok()?;
        Some(PathBuf::from(known.trim_end_matches('\n'))).filter(|known| known.is_dir())
    }
}

/// Whose certificate a client shows that was not told.
#[must_use]
pub(super) fn usual(role: Role) -> Principal {
    match role {
        Role::Admin => Principal::Admin(ADMIN.into()),
        Role::Node | Role::Client => Principal::Client(CLIENT.into()),
    }
}

#[cfg(test)]
mod tests {
    use quorate::storage::ClusterId;

    use super::*;

    const SYSTEM: System =
        System { name: "any", cluster: ClusterId(7), nodes: &["127.0.0.1:1"], secure: true };

    fn node(id: u64) -> Principal {
        Principal::Node(NodeId(id))
    }

    fn flags(directory: &Path) -> CertsFlags {
        let principals = vec![node(1), usual(Role::Client), usual(Role::Admin)];
        CertsFlags { directory: directory.to_owned(), principals, days: 1, renew: false }
    }

    #[test]
    fn what_is_missing_is_named_with_how_to_make_it() {
        let root = tempfile::tempdir().expect("there is room");
        let none = SYSTEM.papers(&root.path().join("none"), &node(1));
        assert!(none.expect_err("there is none").text.contains("make it by `any certs "));
        assert_eq!(certs(&SYSTEM, &flags(root.path())), Ok(Exit::Done));
        for role in [Role::Client, Role::Admin] {
            assert!(SYSTEM.papers(root.path(), &usual(role)).is_ok());
        }
        assert!(SYSTEM.papers(root.path(), &node(1)).is_ok());
        let other = SYSTEM.papers(root.path(), &node(2));
        let told = other.expect_err("it was not made").text;
        assert!(told.contains("--for 2`"), "{told}");
        fs::remove_file(root.path().join("client-authority.pem")).expect("it is there");
        assert!(SYSTEM.papers(root.path(), &usual(Role::Client)).is_ok(), "it needs none");
        let told = SYSTEM.papers(root.path(), &node(1));
        let told = told.expect_err("it knows no client").text;
        assert!(told.contains("client-authority.pem, too"), "{told}");
    }

    #[test]
    fn who_has_a_certificate_keeps_it_unless_it_is_to_be_renewed() {
        let root = tempfile::tempdir().expect("there is room");
        let certificate = || fs::read(root.path().join("node-1.pem")).expect("it was made");
        assert_eq!(certs(&SYSTEM, &flags(root.path())), Ok(Exit::Done));
        let before = certificate();
        let more = CertsFlags { principals: vec![node(1), node(2)], ..flags(root.path()) };
        assert_eq!(certs(&SYSTEM, &more), Ok(Exit::Done));
        assert_eq!(certificate(), before);
        assert!(root.path().join("node-2.pem").exists());
        assert_eq!(certs(&SYSTEM, &CertsFlags { renew: true, ..more }), Ok(Exit::Done));
        assert_ne!(certificate(), before);
    }

    #[test]
    fn a_guest_is_a_client_or_an_administrator() {
        assert_eq!(guest("client/ann"), Ok(Principal::Client("ann".into())));
        assert_eq!(guest("admin/ops"), Ok(Principal::Admin("ops".into())));
        assert_eq!(principal("7"), Ok(node(7)));
        for text in ["ann", "node/1", "client/", "client/a b", "0", "-1"] {
            assert!(guest(text).is_err() && principal(text).is_err(), "{text}");
        }
    }
}
