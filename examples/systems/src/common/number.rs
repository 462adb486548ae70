//! Numbers on the command line.

use std::ops::RangeInclusive;

use quorate::types::parse_number;

/// Returns a parser of whole numbers within these bounds.
pub fn number(bounds: RangeInclusive<u64>) -> impl Fn(&str) -> Result<u64, String> + Clone {
    move |text| parse_number(text, bounds.clone())
}

/// Returns a parser of whole numbers from this one on that have at most 32 bits.
pub fn number_of_32_bits(min: u32) -> impl Fn(&str) -> Result<u32, String> + Clone {
    move |text| {
        let number = parse_number(text, min.into()..=u32::MAX.into())?;
        Ok(u32::try_from(number).unwrap_or(u32::MAX))
    }
}
