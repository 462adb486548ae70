//! The invariants of the URIs in certificates, which a remote chooses, for tests and fuzzing.

use quorate::runtime::{PRINCIPAL_NAME_BYTES_MAX, Principal};

/// Reads the bytes as a URI, and as the end of one that names a cluster.
pub(crate) fn drive(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    check(&text);
    check(&format!("quorate://000000000000000000000000000000c1/{text}"));
    for role in ["node", "client", "admin"] {
        check(&format!("quorate://000000000000000000000000000000c1/{role}/{text}"));
    }
}

/// Asserts that if the URI names a principal, it is the only URI of that principal.
fn check(uri: &str) {
    let Some((cluster, principal)) = Principal::from_uri(uri) else { return };
    assert_eq!(principal.uri(cluster), uri, "{principal}");
    if let Principal::Client(name) | Principal::Admin(name) = &principal {
        assert!((1..=PRINCIPAL_NAME_BYTES_MAX).contains(&name.len()), "{uri}");
        assert!(!name.contains(['/', ' ', '\n', '\0', '"', '=']), "{uri}");
    }
}
