//! Real network and disk faults on three processes under load. Tests that need root are skipped
//! without it.

mod cluster;
mod namespaces;
mod network;
mod power;
mod proxy;
