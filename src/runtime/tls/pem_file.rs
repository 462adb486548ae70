//! Reads the items of a file in PEM format.

use std::path::Path;

use rustls::pki_types::pem::{self, PemObject};

use crate::runtime::tls::config::TlsError;
use crate::storage::{open_regular_file, read_bounded};

/// The largest TLS file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Reads all PEM items of one kind from a file; fails if there is none.
pub(super) fn pem_items<T: PemObject>(file: &Path, kind: &str) -> Result<Vec<T>, TlsError> {
    let unreadable =
        |error: std::io::Error| TlsError::new(file, format_args!("cannot read the file: {error}"));
    // In a reload, a wait for the other end of a named pipe would stop the whole node.
    let text = open_regular_file(file).and_then(|open| read_bounded(open, FILE_BYTES_MAX));
    let text = text.map_err(unreadable)?;
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

    #[test]
    fn a_file_that_is_too_large_for_pem_is_not_read() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        file.as_file().set_len(FILE_BYTES_MAX + 1).expect("it has no blocks");
        let read = pem_items::<CertificateDer<'static>>(file.path(), "certificate");
        let text = read.expect_err("it is too large").to_string();
        assert!(text.contains("it has more than 4194304 bytes"), "{text}");
    }
}
