//! Recordings of cores: a replay takes the same steps, and damage is never taken for a recording.

mod account;
mod checks;
mod damage;
mod forged;
mod runs;
