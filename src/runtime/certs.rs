//! Issues and revokes the certificates of a cluster, its clients and its administrators, without
//! another tool.
//!
//! Each [`Role`] has a certificate authority of its own, so that the authority of clients cannot
//! issue certificates of nodes.
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

use crate::runtime::clock::unix_time;
use crate::runtime::principal::{Principal, Role};
use crate::runtime::tls::{TlsConfig, check_issued, serial};
use crate::storage::{ClusterId, open_regular_file, read_bounded_text};

/// The validity of an authority's certificate, in days.
pub const AUTHORITY_DAYS: u32 = 3650;

/// The maximum size of the file of a certificate or a key that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The time by which certificates are backdated, because the clocks of machines differ.
const BACKDATED_BY: Duration = Duration::from_secs(3600);

/// The certificate authority of one role.
#[derive(Debug)]
pub struct Authority {
    role: Role,
    certificate: String,
    key: KeyPair,
}

/// A certificate and its private key, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct IssuedCertificate {
    /// The certificate in PEM format.
    pub certificate: String,
    /// The private key in PEM format; it must be kept secret.
    pub key: String,
}

/// The reasons for which a certificate operation fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertsError {
    /// A certificate or a revocation list could not be generated, or a key or certificate could not
    /// be parsed.
    #[error("cannot make the certificate or the revocation list: {0}")]
    Generation(String),
    /// The requested principal has a different role than the authority.
    #[error("the {authority} authority cannot issue a {requested} certificate")]
    RoleMismatch {
        /// The role of the authority.
        authority: Role,
        /// The role of the requested principal.
        requested: Role,
    },
    /// The certificate would end after the year 9999, the last one that it can name.
    #[error("a certificate cannot be valid for {0} days, beyond the year 9999: use fewer days")]
    TooLong(u32),
    /// The name of the principal is reserved for the files of an authority.
    #[error("the name `{AUTHORITY_NAME}` is reserved: use another name")]
    ReservedName,
    /// The file could not be read or written.
    #[error("cannot use {}: {}", .0.display(), .1)]
    File(PathBuf, io::Error),
}

impl Authority {
    /// Generates a new authority, valid for [`AUTHORITY_DAYS`].
    ///
    /// # Errors
    /// [`CertsError::Generation`].
    pub fn new(role: Role) -> Result<Authority, CertsError> {
        Authority::with_key(role, KeyPair::generate()?)
    }

    /// Generates the certificate of a new authority with this key.
    fn with_key(role: Role, key: KeyPair) -> Result<Authority, CertsError> {
        let mut authority = Authority { role, certificate: String::new(), key };
        authority.certificate = authority.params()?.self_signed(&authority.key)?.pem();
        Ok(authority)
    }

    /// Returns the authority with this certificate and key, in PEM format, as
    /// [`Authority::certificate`] and [`Authority::key`] return them. [`Authority::issue`] checks
    /// that the two belong together.
    ///
    /// # Errors
    /// [`CertsError::Generation`] if the key cannot be parsed.
    pub fn from_pem(role: Role, certificate: &str, key: &str) -> Result<Authority, CertsError> {
        let key = KeyPair::from_pem(key)?;
        Ok(Authority { role, certificate: certificate.to_owned(), key })
    }

    /// Returns the certificate of the authority in PEM format, for the authority files of
    /// `TlsConfig`.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Returns the private key in PEM format. Its holder can issue certificates: keep it secret.
    #[must_use]
    pub fn key(&self) -> String {
        self.key.serialize_pem()
    }

    /// Returns the issuer name. It contains a hash of the public key and is unique, so that a
    /// revocation list of one authority does not apply to another.
    #[must_use]
    pub fn name(&self) -> String {
        let hash = blake3::hash(self.key.public_key_raw()).to_hex();
        format!("quorate {} authority {}", self.role, &hash[..16])
    }

    fn params(&self) -> Result<CertificateParams, CertsError> {
        let mut params = params(&self.name(), AUTHORITY_DAYS)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(params)
    }

    /// Issues a certificate of `principal` that is valid for `days` from now. With 0 days it has
    /// expired already.
    ///
    /// # Errors
    /// [`CertsError::RoleMismatch`] if the principal has a different role than the authority;
    /// [`CertsError::TooLong`] if there are too many days; [`CertsError::Generation`] otherwise,
    /// most often because the authority's key does not match its certificate.
    pub fn issue(
        &self,
        cluster: ClusterId,
        principal: &Principal,
        days: u32,
    ) -> Result<IssuedCertificate, CertsError> {
        if principal.role() != self.role {
            let (authority, requested) = (self.role, principal.role());
            return Err(CertsError::RoleMismatch { authority, requested });
        }
        let mut issued = params(&principal.to_string(), days)?;
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
        let authority = self.params()?;
        let certificate = issued.signed_by(&key, &Issuer::from_params(&authority, &self.key))?;
        if days > 0 {
            check_issued(certificate.der(), &self.certificate).map_err(CertsError::Generation)?;
        }
        Ok(IssuedCertificate { certificate: certificate.pem(), key: key.serialize_pem() })
    }

    /// Returns the revocation list of `certificates`, in PEM format, for
    /// `TlsConfig::revocation_lists`. It replaces earlier lists of this authority, and so must
    /// contain every revoked certificate.
    ///
    /// # Errors
    /// [`CertsError::Generation`] if one of the certificates cannot be parsed.
    pub fn revoke(&self, certificates: &[&str]) -> Result<String, CertsError> {
        let (origin, now) = (rcgen::date_time_ymd(1970, 1, 1), unix_time());
        let revoked = certificates.iter().map(|certificate| {
            let serial = serial(certificate).map_err(CertsError::Generation)?;
            Ok(RevokedCertParams {
                serial_number: SerialNumber::from_slice(&serial),
                revocation_time: origin + now,
                reason_code: None,
                invalidity_date: None,
            })
        });
        let list = CertificateRevocationListParams {
            this_update: origin + now - BACKDATED_BY,
            next_update: origin + now + Duration::from_secs(u64::from(AUTHORITY_DAYS) * 24 * 3600),
            crl_number: SerialNumber::from(now.as_secs()),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect::<Result<_, CertsError>>()?,
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        let authority = self.params()?;
        Ok(list.signed_by(&Issuer::from_params(&authority, &self.key))?.pem()?)
    }
}

/// The name in an authority's file names, after the role. No principal may have this name.
const AUTHORITY_NAME: &str = "authority";

/// The lock file of the directory. Writers wait for its lock, so that a key and a certificate of
/// the same name are from the same run, unless that run was killed between the two.
const LOCK_NAME: &str = "lock";

/// The file with the revocation lists of the authorities.
const REVOKED_NAME: &str = "revoked.pem";

/// The start and the end of the name of a file while it is written.
const TEMPORARY_NAME: [&str; 2] = [".written-", ".new"];

/// A directory with the authorities of all roles and the certificates that they have issued:
/// `node-authority.pem` and `.key`, the same for `client` and `admin`, and for each principal a
/// `.pem` and a `.key`: `node-1`, `client-NAME`, `admin-NAME`. The file `revoked.pem`, which is
/// optional, has the revocation lists of the authorities. Several processes may issue concurrently;
/// each waits for the lock file `lock`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory(PathBuf);

impl Directory {
    /// Opens the directory at `path`, which is created if it is missing.
    ///
    /// # Errors
    /// [`CertsError::File`].
    pub fn open(path: impl Into<PathBuf>) -> Result<Directory, CertsError> {
        let path = path.into();
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        // Only its owner may see the keys.
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        match builder.create(&path) {
            Ok(()) => Ok(Directory(path)),
            Err(error) => Err(CertsError::File(path, error)),
        }
    }

    /// Returns the authority of a role, which is generated if it is missing.
    ///
    /// # Errors
    /// A [`CertsError`].
    pub fn authority(&self, role: Role) -> Result<Authority, CertsError> {
        let [certificate, key] = self.paths(&format!("{role}-{AUTHORITY_NAME}"));
        let _lock = if certificate.exists() && key.exists() { None } else { Some(self.lock()?) };
        self.authority_locked(role)
    }

    /// Returns the authority of a role; the caller holds the lock if a file is missing.
    fn authority_locked(&self, role: Role) -> Result<Authority, CertsError> {
        let [certificate, key] = self.paths(&format!("{role}-{AUTHORITY_NAME}"));
        if !certificate.exists() {
            // A run that was killed may have left a key, which is written first.
            let authority = match key.exists() {
                true => Authority::with_key(role, KeyPair::from_pem(&read(&key)?)?)?,
                false => Authority::new(role)?,
            };
            write(&key, &authority.key(), 0o600)?;
            write(&certificate, authority.certificate(), 0o644)?;
        }
        Authority::from_pem(role, &read(&certificate)?, &read(&key)?)
    }

    /// Issues a certificate that replaces an earlier one of the principal, and generates the
    /// missing authorities of all roles. Returns the paths of all files that the principal needs.
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
            && &**name == AUTHORITY_NAME
        {
            return Err(CertsError::ReservedName);
        }
        let _lock = self.lock()?;
        for role in Role::ALL {
            self.authority_locked(role)?;
        }
        let issued = self.authority_locked(principal.role())?.issue(cluster, principal, days)?;
        let config = self.config(principal);
        write(&config.certificate, &issued.certificate, 0o644)?;
        write(&config.key, &issued.key, 0o600)?;
        Ok(config)
    }

    /// Waits for the lock, and removes the temporary files of killed processes.
    fn lock(&self) -> Result<File, CertsError> {
        let path = self.0.join(LOCK_NAME);
        let locked = || {
            let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path)?;
            lock.lock()?;
            for entry in fs::read_dir(&self.0)? {
                let entry = entry?;
                let name = entry.file_name();
                let name = name.to_string_lossy();
                if name.starts_with(TEMPORARY_NAME[0]) && name.ends_with(TEMPORARY_NAME[1]) {
                    fs::remove_file(entry.path())?;
                }
            }
            Ok(lock)
        };
        locked().map_err(|error| CertsError::File(path.clone(), error))
    }

    /// Returns the paths of all files that the principal needs, whether or not they exist, and that
    /// of the revocation lists, `revoked.pem`, which is optional.
    #[must_use]
    pub fn config(&self, principal: &Principal) -> TlsConfig {
        let [certificate, key] = self.paths(&match principal {
            Principal::Node(id) => format!("node-{}", id.0),
            Principal::Client(name) => format!("client-{name}"),
            Principal::Admin(name) => format!("admin-{name}"),
        });
        let [nodes, clients, admins] =
            Role::ALL.map(|role| self.paths(&format!("{role}-{AUTHORITY_NAME}"))[0].clone());
        let mut config = TlsConfig::new(certificate, key, nodes);
        config.revocation_lists = Some(self.0.join(REVOKED_NAME));
        config.revocation_lists_optional = true;
        if principal.role() == Role::Node {
            (config.client_authorities, config.admin_authorities) = (Some(clients), Some(admins));
        }
        config
    }

    /// Returns the path of a certificate and the path of its key.
    fn paths(&self, name: &str) -> [PathBuf; 2] {
        ["pem", "key"].map(|end| self.0.join(format!("{name}.{end}")))
    }
}

/// Returns the parameters that all certificates set: the subject and the validity.
fn params(name: &str, days: u32) -> Result<CertificateParams, CertsError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let (origin, now) = (rcgen::date_time_ymd(1970, 1, 1), unix_time());
    params.not_before = origin + now - BACKDATED_BY;
    let validity = Duration::from_secs(u64::from(days) * 24 * 3600);
    params.not_after = match days {
        0 => origin + now - BACKDATED_BY / 2,
        days => validity
            .try_into()
            .ok()
            .and_then(|validity| (origin + now).checked_add(validity))
            .filter(|end| end.year() <= 9999)
            .ok_or(CertsError::TooLong(days))?,
    };
    Ok(params)
}

fn read(path: &Path) -> Result<String, CertsError> {
    let text = open_regular_file(path).and_then(|file| read_bounded_text(file, FILE_BYTES_MAX));
    text.map_err(|error| CertsError::File(path.to_owned(), error))
}

/// Replaces the file atomically: a concurrent reader reads the old contents or the new. The file
/// never has wider permissions than `mode`.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), CertsError> {
    let written = || {
        let mut temporary = tempfile::Builder::new();
        temporary.prefix(TEMPORARY_NAME[0]).suffix(TEMPORARY_NAME[1]);
        #[cfg(unix)]
        temporary.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
        #[cfg(not(unix))]
        let _ = mode;
        let directory = path.parent().expect("the path has a directory");
        let mut file = temporary.tempfile_in(directory)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        // A power failure must not remove the key of an authority whose certificates are in use.
        #[cfg(unix)]
        File::open(directory)?.sync_all()?;
        Ok(())
    };
    written().map_err(|error: io::Error| CertsError::File(path.to_owned(), error))
}

impl fmt::Debug for IssuedCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("IssuedCertificate");
        debug.field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

impl From<rcgen::Error> for CertsError {
    fn from(error: rcgen::Error) -> CertsError {
        CertsError::Generation(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::tls::Tls;
    use crate::types::NodeId;

    const CLUSTER: ClusterId = ClusterId(0xc1);

    /// Returns the names of the files in the directory, with the permissions of their group and of
    /// all others.
    #[cfg(unix)]
    fn modes(directory: &Path) -> Vec<(String, u32)> {
        let mode = |entry: fs::DirEntry| {
            let mode = entry.metadata().expect("the file exists");
            let mode = std::os::unix::fs::MetadataExt::mode(&mode) & 0o077;
            (entry.file_name().to_string_lossy().into_owned(), mode)
        };
        fs::read_dir(directory).expect("the directory exists").flatten().map(mode).collect()
    }

    #[test]
    fn concurrent_runs_do_not_mix_their_keys() {
        let root = tempfile::tempdir().expect("the directory is writable");
        let issue = || {
            let directory = Directory::open(root.path()).expect("the directory is writable");
            directory
                .issue(CLUSTER, &Principal::Node(NodeId(1)), 1)
                .expect("the directory is writable")
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..4).for_each(|_| drop(issue())));
            }
        });
        let own = Directory(root.path().to_owned()).config(&Principal::Node(NodeId(1)));
        assert!(Tls::for_node(own, CLUSTER, NodeId(1)).is_ok(), "the key does not match");
        for role in Role::ALL {
            let authority = Directory(root.path().to_owned()).authority(role);
            let client = Principal::Client("app".into());
            let admin = Principal::Admin("ops".into());
            let any = [Principal::Node(NodeId(2)), client, admin];
            let named = any.iter().find(|principal| principal.role() == role);
            let issued =
                authority.and_then(|own| own.issue(CLUSTER, named.expect("each role has one"), 1));
            assert!(issued.is_ok(), "the authority's key does not match");
        }
    }

    #[test]
    fn a_run_that_was_killed_before_it_wrote_the_certificate_is_continued() {
        let root = tempfile::tempdir().expect("the directory is writable");
        let directory = Directory::open(root.path()).expect("the directory is writable");
        let issue = || directory.issue(CLUSTER, &Principal::Node(NodeId(1)), 1);
        issue().expect("the directory is writable");
        let [certificate, key] = directory.paths("node-authority");
        let old_key = read(&key).expect("the key exists");
        fs::remove_file(&certificate).expect("the certificate exists");
        issue().expect("the certificate is generated again");
        assert_eq!(read(&key).expect("the key exists"), old_key);
        fs::remove_file(&key).expect("the key exists");
        assert!(issue().is_err(), "a key that was moved away is not replaced");
    }

    #[test]
    fn the_revocation_lists_of_a_directory_are_used_as_soon_as_it_has_them() {
        let root = tempfile::tempdir().expect("the directory is writable");
        let directory = Directory::open(root.path()).expect("the directory is writable");
        let node = Principal::Node(NodeId(1));
        let issued = directory.issue(CLUSTER, &node, 1).expect("the directory is writable");
        let load = || Tls::for_node(directory.config(&node), CLUSTER, NodeId(1));
        let running = load().expect("the file is optional");
        running.reload().expect("the file is optional");
        let authority = directory.authority(Role::Node).expect("it exists");
        let certificate = read(&issued.certificate).expect("the certificate exists");
        let revoked = root.path().join(REVOKED_NAME);
        for (all, is_valid) in [(&[] as &[&str], true), (&[&certificate], false)] {
            let list = authority.revoke(all).expect("it can be generated");
            fs::write(&revoked, list).expect("the directory is writable");
            assert_eq!(load().is_ok(), is_valid, "{:?}", load().err());
            assert_eq!(running.reload().is_ok(), is_valid, "{:?}", running.reload());
        }
        fs::write(&revoked, "").expect("the directory is writable");
        assert!(load().is_err(), "a file without a list is an error");
        fs::remove_file(&revoked).expect("the file exists");
        assert!(load().is_ok(), "the file is optional");
        let error = running.reload().expect_err("the lists were used");
        assert!(error.to_string().contains("were used until now"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_revocation_lists_that_are_missing_is_an_error() {
        let root = tempfile::tempdir().expect("the directory is writable");
        let directory = Directory::open(root.path()).expect("the directory is writable");
        let node = Principal::Node(NodeId(1));
        let issued = directory.issue(CLUSTER, &node, 1).expect("the directory is writable");
        let link = root.path().join(REVOKED_NAME);
        std::os::unix::fs::symlink("absent", &link).expect("the directory is writable");
        let error = Tls::for_node(issued, CLUSTER, NodeId(1)).expect_err("the file is missing");
        assert_eq!(error.file(), link);
    }

    #[test]
    fn a_certificate_that_ends_after_the_year_9999_is_rejected() {
        let authority = Authority::new(Role::Node).expect("a key can be generated");
        let issue = |days| authority.issue(CLUSTER, &Principal::Node(NodeId(1)), days);
        assert!(issue(2_900_000).is_ok());
        for days in [3_000_000, u32::MAX] {
            let error = issue(days).expect_err("the year has five digits");
            assert!(matches!(error, CertsError::TooLong(found) if found == days), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn keys_are_private_and_temporary_files_are_removed() {
        let root = tempfile::tempdir().expect("the directory is writable");
        fs::write(root.path().join(".written-killed.new"), "half a key")
            .expect("the directory is writable");
        let directory = Directory::open(root.path()).expect("the directory is writable");
        directory
            .issue(CLUSTER, &Principal::Node(NodeId(1)), 1)
            .expect("the directory is writable");
        let found = modes(root.path());
        assert_eq!(found.len(), 4 * 2 + 1, "{found:?}");
        for (name, mode) in found.iter().filter(|(name, _)| name.ends_with(".key")) {
            assert_eq!(*mode, 0, "{name}");
        }
    }
}
