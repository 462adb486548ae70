//! Draws what a cluster did as one HTML page that needs nothing else: no network, no framework.
//!
//! A [`document::Document`] says what happened, in plain structs: events with their causes, the
//! state of the nodes, messages, disk writes, faults, and what clients asked. [`html::page`] makes
//! a page of one or more of them; a hundred thousand events take less than 5 MB. [`live`] is the
//! same page's style and parts, for a page that asks a node how its cluster is.

#[cfg(test)]
mod decode;
pub mod document;
mod encode;
pub mod html;
pub mod live;
pub mod text;
