//! Frame headers: 32 bytes with the kind, the length and the checksums of a frame.

use std::ops::Range;

use crate::wire::error::{FrameError, WireError};
use crate::wire::kind::{Kind, WIRE_VERSION};

/// The size of a frame header in bytes.
pub const FRAME_HEADER_BYTES: usize = 32;

/// The first bytes of every frame.
pub(crate) const MAGIC: [u8; 4] = *b"QRT\n";

/// The layout of the header; integers are little-endian.
const VERSION: Range<usize> = 4..6;
const KIND: usize = 6;
const LENGTH: Range<usize> = 8..12;
const BODY_CHECKSUM: Range<usize> = 12..16;
const HEADER_CHECKSUM: Range<usize> = 28..32;

const _: () = assert!(HEADER_CHECKSUM.end == FRAME_HEADER_BYTES, "the checksum ends the header");
const _: () = assert!(MAGIC.len() == VERSION.start, "the version follows the magic bytes");
const _: () = assert!(VERSION.end == KIND, "the kind follows the version");
const _: () =
    assert!(KIND < LENGTH.start && LENGTH.end == BODY_CHECKSUM.start, "no field overlaps");

/// A decoded frame header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    /// The length of the body in bytes, at most [`Kind::bytes_max`].
    pub(super) length: usize,
    /// The CRC-32C of the body.
    pub(super) checksum: u32,
}

impl Header {
    /// Returns the header for `body`, or an error if it is too long.
    pub(super) fn of(kind: Kind, body: &[u8]) -> Result<Header, FrameError> {
        let length = body.len();
        if length > kind.bytes_max() {
            return Err(FrameError::TooLong { kind, length });
        }
        Ok(Header { kind, length, checksum: crc32c::crc32c(body) })
    }

    pub(super) fn encode(&self) -> [u8; FRAME_HEADER_BYTES] {
        assert!(self.length <= self.kind.bytes_max(), "a frame is within the bound of its kind");
        let length = u32::try_from(self.length).expect("each kind's bound is below 4 GiB");
        let mut bytes = [0; FRAME_HEADER_BYTES];
        bytes[..MAGIC.len()].copy_from_slice(&MAGIC);
        bytes[VERSION].copy_from_slice(&self.kind.version().to_le_bytes());
        bytes[KIND] = self.kind as u8;
        bytes[LENGTH].copy_from_slice(&length.to_le_bytes());
        bytes[BODY_CHECKSUM].copy_from_slice(&self.checksum.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[..HEADER_CHECKSUM.start]);
        bytes[HEADER_CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8; FRAME_HEADER_BYTES]) -> Result<Header, FrameError> {
        let found = [bytes[0], bytes[1], bytes[2], bytes[3]];
        if found != MAGIC {
            return Err(FrameError::Magic { found });
        }
        let claimed = number(bytes, HEADER_CHECKSUM);
        let found = crc32c::crc32c(&bytes[..HEADER_CHECKSUM.start]);
        if claimed != found {
            return Err(FrameError::HeaderChecksum { claimed, found });
        }
        let version = u16::from_le_bytes(field(bytes, VERSION));
        if version > WIRE_VERSION {
            return Err(FrameError::Version { found: version });
        }
        let of_number = |kind: &Kind| *kind as u8 == bytes[KIND];
        let kind = Kind::ALL.into_iter().find(of_number);
        let kind = kind.ok_or(FrameError::Kind { found: bytes[KIND] })?;
        if version != kind.version() {
            return Err(FrameError::Version { found: version });
        }
        let reserved = [KIND + 1..LENGTH.start, BODY_CHECKSUM.end..HEADER_CHECKSUM.start];
        if reserved.into_iter().flatten().any(|place| bytes[place] != 0) {
            return Err(FrameError::Reserved);
        }
        let length = number(bytes, LENGTH) as usize;
        if length > kind.bytes_max() {
            return Err(FrameError::TooLong { kind, length });
        }
        Ok(Header { kind, length, checksum: number(bytes, BODY_CHECKSUM) })
    }

    /// Checks the body against the checksum in the header.
    pub(super) fn check(&self, body: &[u8]) -> Result<(), FrameError> {
        assert_eq!(body.len(), self.length, "the body has the header's length");
        let (claimed, found) = (self.checksum, crc32c::crc32c(body));
        if claimed == found { Ok(()) } else { Err(FrameError::BodyChecksum { claimed, found }) }
    }

    /// Returns the size of the frame in bytes, header included.
    pub(super) fn frame_bytes(&self) -> usize {
        FRAME_HEADER_BYTES + self.length
    }
}

fn number(bytes: &[u8; FRAME_HEADER_BYTES], place: Range<usize>) -> u32 {
    u32::from_le_bytes(field(bytes, place))
}

/// Returns the `N` bytes at `place`.
fn field<const N: usize>(bytes: &[u8], place: Range<usize>) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[place]);
    field
}

/// Appends a frame to `into`, whose body `write` appends. After an error `into` is unchanged.
pub(super) fn append(
    kind: Kind,
    into: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), FrameError>,
) -> Result<(), FrameError> {
    let start = into.len();
    into.resize(start + FRAME_HEADER_BYTES, 0);
    let body = start + FRAME_HEADER_BYTES;
    let written = write(into);
    assert!(into.len() >= body, "a body follows the bytes before it");
    match written.and_then(|()| Header::of(kind, &into[body..])) {
        Ok(header) => {
            assert_eq!(
                header.frame_bytes(),
                into.len() - start,
                "the header has the body's length"
            );
            debug_assert_eq!(Header::decode(&header.encode()), Ok(header), "a header decodes");
            into[start..body].copy_from_slice(&header.encode());
            Ok(())
        }
        Err(error) => {
            into.truncate(start);
            Err(error)
        }
    }
}

/// Decodes bytes that must be exactly one frame of this kind, whose body `read` decodes.
pub(super) fn read_whole<T>(
    kind: Kind,
    bytes: &[u8],
    read: impl FnOnce(&[u8]) -> Result<T, FrameError>,
) -> Result<T, WireError> {
    let opened = open(bytes).and_then(|(header, body)| match header.kind {
        found if found == kind => read(body),
        found => Err(FrameError::UnexpectedKind { found }),
    });
    opened.map_err(|error| WireError { offset: 0, error })
}

/// Splits bytes that must be exactly one frame into header and body, and checks both.
pub(super) fn open(bytes: &[u8]) -> Result<(Header, &[u8]), FrameError> {
    let present = bytes.len();
    let Some((header, body)) = bytes.split_first_chunk() else {
        return Err(FrameError::Truncated { present, needed: FRAME_HEADER_BYTES });
    };
    let header = Header::decode(header)?;
    let needed = header.frame_bytes();
    if present < needed {
        return Err(FrameError::Truncated { present, needed });
    }
    if present > needed {
        return Err(FrameError::TrailingBytes { present, needed });
    }
    header.check(body)?;
    Ok((header, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: Header = Header { kind: Kind::Append, length: 300, checksum: 0x0102_0304 };

    /// Decodes the sample with one byte changed and a valid checksum.
    fn changed(place: usize, byte: u8) -> Result<Header, FrameError> {
        let mut bytes = SAMPLE.encode();
        bytes[place] = byte;
        let checksum = crc32c::crc32c(&bytes[..HEADER_CHECKSUM.start]);
        bytes[HEADER_CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
        Header::decode(&bytes)
    }

    #[test]
    fn a_header_round_trips() {
        for kind in Kind::ALL {
            for length in [0, 1.min(kind.bytes_max()), kind.bytes_max()] {
                let header = Header { kind, length, checksum: 7 };
                assert_eq!(Header::decode(&header.encode()), Ok(header));
            }
        }
    }

    #[test]
    fn each_field_is_checked() {
        assert_eq!(changed(0, b'q'), Err(FrameError::Magic { found: *b"qRT\n" }));
        assert_eq!(changed(4, 0), Err(FrameError::Version { found: 0 }));
        assert_eq!(changed(5, 1), Err(FrameError::Version { found: 257 }));
        assert_eq!(changed(KIND, 0), Err(FrameError::Kind { found: 0 }));
        assert_eq!(changed(KIND, 11), Err(FrameError::Kind { found: 11 }));
        assert_eq!(
            changed(KIND, 7),
            Err(FrameError::TooLong { kind: Kind::Keepalive, length: 300 })
        );
        assert_eq!(
            changed(KIND, 1),
            Err(FrameError::Version { found: 1 }),
            "a hello has version 0"
        );
        for place in [7, 16, 17, 27] {
            assert_eq!(changed(place, 1), Err(FrameError::Reserved), "{place}");
        }
        let length = 300 + (1 << 24);
        assert_eq!(changed(11, 1), Err(FrameError::TooLong { kind: Kind::Append, length }));
        assert_eq!(changed(KIND, 2), Ok(Header { kind: Kind::Control, ..SAMPLE }));
    }

    #[test]
    fn a_body_of_the_maximum_length_fits_and_a_longer_one_appends_nothing() {
        let kind = Kind::Control;
        let mut into = vec![9];
        let write = |count: usize| {
            move |into: &mut Vec<u8>| {
                into.resize(into.len() + count, 1);
                Ok(())
            }
        };
        let length = kind.bytes_max() + 1;
        assert_eq!(
            append(kind, &mut into, write(length)),
            Err(FrameError::TooLong { kind, length })
        );
        assert_eq!(into, [9]);
        assert_eq!(append(kind, &mut into, write(length - 1)), Ok(()));
        let (header, body) = open(&into[1..]).expect("the bytes are a frame");
        assert_eq!((header.kind, body.len()), (kind, length - 1));
    }
}
