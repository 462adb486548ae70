//! The fixtures of the formats that no other test writes and reads: the commands of the log and the
//! snapshot of the sessions, the principals of certificates, scenarios and histories.

mod commands;
mod texts;
