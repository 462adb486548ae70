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
    let found = std::fs::metadata(file).map_err(unreadable)?;
    // To open a named pipe would wait for its other end, in a reload together with the whole node,
    // and a device may have no end.
    if !found.is_file() {
        return Err(TlsError::new(file, format_args!("it is not a regular file")));
    }
    let size = found.len();
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

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    use rustls::pki_types::CertificateDer;

    use super::*;

    #[test]
    fn a_named_pipe_or_a_device_is_not_read() {
        let directory = tempfile::tempdir().expect("a directory");
        let pipe = directory.path().join("revoked.pem");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a named pipe");
        for file in [&*pipe, Path::new("/dev/zero"), directory.path()] {
            let read = pem_items::<CertificateDer<'static>>(file, "certificate");
            let text = read.expect_err("it is no file").to_string();
            assert!(text.contains("it is not a regular file"), "{text}");
        }
    }
}
