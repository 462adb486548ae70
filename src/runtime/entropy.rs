//! Numbers that nobody else draws.

/// Another one each time.
#[cfg(not(madsim))]
#[expect(clippy::disallowed_methods, reason = "no two starts, no two clients draw the same")]
pub(super) fn entropy() -> u128 {
    rand::random()
}

/// Another one each time; the same ones in each run of a seed.
#[cfg(madsim)]
pub(super) fn entropy() -> u128 {
    madsim::rand::random()
}
