//! Real faults of networks and disks around three processes, with clients at work meanwhile: what
//! needs root is skipped without it.

mod namespaces;
mod power;
mod proxy;
mod streets;
mod town;
