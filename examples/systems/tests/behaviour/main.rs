//! End-to-end tests of the example systems on real processes: their binaries, files and signals,
//! with a network of proxies between the nodes.
#![cfg(unix)]

#[path = "../../../../tests/common/accept_any_server.rs"]
mod accept_any_server;
#[path = "../../../../tests/common/addresses.rs"]
mod addresses;
#[allow(dead_code, reason = "each package of tests uses what it needs")]
#[path = "../../../../tests/common/command_output.rs"]
mod command_output;
#[path = "../../../../tests/common/http_client.rs"]
mod http_client;
#[allow(dead_code, reason = "each package of tests uses what it needs")]
#[path = "../../../../tests/common/processes.rs"]
mod processes;
mod support;

mod chat;
mod coordinator;
mod courier;
mod directory;
mod json;
mod nodes;
mod orders;
mod output;
mod terminal;
