//! The reasons for which TLS fails, in words, for logs and error messages.

use rustls::{AlertDescription, CertificateError, Error};

/// Returns the reason for which TLS failed, in words.
pub(super) fn refusal(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(error) => certificate_refusal(error),
        Error::NoCertificatesPresented => "the remote presented no certificate".to_owned(),
        Error::PeerIncompatible(_) => {
            "the remote supports no TLS version or algorithm that this end accepts: TLS 1.3 is \
             needed"
                .to_owned()
        }
        Error::InvalidMessage(_) => "the remote sent bytes that are not TLS: both ends need \
                                     certificates, or neither"
            .to_owned(),
        // A node without TLS answers with this alert; one with TLS sends it only to an end that
        // breaks the rules of TLS.
        Error::AlertReceived(AlertDescription::UnexpectedMessage) => {
            "the remote does not use TLS, but this end does: both need certificates, or neither"
                .to_owned()
        }
        Error::PeerMisbehaved(_) | Error::InappropriateMessage { .. } => {
            "the remote broke the rules of TLS".to_owned()
        }
        Error::DecryptError => "a record of the remote cannot be decrypted".to_owned(),
        Error::PeerSentOversizedRecord => "the remote sent a record that is too long".to_owned(),
        Error::AlertReceived(alert) => format!("the remote ended TLS: {}", alert_text(*alert)),
        Error::General(text) => text.clone(),
        _ => "the TLS handshake failed".to_owned(),
    }
}

fn certificate_refusal(error: &CertificateError) -> String {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the certificate has expired: issue a new one"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the certificate is not valid yet: compare the clocks of both machines"
        }
        CertificateError::UnknownIssuer => {
            "no trusted authority of its role has issued the certificate"
        }
        CertificateError::Revoked => "the certificate was revoked",
        CertificateError::BadEncoding => "the certificate cannot be parsed",
        CertificateError::BadSignature => "the signature of the handshake is invalid",
        CertificateError::Other(other) => return other.0.to_string(),
        _ => "the certificate cannot be accepted",
    }
    .to_owned()
}

/// Returns the rule that a certificate or its chain breaks, in words.
pub(super) fn broken_rule(error: &webpki::Error) -> &'static str {
    use webpki::Error;

    match error {
        Error::RequiredEkuNotFoundContext(_) | Error::EmptyEkuExtension => {
            "its extended key usage does not permit this end of a connection: every certificate \
             needs clientAuth, and that of a node also serverAuth"
        }
        Error::CaUsedAsEndEntity => "it is the certificate of an authority",
        Error::EndEntityUsedAsCa => "its issuer is not an authority",
        Error::PathLenConstraintViolated => "its chain is longer than an authority permits",
        Error::NameConstraintViolation => "its name is not one that its authority may issue",
        Error::InvalidSignatureForPublicKey => "its signature is invalid",
        Error::UnsupportedCriticalExtension => "it has a critical extension that is not supported",
        Error::InvalidCrlSignatureForPublicKey => "the signature of a revocation list is invalid",
        Error::CrlExpired { .. } => "the revocation list of its authority has expired",
        _ => "it, or its chain, breaks a rule of X.509",
    }
}

fn alert_text(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateExpired => "this end's certificate has expired",
        AlertDescription::CertificateRevoked => "this end's certificate was revoked",
        AlertDescription::UnknownCA => {
            "it trusts no authority that has issued this end's certificate"
        }
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::AccessDenied => {
            "it does not accept this end's certificate; its log names the reason"
        }
        AlertDescription::CertificateRequired => "it requires a certificate of this end",
        AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure => {
            "it supports no TLS version or algorithm of this end"
        }
        other => return format!("alert {}", u8::from(other)),
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_sentences_without_names_of_types() {
        let errors = [
            Error::InvalidCertificate(CertificateError::UnknownIssuer),
            Error::InvalidCertificate(CertificateError::Expired),
            Error::InvalidCertificate(CertificateError::UnhandledCriticalExtension),
            Error::NoCertificatesPresented,
            Error::DecryptError,
            Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType),
            Error::PeerIncompatible(rustls::PeerIncompatible::Tls13RequiredForQuic),
            Error::AlertReceived(AlertDescription::UnknownCA),
            Error::AlertReceived(AlertDescription::NoRenegotiation),
            Error::BadMaxFragmentSize,
        ];
        for error in errors {
            let text = refusal(&error);
            let is_type_name = |word: &str| {
                let mut upper = word.char_indices().filter(|(_, c)| c.is_ascii_uppercase());
                upper.any(|(at, _)| at > 0) && word.chars().any(|c| c.is_ascii_lowercase())
            };
            assert!(!text.split(' ').any(is_type_name), "{text}");
            assert!(text.contains(' ') && !text.contains(['(', '{']), "{text}");
        }
    }
}
