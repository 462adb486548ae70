//! Whether somebody who is trusted vouches for a certificate, and whom it names.

use rustls::CertificateError;
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{
    CertRevocationList, EndEntityCert, KeyUsage, RevocationOptionsBuilder, UnknownStatusPolicy,
};

use crate::runtime::principal::{Principal, Role};
use crate::runtime::refusal::{Refusal, refused};
use crate::storage::ClusterId;

/// Who is trusted with what.
#[derive(Debug)]
pub(super) struct Trusted {
    pub(super) nodes: RootCertStore,
    pub(super) clients: RootCertStore,
    pub(super) admins: RootCertStore,
    pub(super) revoked: Vec<CertRevocationList<'static>>,
}

/// What the other side uses its certificate as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Usage {
    Client,
    Server,
}

impl Trusted {
    fn roots(&self, role: Role) -> &RootCertStore {
        match role {
            Role::Node => &self.nodes,
            Role::Client => &self.clients,
            Role::Admin => &self.admins,
        }
    }

    /// Whom the certificate is for, if that is somebody of `cluster` and an authority of its role
    /// vouches for it now.
    pub(super) fn principal(
        &self,
        cluster: ClusterId,
        certificates: &[CertificateDer<'_>],
        usage: Usage,
        now: UnixTime,
    ) -> Result<Principal, rustls::Error> {
        let Some((own, between)) = certificates.split_first() else {
            return Err(rustls::Error::NoCertificatesPresented);
        };
        let (named, principal) = whose(own)?;
        self.vouch(principal.role(), own, between, usage, now).map_err(|error| faulty(&error))?;
        if named != cluster {
            let what = format_args!("the certificate is of cluster {named}, not of {cluster}");
            return Err(objection(Refusal::Cluster, what));
        }
        Ok(principal)
    }

    /// The last second of the certificate; none if it has none, or does not count anyway.
    pub(super) fn over(
        &self,
        certificates: &[CertificateDer<'_>],
        usage: Usage,
    ) -> Option<UnixTime> {
        // Asked whether it counts at the end of all time, the library tells until when it does.
        let end = UnixTime::since_unix_epoch(std::time::Duration::from_secs(u64::MAX));
        let (own, between) = certificates.split_first()?;
        let (_, principal) = whose(own).ok()?;
        match self.vouch(principal.role(), own, between, usage, end) {
            Err(webpki::Error::CertExpired { not_after, .. }) => Some(not_after),
            _ => None,
        }
    }

    /// Whether an authority of the role vouches for the certificate at that time.
    fn vouch(
        &self,
        role: Role,
        own: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        usage: Usage,
        time: UnixTime,
    ) -> Result<(), webpki::Error> {
        let parsed = EndEntityCert::try_from(own)?;
        let usage = match usage {
            Usage::Client => KeyUsage::client_auth(),
            Usage::Server => KeyUsage::server_auth(),
        };
        let revoked: Vec<&CertRevocationList<'_>> = self.revoked.iter().collect();
        // An authority without a list has taken nothing back.
        let revocation = RevocationOptionsBuilder::new(&revoked)
            .ok()
            .map(|builder| builder.with_status_policy(UnknownStatusPolicy::Allow).build());
        let algorithms = ring::default_provider().signature_verification_algorithms;
        let roots = &self.roots(role).roots;
        parsed
            .verify_for_usage(algorithms.all, roots, between, time, usage, revocation, None)
            .map(|_| ())
    }
}

/// Whom a certificate names, whoever vouches for it.
pub(super) fn whose(
    certificate: &CertificateDer<'_>,
) -> Result<(ClusterId, Principal), rustls::Error> {
    let parsed = EndEntityCert::try_from(certificate).map_err(|error| faulty(&error))?;
    let mut uris = parsed.valid_uri_names();
    // More than one name would leave it to each reader whom to believe in.
    match (uris.next().and_then(Principal::of_uri), uris.next()) {
        (Some(named), None) => Ok(named),
        _ => {
            let what = "the certificate does not say by one URI, quorate://CLUSTER/ROLE/NAME, \
                        whom it is for";
            Err(objection(Refusal::Nameless, what))
        }
    }
}

/// An error with a reason to count.
fn objection(why: Refusal, what: impl std::fmt::Display) -> rustls::Error {
    let error = std::sync::Arc::new(refused(why, what));
    CertificateError::Other(rustls::OtherError(error)).into()
}

/// What the library has found, as the other side is told it.
fn faulty(error: &webpki::Error) -> rustls::Error {
    use webpki::Error;

    let error = match error {
        Error::CertExpired { .. } | Error::InvalidCertValidity => CertificateError::Expired,
        Error::CertNotValidYet { .. } => CertificateError::NotValidYet,
        Error::UnknownIssuer => CertificateError::UnknownIssuer,
        Error::CertRevoked => CertificateError::Revoked,
        Error::BadDer | Error::BadDerTime | Error::TrailingData(_) => CertificateError::BadEncoding,
        _ => return objection(Refusal::Untrusted, format_args!("the certificate: {error}")),
    };
    error.into()
}

/// What is counted for an error of TLS.
pub(super) fn reason(error: &rustls::Error) -> Refusal {
    use rustls::Error;

    match error {
        Error::InvalidCertificate(error) => match error {
            CertificateError::Expired | CertificateError::NotValidYet => Refusal::Expired,
            CertificateError::BadEncoding => Refusal::Nameless,
            CertificateError::Other(other) => {
                let refused = other.0.downcast_ref::<std::io::Error>().and_then(Refusal::of);
                refused.unwrap_or(Refusal::Untrusted)
            }
            _ => Refusal::Untrusted,
        },
        Error::NoCertificatesPresented => Refusal::NoCertificate,
        Error::PeerIncompatible(_) => Refusal::TlsVersion,
        Error::InvalidMessage(_) => Refusal::NotTls,
        _ => Refusal::Tls,
    }
}

/// Whether `authority`, a certificate as PEM, vouches for `certificate`.
#[cfg(feature = "certs")]
pub(in crate::runtime) fn check_issued(
    certificate: &CertificateDer<'_>,
    authority: &str,
) -> Result<(), String> {
    use rustls::pki_types::pem::PemObject;

    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_slice(authority.as_bytes());
    let authority = authority.map_err(|error| format!("the authority's certificate: {error}"))?;
    roots.add(authority).map_err(|error| format!("the authority's certificate: {error}"))?;
    let trusted = Trusted {
        nodes: roots.clone(),
        clients: roots.clone(),
        admins: roots,
        revoked: Vec::new(),
    };
    let named = whose(certificate);
    let (cluster, _) = named.map_err(|error| error.to_string())?;
    match trusted.principal(
        cluster,
        std::slice::from_ref(certificate),
        Usage::Client,
        UnixTime::now(),
    ) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("the key is not that of the authority's certificate: {error}")),
    }
}

/// The number of a certificate, given as PEM.
#[cfg(feature = "certs")]
pub(in crate::runtime) fn serial(certificate: &str) -> Result<Vec<u8>, String> {
    use rustls::pki_types::pem::PemObject;

    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes());
    let certificate = certificate.map_err(|error| error.to_string())?;
    let parsed = EndEntityCert::try_from(&certificate).map_err(|error| error.to_string())?;
    Ok(parsed.serial().to_vec())
}
