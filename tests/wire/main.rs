//! Packets and hellos come back from their bytes, nothing else does, and the bytes stay what they
//! are from one release to the next.

mod corpus;
mod driver;
mod golden;
mod mutations;
mod packets;
