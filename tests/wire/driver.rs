//! The invariants of decoding arbitrary bytes, for tests and fuzzing.

use quorate::types::{Address, NodeId};
use quorate::wire::{
    ClientHello, ClientReply, ClientRequest, FRAME_HEADER_BYTES, Frame, FrameReader, Hello,
    Versions, WireError, decode, encode,
};

/// Decodes the bytes as a frame; then as the kind and the body of a frame; then as the bytes of a
/// connection.
pub(crate) fn drive(bytes: &[u8]) {
    decode_alone(bytes);
    let Some((&first, body)) = bytes.split_first() else { return };
    let sealed = seal(first, body);
    decode_alone(&sealed);

    let mut stream = Vec::new();
    hello().encode(&mut stream);
    stream.extend_from_slice(&sealed);
    stream.extend_from_slice(bytes);
    let whole = read_in_pieces(&stream, stream.len());
    for piece in [1, usize::from(first).max(2), FRAME_HEADER_BYTES] {
        assert_eq!(read_in_pieces(&stream, piece), whole, "in pieces of {piece}");
    }
    assert_eq!(whole.0.first(), Some(&Frame::Hello(hello())));

    let mut stream = Vec::new();
    client_hello().encode(&mut stream);
    stream.extend_from_slice(&sealed);
    stream.extend_from_slice(bytes);
    let whole = read_in_pieces(&stream, stream.len());
    assert_eq!(read_in_pieces(&stream, usize::from(first).max(2)), whole);
    assert_eq!(whole.0.first(), Some(&Frame::ClientHello(client_hello())));
}

/// Asserts that bytes which decode are the only encoding of the result.
fn decode_alone(bytes: &[u8]) {
    if let Ok(packet) = decode(bytes) {
        let mut again = Vec::new();
        encode(&packet, &mut again).expect("a decoded packet is within the bounds");
        assert_eq!(again, bytes, "{packet:?}");
        assert!(Hello::decode(bytes).is_err(), "a packet is not a hello");
    }
    let mut again = Vec::new();
    if let Ok(request) = ClientRequest::decode(bytes) {
        request.encode(&mut again).expect("a decoded request is within the bounds");
        assert_eq!(again, bytes, "{request:?}");
    }
    if let Ok(reply) = ClientReply::decode(bytes) {
        reply.encode(&mut again).expect("a decoded reply is within the bounds");
        assert_eq!(again, bytes, "{reply:?}");
    }
}

/// Returns the frames of a stream, and the error that ended it, if any.
fn read_in_pieces(stream: &[u8], piece: usize) -> (Vec<Frame>, Option<WireError>) {
    let mut reader = FrameReader::new();
    let mut frames = Vec::new();
    for mut bytes in stream.chunks(piece) {
        loop {
            match reader.read(&mut bytes) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
        assert!(reader.memory_bytes() <= stream.len() + (64 << 10), "{}", stream.len());
    }
    (frames, None)
}

fn hello() -> Hello {
    let (versions, from, to) = (Versions::SUPPORTED, NodeId(1), NodeId(2));
    let address = Address::new("b:1").expect("it is short");
    Hello { versions, cluster: 3, from, to, incarnation: 4, start_id: 5, address }
}

fn client_hello() -> ClientHello {
    ClientHello { versions: Versions::SUPPORTED, cluster: 3, node: None, full: false }
}

/// Returns a frame with a valid header according to `docs/FORMAT.md`.
pub(crate) fn seal(kind: u8, body: &[u8]) -> Vec<u8> {
    let version: u16 = if matches!(kind, 1 | 8) { 0 } else { 1 };
    let mut frame = b"QRT\n".to_vec();
    frame.extend_from_slice(&version.to_le_bytes());
    frame.extend_from_slice(&[kind, 0]);
    frame.extend_from_slice(&(body.len() as u32).to_le_bytes());
    frame.extend_from_slice(&crc32c(body).to_le_bytes());
    frame.extend_from_slice(&[0; 12]);
    let checksum = crc32c(&frame);
    frame.extend_from_slice(&checksum.to_le_bytes());
    frame.extend_from_slice(body);
    frame
}

/// Computes CRC-32C bit by bit (RFC 3720, appendix B.4).
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let reversed_polynomial = 0x82f6_3b78 & 0u32.wrapping_sub(crc & 1);
            crc = crc >> 1 ^ reversed_polynomial;
        }
    }
    !crc
}
