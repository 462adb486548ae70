//! TLS certificates: the `certs` subcommand, the certificate directory, and errors about missing
//! files.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use quorate::runtime::certs::Directory;
use quorate::runtime::{Principal, Role, TlsConfig};
use quorate::types::NodeId;
use serde_json::json;

use crate::common::exit::{CommandError, CommandResult, Exit};
use crate::common::number::number_of_32_bits;
use crate::common::output::Output;
use crate::common::system::System;

/// The client name in the guides.
pub const CLIENT: &str = "user";
/// The administrator name in the guides.
pub const ADMIN: &str = "admin";

/// The flags of the `certs` subcommand.
#[derive(Args, Clone, Debug)]
pub struct CertsFlags {
    /// Directory of the certificates; created if missing
    directory: PathBuf,
    /// Holders of certificates: node ids, client/NAME and admin/NAME. Clients may send requests;
    /// administrators may also change the membership
    #[arg(
        long = "for",
        value_name = "HOLDER",
        value_delimiter = ',',
        value_parser = parse_principal,
        default_value = "1,2,3,client/user,admin/admin"
    )]
    principals: Vec<Principal>,
    /// Validity of new certificates in days
    #[arg(long, value_name = "N", default_value_t = 365, value_parser = number_of_32_bits(1))]
    days: u32,
    /// Replace existing certificates with new ones
    #[arg(long)]
    renew: bool,
}

/// The last section of the help of `certs`.
pub const CERTS_HELP: &str = "\
The first run creates three certificate authorities: for nodes, for clients and for administrators.
Every named holder without a certificate gets one. A node needs its own two files and the three
*-authority.pem files; a client or administrator needs its own two files and node-authority.pem.
Keep the keys of the authorities, *-authority.key, secret: they can issue certificates.";

/// Issues a certificate for every named holder without one, or with `--renew` for every named
/// holder, and prints the paths of the issued certificates.
///
/// # Errors
/// A name is invalid, or a file cannot be read or written.
pub fn certs(system: &System, flags: &CertsFlags, output: Output) -> CommandResult {
    let directory = Directory::open(&flags.directory).map_err(CommandError::usage)?;
    for principal in &flags.principals {
        let files = directory.config(principal);
        if files.certificate.exists() && files.key.exists() && !flags.renew {
            continue;
        }
        let made = directory.issue(system.cluster, principal, flags.days);
        let made = made.map_err(CommandError::usage)?;
        let certificate = made.certificate.display();
        let holder = principal.to_string();
        let object = json!({ "holder": holder, "certificate": certificate.to_string() });
        output.print(format_args!("{principal}: {certificate}"), object)?;
    }
    Ok(Exit::Success)
}

/// Parses a certificate holder: a node id, `client/NAME` or `admin/NAME`.
fn parse_principal(text: &str) -> Result<Principal, String> {
    match text.parse() {
        Ok(0) => Err("node ids begin with 1".to_owned()),
        Ok(id) => Ok(Principal::Node(NodeId(id))),
        Err(_) => {
            parse_client_or_admin(text).map_err(|error| format!("{error}, and not a node id"))
        }
    }
}

/// Parses `client/NAME` or `admin/NAME`.
///
/// # Errors
/// The text is neither.
pub fn parse_client_or_admin(text: &str) -> Result<Principal, String> {
    let principal = match text.split_once('/') {
        Some(("client", name)) => Principal::client(name),
        Some(("admin", name)) => Principal::admin(name),
        _ => None,
    };
    principal.ok_or_else(|| format!("`{text}` is not client/NAME or admin/NAME"))
}

impl System {
    /// Returns the directory of certificates: the flag, or the environment variable NAME_CERTS.
    #[must_use]
    pub fn certs_directory(&self, flag: Option<&Path>) -> Option<PathBuf> {
        let variable = || env::var_os(self.variable("CERTS"));
        let set = || variable().filter(|value: &OsString| !value.is_empty()).map(PathBuf::from);
        flag.map(Path::to_owned).or_else(set)
    }

    /// Returns the error of a system that requires TLS, for a command with neither certificates nor
    /// `--plaintext`.
    #[must_use]
    pub fn missing_certificates(&self) -> CommandError {
        let Self { name, .. } = self;
        CommandError::usage(format!(
            "no certificates: create them with `{name} certs DIR` and pass --certs DIR; or pass \
             --plaintext to run without encryption and authentication"
        ))
    }

    /// Returns the TLS configuration of `principal` with the files in the directory.
    ///
    /// # Errors
    /// A file is missing; the message says how to create it.
    pub fn tls_config(&self, directory: &Path, principal: &Principal) -> CommandResult<TlsConfig> {
        let named = match principal {
            Principal::Node(id) => format!("--for {}", id.0),
            Principal::Client(name) => format!("--for client/{name}"),
            Principal::Admin(name) => format!("--for admin/{name}"),
        };
        let (at, system) = (directory.display(), self.name);
        if !directory.is_dir() {
            let how = format!("create it with `{system} certs {at}`");
            return Err(CommandError::usage(format!(
                "--certs: directory {at} does not exist: {how}"
            )));
        }
        let files = Directory::open(directory).map_err(CommandError::usage)?.config(principal);
        let own = [&files.certificate, &files.key];
        if let Some(file) = own.into_iter().find(|file| !file.exists()) {
            let how = format!("create it with `{system} certs {at} {named}`, or copy it here");
            let file = file.display();
            return Err(CommandError::usage(format!(
                "--certs: the file {file} of {principal} is missing: {how}"
            )));
        }
        let known = [
            Some(&files.node_authorities),
            files.client_authorities.as_ref(),
            files.admin_authorities.as_ref(),
        ];
        if let Some(file) = known.into_iter().flatten().find(|file| !file.exists()) {
            let how = "copy it from the directory in which the certificates were created";
            let file = file.display();
            return Err(CommandError::usage(format!(
                "--certs: {principal} also needs the file {file}: {how}"
            )));
        }
        Ok(files)
    }

    /// Returns the remembered directory of certificates, if it still exists.
    #[must_use]
    pub(super) fn remembered_certs(&self) -> Option<PathBuf> {
        let known = fs::read_to_string(self.state_file("certs")?).ok()?;
        Some(PathBuf::from(known.trim_end_matches('\n'))).filter(|known| known.is_dir())
    }
}

/// Returns the default certificate holder of a role.
#[must_use]
pub(super) fn default_principal(role: Role) -> Principal {
    match role {
        Role::Admin => Principal::Admin(ADMIN.into()),
        Role::Node | Role::Client => Principal::Client(CLIENT.into()),
    }
}

#[cfg(test)]
mod tests {
    use quorate::storage::ClusterId;

    use super::*;

    const SYSTEM: System = System {
        name: "any",
        cluster: ClusterId(7),
        nodes: &["127.0.0.1:1"],
        tls_by_default: true,
    };

    fn node(id: u64) -> Principal {
        Principal::Node(NodeId(id))
    }

    fn flags(directory: &Path) -> CertsFlags {
        let principals =
            vec![node(1), default_principal(Role::Client), default_principal(Role::Admin)];
        CertsFlags { directory: directory.to_owned(), principals, days: 1, renew: false }
    }

    #[test]
    fn a_missing_file_is_named_with_the_command_that_creates_it() {
        let root = tempfile::tempdir().expect("there is room");
        let none = SYSTEM.tls_config(&root.path().join("none"), &node(1));
        assert!(
            none.expect_err("the directory does not exist")
                .text
                .contains("create it with `any certs ")
        );
        assert_eq!(certs(&SYSTEM, &flags(root.path()), Output::Text), Ok(Exit::Success));
        for role in [Role::Client, Role::Admin] {
            assert!(SYSTEM.tls_config(root.path(), &default_principal(role)).is_ok());
        }
        assert!(SYSTEM.tls_config(root.path(), &node(1)).is_ok());
        let other = SYSTEM.tls_config(root.path(), &node(2));
        let message = other.expect_err("the certificate was not issued").text;
        assert!(message.contains("--for 2`"), "{message}");
        fs::remove_file(root.path().join("client-authority.pem")).expect("it is there");
        assert!(
            SYSTEM.tls_config(root.path(), &default_principal(Role::Client)).is_ok(),
            "a client needs no client authority"
        );
        let message = SYSTEM.tls_config(root.path(), &node(1));
        let message = message.expect_err("the client authority is missing").text;
        assert!(message.contains("also needs the file"), "{message}");
    }

    #[test]
    fn an_existing_certificate_is_replaced_only_on_renewal() {
        let root = tempfile::tempdir().expect("there is room");
        let certificate = || fs::read(root.path().join("node-1.pem")).expect("it was made");
        assert_eq!(certs(&SYSTEM, &flags(root.path()), Output::Text), Ok(Exit::Success));
        let before = certificate();
        let more = CertsFlags { principals: vec![node(1), node(2)], ..flags(root.path()) };
        assert_eq!(certs(&SYSTEM, &more, Output::Text), Ok(Exit::Success));
        assert_eq!(certificate(), before);
        assert!(root.path().join("node-2.pem").exists());
        assert_eq!(
            certs(&SYSTEM, &CertsFlags { renew: true, ..more }, Output::Json),
            Ok(Exit::Success)
        );
        assert_ne!(certificate(), before);
    }

    #[test]
    fn a_holder_is_a_node_a_client_or_an_administrator() {
        assert_eq!(parse_client_or_admin("client/ann"), Ok(Principal::Client("ann".into())));
        assert_eq!(parse_client_or_admin("admin/ops"), Ok(Principal::Admin("ops".into())));
        assert_eq!(parse_principal("7"), Ok(node(7)));
        for text in ["ann", "node/1", "client/", "client/a b", "0", "-1"] {
            assert!(
                parse_client_or_admin(text).is_err() && parse_principal(text).is_err(),
                "{text}"
            );
        }
    }
}
