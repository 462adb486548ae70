//! Certificates for a cluster, its clients and its administrators, made without any other tool.
//!
//! Each [`Role`] has an authority of its own: whoever can make clients can make no nodes.
//!
//! ```
//! use quorate::runtime::certs::Authority;
//! use quorate::runtime::{Principal, Role};
//! use quorate::storage::ClusterId;
//! use quorate::types::NodeId;
//!
//! let nodes = Authority::new(Role::Node)?;
//! let issued = nodes.issue(ClusterId(0xc1), &Principal::Node(NodeId(1)), 365)?;
//! assert!(issued.certificate.starts_with("-----BEGIN CERTIFICATE-----"));
//! # Ok::<(), quorate::runtime::certs::CertsError>(())
//! ```

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SanType, SerialNumber,
};

use crate::runtime::principal::{Principal, Role};
use crate::runtime::tls::{TlsConfig, check_issued, serial};
use crate::storage::ClusterId;

/// How long an authority lasts, in days.
pub const AUTHORITY_DAYS: u32 = 3650;

/// Clocks of machines differ: what is issued now was valid for so long already.
const EARLIER: Duration = Duration::from_secs(3600);

/// Who vouches for the certificates of one role.
#[derive(Debug)]
pub struct Authority {
    role: Role,
    certificate: String,
    key: KeyPair,
}

/// A certificate and its private key, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// Its key, which nobody else may read.
    pub key: String,
}

/// Why there is no certificate.
#[derive(Debug)]
#[non_exhaustive]
pub enum CertsError {
    /// It could not be made, or the authority's key could not be read.
    Making(String),
    /// The authority is of one role, and the certificate would be of another.
    Role {
        /// The authority's.
        authority: Role,
        /// The one that was asked for.
        asked: Role,
    },
    /// The principal's files would take the place of an authority's.
    Reserved,
    /// The file could not be read or written.
    File(PathBuf, io::Error),
}

impl Authority {
    /// A new authority, valid for [`AUTHORITY_DAYS`].
    ///
    /// # Errors
    /// [`CertsError::Making`].
    pub fn new(role: Role) -> Result<Authority, CertsError> {
        let key = KeyPair::generate()?;
        let mut authority = Authority { role, certificate: String::new(), key };
        authority.certificate = authority.params().self_signed(&authority.key)?.pem();
        Ok(authority)
    }

    /// The authority that [`Authority::certificate`] and [`Authority::key`] were of, from PEM.
    /// What it issues is checked against `certificate`.
    ///
    /// # Errors
    /// [`CertsError::Making`] if the key cannot be read.
    pub fn of(role: Role, certificate: &str, key: &str) -> Result<Authority, CertsError> {
        let key = KeyPair::from_pem(key)?;
        Ok(Authority { role, certificate: certificate.to_owned(), key })
    }

    /// Its certificate as PEM: what others trust.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Its key as PEM: whoever has it makes certificates.
    #[must_use]
    pub fn key(&self) -> String {
        self.key.serialize_pem()
    }

    /// The name that it issues under. No two authorities have the same: lists of what one has
    /// taken back do not concern the other.
    #[must_use]
    pub fn name(&self) -> String {
        let hash = blake3::hash(self.key.public_key_raw()).to_hex();
        format!("quorate {} authority {}", self.role, &hash[..16])
    }

    fn params(&self) -> CertificateParams {
        let mut params = params(&self.name(), AUTHORITY_DAYS);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
    }

    /// A new certificate of `principal`, valid for `days` from now. With 0 days it has expired
    /// already.
    ///
    /// # Errors
    /// [`CertsError::Role`] if the principal is not of the authority's role, else
    /// [`CertsError::Making`]: most often the authority's key is not its certificate's.
    pub fn issue(
        &self,
        cluster: ClusterId,
        principal: &Principal,
        days: u32,
    ) -> Result<Issued, CertsError> {
        if principal.role() != self.role {
            let (authority, asked) = (self.role, principal.role());
            return Err(CertsError::Role { authority, asked });
        }
        let mut issued = params(&principal.to_string(), days);
        issued.is_ca = IsCa::ExplicitNoCa;
        let uri = principal.uri(cluster).try_into()?;
        issued.subject_alt_names = vec![SanType::URI(uri)];
        issued.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        issued.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if self.role == Role::Node {
            issued.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        issued.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let authority = self.params();
        let certificate = issued.signed_by(&key, &Issuer::from_params(&authority, &self.key))?;
        if days > 0 {
            check_issued(certificate.der(), &self.certificate).map_err(CertsError::Making)?;
        }
        Ok(Issued { certificate: certificate.pem(), key: key.serialize_pem() })
    }

    /// The list of all certificates that the authority has taken back, as PEM, for
    /// `TlsConfig::revoked`. `certificates` are PEM; each list takes the place of the one before.
    ///
    /// # Errors
    /// [`CertsError::Making`] if one of them cannot be read.
    pub fn revoke(&self, certificates: &[&str]) -> Result<String, CertsError> {
        let (origin, now) = (rcgen::date_time_ymd(1970, 1, 1), now());
        let revoked = certificates.iter().map(|certificate| {
            let serial = serial(certificate).map_err(CertsError::Making)?;
            Ok(RevokedCertParams {
                serial_number: SerialNumber::from_slice(&serial),
                revocation_time: origin + now,
                reason_code: None,
                invalidity_date: None,
            })
        });
        let list = CertificateRevocationListParams {
            this_update: origin + now - EARLIER,
            next_update: origin + now + Duration::from_secs(u64::from(AUTHORITY_DAYS) * 24 * 3600),
            crl_number: SerialNumber::from(now.as_secs()),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect::<Result<_, CertsError>>()?,
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        let authority = self.params();
        Ok(list.signed_by(&Issuer::from_params(&authority, &self.key))?.pem()?)
    }
}

/// What the files of an authority are called after its role: nobody else's name.
const AUTHORITY: &str = "authority";

/// The file whose lock says that somebody writes in the directory: whoever comes second waits, so
/// that a key and a certificate of the same name are always of the same run.
const LOCK: &str = "lock";

/// What a file is called while it is written; more letters stand between.
const ASIDE: [&str; 2] = [".written-", ".new"];

/// A directory with the authorities of all roles and what they have issued:
/// `node-authority.pem` and `.key`, the same of `client` and `admin`, and for each principal a
/// `.pem` and a `.key`: `node-1`, `client-NAME`, `admin-NAME`. Several processes may issue there at
/// once: each waits for the `lock`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory(PathBuf);

impl Directory {
    /// The directory at `path`, made if it is missing.
    ///
    /// # Errors
    /// [`CertsError::File`].
    pub fn open(path: impl Into<PathBuf>) -> Result<Directory, CertsError> {
        let path = path.into();
        match fs::create_dir_all(&path) {
            Ok(()) => Ok(Directory(path)),
            Err(error) => Err(CertsError::File(path, error)),
        }
    }

    /// The authority of a role: made, if there is none yet.
    ///
    /// # Errors
    /// A [`CertsError`].
    pub fn authority(&self, role: Role) -> Result<Authority, CertsError> {
        let [certificate, key] = self.paths(&format!("{role}-{AUTHORITY}"));
        let _alone = if certificate.exists() && key.exists() { None } else { Some(self.lock()?) };
        self.authority_alone(role)
    }

    /// The same; nobody else may write meanwhile.
    fn authority_alone(&self, role: Role) -> Result<Authority, CertsError> {
        let [certificate, key] = self.paths(&format!("{role}-{AUTHORITY}"));
        if !certificate.exists() && !key.exists() {
            let authority = Authority::new(role)?;
            write(&certificate, authority.certificate(), 0o644)?;
            write(&key, &authority.key(), 0o600)?;
        }
        Authority::of(role, &read(&certificate)?, &read(&key)?)
    }

    /// Issues a certificate, in place of one that is there already, and makes the authorities of
    /// all roles where they are missing. Says where everything is that the principal needs.
    ///
    /// # Errors
    /// A [`CertsError`].
    pub fn issue(
        &self,
        cluster: ClusterId,
        principal: &Principal,
        days: u32,
    ) -> Result<TlsConfig, CertsError> {
        if let Principal::Client(name) | Principal::Admin(name) = principal
            && &**name == AUTHORITY
        {
            return Err(CertsError::Reserved);
        }
        let _alone = self.lock()?;
        for role in Role::ALL {
            self.authority_alone(role)?;
        }
        let issued = self.authority_alone(principal.role())?.issue(cluster, principal, days)?;
        let config = self.config(principal);
        write(&config.certificate, &issued.certificate, 0o644)?;
        write(&config.key, &issued.key, 0o600)?;
        Ok(config)
    }

    /// Waits until nobody else writes here, and removes what somebody left who was killed.
    fn lock(&self) -> Result<File, CertsError> {
        let path = self.0.join(LOCK);
        let locked = || {
            let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path)?;
            lock.lock()?;
            for entry in fs::read_dir(&self.0)? {
                let entry = entry?;
                let name = entry.file_name();
                let name = name.to_string_lossy();
                if name.starts_with(ASIDE[0]) && name.ends_with(ASIDE[1]) {
                    fs::remove_file(entry.path())?;
                }
            }
            Ok(lock)
        };
        locked().map_err(|error| CertsError::File(path.clone(), error))
    }

    /// Where everything is that the principal needs, once it was issued.
    #[must_use]
    pub fn config(&self, principal: &Principal) -> TlsConfig {
        let [certificate, key] = self.paths(&match principal {
            Principal::Node(id) => format!("node-{}", id.0),
            Principal::Client(name) => format!("client-{name}"),
            Principal::Admin(name) => format!("admin-{name}"),
        });
        let [nodes, clients, admins] =
            Role::ALL.map(|role| self.paths(&format!("{role}-{AUTHORITY}"))[0].clone());
        let mut config = TlsConfig::new(certificate, key, nodes);
        if principal.role() == Role::Node {
            (config.clients, config.admins) = (Some(clients), Some(admins));
        }
        config
    }

    /// Of a certificate, and of its key.
    fn paths(&self, name: &str) -> [PathBuf; 2] {
        ["pem", "key"].map(|end| self.0.join(format!("{name}.{end}")))
    }
}

/// What every certificate has: whose it is, and for how long.
fn params(name: &str, days: u32) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let (origin, now) = (rcgen::date_time_ymd(1970, 1, 1), now());
    params.not_before = origin + now - EARLIER;
    params.not_after = match days {
        0 => origin + now - EARLIER / 2,
        days => origin + now + Duration::from_secs(u64::from(days) * 24 * 3600),
    };
    params
}

/// Since 1970.
#[expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "certificates have dates")]
fn now() -> Duration {
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default()
}

fn read(path: &Path) -> Result<String, CertsError> {
    fs::read_to_string(path).map_err(|error| CertsError::File(path.to_owned(), error))
}

/// Another file takes its place at once: whoever reads it meanwhile reads the old one or the new.
/// Nobody whom `mode` keeps out could ever read it.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), CertsError> {
    let written = || {
        let mut aside = tempfile::Builder::new();
        aside.prefix(ASIDE[0]).suffix(ASIDE[1]);
        #[cfg(unix)]
        aside.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
        #[cfg(not(unix))]
        let _ = mode;
        let directory = path.parent().expect("it is in a directory");
        let mut file = aside.tempfile_in(directory)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error).map(drop)
    };
    written().map_err(|error: io::Error| CertsError::File(path.to_owned(), error))
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

impl fmt::Display for CertsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CertsError::Making(error) => write!(f, "no certificate was made: {error}"),
            CertsError::Role { authority, asked } => {
                write!(f, "the {authority} authority vouches for no {asked}")
            }
            CertsError::Reserved => write!(f, "`{AUTHORITY}` is the authorities' own name"),
            CertsError::File(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for CertsError {}

impl From<rcgen::Error> for CertsError {
    fn from(error: rcgen::Error) -> CertsError {
        CertsError::Making(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::tls::Tls;
    use crate::types::NodeId;

    const CLUSTER: ClusterId = ClusterId(0xc1);

    /// What is in the directory, with its mode.
    #[cfg(unix)]
    fn modes(directory: &Path) -> Vec<(String, u32)> {
        let mode = |entry: fs::DirEntry| {
            let mode = entry.metadata().expect("it is there");
            let mode = std::os::unix::fs::MetadataExt::mode(&mode) & 0o077;
            (entry.file_name().to_string_lossy().into_owned(), mode)
        };
        fs::read_dir(directory).expect("it is there").flatten().map(mode).collect()
    }

    #[test]
    fn runs_at_once_do_not_mix_their_keys() {
        let root = tempfile::tempdir().expect("there is room");
        let issue = || {
            let directory = Directory::open(root.path()).expect("there is room");
            directory.issue(CLUSTER, &Principal::Node(NodeId(1)), 1).expect("there is room")
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..4).for_each(|_| drop(issue())));
            }
        });
        let own = Directory(root.path().to_owned()).config(&Principal::Node(NodeId(1)));
        assert!(Tls::of_node(own, CLUSTER, NodeId(1)).is_ok(), "the key is the certificate's");
        for role in Role::ALL {
            let authority = Directory(root.path().to_owned()).authority(role);
            let client = Principal::Client("app".into());
            let admin = Principal::Admin("ops".into());
            let any = [Principal::Node(NodeId(2)), client, admin];
            let named = any.iter().find(|principal| principal.role() == role);
            let issued = authority.and_then(|own| own.issue(CLUSTER, named.expect("all are"), 1));
            assert!(issued.is_ok(), "the key is the authority's");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_key_is_nobody_elses_to_read_and_nothing_else_is_left() {
        let root = tempfile::tempdir().expect("there is room");
        fs::write(root.path().join(".written-killed.new"), "half a key").expect("there is room");
        let directory = Directory::open(root.path()).expect("there is room");
        directory.issue(CLUSTER, &Principal::Node(NodeId(1)), 1).expect("there is room");
        let found = modes(root.path());
        assert_eq!(found.len(), 4 * 2 + 1, "{found:?}");
        for (name, mode) in found.iter().filter(|(name, _)| name.ends_with(".key")) {
            assert_eq!(*mode, 0, "{name}");
        }
    }
}
