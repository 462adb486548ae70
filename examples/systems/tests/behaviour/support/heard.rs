//! What passes on the wires, for tests that look: which messages there were, what nodes said of
//! their states, and whether anybody on the way could have read a text.

use std::collections::BTreeMap;

use quorate::types::{Comparison, Packet};
use quorate::wire::{Frame, FrameReader};

use crate::support::wires::Caller;

/// All of it, from the first connection on.
#[derive(Default)]
pub(crate) struct Heard {
    /// How many messages of each kind.
    kinds: BTreeMap<&'static str, u64>,
    comparisons: Vec<Comparison>,
    /// Each way of each connection, byte by byte.
    streams: Vec<Vec<u8>>,
}

/// One way of one connection, as somebody on the way hears it.
pub(crate) struct Ear {
    who: Caller,
    stream: usize,
    /// None once it makes no sense: it is TLS.
    frames: Option<FrameReader>,
}

impl Heard {
    /// A connection of `who`, one way.
    pub(crate) fn begin(&mut self, who: Caller) -> Ear {
        self.streams.push(Vec::new());
        Ear { who, stream: self.streams.len() - 1, frames: Some(FrameReader::new()) }
    }

    pub(crate) fn hear(&mut self, ear: &mut Ear, bytes: &[u8]) {
        self.streams[ear.stream].extend_from_slice(bytes);
        let mut bytes = bytes;
        while let Some(frames) = &mut ear.frames {
            match frames.read(&mut bytes) {
                Ok(Some(frame)) => self.take(ear.who, frame),
                Ok(None) => break,
                Err(_) => ear.frames = None,
            }
        }
    }

    fn take(&mut self, who: Caller, frame: Frame) {
        let kind = match frame {
            Frame::Packet(Packet::Message(message) | Packet::Chained(message, _)) => {
                message.body.name()
            }
            Frame::Packet(Packet::Comparison(comparison)) => {
                self.comparisons.push(comparison);
                "comparison"
            }
            Frame::Request(_) if who == Caller::Relay => "forwarded request",
            Frame::Reply(_) if who == Caller::Relay => "forwarded reply",
            _ => return,
        };
        *self.kinds.entry(kind).or_default() += 1;
    }

    /// How many messages of this kind passed, in the clear.
    pub(crate) fn count(&self, kind: &str) -> u64 {
        self.kinds.get(kind).copied().unwrap_or(0)
    }

    /// What nodes said of their states, in the clear.
    pub(crate) fn comparisons(&self) -> &[Comparison] {
        &self.comparisons
    }

    /// Whether this could be read.
    pub(crate) fn reads(&self, text: &str) -> bool {
        let is_text = |bytes: &[u8]| bytes == text.as_bytes();
        self.streams.iter().any(|stream| stream.windows(text.len()).any(is_text))
    }

    /// How many bytes passed.
    pub(crate) fn bytes(&self) -> usize {
        self.streams.iter().map(Vec::len).sum()
    }
}
