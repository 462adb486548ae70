//! The frame reader, which assembles the frames of a connection from the pieces that arrive.

use crate::types::Packet;
use crate::wire::client::{ClientHello, ClientReply, ClientRequest};
use crate::wire::codec::decode_body;
use crate::wire::error::{FrameError, WireError};
use crate::wire::frame::{FRAME_HEADER_BYTES, Header};
use crate::wire::hello::Hello;
use crate::wire::kind::Kind;

/// The maximum memory in bytes that a reader holds beyond the bytes of the frame that have arrived.
const STEP_BYTES: usize = 64 << 10;

/// The size of the number of a request, with which the body of its frame begins.
const NUMBER_BYTES: usize = size_of::<u64>();

/// A decoded frame of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The first frame from a node.
    Hello(Hello),
    /// A packet from a node.
    Packet(Packet),
    /// A keepalive: the other side is alive.
    Keepalive,
    /// The first frame from a client, or from a node to a client.
    ClientHello(ClientHello),
    /// A request from a client.
    Request(ClientRequest),
    /// A request from a client that is longer than [`FrameReader::limit_requests`] permits, or that
    /// the node dropped while it arrived. Only its number is kept.
    LongRequest {
        /// The number of the request, which its reply repeats.
        number: u64,
    },
    /// A reply to a client.
    Reply(ClientReply),
}

/// A reader that assembles and decodes the frames of one connection.
///
/// It holds at most one incomplete frame, and at most 64 KiB of memory beyond the bytes of that
/// frame that have arrived. The first error is final: every later call returns it again.
#[derive(Clone, Debug, Default)]
pub struct FrameReader {
    /// The bytes of the current frame that have arrived, never all of them.
    arrived: Vec<u8>,
    /// The header of the current frame, once it is complete.
    header: Option<Header>,
    /// The offset of the current frame in the stream, in bytes.
    offset: u64,
    /// The kind of the hello, once it was read.
    hello_kind: Option<Kind>,
    /// The maximum length of a request that is kept; `None` if only the maximum of its kind
    /// applies.
    request_bytes_max: Option<usize>,
    /// Whether the content of the current request is dropped, although it is not too long.
    is_dropping: bool,
    /// The bytes of a dropped request that have arrived, and their CRC-32C.
    dropped: Option<(usize, u32)>,
    failed: Option<WireError>,
}

impl FrameReader {
    /// Returns a reader for a new connection.
    #[must_use]
    pub fn new() -> FrameReader {
        FrameReader::default()
    }

    /// Sets the maximum length of a request, its frame header excluded. A longer request, up to the
    /// maximum of its kind, takes no memory and is returned as [`Frame::LongRequest`].
    pub fn limit_requests(&mut self, bytes_max: usize) {
        self.request_bytes_max = Some(bytes_max);
    }

    /// Takes bytes from the front of `bytes` until a frame is complete, and returns it. Returns
    /// `None` once it has taken all bytes and needs more.
    ///
    /// # Errors
    /// A [`WireError`] for an invalid frame, as soon as it is known to be invalid. The caller must
    /// close the connection.
    pub fn read(&mut self, bytes: &mut &[u8]) -> Result<Option<Frame>, WireError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.advance(bytes).map_err(|error| {
            let error = WireError { offset: self.offset, error };
            self.arrived = Vec::new();
            self.failed = Some(error.clone());
            error
        })
    }

    /// Returns the total size of the returned frames in bytes.
    #[must_use]
    pub fn consumed_bytes(&self) -> u64 {
        self.offset
    }

    /// Returns the memory that the reader holds, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.arrived.capacity()
    }

    /// Returns the size in bytes of the partly received frame, or of its header while that is
    /// incomplete; `None` between two frames.
    #[must_use]
    pub fn incomplete_frame_bytes(&self) -> Option<usize> {
        let known = self.header.as_ref().map_or(FRAME_HEADER_BYTES, Header::frame_bytes);
        (!self.arrived.is_empty()).then_some(known)
    }

    /// Whether the frame with this header is a request whose content is dropped.
    fn drops(&self, header: &Header) -> bool {
        let is_long = self.request_bytes_max.is_some_and(|max| header.length > max);
        header.kind == Kind::Request && (is_long || self.is_dropping)
    }

    fn advance(&mut self, bytes: &mut &[u8]) -> Result<Option<Frame>, FrameError> {
        assert!(self.failed.is_none(), "nothing is read after an error");
        let is_begun = self.arrived.len() >= FRAME_HEADER_BYTES;
        assert!(self.header.is_none() || is_begun, "a known header has arrived");
        let header = match self.header {
            Some(header) => header,
            None => {
                if !self.take(bytes, FRAME_HEADER_BYTES) {
                    return Ok(None);
                }
                let header = self.arrived.first_chunk().expect("the header is complete");
                let header = Header::decode(header)?;
                if !header.kind.may_follow(self.hello_kind) {
                    return Err(FrameError::UnexpectedKind { found: header.kind });
                }
                *self.header.insert(header)
            }
        };
        if self.drops(&header) {
            return self.drop_request(header, bytes);
        }
        if !self.take(bytes, header.frame_bytes()) {
            return Ok(None);
        }
        let body = &self.arrived[FRAME_HEADER_BYTES..];
        header.check(body)?;
        let frame = match header.kind {
            Kind::Hello => Frame::Hello(Hello::decode_body(body)?),
            Kind::Keepalive => Frame::Keepalive,
            Kind::ClientHello => Frame::ClientHello(ClientHello::decode_body(body)?),
            Kind::Request => Frame::Request(ClientRequest::decode_body(body)?),
            Kind::Reply => Frame::Reply(ClientReply::decode_body(body)?),
            Kind::Control
            | Kind::Append
            | Kind::SnapshotTransfer
            | Kind::Chained
            | Kind::Comparison => Frame::Packet(decode_body(&header, body)?),
        };
        assert_eq!(self.hello_kind.is_none(), header.kind.is_hello(), "one hello comes first");
        self.offset += self.arrived.len() as u64;
        self.hello_kind = self.hello_kind.or(Some(header.kind));
        self.header = None;
        self.arrived.clear();
        self.arrived.shrink_to(STEP_BYTES);
        Ok(Some(frame))
    }

    /// Takes the bytes of a request that is dropped, and keeps only its number, which comes first.
    fn drop_request(
        &mut self,
        header: Header,
        bytes: &mut &[u8],
    ) -> Result<Option<Frame>, FrameError> {
        let kept = header.length.min(NUMBER_BYTES);
        if !self.take(bytes, FRAME_HEADER_BYTES + kept) {
            return Ok(None);
        }
        let number = &self.arrived[FRAME_HEADER_BYTES..];
        let (arrived, checksum) = self.dropped.unwrap_or((kept, crc32c::crc32c(number)));
        let (taken, left) = bytes.split_at((header.length - arrived).min(bytes.len()));
        *bytes = left;
        let (arrived, found) = (arrived + taken.len(), crc32c::crc32c_append(checksum, taken));
        self.dropped = Some((arrived, found));
        if arrived < header.length {
            return Ok(None);
        }
        if found != header.checksum {
            return Err(FrameError::BodyChecksum { claimed: header.checksum, found });
        }
        let Some(number) = number.first_chunk::<NUMBER_BYTES>() else {
            let reason = "a request without a number".to_owned();
            return Err(FrameError::Body { kind: header.kind, reason });
        };
        let number = u64::from_le_bytes(*number);
        self.offset += header.frame_bytes() as u64;
        (self.header, self.dropped, self.is_dropping) = (None, None, false);
        self.arrived.clear();
        Ok(Some(Frame::LongRequest { number }))
    }

    /// Takes bytes until `needed` bytes of the frame have arrived. Returns false if more are
    /// missing.
    fn take(&mut self, bytes: &mut &[u8], needed: usize) -> bool {
        assert!(self.arrived.len() <= needed, "a frame takes no byte of the next one");
        let missing = needed - self.arrived.len();
        let (taken, left) = bytes.split_at(missing.min(bytes.len()));
        let spare = self.arrived.capacity() - self.arrived.len();
        if spare < taken.len() {
            self.arrived.reserve_exact(missing.min(taken.len().max(STEP_BYTES)));
        }
        self.arrived.extend_from_slice(taken);
        *bytes = left;
        let memory_max = self.arrived.len() + STEP_BYTES;
        assert!(self.arrived.capacity() <= memory_max, "memory grows with the bytes that arrive");
        assert!(self.arrived.len() == needed || bytes.is_empty(), "all missing bytes are taken");
        self.arrived.len() == needed
    }
}

#[cfg(feature = "tokio")]
impl FrameReader {
    /// Returns the size in bytes of the partly received request that the reader holds.
    pub(crate) fn incomplete_request_bytes(&self) -> Option<usize> {
        let header = self.header.as_ref().filter(|header| header.kind == Kind::Request)?;
        (!self.drops(header)).then(|| header.frame_bytes())
    }

    /// Drops what has arrived of the current request, and what will. The request is returned as
    /// [`Frame::LongRequest`] in any case.
    pub(crate) fn drop_incomplete_request(&mut self) {
        assert!(self.incomplete_request_bytes().is_some(), "a part of a request has arrived");
        self.is_dropping = true;
        let body = &self.arrived[FRAME_HEADER_BYTES..];
        if body.len() > NUMBER_BYTES {
            self.dropped = Some((body.len(), crc32c::crc32c(body)));
            self.arrived.truncate(FRAME_HEADER_BYTES + NUMBER_BYTES);
            self.arrived.shrink_to(STEP_BYTES);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{
        Address, Body, Command, Entry, EntryId, Incarnation, Index, Message, NodeId, Payload,
        ReadLevel, Term,
    };
    use crate::wire::{RequestBody, Versions, encode, encode_keepalive};

    fn hello() -> Hello {
        Hello {
            versions: Versions::SUPPORTED,
            cluster: 5,
            from: NodeId(1),
            to: NodeId(2),
            incarnation: 9,
            start_id: 4,
            address: Address::default(),
        }
    }

    fn append(command_bytes: usize) -> Packet {
        let payload = Payload::Command(Command::from(vec![7; command_bytes]));
        let entries = vec![Entry { id: EntryId::new(Term(1), Index(1)), payload }];
        let body = Body::AppendEntries {
            prev: EntryId::ZERO,
            entries: entries.into(),
            committed: Index::ZERO,
        };
        Packet::Message(Message {
            from: NodeId(1),
            incarnation: Incarnation::default(),
            to: NodeId(2),
            term: Term(1),
            body,
        })
    }

    /// Returns a hello and packets as bytes, and the end of each frame in them.
    fn stream(packets: &[Packet]) -> (Vec<u8>, Vec<usize>) {
        let mut bytes = Vec::new();
        hello().encode(&mut bytes);
        let mut ends = vec![bytes.len()];
        for packet in packets {
            encode(packet, &mut bytes).expect("the value is within the bounds");
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    #[test]
    fn frames_are_assembled_from_pieces_of_any_size() {
        let packets = [append(0), append(100), append(3)];
        let (bytes, _) = stream(&packets);
        for piece in [1, 2, 7, 31, 32, 33, 64, bytes.len()] {
            let mut reader = FrameReader::new();
            let mut frames = Vec::new();
            for mut bytes in bytes.chunks(piece) {
                while let Some(frame) = reader.read(&mut bytes).expect("the frames are valid") {
                    frames.push(frame);
                }
                assert!(bytes.is_empty(), "all bytes are taken");
            }
            let mut expected = vec![Frame::Hello(hello())];
            expected.extend(packets.iter().cloned().map(Frame::Packet));
            assert_eq!(frames, expected, "{piece}");
        }
    }

    #[test]
    fn memory_grows_with_arrived_bytes_and_not_with_the_claimed_length() {
        let (bytes, ends) = stream(&[append(3 << 20)]);
        let mut reader = FrameReader::new();
        let mut hello = &bytes[..ends[0]];
        reader.read(&mut hello).expect("the frame is valid").expect("the frame is complete");
        let frame = &bytes[ends[0]..];
        let mut arrived = 0;
        for mut piece in frame[..frame.len() - 1].chunks(1000) {
            arrived += piece.len();
            assert_eq!(reader.read(&mut piece), Ok(None));
            assert!(reader.memory_bytes() <= arrived + STEP_BYTES, "{arrived}");
        }
        assert!(reader.memory_bytes() <= frame.len());
        assert_eq!(reader.incomplete_frame_bytes(), Some(frame.len()));
        let mut last = &frame[frame.len() - 1..];
        assert!(reader.read(&mut last).expect("the frame is valid").is_some());
        assert!(reader.memory_bytes() <= STEP_BYTES, "the memory of a large frame is released");
        assert_eq!(reader.incomplete_frame_bytes(), None);
        assert_eq!(reader.read(&mut &frame[..1]), Ok(None));
        assert_eq!(reader.incomplete_frame_bytes(), Some(FRAME_HEADER_BYTES));
    }

    #[test]
    fn a_request_over_the_limit_takes_no_memory_and_keeps_its_number() {
        let request = |number, bytes| {
            let (level, query) = (ReadLevel::Local, vec![7; bytes]);
            ClientRequest { number, body: RequestBody::Read { level, query } }
        };
        let (cluster, versions) = (5, Versions::SUPPORTED);
        let mut bytes = Vec::new();
        ClientHello { versions, cluster, node: None, full: false }.encode(&mut bytes);
        let mut longest = 0;
        for (number, size) in [(1, 10), (2, 3 << 20), (3, 10)] {
            let before = bytes.len();
            request(number, size).encode(&mut bytes).expect("it fits in a frame");
            longest = bytes.len() - before - FRAME_HEADER_BYTES;
        }
        for piece in [1000, bytes.len()] {
            let (mut reader, mut frames) = (FrameReader::new(), Vec::new());
            reader.limit_requests(longest);
            for mut bytes in bytes.chunks(piece) {
                while let Some(frame) = reader.read(&mut bytes).expect("the frames are valid") {
                    frames.push(frame);
                }
                assert!(reader.memory_bytes() <= 2 * STEP_BYTES);
            }
            let [first, last] = [1, 3].map(|number| Frame::Request(request(number, 10)));
            assert_eq!(frames[1..], [first, Frame::LongRequest { number: 2 }, last]);
            assert_eq!(reader.consumed_bytes(), bytes.len() as u64);
        }
        let damaged = bytes.len() - (1 << 20);
        bytes[damaged] ^= 1;
        let (mut reader, mut rest) = (FrameReader::new(), &bytes[..]);
        reader.limit_requests(1 << 10);
        let error = loop {
            match reader.read(&mut rest) {
                Ok(frame) => assert!(frame.is_some(), "the damage is found"),
                Err(error) => break error.error,
            }
        };
        assert!(matches!(error, FrameError::BodyChecksum { .. }), "{error:?}");
    }

    #[test]
    fn a_dropped_request_without_a_number_is_invalid() {
        let (cluster, versions) = (5, Versions::SUPPORTED);
        let mut bytes = Vec::new();
        ClientHello { versions, cluster, node: None, full: false }.encode(&mut bytes);
        bytes.extend(Header::of(Kind::Request, &[7; 7]).expect("it is short").encode());
        bytes.extend([7; 7]);
        let (mut reader, mut rest) = (FrameReader::new(), &bytes[..]);
        reader.limit_requests(6);
        assert!(reader.read(&mut rest).expect("the hello is valid").is_some());
        let error = reader.read(&mut rest).expect_err("no number").error;
        assert!(matches!(error, FrameError::Body { kind: Kind::Request, .. }), "{error:?}");
    }

    #[cfg(feature = "tokio")]
    #[test]
    fn a_request_is_dropped_wherever_it_is_incomplete() {
        let request = |number, bytes| {
            let (level, query) = (ReadLevel::Local, vec![7; bytes]);
            ClientRequest { number, body: RequestBody::Read { level, query } }
        };
        let (cluster, versions) = (5, Versions::SUPPORTED);
        let mut hello = Vec::new();
        ClientHello { versions, cluster, node: None, full: false }.encode(&mut hello);
        let mut bytes = Vec::new();
        for (number, size) in [(1, 10), (2, 10)] {
            request(number, size).encode(&mut bytes).expect("it fits in a frame");
        }
        let first_bytes = bytes.len() / 2;
        for arrived in FRAME_HEADER_BYTES..first_bytes {
            let (mut reader, mut rest) = (FrameReader::new(), &hello[..]);
            assert!(reader.read(&mut rest).expect("the hello is valid").is_some());
            let mut part = &bytes[..arrived];
            assert_eq!(reader.read(&mut part), Ok(None));
            assert_eq!(reader.incomplete_request_bytes(), Some(first_bytes));
            reader.drop_incomplete_request();
            assert_eq!(reader.incomplete_request_bytes(), None, "nothing is kept");
            let mut rest = &bytes[arrived..];
            let frame = reader.read(&mut rest);
            assert_eq!(frame, Ok(Some(Frame::LongRequest { number: 1 })), "{arrived}");
            let next = Frame::Request(request(2, 10));
            assert_eq!(reader.read(&mut rest), Ok(Some(next)), "the next one is kept");
        }
    }

    #[test]
    fn an_error_has_the_offset_of_its_frame_and_is_final() {
        let (good, ends) = stream(&[append(1), append(2)]);
        for (place, byte) in good.iter().enumerate() {
            let mut bytes = good.clone();
            bytes[place] = byte.wrapping_add(1);
            let mut reader = FrameReader::new();
            let mut rest = &bytes[..];
            let error = loop {
                match reader.read(&mut rest) {
                    Ok(frame) => assert!(frame.is_some(), "{place}: the error was missed"),
                    Err(error) => break error,
                }
            };
            let frame = ends.iter().filter(|&&end| end <= place).max().copied().unwrap_or(0);
            assert_eq!(error.offset, frame as u64, "{place}");
            assert_eq!(reader.read(&mut &good[..]), Err(error));
            assert_eq!(reader.memory_bytes(), 0);
        }
    }

    #[test]
    fn keepalives_are_read_between_packets() {
        let (mut bytes, _) = stream(&[append(1)]);
        encode_keepalive(&mut bytes);
        encode(&append(2), &mut bytes).expect("the value is within the bounds");
        let (mut reader, mut rest) = (FrameReader::new(), &bytes[..]);
        let mut frames = Vec::new();
        while let Some(frame) = reader.read(&mut rest).expect("the frames are valid") {
            frames.push(frame);
        }
        let packets = [append(1), append(2)].map(Frame::Packet);
        let [first, second] = packets;
        assert_eq!(frames, [Frame::Hello(hello()), first, Frame::Keepalive, second]);
        let mut early = Vec::new();
        encode_keepalive(&mut early);
        let error = FrameReader::new().read(&mut &early[..]).expect_err("no hello");
        assert_eq!(error.error, FrameError::UnexpectedKind { found: Kind::Keepalive });
    }

    #[test]
    fn a_connection_starts_with_exactly_one_hello() {
        let (bytes, ends) = stream(&[append(1)]);
        let mut reader = FrameReader::new();
        let error = reader.read(&mut &bytes[ends[0]..]).expect_err("no hello");
        assert_eq!(error.error, FrameError::UnexpectedKind { found: Kind::Append });
        let mut reader = FrameReader::new();
        assert!(reader.read(&mut &bytes[..ends[0]]).is_ok());
        let error = reader.read(&mut &bytes[..]).expect_err("a second hello");
        assert_eq!(
            error,
            WireError {
                offset: ends[0] as u64,
                error: FrameError::UnexpectedKind { found: Kind::Hello }
            }
        );
    }
}
