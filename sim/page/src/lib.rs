//! Draws the events of a cluster as one self-contained HTML page: no network, no framework.
//!
//! A [`document::Document`] holds the run as plain structs: events with their causes, the nodes'
//! states, messages, disk writes, faults and client operations. [`html::page`] builds a page of one
//! or more documents; a hundred thousand events take less than 5 MB. [`live`] has the style and the
//! shared parts for a page that shows a live cluster.
//!
//! # Stability
//!
//! An item has the mark of the closest module or type around it in this table.
//!
//! - A stable one follows semantic versioning. Before 1.0 a minor version may change it, and the
//!   changelog says what to do.
//! - An unstable one may change in every minor version, also after 1.0.
//!
//! | mark | items | |
//! |---|---|---|
//! | unstable | `document`, `html`, `live`, `text` | pages for the simulator and for nodes |

pub mod document;
pub mod html;
pub mod live;
pub mod text;
