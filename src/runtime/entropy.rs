//! Random numbers from the operating system.

/// Returns a random number.
#[cfg(not(madsim))]
#[expect(clippy::disallowed_methods, reason = "each start and each client needs its own")]
pub(super) fn entropy() -> u128 {
    rand::random()
}

/// Returns a random number that the seed of the madsim run determines.
#[cfg(madsim)]
pub(super) fn entropy() -> u128 {
    madsim::rand::random()
}
