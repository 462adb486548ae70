//! Reads the items of a file in PEM format.

use std::path::Path;

use rustls::pki_types::pem::{self, PemObject};

use crate::runtime::tls::config::TlsError;

/// The largest TLS file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Reads all PEM items of one kind from a file; fails if there is none.
pub(super) fn pem_items<T: PemObject>(file: &Path, kind: &str) -> Result<Vec<T>, TlsError> {
    let unreadable =
        |error: std::io::Error| TlsError::new(file, format_args!("cannot read the file: {error}"));
    let size = std::fs::metadata(file).map_err(unreadable)?.len();
    if size > FILE_BYTES_MAX {
        let message = format_args!(
            "the file has {size} bytes, which is too large for PEM: at most {FILE_BYTES_MAX} are \
             read"
        );
        return Err(TlsError::new(file, message));
    }
    let text = std::fs::read(file).map_err(unreadable)?;
    let items: Result<Vec<T>, pem::Error> = T::pem_slice_iter(&text).collect();
    let items = items
        .map_err(|error| TlsError::new(file, format_args!("the file is not valid PEM: {error}")))?;
    if items.is_empty() {
        return Err(TlsError::new(file, format_args!("the file contains no {kind} in PEM format")));
    }
    Ok(items)
}
