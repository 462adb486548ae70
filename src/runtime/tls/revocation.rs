//! Revocation lists (CRLs): their file, and the times at which they expire.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use rustls::pki_types::{CertificateRevocationListDer, UnixTime};
use webpki::{CertRevocationList, OwnedCertRevocationList};

use crate::runtime::tls::config::{TlsConfig, TlsError};
use crate::runtime::tls::pem_file::pem_items;
use crate::types::text::texts;

/// How long before its expiry a list is reported.
const NOTICE: Duration = Duration::from_secs(30 * DAY);

/// The number of seconds in a day.
const DAY: u64 = 24 * 3600;

/// The revocation lists of one reading of the files.
#[derive(Debug, Default)]
pub(super) struct RevocationLists {
    pub(super) lists: Vec<CertRevocationList<'static>>,
    /// For each list that names it, the time at which a newer list should be there.
    pub(super) next_updates: Vec<UnixTime>,
}

/// The expiry of a revocation list that should be replaced by a newer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListExpiry {
    Expired,
    /// The list expires within this number of days.
    Expires(u64),
}

impl RevocationLists {
    /// Reads the lists of the configuration. An optional file may be missing unless it `was_used`
    /// before: without it, the certificates that it revokes would be valid again.
    pub(super) fn read(config: &TlsConfig, was_used: bool) -> Result<RevocationLists, TlsError> {
        let Some(file) = &config.revocation_lists else { return Ok(RevocationLists::default()) };
        // A link exists even if the file that it names does not.
        let found = fs::symlink_metadata(file);
        let is_missing = found.is_err_and(|error| error.kind() == ErrorKind::NotFound);
        match is_missing && config.revocation_lists_optional {
            true if was_used => {
                let message = "the revocation lists in this file were used until now, and the file \
                               is missing: put it back, with an empty list if no certificate is \
                               revoked any more";
                Err(TlsError::new(file, message))
            }
            true => Ok(RevocationLists::default()),
            false => RevocationLists::of_file(file),
        }
    }

    fn of_file(file: &Path) -> Result<RevocationLists, TlsError> {
        let encoded: Vec<CertificateRevocationListDer<'static>> =
            pem_items(file, "revocation list")?;
        let parsed = encoded.iter().map(|list| Ok(OwnedCertRevocationList::from_der(list)?.into()));
        let parsed: Result<Vec<CertRevocationList<'static>>, webpki::Error> = parsed.collect();
        let lists = parsed.map_err(|error| {
            TlsError::new(file, format_args!("a revocation list cannot be parsed: {error}"))
        })?;
        for (index, list) in lists.iter().enumerate() {
            // The TLS library reads only the first list of an authority.
            if lists[..index].iter().any(|earlier| earlier.issuer() == list.issuer()) {
                let message = "the file has two revocation lists of one authority: keep only the \
                               newer one, which contains every revoked certificate";
                return Err(TlsError::new(file, message));
            }
        }
        let next_updates = encoded.iter().filter_map(|list| next_update(list)).collect();
        Ok(RevocationLists { lists, next_updates })
    }
}

impl ListExpiry {
    /// Returns when the list expires, or `None` if it need not be replaced soon.
    pub(super) fn of(next_update: UnixTime, now: UnixTime) -> Option<ListExpiry> {
        match next_update.as_secs().checked_sub(now.as_secs()) {
            None | Some(0) => Some(ListExpiry::Expired),
            Some(left) if left <= NOTICE.as_secs() => Some(ListExpiry::Expires(left.div_ceil(DAY))),
            Some(_) => None,
        }
    }
}

texts! {
    ListExpiry:
    Self::Expired => "a revocation list has expired, and stays in use";
    Self::Expires(1) => "a revocation list expires within a day";
    Self::Expires(days) => "a revocation list expires within {days} days";
}

/// Returns the `nextUpdate` of a list, the second time in its encoding (RFC 5280 §5.1): from then
/// on a newer list should exist. Returns `None` if the encoding is not as expected.
fn next_update(list: &[u8]) -> Option<UnixTime> {
    let (_, list, _) = element(list)?;
    let (_, mut fields, _) = element(list)?;
    let mut times = Vec::new();
    while times.len() < 2 {
        let (tag, content, rest) = element(fields)?;
        fields = rest;
        match tag {
            UTC_TIME => times.push(seconds_of(content, true)?),
            GENERALIZED_TIME => times.push(seconds_of(content, false)?),
            _ => {}
        }
    }
    times.pop().map(|seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
}

/// The tags of the two forms of a time in DER.
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// Returns the tag and the content of the first element in DER, and the bytes after it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match usize::from(*first) {
        short @ 0..0x80 => (short, rest),
        long => {
            let (digits, rest) = rest.split_at_checked(long - 0x80).filter(|_| long <= 0x84)?;
            (digits.iter().fold(0, |length, digit| (length << 8) | usize::from(*digit)), rest)
        }
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

/// Returns the seconds since 1970 of a time like `20300131235959Z`, whose year may have only two
/// digits.
fn seconds_of(time: &[u8], is_short: bool) -> Option<u64> {
    let digits = time.strip_suffix(b"Z")?;
    let is_valid = digits.len() == if is_short { 12 } else { 14 };
    if !is_valid || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = |digits: &[u8]| digits.iter().fold(0, |all, it| all * 10 + u64::from(it - b'0'));
    let (year, rest) = digits.split_at(digits.len() - 10);
    let year = match (is_short, number(year)) {
        (true, year @ 0..50) => 2000 + year,
        (true, year) => 1900 + year,
        (false, year) => year,
    };
    let [month, day, hour, minute, second] = [0, 2, 4, 6, 8].map(|at| number(&rest[at..at + 2]));
    // Days are counted in years that begin on the first of March, so that a leap day is the last of
    // its year.
    let (year, month) =
        if month < 3 { (year.checked_sub(1)?, month + 9) } else { (year, month - 3) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day;
    // The first of January of 1970, counted in the same way.
    let days = days.checked_sub(719_469)?;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_both_forms() {
        assert_eq!(seconds_of(b"19700101000000Z", false), Some(0));
        assert_eq!(seconds_of(b"700101000001Z", true), Some(1));
        assert_eq!(seconds_of(b"20000229235959Z", false), Some(951_868_799));
        assert_eq!(seconds_of(b"000301000000Z", true), Some(951_868_800));
        assert_eq!(seconds_of(b"20360207062816Z", false), Some(2_085_978_496));
        for invalid in [&b"19691231235959Z"[..], b"20360207062816", b"2036020706281Z", b"x", b""] {
            assert_eq!(seconds_of(invalid, false), None);
        }
    }

    #[test]
    fn a_list_is_reported_a_month_before_it_expires() {
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let now = at(100 * DAY);
        for (next_update, expected) in [
            (0, Some(ListExpiry::Expired)),
            (100 * DAY, Some(ListExpiry::Expired)),
            (100 * DAY + 1, Some(ListExpiry::Expires(1))),
            (130 * DAY, Some(ListExpiry::Expires(30))),
            (130 * DAY + 1, None),
        ] {
            assert_eq!(ListExpiry::of(at(next_update), now), expected);
        }
    }

    #[cfg(feature = "certs")]
    #[test]
    fn the_expiry_of_a_list_is_read() {
        use crate::runtime::certs::{AUTHORITY_DAYS, Authority};
        use crate::runtime::principal::Role;

        let authority = Authority::new(Role::Node).expect("a key can be generated");
        let list = authority.revoke(&[]).expect("it can be generated");
        let file = tempfile::NamedTempFile::new().expect("a temporary file can be created");
        fs::write(file.path(), list).expect("the disk has space");
        let read = RevocationLists::of_file(file.path()).expect("the list is valid");
        let left = read.next_updates[0].as_secs() - UnixTime::now().as_secs();
        let expected = u64::from(AUTHORITY_DAYS) * DAY;
        assert!((expected - 60..=expected).contains(&left), "{left}");
    }
}
