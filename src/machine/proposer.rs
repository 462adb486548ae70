//! The proposer of a command: the client on whose behalf a server proposed it, as the server
//! recorded it in front of the client's bytes.

use crate::types::Command;

/// The client on whose behalf a server proposes a command.
///
/// The server writes it into each command that it proposes, from the certificate of the client's
/// connection. It is a part of the log, so that every node knows the same proposer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Proposer<'a> {
    /// A client without a name: one on a plaintext connection, or the program that runs the node.
    /// It has the rights of an administrator.
    Unnamed,
    /// The client with this name.
    Client(&'a str),
    /// The administrator with this name.
    Admin(&'a str),
}

const UNNAMED: u8 = 0;
const CLIENT: u8 = 1;
const ADMIN: u8 = 2;

impl<'a> Proposer<'a> {
    /// The longest name, in bytes.
    pub const NAME_BYTES_MAX: usize = 64;
    /// The maximum number of bytes that a proposer adds to a request.
    pub const BYTES_MAX: usize = 2 + Self::NAME_BYTES_MAX;

    /// Returns true for a name of 1 to [`Proposer::NAME_BYTES_MAX`] ASCII letters, digits, `-`, `_`
    /// and `.`.
    #[must_use]
    pub fn is_name(name: &str) -> bool {
        let fits = (1..=Self::NAME_BYTES_MAX).contains(&name.len());
        fits && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    }

    /// Returns true if the proposer may send admin commands, set bounds and raise the version.
    #[must_use]
    pub fn is_administrator(&self) -> bool {
        match self {
            Proposer::Unnamed | Proposer::Admin(_) => true,
            Proposer::Client(_) => false,
        }
    }

    /// Returns the command of the log for an encoded request of this proposer. The request is not
    /// decoded: it may be any bytes of a client.
    ///
    /// # Panics
    /// If the name is invalid.
    #[must_use]
    pub fn stamp(&self, request: &[u8]) -> Command {
        let mut bytes = Vec::with_capacity(Proposer::BYTES_MAX + request.len());
        bytes.extend(self.encode());
        bytes.extend(request);
        debug_assert_eq!(Proposer::split(&bytes), Some((*self, request)), "a stamp is read back");
        Command::from(bytes)
    }

    /// Splits a command of the log into its proposer and the encoded request; `None` if the stamp
    /// is malformed.
    #[must_use]
    pub fn split(command: &'a [u8]) -> Option<(Proposer<'a>, &'a [u8])> {
        let (role, rest) = command.split_first()?;
        if *role == UNNAMED {
            return Some((Proposer::Unnamed, rest));
        }
        let (length, rest) = rest.split_first()?;
        let (name, request) = rest.split_at_checked(usize::from(*length))?;
        let name = std::str::from_utf8(name).ok().filter(|name| Proposer::is_name(name))?;
        match *role {
            CLIENT => Some((Proposer::Client(name), request)),
            ADMIN => Some((Proposer::Admin(name), request)),
            _ => None,
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let (role, name) = match self {
            Proposer::Unnamed => return vec![UNNAMED],
            Proposer::Client(name) => (CLIENT, name),
            Proposer::Admin(name) => (ADMIN, name),
        };
        assert!(Proposer::is_name(name), "`{name}` is not a valid name");
        const _: () = assert!(Proposer::NAME_BYTES_MAX <= u8::MAX as usize, "a byte counts it");
        let length = u8::try_from(name.len()).expect("a valid name has at most 64 bytes");
        [&[role, length], name.as_bytes()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_is_that_of_the_format_document() {
        let golden: [(Proposer<'_>, &[u8]); 3] = [
            (Proposer::Unnamed, b"\0put"),
            (Proposer::Client("app-1"), b"\x01\x05app-1put"),
            (Proposer::Admin("ops"), b"\x02\x03opsput"),
        ];
        for (proposer, bytes) in golden {
            assert_eq!(&*proposer.stamp(b"put"), bytes);
            assert_eq!(Proposer::split(bytes), Some((proposer, &b"put"[..])));
        }
        let longest = "x".repeat(Proposer::NAME_BYTES_MAX);
        assert_eq!(Proposer::Client(&longest).encode().len(), Proposer::BYTES_MAX);
    }

    #[test]
    fn a_malformed_stamp_is_not_split() {
        let long = [&[1, 65][..], &[b'x'; 65]].concat();
        for bytes in [&b""[..], b"\x01", b"\x01\0", b"\x01\x02a", b"\x03\x01a", b"\x01\x01 ", &long]
        {
            assert_eq!(Proposer::split(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn bytes_of_a_client_cannot_be_read_as_a_stamp() {
        let forged = Proposer::Admin("ops").stamp(b"put");
        let stamped = Proposer::Client("app").stamp(&forged);
        assert_eq!(Proposer::split(&stamped), Some((Proposer::Client("app"), &forged[..])));
    }
}
