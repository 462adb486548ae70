//! The certificate verifier that is plugged into rustls.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible, SignatureScheme};

use crate::runtime::principal::Principal;
use crate::runtime::tls::chain::{CertificateUsage, TrustAnchors};
use crate::storage::ClusterId;

/// Verifies the certificates of one cluster.
#[derive(Debug)]
pub(super) struct Verifier {
    cluster: ClusterId,
    anchors: TrustAnchors,
    /// The names of all authorities, by which a caller with several certificates can choose one.
    authorities: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    pub(super) fn new(cluster: ClusterId, trusted: TrustAnchors) -> Arc<Verifier> {
        let all = [&trusted.nodes, &trusted.clients, &trusted.admins];
        let authorities = all.into_iter().flat_map(|roots| roots.subjects()).collect();
        let algorithms = ring::default_provider().signature_verification_algorithms;
        Arc::new(Verifier { cluster, anchors: trusted, authorities, algorithms })
    }

    /// Returns the principal of the first certificate, if its chain is valid.
    pub(super) fn principal(
        &self,
        certificates: &[CertificateDer<'_>],
        usage: CertificateUsage,
        now: UnixTime,
    ) -> Result<Principal, Error> {
        self.anchors.principal(self.cluster, certificates, usage, now)
    }

    /// Returns [`TrustAnchors::expiry`] of the first certificate.
    pub(super) fn expiry(
        &self,
        certificates: &[CertificateDer<'_>],
        usage: CertificateUsage,
    ) -> Option<UnixTime> {
        self.anchors.expiry(certificates, usage)
    }

    fn check(
        &self,
        own: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        usage: CertificateUsage,
        now: UnixTime,
    ) -> Result<(), Error> {
        let chain: Vec<CertificateDer<'_>> = [own]
            .into_iter()
            .chain(intermediates)
            .map(|certificate| certificate.as_ref().into())
            .collect();
        self.principal(&chain, usage, now).map(|_| ())
    }
}

/// The methods about signatures, which both traits require.
macro_rules! tls13_signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(PeerIncompatible::Tls13RequiredForQuic.into())
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            own: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls13_signature(message, own, signature, &self.algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.algorithms.supported_schemes()
        }
    };
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.authorities
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(own, intermediates, CertificateUsage::Client, now)?;
        Ok(ClientCertVerified::assertion())
    }

    tls13_signatures!();
}

impl ServerCertVerifier for Verifier {
    /// Ignores the host name: the caller compares the node id after the handshake.
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(own, intermediates, CertificateUsage::Server, now)?;
        Ok(ServerCertVerified::assertion())
    }

    tls13_signatures!();
}
