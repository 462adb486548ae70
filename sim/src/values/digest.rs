//! A small, fast hash for digests and hash chains. It is the same on every machine, and not
//! collision resistant.

const LEFT: u64 = 0x9e37_79b9_7f4a_7c15;
const RIGHT: u64 = 0xd6e8_feb8_6659_fd93;

/// Mixes two numbers into one that depends on every bit of both, and on their order.
#[must_use]
pub const fn mix(left: u64, right: u64) -> u64 {
    let product = (left ^ LEFT) as u128 * (right.rotate_left(32) ^ RIGHT) as u128;
    (product as u64) ^ ((product >> 64) as u64)
}

/// Returns the hash of `bytes`, which also depends on their number.
#[must_use]
pub fn of_bytes(bytes: &[u8]) -> u64 {
    let mut hash = bytes.len() as u64;
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        hash = mix(hash, u64::from_le_bytes(*word));
    }
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        hash = mix(hash, u64::from_le_bytes(last));
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_the_same_on_every_machine() {
        assert_eq!(mix(0, 0), 0xc9d8_74ca_57d9_e055);
        assert_eq!(of_bytes(b"quorate simulates"), 0x28d3_4585_0b87_8eb0);
    }

    #[test]
    fn order_and_length_change_the_hash() {
        assert_ne!(mix(1, 2), mix(2, 1));
        assert_ne!(of_bytes(b""), of_bytes(b"\0"));
        assert_ne!(of_bytes(b"\0"), of_bytes(b"\0\0"));
        assert_ne!(of_bytes(b"abcdefgh"), of_bytes(b"abcdefgh\0"));
    }
}
