//! The checker's verdicts and the formats of histories. One binary, because each has a copy of the
//! models and the search.

#[cfg(feature = "formats")]
mod answers;
mod collections;
mod differential;
mod forged;
#[cfg(feature = "formats")]
mod formats;
mod limits;
mod traps;
mod zones;
