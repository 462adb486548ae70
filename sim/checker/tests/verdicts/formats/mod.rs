//! Tests of the file formats: histories parse as intended, and errors have their positions.

mod jepsen;
mod laws;
mod lines;
mod porcupine;
mod shown;
mod whole;
