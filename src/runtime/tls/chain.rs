//! The verification of certificate chains, and the principals that certificates name.

use std::cell::Cell;

use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::{AlertDescription, CertificateError};
use webpki::{
    CertRevocationList, EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter, KeyUsage,
    RevocationOptionsBuilder, UnknownStatusPolicy,
};

use crate::runtime::principal::{Principal, Role};
use crate::runtime::rejected_connections::{ConnectionRejectReason, reject};
use crate::runtime::tls::refusals::{broken_rule, refusal};
use crate::storage::ClusterId;

/// The trusted authorities of each role, and the lists of revoked certificates.
#[derive(Debug)]
pub(super) struct TrustAnchors {
    pub(super) nodes: RootCertStore,
    pub(super) clients: RootCertStore,
    pub(super) admins: RootCertStore,
    pub(super) revocation_lists: Vec<CertRevocationList<'static>>,
}

/// The side of the TLS connection on which a certificate is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CertificateUsage {
    Client,
    Server,
}

impl TrustAnchors {
    fn roots(&self, role: Role) -> &RootCertStore {
        match role {
            Role::Node => &self.nodes,
            Role::Client => &self.clients,
            Role::Admin => &self.admins,
        }
    }

    /// Returns the principal of the first certificate, if an authority of its role has issued it,
    /// it is valid `now` for `usage`, and it belongs to `cluster`.
    pub(super) fn principal(
        &self,
        cluster: ClusterId,
        certificates: &[CertificateDer<'_>],
        usage: CertificateUsage,
        now: UnixTime,
    ) -> Result<Principal, rustls::Error> {
        let Some((own, intermediates)) = certificates.split_first() else {
            return Err(rustls::Error::NoCertificatesPresented);
        };
        let (named, principal) = principal_of(own)?;
        self.verify_chain(principal.role(), own, intermediates, usage, now)
            .map_err(|error| certificate_error(&error))?;
        if named != cluster {
            let message = format_args!(
                "the certificate belongs to cluster {named}, not to {cluster}: use a certificate \
                 of this cluster"
            );
            return Err(rejection(ConnectionRejectReason::OtherCluster, message));
        }
        Ok(principal)
    }

    /// Returns the last second at which the first certificate is valid, even if it breaks other
    /// rules. Ignores when its issuers expire. Returns `None` if the certificate cannot be parsed.
    pub(super) fn expiry(
        &self,
        certificates: &[CertificateDer<'_>],
        usage: CertificateUsage,
    ) -> Option<UnixTime> {
        // At the largest time, verification fails as expired, and the error contains the expiry.
        let end = UnixTime::since_unix_epoch(std::time::Duration::from_secs(u64::MAX));
        let (own, intermediates) = certificates.split_first()?;
        let (_, principal) = principal_of(own).ok()?;
        match self.verify_chain(principal.role(), own, intermediates, usage, end) {
            Err(webpki::Error::CertExpired { not_after, .. }) => Some(not_after),
            _ => None,
        }
    }

    /// Verifies that an authority of the role has issued the certificate for `usage`, and that it
    /// is neither revoked nor, at `time`, expired.
    fn verify_chain(
        &self,
        role: Role,
        own: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        usage: CertificateUsage,
        time: UnixTime,
    ) -> Result<(), webpki::Error> {
        let parsed = EndEntityCert::try_from(own)?;
        let usage = RequiredUsage::new(usage);
        let revoked: Vec<&CertRevocationList<'_>> = self.revocation_lists.iter().collect();
        // Certificates of an authority without a revocation list count as not revoked.
        let revocation = RevocationOptionsBuilder::new(&revoked)
            .ok()
            .map(|builder| builder.with_status_policy(UnknownStatusPolicy::Allow).build());
        let algorithms = ring::default_provider().signature_verification_algorithms;
        let roots = &self.roots(role).roots;
        parsed
            .verify_for_usage(algorithms.all, roots, intermediates, time, usage, revocation, None)
            .map(|_| ())
    }
}

/// The extended key usage that a certificate must have. Its issuers need it only if they have any
/// extended key usage.
struct RequiredUsage {
    own: KeyUsage,
    issuers: KeyUsage,
    /// Whether the certificate itself, which is validated before its issuers, was validated.
    own_done: Cell<bool>,
}

impl RequiredUsage {
    /// The object identifiers of the two usages, encoded (RFC 5280 §4.2.1.12).
    const SERVER_AUTH: &[u8] = &[43, 6, 1, 5, 5, 7, 3, 1];
    const CLIENT_AUTH: &[u8] = &[43, 6, 1, 5, 5, 7, 3, 2];

    fn new(usage: CertificateUsage) -> RequiredUsage {
        let id = match usage {
            CertificateUsage::Client => RequiredUsage::CLIENT_AUTH,
            CertificateUsage::Server => RequiredUsage::SERVER_AUTH,
        };
        RequiredUsage {
            own: KeyUsage::required(id),
            issuers: KeyUsage::required_if_present(id),
            own_done: Cell::new(false),
        }
    }
}

impl ExtendedKeyUsageValidator for RequiredUsage {
    fn validate(&self, usages: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        match self.own_done.replace(true) {
            false => self.own.validate(usages),
            true => self.issuers.validate(usages),
        }
    }
}

/// Returns the cluster and the principal that a certificate names, without verifying its issuer.
pub(super) fn principal_of(
    certificate: &CertificateDer<'_>,
) -> Result<(ClusterId, Principal), rustls::Error> {
    let parsed = EndEntityCert::try_from(certificate).map_err(|error| certificate_error(&error))?;
    let mut uris = parsed.valid_uri_names();
    // With more than one URI, two verifiers could see different principals.
    match (uris.next().and_then(Principal::from_uri), uris.next()) {
        (Some(named), None) => Ok(named),
        _ => {
            let message = "the certificate does not name its principal by exactly one URI of the \
                           form quorate://CLUSTER/ROLE/NAME";
            Err(rejection(ConnectionRejectReason::NoPrincipal, message))
        }
    }
}

/// Returns a TLS error that is counted for `reason`.
fn rejection(reason: ConnectionRejectReason, message: impl std::fmt::Display) -> rustls::Error {
    let error = std::sync::Arc::new(reject(reason, message));
    CertificateError::Other(rustls::OtherError(error)).into()
}

/// Converts the error, so that rustls sends the matching alert to the remote.
fn certificate_error(error: &webpki::Error) -> rustls::Error {
    use webpki::Error;

    let error = match error {
        Error::CertExpired { .. } | Error::InvalidCertValidity => CertificateError::Expired,
        Error::CertNotValidYet { .. } => CertificateError::NotValidYet,
        Error::UnknownIssuer => CertificateError::UnknownIssuer,
        Error::CertRevoked => CertificateError::Revoked,
        Error::BadDer | Error::BadDerTime | Error::TrailingData(_) => CertificateError::BadEncoding,
        _ => {
            return rejection(
                ConnectionRejectReason::CertificateUntrusted,
                format_args!("the certificate is refused: {}", broken_rule(error)),
            );
        }
    };
    error.into()
}

/// Returns the reason that is counted for a TLS error.
pub(super) fn reject_reason(error: &rustls::Error) -> ConnectionRejectReason {
    use rustls::Error;

    match error {
        Error::InvalidCertificate(error) => match error {
            CertificateError::Expired | CertificateError::NotValidYet => {
                ConnectionRejectReason::CertificateExpired
            }
            CertificateError::BadEncoding => ConnectionRejectReason::NoPrincipal,
            CertificateError::Other(other) => {
                let reason =
                    other.0.downcast_ref::<std::io::Error>().and_then(ConnectionRejectReason::of);
                reason.unwrap_or(ConnectionRejectReason::CertificateUntrusted)
            }
            _ => ConnectionRejectReason::CertificateUntrusted,
        },
        Error::NoCertificatesPresented => ConnectionRejectReason::NoCertificate,
        Error::PeerIncompatible(_) => ConnectionRejectReason::UnsupportedTls,
        Error::InvalidMessage(_) | Error::AlertReceived(AlertDescription::UnexpectedMessage) => {
            ConnectionRejectReason::NotTls
        }
        Error::AlertReceived(alert) if rejects_certificate(*alert) => {
            ConnectionRejectReason::CertificateRejected
        }
        _ => ConnectionRejectReason::TlsFailed,
    }
}

/// Returns true for the alerts by which the remote rejects the certificate of this end.
fn rejects_certificate(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::AccessDenied
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRequired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::DecryptError
            | AlertDescription::UnknownCA
            | AlertDescription::UnsupportedCertificate
    )
}

/// Checks that `authority`, a certificate in PEM format, has issued `certificate`.
#[cfg(feature = "certs")]
pub(in crate::runtime) fn check_issued(
    certificate: &CertificateDer<'_>,
    authority: &str,
) -> Result<(), String> {
    use rustls::pki_types::pem::PemObject;

    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_slice(authority.as_bytes());
    let unreadable = |error: &dyn std::fmt::Display| {
        format!("the authority's certificate cannot be parsed: {error}")
    };
    let authority = authority.map_err(|error| unreadable(&error))?;
    roots.add(authority).map_err(|error| unreadable(&error))?;
    let anchors = TrustAnchors {
        nodes: roots.clone(),
        clients: roots.clone(),
        admins: roots,
        revocation_lists: Vec::new(),
    };
    let named = principal_of(certificate);
    let (cluster, _) = named.map_err(|error| refusal(&error))?;
    match anchors.principal(
        cluster,
        std::slice::from_ref(certificate),
        CertificateUsage::Client,
        UnixTime::now(),
    ) {
        Ok(_) => Ok(()),
        Err(error) => {
            let refusal = refusal(&error);
            Err(format!("the authority's key does not match its certificate: {refusal}"))
        }
    }
}

/// Returns the serial number of a certificate in PEM format.
#[cfg(feature = "certs")]
pub(in crate::runtime) fn serial(certificate: &str) -> Result<Vec<u8>, String> {
    use rustls::pki_types::pem::PemObject;

    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes());
    let certificate = certificate.map_err(|error| error.to_string())?;
    let parsed = EndEntityCert::try_from(&certificate).map_err(|error| error.to_string())?;
    Ok(parsed.serial().to_vec())
}
