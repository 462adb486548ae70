//! Nodes that run for real: files, sockets and threads, in one process.

mod carrying;
mod clients;
mod cluster;
mod failing;
mod service;
mod serving;
