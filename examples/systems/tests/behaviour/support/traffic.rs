//! Captured traffic: the counts of messages, the state comparisons, and whether a text was
//! transmitted in plaintext.

use std::collections::BTreeMap;

use quorate::types::{Comparison, Packet};
use quorate::wire::{Frame, FrameReader};

use crate::support::network::Caller;

/// The captured traffic of all connections.
#[derive(Default)]
pub(crate) struct Traffic {
    /// The number of messages by kind.
    kinds: BTreeMap<&'static str, u64>,
    comparisons: Vec<Comparison>,
    /// The bytes of each direction of each connection.
    streams: Vec<Vec<u8>>,
}

/// The capture of one direction of one connection.
pub(crate) struct StreamCapture {
    caller: Caller,
    stream: usize,
    /// `None` once the bytes are not valid frames, as with TLS.
    frames: Option<FrameReader>,
}

impl Traffic {
    /// Starts the capture of one direction of a connection of `caller`.
    pub(crate) fn start_stream(&mut self, caller: Caller) -> StreamCapture {
        self.streams.push(Vec::new());
        StreamCapture { caller, stream: self.streams.len() - 1, frames: Some(FrameReader::new()) }
    }

    pub(crate) fn add(&mut self, capture: &mut StreamCapture, bytes: &[u8]) {
        self.streams[capture.stream].extend_from_slice(bytes);
        let mut bytes = bytes;
        while let Some(frames) = &mut capture.frames {
            match frames.read(&mut bytes) {
                Ok(Some(frame)) => self.record(capture.caller, frame),
                Ok(None) => break,
                Err(_) => capture.frames = None,
            }
        }
    }

    fn record(&mut self, caller: Caller, frame: Frame) {
        let kind = match frame {
            Frame::Packet(Packet::Message(message) | Packet::Chained(message, _)) => {
                message.body.name()
            }
            Frame::Packet(Packet::Comparison(comparison)) => {
                self.comparisons.push(comparison);
                "comparison"
            }
            Frame::Request(_) if caller == Caller::ForwardingNode => "forwarded request",
            Frame::Reply(_) if caller == Caller::ForwardingNode => "forwarded reply",
            _ => return,
        };
        *self.kinds.entry(kind).or_default() += 1;
    }

    /// Returns the number of plaintext messages of this kind.
    pub(crate) fn count(&self, kind: &str) -> u64 {
        self.kinds.get(kind).copied().unwrap_or(0)
    }

    /// Returns the plaintext state comparisons.
    pub(crate) fn comparisons(&self) -> &[Comparison] {
        &self.comparisons
    }

    /// Returns true if the text was transmitted in plaintext.
    pub(crate) fn contains_text(&self, text: &str) -> bool {
        let is_text = |bytes: &[u8]| bytes == text.as_bytes();
        self.streams.iter().any(|stream| stream.windows(text.len()).any(is_text))
    }

    /// Returns the number of captured bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.streams.iter().map(Vec::len).sum()
    }
}
