//! Frames out of the bytes of a connection, in whatever pieces they arrive.

use crate::types::Packet;
use crate::wire::client::{ClientHello, ClientReply, ClientRequest};
use crate::wire::codec::decode_body;
use crate::wire::error::{Flaw, WireError};
use crate::wire::frame::{FRAME_HEADER_BYTES, Header};
use crate::wire::hello::Hello;
use crate::wire::kind::Kind;

/// How much memory is taken beyond the bytes that have arrived.
const STEP_BYTES: usize = 64 << 10;

/// What arrives on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The first one between nodes, and only the first.
    Hello(Hello),
    /// Anything later between nodes that is not a pulse.
    Packet(Packet),
    /// The other side is there, and has nothing to say.
    Pulse,
    /// The first one between a client and a node, and only the first.
    ClientHello(ClientHello),
    /// What a client wants.
    Request(ClientRequest),
    /// What a client is told.
    Reply(ClientReply),
}

/// Puts the frames of one connection together.
///
/// It holds at most one frame that is not whole yet, in at most 64 KiB more than have arrived of
/// it. The first error is the last word: it is given again whatever arrives later.
#[derive(Clone, Debug, Default)]
pub struct FrameReader {
    /// What has arrived of the frame under way: never all of it.
    arrived: Vec<u8>,
    /// Its header, once that is there.
    header: Option<Header>,
    /// Where the frame under way begins in the stream.
    offset: u64,
    /// The kind of the hello, once that is past.
    greeted: Option<Kind>,
    failed: Option<WireError>,
}

impl FrameReader {
    /// A connection of which nothing has arrived.
    #[must_use]
    pub fn new() -> FrameReader {
        FrameReader::default()
    }

    /// Takes bytes from the front of `bytes` until a frame is whole, and gives it; none once all
    /// bytes are taken and more are needed.
    ///
    /// # Errors
    /// A [`WireError`] for a frame that cannot be read, as soon as that is known. The connection
    /// is of no use any more.
    pub fn read(&mut self, bytes: &mut &[u8]) -> Result<Option<Frame>, WireError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.advance(bytes).map_err(|flaw| {
            let error = WireError { offset: self.offset, flaw };
            self.arrived = Vec::new();
            self.failed = Some(error.clone());
            error
        })
    }

    /// How many bytes the frames had that it has given.
    #[must_use]
    pub fn given_bytes(&self) -> u64 {
        self.offset
    }

    /// How much memory it holds, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.arrived.capacity()
    }

    fn advance(&mut self, bytes: &mut &[u8]) -> Result<Option<Frame>, Flaw> {
        let header = match self.header {
            Some(header) => header,
            None => {
                if !self.take(bytes, FRAME_HEADER_BYTES) {
                    return Ok(None);
                }
                let header = self.arrived.first_chunk().expect("so many were just taken");
                let header = Header::decode(header)?;
                if !header.kind.may_follow(self.greeted) {
                    return Err(Flaw::Place { found: header.kind });
                }
                *self.header.insert(header)
            }
        };
        if !self.take(bytes, header.frame_bytes()) {
            return Ok(None);
        }
        let body = &self.arrived[FRAME_HEADER_BYTES..];
        header.check(body)?;
        let frame = match header.kind {
            Kind::Hello => Frame::Hello(Hello::decode_body(body)?),
            Kind::Pulse => Frame::Pulse,
            Kind::ClientHello => Frame::ClientHello(ClientHello::decode_body(body)?),
            Kind::Request => Frame::Request(ClientRequest::decode_body(body)?),
            Kind::Reply => Frame::Reply(ClientReply::decode_body(body)?),
            _ => Frame::Packet(decode_body(&header, body)?),
        };
        self.offset += self.arrived.len() as u64;
        self.greeted = self.greeted.or(Some(header.kind));
        self.header = None;
        self.arrived.clear();
        self.arrived.shrink_to(STEP_BYTES);
        Ok(Some(frame))
    }

    /// Takes bytes until `needed` of the frame have arrived; false if there are not that many.
    fn take(&mut self, bytes: &mut &[u8], needed: usize) -> bool {
        let missing = needed - self.arrived.len();
        let (taken, left) = bytes.split_at(missing.min(bytes.len()));
        let spare = self.arrived.capacity() - self.arrived.len();
        if spare < taken.len() {
            self.arrived.reserve_exact(missing.min(taken.len().max(STEP_BYTES)));
        }
        self.arrived.extend_from_slice(taken);
        *bytes = left;
        self.arrived.len() == needed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{
        Body, Command, Entry, EntryId, Incarnation, Index, Message, NodeId, Payload, Term,
    };
    use crate::wire::{Versions, encode, pulse};

    const HELLO: Hello = Hello {
        versions: Versions::SUPPORTED,
        cluster: 5,
        from: NodeId(1),
        to: NodeId(2),
        incarnation: 9,
    };

    fn append(command_bytes: usize) -> Packet {
        let payload = Payload::Command(Command::from(vec![7; command_bytes]));
        let entries = vec![Entry { id: EntryId::new(Term(1), Index(1)), payload }];
        let body = Body::AppendEntries { prev: EntryId::ZERO, entries, committed: Index::ZERO };
        Packet::Message(Message {
            from: NodeId(1),
            incarnation: Incarnation::default(),
            to: NodeId(2),
            term: Term(1),
            body,
        })
    }

    /// A hello and packets, and where each of these frames ends.
    fn stream(packets: &[Packet]) -> (Vec<u8>, Vec<usize>) {
        let mut bytes = Vec::new();
        HELLO.encode(&mut bytes);
        let mut ends = vec![bytes.len()];
        for packet in packets {
            encode(packet, &mut bytes).expect("it is within the bounds");
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    #[test]
    fn frames_come_out_whatever_the_pieces() {
        let packets = [append(0), append(100), append(3)];
        let (bytes, _) = stream(&packets);
        for piece in [1, 2, 7, 31, 32, 33, 64, bytes.len()] {
            let mut reader = FrameReader::new();
            let mut frames = Vec::new();
            for mut bytes in bytes.chunks(piece) {
                while let Some(frame) = reader.read(&mut bytes).expect("all of it is right") {
                    frames.push(frame);
                }
                assert!(bytes.is_empty(), "none only once all is taken");
            }
            let mut expected = vec![Frame::Hello(HELLO)];
            expected.extend(packets.iter().cloned().map(Frame::Packet));
            assert_eq!(frames, expected, "{piece}");
        }
    }

    #[test]
    fn memory_follows_what_arrives_and_not_what_is_claimed() {
        let (bytes, ends) = stream(&[append(3 << 20)]);
        let mut reader = FrameReader::new();
        let mut hello = &bytes[..ends[0]];
        reader.read(&mut hello).expect("it is right").expect("it is whole");
        let frame = &bytes[ends[0]..];
        let mut arrived = 0;
        for mut piece in frame[..frame.len() - 1].chunks(1000) {
            arrived += piece.len();
            assert_eq!(reader.read(&mut piece), Ok(None));
            assert!(reader.memory_bytes() <= arrived + STEP_BYTES, "{arrived}");
        }
        assert!(reader.memory_bytes() <= frame.len());
        let mut last = &frame[frame.len() - 1..];
        assert!(reader.read(&mut last).expect("it is right").is_some());
        assert!(reader.memory_bytes() <= STEP_BYTES, "a large frame does not stay");
    }

    #[test]
    fn an_error_says_where_its_frame_begins_and_is_final() {
        let (good, ends) = stream(&[append(1), append(2)]);
        for (place, byte) in good.iter().enumerate() {
            let mut bytes = good.clone();
            bytes[place] = byte.wrapping_add(1);
            let mut reader = FrameReader::new();
            let mut rest = &bytes[..];
            let error = loop {
                match reader.read(&mut rest) {
                    Ok(frame) => assert!(frame.is_some(), "{place}: nothing is wrong"),
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
    fn pulses_stand_between_packets() {
        let (mut bytes, _) = stream(&[append(1)]);
        pulse(&mut bytes);
        encode(&append(2), &mut bytes).expect("it is within the bounds");
        let (mut reader, mut rest) = (FrameReader::new(), &bytes[..]);
        let mut frames = Vec::new();
        while let Some(frame) = reader.read(&mut rest).expect("all of it is right") {
            frames.push(frame);
        }
        let packets = [append(1), append(2)].map(Frame::Packet);
        let [first, second] = packets;
        assert_eq!(frames, [Frame::Hello(HELLO), first, Frame::Pulse, second]);
        let mut early = Vec::new();
        pulse(&mut early);
        let error = FrameReader::new().read(&mut &early[..]).expect_err("no hello");
        assert_eq!(error.flaw, Flaw::Place { found: Kind::Pulse });
    }

    #[test]
    fn a_connection_begins_with_one_hello() {
        let (bytes, ends) = stream(&[append(1)]);
        let mut reader = FrameReader::new();
        let error = reader.read(&mut &bytes[ends[0]..]).expect_err("no hello");
        assert_eq!(error.flaw, Flaw::Place { found: Kind::Append });
        let mut reader = FrameReader::new();
        assert!(reader.read(&mut &bytes[..ends[0]]).is_ok());
        let error = reader.read(&mut &bytes[..]).expect_err("a second hello");
        assert_eq!(
            error,
            WireError { offset: ends[0] as u64, flaw: Flaw::Place { found: Kind::Hello } }
        );
    }
}
