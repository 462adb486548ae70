//! How the TLS library asks whether the other side is trusted.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible, SignatureScheme};

use crate::runtime::principal::Principal;
use crate::runtime::tls::chain::{Trusted, Usage};
use crate::storage::ClusterId;

/// Who is trusted, and as whom.
#[derive(Debug)]
pub(super) struct Verifier {
    cluster: ClusterId,
    trusted: Trusted,
    /// Of every authority: who calls may have more than one certificate to choose from.
    authorities: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    pub(super) fn new(cluster: ClusterId, trusted: Trusted) -> Arc<Verifier> {
        let all = [&trusted.nodes, &trusted.clients, &trusted.admins];
        let authorities = all.into_iter().flat_map(|roots| roots.subjects()).collect();
        let algorithms = ring::default_provider().signature_verification_algorithms;
        Arc::new(Verifier { cluster, trusted, authorities, algorithms })
    }

    /// Whom the certificates are for: their own one first.
    pub(super) fn principal(
        &self,
        certificates: &[CertificateDer<'_>],
        usage: Usage,
        now: UnixTime,
    ) -> Result<Principal, Error> {
        self.trusted.principal(self.cluster, certificates, usage, now)
    }

    /// The last second of the first one of them.
    pub(super) fn over(
        &self,
        certificates: &[CertificateDer<'_>],
        usage: Usage,
    ) -> Option<UnixTime> {
        self.trusted.over(certificates, usage)
    }

    fn check(
        &self,
        own: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        usage: Usage,
        now: UnixTime,
    ) -> Result<(), Error> {
        let chain: Vec<CertificateDer<'_>> =
            [own].into_iter().chain(between).map(|part| part.as_ref().into()).collect();
        self.principal(&chain, usage, now).map(|_| ())
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.authorities
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(own, between, Usage::Client, now)?;
        Ok(ClientCertVerified::assertion())
    }

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
}

impl ServerCertVerifier for Verifier {
    /// Names of hosts say nothing here: which node it is, is compared once that is known.
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(own, between, Usage::Server, now)?;
        Ok(ServerCertVerified::assertion())
    }

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
}
