//! Nodes that run for real: files, sockets and threads, in one process.

mod clients;
mod cluster;
mod failing;
mod serving;
