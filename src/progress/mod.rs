//! Peers as the leader sees them.
