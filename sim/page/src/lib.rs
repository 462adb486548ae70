//! Draws the events of a cluster as one self-contained HTML page: no network, no framework.
//!
//! A [`document::Document`] holds the run as plain structs: events with their causes, the nodes'
//! states, messages, disk writes, faults and client operations. [`html::page`] builds a page of one
//! or more documents; a hundred thousand events take less than 5 MB. [`live`] has the style and the
//! shared parts for a page that shows a live cluster.

pub mod document;
pub mod html;
pub mod live;
pub mod text;
